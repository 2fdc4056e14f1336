"""The command line: every command explains itself, and what goes wrong is one clear line and the right exit code."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kernel.cli import main
from kernel.testing import Cluster, registry_of

NOWHERE = "postgresql://ebok_app:x@127.0.0.1:9/ebok"
PASSWORD = "zielona-herbata-w-kuchni"
Run = Callable[..., "Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The only line of what went wrong: no traceback, nothing else."""
        lines = [line for line in self.err.splitlines() if line]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("ebok: ")
        return lines[0]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty directory, away from whatever the environment configures."""
    for name in [name for name in os.environ if name.startswith("EBOK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EBOK_LOG_LEVEL", "error")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str = "") -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        written = capsys.readouterr()
        return Outcome(code, written.out, written.err)

    return run


@dataclass(slots=True)
class Databases:
    """Databases of a test, configured as the operator would."""

    cluster: Cluster
    monkeypatch: pytest.MonkeyPatch
    made: list[str]

    def new(self, *, migrated: bool) -> str:
        """Configure a fresh database; its owner's DSN."""
        name = f"cli_{os.getpid()}_{len(self.made)}"
        template = asyncio.run(self.cluster.template(registry_of())) if migrated else None
        endpoints = asyncio.run(self.cluster.server.create_database(name, template))
        self.made.append(name)
        self.monkeypatch.setenv("EBOK_DATABASE__DSN", endpoints.dsn)
        self.monkeypatch.setenv("EBOK_DATABASE__OWNER_DSN", endpoints.owner_dsn)
        return endpoints.owner_dsn


@pytest.fixture
def databases(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Databases]:
    made = Databases(cluster, monkeypatch, [])
    yield made
    for name in made.made:
        asyncio.run(cluster.server.drop_database(name))


def execute(dsn: str, statement: str) -> None:
    async def go() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(f"set role ebok_owner; {statement}")
        finally:
            await connection.close()

    asyncio.run(go())


# --- what it can do -------------------------------------------------------------------------------------------------

COMMANDS = (
    "serve",
    "worker",
    "demo",
    "migrate",
    "routes",
    "plugins",
    "verify",
    "doctor",
    "interest",
    "user add",
    "user password",
    "user disable",
    "user enable",
    "user list",
    "import check",
    "import run",
    "import archive",
    "export",
)


def test_every_command_explains_itself(run: Run) -> None:
    for command in ("", *COMMANDS):
        outcome = run(*command.split(), "--help")
        assert (outcome.code, outcome.err) == (0, ""), command
        assert outcome.out.startswith(f"usage: ebok {command}".rstrip()), command


def test_the_list_of_commands_is_whole(run: Run) -> None:
    assert {command.partition(" ")[0] for command in COMMANDS} == set(_listed(run("--help").out))
    for group in ("user", "import"):
        assert {name for name in COMMANDS if name.startswith(f"{group} ")} == {
            f"{group} {name}" for name in _listed(run(group, "--help").out)
        }


def _listed(text: str) -> list[str]:
    _head, _title, commands = text.partition("COMMAND\n")
    return [line.split()[0] for line in commands.splitlines() if line.startswith("    ") and line[4] != " "]


@pytest.mark.parametrize("arguments", [(), ("serv",), ("user",), ("serve", "--port", "many"), ("migrate", "--checks")])
def test_wrong_use(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).code == 2


def test_routes(run: Run) -> None:
    rows: list[dict[str, Any]] = json.loads(run("routes", "--json").out)
    assert all(set(row) == {"method", "path", "name", "plugin", "permission", "roles"} for row in rows)
    found = {(row["method"], row["path"]): row for row in rows}
    assert found["GET", "/login"]["permission"] == "public"
    assert found["GET", "/login"]["roles"] == ["anonymous", "customer", "admin", "superadmin"]
    assert found["POST", "/admin/payments/new"] == {
        "method": "POST",
        "path": "/admin/payments/new",
        "name": "payments.add",
        "plugin": "payments",
        "permission": "payments.enter",
        "roles": ["admin", "superadmin"],
    }
    assert found["GET", "/balance"]["roles"] == ["customer"]
    assert len(run("routes").out.splitlines()) == len(rows)


def test_plugins(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBOK_PLUGINS", '["customers", "payments"]')
    rows = {row["name"]: row for row in json.loads(run("plugins", "--json").out)}
    assert {name for name, row in rows.items() if row["enabled"]} == {"customers", "payments"}
    assert rows["printing"] == {
        "name": "printing",
        "enabled": False,
        "bundled": True,
        "distribution": "ebok",
        "version": rows["payments"]["version"],
        "requires": None,
    }
    assert rows["payments"]["requires"] is not None
    assert "off printing" in run("plugins").out


def test_migrate_checks_runs_and_runs_once(run: Run, databases: Databases) -> None:
    databases.new(migrated=False)
    before = run("migrate", "--check")
    assert (before.code, before.err) == (1, "")
    assert "ebok: kernel/0001_ground.sql has not run" in before.out.splitlines()
    refused = run("serve")
    assert refused.code == 1
    assert "run `ebok migrate`" in refused.line
    ran = run("migrate")
    assert (ran.code, ran.err) == (0, "")
    assert (run("migrate", "--check").code, run("migrate").out) == (0, "ebok: up to date\n")


def test_verify_and_doctor_of_a_healthy_office(run: Run, databases: Databases) -> None:
    databases.new(migrated=True)
    for command in ("verify", "doctor"):
        outcome = run(command, "--json")
        assert outcome.code == 0, outcome.out
        rows = json.loads(outcome.out)
        assert {"migrations"} <= {row["check"] for row in rows}
        assert all(row["ok"] for row in rows)
    assert "clock" in run("doctor").out


def test_verify_says_what_is_broken(run: Run, databases: Databases) -> None:
    owner = databases.new(migrated=True)
    execute(owner, "delete from kernel.migration where plugin = 'payments'")
    outcome = run("verify")
    assert outcome.code == 1
    assert "WRONG ebok: migrations" in outcome.out
    assert "payments/0001_ledger.sql has not run" in outcome.out


# --- users ----------------------------------------------------------------------------------------------------------


def test_user_add(run: Run, databases: Databases) -> None:
    databases.new(migrated=True)
    add = ("user", "add", "Helena", "--role", "superadmin", "--password-stdin")
    assert run(*add, stdin=f"{PASSWORD}\n").code == 0
    twice = run(*add, stdin=PASSWORD)
    assert twice.code == 1
    assert "'helena' is taken" in twice.line
    assert [user["login"] for user in json.loads(run("user", "list", "--json").out)] == ["helena"]


def test_user_add_refuses(run: Run, databases: Databases) -> None:
    databases.new(migrated=True)
    short = run("user", "add", "pawel", "--role", "admin", "--password-stdin", stdin="krótkie")
    assert short.code == 1
    assert "15 characters" in short.line
    assert run("user", "add", "pawel", "--role", "boss", "--password-stdin", stdin=PASSWORD).code == 2
    nobody = run("user", "add", "p", "--role", "customer", "--customer", "9", "--password-stdin", stdin=PASSWORD)
    assert nobody.code == 1
    assert "no customer with the number '9'" in nobody.line
    silent = run("user", "add", "pawel", "--role", "admin", "--password-stdin")
    assert silent.code == 2
    assert json.loads(run("user", "list", "--json").out) == []


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_an_unknown_key_gets_the_nearest_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ebok.toml").write_text("[server]\nprot = 80\n", encoding="utf-8")
    outcome = run("routes")
    assert outcome.code == 2
    assert "unknown key 'server.prot'. Did you mean 'port'?" in outcome.line


def test_a_missing_configuration_file(run: Run) -> None:
    outcome = run("routes", "--config", "nowhere.toml")
    assert outcome.code == 2
    assert "nowhere.toml does not exist" in outcome.line


@pytest.mark.parametrize("command", ["migrate", "migrate --check", "serve", "worker", "user list", "serve --workers 2"])
def test_an_unreachable_database(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("EBOK_DATABASE__DSN", NOWHERE)
    monkeypatch.setenv("EBOK_DATABASE__OWNER_DSN", NOWHERE)
    outcome = run(*command.split())
    assert outcome.code == 1
    assert "The database cannot be reached" in outcome.line


@pytest.mark.parametrize("command", ["verify", "doctor"])
def test_an_unreachable_database_is_a_finding(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("EBOK_DATABASE__DSN", NOWHERE)
    outcome = run(command, "--json")
    assert (outcome.code, outcome.err) == (1, "")
    (found,) = [row for row in json.loads(outcome.out) if row["check"] == "database"]
    assert "cannot be reached" in found["findings"][0]
    assert "WRONG ebok: database" in run(command).out


def test_a_port_in_use(run: Run, databases: Databases) -> None:
    databases.new(migrated=True)
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for more in ((), ("--workers", "2")):
            outcome = run("serve", "--port", port, *more)
            assert outcome.code == 1
            assert outcome.line == (
                f"ebok: Cannot listen on 127.0.0.1:{port}: Address already in use. Choose another with --port."
            )


def test_plain_http_stays_on_this_machine(run: Run, tmp_path: Path) -> None:
    for command in ("serve", "demo"):
        exposed = run(command, "--host", "0.0.0.0")  # noqa: S104
        assert exposed.code == 2
        assert "Refusing to serve plain HTTP on 0.0.0.0" in exposed.line
    half = run("serve", "--tls-cert", str(tmp_path / "cert.pem"))
    assert half.code == 2
    assert "both a certificate and a key" in half.line


def test_several_processes_need_one_port(run: Run, databases: Databases) -> None:
    databases.new(migrated=True)
    outcome = run("serve", "--workers", "2", "--port", "0")
    assert outcome.code == 2
    assert "--port" in outcome.line


def test_a_certificate_that_is_none(run: Run, databases: Databases, tmp_path: Path) -> None:
    databases.new(migrated=True)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing", encoding="utf-8")
    outcome = run("serve", "--port", "0", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    assert outcome.code == 1
    assert "The certificate or key cannot be used" in outcome.line


def test_an_unknown_plugin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EBOK_PLUGINS", '["paymets"]')
    outcome = run("routes")
    assert outcome.code == 1
    assert outcome.line == "ebok: Plugin 'paymets' is not installed. Did you mean 'payments'?"


def test_a_broken_plugin(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_office.py").write_text("import no_such_thing\n", encoding="utf-8")
    about = tmp_path / "broken_office-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-office\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[ebok.plugins]\nbroken = broken_office\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert run("routes").code == 0, "what is not enabled hinders nobody"
    monkeypatch.setenv("EBOK_PLUGINS", '["broken"]')
    outcome = run("routes")
    assert outcome.code == 1
    assert "Plugin 'broken' (broken_office) does not import: ModuleNotFoundError" in outcome.line


def test_an_unknown_kind_of_source(run: Run, databases: Databases, tmp_path: Path) -> None:
    databases.new(migrated=True)
    (tmp_path / "books.toml").write_text(
        '[profile]\nname = "books"\ntitle = "Books"\n[source]\nkind = "oracel"\n'
        '[[entity]]\nrecord = "customers.customer"\ntable = "T"\nkey = "ID"\n'
        '[entity.fields]\ncustomer_no = "ID"\nname = "NAME"\n',
        encoding="utf-8",
    )
    outcome = run("import", "check", "books.toml")
    assert outcome.code == 2
    assert "oracel" in outcome.line
    assert "sqlite" in outcome.line, "the kinds that there are"


@pytest.mark.parametrize("command", ["serve", "migrate", "worker", "migrate --check"])
def test_an_edited_migration(run: Run, databases: Databases, command: str) -> None:
    owner = databases.new(migrated=True)
    execute(owner, "update kernel.migration set checksum = 'another' where plugin = 'payments'")
    outcome = run(*command.split())
    assert outcome.code == 1
    assert "Migration payments/0001_ledger.sql was edited after it ran" in outcome.line


def test_a_database_that_conflicts(run: Run, databases: Databases) -> None:
    owner = databases.new(migrated=False)
    execute(owner, "create schema payments; create table payments.entry (id integer)")
    outcome = run("migrate")
    assert outcome.code == 1
    assert "Migration payments/0001_ledger.sql failed" in outcome.line
    execute(owner, "drop schema payments cascade")
    assert run("migrate").code == 0, "nothing was half applied"


def test_an_organisation_must_be_named_when_there_are_several(run: Run, databases: Databases, tmp_path: Path) -> None:
    databases.new(migrated=True)
    dsn = os.environ["EBOK_DATABASE__DSN"]
    (tmp_path / "ebok.toml").write_text(
        "".join(f'[[sites]]\nname = "{name}"\nhosts = ["{name}.test"]\ndsn = "{dsn}"\n' for name in ("north", "south")),
        encoding="utf-8",
    )
    assert run("user", "list", "--site", "south").code == 0
    for more in ((), ("--site", "east")):
        outcome = run("user", "list", *more)
        assert outcome.code == 2
        assert "--site: north, south" in outcome.line

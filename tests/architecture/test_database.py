"""SQL: every statement is prepared by the real server and names only schemas it may; tables lie where they belong."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

import kernel
from kernel.db import migrate
from kernel.plugin.manager import bundled, load
from kernel.web.tables import Listing

PLUGINS = {plugin.name: plugin for plugin in load(bundled())}
OUTSIDE = {"pg_catalog", "information_schema"}
# Statements that run as the owner before the application's schema stands.
OWNERS = {"kernel.db.migrate", "kernel.db.embedded"}


def statements() -> Iterator[tuple[str, str, str]]:
    """(owner, module.NAME, SQL) of every statement of the kernel and the bundled plugins."""
    packages = [("kernel", kernel)] + [(name, plugin.module) for name, plugin in PLUGINS.items()]
    for owner, package in packages:
        for module_name in _modules(package):
            if owner != "kernel" and _deeper_plugin(owner, module_name):
                continue
            if module_name in OWNERS or module_name == "kernel.testing":
                continue
            module = importlib.import_module(module_name)
            for name, value in vars(module).items():
                if name.endswith("_SQL") and isinstance(value, str):
                    yield owner, f"{module_name}.{name}", value
                elif isinstance(value, Listing):
                    for number, statement in enumerate(value.statements()):
                        yield owner, f"{module_name}.{name}[{number}]", statement


def _modules(package) -> list[str]:
    found = [package.__name__]
    for path in getattr(package, "__path__", ()):
        found += [m.name for m in pkgutil.walk_packages([path], f"{package.__name__}.") if "__main__" not in m.name]
    return found


def _deeper_plugin(owner: str, module_name: str) -> bool:
    others = [p.module.__name__ for name, p in PLUGINS.items() if name != owner]
    inside = [o for o in others if module_name == o or module_name.startswith(f"{o}.")]
    return any(o.startswith(f"{PLUGINS[owner].module.__name__}.") for o in inside)


STATEMENTS = list(statements())


def test_statements_are_found() -> None:
    assert len(STATEMENTS) > 100
    assert {owner for owner, _, _ in STATEMENTS} >= {"kernel", "payments", "customers", "printing", "importers"}


async def test_every_statement_prepares_on_the_application_role(site) -> None:
    connection = await asyncpg.connect(site.db.dsn)
    broken = {}
    try:
        for _owner, name, statement in STATEMENTS:
            try:
                await connection.prepare(statement)
            except asyncpg.PostgresError as error:
                broken[name] = str(error)
    finally:
        await connection.close()
    assert not broken


async def test_a_statement_names_only_its_own_schema_the_kernels_and_published_views(conn) -> None:
    schemas = {"kernel", *PLUGINS}
    views = {
        f"{row['schemaname']}.{row['viewname']}"
        for row in await conn.fetch("select schemaname, viewname from pg_views")
    }
    foreign = []
    for owner, name, statement in STATEMENTS:
        required = set(PLUGINS[owner].manifest.requires) if owner in PLUGINS else set()
        for schema, table in re.findall(r"\b([a-z_]+)\.([a-z_]+)\b", statement):
            if schema not in schemas or schema in {owner, "kernel"}:
                continue
            if schema in required and f"{schema}.{table}" in views:
                continue
            foreign.append(f"{name}: {schema}.{table}")
    assert not foreign


async def test_tables_lie_in_their_plugins_schema_and_foreign_keys_stay_home(conn) -> None:
    allowed = {"kernel", *PLUGINS}
    tables = await conn.fetch(
        "select schemaname, tablename, tableowner from pg_tables"
        " where schemaname not in ('pg_catalog', 'information_schema')"
    )
    assert {row["schemaname"] for row in tables} <= allowed
    assert {row["tableowner"] for row in tables} == {migrate.OWNER}
    keys = await conn.fetch(
        """select n.nspname as home, f.nspname as target, c.conname
           from pg_constraint c join pg_class t on t.oid = c.conrelid join pg_namespace n on n.oid = t.relnamespace
           join pg_class r on r.oid = c.confrelid join pg_namespace f on f.oid = r.relnamespace
           where c.contype = 'f'"""
    )
    assert not [row for row in keys if row["target"] not in {row["home"], "kernel"}]


async def test_the_application_role_makes_and_changes_no_tables(conn) -> None:
    for statement in (
        "create table kernel.mine (id int)",
        "create table public.mine (id int)",
        "alter table kernel.customer disable trigger all",
        "truncate kernel.audit_log",
        "set role ebok_owner",
    ):
        with pytest.raises(asyncpg.PostgresError):
            await conn.execute(statement)


async def test_connections_carry_no_session_state(site) -> None:
    """A transaction-mode pooler may stand in front: nothing set in one transaction is seen in the next."""
    from kernel.db.pool import Stamp

    async with site.db.transaction(Stamp("12", "admin")) as first:
        assert await first.fetchval("select current_setting('ebok.actor')") == "12"
    async with site.db.connection() as second:
        assert not await second.fetchval("select current_setting('ebok.actor', true)")
    for _owner, name, statement in STATEMENTS:
        text = statement.casefold()
        assert not re.search(r"\bset (?!local\b)(session|ebok|search_path|role|time zone)", text), name
        assert "pg_advisory_lock" not in text, name
        assert not re.search(r"\b(listen|create temp|prepare)\b", text), name


def test_migrations_are_named_and_numbered() -> None:
    for name, path in [("kernel", Path(kernel.__file__).parent), *((n, p.path) for n, p in PLUGINS.items())]:
        numbers = [int(migration.path.name[:4]) for migration in migrate.found([(name, path)])]
        assert numbers == list(range(1, len(numbers) + 1)), name


@pytest.mark.ebok(plugins=[])
async def test_an_edited_migration_is_refused_and_a_new_one_runs_once(site, tmp_path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_a.sql").write_text("create table extra.a (id int)")
    files = migrate.found([("extra", tmp_path)])
    connection = await migrate.connect(site.owner_dsn)
    try:
        assert [m.label for m in await migrate.migrate(connection, files)] == ["extra/0001_a.sql"]
        assert await migrate.migrate(connection, files) == []
        (folder / "0001_a.sql").write_text("create table extra.a (id bigint)")
        with pytest.raises(migrate.MigrationError, match=r"extra/0001_a\.sql was edited"):
            await migrate.migrate(connection, files)
        (folder / "0001_a.sql").write_text("create table extra.a (id int)")
        (folder / "0002_b.sql").write_text("create table extra.b (id int); select no_such_function()")
        with pytest.raises(migrate.MigrationError, match=r"extra/0002_b\.sql failed"):
            await migrate.migrate(connection, migrate.found([("extra", tmp_path)]))
        assert await connection.fetchval("select to_regclass('extra.b')") is None, "a failed file leaves nothing"
    finally:
        await connection.close()

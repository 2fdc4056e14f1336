"""Numbered SQL files, forward only, one schema per plugin.

A file is known by plugin and name; its checksum is kept, so a file edited after it ran is refused. Each file is one
transaction under an advisory lock, so that several processes may migrate at once and nothing is half applied.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from kernel.db.pool import DatabaseUnavailable

OWNER: Final = "ebok_owner"
APPLICATION: Final = "ebok_app"
_LOCK: Final = 0x65626F6B
_FILE: Final = re.compile(r"[0-9]{4}_[a-z0-9_]+\.sql")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")

_PREPARE: Final = """
create schema if not exists kernel;
create table if not exists kernel.migration (
    plugin text not null,
    file text not null,
    checksum text not null,
    applied_at timestamptz not null default now(),
    primary key (plugin, file)
)"""


class MigrationError(Exception):
    """The database cannot be brought to this version; the message is one line that names the file."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of one plugin."""

    plugin: str
    path: Path

    @property
    def label(self) -> str:
        return f"{self.plugin}/{self.path.name}"

    def read(self) -> tuple[str, str]:
        """The statements and their checksum (line ends do not count)."""
        text = self.path.read_text(encoding="utf-8").replace("\r\n", "\n")
        return text, hashlib.sha256(text.encode()).hexdigest()


def found(plugins: Iterable[tuple[str, Path]]) -> list[Migration]:
    """The files of ``(plugin, package directory)`` pairs, in the order they run. MigrationError for an odd name."""
    ordered: list[Migration] = []
    for plugin, package in plugins:
        if not _NAME.fullmatch(plugin):
            raise MigrationError(f"{plugin!r} cannot name a schema.")
        for path in sorted((package / "migrations").glob("*.sql")):
            if not _FILE.fullmatch(path.name):
                raise MigrationError(f"Migration {plugin}/{path.name} is not named like 0001_name.sql.")
            ordered.append(Migration(plugin, path))
    return ordered


async def connect(owner_dsn: str) -> asyncpg.Connection:
    """A connection whose work belongs to the owner role. Raises DatabaseUnavailable with one line."""
    try:
        connection = await asyncpg.connect(owner_dsn, timeout=10, server_settings={"timezone": "UTC"})
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise DatabaseUnavailable(f"The database cannot be reached: {error}") from error
    try:
        await connection.execute(f"set role {OWNER}")
    except asyncpg.PostgresError as error:
        await connection.close()
        raise MigrationError(f"The login of database.owner_dsn must be able to act as {OWNER}: {error}") from error
    return connection


async def pending(connection: Any, migrations: Sequence[Migration]) -> list[Migration]:
    """What has not run yet. Raises MigrationError when a file that ran was edited since."""
    exists = await connection.fetchval("select to_regclass('kernel.migration') is not null")
    rows: list[Any] = await connection.fetch("select plugin, file, checksum from kernel.migration") if exists else []
    applied: dict[tuple[str, str], str] = {(row["plugin"], row["file"]): row["checksum"] for row in rows}
    waiting: list[Migration] = []
    for migration in migrations:
        checksum = applied.get((migration.plugin, migration.path.name))
        if checksum is None:
            waiting.append(migration)
        elif checksum != migration.read()[1]:
            raise MigrationError(
                f"Migration {migration.label} was edited after it ran. Undo the edit and add a new file."
            )
    return waiting


async def migrate(connection: Any, migrations: Sequence[Migration]) -> list[Migration]:
    """Run what is missing, each file whole or not at all; returns what ran. Raises MigrationError naming the file."""
    ran: list[Migration] = []
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(_PREPARE)
    for migration in await pending(connection, migrations):
        text, checksum = migration.read()
        try:
            async with connection.transaction():
                await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
                taken = await connection.fetchval(
                    "insert into kernel.migration (plugin, file, checksum) values ($1, $2, $3)"
                    " on conflict do nothing returning true",
                    migration.plugin,
                    migration.path.name,
                    checksum,
                )
                if taken:
                    await connection.execute(_schema(migration.plugin))
                    await connection.execute(text)
                    ran.append(migration)
        except asyncpg.PostgresError as error:
            raise MigrationError(f"Migration {migration.label} failed: {error}") from error
    return ran


def _schema(plugin: str) -> str:
    """The plugin's schema, with the application role's rights on everything made in it from now on."""
    return f"""
        create schema if not exists {plugin};
        revoke all on schema {plugin} from public;
        grant usage on schema {plugin} to {APPLICATION};
        alter default privileges in schema {plugin} grant select, insert, update, delete on tables to {APPLICATION};
        alter default privileges in schema {plugin} grant usage on sequences to {APPLICATION};
        alter default privileges in schema {plugin} grant execute on functions to {APPLICATION}"""

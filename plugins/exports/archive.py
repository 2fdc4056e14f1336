"""The complete export: every table of an organisation as lines of JSON in a zip, and a manifest that proves it whole.

``tables/payments.entry.jsonl`` holds one row a line, in the order of the table's key. ``manifest.json``, the last
entry, names the migrations that made the tables, and for each table its columns, how many rows it has, how many bytes,
their SHA-256, and the sums of amounts (grosze); for each sequence its last number. All of it is of one moment.
"""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import IO, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from kernel import ArchiveRule, Connection, Site, organisation
from plugins.exports import store
from plugins.exports.store import Table

FORMAT: Final = "ebok-archive"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"

Told = Callable[[int, int], Awaitable[None]]
"""Told how many rows of how many are done; raises Stopped when nobody wants the rest."""


class Stopped(Exception):
    """Somebody cancelled the work."""


class TableInArchive(BaseModel):
    """One table: where it is from, its columns, and what proves its lines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z_0-9]+\.[a-z_0-9]+$")
    columns: tuple[str, ...]
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    sums: Mapping[str, int]

    @property
    def entry(self) -> str:
        """Its place in the zip."""
        return place_of(self.name)


class Migration(BaseModel):
    """A file that has made tables what they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plugin: str
    file: str
    checksum: str


class Manifest(BaseModel):
    """What an archive says of itself. ``left_behind`` names plugins that were off: their tables are not in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    version: int
    ebok: str
    organisation: str
    made_at: datetime
    with_secrets: bool
    left_behind: tuple[str, ...] = ()
    migrations: tuple[Migration, ...]
    tables: tuple[TableInArchive, ...]
    sequences: Mapping[str, int | None]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)


def place_of(table: str) -> str:
    """``tables/payments.entry.jsonl``"""
    return f"tables/{table}.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes along: tables with their columns; the rules of all."""

    schemas: tuple[str, ...]
    tables: tuple[Table, ...]
    rules: Mapping[str, ArchiveRule] = field(default_factory=dict[str, ArchiveRule])

    def rule(self, table: str) -> ArchiveRule:
        """The rule of a table; one that says nothing where there is none."""
        return self.rules.get(table) or ArchiveRule(table)


async def planned(conn: Connection, site: Site, *, with_secrets: bool) -> Plan:
    """What the archive of this organisation consists of."""
    schemas = tuple(plugin.name for plugin in site.registry.plugins)
    plan = Plan(schemas, tuple(await store.tables(conn, schemas)), site.registry.archive_rules)
    kept = tuple(
        table if with_secrets else _without(table, plan.rule(table.name).secret_columns)
        for table in plan.tables
        if not plan.rule(table.name).left_out and (with_secrets or not plan.rule(table.name).secret)
    )
    return Plan(plan.schemas, kept, plan.rules)


def _without(table: Table, columns: Sequence[str]) -> Table:
    return Table(table.name, tuple(one for one in table.columns if one not in columns), table.keys)


async def write(conn: Connection, site: Site, file: IO[bytes], told: Told, *, with_secrets: bool) -> Manifest:
    """Write the archive of an organisation; ``conn`` is in a transaction of its own, which has asked nothing yet.

    The file is not whole when anything is raised.
    """
    await store.hold_still(conn)
    plan = await planned(conn, site, with_secrets=with_secrets)
    totals = {table.name: await store.totals(conn, table.name, plan.rule(table.name).sums) for table in plan.tables}
    everything, done = sum(total["rows"] for total in totals.values()), 0
    written: list[TableInArchive] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=5) as archive:
        for table in plan.tables:
            rows, size, proof = 0, 0, hashlib.sha256()
            await store.open_rows(conn, table.name, table.columns, table.keys)
            with archive.open(place_of(table.name), "w", force_zip64=True) as entry:
                while batch := await store.next_rows(conn):
                    lines = "".join(f"{row['line']}\n" for row in batch).encode()
                    await asyncio.to_thread(entry.write, lines)
                    await asyncio.to_thread(proof.update, lines)
                    rows, size, done = rows + len(batch), size + len(lines), done + len(batch)
                    await told(done, everything)
            await store.close_rows(conn)
            sums = {name: total for name, total in totals[table.name].items() if name != "rows"}
            written.append(
                TableInArchive(
                    name=table.name, columns=table.columns, rows=rows, bytes=size, sha256=proof.hexdigest(), sums=sums
                )
            )
        manifest = await _manifest(conn, site, plan, written, with_secrets=with_secrets)
        archive.writestr(MANIFEST, manifest.model_dump_json(indent=1))
    return manifest


async def _manifest(
    conn: Connection, site: Site, plan: Plan, written: Sequence[TableInArchive], *, with_secrets: bool
) -> Manifest:
    everybody: list[dict[str, Any]] = await store.migrations(conn)
    ours = [row for row in everybody if row["plugin"] in plan.schemas]
    return Manifest(
        format=FORMAT,
        version=VERSION,
        ebok=version("ebok"),
        organisation=organisation(site).name,
        made_at=site.clock.now(),
        with_secrets=with_secrets,
        left_behind=tuple(sorted({row["plugin"] for row in everybody} - {*plan.schemas})),
        migrations=tuple(Migration(**row) for row in ours),
        tables=tuple(written),
        # Read last: numbers taken meanwhile by others are skipped, none is given twice.
        sequences=await store.sequences(conn, plan.schemas),
    )

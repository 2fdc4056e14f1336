"""Reading a PostgreSQL that is not ours: rows stream through a cursor in a read-only transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Literal, cast

from kernel import ForeignPostgres, RawRow
from plugins.importers import SourcePath, WithPassword

_TABLES: Final = """
select c.relname as table, array_agg(a.attname::text order by a.attnum) as columns
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relkind in ('r', 'v', 'm', 'f', 'p')
group by c.relname order by c.relname
"""
_IS_TABLE: Final = """
select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'v', 'm', 'f', 'p')
"""


class Settings(WithPassword):
    """``[source] kind = "postgres"``: where the server is, who reads, and how the way is protected."""

    host: str = "127.0.0.1"
    port: int = 5432
    user: str
    database: str
    namespace: str = "public"
    tls: Literal["prefer", "require", "verify", "off"] = "prefer"
    tls_ca: SourcePath | None = None

    def place(self) -> ForeignPostgres:
        """The database as the kernel reads it. Raises SourceError when the password cannot be had."""
        return ForeignPostgres(self.host, self.port, self.user, self.secret(), self.database, self.tls, self.tls_ca)


async def discover(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The tables and views of the schema with their columns. Raises SourceError."""
    return {
        str(row["table"]): cast("Sequence[str]", row["columns"])
        async for rows in settings.place().rows(_TABLES, settings.namespace)
        for row in rows
    }


async def stream(settings: Settings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The rows of a table of the schema or of a query, two thousand at a time. Raises SourceError."""
    place = settings.place()
    async for _rows in place.rows(_IS_TABLE, settings.namespace, query):
        query = f"select * from {_quoted(settings.namespace)}.{_quoted(query)}"  # noqa: S608 (quoted names)
    async for rows in place.rows(query):
        yield rows


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

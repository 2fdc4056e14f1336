"""What plugins see of the database: a connection whose statements are literals, and rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterable, Mapping, Sequence
from typing import Any, LiteralString, Protocol

Row = Mapping[str, Any]
"""One row of a result: columns by name."""


class Cursor(Protocol):
    """A result that is read in portions: ``await cursor.fetch(2000)`` until nothing comes."""

    async def fetch(self, n: int, /) -> Sequence[Row]: ...


class Cursors(Protocol):
    """What ``cursor`` gives: rows one by one with ``async for``; awaited, a ``Cursor``, much faster for many rows."""

    def __aiter__(self) -> AsyncIterator[Row]: ...
    def __await__(self) -> Generator[Any, None, Cursor]: ...


class Connection(Protocol):
    """A PostgreSQL connection, as handlers and stores get it from the kernel.

    Every statement is a ``LiteralString``: pyright strict refuses one that was put together from data. Values travel
    as ``$1, $2 …`` only. Safe requests run in autocommit on it; unsafe ones inside one transaction whose actor is set.
    Raises ``asyncpg.PostgresError`` subclasses, which the kernel turns into pages.
    """

    async def fetch(self, query: LiteralString, /, *args: object) -> Sequence[Row]: ...
    async def fetchrow(self, query: LiteralString, /, *args: object) -> Row | None: ...
    async def fetchval(self, query: LiteralString, /, *args: object) -> Any: ...
    async def execute(self, query: LiteralString, /, *args: object) -> str: ...
    async def executemany(self, query: LiteralString, /, args: Iterable[Sequence[object]]) -> None: ...
    async def copy_records_to_table(
        self,
        table_name: LiteralString,
        /,
        *,
        records: Iterable[Sequence[object]],
        columns: Sequence[str],
        schema_name: LiteralString,
    ) -> str: ...
    def cursor(self, query: LiteralString, /, *args: object, prefetch: int | None = None) -> Cursors: ...

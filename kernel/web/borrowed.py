"""A connection taken from the pool by its first statement: pages that ask nothing work without a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, LiteralString

from kernel.db.connection import Connection, Cursors, Row
from kernel.db.pool import Database


class Borrowed:
    """A ``Connection`` in autocommit. After ``give_back`` using it is an error: no page asks while it renders."""

    __slots__ = ("_connection", "_db", "_lease", "_returned")

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lease: AbstractAsyncContextManager[Connection] | None = None
        self._connection: Connection | None = None
        self._returned = False

    async def _taken(self) -> Connection:
        if self._connection is None:
            if self._returned:
                raise RuntimeError("the request's connection was given back before its page is rendered")
            self._lease = self._db.connection()
            self._connection = await self._lease.__aenter__()
        return self._connection

    async def give_back(self) -> None:
        """Return the connection to the pool; safe to call twice."""
        lease, self._lease, self._connection, self._returned = self._lease, None, None, True
        if lease is not None:
            await lease.__aexit__(None, None, None)

    async def fetch(self, query: LiteralString, /, *args: object) -> Sequence[Row]:
        return await (await self._taken()).fetch(query, *args)

    async def fetchrow(self, query: LiteralString, /, *args: object) -> Row | None:
        return await (await self._taken()).fetchrow(query, *args)

    async def fetchval(self, query: LiteralString, /, *args: object) -> Any:
        return await (await self._taken()).fetchval(query, *args)

    async def execute(self, query: LiteralString, /, *args: object) -> str:
        return await (await self._taken()).execute(query, *args)

    async def executemany(self, query: LiteralString, /, args: Iterable[Sequence[object]]) -> None:
        await (await self._taken()).executemany(query, args)

    async def copy_records_to_table(
        self,
        table_name: LiteralString,
        /,
        *,
        records: Iterable[Sequence[object]],
        columns: Sequence[str],
        schema_name: LiteralString,
    ) -> str:
        connection = await self._taken()
        return await connection.copy_records_to_table(
            table_name, records=records, columns=columns, schema_name=schema_name
        )

    def cursor(self, query: LiteralString, /, *args: object, prefetch: int | None = None) -> Cursors:
        raise RuntimeError("a cursor needs a transaction, which a page that only shows has not")

"""An export read through a cursor and written as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Final
from zoneinfo import ZoneInfo

from kernel import Connection
from plugins.exports.model import Order
from plugins.exports.writing import PIECE, writer_of

BATCH: Final = 2000


async def count(conn: Connection, order: Order) -> int:
    """How many rows there will be."""
    return await conn.fetchval(f"select count(*) from ({order.select}) as counted", *order.arguments)  # noqa: S608  literals


async def made(conn: Connection, order: Order, zone: ZoneInfo) -> AsyncGenerator[tuple[bytes, int]]:
    """A file in pieces of about a mebibyte, each with the number of rows read so far. ``conn`` is in a transaction.

    Rows come from a cursor, cells are made in a thread: neither memory nor the event loop notices how many there are.
    """
    with closing(writer_of(order.format, str(order.export.label), order.export.columns, zone)) as writer:
        content, rows = bytearray(await asyncio.to_thread(writer.head)), 0
        cursor = await conn.cursor(order.select, *order.arguments)
        while batch := await cursor.fetch(BATCH):
            content += await asyncio.to_thread(writer.rows, batch)
            rows += len(batch)
            if len(content) >= PIECE or rows % (10 * BATCH) == 0:
                yield bytes(content), rows
                content.clear()
        pieces = writer.end()
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            content += piece
            if len(content) >= PIECE:
                yield bytes(content), rows
                content.clear()
        yield bytes(content), rows

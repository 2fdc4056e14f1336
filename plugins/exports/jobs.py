"""The work of making files, beside the pages: told how far it has come, stopped when somebody cancels it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any, Final

from kernel import Job, Site, Stamp
from plugins.exports import archive, grouping, making, store
from plugins.exports.model import COMPLETE, ordered
from plugins.exports.store import Made
from plugins.exports.writing import PIECE

WORKER: Final = Stamp("worker")
TELL_EVERY: Final = 20_000
"""Rows between two words about progress."""


@dataclass(slots=True)
class _Kept:
    """A file on its way into the database, piece by piece, each in a transaction of its own."""

    site: Site
    number: int
    attempt: int
    total: int | None = None
    place: int = 0
    told: int = 0

    async def add(self, content: bytes, rows: int) -> None:
        """Keep a piece. Raises Stopped when nobody wants the file any more, or another worker has taken over."""
        async with self.site.db.transaction(WORKER) as conn:
            wanted = await store.add_piece(conn, self.number, self.attempt, self.place, content, rows, self.total)
        if not wanted:
            raise archive.Stopped
        self.place += bool(content)

    async def tell(self, done: int, total: int) -> None:
        """Say how far it has come, now and then. Raises Stopped like ``add``."""
        self.total = total
        if done - self.told >= TELL_EVERY:
            self.told = done
            await self.add(b"", done)


async def make(site: Site, payload: Mapping[str, Any]) -> None:
    """Make a file. One that was cancelled or deleted meanwhile is left alone; one that broke off begins anew."""
    number = payload["made"]
    async with site.db.transaction(WORKER) as conn:
        attempt = await store.claim(conn, number)
        wanted = await store.one(conn, number)
    if attempt is None or wanted is None:
        return
    kept = _Kept(site, number, attempt)
    try:
        rows = await _make(site, wanted, kept)
    except archive.Stopped:
        return
    except Exception:
        async with site.db.transaction(WORKER) as conn:
            await store.failed(conn, number, attempt)
        raise
    async with site.db.transaction(WORKER) as conn:
        await store.ready(conn, number, attempt, rows)


async def _make(site: Site, wanted: Made, kept: _Kept) -> int:
    rows = 0
    async with aclosing(_pieces(site, wanted, kept)) as pieces:
        async for content, done in pieces:
            await kept.add(content, done)
            rows = done
    return rows


async def _pieces(site: Site, wanted: Made, kept: _Kept) -> AsyncGenerator[tuple[bytes, int]]:
    if wanted.what == COMPLETE:
        async with _archive(site, wanted, kept) as (file, rows):
            while piece := file.read(PIECE):
                yield piece, rows
        return
    export = site.registry.exports[wanted.what]
    order = ordered(export, wanted.format, wanted.filters, site.clock.today())
    async with site.db.transaction(WORKER) as conn:
        await store.hold_still(conn)
        order = await grouping.within(site, conn, order, wanted.filters)
        kept.total = await making.count(conn, order)
        async with aclosing(making.made(conn, order, site.clock.zone)) as made:
            async for piece in made:
                yield piece


@asynccontextmanager
async def _archive(site: Site, wanted: Made, kept: _Kept) -> AsyncGenerator[tuple[IO[bytes], int]]:
    """The archive in a temporary file without a name: whatever happens to this process, nothing is left of it."""
    with tempfile.TemporaryFile(prefix="ebok-archive-") as file:
        async with site.db.transaction(WORKER) as conn:
            manifest = await archive.write(conn, site, file, kept.tell, with_secrets=wanted.with_secrets)
        file.seek(0)
        yield file, manifest.rows


async def forget(site: Site, payload: Mapping[str, Any]) -> None:
    """Delete made files whose time is over: they hold personal data."""
    async with site.db.transaction(WORKER) as conn:
        await store.forget(conn, site.clock.now())


JOBS: Final = (
    Job("exports.make", make, attempts=3),
    Job("exports.forget", forget, every=timedelta(hours=6)),
)

"""Closing many customers, one transaction each: every customer is closed whole, or untouched with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kernel import Job, Refused, Row, Site, Stamp
from plugins.customers import store as register
from plugins.customers.bulk import store
from plugins.customers.leaving.pages import close_one
from plugins.customers.words import kept_text, why

CLOSE: Final = "customers.close_many"


async def close_many(site: Site, payload: Mapping[str, Any]) -> None:
    """Go on with a run where it stopped, until it is through or cancelled; safe to repeat."""
    number: int = payload["run"]
    while True:
        async with site.db.transaction(Stamp("worker")) as conn:
            row = await store.next_one(conn, number)
            if row is None:
                await store.end(conn, number, "closed")
                return
        try:
            await _close(site, number, row)
        except Refused as refused:
            async with site.db.transaction(Stamp("worker")) as conn:
                await store.told(conn, number, row["place"], "refused", kept_text(why(refused)))


async def _close(site: Site, number: int, row: Row) -> None:
    async with site.db.transaction(Stamp(row["created_by"], row["role"])) as conn:
        if not await store.goes_on(conn, number):
            return
        if await register.lock_customer(conn, row["customer"]) != "active":
            await store.told(conn, number, row["place"], "left")
            return
        await close_one(site, conn, row["customer"], row["customer_no"], acknowledged=row["acknowledged"])
        await store.told(conn, number, row["place"], "closed")


JOBS: Final[Sequence[Job]] = (Job(CLOSE, close_many),)

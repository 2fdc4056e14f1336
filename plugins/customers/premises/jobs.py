"""On the day a period begins or ends, the register names whoever is billed from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from kernel import Job, Site, Stamp
from plugins.customers.premises import store


async def turn(site: Site, payload: Mapping[str, Any]) -> None:
    """Settle the premises in which a period began or ended; safe to repeat."""
    today = site.clock.today()
    async with site.db.transaction(Stamp("worker")) as conn:
        await store.settle(conn, await store.turning(conn, today), today)


JOBS: Final[Sequence[Job]] = (Job("customers.turn", turn, every=timedelta(hours=1)),)

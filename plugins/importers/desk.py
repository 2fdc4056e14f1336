"""What the console's first page tells of imports: what failed or waits, and how fresh the data of each profile are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web

from kernel import CONN, SITE, Card, QueueItem, Request, Site, _, ngettext, url
from plugins.importers import catalogue, store
from plugins.importers.jobs import EVERY
from plugins.importers.store import Standing

SHOWN: Final = 8
_LATE: Final = 1.5
"""Data are older than expected when so many times the interval of their profile has passed."""
_STANDINGS: Final = web.RequestKey("importers.standings", list[Standing])


@dataclass(frozen=True, slots=True)
class Fresh:
    """A profile with the age of its data. ``is_late``: a profile that runs by itself should have brought newer ones."""

    standing: Standing
    is_late: bool

    @property
    def weight(self) -> int:
        """What needs somebody first."""
        return 2 * self.standing.is_failed + self.is_late


async def queue(request: Request) -> Sequence[QueueItem]:
    """Imports that failed and imports that wait, with the way to them."""
    found = await _standings(request)
    failed = sum(one.is_failed for one in found)
    waiting = sum(one.state == "waiting" for one in found)
    address = url(request, "importers.runs")
    items = (
        QueueItem(ngettext("{count} failed import", "{count} failed imports", failed), failed, address, order=5),
        QueueItem(ngettext("{count} import to apply", "{count} imports to apply", waiting), waiting, address, order=15),
    )
    return [item for item in items if item.count]


async def cards(request: Request) -> Sequence[Card]:
    """How fresh the data of each profile are, the worst first."""
    site = request[SITE]
    found = await _standings(request)
    if not found:
        return ()
    every = _intervals(site, found)
    now = site.clock.now()
    fresh = [Fresh(one, is_late(one.read_at, every.get(one.profile), now)) for one in found]
    fresh.sort(key=lambda one: -one.weight)
    facts = {"fresh": fresh[:SHOWN], "more": len(fresh) - SHOWN}
    return [Card(_("How fresh the imported data are"), "importers/desk.html", facts, order=20)]


def is_late(read_at: datetime | None, every: timedelta | None, now: datetime) -> bool:
    """Whether data read then should have been replaced by newer ones; never without an interval."""
    return every is not None and (read_at is None or now - read_at > _LATE * every)


async def _standings(request: Request) -> list[Standing]:
    """Asked once for all parts of a page."""
    if _STANDINGS not in request:
        request[_STANDINGS] = await store.standings(request[CONN])
    return request[_STANDINGS]


def _intervals(site: Site, found: Sequence[Standing]) -> Mapping[str, timedelta]:
    """How often each profile that runs by itself does."""
    named = {one.profile: catalogue.head_of(one.text).get("every") for one in found if one.text is not None}
    named |= {one.name: one.profile.head.every for one in catalogue.of_directory(site) if one.profile}
    return {name: EVERY[str(every)] for name, every in named.items() if every in EVERY}

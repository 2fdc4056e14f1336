"""Parts of pages that plugins contribute. A part that fails is blank with a word; the page around it stands.

They are gathered by a page's handler, while the connection is there, and rendered later, when it is given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Generic, TypeVar

from aiohttp import web
from markupsafe import Markup

from kernel.plugin.contracts import Card, CustomerBadge, Happening, QueueItem, SearchHit, Tab
from kernel.web.request import SITE
from kernel.web.templating import render_card, unavailable

_T = TypeVar("_T", Card, Tab)
_I = TypeVar("_I")

READING: Final = web.RequestKey("reading", bool)
"""True while a page's handler runs in autocommit: what fails there cannot poison a transaction."""
_LAST: Final = 1000


@dataclass(frozen=True, slots=True)
class Part(Generic[_T]):
    """One contribution, rendered where a template writes ``{{ part }}``; ``item`` is None when its plugin failed."""

    request: web.Request
    plugin: str
    item: _T | None
    framed: bool

    def __html__(self) -> Markup:
        if self.item is None:
            return unavailable(self.request)
        return render_card(self.request, self.item, self.plugin, framed=self.framed)


@dataclass(frozen=True, slots=True)
class Gathered(Generic[_I]):
    """Plain contributions of all plugins, and the names of plugins that failed."""

    items: tuple[_I, ...]
    unavailable: tuple[str, ...]

    def __iter__(self) -> Iterator[_I]:
        return iter(self.items)


async def cards(request: web.Request) -> list[Part[Card]]:
    """Cards of the customer's home page, in order."""
    return await _parts(request, "customer_cards")


async def dashboard_cards(request: web.Request) -> list[Part[Card]]:
    """Cards of the console's first page, in order."""
    return await _parts(request, "dashboard_cards")


async def slot(request: web.Request, name: str) -> list[Part[Card]]:
    """Parts for a named place of a page (``balances.actions``), in order and without a frame."""
    return await _parts(request, "page_slot", framed=False, name=name)


async def tabs(request: web.Request, customer: int) -> list[Part[Tab]]:
    """Parts of the console's page of one customer, in order and without a frame."""
    return await _parts(request, "customer_tabs", framed=False, customer=customer)


async def queue(request: web.Request) -> Gathered[QueueItem]:
    """Work that waits for the office, in order; what has nothing waiting is left out."""
    gathered = await _plain(request, "queue_items")
    waiting = sorted((item for item in gathered.items if item.count), key=lambda item: item.order)
    return Gathered(tuple(waiting), gathered.unavailable)


async def found(request: web.Request, text: str) -> Gathered[SearchHit]:
    """What the plugins find for ``text``, the weightiest first."""
    gathered = await _plain(request, "search", text=text)
    hits = sorted(gathered.items, key=lambda hit: -hit.weight)
    return Gathered(tuple(hits), gathered.unavailable)


async def badges(request: web.Request, customers: Sequence[int]) -> Mapping[int, Sequence[CustomerBadge]]:
    """How each of ``customers`` stands, in the order of plugins; one of whom nobody says anything is not in it."""
    told: dict[int, list[CustomerBadge]] = {}
    for badge in await _plain(request, "customer_badges", customers=customers) if customers else ():
        told.setdefault(badge.customer, []).append(badge)
    return told


async def badges_of(request: web.Request, customer: int) -> Sequence[CustomerBadge]:
    """How one customer stands: for the head of the pages about them (``kernel/customer.html``)."""
    return (await badges(request, [customer])).get(customer, ())


async def happenings(
    request: web.Request, customer: int, until: date, days: int
) -> tuple[Sequence[Happening], date | None, tuple[str, ...]]:
    """What plugins tell of a customer's days up to ``until``; the day that all of them have come down to (None: to the
    beginning), and the names of plugins that failed."""
    told: list[Happening] = []
    reached: list[date] = []
    failed: list[str] = []
    for one in await _contributions(request, "customer_timeline", {"customer": customer, "until": until, "days": days}):
        if one.items is None:
            failed.append(one.plugin)
            continue
        items: Sequence[Happening] = one.items
        known = {item.day for item in items}
        told.extend(items)
        reached.extend([min(known)] if len(known) >= days else [])
    return told, max(reached, default=None), tuple(failed)


async def _parts(request: web.Request, hook: str, *, framed: bool = True, **arguments: Any) -> list[Part[Any]]:
    parts: list[Part[Any]] = []
    for contribution in await _contributions(request, hook, arguments):
        items: Sequence[Any] = (None,) if contribution.items is None else contribution.items
        parts.extend(Part(request, contribution.plugin, item, framed) for item in items)
    return sorted(parts, key=lambda part: part.item.order if part.item else _LAST)


async def _plain(request: web.Request, hook: str, **arguments: Any) -> Gathered[Any]:
    contributions = await _contributions(request, hook, arguments)
    return Gathered(
        tuple(item for contribution in contributions for item in contribution.items or ()),
        tuple(contribution.plugin for contribution in contributions if contribution.items is None),
    )


async def _contributions(request: web.Request, hook: str, arguments: dict[str, Any]) -> Sequence[Any]:
    if not request.get(READING):
        raise RuntimeError(f"{hook} is asked on safe requests only: a failing part would poison the transaction")
    return await request[SITE].registry.hooks.contribute(hook, request=request, **arguments)

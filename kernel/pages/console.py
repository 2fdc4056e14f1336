"""The console's shell: the first page with the work that waits, search, and the page of one customer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints

from kernel.audit import sentence
from kernel.dates import PolishDate
from kernel.i18n import _, ngettext
from kernel.jobs import failed_count
from kernel.pages.timeline import LARGEST_ID, Past, customer_with_events, past_of
from kernel.people.model import Customer
from kernel.plugin.contracts import CustomerBadge, Nav, QueueItem, Route, SearchHit
from kernel.plugin.permissions import STAFF, Permission
from kernel.web.contributions import Gathered, badges, badges_of, dashboard_cards, found, happenings, queue, slot, tabs
from kernel.web.request import ACTOR, CONN, SITE, not_found
from kernel.web.routing import redirect, url

RIGHT: Final = "kernel.console"
CUSTOMER_RIGHT: Final = "kernel.customer"
CUSTOMER_ACTIONS: Final = "kernel.customer.actions"
"""The slot for actions of plugins on the page of one customer."""
HISTORY: Final = 12
_LAST_DAY: Final = date.max
OLDER: Final = 50
"""Events on a page of the timeline."""
SUGGESTED: Final = 8
"""Hits under the search box."""
STEP: Final = 10
"""Weights of hits of one kind of likeness differ by less."""
STATUSES: Final = {"active": _("active"), "closed": _("closed"), "deceased": _("deceased")}
KINDS: Final = {"person": _("person"), "company": _("company")}


class SearchQuery(BaseModel):
    """What is looked for; ``go``: what alone fits is opened at once."""

    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    go: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A hit with the badges of the customer that it belongs to."""

    hit: SearchHit
    badges: Sequence[CustomerBadge]


def permissions() -> Iterable[Permission]:
    """The rights of the office as such."""
    yield Permission(RIGHT, _("Use the console"), STAFF)
    yield Permission(CUSTOMER_RIGHT, _("Open the page of a customer"), STAFF)


def navigation() -> Iterable[Nav]:
    """The console's first place."""
    yield Nav(_("Desk"), "kernel.console", order=0, icon="home")


def routes() -> Iterable[Route]:
    """The console, its search, and the customer's page."""
    yield Route("GET", "/admin", lead_in, RIGHT, "kernel.console.short")
    yield Route("GET", "/admin/", show_desk, RIGHT, "kernel.console", template="kernel/pages/desk.html")
    yield Route("GET", "/admin/queue", tell_queue, RIGHT, "kernel.queue")
    yield Route(
        "GET",
        "/admin/search",
        search,
        RIGHT,
        "kernel.search",
        query=SearchQuery,
        template="kernel/pages/search.html",
    )
    yield Route(
        "GET",
        "/admin/search/hits",
        suggest,
        RIGHT,
        "kernel.search_hits",
        query=SearchQuery,
        template="kernel/pages/search_hits.html",
    )
    yield Route(
        "GET",
        r"/admin/customers/{customer:\d+}/timeline",
        show_timeline,
        CUSTOMER_RIGHT,
        "kernel.customer_timeline",
        query=TimelineQuery,
        template="kernel/pages/timeline.html",
    )
    yield Route(
        "GET",
        r"/admin/customers/{customer:\d+}",
        show_customer,
        CUSTOMER_RIGHT,
        "kernel.customer",
        template="kernel/pages/customer.html",
    )


async def lead_in(request: web.Request) -> web.Response:
    """The address without its slash."""
    return redirect(request, "kernel.console")


async def show_desk(request: web.Request) -> object:
    """Work that waits, then what plugins tell."""
    waiting = await queue(request)
    return {
        "queue": [*waiting.items, *await _failed_jobs(request)],
        "unavailable": waiting.unavailable,
        "cards": await dashboard_cards(request),
    }


async def tell_queue(request: web.Request) -> web.Response:
    """How much waits behind each address, for the counts beside the places of the rail; places that show a part of it
    (a filter) count together."""
    counts: dict[str, int] = {}
    for item in [*(await queue(request)).items, *await _failed_jobs(request)]:
        path = item.url.partition("?")[0]
        counts[path] = counts.get(path, 0) + item.count
    return web.json_response(counts, headers={"Cache-Control": "no-store"})


async def _failed_jobs(request: web.Request) -> list[QueueItem]:
    count = await failed_count(request[CONN]) if request[ACTOR].may("kernel.jobs") else 0
    label = ngettext("{count} failed job", "{count} failed jobs", count)
    return [QueueItem(label, count, url(request, "kernel.jobs"))] if count else []


async def search(request: web.Request, query: SearchQuery) -> object:
    """Everything found, the weightiest first, by kind; what alone fits is opened at once."""
    gathered = await _gathered(request, query.q)
    hits = gathered.items
    if query.go and hits and (len(hits) == 1 or int(hits[0].weight) // STEP > int(hits[1].weight) // STEP):
        return web.Response(status=303, headers={"Location": hits[0].url})
    groups: dict[str, list[Found]] = {}
    for one in await _with_badges(request, hits):
        groups.setdefault(str(one.hit.kind), []).append(one)
    return {"q": query.q, "groups": groups, "unavailable": gathered.unavailable}


async def suggest(request: web.Request, query: SearchQuery) -> object:
    """The first hits, for a list under the search box while somebody is typing."""
    gathered = await _gathered(request, query.q)
    return {
        "q": query.q,
        "found": await _with_badges(request, gathered.items[:SUGGESTED]),
        "more": len(gathered.items) > SUGGESTED,
    }


async def _gathered(request: web.Request, text: str) -> Gathered[SearchHit]:
    return await found(request, text) if text else Gathered((), ())


async def _with_badges(request: web.Request, hits: Sequence[SearchHit]) -> list[Found]:
    whose = list(dict.fromkeys(hit.customer for hit in hits if hit.customer is not None))
    told: Mapping[int, Sequence[CustomerBadge]] = await badges(request, whose)
    return [Found(hit, told.get(hit.customer, ()) if hit.customer is not None else ()) for hit in hits]


async def show_customer(request: web.Request) -> object:
    """How the customer stands at the head, facts and the parts of plugins left, everything that happened right."""
    customer = int(request.match_info["customer"])
    person, past, unavailable = await _past(request, customer, HISTORY)
    return {
        "customer": person,
        "status": STATUSES[person.status],
        "kind": KINDS[person.kind],
        "badges": await badges_of(request, customer),
        "tabs": await tabs(request, customer),
        "customer_actions": await slot(request, CUSTOMER_ACTIONS),
        "past": past,
        "untold": unavailable,
        "sentence": sentence,
    }


class TimelineQuery(BaseModel):
    """From which event and which day on, backwards."""

    before: int = Field(LARGEST_ID, ge=1, le=LARGEST_ID)
    until: PolishDate | None = None


async def show_timeline(request: web.Request, query: TimelineQuery) -> object:
    """What happened around a customer before some event, fifty at a time."""
    customer = int(request.match_info["customer"])
    person, past, unavailable = await _past(request, customer, OLDER, query.before, query.until)
    return {
        "customer": person,
        "badges": await badges_of(request, customer),
        "past": past,
        "untold": unavailable,
        "sentence": sentence,
        "is_first": query.before == LARGEST_ID and query.until is None,
    }


async def _past(
    request: web.Request, customer: int, limit: int, before: int = LARGEST_ID, until: date | None = None
) -> tuple[Customer, Past, Sequence[str]]:
    """A customer, a page of the past, and the plugins that could not tell theirs. Raises 404."""
    site = request[SITE]
    hidden = [verb.name for verb in site.registry.verbs.values() if not verb.in_timeline]
    found = await customer_with_events(request[CONN], customer, limit + 1, before, hidden)
    if found is None:
        raise not_found()
    told, reached, failed = await happenings(request, customer, until or _LAST_DAY, limit)
    past = past_of(found[1], told, limit=limit, before=before, reached=reached, zone=site.clock.zone)
    return found[0], past, failed

"""The history of a customer's data and of premises, and how a customer was written down on a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final, LiteralString

from pydantic import BaseModel

from kernel import (
    CONN,
    SITE,
    Column,
    Filter,
    Listing,
    ListQuery,
    PolishDate,
    Request,
    Route,
    Row,
    _,
    badges_of,
    listed,
    not_found,
)
from plugins.customers import store as register
from plugins.customers.changes import store
from plugins.customers.changes.model import FIELDS, Difference, change_of, shown, undone
from plugins.customers.premises import store as places

# A row for every field, so that the list can be filtered by it: who has changed the telephone?
CHANGES_SQL: Final[LiteralString] = """
select h.id * 100 + f.place as id, h.happened_at, h.actor, h.role, u.name as author, f.field,
       f.pair ->> 0 as before, f.pair ->> 1 as after
from customers.change h
left join kernel.users u on u.id = case when h.actor ~ '^[0-9]{1,18}$' then h.actor::bigint end
cross join lateral jsonb_each(h.fields) with ordinality f (field, pair, place)
where h.customer = $1"""
CHANGES_OF_PREMISES_SQL: Final[LiteralString] = """
select h.id * 100 + f.place as id, h.happened_at, h.actor, h.role, u.name as author, f.field,
       f.pair ->> 0 as before, f.pair ->> 1 as after
from customers.change h
left join kernel.users u on u.id = case when h.actor ~ '^[0-9]{1,18}$' then h.actor::bigint end
cross join lateral jsonb_each(h.fields) with ordinality f (field, pair, place)
where h.premises = $1"""


def _author(row: Row) -> object:
    made = change_of({"id": 0, **row, "fields": {}})
    return f"{made.author}, {made.way}"


_COLUMNS: Final = (
    Column("happened_at", _("When"), "moment", sort="happened_at"),
    Column("author", _("Who"), show=_author),
    Column("field", _("What"), show=lambda row: FIELDS.get(row["field"], row["field"])),
    Column("before", _("It was"), show=lambda row: shown(row["field"], row["before"])),
    Column("after", _("It became"), show=lambda row: shown(row["field"], row["after"])),
)
_FILTERS: Final = (
    Filter("field", _("What"), "field = {0}", options=tuple(FIELDS.items())),
    Filter("since", _("From the day"), "happened_at >= {0}::date", kind="date"),
)
CHANGES: Final = Listing("customers.changes", CHANGES_SQL, _COLUMNS, "-happened_at", filters=_FILTERS)
CHANGES_OF_PREMISES: Final = Listing(
    "customers.premises_changes", CHANGES_OF_PREMISES_SQL, _COLUMNS, "-happened_at", filters=_FILTERS
)


class ChangesQuery(ListQuery):
    """What is looked for in the history."""

    field: str = ""
    since: PolishDate | None = None


class DayQuery(BaseModel):
    """The day of which is asked; nothing: today."""

    on: PolishDate | None = None


async def changes(request: Request, query: ChangesQuery) -> object:
    """Every change of a customer's data, the newest first."""
    customer = await register.customer(request[CONN], int(request.match_info["customer"]))
    if customer is None:
        raise not_found()
    extra = {"customer": customer, "badges": await badges_of(request, customer["id"])}
    return await listed(request, CHANGES, query, args=(customer["id"],), extra=extra)


async def changes_of_premises(request: Request, query: ChangesQuery) -> object:
    """Every change of a premises' data, the newest first."""
    premises = await places.premises(request[CONN], int(request.match_info["premises"]))
    if premises is None:
        raise not_found()
    return await listed(request, CHANGES_OF_PREMISES, query, args=(premises["id"],), extra={"premises": premises})


async def on_day(request: Request, query: DayQuery) -> Mapping[str, Any]:
    """How a customer was written down at the end of a day, beside what is written now."""
    customer = await register.customer(request[CONN], int(request.match_info["customer"]))
    if customer is None:
        raise not_found()
    clock = request[SITE].clock
    day = min(query.on or clock.today(), clock.today())
    after = _midnight_after(day, request)
    later = await store.of_customer(request[CONN], customer["id"], since=after)
    then = undone({name: customer[name] for name in FIELDS if name in customer}, later)
    lines = [Difference(name, then[name], customer[name]) for name in FIELDS if name in then]
    return {
        "customer": customer,
        "day": day,
        "lines": lines,
        "is_known": customer["created_at"] < after,
        "is_cut": len(later) == store.MOST,
    }


def _midnight_after(day: date, request: Request) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), request[SITE].clock.zone)


ROUTES: Final = (
    Route(
        "GET",
        r"/admin/customers/{customer:\d+}/changes",
        changes,
        "customers.view",
        "customers.changes",
        query=ChangesQuery,
        template="customers/changes.html",
    ),
    Route(
        "GET",
        r"/admin/customers/{customer:\d+}/on-day",
        on_day,
        "customers.view",
        "customers.on_day",
        query=DayQuery,
        template="customers/on_day.html",
    ),
    Route(
        "GET",
        r"/admin/premises/{premises:\d+}/changes",
        changes_of_premises,
        "customers.view",
        "customers.premises_changes",
        query=ChangesQuery,
        template="customers/premises_changes.html",
    ),
)

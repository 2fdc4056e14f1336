"""Everything that happened around one customer, day by day, the newest first: what the office and its programs did,
what the customer's own logins did about themselves, and what plugins tell of the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Final, LiteralString
from zoneinfo import ZoneInfo

from kernel.audit import Entry
from kernel.db.connection import Connection
from kernel.people.model import Customer
from kernel.plugin.contracts import Happening

LARGEST_ID: Final = 2**63 - 1

# The customer with the newest events in one question. Each part of the union reads the newest of its index only.
# $1: the customer, $2: events before this one, $3: how many, $4: verbs that plugins tell otherwise.
PAGE_SQL: Final[LiteralString] = """
select to_jsonb(c) as customer, (
    select jsonb_agg(to_jsonb(event) order by event.id desc) from (
        select entry.id, entry.happened_at, entry.verb, entry.actor, entry.role, entry.mode, entry.request,
               entry.customer, entry.subject, entry.facts, coalesce((
                   select person.name from kernel.users person
                   where person.id = case when entry.actor ~ '^[0-9]{1,18}$' then entry.actor::bigint end
               ), '') as actor_name
        from (
            (select * from kernel.audit_log where customer = $1 and id < $2 and verb <> all ($4)
             order by id desc limit $3)
            union all
            (select own.* from (
                 select user_id from kernel.access_grant where customer = $1 order by user_id limit 50
             ) holder
             cross join lateral (
                 select * from kernel.audit_log
                 where actor = holder.user_id::text and id < $2 and verb <> all ($4) and customer is null
                 order by id desc limit $3
             ) own)
        ) entry
        order by entry.id desc
        limit $3
    ) event
) as events
from kernel.customer c where c.id = $1
"""


async def customer_with_events(
    conn: Connection, customer: int, limit: int, before: int = LARGEST_ID, without: Sequence[str] = ()
) -> tuple[Customer, Sequence[Entry]] | None:
    """A customer and the ``limit`` newest events before the event ``before``, those of the verbs ``without`` left out;
    None when there is no such customer."""
    row = await conn.fetchrow(PAGE_SQL, customer, before, limit, without)
    if row is None:
        return None
    facts: Mapping[str, Any] = row["customer"]
    known = {one.name: facts[one.name] for one in fields(Customer)}
    known["created_at"] = datetime.fromisoformat(known["created_at"])
    return Customer(**known), [_entry(event) for event in row["events"] or ()]


def _entry(event: Mapping[str, Any]) -> Entry:
    values = {name: event[name] for name in ("id", "verb", "actor", "actor_name", "role", "request", "customer")}
    return Entry(
        **values,
        happened_at=datetime.fromisoformat(event["happened_at"]),
        superadmin_mode=event["mode"] == "superadmin",
        subject=event["subject"],
        facts=event["facts"],
    )


@dataclass(frozen=True, slots=True)
class Day:
    """One day: events by who did what (those alike, one after another, together), and what plugins tell of it."""

    day: date
    events: tuple[tuple[Entry, ...], ...]
    happenings: tuple[Happening, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """A page of a customer's past. ``before`` and ``until`` are where the next one goes on; None when this is all."""

    days: tuple[Day, ...]
    before: int | None
    until: date | None


def past_of(
    events: Sequence[Entry],
    told: Sequence[Happening],
    *,
    limit: int,
    before: int,
    reached: date | None,
    zone: ZoneInfo,
) -> Past:
    """Brings events (``limit`` of them and one more, where there are more) and what plugins told together.

    Neither of the two goes further back than the other: ``reached`` is the day that the plugins came down to, None
    when they told all. A day that the events leave half told has its happenings on the page where it ends.
    """
    more = len(events) > limit
    events = events[:limit]
    half = _day(events[-1], zone) if more else None
    if reached is not None and (half is None or reached > half):
        shown = [one for one in events if _day(one, zone) >= reached]
        last = shown[-1].id if shown else before
        return Past(_days(shown, told, zone), last, reached - timedelta(days=1))
    if half is None:
        return Past(_days(events, told, zone), None, None)
    return Past(_days(events, [one for one in told if one.day > half], zone), events[-1].id, half)


def _day(event: Entry, zone: ZoneInfo) -> date:
    return event.happened_at.astimezone(zone).date()


def _days(events: Sequence[Entry], told: Sequence[Happening], zone: ZoneInfo) -> tuple[Day, ...]:
    days = sorted({*(_day(one, zone) for one in events), *(one.day for one in told)}, reverse=True)
    return tuple(
        Day(
            day,
            tuple(
                tuple(alike)
                for _who, alike in groupby(
                    (one for one in events if _day(one, zone) == day),
                    key=lambda one: (one.actor, one.verb, one.superadmin_mode),
                )
            ),
            tuple(one for one in told if one.day == day),
        )
        for day in days
    )

"""Everything that happened around one customer: what the office and its programs did, and what the customer's own
logins did about themselves; the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final, LiteralString

from kernel.audit import Entry
from kernel.db.connection import Connection
from kernel.people.model import Customer

LARGEST_ID: Final = 2**63 - 1

# The customer with the newest events in one question. Each part of the union reads the newest of its index only.
# $1: the customer, $2: events before this one, $3: how many.
PAGE_SQL: Final[LiteralString] = """
select to_jsonb(c) as customer, (
    select jsonb_agg(to_jsonb(event) order by event.id desc) from (
        select entry.id, entry.happened_at, entry.verb, entry.actor, entry.role, entry.mode, entry.request,
               entry.customer, entry.subject, entry.facts, coalesce((
                   select person.name from kernel.users person
                   where person.id = case when entry.actor ~ '^[0-9]{1,18}$' then entry.actor::bigint end
               ), '') as actor_name
        from (
            (select * from kernel.audit_log where customer = $1 and id < $2 order by id desc limit $3)
            union all
            (select own.* from (
                 select user_id from kernel.access_grant where customer = $1 order by user_id limit 50
             ) holder
             cross join lateral (
                 select * from kernel.audit_log
                 where actor = holder.user_id::text and id < $2 and customer is null
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
    conn: Connection, customer: int, limit: int, before: int = LARGEST_ID
) -> tuple[Customer, Sequence[Entry]] | None:
    """A customer and the ``limit`` newest events before the event ``before``; None when there is no such customer."""
    row = await conn.fetchrow(PAGE_SQL, customer, before, limit)
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

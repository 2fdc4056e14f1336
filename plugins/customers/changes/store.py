"""Statements over ``customers.change``, which the database alone writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, LiteralString

from kernel import Connection
from plugins.customers.changes.model import Change, change_of

MOST: Final = 500

OF_CUSTOMER_SQL: Final[LiteralString] = """
select h.id, h.happened_at, h.actor, h.role, h.fields, u.name as author
from customers.change h
left join kernel.users u on u.id = case when h.actor ~ '^[0-9]{1,18}$' then h.actor::bigint end
where h.customer = $1 and h.id > $2 and h.happened_at >= $3
order by h.id desc limit $4
"""
OF_PREMISES_SQL: Final[LiteralString] = """
select h.id, h.happened_at, h.actor, h.role, h.fields, u.name as author
from customers.change h
left join kernel.users u on u.id = case when h.actor ~ '^[0-9]{1,18}$' then h.actor::bigint end
where h.premises = $1 and h.id > $2 and h.happened_at >= $3
order by h.id desc limit $4
"""


async def of_customer(
    conn: Connection, customer: int, *, after: int = 0, since: datetime | None = None, most: int = MOST
) -> Sequence[Change]:
    """The newest changes of a customer's data: those with a higher number than ``after``, not before ``since``."""
    return [change_of(row) for row in await conn.fetch(OF_CUSTOMER_SQL, customer, after, since or _EVER, most)]


async def of_premises(
    conn: Connection, premises: int, *, after: int = 0, since: datetime | None = None, most: int = MOST
) -> Sequence[Change]:
    """The newest changes of a premises' data."""
    return [change_of(row) for row in await conn.fetch(OF_PREMISES_SQL, premises, after, since or _EVER, most)]


_EVER: Final = datetime.fromisoformat("0001-01-02T00:00:00+00:00")

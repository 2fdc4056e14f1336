"""Statements of runs that close many customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

from kernel import Connection, Row

BEGIN_SQL: Final[LiteralString] = """
with run as (
    insert into customers.closing_run (filters, acknowledged) values ($1, $2) returning id
), them as (
    insert into customers.closing_one (run, place, customer)
    select run.id, one.place, one.customer
    from run, unnest($3::bigint[]) with ordinality one (customer, place)
)
select id from run
"""
RUN_SQL: Final[LiteralString] = """
select r.id, r.filters, r.acknowledged, r.state, r.created_at, r.finished_at,
       coalesce(u.name, r.created_by) as created_by, n.*
from customers.closing_run r
left join kernel.users u on u.id = case when r.created_by ~ '^[0-9]{1,18}$' then r.created_by::bigint end
cross join lateral (
    select count(*) as total, count(*) filter (where o.outcome <> 'waits') as done,
           count(*) filter (where o.outcome = 'closed') as closed,
           count(*) filter (where o.outcome = 'left') as left_out,
           count(*) filter (where o.outcome = 'refused') as refused
    from customers.closing_one o where o.run = r.id
) n
where r.id = $1
"""
NEXT_SQL: Final[LiteralString] = """
select o.place, o.customer, c.customer_no, c.status, r.acknowledged, r.created_by, r.role
from customers.closing_run r
join customers.closing_one o on o.run = r.id and o.outcome = 'waits'
left join kernel.customer c on c.id = o.customer
where r.id = $1 and r.state = 'closing'
order by o.place limit 1
"""
TOLD_SQL: Final[LiteralString] = """
update customers.closing_one set outcome = $3, reason = $4 where run = $1 and place = $2 and outcome = 'waits'
"""
HOLD_SQL: Final[LiteralString] = "select state from customers.closing_run where id = $1 for share"
END_SQL: Final[LiteralString] = """
update customers.closing_run set state = $2, finished_at = now() where id = $1 and state = 'closing' returning id
"""


async def begin(conn: Connection, filters: Mapping[str, Any], customers: Sequence[int], *, acknowledged: bool) -> int:
    """Keep whom to close, in this order; the run's number."""
    return await conn.fetchval(BEGIN_SQL, dict(filters), acknowledged, customers)


async def run(conn: Connection, number: int) -> Row | None:
    """A run with how far it has come (``done`` of ``total``; ``closed``, ``left_out``, ``refused``), or None."""
    return await conn.fetchrow(RUN_SQL, number)


async def next_one(conn: Connection, number: int) -> Row | None:
    """Whoever is to be closed next; None when the run is through, or cancelled."""
    return await conn.fetchrow(NEXT_SQL, number)


async def goes_on(conn: Connection, number: int) -> bool:
    """Whether the run is not cancelled; it cannot be until this transaction ends."""
    return await conn.fetchval(HOLD_SQL, number) == "closing"


async def told(
    conn: Connection, number: int, place: int, outcome: str, reason: Mapping[str, Any] | None = None
) -> None:
    """What became of one customer: closed, left (nothing to do), refused."""
    await conn.execute(TOLD_SQL, number, place, outcome, reason)


async def end(conn: Connection, number: int, state: str) -> bool:
    """closed or cancelled; False when the run had ended already."""
    return await conn.fetchval(END_SQL, number, state) is not None

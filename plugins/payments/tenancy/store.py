"""Statements over the accounts of people who come and go. Amounts are grosze."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, LiteralString

from kernel import Connection, Row

STANDING_SQL: Final[LiteralString] = """
select coalesce(sum(e.open_amount) filter (where e.side = 'charge' and e.state = 'approved'), 0)::bigint as owed,
       coalesce(sum(e.open_amount) filter (where e.side = 'credit' and e.state = 'approved'), 0)::bigint as credit,
       coalesce(min(a.account_no) filter (where e.side = 'credit' and e.state = 'approved' and e.open_amount > 0), '')
           as credit_on,
       count(e.id) filter (where e.state = 'draft') as drafts
from payments.account a
left join payments.entry e on e.account_id = a.id and (e.open_amount > 0 or e.state = 'draft')
where a.customer = $1
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is open with a customer over all accounts; ``credit_on`` is the number of an account with a credit."""

    owed: int
    credit: int
    credit_on: str
    drafts: int


async def standing(conn: Connection, customer: int) -> Standing:
    """What is owed, overpaid and waiting with a customer."""
    row = await conn.fetchrow(STANDING_SQL, customer)
    assert row is not None  # noqa: S101  an aggregate without groups is one row
    return Standing(**dict(row))


OPEN_STANDINGS_SQL: Final[LiteralString] = """
select a.id, a.account_no, b.name as book, o.owed, o.credit
from payments.account a join payments.book b on b.id = a.book
cross join lateral (
    select coalesce(sum(e.open_amount) filter (where e.side = 'charge'), 0)::bigint as owed,
           coalesce(sum(e.open_amount) filter (where e.side = 'credit'), 0)::bigint as credit
    from payments.entry e where e.account_id = a.id and e.state = 'approved' and e.open_amount > 0
) o
where a.customer = $1
order by a.account_no limit 100
"""


async def open_standings(conn: Connection, customer: int) -> Sequence[Row]:
    """A customer's accounts with what is owed and overpaid on each."""
    return await conn.fetch(OPEN_STANDINGS_SQL, customer)


PREMISES_ACCOUNTS_SQL: Final[LiteralString] = """
select a.id, a.account_no, b.name as book, c.name, c.customer_no, k.balance, (
    select coalesce(jsonb_agg(jsonb_build_array(f.name, f.quantity::text, f.unit) order by f.schedule, f.place), '[]')
    from (
        select distinct on (q.component) o.name, o.unit, o.schedule, o.place, q.quantity
        from payments.fee_quantity q join payments.fee_component o on o.id = q.component
        where q.account_id = a.id and q.valid_from <= $2 order by q.component, q.valid_from desc
    ) f where f.quantity > 0
) as fees
from payments.account a
join kernel.service_point p on p.id = $1 and p.customer = a.customer
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
join payments.account_balance k on k.account_id = a.id
where a.closed_on is null and (a.service_point = $1 or a.service_point is null and (
    select o.id from kernel.service_point o where o.customer = a.customer and o.id <> $1 limit 1
) is null)
order by a.account_no limit 50
"""


async def premises_accounts(conn: Connection, premises: int, today: date) -> Sequence[Row]:
    """Open accounts that are kept for premises, each with its balance and ``fees``: name, quantity, unit."""
    return await conn.fetch(PREMISES_ACCOUNTS_SQL, premises, today)


# --- handing over ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Former:
    """An account of a former owner (``id``), its book, and the code of the premises; without ``id`` only a book."""

    id: int | None
    book: int
    code: str


# An account that names no premises is the account of the only ones that its customer has.
ACCOUNTS_OF_SQL: Final[LiteralString] = """
select a.id, a.book, p.code
from payments.account a join kernel.service_point p on p.id = $1
where a.customer = any ($2::bigint[]) and a.closed_on is null and (
    a.service_point = $1 or a.service_point is null and (
        select o.id from kernel.service_point o where o.customer = a.customer and o.id <> $1 limit 1
    ) is null
)
order by a.id
"""
MAIN_BOOK_SQL: Final[LiteralString] = (
    "select null::bigint as id, id as book, '' as code from payments.book where code = 'main'"
)


async def accounts_of(conn: Connection, premises: int, customers: Sequence[int]) -> list[Former]:
    """Open accounts that these customers have for premises."""
    return [Former(**dict(row)) for row in await conn.fetch(ACCOUNTS_OF_SQL, premises, customers)]


async def main_book(conn: Connection) -> Former:
    """The book in which everybody has an account."""
    row = await conn.fetchrow(MAIN_BOOK_SQL)
    assert row is not None  # noqa: S101  migrations make the main book
    return Former(**dict(row))


CUSTOMER_NO_SQL: Final[LiteralString] = "select customer_no from kernel.customer where id = $1"


async def customer_no(conn: Connection, customer: int) -> str:
    """A customer's number."""
    return await conn.fetchval(CUSTOMER_NO_SQL, customer)


ACCOUNT_IN_SQL: Final[LiteralString] = """
select id from payments.account where customer = $1 and book = $2 and service_point = $3 and closed_on is null
"""


async def account_in(conn: Connection, customer: int, book: int, premises: int) -> int | None:
    """The open account that a customer has in a book for premises, from an earlier time there; None: there is none."""
    return await conn.fetchval(ACCOUNT_IN_SQL, customer, book, premises)


FREE_NUMBER_SQL: Final[LiteralString] = """
select number from (
    select $2 as number, 0 as place union all select $2 || '-' || n, n from generate_series(2, 1000) n
) wanted
where not exists (select from payments.account a where a.book = $1 and a.account_no = wanted.number)
order by place limit 1
"""


async def free_number(conn: Connection, book: int, wanted: str) -> str:
    """An account number that is free in a book: ``wanted``, else ``wanted-2``, ``wanted-3`` …"""
    return await conn.fetchval(FREE_NUMBER_SQL, book, wanted)


CARRY_FEES_SQL: Final[LiteralString] = """
with pair as (
    select * from unnest($1::bigint[], $2::bigint[]) p (old, new)
), held as (
    select distinct on (p.new, q.component) p.new, q.component, q.quantity
    from pair p join payments.fee_quantity q on q.account_id = p.old
    where q.valid_from <= $3 order by p.new, q.component, q.valid_from desc
), later as (
    select p.new, q.component, q.valid_from, q.quantity
    from pair p join payments.fee_quantity q on q.account_id = p.old where q.valid_from > $3
)
insert into payments.fee_quantity (account_id, component, valid_from, quantity)
select new, component, $3, quantity from held where quantity > 0
union all
select new, component, valid_from, quantity from later
on conflict (account_id, component, valid_from) do update set quantity = excluded.quantity
"""


async def carry_fees(conn: Connection, pairs: Sequence[tuple[int, int]], since: date) -> None:
    """Let what is charged on the first account of each pair be charged on the second from a day on."""
    await conn.execute(CARRY_FEES_SQL, [old for old, _new in pairs], [new for _old, new in pairs], since)


END_FEES_SQL: Final[LiteralString] = """
with held as (
    select distinct on (q.account_id, q.component) q.account_id, q.component, q.quantity
    from payments.fee_quantity q
    where q.account_id = any ($1::bigint[]) and q.valid_from < $2
    order by q.account_id, q.component, q.valid_from desc
), gone as (
    delete from payments.fee_quantity q
    where q.account_id = any ($1::bigint[]) and q.valid_from >= $2
      and not exists (select from held h where h.account_id = q.account_id and h.component = q.component
                      and q.valid_from = $2 and h.quantity > 0)
    returning q.component
), ended as (
    insert into payments.fee_quantity (account_id, component, valid_from, quantity)
    select account_id, component, $2, 0 from held where quantity > 0
    on conflict (account_id, component, valid_from) do update set quantity = 0
    returning component
)
select distinct c.schedule
from (select component from gone union select component from ended) touched
join payments.fee_component c on c.id = touched.component
order by c.schedule
"""


async def end_fees(conn: Connection, accounts: Sequence[int], since: date) -> list[Any]:
    """Let nothing be charged on accounts from a day on; the schedules that it touched."""
    return [row["schedule"] for row in await conn.fetch(END_FEES_SQL, accounts, since)]

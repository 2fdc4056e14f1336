"""Statements that only the API asks. Every list goes by keys and none reads more than a page of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final, LiteralString

from kernel import Connection, Row

# --- accounts -------------------------------------------------------------------------------------------------------

ACCOUNTS_SQL: Final[LiteralString] = """
select a.id, a.book as book_id, a.account_no, c.customer_no, c.name as customer_name, b.code as book,
       p.code as service_point, a.virtual_account, a.opened_on, a.closed_on, k.charged, k.credited, k.balance,
       k.oldest_open_due
from (  -- one of the three, each by an index of its own
    (select id from payments.account
     where $1 = '' and $2 = '' and (book, account_no) > ($3::bigint, $4::text)
     order by book, account_no limit $5)
    union all
    (select id from payments.account
     where $1 = '' and $2 <> '' and book = (select id from payments.book where code = $2)
       and (book, account_no) > ($3, $4)
     order by book, account_no limit $5)
    union all
    (select id from payments.account
     where $1 <> '' and customer = (select id from kernel.customer where customer_no = $1)
       and ($2 = '' or book = (select id from payments.book where code = $2)) and (book, account_no) > ($3, $4)
     order by book, account_no limit $5)
) page
join payments.account a on a.id = page.id
join payments.account_balance k on k.account_id = a.id
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
left join kernel.service_point p on p.id = a.service_point
order by a.book, a.account_no
"""


async def accounts(
    conn: Connection, *, customer_no: str, book: str, after: tuple[int, str], limit: int
) -> Sequence[Row]:
    """Accounts in the order of their books and numbers, from the one behind ``after`` (a book's id and a number).

    Empty texts leave a filter out.
    """
    return await conn.fetch(ACCOUNTS_SQL, customer_no, book, *after, limit)


ACCOUNT_SQL: Final[LiteralString] = """
select a.id, a.book as book_id, a.account_no, c.customer_no, c.name as customer_name, b.code as book,
       p.code as service_point, a.virtual_account, a.opened_on, a.closed_on, k.charged, k.credited, k.balance,
       k.oldest_open_due
from payments.account a
join payments.account_balance k on k.account_id = a.id
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
left join kernel.service_point p on p.id = a.service_point
where a.id = $1
"""


async def account(conn: Connection, number: int) -> Row | None:
    """An account with its balance, or None."""
    return await conn.fetchrow(ACCOUNT_SQL, number)


BALANCE_SQL: Final[LiteralString] = """
select k.charged - coalesce(sum(e.amount) filter (where e.side = 'charge'), 0)::bigint as charged,
       k.credited - coalesce(sum(e.amount) filter (where e.side = 'credit'), 0)::bigint as credited
from payments.account_balance k
left join payments.entry e on e.account_id = k.account_id and e.state = 'approved' and e.counted_on > $2
where k.account_id = $1
group by k.account_id
"""


async def balance(conn: Connection, number: int, on: date) -> Row | None:
    """What was charged and credited up to a day, in grosze: the kept sums less what came later. None: no account."""
    return await conn.fetchrow(BALANCE_SQL, number, on)


# --- whom a payment is for ------------------------------------------------------------------------------------------

PAYABLE_SQL: Final[LiteralString] = """
select a.id, a.customer, c.status, c.name, a.closed_on is not null as is_closed, b.is_mirror
from payments.account a join payments.book b on b.id = a.book join kernel.customer c on c.id = a.customer
where a.id = $1
"""
PAYABLE_OF_CUSTOMER_SQL: Final[LiteralString] = """
select a.id, a.customer, c.status, c.name, a.closed_on is not null as is_closed, b.is_mirror
from kernel.customer c join payments.account a on a.customer = c.id join payments.book b on b.id = a.book
where c.customer_no = $1 and b.code = $2
order by a.id
limit 2
"""


async def payable(conn: Connection, number: int) -> Row | None:
    """An account, and what may stand against a payment on it; None: there is no such account."""
    return await conn.fetchrow(PAYABLE_SQL, number)


async def payable_of_customer(conn: Connection, customer_no: str, book: str) -> Sequence[Row]:
    """The same of a customer's accounts in a book; at most two, for more than one cannot be chosen from."""
    return await conn.fetch(PAYABLE_OF_CUSTOMER_SQL, customer_no, book)


DEBTS_SQL: Final[LiteralString] = """
select id from payments.entry
where account_id = $1 and id = any ($2::bigint[]) and side = 'charge' and kind <> 'reversal' and state = 'approved'
"""


async def debts(conn: Connection, number: int, entries: Sequence[int]) -> set[int]:
    """Which of these numbers are approved charges of an account, so that a payer can name them."""
    return {row["id"] for row in await conn.fetch(DEBTS_SQL, number, entries)}


# --- entries --------------------------------------------------------------------------------------------------------

ENTRIES_SQL: Final[LiteralString] = """
select c.customer_no, e.*
from payments.account a
join kernel.customer c on c.id = a.customer
left join lateral (
    select e.account_id, e.id, e.side, e.kind, e.amount, e.open_amount, e.issued_on, e.due_on, e.effective_due_on,
           e.paid_on, e.value_date, e.booked_on, e.period, e.title, e.document_no, e.document_date, e.channel,
           e.journal_no, e.state, e.bears_on, e.reverses, e.corrects, e.reason, e.time_barred_on, e.created_at,
           e.approved_at, e.voided_at, e.void_reason,
           (select r.id from payments.entry r
            where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved') as reversed_by,
           coalesce((select array_agg(d.charge order by d.place) from payments.designation d
            where d.account_id = e.account_id and d.credit = e.id), '{}') as designations
    from payments.entry e
    where e.account_id = a.id and e.id > $2
      and ($3::text = '' or e.state = $3) and ($4::text = '' or e.side = $4)
      and ($5::date is null or e.counted_on >= $5) and ($6::date is null or e.counted_on <= $6)
    order by e.id
    limit $7
) e on true
where a.id = $1
order by e.id
"""


async def entries(
    conn: Connection,
    number: int,
    *,
    after: int,
    state: str,
    side: str,
    since: date | None,
    until: date | None,
    limit: int,
) -> Sequence[Row] | None:
    """An account's entries in the order in which they were entered; None: there is no such account."""
    rows = await conn.fetch(ENTRIES_SQL, number, after, state, side, since, until, limit)
    return [row for row in rows if row["id"] is not None] if rows else None


ENTRY_SQL: Final[LiteralString] = """
select c.customer_no, e.account_id, e.id, e.side, e.kind, e.amount, e.open_amount, e.issued_on, e.due_on,
       e.effective_due_on, e.paid_on, e.value_date, e.booked_on, e.period, e.title, e.document_no, e.document_date,
       e.channel, e.journal_no, e.state, e.bears_on, e.reverses, e.corrects, e.reason, e.time_barred_on, e.created_at,
       e.approved_at, e.voided_at, e.void_reason,
       (select r.id from payments.entry r
        where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved') as reversed_by,
       coalesce((select array_agg(d.charge order by d.place) from payments.designation d
        where d.account_id = e.account_id and d.credit = e.id), '{}') as designations,
       coalesce((
           select jsonb_agg(jsonb_build_object('entry', l.other, 'amount', l.amount, 'rule', l.rule,
               'created_at', l.created_at) order by l.id)
           from (
               select * from (
                   select id, charge as other, amount, rule, created_at from payments.allocation
                   where account_id = e.account_id and credit = e.id and released_at is null
                   union all
                   select id, credit, amount, rule, created_at from payments.allocation
                   where account_id = e.account_id and charge = e.id and released_at is null
               ) ends order by id desc limit 500
           ) l), '[]') as allocations
from payments.entry e
join payments.account a on a.id = e.account_id
join kernel.customer c on c.id = a.customer
where e.id = $1
"""


async def entry(conn: Connection, number: int) -> Row | None:
    """An entry with its live allocations (the last 500), or None."""
    return await conn.fetchrow(ENTRY_SQL, number)

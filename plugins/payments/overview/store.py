"""The statements of the overview. None grows with the number of customers or the length of a history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final, LiteralString

from kernel import Connection, Row
from plugins.payments.overview.model import Asked

MOST: Final = 8
"""Hits of each kind."""
NEWEST: Final = 2000
"""Entries, and incoming lines that wait, whose titles are looked through: the newest ones."""

# Every part reads a few rows of an index; titles are looked for among the newest entries only. $1: the text, $2: the
# beginning of a document's number, $3: the digits of a bank account, $4: an amount, $5: a part of a title, $6: whether
# bank lines may be shown, $7: hits of each kind, $8: entries looked through.
FOUND_SQL: Final[LiteralString] = """
with account (id, weight) as (
    (select id, 35 from payments.account where account_no = $1 order by id limit $7)
    union
    (select account_id, 38 from payments.virtual_number where number = $3 and account_id is not null)
), entry (account_id, id, weight) as (
    (select account_id, id, case when upper(document_no) = $2 then 39 else 22 end from payments.entry
     where $2 <> '' and document_no <> '' and upper(document_no) collate "C" >= $2
       and upper(document_no) collate "C" < $2 || U&'\\+10FFFF'
     order by upper(document_no) collate "C", id desc limit $7)
    union all
    (select account_id, id, 25 from payments.entry
     where side = 'credit' and amount = $4 order by amount, id desc limit $7)
    union all
    (select account_id, id, 8 from (
         select account_id, id, side, amount, title from payments.entry order by id desc limit $8
     ) newest
     where $5 <> '' and kernel.pl_sort(title) like '%' || kernel.pl_sort($5) || '%'
        or side = 'charge' and amount = $4
     limit $7)
), line (id, weight) as (
    (select id, 37 from payments.incoming where payer_account <> '' and payer_account = $3 order by id desc limit $7)
    union all
    (select id, case when amount = $4 then 24 else 7 end from (
         select id, amount, title, payer_name, payer_account from payments.incoming where assigned < amount
         order by booked_on desc, id desc limit $8
     ) waiting
     where amount = $4 or $5 <> '' and kernel.pl_sort(title || ' ' || payer_name) like '%' || kernel.pl_sort($5) || '%'
     limit $7)
)
select 'account' as what, a.id, h.weight, a.account_no as number, '' as title, null::bigint as amount, '' as kind,
       '' as state, a.opened_on as day, c.id as customer, c.customer_no, c.name
from (select id, max(weight) as weight from account group by id) h
join payments.account a using (id) join kernel.customer c on c.id = a.customer
union all
select 'entry', e.id, h.weight, e.document_no, e.title, e.amount, e.kind, e.state, e.counted_on, c.id, c.customer_no,
       c.name
from (select account_id, id, max(weight) as weight from entry group by account_id, id) h
join payments.entry e using (account_id, id)
join payments.account a on a.id = e.account_id join kernel.customer c on c.id = a.customer
union all
select 'line', i.id, h.weight, '', i.title, i.amount, '', '', i.booked_on, null, '', i.payer_name
from (select id, max(weight) as weight from line group by id) h join payments.incoming i using (id)
where $6
order by weight desc, day desc, id desc
limit 20
"""


async def found(conn: Connection, asked: Asked, *, lines: bool) -> Sequence[Row]:
    """What of the ledger a text may mean, the likeliest first, twenty at most; bank lines where ``lines`` allows."""
    return await conn.fetch(
        FOUND_SQL, asked.text, asked.document, asked.digits, asked.amount, asked.title, lines, MOST, NEWEST
    )


STANDING_SQL: Final[LiteralString] = """
select a.customer, sum(coalesce(k.balance, 0))::bigint as balance, sum(o.arrears)::bigint as arrears
from unnest($1::bigint[]) wanted (customer)
join payments.account a on a.customer = wanted.customer
join kernel.customer c on c.id = a.customer
left join payments.account_balance k on k.account_id = a.id
cross join lateral (
    select coalesce(sum(e.open_amount), 0) as arrears
    from payments.entry e
    where e.account_id = a.id and e.side = 'charge' and e.open_amount > 0 and e.effective_due_on < $2
      and not (c.consumer and coalesce(e.time_barred_on <= $2, false))
) o
group by a.customer
"""


async def standing(conn: Connection, customers: Sequence[int], on: date) -> Sequence[Row]:
    """Balance and arrears in grosze of each of ``customers`` that has an account."""
    return await conn.fetch(STANDING_SQL, customers, on)

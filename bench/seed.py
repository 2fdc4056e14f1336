"""The ledger of an invented organisation of any size: the same rows for the same size and day.

Every customer is charged each month and pays each charge about its due date; the last charge falls due ten days from
today and half of the customers have paid it already. Every tenth customer is a debtor: pays 70 % of each charge, and
nothing for the last two months, so that several charges stay open, the oldest in part.

The rows are written set by set. Where a payment meets its charge whole, the allocation is written as the ledger's own
functions would, and two accounts are given to them to prove it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, LiteralString

import asyncpg

from bench.processes import BenchError
from kernel.app import migrate_database
from kernel.auth.passwords import hash_password
from kernel.db import migrate
from kernel.db.embedded import EmbeddedServer
from kernel.plugin.registry import Registry

PASSWORD: Final = "deszcz-bębni-o-parapet"
DEBTOR_EVERY: Final = 10
SEALERS: Final = 2
"""Connections that seal at once."""
SEALED_AT_ONCE: Final = 1000
"""Accounts."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """A filled database: where it is and how large. ``seconds`` is 0 for one that was filled before."""

    dsn: str
    customers: int
    entries: int
    allocations: int
    open_charges: int
    debtors: int
    megabytes: int
    seconds: float


def login_of(customer: int) -> str:
    """The login, and customer number, of the n-th customer (from 1)."""
    return f"{customer:08}"


async def seed(server: EmbeddedServer, registry: Registry, customers: int, months: int, today: date) -> Seeded:
    """A database with this many customers and months, filled unless it is there already."""
    name = f"bench_{customers}_{months}"
    endpoints = await server.create_database(name)
    await migrate_database(endpoints.owner_dsn, registry)
    conn = await migrate.connect(endpoints.owner_dsn)
    try:
        started = time.monotonic()
        if filling := not await conn.fetchval("select exists (select from kernel.customer)"):
            async with conn.transaction():
                await _fill(conn, customers, months, today)
            await conn.execute("vacuum (analyze)")
        if await conn.fetchval("select exists (select from payments.account_balance where seal = '')"):
            batches = iter(range(1, customers + 1, SEALED_AT_ONCE))
            await asyncio.gather(*(_seal(endpoints.owner_dsn, batches) for _ in range(SEALERS)))
            await conn.execute("vacuum (analyze) payments.seal, payments.account_balance")
        seconds = time.monotonic() - started if filling else 0.0
        sizes = await conn.fetchrow(SIZES_SQL)
    finally:
        await conn.close()
    assert sizes is not None
    return Seeded(dsn=endpoints.dsn, seconds=round(seconds, 1), **sizes)


SIZES_SQL: Final[LiteralString] = """
select (select count(*) from kernel.customer) as customers,
       (select count(*) from payments.entry) as entries,
       (select count(*) from payments.allocation where released_at is null) as allocations,
       (select count(*) from payments.entry where side = 'charge' and open_amount > 0) as open_charges,
       (select count(*) from payments.account_balance where oldest_open_due < current_date) as debtors,
       pg_database_size(current_database()) / 1000000 as megabytes"""


async def _fill(conn: asyncpg.Connection, customers: int, months: int, today: date) -> None:
    await conn.execute("set local ebok.actor = 'bench'")
    await conn.execute(CUSTOMERS_SQL, customers)
    await conn.execute(USERS_SQL, await hash_password(PASSWORD))
    await conn.execute(GRANTS_SQL)
    await conn.execute("select setval('kernel.customer_id_seq', max(id)) from kernel.customer")
    await conn.execute(ACCOUNTS_SQL, today)
    await conn.execute("set local maintenance_work_mem = '256MB'; set local work_mem = '64MB'")
    bare = await conn.fetch(DROP_AND_MAKE_SQL)
    for row in bare:
        await conn.execute(row["drop"])
    for month in range(1, months + 1):  # in order of time, as the rows of a real ledger lie on disk
        await conn.execute(MONTH_SQL, (month - 1) * 2 * customers, customers, months - month, today)
    for row in reversed(bare):
        await conn.execute(row["make"])
    last = months * 2 * customers
    await conn.execute("select setval('payments.entry_id', $1)", last)
    await conn.execute("analyze payments.entry, payments.allocation")
    await conn.execute(DEBTORS_SQL)
    await conn.execute(BALANCES_SQL)
    before = await conn.fetchval(ALLOCATIONS_SQL)
    await conn.execute("select payments.allocate($1)", [1, DEBTOR_EVERY])
    if await conn.fetchval(ALLOCATIONS_SQL) != before:
        raise BenchError("The ledger allocates payments otherwise than the seed: bring bench/seed.py up to date.")


async def _seal(owner_dsn: str, batches: Iterator[int]) -> None:
    conn = await migrate.connect(owner_dsn)
    try:
        for first in batches:
            await conn.execute(SEALS_SQL, first, first + SEALED_AT_ONCE - 1)
    finally:
        await conn.close()


# What the first customer and the first debtor have allocated.
ALLOCATIONS_SQL: Final[LiteralString] = """
select array_agg((account_id, credit, charge, amount, rule) order by account_id, credit, charge)
from payments.allocation where account_id in (1, 10) and released_at is null"""

# Keys and indexes by account cost most of the time when rows arrive in order of time; made at the end they are sorted
# at once, and foreign keys hold for what is written later. The statements drop them, in this order, and make them
# again, in the reverse order.
DROP_AND_MAKE_SQL: Final[LiteralString] = """
select drop, make from (
    select contype <> 'f' as keys, format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
           format('alter table %s add constraint %I %s%s', conrelid::regclass, conname, pg_get_constraintdef(oid),
                  case contype when 'f' then ' not valid' end) as make
    from pg_constraint
    where contype = 'p' and conrelid in ('payments.entry'::regclass, 'payments.allocation'::regclass)
       or contype = 'f' and 'payments.entry'::regclass in (conrelid, confrelid)
       or contype = 'f' and 'payments.allocation'::regclass in (conrelid, confrelid)
    union all
    select true, format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    from pg_index
    where indrelid in ('payments.entry'::regclass, 'payments.allocation'::regclass) and not indisprimary
) statements order by keys, drop"""

CUSTOMERS_SQL: Final[LiteralString] = """
insert into kernel.customer (id, customer_no, name, given_name, family_name, street, building, flat, postal_code, city)
overriding system value
select n, lpad(n::text, 8, '0'), given || ' ' || family, given, family, 'ul. Słoneczna', (1 + n / 40 % 200)::text,
       (1 + n % 40)::text, '50-' || lpad((n / 8000 % 1000)::text, 3, '0'), 'Wrocław'
from generate_series(1, $1::integer) n,
lateral (select (array['Anna', 'Łucja', 'Jadwiga', 'Żaneta', 'Halina', 'Grażyna', 'Ewa', 'Zofia'])[1 + n % 8] as given,
                (array['Nowak', 'Wójcik', 'Mazur', 'Krawczyk', 'Zając', 'Dudek', 'Wróbel', 'Pawlak', 'Sikora',
                       'Bąk', 'Lis', 'Żak', 'Gołąb'])[1 + n / 8 % 13] as family) who"""

USERS_SQL: Final[LiteralString] = """
insert into kernel.users (login, name, role, password_hash, password_changed_at)
select customer_no, name, 'customer', $1, now() from kernel.customer order by id"""

GRANTS_SQL: Final[LiteralString] = """
insert into kernel.access_grant (user_id, customer)
select u.id, c.id from kernel.customer c join kernel.users u on u.login = c.customer_no order by c.id"""

ACCOUNTS_SQL: Final[LiteralString] = """
select count(*) from payments.open_accounts(array(select id from kernel.customer), $1)"""

# One month: charges, payments, and the allocations of payments that settle their charge whole.
# $1: the number before its first entry, $2: customers, $3: months that follow, $4: today.
MONTH_SQL: Final[LiteralString] = """
with month as materialized (
    select last_journal_no as numbered, issued, issued + 20 as due, effective,
           payments.barred_from(effective, limitation_years) as barred, to_char(issued, 'YYYY-MM') as period
    from (select ($4::date - make_interval(months => $3))::date - 10 as issued) day,
    lateral (select payments.effective_due(issued + 20) as effective) due,
    payments.book where code = 'main'
),
account as materialized (
    select id, account_no, id % 10 = 0 as in_debt, 25000 + id * 7919 % 40000 + $1 / $2::bigint * 131 % 997 as amount,
           case when id % 10 = 0 then $3 >= 2 else $3 > 0 or id % 2 = 0 end as pays
    from payments.account
),
charge as (
    insert into payments.entry (account_id, id, side, kind, amount, open_amount, issued_on, due_on, effective_due_on,
                                time_barred_on, booked_on, period, title, document_no, document_date, journal_no, state,
                                created_by, approved_by, approved_at)
    select id, $1 + id, 'charge', 'fee', amount, case when pays and not in_debt then 0 else amount end, issued, due,
           effective, barred, issued, period, 'Opłata eksploatacyjna ' || period, 'NK/' || period || '/' || account_no,
           issued, numbered + row_number() over (order by id), 'approved', 'bench', 'bench', now()
    from month, account order by id
    returning account_id, id, effective_due_on
),
payment as (
    insert into payments.entry (account_id, id, side, kind, amount, open_amount, paid_on, value_date, booked_on, title,
                                document_no, journal_no, channel, state, created_by, approved_by, approved_at)
    select id, $1 + $2 + id, 'credit', 'payment', paid, 0, day, day, day, 'Wpłata',
           'WB/' || period || '/' || account_no, numbered + $2 + row_number() over (order by id), 'transfer',
           'approved', 'bench', 'bench', now()
    from month, account,
    lateral (select least(due + (id % 9)::integer - 6, $4) as day,
                    case when in_debt then amount * 7 / 10 else amount end as paid) made
    where pays order by id
    returning account_id, id, amount, value_date
),
counted as (
    update payments.book set last_journal_no = last_journal_no + $2 + (select count(*) from payment) where code = 'main'
)
insert into payments.allocation (account_id, credit, charge, amount, value_date, effective_due_on, rule)
select account_id, p.id, c.id, p.amount, p.value_date, c.effective_due_on,
       case when c.effective_due_on > p.value_date then 'prepay' else 'oldest_due' end
from charge c join payment p using (account_id) where account_id % 10 <> 0 order by account_id"""

# The debtors' payments settle their charges first come, first served.
DEBTORS_SQL: Final[LiteralString] = """
with line as (
    select account_id, id, side, amount, value_date, effective_due_on,
           sum(amount) over (partition by account_id, side order by coalesce(effective_due_on, value_date), id) as upto
    from payments.entry where account_id % 10 = 0
),
met as materialized (
    select account_id, p.id as credit, c.id as charge, p.value_date, c.effective_due_on,
           (least(c.upto, p.upto) - greatest(c.upto - c.amount, p.upto - p.amount))::bigint as amount
    from line c join line p using (account_id)
    where c.side = 'charge' and p.side = 'credit' and p.upto > c.upto - c.amount and c.upto > p.upto - p.amount
),
made as (
    insert into payments.allocation (account_id, credit, charge, amount, value_date, effective_due_on, rule)
    select account_id, credit, charge, amount, value_date, effective_due_on,
           case when effective_due_on > value_date then 'prepay' else 'oldest_due' end
    from met order by account_id, credit, charge
)
update payments.entry e set open_amount = e.amount - taken.amount
from (select account_id, charge, sum(amount)::bigint as amount from met group by account_id, charge) taken
where e.account_id = taken.account_id and e.id = taken.charge"""

# One seal over the whole history of each account, as an opening has it.
SEALS_SQL: Final[LiteralString] = """
with history as (
    select a.id as account_id, b.version, array_agg(e.id order by e.id) as entries,
           sha256(convert_to(string_agg(payments.facts(e, a.salt, 'approved'), '' order by e.id), 'UTF8')) as hash
    from payments.account a join payments.account_balance b on b.account_id = a.id
    join payments.entry e on e.account_id = a.id
    where a.id between $1 and $2 and b.seal = '' group by a.id, b.version
),
sealed as (
    insert into payments.seal (account_id, seq, event, entries, hash)
    select account_id, version, 'approved', entries, hash from history returning account_id, hash
)
update payments.account_balance b set seal = s.hash from sealed s where b.account_id = s.account_id"""

BALANCES_SQL: Final[LiteralString] = """
update payments.account_balance b
set charged = e.charged, credited = e.credited, oldest_open_due = e.oldest, version = e.entries, updated_at = now()
from (
    select account_id, coalesce(sum(amount) filter (where side = 'charge'), 0)::bigint as charged,
           coalesce(sum(amount) filter (where side = 'credit'), 0)::bigint as credited,
           min(effective_due_on) filter (where side = 'charge' and open_amount > 0) as oldest, count(*) as entries
    from payments.entry group by account_id
) e
where e.account_id = b.account_id"""

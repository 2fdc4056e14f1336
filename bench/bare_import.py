"""``python -m bench.bare_import``: the same rows by a script that somebody would write in an afternoon.

It reads with the same driver, stages with COPY, inserts set by set, and lets payments pay charges first in, first out,
where the running sums overlap: into the ledger's own tables, with their keys, indexes and triggers. What makes an
import of it is missing: no validation, no comparison with an earlier run, no holidays, no audit, no seal, no rules.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final

import pymysql
from pymysql.cursors import SSCursor

from kernel.db import migrate
from tests.mariadb import HOST, PASSWORD

_ROWS: Final = 2000
_STAGED: Final = """
create schema bench;
create unlogged table bench.staged (record text, number bigint, external_id text, data text)
"""
_CUSTOMERS: Final = """
insert into kernel.customer (customer_no, name, street, city, source, external_id)
select external_id, data ->> 'name', data ->> 'street', data ->> 'city', 'bare', external_id
from (select number, external_id, data::jsonb as data from bench.staged where record = 'customer') staged
order by number
"""
_ACCOUNTS: Final = "select count(*) from payments.open_accounts(array(select id from kernel.customer), current_date)"
_CHARGES: Final = """
insert into payments.entry (account_id, side, kind, amount, open_amount, issued_on, due_on, effective_due_on, booked_on,
    title, document_no, source, external_id, journal_no, state, approved_by, approved_at)
select a.id, 'charge', 'fee', (data ->> 'amount')::bigint, (data ->> 'amount')::bigint, (data ->> 'issued')::date,
    (data ->> 'due')::date, (data ->> 'due')::date, current_date, data ->> 'title', key, 'bare', key,
    number, 'approved', 'bare', now()
from (select number, external_id as key, data::jsonb as data from bench.staged where record = 'charge') staged
join kernel.customer c on c.customer_no = data ->> 'no' join payments.account a on a.customer = c.id order by number
"""
_PAYMENTS: Final = """
insert into payments.entry (account_id, side, kind, amount, open_amount, value_date, booked_on, title, source,
    external_id, journal_no, state, approved_by, approved_at)
select a.id, 'credit', 'payment', (data ->> 'amount')::bigint, (data ->> 'amount')::bigint, (data ->> 'day')::date,
    current_date, data ->> 'title', 'bare', key, number + (select count(*) from payments.entry), 'approved',
    'bare', now()
from (select number, external_id as key, data::jsonb as data from bench.staged where record = 'payment') staged
join kernel.customer c on c.customer_no = data ->> 'no' join payments.account a on a.customer = c.id order by number
"""
_ALLOCATE: Final = """
with line as (
    select account_id, id, side, amount, value_date, effective_due_on,
           sum(amount) over (partition by account_id, side order by coalesce(effective_due_on, value_date), id) as upto
    from payments.entry
)
insert into payments.allocation (account_id, credit, charge, amount, value_date, effective_due_on, rule)
select account_id, p.id, c.id, least(c.upto, p.upto) - greatest(c.upto - c.amount, p.upto - p.amount), p.value_date,
       c.effective_due_on, case when c.effective_due_on > p.value_date then 'prepay' else 'oldest_due' end
from line c join line p using (account_id)
where c.side = 'charge' and p.side = 'credit' and p.upto > c.upto - c.amount and c.upto > p.upto - p.amount
"""
_OPEN: Final = """
update payments.entry e set open_amount = e.amount - paid.amount
from (select account_id, entry, sum(amount)::bigint as amount from payments.allocation
      cross join lateral (values (credit), (charge)) side (entry) group by account_id, entry) paid
where e.account_id = paid.account_id and e.id = paid.entry
"""
_BALANCES: Final = """
update payments.account_balance b set charged = e.charged, credited = e.credited, oldest_open_due = e.oldest
from (
    select account_id, coalesce(sum(amount) filter (where side = 'charge'), 0)::bigint as charged,
           coalesce(sum(amount) filter (where side = 'credit'), 0)::bigint as credited,
           min(effective_due_on) filter (where side = 'charge' and open_amount > 0) as oldest
    from payments.entry group by account_id
) e
where e.account_id = b.account_id
"""


async def main() -> None:
    """Import everything."""
    options = argparse.ArgumentParser()
    options.add_argument("--mariadb", type=int, required=True)
    options.add_argument("--dsn", required=True)
    given = options.parse_args()
    conn = await migrate.connect(given.dsn)
    async with conn.transaction():
        await conn.execute("set local ebok.actor = 'bare'")
        await conn.execute(_STAGED)
        for record, table in (("customer", "klienci"), ("charge", "naliczenia"), ("payment", "wplaty")):
            for rows in _read(given.mariadb, table):
                await conn.copy_records_to_table(
                    "staged",
                    schema_name="bench",
                    columns=("record", "number", "external_id", "data"),
                    records=[(record, number, str(row[0]), json.dumps(_MAKE[record](row))) for number, row in rows],
                )
        await conn.execute("analyze bench.staged")
        await conn.execute(_CUSTOMERS)
        await conn.execute(_ACCOUNTS)
        await conn.execute("analyze kernel.customer, payments.account")
        await conn.execute(_CHARGES)
        await conn.execute(_PAYMENTS)
        await conn.execute("analyze payments.entry")
        await conn.execute(_ALLOCATE)
        await conn.execute("analyze payments.allocation")
        await conn.execute(_OPEN)
        await conn.execute(_BALANCES)
    await conn.close()


def _customer(row: tuple[Any, ...]) -> dict[str, object]:
    return {"no": str(row[0]), "name": row[1], "street": row[2], "city": row[3]}


def _charge(row: tuple[Any, ...]) -> dict[str, object]:
    number, customer, issued, due, amount, title = row
    return {"no": str(customer), "issued": issued.isoformat(), "due": due.isoformat(),
            "amount": int(amount * 100), "title": title, "document": number}  # fmt: skip


def _payment(row: tuple[Any, ...]) -> dict[str, object]:
    _number, customer, day, amount, title = row
    return {"no": str(customer), "day": day.isoformat(), "amount": int(amount * 100), "title": title}


_MAKE: Final = {"customer": _customer, "charge": _charge, "payment": _payment}


def _read(port: int, table: str) -> Iterator[list[tuple[int, tuple[Any, ...]]]]:
    with pymysql.connect(
        host=HOST, port=port, user="root", password=PASSWORD.encode(), database="office", charset="utf8mb4"
    ) as source, source.cursor(SSCursor) as cursor:  # fmt: skip
        cursor.execute(f"select * from {table}")
        number = 0
        while rows := cursor.fetchmany(_ROWS):
            yield list(enumerate(rows, number + 1))
            number += len(rows)


if __name__ == "__main__":
    asyncio.run(main())

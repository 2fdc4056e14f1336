"""``python -m bench.bare_import``: the same rows by a script that somebody would write in an afternoon.

It reads with the same driver, stages with COPY, inserts set by set, and lets payments pay charges first in, first out,
where the running sums overlap. Nothing is validated or compared, and nothing remembers where a row came from.
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
_CUSTOMERS: Final = """
insert into bench.customer (customer_no, name, street, city)
select data ->> 'no', data ->> 'name', data ->> 'street', data ->> 'city'
from (select number, data::jsonb as data from bench.staged where record = 'customer') staged order by number
"""
_CHARGES: Final = """
insert into bench.entry (account_id, side, kind, amount, open_amount, issued_on, due_on, title, document_no,
    external_id)
select c.id, 'charge', 'fee', (data ->> 'amount')::bigint, (data ->> 'amount')::bigint, (data ->> 'issued')::date,
       (data ->> 'due')::date, data ->> 'title', external_id, external_id
from (select number, external_id, data::jsonb as data from bench.staged where record = 'charge') staged
join bench.customer c on c.customer_no = data ->> 'no' order by number
"""
_PAYMENTS: Final = """
insert into bench.entry (account_id, side, kind, amount, open_amount, value_date, title, document_no, external_id)
select c.id, 'credit', 'payment', (data ->> 'amount')::bigint, (data ->> 'amount')::bigint, (data ->> 'day')::date,
       data ->> 'title', '', external_id
from (select number, external_id, data::jsonb as data from bench.staged where record = 'payment') staged
join bench.customer c on c.customer_no = data ->> 'no' order by number
"""
_ALLOCATE: Final = """
with charge as (
    select account_id, id, sum(amount) over o - amount as start, sum(amount) over o as stop
    from bench.entry where side = 'charge' window o as (partition by account_id order by due_on, id)
), credit as (
    select account_id, id, sum(amount) over o - amount as start, sum(amount) over o as stop
    from bench.entry where side = 'credit' window o as (partition by account_id order by value_date, id)
)
insert into bench.allocation (account_id, credit, charge, amount)
select account_id, credit.id, charge.id, least(charge.stop, credit.stop) - greatest(charge.start, credit.start)
from credit join charge using (account_id)
where credit.start < charge.stop and charge.start < credit.stop
"""
_CLOSE: Final = """
update bench.entry e set open_amount = e.amount - paid.amount
from (select account_id, entry, sum(amount)::bigint as amount from bench.allocation
      cross join lateral (values (credit), (charge)) side (entry) group by account_id, entry) paid
where e.account_id = paid.account_id and e.id = paid.entry
"""


async def main() -> None:
    """Import everything into the tables of ``bare_import.sql``."""
    options = argparse.ArgumentParser()
    options.add_argument("--mariadb", type=int, required=True)
    options.add_argument("--dsn", required=True)
    given = options.parse_args()
    conn = await migrate.connect(given.dsn)
    async with conn.transaction():
        for record, table in (("customer", "klienci"), ("charge", "naliczenia"), ("payment", "wplaty")):
            for rows in _read(given.mariadb, table):
                await conn.copy_records_to_table(
                    "staged", schema_name="bench", columns=("record", "number", "external_id", "data"),
                    records=[(record, number, str(row[0]), json.dumps(_MAKE[record](row))) for number, row in rows],
                )  # fmt: skip
        await conn.execute("analyze bench.staged")
        for statement in (_CUSTOMERS, _CHARGES, _PAYMENTS):
            await conn.execute(statement)
        await conn.execute("analyze bench.entry")
        await conn.execute(_ALLOCATE)
        await conn.execute("analyze bench.allocation")
        await conn.execute(_CLOSE)
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

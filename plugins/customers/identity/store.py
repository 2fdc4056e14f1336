"""Statements over ``customers.identity``."""

from __future__ import annotations

from typing import Final, LiteralString

from kernel import Connection, Row

OF_CUSTOMER_SQL: Final[LiteralString] = """
select c.id, c.customer_no, c.name, c.kind, coalesce(i.pesel, '') as pesel, coalesce(i.regon, '') as regon,
       coalesce(i.refund_account, '') as refund_account,
       exists (select from customers.tombstone t where t.customer = c.id) as is_removed
from kernel.customer c left join customers.identity i on i.customer = c.id where c.id = $1
"""


async def of_customer(conn: Connection, customer: int) -> Row | None:
    """A customer's numbers, empty where there are none; None when there is no such customer."""
    return await conn.fetchrow(OF_CUSTOMER_SQL, customer)


WRITE_SQL: Final[LiteralString] = """
insert into customers.identity as i (customer, pesel, regon, refund_account) values ($1, $2, $3, $4)
on conflict (customer) do update
set pesel = excluded.pesel, regon = excluded.regon, refund_account = excluded.refund_account
"""


async def write(conn: Connection, customer: int, pesel: str, regon: str, refund_account: str) -> None:
    """Write a customer's numbers."""
    await conn.execute(WRITE_SQL, customer, pesel, regon, refund_account)

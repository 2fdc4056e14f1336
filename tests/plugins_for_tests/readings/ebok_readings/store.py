"""Readings in the database."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from kernel import Connection, Row

OF_CUSTOMER_SQL = """
select taken, state from readings.reading where customer = $1 order by taken desc, id desc limit 12"""

LAST_SQL = """
select taken, state from readings.reading where customer = $1 order by taken desc, id desc limit 1"""

ADD_SQL = "insert into readings.reading (customer, taken, state) values ($1, $2, $3)"

REMOVE_SQL = "delete from readings.reading where customer = $1"


async def of_customer(conn: Connection, customer: int) -> Sequence[Row]:
    """The last twelve readings, newest first."""
    return await conn.fetch(OF_CUSTOMER_SQL, customer)


async def last(conn: Connection, customer: int) -> Row | None:
    """The newest reading, or None."""
    return await conn.fetchrow(LAST_SQL, customer)


async def add(conn: Connection, customer: int, taken: date, state: Decimal) -> None:
    """Keep a reading (cubic metres)."""
    await conn.execute(ADD_SQL, customer, taken, state)


async def remove(conn: Connection, customer: int) -> None:
    """Forget a customer's readings."""
    await conn.execute(REMOVE_SQL, customer)

"""Payment orders that were made, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, LiteralString

from kernel import Connection, Money, Row, audit, tell_deleted
from plugins.printing.model import OrderKind, PaymentOrder, reference_of


@dataclass(frozen=True, slots=True)
class Payer:
    """The customer as a payer: name, address in one line, the organisation's number."""

    name: str
    address: str
    customer_no: str


@dataclass(frozen=True, slots=True)
class MadeOrder:
    """An order as it was made: the day to pay by and the instant (UTC) of making."""

    order: PaymentOrder
    pay_by: date | None
    made_at: datetime


PAYER_SQL: Final[LiteralString] = """
    select customer_no, name,
           concat_ws(', ',
               nullif(concat_ws(' ', nullif(street, ''),
                   nullif(concat_ws('/', nullif(building, ''), nullif(flat, '')), '')), ''),
               nullif(concat_ws(' ', nullif(postal_code, ''), nullif(city, '')), '')) as address
    from kernel.customer
    where id = $1
"""


async def payer(conn: Connection, customer: int) -> Payer | None:
    """The customer as a payer; None when there is no such customer."""
    row = await conn.fetchrow(PAYER_SQL, customer)
    return Payer(row["name"], row["address"], row["customer_no"]) if row else None


NEXT_NUMBER_SQL: Final[LiteralString] = "select nextval('printing.payment_order_number')"

# An order that was already made today keeps its first reference.
ADD_ORDER_SQL: Final[LiteralString] = """
    with added as (
        insert into printing.payment_order
            (id, reference, customer, customer_no, kind, payee_name, payee_address, payee_nip, payee_account,
             payer_name, payer_address, amount, title, pay_by, made_on, charges)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        on conflict (customer, made_on, payee_account, kind, amount, title) where deleted_at is null do nothing
        returning reference)
    select reference from added
    union all
    select reference from printing.payment_order
    where customer = $3 and made_on = $15 and payee_account = $9 and kind = $5 and title = $13
      and amount is not distinct from $12 and deleted_at is null
    limit 1
"""


async def add_order(
    conn: Connection,
    customer: int,
    order: PaymentOrder,
    pay_by: date | None,
    made_on: date,
    charges: Sequence[int] = (),
) -> str:
    """Keep an order, made for these charges, and return its reference; the same order of the same day is kept once."""
    number: int = await conn.fetchval(NEXT_NUMBER_SQL)
    return await conn.fetchval(
        ADD_ORDER_SQL,
        number,
        reference_of(number),
        customer,
        order.customer_no,
        order.kind,
        order.payee_name,
        order.payee_address,
        order.payee_nip,
        order.payee_account,
        order.payer_name,
        order.payer_address,
        order.amount.grosze if order.amount is not None else None,
        order.title,
        pay_by,
        made_on,
        charges,
    )


MADE_ORDER_SQL: Final[LiteralString] = """
    select reference, customer_no, kind, payee_name, payee_address, payee_nip, payee_account, payer_name,
           payer_address, amount, title, pay_by, made_at
    from printing.payment_order
    where customer = $1 and reference = $2 and deleted_at is null
"""


async def made_order(conn: Connection, customer: int, reference: str) -> MadeOrder | None:
    """An order of this customer by its reference; None when there is none, or it is another customer's."""
    row = await conn.fetchrow(MADE_ORDER_SQL, customer, reference)
    return MadeOrder(_order(row), row["pay_by"], row["made_at"]) if row else None


def _order(row: Row) -> PaymentOrder:
    return PaymentOrder(
        payee_name=row["payee_name"],
        payee_address=row["payee_address"],
        payee_account=row["payee_account"],
        payee_nip=row["payee_nip"],
        amount=None if row["amount"] is None else Money(row["amount"]),
        kind=OrderKind(row["kind"]),
        payer_name=row["payer_name"],
        payer_address=row["payer_address"],
        title=row["title"],
        customer_no=row["customer_no"],
        reference=row["reference"],
    )


# --- deletion -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """An order as the office sees it: whose it is, what it is for, and whether it was deleted."""

    reference: str
    customer: int
    customer_no: str
    payer_name: str
    amount: Money | None
    title: str
    made_on: date
    deleted: bool


KEPT_SQL: Final[LiteralString] = """
    select reference, customer, customer_no, payer_name, amount, title, made_on, deleted_at is not null as deleted
    from printing.payment_order
    where reference = $1
"""


async def kept(conn: Connection, reference: str) -> Kept | None:
    """Any order by its reference, also one that was deleted; None when there is none."""
    row = await conn.fetchrow(KEPT_SQL, reference)
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    values["amount"] = None if row["amount"] is None else Money(row["amount"])
    return Kept(**values)


DELETE_ORDER_SQL: Final[LiteralString] = "select printing.delete_order($1, $2)"


async def delete_order(conn: Connection, order: Kept, reason: str) -> None:
    """Delete an order, audited; its reference stays taken, and the other superadministrators are told.

    The database lets nobody do it but a superadministrator in the announced mode, and leaves the tombstone itself.
    """
    await conn.execute(DELETE_ORDER_SQL, order.reference, reason)
    facts = {"reference": order.reference, "amount": order.amount, "reason": reason}
    await audit(
        conn, "printing.order_deleted", customer=order.customer, subject=f"payment-order {order.reference}", **facts
    )
    await tell_deleted(conn, "printing.order_deleted", order.reference, facts)

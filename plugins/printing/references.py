"""Payment orders by the reference in a transfer's title, for whoever matches bank lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, LiteralString

from kernel import Connection
from plugins.payments import OrderFound
from plugins.printing.model import is_reference

ORDERS_SQL: Final[LiteralString] = """
    select reference, customer, payee_account, charges from printing.payment_order where reference = any ($1::text[])
"""


class MadeOrders:
    """Knows the orders that were made: an extension ``payments.order_references``."""

    async def orders(self, conn: Connection, words: Sequence[str]) -> Sequence[OrderFound]:
        named = [word for word in words if is_reference(word)]
        rows = await conn.fetch(ORDERS_SQL, named) if named else ()
        return [
            OrderFound(row["reference"], row["customer"], row["payee_account"], tuple(row["charges"])) for row in rows
        ]

"""A proof that bank lines are booked with their own amounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from kernel import Check, Connection, Finding, Money, _
from plugins.payments.bank import store

MOST_FINDINGS: Final = 100


async def lines_as_told(conn: Connection) -> AsyncIterator[Finding]:
    """What came in by a bank file is in suspense or on accounts with the amount that the bank told."""
    for row in await store.wrong_lines(conn, MOST_FINDINGS):
        yield Finding(
            f"bank line {row['id']} of statement {row['statement']} over {Money(row['amount']).plain} is booked over "
            f"{Money(row['booked']).plain}"
        )


CHECKS: Final = (
    Check("payments.bank_lines", _("Bank lines are booked as the bank told them"), lines_as_told, ("verify",)),
)

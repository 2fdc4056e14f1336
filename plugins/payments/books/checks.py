"""Proofs that numbers and closed months are what they were."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from kernel import Check, Connection, Finding, _
from plugins.payments.books import month_store, store
from plugins.payments.books.model import digest

MOST_FINDINGS: Final = 100
BATCH: Final = 200
"""Reports read at once."""


async def numbers_are_their_accounts(conn: Connection) -> AsyncIterator[Finding]:
    """Every own bank account number has right check digits, and is the one that its account was given last."""
    for row in await store.wrong_numbers(conn, MOST_FINDINGS):
        yield Finding(f"account {row['id']}: its bank account {row['virtual_account']} is not what it was given")


async def months_are_as_closed(conn: Connection) -> AsyncIterator[Finding]:
    """Every control report has its digest, and every book is closed through its last closed month."""
    for row in await month_store.wrong_ends(conn):
        yield Finding(f"book {row['code']}: closed through {row['closed_through']}, its months say {row['through']}")
    after = 0
    while rows := await month_store.reports(conn, after, BATCH):
        for row in rows:
            if digest(row["report"]) != row["sha256"]:
                yield Finding(f"book {row['code']}, {row['month']:%Y-%m}: the control report is not what was kept")
        after = rows[-1]["id"]


CHECKS: Final = (
    Check("payments.numbers", _("Own bank accounts are those given"), numbers_are_their_accounts, ("verify",)),
    Check("payments.months", _("Closed months are as they were closed"), months_are_as_closed, ("verify",)),
)

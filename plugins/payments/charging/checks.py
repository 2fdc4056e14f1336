"""What ``ebok verify`` proves about charge runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from kernel import Check, Connection, Finding, _
from plugins.payments.charging import store

MOST_FINDINGS: Final = 100


async def lines_sum_up(conn: Connection) -> AsyncIterator[Finding]:
    """Every charge of an approved run is the sum of its lines, and is in the ledger."""
    for row in await store.wrong_runs(conn, MOST_FINDINGS):
        yield Finding(
            f"run {row['run']}, account {row['account_id']}: charge {row['amount']}, lines {row['lines']},"
            f" entry {row['entry']}"
        )


CHECKS: Final = (
    Check("payments.charge_runs", _("Every monthly charge is the sum of its lines"), lines_sum_up, when=("verify",)),
)

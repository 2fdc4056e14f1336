"""Proofs that every grosz that came in is on an account, given back, or in suspense, and counted once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from kernel import Check, Connection, Finding, Money, _
from plugins.payments.suspense import store

MOST_FINDINGS: Final = 100


async def lines_add_up(conn: Connection) -> AsyncIterator[Finding]:
    """Every line is its live parts and what is left of it."""
    for row in await store.wrong_lines(conn, MOST_FINDINGS):
        yield Finding(
            f"line {row['id']} of {Money(row['amount']).plain}: {Money(row['assigned']).plain} is kept as assigned, "
            f"its parts make {Money(row['parts']).plain}"
        )


async def parts_are_booked(conn: Connection) -> AsyncIterator[Finding]:
    """Every live part's entry counts, with its amount and days; no undone part's entry does."""
    for row in await store.wrong_parts(conn, MOST_FINDINGS):
        if not row["is_live"]:
            problem = "it is undone, but its entry counts"
        elif row["state"] != "approved" or row["reversed"]:
            problem = "its entry does not count"
        else:
            problem = f"its entry is over {Money(row['amount']).plain}, or has another kind or other days"
        yield Finding(f"part {row['id']} of line {row['line']} over {Money(row['wanted']).plain}: {problem}")


async def provisional_is_counted_once(conn: Connection) -> AsyncIterator[Finding]:
    """Every part in a mirror book has one provisional credit, which a counting record of the source may replace."""
    for row in await store.wrong_provisional(conn, MOST_FINDINGS):
        yield Finding(f"part {row['id']} of line {row['line']}: {row['problem']}")


CHECKS: Final = (
    Check("payments.suspense_lines", _("Money that came in is its parts and the rest"), lines_add_up, ("verify",)),
    Check("payments.suspense_parts", _("Assigned money is booked as it came"), parts_are_booked, ("verify",)),
    Check(
        "payments.suspense_provisional",
        _("Provisional payments are counted once"),
        provisional_is_counted_once,
        ("verify",),
    ),
)

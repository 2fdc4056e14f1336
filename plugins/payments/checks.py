"""Proofs that what the ledger keeps is what its entries say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Final

from kernel import Check, Connection, Finding, Money, Progress, _
from plugins.payments import store
from plugins.payments.allocation import allocate
from plugins.payments.store import Whole

MOST_FINDINGS: Final = 100
BATCH: Final = 200
"""Accounts read at once: memory stays the same however many there are."""
SEALED_BATCH: Final = 1000
"""Accounts whose chains the database proves at once; they are not read."""


async def amounts_add_up(conn: Connection) -> AsyncIterator[Finding]:
    """Every approved amount is its allocations and its open part; every voided or draft one has neither."""
    for row in await store.wrong_allocations(conn, MOST_FINDINGS):
        yield Finding(
            f"account {row['account_id']}, entry {row['id']}: amount {Money(row['amount']).plain}, "
            f"allocated {Money(row['allocated']).plain}, open {Money(row['open_amount']).plain}"
        )


async def balances_are_kept(conn: Connection) -> AsyncIterator[Finding]:
    """Every balance row is the sum of its account's approved entries."""
    for row in await store.wrong_balances(conn, MOST_FINDINGS):
        yield Finding(
            f"account {row['account_id']}: kept {Money(row['charged']).plain} charged, "
            f"{Money(row['credited']).plain} credited; entries say {Money(row['charges']).plain}, "
            f"{Money(row['credits']).plain}, or the oldest open due date differs"
        )


async def journal_has_no_gaps(conn: Connection) -> AsyncIterator[Finding]:
    """Every book's journal counts from one without a gap."""
    for row in await store.wrong_journals(conn):
        yield Finding(
            f"book {row['code']}: the last journal number is {row['last_journal_no']}, "
            f"{row['numbered']} entries carry {row['distinct_numbers']} numbers"
        )


async def allocations_are_right(conn: Connection) -> AsyncIterator[Finding | Progress]:
    """Recomputed from scratch by the pure reference, every account's allocations are those that are kept."""
    after, seen, wrong, total = 0, 0, 0, await store.count_accounts(conn)
    while accounts := await store.accounts_whole(conn, after, BATCH):
        for whole in accounts:
            problem = difference(whole)
            if problem:
                wrong += 1
                yield Finding(f"account {whole.account}: {problem}")
                if wrong == MOST_FINDINGS:
                    return
        after, seen = accounts[-1].account, seen + len(accounts)
        if len(accounts) == BATCH:
            yield Progress(seen, total)


PROBLEMS: Final = {
    "gone": "an entry of posting {number} is gone",
    "changed": "posting {number} is not what was sealed",
    "last": "the chain does not end where the account says",
    "unsealed": "entry {number} was never sealed",
}


async def chains_hold(conn: Connection) -> AsyncIterator[Finding | Progress]:
    """Every posting is what was sealed when it was made, and nothing was added or taken away since."""
    after, seen, wrong, total = 0, 0, 0, await store.count_accounts(conn)
    while True:
        last, accounts = await store.last_of_batch(conn, after, SEALED_BATCH)
        if last is None:
            return
        for row in await store.wrong_seals(conn, after, last, MOST_FINDINGS - wrong):
            wrong += 1
            yield Finding(f"account {row['account_id']}: {PROBLEMS[row['problem']].format(number=row['number'])}")
        if wrong >= MOST_FINDINGS:
            return
        after, seen = last, seen + accounts
        if accounts == SEALED_BATCH:
            yield Progress(seen, total)


async def references_are_right(conn: Connection) -> AsyncIterator[Finding]:
    """Reversals undo one whole entry, corrections lower no charge below zero, interest bears on a debt."""
    for row in await store.wrong_references(conn, MOST_FINDINGS):
        yield Finding(f"account {row['account_id']}, entry {row['id']}: {row['problem']}")


async def guards_stand(conn: Connection) -> AsyncIterator[Finding]:
    """What is approved is protected in the database itself."""
    missing = await store.missing_guards(conn)
    for trigger in missing["triggers"]:
        yield Finding(f"the trigger {trigger} of payments.entry is missing or switched off")
    for privilege in missing["privileges"]:
        yield Finding(f"the application's login may {privilege}")


def difference(whole: Whole) -> str:
    """Why what is kept of an account is not what the rules say; empty when it is."""
    policy = store.policy_of(whole)
    if policy is None:
        return ""
    try:
        right = allocate(whole.entries, policy, whole.pinned, today=whole.reached_on or date.min)
    except (ValueError, KeyError) as error:
        return f"its entries cannot be allocated: {error}"
    if right == whole.allocations:
        return ""
    different = sorted({*right} ^ {*whole.allocations})[0]
    word = "missing" if different in right else "kept wrongly"
    return f"{Money(different.amount).plain} of credit {different.credit} for charge {different.charge} is {word}"


async def holidays_are_known(conn: Connection) -> AsyncIterator[Finding]:
    """Due dates of this year and the next can be moved off holidays."""
    if not await store.knows_holidays(conn):
        yield Finding("the holidays of this year or the next are not known; update ebok", fatal=False)


CHECKS: Final = (
    Check("payments.holidays", _("Holidays are known"), holidays_are_known, ("ready", "doctor")),
    Check("payments.amounts", _("Amounts are their allocations and open parts"), amounts_add_up, ("verify",)),
    Check("payments.balances", _("Balances are the sums of entries"), balances_are_kept, ("verify",)),
    Check("payments.journal", _("The journal has no gaps"), journal_has_no_gaps, ("verify",)),
    Check("payments.references", _("Entries refer to others as they may"), references_are_right, ("verify",)),
    Check("payments.allocations", _("Allocations are what the rules say"), allocations_are_right, ("verify",)),
    Check("payments.chain", _("Nothing was changed after it was sealed"), chains_hold, ("verify",)),
    Check("payments.guards", _("What is approved is protected"), guards_stand, ("doctor", "verify")),
)

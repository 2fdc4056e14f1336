"""What of the ledger waits for the office: the list of work on the console's first page, in one question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, LiteralString

from kernel import ACTOR, CONN, SITE, Money, QueueItem, Request, Row, Text, ngettext, url
from plugins.payments.accrual.store import RatesInUse, read_tables, regimes_of, stale

WAITING_SQL: Final[LiteralString] = """
select d.payments, d.charges, i.lines, i.amount, payments.interest_tables() as tables,
       array(select distinct b.interest_regime from payments.book b) as regimes,
       (select count(*) from (select from payments.interest_correction_due limit 10000) due) as corrections,
       (select count(*) from payments.bank_statement s where s.state = 'ready') as statements,
       (select count(*) from payments.bank_line l join payments.bank_statement s on s.id = l.statement
        where l.is_reversal and l.amount < 0 and l.decision is null and s.state = 'booked') as reversals
from (
    select count(*) filter (where side = 'credit') as payments, count(*) filter (where side = 'charge') as charges
    from (select side from payments.entry where state = 'draft' limit 10000) drafts
) d cross join (
    select count(*) as lines, coalesce(sum(left_amount), 0)::bigint as amount
    from (select left_amount from payments.incoming where assigned < amount limit 10000) unassigned
) i
"""
"""Counting stops at ten thousand of each."""


async def queue(request: Request) -> Sequence[QueueItem]:
    """Drafts to approve, money to assign, rates to look up, interest to take back: as far as the person may do it."""
    row = await request[CONN].fetchrow(WAITING_SQL)
    return [item for item in _items(request, row) if item.count] if row else []


def _items(request: Request, row: Row) -> Iterator[QueueItem]:
    may = request[ACTOR].may
    if may("payments.approve"):
        drafts = url(request, "payments.list", query={"state": "draft"})
        paid, charged = row["payments"], row["charges"]
        yield QueueItem(
            ngettext("{count} payment to approve", "{count} payments to approve", paid), paid, drafts, order=10
        )
        yield QueueItem(
            ngettext("{count} charge to approve", "{count} charges to approve", charged), charged, drafts, order=11
        )
    if may("payments.suspense"):
        address = url(request, "payments.suspense_list", query={"state": "open"})
        yield QueueItem(_to_assign(row), row["lines"], address, order=12)
    if may("payments.bank"):
        ready, taken = row["statements"], row["reversals"]
        yield QueueItem(
            ngettext("{count} bank statement to book", "{count} bank statements to book", ready),
            ready,
            url(request, "payments.bank_list", query={"state": "ready"}),
            order=13,
        )
        yield QueueItem(
            ngettext("{count} payment taken back by the bank", "{count} payments taken back by the bank", taken),
            taken,
            url(request, "payments.bank_list"),
            order=14,
        )
    if may("payments.rates"):
        known = RatesInUse(read_tables(row["tables"]), frozenset(row["regimes"]), row["corrections"])
        old = len(stale(known, request[SITE].clock.today(), regimes_of(request[SITE])))
        label = ngettext("{count} interest rate to look up", "{count} interest rates to look up", old)
        yield QueueItem(label, old, url(request, "payments.interest_rates"), order=40)
    if may("payments.enter"):
        due = row["corrections"]
        label = ngettext("{count} correction of interest to enter", "{count} corrections of interest to enter", due)
        yield QueueItem(label, due, url(request, "payments.interest_corrections"), order=41)


def _to_assign(row: Row) -> Text:
    return ngettext(
        "{count} incoming payment to assign, {amount}",
        "{count} incoming payments to assign, {amount}",
        row["lines"],
        amount=Money(row["amount"]),
    )

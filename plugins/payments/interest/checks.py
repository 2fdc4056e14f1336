"""Proofs and warnings about interest: rates that may be stale, and notes without gaps whose sums are right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Final, LiteralString

from kernel import Check, Connection, Finding, Money, _
from plugins.payments.accrual import store
from plugins.payments.accrual.store import BUNDLED, STALE_AFTER, Regimes

MOST_FINDINGS: Final = 100


async def stale_kinds(conn: Connection, today: date, foreign: Regimes = BUNDLED) -> dict[str, date | None]:
    """Kinds of rates that books use and whose newest row is older than ninety days: kind → that row's day, or None
    where there is no row at all."""
    return store.stale(await store.rates_in_use(conn), today, foreign)


async def rates_are_fresh(conn: Connection) -> AsyncIterator[Finding]:
    """The newest rate of every kind that books use is younger than ninety days, or was confirmed since."""
    today = await conn.fetchval("select current_date")
    for kind, newest in (await stale_kinds(conn, today)).items():
        since = f"its newest row is of {newest.isoformat()}" if newest else "it has no rows"
        yield Finding(
            f"interest rate {kind}: {since}, more than {STALE_AFTER // timedelta(days=1)} days ago; "
            "look it up and enter it on the page of interest rates",
            fatal=False,
        )


WRONG_NOTES_SQL: Final[LiteralString] = """
select b.code, n.year, k.last_no, count(*) as notes, max(n.number) as highest
from payments.interest_note n
join payments.book b on b.id = n.book
left join payments.interest_note_number k on k.book = n.book and k.year = n.year
group by b.code, n.book, n.year, k.last_no
having count(*) <> max(n.number) or k.last_no is distinct from max(n.number) or count(distinct n.number) <> count(*)
"""
WRONG_SUMS_SQL: Final[LiteralString] = """
select n.note_no, n.total, coalesce(sum(l.amount), 0)::bigint as lines,
       bool_and(e.amount = l.amount and e.bears_on = l.charge and e.kind = 'interest') as is_booked
from payments.interest_note n
left join payments.interest_note_line l on l.account_id = n.account_id and l.note = n.id
left join payments.entry e on e.account_id = l.account_id and e.id = l.entry
group by n.account_id, n.id
having n.total <> coalesce(sum(l.amount), 0)
    or not coalesce(bool_and(e.amount = l.amount and e.bears_on = l.charge and e.kind = 'interest'), false)
limit $1
"""


async def notes_are_right(conn: Connection) -> AsyncIterator[Finding]:
    """Notes count from one without a gap in each book and year, and each is the sum of the interest it booked."""
    for row in await conn.fetch(WRONG_NOTES_SQL):
        yield Finding(
            f"book {row['code']}, {row['year']}: {row['notes']} notes, the highest number is {row['highest']}, "
            f"the last given {row['last_no']}"
        )
    for row in await conn.fetch(WRONG_SUMS_SQL, MOST_FINDINGS):
        yield Finding(
            f"note {row['note_no']}: total {Money(row['total']).plain}, its lines {Money(row['lines']).plain}"
            + ("" if row["is_booked"] else ", and not all of it is booked")
        )


CHECKS: Final = (
    Check("payments.interest_rates", _("Interest rates are fresh"), rates_are_fresh),
    Check("payments.interest_notes", _("Interest notes have no gaps and add up"), notes_are_right, ("verify",)),
)

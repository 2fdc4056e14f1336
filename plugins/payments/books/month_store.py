"""Closed months in SQL: what stands against closing, the sums of the control report, turnover of accounts."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, LiteralString

from kernel import Connection, Refused, Row, Text, _, audit, enqueue
from plugins.payments.books.model import Control, Journal, KindSum, Month, Turnover, digest

REFUSALS: Final[Mapping[str, Text]] = {
    "month_running": _("The report of a month is still being made. Wait until it is ready."),
    "month_closed_once": _("This month is closed already."),
    "month_out_of_order": _("Months are closed one after another: close the earlier one first."),
    "month_not_ended": _("This month has not ended yet."),
    "month_has_drafts": _(
        "Entries dated in this month wait for approval. Approve them, or say that they go into the next month."
    ),
    "month_not_last": _("Only the last closed month can be opened again."),
    "month_needs_mode": _("Switch the superadministrator's mode on first."),
}
"""What the database refuses about months (constraint names), in words."""


@contextmanager
def refusals() -> Generator[None]:
    """Turn what the database refuses about months into ``Refused``; anything else goes on."""
    try:
        yield
    except Exception as error:
        message = REFUSALS.get(getattr(error, "constraint_name", None) or "")
        if message is None:
            raise
        raise Refused(message) from error


@dataclass(frozen=True, slots=True)
class Closing:
    """A closing of a month. ``state``: running, closed, failed or reopened; ``report`` and its ``sha256`` are there
    once the report is made."""

    id: int
    book: int
    book_name: str
    storno: str
    closed_through: date | None
    month: Month
    state: str
    drafts: int
    report: Mapping[str, Any] | None
    sha256: str | None
    closed_by: str
    closed_at: datetime
    reopened_by: str | None
    reopened_at: datetime | None
    reason: str | None

    @property
    def is_untouched(self) -> bool:
        """Whether the report still is what was kept."""
        return self.report is None or digest(self.report) == self.sha256

    @property
    def is_last(self) -> bool:
        """Whether no later month of the book is closed, so that this one can be opened again."""
        return self.state == "closed" and self.closed_through == self.month.last


CLOSINGS_SQL: Final[LiteralString] = """
select m.id, m.book, b.name as book_name, b.storno, b.closed_through, m.month, m.state, m.drafts, m.report, m.sha256,
       coalesce(closer.name, m.closed_by) as closed_by, m.closed_at,
       coalesce(opener.name, m.reopened_by) as reopened_by, m.reopened_at, m.reason
from payments.month_close m
join payments.book b on b.id = m.book
left join kernel.users closer on closer.id = case when m.closed_by ~ '^[0-9]{1,18}$' then m.closed_by::bigint end
left join kernel.users opener on opener.id = case when m.reopened_by ~ '^[0-9]{1,18}$' then m.reopened_by::bigint end
where m.book = $1 and ($2::date is null or m.month = $2)
order by m.id desc
limit $3
"""


async def closings(conn: Connection, book: int, limit: int = 60) -> list[Closing]:
    """The closings of a book, the newest first, with those that failed or were opened again."""
    return await _closings(conn, book, None, limit)


async def closing(conn: Connection, book: int, month: Month) -> Closing | None:
    """The newest closing of a month, or None."""
    found = await _closings(conn, book, month.first, 1)
    return found[0] if found else None


async def _closings(conn: Connection, book: int, month: date | None, limit: int) -> list[Closing]:
    rows = await conn.fetch(CLOSINGS_SQL, book, month, limit)
    return [_closing(row) for row in rows]


def _closing(row: Row) -> Closing:
    facts = dict(row)
    return Closing(month=Month(facts.pop("month")), **facts)


BOOK_MONTHS_SQL: Final[LiteralString] = """
select b.id, b.name, b.closed_through,
       (select coalesce(jsonb_object_agg(d.month, d.drafts), '{}') from (
           select to_char(e.counted_on, 'YYYY-MM') as month, count(*) as drafts from (
               select e.counted_on
               from payments.entry e join payments.account a on a.id = e.account_id
               where a.book = b.id and e.state = 'draft' and e.counted_on < $2
               limit 10000
           ) e group by 1
       ) d) as drafts
from payments.book b
where b.id = $1
"""


@dataclass(frozen=True, slots=True)
class BookMonths:
    """A book as its months see it; ``drafts``: how many are dated in each month that has begun, counted up to ten
    thousand."""

    id: int
    name: str
    closed_through: date | None
    drafts: Mapping[Month, int]


async def book_months(conn: Connection, book: int, today: date) -> BookMonths | None:
    """A book with the drafts that are dated before today, or None."""
    row = await conn.fetchrow(BOOK_MONTHS_SQL, book, today)
    if row is None:
        return None
    drafts = {Month.parsed(month): count for month, count in row["drafts"].items()}
    return BookMonths(row["id"], row["name"], row["closed_through"], drafts)


BEGIN_CLOSE_SQL: Final[LiteralString] = "select payments.begin_month_close($1, $2, $3, $4, $5)"


async def begin_close(
    conn: Connection, book: int, month: Month, *, acknowledged: bool, today: date, at: datetime
) -> int:
    """Close a month for booking and have its control report made (job ``payments.close_month``); the closing's id.

    ``acknowledged``: drafts dated in the month are left for the next one knowingly. Raises Refused.
    """
    with refusals():
        made: int = await conn.fetchval(BEGIN_CLOSE_SQL, book, month.first, acknowledged, today, at)
    await enqueue(conn, "payments.close_month", {"closing": made})
    return made


TO_CONTROL_SQL: Final[LiteralString] = """
select m.id, m.book, m.month, m.drafts, b.code, b.name, b.storno,
       (select c.report from payments.month_close c
        where c.book = m.book and c.month < m.month and c.state = 'closed' order by c.month desc limit 1) as before
from payments.month_close m join payments.book b on b.id = m.book
where m.id = $1 and m.state = 'running'
"""

# One statement, so one moment: nothing is posted between the sums, the journal and the kept balances.
CONTROL_SQL: Final[LiteralString] = """
with sums as materialized (
    select e.account_id, e.side, e.kind, e.state = 'approved' as counts,
           payments.takes_back(e.side, e.kind, e.corrects) and $5 = 'red' as is_turned,
           case when e.booked_on < $2 then 0 when e.booked_on < $3 then 1 when e.booked_on <= $4 then 2 else 3 end
               as era,
           count(*) as entries, sum(e.amount)::bigint as amount, min(e.journal_no) as first, max(e.journal_no) as last
    from payments.account a join payments.entry e on e.account_id = a.id
    where a.book = $1 and e.state <> 'draft'
    group by 1, 2, 3, 4, 5, 6
), signed as (
    select s.*, case when not counts or (side = 'charge') = is_turned then 0 when is_turned then -amount else amount end
               as debit,
           case when not counts or (side = 'credit') = is_turned then 0 when is_turned then -amount else amount end
               as credit
    from sums s
), per_account as (
    select account_id, sum(debit - credit) filter (where era < 2) as opening,
           sum(debit - credit) filter (where era < 3) as closing
    from signed group by account_id
), numbered as (
    select count(*) as counted, count(distinct e.journal_no) as different
    from payments.account a join payments.entry e on e.account_id = a.id
    where a.book = $1 and e.state <> 'draft' and e.journal_no > $6
)
select t.*, y.*, n.counted, n.different, k.*, w.*, b.last_journal_no as upto,
       coalesce((select jsonb_agg(jsonb_build_object('side', g.side, 'kind', g.kind, 'entries', g.entries,
                   'debit', g.debit, 'credit', g.credit) order by g.side, g.kind)
           from (
               select side, kind, sum(entries)::bigint as entries, sum(debit)::bigint as debit,
                      sum(credit)::bigint as credit
               from signed where era = 2 and counts group by side, kind
           ) g), '[]') as kinds
from payments.book b
cross join (
    select coalesce(sum(greatest(opening, 0)), 0)::bigint as opening_debit,
           coalesce(sum(greatest(-opening, 0)), 0)::bigint as opening_credit,
           coalesce(sum(greatest(closing, 0)), 0)::bigint as closing_debit,
           coalesce(sum(greatest(-closing, 0)), 0)::bigint as closing_credit,
           count(*) filter (where closing > 0) as owing, count(*) filter (where closing < 0) as overpaid
    from per_account
) t
cross join (
    select coalesce(sum(debit) filter (where era = 2), 0)::bigint as debit,
           coalesce(sum(credit) filter (where era = 2), 0)::bigint as credit,
           coalesce(sum(debit) filter (where era in (1, 2)), 0)::bigint as year_debit,
           coalesce(sum(credit) filter (where era in (1, 2)), 0)::bigint as year_credit,
           coalesce(sum(debit - credit), 0)::bigint as entries_balance,
           min(first) filter (where era = 2) as first, max(last) filter (where era = 2) as last
    from signed
) y
cross join numbered n
cross join (
    select count(*) as accounts, coalesce(sum(k.balance), 0)::bigint as kept_balance,
           count(*) filter (where k.oldest_open_due <= $4) as in_arrears,
           encode(sha256(convert_to(coalesce(string_agg(k.account_id || ':' || encode(k.seal, 'hex'), ';'
               order by k.account_id), ''), 'UTF8')), 'hex') as seal
    from payments.account a join payments.account_balance k on k.account_id = a.id
    where a.book = $1
) k
cross join (
    select count(*) as suspense_lines, coalesce(sum(i.left_amount), 0)::bigint as suspense
    from payments.incoming i where i.left_amount > 0 and i.booked_on <= $4
) w
where b.id = $1
"""
END_CLOSE_SQL: Final[LiteralString] = "select payments.end_month_close($1, $2, $3, $4)"


async def make_report(conn: Connection, closing: int) -> str | None:
    """Make and keep the control report of a closing, audited; the state it ends in.

    None: there is nothing to do, somebody made it already. One transaction; safe to repeat.
    """
    row = await conn.fetchrow(TO_CONTROL_SQL, closing)
    if row is None:
        return None
    month, before = Month(row["month"]), row["before"]
    control = await _control(conn, row["book"], month, row["storno"], before)
    findings = control.findings()
    report = {
        "book": row["code"],
        "book_name": row["name"],
        "month": str(month),
        "storno": row["storno"],
        "drafts_left": row["drafts"],
        "findings": findings,
        **control.facts(),
    }
    kept: bool = await conn.fetchval(END_CLOSE_SQL, closing, report, digest(report), not findings)
    if not kept:
        return None
    state = "failed" if findings else "closed"
    await audit(
        conn,
        "payments.month_closed" if state == "closed" else "payments.month_close_failed",
        subject=f"book {row['book']}",
        book=row["book"],
        name=row["name"],
        month=str(month),
        sha256=digest(report),
        findings=findings,
    )
    return state


async def _control(conn: Connection, book: int, month: Month, storno: str, before: Mapping[str, Any] | None) -> Control:
    proven: int = before["journal"]["upto"] if before else 0
    row = await conn.fetchrow(CONTROL_SQL, book, month.year_start, month.first, month.last, storno, proven)
    assert row is not None  # noqa: S101  the book of a closing is there
    return Control(
        turnover=Turnover(**{name: row[name] for name in Turnover.__slots__}),
        kinds=tuple(KindSum(**line) for line in row["kinds"]),
        journal=Journal(row["first"], row["last"], proven, row["upto"], row["counted"], row["different"]),
        accounts=row["accounts"],
        owing=row["owing"],
        overpaid=row["overpaid"],
        in_arrears=row["in_arrears"],
        entries_balance=row["entries_balance"],
        kept_balance=row["kept_balance"],
        opening_expected=_closing_balance(before) if before and before["month"] == str(month.previous) else None,
        seal=row["seal"],
        suspense_lines=row["suspense_lines"],
        suspense=row["suspense"],
    )


def _closing_balance(report: Mapping[str, Any]) -> int:
    turnover = report["turnover"]
    return turnover["closing_debit"] - turnover["closing_credit"]


REOPEN_MONTH_SQL: Final[LiteralString] = "select payments.reopen_month($1, $2, $3, $4)"


async def reopen(conn: Connection, closed: Closing, reason: str, at: datetime) -> None:
    """Open the last closed month again, audited; its report stays in the history. Raises Refused."""
    with refusals():
        await conn.execute(REOPEN_MONTH_SQL, closed.book, closed.month.first, reason, at)
    await audit(
        conn,
        "payments.month_reopened",
        subject=f"book {closed.book}",
        book=closed.book,
        name=closed.book_name,
        month=str(closed.month),
        reason=reason,
    )


TURNOVER_LISTED: Final[LiteralString] = """
select a.id, a.account_no, a.customer, c.customer_no, c.name, t.*
from payments.account a
join kernel.customer c on c.id = a.customer
cross join lateral (
    select nullif(greatest(opening, 0), 0) as opening_debit, nullif(greatest(-opening, 0), 0) as opening_credit,
           nullif(debit, 0) as debit, nullif(credit, 0) as credit, nullif(year_debit, 0) as year_debit,
           nullif(year_credit, 0) as year_credit, nullif(greatest(closing, 0), 0) as closing_debit,
           nullif(greatest(-closing, 0), 0) as closing_credit
    from (
        select coalesce(sum(debit - credit) filter (where s.booked_on < $3), 0)::bigint as opening,
               coalesce(sum(debit) filter (where s.booked_on >= $3), 0)::bigint as debit,
               coalesce(sum(credit) filter (where s.booked_on >= $3), 0)::bigint as credit,
               coalesce(sum(debit) filter (where s.booked_on >= $2), 0)::bigint as year_debit,
               coalesce(sum(credit) filter (where s.booked_on >= $2), 0)::bigint as year_credit,
               coalesce(sum(debit - credit), 0)::bigint as closing
        from (
            select e.booked_on,
                   case when (e.side = 'charge') = e.is_turned then 0 when e.is_turned then -e.amount else e.amount end
                       as debit,
                   case when (e.side = 'credit') = e.is_turned then 0 when e.is_turned then -e.amount else e.amount end
                       as credit
            from (
                select e.booked_on, e.side, e.amount,
                       payments.takes_back(e.side, e.kind, e.corrects) and $5 = 'red' as is_turned
                from payments.entry e
                where e.account_id = a.id and e.state = 'approved' and e.booked_on <= $4
            ) e
        ) s
    ) sums
) t
where a.book = $1"""
"""A line for each account of a book, for ``Listing``: $1 book, $2 1 January, $3 and $4 the month's first and last day,
$5 its storno. Only the accounts of a page are summed."""

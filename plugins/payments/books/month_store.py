"""Closed months in SQL: what stands against closing, the sums of the control report, turnover of accounts."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, LiteralString

from kernel import Connection, Row, Text, _, audit, enqueue
from plugins.payments.books.model import Control, Journal, KindSum, Month, Turnover, digest
from plugins.payments.refusing import refusing

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


refusals: Final = partial(refusing, REFUSALS)


@dataclass(frozen=True, slots=True)
class Closing:
    """A closing of a month. ``state``: running (``done`` per cent), closed, failed or reopened; ``report`` and its
    ``sha256`` are there once the report is made."""

    id: int
    book: int
    book_name: str
    storno: str
    closed_through: date | None
    month: Month
    state: str
    done: int
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
select m.id, m.book, b.name as book_name, b.storno, b.closed_through, m.month, m.state, m.done, m.drafts,
       m.report, m.sha256,
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
select m.id, m.book, m.month, m.drafts, b.code, b.name, b.storno, b.last_journal_no as upto,
       (select count(*) from payments.account a where a.book = m.book) as accounts,
       (select count(*) from payments.incoming i
        where i.left_amount > 0 and i.booked_on < m.month + interval '1 month') as suspense_lines,
       (select coalesce(sum(i.left_amount), 0)::bigint from payments.incoming i
        where i.left_amount > 0 and i.booked_on < m.month + interval '1 month') as suspense,
       (select c.report from payments.month_close c
        where c.book = m.book and c.month < m.month and c.state = 'closed' order by c.month desc limit 1) as before
from payments.month_close m join payments.book b on b.id = m.book
where m.id = $1 and m.state = 'running'
"""

# The next accounts of a book, in one statement and so of one moment each: nothing is posted between their entries and
# their kept balances. What was booked through the month's end stands still already.
CONTROL_SQL: Final[LiteralString] = """
with part as (
    select a.id from payments.account a where a.book = $1 and a.id > $6 order by a.id limit $7
), sums as materialized (
    select e.account_id, e.side, e.kind, e.state = 'approved' as counts,
           payments.takes_back(e.side, e.kind, e.corrects) and $5 = 'red' as is_turned,
           case when e.booked_on < $2 then 0 when e.booked_on < $3 then 1 when e.booked_on <= $4 then 2 else 3 end
               as era,
           count(*) as entries, sum(e.amount)::bigint as amount, min(e.journal_no) as first, max(e.journal_no) as last,
           count(*) filter (where e.journal_no > $8 and e.journal_no <= $9) as counted,
           sum(hashint8extended(e.journal_no, $10)::numeric) filter (where e.journal_no > $8 and e.journal_no <= $9)
               as print
    from part p join payments.entry e on e.account_id = p.id
    where e.state <> 'draft'
    group by 1, 2, 3, 4, 5, 6
), signed as (
    select s.*, case when not counts or (side = 'charge') = is_turned then 0 when is_turned then -amount else amount end
               as debit,
           case when not counts or (side = 'credit') = is_turned then 0 when is_turned then -amount else amount end
               as credit
    from sums s
), per_account as (
    select p.id, coalesce(k.balance, 0) as kept, k.oldest_open_due, k.seal, coalesce(s.opening, 0) as opening,
           coalesce(s.closing, 0) as closing, coalesce(s.balance, 0) as balance
    from part p
    left join payments.account_balance k on k.account_id = p.id
    left join (
        select account_id, sum(debit - credit) filter (where era < 2) as opening,
               sum(debit - credit) filter (where era < 3) as closing, sum(debit - credit) as balance
        from signed group by account_id
    ) s on s.account_id = p.id
)
select t.*, y.*,
       coalesce((select jsonb_agg(jsonb_build_object('side', g.side, 'kind', g.kind, 'entries', g.entries,
                   'debit', g.debit, 'credit', g.credit))
           from (
               select side, kind, sum(entries)::bigint as entries, sum(debit)::bigint as debit,
                      sum(credit)::bigint as credit
               from signed where era = 2 and counts group by side, kind
           ) g), '[]') as kinds
from (
    select max(id) as reached, count(*) as accounts,
           coalesce(sum(greatest(opening, 0)), 0)::bigint as opening_debit,
           coalesce(sum(greatest(-opening, 0)), 0)::bigint as opening_credit,
           coalesce(sum(greatest(closing, 0)), 0)::bigint as closing_debit,
           coalesce(sum(greatest(-closing, 0)), 0)::bigint as closing_credit,
           count(*) filter (where closing > 0) as owing, count(*) filter (where closing < 0) as overpaid,
           count(*) filter (where oldest_open_due <= $4) as in_arrears,
           count(*) filter (where balance <> kept) as differing,
           coalesce(sum(balance), 0)::bigint as entries_balance, coalesce(sum(kept), 0)::bigint as kept_balance,
           coalesce(string_agg(id || ':' || coalesce(encode(seal, 'hex'), '') || ';', '' order by id), '') as seals
    from per_account
) t
cross join (
    select coalesce(sum(debit) filter (where era = 2), 0)::bigint as debit,
           coalesce(sum(credit) filter (where era = 2), 0)::bigint as credit,
           coalesce(sum(debit) filter (where era in (1, 2)), 0)::bigint as year_debit,
           coalesce(sum(credit) filter (where era in (1, 2)), 0)::bigint as year_credit,
           min(first) filter (where era = 2) as first, max(last) filter (where era = 2) as last,
           coalesce(sum(counted), 0)::bigint as counted, coalesce(sum(print), 0) as print
    from signed
) y
"""
WHOLE_JOURNAL_SQL: Final[LiteralString] = """
select coalesce(sum(hashint8extended(n, $3)::numeric), 0) from generate_series($1::bigint, $2::bigint) n
"""
PROGRESS_SQL: Final[LiteralString] = "select payments.note_month_close($1, $2)"
END_CLOSE_SQL: Final[LiteralString] = "select payments.end_month_close($1, $2, $3, $4)"
AT_ONCE: Final = 2_000
"""Accounts summed by one statement."""


async def note_progress(conn: Connection, closing: int, percent: int) -> None:
    """Say how much of a closing's report is made."""
    await conn.execute(PROGRESS_SQL, closing, percent)


async def make_report(
    conn: Connection, closing: int, noted: Callable[[int], Awaitable[None]] | None = None
) -> str | None:
    """Make and keep the control report of a closing, audited; the state it ends in.

    None: there is nothing to do, somebody made it already. Safe to repeat. ``noted`` is told the percentage done.
    """
    row = await conn.fetchrow(TO_CONTROL_SQL, closing)
    if row is None:
        return None
    month = Month(row["month"])
    control = await _control(conn, row, month, noted)
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


async def _control(
    conn: Connection, asked: Row, month: Month, noted: Callable[[int], Awaitable[None]] | None
) -> Control:
    before: Mapping[str, Any] | None = asked["before"]
    proven: int = before["journal"]["upto"] if before else 0
    seed = secrets.randbits(62)
    gathered = Gathered()
    reached = 0
    while True:
        part = await conn.fetchrow(
            CONTROL_SQL,
            asked["book"],
            month.year_start,
            month.first,
            month.last,
            asked["storno"],
            reached,
            AT_ONCE,
            proven,
            asked["upto"],
            seed,
        )
        if part is None or part["reached"] is None:
            break
        gathered.add(part)
        reached = part["reached"]
        if noted is not None:
            await noted(min(99, gathered.counts["accounts"] * 100 // max(1, asked["accounts"])))
    whole: Decimal = await conn.fetchval(WHOLE_JOURNAL_SQL, proven + 1, asked["upto"], seed)
    return gathered.control(
        Journal(
            first=gathered.first,
            last=gathered.last,
            proven=proven,
            upto=asked["upto"],
            counted=gathered.counts["counted"],
            is_whole=gathered.print == whole,
        ),
        opening_expected=_closing_balance(before) if before and before["month"] == str(month.previous) else None,
        suspense_lines=asked["suspense_lines"],
        suspense=asked["suspense"],
    )


@dataclass(slots=True)
class Gathered:
    """What the statements of a control report have summed so far."""

    turnover: Turnover = field(default_factory=Turnover)
    counts: Counter[str] = field(default_factory=Counter[str])
    kinds: dict[tuple[str, str], Counter[str]] = field(default_factory=dict[tuple[str, str], Counter[str]])
    first: int | None = None
    last: int | None = None
    print: Decimal = Decimal(0)
    seals: Any = field(default_factory=hashlib.sha256)

    def add(self, part: Row) -> None:
        """Take in the sums of some accounts."""
        self.turnover += Turnover(**{name: part[name] for name in Turnover.__slots__})
        self.counts.update({name: part[name] for name in _COUNTED})
        for line in part["kinds"]:
            sums = self.kinds.setdefault((line["side"], line["kind"]), Counter())
            sums.update({name: line[name] for name in ("entries", "debit", "credit")})
        numbers = [number for number in (self.first, part["first"]) if number is not None]
        self.first = min(numbers, default=None)
        numbers = [number for number in (self.last, part["last"]) if number is not None]
        self.last = max(numbers, default=None)
        self.print += part["print"]
        self.seals.update(part["seals"].encode())

    def control(self, journal: Journal, *, opening_expected: int | None, suspense_lines: int, suspense: int) -> Control:
        """The whole report."""
        counts = self.counts
        return Control(
            turnover=self.turnover,
            kinds=tuple(
                KindSum(side, kind, sums["entries"], sums["debit"], sums["credit"])
                for (side, kind), sums in sorted(self.kinds.items())
            ),
            journal=journal,
            accounts=counts["accounts"],
            owing=counts["owing"],
            overpaid=counts["overpaid"],
            in_arrears=counts["in_arrears"],
            differing=counts["differing"],
            entries_balance=counts["entries_balance"],
            kept_balance=counts["kept_balance"],
            opening_expected=opening_expected,
            seal=self.seals.hexdigest(),
            suspense_lines=suspense_lines,
            suspense=suspense,
        )


_COUNTED: Final = (
    "accounts",
    "owing",
    "overpaid",
    "in_arrears",
    "differing",
    "entries_balance",
    "kept_balance",
    "counted",
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


# --- proofs ---------------------------------------------------------------------------------------------------------

WRONG_ENDS_SQL: Final[LiteralString] = """
select b.code, b.closed_through, m.through
from payments.book b
left join (
    select book, (max(month) + interval '1 month')::date - 1 as through
    from payments.month_close where state in ('running', 'closed') group by book
) m on m.book = b.id
where b.closed_through is distinct from m.through
order by b.id
limit 100
"""
REPORTS_SQL: Final[LiteralString] = """
select m.id, b.code, m.month, m.report, m.sha256
from payments.month_close m join payments.book b on b.id = m.book
where m.id > $1 and m.report is not null
order by m.id
limit $2
"""


async def wrong_ends(conn: Connection) -> Sequence[Row]:
    """Books that are not closed through their last closed month."""
    return await conn.fetch(WRONG_ENDS_SQL)


async def reports(conn: Connection, after: int, limit: int) -> Sequence[Row]:
    """The control reports after a closing's id, with their digests."""
    return await conn.fetch(REPORTS_SQL, after, limit)

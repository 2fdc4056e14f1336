"""The SQL of lists of charges: what was typed, what it says, and the drafts that it became."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, LiteralString

from kernel import Connection, Money, Row
from plugins.payments.charging.accounts import Resolved
from plugins.payments.charging.reading import Cells, Said, Wrong
from plugins.payments.store import Key


@dataclass(frozen=True, slots=True)
class Batch:
    """A list of charges. ``lines`` in all, of which ``wrong`` cannot be taken and ``repeated`` are there already;
    ``charged`` and ``credited`` sum the others. ``drafts`` and ``approved`` count what became of an entered list."""

    id: int
    name: str
    kind: str
    book: int
    book_name: str
    issued_on: date
    due_on: date | None
    columns: tuple[str, ...]
    state: str
    lines: int
    done: int
    wrong: int
    repeated: int
    charged: Money
    credited: Money
    reason: str
    created_by: str
    created_at: datetime
    entered_by: str | None
    entered_at: datetime | None
    drafts: int
    approved: int

    @property
    def good(self) -> int:
        """Lines that can be entered and are not there already."""
        return self.lines - self.wrong - self.repeated


ADD_SQL: Final[LiteralString] = """
insert into payments.charge_batch (name, kind, book, issued_on, due_on, columns, lines)
values ($1, $2, $3, $4, $5, $6, $7)
returning id
"""


async def add(
    conn: Connection,
    *,
    name: str,
    kind: str,
    book: int,
    issued_on: date,
    due_on: date | None,
    columns: Sequence[str],
    lines: Sequence[Cells],
) -> int:
    """Keep a list as it was typed; its number."""
    number = await conn.fetchval(ADD_SQL, name, kind, book, issued_on, due_on, list(columns), len(lines))
    await add_lines(conn, number, [(line.number, line.typed) for line in lines])
    return number


async def add_lines(conn: Connection, batch: int, lines: Iterable[tuple[int, Sequence[str]]]) -> None:
    """Keep lines as they were typed, under their numbers."""
    await conn.copy_records_to_table(
        "charge_batch_line",
        schema_name="payments",
        columns=("batch", "line", "typed"),
        records=[(batch, number, list(typed)) for number, typed in lines],
    )


BATCH_SQL: Final[LiteralString] = """
select b.id, b.name, b.kind, b.book, k.name as book_name, b.issued_on, b.due_on, b.columns, b.state, b.lines, b.done,
       b.wrong, b.repeated, b.charged, b.credited, b.reason, coalesce(author.name, b.created_by, '') as created_by,
       b.created_at, coalesce(enterer.name, b.entered_by) as entered_by, b.entered_at, s.drafts, s.approved
from payments.charge_batch b
join payments.book k on k.id = b.book
left join kernel.users author on author.id = case when b.created_by ~ '^[0-9]{1,18}$' then b.created_by::bigint end
left join kernel.users enterer on enterer.id = case when b.entered_by ~ '^[0-9]{1,18}$' then b.entered_by::bigint end
cross join lateral (
    select count(*) filter (where e.state = 'draft') as drafts,
           count(*) filter (where e.state = 'approved') as approved
    from payments.charge_batch_line l
    join payments.entry e on e.account_id = l.account_id and e.id = l.entry
    where l.batch = b.id and b.state in ('entered', 'approving')
) s
where b.id = $1
"""


async def batch(conn: Connection, number: int) -> Batch | None:
    """A list, or None."""
    row = await conn.fetchrow(BATCH_SQL, number)
    if row is None:
        return None
    values: dict[str, Any] = {**row, "columns": tuple(row["columns"])}
    for name in ("charged", "credited"):
        values[name] = Money(values[name])
    return Batch(**values)


# --- checking -------------------------------------------------------------------------------------------------------

CLAIM_SQL: Final[LiteralString] = "select pg_advisory_xact_lock(hashtextextended('payments.charge_batch', $1))"
STATE_SQL: Final[LiteralString] = "select state from payments.charge_batch where id = $1"


async def claim(conn: Connection, number: int) -> str | None:
    """Be the only one that works at this list until the transaction ends; its state then."""
    await conn.execute(CLAIM_SQL, number)
    return await conn.fetchval(STATE_SQL, number)


async def take_turns(conn: Connection) -> None:
    """Enter one list at a time until the transaction ends, so that none misses what another is just entering."""
    await conn.execute(CLAIM_SQL, 0)


LINES_SQL: Final[LiteralString] = """
select line, typed from payments.charge_batch_line where batch = $1 and line > $2 order by line limit $3
"""


async def typed_lines(conn: Connection, number: int, after: int, most: int) -> list[Cells]:
    """The next lines as they were typed."""
    rows = await conn.fetch(LINES_SQL, number, after, most)
    return [Cells(row["line"], tuple(row["typed"])) for row in rows]


WRITE_SQL: Final[LiteralString] = """
update payments.charge_batch_line l
set problem = w.problem, problem_in = w.problem_in, account_id = w.account_id, customer = w.customer, side = w.side,
    amount = w.amount, due_on = w.due_on, period = w.period, title = w.title, document_no = w.document_no
from unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::date[],
    $10::text[], $11::text[], $12::text[])
    w (line, problem, problem_in, account_id, customer, side, amount, due_on, period, title, document_no)
where l.batch = $1 and l.line = w.line
"""


async def write_lines(
    conn: Connection, number: int, said: Mapping[int, Said | Wrong], whose: Mapping[str, Resolved]
) -> None:
    """Write what lines say beside what was typed. ``whose`` is known for every number of a ``Said``."""
    right = {line: one for line, one in said.items() if isinstance(one, Said)}
    wrong = {line: one for line, one in said.items() if isinstance(one, Wrong)}
    found = [whose[one.number] for one in right.values()]
    blank = [None] * len(wrong)
    empty = [""] * len(wrong)
    await conn.execute(
        WRITE_SQL,
        number,
        [*right, *wrong],
        [*([""] * len(right)), *(one.message for one in wrong.values())],
        [*([""] * len(right)), *(one.column for one in wrong.values())],
        [*(one.account for one in found), *blank],
        [*(one.customer for one in found), *blank],
        [*("credit" if one.is_credit else "charge" for one in right.values()), *blank],
        [*(one.amount.grosze for one in right.values()), *blank],
        [*(one.due_on for one in right.values()), *blank],
        [*(one.period for one in right.values()), *empty],
        [*(one.title for one in right.values()), *empty],
        [*(one.document_no for one in right.values()), *empty],
    )


REPEATED_SQL: Final[LiteralString] = """
with said as (
    select l.line, row_number() over (
        partition by l.customer, l.account_id, l.side, l.amount, l.document_no,
            case l.document_no when '' then l.due_on end, case l.document_no when '' then l.title end
        order by l.line) > 1
        or exists (
            select from payments.entry e
            where e.account_id = l.account_id and e.side = l.side and e.amount = l.amount and e.state <> 'voided'
              and e.document_no = l.document_no and e.kind <> 'reversal'
              and (l.document_no <> '' or e.title = l.title and e.due_on is not distinct from
                case l.side when 'charge' then l.due_on end)
              and not exists (
                select from payments.entry r
                where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved')
        ) as is_repeated
    from payments.charge_batch_line l where l.batch = $1 and l.problem = ''
)
update payments.charge_batch_line l set is_repeated = s.is_repeated
from said s where l.batch = $1 and l.line = s.line and l.is_repeated <> s.is_repeated
"""
SUM_UP_SQL: Final[LiteralString] = """
update payments.charge_batch b
set state = 'ready', lines = s.lines, done = s.lines, wrong = s.wrong, repeated = s.repeated, charged = s.charged,
    credited = s.credited, reason = ''
from (
    select count(*) as lines, count(*) filter (where problem <> '') as wrong,
           count(*) filter (where problem = '' and is_repeated) as repeated,
           coalesce(sum(amount) filter (where problem = '' and not is_repeated and side = 'charge'), 0)::bigint
               as charged,
           coalesce(sum(amount) filter (where problem = '' and not is_repeated and side = 'credit'), 0)::bigint
               as credited
    from payments.charge_batch_line where batch = $1
) s
where b.id = $1 and b.state = 'checking'
"""


async def sum_up(conn: Connection, number: int) -> None:
    """Find what is in the list twice or in the ledger already, and what the list comes to; it is ready then."""
    await conn.execute(REPEATED_SQL, number)
    await conn.execute(SUM_UP_SQL, number)


PROGRESS_SQL: Final[LiteralString] = "update payments.charge_batch set done = $2 where id = $1"


async def tell_progress(conn: Connection, number: int, done: int) -> None:
    """How many lines are checked; on a connection of its own, so that others see it at once."""
    await conn.execute(PROGRESS_SQL, number, done)


# --- correcting -----------------------------------------------------------------------------------------------------

WRONG_SQL: Final[LiteralString] = """
select line, typed, problem, problem_in from payments.charge_batch_line
where batch = $1 and problem <> '' order by line limit $2
"""
FORGET_LINES_SQL: Final[LiteralString] = """
delete from payments.charge_batch_line where batch = $1 and line = any ($2::bigint[])
"""
LAST_LINE_SQL: Final[LiteralString] = """
select coalesce(max(line), 0) from payments.charge_batch_line where batch = $1
"""


async def wrong_lines(conn: Connection, number: int, most: int) -> Sequence[Row]:
    """The first lines that cannot be taken, with the reason of each."""
    return await conn.fetch(WRONG_SQL, number, most)


async def replace_lines(conn: Connection, number: int, gone: Sequence[int], typed: Sequence[Sequence[str]]) -> None:
    """Put newly typed lines in the place of others; more of them than there were come at the end."""
    last = await conn.fetchval(LAST_LINE_SQL, number)
    await conn.execute(FORGET_LINES_SQL, number, list(gone))
    extra = range(last + 1, last + 1 + max(0, len(typed) - len(gone)))
    await add_lines(conn, number, zip([*gone, *extra], typed, strict=False))


MOVE_SQL: Final[LiteralString] = """
update payments.charge_batch
set state = $3, reason = $4, done = 0,
    entered_by = case when $3 = 'entered' and entered_at is null then current_setting('ebok.actor', true)
        else entered_by end,
    entered_at = case when $3 = 'entered' and entered_at is null then now() else entered_at end
where id = $1 and state = any ($2::text[])
returning id
"""


async def move(conn: Connection, number: int, before: Sequence[str], after: str, reason: str = "") -> bool:
    """Take a list from one of the states ``before`` to ``after``. False when it is in none of them (any more)."""
    return await conn.fetchval(MOVE_SQL, number, list(before), after, reason) is not None


# --- entering -------------------------------------------------------------------------------------------------------

HOMELESS_SQL: Final[LiteralString] = """
select distinct customer from payments.charge_batch_line
where batch = $1 and problem = '' and account_id is null and customer is not null
"""
HOUSE_SQL: Final[LiteralString] = """
update payments.charge_batch_line l set account_id = h.account_id
from unnest($2::bigint[], $3::bigint[]) h (customer, account_id)
where l.batch = $1 and l.problem = '' and l.account_id is null and l.customer = h.customer
"""


async def homeless(conn: Connection, number: int) -> list[int]:
    """Customers of the list whose account is still to be opened."""
    return [row["customer"] for row in await conn.fetch(HOMELESS_SQL, number)]


async def house(conn: Connection, number: int, accounts: Mapping[int, int]) -> None:
    """Give lines the accounts that were opened for them: customer → account."""
    await conn.execute(HOUSE_SQL, number, list(accounts), list(accounts.values()))


COUNT_REPEATED_SQL: Final[LiteralString] = """
select count(*) from payments.charge_batch_line where batch = $1 and problem = '' and is_repeated
"""


async def repeated_now(conn: Connection, number: int) -> int:
    """How many lines are in the list twice or in the ledger by now; they are marked."""
    await conn.execute(REPEATED_SQL, number)
    return await conn.fetchval(COUNT_REPEATED_SQL, number)


ENTER_SQL: Final[LiteralString] = """
with list as (
    select * from payments.charge_batch where id = $1
), line as materialized (
    select l.*, nextval('payments.entry_id') as number
    from (
        select * from payments.charge_batch_line
        where batch = $1 and problem = '' and ($2 or not is_repeated) and account_id is not null and entry is null
        order by line
    ) l
), made as (
    insert into payments.entry (account_id, id, side, kind, amount, issued_on, due_on, value_date, period, title,
        document_no, source, external_id)
    select l.account_id, l.number, l.side, b.kind, l.amount, case l.side when 'charge' then b.issued_on end,
           case l.side when 'charge' then l.due_on end, case l.side when 'credit' then b.issued_on end, l.period,
           l.title, l.document_no, 'list', l.batch || '/' || l.line
    from line l, list b
), linked as (
    update payments.charge_batch_line t set entry = l.number from line l where t.batch = $1 and t.line = l.line
)
select count(*) as entries, coalesce(sum(amount) filter (where side = 'charge'), 0)::bigint as charged,
       coalesce(sum(amount) filter (where side = 'credit'), 0)::bigint as credited
from line
"""


async def enter(conn: Connection, number: int, *, again: bool) -> Row:
    """Enter the good lines as drafts, with ``again`` also those that are there already; how many, and their sums."""
    row = await conn.fetchrow(ENTER_SQL, number, again)
    assert row is not None  # noqa: S101  an aggregate has one row
    return row


DRAFTS_SQL: Final[LiteralString] = """
select e.account_id, e.id
from payments.charge_batch_line l join payments.entry e on e.account_id = l.account_id and e.id = l.entry
where l.batch = $1 and e.state = 'draft'
order by e.account_id, e.id
"""


WAITING_SQL: Final[LiteralString] = """
select count(*) as entries, coalesce(sum(e.amount), 0)::bigint as amount,
       coalesce(md5(string_agg(concat_ws(':', e.id, e.account_id, e.amount, e.counted_on, e.due_on, e.title), ','
           order by e.id)), '') as seen
from payments.charge_batch_line l join payments.entry e on e.account_id = l.account_id and e.id = l.entry
where l.batch = $1 and e.state = 'draft'
"""


async def waiting(conn: Connection, number: int) -> Row:
    """The drafts of a list: how many ``entries``, the sum of their amounts (grosze), and ``seen``, which stands for
    exactly these with these facts."""
    row = await conn.fetchrow(WAITING_SQL, number)
    assert row is not None  # noqa: S101  an aggregate has one row
    return row


async def drafts(conn: Connection, number: int) -> list[Key]:
    """What of an entered list still waits for approval."""
    return [Key(row["account_id"], row["id"]) for row in await conn.fetch(DRAFTS_SQL, number)]


FORGET_SQL: Final[LiteralString] = """
delete from payments.charge_batch where id = $1 and state in ('checking', 'ready') returning id
"""


async def forget(conn: Connection, number: int) -> bool:
    """Remove a list that was never entered. False when it was."""
    return await conn.fetchval(FORGET_SQL, number) is not None


FORGET_OLD_LINES_SQL: Final[LiteralString] = """
delete from payments.charge_batch_line l using payments.charge_batch b
where b.id = l.batch and b.state in ('entered', 'deleted') and b.entered_at < now() - make_interval(days => $1)
  and not exists (
    select from payments.charge_batch_line k join payments.entry e on e.account_id = k.account_id and e.id = k.entry
    where k.batch = b.id and e.state = 'draft')
"""


async def forget_old_lines(conn: Connection, days: int) -> None:
    """Remove what was typed in lists that were entered so long ago and of which no draft is left; their sums stay."""
    await conn.execute(FORGET_OLD_LINES_SQL, days)

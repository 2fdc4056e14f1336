"""Bank files' SQL: files, statements, lines, whom lines point to, and what is theirs in suspense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, LiteralString

from kernel import Connection, Money, Refused, Row, Text, _
from plugins.payments.bank.model import Asked, Found, Hint, Match, OrderFound, kept, told
from plugins.payments.bank.statement import Statement, StatementLine, line_keys, refusal, sequence_of
from plugins.payments.suspense.store import refusals

# --- files ----------------------------------------------------------------------------------------------------------

ADD_FILE_SQL: Final[LiteralString] = """
insert into payments.bank_file as f (name, hash, bytes, state) values ($1, $2, $3, $4)
on conflict on constraint bank_file_once do update
set name = excluded.name, state = excluded.state, problem = null, created_by = excluded.created_by, created_at = now()
where f.state = 'refused'
returning id
"""
FILE_SQL: Final[LiteralString] = """
select f.id, f.name, f.bytes, f.state, f.problem, f.created_at, coalesce(author.name, f.created_by) as created_by,
       p.step, coalesce(p.done, 0) as done, coalesce(p.whole, 0) as whole, coalesce(p.is_stopped, false) as is_stopped,
       (select count(*) from payments.bank_statement s where s.file = f.id) as statements,
       (select min(s.id) from payments.bank_statement s where s.file = f.id) as first_statement
from payments.bank_file f
left join payments.bank_reading p on p.file = f.id
left join kernel.users author on author.id = case when f.created_by ~ '^[0-9]{1,18}$' then f.created_by::bigint end
where f.id = $1 or f.hash = $2
"""
UNREAD_SQL: Final[LiteralString] = """
select id, name, state, problem from payments.bank_file
where state <> 'read' and (state = 'reading' or created_at > now() - interval '7 days')
order by id desc limit 20
"""
ADD_PIECE_SQL: Final[LiteralString] = "insert into payments.bank_piece (file, place, content) values ($1, $2, $3)"
PIECE_SQL: Final[LiteralString] = "select content from payments.bank_piece where file = $1 and place = $2"
CLAIM_FILE_SQL: Final[LiteralString] = "select state, name from payments.bank_file where id = $1 for no key update"
END_FILE_SQL: Final[LiteralString] = """
with gone as (delete from payments.bank_piece where file = $1)
update payments.bank_file set state = $2, problem = $3 where id = $1 and state = 'reading'
"""
READING_SQL: Final[LiteralString] = """
insert into payments.bank_reading as p (file, step, done, whole) values ($1, $2, $3, $4)
on conflict (file) do update set step = excluded.step, done = excluded.done, whole = excluded.whole
returning is_stopped
"""
STOP_READING_SQL: Final[LiteralString] = """
insert into payments.bank_reading (file, is_stopped)
select id, true from payments.bank_file where id = $1 and state = 'reading'
on conflict (file) do update set is_stopped = true
"""
NO_READING_SQL: Final[LiteralString] = "delete from payments.bank_reading where file = $1"


async def add_file(conn: Connection, name: str, content_hash: str, size: int, state: str = "read") -> int | None:
    """Keep a file; its number, or None when the same content is kept already (also by somebody at this moment)."""
    return await conn.fetchval(ADD_FILE_SQL, name[:200], content_hash, size, state)


async def same_file(conn: Connection, content_hash: str) -> Row | None:
    """The file with this content, as ``file`` tells it."""
    return await conn.fetchrow(FILE_SQL, None, content_hash)


async def file(conn: Connection, number: int) -> Row | None:
    """A file with how far its reading is (``step done whole``), how many statements it has, and the first of them."""
    return await conn.fetchrow(FILE_SQL, number, None)


async def unread_files(conn: Connection) -> Sequence[Row]:
    """Files that are being read, and those of this week that could not be: ``id name state problem``."""
    return await conn.fetch(UNREAD_SQL)


async def add_piece(conn: Connection, number: int, place: int, content: bytes) -> None:
    """Keep a piece of a file that is read later."""
    await conn.execute(ADD_PIECE_SQL, number, place, content)


async def piece(conn: Connection, number: int, place: int) -> bytes | None:
    """A piece of a file; None after the last."""
    return await conn.fetchval(PIECE_SQL, number, place)


async def claim_file(conn: Connection, number: int) -> Row | None:
    """Read a file alone until the transaction ends: its ``state`` and ``name``."""
    return await conn.fetchrow(CLAIM_FILE_SQL, number)


async def end_file(conn: Connection, number: int, state: str, problem: Text | None = None) -> None:
    """A file is read, or refused with its reason; its pieces are forgotten."""
    await conn.execute(END_FILE_SQL, number, state, kept(problem) if problem else None)


async def tell_reading(conn: Connection, number: int, step: str, done: int, whole: int) -> bool:
    """How far the reading is, on a connection of its own so that others see it; whether it shall stop."""
    return await conn.fetchval(READING_SQL, number, step, done, whole)


async def stop_reading(conn: Connection, number: int) -> None:
    """Ask the reading of a file to stop, also before it has begun."""
    await conn.execute(STOP_READING_SQL, number)


async def end_reading(conn: Connection, number: int) -> None:
    """Forget how far the reading was."""
    await conn.execute(NO_READING_SQL, number)


# --- statements -----------------------------------------------------------------------------------------------------

ADD_STATEMENT_SQL: Final[LiteralString] = """
insert into payments.bank_statement (file, profile, account_no, number, sequence_no, currency, first_day, last_day,
    opening, closing, state, problem)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
returning id
"""
ADD_LINES_SQL: Final[LiteralString] = """
insert into payments.bank_line (statement, line_no, line_key, account_no, amount, is_reversal, value_date, booked_on,
    party_name, party_account, paid_to, title, reference, end_to_end, raw)
select $1, n.line_no, n.line_key, $2, n.amount, n.is_reversal, n.value_date, n.booked_on, n.party_name, n.party_account,
       n.paid_to, n.title, n.reference, n.end_to_end, n.raw
from unnest($3::integer[], $4::text[], $5::bigint[], $6::boolean[], $7::date[], $8::date[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
    n (line_no, line_key, amount, is_reversal, value_date, booked_on, party_name, party_account, paid_to, title,
    reference, end_to_end, raw)
"""
SUM_UP_SQL: Final[LiteralString] = """
update payments.bank_statement s
set lines = n.lines, came_in = n.came_in, went_out = n.went_out,
    first_day = least(s.first_day, n.first_day), last_day = greatest(s.last_day, n.last_day)
from (
    select count(*) as lines, coalesce(sum(amount) filter (where amount > 0), 0)::bigint as came_in,
           coalesce(sum(amount) filter (where amount < 0), 0)::bigint as went_out, min(booked_on) as first_day,
           max(booked_on) as last_day
    from payments.bank_line where statement = $1
) n
where s.id = $1
"""
OWN_ACCOUNTS_SQL: Final[LiteralString] = """
select payee_account as number from payments.book where payee_account <> ''
union select number from payments.bank_account
"""
AT_ONCE: Final = 250
RAW: Final = 4_000
Told = Callable[[int], Awaitable[None]]
"""Hears how many lines are done; raises Refused where somebody wants the work to stop."""


async def own_accounts(conn: Connection) -> set[str]:
    """The organisation's own bank accounts: those of its books, and those that a person has named."""
    return {row["number"] for row in await conn.fetch(OWN_ACCOUNTS_SQL)}


async def add_statement(
    conn: Connection,
    statement: Statement,
    problem: Text | None,
    *,
    file: int | None = None,
    profile: str | None = None,
    told: Told | None = None,
) -> int:
    """Keep a statement with its lines; its number. With a ``problem`` it is refused: shown, and never booked."""
    first, last = statement.days()
    number = await conn.fetchval(
        ADD_STATEMENT_SQL,
        file,
        profile,
        statement.account[:40],
        statement.number[:40],
        sequence_of(statement.number),
        statement.currency[:3],
        first,
        last,
        statement.opening,
        statement.closing,
        "refused" if problem else "matching",
        kept(problem) if problem else None,
    )
    await add_lines(conn, number, statement, await asyncio.to_thread(line_keys, statement), 1, told)
    return number


async def add_lines(
    conn: Connection, number: int, statement: Statement, keys: Sequence[str], first: int, told: Told | None = None
) -> None:
    """Add lines to a statement, numbered from ``first``, and sum it up; ``told`` hears how many were added."""
    for start in range(0, len(keys), AT_ONCE):
        part = statement.lines[start : start + AT_ONCE]
        columns = await asyncio.to_thread(_columns, part)
        places = range(first + start, first + start + len(part))
        await conn.execute(
            ADD_LINES_SQL, number, statement.account[:40], list(places), keys[start : start + AT_ONCE], *columns
        )
        if told is not None:
            await told(len(part))
    await conn.execute(SUM_UP_SQL, number)


def _columns(lines: Sequence[StatementLine]) -> tuple[list[Any], ...]:
    return (
        [line.amount for line in lines],
        [line.is_reversal for line in lines],
        [line.value_date for line in lines],
        [line.booked_on for line in lines],
        [_clean(line.party_name, 300) for line in lines],
        [_clean(line.party_account, 40) for line in lines],
        [_clean(line.paid_to, 40) for line in lines],
        [_clean(line.title, 1000) for line in lines],
        [_clean(line.reference, 100) for line in lines],
        [_clean(line.end_to_end, 100) for line in lines],
        [line.raw[:RAW].replace("\x00", "") for line in lines],
    )


def _clean(text: str, longest: int) -> str:
    """One line without what no printer shows."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:longest]


FOREIGN: Final = _("Account {account} belongs to no book. Check whether this is the right file.")


def problem_of(statement: Statement, own: set[str]) -> Text | None:
    """Why a statement must not be booked: by itself, or because its account is none of the organisation's."""
    problem = refusal(statement)
    if problem is None and own and statement.account not in own:
        return Text(FOREIGN.message, {"account": statement.account or "—"})
    return problem


@dataclass(frozen=True, slots=True)
class Kept:
    """A statement as it is kept, with where its money is (``sums``, grosze) and the number that came before it."""

    id: int
    file: int | None
    file_name: str
    account_no: str
    number: str
    sequence_no: int | None
    currency: str
    first_day: date | None
    last_day: date | None
    opening: Money | None
    closing: Money | None
    lines: int
    came_in: Money
    went_out: Money
    state: str
    problem: Text | None
    round: int
    booked_by: str | None
    booked_at: datetime | None
    created_by: str
    created_at: datetime
    number_before: int | None
    done: int
    undo_asker: str | None
    undo_asked_by: str | None
    undo_reason: str | None
    sums: Mapping[str, int]

    @property
    def is_checked(self) -> bool:
        return self.opening is not None and self.closing is not None


STATEMENT_SQL: Final[LiteralString] = """
select s.id, s.file, coalesce(f.name, s.profile) as file_name, s.account_no, s.number, s.sequence_no, s.currency,
       s.first_day, s.last_day, s.opening, s.closing, s.lines, s.came_in, s.went_out, s.state, s.problem, s.round,
       coalesce(booker.name, s.booked_by) as booked_by, s.booked_at, coalesce(author.name, s.created_by) as created_by,
       s.created_at, coalesce(p.done, 0) as done, s.undo_asker, coalesce(asker.name, s.undo_asker) as undo_asked_by,
       s.undo_reason,
       (select max(o.sequence_no) from payments.bank_statement o
        where o.account_no = s.account_no and o.sequence_no < s.sequence_no and o.last_day >= s.last_day - 100
          and o.last_day <= s.last_day and o.state <> 'refused') as number_before,
       (select jsonb_build_object(
            'accounts', coalesce(sum(n.on_accounts), 0), 'suspense', coalesce(sum(i.left_amount), 0),
            'given_back', coalesce(sum(n.given_back), 0),
            'repeated', coalesce(sum(l.amount) filter (where l.twin is not null and l.incoming is null
                and l.amount > 0), 0),
            'waiting', coalesce(sum(l.amount) filter (where l.amount > 0 and l.incoming is null and l.twin is null), 0),
            'outgoing', coalesce(sum(l.amount) filter (where l.amount < 0 and not l.is_reversal), 0),
            'reversals', coalesce(sum(l.amount) filter (where l.amount < 0 and l.is_reversal), 0),
            'certain', coalesce(sum(l.amount) filter (where l.certainty = 100 and l.amount > 0 and l.twin is null), 0),
            'booked_lines', count(l.incoming),
            'certain_lines', count(*) filter (where l.certainty = 100 and l.amount > 0 and l.twin is null),
            'same_lines', count(*) filter (where l.twin is not null and l.is_same and l.amount > 0),
            'similar_lines', count(*) filter (where l.twin is not null and not l.is_same and l.amount > 0
                and l.incoming is null))
        from payments.bank_line l
        left join payments.incoming i on i.id = l.incoming
        left join lateral (
            select sum(amount) filter (where account_id is not null) as on_accounts,
                   sum(amount) filter (where account_id is null) as given_back
            from payments.incoming_part where line = l.incoming and undone_at is null
        ) n on true
        where l.statement = s.id) as sums
from payments.bank_statement s
left join payments.bank_file f on f.id = s.file
left join payments.bank_progress p on p.statement = s.id
left join kernel.users author on author.id = case when s.created_by ~ '^[0-9]{1,18}$' then s.created_by::bigint end
left join kernel.users booker on booker.id = case when s.booked_by ~ '^[0-9]{1,18}$' then s.booked_by::bigint end
left join kernel.users asker on asker.id = case when s.undo_asker ~ '^[0-9]{1,18}$' then s.undo_asker::bigint end
where s.id = $1
"""
CLAIM_SQL: Final[LiteralString] = "select pg_advisory_xact_lock(hashtextextended('payments.bank_statement', 0))"
STATE_SQL: Final[LiteralString] = "select state from payments.bank_statement where id = $1"
MOVE_SQL: Final[LiteralString] = """
update payments.bank_statement set state = $3, problem = $4,
    booked_by = case when $3 <> 'booked' then case $3 when 'undoing' then booked_by end
                     when state = 'undoing' then booked_by else nullif(current_setting('ebok.actor', true), '') end,
    booked_at = case when $3 <> 'booked' then case $3 when 'undoing' then booked_at end
                     when state = 'undoing' then booked_at else now() end,
    round = round + $5, undo_asker = null, undo_reason = null
where id = $1 and state = any ($2::text[])
returning id
"""


async def statement(conn: Connection, number: int) -> Kept | None:
    """A statement by its number, or None."""
    row = await conn.fetchrow(STATEMENT_SQL, number)
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    for name in ("opening", "closing", "came_in", "went_out"):
        values[name] = None if values[name] is None else Money(values[name])
    values["problem"] = told(values["problem"])
    return Kept(**values)


async def claim(conn: Connection, number: int) -> str | None:
    """Book one statement at a time until the transaction ends, so that no line is booked twice; its state then."""
    await conn.execute(CLAIM_SQL)
    return await conn.fetchval(STATE_SQL, number)


async def move(
    conn: Connection, number: int, before: Sequence[str], after: str, problem: Text | None = None, *, rounds: int = 0
) -> bool:
    """Change a statement's state; False when it was in none of those ``before``."""
    told_why = kept(problem) if problem else None
    return await conn.fetchval(MOVE_SQL, number, before, after, told_why, rounds) is not None


PROGRESS_SQL: Final[LiteralString] = """
insert into payments.bank_progress as p (statement, done) values ($1, $2)
on conflict (statement) do update set done = excluded.done returning is_stopped
"""
NO_PROGRESS_SQL: Final[LiteralString] = "delete from payments.bank_progress where statement = $1"
STOP_SQL: Final[LiteralString] = """
insert into payments.bank_progress (statement, is_stopped)
select id, true from payments.bank_statement where id = $1 and state in ('booking', 'undoing')
on conflict (statement) do update set is_stopped = true
"""


async def tell_progress(conn: Connection, number: int, done: int) -> bool:
    """How many lines are done, on a connection of its own so that others see it; whether the work shall stop."""
    return await conn.fetchval(PROGRESS_SQL, number, done)


async def end_progress(conn: Connection, number: int) -> None:
    """Forget how far the work was."""
    await conn.execute(NO_PROGRESS_SQL, number)


async def stop(conn: Connection, number: int) -> None:
    """Ask long work to stop, also before it has begun."""
    await conn.execute(STOP_SQL, number)


DELETE_SQL: Final[LiteralString] = """
delete from payments.bank_statement s
where s.id = $1 and s.state in ('ready', 'refused', 'matching')
  and not exists (select from payments.bank_line l where l.statement = s.id and l.incoming is not null)
returning s.file
"""
DELETE_FILE_SQL: Final[LiteralString] = """
delete from payments.bank_file f where f.id = $1 and not exists (
    select from payments.bank_statement s where s.file = f.id)
"""


async def delete(conn: Connection, number: int) -> bool:
    """Remove a statement of which nothing is booked, and its file with the last one; False when it cannot be."""
    row = await conn.fetchrow(DELETE_SQL, number)
    if row is not None and row["file"] is not None:
        await conn.execute(DELETE_FILE_SQL, row["file"])
    return row is not None


ADD_ACCOUNT_SQL: Final[LiteralString] = """
insert into payments.bank_account (number) values ($1) on conflict do nothing
"""


async def add_account(conn: Connection, number: str) -> None:
    """Know a bank account as the organisation's own."""
    await conn.execute(ADD_ACCOUNT_SQL, number)


# --- matching -------------------------------------------------------------------------------------------------------

TWINS_SQL: Final[LiteralString] = """
with mine as (
    select id, line_key, account_no, value_date, amount, reference, md5(title) as title, party_account
    from payments.bank_line where statement = $1 and amount > 0 and incoming is null
), alike as (  -- each way by an index of its own: thousands of lines of a day may have the same amount
    select m.id, o.id as twin, true as is_same
    from mine m join payments.bank_line o on o.line_key = m.line_key and o.incoming is not null
    union all
    select m.id, o.id, false
    from mine m join payments.bank_line o on o.account_no = m.account_no and o.value_date = m.value_date
        and o.amount = m.amount and o.reference = m.reference and o.reference <> ''
        and o.incoming is not null and o.statement <> $1
    union all
    select m.id, o.id, false
    from mine m join payments.bank_line o on o.account_no = m.account_no and o.value_date = m.value_date
        and o.amount = m.amount and md5(o.title) = m.title and o.party_account = m.party_account and o.title <> ''
        and o.party_account <> '' and o.incoming is not null and o.statement <> $1
), best as (
    select distinct on (id) id, twin, is_same from alike order by id, is_same desc, twin
)
update payments.bank_line l set twin = b.twin, is_same = coalesce(b.is_same, false)
from mine m left join best b on b.id = m.id
where l.id = m.id and l.twin is distinct from b.twin
"""
LINES_AFTER_SQL: Final[LiteralString] = """
select id, line_no, amount, is_reversal, title, end_to_end, party_name, party_account, paid_to
from payments.bank_line where statement = $1 and line_no > $2 order by line_no limit $3
"""
PREFIXES_SQL: Final[LiteralString] = "select prefix from payments.virtual_serial"
POINTED_SQL: Final[LiteralString] = """
with said (line, how, word) as (
    select * from unnest($1::bigint[], $2::text[], $3::text[])
), ordered (line, word, customer, payee_account, charges) as (
    select o.line, o.word, o.customer, o.payee_account, o.charges
    from jsonb_to_recordset($4::jsonb) o (line bigint, word text, customer bigint, payee_account text, charges bigint[])
), main (payee_account) as (
    select b.payee_account from payments.book b where b.code = 'main'
), pointed as (
    select s.line, s.how, s.word, n.account_id as account, 0 as times, '{}'::bigint[] as charges
    from said s join payments.virtual_number n on n.number = s.word
    where s.how in ('own', 'titled') and n.account_id is not null
    union all
    select o.line, 'order', o.word, a.id, 0, o.charges
    from ordered o join payments.account a on a.customer = o.customer join payments.book b on b.id = a.book
    where (o.payee_account in (nullif(b.payee_account, ''), (select payee_account from main where b.payee_account = ''))
           or exists (select from payments.virtual_number n where n.number = o.payee_account and n.account_id = a.id))
      and (o.charges = '{}' or exists (
           select from payments.entry e where e.account_id = a.id and e.id = any (o.charges)))
    union all
    select s.line, 'number', s.word, a.id, 0, '{}'
    from said s join payments.book b on true join payments.account a on a.book = b.id and a.account_no = s.word
    where s.how = 'number'
    union all
    select s.line, 'number', s.word, a.id, 0, '{}'
    from said s join kernel.customer c on c.customer_no = s.word join payments.account a on a.customer = c.id
    where s.how = 'number'
    union all
    select s.line, 'payer', s.word, k.account_id, k.times, '{}'
    from said s join payments.payer_account k on k.number = s.word where s.how = 'payer'
    union all
    select s.line, 'name', s.word, a.id, 0, '{}'
    from said s join kernel.customer c on kernel.pl_sort(c.name) collate "C" = kernel.pl_sort(s.word) collate "C"
    join payments.account a on a.customer = c.id
    where s.how = 'name'
)
select p.line, p.how, p.word, p.account, a.customer, coalesce(a.closed_on <= $6, false) as is_closed, p.times,
       p.charges,
       $5 in (b.payee_account, (select payee_account from main where b.payee_account = ''))
           or not exists (select from payments.book o where o.payee_account = $5) as is_here,
       exists (select from payments.entry e where e.account_id = p.account and e.side = 'charge' and e.open_amount > 0
               and e.open_amount = l.amount) as has_amount
from pointed p
join payments.bank_line l on l.id = p.line
join payments.account a on a.id = p.account
join payments.book b on b.id = a.book
order by p.line, p.account
limit 20000
"""
WRITE_MATCHES_SQL: Final[LiteralString] = """
update payments.bank_line l set points_to = n.account, certainty = n.certainty, evidence = n.evidence::jsonb,
    charges = coalesce((
        select array_agg(e.id order by c.place)
        from jsonb_array_elements_text(n.charges::jsonb) with ordinality c (id, place)
        join payments.entry e on e.account_id = n.account and e.id = c.id::bigint
        where e.side = 'charge' and e.state = 'approved' and e.kind <> 'reversal'), '{}')
from unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::text[], $5::text[])
    n (id, account, certainty, evidence, charges)
where l.id = n.id and l.incoming is null
"""


async def mark_twins(conn: Connection, number: int) -> None:
    """Find lines of a statement that are booked already, or look like it."""
    await conn.execute(TWINS_SQL, number)


async def lines_after(conn: Connection, number: int, after: int, limit: int) -> Sequence[Row]:
    """Lines of a statement in their order."""
    return await conn.fetch(LINES_AFTER_SQL, number, after, limit)


def asked(row: Row) -> Asked:
    """What of a line may tell whose it is."""
    return Asked(**{name: row[name] for name in Asked.__dataclass_fields__})


async def prefixes(conn: Connection) -> list[str]:
    """The beginnings of own numbers that books give."""
    return [row["prefix"] for row in await conn.fetch(PREFIXES_SQL)]


async def pointed(
    conn: Connection, hints: Sequence[Hint], orders: Iterable[OrderFound], account_no: str, today: date
) -> list[Found]:
    """The accounts that hints point to, of a statement of this bank account. One statement."""
    found = {order.reference: order for order in orders}
    ordered = [
        {
            "line": hint.line,
            "word": hint.word,
            "customer": found[hint.word].customer,
            "payee_account": found[hint.word].payee_account,
            "charges": list(found[hint.word].charges),
        }
        for hint in hints
        if hint.how == "order" and hint.word in found
    ]
    rows = await conn.fetch(
        POINTED_SQL,
        [hint.line for hint in hints],
        [hint.how for hint in hints],
        [hint.word for hint in hints],
        ordered,
        account_no,
        today,
    )
    return [_found(row) for row in rows]


def _found(row: Row) -> Found:
    values: dict[str, Any] = {**row, "charges": tuple(row["charges"])}
    return Found(**values)


async def write_matches(conn: Connection, matches: Mapping[int, Match]) -> None:
    """Keep whom lines point to, how surely and why."""
    await conn.execute(
        WRITE_MATCHES_SQL,
        list(matches),
        [match.account for match in matches.values()],
        [round(match.certainty * 100) for match in matches.values()],
        [json.dumps(match.evidence) for match in matches.values()],
        [json.dumps(match.charges) for match in matches.values()],
    )


# --- booking --------------------------------------------------------------------------------------------------------

TO_BOOK_SQL: Final[LiteralString] = """
select id, line_no, line_key, amount, value_date, booked_on, party_name, party_account, paid_to, title, points_to,
       certainty, charges
from payments.bank_line
where statement = $1 and amount > 0 and incoming is null and not coalesce(is_same and twin is not null, false)
  and (twin is null or $2) and line_no > $3
order by line_no limit $4
"""
BOOKED_SQL: Final[LiteralString] = """
update payments.bank_line l set incoming = n.incoming, is_automatic = l.certainty = 100
from unnest($1::bigint[], $2::bigint[]) n (id, incoming) where l.id = n.id
"""
CERTAIN_SQL: Final[LiteralString] = """
select l.incoming, l.points_to, l.amount, l.charges
from payments.bank_line l join payments.incoming i on i.id = l.incoming
where l.statement = $1 and l.is_automatic and l.certainty = 100 and i.assigned = 0
order by l.line_no limit $2
"""
REVERSES_SQL: Final[LiteralString] = """
update payments.bank_line r set reverses = (
    select o.id from payments.bank_line o
    where o.account_no = r.account_no and o.amount = -r.amount and o.value_date between r.value_date - 100
      and r.value_date
      and o.incoming is not null
      and not exists (select from payments.bank_line d where d.reverses = o.id and d.id <> r.id)
    order by o.reference = r.reference and r.reference <> '' desc, o.party_account = r.party_account desc,
             o.value_date desc, o.id desc
    limit 1)
where r.statement = $1 and r.is_reversal and r.amount < 0 and r.reverses is null and r.decision is null
"""


async def to_book(conn: Connection, number: int, *, similar: bool, after: int, limit: int) -> Sequence[Row]:
    """Lines that came in and are not booked yet; ``similar``: also those that look like booked ones."""
    return await conn.fetch(TO_BOOK_SQL, number, similar, after, limit)


async def booked(conn: Connection, lines: Sequence[int], incoming: Sequence[int]) -> None:
    """Say which line of suspense a bank line became."""
    await conn.execute(BOOKED_SQL, lines, incoming)


async def certain(conn: Connection, number: int, limit: int) -> Sequence[Row]:
    """Booked lines of a statement that a rule is certain of, and that nobody has touched."""
    return await conn.fetch(CERTAIN_SQL, number, limit)


async def point_reversals(conn: Connection, number: int) -> None:
    """Find what the reversals of a statement take back."""
    await conn.execute(REVERSES_SQL, number)


# --- rolling back ---------------------------------------------------------------------------------------------------

ASK_UNDO_SQL: Final[LiteralString] = """
update payments.bank_statement set undo_asker = coalesce(nullif(current_setting('ebok.actor', true), ''), 'system'),
    undo_reason = $2
where id = $1 and state = 'booked' and undo_asker is null
returning id
"""
WITHDRAW_UNDO_SQL: Final[LiteralString] = """
update payments.bank_statement set undo_asker = null, undo_reason = null where id = $1 and undo_asker is not null
returning id
"""
ACT_SQL: Final[LiteralString] = "select set_config('ebok.actor', $1, true)"
INCOMING_SQL: Final[LiteralString] = """
select incoming from payments.bank_line where statement = $1 and incoming > $2 order by incoming limit $3
"""
STILL_BOOKED_SQL: Final[LiteralString] = """
select incoming from payments.bank_line where statement = $1 and incoming = any ($2::bigint[]) order by incoming
"""
STANDING_SQL: Final[LiteralString] = """
select p.id, p.line, p.account_id, p.entry, p.amount, a.customer,
       (select max(r.id) from payments.entry r
        where r.account_id = p.account_id and r.reverses = p.entry and r.state = 'draft') as reversal
from payments.incoming_part p left join payments.account a on a.id = p.account_id
where p.line = any ($1::bigint[]) and p.undone_at is null
order by p.id
"""
UNDO_PARTS_SQL: Final[LiteralString] = "select payments.undo_part(p, $2) from unnest($1::bigint[]) p"
LEFT_SQL: Final[LiteralString] = """
select id, amount, left_amount from payments.incoming where id = any ($1::bigint[]) order by id
"""
TAKE_OUT_SQL: Final[LiteralString] = """
select count(part) from payments.assign($1::bigint[], array_fill(null::bigint, array[cardinality($1)]),
    array_fill(null::bigint, array[cardinality($1)]), $2::bigint[], array_fill('mistake'::text, array[cardinality($1)]),
    array_fill($3::text, array[cardinality($1)])) part
"""
UNBOOK_SQL: Final[LiteralString] = """
update payments.bank_line set incoming = null, is_automatic = false
where statement = $1 and incoming = any ($2::bigint[])
"""


async def ask_undo(conn: Connection, number: int, reason: str) -> bool:
    """Keep that somebody asks for a roll back; False when the statement is not booked, or it is asked for already."""
    return await conn.fetchval(ASK_UNDO_SQL, number, reason) is not None


async def withdraw_undo(conn: Connection, number: int) -> bool:
    """Forget that a roll back was asked for; False when none was."""
    return await conn.fetchval(WITHDRAW_UNDO_SQL, number) is not None


async def act_as(conn: Connection, actor: str) -> None:
    """Let what follows in this transaction be the work of ``actor``."""
    await conn.execute(ACT_SQL, actor)


async def incoming_of(conn: Connection, number: int, after: int = 0, limit: int = 1_000_000) -> list[int]:
    """The lines of suspense that a statement became."""
    return [row["incoming"] for row in await conn.fetch(INCOMING_SQL, number, after, limit)]


async def still_booked(conn: Connection, number: int, incoming: Sequence[int]) -> list[int]:
    """Those of these lines that the statement still has."""
    return [row["incoming"] for row in await conn.fetch(STILL_BOOKED_SQL, number, incoming)]


async def standing_parts(conn: Connection, incoming: Sequence[int]) -> Sequence[Row]:
    """What became of lines and still counts: ``id line account_id entry amount customer``, and the ``reversal`` that
    waits for its approval, if there is one."""
    return await conn.fetch(STANDING_SQL, incoming)


async def undo_parts(conn: Connection, parts: Sequence[int], why: str) -> None:
    """Put parts without an entry back into suspense. Raises Refused for one that the source has confirmed."""
    with refusals():
        await conn.fetch(UNDO_PARTS_SQL, parts, why)


async def take_out(conn: Connection, incoming: Sequence[int], why: str) -> None:
    """Take whole lines out of suspense as a mistake. Raises Refused where something of one is assigned."""
    rows = await conn.fetch(LEFT_SQL, incoming)
    if any(row["left_amount"] != row["amount"] for row in rows):
        raise Refused(_("Somebody is just assigning this line."))
    with refusals():
        await conn.fetchval(TAKE_OUT_SQL, incoming, [row["amount"] for row in rows], why)


async def unbook(conn: Connection, number: int, incoming: Sequence[int]) -> None:
    """Let lines of a statement be unbooked again; their money is out of suspense already."""
    await conn.execute(UNBOOK_SQL, number, incoming)


# --- one line -------------------------------------------------------------------------------------------------------

LINE_SQL: Final[LiteralString] = """
select l.id, l.statement, l.line_no, l.amount, l.is_reversal, l.value_date, l.booked_on, l.party_name, l.party_account,
       l.paid_to, l.title, l.reference, l.end_to_end, l.raw, l.twin, l.is_same, l.points_to, l.certainty, l.evidence,
       l.is_automatic, l.incoming, l.reverses, l.decision, l.decided_why, l.decided_at,
       coalesce(decider.name, l.decided_by) as decided_by, i.left_amount, p.account_no, p.name, p.customer_no,
       s.number, s.state, o.incoming as reversed_incoming, o.party_name as reversed_party,
       o.value_date as reversed_on
from payments.bank_line l
join payments.bank_statement s on s.id = l.statement
left join payments.incoming i on i.id = l.incoming
left join lateral (  -- looked up: joined, the planner may walk along all accounts
    select a.account_no, c.name, c.customer_no from payments.account a join kernel.customer c on c.id = a.customer
    where a.id = l.points_to limit 1
) p on true
left join payments.bank_line o on o.id = l.reverses
left join kernel.users decider on decider.id = case when l.decided_by ~ '^[0-9]{1,18}$' then l.decided_by::bigint end
where l.id = $1
"""
DECIDE_SQL: Final[LiteralString] = """
update payments.bank_line set decision = $2, decided_why = $3,
    decided_by = nullif(current_setting('ebok.actor', true), ''), decided_at = now()
where id = $1 and is_reversal and amount < 0 and decision is null
returning id
"""


async def line(conn: Connection, number: int) -> Row | None:
    """A bank line by its number, or None."""
    return await conn.fetchrow(LINE_SQL, number)


async def decide(conn: Connection, number: int, decision: str, why: str) -> bool:
    """Keep what somebody decided about a reversal; False when it is decided."""
    return await conn.fetchval(DECIDE_SQL, number, decision, why) is not None


# --- proofs ---------------------------------------------------------------------------------------------------------

WRONG_SQL: Final[LiteralString] = """
select l.id, l.statement, l.amount, i.amount as booked
from payments.bank_line l join payments.incoming i on i.id = l.incoming
where l.amount <> i.amount
order by l.id limit $1
"""


async def wrong_lines(conn: Connection, limit: int) -> Sequence[Row]:
    """Bank lines that are booked with another amount."""
    return await conn.fetch(WRONG_SQL, limit)

"""Suspense's SQL, and what the importers of bank files, the desk and the office's pages do with lines and their parts.

What takes from a line or gives back is a function of the database (``migrations/0005_suspense.sql``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Final, LiteralString

from kernel import Connection, Fact, Money, Refused, Row, Text, _, audit, audit_many
from plugins.payments import store as ledger
from plugins.payments.face import Side
from plugins.payments.refusing import refusing
from plugins.payments.store import Draft, Key
from plugins.payments.suspense.model import (
    CREDITED,
    Candidate,
    Found,
    IncomingLine,
    PartDraft,
    Proposal,
    Split,
    account_digits,
    name_spellings,
    proposals,
    tokens,
)

REFUSALS: Final[Mapping[str, Text]] = {
    "incoming_assigned": _("More would be assigned than there is. Somebody may have assigned a part meanwhile."),
    "incoming_amount": _("The amount of a line is between 0,01 zł and 10 000 000 000,00 zł."),
    "incoming_texts": _("A text of a line is too long: the title has at most 1000 characters, the payer 300."),
    "incoming_channel": _("This way in which money comes is not known."),
    "incoming_currency": _("Only money in złoty can be booked here."),
    "part_of_nothing": _("There is no such line."),
    "part_account": _("There is no such account."),
    "part_unlike_entry": _("The entry on the account is not like this part of the line."),
    "part_without_entry": _("The entry on the account is missing."),
    "part_undone": _("This part has been undone already."),
    "part_has_entry": _("This part has an entry on an account. Reverse that entry."),
    "part_confirmed": _("The billing application has booked this payment. Correct it there."),
}
"""What the database refuses (constraint names), in words."""
TITLE: Final = 200
"""Characters of a title that an entry keeps."""


refusals: Final = partial(refusing, REFUSALS)


# --- receiving ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Received:
    """What became of lines: the numbers of ``new`` ones, in their order, and of those that were booked before."""

    new: tuple[int, ...]
    same: tuple[int, ...]


RECEIVE_SQL: Final[LiteralString] = """
insert into payments.incoming (statement, line_no, amount, currency, value_date, paid_on, booked_on, payer_name,
    payer_account, paid_to, title, channel, source, external_id)
select statement, line_no, amount, currency, value_date, paid_on, payments.open_day(booked_on), payer_name,
    payer_account, paid_to, title, channel, source, external_id
from unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::date[], $6::date[], $7::date[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[]) with ordinality
    n (statement, line_no, amount, currency, value_date, paid_on, booked_on, payer_name, payer_account, paid_to, title,
    channel, source, external_id, place)
order by place
on conflict on constraint incoming_external do nothing
returning id, amount
"""
RECEIVED_BEFORE_SQL: Final[LiteralString] = """
select i.id, n.external_id, n.amount as told, i.amount, n.value_date = i.value_date as same_day
from unnest($1::text[], $2::text[], $3::bigint[], $4::date[]) n (source, external_id, amount, value_date)
join payments.incoming i using (source, external_id)
where i.id <> all ($5::bigint[])
order by i.id
"""


async def receive(conn: Connection, lines: Sequence[IncomingLine], today: date) -> Received:
    """Book each line once, on its day (in a closed month: on the first day of the open one); audited.

    Nothing is assigned yet: see ``assign_certain``. Raises Refused for another currency, an impossible amount, a day
    that has not come, a line that is there twice, and one that was booked before with another amount or day.
    """
    if not lines:
        return Received((), ())
    named: set[tuple[str, str | None]] = set()
    for line in lines:
        if (line.booked_on or line.value_date) > today:
            raise Refused(_("Line {line}: this day has not come yet.", line=line.external_id or line.title))
        if line.source is not None and (line.source, line.external_id) in named:
            raise Refused(_("Line {line} is there twice.", line=line.external_id))
        named.add((line.source or "", line.external_id))
    with refusals():
        rows = await conn.fetch(
            RECEIVE_SQL,
            [line.statement for line in lines],
            [line.line_no for line in lines],
            [line.amount.grosze for line in lines],
            [line.currency for line in lines],
            [line.value_date for line in lines],
            [line.paid_on for line in lines],
            [line.booked_on or line.value_date for line in lines],
            [line.payer_name for line in lines],
            [account_digits(line.payer_account) for line in lines],
            [account_digits(line.paid_to) for line in lines],
            [line.title for line in lines],
            [line.channel for line in lines],
            [line.source for line in lines],
            [line.external_id for line in lines],
        )
    new = tuple(row["id"] for row in rows)
    same = await _received_before(conn, [line for line in lines if line.source is not None], new)
    if new:
        total = Money(sum(row["amount"] for row in rows))
        await audit(conn, "payments.received", subject=f"incoming {new[0]}", count=len(new), total=total)
    return Received(new, same)


async def _received_before(conn: Connection, lines: Sequence[IncomingLine], new: Sequence[int]) -> tuple[int, ...]:
    rows = await conn.fetch(
        RECEIVED_BEFORE_SQL,
        [line.source for line in lines],
        [line.external_id for line in lines],
        [line.amount.grosze for line in lines],
        [line.value_date for line in lines],
        new,
    )
    for row in rows:
        if row["told"] != row["amount"] or not row["same_day"]:
            raise Refused(
                _(
                    "Line {line} was booked before with another amount or day: {amount}.",
                    line=row["external_id"],
                    amount=Money(row["amount"]),
                )
            )
    return tuple(row["id"] for row in rows)


# --- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """What became of a part of a line. Without an account it left suspense (``reason``); on an account of a mirror book
    it has no entry but is provisional, until the source's record ``replaced_by`` is there."""

    id: int
    line: int
    kind: str
    amount: Money
    reason: str
    account_id: int | None
    account_no: str | None
    book: str | None
    entry: int | None
    customer: int | None
    customer_no: str | None
    name: str | None
    created_by: str
    created_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    undone_reason: str | None
    is_provisional: bool
    replaced_by: int | None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A line of money that came in, with what is left of it in suspense and its parts, the oldest first."""

    id: int
    statement: str
    line_no: int | None
    amount: Money
    left: Money
    value_date: date
    paid_on: date | None
    booked_on: date
    payer_name: str
    payer_account: str
    paid_to: str
    title: str
    channel: str
    source: str | None
    external_id: str | None
    created_by: str
    created_at: datetime
    parts: tuple[Part, ...]


LINE_SQL: Final[LiteralString] = """
select i.id, i.statement, i.line_no, i.amount, i.left_amount as left, i.value_date, i.paid_on, i.booked_on,
       i.payer_name, i.payer_account, i.paid_to, i.title, i.channel, i.source, i.external_id,
       coalesce(author.name, i.created_by) as created_by, i.created_at,
       coalesce((
           select jsonb_agg(jsonb_build_object('id', p.id, 'line', p.line, 'kind', p.kind, 'amount', p.amount,
               'reason', p.reason, 'account_id', p.account_id, 'account_no', a.account_no, 'book', b.name,
               'entry', p.entry, 'customer', c.id, 'customer_no', c.customer_no, 'name', c.name,
               'created_by', coalesce(maker.name, p.created_by), 'created_at', p.created_at,
               'undone_at', p.undone_at, 'undone_by', coalesce(undoer.name, p.undone_by),
               'undone_reason', p.undone_reason, 'is_provisional', v.id is not null, 'replaced_by', v.replaced_by)
               order by p.id)
           from payments.incoming_part p
           left join payments.account a on a.id = p.account_id
           left join payments.book b on b.id = a.book
           left join kernel.customer c on c.id = a.customer
           left join payments.provisional v on v.part = p.id
           left join kernel.users maker
             on maker.id = case when p.created_by ~ '^[0-9]{1,18}$' then p.created_by::bigint end
           left join kernel.users undoer
             on undoer.id = case when p.undone_by ~ '^[0-9]{1,18}$' then p.undone_by::bigint end
           where p.line = i.id
       ), '[]') as parts
from payments.incoming i
left join kernel.users author on author.id = case when i.created_by ~ '^[0-9]{1,18}$' then i.created_by::bigint end
where i.id = $1
"""


async def line(conn: Connection, number: int) -> Incoming | None:
    """A line by its number, with everything that became of it; or None."""
    row = await conn.fetchrow(LINE_SQL, number)
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    values["amount"], values["left"] = Money(values["amount"]), Money(values["left"])
    values["parts"] = tuple(_part(part) for part in values["parts"])
    return Incoming(**values)


def _part(facts: Mapping[str, Any]) -> Part:
    values = dict(facts)
    values["amount"] = Money(values["amount"])
    for name in ("created_at", "undone_at"):
        values[name] = values[name] and datetime.fromisoformat(values[name])
    return Part(**values)


LINE_OF_PART_SQL: Final[LiteralString] = "select line from payments.incoming_part where id = $1"


async def part(conn: Connection, number: int) -> Part | None:
    """A part of a line by its number, or None."""
    of_line = await conn.fetchval(LINE_OF_PART_SQL, number)
    found = None if of_line is None else await line(conn, of_line)
    return found and next(one for one in found.parts if one.id == number)


WAITING_SQL: Final[LiteralString] = """
select count(*) as lines, coalesce(sum(left_amount), 0)::bigint as amount, min(booked_on) as since
from (select left_amount, booked_on from payments.incoming where assigned < amount limit 10000) waiting
"""


async def waiting(conn: Connection) -> Row:
    """How many lines are in suspense, with how much (grosze), since when; counting stops at ten thousand."""
    row = await conn.fetchrow(WAITING_SQL)
    assert row is not None  # noqa: S101  an aggregate has one row
    return row


DAYS_SQL: Final[LiteralString] = """
select i.booked_on as day, count(*) as lines, sum(i.amount)::bigint as amount, sum(i.left_amount)::bigint as left,
       coalesce(sum(p.credited), 0)::bigint as credited, coalesce(sum(p.provisional), 0)::bigint as provisional,
       coalesce(sum(p.given_back), 0)::bigint as given_back
from payments.incoming i
left join lateral (
    select sum(amount) filter (where entry is not null) as credited,
           sum(amount) filter (where entry is null and account_id is not null) as provisional,
           sum(amount) filter (where account_id is null) as given_back
    from payments.incoming_part where line = i.id and undone_at is null
) p on true
where i.booked_on >= $1 and i.booked_on < $2
group by i.booked_on
order by i.booked_on desc
"""


async def days(conn: Connection, first: date, after: date) -> Sequence[Row]:
    """For each day from ``first`` until before ``after``, newest first: what came in, and where it is (grosze)."""
    return await conn.fetch(DAYS_SQL, first, after)


AGES_SQL: Final[LiteralString] = """
select n.place, count(i.id) as lines, coalesce(sum(i.left_amount), 0)::bigint as amount
from unnest($2::integer[], $3::integer[]) with ordinality n (since, until, place)
left join payments.incoming i
  on i.assigned < i.amount and i.booked_on <= $1::date - n.since and i.booked_on >= $1::date - coalesce(n.until, 100000)
group by n.place
order by n.place
"""


async def ages(conn: Connection, today: date, bounds: Sequence[tuple[int, int | None]]) -> Sequence[Row]:
    """How many lines and how much (grosze) have been in suspense for so many days, bound by bound."""
    return await conn.fetch(AGES_SQL, today, [since for since, _until in bounds], [until for _since, until in bounds])


# --- numbers and accounts -------------------------------------------------------------------------------------------

FIND_SQL: Final[LiteralString] = """
select n.number, a.id as account, coalesce(a.account_no, '') as account_no, coalesce(b.name, '') as book,
       coalesce(b.code = 'main' and a.service_point is null, false) as is_main,
       coalesce(b.is_mirror, false) as is_mirror, a.closed_on, c.id as customer, c.customer_no, c.name,
       c.status as customer_status
from unnest($1::text[]) n (number)
cross join lateral (
    select a.id as account, a.customer from payments.book b join payments.account a on a.book = b.id
    where a.account_no = n.number
    union
    select a.id, c.id from kernel.customer c left join payments.account a on a.customer = c.id
    where c.customer_no = n.number
) found
join kernel.customer c on c.id = found.customer
left join payments.account a on a.id = found.account
left join payments.book b on b.id = a.book
"""


async def find(conn: Connection, numbers: Iterable[str]) -> dict[str, list[Found]]:
    """What numbers of accounts and customers stand for; one that stands for nothing is missing in the answer."""
    found: dict[str, list[Found]] = {}
    for row in await conn.fetch(FIND_SQL, sorted(set(numbers))):
        found.setdefault(row["number"], []).append(Found(**row))
    return found


ACCOUNTS_SQL: Final[LiteralString] = """
select a.id, a.account_no, a.customer, a.closed_on, b.is_mirror
from payments.account a join payments.book b on b.id = a.book
where a.id = any ($1::bigint[])
"""

# --- assigning ------------------------------------------------------------------------------------------------------

LINES_SQL: Final[LiteralString] = """
select id, amount, left_amount, value_date, paid_on, title, channel from payments.incoming where id = any ($1::bigint[])
"""
CAME_FROM_SQL: Final[LiteralString] = "select payments.came_from($1::bigint[], $2::bigint[], $3::bigint[])"
ASSIGN_SQL: Final[LiteralString] = """
select part from payments.assign($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[]) part
"""


async def assign(conn: Connection, line: int, parts: Sequence[PartDraft], today: date) -> list[int]:
    """Put parts of a line on accounts, each as one approved credit with the line's own dates; the parts' numbers.

    In a mirror book the credit is provisional instead. The rest stays in suspense. Raises Refused when the parts are
    more than what is left, for an account that is not there or is closed, and for a closed month.
    """
    return await assign_many(conn, {line: parts}, today)


async def assign_many(conn: Connection, lines: Mapping[int, Sequence[PartDraft]], today: date) -> list[int]:
    """``assign`` for many lines at once (number → parts), in as many statements as for one."""
    wanted = [(number, part) for number, parts in lines.items() for part in parts]
    if not wanted:
        return []
    facts = {row["id"]: row for row in await conn.fetch(LINES_SQL, list(lines))}
    accounts = await _accounts(conn, {part.account for _number, part in wanted}, today)
    for number, parts in lines.items():
        _check_line(facts.get(number), parts)
    entered = [(number, part) for number, part in wanted if not accounts[part.account]["is_mirror"]]
    drafts = [_draft(facts[number], part) for number, part in entered]
    keys = await ledger.add_drafts(conn, drafts)
    if keys:
        own_books = [number for number, _part in entered]
        await conn.execute(CAME_FROM_SQL, [key.account for key in keys], [key.entry for key in keys], own_books)
    await ledger.approve(conn, keys, today)
    entries: dict[int, Key] = {id(part): key for (_number, part), key in zip(entered, keys, strict=True)}
    with refusals():
        rows = await conn.fetch(
            ASSIGN_SQL,
            [number for number, _part in wanted],
            [part.account for _number, part in wanted],
            [entries[id(part)].entry if id(part) in entries else None for _number, part in wanted],
            [part.amount.grosze for _number, part in wanted],
            [part.kind for _number, part in wanted],
            ["" for _one in wanted],
        )
    await audit_many(
        conn,
        "payments.assigned",
        [
            Fact(
                accounts[part.account]["customer"],
                f"incoming {number}",
                {"amount": part.amount, "account": accounts[part.account]["account_no"], "line": number},
            )
            for number, part in wanted
        ],
    )
    return [row["part"] for row in rows]


async def drafts_of(conn: Connection, rows: Sequence[Split], kind: str, today: date) -> list[PartDraft]:
    """Right rows as parts; a customer without an account gets one in the book «main»."""
    without = [row.found.customer for row in rows if row.found and row.found.account is None]
    opened = await ledger.open_accounts(conn, without, today) if without else {}
    return [
        PartDraft(
            opened[row.found.customer] if row.found.account is None else row.found.account, row.amount, kind, row.title
        )
        for row in rows
        if row.found and row.amount
    ]


async def _accounts(conn: Connection, wanted: Iterable[int], today: date) -> dict[int, Row]:
    accounts = {row["id"]: row for row in await conn.fetch(ACCOUNTS_SQL, sorted(wanted))}
    for account in wanted:
        if account not in accounts:
            raise Refused(REFUSALS["part_account"])
        closed_on = accounts[account]["closed_on"]
        if closed_on is not None and closed_on <= today:
            raise Refused(_("Account {number} is closed.", number=accounts[account]["account_no"]))
    return accounts


def _check_line(facts: Row | None, parts: Sequence[PartDraft]) -> None:
    """Refuse early what the database would refuse after all the work."""
    if facts is None:
        raise Refused(REFUSALS["part_of_nothing"])
    if any(part.kind not in CREDITED or part.amount.grosze <= 0 for part in parts):
        raise Refused(_("A part of a line is a payment, a benefit or an offset above zero."))
    total, left = Money.total(part.amount for part in parts), Money(facts["left_amount"])
    if total.grosze > left.grosze:
        raise Refused(
            _(
                "The parts make {total}, but {left} is left. That is {over} too much.",
                total=total,
                left=left,
                over=total - left,
            )
        )


def _draft(facts: Row, part: PartDraft) -> Draft:
    return Draft(
        part.account,
        Side.CREDIT,
        part.kind,
        part.amount,
        value_date=facts["value_date"],
        paid_on=facts["paid_on"],
        title=(part.title or facts["title"])[:TITLE],
        channel="offset" if part.kind == "offset" else facts["channel"],
        designations=part.designations,
    )


CERTAIN_SQL: Final[LiteralString] = """
select i.id as line, a.id as account, i.left_amount as amount
from payments.incoming i
join payments.virtual_number n on n.number = i.paid_to
join payments.account a on a.id = n.account_id
where i.id = any ($1::bigint[]) and i.assigned = 0 and (a.closed_on is null or a.closed_on > $2)
order by i.id
"""


async def assign_certain(conn: Connection, lines: Sequence[int], today: date) -> list[int]:
    """Assign, whole, those of these untouched lines that were paid to an open account's own number; their numbers.

    This is the only certainty of 1, and nothing below it is ever assigned without a person.
    """
    rows = await conn.fetch(CERTAIN_SQL, lines, today)
    certain = {row["line"]: [PartDraft(row["account"], Money(row["amount"]))] for row in rows}
    await assign_many(conn, certain, today)
    return list(certain)


async def give_back(conn: Connection, line: int, kind: str, amount: Money, reason: str) -> int:
    """Take money out of suspense without an account: ``returned`` to the payer, or a ``mistake``; the part's number.

    Raises Refused when it is more than what is left.
    """
    with refusals():
        number = await conn.fetchval(ASSIGN_SQL, [line], [None], [None], [amount.grosze], [kind], [reason])
    await audit(
        conn, "payments.given_back", subject=f"incoming {line}", line=line, kind=kind, amount=amount, reason=reason
    )
    return number


UNDO_SQL: Final[LiteralString] = "select payments.undo_part($1, $2)"


async def undo(conn: Connection, part: Part, reason: str, today: date, *, two_people: bool = False) -> bool:
    """Put a part back into suspense, its entry reversed; audited. Raises Refused.

    With ``two_people`` the reversal waits for somebody else's approval, and the money stays until then: False.
    """
    if part.undone_at is not None:
        raise Refused(REFUSALS["part_undone"])
    entry = None if part.entry is None else await ledger.entry(conn, part.entry)
    if entry is not None and two_people:
        await ledger.draft_reversals(conn, [entry.key], reason, today)
        return False
    if entry is not None:
        await ledger.reverse(conn, entry, reason, today)
    else:
        with refusals():
            await conn.execute(UNDO_SQL, part.id, reason)
    await audit(
        conn,
        "payments.part_undone",
        customer=part.customer,
        subject=f"incoming {part.line}",
        line=part.line,
        amount=part.amount,
        reason=reason,
    )
    return True


MOVE_SQL: Final[LiteralString] = "select payments.move_part($1, $2, $3, $4)"


async def moved(conn: Connection, from_key: Key, to_key: Key) -> int | None:
    """Let the part behind a payment follow it to the right account; the new part's number.

    For a payment that this very transaction reverses (before or after this call) and has booked anew as ``to_key``,
    approved, with the same dates and kind. None, and nothing happens, when ``from_key`` came from no line. A payment
    moved in pieces calls this for each of them. Raises Refused for a new entry that is not like the old one.
    """
    with refusals():
        return await conn.fetchval(MOVE_SQL, from_key.account, from_key.entry, to_key.account, to_key.entry)


# --- whom a line points to ------------------------------------------------------------------------------------------

MATCHES_SQL: Final[LiteralString] = """
with pointed (account, how, number, times) as (
    select n.account_id, 'own', '', 1 from payments.virtual_number n where n.number = $2
    union all
    select n.account_id, 'titled', '', 1 from payments.virtual_number n where n.number = any ($3::text[])
    union all
    select a.id, 'number', a.account_no, 1 from payments.book b join payments.account a on a.book = b.id
    where a.account_no = any ($4::text[])
    union all
    select a.id, 'number', c.customer_no, 1 from kernel.customer c join payments.account a on a.customer = c.id
    where c.customer_no = any ($4::text[])
    union all
    select a.id, 'name', '', 1 from kernel.customer c join payments.account a on a.customer = c.id
    where kernel.pl_sort(c.name) collate "C" = any (array(
        select kernel.pl_sort(spelled) collate "C" from unnest($5::text[]) spelled))
    union all
    select p.account_id, 'earlier', '', count(*)
    from (
        select id from payments.incoming where payer_account = $6 and $6 <> '' and id <> $1 order by id desc limit 200
    ) former
    join payments.incoming_part p on p.line = former.id
    where p.undone_at is null and p.account_id is not null
    group by p.account_id
), pointing as (
    select account, bool_or(how = 'own') as own_number, bool_or(how = 'titled') as titled_account,
           max(number) as number, bool_or(how = 'name') as same_name,
           coalesce(sum(times) filter (where how = 'earlier'), 0)::bigint as earlier,
           (select coalesce(sum(times), 0)::bigint from pointed where how = 'earlier') as earlier_of
    from pointed group by account
)
select p.*, a.account_no, b.name as book, b.is_mirror, c.id as customer, c.customer_no, c.name,
       coalesce(o.has_open, false) as has_open,
       coalesce(o.due - o.credit = $7, false) as is_due, coalesce(o.every - o.credit = $7, false) as is_all
from pointing p
join payments.account a on a.id = p.account
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
cross join lateral (
    select bool_or(side = 'charge' and open_amount = $7) as has_open,
           coalesce(sum(open_amount) filter (where side = 'charge' and effective_due_on <= $8), 0) as due,
           coalesce(sum(open_amount) filter (where side = 'charge'), 0) as every,
           coalesce(sum(open_amount) filter (where side = 'credit'), 0) as credit
    from payments.entry e where e.account_id = a.id and e.open_amount > 0
) o
where a.closed_on is null or a.closed_on > $8
order by p.own_number desc, p.titled_account desc, p.number <> '' desc, p.earlier desc, p.account
limit 50
"""


async def matches(conn: Connection, line: Incoming, today: date) -> list[Proposal]:
    """Accounts that a line may belong to, the surest first, each with its reasons; one statement."""
    said = tokens(line.title)
    rows = await conn.fetch(
        MATCHES_SQL,
        line.id,
        line.paid_to,
        sorted(said.accounts),
        sorted(said.whole | said.inner),
        sorted(name_spellings(line.payer_name)),
        line.payer_account,
        line.left.grosze,
        today,
    )
    return proposals(said, [Candidate(**row) for row in rows])


# --- mirror books ---------------------------------------------------------------------------------------------------

PROVISIONAL_OF_SQL: Final[LiteralString] = """
select v.account_id, v.id, v.amount, v.value_date, v.created_at, p.line, i.title
from payments.provisional v
join payments.incoming_part p on p.id = v.part
join payments.incoming i on i.id = p.line
where v.account_id = any ($1::bigint[]) and v.replaced_by is null and v.withdrawn_at is null
order by v.value_date, v.id
limit 100
"""


async def provisional_of(conn: Connection, accounts: Sequence[int]) -> Sequence[Row]:
    """Payments that the bank told of and the source of a mirror book has not booked yet: outside every balance.

    Rows ``account_id id amount value_date created_at line title``, oldest first, at most a hundred.
    """
    return await conn.fetch(PROVISIONAL_OF_SQL, accounts)


RECONCILE_SQL: Final[LiteralString] = "select payments.reconcile($1::bigint[])"


async def reconcile(conn: Connection, accounts: Sequence[int]) -> int:
    """Replace provisional credits of these accounts by what the source has booked; how many. After an import."""
    return await conn.fetchval(RECONCILE_SQL, accounts)


TO_EXPORT_SQL: Final[LiteralString] = """
select count(*) filter (where amount > 0) as payments, count(*) filter (where amount < 0) as withdrawals,
       coalesce(sum(amount), 0)::bigint as total
from (
    select amount from payments.provisional
    where exported_in is null and replaced_by is null and withdrawn_at is null
    union all
    select -amount from payments.provisional
    where exported_in is not null and withdrawn_at is not null and withdrawal_exported_in is null
) waiting
"""


async def to_export(conn: Connection) -> Row:
    """How many payments and withdrawals the next export hands over, and their sum (grosze)."""
    row = await conn.fetchrow(TO_EXPORT_SQL)
    assert row is not None  # noqa: S101  an aggregate has one row
    return row


EXPORT_OF_SQL: Final[LiteralString] = """
select e.id, e.created_at, coalesce(author.name, e.created_by) as created_by, e.payments, e.withdrawals, e.total
from payments.incoming_export e
left join kernel.users author on author.id = case when e.created_by ~ '^[0-9]{1,18}$' then e.created_by::bigint end
where e.id = $1
"""
EXPORT_SQL: Final[LiteralString] = "select payments.export_incoming()"


async def export(conn: Connection) -> int:
    """Mark what the billing application has not had yet as handed over, audited; the export's number.

    Raises Refused when there is nothing.
    """
    number = await conn.fetchval(EXPORT_SQL)
    made = None if number is None else await export_of(conn, number)
    if made is None:
        raise Refused(_("There is nothing new to export."))
    await audit(
        conn,
        "payments.incoming_exported",
        subject=f"export {number}",
        number=number,
        count=made["payments"] + made["withdrawals"],
        total=Money(made["total"]),
    )
    return made["id"]


async def export_of(conn: Connection, number: int) -> Row | None:
    """An export by its number, or None."""
    return await conn.fetchrow(EXPORT_OF_SQL, number)


# --- the demonstration ----------------------------------------------------------------------------------------------

TENANTS_SQL: Final[LiteralString] = """
select a.id, c.customer_no, c.name, coalesce((
           select sum(e.open_amount) from payments.entry e
           where e.account_id = a.id and e.side = 'charge' and e.open_amount > 0), 0)::bigint as due
from payments.account a join kernel.customer c on c.id = a.customer
where a.id = any ($1::bigint[]) and a.closed_on is null
order by a.id
"""


async def tenants(conn: Connection, accounts: Sequence[int]) -> Sequence[Row]:
    """Accounts with their customer and what is open (grosze)."""
    return await conn.fetch(TENANTS_SQL, accounts)


# --- proofs ---------------------------------------------------------------------------------------------------------

WRONG_LINES_SQL: Final[LiteralString] = """
select i.id, i.amount, i.assigned, coalesce(p.amount, 0)::bigint as parts
from payments.incoming i
left join (
    select line, sum(amount) as amount from payments.incoming_part where undone_at is null group by line
) p on p.line = i.id
where i.assigned <> coalesce(p.amount, 0)
order by i.id
limit $1
"""


async def wrong_lines(conn: Connection, limit: int) -> Sequence[Row]:
    """Lines whose live parts are not what is kept as assigned."""
    return await conn.fetch(WRONG_LINES_SQL, limit)


WRONG_PARTS_SQL: Final[LiteralString] = """
select p.id, p.line, p.undone_at is null as is_live, e.state, e.amount, p.amount as wanted,
       r.id is not null as reversed
from payments.incoming_part p
join payments.incoming i on i.id = p.line
join payments.entry e on e.account_id = p.account_id and e.id = p.entry
left join payments.entry r on r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved'
where case when p.undone_at is null
        then e.state <> 'approved' or r.id is not null or (e.side, e.kind, e.amount) <> ('credit', p.kind, p.amount)
            or e.value_date <> i.value_date or e.paid_on is distinct from i.paid_on
        else e.state = 'approved' and r.id is null end
order by p.id
limit $1
"""


async def wrong_parts(conn: Connection, limit: int) -> Sequence[Row]:
    """Live parts whose entry does not count or is not like them, and undone ones whose entry counts."""
    return await conn.fetch(WRONG_PARTS_SQL, limit)


WRONG_PROVISIONAL_SQL: Final[LiteralString] = """
select p.id, p.line, case
    when p.entry is null and v.id is null then 'it has neither an entry nor a provisional credit'
    when p.entry is not null and v.id is not null then 'it has an entry and a provisional credit'
    when v.amount <> p.amount or v.account_id <> p.account_id then 'its provisional credit is not like it'
    when v.id is not null and (v.withdrawn_at is null) <> (p.undone_at is null)
        then 'only one of it and its provisional credit is undone'
    when e.state <> 'approved' or r.id is not null then 'what replaced it does not count'
    end as problem
from payments.incoming_part p
left join payments.provisional v on v.part = p.id
left join payments.entry e on e.account_id = v.account_id and e.id = v.replaced_by
left join payments.entry r on r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved'
where p.account_id is not null and (
    (p.entry is null) <> (v.id is not null) or v.amount <> p.amount or v.account_id <> p.account_id
    or (v.id is not null and (v.withdrawn_at is null) <> (p.undone_at is null))
    or (v.replaced_by is not null and (e.state <> 'approved' or r.id is not null))
)
order by p.id
limit $1
"""


async def wrong_provisional(conn: Connection, limit: int) -> Sequence[Row]:
    """Parts in mirror books that are not their provisional credit, or were replaced by what does not count."""
    return await conn.fetch(WRONG_PROVISIONAL_SQL, limit)

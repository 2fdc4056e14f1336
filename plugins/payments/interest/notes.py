"""Interest notes: issuing them, reading them, and the corrections that become due when days they name fall away.

A note books one approved charge of kind ``interest`` for each charge it names (``bears_on``). A note is never edited: a
late payment of an earlier day leads to a correction of the interest it booked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any, Final, LiteralString

from kernel import Connection, Fact, Money, Row, _, audit_many
from plugins.payments import store as ledger
from plugins.payments.accrual.model import Claim, InterestLine
from plugins.payments.accrual.store import BUNDLED, Regimes, claims, read_noted
from plugins.payments.face import Side
from plugins.payments.store import Draft, Key

TITLE_LENGTH: Final = 200
MAIN: Final = "main"
ANY_AMOUNT: Final = Money(1)

# --- issuing --------------------------------------------------------------------------------------------------------

HOLD_SQL: Final[LiteralString] = "select payments.hold_for_interest($1::bigint[])"
TAKE_NUMBERS_SQL: Final[LiteralString] = "select payments.take_note_numbers($1, $2, $3)"
RECORD_SQL: Final[LiteralString] = "select account_id, id, note_no from payments.record_interest_notes($1)"


@dataclass(frozen=True, slots=True)
class Issued:
    """A note that was issued."""

    account: int
    id: int
    note_no: str
    total: Money


@dataclass(frozen=True, slots=True)
class _Planned:
    account: int
    customer: int
    number: int
    note_no: str
    lines: Sequence[Claim]

    @property
    def total(self) -> Money:
        return Money.total(line.claimable for line in self.lines)


async def issue(
    conn: Connection,
    accounts: Sequence[int],
    as_of: date,
    issued_on: date,
    pay_days: int,
    *,
    at_least: Money = ANY_AMOUNT,
    foreign: Regimes = BUNDLED,
) -> list[Issued]:
    """Issue a note to each account with at least so much interest to claim up to ``as_of``; audited.

    The interest becomes approved charges due ``pay_days`` after the day of issue. No day is noted twice: the accounts
    are held, and only what no note claimed yet is listed. Raises Refused when the ledger does not take it (a closed
    month).
    """
    await conn.execute(HOLD_SQL, accounts)
    found = await claims(conn, accounts, as_of, demanded_on=issued_on, foreign=foreign)
    planned = await _plan(conn, found, issued_on, at_least)
    if not planned:
        return []
    due_on = issued_on + timedelta(days=pay_days)
    entries = await _enter(conn, planned, issued_on, due_on)
    await ledger.approve(conn, [Key(charge.account, entry) for charge, entry in entries.items()], issued_on)
    rows = await conn.fetch(RECORD_SQL, [_recorded(note, entries, as_of, issued_on, due_on) for note in planned])
    totals = {note.note_no: note for note in planned}
    await audit_many(
        conn,
        "payments.interest_noted",
        [
            Fact(
                totals[row["note_no"]].customer,
                f"note {row['id']}",
                {"note_no": row["note_no"], "amount": totals[row["note_no"]].total, "as_of": as_of},
            )
            for row in rows
        ],
    )
    return [Issued(row["account_id"], row["id"], row["note_no"], totals[row["note_no"]].total) for row in rows]


async def _plan(conn: Connection, found: Iterable[Claim], issued_on: date, at_least: Money) -> list[_Planned]:
    by_account = [
        (account, [claim for claim in of_account if claim.may_be_noted])
        for account, of_account in groupby(found, key=lambda claim: claim.account)
    ]
    worth = [lines for _account, lines in by_account if lines and note_total(lines) >= at_least]
    worth.sort(key=lambda lines: (lines[0].book, lines[0].account))
    planned: list[_Planned] = []
    for (book, code), of_book in groupby(worth, key=lambda lines: (lines[0].book, lines[0].book_code)):
        notes = list(of_book)
        first = await conn.fetchval(TAKE_NUMBERS_SQL, book, issued_on.year, len(notes))
        planned += [
            _Planned(lines[0].account, lines[0].customer, number, note_no(code, issued_on.year, number), lines)
            for number, lines in enumerate(notes, first)
        ]
    return planned


def note_total(lines: Iterable[Claim]) -> Money:
    """What a note of these claims comes to."""
    return Money.total(claim.claimable for claim in lines if claim.may_be_noted)


def note_no(book_code: str, year: int, number: int) -> str:
    """``NO/2026/000017``; notes of another book than the first carry its code: ``NO/WODA/2026/000017``."""
    book = "" if book_code == MAIN else f"{book_code.upper()}/"
    return f"NO/{book}{year}/{number:06d}"


ENTER_SQL: Final[LiteralString] = """
insert into payments.entry (account_id, side, kind, amount, issued_on, due_on, period, title, document_no,
    document_date, bears_on, created_by)
select account_id, 'charge', 'interest', amount, $7, $8, period, title, document_no, $7, charge, 'ebok'
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[])
    n (account_id, charge, amount, period, title, document_no)
returning account_id, id, bears_on
"""
"""The product computes the interest, so it is the one who enters it; who issues the note approves it."""


async def _enter(conn: Connection, planned: Sequence[_Planned], issued_on: date, due_on: date) -> dict[Key, int]:
    """Enter the interest of notes as drafts: charge → the number of its interest."""
    lines = [(note, claim) for note in planned for claim in note.lines]
    rows = await conn.fetch(
        ENTER_SQL,
        [claim.account for _note, claim in lines],
        [claim.charge for _note, claim in lines],
        [claim.claimable.grosze for _note, claim in lines],
        [claim.period for _note, claim in lines],
        [_entry_title(claim) for _note, claim in lines],
        [note.note_no for note, _claim in lines],
        issued_on,
        due_on,
    )
    return {Key(row["account_id"], row["bears_on"]): row["id"] for row in rows}


def _entry_title(claim: Claim) -> str:
    return str(_("Interest: {title}", title=claim.title or claim.document_no or str(claim.charge)))[:TITLE_LENGTH]


def _recorded(note: _Planned, entries: Mapping[Key, int], as_of: date, issued_on: date, due_on: date) -> dict[str, Any]:
    return {
        "account": note.account,
        "number": note.number,
        "note_no": note.note_no,
        "issued_on": issued_on.isoformat(),
        "as_of": as_of.isoformat(),
        "due_on": due_on.isoformat(),
        "lines": [
            {
                "charge": claim.charge,
                "entry": entries[Key(claim.account, claim.charge)],
                "amount": claim.claimable.grosze,
                **_derived(claim, as_of),
            }
            for claim in note.lines
        ],
    }


def _derived(claim: Claim, as_of: date) -> dict[str, Any]:
    """The days a line names: those no note named yet; all of them when only earlier days are claimed more for.

    A regime of another plugin may explain nothing: then the days are those since the last note.
    """
    new, whole = claim.new_lines, claim.interest.lines
    lines = new or whole
    before = claim.debt.noted_through or claim.debt.effective_due_on or as_of
    return {
        "first_day": (lines[0].first_day if lines else min(before + timedelta(days=1), as_of)).isoformat(),
        "last_day": (lines[-1].last_day if lines else as_of).isoformat(),
        "derivation": {
            "lines": [written_line(line) for line in lines],
            "earlier": claim.earlier.grosze if new else 0,
            "noted": 0 if new else claim.debt.noted,
        },
    }


def written_line(line: InterestLine) -> list[Any]:
    """A line of a derivation as it is kept and printed for machines: exact grosze as a fraction."""
    return [
        line.first_day.isoformat(),
        line.last_day.isoformat(),
        line.days,
        line.principal,
        str(line.percent),
        str(line.exact),
    ]


def read_line(values: Sequence[Any]) -> InterestLine:
    """A line as ``written_line`` wrote it."""
    first, last, days, principal, percent, exact = values
    return InterestLine(
        date.fromisoformat(first), date.fromisoformat(last), days, principal, Decimal(percent), Fraction(exact)
    )


# --- one note -------------------------------------------------------------------------------------------------------

NOTE_SQL: Final[LiteralString] = """
select n.*, coalesce(deleter.name, n.deleted_by) as deleter, a.account_no, b.name as book_name, b.payee_name,
       coalesce(a.virtual_account, nullif(b.payee_account, ''),
           (select m.payee_account from payments.book m where m.code = 'main'), '') as payee_account,
       c.id as customer, c.customer_no,
       c.name as customer_name, c.street, c.building, c.flat, c.postal_code, c.city, c.nip, (
    select jsonb_agg(jsonb_build_object('charge', l.charge, 'entry', l.entry, 'amount', l.amount,
               'first_day', l.first_day, 'last_day', l.last_day, 'derivation', l.derivation, 'kind', e.kind,
               'title', e.title, 'document_no', e.document_no, 'due_on', e.due_on, 'charged', e.amount,
               'state', i.state, 'open', i.open_amount, 'is_reversed', exists (
                   select from payments.entry r
                   where r.account_id = i.account_id and r.reverses = i.id and r.state = 'approved'),
               'lowered', coalesce((
                   select sum(k.amount) from payments.entry k
                   where k.account_id = i.account_id and k.corrects = i.id and k.side = 'credit'
                     and k.state = 'approved' and not exists (
                       select from payments.entry r
                       where r.account_id = k.account_id and r.reverses = k.id and r.state = 'approved')), 0))
               order by e.due_on, e.id)
    from payments.interest_note_line l
    join payments.entry e on e.account_id = l.account_id and e.id = l.charge
    join payments.entry i on i.account_id = l.account_id and i.id = l.entry
    where l.account_id = n.account_id and l.note = n.id
) as lines
from payments.interest_note n
join payments.account a on a.id = n.account_id
join payments.book b on b.id = n.book
join kernel.customer c on c.id = a.customer
left join kernel.users deleter on deleter.id = case when n.deleted_by ~ '^[0-9]{1,18}$' then n.deleted_by::bigint end
where n.id = $1 and ($2::bigint is null or c.id = $2 and n.deleted_at is null)
"""


@dataclass(frozen=True, slots=True)
class NoteLine:
    """What a note claims for one charge. ``earlier``: for days of earlier notes, and rounding; ``noted``: what was
    claimed before for the days listed. ``standing``: what of it still counts, less corrections and reversals."""

    charge: int
    entry: int
    kind: str
    title: str
    document_no: str
    due_on: date
    charged: Money
    first_day: date
    last_day: date
    lines: tuple[InterestLine, ...]
    earlier: Money
    noted: Money
    amount: Money
    standing: Money
    open: Money


@dataclass(frozen=True, slots=True)
class Note:
    """An interest note with all that is printed on it; an empty payee is the organisation's own."""

    id: int
    account: int
    account_no: str
    note_no: str
    book_name: str
    issued_on: date
    as_of: date
    due_on: date
    total: Money
    customer: int
    customer_no: str
    customer_name: str
    address: tuple[str, ...]
    nip: str
    payee_name: str
    payee_account: str
    lines: tuple[NoteLine, ...]
    deleted_by: str
    deleted_at: datetime | None
    delete_reason: str

    @property
    def standing(self) -> Money:
        """What of the note still counts."""
        return Money.total(line.standing for line in self.lines)

    @property
    def open(self) -> Money:
        """What of it is still to pay."""
        return Money.total(line.open for line in self.lines)


@dataclass(frozen=True, slots=True)
class Creditor:
    """Who claims the interest of a note, and where it is paid."""

    name: str
    address: tuple[str, ...]
    nip: str
    account_no: str
    transfer_title: str


async def note(conn: Connection, number: int, customer: int | None = None) -> Note | None:
    """A note by its number (``customer``: only if it is theirs); None when there is none."""
    row = await conn.fetchrow(NOTE_SQL, number, customer)
    return _note(row) if row else None


def _note(row: Row) -> Note:
    house = " ".join(part for part in (row["street"], row["building"]) if part)
    address = (f"{house}/{row['flat']}" if row["flat"] else house, f"{row['postal_code']} {row['city']}".strip())
    return Note(
        id=row["id"],
        account=row["account_id"],
        account_no=row["account_no"],
        note_no=row["note_no"],
        book_name=row["book_name"],
        issued_on=row["issued_on"],
        as_of=row["as_of"],
        due_on=row["due_on"],
        total=Money(row["total"]),
        customer=row["customer"],
        customer_no=row["customer_no"],
        customer_name=row["customer_name"],
        address=tuple(part for part in address if part),
        nip=row["nip"],
        payee_name=row["payee_name"],
        payee_account=row["payee_account"],
        lines=tuple(_note_line(line) for line in row["lines"]),
        deleted_by=row["deleter"] or "",
        deleted_at=row["deleted_at"],
        delete_reason=row["delete_reason"] or "",
    )


def _note_line(line: Mapping[str, Any]) -> NoteLine:
    counts = line["state"] == "approved" and not line["is_reversed"]
    return NoteLine(
        charge=line["charge"],
        entry=line["entry"],
        kind=line["kind"],
        title=line["title"],
        document_no=line["document_no"],
        due_on=date.fromisoformat(line["due_on"]),
        charged=Money(line["charged"]),
        first_day=date.fromisoformat(line["first_day"]),
        last_day=date.fromisoformat(line["last_day"]),
        lines=tuple(read_line(values) for values in line["derivation"]["lines"]),
        earlier=Money(line["derivation"]["earlier"]),
        noted=Money(line["derivation"]["noted"]),
        amount=Money(line["amount"]),
        standing=Money(line["amount"] - line["lowered"] if counts else 0),
        open=Money(line["open"]),
    )


# --- corrections that are due ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CorrectionDue:
    """Interest of a charge that was noted for days that fell away: ``amount`` of it is to be taken back."""

    account: int
    charge: int
    customer: int
    title: str
    amount: Money


async def corrections_due(
    conn: Connection, accounts: Sequence[int], *, foreign: Regimes = BUNDLED
) -> list[CorrectionDue]:
    """What of noted interest is to be taken back from these accounts, less corrections that wait as drafts already.

    A charge is computed to the last day that was noted for it, with the payments as they are known now.
    """
    return [
        CorrectionDue(claim.account, claim.charge, claim.customer, claim.title, Money(too_much))
        for claim in await read_noted(conn, accounts, foreign)
        if claim.trouble is None and (too_much := -claim.claimable.grosze - claim.pending) > 0
    ]


INTEREST_ENTRIES_SQL: Final[LiteralString] = """
select i.account_id, i.bears_on as charge, i.id, i.title, i.period, i.document_no, i.amount - coalesce((
    select sum(k.amount) from payments.entry k
    where k.account_id = i.account_id and k.corrects = i.id and k.side = 'credit' and k.state <> 'voided'
      and not exists (select from payments.entry r
        where r.account_id = k.account_id and r.reverses = k.id and r.state = 'approved')
), 0)::bigint as lowerable
from unnest($1::bigint[], $2::bigint[]) named (account_id, charge)
join payments.entry i on i.account_id = named.account_id and i.bears_on = named.charge and i.kind = 'interest'
  and i.state = 'approved' and not exists (select from payments.entry r
    where r.account_id = i.account_id and r.reverses = i.id and r.state = 'approved')
order by i.account_id, i.bears_on, i.id desc
"""
FORGET_DUE_SQL: Final[LiteralString] = """
delete from payments.interest_correction_due d using unnest($1::bigint[], $2::bigint[]) gone (account_id, charge)
where d.account_id = gone.account_id and d.charge = gone.charge
"""


async def enter_corrections(
    conn: Connection, charges: Sequence[Key], today: date, *, foreign: Regimes = BUNDLED
) -> list[Key]:
    """Enter drafts that take back what is due of these charges' interest, the newest interest first; their keys.

    What is due is computed anew, so nothing is taken back twice. Audited for each customer.
    """
    accounts = sorted({key.account for key in charges})
    await conn.execute(HOLD_SQL, accounts)
    wanted = set(charges)
    due = [
        one for one in await corrections_due(conn, accounts, foreign=foreign) if Key(one.account, one.charge) in wanted
    ]
    columns = [one.account for one in due], [one.charge for one in due]
    booked: dict[tuple[int, int], list[Row]] = {}
    for row in await conn.fetch(INTEREST_ENTRIES_SQL, *columns):
        booked.setdefault((row["account_id"], row["charge"]), []).append(row)
    drafts = [draft for one in due for draft in _corrections(one, booked[one.account, one.charge], today)]
    keys = await ledger.add_drafts(conn, drafts)
    await conn.execute(FORGET_DUE_SQL, [key.account for key in charges], [key.entry for key in charges])
    await audit_many(
        conn,
        "payments.interest_taken_back",
        [Fact(one.customer, f"entry {one.charge}", {"amount": one.amount}) for one in due],
    )
    return keys


def _corrections(due: CorrectionDue, booked: Iterable[Row], today: date) -> Iterable[Draft]:
    left = due.amount.grosze
    for row in booked:
        amount = min(left, row["lowerable"])
        if amount <= 0:
            continue
        left -= amount
        yield Draft(
            due.account,
            Side.CREDIT,
            "correction",
            Money(amount),
            value_date=today,
            period=row["period"],
            title=row["title"],
            document_no=row["document_no"],
            corrects=row["id"],
            reason=str(_("Days that the interest was booked for fell away")),
        )

"""Reading, matching, booking and rolling back statements. Each works in the transaction that it is given."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from kernel import Connection, Job, Money, Refused, Site, Stamp, Text, _, audit, enqueue, settings_of
from plugins.payments import suspense
from plugins.payments.bank import store
from plugins.payments.bank.model import OrderFound, OrderReferences, decide, hints
from plugins.payments.bank.statement import BankFileError, BankFormat, Statement
from plugins.payments.suspense import IncomingLine, PartDraft

AT_ONCE: Final = 500
INLINE: Final = 500
"""Lines that are booked while somebody waits; more are the work of a job."""
SOURCE: Final = "bank"
ALREADY: Final = _("This statement is booked already, or somebody is just booking it.")
START: Final = 8192


# --- reading --------------------------------------------------------------------------------------------------------


def formats(site: Site) -> Sequence[BankFormat]:
    """The kinds of bank files that the plugins in use can read."""
    return list(site.registry.extensions["payments.bank_format"].values())


def statements_of(content: bytes, known: Sequence[BankFormat]) -> list[Statement]:
    """The statements of a file, whatever its kind. Raises BankFileError."""
    if not content.strip():
        raise BankFileError(_("This file is empty."))
    chosen = next((one for one in known if one.recognises(content[:START])), None)
    if chosen is None:
        raise BankFileError(
            _("This is no bank file that can be read here. Download the statement as MT940 or camt.053.")
        )
    statements = list(chosen.read(io.BytesIO(content)))
    if not statements:
        raise BankFileError(_("There is no statement in this file."))
    return statements


def hash_of(content: bytes) -> str:
    """What tells a file from every other."""
    return hashlib.sha256(content).hexdigest()


async def keep(
    conn: Connection, site: Site, name: str, content: bytes, statements: Sequence[Statement]
) -> tuple[int, list[int]] | None:
    """Keep a file with its statements, matched: its number and theirs. None when this very file is kept already."""
    file = await store.add_file(conn, name, hash_of(content), len(content))
    if file is None:
        return None
    own = await store.own_accounts(conn)
    numbers: list[int] = []
    for statement in statements:
        problem = store.problem_of(statement, own)
        number = await store.add_statement(conn, statement, problem, file=file)
        numbers.append(number)
        await match(conn, site, number, statement.account)
        if problem is None:
            await store.move(conn, number, ["matching"], "ready")
    await audit(
        conn,
        "payments.bank_read",
        subject=f"bank-file {file}",
        file=name,
        count=len(statements),
        lines=sum(len(statement.lines) for statement in statements),
    )
    return file, numbers


async def match(conn: Connection, site: Site, number: int, account_no: str) -> None:
    """Find out whom the lines of a statement point to, and which are booked already."""
    await store.mark_twins(conn, number)
    prefixes, after, today = await store.prefixes(conn), 0, site.clock.today()
    while rows := await store.lines_after(conn, number, after, AT_ONCE):
        lines = [store.asked(row) for row in rows]
        said = [hint for line in lines if line.amount > 0 for hint in hints(line, prefixes)]
        orders = await _orders(conn, site, sorted({hint.word for hint in said if hint.how == "order"}))
        found = await store.pointed(conn, said, orders, account_no, today)
        of_line: dict[int, list[Any]] = {}
        for one in found:
            of_line.setdefault(one.line, []).append(one)
        await store.write_matches(conn, {line.id: decide(line, of_line.get(line.id, ())) for line in lines})
        after = rows[-1]["line_no"]


async def _orders(conn: Connection, site: Site, words: Sequence[str]) -> list[OrderFound]:
    known: Mapping[str, OrderReferences] = site.registry.extensions["payments.order_references"]
    return [order for one in known.values() for order in await one.orders(conn, words)] if words else []


# --- booking --------------------------------------------------------------------------------------------------------


async def begin(conn: Connection, site: Site, number: int, lines: int, *, similar: bool, actor: str) -> int | None:
    """Book a statement: at once (how many lines are booked), or by a job when it is long (None). Raises Refused."""
    if await store.claim(conn, number) != "ready":
        raise Refused(ALREADY)
    await store.move(conn, number, ["ready"], "booking")
    if lines <= INLINE and not _two_people(site):
        return await book(conn, site, number, similar=similar)
    await enqueue(conn, "payments.bank_book", {"statement": number, "similar": similar, "actor": actor})
    return None


def _two_people(site: Site) -> bool:
    return bool(getattr(settings_of(site, "payments"), "approver_differs", False))


async def book(
    conn: Connection, site: Site, number: int, *, similar: bool, tell: Connection | None = None, assigning: bool = True
) -> int:
    """Book what came in with a statement that is being booked; how many lines. Raises Refused, and then nothing is.

    Every line becomes one of suspense on its day; what a rule is certain of is assigned at once, unless not
    ``assigning`` (where two people are wanted, the rule is the second).
    """
    statement = await store.statement(conn, number)
    assert statement is not None  # noqa: S101  it is claimed
    await match(conn, site, number, statement.account_no)
    count, total, after = 0, 0, 0
    while rows := await store.to_book(conn, number, similar=similar, after=after, limit=AT_ONCE):
        received = await suspense.receive(
            conn,
            [_incoming(row, statement.account_no, statement.number, statement.round) for row in rows],
            site.clock.today(),
        )
        if len(received.new) != len(rows):
            raise Refused(_("Some of these lines are booked already. Look at the statement again."))
        await store.booked(conn, [row["id"] for row in rows], received.new)
        count, total, after = count + len(rows), total + sum(row["amount"] for row in rows), rows[-1]["line_no"]
        if tell is not None and await store.tell_progress(tell, number, after):
            raise Refused(_("The work was stopped. Nothing is booked."))
    if assigning:
        await assign(conn, site, number)
    await store.point_reversals(conn, number)
    await store.move(conn, number, ["booking"], "booked")
    await audit(
        conn,
        "payments.bank_booked",
        subject=f"bank-statement {number}",
        number=statement.number,
        account=statement.account_no,
        count=count,
        total=Money(total),
    )
    return count


def _incoming(row: Mapping[str, Any], account: str, number: str, again: int) -> IncomingLine:
    return IncomingLine(
        Money(row["amount"]),
        row["value_date"],
        booked_on=row["booked_on"],
        statement=f"{account} nr {number}"[:80],
        line_no=row["line_no"],
        payer_name=row["party_name"],
        payer_account=row["party_account"],
        paid_to=row["paid_to"],
        title=row["title"],
        source=SOURCE,
        external_id=f"{row['line_key']}/{again}" if again else row["line_key"],
    )


async def assign(conn: Connection, site: Site, number: int) -> None:
    """Assign the lines of a statement that a rule is certain of."""
    while rows := await store.certain(conn, number, AT_ONCE):
        parts = {
            row["incoming"]: [PartDraft(row["points_to"], Money(row["amount"]), designations=tuple(row["charges"]))]
            for row in rows
        }
        await suspense.assign_many(conn, parts, site.clock.today())


async def book_job(site: Site, payload: Mapping[str, Any]) -> None:
    """Book a long statement, all or nothing; with the reason where it is nothing."""
    number, actor = payload["statement"], Stamp(payload["actor"])
    two = _two_people(site)
    try:
        async with site.db.transaction(actor) as conn, site.db.connection() as tell:
            if await store.claim(conn, number) == "booking":
                await book(conn, site, number, similar=payload["similar"], tell=tell, assigning=not two)
        if two:
            async with site.db.transaction(Stamp("bank")) as conn:
                await store.claim(conn, number)
                await assign(conn, site, number)
    except Refused as refused:
        reason = next(iter((*refused.notes, *refused.errors.values())), Text(str(refused)))
        async with site.db.transaction(actor) as conn:
            await store.move(conn, number, ["booking"], "ready", reason)
    finally:
        async with site.db.transaction(actor) as conn:
            await store.end_progress(conn, number)


# --- rolling back ---------------------------------------------------------------------------------------------------


async def roll_back(conn: Connection, site: Site, number: int, reason: str) -> int:
    """Reverse every entry that a statement made and take its lines out of suspense; how many. Raises Refused.

    The statement can be booked again.
    """
    if _two_people(site):
        raise Refused(_("Where two people approve, undo the lines one by one."))
    if await store.claim(conn, number) != "booked":
        raise Refused(_("This statement is not booked."))
    lines = await store.incoming_of(conn, number)
    for incoming in lines:
        found = await suspense.line(conn, incoming)
        if found is None:
            continue
        for part in found.parts:
            if part.undone_at is None:
                await suspense.undo(conn, part, reason, site.clock.today())
        await suspense.give_back(conn, incoming, "mistake", found.amount, reason)
    await store.unbook(conn, number)
    await store.move(conn, number, ["booked"], "ready", rounds=1)
    await audit(conn, "payments.bank_rolled_back", subject=f"bank-statement {number}", count=len(lines), reason=reason)
    return len(lines)


async def take_back(conn: Connection, incoming: int, reason: str, today: date) -> None:
    """Undo what became of a line that the bank took back, and let its money leave suspense as returned."""
    found = await suspense.line(conn, incoming)
    if found is None:
        raise Refused(_("There is no such line."))
    for part in found.parts:
        if part.undone_at is None and part.account_id is not None:
            await suspense.undo(conn, part, reason, today)
    left = await suspense.line(conn, incoming)
    if left is not None and left.left:
        await suspense.give_back(conn, incoming, "returned", left.left, reason)


JOBS: Final = (Job("payments.bank_book", book_job),)

"""Booking statements: what a rule is certain of goes on accounts, the rest to suspense."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from kernel import Connection, Job, Money, Refused, Site, Stamp, _, audit, enqueue, settings_of
from plugins.payments import suspense
from plugins.payments.bank import store
from plugins.payments.bank.reading import match, reason_of
from plugins.payments.suspense import IncomingLine, PartDraft

AT_ONCE: Final = 500
INLINE: Final = 500
"""Lines that are booked while somebody waits; more are the work of a job."""
SOURCE: Final = "bank"
STOPPED: Final = _("The work was stopped. Nothing is booked.")
ALREADY: Final = _("This statement is booked already, or somebody is just booking it.")


# --- booking --------------------------------------------------------------------------------------------------------


async def begin(conn: Connection, site: Site, number: int, lines: int, *, similar: bool, actor: str) -> int | None:
    """Book a statement: at once (how many lines are booked), or by a job when it is long (None). Raises Refused."""
    if await store.claim(conn, number) != "ready":
        raise Refused(ALREADY)
    await store.move(conn, number, ["ready"], "booking")
    if lines <= INLINE and not two_people(site):
        return await book(conn, site, number, similar=similar)
    await enqueue(conn, "payments.bank_book", {"statement": number, "similar": similar, "actor": actor})
    return None


def two_people(site: Site) -> bool:
    """Whether nobody may approve what he entered himself."""
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
    await match(conn, site, number, statement.account_no, _stoppable(tell, number))
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
            raise Refused(STOPPED)
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


def _stoppable(tell: Connection | None, number: int) -> store.Told:
    async def told(_lines: int) -> None:
        if tell is not None and await store.tell_progress(tell, number, 0):
            raise Refused(STOPPED)

    return told


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
    two = two_people(site)
    try:
        async with site.db.transaction(actor) as conn, site.db.connection() as tell:
            if await store.claim(conn, number) == "booking":
                await book(conn, site, number, similar=payload["similar"], tell=tell, assigning=not two)
        if two:
            async with site.db.transaction(Stamp("bank")) as conn:
                await store.claim(conn, number)
                await assign(conn, site, number)
    except Refused as refused:
        async with site.db.transaction(actor) as conn:
            await store.move(conn, number, ["booking"], "ready", reason_of(refused))
    finally:
        async with site.db.transaction(actor) as conn:
            await store.end_progress(conn, number)


# --- what the bank takes back ---------------------------------------------------------------------------------------


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

"""Rolling a booked statement back: every entry that it made is reversed, its lines leave suspense, and it can be booked
again.

A long statement is rolled back in pieces, each in a transaction of its own. A line is either booked or unbooked whole,
never twice: what is left to do is what is still booked, so work that broke off, or was stopped, simply goes on. A line
that the ledger refuses stays booked and says why; the others go.

Where two people are wanted, one asks for the roll back and another confirms it; either may have booked. The reversals
are entered in the name of the first and approved in that of the second, in one transaction, so the database's own rule
(nobody approves what he entered) holds for each of them. Drafts that wait one by one, as for a single line, would leave
thousands of lines half undone for days, with the same decision to be made for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kernel import Connection, Fact, Job, Money, Refused, Site, Stamp, Text, _, audit, audit_many, enqueue
from plugins.payments import store as ledger
from plugins.payments.bank import store
from plugins.payments.bank.reading import reason_of
from plugins.payments.store import Key

INLINE: Final = 500
"""Lines that are rolled back while somebody waits; more are the work of a job."""
PIECE: Final = 200
STOPPED: Final = _("The roll back was stopped.")


async def begin(conn: Connection, site: Site, number: int, reason: str, *, asker: str, actor: str) -> int | None:
    """Roll a statement back: at once (how many lines), or by a job when it is long (None). Raises Refused.

    ``asker`` wants it and ``actor`` does it: two people where the settings say so, else the same.
    """
    if await store.claim(conn, number) != "booked":
        raise Refused(_("This statement is not booked."))
    await store.move(conn, number, ["booked"], "undoing", rounds=1)
    lines = await store.incoming_of(conn, number)
    if len(lines) > INLINE:
        payload = {"statement": number, "lines": len(lines), "reason": reason, "asker": asker, "actor": actor}
        await enqueue(conn, "payments.bank_undo", payload)
        return None
    await _undo(conn, site, number, lines, reason, asker, actor)
    await store.move(conn, number, ["undoing"], "ready")
    await audit(conn, "payments.bank_rolled_back", subject=f"bank-statement {number}", count=len(lines), reason=reason)
    return len(lines)


async def _undo(
    conn: Connection, site: Site, number: int, incoming: Sequence[int], reason: str, asker: str, actor: str
) -> None:
    """Reverse what became of these lines and take them out of suspense: all or nothing. Raises Refused."""
    if not incoming:
        return
    today, parts = site.clock.today(), await store.standing_parts(conn, incoming)
    waiting = [Key(part["account_id"], part["reversal"]) for part in parts if part["reversal"]]
    standing = [Key(part["account_id"], part["entry"]) for part in parts if part["entry"] and not part["reversal"]]
    await store.act_as(conn, asker)
    reversals = await ledger.draft_reversals(conn, standing, reason, today)
    await store.act_as(conn, actor)
    await ledger.approve(conn, [*waiting, *reversals], today)
    await store.undo_parts(conn, [part["id"] for part in parts if not part["entry"]], reason)
    await audit_many(
        conn,
        "payments.part_undone",
        [
            Fact(
                part["customer"],
                f"incoming {part['line']}",
                {"line": part["line"], "amount": Money(part["amount"]), "reason": reason},
            )
            for part in parts
        ],
    )
    await store.take_out(conn, incoming, reason)
    await store.unbook(conn, number, incoming)


# --- the job --------------------------------------------------------------------------------------------------------


async def undo_job(site: Site, payload: Mapping[str, Any]) -> None:
    """Roll a long statement back, piece by piece, until nothing is left, or somebody stops it."""
    number, actor = payload["statement"], Stamp(payload["actor"])
    done, after, is_stopped = 0, 0, False
    why: Text | None = None
    while not is_stopped and (piece := await _next(site, number, after)):
        for part in await _refused(site, payload, piece):
            why = part
        after, done = piece[-1], done + len(piece)
        async with site.db.transaction(actor) as conn:
            is_stopped = await store.tell_progress(conn, number, done)
    async with site.db.transaction(actor) as conn:
        await store.end_progress(conn, number)
        if await store.claim(conn, number) == "undoing":
            await _end(conn, payload, STOPPED if is_stopped else why)


async def _next(site: Site, number: int, after: int) -> list[int]:
    async with site.db.connection() as conn:
        return await store.incoming_of(conn, number, after, PIECE)


async def _refused(site: Site, payload: Mapping[str, Any], piece: Sequence[int]) -> list[Text]:
    """Roll a piece back; where it is refused, line by line. Why lines of it stay booked."""
    try:
        async with site.db.transaction(Stamp(payload["actor"])) as conn:
            number = payload["statement"]
            if await store.claim(conn, number) == "undoing":
                lines = await store.still_booked(conn, number, piece)
                await _undo(conn, site, number, lines, payload["reason"], payload["asker"], payload["actor"])
    except Refused as refused:
        if len(piece) == 1:
            return [reason_of(refused)]
        return [why for line in piece for why in await _refused(site, payload, [line])]
    return []


async def _end(conn: Connection, payload: Mapping[str, Any], why: Text | None) -> None:
    """Ready to be booked again when nothing is booked any more; else booked, and why something still is."""
    number = payload["statement"]
    left = len(await store.incoming_of(conn, number))
    await store.move(conn, number, ["undoing"], "booked" if left else "ready", why if left else None)
    await audit(
        conn,
        "payments.bank_rolled_back",
        subject=f"bank-statement {number}",
        count=payload["lines"] - left,
        reason=payload["reason"],
    )


JOBS: Final = (Job("payments.bank_undo", undo_job),)

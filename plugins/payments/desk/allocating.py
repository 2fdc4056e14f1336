"""What a payment pays, decided by the office: fixed to charges by hand, and let go again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from kernel import CONN, Money, Refused, Request, Route, Text, _, audit, not_found, redirect
from plugins.payments import store as ledger
from plugins.payments.desk import store
from plugins.payments.desk.fields import MOST_CHARGES, BesideCharges, Reason
from plugins.payments.desk.pages import WORDS
from plugins.payments.desk.store import Around, Board, Part
from plugins.payments.face import Side
from plugins.payments.model import CHANNELS, RULES
from plugins.payments.store import Entry


class AllocationForm(BesideCharges):
    """Amounts beside charges, and why."""

    reason: Reason


async def allocate(request: Request) -> Mapping[str, Any]:
    """The credit, the charges it can pay, and what is fixed already."""
    found = await _credit(request)
    board = await store.board(request[CONN], found.key, MOST_CHARGES)
    return {
        "entry": found,
        "board": board,
        "left": _left(found, board),
        "rules": RULES,
        "channels": CHANNELS,
        **WORDS,
    }


def _left(found: Entry, board: Board) -> Money:
    """How much of a credit is not fixed yet."""
    return found.amount - Money.total(part.amount for part in board.fixed)


async def add_allocation(request: Request, form: AllocationForm) -> web.Response:
    """Fix parts of a credit to charges; what the rules had chosen gives way. Too much is refused at its field."""
    conn, found = request[CONN], await _credit(request)
    if found.reversed_by is not None:
        raise Refused(ledger.REFUSALS["allocation_of_reversed"])
    board = await store.board(conn, found.key, MOST_CHARGES)
    amounts, left = form.amounts(), _left(found, board)
    if not amounts:
        raise Refused(_("Write an amount beside at least one charge."))
    known = {target.id: target for target in board.targets}
    wrong: dict[str, Text] = {}
    total = 0
    for number, amount in amounts.items():
        total += amount.grosze
        if number not in known:
            wrong[f"amount_{number}"] = _("Charge {number} is not open on this account.", number=number)
        elif amount > known[number].most:
            wrong[f"amount_{number}"] = _("Only {most} of this charge can be set.", most=known[number].most)
        elif total > left.grosze:
            wrong[f"amount_{number}"] = _("Only {left} of the payment can be set in all.", left=left)
    if wrong:
        raise Refused(errors=wrong)
    for number, amount in amounts.items():
        await ledger.pin(conn, found.key, number, amount, form.reason)
        await _tell(request, "payments.allocated", found, amount, number, form.reason)
    return redirect(
        request, "payments.desk_allocate", entry=found.id, flash=_("Set. The rest is allocated by the rules.")
    )


class ReleaseForm(BaseModel):
    """Why something fixed by hand is let go."""

    reason: Reason


async def release(request: Request) -> Mapping[str, Any]:
    """Asks why, and says what will happen."""
    found = await _credit(request)
    part = _fixed(request, await store.around(request[CONN], found.key))
    return {"entry": found, "part": part, **WORDS}


async def add_release(request: Request, form: ReleaseForm) -> web.Response:
    """Let a fixed part go: the rules decide again."""
    found = await _credit(request)
    part = _fixed(request, await store.around(request[CONN], found.key))
    if part.released_at is not None:
        raise Refused(_("This was released already."))
    await ledger.release(request[CONN], found.account_id, part.id, form.reason)
    await _tell(request, "payments.released", found, part.amount, part.entry, form.reason)
    return redirect(
        request, "payments.desk_allocate", entry=found.id, flash=_("Released. It is allocated by the rules again.")
    )


def _fixed(request: Request, around: Around) -> Part:
    number = int(request.match_info["allocation"])
    for part in (*around.parts, *around.released):
        if part.id == number and part.rule in ("manual", "imported"):
            return part
    raise not_found()


async def _credit(request: Request) -> Entry:
    """The approved credit of the path that can pay charges; 404 otherwise."""
    found = await ledger.entry(request[CONN], int(request.match_info["entry"]))
    if found is None or found.side is not Side.CREDIT or found.state != "approved":
        raise not_found()
    if found.kind in ("reversal", "correction"):
        raise not_found()
    return found


async def _tell(request: Request, verb: str, credit: Entry, amount: Money, charge: int, reason: str) -> None:
    await audit(
        request[CONN],
        verb,
        customer=credit.customer,
        subject=f"entry {credit.id}",
        entry=credit.id,
        charge=charge,
        amount=amount,
        reason=reason,
    )


_ENTRY: Final = r"/admin/entries/{entry:\d+}"
ROUTES: Final = (
    Route(
        "GET",
        f"{_ENTRY}/allocate",
        allocate,
        "payments.allocate",
        "payments.desk_allocate",
        template="payments/desk/allocate.html",
    ),
    Route(
        "POST",
        f"{_ENTRY}/allocate",
        add_allocation,
        "payments.allocate",
        "payments.desk_add_allocation",
        body=AllocationForm,
    ),
    Route(
        "GET",
        _ENTRY + r"/release/{allocation:\d+}",
        release,
        "payments.allocate",
        "payments.desk_release",
        template="payments/desk/release.html",
    ),
    Route(
        "POST",
        _ENTRY + r"/release/{allocation:\d+}",
        add_release,
        "payments.allocate",
        "payments.desk_add_release",
        body=ReleaseForm,
    ),
)

"""One line of money that came in: whose it may be, splitting it by hand or by a list, giving it back, undoing."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from kernel import (
    ACTOR,
    CONN,
    FORM,
    SITE,
    Money,
    PositiveMoney,
    Refused,
    Request,
    Text,
    Upload,
    _,
    ngettext,
    not_found,
    redirect,
    settings,
)
from plugins.payments.charging import reading
from plugins.payments.model import CHANNELS
from plugins.payments.suspense import store
from plugins.payments.suspense.model import (
    CREDITED,
    GIVEN_BACK,
    MOST_ROWS,
    PART_KINDS,
    PartDraft,
    Split,
    read_list,
    read_row,
    resolve,
)
from plugins.payments.suspense.store import Incoming, Part

FEWEST_ROWS: Final = 5
MORE_ROWS: Final = 5
MOST_TYPED: Final = 200
"""Rows of the form; a longer list is attached."""
_FIELD: Final = re.compile(r"(?:account|amount)_([1-9][0-9]{0,2})")
_Kind = Literal["payment", "benefit", "offset"]
_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]
_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]

# --- the line -------------------------------------------------------------------------------------------------------


async def line(request: Request) -> Mapping[str, Any]:
    """A line with what became of it, whom it may belong to, and the form that splits it."""
    found = await _found(request)
    may_assign = bool(found.left) and request[ACTOR].may("payments.approve")
    proposals = await store.matches(request[CONN], found, _today(request)) if may_assign else []
    typed = request[FORM].values
    rows = _typed_rows(typed)
    return {
        **_shown(found),
        "proposals": proposals,
        "may_assign": may_assign,
        "usual": next((part.kind for part in reversed(found.parts) if part.kind in CREDITED), "payment"),
        "may_undo": request[ACTOR].may("payments.approve"),
        "rows": max(FEWEST_ROWS, len(rows)) + (MORE_ROWS if typed.get("step") == "more" else 0),
        "in_rows": Money.total(amount for amount in map(_amount, rows) if amount),
    }


def _shown(found: Incoming) -> dict[str, Any]:
    return {
        "line": found,
        "live": [part for part in found.parts if part.undone_at is None],
        "undone": [part for part in found.parts if part.undone_at is not None],
        "kinds": PART_KINDS,
        "credited": tuple(CREDITED.items()),
        "channels": CHANNELS,
    }


class SplitForm(BaseModel):
    """``whole``: everything that is left to one account. Else rows ``account_1 amount_1 …``.

    ``step``: ``more`` rows are wanted, or the sum of the rows (``count``), before anything is booked.
    """

    model_config = ConfigDict(extra="allow")

    whole: _Id | None = None
    kind: _Kind = "payment"
    step: Literal["book", "more", "count"] = "book"


async def assign(request: Request, form: SplitForm) -> web.Response:
    """Assign a line: whole to one account, or by rows."""
    _check_may(request)
    found, today = await _found(request), _today(request)
    if form.whole is not None:
        parts = [PartDraft(form.whole, found.left, form.kind)]
    else:
        rows = _typed_rows({name: value for name, value in (form.model_extra or {}).items() if isinstance(value, str)})
        if form.step != "book":
            total = Money.total(amount for amount in map(_amount, rows) if amount)
            raise Refused(_("In the rows: {total}. Left to assign: {left}.", total=total, left=found.left))
        parts = await store.drafts_of(request[CONN], await _right_rows(request, rows), form.kind, today)
    if not found.left:
        raise Refused(_("Nothing of this line is left to assign."))
    await store.assign(request[CONN], found.id, parts, today)
    flash = ngettext("{count} part is booked", "{count} parts are booked", len(parts))
    return redirect(request, "payments.suspense_line", line=found.id, flash=flash)


def _typed_rows(typed: Mapping[str, str]) -> list[tuple[int, str, str]]:
    """Numbered rows of the form up to the last one with anything in it: place, number, amount."""
    places = [
        int(named[1])
        for name, value in typed.items()
        if (named := _FIELD.fullmatch(name)) and value.strip() and int(named[1]) <= MOST_TYPED
    ]
    return [
        (place, typed.get(f"account_{place}", "").strip(), typed.get(f"amount_{place}", "").strip())
        for place in range(1, max(places, default=0) + 1)
    ]


def _amount(row: tuple[int, str, str]) -> Money | None:
    return read_row(*row).amount


async def _right_rows(request: Request, typed: Sequence[tuple[int, str, str]]) -> list[Split]:
    """The rows that were filled in. Raises Refused with what is wrong, at its field."""
    rows = [read_row(*row) for row in typed if row[1] or row[2]]
    if not rows:
        raise Refused(_("Fill in at least one row."), field="account_1")
    known = await store.find(request[CONN], (row.number for row in rows))
    resolved = resolve(rows, known, _today(request))
    wrong = {f"{'account' if row.wrong_number else 'amount'}_{row.place}": row.wrong for row in resolved if row.wrong}
    if wrong:
        raise Refused(errors=wrong)
    return resolved


# --- an attached list -----------------------------------------------------------------------------------------------


class ListForm(BaseModel):
    """A list of numbers and amounts. ``rest``: what the list does not reach stays in suspense."""

    rows: Annotated[str, StringConstraints(max_length=400_000)]
    kind: _Kind = "benefit"
    rest: bool = False


class PreviewForm(BaseModel):
    """The same list, pasted or as a file, to be looked at first."""

    rows: Annotated[str, StringConstraints(max_length=400_000)] = ""
    kind: _Kind = "benefit"
    file: Upload | None = None


async def attach(request: Request) -> Mapping[str, Any]:
    """The form of a list; after a refusal with the rows that are wrong."""
    found = await _found(request)
    typed = request[FORM].values
    return await _previewed(request, found, typed.get("rows", ""), typed.get("kind", "benefit"))


async def preview(request: Request, form: PreviewForm) -> Mapping[str, Any]:
    """What a list would book, row by row, before anything is booked."""
    _check_may(request)
    found = await _found(request)
    try:
        text = await reading.text_of(form.rows, form.file)
    except reading.ListError as error:
        return {**await _previewed(request, found, "", form.kind), "unreadable": error.message}
    return await _previewed(request, found, text, form.kind)


async def _previewed(request: Request, found: Incoming, text: str, kind: str) -> dict[str, Any]:
    unreadable: Text | None = None
    rows: list[Split] = []
    if text.strip():
        try:
            rows = await _read(request, text)
        except reading.ListError as error:
            unreadable = error.message
    total = Money.total(row.amount for row in rows if row.amount)
    return {
        **_shown(found),
        # A page that answers a form has no key of its own for the next form.
        "key": request[FORM].key if FORM in request else secrets.token_urlsafe(16),
        "kind": kind if kind in CREDITED else "benefit",
        "text": text,
        "rows": rows,
        "wrong": sum(row.wrong is not None for row in rows),
        "total": total,
        "rest": found.left - total,
        "unreadable": unreadable,
        "may_assign": request[ACTOR].may("payments.approve"),
    }


async def _read(request: Request, text: str) -> list[Split]:
    """The rows of a list, resolved. Raises ListError."""
    cells = await reading.cells_of(text)
    if len(cells) > MOST_ROWS:
        raise reading.ListError(_("This list has more than {count} lines. Divide it.", count=MOST_ROWS))
    rows = read_list(cells)
    if not rows:
        raise reading.ListError(_("There are no rows in this list: write a number and an amount in each."))
    return resolve(rows, await store.find(request[CONN], (row.number for row in rows)), _today(request))


async def book_list(request: Request, form: ListForm) -> web.Response:
    """Book a list: only when every row is right and the sum is the line's, or the rest shall stay in suspense."""
    _check_may(request)
    found, today = await _found(request), _today(request)
    try:
        rows = await _read(request, form.rows)
    except reading.ListError as error:
        raise Refused(error.message, field="rows") from error
    wrong = sum(row.wrong is not None for row in rows)
    if wrong:
        raise Refused(ngettext("{count} row is wrong.", "{count} rows are wrong.", wrong), field="rows")
    total = Money.total(row.amount for row in rows if row.amount)
    if total.grosze < found.left.grosze and not form.rest:
        raise Refused(
            _("The list makes {total}, which is {rest} less than what is left.", total=total, rest=found.left - total),
            field="rest",
        )
    parts = await store.drafts_of(request[CONN], rows, form.kind, today)
    await store.assign(request[CONN], found.id, parts, today)
    flash = ngettext("{count} part is booked", "{count} parts are booked", len(parts))
    return redirect(request, "payments.suspense_line", line=found.id, flash=flash)


# --- giving back, undoing -------------------------------------------------------------------------------------------


class GiveBackForm(BaseModel):
    """Money that leaves suspense without an account, and why."""

    kind: Literal["returned", "mistake"]
    amount: PositiveMoney
    reason: _Reason


async def confirm_give_back(request: Request) -> Mapping[str, Any]:
    """Asks how much leaves suspense, and why."""
    return {**_shown(await _found(request)), "ways": tuple(GIVEN_BACK.items())}


async def give_back(request: Request, form: GiveBackForm) -> web.Response:
    """Take money out of suspense that is on nobody's account."""
    _check_may(request)
    found = await _found(request)
    if form.amount.grosze > found.left.grosze:
        raise Refused(_("Only {left} is left.", left=found.left), field="amount")
    await store.give_back(request[CONN], found.id, form.kind, form.amount, form.reason)
    return redirect(request, "payments.suspense_line", line=found.id, flash=_("Taken out of suspense."))


class UndoForm(BaseModel):
    """Why a part is put back into suspense."""

    reason: _Reason


async def confirm_undo(request: Request) -> Mapping[str, Any] | web.StreamResponse:
    """Asks why a part is undone, and says what will happen."""
    part = await _part(request)
    if part.undone_at is not None:
        return redirect(request, "payments.suspense_line", line=part.line, flash=store.REFUSALS["part_undone"])
    return {"part": part, "kinds": PART_KINDS}


async def undo(request: Request, form: UndoForm) -> web.Response:
    """Put a part back into suspense; its entry on the account is reversed."""
    _check_may(request)
    part = await _part(request)
    two_people = settings(request, "payments").approver_differs
    done = await store.undo(request[CONN], part, form.reason, _today(request), two_people=two_people)
    flash = (
        _("The part is undone; the money is in suspense.")
        if done
        else _("Entered. It counts once somebody else approves it.")
    )
    return redirect(request, "payments.suspense_line", line=part.line, flash=flash)


# --- what all of them need ------------------------------------------------------------------------------------------


async def _found(request: Request) -> Incoming:
    found = await store.line(request[CONN], int(request.match_info["line"]))
    if found is None:
        raise not_found()
    return found


async def _part(request: Request) -> Part:
    part = await store.part(request[CONN], int(request.match_info["part"]))
    if part is None:
        raise not_found()
    return part


def _check_may(request: Request) -> None:
    """Assigning approves entries, so it needs both rights: the route asks for the one, this for the other."""
    if not request[ACTOR].may("payments.suspense"):
        raise web.HTTPForbidden


def _today(request: Request) -> date:
    return request[SITE].clock.today()

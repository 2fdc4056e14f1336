"""What goes from one account to another: free credit, an open debt, a payment that was booked on a wrong account.

Each is a pair of entries, booked together or not at all. Nothing that a customer sees names the other one: the office's
reason stays with the pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, StringConstraints

from kernel import (
    CONN,
    FORM,
    SITE,
    Line,
    Money,
    Refused,
    Request,
    Route,
    Text,
    _,
    audit,
    find_customer,
    ngettext,
    not_found,
    redirect,
    settings,
)
from plugins.payments import store as ledger
from plugins.payments.desk import store
from plugins.payments.desk.entering import check_free, free_of, usable
from plugins.payments.desk.fields import MOST_CHARGES, Amount, BesideCharges, BookDay, Id, Number, Reason
from plugins.payments.desk.model import check_taken, untouchable
from plugins.payments.desk.pages import WORDS, account_of, may_transfer
from plugins.payments.desk.store import Named
from plugins.payments.face import Side
from plugins.payments.model import CHANNELS
from plugins.payments.store import Draft, Entry, Key

MOVABLE: Final = ("payment", "offset", "benefit")
"""Kinds of credits that come from outside, so that they can come to a wrong account."""
To = Annotated[Number, StringConstraints(min_length=1)]

# --- the other account ----------------------------------------------------------------------------------------------


async def _choice(request: Request) -> Sequence[tuple[int, str]]:
    """The accounts to choose from, where what was typed fits several."""
    typed = request[FORM].values.get("to", "")
    usable_ones = [one for one in await store.called(request[CONN], typed) if not one.untouchable] if typed else []
    return [(one.id, one.label) for one in usable_ones] if len(usable_ones) > 1 else []


async def _other(request: Request, own: int, to: str, chosen: int | None) -> Named:
    """The account that ``to`` stands for. Raises Refused, with the reason at the field."""
    found = await store.called(request[CONN], to) or await _opened(request, to)
    if not found:
        raise Refused(_("There is no customer and no account with this number"), field="to")
    others = [one for one in found if one.id != own and (chosen is None or one.id == chosen)]
    if not others:
        raise Refused(_("This is the account itself. Choose another one."), field="to")
    fit = [one for one in others if not one.untouchable]
    if not fit:
        raise Refused(others[0].untouchable, field="to")
    if len(fit) > 1:
        raise Refused(_("Several accounts have this number. Choose one of them."), field="to_account")
    return fit[0]


async def _opened(request: Request, customer_no: str) -> list[Named]:
    """The account of a customer who had none."""
    customer = await find_customer(request[CONN], customer_no)
    if customer is None or customer.status == "closed":
        return []
    await ledger.open_accounts(request[CONN], [customer.id], _today(request))
    return await store.called(request[CONN], customer_no)


# --- transfers ------------------------------------------------------------------------------------------------------


class CreditTransferForm(BaseModel):
    """How much of the free credit goes where, and from which day it counts there."""

    to: To
    to_account: Id | None = None
    amount: Amount
    day: BookDay
    title: Line = ""
    reason: Reason


async def transfer_credit(request: Request) -> Mapping[str, Any]:
    """The form that transfers an overpayment."""
    _may(request)
    found = await account_of(request, limit=MOST_CHARGES)
    return {
        "account": found,
        "free": free_of(found),
        "day": _today(request),
        "choice": await _choice(request),
        **WORDS,
    }


async def add_credit_transfer(request: Request, form: CreditTransferForm) -> web.Response:
    """Take a credit from this account and give it to another, both at once."""
    _may(request)
    found, today = await usable(request), _today(request)
    other = await _other(request, found.id, form.to, form.to_account)
    check_free(found, form.amount)
    if form.day > today:
        raise Refused(_("This day has not come yet"), field="day")
    there = Money.total(credit.open for credit in found.credits if credit.on <= form.day)
    if form.amount > there:
        raise Refused(_("Only {there} of it was there on that day.", there=there), field="day")
    taken = Draft(found.id, Side.CHARGE, "transfer", form.amount, issued_on=form.day, due_on=form.day, title=form.title)
    given = Draft(other.id, Side.CREDIT, "transfer", form.amount, value_date=form.day, title=form.title)
    pairs = [(taken, given)]
    return await _transferred(request, (found.id, found.customer), other, pairs, form.reason)


class DebtTransferForm(BesideCharges):
    """How much of which charges goes where."""

    to: To
    to_account: Id | None = None
    reason: Reason


async def transfer_debt(request: Request) -> Mapping[str, Any]:
    """The form that transfers open charges."""
    _may(request)
    found = await account_of(request, limit=MOST_CHARGES)
    return {"account": found, "choice": await _choice(request), **WORDS}


async def add_debt_transfer(request: Request, form: DebtTransferForm) -> web.Response:
    """Take debts from this account and put them on another with the days they have, so that interest runs on there."""
    _may(request)
    found, today = await usable(request), _today(request)
    amounts = form.amounts()
    other = await _other(request, found.id, form.to, form.to_account)
    pairs: list[tuple[Draft, Draft]] = []
    for charge, amount in check_taken(found, amounts):
        taken = Draft(
            found.id,
            Side.CREDIT,
            "transfer",
            amount,
            value_date=min(charge.issued_on, today),
            period=charge.period,
            title=charge.title,
            document_no=charge.document_no,
            designations=(charge.id,),
        )
        given = Draft(
            other.id,
            Side.CHARGE,
            "transfer",
            amount,
            issued_on=charge.issued_on,
            due_on=charge.due_on,
            period=charge.period,
            title=charge.title,
            document_no=charge.document_no,
        )
        pairs.append((taken, given))
    return await _transferred(request, (found.id, found.customer), other, pairs, form.reason)


async def _transferred(
    request: Request, own: tuple[int, int], other: Named, pairs: Sequence[tuple[Draft, Draft]], reason: str
) -> web.Response:
    conn, (account, customer) = request[CONN], own
    keys: list[Key] = []
    for taken, given in pairs:
        from_key, to_key = await ledger.add_drafts(conn, [taken, given])
        number = await store.add_transfer(conn, "transfer", from_key, to_key, taken.amount, reason)
        keys += [from_key, to_key]
        for whose, key in ((customer, from_key), (other.customer, to_key)):
            await _tell(request, "payments.transferred", whose, key.entry, taken.amount, number)
    flash = ngettext(
        "{count} transfer is booked on both accounts.", "{count} transfers are booked on both accounts.", len(pairs)
    )
    return redirect(request, "payments.account", account=account, flash=await _booked(request, keys, flash))


async def _booked(request: Request, keys: Sequence[Key], flash: Text) -> Text:
    """Approve both halves, unless the organisation wants somebody else to; what to say then."""
    if two_people(request):
        return _("Entered. It counts once somebody else approves it.")
    await store.approve(request[CONN], keys, _today(request))
    return flash


def two_people(request: Request) -> bool:
    """Whether nobody may approve what they entered themselves."""
    return settings(request, "payments").approver_differs


async def _tell(request: Request, verb: str, customer: int, entry: int, amount: Money, transfer: int) -> None:
    await audit(
        request[CONN], verb, customer=customer, subject=f"entry {entry}", entry=entry, amount=amount, transfer=transfer
    )


# --- a payment on a wrong account -----------------------------------------------------------------------------------


class MoveForm(BaseModel):
    """The account that a payment belongs to."""

    to: To
    to_account: Id | None = None
    reason: Reason


async def move(request: Request) -> Mapping[str, Any] | web.StreamResponse:
    """The form that moves a payment to the right account."""
    _may(request)
    found = await _movable(request)
    around = await store.around(request[CONN], found.key)
    return {
        "entry": found,
        "around": around,
        "channels": CHANNELS,
        "choice": await _choice(request),
        "stuck": _stuck(found, around),
        **WORDS,
    }


def _stuck(found: Entry, around: store.Around) -> Text | None:
    """Why a payment cannot leave its account. A closed account, or one of a closed customer, may still lose it."""
    return untouchable(is_mirror=around.is_mirror, is_closed=False, customer_closed=False, name=found.customer_name)


async def add_move(request: Request, form: MoveForm) -> web.Response:
    """Reverse a payment here and book it there, with the days on which it was paid and received."""
    _may(request)
    conn, today, found = request[CONN], _today(request), await _movable(request)
    stuck = _stuck(found, await store.around(conn, found.key))
    if stuck is not None:
        raise Refused(stuck)
    other = await _other(request, found.account_id, form.to, form.to_account)
    (undone,) = await ledger.draft_reversals(conn, [found.key], str(_("Booked on a wrong account")), today)
    await ledger.edit(
        conn,
        undone,
        Draft(found.account_id, Side.CHARGE, "reversal", found.amount, issued_on=today, period=found.period),
    )
    (made,) = await ledger.add_drafts(
        conn,
        [
            Draft(
                other.id,
                Side.CREDIT,
                found.kind,
                found.amount,
                value_date=found.value_date,
                paid_on=found.paid_on,
                period=found.period,
                title=found.title,
                document_no=found.document_no,
                channel=found.channel,
            )
        ],
    )
    number = await store.add_transfer(conn, "moved", undone, made, found.amount, form.reason)
    flash = await _booked(request, [undone, made], _("The payment is on the right account now."))
    await _tell(request, "payments.moved_away", found.customer, found.id, found.amount, number)
    await _tell(request, "payments.moved_here", other.customer, made.entry, found.amount, number)
    return redirect(request, "payments.entry", entry=made.entry, flash=flash)


async def _movable(request: Request) -> Entry:
    """The payment of the path, if it can be moved. Raises 404, or Refused for one that was reversed."""
    found = await ledger.entry(request[CONN], int(request.match_info["entry"]))
    if found is None or found.kind not in MOVABLE or found.side is not Side.CREDIT or found.state != "approved":
        raise not_found()
    if found.reversed_by is not None and request.method == "POST":
        raise Refused(ledger.REFUSALS["entry_reversed_once"])
    return found


def _may(request: Request) -> None:
    if not may_transfer(request):
        raise web.HTTPForbidden


def _today(request: Request) -> date:
    return request[SITE].clock.today()


_ACCOUNT: Final = r"/admin/accounts/{account:\d+}"
ROUTES: Final = (
    Route(
        "GET",
        f"{_ACCOUNT}/transfer-credit",
        transfer_credit,
        "payments.reverse",
        "payments.desk_transfer_credit",
        template="payments/desk/transfer_credit.html",
    ),
    Route(
        "POST",
        f"{_ACCOUNT}/transfer-credit",
        add_credit_transfer,
        "payments.reverse",
        "payments.desk_add_credit_transfer",
        body=CreditTransferForm,
    ),
    Route(
        "GET",
        f"{_ACCOUNT}/transfer-debt",
        transfer_debt,
        "payments.reverse",
        "payments.desk_transfer_debt",
        template="payments/desk/transfer_debt.html",
    ),
    Route(
        "POST",
        f"{_ACCOUNT}/transfer-debt",
        add_debt_transfer,
        "payments.reverse",
        "payments.desk_add_debt_transfer",
        body=DebtTransferForm,
    ),
    Route(
        "GET",
        r"/admin/entries/{entry:\d+}/move",
        move,
        "payments.reverse",
        "payments.desk_move",
        template="payments/desk/move.html",
    ),
    Route(
        "POST",
        r"/admin/entries/{entry:\d+}/move",
        add_move,
        "payments.reverse",
        "payments.desk_add_move",
        body=MoveForm,
    ),
)

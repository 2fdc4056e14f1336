"""What is entered on an account besides payments: an opening balance, a refund, what is remitted or written off.

All of these are drafts until somebody approves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel

from kernel import CONN, SITE, Line, Money, Refused, Request, Route, Text, _, ngettext, redirect, url
from plugins.payments import store as ledger
from plugins.payments.desk.fields import MOST_CHARGES, Amount, BesideCharges, BookDay, Reason
from plugins.payments.desk.model import Account, check_taken
from plugins.payments.desk.pages import WORDS, account_of
from plugins.payments.face import Side
from plugins.payments.store import Draft


async def usable(request: Request) -> Account:
    """The account of the path, on which something can be entered. Raises Refused otherwise."""
    found = await account_of(request, limit=MOST_CHARGES)
    if found.untouchable is not None:
        raise Refused(found.untouchable)
    return found


# --- opening balance ------------------------------------------------------------------------------------------------


class OpeningForm(BaseModel):
    """What an account began with. ``due_on`` is when a debt was or is due."""

    side: Literal["charge", "credit"]
    amount: Amount
    day: BookDay
    due_on: BookDay | None = None
    title: Line = ""


async def opening(request: Request) -> Mapping[str, Any]:
    """The form of an opening balance."""
    return {"account": await account_of(request, limit=0), "day": request[SITE].clock.today(), **WORDS}


async def add_opening(request: Request, form: OpeningForm) -> web.Response:
    """Enter an opening balance as a draft."""
    found = await usable(request)
    owed = form.side == "charge"
    if form.day > request[SITE].clock.today():
        raise Refused(_("This day has not come yet"), field="day")
    if owed and form.due_on is None:
        raise Refused(_("Enter a date"), field="due_on")
    if owed and form.due_on is not None and form.due_on < form.day:
        raise Refused(_("A debt is due on the day it arises or later"), field="due_on")
    draft = Draft(
        found.id,
        Side(form.side),
        "opening",
        form.amount,
        issued_on=form.day if owed else None,
        due_on=form.due_on if owed else None,
        value_date=None if owed else form.day,
        title=form.title,
    )
    key = await ledger.enter(request[CONN], found.customer, draft)
    return redirect(
        request,
        "payments.entry",
        entry=key.entry,
        flash=_("The opening balance is entered. It counts once you approve it."),
    )


# --- refund ---------------------------------------------------------------------------------------------------------


class RefundForm(BaseModel):
    """What is paid back of an overpayment, and why."""

    amount: Amount
    title: Line = ""
    reason: Reason


async def refund(request: Request) -> Mapping[str, Any]:
    """The form of a refund, with everything that is free."""
    found = await account_of(request, limit=MOST_CHARGES)
    return {"account": found, "free": free_of(found), **WORDS}


def free_of(found: Account) -> Money:
    """The credit that is free and that no draft speaks for yet."""
    spoken_for = sum(draft.amount.grosze for draft in found.drafts if draft.side == "charge" and draft.kind == "refund")
    return Money(max(0, found.position.credit.grosze - spoken_for))


def check_free(found: Account, amount: Money) -> None:
    """Raises Refused where an amount is more than the account's free credit."""
    free = free_of(found)
    if not free:
        raise Refused(_("Nothing is overpaid on this account."), field="amount")
    if amount > free:
        raise Refused(_("Only {free} is overpaid.", free=free), field="amount")


async def add_refund(request: Request, form: RefundForm) -> web.Response:
    """Enter a refund: a charge that the overpayment pays on the day itself, so that it bears no interest."""
    found, today = await usable(request), request[SITE].clock.today()
    check_free(found, form.amount)
    draft = Draft(
        found.id,
        Side.CHARGE,
        "refund",
        form.amount,
        issued_on=today,
        due_on=today,
        title=form.title,
        reason=form.reason,
    )
    key = await ledger.enter(request[CONN], found.customer, draft)
    return redirect(
        request, "payments.entry", entry=key.entry, flash=_("The refund is entered. It counts once you approve it.")
    )


# --- remission and write-off ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _GivingUp:
    """One way to give a debt up, in words."""

    kind: str
    title: Text
    what_happens: Text
    action: Text


REMISSION: Final = _GivingUp(
    "remission",
    _("Remit a debt"),
    _("What you remit is forgiven: the customer owes it no more and sees it as a remission."),
    _("Enter the remission"),
)
WRITE_OFF: Final = _GivingUp(
    "write_off",
    _("Write a debt off"),
    _("What you write off cannot be collected any more: the customer owes it no more on this account."),
    _("Enter the write-off"),
)


class GivenUpForm(BesideCharges):
    """Amounts beside charges, and why they are given up."""

    reason: Reason


async def _giving_up(request: Request, way: _GivingUp) -> Mapping[str, Any]:
    found = await account_of(request, limit=MOST_CHARGES)
    return {
        "account": found,
        "way": way,
        "action": url(request, f"payments.desk_add_{way.kind}", account=found.id),
        **WORDS,
    }


async def _give_up(request: Request, form: GivenUpForm, way: _GivingUp) -> web.Response:
    conn, found, today = request[CONN], await usable(request), request[SITE].clock.today()
    keys = [
        await ledger.enter(
            conn,
            found.customer,
            Draft(
                found.id,
                Side.CREDIT,
                way.kind,
                amount,
                value_date=today,
                period=charge.period,
                title=charge.title,
                document_no=charge.document_no,
                reason=form.reason,
                designations=(charge.id,),
            ),
        )
        for charge, amount in check_taken(found, form.amounts())
    ]
    flash = ngettext(
        "{count} entry is entered. It counts once you approve it.",
        "{count} entries are entered. They count once you approve them.",
        len(keys),
    )
    if len(keys) == 1:
        return redirect(request, "payments.entry", entry=keys[0].entry, flash=flash)
    return redirect(request, "payments.account", account=found.id, flash=flash)


async def remission(request: Request) -> Mapping[str, Any]:
    """The form that forgives a debt."""
    return await _giving_up(request, REMISSION)


async def add_remission(request: Request, form: GivenUpForm) -> web.Response:
    """Enter remissions, one for each charge."""
    return await _give_up(request, form, REMISSION)


async def write_off(request: Request) -> Mapping[str, Any]:
    """The form that writes a debt off."""
    return await _giving_up(request, WRITE_OFF)


async def add_write_off(request: Request, form: GivenUpForm) -> web.Response:
    """Enter write-offs, one for each charge."""
    return await _give_up(request, form, WRITE_OFF)


_ACCOUNT: Final = r"/admin/accounts/{account:\d+}"
ROUTES: Final = (
    Route(
        "GET",
        f"{_ACCOUNT}/opening",
        opening,
        "payments.enter",
        "payments.desk_opening",
        template="payments/desk/opening.html",
    ),
    Route("POST", f"{_ACCOUNT}/opening", add_opening, "payments.enter", "payments.desk_add_opening", body=OpeningForm),
    Route(
        "GET",
        f"{_ACCOUNT}/refund",
        refund,
        "payments.enter",
        "payments.desk_refund",
        template="payments/desk/refund.html",
    ),
    Route("POST", f"{_ACCOUNT}/refund", add_refund, "payments.enter", "payments.desk_add_refund", body=RefundForm),
    Route(
        "GET",
        f"{_ACCOUNT}/remission",
        remission,
        "payments.write_off",
        "payments.desk_remission",
        template="payments/desk/give_up.html",
    ),
    Route(
        "POST",
        f"{_ACCOUNT}/remission",
        add_remission,
        "payments.write_off",
        "payments.desk_add_remission",
        body=GivenUpForm,
    ),
    Route(
        "GET",
        f"{_ACCOUNT}/write-off",
        write_off,
        "payments.write_off",
        "payments.desk_write_off",
        template="payments/desk/give_up.html",
    ),
    Route(
        "POST",
        f"{_ACCOUNT}/write-off",
        add_write_off,
        "payments.write_off",
        "payments.desk_add_write_off",
        body=GivenUpForm,
    ),
)

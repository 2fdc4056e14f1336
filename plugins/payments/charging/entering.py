"""The form of one new charge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from kernel import (
    CONN,
    SITE,
    Line,
    PolishDate,
    PositiveMoney,
    Refused,
    Request,
    Route,
    Text,
    _,
    one_line,
    redirect,
)
from plugins.payments import store as ledger
from plugins.payments.charging import accounts
from plugins.payments.charging.accounts import Resolved
from plugins.payments.charging.model import LARGEST, Month, MonthField
from plugins.payments.face import Side
from plugins.payments.model import CHARGE_KINDS, FIRST_YEAR, LAST_YEAR
from plugins.payments.store import Draft

ENTERED: Final = ("fee", "settlement", "opening", "cost")
"""Kinds of charges that people enter; the others come from their own pages."""

_Number = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(one_line)
]
_Document = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80), AfterValidator(one_line)]


class NewQuery(BaseModel):
    """For whom a charge is entered, and for which charge a cost, when another page leads here."""

    customer: str = ""
    belongs_to: int | None = None


class ChargeForm(BaseModel):
    """A charge as it is typed. ``number`` is a customer's or an account's; a cost names the charge it belongs to."""

    number: _Number
    kind: Literal["fee", "settlement", "opening", "cost"] = "fee"
    belongs_to: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    amount: PositiveMoney
    issued_on: PolishDate
    due_on: PolishDate
    period: MonthField | None = None
    title: Line = ""
    document_no: _Document = ""


async def new(request: Request, query: NewQuery) -> Mapping[str, Any]:
    """The form of a new charge."""
    today = _today(request)
    return {
        "number": query.customer,
        "belongs_to": query.belongs_to or "",
        "kind": "cost" if query.belongs_to else "fee",
        "kinds": [(kind, CHARGE_KINDS[kind]) for kind in ENTERED],
        "day": today,
        "due_on": Month.of(today).plus(1).day(10),
        "period": Month.of(today).short,
    }


@dataclass(frozen=True, slots=True)
class _Whose:
    """On whose account a charge comes, and what is wrong with the number that was typed."""

    found: Resolved
    problem: Text | None


async def add(request: Request, form: ChargeForm) -> object:
    """Enter a charge as a draft, and show it for approval."""
    conn, today = request[CONN], _today(request)
    whose = await _whose(request, form.number)
    wrong = dict(_wrong(form, whose))
    if form.kind == "cost" and form.belongs_to is not None and whose.found.account is not None:
        refused = await _wrong_debt(request, form.belongs_to, whose.found.account)
        wrong |= {"belongs_to": refused} if refused else {}
    if wrong:
        raise Refused(errors=wrong)
    opened = (await accounts.opened(conn, {form.number: whose.found}, today))[form.number]
    assert opened.account is not None  # noqa: S101  what is no account is refused above
    assert opened.customer is not None  # noqa: S101
    draft = Draft(
        opened.account,
        Side.CHARGE,
        form.kind,
        form.amount,
        issued_on=form.issued_on,
        due_on=form.due_on,
        period=form.period.period if form.period else "",
        title=form.title,
        document_no=form.document_no,
        bears_on=form.belongs_to if form.kind == "cost" else None,
    )
    key = await ledger.enter(conn, opened.customer, draft)
    return redirect(
        request, "payments.entry", entry=key.entry, flash=_("The charge is entered. It counts once you approve it.")
    )


async def _whose(request: Request, number: str) -> _Whose:
    found = (await accounts.resolved(request[CONN], [number]))[number]
    if not found.problem:
        return _Whose(found, None)
    if found.numbers:
        return _Whose(
            found, _("This customer has several accounts: {numbers}. Write the number of one.",
                     numbers=", ".join(found.numbers[:10]))
        )  # fmt: skip
    return _Whose(found, accounts.PROBLEMS[found.problem])


def _wrong(form: ChargeForm, whose: _Whose) -> Iterator[tuple[str, Text]]:
    if whose.problem is not None:
        yield "number", whose.problem
    if form.due_on < form.issued_on:
        yield "due_on", _("A charge is due on the day of issue or later. Check both days.")
    elif not FIRST_YEAR <= form.due_on.year <= LAST_YEAR:
        yield "due_on", ledger.REFUSALS["holidays_unknown"]
    if form.amount.grosze > LARGEST:
        yield "amount", _("This amount is too large")
    if form.kind == "cost" and form.belongs_to is None:
        yield "belongs_to", _("Write the number of the charge that this cost belongs to.")
    if form.kind != "cost" and form.belongs_to is not None:
        yield "belongs_to", _("Only a cost belongs to another charge. Leave this empty.")


async def _wrong_debt(request: Request, number: int, account: int) -> Text | None:
    """Why a cost cannot belong to an entry."""
    debt = await ledger.entry(request[CONN], number)
    if debt is None or debt.account_id != account:
        return _("There is no such charge on this account.")
    if debt.side is not Side.CHARGE or debt.kind in ("reversal", "interest", "cost"):
        return _("A cost belongs to a charge, not to a payment, interest or another cost.")
    if debt.state != "approved" or debt.reversed_by is not None:
        return _("This charge does not count: it is not approved, or it is taken back.")
    return None


def _today(request: Request) -> date:
    return request[SITE].clock.today()


ROUTES: Final = (
    Route(
        "GET",
        "/admin/charges/new",
        new,
        "payments.enter",
        "payments.charging_new_charge",
        query=NewQuery,
        template="payments/charging/charge_new.html",
    ),
    Route("POST", "/admin/charges/new", add, "payments.enter", "payments.charging_add_charge", body=ChargeForm),
)

"""Pages of the payment order: shown, made with a reference, and as PDF; the same for the office, per customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Annotated, Literal

from aiohttp import web
from markupsafe import Markup
from pydantic import AfterValidator, BaseModel, BeforeValidator
from pydantic_core import PydanticCustomError

from kernel import (
    ACTOR,
    CONN,
    FORM,
    SITE,
    Money,
    Pdf,
    PositiveMoney,
    Refused,
    Request,
    Text,
    _,
    documents,
    not_found,
    redirect,
    service,
)
from plugins.payments import Ledger, Payee
from plugins.printing import store
from plugins.printing.documents import payment_order_pdf, qr_advice, qr_svg
from plugins.printing.model import LARGEST_PRINTED, OrderKind, PaymentOrder, Sheet, format_nrb, normalise_nrb


def _none_if_empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _printable_amount(amount: Money | None) -> Money | None:
    if amount is not None and amount > LARGEST_PRINTED:
        raise PydanticCustomError("order_too_large", "The form holds at most 999 999 999,99 zł")
    return amount


def _account_no(text: str) -> str:
    try:
        return normalise_nrb(text) if text else ""
    except ValueError:
        raise PydanticCustomError("nrb", "This is not a valid account number") from None


class Choice(BaseModel):
    """What order is wanted.

    Without ``amount`` it is for what there is to pay; ``blank`` leaves the figure to be written by hand. ``account``
    chooses one of several payees by the account number.
    """

    amount: Annotated[PositiveMoney | None, BeforeValidator(_none_if_empty), AfterValidator(_printable_amount)] = None
    blank: bool = False
    kind: Literal[OrderKind.TRANSFER, OrderKind.CASH] = OrderKind.TRANSFER
    account: Annotated[str, AfterValidator(_account_no)] = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """An order on a page: the sheet, its code as inline SVG (none without an account), and what to do with the code."""

    sheet: Sheet
    qr: Markup | None
    advice: Text


# --- the customer's own ---------------------------------------------------------------------------------------------


async def order(request: Request, choice: Choice) -> dict[str, object]:
    """What to pay, with all that a bank asks for, and the form for another amount."""
    payees = await _payees(request, request[ACTOR].customer)
    sheets = await _sheets(request, request[ACTOR].customer, payees, choice) if payees else []
    return {
        "orders": await _shown(sheets),
        "payees": payees,
        "to_pay": Money.total(payee.to_pay for payee in payees),
        "to_pay_by": min((payee.to_pay_by for payee in payees if payee.to_pay_by and payee.to_pay), default=None),
        "overdue": any(payee.overdue and payee.to_pay for payee in payees),
        "choice": choice,
        "wanted": _query(choice),
        "payee_options": [
            (payee.account_no, f"{format_nrb(payee.account_no)}, {payee.name}") for payee in payees if payee.account_no
        ],
        "kinds": [
            (OrderKind.TRANSFER, _("by transfer")),
            (OrderKind.CASH, _("in cash, at a bank or a post office")),
        ],
    }


async def order_pdf(request: Request, choice: Choice) -> Pdf:
    """The order on paper, a page for each payee account. Nothing is kept."""
    return await _pdf_of_customer(request, request[ACTOR].customer, choice)


async def make(request: Request, choice: Choice) -> web.StreamResponse:
    """Keep the order under a reference of its own and show it. Where there are several payees one is chosen."""
    customer = request[ACTOR].customer
    payees = await _payees(request, customer)
    if len([payee for payee in payees if payee.account_no]) > 1 and not choice.account:
        raise Refused(_("Choose the account that you pay to"), field="account")
    sheets = await _sheets(request, customer, payees, choice)
    first = sheets[0]
    if not first.order.payee_account:
        raise Refused(_("The office has not entered its account number. Print the order and ask the office for it."))
    today = request[SITE].clock.today()
    charges = _charges(payees, first.order)
    reference = await store.add_order(request[CONN], customer, first.order, first.pay_by, today, charges)
    return redirect(request, "printing.made", flash=_("The payment order is ready"), reference=reference)


async def made(request: Request) -> dict[str, object]:
    """An order that was made, for as long as it is kept."""
    found = await _made(request)
    return {"shown": (await _shown([Sheet(found.order, found.pay_by)]))[0]}


async def made_pdf(request: Request) -> Pdf:
    """A made order on paper: the same bytes every time."""
    found = await _made(request)
    content = await documents.render(payment_order_pdf, [Sheet(found.order, found.pay_by)], found.made_at)
    return Pdf(content, f"{_filename(found.order.customer_no)}-{found.order.reference}.pdf")


# --- the office's, for a customer -----------------------------------------------------------------------------------


async def order_pdf_for_customer(request: Request, choice: Choice) -> Pdf:
    """The order that the office prints for a customer at the counter."""
    return await _pdf_of_customer(request, int(request.match_info["customer"]), choice)


# --- what they share ------------------------------------------------------------------------------------------------


async def _payees(request: Request, customer: int) -> Sequence[Payee]:
    site = request[SITE]
    return await service(request, Ledger).payees(site, request[CONN], customer, site.clock.today())


async def _sheets(request: Request, customer: int, payees: Sequence[Payee], choice: Choice) -> list[Sheet]:
    payer = await store.payer(request[CONN], customer)
    chosen = _chosen(payees, choice)
    if payer is None or not chosen:
        raise not_found()
    amounts = [None if choice.blank else choice.amount or payee.to_pay or None for payee in chosen]
    total = Money.total(amount for amount in amounts if amount)
    return [
        Sheet(
            order=_order(payee, payer, amount, choice.kind),
            pay_by=payee.to_pay_by if amount == payee.to_pay and not payee.overdue else None,
            number=number,
            count=len(chosen),
            total=total if len(chosen) > 1 else None,
        )
        for number, (payee, amount) in enumerate(zip(chosen, amounts, strict=True), start=1)
    ]


def _chosen(payees: Sequence[Payee], choice: Choice) -> Sequence[Payee]:
    """The account that was asked for; else everybody who is owed, or the first for an amount of one's own."""
    if choice.account:
        return [payee for payee in payees if payee.account_no == choice.account]
    if choice.amount or choice.blank:
        return payees[:1]
    return [payee for payee in payees if payee.to_pay] or payees[:1]


def _charges(payees: Sequence[Payee], order: PaymentOrder) -> tuple[int, ...]:
    """What an order for exactly what there is to pay is for; with an amount of one's own the payer names no charge."""
    paid = next((one for one in payees if one.account_no == order.payee_account and one.name == order.payee_name), None)
    return paid.charges if paid and order.amount == paid.to_pay else ()


def _order(payee: Payee, payer: store.Payer, amount: Money | None, kind: OrderKind) -> PaymentOrder:
    return PaymentOrder(
        payee_name=payee.name,
        payee_address=", ".join(payee.address),
        payee_account=payee.account_no,
        payee_nip=payee.nip,
        amount=amount,
        kind=kind,
        payer_name=payer.name,
        payer_address=payer.address,
        title=payee.title,
        customer_no=payer.customer_no,
    )


async def _pdf_of_customer(request: Request, customer: int, choice: Choice) -> Pdf:
    if request[FORM].refused:
        # A paper cannot show what is wrong with the question, and must not show another amount instead.
        raise web.HTTPUnprocessableEntity
    sheets = await _sheets(request, customer, await _payees(request, customer), choice)
    midnight = datetime.combine(request[SITE].clock.today(), time(), UTC)
    content = await documents.render(payment_order_pdf, sheets, midnight)
    return Pdf(content, f"{_filename(sheets[0].order.customer_no)}.pdf")


async def _made(request: Request) -> store.MadeOrder:
    found = await store.made_order(request[CONN], request[ACTOR].customer, request.match_info["reference"])
    if found is None:
        raise not_found()
    return found


async def _shown(sheets: Sequence[Sheet]) -> list[Shown]:
    name = str(_("Code for your bank's application"))
    return [Shown(sheet, await _code(sheet.order.qr_payload, name), qr_advice(sheet.order)) for sheet in sheets]


async def _code(payload: str, name: str) -> Markup | None:
    if not payload:
        return None
    return Markup(await documents.render(qr_svg, payload, name))  # noqa: S704 (a drawing of ours, its title is escaped)


def _query(choice: Choice) -> dict[str, object]:
    """The address part that asks for the same order again."""
    query: dict[str, object] = {"kind": choice.kind.value}
    if choice.blank:
        query |= {"amount": "", "blank": 1}
    elif choice.amount:
        query["amount"] = choice.amount.plain
    if choice.account:
        query["account"] = choice.account
    return query


def _filename(customer_no: str) -> str:
    plain = "".join(sign if sign.isascii() and sign.isalnum() else " " for sign in customer_no)
    return "-".join(["polecenie", *plain.split()])

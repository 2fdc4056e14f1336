"""The office's list of payment orders that were made, and the page that deletes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import BaseModel, Field, SecretStr, StringConstraints

from kernel import (
    ACTOR,
    CONN,
    Badge,
    Column,
    Filter,
    Listing,
    ListQuery,
    PolishDate,
    Request,
    Route,
    _,
    confirmed,
    listed,
    not_found,
    redirect,
)
from plugins.printing import store
from plugins.printing.model import OrderKind

VIEW, DELETE = "printing.order_for_customer", "printing.delete_order"

_SELECT: Final[LiteralString] = """
select o.id, o.reference, o.customer, o.customer_no, o.payer_name, o.kind, o.amount, o.title, o.made_on, o.pay_by,
       case when o.deleted_at is null then 'kept' else 'deleted' end as state
from printing.payment_order o"""
STATES: Final = {"kept": Badge(_("made")), "deleted": Badge(_("deleted"))}
KINDS: Final = {OrderKind.TRANSFER.value: Badge(_("by transfer")), OrderKind.CASH.value: Badge(_("in cash"))}

ORDERS: Final = Listing(
    "printing.orders",
    _SELECT,
    (
        Column("reference", _("Reference")),
        Column("made_on", _("Made on"), "date", sort="id"),
        Column("customer_no", _("Customer no."), link="kernel.customer", by={"customer": "customer"}),
        Column("payer_name", _("Payer")),
        Column("amount", _("Amount"), "money"),
        Column("title", _("Title")),
        Column("kind", _("Kind"), "badge", badges=KINDS),
        Column("pay_by", _("Pay by"), "date"),
        Column("state", _("State"), "badge", badges=STATES),
    ),
    order="-made_on",
    filters=(
        Filter("reference", _("Reference"), "reference = upper({0}::text)"),
        Filter("customer", _("Customer no."), "customer_no = {0}"),
        Filter("since", _("Made from"), "made_on >= {0}", kind="date"),
        Filter("until", _("Made until"), "made_on <= {0}", kind="date"),
        Filter(
            "state", _("State"), "state = {0}", options=tuple((name, badge.label) for name, badge in STATES.items())
        ),
    ),
    title_of="reference",
)
WITH_DELETION: Final = replace(
    ORDERS,
    columns=tuple(
        replace(one, link="printing.delete_order_ask", by={"reference": "reference"})
        if one.name == "reference"
        else one
        for one in ORDERS.columns
    ),
)


class OrdersQuery(ListQuery):
    """What the list's address may say."""

    reference: str = Field("", max_length=40)
    customer: str = Field("", max_length=100)
    since: PolishDate | None = None
    until: PolishDate | None = None
    state: Literal["", "kept", "deleted"] = ""


class DeleteForm(BaseModel):
    """Why an order is deleted, and the password of who says so."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]
    password: SecretStr


async def orders(request: Request, query: OrdersQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Orders that were made, the newest first; whoever may delete one gets there by its reference."""
    may_delete = request[ACTOR].may(DELETE)
    return await listed(request, WITH_DELETION if may_delete else ORDERS, query, extra={"may_delete": may_delete})


async def ask(request: Request) -> Mapping[str, Any] | web.StreamResponse:
    """Asks why an order shall be deleted, and says what will happen."""
    found = await _kept(request)
    if found.deleted:
        return _back(request, done=False)
    return {"order": found}


async def delete(request: Request, form: DeleteForm) -> web.StreamResponse:
    """Delete an order, once however often it is asked."""
    async with confirmed(request, form.password) as conn:
        found = await _kept(request)
        if not found.deleted:
            await store.delete_order(conn, found, form.reason)
    return _back(request, done=not found.deleted)


async def _kept(request: Request) -> store.Kept:
    found = await store.kept(request[CONN], request.match_info["reference"])
    if found is None:
        raise not_found()
    return found


def _back(request: Request, *, done: bool) -> web.StreamResponse:
    flash = _("The payment order is deleted.") if done else _("This payment order was deleted already.")
    return redirect(request, "printing.orders", flash=flash)


_ONE: Final = r"/admin/payment-orders/{reference:\w+}/delete"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/payment-orders",
        orders,
        VIEW,
        "printing.orders",
        query=OrdersQuery,
        template="printing/orders.html",
    ),
    Route("GET", _ONE, ask, DELETE, "printing.delete_order_ask", template="printing/delete.html"),
    Route("POST", _ONE, delete, DELETE, "printing.delete_order", body=DeleteForm, read_only=True),
)

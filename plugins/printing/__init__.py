"""Payment orders: the form «polecenie przelewu / wpłata gotówkowa», the code for banks, and the page of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kernel import ACTOR, STAFF, Card, Extension, Nav, Permission, Plugin, Request, Role, Route, Verb, _, hookimpl
from plugins.printing import orders, pages
from plugins.printing.references import MadeOrders

plugin = Plugin(api=1, requires=("payments",))


@hookimpl
def register_permissions() -> Iterable[Permission]:
    yield Permission("printing.order", _("Print a payment order"), {Role.CUSTOMER})
    yield Permission("printing.order_for_customer", _("Print a payment order for a customer"), STAFF)
    yield Permission(
        "printing.delete_order", _("Delete payment orders that were made"), {Role.SUPERADMIN}, superadmin_mode=True
    )


@hookimpl
def register_routes() -> Iterable[Route]:
    own, office = "printing.order", "printing.order_for_customer"
    yield Route(
        "GET", "/payment-order", pages.order, own, "printing.order", query=pages.Choice, template="printing/order.html"
    )
    yield Route("POST", "/payment-order", pages.make, own, "printing.make", body=pages.Choice)
    yield Route("GET", "/payment-order.pdf", pages.order_pdf, own, "printing.order_pdf", query=pages.Choice)
    yield Route(
        "GET", r"/payment-order/{reference:\w+}", pages.made, own, "printing.made", template="printing/made.html"
    )
    yield Route("GET", r"/payment-order/{reference:\w+}.pdf", pages.made_pdf, own, "printing.made_pdf")
    yield Route(
        "GET",
        r"/admin/customers/{customer:\d+}/payment-order.pdf",
        pages.order_pdf_for_customer,
        office,
        "printing.order_for_customer",
        query=pages.Choice,
    )
    yield from orders.ROUTES


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
    yield Verb("printing.order_deleted", _("deleted the payment order {reference}, {amount}: {reason}"))


@hookimpl
def register_extensions() -> Iterable[Extension]:
    yield Extension("payments.order_references", "printing.made_orders", MadeOrders())


@hookimpl
def register_navigation() -> Iterable[Nav]:
    yield Nav(_("Pay"), "printing.order", order=30, icon="pay")
    yield Nav(_("Payment orders"), "printing.orders", order=26, icon="order", group=_("Payments and charges"))


@hookimpl
async def page_slot(request: Request, name: str) -> Sequence[Card]:
    """The way from the balance to paying it."""
    if name == "balances.actions" and request[ACTOR].may("printing.order"):
        return [Card(_("Pay"), "printing/pay_action.html", order=10)]
    return []

"""The console's pages of the register: list, add, change, close, remove; service points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
    Listing,
    ListQuery,
    Refused,
    Request,
    Route,
    Row,
    _,
    audit,
    listed,
    not_found,
    redirect,
)
from plugins.customers import store
from plugins.customers.model import CustomerForm, ServicePointForm

STATUSES: Final = {
    "active": Badge(_("active"), "credit"),
    "closed": Badge(_("closed")),
    "deceased": Badge(_("deceased")),
}
KINDS: Final = (("person", _("a person")), ("company", _("a company")))


def address(row: Row) -> str:
    """``Lipowa 12 m. 4, Poznań``, as far as it is known."""
    house = f"{row['street']} {row['building']}".strip()
    place = f"{house}/{row['flat']}" if row["flat"] else house
    return ", ".join(part for part in (place, row["city"]) if part)


def sorted_name(row: Row) -> str:
    """People by family name first, as the list is sorted; others as they are called."""
    return f"{row['family_name']} {row['given_name']}".strip() if row["family_name"] else row["name"]


CUSTOMERS: Final = Listing(
    name="customers.list",
    select="select id, customer_no, name, given_name, family_name, street, building, flat, city, phone, status"
    " from kernel.customer",
    columns=(
        Column("customer_no", _("Number"), sort="customer_no", link="kernel.customer", by={"customer": "id"}),
        Column(
            "name",
            _("Name"),
            sort='customers.sorting(name, given_name, family_name) collate "C"',
            link="kernel.customer",
            by={"customer": "id"},
            show=sorted_name,
        ),
        Column("street", _("Address"), show=address),
        Column("phone", _("Telephone")),
        Column("status", _("State"), "badge", badges=STATUSES),
    ),
    order="name",
    filters=(
        Filter("number", _("Number"), "customer_no = {0}"),
        Filter(
            "name",
            _("Name begins with"),
            "customers.sorting(name, given_name, family_name) collate \"C\" like kernel.pl_sort({0}::text) || '%'",
        ),
        Filter(
            "street",
            _("Street begins with"),
            "kernel.pl_sort(street) collate \"C\" like kernel.pl_sort({0}::text) || '%'",
        ),
        Filter(
            "status", _("State"), "status = {0}", options=tuple((name, badge.label) for name, badge in STATUSES.items())
        ),
    ),
    title_of="name",
)


class CustomersQuery(ListQuery):
    """The filters of the register."""

    number: str = Field("", max_length=40)
    name: str = Field("", max_length=200)
    street: str = Field("", max_length=200)
    status: Literal["active", "closed", "deceased"] | None = None


async def customers(request: Request, query: CustomersQuery) -> object:
    """The register."""
    return await listed(request, CUSTOMERS, query, extra={"may_change": request[ACTOR].may("customers.change")})


async def adding(request: Request) -> Mapping[str, Any]:
    """An empty form."""
    return {"kinds": KINDS}


async def add(request: Request, form: CustomerForm) -> object:
    """Put a customer into the register."""
    conn = request[CONN]
    await _free_number(request, form.customer_no)
    customer = await store.add(conn, form)
    await audit(conn, "customers.added", customer=customer, subject=form.customer_no, name=form.name)
    return redirect(request, "kernel.customer", flash=_("The customer was added"), customer=customer)


async def changing(request: Request) -> Mapping[str, Any]:
    """A customer's facts in a form."""
    return {"customer": await _customer(request), "kinds": KINDS}


async def change(request: Request, form: CustomerForm) -> object:
    """Write a customer's facts."""
    conn, before = request[CONN], await _customer(request, lock=True)
    await _free_number(request, form.customer_no, before["id"])
    await store.change(conn, before["id"], form)
    changed = sorted(name for name, value in form if before[name] != value)
    if changed:
        await audit(
            conn, "customers.changed", customer=before["id"], subject=form.customer_no, fields=", ".join(changed)
        )
    return redirect(request, "kernel.customer", flash=_("The changes were saved"), customer=before["id"])


class Closing(BaseModel):
    """Why an account ends."""

    status: Literal["closed", "deceased"] = "closed"


async def closing(request: Request) -> Mapping[str, Any]:
    """What closing and removing mean, with their buttons."""
    return {
        "customer": await _customer(request),
        "reasons": (("closed", _("the customer leaves")), ("deceased", _("the customer has died"))),
        "may_remove": request[ACTOR].may("customers.remove"),
    }


async def close(request: Request, form: Closing) -> object:
    """Close a customer, unless a plugin refuses."""
    conn, customer = request[CONN], await _customer(request, lock=True)
    if customer["status"] != "active":
        raise Refused(_("This customer is closed already"))
    await request[SITE].registry.hooks.emit("on_customer_closing", conn, customer=customer["id"])
    await store.set_status(conn, customer["id"], form.status)
    await audit(conn, "customers.closed", customer=customer["id"], subject=customer["customer_no"])
    return redirect(request, "kernel.customer", flash=_("The customer was closed"), customer=customer["id"])


async def reopen(request: Request) -> object:
    """Make a closed customer active again."""
    conn, customer = request[CONN], await _customer(request, lock=True)
    if customer["status"] != "active":
        await store.set_status(conn, customer["id"], "active")
        await audit(conn, "customers.reopened", customer=customer["id"], subject=customer["customer_no"])
    return redirect(request, "kernel.customer", flash=_("The customer is active again"), customer=customer["id"])


async def removing(request: Request) -> Mapping[str, Any]:
    """The question before a customer is deleted."""
    return {"customer": await _customer(request)}


async def remove(request: Request) -> object:
    """Delete a customer with nothing approved; plugins remove their part or refuse."""
    conn, customer = request[CONN], await _customer(request, lock=True)
    await request[SITE].registry.hooks.emit("on_customer_removing", conn, customer=customer["id"])
    await store.remove(conn, customer["id"])
    await audit(conn, "customers.removed", subject=customer["customer_no"], name=customer["name"])
    return redirect(request, "customers.list", flash=_("The customer was deleted"))


async def point_adding(request: Request) -> Mapping[str, Any]:
    """An empty form of a service point, with the customer's own address in it."""
    return {"customer": await _customer(request), "point": None}


async def point_add(request: Request, form: ServicePointForm) -> object:
    """Give the customer a service point."""
    conn, customer = request[CONN], await _customer(request, lock=True)
    await _free_code(request, form.code)
    await store.add_point(conn, customer["id"], form)
    await audit(conn, "customers.point_added", customer=customer["id"], subject=form.code or form.street)
    return redirect(request, "kernel.customer", flash=_("The service point was added"), customer=customer["id"])


async def point_changing(request: Request) -> Mapping[str, Any]:
    """A service point's facts in a form."""
    customer, point = await _customer_and_point(request)
    return {"customer": customer, "point": point}


async def point_change(request: Request, form: ServicePointForm) -> object:
    """Write a service point's facts."""
    conn = request[CONN]
    customer, point = await _customer_and_point(request)
    await _free_code(request, form.code, point["id"])
    await store.change_point(conn, customer["id"], point["id"], form)
    await audit(conn, "customers.point_changed", customer=customer["id"], subject=form.code or form.street)
    return redirect(request, "kernel.customer", flash=_("The changes were saved"), customer=customer["id"])


async def _customer(request: Request, *, lock: bool = False) -> Row:
    conn, customer_id = request[CONN], int(request.match_info["customer"])
    if lock:
        await store.lock_customer(conn, customer_id)
    customer = await store.customer(conn, customer_id)
    if customer is None:
        raise not_found()
    return customer


async def _customer_and_point(request: Request) -> tuple[Row, Row]:
    customer = await _customer(request)
    point = await store.point(request[CONN], customer["id"], int(request.match_info["point"]))
    if point is None:
        raise not_found()
    return customer, point


async def _free_number(request: Request, customer_no: str, except_id: int | None = None) -> None:
    if await store.number_taken(request[CONN], customer_no, except_id):
        raise Refused(_("Another customer has this number"), field="customer_no")


async def _free_code(request: Request, code: str, except_id: int | None = None) -> None:
    if await store.code_taken(request[CONN], code, except_id):
        raise Refused(_("Another service point has this code"), field="code")


_ONE: Final = r"/admin/customers/{customer:\d+}"
VIEW, CHANGE, REMOVE = "customers.view", "customers.change", "customers.remove"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/customers",
        customers,
        VIEW,
        "customers.list",
        query=CustomersQuery,
        template="customers/list.html",
    ),
    Route("GET", "/admin/customers/add", adding, CHANGE, "customers.adding", template="customers/add.html"),
    Route("POST", "/admin/customers/add", add, CHANGE, "customers.add", body=CustomerForm),
    Route("GET", f"{_ONE}/change", changing, CHANGE, "customers.changing", template="customers/change.html"),
    Route("POST", f"{_ONE}/change", change, CHANGE, "customers.change", body=CustomerForm),
    Route("GET", f"{_ONE}/close", closing, CHANGE, "customers.closing", template="customers/close.html"),
    Route("POST", f"{_ONE}/close", close, CHANGE, "customers.close", body=Closing),
    Route("POST", f"{_ONE}/reopen", reopen, CHANGE, "customers.reopen"),
    Route("GET", f"{_ONE}/remove", removing, REMOVE, "customers.removing", template="customers/remove.html"),
    Route("POST", f"{_ONE}/remove", remove, REMOVE, "customers.remove"),
    Route("GET", f"{_ONE}/points/add", point_adding, CHANGE, "customers.point_adding", template="customers/point.html"),
    Route("POST", f"{_ONE}/points/add", point_add, CHANGE, "customers.point_add", body=ServicePointForm),
    Route(
        "GET",
        _ONE + r"/points/{point:\d+}",
        point_changing,
        CHANGE,
        "customers.point_changing",
        template="customers/point.html",
    ),
    Route("POST", _ONE + r"/points/{point:\d+}", point_change, CHANGE, "customers.point_change", body=ServicePointForm),
)

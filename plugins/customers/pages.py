"""The console's pages of the register: list, add, change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field

from kernel import (
    ACTOR,
    CONN,
    FORM,
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
    badges_of,
    listed,
    not_found,
    redirect,
    url,
)
from plugins.customers import comparing, store
from plugins.customers.changes import store as changes
from plugins.customers.changes.model import FIELDS
from plugins.customers.groups import store as group_store
from plugins.customers.model import ChangedCustomerForm, CustomerForm, NewCustomerForm
from plugins.customers.premises.model import address

STATUSES: Final = {
    "active": Badge(_("active"), "credit"),
    "closed": Badge(_("closed")),
    "deceased": Badge(_("deceased")),
}
KINDS: Final = (("person", _("a person")), ("company", _("a company")))


def sorted_name(row: Row) -> str:
    """People by family name first, as the list is sorted; others as they are called."""
    return f"{row['family_name']} {row['given_name']}".strip() if row["family_name"] else row["name"]


CUSTOMERS: Final = Listing(
    name="customers.list",
    select="select id, customer_no, kind, name, given_name, family_name, street, building, flat, city, phone,"
    " email, nip, status from kernel.customer",
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
        Column("kind", _("Kind"), "badge", badges={name: Badge(word) for name, word in KINDS}),
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
        Filter("building", _("Building"), "lower(building) = lower({0}::text)"),
        Filter("kind", _("Kind"), "kind = {0}", options=KINDS),
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
    building: str = Field("", max_length=40)
    kind: Literal["person", "company"] | None = None
    status: Literal["active", "closed", "deceased"] | None = None


async def customers(request: Request, query: CustomersQuery) -> object:
    """The register."""
    filters = {one.name: getattr(query, one.name) for one in CUSTOMERS.filters}
    extra: dict[str, Any] = {
        "groups": (),
        "may_change": request[ACTOR].may("customers.change"),
        "bulk_url": url(request, "customers.bulk", query={name: value for name, value in filters.items() if value}),
    }
    if extra["may_change"]:
        extra["groups"] = await group_store.by_hand(request[CONN])
    return await listed(request, CUSTOMERS, query, extra=extra)


async def adding(request: Request) -> Mapping[str, Any]:
    """The form of a new customer; beside it those who are alike, once it was refused for them."""
    form = request[FORM]
    return {"kinds": KINDS, "alike": await _alike(request, form.values) if form.refused else ()}


async def add(request: Request, form: NewCustomerForm) -> object:
    """Put a customer into the register."""
    conn = request[CONN]
    await _free_number(request, form.customer_no)
    if not form.is_another and await _alike(request, form.model_dump(mode="json")):
        raise Refused(_("A similar customer is in the register already. Is it somebody else?"), field="is_another")
    customer = await store.add(conn, form)
    await audit(conn, "customers.added", customer=customer, subject=form.customer_no, number=form.customer_no)
    return redirect(request, "kernel.customer", flash=_("The customer was added"), customer=customer)


async def _alike(request: Request, values: Mapping[str, Any]) -> Sequence[Row]:
    def text(name: str) -> str:
        return str(values.get(name, "")).strip()

    name = text("name") or f"{text('given_name')} {text('family_name')}".strip()
    nip = re.sub("[^0-9]", "", text("nip"))
    return await store.alike(request[CONN], name, (text("street"), text("building"), text("flat")), nip, text("email"))


async def changing(request: Request) -> Mapping[str, Any]:
    """A customer's facts in a form; beside it what somebody else changed meanwhile."""
    customer = await _customer(request)
    base = comparing.base_version(request, customer["version"])
    met = await changes.of_customer(request[CONN], customer["id"], after=base) if base < customer["version"] else ()
    fields = {name: customer[name] for name in CustomerForm.model_fields}
    return {
        "customer": customer,
        "badges": await badges_of(request, customer["id"]),
        "kinds": KINDS,
        "conflicts": comparing.compared(request, met, fields) if met else [],
        "version": base,
        "seen": customer["version"],
    }


async def change(request: Request, form: ChangedCustomerForm) -> object:
    """Write a customer's facts, without losing what somebody else wrote meanwhile."""
    conn, before = request[CONN], await _customer(request, lock=True)
    if before["is_removed"]:
        raise Refused(_("This customer’s data were removed"))
    met = await changes.of_customer(conn, before["id"], after=form.version) if form.version < before["version"] else ()
    wanted = comparing.merged(form, met, before)
    await _free_number(request, wanted.customer_no, before["id"])
    await store.change(conn, before["id"], wanted)
    changed = [name for name in CustomerForm.model_fields if before[name] != getattr(wanted, name)]
    if changed:
        labels = ", ".join(str(FIELDS[name]) for name in FIELDS if name in changed)
        await audit(conn, "customers.changed", customer=before["id"], subject=wanted.customer_no, fields=labels)
    return redirect(request, "kernel.customer", flash=_("The changes were saved"), customer=before["id"])


async def _customer(request: Request, *, lock: bool = False) -> Row:
    conn, customer_id = request[CONN], int(request.match_info["customer"])
    if lock:
        await store.lock_customer(conn, customer_id)
    customer = await store.customer(conn, customer_id)
    if customer is None:
        raise not_found()
    return customer


async def _free_number(request: Request, customer_no: str, except_id: int | None = None) -> None:
    if await store.number_taken(request[CONN], customer_no, except_id):
        raise Refused(_("Another customer has this number"), field="customer_no")


_ONE: Final = r"/admin/customers/{customer:\d+}"
VIEW, CHANGE = "customers.view", "customers.change"

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
    Route("POST", "/admin/customers/add", add, CHANGE, "customers.add", body=NewCustomerForm),
    Route("GET", f"{_ONE}/change", changing, CHANGE, "customers.changing", template="customers/change.html"),
    Route("POST", f"{_ONE}/change", change, CHANGE, "customers.change", body=ChangedCustomerForm),
)

"""The register: whom the organisation bills, and the places it bills for."""

from collections.abc import Iterable, Sequence

from kernel import (
    ACTOR,
    CONN,
    STAFF,
    Card,
    Demo,
    Export,
    Nav,
    Permission,
    Plugin,
    Record,
    Request,
    Route,
    SearchHit,
    Tab,
    Verb,
    _,
    hookimpl,
)
from plugins.customers import demo, exports, finding, pages, store
from plugins.customers.model import CustomerRow

plugin = Plugin(api=1)


@hookimpl
def register_permissions() -> Iterable[Permission]:
    yield Permission("customers.view", _("See customers"), STAFF)
    yield Permission("customers.change", _("Add, change and close customers"), STAFF)
    yield Permission("customers.remove", _("Delete customers with nothing approved"), STAFF)


@hookimpl
def register_routes() -> Iterable[Route]:
    return pages.ROUTES


@hookimpl
def register_navigation() -> Iterable[Nav]:
    yield Nav(_("Customers"), "customers.list", 20, "users")


@hookimpl
def register_records() -> Iterable[Record]:
    yield Record("customers.customer", _("Customers"), CustomerRow, store.apply_rows)


@hookimpl
def register_exports() -> Iterable[Export]:
    return exports.EXPORTS


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
    yield Verb("customers.added", _("added the customer {name}"))
    yield Verb("customers.changed", _("changed the customer’s data: {fields}"))
    yield Verb("customers.closed", _("closed the customer"))
    yield Verb("customers.reopened", _("made the customer active again"))
    yield Verb("customers.removed", _("deleted the customer {name}"))
    yield Verb("customers.point_added", _("added a service point"))
    yield Verb("customers.point_changed", _("changed a service point"))
    yield Verb("customers.added_by_import", _("added the customer from the source {source}"))
    yield Verb("customers.changed_by_import", _("took the customer’s data over from the source {source}"))


@hookimpl
def register_demo() -> Iterable[Demo]:
    yield Demo(demo.fill)


@hookimpl
async def customer_tabs(request: Request, customer: int) -> Sequence[Tab]:
    if not request[ACTOR].may("customers.view"):
        return ()
    points = [
        {"id": point["id"], "code": point["code"], "kind": point["kind"], "address": pages.address(point)}
        for point in await store.points(request[CONN], customer)
    ]
    data = {"customer": customer, "points": points, "may_change": request[ACTOR].may("customers.change")}
    return [Tab("customers.points", _("Service points"), "customers/points.html", data, 30)]


@hookimpl
async def page_slot(request: Request, name: str) -> Sequence[Card]:
    if name != "kernel.customer.actions" or not request[ACTOR].may("customers.change"):
        return ()
    return [Card(_("Change the data"), "customers/actions.html", {"customer": int(request.match_info["customer"])}, 50)]


@hookimpl
async def search(request: Request, text: str) -> Sequence[SearchHit]:
    return await finding.search(request, text)

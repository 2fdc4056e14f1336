"""The register: whom the organisation bills, and the places it bills for."""

from collections.abc import Iterable, Sequence

from kernel import (
    ACTOR,
    STAFF,
    ArchiveRule,
    Card,
    Demo,
    Export,
    Job,
    Nav,
    Permission,
    Plugin,
    QueueItem,
    Record,
    Request,
    Role,
    Route,
    SearchHit,
    Service,
    Tab,
    Verb,
    _,
    hookimpl,
)
from plugins.customers import demo, exports, finding, importing, pages
from plugins.customers.bulk import jobs as closing
from plugins.customers.bulk import pages as bulk
from plugins.customers.changes import pages as changing
from plugins.customers.finding import jobs as words
from plugins.customers.groups import declarations as groups
from plugins.customers.groups.face import Groups
from plugins.customers.identity import pages as identity
from plugins.customers.leaving import pages as leaving
from plugins.customers.model import CustomerRow
from plugins.customers.parts import customer_parts
from plugins.customers.premises import handing, jobs, planned
from plugins.customers.premises import pages as premises

__all__ = ["Groups"]

plugin = Plugin(api=1)


@hookimpl
def register_permissions() -> Iterable[Permission]:
    yield Permission("customers.view", _("See customers"), STAFF)
    yield Permission("customers.change", _("Add, change and close customers"), STAFF)
    yield Permission("customers.remove", _("Delete customers with nothing approved"), STAFF)
    yield Permission("customers.identity", _("Read and change PESEL, REGON and refund accounts"), STAFF)
    yield Permission(
        "customers.purge", _("Remove old customers and premises for good"), {Role.SUPERADMIN}, superadmin_mode=True
    )


@hookimpl
def register_routes() -> Iterable[Route]:
    parts = (pages, leaving, changing, identity, bulk, premises, handing, planned, groups)
    return tuple(route for part in parts for route in part.ROUTES)


@hookimpl
def register_navigation() -> Iterable[Nav]:
    yield Nav(_("Customers"), "customers.list", 10, "users", _("Customers"))
    yield Nav(_("Premises"), "customers.premises_list", 11, "home", _("Customers"))
    yield from groups.NAVIGATION


@hookimpl
def register_services() -> Iterable[Service]:
    return groups.SERVICES


@hookimpl
def register_jobs() -> Iterable[Job]:
    return (*jobs.JOBS, *words.JOBS, *closing.JOBS)


@hookimpl
def register_archive_rules() -> Iterable[ArchiveRule]:
    return words.ARCHIVE_RULES


@hookimpl
def register_records() -> Iterable[Record]:
    yield Record("customers.customer", _("Customers"), CustomerRow, importing.apply, revert=importing.revert)


@hookimpl
def register_exports() -> Iterable[Export]:
    return exports.EXPORTS


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
    yield Verb("customers.added", _("added the customer {number}"))
    yield Verb("customers.changed", _("changed the customer’s data: {fields}"))
    yield Verb("customers.closed", _("closed the customer"))
    yield Verb("customers.reopened", _("made the customer active again"))
    yield Verb("customers.removed", _("deleted the customer {number}"))
    yield Verb("customers.point_added", _("added a service point"))
    yield Verb("customers.point_changed", _("changed a service point"))
    yield Verb("customers.premises_added", _("added the premises {place}"))
    yield Verb("customers.premises_changed", _("changed the data of the premises {place}"))
    yield Verb("customers.premises_removed", _("deleted the premises {place}"))
    yield Verb("customers.premises_purged", _("removed premises for good: {reason}"))
    yield Verb("customers.tenure_added", _("wrote down a period in the premises {place}: {period}"))
    yield Verb("customers.tenure_changed", _("changed a period in the premises {place}: {period}"))
    yield Verb("customers.tenure_removed", _("removed a period in the premises {place}: {period}"))
    yield Verb("customers.took_over", _("took over the premises {place} from {since} on"))
    yield Verb("customers.handed_over", _("handed over the premises {place} from {since} on"))
    yield Verb("customers.handover_planned", _("planned to take over the premises {place} from {since} on"))
    yield Verb("customers.handover_withdrawn", _("withdrew the planned handover of the premises {place} on {since}"))
    yield Verb("customers.closing_many", _("began to close customers of a list: {count}"))
    yield Verb("customers.closing_cancelled", _("stopped the closing of many customers"))
    yield Verb("customers.death_recorded", _("wrote the customer down as deceased on {day}; logins ended: {logins}"))
    yield Verb("customers.death_changed", _("changed what is written down of the customer’s death"))
    yield Verb("customers.death_revoked", _("took the customer’s death back: {reason}"))
    yield Verb("customers.purged", _("removed the data of customer {number} for good: {reason}"))
    yield Verb("customers.identity_changed", _("changed PESEL, REGON or the account for refunds"))
    yield Verb("customers.identity_seen", _("read the customer’s PESEL"))
    yield Verb("customers.added_by_import", _("added the customer from the source {source}"))
    yield Verb("customers.changed_by_import", _("took the customer’s data over from the source {source}"))
    yield from groups.VERBS


@hookimpl
def register_demo() -> Iterable[Demo]:
    yield Demo(demo.fill)


@hookimpl
async def customer_tabs(request: Request, customer: int) -> Sequence[Tab]:
    if not request[ACTOR].may("customers.view"):
        return ()
    return await customer_parts(request, customer)


@hookimpl
async def queue_items(request: Request) -> Sequence[QueueItem]:
    return await planned.queue(request) if request[ACTOR].may("customers.view") else []


@hookimpl
async def page_slot(request: Request, name: str) -> Sequence[Card]:
    if name != "kernel.customer.actions" or not request[ACTOR].may("customers.change"):
        return ()
    return [Card(_("Change the data"), "customers/actions.html", {"customer": int(request.match_info["customer"])}, 50)]


@hookimpl
async def search(request: Request, text: str) -> Sequence[SearchHit]:
    return await finding.search(request, text)

"""The ledger: what customers are charged, what they pay, and which payment pays which charge."""

from collections.abc import Iterable, Sequence
from datetime import date

from kernel import (
    ACTOR,
    STAFF,
    ArchiveRule,
    Card,
    Check,
    Command,
    Connection,
    CustomerBadge,
    CustomerField,
    Demo,
    Export,
    Happening,
    Job,
    Nav,
    Permission,
    Plugin,
    QueueItem,
    Record,
    Refused,
    Request,
    Role,
    Route,
    SearchHit,
    Service,
    Tab,
    Verb,
    _,
    hookimpl,
    ngettext,
)
from plugins.payments import (
    api,
    bank,
    books,
    charging,
    checks,
    deleting,
    demo,
    desk,
    explain,
    exports,
    interest,
    jobs,
    ledger,
    overview,
    pages,
    records,
    store,
    suspense,
    tenancy,
    till,
    work,
)
from plugins.payments.accrual.model import (
    Interest,
    InterestLine,
    InterestRegime,
    Part,
    Rate,
    RateTable,
)
from plugins.payments.allocation import Allocation, AllocationPolicy, Posting
from plugins.payments.bank.model import OrderFound, OrderReferences
from plugins.payments.bank.source import lines as bank_lines
from plugins.payments.bank.source import tables as bank_tables
from plugins.payments.bank.statement import BankFileError, BankFormat, Statement, StatementLine, shown_number
from plugins.payments.face import (
    CardLine,
    CardPart,
    Ledger,
    LedgerCard,
    OpenCharge,
    OpenItems,
    Payee,
    Position,
    Side,
    Status,
)
from plugins.payments.model import KINDS, RULES, STATUSES
from plugins.payments.settings import Settings

__all__ = [
    "KINDS",
    "RULES",
    "STATUSES",
    "Allocation",
    "AllocationPolicy",
    "BankFileError",
    "BankFormat",
    "CardLine",
    "CardPart",
    "Interest",
    "InterestLine",
    "InterestRegime",
    "Ledger",
    "LedgerCard",
    "OpenCharge",
    "OpenItems",
    "OrderFound",
    "OrderReferences",
    "Part",
    "Payee",
    "Position",
    "Posting",
    "Rate",
    "RateTable",
    "Side",
    "Statement",
    "StatementLine",
    "Status",
    "bank_lines",
    "bank_tables",
    "shown_number",
]

plugin = Plugin(
    api=1,
    after=("customers",),
    settings=Settings,
    points={
        "payments.allocation_policy": AllocationPolicy,
        "payments.interest_regime": InterestRegime,
        "payments.bank_format": BankFormat,
        "payments.order_references": OrderReferences,
    },
)

PARTS = (bank, books, charging, deleting, desk, explain, interest, overview, suspense, till)


@hookimpl
def register_permissions() -> Iterable[Permission]:
    yield Permission("payments.view", _("See charges and payments"), STAFF)
    yield Permission("payments.enter", _("Enter and correct charges and payments"), STAFF)
    yield Permission("payments.approve", _("Approve charges and payments"), STAFF)
    yield Permission("payments.reverse", _("Reverse approved charges and payments"), STAFF)
    yield Permission("payments.void", _("Void approved charges and payments"), {Role.SUPERADMIN}, superadmin_mode=True)
    yield Permission("payments.own", _("Read one's own balance"), {Role.CUSTOMER})
    for part in PARTS:
        yield from part.PERMISSIONS


@hookimpl
def register_routes() -> Iterable[Route]:
    return (*pages.ROUTES, *api.ROUTES, *(route for part in PARTS for route in part.ROUTES))


@hookimpl
def register_navigation() -> Iterable[Nav]:
    yield Nav(_("Ledger"), "payments.list", 20, "ledger", _("Payments and charges"))
    for part in PARTS:
        yield from part.NAVIGATION


@hookimpl
def register_services() -> Iterable[Service]:
    yield Service(Ledger, ledger.KeptLedger())


@hookimpl
def register_records() -> Iterable[Record]:
    return records.RECORDS


@hookimpl
def register_exports() -> Iterable[Export]:
    return exports.EXPORTS


@hookimpl
def register_archive_rules() -> Iterable[ArchiveRule]:
    return exports.ARCHIVE_RULES


@hookimpl
def register_customer_fields() -> Iterable[CustomerField]:
    return overview.FIELDS


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
    yield Verb("payments.entered", _("entered a draft for {amount}"))
    yield Verb("payments.edited", _("changed a draft from {before} to {amount}"))
    yield Verb("payments.deleted", _("deleted a draft for {amount}"))
    yield Verb(
        "payments.approved",
        ngettext(
            "approved {count} entry: charges {charged}, payments {credited}",
            "approved {count} entries: charges {charged}, payments {credited}",
            0,
        ),
        in_timeline=False,
    )
    yield Verb("payments.reversed", _("reversed an entry for {amount}: {reason}"))
    yield Verb("payments.voided", _("voided an approved entry for {amount}: {reason}"))
    for part in PARTS:
        yield from part.VERBS


@hookimpl
def register_checks() -> Iterable[Check]:
    return (*checks.CHECKS, *(check for part in PARTS for check in part.CHECKS))


@hookimpl
def register_commands() -> Iterable[Command]:
    return tuple(command for part in PARTS for command in part.COMMANDS)


@hookimpl
def register_jobs() -> Iterable[Job]:
    return (*jobs.JOBS, *(job for part in PARTS for job in part.JOBS))


@hookimpl
def register_demo() -> Iterable[Demo]:
    yield Demo(demo.fill)
    yield Demo(overview.fill)


@hookimpl
async def customer_tabs(request: Request, customer: int) -> Sequence[Tab]:
    return [await pages.customer_tab(request, customer)] if request[ACTOR].may("payments.view") else []


@hookimpl
async def queue_items(request: Request) -> Sequence[QueueItem]:
    return await work.queue(request) if request[ACTOR].may("payments.view") else []


@hookimpl
async def dashboard_cards(request: Request) -> Sequence[Card]:
    return await overview.cards(request) if request[ACTOR].may("payments.view") else []


@hookimpl
async def search(request: Request, text: str) -> Sequence[SearchHit]:
    return await overview.search(request, text)


@hookimpl
async def customer_badges(request: Request, customers: Sequence[int]) -> Sequence[CustomerBadge]:
    return await overview.badges(request, customers)


@hookimpl
async def customer_timeline(request: Request, customer: int, until: date, days: int) -> Sequence[Happening]:
    return await overview.timeline(request, customer, until, days) if request[ACTOR].may("payments.view") else ()


@hookimpl
async def page_slot(request: Request, name: str) -> Sequence[Card]:
    if not request[ACTOR].may("payments.view"):
        return ()
    if name == "customers.closing":
        return await tenancy.closing_card(request)
    return await tenancy.handover_card(request) if name == "customers.handover" else ()


@hookimpl
async def on_customer_closing(conn: Connection, customer: int, acknowledged: bool) -> None:
    await tenancy.closing(conn, customer, acknowledged=acknowledged)


@hookimpl
async def on_customer_purging(conn: Connection, customer: int) -> None:
    await tenancy.purging(conn, customer)


@hookimpl
async def on_premises_handed_over(
    conn: Connection, customer: int, premises: int, before: Sequence[int], since: date, carry: bool
) -> None:
    await tenancy.handed_over(conn, customer, premises, before, since, carry=carry)


@hookimpl
async def on_customer_removing(conn: Connection, customer: int) -> None:
    if await store.has_approved(conn, customer):
        raise Refused(_("This customer has approved charges or payments. Close the customer instead."))
    await store.forget_customer(conn, customer)

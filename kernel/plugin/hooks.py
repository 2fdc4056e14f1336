"""Every hook that a plugin can implement: the contract between the kernel and its plugins.

``register_*`` hooks are asked once at start. They are plain functions without I/O that yield declarations; the kernel
collects them into frozen registries. The others are coroutines, awaited one after another in the order of plugins. A
safe request survives a failing contribution: only its part of the page says that it is unavailable.

A hook may gain arguments, never lose or rename them; an implementation names only those it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import TypeVar

import pluggy
from aiohttp import web

from kernel.db.connection import Connection
from kernel.plugin.contracts import (
    ArchiveRule,
    Card,
    Check,
    Command,
    CustomerBadge,
    CustomerField,
    Demo,
    Export,
    Extension,
    Happening,
    Job,
    Nav,
    QueueItem,
    Record,
    Route,
    SearchHit,
    Service,
    Source,
    Tab,
    Verb,
)
from kernel.plugin.permissions import Permission

_F = TypeVar("_F", bound=Callable[..., object])

hookspec = pluggy.HookspecMarker("ebok")
_marker = pluggy.HookimplMarker("ebok")


def hookimpl(function: _F) -> _F:
    """Mark a module's function as the implementation of the hook of the same name."""
    return _marker(function)


# --- asked once, at start -------------------------------------------------------------------------------------------


@hookspec
def register_permissions() -> Iterable[Permission]:
    """Rights that the plugin's routes name, with the roles that have them."""
    raise NotImplementedError


@hookspec
def register_routes() -> Iterable[Route]:
    """Addresses of the portal, the console and the API."""
    raise NotImplementedError


@hookspec
def register_navigation() -> Iterable[Nav]:
    """Places in the main navigation of the portal or, for ``/admin/…`` routes, of the console."""
    raise NotImplementedError


@hookspec
def register_services() -> Iterable[Service]:
    """Implementations of the ports in the plugin's face, for plugins that require it."""
    raise NotImplementedError


@hookspec
def register_extensions() -> Iterable[Extension]:
    """Additions to other plugins' extension points, such as a policy of allocation."""
    raise NotImplementedError


@hookspec
def register_records() -> Iterable[Record]:
    """Kinds of things that an imported row may become, each written by its owner."""
    raise NotImplementedError


@hookspec
def register_sources() -> Iterable[Source]:
    """Databases and file formats that imports can read."""
    raise NotImplementedError


@hookspec
def register_exports() -> Iterable[Export]:
    """Data that the office may take out as CSV, XLSX or JSON."""
    raise NotImplementedError


@hookspec
def register_archive_rules() -> Iterable[ArchiveRule]:
    """Tables of the plugin that the complete export of an organisation leaves out, hides, adds up or replaces."""
    raise NotImplementedError


@hookspec
def register_customer_fields() -> Iterable[CustomerField]:
    """Amounts of customers by which groups may choose, such as arrears."""
    raise NotImplementedError


@hookspec
def register_jobs() -> Iterable[Job]:
    """Kinds of durable work that the worker does, on demand or on schedule."""
    raise NotImplementedError


@hookspec
def register_audit_verbs() -> Iterable[Verb]:
    """Kinds of events that the plugin writes into the history, each with a readable sentence."""
    raise NotImplementedError


@hookspec
def register_checks() -> Iterable[Check]:
    """Proofs for ``/readyz``, ``ebok doctor`` and ``ebok verify``."""
    raise NotImplementedError


@hookspec
def register_commands() -> Iterable[Command]:
    """Command lines of the plugin."""
    raise NotImplementedError


@hookspec
def register_demo() -> Iterable[Demo]:
    """The plugin's part of the demonstration organisation."""
    raise NotImplementedError


# --- awaited while the product runs ---------------------------------------------------------------------------------


@hookspec
async def customer_cards(request: web.Request) -> Sequence[Card]:
    """Cards of the customer's home page, for the customer in view."""
    raise NotImplementedError


@hookspec
async def dashboard_cards(request: web.Request) -> Sequence[Card]:
    """Cards of the console's first page."""
    raise NotImplementedError


@hookspec
async def customer_tabs(request: web.Request, customer: int) -> Sequence[Tab]:
    """Parts of the console's page of one customer (``customer`` is the id in ``kernel.customer``)."""
    raise NotImplementedError


@hookspec
async def queue_items(request: web.Request) -> Sequence[QueueItem]:
    """Work that waits for the office, with counts, for the console's first page."""
    raise NotImplementedError


@hookspec
async def page_slot(request: web.Request, name: str) -> Sequence[Card]:
    """Parts for a named place on another plugin's page (``balances.actions``)."""
    raise NotImplementedError


@hookspec
async def search(request: web.Request, text: str) -> Sequence[SearchHit]:
    """What the console's search box finds for ``text``; at most some tens of hits."""
    raise NotImplementedError


@hookspec
async def customer_badges(request: web.Request, customers: Sequence[int]) -> Sequence[CustomerBadge]:
    """How customers stand, in a few words beside their names: for all of ``customers`` (some tens) at once."""
    raise NotImplementedError


@hookspec
async def customer_timeline(request: web.Request, customer: int, until: date, days: int) -> Sequence[Happening]:
    """What happened to a customer on the newest ``days`` days, ``until`` the last, on which anything did; each of these
    days whole, a few lines a day: what came many times is one line with its sum."""
    raise NotImplementedError


@hookspec
async def on_customer_closing(conn: Connection, customer: int, acknowledged: bool) -> None:
    """A customer is about to be closed, in this transaction. Raise ``Refused`` to say why it cannot be.

    ``acknowledged``: the office was told of what is still open (a debt, say) and closes all the same. What only has to
    be known is refused at the field ``acknowledged`` while it is not.
    """
    raise NotImplementedError


@hookspec
async def on_customer_removing(conn: Connection, customer: int) -> None:
    """A customer is about to be deleted: remove what nobody approved, or raise ``Refused`` if something is approved."""
    raise NotImplementedError


@hookspec
async def on_customer_purging(conn: Connection, customer: int) -> None:
    """A superadministrator is about to erase an old customer's personal data; approved entries stay.

    Erase the plugin's own, or raise ``Refused`` to say why it is too early.
    """
    raise NotImplementedError


@hookspec
async def on_premises_handed_over(
    conn: Connection, customer: int, premises: int, before: Sequence[int], since: date, carry: bool
) -> None:
    """Premises have passed to ``customer`` on the day ``since``, in this transaction; ``before`` had them until then.

    What goes on for the premises begins anew for ``customer``; with ``carry`` in the same amounts. What was, stays with
    ``before``.
    """
    raise NotImplementedError

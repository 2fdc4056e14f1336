"""The history in the console: filtered, paged, exported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, LiteralString

from aiohttp import web
from pydantic import Field

from kernel.audit import about, entry_of, sentence
from kernel.dates import PolishDate
from kernel.db.connection import Row
from kernel.i18n import _
from kernel.plugin.contracts import Nav, Route
from kernel.plugin.permissions import STAFF, Permission
from kernel.web.tables import Column, Filter, Listing, ListQuery, listed

RIGHT: Final = "kernel.audit"

ENTRIES_SQL: Final[LiteralString] = """
select entry.id, entry.happened_at, entry.verb, entry.actor, entry.role, entry.mode, entry.request, entry.customer,
       entry.subject, entry.facts, coalesce(person.name, '') as actor_name, coalesce(person.login, '') as login,
       customer.customer_no
from kernel.audit_log entry
left join kernel.users person on person.id = case when entry.actor ~ '^[0-9]{1,18}$' then entry.actor::bigint end
left join kernel.customer customer on customer.id = entry.customer
"""


def _who(row: Row) -> object:
    who: object = row["actor_name"] or row["login"] or row["actor"] or _("visitor")
    if ":token-" in row["role"]:
        return _("{person}, by a program", person=who)
    return _("{person}, in superadministrator mode", person=who) if row["mode"] == "superadmin" else who


def _what(row: Row) -> object:
    return sentence(entry_of(row))


def _about(row: Row) -> object:
    return about(row["subject"])


ENTRIES: Final = Listing(
    name="kernel.audit",
    select=ENTRIES_SQL,
    columns=(
        Column("happened_at", _("When"), kind="moment", sort="id"),
        Column("actor", _("Who"), show=_who),
        Column("verb", _("What"), show=_what),
        Column("customer_no", _("Customer"), link="kernel.customer", by={"customer": "customer"}),
        Column("subject", _("Concerns"), show=_about),
    ),
    order="-happened_at",
    filters=(
        Filter("since", _("From day"), "happened_at >= {0}::date", kind="date"),
        Filter("until", _("To day"), "happened_at < {0}::date + 1", kind="date"),
        Filter("who", _("Who"), "(actor = {0}::text or login = lower({0}::text))"),
        Filter("verb", _("Kind of event"), "starts_with(verb, {0}::text)"),
        Filter("customer_no", _("Customer number"), "customer_no = {0}"),
        Filter("request", _("Request number"), "request = {0}"),
    ),
    title_of="verb",
)


class EntryQuery(ListQuery):
    """What the history can be asked."""

    since: PolishDate | None = None
    until: PolishDate | None = None
    who: str = Field("", max_length=200)
    verb: str = Field("", max_length=100)
    customer_no: str = Field("", max_length=100)
    request: str = Field("", max_length=100)


def permissions() -> Iterable[Permission]:
    """The right to read the history."""
    yield Permission(RIGHT, _("Read the history"), STAFF)


def navigation() -> Iterable[Nav]:
    """History in the console's menu."""
    yield Nav(_("History"), "kernel.audit", order=900, icon="audit", group=_("Administration"))


def routes() -> Iterable[Route]:
    """The list of events."""
    yield Route(
        "GET", "/admin/audit", show_entries, RIGHT, "kernel.audit", query=EntryQuery, template="kernel/pages/audit.html"
    )


async def show_entries(request: web.Request, query: EntryQuery) -> object:
    """The newest events first."""
    return await listed(request, ENTRIES, query)

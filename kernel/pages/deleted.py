"""What superadministrators deleted of what was approved: tombstones, the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, LiteralString

from aiohttp import web
from pydantic import Field

from kernel.audit import about
from kernel.auth.tombstones import words_of
from kernel.dates import PolishDate
from kernel.db.connection import Row
from kernel.i18n import _
from kernel.plugin.contracts import Nav, Route
from kernel.plugin.permissions import STAFF, Permission
from kernel.web.tables import Column, Filter, Listing, ListQuery, listed

RIGHT: Final = "kernel.deleted"

TOMBSTONES_SQL: Final[LiteralString] = """
select t.id, t.deleted_at, t.verb, t.subject, t.number, t.facts, t.reason, t.customer_no, customer.id as customer,
       coalesce(nullif(person.name, ''), person.login, t.deleted_by) as who, coalesce(person.login, '') as login
from kernel.tombstone t
left join kernel.users person on person.id = case when t.deleted_by ~ '^[0-9]{1,18}$' then t.deleted_by::bigint end
left join kernel.customer customer on customer.id = t.customer
"""


def _what(row: Row) -> object:
    return words_of(row["verb"], row["facts"])


def _about(row: Row) -> object:
    return about(row["subject"])


TOMBSTONES: Final = Listing(
    name="kernel.deleted",
    select=TOMBSTONES_SQL,
    columns=(
        Column("deleted_at", _("When"), kind="moment", sort="id"),
        Column("verb", _("What"), show=_what),
        Column("subject", _("Concerns"), show=_about),
        Column("number", _("Number")),
        Column("customer_no", _("Customer"), link="kernel.customer", by={"customer": "customer"}),
        Column("reason", _("Reason")),
        Column("who", _("Who")),
    ),
    order="-deleted_at",
    filters=(
        Filter("since", _("From day"), "deleted_at >= {0}::date", kind="date"),
        Filter("until", _("To day"), "deleted_at < {0}::date + 1", kind="date"),
        Filter("number", _("Number"), "number = {0}"),
        Filter("customer_no", _("Customer number"), "customer_no = {0}"),
        Filter("who", _("Who (login)"), "login = lower({0}::text)"),
        Filter("verb", _("Kind of event"), "starts_with(verb, {0}::text)"),
    ),
    title_of="number",
)


class DeletedQuery(ListQuery):
    """What the list of deleted data can be asked."""

    since: PolishDate | None = None
    until: PolishDate | None = None
    number: str = Field("", max_length=200)
    customer_no: str = Field("", max_length=100)
    who: str = Field("", max_length=200)
    verb: str = Field("", max_length=100)


def permissions() -> Iterable[Permission]:
    """The right to see what was deleted."""
    yield Permission(RIGHT, _("See what superadministrators deleted"), STAFF)


def navigation() -> Iterable[Nav]:
    """Deleted data in the console's menu, beside the history."""
    yield Nav(_("Deleted"), "kernel.deleted", order=905, icon="trash", group=_("Administration"))


def routes() -> Iterable[Route]:
    """The list of tombstones."""
    yield Route(
        "GET",
        "/admin/deleted",
        show_deleted,
        RIGHT,
        "kernel.deleted",
        query=DeletedQuery,
        template="kernel/pages/deleted.html",
    )


async def show_deleted(request: web.Request, query: DeletedQuery) -> object:
    """The newest deletions first."""
    return await listed(request, TOMBSTONES, query)

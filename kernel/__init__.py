"""The kernel's public API: what a plugin imports, and only that."""

from aiohttp.web import Request

from kernel import documents
from kernel.audit import Fact, audit, audit_many
from kernel.auth.tombstones import bury, tell_deleted
from kernel.auth.watch import tell_superadmins
from kernel.dates import Clock, PolishDate, parse_date
from kernel.db.connection import Connection, Row
from kernel.db.pool import Stamp
from kernel.fields import Line, Nip, defused, is_formula, one_line, parse_nip, undefused
from kernel.i18n import Text, _, long_date, ngettext, short_date
from kernel.jobs import enqueue
from kernel.mail import send_mail
from kernel.money import Money, PositiveMoney, Quantity, parse_quantity
from kernel.people.model import Customer
from kernel.people.store import find_customer
from kernel.plugin.actor import Actor, Grant
from kernel.plugin.contracts import (
    GROUP_MARK,
    ArchiveRule,
    Argument,
    Batch,
    Card,
    Check,
    Command,
    CustomerBadge,
    CustomerField,
    Demo,
    DemoLogin,
    DemoPlan,
    Export,
    ExportColumn,
    ExportFilter,
    Extension,
    Finding,
    Happening,
    Job,
    Nav,
    Plugin,
    Progress,
    QueueItem,
    RawRow,
    Record,
    Route,
    SearchHit,
    Service,
    Source,
    SourceChange,
    SourceError,
    SourceRow,
    Tab,
    Verb,
)
from kernel.plugin.foreign import ForeignPostgres
from kernel.plugin.groups import NOBODY, CustomerGroups, CustomerSet
from kernel.plugin.hooks import hookimpl
from kernel.plugin.permissions import EVERYBODY, PUBLIC, STAFF, Permission, Role
from kernel.settings import organisation, settings_of
from kernel.site import Site, as_owner
from kernel.web.contributions import badges_of, slot
from kernel.web.contributions import found as search_hits
from kernel.web.proof import confirmed
from kernel.web.request import ACTOR, CONN, FORM, SITE, Created, Download, Pdf, Refused, Upload, not_found
from kernel.web.routing import forbidden, redirect, service, settings, url
from kernel.web.tables import Badge, Column, Filter, Listing, ListQuery, listed

__all__ = [
    "ACTOR",
    "CONN",
    "EVERYBODY",
    "FORM",
    "GROUP_MARK",
    "NOBODY",
    "PUBLIC",
    "SITE",
    "STAFF",
    "Actor",
    "ArchiveRule",
    "Argument",
    "Badge",
    "Batch",
    "Card",
    "Check",
    "Clock",
    "Column",
    "Command",
    "Connection",
    "Created",
    "Customer",
    "CustomerBadge",
    "CustomerField",
    "CustomerGroups",
    "CustomerSet",
    "Demo",
    "DemoLogin",
    "DemoPlan",
    "Download",
    "Export",
    "ExportColumn",
    "ExportFilter",
    "Extension",
    "Fact",
    "Filter",
    "Finding",
    "ForeignPostgres",
    "Grant",
    "Happening",
    "Job",
    "Line",
    "ListQuery",
    "Listing",
    "Money",
    "Nav",
    "Nip",
    "Pdf",
    "Permission",
    "Plugin",
    "PolishDate",
    "PositiveMoney",
    "Progress",
    "Quantity",
    "QueueItem",
    "RawRow",
    "Record",
    "Refused",
    "Request",
    "Role",
    "Route",
    "Row",
    "SearchHit",
    "Service",
    "Site",
    "Source",
    "SourceChange",
    "SourceError",
    "SourceRow",
    "Stamp",
    "Tab",
    "Text",
    "Upload",
    "Verb",
    "_",
    "as_owner",
    "audit",
    "audit_many",
    "badges_of",
    "bury",
    "confirmed",
    "defused",
    "documents",
    "enqueue",
    "find_customer",
    "forbidden",
    "hookimpl",
    "is_formula",
    "listed",
    "long_date",
    "ngettext",
    "not_found",
    "one_line",
    "organisation",
    "parse_date",
    "parse_nip",
    "parse_quantity",
    "redirect",
    "search_hits",
    "send_mail",
    "service",
    "settings",
    "settings_of",
    "short_date",
    "slot",
    "tell_deleted",
    "tell_superadmins",
    "undefused",
    "url",
]

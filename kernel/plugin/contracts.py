"""What plugins yield: frozen declarations, checked and collected by the registry at start.

Every name that belongs to a plugin carries the plugin's prefix (``payments.view``). Labels are lazy texts (``_``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, LiteralString

from pydantic import BaseModel

from kernel.db.connection import Connection
from kernel.i18n import Text

if TYPE_CHECKING:
    from kernel.site import Site

API: Final = 1
"""The version of this contract. A plugin names the one it was written for."""

Handler = Callable[..., Awaitable[object]]
"""``async (request)`` or, with a body or query model, ``async (request, model)``.

Returns a dict (rendered with the route's template), a pydantic model (JSON), a ``Pdf``, a ``Download``, or any response
of aiohttp's.
"""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin's manifest: the module's ``plugin`` attribute.

    ``requires`` names the plugins whose face it uses or whose tables it needs; they start before it. ``after`` names
    plugins that come first where they are enabled (their demonstration data, say). ``settings`` is the model
    of an organisation's settings (every field has a default), edited in the console by a generated form. ``points``
    are the plugin's own extension points: name (``payments.allocation_policy``) → a runtime-checkable Protocol.
    """

    api: int
    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    settings: type[BaseModel] | None = None
    points: Mapping[str, type] = field(default_factory=dict[str, type])


@dataclass(frozen=True, slots=True)
class Route:
    """One address: from it follow routing, guard, validation, transaction, template and API description.

    Path parameters are aiohttp's (``/admin/customers/{customer:\\d+}``). ``/…`` is the portal, ``/admin/…`` the
    console, ``/api/v1/…`` the API (JSON, problem+json). ``body`` validates an unsafe request's form or JSON, ``query``
    a safe request's query string: either becomes the handler's second argument. A refused body renders the page of the
    same path with the input and the errors, status 422. ``returns`` documents the API's answer. ``files`` allows
    uploads (the body model's ``Upload`` fields). ``read_only`` marks an unsafe method for which the kernel opens no
    transaction and keeps no idempotency key: the handler opens what it needs.

    Of an unsafe route of the API: ``creates`` says that it answers 201 with a ``Location`` (the handler returns
    ``Created``), ``key_required`` refuses a call without the header ``Idempotency-Key`` (400): for what must not happen
    twice when a program asks again because it got no answer.
    """

    method: str
    path: str
    handler: Handler
    permission: str
    name: str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    template: str | None = None
    returns: type[BaseModel] | None = None
    files: bool = False
    read_only: bool = False
    creates: bool = False
    key_required: bool = False


@dataclass(frozen=True, slots=True)
class Nav:
    """A place in the main navigation, hidden from whoever lacks the route's permission; ``icon`` is in the sprite.

    ``group`` is the heading that it stands under in the console (``_("Customers")``), the same for whoever names the
    same; without one it is under «More». Headings stand in the order of their first places.
    """

    label: Text
    route: str
    order: int = 100
    icon: str = "dot"
    group: Text | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """An implementation of a port (a Protocol in the owner's face). At most one per port."""

    port: type
    implementation: object


@dataclass(frozen=True, slots=True)
class Extension:
    """Something added to another plugin's extension point, under a name that is unique there and carries its plugin's
    prefix (``readings.fair_share``)."""

    point: str
    name: str
    implementation: object


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of an import, valid by its record's model. ``external_id`` is its key in the source."""

    external_id: str
    data: BaseModel


@dataclass(frozen=True, slots=True)
class SourceChange:
    """A row that the source changed since the run that last applied it."""

    external_id: str
    before: BaseModel
    after: BaseModel


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one record type to apply in the run's transaction: at most some thousands at a time.

    ``source`` names the profile; with it ``external_id`` is unique. ``run`` is the import run's id. ``approve``: the
    entries become approved by the actor «import»; otherwise they stay drafts. ``today`` is the organisation's day.
    ``owners`` says of fields whose correction by people meets the source's value who wins: ``source``, ``local`` (what
    people wrote) or ``newest`` (also of every field that is not named: the source, where its own value changed).
    """

    source: str
    run: int
    approve: bool
    today: date
    new: Sequence[SourceRow] = ()
    changed: Sequence[SourceChange] = ()
    missing: Sequence[SourceRow] = ()
    owners: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Record:
    """A kind of thing that an imported row may become; its owner writes it.

    ``apply`` runs inside the import's transaction. ``after`` names records that must be applied first. ``money`` names
    the model's field whose sums the diff shows. ``together`` names a field by which rows are brought together before
    they are applied: a batch then touches few accounts, each with many rows. ``revert`` undoes what ``apply`` did with
    the same batch when the run is rolled back, records in reverse order; rows that people changed since stay as they
    are, and it returns their keys. Without it a run with such rows cannot be rolled back.
    """

    name: str
    label: Text
    model: type[BaseModel]
    apply: Callable[[Connection, Batch], Awaitable[None]]
    after: tuple[str, ...] = ()
    money: str | None = None
    together: str | None = None
    revert: Callable[[Connection, Batch], Awaitable[Sequence[str]]] | None = None


RawRow = Mapping[str, object]
"""One row as the source has it: its own column names, values as the driver gives them."""


@dataclass(frozen=True, slots=True)
class Source:
    """A database or file format to import from; ``name`` is what a profile's ``[source] kind`` says.

    ``settings`` validates the profile's ``[source]`` table. ``stream(settings, query)`` yields batches of raw rows for
    a table name or, where the source speaks it, an SQL query; blocking drivers run in a thread. ``discover(settings)``
    lists tables with their columns. Both raise ``SourceError`` with one clear line.
    """

    name: str
    label: Text
    settings: type[BaseModel]
    discover: Callable[[Any], Awaitable[Mapping[str, Sequence[str]]]]
    stream: Callable[[Any, str], AsyncIterator[Sequence[RawRow]]]


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """A column of an export; ``name`` is a column of the select, and what programs call it.

    ``kind`` money holds grosze, ``number`` a whole number or a decimal. ``words`` are what people read in place of a
    code (``charge`` → «Charge»); programs get the code.
    """

    name: str
    label: Text
    kind: Literal["text", "money", "number", "date", "moment", "yes_no"] = "text"
    words: Mapping[str, Text] = field(default_factory=dict[str, Text])


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """What narrows an export. The filters, in order, are the select's ``$1 …``: text or a day, null where nothing was
    chosen.

    ``options`` make it a choice, of which ``default`` is the first one offered. ``kind`` day is the day *as of* which
    the export is made: today when nobody names another.
    """

    name: str
    label: Text
    kind: Literal["text", "date", "day"] = "text"
    options: tuple[tuple[str, Text], ...] = ()
    default: str = ""


GROUP_MARK: Final[LiteralString] = "/*group*/"
"""Where an export's select is narrowed to a group of customers."""


@dataclass(frozen=True, slots=True)
class Export:
    """Data that the office may take out whole, as a table for spreadsheets and programs.

    ``select`` is one statement in a fixed order, read through a cursor: however much there is, it is never held at
    once. ``permission`` is what its readers need. Programs and the command line call it by the last part of its name:
    ``payments.open_items`` is ``ebok export open-items``. With ``customer``, an expression of the select's (``c.id``),
    it is narrowed to a group of customers, too, where a plugin keeps groups: the mark ``/*group*/`` among its
    conditions is where that is said.
    """

    name: str
    label: Text
    hint: Text
    select: LiteralString
    columns: tuple[ExportColumn, ...]
    permission: str
    filters: tuple[ExportFilter, ...] = ()
    customer: LiteralString = ""


@dataclass(frozen=True, slots=True)
class ArchiveRule:
    """How the complete export of an organisation treats one table of the plugin (``payments.book``).

    A table that no rule names goes along whole, and must be empty where an archive is taken in. ``left_out``: it
    belongs to the installation and not to the organisation, such as sessions. ``seeded``: a new organisation has rows
    in it from its migrations, which those of the archive replace. ``secret``: it goes along only on demand;
    ``secret_columns`` likewise, and are empty without. ``sums`` are whole-number columns whose totals the archive
    states, and which are compared when it is taken in.
    """

    table: str
    left_out: bool = False
    seeded: bool = False
    secret: bool = False
    secret_columns: tuple[str, ...] = ()
    sums: tuple[str, ...] = ()


class SourceError(Exception):
    """A source cannot be read: missing driver, file, table, or refused login. The message is for people."""


@dataclass(frozen=True, slots=True)
class Job:
    """Durable work, enqueued with ``enqueue(conn, kind, payload)`` in the transaction of the fact that caused it.

    ``handler(site, payload)`` may run twice after a crash: it must be safe to repeat. ``every`` makes it scheduled.
    """

    kind: str
    handler: Callable[[Site, Mapping[str, Any]], Awaitable[None]]
    attempts: int = 5
    every: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Verb:
    """A kind of event in the history. ``sentence`` shows the event's facts: ``_("approved {count} payments")``.

    ``in_timeline`` is false where ``customer_timeline`` tells the same in more words on the customer's page.
    """

    name: str
    sentence: Text
    in_timeline: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found wrong: where, and what; ``fatal`` makes the site not ready."""

    message: str
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long check has come: shown while it runs."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Check:
    """A proof that data or surroundings are right. ``run(conn)`` yields findings; none means right.

    ``when`` lists where it runs: ``ready`` (fast), ``doctor``, ``verify`` (may read everything, streaming, and yield
    ``Progress`` in between).
    """

    name: str
    label: Text
    run: Callable[[Connection], AsyncIterator[Finding | Progress]]
    when: tuple[str, ...] = ("doctor",)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command, in argparse's words."""

    flags: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: ``ebok <name> …`` (``name`` may be two words: ``import run``).

    ``run(site, arguments)`` returns the exit code: 0 done, 1 refused or found wrong, 2 used wrongly.
    """

    name: str
    help: str
    run: Callable[[Site, Any], Awaitable[int]]
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What the demonstration organisation shall have; everything follows from ``seed``."""

    customers: int
    months: int
    seed: int


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """A customer worth looking at in the demonstration; ``note`` says why: «in arrears»."""

    customer_no: str
    note: str


@dataclass(frozen=True, slots=True)
class Demo:
    """Fills the plugin's part of the demonstration organisation, in the order of plugins, all in one transaction.

    Returns the customers that shall get a login.
    """

    fill: Callable[[Site, Connection, DemoPlan], Awaitable[Sequence[DemoLogin]]]


@dataclass(frozen=True, slots=True)
class Card:
    """A part of a page that a plugin contributes: a template of its own and the data for it.

    ``data`` is plain and complete: nothing is fetched while a template renders.
    """

    label: Text
    template: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    order: int = 100


@dataclass(frozen=True, slots=True)
class Tab:
    """A part of the console's customer page; ``name`` is its anchor (``payments.entries``)."""

    name: str
    label: Text
    template: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    order: int = 100


@dataclass(frozen=True, slots=True)
class QueueItem:
    """Work that waits for the office: «12 payments to approve», with the address that shows them."""

    label: Text
    count: int
    url: str
    order: int = 100


@dataclass(frozen=True, slots=True)
class SearchHit:
    """Something found by the console's search box, the weightiest first.

    Weights: from 40 what was typed letter for letter (a number), from 30 the same words, from 20 words that begin so,
    below 20 what may be meant. ``customer`` is whose it is, an id in ``kernel.customer``: the customer's badges stand
    beside it.
    """

    kind: Text
    title: str
    detail: str
    url: str
    weight: float = 0.0
    customer: int | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of a customer's timeline that stands for a day: «Payment, 512,40 zł», with the address that shows it."""

    day: date
    label: Text
    url: str = ""


@dataclass(frozen=True, slots=True)
class CustomerField:
    """An amount of every customer by which groups and lists may choose: «arrears».

    Both are SQL constants over the plugin's own tables and ``kernel``. ``value`` is an expression, the grosze of the
    customer ``{0}`` on the day ``{1}``, never null; ``over`` selects the ids of all customers who have more than
    ``{0}`` grosze on the day ``{1}``, at once.
    """

    name: str
    label: Text
    value: LiteralString
    over: LiteralString


@dataclass(frozen=True, slots=True)
class CustomerBadge:
    """How a customer stands with a plugin: a few words, and a tone (``due``, ``credit``, ``notice`` or none)."""

    customer: int
    label: Text
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin after discovery: its manifest, module, and where its files lie."""

    name: str
    module: Any
    manifest: Plugin
    path: Path
    distribution: str
    version: str

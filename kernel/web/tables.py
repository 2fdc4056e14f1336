"""Lists: filtered, sorted and paged by the database, with their state in the address, and exported whole as CSV.

A page reads ``size + 1`` rows after (or before) the last one it showed, so no statement grows with the number of rows.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import product
from typing import Any, Final, Literal, LiteralString, cast
from urllib.parse import urlencode

import asyncpg
from aiohttp import web
from markupsafe import Markup
from pydantic import BaseModel, Field

from kernel.db.connection import Connection, Row
from kernel.fields import defused
from kernel.i18n import Text, _, ngettext, short_date
from kernel.money import Money
from kernel.plugin.groups import NOBODY, CustomerGroups, CustomerSet
from kernel.web.forms import shown_value
from kernel.web.remembered import REMEMBERED, Remembered, SavedView, leave
from kernel.web.request import ACTOR, CONN, SITE
from kernel.web.routing import redirect_to, url
from kernel.web.templating import money

DEFAULT_SIZE: Final = 50
LARGEST_SIZE: Final = 200
EXPORT_BATCH: Final = 1000
MOST_REMEMBERED: Final = 4000
"""Letters of an address."""
_PASSING: Final = frozenset({"own", "view", "after", "before", "format", "sums"})
"""Parts of an address that say where somebody is, not what they look for."""
BOM: Final = "\ufeff"
"""Tells a spreadsheet that the file is UTF-8."""

Kind = Literal["text", "money", "number", "date", "moment", "badge"]
Direction = Literal["first", "after", "before"]
_PLACES: Final[tuple[LiteralString, ...]] = (
    "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16",
    "$17", "$18", "$19", "$20", "$21", "$22", "$23", "$24", "$25", "$26", "$27", "$28", "$29", "$30", "$31", "$32",
)  # fmt: skip
_USED_PLACE: Final = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Badge:
    """How a state is shown: a word, and a tone (``due``, ``credit``, ``notice`` or none) that has its own shape."""

    label: Text
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list; ``name`` is the column of the select.

    ``kind`` money holds grosze. ``sort`` is an SQL expression over the select's columns that is never null
    (``kernel.pl_sort(name) collate "C"``, ``coalesce(due_on, 'infinity')``); without it the column cannot be sorted.
    ``link`` names a route whose path parameters are columns of the row, or ``by`` maps parameter → column.
    ``show`` makes the value from the row. ``total`` sums the shown rows in the foot.
    """

    name: str
    label: Text
    kind: Kind = "text"
    sort: LiteralString | None = None
    link: str | None = None
    by: Mapping[str, str] = field(default_factory=dict[str, str])
    badges: Mapping[str, Badge] = field(default_factory=dict[str, Badge])
    show: Callable[[Row], object] | None = None
    total: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter; ``name`` is the query model's field, and None or an empty text there switches it off.

    ``where`` is a condition over the select's columns in which ``{0}`` stands for the value (``state = {0}``,
    ``kernel.pl_sort(name) like '%' || kernel.pl_sort({0}::text) || '%'``). ``options`` make it a choice.
    """

    name: str
    label: Text
    where: LiteralString
    kind: Literal["text", "date", "select"] = "text"
    options: tuple[tuple[str, Text], ...] = ()


class ListQuery(BaseModel):
    """What a list's address says; a list with filters adds a field for each, with None or ``""`` as the default.

    ``own``: remember filters and order for this person. ``view`` is the kept view that the address came from. ``group``
    narrows a list of customers' things to a group of customers; ``sums`` adds up every page and not this one.
    """

    sort: str = Field("", max_length=60, pattern=r"^-?[a-z_0-9]*$")
    after: str = Field("", max_length=600)
    before: str = Field("", max_length=600)
    size: int = Field(DEFAULT_SIZE, ge=1, le=LARGEST_SIZE)
    format: Literal["html", "csv"] = "html"
    own: bool = False
    view: int | None = Field(None, ge=1, lt=2**63)
    group: int | None = Field(None, ge=1, lt=2**63)
    sums: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A list: ``select`` is one statement without order or limit, its own arguments are ``$1 …``; ``key`` is its unique
    column.

    ``order`` is the column that it is sorted by at first, ``-`` before it means descending. ``selectable`` tells which
    rows a bulk action may choose; ``title_of`` names the column that tells a row apart for a screen reader.
    ``customer`` is the select's column with a customer's id: where a plugin keeps groups of customers, the list has a
    filter by them.
    """

    name: str
    select: LiteralString
    columns: tuple[Column, ...]
    order: str
    key: LiteralString = "id"
    filters: tuple[Filter, ...] = ()
    selectable: Callable[[Row], bool] | None = None
    title_of: str = ""
    customer: LiteralString = ""

    def statements(self) -> Iterable[LiteralString]:
        """Every statement that the list can send: each sorting, up and down, from the start and onward, with each
        filter alone, all of them, and none (conditions are joined by «and»: other combinations have the same parts).
        """
        alone = [(one,) for one in self.filters]
        chosen = [(), *alone, *([self.filters] if len(self.filters) > 1 else [])]
        for column in self.columns:
            if column.sort is not None:
                for filters, upward, onward in product(chosen, (True, False), (False, True)):
                    yield self.statement(column.sort, filters, upward=upward, onward=onward)
        if self.summed:
            for filters in chosen:
                yield self.sums_statement(filters)
        if self.customer:
            yield self.sums_statement((), NOBODY)

    def statement(
        self,
        sort: LiteralString,
        filters: Sequence[Filter],
        within: CustomerSet | None = None,
        *,
        upward: bool,
        onward: bool,
    ) -> LiteralString:
        """One page, ascending (``upward``) or descending, from the start or (``onward``) after a known row.

        Its arguments: the select's own, the filters' values, those of the customers that it stays ``within``, the sort
        value and key of the known row, how many rows.
        """
        conditions, place = self._conditions(filters, within)
        if onward:
            beyond: LiteralString = ">" if upward else "<"
            conditions.append(f"({sort}, {self.key}) {beyond} ({_PLACES[place]}, {_PLACES[place + 1]})")
            place += 2
        way: LiteralString = "asc" if upward else "desc"
        where: LiteralString = " where " + " and ".join(conditions) if conditions else ""
        return (  # literals only, which the type checker proves
            f"select *, {sort} as sorted_by from ({self.select}) as listing{where}"  # noqa: S608
            f" order by {sort} {way}, {self.key} {way} limit {_PLACES[place]}"
        )

    def sums_statement(self, filters: Sequence[Filter], within: CustomerSet | None = None) -> LiteralString:
        """How many rows match (``counted``), and the sum of every column with a total over all of them."""
        conditions, _place = self._conditions(filters, within)
        where: LiteralString = " where " + " and ".join(conditions) if conditions else ""
        sums: LiteralString = "count(*) as counted"
        for column in self.summed:
            name = cast(LiteralString, column.name)
            sums += ", sum(" + name + ") as " + name
        return f"select {sums} from ({self.select}) as listing{where}"  # noqa: S608  literals only

    def _conditions(self, filters: Sequence[Filter], within: CustomerSet | None) -> tuple[list[LiteralString], int]:
        """What rows are asked for, and the place of the next argument."""
        place = self.arguments
        conditions: list[LiteralString] = []
        for one in filters:
            conditions.append(one.where.format(_PLACES[place]))
            place += 1
        if within is not None:
            conditions.append(self.customer + " in (" + within.select(_PLACES[place:]) + ")")
            place += len(within.values)
        return conditions, place

    @property
    def summed(self) -> tuple[Column, ...]:
        """The columns with a total that the database can add up."""
        return tuple(column for column in self.columns if column.total and column.show is None)

    @property
    def arguments(self) -> int:
        """How many arguments the select itself takes."""
        return max((int(number) for number in _USED_PLACE.findall(self.select)), default=0)

    def sorting(self, wish: str) -> tuple[Column, bool]:
        """The column to sort by and whether descending; the list's own order for a wish that it cannot grant."""
        sortable = {column.name: column for column in self.columns if column.sort is not None}
        chosen = wish if wish.lstrip("-") in sortable else self.order
        return sortable[chosen.lstrip("-")], chosen.startswith("-")


# --- what the template shows ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """A column's heading; ``sorted`` is ``ascending``, ``descending`` or empty."""

    name: str
    label: Text
    kind: str
    sort_url: str
    sorted: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as it is shown."""

    label: Text
    kind: str
    shown: Any
    url: str = ""


@dataclass(frozen=True, slots=True)
class RowView:
    """A row: ``key`` for bulk actions, ``name`` for screen readers."""

    key: str
    name: str
    cells: tuple[Cell, ...]
    selectable: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter, with the address of the list without it."""

    label: Text
    value: Any
    url: str


@dataclass(frozen=True, slots=True)
class FilterView:
    """A filter's field with its value as typed."""

    name: str
    label: Text
    kind: str
    value: str
    options: tuple[tuple[str, Text], ...]


@dataclass(frozen=True, slots=True)
class ViewLink:
    """A kept view with its address; ``opens`` where nothing is asked for."""

    view: SavedView
    url: str
    is_current: bool
    opens: bool


@dataclass(frozen=True, slots=True)
class Menu:
    """What a person arranges of a list: ``name`` is the list's, ``query`` what its address says now, ``columns`` are
    (name, label, shown)."""

    name: str
    query: str
    back: str
    columns: tuple[tuple[str, Text, bool], ...]
    is_dense: bool
    views: tuple[ViewLink, ...]

    @property
    def current(self) -> ViewLink | None:
        """The view that is shown."""
        return next((one for one in self.views if one.is_current), None)


@dataclass(frozen=True, slots=True)
class Table:
    """A page of a list, ready for ``kernel/table.html``. ``kept`` are values that a filter form carries along;
    ``menu`` is None where nobody of the office is there to arrange it."""

    path: str
    columns: tuple[Head, ...]
    rows: tuple[RowView, ...]
    filters: tuple[FilterView, ...]
    chips: tuple[Chip, ...]
    kept: tuple[tuple[str, str], ...]
    totals: tuple[Cell, ...]
    csv_url: str
    previous_url: str
    next_url: str
    clear_url: str = ""
    sums_url: str = ""
    menu: Menu | None = None


# --- running --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """A list together with what one request wants of it."""

    listing: Listing
    args: tuple[object, ...]
    active: tuple[Filter, ...]
    values: tuple[object, ...]
    column: Column
    descending: bool
    group: Filter | None = None
    within: CustomerSet | None = None

    @property
    def filters(self) -> tuple[Filter, ...]:
        """Every filter that is offered."""
        return self.listing.filters if self.group is None else (*self.listing.filters, self.group)

    @property
    def chosen(self) -> tuple[Filter, ...]:
        """The filters that narrow the list now."""
        return self.active if self.within is None else (*self.active, self.group or _GROUP)

    async def sums(self, conn: Connection) -> Row | None:
        """How many rows match, and the totals of all of them."""
        statement = self.listing.sums_statement(self.active, self.within)
        return await conn.fetchrow(statement, *self.args, *self._narrowing)

    @property
    def _narrowing(self) -> tuple[object, ...]:
        return self.values if self.within is None else (*self.values, *self.within.values)

    async def fetch(
        self, conn: Connection, direction: Direction, last: tuple[object, object] | None, limit: int
    ) -> Sequence[Row]:
        """At most ``limit`` rows in the order that they are shown in."""
        sort = cast(LiteralString, self.column.sort)
        upward = self.descending == (direction == "before")
        statement = self.listing.statement(sort, self.active, self.within, upward=upward, onward=last is not None)
        try:
            rows = await conn.fetch(statement, *self.args, *self._narrowing, *(last or ()), limit)
        except asyncpg.DataError as error:
            # Only an address that somebody changed by hand holds a value of another type.
            raise web.HTTPBadRequest from error
        return rows[::-1] if direction == "before" else rows


_GROUP: Final = Filter("group", _("Group"), "")
"""Its condition is the group's own."""


async def listed(
    request: web.Request,
    listing: Listing,
    query: ListQuery,
    *,
    args: Sequence[object] = (),
    extra: Mapping[str, Any] | None = None,
) -> Mapping[str, Any] | web.StreamResponse:
    """The page's context: ``table`` and what ``extra`` holds; or, with ``?format=csv``, everything filtered as a file.

    Raises HTTPBadRequest for an address that was changed by hand into something the database cannot compare.
    """
    remembered = request.get(REMEMBERED)
    if remembered is not None and (elsewhere := await _elsewhere(request, remembered, query)):
        return redirect_to(request, elsewhere)
    active = [one for one in listing.filters if getattr(query, one.name) not in (None, "")]
    column, descending = listing.sorting(query.sort)
    values = tuple(_plain(getattr(query, one.name)) for one in active)
    group, within = await _group(request, listing, query)
    asked = _Asked(listing, tuple(args), tuple(active), values, column, descending, group, within)
    if query.format == "csv":
        return await _exported(request, asked)
    return {"table": await _page(request, asked, query), **(extra or {})}


async def _group(request: web.Request, listing: Listing, query: ListQuery) -> tuple[Filter | None, CustomerSet | None]:
    """The filter by groups where somebody keeps them, and the customers that the list stays within.

    A group that is not there (deleted, or its plugin is off) holds nobody: a kept view never shows more than it did.
    """
    if not listing.customer:
        return None, None
    groups = cast(CustomerGroups | None, request[SITE].registry.services.get(CustomerGroups))
    if groups is None or not request[ACTOR].may(groups.permission):
        return None, NOBODY if query.group is not None else None
    names, within = await groups.chosen(request[SITE], request[CONN], query.group)
    if not names and within is None:
        return None, None
    return replace(_GROUP, options=tuple((str(number), Text(name)) for number, name in names)), within


def list_name(request: web.Request) -> str:
    """What lists are remembered by: the address with its parameters by name (``/admin/accounts/{account}``)."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else request.path


async def _elsewhere(request: web.Request, remembered: Remembered, query: ListQuery) -> str:
    """The address to go on to: the person's own where nothing is asked for, or the same after it was remembered.

    A list of one thing (an account's entries) keeps no filters: they would follow to the next account.
    """
    name, of_one_thing = list_name(request), bool(request.match_info)
    if query.own:
        state = urlencode([(key, value) for key, value in request.query.items() if key not in _PASSING and value])
        user = request[ACTOR].user
        if user is not None and not of_one_thing and state != remembered.memory(name).query:
            await leave(request[CONN], user, name, state if len(state) <= MOST_REMEMBERED else "")
        return f"{request.path}?{state}" if state else request.path
    if request.query_string or of_one_thing:
        return ""
    memory = remembered.memory(name)
    opened = next((view for view in remembered.views_of(name) if view.id == memory.opens), None)
    if memory.query:
        return f"{request.path}?{memory.query}"
    return f"{request.path}?{_of_view(opened)}" if opened else ""


def _of_view(view: SavedView) -> str:
    return f"{view.query}&view={view.id}".removeprefix("&")


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case Money():
            return value.grosze
        case _:
            return value


async def _page(request: web.Request, asked: _Asked, query: ListQuery) -> Table:
    cursor, direction = _read_cursor(query)
    rows = await asked.fetch(request[CONN], direction, cursor, query.size + 1)
    more = len(rows) > query.size
    rows = rows[-query.size :] if direction == "before" else rows[: query.size]
    menu = _menu(request, asked, query)
    shown = _shown_columns(asked.listing, menu)
    address = _Address(request.path, _state(asked, query), is_own=menu is not None)
    earlier = more if direction == "before" else direction == "after"
    later = more if direction != "before" else True
    in_parts = earlier or later
    sums = await asked.sums(request[CONN]) if query.sums and in_parts and asked.listing.summed else None
    carried = "1" if query.sums else ""
    return Table(
        path=request.path,
        columns=tuple(_head(column, asked, address) for column in shown),
        rows=tuple(_row(request, asked.listing, shown, row) for row in rows),
        filters=tuple(_filter_view(one, query) for one in asked.filters),
        chips=tuple(_chip(one, query, address) for one in asked.chosen),
        kept=tuple((name, value) for name, value in address.state.items() if name in ("sort", "size")),
        totals=_sums(shown, sums) if sums else _totals(shown, rows, whole=not in_parts),
        csv_url=address.to(format="csv"),
        previous_url=address.to(before=_cursor(asked, rows[0]), sums=carried) if rows and earlier else "",
        next_url=address.to(after=_cursor(asked, rows[-1]), sums=carried) if rows and later else "",
        clear_url=f"{request.path}?own=1" if menu else request.path,
        sums_url=address.to(sums="1") if in_parts and asked.listing.summed and not query.sums else "",
        menu=menu,
    )


def _menu(request: web.Request, asked: _Asked, query: ListQuery) -> Menu | None:
    remembered = request.get(REMEMBERED)
    if remembered is None:
        return None
    name = list_name(request)
    memory, views = remembered.memory(name), remembered.views_of(name)
    current = next((view for view in views if view.id == query.view), None)
    hidden = current.hidden if current else memory.hidden
    state = urlencode(_state(asked, query))
    return Menu(
        name=name,
        query=state,
        back=f"{request.path}?{state}" if state else request.path,
        columns=tuple((one.name, one.label, one.name not in hidden) for one in asked.listing.columns),
        is_dense=memory.is_dense,
        views=tuple(
            ViewLink(view, f"{request.path}?{_of_view(view)}", view is current, view.id == memory.opens)
            for view in views
        ),
    )


def _shown_columns(listing: Listing, menu: Menu | None) -> tuple[Column, ...]:
    """The columns that the person did not hide; the first one always stays."""
    if menu is None:
        return listing.columns
    shown = {name for name, _label, is_shown in menu.columns if is_shown}
    return tuple(column for place, column in enumerate(listing.columns) if place == 0 or column.name in shown)


@dataclass(frozen=True, slots=True)
class _Address:
    """The list's address with what stays in it while paging."""

    path: str
    state: Mapping[str, str]
    is_own: bool = False

    def own(self, **changes: str) -> str:
        """The same for what the person chooses here, so that it is remembered."""
        return self.to(**changes, own="1") if self.is_own else self.to(**changes)

    def to(self, **changes: str) -> str:
        """The address with ``changes``; an empty one removes its part."""
        merged = {name: value for name, value in {**self.state, **changes}.items() if value}
        return f"{self.path}?{urlencode(merged)}" if merged else self.path


def _state(asked: _Asked, query: ListQuery) -> dict[str, str]:
    state = {one.name: shown_value(getattr(query, one.name)) for one in asked.chosen}
    if query.sort:
        state["sort"] = query.sort
    if query.size != DEFAULT_SIZE:
        state["size"] = str(query.size)
    return state


def _head(column: Column, asked: _Asked, address: _Address) -> Head:
    if column.sort is None:
        return Head(column.name, column.label, column.kind, "", "")
    current = column.name == asked.column.name
    wish = column.name if not current or asked.descending else f"-{column.name}"
    way = ("descending" if asked.descending else "ascending") if current else ""
    return Head(column.name, column.label, column.kind, address.own(sort=wish), way)


def _row(request: web.Request, listing: Listing, shown: Sequence[Column], row: Row) -> RowView:
    return RowView(
        key=str(row[listing.key]),
        name=shown_value(row[listing.title_of or listing.columns[0].name]),
        cells=tuple(_cell(request, column, row) for column in shown),
        selectable=listing.selectable is None or listing.selectable(row),
    )


def _cell(request: web.Request, column: Column, row: Row) -> Cell:
    value = column.show(row) if column.show else row[column.name]
    target = ""
    if column.link and value is not None:
        parts = {name: row[source] for name, source in column.by.items()}
        target = url(request, column.link, **parts)
    return Cell(column.label, column.kind, _shown(request, column, value), target)


def _shown(request: web.Request, column: Column, value: object) -> object:
    if column.kind == "badge":
        return column.badges.get(str(value)) or Badge(Text(str(value)))
    match value:
        case None:
            return ""
        case int() | Money() if column.kind == "money":
            return money(value)
        case datetime():
            local = value.astimezone(request[SITE].clock.zone)
            return Markup('<time datetime="{}">{:%d.%m.%Y, %H:%M}</time>').format(value.isoformat(), local)
        case date():
            return short_date(value)
        case Decimal():
            return shown_value(value)
        case _:
            return value


def _filter_view(one: Filter, query: ListQuery) -> FilterView:
    kind = "select" if one.options else one.kind
    return FilterView(one.name, one.label, kind, shown_value(getattr(query, one.name)), one.options)


def _chip(one: Filter, query: ListQuery, address: _Address) -> Chip:
    value = shown_value(getattr(query, one.name))
    return Chip(one.label, dict(one.options).get(value, value), address.own(**{one.name: ""}))


def _totals(columns: Sequence[Column], rows: Sequence[Row], *, whole: bool) -> tuple[Cell, ...]:
    if not rows or not any(column.total for column in columns):
        return ()
    label = _("Total") if whole else _("Total on this page")
    return _foot(columns, [_total(column, rows) for column in columns], label)


def _sums(columns: Sequence[Column], sums: Row) -> tuple[Cell, ...]:
    """The foot over every page; what the database cannot add up stays empty."""
    label = ngettext("Total of {count} row", "Total of all {count} rows", sums["counted"])
    return _foot(columns, [_sum(column, sums) for column in columns], label)


def _sum(column: Column, sums: Row) -> Cell:
    if not column.total or column.show is not None:
        return Cell(column.label, column.kind, "")
    total = sums[column.name] or 0
    return Cell(column.label, column.kind, money(int(total)) if column.kind == "money" else shown_value(total))


def _foot(columns: Sequence[Column], cells: list[Cell], label: Text) -> tuple[Cell, ...]:
    first = next((place for place, column in enumerate(columns) if not column.total), None)
    if first is not None:
        cells[first] = Cell(label, "text", label)
    return tuple(cells)


def _total(column: Column, rows: Sequence[Row]) -> Cell:
    if not column.total:
        return Cell(column.label, column.kind, "")
    values = (column.show(row) if column.show else row[column.name] for row in rows)
    total: Any = sum(
        value.grosze if isinstance(value, Money) else cast(Any, value) for value in values if value is not None
    )
    return Cell(column.label, column.kind, money(total) if column.kind == "money" else shown_value(total))


# --- cursors --------------------------------------------------------------------------------------------------------

_NUMERIC: Final = re.compile(r"-?[0-9]{1,60}(\.[0-9]{1,60})?")


def _numeric(text: str) -> Decimal:
    """A number written out: an exponent of a few letters would be gigabytes of digits on the way to the database."""
    if not _NUMERIC.fullmatch(text):
        raise ValueError(text)
    return Decimal(text)


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "s": str,
    "i": int,
    "n": _numeric,
    "d": date.fromisoformat,
    "t": datetime.fromisoformat,
    "b": lambda text: text == "True",
}


def _cursor(asked: _Asked, row: Row) -> str:
    """Where a row stands in the order: the value it is sorted by and its key, with their types."""
    parts = [_tagged(row["sorted_by"]), _tagged(row[asked.listing.key])]
    return base64.urlsafe_b64encode(json.dumps(parts, ensure_ascii=False).encode()).decode().rstrip("=")


def _tagged(value: object) -> str:
    match value:
        case bool():
            return f"b{value}"
        case int():
            return f"i{value}"
        case Decimal():
            return f"n{value:f}"
        case datetime():
            return f"t{value.isoformat()}"
        case date():
            return f"d{value.isoformat()}"
        case _:
            return f"s{value}"


def _read_cursor(query: ListQuery) -> tuple[tuple[object, object] | None, Direction]:
    """The place to go on from; the first page when the address holds none, or one that is damaged."""
    text, direction = (query.after, "after") if query.after else (query.before, "before")
    try:
        parts: Any = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        value, key = (_READERS[part[0]](part[1:]) for part in parts)
    except (ValueError, ArithmeticError, KeyError, IndexError, TypeError, binascii.Error):
        return None, "first"
    return (value, key), direction


# --- the file -------------------------------------------------------------------------------------------------------


async def _exported(request: web.Request, asked: _Asked) -> web.StreamResponse:
    """Everything that matches, a thousand rows at a time, as CSV that a Polish spreadsheet opens by a double click."""
    listing, conn = asked.listing, request[CONN]
    rows = await asked.fetch(conn, "first", None, EXPORT_BATCH)
    filename = f"{listing.name.replace('.', '-')}-{request[SITE].clock.today().isoformat()}.csv"
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    await response.write((BOM + _csv([[str(column.label) for column in listing.columns]])).encode())
    while rows:
        await response.write(_csv(_cells(listing, rows)).encode())
        if len(rows) < EXPORT_BATCH:
            break
        rows = await asked.fetch(conn, "after", (rows[-1]["sorted_by"], rows[-1][listing.key]), EXPORT_BATCH)
    await response.write_eof()
    return response


def _cells(listing: Listing, rows: Sequence[Row]) -> Iterator[list[str]]:
    for row in rows:
        yield [_csv_value(column, column.show(row) if column.show else row[column.name]) for column in listing.columns]


def _csv_value(column: Column, value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(_("Yes") if value else _("No"))
        case Money() | int() if column.kind == "money":
            return (value if isinstance(value, Money) else Money(value)).plain.replace(".", ",")
        case int() | Decimal():
            return str(value).replace(".", ",")
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case date():
            return value.isoformat()
        case _ if str(value) in column.badges:
            return str(column.badges[str(value)].label)
        case _:
            return defused(str(value))


def _csv(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=";", lineterminator="\r\n").writerows(rows)
    return buffer.getvalue()

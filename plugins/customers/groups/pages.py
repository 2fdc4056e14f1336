"""The pages of groups: the list, a new one, one group with its members and their sums, its change and its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, LiteralString

from pydantic import BaseModel, Field, StringConstraints

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    CustomerField,
    Filter,
    Line,
    Listing,
    ListQuery,
    Money,
    Refused,
    Request,
    Route,
    Row,
    Text,
    _,
    audit,
    listed,
    not_found,
    redirect,
)
from plugins.customers.groups import store
from plugins.customers.groups.model import Over, Rule, Short, Street, members_select, worded
from plugins.customers.groups.store import Group
from plugins.customers.pages import KINDS, STATUSES, address, sorted_name

VIEW, CHANGE = "customers.view", "customers.change"
MOST_FIELDS: Final = 10
EMAILS: Final = (("yes", _("with an e-mail address")), ("no", _("without an e-mail address")))
PARTS: Final[Mapping[str, Text]] = {
    "street": _("Street"),
    "building": _("Building"),
    "city": _("City"),
    "kind": _("Kind"),
    "status": _("State"),
    "email": _("E-mail"),
}

# --- the list -------------------------------------------------------------------------------------------------------


def _members(row: Row) -> object:
    return _("by a rule") if row["members"] is None else row["members"]


GROUPS: Final = Listing(
    "customers.groups",
    "select g.id, g.name, g.note, case when g.rule is null then 'hand' else 'rule' end as made,"
    " case when g.rule is null then"
    " (select count(*) from customers.group_member m where m.in_group = g.id) end as members"
    " from customers.customer_group g",
    (
        Column("name", _("Group"), sort='kernel.pl_sort(name) collate "C"', link="customers.group", by={"group": "id"}),
        Column("note", _("Note")),
        Column("made", _("Kind"), "badge", badges={"hand": Badge(_("put together")), "rule": Badge(_("by a rule"))}),
        Column("members", _("Members"), "number", show=_members),
    ),
    order="name",
    filters=(
        Filter("name", _("Name"), "kernel.pl_sort(name) like '%' || kernel.pl_sort({0}::text) || '%'"),
        Filter("made", _("Kind"), "made = {0}", options=(("hand", _("put together")), ("rule", _("by a rule")))),
    ),
    title_of="name",
)


class GroupsQuery(ListQuery):
    """The filters of the list of groups."""

    name: str = Field("", max_length=80)
    made: Literal["", "hand", "rule"] = ""


async def groups(request: Request, query: GroupsQuery) -> object:
    """Every group."""
    return await listed(request, GROUPS, query, extra={"may_change": request[ACTOR].may(CHANGE)})


# --- a new one, and its change --------------------------------------------------------------------------------------


class GroupForm(BaseModel):
    """A group as the office writes it. ``made`` by hand leaves the rule out; two amounts may be asked for."""

    name: Annotated[Line, StringConstraints(min_length=1, max_length=80)]
    note: Annotated[Line, StringConstraints(max_length=500)] = ""
    made: Literal["hand", "rule"] = "rule"
    street: Street = ""
    building: Short = ""
    city: Street = ""
    kind: Literal["", "person", "company"] = ""
    status: Literal["", "active", "closed", "deceased"] = ""
    email: Literal["", "yes", "no"] = ""
    field_a: str = Field("", max_length=80)
    over_a: Money | None = None
    field_b: str = Field("", max_length=80)
    over_b: Money | None = None


async def adding(request: Request) -> Mapping[str, Any]:
    """The form of a new group."""
    return _form(request, None)


async def add(request: Request, form: GroupForm) -> object:
    """Make a group."""
    conn, rule = request[CONN], _rule(request, form)
    if await store.name_taken(conn, form.name):
        raise Refused(_("Another group has this name"), field="name")
    group = await store.add(conn, form.name, form.note, rule)
    await audit(conn, "customers.group_added", subject=str(group), name=form.name)
    return redirect(request, "customers.group", group=group, flash=_("The group is made"))


async def changing(request: Request) -> Mapping[str, Any]:
    """A group in a form."""
    return _form(request, await found(request))


async def change(request: Request, form: GroupForm) -> object:
    """Write a group."""
    conn, group = request[CONN], await found(request)
    if await store.name_taken(conn, form.name, group.id):
        raise Refused(_("Another group has this name"), field="name")
    rule = _rule(request, form) if group.rule is not None else None
    await store.change(conn, group.id, form.name, form.note, rule)
    await audit(conn, "customers.group_changed", subject=str(group.id), name=form.name)
    return redirect(request, "customers.group", group=group.id, flash=_("The changes were saved"))


def _rule(request: Request, form: GroupForm) -> Rule | None:
    if form.made == "hand":
        return None
    over: list[Over] = []
    for place, field, amount in (("a", form.field_a, form.over_a), ("b", form.field_b, form.over_b)):
        if not field:
            continue
        if field not in request[SITE].registry.customer_fields:
            raise Refused(_("Choose from the list"), field=f"field_{place}")
        if amount is None:
            raise Refused(_("Enter the amount"), field=f"over_{place}")
        over.append(Over(field=field, grosze=amount.grosze))
    rule = Rule(
        street=form.street,
        building=form.building,
        city=form.city,
        kind=form.kind,
        status=form.status,
        email=form.email,
        over=tuple(over),
    )
    if not list(worded(rule, {})):
        raise Refused(_("Say at least one thing that the members have in common"), field="street")
    return rule


def _form(request: Request, group: Group | None) -> dict[str, Any]:
    rule = group.rule if group and group.rule else Rule(status="active")
    over = [*rule.over, None, None][:2]
    return {
        "group": group,
        "rule": rule,
        "over": [(one.field, Money(one.grosze)) if one else ("", "") for one in over],
        "kinds": KINDS,
        "statuses": tuple((name, badge.label) for name, badge in STATUSES.items()),
        "emails": EMAILS,
        "fields": tuple((name, field.label) for name, field in request[SITE].registry.customer_fields.items()),
    }


# --- one group ------------------------------------------------------------------------------------------------------


class MembersQuery(ListQuery):
    """The filters of a group's members: those of the register."""

    number: str = Field("", max_length=40)
    name: str = Field("", max_length=200)
    street: str = Field("", max_length=200)
    building: str = Field("", max_length=40)
    status: Literal["active", "closed", "deceased"] | None = None


_SORTING: Final[LiteralString] = 'customers.sorting(name, given_name, family_name) collate "C"'
_FILTERS: Final = (
    Filter("number", _("Number"), "customer_no = {0}"),
    Filter("name", _("Name begins with"), _SORTING + " like kernel.pl_sort({0}::text) || '%'"),
    Filter(
        "street", _("Street begins with"), "kernel.pl_sort(street) collate \"C\" like kernel.pl_sort({0}::text) || '%'"
    ),
    Filter("building", _("Building"), "lower(building) = lower({0}::text)"),
    Filter("status", _("State"), "status = {0}", options=tuple((key, one.label) for key, one in STATUSES.items())),
)
_FIELD_NAMES: Final = tuple(f"field_{place}" for place in range(MOST_FIELDS))


def members_of(request: Request, group: Group) -> tuple[Listing, tuple[object, ...]]:
    """The list of a group's members with every field of the plugins, and its arguments."""
    shown = _shown(request)
    known = request[SITE].registry.customer_fields
    select, args = members_select(group.id, group.rule, shown, request[SITE].clock.today(), known)
    link = {"customer": "id"}
    columns = (
        Column("customer_no", _("Number"), sort="customer_no", link="kernel.customer", by=link),
        Column("name", _("Name"), sort=_SORTING, link="kernel.customer", by=link, show=sorted_name),
        Column("street", _("Address"), show=address),
        *(Column(_FIELD_NAMES[place], field.label, "money", total=True) for place, field in enumerate(shown)),
        Column("status", _("State"), "badge", badges=STATUSES),
    )
    return Listing("customers.group", select, columns, order="name", filters=_FILTERS, title_of="name"), args


def _shown(request: Request) -> Sequence[CustomerField]:
    return tuple(request[SITE].registry.customer_fields.values())[:MOST_FIELDS]


async def group(request: Request, query: MembersQuery) -> object:
    """A group: what its members have in common, and who they are."""
    one = await found(request)
    listing, args = members_of(request, one)
    extra = {"group": one, "asks": _asks(request, one), "may_change": request[ACTOR].may(CHANGE)}
    return await listed(request, listing, query, args=args, extra=extra)


def _asks(request: Request, group: Group) -> list[tuple[Text, object]]:
    """The rule in words."""
    if group.rule is None:
        return []
    fields = request[SITE].registry.customer_fields
    words: dict[str, Text] = {
        **dict(KINDS),
        **{key: badge.label for key, badge in STATUSES.items()},
        **dict(EMAILS),
    }
    asked: list[tuple[Text, object]] = []
    for name, value in worded(group.rule, fields):
        if name in PARTS:
            asked.append((PARTS[name], words.get(str(value), value)))
        elif name in fields:
            asked.append((_("{field} over", field=fields[name].label), value))
        else:
            asked.append((_("{field} (switched off: nobody fits)", field=name), value))
    return asked


async def sums(request: Request) -> Mapping[str, Any]:
    """How many members a group has, and the sum of every amount over all of them."""
    one = await found(request)
    shown = _shown(request)
    known = request[SITE].registry.customer_fields
    select, args = members_select(one.id, one.rule, shown, request[SITE].clock.today(), known)
    parts: LiteralString = "select count(*) as members"
    for name in _NAMES[: len(shown)]:
        parts += ", coalesce(sum(" + name + "), 0)::bigint as " + name
    statement: LiteralString = parts + " from (" + select + ") member"
    row = await request[CONN].fetchrow(statement, *args)
    assert row is not None  # noqa: S101  a sum has one row
    amounts = [(field.label, Money(row[name])) for field, name in zip(shown, _NAMES, strict=False)]
    return {"group": one, "members": row["members"], "amounts": amounts}


_NAMES: Final[tuple[LiteralString, ...]] = (
    "field_0", "field_1", "field_2", "field_3", "field_4", "field_5", "field_6", "field_7", "field_8", "field_9",
)  # fmt: skip


async def removing(request: Request) -> Mapping[str, Any]:
    """The question before a group is deleted."""
    return {"group": await found(request)}


async def remove(request: Request) -> object:
    """Delete a group; its members stay customers."""
    conn, one = request[CONN], await found(request)
    await store.remove(conn, one.id)
    await audit(conn, "customers.group_removed", subject=str(one.id), name=one.name)
    return redirect(request, "customers.groups", flash=_("The group was deleted"))


async def found(request: Request) -> Group:
    """The group of the address. Raises 404."""
    one = await store.group(request[CONN], int(request.match_info["group"]))
    if one is None:
        raise not_found()
    return one


_LIST, _ONE = "/admin/groups", r"/admin/groups/{group:\d+}"

ROUTES: Final = (
    Route("GET", _LIST, groups, VIEW, "customers.groups", query=GroupsQuery, template="customers/groups/list.html"),
    Route("GET", f"{_LIST}/add", adding, CHANGE, "customers.group_adding", template="customers/groups/form.html"),
    Route("POST", f"{_LIST}/add", add, CHANGE, "customers.group_add", body=GroupForm),
    Route("GET", _ONE, group, VIEW, "customers.group", query=MembersQuery, template="customers/groups/group.html"),
    Route("GET", f"{_ONE}/sums", sums, VIEW, "customers.group_sums", template="customers/groups/sums.html"),
    Route("GET", f"{_ONE}/change", changing, CHANGE, "customers.group_changing", template="customers/groups/form.html"),
    Route("POST", f"{_ONE}/change", change, CHANGE, "customers.group_change", body=GroupForm),
    Route(
        "GET", f"{_ONE}/delete", removing, CHANGE, "customers.group_removing", template="customers/groups/delete.html"
    ),
    Route("POST", f"{_ONE}/delete", remove, CHANGE, "customers.group_remove"),
)

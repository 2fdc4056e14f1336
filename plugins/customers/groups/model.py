"""What a group is: put together by hand, or described by a rule; the rule's parts and what they mean in SQL. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, Literal, LiteralString

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from kernel import CustomerField, Line, Money

MOST_NUMBERS: Final = 5000
"""Customers' numbers that are taken from one pasted text."""
PLACES: Final[tuple[LiteralString, ...]] = ("$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12")

Short = Annotated[Line, StringConstraints(max_length=40)]
Street = Annotated[Line, StringConstraints(max_length=200)]


class Over(BaseModel):
    """Customers with more of a field than ``grosze``: ``payments.arrears`` over 50000."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str
    grosze: int = Field(ge=0, le=10**12)


class Rule(BaseModel):
    """What all members have in common; an empty part asks nothing. Street and building are compared as they are spoken:
    without regard to capitals, Polish letters as they stand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    street: Street = ""
    building: Short = ""
    city: Street = ""
    kind: Literal["", "person", "company"] = ""
    status: Literal["", "active", "closed", "deceased"] = "active"
    email: Literal["", "yes", "no"] = ""
    over: tuple[Over, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of a rule: SQL in which ``{0}`` stands for ``value`` and ``{1}`` for today."""

    where: LiteralString
    value: object


_TEXTS: Final[tuple[tuple[str, LiteralString], ...]] = (
    ("street", "kernel.pl_sort(c.street) collate \"C\" like '%' || kernel.pl_sort({0}::text) || '%'"),
    ("building", "lower(c.building) = lower({0}::text)"),
    ("city", 'kernel.pl_sort(c.city) collate "C" = kernel.pl_sort({0}::text)'),
    ("kind", "c.kind = {0}"),
    ("status", "c.status = {0}"),
)


def conditions(rule: Rule, fields: Mapping[str, CustomerField]) -> Iterator[Condition]:
    """What the rule asks. A field of a plugin that is off matches nobody: a group never grows by switching one off."""
    for name, where in _TEXTS:
        if value := getattr(rule, name):
            yield Condition(where, value)
    if rule.email:
        yield Condition("(c.email <> '') = {0}", rule.email == "yes")
    for one in rule.over:
        field = fields.get(one.field)
        if field is None:
            yield Condition("false and {0}::text is null", one.field)
        else:
            over: LiteralString = "c.id in (" + field.over + ")"
            yield Condition(over, one.grosze)


_COLUMNS: Final[LiteralString] = (
    "select c.id, c.customer_no, c.name, c.given_name, c.family_name, c.street, c.building, c.flat, c.city, c.email,"
    " c.kind, c.status"
)


def members_select(
    group: int,
    rule: Rule | None,
    shown: Sequence[CustomerField],
    on: date,
    known: Mapping[str, CustomerField],
    places: Sequence[LiteralString] = PLACES,
) -> tuple[LiteralString, tuple[object, ...]]:
    """The select of a group's members, each with the values of the fields in ``shown`` (``field_0`` …), and its
    arguments, which stand at ``places``."""
    columns: LiteralString = _COLUMNS
    day: LiteralString = places[0] + "::date"
    for place, field in enumerate(shown):
        columns += ", " + field.value.format("c.id", day) + " as field_" + _DIGITS[place]
    args: list[object] = [on]
    if rule is None:
        source: LiteralString = (
            " from customers.group_member m join kernel.customer c on c.id = m.customer where m.in_group = "
        )
        return columns + source + places[1] + " and " + day + " is not null", (on, group)
    where: list[LiteralString] = [day + " is not null"]
    for condition in conditions(rule, known):
        where.append(condition.where.format(places[len(args)], day))
        args.append(condition.value)
    return columns + " from kernel.customer c where " + " and ".join(where), tuple(args)


_DIGITS: Final[tuple[LiteralString, ...]] = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def numbers(text: str) -> list[str]:
    """Customers' numbers in a pasted text, one a line or parted by commas, semicolons or spaces; each once."""
    return list(dict.fromkeys(part for part in re.split(r"[\s,;]+", text) if part))[:MOST_NUMBERS]


def worded(rule: Rule, fields: Mapping[str, CustomerField]) -> Iterator[tuple[str, object]]:
    """The parts of a rule that ask something, as (name of the part or field, value)."""
    for name in ("street", "building", "city", "kind", "status", "email"):
        if value := getattr(rule, name):
            yield name, value
    for one in rule.over:
        yield one.field, Money(one.grosze)

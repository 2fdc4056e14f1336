"""Changes of the register's rows: what was, what is, and what two clerks typed at the same time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kernel import Row, Text, _

FIELDS: Final[Mapping[str, Text]] = {
    "customer_no": _("Number"),
    "kind": _("Kind"),
    "name": _("Name in letters"),
    "given_name": _("Given name"),
    "family_name": _("Family name"),
    "consumer": _("Consumer"),
    "nip": _("NIP"),
    "email": _("E-mail"),
    "phone": _("Telephone"),
    "street": _("Street"),
    "building": _("Building"),
    "flat": _("Flat"),
    "postal_code": _("Postal code"),
    "city": _("Town"),
    "country": _("Country"),
    "status": _("State"),
    "code": _("Code"),
    "unit": _("Unit"),
}
"""Every field whose changes are kept, with its label."""
_WORDS: Final[Mapping[str, Mapping[object, Text]]] = {
    "kind": {"person": _("a person"), "company": _("a company")},
    "status": {"active": _("active"), "closed": _("closed"), "deceased": _("deceased")},
    "consumer": {True: _("Yes"), False: _("No"), "true": _("Yes"), "false": _("No")},
}
_PROGRAMS: Final[Mapping[str, Text]] = {"import": _("an import"), "demo": _("the demonstration"), "": _("the product")}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a change: from what to what."""

    field: str
    before: object
    after: object

    @property
    def label(self) -> Text | str:
        return FIELDS.get(self.field, self.field)

    @property
    def was(self) -> object:
        return shown(self.field, self.before)

    @property
    def became(self) -> object:
        return shown(self.field, self.after)


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody changed at one moment. ``author`` is a person's name, or what wrote it; ``way`` says how."""

    id: int
    happened_at: datetime
    author: str | Text
    way: Text
    differences: tuple[Difference, ...]


def shown(field: str, value: object) -> object:
    """A value as people read it: words for codes, a dash for nothing."""
    known = _WORDS.get(field, {}).get(value)
    return known or ("—" if value in (None, "") else value)


def change_of(row: Row) -> Change:
    """A change from its row; fields in the order of the form."""
    fields: Mapping[str, Any] = row["fields"]
    order = [*(name for name in FIELDS if name in fields), *(name for name in sorted(fields) if name not in FIELDS)]
    return Change(
        row["id"],
        row["happened_at"],
        row["author"] or _PROGRAMS.get(row["actor"]) or str(row["actor"]),
        _way(row["actor"], row["role"]),
        tuple(Difference(name, *fields[name]) for name in order),
    )


def _way(actor: str, role: str) -> Text:
    if actor == "import":
        return _("by an import")
    if ":token" in role:
        return _("by a program")
    return _("by the customer") if role == "customer" else _("in a form")


def undone(now: Mapping[str, object], changes: Iterable[Change]) -> dict[str, object]:
    """The values as they were before ``changes`` (all that came after that moment, in any order)."""
    then = dict(now)
    for change in sorted(changes, key=lambda one: one.id, reverse=True):
        then |= {one.field: one.before for one in change.differences}
    return then


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field that somebody changed while another clerk was typing. ``was`` is what the form began with.

    ``take`` proposes the register's value: the clerk typed nothing there, or the same.
    """

    field: str
    was: object
    now: object
    typed: object
    author: str | Text
    happened_at: datetime
    take: bool

    @property
    def label(self) -> Text | str:
        return FIELDS.get(self.field, self.field)

    @property
    def differs(self) -> bool:
        return self.typed != self.now

    @property
    def now_shown(self) -> object:
        return shown(self.field, self.now)

    @property
    def typed_shown(self) -> object:
        return shown(self.field, self.typed)


def conflicts(changes: Iterable[Change], typed: Mapping[str, object], taken: Iterable[str] | None) -> list[Conflict]:
    """What came meanwhile beside what was typed, by field, for the fields that a form has.

    ``taken`` are the fields whose newer value the clerk chose already; None: nothing was chosen yet.
    """
    first: dict[str, object] = {}
    last: dict[str, tuple[object, Change]] = {}
    for change in sorted(changes, key=lambda one: one.id):
        for one in change.differences:
            if one.field in typed:
                first.setdefault(one.field, one.before)
                last[one.field] = (one.after, change)
    chosen = None if taken is None else set(taken)
    return [
        Conflict(
            field,
            first[field],
            now,
            typed[field],
            change.author,
            change.happened_at,
            typed[field] in (first[field], now) if chosen is None else field in chosen,
        )
        for field, (now, change) in last.items()
        if first[field] != now
    ]

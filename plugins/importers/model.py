"""From a row of a source to a valid row of a record, or to the reasons why it is wrong. Pure."""

from __future__ import annotations

import json
import re
import time
import types
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from kernel import Money, RawRow, Record, Text, _, parse_date
from plugins.importers.profile import Entity, Rule

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NO_DAY: Final = re.compile(r"0{8}|[0\s]*([-./][0\s]*){2}([ T]00:00(:00)?)?")
"""How sources write that there is no day: ``0000-00-00``, ``00.00.0000``, only its separators."""
_SHOWN: Final = 80
"""How much of a wrong value is kept to be shown."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a value is wrong: a message id with its values, the field's name, and the value as far as it can be shown."""

    name: str
    message: str
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    value: str = ""

    @property
    def text(self) -> Text:
        """The reason in the reader's language."""
        return Text(self.message, self.values)


@dataclass(frozen=True, slots=True)
class GoodRow:
    """A valid row as it is staged: its data as canonical JSON, their hash, and the record's amount in grosze."""

    number: int
    external_id: str
    hash: bytes
    data: str
    grosze: int


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is set aside; ``external_id`` is None where even the key cannot be read."""

    number: int
    external_id: str | None
    reasons: tuple[Reason, ...]


class _WrongValue(Exception):
    def __init__(self, message: str, value: object, **values: str) -> None:
        super().__init__(message)
        self.message, self.value, self.values = message, value, values


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads the rows of one entity. ``columns`` leads from the names in the profile to those of the source."""

    entity: Entity
    record: Record
    columns: Mapping[str, str]

    def read(self, number: int, raw: RawRow) -> GoodRow | BadRow:
        """One row. ``number`` counts the source's rows from 1."""
        try:
            key = _text(_cell(raw, self.columns[self.entity.key]))
        except _WrongValue as wrong:
            return BadRow(number, None, (_reason(self.entity.key, wrong),))
        if key is None:
            return BadRow(number, None, (Reason(self.entity.key, "The key is empty"),))
        values: dict[str, object] = {}
        reasons: list[Reason] = []
        for name, rule in self.entity.fields.items():
            try:
                value = self._value(rule, raw, _kind(self.record.model, name))
            except _WrongValue as wrong:
                reasons.append(_reason(name, wrong))
            else:
                if value is not None:
                    values[name] = value
                elif not self.record.model.model_fields[name].is_required():
                    # Empty in the source is said, not silent: it empties what was imported before.
                    values[name] = self.record.model.model_fields[name].get_default(call_default_factory=True)
        wrong_fields = {reason.name for reason in reasons}
        try:
            valid = self.record.model.model_validate(values)
        except ValidationError as error:
            reasons.extend(found for found in _reasons(error, values) if found.name not in wrong_fields)
            return BadRow(number, key, tuple(reasons))
        if reasons:
            return BadRow(number, key, tuple(reasons))
        data = canonical(valid)
        amount = getattr(valid, self.record.money) if self.record.money else None
        grosze = amount.grosze if isinstance(amount, Money) else 0
        return GoodRow(number, key, blake2b(data.encode(), digest_size=16).digest(), data, grosze)

    def _value(self, rule: Rule, raw: RawRow, kind: type) -> object:
        if rule.value is not None:
            value: object = rule.value
        elif rule.join:
            parts = [_text(_cell(raw, self.columns[name])) for name in rule.join]
            value = rule.separator.join(part for part in parts if part)
        else:
            value = _cell(raw, self.columns[rule.columns[0]])
        return _fitted(value, rule, kind)


def _cell(raw: RawRow, column: str) -> object:
    if column not in raw:
        raise _WrongValue("The row does not have as many values as there are columns", "")
    return raw[column]


def canonical(row: BaseModel) -> str:
    """The fields that were given, as JSON that is the same for the same content."""
    return _JSON.encode(row.model_dump(mode="json", exclude_unset=True))


_JSON: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@cache
def _kind(model: type[BaseModel], name: str) -> type:
    """What the field holds: Money, date, str, or object for everything else; ``None`` beside it does not count."""
    annotation: Any = model.model_fields[name].annotation
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next((part for part in get_args(annotation) if part is not type(None)), None)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation if annotation in (Money, date, str) else object


def _fitted(value: object, rule: Rule, kind: type) -> object:
    """The value as its field wants it; None for nothing. Raises _WrongValue."""
    if isinstance(value, str):
        value = _clean(value, trim=rule.trim)
        value = rule.map.get(value, value)
    if value is None or value == "":
        return None
    if rule.prefix:
        return f"{rule.prefix}{_text(value)}"
    if rule.date is not None or rule.days or kind is date:
        return None if isinstance(value, str) and _NO_DAY.fullmatch(value) else _day(value, rule)
    if kind is Money:
        return _amount(value, rule)
    return _text(value) if kind is str and not isinstance(value, str) else value


def _clean(value: str, *, trim: bool = True) -> str:
    if _CONTROL.search(value):
        raise _WrongValue("The text contains a control character that cannot be kept", value)
    return value.strip() if trim else value


def _text(value: object) -> str | None:
    """A value as text: numbers as people write them (49, not 49.0). Raises _WrongValue for bytes and the like."""
    match value:
        case None:
            return None
        case str():
            return _clean(value) or None
        case bool():
            return "1" if value else "0"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
        case Decimal():
            return f"{value:f}"
        case date():
            return value.isoformat()
        case bytes():
            raise _WrongValue("The text is not in the encoding that was expected", value)
        case _:
            raise _WrongValue("The value is not a text", value)


def _day(value: object, rule: Rule) -> date:
    try:
        if rule.date is not None and isinstance(value, str):
            found = date(*time.strptime(value, rule.date)[:3])
        else:
            found = parse_date(value)
        found += timedelta(days=rule.days)
        return found if 1900 < found.year < 2199 else parse_date(found.isoformat())
    except PydanticCustomError as error:
        raise _WrongValue(error.message_template, value) from error
    except (ValueError, OverflowError) as error:
        raise _WrongValue("The date is not written as {form}", value, form=rule.date or "") from error


def _amount(value: object, rule: Rule) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value.replace(rule.thousands, "") if rule.thousands and isinstance(value, str) else value
    try:
        return Money.exact(value)
    except PydanticCustomError as error:
        raise _WrongValue(error.message_template, value) from error


def _reason(name: str, wrong: _WrongValue) -> Reason:
    return Reason(name, wrong.message, wrong.values, _shown(wrong.value))


def _shown(value: object) -> str:
    """A wrong value so that it can be stored and read: control characters become visible."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return _CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])) if found[0] != "\x7f" else "\u2421", text)[:_SHOWN]


_MESSAGES: Final = {
    "missing": "There is no value",
    "string_too_short": "The text is too short: at least {min_length} characters",
    "string_too_long": "The text is too long: at most {max_length} characters",
    "literal_error": "Write one of: {expected}",
    "enum": "Write one of: {expected}",
    "int_parsing": "This is not a whole number",
    "int_type": "This is not a whole number",
    "bool_parsing": "Write 1 or 0",
}
"""Sentences for what pydantic itself refuses; custom errors of record models bring their own."""


def _reasons(error: ValidationError, values: Mapping[str, object]) -> list[Reason]:
    found: list[Reason] = []
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        context = {key: str(value) for key, value in item.get("ctx", {}).items()}
        message = _MESSAGES.get(item["type"])
        if message is None:
            known = item["type"] in _STANDARD
            message, context = ("This value is not right", {}) if known else (item["msg"], {})
        found.append(Reason(name, message, context, _shown(values.get(name, ""))))
    return found


_STANDARD: Final = frozenset(
    (
        "string_type",
        "date_type",
        "date_parsing",
        "value_error",
        "assertion_error",
        "string_pattern_mismatch",
        "model_type",
    )
)


# --- what a run found ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EntityReport:
    """What changed in one entity since the run that was last applied. Sums are grosze.

    ``fields`` counts the changed rows by field. ``total`` are the source's rows, good and wrong. ``errors`` counts what
    is wrong by field and message; ``owners`` are the profile's rules for corrected fields, where it has any.
    """

    record: str
    total: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    missing: int = 0
    wrong: int = 0
    sums: Mapping[str, int] = field(default_factory=dict[str, int])
    fields: Mapping[str, int] = field(default_factory=dict[str, int])
    errors: Sequence[Mapping[str, Any]] = ()
    owners: Mapping[str, str] = field(default_factory=dict[str, str])
    examples: tuple[BadRow, ...] = ()

    @property
    def differs(self) -> bool:
        return bool(self.new or self.changed or self.missing)

    @property
    def known(self) -> int:
        """How many rows were applied before."""
        return self.changed + self.same + self.missing

    def as_json(self) -> dict[str, Any]:
        """The counts and sums as the command line prints them and a run keeps them."""
        kept = asdict(self)
        del kept["examples"]
        return kept

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> EntityReport:
        """Back from ``as_json``."""
        return cls(**kept)


KEPT_OF_A_KIND: Final = 100
"""So many wrong rows of one kind are kept to be shown; the others are counted."""
_KINDS: Final = 200


@dataclass(slots=True)
class Wrong:
    """Counts wrong rows by kind, so that a million of them fills neither memory nor database."""

    rows: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    values: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict[tuple[str, str], Mapping[str, str]])
    """Of the first row of each kind: what its message names."""

    def add(self, row: BadRow) -> bool:
        """Count a row; whether it is worth keeping."""
        is_kept = False
        self.rows += 1
        for reason in row.reasons:
            kind = (reason.name, reason.message)
            if kind not in self.counts and len(self.counts) >= _KINDS:
                kind = ("", "Something else is wrong")
            self.counts[kind] += 1
            self.values.setdefault(kind, reason.values)
            is_kept = is_kept or self.counts[kind] <= KEPT_OF_A_KIND
        return is_kept

    def as_json(self) -> list[dict[str, Any]]:
        """What is wrong, the most frequent first."""
        return [
            {"field": name, "message": text, "values": self.values.get((name, text), {}), "count": count}
            for (name, text), count in self.counts.most_common()
        ]


def hopeless(record: str, read: int, wrong: int, give_up_after: int) -> Text | None:
    """Why reading an entity on is no use: too many rows are wrong, and more of them than are right."""
    if wrong <= give_up_after or 2 * wrong <= read:
        return None
    return _(
        "{record}: almost everything is wrong, {wrong} of the first {read} rows. Reading was stopped there and nothing "
        "was imported. Is it the right file or table, and does each column become what it should?",
        record=record,
        wrong=wrong,
        read=read,
    )


def exceeded(report: EntityReport, max_bad: float, max_missing: float) -> Text | None:
    """Why a run must stop: too large a share of wrong rows or of missing ones; None when all is within the limits."""
    if report.wrong * 100 > max_bad * report.total:
        return _(
            "{record}: {wrong} of {total} rows are wrong, more than the allowed {limit} %",
            record=report.record,
            wrong=report.wrong,
            total=report.total,
            limit=f"{max_bad:g}",
        )
    if report.missing * 100 > max_missing * report.known:
        return _(
            "{record}: {missing} of {known} rows are missing, more than the allowed {limit} %",
            record=report.record,
            missing=report.missing,
            known=report.known,
            limit=f"{max_missing:g}",
        )
    return None


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Sequence[tuple[str, object, object]]:
    """The fields of a changed row that differ: name, before, after."""
    return [
        (name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]

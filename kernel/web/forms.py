"""From a pydantic model to the fields of a form: what an organisation's settings are edited with."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from kernel.i18n import Text, _, short_date
from kernel.money import Money

_YES_NO: Final = (("true", _("Yes")), ("false", _("No")))


@dataclass(frozen=True, slots=True)
class FieldView:
    """A field generated from a model. ``kind``: text email url number money date choice select area secret."""

    name: str
    label: Text
    hint: Text | None
    kind: str
    required: bool
    value: str = ""
    options: tuple[tuple[str, Text], ...] = ()
    maxlength: int | None = None

    @property
    def type(self) -> str:
        """The ``type`` of an ``<input>``."""
        return {"secret": "password", "email": "email", "url": "url"}.get(self.kind, "text")


def fields_of(model: type[BaseModel], values: BaseModel | None = None) -> list[FieldView]:
    """A field for each of the model's, with the values of ``values`` or the defaults.

    A field's ``title`` is its label and ``description`` its hint: message ids of the model's package. In
    ``json_schema_extra``: ``multiline`` makes a text area, ``input`` an ``email`` or ``url``, ``options`` labels the
    values of an enumeration.
    """
    return [_field_view(name, field, values) for name, field in model.model_fields.items()]


def _field_view(name: str, field: FieldInfo, values: BaseModel | None) -> FieldView:
    extra: Mapping[str, Any] = {} if callable(field.json_schema_extra) else cast(Any, field.json_schema_extra) or {}
    annotation = _plain_type(field)
    kind = _kind(annotation, extra)
    current: object = getattr(values, name) if values is not None else field.get_default(call_default_factory=True)
    return FieldView(
        name=name,
        label=Text(field.title or name.replace("_", " ").capitalize()),
        hint=Text(field.description) if field.description else None,
        kind=kind,
        required=not (_takes_none(field) or _may_be_empty(field)),
        value="" if kind == "secret" or current is PydanticUndefined else shown_value(current),
        options=_YES_NO if kind == "choice" else _options(annotation, extra) if kind == "select" else (),
        maxlength=next((part.max_length for part in field.metadata if getattr(part, "max_length", None)), None),
    )


_KINDS: Final[Mapping[Any, str]] = {
    bool: "choice",
    int: "number",
    Decimal: "number",
    float: "number",
    Money: "money",
    date: "date",
    SecretStr: "secret",
}


def _kind(annotation: Any, extra: Mapping[str, Any]) -> str:
    if extra.get("multiline"):
        return "area"
    if extra.get("input"):
        return extra["input"]
    if get_origin(annotation) is Literal or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        return "select"
    return _KINDS.get(annotation, "text")


def _options(annotation: Any, extra: Mapping[str, Any]) -> tuple[tuple[str, Text], ...]:
    values = get_args(annotation) if get_origin(annotation) is Literal else [member.value for member in annotation]
    labels: Mapping[str, str] = extra.get("options", {})
    return tuple((str(value), Text(labels.get(str(value), str(value)))) for value in values)


def shown_value(value: object) -> str:
    """A value as a person would type it into its field: ``1 234,56``, ``24.11.2026``, ``12,5``, ``true``."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Money():
            return value.figure
        case date():
            return short_date(value)
        case Decimal() | float():
            return str(value).replace(".", ",")
        case Enum():
            return str(value.value)
        case list() | tuple() | set() | frozenset():
            return ", ".join(str(item) for item in cast("list[object]", value))
        case _:
            return str(value)


def _plain_type(field: FieldInfo) -> Any:
    """The annotation without «or None»."""
    annotation: Any = field.annotation
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        annotation = inner[0] if len(inner) == 1 else annotation
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _takes_none(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)


def _may_be_empty(field: FieldInfo) -> bool:
    shortest = [part.min_length for part in field.metadata if getattr(part, "min_length", None)]
    return _plain_type(field) is str and not field.is_required() and not shortest

"""A profile as text, made from what was chosen in a form. Pure."""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def name_of(title: str) -> str:
    """A profile's name from its title: «System księgowy» → ``system_ksiegowy``."""
    plain = unicodedata.normalize("NFKD", title.replace("ł", "l").replace("Ł", "L")).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:40]
    return name if name[:1].isalpha() else f"p_{name}"[:40].rstrip("_")


def with_entity(text: str, record: str, entity: Mapping[str, Any]) -> str:
    """The profile's text with this entity in the place of the record's former one; remarks in it are lost."""
    profile = tomllib.loads(text)
    entities: list[Any] = profile.get("entity", [])
    others = [one for one in entities if one.get("record") != record]
    place = next((number for number, one in enumerate(entities) if one.get("record") == record), len(entities))
    profile["entity"] = [*others[:place], entity, *others[place:]]
    return written(profile)


def entity_of(text: str, record: str) -> Mapping[str, Any]:
    """The entity that a profile has for a record; empty without one."""
    try:
        entities: list[Any] = tomllib.loads(text).get("entity", [])
    except tomllib.TOMLDecodeError:
        return {}
    nothing: dict[str, Any] = {}
    return next((one for one in entities if one.get("record") == record), nothing)


def written(profile: Mapping[str, Any]) -> str:
    """A profile as TOML."""
    return "\n".join(_lines(profile)).strip() + "\n"


def _lines(profile: Mapping[str, Any]) -> Iterator[str]:
    for name in ("profile", "source"):
        yield f"[{name}]"
        yield from _pairs(profile.get(name, {}))
        yield ""
    for entity in profile.get("entity", []):
        yield "[[entity]]"
        yield from _pairs({name: value for name, value in entity.items() if name != "fields"})
        yield ""
        yield "[entity.fields]"
        yield from _pairs(entity.get("fields", {}))
        yield ""


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        yield f"{_key(name)} = {_value(value)}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        table = cast("Mapping[str, object]", value)
        return "{ " + ", ".join(f"{_key(name)} = {_value(part)}" for name, part in table.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(part) for part in cast("Sequence[object]", value)) + "]"
    return str(value)

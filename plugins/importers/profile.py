"""The profile of an import: a TOML file that says what to read, and what each column becomes.

A profile is checked before anything is read: an unknown key, record, field or column is refused with its line and the
nearest right name.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from kernel import Record, Source, SourceError, Text, _

SOURCE_BASE: Final = "base"
"""The key of the validation context under which a source's settings find the profile's directory."""
SOURCE_PLACE: Final = "place"
OWN_VARIABLES: Final = "IMPORT_"
"""How the names of variables begin that hold passwords for profiles made in the console."""


class ProfileError(Exception):
    """A profile cannot be used; ``text`` says where and why, in the reader's language."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.message)
        self.text = text

    def __str__(self) -> str:
        return str(self.text)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """What a field of the record is made of: a column, several columns joined, or a constant.

    ``date`` is the form of dates in the source in strptime's words; ``days`` moves a date. ``thousands`` is the
    separator of groups in amounts (``.`` of ``1.234,56``). ``map`` replaces whole texts, ``prefix`` goes before one.
    Texts lose spaces at both ends unless ``trim`` is false. ``owner`` decides when people corrected the field: the
    ``source`` wins whenever its row changes, ``newest`` lets a correction stand until the source's own value changes,
    ``local`` lets it stand for good.
    """

    column: str | None = None
    join: tuple[str, ...] = ()
    separator: str = " "
    value: str | bool | int | None = None
    date: str | None = None
    days: int = Field(default=0, ge=-3650, le=3650)
    thousands: Literal[".", ",", "'", " "] | None = None
    map: dict[str, str] = Field(default_factory=dict[str, str])
    prefix: str = ""
    trim: bool = True
    owner: Literal["source", "newest", "local"] = "newest"

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if [self.column is not None, bool(self.join), self.value is not None].count(True) != 1:
            raise ValueError("origin")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the source that the rule names."""
        return self.join or ((self.column,) if self.column is not None else ())


def _rule_of_name(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


class Entity(_Strict):
    """One kind of rows: where they are, which record they become, and the column that identifies them."""

    record: str
    table: str | None = None
    query: str | None = None
    key: str
    fields: dict[str, Annotated[Rule, BeforeValidator(_rule_of_name)]] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("place")
        return self


class Head(_Strict):
    """The profile's name and limits. A run stops when more than ``max_bad`` percent of an entity's rows are wrong, or
    more than ``max_missing`` percent of those applied before are gone: half a file must not undo a whole one. Reading
    itself ends as soon as more than ``give_up_after`` rows of an entity are wrong and fewer are right.

    ``every`` runs it by itself; ``approve`` lets such a run apply what it found without waiting for a person.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    title: str = Field(min_length=1, max_length=120)
    max_bad: float = Field(default=5, ge=0, le=100)
    max_missing: float = Field(default=10, ge=0, le=100)
    give_up_after: int = Field(default=10_000, ge=1, le=100_000_000)
    every: Literal["hour", "day", "week"] | None = None
    approve: bool = False


class _File(_Strict):
    profile: Head
    source: dict[str, Any]
    entity: tuple[Entity, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Planned:
    """An entity with its record; ``number`` is its place in the profile, from 0."""

    number: int
    entity: Entity
    record: Record


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that fits the installed sources and records. Entities are in the order in which they are applied."""

    head: Head
    source: Source
    settings: BaseModel
    entities: tuple[Planned, ...]
    lines: Lines
    is_uploaded: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """Finds the line of a profile on which a key stands."""

    text: str

    def of(self, path: Sequence[str | int]) -> int:
        """The line of ``("entity", 1, "fields", "phone")``: the nearest place that can be found, at least line 1."""
        lines = self.text.splitlines()
        names = [str(part) for part in path if isinstance(part, str)]
        index = next((part for part in path if isinstance(part, int)), None)
        first = self._table(lines, path[0], index) if path else 0
        for name in reversed(names[1:]):
            for number in range(first, len(lines)):
                bare = lines[number].strip()
                if number > first and bare.startswith("[") and not bare.startswith(f"[{names[0]}."):
                    break
                if re.match(rf"[\"']?{re.escape(name)}[\"']?\s*=", bare) or bare == f"[{names[0]}.{name}]":
                    return number + 1
        return first + 1

    @staticmethod
    def _table(lines: Sequence[str], name: str | int, index: int | None) -> int:
        heads = [
            number for number, line in enumerate(lines) if re.match(rf"\[\[?{re.escape(str(name))}\]", line.strip())
        ]
        if heads:
            return heads[min(index or 0, len(heads) - 1)]
        return next((number for number, line in enumerate(lines) if line.strip().startswith(f"{name} ")), 0)


def nearest(name: str, known: Iterable[str]) -> str:
    """The names most like ``name`` (case and underscores do not count), or the first few, for a message."""
    by_fold = {fold(other): other for other in known}
    close = get_close_matches(fold(name), by_fold, 3, 0.5)
    return ", ".join(by_fold[found] for found in close) or ", ".join(list(by_fold.values())[:12])


def fold(name: str) -> str:
    """A name as it is compared: ``CustomerId`` and ``customer_id`` are one."""
    return name.replace("_", "").replace(" ", "").casefold()


def match_name(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that ``name`` means: the same, or the only one that differs by case and underscores."""
    known = list(known)
    if name in known:
        return name
    alike = [other for other in known if fold(other) == fold(name)]
    return alike[0] if len(alike) == 1 else None


def read_profile(path: Path, sources: Mapping[str, Source], records: Mapping[str, Record]) -> Profile:
    """Read and check a profile. Raises ProfileError for a missing file, wrong TOML, and anything it does not know."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ProfileError(_("The profile {path} is not written in UTF-8.", path=path)) from None
    except OSError as error:
        raise ProfileError(
            _("The profile {path} cannot be read: {reason}", path=path, reason=error.strerror)
        ) from error
    return parse_profile(text, path.name, Place(path.resolve().parent), sources, records)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of a profile lie.

    ``confined``: nothing outside ``base`` may be named (and without a base, no file at all), and only variables made
    for imports. ``upload`` is the file of this run: it takes the place of ``path``.
    """

    base: Path | None
    confined: bool = False
    upload: Path | None = None


def parse_profile(
    text: str, path: str, place: Place, sources: Mapping[str, Source], records: Mapping[str, Record]
) -> Profile:
    """Check the text of a profile; ``path`` is how messages name it. Raises ProfileError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(_("The profile {path} is not valid TOML: {reason}", path=path, reason=error)) from error
    lines = Lines(text)
    try:
        file = _File.model_validate(raw)
    except ValidationError as error:
        raise _refusal(error, lines) from error
    source, settings = source_of(file.source, place, sources, lines)
    is_uploaded = place.upload is not None
    return Profile(file.profile, source, settings, _entities(file, records, lines), lines, is_uploaded)


def source_of(
    table: Mapping[str, Any], place: Place, sources: Mapping[str, Source], lines: Lines
) -> tuple[Source, BaseModel]:
    """The source that a profile's ``[source]`` names, and its settings. Raises ProfileError."""
    kind = table.get("kind")
    source = sources.get(kind) if isinstance(kind, str) else None
    if source is None:
        raise ProfileError(
            _(
                "Line {line}: no plugin reads the source kind «{kind}». There are: {known}.",
                line=lines.of(("source", "kind")),
                kind=kind or "",
                known=", ".join(sorted(sources)),
            )
        )
    rest = {name: value for name, value in table.items() if name != "kind"}
    if place.upload is not None and reads_file(source):
        rest["path"] = str(place.upload)
    context = {SOURCE_BASE: place.base, SOURCE_PLACE: place}
    if place.confined and not str(rest.get("password_env", OWN_VARIABLES)).startswith(OWN_VARIABLES):
        raise ProfileError(
            _(
                "Line {line}: a profile made in the console may only use variables whose names begin with {prefix}.",
                line=lines.of(("source", "password_env")),
                prefix=OWN_VARIABLES,
            )
        )
    try:
        return source, source.settings.model_validate(rest, context=context)
    except ValidationError as error:
        raise _refusal(error, lines, ("source",), source.settings) from error


def _entities(file: _File, records: Mapping[str, Record], lines: Lines) -> tuple[Planned, ...]:
    known: dict[str, Planned] = {}
    for number, entity in enumerate(file.entity):
        line = lines.of(("entity", number, "record"))
        record = records.get(entity.record)
        if record is None:
            raise ProfileError(
                _(
                    "Line {line}: no plugin offers the record «{record}». There are: {known}.",
                    line=line,
                    record=entity.record,
                    known=", ".join(sorted(records)),
                )
            )
        if entity.record in known:
            raise ProfileError(_("Line {line}: the record «{record}» is named twice.", line=line, record=entity.record))
        _check_fields(entity, record, number, lines)
        known[entity.record] = Planned(number, entity, record)
    return tuple(_in_order(known))


def _check_fields(entity: Entity, record: Record, number: int, lines: Lines) -> None:
    fields = record.model.model_fields
    for name in entity.fields:
        if name not in fields:
            raise ProfileError(
                _(
                    "Line {line}: the record «{record}» has no field «{field}». Nearest: {nearest}.",
                    line=lines.of(("entity", number, "fields", name)),
                    record=record.name,
                    field=name,
                    nearest=nearest(name, fields),
                )
            )
    for name, field in fields.items():
        if field.is_required() and name not in entity.fields:
            raise ProfileError(
                _(
                    "Line {line}: the record «{record}» needs the field «{field}».",
                    line=lines.of(("entity", number, "record")),
                    record=record.name,
                    field=name,
                )
            )


def _in_order(known: Mapping[str, Planned]) -> list[Planned]:
    """The entities so that each comes after those its record names; the order of the profile otherwise."""
    ordered: dict[str, Planned] = {}

    def place(name: str) -> None:
        if name in known and name not in ordered:
            for earlier in known[name].record.after:
                place(earlier)
            ordered[name] = known[name]

    for name in known:
        place(name)
    return list(ordered.values())


def _refusal(
    error: ValidationError, lines: Lines, prefix: tuple[str, ...] = (), model: type[BaseModel] = _File
) -> ProfileError:
    """The first thing that is wrong with a profile, as a sentence with its line."""
    found = error.errors(include_url=False)
    # A misspelt key is both unknown and missing: the first says more.
    first = next((item for item in found if item["type"] == "extra_forbidden"), found[0])
    path = (*prefix, *first["loc"])
    line, name = lines.of(path), ".".join(str(part) for part in path if isinstance(part, str))
    match first["type"]:
        case "extra_forbidden":
            known = nearest(str(path[-1]), _known_keys(model, first["loc"][:-1]))
            return ProfileError(
                _("Line {line}: unknown key «{key}». Nearest: {nearest}.", line=line, key=path[-1], nearest=known)
            )
        case "missing":
            return ProfileError(_("Line {line}: the key «{key}» is missing.", line=line, key=name))
        case "value_error" if str(first.get("ctx", {}).get("error")) == "origin":
            return ProfileError(
                _("Line {line}: «{key}» needs exactly one of column, join and value.", line=line, key=name)
            )
        case "value_error" if str(first.get("ctx", {}).get("error")) == "place":
            return ProfileError(_("Line {line}: an entity needs either a table or a query.", line=line))
        case _:
            return ProfileError(
                _("Line {line}: «{key}» is not right: {reason}", line=line, key=name, reason=Text(first["msg"]))
            )


def _known_keys(model: type[BaseModel], path: Sequence[str | int]) -> Iterable[str]:
    if path[:1] == ("profile",):
        return Head.model_fields
    if path[:1] == ("entity",):
        return Rule.model_fields if "fields" in path else Entity.model_fields
    return model.model_fields


def source_path(value: object, info: ValidationInfo) -> Path:
    """A path as a profile writes it: relative to the profile's own directory."""
    context = cast("Mapping[str, Any]", info.context or {})
    place = cast("Place", context.get(SOURCE_PLACE) or Place(context.get(SOURCE_BASE, Path())))
    if not place.confined:
        return (place.base or Path()) / Path(str(value)).expanduser()
    if place.upload is not None and str(value) == str(place.upload):
        return place.upload
    found = place.base and (place.base / str(value)).resolve()
    if place.base is None or found is None or not found.is_relative_to(place.base.resolve()):
        raise PydanticCustomError("path_outside", "The file does not lie in the operator’s directory of imports")
    return found


def reads_file(source: Source) -> bool:
    """Whether the source reads a file, so that one may be uploaded."""
    return "path" in source.settings.model_fields


SourcePath = Annotated[Path, BeforeValidator(source_path)]
"""A file named by a profile's ``[source]``: relative to the profile, ``~`` is the user's home."""


class WithPassword(BaseModel):
    """The password of a source: best in a variable of the environment or in a file of its own, not in the profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    password: SecretStr | None = None
    password_env: str | None = None
    password_file: SourcePath | None = None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if [self.password, self.password_env, self.password_file].count(None) < 2:
            raise PydanticCustomError("password", "Give one of password, password_env and password_file")
        return self

    def secret(self) -> str:
        """The password; empty when none is given. Raises SourceError when its variable or file is not there."""
        if self.password_env is not None:
            if self.password_env not in os.environ:
                raise SourceError(str(_("There is no variable {name} with the password.", name=self.password_env)))
            return os.environ[self.password_env]
        if self.password_file is not None:
            try:
                return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise SourceError(
                    str(_("The file {path} with the password cannot be read.", path=self.password_file))
                ) from error
        return self.password.get_secret_value() if self.password else ""

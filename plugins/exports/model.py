"""What an export is asked for: its format, and what narrows it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, LiteralString

from kernel import GROUP_MARK, CustomerSet, Export, ExportFilter, Refused, Text, _, one_line, parse_date

COMPLETE: Final = "complete"
"""Stands in the place of an export's name for the archive of the whole organisation."""

FORMATS: Final[Mapping[str, Text]] = {
    "xlsx": _("Excel (XLSX)"),
    "csv-excel": _("CSV for Excel: semicolons, decimal commas"),
    "csv": _("CSV for programs: commas, decimal points"),
    "json": _("JSON for programs"),
}
ENDINGS: Final[Mapping[str, str]] = {
    "xlsx": "xlsx",
    "csv-excel": "csv",
    "csv": "csv",
    "json": "json",
    "archive": "zip",
}
TYPES: Final[Mapping[str, str]] = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv-excel": "text/csv; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "archive": "application/zip",
}
STATES: Final[Mapping[str, tuple[Text, str]]] = {
    "waiting": (_("Waits to be made"), "notice"),
    "running": (_("Is being made"), "notice"),
    "ready": (_("Ready"), "credit"),
    "failed": (_("Could not be made"), "due"),
    "cancelled": (_("Cancelled"), ""),
}
LONGEST: Final = 200
GROUP: Final = "group"
"""The name of the filter by a group of customers."""
PLACES: Final[tuple[LiteralString, ...]] = (
    "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16", "$17", "$18",
    "$19", "$20", "$21", "$22", "$23", "$24",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """One export as it is asked for: ``chosen`` holds text or a day for each filter, None where nothing was chosen;
    ``group`` is a group of customers that it is narrowed to: its id, name and members."""

    export: Export
    format: str
    chosen: tuple[str | date | None, ...]
    group: tuple[int, str, CustomerSet] | None = None

    @property
    def select(self) -> LiteralString:
        """The statement, narrowed to the group."""
        if self.group is None:
            return self.export.select
        places = PLACES[len(self.chosen) :]
        within: LiteralString = "and " + self.export.customer + " in (" + self.group[2].select(places) + ")"
        return self.export.select.replace(GROUP_MARK, within)

    @property
    def arguments(self) -> tuple[object, ...]:
        """What the statement takes."""
        return self.chosen if self.group is None else (*self.chosen, *self.group[2].values)

    @property
    def filters(self) -> dict[str, str]:
        """What was chosen, to be kept: filter → text, a day as YYYY-MM-DD."""
        pairs = zip(self.export.filters, self.chosen, strict=True)
        kept = {
            one.name: value.isoformat() if isinstance(value, date) else value
            for one, value in pairs
            if value is not None
        }
        return kept if self.group is None else {**kept, GROUP: str(self.group[0])}

    def filename(self, today: date) -> str:
        """``payments-entries-2026-11-24.csv``"""
        return f"{self.export.name.replace('.', '-').replace('_', '-')}-{today.isoformat()}.{ENDINGS[self.format]}"


def ordered(export: Export, format_: str, typed: Mapping[str, str], today: date) -> Order:
    """The order that a form or a command line makes. Raises Refused at the filter that is wrong."""
    errors: dict[str, Text] = {}
    chosen: list[str | date | None] = []
    for one in export.filters:
        try:
            chosen.append(_chosen(one, typed.get(one.name, "").strip(), today))
        except ValueError as error:
            said = error.args[0] if error.args else None
            errors[one.name] = said if isinstance(said, Text) else Text(getattr(error, "message_template", str(error)))
    if errors:
        raise Refused(errors=errors)
    return Order(export, format_, tuple(chosen))


def _chosen(one: ExportFilter, text: str, today: date) -> str | date | None:
    if one.kind == "day":
        return parse_date(text) if text else today
    if one.kind == "date":
        return parse_date(text) if text else None
    if one.options:
        if text and text not in dict(one.options):
            raise ValueError(_("Choose one of the listed values"))
        return text or one.default or None
    if len(text) > LONGEST:
        raise ValueError(_("Write at most {max_length} characters", max_length=LONGEST))
    return one_line(text) or None


def words_of(export: Export, filters: Mapping[str, str]) -> Iterator[tuple[Text, str | Text]]:
    """What an export was narrowed by, for people: label and value."""
    for one in export.filters:
        if one.name in filters:
            value = filters[one.name]
            shown = f"{date.fromisoformat(value):%d.%m.%Y}" if one.kind in ("date", "day") else value
            yield one.label, dict(one.options).get(value, shown)


def by_word(exports: Mapping[str, Export], word: str) -> Export | None:
    """The export that a command line means: ``payments.open_items``, or ``open-items`` when only one is called so."""
    if word in exports:
        return exports[word]
    named = [one for one in exports.values() if word_of(one) == word]
    return named[0] if len(named) == 1 else None


def word_of(export: Export) -> str:
    """``open-items`` of ``payments.open_items``."""
    return export.name.partition(".")[2].replace("_", "-")


def parts(content: bytes, size: int) -> Sequence[bytes]:
    """Content cut into pieces of a size; the last one may be shorter."""
    return [content[start : start + size] for start in range(0, len(content), size)]

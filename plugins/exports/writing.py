"""Rows into files: CSV, XLSX and JSON, a batch at a time, so that memory stays the same however many there are.

Cells are made column by column, which is faster than row by row. Amounts are exact: grosze become a decimal text, or,
in XLSX, the number nearest to it, which shows the same two decimals. A text that a spreadsheet could run as formula is
defused: an apostrophe before it in CSV (``kernel.undefused`` takes it away), Excel's own mark in XLSX, where the cell
keeps the text as it is. JSON holds texts as they are.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol, cast
from zoneinfo import ZoneInfo

from kernel import ExportColumn, Row, _, defused, is_formula

BOM: Final = b"\xef\xbb\xbf"
"""Tells a spreadsheet that the file is UTF-8."""
PIECE: Final = 1 << 20
LAST_ROW: Final = 1_048_576
"""Rows of one sheet of a spreadsheet; what is more goes on in the next sheet."""

Cells = Callable[[Sequence[Any]], Sequence[str]]
"""The values of a column → the text of its cells."""


class Writer(Protocol):
    """One file in the making: ``head``, then ``rows`` as often as needed, then ``end``; each gives bytes of the file.

    All of it is work for a thread. ``close`` is called in any case.
    """

    def head(self) -> bytes: ...
    def rows(self, batch: Sequence[Row]) -> bytes: ...
    def end(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


def writer_of(format_: str, name: str, columns: Sequence[ExportColumn], zone: ZoneInfo) -> Writer:
    """The writer of a format; ``name`` is what the sheet is called, ``zone`` where the organisation's clock stands."""
    names = [one.name for one in columns]
    match format_:
        case "csv-excel":
            return _Csv(names, [str(one.label) for one in columns], [_spoken(one, zone) for one in columns], ";", BOM)
        case "csv":
            return _Csv(names, names, [_PLAIN_CELLS[one.kind] for one in columns], ",", b"")
        case "json":
            return _Json(columns)
        case "xlsx":
            return _Xlsx(name, columns, zone)
        case _:
            raise ValueError(format_)


def plain(grosze: int) -> str:
    """``-12.05``: an amount for programs, exact."""
    digits = str(grosze).zfill(4 if grosze < 0 else 3)
    return f"{digits[:-2]}.{digits[-2:]}"


# --- CSV ------------------------------------------------------------------------------------------------------------

_TO_QUOTE: Final = re.compile(r'[,;"\r\n]')


class _Csv:
    """RFC 4180; for Excel with semicolons, decimal commas, words and a mark of UTF-8."""

    def __init__(
        self, names: Sequence[str], titles: Sequence[str], cells: Sequence[Cells], delimiter: str, mark: bytes
    ) -> None:
        self._names, self._titles, self._cells = names, titles, cells
        self._delimiter, self._mark = delimiter, mark

    def head(self) -> bytes:
        return self._mark + self._lines([[_quoted(title) for title in self._titles]])

    def rows(self, batch: Sequence[Row]) -> bytes:
        if not batch:
            return b""
        found = dict(zip(batch[0].keys(), zip(*(row.values() for row in batch), strict=True), strict=True))
        columns = [made(found[name]) for name, made in zip(self._names, self._cells, strict=True)]
        return self._lines(zip(*columns, strict=True))

    def _lines(self, rows: Iterable[Sequence[str]]) -> bytes:
        return ("\r\n".join(map(self._delimiter.join, rows)) + "\r\n").encode()

    def end(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None: ...


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text


def _each(values: Sequence[Any], made: Callable[[Any], str]) -> list[str]:
    """``made`` of every value, computed once for those that are the same: in a batch most are."""
    known = {value: "" if value is None else made(value) for value in set(values)}
    return [known[value] for value in values]


def _texts(values: Sequence[Any]) -> list[str]:
    return _each(values, lambda value: _quoted(defused(value)))


def _amounts(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else plain(value) for value in values]


def _numbers(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def _days(values: Sequence[Any]) -> list[str]:
    return _each(values, date.isoformat)


def _instants(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else value.isoformat() for value in values]


def _truths(values: Sequence[Any]) -> list[str]:
    return ["" if value is None else "true" if value else "false" for value in values]


_PLAIN_CELLS: Final[Mapping[str, Cells]] = {
    "text": _texts,
    "money": _amounts,
    "number": _numbers,
    "date": _days,
    "moment": _instants,
    "yes_no": _truths,
}


def _spoken(column: ExportColumn, zone: ZoneInfo) -> Cells:
    """How people read a column: decimal commas, words in place of codes, the organisation's time."""

    def with_commas(values: Sequence[Any]) -> list[str]:
        return [text.replace(".", ",") for text in _PLAIN_CELLS[column.kind](values)]

    def instants(values: Sequence[Any]) -> list[str]:
        return ["" if value is None else f"{value.astimezone(zone):%Y-%m-%d %H:%M:%S}" for value in values]

    known = _words(column)

    def worded(values: Sequence[Any]) -> list[str]:
        return _each(values, lambda value: _quoted(known.get(value) or defused(str(value))))

    match column.kind:
        case "text" | "yes_no":
            return worded
        case "money" | "number":
            return with_commas
        case "moment":
            return instants
        case _:
            return _days


def _words(column: ExportColumn) -> Mapping[Any, str]:
    """Code → word, in the language of the moment."""
    words = {True: _("Yes"), False: _("No")} if column.kind == "yes_no" else column.words
    return {code: str(word) for code, word in words.items()}


# --- JSON -----------------------------------------------------------------------------------------------------------


class _Json:
    """One array of objects. An amount is there twice: exact text in złoty, and grosze as a whole number."""

    def __init__(self, columns: Sequence[ExportColumn]) -> None:
        self._columns = columns
        self._began = False

    def head(self) -> bytes:
        return b"["

    def rows(self, batch: Sequence[Row]) -> bytes:
        lines = ",\n".join(json.dumps(self._object(row), ensure_ascii=False) for row in batch)
        if not lines:
            return b""
        before, self._began = ",\n" if self._began else "\n", True
        return f"{before}{lines}".encode()

    def _object(self, row: Row) -> dict[str, object]:
        made: dict[str, object] = {}
        for one in self._columns:
            value = row[one.name]
            if one.kind == "money":
                made[one.name] = None if value is None else plain(value)
                made[f"{one.name}_grosze"] = value
            elif isinstance(value, Decimal):
                made[one.name] = str(value)
            elif one.kind in ("date", "moment") and value is not None:
                made[one.name] = value.isoformat()
            else:
                made[one.name] = value
        return made

    def end(self) -> Iterator[bytes]:
        yield b"\n]\n"

    def close(self) -> None: ...


# --- XLSX -----------------------------------------------------------------------------------------------------------

_WIDTHS: Final[Mapping[str, int]] = {"money": 14, "date": 12, "moment": 18, "number": 10, "yes_no": 8, "text": 22}


class _Xlsx:
    """A workbook in a temporary file, row after row; more rows than a sheet holds go on in the next one."""

    def __init__(self, name: str, columns: Sequence[ExportColumn], zone: ZoneInfo) -> None:
        from xlsxwriter import Workbook

        self._place = tempfile.TemporaryDirectory(prefix="ebok-export-")
        self._file = Path(self._place.name) / "export.xlsx"
        self._book = Workbook(self._file, {"constant_memory": True, "tmpdir": self._place.name})
        self._name, self._columns, self._zone = name, columns, zone
        made = cast("Callable[[Mapping[str, object]], Any]", self._book.add_format)  # pyright: ignore[reportUnknownMemberType]
        self._heading = made({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._quoted = made({"quote_prefix": True})
        self._shapes = {
            "money": made({"num_format": "#,##0.00"}),
            "date": made({"num_format": "dd\\.mm\\.yyyy"}),
            "moment": made({"num_format": "dd\\.mm\\.yyyy hh:mm"}),
        }
        self._words = [_words(one) for one in columns]
        self._sheets = 0
        self._row = LAST_ROW

    def _next_sheet(self) -> None:
        self._sheets += 1
        name = "".join("-" if letter in "[]:*?/\\'" else letter for letter in self._name)[:25]
        self._sheet = self._book.add_worksheet(  # pyright: ignore[reportUnknownMemberType]
            name if self._sheets == 1 else f"{name} {self._sheets}"
        )
        for place, one in enumerate(self._columns):
            self._sheet.set_column(place, place, _WIDTHS[one.kind])
        for place, one in enumerate(self._columns):
            self._sheet.write_string(0, place, str(one.label), self._heading)
        self._sheet.freeze_panes(1, 0)
        self._row = 1

    def head(self) -> bytes:
        self._next_sheet()
        return b""

    def rows(self, batch: Sequence[Row]) -> bytes:
        for row in batch:
            if self._row == LAST_ROW:
                self._next_sheet()
            for place, one in enumerate(self._columns):
                value = row[one.name]
                if value is not None and value != "":
                    self._write(place, one, value)
            self._row += 1
        return b""

    def _write(self, place: int, one: ExportColumn, value: Any) -> None:
        sheet, row = self._sheet, self._row
        if one.kind == "money":
            sheet.write_number(row, place, value / 100, self._shapes["money"])
        elif one.kind == "number":
            sheet.write_number(row, place, value)
        elif one.kind == "date":
            sheet.write_datetime(row, place, datetime(value.year, value.month, value.day), self._shapes["date"])  # noqa: DTZ001
        elif one.kind == "moment":
            local = value.astimezone(self._zone).replace(tzinfo=None)
            sheet.write_datetime(row, place, local, self._shapes["moment"])
        else:
            text = self._words[place].get(value) or str(value)
            # In this mode the library takes what stands between these marks for markup of its own.
            text = f"'{text}" if text.startswith("<r>") and text.endswith("</r>") else text
            sheet.write_string(row, place, text, self._quoted if is_formula(text) else None)

    def end(self) -> Iterator[bytes]:
        if self._sheets == 1:
            self._sheet.autofilter(0, 0, max(self._row - 1, 1), len(self._columns) - 1)
        self._book.close()
        with self._file.open("rb") as made:
            while piece := made.read(PIECE):
                yield piece

    def close(self) -> None:
        self._place.cleanup()

"""Reading lists that people paste or upload: rows as copied from a spreadsheet, and what each of them says. Pure."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from kernel import Money, Text, Upload, _, one_line, parse_date, short_date
from plugins.payments.charging.model import LARGEST, Month
from plugins.payments.model import FIRST_YEAR, LAST_YEAR

MOST_LINES: Final = 50_000
WIDEST: Final = 40
"""Columns of a list that are looked at."""
LONGEST_CELL: Final = 500
MOST_UNPACKED: Final = 64 * 1024 * 1024
"""Bytes that a spreadsheet may unpack to."""
_ENCODINGS: Final = ("utf-8", "cp1250")
_ZIP: Final = b"PK\x03\x04"
_OLD_OFFICE: Final = b"\xd0\xcf\x11\xe0"


class ListError(Exception):
    """A list that cannot be read at all; ``message`` says why, for people."""

    def __init__(self, message: Text) -> None:
        super().__init__(message.message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Cells:
    """One line of a list: its number from 1 and its cells, without outer spaces."""

    number: int
    typed: tuple[str, ...]

    def cell(self, place: int | None) -> str:
        """A cell, or nothing where the line has none."""
        return self.typed[place] if place is not None and place < len(self.typed) else ""

    def day(self, place: int) -> date | None:
        """A cell as a date. Raises ValueError."""
        return parse_date(self.cell(place)) if self.cell(place) else None

    def has_number(self) -> bool:
        """Whether any cell begins with a digit, as no heading does."""
        return any(cell[:1].isdigit() for cell in self.typed)


async def text_of(text: str, file: Upload | None) -> str:
    """What was pasted, or the text of the uploaded file. Raises ListError."""
    if file is not None and file.content:
        return await asyncio.to_thread(_sheet_text if file.content.startswith(_ZIP) else decoded, file.content)
    if not text.strip():
        raise ListError(_("Paste the list, or choose a file."))
    return text


async def cells_of(text: str) -> list[Cells]:
    """The lines of a list. Raises ListError."""
    return await asyncio.to_thread(split, text)


def _sheet_text(content: bytes) -> str:
    """The first sheet of an Excel file (.xlsx) as a list parted by tabs. Raises ListError.

    What the file unpacks to is bounded before anything is read: a small file may stand for a very large one.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED:
                raise ListError(_("This spreadsheet is too large. Copy the rows that are needed and paste them here."))
            if packed.testzip() is not None:  # it unpacks to something else than it says
                raise zipfile.BadZipFile
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=True)
    except (zipfile.BadZipFile, zlib.error, CalamineError, IndexError, ValueError, NotImplementedError) as error:
        raise ListError(_("This file is damaged, or it is no spreadsheet.")) from error
    lines = ("\t".join(_cell_text(cell) for cell in row).rstrip("\t") for row in rows)
    return "\n".join(line for line in lines if line)


def _cell_text(cell: object) -> str:
    """A cell as somebody would have typed it: dates as 24.11.2026, numbers with a comma, whole ones without."""
    match cell:
        case bool():
            return ""
        case datetime():
            return short_date(cell.date())
        case date():
            return short_date(cell)
        case float() if cell.is_integer():
            return str(int(cell))
        case float():
            return f"{Decimal(str(cell)).normalize():f}".replace(".", ",")
        case _:
            return " ".join(str(cell).split())


def decoded(content: bytes) -> str:
    """A file as text: UTF-8, UTF-16 with its mark, or the Windows code page of Central Europe. Raises ListError."""
    if content.startswith(_OLD_OFFICE):
        raise ListError(
            _("This is a spreadsheet's own file. Save the sheet as CSV, or copy its rows and paste them here.")
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings: Sequence[str] = ("utf-16",)
    else:
        encodings = _ENCODINGS
    for encoding in encodings:
        try:
            text = content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise ListError(_("This file is no text. Save the sheet as CSV, or copy its rows and paste them here."))


def split(text: str) -> list[Cells]:
    """Lines and cells: parted by tabs, else by semicolons, else by commas; quoted cells may hold either.

    Blank lines are left out, but counted. Raises ListError.
    """
    text = text.removeprefix("\ufeff")
    delimiter = next((mark for mark in "\t;" if mark in text), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    lines: list[Cells] = []
    try:
        for row in reader:
            cells = tuple(" ".join(cell.split()) for cell in row[:WIDEST])
            if any(cells):
                lines.append(Cells(reader.line_num, tuple(cell[:LONGEST_CELL] for cell in cells)))
            if len(lines) > MOST_LINES:
                raise ListError(_("This list has more than {count} lines. Divide it.", count=MOST_LINES))
    except csv.Error as error:
        raise ListError(_("This list cannot be read: a cell is opened by a quote and never closed.")) from error
    return lines


# --- columns --------------------------------------------------------------------------------------------------------

COLUMNS: Final[Mapping[str, Text]] = {
    "number": _("customer or account no."),
    "amount": _("amount"),
    "due_on": _("due date"),
    "title": _("title"),
    "document_no": _("document"),
    "period": _("period"),
}
"""What a list may hold, in the order of a list without headings."""
_HEADINGS: Final[Mapping[str, Sequence[str]]] = {
    "number": ("klient", "nr klienta", "numer klienta", "numer", "nr", "konto", "nr konta", "numer konta", "kod",
        "kod lokatora", "nr platnika", "numer platnika", "platnik", "kartoteka", "customer", "customer no",
        "customer_no", "account", "account no", "account_no", "number"),
    "amount": ("kwota", "kwota zl", "kwota pln", "wartosc", "do zaplaty", "naleznosc", "saldo", "amount", "sum"),
    "due_on": ("termin", "termin platnosci", "data platnosci", "platne do", "due", "due date", "due_on"),
    "title": ("tytul", "opis", "nazwa", "tresc", "za co", "title", "description"),
    "document_no": ("dokument", "nr dokumentu", "numer dokumentu", "faktura", "nr faktury", "document", "document no",
        "document_no", "invoice"),
    "period": ("okres", "miesiac", "za okres", "period", "month"),
}  # fmt: skip
_PLAIN: Final = str.maketrans("ąćęłńóśźż", "acelnoszz")


def columns_of(lines: Sequence[Cells]) -> tuple[list[str], Sequence[Cells]]:
    """Which column is what, by place (empty: not read), and the lines without their heading.

    A first line that names at least the number and the amount is a heading; without one the order of ``COLUMNS`` holds.
    """
    known = {word: name for name, words in _HEADINGS.items() for word in words}
    named: list[str] = []
    for cell in lines[0].typed if lines else ():
        name = known.get(re.sub(r"[.:()\[\]]", "", cell).strip().casefold().translate(_PLAIN), "")
        named.append("" if name in named else name)
    if "number" in named and "amount" in named:
        return named, lines[1:]
    return list(COLUMNS), lines


# --- one line -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What one line says. ``is_credit``: an overpayment of an opening balance; otherwise it charges."""

    number: str
    amount: Money
    is_credit: bool
    due_on: date
    title: str
    document_no: str
    period: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a line cannot be taken: a message id, and the column it is about."""

    message: str
    column: str


def read_line(line: Cells, columns: Sequence[str], due_on: date | None, *, opening: bool) -> Said | Wrong:
    """What a line says. ``due_on`` is for lines without a date; an ``opening`` balance may be below zero."""
    typed = {name: line.cell(place) for place, name in enumerate(columns) if name}
    column = ""
    try:
        column = "number"
        number = one_line(typed.get("number", ""))
        if not number or len(number) > 80:
            raise ValueError(_("Write the number of a customer or an account").message)
        column = "amount"
        written = typed.get("amount", "")
        is_credit = opening and written[:1] in "-\u2212" and bool(written)
        amount = Money.parse(written[1:] if is_credit else written)
        if not amount:
            raise ValueError(_("The amount must be greater than zero").message)
        if amount.grosze > LARGEST:
            raise ValueError(_("This amount is too large").message)
        column = "due_on"
        day = parse_date(typed["due_on"]) if typed.get("due_on") else due_on
        if day is None:
            raise ValueError(_("Write a due date, here or above the list").message)
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise ValueError(_("The holidays of the year of this due date are not known. Check the date.").message)
        column = "title"
        title = _text(typed.get("title", ""), 200)
        column = "document_no"
        document_no = _text(typed.get("document_no", ""), 80)
        column = "period"
        period = _period(typed.get("period", ""))
    except ValueError as error:
        return Wrong(getattr(error, "message_template", str(error)), column)
    return Said(number, amount, is_credit, day, title, document_no, period)


def _text(value: str, longest: int) -> str:
    if len(value) > longest:
        raise ValueError(_("This text is too long").message)
    return one_line(value)


def _period(value: str) -> str:
    if re.fullmatch(r"[0-9]{4}", value) or not value:
        return value
    return Month.parse(value).period

"""Files say the same in every format, no cell is a formula, and what was defused can be had back."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from kernel import ExportColumn, Row, _, defused, is_formula, undefused
from kernel.i18n import speaking
from plugins.exports import writing
from plugins.exports.writing import BOM, writer_of

WARSAW = ZoneInfo("Europe/Warsaw")
COLUMNS = (
    ExportColumn("name", _("Name")),
    ExportColumn("side", _("Side"), words={"charge": _("Charge")}),
    ExportColumn("amount", _("Amount"), "money"),
    ExportColumn("share", _("Quantity"), "number"),
    ExportColumn("day", _("Day"), "date"),
    ExportColumn("at", _("Made"), "moment"),
    ExportColumn("is_late", _("Overdue"), "yes_no"),
)
NASTY = (
    "=1+1",
    "+48 22 1",
    "-2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "＝1",
    "'tis",
    "''",
    "'=1",
    "x=1",
    'ł;",\r\n',
)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Whatever catalogues other tests have loaded."""
    with speaking("en"):
        yield


def row(name: str = "Anna", amount: int | None = 123456, **facts: Any) -> Row:
    return {
        "name": name,
        "side": "charge",
        "amount": amount,
        "share": Decimal("12.500"),
        "day": date(2026, 11, 24),
        "at": datetime(2026, 11, 24, 12, 30, tzinfo=UTC),
        "is_late": True,
    } | facts


def file_of(format_: str, *batches: Sequence[Row], columns: Sequence[ExportColumn] = COLUMNS) -> bytes:
    with closing(writer_of(format_, "Wpłaty: [2026]", columns, WARSAW)) as writer:
        return b"".join([writer.head(), *(writer.rows(batch) for batch in batches), *writer.end()])


def sheets_of(content: bytes) -> list[list[list[Any]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return [book.get_sheet_by_index(place).to_python() for place in range(len(book.sheet_names))]


def test_csv_for_programs_is_rfc_4180() -> None:
    assert file_of("csv", [row('Żak "Ł", s.c.')], []).decode() == (
        "name,side,amount,share,day,at,is_late\r\n"
        '"Żak ""Ł"", s.c.",charge,1234.56,12.500,2026-11-24,2026-11-24T12:30:00+00:00,true\r\n'
    )


def test_csv_for_excel_is_what_a_polish_one_opens_by_a_double_click() -> None:
    content = file_of("csv-excel", [row()])
    assert content.startswith(BOM)
    lines = content.decode("utf-8-sig").split("\r\n")
    assert lines[1] == "Anna;Charge;1234,56;12,500;2026-11-24;2026-11-24 13:30:00;Yes"


def test_json_has_amounts_exactly_and_as_text() -> None:
    (one, two) = json.loads(file_of("json", [row("=1")], [row(amount=-5, at=None)]))
    assert one == {
        "name": "=1",
        "side": "charge",
        "amount": "1234.56",
        "amount_grosze": 123456,
        "share": "12.500",
        "day": "2026-11-24",
        "at": "2026-11-24T12:30:00+00:00",
        "is_late": True,
    }
    assert (two["amount"], two["amount_grosze"], two["at"]) == ("-0.05", -5, None)
    assert json.loads(file_of("json")) == []


def test_xlsx_has_types_and_a_heading_that_stays() -> None:
    content = file_of("xlsx", [row(), row(amount=None, day=None, at=None, is_late=None)])
    ((heading, first, second),) = sheets_of(content)
    noon = datetime(2026, 11, 24, 13, 30)  # noqa: DTZ001  a sheet knows no zones
    assert heading == ["Name", "Side", "Amount", "Quantity", "Day", "Made", "Overdue"]
    assert first == ["Anna", "Charge", 1234.56, 12.5, date(2026, 11, 24), noon, "Yes"]
    assert second[2] == ""
    sheet = zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml").decode()
    assert 'state="frozen"' in sheet


@pytest.mark.parametrize("grosze", [0, 1, -1, 10, 99, 100, -100, 123456789, 10**12, 10**15 - 1, -(10**15 - 1)])
def test_amounts_are_exact_everywhere(grosze: int) -> None:
    column = (ExportColumn("amount", _("Amount"), "money"),)
    for format_, comma in (("csv", "."), ("csv-excel", ",")):
        text = file_of(format_, [row(amount=grosze)], columns=column).decode("utf-8-sig").split("\r\n")[1]
        assert Decimal(text.replace(comma, ".")) * 100 == grosze
        assert len(text.rpartition(comma)[2]) == 2
    (sheet,) = sheets_of(file_of("xlsx", [row(amount=grosze)], columns=column))
    assert round(sheet[1][0] * 100) == grosze


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("format_", ["csv", "csv-excel"])
def test_no_cell_of_a_csv_is_a_formula_and_each_can_be_had_back(format_: str, text: str) -> None:
    column = (ExportColumn("name", _("Name")), ExportColumn("side", _("Side"), words={"charge": _("Charge")}))
    content = file_of(format_, [row(text, side=text)], columns=column).decode("utf-8-sig")
    cells = list(csv.reader(io.StringIO(content, newline=""), delimiter="," if format_ == "csv" else ";"))[1]
    assert not any(is_formula(cell) for cell in cells)
    assert [undefused(cell) for cell in cells] == [text, text]


@given(st.text())
def test_defusing_can_be_undone(text: str) -> None:
    assert undefused(defused(text)) == text
    assert not is_formula(defused(text))


@pytest.mark.parametrize("text", [*NASTY, "<r><t>x</t></r>", "https://example.org", "007", "\x01"])
def test_a_cell_of_xlsx_is_text_and_never_a_formula(text: str) -> None:
    content = file_of("xlsx", [row(text)], columns=COLUMNS[:1])
    sheet = zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet
    ((_heading, (cell,)),) = sheets_of(content)
    if not text.startswith("<r>") and "\r" not in text and "\x01" not in text:
        assert cell == text


def test_more_rows_than_a_sheet_holds_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LAST_ROW", 4)
    first, second, third = sheets_of(file_of("xlsx", [row(str(number)) for number in range(7)], columns=COLUMNS[:1]))
    assert first == [["Name"], ["0"], ["1"], ["2"]]
    assert second == [["Name"], ["3"], ["4"], ["5"]]
    assert third == [["Name"], ["6"]]


def test_nothing_stays_behind_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file_of("xlsx", [row()])
    with closing(writer_of("xlsx", "x", COLUMNS, WARSAW)) as writer:
        writer.head()
    assert list(tmp_path.iterdir()) == []

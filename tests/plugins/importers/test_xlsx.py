"""Spreadsheets as organisations really have them, and files made to do harm."""

from __future__ import annotations

import asyncio
import time
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import xlsxwriter

from kernel import SourceError
from plugins.importers.xlsx import reading
from plugins.importers.xlsx.reading import Settings


async def rows_of(path: Path, sheet: str, **others: Any) -> list[dict[str, object]]:
    settings = Settings(path=path, **others)
    return [dict(row) async for batch in reading.stream(settings, sheet) for row in batch]


def book(path: Path, rows: list[list[object]], sheet: str = "Wpłaty") -> Path:
    """A workbook with one sheet of these rows."""
    with xlsxwriter.Workbook(path, {"default_date_format": "dd.mm.yyyy"}) as made:
        page = made.add_worksheet(sheet)
        for number, row in enumerate(rows):
            page.write_row(number, 0, row)
    return path


async def test_values_of_cells(tmp_path: Path) -> None:
    path = tmp_path / "a b.xlsx"
    with xlsxwriter.Workbook(path) as made:
        page = made.add_worksheet("Wpłaty 2026")
        day, moment = (made.add_format({"num_format": form}) for form in ("dd.mm.yyyy", "dd.mm.yyyy hh:mm"))
        page.write_row(0, 0, ["Raport wpłat"])
        page.write_row(2, 0, ["Nr", "Data wpływu", "Kwota", "Tak", "Chwila", "Razem", "Błąd", "Konto", "Uwagi", ""])
        page.write_row(3, 0, [12, "", 1234.56, True, "", "", "", "0012", "  zażółć "])
        page.write_datetime(3, 1, datetime(2026, 11, 24), day)  # noqa: DTZ001  sheets have no zones
        page.write_datetime(3, 4, datetime(2026, 11, 24, 13, 5), moment)  # noqa: DTZ001
        page.write_formula(3, 5, "=C4*2", None, 2469)
        page.write_formula(3, 6, "=1/0", None, cast("int", "#DIV/0!"))
        made.add_worksheet("Pusty")
    names = ["Nr", "Data wpływu", "Kwota", "Tak", "Chwila", "Razem", "Błąd", "Konto", "Uwagi"]
    assert await reading.discover(Settings(path=path)) == {"Wpłaty 2026": names, "Pusty": []}
    [row] = await rows_of(path, "Wpłaty 2026")
    assert row == {
        "Nr": 12,
        "Data wpływu": date(2026, 11, 24),
        "Kwota": 1234.56,
        "Tak": True,
        "Chwila": datetime(2026, 11, 24, 13, 5),  # noqa: DTZ001
        "Razem": 2469,
        "Błąd": "",
        "Konto": "0012",
        "Uwagi": "  zażółć ",
    }
    assert isinstance(row["Nr"], int)


async def test_the_header_is_found_or_named(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Spółdzielnia"], ["za okres", "2026-10"], [], ["Nr", "Nazwa", "Kwota"], [1, "a", 2.5]]
    path = book(tmp_path / "a.xlsx", rows)
    assert await rows_of(path, "Wpłaty") == [{"Nr": 1, "Nazwa": "a", "Kwota": 2.5}]
    assert await rows_of(path, "Wpłaty", header_line=4) == [{"Nr": 1, "Nazwa": "a", "Kwota": 2.5}]
    twice = book(tmp_path / "b.xlsx", [["Nr", "Nr"], [1, 2]])
    with pytest.raises(SourceError, match="«Nr» twice"):
        await rows_of(twice, "Wpłaty")
    with pytest.raises(SourceError, match="no header"):
        await rows_of(book(tmp_path / "c.xlsx", [[1, 2], [3, 4]]), "Wpłaty")


async def test_many_rows(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [["Nr", "Tekst"], *([n, "x" * 100] for n in range(20_000))])
    assert [row["Nr"] for row in await rows_of(path, "Wpłaty")] == list(range(20_000))


async def test_the_loop_is_free_meanwhile(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [["Nr", "Tekst"], *([n, f"text {n}"] for n in range(60_000))])
    reader = asyncio.create_task(rows_of(path, "Wpłaty"))
    longest, last = 0.0, time.thread_time()  # of the loop's own thread: a busy machine takes no turn longer
    while not reader.done():
        await asyncio.sleep(0.005)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    assert len(await reader) == 60_000
    assert longest < 0.5


# --- harm ------------------------------------------------------------------------------------------------------------


def repacked(path: Path, made: Path, name: str, content: bytes) -> Path:
    """The workbook with one of its parts replaced."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, content if part.filename == name else old.read(part))
    return made


SHEET = "xl/worksheets/sheet1.xml"
HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'


async def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [["Nr"], [1]])
    bomb = repacked(path, tmp_path / "bomb.xlsx", SHEET, HEAD + b" " * (400 << 20) + b"</sheetData></worksheet>")
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(SourceError, match="more than 300 MB"):
        await rows_of(bomb, "Wpłaty")


async def test_two_cells_far_apart_are_refused(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [["Nr"], [1]])
    cells = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    far = repacked(path, tmp_path / "far.xlsx", SHEET, HEAD + cells + b"</sheetData></worksheet>")
    with pytest.raises(SourceError, match="too far apart"):
        await rows_of(far, "Wpłaty")


async def test_entities_are_not_expanded(tmp_path: Path) -> None:
    path = book(tmp_path / "a.xlsx", [["Nr"], [1]])
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
    entities = b'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY l0 "ha">' + laughs + b"]>"
    text = b'<row r="1"><c r="A1" t="inlineStr"><is><t>&l11;</t></is></c></row>'
    bomb = repacked(path, tmp_path / "l.xlsx", SHEET, entities + HEAD + text + b"</sheetData></worksheet>")
    with pytest.raises(SourceError, match=r"l\.xlsx"):
        await rows_of(bomb, "Wpłaty")


@pytest.mark.parametrize("content", [b"", b"a;b\n1;2\n", b"PK\x03\x04 and then nothing"])
async def test_what_is_no_spreadsheet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wrong.xlsx"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"wrong\.xlsx"):
        await reading.discover(Settings(path=path))


async def test_a_file_cut_off(tmp_path: Path) -> None:
    path = book(tmp_path / "whole.xlsx", [["Nr", "Tekst"], *([n, f"text {n}"] for n in range(5000))])
    cut = tmp_path / "cut.xlsx"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"cut\.xlsx"):
        await rows_of(cut, "Wpłaty")


async def test_no_such_file_and_no_such_sheet(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.xlsx"):
        await reading.discover(Settings(path=tmp_path / "none.xlsx"))
    with pytest.raises(SourceError, match="Inny"):
        await rows_of(book(tmp_path / "a.xlsx", [["Nr"], [1]]), "Inny")

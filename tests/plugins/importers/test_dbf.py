"""DBF files, written by a library that is not ours, in the encodings that old programs left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dbf
import pytest

from kernel import SourceError
from plugins.importers import detect_in
from plugins.importers.dbf import reading
from plugins.importers.dbf.reading import Settings

FIELDS = "nr N(8,0); kwota N(12,2); data D; nazwa C(30); tak L"
ROW = (1, 1234.56, date(2026, 11, 24), "Żółć, Łąka i gęś", True)


async def rows_of(path: Path, **others: Any) -> list[dict[str, object]]:
    settings = Settings(path=path, **others)
    [name] = await reading.discover(settings)
    return [dict(row) async for batch in reading.stream(settings, name) for row in batch]


def table(path: Path, rows: Sequence[tuple[object, ...]], fields: str = FIELDS, kind: str = "db3") -> Path:
    """A table with these rows; texts in cp852."""
    made = dbf.Table(str(path), fields, dbf_type=kind, codepage="cp852")
    made.open(dbf.READ_WRITE)
    for row in rows:
        made.append(row)  # pyright: ignore[reportArgumentType]
    made.close()
    return path


@pytest.mark.parametrize("kind", ["db3", "clp", "fp", "vfp"])
async def test_every_kind_of_table_with_long_texts(tmp_path: Path, kind: str) -> None:
    rows = [(*ROW, "Długi opis ąę\n" * 100), (2, None, None, "", None, "")]
    path = table(tmp_path / "a.dbf", rows, FIELDS + "; opis M", kind)
    assert await reading.discover(Settings(path=path)) == {"a": ["NR", "KWOTA", "DATA", "NAZWA", "TAK", "OPIS"]}
    first, second = await rows_of(path)
    assert first == {
        "NR": 1,
        "KWOTA": Decimal("1234.56"),
        "DATA": date(2026, 11, 24),
        "NAZWA": "Żółć, Łąka i gęś",
        "TAK": True,
        "OPIS": "Długi opis ąę\n" * 100,
    }
    assert (second["KWOTA"], second["DATA"], second["NAZWA"], second["TAK"]) == (None, None, "", None)
    assert not second["OPIS"]


async def test_the_types_of_visual_foxpro(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001  FoxPro has no zones
    path = table(tmp_path / "a.dbf", [(-5, Decimal("12.34"), 2.5, moment)], "i I; y Y; b B; t T", "vfp")
    assert await rows_of(path) == [{"I": -5, "Y": Decimal("12.34"), "B": 2.5, "T": moment}]


async def test_deleted_records_are_left_out(tmp_path: Path) -> None:
    path = table(tmp_path / "a.dbf", [(n,) for n in range(2500)], "nr N(8,0)")
    made = dbf.Table(str(path))
    made.open(dbf.READ_WRITE)
    for n in (0, 7, 2499):
        dbf.delete(made[n])
    made.close()
    numbers = [row["NR"] for row in await rows_of(path)]
    assert numbers == [n for n in range(2500) if n not in (0, 7, 2499)]


@pytest.mark.parametrize("coding", ["utf-8", "cp1250", "iso8859-2", "cp852", "mazovia"])
async def test_encodings_are_recognised_whatever_the_file_says(tmp_path: Path, coding: str) -> None:
    path = table(tmp_path / "a.dbf", [(n, 0, None, "#" * 30, True) for n in range(3)])
    raw = bytearray(path.read_bytes())
    texts = ["Święty Łukasz Żak", "ul. Gęsia źdźbło", "Kościół, ćma, ŁÓDŹ"]
    for text in texts:
        place = raw.index(b"#" * 30)
        raw[place : place + 30] = text.encode(coding).ljust(30)
    raw[29] = 0x03  # the language of another country
    path.write_bytes(raw)
    assert [row["NAZWA"] for row in await rows_of(path)] == texts
    assert [row["NAZWA"] for row in await rows_of(path, encoding=coding)] == texts


def test_mazovia_is_read_and_written() -> None:
    letters = "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ"
    assert letters.encode("mazovia") == bytes.fromhex("868d9192a4a29ea6a78f95909ca5a398a0a1")
    assert letters.encode("mazovia").decode("mazovia") == letters
    assert "═╬".encode("mazovia") == "═╬".encode("cp437")
    assert detect_in([letters.encode("mazovia")]) == "mazovia"
    with pytest.raises(UnicodeEncodeError):
        "€".encode("mazovia")


async def test_values_that_fit_no_type_stay_as_they_are(tmp_path: Path) -> None:
    path = table(tmp_path / "a.dbf", [ROW, ROW, ROW])
    raw = path.read_bytes()
    raw = raw.replace(b"     1234.56", b"************", 1).replace(b"20261124", b"20261332", 1)
    path.write_bytes(raw.replace(b"     1234.56", b"     1234,56", 1).replace(b"20261124", b"00000000", 1))
    first, second, third = await rows_of(path)
    assert (first["KWOTA"], first["DATA"]) == ("************", "20261332")
    assert (second["KWOTA"], second["DATA"]) == ("1234,56", None)
    assert third["KWOTA"] == Decimal("1234.56")


async def test_a_text_in_another_encoding_sets_its_row_aside(tmp_path: Path) -> None:
    path = table(tmp_path / "a.dbf", [ROW])
    [row] = await rows_of(path, encoding="utf-8")
    assert row["NAZWA"] == "Żółć, Łąka i gęś".encode("cp852"), "bytes, which the engine sets aside"


async def test_a_directory_is_a_table_per_file(tmp_path: Path) -> None:
    table(tmp_path / "KLIENCI.DBF", [ROW])
    table(tmp_path / "wplaty.dbf", [ROW], "nr N(8,0); k N(12,2); d D; n C(30); t L")
    assert set(await reading.discover(Settings(path=tmp_path))) == {"KLIENCI", "wplaty"}
    with pytest.raises(SourceError, match="select"):
        _rows = [rows async for rows in reading.stream(Settings(path=tmp_path), "select * from a")]


async def test_a_file_cut_off(tmp_path: Path) -> None:
    path = table(tmp_path / "a.dbf", [ROW] * 100)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(SourceError, match=r"a\.dbf is cut off"):
        await rows_of(path)


async def test_damaged_files(tmp_path: Path) -> None:
    path = table(tmp_path / "a.dbf", [ROW] * 10)
    whole = path.read_bytes()
    for content, words in (
        (b"", "not a DBF"),
        (b"a;b;c\n1;2;3\n" * 10, "not a DBF"),
        (whole[:10] + b"\x02\x00" + whole[12:], "damaged"),
        (whole[:400] + b"x" + whole[400:], "damaged"),
        (whole[:15] + b"\x01" + whole[16:], "encrypted"),
    ):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=words):
            await rows_of(path)
    with pytest.raises(SourceError, match=r"none\.dbf"):
        await reading.discover(Settings(path=tmp_path / "none.dbf"))


async def test_a_missing_memo_file_is_not_silent(tmp_path: Path) -> None:
    path = table(tmp_path / "a.dbf", [(1, "Opis")], "nr N(8,0); opis M")
    (tmp_path / "a.dbt").unlink()
    [row] = await rows_of(path)
    assert isinstance(row["OPIS"], bytes), "what cannot be read is no empty text: the row is set aside if it is needed"

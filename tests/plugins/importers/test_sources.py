"""The sources: SQLite files and CSV files as organisations really have them."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import ExportColumn, SourceError, _, defused
from plugins.exports.writing import writer_of
from plugins.importers import encodings as encoding
from plugins.importers.csv import reading as csv_reading
from plugins.importers.sqlite import reading as sqlite_reading

CHINOOK = Path(__file__).parents[2] / "data" / "chinook" / "Chinook_Sqlite.sqlite"


def names(directory: Path) -> list[str]:
    return [file.name for file in directory.iterdir()]


async def rows_of(source: Any, settings: Any, query: str) -> list[dict[str, object]]:
    return [dict(row) async for batch in source.stream(settings, query) for row in batch]


# --- SQLite ----------------------------------------------------------------------------------------------------------


async def test_chinook_tables_and_rows() -> None:
    settings = sqlite_reading.Settings(path=CHINOOK)
    tables = await sqlite_reading.discover(settings)
    assert list(tables["Invoice"])[:3] == ["InvoiceId", "CustomerId", "InvoiceDate"]
    customers = await rows_of(sqlite_reading, settings, "Customer")
    assert len(customers) == 59
    assert customers[48]["LastName"] == "Wójcik"
    [total] = await rows_of(sqlite_reading, settings, "select count(*) as n from Invoice")
    assert total == {"n": 412}


async def test_more_rows_than_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "a # b?.db"
    with sqlite3.connect(path) as made:
        made.execute('create table "odd "" name" (n integer)')
        made.executemany('insert into "odd "" name" values (?)', [(n,) for n in range(2500)])
    made.close()
    settings = sqlite_reading.Settings(path=path)
    rows = await rows_of(sqlite_reading, settings, 'odd " name')
    assert [row["n"] for row in rows] == list(range(2500))


async def test_a_source_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as made:
        made.execute("create table t (n)")
    made.close()
    before = path.read_bytes()
    with pytest.raises(SourceError):
        await rows_of(sqlite_reading, sqlite_reading.Settings(path=path), "insert into t values (1)")
    with pytest.raises(SourceError):
        await rows_of(sqlite_reading, sqlite_reading.Settings(path=path), "drop table t")
    assert path.read_bytes() == before
    assert names(tmp_path) == ["s.db"]


async def test_a_file_written_ahead_in_a_directory_we_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "wal" / "s.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as made:
        made.execute("pragma journal_mode = wal")
        made.execute("create table t (n)")
        made.execute("insert into t values (5)")
    made.close()
    for beside in path.parent.glob("s.db-*"):
        beside.unlink()
    path.parent.chmod(0o555)
    try:
        assert await rows_of(sqlite_reading, sqlite_reading.Settings(path=path), "t") == [{"n": 5}]
        assert names(path.parent) == ["s.db"] or os.geteuid() == 0
    finally:
        path.parent.chmod(0o755)


async def test_texts_in_an_old_encoding(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as made:
        made.execute("create table t (name text)")
        made.execute("insert into t values (cast(? as text))", ("Żółć".encode("cp1250"),))
    made.close()
    assert await rows_of(sqlite_reading, sqlite_reading.Settings(path=path, encoding="cp1250"), "t") == [
        {"name": "Żółć"}
    ]
    assert await rows_of(sqlite_reading, sqlite_reading.Settings(path=path), "t") == [
        {"name": "Żółć".encode("cp1250")}
    ], "what is no text reaches the engine as bytes, which sets the row aside"


async def test_wrong_sqlite_files(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("this is not a database, but it is long enough to be looked at" * 20)
    for path, words in ((tmp_path / "none.db", "none.db"), (text, "text.db"), (tmp_path, str(tmp_path))):
        with pytest.raises(SourceError, match=words):
            await sqlite_reading.discover(sqlite_reading.Settings(path=path))
    with pytest.raises(SourceError, match="no such"):
        await rows_of(sqlite_reading, sqlite_reading.Settings(path=CHINOOK), "select x from nowhere")


async def test_an_sqlite_file_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "cut.db"
    path.write_bytes(CHINOOK.read_bytes()[:400_000])
    with pytest.raises(SourceError, match="malformed"):
        await rows_of(sqlite_reading, sqlite_reading.Settings(path=path), "select * from InvoiceLine")


# --- CSV -------------------------------------------------------------------------------------------------------------

TEXT = 'Numer;Nazwa;Kwota\n1;"Żak; Józef";"1 234,56"\n2;Śliwińska Łucja;0,99\n\n3;"Ęą ""Óś"" źćń";5\n'


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "cp1250", "iso8859-2", "cp852", "mazovia"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
async def test_encodings_and_delimiters_are_recognised(tmp_path: Path, coding: str, delimiter: str) -> None:
    path = tmp_path / "wykaz.csv"
    text = "\r\n".join(
        delimiter.join(f'"{cell}"' for cell in line)
        for line in (("Numer", "Nazwa"), ("1", "Żak; Józef"), ("2", "Śliwińska, Łucja"), ("3", "gęś\tźrebię|ćma"))
    )
    path.write_bytes(text.encode(coding))
    settings = csv_reading.Settings(path=path)
    assert await csv_reading.discover(settings) == {"wykaz": ["Numer", "Nazwa"]}
    rows = await rows_of(csv_reading, settings, "wykaz")
    assert [row["Nazwa"] for row in rows] == ["Żak; Józef", "Śliwińska, Łucja", "gęś\tźrebię|ćma"]


@given(
    st.sampled_from(["cp1250", "iso8859-2", "cp852"]),
    st.lists(st.sampled_from("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ abcXYZ,.\n"), min_size=1).map("".join),
)
def test_polish_texts_are_read_as_they_were_written(coding: str, text: str) -> None:
    raw = text.encode(coding)
    found = encoding.detect_in([raw[:3], raw[3:]])
    if "ą" in text and "ś" in text:
        assert found == coding
    if found == "utf-8":
        return  # ASCII, or bytes that happen to be valid UTF-8
    read = raw.decode(found, "replace")
    assert sum(letter in encoding.POLISH for letter in read) >= sum(letter in encoding.POLISH for letter in text)


def test_utf8_cut_anywhere_is_utf8() -> None:
    raw = "zażółć gęślą jaźń".encode()
    for cut in range(len(raw)):
        assert encoding.detect_in([raw[:cut], raw[cut:]]) == "utf-8"
    assert encoding.detect_in([raw[:3]]) != "utf-8", "half a letter at the end is none"


async def test_rows_of_another_length_keep_only_their_first_value(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id;name;sum\n1;x;5\n2;y\n3;z;7;8\n", encoding="utf-8")
    assert await rows_of(csv_reading, csv_reading.Settings(path=path), "a") == [
        {"id": "1", "name": "x", "sum": "5"},
        {"id": "2"},
        {"id": "3"},
    ]


async def test_a_directory_is_a_table_per_file(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("x;y\n1;2\n", encoding="utf-8")
    (tmp_path / "a.csv").write_text("id\n1\n", encoding="utf-8")
    settings = csv_reading.Settings(path=tmp_path)
    assert await csv_reading.discover(settings) == {"a": ["id"], "b": ["x", "y"]}
    assert await rows_of(csv_reading, settings, "b") == [{"x": "1", "y": "2"}]
    with pytest.raises(SourceError, match="select"):
        await rows_of(csv_reading, settings, "select * from a")


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"", {}),
        (b"\n1;2\n", {}),
        (b"a;a\n1;2\n", {}),
        (b'a;b\n1;"x" y\n', {}),
        ("a;ł\n1;ż\n".encode("cp1250"), {"encoding": "utf-8"}),
        (b'a;b\n1;2\n3;"x', {}),
        (b"a;b;c\n1;2;3\n4;", {}),
    ],
)
async def test_wrong_csv_files(tmp_path: Path, content: bytes, options: dict[str, str]) -> None:
    path = tmp_path / "wrong.csv"
    path.write_bytes(content)
    settings = csv_reading.Settings.model_validate({"path": path, **options})
    with pytest.raises(SourceError, match=r"wrong\.csv"):
        await rows_of(csv_reading, settings, "wrong")


async def test_remarks_above_the_header(tmp_path: Path) -> None:
    path = tmp_path / "raport.csv"
    table = "Nr;Nazwa klienta;Kwota;\n1;Żak, Józef;1 234,56;\n2;Łoś;0,99;\n"
    for above in (
        "",
        "Zestawienie wpłat\nza okres: 2026-10-01, 2026-10-31\n\n",
        "Zestawienie;;;\nData:;2026-11-24;;\n",
        "sep=;\n",
    ):
        path.write_text(above + table, encoding="cp1250")
        assert await csv_reading.discover(csv_reading.Settings(path=path)) == {
            "raport": ["Nr", "Nazwa klienta", "Kwota"]
        }, above
        rows = await rows_of(csv_reading, csv_reading.Settings(path=path), "raport")
        assert rows[0] == {"Nr": "1", "Nazwa klienta": "Żak, Józef", "Kwota": "1 234,56"}
        assert len(rows) == 2
    path.write_text("x;y;z;\nuwaga;do;listy;\n" + table, encoding="utf-8")
    given = csv_reading.Settings(path=path, header_line=3)
    assert [row["Nr"] for row in await rows_of(csv_reading, given, "raport")] == ["1", "2"]


async def test_lines_in_another_encoding_stay_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    words = ["zażółć", "gęślą", "jaźń", "łąka", "ćma"]
    for most, other in (("utf-8", "cp1250"), ("cp1250", "utf-8")):
        lines = [f"{n};{word}\n".encode(other if n == 3 else most) for n, word in enumerate(words)]
        path.write_bytes(b"nr;tekst\n" + b"".join(lines))
        rows = await rows_of(csv_reading, csv_reading.Settings(path=path), "a")
        assert [row["tekst"] for row in rows] == [*words[:3], words[3].encode(other), words[4]]
    path.write_bytes("nr;tekst\n1;ż\n".encode("cp1250"))
    [row] = await rows_of(csv_reading, csv_reading.Settings(path=path, encoding="utf-8"), "a")
    assert row["tekst"] == "ż".encode("cp1250")


async def test_a_last_line_without_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a;b;c\n1;2;3\n4;5;6", encoding="utf-8")
    assert len(await rows_of(csv_reading, csv_reading.Settings(path=path), "a")) == 2
    path.write_text("a;b;c\n1;2;3\n4;5;6\n\x1a", encoding="utf-8")
    assert len(await rows_of(csv_reading, csv_reading.Settings(path=path), "a")) == 2


async def test_no_such_csv_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.csv"):
        await csv_reading.discover(csv_reading.Settings(path=tmp_path / "none.csv"))


FORMULAS = (
    "=1+1",
    "+48 600",
    "-5",
    "@SUM(A1)",
    "\tx",
    "\rx",
    " =1",
    "'x",
    "'=x",
    "''",
    "＝1",
    "x'=",
    "plain",
    'a\nb;"c"',
)


@pytest.mark.parametrize("form", ["csv", "csv-excel"])
async def test_what_an_export_wrote_is_read_as_it_was(tmp_path: Path, form: str) -> None:
    """The apostrophe before what a spreadsheet could run as a formula comes off again."""
    writer = writer_of(form, "t", [ExportColumn("no", _("Number")), ExportColumn("text", _("Text"))], ZoneInfo("UTC"))
    rows = [{"no": str(number), "text": text} for number, text in enumerate(FORMULAS)]
    (tmp_path / "t.csv").write_bytes(writer.head() + writer.rows(rows))
    settings = csv_reading.Settings(path=tmp_path / "t.csv")
    read = await rows_of(csv_reading, settings, "t")
    assert [list(row.values())[1] for row in read] == list(FORMULAS)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_apostrophe_of_an_export_and_no_other_comes_off(text: str) -> None:
    assert csv_reading.undefused_text(defused(text)) == text


@pytest.mark.parametrize("text", ["'s-Hertogenbosch", "'80", "'", "5'"])
def test_an_apostrophe_of_the_source_stays(text: str) -> None:
    assert csv_reading.undefused_text(text) == text

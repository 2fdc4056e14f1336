"""Lists that people paste or upload: whatever they hold, each line says something or why it says nothing."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import Money
from plugins.payments.charging.reading import (
    COLUMNS,
    MOST_LINES,
    Cells,
    ListError,
    Said,
    Wrong,
    columns_of,
    decoded,
    read_line,
    split,
)

DUE = date(2026, 12, 10)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=300)


@given(TEXT)
def test_any_text_is_read_line_by_line(text: str) -> None:
    try:
        columns, lines = columns_of(split(text))
    except ListError:
        return
    assert len({line.number for line in lines}) == len(lines)
    for line in lines:
        said = read_line(line, columns, DUE, opening=False)
        assert said.amount.grosze > 0 if isinstance(said, Said) else said.message and said.column in COLUMNS


@given(st.binary(max_size=200))
def test_any_file_is_text_or_refused(content: bytes) -> None:
    try:
        assert "\x00" not in decoded(content)
    except ListError:
        return


@given(
    st.lists(st.lists(st.text("abcż \"';,\t\n", max_size=8), min_size=2, max_size=4), min_size=1, max_size=5),
    st.sampled_from("\t;,"),
)
def test_cells_that_were_written_are_read_back(rows: list[list[str]], delimiter: str) -> None:
    if delimiter != "\t":
        rows = [[cell.replace("\t", " ") for cell in row] for row in rows]
    if delimiter == ",":
        rows = [[cell.replace(";", " ") for cell in row] for row in rows]
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerows(rows)
    seen = [tuple(" ".join(cell.split()) for cell in row) for row in rows]
    assert [line.typed for line in split(written.getvalue())] == [row for row in seen if any(row)]


def test_columns_go_by_their_heading_or_by_their_place() -> None:
    headed, lines = columns_of(split("Kwota [zł];Uwagi;Nr klienta:\n1;x;4711"))
    assert (headed, len(lines)) == (["amount", "", "number"], 1)
    said = read_line(lines[0], headed, DUE, opening=False)
    assert said == Said("4711", Money(100), False, DUE, "", "", "")
    assert columns_of(split("4711;1"))[0] == list(COLUMNS)


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ((), "number"),
        (("", "1"), "number"),
        (("4711", ""), "amount"),
        (("4711", "0"), "amount"),
        (("4711", "-5"), "amount"),
        (("4711", "1e3"), "amount"),
        (("4711", "99999999999"), "amount"),
        (("4711", "5", "31.02.2026"), "due_on"),
        (("4711", "5", "10.12.1900"), "due_on"),
        (("4711", "5", "10.12.2150"), "due_on"),
        (("4711", "5", "", "x" * 201), "title"),
        (("4711", "5", "", "a\u202eb"), "title"),
        (("4711", "5", "", "", "x" * 81), "document_no"),
        (("4711", "5", "", "", "", "13.2026"), "period"),
    ],
)
def test_a_wrong_cell_is_named(cells: tuple[str, ...], column: str) -> None:
    said = read_line(Cells(1, cells), list(COLUMNS), DUE, opening=False)
    assert isinstance(said, Wrong)
    assert said.column == column


def test_a_date_is_needed_somewhere_and_a_minus_only_opens_a_balance() -> None:
    line = Cells(1, ("4711", "\u22125,00"))
    said = read_line(line, list(COLUMNS), DUE, opening=True)
    assert isinstance(said, Said)
    assert (said.amount.grosze, said.is_credit) == (500, True)
    assert read_line(Cells(1, ("4711", "5")), list(COLUMNS), None, opening=False) == Wrong(
        "Write a due date, here or above the list", "due_on"
    )


def test_a_list_has_an_end() -> None:
    with pytest.raises(ListError, match="more than"):
        split("4711;1\n" * (MOST_LINES + 1))

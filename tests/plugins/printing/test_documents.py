"""The payment order on paper, measured and read from the PDF itself."""

from __future__ import annotations

import io
import itertools
import pickle
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pdfplumber
import pypdfium2
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import Money
from kernel.i18n import load_catalogues, speaking
from plugins.printing.documents import COPY, LEFT, QR_SIDE, TOPS, dark_runs, payment_order_pdf, qr_code, qr_svg
from plugins.printing.model import LARGEST_PRINTED, OrderKind, PaymentOrder, Sheet, amount_in_words, format_nrb

MM = 72 / 25.4
MADE = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NRB = "29101010100012345600004711"
ALL_LETTERS = "ąćęłńóśźż ĄĆĘŁŃÓŚŹŻ"
TOLERANCE = 0.3


@pytest.fixture(autouse=True, scope="module")
def _polish() -> None:
    load_catalogues([Path("kernel"), Path("plugins/printing")])


def order(**changed: object) -> PaymentOrder:
    given: dict[str, object] = {
        "payee_name": "Spółdzielnia „Łąka”",
        "payee_address": "ul. Łąkowa 1, 00-950 Warszawa",
        "payee_account": NRB,
        "payee_nip": "1234563218",
        "amount": Money(123456),
        "kind": OrderKind.CASH,
        "payer_name": "Żaneta Gęśla-Źrebięcińska",
        "payer_address": "ul. Długa 17/4, 00-950 Warszawa",
        "title": "Czynsz 11/2026",
        "customer_no": "4711",
        "reference": "EBM40VTMJ",
    }
    return PaymentOrder(**{**given, **changed})  # pyright: ignore[reportArgumentType]


def printed(pages: PaymentOrder | list[Sheet]) -> bytes:
    return payment_order_pdf([Sheet(pages)] if isinstance(pages, PaymentOrder) else pages, MADE)


@lru_cache(maxsize=32)
def page_of(pdf: bytes) -> Any:
    return pdfplumber.open(io.BytesIO(pdf)).pages[0]


def millimetres(item: dict[str, Any]) -> tuple[float, float, float, float]:
    """x, y, width, height from the upper left corner of the page."""
    return item["x0"] / MM, item["top"] / MM, item["width"] / MM, item["height"] / MM


def close(found: tuple[float, ...], wanted: tuple[float, ...]) -> bool:
    return all(abs(one - other) <= TOLERANCE for one, other in zip(found, wanted, strict=True))


def in_boxes(page: Any, copy: int, line: int, columns: range) -> str:
    """What stands in the boxes: the letter whose middle lies in each."""
    found: list[str] = []
    for column in columns:
        x = (LEFT + 7.0 + 5.0 * column) * MM
        y = (TOPS[copy] + 3.85 + 8.46 * line) * MM
        signs = [
            char["text"]
            for char in page.chars
            if x < (char["x0"] + char["x1"]) / 2 < x + 5 * MM and y < (char["top"] + char["bottom"]) / 2 < y + 5 * MM
        ]
        found.append("".join(signs) or " ")
    return "".join(found).rstrip()


def decoded(pdf: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(pdf)
    return [code.text for page in document for code in zxingcpp.read_barcodes(page.render(scale=3).to_pil())]


# --- geometry -------------------------------------------------------------------------------------------------------

BOXES = {0: (0, 27), 1: (0, 27), 2: (0, 26), 4: (0, 26), 5: (0, 27), 6: (0, 27), 7: (0, 27), 8: (0, 27)}


def test_the_page_is_a4_with_two_a6_copies() -> None:
    page = page_of(printed(order()))
    assert close((page.width / MM, page.height / MM), (210, 297))
    assert COPY == (148, 105)
    assert TOPS[1] - TOPS[0] == COPY[1]
    assert LEFT * 2 + COPY[0] == 210


@pytest.mark.parametrize("copy", [0, 1])
def test_boxes_stand_where_the_form_has_them(copy: int) -> None:
    page = page_of(printed(order()))
    boxes = [box for box in map(millimetres, page.rects) if close(box[2:], (5.0, 5.0))]
    wanted = [
        (line, column)
        for line, (first, count) in {**BOXES, 3: (8, 2)}.items()
        for column in range(first, first + count)
    ]
    wanted += [(3, column) for column in (*range(11, 14), *range(15, 27))]
    for line, column in wanted:
        place = (LEFT + 7.0 + 5.0 * column, TOPS[copy] + 3.85 + 8.46 * line)
        assert any(close(box[:2], place) for box in boxes), (line, column)
    assert len(boxes) == 2 * (len(wanted) + 4), "and nothing else but the four boxes of «opłata»"


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize(
    "place",
    [
        (7.0, 2.3, 135.0, 83.6),  # ground
        (7.0, 3.85 + 2 * 8.46 - 2.9, 130.0, 8.3),  # frame of the account
        (82.0, 3.85 + 3 * 8.46 - 2.9, 60.0, 8.3),  # frame of the amount
        (7.0, 79.4, 68.3, 23.3),  # signatures
        (98.2, 79.4, 23.3, 23.3),  # stamp
        (132.0, 78.0, 10.0, 6.0),
        (77.1, 92.4, 5.0, 5.0),  # fee
    ],
)
def test_areas_stand_where_the_form_has_them(copy: int, place: tuple[float, ...]) -> None:
    x, y, width, height = place
    rects = map(millimetres, page_of(printed(order())).rects)
    assert any(close(rect, (LEFT + x, TOPS[copy] + y, width, height)) for rect in rects)


@pytest.mark.parametrize("copy", [0, 1])
def test_bold_frames_ticks_and_corner_marks(copy: int) -> None:
    page = page_of(printed(order()))
    bold = [rect for rect in page.rects if rect["stroke"] and abs(rect["linewidth"] / MM - 0.6) < 0.01]
    assert len(bold) == 4
    lines = [(millimetres(line), line["linewidth"] / MM, line["stroking_color"]) for line in page.lines]
    for line, after in itertools.product((2, 4), (2, 6, 10, 14, 18, 22)):
        x, bottom = LEFT + 7.0 + 5.0 * after, TOPS[copy] + 3.85 + 8.46 * line + 5.0
        assert any(
            close((place[0], place[1] + place[3]), (x, bottom)) and width > 0.5 for place, width, _color in lines
        )
    marks = [(4.9, 2.1, 8.5, 0), (4.9, 2.1, 0, 8.5), (135.1, 2.1, 8.5, 0), (143.6, 2.1, 0, 8.5)]
    marks += [(4.9, 78.3, 8.5, 0), (4.9, 69.8, 0, 8.5)]
    for x, y, width, height in marks:
        assert any(close(place, (LEFT + x, TOPS[copy] + y, width, height)) for place, _width, _color in lines), (x, y)


def test_nothing_is_drawn_outside_the_paper() -> None:
    long = order(payee_name="Ś" * 200, payer_name="Ż " * 100, title="tytuł " * 40, payer_address="ą" * 300)
    page = page_of(printed([Sheet(long, date(2026, 12, 10), 1, 3, Money(100))]))
    for item in (*page.chars, *page.rects, *page.lines):
        assert item["x0"] >= 0
        assert item["x1"] <= page.width
        assert item["top"] >= 0
        assert item["bottom"] <= page.height - 5 * MM


# --- what is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [0, 1])
def test_every_line_is_filled_in(copy: int) -> None:
    page = page_of(printed(order()))
    lines = [in_boxes(page, copy, line, range(27)) for line in (0, 1, 5, 6, 7, 8)]
    assert lines == [
        "SPÓŁDZIELNIA „ŁĄKA”",
        "UL. ŁĄKOWA 1, 00-950",
        "ŻANETA GĘŚLA-ŹREBIĘCIŃSKA",
        "UL. DŁUGA 17/4, 00-950",
        "EBM40VTMJ 4711 CZYNSZ",
        "11/2026",
    ]
    assert in_boxes(page, copy, 2, range(26)) == NRB
    assert in_boxes(page, copy, 3, range(11, 14)) == "PLN"
    assert in_boxes(page, copy, 3, range(15, 27)) == "     1234,56"


def crossed(page: Any, copy: int) -> str:
    """The letters of «W P» that a black cross goes through."""
    strokes = [line for line in page.lines if line["width"] > MM and line["height"] > MM]
    found = ""
    for letter, column in (("W", 8), ("P", 9)):
        x, y = (LEFT + 7.0 + 5.0 * column) * MM, (TOPS[copy] + 3.85 + 8.46 * 3) * MM
        inside = [s for s in strokes if x <= s["x0"] and s["x1"] <= x + 5 * MM and y <= s["top"] <= y + 5 * MM]
        assert len(inside) in (0, 2)
        found += letter if inside else ""
        assert in_boxes(page, copy, 3, range(column, column + 1)) == letter
    return found


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize(("kind", "letter"), [(OrderKind.CASH, "P"), (OrderKind.TRANSFER, "W")])
def test_the_letter_that_does_not_apply_is_crossed_out(copy: int, kind: OrderKind, letter: str) -> None:
    assert crossed(page_of(printed(order(kind=kind))), copy) == letter


def words_line(page: Any, copy: int) -> str:
    top = TOPS[copy] + 3.85 + 8.46 * 4
    return page.crop(((LEFT + 7) * MM, top * MM, (LEFT + 142) * MM, (top + 5) * MM)).extract_text()


def test_words_are_for_cash_and_the_account_line_of_a_transfer_stays_empty() -> None:
    assert words_line(page_of(printed(order())), 0) == "jeden tysiąc dwieście trzydzieści cztery złote 56/100"
    assert words_line(page_of(printed(order(kind=OrderKind.TRANSFER))), 0) == ""
    assert words_line(page_of(printed(order(amount=None))), 1) == ""


def test_the_longest_words_stay_in_their_line() -> None:
    page = page_of(printed(order(amount=LARGEST_PRINTED)))
    assert words_line(page, 1) == amount_in_words(LARGEST_PRINTED)
    assert in_boxes(page, 1, 3, range(15, 27)) == "999999999,99"


def test_no_amount_leaves_the_boxes_for_handwriting() -> None:
    pdf = printed(order(amount=None))
    assert in_boxes(page_of(pdf), 0, 3, range(15, 27)) == ""
    assert "wpisz kwotę samodzielnie" in page_of(pdf).extract_text()


def test_signs_without_a_place_in_the_code_stand_on_paper() -> None:
    pdf = printed(order(payee_name="SM|Łąka", payer_name="Nguyễn Ωμέγα", title=ALL_LETTERS, customer_no=""))
    page = page_of(pdf)
    assert in_boxes(page, 0, 0, range(27)) == "SM|ŁĄKA"
    assert in_boxes(page, 0, 5, range(27)) == "NGUYEN " + "�" * 5
    assert ALL_LETTERS in page.extract_text()
    assert decoded(pdf)[0].split("|")[4] == "SM Łąka"


def test_the_rest_of_the_page_says_it_in_words_for_people() -> None:
    text = (
        page_of(printed([Sheet(order(), date(2026, 12, 10), 2, 3, Money(300000))])).extract_text().replace("\xa0", " ")
    )
    assert "Do zapłaty 1 234,56 zł do 10 grudnia 2026" in text
    assert format_nrb(NRB) in text
    assert "EBM40VTMJ 4711 Czynsz 11/2026" in text
    assert "2 z 3, razem 3 000,00 zł" in text


def test_it_speaks_the_reader_s_language_and_the_form_stays_polish() -> None:
    with speaking("en"):
        pdf = printed([Sheet(order(), date(2026, 12, 10))])
    text = page_of(pdf).extract_text().replace("\xa0", " ")
    assert "To pay 1 234,56 zł by 10 December 2026" in text
    assert "nr rachunku odbiorcy" in text
    assert b"/Lang (en-GB)" in pdf


# --- figures, words and code tell the same --------------------------------------------------------------------------

names = st.text(st.sampled_from("AŻźćŁ óabc|\"'-."), min_size=1, max_size=60).filter(str.strip)


@settings(max_examples=6, deadline=None)
@given(st.integers(1, LARGEST_PRINTED.grosze), names, names, st.from_regex("[0-9]{2,10}", fullmatch=True))
def test_boxes_words_text_and_code_agree(grosze: int, payee: str, title: str, customer_no: str) -> None:
    made = order(amount=Money(grosze), payee_name=payee, title=title, customer_no=customer_no)
    pdf = printed(made)
    page = page_of(pdf)
    assert decoded(pdf) == [made.qr_payload]
    fields = made.qr_payload.split("|")
    text = page.extract_text().replace("\xa0", " ")
    assert in_boxes(page, 0, 2, range(26)) == fields[2]
    assert format_nrb(fields[2]) in text
    boxed = in_boxes(page, 1, 3, range(15, 27)).strip()
    assert Money.parse(boxed) == Money(grosze)
    assert words_line(page, 0) == amount_in_words(Money(grosze))
    assert int(fields[3]) == (grosze if grosze <= 999_999 else 0)
    assert str(Money(grosze)).replace("\xa0", " ") in text


def test_the_code_is_35_mm_with_a_quiet_zone() -> None:
    pdf = printed(order())
    page = page_of(pdf)
    below = [rect for rect in page.rects if rect["top"] > (TOPS[1] + COPY[1]) * MM and rect["fill"]]
    left, right = min(r["x0"] for r in below), max(r["x1"] for r in below)
    top, bottom = min(r["top"] for r in below), max(r["bottom"] for r in below)
    assert close(((right - left) / MM, (bottom - top) / MM), (QR_SIDE, QR_SIDE))
    module = QR_SIDE / len(qr_code(order().qr_payload)) * MM
    zone = (left - 4 * module, top - 4 * module, right + 4 * module, bottom + 4 * module)
    assert page.crop(zone).chars == []


@given(st.lists(st.integers(0, 1), max_size=40))
def test_dark_runs_are_the_dark_modules(row: list[int]) -> None:
    painted = [0] * len(row)
    for start, end in dark_runs(row):
        painted[start:end] = [1] * (end - start)
    assert painted == row


def test_the_inline_svg_obeys_the_content_security_policy() -> None:
    svg = qr_svg(order().qr_payload, "Kod <&>")
    assert "style" not in svg
    assert "script" not in svg
    assert "<title>Kod &lt;&amp;&gt;</title>" in svg
    assert re.match(r'<svg class="qr" viewBox="0 0 (\d+) \1" role="img"', svg)


# --- the file -------------------------------------------------------------------------------------------------------


def test_the_same_order_is_the_same_bytes_in_another_process() -> None:
    sheet = Sheet(order())
    code = (
        "import sys, pickle; from pathlib import Path; from kernel.i18n import load_catalogues;"
        "from plugins.printing.documents import payment_order_pdf;"
        "load_catalogues([Path('kernel'), Path('plugins/printing')]);"
        "sys.stdout.buffer.write(payment_order_pdf(*pickle.loads(sys.stdin.buffer.read())))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(([sheet], MADE)), check=True, capture_output=True
    ).stdout
    assert printed([sheet]) == there


def test_the_file_is_small_titled_and_embeds_its_fonts() -> None:
    pdf = printed(order())
    assert len(pdf) < 60_000
    assert b"/Lang (pl-PL)" in pdf
    assert b"/DisplayDocTitle true" in pdf
    document = pypdfium2.PdfDocument(pdf)
    metadata = document.get_metadata_dict()
    assert metadata["Title"] == "Polecenie przelewu / wpłata gotówkowa"
    assert metadata["Author"] == "Spółdzielnia „Łąka”"
    assert pdf.count(b"/FontFile2") == 4


def test_several_orders_are_several_pages() -> None:
    sheets = [Sheet(order(amount=Money(at * 100)), number=at, count=3, total=Money(600)) for at in (1, 2, 3)]
    assert len(pypdfium2.PdfDocument(printed(sheets))) == 3
    assert len(decoded(printed(sheets))) == 3

"""The payment order on paper: the standard form «polecenie przelewu / wpłata gotówkowa», two copies on A4.

All measures are millimetres from the top left corner of one copy (A6 landscape, 148 × 105), taken from the form of
PN-F-01101: 27 boxes of 5 × 5 in a line, lines every third of an inch. Below the copies the page repeats everything
for the eye, with the code for the bank's application.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from kernel import Text, _, documents
from plugins.printing.model import LARGEST_IN_QR, OrderKind, PaymentOrder, Sheet

if TYPE_CHECKING:
    from fpdf import FPDF

COPY: Final = (148.0, 105.0)
LEFT: Final = (documents.A4[0] - COPY[0]) / 2
TOPS: Final = (5.0, 110.0)
"""Upper edges of the two copies on the page."""
BOX: Final = 5.0
FIRST_BOX: Final = (7.0, 3.85)
LINE_PITCH: Final = 8.46
COPY_FOR: Final = ("odcinek dla banku zleceniodawcy", "odcinek dla zleceniodawcy")
QR_SIDE: Final = 35.0
"""Side of the code itself; the quiet zone lies around it."""
QUIET_MODULES: Final = 4

_GROUND: Final = "#FFCCCC"
_LINES: Final = "#FF5C5C"
_WHITE: Final = "#FFFFFF"
_INK: Final = "#000000"
_MUTED: Final = "#565F68"
_THIN: Final = 0.15
_BOLD: Final = 0.6
_GROUPS: Final = (2, 6, 10, 14, 18, 22)
"""After how many digits of an account number a bold tick stands."""

_CAPITALS: Final = {documents.SANS: 0.729, documents.MONO: 0.729, documents.DIGITS: 0.765}
"""Height of a capital or digit as a part of the size of its font."""
_POINT: Final = 25.4 / 72


class _Line(NamedTuple):
    """A labelled run of boxes in one line of the form."""

    line: int
    first: int
    boxes: int
    label: str
    bold: bool = False


_FORM: Final = (
    _Line(0, 0, 27, "nazwa odbiorcy"),
    _Line(1, 0, 27, "nazwa odbiorcy cd."),
    _Line(2, 0, 26, "nr rachunku odbiorcy", bold=True),
    _Line(3, 8, 2, ""),
    _Line(3, 11, 3, "waluta"),
    _Line(3, 15, 12, "kwota", bold=True),
    _Line(4, 0, 26, "nr rachunku zleceniodawcy (przelew) / kwota słownie (wpłata)"),
    _Line(5, 0, 27, "nazwa zleceniodawcy"),
    _Line(6, 0, 27, "nazwa zleceniodawcy cd."),
    _Line(7, 0, 27, "tytułem"),
    _Line(8, 0, 27, "tytułem cd."),
)


def payment_order_pdf(sheets: Sequence[Sheet], made: datetime) -> bytes:
    """A PDF with a page for each order. ``made`` (aware) is the only thing in it that is not in the orders."""
    document = documents.new_document(
        str(_("Payment order")), made, author=sheets[0].order.payee_name, subject=sheets[0].order.transfer_title
    )
    for sheet in sheets:
        document.add_page()
        _cut_lines(document)
        for top, copy_for in zip(TOPS, COPY_FOR, strict=True):
            with document.local_context():
                _blank_form(document, LEFT, top, copy_for)
                _filled_in(document, LEFT, top, sheet.order)
        _readable(document, sheet)
    return bytes(document.output())


# --- the form -------------------------------------------------------------------------------------------------------


def box_of(line: int, column: int) -> tuple[float, float]:
    """The upper left corner of a box, in millimetres from that of the copy."""
    return FIRST_BOX[0] + BOX * column, FIRST_BOX[1] + LINE_PITCH * line


def _blank_form(pdf: FPDF, left: float, top: float, copy_for: str) -> None:
    pdf.set_draw_color(_LINES)
    pdf.set_fill_color(_GROUND)
    pdf.rect(left + 7.0, top + 2.3, 135.0, 83.6, style="F")
    pdf.set_fill_color(_WHITE)
    pdf.set_text_color(_LINES)
    for run in _FORM:
        _run_of_boxes(pdf, left, top, run)
    for line in (2, 4):
        _group_ticks(pdf, left, top, line)
    x, y = box_of(3, 8)
    _boxed(pdf, left + x, top + y, "WP", documents.SANS, 11)
    _foot(pdf, left, top)
    _captions(pdf, left, top, copy_for)
    _corner_marks(pdf, left, top)


def _run_of_boxes(pdf: FPDF, left: float, top: float, run: _Line) -> None:
    x, y = box_of(run.line, run.first)
    pdf.set_line_width(_THIN)
    if run.label:
        # The first line's label steps aside for the black corner mark.
        _label(pdf, left + x + (8.0 if run.line == 0 else 1.0), top + y - 2.4, run.label)
    for at in range(run.boxes):
        pdf.rect(left + x + BOX * at, top + y, BOX, BOX, style="DF")
    if run.bold:
        pdf.set_line_width(_BOLD)
        pdf.rect(left + x, top + y - 2.9, BOX * run.boxes, 8.3)


def _label(pdf: FPDF, x: float, y: float, text: str) -> None:
    pdf.set_font(documents.SANS, size=5.5)
    pdf.rect(x, y, pdf.get_string_width(text) + 2.0, 2.4, style="F")
    pdf.text(x + 1.0, y + 1.85, text)


def _group_ticks(pdf: FPDF, left: float, top: float, line: int) -> None:
    pdf.set_line_width(_BOLD)
    for after in _GROUPS:
        x, y = box_of(line, after)
        pdf.line(left + x, top + y + 2.7, left + x, top + y + BOX)


def _foot(pdf: FPDF, left: float, top: float) -> None:
    pdf.set_line_width(_THIN)
    pdf.rect(left + 132.0, top + 78.0, 10.0, 6.0, style="DF")
    pdf.rect(left + 7.0, top + 79.4, 68.3, 23.3, style="DF")
    pdf.rect(left + 98.2, top + 79.4, 23.3, 23.3, style="DF")
    for at in range(4):
        pdf.rect(left + 77.1 + BOX * at, top + 92.4, BOX, BOX, style="DF")
    pdf.set_line_width(_BOLD)
    pdf.line(left + 87.1, top + 92.4, left + 87.1, top + 97.4)
    pdf.set_line_width(_THIN)
    pdf.set_dash_pattern(dash=1.2, gap=0.8)
    pdf.circle(left + 109.85, top + 91.05, 10.3)
    pdf.set_dash_pattern()
    pdf.set_font(documents.SANS, size=5.5)
    pdf.text(left + 8.5, top + 101.6, "pieczęć, data i podpis(y) zleceniodawcy")
    pdf.text(left + 77.3, top + 91.6, "opłata")
    pdf.text(left + 102.6, top + 91.7, "stempel dzienny")


def _captions(pdf: FPDF, left: float, top: float, copy_for: str) -> None:
    pdf.set_font(documents.SANS, size=8)
    for text, x in (("Polecenie przelewu / wpłata gotówkowa", 4.2), (copy_for, 146.0)):
        y = top + 43.0 + pdf.get_string_width(text) / 2
        with pdf.rotation(90, left + x, y):
            pdf.text(left + x, y, text)


def _corner_marks(pdf: FPDF, left: float, top: float) -> None:
    """Black corners by which a reading machine finds the form: both upper ones and the lower left."""
    pdf.set_draw_color(_INK)
    pdf.set_line_width(_BOLD)
    for x, y, right, down in ((4.9, 2.1, 1, 1), (143.6, 2.1, -1, 1), (4.9, 78.3, 1, -1)):
        pdf.line(left + x, top + y, left + x + 8.5 * right, top + y)
        pdf.line(left + x, top + y, left + x, top + y + 8.5 * down)


# --- what is written on it ------------------------------------------------------------------------------------------


def _filled_in(pdf: FPDF, left: float, top: float, order: PaymentOrder) -> None:
    pdf.set_text_color(_INK)
    amount = order.figure
    for line, column, text, font, size in (
        (0, 0, order.payee_lines[0], documents.MONO, 11),
        (1, 0, order.payee_lines[1], documents.MONO, 11),
        (2, 0, order.payee_account, documents.DIGITS, 12.5),
        (3, 11, "PLN", documents.MONO, 11),
        (3, 27 - len(amount), amount, documents.DIGITS, 12.5),
        (5, 0, order.payer_lines[0], documents.MONO, 11),
        (6, 0, order.payer_lines[1], documents.MONO, 11),
        (7, 0, order.title_lines[0].upper(), documents.MONO, 11),
        (8, 0, order.title_lines[1].upper(), documents.MONO, 11),
    ):
        x, y = box_of(line, column)
        _boxed(pdf, left + x, top + y, text, font, size)
    # W is a cash payment («wpłata»), P a transfer («przelew»): the letter that does not apply is crossed out.
    _crossed_out(pdf, left, top, column=8 if order.kind is OrderKind.TRANSFER else 9)
    if order.kind is OrderKind.CASH:
        x, y = box_of(4, 0)
        _fitted(pdf, left + x + 1.0, top + y, order.words, width=26 * BOX - 2.0, size=9.5)


def _boxed(pdf: FPDF, x: float, y: float, text: str, font: str, size: float) -> None:
    """Signs one in a box, each in its middle."""
    pdf.set_font(font, size=size)
    baseline = _middle(y, font, size)
    for at, sign in enumerate(documents.printable(text)):
        if sign != " ":
            pdf.text(x + BOX * at + (BOX - pdf.get_string_width(sign)) / 2, baseline, sign)


def _fitted(pdf: FPDF, x: float, y: float, text: str, *, width: float, size: float, bold: bool = False) -> None:
    """Running text in the middle of a line of boxes' height, smaller where it would not fit."""
    text = documents.printable(text)
    pdf.set_font(documents.SANS, "B" if bold else "", size)
    size = min(size, size * width / max(pdf.get_string_width(text), 0.1))
    pdf.set_font_size(size)
    pdf.text(x, _middle(y, documents.SANS, size), text)


def _middle(y: float, font: str, size: float) -> float:
    return y + (BOX + _CAPITALS[font] * size * _POINT) / 2


def _crossed_out(pdf: FPDF, left: float, top: float, column: int) -> None:
    x, y = box_of(3, column)
    pdf.set_draw_color(_INK)
    pdf.set_line_width(0.5)
    pdf.line(left + x + 0.5, top + y + 0.5, left + x + 4.5, top + y + 4.5)
    pdf.line(left + x + 0.5, top + y + 4.5, left + x + 4.5, top + y + 0.5)


# --- the rest of the page -------------------------------------------------------------------------------------------


def _cut_lines(pdf: FPDF) -> None:
    bottom = TOPS[1] + COPY[1]
    with pdf.local_context():
        pdf.set_draw_color("#9AA3AB")
        pdf.set_text_color("#9AA3AB")
        pdf.set_line_width(0.1)
        pdf.set_dash_pattern(dash=1.0, gap=1.2)
        for y in (TOPS[1], bottom):
            pdf.line(6.0, y, documents.A4[0] - 6.0, y)
        for x in (LEFT, LEFT + COPY[0]):
            pdf.line(x, TOPS[0], x, bottom)
        pdf.set_font(documents.SANS, size=9)
        for y in (TOPS[1], bottom):
            pdf.text(8.0, y + 1.15, "✂")


def _readable(pdf: FPDF, sheet: Sheet) -> None:
    order = sheet.order
    top = TOPS[1] + COPY[1] + 7.0
    x, width = LEFT + 1.0, 166.0
    if order.qr_payload:
        _draw_qr(pdf, x, top + 3.6, order.qr_payload)
        _caption(pdf, x, top + 44.0, qr_advice(order), width=QR_SIDE + 4)
        x, width = LEFT + 48.0, 119.0
    pdf.set_text_color(_INK)
    _fitted(pdf, x, top - 1.0, _headline(sheet), width=width, size=14, bold=True)
    y = top + 8.0
    for label, value in _facts(sheet):
        pdf.set_text_color(_MUTED)
        _fitted(pdf, x, y, str(label), width=23.0, size=8)
        pdf.set_text_color(_INK)
        _fitted(pdf, x + 25.0, y, value, width=width - 25.0, size=9)
        y += 6.6
    _caption(pdf, x, y + 3.0, _explanation(order), width=width)


def _headline(sheet: Sheet) -> str:
    text = _("Payment order") if sheet.order.amount is None else _("To pay {amount}", amount=sheet.order.amount)
    if sheet.order.amount is not None and sheet.pay_by:
        text = _("To pay {amount} by {day}", amount=sheet.order.amount, day=sheet.pay_by)
    if sheet.count > 1:
        text = _("Order {number} of {count}. {what}", number=sheet.number, count=sheet.count, what=text)
    return str(text)


def _facts(sheet: Sheet) -> list[tuple[Text, str]]:
    order = sheet.order
    rows = [
        (_("Payee"), ", ".join(filter(None, (order.payee_name, order.payee_address)))),
        (_("Account number"), order.account or str(_("write the number that the office gives you"))),
        (_("Amount"), str(_("write the amount yourself") if order.amount is None else order.amount)),
        (_("Transfer title"), order.transfer_title),
        (_("Payer"), ", ".join(filter(None, (order.payer_name, order.payer_address)))),
    ]
    if sheet.count > 1:
        place = _("{number} of {count}", number=sheet.number, count=sheet.count)
        total = _("{place}, {total} together", place=place, total=sheet.total) if sheet.total else place
        rows.append((_("This order"), str(total)))
    return rows


def _explanation(order: PaymentOrder) -> Text:
    if not order.payee_account:
        return _(
            "Ask the office for the account number and write it into the empty boxes of both parts. "
            "Leave the title as it is: it tells us whose payment this is."
        )
    if order.kind is OrderKind.CASH:
        return _(
            "Pay with this form at a bank or a post office: sign both parts, keep one with the stamp. "
            "Or scan the code with your bank's application. "
            "Leave the title as it is: it tells us whose payment this is."
        )
    return _(
        "Scan the code with your bank's application, or copy the account number and the title into your transfer. "
        "You can also hand this form in at your bank: write your own account number and sign it. "
        "Leave the title as it is: it tells us whose payment this is."
    )


def qr_advice(order: PaymentOrder) -> Text:
    """What to do with the code, on paper and on the page."""
    if order.amount_in_qr:
        return _("Scan the code with your bank's application.")
    if order.amount is None:
        return _("Scan the code with your bank's application and write the amount yourself.")
    return _(
        "Scan the code with your bank's application and write the amount yourself: the code holds at most {limit}.",
        limit=LARGEST_IN_QR,
    )


def _caption(pdf: FPDF, x: float, y: float, text: Text, *, width: float) -> None:
    pdf.set_text_color(_MUTED)
    pdf.set_font(documents.SANS, size=8)
    pdf.set_xy(x, y)
    pdf.multi_cell(width, 4.0, documents.printable(str(text)), align="L")


# --- the code -------------------------------------------------------------------------------------------------------


def qr_code(payload: str) -> list[list[int]]:
    """The rows of a code of level M without its quiet zone; 1 is dark."""
    import segno

    code = segno.make(payload, error="m", micro=False, encoding="utf-8", boost_error=False)
    return [list(row) for row in code.matrix]


@lru_cache(maxsize=512)
def qr_svg(payload: str, title: str) -> str:
    """The code as inline SVG with its quiet zone: dark modules in one path, no style attributes, a name for readers."""
    rows = qr_code(payload)
    side = len(rows) + 2 * QUIET_MODULES
    dark = "".join(
        f"M{start + QUIET_MODULES} {y}h{end - start}v1h-{end - start}z"
        for y, row in enumerate(rows, start=QUIET_MODULES)
        for start, end in dark_runs(row)
    )
    return (
        f'<svg class="qr" viewBox="0 0 {side} {side}" role="img" shape-rendering="crispEdges">'
        f"<title>{escape(title)}</title>"
        f'<path fill="#fff" d="M0 0h{side}v{side}h-{side}z"/><path fill="#000" d="{dark}"/></svg>'
    )


def dark_runs(row: Sequence[int]) -> list[tuple[int, int]]:
    """Where dark modules begin and end: ``1 1 0 1`` → (0, 2), (3, 4)."""
    edges = [at for at in range(len(row) + 1) if (row[at] if at < len(row) else 0) != (row[at - 1] if at else 0)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _draw_qr(pdf: FPDF, x: float, y: float, payload: str) -> None:
    rows = qr_code(payload)
    module = QR_SIDE / len(rows)
    pdf.set_fill_color(_INK)
    for at, row in enumerate(rows):
        for start, end in dark_runs(row):
            pdf.rect(x + start * module, y + at * module, (end - start) * module, module, style="F")

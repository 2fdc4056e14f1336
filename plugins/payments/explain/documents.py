"""The account statement (wyciąg) on paper: what was owed before, every entry, what is owed after, and as of when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from kernel import Money, Text, _, documents, ngettext, short_date
from plugins.payments.explain.model import Line, Statement, balance_title
from plugins.payments.face import Side
from plugins.payments.model import KINDS

if TYPE_CHECKING:
    from fpdf import FPDF

LEFT, RIGHT, TOP, BOTTOM = 18.0, 192.0, 18.0, 275.0
ROW: Final = 5.2
"""Height of a line of the table, in millimetres."""
_INK, _MUTED, _RULE, _BAND = "#1B1F24", "#565F68", "#AEB6BC", "#F1F3F2"

_COLUMNS: Final = (18.0, 42.0, 122.0, 143.0, 166.0, RIGHT)
"""Where the columns begin: day, what it is, charged, paid, balance; the right edges of the last three."""


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Whose paper it is and for whom; ``made`` is the instant whose knowledge it holds, in local time."""

    organisation: str
    address: tuple[str, ...]
    customer: str
    customer_no: str
    made: datetime


def statement_pdf(statement: Statement, head: Letterhead) -> bytes:
    """A4 pages with the statement; the same bytes for the same statement and instant."""
    title = _("Account statement")
    pdf = documents.new_document(str(title), head.made, author=head.organisation, subject=head.customer_no)
    pdf.add_page()
    y = _head(pdf, statement, head, title)
    y = _summary(pdf, statement, y)
    y = _table_head(pdf, y)
    y = _figure_row(pdf, y, statement.since, _("Balance before"), statement.opening)
    for line, balance in statement.running():
        if y > BOTTOM - 2 * ROW:
            pdf.add_page()
            y = _table_head(pdf, TOP)
        y = _entry_row(pdf, y, line, balance)
    if not statement.is_whole:
        left = statement.entries - len(statement.lines)
        words = ngettext(
            "{count} further entry is not printed; choose a shorter period.",
            "{count} further entries are not printed; choose a shorter period.",
            left,
        )
        y = _note(pdf, y, words)
    if y > BOTTOM - 2 * ROW:
        pdf.add_page()
        y = _table_head(pdf, TOP)
    _figure_row(pdf, y, statement.until, _("Balance after"), statement.closing)
    _page_numbers(pdf, head)
    return bytes(pdf.output())


def _head(pdf: FPDF, statement: Statement, head: Letterhead, title: Text) -> float:
    _text(pdf, LEFT, TOP, head.organisation, 10, bold=True)
    for place, line in enumerate(head.address, 1):
        _text(pdf, LEFT, TOP + 4.6 * place, line, 9, colour=_MUTED)
    y = TOP + 24.0
    _text(pdf, LEFT, y, str(title), 18, bold=True)
    span = _("from {since} to {until}", since=statement.since, until=statement.until)
    _text(pdf, LEFT, y + 7.0, str(span), 11)
    _text(pdf, LEFT, y + 16.0, head.customer, 11, bold=True)
    _text(pdf, LEFT, y + 21.0, f"{_('Customer no.')} {head.customer_no}", 9.5, colour=_MUTED)
    return y + 30.0


def _summary(pdf: FPDF, statement: Statement, y: float) -> float:
    """What was owed, what came, what is owed: the answer before the rows."""
    pdf.set_fill_color(_BAND)
    pdf.rect(LEFT, y, RIGHT - LEFT, 19.0, style="F")
    figures: Sequence[tuple[Text, Money]] = (
        (_("Balance before"), statement.opening),
        (_("What was charged"), statement.charged),
        (_("What was paid"), statement.credited),
        (balance_title(statement.closing), statement.closing),
    )
    width = (RIGHT - LEFT) / len(figures)
    for place, (label, amount) in enumerate(figures):
        last = place == len(figures) - 1
        _text(pdf, LEFT + 4.0 + width * place, y + 6.5, str(label), 8, colour=_MUTED)
        shown = str(Money(abs(amount.grosze)) if last else _signed(amount))
        _text(pdf, LEFT + 4.0 + width * place, y + 13.5, shown, 12, bold=last)
    return y + 27.0


def _signed(amount: Money) -> str:
    """A figure with a word for what is overpaid, so that no sign stands alone."""
    return str(amount) if amount.grosze >= 0 else str(_("overpaid {amount}", amount=-amount))


def _table_head(pdf: FPDF, y: float) -> float:
    for label, x in ((_("Date"), _COLUMNS[0]), (_("What for"), _COLUMNS[1])):
        _text(pdf, x, y, str(label), 8, colour=_MUTED)
    for label, x in ((_("Charged"), _COLUMNS[3]), (_("Paid"), _COLUMNS[4]), (_("Balance after it"), _COLUMNS[5])):
        _right(pdf, x, y, str(label), 8, colour=_MUTED)
    _rule(pdf, y + 2.0)
    return y + 2.0 + ROW


def _entry_row(pdf: FPDF, y: float, line: Line, balance: Money) -> float:
    _text(pdf, _COLUMNS[0], y, short_date(line.on), 9)
    name = str(line.title or KINDS[line.kind])
    _text(pdf, _COLUMNS[1], y, _fitting(pdf, f"{name}  {line.document_no}".strip(), _COLUMNS[2] - _COLUMNS[1]), 9)
    _right(pdf, _COLUMNS[3 if line.side is Side.CHARGE else 4], y, line.amount.figure, 9)
    _right(pdf, _COLUMNS[5], y, _short(balance), 9)
    _rule(pdf, y + 1.7)
    return y + ROW + 0.6


def _short(balance: Money) -> str:
    return balance.figure if balance.grosze >= 0 else f"{_('overpaid')} {(-balance).figure}"


def _figure_row(pdf: FPDF, y: float, day: date, label: Text, amount: Money) -> float:
    _text(pdf, _COLUMNS[0], y, short_date(day), 9, bold=True)
    _text(pdf, _COLUMNS[1], y, str(label), 9, bold=True)
    _right(pdf, _COLUMNS[5], y, _short(amount), 9, bold=True)
    _rule(pdf, y + 1.7)
    return y + ROW + 0.6


def _note(pdf: FPDF, y: float, words: Text) -> float:
    _text(pdf, _COLUMNS[1], y, str(words), 9, colour=_MUTED)
    return y + ROW + 0.6


def _page_numbers(pdf: FPDF, head: Letterhead) -> None:
    """Both times and the place among the pages, at the foot of each."""
    count = pdf.pages_count
    known = _("According to what was known on {day}, {time}.", day=head.made.date(), time=f"{head.made:%H:%M}")
    for number in range(1, count + 1):
        pdf.page = number
        pdf.set_font(documents.SANS, "", 9)  # another size than below: a font that is set already is not written again
        _text(pdf, LEFT, BOTTOM + 8.0, str(known), 8, colour=_MUTED)
        page = _("Page {number} of {count}", number=number, count=count)
        _right(pdf, RIGHT, BOTTOM + 8.0, str(page), 8, colour=_MUTED)


# --- drawing --------------------------------------------------------------------------------------------------------


def _text(pdf: FPDF, x: float, y: float, text: str, size: float, *, bold: bool = False, colour: str = _INK) -> None:
    pdf.set_font(documents.SANS, "B" if bold else "", size)
    pdf.set_text_color(colour)
    pdf.text(x, y, documents.printable(text))


def _right(pdf: FPDF, x: float, y: float, text: str, size: float, *, bold: bool = False, colour: str = _INK) -> None:
    pdf.set_font(documents.SANS, "B" if bold else "", size)
    _text(pdf, x - pdf.get_string_width(documents.printable(text)), y, text, size, bold=bold, colour=colour)


def _fitting(pdf: FPDF, text: str, width: float) -> str:
    """The text, cut with an ellipsis where it is wider than ``width`` millimetres."""
    pdf.set_font(documents.SANS, "", 9)
    text = documents.printable(text)
    while pdf.get_string_width(text) > width:
        text = f"{text.rstrip('…')[:-1]}…"
    return text


def _rule(pdf: FPDF, y: float) -> None:
    pdf.set_draw_color(_RULE)
    pdf.set_line_width(0.1)
    pdf.line(LEFT, y, RIGHT, y)

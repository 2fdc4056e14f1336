"""The interest note on paper: who owes whom, each charge with its periods and rates, and where to pay."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from kernel import Text, _, documents, short_date
from plugins.payments.accrual.model import InterestLine
from plugins.payments.interest import words
from plugins.payments.interest.notes import Creditor, Note, NoteLine
from plugins.payments.model import KINDS

if TYPE_CHECKING:
    from fpdf import FPDF

LEFT, RIGHT, TOP, BOTTOM = 18.0, 192.0, 18.0, 275.0
ROW: Final = 5.2
"""Height of a line of the table, in millimetres."""
_INK, _MUTED, _RULE, _BAND = "#1B1F24", "#565F68", "#AEB6BC", "#F1F3F2"

_PERIOD: Final = LEFT + 4.0
_NUMBERS: Final = (86.0, 116.0, 140.0, RIGHT)
"""Right edges of days, principal, rate and interest."""


def note_pdf(note: Note, creditor: Creditor, made: datetime) -> bytes:
    """A4 pages with the note; the same bytes for the same note. ``made`` (aware) is the date that it states."""
    pdf = documents.new_document(
        f"{_('Interest note')} {note.note_no}", made, author=creditor.name, subject=note.note_no
    )
    pdf.add_page()
    y = _table_head(pdf, _answer(pdf, note, creditor, _head(pdf, note, creditor)))
    for line in note.lines:
        y = _charge(pdf, y, line)
    _total(pdf, y, note)
    _feet(pdf, note)
    return bytes(pdf.output())


def _head(pdf: FPDF, note: Note, creditor: Creditor) -> float:
    _text(pdf, LEFT, TOP, creditor.name, 10, bold=True)
    lines = [*creditor.address, *([f"NIP {creditor.nip}"] if creditor.nip else [])]
    for place, line in enumerate(lines, 1):
        _text(pdf, LEFT, TOP + 4.6 * place, line, 9, colour=_MUTED)
    _right(pdf, RIGHT, TOP, str(_("Issued on {day}", day=note.issued_on)), 9, colour=_MUTED)
    y = TOP + 28.0
    _text(pdf, LEFT, y, str(_("Interest note")), 18, bold=True)
    _text(pdf, LEFT, y + 7.0, note.note_no, 12)
    _text(pdf, 110.0, y - 4.0, str(_("Debtor")), 8, colour=_MUTED)
    _text(pdf, 110.0, y + 1.0, _fitting(pdf, note.customer_name, RIGHT - 110.0, 11), 11, bold=True)
    debtor = [*note.address, f"{_('Customer no.')} {note.customer_no}", *([f"NIP {note.nip}"] if note.nip else [])]
    for place, line in enumerate(debtor, 1):
        _text(pdf, 110.0, y + 1.0 + 4.6 * place, line, 9)
    return y + 26.0


def _answer(pdf: FPDF, note: Note, creditor: Creditor, y: float) -> float:
    """What to pay, by when and where: before the table that explains it."""
    pdf.set_fill_color(_BAND)
    height = 26.0 if creditor.account_no else 20.0
    pdf.rect(LEFT, y, RIGHT - LEFT, height, style="F")
    _text(pdf, LEFT + 4.0, y + 6.5, str(_("To pay by {day}", day=note.due_on)), 9, colour=_MUTED)
    _text(pdf, LEFT + 4.0, y + 15.0, str(note.total), 18, bold=True)
    if creditor.account_no:
        _text(pdf, 86.0, y + 6.5, str(_("To the account")), 8, colour=_MUTED)
        _text(pdf, 86.0, y + 12.0, _grouped(creditor.account_no), 10.5)
        _text(pdf, 86.0, y + 18.0, str(_("Title of the transfer")), 8, colour=_MUTED)
        _text(pdf, 86.0, y + 23.0, creditor.transfer_title, 10.5)
    says = _("Interest for delay up to {day}, that day included.", day=note.as_of)
    _text(pdf, LEFT, y + height + 8.0, str(says), 9.5)
    return y + height + 17.0


def _grouped(account_no: str) -> str:
    return " ".join([account_no[:2], *(account_no[place : place + 4] for place in range(2, len(account_no), 4))])


def _table_head(pdf: FPDF, y: float) -> float:
    _text(pdf, LEFT, y, str(_("Charge and period")), 8, colour=_MUTED)
    for label, x in zip((_("Days"), _("Principal"), _("Rate a year"), _("Interest")), _NUMBERS, strict=True):
        _right(pdf, x, y, str(label), 8, colour=_MUTED)
    _rule(pdf, y + 2.0)
    return y + 2.0 + ROW


def _charge(pdf: FPDF, y: float, line: NoteLine) -> float:
    """A charge with its periods; its rounded interest stands in bold. It begins where its first rows fit."""
    y = _room(pdf, y, 3)
    name = line.title or str(KINDS[line.kind])
    head = f"{name}  {line.document_no}".strip()
    _text(pdf, LEFT, y, _fitting(pdf, head, 104.0, 9.5), 9.5, bold=True)
    said = _("{amount} due {day}", amount=line.charged, day=short_date(line.due_on))
    _right(pdf, RIGHT, y, str(said), 8.5, colour=_MUTED)
    y += ROW
    for part in line.lines:
        y = _period(pdf, _room(pdf, y, 1), part)
    for label, amount in ((_("Days of earlier notes, and rounding"), line.earlier), (_("Noted before"), -line.noted)):
        if amount:
            y = _room(pdf, y, 1)
            _text(pdf, _PERIOD, y, str(label), 9)
            figure = str(amount) if amount.grosze > 0 else str(_("less {amount}", amount=-amount))
            _right(pdf, RIGHT, y, figure, 9)
            y += ROW
    y = _room(pdf, y, 1)
    _text(pdf, _PERIOD, y, str(_("Interest of this charge, rounded")), 9)
    _right(pdf, RIGHT, y, str(line.amount), 9.5, bold=True)
    _rule(pdf, y + 2.2)
    return y + ROW + 2.0


def _period(pdf: FPDF, y: float, part: InterestLine) -> float:
    _text(pdf, _PERIOD, y, f"{short_date(part.first_day)}-{short_date(part.last_day)}", 9)
    days, principal, rate, interest = _NUMBERS
    _right(pdf, days, y, str(part.days), 9)
    _right(pdf, principal, y, words.figure(part.principal), 9)
    _right(pdf, rate, y, words.percent(part.percent), 9)
    _right(pdf, interest, y, words.exact(part.exact), 9)
    return y + ROW


def _total(pdf: FPDF, y: float, note: Note) -> None:
    y = _room(pdf, y, 4)
    _text(pdf, LEFT, y + 1.0, str(_("Interest together")), 11, bold=True)
    _right(pdf, RIGHT, y + 1.0, str(note.total), 11, bold=True)
    how = _("Interest of a period is principal × rate a year × days / 365; it is rounded once for each charge.")
    _text(pdf, LEFT, y + 9.0, str(how), 8, colour=_MUTED)


def _room(pdf: FPDF, y: float, rows: int) -> float:
    """Where the next rows stand: here, or under a new head on the next page."""
    if y + rows * ROW <= BOTTOM:
        return y
    pdf.add_page()
    return _table_head(pdf, TOP)


def _feet(pdf: FPDF, note: Note) -> None:
    count = pdf.pages_count
    for number in range(1, count + 1):
        pdf.page = number
        pdf.set_font(documents.SANS, size=1)  # so that the next font is written into this page
        _text(pdf, LEFT, BOTTOM + 8.0, f"{_('Interest note')} {note.note_no}", 8, colour=_MUTED)
        page: Text = _("Page {number} of {count}", number=number, count=count)
        _right(pdf, RIGHT, BOTTOM + 8.0, str(page), 8, colour=_MUTED)


# --- drawing --------------------------------------------------------------------------------------------------------


def _text(pdf: FPDF, x: float, y: float, text: str, size: float, *, bold: bool = False, colour: str = _INK) -> None:
    pdf.set_font(documents.SANS, "B" if bold else "", size)
    pdf.set_text_color(colour)
    pdf.text(x, y, documents.printable(text))


def _right(pdf: FPDF, x: float, y: float, text: str, size: float, *, bold: bool = False, colour: str = _INK) -> None:
    pdf.set_font(documents.SANS, "B" if bold else "", size)
    _text(pdf, x - pdf.get_string_width(documents.printable(text)), y, text, size, bold=bold, colour=colour)


def _fitting(pdf: FPDF, text: str, width: float, size: float) -> str:
    """The text, cut with an ellipsis where it is wider than ``width`` millimetres in bold."""
    pdf.set_font(documents.SANS, "B", size)
    text = documents.printable(text)
    while pdf.get_string_width(text) > width:
        text = f"{text.rstrip('…')[:-1]}…"
    return text


def _rule(pdf: FPDF, y: float) -> None:
    pdf.set_draw_color(_RULE)
    pdf.set_line_width(0.1)
    pdf.line(LEFT, y, RIGHT, y)

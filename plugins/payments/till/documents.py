"""The list of a day on paper: bundles with their rows, sums by the way in which money came and by kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from kernel import Money, Text, _, documents, long_date, ngettext
from plugins.payments.model import CHANNELS
from plugins.payments.till.model import Bundle, Row, Sum, sums_by_channel, sums_by_kind

if TYPE_CHECKING:
    from fpdf import FPDF

LEFT: Final = 15.0
WIDTH: Final = documents.A4[0] - 2 * LEFT
BOTTOM: Final = documents.A4[1] - 18.0
_INK, _MUTED, _LINE = "#1B1F24", "#565F68", "#B9C0C6"
_COLUMNS: Final = (9.0, 47.0, 24.0, 27.0, 21.0, 25.0, 25.0)
"""Widths in millimetres: number, customer, amount, way, state, who entered, who approved."""
_STATES: Final = {
    "draft": _("Draft"),
    "approved": _("Approved"),
    "reversed": _("reversed"),
    "voided": _("Voided"),
}


@dataclass(slots=True)
class _Sheet:
    """Where on which page the next line goes."""

    pdf: FPDF
    title: str
    y: float = 0.0

    def page(self) -> None:
        self.pdf.add_page()
        self.y = 15.0
        if self.pdf.page > 1:
            self.text(self.title, size=8, color=_MUTED)
        self._foot()

    def room(self, height: float) -> None:
        """Begin another page where ``height`` is not left on this one."""
        if self.y + height > BOTTOM:
            self.page()

    def text(self, text: str, *, size: float = 9.5, bold: bool = False, color: str = _INK, after: float = 1.5) -> None:
        self.room(size * 0.5)
        self.pdf.set_font(documents.SANS, "B" if bold else "", size)
        self.pdf.set_text_color(color)
        self.pdf.set_xy(LEFT, self.y)
        self.pdf.multi_cell(WIDTH, size * 0.5, documents.printable(text), align="L", new_x="LMARGIN", new_y="NEXT")
        self.y = self.pdf.get_y() + after

    def row(
        self, cells: Sequence[str], widths: Sequence[float], *, bold: bool = False, rule: bool = False, right: int = 2
    ) -> None:
        """A line of a table; column ``right`` holds figures."""
        self.room(6.0)
        if rule:
            self.pdf.set_draw_color(_LINE)
            self.pdf.set_line_width(0.2)
            self.pdf.line(LEFT, self.y, LEFT + sum(widths), self.y)
        self.pdf.set_font(documents.SANS, "B" if bold else "", 8)
        self.pdf.set_text_color(_INK)
        x = LEFT
        for place, (text, width) in enumerate(zip(cells, widths, strict=True)):
            self.pdf.set_xy(x, self.y)
            self.pdf.cell(
                width,
                5.2,
                _fitted(self.pdf, documents.printable(text), width - 1.5),
                align="R" if place == right else "L",
            )
            x += width + (2.0 if place == right else 0.0)
        self.y += 5.2

    def _foot(self) -> None:
        self.pdf.set_font(documents.SANS, "", 7.5)
        self.pdf.set_text_color(_MUTED)
        self.pdf.set_xy(LEFT, documents.A4[1] - 12.0)
        self.pdf.cell(WIDTH, 4, str(_("page {number}", number=self.pdf.page)), align="R")


def day_list(day: date, bundles: Sequence[Bundle], organisation: str, made: datetime) -> bytes:
    """The list of a day; drafts are marked, since they do not count yet."""
    title = str(_("Payments of {day}", day=long_date(day)))
    sheet = _Sheet(documents.new_document(title, made, author=organisation), title)
    sheet.page()
    rows = [row for bundle in bundles for row in bundle.rows]
    counting = [row for row in rows if row.counts]
    drafts = sum(1 for row in rows if row.is_draft)
    sheet.text(organisation, color=_MUTED)
    sheet.text(title, size=14, bold=True)
    count = ngettext("{count} payment", "{count} payments", len(counting))
    sheet.text(f"{count}, {Money.total(row.amount for row in counting)}", size=10.5)
    if drafts:
        sheet.text(str(ngettext("{count} of them is a draft", "{count} of them are drafts", drafts)), bold=True)
    _sums(sheet, _("How it came"), sums_by_channel(rows))
    _sums(sheet, _("Kind"), sums_by_kind(rows))
    for bundle in bundles:
        _bundle(sheet, bundle)
    return bytes(sheet.pdf.output())


def _sums(sheet: _Sheet, label: Text, sums: Iterable[Sum]) -> None:
    widths = (60.0, 25.0, 35.0)
    sheet.y += 2.0
    sheet.row((str(label), str(_("Payments")), str(_("Sum"))), widths, bold=True)
    for one in sums:
        sheet.row((str(one.label), str(one.count), str(one.amount)), widths, rule=True)


def _bundle(sheet: _Sheet, bundle: Bundle) -> None:
    sheet.y += 4.0
    sheet.room(24.0)
    sheet.text(str(_("Bundle {number}", number=bundle.label)), size=11, bold=True)
    facts = [str(_("begun by {name}", name=bundle.author))]
    if bundle.expected_sum is not None:
        facts.append(str(_("should be {amount}", amount=bundle.expected_sum)))
    if bundle.difference_reason:
        facts.append(str(_("It differed: {why}", why=bundle.difference_reason)))
    sheet.text(" · ".join(facts), size=8, color=_MUTED)
    heads = (_("No."), _("Customer"), _("Amount"), _("How it came"), _("State"), _("Entered by"), _("Approved by"))
    sheet.row([str(head) for head in heads], _COLUMNS, bold=True)
    for row in bundle.rows:
        sheet.row(_cells(row), _COLUMNS, rule=True)
    sheet.row(("", str(_("Total")), str(bundle.total), "", "", "", ""), _COLUMNS, bold=True, rule=True)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        str(row.place),
        f"{row.account_no} {row.name}",
        str(row.amount),
        str(CHANNELS.get(row.channel, "")),
        str(_STATES[row.state]),
        row.author,
        row.approver,
    )


def _fitted(pdf: FPDF, text: str, width: float) -> str:
    """The text, shortened where it is wider than its column."""
    if pdf.get_string_width(text) <= width:
        return text
    while text and pdf.get_string_width(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"

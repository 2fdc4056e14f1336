"""Papers about books: the letter about another bank account, and the control report of a closed month."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from kernel import Money, Text, _, documents
from plugins.payments.books.model import FINDINGS, STORNOS
from plugins.payments.books.month_store import Closing
from plugins.payments.books.store import PayeeChange
from plugins.payments.model import KINDS

if TYPE_CHECKING:
    from fpdf import FPDF

LEFT: Final = 20.0
WIDTH: Final = documents.A4[0] - 2 * LEFT
_INK, _MUTED, _LINE = "#1B1F24", "#565F68", "#B9C0C6"


class Sender(Protocol):
    """The organisation, as it signs its papers."""

    @property
    def payee_name(self) -> str: ...
    @property
    def street(self) -> str: ...
    @property
    def city(self) -> str: ...


# --- the letter -----------------------------------------------------------------------------------------------------


def payee_letter(change: PayeeChange, organisation: Sender, counts_from: str, made: datetime) -> bytes:
    """The letter about a change. It goes by post to the organisation's own address when there is no second
    superadministrator."""
    title = _("Change of the bank account that customers pay to")
    pdf = documents.new_document(str(title), made, author=organisation.payee_name)
    pdf.add_page()
    y = _paragraph(
        pdf, 24.0, "\n".join(filter(None, (organisation.payee_name, organisation.street, organisation.city)))
    )
    y = _heading(pdf, y + 24.0, str(title), size=15)
    said = _(
        "On {day} {name} asked in the electronic customer office to change the bank account to which the customers of "
        "the book «{book}» pay.",
        day=made.date(),
        name=change.asked_by,
        book=change.book_name,
    )
    y = _paragraph(pdf, y + 4.0, str(said))
    if change.alone:
        alone = _(
            "There is no second superadministrator to confirm it, so this letter goes to the organisation's address."
        )
        y = _paragraph(pdf, y + 2.0, str(alone))
    y = _facts(
        pdf,
        y + 5.0,
        (
            (_("Bank account until now"), _grouped(change.account_no_before)),
            (_("New bank account"), _grouped(change.account_no)),
            (_("Prefix of customers’ own accounts until now"), change.virtual_prefix_before or "—"),
            (_("New prefix"), change.virtual_prefix or "—"),
            (_("It counts from"), counts_from or "—"),
        ),
    )
    _paragraph(
        pdf,
        y + 5.0,
        str(
            _(
                "Check the new account with your bank. If nobody responsible knows of this change, withdraw it before "
                "that moment on the page of the book, change the passwords of superadministrators, and tell your bank "
                "and the police."
            )
        ),
    )
    return bytes(pdf.output())


def _grouped(account_no: str) -> str:
    groups = [account_no[:2], *(account_no[at : at + 4] for at in range(2, len(account_no), 4))]
    return " ".join(groups).strip() or "—"


# --- the control report ---------------------------------------------------------------------------------------------


def control_report(closing: Closing, month: str, organisation: Sender, closed_at: str) -> bytes:
    """The control report of a month: what was booked in it, and the proofs that nothing is missing."""
    report = closing.report
    if report is None:
        raise ValueError("the report is not made yet")
    title = str(_("Control report of a closed month: {month}", month=month))
    pdf = documents.new_document(title, closing.closed_at, author=organisation.payee_name)
    pdf.add_page()
    y = _paragraph(pdf, 16.0, organisation.payee_name, muted=True)
    y = _heading(pdf, y + 2.0, title, size=14)
    y = _facts(
        pdf,
        y + 3.0,
        (
            (_("Book"), f"{report['book_name']} ({report['book']})"),
            (_("Closed by"), f"{closing.closed_by}, {closed_at}"),
            (_("State"), str(closing_state(closing))),
            (_("Reversals in turnover"), str(STORNOS[report["storno"]])),
        ),
    )
    y = _heading(pdf, y + 4.0, str(_("Balances and turnover")))
    y = _table(pdf, y, (_("Position"), _("Debit"), _("Credit")), _turnover_rows(report["turnover"]))
    y = _heading(pdf, y + 4.0, str(_("Turnover by kind")))
    y = _table(pdf, y, (_("Kind"), _("Entries"), _("Debit"), _("Credit")), _kind_rows(report))
    y = _heading(pdf, y + 4.0, str(_("Proofs")))
    y = _facts(pdf, y, proofs(report))
    for name in report["findings"]:
        y = _paragraph(pdf, y + 1.0, str(FINDINGS[name]))
    y = _paragraph(pdf, y + 3.0, str(_("Head of the seals: {seal}", seal=report["proof"]["seal"])), mono=True)
    y = _paragraph(pdf, y + 1.0, str(_("SHA-256 of this report: {digest}", digest=closing.sha256)), mono=True)
    pdf.line(LEFT, 274.0, LEFT + 70.0, 274.0)
    _paragraph(pdf, 275.0, str(_("date and signature")), muted=True)
    return bytes(pdf.output())


def closing_state(closing: Closing) -> Text:
    """How a closing stands, in words."""
    return {
        "running": _("the report is being made"),
        "closed": _("closed"),
        "failed": _("not closed: the ledger was found wrong"),
        "reopened": _("opened again"),
    }[closing.state]


def proofs(report: Mapping[str, Any]) -> list[tuple[Text, str]]:
    """What a control report proves, as pairs of label and figure."""
    journal, accounts = report["journal"], report["accounts"]
    numbers = "—" if journal["first"] is None else f"{journal['first']}–{journal['last']}"
    return [
        (_("Journal numbers of the month"), numbers),
        (
            _("Journal, proven without a gap"),
            str(_("{first} to {last}", first=journal["proven"] + 1, last=journal["upto"]))
            if journal["upto"] > journal["proven"]
            else str(_("nothing new since {last}", last=journal["proven"])),
        ),
        (_("Sum of the entries"), _balance(report["proof"]["entries"])),
        (_("Sum of the kept balances"), _balance(report["proof"]["kept"])),
        (_("Accounts"), str(accounts["all"])),
        (_("of them to pay / overpaid"), f"{accounts['owing']} / {accounts['overpaid']}"),
        (_("of them still past due from then"), str(accounts["in_arrears"])),
        (
            _("Payments not yet assigned"),
            f"{report['suspense']['lines']}, {Money(report['suspense']['amount'])}",
        ),
        (_("Drafts left to the next month"), str(report["drafts_left"])),
    ]


def _balance(grosze: int) -> str:
    amount = Money(abs(grosze))
    return str(_("to pay {amount}", amount=amount) if grosze >= 0 else _("overpaid {amount}", amount=amount))


def _turnover_rows(turnover: Mapping[str, int]) -> list[tuple[str, ...]]:
    return [
        (str(label), _figure(turnover[f"{name}debit"]), _figure(turnover[f"{name}credit"]))
        for label, name in (
            (_("Opening balance"), "opening_"),
            (_("Turnover of the month"), ""),
            (_("Turnover since 1 January"), "year_"),
            (_("Closing balance"), "closing_"),
        )
    ]


def _kind_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = [
        (str(KINDS[line["kind"]]), str(line["entries"]), _figure(line["debit"]), _figure(line["credit"]))
        for line in report["kinds"]
    ]
    total = report["turnover"]
    count = sum(line["entries"] for line in report["kinds"])
    return [*rows, (str(_("Total")), str(count), _figure(total["debit"]), _figure(total["credit"]))]


def _figure(grosze: int) -> str:
    return f"{'−' if grosze < 0 else ''}{Money(abs(grosze))}"


# --- drawing --------------------------------------------------------------------------------------------------------


def _heading(pdf: FPDF, y: float, text: str, *, size: float = 11) -> float:
    pdf.set_text_color(_INK)
    pdf.set_font(documents.SANS, "B", size)
    pdf.set_xy(LEFT, y)
    pdf.multi_cell(WIDTH, size * 0.5, documents.printable(text), align="L")
    return pdf.get_y() + 1.5


def _paragraph(pdf: FPDF, y: float, text: str, *, muted: bool = False, mono: bool = False) -> float:
    pdf.set_text_color(_MUTED if muted else _INK)
    pdf.set_font(documents.MONO if mono else documents.SANS, size=7.5 if mono else 10)
    for line in text.splitlines():
        pdf.set_xy(LEFT, y)
        pdf.multi_cell(WIDTH, 3.6 if mono else 5.2, documents.printable(line), align="L")
        y = pdf.get_y()
    return y


def _facts(pdf: FPDF, y: float, rows: Iterable[tuple[Text, str]]) -> float:
    for label, value in rows:
        pdf.set_font(documents.SANS, size=9)
        pdf.set_text_color(_MUTED)
        pdf.text(LEFT, y + 3.6, documents.printable(str(label)))
        pdf.set_text_color(_INK)
        pdf.set_xy(LEFT + 82.0, y)
        pdf.multi_cell(WIDTH - 82.0, 5.0, documents.printable(value), align="L")
        y = pdf.get_y() + 0.6
    return y


def _table(pdf: FPDF, y: float, head: tuple[Text, ...], rows: Iterable[tuple[str, ...]]) -> float:
    """A label column, then figures to the right."""
    first = 68.0
    width = (WIDTH - first) / (len(head) - 1)
    pdf.set_draw_color(_LINE)
    pdf.set_line_width(0.2)
    for place, row in enumerate((tuple(map(str, head)), *rows)):
        pdf.set_font(documents.SANS, "B" if place == 0 else "", 9)
        pdf.set_text_color(_MUTED if place == 0 else _INK)
        pdf.text(LEFT, y + 4.2, documents.printable(row[0]))
        for at, cell in enumerate(row[1:], start=1):
            text = documents.printable(cell)
            pdf.text(LEFT + first + width * at - pdf.get_string_width(text), y + 4.2, text)
        y += 6.0
        pdf.line(LEFT, y, LEFT + WIDTH, y)
    return y + 1.0

"""The office's pages of months: closing one, its control report on screen and paper, opening it again, turnover."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import AfterValidator, BaseModel, StringConstraints
from pydantic_core import PydanticCustomError

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Column,
    Filter,
    Listing,
    ListQuery,
    Pdf,
    Request,
    Route,
    Text,
    _,
    documents,
    listed,
    not_found,
    organisation,
    redirect,
)
from plugins.payments.books import documents as papers
from plugins.payments.books import month_store, store
from plugins.payments.books.model import FINDINGS, STORNOS, Month, closable
from plugins.payments.books.month_store import Closing
from plugins.payments.model import KINDS

MONTHS: Final = (
    _("January"),
    _("February"),
    _("March"),
    _("April"),
    _("May"),
    _("June"),
    _("July"),
    _("August"),
    _("September"),
    _("October"),
    _("November"),
    _("December"),
)


def month_name(month: Month) -> Text:
    """«October 2026»."""
    return _("{month} {year}", month=MONTHS[month.first.month - 1], year=month.first.year)


# --- the months of a book -------------------------------------------------------------------------------------------


async def months(request: Request) -> Mapping[str, Any]:
    """The months of a book: what can be closed next, with what stands against it, and every closing."""
    conn, today = request[CONN], _today(request)
    book = int(request.match_info["book"])
    found = await month_store.book_months(conn, book, today)
    if found is None:
        raise not_found()
    choices = closable(found.closed_through, today)
    return {
        "book": found,
        "closings": await month_store.closings(conn, book),
        "choices": [(str(month), month_name(month)) for month in choices],
        "drafts": [(month_name(month), found.drafts[month]) for month in choices if month in found.drafts],
        "month_name": month_name,
        "closing_state": papers.closing_state,
        "may_close": request[ACTOR].may("payments.close_month"),
    }


def _month(text: str) -> str:
    try:
        return str(Month.parsed(text))
    except ValueError:
        raise PydanticCustomError("month_grammar", "A month is written 2026-10") from None


class CloseForm(BaseModel):
    """The month to close; ``acknowledged`` leaves its drafts to the next one."""

    month: Annotated[str, AfterValidator(_month)]
    acknowledged: bool = False


async def close(request: Request, form: CloseForm) -> web.Response:
    """Close a month: from now on nothing is booked in it; the report follows."""
    book = await store.book(request[CONN], int(request.match_info["book"]))
    if book is None:
        raise not_found()
    await month_store.begin_close(
        request[CONN],
        book.id,
        Month.parsed(form.month),
        acknowledged=form.acknowledged,
        today=_today(request),
        at=request[SITE].clock.now(),
    )
    return redirect(
        request,
        "payments.books_report",
        book=book.id,
        month=form.month,
        flash=_("Nothing can be booked in this month any more. The control report is being made."),
    )


# --- one month ------------------------------------------------------------------------------------------------------


async def report(request: Request) -> Mapping[str, Any]:
    """The control report of a month."""
    closing = await _found(request)
    return {
        "closing": closing,
        "title": month_name(closing.month),
        "state": papers.closing_state(closing),
        "proofs": papers.proofs(closing.report) if closing.report else (),
        "kinds": KINDS,
        "findings": [FINDINGS[name] for name in (closing.report or {}).get("findings", ())],
        "storno": STORNOS[closing.storno],
        "may_reopen": closing.is_last and request[ACTOR].may("payments.reopen_month"),
    }


async def report_pdf(request: Request) -> Pdf:
    """The control report on paper: the same bytes every time."""
    closing = await _found(request)
    if closing.report is None:
        raise not_found()
    content = await documents.render(
        papers.control_report,
        closing,
        str(month_name(closing.month)),
        organisation(request[SITE]),
        _moment(request, closing),
    )
    return Pdf(content, f"zamkniecie-{closing.month}-{closing.report['book']}.pdf")


def _moment(request: Request, closing: Closing) -> str:
    return f"{closing.closed_at.astimezone(request[SITE].clock.zone):%d.%m.%Y, %H:%M}"


class ReopenForm(BaseModel):
    """Why a closed month is opened again."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]


async def ask_reopen(request: Request) -> Mapping[str, Any]:
    """Asks why a month is to be opened again."""
    closing = await _found(request)
    return {"closing": closing, "title": month_name(closing.month)}


async def reopen(request: Request, form: ReopenForm) -> web.Response:
    """Open the last closed month again; its report stays in the history."""
    closing = await _found(request)
    await month_store.reopen(request[CONN], closing, form.reason, request[SITE].clock.now())
    return redirect(request, "payments.books_months", book=closing.book, flash=_("The month is open again."))


async def _found(request: Request) -> Closing:
    try:
        month = Month.parsed(request.match_info["month"])
    except ValueError:
        raise not_found() from None
    closing = await month_store.closing(request[CONN], int(request.match_info["book"]), month)
    if closing is None:
        raise not_found()
    return closing


# --- turnover -------------------------------------------------------------------------------------------------------

TURNOVER: Final = Listing(
    "payments.turnover",
    month_store.TURNOVER_LISTED,
    (
        Column("account_no", _("Account"), sort="account_no", link="payments.account", by={"account": "id"}),
        Column("name", _("Customer"), sort='kernel.pl_sort(name) collate "C"'),
        Column("opening_debit", _("Opening, debit"), "money", total=True),
        Column("opening_credit", _("Opening, credit"), "money", total=True),
        Column("debit", _("Turnover, debit"), "money", total=True),
        Column("credit", _("Turnover, credit"), "money", total=True),
        Column("year_debit", _("Since January, debit"), "money", total=True),
        Column("year_credit", _("Since January, credit"), "money", total=True),
        Column("closing_debit", _("Closing, debit"), "money", total=True),
        Column("closing_credit", _("Closing, credit"), "money", total=True),
    ),
    order="account_no",
    # The month is an argument of the select; as a filter it stays in the address while paging and in the file.
    filters=(
        Filter("month", _("Month, for example 2026-10"), "{0}::text <> ''"),
        Filter("customer", _("Customer no."), "customer_no = {0}"),
    ),
    title_of="account_no",
)


class TurnoverQuery(ListQuery):
    """Which month, and what else the list's address may say."""

    month: Annotated[str, AfterValidator(lambda text: _month(text) if text else "")] = ""
    customer: str = ""


async def turnover(request: Request, query: TurnoverQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Balances and turnover of a book's accounts in a month."""
    book = await store.book(request[CONN], int(request.match_info["book"]))
    if book is None:
        raise not_found()
    month = Month.parsed(query.month) if query.month else Month.of(_today(request))
    return await listed(
        request,
        TURNOVER,
        query,
        args=(book.id, month.year_start, month.first, month.last, book.rules.storno),
        extra={
            "book": book,
            "title": month_name(month),
            "storno": STORNOS[book.rules.storno],
        },
    )


def _today(request: Request) -> date:
    return request[SITE].clock.today()


_VIEW, _CLOSE, _REOPEN = "payments.view", "payments.close_month", "payments.reopen_month"
_BOOK = r"/admin/books/{book:\d+}"
_ONE = _BOOK + r"/months/{month:[\d-]+}"

ROUTES: Final = (
    Route("GET", f"{_BOOK}/months", months, _VIEW, "payments.books_months", template="payments/books/months.html"),
    Route("POST", f"{_BOOK}/months", close, _CLOSE, "payments.books_close_month", body=CloseForm),
    Route("GET", _ONE, report, _VIEW, "payments.books_report", template="payments/books/report.html"),
    Route("GET", f"{_ONE}.pdf", report_pdf, _VIEW, "payments.books_report_pdf"),
    Route(
        "GET", f"{_ONE}/reopen", ask_reopen, _REOPEN, "payments.books_ask_reopen", template="payments/books/reopen.html"
    ),
    Route("POST", f"{_ONE}/reopen", reopen, _REOPEN, "payments.books_reopen", body=ReopenForm),
    Route(
        "GET",
        f"{_BOOK}/turnover",
        turnover,
        _VIEW,
        "payments.books_turnover",
        query=TurnoverQuery,
        template="payments/books/turnover.html",
    ),
)

"""Pages of interest: what a payment on a day has to cover, notes, and corrections that became due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal, LiteralString, cast

from aiohttp import web
from pydantic import BaseModel, Field

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
    Listing,
    ListQuery,
    Pdf,
    PolishDate,
    Refused,
    Request,
    Route,
    Row,
    Site,
    _,
    documents,
    enqueue,
    listed,
    ngettext,
    not_found,
    organisation,
    redirect,
    settings_of,
)
from plugins.payments.accrual import store
from plugins.payments.accrual.model import NO_INTEREST
from plugins.payments.interest import notes, words
from plugins.payments.interest.jobs import REVIEW
from plugins.payments.model import KINDS
from plugins.payments.settings import Settings
from plugins.payments.store import Key

PAY_DAYS: Final = 14
"""Days to pay a note, unless the office says otherwise."""
FURTHEST: Final = timedelta(days=3660)
"""How far ahead anybody may ask."""

_WORDS: Final = {"percent": words.percent, "exact": words.exact, "days": words.days, "kinds": KINDS}

# --- what if I pay on a day -----------------------------------------------------------------------------------------


class DayQuery(BaseModel):
    """The day that somebody asks about."""

    day: PolishDate | None = None


async def what_if(request: Request, query: DayQuery) -> Mapping[str, Any]:
    """What the customer would have to pay on a day: never earlier than today."""
    today = _today(request)
    wished = query.day or today
    on = min(max(wished, today), today + FURTHEST)
    found = await store.what_if_of_customer(request[CONN], request[ACTOR].customer, on, store.regimes_of(request[SITE]))
    claims = [claim for claim in found.claims if not claim.is_barred]
    return {"found": found, "claims": claims, "on": on, "is_past": wished < today, **_WORDS}


async def of_account(request: Request, query: DayQuery) -> Mapping[str, Any]:
    """The same for the office, of one account, with what may be noted."""
    on = query.day or _today(request)
    foreign = store.regimes_of(request[SITE])
    both = await store.what_if_of_account(request[CONN], int(request.match_info["account"]), on, foreign)
    if both is None:
        raise not_found()
    account, found = both
    may_note = not account["is_mirror"] and account["regime"] != NO_INTEREST.name
    return {
        "account": account,
        "regime": words.regime_label(account["regime"], foreign),
        "rate": account["contract_rate"],
        "found": found,
        "claims": found.claims,
        "on": on,
        "may_note": may_note and request[ACTOR].may("payments.approve"),
        "to_note": notes.note_total(found.claims),
        "pay_days": PAY_DAYS,
        **_WORDS,
    }


class NoteForm(BaseModel):
    """A note for one account: interest up to ``as_of``, to pay within ``pay_days`` of today."""

    as_of: PolishDate
    pay_days: Annotated[int, Field(ge=0, le=365)] = PAY_DAYS


async def issue_one(request: Request, form: NoteForm) -> web.Response:
    """Issue the note of one account, and show it."""
    today, conn = _today(request), request[CONN]
    if form.as_of > today:
        raise Refused(_("This day has not come yet"), field="as_of")
    account = int(request.match_info["account"])
    if await store.what_if_of_account(conn, account, today) is None:
        raise not_found()
    issued = await notes.issue(
        conn, [account], form.as_of, today, form.pay_days, foreign=store.regimes_of(request[SITE])
    )
    if not issued:
        raise Refused(_("There is no interest to note up to this day."), field="as_of")
    return redirect(
        request,
        "payments.interest_note",
        note=issued[0].id,
        flash=_("The note {note_no} for {amount} is issued", note_no=issued[0].note_no, amount=issued[0].total),
    )


# --- notes ----------------------------------------------------------------------------------------------------------

_NOTES_SELECT: Final[LiteralString] = """
select n.id, n.account_id, n.note_no, n.issued_on, n.as_of, n.due_on, n.total, b.name as book, c.customer_no, c.name,
       coalesce((select sum(e.open_amount) from payments.interest_note_line l
           join payments.entry e on e.account_id = l.account_id and e.id = l.entry
           where l.account_id = n.account_id and l.note = n.id), 0)::bigint as open,
       case when n.deleted_at is null then 'issued' else 'deleted' end as state
from payments.interest_note n
join payments.account a on a.id = n.account_id
join payments.book b on b.id = n.book
join kernel.customer c on c.id = a.customer"""


NOTE_STATES: Final = {"issued": Badge(_("issued")), "deleted": Badge(_("deleted"))}
NOTES: Final = Listing(
    "payments.interest_notes",
    _NOTES_SELECT,
    (
        Column("note_no", _("Interest note"), link="payments.interest_note", by={"note": "id"}),
        Column("issued_on", _("Day of issue"), "date", sort="id"),
        Column("customer_no", _("Customer no.")),
        Column("name", _("Customer")),
        Column("book", _("Book")),
        Column("as_of", _("Interest up to"), "date"),
        Column("due_on", _("Due date"), "date"),
        Column("total", _("Amount"), "money", total=True),
        Column("open", _("Still open"), "money", total=True),
        Column("state", _("State"), "badge", badges=NOTE_STATES),
    ),
    order="-issued_on",
    filters=(
        Filter("note_no", _("Interest note"), "note_no = upper({0}::text)"),
        Filter("customer", _("Customer no."), "customer_no = {0}"),
        Filter("since", _("Day from"), "issued_on >= {0}", kind="date"),
        Filter("until", _("Day to"), "issued_on <= {0}", kind="date"),
        Filter(
            "state", _("State"), "state = {0}", options=tuple((name, one.label) for name, one in NOTE_STATES.items())
        ),
    ),
    title_of="note_no",
)


class NotesQuery(ListQuery):
    """What the address of the list of notes may say."""

    note_no: str = ""
    customer: str = ""
    since: PolishDate | None = None
    until: PolishDate | None = None
    state: Literal["", "issued", "deleted"] = ""


async def list_notes(request: Request, query: NotesQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Notes, the newest first."""
    return await listed(request, NOTES, query, extra={"section": "notes"})


async def show_note(request: Request) -> Mapping[str, Any]:
    """One note with what it was computed from, and what became of it."""
    found = await _note(request)
    may_delete = found.deleted_at is None and request[ACTOR].may("payments.void")
    return {"note": found, "may_delete": may_delete, **_WORDS}


async def note_pdf(request: Request) -> Pdf:
    """The note on paper."""
    return await _pdf(request, await _note(request))


async def own_note_pdf(request: Request) -> Pdf:
    """The customer's own note on paper."""
    return await _pdf(request, await _note(request, request[ACTOR].customer))


async def _note(request: Request, customer: int | None = None) -> notes.Note:
    found = await notes.note(request[CONN], int(request.match_info["note"]), customer)
    if found is None:
        raise not_found()
    return found


def creditor_of(site: Site, note: notes.Note) -> notes.Creditor:
    """Who claims the interest, and where it is paid: the book's payee, else the organisation's."""
    whose, own = organisation(site), cast(Settings, settings_of(site, "payments"))
    address = (own.payee_street or whose.street, own.payee_city or whose.city)
    return notes.Creditor(
        name=note.payee_name or own.payee_name or whose.payee_name,
        address=tuple(line for line in address if line),
        nip=own.payee_nip or whose.nip,
        account_no=note.payee_account,
        transfer_title=note.note_no,
    )


async def _pdf(request: Request, note: notes.Note) -> Pdf:
    from plugins.payments.interest.documents import note_pdf as draw

    site = request[SITE]
    content = await documents.render(draw, note, creditor_of(site, note), datetime.combine(note.issued_on, time(), UTC))
    return Pdf(content, f"{note.note_no.replace('/', '-')}.pdf")


# --- corrections that are due ---------------------------------------------------------------------------------------

_DUE_SELECT: Final[LiteralString] = """
select d.account_id || '-' || d.charge as id, d.account_id, d.charge, d.amount, d.found_at, e.title, e.kind,
       c.id as customer, c.customer_no, c.name
from payments.interest_correction_due d
join payments.entry e on e.account_id = d.account_id and e.id = d.charge
join payments.account a on a.id = d.account_id
join kernel.customer c on c.id = a.customer"""


def _title(row: Row) -> object:
    return row["title"] or KINDS[row["kind"]]


def _always(_row: Row) -> bool:
    return True


CORRECTIONS: Final = Listing(
    "payments.interest_corrections",
    _DUE_SELECT,
    (
        Column("customer_no", _("Customer no."), sort='customer_no collate "C"'),
        Column("name", _("Customer"), link="kernel.customer", by={"customer": "customer"}),
        Column("title", _("Charge"), link="payments.entry", by={"entry": "charge"}, show=_title),
        Column("amount", _("Noted too much"), "money", sort="amount", total=True),
        Column("found_at", _("Found"), "moment", sort="found_at"),
    ),
    order="customer_no",
    filters=(Filter("customer", _("Customer no."), "customer_no = {0}"),),
    selectable=_always,
    title_of="name",
)


class CorrectionsQuery(ListQuery):
    """What the address of the list of corrections may say."""

    customer: str = ""


async def corrections(request: Request, query: CorrectionsQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Charges whose interest was noted for days that fell away."""
    return await listed(request, CORRECTIONS, query, extra={"section": "corrections"})


class Chosen(BaseModel):
    """Charges chosen in the list: account and number."""

    ids: list[Annotated[str, Field(pattern=r"^[0-9]{1,18}-[0-9]{1,18}$")]] = []


async def correct(request: Request, chosen: Chosen) -> web.Response:
    """Enter the corrections of the chosen charges as drafts, computed anew."""
    if not chosen.ids:
        raise Refused(_("Choose at least one charge."))
    keys = [Key(*map(int, one.split("-"))) for one in chosen.ids]
    entered = await notes.enter_corrections(
        request[CONN], keys, _today(request), foreign=store.regimes_of(request[SITE])
    )
    flash = ngettext(
        "{count} correction is entered. It counts once it is approved.",
        "{count} corrections are entered. They count once they are approved.",
        len(entered),
    )
    return redirect(request, "payments.interest_corrections", flash=flash)


async def look(request: Request) -> web.Response:
    """Look for corrections now rather than tonight."""
    await enqueue(request[CONN], REVIEW, {})
    return redirect(
        request, "payments.interest_corrections", flash=_("The product looks. Reload this page in a moment.")
    )


def _today(request: Request) -> date:
    return request[SITE].clock.today()


ROUTES: Final = (
    Route(
        "GET",
        "/interest",
        what_if,
        "payments.own",
        "payments.interest_what_if",
        query=DayQuery,
        template="payments/interest/what_if.html",
    ),
    Route("GET", r"/interest/notes/{note:\d+}.pdf", own_note_pdf, "payments.own", "payments.interest_own_note"),
    Route(
        "GET",
        r"/admin/accounts/{account:\d+}/interest",
        of_account,
        "payments.view",
        "payments.interest_of_account",
        query=DayQuery,
        template="payments/interest/account.html",
    ),
    Route(
        "POST",
        r"/admin/accounts/{account:\d+}/interest",
        issue_one,
        "payments.approve",
        "payments.interest_issue_one",
        body=NoteForm,
    ),
    Route(
        "GET",
        "/admin/interest",
        list_notes,
        "payments.view",
        "payments.interest_notes",
        query=NotesQuery,
        template="payments/interest/notes.html",
    ),
    Route(
        "GET",
        r"/admin/interest/notes/{note:\d+}",
        show_note,
        "payments.view",
        "payments.interest_note",
        template="payments/interest/note.html",
    ),
    Route("GET", r"/admin/interest/notes/{note:\d+}.pdf", note_pdf, "payments.view", "payments.interest_note_pdf"),
    Route(
        "GET",
        "/admin/interest/corrections",
        corrections,
        "payments.enter",
        "payments.interest_corrections",
        query=CorrectionsQuery,
        template="payments/interest/corrections.html",
    ),
    Route(
        "POST",
        "/admin/interest/corrections",
        correct,
        "payments.enter",
        "payments.interest_correct",
        body=Chosen,
    ),
    Route("POST", "/admin/interest/corrections/look", look, "payments.enter", "payments.interest_look"),
)

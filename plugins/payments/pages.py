"""The office's pages of the ledger: the list with approval, one entry with what may be done to it, a new payment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import AfterValidator, BaseModel, SecretStr, StringConstraints, ValidationError

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Card,
    Column,
    Filter,
    Line,
    Listing,
    ListQuery,
    Money,
    PolishDate,
    PositiveMoney,
    QueueItem,
    Refused,
    Request,
    Route,
    Row,
    Tab,
    Text,
    _,
    audit,
    confirmed,
    find_customer,
    listed,
    ngettext,
    not_found,
    one_line,
    redirect,
    tell_superadmins,
    url,
)
from plugins.payments import store
from plugins.payments.face import Side
from plugins.payments.ledger import KeptLedger
from plugins.payments.model import CHANNELS, FIRST_YEAR, KINDS, LAST_YEAR, RULES, STATES, STATUSES, status_of
from plugins.payments.store import Draft, Entry

MOST_AT_ONCE: Final = 10_000
"""Entries approved by one click: more is the work of an import."""

# --- the list -------------------------------------------------------------------------------------------------------

_SELECT: Final[LiteralString] = """
select e.id, e.account_id, e.counted_on, e.side, e.kind, e.state, e.amount, e.title, e.document_no, e.journal_no,
       c.id as customer, c.customer_no, c.name
from payments.entry e
join payments.account a on a.id = e.account_id
join kernel.customer c on c.id = a.customer"""

_DRAFTS_SELECT: Final[LiteralString] = """
select e.id, e.account_id, e.counted_on, e.side, e.kind, e.state, e.amount, e.title, e.document_no, e.journal_no,
       c.id as customer, c.customer_no, c.name
from payments.entry e
join payments.account a on a.id = e.account_id
join kernel.customer c on c.id = a.customer
where e.state = 'draft'"""

_FILTERS: Final = (
    Filter("state", _("State"), "state = {0}", options=tuple(STATES.items())),
    Filter("customer", _("Customer no."), "customer_no = {0}"),
    Filter("since", _("Day from"), "counted_on >= {0}", kind="date"),
    Filter("until", _("Day to"), "counted_on <= {0}", kind="date"),
    Filter("amount", _("Amount"), "amount = {0}"),
)


def _kind(row: Row) -> Text:
    return KINDS[row["kind"]]


_STATE_BADGES: Final = {
    state: Badge(label, {"draft": "notice", "approved": "credit"}.get(state, "")) for state, label in STATES.items()
}
_COLUMNS: Final = (
    Column("id", _("No."), "number", sort="id", link="payments.entry", by={"entry": "id"}),
    Column("counted_on", _("Date"), "date"),
    Column("customer_no", _("Customer no.")),
    Column("name", _("Customer")),
    Column("kind", _("Kind"), show=_kind),
    Column("title", _("Title")),
    Column("amount", _("Amount"), "money", total=True),
    Column("state", _("State"), "badge", badges=_STATE_BADGES),
)


def _is_draft(row: Row) -> bool:
    return row["state"] == "draft"


ENTRIES: Final = Listing(
    "payments.entries", _SELECT, _COLUMNS, order="-id", filters=_FILTERS, selectable=_is_draft, title_of="name"
)
DRAFTS: Final = Listing(
    "payments.drafts", _DRAFTS_SELECT, _COLUMNS, order="-id", filters=_FILTERS, selectable=_is_draft, title_of="name"
)
"""The same list of drafts only: the index of drafts answers it however long the history is."""


class EntryQuery(ListQuery):
    """What the list's address may say."""

    state: Literal["", "draft", "approved", "voided"] = ""
    customer: str = ""
    since: PolishDate | None = None
    until: PolishDate | None = None
    amount: Money | None = None


async def entries(request: Request, query: EntryQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Entries, the newest first; drafts can be approved where they are listed."""
    waiting = await store.waiting(request[CONN])
    return await listed(
        request,
        DRAFTS if query.state == "draft" else ENTRIES,
        query,
        extra={"waiting": waiting["payments"] + waiting["charges"], "state": query.state, "query": _kept(request)},
    )


def _kept(request: Request) -> dict[str, str]:
    """The filters of the address, for the form that approves everything they match."""
    names = {one.name for one in _FILTERS}
    return {name: value for name, value in request.query.items() if name in names and value}


class Chosen(BaseModel):
    """Entries chosen in the list, or ``every`` draft that its filters match."""

    ids: list[int] = []
    every: bool = False


async def approve_many(request: Request, chosen: Chosen) -> web.Response:
    """Approve the chosen drafts; those that somebody else approved meanwhile are left alone."""
    conn = request[CONN]
    keys = await _every_draft(request) if chosen.every else await store.keys_of(conn, chosen.ids)
    if not keys:
        raise Refused(_("Choose at least one entry to approve."))
    approved = await store.approve(conn, keys, _today(request))
    return redirect(
        request,
        "payments.list",
        query=_kept(request),
        flash=ngettext("{count} entry approved", "{count} entries approved", len(approved)),
    )


async def _every_draft(request: Request) -> list[store.Key]:
    try:
        query = EntryQuery.model_validate(_kept(request))
    except ValidationError:
        raise not_found() from None
    return await store.drafts(
        request[CONN],
        customer_no=query.customer,
        since=query.since,
        until=query.until,
        amount=query.amount,
        limit=MOST_AT_ONCE,
    )


# --- a new payment --------------------------------------------------------------------------------------------------

_Number = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80), AfterValidator(one_line)]
_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]
Channel = Literal["transfer", "cash", "gateway", "direct_debit", "offset"]


class NewQuery(BaseModel):
    """For whom a payment is entered, when a customer's page leads here."""

    customer: str = ""


class PaymentForm(BaseModel):
    """A payment as it is typed. ``value_date`` is when it reached the account or the cash desk."""

    customer_no: _Number
    amount: PositiveMoney
    value_date: PolishDate
    paid_on: PolishDate | None = None
    title: Line = ""
    channel: Channel = "transfer"


async def new(request: Request, query: NewQuery) -> Mapping[str, Any]:
    """The form of a new payment."""
    return {"customer_no": query.customer, "day": _today(request), "channels": tuple(CHANNELS.items())}


async def add(request: Request, form: PaymentForm) -> web.Response:
    """Enter a payment as a draft, and show it for approval."""
    conn, today = request[CONN], _today(request)
    customer = await find_customer(conn, form.customer_no)
    wrong = dict(_wrong_days(form, today))
    if customer is None:
        wrong["customer_no"] = _("There is no customer with this number")
    elif customer.status == "closed":
        wrong["customer_no"] = _("{name} is closed. Reopen the customer first.", name=customer.name)
    if customer is None or wrong:
        raise Refused(errors=wrong)
    accounts = await store.open_accounts(conn, [customer.id], today)
    key = await store.enter(
        conn,
        customer.id,
        Draft(
            accounts[customer.id],
            Side.CREDIT,
            "payment",
            form.amount,
            value_date=form.value_date,
            paid_on=form.paid_on,
            title=form.title,
            channel=form.channel,
        ),
    )
    return redirect(
        request, "payments.entry", entry=key.entry, flash=_("The payment is entered. It counts once you approve it.")
    )


def _wrong_days(form: PaymentForm, today: date) -> Iterator[tuple[str, Text]]:
    if form.value_date > today:
        yield "value_date", _("This day has not come yet")
    if form.paid_on is not None and form.paid_on > today:
        yield "paid_on", _("This day has not come yet")
    elif form.paid_on is not None and form.paid_on > form.value_date:
        yield "paid_on", _("Money is paid before it is received: check both days")


# --- one entry ------------------------------------------------------------------------------------------------------


async def entry(request: Request) -> Mapping[str, Any]:
    """Everything about an entry, and what may be done to it."""
    found = await _found(request)
    parts = await store.parts(request[CONN], found.key)
    return {
        **_shown(request, found),
        "parts": [part for part in parts if part["released_at"] is None],
        "released": [part for part in parts if part["released_at"] is not None],
        "rules": RULES,
    }


def _shown(request: Request, found: Entry) -> dict[str, Any]:
    is_draft, counts = found.state == "draft", found.state == "approved" and found.reversed_by is None
    status = status_of(
        found.side,
        amount=found.amount.grosze,
        open_amount=found.open_amount.grosze,
        effective_due_on=found.effective_due_on,
        on=_today(request),
        state=found.state,
        is_reversed=found.reversed_by is not None,
        corrected=found.corrected.grosze,
    )
    may = request[ACTOR].may
    return {
        "entry": found,
        "kinds": KINDS,
        "channels": CHANNELS,
        "label": STATES["draft"] if is_draft else STATUSES[status],
        "may_approve": is_draft and may("payments.approve"),
        "may_edit": is_draft and may("payments.enter"),
        "may_correct": counts and found.side is Side.CHARGE and found.kind != "reversal" and may("payments.enter"),
        "may_reverse": counts and found.kind != "reversal" and may("payments.reverse"),
        "may_void": found.state == "approved" and may("payments.void"),
        "may_enter": found.kind == "payment" and may("payments.enter"),
    }


async def approve_one(request: Request) -> web.Response:
    """Approve the entry that the page shows."""
    found = await _found(request)
    approved = await store.approve(request[CONN], [found.key], _today(request))
    flash = _("Approved") if approved else _("This entry was approved already.")
    return redirect(request, "payments.entry", entry=found.id, flash=flash)


class EditForm(BaseModel):
    """A draft, typed anew. ``day`` is the value date of a credit, the day of issue of a charge."""

    amount: PositiveMoney
    day: PolishDate
    due_on: PolishDate | None = None
    paid_on: PolishDate | None = None
    title: Line = ""
    document_no: _Number = ""
    channel: Literal["", "transfer", "cash", "gateway", "direct_debit", "offset"] = ""


async def edit(request: Request) -> Mapping[str, Any]:
    """The form of a draft."""
    found = await _draft(request)
    return {**_shown(request, found), "channel_options": tuple(CHANNELS.items())}


async def save(request: Request, form: EditForm) -> web.Response:
    """Write a draft anew."""
    found = await _draft(request)
    is_credit = found.side is Side.CREDIT
    if not is_credit and found.kind != "reversal":
        if form.due_on is None:
            raise Refused(_("Enter a date"), field="due_on")
        if not FIRST_YEAR <= form.due_on.year <= LAST_YEAR:
            raise Refused(store.REFUSALS["holidays_unknown"], field="due_on")
    changed = Draft(
        found.account_id,
        found.side,
        found.kind,
        form.amount,
        issued_on=None if is_credit else form.day,
        due_on=None if is_credit else form.due_on,
        value_date=form.day if is_credit else None,
        paid_on=form.paid_on if is_credit else None,
        period=found.period,
        title=form.title,
        document_no=form.document_no,
        channel=form.channel,
    )
    if not await store.edit(request[CONN], found.key, changed):
        raise Refused(_("This entry is no draft any more, so it cannot be changed."))
    await audit(
        request[CONN],
        "payments.edited",
        customer=found.customer,
        subject=f"entry {found.id}",
        before=found.amount,
        amount=form.amount,
    )
    return redirect(request, "payments.entry", entry=found.id, flash=_("Saved"))


async def confirm_delete(request: Request) -> Mapping[str, Any]:
    """Asks whether a draft shall really go."""
    return _shown(request, await _draft(request))


async def delete(request: Request) -> web.Response:
    """Delete a draft."""
    found = await _draft(request)
    if not await store.delete_drafts(request[CONN], [found.key]):
        raise Refused(_("This entry is no draft any more, so it cannot be deleted."))
    await audit(
        request[CONN],
        "payments.deleted",
        customer=found.customer,
        subject=f"entry {found.id}",
        amount=found.amount,
        title=found.title,
    )
    return redirect(request, "payments.list", flash=_("The draft is deleted."))


class CorrectionForm(BaseModel):
    """What a charge shall amount to from now on; zero takes it away whole."""

    amount: Money
    reason: _Reason


async def correct(request: Request) -> Mapping[str, Any]:
    """The form that corrects a charge's amount."""
    found = await _counting(request)
    if found.side is not Side.CHARGE or found.kind == "reversal":
        raise not_found()
    return {**_shown(request, found), "now": found.amount - found.corrected}


async def add_correction(request: Request, form: CorrectionForm) -> web.Response:
    """Enter the difference as a draft that refers to the charge."""
    found = await _counting(request)
    if found.side is not Side.CHARGE or found.kind == "reversal":
        raise not_found()
    difference = form.amount - (found.amount - found.corrected)
    if not difference:
        raise Refused(_("The charge amounts to this already."), field="amount")
    draft = Draft(
        found.account_id,
        Side.CHARGE if difference.grosze > 0 else Side.CREDIT,
        "correction",
        Money(abs(difference.grosze)),
        period=found.period,
        title=found.title,
        document_no=found.document_no,
        corrects=found.id,
        reason=form.reason,
    )
    today = _today(request)
    if draft.side is Side.CHARGE:
        draft = replace(draft, issued_on=today, due_on=max(today, found.due_on or today))
    else:
        draft = replace(draft, value_date=today)
    key = await store.enter(request[CONN], found.customer, draft)
    return redirect(
        request, "payments.entry", entry=key.entry, flash=_("The correction is entered. It counts once you approve it.")
    )


class ReasonForm(BaseModel):
    """Why an approved entry is taken back."""

    reason: _Reason


async def confirm_reverse(request: Request) -> Mapping[str, Any] | web.StreamResponse:
    """Asks why an approved entry is to be reversed, and says what will happen."""
    found = await _found(request)
    if found.reversed_by is not None:
        return redirect(request, "payments.entry", entry=found.id, flash=store.REFUSALS["entry_reversed_once"])
    return _shown(request, _that_counts(found))


async def reverse(request: Request, form: ReasonForm) -> web.Response:
    """Reverse an approved entry."""
    found = await _found(request)
    if found.reversed_by is not None:
        raise Refused(store.REFUSALS["entry_reversed_once"])
    await store.reverse(request[CONN], _that_counts(found), form.reason, _today(request))
    return redirect(request, "payments.entry", entry=found.id, flash=_("The entry is reversed."))


class VoidForm(ReasonForm):
    """Why an approved entry shall count no more, and the password of who says so."""

    password: SecretStr


async def confirm_void(request: Request) -> Mapping[str, Any] | web.StreamResponse:
    """Asks why an approved entry is to be voided, and says what will happen."""
    found = await _found(request)
    if found.state == "voided":
        return redirect(request, "payments.entry", entry=found.id, flash=_("This entry was voided already."))
    if found.state != "approved":
        raise not_found()
    return _shown(request, found)


async def void(request: Request, form: VoidForm) -> web.Response:
    """Void an approved entry, once however often it is asked, and tell the other superadministrators.

    The database lets a superadministrator in the announced mode do it and nobody else.
    """
    async with confirmed(request, form.password) as conn:
        found = await _found(request)
        if found.state == "draft":
            raise not_found()
        if found.state == "approved":
            await store.void(conn, found, form.reason)
            await tell_superadmins(
                conn, _("An approved entry was voided"), _letter(request, found, form.reason), but=request[ACTOR].user
            )
    flash = _("The entry is voided.") if found.state == "approved" else _("This entry was voided already.")
    return redirect(request, "payments.entry", entry=found.id, flash=flash)


def _letter(request: Request, voided: Entry, reason: str) -> Text:
    origin = request[SITE].base_url.rstrip("/") or f"{request.scheme}://{request.host}"
    return _(
        "{name} voided entry {number} on the account of customer {customer_no}: {kind}, {amount}.\n"
        "Reason: {reason}\n\n{address}",
        name=request[ACTOR].name,
        number=voided.id,
        customer_no=voided.customer_no,
        kind=KINDS[voided.kind],
        amount=voided.amount,
        reason=reason,
        address=f"{origin}{url(request, 'payments.entry', entry=voided.id)}",
    )


async def _found(request: Request) -> Entry:
    found = await store.entry(request[CONN], int(request.match_info["entry"]))
    if found is None:
        raise not_found()
    return found


async def _draft(request: Request) -> Entry:
    found = await _found(request)
    if found.state != "draft":
        raise not_found()
    return found


async def _counting(request: Request) -> Entry:
    return _that_counts(await _found(request))


def _that_counts(found: Entry) -> Entry:
    if found.state != "approved" or found.reversed_by is not None:
        raise not_found()
    return found


def _today(request: Request) -> date:
    return request[SITE].clock.today()


# --- parts of the kernel's pages ------------------------------------------------------------------------------------


async def customer_tab(request: Request, customer: int) -> Tab:
    """What a customer owes, what is open, and the last entries."""
    desk = await KeptLedger().desk(request[CONN], customer, _today(request))
    return Tab(
        "payments.entries",
        _("Ledger"),
        "payments/tab.html",
        {
            "position": desk.position,
            "open_charges": desk.charges,
            "lines": desk.entries,
            "customer_no": desk.customer_no,
            "drafts": desk.drafts,
            "kinds": KINDS,
            "statuses": STATUSES,
            "may_enter": request[ACTOR].may("payments.enter"),
        },
        order=10,
    )


async def queue(request: Request) -> Sequence[QueueItem]:
    """Payments and charges that wait for approval."""
    waiting = await store.waiting(request[CONN])
    address = url(request, "payments.list", query={"state": "draft"})
    return [
        QueueItem(
            ngettext("{count} payment to approve", "{count} payments to approve", waiting["payments"]),
            waiting["payments"],
            address,
            order=10,
        ),
        QueueItem(
            ngettext("{count} charge to approve", "{count} charges to approve", waiting["charges"]),
            waiting["charges"],
            address,
            order=11,
        ),
    ]


async def dashboard(request: Request) -> Card:
    """The last entries that somebody made, and how to make another."""
    recent = await store.recent(request[CONN], 5)
    data = {"recent": recent, "kinds": KINDS, "states": STATES, "may_enter": request[ACTOR].may("payments.enter")}
    return Card(_("Ledger"), "payments/dashboard.html", data, order=10)


ROUTES: Final = (
    Route(
        "GET",
        "/admin/payments",
        entries,
        "payments.view",
        "payments.list",
        query=EntryQuery,
        template="payments/list.html",
    ),
    Route("POST", "/admin/payments", approve_many, "payments.approve", "payments.approve_many", body=Chosen),
    Route(
        "GET",
        "/admin/payments/new",
        new,
        "payments.enter",
        "payments.new",
        query=NewQuery,
        template="payments/new.html",
    ),
    Route("POST", "/admin/payments/new", add, "payments.enter", "payments.add", body=PaymentForm),
    Route(
        "GET", r"/admin/entries/{entry:\d+}", entry, "payments.view", "payments.entry", template="payments/entry.html"
    ),
    Route("POST", r"/admin/entries/{entry:\d+}", approve_one, "payments.approve", "payments.approve_one"),
    Route(
        "GET",
        r"/admin/entries/{entry:\d+}/edit",
        edit,
        "payments.enter",
        "payments.edit",
        template="payments/edit.html",
    ),
    Route("POST", r"/admin/entries/{entry:\d+}/edit", save, "payments.enter", "payments.save", body=EditForm),
    Route(
        "GET",
        r"/admin/entries/{entry:\d+}/delete",
        confirm_delete,
        "payments.enter",
        "payments.confirm_delete",
        template="payments/delete.html",
    ),
    Route("POST", r"/admin/entries/{entry:\d+}/delete", delete, "payments.enter", "payments.delete"),
    Route(
        "GET",
        r"/admin/entries/{entry:\d+}/correct",
        correct,
        "payments.enter",
        "payments.correct",
        template="payments/correct.html",
    ),
    Route(
        "POST",
        r"/admin/entries/{entry:\d+}/correct",
        add_correction,
        "payments.enter",
        "payments.add_correction",
        body=CorrectionForm,
    ),
    Route(
        "GET",
        r"/admin/entries/{entry:\d+}/reverse",
        confirm_reverse,
        "payments.reverse",
        "payments.confirm_reverse",
        template="payments/reverse.html",
    ),
    Route(
        "POST", r"/admin/entries/{entry:\d+}/reverse", reverse, "payments.reverse", "payments.reverse", body=ReasonForm
    ),
    Route(
        "GET",
        r"/admin/entries/{entry:\d+}/void",
        confirm_void,
        "payments.void",
        "payments.confirm_void",
        template="payments/void.html",
    ),
    Route(
        "POST",
        r"/admin/entries/{entry:\d+}/void",
        void,
        "payments.void",
        "payments.void",
        body=VoidForm,
        read_only=True,
    ),
)

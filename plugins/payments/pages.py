"""The office's pages of the ledger: the list with approval, one entry with what may be done to it, a new payment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import AfterValidator, BaseModel, SecretStr, StringConstraints, ValidationError

from kernel import (
    ACTOR,
    CONN,
    FORM,
    SITE,
    Badge,
    Column,
    Filter,
    Line,
    Listing,
    ListQuery,
    Money,
    PolishDate,
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
    redirect,
    short_date,
    tell_superadmins,
    url,
)
from plugins.payments import seen, store
from plugins.payments.desk import store as desk
from plugins.payments.desk.fields import MOST_CHARGES, Amount, BesideCharges, BookDay, Id, Number, Reason, within_ledger
from plugins.payments.desk.model import check_wish
from plugins.payments.desk.moving import MOVABLE, two_people
from plugins.payments.desk.pages import SIDES, may_transfer
from plugins.payments.face import Side, Status
from plugins.payments.model import CHANNELS, KINDS, RULES, STATES, STATUSES, owed, status_of
from plugins.payments.seen import Shown
from plugins.payments.store import Draft, Entry

MOST_AT_ONCE: Final = 10_000
"""Entries approved by one click: more is the work of an import."""

# --- the list -------------------------------------------------------------------------------------------------------

_SELECT: Final[LiteralString] = """
select e.id, e.account_id, e.counted_on, e.side, e.kind, e.state, e.amount, e.title, e.document_no, e.journal_no,
       e.period, c.id as customer, c.customer_no, c.name, a.account_no, b.code as book,
       case e.side when 'charge' then e.amount end as charged, case e.side when 'credit' then e.amount end as paid,
       coalesce(u.login, e.created_by) as created_by
from payments.entry e
join payments.account a on a.id = e.account_id
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
left join kernel.users u on u.id = case when e.created_by ~ '^[0-9]{1,18}$' then e.created_by::bigint end"""

_DRAFTS_SELECT: Final[LiteralString] = """
select e.id, e.account_id, e.counted_on, e.side, e.kind, e.state, e.amount, e.title, e.document_no, e.journal_no,
       e.period, c.id as customer, c.customer_no, c.name, a.account_no, b.code as book,
       case e.side when 'charge' then e.amount end as charged, case e.side when 'credit' then e.amount end as paid,
       coalesce(u.login, e.created_by) as created_by
from payments.entry e
join payments.account a on a.id = e.account_id
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
left join kernel.users u on u.id = case when e.created_by ~ '^[0-9]{1,18}$' then e.created_by::bigint end
where e.state = 'draft'"""

_FILTERS: Final = (
    Filter("state", _("State"), "state = {0}", options=tuple(STATES.items())),
    Filter("side", _("Side"), "side = {0}", options=SIDES),
    Filter("kind", _("Kind"), "kind = {0}", options=tuple(KINDS.items())),
    Filter("book", _("Book"), "book = {0}"),
    Filter("customer", _("Customer no."), "customer_no = {0}"),
    Filter("account", _("Account no."), "account_no = {0}"),
    Filter("since", _("Day from"), "counted_on >= {0}", kind="date"),
    Filter("until", _("Day to"), "counted_on <= {0}", kind="date"),
    Filter("period", _("Period"), "period = {0}"),
    Filter("amount", _("Amount"), "amount = {0}"),
    Filter("created_by", _("Entered by (login)"), "created_by = {0}"),
    Filter(
        "batch",
        _("List of charges"),
        "id in (select l.entry from payments.charge_batch_line l where l.batch = {0})",
    ),
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
    Column("charged", _("Charged"), "money", total=True),
    Column("paid", _("Paid"), "money", total=True),
    Column("state", _("State"), "badge", badges=_STATE_BADGES),
)


def _is_draft(row: Row) -> bool:
    return row["state"] == "draft"


ENTRIES: Final = Listing(
    "payments.entries",
    _SELECT,
    _COLUMNS,
    order="-id",
    filters=_FILTERS,
    selectable=_is_draft,
    title_of="name",
    customer="customer",
)
DRAFTS: Final = Listing(
    "payments.drafts",
    _DRAFTS_SELECT,
    _COLUMNS,
    order="-id",
    filters=_FILTERS,
    selectable=_is_draft,
    title_of="name",
    customer="customer",
)
"""The same list of drafts only: the index of drafts answers it however long the history is."""


class EntryQuery(ListQuery):
    """What the list's address may say."""

    state: Literal["", "draft", "approved", "voided"] = ""
    side: Literal["", "charge", "credit"] = ""
    kind: str = ""
    book: str = ""
    customer: str = ""
    account: str = ""
    since: PolishDate | None = None
    until: PolishDate | None = None
    period: str = ""
    amount: Money | None = None
    created_by: str = ""
    batch: Id | None = None


async def entries(request: Request, query: EntryQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Entries, the newest first; drafts can be approved where they are listed."""
    waiting, books = await desk.frame(request[CONN])
    listing = DRAFTS if query.state == "draft" else ENTRIES
    return await listed(
        request,
        replace(listing, filters=_filters_with(books)),
        query,
        extra={"waiting": waiting, "state": query.state, "group": query.group, "query": _kept(request)},
    )


def _filters_with(books: Sequence[tuple[str, str]]) -> tuple[Filter, ...]:
    """The filters, that of the book as a choice; left out where there is one book."""
    chosen = tuple((code, Text(name)) for code, name in books)
    return tuple(
        replace(one, options=chosen) if one.name == "book" else one
        for one in _FILTERS
        if one.name != "book" or len(books) > 1
    )


def _kept(request: Request) -> dict[str, str]:
    """The filters of the address, for the page that approves everything they match."""
    names = {*(one.name for one in _FILTERS), "group"}
    return {name: value for name, value in request.query.items() if name in names and value}


class Chosen(BaseModel):
    """Entries chosen in the list."""

    ids: list[Id] = []


async def approve_many(request: Request, chosen: Chosen) -> web.Response:
    """Approve the chosen drafts; those that somebody else approved meanwhile are left alone."""
    keys = await store.keys_of(request[CONN], chosen.ids)
    if not keys:
        raise Refused(_("Choose at least one entry to approve."))
    return await _approved(request, keys)


async def _approved(request: Request, keys: Sequence[store.Key]) -> web.Response:
    approved = await desk.approve(request[CONN], keys, _today(request))
    return redirect(
        request,
        "payments.list",
        query=_kept(request),
        flash=ngettext("{count} entry approved", "{count} entries approved", len(approved)),
    )


async def confirm_approve(request: Request, query: EntryQuery) -> Mapping[str, Any]:
    """What would be approved: how many drafts of each kind, and their sums. A group's drafts are chosen in the list."""
    if query.group is not None:
        raise not_found()
    sums = await desk.matching(request[CONN], _wanted(request, query), MOST_AT_ONCE)
    count = sum(len(one.keys) for one in sums)
    return {
        "sums": sums,
        "count": count,
        "charged": Money.total(one.amount for one in sums if one.side == "charge"),
        "paid": Money.total(one.amount for one in sums if one.side == "credit"),
        "seen": ".".join(one.seen for one in sums),
        "kinds": KINDS,
        "query": _kept(request),
        "filters": [(one.label, _worded(one, query)) for one in _FILTERS if getattr(query, one.name)],
        "more": count >= MOST_AT_ONCE,
        "others_only": two_people(request),
    }


def _worded(one: Filter, query: EntryQuery) -> object:
    value = getattr(query, one.name)
    return dict(one.options).get(value, value)


class AllForm(BaseModel):
    """What the page showed when somebody said yes: how many drafts, their sums in grosze, and a fingerprint of them."""

    count: int
    charged: int
    paid: int
    seen: str


async def approve_all(request: Request, form: AllForm) -> web.Response:
    """Approve every draft that the filters match, if they are still what the page showed."""
    try:
        query = EntryQuery.model_validate(_kept(request))
    except ValidationError:
        raise not_found() from None
    if query.group is not None:
        raise not_found()
    found = await desk.matching(request[CONN], _wanted(request, query), MOST_AT_ONCE)
    if not found:
        raise Refused(_("No draft matches any more."))
    keys = [key for one in found for key in one.keys]
    sums = {side: sum(one.amount.grosze for one in found if one.side == side) for side in ("charge", "credit")}
    if ".".join(one.seen for one in found) != form.seen:
        raise Refused(_changed_since(form, len(keys), Money(sums["charge"]), Money(sums["credit"])))
    return await _approved(request, keys)


def _changed_since(form: AllForm, count: int, charged: Money, paid: Money) -> Text:
    """What the filters match now against what the page had shown."""
    if (count, charged, paid) == (form.count, Money(form.charged), Money(form.paid)):
        return _(
            "A draft has been changed since you looked; how many there are and their sums are the same. Check them and "
            "approve again."
        )
    return _(
        "The drafts have changed since you looked. There were {before}: charges {charged_before}, payments "
        "{paid_before}. Now there are {now}: charges {charged_now}, payments {paid_now}. Check the sums and approve "
        "again.",
        before=form.count,
        charged_before=Money(form.charged),
        paid_before=Money(form.paid),
        now=count,
        charged_now=charged,
        paid_now=paid,
    )


def _wanted(request: Request, query: EntryQuery) -> desk.Wanted:
    """The filters, without the actor's own drafts where somebody else has to approve them."""
    return desk.Wanted(
        customer=query.customer,
        account=query.account,
        book=query.book,
        side=query.side,
        kind=query.kind,
        since=query.since,
        until=query.until,
        amount=query.amount,
        period=query.period,
        created_by=query.created_by,
        batch=query.batch,
        but_by=str(request[ACTOR].user) if two_people(request) else "",
    )


# --- a new payment --------------------------------------------------------------------------------------------------

Channel = Literal["transfer", "cash", "card", "post", "gateway", "direct_debit", "offset"]
ENTERED: Final = tuple((kind, KINDS[kind]) for kind in MOVABLE)


class NewQuery(BaseModel):
    """For whom a payment is entered, when a customer's or an account's page leads here."""

    customer: str = ""
    account: Id | None = None


class PaymentForm(BesideCharges):
    """A payment as it is typed, for an account or for a customer who has one.

    ``value_date`` is when it reached the bank account or the cash desk; beside charges stand their places in the order
    that the payer wishes.
    """

    customer_no: Number = ""
    account: Id | None = None
    kind: Literal["payment", "offset", "benefit"] = "payment"
    amount: Amount
    value_date: BookDay
    paid_on: BookDay | None = None
    title: Line = ""
    document_no: Number = ""
    channel: Channel = "transfer"


async def new(request: Request, query: NewQuery) -> Mapping[str, Any]:
    """The form of a new payment."""
    conn, found = request[CONN], None
    if query.account is not None:
        found = await desk.account(conn, query.account, _today(request), MOST_CHARGES)
        if found is None:
            raise not_found()
    number = request[FORM].values.get("customer_no", query.customer).strip()
    own = [one for one in await desk.called(conn, number) if one.customer_no == number] if number and not found else []
    return {
        "account": found,
        "choice": [(one.id, one.label) for one in own if not one.untouchable] if len(own) > 1 else [],
        "customer_no": query.customer,
        "day": _today(request),
        "entered": ENTERED,
        "channels": tuple(CHANNELS.items()),
        "kinds": KINDS,
        "statuses": STATUSES,
    }


async def add(request: Request, form: PaymentForm) -> web.Response:
    """Enter a payment as a draft, and show it for approval."""
    conn, today = request[CONN], _today(request)
    wrong = dict(_wrong_days(form, today))
    try:
        account, customer = await _payee(request, form)
    except Refused as refused:
        raise Refused(errors={**wrong, **refused.errors}) if refused.errors else refused from None
    if wrong:
        raise Refused(errors=wrong)
    wished: tuple[int, ...] = ()
    if order := form.order():
        found = await desk.account(conn, account, today, MOST_CHARGES)
        wished = check_wish(found, order) if found else ()
    key = await store.enter(
        conn,
        customer,
        Draft(
            account,
            Side.CREDIT,
            form.kind,
            form.amount,
            value_date=form.value_date,
            paid_on=form.paid_on,
            title=form.title,
            document_no=form.document_no,
            channel="offset" if form.kind == "offset" else form.channel,
            designations=wished,
        ),
    )
    return redirect(
        request, "payments.entry", entry=key.entry, flash=_("The payment is entered. It counts once you approve it.")
    )


async def _payee(request: Request, form: PaymentForm) -> tuple[int, int]:
    """The account that a payment is for, and its customer. Raises Refused, with the reason at the field."""
    conn, today = request[CONN], _today(request)
    if not form.customer_no:
        found = await desk.account(conn, form.account, today, 0) if form.account else None
        if found is None:
            raise Refused(_("Fill in this field"), field="customer_no")
        if found.untouchable:
            raise Refused(found.untouchable)
        return found.id, found.customer
    customer = await find_customer(conn, form.customer_no)
    if customer is None:
        raise Refused(_("There is no customer with this number"), field="customer_no")
    if customer.status == "closed":
        raise Refused(_("{name} is closed. Reopen the customer first.", name=customer.name), field="customer_no")
    own = [one for one in await desk.called(conn, form.customer_no) if one.customer == customer.id]
    fit = [one for one in own if not one.untouchable and form.account in (None, one.id)]
    if own and not fit:
        raise Refused(own[0].untouchable or _("This account belongs to another customer."), field="customer_no")
    if len(fit) > 1:
        raise Refused(_("This customer has several accounts. Choose one of them."), field="account")
    if fit:
        return fit[0].id, customer.id
    return (await store.open_accounts(conn, [customer.id], today))[customer.id], customer.id


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
    around = await desk.around(request[CONN], found.key)
    may, counts = request[ACTOR].may, found.state == "approved" and found.reversed_by is None
    takes = counts and found.side is Side.CREDIT and not around.is_mirror
    return {
        **_shown(request, found),
        "around": around,
        "parts": around.parts,
        "released": around.released,
        "rules": RULES,
        "statuses": STATUSES,
        "is_explained": found.state == "approved",
        "may_see_suspense": may("payments.suspense"),
        "may_see_till": may("payments.enter"),
        "may_allocate": takes and found.kind not in ("reversal", "correction") and may("payments.allocate"),
        "may_move": takes and found.kind in MOVABLE and may_transfer(request),
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
    approved = await desk.approve(request[CONN], [found.key], _today(request))
    flash = _("Approved") if approved else _("This entry was approved already.")
    return redirect(request, "payments.entry", entry=found.id, flash=flash)


class EditForm(BaseModel):
    """A draft, typed anew. ``day`` is the value date of a credit, the day of issue of a charge."""

    amount: Amount
    day: BookDay
    due_on: BookDay | None = None
    paid_on: BookDay | None = None
    title: Line = ""
    document_no: Number = ""
    channel: Literal["", "transfer", "cash", "card", "post", "gateway", "direct_debit", "offset"] = ""
    seen: Annotated[str, StringConstraints(max_length=8000)] = ""


async def edit(request: Request) -> Mapping[str, Any]:
    """The form of a draft."""
    found = await _draft(request)
    facts = {"seen": seen.written(_facts(found)), "channel_options": tuple(CHANNELS.items())}
    return {**_shown(request, found), **facts}


def _facts(found: Entry) -> dict[str, Shown]:
    """What the form of a draft shows of it."""
    is_credit = found.side is Side.CREDIT
    days = {
        "day": (_("Day of receipt"), found.value_date) if is_credit else (_("Day of issue"), found.issued_on),
        "due_on": (_("Due date"), found.due_on),
        "paid_on": (_("Day of payment"), found.paid_on),
    }
    return {
        "amount": Shown(_("Amount"), found.amount.figure),
        **{name: Shown(label, short_date(day) if day else "") for name, (label, day) in days.items()},
        "title": Shown(_("Title"), found.title),
        "document_no": Shown(_("Document"), found.document_no),
        "channel": Shown(_("How it came"), str(CHANNELS.get(found.channel, ""))),
    }


async def save(request: Request, form: EditForm) -> web.Response:
    """Write a draft anew."""
    found = await _draft(request)
    is_credit = found.side is Side.CREDIT
    seen.check_unchanged(form.seen, _facts(found))
    if await desk.counterparts(request[CONN], [found.key]):
        raise Refused(_("This is half of a transfer. Delete it, which deletes both halves, and enter it again."))
    if is_credit and form.day > _today(request):
        raise Refused(_("This day has not come yet"), field="day")
    if not is_credit and found.kind != "reversal" and form.due_on is None:
        raise Refused(_("Enter a date"), field="due_on")
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
    conn, found = request[CONN], await _draft(request)
    halves = [await store.entry(conn, key.entry) for key in await desk.counterparts(conn, [found.key])]
    gone = [found, *(half for half in halves if half is not None)]
    if not await store.delete_drafts(conn, [one.key for one in gone]):
        raise Refused(_("This entry is no draft any more, so it cannot be deleted."))
    for one in gone:
        await audit(
            conn,
            "payments.deleted",
            customer=one.customer,
            subject=f"entry {one.id}",
            amount=one.amount,
            title=one.title,
        )
    return redirect(request, "payments.account", account=found.account_id, flash=_("The draft is deleted."))


class CorrectionForm(BaseModel):
    """What a charge shall amount to from now on; zero takes it away whole."""

    amount: Annotated[Money, AfterValidator(within_ledger)]
    reason: Reason


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

    reason: Reason


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
    at_once = not two_people(request)
    await desk.reverse(request[CONN], _that_counts(found), form.reason, _today(request), at_once=at_once)
    flash = _("The entry is reversed.") if at_once else _("Entered. It counts once somebody else approves it.")
    return redirect(request, "payments.entry", entry=found.id, flash=flash)


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
            await desk.void(conn, found, form.reason)
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
    """A customer's accounts, each with what is owed on it, and the last entries."""
    today = _today(request)
    row = await desk.of_customer(request[CONN], customer, today, 10)
    if row is None:
        raise LookupError("no such customer")
    return Tab(
        "payments.entries",
        _("Ledger"),
        "payments/tab.html",
        {
            "accounts": [_account(account, today) for account in row["accounts"] or ()],
            "lines": [_line(entry, today) for entry in row["entries"] or ()],
            "customer_no": row["customer_no"],
            "kinds": KINDS,
            "statuses": STATUSES,
            "may_enter": request[ACTOR].may("payments.enter"),
        },
        order=10,
    )


def _account(account: Mapping[str, Any], on: date) -> dict[str, Any]:
    position = owed(
        due=account["due"],
        arrears=account["arrears"],
        nearest=date.fromisoformat(account["nearest"]) if account["nearest"] else None,
        nearest_amount=account["nearest_amount"],
        credit=account["credit"],
        balance=account["balance"],
        on=on,
    )
    since = account["late_since"]
    return {**account, "position": position, "late_since": date.fromisoformat(since) if since else None}


def _line(entry: Mapping[str, Any], on: date) -> dict[str, Any]:
    due, voided_at = entry["effective_due_on"], entry["voided_at"]
    status: Status = status_of(
        Side(entry["side"]),
        amount=entry["amount"],
        open_amount=entry["open"],
        effective_due_on=date.fromisoformat(due) if due else None,
        on=on,
        state=entry["state"],
        is_reversed=entry["is_reversed"],
        corrected=entry["corrected"],
    )
    return {
        **entry,
        "on": date.fromisoformat(entry["on"]),
        "status": status,
        "voided_at": datetime.fromisoformat(voided_at) if voided_at else None,
    }


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
        "/admin/payments/approve",
        confirm_approve,
        "payments.approve",
        "payments.confirm_approve",
        query=EntryQuery,
        template="payments/approve.html",
    ),
    Route("POST", "/admin/payments/approve", approve_all, "payments.approve", "payments.approve_all", body=AllForm),
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

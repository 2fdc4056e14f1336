"""The pages of the payments desk: bundles, one bundle with its next row, approval, the list of a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints

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
    Pdf,
    PolishDate,
    PositiveMoney,
    Refused,
    Request,
    Route,
    Text,
    _,
    audit,
    documents,
    listed,
    ngettext,
    not_found,
    organisation,
    redirect,
    search_hits,
    short_date,
    url,
)
from plugins.payments import seen, store
from plugins.payments.desk import store as desk
from plugins.payments.desk.fields import Amount, BookDay, Id, Number
from plugins.payments.desk.moving import two_people
from plugins.payments.face import Side
from plugins.payments.model import CHANNELS, KINDS
from plugins.payments.seen import Shown
from plugins.payments.store import Draft
from plugins.payments.till import store as till
from plugins.payments.till.model import (
    CHANNELS_HERE,
    KINDS_HERE,
    MOST_ROWS,
    TITLES,
    Bundle,
    fingerprint,
    sums_by_channel,
    sums_by_kind,
)
from plugins.payments.till.model import Row as TillRow
from plugins.payments.till.store import Found, Twin

RIGHT: Final = "payments.enter"
MOST_FOUND: Final = 8
"""Accounts that are offered while somebody types."""
SHORTEST: Final = 2
"""Signs from which on something is searched; a shorter number is still found when it is exact."""

# --- all bundles ----------------------------------------------------------------------------------------------------

_BUNDLES: Final[LiteralString] = """
select b.id, b.day, to_char(b.day, 'DD.MM.YYYY') || '/' || b.number as name, b.created_at,
       coalesce(nullif(u.name, ''), u.login, b.created_by) as author, coalesce(u.login, '') as login,
       s.rows, s.amount, b.expected_sum,
       case when s.rows = 0 then 'empty' when s.drafts > 0 then 'open' else 'approved' end as state,
       case when coalesce(b.expected_sum, s.amount) <> s.amount or coalesce(b.expected_count, s.rows) <> s.rows
            then 'differs' else '' end as control
from payments.till_bundle b
left join kernel.users u on u.id = case when b.created_by ~ '^[0-9]{1,18}$' then b.created_by::bigint end
cross join lateral (
    select count(*) as rows, coalesce(sum(e.amount), 0)::bigint as amount,
           count(*) filter (where e.state = 'draft') as drafts
    from payments.till_row r join payments.entry e on e.account_id = r.account_id and e.id = r.entry
    where r.bundle = b.id and e.state <> 'voided' and not exists (
        select from payments.entry k where k.account_id = e.account_id and k.reverses = e.id and k.state = 'approved')
) s"""
STATES: Final = {
    "empty": Badge(_("nothing in it yet")),
    "open": Badge(_("waits for approval"), "notice"),
    "approved": Badge(_("approved"), "credit"),
}
CONTROLS: Final = {"": Badge(_("agrees")), "differs": Badge(_("differs"), "due")}

BUNDLES: Final = Listing(
    "payments.till",
    _BUNDLES,
    (
        Column("name", _("Bundle"), link="payments.till_bundle", by={"bundle": "id"}),
        Column("created_at", _("Begun"), "moment", sort="id"),
        Column("author", _("Entered by")),
        Column("rows", _("Payments"), "number"),
        Column("amount", _("Sum"), "money", total=True),
        Column("control", _("Control sum"), "badge", badges=CONTROLS),
        Column("state", _("State"), "badge", badges=STATES),
    ),
    order="-created_at",
    filters=(
        Filter("since", _("Day from"), "day >= {0}", kind="date"),
        Filter("until", _("Day to"), "day <= {0}", kind="date"),
        Filter("author", _("Entered by (login)"), "login = lower({0}::text)"),
        Filter(
            "state", _("State"), "state = {0}", options=tuple((name, badge.label) for name, badge in STATES.items())
        ),
    ),
    title_of="name",
)


class BundlesQuery(ListQuery):
    """What the list's address may say."""

    since: PolishDate | None = None
    until: PolishDate | None = None
    author: str = Field("", max_length=200)
    state: Literal["", "empty", "open", "approved"] = ""


async def bundles(request: Request, query: BundlesQuery) -> Mapping[str, Any] | web.StreamResponse:
    """All bundles, the newest first; another can be begun here."""
    return await listed(request, BUNDLES, query, extra={"today": _today(request)})


class Expectation(BaseModel):
    """What the slips in hand come to: how many, and their sum; what is left empty is not compared."""

    expected_count: Annotated[int | None, Field(ge=1, le=MOST_ROWS)] = None
    expected_sum: PositiveMoney | None = None


async def begin(request: Request, form: Expectation) -> web.Response:
    """Begin a bundle of today."""
    number = await till.begin(request[CONN], _today(request), form.expected_count, form.expected_sum)
    return redirect(request, "payments.till_bundle", bundle=number)


async def control(request: Request) -> Mapping[str, Any]:
    """The form of what a bundle should come to."""
    return {"bundle": await _bundle(request)}


async def set_control(request: Request, form: Expectation) -> web.Response:
    """Say what a bundle should come to."""
    bundle = await _bundle(request)
    await till.expect(request[CONN], bundle.id, form.expected_count, form.expected_sum)
    return redirect(request, "payments.till_bundle", bundle=bundle.id, flash=_("The control sum is kept."))


# --- one bundle -----------------------------------------------------------------------------------------------------


class RowForm(BaseModel):
    """A payment as it is typed. ``who`` is a number, a name or an address; ``choice`` an account («a» and its id) or a
    customer without one («c») of those that it may mean, ``offered`` the text for which the page had offered them.
    ``sure``: it is no repetition."""

    who: Annotated[Number, StringConstraints(min_length=1)]
    choice: Annotated[str, StringConstraints(pattern=r"^[ac][0-9]{1,18}$")] | None = None
    offered: Annotated[str, StringConstraints(max_length=80)] = ""
    amount: Amount
    day: BookDay
    title: Line = ""
    document_no: Number = ""
    kind: Literal["payment", "benefit", "offset"] = "payment"
    channel: Literal["cash", "card", "transfer", "post", "gateway", "direct_debit"] = "cash"
    sure: bool = False
    seen: Annotated[str, StringConstraints(max_length=8000)] = ""


async def bundle_page(request: Request) -> Mapping[str, Any]:
    """A bundle: what is in it, what it comes to, and the next row."""
    return await _shown(request, await _bundle(request), None)


async def row_page(request: Request) -> Mapping[str, Any] | web.StreamResponse:
    """The same with one of its rows to be typed anew."""
    bundle = await _bundle(request)
    row = bundle.row(int(request.match_info["row"]))
    if row is not None and not row.is_draft and request.method != "POST":
        return redirect(request, "payments.entry", entry=row.entry)
    return await _shown(request, bundle, _draft(request, bundle))


async def _shown(request: Request, bundle: Bundle, editing: TillRow | None) -> dict[str, Any]:
    form, last = request[FORM], bundle.rows[-1] if bundle.rows else None
    sample = editing or last
    typed = form.values.get("who", "").strip()
    choices = await _found(request, typed) if "choice" in form.errors and typed else []
    twins = await _twins_of_typed(request, editing) if "sure" in form.errors else ()
    return {
        "bundle": bundle,
        "editing": editing,
        "rows": bundle.rows[::-1],
        "day": sample.day if sample else _today(request),
        "kind": sample.kind if sample else "payment",
        "channel": sample.channel if sample and sample.channel in CHANNELS_HERE else "cash",
        "kind_options": [(kind, KINDS[kind]) for kind in KINDS_HERE],
        "channel_options": [(channel, CHANNELS[channel]) for channel in CHANNELS_HERE],
        "kinds": KINDS,
        "channels": CHANNELS,
        "by_channel": sums_by_channel(bundle.rows),
        "choices": [(key_of(one), label_of(one)) for one in choices if one.untouchable is None],
        "offered": typed if choices or form.values.get("choice") else "",
        "nobody": "choice" in form.errors and not choices,
        "twins": twins,
        "seen": seen.written(_facts(editing)) if editing else "",
        "states": STATES,
        "may_approve": bool(bundle.drafts) and request[ACTOR].may("payments.approve"),
        "user": request[ACTOR].user,
        "is_full": len(bundle.rows) >= MOST_ROWS,
    }


def _facts(row: TillRow) -> dict[str, Shown]:
    return {
        "account": Shown(_("Customer"), f"{row.name} ({row.account_no})"),
        "amount": Shown(_("Amount"), row.amount.figure),
        "day": Shown(_("Day"), short_date(row.day)),
        "title": Shown(_("Title"), row.title),
        "document_no": Shown(_("Document"), row.document_no),
        "kind": Shown(_("Kind"), str(KINDS[row.kind])),
        "channel": Shown(_("How it came"), str(CHANNELS.get(row.channel, ""))),
    }


async def add(request: Request, form: RowForm) -> web.Response:
    """Enter the next row as a draft."""
    bundle, customer, draft, name = await _typed(request, form, None)
    if len(bundle.rows) >= MOST_ROWS:
        raise Refused(_("This bundle is full. Begin the next one."))
    key = await store.enter(request[CONN], customer, draft)
    await till.add_row(request[CONN], bundle.id, key)
    return redirect(
        request,
        "payments.till_bundle",
        bundle=bundle.id,
        flash=_("Entered: {name}, {amount}", name=name, amount=form.amount),
    )


async def save(request: Request, form: RowForm) -> web.Response:
    """Write a row anew; for another customer the old draft goes and a new one takes its place."""
    conn = request[CONN]
    row = _draft(request, await _bundle(request))
    bundle, customer, draft, _name = await _typed(request, form, row)
    row = _draft(request, bundle)
    seen.check_unchanged(form.seen, _facts(row))
    key = store.Key(row.account, row.entry)
    if (row.account, row.kind) == (draft.account, draft.kind):
        if not await store.edit(conn, key, draft):
            raise Refused(_("This entry is no draft any more, so it cannot be changed."))
        await audit(
            conn,
            "payments.edited",
            customer=row.customer,
            subject=f"entry {row.entry}",
            before=row.amount,
            amount=draft.amount,
        )
    else:
        await _take_out(request, row)
        await till.add_row(conn, bundle.id, await store.enter(conn, customer, draft), row.place)
    return redirect(request, "payments.till_bundle", bundle=bundle.id, flash=_("Saved"))


async def remove(request: Request) -> web.Response:
    """Take a draft out of a bundle and delete it."""
    await till.hold(request[CONN], int(request.match_info["bundle"]))
    bundle = await _bundle(request)
    await _take_out(request, _draft(request, bundle))
    return redirect(request, "payments.till_bundle", bundle=bundle.id, flash=_("The row is removed."))


async def _take_out(request: Request, row: TillRow) -> None:
    if not await store.delete_drafts(request[CONN], [store.Key(row.account, row.entry)]):
        raise Refused(_("This entry is no draft any more, so it cannot be deleted."))
    await audit(
        request[CONN],
        "payments.deleted",
        customer=row.customer,
        subject=f"entry {row.entry}",
        amount=row.amount,
        title=row.title,
    )


async def _typed(request: Request, form: RowForm, editing: TillRow | None) -> tuple[Bundle, int, Draft, str]:
    """The bundle, held; whose payment was typed; and the draft. Raises Refused, also for what looks typed twice."""
    conn, today = request[CONN], _today(request)
    await till.hold(conn, int(request.match_info["bundle"]))
    bundle = await _bundle(request)
    wrong: dict[str, Text] = {}
    if form.day > today:
        wrong["day"] = _("This day has not come yet")
    found: Found | None = None
    try:
        found = await _whose(request, form)
    except Refused as refused:
        wrong = {**refused.errors, **wrong}
    if wrong or found is None:
        raise Refused(errors=wrong)
    account = found.account
    if account is None:
        account = (await store.open_accounts(conn, [found.customer], today))[found.customer]
    if not form.sure:
        but = editing.entry if editing else None
        same = await till.twins(conn, account, form.amount, form.day, form.title, form.document_no, today, but)
        if same:
            raise Refused(_("This looks like a payment that is there already. Enter it only if it is another one."),
                          field="sure")  # fmt: skip
    draft = Draft(
        account,
        Side.CREDIT,
        form.kind,
        form.amount,
        value_date=form.day,
        paid_on=form.day,
        title=form.title or str(TITLES[form.kind]),
        document_no=form.document_no,
        channel="offset" if form.kind == "offset" else form.channel,
    )
    return bundle, found.customer, draft, found.name


async def _whose(request: Request, form: RowForm) -> Found:
    """The account that was meant. Raises Refused: nobody, several, or one that takes nothing.

    What was typed is looked up by number here. Whoever a name or an address means, the page asks when it is shown
    again; an answer counts only for the text that it was asked about.
    """
    named = await till.find(request[CONN], form.who, (), _today(request), MOST_FOUND)
    found = [one for one in named if one.exact]
    if form.choice:
        if form.offered == form.who:
            found = await _chosen(request, form.choice)
        found = [one for one in found if key_of(one) == form.choice]
    usable = [one for one in found if one.untouchable is None]
    if found and not usable:
        raise Refused(found[0].untouchable, field="who")
    if len(usable) != 1:
        raise Refused(_("Choose whose payment this is"), field="choice")
    return usable[0]


async def _chosen(request: Request, choice: str) -> list[Found]:
    number = int(choice[1:])
    hits, account = ((number,), None) if choice.startswith("c") else ((), number)
    return await till.find(request[CONN], "", hits, _today(request), MOST_FOUND, account)


async def _twins_of_typed(request: Request, editing: TillRow | None) -> Sequence[Twin]:
    """What the typed row, which was refused for it, looks like."""
    try:
        form = RowForm.model_validate({name: value for name, value in request[FORM].values.items() if value})
        found = await _whose(request, form)
    except (ValueError, Refused):
        return ()
    if found.account is None:
        return ()
    return await till.twins(
        request[CONN],
        found.account,
        form.amount,
        form.day,
        form.title,
        form.document_no,
        _today(request),
        editing.entry if editing else None,
    )


# --- whom a row is for ----------------------------------------------------------------------------------------------


class FindQuery(BaseModel):
    """What was typed so far."""

    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = ""


class Suggestion(BaseModel):
    """An account that is offered: how the form names it, and what the customer owes, in words."""

    key: str
    number: str
    name: str
    details: str
    owes: str
    exact: bool
    stopped: str


class Suggestions(BaseModel):
    """The accounts that what was typed may mean, the likeliest first."""

    found: list[Suggestion]


async def find(request: Request, query: FindQuery) -> Suggestions:
    """Whom the typed text may mean, for the list under the field."""
    return Suggestions(
        found=[
            Suggestion(
                key=key_of(one),
                number=one.account_no or one.customer_no,
                name=one.name,
                details=" · ".join(part for part in (one.address, one.book, one.point) if part),
                owes=str(owes(one)),
                exact=one.exact,
                stopped=str(one.untouchable or ""),
            )
            for one in await _found(request, query.q)
        ]
    )


async def _found(request: Request, text: str) -> list[Found]:
    if not text:
        return []
    hits = [hit.customer for hit in await search_hits(request, text) if hit.customer] if len(text) >= SHORTEST else []
    return await till.find(request[CONN], text, list(dict.fromkeys(hits))[:MOST_FOUND], _today(request), MOST_FOUND)


def key_of(found: Found) -> str:
    """How a form names an account, or a customer whose account is still to be opened."""
    return f"c{found.customer}" if found.account is None else f"a{found.account}"


def label_of(found: Found) -> str:
    """An account in one line, for a choice among several."""
    number = found.account_no or found.customer_no
    return " · ".join(
        part for part in (found.name, number, found.address, found.book, found.point, str(owes(found))) if part
    )


def owes(found: Found) -> Text:
    """What a customer owes on the account, in words."""
    if found.due > 0:
        return _("to pay {amount}", amount=Money(found.due))
    if found.balance > 0:
        return _("to pay later {amount}", amount=Money(found.balance))
    if found.balance < 0:
        return _("overpaid {amount}", amount=Money(-found.balance))
    return _("settled")


# --- approval -------------------------------------------------------------------------------------------------------


async def confirm_approve(request: Request) -> Mapping[str, Any] | web.StreamResponse:
    """What of a bundle would be approved, with its sums, and what differs from the slips."""
    bundle = await _bundle(request)
    if not bundle.drafts and request.method != "POST":
        return redirect(request, "payments.till_bundle", bundle=bundle.id, flash=_("Nothing of this bundle waits."))
    own = [row for row in bundle.drafts if not _may_be_approved(request, row)]
    return {
        "bundle": bundle,
        "rows": [row for row in bundle.drafts if row not in own],
        "own": own,
        "seen": fingerprint(bundle.drafts),
        "by_channel": sums_by_channel(bundle.drafts),
        "by_kind": sums_by_kind(bundle.drafts),
        "drafts_total": Money.total(row.amount for row in bundle.drafts),
        "kinds": KINDS,
        "channels": CHANNELS,
        "chosen": _chosen_before(request),
    }


def _chosen_before(request: Request) -> frozenset[str] | None:
    """The rows that were ticked on a page that is shown again; None on a fresh one."""
    form = request[FORM]
    return frozenset(form.values.get("ids", "").split(",")) if form.refused else None


def _may_be_approved(request: Request, row: TillRow) -> bool:
    return not two_people(request) or row.created_by != str(request[ACTOR].user)


class ApproveForm(BaseModel):
    """The rows to approve; ``seen`` stands for those that the page showed, ``count`` and ``total`` (grosze) sum them.
    ``why`` a bundle is approved although it differs from the slips."""

    ids: list[Id] = []
    seen: str = ""
    count: int = 0
    total: int = 0
    why: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


async def approve(request: Request, form: ApproveForm) -> web.Response:
    """Approve the chosen rows of a bundle, if they are still what the page showed."""
    conn = request[CONN]
    await till.hold(conn, int(request.match_info["bundle"]))
    bundle = await _bundle(request)
    if fingerprint(bundle.drafts) != form.seen:
        raise Refused(
            _(
                "The bundle has changed since you looked: there were {before} rows for {sum_before}, now there are "
                "{now} for {sum_now}. Check them and approve again.",
                before=form.count,
                sum_before=Money(form.total),
                now=len(bundle.drafts),
                sum_now=Money.total(row.amount for row in bundle.drafts),
            )
        )
    chosen = [row for row in bundle.drafts if row.entry in set(form.ids)]
    if not chosen:
        raise Refused(_("Choose at least one row to approve."))
    if bundle.differs and len(form.why) < 3:
        raise Refused(_("The bundle differs from the slips. Say why it is approved all the same."), field="why")
    approved = await desk.approve(conn, [store.Key(row.account, row.entry) for row in chosen], _today(request))
    if bundle.differs:
        await till.explain(conn, bundle, form.why)
    return redirect(
        request,
        "payments.till_bundle",
        bundle=bundle.id,
        flash=ngettext("{count} payment approved", "{count} payments approved", len(approved)),
    )


# --- the list of a day ----------------------------------------------------------------------------------------------


class DayQuery(BaseModel):
    """Of which day; today without one."""

    day: PolishDate | None = None


async def day_list(request: Request, query: DayQuery) -> Mapping[str, Any]:
    """All bundles of a day with their rows and sums, as they are printed."""
    day = query.day or _today(request)
    found = await till.bundles_of(request[CONN], day)
    rows = [row for bundle in found for row in bundle.rows]
    return {
        "day": day,
        "bundles": found,
        "by_channel": sums_by_channel(rows),
        "by_kind": sums_by_kind(rows),
        "total": Money.total(row.amount for row in rows if row.counts),
        "count": sum(1 for row in rows if row.counts),
        "drafts": sum(1 for row in rows if row.is_draft),
        "kinds": KINDS,
        "channels": CHANNELS,
        "pdf": url(request, "payments.till_day_pdf", query={"day": day.isoformat()}),
    }


async def day_pdf(request: Request, query: DayQuery) -> Pdf:
    """The same on paper."""
    from plugins.payments.till.documents import day_list as draw

    if request[FORM].refused:
        raise web.HTTPUnprocessableEntity
    day = query.day or _today(request)
    found = await till.bundles_of(request[CONN], day)
    made = datetime.combine(day, time(), UTC)
    content = await documents.render(draw, day, found, organisation(request[SITE]).payee_name, made)
    return Pdf(content, f"{_('payments')}-{day.isoformat()}.pdf")


# --- what they share ------------------------------------------------------------------------------------------------


async def _bundle(request: Request) -> Bundle:
    found = await till.bundle(request[CONN], int(request.match_info["bundle"]))
    if found is None:
        raise not_found()
    return found


def _draft(request: Request, bundle: Bundle) -> TillRow:
    row = bundle.row(int(request.match_info["row"]))
    if row is None:
        raise not_found()
    if not row.is_draft:
        raise Refused(_("This entry is no draft any more, so it cannot be changed."))
    return row


def _today(request: Request) -> date:
    return request[SITE].clock.today()


_BUNDLE: Final = r"/admin/payments/till/{bundle:\d+}"
_ROW: Final = rf"{_BUNDLE}/rows/{{row:\d+}}"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/payments/till",
        bundles,
        RIGHT,
        "payments.till",
        query=BundlesQuery,
        template="payments/till/list.html",
    ),
    Route("POST", "/admin/payments/till", begin, RIGHT, "payments.till_begin", body=Expectation),
    Route("GET", "/admin/payments/till/find", find, RIGHT, "payments.till_find", query=FindQuery, returns=Suggestions),
    Route(
        "GET",
        "/admin/payments/till/day",
        day_list,
        "payments.view",
        "payments.till_day",
        query=DayQuery,
        template="payments/till/day.html",
    ),
    Route("GET", "/admin/payments/till/day.pdf", day_pdf, "payments.view", "payments.till_day_pdf", query=DayQuery),
    Route("GET", _BUNDLE, bundle_page, RIGHT, "payments.till_bundle", template="payments/till/bundle.html"),
    Route("POST", _BUNDLE, add, RIGHT, "payments.till_add", body=RowForm),
    Route("GET", f"{_BUNDLE}/control", control, RIGHT, "payments.till_control", template="payments/till/control.html"),
    Route("POST", f"{_BUNDLE}/control", set_control, RIGHT, "payments.till_set_control", body=Expectation),
    Route("GET", _ROW, row_page, RIGHT, "payments.till_row", template="payments/till/bundle.html"),
    Route("POST", _ROW, save, RIGHT, "payments.till_save", body=RowForm),
    Route("POST", f"{_ROW}/remove", remove, RIGHT, "payments.till_remove"),
    Route(
        "GET",
        f"{_BUNDLE}/approve",
        confirm_approve,
        "payments.approve",
        "payments.till_confirm_approve",
        template="payments/till/approve.html",
    ),
    Route("POST", f"{_BUNDLE}/approve", approve, "payments.approve", "payments.till_approve", body=ApproveForm),
)

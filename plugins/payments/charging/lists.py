"""The pages of lists of charges: pasted or uploaded, checked line by line, entered when somebody says so."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal, LiteralString

from pydantic import BaseModel, Field, StringConstraints

from kernel import (
    ACTOR,
    CONN,
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
    Text,
    Upload,
    _,
    audit,
    enqueue,
    listed,
    ngettext,
    not_found,
    redirect,
)
from plugins.payments import store as ledger
from plugins.payments.charging import list_jobs
from plugins.payments.charging import list_store as store
from plugins.payments.charging import store as fees
from plugins.payments.charging.list_store import Batch
from plugins.payments.charging.model import Month
from plugins.payments.charging.reading import COLUMNS, ListError, cells_of, columns_of, split, text_of
from plugins.payments.model import CHARGE_KINDS

RIGHT: Final = "payments.enter"
MOST_CORRECTED: Final = 200
"""Wrong lines that are shown for correction at once."""
KINDS: Final = ("fee", "settlement", "opening")
ENTERED_ALREADY: Final = _("This list is entered already.")
NOTHING_WAITS: Final = _("Nothing of this list waits for approval.")
NOTHING_TO_DELETE: Final = _("Nothing of this list can be deleted any more.")
STATES: Final = {
    "checking": Badge(_("being checked"), "notice"),
    "ready": Badge(_("waits to be entered"), "notice"),
    "entered": Badge(_("entered"), "credit"),
    "approving": Badge(_("being approved"), "notice"),
    "deleted": Badge(_("deleted")),
}

# --- all lists ------------------------------------------------------------------------------------------------------

_LISTS: Final[LiteralString] = """
select id, coalesce(nullif(name, ''), '—') as name, kind, state, lines, wrong, charged, created_at
from payments.charge_batch"""


def _kind(row: Row) -> Text:
    return CHARGE_KINDS[row["kind"]]


LISTS: Final = Listing(
    "payments.charge_lists",
    _LISTS,
    (
        Column("id", _("No."), "number", sort="id", link="payments.charging_list", by={"batch": "id"}),
        Column("name", _("List"), link="payments.charging_list", by={"batch": "id"}),
        Column("kind", _("Kind"), show=_kind),
        Column("state", _("State"), "badge", badges=STATES),
        Column("lines", _("Lines"), "number"),
        Column("wrong", _("Wrong"), "number"),
        Column("charged", _("Sum"), "money"),
        Column("created_at", _("Typed in"), "moment"),
    ),
    order="-id",
    filters=(
        Filter(
            "state", _("State"), "state = {0}", options=tuple((name, badge.label) for name, badge in STATES.items())
        ),
        Filter("name", _("List"), "name ilike '%' || {0}::text || '%'"),
    ),
    title_of="name",
)


class ListsQuery(ListQuery):
    """What the list's address may say."""

    state: Literal["", "checking", "ready", "entered", "approving", "deleted"] = ""
    name: str = Field("", max_length=200)


async def lists(request: Request, query: ListsQuery) -> object:
    """All lists, the newest first."""
    return await listed(request, LISTS, query, extra={"section": "lists"})


# --- a new list -----------------------------------------------------------------------------------------------------


class NewList(BaseModel):
    """A list as it is pasted or uploaded. ``due_on`` is for lines without a date of their own."""

    text: Annotated[str, StringConstraints(max_length=20_000_000)] = ""
    file: Upload | None = None
    name: Line = ""
    kind: Literal["fee", "settlement", "opening"] = "fee"
    book: int = 0
    issued_on: PolishDate
    due_on: PolishDate | None = None

    model_config = {"arbitrary_types_allowed": True}


async def new(request: Request) -> Mapping[str, Any]:
    """The form that takes a list."""
    today = _today(request)
    books = [(row["id"], row["name"]) for row in await fees.books(request[CONN])]
    return {
        "kinds": [(kind, CHARGE_KINDS[kind]) for kind in KINDS],
        "books": books,
        "day": today,
        "due_on": Month.of(today).plus(1).day(10),
        "columns": tuple(COLUMNS.values()),
        "section": "lists",
    }


async def add(request: Request, form: NewList) -> object:
    """Keep a list and have it checked; nothing of it enters the ledger yet."""
    conn = request[CONN]
    if form.book not in {row["id"] for row in await fees.books(conn)}:
        raise Refused(_("Choose the book that these charges belong to."), field="book")
    try:
        columns, lines = columns_of(await cells_of(await text_of(form.text, form.file)))
    except ListError as error:
        raise Refused(error.message, field="text") from error
    if not lines:
        raise Refused(_("There is no line in this list."), field="text")
    number = await store.add(
        conn,
        name=form.name or (form.file.filename if form.file else ""),
        kind=form.kind,
        book=form.book,
        issued_on=form.issued_on,
        due_on=form.due_on,
        columns=columns,
        lines=lines,
    )
    await list_jobs.begin_check(conn, number, len(lines))
    return redirect(request, "payments.charging_list", batch=number)


# --- one list -------------------------------------------------------------------------------------------------------

_LINES: Final[LiteralString] = """
select l.line, l.typed, l.problem, l.problem_in, coalesce(k.account_no, '') as account_no,
       coalesce(c.name, '') as name, l.due_on, l.side, l.amount, l.title, l.document_no, l.period, l.entry,
       case when l.problem <> '' then 'wrong' when e.state is not null then e.state
            when l.is_repeated then 'repeated' else 'good' end as how
from payments.charge_batch_line l
left join payments.account k on k.id = l.account_id
left join kernel.customer c on c.id = coalesce(l.customer, k.customer)
left join payments.entry e on e.account_id = l.account_id and e.id = l.entry
where l.batch = $1"""
HOW: Final = {
    "wrong": Badge(_("wrong"), "due"),
    "repeated": Badge(_("there already"), "notice"),
    "good": Badge(_("good")),
    "draft": Badge(_("Draft"), "notice"),
    "approved": Badge(_("Approved"), "credit"),
    "voided": Badge(_("Voided")),
}


def _whose(row: Row) -> str:
    return " · ".join(row["typed"]) if row["problem"] else row["name"]


def _overpaid(row: Row) -> object:
    return _("yes") if row["side"] == "credit" else ""


def _problem(row: Row) -> object:
    return problem_text(row) if row["problem"] else ""


def problem_text(row: Row) -> Text:
    """Why a line is wrong, and in which column."""
    column = COLUMNS.get(row["problem_in"])
    reason = Text(row["problem"])
    return _("{column}: {reason}", column=column, reason=reason) if column else reason


LINES: Final = Listing(
    "payments.charge_list",
    _LINES,
    (
        Column("line", _("Line"), "number", sort="line"),
        Column("how", _("State"), "badge", badges=HOW),
        Column("problem", _("What is wrong"), show=_problem),
        Column("name", _("Customer, or what was typed"), show=_whose),
        Column("account_no", _("Account")),
        Column("due_on", _("Due date"), "date"),
        Column("amount", _("Amount"), "money"),
        Column("title", _("Title")),
        Column("document_no", _("Document")),
        Column("side", _("Overpaid"), show=_overpaid),
        Column("entry", _("Entry"), "number", link="payments.entry", by={"entry": "entry"}),
    ),
    order="line",
    key="line",
    filters=(
        Filter("how", _("State"), "how = {0}", options=tuple((name, badge.label) for name, badge in HOW.items())),
        Filter("customer", _("Customer"), "kernel.pl_sort(name) like '%' || kernel.pl_sort({0}::text) || '%'"),
    ),
    title_of="name",
)


class LinesQuery(ListQuery):
    """Which lines are shown."""

    how: Literal["", "wrong", "repeated", "good", "draft", "approved", "voided"] = ""
    customer: str = Field("", max_length=200)


async def batch(request: Request, query: LinesQuery) -> object:
    """One list: what it comes to, what is wrong, and its lines."""
    found = await _batch(request)
    may = request[ACTOR].may
    shown = {
        "batch": found,
        "state": STATES[found.state],
        "kind": CHARGE_KINDS[found.kind],
        "is_working": found.state in ("checking", "approving"),
        "may_enter": found.state == "ready" and found.lines > found.wrong,
        "may_approve": found.state == "entered" and found.drafts and may("payments.approve"),
        "may_delete": found.state in ("checking", "ready") or (found.state == "entered" and found.drafts),
        "may_void": found.state == "entered" and found.approved and may("payments.void"),
        "kept_days": list_jobs.KEPT_DAYS,
        "section": "lists",
    }
    return await listed(request, LINES, query, args=(found.id,), extra=shown)


class EnterForm(BaseModel):
    """What to do with lines that are wrong, and with those that are there already."""

    without_wrong: bool = False
    repeated: Literal["", "leave", "again"] = ""


async def enter(request: Request, form: EnterForm) -> object:
    """Enter the lines of a list as drafts."""
    conn, found = request[CONN], await _batch(request)
    if found.wrong and not form.without_wrong:
        raise Refused(_("Correct the wrong lines, or tick that they are left out."), field="without_wrong")
    if found.repeated and not form.repeated:
        raise Refused(_("Say what to do with the lines that are there already."), field="repeated")
    await store.take_turns(conn)
    if not await store.move(conn, found.id, ["ready"], "entered"):
        raise Refused(ENTERED_ALREADY)
    homeless = await store.homeless(conn, found.id)
    if homeless:
        await store.house(conn, found.id, await ledger.open_accounts(conn, homeless, _today(request)))
    if await store.repeated_now(conn, found.id) > found.repeated and form.repeated != "again":
        raise Refused(_("Meanwhile the same has been entered by somebody else. Check the list again."))
    with ledger.refusals():
        done = await store.enter(conn, found.id, again=form.repeated == "again")
    if not done["entries"]:
        raise Refused(_("There is nothing left to enter in this list."))
    await audit(
        conn,
        "payments.batch_entered",
        subject=f"charge-list {found.id}",
        count=done["entries"],
        charged=Money(done["charged"]),
        credited=Money(done["credited"]),
    )
    flash = ngettext(
        "{count} draft is entered. It counts once you approve it.",
        "{count} drafts are entered. They count once you approve them.",
        done["entries"],
    )
    return redirect(request, "payments.charging_list", batch=found.id, flash=flash)


async def again(request: Request) -> object:
    """Check a list once more."""
    conn, found = request[CONN], await _batch(request)
    if not await store.move(conn, found.id, ["ready"], "checking"):
        raise Refused(ENTERED_ALREADY)
    await list_jobs.begin_check(conn, found.id, found.lines)
    return redirect(request, "payments.charging_list", batch=found.id)


async def correct(request: Request) -> object:
    """The wrong lines as they were typed, with the reason of each, to be typed anew."""
    found = await _batch(request)
    wrong = await store.wrong_lines(request[CONN], found.id, MOST_CORRECTED)
    if (found.state != "ready" or not wrong) and request.method != "POST":
        return redirect(request, "payments.charging_list", batch=found.id)
    return {
        "batch": found,
        "wrong": [(row["line"], " · ".join(row["typed"]), problem_text(row)) for row in wrong],
        "typed": _rows([row["typed"] for row in wrong]),
        "columns": "; ".join(str(COLUMNS[name]) if name else "—" for name in found.columns),
        "section": "lists",
    }


def _rows(cells: Sequence[Sequence[str]]) -> str:
    """Lines as they can be typed again: cells parted by semicolons."""
    written = io.StringIO()
    csv.writer(written, delimiter=";", lineterminator="\n").writerows(cells)
    return written.getvalue().rstrip("\n")


class CorrectForm(BaseModel):
    """The wrong lines, typed anew."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]


async def save_corrected(request: Request, form: CorrectForm) -> object:
    """Put newly typed lines in the place of the wrong ones, and check the list again."""
    conn, found = request[CONN], await _batch(request)
    try:
        lines = split(form.text)
    except ListError as error:
        raise Refused(error.message, field="text") from error
    if not await store.move(conn, found.id, ["ready"], "checking"):
        raise Refused(ENTERED_ALREADY)
    wrong = await store.wrong_lines(conn, found.id, MOST_CORRECTED)
    await store.replace_lines(conn, found.id, [row["line"] for row in wrong], [line.typed for line in lines])
    await list_jobs.begin_check(conn, found.id, found.lines)
    return redirect(request, "payments.charging_list", batch=found.id)


async def confirm_approve(request: Request) -> object:
    """Asks whether everything of a list shall be approved."""
    found = await _batch(request)
    if (found.state != "entered" or not found.drafts) and request.method != "POST":
        return redirect(request, "payments.charging_list", batch=found.id, flash=NOTHING_WAITS)
    waiting = await store.waiting(request[CONN], found.id)
    shown = {"waiting": waiting["entries"], "amount": Money(waiting["amount"]), "seen": waiting["seen"]}
    return {"batch": found, "kind": CHARGE_KINDS[found.kind], **shown}


class ApproveForm(BaseModel):
    """The drafts that the page showed: ``seen`` stands for them, ``count`` and ``total`` (grosze) sum them."""

    seen: str = ""
    count: int = 0
    total: int = 0


async def approve(request: Request, form: ApproveForm) -> object:
    """Approve every draft of a list, if they are what the page showed."""
    conn, found = request[CONN], await _batch(request)
    if found.state != "entered" or not found.drafts:
        raise Refused(NOTHING_WAITS)
    waiting = await store.waiting(conn, found.id)
    if form.seen and form.seen != waiting["seen"]:
        raise Refused(
            _(
                "The list has changed since you looked: there were {before} drafts for {sum_before}, now there are "
                "{now} for {sum_now}. Check them and approve again.",
                before=form.count,
                sum_before=Money(form.total),
                now=waiting["entries"],
                sum_now=Money(waiting["amount"]),
            )
        )
    if found.drafts > list_jobs.INLINE:
        await store.move(conn, found.id, ["entered"], "approving")
        payload = {"batch": found.id, "actor": str(request[ACTOR].user or "")}
        await enqueue(conn, "payments.charging_approve_list", payload)
        return redirect(request, "payments.charging_list", batch=found.id)
    done = await ledger.approve(conn, await store.drafts(conn, found.id), _today(request))
    flash = ngettext("{count} entry approved", "{count} entries approved", len(done))
    return redirect(request, "payments.charging_list", batch=found.id, flash=flash)


async def confirm_delete(request: Request) -> object:
    """Asks whether a list, or what of it is still a draft, shall go."""
    found = await _batch(request)
    may_go = found.state in ("checking", "ready") or (found.state == "entered" and found.drafts)
    if not may_go and request.method != "POST":
        return redirect(request, "payments.charging_list", batch=found.id, flash=NOTHING_TO_DELETE)
    return {"batch": found}


async def delete(request: Request) -> object:
    """Remove a list that was never entered; of an entered one delete the drafts."""
    conn, found = request[CONN], await _batch(request)
    if await store.forget(conn, found.id):
        return redirect(request, "payments.charging_lists", flash=_("The list is removed."))
    gone = await ledger.delete_drafts(conn, await store.drafts(conn, found.id)) if found.state == "entered" else []
    if not gone:
        raise Refused(NOTHING_TO_DELETE)
    if not found.approved:
        await store.move(conn, found.id, ["entered"], "deleted")
    await audit(conn, "payments.batch_deleted", subject=f"charge-list {found.id}", count=len(gone))
    flash = ngettext("{count} draft is deleted", "{count} drafts are deleted", len(gone))
    return redirect(request, "payments.charging_list", batch=found.id, flash=flash)


async def _batch(request: Request) -> Batch:
    found = await store.batch(request[CONN], int(request.match_info["batch"]))
    if found is None:
        raise not_found()
    return found


def _today(request: Request) -> date:
    return request[SITE].clock.today()


_LIST: Final = r"/admin/charges/lists/{batch:\d+}"
_NEW: Final = "/admin/charges/lists/new"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/charges/lists",
        lists,
        RIGHT,
        "payments.charging_lists",
        query=ListsQuery,
        template="payments/charging/lists.html",
    ),
    Route("GET", _NEW, new, RIGHT, "payments.charging_new_list", template="payments/charging/list_new.html"),
    Route("POST", _NEW, add, RIGHT, "payments.charging_add_list", body=NewList, files=True),
    Route(
        "GET", _LIST, batch, RIGHT, "payments.charging_list", query=LinesQuery, template="payments/charging/list.html"
    ),
    Route("POST", _LIST, enter, RIGHT, "payments.charging_enter_list", body=EnterForm),
    Route("POST", f"{_LIST}/again", again, RIGHT, "payments.charging_check_list"),
    Route(
        "GET",
        f"{_LIST}/correct",
        correct,
        RIGHT,
        "payments.charging_correct_list",
        template="payments/charging/list_correct.html",
    ),
    Route("POST", f"{_LIST}/correct", save_corrected, RIGHT, "payments.charging_save_corrected", body=CorrectForm),
    Route(
        "GET",
        f"{_LIST}/approve",
        confirm_approve,
        "payments.approve",
        "payments.charging_confirm_approve_list",
        template="payments/charging/list_approve.html",
    ),
    Route(
        "POST",
        f"{_LIST}/approve",
        approve,
        "payments.approve",
        "payments.charging_approve_list",
        body=ApproveForm,
    ),
    Route(
        "GET",
        f"{_LIST}/delete",
        confirm_delete,
        RIGHT,
        "payments.charging_confirm_delete_list",
        template="payments/charging/list_delete.html",
    ),
    Route("POST", f"{_LIST}/delete", delete, RIGHT, "payments.charging_delete_list"),
)

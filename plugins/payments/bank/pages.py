"""The office's pages of bank files: upload, statements, one statement with its lines, one line with its reasons."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
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
    listed,
    ngettext,
    not_found,
    redirect,
)
from plugins.payments.bank import booking, reading, store, undoing
from plugins.payments.bank.model import reasons, told
from plugins.payments.bank.statement import BankFileError, missing_between

_SEE: Final = "payments.bank"
STATES: Final = {
    "matching": Badge(_("being read"), "notice"),
    "ready": Badge(_("to be booked"), "notice"),
    "refused": Badge(_("refused"), "due"),
    "booking": Badge(_("being booked"), "notice"),
    "booked": Badge(_("booked"), "credit"),
    "undoing": Badge(_("being rolled back"), "notice"),
}
_Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]

# --- statements -----------------------------------------------------------------------------------------------------

_SELECT: Final[LiteralString] = """
select s.id, s.account_no, coalesce(nullif(s.number, ''), '—') as number, s.first_day, s.last_day, s.lines, s.came_in,
       s.went_out, s.state, s.file, coalesce(f.name, s.profile) as file_name
from payments.bank_statement s left join payments.bank_file f on f.id = s.file"""

STATEMENTS: Final = Listing(
    "payments.bank",
    _SELECT,
    (
        Column("id", _("No."), "number", sort="id", link="payments.bank_statement", by={"statement": "id"}),
        Column("number", _("Statement"), link="payments.bank_statement", by={"statement": "id"}),
        Column("account_no", _("Bank account"), sort='account_no collate "C"'),
        Column("last_day", _("Day"), "date", sort="coalesce(last_day, 'infinity')"),
        Column("lines", _("Lines"), "number"),
        Column("came_in", _("Came in"), "money", total=True),
        Column("went_out", _("Went out"), "money", total=True),
        Column("state", _("State"), "badge", badges=STATES),
        Column("file_name", _("File")),
    ),
    order="-id",
    filters=(
        Filter(
            "state", _("State"), "state = {0}", options=tuple((name, badge.label) for name, badge in STATES.items())
        ),
        Filter("account", _("Bank account"), "account_no like '%' || replace({0}::text, ' ', '') || '%'"),
        Filter("since", _("Day from"), "last_day >= {0}", kind="date"),
        Filter("until", _("Day to"), "first_day <= {0}", kind="date"),
        Filter("file", _("File no."), "file = {0}"),
    ),
    title_of="number",
)


class StatementsQuery(ListQuery):
    """What the list's address may say."""

    state: Literal["", "matching", "ready", "refused", "booking", "booked", "undoing"] = ""
    account: str = Field("", max_length=40)
    since: PolishDate | None = None
    until: PolishDate | None = None
    file: int | None = Field(None, ge=1, le=2**62)


async def statements(request: Request, query: StatementsQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Every statement that was read, the newest first; above them the files that are not read yet, or could not be."""
    return await listed(request, STATEMENTS, query, extra={"files": await store.unread_files(request[CONN])})


# --- a new file -----------------------------------------------------------------------------------------------------


class FileForm(BaseModel):
    """A bank file."""

    model_config = {"arbitrary_types_allowed": True}

    file: Upload | None = None


async def new(request: Request) -> Mapping[str, Any]:
    """Asks for a file."""
    return {"formats": [one.label for one in reading.formats(request[SITE])]}


async def add(request: Request, form: FileForm) -> web.Response:
    """Read a file and keep its statements, a long one by a job; nothing is booked yet."""
    if form.file is None or not form.file.filename:
        raise Refused(_("Choose the file that the bank gave you."), field="file")
    name, content = form.file.filename, form.file.content
    try:
        if len(content) > reading.LONGEST_AT_ONCE:
            return await _read_later(request, name, content)
        return await _read_now(request, name, content)
    except BankFileError as error:
        raise Refused(error.message, field="file") from error


async def _read_later(request: Request, name: str, content: bytes) -> web.Response:
    file = await reading.begin(request[CONN], request[SITE], name, content, actor=_actor(request))
    if file is None:
        return await _kept_before(request, content)
    return redirect(request, "payments.bank_file", bank_file=file)


async def _read_now(request: Request, name: str, content: bytes) -> web.Response:
    site = request[SITE]
    found = await asyncio.to_thread(reading.statements_of, content, reading.formats(site))
    kept = await reading.keep(request[CONN], site, name, content, found)
    if kept is None:
        return await _kept_before(request, content)
    file, numbers = kept
    flash = ngettext(
        "{count} statement is read. Nothing is booked yet.",
        "{count} statements are read. Nothing is booked yet.",
        len(numbers),
    )
    if len(numbers) == 1:
        return redirect(request, "payments.bank_statement", statement=numbers[0], flash=flash)
    return _to_file(request, file, flash)


async def _kept_before(request: Request, content: bytes) -> web.Response:
    before = await store.same_file(request[CONN], await asyncio.to_thread(reading.hash_of, content))
    if before is None:
        raise Refused(_("Somebody is just reading the same file. Look at the list of statements."), field="file")
    flash = _("{name} has read this very file before. Nothing is booked a second time.", name=before["created_by"])
    if before["state"] == "reading":
        return redirect(request, "payments.bank_file", bank_file=before["id"], flash=flash)
    return _to_file(request, before["id"], flash)


def _to_file(request: Request, file: int, flash: Text | None = None) -> web.Response:
    return redirect(request, "payments.bank_list", flash=flash, query={"file": file})


# --- a file that is being read --------------------------------------------------------------------------------------


async def file(request: Request) -> Mapping[str, Any] | web.Response:
    """How far the reading of a file is, or why it is not read; a file that is read leads to its statements."""
    found = await _file(request)
    if found["state"] != "read":
        return {"file": found, "problem": told(found["problem"])}
    if found["statements"] == 1:
        return redirect(request, "payments.bank_statement", statement=found["first_statement"])
    return _to_file(request, found["id"])


async def stop_reading(request: Request) -> web.Response:
    """Stop the reading of a file; nothing of it is kept then."""
    found = await _file(request)
    if found["state"] == "reading":
        await store.stop_reading(request[CONN], found["id"])
        await audit(request[CONN], "payments.bank_stopped", subject=f"bank-file {found['id']}", file=found["name"])
    return redirect(request, "payments.bank_file", bank_file=found["id"])


async def _file(request: Request) -> Row:
    found = await store.file(request[CONN], _number(request, "bank_file"))
    if found is None:
        raise not_found()
    return found


# --- one statement --------------------------------------------------------------------------------------------------

_LINES: Final[LiteralString] = """
select l.id, l.line_no, l.value_date, coalesce(nullif(l.party_name, ''), '—') as party_name, l.title,
       l.amount, l.certainty, l.evidence, l.incoming,
       coalesce(p.name, '') as name, coalesce(p.account_no, '') as account_no,
       case when l.amount <= 0 and l.is_reversal then case when l.decision is null then 'reversal' else 'decided' end
            when l.amount <= 0 then 'outgoing'
            when l.incoming is not null then case when i.left_amount = 0 then 'assigned' else 'suspense' end
            when l.twin is not null then case when l.is_same then 'same' else 'similar' end
            when l.certainty = 100 then 'certain' when l.certainty > 0 then 'likely' else 'unclear' end as how,
       coalesce(n.on_accounts, 0)::bigint as on_accounts, coalesce(n.given_back, 0)::bigint as given_back,
       coalesce(i.left_amount, 0) as in_suspense, l.twin is not null as is_repeated, l.is_reversal
from payments.bank_line l
left join lateral (  -- looked up: joined, the planner may walk along all accounts
    select a.account_no, c.name from payments.account a join kernel.customer c on c.id = a.customer
    where a.id = l.points_to limit 1
) p on true
left join payments.incoming i on i.id = l.incoming
left join lateral (
    select sum(amount) filter (where account_id is not null) as on_accounts,
           sum(amount) filter (where account_id is null) as given_back
    from payments.incoming_part where line = l.incoming and undone_at is null
) n on true
where l.statement = $1"""
HOW: Final = {
    "certain": Badge(_("certain"), "credit"),
    "likely": Badge(_("likely, to suspense"), "notice"),
    "unclear": Badge(_("unclear, to suspense"), "notice"),
    "same": Badge(_("booked before")),
    "similar": Badge(_("looks booked before"), "due"),
    "assigned": Badge(_("on an account"), "credit"),
    "suspense": Badge(_("in suspense"), "notice"),
    "outgoing": Badge(_("went out, only shown")),
    "reversal": Badge(_("taken back, to be decided"), "due"),
    "decided": Badge(_("taken back, decided")),
}


PLACES: Final[Mapping[str, Text]] = {
    "came_in": _("Came in"),
    "certain": _("Certain, goes to accounts"),
    "accounts": _("On accounts"),
    "suspense": _("In suspense"),
    "given_back": _("Returned or taken back"),
    "waiting": _("Not booked yet"),
    "repeated": _("Booked before or left out"),
    "outgoing": _("Went out, only shown"),
    "reversals": _("Taken back by the bank"),
}
"""Where the money of a statement is: each opens the lines that make it."""


def _why(row: Row) -> str:
    return "; ".join(str(reason) for reason in reasons(row["evidence"]))


LINES: Final = Listing(
    "payments.bank_lines",
    _LINES,
    (
        Column("line_no", _("Line"), "number", sort="line_no", link="payments.bank_line", by={"bank_line": "id"}),
        Column("value_date", _("Date"), "date", sort="value_date"),
        Column("party_name", _("Payer or payee"), link="payments.bank_line", by={"bank_line": "id"}),
        Column("title", _("Title")),
        Column("amount", _("Amount"), "money", sort="amount", total=True),
        Column("how", _("State"), "badge", badges=HOW),
        Column("name", _("Whose")),
        Column("evidence", _("Why"), show=_why),
    ),
    order="line_no",
    filters=(
        Filter("how", _("State"), "how = {0}", options=tuple((name, badge.label) for name, badge in HOW.items())),
        Filter(
            "place",
            _("Where the money is"),
            "case {0}::text when 'came_in' then amount > 0 when 'accounts' then on_accounts > 0 "
            "when 'certain' then amount > 0 and certainty = 100 and not is_repeated "
            "when 'suspense' then in_suspense > 0 when 'given_back' then given_back > 0 "
            "when 'waiting' then amount > 0 and incoming is null and not is_repeated "
            "when 'repeated' then amount > 0 and incoming is null and is_repeated "
            "when 'outgoing' then amount < 0 and not is_reversal else amount < 0 and is_reversal end",
            options=tuple(PLACES.items()),
        ),
        Filter(
            "text", _("Text"), "kernel.pl_sort(party_name || ' ' || title) like '%' || kernel.pl_sort({0}::text) || '%'"
        ),
    ),
    title_of="party_name",
)


BOOKED_LINES: Final = replace(
    LINES,
    name="payments.bank_booked_lines",
    columns=(
        *LINES.columns[:5],
        Column("on_accounts", _("On accounts"), "money", total=True),
        Column("in_suspense", _("In suspense"), "money", total=True),
        *LINES.columns[5:],
    ),
)
"""The lines of a statement that is booked: a line may be on accounts in part."""


class LinesQuery(ListQuery):
    """Which lines are shown."""

    how: Literal[
        "", "certain", "likely", "unclear", "same", "similar", "assigned", "suspense", "outgoing", "reversal", "decided"
    ] = ""
    place: Literal[
        "", "came_in", "certain", "accounts", "suspense", "given_back", "waiting", "repeated", "outgoing", "reversals"
    ] = ""
    text: str = Field("", max_length=200)


async def statement(request: Request, query: LinesQuery) -> Mapping[str, Any] | web.StreamResponse:
    """One statement: its balances, what would be booked or is, and its lines."""
    found = await _statement(request)
    may = request[ACTOR].may
    return await listed(
        request,
        BOOKED_LINES if found.sums["booked_lines"] else LINES,
        query,
        args=(found.id,),
        extra={
            "statement": found,
            "state": STATES[found.state],
            "sums": {name: Money(found.sums[name]) for name in found.sums if not name.endswith("_lines")},
            "places": PLACES,
            "missing": [str(one) for one in missing_between(found.number_before, found.sequence_no)],
            "is_working": found.state in ("booking", "undoing"),
            "may_book": found.state == "ready" and may("payments.approve"),
            "may_undo": found.state == "booked" and may("payments.reverse") and not found.undo_asker,
            "may_confirm": bool(found.undo_asker) and may("payments.reverse"),
            "asked_myself": found.undo_asker == _actor(request),
            "may_own": found.state == "refused"
            and found.problem is not None
            and found.problem.message == store.FOREIGN.message
            and may("payments.approve"),
            "is_foreign": found.problem is not None and found.problem.message == store.FOREIGN.message,
        },
    )


class BookForm(BaseModel):
    """``similar``: what becomes of lines that look booked before. ``unchecked``: book without balances."""

    similar: Literal["", "leave", "book"] = ""
    unchecked: bool = False


async def book(request: Request, form: BookForm) -> web.Response:
    """Book what came in."""
    _check_may(request)
    found = await _statement(request)
    if found.state != "ready":
        raise Refused(booking.ALREADY)
    if not found.is_checked and not form.unchecked:
        raise Refused(
            _("Tick that you have looked: without balances nobody can tell whether lines are missing."),
            field="unchecked",
        )
    if found.sums["similar_lines"] and not form.similar:
        raise Refused(_("Say what to do with the lines that look booked before."), field="similar")
    similar = form.similar == "book"
    count = await booking.begin(
        request[CONN], request[SITE], found.id, found.lines, similar=similar, actor=_actor(request)
    )
    if count is None:
        return redirect(request, "payments.bank_statement", statement=found.id)
    flash = (
        ngettext("{count} line is booked.", "{count} lines are booked.", count)
        if count
        else _("Everything of this statement had been booked before. Nothing is booked a second time.")
    )
    return redirect(request, "payments.bank_statement", statement=found.id, flash=flash)


async def stop(request: Request) -> web.Response:
    """Stop the booking or the roll back of a long statement."""
    found = await _statement(request)
    await store.stop(request[CONN], found.id)
    return redirect(request, "payments.bank_statement", statement=found.id)


async def own(request: Request) -> web.Response:
    """Say that the statement's account is the organisation's own; the statement can be booked then."""
    _check_may(request)
    found = await _statement(request)
    if found.state != "refused" or found.problem is None or found.problem.message != store.FOREIGN.message:
        raise Refused(booking.ALREADY)
    await store.add_account(request[CONN], found.account_no)
    await store.move(request[CONN], found.id, ["refused"], "ready")
    await audit(
        request[CONN], "payments.bank_account_known", subject=f"bank-statement {found.id}", account=found.account_no
    )
    return redirect(request, "payments.bank_statement", statement=found.id, flash=_("The account is known now."))


class ReasonForm(BaseModel):
    """Why something is undone."""

    reason: _Reason


async def confirm_undo(request: Request) -> Mapping[str, Any] | web.Response:
    """Asks why a statement is rolled back, and says what will happen."""
    found = await _statement(request)
    if found.state != "booked" and request.method != "POST":
        return redirect(request, "payments.bank_statement", statement=found.id)
    return {"statement": found, "by_two": booking.two_people(request[SITE])}


async def undo(request: Request, form: ReasonForm) -> web.Response:
    """Roll a statement back; where two people are wanted, ask for it."""
    _check_may(request)
    found = await _statement(request)
    if not booking.two_people(request[SITE]):
        return await _roll_back(request, found, form.reason, _actor(request))
    if not await store.ask_undo(request[CONN], found.id, form.reason):
        raise Refused(_("This statement is not booked, or its roll back is asked for already."))
    await audit(
        request[CONN],
        "payments.bank_undo_asked",
        subject=f"bank-statement {found.id}",
        number=found.number,
        reason=form.reason,
    )
    flash = _("The roll back is asked for. Somebody else confirms it.")
    return redirect(request, "payments.bank_statement", statement=found.id, flash=flash)


async def confirm_asked(request: Request) -> web.Response:
    """Confirm the roll back that somebody else asked for."""
    _check_may(request)
    found = await _statement(request)
    if found.undo_asker is None or found.undo_reason is None:
        raise Refused(_("Nobody asks for a roll back of this statement any more."))
    if found.undo_asker == _actor(request):
        raise Refused(_("You asked for this roll back yourself. Somebody else confirms it."))
    return await _roll_back(request, found, found.undo_reason, found.undo_asker)


async def withdraw(request: Request) -> web.Response:
    """Decide against a roll back that was asked for, one's own or somebody else's."""
    _check_may(request)
    found = await _statement(request)
    if not await store.withdraw_undo(request[CONN], found.id):
        raise Refused(_("Nobody asks for a roll back of this statement any more."))
    await audit(
        request[CONN], "payments.bank_undo_withdrawn", subject=f"bank-statement {found.id}", number=found.number
    )
    return redirect(request, "payments.bank_statement", statement=found.id, flash=_("The statement stays booked."))


async def _roll_back(request: Request, found: store.Kept, reason: str, asker: str) -> web.Response:
    actor = _actor(request)
    count = await undoing.begin(request[CONN], request[SITE], found.id, reason, asker=asker, actor=actor)
    if count is None:
        return redirect(request, "payments.bank_statement", statement=found.id)
    flash = ngettext("{count} line is unbooked again.", "{count} lines are unbooked again.", count)
    return redirect(request, "payments.bank_statement", statement=found.id, flash=flash)


async def delete(request: Request) -> web.Response:
    """Remove a statement of which nothing is booked."""
    found = await _statement(request)
    if not await store.delete(request[CONN], found.id):
        raise Refused(_("Something of this statement is booked. Roll it back first."))
    await audit(
        request[CONN],
        "payments.bank_removed",
        subject=f"bank-statement {found.id}",
        number=found.number,
        account=found.account_no,
    )
    return redirect(request, "payments.bank_list", flash=_("The statement is removed."))


# --- one line -------------------------------------------------------------------------------------------------------


async def line(request: Request) -> Mapping[str, Any]:
    """One line: what the bank says, whom it points to and why, and what became of it."""
    found = await _line(request)
    decides = found["is_reversal"] and found["amount"] < 0 and found["decision"] is None and found["state"] == "booked"
    return {
        "line": found,
        "amount": Money(found["amount"]),
        "reasons": reasons(found["evidence"]),
        "may_decide": decides and request[ACTOR].may("payments.reverse"),
    }


class DecideForm(BaseModel):
    """What becomes of a line that the bank took back."""

    decision: Literal["returned", "settled"]
    reason: _Reason


async def decide(request: Request, form: DecideForm) -> web.Response:
    """Take the payment off the account, or say that there is nothing to do."""
    _check_may(request)
    found = await _line(request)
    if form.decision == "returned":
        if found["reversed_incoming"] is None:
            raise Refused(_("The line that it takes back is not known. Undo that payment by hand."), field="decision")
        await booking.take_back(request[CONN], found["reversed_incoming"], form.reason, request[SITE].clock.today())
    if not await store.decide(request[CONN], found["id"], form.decision, form.reason):
        raise Refused(_("This is decided already."))
    await audit(
        request[CONN],
        "payments.bank_decided",
        subject=f"bank-line {found['id']}",
        amount=Money(-found["amount"]),
        reason=form.reason,
    )
    return redirect(request, "payments.bank_line", bank_line=found["id"], flash=_("Decided."))


# --- what all of them need ------------------------------------------------------------------------------------------


async def _statement(request: Request) -> store.Kept:
    found = await store.statement(request[CONN], _number(request, "statement"))
    if found is None:
        raise not_found()
    return found


async def _line(request: Request) -> Row:
    found = await store.line(request[CONN], _number(request, "bank_line"))
    if found is None:
        raise not_found()
    return found


def _actor(request: Request) -> str:
    return str(request[ACTOR].user or "")


def _number(request: Request, name: str) -> int:
    number = int(request.match_info[name])
    if number >= 2**63:
        raise not_found()
    return number


def _check_may(request: Request) -> None:
    """Booking approves entries, so it needs both rights: the route asks for the one, this for the other."""
    if not request[ACTOR].may(_SEE):
        raise web.HTTPForbidden


_ONE: Final = r"/admin/payments/bank/{statement:\d+}"
_LINE: Final = r"/admin/payments/bank/lines/{bank_line:\d+}"
_FILE: Final = r"/admin/payments/bank/files/{bank_file:\d+}"
_NEW: Final = "/admin/payments/bank/new"
_BOOK: Final = "payments.approve"
_UNDO: Final = "payments.reverse"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/payments/bank",
        statements,
        _SEE,
        "payments.bank_list",
        query=StatementsQuery,
        template="payments/bank/list.html",
    ),
    Route("GET", _NEW, new, _SEE, "payments.bank_new", template="payments/bank/new.html"),
    Route("POST", _NEW, add, _SEE, "payments.bank_add", body=FileForm, files=True),
    Route(
        "GET",
        _ONE,
        statement,
        _SEE,
        "payments.bank_statement",
        query=LinesQuery,
        template="payments/bank/statement.html",
    ),
    Route("GET", _FILE, file, _SEE, "payments.bank_file", template="payments/bank/file.html"),
    Route("POST", f"{_FILE}/stop", stop_reading, _SEE, "payments.bank_stop_reading"),
    Route("POST", _ONE, book, _BOOK, "payments.bank_book", body=BookForm),
    Route("POST", f"{_ONE}/stop", stop, _BOOK, "payments.bank_stop"),
    Route("POST", f"{_ONE}/own", own, _BOOK, "payments.bank_own"),
    Route("GET", f"{_ONE}/undo", confirm_undo, _UNDO, "payments.bank_confirm_undo", template="payments/bank/undo.html"),
    Route("POST", f"{_ONE}/undo", undo, _UNDO, "payments.bank_undo", body=ReasonForm),
    Route("POST", f"{_ONE}/undo/confirm", confirm_asked, _UNDO, "payments.bank_confirm_asked"),
    Route("POST", f"{_ONE}/undo/withdraw", withdraw, _UNDO, "payments.bank_withdraw_undo"),
    Route("POST", f"{_ONE}/delete", delete, _SEE, "payments.bank_delete"),
    Route("GET", _LINE, line, _SEE, "payments.bank_line", template="payments/bank/line.html"),
    Route("POST", _LINE, decide, _UNDO, "payments.bank_decide", body=DecideForm),
)

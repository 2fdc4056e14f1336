"""The pages of charge runs: a month is computed, looked at, approved, and perhaps rolled back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, LiteralString

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

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
    Refused,
    Request,
    Route,
    Row,
    _,
    audit,
    listed,
    not_found,
    redirect,
    settings,
)
from plugins.payments import store as ledger
from plugins.payments.charging import accounts, jobs, store
from plugins.payments.charging.model import TURNS, WARNINGS, Month, MonthField, plain
from plugins.payments.charging.schedules import RIGHT, RUN_STATES
from plugins.payments.charging.store import Run
from plugins.payments.model import FIRST_YEAR, LAST_YEAR

WORKING: Final = ("computing", "approving", "rolling_back")
"""States in which a job is at work."""

# --- all runs -------------------------------------------------------------------------------------------------------

_RUNS: Final[LiteralString] = """
select r.id, r.period, r.state, r.accounts, r.amount, r.amount - r.previous_amount as change, r.created_at,
       s.name as schedule_name
from payments.charge_run r join payments.fee_schedule s on s.id = r.schedule"""


def _period(row: Row) -> str:
    return Month.parse(row["period"]).short


_STATE_OPTIONS: Final = tuple((state, badge.label) for state, badge in RUN_STATES.items())
RUNS: Final = Listing(
    "payments.charge_runs",
    _RUNS,
    (
        Column("id", _("No."), "number", sort="id", link="payments.charging_run", by={"run_no": "id"}),
        Column("schedule_name", _("Schedule"), link="payments.charging_run", by={"run_no": "id"}),
        Column("period", _("Month"), sort="period", show=_period),
        Column("state", _("State"), "badge", badges=RUN_STATES),
        Column("accounts", _("Accounts charged"), "number"),
        Column("amount", _("Sum"), "money"),
        Column("change", _("Difference"), "money"),
        Column("created_at", _("Computed"), "moment"),
    ),
    order="-id",
    filters=(
        Filter("state", _("State"), "state = {0}", options=_STATE_OPTIONS),
        Filter("period", _("Month"), "period = {0}"),
        Filter("name", _("Schedule"), "kernel.pl_sort(schedule_name) like '%' || kernel.pl_sort({0}::text) || '%'"),
    ),
    title_of="schedule_name",
)


def _period_typed(text: str) -> str:
    return Month.parse(text).period if text else ""


class RunsQuery(ListQuery):
    """What the list's address may say."""

    state: Literal["", "computing", "ready", "approving", "approved", "rolling_back", "rolled_back", "deleted"] = ""
    period: Annotated[str, AfterValidator(_period_typed)] = ""
    name: str = Field("", max_length=200)


async def runs(request: Request, query: RunsQuery) -> object:
    """All runs, the newest first."""
    return await listed(request, RUNS, query, extra={"section": "runs"})


class StartForm(BaseModel):
    """The month that shall be charged."""

    month: MonthField


async def new(request: Request) -> Mapping[str, Any]:
    """Asks which month shall be charged; the one after the last run at first."""
    found = await store.schedule(request[CONN], int(request.match_info["schedule"]))
    if found is None:
        raise not_found()
    last = await store.last_month(request[CONN], found[0].id)
    month = last.plus(1) if last else Month.of(_today(request)).plus(1)
    return {"schedule": found[0], "parts": found[1], "month": month, "section": "schedules"}


async def start(request: Request, form: StartForm) -> object:
    """Have a month computed. One that waits already is shown instead."""
    conn = request[CONN]
    found = await store.schedule(conn, int(request.match_info["schedule"]))
    if found is None:
        raise not_found()
    schedule, parts = found
    if not schedule.is_active:
        raise Refused(_("This schedule is not used any more. Switch it on first."))
    if not parts:
        raise Refused(_("Add a component to the schedule first."))
    if schedule.book not in {row["id"] for row in await store.books(conn)}:
        raise Refused(accounts.PROBLEMS["mirror"])
    if not FIRST_YEAR <= schedule.terms.due_on(form.month).year <= LAST_YEAR:
        raise Refused(ledger.REFUSALS["holidays_unknown"], field="month")
    standing = await store.standing(conn, schedule.id, form.month)
    if standing is not None:
        if standing["state"] == "approved":
            raise Refused(
                _("{month} is charged already (run {number}). Roll that run back first.", month=form.month.label,
                  number=standing["id"]),
                field="month",
            )  # fmt: skip
        return redirect(request, "payments.charging_run", run_no=standing["id"])
    number = await store.start(conn, schedule.id, form.month)
    await jobs.start(conn, "payments.charging_compute", number, request[ACTOR].user)
    await audit(
        conn, "payments.run_started", subject=f"charge-run {number}", schedule=schedule.name, period=form.month.short
    )
    return redirect(request, "payments.charging_run", run_no=number)


# --- one run --------------------------------------------------------------------------------------------------------

_ACCOUNTS: Final[LiteralString] = """
select a.account_id, a.run, a.amount, a.previous_amount, a.change, a.turn, a.warning, a.entry, k.account_no,
       c.customer_no, c.name
from payments.charge_run_account a
join payments.account k on k.id = a.account_id
join kernel.customer c on c.id = k.customer
where a.run = $1"""
_TURN_BADGES: Final = {
    turn: Badge(label, {"new": "credit", "ended": "notice"}.get(turn, "")) for turn, label in TURNS.items()
}


def _warning(row: Row) -> object:
    return WARNINGS.get(row["warning"], "")


ACCOUNTS: Final = Listing(
    "payments.charge_run",
    _ACCOUNTS,
    (
        Column(
            "customer_no",
            _("Customer no."),
            link="payments.charging_run_account",
            by={"run_no": "run", "account": "account_id"},
        ),
        Column("name", _("Customer")),
        Column("account_no", _("Account"), sort="account_id"),
        Column("previous_amount", _("Before"), "money", total=True),
        Column("amount", _("Now"), "money", sort="amount", total=True),
        Column("change", _("Difference"), "money", sort="abs(change)", total=True),
        Column("turn", _("Against the month before"), "badge", badges=_TURN_BADGES),
        Column("warning", _("Warning"), show=_warning),
    ),
    order="-change",
    key="account_id",
    filters=(
        Filter("customer", _("Customer no."), "customer_no = {0}"),
        Filter("turn", _("Against the month before"), "turn = {0}", options=tuple(TURNS.items())),
        Filter("warning", _("Warning"), "warning = {0}", options=tuple(WARNINGS.items())),
    ),
    title_of="name",
)


class AccountsQuery(ListQuery):
    """Which accounts of a run are shown: those whose charge differs most come first."""

    customer: str = Field("", max_length=80)
    turn: Literal["", "changed", "new", "ended", "same"] = ""
    warning: Literal["", "no_rate", "zero", "closed", "too_large"] = ""
    size: int = Field(25, ge=1, le=200)


async def run(request: Request, query: AccountsQuery) -> object:
    """A run: its sums, what differs from the month before, and what may be done with it."""
    found = await _run(request)
    may, is_ready = request[ACTOR].may, found.state == "ready"
    shown = {
        "run": found,
        "state": RUN_STATES[found.state],
        "is_working": found.state in WORKING,
        "may_approve": is_ready and not found.is_stale and not found.blocked and may("payments.approve"),
        "may_again": is_ready,
        "may_discard": found.state in ("computing", "ready"),
        "may_roll_back": found.state == "approved" and not found.undo_asker and may("payments.reverse"),
        "may_delete": found.state == "approved" and may("payments.void"),
        "may_confirm": bool(found.undo_asker) and found.state == "approved" and may("payments.reverse"),
        "asked_myself": found.undo_asker == _actor(request),
        "number": _number,
        "rate": _rate,
        "section": "runs",
    }
    return await listed(request, ACCOUNTS, query, args=(found.id,), extra=shown)


def _number(text: str) -> str:
    return plain(Decimal(text))


def _rate(text: str | None) -> str:
    return "—" if text is None else plain(Decimal(text), 2)


class ApproveForm(BaseModel):
    """``anyway``: components without a rate charge nothing, and that is meant so. ``seen`` and ``seen_accounts`` are
    the sum (grosze) and the accounts that the page showed."""

    anyway: bool = False
    seen: int | None = None
    seen_accounts: int = 0


async def approve(request: Request, form: ApproveForm) -> object:
    """Have the charges of a run made and approved."""
    conn, found = request[CONN], await _run(request)
    if found.is_stale:
        raise Refused(_("The schedule has changed since this was computed. Compute it again."))
    if found.blocked:
        raise Refused(_("An amount is larger than an entry may be. Correct the quantity or the rate."))
    if form.seen is not None and (form.seen, form.seen_accounts) != (found.amount.grosze, found.accounts):
        raise Refused(
            _(
                "This month was computed again since you looked: there were {before} accounts for {sum_before}, now "
                "there are {now} for {sum_now}. Check it and approve again.",
                before=form.seen_accounts,
                sum_before=Money(form.seen),
                now=found.accounts,
                sum_now=found.amount,
            )
        )
    if found.without_rate and not form.anyway:
        raise Refused(_("Tick that the components without a rate shall charge nothing."), field="anyway")
    if _needs_two(request) and found.creator == _actor(request):
        raise Refused(ledger.REFUSALS["approver_is_creator"])
    if not found.accounts:
        raise Refused(_("There is nothing to charge in this run."))
    if not await store.move(conn, found.id, "ready", "approving"):
        raise Refused(store.REFUSALS["charge_run_state"])
    await jobs.start(conn, "payments.charging_approve", found.id, request[ACTOR].user)
    return redirect(request, "payments.charging_run", run_no=found.id)


async def again(request: Request) -> object:
    """Have a run that waits computed once more."""
    conn, found = request[CONN], await _run(request)
    if not await store.move(conn, found.id, "ready", "computing"):
        raise Refused(store.REFUSALS["charge_run_state"])
    await jobs.start(conn, "payments.charging_compute", found.id, request[ACTOR].user)
    return redirect(request, "payments.charging_run", run_no=found.id)


async def confirm_discard(request: Request) -> object:
    """Asks whether a computed run shall be forgotten."""
    found = await _run(request)
    if found.state not in ("computing", "ready") and request.method != "POST":
        return redirect(request, "payments.charging_run", run_no=found.id, flash=store.REFUSALS["charge_run_state"])
    return {"run": found}


async def discard(request: Request) -> object:
    """Forget a run that nobody approved."""
    conn, found = request[CONN], await _run(request)
    if not await store.discard(conn, found.id):
        raise Refused(store.REFUSALS["charge_run_state"])
    await audit(
        conn,
        "payments.run_discarded",
        subject=f"charge-run {found.id}",
        schedule=found.schedule_name,
        period=found.month.short,
    )
    return redirect(
        request, "payments.charging_schedule", schedule=found.schedule, flash=_("The computed month is discarded.")
    )


class RollBackForm(BaseModel):
    """Why the charges of a month are taken back."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]


async def confirm_roll_back(request: Request) -> object:
    """Asks why an approved run shall be rolled back, and says what will happen."""
    found = await _run(request)
    if found.state != "approved" and request.method != "POST":
        return redirect(request, "payments.charging_run", run_no=found.id, flash=store.REFUSALS["charge_run_state"])
    return {"run": found}


async def roll_back(request: Request, form: RollBackForm) -> object:
    """Have every charge of an approved run reversed; where two people are needed, ask somebody else to confirm it."""
    conn, found = request[CONN], await _run(request)
    if _needs_two(request):
        if not await store.ask_undo(conn, found.id, form.reason):
            raise Refused(store.REFUSALS["charge_run_state"])
        return redirect(
            request, "payments.charging_run", run_no=found.id, flash=_("Now somebody else confirms the roll-back.")
        )
    if not await store.move(conn, found.id, "approved", "rolling_back", form.reason):
        raise Refused(store.REFUSALS["charge_run_state"])
    await jobs.start(conn, "payments.charging_roll_back", found.id, request[ACTOR].user)
    return redirect(request, "payments.charging_run", run_no=found.id)


async def confirm_undo(request: Request) -> object:
    """Confirm the roll-back that somebody else asked for."""
    conn, found = request[CONN], await _run(request)
    if found.undo_asker == _actor(request):
        raise Refused(ledger.REFUSALS["approver_is_creator"])
    if not found.undo_asker or not await store.move(conn, found.id, "approved", "rolling_back", found.reason):
        raise Refused(store.REFUSALS["charge_run_state"])
    await jobs.start(conn, "payments.charging_roll_back", found.id, request[ACTOR].user)
    return redirect(request, "payments.charging_run", run_no=found.id)


async def withdraw_undo(request: Request) -> object:
    """Take back the wish for a roll-back."""
    found = await _run(request)
    if not await store.withdraw_undo(request[CONN], found.id):
        raise Refused(store.REFUSALS["charge_run_state"])
    return redirect(request, "payments.charging_run", run_no=found.id)


def _needs_two(request: Request) -> bool:
    return settings(request, "payments").approver_differs


def _actor(request: Request) -> str:
    return str(request[ACTOR].user or "")


async def run_account(request: Request) -> Mapping[str, Any]:
    """What a run computed for one account, line by line, against the month before."""
    found = await _run(request)
    row = await store.account_of_run(request[CONN], found.id, int(request.match_info["account"]))
    if row is None:
        raise not_found()
    return {
        "run": found,
        "row": row,
        "turn": TURNS[row["turn"]],
        "warning": WARNINGS.get(row["warning"]),
        "number": _number,
        "rate": _rate,
        "section": "runs",
    }


async def _run(request: Request) -> Run:
    found = await store.run(request[CONN], int(request.match_info["run_no"]))
    if found is None:
        raise not_found()
    return found


def _today(request: Request) -> date:
    return request[SITE].clock.today()


_RUN: Final = r"/admin/charging/runs/{run_no:\d+}"
_START: Final = r"/admin/charging/schedules/{schedule:\d+}/run"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/charging/runs",
        runs,
        RIGHT,
        "payments.charging_runs",
        query=RunsQuery,
        template="payments/charging/runs.html",
    ),
    Route("GET", _START, new, RIGHT, "payments.charging_new_run", template="payments/charging/run_new.html"),
    Route("POST", _START, start, RIGHT, "payments.charging_start", body=StartForm),
    Route(
        "GET",
        _RUN,
        run,
        RIGHT,
        "payments.charging_run",
        query=AccountsQuery,
        template="payments/charging/run.html",
    ),
    Route("POST", _RUN, approve, "payments.approve", "payments.charging_approve", body=ApproveForm),
    Route("POST", f"{_RUN}/again", again, RIGHT, "payments.charging_again"),
    Route(
        "GET",
        f"{_RUN}/discard",
        confirm_discard,
        RIGHT,
        "payments.charging_confirm_discard",
        template="payments/charging/run_discard.html",
    ),
    Route("POST", f"{_RUN}/discard", discard, RIGHT, "payments.charging_discard"),
    Route(
        "GET",
        f"{_RUN}/roll-back",
        confirm_roll_back,
        "payments.reverse",
        "payments.charging_confirm_roll_back",
        template="payments/charging/run_roll_back.html",
    ),
    Route(
        "POST",
        f"{_RUN}/roll-back",
        roll_back,
        "payments.reverse",
        "payments.charging_roll_back",
        body=RollBackForm,
    ),
    Route("POST", f"{_RUN}/confirm-undo", confirm_undo, "payments.reverse", "payments.charging_confirm_undo"),
    Route("POST", f"{_RUN}/withdraw-undo", withdraw_undo, "payments.reverse", "payments.charging_withdraw_undo"),
    Route(
        "GET",
        rf"{_RUN}/accounts/{{account:\d+}}",
        run_account,
        RIGHT,
        "payments.charging_run_account",
        template="payments/charging/run_account.html",
    ),
)

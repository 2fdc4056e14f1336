"""The pages of fee schedules: the list, one of them with its components, a component with its rates, and what accounts
have of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, LiteralString

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from kernel import (
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
    Listing,
    ListQuery,
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
    one_line,
    redirect,
)
from plugins.payments.charging import accounts, store
from plugins.payments.charging.model import (
    Month,
    MonthField,
    QuantityField,
    RateField,
    Step,
    Terms,
    TitlePattern,
    in_force,
    plain,
    quantity,
    title_of,
    with_span,
)
from plugins.payments.charging.picture import rate_picture
from plugins.payments.charging.reading import Cells, ListError, cells_of, text_of
from plugins.payments.charging.store import Component, Held, Schedule, ScheduleFacts

RIGHT: Final = "payments.charge"
MOST_WRONG: Final = 20
"""Wrong lines of a pasted list of quantities that are named at once."""

# --- the list -------------------------------------------------------------------------------------------------------

_ACTIVE: Final = {"True": Badge(_("in use"), "credit"), "False": Badge(_("not used any more"))}
_SCHEDULES: Final[LiteralString] = """
select s.id, s.code, s.name, s.is_active, b.name as book_name, r.period, coalesce(r.accounts, 0) as accounts,
       coalesce(r.amount, 0) as amount
from payments.fee_schedule s
join payments.book b on b.id = s.book
left join lateral (
    select period, accounts, amount from payments.charge_run
    where schedule = s.id and state = 'approved' order by period desc limit 1
) r on true"""


def _last_month(row: Row) -> str:
    return Month.parse(row["period"]).short if row["period"] else "—"


SCHEDULES: Final = Listing(
    "payments.schedules",
    _SCHEDULES,
    (
        Column(
            "name",
            _("Schedule"),
            sort='kernel.pl_sort(name) collate "C"',
            link="payments.charging_schedule",
            by={"schedule": "id"},
        ),
        Column("code", _("Code"), sort="code"),
        Column("book_name", _("Book")),
        Column("period", _("Last charged"), show=_last_month),
        Column("accounts", _("Accounts charged"), "number"),
        Column("amount", _("Charged a month"), "money", total=True),
        Column("is_active", _("State"), "badge", badges=_ACTIVE),
    ),
    order="name",
    filters=(Filter("name", _("Schedule"), "kernel.pl_sort(name) like '%' || kernel.pl_sort({0}::text) || '%'"),),
    title_of="name",
)


class SchedulesQuery(ListQuery):
    """What the list's address may say."""

    name: str = Field("", max_length=200)


async def schedules(request: Request, query: SchedulesQuery) -> object:
    """All schedules with what they charged last."""
    return await listed(request, SCHEDULES, query, extra={"section": "schedules"})


# --- a schedule and its components ----------------------------------------------------------------------------------

Code = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(one_line)
]  # fmt: skip
Unit = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20), AfterValidator(one_line)]
_Day = Annotated[int, Field(ge=1, le=31)]
_Which = Annotated[int, Field(ge=-1, le=1)]
WHICH_MONTH: Final = (
    (-1, _("of the month before")),
    (0, _("of the same month")),
    (1, _("of the month after")),
)


class ScheduleForm(BaseModel):
    """A schedule as it is typed."""

    code: Code
    name: Name
    book: int = 0
    issue_day: _Day
    issue_month: _Which = 0
    due_day: _Day
    due_month: _Which = 0
    title: TitlePattern
    is_active: bool = False

    def facts(self, book: int) -> ScheduleFacts:
        """What the store writes. Raises Refused when it is due before it is issued."""
        if (self.due_month, self.due_day) < (self.issue_month, self.issue_day):
            raise Refused(store.REFUSALS["fee_schedule_due_after_issue"], field="due_day")
        terms = Terms(self.issue_day, self.issue_month, self.due_day, self.due_month)
        return ScheduleFacts(self.code, self.name, book, terms, self.title, self.is_active)


async def new(request: Request) -> Mapping[str, Any]:
    """The form of a new schedule."""
    return {"schedule": None, "books": await _books(request), "which": WHICH_MONTH}


async def add(request: Request, form: ScheduleForm) -> object:
    """Set up a schedule."""
    conn = request[CONN]
    books = dict(await _books(request))
    if form.book not in books:
        raise Refused(_("Choose the book that these charges belong to."), field="book")
    number = await store.add_schedule(conn, form.facts(form.book))
    await audit(conn, "payments.schedule_added", subject=f"schedule {number}", name=form.name)
    return redirect(
        request, "payments.charging_schedule", schedule=number, flash=_("The schedule is there. Add its components.")
    )


async def _books(request: Request) -> Sequence[tuple[int, str]]:
    return [(row["id"], row["name"]) for row in await store.books(request[CONN])]


async def edit(request: Request) -> Mapping[str, Any]:
    """The form of a schedule."""
    found, _parts = await _schedule(request)
    return {"schedule": found, "books": (), "which": WHICH_MONTH}


async def save(request: Request, form: ScheduleForm) -> object:
    """Write a schedule anew."""
    found, _parts = await _schedule(request)
    await store.change_schedule(request[CONN], found.id, form.facts(found.book))
    await audit(request[CONN], "payments.schedule_changed", subject=f"schedule {found.id}", name=form.name)
    return redirect(request, "payments.charging_schedule", schedule=found.id, flash=_("Saved"))


@dataclass(frozen=True, slots=True)
class Priced:
    """A component with the rate that holds in a month, and the one that comes next."""

    component: Component
    rate: Decimal | None
    coming: Step | None

    @classmethod
    def on(cls, component: Component, month: Month) -> Priced:
        later = [step for step in component.rates if step.valid_from > month.first]
        return cls(component, in_force(component.rates, month.first), min(later) if later else None)


_LAST_RUNS: Final[LiteralString] = """
select id, period, state, accounts, amount, amount - previous_amount as change from payments.charge_run
where schedule = $1"""
RUN_STATES: Final = {
    "computing": Badge(_("being computed"), "notice"),
    "ready": Badge(_("waits for approval"), "notice"),
    "approving": Badge(_("being approved"), "notice"),
    "approved": Badge(_("charged"), "credit"),
    "rolling_back": Badge(_("being rolled back"), "notice"),
    "rolled_back": Badge(_("rolled back")),
    "deleted": Badge(_("deleted")),
}


def _period(row: Row) -> str:
    return Month.parse(row["period"]).short


RUNS_OF_SCHEDULE: Final = Listing(
    "payments.schedule_runs",
    _LAST_RUNS,
    (
        Column("period", _("Month"), sort="period", link="payments.charging_run", by={"run_no": "id"}, show=_period),
        Column("state", _("State"), "badge", badges=RUN_STATES),
        Column("accounts", _("Accounts charged"), "number"),
        Column("amount", _("Sum"), "money"),
        Column("change", _("Difference"), "money"),
    ),
    order="-period",
    title_of="period",
)


class RunsOfSchedule(ListQuery):
    """The months of one schedule, a dozen at a time."""

    size: int = Field(12, ge=1, le=200)


async def schedule(request: Request, query: RunsOfSchedule) -> object:
    """One schedule: its components with their rates, and its months."""
    found, parts = await _schedule(request)
    month = Month.of(_today(request))
    shown = {
        "schedule": found,
        "month": month,
        "parts": [Priced.on(part, month) for part in parts],
        "title": title_of(found.title, month),
        "issued_on": found.terms.issued_on(month),
        "due_on": found.terms.due_on(month),
        "section": "schedules",
        "plain": plain,
    }
    return await listed(request, RUNS_OF_SCHEDULE, query, args=(found.id,), extra=shown)


class ComponentForm(BaseModel):
    """A component as it is typed. ``rate`` and ``since`` are its first rate."""

    code: Code
    name: Name
    unit: Unit = ""
    place: Annotated[int, Field(ge=0, le=9999)] = 0


class NewComponentForm(ComponentForm):
    """A new component, with the rate it begins with."""

    rate: RateField
    since: MonthField


async def new_component(request: Request) -> Mapping[str, Any]:
    """The form of a new component."""
    found, parts = await _schedule(request)
    return {"schedule": found, "component": None, "place": 10 * (len(parts) + 1), "month": Month.of(_today(request))}


async def add_component(request: Request, form: NewComponentForm) -> object:
    """Add a component with its first rate."""
    conn = request[CONN]
    found, _parts = await _schedule(request)
    number = await store.add_component(conn, found.id, form.code, form.name, form.unit, form.place)
    part = Component(number, found.id, form.code, form.name, form.unit, form.place, ())
    await store.set_rate(conn, part, form.since, form.rate)
    subject = f"schedule {found.id}"
    await audit(conn, "payments.component_added", subject=subject, name=form.name, schedule=found.name)
    return redirect(
        request, "payments.charging_component", component=number, flash=_("The component is added with its rate.")
    )


async def edit_component(request: Request) -> Mapping[str, Any]:
    """The form of a component."""
    found, part, _parts = await _component(request)
    return {"schedule": found, "component": part, "place": part.place, "month": Month.of(_today(request))}


async def save_component(request: Request, form: ComponentForm) -> object:
    """Write a component anew; its rates stay."""
    conn = request[CONN]
    found, part, _parts = await _component(request)
    await store.change_component(conn, part.id, form.code, form.name, form.unit, form.place)
    subject = f"schedule {found.id}"
    await audit(conn, "payments.component_changed", subject=subject, name=form.name, schedule=found.name)
    return redirect(request, "payments.charging_component", component=part.id, flash=_("Saved"))


# --- the rates of a component ---------------------------------------------------------------------------------------


class RateQuery(BaseModel):
    """A rate that somebody thinks of: what it would do to the month from which it holds."""

    since: MonthField | None = None
    rate: RateField | None = None


class RateForm(BaseModel):
    """A rate and the month from which it holds."""

    since: MonthField
    rate: RateField


async def component(request: Request, query: RateQuery) -> Mapping[str, Any]:
    """A component: its rates over time, and what another rate would do."""
    found, part, _parts = await _component(request)
    month = Month.of(_today(request))
    shown: dict[str, Any] = {
        "schedule": found,
        "component": part,
        "month": month,
        "coming": month.plus(1),
        "rate_now": in_force(part.rates, month.first),
        "rates": [(Month.of(step.valid_from), step.value) for step in reversed(part.rates)],
        "picture": rate_picture(part.rates, month),
        "effect": None,
        "section": "schedules",
        "plain": plain,
    }
    if query.since is not None and query.rate is not None:
        before = in_force(part.rates, query.since.first)
        standing = await store.standing(request[CONN], found.id, query.since)
        shown |= {
            "since": query.since,
            "rate": query.rate,
            "before": before,
            "effect": await store.effect(request[CONN], part, query.since, before, query.rate),
            "charged": standing is not None and standing["state"] == "approved",
        }
    return shown


async def set_rate(request: Request, form: RateForm) -> object:
    """Let a rate hold from a month on."""
    conn = request[CONN]
    found, part, _parts = await _component(request)
    before = in_force(part.rates, form.since.first)
    await store.set_rate(conn, part, form.since, form.rate)
    await audit(
        conn,
        "payments.rate_set",
        subject=f"schedule {found.id}",
        name=part.name,
        since=form.since.short,
        before="" if before is None else plain(before, 2),
        after=plain(form.rate, 2),
    )
    flash = _("{name} costs {rate} zł from {month} on.", name=part.name, rate=plain(form.rate, 2), month=form.since)
    return redirect(request, "payments.charging_component", component=part.id, flash=flash)


class RateMonth(BaseModel):
    """The month in which a rate begins."""

    since: MonthField


class RateMonthQuery(BaseModel):
    """The same in an address; without it there is nothing to ask."""

    since: MonthField | None = None


async def confirm_remove_rate(request: Request, query: RateMonthQuery) -> object:
    """Asks whether a rate shall go, and says what would hold instead."""
    found, part, _parts = await _component(request)
    step = next((step for step in part.rates if query.since and step.valid_from == query.since.first), None)
    if query.since is None or step is None:
        return redirect(request, "payments.charging_component", component=part.id)
    left = [other for other in part.rates if other != step]
    return {
        "schedule": found,
        "component": part,
        "since": query.since,
        "rate": step.value,
        "then": in_force(left, query.since.first),
        "plain": plain,
    }


async def remove_rate(request: Request, form: RateMonth) -> object:
    """Take back a rate."""
    conn = request[CONN]
    found, part, _parts = await _component(request)
    before = await store.remove_rate(conn, part, form.since)
    if before is None:
        raise not_found()
    await audit(
        conn,
        "payments.rate_removed",
        subject=f"schedule {found.id}",
        name=part.name,
        since=form.since.short,
        before=plain(before, 2),
    )
    return redirect(request, "payments.charging_component", component=part.id, flash=_("The rate is removed."))


# --- what accounts have of it ---------------------------------------------------------------------------------------

_HOLDERS: Final[LiteralString] = """
select q.account_id, k.account_no, p.code, q.quantity, q.valid_from, c.customer_no, c.name
from payments.fee_quantity q
join payments.fee_component p on p.id = q.component
join payments.account k on k.id = q.account_id
join kernel.customer c on c.id = k.customer
where q.component = $1 and q.valid_from <= $2 and not exists (
    select from payments.fee_quantity n
    where n.account_id = q.account_id and n.component = q.component
      and n.valid_from > q.valid_from and n.valid_from <= $2)"""
HOLDERS: Final = Listing(
    "payments.fee_quantities",
    _HOLDERS,
    (
        Column(
            "account_no",
            _("Account"),
            sort="account_id",
            link="payments.charging_account",
            by={"account": "account_id"},
        ),
        Column("code", _("Code")),
        Column("quantity", _("Quantity"), "number"),
        Column("valid_from", _("From day"), "date"),
        Column("customer_no", _("Customer no.")),
        Column("name", _("Customer")),
    ),
    order="account_no",
    key="account_id",
    filters=(
        Filter("account", _("Account"), "account_no = {0}"),
        Filter("customer", _("Customer no."), "customer_no = {0}"),
    ),
    title_of="name",
)
"""Its file begins with the four columns that a list of quantities has, so that it can be changed and pasted back."""


class HoldersQuery(ListQuery):
    """Which accounts are shown."""

    account: str = Field("", max_length=80)
    customer: str = Field("", max_length=80)


async def holders(request: Request, query: HoldersQuery) -> object:
    """How much of a component each account has next month."""
    found, part, _parts = await _component(request)
    month = Month.of(_today(request)).plus(1)
    shown = {"schedule": found, "component": part, "month": month, "section": "schedules"}
    return await listed(request, HOLDERS, query, args=(part.id, month.first), extra=shown)


class QuantityForm(BaseModel):
    """How much of a component an account has, from a day on, perhaps to a day."""

    component: int
    quantity: QuantityField
    since: PolishDate
    until: PolishDate | None = None

    @model_validator(mode="after")
    def _in_order(self) -> QuantityForm:
        if self.until is not None and self.until < self.since:
            raise PydanticCustomError("days_out_of_order", "The last day comes before the first one. Check both days.")
        return self


async def account(request: Request) -> Mapping[str, Any]:
    """What an account is charged every month, and how much of each component it has, over time."""
    conn, number, today = request[CONN], int(request.match_info["account"]), _today(request)
    found = await store.account(conn, number)
    if found is None:
        raise not_found()
    fees = await store.fees_of(conn, number, today)
    return {
        "account": found,
        "fees": [fee for fee in fees if fee.quantities],
        "options": [(fee.component, f"{fee.schedule_name}: {fee.name}") for fee in fees],
        "month": Month.of(today),
        "since": Month.of(today).plus(1).first,
        "plain": plain,
    }


async def set_quantity(request: Request, form: QuantityForm) -> object:
    """Let an account have so much of a component."""
    conn, number = request[CONN], int(request.match_info["account"])
    found = await store.account(conn, number)
    if found is None:
        raise not_found()
    fee = next((one for one in await store.fees_of(conn, number, form.since) if one.component == form.component), None)
    if fee is None:
        raise Refused(_("Choose a component of this account's book."), field="component")
    before = in_force(fee.quantities, form.since) or Decimal(0)
    steps = with_span(fee.quantities, form.since, form.until, form.quantity)
    await store.replace_steps(conn, fee.schedule, number, fee.component, steps)
    await audit(
        conn,
        "payments.quantity_set",
        customer=found["customer"],
        subject=f"account {number}",
        name=fee.name,
        since=form.since,
        before=plain(before),
        after=plain(form.quantity),
    )
    return redirect(request, "payments.charging_account", account=number, flash=_("Saved"))


class QuantityList(BaseModel):
    """A list of quantities: customer or account number, component's code, quantity, from which day."""

    text: Annotated[str, StringConstraints(max_length=5_000_000)] = ""
    file: Upload | None = None
    since: PolishDate

    model_config = {"arbitrary_types_allowed": True}


async def quantities(request: Request) -> Mapping[str, Any]:
    """The form that takes a list of quantities."""
    found, parts = await _schedule(request)
    return {"schedule": found, "parts": parts, "since": Month.of(_today(request)).plus(1).first, "section": "schedules"}


async def set_quantities(request: Request, form: QuantityList) -> object:
    """Take a list of quantities, all of it or nothing."""
    conn = request[CONN]
    found, parts = await _schedule(request)
    try:
        lines = await cells_of(await text_of(form.text, form.file))
    except ListError as error:
        raise Refused(error.message, field="text") from error
    held, wrong = await _held(request, found, parts, lines, form.since)
    if wrong:
        raise Refused(errors={"text": _listed(wrong)})
    if not held:
        raise Refused(_("There is no line in this list."), field="text")
    await store.set_quantities(conn, found.id, held)
    await audit(conn, "payments.quantities_set", subject=f"schedule {found.id}", count=len(held), schedule=found.name)
    flash = ngettext("{count} quantity is set", "{count} quantities are set", len(held))
    return redirect(request, "payments.charging_schedule", schedule=found.id, flash=flash)


async def _held(
    request: Request, found: Schedule, parts: Sequence[Component], lines: Sequence[Cells], since: date
) -> tuple[list[Held], list[tuple[int, Text]]]:
    """What the lines say, and what is wrong with which line."""
    known = await accounts.resolved(request[CONN], {line.cell(0) for line in lines}, found.book)
    codes = {part.code.casefold(): part.id for part in parts}
    held: dict[tuple[int, int, date], Held] = {}
    wrong: list[tuple[int, Text]] = []
    for place, line in enumerate(lines):
        resolved, code = known.get(line.cell(0)), codes.get(line.cell(1).casefold())
        if place == 0 and code is None and not line.has_number():
            continue  # a heading
        try:
            if resolved is None or resolved.account is None:
                raise ValueError(accounts.PROBLEMS[resolved.problem if resolved else "unknown"].message)
            if code is None:
                raise ValueError(_("There is no component with this code").message)
            one = Held(resolved.account, code, line.day(3) or since, quantity(line.cell(2)))
            if (one.account, code, one.valid_from) in held:
                raise ValueError(_("This account, component and day are in the list twice").message)
            held[one.account, code, one.valid_from] = one
        except ValueError as error:
            wrong.append((line.number, Text(_said(error))))
    return list(held.values()), wrong


def _said(error: ValueError) -> str:
    return error.message_template if isinstance(error, PydanticCustomError) else str(error)


def _listed(wrong: Sequence[tuple[int, Text]]) -> Text:
    """The first wrong lines with their reasons, as one text."""
    named = (_("line {number}: {reason}", number=number, reason=text) for number, text in wrong[:MOST_WRONG])
    reasons = "; ".join(map(str, named))
    return ngettext(
        "{count} line is wrong: {reasons}", "{count} lines are wrong: {reasons}", len(wrong), reasons=reasons
    )


# --- finding --------------------------------------------------------------------------------------------------------


async def _schedule(request: Request) -> tuple[Schedule, tuple[Component, ...]]:
    found = await store.schedule(request[CONN], int(request.match_info["schedule"]))
    if found is None:
        raise not_found()
    return found


async def _component(request: Request) -> tuple[Schedule, Component, tuple[Component, ...]]:
    found = await store.component(request[CONN], int(request.match_info["component"]))
    if found is None:
        raise not_found()
    return found


def _today(request: Request) -> date:
    return request[SITE].clock.today()


_SCHEDULE: Final = r"/admin/charging/schedules/{schedule:\d+}"
_COMPONENT: Final = r"/admin/charging/components/{component:\d+}"
_ACCOUNT: Final = r"/admin/charging/accounts/{account:\d+}"
_FORM: Final = "payments/charging/schedule_form.html"
_PART: Final = "payments/charging/component_form.html"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/charging",
        schedules,
        RIGHT,
        "payments.charging",
        query=SchedulesQuery,
        template="payments/charging/schedules.html",
    ),
    Route("GET", "/admin/charging/new", new, RIGHT, "payments.charging_new_schedule", template=_FORM),
    Route("POST", "/admin/charging/new", add, RIGHT, "payments.charging_add_schedule", body=ScheduleForm),
    Route(
        "GET",
        _SCHEDULE,
        schedule,
        RIGHT,
        "payments.charging_schedule",
        query=RunsOfSchedule,
        template="payments/charging/schedule.html",
    ),
    Route("GET", f"{_SCHEDULE}/edit", edit, RIGHT, "payments.charging_edit_schedule", template=_FORM),
    Route("POST", f"{_SCHEDULE}/edit", save, RIGHT, "payments.charging_save_schedule", body=ScheduleForm),
    Route("GET", f"{_SCHEDULE}/components", new_component, RIGHT, "payments.charging_new_component", template=_PART),
    Route(
        "POST",
        f"{_SCHEDULE}/components",
        add_component,
        RIGHT,
        "payments.charging_add_component",
        body=NewComponentForm,
    ),
    Route(
        "GET",
        f"{_SCHEDULE}/quantities",
        quantities,
        RIGHT,
        "payments.charging_quantities",
        template="payments/charging/quantities.html",
    ),
    Route(
        "POST",
        f"{_SCHEDULE}/quantities",
        set_quantities,
        RIGHT,
        "payments.charging_set_quantities",
        body=QuantityList,
        files=True,
    ),
    Route(
        "GET",
        _COMPONENT,
        component,
        RIGHT,
        "payments.charging_component",
        query=RateQuery,
        template="payments/charging/component.html",
    ),
    Route(
        "GET",
        f"{_COMPONENT}/accounts",
        holders,
        RIGHT,
        "payments.charging_holders",
        query=HoldersQuery,
        template="payments/charging/holders.html",
    ),
    Route("POST", _COMPONENT, set_rate, RIGHT, "payments.charging_set_rate", body=RateForm),
    Route(
        "GET",
        f"{_COMPONENT}/remove-rate",
        confirm_remove_rate,
        RIGHT,
        "payments.charging_confirm_remove_rate",
        query=RateMonthQuery,
        template="payments/charging/remove_rate.html",
    ),
    Route("POST", f"{_COMPONENT}/remove-rate", remove_rate, RIGHT, "payments.charging_remove_rate", body=RateMonth),
    Route("GET", f"{_COMPONENT}/edit", edit_component, RIGHT, "payments.charging_edit_component", template=_PART),
    Route("POST", f"{_COMPONENT}/edit", save_component, RIGHT, "payments.charging_save_component", body=ComponentForm),
    Route("GET", _ACCOUNT, account, RIGHT, "payments.charging_account", template="payments/charging/account.html"),
    Route("POST", _ACCOUNT, set_quantity, RIGHT, "payments.charging_set_quantity", body=QuantityForm),
)

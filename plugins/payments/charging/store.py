"""The SQL of fee schedules and their runs. What computes and books is a function (``migrations/0004_charging.sql``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final, LiteralString

from kernel import Connection, Money, Row, Text, _
from plugins.payments.charging.model import Month, Step, Terms, line_amount
from plugins.payments.refusing import refusing
from plugins.payments.store import Key

REFUSALS: Final[Mapping[str, Text]] = {
    "fee_schedule_code_key": _("There is a schedule with this code already."),
    "fee_component_code": _("The schedule has a component with this code already."),
    "fee_schedule_due_after_issue": _("Charges are due on the day of issue or later. Check both days."),
    "charge_run_once": _("This month is computed or charged already. Roll that run back first."),
    "charge_run_state": _("Somebody has taken this run further meanwhile. Look at it again."),
}
"""What the database refuses (constraint names), in words."""


refusals: Final = partial(refusing, REFUSALS)


# --- schedules ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Schedule:
    """A fee schedule: what is charged every month, by components, and when."""

    id: int
    code: str
    name: str
    book: int
    book_code: str
    book_name: str
    terms: Terms
    title: str
    is_active: bool
    version: int


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """What is typed of a schedule."""

    code: str
    name: str
    book: int
    terms: Terms
    title: str
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a schedule, with its rates from the oldest on."""

    id: int
    schedule: int
    code: str
    name: str
    unit: str
    place: int
    rates: tuple[Step, ...]


_SCHEDULE_FIELDS: Final = ("issue_day", "issue_month", "due_day", "due_month")


def _schedule(row: Row) -> Schedule:
    values: dict[str, Any] = {name: value for name, value in row.items() if name not in (*_SCHEDULE_FIELDS, "parts")}
    return Schedule(**values, terms=Terms(*(row[name] for name in _SCHEDULE_FIELDS)))


SCHEDULE_SQL: Final[LiteralString] = """
select s.id, s.code, s.name, s.book, b.code as book_code, b.name as book_name, s.issue_day, s.issue_month, s.due_day,
       s.due_month, s.title, s.is_active, s.version,
       (select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'code', c.code, 'name', c.name, 'unit', c.unit,
            'place', c.place, 'rates', (
                select coalesce(jsonb_agg(jsonb_build_array(r.valid_from, r.amount::text) order by r.valid_from), '[]')
                from payments.fee_rate r where r.component = c.id)) order by c.place, c.id), '[]')
        from payments.fee_component c where c.schedule = s.id) as parts
from payments.fee_schedule s join payments.book b on b.id = s.book
where s.id = coalesce($1, (select schedule from payments.fee_component where id = $2))
"""


async def schedule(
    conn: Connection, number: int | None, component: int | None = None
) -> tuple[Schedule, tuple[Component, ...]] | None:
    """A schedule, by its number or that of a component, with its components and their rates, or None."""
    row = await conn.fetchrow(SCHEDULE_SQL, number, component)
    if row is None:
        return None
    return _schedule(row), tuple(_component(row["id"], part) for part in row["parts"])


def _component(number: int, part: Mapping[str, Any]) -> Component:
    rates = tuple(Step(date.fromisoformat(day), Decimal(amount)) for day, amount in part["rates"])
    return Component(part["id"], number, part["code"], part["name"], part["unit"], part["place"], rates)


ADD_SCHEDULE_SQL: Final[LiteralString] = """
insert into payments.fee_schedule (code, name, book, issue_day, issue_month, due_day, due_month, title, is_active)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
returning id
"""
CHANGE_SCHEDULE_SQL: Final[LiteralString] = """
update payments.fee_schedule
set code = $2, name = $3, issue_day = $4, issue_month = $5, due_day = $6, due_month = $7, title = $8, is_active = $9,
    version = version + 1
where id = $1
"""


async def add_schedule(conn: Connection, facts: ScheduleFacts) -> int:
    """A new schedule; its id. Raises Refused for a code that is taken."""
    terms = facts.terms
    with refusals():
        return await conn.fetchval(
            ADD_SCHEDULE_SQL,
            facts.code,
            facts.name,
            facts.book,
            terms.issue_day,
            terms.issue_month,
            terms.due_day,
            terms.due_month,
            facts.title,
            facts.is_active,
        )


async def change_schedule(conn: Connection, number: int, facts: ScheduleFacts) -> None:
    """Write a schedule anew; its book stays. Raises Refused for a code that is taken."""
    terms = facts.terms
    with refusals():
        await conn.execute(
            CHANGE_SCHEDULE_SQL,
            number,
            facts.code,
            facts.name,
            terms.issue_day,
            terms.issue_month,
            terms.due_day,
            terms.due_month,
            facts.title,
            facts.is_active,
        )


BOOKS_SQL: Final[LiteralString] = """
select id, code, name from payments.book where not is_mirror order by code <> 'main', name, id
"""


async def books(conn: Connection) -> Sequence[Row]:
    """The books that may be charged: those that are nobody else's mirror, «main» first."""
    return await conn.fetch(BOOKS_SQL)


# --- components and rates -------------------------------------------------------------------------------------------

TOUCH_SQL: Final[LiteralString] = "update payments.fee_schedule set version = version + 1 where id = any ($1::bigint[])"
ADD_COMPONENT_SQL: Final[LiteralString] = """
insert into payments.fee_component (schedule, code, name, unit, place) values ($1, $2, $3, $4, $5) returning id
"""
CHANGE_COMPONENT_SQL: Final[LiteralString] = """
update payments.fee_component set code = $2, name = $3, unit = $4, place = $5 where id = $1
"""


async def touch(conn: Connection, schedules: Sequence[int]) -> None:
    """Say that what these schedules charge has changed, so that what was computed before is stale."""
    await conn.execute(TOUCH_SQL, list(schedules))


async def add_component(conn: Connection, schedule: int, code: str, name: str, unit: str, place: int) -> int:
    """A new component; its id. Raises Refused for a code that is taken."""
    with refusals():
        number = await conn.fetchval(ADD_COMPONENT_SQL, schedule, code, name, unit, place)
    await touch(conn, [schedule])
    return number


async def change_component(conn: Connection, number: int, code: str, name: str, unit: str, place: int) -> None:
    """Write a component anew. Raises Refused for a code that is taken."""
    with refusals():
        await conn.execute(CHANGE_COMPONENT_SQL, number, code, name, unit, place)


async def component(conn: Connection, number: int) -> tuple[Schedule, Component, tuple[Component, ...]] | None:
    """A component with its schedule and all components of that, or None."""
    found = await schedule(conn, None, number)
    if found is None:
        return None
    return found[0], next(part for part in found[1] if part.id == number), found[1]


SET_RATE_SQL: Final[LiteralString] = """
insert into payments.fee_rate (component, valid_from, amount) values ($1, $2, $3)
on conflict (component, valid_from) do update set amount = excluded.amount
"""
REMOVE_RATE_SQL: Final[LiteralString] = """
delete from payments.fee_rate where component = $1 and valid_from = $2 returning amount
"""


async def set_rate(conn: Connection, part: Component, month: Month, amount: Decimal) -> None:
    """Let a rate hold from a month on."""
    await conn.execute(SET_RATE_SQL, part.id, month.first, amount)
    await touch(conn, [part.schedule])


async def remove_rate(conn: Connection, part: Component, month: Month) -> Decimal | None:
    """Take back the rate that begins in a month: the one before it holds on. None when there was none."""
    amount = await conn.fetchval(REMOVE_RATE_SQL, part.id, month.first)
    await touch(conn, [part.schedule])
    return amount


EFFECT_SQL: Final[LiteralString] = """
with held as (
    select distinct on (q.account_id) q.account_id, q.quantity
    from payments.fee_quantity q
    where q.component = $1 and q.valid_from <= $2
    order by q.account_id, q.valid_from desc
), counted as (
    select h.quantity from held h
    join payments.account a on a.id = h.account_id join kernel.customer k on k.id = a.customer
    where h.quantity > 0 and a.closed_on is null and k.status <> 'closed'
)
select count(*) as accounts, coalesce(sum(quantity), 0) as quantity,
       coalesce(sum(round(quantity * $3::numeric * 100)), 0)::bigint as before,
       coalesce(sum(round(quantity * $4::numeric * 100)), 0)::bigint as after
from counted
"""


@dataclass(frozen=True, slots=True)
class Effect:
    """What another rate does to a month: how many accounts, how much of the component, the sums in money."""

    accounts: int
    quantity: Decimal
    before: Money
    after: Money

    @property
    def change(self) -> Money:
        return self.after - self.before


async def effect(
    conn: Connection, part: Component, month: Month, before: Decimal | None, after: Decimal | None
) -> Effect:
    """What it does to a month when a component costs ``after`` instead of ``before``, rounded account by account."""
    row = await conn.fetchrow(EFFECT_SQL, part.id, month.first, before or Decimal(0), after or Decimal(0))
    assert row is not None  # noqa: S101  an aggregate has one row
    return Effect(row["accounts"], row["quantity"], Money(row["before"]), Money(row["after"]))


# --- quantities -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fee:
    """What an account is charged for one component, on a day: its quantity and rate then, the month's amount.

    ``quantities`` are all its steps, past and coming.
    """

    schedule: int
    schedule_name: str
    component: int
    code: str
    name: str
    unit: str
    quantity: Decimal
    rate: Decimal | None
    amount: Money
    quantities: tuple[Step, ...]


FEES_SQL: Final[LiteralString] = """
select s.id as schedule, s.name as schedule_name, c.id as component, c.code, c.name, c.unit,
       coalesce((select q.quantity from payments.fee_quantity q
           where q.account_id = $1 and q.component = c.id and q.valid_from <= $2
           order by q.valid_from desc limit 1), 0) as quantity,
       (select r.amount from payments.fee_rate r where r.component = c.id and r.valid_from <= $2
        order by r.valid_from desc limit 1) as rate,
       (select coalesce(jsonb_agg(jsonb_build_array(q.valid_from, q.quantity::text) order by q.valid_from), '[]')
        from payments.fee_quantity q where q.account_id = $1 and q.component = c.id) as quantities
from payments.account a
join payments.fee_schedule s on s.book = a.book
join payments.fee_component c on c.schedule = s.id
where a.id = $1
order by s.name, s.id, c.place, c.id
"""


async def fees_of(conn: Connection, account: int, on: date) -> Sequence[Fee]:
    """Every component that an account could be charged for, with what it is charged for the month of a day.

    What holds on the first day of the month counts. Components of which the account has nothing have quantity 0.
    """
    return [_fee(row) for row in await conn.fetch(FEES_SQL, account, Month.of(on).first)]


def _fee(row: Row) -> Fee:
    each: Decimal | None = row["rate"]
    amount = 0 if each is None else line_amount(row["quantity"], each)
    steps = tuple(Step(date.fromisoformat(day), Decimal(number)) for day, number in row["quantities"])
    values: dict[str, Any] = {**row, "amount": Money(amount), "quantities": steps}
    return Fee(**values)


SET_QUANTITIES_SQL: Final[LiteralString] = """
insert into payments.fee_quantity (account_id, component, valid_from, quantity)
select * from unnest($1::bigint[], $2::bigint[], $3::date[], $4::numeric[])
on conflict (account_id, component, valid_from) do update set quantity = excluded.quantity
"""
REPLACE_QUANTITIES_SQL: Final[LiteralString] = """
delete from payments.fee_quantity where account_id = $1 and component = $2
"""


@dataclass(frozen=True, slots=True)
class Held:
    """How much of a component an account has from a day on."""

    account: int
    component: int
    valid_from: date
    quantity: Decimal


async def set_quantities(conn: Connection, schedule: int, held: Sequence[Held]) -> None:
    """Let quantities of a schedule's components hold from their days on; those of other days stay."""
    await conn.execute(
        SET_QUANTITIES_SQL,
        [one.account for one in held],
        [one.component for one in held],
        [one.valid_from for one in held],
        [one.quantity for one in held],
    )
    await touch(conn, [schedule])


async def replace_steps(conn: Connection, schedule: int, account: int, component: int, steps: Sequence[Step]) -> None:
    """Write all steps of one component of an account anew."""
    await conn.execute(REPLACE_QUANTITIES_SQL, account, component)
    await set_quantities(conn, schedule, [Held(account, component, step.valid_from, step.value) for step in steps])


ACCOUNT_SQL: Final[LiteralString] = """
select a.id, a.account_no, a.customer, c.customer_no, c.name, b.name as book_name, a.closed_on
from payments.account a join kernel.customer c on c.id = a.customer join payments.book b on b.id = a.book
where a.id = $1
"""


async def account(conn: Connection, number: int) -> Row | None:
    """An account with its customer and book, or None."""
    return await conn.fetchrow(ACCOUNT_SQL, number)


# --- runs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """A month's charges of a schedule, computed and perhaps approved. ``is_stale``: the schedule changed since then.

    ``parts`` are the sums by component. ``creator`` and ``undo_asker`` are the actors behind ``created_by`` and
    ``undo_asked_by``, which are names.
    """

    id: int
    schedule: int
    schedule_code: str
    schedule_name: str
    month: Month
    attempt: int
    state: str
    is_stale: bool
    previous: int | None
    previous_month: Month | None
    title: str
    issued_on: date | None
    due_on: date | None
    accounts: int
    amount: Money
    previous_amount: Money
    added: int
    ended: int
    changed: int
    warned: int
    blocked: int
    without_rate: int
    done: int
    reason: str
    creator: str
    created_by: str
    created_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    undo_asker: str | None
    undo_asked_by: str | None
    rolled_back_by: str | None
    rolled_back_at: datetime | None
    parts: tuple[Mapping[str, Any], ...]

    @property
    def change(self) -> Money:
        return self.amount - self.previous_amount


RUN_SQL: Final[LiteralString] = """
select r.id, r.schedule, s.code as schedule_code, s.name as schedule_name, r.period, r.attempt, r.state,
       r.schedule_version <> s.version as is_stale, r.previous, p.period as previous_period, r.title, r.issued_on,
       r.due_on, r.accounts, r.amount, r.previous_amount, r.added, r.ended, r.changed, r.warned, r.blocked,
       (select count(*) from payments.charge_run_component k
        where k.run = r.id and k.rate is null and k.accounts > 0) as without_rate,
       r.done, r.reason, coalesce(r.created_by, '') as creator, coalesce(author.name, r.created_by, '') as created_by,
       r.created_at, r.undo_asked_by as undo_asker, coalesce(asker.name, r.undo_asked_by) as undo_asked_by,
       coalesce(approver.name, r.approved_by) as approved_by, r.approved_at,
       coalesce(undoer.name, r.rolled_back_by) as rolled_back_by, r.rolled_back_at,
       (select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'name', c.name, 'unit', c.unit,
            'quantity', k.quantity::text, 'rate', k.rate::text, 'accounts', k.accounts, 'amount', k.amount,
            'previous_rate', k.previous_rate::text, 'previous_amount', k.previous_amount) order by c.place, c.id), '[]')
        from payments.charge_run_component k join payments.fee_component c on c.id = k.component
        where k.run = r.id) as parts
from payments.charge_run r
join payments.fee_schedule s on s.id = r.schedule
left join payments.charge_run p on p.id = r.previous
left join kernel.users author on author.id = case when r.created_by ~ '^[0-9]{1,18}$' then r.created_by::bigint end
left join kernel.users approver
  on approver.id = case when r.approved_by ~ '^[0-9]{1,18}$' then r.approved_by::bigint end
left join kernel.users asker
  on asker.id = case when r.undo_asked_by ~ '^[0-9]{1,18}$' then r.undo_asked_by::bigint end
left join kernel.users undoer
  on undoer.id = case when r.rolled_back_by ~ '^[0-9]{1,18}$' then r.rolled_back_by::bigint end
where r.id = $1
"""


async def run(conn: Connection, number: int) -> Run | None:
    """A run, or None."""
    row = await conn.fetchrow(RUN_SQL, number)
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    previous = values.pop("previous_period")
    values["month"] = Month.parse(values.pop("period"))
    values["previous_month"] = Month.parse(previous) if previous else None
    for name in ("amount", "previous_amount"):
        values[name] = Money(values[name])
    values["parts"] = tuple(values["parts"])
    return Run(**values)


START_SQL: Final[LiteralString] = """
insert into payments.charge_run (schedule, period, attempt)
select $1, $2, coalesce(max(attempt), 0) + 1 from payments.charge_run where schedule = $1 and period = $2
returning id
"""


async def start(conn: Connection, schedule: int, month: Month) -> int:
    """Begin a run; its number. Raises Refused when the month has one that was not rolled back."""
    with refusals():
        return await conn.fetchval(START_SQL, schedule, month.period)


STANDING_SQL: Final[LiteralString] = """
select id, state from payments.charge_run
where schedule = $1 and period = $2 and state not in ('rolled_back', 'deleted')
"""
NEXT_PERIOD_SQL: Final[LiteralString] = """
select max(period) from payments.charge_run where schedule = $1 and state not in ('rolled_back', 'deleted')
"""


async def standing(conn: Connection, schedule: int, month: Month) -> Row | None:
    """The run that a month has and that was not rolled back: its id and state."""
    return await conn.fetchrow(STANDING_SQL, schedule, month.period)


async def last_month(conn: Connection, schedule: int) -> Month | None:
    """The last month that a schedule has a run for."""
    period = await conn.fetchval(NEXT_PERIOD_SQL, schedule)
    return Month.parse(period) if period else None


COMPUTE_SQL: Final[LiteralString] = "select payments.compute_charges($1, $2, $3, $4)"


async def compute(conn: Connection, number: int, title: str, issued_on: date, due_on: date) -> None:
    """Compute a run that is to be computed; any other is left alone."""
    await conn.execute(COMPUTE_SQL, number, title, issued_on, due_on)


MOVE_SQL: Final[LiteralString] = """
update payments.charge_run set state = $3, reason = $4, done = 0,
    approved_by = case $3 when 'approving' then current_setting('ebok.actor', true) when 'ready' then null
        else approved_by end,
    approved_at = case when $3 = 'approved' and approved_at is null then now() when $3 = 'ready' then null
        else approved_at end,
    undo_asked_by = case $3 when 'rolling_back' then undo_asked_by end,
    rolled_back_by = case $3 when 'rolling_back' then current_setting('ebok.actor', true) when 'approved' then null
        else rolled_back_by end,
    rolled_back_at = case $3 when 'rolled_back' then now() end
where id = $1 and state = $2
returning id
"""


async def move(conn: Connection, number: int, before: str, after: str, reason: str = "") -> bool:
    """Take a run from one state to the next. False when it is not in the first one (any more)."""
    with refusals():
        return await conn.fetchval(MOVE_SQL, number, before, after, reason) is not None


ASK_UNDO_SQL: Final[LiteralString] = """
update payments.charge_run
set undo_asked_by = case when $2 then current_setting('ebok.actor', true) end, reason = $3
where id = $1 and state = 'approved' and (undo_asked_by is null) = $2
returning id
"""


async def ask_undo(conn: Connection, number: int, reason: str) -> bool:
    """Ask for a roll-back that somebody else confirms. False when it cannot be asked for (any more)."""
    return await conn.fetchval(ASK_UNDO_SQL, number, True, reason) is not None


async def withdraw_undo(conn: Connection, number: int) -> bool:
    """Take the wish for a roll-back back. False when there is none."""
    return await conn.fetchval(ASK_UNDO_SQL, number, False, "") is not None


ACT_SQL: Final[LiteralString] = "select set_config('ebok.actor', $1, true)"


async def act_as(conn: Connection, actor: str) -> None:
    """Let what follows in this transaction be the work of ``actor``."""
    await conn.execute(ACT_SQL, actor)


DISCARD_SQL: Final[LiteralString] = """
delete from payments.charge_run where id = $1 and state in ('computing', 'ready') returning id
"""


async def discard(conn: Connection, number: int) -> bool:
    """Forget a run that nobody approved. False when it is further, or not there."""
    return await conn.fetchval(DISCARD_SQL, number) is not None


CLAIM_SQL: Final[LiteralString] = "select pg_advisory_xact_lock(hashtextextended('payments.charge_run', $1))"
HOLD_SQL: Final[LiteralString] = "select payments.hold_charges($1)"
STATE_SQL: Final[LiteralString] = "select state from payments.charge_run where id = $1"


async def claim(conn: Connection, number: int) -> str | None:
    """Be the only one that books or unbooks this run until the transaction ends; the state in which it is then."""
    await conn.execute(CLAIM_SQL, number)
    state = await conn.fetchval(STATE_SQL, number)
    if state is not None:
        await conn.execute(HOLD_SQL, number)
    return state


BOOK_SQL: Final[LiteralString] = "select account_id, id from payments.book_charges($1, $2, $3)"


async def book(conn: Connection, number: int, after: int, most: int) -> list[Key]:
    """Enter the charges of the next accounts of a run that is being approved, as drafts; none are left when empty."""
    return [Key(row["account_id"], row["id"]) for row in await conn.fetch(BOOK_SQL, number, after, most)]


BOOKED_SQL: Final[LiteralString] = """
select a.account_id, e.id, r.id as reversal, r.state as reversal_state
from payments.charge_run_account a
join payments.entry e on e.account_id = a.account_id and e.id = a.entry
left join payments.entry r on r.account_id = e.account_id and r.reverses = e.id and r.state <> 'voided'
where a.run = $1 and a.account_id > $2 and e.state = 'approved'
order by a.account_id
limit $3
"""


@dataclass(frozen=True, slots=True)
class Booked:
    """An approved charge of a run; ``reversal`` is the entry that reverses it, if somebody has entered one."""

    key: Key
    reversal: Key | None
    is_reversed: bool


async def booked(conn: Connection, number: int, after: int, most: int) -> list[Booked]:
    """The approved charges of a run on the next accounts after ``after``."""
    rows = await conn.fetch(BOOKED_SQL, number, after, most)
    return [
        Booked(
            Key(row["account_id"], row["id"]),
            Key(row["account_id"], row["reversal"]) if row["reversal"] is not None else None,
            row["reversal_state"] == "approved",
        )
        for row in rows
    ]


PROGRESS_SQL: Final[LiteralString] = "update payments.charge_run set done = $2 where id = $1"


async def tell_progress(conn: Connection, number: int, done: int) -> None:
    """How many accounts the work at hand has done; on a connection of its own, so that others see it at once."""
    await conn.execute(PROGRESS_SQL, number, done)


ACCOUNT_OF_RUN_SQL: Final[LiteralString] = """
select a.account_id, k.account_no, k.customer, c.customer_no, c.name, a.amount, a.previous_amount, a.change, a.turn,
       a.warning, a.entry,
       (select coalesce(jsonb_agg(jsonb_build_object('name', f.name, 'unit', f.unit,
            'quantity', coalesce(l.quantity, 0)::text, 'rate', l.rate::text, 'amount', coalesce(l.amount, 0),
            'previous_quantity', coalesce(b.quantity, 0)::text, 'previous_rate', b.rate::text,
            'previous_amount', coalesce(b.amount, 0)) order by f.place, f.id), '[]')
        from payments.fee_component f
        left join payments.charge_run_line l on l.account_id = a.account_id and l.run = a.run and l.component = f.id
        left join payments.charge_run_line b
          on b.account_id = a.account_id and b.run = r.previous and b.component = f.id
        where f.schedule = r.schedule and (l.run is not null or b.run is not null)) as lines
from payments.charge_run r
join payments.charge_run_account a on a.run = r.id
join payments.account k on k.id = a.account_id
join kernel.customer c on c.id = k.customer
where r.id = $1 and a.account_id = $2
"""


async def account_of_run(conn: Connection, number: int, account: int) -> Row | None:
    """What a run computed for an account, with the lines of it and of the run before; None: nothing."""
    return await conn.fetchrow(ACCOUNT_OF_RUN_SQL, number, account)


LINES_SQL: Final[LiteralString] = """
select r.id as run, r.schedule, s.name as schedule_name, r.period, f.name, f.unit, l.quantity, l.rate, l.amount
from payments.charge_run_account a
join payments.charge_run r on r.id = a.run
join payments.fee_schedule s on s.id = r.schedule
join payments.charge_run_line l on l.account_id = a.account_id and l.run = a.run
join payments.fee_component f on f.id = l.component
where a.account_id = $1 and a.entry = $2
order by f.place, f.id
"""


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """One line of a charge that a run made: quantity × rate, rounded half up to a grosz. They sum to the charge."""

    run: int
    schedule: int
    schedule_name: str
    period: str
    name: str
    unit: str
    quantity: Decimal
    rate: Decimal | None
    amount: Money


async def lines_of(conn: Connection, account: int, entry: int) -> Sequence[ChargeLine]:
    """How a charge came about, line by line; empty for a charge that no run made."""
    rows = await conn.fetch(LINES_SQL, account, entry)
    values: list[dict[str, Any]] = [{**row, "amount": Money(row["amount"])} for row in rows]
    return [ChargeLine(**one) for one in values]


# --- proofs ---------------------------------------------------------------------------------------------------------

WRONG_RUNS_SQL: Final[LiteralString] = """
select a.run, a.account_id, a.amount, coalesce(l.amount, 0)::bigint as lines, e.amount as entry
from payments.charge_run_account a
join payments.charge_run r on r.id = a.run and r.state in ('approved', 'rolled_back', 'deleted')
left join (
    select account_id, run, sum(amount) as amount from payments.charge_run_line group by account_id, run
) l on l.account_id = a.account_id and l.run = a.run
left join payments.entry e on e.account_id = a.account_id and e.id = a.entry
where a.amount <> coalesce(l.amount, 0) or (a.amount > 0) <> (e.id is not null) or e.amount <> a.amount
order by a.run, a.account_id
limit $1
"""


async def wrong_runs(conn: Connection, limit: int) -> Sequence[Row]:
    """Accounts of approved runs whose charge is not the sum of its lines, or is missing."""
    return await conn.fetch(WRONG_RUNS_SQL, limit)

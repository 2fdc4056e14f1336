"""Fee schedules: the pure rules, the database that computes the same, and what cannot happen twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import Connection, Money, Refused, Site
from kernel.db.pool import Stamp
from plugins.payments import Side
from plugins.payments import store as ledger
from plugins.payments.charging import checks, jobs, store
from plugins.payments.charging.demo import demo
from plugins.payments.charging.model import (
    Line,
    Month,
    Step,
    Terms,
    in_force,
    line_amount,
    lines_of_month,
    plain,
    quantity,
    rate,
    title_of,
    warning_of,
    with_span,
)
from plugins.payments.charging.picture import rate_picture
from plugins.payments.charging.store import Held, ScheduleFacts
from plugins.payments.model import FIRST_YEAR
from plugins.payments.store import Draft
from tests.plugins.payments.ledger import TODAY, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["payments"])

DECEMBER = Month(date(2026, 12, 1))
DAYS = st.dates(date(2026, 9, 1), date(2027, 3, 31))
FIRSTS = st.integers(0, 6).map(lambda number: DECEMBER.plus(number - 3).first)
QUANTITIES = st.integers(0, 5_000_000).map(lambda number: Decimal(number) / 1000)
RATES = st.integers(0, 5_000_000).map(lambda number: Decimal(number) / 10_000)


def steps_of(days: st.SearchStrategy[date], values: st.SearchStrategy[Decimal], most: int) -> Any:
    return st.dictionaries(days, values, max_size=most).map(
        lambda found: [Step(day, value) for day, value in found.items()]
    )


HELD = st.dictionaries(st.integers(1, 4), steps_of(DAYS, QUANTITIES, 3), max_size=4)
PRICED = st.dictionaries(st.integers(1, 4), steps_of(FIRSTS, RATES, 3), max_size=4)

# --- the pure rules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how_much", "each", "grosze"),
    [("48.37", "4.8875", 23641), ("1", "0.005", 1), ("1", "0.0049", 0), ("0.001", "5", 1), ("3", "32", 9600)],
)
def test_a_line_is_rounded_half_up_to_a_grosz(how_much: str, each: str, grosze: int) -> None:
    assert line_amount(Decimal(how_much), Decimal(each)) == grosze


@given(HELD, PRICED, st.randoms())
def test_lines_are_quantity_times_rate_in_any_order(
    held: Mapping[int, Sequence[Step]], priced: Mapping[int, Sequence[Step]], draw: Any
) -> None:
    lines = lines_of_month(DECEMBER, priced, held)
    for line in lines:
        exact = line.quantity * (line.rate or 0) * 100
        assert line.amount == int(exact.quantize(Decimal(1), ROUND_HALF_UP))
        assert abs(exact - line.amount) <= Decimal("0.5")
        assert line.quantity == in_force(held[line.component], date(2026, 12, 1))
    assert {line.component for line in lines} == {
        component for component, steps in held.items() if in_force(steps, DECEMBER.first)
    }
    shuffled = {component: draw.sample(list(steps), len(steps)) for component, steps in reversed(list(held.items()))}
    assert lines_of_month(DECEMBER, dict(reversed(list(priced.items()))), shuffled) == lines


def test_the_first_day_of_a_month_counts_for_all_of_it() -> None:
    people = {1: [Step(date(2026, 1, 1), Decimal(2)), Step(date(2026, 12, 2), Decimal(3))]}
    prices = {1: [Step(date(2026, 1, 1), Decimal(30)), Step(date(2027, 1, 1), Decimal(35))]}
    sums = [sum(line.amount for line in lines_of_month(DECEMBER.plus(n), prices, people)) for n in (-1, 0, 1)]
    assert sums == [6000, 6000, 10500]


@given(steps_of(DAYS, QUANTITIES, 5), DAYS, st.integers(0, 90) | st.none(), QUANTITIES, DAYS)
def test_a_span_changes_its_own_days_only(
    steps: Sequence[Step], since: date, length: int | None, value: Decimal, day: date
) -> None:
    until = None if length is None else since + timedelta(days=length)
    spanned = with_span(steps, since, until, value)
    assert len({step.valid_from for step in spanned}) == len(spanned)
    assert in_force(spanned, since) == value
    if until is None:
        later = [step.valid_from for step in steps if step.valid_from > since]
        until = min(later) - timedelta(days=1) if later else date.max
    if since <= day <= until:
        assert in_force(spanned, day) == value
    else:
        assert (in_force(spanned, day) or 0) == (in_force(steps, day) or 0)


def test_what_is_odd_is_said() -> None:
    line = Line(1, Decimal(2), Decimal(3), 600)
    assert warning_of([line]) == ""
    assert warning_of([line, Line(2, Decimal(1), None, 0)]) == "no_rate"
    assert warning_of([Line(1, Decimal(2), Decimal(0), 0)]) == "zero"
    assert warning_of([Line(1, Decimal(2), Decimal(3), 10**12 + 1)]) == "too_large"
    assert warning_of([line], is_closed=True) == "closed"


def test_months_are_read_as_people_write_them() -> None:
    assert {Month.parse(text) for text in ("12.2026", "2026-12", "12/2026", " 12-2026 ")} == {DECEMBER}
    for wrong in ("13.2026", "2026", "grudzień", "0.2026", "12.26", "12.2300"):
        with pytest.raises(ValueError, match="month"):
            Month.parse(wrong)
    assert (DECEMBER.plus(1).short, DECEMBER.plus(-12).period) == ("01.2027", "2025-12")
    assert Month(date(2026, 2, 1)).day(31) == date(2026, 2, 28)
    assert title_of("Opłaty, {month} {year} ({period})", DECEMBER).endswith("2026 (12.2026)")


def test_terms_may_lie_in_the_months_around() -> None:
    terms = Terms(31, -1, 15, 1)
    assert (terms.issued_on(DECEMBER), terms.due_on(DECEMBER)) == (date(2026, 11, 30), date(2027, 1, 15))


@pytest.mark.parametrize("wrong", ["1e3", "-1", "1,2345", "10000000", "", "NaN", "١"])
def test_quantities_have_a_strict_grammar(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  pydantic's own
        quantity(wrong)


def test_rates_have_four_places() -> None:
    assert (rate("4,8875 zł"), rate("0"), plain(Decimal("1234.5"), 2)) == (Decimal("4.8875"), 0, "1\u00a0234,50")
    with pytest.raises(ValueError, match="four"):
        rate("4,88751")


def test_a_picture_has_a_zero_line_and_a_label_for_each_step_that_has_room() -> None:
    steps = [Step(date(2025, 1, 1), Decimal(2)), Step(date(2026, 1, 1), Decimal(4))]
    picture = rate_picture(steps, DECEMBER)
    assert picture is not None
    assert [label.text for label in sorted(picture.values, key=lambda label: label.x)] == ["2,00", "4,00"]
    heights = [int(point.split(",")[1]) for point in picture.line.split()]
    assert picture.baseline - heights[0] == pytest.approx((picture.baseline - heights[-1]) / 2, abs=1)
    assert rate_picture([], DECEMBER) is None
    assert rate_picture([Step(date(2026, 12, 1), Decimal(0))], DECEMBER) is not None


# --- the database computes the same ---------------------------------------------------------------------------------


async def schedule_of(conn: Connection, codes: Sequence[str] = ("a", "b")) -> tuple[int, list[int]]:
    main = (await store.books(conn))[0]["id"]
    facts = ScheduleFacts("lokale", "Lokale", main, Terms(20, -1, 10, 0), "Opłaty, {month} {year}")
    schedule = await store.add_schedule(conn, facts)
    return schedule, [await store.add_component(conn, schedule, code, code, "m²", 0) for code in codes]


async def accounts_of(conn: Connection, count: int) -> list[int]:
    customers = [await add_customer(conn, f"K{number}") for number in range(count)]
    return sorted((await ledger.open_accounts(conn, customers, TODAY)).values())


async def priced(conn: Connection, component: int, steps: Sequence[Step]) -> None:
    found = await store.component(conn, component)
    assert found is not None
    for step in steps:
        await store.set_rate(conn, found[1], Month.of(step.valid_from), step.value)


async def computed(conn: Connection, schedule: int, month: Month = DECEMBER) -> int:
    run = await store.start(conn, schedule, month)
    await store.compute(conn, run, "Opłaty", date(2026, 11, 20), date(2026, 12, 10))
    return run


class Undone(Exception):
    """Ends a transaction of which nothing shall stay."""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HELD, min_size=1, max_size=3), PRICED)
def test_the_database_computes_what_the_model_says(
    sync_site: Any, accounts: Sequence[Mapping[int, Sequence[Step]]], prices: Mapping[int, Sequence[Step]]
) -> None:
    sync_site(_compared(accounts, prices))


def _compared(accounts: Sequence[Mapping[int, Sequence[Step]]], prices: Mapping[int, Sequence[Step]]) -> Any:
    async def compare(conn: Connection) -> None:
        schedule, parts = await schedule_of(conn, ("a", "b", "c", "d"))
        numbers = await accounts_of(conn, len(accounts))
        for component, steps in prices.items():
            await priced(conn, parts[component - 1], steps)
        held = [
            Held(account, parts[component - 1], step.valid_from, step.value)
            for account, quantities in zip(numbers, accounts, strict=True)
            for component, steps in quantities.items()
            for step in steps
        ]
        await store.set_quantities(conn, schedule, held)
        run = await computed(conn, schedule)
        for account, quantities in zip(numbers, accounts, strict=True):
            lines = lines_of_month(DECEMBER, prices, quantities)
            rows = await conn.fetch(
                "select * from payments.charge_run_line where run = $1 and account_id = $2 order by component",
                run,
                account,
            )
            assert [Line(parts.index(r["component"]) + 1, r["quantity"], r["rate"], r["amount"]) for r in rows] == lines
            kept = await conn.fetchrow(
                "select * from payments.charge_run_account where run = $1 and account_id = $2", run, account
            )
            assert (kept is None) == (not lines)
            if kept is not None:
                assert (kept["amount"], kept["warning"]) == (sum(line.amount for line in lines), warning_of(lines))

    return compare


@pytest.fixture
async def sync_site(site: Site) -> Any:
    """Runs a coroutine in a transaction of which nothing stays, from a test that is no coroutine itself."""

    def run(work: Any) -> None:
        async def inside() -> None:
            owned = Site("test", site.hosts, type(site.db)(site.db.dsn, size=2), site.registry, site.clock)
            try:
                async with acting(owned) as conn:
                    await work(conn)
                    raise Undone
            except Undone:
                pass
            finally:
                await owned.db.close()

        asyncio.run(inside())

    return run


async def test_what_differs_from_the_month_before_is_told_account_by_account(site: Site) -> None:
    async with acting(site) as conn:
        schedule, (area, people) = await schedule_of(conn)
        stays, grows, leaves, comes, closes, _nothing = accounts = await accounts_of(conn, 6)
        await priced(conn, area, [Step(date(2026, 1, 1), Decimal(2))])
        await priced(conn, people, [Step(date(2026, 1, 1), Decimal(30)), Step(date(2027, 1, 1), Decimal(33))])
        begin, december = date(2026, 1, 1), date(2026, 12, 1)
        await store.set_quantities(
            conn,
            schedule,
            [
                *(Held(account, area, begin, Decimal(10)) for account in (stays, grows, leaves, closes)),
                Held(grows, people, december, Decimal(2)),
                Held(leaves, area, december, Decimal(0)),
                Held(comes, area, december, Decimal(20)),
            ],
        )
        november = await computed(conn, schedule, DECEMBER.plus(-1))
        await store.move(conn, november, "ready", "approving")
    await jobs.approve(site, {"run": november, "actor": "office"})
    owner = await asyncpg.connect(site.owner_dsn)
    await owner.execute("set role ebok_owner; update payments.account set opened_on = '2026-01-01'")
    await owner.execute("update payments.account set closed_on = '2026-11-30' where id = $1", closes)
    await owner.close()
    async with acting(site) as conn:
        number = await computed(conn, schedule)
        rows = await conn.fetch("select * from payments.charge_run_account where run = $1", number)
        found = {row["account_id"]: (row["turn"], row["change"], row["warning"]) for row in rows}
        assert found == {
            stays: ("same", 0, ""),
            grows: ("changed", 6000, ""),
            leaves: ("ended", -2000, ""),
            comes: ("new", 4000, ""),
            closes: ("ended", -2000, "closed"),
        }
        run = await store.run(conn, number)
        assert run is not None
        assert (run.previous, run.accounts, run.amount.grosze, run.previous_amount.grosze) == (november, 3, 14000, 8000)
        assert (run.added, run.ended, run.changed, run.warned) == (1, 2, 1, 1)
        assert sum(part["amount"] for part in run.parts) == run.amount.grosze
        assert sum(part["previous_amount"] for part in run.parts) == run.previous_amount.grosze
        fees = await store.fees_of(conn, accounts[1], date(2026, 12, 24))
        assert [(fee.code, fee.amount.grosze) for fee in fees] == [("a", 2000), ("b", 6000)]


# --- what cannot happen twice, or at all ----------------------------------------------------------------------------


async def ready(site: Site, count: int = 3) -> tuple[int, int, list[int]]:
    """A schedule, its computed run, and the accounts that it charges."""
    async with acting(site) as conn:
        schedule, (area, _people) = await schedule_of(conn)
        accounts = await accounts_of(conn, count)
        await priced(conn, area, [Step(date(2026, 1, 1), Decimal(2))])
        await store.set_quantities(
            conn, schedule, [Held(account, area, date(2026, 1, 1), Decimal(10)) for account in accounts]
        )
        return schedule, await computed(conn, schedule), accounts


async def state_of(site: Site, run: int) -> str:
    async with acting(site) as conn:
        return await conn.fetchval("select state from payments.charge_run where id = $1", run)


async def charged(site: Site) -> int:
    async with acting(site) as conn:
        return await conn.fetchval("select coalesce(sum(balance), 0)::bigint from payments.account_balance")


async def test_a_month_is_charged_once_whoever_and_however_often_asks(site: Site) -> None:
    schedule, run, _accounts = await ready(site)

    async def start() -> bool:
        try:
            async with acting(site) as conn:
                await store.start(conn, schedule, DECEMBER.plus(1))
        except Refused:
            return False
        return True

    assert sorted(await asyncio.gather(*(start() for _ in range(4)))) == [False, False, False, True]
    async with acting(site) as conn:
        assert await store.move(conn, run, "ready", "approving")
        assert not await store.move(conn, run, "ready", "approving")
    await asyncio.gather(*(jobs.approve(site, {"run": run, "actor": "office"}) for _ in range(3)))
    await jobs.compute(site, {"run": run})
    assert (await state_of(site, run), await charged(site)) == ("approved", 6000)
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.entry") == 3
        assert await conn.fetchval("select count(*) from kernel.audit_log where verb = 'payments.run_approved'") == 1


async def test_a_worker_that_dies_leaves_nothing_half_booked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _schedule, run, _accounts = await ready(site, 5)
    async with acting(site) as conn:
        await store.move(conn, run, "ready", "approving")
    monkeypatch.setattr(jobs, "AT_ONCE", 2)
    tell, seen = store.tell_progress, list[int]()

    async def die(conn: Connection, number: int, done: int) -> None:
        await tell(conn, number, done)
        seen.append(done)
        if done == 4:
            raise ZeroDivisionError

    monkeypatch.setattr(store, "tell_progress", die)
    with pytest.raises(ZeroDivisionError):
        await jobs.approve(site, {"run": run, "actor": "office"})
    assert (await state_of(site, run), await charged(site), seen) == ("approving", 0, [2, 4])
    monkeypatch.setattr(store, "tell_progress", tell)
    await jobs.approve(site, {"run": run, "actor": "office"})
    assert (await state_of(site, run), await charged(site)) == ("approved", 10000)


async def test_a_month_is_approved_while_others_book_on_the_same_accounts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    _schedule, run, accounts = await ready(site, 60)
    monkeypatch.setattr(jobs, "AT_ONCE", 7)
    async with acting(site) as conn:
        await store.move(conn, run, "ready", "approving")

    async def pay(first: int) -> None:
        for account in accounts[first::4]:
            async with acting(site) as conn:
                draft = Draft(account, Side.CREDIT, "payment", Money(500), value_date=TODAY, title="Wpłata")
                await ledger.approve(conn, await ledger.add_drafts(conn, [draft]), TODAY)

    await asyncio.gather(jobs.approve(site, {"run": run, "actor": "office"}), *(pay(first) for first in range(4)))
    assert (await state_of(site, run), await charged(site)) == ("approved", 60 * (2000 - 500))


async def test_a_database_that_drops_the_work_leaves_nothing_half_booked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    _schedule, run, _accounts = await ready(site, 5)
    async with acting(site) as conn:
        await store.move(conn, run, "ready", "approving")
    monkeypatch.setattr(jobs, "AT_ONCE", 2)
    tell = store.tell_progress

    async def cut(conn: Connection, number: int, done: int) -> None:
        await conn.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and state = 'idle in transaction'"
        )

    monkeypatch.setattr(store, "tell_progress", cut)
    with pytest.raises(Exception):  # noqa: B017, PT011  however the driver says that the connection is gone
        await jobs.approve(site, {"run": run, "actor": "office"})
    assert (await state_of(site, run), await charged(site)) == ("approving", 0)
    monkeypatch.setattr(store, "tell_progress", tell)
    await jobs.approve(site, {"run": run, "actor": "office"})
    assert (await state_of(site, run), await charged(site)) == ("approved", 10000)


async def test_what_the_ledger_refuses_leaves_the_run_with_the_reason(site: Site) -> None:
    site.clock.move_to(datetime(2026, 11, 24, 9, tzinfo=UTC))
    async with acting(site) as conn:
        schedule, (area, _people) = await schedule_of(conn)
        (account,) = await accounts_of(conn, 1)
        await priced(conn, area, [Step(date(2026, 1, 1), Decimal(2))])
        await store.set_quantities(conn, schedule, [Held(account, area, date(2026, 1, 1), Decimal(10))])
        run = await store.start(conn, schedule, DECEMBER)
        await store.compute(conn, run, "Opłaty", date(FIRST_YEAR - 1, 1, 1), date(FIRST_YEAR - 1, 1, 1))
        await store.move(conn, run, "ready", "approving")
    await jobs.approve(site, {"run": run, "actor": "office"})
    async with acting(site) as conn:
        found = await store.run(conn, run)
        assert found is not None
        assert (found.state, await conn.fetchval("select count(*) from payments.entry")) == ("ready", 0)
        assert found.reason


async def test_rolling_back_leaves_what_others_undid_alone(site: Site) -> None:
    schedule, run, accounts = await ready(site)
    async with acting(site) as conn:
        await store.move(conn, run, "ready", "approving")
    await jobs.approve(site, {"run": run, "actor": "office"})
    async with acting(site) as conn:
        keys = [one.key for one in await store.booked(conn, run, 0, 10)]
        assert [key.account for key in keys] == accounts
        reversed_one = await ledger.entry(conn, keys[0].entry)
        assert reversed_one is not None
        await ledger.reverse(conn, reversed_one, "nie ten lokal", TODAY)
        await ledger.draft_reversals(conn, [keys[1]], "zaczęte", TODAY)
        assert await store.move(conn, run, "approved", "rolling_back", "zła stawka")
    for _ in range(2):
        await jobs.roll_back(site, {"run": run, "actor": "office"})
    assert (await state_of(site, run), await charged(site)) == ("rolled_back", 0)
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.entry where state = 'draft'") == 0
        assert await conn.fetchval("select count(*) from payments.entry where kind = 'reversal'") == 3
        again = await computed(conn, schedule)
        await store.move(conn, again, "ready", "approving")
    await jobs.approve(site, {"run": again, "actor": "office"})
    assert await charged(site) == 6000
    async with acting(site) as conn:
        rows = await conn.fetch(
            "select external_id, external_version from payments.entry where source = 'charging' and account_id = $1"
            " order by id",
            accounts[0],
        )
        assert [tuple(row.values()) for row in rows] == [(f"{schedule}/2026-12", 1), (f"{schedule}/2026-12", 2)]
        assert [finding async for finding in checks.lines_sum_up(conn)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "update payments.charge_run_account set amount = 1",
        "update payments.charge_run_line set amount = 1",
        "delete from payments.charge_run_line",
        "delete from payments.charge_run",
        "update payments.charge_run set state = 'ready'",
        "update payments.charge_run set amount = 1",
        "update payments.charge_run set state = 'rolled_back'",
        "insert into payments.charge_run_line (account_id, run, component, quantity, amount) values (1, 1, 1, 1, 1)",
    ],
)
async def test_the_derivation_of_approved_charges_stays_as_it_is(site: Site, statement: str) -> None:
    _schedule, run, _accounts = await ready(site)
    async with acting(site) as conn:
        await store.move(conn, run, "ready", "approving")
    await jobs.approve(site, {"run": run, "actor": "office"})
    with pytest.raises(asyncpg.PostgresError):
        async with acting(site) as conn:
            await conn.execute(statement)  # type: ignore[arg-type]


async def test_a_broken_derivation_is_found(site: Site) -> None:
    _schedule, run, _accounts = await ready(site)
    async with acting(site) as conn:
        await store.move(conn, run, "ready", "approving")
    await jobs.approve(site, {"run": run, "actor": "office"})
    owner = await asyncpg.connect(site.owner_dsn)
    await owner.execute("set role ebok_owner; update payments.charge_run_line set amount = amount + 1")
    await owner.close()
    async with acting(site) as conn:
        assert len([finding async for finding in checks.lines_sum_up(conn)]) == 3


async def test_the_demonstration_has_a_schedule_with_rates_and_a_month_to_approve(site: Site) -> None:
    async with site.db.transaction(Stamp("demo")) as conn:
        accounts = await accounts_of(conn, 30)
        await demo(conn, accounts, TODAY)
        run = await store.run(conn, await conn.fetchval("select id from payments.charge_run"))
        assert run is not None
        assert (run.state, run.accounts, run.month) == ("ready", 30, Month(date(2027, 1, 1)))
        assert run.warned == 0

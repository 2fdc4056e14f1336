"""Six thousand accounts, five components, one rate changed: previews to the grosz, approval, refusal, the way back."""

from __future__ import annotations

import sys
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from kernel import Connection, Finding, Refused, Site
from kernel.db.pool import Stamp
from plugins.payments import checks
from plugins.payments import store as ledger
from plugins.payments.charging import jobs, store
from plugins.payments.charging.model import Month, Terms, line_amount
from plugins.payments.charging.store import Held, Run, ScheduleFacts
from tests.plugins.payments.ledger import acting

pytestmark = pytest.mark.ebok(plugins=["payments"])

ACCOUNTS = 6_000
COMPONENTS = (
    ("eksploatacja", "m²", "3.4512"),
    ("fundusz", "m²", "2.1500"),
    ("ogrzewanie", "m²", "4.8875"),
    ("woda", "m³", "14.9900"),
    ("odpady", "os.", "32.0000"),
)
OLD, NEW = Decimal("4.8875"), Decimal("5.2133")
OCTOBER, NOVEMBER, DECEMBER = (Month(date(2026, number, 1)) for number in (10, 11, 12))
MOST_SECONDS = 30


def areas(number: int) -> Decimal:
    """How many square metres a flat has: all sizes, so that every rounding occurs."""
    return Decimal(24_000 + number * 137 % 60_000) / 1000


async def town(conn: Connection) -> tuple[int, list[int], list[int]]:
    """A schedule, its components, and six thousand accounts with their quantities."""
    customers = await conn.fetch(
        "insert into kernel.customer (customer_no, name) select 'L' || n, 'Lokator ' || n"
        " from generate_series(1, $1::int) n returning id",
        ACCOUNTS,
    )
    opened = await ledger.open_accounts(conn, [row["id"] for row in customers], date(2026, 9, 1))
    accounts = sorted(opened.values())
    main = (await store.books(conn))[0]["id"]
    schedule = await store.add_schedule(
        conn, ScheduleFacts("lokale", "Opłaty za lokale", main, Terms(20, -1, 10, 0), "Opłaty, {month} {year}")
    )
    components: list[int] = []
    for place, (code, unit, rate) in enumerate(COMPONENTS):
        components.append(await store.add_component(conn, schedule, code, code.capitalize(), unit, place))
        found = await store.component(conn, components[-1])
        assert found is not None
        await store.set_rate(conn, found[1], Month(date(2026, 1, 1)), Decimal(rate))
    held = [
        Held(account, component, date(2026, 1, 1), quantity)
        for number, account in enumerate(accounts)
        for component, quantity in zip(
            components,
            (areas(number), areas(number), areas(number), Decimal(number % 9 + 1), Decimal(number % 4 + 1)),
            strict=True,
        )
    ]
    await store.set_quantities(conn, schedule, held)
    return schedule, components, accounts


async def computed(site: Site, schedule: int, month: Month) -> Run:
    async with acting(site) as conn:
        number = await store.start(conn, schedule, month)
    await jobs.compute(site, {"run": number})
    async with acting(site) as conn:
        run = await store.run(conn, number)
    assert run is not None
    assert run.state == "ready"
    return run


async def approved(site: Site, run: Run) -> float:
    async with acting(site) as conn:
        assert await store.move(conn, run.id, "ready", "approving")
    started = time.perf_counter()
    await jobs.approve(site, {"run": run.id, "actor": "office"})
    took = time.perf_counter() - started
    async with acting(site) as conn:
        done = await store.run(conn, run.id)
    assert done is not None
    assert (done.state, done.reason) == ("approved", "")
    return took


async def balances(conn: Connection) -> dict[int, int]:
    return {
        row["account_id"]: row["balance"]
        for row in await conn.fetch("select account_id, balance from payments.account_balance")
    }


async def test_six_thousand_accounts_and_one_rate_changed(site: Site) -> None:
    site.clock.move_to(datetime(2026, 11, 24, 9, tzinfo=UTC))
    async with acting(site) as conn:
        schedule, components, accounts = await town(conn)
    for month in (OCTOBER, NOVEMBER):
        started = time.perf_counter()
        run = await computed(site, schedule, month)
        preview = time.perf_counter() - started
        took = await approved(site, run)
        sys.stdout.write(f"{month}: preview {preview:.2f} s, approval of {run.accounts} charges {took:.2f} s\n")
        assert took < MOST_SECONDS
        assert run.accounts == ACCOUNTS
    assert (run.change.grosze, run.changed, run.added, run.ended) == (0, 0, 0, 0)

    async with acting(site) as conn:
        found = await store.component(conn, components[2])
        assert found is not None
        foreseen = await store.effect(conn, found[1], DECEMBER, OLD, NEW)
        await store.set_rate(conn, found[1], DECEMBER, NEW)
        before = await balances(conn)
    difference = {
        account: line_amount(areas(number), NEW) - line_amount(areas(number), OLD)
        for number, account in enumerate(accounts)
    }
    run = await computed(site, schedule, DECEMBER)
    assert run.change.grosze == sum(difference.values()) == foreseen.change.grosze
    assert (run.accounts, run.changed) == (ACCOUNTS, ACCOUNTS)
    async with acting(site) as conn:
        rows = await conn.fetch(
            "select account_id, amount, change from payments.charge_run_account where run = $1", run.id
        )
        assert {row["account_id"]: row["change"] for row in rows} == difference
        charged = {row["account_id"]: row["amount"] for row in rows}

    took = await approved(site, run)
    sys.stdout.write(f"{DECEMBER}: approval of {run.accounts} charges {took:.2f} s\n")
    assert took < MOST_SECONDS
    async with acting(site) as conn:
        assert await balances(conn) == {account: before[account] + charged[account] for account in accounts}
        entry = await conn.fetchrow(
            "select account_id, entry, amount from payments.charge_run_account where run = $1 limit 1", run.id
        )
        assert entry is not None
        lines = await store.lines_of(conn, entry["account_id"], entry["entry"])
        assert len(lines) == len(COMPONENTS)
        assert sum(line.amount.grosze for line in lines) == entry["amount"]
    with pytest.raises(Refused):
        async with acting(site) as conn:
            await store.start(conn, schedule, DECEMBER)

    async with acting(site) as conn:
        assert await store.move(conn, run.id, "approved", "rolling_back", "zła stawka ogrzewania")
    started = time.perf_counter()
    await jobs.roll_back(site, {"run": run.id, "actor": "office"})
    sys.stdout.write(f"{DECEMBER}: rolled back in {time.perf_counter() - started:.2f} s\n")
    async with acting(site) as conn:
        assert await balances(conn) == before
        undone = await store.run(conn, run.id)
        assert undone is not None
        assert (undone.state, undone.reason) == ("rolled_back", "zła stawka ogrzewania")
    again = await computed(site, schedule, DECEMBER)
    assert again.attempt == 2
    await approved(site, again)
    async with site.db.transaction(Stamp("test")) as conn:
        told = [one for check in checks.CHECKS async for one in check.run(conn)]
        assert [one for one in told if isinstance(one, Finding)] == []
        assert await store.wrong_runs(conn, 10) == []

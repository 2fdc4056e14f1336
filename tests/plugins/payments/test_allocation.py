"""Allocation under the policy «civil»: the golden examples, and the database against the pure reference."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import Money, Site
from kernel.db.pool import Database, Stamp
from kernel.testing import Cluster, registry_of
from plugins.payments import Side, store
from plugins.payments.allocation import PLAIN, Allocation, Posting, allocate
from plugins.payments.model import position
from plugins.payments.store import Draft
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments"])

JANUARY, FEBRUARY = date(2026, 1, 12), date(2026, 2, 10)


async def test_a1_the_oldest_due_is_paid_first(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, JANUARY), book.charge(10000, FEBRUARY))
        (payment,) = await book.post(book.payment(15000, date(2026, 2, 1)))
        assert await book.allocations() == [
            Allocation(payment, first, 10000, "oldest_due"),
            Allocation(payment, second, 5000, "prepay"),
        ]
        assert (await book.open(first), await book.open(second)) == (0, 5000)


async def test_a5_an_overpayment_waits_and_pays_the_next_charge(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(10000, JANUARY))
        (payment,) = await book.post(book.payment(25000, JANUARY))
        assert await book.credit() == 15000
        (later,) = await book.post(book.charge(12000, FEBRUARY))
        assert await book.credit() == 3000
        paid = await conn.fetchrow("select value_date from payments.allocation where charge = $1", later)
        assert paid is not None
        assert paid["value_date"] == JANUARY, "the credit keeps its own value date"
        assert await book.open(payment) == 3000


async def test_a6_a_reversed_payment_opens_everything_and_keeps_history(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, JANUARY), book.charge(10000, FEBRUARY))
        (payment,) = await book.post(book.payment(15000, JANUARY))
        await book.reverse(payment)
        assert (await book.open(first), await book.open(second), await book.open(payment)) == (10000, 10000, 0)
        (matched,) = await book.allocations()
        assert (matched.credit, matched.amount, matched.rule) == (payment, 15000, "reversal")
        assert await conn.fetchval("select count(*) from payments.allocation where released_at is not null") == 2
        assert await conn.fetchval("select balance from payments.account_balance") == 20000


async def test_a7_a_correction_of_a_paid_charge_frees_money_for_the_next(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, JANUARY), book.charge(10000, FEBRUARY))
        await book.post(book.payment(10000, JANUARY))
        await book.post(book.payment(3000, JANUARY, kind="correction", corrects=first))
        assert (await book.open(first), await book.open(second)) == (0, 7000)
        assert await book.credit() == 0
        assert await conn.fetchval("select balance from payments.account_balance") == 7000


async def test_a9_equal_due_dates_go_by_number(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, JANUARY), book.charge(10000, JANUARY))
        await book.post(book.payment(15000, JANUARY))
        assert (await book.open(first), await book.open(second)) == (0, 5000)


async def test_a10_voiding_a_charge_frees_what_paid_it(site: Site) -> None:
    async with acting(site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, JANUARY), book.charge(10000, FEBRUARY))
        await book.post(book.payment(15000, JANUARY))
        await book.void(first)
        assert (await book.open(second), await book.credit()) == (0, 5000)


async def test_posting_the_newest_payment_leaves_history_alone(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        for month in range(1, 7):
            await book.post(book.charge(10000, date(2026, month, 10)), book.payment(10000, date(2026, month, 8)))
        before = await conn.fetch("select ctid::text, * from payments.allocation order by id")
        await book.post(book.charge(10000, date(2026, 7, 10)))
        await book.post(book.payment(4000, date(2026, 7, 9)))
        after = await conn.fetch("select ctid::text, * from payments.allocation order by id")
        assert [dict(row) for row in after][: len(before)] == [dict(row) for row in before]
        assert len(after) == len(before) + 1


# --- the database against the reference -----------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["charge", "payment", "both", "lower", "raise", "reverse", "void", "month"]),
        st.integers(1, 30),
        st.integers(0, 40),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=14,
)


@dataclass(slots=True)
class Scratch:
    """A migrated database, with the loop that its connections live in."""

    runner: asyncio.Runner
    database: Database


@pytest.fixture(scope="module")
def scratch(cluster: Cluster) -> Iterator[Scratch]:
    """A database for examples that are all rolled back."""
    with asyncio.Runner() as runner:
        context = cluster.database(registry_of(["payments"]))
        dsn, _ = runner.run(context.__aenter__())
        database = Database(dsn, size=1)
        yield Scratch(runner, database)
        runner.run(database.close())
        runner.run(context.__aexit__(None, None, None))


class Undone(Exception):
    pass


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_the_database_allocates_as_the_reference_does(scratch: Scratch, steps: list[Any]) -> None:
    scratch.runner.run(_play(scratch.database, steps))


async def _play(database: Database, steps: list[Any]) -> None:
    try:
        async with database.transaction(Stamp("office", "superadmin", superadmin_mode=True)) as conn:
            book = await Book.opened(conn)
            for step in steps:
                await _step(book, *step)
                await _check(book)
            raise Undone
    except Undone:
        pass


async def _step(book: Book, kind: str, amount: int, days: int, pick: int) -> None:
    day = JANUARY + timedelta(days=days)
    reversed_ids = {entry.reverses for entry in await book.postings()}
    live = [entry for entry in await book.postings() if entry.kind != "reversal" and entry.id not in reversed_ids]
    match kind:
        case "charge":
            await book.post(book.charge(amount, day))
        case "payment":
            await book.post(book.payment(amount, day))
        case "both":
            await book.post(book.payment(amount, day), book.charge(1 + pick % 30, day), book.charge(amount, day))
        case "month":
            await book.post(*(book.charge(amount, day + timedelta(days=7 * week)) for week in range(3)))
        case "lower" | "raise":
            charges = [entry for entry in live if entry.side is Side.CHARGE and entry.corrects is None]
            if charges:
                original = charges[pick % len(charges)]
                lowered = sum(e.amount for e in live if e.corrects == original.id and e.side is Side.CREDIT)
                if kind == "raise":
                    await book.post(book.charge(amount, day, kind="correction", corrects=original.id))
                elif lowered < original.amount:
                    less = min(amount, original.amount - lowered)
                    await book.post(book.payment(less, day, kind="correction", corrects=original.id))
        case "reverse":
            if live:
                await book.reverse(live[pick % len(live)].id)
        case _:
            referred = {e.reverses for e in await book.postings()} | {e.corrects for e in await book.postings()}
            free = [entry for entry in await book.postings() if entry.id not in referred]
            if free:
                await book.void(free[pick % len(free)].id)


async def _check(book: Book) -> None:
    postings = await book.postings()
    allocations = await book.allocations()
    assert allocations == allocate(postings, PLAIN)
    for entry in postings:  # invariant 4
        met = sum(a.amount for a in allocations if entry.id in (a.credit, a.charge))
        assert await book.open(entry.id) + met == entry.amount
    charged = sum(entry.amount for entry in postings if entry.side is Side.CHARGE)
    credited = sum(entry.amount for entry in postings if entry.side is Side.CREDIT)
    kept = await book.conn.fetchrow("select * from payments.account_balance where account_id = $1", book.account)
    assert kept is not None
    assert (kept["charged"], kept["credited"], kept["balance"]) == (charged, credited, charged - credited)
    rows = "select id, released_at from payments.allocation where account_id = $1 order by id"
    before = await book.conn.fetch(rows, book.account)
    await book.conn.execute("select payments.allocate(array[$1::bigint])", book.account)
    assert await book.conn.fetch(rows, book.account) == before, "recomputing gives identical rows"


ENTRIES = st.lists(
    st.builds(
        Posting,
        id=st.just(0),
        side=st.sampled_from(Side),
        kind=st.just("fee"),
        amount=st.integers(1, 50),
        place=st.dates(date(2026, 1, 1), date(2026, 2, 1)),
    ),
    max_size=12,
)


@given(entries=ENTRIES, order=st.randoms())
def test_the_reference_is_pure_and_loses_nothing(entries: list[Posting], order: Any) -> None:
    numbered = [
        Posting(number, entry.side, entry.kind, entry.amount, entry.place) for number, entry in enumerate(entries)
    ]
    allocations = allocate(numbered, PLAIN)
    shuffled = list(numbered)
    order.shuffle(shuffled)
    assert allocate(shuffled, PLAIN) == allocations
    charged = sum(entry.amount for entry in numbered if entry.side is Side.CHARGE)
    credited = sum(entry.amount for entry in numbered if entry.side is Side.CREDIT)
    assert sum(allocation.amount for allocation in allocations) == min(charged, credited)


def test_more_cannot_be_fixed_to_an_entry_than_its_amount() -> None:
    charge = Posting(1, Side.CHARGE, "fee", 100, JANUARY)
    less = Posting(2, Side.CREDIT, "correction", 200, JANUARY, corrects=1)
    with pytest.raises(ValueError, match="more is fixed"):
        allocate([charge, less], PLAIN)


async def test_many_accounts_at_once_are_as_each_alone(site: Site) -> None:
    async with acting(site) as conn:
        books = [await Book.opened(conn, str(number)) for number in range(5)]
        drafts: list[Draft] = []
        for book in books:
            for month in range(1, 5):
                drafts.append(book.charge(1000 * month, date(2026, month, 15)))
                drafts.append(book.payment(700 * month + book.account, date(2026, month, 20)))
        keys = await store.add_drafts(conn, drafts)
        assert len(await store.approve(conn, keys, TODAY)) == len(drafts)
        for book in books:
            assert await book.allocations() == allocate(await book.postings(), PLAIN)


def test_position_has_the_words_of_the_rules() -> None:
    from plugins.payments.model import Open

    december = Open(51240, date(2026, 12, 10))
    seen = position([december], 0, date(2026, 11, 25))
    assert (seen.arrears, seen.to_pay, seen.to_pay_by) == (Money(0), Money(51240), date(2026, 12, 10))
    late = position([Open(10000, date(2026, 11, 10)), december], 0, date(2026, 11, 25))
    assert (late.arrears, late.to_pay, late.to_pay_by) == (Money(10000), Money(10000), date(2026, 11, 25))
    nothing = position([], 2000, date(2026, 11, 25))
    assert (nothing.to_pay, nothing.to_pay_by, nothing.credit, nothing.balance) == (
        Money(0),
        None,
        Money(2000),
        Money(-2000),
    )

"""The past: as of a day, as known on an instant. What was known then never changes, and today is what is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from kernel import Connection, Money, Site
from plugins.payments import store as ledger
from plugins.payments.accrual import store as accrual
from plugins.payments.explain import model, store
from plugins.payments.explain.model import Ageing, Standing
from plugins.payments.explain.store import Whose
from plugins.payments.ledger import KeptLedger
from plugins.payments.store import Key
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments"])

NOV = date(2026, 11, 10)
OCT = date(2026, 10, 12)


async def instant(conn: Connection) -> datetime:
    """The server's clock, later than everything that was committed before."""
    return await conn.fetchval("select clock_timestamp()")


def figures(standing: Standing) -> dict[int, tuple[int, bool]]:
    """What was open, by entry."""
    return {item.entry: (item.open.grosze, item.barred) for item in (*standing.charges, *standing.credits)}


def sums(standing: Standing) -> tuple[Any, ...]:
    return standing.position, standing.due, standing.ageing


# --- as of a day ----------------------------------------------------------------------------------------------------


async def test_a_payment_counts_from_its_value_date_whenever_it_was_entered(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        charged, paid = await book.post(book.charge(10000, OCT), book.payment(6000, date(2026, 11, 3)))
        before = await store.standing_as_of(conn, Whose(book.customer), date(2026, 11, 2))
        after = await store.standing_as_of(conn, Whose(book.customer), date(2026, 11, 3))
    assert figures(before) == {charged: (10000, False)}
    assert figures(after) == {charged: (4000, False)}
    assert before.position.balance == before.position.arrears == Money(10000)
    assert before.ageing == Ageing(to_30=Money(10000))
    assert after.position.balance == Money(4000)
    assert paid


async def test_what_is_prepaid_today_waited_as_credit_before_the_charge_was_issued(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        paid, charged = await book.post(
            book.payment(9000, date(2026, 10, 1)), book.charge(10000, date(2026, 12, 10), issued_on=date(2026, 11, 20))
        )
        then = await store.standing_as_of(conn, Whose(book.customer), date(2026, 11, 1))
        now = await store.standing_as_of(conn, Whose(book.customer), TODAY)
    assert figures(then) == {paid: (9000, False)}
    assert then.position.balance == Money(-9000)
    assert then.position.to_pay == Money(0)
    assert figures(now) == {charged: (1000, False)}
    assert now.position.to_pay_by == date(2026, 12, 10)


@pytest.mark.parametrize(
    ("due", "bucket"),
    [
        (date(2026, 11, 24), "not_due"),
        (date(2026, 11, 23), "to_30"),
        (date(2026, 10, 26), "to_30"),
        (date(2026, 9, 25), "to_60"),
        (date(2026, 8, 26), "to_90"),
        (date(2026, 8, 25), "to_180"),
        (date(2026, 5, 28), "to_180"),
        (date(2026, 5, 27), "over_180"),
    ],
)
async def test_ageing_counts_days_since_the_effective_due_date(site: Site, due: date, bucket: str) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100, due))
        for standing in (
            await store.standing(conn, Whose(book.customer), TODAY),
            await store.standing_as_of(conn, Whose(book.customer), TODAY),
            (await store.ageing_as_of(conn, TODAY))[book.account],
        ):
            assert standing.ageing == Ageing(**{bucket: Money(100)})
            assert standing.position.arrears == Money(0 if bucket == "not_due" else 100)


async def test_a_consumers_barred_charge_stands_apart_from_the_day_it_is_barred(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(7000, date(2022, 3, 10)), book.charge(3000, NOV))
    for day, barred, arrears in ((date(2025, 12, 31), 0, 7000), (date(2026, 1, 1), 7000, 0), (TODAY, 7000, 3000)):
        async with acting(site) as conn:
            own = await store.standing_as_of(conn, Whose(book.customer), day)
            everybody = (await store.ageing_as_of(conn, day))[book.account]
            now = await store.arrears(conn, TODAY)
        assert (own.position.barred, own.position.arrears) == (Money(barred), Money(arrears)), day
        assert sums(own) == sums(everybody)
        assert now[book.account].barred == Money(7000)
        assert own.position.balance == Money(7000 if day < NOV else 10000)
    async with acting(site) as conn:
        await conn.execute("update kernel.customer set consumer = false where id = $1", book.customer)
        assert (await store.standing_as_of(conn, Whose(book.customer), TODAY)).position.barred == Money(0)


async def test_another_customers_account_is_nobodys(site: Site) -> None:
    async with acting(site) as conn:
        book, other = await Book.opened(conn), await Book.opened(conn, "4712")
        await other.post(other.charge(100, NOV))
        mixed = Whose(book.customer, other.account)
        assert (await store.standing(conn, mixed, TODAY)).position.balance == Money(0)
        assert (await store.standing_as_of(conn, mixed, TODAY)).charges == ()
        assert (await store.history(conn, mixed)).months == ()
        assert (await store.statement(conn, mixed, NOV, TODAY)).entries == 0


# --- as known on an instant -----------------------------------------------------------------------------------------


async def test_what_arrived_later_was_not_known_before(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charged,) = await book.post(book.charge(10000, OCT))
    async with site.db.connection() as conn:
        first = await instant(conn)
    async with acting(site) as conn:
        await Book(conn, book.customer, book.account).post(book.payment(4000, date(2026, 10, 5)))
    async with site.db.connection() as conn:
        told = await store.standing_as_of(conn, Whose(book.customer), TODAY, first)
        known = await store.standing_as_of(conn, Whose(book.customer), TODAY)
    assert figures(told) == {charged: (10000, False)}
    assert figures(known) == {charged: (6000, False)}


async def test_interest_of_a_past_day_is_that_of_what_was_known(site: Site) -> None:
    """1000.00 due 10 Sep: 40 days at 9.25 by 20 Oct, until a payment of 1 Oct becomes known (21 days)."""
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await conn.execute("update kernel.customer set consumer = false where id = $1", book.customer)
        (charged,) = await book.post(book.charge(100000, date(2026, 9, 10)))
    whose, day = Whose(book.customer), date(2026, 10, 20)
    async with site.db.connection() as conn:
        first = await instant(conn)
        (before,) = await store.interest_as_of(conn, whose, day)
    async with acting(site) as conn:
        await replace(book, conn=conn).post(book.payment(100000, date(2026, 10, 1)))
    async with site.db.connection() as conn:
        (told,) = await store.interest_as_of(conn, whose, day, first)
        (after,) = await store.interest_as_of(conn, whose, day)
    assert told == before
    assert (before.entry, before.interest.amount) == (charged, Money(1014))
    assert after.interest.amount == Money(532)
    assert model.interest([before], day).adds_up


@pytest.mark.parametrize("seed", range(2))
async def test_interest_of_today_is_what_notes_are_made_of(site: Site, seed: int) -> None:
    draw = Random(seed)  # noqa: S311
    async with acting(site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        for _step in range(40):
            await draw.choice(STEPS)(book, draw)
        claims = await accrual.claims(conn, [book.account], TODAY)
        borne = await store.interest_as_of(conn, Whose(book.customer), TODAY)
    assert {one.entry: one.interest for one in borne} == {
        claim.charge: claim.interest for claim in claims if claim.interest.exact and not claim.is_barred
    }
    assert model.interest(borne, TODAY).adds_up


Step = Callable[[Book, Random], Awaitable[object]]


async def charge(book: Book, draw: Random) -> None:
    due = date(2026, draw.randint(1, 12), draw.randint(1, 28))
    await book.post(book.charge(draw.randint(1, 500) * 10, due))


async def pay(book: Book, draw: Random) -> None:
    await book.post(book.payment(draw.randint(1, 900) * 10, date(2026, draw.randint(1, 10), draw.randint(1, 28))))


async def _some(book: Book, draw: Random, side: str, *, whole: bool = False) -> int | None:
    rows = await book.conn.fetch(
        "select e.id, e.open_amount = e.amount as whole from payments.entry e where e.account_id = $1 and e.side = $2"
        " and e.state = 'approved' and e.kind in ('fee', 'payment') and not exists (select from payments.entry r"
        " where r.account_id = e.account_id and (r.reverses = e.id or r.corrects = e.id) and r.state = 'approved')"
        " order by e.id",
        book.account,
        side,
    )
    found = [row["id"] for row in rows if row["whole"] or not whole]
    return draw.choice(found) if found else None


async def reverse(book: Book, draw: Random) -> None:
    if (number := await _some(book, draw, draw.choice(["charge", "credit"]))) is not None:
        await book.reverse(number)


async def void(book: Book, draw: Random) -> None:
    if (number := await _some(book, draw, draw.choice(["charge", "credit"]))) is not None:
        await book.void(number)


async def correct(book: Book, draw: Random) -> None:
    if (number := await _some(book, draw, "charge")) is not None:
        amount = await book.conn.fetchval("select amount from payments.entry where id = $1", number)
        facts = {"kind": "correction", "corrects": number, "channel": "", "title": "Korekta"}
        await book.post(book.payment(draw.randint(1, amount // 10) * 10, TODAY, **facts))


async def pin(book: Book, draw: Random) -> None:
    credit, charged = await _some(book, draw, "credit", whole=True), await _some(book, draw, "charge", whole=True)
    if credit is not None and charged is not None:
        await ledger.pin(book.conn, Key(book.account, credit), charged, Money(10), "na prośbę")


STEPS: tuple[Step, ...] = (charge, charge, pay, pay, reverse, void, correct, pin)
DAYS = (date(2026, 3, 1), date(2026, 7, 15), date(2026, 10, 31), TODAY)


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_known_stays_what_it_was_for_ever(site: Site, seed: int) -> None:
    """After every step the figures of several days are written down; at the end they are asked for as known then."""
    draw = Random(seed)  # noqa: S311
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await conn.execute("update kernel.customer set consumer = $2 where id = $1", book.customer, seed % 2 == 0)
    whose = Whose(book.customer)
    written: list[tuple[datetime, date, Standing, Any, Any]] = []
    for _step in range(30):
        async with acting(site, superadmin_mode=True) as conn:
            await draw.choice(STEPS)(replace(book, conn=conn), draw)
        async with site.db.connection() as conn:
            now = await instant(conn)
            for day in DAYS:
                standing = await store.standing_as_of(conn, whose, day)
                history = await store.history(conn, whose, as_of=day)
                assert history.balance == standing.position.balance
                statement = await store.statement(conn, whose, date(2026, 6, 1), day)
                assert statement.closing == standing.position.balance or day < statement.since
                written.append((now, day, standing, history, statement))
            present = await store.standing(conn, whose, TODAY)
            kept = await KeptLedger().position(conn, book.customer, TODAY)
            latest = await store.standing_as_of(conn, whose, date(2026, 12, 31))
            assert figures(present) == figures(latest)
            assert present.position.balance == kept.balance == latest.position.balance
            assert present.position.to_pay == kept.to_pay
    async with site.db.connection() as conn:
        for now, day, standing, history, statement in written:
            assert await store.standing_as_of(conn, whose, day, now) == standing
            assert await store.history(conn, whose, as_of=day, known_on=now) == history
            assert await store.statement(conn, whose, date(2026, 6, 1), day, now) == statement
            everybody = await store.ageing_as_of(conn, day, now)
            if standing.charges or standing.credits:
                assert sums(everybody[book.account]) == sums(standing)
            else:
                assert book.account not in everybody


async def test_today_with_what_is_known_is_what_is_kept(site: Site) -> None:
    draw = Random(7)  # noqa: S311
    async with acting(site, superadmin_mode=True) as conn:
        books = [await Book.opened(conn, str(number)) for number in range(4711, 4716)]
        for _step in range(60):
            await draw.choice(STEPS)(draw.choice(books), draw)
    async with site.db.connection() as conn:
        now = await instant(conn)
        everybody = await store.ageing_as_of(conn, TODAY + timedelta(days=40), now)
        late = await store.arrears(conn, TODAY + timedelta(days=40))
        assert {account: found.ageing.total for account, found in late.items() if found.ageing.total} == {
            account: found.position.arrears for account, found in everybody.items() if found.position.arrears
        }
        for account, found in late.items():
            assert found.ageing == replace(everybody[account].ageing, not_due=Money(0))
            assert found.barred == everybody[account].position.barred
        assert await store.arrears(conn, TODAY, book=-1) == {}
        for book in books:
            kept = await store.standing(conn, Whose(book.customer), TODAY + timedelta(days=40))
            past = await store.standing_as_of(conn, Whose(book.customer), TODAY + timedelta(days=40), now)
            assert past == kept
            assert await store.position_as_of(conn, Whose(book.customer), TODAY + timedelta(days=40)) == kept.position
            if book.account in everybody:
                assert sums(everybody[book.account]) == sums(kept)
        assert await store.ageing_as_of(conn, TODAY, now, book=-1) == {}

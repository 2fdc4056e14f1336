"""Policies that let credits take turns: designation, interest first, public levies, no prepayment, time-barred debts
and allocations by hand; the golden examples, and the database against the pure reference."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import Money, Refused, Site
from kernel.db.pool import Database, Stamp
from kernel.testing import Cluster, registry_of
from plugins.payments import Side, store
from plugins.payments.allocation import Allocation, Civil, Posting, Public, allocate
from plugins.payments.checks import difference
from tests.plugins.payments.ledger import TODAY, Book, acting, set_rules

pytestmark = pytest.mark.ebok(plugins=["payments"])

JANUARY, FEBRUARY, MARCH = date(2026, 1, 12), date(2026, 2, 10), date(2026, 3, 2)


async def test_a2_the_payer_s_wish_comes_first(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, JANUARY), book.charge(10000, FEBRUARY))
        (payment,) = await book.post(book.payment(10000, MARCH, designations=(second,)))
        assert await book.allocations() == [Allocation(payment, second, 10000, "designated")]
        assert (await book.open(first), await book.open(second)) == (10000, 0)
        assert difference(await book.whole()) == ""


@pytest.mark.parametrize(("interest_first", "debt", "interest"), [(True, 100000, 0), (False, 0, 100000)])
async def test_a3_a_designated_debt_with_its_interest(
    site: Site, interest_first: bool, debt: int, interest: int
) -> None:
    await set_rules(site, interest_first=interest_first)
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(500000, JANUARY), book.charge(700000, JANUARY))
        own, other = await book.post(book.interest(100000, FEBRUARY, first), book.interest(200000, FEBRUARY, second))
        await book.post(book.payment(500000, MARCH, designations=(first,)))
        assert (await book.open(first), await book.open(own)) == (debt, interest)
        assert (await book.open(second), await book.open(other)) == (700000, 200000)
        assert difference(await book.whole()) == ""


async def test_a4_public_levies_are_split_pro_rata(site: Site) -> None:
    await set_rules(site, allocation_policy="public", interest_regime="none")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (levy,) = await book.post(book.charge(30000, JANUARY))
        (interest,) = await book.post(book.interest(2000, FEBRUARY, levy))
        (payment,) = await book.post(book.payment(10000, MARCH))
        assert await book.allocations() == [
            Allocation(payment, levy, 9375, "oldest_due"),
            Allocation(payment, interest, 625, "inner_interest"),
        ]


async def test_a12_interest_is_booked_when_it_is_paid(site: Site) -> None:
    await set_rules(site, interest_first=True)
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(100000, date(2024, 3, 11)))
        (payment,) = await book.post(book.payment(50000, date(2024, 4, 10)))
        (interest,) = [entry for entry in await book.postings() if entry.kind == "interest"]
        assert (interest.amount, interest.bears_on, interest.issued_on) == (925, charge, date(2024, 4, 10))
        assert await book.allocations() == [
            Allocation(payment, charge, 49075, "oldest_due"),
            Allocation(payment, interest.id, 925, "inner_interest"),
        ]
        assert await book.open(charge) == 50925
        await book.post(book.payment(50925, date(2024, 4, 10)))
        assert await book.open(charge) == 0, "no day bears interest twice"
        assert difference(await book.whole()) == ""


async def test_interest_that_a_payment_meets_needs_no_second_person(site: Site) -> None:
    await set_rules(site, interest_first=True)
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, date(2024, 3, 11)))
        await conn.execute(
            "insert into kernel.setting (plugin, value) values ('payments', $1)", {"approver_differs": True}
        )
    async with site.db.transaction(Stamp("7", "admin")) as conn:
        keys = await store.add_drafts(conn, [book.payment(50000, date(2024, 4, 10))])
    async with site.db.transaction(Stamp("8", "admin")) as conn:
        assert len(await store.approve(conn, keys, TODAY)) == 2


async def test_one_payment_meets_the_interest_of_every_debt_it_reaches(site: Site) -> None:
    await set_rules(site, interest_first=True)
    async with acting(site) as conn:
        book = await Book.opened(conn)
        charges = await book.post(*(book.charge(10000, date(2024, month, 10)) for month in (1, 2, 4)))
        await book.post(book.payment(15000, date(2024, 3, 11)))
        interest = {e.bears_on: e.amount for e in await book.postings() if e.kind == "interest"}
        # 61 and 28 days (10 February 2024 is a Saturday) of 100.00 at 11.25 %; the third is not due
        assert interest == {charges[0]: 188, charges[1]: 86}
        assert [await book.open(charge) for charge in charges] == [0, 10000 - (15000 - 10188 - 86), 10000]


async def test_small_interest_on_public_levies_is_not_charged(site: Site) -> None:
    await set_rules(site, allocation_policy="public", interest_regime="public")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, date(2026, 4, 10)), book.charge(500000, date(2026, 4, 10)))
        await book.post(book.payment(510000, date(2026, 5, 11)))
        interest = {e.bears_on: e.amount for e in await book.postings() if e.kind == "interest"}
        assert interest == {second: 4500}, "31 days of 5000.00 at 10.50 %, whole złoty; 0.89 zł is below the threshold"
        assert await book.open(first) == 0


async def test_a13_arrears_come_before_a_designation_in_public_levies(site: Site) -> None:
    await set_rules(site, allocation_policy="public", interest_regime="none")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        older, younger = await book.post(book.charge(30000, JANUARY), book.charge(20000, FEBRUARY))
        first, second = await book.post(book.interest(2000, FEBRUARY, older), book.interest(500, FEBRUARY, younger))
        (payment,) = await book.post(book.payment(35000, MARCH, designations=(younger,)))
        assert await book.allocations() == [
            Allocation(payment, older, 30000, "oldest_due"),
            Allocation(payment, younger, 2927, "oldest_due"),
            Allocation(payment, first, 2000, "inner_interest"),
            Allocation(payment, second, 73, "inner_interest"),
        ]


async def test_public_levies_count_the_day_that_was_paid_on(site: Site) -> None:
    await set_rules(site, allocation_policy="public", interest_regime="none")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (levy,) = await book.post(book.charge(10000, FEBRUARY))
        await book.post(book.payment(10000, FEBRUARY + timedelta(days=2), paid_on=FEBRUARY))
        day = await conn.fetchval("select value_date from payments.allocation where charge = $1", levy)
        assert day == FEBRUARY


async def test_a11_imported_allocations_stay_as_the_source_has_them(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, JANUARY), book.charge(10000, FEBRUARY))
        (payment,) = await book.post(book.payment(10000, MARCH))
        await conn.execute(
            "select payments.pin($1::bigint[], $2::bigint[], $3::bigint[], array[10000], 'imported', '')",
            [book.account],
            [payment],
            [second],
        )
        await conn.execute("select payments.allocate(array[$1::bigint])", book.account)
        assert await book.allocations() == [Allocation(payment, second, 10000, "imported")]
        assert (await book.open(first), await book.open(second)) == (10000, 0)


async def test_a15_what_was_overpaid_can_be_returned_and_no_more(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, JANUARY))
        await book.post(book.payment(25000, JANUARY))
        (refund,) = await book.post(book.charge(15000, TODAY, kind="refund"))
        assert (await book.credit(), await book.open(charge), await book.open(refund)) == (0, 0, 0)
        assert await conn.fetchval("select time_barred_on from payments.entry where id = $1", refund) is None
    with pytest.raises(Refused) as refused:
        async with acting(site) as conn:
            await Book(conn, book.customer, book.account).post(book.charge(1, TODAY, kind="refund"))
    assert "nadpła" in str(refused.value.notes[0])


async def test_a16_without_prepayment_a_credit_waits_for_the_due_date(site: Site) -> None:
    await set_rules(site, prepay=False)
    due = date(2026, 12, 10)
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, due))
        (payment,) = await book.post(book.payment(10000, TODAY))
        assert (await book.credit(), await book.open(charge)) == (10000, 10000)
        assert await store.reach(conn, due - timedelta(days=1)) == 0
        assert await store.reach(conn, due) == 1
        assert await book.allocations() == [Allocation(payment, charge, 10000, "prepay")]
        assert await conn.fetchval("select value_date from payments.allocation") == TODAY, "so no interest arises"
        assert await store.reach(conn, due) == 0
        assert difference(await book.whole()) == ""


async def test_a_consumer_s_time_barred_charge_is_paid_only_when_designated(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        old, new = await book.post(book.charge(10000, date(2022, 5, 10)), book.charge(10000, FEBRUARY))
        assert await conn.fetchval("select time_barred_on from payments.entry where id = $1", old) == date(2026, 1, 1)
        await book.post(book.payment(10000, MARCH))
        assert (await book.open(old), await book.open(new)) == (10000, 0)
        await book.post(book.payment(5000, MARCH))
        assert (await book.open(old), await book.credit()) == (10000, 5000)
        await book.post(book.payment(4000, MARCH, designations=(old,)))
        assert await book.open(old) == 6000
        await book.post(book.payment(1000, date(2025, 12, 31)))
        assert await book.open(old) == 5000, "what came before the claim was barred pays it"
        assert difference(await book.whole()) == ""


async def test_a_business_pays_its_old_debts_first(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await conn.execute("update kernel.customer set consumer = false, kind = 'company' where id = $1", book.customer)
        old, new = await book.post(book.charge(10000, date(2022, 5, 10)), book.charge(10000, FEBRUARY))
        await book.post(book.payment(10000, MARCH))
        assert (await book.open(old), await book.open(new)) == (0, 10000)


async def test_the_office_fixes_an_allocation_and_releases_it(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, JANUARY), book.charge(10000, FEBRUARY))
        (payment,) = await book.post(book.payment(15000, MARCH))
        await store.pin(conn, book.key(payment), second, Money(8000), "prośba klienta")
        assert (await book.open(first), await book.open(second)) == (3000, 2000)
        (fixed,) = [a for a in await book.allocations() if a.rule == "manual"]
        assert fixed.amount == 8000
        assert difference(await book.whole()) == ""
        number = await conn.fetchval("select id from payments.allocation where rule = 'manual'")
        await store.release(conn, book.account, number, "pomyłka")
        assert (await book.open(first), await book.open(second)) == (0, 5000)


@pytest.mark.parametrize(("amount", "words"), [(10001, "należności"), (15001, "wpłaty")])
async def test_more_than_there_is_cannot_be_allocated(site: Site, amount: int, words: str) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000 if words == "należności" else 90000, JANUARY))
        (payment,) = await book.post(book.payment(15000, MARCH))
    with pytest.raises(Refused) as refused:
        async with acting(site) as conn:
            await store.pin(conn, book.key(payment), charge, Money(amount), "za dużo")
    assert words in str(refused.value.notes[0])


async def test_a_correction_takes_from_what_was_fixed_by_hand_the_newest_first(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, JANUARY))
        older, newer = await book.post(book.payment(6000, FEBRUARY), book.payment(6000, MARCH))
        await store.pin(conn, book.key(older), charge, Money(6000), "")
        await store.pin(conn, book.key(newer), charge, Money(4000), "")
        (less,) = await book.post(book.payment(5000, MARCH, kind="correction", corrects=charge))
        assert await book.allocations() == [
            Allocation(older, charge, 5000, "manual"),
            Allocation(less, charge, 5000, "correction"),
        ]
        assert await book.credit() == 7000
        assert difference(await book.whole()) == ""


@pytest.mark.parametrize(
    "rules", [{}, {"interest_first": True}, {"allocation_policy": "public", "interest_regime": "public"}]
)
async def test_what_gives_a_debt_up_takes_away_that_debt(site: Site, rules: dict[str, object]) -> None:
    await set_rules(site, **rules)
    async with acting(site) as conn:
        book = await Book.opened(conn)
        older, charge = await book.post(book.charge(500000, date(2025, 2, 3)), book.charge(100000, date(2025, 3, 3)))
        (given,) = await book.post(book.payment(100000, TODAY, kind="remission", designations=(charge,)))
        assert await book.allocations() == [Allocation(given, charge, 100000, "designated")]
        assert await book.open(older) == 500000
        assert difference(await book.whole()) == ""


async def test_a_payment_is_not_dated_ahead(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
    for count in (1, 2):
        ahead = [book.payment(100, date(2048, 2, 1)) for _one in range(count)]
        with pytest.raises(Refused) as refused:
            async with acting(site) as conn:
                await Book(conn, book.customer, book.account).post(*ahead)
        assert "nie nadszedł" in str(refused.value.notes[0])


async def test_a_refund_beside_a_payment_returns_only_what_is_overpaid(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(10000, MARCH))
    both = [book.payment(10000, MARCH), book.charge(10000, TODAY, kind="refund")]
    with pytest.raises(Refused):
        async with acting(site) as conn:
            await Book(conn, book.customer, book.account).post(*both)


async def test_voiding_a_reversal_brings_no_correction_back_that_would_be_too_much(site: Site) -> None:
    async with acting(site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, JANUARY))
        (first,) = await book.post(book.payment(6000, MARCH, kind="correction", corrects=charge))
        await book.reverse(first)
        taken_back = await conn.fetchval("select id from payments.entry where reverses = $1", first)
        await book.post(book.payment(6000, MARCH, kind="correction", corrects=charge))
    with pytest.raises(Refused):
        async with acting(site, superadmin_mode=True) as conn:
            await Book(conn, book.customer, book.account).void(taken_back)


async def test_only_its_import_writes_a_mirror_book(site: Site) -> None:
    await set_rules(site, is_mirror=True)
    async with site.db.transaction(Stamp("import")) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, JANUARY))
        (payment,) = await book.post(book.payment(4000, MARCH))
        await book.reverse(payment)
        (payment,) = await book.post(book.payment(5000, MARCH))

    async def refused(work: Callable[[Book], Awaitable[object]]) -> None:
        with pytest.raises(Refused) as found:
            async with acting(site, superadmin_mode=True) as conn:
                await work(Book(conn, book.customer, book.account))
        assert "import" in str(found.value.notes[0])

    await refused(lambda mine: mine.post(mine.payment(1, MARCH)))
    await refused(lambda mine: mine.reverse(payment))
    await refused(lambda mine: mine.void(payment))
    await refused(lambda mine: store.pin(mine.conn, mine.key(payment), charge, Money(1), ""))


async def test_who_entered_it_does_not_approve_it_where_two_people_are_wanted(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await conn.execute(
            "insert into kernel.setting (plugin, value) values ('payments', $1)", {"approver_differs": True}
        )
    async with site.db.transaction(Stamp("7", "admin")) as conn:
        (one, other) = await store.add_drafts(conn, [book.payment(1000, MARCH), book.payment(2000, MARCH)])
    for keys in ([one], [one, other]):
        with pytest.raises(Refused) as refused:
            async with site.db.transaction(Stamp("7", "admin")) as conn:
                await store.approve(conn, keys, TODAY)
        assert "inna osoba" in str(refused.value.notes[0])
    async with site.db.transaction(Stamp("8", "admin")) as conn:
        assert len(await store.approve(conn, [one, other], TODAY)) == 2


async def test_the_only_pin_makes_room_for_a_correction(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, MARCH))
        (payment,) = await book.post(book.payment(10000, MARCH))
        await store.pin(conn, book.key(payment), charge, Money(10000), "")
        (correction,) = await book.post(book.payment(4000, MARCH, kind="correction", corrects=charge))
        assert await book.allocations() == [
            Allocation(payment, charge, 6000, "manual"),
            Allocation(correction, charge, 4000, "correction"),
        ]
        assert (await book.open(charge), await book.credit()) == (0, 4000)
        await book.post(book.payment(6000, MARCH, kind="correction", corrects=charge))
        assert (await book.open(charge), await book.credit()) == (0, 10000)
        assert difference(await book.whole()) == ""


# --- the database against the reference -----------------------------------------------------------------------------

RULES = {
    "civil": Civil(),
    "interest_first": Civil(interest_first=True),
    "waits": Civil(prepay=False),
    "public": Public(),
}


@dataclass(slots=True)
class Scratch:
    """A database with an empty account in a book of each kind, and the loop that its connections live in."""

    runner: asyncio.Runner
    database: Database
    accounts: dict[str, tuple[int, int]]


SETUP_SQL = """
insert into payments.book (code, name, allocation_policy, interest_first, prepay, interest_regime)
values ('interest_first', 'o', 'civil', true, true, 'none'), ('waits', 'c', 'civil', false, false, 'none'),
       ('public', 'p', 'public', false, true, 'none'), ('civil', 'z', 'civil', false, true, 'none');
with someone as (insert into kernel.customer (customer_no, name) values ('1', 'Ewa') returning id),
opened as (
    insert into payments.account (account_no, customer, book) select b.code, s.id, b.id from someone s, payments.book b
    returning id
)
insert into payments.account_balance (account_id) select id from opened;
"""


@pytest.fixture(scope="module")
def scratch(cluster: Cluster) -> Iterator[Scratch]:
    """A database for examples that are all rolled back."""
    with asyncio.Runner() as runner:
        context = cluster.database(registry_of(["payments"]))
        dsn, owner_dsn = runner.run(context.__aenter__())
        rows = runner.run(_set_up(owner_dsn))
        database = Database(dsn, size=1)
        yield Scratch(runner, database, {row["code"]: (row["customer"], row["id"]) for row in rows})
        runner.run(database.close())
        runner.run(context.__aexit__(None, None, None))


async def _set_up(owner_dsn: str) -> list[Any]:
    owner = await asyncpg.connect(owner_dsn)
    try:
        await owner.execute(f"set role ebok_owner; {SETUP_SQL}")
        return await owner.fetch(
            "select b.code, a.customer, a.id from payments.account a join payments.book b on b.id = a.book"
        )
    finally:
        await owner.close()


class Undone(Exception):
    pass


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("charge", "charge", "payment", "payment", "many", "many"),
                *("wish", "interest", "lower", "reverse", "void", "pin", "release"),
            ]
        ),
        st.integers(1, 30),
        st.integers(-1500, 40),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_the_database_allocates_as_the_reference_does(scratch: Scratch, rules: str, steps: list[Any]) -> None:
    scratch.runner.run(_play(scratch, rules, steps))


async def _play(scratch: Scratch, rules: str, steps: list[Any]) -> None:
    try:
        async with scratch.database.transaction(Stamp("office", "superadmin", superadmin_mode=True)) as conn:
            book = Book(conn, *scratch.accounts[rules])
            for step in steps:
                await _step(book, *step)
                await _check(book)
            raise Undone
    except Undone:
        pass


async def _step(book: Book, kind: str, amount: int, days: int, pick: int) -> None:
    day = MARCH + timedelta(days=days)
    entries = await book.postings()
    reversed_ids = {entry.reverses for entry in entries}
    live = [entry for entry in entries if entry.kind != "reversal" and entry.id not in reversed_ids]
    charges = [entry for entry in live if entry.side is Side.CHARGE]
    debts = [entry for entry in charges if entry.kind == "fee"]
    paying = [entry for entry in live if entry.side is Side.CREDIT]
    match kind:
        case "charge":
            await book.post(book.charge(amount, day))
        case "payment":
            await book.post(book.payment(amount, day))
        case "many":
            later = [day + timedelta(days=(pick + place) % 3) for place in range(2 + pick % 4)]
            make = (book.charge, book.payment)
            await book.post(*(make[(pick >> place) % 2](amount + place, day) for place, day in enumerate(later)))
        case "wish" if charges:
            wishes = tuple({charges[pick % len(charges)].id, charges[amount % len(charges)].id})
            await book.post(book.payment(amount, day, designations=wishes))
        case "interest" if debts:
            await book.post(book.interest(amount, day, debts[pick % len(debts)].id))
        case "lower" if debts:
            original = debts[pick % len(debts)]
            left = original.amount - sum(e.amount for e in live if e.corrects == original.id)
            if left:
                await book.post(book.payment(min(amount, left), day, kind="correction", corrects=original.id))
        case "reverse" if live:
            free = _free_of_referrers(live, live)
            await book.reverse(free[pick % len(free)].id)
        case "void":
            if free := _free_of_referrers(live, entries):  # one that was reversed still refers
                await book.void(free[pick % len(free)].id)
        case "pin" if charges and paying:
            credit, charge = paying[pick % len(paying)], charges[amount % len(charges)]
            held = (await book.whole()).allocations
            fixed = ("manual", "correction")
            room = min(
                credit.amount - sum(a.amount for a in held if a.credit == credit.id and a.rule in fixed),
                charge.amount - sum(a.amount for a in held if a.charge == charge.id and a.rule in fixed),
            )
            if room > 0 and credit.kind != "correction":
                await store.pin(book.conn, book.key(credit.id), charge.id, Money(min(room, amount)), "")
        case "release":
            number = await book.conn.fetchval(
                "select min(id) from payments.allocation where account_id = $1 and rule = 'manual'"
                " and released_at is null",
                book.account,
            )
            if number is not None:
                await store.release(book.conn, book.account, number, "")
        case _:
            pass


def _free_of_referrers(live: list[Posting], referring: list[Posting]) -> list[Posting]:
    referred = {entry.bears_on for entry in referring} | {entry.corrects for entry in referring}
    return [entry for entry in live if entry.id not in referred]


async def _check(book: Book) -> None:
    whole = await book.whole()
    assert difference(whole) == ""
    for entry in whole.entries:
        met = sum(a.amount for a in whole.allocations if entry.id in (a.credit, a.charge))
        assert await book.open(entry.id) + met == entry.amount
    rows = "select id, released_at from payments.allocation where account_id = $1 order by id"
    before = await book.conn.fetch(rows, book.account)
    await book.conn.execute("select payments.allocate(array[$1::bigint])", book.account)
    assert await book.conn.fetch(rows, book.account) == before, "recomputing gives identical rows"


# --- the reference ----------------------------------------------------------------------------------------------------


@st.composite
def accounts(draw: st.DrawFn) -> list[Posting]:
    days = st.dates(date(2026, 1, 1), date(2026, 3, 1))
    debts = [
        Posting(number, Side.CHARGE, "fee", draw(st.integers(1, 60)), day, issued_on=day)
        for number, day in enumerate(draw(st.lists(days, max_size=5)), 1)
    ]
    interest = [
        Posting(number, Side.CHARGE, "interest", draw(st.integers(1, 20)), day, bears_on=bears_on, issued_on=day)
        for number, (day, bears_on) in enumerate(
            draw(
                st.lists(st.tuples(days, st.sampled_from([debt.id for debt in debts])), max_size=4)
                if debts
                else st.just([])
            ),
            11,
        )
    ]
    charges = [charge.id for charge in (*debts, *interest)]
    wishes = st.lists(st.sampled_from(charges), max_size=2, unique=True) if charges else st.just([])
    paying = [
        Posting(number, Side.CREDIT, "payment", draw(st.integers(1, 90)), day, designations=tuple(draw(wishes)))
        for number, day in enumerate(draw(st.lists(days, max_size=5)), 21)
    ]
    return [*debts, *interest, *paying]


@pytest.mark.parametrize("policy", RULES.values(), ids=list(RULES))
@given(entries=accounts(), order=st.randoms())
def test_any_order_of_arrival_gives_the_same_allocations_and_nothing_is_lost(
    policy: Civil | Public, entries: list[Posting], order: Any
) -> None:
    today = date(2026, 2, 1)
    found = allocate(entries, policy, today=today)
    shuffled = list(entries)
    order.shuffle(shuffled)
    assert allocate(shuffled, policy, today=today) == found
    for entry in entries:
        assert sum(a.amount for a in found if entry.id in (a.credit, a.charge)) <= entry.amount
    assert all(a.amount > 0 for a in found)
    if policy.prepay:
        open_credit = sum(e.amount for e in entries if e.side is Side.CREDIT) - sum(a.amount for a in found)
        open_charges = sum(e.amount for e in entries if e.side is Side.CHARGE) - sum(a.amount for a in found)
        assert not (open_credit and open_charges), "a credit never waits beside an open charge"

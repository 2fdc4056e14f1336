"""Interest in the ledger: what charges bear, notes, and what falls away after a late payment."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from kernel import Connection, Money, Refused, Site
from kernel.db import migrate
from kernel.db.pool import Stamp
from plugins.payments import store as ledger
from plugins.payments.accrual import store
from plugins.payments.accrual.model import Part, round_half_up
from plugins.payments.interest import checks, notes
from plugins.payments.interest.documents import note_pdf
from plugins.payments.interest.notes import Creditor
from plugins.payments.store import Key
from tests.plugins.payments.ledger import Book, acting
from tests.plugins_for_tests import fair

pytestmark = pytest.mark.ebok(plugins=["payments"])

DUE = date(2024, 3, 11)
NOTED = date(2024, 4, 10)


async def claim_of(book: Book, as_of: date) -> Money:
    return Money.total(claim.claimable for claim in await store.claims(book.conn, [book.account], as_of))


async def note_of(book: Book, as_of: date, issued_on: date | None = None) -> list[notes.Issued]:
    return await notes.issue(book.conn, [book.account], as_of, issued_on or as_of, 14)


async def test_v1_and_v5_from_the_ledger(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))
        assert await claim_of(book, NOTED) == Money(925)
        other = await Book.opened(conn, "4712")
        await other.post(other.charge(120000, date(2024, 1, 10)))
        await other.post(other.payment(70000, date(2024, 2, 9)))
        (claim,) = await store.claims(conn, [other.account], date(2024, 3, 31))
        assert (claim.claimable, claim.debt.parts) == (
            Money(1896),
            (Part(70000, date(2024, 2, 9)), Part(50000, None)),
        )
        assert await store.memo(conn, other.customer, date(2024, 3, 31)) == Money(1896)


async def test_v7_interest_of_a_charge_that_is_paid_stays_claimable(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(86340, date(2025, 4, 15)), book.payment(86340, date(2025, 6, 2)))
        assert await claim_of(book, date(2025, 6, 30)) == Money(1247)


async def test_a14_a_returned_payment(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        _charge, payment = await book.post(
            book.charge(10000, date(2024, 1, 10)), book.payment(10000, date(2024, 1, 10))
        )
        assert await claim_of(book, date(2024, 2, 20)) == Money(0)
        await book.reverse(payment)
        assert await claim_of(book, date(2024, 2, 20)) == Money(126)


async def test_what_was_corrected_or_reversed_was_never_owed(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        lowered, gone = await book.post(book.charge(100000, DUE), book.charge(50000, DUE))
        await book.post(
            book.payment(90000, NOTED, kind="correction", corrects=lowered, channel="", reason="pomyłka"),
        )
        await book.reverse(gone)
        (claim,) = await store.claims(conn, [book.account], NOTED)
        assert (claim.charge, claim.claimable) == (lowered, Money(92))


@pytest.mark.parametrize(
    ("policy", "regime", "days", "amount"),
    [
        # 100 000 zł × 11,25 % × 9 / 365 = 277,40 zł; in public law two days less, at 14,50 %: 278,08 zł, whole złoty
        ("civil", "statutory_delay", 9, 27740),
        ("public", "public", 7, 27800),
    ],
)
async def test_a_public_book_counts_the_day_the_payer_paid(
    site: Site, policy: str, regime: str, days: int, amount: int
) -> None:
    await rule(site, f"allocation_policy = '{policy}', interest_regime = '{regime}'")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        paid = book.payment(10_000_000, DUE + timedelta(days=9), paid_on=DUE + timedelta(days=7))
        await book.post(book.charge(10_000_000, DUE), paid)
        (claim,) = await store.claims(conn, [book.account], NOTED)
        assert ([line.days for line in claim.interest.lines], claim.claimable) == ([days], Money(amount))


async def rule(site: Site, changes: str) -> None:
    """Give the first book other rules, as its owner."""
    owner = await migrate.connect(site.owner_dsn)
    try:
        await owner.execute(f"update payments.book set {changes} where code = 'main'")  # noqa: S608
    finally:
        await owner.close()


async def test_a_note_books_interest_once_and_pins_what_it_names(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        charge, payment = await book.post(book.charge(100000, DUE), book.payment(40000, date(2024, 3, 21)))
        (issued,) = await note_of(book, NOTED)
        assert (issued.note_no, issued.total) == ("NO/2024/000001", Money(678))
        found = await notes.note(conn, issued.id)
        assert found is not None
        (line,) = found.lines
        assert [(part.first_day, part.days, part.principal) for part in line.lines] == [
            (date(2024, 3, 12), 10, 100000),
            (date(2024, 3, 22), 20, 60000),
        ]
        entry = await ledger.entry(conn, line.entry)
        assert entry is not None
        assert (entry.kind, entry.state, entry.amount, entry.document_no) == (
            "interest",
            "approved",
            Money(678),
            "NO/2024/000001",
        )
        pinned = await conn.fetch(
            "select credit, charge, pinned from payments.allocation where account_id = $1 and charge = $2",
            book.account,
            charge,
        )
        assert [tuple(row) for row in pinned] == [(payment, charge, True)]
        assert await note_of(book, NOTED) == []
        assert await claim_of(book, NOTED) == Money(0)
        assert await notes.note(conn, issued.id, book.customer + 1) is None


async def test_the_next_note_names_later_days_only_and_numbers_have_no_gaps(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        other = await Book.opened(conn, "4712")
        await book.post(book.charge(100000, DUE))
        await other.post(other.charge(5000, DUE))
        issued = await notes.issue(conn, [book.account, other.account], NOTED, NOTED, 14)
        assert [note.note_no for note in issued] == ["NO/2024/000001", "NO/2024/000002"]
        (second,) = await note_of(book, date(2024, 5, 10))
        found = await notes.note(conn, second.id)
        assert found is not None
        assert (found.note_no, found.lines[0].first_day, found.lines[0].last_day) == (
            "NO/2024/000003",
            date(2024, 4, 11),
            date(2024, 5, 10),
        )
        assert [issued[0].total + found.total, found.lines[0].earlier] == [Money(1849), Money(-1)]
        (third,) = await note_of(book, date(2025, 1, 10))
        assert third.note_no == "NO/2025/000001"


async def test_an_account_with_too_little_gets_no_note(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))
        assert await notes.issue(conn, [book.account], NOTED, NOTED, 14, at_least=Money(926)) == []
        assert len(await notes.issue(conn, [book.account], NOTED, NOTED, 14, at_least=Money(925))) == 1


async def test_a8_days_that_fall_away_give_a_correction_not_an_edit(site: Site) -> None:
    """A payment dated before the note's last day arrives after the note."""
    async with acting(site) as conn:
        book = await Book.opened(conn)
        charge, _interest = await book.post(book.charge(100000, DUE), book.charge(100, date(2026, 1, 1)))
        (issued,) = await note_of(book, NOTED)
        before = await notes.note(conn, issued.id)
        await book.post(book.payment(100000, date(2024, 3, 21)))
        assert await claim_of(book, NOTED) == Money(308 - 925)
        (due,) = await notes.corrections_due(conn, [book.account])
        assert (due.charge, due.amount) == (charge, Money(617))
        (draft,) = await notes.enter_corrections(conn, [Key(book.account, charge)], date(2024, 5, 20))
        entered = await ledger.entry(conn, draft.entry)
        assert entered is not None
        assert (entered.state, entered.kind, entered.amount, entered.corrects) == (
            "draft",
            "correction",
            Money(617),
            before.lines[0].entry if before else None,
        )
        assert await notes.corrections_due(conn, [book.account]) == [], "a draft waits, so nothing more is offered"
        assert await notes.enter_corrections(conn, [Key(book.account, charge)], date(2024, 5, 20)) == []
        await ledger.approve(conn, [draft], date(2024, 5, 20))
        assert await notes.corrections_due(conn, [book.account]) == []
        assert await claim_of(book, date(2024, 6, 30)) == Money(0)
        after = await notes.note(conn, issued.id)
        assert before is not None
        assert after is not None
        assert after.lines[0].lines == before.lines[0].lines
        assert (after.total, after.standing) == (Money(925), Money(308))


async def test_a_reversed_note_leaves_its_days_to_the_next_one(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))
        (issued,) = await note_of(book, NOTED)
        found = await notes.note(conn, issued.id)
        assert found is not None
        await book.reverse(found.lines[0].entry)
        assert await notes.corrections_due(conn, [book.account]) == []
        (again,) = await note_of(book, NOTED)
        assert (again.note_no, again.total) == ("NO/2024/000002", Money(925))
        reversed_note = await notes.note(conn, issued.id)
        assert reversed_note is not None
        assert (reversed_note.total, reversed_note.standing) == (Money(925), Money(0))


async def test_interest_bears_no_interest(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))
        await note_of(book, NOTED)
        alone = await store.claims(conn, [book.account], date(2025, 4, 10))
        assert len(alone) == 1


async def test_a_consumers_time_barred_charge_gets_no_note(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, date(2022, 3, 11)))
        (claim,) = await store.claims(conn, [book.account], date(2026, 11, 24))
        assert claim.is_barred
        assert await note_of(book, date(2026, 11, 24)) == []
        assert await note_of(book, NOTED, date(2026, 11, 24)) == [], "the day of issue tells"
        assert len(await note_of(book, NOTED)) == 1


async def test_a_day_before_the_first_rate_is_trouble_and_never_zero(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, date(2015, 3, 11)))
        (claim,) = await store.claims(conn, [book.account], date(2016, 11, 24))
        assert "2015" in str(claim.trouble)
        assert await note_of(book, date(2016, 11, 24)) == []


async def test_the_application_cannot_touch_a_note(site: Site, conn: Connection) -> None:
    for statement in (
        "update payments.interest_note set total = 1",
        "delete from payments.interest_note_line",
        "insert into payments.interest_note_number (book, year, last_no) values (1, 2026, 5)",
    ):
        with pytest.raises(Exception, match="permission denied"):
            await conn.execute(statement)


async def test_a_note_lists_approved_interest_of_its_own_only(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(100000, DUE))
    forged = {"account": book.account, "lines": [{"charge": charge, "entry": charge, "amount": 100000}]}
    async with site.db.connection() as conn:
        with pytest.raises(Exception, match="approved interest"):
            await conn.fetch(notes.RECORD_SQL, [forged])


@pytest.mark.parametrize("rules", ["is_mirror = true", "interest_regime = 'none'"])
async def test_a_mirror_or_a_book_without_interest_has_no_notes(site: Site, rules: str) -> None:
    await rule(site, rules)
    async with site.db.transaction(Stamp("import")) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE, source="wykaz", external_id="1"))
        assert await note_of(book, NOTED) == []


async def test_agreed_interest_is_capped(site: Site) -> None:
    await rule(site, "interest_regime = 'contractual', contract_rate = 36.5")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))
        (claim,) = await store.claims(conn, [book.account], NOTED)
        assert [line.percent for line in claim.interest.lines] == [Decimal("22.5000")]


def book_of(book: Book, conn: Connection) -> Book:
    return Book(conn, book.customer, book.account)


async def test_a_closed_month_refuses_a_note(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))
    await rule(site, "closed_through = '2024-04-30'")
    with pytest.raises(Refused):
        async with acting(site) as conn:
            await note_of(book_of(book, conn), NOTED)
    async with acting(site) as conn:
        (issued,) = await note_of(book_of(book, conn), NOTED, date(2024, 5, 2))
        assert issued.note_no == "NO/2024/000001"


async def test_two_people_who_issue_at_once_make_one_note(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))

    async def once() -> int:
        async with acting(site) as conn:
            return len(await note_of(book_of(book, conn), NOTED))

    assert sorted(await asyncio.gather(*(once() for _person in range(4)))) == [0, 0, 0, 1]


async def test_a_note_may_be_issued_where_a_second_person_approves(site: Site) -> None:
    """Nobody types the interest: the product enters it, and who issues the note approves it."""
    async with site.db.transaction(Stamp("7", "admin")) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))
        await conn.execute(
            "insert into kernel.setting (plugin, value) values ('payments', $1)", {"approver_differs": True}
        )
        (issued,) = await note_of(book, NOTED)
        found = await notes.note(conn, issued.id)
        assert found is not None
        entry = await ledger.entry(conn, found.lines[0].entry)
        assert entry is not None
        assert (entry.created_by, entry.state) == ("ebok", "approved")


async def test_the_newest_rate_of_a_kind_in_use_may_be_stale(site: Site) -> None:
    async with acting(site) as conn:
        newest = date(2026, 3, 5)
        assert await checks.stale_kinds(conn, newest + timedelta(days=90)) == {}
        assert await checks.stale_kinds(conn, newest + timedelta(days=91)) == {"statutory_delay": newest}
        await conn.execute("delete from payments.interest_rate where kind = 'statutory_delay'")
        assert await checks.stale_kinds(conn, newest) == {"statutory_delay": None}
        found = [finding async for finding in checks.rates_are_fresh(conn)]
        assert [finding.fatal for finding in found] == [False]
        assert "no rows" in found[0].message


async def test_wrong_notes_are_found(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))
        await note_of(book, NOTED)
        await note_of(book, date(2024, 5, 10))
        assert [finding async for finding in checks.notes_are_right(conn)] == []
    owner: Any = await migrate.connect(site.owner_dsn)
    try:
        await owner.execute("update payments.interest_note set total = total + 1, number = 7 where number = 2")
        found = [finding.message async for finding in checks.notes_are_right(owner)]
    finally:
        await owner.close()
    assert len(found) == 2
    assert "the highest number is 7" in found[0]
    assert "NO/2024/000002" in found[1]


@pytest.mark.parametrize("seed", range(4))
async def test_a_random_account_bears_what_each_of_its_days_bears(site: Site, seed: int) -> None:
    """The ledger's claims against a sum over every single day of what was open at its start."""
    dice = random.Random(seed)  # noqa: S311
    as_of = date(2025, 12, 31)
    async with acting(site) as conn:
        book = await Book.opened(conn)
        days = [date(2024, 1, 1) + timedelta(days=dice.randrange(700)) for _entry in range(24)]
        drafts = [
            book.charge(dice.randrange(1, 200_000), day)
            if dice.random() < 0.5
            else book.payment(dice.randrange(1, 150_000), day)
            for day in days
        ]
        await book.post(*drafts)
        rates = (await store.tables(conn))["statutory_delay"]
        charges = await conn.fetch(
            "select id, amount, effective_due_on from payments.entry where account_id = $1 and side = 'charge'",
            book.account,
        )
        paid = await conn.fetch(
            "select charge, amount, value_date from payments.allocation where account_id = $1 and released_at is null",
            book.account,
        )
        wanted: dict[int, Money] = {}
        for charge in charges:
            borne, day = Fraction(0), charge["effective_due_on"] + timedelta(days=1)
            while day <= as_of:
                before = sum(
                    part["amount"] for part in paid if part["charge"] == charge["id"] and part["value_date"] < day
                )
                borne += Fraction(rates.percent_on(day)) * (charge["amount"] - before) / 36500
                day += timedelta(days=1)
            if borne:
                wanted[charge["id"]] = Money(round_half_up(borne))
        found = await store.claims(conn, [book.account], as_of)
        assert {claim.charge: claim.claimable for claim in found} == wanted


async def test_interest_that_was_booked_when_it_was_paid_is_not_noted_again(site: Site) -> None:
    """A12: 9,25 zł are booked on the day of the payment, and a note begins on the day after it."""
    await rule(site, "interest_first = true")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100000, DUE))
        await book.post(book.payment(50000, NOTED))
        (claim,) = await store.claims(conn, [book.account], NOTED)
        assert (claim.claimable, claim.debt.noted, claim.open) == (Money(0), 925, Money(50925))
        (issued,) = await note_of(book, NOTED + timedelta(days=30))
        found = await notes.note(conn, issued.id)
        assert found is not None
        assert (found.total, found.lines[0].first_day) == (Money(471), NOTED + timedelta(days=1))
        assert await notes.corrections_due(conn, [book.account]) == []


@pytest.mark.ebok(plugins=["payments"], modules={"fair": fair})
async def test_interest_by_another_plugins_regime_is_noted(site: Site) -> None:
    await rule(site, "interest_regime = 'fair.one_percent'")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(10000, DUE))
        (issued,) = await notes.issue(conn, [book.account], NOTED, NOTED, 14, foreign=store.regimes_of(site))
        found = await notes.note(conn, issued.id)
        assert found is not None
        assert (found.total, found.lines[0].last_day) == (Money(100), NOTED)
        assert note_pdf(found, Creditor("SM", (), "", "", found.note_no), datetime(2024, 4, 10, tzinfo=UTC))
        assert (await store.claims(conn, [book.account], NOTED))[0].trouble, "without its plugin it says why"

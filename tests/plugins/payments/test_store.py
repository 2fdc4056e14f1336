"""What the database itself holds up: protection, journal numbers, references, deadlines, proofs."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from kernel import Connection, Finding, Money, Refused, Site
from kernel.db.pool import Stamp
from plugins.payments import checks, store
from plugins.payments.ledger import KeptLedger
from plugins.payments.model import FIRST_YEAR, LAST_YEAR, effective_due, holidays
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments"])

DAY = date(2026, 11, 10)


@pytest.mark.parametrize(
    "statement",
    [
        "update payments.entry set amount = 1",
        "update payments.entry set title = 'inny'",
        "delete from payments.entry",
        "update payments.entry set open_amount = 0",
        "update payments.entry set state = 'voided'",
        """insert into payments.entry (account_id, side, kind, amount, value_date, state)
        select account_id, 'credit', 'payment', 1, current_date, 'approved' from payments.entry""",
        "update payments.account_balance set charged = 0",
        "delete from payments.account_balance",
        """insert into payments.allocation (account_id, credit, charge, amount, value_date, rule)
        select account_id, id, id, 1, current_date, 'oldest_due' from payments.entry""",
        "delete from payments.allocation",
        "update payments.book set last_journal_no = 0",
        "select payments.settle(array[1], array[1], current_date, true)",
        "select payments.void(account_id, id, 'powód') from payments.entry",
    ],
)
async def test_the_application_s_role_cannot_change_what_is_approved(site: Site, statement: str) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(1000, DAY), book.payment(400, DAY))
        before = await whole(conn)
    with pytest.raises(Exception, match=r"protected|permission denied|denied"):
        async with acting(site) as conn:
            await conn.execute(statement)  # type: ignore[arg-type]
    async with acting(site) as conn:
        assert await whole(conn) == before


async def whole(conn: Connection) -> object:
    return await conn.fetch("select * from payments.entry order by id"), await conn.fetch(
        "select * from payments.account_balance"
    )


async def test_nothing_is_approved_without_an_actor(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        keys = await store.add_drafts(conn, [book.payment(100, DAY)])
    with pytest.raises(Exception, match="actor"):
        async with site.db.transaction(Stamp("")) as conn:
            await store.approve(conn, keys, TODAY)


async def test_journal_numbers_have_no_gaps_even_when_something_is_rolled_back(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.payment(100, DAY))

    async def post_and_fail() -> None:
        async with acting(site) as conn:
            await Book(conn, book.customer, book.account).post(book.payment(100, DAY))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await post_and_fail()
    async with acting(site) as conn:
        await Book(conn, book.customer, book.account).post(book.payment(100, DAY), book.payment(100, DAY))
        rows = await conn.fetch("select journal_no from payments.entry order by journal_no")
        assert [row["journal_no"] for row in rows] == [1, 2, 3]


async def test_two_people_approve_the_same_list_once(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        keys = await store.add_drafts(conn, [book.payment(100, DAY) for _ in range(20)])

    async def approve() -> int:
        async with acting(site) as conn:
            return len(await store.approve(conn, keys, TODAY))

    approved = await asyncio.gather(*(approve() for _ in range(5)))
    assert sorted(approved) == [0, 0, 0, 0, 20]
    async with acting(site) as conn:
        assert await conn.fetchval("select credited from payments.account_balance") == 2000


async def test_postings_on_many_accounts_at_once_do_not_deadlock(site: Site) -> None:
    async with acting(site) as conn:
        books = [await Book.opened(conn, str(number)) for number in range(6)]

    async def post(shift: int) -> None:
        async with acting(site) as conn:
            drafts = [book.payment(100, DAY) for book in books[shift:] + books[:shift]]
            await store.approve(conn, await store.add_drafts(conn, drafts), TODAY)

    await asyncio.gather(*(post(shift) for shift in range(6)))
    async with acting(site) as conn:
        assert await conn.fetchval("select sum(credited)::bigint from payments.account_balance") == 3600


async def test_references_are_kept_to(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        charge, other = await book.post(book.charge(1000, DAY), book.charge(1000, DAY))
        (payment,) = await book.post(book.payment(1500, DAY))
    wrong = {
        "poniżej zera": book.payment(1001, DAY, kind="correction", corrects=charge),
        "Korygować można": book.payment(100, DAY, kind="correction", corrects=payment),
        "kwotę zapisu": book.payment(100, DAY, kind="reversal", reverses=other),
    }
    for words, draft in wrong.items():
        with pytest.raises(Refused) as refused:
            async with acting(site) as conn:
                await Book(conn, book.customer, book.account).post(draft)
        assert words in str(refused.value.notes[0])
    async with acting(site) as conn:
        await Book(conn, book.customer, book.account).reverse(payment)
    with pytest.raises(Refused):
        async with acting(site) as conn:
            await Book(conn, book.customer, book.account).reverse(payment)
    with pytest.raises(Refused) as refused:
        async with acting(site, superadmin_mode=True) as conn:
            await Book(conn, book.customer, book.account).void(payment)
    assert "odnosi się" in str(refused.value.notes[0])


async def test_in_accounting_books_nothing_is_voided(site: Site) -> None:
    import asyncpg

    owner = await asyncpg.connect(site.owner_dsn)
    await owner.execute("set role ebok_owner; update payments.book set ledger_role = 'books'")
    await owner.close()
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(1000, DAY))
    with pytest.raises(Refused):
        async with acting(site, superadmin_mode=True) as conn:
            await Book(conn, book.customer, book.account).void(charge)


async def test_a_corrected_charge_is_reversed_with_its_corrections(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(1000, DAY))
        await book.post(book.payment(300, DAY, kind="correction", corrects=charge))
        await book.post(book.charge(50, DAY, kind="correction", corrects=charge))
        await book.post(book.payment(750, DAY))
        assert await conn.fetchval("select balance from payments.account_balance") == 0
        await book.reverse(charge)
        assert await book.credit() == 750
        assert await conn.fetchval("select balance from payments.account_balance") == -750


def test_due_dates_move_off_free_days() -> None:
    assert effective_due(date(2024, 6, 15)) == date(2024, 6, 17), "a Saturday"
    assert effective_due(date(2025, 12, 24)) == date(2025, 12, 29), "Christmas Eve, free since 2025"
    assert effective_due(date(2024, 12, 24)) == date(2024, 12, 24)
    assert effective_due(date(2026, 4, 4)) == date(2026, 4, 7), "Easter"
    assert effective_due(date(2026, 6, 4)) == date(2026, 6, 5), "Corpus Christi"


async def test_the_database_knows_the_same_holidays(conn: Connection) -> None:
    rows = await conn.fetch("select day from payments.holiday")
    years = range(FIRST_YEAR, LAST_YEAR + 1)
    assert {row["day"] for row in rows} == {day for year in years for day in holidays(year)}
    for due in (date(2026, 4, 4), date(2025, 12, 24), date(2035, 12, 24), date(2026, 11, 24)):
        moved = await conn.fetchval("select payments.effective_due($1)", due)
        assert moved == effective_due(due) or due.year == 2035
    with pytest.raises(Exception, match="not known"):
        await conn.fetchval("select payments.effective_due($1)", date(2051, 1, 2))


async def test_a_due_date_in_an_unknown_year_is_refused_in_words(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
    with pytest.raises(Refused) as refused:
        async with acting(site) as conn:
            await Book(conn, book.customer, book.account).post(book.charge(100, date(2061, 1, 10)))
    assert "Święta" in str(refused.value.notes[0])


async def test_the_proofs_find_nothing_in_a_sound_ledger_and_something_in_a_broken_one(site: Site) -> None:
    import asyncpg

    async with acting(site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        charge, *_ = await book.post(book.charge(1000, DAY), book.charge(900, date(2026, 12, 10)))
        await book.post(book.payment(1500, DAY))
        await book.post(book.payment(100, DAY, kind="correction", corrects=charge))
        (voided,) = await book.post(book.charge(77, DAY))
        await book.void(voided)
        await store.add_drafts(conn, [book.payment(1, DAY)])
    async with site.db.connection() as conn:
        assert [finding for check in checks.CHECKS async for finding in check.run(conn)] == []
    owner = await asyncpg.connect(site.owner_dsn)
    await owner.execute(
        "set role ebok_owner; alter table payments.entry disable trigger user;"
        "update payments.entry set open_amount = 1 where kind = 'payment' and state = 'approved';"
        "update payments.allocation set amount = amount - 1 where rule = 'oldest_due' and released_at is null;"
        "update payments.account_balance set charged = charged + 1;"
        "update payments.book set last_journal_no = 99"
    )
    await owner.close()
    async with site.db.connection() as conn:
        broken = {check.name for check in checks.CHECKS for _ in [finding async for finding in check.run(conn)]}
    assert broken == {
        "payments.amounts",
        "payments.balances",
        "payments.journal",
        "payments.allocations",
        "payments.guards",
    }


@pytest.mark.parametrize(
    ("tampering", "words"),
    [
        ("update payments.entry set amount = amount + 1 where side = 'charge'", "is not what was sealed"),
        ("update payments.entry set title = 'Inny tytuł' where side = 'charge'", "is not what was sealed"),
        ("update payments.entry set approved_by = '7' where side = 'charge'", "is not what was sealed"),
        ("update payments.entry set void_reason = 'inny' where state = 'voided'", "is not what was sealed"),
        ("""update payments.entry set state = 'approved', voided_by = null, voided_at = null, void_reason = null
            where state = 'voided'""", "is not what was sealed"),
        ("delete from payments.allocation; delete from payments.entry where state = 'voided'", "is gone"),
        ("update payments.account_balance set seal = sha256('x')", "does not end"),
        ("delete from payments.seal where seq = (select max(seq) from payments.seal)", "does not end"),
        ("""insert into payments.entry (account_id, side, kind, amount, value_date, state, booked_on, journal_no,
            approved_by, approved_at, created_by)
            select account_id, 'credit', 'payment', 1, value_date, 'approved', booked_on, 99, '1', now(), '1'
            from payments.entry where amount = 400""", "never sealed"),
    ],
)  # fmt: skip
async def test_the_chain_shows_what_was_done_behind_the_ledger_s_back(site: Site, tampering: str, words: str) -> None:
    import asyncpg

    async with acting(site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(1000, DAY))
        await book.post(book.payment(400, DAY))
        (voided,) = await book.post(book.payment(77, DAY))
        await book.void(voided)
    async with site.db.connection() as conn:
        assert [finding async for finding in checks.chains_hold(conn)] == []
    owner = await asyncpg.connect(site.owner_dsn)
    await owner.execute(f"set role ebok_owner; alter table payments.entry disable trigger user; {tampering}")
    await owner.close()
    async with site.db.connection() as conn:
        found = [finding async for finding in checks.chains_hold(conn)]
    assert any(isinstance(one, Finding) and words in one.message for one in found), found


async def test_a_purge_takes_the_text_and_leaves_the_chain(site: Site) -> None:
    async with acting(site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(1000, DAY, title="Czynsz Jana Kowalskiego", document_no="N/1"))
        (voided,) = await book.post(book.payment(77, DAY))
        await book.void(voided)
    with pytest.raises(Exception, match="superadministrator"):
        async with acting(site) as conn:
            await conn.execute("select payments.purge_texts($1, $2)", book.account, TODAY)
    async with acting(site, superadmin_mode=True) as conn:
        assert await conn.fetchval("select payments.purge_texts($1, $2)", book.account, DAY) == 0, "booked later"
        assert await conn.fetchval("select payments.purge_texts($1, $2)", book.account, TODAY) == 2
        assert await conn.fetchval("select payments.purge_texts($1, $2)", book.account, TODAY) == 0
    async with site.db.connection() as conn:
        texts = await conn.fetch("select title || document_no || coalesce(void_reason, '') as text from payments.entry")
        assert {row["text"] for row in texts} == {"", "–"}
        for check in checks.CHECKS:
            assert [finding async for finding in check.run(conn)] == [], check.name


async def test_the_card_pages_with_a_running_balance(site: Site) -> None:
    ledger = KeptLedger()
    async with acting(site) as conn:
        book = await Book.opened(conn)
        for month in range(1, 6):
            await book.post(book.charge(1000, date(2026, month, 10)), book.payment(900, date(2026, month, 8)))
        lines = []
        before = None
        while True:
            page = await ledger.card(conn, book.customer, TODAY, before=before, limit=3)
            lines += page.lines
            before = page.older
            if before is None:
                break
        assert len(lines) == 10
        assert [line.balance.grosze for line in lines][:2] == [500, -500]
        assert lines[-1].balance == Money(-900)
        for line in lines:
            assert line.amount == line.open + Money.total(part.amount for part in line.parts)
        key = (await ledger.card(conn, book.customer, TODAY, limit=3)).older
        await book.post(book.payment(1, TODAY))
        with pytest.raises(LookupError):
            await ledger.card(conn, book.customer, TODAY, before=key, limit=3)
        for damaged in ("x", "2026-13-01.1.1.1", "'; drop", "2026-01-01.1.1"):
            with pytest.raises(LookupError):
                await ledger.card(conn, book.customer, TODAY, before=damaged)


async def test_a_customer_without_entries_owes_nothing(site: Site) -> None:
    ledger = KeptLedger()
    async with acting(site) as conn:
        customer = await conn.fetchval("insert into kernel.customer (customer_no, name) values ('1', 'A') returning id")
        items = await ledger.open_items(conn, customer, TODAY)
        assert (items.position.to_pay, items.position.to_pay_by, items.charges) == (Money(0), None, ())
        assert (await ledger.card(conn, customer, TODAY)).lines == ()
        (payee,) = await ledger.payees(site, conn, customer, TODAY)
        assert (payee.title, payee.account_no) == ("Opłaty 1", "")
        assert await ledger.payees(site, conn, 999, TODAY) == []


async def test_a_leaving_customer_takes_only_drafts_along(site: Site) -> None:
    from plugins import payments

    async with acting(site) as conn:
        book = await Book.opened(conn)
        await store.add_drafts(conn, [book.payment(1, DAY)])
        with pytest.raises(Refused):
            await payments.on_customer_closing(conn, book.customer, acknowledged=True)
        await payments.on_customer_removing(conn, book.customer)
        assert await conn.fetchval("select count(*) from payments.account") == 0
        other = await Book.opened(conn, "2")
        await other.post(other.charge(1, DAY))
        await payments.on_customer_closing(conn, other.customer, acknowledged=True)
        with pytest.raises(Refused):
            await payments.on_customer_removing(conn, other.customer)

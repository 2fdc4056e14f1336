"""Books: opened, changed, their rules fixed once in use; whom customers pay, and what it takes to change that."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from kernel import Check, Connection, Finding, Refused, Role, Site
from kernel.auth.passwords import hash_password
from kernel.db import migrate
from kernel.db.pool import Stamp
from kernel.testing import Office, Visitor
from plugins.payments.books import checks, jobs, month_store, store
from plugins.payments.books.model import BookRules, Month, virtual_account
from tests.plugins.payments.ledger import TODAY, Book, acting, add_customer
from tests.plugins_for_tests import fair

pytestmark = pytest.mark.ebok(plugins=["payments"])

NRB = "29101010100012345600004711"
OTHER = "61109010140000071219812874"
PREFIX = "1010101000123456"
PASSWORD = "spokojny-poranek-w-biurze"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RULES = BookRules("Woda", "auxiliary", "civil", False, True, "statutory_delay", None, 3, "black", False, "")
FORM = {
    "code": "water",
    "name": "Woda",
    "ledger_role": "auxiliary",
    "allocation_policy": "civil",
    "interest_regime": "statutory_delay",
    "limitation_years": "3",
    "storno": "black",
    "prepay": "true",
}


@pytest.fixture(autouse=True)
def _at_noon(site: Site) -> None:
    site.clock.move_to(NOON)


async def main_book(conn: Connection) -> int:
    return await conn.fetchval("select id from payments.book where code = 'main'")


async def superadmin(office: Office) -> Visitor:
    """A superadministrator with a password and an address."""
    visitor = await office.visitor(Role.SUPERADMIN)
    async with office.site.db.connection() as conn:
        await conn.execute(
            "update kernel.users set password_hash = $2, email = $3 where id = $1",
            visitor.user,
            await hash_password(PASSWORD),
            f"super{visitor.user}@example.org",
        )
    return visitor


@pytest.fixture
async def boss(office: Office) -> Visitor:
    return await superadmin(office)


async def letters(conn: Connection) -> list[str]:
    return [row["recipient"] for row in await conn.fetch("select recipient from kernel.mail_log order by recipient")]


# --- the register ---------------------------------------------------------------------------------------------------


async def test_a_book_is_opened_and_changed(boss: Visitor, conn: Connection) -> None:
    assert (await boss.get("/admin/books/add")).status == 200
    added = await boss.post("/admin/books/add", FORM)
    assert added.status == 303, added.text
    page = added.headers["Location"].split("?")[0]
    assert "Woda" in (await boss.get(page)).text
    changed = {
        **FORM,
        "name": "Woda i ścieki",
        "interest_regime": "contractual",
        "contract_rate": "12,5",
        "ledger_role": "books",
        "storno": "red",
    }
    assert (await boss.post(f"{page}/edit", changed)).status == 303
    row = await conn.fetchrow("select * from payments.book where code = 'water'")
    assert row is not None
    assert (row["name"], row["contract_rate"], row["ledger_role"], row["storno"], row["prepay"]) == (
        "Woda i ścieki",
        Decimal("12.5"),
        "books",
        "red",
        True,
    )
    assert "12,5 %" in (await boss.get(page)).text
    verbs = [row["verb"] for row in await conn.fetch("select verb from kernel.audit_log order by id")]
    assert {"payments.book_added", "payments.book_changed"} <= set(verbs)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", "main"),
        ("code", "Woda"),
        ("code", "1a"),
        ("code", "a-b"),
        ("name", ""),
        ("name", "x" * 201),
        ("allocation_policy", "none"),
        ("interest_regime", "usury"),
        ("limitation_years", "21"),
        ("limitation_years", "-1"),
        ("storno", "blue"),
        ("ledger_role", "none"),
    ],
)
async def test_a_wrong_book_is_refused_at_its_field(boss: Visitor, conn: Connection, field: str, value: str) -> None:
    answer = await boss.post("/admin/books/add", {**FORM, field: value})
    assert answer.status == 422
    assert f'id="f-{field}-error"' in answer.text
    assert await conn.fetchval("select count(*) from payments.book") == 1


@pytest.mark.parametrize("rate", ["", "101", "1e1", "-1", "NaN", "٣", "1,23456"])
async def test_an_agreed_rate_is_a_percentage(boss: Visitor, rate: str) -> None:
    answer = await boss.post("/admin/books/add", {**FORM, "interest_regime": "contractual", "contract_rate": rate})
    assert answer.status == 422
    assert 'id="f-contract_rate-error"' in answer.text


@pytest.mark.ebok(plugins=["payments"], modules={"fair": fair})
async def test_rules_of_other_plugins_are_offered(boss: Visitor, conn: Connection) -> None:
    assert "fair.share" in (await boss.get("/admin/books/add")).text
    form = {**FORM, "allocation_policy": "fair.share", "interest_regime": "fair.one_percent"}
    added = await boss.post("/admin/books/add", form)
    assert added.status == 303
    assert "fair.share" in (await boss.get(added.headers["Location"])).text
    assert await conn.fetchval("select interest_regime from payments.book where code = 'water'") == "fair.one_percent"


async def test_rules_stay_once_something_is_approved(boss: Visitor, site: Site, conn: Connection) -> None:
    number = await main_book(conn)
    async with acting(site) as tx:
        book = await Book.opened(tx)
        await book.post(book.charge(1000, TODAY))
    page = await boss.get(f"/admin/books/{number}/edit")
    assert page.status == 200
    assert 'name="allocation_policy"' not in page.text
    free = {"name": "Rozrachunki", "limitation_years": "6", "storno": "red", "payee_name": "SM"}
    assert (await boss.post(f"/admin/books/{number}/edit", free)).status == 303
    row = await conn.fetchrow("select storno, limitation_years, prepay from payments.book where id = $1", number)
    assert row is not None
    assert tuple(row) == ("red", 6, True)
    refused = await boss.post(f"/admin/books/{number}/edit", {**free, "ledger_role": "books"})
    assert refused.status == 422
    assert "Reguły tej księgi są stałe" in refused.text
    found = await store.book(conn, number)
    assert found is not None
    for name, value in (
        ("ledger_role", "books"),
        ("allocation_policy", "public"),
        ("interest_first", True),
        ("prepay", False),
        ("interest_regime", "none"),
        ("is_mirror", True),
    ):
        changed = replace(found.rules, **{name: value})  # pyright: ignore[reportArgumentType]
        with pytest.raises(Refused):
            async with acting(site) as tx:
                await store.change_book(tx, found, changed)


async def test_staff_sees_books_and_changes_none(office: Office, conn: Connection) -> None:
    admin, number = await office.visitor(Role.ADMIN), await main_book(conn)
    assert (await admin.get("/admin/books")).status == 200
    assert (await admin.get(f"/admin/books/{number}")).status == 200
    for path in ("/admin/books/add", f"/admin/books/{number}/edit", f"/admin/books/{number}/payee"):
        assert (await admin.get(path)).status == 403
        assert (await admin.post(path, FORM)).status == 403


async def test_the_application_writes_no_book_by_itself(conn: Connection) -> None:
    for statement in (
        "update payments.book set payee_account = ''",
        "insert into payments.payee_change (book) values (1)",
        "delete from payments.virtual_number",
        "insert into payments.virtual_serial values ('12345678', 1)",
        "update payments.month_close set state = 'failed'",
        "select payments.apply_payee_change(1, now())",
        "select payments.renumber(1, '12345678')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


# --- whom customers pay ---------------------------------------------------------------------------------------------


async def ask(visitor: Visitor, book: int, account_no: str = OTHER, prefix: str = "", password: str = PASSWORD) -> str:
    """Ask for another payee; where it leads."""
    answer = await visitor.post(
        f"/admin/books/{book}/payee", {"account_no": account_no, "virtual_prefix": prefix, "password": password}
    )
    assert answer.status == 303, answer.text
    return answer.headers["Location"].split("?")[0]


async def in_use(site: Site) -> None:
    """The book «main» is paid to NRB, and something was approved in it."""
    async with acting(site) as tx:
        await store.ask_payee_change(tx, await main_book(tx), NRB, "", site.clock.now())
        book = await Book.opened(tx)
        await book.post(book.charge(1000, TODAY))


async def paid_to(conn: Connection) -> str:
    return await conn.fetchval("select payee_account from payments.book where code = 'main'")


async def test_the_first_account_counts_at_once(boss: Visitor, conn: Connection) -> None:
    number = await main_book(conn)
    assert await ask(boss, number, f"PL {NRB[:2]} {NRB[2:]}") == f"/admin/books/{number}"
    assert await paid_to(conn) == NRB
    assert "29 1010 1010 0012 3456 0000 4711" in (await boss.get(f"/admin/books/{number}")).text
    assert len(await letters(conn)) == 1
    # the second is a change already, though nothing was approved yet
    assert "payee-changes" in await ask(boss, number)
    assert await paid_to(conn) == NRB


async def test_a_change_takes_two_people_and_a_day(boss: Visitor, office: Office, site: Site, conn: Connection) -> None:
    await in_use(site)
    other = await superadmin(office)
    page = await ask(boss, await main_book(conn))
    assert len(await letters(conn)) == 2, "all superadministrators are told"
    own = await boss.post(f"{page}/confirm", {"password": PASSWORD})
    assert own.status == 422
    assert (await other.post(f"{page}/confirm", {"password": "wrong"})).status == 422
    assert (await other.get(f"{page}/confirm")).status == 200
    assert (await other.post(f"{page}/confirm", {"password": PASSWORD})).status == 303
    assert (await other.post(f"{page}/confirm", {"password": PASSWORD})).status == 422, "once is enough"
    assert len(await letters(conn)) == 4
    site.clock.move_to(NOON + timedelta(hours=23, minutes=59))
    await jobs.apply_payee_changes(site, {})
    assert await paid_to(conn) == NRB
    site.clock.move_to(NOON + timedelta(hours=24))
    await jobs.apply_payee_changes(site, {})
    await jobs.apply_payee_changes(site, {})
    assert await paid_to(conn) == OTHER
    assert len(await letters(conn)) == 6, "told once"
    verbs = [row["verb"] for row in await conn.fetch("select verb from kernel.audit_log order by id")]
    assert verbs.count("payments.payee_changed") == 1
    assert {"payments.payee_change_asked", "payments.payee_change_confirmed"} <= set(verbs)
    later = await superadmin(office)
    assert (await later.post(page)).status == 422, "nothing is left to withdraw"


async def test_whoever_reads_the_book_first_carries_it_out(
    boss: Visitor, office: Office, site: Site, conn: Connection
) -> None:
    await in_use(site)
    page, number = await ask(boss, await main_book(conn)), await main_book(conn)
    other = await superadmin(office)
    assert (await other.post(f"{page}/confirm", {"password": PASSWORD})).status == 422, "asked for alone"
    site.clock.move_to(NOON + timedelta(hours=72))
    assert "61 1090 1014" in (await (await office.visitor(Role.ADMIN)).get(f"/admin/books/{number}")).text
    assert await paid_to(conn) == OTHER
    assert await conn.fetchval("select count(*) from kernel.audit_log where verb = 'payments.payee_changed'") == 1


async def test_alone_it_takes_three_days_and_a_letter(boss: Visitor, site: Site, conn: Connection) -> None:
    await in_use(site)
    page = await ask(boss, await main_book(conn))
    letter = await boss.get(f"{page}/letter.pdf")
    assert letter.status == 200
    assert letter.content.startswith(b"%PDF")
    for hours, account in ((71, NRB), (72, OTHER)):
        site.clock.move_to(NOON + timedelta(hours=hours))
        await jobs.apply_payee_changes(site, {})
        assert await paid_to(conn) == account


async def test_any_superadministrator_withdraws_it(boss: Visitor, office: Office, site: Site, conn: Connection) -> None:
    await in_use(site)
    other = await superadmin(office)
    number = await main_book(conn)
    page = await ask(boss, number)
    second = await boss.post(f"/admin/books/{number}/payee", {"account_no": "", "password": PASSWORD})
    assert second.status == 422, "one at a time"
    assert (await other.post(page)).status == 303
    assert (await other.post(f"{page}/confirm", {"password": PASSWORD})).status == 422
    site.clock.move_to(NOON + timedelta(days=9))
    await jobs.apply_payee_changes(site, {})
    assert await paid_to(conn) == NRB
    assert "wycofana" in (await (await superadmin(office)).get(page)).text


@pytest.mark.parametrize(
    ("account_no", "prefix", "field"),
    [
        (NRB[:-1] + "2", "", "account_no"),
        ("12", "", "account_no"),
        ("", "1234567", "virtual_prefix"),
        ("", "1" * 21, "virtual_prefix"),
        ("", "1234567x", "virtual_prefix"),
        (NRB, "", "account_no"),
    ],
)
async def test_a_wrong_account_is_refused_at_its_field(
    boss: Visitor, site: Site, conn: Connection, account_no: str, prefix: str, field: str
) -> None:
    await in_use(site)
    answer = await boss.post(
        f"/admin/books/{await main_book(conn)}/payee",
        {"account_no": account_no, "virtual_prefix": prefix, "password": PASSWORD},
    )
    assert answer.status == 422
    assert f'id="f-{field}-error"' in answer.text
    assert await conn.fetchval("select count(*) from payments.payee_change where applied_at is null") == 0


async def test_without_the_password_nothing_happens(boss: Visitor, site: Site, conn: Connection) -> None:
    answer = await boss.post(f"/admin/books/{await main_book(conn)}/payee", {"account_no": OTHER, "password": "wrong"})
    assert answer.status == 422
    assert await paid_to(conn) == ""


# --- customers' own numbers -----------------------------------------------------------------------------------------


async def numbers(conn: Connection) -> dict[int, str | None]:
    return {row["id"]: row["virtual_account"] for row in await conn.fetch("select * from payments.account order by id")}


async def test_accounts_get_numbers_of_their_own_and_none_is_used_twice(site: Site) -> None:
    async with acting(site) as tx:
        number = await main_book(tx)
        before = await Book.opened(tx)
        await store.ask_payee_change(tx, number, NRB, PREFIX, site.clock.now())
        after = await Book.opened(tx, "4712")
        given = await numbers(tx)
        assert given == {before.account: virtual_account(PREFIX, 1), after.account: virtual_account(PREFIX, 2)}
        other = await store.add_book(tx, "water", RULES)
        await store.ask_payee_change(tx, other, "", PREFIX, site.clock.now())
        third = await store.open_account(tx, before.customer, other, None, "4711", TODAY)
        assert (await numbers(tx))[third] == virtual_account(PREFIX, 3), "one count for a prefix, whatever the book"
        await tx.execute("select payments.forget_accounts($1)", after.customer)
        fourth = await Book.opened(tx, "4713")
        assert (await numbers(tx))[fourth.account] == virtual_account(PREFIX, 4)


async def test_another_prefix_gives_new_numbers_and_keeps_the_old_ones_known(boss: Visitor, site: Site) -> None:
    async with acting(site) as tx:
        number = await main_book(tx)
        await store.ask_payee_change(tx, number, NRB, PREFIX, site.clock.now())
        book = await Book.opened(tx)
        await book.post(book.charge(1000, TODAY))
        closed = await Book.opened(tx, "4712")
        found = await store.account(tx, closed.account)
        assert found is not None
        await store.close_account(tx, found, TODAY)
    async with site.db.connection() as conn:
        await ask(boss, number, NRB, "20202020")
        site.clock.move_to(NOON + timedelta(hours=72))
        await jobs.apply_payee_changes(site, {})
        given = await numbers(conn)
        assert given[book.account] == virtual_account("20202020", 1)
        assert given[closed.account] == virtual_account(PREFIX, 2), "a closed account keeps its number"
        known = await conn.fetch("select number from payments.virtual_number where account_id = $1", book.account)
        assert {row["number"] for row in known} == {virtual_account(PREFIX, 1), virtual_account("20202020", 1)}


async def test_a_prefix_that_is_used_up_refuses(site: Site) -> None:
    async with acting(site) as tx:
        number = await main_book(tx)
        await store.ask_payee_change(tx, number, NRB, "1" * 20, site.clock.now())
        customer, other = await add_customer(tx), await add_customer(tx, "4712")
    owner = await migrate.connect(site.owner_dsn)
    await owner.execute("insert into payments.virtual_serial values ($1, 9998)", "1" * 20)
    await owner.close()
    async with acting(site) as tx:
        await store.open_account(tx, customer, number, None, "1", TODAY)
    with pytest.raises(Refused):
        async with acting(site) as tx:
            await store.open_account(tx, other, number, None, "2", TODAY)


async def test_the_database_computes_the_same_numbers(conn: Connection) -> None:
    for prefix, serial in ((PREFIX, 4711), ("10101010", 1), ("9" * 20, 9999), ("0" * 8, 7)):
        found = await conn.fetchval("select payments.virtual_account($1, $2::bigint)", prefix, serial)
        assert found == virtual_account(prefix, serial)


async def findings(site: Site, check: Check, damage: str = "") -> list[str]:
    """What a check finds after damage that the application could not do."""
    if damage:
        owner = await migrate.connect(site.owner_dsn)
        await owner.execute(damage)
        await owner.close()
    async with site.db.connection() as conn:
        return [one.message async for one in check.run(conn) if isinstance(one, Finding)]


async def test_numbers_that_were_tampered_with_are_found(site: Site) -> None:
    async with acting(site) as tx:
        await store.ask_payee_change(tx, await main_book(tx), NRB, PREFIX, site.clock.now())
        await Book.opened(tx)
        await Book.opened(tx, "4712")
    (check, _months) = checks.CHECKS
    assert await findings(site, check) == []
    damage = """alter table payments.account disable trigger user;
        update payments.account set virtual_account = '61109010140000071219812874' where account_no = '4712'"""
    assert len(await findings(site, check, damage)) == 1


async def test_months_that_were_tampered_with_are_found(site: Site) -> None:
    month = Month.parsed("2026-10")
    async with acting(site) as tx:
        closing = await month_store.begin_close(
            tx, await main_book(tx), month, acknowledged=False, today=TODAY, at=site.clock.now()
        )
        await month_store.make_report(tx, closing)
    (_numbers, check) = checks.CHECKS
    assert await findings(site, check) == []
    forged = "update payments.month_close set report = jsonb_set(report, '{accounts,all}', '9')"
    assert "not what was kept" in (await findings(site, check, forged))[0]
    assert len(await findings(site, check, "update payments.book set closed_through = '2026-09-30'")) == 2


async def test_the_database_lets_no_administrator_change_a_book_or_whom_it_pays(site: Site) -> None:
    async with acting(site) as conn:
        water = await store.add_book(conn, "water", RULES)
    for statement in (
        "select payments.add_book('heat', 'Ciepło', 'books', 'civil', false, true, 'none', null, 3, 'red', false, '')",
        f"select payments.change_book({water}, 'W', 'books', 'civil', false, true, 'none', null, 3, 'red', false, '')",
        f"select payments.ask_payee_change({water}, '{NRB}', '', now())",
        "select payments.withdraw_payee_change(1, now())",
    ):
        with pytest.raises(asyncpg.PostgresError, match="only a superadministrator"):
            async with site.db.transaction(Stamp("7", "admin")) as conn:
                await conn.execute(statement)  # pyright: ignore[reportArgumentType]

"""Accounts: listed with their balances, opened for a customer and a service point, closed and opened again."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from kernel import Connection, Refused, Role, Site
from kernel.people import store as people
from kernel.people.model import ServicePointData
from kernel.testing import Office, Visitor
from plugins.payments.books import store
from plugins.payments.books.model import BookRules
from tests.plugins.payments.ledger import TODAY, Book, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["payments"])

WATER = BookRules("Woda", "auxiliary", "civil", False, True, "statutory_delay", None, 3, "black", False, "")


@pytest.fixture
async def clerk(office: Office) -> Visitor:
    return await office.visitor(Role.ADMIN)


async def book_of(conn: Connection, code: str) -> str:
    return str(await conn.fetchval("select id from payments.book where code = $1", code))


async def accounts(conn: Connection) -> list[tuple[str, str, str | None]]:
    rows = await conn.fetch(
        "select a.account_no, b.code, p.code as point from payments.account a join payments.book b on b.id = a.book"
        " left join kernel.service_point p on p.id = a.service_point order by a.id"
    )
    return [(row["account_no"], row["code"], row["point"]) for row in rows]


async def two_customers(site: Site) -> tuple[int, int, int]:
    """Customers 4711 (with the service point 4711/1) and 4712 (with 4712/1), and a second book; points and customer."""
    async with acting(site) as tx:
        await store.add_book(tx, "water", WATER)
        own, foreign = await add_customer(tx), await add_customer(tx, "4712", "Jan Kowalski")
        points = [
            await people.add_service_point(tx, ServicePointData(customer=customer, code=code, kind="lokal"))
            for customer, code in ((own, "1"), (foreign, "2"))
        ]
        return points[0], points[1], own


# --- opening --------------------------------------------------------------------------------------------------------


async def test_an_account_is_opened_for_each_book_and_service_point(
    clerk: Visitor, site: Site, conn: Connection
) -> None:
    point, _foreign, own = await two_customers(site)
    assert "/admin/accounts/add?customer=4711" in (await clerk.get(f"/admin/customers/{own}")).text
    assert "4711" not in (await clerk.get("/admin/accounts/add")).text
    page = await clerk.get("/admin/accounts/add?customer=4711")
    assert "Stanisław Wójcik" in page.text
    assert f'<option value="{point}"' in page.text
    water, main = await book_of(conn, "water"), await book_of(conn, "main")
    for form in (
        {"book": water, "point": ""},
        {"book": water, "point": str(point)},
        {"book": main, "point": str(point), "account_no": "X 1"},
    ):
        answer = await clerk.post("/admin/accounts/add", {"customer_no": "4711", **form})
        assert answer.status == 303, answer.text
    assert await accounts(conn) == [("4711", "water", None), ("4711/1", "water", "1"), ("X 1", "main", "1")]
    kept = await conn.fetch("select balance from payments.account_balance")
    assert [row["balance"] for row in kept] == [0, 0, 0]
    told = await conn.fetchval(
        "select count(*) from kernel.audit_log where verb = 'payments.account_opened' and customer = $1", own
    )
    assert told == 3


async def test_what_cannot_be_opened_is_refused_at_its_field(clerk: Visitor, site: Site, conn: Connection) -> None:
    _point, foreign, _own = await two_customers(site)
    water = await book_of(conn, "water")
    assert (await clerk.post("/admin/accounts/add", {"customer_no": "4711", "book": water})).status == 303
    refused = {
        "customer_no": {"customer_no": "nobody", "book": water},
        "book": {"customer_no": "4711", "book": water, "account_no": "other"},
        "account_no": {"customer_no": "4712", "book": water, "account_no": "4711"},
        "point": {"customer_no": "4711", "book": water, "point": str(foreign)},
    }
    for field, form in refused.items():
        answer = await clerk.post("/admin/accounts/add", form)
        assert answer.status == 422, field
        assert f'id="f-{field}-error"' in answer.text, field
    for book in ("0", "-1", "999", "x", str(2**63)):
        assert (await clerk.post("/admin/accounts/add", {"customer_no": "4712", "book": book})).status == 422
    assert len(await accounts(conn)) == 1


async def test_the_database_refuses_anothers_point_and_a_closed_customer(site: Site) -> None:
    _point, foreign, own = await two_customers(site)
    async with acting(site) as tx:
        book = int(await book_of(tx, "water"))
    with pytest.raises(Refused):
        async with acting(site) as tx:
            await store.open_account(tx, own, book, foreign, "1", TODAY)
    async with acting(site) as tx:
        await tx.execute("update kernel.customer set status = 'closed' where id = $1", own)
    with pytest.raises(Refused):
        async with acting(site) as tx:
            await store.open_account(tx, own, book, None, "1", TODAY)


async def test_fifty_who_open_the_same_account_open_one(site: Site, conn: Connection) -> None:
    _point, _foreign, own = await two_customers(site)
    book = int(await book_of(conn, "water"))

    async def attempt() -> bool:
        try:
            async with acting(site) as tx:
                await store.open_account(tx, own, book, None, "4711", TODAY)
        except Refused:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt() for _number in range(50)))) == 1
    assert len(await accounts(conn)) == 1


async def test_customers_open_nothing(office: Office, site: Site) -> None:
    _point, _foreign, own = await two_customers(site)
    customer = await office.visitor(Role.CUSTOMER, own)
    for path in ("/admin/accounts", "/admin/accounts/add", "/admin/accounts/1/close"):
        assert (await customer.get(path)).status == 403
    assert (await customer.post("/admin/accounts/add", {"customer_no": "4711", "book": "1"})).status == 403


# --- closing --------------------------------------------------------------------------------------------------------


async def closed_on(conn: Connection, account: int) -> date | None:
    return await conn.fetchval("select closed_on from payments.account where id = $1", account)


async def test_a_settled_account_is_closed_once_and_opened_again(clerk: Visitor, site: Site, conn: Connection) -> None:
    async with acting(site) as tx:
        book = await Book.opened(tx)
        await book.post(book.charge(1000, TODAY), book.payment(1000, TODAY))
    page = f"/admin/accounts/{book.account}"
    assert (await clerk.post(f"{page}/reopen")).status == 422, "it is open"
    assert (await clerk.get(f"{page}/close")).status == 200
    assert (await clerk.post(f"{page}/close")).status == 303
    assert await closed_on(conn, book.account) is not None
    again = await clerk.post(f"{page}/close")
    assert again.status == 422
    assert "To konto jest już zamknięte" in again.text
    assert "zamknięte" in (await clerk.get("/admin/accounts?standing=closed")).text
    assert (await clerk.get(f"{page}/reopen")).status == 200
    assert (await clerk.post(f"{page}/reopen")).status == 303
    assert await closed_on(conn, book.account) is None
    verbs = [row["verb"] for row in await conn.fetch("select verb from kernel.audit_log order by id")]
    assert verbs[-2:] == ["payments.account_closed", "payments.account_reopened"]


async def test_what_stands_against_closing_is_said(clerk: Visitor, site: Site, conn: Connection) -> None:
    async with acting(site) as tx:
        owes = await Book.opened(tx, "1")
        await owes.post(owes.charge(1000, TODAY))
        waits = await Book.opened(tx, "2")
        await store_draft(waits)
    for book, reason in ((owes, "Konto nie jest rozliczone"), (waits, "czekają na zatwierdzenie")):
        answer = await clerk.post(f"/admin/accounts/{book.account}/close")
        assert answer.status == 422
        assert reason in answer.text
        assert await closed_on(conn, book.account) is None


async def store_draft(book: Book) -> None:
    from plugins.payments.store import add_drafts

    await add_drafts(book.conn, [book.payment(500, TODAY)])


async def test_an_account_of_a_closed_customer_stays_closed(clerk: Visitor, site: Site) -> None:
    async with acting(site) as tx:
        book = await Book.opened(tx)
        found = await store.account(tx, book.account)
        assert found is not None
        await store.close_account(tx, found, TODAY)
        await tx.execute("update kernel.customer set status = 'closed' where id = $1", book.customer)
    assert (await clerk.post(f"/admin/accounts/{book.account}/reopen")).status == 422


# --- the list -------------------------------------------------------------------------------------------------------


async def test_the_list_shows_kept_balances_and_filters_them(clerk: Visitor, site: Site) -> None:
    async with acting(site) as tx:
        late = await Book.opened(tx, "1")
        await late.post(late.charge(12345, date(2026, 11, 2)), late.charge(5000, date(2030, 1, 2)))
        ahead = await Book.opened(tx, "2")
        await ahead.post(ahead.payment(2000, date(2026, 11, 3)))
        later = await Book.opened(tx, "3")
        await later.post(later.charge(700, date(2030, 1, 2)))
        await Book.opened(tx, "4")
    page = (await clerk.get("/admin/accounts")).text.replace("\xa0", " ")
    for shown in ("173,45", "123,45", "20,00", "7,00", "02.11.2026", "zaległość", "nadpłata", "rozliczone"):
        assert shown in page
    for standing, number in (("arrears", "1"), ("overpaid", "2"), ("owing", "3"), ("settled", "4")):
        file = (await clerk.get(f"/admin/accounts?standing={standing}&format=csv")).text.splitlines()
        assert [line.split(";")[0] for line in file[1:]] == [number], standing
    file = (await clerk.get("/admin/accounts?customer=2&format=csv")).text.splitlines()
    assert len(file) == 2
    assert len((await clerk.get("/admin/accounts?book=main&format=csv")).text.splitlines()) == 5
    assert len((await clerk.get("/admin/accounts?book=none&format=csv")).text.splitlines()) == 1
    for sort in ("owed", "-owed", "overpaid", "name", "-account_no", "oldest_open_due"):
        assert (await clerk.get(f"/admin/accounts?sort={sort}")).status == 200

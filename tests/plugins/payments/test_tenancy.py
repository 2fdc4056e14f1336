"""People come and go: what the ledger refuses when a customer is closed, and what it does when a flat passes on."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal

import pytest

from kernel import Connection, Money, Role, Site
from kernel.people import store as people
from kernel.people.model import CustomerData
from kernel.testing import Office
from plugins.payments import store as ledger
from plugins.payments.books import store as books
from plugins.payments.charging import store as charging
from plugins.payments.charging.model import Month, Terms
from plugins.payments.charging.store import Held, ScheduleFacts
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["customers", "payments", "balances"])


async def test_a_credit_is_refunded_before_a_customer_is_closed(office: Office, site: Site, conn: Connection) -> None:
    async with acting(site) as tx:
        book = await Book.opened(tx)
        await book.post(book.payment(2000, date(2026, 11, 2)))
    admin = await office.visitor(Role.ADMIN)
    address = f"/admin/customers/{book.customer}/close"
    page = (await admin.get(address)).text
    assert "20,00" in page
    assert f"/admin/accounts/{book.account}/refund" in page
    refused = await admin.post(address, {"acknowledged": "true"})
    assert refused.status == 422
    assert "nadpłata: 20,00" in refused.text.replace("\xa0", " ")
    assert await conn.fetchval("select status from kernel.customer") == "active"

    async with acting(site) as tx:
        book = Book(tx, book.customer, book.account)
        await book.post(book.charge(2000, date(2026, 11, 2), kind="refund", title="Zwrot"))
    assert (await admin.post(address)).status == 303
    assert await conn.fetchval("select status from kernel.customer") == "closed"


async def test_arrears_are_asked_about(office: Office, site: Site, conn: Connection) -> None:
    async with acting(site) as tx:
        book = await Book.opened(tx)
        await book.post(book.charge(12345, date(2026, 11, 10)))
    admin = await office.visitor(Role.ADMIN)
    address = f"/admin/customers/{book.customer}/close"
    page = await admin.post(address)
    assert page.status == 422
    assert "123,45" in page.text
    assert "f-acknowledged-error" in page.text
    assert (await admin.post(address, {"acknowledged": "true"})).status == 303
    # Nobody erases the data of a debtor.
    boss = await office.visitor(Role.SUPERADMIN, mode=True)
    assert (await boss.get(f"/admin/customers/{book.customer}/purge")).status == 200
    assert await conn.fetchval("select count(*) from customers.tombstone") == 0


async def test_drafts_wait_before_anybody_is_closed(office: Office, site: Site) -> None:
    async with acting(site) as tx:
        book = await Book.opened(tx)
        await ledger.add_drafts(tx, [book.payment(100, date(2026, 11, 2))])
    admin = await office.visitor(Role.ADMIN)
    page = await admin.post(f"/admin/customers/{book.customer}/close", {"acknowledged": "true"})
    assert page.status == 422
    assert "zatwierdz" in page.text


async def furnish(conn: Connection, *, of_flat: bool) -> tuple[Book, int, int]:
    """A customer with a flat, an account that owes, and a fee of 2 units; the flat, and the component."""
    customer = await people.add_customer(conn, CustomerData(customer_no="100", name="Anna Nowak"))
    flat = await conn.fetchval(
        "insert into kernel.service_point (customer, code, street, building, flat)"
        " values ($1, 'L/4', 'Lipowa', '12', '4') returning id",
        customer,
    )
    main = (await charging.books(conn))[0]["id"]
    if of_flat:
        account = await books.open_account(conn, customer, main, flat, "100/L4", date(2026, 1, 1))
    else:
        account = (await ledger.open_accounts(conn, [customer], date(2026, 1, 1)))[customer]
    facts = ScheduleFacts("lokale", "Lokale", main, Terms(1, 0, 10, 0), "Czynsz, {month} {year}")
    schedule = await charging.add_schedule(conn, facts)
    component = await charging.add_component(conn, schedule, "eks", "Eksploatacja", "m²", 1)
    held = [
        Held(account, component, date(2026, 1, 1), Decimal(2)),
        Held(account, component, date(2027, 1, 1), Decimal(3)),
    ]
    await charging.set_quantities(conn, schedule, held)
    book = Book(conn, customer, account)
    await book.post(book.charge(5000, date(2026, 11, 10)))
    return book, flat, component


STEPS = "select valid_from, quantity from payments.fee_quantity where account_id = $1 order by valid_from"


@pytest.mark.parametrize("of_flat", [True, False])
async def test_a_flat_is_handed_over_with_its_fees(office: Office, site: Site, conn: Connection, of_flat: bool) -> None:
    async with acting(site) as tx:
        book, flat, _component = await furnish(tx, of_flat=of_flat)
    admin = await office.visitor(Role.ADMIN)
    address = f"/admin/premises/{flat}/hand-over"
    page = (await admin.get(address)).text
    assert "Eksploatacja 2" in page
    assert "50,00" in page
    new = {"since": "15.11.2026", "customer_no": "200", "given_name": "Jan", "family_name": "Nowy", "carry": "true"}
    assert (await admin.post(address, new)).status == 303

    row = await conn.fetchrow(
        "select a.id, a.account_no, a.opened_on, a.service_point, k.balance, c.customer_no"
        " from payments.account a join payments.account_balance k on k.account_id = a.id"
        " join kernel.customer c on c.id = a.customer where a.id <> $1",
        book.account,
    )
    assert row is not None
    assert tuple(row)[1:] == ("200/L/4", date(2026, 11, 15), flat, 0, "200")
    old = [tuple(step) for step in await conn.fetch(STEPS, book.account)]
    assert old == [(date(2026, 1, 1), 2), (date(2026, 11, 15), 0)]
    carried = [tuple(step) for step in await conn.fetch(STEPS, row["id"])]
    assert carried == [(date(2026, 11, 15), 2), (date(2027, 1, 1), 3)]
    balance = await conn.fetchval("select balance from payments.account_balance where account_id = $1", book.account)
    assert Money(balance) == Money(5000), "balances do not move"

    # November was the former owner's, December is the new one's.
    assert [fee.quantity for fee in await charging.fees_of(conn, book.account, date(2026, 11, 1))] == [2]
    assert [fee.quantity for fee in await charging.fees_of(conn, book.account, date(2026, 12, 1))] == [0]
    assert [fee.quantity for fee in await charging.fees_of(conn, row["id"], Month.of(date(2026, 12, 1)).first)] == [2]

    # The former owner sees the own history and nothing of the new one.
    anna = await office.visitor(Role.CUSTOMER, book.customer)
    home = await anna.get("/", allow_redirects=True)
    assert "50,00" in home.text
    assert "Nowy" not in home.text
    assert (await anna.get(f"/admin/accounts/{row['id']}")).status == 403


async def test_without_carrying_the_fees_only_end(office: Office, site: Site, conn: Connection) -> None:
    async with acting(site) as tx:
        book, flat, _component = await furnish(tx, of_flat=True)
    admin = await office.visitor(Role.ADMIN)
    new = {"since": "01.11.2026", "customer_no": "200", "name": "Firma", "kind": "company"}
    assert (await admin.post(f"/admin/premises/{flat}/hand-over", new)).status == 303
    assert await conn.fetchval("select count(*) from payments.fee_quantity where account_id <> $1", book.account) == 0
    assert [tuple(step)[1] for step in await conn.fetch(STEPS, book.account)] == [2, 0]
    # It comes back to Anna: her account for the flat is used again.
    back = {"since": "20.11.2026", "customer_no": "100"}
    assert (await admin.post(f"/admin/premises/{flat}/hand-over", back)).status == 303
    assert await conn.fetchval("select count(*) from payments.account") == 2
    # Accounts are kept for the flat: nobody but a superadministrator removes it.
    assert (await admin.post(f"/admin/premises/{flat}/remove")).status == 422
    boss = await office.visitor(Role.SUPERADMIN, mode=True)
    form = (await boss.get(f"/admin/premises/{flat}/purge")).text
    assert re.search(r'name="password"', form)
    async with acting(site, superadmin_mode=True) as tx:
        assert await tx.fetchval("select customers.purge_premises($1, 'wyburzony')", flat)
        assert not await tx.fetchval("select customers.purge_premises($1, 'wyburzony')", flat)
    assert await conn.fetchval("select count(*) from payments.account where service_point = $1", flat) == 2
    assert (await admin.get(f"/admin/premises/{flat}")).status == 200
    assert (await admin.post(f"/admin/premises/{flat}/hand-over", back)).status == 422
    findings = [
        finding
        for name, check in site.registry.checks.items()
        if name.startswith("payments.") and "verify" in check.when
        async for finding in check.run(conn)
        if not hasattr(finding, "total")
    ]
    assert not findings
    assert date(2026, 11, 24) == TODAY

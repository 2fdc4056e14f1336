"""Every figure opens into what makes it: the customer's pages, the office's, and the papers."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest

from kernel import Role, Site
from kernel.testing import Office, Page
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["customers", "payments", "balances"])

OCT, NOV = date(2026, 10, 10), date(2026, 11, 10)


@pytest.fixture
def site(site: Site) -> Site:
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    return site


def plain(page: Page) -> str:
    """A page as it reads: without tags, with plain spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text).replace("\u00a0", " "))


async def test_a_customer_sees_where_the_amounts_come_from(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, _second, paid = await book.post(
            book.charge(10000, OCT, title="Czynsz za październik"),
            book.charge(51240, date(2026, 12, 10), title="Czynsz za grudzień"),
            book.payment(6000, date(2026, 10, 8)),
        )
        other = await Book.opened(conn, "4712")
        (foreign,) = await other.post(other.charge(99900, NOV, title="Cudzy czynsz"))
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    why = await customer.get("/balance/why")
    text = plain(why)
    assert why.status == 200
    assert "Do zapłaty do 24 listopada 2026 40,00 zł" in text
    assert "10 października 2026 to sobota, więc termin przesuwa się na 12 października 2026" in text
    assert "zapłacono 60,00 zł z 100,00 zł" in text
    assert "Płatne później" in text
    assert "Cudzy" not in text
    opened = plain(await customer.get("/balance/why?open=2026"))
    assert "październik" in opened.casefold()
    entries = plain(await customer.get("/balance/why?open=2026-10"))
    assert "odejmujemy: Wpłata" in entries
    entry = plain(await customer.get(f"/balance/entries/{first}"))
    assert "Pozostało do zapłaty 40,00 zł" in entry
    assert "Odejmujemy wpłatę z 8 października 2026" in entry
    went = plain(await customer.get(f"/balance/entries/{paid}"))
    assert "Na co poszła ta wpłata" in went
    assert "art. 451 § 3" in went or "wpłata przed terminem" in went
    assert (await customer.get(f"/balance/entries/{foreign}")).status == 404


async def test_the_past_and_the_statement_of_a_customer(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(
            book.charge(10000, OCT, title="Czynsz", issued_on=date(2026, 9, 20)),
            book.payment(10000, date(2026, 11, 3)),
            book.payment(500, date(2026, 11, 5)),
        )
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    past = plain(await customer.get("/balance/past?on=1.11.2026"))
    assert "Stan na 1 listopada 2026, według wiedzy z 24.11.2026, 13:00" in past
    assert "do zapłaty 100,00 zł" in past
    assert "1–30 dni 100,00 zł" in past
    ahead = await customer.get("/balance/past?on=1.1.2027")
    assert ahead.status == 200
    assert "dopiero nadejdzie" in ahead.text
    assert (await customer.get("/balance/past?on=kiedyś")).status == 422
    statement = plain(await customer.get("/balance/statement?from=1.10.2026&to=24.11.2026"))
    assert "01.10.2026 Saldo początkowe okresu 100,00 zł" in statement
    assert "05.11.2026 Wpłata 5,00 zł nadpłata 5,00 zł" in statement
    pdf = await customer.get("/balance/statement.pdf?from=1.10.2026&to=24.11.2026")
    assert pdf.content[:5] == b"%PDF-"
    assert pdf.content == (await customer.get("/balance/statement.pdf?from=1.10.2026&to=24.11.2026")).content
    assert (await customer.get("/balance/statement?from=2.2.2026&to=1.1.2026")).status == 200


async def test_the_office_asks_as_of_and_as_known_on(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charged,) = await book.post(book.charge(10000, NOV))
    admin = await office.visitor(Role.ADMIN)
    for path in ("why", "history", "history/entries", "statement", "statement.pdf"):
        assert (await admin.get(f"/admin/accounts/{book.account}/{path}")).status == 200, path
        assert (await admin.get(f"/admin/accounts/999999/{path}")).status == 404, path
    assert (await admin.get(f"/admin/entries/{charged}/why")).status == 200
    unknown = plain(await admin.get(f"/admin/accounts/{book.account}/history?known=2026-11-01"))
    assert "rozliczone" in unknown
    assert "według wiedzy z 01.11.2026, 23:59" in unknown
    known = plain(await admin.get(f"/admin/accounts/{book.account}/history?on={TODAY}"))
    assert "do zapłaty 100,00 zł" in known
    early = plain(await admin.get(f"/admin/accounts/{book.account}/history?known=2026-11-01&at=10:15"))
    assert "według wiedzy z 01.11.2026, 10:15" in early
    entries = await admin.get(f"/admin/accounts/{book.account}/history/entries?known=2026-11-01")
    assert "Czynsz" not in entries.text
    assert "Czynsz" in (await admin.get(f"/admin/accounts/{book.account}/history/entries?known={TODAY}")).text


async def test_a_voided_entry_counts_no_more_and_says_so(site: Site, office: Office) -> None:
    async with acting(site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        (charged,) = await book.post(book.charge(10000, NOV))
        await book.void(charged)
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    page = plain(await customer.get(f"/balance/entries/{charged}"))
    assert "Ten zapis został usunięty i się nie liczy." in page
    assert "wpisane dwa razy" not in page
    admin = await office.visitor(Role.ADMIN)
    assert "wpisane dwa razy" in plain(await admin.get(f"/admin/entries/{charged}/why"))

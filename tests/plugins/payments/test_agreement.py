"""One «to pay» everywhere: the portal, its explanation, the payment orders and codes, the API, the office's pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from kernel import Money, Role, Site
from kernel.testing import Office
from plugins.payments import store
from plugins.payments.books import store as books
from plugins.payments.books.model import BookRules
from plugins.payments.explain import model as explain
from plugins.payments.explain import store as explained
from plugins.payments.explain.store import Whose
from plugins.payments.ledger import KeptLedger
from tests.plugins.payments.ledger import TODAY, Book, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["customers", "payments", "balances", "printing"])

WATER = BookRules("Woda", "auxiliary", "civil", False, True, "statutory_delay", None, 3, "black", False, "Wodociągi")


async def _with_two_accounts(site: Site) -> tuple[Book, Book]:
    async with acting(site, superadmin_mode=True) as conn:
        customer = await add_customer(conn)
        main = (await store.open_accounts(conn, [customer], TODAY))[customer]
        water = await books.add_book(conn, "water", WATER)
        other = await conn.fetchval("select payments.open_account($1, $2, null, '4711-W', $3)", customer, water, TODAY)
    return Book(conn, customer, main), Book(conn, customer, other)


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_to_pay_is_one_figure_whoever_asks(site: Site, office: Office, seed: int) -> None:
    own, water = await _with_two_accounts(site)
    draw = Random(seed)  # noqa: S311  a history of a test
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    async with acting(site) as conn:
        for book in (own, water):
            mine = Book(conn, book.customer, book.account)
            for _entry in range(draw.randint(0, 5)):
                day = date(2026, 11, 1) + timedelta(days=draw.randint(-400, 45))
                if draw.random() < 0.6:
                    await mine.post(mine.charge(draw.randint(1, 90_000), day))
                else:
                    await mine.post(mine.payment(draw.randint(1, 90_000), min(day, TODAY)))
            if draw.random() < 0.5:
                await mine.post(mine.charge(5_000, date(2021, 5, 10), title="Przedawniona"))
    today = site.clock.today()
    async with site.db.connection() as conn:
        position = await KeptLedger().position(conn, own.customer, today)
        payees = await KeptLedger().payees(site, conn, own.customer, today)
        standing = await explained.standing(conn, Whose(own.customer), today)
        why = explain.to_pay(standing)
    assert Money.total(payee.to_pay for payee in payees) == position.to_pay
    assert standing.position == position
    assert why.amount == position.to_pay
    tenant = await office.visitor(Role.CUSTOMER, own.customer)
    seen = (await tenant.get("/api/v1/balance")).json()
    assert seen["to_pay"] == position.to_pay.plain
    for address in ("/", "/balance", "/balance/why", "/payment-order"):
        page = await tenant.get(address)
        assert page.status == 200, address
        if position.to_pay:
            assert _figure(position.to_pay) in _plain(page.text), address


def _figure(amount: Money) -> str:
    return amount.plain.replace(".", ",")


def _plain(text: str) -> str:
    """A page's text without the spaces of its figures."""
    return text.replace("\u00a0", "").replace("\u202f", "").replace("&nbsp;", "")

"""From the ledger to the bank: what is charged stands on the order, and a payment lowers the next one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pypdfium2
import pytest
import zxingcpp

from kernel import Connection, Role
from kernel.settings import save
from kernel.testing import Office, Visitor
from plugins.payments.books import store as books
from plugins.payments.books.model import BookRules, virtual_account
from plugins.payments.settings import Settings
from tests.plugins.payments.ledger import Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments", "printing"])

NRB = "29101010100012345600004711"


async def code_of(visitor: Visitor) -> list[str]:
    answer = await visitor.get("/payment-order.pdf")
    assert answer.status == 200
    page = pypdfium2.PdfDocument(answer.content)[0]
    return zxingcpp.read_barcodes(page.render(scale=3).to_pil())[0].text.split("|")


async def test_the_order_follows_the_ledger(office: Office) -> None:
    office.site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    payee = Settings.model_validate({"payee_name": "SM Przykład", "payee_nip": "123-456-32-18"})
    async with acting(office.site) as conn:
        await save(office.site, conn, "payments", payee)
        await books.set_first_payee(conn, NRB, office.site.clock.now())
        book = await Book.opened(conn)
        await book.post(book.charge(3762, date(2026, 11, 20)))
    visitor = await office.visitor(Role.CUSTOMER, book.customer)
    assert (await code_of(visitor))[:6] == ["1234563218", "PL", NRB, "003762", "SM Przykład", "Opłaty 4711"]
    async with acting(office.site) as conn:
        book.conn = conn
        await book.post(book.payment(2000, date(2026, 11, 23)))
    assert (await code_of(visitor))[3] == "001762"
    assert "17,62" in (await visitor.get("/payment-order")).text


async def test_each_bank_account_has_its_order_and_a_customer_s_own_number_comes_first(office: Office) -> None:
    """Rent to the common account, water to the customer's own number, deposits (no account of theirs) with the rent."""
    site = office.site
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    async with acting(site) as conn:
        await books.set_first_payee(conn, NRB, site.clock.now())
        book = await Book.opened(conn)
        rules = BookRules("Woda", "auxiliary", "civil", False, True, "none", None, 3, "black", False, "Wodociągi")
        water = await books.add_book(conn, "water", rules)
        await books.ask_payee_change(conn, water, "", "10101010001234560", site.clock.now())
        deposits = await books.add_book(conn, "deposits", replace(rules, name="Kaucje", payee_name=""))
        for kept, number, grosze in ((water, "W1", 2000), (deposits, "K1", 300)):
            account = await books.open_account(conn, book.customer, kept, None, number, date(2026, 11, 24))
            own = replace(book, account=account)
            await own.post(own.charge(grosze, date(2026, 11, 20)))
        await book.post(book.charge(10000, date(2026, 11, 20)))
    visitor = await office.visitor(Role.CUSTOMER, book.customer)
    sheets = pypdfium2.PdfDocument((await visitor.get("/payment-order.pdf")).content)
    codes = [zxingcpp.read_barcodes(sheet.render(scale=3).to_pil())[0].text.split("|") for sheet in sheets]
    own = virtual_account("10101010001234560", 1)
    assert [code[2:5] for code in codes] == [[NRB, "010300", "ebok"], [own, "002000", "Wodociągi"]]
    page = (await visitor.get("/payment-order")).text.replace("\xa0", " ")
    assert "123,00" in page
    assert "Przelew 2 z 2" in page
    async with acting(site) as conn:
        paid = replace(book, conn=conn, account=await own_account(conn, "W1"))
        await paid.post(paid.payment(2000, date(2026, 11, 24)))
        closing = await books.account(conn, paid.account)
        assert closing is not None
        await books.close_account(conn, closing, date(2026, 11, 24))
    page = (await visitor.get("/payment-order")).text
    assert "Przelew 2 z 2" not in page
    assert own[-4:] not in page, "nobody pays to a closed account"


async def own_account(conn: Connection, number: str) -> int:
    return await conn.fetchval("select id from payments.account where account_no = $1", number)

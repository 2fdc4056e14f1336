"""The payment order in the browser: shown, made, printed, refused, and whose it is."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import asyncpg
import pdfplumber
import pypdfium2
import pytest
import zxingcpp
from aiohttp.test_utils import make_mocked_request

from kernel import ACTOR, Actor, Connection, Role
from kernel.testing import Office, Visitor
from plugins import printing
from plugins.printing import store
from plugins.printing.model import is_reference
from tests.plugins.printing import fixed_ledger
from tests.plugins.printing.fixed_ledger import LEDGER, NRB, OTHER_NRB, payee

pytestmark = pytest.mark.ebok(plugins=[], modules={"payments": fixed_ledger, "printing": printing})

ADD_CUSTOMER = """
    insert into kernel.customer (customer_no, name, street, building, flat, postal_code, city)
    values ($1, $2, 'Długa', '17', '4', '00-950', 'Warszawa') returning id
"""


@pytest.fixture(autouse=True)
def _owed(office: Office) -> None:
    office.site.clock.move_to(datetime(2026, 11, 25, 12, tzinfo=UTC))
    LEDGER.found = [payee(51240)]


async def a_customer(conn: Connection, customer_no: str = "4711", name: str = "Żaneta Gęśla") -> int:
    return await conn.fetchval(ADD_CUSTOMER, customer_no, name)


@pytest.fixture
async def customer(conn: Connection) -> int:
    return await a_customer(conn)


@pytest.fixture
async def payer(office: Office, customer: int) -> Visitor:
    return await office.visitor(Role.CUSTOMER, customer)


def code_in(pdf: bytes) -> list[list[str]]:
    pages = pypdfium2.PdfDocument(pdf)
    return [code.text.split("|") for page in pages for code in zxingcpp.read_barcodes(page.render(scale=3).to_pil())]


def text_in(pdf: bytes) -> str:
    return pdfplumber.open(io.BytesIO(pdf)).pages[0].extract_text().replace("\xa0", " ")


async def pdf_of(visitor: Visitor, **query: str) -> bytes:
    answer = await visitor.get("/payment-order.pdf?" + urlencode(query))
    assert answer.status == 200, answer.text
    assert answer.headers["Content-Type"] == "application/pdf"
    return answer.content


async def orders_kept(conn: Connection) -> int:
    return await conn.fetchval("select count(*) from printing.payment_order")


async def test_the_page_has_everything_that_a_bank_asks_for(payer: Visitor) -> None:
    page = await payer.get("/payment-order")
    assert page.status == 200
    text = page.text.replace("\xa0", " ")
    assert "29 1010 1010 0012 3456 0000 4711" in text
    assert "512,40" in text
    assert "4711 Czynsz 11/2026" in text
    assert "10 grudnia 2026" in text
    assert '<svg class="qr"' in text
    assert "style=" not in text


async def test_the_paper_is_for_what_there_is_to_pay(payer: Visitor, conn: Connection) -> None:
    pdf = await pdf_of(payer)
    assert code_in(pdf) == [["1234563218", "PL", NRB, "051240", "SM Przykład", "4711 Czynsz 11/2026", "", "", ""]]
    assert "Do zapłaty 512,40 zł do 10 grudnia 2026" in text_in(pdf)
    assert await orders_kept(conn) == 0, "looking writes nothing"


async def test_any_other_amount_and_cash(payer: Visitor) -> None:
    for amount, grosze in (("100", 10000), ("1 234,56 zł", 123456), ("0,01", 1)):
        pdf = await pdf_of(payer, amount=amount, kind="cash")
        assert code_in(pdf)[0][3] == f"{grosze:06d}"
    assert "zero złotych 01/100" in text_in(pdf)


async def test_no_amount_leaves_it_to_the_payer(payer: Visitor) -> None:
    pdf = await pdf_of(payer, amount="", blank="1")
    assert code_in(pdf)[0][3] == "000000"
    assert "wpisz kwotę samodzielnie" in text_in(pdf)


async def test_an_empty_amount_is_the_whole_amount(payer: Visitor) -> None:
    assert code_in(await pdf_of(payer, amount=""))[0][3] == "051240"


WRONG = ["1e3", "NaN", "-5", "1 234,567", "0", "٣", "1000000000", "99999999999999999"]


async def test_a_wrong_amount_is_refused_and_kept_in_its_field(payer: Visitor, conn: Connection) -> None:
    for amount in WRONG:
        query = "?" + urlencode({"amount": amount})
        asked, sent = await payer.get("/payment-order" + query), await payer.post("/payment-order", {"amount": amount})
        for answer in (asked, sent):
            assert answer.status == 422, amount
            assert 'aria-invalid="true"' in answer.text
            assert f'value="{amount}"' in answer.text
        assert (await payer.get("/payment-order.pdf" + query)).status == 422
    assert await orders_kept(conn) == 0


async def test_a_wrong_kind_is_refused(payer: Visitor) -> None:
    assert (await payer.post("/payment-order", {"kind": "cheque"})).status == 422
    assert (await payer.get("/payment-order.pdf?kind=cheque")).status == 422


async def made_by(visitor: Visitor, form: Mapping[str, str]) -> str:
    answer = await visitor.post("/payment-order", form)
    assert answer.status == 303, answer.text
    return answer.headers["Location"].rpartition("/")[2]


async def test_a_made_order_has_a_reference_that_stays(payer: Visitor, conn: Connection) -> None:
    reference = await made_by(payer, {"amount": "200", "kind": "cash"})
    assert is_reference(reference)
    page = await payer.get(f"/payment-order/{reference}")
    assert page.status == 200
    assert f"{reference} 4711 Czynsz" in page.text
    first = await payer.get(f"/payment-order/{reference}.pdf")
    LEDGER.found = [payee(1, name="Someone else")]
    again = await payer.get(f"/payment-order/{reference}.pdf")
    assert first.content == again.content, "what was printed stays readable"
    assert code_in(first.content)[0][3:6] == ["020000", "SM Przykład", f"{reference} 4711 Czynsz 11/2026"]
    assert "dwieście złotych 00/100" in text_in(first.content)


async def test_the_same_order_of_a_day_is_one_order(payer: Visitor, conn: Connection, office: Office) -> None:
    first = await made_by(payer, {"amount": "200"})
    assert await made_by(payer, {"amount": "200,00 zł"}) == first
    assert await made_by(payer, {"amount": "", "blank": "true"}) == await made_by(payer, {"blank": "true"})
    assert await orders_kept(conn) == 2
    assert await made_by(payer, {"amount": "200", "kind": "cash"}) != first
    office.site.clock.move_to(datetime(2026, 11, 26, 12, tzinfo=UTC))
    assert await made_by(payer, {"amount": "200"}) != first


async def test_a_foreign_order_does_not_exist(payer: Visitor, office: Office, conn: Connection) -> None:
    reference = await made_by(payer, {"amount": "200"})
    stranger = await office.visitor(Role.CUSTOMER, await a_customer(conn, "815", "Jan Obcy"))
    for path in (f"/payment-order/{reference}", f"/payment-order/{reference}.pdf", "/payment-order/EB0000000"):
        assert (await stranger.get(path)).status == 404


async def test_the_office_prints_for_a_customer(office: Office, customer: int, payer: Visitor) -> None:
    clerk = await office.visitor(Role.ADMIN)
    path = f"/admin/customers/{customer}/payment-order.pdf"
    answer = await clerk.get(f"{path}?amount=20")
    assert code_in(answer.content)[0][3:6] == ["002000", "SM Przykład", "4711 Czynsz 11/2026"]
    assert (await clerk.get("/admin/customers/999999/payment-order.pdf")).status == 404
    assert (await clerk.get("/payment-order")).status == 403
    assert (await payer.get(path)).status == 403
    assert (await (await office.visitor()).get("/payment-order.pdf")).status == 303


async def test_an_order_for_each_payee_account(payer: Visitor) -> None:
    LEDGER.found = [payee(10000), payee(20000, OTHER_NRB, "Fundusz remontowy"), payee(0, "1" * 26)]
    page = (await payer.get("/payment-order")).text.replace("\xa0", " ")
    assert "Przelew 1 z 2" in page
    assert "Przelew 2 z 2" in page
    pdf = await pdf_of(payer)
    assert [fields[2:4] for fields in code_in(pdf)] == [[NRB, "010000"], [OTHER_NRB, "020000"]]
    assert "1 z 2, razem 300,00 zł" in text_in(pdf)
    reference = await made_by(payer, {"account": OTHER_NRB})
    assert code_in((await payer.get(f"/payment-order/{reference}.pdf")).content)[0][2] == OTHER_NRB
    spaced = await pdf_of(payer, account="PL 61 1090 1014 0000 0712 1981 2874")
    assert [fields[3] for fields in code_in(spaced)] == ["020000"]
    assert (await payer.get("/payment-order.pdf?account=" + "2" * 26)).status == 422
    assert (await payer.get("/payment-order.pdf?account=07109010140000000000000001")).status == 404


async def test_three_accounts_are_three_numbered_orders_with_the_total(payer: Visitor, conn: Connection) -> None:
    third = "75101010100012345600000003"
    LEDGER.found = [payee(10000), payee(20050, OTHER_NRB, "Fundusz remontowy"), payee(7, third)]
    page = (await payer.get("/payment-order")).text.replace("\xa0", " ")
    assert re.sub("<[^>]+>", "", page).count("300,57 zł") == 1, "the total, once"
    assert "Trafia na 3 rachunki" in page
    for number, amount in enumerate(("100,00", "200,50", "0,07"), start=1):
        assert re.search(rf"Przelew {number} z 3: .*{amount}", page)
    assert page.count('<svg class="qr"') == 3
    pdf = await pdf_of(payer)
    assert [fields[2:4] for fields in code_in(pdf)] == [[NRB, "010000"], [OTHER_NRB, "020050"], [third, "000007"]]
    for number, sheet in enumerate(pdfplumber.open(io.BytesIO(pdf)).pages, start=1):
        text = sheet.extract_text().replace("\xa0", " ")
        assert f"Polecenie {number} z 3." in text
        assert f"{number} z 3, razem 300,57 zł" in text
    refused = await payer.post("/payment-order", {"amount": "20"})
    assert refused.status == 422
    assert 'id="f-account-error"' in refused.text
    assert await orders_kept(conn) == 0, "nobody guesses whom to pay"


async def test_nothing_to_pay_leaves_the_amount_free(payer: Visitor) -> None:
    LEDGER.found = [payee(0)]
    assert "Nie masz nic do zapłaty" in (await payer.get("/payment-order")).text
    assert code_in(await pdf_of(payer))[0][3] == "000000"


async def test_what_is_overdue_has_no_term(payer: Visitor) -> None:
    LEDGER.found = [payee(51240, overdue=True)]
    assert "Termin już minął" in (await payer.get("/payment-order")).text
    assert "Do zapłaty 512,40 zł" in text_in(await pdf_of(payer)).splitlines(), "without «do dnia»"


async def test_without_an_account_number_the_page_says_so(payer: Visitor) -> None:
    LEDGER.found = [payee(51240, account_no="")]
    page = await payer.get("/payment-order")
    assert page.status == 200
    assert "Biuro nie wpisało tu numeru swojego rachunku" in page.text
    assert code_in(await pdf_of(payer)) == [], "printed to be completed by hand, without a code"
    refused = await payer.post("/payment-order", {"amount": "5"})
    assert refused.status == 422, "an order that is kept names the account"
    assert "Biuro nie wpisało numeru swojego rachunku" in refused.text


async def test_the_payer_s_address_is_one_line(conn: Connection, customer: int) -> None:
    assert await store.payer(conn, customer) == store.Payer("Żaneta Gęśla", "Długa 17/4, 00-950 Warszawa", "4711")
    bare = await conn.fetchval("insert into kernel.customer (customer_no, name) values ('1', 'X') returning id")
    assert await store.payer(conn, bare) == store.Payer("X", "", "1")
    assert await store.payer(conn, 10**6) is None


async def test_the_menu_leads_here(payer: Visitor) -> None:
    page = await payer.get("/payment-order")
    assert re.search(r'<a href="/payment-order" aria-current="page">.*Zapłać', page.text)


async def test_the_balance_leads_here(office: Office) -> None:
    request = make_mocked_request("GET", "/balance")
    request[ACTOR] = Actor(user=1, role=Role.CUSTOMER, permissions=frozenset({"printing.order"}))
    cards = await printing.page_slot(request, "balances.actions")
    assert [card.template for card in cards] == ["printing/pay_action.html"]
    assert await printing.page_slot(request, "elsewhere") == []
    request[ACTOR] = Actor()
    assert await printing.page_slot(request, "balances.actions") == []


async def test_a_kept_order_cannot_be_changed_and_goes_with_its_customer(
    payer: Visitor, customer: int, conn: Connection
) -> None:
    await made_by(payer, {"amount": "200"})
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute("update printing.payment_order set amount = 1")
    await conn.execute("delete from kernel.customer where id = $1", customer)
    assert await orders_kept(conn) == 0

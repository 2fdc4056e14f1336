"""A bank's file becomes balances: what is certain by itself, what is unclear explained and assigned by a person."""

from __future__ import annotations

import asyncpg
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Demo

pytestmark = pytest.mark.browser


async def asked(demo: Demo, query: str, *values: object) -> asyncpg.Record:
    connection = await asyncpg.connect(demo.dsn)
    try:
        [row] = await connection.fetch(query, *values)
        return row
    finally:
        await connection.close()


async def balance(demo: Demo, customer_no: str) -> int:
    """Grosze, over all accounts of a customer."""
    row = await asked(
        demo,
        "select sum(b.balance)::bigint as balance from kernel.customer c join payments.account a on a.customer = c.id"
        " join payments.account_balance b on b.account_id = a.id where c.customer_no = $1",
        customer_no,
    )
    return row["balance"]


async def statement(demo: Demo, number: int, customer_no: str) -> bytes:
    """One payment whose title and payer agree with a customer, one that nothing points to."""
    own = await asked(demo, "select payee_account from payments.book where code = 'main'")
    who = await asked(demo, "select name from kernel.customer where customer_no = $1", customer_no)
    lines = (
        ":20:X",
        f":25:PL{own['payee_account']}",
        f":28C:{number}",
        ":60F:C261122PLN10,00",
        f":61:261123C51,{number:02}NTRFNONREF//A{number}",
        f":86:020~00PRZELEW~20czynsz {customer_no}~32{who['name']}",
        f":61:261123C7,{number:02}NTRFNONREF//B{number}",
        ":86:020~00PRZELEW~20za mieszkanie mamy~32Ktos Daleki",
        f":62F:C261123PLN{10 + 51 + 7},{2 * number:02}",
        "-",
    )
    return "\r\n".join(lines).encode()


async def test_a_file_is_booked_and_what_is_unclear_is_explained(demo: Demo, page: Page) -> None:
    customer = demo.account("in arrears")["customer_no"]
    before = await balance(demo, customer)
    already = await asked(demo, "select count(*) from payments.bank_statement")
    number = 1 + already["count"]
    content = await statement(demo, number, customer)
    await demo.log_in(page.context, "admin")

    await page.goto(f"{demo.url}/admin/payments/bank")
    await page.get_by_role("link", name="Wczytaj plik z banku").click()
    file = {"name": "wyciag.sta", "mimeType": "text/plain", "buffer": content}
    await page.get_by_label("Plik z banku").set_input_files(file)  # pyright: ignore[reportArgumentType]
    await page.get_by_role("button", name="Wczytaj plik").click()

    # Every line, whose it is and why; nothing is booked yet.
    main = page.get_by_role("main")
    await expect(main).to_contain_text(f"w tytule jest numer klienta {customer}")
    await expect(main).to_contain_text("niejasna, do wyjaśnienia")
    assert await balance(demo, customer) == before
    await page.get_by_role("button", name="Zaksięguj").click()
    await expect(main).to_contain_text("zaksięgowany")
    assert await balance(demo, customer) == before - 5100 - number

    # What is unclear waits; a person says whose it is.
    await page.get_by_role("link", name="Ktos Daleki").click()
    await page.get_by_role("link", name="Wskaż, czyja to wpłata").click()
    await page.get_by_label("Nr konta lub klienta, wiersz 1").fill(customer)
    await page.get_by_label("Kwota, wiersz 1").fill(f"7,{number:02}")
    await page.get_by_role("button", name="Przypisz wiersze").click()
    await expect(main).to_contain_text("Wszystko przypisane")
    assert await balance(demo, customer) == before - 5800 - 2 * number

    # The same file again books nothing.
    await page.goto(f"{demo.url}/admin/payments/bank/new")
    await page.get_by_label("Plik z banku").set_input_files(file)  # pyright: ignore[reportArgumentType]
    await page.get_by_role("button", name="Wczytaj plik").click()
    assert await balance(demo, customer) == before - 5800 - 2 * number


async def test_a_camt_file_is_read_and_booked_from_the_figure_to_its_lines(demo: Demo, page: Page) -> None:
    customer = demo.account("in arrears")["customer_no"]
    own = await asked(demo, "select payee_account from payments.book where code = 'main'")
    who = await asked(demo, "select name from kernel.customer where customer_no = $1", customer)
    before = await balance(demo, customer)
    already = await asked(demo, "select count(*) from payments.bank_statement")
    number = 500 + already["count"]
    content = f"""<?xml version="1.0"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><Stmt><Id>{number}</Id>
<LglSeqNb>{number}</LglSeqNb><Acct><Id><IBAN>PL{own["payee_account"]}</IBAN></Id><Ccy>PLN</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="PLN">0.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<Dt><Dt>2026-11-22</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="PLN">12.34</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<Dt><Dt>2026-11-23</Dt></Dt></Bal>
<Ntry><Amt Ccy="PLN">12.34</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-11-23</Dt></BookgDt>
<ValDt><Dt>2026-11-23</Dt></ValDt><AcctSvcrRef>C{number}</AcctSvcrRef><NtryDtls><TxDtls><RltdPties><Dbtr>
<Nm>{who["name"]}</Nm></Dbtr></RltdPties><RmtInf><Ustrd>czynsz {customer}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
</Stmt></BkToCstmrStmt></Document>""".encode()
    await demo.log_in(page.context, "admin")
    await page.goto(f"{demo.url}/admin/payments/bank/new")
    file = {"name": "wyciag.xml", "mimeType": "text/xml", "buffer": content}
    await page.get_by_label("Plik z banku").set_input_files(file)  # pyright: ignore[reportArgumentType]
    await page.get_by_role("button", name="Wczytaj plik").click()
    main = page.get_by_role("main")
    await expect(main).to_contain_text(f"w tytule jest numer klienta {customer}")
    await page.get_by_role("button", name="Zaksięguj").click()
    await expect(main).to_contain_text("zaksięgowany")
    assert await balance(demo, customer) == before - 1234

    # A figure opens the lines that make it.
    await page.locator("#sums").locator("xpath=..").get_by_role("link", name="12,34").click()
    assert "place=accounts" in page.url
    await expect(page.get_by_role("row", name=who["name"])).to_have_count(1)

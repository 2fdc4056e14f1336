"""What changed between looking and saying yes: bulk approvals, two clerks on one record; spreadsheets as lists; where
an entry came from."""

from __future__ import annotations

import html
import io
import re
import zipfile
from datetime import date, datetime

import pytest
from xlsxwriter import Workbook

from kernel import Connection, Money, Refused, Site
from kernel.db.pool import Stamp
from kernel.plugin.permissions import Role
from kernel.testing import Office, Page
from plugins.payments import store
from plugins.payments.charging.reading import ListError, text_of
from plugins.payments.interest import notes
from plugins.payments.suspense import IncomingLine, PartDraft
from plugins.payments.suspense import store as suspense
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments"])


def hidden(page: Page) -> dict[str, str]:
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
    }


def plain(page: Page) -> str:
    return html.unescape(page.text).replace("\xa0", " ")


async def drafts(site: Site, *amounts: int) -> tuple[int, list[int]]:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        keys = await store.add_drafts(conn, [book.payment(amount, date(2026, 11, 9)) for amount in amounts])
        return book.account, sorted(key.entry for key in keys)


async def test_a_draft_that_came_meanwhile_stops_the_approval_of_all(site: Site, office: Office) -> None:
    account, _numbers = await drafts(site, 1000, 2000)
    clerk = await office.visitor(Role.ADMIN)
    address = "/admin/payments/approve?customer=4711"
    seen = await clerk.get(address)
    async with acting(site) as conn:
        await store.add_drafts(conn, [Book(conn, 0, account).payment(500, date(2026, 11, 9))])
    late = await clerk.post(address, hidden(seen))
    assert late.status == 422
    assert (
        "Było ich 2: naliczenia 0,00 zł, wpłaty 30,00 zł. Teraz jest 3: naliczenia 0,00 zł, wpłaty 35,00 zł"
        in plain(late)
    )
    assert (await clerk.post(address, hidden(late) | {"_key": "again"})).status == 303
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.entry where state = 'approved'") == 3


async def test_the_same_count_and_sum_of_other_drafts_is_noticed(site: Site, office: Office) -> None:
    account, numbers = await drafts(site, 1000, 2000)
    clerk = await office.visitor(Role.ADMIN)
    address = "/admin/payments/approve?customer=4711"
    seen = await clerk.get(address)
    async with acting(site) as conn:
        for number, amount in zip(numbers, (2000, 1000), strict=True):
            await conn.execute("update payments.entry set amount = $2 where id = $1", number, amount)
    late = await clerk.post(address, hidden(seen))
    assert late.status == 422
    assert "ktoś zmienił jeden ze szkiców" in plain(late)
    assert account


async def test_two_clerks_on_one_draft(site: Site, office: Office) -> None:
    _account, (number,) = await drafts(site, 1000)
    one, other = await office.visitor(Role.ADMIN), await office.visitor(Role.ADMIN)
    address = f"/admin/entries/{number}/edit"
    mine, theirs = await one.get(address), await other.get(address)
    typed = {"day": "09.11.2026", "channel": "transfer"}
    assert (await other.post(address, hidden(theirs) | typed | {"amount": "12", "title": "za wodę"})).status == 303
    late = await one.post(address, hidden(mine) | typed | {"amount": "15", "title": "za gaz"})
    assert late.status == 422
    for words in ("Kwota: 10,00 → 12,00", "Tytuł: Wpłata → za wodę", 'value="15"', 'value="za gaz"'):
        assert words in plain(late)
    again = await one.post(address, hidden(late) | typed | {"_key": "2", "amount": "15", "title": "za gaz"})
    assert again.status == 303
    async with acting(site) as conn:
        row = await conn.fetchrow("select amount, title from payments.entry where id = $1", number)
        assert row is not None
        assert tuple(row) == (1500, "za gaz")


async def test_two_superadministrators_on_one_book(site: Site, office: Office) -> None:
    one, other = await office.visitor(Role.SUPERADMIN), await office.visitor(Role.SUPERADMIN)
    address = "/admin/books/1/edit"
    mine = await one.get(address)
    assert mine.status == 200
    form = {"limitation_years": "3", "storno": "black", "prepay": "true"}
    theirs = hidden(await other.get(address)) | form | {"name": "Czynsz"}
    assert (await other.post(address, theirs)).status == 303
    late = await one.post(address, hidden(mine) | form | {"name": "Woda"})
    assert late.status == 422
    assert "Rozrachunki → Czynsz" in plain(late)
    assert 'value="Woda"' in late.text


async def test_who_reverses_alone_is_refused_also_without_the_pages(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(1000, date(2026, 11, 10)))
        await conn.execute(
            "insert into kernel.setting (plugin, value) values ('payments', $1)"
            " on conflict (plugin) do update set value = excluded.value",
            {"approver_differs": True},
        )
        found = await store.entry(conn, charge)
        assert found is not None
    async with site.db.transaction(Stamp("7", "admin")) as conn:
        with pytest.raises(Refused) as refused:
            await store.reverse(conn, found, "pomyłka", TODAY)
        assert refused.value.notes == (store.REFUSALS["approver_is_creator"],)
        await conn.execute("rollback")
        await conn.execute("begin")


async def test_an_entry_says_where_it_came_from(site: Site, office: Office) -> None:
    clerk = await office.visitor(Role.ADMIN)
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(30000, date(2026, 1, 10)))
        (issued,) = await notes.issue(conn, [book.account], date(2026, 10, 31), TODAY, 14)
        interest = await conn.fetchval("select id from payments.entry where kind = 'interest'")
        (line,) = (await suspense.receive(conn, [IncomingLine(Money(5000), TODAY, payer_name="Nowak")], TODAY)).new
        await suspense.assign(conn, line, [PartDraft(book.account, Money(5000))], TODAY)
        payment = await conn.fetchval("select entry from payments.incoming_part")
    assert issued.note_no in (await clerk.get(f"/admin/entries/{interest}")).text
    assert f"Z wpływu nr {line}" in (await clerk.get(f"/admin/entries/{payment}")).text


async def test_an_account_is_not_closed_while_a_payment_waits_to_be_booked(site: Site, office: Office) -> None:
    clerk = await office.visitor(Role.ADMIN)
    async with acting(site) as conn:
        account = await mirrored(conn)
        (line,) = (await suspense.receive(conn, [IncomingLine(Money(900), TODAY, payer_name="Lis")], TODAY)).new
        await suspense.assign(conn, line, [PartDraft(account, Money(900))], TODAY)
    refused = await clerk.post(f"/admin/accounts/{account}/close", {"_key": "close"})
    assert refused.status == 422
    assert "czeka na zaksięgowanie w drugim systemie" in refused.text


async def mirrored(conn: Connection) -> int:
    book = await conn.fetchval(
        "select payments.add_book('faktury', 'Faktury', 'auxiliary', 'civil', false, true, 'none', null, 3, 'red',"
        " true, '')"
    )
    holder = await conn.fetchval(
        "insert into kernel.customer (customer_no, name) values ('F-1', 'Jan Lis') returning id"
    )
    return await conn.fetchval("select payments.open_account($1, $2, null, 'F-1', $3)", holder, book, TODAY)


# --- spreadsheets as lists -------------------------------------------------------------------------------------------


class Sent:
    """An uploaded file."""

    def __init__(self, content: bytes) -> None:
        self.filename, self.content_type, self.content = "lista.xlsx", "application/octet-stream", content


async def test_an_excel_file_is_read_as_if_it_were_pasted() -> None:
    written = io.BytesIO()
    with Workbook(written, {"in_memory": True}) as book:
        sheet, days = book.add_worksheet(), book.add_format({"num_format": "dd.mm.yyyy"})
        sheet.write_row(0, 0, ["kwota", "numer", "termin", "tytuł"])
        sheet.write_row(1, 0, [12.5, 4711])
        sheet.write_datetime(1, 2, datetime(2026, 12, 10), days)  # noqa: DTZ001  a spreadsheet knows no zones
        sheet.write(1, 3, "Domofon")
        sheet.write_row(2, 0, [7, "4712", "10.12.2026", "dwa\nwiersze"])
    text = await text_of("", Sent(written.getvalue()))  # type: ignore[arg-type]
    assert text.splitlines() == [
        "kwota\tnumer\ttermin\ttytuł",
        "12,5\t4711\t10.12.2026\tDomofon",
        "7\t4712\t10.12.2026\tdwa wiersze",
    ]


async def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_read() -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/worksheets/sheet1.xml", b"0" * (70 * 1024 * 1024))
    for content in (written.getvalue(), b"PK\x03\x04 cut off", written.getvalue()[:200]):
        with pytest.raises(ListError):
            await text_of("", Sent(content))  # type: ignore[arg-type]

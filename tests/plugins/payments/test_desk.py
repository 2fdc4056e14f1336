"""The page of an account and what the office does there: each transition, and what is refused with its reason."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, LiteralString

import pytest

from kernel import Connection, Money, Role, Site
from kernel.testing import Office, Page, Visitor
from plugins.payments import checks, store
from plugins.payments import suspense as suspense_part
from plugins.payments.desk import store as desk_store
from plugins.payments.suspense import store as suspense
from plugins.payments.suspense.model import IncomingLine, PartDraft
from tests.plugins.payments.ledger import TODAY, Book, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["payments", "balances"])

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATE, LATER, SOON = date(2026, 9, 10), date(2026, 10, 12), date(2026, 12, 10)


@pytest.fixture
def site(site: Site) -> Site:
    site.clock.move_to(NOW)
    return site


@dataclass(slots=True)
class Desk:
    """A clerk at the desk, with the office's database behind."""

    site: Site
    clerk: Visitor

    async def see(self, path: str) -> str:
        page = await self.clerk.get(path)
        assert page.status == 200, (path, page.status, page.headers.get("Location"))
        return page.text.replace("\u00a0", " ")

    async def send(self, path: str, **form: str) -> Page:
        """Fill in the form of a page and send it, with whatever else stands in it, as a browser does."""
        page = await self.clerk.get(path)
        fields = dict(INPUT.findall(page.text)) if page.status == 200 else {}
        return await self.clerk.post(path, {**fields, **form})

    async def done(self, path: str, **form: str) -> str:
        """The same; where it leads to."""
        answer = await self.send(path, **form)
        assert answer.status == 303, (path, answer.status, said(answer))
        return answer.headers["Location"]

    async def refused(self, path: str, field: str, words: str, **form: str) -> None:
        """The same, refused at a field for a reason; nothing typed is lost, nothing has changed."""
        before = await self.only("select count(*) || ' ' || coalesce(max(id), 0) from payments.entry")
        answer = await self.send(path, **form)
        assert answer.status == 422, (path, answer.status)
        if field:
            assert f'id="f-{field}-error"' in answer.text, said(answer)
        assert words in answer.text, said(answer)
        for name, value in form.items():
            if f'<input id="f-{name}" name="{name}"' in answer.text:
                assert f'value="{value}"' in answer.text
        assert before == await self.only("select count(*) || ' ' || coalesce(max(id), 0) from payments.entry")

    async def only(self, question: LiteralString, *values: object) -> Any:
        async with acting(self.site) as conn:
            return await conn.fetchval(question, *values)

    async def rows(self, question: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        async with acting(self.site) as conn:
            return [tuple(row) for row in await conn.fetch(question, *values)]

    async def sound(self) -> None:
        """What every proof of the ledger says: nothing."""
        async with acting(self.site) as conn:
            found = [finding for check in checks.CHECKS async for finding in check.run(conn)]
        assert found == []


def said(page: Page) -> list[str]:
    return re.findall(r'class="error"[^>]*>.*?<span>(.*?)</span>|<li>(.*?)</li>', page.text)  # type: ignore[return-value]


@pytest.fixture
async def desk(site: Site, office: Office) -> Desk:
    return Desk(site, await office.visitor(Role.ADMIN))


async def two(conn: Connection) -> tuple[Book, Book]:
    """Two customers: the first owes and overpaid nothing, the second neither."""
    first = await Book.opened(conn)
    customer = await add_customer(conn, "4712", "Jan Kowalski")
    accounts = await store.open_accounts(conn, [customer], TODAY)
    return first, Book(conn, customer, accounts[customer])


async def another_account(conn: Connection, customer: int, number: str = "W-4711", *, mirror: bool = False) -> int:
    """An account in a second book."""
    book = await conn.fetchval(
        "select payments.add_book('water', 'Woda', 'auxiliary', 'civil', false, true, 'statutory_delay', null, 3,"
        " 'black', $1, '')",
        mirror,
    )
    return await conn.fetchval("select payments.open_account($1, $2, null, $3, $4)", customer, book, number, TODAY)


# --- the page -------------------------------------------------------------------------------------------------------


async def test_the_page_tells_how_the_account_stands(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(10000, LATE), book.charge(5000, LATER, title="Woda"), book.charge(700, SOON))
        await book.post(book.payment(4000, date(2026, 9, 9)))
        await store.add_drafts(conn, [book.payment(99999, TODAY)])
    text = await desk.see(f"/admin/accounts/{book.account}")
    for words in ("Stanisław Wójcik", "4711", "Do zapłaty", "110,00", "Po terminie", "10 września 2026", "Woda"):
        assert words in text, words
    assert "999,99" in text
    assert "jeszcze się nie liczą" in text
    foot = text[text.index("<tfoot>") : text.index("</tfoot>")]
    assert "157,00" in foot
    assert "40,00" in foot
    assert "999,99" not in foot
    await desk.sound()


async def test_an_overpaid_and_a_settled_account_say_so(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        (payment,) = await book.post(book.payment(2000, TODAY))
    text = await desk.see(f"/admin/accounts/{book.account}")
    assert "Nadpłata" in text
    assert f'href="/admin/entries/{payment}/allocate"' in text
    assert f'href="/admin/entries/{payment}/move"' in text
    assert "Rozliczone" in await desk.see(f"/admin/accounts/{other.account}")
    tab = await desk.see(f"/admin/customers/{book.customer}")
    assert f'href="/admin/accounts/{book.account}"' in tab
    assert "Nadpłata" in tab


async def test_what_was_voided_is_struck_through_with_its_tombstone(desk: Desk) -> None:
    async with acting(desk.site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, LATE))
        await book.void(charge)
    text = await desk.see(f"/admin/accounts/{book.account}")
    assert "<s>Opłata, Czynsz" in text
    assert "powód: wpisane dwa razy" in text
    assert "100,00" in text
    file = await desk.clerk.get(f"/admin/accounts/{book.account}?format=csv")
    (head, row) = list(csv.reader(io.StringIO(file.content.decode("utf-8-sig")), delimiter=";"))
    assert "Opłata, Czynsz, 100,00" in row[2].replace("\u00a0", " ")
    assert row[head.index("Stan")] == "usunięte"


async def test_the_card_is_filtered_sorted_paged_and_exported(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        await book.post(*(book.charge(1000 + n, LATE, title=f"Opłata {n}") for n in range(4)))
        await book.post(book.payment(500, LATE), book.payment(600, LATER))
        await store.add_drafts(conn, [book.charge(77, SOON, title="Szkic")])
    address = f"/admin/accounts/{book.account}"

    async def file(query: str) -> list[list[str]]:
        answer = await desk.clerk.get(f"{address}?format=csv{query}")
        assert answer.status == 200
        return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))[1:]

    assert len(await file("")) == 6
    assert len(await file("&side=credit")) == 2
    assert len(await file("&kind=fee")) == 4
    assert [row[2] for row in await file("&state=draft")] == ["Opłata, Szkic"]
    assert len(await file("&since=2026-10-01")) == 1
    newest, oldest = await file(""), await file("&sort=counted_on")
    assert newest == oldest[::-1]
    page = await desk.see(f"{address}?size=4")
    assert 'rel="next"' in page
    for query in ("?kind=x", "?state=x", "?since=1", "?after=zzz", "?size=0", "?side=credit&sort=nothing"):
        assert (await desk.clerk.get(address + query)).status in (200, 422)


async def test_there_is_no_such_account(desk: Desk) -> None:
    for path in ("", "/opening", "/refund", "/remission", "/write-off", "/transfer-credit", "/transfer-debt"):
        assert (await desk.clerk.get(f"/admin/accounts/999{path}")).status == 404
    assert (await desk.clerk.get("/admin/payments/new?account=999")).status == 404


# --- payments -------------------------------------------------------------------------------------------------------


async def test_a_payment_pays_what_the_payer_wished(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        old, new, last = await book.post(book.charge(10000, LATE), book.charge(10000, LATER), book.charge(3000, SOON))
    entered = await desk.done(
        f"/admin/payments/new?account={book.account}",
        amount="120",
        value_date="24.11.2026",
        kind="payment",
        **{f"place_{new}": "2", f"place_{last}": "1"},
    )
    shown = await desk.see(entered)
    assert shown.index(f'href="/admin/entries/{last}"') < shown.index(f'href="/admin/entries/{new}"')
    await desk.clerk.post(entered, {"_key": "approve"})
    assert await desk.rows("select id, open_amount from payments.entry where side = 'charge' order by id") == [
        (old, 10000),
        (new, 1000),
        (last, 0),
    ]
    await desk.sound()


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ({"place_{own}": "1", "place_{foreign}": "2"}, "nie jest otwarte na tym koncie"),
        ({"place_{own}": "0"}, "Wpisz 1 przy pierwszym"),
        ({"place_{own}": "pierwsze"}, "Wpisz 1 przy pierwszym"),
        ({"place_{own}": "1", "place_{second}": "1"}, "to samo miejsce"),
    ],
)
async def test_a_wish_that_cannot_be(desk: Desk, places: Mapping[str, str], words: str) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        own, second = await book.post(book.charge(10000, LATE), book.charge(100, LATER))
        (foreign,) = await other.post(other.charge(10000, LATE))
    known = {"own": own, "second": second, "foreign": foreign}
    form = {name.format(**known): value for name, value in places.items()}
    await desk.refused(
        f"/admin/payments/new?account={book.account}", "", words, amount="10", value_date="24.11.2026", **form
    )


async def test_a_customer_with_several_accounts_chooses_one(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        water = await another_account(conn, book.customer)
    form = {"customer_no": "4711", "amount": "20", "value_date": "24.11.2026"}
    await desk.refused("/admin/payments/new", "account", "Wybierz", **form)
    entered = await desk.done("/admin/payments/new", account=str(water), **form)
    assert await desk.only("select account_id from payments.entry") == water
    assert "Woda" in await desk.see(entered)
    await desk.refused("/admin/payments/new", "customer_no", "innego klienta", account="999", **form)
    assert f'value="{water}"' in await desk.see("/admin/payments/new?customer=4711")


INPUT = re.compile(
    r'<input (?:type="hidden"|id="f-[^"]+"(?: class="[a-z]+")?) name="([^"]+)"(?: type="text")?'
    r'(?: inputmode="[a-z]+" autocomplete="off" aria-label="[^"]+")? value="([^"]*)"'
)
BAD_DAYS = ("24.11.1900", "24.11.2200", "31.12.1999", "01.01.2051", "31.02.2026", "jutro", "")


@pytest.mark.parametrize("day", BAD_DAYS)
async def test_days_outside_the_books_are_refused(desk: Desk, day: str) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        await book.post(book.payment(2000, TODAY))
    await desk.refused(f"/admin/payments/new?account={book.account}", "value_date", "", amount="1", value_date=day)
    await desk.refused(f"/admin/accounts/{book.account}/opening", "day", "", side="credit", amount="1", day=day)
    await desk.refused(
        f"/admin/accounts/{book.account}/transfer-credit", "day", "", to="4712", amount="1", day=day, reason="pomyłka"
    )


@pytest.mark.parametrize("amount", ["10000000000,01", "0", "-5", "1e3", "NaN", "12,345", ""])
async def test_amounts_that_no_entry_can_have(desk: Desk, amount: str) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, LATE))
        (payment,) = await book.post(book.payment(2000, TODAY))
    here = f"/admin/accounts/{book.account}"
    await desk.refused(
        f"/admin/payments/new?account={book.account}", "amount", "", amount=amount, value_date="24.11.2026"
    )
    await desk.refused(f"{here}/opening", "amount", "", side="credit", amount=amount, day="24.11.2026")
    for path in (f"{here}/remission", f"{here}/write-off", f"/admin/entries/{payment}/allocate"):
        beside = f"amount_{charge}"
        await desk.refused(path, beside if amount else "", "", reason="uchwała", **{beside: amount})


async def test_a_future_value_date_is_refused(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
    await desk.refused(
        f"/admin/payments/new?account={book.account}", "value_date", "nie nadszedł", amount="1", value_date="25.11.2026"
    )
    await desk.refused(
        f"/admin/accounts/{book.account}/opening", "day", "nie nadszedł", side="credit", amount="1", day="25.11.2026"
    )


async def test_an_opening_balance_stands_on_either_side(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
    here = f"/admin/accounts/{book.account}/opening"
    await desk.refused(here, "due_on", "", side="charge", amount="300", day="01.01.2026")
    await desk.refused(here, "due_on", "wcześniejszy", side="charge", amount="3", day="02.01.2026", due_on="01.01.2026")
    owed = await desk.done(here, side="charge", amount="300", day="01.01.2026", due_on="15.01.2026", title="Zaległość")
    paid = await desk.done(here, side="credit", amount="50", day="01.01.2026")
    for address in (owed, paid):
        await desk.clerk.post(address, {"_key": address})
    assert await desk.only("select balance from payments.account_balance") == 25000
    await desk.sound()


# --- refunds, remissions --------------------------------------------------------------------------------------------


async def test_a_refund_takes_at_most_what_is_free(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(10000, LATE), book.payment(25000, LATE))
    here = f"/admin/accounts/{book.account}/refund"
    assert 'value="150,00"' in await desk.see(here)
    await desk.refused(here, "amount", "Nadpłata wynosi tylko 150,00", amount="150,01", reason="na wniosek")
    for amount in ("10000000000,01", "0", "-5", "1e3", ""):
        await desk.refused(here, "amount", "", amount=amount, reason="na wniosek")
    await desk.refused(here, "reason", "", amount="150,00", reason="")
    entered = await desk.done(here, amount="150,00", title="Zwrot nadpłaty", reason="na wniosek z 20 listopada")
    await desk.refused(here, "", "nie ma nadpłaty", reason="jeszcze raz", title="x")
    assert await desk.rows("select issued_on, due_on from payments.entry where kind = 'refund'") == [(TODAY, TODAY)]
    await desk.clerk.post(entered, {"_key": "approve"})
    assert await desk.only("select balance from payments.account_balance") == 0
    assert await desk.only("select sum(open_amount)::bigint from payments.entry") == 0
    await desk.sound()


async def test_a_refund_waits_for_what_is_still_free_when_it_is_approved(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        await book.post(book.payment(25000, LATE))
    entered = await desk.done(f"/admin/accounts/{book.account}/refund", amount="250,00", reason="na wniosek")
    async with acting(desk.site) as conn:
        await Book(conn, book.customer, book.account).post(book.charge(10000, LATER))
    late = await desk.clerk.post(entered, {"_key": "approve"})
    assert late.status == 422
    assert "mniej" in late.text
    assert await desk.only("select state from payments.entry where kind = 'refund'") == "draft"


@pytest.mark.parametrize(("way", "kind"), [("remission", "remission"), ("write-off", "write_off")])
async def test_debts_are_given_up_charge_by_charge(desk: Desk, way: str, kind: str) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        old, new = await book.post(book.charge(10000, LATE), book.charge(5000, LATER))
        (foreign,) = await other.post(other.charge(10000, LATE))
    here = f"/admin/accounts/{book.account}/{way}"
    await desk.refused(here, f"amount_{new}", "otwarte jest tylko 50,00", reason="uchwała 7", **{f"amount_{new}": "51"})
    await desk.refused(here, "", "nie jest otwarte", reason="uchwała 7", **{f"amount_{foreign}": "5"})
    await desk.refused(here, "", "co najmniej jednym", reason="uchwała 7")
    await desk.refused(here, "reason", "", reason="", **{f"amount_{new}": "5"})
    await desk.done(here, reason="uchwała 7", **{f"amount_{old}": "30", f"amount_{new}": "50"})
    drafts = await desk.rows("select id, amount, reason from payments.entry where kind = $1 order by id", kind)
    assert [row[1:] for row in drafts] == [(3000, "uchwała 7"), (5000, "uchwała 7")]
    await desk.done(f"/admin/payments/approve?customer=4711&kind={kind}")
    assert [await desk.only("select open_amount from payments.entry where id = $1", n) for n in (old, new)] == [7000, 0]
    assert await desk.only("select count(*) from payments.entry where side = 'credit' and open_amount > 0") == 0
    await desk.sound()


async def test_what_was_paid_meanwhile_cannot_be_remitted(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, LATE))
    entered = await desk.done(
        f"/admin/accounts/{book.account}/remission", reason="uchwała 7", **{f"amount_{charge}": "100"}
    )
    async with acting(desk.site) as conn:
        await Book(conn, book.customer, book.account).post(book.payment(4000, TODAY))
    late = await desk.clerk.post(entered, {"_key": "approve"})
    assert late.status == 422
    assert "otwarte mniej" in late.text
    await desk.sound()


# --- transfers ------------------------------------------------------------------------------------------------------


async def test_a_credit_goes_to_another_account_both_at_once(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        await book.post(book.payment(10000, LATE))
        (owed,) = await other.post(other.charge(4000, LATER))
    here = f"/admin/accounts/{book.account}/transfer-credit"
    assert "co najwyżej" in await desk.see(here) or "Najwyżej" in await desk.see(here)
    good = {"to": "4712", "amount": "60", "day": "24.11.2026", "reason": "córka płaci za ojca"}
    await desk.refused(here, "amount", "tylko 100,00", **{**good, "amount": "100,01"})
    await desk.refused(here, "to", "to samo konto", **{**good, "to": "4711"})
    await desk.refused(here, "to", "Nie ma klienta", **{**good, "to": "999"})
    await desk.refused(here, "day", "Tego dnia", **{**good, "day": "01.09.2026"})
    await desk.refused(here, "day", "nie nadszedł", **{**good, "day": "25.11.2026"})
    address = await desk.done(here, **good)
    assert address == f"/admin/accounts/{book.account}"
    assert await desk.rows("select account_id, balance from payments.account_balance order by account_id") == [
        (book.account, -4000),
        (other.account, -2000),
    ]
    assert await desk.only("select open_amount from payments.entry where id = $1", owed) == 0
    (pair,) = await desk.rows("select kind, from_entry, to_entry, amount, reason from payments.transfer")
    assert (pair[0], *pair[3:]) == ("transfer", 6000, "córka płaci za ojca")
    shown = await desk.see(f"/admin/entries/{pair[1]}")
    assert "Jan Kowalski" in shown
    assert f'href="/admin/entries/{pair[2]}"' in shown
    await desk.sound()

    await desk.done(f"/admin/entries/{pair[2]}/reverse", reason="pomyłka")
    assert await desk.only("select sum(balance)::bigint from payments.account_balance") == -6000
    assert await desk.only("select balance from payments.account_balance where account_id = $1", book.account) == -10000
    assert await desk.only("select count(*) from payments.entry where kind = 'reversal'") == 2
    await desk.sound()


async def test_half_a_transfer_is_impossible(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        await book.post(book.payment(10000, LATE))
    form = {"to": "4712", "amount": "60", "day": "24.11.2026", "reason": "córka płaci za ojca"}
    await desk.done(f"/admin/accounts/{book.account}/transfer-credit", **form)
    half = await desk.only("select to_entry from payments.transfer")
    with pytest.raises(Exception, match="half a transfer"):
        async with acting(desk.site) as conn:
            await Book(conn, other.customer, other.account).reverse(half)
    with pytest.raises(Exception, match="half a transfer"):
        async with acting(desk.site, superadmin_mode=True) as conn:
            await Book(conn, other.customer, other.account).void(half)
    await desk.sound()


async def test_a_debt_goes_to_another_account_with_its_days(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        old, new = await book.post(book.charge(10000, LATE), book.charge(5000, LATER, document_no="FV 7"))
        await book.post(book.payment(3000, TODAY))
    here = f"/admin/accounts/{book.account}/transfer-debt"
    good = {"to": "4712", "reason": "nowy właściciel"}
    await desk.refused(here, f"amount_{old}", "tylko 70,00", **good, **{f"amount_{old}": "70,01"})
    await desk.refused(here, "", "co najmniej jednym", **good)
    await desk.done(here, **good, **{f"amount_{old}": "70", f"amount_{new}": "20"})
    assert await desk.rows("select account_id, balance from payments.account_balance order by account_id") == [
        (book.account, 3000),
        (other.account, 9000),
    ]
    assert await desk.rows(
        "select due_on, amount, title, document_no from payments.entry"
        " where account_id = $1 and side = 'charge' order by id",
        other.account,
    ) == [(LATE, 7000, "Czynsz", ""), (LATER, 2000, "Czynsz", "FV 7")]
    assert await desk.rows("select open_amount from payments.entry where id in ($1, $2) order by id", old, new) == [
        (0,),
        (3000,),
    ]
    await desk.sound()


async def test_where_nothing_can_go(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        await book.post(book.payment(10000, LATE))
        mirror = await another_account(conn, book.customer, "M-1", mirror=True)
        closed = await add_customer(conn, "4713", "Ewa Zamknięta")
        await conn.execute("update kernel.customer set status = 'closed' where id = $1", closed)
        shut = await conn.fetchval("select payments.open_accounts($1, $2)", [closed], TODAY)
        assert shut
        await conn.execute("select payments.close_account($1, $2)", other.account, TODAY)
    here = f"/admin/accounts/{book.account}/transfer-credit"
    form = {"amount": "60", "day": "24.11.2026", "reason": "pomyłka w banku"}
    await desk.refused(here, "to", "To konto jest zamknięte", to="4712", **form)
    await desk.refused(here, "to", "prowadzi inny system", to="M-1", **form)
    await desk.refused(here, "to", "Ewa Zamknięta", to="4713", **form)
    for account in (mirror, other.account):
        text = await desk.see(f"/admin/accounts/{account}")
        assert "payments/new" not in text
        await desk.refused(f"/admin/payments/new?account={account}", "", "", amount="1", value_date="24.11.2026")
        await desk.refused(f"/admin/accounts/{account}/opening", "", "", side="credit", amount="1", day="24.11.2026")


async def test_a_customer_with_several_accounts_is_asked_which(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        await book.post(book.payment(10000, LATE))
        water = await another_account(conn, other.customer, "W-1")
    here = f"/admin/accounts/{book.account}/transfer-credit"
    form = {"to": "4712", "amount": "60", "day": "24.11.2026", "reason": "pomyłka w banku"}
    await desk.refused(here, "to_account", "kilka kont", **form)
    await desk.done(here, to_account=str(water), **form)
    assert await desk.only("select to_account from payments.transfer") == water
    await desk.done(here, **{**form, "to": "W-1", "amount": "10"})
    assert await desk.only("select count(*) from payments.transfer where to_account = $1", water) == 2


# --- moved to the right account -------------------------------------------------------------------------------------


async def test_a_payment_moves_to_the_right_account_and_neither_customer_sees_the_other(
    desk: Desk, office: Office
) -> None:
    async with acting(desk.site) as conn:
        wrong, right = await two(conn)
        (mine,) = await wrong.post(wrong.charge(8000, LATE, title="Czynsz za wrzesień"))
        (owed,) = await right.post(right.charge(9000, LATE, title="Woda za wrzesień"))
        (payment,) = await wrong.post(
            wrong.payment(
                9000, date(2026, 9, 14), paid_on=date(2026, 9, 11), title="czynsz Kowalski 4712", channel="transfer"
            )
        )
    here = f"/admin/entries/{payment}/move"
    reason = "wpłata Jana Kowalskiego (4712) trafiła do Stanisława Wójcika (4711)"
    assert "Żaden z klientów nie dowie się o drugim" in await desk.see(here)
    await desk.refused(here, "to", "to samo konto", to="4711", reason=reason)
    await desk.refused(here, "reason", "", to="4712", reason="")
    address = await desk.done(here, to="4712", reason=reason)
    (made,) = await desk.rows(
        "select id, account_id, kind, amount, value_date, paid_on, title, channel, state from payments.entry"
        " where account_id = $1 and side = 'credit'",
        right.account,
    )
    assert address == f"/admin/entries/{made[0]}"
    assert made[1:] == (
        right.account, "payment", 9000, date(2026, 9, 14), date(2026, 9, 11), "czynsz Kowalski 4712", "transfer",
        "approved",
    )  # fmt: skip
    opens = await desk.rows("select open_amount from payments.entry where id in ($1, $2) order by id", mine, owed)
    assert opens == [(8000,), (0,)]
    assert await desk.rows("select kind, reason from payments.transfer") == [("moved", reason)]
    await desk.sound()

    for whose, others in ((wrong, ("Kowalski", "4712", "Woda")), (right, ("Wójcik", "4711", "wrzesień 2026 Czynsz"))):
        customer = await office.visitor(Role.CUSTOMER, whose.customer)
        numbers = await desk.rows("select id from payments.entry where account_id = $1 order by id", whose.account)
        entries = [f"/balance/entries/{number}" for (number,) in numbers]
        statement = "/balance/statement?from=2026-01-01&to=2026-11-24"
        for path in ("/", "/balance", "/balance/why", "/balance/past", statement, *entries, "/api/v1/balance"):
            page = await customer.get(path)
            assert page.status == 200, path
            heard = [word for word in (*others, "niewłaściw", "trafiła") if word in page.text]
            assert heard == [], (path, heard)
    assert "czynsz Kowalski 4712" in (await (await office.visitor(Role.CUSTOMER, right.customer)).get("/balance")).text

    before = await desk.see(f"/admin/entries/{payment}")
    assert "Przeniesiono na właściwe konto" in before
    assert f'href="/admin/entries/{made[0]}"' in before
    assert "Przeniesiono tu z niewłaściwego konta" in await desk.see(address)
    again = await desk.send(here, to="4712", reason=reason)
    assert again.status == 422
    assert await desk.only("select count(*) from payments.entry where side = 'credit'") == 2


async def test_moving_twice_at_once_moves_once(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        wrong, _right = await two(conn)
        (payment,) = await wrong.post(wrong.payment(9000, TODAY))
    here, form = f"/admin/entries/{payment}/move", {"to": "4712", "reason": "pomyłka"}
    same = await asyncio.gather(*(desk.clerk.post(here, {"_key": "one", **form}) for _ in range(5)))
    assert {page.status for page in same} == {303}
    others = await asyncio.gather(*(desk.clerk.post(here, {"_key": f"k{n}", **form}) for n in range(5)))
    assert {page.status for page in others} == {422}
    assert await desk.only("select count(*) from payments.transfer") == 1
    await desk.sound()


async def test_a_bank_line_follows_its_payment_to_the_right_account(desk: Desk) -> None:
    line = IncomingLine(amount=Money(9000), value_date=date(2026, 11, 20), title="przelew 7", payer_name="Ktoś")
    async with acting(desk.site) as conn:
        wrong, right = await two(conn)
        received = await suspense.receive(conn, [line], TODAY)
        await suspense.assign(conn, received.new[0], [PartDraft(wrong.account, Money(9000))], TODAY)
        payment = await conn.fetchval("select id from payments.entry")
    await desk.done(f"/admin/entries/{payment}/move", to="4712", reason="pomyłka w numerze")
    (made,) = await desk.rows("select id from payments.entry where account_id = $1", right.account)
    assert await desk.rows("select account_id, entry from payments.incoming_part where undone_at is null") == [
        (right.account, made[0])
    ]
    await desk.done(f"/admin/entries/{made[0]}/reverse", reason="zwrot z banku")
    await desk.sound()
    async with acting(desk.site) as conn:
        assert [one for check in suspense_part.CHECKS async for one in check.run(conn)] == []


async def test_only_money_from_outside_moves(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(8000, LATE))
        (credit,) = await book.post(book.payment(100, TODAY, kind="correction", corrects=charge))
        (draft,) = await store.add_drafts(conn, [book.payment(100, TODAY)])
    for number in (charge, credit, draft.entry, 999):
        assert (await desk.clerk.get(f"/admin/entries/{number}/move")).status == 404
        answer = await desk.clerk.post(f"/admin/entries/{number}/move", {"to": "4711", "reason": "pomyłka"})
        assert answer.status == 404


# --- manual allocation ----------------------------------------------------------------------------------------------


async def test_a_credit_is_set_by_hand_and_released(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        old, new = await book.post(book.charge(10000, LATE), book.charge(6000, LATER, title="Woda"))
        (payment,) = await book.post(book.payment(10000, TODAY))
        (foreign,) = await other.post(other.charge(10000, LATE))
    here = f"/admin/entries/{payment}/allocate"
    text = await desk.see(here)
    assert f'name="amount_{old}"' in text
    assert f'name="amount_{new}"' in text
    why = {"reason": "prośba klienta"}
    await desk.refused(here, f"amount_{new}", "najwyżej 60,00", **why, **{f"amount_{new}": "60,01"})
    await desk.refused(
        here, f"amount_{new}", "najwyżej 100,00", **why, **{f"amount_{old}": "60", f"amount_{new}": "50"}
    )
    await desk.refused(here, "", "nie jest otwarte", **why, **{f"amount_{foreign}": "5"})
    await desk.refused(here, "", "co najmniej jednym", **why)
    await desk.done(here, **why, **{f"amount_{new}": "60"})
    assert await desk.rows("select open_amount from payments.entry where side = 'charge' order by id") == [
        (6000,),
        (0,),
        (10000,),
    ]
    allocation = await desk.only("select id from payments.allocation where rule = 'manual' and released_at is null")
    await desk.refused(here, f"amount_{old}", "najwyżej 40,00", **why, **{f"amount_{old}": "40,01"})
    release = f"/admin/entries/{payment}/release/{allocation}"
    assert f'href="{release}"' in await desk.see(here)
    assert (await desk.clerk.get(f"/admin/entries/{payment}/release/999")).status == 404
    await desk.refused(release, "reason", "", reason="")
    await desk.done(release, reason="jednak nie")
    assert await desk.rows("select open_amount from payments.entry where side = 'charge' order by id") == [
        (0,),
        (6000,),
        (10000,),
    ]
    await desk.refused(release, "", "już zwolniono", reason="jeszcze raz")
    verbs = await desk.rows(
        "select verb from kernel.audit_log where verb in ('payments.allocated','payments.released')"
    )
    assert verbs == [("payments.allocated",), ("payments.released",)]
    await desk.sound()


async def test_only_a_credit_that_counts_is_allocated(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(8000, LATE))
        (payment,) = await book.post(book.payment(100, TODAY))
        await book.reverse(payment)
        (draft,) = await store.add_drafts(conn, [book.payment(100, TODAY)])
    for number in (charge, draft.entry, 999):
        assert (await desk.clerk.get(f"/admin/entries/{number}/allocate")).status == 404
    await desk.refused(f"/admin/entries/{payment}/allocate", "", "", reason="prośba", **{f"amount_{charge}": "1"})


# --- many at once, and the rest -------------------------------------------------------------------------------------


async def test_everything_that_matches_is_approved_as_it_was_shown(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book, other = await two(conn)
        await store.add_drafts(conn, [book.payment(100 + n, TODAY, period="2026-11") for n in range(3)])
        await store.add_drafts(conn, [book.charge(5000, SOON), other.payment(700, TODAY)])
    address = "/admin/payments/approve?customer=4711&side=credit&period=2026-11"
    page = await desk.clerk.get(address)
    assert "3,03" in page.text
    async with acting(desk.site) as conn:
        await store.add_drafts(conn, [book.payment(1, TODAY, period="2026-11")])
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    stale = await desk.clerk.post(address, hidden)
    assert stale.status == 422
    assert "zmieniły się" in stale.text
    assert await desk.only("select count(*) from payments.entry where state = 'approved'") == 0
    await desk.done(address)
    assert await desk.rows("select state, count(*) from payments.entry group by 1 order by 1") == [
        ("approved", 4),
        ("draft", 2),
    ]
    for query in (
        "account=4712",
        "kind=fee",
        "book=main&side=charge",
        "created_by=office",
        "since=2026-11-24",
        "batch=1",
    ):
        assert (await desk.clerk.get(f"/admin/payments/approve?{query}")).status == 200, query
        assert (await desk.clerk.get(f"/admin/payments?state=draft&{query}")).status == 200, query
    nobody = await desk.send("/admin/payments/approve?customer=9999")
    assert nobody.status == 422


async def test_corrections_below_zero_and_voids_twice_are_refused(desk: Desk) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, LATE))
    here = f"/admin/entries/{charge}/correct"
    await desk.refused(here, "amount", "", amount="-1", reason="zła stawka")
    await desk.refused(here, "amount", "", amount="10000000000,01", reason="zła stawka")
    first = await desk.done(here, amount="0", reason="zła stawka")
    second = await desk.done(here, amount="10", reason="zła stawka")
    assert (await desk.clerk.post(first, {"_key": "a"})).status == 303
    beyond = await desk.clerk.post(second, {"_key": "b"})
    assert beyond.status == 422
    assert "poniżej zera" in beyond.text


async def test_where_two_people_approve_pairs_and_reversals_wait_for_the_second(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await conn.execute(
            "insert into kernel.setting (plugin, value) values ('payments', $1)", {"approver_differs": True}
        )
        book, other = await two(conn)
        first, second = await book.post(book.payment(10000, LATE), book.payment(5000, LATER))
        await other.post(other.charge(4000, LATE))
    desk, chief = Desk(site, await office.visitor(Role.ADMIN)), Desk(site, await office.visitor(Role.ADMIN))
    form = {"to": "4712", "amount": "60", "day": "24.11.2026", "reason": "córka płaci za ojca"}
    await desk.done(f"/admin/accounts/{book.account}/transfer-credit", **form)
    await desk.done(f"/admin/entries/{second}/move", to="4712", reason="pomyłka")
    await desk.done(f"/admin/entries/{first}/reverse", reason="zwrot z banku")
    drafts = await desk.rows("select id, kind from payments.entry where state = 'draft' order by id")
    assert [kind for _id, kind in drafts] == ["transfer", "transfer", "reversal", "payment", "reversal"]

    own = await desk.clerk.post(f"/admin/entries/{drafts[0][0]}", {"_key": "own"})
    assert own.status == 422
    assert "własne szkice są pominięte" in await desk.see("/admin/payments/approve?customer=4711")
    assert await desk.only("select count(*) from payments.entry where state = 'draft'") == 5
    edited = await desk.send(f"/admin/entries/{drafts[0][0]}/edit", amount="1", day="24.11.2026", due_on="24.11.2026")
    assert edited.status == 422
    assert "połowa przeksięgowania" in edited.text

    await chief.done(f"/admin/entries/{drafts[1][0]}")
    await chief.done(f"/admin/entries/{drafts[2][0]}")
    assert await desk.rows("select id from payments.entry where state = 'draft'") == [(drafts[4][0],)]
    assert await desk.rows("select balance from payments.account_balance order by account_id") == [(-4000,), (-7000,)]
    await desk.sound()

    await desk.done(f"/admin/entries/{drafts[0][0]}/reverse", reason="pomyłka")
    assert await desk.only("select count(*) from payments.entry where state = 'draft' and kind = 'reversal'") == 3
    undo = await desk.only("select max(id) from payments.entry where state = 'draft'")
    await chief.done(f"/admin/entries/{undo}")
    assert await desk.rows("select balance from payments.account_balance order by account_id") == [(-10000,), (-1000,)]
    await desk.sound()


async def test_a_draft_of_a_pair_goes_with_the_other(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await conn.execute(
            "insert into kernel.setting (plugin, value) values ('payments', $1)", {"approver_differs": True}
        )
        book, _other = await two(conn)
        await book.post(book.payment(10000, LATE))
    desk = Desk(site, await office.visitor(Role.ADMIN))
    form = {"to": "4712", "amount": "60", "day": "24.11.2026", "reason": "córka płaci za ojca"}
    await desk.done(f"/admin/accounts/{book.account}/transfer-credit", **form)
    half = await desk.only("select from_entry from payments.transfer")
    await desk.done(f"/admin/entries/{half}/delete")
    assert await desk.rows("select state from payments.entry") == [("approved",)]
    assert await desk.only("select count(*) from payments.transfer") == 0
    assert await desk.only("select count(*) from kernel.audit_log where verb = 'payments.deleted'") == 2


async def test_voiding_half_a_transfer_voids_both(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book, _other = await two(conn)
        await book.post(book.payment(10000, LATE))
    desk = Desk(site, await office.visitor(Role.ADMIN))
    form = {"to": "4712", "amount": "60", "day": "24.11.2026", "reason": "córka płaci za ojca"}
    await desk.done(f"/admin/accounts/{book.account}/transfer-credit", **form)
    half = await desk.only("select to_entry from payments.transfer")
    async with acting(site, superadmin_mode=True) as conn:
        found = await store.entry(conn, half)
        assert found is not None
        await desk_store.void(conn, found, "wpisane dwa razy")
    assert await desk.rows("select state, count(*) from payments.entry group by 1 order by 1") == [
        ("approved", 1),
        ("voided", 2),
    ]
    await desk.sound()


def statements_of(desk: Desk) -> int:
    return desk.site.db.statements


@pytest.mark.parametrize("size", [3, 300])
async def test_three_round_trips_however_long_the_history(desk: Desk, size: int) -> None:
    async with acting(desk.site) as conn:
        book = await Book.opened(conn)
        await book.post(*(book.charge(1000, LATE) for _ in range(size)), book.payment(1500, TODAY))
        await store.add_drafts(conn, [book.payment(100, TODAY) for _ in range(min(size, 40))])
        payment = await conn.fetchval("select id from payments.entry where kind = 'payment' and state = 'approved'")
    here = f"/admin/accounts/{book.account}"
    paths: Sequence[str] = (
        here,
        f"{here}?state=draft",
        f"{here}/remission",
        f"{here}/transfer-debt",
        f"/admin/entries/{payment}",
        f"/admin/entries/{payment}/allocate",
        f"/admin/payments/new?account={book.account}",
    )
    for path in paths:
        await desk.see(path)
        before = statements_of(desk)
        text = await desk.see(path)
        assert statements_of(desk) - before <= 3, path
        assert text.count("<tr>") < 140, path

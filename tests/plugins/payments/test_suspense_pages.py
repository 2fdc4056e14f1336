"""The office's pages of suspense: entering, proposing, splitting, lists, giving back, undoing, days, exports."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest

from kernel import Money, Role, Site
from kernel.testing import Office, Page, Visitor
from plugins.payments import suspense
from plugins.payments.suspense import PartDraft
from tests.plugins.payments.ledger import TODAY, Book, acting, add_customer
from tests.plugins.payments.test_suspense import accounts, booked, left, mirrored, proven

pytestmark = pytest.mark.ebok(plugins=["payments"])

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def site(site: Site) -> Site:
    site.clock.move_to(NOW)
    return site


def key_of(page: Page) -> str:
    found = re.search(r'name="_key" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


async def send(visitor: Visitor, address: str, to: str = "", **form: str) -> Page:
    page = await visitor.get(address)
    assert page.status == 200
    key = {"_key": key_of(page)} if 'name="_key"' in page.text else {}
    return await visitor.post(to or address, {**key, **form})


async def rest(site: Site, line: int) -> int:
    async with acting(site) as conn:
        await proven(conn)
        return await left(conn, line)


async def test_money_is_entered_by_hand_and_assigned_whole(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
    clerk = await office.visitor(Role.ADMIN)
    entered = await send(
        clerk,
        "/admin/suspense/new",
        amount="120,50",
        value_date="23.11.2026",
        payer_name="Wójcik Stanisław",
        title="czynsz 4711",
    )
    assert entered.status == 303
    address = entered.headers["Location"]
    page = await clerk.get(address)
    assert "w tytule jest numer 4711" in page.text
    assert "Przypisz całość" in page.text
    line = int(address.rsplit("/", 1)[1])
    done = await clerk.post(address, {"_key": key_of(page), "whole": str(book.account)})
    assert done.status == 303
    assert await rest(site, line) == 0
    again = await clerk.post(address, {"_key": key_of(page), "whole": str(book.account)})
    assert again.status == 303
    later = await clerk.post(address, {"whole": str(book.account)})
    assert later.status == 422
    async with acting(site) as conn:
        assert await conn.fetchval("select credited from payments.account_balance") == 12050


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", "0"),
        ("amount", "1e3"),
        ("value_date", "25.11.2026"),
        ("value_date", "01.01.1899"),
        ("paid_on", "24.11.2026"),
        ("payer_name", ""),
        ("payer_account", "PL29<b>"),
        ("channel", "gołębiem"),
    ],
)
async def test_what_is_typed_wrong_is_said_at_its_field(site: Site, office: Office, field: str, value: str) -> None:
    clerk = await office.visitor(Role.ADMIN)
    form = {"amount": "5", "value_date": "23.11.2026", "payer_name": "Jan", field: value}
    page = await send(clerk, "/admin/suspense/new", **form)
    assert page.status == 422
    assert f'id="f-{field}-error"' in page.text
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.incoming") == 0


async def test_a_line_is_split_by_hand(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        first, second = await accounts(conn, 2)
        line = await booked(conn, 10000)
        await add_customer(conn, "77", "Bez konta")
    clerk = await office.visitor(Role.ADMIN)
    address = f"/admin/suspense/{line}"
    typed = {"account_1": "1000", "amount_1": "30", "account_3": "1001", "amount_3": "20,5", "account_6": "77"}
    more = await send(clerk, address, step="more", **typed)
    assert more.status == 422
    assert 'value="20,5"' in more.text
    assert 'name="account_11"' in more.text
    assert "50,50" in more.text
    assert await rest(site, line) == 10000
    missing = await send(clerk, address, **typed)
    assert missing.status == 422
    assert 'id="f-amount_6-error"' in missing.text
    unknown = await send(clerk, address, account_1="999", amount_1="5", amount_2="7", account_4="1000", amount_4="x")
    for name in ("account_1", "account_2", "amount_4"):
        assert f'id="f-{name}-error"' in unknown.text
    assert (await send(clerk, address)).status == 422
    too_much = await send(clerk, address, **typed, amount_6="49,51")
    assert too_much.status == 422
    assert "o 0,01" in too_much.text.replace("\u00a0", " ")
    done = await send(clerk, address, kind="benefit", **{**typed, "amount_6": "10"})
    assert done.status == 303
    assert await rest(site, line) == 3950
    async with acting(site) as conn:
        entries = await conn.fetch("select account_id, kind, amount from payments.entry order by amount")
        assert [(row["kind"], row["amount"]) for row in entries] == [
            ("benefit", 1000),
            ("benefit", 2050),
            ("benefit", 3000),
        ]
        assert {row["account_id"] for row in entries} > {first, second}
    page = await clerk.get(address)
    assert "39,50" in page.text


async def test_an_attached_list_is_checked_then_booked(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await accounts(conn, 80)
        line = await booked(conn, 80 * 5000, title="dodatki mieszkaniowe", payer_name="Gmina")
    rows = "\n".join(f"{1000 + n};50,00;dodatek {n}" for n in range(80))
    clerk = await office.visitor(Role.ADMIN)
    address = f"/admin/suspense/{line}/list"
    wrong = await send(clerk, address, f"{address}/preview", rows=f"numer;kwota\n{rows}\n9999;5\n1000;1\n1001;x")
    assert wrong.status == 200
    assert "4 wiersze są błędne" in wrong.text
    assert "Nie ma konta ani klienta o tym numerze" in wrong.text
    assert "Zaksięguj" not in wrong.text.split("found-list")[1].split("<table")[0]
    refused = await send(clerk, address, rows=f"{rows}\n9999;5")
    assert refused.status == 422
    assert "1 wiersz jest błędny" in refused.text
    good = await send(clerk, address, f"{address}/preview", rows=rows)
    assert good.status == 200
    assert "Zaksięguj 80 pozycji" in good.text
    booking = await clerk.post(address, {"_key": key_of(good), "rows": rows, "kind": "benefit"})
    assert booking.status == 303
    assert await rest(site, line) == 0
    async with acting(site) as conn:
        told = await conn.fetchrow(
            "select count(*) as entries, min(title) as title, min(kind) as kind from payments.entry"
        )
        assert told is not None
        assert tuple(told.values()) == (80, "dodatek 0", "benefit")


async def test_a_list_that_does_not_reach_the_line_needs_a_word(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await accounts(conn, 2)
        line = await booked(conn, 10000)
    clerk = await office.visitor(Role.ADMIN)
    address = f"/admin/suspense/{line}/list"
    rows = "1000\t30\n1001\t20,00"
    short = await send(clerk, address, rows=rows)
    assert short.status == 422
    assert "o 50,00" in short.text.replace("\u00a0", " ")
    assert 'name="rest"' in short.text
    over = await send(clerk, address, rows="1000;60\n1001;50", rest="true")
    assert over.status == 422
    assert await rest(site, line) == 10000
    left_there = await send(clerk, address, rows=rows, rest="true", kind="payment")
    assert left_there.status == 303
    assert await rest(site, line) == 5000


async def test_a_list_may_be_a_file(site: Site, office: Office) -> None:
    from aiohttp import FormData

    async with acting(site) as conn:
        await accounts(conn, 1)
        line = await booked(conn, 3000)
    clerk = await office.visitor(Role.ADMIN)
    for content, said in (
        ("1000;30,00;dodatek za październik".encode("cp1250"), "dodatek za październik"),
        (b"PK\x03\x04zip", "uszkodzony"),
        (b"numer;kwota", "nie ma wierszy"),
        (b"", "Wklej"),
    ):
        data = FormData()
        data.add_field("rows", "")
        data.add_field("kind", "benefit")
        data.add_field("file", content, filename="lista.csv", content_type="text/csv")
        page = await clerk.send("POST", f"/admin/suspense/{line}/list/preview", data=data)
        assert page.status == 200
        assert said in page.text


async def test_a_part_is_undone_and_money_returned(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        (account,) = await accounts(conn, 1)
        line = await booked(conn, 3000)
        (part,) = await suspense.assign(conn, line, [PartDraft(account, Money(1000))], TODAY)
    clerk = await office.visitor(Role.ADMIN)
    address = f"/admin/suspense/parts/{part}/undo"
    assert (await send(clerk, address, reason="")).status == 422
    assert (await send(clerk, address, reason="nie ten lokator")).status == 303
    assert await rest(site, line) == 3000
    assert (await clerk.get(address)).status == 303
    twice = await clerk.post(address, {"reason": "jeszcze raz"})
    assert (twice.status, twice.headers["Location"]) == (303, f"/admin/suspense/{line}")
    back = f"/admin/suspense/{line}/give-back"
    too_much = await send(clerk, back, kind="returned", amount="30,01", reason="nie nasz klient")
    assert too_much.status == 422
    assert 'id="f-amount-error"' in too_much.text
    assert (await send(clerk, back, kind="returned", amount="30", reason="nie nasz klient")).status == 303
    page = await clerk.get(f"/admin/suspense/{line}")
    assert "Zwrot do płatnika" in page.text
    assert "nie ten lokator" in page.text
    assert "Przypisz wiersze" not in page.text


async def test_the_list_shows_what_waits_first_and_the_queue_says_how_much(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        (account,) = await accounts(conn, 1)
        done = await booked(conn, 700, payer_name="Załatwiony", value_date=date(2026, 11, 23))
        await suspense.assign(conn, done, [PartDraft(account, Money(700))], TODAY)
        await booked(conn, 1200, payer_name="Nieznany", payer_account="29 1010")
        partly = await booked(conn, 900, payer_name="Gmina", value_date=date(2026, 11, 3))
        await suspense.assign(conn, partly, [PartDraft(account, Money(400))], TODAY)
    clerk = await office.visitor(Role.ADMIN)
    page = await clerk.get("/admin/suspense")
    places = [page.text.index(name) for name in ("Nieznany", "Gmina", "Załatwiony")]
    assert places == sorted(places)
    assert "17,00" in page.text
    for query, shown, hidden in (
        ("state=open", ("Nieznany", "Gmina"), "Załatwiony"),
        ("state=waiting", ("Nieznany",), "Gmina"),
        ("state=assigned", ("Załatwiony",), "Gmina"),
        ("payer=29+1010", ("Nieznany",), "Gmina"),
        ("payer=gmin", ("Gmina",), "Nieznany"),
        ("text=CZYNSZ", ("Nieznany", "Gmina", "Załatwiony"), "zzzz"),
        ("amount=9", ("Gmina",), "Nieznany"),
        ("since=2026-11-23", ("Załatwiony",), "Gmina"),
    ):
        found = (await clerk.get(f"/admin/suspense?{query}")).text
        assert all(name in found for name in shown), query
        assert hidden not in found.replace("Gmina Poznań", ""), query
    file = await clerk.get("/admin/suspense?state=open&format=csv")
    assert file.text.count("\r\n") == 3


async def test_every_day_adds_up(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        (account,) = await accounts(conn, 1)
        first = await booked(conn, 10000, value_date=date(2026, 11, 3))
        await booked(conn, 2500, value_date=date(2026, 11, 3))
        await booked(conn, 300, value_date=date(2026, 8, 3))
        await suspense.assign(conn, first, [PartDraft(account, Money(6000))], TODAY)
        await suspense.give_back(conn, first, "returned", Money(1000), "nie nasz klient")
    clerk = await office.visitor(Role.ADMIN)
    page = await clerk.get("/admin/suspense/days")
    assert page.status == 200
    text = re.sub(r"<[^>]+>", "", page.text).replace("\u00a0", " ")
    for amount in ("125,00 zł", "60,00 zł", "10,00 zł", "55,00 zł", "3,00 zł"):
        assert amount in text
    assert "since=2026-11-03&amp;until=2026-11-03" in page.text
    assert (await clerk.get("/admin/suspense/days?month=2026-08")).status == 200
    assert (await clerk.get("/admin/suspense/days?month=2199-12")).status == 200
    assert (await clerk.get("/admin/suspense/days?month=1900-01")).status == 200
    assert (await clerk.get("/admin/suspense/days?month=2026-13")).status == 422


async def test_matched_payments_of_a_mirror_book_are_exported_and_downloaded_again(site: Site, office: Office) -> None:
    account = await mirrored(site)
    async with acting(site) as conn:
        line = await booked(conn, 5000, title="=cmd|faktura 7")
        (part,) = await suspense.assign(conn, line, [PartDraft(account, Money(5000))], TODAY)
    clerk = await office.visitor(Role.ADMIN)
    shown = await clerk.get(f"/admin/suspense/{line}")
    assert "czeka na księgowanie" in shown.text
    made = await send(clerk, "/admin/suspense/exports")
    assert made.status == 303
    address = made.headers["Location"]
    for _again in range(2):
        file = await clerk.get(f"{address}?format=csv")
        assert file.status == 200
        (_head, row, *_) = file.text.split("\r\n")
        assert row.split(";")[1:4] == ["1000", "1000", "Lokator 0"]
        assert "50,00" in row
        assert "'=cmd" in row
    nothing = await clerk.post("/admin/suspense/exports")
    assert nothing.status == 422
    await send(clerk, f"/admin/suspense/parts/{part}/undo", reason="nie ten lokator")
    second = await send(clerk, "/admin/suspense/exports")
    assert "-50,00" in (await clerk.get(second.headers["Location"] + "?format=csv")).text
    assert (await clerk.get("/admin/suspense/exports/999999")).status == 404


async def test_a_line_says_what_the_bank_said(site: Site, office: Office) -> None:
    hostile = "<script>alert(1)</script> ; 4711"
    async with acting(site) as conn:
        line = await booked(conn, payer_name=hostile, title=hostile, statement="nr 1", line_no=7)
    clerk = await office.visitor(Role.ADMIN)
    page = await clerk.get(f"/admin/suspense/{line}")
    assert "<script>alert" not in page.text
    assert "nr 1, pozycja 7" in page.text
    assert (await clerk.get("/admin/suspense/999999")).status == 404


async def test_where_two_people_are_wanted_an_undoing_waits(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        (account,) = await accounts(conn, 1)
        line = await booked(conn, 3000)
        await conn.execute(
            "insert into kernel.setting (plugin, value) values ('payments', $1)", {"approver_differs": "true"}
        )
    clerk, other = await office.visitor(Role.ADMIN), await office.visitor(Role.ADMIN)
    done = await send(clerk, f"/admin/suspense/{line}", whole=str(account))
    assert done.status == 303
    async with acting(site) as conn:
        part = await conn.fetchval("select id from payments.incoming_part")
    assert (await send(clerk, f"/admin/suspense/parts/{part}/undo", reason="nie ten lokator")).status == 303
    assert await rest(site, line) == 0
    twice = await send(clerk, f"/admin/suspense/parts/{part}/undo", reason="jeszcze raz")
    assert twice.status == 422
    async with acting(site) as conn:
        reversal = await conn.fetchval("select id from payments.entry where state = 'draft'")
    assert (await send(other, f"/admin/entries/{reversal}")).status == 303
    assert await rest(site, line) == 3000
    typed = await send(clerk, "/admin/suspense/new", amount="5", value_date="23.11.2026", payer_name="Jan")
    own = typed.headers["Location"]
    assert (await send(clerk, own, whole=str(account))).status == 422
    assert (await send(other, own, whole=str(account))).status == 303

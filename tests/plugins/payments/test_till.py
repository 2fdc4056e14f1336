"""The payments desk: typing, what looks typed twice, control sums, approval, the list of a day."""

from __future__ import annotations

import asyncio
import html
import re
from datetime import date
from io import BytesIO

import pytest

from kernel import Site
from kernel.plugin.permissions import Role
from kernel.testing import Office, Page, Visitor
from plugins.payments.till.model import MOST_ROWS
from tests.plugins.payments.ledger import Book, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["customers", "payments"])


def key_of(page: Page) -> str:
    found = re.search(r'name="_key" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def hidden(page: Page, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


def row(who: str = "4711", amount: str = "120,50", **changed: str) -> dict[str, str]:
    return {"who": who, "amount": amount, "day": "24.11.2026", "kind": "payment", "channel": "cash"} | changed


class Desk:
    """A clerk at a bundle of today."""

    def __init__(self, clerk: Visitor, address: str) -> None:
        self.clerk, self.address, self.typed = clerk, address, 0

    @classmethod
    async def opened(cls, office: Office, clerk: Visitor | None = None, **expected: str) -> Desk:
        clerk = clerk or await office.visitor(Role.ADMIN)
        begun = await clerk.post("/admin/payments/till", {"_key": f"begin-{expected}", **expected})
        assert begun.status == 303, begun.text
        return cls(clerk, begun.headers["Location"])

    async def enter(self, form: dict[str, str]) -> Page:
        self.typed += 1
        return await self.clerk.post(self.address, {"_key": f"row-{self.typed}", **form})

    async def page(self) -> Page:
        return await self.clerk.get(self.address)

    async def entries(self) -> list[int]:
        return [int(number) for number in re.findall(r"/rows/([0-9]+)\"", (await self.page()).text)][::-1]

    async def approve(self, *entries: int, page: Page | None = None, **form: str) -> Page:
        page = page or await self.clerk.get(f"{self.address}/approve")
        chosen = [("ids", str(entry)) for entry in entries]
        fields = [(name, hidden(page, name)) for name in ("_key", "seen", "count", "total")]
        return await self.clerk.send("POST", f"{self.address}/approve", data=[*fields, *chosen, *form.items()])


async def customers(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(51240, date(2026, 11, 10)))
        await add_customer(conn, "4712", "Anna Nowak")
        await add_customer(conn, "4713", "Adam Nowak")
        await conn.execute("update kernel.customer set street = 'Lipowa', building = '5', flat = '3', city = 'Poznań'"
                           " where customer_no = '4712'")  # fmt: skip


async def test_a_row_is_a_draft_and_the_next_one_begins_with_the_last_day_and_way(site: Site, office: Office) -> None:
    await customers(site)
    desk = await Desk.opened(office)
    entered = await desk.enter(row(day="20.11.2026", channel="card"))
    assert (entered.status, entered.headers["Location"]) == (303, desk.address)
    page = await desk.page()
    assert "Stanisław Wójcik" in page.text
    assert 'value="20.11.2026"' in page.text
    assert '<option value="card" selected>' in page.text
    assert "120,50" in page.text
    async with acting(site) as conn:
        entry = await conn.fetchrow("select * from payments.entry where kind = 'payment'")
        assert entry is not None
        assert (entry["state"], entry["amount"], entry["title"], entry["channel"]) == ("draft", 12050, "Wpłata", "card")
        assert await conn.fetchval("select count(*) from kernel.audit_log where verb = 'payments.entered'") == 1


async def test_enter_pressed_twice_books_once(site: Site, office: Office) -> None:
    await customers(site)
    desk = await Desk.opened(office)
    form = {"_key": "the-same", **row()}
    answers = await asyncio.gather(*(desk.clerk.post(desk.address, form) for _again in range(4)))
    assert {answer.status for answer in answers} == {303}
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.till_row") == 1


async def test_whom_a_row_is_for(site: Site, office: Office) -> None:
    await customers(site)
    desk = await Desk.opened(office)
    found = (await desk.clerk.get("/admin/payments/till/find?q=4711")).json()["found"]
    assert [(one["number"], one["owes"], one["exact"]) for one in found] == [("4711", "do zapłaty 512,40\xa0zł", True)]
    by_name = (await desk.clerk.get("/admin/payments/till/find?q=nowak")).json()["found"]
    assert {one["name"] for one in by_name} == {"Anna Nowak", "Adam Nowak"}
    by_address = (await desk.clerk.get("/admin/payments/till/find?q=lipowa+5")).json()["found"]
    assert [one["name"] for one in by_address] == ["Anna Nowak"]
    assert (await desk.clerk.get("/admin/payments/till/find?q=")).json() == {"found": []}
    # Without JavaScript the second step asks.
    asked = await desk.enter(row("nowak"))
    assert asked.status == 422
    choices = re.findall(r'type="radio" name="choice" value="([ac][0-9]+)"', asked.text)
    assert len(choices) == 2
    assert 'value="120,50"' in asked.text
    assert (await desk.enter(row("nowak", choice=choices[0], offered=hidden(asked, "offered")))).status == 303
    # A choice that does not belong to what is typed now is no choice.
    assert (await desk.enter(row("4711", choice=choices[1], offered="nowak"))).status == 422
    assert (await desk.enter(row("wójcik", choice=choices[1], offered="nowak"))).status == 422
    nobody = await desk.enter(row("9999"))
    assert "Nikt nie pasuje" in nobody.text
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.till_row") == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"amount": "12,345"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"amount": "99999999999999"}, "amount"),
        ({"day": "25.11.2026"}, "day"),
        ({"day": "31.02.2026"}, "day"),
        ({"day": "01.01.1990"}, "day"),
        ({"who": ""}, "who"),
    ],
)
async def test_what_is_wrong_is_said_at_the_field_and_nothing_typed_is_lost(
    site: Site, office: Office, wrong: dict[str, str], field: str
) -> None:
    await customers(site)
    desk = await Desk.opened(office)
    refused = await desk.enter(row(title="za wodę", document_no="KP 17") | wrong)
    assert refused.status == 422
    assert f'id="f-{field}-error"' in refused.text
    for typed in ("za wodę", "KP 17"):
        assert typed in refused.text
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.till_row") == 0


async def test_a_closed_customer_pays_nothing(site: Site, office: Office) -> None:
    await customers(site)
    async with acting(site) as conn:
        await conn.execute("update kernel.customer set status = 'closed' where customer_no = '4711'")
    desk = await Desk.opened(office)
    refused = await desk.enter(row())
    assert refused.status == 422
    assert 'id="f-who-error"' in refused.text


async def test_what_looks_the_same_is_asked_about(site: Site, office: Office) -> None:
    await customers(site)
    desk = await Desk.opened(office)
    assert (await desk.enter(row(document_no="KP 17"))).status == 303
    for twin in (row(), row(amount="7", document_no="KP 17"), row(day="23.11.2026", title="WPŁATA")):
        asked = await desk.enter(twin)
        assert asked.status == 422
        assert 'id="f-sure"' in asked.text
        assert "Są już" in asked.text
    for other in (row(amount="121"), row("4712"), row(day="20.11.2026")):
        assert (await desk.enter(other)).status == 303
    assert (await desk.enter(row(sure="true"))).status == 303
    # Also what was booked within a week, wherever it was typed.
    entries = await desk.entries()
    assert (await desk.approve(*entries)).status == 303
    second = await Desk.opened(office, desk.clerk)
    second.typed = 100
    assert (await second.enter(row())).status == 422


async def test_a_row_is_changed_and_removed_before_approval(site: Site, office: Office) -> None:
    await customers(site)
    desk = await Desk.opened(office)
    await desk.enter(row())
    await desk.enter(row("4712", "30"))
    first, second = await desk.entries()
    page = await desk.clerk.get(f"{desk.address}/rows/{first}")
    assert 'value="4711"' in page.text
    form = {"_key": key_of(page), "seen": hidden(page, "seen")}
    assert (await desk.clerk.post(f"{desk.address}/rows/{first}", row(amount="99") | form)).status == 303
    # For another customer, in the same place.
    page = await desk.clerk.get(f"{desk.address}/rows/{first}")
    form = {"_key": key_of(page), "seen": hidden(page, "seen")}
    assert (await desk.clerk.post(f"{desk.address}/rows/{first}", row("4713", "98") | form)).status == 303
    async with acting(site) as conn:
        rows = await conn.fetch(
            "select r.place, e.amount, a.account_no from payments.till_row r join payments.entry e"
            " on e.account_id = r.account_id and e.id = r.entry join payments.account a on a.id = e.account_id"
            " order by r.place"
        )
        assert [tuple(one) for one in rows] == [(1, 9800, "4713"), (2, 3000, "4712")]
    assert (await desk.clerk.post(f"{desk.address}/rows/{second}/remove", {"_key": "remove"})).status == 303
    assert (await desk.clerk.post(f"{desk.address}/rows/{second}/remove", {"_key": "again"})).status == 404
    assert len(await desk.entries()) == 1


async def test_two_clerks_on_one_row(site: Site, office: Office) -> None:
    await customers(site)
    desk = await Desk.opened(office)
    await desk.enter(row())
    (entry,) = await desk.entries()
    address = f"{desk.address}/rows/{entry}"
    other = await office.visitor(Role.ADMIN)
    mine, theirs = await desk.clerk.get(address), await other.get(address)
    changed = {"_key": key_of(theirs), "seen": hidden(theirs, "seen")}
    assert (await other.post(address, row(amount="99", title="za prąd") | changed)).status == 303
    late = await desk.clerk.post(
        address, row(amount="77", title="za gaz") | {"_key": key_of(mine), "seen": hidden(mine, "seen")}
    )
    assert late.status == 422
    for words in ("Kwota: 120,50 → 99,00", "Tytuł: Wpłata → za prąd", 'value="77"', "za gaz"):
        assert words in html.unescape(late.text)
    again = await desk.clerk.post(
        address, row(amount="77", title="za gaz") | {"_key": "again", "seen": hidden(late, "seen")}
    )
    assert again.status == 303
    async with acting(site) as conn:
        assert await conn.fetchval("select amount from payments.entry where kind = 'payment'") == 7700


async def test_a_bundle_that_differs_is_approved_only_with_a_reason(site: Site, office: Office) -> None:
    await customers(site)
    desk = await Desk.opened(office, expected_count="2", expected_sum="200")
    await desk.enter(row())
    page = await desk.page()
    assert "brakuje 79,50" in page.text.replace("\xa0", " ")
    (entry,) = await desk.entries()
    refused = await desk.approve(entry)
    assert refused.status == 422
    assert 'id="f-why-error"' in refused.text
    done = await desk.approve(entry, why="jeden dowód wycofano")
    assert done.status == 303
    assert "jeden dowód wycofano" in (await desk.page()).text
    async with acting(site) as conn:
        assert await conn.fetchval("select state from payments.entry where kind = 'payment'") == "approved"
        facts = await conn.fetchval("select facts from kernel.audit_log where verb = 'payments.bundle_differs'")
        assert (facts["difference"], facts["why"]) == ("79.50", "jeden dowód wycofano")
    wrong = await desk.clerk.post(f"{desk.address}/control", {"_key": "control", "expected_sum": "dużo"})
    assert 'id="f-expected_sum-error"' in wrong.text
    right = await desk.clerk.post(f"{desk.address}/control", {"_key": "control-2", "expected_sum": "120,50"})
    assert right.status == 303
    assert "zgadza się" in (await desk.page()).text


async def test_some_rows_are_approved_and_only_what_was_seen(site: Site, office: Office) -> None:
    await customers(site)
    desk = await Desk.opened(office)
    await desk.enter(row())
    await desk.enter(row("4712", "30"))
    first, second = await desk.entries()
    seen = await desk.clerk.get(f"{desk.address}/approve")
    await desk.enter(row("4713", "5"))
    stale = await desk.approve(first, second, page=seen)
    assert stale.status == 422
    assert "Wierszy było 2 na sumę 150,50 zł, teraz jest 3 na sumę 155,50 zł" in stale.text.replace("\xa0", " ")
    assert (await desk.approve(first)).status == 303
    assert (await desk.approve()).status == 422
    async with acting(site) as conn:
        states = await conn.fetch("select id, state from payments.entry where kind = 'payment' order by id")
        assert [row["state"] for row in states] == ["approved", "draft", "draft"]
    # What is approved is no row to change any more.
    assert (await desk.clerk.get(f"{desk.address}/rows/{first}")).status == 303
    assert (await desk.clerk.post(f"{desk.address}/rows/{first}", row() | {"_key": "late"})).status == 422


async def test_where_two_people_are_wanted_nobody_approves_own_rows(site: Site, office: Office) -> None:
    await customers(site)
    async with acting(site) as conn:
        await conn.execute(
            "insert into kernel.setting (plugin, value) values ('payments', $1)"
            " on conflict (plugin) do update set value = excluded.value",
            {"approver_differs": True},
        )
    boss = await office.visitor(Role.SUPERADMIN)
    desk = await Desk.opened(office)
    await desk.enter(row())
    (entry,) = await desk.entries()
    page = await desk.clerk.get(f"{desk.address}/approve")
    if 'name="ids"' in page.text:  # settings are read again within seconds
        await asyncio.sleep(3)
        page = await desk.clerk.get(f"{desk.address}/approve")
    assert "wiersz jest Twój" in page.text
    forged = await desk.clerk.post(
        f"{desk.address}/approve",
        {"_key": "forged", "ids": str(entry), "seen": hidden(await boss.get(f"{desk.address}/approve"), "seen")},
    )
    assert forged.status == 422
    assert (await Desk(boss, desk.address).approve(entry)).status == 303


async def test_whoever_is_no_clerk_any_more_enters_nothing(site: Site, office: Office) -> None:
    """The session ends with the role; what was typed waits in the browser's tab (tests/browser/test_till.py)."""
    await customers(site)
    desk = await Desk.opened(office)
    async with acting(site) as conn:
        await conn.execute("update kernel.users set role = 'customer' where id = $1", desk.clerk.user)
    refused = await desk.enter(row(title="opłata za listopad"))
    assert (refused.status, refused.headers["Location"]) == (303, f"/login?next={desk.address}")
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.till_row") == 0


async def test_a_full_bundle_takes_no_more(site: Site, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ROWS >= 100
    monkeypatch.setattr("plugins.payments.till.pages.MOST_ROWS", 1)
    await customers(site)
    desk = await Desk.opened(office)
    await desk.enter(row())
    assert (await desk.enter(row("4712"))).status == 422


async def test_the_list_of_a_day_on_page_and_paper(site: Site, office: Office) -> None:
    import pdfplumber

    await customers(site)
    desk = await Desk.opened(office, expected_sum="150,50")
    await desk.enter(row())
    await desk.enter(row("4712", "30", channel="transfer"))
    first, _second = await desk.entries()
    await desk.approve(first)
    page = await desk.clerk.get("/admin/payments/till/day")
    for words in ("Stanisław Wójcik", "Anna Nowak", "150,50", "1 z nich to szkic", "gotówka", "przelew"):
        assert words in page.text, words
    paper = await desk.clerk.get("/admin/payments/till/day.pdf")
    assert paper.headers["Content-Type"] == "application/pdf"
    with pdfplumber.open(BytesIO(paper.content)) as document:
        text = "\n".join(one.extract_text() or "" for one in document.pages)
    for words in ("Wpłaty z dnia 24 listopada 2026", "4711 Stanisław Wójcik", "Szkic", "150,50", "admin-1"):
        assert words in text, text
    assert (await desk.clerk.get("/admin/payments/till/day?day=24.10.2026")).status == 200
    assert "24.11.2026/1" in (await desk.clerk.get("/admin/payments/till?state=open")).text


async def test_a_long_day_is_printed_on_several_pages(site: Site, office: Office) -> None:
    import pdfplumber

    await customers(site)
    desk = await Desk.opened(office)
    for number in range(70):
        assert (await desk.enter(row(amount=str(number + 1)))).status == 303
    paper = await desk.clerk.get("/admin/payments/till/day.pdf")
    with pdfplumber.open(BytesIO(paper.content)) as document:
        assert len(document.pages) == 2
        assert "strona 2" in (document.pages[1].extract_text() or "")

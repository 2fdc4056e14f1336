"""The ledger in the search box, and how customers stand, beside their names."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from kernel import Connection, Money
from kernel.plugin.permissions import Role
from kernel.testing import Office
from plugins.payments.overview import figures, store
from plugins.payments.overview.chart import ceiling, chart, strips
from plugins.payments.overview.figures import Age, Month
from plugins.payments.overview.model import read
from tests.plugins.payments.ledger import TODAY, Book, acting, set_rules

pytestmark = pytest.mark.ebok(plugins=["customers", "payments"])


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("1 234,56", "amount", 123456),
        ("12,5 zł", "amount", 1250),
        ("100 zł", "amount", 10000),
        ("100", "amount", None),
        ("fv/12/2026", "document", "FV/12/2026"),
        ("Nowak", "document", ""),
        ("PL 29 1010 1010 0123 4560 0004 7110", "digits", "29101010100123456000047110"),
        ("12345", "digits", ""),
        ("Czynsz", "title", "Czynsz"),
        ("99", "title", ""),
    ],
)
def test_what_a_text_may_be(text: str, field: str, value: object) -> None:
    assert getattr(read(text), field) == value


async def found(conn: Connection, text: str) -> list[tuple[str, int]]:
    return [(row["what"], row["id"]) for row in await store.found(conn, read(text), lines=True)]


async def test_documents_amounts_and_titles_are_found(office: Office) -> None:
    async with acting(office.site) as conn:
        book = await Book.opened(conn)
        charge, paid = await book.post(
            book.charge(51240, date(2026, 11, 10), document_no="FV/7/11/2026"),
            book.payment(12345, date(2026, 11, 12), title="Za garaż nr 5"),
        )
        assert (await found(conn, "FV/7/11/2026"))[0] == ("entry", charge)
        assert (await found(conn, "fv/7"))[0] == ("entry", charge)
        assert (await found(conn, "123,45"))[0] == ("entry", paid)
        assert (await found(conn, "512,40 zł"))[0] == ("entry", charge)
        assert (await found(conn, "za garaz"))[0] == ("entry", paid)
        assert (await found(conn, "4711"))[0] == ("account", book.account)
        assert await found(conn, "nie ma nic takiego") == []
        for odd in ("", "%", "'", "\\", "PL" + "9" * 38, "99999999999,99"):
            await found(conn, odd)


async def test_a_bank_account_of_an_account_is_found(office: Office) -> None:
    await set_rules(office.site, virtual_prefix="10101010")
    async with acting(office.site) as conn:
        book = await Book.opened(conn)
        number = await conn.fetchval("select virtual_account from payments.account where id = $1", book.account)
        assert (await found(conn, f"PL {number[:2]} {number[2:14]} {number[14:]}"))[0] == ("account", book.account)


async def test_everybody_has_a_badge_that_tells_how_they_stand(office: Office) -> None:
    async with acting(office.site) as conn:
        books = {number: await Book.opened(conn, number) for number in ("1", "2", "3", "4")}
        late, soon = TODAY - timedelta(days=20), TODAY + timedelta(days=10)
        await books["1"].post(books["1"].charge(5000, late), books["1"].charge(700, soon))
        await books["2"].post(books["2"].charge(700, soon))
        await books["3"].post(books["3"].payment(2000, late))
        rows = await store.standing(conn, [book.customer for book in books.values()], TODAY)
    stands = {row["customer"]: (row["arrears"], row["balance"]) for row in rows}
    assert [stands[book.customer] for book in books.values()] == [(5000, 5700), (0, 700), (0, -2000), (0, 0)]
    admin = await office.visitor(Role.ADMIN)
    page = await admin.get("/admin/search?q=Stanis%C5%82aw")
    assert page.text.count("badge due") == 1
    for words in ("Zaległość 50,00", "Do zapłaty 7,00", "Nadpłata 20,00", "Rozliczone"):
        assert words in page.text


# --- the first page -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grosze", "end"), [(0, 100), (100, 100), (101, 200), (30_000, 50_000), (9_797_775, 10_000_000)]
)
def test_a_scale_ends_at_a_round_figure(grosze: int, end: int) -> None:
    assert ceiling(grosze) == end


def test_a_chart_stands_on_zero_and_holds_everything() -> None:
    months = [Month(date(2026, n, 1), Money(n * 100_000), Money((13 - n) * 90_000)) for n in range(1, 13)]
    drawn = chart(months)
    assert [amount.grosze for _y, amount in drawn.scale] == [0, 1_000_000, 2_000_000]
    assert all(bar.y + bar.height == pytest.approx(drawn.base) for bar in drawn.bars)
    assert all(0 <= bar.y <= drawn.base and 0 <= bar.mark <= drawn.base for bar in drawn.bars)
    assert chart([Month(date(2026, 1, 1), Money(-500), Money(0))]).bars[0].height == 0
    assert [strip.width for strip in strips([Age("to_30", Money(50), 1), Age("to_60", Money(100), 1)])] == [50.0, 100.0]
    assert [strip.width for strip in strips([Age("to_30", Money(0), 0)])] == [0.0]


async def test_figures_of_the_first_page_are_those_of_the_ledger(office: Office) -> None:
    async with acting(office.site) as conn:
        book = await Book.opened(conn)
        other = await Book.opened(conn, "2")
        await book.post(book.charge(50_000, date(2026, 10, 20)), book.payment(20_000, date(2026, 11, 2)))
        (wrong,) = await book.post(book.charge(9_900, date(2026, 10, 21)))
        await book.reverse(wrong)
        await other.post(other.charge(7_000, date(2026, 11, 20), issued_on=date(2026, 11, 3)))
        await other.post(other.charge(1_000, date(2026, 12, 20), issued_on=date(2026, 11, 3)))
        await figures.take(conn, TODAY, office.site.clock.now())
        kept, recent = await figures.first_page(conn)
    assert kept is not None
    sums = {month.first: (month.charged.grosze, month.collected.grosze) for month in kept.months}
    assert len(sums) == 12
    assert list(sums) == sorted(sums)
    assert sum(charged for charged, _collected in sums.values()) == 50_000 + 7_000 + 1_000, "what was reversed is off"
    assert sums[date(2026, 11, 1)][1] == 20_000
    assert kept.arrears == Money(30_000 + 7_000)
    assert [(age.name, age.amount.grosze, age.accounts) for age in kept.ages if age.amount] == [
        ("to_30", 7_000, 1),
        ("to_60", 30_000, 1),
    ]
    assert kept.debtors == 2
    assert len(recent) == 5


async def test_the_first_page_shows_charts_with_their_tables(office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    assert "w ciągu kwadransa" in (await admin.get("/admin/")).text
    await figures.refresh(office.site, {})
    page = (await admin.get("/admin/")).text
    assert page.count('<svg class="chart"') == 1
    assert "<title id=" in page
    assert "<desc id=" in page
    assert "style=" not in page
    assert page.count("side=charge&amp;state=approved&amp;since=") == 12
    assert "/admin/arrears?age=late" in page
    counts = (await admin.get("/admin/queue")).json()
    assert isinstance(counts, dict)


def listed_sum(page: str) -> str:
    """The figure in the foot of a list."""
    return re.findall(r'class="money">([^<]+)<', page.split("<tfoot>")[1].split("</tfoot>")[0])[-1]


async def test_each_age_opens_the_list_of_its_charges_with_the_same_sum(office: Office) -> None:
    async with acting(office.site) as conn:
        book = await Book.opened(conn)
        other = await Book.opened(conn, "2")
        await conn.execute("update kernel.customer set consumer = id = $1", other.customer)
        days = {"not_due": -9, "to_30": 20, "to_60": 45, "to_90": 75, "to_180": 120, "over_180": 300}
        for place, late in enumerate(days.values(), start=1):
            due = TODAY - timedelta(days=late)
            await book.post(book.charge(place * 1_111, due))
            await other.post(other.charge(place * 200, due))
        await other.post(other.charge(99_999, date(2021, 1, 10)))
        await figures.take(conn, TODAY, office.site.clock.now())
        kept, _recent = await figures.first_page(conn)
    assert kept is not None
    admin = await office.visitor(Role.ADMIN)
    links = re.findall(r'href="(/admin/arrears\?[^"]+)"', (await admin.get("/admin/")).text)
    assert len(links) == 1 + len(figures.AGES)
    whole, *parts = [link.replace("&amp;", "&") for link in links]
    assert listed_sum((await admin.get(whole)).text) == kept.arrears.figure
    for link, age in zip(parts, kept.ages, strict=True):
        page = (await admin.get(link)).text
        assert listed_sum(page) == age.amount.figure
        assert page.count("<tr>") == 2 + 2, "two charges, the head and the foot"
        first = (await admin.get(f"{link}&size=1")).text
        assert listed_sum(first) == age.amount.figure, "the sum is of all pages"
        exported = (await admin.get(f"{link}&format=csv")).text.splitlines()
        assert len(exported) == 3
    assert "999,99" in (await admin.get("/admin/arrears?age=barred")).text
    view = {"of": "/admin/arrears", "query": "age=to_60", "title": "Od miesiąca", "back": "/admin/arrears"}
    kept_view = await admin.post("/admin/lists/views", view)
    assert kept_view.status == 303
    page = (await admin.get("/admin/arrears")).text
    assert "Od miesiąca" in page
    assert "age=to_60" in page

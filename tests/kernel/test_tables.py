"""Lists on the real database: filters, Polish order, paging both ways by key, the exported file, hostile addresses."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web

from kernel.dates import PolishDate
from kernel.i18n import _
from kernel.plugin.contracts import Plugin, Route
from kernel.plugin.permissions import STAFF, Permission, Role
from kernel.site import Site
from kernel.testing import Office, Visitor
from kernel.web.tables import Badge, Column, Filter, Listing, ListQuery, listed

NAMES = ["Żak", "Zając", "Źrebak", "Adamczyk", "Ćwik", "Cyran", "Łoś", "Lis", "Ósma", "Okoń", "Świt", "Sowa"]
SORTED = ["Adamczyk", "Cyran", "Ćwik", "Lis", "Łoś", "Okoń", "Ósma", "Sowa", "Świt", "Zając", "Źrebak", "Żak"]

SHELF = Listing(
    "shelf.list",
    """
    select c.id, c.name, c.customer_no, c.kind, c.city, length(c.name)::bigint * 1000 as grosze,
           date '2026-01-01' + (c.id % 3)::int as day
    from kernel.customer c where c.status <> $1
    """,
    (
        Column("name", _("Name"), sort='kernel.pl_sort(name) collate "C"', link="shelf.one", by={"customer": "id"}),
        Column("customer_no", _("Number"), sort="customer_no"),
        Column("kind", _("Kind"), kind="badge", badges={"person": Badge(_("person"), "notice")}),
        Column("city", _("City")),
        Column("day", _("Day"), kind="date", sort="day"),
        Column("grosze", _("Amount"), kind="money", sort="grosze", total=True),
    ),
    order="name",
    filters=(
        Filter("text", _("Name"), "kernel.pl_sort(name) like '%' || kernel.pl_sort({0}::text) || '%'"),
        Filter("kind", _("Kind"), "kind = {0}", options=(("person", _("person")), ("company", _("company")))),
        Filter("since", _("Since"), "day >= {0}", kind="date"),
    ),
    selectable=lambda row: row["kind"] == "person",
)


class ShelfQuery(ListQuery):
    text: str = ""
    kind: str = ""
    since: PolishDate | None = None


async def show(request: web.Request, query: ShelfQuery) -> object:
    return await listed(request, SHELF, query, args=("closed",))


async def one(request: web.Request) -> Mapping[str, Any]:
    return {}


def shelf() -> ModuleType:
    module = ModuleType("shelf")
    module.__file__ = __file__

    def register_routes() -> Iterator[Route]:
        yield Route(
            "GET", "/admin/shelf", show, "shelf.see", "shelf.list", query=ShelfQuery, template="shelf/list.html"
        )
        yield Route("GET", r"/admin/shelf/{customer:\d+}", one, "shelf.see", "shelf.one", template="shelf/list.html")

    vars(module).update(
        plugin=Plugin(api=1),
        register_permissions=lambda: [Permission("shelf.see", _("See"), STAFF)],
        register_routes=register_routes,
    )
    return module


pytestmark = pytest.mark.ebok(plugins=[], modules={"shelf": shelf()})


@pytest.fixture
async def staff(office: Office) -> Visitor:
    async with office.site.db.connection() as conn:
        await conn.executemany(
            "insert into kernel.customer (customer_no, name, kind, city) values ($1, $2, $3, $4)",
            [(f"{n:03}", name, "company" if n % 4 == 0 else "person", "=1+1") for n, name in enumerate(NAMES)],
        )
    return await office.visitor(Role.ADMIN)


def names_in(page: str) -> list[str]:
    return re.findall(r'<a href="/admin/shelf/\d+">(\w+)</a>', page)


def link(page: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else None


async def pages(staff: Visitor, address: str, rel: str) -> tuple[list[list[str]], str]:
    """The names on every page from ``address`` on, and the address of the last one."""
    found: list[list[str]] = []
    following: str | None = address
    while following:
        address = following
        page = (await staff.get(address)).text
        found.append(names_in(page))
        following = link(page, rel)
    return found, address


def test_a_list_knows_all_its_statements() -> None:
    statements = list(SHELF.statements())
    # 4 sortable columns × (no filter, each of 3, all) × up and down × from the start and onward, and the sums of all
    assert len(statements) == len(set(statements)) == 4 * 5 * 2 * 2 + 5


async def test_every_statement_prepares_and_reads_no_more_than_a_page(site: Site) -> None:
    pool = await site.db.open()
    async with pool.acquire() as connection:
        for statement in SHELF.statements():
            await connection.prepare(statement)
            assert re.search(r" limit \$\d+$", statement) or statement.startswith("select count(*) as counted")


@pytest.mark.parametrize("sort", ["name", "-name"])
async def test_pages_lead_through_everything_and_back(staff: Visitor, sort: str) -> None:
    expected = SORTED if sort == "name" else SORTED[::-1]
    forward, last = await pages(staff, f"/admin/shelf?size=5&sort={sort}", "next")
    assert [name for names in forward for name in names] == expected
    assert [len(names) for names in forward] == [5, 5, 2]
    backward, _first = await pages(staff, last, "prev")
    assert backward == forward[::-1]


async def test_equal_values_are_neither_lost_nor_repeated(staff: Visitor) -> None:
    for sort in ("day", "-day", "grosze", "-grosze"):
        seen, _last = await pages(staff, f"/admin/shelf?size=5&sort={sort}", "next")
        assert sorted(name for names in seen for name in names) == sorted(NAMES)


async def test_filters_stay_in_the_address_and_can_be_removed_one_by_one(staff: Visitor) -> None:
    page = (await staff.get("/admin/shelf?kind=person&text=a&since=02.01.2026&sort=-name&size=5")).text
    assert 'value="02.01.2026"' in page
    chips = [href.replace("&amp;", "&") for href in re.findall(r'<li><a href="([^"]+)" aria-label', page)]
    assert [set(re.findall(r"[?&](\w+)=", href)) for href in chips] == [
        {"kind", "since", "sort", "size", "own"},
        {"text", "since", "sort", "size", "own"},
        {"text", "kind", "sort", "size", "own"},
    ]
    assert all("kind=person" in href for href in re.findall(r'<th[^>]*><a href="([^"]+)"', page))


async def test_what_matches_nothing_says_what_to_do(staff: Visitor) -> None:
    page = (await staff.get("/admin/shelf?text=qqq")).text
    assert "Nic nie pasuje do tych filtrów" in page
    assert "<tbody>" not in page


async def test_an_empty_list_is_not_a_failed_search(office: Office) -> None:
    staff = await office.visitor(Role.ADMIN)
    assert "Jeszcze nic tu nie ma" in (await staff.get("/admin/shelf")).text


async def test_totals_speak_of_the_rows_that_are_shown(staff: Visitor) -> None:
    whole = (await staff.get("/admin/shelf")).text
    assert ">Razem<" in whole
    grosze = sum(len(name) for name in NAMES) * 1000
    assert f"{grosze // 100},00<span" in whole
    assert "Razem na tej stronie" in (await staff.get("/admin/shelf?size=5")).text


async def test_only_selectable_rows_can_be_chosen(staff: Visitor) -> None:
    page = (await staff.get("/admin/shelf")).text
    assert page.count('type="checkbox" name="ids"') == 9


async def test_the_exported_file_opens_in_a_polish_spreadsheet(staff: Visitor) -> None:
    answer = await staff.get("/admin/shelf?format=csv&kind=person&size=5")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="shelf-list-\d{4}-\d\d-\d\d\.csv"', answer.headers["Content-Disposition"]
    )
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    assert len(rows) == 1 + 9
    assert all(row[3] == "'=1+1" for row in rows[1:])
    assert rows[1][5] == f"{len(rows[1][0]) * 10},00"
    assert re.fullmatch(r"2026-01-0\d", rows[1][4])


async def test_an_export_longer_than_a_batch_is_whole(office: Office) -> None:
    async with office.site.db.connection() as conn:
        await conn.execute(
            "insert into kernel.customer (customer_no, name) select n::text, 'Nowak' from generate_series(1, 2500) n"
        )
    staff = await office.visitor(Role.ADMIN)
    answer = await staff.get("/admin/shelf?format=csv")
    numbers = [row[1] for row in csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";")][1:]
    assert sorted(map(int, numbers)) == list(range(1, 2501))


CURSORS = [
    "zzz",
    "W10",
    "WyJkMjAyNi0wMS0wMSIsICJpMSJd",
    "WyJzYSIsICJpOTk5OTk5OTk5OTk5OTk5OTk5OTk5Il0",
    "WyJzAAAiLCAiaTEiXQ",
    "é",
]
WISHES = ["sort=grosze;drop", "sort=kind", "sort=-", "size=0", "size=100000", "format=exe"]


async def test_an_address_made_by_hand_never_breaks_the_page(staff: Visitor) -> None:
    for cursor in CURSORS:
        for way in ("after", "before"):
            assert (await staff.get(f"/admin/shelf?{way}={cursor}")).status in (200, 400), cursor
    for wish in WISHES:
        answer = await staff.get(f"/admin/shelf?{wish}")
        assert answer.status in (200, 422), wish
        assert len(names_in(answer.text)) == len(NAMES), wish

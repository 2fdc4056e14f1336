"""Lists remember how each person left them; a list may be kept under a name, for oneself or for the office."""

from __future__ import annotations

import re

import pytest

from kernel import Connection
from kernel.plugin.permissions import Role
from kernel.testing import Office, Visitor
from tests.kernel.test_tables import NAMES, shelf

pytestmark = pytest.mark.ebok(plugins=[], modules={"shelf": shelf()})
LIST = "/admin/shelf"


@pytest.fixture
async def staff(office: Office, conn: Connection) -> Visitor:
    for number, name in enumerate(NAMES):
        await conn.execute(
            "insert into kernel.customer (customer_no, name, kind) values ($1, $2, $3)",
            str(number),
            name,
            "company" if number % 3 == 0 else "person",
        )
    return await office.visitor(Role.ADMIN)


async def lands(visitor: Visitor, path: str) -> str:
    """Where a path leads in the end; at most one step further."""
    page = await visitor.get(path)
    return page.headers["Location"] if page.status == 303 else path


async def test_filters_and_order_are_remembered_for_each_person(office: Office, staff: Visitor) -> None:
    assert await lands(staff, LIST) == LIST, "nothing is remembered at first"
    await staff.get(f"{LIST}?kind=person")
    assert await lands(staff, LIST) == LIST, "a link from elsewhere is not what the person chose"
    assert await lands(staff, f"{LIST}?own=1&kind=person&sort=-name&text=&after=x") == f"{LIST}?kind=person&sort=-name"
    assert await lands(staff, LIST) == f"{LIST}?kind=person&sort=-name"
    colleague = await office.visitor(Role.ADMIN)
    assert await lands(colleague, LIST) == LIST
    assert await lands(staff, f"{LIST}?own=1") == LIST, "«Clear all» forgets"
    assert (await staff.get(LIST)).status == 200


async def test_columns_and_density_are_remembered(office: Office, staff: Visitor) -> None:
    columns = ["name", "customer_no", "kind", "city", "day", "grosze"]
    form = [("of", LIST), ("back", f"{LIST}?kind=person"), ("dense", "true")]
    form += [("columns", name) for name in columns] + [("shown", name) for name in ("kind", "grosze")]
    answer = await staff.send("POST", "/admin/lists/look", data=form)
    assert (answer.status, answer.headers["Location"]) == (303, f"{LIST}?kind=person")
    page = (await staff.get(LIST)).text
    heads = re.findall(r'<th scope="col" class="is-(\w+)"', page)
    assert heads == ["text", "badge", "money"], "the first column always stays"
    assert 'class="listing dense"' in page
    colleague = await office.visitor(Role.ADMIN)
    assert len(re.findall(r'<th scope="col"', (await colleague.get(LIST)).text)) == 6
    assert (await staff.get(f"{LIST}?format=csv")).text.splitlines()[0].count(";") == 5, "a file is whole"


async def kept(visitor: Visitor, title: str, query: str, **more: str) -> str:
    form = {"of": LIST, "title": title, "query": query, "back": f"{LIST}?{query}", **more}
    answer = await visitor.post("/admin/lists/views", form)
    assert answer.status == 303, answer.text
    return answer.headers["Location"]


async def test_a_list_is_kept_under_a_name_opens_first_and_goes(
    office: Office, staff: Visitor, conn: Connection
) -> None:
    address = await kept(staff, "Osoby", "kind=person&sort=-name&after=abc&own=1", opens="true")
    view = await conn.fetchval("select id from kernel.list_view")
    assert address == f"{LIST}?kind=person&sort=-name&view={view}"
    assert await lands(staff, LIST) == address
    page = (await staff.get(address)).text
    assert "Osoby" in page
    colleague = await office.visitor(Role.ADMIN)
    assert "Osoby" not in (await colleague.get(LIST)).text, "one's own is nobody else's"
    assert (await colleague.post("/admin/lists/views/delete", {"of": LIST, "view": str(view)})).status == 404
    await staff.post("/admin/lists/views/open", {"of": LIST, "view": "0", "back": LIST})
    assert await lands(staff, LIST) == LIST
    await staff.post("/admin/lists/views/open", {"of": LIST, "view": str(view), "back": LIST})
    gone = await staff.post("/admin/lists/views/delete", {"of": LIST, "view": str(view), "back": address})
    assert gone.headers["Location"] == LIST
    assert await lands(staff, LIST) == LIST


async def test_a_shared_view_is_everybodys_and_its_owners_to_delete(office: Office, staff: Visitor) -> None:
    address = await kept(staff, "Firmy", "kind=company", shared="true")
    colleague = await office.visitor(Role.SUPERADMIN)
    assert "Firmy" in (await colleague.get(LIST)).text
    view = address.rsplit("=", 1)[1]
    await colleague.post("/admin/lists/views/open", {"of": LIST, "view": view, "back": LIST})
    assert await lands(colleague, LIST) == address
    assert await lands(staff, LIST) == LIST
    await kept(staff, "Firmy", "kind=company&sort=-name", shared="true")
    assert (await lands(colleague, LIST)).startswith(f"{LIST}?kind=company&sort=-name"), "the same name is written over"
    await staff.post("/admin/lists/views/delete", {"of": LIST, "view": view})
    assert await lands(colleague, LIST) == LIST


async def test_whatever_is_sent_is_refused_or_harmless(staff: Visitor, office: Office) -> None:
    for form in (
        {"of": LIST, "title": " "},
        {"of": LIST, "title": "x" * 61},
        {"of": "javascript:", "title": "x"},
        {"of": LIST, "title": "x", "query": "q" * 5000},
    ):
        assert (await staff.post("/admin/lists/views", form)).status == 422, form
    away = await staff.post("/admin/lists/views/open", {"of": LIST, "view": "9", "back": "//elsewhere.example"})
    assert away.headers["Location"] == "/"
    assert (await staff.get(f"{LIST}?view=99999999")).status == 200
    assert (await staff.get(f"{LIST}?own=1&text={'a' * 3000}")).status == 303
    customer = await office.visitor(Role.CUSTOMER)
    assert (await customer.post("/admin/lists/look", {"of": LIST})).status == 403

"""The register in the console: what the office sees, does, and is refused."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

import pytest

from kernel import Connection, DemoPlan, Plugin, Refused, Role, Text, hookimpl
from kernel.testing import Office
from plugins.customers import demo

guard = ModuleType("guard")


def _guard() -> None:
    """A plugin that keeps customers whose number begins with K."""

    @hookimpl
    async def on_customer_closing(conn: Connection, customer: int) -> None:
        await _refuse(conn, customer)

    @hookimpl
    async def on_customer_removing(conn: Connection, customer: int) -> None:
        await _refuse(conn, customer)

    guard.plugin = Plugin(api=1)  # pyright: ignore[reportAttributeAccessIssue]
    guard.on_customer_closing = on_customer_closing  # pyright: ignore[reportAttributeAccessIssue]
    guard.on_customer_removing = on_customer_removing  # pyright: ignore[reportAttributeAccessIssue]


async def _refuse(conn: Connection, customer: int) -> None:
    if await conn.fetchval("select customer_no like 'K%' from kernel.customer where id = $1", customer):
        raise Refused(Text("Something approved hangs on this customer"))


_guard()
pytestmark = pytest.mark.ebok(plugins=["customers"], modules={"guard": guard})

ANNA = {
    "customer_no": "1001",
    "kind": "person",
    "given_name": "Anna",
    "family_name": "Żak",
    "consumer": "true",
    "street": "Lipowa",
    "building": "12",
    "flat": "4",
    "city": "Poznań",
    "phone": "600 100 200",
    "email": "anna@example.org",
}


async def verbs(conn: Connection) -> list[str]:
    rows = await conn.fetch("select verb from kernel.audit_log where verb like 'customers.%' order by id")
    return [row["verb"] for row in rows]


async def id_of(conn: Connection, customer_no: str) -> int:
    return await conn.fetchval("select id from kernel.customer where customer_no = $1", customer_no)


def lines(text: str, names: Iterable[str]) -> list[str]:
    """The names in the order in which the page shows them."""
    return sorted((name for name in names if name in text), key=text.index)


async def test_the_life_of_a_customer(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.get("/admin/customers")).status == 200
    assert (await admin.get("/admin/customers/add")).status == 200
    assert (await admin.post("/admin/customers/add", ANNA)).status == 303
    customer = await id_of(conn, "1001")
    row = await conn.fetchrow("select name, consumer, street from kernel.customer")
    assert row is not None
    assert dict(row) == {"name": "Anna Żak", "consumer": True, "street": "Lipowa"}

    page = await admin.get(f"/admin/customers/{customer}")
    assert page.status == 200
    assert "/change" in page.text
    form = await admin.get(f"/admin/customers/{customer}/change")
    assert 'value="Lipowa"' in form.text
    changed = await admin.post(f"/admin/customers/{customer}/change", ANNA | {"street": "Dębowa", "name": "Anna Żak"})
    assert changed.status == 303
    assert await conn.fetchval("select street from kernel.customer") == "Dębowa"

    assert (await admin.get(f"/admin/customers/{customer}/close")).status == 200
    assert (await admin.post(f"/admin/customers/{customer}/close", {"status": "closed"})).status == 303
    assert await conn.fetchval("select status from kernel.customer") == "closed"
    again = await admin.post(f"/admin/customers/{customer}/close", {"status": "closed"})
    assert again.status == 422
    assert (await admin.post(f"/admin/customers/{customer}/reopen")).status == 303
    assert (await admin.get(f"/admin/customers/{customer}/remove")).status == 200
    assert (await admin.post(f"/admin/customers/{customer}/remove")).status == 303
    assert await conn.fetchval("select count(*) from kernel.customer") == 0
    assert await verbs(conn) == [f"customers.{verb}" for verb in ("added", "changed", "closed", "reopened", "removed")]


async def test_refused_forms_keep_what_was_typed(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    await admin.post("/admin/customers/add", ANNA)
    page = await admin.post("/admin/customers/add", ANNA | {"city": "Gdynia"})
    assert page.status == 422
    assert 'value="Gdynia"' in page.text
    assert "f-customer_no-error" in page.text
    page = await admin.post("/admin/customers/add", {"customer_no": "2", "nip": "5260250275", "email": "x"})
    assert page.status == 422
    for name in ("nip", "email", "name"):
        assert f"f-{name}-error" in page.text
    assert await conn.fetchval("select count(*) from kernel.customer") == 1


async def test_a_plugin_may_keep_a_customer(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    await admin.post("/admin/customers/add", ANNA | {"customer_no": "K1"})
    customer = await id_of(conn, "K1")
    for what in ("close", "remove"):
        page = await admin.post(f"/admin/customers/{customer}/{what}", {"status": "closed"})
        assert page.status == 422
        assert "Something approved hangs on this customer" in page.text
    assert await conn.fetchval("select status from kernel.customer") == "active"


async def test_service_points(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    await admin.post("/admin/customers/add", ANNA)
    customer = await id_of(conn, "1001")
    form = await admin.get(f"/admin/customers/{customer}/points/add")
    assert 'value="Lipowa"' in form.text, "the customer's own address is offered"
    place = {"code": "12/4", "kind": "lokal", "street": "Lipowa", "building": "12", "flat": "4", "city": "Poznań"}
    assert (await admin.post(f"/admin/customers/{customer}/points/add", place)).status == 303
    assert (await admin.post(f"/admin/customers/{customer}/points/add", place)).status == 422
    assert (await admin.post(f"/admin/customers/{customer}/points/add", {"city": "x"})).status == 422
    point = await conn.fetchval("select id from kernel.service_point")
    assert await conn.fetchval("select customer from kernel.service_point") == customer
    address = f"/admin/premises/{point}/change"
    assert (await admin.get(address)).status == 200
    assert (await admin.post(address, place | {"unit": "Rejon 1"})).status == 303
    assert await conn.fetchval("select unit from kernel.service_point") == "Rejon 1"
    page = await admin.get(f"/admin/customers/{customer}")
    assert "12/4" in page.text
    assert f'href="/admin/premises/{point}"' in page.text
    assert (await admin.get("/admin/customers/999999/points/add")).status == 404
    assert (await admin.get("/admin/customers/999999/change")).status == 404


async def test_the_list_sorts_filters_and_exports(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    names = ["Adamczyk", "Ćwikła", "Czarnecka", "Łuczak", "Lis", "Żak", "Zawadzka"]
    for number, family in enumerate(names):
        await admin.post(
            "/admin/customers/add",
            ANNA | {"customer_no": str(number), "family_name": family, "street": f"Ulica {number}", "email": ""},
        )
    page = await admin.get("/admin/customers")
    ordered = ["Adamczyk", "Czarnecka", "Ćwikła", "Lis", "Łuczak", "Zawadzka", "Żak"]
    assert lines(page.text, [f"{name} Anna" for name in names]) == [f"{name} Anna" for name in ordered]
    for query, found in (
        ("name=ł", {"Łuczak"}),
        ("name=Żak", {"Żak"}),
        ("number=3", {"Łuczak"}),
        ("street=ulica+4", {"Lis"}),
        ("status=closed", set[str]()),
    ):
        page = await admin.get(f"/admin/customers?{query}")
        assert {name for name in names if f"{name} Anna" in page.text} == found, query
    first = await admin.get("/admin/customers?size=3")
    assert "Lis Anna" not in first.text
    exported = await admin.get("/admin/customers?format=csv&name=z")
    assert exported.headers["Content-Type"].startswith("text/csv")
    assert "Zawadzka Anna" in exported.text
    assert "Lis Anna" not in exported.text


async def test_search_finds_by_number_name_and_street(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    await admin.post("/admin/customers/add", ANNA)
    customer = await id_of(conn, "1001")
    for text in ("1001", "żak", "Anna", "lipow"):
        page = await admin.get(f"/admin/search?q={text}")
        assert page.status == 200
        assert f"/admin/customers/{customer}" in page.text, text
    for text in ("999", "%", "_", "x\\"):
        assert f'/admin/customers/{customer}"' not in (await admin.get("/admin/search", params={"q": text})).text


async def test_customers_do_not_see_the_register(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    await admin.post("/admin/customers/add", ANNA)
    customer = await id_of(conn, "1001")
    tenant = await office.visitor(Role.CUSTOMER, customer)
    for path in ("/admin/customers", "/admin/customers/add", f"/admin/customers/{customer}/change"):
        assert (await tenant.get(path)).status == 403
    assert (await tenant.post(f"/admin/customers/{customer}/remove")).status == 403
    assert await conn.fetchval("select count(*) from kernel.customer") == 1


async def test_the_demonstration(office: Office, conn: Connection) -> None:
    await demo.fill(office.site, conn, DemoPlan(120, 24, 1))
    assert await conn.fetchval("select count(*) from kernel.customer where status = 'active'") == 120
    assert await conn.fetchval("select count(distinct customer) from kernel.service_point") == 120
    assert await conn.fetchval("select count(*) from customers.tenure where until is not null") == 11
    assert await conn.fetchval("select count(*) from customers.death") == 1
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.get("/admin/customers")).status == 200

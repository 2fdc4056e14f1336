"""Groups of customers: put together by hand or described by a rule, shown with amounts, and taken page by page."""

from __future__ import annotations

import json
from datetime import date

import pytest

from kernel import Connection, Money, Refused
from kernel.people import store as people
from kernel.people.model import CustomerData
from kernel.plugin.permissions import Role
from kernel.testing import Office, Visitor
from plugins.customers.groups import store
from plugins.customers.groups.audience import KeptGroups
from plugins.customers.groups.model import Over, Rule, members_select, numbers
from plugins.exports import grouping, making
from plugins.exports.model import ordered
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["customers", "payments", "exports"])
RULE = {"name": "Budynek 5", "made": "rule", "building": "5", "status": "active"}


def test_pasted_numbers_are_read_in_any_form() -> None:
    assert numbers(" 12, 13;14\n\n15\t12 ") == ["12", "13", "14", "15"]
    assert numbers("") == []


async def tenants(conn: Connection) -> list[int]:
    return [
        await people.add_customer(
            conn,
            CustomerData(
                customer_no=str(n), name=f"Klient {n}", street="Lipowa", building="5" if n < 5 else "6", flat=str(n)
            ),
        )
        for n in range(1, 8)
    ]


async def owing(office: Office) -> list[int]:
    """Seven customers, four of building 5; the first three of all owe 400, 600 and 700 zł."""
    async with acting(office.site) as conn:
        ids = await tenants(conn)
        from plugins.payments import store as ledger

        accounts = await ledger.open_accounts(conn, ids[:3], TODAY)
        for customer, grosze in zip(ids, (40_000, 60_000, 70_000), strict=False):
            book = Book(conn, customer, accounts[customer])
            await book.post(book.charge(grosze, date(2026, 10, 1)))
    return ids


async def made(visitor: Visitor, **form: str) -> str:
    answer = await visitor.post("/admin/groups/add", {**RULE, **form})
    assert answer.status == 303, answer.text
    return answer.headers["Location"]


async def test_building_5_with_arrears_over_500_is_kept_and_shown_with_amounts(office: Office) -> None:
    ids = await owing(office)
    admin = await office.visitor(Role.ADMIN)
    address = await made(admin, name="Budynek 5, ponad 500", field_a="payments.arrears", over_a="500")
    page = (await admin.get(address)).text
    assert "Klient 2" in page
    assert "Klient 3" in page
    assert "Klient 1<" not in page
    assert "600,00" in page
    assert "1\u00a0300,00" in page, "the sum in the foot"
    assert "Zaległości powyżej" in page
    sums = (await admin.get(f"{address}/sums")).text
    assert "<dd>2</dd>" in sums
    assert "1\u00a0300,00" in sums
    exported = (await admin.get(f"{address}?format=csv")).text.splitlines()
    assert len(exported) == 3
    assert exported[1].split(";")[3] == "600,00"
    group = int(address.rsplit("/", 1)[1])
    async with office.site.db.connection() as conn:
        assert await KeptGroups().members(office.site, conn, group) == ids[1:3]
        assert await KeptGroups().members(office.site, conn, group, after=ids[1]) == ids[2:3]
        assert await KeptGroups().members(office.site, conn, group, limit=1) == ids[1:2]
        assert (group, "Budynek 5, ponad 500") in await KeptGroups().named(conn)
        with pytest.raises(LookupError):
            await KeptGroups().members(office.site, conn, group + 1)
    async with acting(office.site) as conn:
        paid = await conn.fetchval("select id from payments.account where customer = $1", ids[1])
        book = Book(conn, ids[1], paid)
        await book.post(book.payment(60_000, date(2026, 11, 20)))
    assert "Klient 2" not in (await admin.get(address)).text, "who has paid fits no more"


async def test_a_group_by_hand_is_filled_by_numbers_from_the_list_and_on_the_customers_page(
    office: Office, conn: Connection
) -> None:
    ids = await tenants(conn)
    admin = await office.visitor(Role.ADMIN)
    address = await made(admin, name="Zarząd", made="hand", building="", status="")
    group = int(address.rsplit("/", 1)[1])
    refused = await admin.post(f"{address}/fill", {"numbers": "1 2 77"})
    assert refused.status == 422
    assert "77" in refused.text
    assert "1 2 77" in refused.text, "what was typed stays"
    assert await conn.fetchval("select count(*) from customers.group_member") == 0, "nobody is put in by halves"
    assert (await admin.post(f"{address}/fill", {"numbers": "1, 2\n1"})).status == 303
    assert 'name="group"' in (await admin.get("/admin/customers")).text
    picked = await admin.send("POST", "/admin/customers", data=[("ids", str(ids[2])), ("group", str(group))])
    assert picked.headers["Location"] == address
    assert (await admin.post(f"/admin/customers/{ids[3]}/groups", {"groups": str(group)})).status == 303
    assert await KeptGroups().members(office.site, conn, group) == ids[:4]
    await admin.post(f"/admin/customers/{ids[3]}/groups")
    await admin.post(address, {"ids": str(ids[0])})
    assert await KeptGroups().members(office.site, conn, group) == ids[1:3]
    for form in ({}, {"ids": str(ids[0])}, {"ids": str(ids[0]), "group": "999"}):
        assert (await admin.post("/admin/customers", form)).status == 422
    assert (await admin.get(f"{address}/delete")).status == 200
    assert (await admin.post(f"{address}/delete")).headers["Location"] == "/admin/groups"
    assert await conn.fetchval("select count(*) from kernel.customer") == 7
    assert await conn.fetchval("select count(*) from customers.group_member") == 0


async def test_a_rule_that_says_nothing_or_a_name_that_is_taken_is_refused(office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    await made(admin)
    for wrong in (
        {"name": ""},
        {"name": "budynek 5"},
        {"name": "x", "building": "", "status": ""},
        {"name": "x", "field_a": "payments.arrears"},
        {"name": "x", "field_a": "nonsense.field", "over_a": "5"},
        {"name": "x", "field_a": "payments.arrears", "over_a": "dużo"},
    ):
        answer = await admin.post("/admin/groups/add", {**RULE, **wrong})
        assert answer.status == 422, wrong
        assert 'value="5"' in answer.text or not {**RULE, **wrong}["building"], wrong


async def test_a_rule_is_changed_and_a_customer_sees_no_groups(office: Office, conn: Connection) -> None:
    ids = await tenants(conn)
    admin = await office.visitor(Role.ADMIN)
    address = await made(admin)
    assert (await admin.get(f"{address}/change")).status == 200
    await admin.post(f"{address}/change", {**RULE, "building": "6"})
    assert await KeptGroups().members(office.site, conn, int(address.rsplit("/", 1)[1])) == ids[4:]
    assert (await admin.get(f"{address}/fill")).status == 404, "nobody is put into a rule"
    customer = await office.visitor(Role.CUSTOMER, ids[0])
    for path in ("/admin/groups", address, f"/admin/customers/{ids[0]}/groups"):
        assert (await customer.get(path)).status == 403


async def test_a_field_of_a_plugin_that_is_off_matches_nobody(office: Office, conn: Connection) -> None:
    await tenants(conn)
    rule = Rule(building="5", over=(Over(field="readings.unpaid", grosze=Money(5).grosze),))
    async with acting(office.site) as acted:
        group = await store.add(acted, "Woda", "", rule)
    assert await KeptGroups().members(office.site, conn, group) == []
    select, args = members_select(group, rule, (), TODAY, {})
    assert await conn.fetch(select, *args) == []


async def test_a_groups_page_follows_indexes_whoever_declares_the_amounts(office: Office, conn: Connection) -> None:
    fields = office.site.registry.customer_fields
    assert set(fields) == {"payments.arrears", "payments.overpaid"}
    rule = Rule(building="5", over=tuple(Over(field=name, grosze=1) for name in fields))
    select, args = members_select(1, rule, tuple(fields.values()), TODAY, fields)
    assert await conn.fetch(select, *args) == []


async def test_a_group_narrows_payments_accounts_and_arrears_and_is_kept_in_a_view(office: Office) -> None:
    await owing(office)
    admin = await office.visitor(Role.ADMIN)
    address = await made(admin, name="Budynek 5, ponad 500", field_a="payments.arrears", over_a="500")
    group = address.rsplit("/", 1)[1]
    for path in ("/admin/payments", "/admin/arrears", "/admin/accounts"):
        page = (await admin.get(f"{path}?group={group}")).text
        assert f'<option value="{group}" selected>Budynek 5, ponad 500</option>' in page
        assert "Klient 2" in page
        assert "Klient 3" in page
        assert "Klient 1<" not in page
        assert "1\u00a0300,00" in page, "the sum in the foot"
        exported = (await admin.get(f"{path}?group={group}&format=csv")).text.splitlines()
        assert len(exported) == 3
        alone = (await admin.get(f"{path}?group={group}&customer=2")).text
        assert "Klient 2" in alone
        assert "Klient 3" not in alone
        assert "Klient 1<" in (await admin.get(f"{path}?group=")).text, "«all» is no group"
    view = {"of": "/admin/payments", "title": "Budynek 5", "back": "/admin/payments", "opens": "true"}
    assert (await admin.post("/admin/lists/views", {**view, "query": f"group={group}&side=charge"})).status == 303
    opened = await admin.get("/admin/payments")
    assert f"group={group}" in opened.headers["Location"]
    assert "Klient 1<" not in (await admin.get(opened.headers["Location"])).text
    await admin.post(f"{address}/delete")
    page = (await admin.get(opened.headers["Location"])).text
    assert "Klient" not in page.split("<main")[1].split("<tbody")[-1] or "Nic nie pasuje" in page
    assert "Klient 1<" not in page, "a deleted group shows nobody, and never everybody"


async def test_the_drafts_of_a_group_are_never_approved_by_the_filters_of_all(office: Office) -> None:
    await owing(office)
    admin = await office.visitor(Role.ADMIN)
    group = (await made(admin, name="Budynek 5")).rsplit("/", 1)[1]
    page = (await admin.get(f"/admin/payments?state=draft&group={group}")).text
    assert "/admin/payments/approve?" not in page
    assert (await admin.get(f"/admin/payments/approve?state=draft&group={group}")).status == 404
    form = {"count": "0", "charged": "0", "paid": "0", "seen": ""}
    assert (await admin.post(f"/admin/payments/approve?state=draft&group={group}", form)).status in {404, 422}


async def test_a_group_narrows_an_export_from_the_page_and_from_the_command_line(office: Office) -> None:
    await owing(office)
    admin = await office.visitor(Role.ADMIN)
    address = await made(admin, name="Budynek 5, ponad 500", field_a="payments.arrears", over_a="500")
    group = address.rsplit("/", 1)[1]
    for what in ("customers.customers", "payments.entries", "payments.balances", "payments.open_items"):
        form = await admin.get(f"/admin/exports/new/{what}")
        assert "Budynek 5, ponad 500</option>" in form.text
        answer = await admin.post(f"/admin/exports/new/{what}", {"format": "json", "group": group})
        page = await admin.get(answer.headers["Location"])
        assert "Budynek 5, ponad 500" in page.text, "what it was narrowed by"
        rows = json.loads((await admin.post(answer.headers["Location"])).content)
        assert sorted(row["customer_no"] for row in rows) == ["2", "3"]
    assert 'name="group"' not in (await admin.get("/admin/exports/new/customers.service_points")).text
    refused = await admin.post("/admin/exports/new/payments.balances", {"format": "json", "group": "999"})
    assert refused.status == 422
    assert "Nie ma takiej grupy" in refused.text
    site, registry = office.site, office.site.registry
    order = ordered(registry.exports["payments.balances"], "csv", {}, TODAY)
    async with site.db.connection() as conn:
        narrowed = await grouping.within(site, conn, order, {"group": "Budynek 5, ponad 500"})
        assert await making.count(conn, narrowed) == 2
        with pytest.raises(Refused):
            await grouping.within(site, conn, order, {"group": "Budynek 7"})


@pytest.mark.ebok(plugins=["payments", "exports"])
async def test_without_the_register_there_is_no_filter_by_groups(office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    for path in ("/admin/payments", "/admin/accounts", "/admin/arrears", "/admin/exports/new/payments.balances"):
        page = await admin.get(path)
        assert page.status == 200
        assert 'name="group"' not in page.text
    async with acting(office.site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100, date(2026, 10, 1)))
    assert "4711" in (await admin.get("/admin/payments")).text
    kept = (await admin.get("/admin/payments?group=1")).text
    assert "<td" not in kept, "a view kept for a group does not show everybody"

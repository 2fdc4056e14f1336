"""History, two clerks, deaths, removal, lists that changed: what the register keeps and what it refuses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from kernel import Batch, Connection, Refused, Role, SourceChange, SourceRow, Stamp, _
from kernel.auth.passwords import hash_password
from kernel.testing import Office, Visitor
from plugins.customers import store
from plugins.customers.bulk.jobs import close_many
from plugins.customers.model import CustomerRow, one_phone, parse_account_no, parse_pesel, parse_regon
from tests.plugins.customers.test_pages import ANNA, id_of

pytestmark = pytest.mark.ebok(plugins=["customers"])

PASSWORD = "bardzo-tajne-haslo-7"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("600100200", "600 100 200"),
        ("+48 600-100-200", "600 100 200"),
        ("0048 (61) 555 01 00", "61 555 01 00"),
        ("600100200; 61 5550100", "600 100 200, 61 555 01 00"),
        ("+44 20 7946 0958", "+44 20 7946 0958"),
        ("12 34", "12 34"),
        ("", ""),
    ],
)
def test_telephone_numbers_are_kept_one_way(written: str, kept: str) -> None:
    assert one_phone(written) == kept


@pytest.mark.parametrize(
    ("parse", "right", "wrong"),
    [
        (parse_pesel, ("44051401359", "02070803628", ""), ("44051401358", "4405140135", "44053201359", "abc")),
        (parse_regon, ("123456785", "12345678512347", ""), ("123456784", "12345678512346", "12")),
        (
            parse_account_no,
            ("PL61 1090 1014 0000 0712 1981 2874", "61109010140000071219812874", ""),
            ("61109010140000071219812875", "6110901014", "x"),
        ),
    ],
)
def test_check_digits(parse: Callable[[str], str], right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    for value in right:
        assert re.fullmatch("[0-9]*", parse(value))
    for value in wrong:
        with pytest.raises(Exception, match=r"PESEL|REGON|account"):
            parse(value)


async def added(office: Office, conn: Connection, **changes: str) -> tuple[Visitor, int]:
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.post("/admin/customers/add", ANNA | changes)).status == 303
    return admin, await id_of(conn, changes.get("customer_no", ANNA["customer_no"]))


async def form_of(visitor: Visitor, address: str) -> dict[str, str]:
    """The hidden values and fields of a page's form, as a browser would send them."""
    text = (await visitor.get(address)).text
    main = text[text.index("<main") :]
    fields = dict(re.findall(r'<input [^>]*?name="([a-z_]+)"[^>]*? value="([^"]*)"', main))
    return {name: value for name, value in fields.items() if name not in ("q", "_key", "consumer", "theme", "size")}


async def test_every_change_is_kept_with_its_author(office: Office, conn: Connection) -> None:
    admin, customer = await added(office, conn)
    address = f"/admin/customers/{customer}/change"
    form = ANNA | await form_of(admin, address) | {"street": "Dębowa", "phone": "61 5550100"}
    assert (await admin.post(address, form)).status == 303
    async with office.site.db.transaction(Stamp("import")) as tx:
        await tx.execute("update kernel.customer set email = 'nowy@example.org' where id = $1", customer)
    rows = await conn.fetch("select actor, fields from customers.change where customer = $1 order by id", customer)
    assert [row["fields"] for row in rows] == [
        {"street": ["Lipowa", "Dębowa"], "phone": ["600 100 200", "61 555 01 00"]},
        {"email": ["anna@example.org", "nowy@example.org"]},
    ]
    assert rows[0]["actor"] == str(admin.user)
    page = (await admin.get(f"/admin/customers/{customer}/changes")).text
    for word in ("Dębowa", "600 100 200", "nowy@example.org", "z importu", "admin-1"):
        assert word in page, word
    assert "Dębowa" not in (await admin.get(f"/admin/customers/{customer}/changes?field=email")).text
    assert (await admin.get(f"/admin/customers/{customer}/changes?format=csv")).text.count("\r\n") == 4

    # As of a day: today it is so, the day before the customer was not there.
    today = (await admin.get(f"/admin/customers/{customer}/on-day")).text
    assert "Dębowa" in today
    yesterday = (office.site.clock.today() - timedelta(days=1)).isoformat()
    assert "Tego dnia klienta nie było" in (await admin.get(f"/admin/customers/{customer}/on-day?on={yesterday}")).text


async def test_as_of_a_day_is_what_was_written_then(office: Office, conn: Connection) -> None:
    admin, customer = await added(office, conn)
    connection = await asyncpg.connect(office.site.owner_dsn)
    try:
        await connection.execute("set role ebok_owner")
        await connection.execute("update kernel.customer set created_at = now() - interval '9 days'")
        await connection.execute("update kernel.customer set street = 'Nowa'")
        await connection.execute("update customers.change set happened_at = now() - interval '3 days'")
    finally:
        await connection.close()
    then = (office.site.clock.today() - timedelta(days=5)).isoformat()
    page = (await admin.get(f"/admin/customers/{customer}/on-day?on={then}")).text
    assert page.index("Lipowa") < page.index("Nowa")


async def test_history_is_not_the_applications_to_write(office: Office, conn: Connection) -> None:
    _admin, customer = await added(office, conn)
    await conn.execute("update kernel.customer set street = 'Nowa' where id = $1", customer)
    for statement in (
        "update customers.change set fields = '{}'",
        "delete from customers.change",
        "insert into customers.change (customer, fields) values (1, '{}')",
        "insert into customers.tombstone (customer, reason) values (1, 'x')",
        "delete from customers.tombstone",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


async def test_two_clerks_lose_nothing(office: Office, conn: Connection) -> None:
    first, customer = await added(office, conn)
    second = await office.visitor(Role.ADMIN)
    address = f"/admin/customers/{customer}/change"
    early, late = await form_of(first, address), await form_of(second, address)
    kind = {"kind": "person", "consumer": "true"}
    assert (await first.post(address, early | kind | {"street": "Dębowa", "phone": "22 8283739"})).status == 303

    # The second one typed another street and an e-mail meanwhile.
    typed = late | kind | {"street": "Klonowa", "email": "inna@example.org"}
    page = await second.post(address, typed)
    assert page.status == 422
    assert "Ktoś inny zmienił te dane" in page.text
    for word in ("Dębowa", 'value="Klonowa"', 'value="inna@example.org"', "22 828 37 39", "admin-1"):
        assert word in page.text, word
    assert 'value="phone" checked' in page.text, "an untouched field is proposed to be taken over"
    assert 'value="street" checked' not in page.text
    assert await conn.fetchval("select street from kernel.customer") == "Dębowa"

    # Something wrong beside it loses neither the comparison nor the choice.
    seen = re.findall(r'name="seen" value="(\d+)"', page.text)[0]
    wrong = await second.post(address, typed | {"seen": seen, "take": "phone", "nip": "123"})
    assert wrong.status == 422
    assert 'value="phone" checked' in wrong.text

    assert (await second.post(address, typed | {"seen": seen, "take": "phone"})).status == 303
    row = await conn.fetchrow("select street, phone, email from kernel.customer")
    assert row is not None
    assert tuple(row) == ("Klonowa", "22 828 37 39", "inna@example.org")


async def test_what_others_did_not_touch_needs_no_comparing(office: Office, conn: Connection) -> None:
    first, customer = await added(office, conn)
    address = f"/admin/customers/{customer}/change"
    form = await form_of(first, address) | {"kind": "person", "consumer": "true", "street": "Dębowa"}
    assert (await first.post(address, form)).status == 303
    assert (await first.post(address, form)).status == 303, "the same again changes nothing"
    assert await conn.fetchval("select count(*) from customers.change") == 1


async def test_somebody_alike_is_shown_before_a_second_one_is_made(office: Office, conn: Connection) -> None:
    admin, customer = await added(office, conn)
    for changes in (
        {"customer_no": "2", "email": ""},
        {"customer_no": "2", "given_name": "Ewa", "email": "ANNA@example.org"},
    ):
        page = await admin.post("/admin/customers/add", ANNA | changes)
        assert page.status == 422
        assert f'href="/admin/customers/{customer}"' in page.text
        assert "f-is_another-error" in page.text
    assert (await admin.post("/admin/customers/add", ANNA | {"customer_no": "2", "is_another": "true"})).status == 303


async def test_a_death_ends_logins_at_once_and_can_be_taken_back(office: Office, conn: Connection) -> None:
    admin, customer = await added(office, conn)
    other = await conn.fetchval("insert into kernel.customer (customer_no, name) values ('2', 'Jan') returning id")
    widow, own = await office.visitor(Role.CUSTOMER, customer, other), await office.visitor(Role.CUSTOMER, customer)
    assert (await own.get("/account")).status == 200
    assert (await admin.get(f"/admin/customers/{customer}/death")).status == 200
    address = f"/admin/customers/{customer}/death"
    assert (await admin.post(address, {"died_on": "25.11.2099"})).status == 422
    assert (await admin.post(address, {"died_on": "20.11.2026", "heirs": "Syn Jan, ul. Polna 2"})).status == 303
    assert (await own.get("/account")).status == 303, "logged out"
    assert (await widow.get("/account")).status == 303
    rows = await conn.fetch("select id, state from kernel.users where role = 'customer'")
    states = {row["id"]: row["state"] for row in rows}
    assert states == {own.user: "disabled", widow.user: "active"}, "she still has another customer"
    live = "select count(*) from kernel.access_grant where customer = $1 and (valid_to is null or valid_to > now())"
    assert await conn.fetchval(live, customer) == 0
    assert await conn.fetchval(live, other) == 1
    page = (await admin.get(f"/admin/customers/{customer}")).text
    assert "Syn Jan, ul. Polna 2" in page
    assert "korespondencja wstrzymana" in page
    assert (await admin.post(f"/admin/customers/{customer}/close")).status == 422
    assert (await admin.post(f"/admin/customers/{customer}/reopen")).status == 422

    assert (await admin.post(f"{address}/revoke", {"reason": ""})).status == 422
    assert (await admin.post(f"{address}/revoke", {"reason": "pomyłka urzędu"})).status == 303
    assert (await admin.post(f"{address}/revoke", {"reason": "jeszcze raz"})).status == 422
    assert await conn.fetchval("select status from kernel.customer where id = $1", customer) == "active"
    assert await conn.fetchval(live, customer) == 2
    assert await conn.fetchval("select count(*) from kernel.users where state = 'disabled'") == 0


async def boss_with_a_password(office: Office) -> Visitor:
    boss = await office.visitor(Role.SUPERADMIN, mode=True)
    async with office.site.db.transaction(Stamp("test")) as tx:
        await tx.execute(
            "update kernel.users set password_hash = $2, email = 'szefowa@example.org' where id = $1",
            boss.user,
            await hash_password(PASSWORD),
        )
    return boss


async def test_a_superadministrator_removes_an_old_customer(office: Office, conn: Connection) -> None:
    admin, customer = await added(office, conn)
    await office.visitor(Role.CUSTOMER, customer)
    boss, colleague = await boss_with_a_password(office), await office.visitor(Role.SUPERADMIN)
    async with office.site.db.transaction(Stamp("test")) as tx:
        await tx.execute("update kernel.users set email = 'druga@example.org' where id = $1", colleague.user)
    address, form = f"/admin/customers/{customer}/purge", {"reason": "wniosek z art. 17", "password": PASSWORD}
    assert (await admin.get(address)).status == 403
    assert (await admin.post(address, form)).status == 403
    assert (await colleague.post(address, form)).status in {303, 403}, "not in the mode"
    assert (await boss.post(address, form)).status == 422, "still active"
    await admin.post(f"/admin/customers/{customer}/numbers", {"pesel": "44051401359"})
    await admin.post(f"/admin/customers/{customer}/close")
    assert (await boss.post(address, form | {"password": "nie to"})).status == 422
    assert (await boss.post(address, form)).status == 303
    assert (await boss.post(address, form)).status == 303, "once, however often it is asked"

    row = await conn.fetchrow("select name, email, phone, street, customer_no from kernel.customer")
    assert row is not None
    assert tuple(row) == ("Dane usunięte", "", "", "", "1001")
    for table in ("customers.change", "customers.identity", "kernel.access_grant"):
        assert await conn.fetchval(f"select count(*) from {table}") == 0, table  # noqa: S608
    assert await conn.fetchval("select count(*) from kernel.users where role = 'customer'") == 0
    assert await conn.fetchval("select reason from customers.tombstone") == "wniosek z art. 17"
    letters = await conn.fetch("select recipient from kernel.mail_log")
    assert [letter["recipient"] for letter in letters] == ["druga@example.org"]
    assert "Anna" not in str([tuple(row) for row in await conn.fetch("select facts from kernel.audit_log")])
    assert "usunął dane osobowe" in (await admin.get(f"/admin/customers/{customer}")).text

    # It stays removed, whoever writes.
    assert (await admin.post(f"/admin/customers/{customer}/change", ANNA)).status == 422
    assert (await admin.post(f"/admin/customers/{customer}/reopen")).status == 422
    with pytest.raises(asyncpg.PostgresError, match="was removed"):
        await conn.execute("update kernel.customer set name = 'Anna' where id = $1", customer)


async def test_an_administrator_cannot_remove_by_sql(office: Office, conn: Connection) -> None:
    _admin, customer = await added(office, conn)
    await conn.execute("update kernel.customer set status = 'closed'")
    with pytest.raises(asyncpg.PostgresError, match="only the superadministrator"):
        async with office.site.db.transaction(Stamp("7", "admin")) as tx:
            await tx.fetchval("select customers.purge_customer($1, 'x', '—')", customer)
    with pytest.raises(asyncpg.PostgresError, match="only the superadministrator"):
        await conn.fetchval("select customers.purge_customer($1, 'x', '—')", customer)
    with pytest.raises(asyncpg.PostgresError, match="only the superadministrator"):
        await conn.fetchval("select customers.purge_premises(1, 'x')")


async def test_numbers_are_checked_hidden_and_their_reading_is_written_down(office: Office, conn: Connection) -> None:
    admin, customer = await added(office, conn)
    address = f"/admin/customers/{customer}/numbers"
    page = await admin.post(address, {"pesel": "44051401358", "regon": "1", "refund_account": "12"})
    assert page.status == 422
    for name in ("pesel", "regon", "refund_account"):
        assert f"f-{name}-error" in page.text
    good = {"pesel": "44051401359", "refund_account": "PL61 1090 1014 0000 0712 1981 2874"}
    assert (await admin.post(address, good)).status == 303
    assert "44051401359" not in (await admin.get(address)).text
    assert "44051401359" in (await admin.post(f"{address}/reveal")).text
    assert await conn.fetchval("select count(*) from kernel.audit_log where verb = 'customers.identity_seen'") == 1
    assert await conn.fetchval("select count(*) from kernel.idempotency_key where body::text like '%3434303531%'") == 0
    assert (await admin.post(address, {"regon": "123456785"})).status == 303
    assert await conn.fetchval("select pesel from customers.identity") == "44051401359", "left empty it stays"
    assert (await admin.post(address, {"forget_pesel": "true"})).status == 303
    assert await conn.fetchval("select pesel from customers.identity") == ""


async def test_a_list_that_changed_is_not_closed(office: Office, conn: Connection) -> None:
    admin, _anna = await added(office, conn)
    await conn.execute(
        "insert into kernel.customer (customer_no, name, street)"
        " values ('2', 'Jan Lis', 'Lipowa'), ('3', 'Ewa', 'Inna')"
    )
    address = "/admin/customers/bulk?street=Lip"
    page = (await admin.get(address)).text
    ids = re.findall(r'name="ids" value="([\d,]+)"', page)[0]
    assert "Jan Lis" in page
    assert "Ewa" not in page
    await conn.execute("update kernel.customer set street = 'Lipowa' where customer_no = '3'")
    await conn.execute("update kernel.customer set street = 'Dębowa' where customer_no = '2'")
    refused = await admin.post(address, {"ids": ids})
    assert refused.status == 422
    assert "Doszli: Ewa (3). Ubyli: Jan Lis (2)" in refused.text
    assert await conn.fetchval("select count(*) from kernel.customer where status = 'closed'") == 0
    ids = re.findall(r'name="ids" value="([\d,]+)"', refused.text)[0]
    assert (await admin.post(address, {"ids": ids})).status == 303
    assert await conn.fetchval("select count(*) from kernel.customer where status = 'closed'") == 0, "a job does it"
    await close_many(office.site, {"run": 1})
    rows = await conn.fetch("select customer_no from kernel.customer where status = 'closed' order by customer_no")
    assert [row["customer_no"] for row in rows] == ["1001", "3"]
    assert (await admin.post("/admin/customers/bulk", {"ids": "1'"})).status == 422


async def test_many_are_closed_one_by_one(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    await conn.execute(
        "insert into kernel.customer (customer_no, name, street)"
        " select n::text, 'Lokator ' || n, 'Długa' from generate_series(1, 250) n"
    )

    async def begun() -> str:
        page = (await admin.get("/admin/customers/bulk?street=D%C5%82u")).text
        ids = re.findall(r'name="ids" value="([\d,]+)"', page)[0]
        answer = await admin.post("/admin/customers/bulk?street=D%C5%82u", {"ids": ids})
        assert answer.status == 303
        return answer.headers["Location"].partition("?")[0]

    # Cancelled before the worker comes: nobody is touched, and the page says so.
    first = await begun()
    page = (await admin.get(first)).text
    assert "0 z 250 klientów" in page
    assert 'data-progress="closing"' in page
    assert (await admin.post(first)).status == 303
    assert (await admin.post(first)).status == 422, "over"
    await close_many(office.site, {"run": 1})
    assert await conn.fetchval("select count(*) from kernel.customer where status = 'closed'") == 0

    # One is closed meanwhile, one cannot be: everybody else is closed, and the list says who was not and why.
    second = await begun()
    await conn.execute("update kernel.customer set status = 'closed' where customer_no = '7'")

    hooks = office.site.registry.hooks

    class Strict:
        async def emit(self, name: str, conn: Connection, **facts: object) -> None:
            number = await conn.fetchval("select customer_no from kernel.customer where id = $1", facts["customer"])
            if number == "9":
                raise Refused(_("This customer is not active any more"))
            await hooks.emit(name, conn, **facts)

    site = replace(office.site, registry=replace(office.site.registry, hooks=Strict()))  # pyright: ignore
    await close_many(site, {"run": 2})
    await close_many(site, {"run": 2})
    rows = await conn.fetch(
        "select outcome, count(*) from customers.closing_one where run = 2 group by outcome order by outcome"
    )
    assert [tuple(row) for row in rows] == [("closed", 248), ("left", 1), ("refused", 1)]
    page = (await admin.get(f"{second}?outcome=refused")).text
    assert "Lokator 9" in page
    assert "nie jest już aktywny" in page
    assert await conn.fetchval("select status from kernel.customer where customer_no = '9'") == "active"
    told = await conn.fetchval(
        "select count(*) from kernel.audit_log where verb = 'customers.closed' and actor = $1", str(admin.user)
    )
    assert told == 248
    assert (await admin.get(f"{second}?format=csv")).text.count("\r\n") == 251
    assert "Lokator" not in (await admin.get("/admin/customers/bulk/runs")).text
    assert (await admin.get("/admin/customers/bulk/runs/99")).status == 404


async def test_rights_withdrawn_in_the_middle_of_a_form(office: Office, conn: Connection) -> None:
    admin, customer = await added(office, conn)
    address = f"/admin/customers/{customer}/change"
    form = await form_of(admin, address) | {"kind": "person", "street": "Dębowa"}
    async with office.site.db.transaction(Stamp("test")) as tx:
        await tx.execute("update kernel.users set role = 'customer' where id = $1", admin.user)
    page = await admin.post(address, form)
    assert page.status == 303, "the session ended with the right"
    assert page.headers["Location"].startswith("/login")
    assert await conn.fetchval("select street from kernel.customer") == "Lipowa"


async def test_an_import_brings_nothing_removed_back(office: Office, conn: Connection) -> None:
    row = CustomerRow(customer_no="77", name="Anna Żak", street="Lipowa")
    new = Batch("chinook", 1, False, office.site.clock.today(), new=(SourceRow("a", row),))
    async with office.site.db.transaction(Stamp("import")) as tx:
        await store.apply_rows(tx, new)
    customer = await id_of(conn, "77")
    async with office.site.db.transaction(Stamp("7", "superadmin", superadmin_mode=True)) as tx:
        await tx.execute("update kernel.customer set status = 'closed' where id = $1", customer)
        assert await tx.fetchval("select customers.purge_customer($1, 'wniosek', 'Dane usunięte')", customer)
        assert not await tx.fetchval("select customers.purge_customer($1, 'wniosek', 'Dane usunięte')", customer)
    after = row.model_copy(update={"street": "Nowa"})
    changed = Batch("chinook", 2, False, office.site.clock.today(), changed=(SourceChange("a", row, after),))
    async with office.site.db.transaction(Stamp("import")) as tx:
        await store.apply_rows(tx, changed)
        await store.apply_rows(tx, new)
    rows = await conn.fetch("select name, street from kernel.customer")
    assert [tuple(one) for one in rows] == [("Dane usunięte", "")]


async def test_two_hands_on_one_number_and_one_flat(office: Office, conn: Connection) -> None:
    """What two people send at the same moment is done once; the other is told why not."""
    first, second = await office.visitor(Role.ADMIN), await office.visitor(Role.ADMIN)
    forms = (ANNA, ANNA | {"family_name": "Inna", "email": ""})
    sent = await asyncio.gather(
        *(visitor.post("/admin/customers/add", form) for visitor, form in zip((first, second), forms, strict=True))
    )
    assert sorted(page.status for page in sent) == [303, 422]
    await first.post("/admin/premises/add", {"code": "L/1", "street": "Lipowa"})
    flat = await conn.fetchval("select id from kernel.service_point")
    address, new = f"/admin/premises/{flat}/hand-over", {"since": "01.11.2026", "family_name": "Nowa"}
    sent = await asyncio.gather(
        *(visitor.post(address, new | {"customer_no": number}) for visitor, number in ((first, "201"), (second, "202")))
    )
    assert sorted(page.status for page in sent) == [303, 422]
    assert await conn.fetchval("select count(*) from customers.tenure") == 1
    assert await conn.fetchval("select count(*) from kernel.customer") == 2, "nothing half done"

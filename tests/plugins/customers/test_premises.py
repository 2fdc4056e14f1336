"""Premises stand by themselves: who has them when, who is billed, and what may not be written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from kernel import Clock, Connection, Role, Site
from kernel.testing import Office
from plugins.customers.premises import planned
from plugins.customers.premises.model import Tenure, fault, handover_fault, period
from tests.plugins.customers.test_pages import ANNA, id_of

pytestmark = pytest.mark.ebok(plugins=["customers"])

TODAY = date(2026, 11, 24)
PLACE = {"code": "12/4", "kind": "lokal", "street": "Lipowa", "building": "12", "flat": "4", "city": "Poznań"}
JAN = ANNA | {"customer_no": "1002", "given_name": "Jan", "family_name": "Lis", "email": "jan@example.org"}


def owner(customer: int, since: date | None, until: date | None, share: str | None = None, number: int = 0) -> Tenure:
    return Tenure(number, customer, "owner", since, until, Decimal(share) if share else None)


def test_a_period_may_stand_or_not() -> None:
    kept = [owner(1, None, date(2025, 12, 31), number=1), owner(2, date(2026, 1, 1), None, "60", number=2)]
    assert fault(kept, owner(1, date(2026, 1, 1), None, "40")) is None
    assert fault(kept, owner(3, date(2026, 1, 1), None, "40.5")) is not None, "more than the whole"
    assert fault(kept, owner(3, date(2025, 1, 1), date(2025, 12, 31), "100")) is None
    wrong = fault(kept, owner(2, date(2026, 5, 1), None))
    assert wrong is not None
    assert wrong[0] == "since"
    wrong = fault(kept, owner(3, date(2026, 5, 1), date(2026, 4, 30)))
    assert wrong is not None
    assert wrong[0] == "until"
    assert period(owner(1, None, date(2025, 12, 31))) == "… – 31.12.2025"


def test_a_handover_has_its_day() -> None:
    kept = [owner(1, date(2026, 3, 1), None, number=1)]
    assert handover_fault(kept, TODAY, TODAY) is None
    assert handover_fault(kept, date(2026, 11, 25), TODAY) is None, "planned until its day"
    assert handover_fault(kept, date(2027, 11, 26), TODAY) is not None, "more than a year ahead"
    assert handover_fault(kept, date(2026, 3, 1), TODAY) is not None, "a period of no days"
    assert handover_fault(kept, date(2026, 2, 1), TODAY) is not None, "somebody came later"


async def billed(conn: Connection) -> int | None:
    return await conn.fetchval("select customer from kernel.service_point")


async def test_a_flat_passes_from_hand_to_hand(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.post("/admin/premises/add", PLACE)).status == 303
    flat = await conn.fetchval("select id from kernel.service_point")
    assert await billed(conn) is None
    assert 'href="/admin/premises/' in (await admin.get("/admin/premises?standing=empty&street=lip&building=12")).text
    page = await admin.post("/admin/premises/add", PLACE | {"street": "Dębowa"})
    assert page.status == 422
    assert "f-code-error" in page.text
    for form in (ANNA, JAN):
        await admin.post("/admin/customers/add", form)
    anna, jan = await id_of(conn, "1001"), await id_of(conn, "1002")

    # Nobody → Anna, who is there already; a number that nobody has; a day too far ahead.
    address = f"/admin/premises/{flat}/hand-over"
    assert (await admin.get(address)).status == 200
    for wrong in ({"since": "25.11.2028", "customer_no": "1001"}, {"since": "01.02.2026", "customer_no": "77"}):
        assert (await admin.post(address, wrong)).status == 422
    assert (await admin.post(address, {"since": "01.02.2026", "customer_no": "1001", "share": "100"})).status == 303
    assert await billed(conn) == anna

    # Anna → Jan: her period ends the day before; a second click changes nothing.
    form = {"since": "15.11.2026", "customer_no": "1002"}
    assert (await admin.post(address, form | {"given_name": "Janina"})).status == 422, "two people under one number"
    assert (await admin.post(address, form)).status == 303
    assert (await admin.post(address, form)).status == 422
    assert await billed(conn) == jan
    rows = await conn.fetch("select customer, since, until from customers.tenure order by since")
    assert [tuple(row) for row in rows] == [
        (anna, date(2026, 2, 1), date(2026, 11, 14)),
        (jan, date(2026, 11, 15), None),
    ]
    page = (await admin.get(f"/admin/premises/{flat}")).text
    assert page.index("Jan Lis") < page.index("Anna Żak")
    assert "01.02.2026 – 14.11.2026" in (await admin.get(f"/admin/customers/{anna}")).text

    # Jan → somebody new, with the flat's address.
    new = {
        "since": "20.11.2026",
        "customer_no": "1003",
        "given_name": "Ewa",
        "family_name": "Nowa",
        "phone": "600100200",
    }
    assert (await admin.post(address, new)).status == 303
    row = await conn.fetchrow("select name, street, flat, phone from kernel.customer where customer_no = '1003'")
    assert row is not None
    assert tuple(row) == ("Ewa Nowa", "Lipowa", "4", "600 100 200")
    assert await billed(conn) == await id_of(conn, "1003")
    assert (await admin.get("/admin/premises/9999999/hand-over")).status == 404


async def test_periods_are_corrected_and_a_payer_is_billed_first(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    for form in (ANNA, JAN):
        await admin.post("/admin/customers/add", form)
    anna, jan = await id_of(conn, "1001"), await id_of(conn, "1002")
    await admin.post(f"/admin/customers/{anna}/points/add", PLACE)
    flat = await conn.fetchval("select id from kernel.service_point")
    assert await billed(conn) == anna
    base = f"/admin/premises/{flat}/tenures"
    assert (
        await admin.post(f"{base}/add", {"customer_no": "1002", "role": "payer", "since": "01.11.2026"})
    ).status == 303
    assert await billed(conn) == jan
    tenure = await conn.fetchval("select id from customers.tenure where role = 'payer'")
    assert (await admin.get(f"{base}/{tenure}")).status == 200
    assert (
        await admin.post(f"{base}/{tenure}", {"role": "payer", "since": "2.11.2026", "until": "1.11.2026"})
    ).status == 422
    assert (await admin.post(f"{base}/{tenure}", {"role": "payer", "since": "1.12.2026"})).status == 303
    assert await billed(conn) == anna, "not yet"
    office.site.clock.move_to(office.site.clock.now().replace(month=12, day=2))
    await office.site.registry.jobs["customers.turn"].handler(office.site, {})
    assert await billed(conn) == jan, "its day came"
    office.site.clock.move_to(None)
    assert (await admin.post(f"{base}/{tenure}/remove")).status == 303
    assert await billed(conn) == anna
    assert (await admin.post(f"{base}/{tenure}/remove")).status == 404
    assert (await admin.post(f"{base}/add", {"customer_no": "1001", "role": "owner"})).status == 422, "twice the same"
    assert (await admin.post(f"{base}/add", {"customer_no": "5", "role": "owner"})).status == 422

    assert (await admin.post(f"/admin/premises/{flat}/remove")).status == 303
    assert await conn.fetchval("select count(*) from customers.tenure") == 0


async def test_premises_written_by_others_have_their_owner(office: Office, conn: Connection) -> None:
    customer = await conn.fetchval(
        "insert into kernel.customer (customer_no, name) values ('1', 'Z importu') returning id"
    )
    await conn.execute("insert into kernel.service_point (customer, code) values ($1, 'W-7')", customer)
    assert await conn.fetchval("select customer from customers.tenure where role = 'owner'") == customer
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.post(f"/admin/customers/{customer}/remove")).status == 303
    assert await billed(conn) is None, "premises stay, empty"


async def test_a_superadministrator_removes_premises_for_good(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    await admin.post("/admin/premises/add", PLACE)
    flat = await conn.fetchval("select id from kernel.service_point")
    address = f"/admin/premises/{flat}/purge"
    assert (await admin.get(address)).status == 403
    assert (await admin.post(address, {"reason": "x", "password": "y"})).status == 403
    boss = await office.visitor(Role.SUPERADMIN, mode=True)
    assert (await boss.get(address)).status == 200
    page = await boss.post(address, {"reason": "wyburzony", "password": "nie to"})
    assert page.status == 422
    assert await conn.fetchval("select street from kernel.service_point") == "Lipowa"


async def on_the_day(site: Site, day: date) -> None:
    """The hourly job, on another day."""
    later = replace(site, clock=Clock(now=lambda: datetime.combine(day, time(12), UTC)))
    await planned.turn(later, {})


async def test_a_handover_is_planned_and_takes_effect_on_its_day(office: Office, site: Site, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    await admin.post("/admin/premises/add", PLACE)
    for form in (ANNA, JAN):
        await admin.post("/admin/customers/add", form)
    anna, jan = await id_of(conn, "1001"), await id_of(conn, "1002")
    flat = await conn.fetchval("select id from kernel.service_point")
    address = f"/admin/premises/{flat}/hand-over"
    assert (await admin.post(address, {"since": "01.02.2026", "customer_no": "1001"})).status == 303
    assert (await admin.post(f"{address}/withdraw", {})).status == 422, "nothing is planned"

    plan = {"since": "01.12.2026", "customer_no": "1002"}
    assert (await admin.post(address, plan | {"customer_no": "1001"})).status == 422, "she has it already"
    assert (await admin.post(address, plan)).status == 303
    assert await billed(conn) == anna
    page = (await admin.get(f"/admin/premises/{flat}")).text
    assert "Zaplanowane przekazanie" in page
    assert "Od 1 grudnia 2026" in page.replace("\xa0", " ")
    page = (await admin.get(f"/admin/customers/{jan}")).text
    assert "Zaplanowane: przejmuje od 1 grudnia 2026" in page.replace("\xa0", " ")
    assert (await admin.post(address, plan)).status == 422, "one at a time"

    # Withdrawn: everything is as before. Then planned again.
    assert (await admin.post(f"{address}/withdraw", {})).status == 303
    await on_the_day(site, date(2026, 12, 1))
    assert await billed(conn) == anna
    assert (await admin.post(address, plan)).status == 303

    # The day before nothing happens; on the day it does, once however often the job runs.
    await on_the_day(site, date(2026, 11, 30))
    assert await billed(conn) == anna
    for _again in range(2):
        await on_the_day(site, date(2026, 12, 1))
    assert await billed(conn) == jan
    rows = await conn.fetch("select customer, since, until from customers.tenure order by since")
    assert [tuple(row) for row in rows] == [
        (anna, date(2026, 2, 1), date(2026, 11, 30)),
        (jan, date(2026, 12, 1), None),
    ]
    assert (await admin.post(f"{address}/withdraw", {})).status == 422, "it is done"
    actor = await conn.fetchval(
        "select actor from kernel.audit_log where verb = 'customers.took_over' and customer = $1", jan
    )
    assert actor == str(admin.user)


async def test_a_planned_handover_that_cannot_be_done_says_why(office: Office, site: Site, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    await admin.post("/admin/premises/add", PLACE)
    await admin.post("/admin/customers/add", JAN)
    jan, flat = await id_of(conn, "1002"), await conn.fetchval("select id from kernel.service_point")
    address = f"/admin/premises/{flat}/hand-over"
    assert (await admin.post(address, {"since": "25.11.2026", "customer_no": "1002"})).status == 303
    assert (await admin.post(f"/admin/customers/{jan}/close")).status == 303
    await on_the_day(site, date(2026, 11, 25))
    assert await billed(conn) is None
    assert "nie jest już aktywny" in (await admin.get(f"/admin/premises/{flat}")).text
    assert "przekazanie lokalu nie doszło" in (await admin.get("/admin/")).text
    assert (await admin.post(f"/admin/customers/{jan}/reopen")).status == 303
    await on_the_day(site, date(2026, 11, 26))
    assert await billed(conn) == jan
    assert await conn.fetchval("select since from customers.tenure") == date(2026, 11, 25), "from the planned day"

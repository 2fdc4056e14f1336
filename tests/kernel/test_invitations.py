"""Inviting by e-mail: the letter in the outbox, the link that works once, sending again, taking back."""

from __future__ import annotations

import re
from datetime import timedelta
from email import message_from_bytes
from email.policy import default

import pytest

from kernel import Connection, Role
from kernel.people import store as people
from kernel.people.model import CustomerData
from kernel.testing import Office
from tests.kernel.test_login_pages import BETTER, log_in, words

pytestmark = pytest.mark.ebok(plugins=[])

COLLEAGUE = {"email": "Ewa@example.org", "name": "Ewa Kos", "role": "admin"}


async def last_letter(conn: Connection) -> tuple[str, str]:
    """Whom the newest letter in the outbox is for, and the path of the link in it."""
    row = await conn.fetchrow("select recipient, message from kernel.mail_log order by id desc limit 1")
    assert row is not None
    body = message_from_bytes(row["message"], policy=default).get_body()
    assert body is not None
    found = re.search(r"https?://[^/]+(/reset/\S+)", body.get_content())
    assert found
    return row["recipient"], found[1]


async def test_a_colleague_is_invited_and_comes(office: Office, conn: Connection) -> None:
    admin, visitor = await office.visitor(Role.ADMIN), await office.visitor()
    assert (await admin.get("/admin/users/invite")).status == 200
    made = await admin.post("/admin/users/invite", COLLEAGUE)
    assert made.status == 303
    recipient, link = await last_letter(conn)
    assert recipient == "Ewa@example.org"
    assert "czeka na odpowiedź" in words(await admin.get(made.headers["Location"]))
    assert (await log_in(await office.visitor(), "ewa@example.org", "")).status == 422, "no password opens yet"

    assert (await visitor.post(link, {"new_password": BETTER})).status == 303
    assert (await log_in(visitor, "ewa@example.org", BETTER)).headers["Location"] == "/admin/"
    assert "Ten link już nie działa" in words(await visitor.get(link))
    listed = words(await admin.get("/admin/users/invitations?state=accepted"))
    assert "ewa@example.org" in listed
    for act in ("send", "withdraw"):
        assert (await admin.post(f"{made.headers['Location']}/{act}")).status == 422
    again = await admin.post("/admin/users/invite", COLLEAGUE)
    assert again.status == 422
    assert "f-email-error" in again.text


async def test_an_invitation_is_sent_again_and_taken_back(office: Office, conn: Connection) -> None:
    admin, visitor = await office.visitor(Role.ADMIN), await office.visitor()
    page = (await admin.post("/admin/users/invite", COLLEAGUE)).headers["Location"]
    _recipient, first = await last_letter(conn)
    now = office.site.clock.now()
    office.site.clock.move_to(now + timedelta(days=8))
    admin = await office.visitor(Role.ADMIN)
    assert "link wygasł" in words(await admin.get(page))
    assert "Ten link już nie działa" in words(await visitor.get(first))
    assert (await admin.post(f"{page}/send")).status == 303
    _recipient, second = await last_letter(conn)
    assert 'autocomplete="new-password"' in (await visitor.get(second)).text

    assert (await admin.post(f"{page}/withdraw")).status == 303
    assert "Ten link już nie działa" in words(await visitor.get(second))
    assert await conn.fetchval("select count(*) from kernel.users where login = 'ewa@example.org'") == 0
    assert "wycofane" in words(await admin.get(page))
    assert (await admin.post(f"{page}/send")).status == 422
    office.site.clock.move_to(None)


async def test_whom_an_administrator_may_invite(office: Office, conn: Connection) -> None:
    await people.add_customer(conn, CustomerData(customer_no="1001", name="Anna Żak"))
    await people.add_customer(conn, CustomerData(customer_no="1002", name="Jan Lis", status="deceased"))
    admin, boss = await office.visitor(Role.ADMIN), await office.visitor(Role.SUPERADMIN)
    address, customer = "/admin/users/invite", {"email": "a@example.org", "name": "A", "role": "customer"}
    for visitor, form, field in (
        (admin, COLLEAGUE | {"role": "superadmin"}, "role"),
        (boss, COLLEAGUE | {"role": "superadmin"}, "role"),
        (admin, COLLEAGUE | {"email": "to nie adres"}, "email"),
        (admin, COLLEAGUE | {"customer_no": "1001"}, "customer_no"),
        (admin, customer, "customer_no"),
        (admin, customer | {"customer_no": "5"}, "customer_no"),
        (admin, customer | {"customer_no": "1002"}, "customer_no"),
        (admin, COLLEAGUE | {"login": "z odstępem"}, "login"),
    ):
        page = await visitor.post(address, form)
        assert page.status == 422, form
        assert f"f-{field}-error" in page.text, form
    assert await conn.fetchval("select count(*) from kernel.invitation") == 0
    assert await conn.fetchval("select count(*) from kernel.mail_log") == 0

    assert (await admin.post(address, customer | {"customer_no": "1001", "login": "1001"})).status == 303
    grant = await conn.fetchrow(
        "select u.login, g.scope from kernel.access_grant g join kernel.users u on u.id = user_id"
    )
    assert grant is not None
    assert tuple(grant) == ("1001", "manage")
    assert (await (await office.visitor(Role.CUSTOMER)).get(address)).status == 403
    mode = await office.visitor(Role.SUPERADMIN, mode=True)
    assert (await mode.post(address, COLLEAGUE | {"role": "superadmin"})).status == 303
    held = await conn.fetchval("select id from kernel.invitation where role = 'superadmin'")
    assert (await admin.post(f"/admin/users/invitations/{held}/withdraw")).status == 403

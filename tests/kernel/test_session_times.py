"""How long people stay logged in is the operator's choice, and the session keeps to it."""

from datetime import timedelta

from kernel.auth import office as access
from kernel.config import SessionConfig
from kernel.db.pool import Stamp
from kernel.plugin.permissions import Role
from kernel.testing import Office

PASSWORD = "kasztanowa aleja pod lasem"


async def test_a_session_ends_when_the_operator_says(office: Office) -> None:
    site = office.site
    site.sessions = SessionConfig(staff_idle_minutes=5, customer_idle_minutes=5, absolute_hours=1)
    start = site.clock.now()
    person = access.NewUser(login="anna", role=Role.ADMIN)
    await access.add_user(site.db, Stamp("test"), person, PASSWORD, start, starter=False)
    anna = await office.visitor()
    assert (await anna.post("/login", {"login": "anna", "password": PASSWORD})).status == 303
    assert (await anna.get("/admin/")).status == 200

    site.clock.move_to(start + timedelta(minutes=4))
    assert (await anna.get("/admin/")).status == 200
    site.clock.move_to(start + timedelta(minutes=8))
    assert (await anna.get("/admin/")).status == 200, "a click keeps it alive"
    site.clock.move_to(start + timedelta(minutes=14))
    gone = await anna.get("/admin/")
    assert (gone.status, gone.headers["Location"].split("?")[0]) == (303, "/login")

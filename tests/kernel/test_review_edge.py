"""What a hostile address, Host header or stopwatch finds: nothing.

An address may be followed by somebody with a session, so it must not cost more than a page.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from decimal import Decimal

import pytest

from kernel.auth.passwords import hash_password
from kernel.db.pool import Stamp
from kernel.pages.attempts import UNTOLD
from kernel.people import store as people
from kernel.plugin.permissions import Role
from kernel.site import Site
from kernel.testing import Office
from kernel.web import tables

pytestmark = pytest.mark.ebok(plugins=[])


def cursor(parts: Sequence[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "value",
    ["n1e400000000", "n-1E+999999", "n" + "9" * 300, "nNaN", "nsNaN", "nInfinity", "i" + "9" * 400, "s\x00", "s\ud800"],
)
async def test_a_place_in_a_list_costs_no_more_than_a_page(office: Office, value: str):
    visitor = await office.visitor(Role.ADMIN)
    for way in ("after", "before"):
        started = time.monotonic()
        page = await visitor.get(f"/admin/users?{way}={cursor([value, 'i1'])}")
        assert page.status in (200, 400)
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("value", [Decimal("1E+5"), Decimal("-0.0000001"), Decimal("12.50"), Decimal(10) ** 30])
def test_every_number_of_the_database_finds_its_place_again(value: Decimal):
    query = tables.ListQuery.model_validate({"after": cursor([tables._tagged(value), "i1"])})  # pyright: ignore[reportPrivateUsage]
    assert tables._read_cursor(query) == ((value, 1), "after")  # pyright: ignore[reportPrivateUsage]


async def add_anna(site: Site) -> None:
    async with site.db.transaction(Stamp("test")) as conn:
        await people.add_user(
            conn,
            login="anna",
            role=Role.CUSTOMER,
            email="anna@example.org",
            password_hash=await hash_password("cztery zielone parasole"),
            now=site.clock.now(),
        )


@pytest.mark.parametrize("host", ["localhost:x@evil.example", "localhost:@evil.example", "localhost:80/evil.example"])
async def test_no_link_for_a_new_password_leads_to_another_host(office: Office, site: Site, host: str):
    await add_anna(site)
    visitor = await office.visitor()
    answer = await visitor.send(
        "POST", "/reset", data={"login": "anna"}, headers={"Host": host, "Origin": "null", "Sec-Fetch-Site": "none"}
    )
    assert answer.status == 404
    async with site.db.connection() as conn:
        assert await conn.fetchval("select count(*) from kernel.mail_log") == 0


async def test_an_unknown_login_is_answered_as_slowly_as_a_known_one(office: Office, site: Site):
    await add_anna(site)
    visitor = await office.visitor()
    for path, form in (("/login", {"password": "nothing like it"}), ("/reset", {})):
        for login in ("anna", "nobody"):
            started = time.monotonic()
            await visitor.post(path, {"login": login, **form})
            assert time.monotonic() - started >= UNTOLD

"""API tokens: what they open, what they do not, and how they end."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar

from kernel.auth import api_tokens, passwords
from kernel.auth import office as staff
from kernel.auth.declarations import jobs
from kernel.auth.tokens import digest
from kernel.db.pool import Stamp
from kernel.pages.audit_log import ENTRIES_SQL
from kernel.people import store as people
from kernel.people.model import State
from kernel.plugin.permissions import Role
from kernel.site import Site
from kernel.testing import Office, Page
from tests.plugins_for_tests import probe

pytestmark = pytest.mark.ebok(plugins=[], modules={"probe": probe})
PASSWORD = "wieczorne grabie"
FORM = {"name": "Bank", "scopes": "probe.use", "last_day": "24.11.2027", "password": PASSWORD}


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password asked again is compared, not hashed: what hashing is worth is another test's matter."""

    async def verify(_hash: str | None, password: str) -> bool:
        return password == PASSWORD

    monkeypatch.setattr(passwords, "verify", verify)


@pytest.fixture
async def program(office: Office) -> AsyncIterator[Program]:
    async with ClientSession(cookie_jar=DummyCookieJar()) as http:
        yield Program(office.origin, http)


class Program:
    """A client that is no browser: no cookies, no origin."""

    def __init__(self, origin: str, http: ClientSession) -> None:
        self.origin, self.http = origin, http

    async def call(self, token: str | None, path: str = "/api/v1/me", method: str = "GET", **options: Any) -> Page:
        headers = {"Accept-Language": "en"} | options.pop("headers", {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        options.setdefault("allow_redirects", False)
        async with self.http.request(method, self.origin + path, headers=headers, **options) as response:
            return Page(response.status, response.headers, await response.read())


async def made(site: Site, user: int | None, *scopes: str, lives: timedelta | None = None, name: str = "Bank") -> str:
    """A token of a user, made without a page."""
    assert user is not None
    now = site.clock.now()
    async with site.db.transaction(Stamp(str(user), "admin")) as conn:
        return await api_tokens.make(conn, user, name, scopes, now + lives if lives else None, now)


def secret_on(page: Page) -> str:
    found = re.search(r"ebok_[A-Za-z0-9]{43}", page.text)
    assert found, page.text
    assert page.status == 200
    return found[0]


def words(page: Page) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.text)))


@asynccontextmanager
async def acting(site: Site) -> AsyncGenerator[Any]:
    async with site.db.transaction(Stamp("test", "superadmin", superadmin_mode=True)) as conn:
        yield conn


# --- the page -------------------------------------------------------------------------------------------------------


async def test_a_token_is_made_shown_once_and_works(office: Office, program: Program) -> None:
    admin = await office.visitor(Role.ADMIN)
    form = await admin.get("/admin/tokens/new")
    assert "probe.use" in form.text
    assert "probe.office" not in form.text, "only what the API asks for"
    assert "probe.power" not in form.text
    secret = secret_on(await admin.post("/admin/tokens/new", FORM))
    answer = await program.call(secret)
    assert answer.status == 200
    assert answer.json()["permissions"] == ["kernel.api", "probe.use"]
    listed = await admin.get("/admin/tokens")
    assert "Bank" in listed.text
    assert secret not in listed.text
    assert "127.0.0.1" in listed.text
    assert "24.11.2027" in listed.text
    assert "działa" in listed.text
    async with office.site.db.connection() as conn:
        kept = await conn.fetchrow("select * from kernel.api_token")
        assert kept is not None
        assert kept["token_hash"] == digest(secret)
        assert secret not in repr(dict(kept))
        events = await conn.fetch(f"{ENTRIES_SQL} where starts_with(verb, 'kernel.token')")
        assert [event["actor"] for event in events] == [str(admin.user)]
        assert secret not in str([dict(event) for event in events])


WRONG_FORMS: list[Any] = [
    ({"name": ""}, "name"),
    ({"name": "x" * 81}, "name"),
    ({"scopes": "probe.power"}, "scopes"),
    ({"scopes": "probe.office"}, "scopes"),
    ({"scopes": "nobody.knows"}, "scopes"),
    ({"last_day": "01.01.2020"}, "last_day"),
    ({"last_day": "31.12.2199"}, "last_day"),
    ({"last_day": "never"}, "last_day"),
    ({"password": "wrong"}, "password"),
    ({"password": ""}, "password"),
]


async def test_a_refused_form_says_why_keeps_what_was_typed_and_makes_nothing(office: Office) -> None:
    for changed, field in WRONG_FORMS:
        admin = await office.visitor(Role.ADMIN)
        page = await admin.post("/admin/tokens/new", FORM | changed)
        assert page.status == 422
        assert f'id="f-{field}-error"' in page.text, changed
        assert PASSWORD not in page.text
        if "scopes" not in changed:
            assert re.search(r'value="probe.use" checked', page.text)
    async with office.site.db.connection() as conn:
        assert await conn.fetchval("select count(*) from kernel.api_token") == 0


async def test_a_form_sent_twice_makes_one_token_and_a_revoked_name_is_free(office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    secret_on(await admin.post("/admin/tokens/new", FORM))
    again = await admin.post("/admin/tokens/new", FORM | {"name": "BANK"})
    assert again.status == 422
    assert 'id="f-name-error"' in again.text
    assert (await admin.post("/admin/tokens/1")).status == 303
    secret_on(await admin.post("/admin/tokens/new", FORM))


async def test_the_password_is_asked_with_patience_that_ends(office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    tried = [(await admin.post("/admin/tokens/new", FORM | {"password": "wrong"})).status for _ in range(7)]
    assert tried[0] == 422
    assert tried[-1] == 429


async def test_an_admin_sees_own_tokens_and_a_superadmin_everybodys(office: Office, program: Program) -> None:
    anna, jan, helena = [await office.visitor(role) for role in (Role.ADMIN, Role.ADMIN, Role.SUPERADMIN)]
    secret = await made(office.site, anna.user, "probe.use")
    number = 1
    assert (await anna.get(f"/admin/tokens/{number}")).status == 200
    assert (await jan.get(f"/admin/tokens/{number}")).status == 404
    assert (await jan.post(f"/admin/tokens/{number}")).status == 404
    assert (await jan.get("/admin/tokens/all")).status == 403
    assert "Bank" not in (await jan.get("/admin/tokens")).text
    assert "Bank" in (await helena.get("/admin/tokens/all")).text
    page = await helena.get(f"/admin/tokens/{number}")
    assert "admin-1" in page.text
    assert (await program.call(secret)).status == 200
    assert (await helena.post(f"/admin/tokens/{number}")).headers["Location"] == "/admin/tokens/all"
    answer = await program.call(secret)
    assert answer.status == 401
    assert "revoked" in answer.json()["detail"]
    assert (await helena.post(f"/admin/tokens/{number}")).status == 422
    assert "superadmin-3" in (await anna.get(f"/admin/tokens/{number}")).text


async def test_no_customer_makes_tokens(office: Office) -> None:
    customer = await office.visitor(Role.CUSTOMER)
    for path in ("/admin/tokens", "/admin/tokens/new", "/admin/tokens/all", "/admin/tokens/1"):
        assert (await customer.get(path)).status == 403
    assert (await customer.post("/admin/tokens/new", FORM)).status == 403


# --- what a token opens ---------------------------------------------------------------------------------------------


async def test_a_token_does_what_its_scopes_say_and_nothing_else(office: Office, program: Program) -> None:
    admin = await office.visitor(Role.ADMIN)
    bare, using = await made(office.site, admin.user), await made(office.site, admin.user, "probe.use", name="Kasa")
    refused = await program.call(bare, "/api/v1/probe")
    assert refused.status == 403
    assert refused.headers["Content-Type"].startswith("application/problem+json")
    assert "probe.use" in refused.json()["detail"]
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="probe.use"'
    assert (await program.call(using, "/api/v1/probe")).status == 200
    order = {"text": "przez program", "lines": [{"amount": "1,00"}]}
    assert (await program.call(using, "/api/v1/probe", "POST", json=order)).status == 200, "no origin is needed"


async def test_a_token_opens_no_page(office: Office, program: Program) -> None:
    superadmin = await office.visitor(Role.SUPERADMIN)
    token = await made(office.site, superadmin.user, "probe.use", "probe.office", "kernel.users", "kernel.account")
    for path in ("/admin/", "/account", "/admin/users", "/probe", "/", "/API/v1/me", "/api/", "/api/v2/me"):
        answer = await program.call(token, path)
        assert answer.status in {303, 404}, path
        assert answer.status == 404 or answer.headers["Location"].startswith("/login")
    made_by_token = await program.call(token, "/admin/tokens/new", "POST", data=FORM)
    assert made_by_token.status == 303
    assert made_by_token.headers["Location"].startswith("/login")
    assert "Set-Cookie" not in (await program.call(token)).headers


async def test_a_token_never_has_the_superadministrators_mode(office: Office, program: Program) -> None:
    superadmin = await office.visitor(Role.SUPERADMIN, mode=True)
    token = await made(office.site, superadmin.user, "probe.power")
    async with acting(office.site) as conn:
        found = await api_tokens.find(conn, token, office.site.clock.now(), office.site.registry.permissions_of)
    assert not found.actor.in_superadmin_mode
    offered = api_tokens.offered(office.site.registry, found.actor)
    assert [permission.name for permission in offered] == []


async def test_what_its_owner_may_no_longer_the_token_may_not(office: Office, program: Program) -> None:
    site = office.site
    helena, anna = await office.visitor(Role.SUPERADMIN), await office.visitor(Role.ADMIN)
    token = await made(site, anna.user, "probe.use", "kernel.superadmin_mode")
    assert (await program.call(token)).json()["permissions"] == ["kernel.api", "probe.use"]
    async with acting(site) as conn:
        user = await people.user(conn, anna.user or 0)
        assert user is not None
        await staff.set_state(conn, user, State.DISABLED)
    assert (await program.call(token)).status == 401
    async with acting(site) as conn:
        user = await people.user(conn, anna.user or 0)
        assert user is not None
        await staff.set_state(conn, user, State.ACTIVE)
        await staff.change_user(conn, user, name=user.name, email="", role=Role.CUSTOMER)
    assert (await program.call(token)).status == 401
    assert "nie ma dostępu" in words(await helena.get("/admin/tokens/all"))


async def test_a_starter_password_stops_the_tokens_until_it_is_changed(office: Office, program: Program) -> None:
    admin = await office.visitor(Role.ADMIN)
    token = await made(office.site, admin.user, "probe.use")
    async with acting(office.site) as conn:
        await conn.execute("update kernel.users set must_change_password = true where id = $1", admin.user)
    assert (await program.call(token)).status == 403


async def test_a_token_ends_with_its_last_day(office: Office, program: Program) -> None:
    site = office.site
    zone = site.clock.zone
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=zone))
    admin = await office.visitor(Role.ADMIN)
    secret = secret_on(await admin.post("/admin/tokens/new", FORM | {"last_day": "30.11.2026"}))
    site.clock.move_to(datetime(2026, 11, 30, 23, 59, 59, tzinfo=zone))
    assert (await program.call(secret)).status == 200
    site.clock.move_to(datetime(2026, 12, 1, 0, 0, 1, tzinfo=zone))
    answer = await program.call(secret)
    assert answer.status == 401
    assert "expired" in answer.json()["detail"]


async def test_a_token_without_a_last_day_goes_on(office: Office, program: Program) -> None:
    admin = await office.visitor(Role.ADMIN)
    secret = secret_on(await admin.post("/admin/tokens/new", FORM | {"last_day": ""}))
    office.site.clock.move_to(office.site.clock.now() + timedelta(days=4000))
    assert (await program.call(secret)).status == 200


# --- wrong tokens ---------------------------------------------------------------------------------------------------


async def test_a_wrong_token_is_401_in_words(program: Program) -> None:
    for token in ("x", "ebok_", "ebok_" + "a" * 43, "ebok_" + "ą" * 43, "a" * 5000):
        for path in ("/api/v1/me", "/api/v1/openapi.json", "/api/v1/nowhere"):
            answer = await program.call(token, path)
            assert answer.status == 401
            assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert answer.json()["status"] == 401


async def test_without_a_token_the_api_asks_for_one(program: Program) -> None:
    answer = await program.call(None)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(office: Office, program: Program) -> None:
    admin = await office.visitor(Role.ADMIN)
    token = await made(office.site, admin.user)
    wrong = [(await program.call("ebok_" + "a" * 43)) for _ in range(31)]
    assert wrong[0].status == 401
    assert wrong[-1].status == 429
    assert int(wrong[-1].headers["Retry-After"]) >= 1
    assert (await program.call(token)).status == 200


async def test_a_call_with_token_and_cookie_is_the_tokens_alone(office: Office, program: Program) -> None:
    """A wrong token does not fall back on the session, a right one does not borrow the session's rights."""
    admin, colleague = await office.visitor(Role.ADMIN), await office.visitor(Role.ADMIN)
    token = await made(office.site, colleague.user)

    def bearing(text: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {text}", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}

    assert (await admin.get("/api/v1/me", headers=bearing("ebok_" + "a" * 43))).status == 401
    me = (await admin.get("/api/v1/me", headers=bearing(token))).json()
    assert me["permissions"] == ["kernel.api"]
    assert (await admin.send("POST", "/api/v1/probe", headers=bearing(token), json={"text": "x"})).status == 403
    foreign = await admin.send("POST", "/probe", headers=bearing(token), data={"text": "x", "amount": "1"})
    assert foreign.status == 403, "on a page the cookie counts, and it came from elsewhere"


# --- use ------------------------------------------------------------------------------------------------------------


async def test_a_call_takes_one_round_trip_to_know_who_calls(office: Office, program: Program) -> None:
    admin = await office.visitor(Role.ADMIN)
    token = await made(office.site, admin.user)
    await program.call(token)
    before = office.site.db.statements
    assert (await program.call(token)).status == 200
    assert office.site.db.statements - before == 1


async def test_use_is_noted_once_in_five_minutes(office: Office, program: Program) -> None:
    site = office.site
    admin = await office.visitor(Role.ADMIN)
    token = await made(site, admin.user)
    start = site.clock.now()
    seen: list[datetime] = []
    for minutes in (0, 2, 4, 6):
        site.clock.move_to(start + timedelta(minutes=minutes))
        await program.call(token)
        async with site.db.connection() as conn:
            seen.append(await conn.fetchval("select last_used_at from kernel.api_token"))
    assert seen[0] == seen[1] == seen[2] == start
    assert seen[3] == start + timedelta(minutes=6)


async def test_the_history_says_that_a_program_did_it(office: Office, program: Program) -> None:
    admin = await office.visitor(Role.ADMIN)
    token = await made(office.site, admin.user, "probe.use")
    assert (await program.call(token, "/api/v1/probe", "POST", json={"text": "x"})).status == 200
    async with office.site.db.connection() as conn:
        # The probe writes no history; its row tells by whom it was written.
        assert await conn.fetchval("select true from probe.note where text = 'x'")
    async with office.site.db.transaction(Stamp(str(admin.user), "admin:token-1")) as conn:
        await conn.execute("insert into kernel.audit_log (verb) values ('kernel.logged_in')")
    page = words(await admin.get("/admin/audit?verb=kernel.logged_in"))
    assert "admin-1, przez program" in page


# --- letters --------------------------------------------------------------------------------------------------------


async def letters(site: Site) -> list[str]:
    async with site.db.connection() as conn:
        return [row["subject"] for row in await conn.fetch("select subject from kernel.mail_log order by id")]


async def test_its_owner_is_told_of_a_new_token_and_warned_once_before_it_ends(office: Office) -> None:
    site = office.site
    admin = await office.visitor(Role.ADMIN)
    async with acting(site) as conn:
        await conn.execute("update kernel.users set email = 'anna@example.org' where id = $1", admin.user)
    await made(site, admin.user, lives=timedelta(days=90))
    await made(site, admin.user, name="bez terminu")
    assert await letters(site) == ["Nowy token API"] * 2
    (warn,) = [job.handler for job in jobs() if job.kind == "kernel.warn_of_tokens"]
    start = site.clock.now()
    for days, expected in ((59, 2), (61, 3), (62, 3), (91, 3)):
        site.clock.move_to(start + timedelta(days=days))
        await warn(site, {})
        assert len(await letters(site)) == expected, days
    assert (await letters(site))[-1] == "Token API niedługo wygasa"


def test_a_token_looks_as_scanners_know_it() -> None:
    assert all(re.fullmatch(r"ebok_[A-Za-z0-9]{43}", api_tokens.new_secret()) for _ in range(100))

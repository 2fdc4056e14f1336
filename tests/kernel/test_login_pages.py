"""The door and the account as a browser meets them."""

from __future__ import annotations

import argparse
import io
import json
import re
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from html import unescape

import pytest
from pyotp.totp import TOTP

from kernel.auth import commands
from kernel.auth import office as staff
from kernel.auth.office import NewUser
from kernel.auth.tokens import set_session_cookie
from kernel.db.connection import Connection
from kernel.db.pool import Stamp
from kernel.people import store
from kernel.people.model import CustomerData, State
from kernel.plugin.permissions import Role
from kernel.site import Site
from kernel.testing import Office, Page, Visitor

pytestmark = pytest.mark.ebok(plugins=[])
GOOD, BETTER = "wieczorne grabie", "poranna mgła nad stawem"


async def add(site: Site, login: str, role: Role = Role.CUSTOMER, *, starter: bool = False, **more: str) -> int:
    new = NewUser(login=login, role=role, name=login.title(), **more)
    return await staff.add_user(site.db, Stamp("test"), new, GOOD, site.clock.now(), starter=starter)


async def log_in(visitor: Visitor, login: str, password: str = GOOD, way: str = "") -> Page:
    return await visitor.post("/login", {"login": login, "password": password, "next": way})


async def inside(office: Office, login: str) -> Visitor:
    visitor = await office.visitor()
    page = await log_in(visitor, login)
    assert page.status == 303, page.text
    return visitor


def words(page: Page) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.text)))


# --- in and out -----------------------------------------------------------------------------------------------------


async def test_the_login_page(office: Office):
    visitor = await office.visitor()
    page = await visitor.get("/login?next=/account")
    assert page.status == 200
    assert "<title>Zaloguj się" in page.text
    assert 'autocomplete="username"' in page.text
    assert 'autocomplete="current-password"' in page.text
    assert 'name="next" value="/account"' in page.text
    assert "onpaste" not in page.text
    assert page.headers["Cache-Control"] == "no-store"


async def test_in_and_out(office: Office):
    await add(office.site, "anna")
    visitor = await office.visitor()
    assert (await visitor.get("/account")).headers["Location"] == "/login?next=/account"
    page = await log_in(visitor, "ANNA", way="/account/sessions")
    assert (page.status, page.headers["Location"]) == (303, "/account/sessions")
    assert (await visitor.get("/account")).status == 200
    assert (await visitor.get("/login")).headers["Location"] == "/"
    page = await visitor.post("/logout")
    assert (page.status, page.headers["Location"]) == (303, "/login")
    assert (await visitor.get("/account")).status == 303
    assert (await visitor.get("/logout")).status == 405


async def test_the_cookie_is_the_browsers_own(office: Office):
    await add(office.site, "anna")
    page = await log_in(await office.visitor(), "anna")
    cookies = page.headers.getall("Set-Cookie")  # pyright: ignore[reportAttributeAccessIssue]
    session = next(cookie for cookie in cookies if cookie.startswith("ebok="))
    assert "HttpOnly" in session
    assert "SameSite=Lax" in session
    assert "Path=/" in session
    assert "Max-Age" not in session
    assert "Domain" not in session


def test_over_tls_the_cookie_belongs_to_this_very_host():
    from aiohttp import web

    response = web.Response()
    set_session_cookie(response, "token", secure=True)
    text = response.cookies.output()
    assert "__Host-ebok=token" in text
    assert "Secure" in text
    assert "HttpOnly" in text
    assert "Domain" not in text


async def test_a_wrong_login_and_a_wrong_password_look_the_same(office: Office):
    await add(office.site, "anna")
    visitor = await office.visitor()
    pages = [await log_in(visitor, login, "guess") for login in ("anna", "nobody")]
    assert [page.status for page in pages] == [422, 422]
    assert all("Login lub hasło się nie zgadza" in words(page) for page in pages)
    first, second = (
        re.sub(r'nonce="[^"]*"|value="[^"]*"|nonce-[\w-]+', "", page.text.replace("nobody", "anna")) for page in pages
    )
    assert first == second
    assert 'value="anna"' in pages[0].text
    assert "guess" not in pages[0].text


@pytest.mark.parametrize(
    "way",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "\\\\evil", "/a\r\nX: y"],
)
async def test_the_way_after_login_stays_in_the_house(office: Office, way: str):
    await add(office.site, "anna")
    page = await log_in(await office.visitor(), "anna", way=way)
    assert (page.status, page.headers["Location"]) == (303, "/")


async def test_the_office_goes_to_the_console(office: Office):
    await add(office.site, "biuro", Role.ADMIN)
    assert (await log_in(await office.visitor(), "biuro")).headers["Location"] == "/admin/"


async def test_too_many_attempts_wait(office: Office):
    await add(office.site, "anna")
    visitor = await office.visitor()
    for _ in range(5):
        assert (await log_in(visitor, "anna", "guess")).status == 422
    page = await log_in(visitor, "anna")
    assert page.status == 429
    assert 1 <= int(page.headers["Retry-After"]) <= 10
    assert "Spróbuj ponownie za" in words(page)


@pytest.mark.parametrize("form", [{}, {"login": "anna"}, {"password": "x"}, {"login": "a\x00b", "password": "x"}])
async def test_half_a_form_is_shown_again(office: Office, form: dict[str, str]):
    page = await (await office.visitor()).post("/login", form)
    assert page.status == 422
    assert 'role="alert"' in page.text


async def test_a_session_of_nobody_is_no_session(office: Office):
    visitor = await office.visitor()
    page = await visitor.get("/account", headers={"Cookie": "ebok=invented"})
    assert page.headers["Location"].startswith("/login")


async def test_a_form_of_another_site_does_nothing(office: Office):
    await add(office.site, "anna")
    visitor = await inside(office, "anna")
    page = await visitor.post("/logout", headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
    assert page.status == 403
    assert (await visitor.get("/account")).status == 200


# --- several customers ----------------------------------------------------------------------------------------------


async def test_another_customer_comes_into_view(office: Office, conn: Connection):
    ids = [
        await store.add_customer(conn, CustomerData(customer_no=str(number), name=name))
        for number, name in enumerate(("Anna", "Beata", "Obca"))
    ]
    visitor = await office.visitor(Role.CUSTOMER, ids[0], ids[1])
    page = await visitor.post("/switch-customer", {"customer": str(ids[1]), "back": "/account"})
    assert (page.status, page.headers["Location"]) == (303, "/account")
    assert await conn.fetchval("select customer from kernel.session") == ids[1]
    assert (await visitor.post("/switch-customer", {"customer": str(ids[2])})).status == 404
    assert (await visitor.post("/switch-customer", {"customer": str(ids[0]), "back": "//evil"})).headers[
        "Location"
    ] == "/"
    assert await conn.fetchval("select customer from kernel.session") == ids[0]


# --- the account ----------------------------------------------------------------------------------------------------


async def test_every_page_of_the_account_opens(office: Office):
    await add(office.site, "anna")
    await add(office.site, "szefowa", Role.SUPERADMIN)
    for login in ("anna", "szefowa"):
        visitor = await inside(office, login)
        for path in ("", "/password", "/sessions", "/second-factor"):
            page = await visitor.get(f"/account{path}")
            assert page.status == 200, page.text
    assert (await visitor.get("/admin/superadmin-mode")).status == 200


async def test_the_own_name(office: Office, conn: Connection):
    await add(office.site, "anna")
    visitor = await inside(office, "anna")
    assert (await visitor.post("/account", {"name": " Anna Nowak ", "language": "en"})).status == 303
    row = await conn.fetchrow("select name, language, role from kernel.users where login = 'anna'")
    assert row is not None
    assert tuple(row.values()) == ("Anna Nowak", "en", "customer")
    refused = await visitor.post("/account", {"name": "", "language": "de", "role": "superadmin"})
    assert refused.status == 422
    assert await conn.fetchval("select role from kernel.users where login = 'anna'") == "customer"


async def test_a_new_password(office: Office):
    await add(office.site, "anna")
    visitor, elsewhere = await inside(office, "anna"), await inside(office, "anna")
    path = "/account/password"
    page = await visitor.post(path, {"password": "guess", "new_password": BETTER})
    assert page.status == 422
    assert "To nie jest Twoje hasło" in words(page)
    page = await visitor.post(path, {"password": GOOD, "new_password": "krótkie"})
    assert page.status == 422
    assert "co najmniej 10 znaków" in words(page)
    assert GOOD not in page.text
    page = await visitor.post(path, {"password": GOOD, "new_password": BETTER})
    assert (page.status, page.headers["Location"]) == (303, "/account")
    assert (await visitor.get("/account")).status == 200
    assert (await elsewhere.get("/account")).status == 303
    assert (await log_in(await office.visitor(), "anna", BETTER)).status == 303


async def test_a_starter_password_leads_to_the_change_page_only(office: Office):
    await add(office.site, "anna", starter=True)
    visitor = await inside(office, "anna")
    for path in ("/", "/switch-customer"):
        page = await (visitor.get(path) if path == "/" else visitor.post(path, {"customer": "1"}))
        assert (page.status, page.headers["Location"]) == (303, "/account/password")
    page = await visitor.get("/account/password")
    assert "Masz hasło startowe" in words(page)
    page = await visitor.post("/account/password", {"password": GOOD, "new_password": BETTER})
    assert (page.status, page.headers["Location"]) == (303, "/")
    assert (await visitor.get("/")).status == 200


async def test_sessions_are_ended_one_by_one_and_all(office: Office, conn: Connection):
    await add(office.site, "anna")
    await add(office.site, "beata")
    here, there, far = [await inside(office, "anna") for _ in range(3)]
    stranger = await inside(office, "beata")
    ids = [row["id"] for row in await conn.fetch("select id from kernel.session order by id")]
    page = await here.get("/account/sessions")
    assert page.text.count('name="session"') == 3
    assert (await stranger.post("/account/sessions", {"session": str(ids[1])})).status == 404
    assert (await there.get("/account")).status == 200
    assert (await here.post("/account/sessions", {"session": str(ids[1])})).status == 303
    assert (await there.get("/account")).status == 303
    assert (await here.post("/account/sessions")).status == 303
    assert (await far.get("/account")).status == 303
    assert (await stranger.get("/account")).status == 200
    page = await here.post("/account/sessions", {"session": str(ids[0])})
    assert page.headers["Location"] == "/login"
    assert (await here.get("/account")).status == 303


async def test_the_second_factor_from_start_to_end(office: Office):
    site = office.site
    start = site.clock.now().replace(microsecond=0)
    site.clock.move_to(start)
    await add(site, "biuro", Role.ADMIN)
    visitor = await inside(office, "biuro")
    path = "/account/second-factor"
    assert (await visitor.get(f"{path}/confirm")).headers["Location"] == path
    assert (await visitor.post(path, {"password": "guess"})).status == 422
    assert (await visitor.post(path, {"password": GOOD})).headers["Location"] == f"{path}/confirm"
    page = await visitor.get(f"{path}/confirm")
    assert "<svg" in page.text
    assert "style=" not in page.text
    secret = re.search(r"<output>([A-Z2-7 ]+)</output>", page.text)
    assert secret
    totp = TOTP(secret[1].replace(" ", ""))
    page = await visitor.post(f"{path}/confirm", {"code": "000000"})
    assert page.status == 422
    assert "<svg" in page.text
    page = await visitor.post(f"{path}/confirm", {"code": totp.at(start)})
    assert page.status == 200
    codes = re.findall(r"<code>([^<]+)</code>", page.text)
    assert len(codes) == 10
    assert (await visitor.get(f"{path}/off")).status == 200

    other = await office.visitor()
    assert (await log_in(other, "biuro", way="/account")).headers["Location"] == "/login/code?next=%2Faccount"
    assert (await other.get("/account")).status == 303
    page = await other.get("/login/code?next=/account")
    assert 'autocomplete="one-time-code"' in page.text
    page = await other.post("/login/code", {"code": totp.at(start), "next": "/account"})
    assert page.status == 422
    assert 'value="/account"' in page.text
    site.clock.move_to(start + timedelta(seconds=30))
    page = await other.post("/login/code", {"code": totp.at(site.clock.now()), "next": "/account"})
    assert (page.status, page.headers["Location"]) == (303, "/account")
    assert (await other.get("/account")).status == 200

    assert (await (await office.visitor()).post("/login/code", {"code": codes[0]})).headers["Location"] == "/login"
    page = await other.post(f"{path}/codes", {"password": GOOD})
    assert page.status == 200
    assert set(re.findall(r"<code>([^<]+)</code>", page.text)).isdisjoint(codes)
    assert (await other.post(f"{path}/off", {"password": GOOD})).headers["Location"] == path
    assert (await log_in(await office.visitor(), "biuro")).headers["Location"] == "/admin/"


# --- a forgotten password -------------------------------------------------------------------------------------------


async def test_a_link_by_mail(office: Office, conn: Connection):
    await add(office.site, "anna", email="anna@example.pl")
    visitor = await office.visitor()
    pages = [await visitor.post("/reset", {"login": login}) for login in ("anna", "nobody")]
    assert [(page.status, page.headers["Location"]) for page in pages] == [(303, "/login")] * 2
    rows = await conn.fetch("select recipient, message from kernel.mail_log")
    assert [row["recipient"] for row in rows] == ["anna@example.pl"]
    letter = message_from_bytes(rows[0]["message"], policy=default)
    assert letter["Subject"] == "Nowe hasło"
    body = letter.get_body()
    assert body is not None
    link = re.search(rf"{office.origin}(/reset/\S+)", body.get_content())
    assert link
    page = await visitor.get(link[1])
    assert 'autocomplete="new-password"' in page.text
    page = await visitor.post(link[1], {"new_password": "krótkie"})
    assert page.status == 422
    page = await visitor.post(link[1], {"new_password": BETTER})
    assert (page.status, page.headers["Location"]) == (303, "/login")
    assert (await log_in(visitor, "anna", BETTER)).status == 303
    page = await visitor.get(link[1])
    assert "Ten link już nie działa" in words(page)
    page = await visitor.post(link[1], {"new_password": GOOD})
    assert page.status == 422


# --- the superadministrator's mode ----------------------------------------------------------------------------------


async def test_the_mode_is_switched_on_and_off(office: Office):
    await add(office.site, "szefowa", Role.SUPERADMIN)
    await add(office.site, "biuro", Role.ADMIN)
    visitor = await inside(office, "szefowa")
    path = "/admin/superadmin-mode"
    assert (await visitor.post(path, {"password": "guess"})).status == 422
    assert (await visitor.post(path, {"password": GOOD})).headers["Location"] == "/admin/"
    assert "Tryb superadministratora" in words(await visitor.get("/account"))
    assert (await visitor.post(f"{path}/end")).status == 303
    admin = await inside(office, "biuro")
    assert (await admin.get(path)).status == 403
    assert (await admin.post(path, {"password": GOOD})).status == 403


# --- users in the console -------------------------------------------------------------------------------------------


NEW = {"login": "Nowa", "name": "Nowa Osoba", "role": "customer", "email": "nowa@example.pl"}


async def test_an_admin_adds_a_customers_login(office: Office, conn: Connection):
    customer = await store.add_customer(conn, CustomerData(customer_no="K/7", name="Nowa Osoba"))
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.get("/admin/users/add")).status == 200
    page = await admin.post("/admin/users/add", {**NEW, "customer_no": "K/7"})
    assert page.status == 200, page.text
    password = re.search(r"<output>(\w{4}(?:-\w{4}){3})</output>", page.text)
    assert password
    user = await store.user_of_login(conn, "nowa")
    assert user is not None
    assert [grant.customer for grant in await store.grants(conn, user.id, office.site.clock.now())] == [customer]
    visitor = await office.visitor()
    assert (await log_in(visitor, "nowa", password[1])).status == 303
    assert (await visitor.get("/")).headers["Location"] == "/account/password"
    assert "nowa" in (await admin.get("/admin/users")).text
    assert (await admin.get(f"/admin/users/{user.id}")).status == 200


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"login": "zajęta"}, "Ten login jest zajęty"),
        ({"login": "a b"}, "Login nie ma spacji"),
        ({"email": "nowa@"}, "To nie jest adres e-mail"),
        ({"customer_no": "nie ma"}, "Nie ma klienta o tym numerze"),
        ({"role": "admin", "customer_no": "1"}, "Tylko login klienta"),
        ({"role": "superadmin"}, "Superadministratorami zarządza"),
        ({"role": "king"}, "role"),
    ],
)
async def test_a_wrong_new_user_is_refused(office: Office, conn: Connection, change: dict[str, str], told: str):
    await add(office.site, "zajęta")
    admin = await office.visitor(Role.ADMIN)
    before = await conn.fetchval("select count(*) from kernel.users")
    page = await admin.post("/admin/users/add", {**NEW, **change})
    assert page.status == 422
    assert told in (page.text if told == "role" else words(page))
    assert await conn.fetchval("select count(*) from kernel.users") == before


async def test_customers_manage_nobody(office: Office):
    user = await add(office.site, "anna")
    visitor = await office.visitor(Role.CUSTOMER)
    assert (await visitor.get("/admin/users")).status == 403
    assert (await visitor.post("/admin/users/add", NEW)).status == 403
    assert (await visitor.post(f"/admin/users/{user}/state", {"state": "disabled"})).status == 403


async def test_superadmins_are_managed_in_the_mode_only(office: Office, conn: Connection):
    boss = await add(office.site, "szefowa", Role.SUPERADMIN)
    admin, quiet = await office.visitor(Role.ADMIN), await office.visitor(Role.SUPERADMIN)
    for visitor in (admin, quiet):
        assert (await visitor.get(f"/admin/users/{boss}")).status == 200
        for part, form in (
            ("", {"name": "X", "role": "customer"}),
            ("/state", {"state": "disabled"}),
            ("/starter-password", {}),
            ("/end-sessions", {}),
            ("/second-factor-off", {}),
        ):
            assert (await visitor.post(f"/admin/users/{boss}{part}", form)).status == 403, part
        assert (await visitor.post("/admin/users/add", {**NEW, "role": "superadmin"})).status == 422
    announced = await office.visitor(Role.SUPERADMIN, mode=True)
    assert (await announced.post(f"/admin/users/{boss}", {"name": "Szefowa", "role": "admin"})).status == 303
    user = await store.user(conn, boss)
    assert user is not None
    assert user.role is Role.ADMIN
    assert (await announced.post("/admin/users/add", {**NEW, "role": "superadmin"})).status == 200


async def test_the_last_superadmin_is_kept_with_a_word(office: Office, conn: Connection):
    boss = await office.visitor(Role.SUPERADMIN, mode=True)
    page = await boss.post(f"/admin/users/{boss.user}", {"name": "X", "role": "admin"})
    assert page.status == 422
    assert "Ostatni superadministrator musi zostać" in words(page)
    page = await boss.post(f"/admin/users/{boss.user}/state", {"state": "disabled"})
    assert page.status == 422
    assert await conn.fetchval("select count(*) from kernel.users where role = 'superadmin' and state = 'active'") == 1


async def test_a_user_is_disabled_and_enabled(office: Office, conn: Connection):
    user = await add(office.site, "anna")
    visitor, admin = await inside(office, "anna"), await office.visitor(Role.ADMIN)
    assert (await admin.post(f"/admin/users/{user}/state", {"state": "disabled"})).status == 303
    assert (await visitor.get("/account")).status == 303
    assert (await log_in(await office.visitor(), "anna")).status == 422
    assert (await admin.post(f"/admin/users/{user}/state", {"state": "active"})).status == 303
    assert (await log_in(await office.visitor(), "anna")).status == 303
    verbs = [
        row["verb"]
        for row in await conn.fetch("select verb from kernel.audit_log where actor = $1 order by id", str(admin.user))
    ]
    assert verbs == ["kernel.user_disabled", "kernel.user_enabled"]
    assert (await admin.post(f"/admin/users/{admin.user}/state", {"state": "disabled"})).status == 422
    assert (await admin.post("/admin/users/999999/state", {"state": "disabled"})).status == 404


async def test_help_for_who_cannot_get_in(office: Office):
    user = await add(office.site, "anna")
    visitor, admin = await inside(office, "anna"), await office.visitor(Role.ADMIN)
    page = await admin.post(f"/admin/users/{user}/starter-password")
    password = re.search(r"<output>(\w{4}(?:-\w{4}){3})</output>", page.text)
    assert password
    assert (await visitor.get("/account")).status == 303
    assert (await log_in(visitor, "anna")).status == 422
    assert (await log_in(visitor, "anna", password[1])).status == 303
    assert (await admin.post(f"/admin/users/{user}/end-sessions")).status == 303
    assert (await visitor.get("/account")).headers["Location"].startswith("/login")
    assert (await admin.post(f"/admin/users/{user}/second-factor-off")).status == 303


async def test_grants_are_given_and_taken(office: Office, conn: Connection):
    customer = await store.add_customer(conn, CustomerData(customer_no="K/7", name="Anna"))
    user, admin = await add(office.site, "anna"), await office.visitor(Role.ADMIN)
    now = office.site.clock.now()
    path = f"/admin/users/{user}/grants"
    assert (await admin.post(path, {"customer_no": "K/8", "scope": "view"})).status == 422
    assert (await admin.post(path, {"customer_no": "K/7", "scope": "view"})).status == 303
    assert [grant.scope for grant in await store.grants(conn, user, now)] == ["view"]
    page = await admin.get(f"/admin/users/{user}")
    assert "K/7" in page.text
    assert (await admin.post(f"{path}/{customer}/revoke")).status == 303
    assert await store.grants(conn, user, now) == []
    assert (await admin.post(f"{path}/{customer}/revoke")).status == 404


# --- the command line -----------------------------------------------------------------------------------------------


def parsed(*words: str) -> tuple[commands.Command, argparse.Namespace]:
    found = {command.name: command for command in commands.commands()}
    command = found[" ".join(words[:2])]
    parser = argparse.ArgumentParser()
    for argument in command.arguments:
        parser.add_argument(*argument.flags, **argument.options)
    return command, parser.parse_args(words[2:])


async def run(site: Site, monkeypatch: pytest.MonkeyPatch, *words: str, typed: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    command, arguments = parsed(*words)
    return await command.run(site, arguments)


async def test_the_first_superadmin_comes_by_command(
    site: Site, office: Office, conn: Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    typed = f"{GOOD}\n"
    words = ("user", "add", "Szefowa", "--role", "superadmin", "--name", "Anna Nowak", "--password-stdin")
    assert await run(site, monkeypatch, *words, typed=typed) == 0
    assert capsys.readouterr().out == "Added szefowa as superadmin.\n"
    assert (await log_in(await office.visitor(), "szefowa")).headers["Location"] == "/admin/"
    assert await run(site, monkeypatch, *words, typed=typed) == 1
    assert capsys.readouterr().err == "ebok: the login 'szefowa' is taken\n"
    assert await run(site, monkeypatch, "user", "disable", "szefowa") == 1
    assert "last superadministrator" in capsys.readouterr().err
    assert await conn.fetchval("select actor from kernel.audit_log where verb = 'kernel.user_added'") == "cli"


async def test_a_customers_login_by_command(
    site: Site, office: Office, conn: Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    words = ("user", "add", "stanislaw", "--role", "customer", "--customer", "49", "--password-stdin")
    assert await run(site, monkeypatch, *words, typed=GOOD) == 1
    assert capsys.readouterr().err == "ebok: there is no customer with the number '49'\n"
    customer = await store.add_customer(conn, CustomerData(customer_no="49", name="Stanisław Wójcik"))
    assert await run(site, monkeypatch, *words, typed=GOOD) == 0
    user = await store.user_of_login(conn, "stanislaw")
    assert user is not None
    assert not user.must_change_password
    assert [grant.customer for grant in await store.grants(conn, user.id, site.clock.now())] == [customer]
    assert (await log_in(await office.visitor(), "stanislaw")).status == 303

    assert await run(site, monkeypatch, "user", "password", "stanislaw", "--password-stdin", typed=BETTER) == 0
    assert (await log_in(await office.visitor(), "stanislaw", BETTER)).status == 303
    assert await run(site, monkeypatch, "user", "disable", "STANISLAW") == 0
    user = await store.user_of_login(conn, "stanislaw")
    assert user is not None
    assert user.state is State.DISABLED
    assert await run(site, monkeypatch, "user", "enable", "stanislaw") == 0
    capsys.readouterr()
    assert await run(site, monkeypatch, "user", "list", "--json") == 0
    assert [user["login"] for user in json.loads(capsys.readouterr().out)] == ["stanislaw"]
    assert await run(site, monkeypatch, "user", "list") == 0
    assert "stanislaw" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "typed", "code", "told"),
    [
        (("add", "a b", "--role", "admin", "--password-stdin"), GOOD, 2, "no spaces"),
        (("add", "a", "--role", "admin", "--password-stdin"), "krótkie", 1, "at least 15 characters"),
        (("add", "a", "--role", "customer", "--password-stdin"), "password123", 1, "guessed first"),
        (("add", "a", "--role", "admin", "--customer", "1", "--password-stdin"), GOOD, 2, "--role customer only"),
        (("add", "a", "--role", "admin", "--email", "x", "--password-stdin"), GOOD, 2, "not an e-mail address"),
        (("add", "a", "--role", "admin", "--password-stdin"), "", 2, "no password came"),
        (("add", "a", "--role", "admin"), GOOD, 2, "--password-stdin"),
        (("password", "nobody", "--password-stdin"), GOOD, 1, "there is no login 'nobody'"),
        (("disable", "nobody"), "", 1, "there is no login 'nobody'"),
    ],
)
async def test_wrong_use_is_one_clear_line(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    typed: str,
    code: int,
    told: str,
):
    assert await run(site, monkeypatch, "user", *words, typed=typed) == code
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    async with site.db.connection() as conn:
        assert await store.users(conn) == []

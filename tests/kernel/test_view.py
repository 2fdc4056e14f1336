"""How pages look for a person: kept beyond logout, changed without scripts, never a way to a foreign host."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from kernel.plugin.permissions import Role
from kernel.testing import Office
from kernel.web.view import COOKIE, View, language_of

pytestmark = pytest.mark.ebok(plugins=[])


@pytest.mark.parametrize(
    "cookie", ["", "3.dark.pl.1", "0.dark.de.1", "0.dark.pl", "0.dark.pl.1\n", "0.<b>.pl.1", "٠.dark.pl.1", "x" * 5000]
)
def test_a_damaged_cookie_means_the_defaults(cookie: str) -> None:
    assert View.read(cookie) == View()


@pytest.mark.parametrize("view", [View(), View(0), View(2, "contrast", "en", shortcuts=False), View(1, "auto", "pl")])
def test_a_view_survives_its_cookie(view: View) -> None:
    assert View.read(view.cookie) == view


@pytest.mark.parametrize(
    ("header", "language"),
    [("", "pl"), ("en-GB,en;q=0.9", "en"), ("de,en;q=0.5,pl;q=0.7", "pl"), ("de", "pl"), ("en;q=x", "pl"), ("*", "pl")],
)
def test_the_browser_is_asked_for_the_language(header: str, language: str) -> None:
    assert language_of(make_mocked_request("GET", "/", headers={"Accept-Language": header})) == language


async def test_size_theme_and_language_change_by_buttons_and_stay(office: Office) -> None:
    client = await office.visitor()
    answer = await client.post("/preferences", {"size": "2", "back": "/accessibility?x=1"})
    assert (answer.status, answer.headers["Location"]) == (303, "/accessibility?x=1")
    cookie = answer.headers["Set-Cookie"]
    assert f"{COOKIE}=2.auto..1" in cookie
    assert "Max-Age=31536000" in cookie
    assert "HttpOnly" in cookie
    await client.post("/preferences", {"theme": "contrast"})
    await client.post("/preferences", {"lang": "en"})
    page = (await client.get("/accessibility")).text
    assert '<html lang="en" data-size="2" data-theme="contrast"' in page
    assert "Accessibility statement" in page


async def test_until_a_size_is_chosen_each_face_has_its_own(office: Office) -> None:
    pressed = 'aria-pressed="true" aria-label="{}: '
    portal, console = await office.visitor(Role.CUSTOMER), await office.visitor(Role.ADMIN)
    for client, path, label in ((portal, "/account", "A"), (console, "/admin/", "A−")):
        page = (await client.get(path)).text
        assert "data-size" not in page
        assert pressed.format(label) in page
        await client.post("/preferences", {"theme": "dark"})
        assert "data-size" not in (await client.get(path)).text
        await client.post("/preferences", {"size": "2"})
        assert pressed.format("A+") in (await client.get(path)).text


async def test_the_choice_survives_logout(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    await client.post("/preferences", {"size": "1"})
    await client.post("/logout")
    assert 'data-size="1"' in (await client.get("/accessibility")).text


async def test_the_way_back_stays_on_this_host(office: Office) -> None:
    client = await office.visitor()
    for back in (
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/\tx",
        "/a\r\nb",
    ):
        answer = await client.post("/preferences", {"size": "1", "back": back})
        assert (answer.status, answer.headers["Location"]) == (303, "/"), back


async def test_without_a_field_the_browser_says_where_it_was(office: Office) -> None:
    client = await office.visitor()
    for referer, back in (
        (f"{office.origin}/accessibility?x=1", "/accessibility?x=1"),
        ("https://evil.example/accessibility", "/"),
        (f"{office.origin}//evil.example/", "/"),
        ("http://[", "/"),
    ):
        answer = await client.post("/preferences", {"size": "1"}, headers={"Referer": referer})
        assert (answer.status, answer.headers["Location"]) == (303, back), referer


async def test_a_wrong_choice_comes_back_as_a_form(office: Office) -> None:
    client = await office.visitor()
    answer = await client.post("/preferences", {"size": "9"})
    assert answer.status == 422
    assert 'aria-invalid="true"' in answer.text
    assert 'href="#f-size"' in answer.text


async def test_shortcuts_can_be_switched_off(office: Office) -> None:
    staff = await office.visitor(Role.ADMIN)
    assert 'name="shortcuts"' in (await staff.get("/preferences")).text
    await staff.post("/preferences", {"shortcuts": "false"})
    assert 'data-shortcuts="off"' in (await staff.get("/preferences")).text
    assert 'name="shortcuts"' not in (await (await office.visitor()).get("/preferences")).text


async def test_the_declaration_names_the_organisation(office: Office) -> None:
    page = (await (await office.visitor()).get("/accessibility")).text
    assert "Deklaracja dostępności" in page
    assert "Rzecznika Praw Obywatelskich" in page
    assert "ebok" in page

"""Every page of the product works for everybody: what axe, a narrow screen and a keyboard have to say of it.

The pages come from ``ebok routes``, so a new one cannot be forgotten. What the demonstration lacks (a group, a run, a
note …) is looked at in the furnished office of the architecture's tests, which must have one of everything.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import Page, expect
from yarl import URL

from kernel.plugin.permissions import Role
from kernel.testing import Cluster, registry_of
from tests.architecture.furnished import furnished_office, parameters
from tests.browser.conftest import Demo, new_context
from tests.processes import ROOT

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.browser

PROFILE = ROOT / "docs" / "examples" / "chinook.toml"
NOT_PAGES = re.compile(r"^/api/|\.pdf$|^/(livez|readyz|metrics)$")
ELSEWHERE = {
    "kernel.login_code": "asks only after a right password of a login with a second factor",
    "kernel.account.second_factor_confirm": "asks only after the second factor was begun",
    "kernel.account.second_factor_off": "asks only where the second factor is on",
    "kernel.account.second_factor_codes": "asks only where the second factor is on",
    "kernel.console.short": "leads to the console",
    "printing.made": "is there only after an order was made",
    "kernel.search_hits": "is a part of the search box, which its own test opens",
    "kernel.queue": "is read by the rail's script",
    "payments.till_find": "is read by the script of the payments desk",
}
"""Pages that are elsewhere unless something came before them; the tests go that way and look at them."""
MATTERS = ("serious", "critical")


@dataclass(frozen=True, slots=True)
class Place:
    """A page: whose, where, and the status that is right for it."""

    who: str
    path: str
    status: int = 200
    send: tuple[tuple[str, str], ...] | None = None
    """Fields to be filled before the page's form is sent: the refused page is what we look at."""

    def __str__(self) -> str:
        return f"{self.who} {self.path}{' (refused)' if self.send is not None else ''}"


MORE = (
    Place("nobody", "/nowhere", 404),
    Place("nobody", "/login", 422, (("login", "nobody"), ("password", "wrong as can be"))),
    Place("nobody", "/reset", 422, ()),
    Place("in credit", "/"),
    Place("settled", "/"),
    Place("settled", "/balance"),
    Place("in arrears", "/admin/", 403),
    Place("in arrears", "/payment-order", 422, (("amount", "1e3"),)),
    Place("in arrears", "/account/password", 422, (("password", "wrong"), ("new_password", "short"))),
    Place("admin", "/admin/search?q=Nowak"),
    Place("admin", "/admin/search?q=nothing-of-this-name"),
    Place("admin", "/admin/payments?state=draft"),
    Place("admin", "/admin/payments?state=voided"),
    Place("admin", "/admin/customers/999999", 404),
    Place("admin", "/admin/customers/add", 422, (("customer_no", ""),)),
    Place("admin", "/admin/payments/new", 422, (("customer_no", "1"), ("amount", "1 234,567"))),
    Place("superadmin", "/admin/settings/payments", 422, (("payee_nip", "12 3456"),)),
)


@cache
def axe_script() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


async def faults(page: Page, *rules: str) -> list[str]:
    """What axe finds serious or critical on the page as it is now."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    if not await page.evaluate("typeof window.axe === 'object'"):
        await page.evaluate(axe_script())
    found = await page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in found["violations"]
        if violation["impact"] in MATTERS
        for node in violation["nodes"][:3]
    ]


BONES = """() => {
  const wrong = [];
  const ones = document.querySelectorAll("h1");
  if (ones.length !== 1 || !ones[0].textContent.trim()) wrong.push(`${ones.length} main headings`);
  if (!document.title.split(" · ")[0].trim()) wrong.push("no title");
  if (!/^(pl|en)$/.test(document.documentElement.lang)) wrong.push("no language");
  if (document.querySelectorAll("main").length !== 1) wrong.push("no main part");
  const skip = document.querySelector("a[href]");
  if (skip?.getAttribute("href") !== "#main") wrong.push("the first link does not skip to the content");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const twice = ids.filter((id, place) => ids.indexOf(id) !== place);
  if (twice.length) wrong.push(`ids used twice: ${twice}`);
  return wrong;
}"""
WIDER = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const boxed = (element) => element.parentElement?.closest(".scroll, .unseen");
  return [...document.body.querySelectorAll("*")]
    .filter((element) => element.getBoundingClientRect().right > width + 1 && !boxed(element))
    .slice(0, 4)
    .map((element) => `${element.tagName}.${element.className} ends at ${element.getBoundingClientRect().right}`);
}"""


async def examined(page: Page, place: Place) -> list[str]:
    """Everything that is wrong with the page that is open: bones, axe in every theme, narrow screens, large text."""
    wrong = await page.evaluate(BONES)
    wrong += await faults(page)
    for theme in ("dark", "contrast"):
        await page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        wrong += [f"{theme}: {fault}" for fault in await faults(page, "color-contrast")]
    await page.set_viewport_size({"width": 320, "height": 640})
    for size in ("0", "2"):
        await page.evaluate("size => { document.documentElement.dataset.size = size; }", size)
        wrong += [f"320 px, size {size}: {part}" for part in await page.evaluate(WIDER)]
    await page.set_viewport_size({"width": 1280, "height": 900})
    return [f"{place}: {fault}" for fault in wrong]


async def opened(page: Page, url: str, place: Place) -> list[str]:
    """Go to the page, or have its form refused; what is wrong with the way there."""
    answer = await page.goto(url + place.path)
    if place.send is not None:
        form = page.locator("main form[method=post]").last
        for name, value in place.send:
            await form.locator(f"[name={name}]").fill(value)
        async with page.expect_navigation() as arriving:
            await form.locator("button:not([name])").last.click()
        answer = await arriving.value
    if answer is None or answer.status != place.status:
        return [f"{place}: answered {answer and answer.status}, not {place.status}"]
    if place.send is not None and not await page.locator("[aria-invalid=true], .summary li").count():
        return [f"{place}: refused without a word"]
    return []


SHOWN_BY_DEMO = {"api_token", "account", "book", "customer", "entry", "id", "plugin", "run", "token"}
"""Parameters of addresses for which the demonstration has an example."""


async def examples(demo: Demo) -> dict[str, dict[str, str]]:
    """What stands for each parameter of an address, and what stands for it on one page alone."""
    import asyncpg

    run = json.loads(demo.ebok("import", "run", str(PROFILE), "--json"))["run"]
    conn = await asyncpg.connect(demo.dsn)
    try:
        customer = await conn.fetchval(
            "select id from kernel.customer where customer_no = $1", demo.account("in arrears")["customer_no"]
        )
        account = await conn.fetchval("select id from payments.account where customer = $1", customer)
        book = await conn.fetchval("select min(id) from payments.book")
        own_charge = await conn.fetchval(
            "select max(id) from payments.entry where account_id = $1 and side = 'charge' and state = 'approved'",
            account,
        )
        draft = await conn.fetchval("select max(id) from payments.entry where state = 'draft'")
        approved = await conn.fetchval(
            "select max(id) from payments.entry where state = 'approved' and kind = 'payment'"
        )
        charge = await conn.fetchval("select max(id) from payments.entry where state = 'approved' and side = 'charge'")
        point = await conn.fetchrow("select id, customer from kernel.service_point order by id limit 1")
        assert point is not None
        user = await conn.fetchval("select id from kernel.users where login = $1", demo.account("in arrears")["login"])
        api_token = await conn.fetchval(
            "insert into kernel.api_token (token_hash, user_id, name, scopes, created_at)"
            " select '\\x00', id, 'Program', '{payments.view}', now() from kernel.users where login = $1 returning id",
            demo.account("admin")["login"],
        )
    finally:
        await conn.close()
    common: dict[str, Any] = {
        "api_token": api_token,
        "account": account,
        "book": book,
        "customer": customer,
        "entry": approved,
        "id": user,
        "plugin": "payments",
        "run": run,
        "token": "x" * 32,
    }
    assert common.keys() == SHOWN_BY_DEMO
    own: dict[str, dict[str, Any]] = {
        "payments.edit": {"entry": draft},
        "payments.explain_own_entry": {"entry": own_charge},
        "payments.confirm_delete": {"entry": draft},
        "payments.correct": {"entry": charge},
        "customers.point_changing": {"customer": point["customer"], "point": point["id"]},
    }
    return {name: {key: str(value) for key, value in known.items()} for name, known in {"": common, **own}.items()}


ROLES = {"nobody": "anonymous", "in arrears": "customer", "admin": "admin", "superadmin": "superadmin"}
PARAMETER = re.compile(r"\{(\w+)(?::(?:[^{}]|\{[^{}]*\})*)?\}")


def pages_of(routes: list[dict[str, Any]], known: dict[str, dict[str, str]], who: str) -> list[Place]:
    """The pages that are looked at as ``who``: each as the least person that may see it."""
    places: list[Place] = []
    for route in routes:
        if route["method"] != "GET" or NOT_PAGES.search(route["path"]) or route["name"] in ELSEWHERE:
            continue
        if next(role for role in ROLES.values() if role in route["roles"]) == ROLES.get(who):
            values = {**known[""], **known.get(route["name"], {})}
            if not set(PARAMETER.findall(route["path"])) <= values.keys():
                continue  # the demonstration has no such thing: the furnished office has
            places.append(Place(who, PARAMETER.sub(lambda part, values=values: values[part[1]], route["path"])))
    return places


@pytest.mark.timeout(600)
async def test_every_page_in_every_theme_and_on_a_narrow_screen(demo: Demo, browser: Browser) -> None:
    routes = json.loads(demo.ebok("routes", "--json"))
    known = await examples(demo)
    wrong: list[str] = []
    for who in ("nobody", "in arrears", "in credit", "settled", "admin", "superadmin"):
        context = await new_context(browser, reduced_motion="reduce", color_scheme="light")
        page = await context.new_page()
        if who != "nobody":
            await demo.log_in(context, who)
        if who == "superadmin":
            await page.goto(f"{demo.url}/admin/superadmin-mode")
            await page.locator("input[name=password]").fill(demo.account(who)["password"])
            await page.keyboard.press("Enter")
            await expect(page.locator(".mode")).to_be_visible()
        for place in [*pages_of(routes, known, who), *(one for one in MORE if one.who == who)]:
            trouble = await opened(page, demo.url, place)
            wrong += trouble or await examined(page, place)
        if who == "in arrears":
            await page.goto(f"{demo.url}/payment-order")
            await page.get_by_role("button", name="Przygotuj polecenie przelewu").click()
            await page.wait_for_url("**/payment-order/*")
            wrong += await examined(page, Place(who, "/payment-order/{reference}"))
        await context.close()
    assert not wrong, "\n".join(wrong)


@pytest.mark.timeout(1200)
async def test_every_page_of_things_that_the_demonstration_lacks(cluster: Cluster, browser: Browser) -> None:
    wrong: list[str] = []
    looked_at = 0
    async with furnished_office(cluster, registry_of()) as furnished:
        for role in (Role.CUSTOMER, Role.ADMIN, Role.SUPERADMIN):
            context = await new_context(browser, reduced_motion="reduce", color_scheme="light")
            visitor = await furnished.visitor(role, mode=role is Role.SUPERADMIN)
            token = visitor.http.cookie_jar.filter_cookies(URL(furnished.office.origin))["ebok"].value
            await context.add_cookies([{"name": "ebok", "value": token, "url": furnished.office.origin}])
            page = await context.new_page()
            for route in furnished.routes("GET"):
                least = next((one for one in Role if furnished.may(one, route)), None)
                if least is not role or set(parameters(route)) <= SHOWN_BY_DEMO or NOT_PAGES.search(route.path):
                    continue
                for path in furnished.paths(route)[:2]:
                    place = Place(role, path)
                    answer = await page.goto(furnished.office.origin + path)
                    if answer is None or answer.status == 404 or "html" not in answer.headers.get("content-type", ""):
                        continue  # a step that is behind this thing already, or a file
                    looked_at += 1
                    wrong += await examined(page, place)
            await context.close()
    assert looked_at > 30
    assert not wrong, "\n".join(wrong)


async def test_second_factor(demo: Demo, browser: Browser) -> None:
    """The pages that come only one after another: set up, recovery codes, the code at login, switching off."""
    from pyotp.totp import TOTP

    context = await new_context(browser, reduced_motion="reduce", color_scheme="light")
    page = await context.new_page()
    who = "due next month"
    password = demo.account(who)["password"]
    await demo.log_in(context, who)
    wrong: list[str] = []

    async def look() -> None:
        nonlocal wrong
        wrong += await examined(page, Place(who, page.url.removeprefix(demo.url)))

    async def send(name: str, value: str) -> None:
        await page.locator(f"main input[name={name}]").fill(value)
        async with page.expect_navigation():
            await page.keyboard.press("Enter")

    await page.goto(f"{demo.url}/account/second-factor")
    await send("password", password)
    await look()
    secret = TOTP((await page.locator("main output").inner_text()).replace(" ", ""))
    await send("code", secret.now())
    await look()
    recovery = await page.locator(".codes code").first.inner_text()
    for path in ("", "/codes", "/off"):
        await page.goto(f"{demo.url}/account/second-factor{path}")
        await look()
    await context.clear_cookies()
    await page.goto(f"{demo.url}/login")
    await page.locator("input[name=login]").fill(demo.account(who)["login"])
    await send("password", password)
    await look()
    await send("code", recovery)
    assert page.url == f"{demo.url}/"
    await context.close()
    assert not wrong, "\n".join(wrong)


async def test_text_size_and_language_are_chosen_by_buttons_and_outlive_logout(demo: Demo, page: Page) -> None:
    await demo.log_in(page.context, "in arrears")
    await page.goto(demo.url)
    assert await root_size(page) == pytest.approx(16 * 1.15)
    for label, percent in (("A+", 130), ("A−", 100), ("A", 115), ("A+", 130)):
        async with page.expect_navigation():
            await page.get_by_role("button", name=re.compile(f"^{re.escape(label)}:")).click()
        assert await root_size(page) == pytest.approx(16 * percent / 100)
        await expect(page.get_by_role("button", name=re.compile(f"^{re.escape(label)}:"))).to_have_attribute(
            "aria-pressed", "true"
        )
    async with page.expect_navigation():
        await page.get_by_role("button", name="English").click()
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    async with page.expect_navigation():
        await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert await root_size(page) == pytest.approx(16 * 1.3)
    await demo.log_in(page.context, "admin")
    await page.goto(f"{demo.url}/admin/")
    assert await root_size(page) == pytest.approx(16 * 1.3)
    await expect(page.locator("html")).to_have_attribute("lang", "en")


async def root_size(page: Page) -> float:
    return float((await page.evaluate("getComputedStyle(document.documentElement).fontSize")).removesuffix("px"))


SHOWN = """() => {
  const element = document.activeElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
  if (element === document.body) return null;
  const within = (place, most) => Math.min(Math.max(place, 1), most - 1);
  const middle = document.elementFromPoint(
    within(box.left + box.width / 2, innerWidth), within(box.top + box.height / 2, innerHeight));
  const name = `${element.tagName} ${element.textContent.trim().slice(0, 30) || element.name || element.className}`;
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const seen = box.bottom > 0 && box.top < innerHeight && middle
    && (element.contains(middle) || middle.contains(element) || middle.closest("label")?.control === element);
  return { name, ring, seen: Boolean(seen) };
}"""


async def test_the_keyboard_focus_is_always_seen(demo: Demo, browser: Browser) -> None:
    lost: list[str] = []
    for who, paths in (
        ("in arrears", ("/", "/payment-order")),
        ("admin", ("/admin/payments?state=draft", "/admin/customers/add")),
    ):
        context = await new_context(browser, reduced_motion="reduce", viewport={"width": 1280, "height": 600})
        await demo.log_in(context, who)
        page = await context.new_page()
        for path in paths:
            await page.goto(demo.url + path)
            for _step in range(80):
                await page.keyboard.press("Tab")
                here = await page.evaluate(SHOWN)
                if here is None:
                    break
                if not (here["ring"] and here["seen"]):
                    lost.append(f"{path}: {here}")
        await context.close()
    assert not lost, "\n".join(lost)


async def test_the_skip_link_leads_to_the_content(demo: Demo, page: Page) -> None:
    await page.goto(f"{demo.url}/login")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await expect(page.locator(".skip")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("textbox", name="Login")).to_be_focused()

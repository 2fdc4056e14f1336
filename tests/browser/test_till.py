"""Twenty payments are typed and approved at the payments desk, and every key is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import OFFICE, new_context
from tests.browser.test_story import log_in
from tests.processes import Serving

pytestmark = pytest.mark.browser

PAYMENTS = tuple((str(number), f"{number},50") for number in range(20, 40))
"""Customers by their numbers, and what each pays."""
BESIDE_THE_DATA = 4


@pytest.fixture
async def desk(browser: Browser, office: Serving) -> AsyncIterator[Page]:
    """A clerk at an empty bundle that should come to 590 zł."""
    context = await new_context(browser)
    page = await context.new_page()
    await log_in(page, office.url, "biuro", OFFICE)
    await page.goto(f"{office.url}/admin/payments/till")
    await page.fill("#f-expected_count", "20")
    await page.fill("#f-expected_sum", "600,00")
    await page.click("text=Rozpocznij paczkę")
    await expect(page.locator("#f-who")).to_be_focused()
    yield page
    await context.close()


@dataclass
class Keys:
    """A keyboard that counts: what belongs to the data, and every other key."""

    page: Page
    data: int = 0
    beside: int = 0
    log: list[str] = field(default_factory=list)

    async def type(self, text: str) -> None:
        self.data += len(text)
        await self.page.keyboard.type(text)

    async def press(self, key: str) -> None:
        self.beside += 1
        self.log.append(key)
        await self.page.keyboard.press(key)


async def test_twenty_payments_take_at_most_four_keys_each_beside_the_data(desk: Page) -> None:
    keys = Keys(desk)
    for number, amount in PAYMENTS:
        await keys.type(number)
        await keys.press("Tab")
        await keys.type(amount)
        await keys.press("Enter")
    await expect(desk.locator("[data-board=rows] tbody").first.locator("tr")).to_have_count(20)
    await expect(desk.locator("[data-board=figures]")).to_contain_text("600,00")
    await expect(desk.locator("[data-board=figures]")).to_contain_text("zgadza się")

    await keys.press("Control+Enter")
    await expect(desk.get_by_role("heading", level=1)).to_contain_text("Zatwierdzić paczkę")
    while await desk.evaluate("document.activeElement.textContent.trim()") != "Zatwierdź zaznaczone wpłaty":
        await keys.press("Tab")
        assert keys.beside <= BESIDE_THE_DATA * len(PAYMENTS), keys.log
    await keys.press("Enter")
    await expect(desk.get_by_role("main")).to_contain_text("zatwierdzona")
    assert await desk.locator("text=Zmień").count() == 0
    assert keys.beside <= BESIDE_THE_DATA * len(PAYMENTS), keys.log


async def test_a_customer_is_found_by_name_with_the_arrow_keys(desk: Page) -> None:
    keys = desk.keyboard
    await keys.type("wójcik")
    option = desk.get_by_role("option", name="Stanisław Wójcik")
    await expect(option).to_be_visible()
    combobox = desk.get_by_role("combobox", name="Klient: numer")
    await expect(combobox).to_have_attribute("aria-expanded", "true")
    await keys.press("ArrowDown")
    await expect(combobox).to_have_attribute("aria-activedescendant", "till-found-0")
    await keys.press("Enter")
    await expect(desk.locator("#f-amount")).to_be_focused()
    await expect(desk.locator("[data-whose]")).to_contain_text("do zapłaty")
    await keys.type("10")
    await keys.press("Enter")
    await expect(desk.locator("[data-board=rows]")).to_contain_text("Stanisław Wójcik")


async def test_what_is_refused_comes_back_and_what_was_typed_since_is_kept(desk: Page) -> None:
    keys = desk.keyboard
    answered = asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        await answered.wait()
        await route.fulfill(response=answer)

    await desk.route("**/till/*", late)
    for number, amount in (("20", "12,345"), ("21", "30")):
        await keys.type(number)
        await keys.press("Tab")
        await keys.type(amount)
        if number == "21":  # the refusal comes while the next row is typed: the hands are not interrupted
            answered.set()
            await expect(desk.locator("[data-said]")).to_contain_text("Dokończ ten")
            await expect(desk.locator("#f-who")).to_have_value("21")
            await desk.unroute_all(behavior="wait")
        await keys.press("Enter")
    await expect(desk.locator("#f-amount-error")).to_be_visible()
    await expect(desk.locator("#f-amount")).to_be_focused()
    await expect(desk.locator("#f-who")).to_have_value("20")
    await desk.fill("#f-amount", "12,34")
    await keys.press("Enter")
    # The row that waited is there again.
    await expect(desk.locator("[data-board=figures]")).to_contain_text("12,34")
    await expect(desk.locator("#f-who")).to_have_value("21")
    await expect(desk.locator("#f-amount")).to_have_value("30")
    await keys.press("Enter")
    await keys.press("Enter")
    await expect(desk.locator("[data-board=figures]")).to_contain_text("42,34")


async def test_a_name_of_several_is_chosen_by_the_keyboard(desk: Page) -> None:
    keys = desk.keyboard
    await keys.type("mar")
    await expect(desk.get_by_role("option").nth(1)).to_be_visible()
    await keys.press("Tab")
    await expect(desk.locator("#f-amount")).to_be_focused()
    await keys.type("15")
    await keys.press("Enter")
    await expect(desk.get_by_role("radio").first).to_be_focused()
    await keys.press("Space")
    await keys.press("Enter")
    await expect(desk.locator("[data-board=figures]")).to_contain_text("15,00")


async def test_a_row_survives_the_end_of_the_session(desk: Page, office: Serving) -> None:
    keys = desk.keyboard
    address = desk.url
    await keys.type("20")
    await keys.press("Tab")
    await keys.type("15,00")
    await desk.context.clear_cookies()
    await keys.press("Enter")
    await desk.wait_for_url("**/login**")
    await log_in(desk, office.url, "biuro", OFFICE)
    await desk.goto(address)
    await expect(desk.locator("#f-who")).to_have_value("20")
    await expect(desk.locator("#f-amount")).to_have_value("15,00")
    await expect(desk.locator("[data-said]")).to_contain_text("Przywrócono")
    await desk.locator("#f-amount").focus()
    await keys.press("Enter")
    await expect(desk.locator("[data-board=figures]")).to_contain_text("15,00")
    await desk.reload()
    await expect(desk.locator("#f-who")).to_have_value("")


async def test_a_row_that_looks_typed_twice_takes_two_keys_more(desk: Page) -> None:
    keys = desk.keyboard
    for _again in range(2):
        await keys.type("20")
        await keys.press("Tab")
        await keys.type("15,00")
        await keys.press("Enter")
    await expect(desk.locator("#f-sure")).to_be_focused()
    await keys.press("Space")
    await keys.press("Enter")
    await expect(desk.locator("[data-board=figures]")).to_contain_text("30,00")
    await expect(desk.locator("#f-sure")).to_have_count(0)


async def test_without_javascript_the_page_asks_and_goes_on(browser: Browser, office: Serving) -> None:
    context = await new_context(browser, java_script_enabled=False)
    page = await context.new_page()
    await log_in(page, office.url, "biuro", OFFICE)
    await page.goto(f"{office.url}/admin/payments/till")
    await page.click("text=Rozpocznij paczkę")
    await page.fill("#f-who", "wójcik")
    await page.fill("#f-amount", "20")
    await page.press("#f-amount", "Enter")
    await expect(page.get_by_role("main")).to_contain_text("Czyja to wpłata")
    await page.get_by_label("Stanisław Wójcik").check()
    await page.click("button:has-text('Wpisz')")
    await expect(page.locator("table").first).to_contain_text("Stanisław Wójcik")
    await expect(page.locator("#f-who")).to_have_value("")
    await context.close()
    await asyncio.sleep(0)


async def test_any_form_comes_back_filled_after_the_session_has_ended(desk: Page, office: Serving) -> None:
    await desk.goto(f"{office.url}/admin/payments/new?customer=20")
    await desk.fill("#f-amount", "12,30")
    await desk.fill("#f-title", "za wodę w listopadzie")
    await desk.context.clear_cookies()
    await desk.press("#f-title", "Enter")
    await desk.wait_for_url("**/login**")
    await log_in(desk, office.url, "biuro", OFFICE)
    await desk.goto(f"{office.url}/admin/payments/new")
    await expect(desk.locator("#f-title")).to_have_value("za wodę w listopadzie")
    await expect(desk.locator("#f-amount")).to_have_value("12,30")
    await expect(desk.get_by_role("status").filter(has_text="Przywrócono")).to_be_visible()

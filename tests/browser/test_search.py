"""From a mistyped street to the balance in three actions: the key of the search, the words, Enter."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OFFICE
from tests.browser.test_story import log_in
from tests.processes import Serving

pytestmark = pytest.mark.browser


async def test_a_mistyped_street_leads_to_the_balance_in_three_actions(office: Serving, page: Page) -> None:
    await log_in(page, office.url, "biuro", OFFICE)
    scripted = await page.evaluate("document.querySelector('#search').getAttribute('role') === 'combobox'")
    search = page.locator("#search")
    if scripted:
        await page.keyboard.press("/")
    else:
        await search.focus()
    await expect(search).to_be_focused()
    await page.keyboard.type("Ordyancka")  # ulica Ordynacka
    if scripted:
        hit = page.get_by_role("option", name="Stanisław Wójcik")
        await expect(hit).to_contain_text("Zaległość")
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    main = page.get_by_role("main")
    await expect(main.get_by_role("heading", level=1)).to_contain_text("Stanisław Wójcik")
    await expect(main).to_contain_text("37,62")


async def test_arrows_choose_and_escape_folds(office: Serving, page: Page) -> None:
    await log_in(page, office.url, "biuro", OFFICE)
    if not await page.evaluate("document.querySelector('#search').getAttribute('role') === 'combobox'"):
        await page.goto(f"{office.url}/admin/search?q=st")
        await expect(page.get_by_role("main").get_by_role("link").first).to_be_visible()
        return
    search, hits = page.locator("#search"), page.locator("#search-hits")
    await page.keyboard.press("/")
    await page.keyboard.type("pa")
    await expect(hits).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await expect(search).to_have_attribute("aria-activedescendant", "hit-2")
    await page.keyboard.press("Escape")
    await expect(hits).to_be_hidden()
    await expect(search).to_have_attribute("aria-expanded", "false")

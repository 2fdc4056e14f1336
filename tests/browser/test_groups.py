"""«Building 5, arrears over 500»: made, opened again, exported; and a list kept as a view."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Demo

pytestmark = pytest.mark.browser


async def test_a_group_by_a_rule_is_made_opened_again_and_exported(demo: Demo, page: Page) -> None:
    await demo.log_in(page.context, "admin")
    name = f"Budynek 1, zaległości {page.context.browser and id(page)}"
    await page.goto(f"{demo.url}/admin/")
    await page.get_by_role("link", name="Grupy", exact=True).click()
    await page.get_by_role("link", name="Utwórz grupę").first.click()
    await page.get_by_label("Nazwa", exact=True).fill(name)
    await page.get_by_label("Budynek").fill("1")
    await page.locator("#f-field_a").select_option(label="Zaległości")
    await page.locator("#f-over_a").fill("pięćset")
    await page.get_by_role("button", name="Zapisz grupę").click()
    await expect(page.locator(".summary")).to_be_visible()
    await expect(page.locator("#f-over_a")).to_have_value("pięćset")
    await expect(page.get_by_label("Budynek")).to_have_value("1")
    await page.locator("#f-over_a").fill("5,00")
    await page.get_by_role("button", name="Zapisz grupę").click()
    main = page.get_by_role("main")
    await expect(main.get_by_role("heading", level=1)).to_contain_text(name)
    await expect(main).to_contain_text("Zaległości powyżej")

    # Opened again from the list, with everybody's arrears, and their sum.
    await page.get_by_role("link", name="Grupy", exact=True).click()
    await main.get_by_role("link", name=name).click()
    rows = await main.locator("tbody tr").count()
    assert rows >= 1
    await expect(main.locator("tfoot")).to_contain_text("zł")
    export = await main.get_by_role("link", name="Pobierz CSV").get_attribute("href")
    answer = await page.context.request.get(demo.url + (export or ""))
    lines = (await answer.text()).splitlines()
    assert len(lines) == rows + 1
    await page.get_by_role("link", name="Policz całą grupę").click()
    await expect(page.get_by_role("main")).to_contain_text(str(rows))


async def test_a_list_is_arranged_and_kept_as_a_view(demo: Demo, page: Page) -> None:
    await demo.log_in(page.context, "admin")
    await page.goto(f"{demo.url}/admin/customers?own=1")
    await page.get_by_label("Ulica zaczyna się od").fill("Lip")
    await page.get_by_role("button", name="Filtruj").click()
    await page.goto(f"{demo.url}/admin/customers")
    assert "street=Lip" in page.url, "the filter is remembered"
    await page.locator(".view-menu summary").click()
    await page.get_by_label("Nazwa widoku").fill("Lipowa")
    await page.get_by_role("button", name="Zachowaj widok").click()
    await expect(page.locator(".view-menu summary")).to_contain_text("Lipowa")
    await page.locator(".view-menu summary").click()
    await page.get_by_label("Telefon", exact=True).uncheck()
    await page.get_by_role("button", name="Pokaż tak").click()
    await expect(page.locator("thead")).not_to_contain_text("Telefon")
    await page.get_by_role("link", name="Wyczyść wszystkie").click()
    await page.goto(f"{demo.url}/admin/customers")
    assert page.url.endswith("/admin/customers")
    await page.locator(".view-menu summary").click()
    await page.get_by_role("link", name="Lipowa", exact=True).click()
    assert "street=Lip" in page.url
    await page.locator(".view-menu summary").click()
    await page.get_by_role("button", name="Usuń widok Lipowa").click()
    await expect(page.get_by_role("status")).to_contain_text("usunięty")

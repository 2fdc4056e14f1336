"""The product's main job on real data, in a real browser, by keyboard alone, with JavaScript and without.

A public database is imported, a customer logs in, sees what is owed and prints the order; the office enters a payment
and approves it; the customer owes less, the oldest charge paid first.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import CUSTOMER, OFFICE
from tests.processes import Serving

pytestmark = pytest.mark.browser


async def reach(page: Page, name: str, role: str = "link") -> None:
    """Tab until the named element has the focus: what cannot be reached by keyboard cannot be used."""
    wanted = page.get_by_role(role, name=name, exact=True).first  # pyright: ignore
    await expect(wanted).to_be_attached()
    element = await wanted.element_handle()
    assert element is not None
    for _step in range(120):
        if await element.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{role} «{name}» is out of the keyboard's reach on {page.url}")


async def enter(page: Page) -> None:
    """Press Enter and see the page that follows."""
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


async def press(page: Page, name: str, role: str = "link") -> None:
    await reach(page, name, role)
    await enter(page)


async def type_into(page: Page, label: str, text: str) -> None:
    await reach(page, label, "textbox")
    await page.keyboard.press("Control+A")
    await page.keyboard.type(text)


async def log_in(page: Page, url: str, login: str, password: str) -> None:
    await page.goto(f"{url}/login")
    await type_into(page, "Login", login)
    field = page.get_by_label("Hasło", exact=True)
    for _step in range(60):
        if await field.evaluate("element => element === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await page.keyboard.type(password)
    await enter(page)


async def test_the_main_job(office: Serving, page: Page, tmp_path: Path) -> None:
    # The customer sees what is owed.
    await log_in(page, office.url, "wojcik", CUSTOMER)
    await expect(page.get_by_role("main")).to_contain_text("37,62")
    await expect(page.get_by_text("Stanisław Wójcik").first).to_be_visible()

    # … and gets the order for it.
    await press(page, "Zapłać")
    await expect(page.get_by_role("main")).to_contain_text("37,62")
    await reach(page, "Wydrukuj polecenie przelewu (PDF)")
    printed = await page.evaluate("document.activeElement.href")
    pdf = await page.context.request.get(printed)
    assert pdf.headers["content-type"] == "application/pdf"
    (tmp_path / "order.pdf").write_bytes(await pdf.body())
    text = _text_of(tmp_path / "order.pdf")
    assert "37,62" in text
    assert "Stanisław Wójcik" in text
    await press(page, "Wyloguj się", "button")

    # The office enters a payment and approves it.
    await log_in(page, office.url, "biuro", OFFICE)
    await press(page, "Wprowadź wpłatę")
    await type_into(page, "Nr klienta", "49")
    await type_into(page, "Kwota", "20,00")
    await enter(page)
    await expect(page.get_by_role("main")).to_contain_text("20,00")
    await press(page, "Zatwierdź", "button")
    await expect(page.get_by_role("main")).to_contain_text("atwierdzon")
    await press(page, "Wyloguj się", "button")

    # The customer owes less; the oldest charge was paid first.
    await log_in(page, office.url, "wojcik", CUSTOMER)
    await expect(page.get_by_role("main")).to_contain_text("17,62")
    await press(page, "Rozliczenia")
    main = page.get_by_role("main")
    await expect(main).to_contain_text("17,62")
    await expect(main).to_contain_text("4,75")  # what is left of 8.91: 1.98 and 13.86 are paid whole, 4.16 of it


def _text_of(path: Path) -> str:
    import pdfplumber

    with pdfplumber.open(path) as document:
        return "\n".join(page.extract_text() or "" for page in document.pages)

"""From a file to balances and back without Python and TOML: profile, test, dry run, apply, history, roll back."""

from __future__ import annotations

import asyncpg
import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Demo

pytestmark = pytest.mark.browser

BALANCES = "select coalesce(json_agg(b.balance order by account_id)::text, '') from payments.account_balance b"


async def balances(demo: Demo) -> str:
    connection = await asyncpg.connect(demo.dsn)
    try:
        return await connection.fetchval(BALANCES)
    finally:
        await connection.close()


async def until(page: Page, words: str) -> None:
    """Look again, as a person without scripts does, until the page says so."""
    for _look in range(60):
        if await page.get_by_role("main").get_by_text(words).count():
            return
        await page.wait_for_timeout(500)
        await page.reload()
    await expect(page.get_by_role("main")).to_contain_text(words)


async def test_a_file_becomes_balances_and_is_taken_back(demo: Demo, page: Page) -> None:
    customer = demo.account("in arrears")["customer_no"]
    title = f"Pralnia {id(page)}"
    lines = [
        "Dokument;Klient;Data;Kwota",
        *(f"P/{number};{customer};2026-11-0{number};1{number},50" for number in (1, 2)),
    ]
    file = {"name": "pranie.csv", "mimeType": "text/csv", "buffer": "\n".join([*lines, "P/3;;2026-11-03;x"]).encode()}
    await demo.log_in(page.context, "admin")
    before = await balances(demo)

    # A profile, by choosing.
    await page.goto(f"{demo.url}/admin/imports")
    await page.get_by_role("link", name="Importuj dane").click()
    await page.get_by_role("link", name="Nowy profil").click()
    await page.get_by_role("link", name="Plik CSV").click()
    await page.get_by_label("Jak nazywasz to źródło?").fill(title)
    await page.get_by_label("Plik").set_input_files(file)  # pyright: ignore[reportArgumentType]
    await page.get_by_role("button", name="Dalej: kolumny").click()
    await page.get_by_label("to", exact=True).select_option("payments.charge")
    await page.get_by_role("button", name="Pokaż kolumny").click()
    await page.get_by_label("Kolumna, która odróżnia wiersze").select_option("Dokument")
    for field, column in (
        ("Numer klienta", "Klient"),
        ("Kwota", "Kwota"),
        ("Dokument", "Dokument"),
        ("issued_on", "Data"),
    ):
        place = page.locator("#f-c_issued_on") if field == "issued_on" else page.get_by_role("combobox", name=field)
        await place.last.select_option(column)
    await page.locator("input[name=v_due_days]").fill("14")
    await page.get_by_role("button", name="Zapisz kolumny").click()

    # Test.
    await page.get_by_role("link", name="Najpierw sprawdź").click()
    await page.get_by_role("button", name="Wczytaj pierwsze wiersze").click()
    await expect(page.get_by_role("main")).to_contain_text("Źródło odpowiada.")
    await expect(page.get_by_role("main")).to_contain_text("P/1")
    await page.get_by_role("link", name=title).click()

    # Dry run: too much of the file is wrong, so it stops; without the bad line it waits.
    await page.get_by_label("Plik").set_input_files(file)  # pyright: ignore[reportArgumentType]
    await page.get_by_role("button", name="Wczytaj i porównaj").click()
    await until(page, "zatrzymany")
    assert await balances(demo) == before
    await page.get_by_role("link", name="Wszystkie importy").click()
    await page.get_by_role("link", name="Importuj dane").click()
    await page.get_by_role("link", name=title).click()
    good = {**file, "buffer": "\n".join(lines).encode()}
    await page.get_by_label("Plik").set_input_files(good)  # pyright: ignore[reportArgumentType]
    await page.get_by_role("button", name="Wczytaj i porównaj").click()
    await until(page, "Wprowadź ten import")
    await expect(page.get_by_role("main")).to_contain_text("24,00")
    assert await balances(demo) == before

    # Apply.
    await page.get_by_role("button", name="Wprowadź ten import").click()
    await until(page, "wprowadzony")
    after = await balances(demo)
    assert after != before

    # History, and back.
    await page.get_by_role("link", name="Wszystkie importy").click()
    await page.get_by_role("link", name=title).first.click()
    await page.get_by_role("link", name="Wycofaj").click()
    await page.get_by_role("button", name="Wycofaj").click()
    await until(page, "wycofany")
    assert await balances(demo) == before
    demo.ebok("verify")

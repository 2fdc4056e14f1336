"""Data leaves the office: a clerk takes open items out as a spreadsheet, and the organisation moves whole.

By keyboard, with JavaScript and without; the new installation has the same balances, proved by ``ebok verify``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from python_calamine import CalamineWorkbook

from kernel.testing import memory_directory
from tests.browser.conftest import OFFICE, OWNER
from tests.browser.test_story import enter, log_in, press, reach
from tests.processes import Ebok, Serving

pytestmark = pytest.mark.browser


@pytest.fixture
def elsewhere() -> Iterator[Ebok]:
    """Another installation, with nothing in it."""
    directory = memory_directory("ebok-data-")
    yield Ebok(directory)
    shutil.rmtree(directory, ignore_errors=True)


async def password(page: Page, text: str) -> None:
    field = page.locator("input[type=password]")
    for _step in range(80):
        if await field.evaluate("element => element === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await page.keyboard.type(text)


async def downloaded(page: Page, into: Path) -> Path:
    """Press «Pobierz» once the file is ready."""
    badge = page.get_by_role("heading", level=1)
    for _look in range(60):
        if "Gotowy" in (await badge.text_content() or ""):
            break
        await page.wait_for_timeout(500)
        await page.reload()
    await reach(page, "Pobierz", "button")
    async with page.expect_download() as waiting:
        await page.keyboard.press("Enter")
    file = into / (await waiting.value).suggested_filename
    await (await waiting.value).save_as(file)
    return file


async def test_data_leaves_the_office(office: Serving, ebok: Ebok, elsewhere: Ebok, page: Page, tmp_path: Path) -> None:
    # A clerk takes the open items out as a spreadsheet.
    await log_in(page, office.url, "biuro", OFFICE)
    await press(page, "Eksporty")
    await expect(page.get_by_role("main")).not_to_contain_text("Archiwum organizacji")
    await page.get_by_role("link", name="Pozycje otwarte").focus()
    await enter(page)
    await press(page, "Utwórz plik", "button")
    file = await downloaded(page, tmp_path)
    assert file.name.startswith("payments-open-items-")
    heading, *rows = CalamineWorkbook.from_path(file).get_sheet_by_index(0).to_python()
    column = heading.index("Pozostało do zapłaty")
    assert len(rows) == 412
    assert round(sum(float(str(row[column])) for row in rows) * 100) == 232_860
    await press(page, "Wyloguj się", "button")

    # The superadministrator has the archive of the organisation made, in the announced mode and with the password.
    await log_in(page, office.url, "szefowa", OWNER)
    await page.goto(f"{office.url}/admin/superadmin-mode")
    await password(page, OWNER)
    await enter(page)
    await page.goto(f"{office.url}/admin/exports")
    await page.get_by_role("link", name="Archiwum organizacji").focus()
    await enter(page)
    await reach(page, "Z hasłami i tokenami API", "checkbox")
    await page.keyboard.press("Space")
    await password(page, OWNER)
    await enter(page)
    archive = await downloaded(page, tmp_path)

    # Another installation takes it in, and goes on where this one stands.
    await elsewhere.ok("migrate")
    await elsewhere.ok("import", "archive", str(archive))
    assert all(check["ok"] for check in json.loads((await elsewhere.ok("verify", "--json")).out))
    assert (await elsewhere.run("import", "archive", str(archive))).code == 1, "it is not empty any more"
    there, here = [
        (await one.ok("export", "balances", "--format", "json", "--as-of", "2026-11-24")).out
        for one in (ebok, elsewhere)
    ]
    assert json.loads(here) == json.loads(there) != []
    async with elsewhere.serving() as moved:
        await page.context.clear_cookies()
        await log_in(page, moved.url, "biuro", OFFICE)
        await expect(page.get_by_text("Eksporty").first).to_be_visible()

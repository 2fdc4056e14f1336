"""A real Chromium: Debian's, driven by Playwright, seeing nothing but this machine."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import missing

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium without a window."""
    from playwright.async_api import async_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing("Chromium")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield launched
        await launched.close()


@pytest.fixture(params=[True, False], ids=["javascript", "no-javascript"])
async def page(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A Polish desktop page, with JavaScript and without; a complaint of the console fails the test."""
    context = await new_context(browser, java_script_enabled=request.param)
    opened = await context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    await context.close()
    assert not [text for text in complaints if "status of 4" not in text], complaints


async def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A fresh browser profile in Poland."""
    options.setdefault("viewport", {"width": 1280, "height": 900})
    return await browser.new_context(locale="pl-PL", timezone_id="Europe/Warsaw", **options)

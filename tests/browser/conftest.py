"""A real Chromium: Debian's, driven by Playwright, seeing nothing but this machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from kernel.testing import memory_directory
from tests.conftest import missing
from tests.processes import ROOT, Ebok, Serving

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

PROFILE = ROOT / "docs" / "examples" / "chinook.toml"
CUSTOMER, OFFICE, OWNER = "kasztanowa aleja 7", "spokojny poranek w biurze", "zielona herbata w kuchni"
"""The passwords of ``wojcik``, a customer, ``biuro``, an administrator, and ``szefowa``, a superadministrator."""

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
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=20_000)  # a machine that runs all tests at once is slow to answer
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


@dataclass(frozen=True, slots=True)
class Demo:
    """The demonstration organisation as it is served: its address, its logins, its database."""

    url: str
    dsn: str
    accounts: tuple[dict[str, str], ...]
    environment: dict[str, str]

    def account(self, who: str) -> dict[str, str]:
        """The login of a role (``admin``), or of the customer with a note (``in arrears``)."""
        return next(one for one in self.accounts if who in (one["role"], one["note"]))

    def ebok(self, *arguments: str) -> str:
        """What a command says about this organisation."""
        command = [sys.executable, "-m", "kernel", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout

    async def log_in(self, context: BrowserContext, who: str) -> None:
        """Give a browser the session of ``who``."""
        account = self.account(who)
        answer = await context.request.post(
            f"{self.url}/login",
            form={"login": account["login"], "password": account["password"]},
            headers={"Origin": self.url},
            max_redirects=0,
        )
        assert answer.status == 303, await answer.text()


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """A small demonstration organisation, served for all tests of a module."""
    directory = memory_directory("ebok-demo-")
    plain = {key: value for key, value in os.environ.items() if not key.startswith("EBOK_")}
    environment = {**plain, "EBOK_DATA_DIR": str(directory)}
    accounts = directory / "accounts.json"
    command = [sys.executable, "-m", "kernel", "demo", "--customers", "60", "--months", "8"]
    with (directory / "log").open("w") as log:
        served = subprocess.Popen(
            [*command, "--port", str(_free_port()), "--accounts-file", str(accounts)],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        content = _served(served, accounts, directory / "log")
        yield Demo(content["base_url"], content["dsn"], tuple(content["accounts"]), environment)
    finally:
        served.terminate()
        served.wait(60)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def prepared() -> Iterator[Path]:
    """The data directory of an office whose customers and charges were imported a moment ago, with its people."""
    directory = memory_directory("ebok-office-")
    asyncio.run(_prepare(Ebok(directory)))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


async def _prepare(ebok: Ebok) -> None:
    await ebok.ok("migrate")
    run = await ebok.ok("import", "run", str(PROFILE), "--approve", "--json")
    entities = {entity["record"]: entity for entity in json.loads(run.out)["entities"]}
    assert (entities["customers.customer"]["new"], entities["payments.charge"]["new"]) == (59, 412)
    assert entities["payments.charge"]["sums"]["new"] == 232_860
    for login, role, password in (("biuro", "admin", OFFICE), ("szefowa", "superadmin", OWNER)):
        await ebok.ok("user", "add", login, "--role", role, "--password-stdin", stdin=password)
    await ebok.ok("user", "add", "wojcik", "--role", "customer", "--customer", "49", "--password-stdin", stdin=CUSTOMER)


@pytest.fixture
async def office(prepared: Path, ebok: Ebok) -> AsyncIterator[Serving]:
    """That office, served for one test alone."""
    await asyncio.to_thread(subprocess.run, ["cp", "-a", f"{prepared}/.", ebok.data_dir], check=True)
    async with ebok.serving() as serving:
        yield serving


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _served(process: subprocess.Popen[bytes], accounts: Path, log: Path) -> dict[str, Any]:
    for _attempt in range(1200):
        assert process.poll() is None, log.read_text()
        if accounts.exists():
            content = json.loads(accounts.read_text(encoding="utf-8"))
            with suppress(OSError), socket.create_connection(("127.0.0.1", URL(content["base_url"]).port or 80)):
                return content
        time.sleep(0.1)
    raise AssertionError(log.read_text())


async def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A fresh browser profile in Poland."""
    options.setdefault("viewport", {"width": 1280, "height": 900})
    return await browser.new_context(locale="pl-PL", timezone_id="Europe/Warsaw", **options)

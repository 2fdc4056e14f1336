"""Pictures of the portal and the console for the documentation, made from the demonstration organisation.

``make screenshots`` writes them into docs/pictures (``ARGS="--into DIR --all"`` for every page, width and theme).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientError, ClientSession
from playwright.async_api import Browser, async_playwright

ROOT = Path(__file__).parents[1]
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
DESKTOP, PHONE = (1280, 860), (360, 740)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: whose page it is, where, how wide, in which theme."""

    name: str
    who: str
    path: str
    size: tuple[int, int] = DESKTOP
    theme: str = "light"
    language: str = "pl"
    text_size: int | None = None
    whole: bool = False


BEST = (
    Shot("portal", "in arrears", "/"),
    Shot("portal-phone", "in arrears", "/", PHONE),
    Shot("order", "in arrears", "/payment-order", (1280, 1040)),
    Shot("order-pdf", "in arrears", "/payment-order.pdf"),
    Shot("console", "admin", "/admin/"),
    Shot("customer", "admin", "/admin/customers/1"),
    Shot("payments", "admin", "/admin/payments"),
    Shot("schedule", "admin", "/admin/charging/schedules/1"),
    Shot("run", "admin", "/admin/charging/runs/1", (1280, 1040)),
    Shot("incoming", "admin", "/admin/suspense"),
    Shot("account", "admin", "/admin/accounts/36"),
    Shot("why", "admin", "/admin/accounts/36/why"),
    Shot("interest-account", "admin", "/admin/accounts/36/interest"),
    Shot("months", "admin", "/admin/books/1/months", (1280, 640)),
)
PAGES = {
    "in arrears": (
        "/",
        "/balance",
        "/payment-order",
        "/account",
        "/account/second-factor",
        "/preferences",
        "/accessibility",
        "/admin/",
    ),
    "in credit": ("/",),
    "settled": ("/",),
    "admin": (
        "/admin/",
        "/admin/customers",
        "/admin/customers/1",
        "/admin/customers/add",
        "/admin/customers/1/change",
        "/admin/customers/1/close",
        "/admin/payments",
        "/admin/payments/new",
        "/admin/imports",
        "/admin/entries/100",
        "/admin/entries/100/reverse",
        "/admin/users",
        "/admin/users/add",
        "/admin/users/3",
        "/admin/audit",
        "/account",
        "/account/sessions",
        "/admin/plugins",
        "/admin/jobs",
        "/admin/search?q=now",
    ),
    "superadmin": ("/admin/superadmin-mode", "/admin/settings", "/admin/settings/payments"),
    "nobody": ("/login", "/reset", "/nowhere"),
}


def everything() -> list[Shot]:
    """Every page of PAGES on a desktop and a phone, and some in other themes and sizes."""
    shots: list[Shot] = []
    for who, paths in PAGES.items():
        for path in paths:
            name = f"{who}{path}".replace("/", "_").replace("?", "-").replace("=", "-").replace(" ", "")
            shots += [
                Shot(f"{name}.desktop", who, path, whole=True),
                Shot(f"{name}.phone", who, path, PHONE, whole=True),
            ]
    for theme in ("dark", "contrast"):
        shots += [
            Shot(f"home.{theme}", "in arrears", "/", theme=theme),
            Shot(f"office.{theme}", "admin", "/admin/payments", theme=theme),
        ]
    shots.append(Shot("home.large", "in arrears", "/", PHONE, text_size=2, whole=True))
    shots.append(Shot("home.en", "in arrears", "/", language="en"))
    return shots


async def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--all", action="store_true", help="every page, not only the best")
    parser.add_argument("--only", help="names that contain this")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    shots = [shot for shot in (everything() if options.all else BEST) if not options.only or options.only in shot.name]
    data = _directory()
    accounts_file = data / "accounts.json"
    office = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kernel",
        "demo",
        "--data-dir",
        str(data),
        "--port",
        "8790",
        "--accounts-file",
        str(accounts_file),
        "--customers",
        "120",
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        accounts = await _accounts(accounts_file)
        chromium = shutil.which("chromium") or os.environ.get("CHROMIUM", "chromium")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            sessions = {who: await _session(browser, accounts, who) for who in {shot.who for shot in shots}}
            for shot in shots:
                await _picture(browser, accounts["base_url"], sessions[shot.who], shot, options.into)
            await browser.close()
    finally:
        office.terminate()
        await office.wait()
        shutil.rmtree(data, ignore_errors=True)


def _directory() -> Path:
    """A place of its own, which the database's system user may enter."""
    data = Path(tempfile.mkdtemp(prefix="ebok-pictures-", dir="/tmp"))
    data.chmod(0o755)
    return data


def _read(file: Path) -> dict | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


async def _accounts(file: Path) -> dict:
    for _attempt in range(600):
        if accounts := _read(file):
            try:
                async with ClientSession() as http, http.get(f"{accounts['base_url']}/readyz"):
                    return accounts
            except ClientError:
                pass
        await asyncio.sleep(0.1)
    raise SystemExit("the demonstration did not start")


async def _session(browser: Browser, accounts: dict, who: str) -> list:
    if who == "nobody":
        return []
    account = next(account for account in accounts["accounts"] if who in (account["role"], account["note"]))
    context = await browser.new_context(locale="pl-PL")
    page = await context.new_page()
    await page.goto(f"{accounts['base_url']}/login")
    await page.locator("input[name=login]").fill(account["login"])
    await page.locator("input[name=password]").fill(account["password"])
    await page.keyboard.press("Enter")
    await page.wait_for_url(lambda url: "/login" not in url)
    cookies = await context.cookies()
    await context.close()
    return [cookie for cookie in cookies if cookie["name"] != "ebok_view"]


async def _picture(browser: Browser, base_url: str, cookies: list, shot: Shot, into: Path) -> None:
    width, height = shot.size
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        locale="pl-PL",
        color_scheme="dark" if shot.theme == "dark" else "light",
    )
    size = "" if shot.text_size is None else shot.text_size
    view = f"{size}.{shot.theme}.{shot.language}.1"
    await context.add_cookies([*cookies, {"name": "ebok_view", "value": view, "url": base_url}])
    picture = into / f"{shot.name}.png"
    if shot.path.endswith(".pdf"):
        answer = await context.request.get(base_url + shot.path)
        _paper(await answer.body(), picture)
        await context.close()
        return
    page = await context.new_page()
    await page.goto(base_url + shot.path)
    if shot.whole:  # a tall window, not a stitched page: what sticks to its edge stays there
        height = await page.evaluate("document.documentElement.scrollHeight")
        await page.set_viewport_size({"width": width, "height": min(height, 6000)})
    await page.screenshot(path=picture)
    await context.close()


def _paper(pdf: bytes, picture: Path) -> None:
    """The first sheet of a document as a picture."""
    from pypdfium2 import PdfDocument

    with PdfDocument(pdf) as document:
        document[0].render(scale=1.4).to_pil().save(picture, optimize=True)


if __name__ == "__main__":
    asyncio.run(main())

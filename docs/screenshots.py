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
    text_size: int = 0
    whole: bool = False


BEST = (
    Shot("portal", "arrears", "/"),
    Shot("portal-phone", "arrears", "/", PHONE),
    Shot("order", "arrears", "/payment-order"),
    Shot("console", "admin", "/admin/"),
    Shot("customer", "admin", "/admin/customers/1"),
    Shot("payments", "admin", "/admin/payments"),
)
PAGES = {
    "arrears": ("/", "/balance", "/payment-order", "/account", "/accessibility"),
    "in credit": ("/",),
    "settled": ("/",),
    "admin": (
        "/admin/",
        "/admin/customers",
        "/admin/customers/1",
        "/admin/customers/new",
        "/admin/payments",
        "/admin/payments/new",
        "/admin/imports",
        "/admin/users",
        "/admin/audit",
        "/admin/settings",
        "/admin/settings/payments",
        "/admin/plugins",
        "/admin/jobs",
        "/admin/search?q=now",
    ),
    "superadmin": ("/admin/", "/admin/superadmin-mode"),
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
            Shot(f"home.{theme}", "arrears", "/", theme=theme),
            Shot(f"office.{theme}", "admin", "/admin/payments", theme=theme),
        ]
    shots.append(Shot("home.large", "arrears", "/", PHONE, text_size=2, whole=True))
    shots.append(Shot("home.en", "arrears", "/", language="en"))
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
    data = Path(tempfile.mkdtemp(prefix="ebok-pictures-", dir="/tmp"))  # noqa: S108
    data.chmod(0o755)
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


async def _accounts(file: Path) -> dict:
    for _attempt in range(600):
        if file.exists():
            accounts = json.loads(file.read_text(encoding="utf-8"))
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
    account = next(a for a in accounts["accounts"] if who in (a["role"], a.get("note")) or who in a.get("note", ""))
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
    view = f"{shot.text_size}.{shot.theme}.{shot.language}.1"
    await context.add_cookies([*cookies, {"name": "ebok_view", "value": view, "url": base_url}])
    page = await context.new_page()
    await page.goto(base_url + shot.path)
    await page.screenshot(path=into / f"{shot.name}.png", full_page=shot.whole)
    await context.close()


if __name__ == "__main__":
    asyncio.run(main())

"""Somebody else's plugin: in place during a test, and from its own wheel in a clean environment with ours."""

import json
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar

from kernel.db.pool import Stamp
from kernel.people import store as people
from kernel.people.model import CustomerData
from kernel.plugin.permissions import Role
from kernel.testing import Office
from tests.processes import Ebok

ROOT = Path(__file__).parents[2]
READINGS = ROOT / "tests" / "plugins_for_tests" / "readings"
sys.path.insert(0, str(READINGS))
import ebok_readings  # noqa: E402

PASSWORD = "zielona-herbata-w-kuchni"
ADD_STAFF = ("user", "add", "biuro", "--role", "admin", "--name", "Biuro", "--password-stdin")
ADD_CUSTOMER = ("user", "add", "anna", "--role", "customer", "--customer", "1", "--password-stdin")


@pytest.mark.ebok(modules={"readings": ebok_readings})
async def test_a_foreign_plugin_works_like_ours(office: Office) -> None:
    async with office.site.db.transaction(Stamp("test")) as conn:
        customer = await people.add_customer(conn, CustomerData(customer_no="1", name="Anna Nowak"))
    anna = await office.visitor(Role.CUSTOMER, customer)
    assert "Odczyty licznika" in (await anna.get("/")).text, "its card and its place in the navigation"
    assert (await anna.get("/readings")).status == 200

    sent = await anna.post("/readings", {"taken": "24.11.2026", "state": "12,5"})
    assert (sent.status, sent.headers["Location"]) == (303, "/readings")
    page = await anna.get("/readings")
    assert "Mamy Twój odczyt" in page.text
    assert "12.500" in page.text

    lower = await anna.post("/readings", {"taken": "25.11.2026", "state": "7"})
    assert lower.status == 422
    assert "Poprzedni odczyt był wyższy" in lower.text
    assert 'value="7"' in lower.text, "what was typed is kept"
    assert (await anna.post("/readings", {"taken": "31.02.2026", "state": "1e3"})).status == 422
    assert (await (await office.visitor(Role.ADMIN)).get("/readings")).status == 403


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """The interpreter of an environment that holds our wheel and a foreign one, and nothing of the source tree."""
    for source in (ROOT, READINGS):
        pip("wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source)
    wheels = sorted(tmp_path.glob("*.whl"))
    assert len(wheels) == 2
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip("--python", python, "install", "--no-deps", *wheels)
    # The locked dependencies are those of this environment; our own editable install is not among them.
    site_packages = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    (site_packages / "dependencies.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n", encoding="utf-8")
    where = subprocess.run(
        [python, "-c", "import kernel; print(kernel.__file__)"], cwd=tmp_path, capture_output=True, check=True
    )
    assert str(tmp_path) in where.stdout.decode()
    return python


def pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True, capture_output=True)


@pytest.mark.slow
async def test_wheels_in_a_clean_environment(clean: Path, tmp_path: Path, ebok: Ebok) -> None:
    """Our wheel and a foreign one, from nothing: migrate, add a customer's login, serve, and send a reading."""
    (tmp_path / "ebok.toml").write_text('plugins = ["customers", "readings"]\n', encoding="utf-8")
    installed = replace(ebok, python=clean, home=tmp_path)
    routes = json.loads((await installed.ok("routes", "--json")).out)
    assert {"readings.form", "customers.list", "kernel.login"} <= {route["name"] for route in routes}

    await installed.ok("migrate")
    await installed.ok(*ADD_STAFF, stdin=f"{PASSWORD}\n")
    async with installed.serving() as office:
        async with ClientSession(cookie_jar=CookieJar(unsafe=True), headers={"Origin": office.url}) as browser:
            async with browser.post(f"{office.url}/login", data={"login": "biuro", "password": PASSWORD}) as console:
                assert console.status == 200
            form = {"customer_no": "1", "kind": "person", "name": "Anna Nowak"}
            async with browser.post(f"{office.url}/admin/customers/add", data=form) as added:
                assert "Anna Nowak" in await added.text()
        await installed.ok(*ADD_CUSTOMER, stdin=f"{PASSWORD}\n")
        async with ClientSession(cookie_jar=CookieJar(unsafe=True), headers={"Origin": office.url}) as browser:
            async with browser.post(f"{office.url}/login", data={"login": "anna", "password": PASSWORD}) as home:
                assert "Odczyty licznika" in await home.text(), "its card, in its own Polish"
            sent = {"taken": "24.10.2026", "state": "12,5"}
            async with browser.post(f"{office.url}/readings", data=sent) as page:
                assert "12.500" in await page.text()

"""Somebody else's plugin: in place during a test, and from its own wheel in a clean environment with ours."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from kernel.db.pool import Stamp
from kernel.people import store as people
from kernel.people.model import CustomerData
from kernel.plugin.permissions import Role
from kernel.testing import Office

ROOT = Path(__file__).parents[2]
READINGS = ROOT / "tests" / "plugins_for_tests" / "readings"
sys.path.insert(0, str(READINGS))
import ebok_readings  # noqa: E402


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


@pytest.mark.slow
def test_wheels_in_a_clean_environment(tmp_path: Path) -> None:
    """Our wheel and a foreign one, installed side by side without the source tree, migrate and list their routes."""
    for source in (ROOT, READINGS):
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "wheel",
                "--quiet",
                "--no-deps",
                "--no-build-isolation",
                "-w",
                tmp_path,
                source,
            ],
            check=True,
            capture_output=True,
        )
    wheels = sorted(tmp_path.glob("*.whl"))
    assert len(wheels) == 2
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    clean = tmp_path / "venv" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", clean, "install", "--quiet", "--no-deps", *wheels],
        check=True,
        capture_output=True,
    )
    # The locked dependencies are those of this environment; our own editable install is not among them.
    site_packages = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    (site_packages / "dependencies.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n", encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("EBOK_", "PYTHON"))}

    def ebok(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from kernel.cli import main; sys.exit(main())"
        return subprocess.run(
            [clean, "-c", code, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    where = subprocess.run(
        [clean, "-c", "import kernel; print(kernel.__file__)"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(tmp_path) in where.stdout
    (tmp_path / "ebok.toml").write_text('plugins = ["customers", "readings"]\n', encoding="utf-8")
    routes = ebok("routes", "--json")
    assert routes.returncode == 0, routes.stderr
    assert {"readings.form", "customers.list", "kernel.login"} <= {route["name"] for route in json.loads(routes.stdout)}

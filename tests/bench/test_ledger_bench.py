"""The bench of the ledger runs: everything it compares gives the same figures, and the filled ledger proves right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processor time is read from /proc")


def test_a_small_ledger_is_filled_proved_and_compared_with_bare_sql(tmp_path: Path) -> None:
    measured = tmp_path / "bench.json"
    sizes = ["--accounts", "300", "--entries", "12", "--rounds", "1", "--payments", "4"]
    bulk = ["--bulk", "300", "--bulk-rounds", "1"]
    run = subprocess.run(
        [sys.executable, "-m", "bench.ledger", *sizes, *bulk, "--json", str(measured)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(measured.read_text())
    assert found["verify"]["code"] == 0, found["verify"]["said"]
    assert {one["what"]: all(r["done"] for r in one["bare"] + one["product"]) for one in found["compared"]} == {
        "arrears of everybody with ageing": True,
        "arrears of everybody 60 days ago": True,
        "one balance read": True,
        "approving one payment, 8 connections": True,
        "entering and approving one through the product's pool": True,
        "approving 300 payments at once": True,
    }

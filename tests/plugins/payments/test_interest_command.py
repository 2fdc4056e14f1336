"""``ebok interest``: the golden vectors from the command line, by the rates the database is delivered with."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from kernel import Site
from plugins.payments.interest import commands

pytestmark = pytest.mark.ebok(plugins=["payments"])


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for argument in commands.ARGUMENTS:
        parser.add_argument(*argument.flags, **argument.options)
    return parser.parse_args(words)


async def told(site: Site, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert await commands.run(site, parsed(*words, "--json")) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "grosze", "days"),
    [
        pytest.param("--principal 1000.00 --due 2024-03-11 --as-of 2024-04-10", 925, [30], id="V1"),
        pytest.param("--principal 1000,00 --due 31.08.2023 --as-of 31.10.2023", 1916, [6, 28, 27], id="V2"),
        pytest.param("--principal 500 --due 2024-06-15 --as-of 2024-06-20", 46, [3], id="V3"),
        pytest.param("--principal 500 --due 2025-12-24 --as-of 2026-01-05 --rate 10,00", 96, [7], id="V4"),
        pytest.param(
            "--principal 1200 --due 2024-01-10 --as-of 2024-03-31 --paid 2024-02-09:700", 1896, [30, 51], id="V5"
        ),
        pytest.param(
            "--principal 1200 --due 2024-01-10 --as-of 2024-03-31 --paid 2024-02-09:300 --paid 09.02.2024:400,00",
            1896,
            [30, 51],
            id="V5-in-two",
        ),
        pytest.param("--principal 100 --due 2024-01-10 --as-of 2024-01-10 --paid 2024-01-10:100", 0, [], id="V6"),
        pytest.param(
            "--principal 863.40 --due 2025-04-15 --as-of 2025-06-30 --paid 2025-06-02:863.40", 1247, [22, 26], id="V7"
        ),
        pytest.param("--principal 12.34 --due 2024-01-10 --as-of 2024-01-13", 1, [3], id="V8"),
        pytest.param("--principal 1000 --due 2025-09-30 --as-of 2025-11-30", 1660, [8, 28, 25], id="V9"),
        pytest.param("--principal 1000 --due 2026-06-30 --as-of 2026-07-30 --regime public", 0, [30], id="V10-30"),
        pytest.param("--principal 1000 --due 2026-06-30 --as-of 2026-07-31 --regime public", 900, [31], id="V10-31"),
        pytest.param("--principal 1000 --due 2025-06-30 --as-of 2025-07-30 --regime trade", 1253, [30], id="V11"),
        pytest.param("--principal 1000 --due 2025-06-30 --as-of 2025-07-30 --regime trade_medical", 1089, [30]),
        pytest.param(
            "--principal 1000 --due 2024-03-11 --as-of 2024-04-10 --regime contractual --rate 36.5", 1849, [30]
        ),
    ],
)
async def test_golden(site: Site, capsys: pytest.CaptureFixture[str], words: str, grosze: int, days: list[int]) -> None:
    answer = await told(site, capsys, *words.split())
    assert (answer["amount"], [line["days"] for line in answer["lines"]]) == (grosze, days)
    assert answer["days"] == sum(days)
    assert answer["amount_plain"] == f"{grosze // 100}.{grosze % 100:02d}"


async def test_people_read_the_derivation(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        await commands.run(site, parsed(*["--principal", "1000", "--due", "2024-03-11", "--as-of", "2024-04-10"])) == 0
    )
    out = capsys.readouterr().out.replace("\u00a0", " ")
    assert out == "12.03.2024–10.04.2024  1 000,00 zł × 11,25 % × 30 dni / 365\nOdsetki: 9,25 zł\n"


async def test_before_the_first_rate_is_refused_and_named(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--principal 1000 --due 2015-12-30 --as-of 2016-04-10"
    assert await commands.run(site, parsed(*words.split())) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "31 grudnia 2015" in captured.err.replace("\u00a0", " ")
    assert await commands.run(site, parsed("--principal", "1", "--due", "1950-01-02")) == 1


@pytest.mark.parametrize(
    "words",
    [
        "--principal 100 --due 2024-01-10 --paid 2024-01-11:60 --paid 2024-01-12:60",
        "--principal 100 --due 2024-01-10 --regime contractual",
        "--principal 100 --due 2024-01-10 --regime trade --rate 5",
    ],
)
async def test_arguments_that_contradict_each_other(site: Site, capsys: pytest.CaptureFixture[str], words: str) -> None:
    assert await commands.run(site, parsed(*words.split())) == 2
    assert capsys.readouterr().err.startswith("ebok: ")


@pytest.mark.parametrize(
    "words",
    [
        "--due 2024-01-10",
        "--principal 1e3 --due 2024-01-10",
        "--principal 10,005 --due 2024-01-10",
        "--principal 100 --due 2024-02-30",
        "--principal 100 --due 2024-01-10 --paid 2024-01-11",
        "--principal 100 --due 2024-01-10 --regime nothing",
        "--principal 100 --due 2024-01-10 --rate 101",
    ],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed(*words.split())
    assert stopped.value.code == 2

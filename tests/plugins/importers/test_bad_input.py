"""What an import does with sources that break, change or hold nonsense: a clear reason, and nothing half done."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from kernel import Connection, Site
from plugins.importers import commands, store
from plugins.importers.model import KEPT_OF_A_KIND
from plugins.importers.mysql import reading
from tests.mariadb import PASSWORD, MariaDB, mariadb

pytestmark = pytest.mark.ebok(plugins=["customers", "payments", "importers", "csv", "mysql"])

ENTITIES = """
[[entity]]
record = "customers.customer"
table = "klienci"
key = "nr"

[entity.fields]
customer_no = "nr"
name = "nazwa"

[[entity]]
record = "payments.charge"
table = "naliczenia"
key = "nr"

[entity.fields]
customer_no = "klient"
issued_on = "wystawiono"
due_on = "termin"
due_days = { value = 14 }
amount = "kwota"
"""
TABLES = ("kernel.customer", "payments.entry", "payments.account", "importers.applied_row", "importers.staged_row")


async def ebok(site: Site, capsys: pytest.CaptureFixture[str], profile: Path, **options: bool) -> Any:
    """Run ``ebok import run --approve``; the exit code and what it printed."""
    arguments = argparse.Namespace(profile=profile, json=True, **({"dry_run": False, "approve": True} | options))
    code = await commands.run(site, arguments)
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else printed.err


def written(directory: Path, source: str, **limits: int) -> Path:
    """A profile with this source."""
    head = "\n".join(["[profile]", 'name = "test"', 'title = "Test"', *(f"{key} = {n}" for key, n in limits.items())])
    path = directory / "profile.toml"
    path.write_text(f"{head}\n\n[source]\n{source}\n{ENTITIES}", encoding="utf-8")
    return path


def from_csv(directory: Path, charges: Iterable[str], customers: str = "K1;Żak\nK2;Łoś\n", **limits: int) -> Path:
    """A profile that reads these rows of charges: number, customer, issue, due date, amount."""
    (directory / "klienci.csv").write_text("nr;nazwa\n" + customers, encoding="utf-8")
    lines = "".join(f"{line}\n" for line in ("nr;klient;wystawiono;termin;kwota", *charges))
    (directory / "naliczenia.csv").write_text(lines, encoding="utf-8")
    return written(directory, 'kind = "csv"\npath = "."', **limits)


def reasons(data: Any) -> dict[str, list[str]]:
    """Key of a wrong row → the names of its wrong fields."""
    return {bad["key"]: [why["field"] for why in bad["reasons"]] for bad in data["entities"][1]["examples"]}


async def nothing_is_there(conn: Connection) -> None:
    for table in TABLES:
        assert await conn.fetchval(f"select count(*) from {table}") == 0, table  # noqa: S608


async def test_a_connection_lost_in_the_middle(
    site: Site, conn: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with mariadb() as server:
        server.run(
            "create database office character set utf8mb4; use office;"
            "create table klienci (nr int primary key, nazwa varchar(20)); insert into klienci values (1, 'Żak');"
            "create table naliczenia (nr int primary key, klient int, wystawiono date, termin date, kwota decimal(9,2),"
            " opis varchar(500));"
            "insert into naliczenia select seq, 1, '2026-01-01', null, 1, repeat('x', 500) from seq_1_to_100000"
        )
        profile = written(tmp_path, mysql_source(server))
        calls: list[int] = []
        real = reading._next

        def broken(*given: Any) -> Any:
            calls.append(1)
            if len(calls) == 10:
                server.kill()
            return real(*given)

        monkeypatch.setattr(reading, "_next", broken)
        code, message = await ebok(site, capsys, profile)
    assert code == 1
    assert "was lost. Nothing was imported." in message
    await nothing_is_there(conn)
    assert await conn.fetchval("select state from importers.run") == "failed"


def mysql_source(server: MariaDB) -> str:
    password = json.dumps(PASSWORD, ensure_ascii=False)
    return f'kind = "mysql"\nport = {server.port}\nuser = "root"\npassword = {password}\ndatabase = "office"'


async def test_columns_that_changed(
    site: Site, conn: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = from_csv(tmp_path, ["1;K1;2026-01-01;2026-01-15;10,00"])
    assert (await ebok(site, capsys, profile))[0] == 0
    charges = tmp_path / "naliczenia.csv"
    charges.write_text(charges.read_text(encoding="utf-8").replace("kwota", "wartosc"), encoding="utf-8")
    code, message = await ebok(site, capsys, profile)
    assert code == 1
    for word in ("amount", "kwota", "wartosc"):
        assert word in message
    assert await conn.fetchval("select count(*) from payments.entry") == 1


async def test_a_file_cut_off_undoes_nothing(
    site: Site, conn: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = from_csv(tmp_path, [f"{n};K1;2026-01-01;2026-01-15;10,00" for n in range(100)])
    assert (await ebok(site, capsys, profile))[0] == 0
    charges = tmp_path / "naliczenia.csv"
    charges.write_bytes(charges.read_bytes()[:-9])
    code, message = await ebok(site, capsys, profile)
    assert (code, "cut off" in message) == (1, True)
    assert await conn.fetchval("select count(*) from payments.entry where kind = 'reversal'") == 0


async def test_dates_that_are_none_and_amounts_as_people_write_them(
    site: Site, conn: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = from_csv(
        tmp_path,
        [
            "none1;K1;2026-01-01;00.00.0000;1\u00a0234,56 zł",
            "none2;K1;2026-01-01;0000-00-00;1\u202f234,56",
            "none3;K1;01.02.2026;  .  .    ;7",
            "no issue;K1;0000-00-00;;7",
            "no day;K1;2026-02-30;;7",
            "no amount;K1;2026-01-01;;",
            "word;K1;2026-01-01;;siedem",
            "thirds;K1;2026-01-01;;1,234",
            "less;K1;2026-01-01;;-7",
            "science;K1;2026-01-01;;1e3",
        ],
        max_bad=90,
    )
    code, data = await ebok(site, capsys, profile)
    assert code == 0, data
    assert data["entities"][1]["new"] == 3
    assert reasons(data) == {
        "no issue": ["issued_on"],
        "no day": ["issued_on"],
        "no amount": ["amount"],
        "word": ["amount"],
        "thirds": ["amount"],
        "less": ["amount"],
        "science": ["amount"],
    }
    rows = await conn.fetch("select external_id, amount, due_on - issued_on as days from payments.entry")
    assert {row["external_id"]: (row["amount"], row["days"]) for row in rows} == {
        "none1": (123456, 14),
        "none2": (123456, 14),
        "none3": (700, 14),
    }


async def test_one_key_on_two_rows_and_a_line_in_another_encoding(
    site: Site, conn: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    charges = [*(f"{n};K1;2026-01-01;;1,00" for n in range(20)), "twice;K1;2026-01-01;;5", "twice;K2;2026-01-01;;6"]
    profile = from_csv(tmp_path, charges, max_bad=40)
    customers = "nr;nazwa\nK1;Żółć\nK2;Łąka\n".encode() + "K3;Gęś\n".encode("cp1250")
    (tmp_path / "klienci.csv").write_bytes(customers)
    code, data = await ebok(site, capsys, profile)
    assert code == 0, data
    assert [entity["new"] for entity in data["entities"]] == [2, 20]
    assert [entity["wrong"] for entity in data["entities"]] == [1, 2]
    [why] = data["entities"][0]["examples"][0]["reasons"]
    assert why["field"] == "name"
    names = await conn.fetch("select name from kernel.customer order by customer_no")
    assert [row["name"] for row in names] == ["Żółć", "Łąka"]


async def test_very_many_wrong_rows_stop_the_run(
    site: Site, conn: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = from_csv(tmp_path, [f"{n};K1;2026-13-01;;x" for n in range(30_000)], give_up_after=30_000)
    code, data = await ebok(site, capsys, profile)
    assert (code, data["state"], data["entities"][1]["wrong"]) == (1, "stopped", 30_000)
    assert "30000 of 30000" in data["reason"]
    assert await conn.fetchval("select count(*) from payments.entry") == 0


async def test_a_million_wrong_rows_are_given_up_early(
    site: Site, conn: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = from_csv(tmp_path, (f"{n};K{n % 3};2026-13-01;;x" for n in range(1_000_000)), max_bad=100)
    code, data = await ebok(site, capsys, profile)
    customers, charges = data["entities"]
    assert (code, data["state"]) == (1, "stopped")
    assert (charges["total"], charges["wrong"], charges["new"]) == (11_000, 11_000, 0)
    assert {error["field"]: error["count"] for error in charges["errors"]} == {"issued_on": 11_000, "amount": 11_000}
    assert "almost everything is wrong, 11000 of the first 11000 rows" in data["reason"]
    assert len(charges["examples"]) == store.EXAMPLES
    assert await conn.fetchval("select count(*) from importers.bad_row") == KEPT_OF_A_KIND
    assert customers["new"] == 2
    for table in TABLES:
        assert await conn.fetchval(f"select count(*) from {table}") == 0, table  # noqa: S608


async def test_good_rows_after_bad_ones_are_not_given_up(
    site: Site, conn: Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{n};K1;2026-01-01;;{'x' if n % 2 else 7}" for n in range(4_000)]
    code, data = await ebok(site, capsys, from_csv(tmp_path, rows, max_bad=60, give_up_after=100))
    assert (code, data["state"]) == (0, "applied"), data["reason"]
    assert (data["entities"][1]["new"], data["entities"][1]["wrong"]) == (2_000, 2_000)
    assert await conn.fetchval("select count(*) from payments.entry") == 2_000

"""The sample shop from end to end: its profile, customers and charges, and what happens when the source changes."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import xlsxwriter

from kernel import Connection, Money, Site
from kernel.db import migrate
from kernel.plugin.registry import Registry
from kernel.testing import Cluster, opened_site
from plugins.importers import commands
from plugins.payments import Ledger
from tests.mariadb import PASSWORD, MariaDB

pytestmark = pytest.mark.ebok(
    plugins=["customers", "payments", "importers", "sqlite", "csv", "mysql", "postgres", "xlsx"]
)

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "chinook.toml"
SCRIPTS = ROOT / "tests" / "data" / "chinook"
DATA = SCRIPTS / "Chinook_Sqlite.sqlite"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the database that a test may change, with the example's profile beside it."""
    shutil.copy(DATA, tmp_path / "shop.sqlite")
    text = EXAMPLE.read_text(encoding="utf-8")
    (tmp_path / "chinook.toml").write_text(
        text.replace("../../tests/data/chinook/Chinook_Sqlite.sqlite", "shop.sqlite")
    )
    return tmp_path / "shop.sqlite"


def change(source: Path, *statements: str) -> None:
    with sqlite3.connect(source) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


async def ebok(site: Site, capsys: pytest.CaptureFixture[str], what: str, profile: Path, **options: bool) -> Any:
    """Run ``ebok import what``; the exit code and what it printed as JSON."""
    arguments = argparse.Namespace(profile=profile, json=True, **({"dry_run": False, "approve": False} | options))
    code = await (commands.check if what == "check" else commands.run)(site, arguments)
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else printed.err


def counts(data: Any) -> list[tuple[int, int, int, int, int]]:
    return [
        tuple(entity[kind] for kind in ("new", "changed", "same", "missing", "wrong")) for entity in data["entities"]
    ]


async def position(site: Site, conn: Connection, customer_no: str) -> Any:
    customer = await conn.fetchval("select id from kernel.customer where customer_no = $1", customer_no)
    return await site.service(Ledger).position(conn, customer, site.clock.today())


async def test_the_whole_story(site: Site, conn: Connection, capsys: pytest.CaptureFixture[str]) -> None:
    code, data = await ebok(site, capsys, "check", EXAMPLE)
    assert (code, data["state"], counts(data)) == (0, "checked", [(59, 0, 0, 0, 0), (412, 0, 0, 0, 0)])
    assert await conn.fetchval("select count(*) from kernel.customer") == 0

    code, data = await ebok(site, capsys, "run", EXAMPLE, approve=True)
    assert (code, data["state"], counts(data)) == (0, "applied", [(59, 0, 0, 0, 0), (412, 0, 0, 0, 0)])
    assert data["entities"][1]["sums"]["new"] == 232860
    assert (await position(site, conn, "49")).to_pay == Money(3762)
    stanislaw = await conn.fetchrow("select * from kernel.customer where customer_no = '49'")
    assert stanislaw is not None
    assert stanislaw["name"] == "Stanisław Wójcik"
    assert stanislaw["email"] == "stanisław.wójcik@wp.pl"
    assert (stanislaw["country"], stanislaw["city"]) == ("PL", "Warsaw")
    assert (stanislaw["source"], stanislaw["external_id"]) == ("chinook", "49")
    found = await conn.fetchrow(
        "select count(*) as n, sum(amount)::bigint as total, min(due_on - issued_on) as days, min(approved_by) as who"
        " from payments.entry where state = 'approved'"
    )
    assert found is not None
    assert dict(found) == {"n": 412, "total": 232860, "days": 14, "who": "import"}

    code, data = await ebok(site, capsys, "run", EXAMPLE, approve=True)
    assert (code, data["state"], counts(data)) == (0, "applied", [(0, 0, 59, 0, 0), (0, 0, 412, 0, 0)])
    assert await conn.fetchval("select count(*) from payments.entry") == 412


async def test_changed_and_vanished_rows(
    site: Site, conn: Connection, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = source.parent / "chinook.toml"
    await ebok(site, capsys, "run", profile, approve=True)
    before = (await position(site, conn, "49")).balance
    change(
        source,
        "update Customer set Phone = null, LastName = 'Wójcik-Nowak' where CustomerId = 49",
        "update Invoice set Total = Total + 10 where InvoiceId = 64",
        "delete from Invoice where InvoiceId = 1",
        "update Invoice set Total = 0.1 + 0.2 where InvoiceId = 99",
    )
    code, data = await ebok(site, capsys, "run", profile, dry_run=True)
    assert (code, counts(data)) == (0, [(0, 1, 58, 0, 0), (0, 1, 409, 1, 1)])
    assert data["entities"][0]["fields"] == {"family_name": 1, "name": 1, "phone": 1}
    assert data["entities"][1]["sums"]["changed_after"] - data["entities"][1]["sums"]["changed_before"] == 1000
    [bad] = data["entities"][1]["examples"]
    assert bad["reasons"][0]["field"] == "amount"
    assert (await position(site, conn, "49")).balance == before

    code, data = await ebok(site, capsys, "run", profile, approve=True)
    assert (code, data["state"]) == (0, "applied")
    assert (await position(site, conn, "49")).balance == before + Money(1000)
    kinds = await conn.fetch("select kind, count(*) as n from payments.entry group by kind order by kind")
    assert {row["kind"]: row["n"] for row in kinds} == {"correction": 1, "fee": 412, "reversal": 1}
    changed = await conn.fetchrow("select name, phone from kernel.customer where customer_no = '49'")
    assert changed is not None
    assert dict(changed) == {"name": "Stanisław Wójcik-Nowak", "phone": ""}

    code, data = await ebok(site, capsys, "run", profile, approve=True)
    assert counts(data) == [(0, 0, 59, 0, 0), (0, 0, 410, 0, 1)]
    assert await conn.fetchval("select count(*) from payments.entry") == 414


async def test_a_row_that_comes_back_is_a_new_one(
    site: Site, conn: Connection, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = source.parent / "chinook.toml"
    await ebok(site, capsys, "run", profile, approve=True)
    before = (await position(site, conn, "49")).balance
    kept = "create table Kept as select * from Invoice where InvoiceId = 64"
    change(source, kept, "delete from Invoice where InvoiceId = 64")
    await ebok(site, capsys, "run", profile, approve=True)
    assert (await position(site, conn, "49")).balance < before
    change(source, "insert into Invoice select * from Kept")
    code, data = await ebok(site, capsys, "run", profile, approve=True)
    assert (code, counts(data)[1]) == (0, (1, 0, 411, 0, 0))
    assert (await position(site, conn, "49")).balance == before


async def test_half_a_file_changes_nothing(
    site: Site, conn: Connection, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = source.parent / "chinook.toml"
    await ebok(site, capsys, "run", profile, approve=True)
    change(source, "delete from Invoice where InvoiceId > 200")
    code, data = await ebok(site, capsys, "run", profile, approve=True)
    assert (code, data["state"], data["entities"][1]["missing"]) == (1, "stopped", 212)
    assert "212" in data["reason"]
    assert await conn.fetchval("select count(*) from payments.entry") == 412


async def test_an_unknown_customer_leaves_nothing(
    site: Site, conn: Connection, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = source.parent / "chinook.toml"
    change(source, "update Invoice set CustomerId = 777 where InvoiceId = 412")
    code, message = await ebok(site, capsys, "run", profile, approve=True)
    assert code == 1
    assert "777" in message
    for table in ("kernel.customer", "payments.entry", "importers.applied_row", "importers.difference"):
        assert await conn.fetchval(f"select count(*) from {table}") == 0  # noqa: S608
    assert await conn.fetchval("select state from importers.run") == "failed"


async def test_a_wrong_profile_is_used_wrongly(site: Site, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = source.parent / "chinook.toml"
    profile.write_text(profile.read_text().replace('phone = "Phone"', 'phone = "Fone"'))
    code, message = await ebok(site, capsys, "check", profile)
    assert code == 1
    for word in ("phone", "Fone", "Phone"):
        assert word in message
    profile.write_text(profile.read_text().replace("[profile]", "[profil]"))
    code, message = await ebok(site, capsys, "check", profile)
    assert code == 2
    assert "profil" in message


async def test_a_customer_of_the_office_is_joined_by_number(
    site: Site, conn: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    await conn.execute("insert into kernel.customer (customer_no, name, nip) values ('49', 'S. Wójcik', '5260250274')")
    await ebok(site, capsys, "run", EXAMPLE, approve=True)
    row = await conn.fetchrow("select name, nip, source from kernel.customer where customer_no = '49'")
    assert row is not None
    assert dict(row) == {"name": "Stanisław Wójcik", "nip": "5260250274", "source": "chinook"}


async def test_a_customer_of_another_source_is_not_taken(
    site: Site, conn: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    await conn.execute(
        "insert into kernel.customer (customer_no, name, source, external_id) values ('49', 'X', 'other', '1')"
    )
    code, message = await ebok(site, capsys, "run", EXAMPLE, approve=True)
    assert code == 1
    assert "49" in message
    assert await conn.fetchval("select count(*) from kernel.customer") == 1


# --- one profile, three databases ------------------------------------------------------------------------------------

CHANGES = (
    "update {invoice} set {total} = {total} + 10 where {id} = 64",
    "delete from {invoice_line} where {id} = 1",
    "delete from {invoice} where {id} = 1",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """One of the databases: its ``[source]``, and how to change it."""

    kind: str
    source: str
    change: Callable[[Sequence[str]], Awaitable[None]]

    async def alter(self) -> None:
        """One invoice costs ten more, another is gone."""
        names = {"invoice": "Invoice", "invoice_line": "InvoiceLine", "total": "Total", "id": "InvoiceId"}
        if self.kind == "postgres":
            names = {"invoice": "invoice", "invoice_line": "invoice_line", "total": "total", "id": "invoice_id"}
        await self.change([statement.format(**names) for statement in CHANGES])


@pytest.fixture
async def origins(tmp_path: Path, mysql_server: MariaDB, cluster: Cluster) -> AsyncIterator[list[Origin]]:
    """The sample database in SQLite, MySQL and PostgreSQL."""
    shutil.copy(DATA, tmp_path / "shop.sqlite")
    mysql_server.run((SCRIPTS / "Chinook_MySql.sql").read_text(encoding="utf-8"))
    await cluster.server.create_database("chinook")
    place = urlsplit(cluster.server.endpoints("chinook").dsn)
    foreign = await migrate.connect(cluster.server.endpoints("chinook").owner_dsn)
    script = (SCRIPTS / "Chinook_PostgreSql.sql").read_text(encoding="utf-8").partition("\\c chinook;")[2]
    await foreign.execute(
        f"create schema shop; set search_path = shop; {script};"
        "grant usage on schema shop to public; grant select on all tables in schema shop to public"
    )

    async def in_sqlite(statements: Sequence[str]) -> None:
        change(tmp_path / "shop.sqlite", *statements)

    async def in_mysql(statements: Sequence[str]) -> None:
        mysql_server.run("; ".join(statements), "Chinook")

    async def in_postgres(statements: Sequence[str]) -> None:
        await foreign.execute("; ".join(statements))

    socket = parse_qs(place.query)["host"][0]
    yield [
        Origin("sqlite", 'path = "shop.sqlite"', in_sqlite),
        Origin(
            "mysql",
            f'port = {mysql_server.port}\nuser = "root"\npassword_env = "SHOP_PASSWORD"\ndatabase = "Chinook"',
            in_mysql,
        ),
        Origin(
            "postgres",
            f'host = "{socket}"\nuser = "{place.username}"\npassword = "{place.password}"\ndatabase = "chinook"\n'
            'namespace = "shop"',
            in_postgres,
        ),
    ]
    await foreign.close()
    await cluster.server.drop_database("chinook")


LEDGER = (
    "select c.customer_no, c.name, c.phone, c.email, c.city from kernel.customer c order by c.customer_no",
    """
    select c.customer_no, e.side, e.kind, e.amount, e.open_amount, e.issued_on, e.due_on, e.effective_due_on,
        e.value_date, e.title, e.document_no, e.state, e.external_id, e.external_version, e.journal_no
    from payments.entry e join payments.account a on a.id = e.account_id join kernel.customer c on c.id = a.customer
    order by c.customer_no, e.external_id, e.external_version, e.kind, e.id
    """,
    """
    select h.external_id as charge, p.kind, l.amount, l.rule, l.value_date, l.released_at is null as holds
    from payments.allocation l join payments.entry h on h.account_id = l.account_id and h.id = l.charge
    join payments.entry p on p.account_id = l.account_id and p.id = l.credit
    order by h.external_id, p.kind, l.amount, holds
    """,
    """
    select c.customer_no, b.charged, b.credited, b.oldest_open_due
    from payments.account_balance b join payments.account a on a.id = b.account_id
    join kernel.customer c on c.id = a.customer order by c.customer_no
    """,
)


async def ledger(conn: Connection) -> list[list[tuple[Any, ...]]]:
    """Customers, entries, allocations and balances."""
    return [[tuple(row.values()) for row in await conn.fetch(query)] for query in LEDGER]


async def test_three_databases_give_one_ledger(
    cluster: Cluster,
    registry: Registry,
    origins: list[Origin],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    text = EXAMPLE.read_text(encoding="utf-8")
    head, tail = text.partition("[source]")[0], text.partition("\n[[entity]]")[2]
    first: list[list[list[tuple[Any, ...]]]] = []
    second: list[list[list[tuple[Any, ...]]]] = []
    for origin in origins:
        profile = tmp_path / f"{origin.kind}.toml"
        profile.write_text(
            f'{head}[source]\nkind = "{origin.kind}"\n{origin.source}\n\n[[entity]]{tail}', encoding="utf-8"
        )
        async with opened_site(cluster, registry) as site, site.db.connection() as conn:
            code, data = await ebok(site, capsys, "run", profile, approve=True)
            assert (code, data["state"], counts(data)) == (0, "applied", [(59, 0, 0, 0, 0), (412, 0, 0, 0, 0)])
            first.append(await ledger(conn))
            written = await conn.fetchval("select count(*) from kernel.audit_log")
            code, data = await ebok(site, capsys, "run", profile, approve=True)
            assert (code, counts(data)) == (0, [(0, 0, 59, 0, 0), (0, 0, 412, 0, 0)])
            assert await ledger(conn) == first[-1]
            assert await conn.fetchval("select count(*) from importers.difference where run = $1", data["run"]) == 0
            assert await conn.fetchval("select count(*) from kernel.audit_log") == written + 1, "only that it ran"
            await origin.alter()
            code, data = await ebok(site, capsys, "run", profile, approve=True)
            assert (code, counts(data)) == (0, [(0, 0, 59, 0, 0), (0, 1, 410, 1, 0)])
            kinds = await conn.fetch("select kind, count(*) as n from payments.entry group by kind order by kind")
            assert {row["kind"]: row["n"] for row in kinds} == {"correction": 1, "fee": 412, "reversal": 1}
            second.append(await ledger(conn))
    assert first[0] == first[1] == first[2]
    assert second[0] == second[1] == second[2]
    assert first[0] != second[0]


async def test_a_spreadsheet_and_csv_files_give_the_same_ledger(
    cluster: Cluster, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(DATA, tmp_path / "shop.sqlite")
    with sqlite3.connect(DATA) as shop, xlsxwriter.Workbook(tmp_path / "shop.xlsx") as book:
        moment = book.add_format({"num_format": "dd.mm.yyyy"})
        for table in ("Customer", "Invoice"):
            cursor = shop.execute(f"select * from {table}")  # noqa: S608
            names = [column[0] for column in cursor.description]
            rows = cursor.fetchall()
            with (tmp_path / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, delimiter=";").writerows([names, *rows])
            sheet = book.add_worksheet(table)
            sheet.write_row(0, 0, names)
            for number, row in enumerate(rows, 1):
                sheet.write_row(number, 0, row)
                if table == "Invoice":
                    sheet.write_datetime(number, names.index("InvoiceDate"), datetime.fromisoformat(row[2]), moment)
    shop.close()
    text = EXAMPLE.read_text(encoding="utf-8")
    head, tail = text.partition("[source]")[0], text.partition("\n[[entity]]")[2]
    found: list[list[list[tuple[Any, ...]]]] = []
    for kind, path in (("sqlite", "shop.sqlite"), ("xlsx", "shop.xlsx"), ("csv", ".")):
        profile = tmp_path / f"{kind}.toml"
        profile.write_text(f'{head}[source]\nkind = "{kind}"\npath = "{path}"\n\n[[entity]]{tail}', encoding="utf-8")
        async with opened_site(cluster, registry) as site, site.db.connection() as conn:
            code, data = await ebok(site, capsys, "run", profile, approve=True)
            assert (code, counts(data)) == (0, [(59, 0, 0, 0, 0), (412, 0, 0, 0, 0)]), kind
            found.append(await ledger(conn))
    assert found[0] == found[1] == found[2]

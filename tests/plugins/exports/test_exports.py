"""What the office takes out: the same figures in every format, for whom it may be, remembered, and gone in time."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from argparse import Namespace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from kernel import Refused, Site
from kernel.db.pool import Stamp
from kernel.i18n import speaking
from kernel.plugin.permissions import Role
from kernel.testing import Office, Visitor
from plugins.exports import commands, jobs, making, model, pages
from plugins.exports.model import Order, ordered
from tests.plugins.payments.ledger import TODAY as DAY
from tests.plugins.payments.ledger import Book, acting


@pytest.fixture
async def ledger(site: Site) -> None:
    """Three customers: one paid in part and late, one overpaid, one with a formula for a name."""
    async with acting(site, superadmin_mode=True) as conn:
        one = await Book.opened(conn, "1001")
        await one.post(one.charge(50_000, date(2026, 9, 10), title="=cmd"), one.charge(20_000, date(2026, 12, 10)))
        await one.post(one.payment(10_001, date(2026, 9, 20)))
        two = await Book.opened(conn, "1002")
        await two.post(two.charge(5, date(2026, 1, 12)))
        await two.post(two.payment(100_000, date(2026, 10, 1)))
        three = await Book.opened(conn, "1003")
        (wrong,) = await three.post(three.payment(777, date(2026, 3, 1)))
        await three.reverse(wrong)
        await conn.execute("update kernel.customer set name = '=HYPERLINK(\"x\")' where customer_no = '1003'")


async def rows_of(site: Site, export: str, format_: str = "json", /, **typed: str) -> Any:
    order = ordered(site.registry.exports[export], format_, typed, DAY)
    async with site.db.transaction(Stamp("test")) as conn:
        content = b"".join([content async for content, _rows in making.made(conn, order, site.clock.zone)])
    if format_ == "json":
        return json.loads(content)
    if format_ == "xlsx":
        heading, *lines = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
        return [dict(zip(heading, line, strict=True)) for line in lines]
    delimiter = "," if format_ == "csv" else ";"
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))


@pytest.mark.usefixtures("ledger")
async def test_every_format_has_the_sums_of_the_balances(site: Site) -> None:
    async with site.db.connection() as conn:
        kept = await conn.fetchval("select sum(balance)::bigint from payments.account_balance")
    assert kept == 50_000 + 20_000 - 10_001 + 5 - 100_000
    with speaking("en"):
        balances = {format_: await rows_of(site, "payments.balances", format_) for format_ in model.FORMATS}
    assert {format_: len(rows) for format_, rows in balances.items()} == dict.fromkeys(model.FORMATS, 3)
    assert sum(row["balance_grosze"] for row in balances["json"]) == kept
    assert round(sum(row["Balance"] for row in balances["xlsx"]) * 100) == kept
    assert sum(int(row["balance"].replace(".", "")) for row in balances["csv"]) == kept
    assert sum(int(row["Balance"].replace(",", "")) for row in balances["csv-excel"]) == kept
    entries = await rows_of(site, "payments.entries")
    assert sum((row["charged_grosze"] or 0) - (row["credited_grosze"] or 0) for row in entries) == kept
    items = await rows_of(site, "payments.open_items")
    assert sum((row["to_pay_grosze"] or 0) - (row["unused_grosze"] or 0) for row in items) == kept


@pytest.mark.usefixtures("ledger")
async def test_the_past_is_as_it_was(site: Site) -> None:
    """The later charge is not issued yet, the payment of 20 September not there, the reversal of today neither."""
    (first, second, third) = await rows_of(site, "payments.balances", as_of="2026-09-15")
    assert (first["balance"], first["arrears"], first["unused"]) == ("500.00", "500.00", "0.00")
    assert (second["balance"], third["balance"]) == ("0.05", "-7.77")
    items = await rows_of(site, "payments.open_items", as_of="15.09.2026")
    assert [(one["customer_no"], one["to_pay"], one["unused"], one["days_late"]) for one in items] == [
        ("1001", "500.00", None, 5),
        ("1002", "0.05", None, 246),
        ("1003", None, "7.77", None),
    ]
    today = await rows_of(site, "payments.open_items", late="yes")
    assert [(one["customer_no"], one["to_pay"], one["amount"]) for one in today] == [("1001", "399.99", "500.00")]


@pytest.mark.usefixtures("ledger")
async def test_open_items_of_any_day_are_what_the_account_shows(site: Site) -> None:
    """The set-based answer is that of the account's own page of the past."""
    from plugins.payments.explain.store import Whose, standing_as_of

    for on in (date(2026, 1, 20), date(2026, 9, 10), date(2026, 9, 11), date(2026, 10, 2), DAY):
        balances = await rows_of(site, "payments.balances", as_of=on.isoformat())
        for row in balances:
            async with site.db.connection() as conn:
                customer = await conn.fetchval(
                    "select id from kernel.customer where customer_no = $1", row["customer_no"]
                )
                position = (await standing_as_of(conn, Whose(customer), on)).position
            assert (position.balance.grosze, position.arrears.grosze, position.credit.grosze) == (
                row["balance_grosze"],
                row["arrears_grosze"],
                row["unused_grosze"],
            )


@pytest.mark.usefixtures("ledger")
async def test_formulas_leave_as_text(site: Site) -> None:
    for format_ in ("csv", "csv-excel"):
        with speaking("en"):
            rows = await rows_of(site, "payments.entries", format_)
        cells = [cell for row in rows for cell in row.values()]
        assert "'=cmd" in cells
        assert '\'=HYPERLINK("x")' in cells
        assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]
    assert {row["customer_name"] for row in await rows_of(site, "payments.entries")} >= {'=HYPERLINK("x")'}


@pytest.mark.usefixtures("ledger")
async def test_filters_narrow(site: Site) -> None:
    async def customers(export: str, /, **typed: str) -> list[str]:
        return [row["customer_no"] for row in await rows_of(site, export, **typed)]

    assert await customers("payments.balances", standing="debt") == ["1001"]
    assert await customers("payments.balances", standing="credit") == ["1002"]
    assert await customers("payments.entries", customer_no="1002", side="credit") == ["1002"]
    assert await customers("payments.entries", since="2026-10-01", until="2026-10-31") == ["1002"]
    assert await customers("payments.entries", book="other") == []
    assert await customers("customers.customers", name="hyperlink") == ["1003"]
    assert len(await rows_of(site, "payments.entries", state="draft")) == 0
    for typed in ({"as_of": "31.02.2026"}, {"standing": "poor"}, {"customer_no": "x" * 300}):
        with pytest.raises(Refused) as refused:
            await rows_of(site, "payments.balances", **typed)
        assert list(refused.value.errors) == list(typed)


# --- pages ----------------------------------------------------------------------------------------------------------


async def history(site: Site, verb: str) -> list[Any]:
    async with site.db.connection() as conn:
        rows = await conn.fetch("select actor, facts from kernel.audit_log where verb = $1 order by id", verb)
        return [(row["actor"], row["facts"]) for row in rows]


async def asked(visitor: Visitor, name: str = "payments.balances", **form: str) -> str:
    answer = await visitor.post(f"/admin/exports/new/{name}", {"format": "csv", **form})
    assert answer.status == 303, answer.text
    return answer.headers["Location"]


@pytest.mark.usefixtures("ledger")
async def test_a_small_export_is_there_at_once_and_remembered(site: Site, office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    page = await admin.get("/admin/exports")
    assert {"Salda", "Pozycje otwarte", "Zapisy rozrachunków", "Klienci"} <= set(
        re.findall(r"</svg>([\w ]+)</strong>", page.text)
    )
    form = await admin.get("/admin/exports/new/payments.balances")
    assert form.status == 200
    place = await asked(admin, as_of="24.11.2026", standing="debt")
    made = await admin.get(place)
    assert "z saldem do zapłaty" in made.text
    answer = await admin.post(place)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert "payments-balances-" in answer.headers["Content-Disposition"]
    assert answer.text.splitlines()[1].startswith("1001,")
    ((who, facts),) = await history(site, "exports.made")
    assert who == str(admin.user)
    assert (facts["what"], facts["count"]) == ("payments.balances", 1)
    ((_who, taken),) = await history(site, "exports.downloaded")
    assert taken["what"] == "payments.balances"
    assert (await admin.post(f"{place}/remove")).status == 303
    assert (await admin.get(place)).status == 404


@pytest.mark.usefixtures("ledger")
async def test_a_large_one_is_made_by_a_job(site: Site, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "AT_ONCE", 1)
    admin = await office.visitor(Role.ADMIN)
    place = await asked(admin, format="xlsx")
    assert "data-progress" in (await admin.get(place)).text
    assert (await admin.post(place)).status == 422, "it is not ready"
    await jobs.make(site, {"made": int(place.rsplit("/", 1)[1])})
    answer = await admin.post(place)
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(answer.content)).get_sheet_by_index(0).to_python()
    assert len(sheet) == 4
    assert int(answer.headers["Content-Length"]) == len(answer.content)


@pytest.mark.usefixtures("ledger")
async def test_work_that_is_cancelled_stops(site: Site, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "AT_ONCE", 1)
    monkeypatch.setattr(making, "BATCH", 1)
    monkeypatch.setattr(making, "PIECE", 1)
    admin = await office.visitor(Role.ADMIN)
    before, during = await asked(admin), await asked(admin)
    number = int(during.rsplit("/", 1)[1])
    assert (await admin.post(f"{before}/cancel")).status == 303
    await jobs.make(site, {"made": int(before.rsplit("/", 1)[1])})
    kept = jobs._Kept.add

    async def add(self: Any, content: bytes, rows: int) -> None:
        await kept(self, content, rows)
        assert (await admin.post(f"{during}/cancel")).status == 303

    monkeypatch.setattr(jobs._Kept, "add", add)
    await jobs.make(site, {"made": number})
    async with site.db.connection() as conn:
        states = await conn.fetch("select state from exports.made order by id")
        assert [row["state"] for row in states] == ["cancelled", "cancelled"]
        assert await conn.fetchval("select count(*) from exports.piece") == 0
    assert "Przerwany" in (await admin.get(during)).text


@pytest.mark.usefixtures("ledger")
async def test_a_worker_that_broke_off_is_followed_by_another(
    site: Site, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one, thought dead, notices that it was overtaken; the file is whole."""
    monkeypatch.setattr(pages, "AT_ONCE", 1)
    monkeypatch.setattr(making, "BATCH", 1)
    monkeypatch.setattr(making, "PIECE", 1)
    admin = await office.visitor(Role.ADMIN)
    place = await asked(admin)
    number = int(place.rsplit("/", 1)[1])
    kept, others = jobs._Kept.add, 0

    async def add(self: Any, content: bytes, rows: int) -> None:
        nonlocal others
        await kept(self, content, rows)
        if not others:
            others += 1
            await jobs.make(site, {"made": number})

    monkeypatch.setattr(jobs._Kept, "add", add)
    await jobs.make(site, {"made": number})
    assert len((await admin.post(place)).text.splitlines()) == 4


async def test_an_export_that_fails_says_so_and_is_tried_again(
    site: Site, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "AT_ONCE", -1)
    admin = await office.visitor(Role.ADMIN)
    place = await asked(admin)
    number = int(place.rsplit("/", 1)[1])

    async def broken(*_given: Any) -> int:
        raise OSError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(making, "count", broken)
        with pytest.raises(OSError, match="no room"):
            await jobs.make(site, {"made": number})
    assert "Nie udał się" in (await admin.get(place)).text
    await jobs.make(site, {"made": number})
    assert (await admin.post(place)).status == 200


async def test_a_wrong_filter_keeps_what_was_typed(office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    answer = await admin.post(
        "/admin/exports/new/payments.balances", {"format": "csv", "as_of": "31.02.2026", "customer_no": "47"}
    )
    assert answer.status == 422
    assert 'value="31.02.2026"' in answer.text
    assert 'value="47"' in answer.text
    assert "aria-invalid" in answer.text
    assert (await admin.post("/admin/exports/new/payments.balances", {"format": "exe"})).status == 422
    assert (await admin.get("/admin/exports/new/payments.nothing")).status == 404


async def test_files_are_deleted_in_time(site: Site, office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    place = await asked(admin)
    await jobs.forget(site, {})
    assert (await admin.get(place)).status == 200
    site.clock.move_to(site.clock.now() + timedelta(days=8))
    await jobs.forget(site, {})
    async with site.db.connection() as conn:
        assert await conn.fetchval("select count(*) from exports.piece") == 0


@pytest.mark.usefixtures("ledger")
async def test_the_archive_is_the_superadministrators(site: Site, office: Office) -> None:
    """Made in the announced mode with the password, downloaded in the mode only, unknown to the administrator."""
    from kernel.auth.passwords import hash_password

    admin, boss = await office.visitor(Role.ADMIN), await office.visitor(Role.SUPERADMIN, mode=True)
    plain = await office.visitor(Role.SUPERADMIN)
    assert (await admin.get("/admin/exports/complete")).status == 403
    assert (await plain.post("/admin/exports/complete", {"password": "x"})).status == 403
    assert "Archiwum organizacji" not in (await admin.get("/admin/exports")).text
    password = "zielona-herbata-w-kuchni"
    async with site.db.transaction(Stamp("test")) as conn:
        await conn.execute(
            "update kernel.users set password_hash = $2 where id = $1", boss.user, await hash_password(password)
        )
    wrong = await boss.post("/admin/exports/complete", {"password": "inne-haslo"})
    assert wrong.status == 422
    answer = await boss.post("/admin/exports/complete", {"password": password})
    assert answer.status == 303
    place = answer.headers["Location"]
    await jobs.make(site, {"made": int(place.rsplit("/", 1)[1])})
    assert (await admin.get(place)).status == 404
    assert (await admin.post(place)).status == 404
    assert (await plain.post(place)).status == 403
    file = await boss.post(place)
    assert file.content.startswith(b"PK")
    assert [who for who, _facts in await history(site, "exports.archived")] == [str(boss.user)]
    assert [who for who, _facts in await history(site, "exports.downloaded")] == [str(boss.user)]


async def test_a_customer_exports_nothing(office: Office) -> None:
    customer = await office.visitor(Role.CUSTOMER)
    for path in (
        "/admin/exports",
        "/admin/exports/new/payments.balances",
        "/admin/exports/1",
        "/admin/exports/complete",
    ):
        assert (await customer.get(path)).status == 403
        assert (await customer.post(path)).status in {403, 405}


# --- the command line -----------------------------------------------------------------------------------------------


def arguments(what: str, **given: Any) -> Namespace:
    values: dict[str, Any] = {"format": "csv", "as_of": None, "where": [], "output": None, "with_secrets": False}
    return Namespace(what=what, **(values | given))


@pytest.mark.usefixtures("ledger")
async def test_ebok_export(site: Site, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert await commands.export(site, arguments("open-items", as_of="2026-09-15", format="json")) == 0
    assert len(json.loads(capfdbinary.readouterr().out)) == 3
    assert (
        await commands.export(site, arguments("customers", output=tmp_path / "k.csv", where=["customer_no=1002"])) == 0
    )
    assert (tmp_path / "k.csv").read_text(encoding="utf-8").count("\n") == 2
    assert (tmp_path / "k.csv").stat().st_mode & 0o777 == 0o600
    assert await commands.export(site, arguments("all", output=tmp_path / "a.zip")) == 0
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "k.csv"]
    for wrong in (
        arguments("nothing"),
        arguments("customers", as_of="2026-01-01"),
        arguments("balances", as_of="yesterday"),
        arguments("balances", where=["colour=red"]),
        arguments("all"),
    ):
        assert await commands.export(site, wrong) == 2
    assert len(await history(site, "exports.made")) == 3


async def test_one_word_names_one_export(site: Site) -> None:
    words = [model.word_of(one) for one in site.registry.exports.values()]
    assert len(words) == len(set(words))
    assert {"customers", "entries", "balances", "open-items"} <= set(words)


async def test_columns_and_filters_are_those_of_the_select(site: Site) -> None:
    for export in site.registry.exports.values():
        order = Order(export, "csv", tuple(DAY if one.kind == "day" else None for one in export.filters))
        async with site.db.connection() as conn:
            await conn.fetch(export.select, *order.chosen)
            assert await making.count(conn, order) >= 0
        assert len({one.name for one in export.columns}) == len(export.columns)

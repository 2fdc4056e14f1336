"""The office's way through charging: a schedule from nothing to an approved month and back, one charge, and lists."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, LiteralString

import pytest
from aiohttp import FormData

from kernel import Role, Site
from kernel.config import Config
from kernel.jobs import Worker
from kernel.testing import Office, Page, Visitor
from plugins.payments import store as ledger
from plugins.payments.charging import jobs, list_jobs
from tests.plugins.payments.ledger import TODAY, Book, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["payments"])

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
TWO_PEOPLE = {"approver_differs": "true"}
KINDS = {job.kind: job for job in (*jobs.JOBS, *list_jobs.JOBS)}


@pytest.fixture(autouse=True)
def november(site: Site) -> None:
    site.clock.move_to(NOW)


async def only(site: Site, question: LiteralString, *values: object) -> Any:
    async with acting(site) as conn:
        return await conn.fetchval(question, *values)


async def work(site: Site) -> int:
    """Do what waits in the queue, as a worker would."""
    done = 0
    async with acting(site) as conn:
        rows = await conn.fetch("select id, entrypoint, payload from kernel.pgqueuer order by id")
        await conn.execute("delete from kernel.pgqueuer")
    for row in rows:
        await KINDS[row["entrypoint"]].handler(site, json.loads(row["payload"]))
        done += 1
    return done


def key_of(page: Page) -> str:
    found = re.search(r'name="_key" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


async def sent(clerk: Visitor, path: str, **form: str) -> str:
    """Send a form of a page; where it led."""
    page = await clerk.get(path)
    assert page.status == 200, path
    answer = await clerk.post(path, {"_key": key_of(page), **form})
    assert answer.status == 303, answer.text
    return answer.headers["Location"]


@asynccontextmanager
async def lodgers(site: Site, count: int) -> AsyncGenerator[list[int]]:
    async with acting(site) as conn:
        customers = [await add_customer(conn, f"L{number}", f"Lokator {number}") for number in range(count)]
        accounts = await ledger.open_accounts(conn, customers, TODAY)
    yield [accounts[customer] for customer in customers]


async def a_schedule(clerk: Visitor) -> str:
    return await sent(
        clerk,
        "/admin/charging/new",
        name="Opłaty za lokale",
        code="lokale",
        book=str(1),
        title="Opłaty, {month} {year}",
        issue_day="20",
        issue_month="-1",
        due_day="10",
        due_month="0",
        is_active="true",
    )


# --- from nothing to a charged month, and back ----------------------------------------------------------------------


async def test_a_schedule_from_nothing_to_a_charged_month_and_back(site: Site, office: Office) -> None:
    async with lodgers(site, 3) as accounts:
        clerk = await office.visitor(Role.ADMIN)
    schedule = await a_schedule(clerk)
    assert "nie ma jeszcze składników" in (await clerk.get(schedule)).text
    heating = await sent(
        clerk, f"{schedule}/components", name="Ogrzewanie", code="co", unit="m²", rate="4,8875", since="1.2026"
    )
    waste = await sent(clerk, f"{schedule}/components", name="Odpady", code="odpady", rate="32", since="01.2026")
    text = "klient\tkod\tilość\nL0\tco\t48,37\nL1\tCO\t60\nL2\tco\t30,5\nL0\todpady\t2\nL1\todpady\t3\t1.01.2027"
    await sent(clerk, f"{schedule}/quantities", text=text, since="1.12.2026")

    run = await sent(clerk, f"{schedule}/run", month="12.2026")
    page = await clerk.get(run)
    assert page.status == 200
    assert "data-progress" in page.text
    assert await work(site) == 1
    page = await clerk.get(run)
    assert "Zatwierdź 3 naliczenia" in page.text
    assert "742,73" in page.text.replace("\u00a0", " ")  # 236,41 + 64,00 + 293,25 + 149,07
    again = await clerk.post(f"{schedule}/run", {"_key": "again", "month": "2026-12"})
    assert (again.status, again.headers["Location"]) == (303, run)

    rate = await clerk.get(f"{heating}?rate=5&since=12.2026")
    assert "o 15,62" in rate.text.replace("\u00a0", " ")  # 138,87 m² × 0,1125, flat by flat
    await sent(clerk, heating, rate="5", since="12.2026")
    stale = await clerk.get(run)
    assert "zmienił się" in stale.text
    assert (await clerk.post(run, {"_key": "too-early"})).status == 422
    assert (await clerk.post(f"{run}/again", {"_key": "once-more"})).status == 303
    await work(site)

    assert (await clerk.post(run, {"_key": "approve-it"})).status == 303
    assert (await clerk.post(run, {"_key": "approve-it"})).status == 303
    assert (await clerk.post(run, {"_key": "and-again"})).status == 422
    assert "zatwierdzane" in (await clerk.get(run)).text
    assert await work(site) == 1
    assert await only(site, "select sum(balance)::bigint from payments.account_balance") == 75835
    entry = await only(site, "select entry from payments.charge_run_account where account_id = $1", accounts[0])
    assert f"/admin/entries/{entry}" in (await clerk.get(f"{run}/accounts/{accounts[0]}")).text
    assert (await clerk.get(f"{run}/accounts/{accounts[0] + 1000}")).status == 404
    for month in ("1.1900", "12.2150", "13.2026", ""):
        assert (await clerk.post(f"{schedule}/run", {"_key": f"month-{month}", "month": month})).status == 422
    refused = await clerk.post(f"{schedule}/run", {"_key": "december", "month": "12.2026"})
    assert refused.status == 422
    assert "jest już naliczony" in refused.text
    for way in ("discard", "again"):
        assert (await clerk.post(f"{run}/{way}", {"_key": f"late-{way}"})).status == 422

    assert (await clerk.post(f"{run}/roll-back", {"_key": "back", "reason": ""})).status == 422
    await sent(clerk, f"{run}/roll-back", reason="zła stawka ogrzewania")
    await work(site)
    assert await only(site, "select sum(balance)::bigint from payments.account_balance") == 0
    assert "zła stawka ogrzewania" in (await clerk.get(run)).text
    assert (await clerk.get(f"{run}/roll-back")).status == 303
    assert await sent(clerk, f"{schedule}/run", month="12.2026") != run
    history = (await (await office.visitor(Role.SUPERADMIN)).get("/admin/audit")).text
    for words in ("zakłada wymiar opłat", "ustala stawkę składnika Ogrzewanie", "zatwierdza opłaty", "wycofuje opłaty"):
        assert words in history
    assert (await clerk.get(waste)).status == 200


async def test_what_differs_can_be_filtered_sorted_and_exported(site: Site, office: Office) -> None:
    async with lodgers(site, 30):
        clerk = await office.visitor(Role.ADMIN)
    schedule = await a_schedule(clerk)
    await sent(clerk, f"{schedule}/components", name="Metry", code="m", rate="1", since="1.2026")
    text = "\n".join(f"L{number};m;{number}" for number in range(30))
    await sent(clerk, f"{schedule}/quantities", text=text, since="1.12.2026")
    run = await sent(clerk, f"{schedule}/run", month="12.2026")
    await work(site)
    shown = re.findall(r"/accounts/\d+\">(L\d+)<", (await clerk.get(run)).text)
    assert shown[:3] == ["L29", "L28", "L27"]
    assert len(shown) == 25
    exported = (await clerk.get(f"{run}?format=csv")).text.splitlines()
    assert len(exported) == 1 + 29
    assert len((await clerk.get(f"{run}?turn=new&customer=L7&format=csv")).text.splitlines()) == 2
    assert len((await clerk.get("/admin/charging/runs?period=12.2026&format=csv")).text.splitlines()) == 2
    assert len((await clerk.get("/admin/charging/runs?period=11.2026&format=csv")).text.splitlines()) == 1
    assert (await clerk.get("/admin/charging/runs?period=grudzie%C5%84")).status == 422


async def test_a_component_without_a_rate_asks_before_it_charges_nothing(site: Site, office: Office) -> None:
    async with lodgers(site, 2):
        clerk = await office.visitor(Role.ADMIN)
    schedule = await a_schedule(clerk)
    await sent(clerk, f"{schedule}/components", name="Metry", code="m", rate="2", since="1.2026")
    later = await sent(clerk, f"{schedule}/components", name="Garaż", code="g", rate="100", since="2.2027")
    await sent(clerk, f"{schedule}/quantities", text="L0;m;10\nL1;m;10\nL0;g;1", since="1.12.2026")
    run = await sent(clerk, f"{schedule}/run", month="12.2026")
    await work(site)
    page = await clerk.get(run)
    assert "nie ma stawki" in page.text
    assert (await clerk.post(run, {"_key": "without"})).status == 422
    assert (await clerk.post(run, {"_key": "anyway", "anyway": "true"})).status == 303
    await work(site)
    assert await only(site, "select sum(balance)::bigint from payments.account_balance") == 4000
    removed = await clerk.get(f"{later}/remove-rate?since=2.2027")
    assert "brak stawki" in removed.text
    assert (await clerk.get(f"{later}/remove-rate?since=3.2027")).status == 303
    gone = {"_key": key_of(removed), "since": "02.2027"}
    assert (await clerk.post(f"{later}/remove-rate", gone)).status == 303
    assert (await clerk.post(f"{later}/remove-rate", {**gone, "_key": "twice"})).status == 404


async def test_quantities_go_out_as_a_file_and_come_back_as_a_list(site: Site, office: Office) -> None:
    async with lodgers(site, 3):
        clerk = await office.visitor(Role.ADMIN)
    schedule = await a_schedule(clerk)
    component = await sent(clerk, f"{schedule}/components", name="Metry", code="m", rate="2", since="1.2026")
    await sent(clerk, f"{schedule}/quantities", text="L0;m;48,37\nL1;m;0\nL2;m;1", since="1.11.2026")
    await sent(clerk, f"{schedule}/quantities", text="L2;m;60,125\nL1;m;7;2.01.2027", since="1.12.2026")
    page = await clerk.get(f"{component}/accounts")
    assert re.findall(r">(L\d)</a>", page.text) == ["L0", "L1", "L2"]
    assert "60,125" in page.text
    file = (await clerk.get(f"{component}/accounts?format=csv")).text
    assert len(file.splitlines()) == 4
    await sent(clerk, f"{schedule}/quantities", text=file.replace("48,370", "50"), since="1.12.2026")
    held = await only(site, "select array_agg(quantity order by account_id, valid_from) from payments.fee_quantity")
    assert [str(quantity) for quantity in held] == ["50.000", "0.000", "7.000", "1.000", "60.125"]
    assert len((await clerk.get(f"{component}/accounts?customer=L2&format=csv")).text.splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("X;m;1", "Nie ma klienta ani konta"),
        ("L0;x;1", "Nie ma składnika o tym kodzie"),
        ("L0;m;1,2345", "trzy miejsca"),
        ("L0;m;1;30.02.2026", "dnia"),
        ("L0;m;1\nL0;m;2", "dwa razy"),
        ("", "Wklej listę"),
    ],
)
async def test_a_wrong_list_of_quantities_changes_nothing(site: Site, office: Office, text: str, words: str) -> None:
    async with lodgers(site, 1):
        clerk = await office.visitor(Role.ADMIN)
    schedule = await a_schedule(clerk)
    await sent(clerk, f"{schedule}/components", name="Metry", code="m", rate="2", since="1.2026")
    refused = await clerk.post(f"{schedule}/quantities", {"_key": "list", "text": text, "since": "1.12.2026"})
    assert refused.status == 422
    assert words in refused.text
    assert text in refused.text
    assert await only(site, "select count(*) from payments.fee_quantity") == 0


async def test_an_account_has_its_fees_and_their_history(site: Site, office: Office) -> None:
    async with lodgers(site, 1) as (account,):
        clerk = await office.visitor(Role.ADMIN)
    schedule = await a_schedule(clerk)
    component = await sent(clerk, f"{schedule}/components", name="Osoby", code="o", rate="30", since="1.2026")
    number = component.rsplit("/", 1)[1]
    address = f"/admin/charging/accounts/{account}"
    await sent(clerk, address, component=number, quantity="2", since="1.11.2026")
    await sent(clerk, address, component=number, quantity="3", since="1.12.2026", until="31.12.2026")
    page = await clerk.get(address)
    assert "60,00" in page.text
    steps = await only(
        site, "select array_agg(valid_from || ': ' || quantity::int order by valid_from) from payments.fee_quantity"
    )
    assert steps == ["2026-11-01: 2", "2026-12-01: 3", "2027-01-01: 2"]
    wrong = {"component": number, "quantity": "3", "since": "2.12.2026", "until": "1.12.2026"}
    assert (await clerk.post(address, {"_key": "wrong", **wrong})).status == 422
    assert (await clerk.post(address, {"_key": "foreign", **wrong, "until": "", "component": "999"})).status == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "z spacją"},
        {"title": "Opłaty {nazwa}"},
        {"title": "Opłaty {"},
        {"due_month": "-1", "due_day": "1"},
        {"issue_day": "32"},
        {"book": "99"},
    ],
)
async def test_a_wrong_schedule_is_refused_at_its_field(office: Office, wrong: dict[str, str]) -> None:
    clerk = await office.visitor(Role.ADMIN)
    form = {"name": "Lokale", "code": "lokale", "book": "1", "title": "Opłaty", "issue_day": "20", "due_day": "20"}
    refused = await clerk.post("/admin/charging/new", {"_key": "wrong", **form, **wrong})
    assert refused.status == 422
    assert "Lokale" in refused.text
    assert 'class="field wrong"' in refused.text or "field choice wrong" in refused.text


# --- one charge -----------------------------------------------------------------------------------------------------

CHARGE = {
    "number": "4711",
    "kind": "settlement",
    "amount": "123,45",
    "issued_on": "24.11.2026",
    "due_on": "10.12.2026",
    "period": "11.2026",
    "title": "Rozliczenie wody",
    "document_no": "R/7",
}


async def test_one_charge_is_entered_as_a_draft(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await add_customer(conn)
    clerk = await office.visitor(Role.ADMIN)
    entry = await sent(clerk, "/admin/charges/new", **CHARGE)
    page = await clerk.get(entry)
    for words in ("Rozliczenie wody", "R/7", "2026-11", "123,45"):
        assert words in page.text
    assert (await clerk.post(entry, {"_key": "approve-it"})).status == 303
    assert await only(site, "select balance from payments.account_balance") == 12345


async def test_a_cost_names_the_charge_it_belongs_to(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (debt,) = await book.post(book.charge(10000, date(2026, 11, 10)))
        other = await Book.opened(conn, "4712")
        (foreign,) = await other.post(other.charge(10000, date(2026, 11, 10)))
        (payment,) = await book.post(book.payment(100, date(2026, 11, 10)))
    clerk = await office.visitor(Role.ADMIN)
    form = {**CHARGE, "kind": "cost", "title": "Koszt upomnienia"}
    for number in ("", str(foreign), str(payment), "999999"):
        refused = await clerk.post("/admin/charges/new", {"_key": f"cost-{number}", **form, "belongs_to": number})
        assert refused.status == 422
        assert 'id="f-belongs_to-error"' in refused.text
    entry = await sent(clerk, f"/admin/charges/new?customer=4711&belongs_to={debt}", **form, belongs_to=str(debt))
    assert await only(site, "select bears_on from payments.entry where id = $1", int(entry.rsplit("/", 1)[1])) == debt


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", "nikt"),
        ("amount", "0"),
        ("amount", "99999999999"),
        ("due_on", "23.11.2026"),
        ("due_on", "10.12.2099"),
        ("issued_on", "31.02.2026"),
        ("period", "13.2026"),
        ("belongs_to", "1"),
    ],
)
async def test_a_wrong_charge_is_refused_at_its_field(site: Site, office: Office, field: str, value: str) -> None:
    async with acting(site) as conn:
        await add_customer(conn)
    clerk = await office.visitor(Role.ADMIN)
    refused = await clerk.post("/admin/charges/new", {"_key": "wrong", **CHARGE, field: value})
    assert refused.status == 422
    assert f'id="f-{field}-error"' in refused.text
    assert "Rozliczenie wody" in refused.text
    assert await only(site, "select count(*) from payments.entry") == 0


async def test_a_closed_customer_is_not_charged(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await add_customer(conn)
        await conn.execute("update kernel.customer set status = 'closed'")
    clerk = await office.visitor(Role.ADMIN)
    refused = await clerk.post("/admin/charges/new", {"_key": "closed", **CHARGE})
    assert 'id="f-number-error"' in refused.text


# --- lists ----------------------------------------------------------------------------------------------------------

ROWS = (
    "nr klienta\tkwota\ttermin\ttytuł\tdokument\tokres\n"
    "L0\t1 234,56 zł\t10.12.2026\tRozliczenie ciepła\tR/1\t2025\n"
    "L1\t12,5\t\t\tR/2\t11.2026\n"
    "L9\t1,00\t10.12.2026\t\tR/3\t\n"
    "L1\tdużo\t10.12.2026\tPiwnica\tR/4\t\n"
)


async def a_list(clerk: Visitor, text: str = ROWS, **more: str) -> str:
    form = {"text": text, "kind": "settlement", "book": "1", "issued_on": "24.11.2026", "due_on": "15.12.2026", **more}
    return await sent(clerk, "/admin/charges/lists/new", **form)


async def test_a_pasted_list_is_checked_corrected_entered_and_approved(site: Site, office: Office) -> None:
    async with lodgers(site, 2):
        clerk = await office.visitor(Role.ADMIN)
    address = await a_list(clerk)
    page = await clerk.get(address)
    for words in ("Nie ma klienta ani konta", "L9", "dużo", "2 dobre wiersze", "1\u00a0247,06"):
        assert words in page.text
    assert (await clerk.post(address, {"_key": "early"})).status == 422
    assert await only(site, "select count(*) from payments.entry") == 0

    correcting = await clerk.get(f"{address}/correct")
    assert "L1;dużo;10.12.2026;Piwnica;R/4" in correcting.text
    await sent(clerk, f"{address}/correct", text="L0;1,00;10.12.2026;;R/3\nL1;dużo;10.12.2026;Piwnica;R/4\n")
    assert "3 dobre wiersze" in (await clerk.get(address)).text
    await sent(clerk, address, without_wrong="true")
    page = await clerk.get(address)
    assert "3 szkice czekają na zatwierdzenie" in page.text
    assert (await clerk.post(address, {"_key": "twice", "without_wrong": "true"})).status == 422
    async with acting(site) as conn:
        rows = await conn.fetch("select amount, due_on, period, kind, document_no from payments.entry order by id")
    assert [tuple(row.values()) for row in rows] == [
        (123456, date(2026, 12, 10), "2025", "settlement", "R/1"),
        (1250, date(2026, 12, 15), "2026-11", "settlement", "R/2"),
        (100, date(2026, 12, 10), "", "settlement", "R/3"),
    ]
    await sent(clerk, f"{address}/approve")
    assert await only(site, "select sum(balance)::bigint from payments.account_balance") == 124806
    assert (await clerk.get(f"{address}/approve")).status == 303
    assert (await clerk.get(f"{address}/delete")).status == 303
    assert (await clerk.post(f"{address}/delete", {"_key": "gone"})).status == 422


async def test_the_same_list_twice_is_recognised(site: Site, office: Office) -> None:
    async with lodgers(site, 2):
        clerk = await office.visitor(Role.ADMIN)
    text = "L0;10,00;10.12.2026;Domofon;D/1\nL1;10,00;10.12.2026;Domofon;\nL1;10,00;10.12.2026;Domofon;\n"
    first = await a_list(clerk, text)
    assert "1 wiersz już jest" in (await clerk.get(first)).text
    assert (await clerk.post(first, {"_key": "first"})).status == 422
    second = await a_list(clerk, text)
    await sent(clerk, first, repeated="again")
    overtaken = await clerk.post(second, {"_key": "second", "repeated": "leave"})
    assert overtaken.status == 422
    assert "W międzyczasie" in overtaken.text
    assert (await clerk.post(f"{second}/again", {"_key": "check-it"})).status == 303
    assert "3 wiersze już są" in (await clerk.get(second)).text
    nothing = await clerk.post(second, {"_key": "nothing", "repeated": "leave"})
    assert nothing.status == 422
    assert await only(site, "select count(*) from payments.entry") == 3
    await sent(clerk, second, repeated="again")
    assert await only(site, "select count(*) from payments.entry") == 6
    await sent(clerk, f"{second}/delete")
    assert await only(site, "select count(*) from payments.entry") == 3
    assert await only(site, "select state from payments.charge_batch order by id desc limit 1") == "deleted"
    third = await a_list(clerk, text)
    await sent(clerk, f"{third}/delete")
    assert (await clerk.get(third)).status == 404


async def test_opening_balances_may_be_overpaid_and_open_accounts(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await add_customer(conn, "N1")
        await add_customer(conn, "N2")
    clerk = await office.visitor(Role.ADMIN)
    address = await a_list(clerk, 'N1,"1 000,00",31.01.2026\nN2,-50\n', kind="opening")
    page = await clerk.get(address)
    assert "nadpłaty 50,00" in page.text.replace("\u00a0", " ")
    assert await only(site, "select count(*) from payments.account") == 0
    await sent(clerk, address)
    await sent(clerk, f"{address}/approve")
    async with acting(site) as conn:
        rows = await conn.fetch(
            "select a.account_no, b.balance from payments.account a"
            " join payments.account_balance b on b.account_id = a.id order by 1"
        )
    assert [tuple(row.values()) for row in rows] == [("N1", 100000), ("N2", -5000)]


async def upload(clerk: Visitor, content: bytes) -> Page:
    form = FormData()
    for name, value in {"_key": "upload", "kind": "fee", "book": "1", "issued_on": "24.11.2026"}.items():
        form.add_field(name, value)
    form.add_field("file", content, filename="czynsze.csv", content_type="text/csv")
    return await clerk.send("POST", "/admin/charges/lists/new", data=form)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1250", "utf-16"])
async def test_a_file_in_any_encoding_of_the_office_is_read(site: Site, office: Office, encoding: str) -> None:
    async with lodgers(site, 1):
        clerk = await office.visitor(Role.ADMIN)
    answer = await upload(clerk, "Nr klienta;Kwota;Tytuł;Termin\nL0;7,50;Ścieki żółte;10.12.2026\n".encode(encoding))
    assert answer.status == 303
    page = await clerk.get(answer.headers["Location"])
    assert "Ścieki żółte" in page.text
    assert "czynsze.csv" in page.text


@pytest.mark.parametrize("content", [b"PK\x03\x04rest", b"\x00\x01\x02", b"", b"\n\n"])
async def test_a_file_that_is_no_list_is_refused_in_words(office: Office, content: bytes) -> None:
    clerk = await office.visitor(Role.ADMIN)
    refused = await upload(clerk, content)
    assert refused.status == 422
    assert 'id="f-text-error"' in refused.text


async def test_ten_thousand_lines_are_the_work_of_jobs(site: Site, office: Office) -> None:
    async with lodgers(site, 500):
        clerk = await office.visitor(Role.ADMIN)
    text = "\n".join(f"L{n % 500};{n % 97 + 1},{n % 100:02d};10.12.2026;Wiersz {n};W/{n}" for n in range(10_000))
    address = await a_list(clerk, text)
    assert "data-progress" in (await clerk.get(address)).text
    assert await work(site) == 1
    page = await clerk.get(address)
    assert "10000 dobrych wierszy" in page.text.replace("\u00a0", "")
    await sent(clerk, address)
    await sent(clerk, f"{address}/approve")
    assert "data-progress" in (await clerk.get(address)).text
    assert await work(site) == 1
    assert await only(site, "select count(*) from payments.entry where state = 'approved'") == 10_000
    assert await only(site, "select state from payments.charge_batch") == "entered"


async def test_what_was_typed_is_forgotten_when_it_is_long_booked(site: Site, office: Office) -> None:
    async with lodgers(site, 2):
        clerk = await office.visitor(Role.ADMIN)
    address = await a_list(clerk, "L0;10,00;10.12.2026;Domofon;D/1\nL1;10,00;10.12.2026;Domofon;D/2\n")
    await sent(clerk, address)
    async with acting(site) as conn:
        await conn.execute("update payments.charge_batch set entered_at = now() - interval '91 days'")
    await list_jobs.forget(site, {})
    assert await only(site, "select count(*) from payments.charge_batch_line") == 2
    await sent(clerk, f"{address}/approve")
    await list_jobs.forget(site, {})
    assert await only(site, "select count(*) from payments.charge_batch_line") == 0
    assert "20,00" in (await clerk.get(address)).text
    assert await only(site, "select sum(balance)::bigint from payments.account_balance") == 2000


async def idle(clerk: Visitor, run: str) -> None:
    """Wait until no work goes on."""
    while "data-progress" in (await clerk.get(run)).text:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_a_worker_takes_the_work_of_a_run(site: Site, office: Office) -> None:
    """The queue's own worker, once, from the click to the charged month."""
    async with lodgers(site, 2):
        clerk = await office.visitor(Role.ADMIN)
    schedule = await a_schedule(clerk)
    await sent(clerk, f"{schedule}/components", name="Metry", code="m", rate="2", since="1.2026")
    await sent(clerk, f"{schedule}/quantities", text="L0;m;10\nL1;m;10", since="1.12.2026")
    run = await sent(clerk, f"{schedule}/run", month="12.2026")
    worker = Worker([site], Config())
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(20):
            await idle(clerk, run)
            assert (await clerk.post(run, {"_key": "approve-it"})).status == 303
            await idle(clerk, run)
    finally:
        worker.stop()
        await task
    assert await only(site, "select sum(balance)::bigint from payments.account_balance") == 4000
    actor = await only(site, "select actor from kernel.audit_log where verb = 'payments.run_approved'")
    assert actor == str(clerk.user)


async def test_where_two_people_are_needed_no_month_is_charged_or_rolled_back_by_one(
    site: Site, office: Office
) -> None:
    async with lodgers(site, 2):
        clerk, other = await office.visitor(Role.ADMIN), await office.visitor(Role.ADMIN)
    async with acting(site) as conn:
        await conn.execute("insert into kernel.setting (plugin, value) values ('payments', $1)", TWO_PEOPLE)
    schedule = await a_schedule(clerk)
    await sent(clerk, f"{schedule}/components", name="Metry", code="m", rate="2", since="1.2026")
    await sent(clerk, f"{schedule}/quantities", text="L0;m;10\nL1;m;10", since="1.12.2026")
    run = await sent(clerk, f"{schedule}/run", month="12.2026")
    await work(site)
    mine = await clerk.post(run, {"_key": "mine"})
    assert mine.status == 422
    assert (await other.post(run, {"_key": "theirs"})).status == 303
    await work(site)
    assert await only(site, "select sum(balance)::bigint from payments.account_balance") == 4000

    await sent(other, f"{run}/roll-back", reason="zła stawka")
    assert await work(site) == 0
    assert "ktoś inny" in (await clerk.get(run)).text
    assert (await other.post(f"{run}/confirm-undo", {"_key": "alone"})).status == 422
    assert (await other.post(f"{run}/withdraw-undo", {"_key": "withdraw"})).status == 303
    assert (await clerk.post(f"{run}/confirm-undo", {"_key": "too-late"})).status == 422
    await sent(other, f"{run}/roll-back", reason="jednak zła stawka")
    assert (await clerk.post(f"{run}/confirm-undo", {"_key": "together"})).status == 303
    await work(site)
    assert await only(site, "select sum(balance)::bigint from payments.account_balance") == 0
    async with acting(site) as conn:
        rows = await conn.fetch(
            "select distinct created_by, approved_by, reason from payments.entry where kind = 'reversal'"
        )
    assert [tuple(row.values()) for row in rows] == [(str(other.user), str(clerk.user), "jednak zła stawka")]
    event = "select actor from kernel.audit_log where verb = 'payments.run_rolled_back'"
    assert await only(site, event) == str(clerk.user)

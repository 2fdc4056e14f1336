"""Months: closed in order with a report that proves the book, opened again with a reason, and turnover."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from kernel import Connection, Refused, Role, Site
from kernel.db import migrate
from kernel.testing import Office, Visitor
from plugins.payments import store as ledger
from plugins.payments.books import jobs, month_store
from plugins.payments.books.model import Booked, Month, Turnover, account_turnover, digest, turnover
from tests.plugins.payments.ledger import Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments"])

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = date(2026, 11, 24)
SEPTEMBER, OCTOBER, NOVEMBER = (Month(date(2026, number, 1)) for number in (9, 10, 11))


@pytest.fixture(autouse=True)
def _at_noon(site: Site) -> None:
    site.clock.move_to(NOON)


@pytest.fixture
async def clerk(office: Office) -> Visitor:
    return await office.visitor(Role.ADMIN)


async def main_book(conn: Connection) -> int:
    return await conn.fetchval("select id from payments.book where code = 'main'")


async def booked(book: Book, day: date, *drafts: ledger.Draft) -> list[int]:
    """Enter and approve on a day; the numbers."""
    keys = await ledger.add_drafts(book.conn, drafts)
    await ledger.approve(book.conn, keys, day)
    return sorted(key.entry for key in keys)


async def a_year(site: Site) -> Book:
    """An account with a fee of 2025, and in 2026 a fee in September, a fee and a payment in October."""
    async with acting(site) as tx:
        book = await Book.opened(tx)
        await booked(book, date(2025, 12, 30), book.charge(10000, date(2026, 1, 9)))
        await booked(book, date(2026, 9, 10), book.charge(3000, date(2026, 9, 10)))
        await booked(
            book, date(2026, 10, 12), book.charge(2500, date(2026, 10, 12)), book.payment(14000, date(2026, 10, 12))
        )
        return book


async def close(site: Site, month: Month, *, acknowledged: bool = False) -> month_store.Closing:
    """Close a month of the book «main» and make its report."""
    async with acting(site) as tx:
        number = await main_book(tx)
        made = await month_store.begin_close(
            tx, number, month, acknowledged=acknowledged, today=site.clock.today(), at=site.clock.now()
        )
    await jobs.close_month(site, {"closing": made})
    async with site.db.connection() as conn:
        found = await month_store.closing(conn, number, month)
    assert found is not None
    return found


# --- closing --------------------------------------------------------------------------------------------------------


async def test_a_month_is_closed_with_its_report(clerk: Visitor, site: Site, conn: Connection) -> None:
    await a_year(site)
    number = await main_book(conn)
    page = f"/admin/books/{number}/months"
    assert 'value="2026-10"' in (await clerk.get(page)).text
    answer = await clerk.post(page, {"month": "2026-10"})
    assert answer.status == 303
    assert "w przygotowaniu" in (await clerk.get(f"{page}/2026-10")).text
    assert (await clerk.get(f"{page}/2026-10.pdf")).status == 404
    closing = await conn.fetchval("select id from payments.month_close")
    await jobs.close_month(site, {"closing": closing})
    await jobs.close_month(site, {"closing": closing})
    found = await month_store.closing(conn, number, OCTOBER)
    assert found is not None
    assert found.report is not None
    assert found.state == "closed"
    assert found.report["turnover"] == {
        "opening_debit": 13000,
        "opening_credit": 0,
        "debit": 2500,
        "credit": 14000,
        "year_debit": 5500,
        "year_credit": 14000,
        "closing_debit": 1500,
        "closing_credit": 0,
    }
    assert found.report["kinds"] == [
        {"side": "charge", "kind": "fee", "entries": 1, "debit": 2500, "credit": 0},
        {"side": "credit", "kind": "payment", "entries": 1, "debit": 0, "credit": 14000},
    ]
    assert found.report["journal"] == {"first": 3, "last": 4, "proven": 0, "upto": 4, "counted": 4, "is_whole": True}
    assert found.report["accounts"] == {"all": 1, "owing": 1, "overpaid": 0, "in_arrears": 1}
    assert found.report["proof"]["entries"] == found.report["proof"]["kept"] == 1500
    assert found.sha256 is not None
    assert found.sha256 == digest(found.report)
    text = (await clerk.get(f"{page}/2026-10")).text.replace("\xa0", " ")
    for shown in ("130,00", "140,00", "15,00", found.sha256):
        assert shown in text
    pdf = await clerk.get(f"{page}/2026-10.pdf")
    assert pdf.content.startswith(b"%PDF")
    assert pdf.content == (await clerk.get(f"{page}/2026-10.pdf")).content
    told = await conn.fetchval("select count(*) from kernel.audit_log where verb = 'payments.month_closed'")
    assert told == 1


async def test_the_next_report_goes_on_where_the_last_ended(site: Site) -> None:
    book = await a_year(site)
    first = await close(site, SEPTEMBER)
    async with acting(site) as tx:
        book.conn = tx
        await booked(book, date(2026, 10, 20), book.charge(100, date(2026, 10, 20)))
    second = await close(site, OCTOBER)
    assert first.report is not None
    assert second.report is not None
    assert second.report["journal"] == {"first": 3, "last": 5, "proven": 4, "upto": 5, "counted": 1, "is_whole": True}
    opening = {name: second.report["turnover"][f"opening_{name}"] for name in ("debit", "credit")}
    assert opening == {name: first.report["turnover"][f"closing_{name}"] for name in ("debit", "credit")}


async def test_only_months_that_ended_in_order_and_once(clerk: Visitor, site: Site, conn: Connection) -> None:
    number = await main_book(conn)
    page = f"/admin/books/{number}/months"
    for month, reason in ((NOVEMBER, "jeszcze się nie skończył"), (Month(date(2027, 1, 1)), "jeszcze się nie")):
        answer = await clerk.post(page, {"month": str(month)})
        assert (answer.status, reason in answer.text) == (422, True)
    await close(site, SEPTEMBER)
    for month, reason in ((SEPTEMBER, "jest już zamknięty"), (Month(date(2026, 8, 1)), "jest już zamknięty")):
        answer = await clerk.post(page, {"month": str(month)})
        assert (answer.status, reason in answer.text) == (422, True)
    assert (await clerk.post(page, {"month": "2026-11"})).status == 422
    for wrong in ("", "2026-13", "x", "2026-10-01"):
        assert (await clerk.post(page, {"month": wrong})).status == 422
    assert (await clerk.post(page, {"month": "2026-10"})).status == 303
    answer = await clerk.post(page, {"month": "2026-11"})
    assert answer.status == 422
    assert "jest jeszcze w przygotowaniu" in answer.text


async def test_fifty_who_close_at_once_close_once(site: Site) -> None:
    async def attempt() -> bool:
        try:
            async with acting(site) as tx:
                await month_store.begin_close(
                    tx, await main_book(tx), OCTOBER, acknowledged=False, today=TODAY, at=NOON
                )
        except Refused:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt() for _number in range(50)))) == 1


async def test_drafts_are_left_to_the_next_month_knowingly(clerk: Visitor, site: Site, conn: Connection) -> None:
    async with acting(site) as tx:
        book = await Book.opened(tx)
        (draft,) = await ledger.add_drafts(tx, [book.payment(500, date(2026, 10, 30))])
    page = f"/admin/books/{await main_book(conn)}/months"
    refused = await clerk.post(page, {"month": "2026-10"})
    assert refused.status == 422
    assert "czekają" in refused.text
    assert 'name="acknowledged"' in refused.text
    assert (await clerk.post(page, {"month": "2026-10", "acknowledged": "true"})).status == 303
    async with acting(site) as tx:
        await ledger.approve(tx, [draft], TODAY)
        entry = await ledger.entry(tx, draft.entry)
    assert entry is not None
    assert (entry.booked_on, entry.value_date) == (TODAY, date(2026, 10, 30))


async def test_a_closed_month_takes_no_entry_and_loses_none(site: Site) -> None:
    book = await a_year(site)
    await close(site, OCTOBER)
    with pytest.raises(Refused):
        async with acting(site) as tx:
            await booked(replace(book, conn=tx), date(2026, 10, 31), book.charge(100, date(2026, 11, 5)))
    async with acting(site) as tx:
        book.conn = tx
        await booked(book, date(2026, 11, 1), book.charge(100, date(2026, 11, 5)))


async def test_who_approves_while_the_month_is_being_closed_is_refused(site: Site) -> None:
    async with acting(site) as tx:
        book = await Book.opened(tx)
        keys = await ledger.add_drafts(tx, [book.charge(900, date(2026, 11, 5))])

    async def approve() -> None:
        async with acting(site) as tx:
            await ledger.approve(tx, keys, OCTOBER.last)

    async with acting(site) as tx:
        number = await main_book(tx)
        await month_store.begin_close(tx, number, OCTOBER, acknowledged=False, today=TODAY, at=NOON)
        approving = asyncio.create_task(approve())
        await asyncio.sleep(0.5)
        assert not approving.done(), "it waits"
    with pytest.raises(Refused):
        await approving


async def test_an_entry_of_a_closed_month_is_not_voided(site: Site) -> None:
    book = await a_year(site)
    async with acting(site) as tx:
        book.conn = tx
        (open_one,) = await booked(book, TODAY, book.charge(100, TODAY))
        closed_one = await tx.fetchval("select max(id) from payments.entry where booked_on = '2026-10-12'")
    await close(site, OCTOBER)
    with pytest.raises(Refused):
        async with acting(site, superadmin_mode=True) as tx:
            await replace(book, conn=tx).void(closed_one)
    async with acting(site, superadmin_mode=True) as tx:
        book.conn = tx
        await book.void(open_one)


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("update payments.account_balance set credited = credited + 1", "kept_differs"),
        ("update payments.book set last_journal_no = last_journal_no + 1", "journal_gap"),
    ],
)
async def test_a_ledger_that_is_found_wrong_stays_open(
    clerk: Visitor, office: Office, site: Site, conn: Connection, damage: str, finding: str
) -> None:
    await a_year(site)
    await office.visitor(Role.SUPERADMIN)
    async with site.db.connection() as plain:
        await plain.execute("update kernel.users set email = 'super@example.org' where role = 'superadmin'")
    owner = await migrate.connect(site.owner_dsn)
    await owner.execute(damage)
    await owner.close()
    found = await close(site, OCTOBER)
    assert found.state == "failed"
    assert found.report is not None
    assert found.report["findings"] == [finding]
    assert await conn.fetchval("select closed_through from payments.book where code = 'main'") is None
    assert await conn.fetchval("select count(*) from kernel.mail_log") == 1
    page = f"/admin/books/{await main_book(conn)}/months"
    assert "niezamknięty" in (await clerk.get(page)).text
    assert (await clerk.get(f"{page}/2026-10")).status == 200
    assert (await clerk.get(f"{page}/2026-10.pdf")).status == 200


async def test_a_number_that_stands_twice_is_found(site: Site) -> None:
    for number in ("1", "2"):
        async with acting(site) as tx:
            book = await Book.opened(tx, number)
            await booked(book, date(2026, 10, 5), book.charge(900, date(2026, 10, 5)))
    owner = await migrate.connect(site.owner_dsn)
    await owner.execute("alter table payments.entry disable trigger user")
    await owner.execute("update payments.entry set journal_no = 1")
    await owner.close()
    found = await close(site, OCTOBER)
    assert found.report is not None
    assert found.report["findings"] == ["journal_repeated"]


async def test_a_report_is_the_same_however_few_accounts_are_summed_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in ("1", "2", "3", "4", "5"):
        async with acting(site) as tx:
            book = await Book.opened(tx, number)
            await booked(book, date(2026, 10, 5), book.charge(900, date(2026, 10, 5)), book.payment(100, TODAY))
    whole = await close(site, OCTOBER)
    async with acting(site, superadmin_mode=True) as tx:
        await month_store.reopen(tx, whole, "jeszcze raz", NOON)
    monkeypatch.setattr(month_store, "AT_ONCE", 2)
    parts = await close(site, OCTOBER)
    assert parts.state == "closed"
    assert parts.sha256 == whole.sha256


# --- opening again --------------------------------------------------------------------------------------------------


async def test_the_last_month_is_opened_again_with_a_reason(office: Office, site: Site, conn: Connection) -> None:
    await a_year(site)
    await close(site, SEPTEMBER)
    await close(site, OCTOBER)
    number = await main_book(conn)
    page = f"/admin/books/{number}/months/2026-10"
    for visitor in (await office.visitor(Role.ADMIN), await office.visitor(Role.SUPERADMIN)):
        assert (await visitor.post(f"{page}/reopen", {"reason": "pomyłka"})).status == 403
    boss = await office.visitor(Role.SUPERADMIN, mode=True)
    assert (await boss.get(f"{page}/reopen")).status == 200
    assert (await boss.post(f"{page}/reopen", {"reason": " "})).status == 422
    earlier = await boss.post(f"/admin/books/{number}/months/2026-09/reopen", {"reason": "pomyłka"})
    assert earlier.status == 422
    assert "tylko ostatni" in earlier.text
    assert (await boss.post(f"{page}/reopen", {"reason": "pomyłka"})).status == 303
    assert (await boss.post(f"{page}/reopen", {"reason": "pomyłka"})).status == 422
    assert await conn.fetchval("select closed_through from payments.book where id = $1", number) == SEPTEMBER.last
    assert "pomyłka" in (await boss.get(f"/admin/books/{number}/months")).text
    again = await close(site, OCTOBER)
    assert again.state == "closed"
    assert [one.state for one in await month_store.closings(conn, number)] == ["closed", "reopened", "closed"]


async def test_without_the_mode_the_database_opens_nothing(site: Site) -> None:
    found = await close(site, OCTOBER)
    with pytest.raises(Refused):
        async with acting(site) as tx:
            await month_store.reopen(tx, found, "pomyłka", NOON)


# --- turnover -------------------------------------------------------------------------------------------------------


def grosze(text: str) -> int:
    return int(text.replace(",", "")) if text else 0


async def listed(clerk: Visitor, book: int, month: str) -> dict[str, Turnover]:
    file = (await clerk.get(f"/admin/books/{book}/turnover?month={month}&format=csv")).text.removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(file), delimiter=";"))[1:]
    return {row[0]: Turnover(*map(grosze, row[2:])) for row in rows}


LINES = """
select e.account_id as account, e.side, e.kind, payments.takes_back(e.side, e.kind, e.corrects) as takes_back,
       case when e.booked_on < $1 then 0 when e.booked_on < $2 then 1 when e.booked_on <= $3 then 2 else 3 end as era,
       1 as entries, e.amount
from payments.entry e where e.state = 'approved'
"""


@pytest.mark.parametrize("storno", ["black", "red"])
async def test_report_list_and_rules_give_one_turnover(
    clerk: Visitor, site: Site, conn: Connection, storno: str
) -> None:
    owner = await migrate.connect(site.owner_dsn)
    await owner.execute("update payments.book set storno = $1", storno)
    await owner.close()
    async with acting(site) as tx:
        for place, number in enumerate(("1", "2", "3"), start=1):
            book = await Book.opened(tx, number)
            (fee, _paid) = await booked(
                book,
                date(2025, 11, 5),
                book.charge(1000 * place, date(2025, 11, 5)),
                book.payment(2500, date(2025, 11, 5)),
            )
            await booked(book, date(2026, 9, 5), book.charge(700 * place, date(2026, 9, 5)))
            (october,) = await booked(book, date(2026, 10, 5), book.charge(900, date(2026, 10, 5)))
            await booked(
                book,
                date(2026, 10, 6),
                ledger.Draft(
                    book.account,
                    ledger.Side.CREDIT,
                    "correction",
                    ledger.Money(100 * place),
                    value_date=date(2026, 10, 6),
                    corrects=october,
                ),
            )
            reversal = await ledger.draft_reversals(tx, [book.key(fee)], "pomyłka", date(2026, 10, 7))
            await ledger.approve(tx, reversal, date(2026, 10, 7))
            await booked(book, date(2026, 11, 2), book.payment(400, date(2026, 11, 2)))
    found = await close(site, OCTOBER)
    assert found.report is not None
    rows = [Booked(**dict(row)) for row in await conn.fetch(LINES, OCTOBER.year_start, OCTOBER.first, OCTOBER.last)]
    whole = turnover(rows, storno)
    assert Turnover(**found.report["turnover"]) == whole
    lines = await listed(clerk, await main_book(conn), "2026-10")
    assert sum(lines.values(), Turnover()) == whole
    accounts = {str(place): account for place, account in enumerate(sorted({row.account for row in rows}), start=1)}
    for number, line in lines.items():
        own = [row for row in rows if row.account == accounts[number]]
        assert line == account_turnover(own, storno)
    assert sum(line["debit"] for line in found.report["kinds"]) == whole.debit
    assert sum(line["credit"] for line in found.report["kinds"]) == whole.credit


async def test_turnover_of_a_month_that_is_none_is_refused(clerk: Visitor, conn: Connection) -> None:
    number = await main_book(conn)
    assert (await clerk.get(f"/admin/books/{number}/turnover")).status == 200
    assert (await clerk.get(f"/admin/books/{number}/turnover?month=2026-10&customer=1")).status == 200
    assert (await clerk.get(f"/admin/books/{number}/turnover?month=2026-13")).status == 422

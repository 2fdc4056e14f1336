"""What only a superadministrator deletes of what is approved: each kind once, refused to everybody else, and what
remains is consistent."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import LiteralString

import asyncpg
import pytest

from kernel import Connection, Finding, Money, Site
from kernel.auth.passwords import hash_password
from kernel.db.pool import Stamp
from kernel.plugin.permissions import Role
from kernel.testing import Office, Visitor
from plugins.payments import Side, store
from plugins.payments.charging import list_jobs, list_store
from plugins.payments.charging import store as fees
from plugins.payments.charging.model import Month, Terms
from plugins.payments.charging.reading import columns_of, split
from plugins.payments.charging.store import Held, ScheduleFacts
from plugins.payments.interest import notes
from plugins.payments.store import Draft
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments"])

PASSWORD = "spokojny poranek w biurze"
LIST = "kwota;numer;termin;tytuł\n12,50;4711;10.12.2026;Domofon\n7;4711;10.12.2026;Klucz"
REASON = "założone przez pomyłkę"


@dataclass(frozen=True)
class Thing:
    """Approved data: the page that deletes it, the statement that does, the question that shows it gone (true)."""

    address: str
    statement: str
    gone: LiteralString
    number: str
    balance: int
    """What the account owes afterwards, grosze."""


Made = Callable[[Connection, Book], Awaitable[Thing]]


async def payment(conn: Connection, book: Book) -> Thing:
    await book.post(book.charge(10000, date(2026, 11, 10)))
    (number,) = await book.post(book.payment(4000, date(2026, 11, 9)))
    return Thing(
        f"/admin/entries/{number}/void",
        f"select payments.void({book.account}, {number}, 'powód')",
        "select count(*) = 1 from payments.entry where state = 'voided' and kind = 'payment'",
        str(number),
        10000,
    )


async def charge(conn: Connection, book: Book) -> Thing:
    (number,) = await book.post(book.charge(10000, date(2026, 11, 10)))
    await book.post(book.payment(4000, date(2026, 11, 9)))
    return Thing(
        f"/admin/entries/{number}/void",
        f"select payments.void({book.account}, {number}, 'powód')",
        "select count(*) = 1 from payments.entry where state = 'voided' and kind = 'fee'",
        str(number),
        -4000,
    )


async def account(conn: Connection, book: Book) -> Thing:
    (due,) = await book.post(book.charge(10000, date(2026, 11, 10)))
    await book.post(book.payment(4000, date(2026, 11, 9)))
    await book.post(Draft(book.account, Side.CREDIT, "correction", Money(500), value_date=TODAY, corrects=due))
    await store.add_drafts(conn, [book.payment(700, date(2026, 11, 20))])
    return Thing(
        f"/admin/accounts/{book.account}/delete",
        f"select * from payments.delete_account({book.account}, 'powód', '{TODAY}')",  # noqa: S608
        "select a.deleted_at is not null and a.closed_on is not null and not exists (select from payments.entry"
        " where state <> 'voided') from payments.account a",
        "4711",
        0,
    )


async def interest_note(conn: Connection, book: Book) -> Thing:
    await book.post(book.charge(30000, date(2026, 1, 10)))
    await book.post(book.payment(12000, date(2026, 5, 4)))
    (issued,) = await notes.issue(conn, [book.account], date(2026, 10, 31), TODAY, 14)
    return Thing(
        f"/admin/interest/notes/{issued.id}/delete",
        f"select payments.delete_note({book.account}, {issued.id}, 'powód')",
        "select deleted_at is not null and not exists (select from payments.entry where kind = 'interest' and"
        " state <> 'voided') from payments.interest_note",
        issued.note_no,
        18000,
    )


async def charge_run(conn: Connection, book: Book) -> Thing:
    facts = ScheduleFacts("garaze", "Garaże", 1, Terms(1, 0, 10, 0), "Garaż, {month} {year}")
    schedule = await fees.add_schedule(conn, facts)
    component = await fees.add_component(conn, schedule, "miejsce", "Miejsce postojowe", "szt.", 1)
    found = await fees.component(conn, component)
    assert found is not None
    await fees.set_rate(conn, found[1], Month(date(2026, 1, 1)), Decimal("85.50"))
    await fees.set_quantities(conn, schedule, [Held(book.account, component, date(2026, 1, 1), Decimal(1))])
    run = await fees.start(conn, schedule, Month(date(2026, 11, 1)))
    await fees.compute(conn, run, "Garaż, listopad 2026", date(2026, 11, 1), date(2026, 11, 10))
    await fees.move(conn, run, "ready", "approving")
    rows = await conn.fetch("select * from payments.book_charges($1, 0, 100)", run)
    await store.approve(conn, [store.Key(row["account_id"], row["id"]) for row in rows], TODAY)
    await fees.move(conn, run, "approving", "approved")
    return Thing(
        f"/admin/charging/runs/{run}/delete",
        f"select * from payments.delete_run({run}, 'powód')",  # noqa: S608
        "select state = 'deleted' and not exists (select from payments.entry where state <> 'voided')"
        " from payments.charge_run",
        str(run),
        0,
    )


async def charge_list(conn: Connection, book: Book) -> Thing:
    columns, lines = columns_of(
        split("kwota;numer;termin;tytuł\n12,50;4711;10.12.2026;Domofon\n7;4711;10.12.2026;Klucz")
    )
    batch = await list_store.add(
        conn,
        name="Domofony",
        kind="fee",
        book=1,
        issued_on=date(2026, 11, 1),
        due_on=None,
        columns=columns,
        lines=lines,
    )
    await list_jobs.check_lines(conn, batch, None)
    await list_store.move(conn, batch, ["ready"], "entered")
    await list_store.enter(conn, batch, again=False)
    first, *_later = await list_store.drafts(conn, batch)
    await store.approve(conn, [first], TODAY)
    return Thing(
        f"/admin/charges/lists/{batch}/void",
        f"select * from payments.delete_list({batch}, 'powód')",  # noqa: S608
        "select state = 'deleted' and not exists (select from payments.entry where state <> 'voided')"
        " from payments.charge_batch",
        str(batch),
        0,
    )


KINDS: dict[str, Made] = {
    "payment": payment,
    "charge": charge,
    "account": account,
    "interest note": interest_note,
    "charge run": charge_run,
    "list of charges": charge_list,
}


@pytest.fixture(params=KINDS)
async def thing(site: Site, request: pytest.FixtureRequest) -> Thing:
    """One approved thing of each kind, on a customer's account."""
    async with acting(site) as conn:
        made = await KINDS[request.param](conn, await Book.opened(conn))
        await conn.execute(
            "insert into kernel.users (login, name, email, role, language, state)"
            " values ('jan', 'Jan', 'jan@example.org', 'superadmin', 'pl', 'active')"
        )
        return made


async def superadmin(office: Office, *, mode: bool = True) -> Visitor:
    """A superadministrator who knows the password."""
    visitor = await office.visitor(Role.SUPERADMIN, mode=mode)
    async with office.site.db.transaction(Stamp("test")) as conn:
        await conn.execute(
            "update kernel.users set password_hash = $2, name = 'Maria Zielińska' where id = $1",
            visitor.user,
            await hash_password(PASSWORD),
        )
    return visitor


async def findings(site: Site) -> list[str]:
    """What ``ebok verify`` finds wrong."""
    async with site.db.connection() as conn:
        return [
            finding.message
            for check in site.registry.checks.values()
            if "verify" in check.when
            async for finding in check.run(conn)
            if isinstance(finding, Finding)
        ]


def form(**changed: str) -> dict[str, str]:
    return {"_key": "delete-it", "reason": REASON, "password": PASSWORD} | changed


async def test_a_superadministrator_deletes_it_and_what_remains_is_consistent(
    site: Site, office: Office, thing: Thing
) -> None:
    boss = await superadmin(office)
    page = await boss.get(thing.address)
    assert page.status == 200
    assert 'type="password"' in page.text
    done = await boss.post(thing.address, form())
    assert done.status == 303, done.text
    assert (await boss.get(done.headers["Location"])).status == 200
    async with acting(site) as conn:
        assert await conn.fetchval(thing.gone) is True
        assert await conn.fetchval("select balance from payments.account_balance") == thing.balance
        stone = await conn.fetchrow("select * from kernel.tombstone order by id desc limit 1")
        assert stone is not None
        assert (stone["number"], stone["reason"], stone["deleted_by"]) == (thing.number, REASON, str(boss.user))
        told = await conn.fetch("select recipient from kernel.mail_log")
        assert [row["recipient"] for row in told] == ["jan@example.org"]
        events = await conn.fetch("select mode, actor from kernel.audit_log where verb = $1", stone["verb"])
        assert events
        assert {(row["mode"], row["actor"]) for row in events} == {("superadmin", str(boss.user))}
    assert await findings(site) == []

    # Asked again, it is done once.
    assert (await boss.post(thing.address, form(_key="again"))).status == 303
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from kernel.mail_log") == 1

    # The tombstone is read by the whole office, and taken out as a file.
    clerk = await office.visitor(Role.ADMIN)
    deleted = await clerk.get(f"/admin/deleted?number={thing.number.replace('/', '%2F')}")
    assert REASON in deleted.text
    assert "Maria Zielińska" in deleted.text
    rows = list(
        csv.reader(io.StringIO((await clerk.get("/admin/deleted?format=csv")).text.lstrip("\ufeff")), delimiter=";")
    )
    assert any(thing.number in row for row in rows)


async def test_nobody_else_deletes_it_by_page(site: Site, office: Office, thing: Thing) -> None:
    for visitor in (await office.visitor(Role.ADMIN), await superadmin(office, mode=False)):
        assert (await visitor.get(thing.address)).status == 403
        assert (await visitor.post(thing.address, form())).status == 403
    await stands(site, thing)


async def test_nobody_else_deletes_it_in_sql(site: Site, thing: Thing) -> None:
    for stamp in (Stamp("1", "admin"), Stamp("1", "superadmin"), Stamp("1"), Stamp("1", "admin", superadmin_mode=True)):
        with pytest.raises(asyncpg.PostgresError) as refused:
            async with site.db.transaction(stamp) as conn:
                await conn.execute(thing.statement)  # type: ignore[arg-type]
        assert refused.value.sqlstate == "EB001", refused.value
    await stands(site, thing)


async def test_no_program_deletes_it(office: Office, site: Site, thing: Thing) -> None:
    boss = await superadmin(office)
    for path in (f"/api/v1{thing.address.removeprefix('/admin')}", f"/api/v1/{thing.address.split('/')[2]}/1"):
        for method in ("POST", "DELETE"):
            assert (await boss.send(method, path, json={"reason": REASON})).status in (401, 403, 404, 405)
    await stands(site, thing)


async def stands(site: Site, thing: Thing) -> None:
    async with acting(site) as conn:
        assert await conn.fetchval(thing.gone) is False
        assert await conn.fetchval("select count(*) from kernel.tombstone") == 0
        assert await conn.fetchval("select count(*) from kernel.mail_log") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "delete from payments.account",
        "update payments.account set deleted_at = now()",
        "delete from payments.entry where state = 'approved'",
        "update payments.entry set state = 'voided'",
        "delete from payments.interest_note",
        "update payments.interest_note set deleted_at = now()",
        "delete from payments.interest_note_line",
        "update payments.charge_run set state = 'deleted'",
        "delete from payments.charge_run",
        "delete from kernel.tombstone",
        "insert into kernel.tombstone (verb, reason) values ('payments.voided', 'powód')",
        "select kernel.bury('payments.voided', 'entry 1', '1', null, 'powód', '{}')",
        "select payments.forget_accounts(customer) from payments.account",
    ],
)
async def test_the_application_role_cannot_go_round_the_guards(site: Site, statement: LiteralString) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await interest_note(conn, book)
        await charge_run(conn, book)
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with site.db.transaction(Stamp("1", "admin")) as conn:
            await conn.execute(statement)
    assert refused.value.sqlstate in ("EB001", "EB002", "EB003", "42501"), refused.value


async def test_the_number_of_a_deleted_account_stays_taken_and_the_customer_gets_another(
    site: Site, office: Office
) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(10000, date(2026, 11, 10)))
    boss = await superadmin(office)
    assert (await boss.post(f"/admin/accounts/{book.account}/delete", form())).status == 303
    assert "konto usunięte" in (await boss.get("/admin/accounts")).text.lower()
    assert (await boss.post(f"/admin/accounts/{book.account}/reopen", {"_key": "reopen"})).status == 422
    async with acting(site) as conn:
        opened = await store.open_accounts(conn, [book.customer], TODAY)
        assert opened[book.customer] != book.account
        row = await conn.fetchrow("select account_no from payments.account where id = $1", opened[book.customer])
        assert row is not None
        assert row["account_no"] == "4711/2"
        again = Book(conn, book.customer, opened[book.customer])
        await again.post(again.charge(500, date(2026, 11, 10)))
    assert await findings(site) == []


async def test_an_account_that_gave_to_another_is_not_deleted(site: Site, office: Office) -> None:
    boss = await superadmin(office)
    async with acting(site) as conn:
        book, other = await Book.opened(conn), await Book.opened(conn, "4712")
        await book.post(book.payment(4000, date(2026, 11, 9)))
    moved = await boss.post(
        f"/admin/accounts/{book.account}/transfer-credit",
        {"_key": "give", "to": "4712", "amount": "10,00", "day": "24.11.2026", "reason": "prośba klienta"},
    )
    assert moved.status == 303
    refused = await boss.post(f"/admin/accounts/{other.account}/delete", form())
    assert refused.status == 422
    assert "przeksięgowania" in refused.text

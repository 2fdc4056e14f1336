"""The office's pages: entering, approving, reversing, voiding, and what is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any, LiteralString

import pytest

from kernel import Connection, Role, Site
from kernel.auth.passwords import hash_password
from kernel.db.pool import Stamp
from kernel.testing import Office, Page, Visitor
from plugins.payments import checks, store
from tests.plugins.payments.ledger import Book, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["payments"])

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def site(site: Site) -> Site:
    site.clock.move_to(NOW)
    return site


def key_of(page: Page) -> str:
    found = re.search(r'name="_key" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def hidden(page: Page) -> dict[str, str]:
    """What a form carries unseen: its key, and what the page showed."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))


async def enter(visitor: Visitor, **form: str) -> Page:
    page = await visitor.get("/admin/payments/new")
    assert page.status == 200
    values = {"customer_no": "4711", "amount": "20,00", "value_date": "24.11.2026", "channel": "transfer"} | form
    return await visitor.post("/admin/payments/new", {"_key": key_of(page), **values})


async def test_a_payment_is_entered_and_approved(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(3762, date(2026, 11, 10)))
    clerk = await office.visitor(Role.ADMIN)
    entered = await enter(clerk)
    assert entered.status == 303
    address = entered.headers["Location"]
    shown = await clerk.get(address)
    assert shown.status == 200
    listed = await clerk.get("/admin/payments?state=draft")
    assert "Stanisław Wójcik" in listed.text
    approved = await clerk.post(address, {"_key": key_of(shown)})
    assert approved.status == 303
    assert (await clerk.get(address)).status == 200
    async with acting(site) as conn:
        found = await store.entry(conn, charge)
        assert found is not None
        assert found.open_amount.grosze == 1762
        verbs = await conn.fetch("select verb, facts from kernel.audit_log order by id")
        assert [row["verb"] for row in verbs] == ["payments.approved", "payments.entered", "payments.approved"]
        assert verbs[-1]["facts"] == {"count": 1, "charged": "0.00", "credited": "20.00"}


async def test_the_same_form_twice_makes_one_payment(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await add_customer(conn)
    clerk = await office.visitor(Role.ADMIN)
    page = await clerk.get("/admin/payments/new")
    form = {"_key": key_of(page), "customer_no": "4711", "amount": "20", "value_date": "24.11.2026"}
    first = await clerk.post("/admin/payments/new", form)
    second = await clerk.post("/admin/payments/new", form)
    assert (first.status, second.status) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]


async def test_fifty_identical_submissions_make_one_payment(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await add_customer(conn)
    clerk = await office.visitor(Role.ADMIN)
    page = await clerk.get("/admin/payments/new")
    form = {"_key": key_of(page), "customer_no": "4711", "amount": "20", "value_date": "24.11.2026"}
    sent = await asyncio.gather(*(clerk.post("/admin/payments/new", form) for _ in range(50)))
    assert {page.status for page in sent} == {303}
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.entry") == 1
    address = sent[0].headers["Location"]
    approvals = await asyncio.gather(*(clerk.post(address, {"_key": f"approval-{n}"}) for n in range(50)))
    assert {page.status for page in approvals} == {303}
    async with acting(site) as conn:
        assert await conn.fetchval("select credited from payments.account_balance") == 2000


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("amount", "1e3", "1 234,56"),
        ("amount", "NaN", "1 234,56"),
        ("amount", "-5", "ujemna"),
        ("amount", "0", "większa"),
        ("amount", "1 234,567", "dwa"),
        ("customer_no", "9999", "numer"),
        ("value_date", "31.02.2026", "takiego dnia"),
        ("value_date", "25.11.2026", "nie nadszedł"),
        ("value_date", "24.11.0206", "1900"),
        ("paid_on", "25.11.2026", "nie nadszedł"),
        ("paid_on", "24.11.2026", "późniejsza niż wpływ"),
        ("title", "a\x00b", ""),
        ("customer_no", "47\x0011", ""),
        ("channel", "gołębiem", ""),
    ],
)
async def test_what_is_wrong_is_said_at_the_field(
    site: Site, office: Office, field: str, value: str, message: str
) -> None:
    async with acting(site) as conn:
        await add_customer(conn)
    clerk = await office.visitor(Role.ADMIN)
    days = {"value_date": "23.11.2026"} if field == "paid_on" else {}
    refused = await enter(clerk, **days, **{field: value})
    assert refused.status == 422
    assert f'id="f-{field}-error"' in refused.text
    assert message in refused.text
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.entry") == 0


async def test_many_are_approved_at_once_and_each_once(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        keys = await store.add_drafts(conn, [book.payment(100 + n, date(2026, 11, 20)) for n in range(5)])
    clerk = await office.visitor(Role.ADMIN)
    page = await clerk.get("/admin/payments?state=draft")
    ids = [("ids", str(key.entry)) for key in keys[:2]]
    sent = await clerk.send("POST", "/admin/payments?state=draft", data=[("_key", key_of(page)), *ids])
    assert sent.status == 303
    none = await clerk.post("/admin/payments", {"_key": "another"})
    assert none.status == 422
    page = await clerk.get("/admin/payments/approve?amount=1,04")
    assert "1,04" in page.text
    every = await clerk.post("/admin/payments/approve?amount=1,04", hidden(page))
    assert every.status == 303
    async with acting(site) as conn:
        approved = await conn.fetch(
            "select amount, journal_no from payments.entry where state = 'approved' order by id"
        )
        assert [(row["amount"], row["journal_no"]) for row in approved] == [(100, 1), (101, 2), (104, 3)]


async def test_drafts_are_edited_and_deleted_but_approved_entries_are_not(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        draft, other = await store.add_drafts(
            conn, [book.payment(100, date(2026, 11, 20)), book.charge(5, date(2026, 12, 10))]
        )
    clerk = await office.visitor(Role.ADMIN)
    address = f"/admin/entries/{draft.entry}"
    page = await clerk.get(f"{address}/edit")
    saved = await clerk.post(f"{address}/edit", {"_key": key_of(page), "amount": "2,50", "day": "21.11.2026"})
    assert saved.status == 303
    page = await clerk.get(f"/admin/entries/{other.entry}/edit")
    no_due = await clerk.post(
        f"/admin/entries/{other.entry}/edit", {"_key": key_of(page), "amount": "2", "day": "21.11.2026"}
    )
    assert no_due.status == 422
    page = await clerk.get(f"/admin/entries/{other.entry}/delete")
    assert (await clerk.post(f"/admin/entries/{other.entry}/delete", {"_key": key_of(page)})).status == 303
    assert (await clerk.get(f"/admin/entries/{other.entry}")).status == 404
    await clerk.post(address, {"_key": "approve-it"})
    for way in ("edit", "delete"):
        assert (await clerk.get(f"{address}/{way}")).status == 404
        assert (await clerk.post(f"{address}/{way}", {"_key": way, "amount": "1", "day": "21.11.2026"})).status == 404
    async with acting(site) as conn:
        found = await store.entry(conn, draft.entry)
        assert found is not None
        assert (found.amount.grosze, found.state) == (250, "approved")


async def test_a_charge_is_corrected_and_reversed(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, date(2026, 11, 10)))
    clerk = await office.visitor(Role.ADMIN)
    address = f"/admin/entries/{charge}"
    page = await clerk.get(f"{address}/correct")
    corrected = await clerk.post(
        f"{address}/correct", {"_key": key_of(page), "amount": "70", "reason": "zła stawka wody"}
    )
    assert corrected.status == 303
    await clerk.post(corrected.headers["Location"], {"_key": "approve-correction"})
    async with acting(site) as conn:
        assert await book_open(conn, charge) == 7000
    page = await clerk.get(f"{address}/reverse")
    assert (await clerk.post(f"{address}/reverse", {"_key": key_of(page), "reason": ""})).status == 422
    done = await clerk.post(f"{address}/reverse", {"_key": "reverse", "reason": "nie ten lokal"})
    assert done.status == 303
    assert (await clerk.get(f"{address}/reverse")).status == 303
    async with acting(site) as conn:
        assert await conn.fetchval("select balance from payments.account_balance") == 0
        assert await conn.fetchval("select sum(open_amount)::bigint from payments.entry") == 0


async def book_open(conn: object, number: int) -> int:
    found = await store.entry(conn, number)  # type: ignore[arg-type]
    assert found is not None
    return found.open_amount.grosze


PASSWORD = "spokojny poranek w biurze"


@asynccontextmanager
async def charged(site: Site) -> AsyncGenerator[tuple[Connection, Book, int]]:
    """A transaction of the office in which a charge has just been approved."""
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, date(2026, 11, 10)))
        yield conn, book, charge


async def superadmin(office: Office, *, mode: bool = True) -> Visitor:
    """Somebody who knows the password."""
    visitor = await office.visitor(Role.SUPERADMIN, mode=mode)
    async with office.site.db.transaction(Stamp("test")) as conn:
        await conn.execute(
            "update kernel.users set password_hash = $2, name = 'Maria Zielińska', email = 'maria@example.org'"
            " where id = $1",
            visitor.user,
            await hash_password(PASSWORD),
        )
    return visitor


async def only(site: Site, question: LiteralString) -> Any:
    async with acting(site) as conn:
        return await conn.fetchval(question)


async def test_nobody_but_the_superadministrator_in_the_mode_voids(site: Site, office: Office) -> None:
    async with charged(site) as (_conn, _book, charge):
        address = f"/admin/entries/{charge}/void"
    form = {"_key": "void-it", "reason": "wpisane dwa razy", "password": PASSWORD}
    clerk, boss = await office.visitor(Role.ADMIN), await superadmin(office, mode=False)
    for visitor in (clerk, boss):
        assert (await visitor.get(address)).status == 403
        assert (await visitor.post(address, form)).status == 403
    assert "/void" not in (await clerk.get(f"/admin/entries/{charge}")).text
    for role, mode in (("admin", False), ("superadmin", False), ("", False)):
        with pytest.raises(Exception, match="protected"):
            async with site.db.transaction(Stamp("1", role, superadmin_mode=mode)) as conn:
                await conn.execute("select payments.void(account_id, id, 'powód') from payments.entry")
    assert await only(site, "select state from payments.entry") == "approved"
    assert await only(site, "select count(*) from kernel.mail_log") == 0


async def test_voiding_leaves_a_tombstone_and_tells_the_other_superadministrators(site: Site, office: Office) -> None:
    async with charged(site) as (conn, book, charge):
        (later,) = await book.post(book.charge(6000, date(2026, 12, 10)))
        (payment,) = await book.post(book.payment(12000, date(2026, 11, 9)))
        customer = book.customer
        await conn.execute(
            """insert into kernel.users (login, name, email, role, language, state) values
            ('jan', 'Jan', 'jan@example.org', 'superadmin', 'pl', 'active'),
            ('ann', 'Ann', 'ann@example.org', 'superadmin', 'en', 'active'),
            ('mute', 'Mute', '', 'superadmin', 'pl', 'active'),
            ('gone', 'Gone', 'gone@example.org', 'superadmin', 'pl', 'disabled'),
            ('clerk', 'Clerk', 'clerk@example.org', 'admin', 'pl', 'active')"""
        )
    boss = await superadmin(office)
    page = await boss.get(f"/admin/entries/{charge}/void")
    assert page.status == 200
    assert 'type="password"' in page.text
    done = await boss.post(
        f"/admin/entries/{charge}/void",
        {"_key": key_of(page), "reason": "wpisane <dwa> razy", "password": PASSWORD},
    )
    assert (done.status, done.headers["Location"]) == (303, f"/admin/entries/{charge}")
    for shown in (await boss.get(f"/admin/entries/{charge}"), await boss.get(f"/admin/customers/{customer}")):
        assert "wpisane &lt;dwa&gt; razy" in shown.text
        assert "24.11.2026" in shown.text
    assert "Usunięto dnia" in shown.text
    async with acting(site) as conn:
        book = Book(conn, customer, book.account)
        assert [await book.open(number) for number in (charge, later, payment)] == [0, 0, 6000]
        assert await conn.fetchval("select balance from payments.account_balance") == -6000
        told = await conn.fetch("select recipient, subject, message from kernel.mail_log order by recipient")
        assert [row["recipient"] for row in told] == ["ann@example.org", "jan@example.org"]
        assert told[0]["subject"] == "An approved entry was voided"
        letter = message_from_bytes(told[1]["message"], policy=policy.default)
        text = letter.get_content()
        assert letter["Subject"] == "Usunięto zatwierdzony zapis"
        for words in ("Maria Zielińska", "4711", "100,00", "wpisane <dwa> razy", f"/admin/entries/{charge}"):
            assert words in text
        event = await conn.fetchrow("select * from kernel.audit_log where verb = 'payments.voided'")
        assert event is not None
        assert (event["actor"], event["mode"], event["customer"]) == (str(boss.user), "superadmin", customer)
        assert (event["facts"]["amount"], event["facts"]["reason"]) == ("100.00", "wpisane <dwa> razy")
        assert [finding for check in checks.CHECKS async for finding in check.run(conn)] == []


async def test_a_wrong_password_voids_nothing_and_keeps_what_was_typed(site: Site, office: Office) -> None:
    async with charged(site) as (_conn, _book, charge):
        address = f"/admin/entries/{charge}/void"
    boss = await superadmin(office)
    for password in ("", "nie to haslo"):
        refused = await boss.post(address, {"_key": "void-it", "reason": "wpisane dwa razy", "password": password})
        assert refused.status == 422
        assert 'id="f-password-error"' in refused.text
        assert "wpisane dwa razy" in refused.text
        assert "nie to haslo" not in refused.text
    no_reason = await boss.post(address, {"_key": "void-it", "reason": " ", "password": PASSWORD})
    assert 'id="f-reason-error"' in no_reason.text
    assert PASSWORD not in no_reason.text
    guess = {"_key": "void-it", "reason": "wpisane dwa razy", "password": "zgaduję"}
    guesses = [(await boss.post(address, guess)).status for _attempt in range(5)]
    assert guesses[-1] == 429
    assert await only(site, "select state from payments.entry") == "approved"
    assert await only(site, "select count(*) from kernel.audit_log where verb = 'payments.voided'") == 0
    site.clock.move_to(NOW + timedelta(minutes=20))
    done = await boss.post(address, {"_key": "void-it", "reason": "wpisane dwa razy", "password": PASSWORD})
    assert done.status == 303


async def test_a_void_sent_twice_is_done_once(site: Site, office: Office) -> None:
    async with charged(site) as (conn, _book, charge):
        await conn.execute(
            "insert into kernel.users (login, name, email, role) values ('jan', 'Jan', 'jan@example.org', 'superadmin')"
        )
    boss = await superadmin(office)
    address = f"/admin/entries/{charge}/void"
    form = {"_key": "void-it", "reason": "wpisane dwa razy", "password": PASSWORD}
    sent = await asyncio.gather(*(boss.post(address, form) for _ in range(4)), boss.post(address, form))
    assert {page.status for page in sent} == {303}
    again = await boss.get(address)
    assert (again.status, again.headers["Location"]) == (303, f"/admin/entries/{charge}")
    assert await only(site, "select count(*) from kernel.audit_log where verb = 'payments.voided'") == 1
    assert await only(site, "select count(*) from kernel.mail_log") == 1


async def test_what_the_ledger_refuses_is_said_on_the_form(site: Site, office: Office) -> None:
    async with charged(site) as (conn, book, charge):
        await book.post(book.payment(1000, date(2026, 11, 10), kind="correction", corrects=charge))
        far, low = await store.add_drafts(
            conn,
            [
                book.charge(100, date(2051, 1, 10)),
                book.payment(9500, date(2026, 11, 10), kind="correction", corrects=charge),
            ],
        )
    boss = await superadmin(office)
    form = {"_key": "void-it", "reason": "wpisane dwa razy", "password": PASSWORD}
    referred = await boss.post(f"/admin/entries/{charge}/void", form)
    assert referred.status == 422
    assert "Inny zapis odnosi się do tego" in referred.text
    for draft, words in ((far, "Święta"), (low, "poniżej zera")):
        alone = await boss.post(f"/admin/entries/{draft.entry}", {"_key": f"approve-{draft.entry}"})
        among = await boss.post("/admin/payments?state=draft", {"_key": f"many-{draft.entry}", "ids": str(draft.entry)})
        assert (alone.status, among.status) == (422, 422)
        assert words in alone.text
        assert words in among.text
    edited = await boss.post(
        f"/admin/entries/{far.entry}/edit",
        {"_key": "edit-far", "amount": "1", "day": "10.11.2026", "due_on": "10.01.2051"},
    )
    assert edited.status == 422
    assert 'id="f-due_on-error"' in edited.text
    assert await only(site, "select count(*) from payments.entry where state = 'draft'") == 2


async def test_a_second_reversal_leads_to_the_first(site: Site, office: Office) -> None:
    async with charged(site) as (_conn, book, charge):
        await book.reverse(charge)
    clerk = await office.visitor(Role.ADMIN)
    for answer in (
        await clerk.get(f"/admin/entries/{charge}/reverse"),
        await clerk.post(f"/admin/entries/{charge}/reverse", {"_key": "again", "reason": "zwrot z banku"}),
    ):
        assert (answer.status, answer.headers["Location"]) == (303, f"/admin/entries/{charge}")
    assert await only(site, "select count(*) from payments.entry") == 2


async def test_a_closed_customer_takes_no_payment_by_hand(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        await add_customer(conn)
        await conn.execute("update kernel.customer set status = 'closed'")
    clerk = await office.visitor(Role.ADMIN)
    refused = await enter(clerk, value_date="25.11.2026")
    assert refused.status == 422
    for field, words in (("customer_no", "zamknięty"), ("value_date", "nie nadszedł")):
        assert f'id="f-{field}-error"' in refused.text
        assert words in refused.text
    assert 'value="20,00"' in refused.text
    assert await only(site, "select count(*) from payments.entry") == 0


async def test_every_figure_of_an_entry_leads_to_what_it_met(site: Site, office: Office) -> None:
    async with charged(site) as (_conn, book, charge):
        (payment,) = await book.post(book.payment(4000, date(2026, 11, 12)))
        account = book.account
    clerk = await office.visitor(Role.ADMIN)
    shown = (await clerk.get(f"/admin/entries/{charge}")).text
    assert 'href="#parts"' in shown
    assert 'id="parts"' in shown
    assert f'href="/admin/accounts/{account}#open"' in shown
    assert shown.count(f'href="/admin/entries/{payment}"') == 3, "number, title and amount"
    assert f'href="/admin/entries/{charge}"' in (await clerk.get(f"/admin/entries/{payment}")).text


async def test_a_customer_reads_the_own_balance_over_the_api(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(51240, date(2026, 12, 10)))
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    answer = await customer.get("/api/v1/balance")
    assert answer.status == 200
    assert answer.json() == {
        "customer": book.customer,
        "currency": "PLN",
        "on": "2026-11-24",
        "to_pay": "512.40",
        "to_pay_by": "2026-12-10",
        "arrears": "0.00",
        "credit": "0.00",
        "balance": "512.40",
    }
    assert (await (await office.visitor()).get("/api/v1/balance")).status == 401


async def test_the_kernel_s_pages_have_our_parts(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(10000, date(2026, 11, 10)))
        await store.add_drafts(conn, [book.payment(100, date(2026, 11, 20)), book.payment(100, date(2026, 11, 20))])
    clerk = await office.visitor(Role.ADMIN)
    console = await clerk.get("/admin/")
    assert console.status == 200
    assert "2 wpłaty do zatwierdzenia" in console.text
    page = await clerk.get(f"/admin/customers/{book.customer}")
    assert page.status == 200
    assert "Rozrachunki" in page.text or "Wpłaty" in page.text

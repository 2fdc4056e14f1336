"""The office's pages: entering, approving, reversing, voiding, and what is refused."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime

import pytest

from kernel import Role, Site
from kernel.testing import Office, Page, Visitor
from plugins.payments import store
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
        ("title", "a\x00b", ""),
    ],
)
async def test_what_is_wrong_is_said_at_the_field(
    site: Site, office: Office, field: str, value: str, message: str
) -> None:
    async with acting(site) as conn:
        await add_customer(conn)
    clerk = await office.visitor(Role.ADMIN)
    refused = await enter(clerk, **{field: value})
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
    page = await clerk.get("/admin/payments?amount=1,04")
    every = await clerk.post("/admin/payments?amount=1,04", {"_key": key_of(page), "every": "true"})
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
    assert (await clerk.get(f"{address}/reverse")).status == 404
    async with acting(site) as conn:
        assert await conn.fetchval("select balance from payments.account_balance") == 0
        assert await conn.fetchval("select sum(open_amount)::bigint from payments.entry") == 0


async def book_open(conn: object, number: int) -> int:
    found = await store.entry(conn, number)  # type: ignore[arg-type]
    assert found is not None
    return found.open_amount.grosze


async def test_only_the_superadministrator_in_the_mode_voids(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, date(2026, 11, 10)))
    address = f"/admin/entries/{charge}/void"
    form = {"_key": "void-it", "reason": "wpisane dwa razy"}
    clerk = await office.visitor(Role.ADMIN)
    assert (await clerk.post(address, form)).status == 403
    boss = await office.visitor(Role.SUPERADMIN)
    assert (await boss.post(address, form)).status != 200
    async with acting(site) as conn:
        assert await conn.fetchval("select state from payments.entry") == "approved"
    boss = await office.visitor(Role.SUPERADMIN, mode=True)
    page = await boss.get(address)
    assert page.status == 200
    assert (await boss.post(address, {**form, "_key": key_of(page)})).status == 303
    shown = await boss.get(f"/admin/entries/{charge}")
    assert "wpisane dwa razy" in shown.text
    async with acting(site) as conn:
        assert await conn.fetchval("select state from payments.entry") == "voided"
        assert await conn.fetchval("select balance from payments.account_balance") == 0


async def test_a_customer_reads_the_own_balance_over_the_api(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(51240, date(2026, 12, 10)))
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    answer = await customer.get("/api/v1/balance")
    assert answer.status == 200
    assert answer.json() == {
        "customer": book.customer,
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

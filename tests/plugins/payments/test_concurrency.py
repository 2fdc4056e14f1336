"""Many at once: payments and approvals on one account and on many, and approvals of one list from both ends."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from random import Random

import pytest

from kernel import Role, Site
from kernel.testing import Office, Visitor
from plugins.payments import checks, store
from plugins.payments.checks import difference
from tests.plugins.payments.ledger import TODAY, Book, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["customers", "payments"])

MANY = 50
DUE = date(2026, 3, 10)


async def test_fifty_payments_at_once_on_one_account(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(*(book.charge(1000, DUE + timedelta(days=7 * week)) for week in range(20)))

    async def pay(number: int) -> None:
        async with acting(site) as conn:
            mine = Book(conn, book.customer, book.account)
            await mine.post(mine.payment(300 + number, DUE + timedelta(days=number)))

    await asyncio.gather(*(pay(number) for number in range(MANY)))
    async with acting(site) as conn:
        whole = await Book(conn, book.customer, book.account).whole()
        assert sum(entry.amount for entry in whole.entries if entry.side == "credit") == 300 * MANY + sum(range(MANY))
        assert difference(whole) == ""
        numbers = [row["journal_no"] for row in await conn.fetch("select journal_no from payments.entry order by 1")]
        assert numbers == list(range(1, 71)), "numbered without a gap"
        await _is_sound(site)


async def test_overlapping_approvals_of_many_accounts_do_each_entry_once(site: Site) -> None:
    """Lists that share accounts, each in an order of its own: nobody is shown a deadlock, nothing is posted twice."""
    async with acting(site) as conn:
        customers = [await add_customer(conn, f"{number:04}", "Ewa Lis") for number in range(12)]
        accounts = list((await store.open_accounts(conn, customers, TODAY)).values())
        books = [Book(conn, customer, account) for customer, account in zip(customers, accounts, strict=True)]
        drafts = [book.payment(100 + n, DUE) for book in books for n in range(5)]
        drafts += [book.charge(250, DUE) for book in books]
        keys = await store.add_drafts(conn, drafts)
    draw = Random(7)  # noqa: S311  the order of a test

    async def approve() -> int:
        mine = draw.sample(keys, 40)
        async with acting(site) as conn:
            return len(await store.approve(conn, mine, TODAY))

    approved = await asyncio.gather(*(approve() for _worker in range(MANY)))
    async with acting(site) as conn:
        left = await conn.fetchval("select count(*) from payments.entry where state = 'draft'")
        assert sum(approved) + left == len(keys)
    await _is_sound(site)


async def test_clerks_approve_the_same_list_from_both_ends(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        customers = [await add_customer(conn, f"{number:04}", "Jan Bąk") for number in range(20)]
        accounts = await store.open_accounts(conn, customers, TODAY)
        drafts = [
            Book(conn, customer, account).payment(1000, DUE)
            for customer, account in accounts.items()
            for _n in range(3)
        ]
        keys = await store.add_drafts(conn, drafts)
    clerks = [await office.visitor(Role.ADMIN) for _one in range(4)]
    ids = [str(key.entry) for key in keys]

    async def approve(clerk: Visitor, order: list[str]) -> int:
        answer = await clerk.send("POST", "/admin/payments", data=[("ids", number) for number in order])
        return answer.status

    rounds = [approve(clerk, ids if place % 2 else ids[::-1]) for place, clerk in enumerate(clerks)]
    assert set(await asyncio.gather(*rounds)) <= {303, 422}, "done, or nothing left to do"
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.entry where state = 'approved'") == len(keys)
    await _is_sound(site)


async def _is_sound(site: Site) -> None:
    async with site.db.connection() as conn:
        for check in checks.CHECKS:
            assert [finding async for finding in check.run(conn)] == [], check.name

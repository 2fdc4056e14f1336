"""A small book-keeper for tests: one account, written in złoty and days of 2026, asked in the words of the rules."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date

import asyncpg

from kernel import Connection, Money, Site
from kernel.db.pool import Stamp
from plugins.payments import Side, store
from plugins.payments.allocation import Allocation, Posting
from plugins.payments.store import Draft, Key, Whole

TODAY = date(2026, 11, 24)


async def add_customer(conn: Connection, number: str = "4711", name: str = "Stanisław Wójcik") -> int:
    """A customer with nothing on account; the id."""
    return await conn.fetchval(
        "insert into kernel.customer (customer_no, name) values ($1, $2) returning id", number, name
    )


@asynccontextmanager
async def acting(site: Site, *, superadmin_mode: bool = False) -> AsyncGenerator[Connection]:
    """A transaction of the office's superadministrator, without the announced mode unless asked."""
    async with site.db.transaction(Stamp("office", "superadmin", superadmin_mode=superadmin_mode)) as conn:
        yield conn


@dataclass(slots=True)
class Book:
    """One account of one customer, in a transaction of the office."""

    conn: Connection
    customer: int
    account: int

    @classmethod
    async def opened(cls, conn: Connection, number: str = "4711") -> Book:
        customer = await add_customer(conn, number)
        accounts = await store.open_accounts(conn, [customer], TODAY)
        return cls(conn, customer, accounts[customer])

    def interest(self, amount: int, on: date, bears_on: int, kind: str = "interest") -> Draft:
        return self.charge(amount, on, kind=kind, bears_on=bears_on, issued_on=on, title="Odsetki")

    def charge(self, amount: int, due: date, **facts: object) -> Draft:
        values = {"kind": "fee", "issued_on": min(due, TODAY), "title": "Czynsz"} | facts
        return Draft(self.account, Side.CHARGE, amount=Money(amount), due_on=due, **values)  # type: ignore[arg-type]

    def payment(self, amount: int, day: date, **facts: object) -> Draft:
        values = {"kind": "payment", "title": "Wpłata", "channel": "transfer"} | facts
        return Draft(self.account, Side.CREDIT, amount=Money(amount), value_date=day, **values)  # type: ignore[arg-type]

    async def post(self, *drafts: Draft) -> list[int]:
        """Enter and approve at once; the numbers."""
        keys = await store.add_drafts(self.conn, drafts)
        await store.approve(self.conn, keys, TODAY)
        return sorted(key.entry for key in keys)

    async def reverse(self, number: int) -> None:
        found = await store.entry(self.conn, number)
        assert found is not None
        await store.reverse(self.conn, found, "zwrot z banku", TODAY)

    async def void(self, number: int) -> None:
        found = await store.entry(self.conn, number)
        assert found is not None
        await store.void(self.conn, found, "wpisane dwa razy")

    async def open(self, number: int) -> int:
        """What is open of an entry, grosze."""
        return await self.conn.fetchval(
            "select open_amount from payments.entry where account_id = $1 and id = $2", self.account, number
        )

    async def credit(self) -> int:
        return await self.conn.fetchval(
            "select coalesce(sum(open_amount), 0)::bigint from payments.entry"
            " where account_id = $1 and side = 'credit'",
            self.account,
        )

    async def allocations(self) -> list[Allocation]:
        """Live allocations, as the reference sorts them."""
        rows = await self.conn.fetch(
            "select credit, charge, amount, rule from payments.allocation"
            " where account_id = $1 and released_at is null",
            self.account,
        )
        return sorted(Allocation(**dict(row)) for row in rows)

    async def whole(self) -> Whole:
        """Everything that allocation follows from, and what is kept."""
        (found,) = await store.accounts_whole(self.conn, 0, 1, [self.account])
        return found

    async def postings(self) -> list[Posting]:
        return (await self.whole()).entries

    def key(self, number: int) -> Key:
        return Key(self.account, number)


async def set_rules(site: Site, **rules: object) -> None:
    """Give the book «main» rules, as its superadministrator would before anything is posted."""
    owner = await asyncpg.connect(site.owner_dsn)
    try:
        await owner.execute("set role ebok_owner")
        for name, value in rules.items():
            await owner.execute(f"update payments.book set {name} = $1", value)  # noqa: S608  a test names the column
    finally:
        await owner.close()

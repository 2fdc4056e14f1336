"""From a printed order through the bank back to the charges it was made for."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from kernel import Role
from kernel.testing import Office
from plugins.payments.bank import booking, reading
from plugins.payments.bank.statement import Statement, StatementLine
from plugins.payments.books import store as books
from tests.plugins.payments.ledger import Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments", "printing"])

NRB = "29101010100012345600004711"
DAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("paid", "settled_before", "open_after"),
    [
        (5000, 0, [0, 0, 1000]),
        (6000, 0, [0, 0, 0]),
        (5500, 0, [0, 0, 500]),
        (3500, 0, [0, 1500, 1000]),
        (5000, 3000, [0, 0, 0]),
    ],
    ids=["exact", "all that is open", "overpaid", "underpaid", "settled before"],
)
async def test_a_line_with_the_reference_pays_what_the_order_was_made_for(
    office: Office, paid: int, settled_before: int, open_after: list[int]
) -> None:
    site = office.site
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    async with acting(site) as conn:
        await books.set_first_payee(conn, NRB, site.clock.now())
        book = await Book.opened(conn)
        (first,) = await book.post(book.charge(3000, date(2026, 11, 10)))
        (second,) = await book.post(book.charge(2000, date(2026, 11, 20)))
        (later,) = await book.post(book.charge(1000, date(2026, 12, 10)))
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    assert (await customer.post("/payment-order", {"kind": "transfer"})).status == 303
    async with acting(site) as conn:
        made = await conn.fetchrow("select reference, charges, amount from printing.payment_order")
        assert made is not None
        assert (made["charges"], made["amount"]) == ([first, second], 5000)
        book.conn = conn
        if settled_before:
            await book.post(book.payment(settled_before, DAY))
        title = f"opłata {made['reference']}"
        found = Statement(NRB, "41", "PLN", (StatementLine(paid, DAY, DAY, title=title, raw="x"),), 0, paid, DAY, DAY)
        kept = await reading.keep(conn, site, "a.sta", title.encode(), [found])
        assert kept is not None
        (number,) = kept[1]
        row = await conn.fetchrow("select certainty, evidence, charges from payments.bank_line")
        assert row is not None
        assert row["certainty"] == 100
        assert row["charges"] == [first, second]
        assert {how for how, _word in row["evidence"]} >= {"order", "charges"}
        assert await booking.begin(conn, site, number, 1, similar=False, actor="7") == 1
        rows = await conn.fetch(
            "select open_amount from payments.entry where id = any ($1::bigint[]) order by effective_due_on",
            [first, second, later],
        )
        wished = await conn.fetch("select charge from payments.designation order by place")
    assert [row["open_amount"] for row in rows] == open_after
    assert [row["charge"] for row in wished] == [first, second]


async def test_with_an_amount_of_one_s_own_no_charge_is_named(office: Office) -> None:
    site = office.site
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    async with acting(site) as conn:
        await books.set_first_payee(conn, NRB, site.clock.now())
        book = await Book.opened(conn)
        await book.post(book.charge(3000, date(2026, 11, 10)))
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    assert (await customer.post("/payment-order", {"kind": "transfer", "amount": "10,00"})).status == 303
    async with acting(site) as conn:
        assert await conn.fetchval("select charges from printing.payment_order") == []

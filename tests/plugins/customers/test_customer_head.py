"""One head for every page about a customer: who it is, and how they stand."""

from __future__ import annotations

from datetime import date

import pytest

from kernel import Role
from kernel.testing import Office
from tests.plugins.payments.ledger import Book, acting

pytestmark = pytest.mark.ebok(plugins=["customers", "payments"])


async def test_how_a_customer_stands_is_at_the_head_of_every_page_about_them(office: Office) -> None:
    async with acting(office.site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(51_240, date(2026, 10, 10)))
    admin = await office.visitor(Role.ADMIN)
    one = f"/admin/customers/{book.customer}"
    for part in ("", "/timeline", "/change", "/close", "/death", "/remove", "/numbers", "/changes", "/groups"):
        page = await admin.get(one + part)
        assert page.status == 200, part
        head = page.text.split("<main")[1].split("</h1>")[0]
        assert "Zaległość 512,40" in head, part
        assert "4711" in head, part
    refused = await admin.post(f"{one}/change", {"name": ""})
    assert refused.status == 422
    assert "Zaległość 512,40" in refused.text

"""Imported charges and payments: new, changed and vanished rows, before and after approval."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kernel import Batch, Refused, Site, SourceChange, SourceRow
from plugins.payments import checks
from plugins.payments.records import ChargeRow, PaymentRow, apply
from tests.plugins.payments.ledger import acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["payments"])

DAY = date(2026, 2, 1)


def charge(amount: str = "100,00", **facts: Any) -> ChargeRow:
    values = {"customer_no": "4711", "document_no": "1", "issued_on": "2026-01-02", "due_days": "14"} | facts
    return ChargeRow.model_validate({**values, "amount": amount})


def payment(amount: str = "60,00", **facts: Any) -> PaymentRow:
    return PaymentRow.model_validate({"customer_no": "4711", "value_date": "2026-01-10", **facts, "amount": amount})


async def run(site: Site, *, approve: bool = True, **rows: Any) -> None:
    async with acting(site) as conn:
        await apply(conn, Batch("sklep", 1, approve, DAY, **rows))


async def facts(site: Site) -> tuple[int, int, list[tuple[str, str, int, str]]]:
    """Balance, what is open of charges, and every entry."""
    async with acting(site) as conn:
        balance = await conn.fetchval("select coalesce(sum(balance), 0)::bigint from payments.account_balance")
        open_charges = await conn.fetchval(
            "select coalesce(sum(open_amount), 0)::bigint from payments.entry where side = 'charge'"
        )
        rows = await conn.fetch("select side, kind, amount, state from payments.entry order by id")
        assert [finding for check in checks.CHECKS async for finding in check.run(conn)] == []
    return balance, open_charges, [(r["side"], r["kind"], r["amount"], r["state"]) for r in rows]


@pytest.fixture
async def customer(site: Site) -> int:
    async with acting(site) as conn:
        await add_customer(conn, "4712", "Anna Nowak")
        return await add_customer(conn)


async def test_new_rows_become_entries_of_the_actor(site: Site, customer: int) -> None:
    await run(site, new=[SourceRow("c1", charge()), SourceRow("c2", charge("50"))])
    await run(site, new=[SourceRow("p1", payment())])
    balance, open_charges, entries = await facts(site)
    assert (balance, open_charges) == (9000, 9000)
    assert {state for *_, state in entries} == {"approved"}
    async with acting(site) as conn:
        booked = await conn.fetch(
            "select distinct e.booked_on, a.opened_on"
            " from payments.entry e join payments.account a on a.id = e.account_id"
        )
        assert [tuple(row.values()) for row in booked] == [(DAY, DAY)], "the organisation's day, not the server's"
    with pytest.raises(Refused):
        await run(site, new=[SourceRow("c1", charge())])


async def test_unapproved_rows_are_drafts_and_change_in_place(site: Site, customer: int) -> None:
    await run(
        site, approve=False, new=[SourceRow("c1", charge()), SourceRow("c2", charge()), SourceRow("c3", charge())]
    )
    moved = charge("120", customer_no="4712")
    changes = [SourceChange("c1", charge(), charge("110")), SourceChange("c2", charge(), moved)]
    await run(site, approve=False, changed=changes, missing=[SourceRow("c3", charge())])
    balance, _open, entries = await facts(site)
    assert balance == 0
    assert sorted(entries) == [("charge", "fee", 11000, "draft"), ("charge", "fee", 12000, "draft")]


async def test_a_changed_amount_is_a_correction(site: Site, customer: int) -> None:
    await run(site, new=[SourceRow("c1", charge()), SourceRow("p1", payment("100"))])
    await run(site, changed=[SourceChange("c1", charge(), charge("70"))])
    balance, _open, entries = await facts(site)
    assert balance == -3000
    assert entries[-1] == ("credit", "correction", 3000, "approved")
    await run(site, changed=[SourceChange("c1", charge("70"), charge("130"))])
    balance, open_charges, entries = await facts(site)
    assert (balance, open_charges) == (3000, 3000)
    assert entries[-1] == ("charge", "correction", 6000, "approved")
    await run(site, changed=[SourceChange("c1", charge("130"), charge("10"))])
    balance, _open, entries = await facts(site)
    assert balance == -9000
    assert entries[-1] == ("charge", "fee", 1000, "approved"), "too much for a correction: reversed and entered anew"


async def test_any_other_change_is_a_reversal_and_a_new_entry(site: Site, customer: int) -> None:
    await run(site, new=[SourceRow("c1", charge()), SourceRow("p1", payment())])
    later = payment("65", value_date="2026-01-12")
    await run(
        site,
        changed=[
            SourceChange("p1", payment(), later),
            SourceChange("c1", charge(), charge(customer_no="4712")),
        ],
    )
    balance, _open, _entries = await facts(site)
    assert balance == 3500
    async with acting(site) as conn:
        own = await conn.fetchval(
            "select k.balance from payments.account_balance k join payments.account a on a.id = k.account_id"
            " where a.customer = $1",
            customer,
        )
        assert own == -6500
    await run(site, changed=[SourceChange("p1", later, payment("66"))])
    assert (await facts(site))[0] == 3400


async def test_a_vanished_row_is_reversed_once(site: Site, customer: int) -> None:
    await run(site, new=[SourceRow("c1", charge()), SourceRow("p1", payment())])
    await run(site, changed=[SourceChange("c1", charge(), charge("80"))])
    await run(site, missing=[SourceRow("c1", charge("80")), SourceRow("p1", payment())])
    balance, open_charges, entries = await facts(site)
    assert (balance, open_charges) == (0, 0)
    assert len(entries) == 6
    await run(site, missing=[SourceRow("c1", charge("80")), SourceRow("p1", payment())])
    assert len((await facts(site))[2]) == 6


async def test_an_unknown_customer_is_named_with_its_row(site: Site, customer: int) -> None:
    with pytest.raises(Refused) as refused:
        await run(site, new=[SourceRow("c7", charge(customer_no="0815"))])
    assert "c7" in str(refused.value.notes[0])
    assert "0815" in str(refused.value.notes[0])


def test_a_charge_needs_a_due_date() -> None:
    with pytest.raises(ValueError, match="due date"):
        charge(due_days="")
    assert charge(due_on="10.02.2026", due_days="").draft(1).due_on is not None

"""Whom customers pay: the operator's first values, what the organisation saved, and what cannot be saved."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from kernel import Money, Site
from kernel.settings import OrganisationSettings, load, save
from plugins.payments import Payee
from plugins.payments.books import store as books
from plugins.payments.ledger import KeptLedger
from plugins.payments.settings import Settings, check_nrb
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments"])

NRB = "29101010100012345600004711"
ORGANISATION = {
    "name": "SM",
    "legal_name": "SM Przykład",
    "street": "Leśna 1",
    "city": "00-001 Warszawa",
    "nip": "123-456-32-18",
}


async def payee(site: Site) -> Payee:
    await load(site)
    async with acting(site) as conn:
        found = await conn.fetchval("select id from kernel.customer")
        customer = found or (await Book.opened(conn)).customer
        (found,) = await KeptLedger().payees(site, conn, customer, TODAY)
        return found


async def test_unless_payments_say_otherwise_the_organisation_is_paid(site: Site) -> None:
    assert await payee(site) == Payee("ebok", (), "", "", Money(0), None, "Opłaty 4711")
    site.defaults = {"kernel": ORGANISATION}
    own = await payee(site)
    assert (own.name, own.address, own.nip) == ("SM Przykład", ("Leśna 1", "00-001 Warszawa"), "1234563218")
    site.defaults = {"kernel": {**ORGANISATION, "legal_name": ""}}
    assert (await payee(site)).name == "SM"


async def test_first_values_of_the_operator_reach_the_payee(site: Site) -> None:
    site.defaults = {
        "kernel": ORGANISATION,
        "payments": {
            "payee_name": "Zarządca",
            "title": "Czynsz {customer_no}",
        },
    }
    own = await payee(site)
    assert (own.name, own.title) == ("Zarządca", "Czynsz 4711")


async def test_what_was_saved_comes_before_first_values(site: Site) -> None:
    site.defaults = {"payments": {"payee_name": "Zarządca"}}
    async with acting(site) as conn:
        await save(site, conn, "kernel", OrganisationSettings.model_validate(ORGANISATION))
        await save(
            site,
            conn,
            "payments",
            Settings.model_validate({"payee_name": "SM Inna", "payee_street": "Polna 2"}),
        )
        await books.set_first_payee(conn, NRB, site.clock.now())
        book = await Book.opened(conn)
        await book.post(book.charge(51240, date(2026, 12, 10)))
    own = await payee(site)
    assert (own.name, own.address, own.account_no) == ("SM Inna", ("Polna 2", "00-001 Warszawa"), NRB)
    assert (own.to_pay, own.to_pay_by, own.overdue) == (Money(51240), date(2026, 12, 10), False)


@pytest.mark.parametrize(
    "written", [NRB, f"PL{NRB}", "pl 29 1010 1010 0012 3456 0000 4711", "29-1010 10100012345600004711"]
)
def test_an_account_number_is_kept_as_26_digits(written: str) -> None:
    assert check_nrb(written) == NRB


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (NRB[:-1], "26 digits"),
        (NRB[:-1] + "²", "26 digits"),
        ("DE" + NRB, "26 digits"),
        (NRB[:-1] + "2", "do not fit"),
        (NRB[:-2] + "17", "do not fit"),
    ],
)
def test_what_is_no_account_number(written: str, message: str) -> None:
    with pytest.raises(PydanticCustomError, match=message):
        check_nrb(written)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("payee_nip", "123-456-32-19", "last digit"),
        ("payee_nip", "12345", "ten digits"),
        ("title", "", "at least 1"),
        ("title", "Czynsz {flat}", "number"),
        ("title", "Czynsz {customer_no", "number"),
        ("title", "{customer_no.__class__}", "number"),
        ("title", "{customer_no!r:>99}", "number"),
    ],
)
def test_what_cannot_be_right_is_refused(field: str, value: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate({field: value})

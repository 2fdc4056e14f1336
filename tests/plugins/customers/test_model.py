"""The rules of a customer's fields, and the people of the demonstration."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from kernel import DemoPlan, parse_nip
from plugins.customers.demo import feminine, tenants
from plugins.customers.model import CustomerForm, CustomerRow, ServicePointForm


def row(**fields: object) -> CustomerRow:
    return CustomerRow.model_validate({"customer_no": "49", "name": "Stanisław Wójcik"} | fields)


@pytest.mark.parametrize("nip", ["526-025-02-74", "5260250274", "PL 526 025 02 74", ""])
def test_right_nips(nip: str) -> None:
    assert row(nip=nip).nip == ("5260250274" if nip else "")


@pytest.mark.parametrize("nip", ["5260250275", "123", "52602502741", "526025027x", "٥٢٦٠٢٥٠٢٧٤"])
def test_wrong_nips(nip: str) -> None:
    with pytest.raises(ValidationError):
        row(nip=nip)


@pytest.mark.parametrize("email", ["stanisław.wójcik@wp.pl", "a@b.co", "jan+x@poczta.example.org", ""])
def test_plausible_addresses(email: str) -> None:
    assert row(email=f" {email} ").email == email


@pytest.mark.parametrize("email", ["a@b", "ab.pl", "a b@c.pl", "a@@b.pl", "a@.pl", "a@b.", f"{'x' * 250}@b.pl"])
def test_implausible_addresses(email: str) -> None:
    with pytest.raises(ValidationError):
        row(email=email)


@pytest.mark.parametrize(
    "fields",
    [
        {"customer_no": ""},
        {"customer_no": "4\x009"},
        {"customer_no": "x" * 41},
        {"name": " "},
        {"name": "a\nb"},
        {"name": "x" * 201},
        {"phone": "zadzwoń"},
        {"kind": "robot"},
        {"surname": "Nowak"},
    ],
)
def test_wrong_fields(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        row(**fields)


def test_a_person_is_called_by_given_and_family_name() -> None:
    form = CustomerForm.model_validate({"customer_no": "1", "given_name": "Łucja", "family_name": "Śliwińska"})
    assert form.name == "Łucja Śliwińska"
    with pytest.raises(ValidationError):
        CustomerForm.model_validate({"customer_no": "1"})


def test_a_place_is_known_by_something() -> None:
    assert ServicePointForm(code="12/4").code == "12/4"
    assert ServicePointForm(street="Lipowa").street == "Lipowa"
    with pytest.raises(ValidationError):
        ServicePointForm(city="Poznań")


def test_tenants_follow_from_the_seed() -> None:
    plan = DemoPlan(500, 24, 1)
    people = list(tenants(plan))
    assert people == list(tenants(plan))
    assert people != list(tenants(DemoPlan(500, 24, 2)))
    assert len(people) == 500
    assert len({person.customer_no for person in people}) == 500
    assert len({(person.street, person.building, person.flat) for person in people}) == 500
    assert {person.kind for person in people} == {"person", "company"}
    for person in people:
        CustomerRow(
            customer_no=person.customer_no,
            kind="company" if person.kind == "company" else "person",
            name=person.name,
            nip=person.nip,
            email=person.email,
            phone=person.phone,
        )
        assert person.kind == "person" or parse_nip(person.nip)
        assert not (person.given_name in ("Anna", "Zofia") and person.family_name.endswith("ski"))


@pytest.mark.parametrize(
    ("man", "woman"),
    [
        ("Kowalski", "Kowalska"),
        ("Czarnecki", "Czarnecka"),
        ("Zawadzki", "Zawadzka"),
        ("Nowak", "Nowak"),
        ("Duda", "Duda"),
    ],
)
def test_family_names_of_women(man: str, woman: str) -> None:
    assert feminine(man) == woman

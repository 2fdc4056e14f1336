"""From fields to models: blank is missing, twice is wrong, secrets are not shown again, and errors speak to people."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from pydantic import BaseModel, Field, SecretStr, model_validator

from kernel import Money, PolishDate, PositiveMoney, Refused, Text, Upload, _
from kernel.web.body import Submitted, lenient, shown_values, validated
from kernel.web.routing import content_disposition, local_address


class Payment(BaseModel):
    amount: PositiveMoney
    title: Annotated[str, Field(max_length=10)]
    paid_on: PolishDate | None = None
    kind: Literal["transfer", "cash"] = "transfer"
    ids: list[int] = []
    urgent: bool = False
    new_password: SecretStr | None = None

    @model_validator(mode="after")
    def cash_has_a_day(self) -> Payment:
        if self.kind == "cash" and self.paid_on is None:
            raise ValueError(_("Cash needs a day"))
        return self


def sent(*pairs: tuple[str, str | Upload]) -> Submitted:
    return Submitted(MultiDict[str | Upload](pairs))


GOOD = (("amount", "12,5"), ("title", "rent"))


def refusal(*pairs: tuple[str, str | Upload]) -> Refused:
    with pytest.raises(Refused) as caught:
        validated(Payment, sent(*pairs))
    return caught.value


def test_a_form_becomes_a_model() -> None:
    payment = validated(Payment, sent(*GOOD, ("ids", "1"), ("ids", "2"), ("urgent", "on"), ("paid_on", "  ")))
    assert payment.amount == Money(1250)
    assert payment.ids == [1, 2]
    assert payment.urgent
    assert payment.paid_on is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("amount", "1e3", "Write the amount in złoty and grosze, for example 1 234,56"),
        ("amount", "-5", "An amount cannot be negative"),
        ("amount", "NaN", "Write the amount in złoty and grosze, for example 1 234,56"),
        ("amount", "1 234,567", "An amount has at most two decimal places"),
        ("amount", "", "Fill in this field"),
        ("title", "a" * 11, "Write at most {max_length} characters"),
        ("title", "a\x00", "This contains characters that cannot be stored"),
        ("title", "a\ud800", "This contains characters that cannot be stored"),
        ("paid_on", "31.02.2026", "There is no such day in the calendar"),
        ("kind", "gold", "Choose one of the listed values"),
        ("ids", "x", "Write a whole number"),
        ("urgent", "maybe", "Choose yes or no"),
    ],
)
def test_errors_stand_at_their_field_as_message_ids(name: str, value: str, words: str) -> None:
    pairs = [pair for pair in GOOD if pair[0] != name]
    errors = refusal(*pairs, (name, value)).errors
    assert {key: text.message for key, text in errors.items()} == {name: words}


def test_a_field_sent_twice_is_an_error_and_the_others_are_still_told() -> None:
    assert refusal(("amount", "x"), ("title", "a"), ("title", "b")).errors.keys() == {"amount", "title"}


def test_a_rule_of_the_whole_form_is_a_note() -> None:
    refused = refusal(*GOOD, ("kind", "cash"))
    assert refused.errors == {}
    assert refused.notes == (Text("Cash needs a day"),)


def test_secrets_and_files_are_not_shown_again() -> None:
    fields = sent(*GOOD, ("new_password", "x"), ("password2", "y"), ("file", Upload("a", "b", b""))).fields
    assert shown_values(Payment, fields) == {"amount": "12,5", "title": "rent"}


def test_a_wrong_filter_gives_way_to_its_default() -> None:
    class Filters(BaseModel):
        page: Annotated[int, Field(ge=1)] = 1
        text: str = ""

    found, refused = lenient(Filters, MultiDict({"page": "0", "text": "x"}))
    assert found == Filters(text="x")
    assert refused is not None
    assert refused.errors.keys() == {"page"}
    assert lenient(Payment, MultiDict({"title": "a"}))[0] is None


@given(st.dictionaries(st.sampled_from(list(Payment.model_fields)), st.text(max_size=30)))
def test_no_form_breaks_the_reader(values: dict[str, str]) -> None:
    try:
        accepted = validated(Payment, sent(*values.items())).amount.grosze > 0
    except Refused as refused:
        accepted = False
        told = [str(text) for text in (*refused.errors.values(), *refused.notes)]
    else:
        told = []
    assert accepted or (told and all(told))


@given(st.text(max_size=300))
def test_a_file_name_cannot_break_out_of_its_header(name: str) -> None:
    header = content_disposition(name, inline=False)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert "/" not in header


@pytest.mark.parametrize(
    "address",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "", "/a\nb", "javascript:x", "/ż"],
)
def test_only_addresses_of_this_office_are_followed(address: str) -> None:
    assert local_address(address) == "/"
    assert local_address("/balance?day=2026-11-24") == "/balance?day=2026-11-24"

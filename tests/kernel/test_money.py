"""Money, quantities and dates: exact, strict, and said the Polish way."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from kernel.dates import Clock, PolishDate, parse_date
from kernel.money import MAX_GROSZE, Money, PositiveMoney, Quantity

GROSZE = st.integers(0, MAX_GROSZE)


@pytest.mark.parametrize(
    ("text", "grosze"),
    [
        ("12,5", 1250),
        ("1 234,56 zł", 123456),
        ("1\u00a0234,56 zł", 123456),
        ("1\u202f234,56", 123456),
        ("37.62", 3762),
        ("0", 0),
        ("007", 700),
        ("100 PLN", 10000),
        (" 5 ", 500),
        ("1 000 000", 100000000),
    ],
)
def test_what_people_write(text: str, grosze: int) -> None:
    assert Money.parse(text) == Money(grosze)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1e3", "money_grammar"),
        ("NaN", "money_grammar"),
        ("Infinity", "money_grammar"),
        ("-5", "money_negative"),
        ("−5,00 zł", "money_negative"),
        ("1 234,567", "money_third_decimal"),
        ("12.345", "money_third_decimal"),
        ("", "money_missing"),
        ("٣٫٥", "money_grammar"),
        ("１２", "money_grammar"),
        ("12,5 zl", "money_grammar"),
        ("1,2,3", "money_grammar"),
        ("12 34", "money_grammar"),
        ("1_000", "money_grammar"),
        ("5\x00", "money_grammar"),
        ("99999999999999", "money_too_large"),
    ],
)
def test_what_is_refused_and_how_it_is_called(text: str, kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Money).validate_python(text)
    assert refused.value.errors()[0]["type"] == kind


@given(GROSZE)
def test_what_is_shown_can_be_typed(grosze: int) -> None:
    money = Money(grosze)
    assert Money.parse(str(money)) == Money.parse(money.figure) == Money.parse(money.plain) == money


@given(st.lists(st.integers(-(10**9), 10**9)))
def test_sums_are_exact(amounts: list[int]) -> None:
    assert Money.total(map(Money, amounts)).grosze == sum(amounts)


@given(st.integers(0, 10**9))
def test_a_databases_float_of_grosze_is_exact(grosze: int) -> None:
    assert Money.exact(grosze / 100) == Money.exact(Decimal(grosze) / 100) == Money(grosze)


@pytest.mark.parametrize("number", [0.1 + 0.2, 1.005, float("nan"), float("inf"), Decimal("1.999")])
def test_a_number_that_is_no_grosze_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="amount"):
        Money.exact(number)


def test_no_bare_minus_and_no_float() -> None:
    assert Money(-123456).figure == "−1\u00a0234,56"
    with pytest.raises(ValidationError):
        TypeAdapter(Money).validate_python(12.5)


def test_a_payment_is_above_zero() -> None:
    class Body(BaseModel):
        amount: PositiveMoney

    assert Body(amount="0,01").amount == Money(1)  # pyright: ignore
    with pytest.raises(ValidationError, match="greater than zero"):
        Body(amount="0")  # pyright: ignore
    assert Body(amount="20").model_dump_json() == '{"amount":"20.00"}'  # pyright: ignore


@pytest.mark.parametrize("text", ["1e3", "-1", "NaN", "", "1,2345678", "٣"])
def test_quantities_are_strict(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Quantity).validate_python(text)


def test_quantities() -> None:
    assert TypeAdapter(Quantity).validate_python("12,5") == Decimal("12.5")


def test_dates_the_polish_and_the_iso_way() -> None:
    assert TypeAdapter(PolishDate).validate_python("24.11.2026") == parse_date("2026-11-24") == date(2026, 11, 24)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("31.02.2026", "date_unreal"),
        ("1.1.1800", "date_range"),
        ("24/11/2026", "date_grammar"),
        ("٢٤.11.2026", "date_grammar"),
        ("", "date_missing"),
    ],
)
def test_dates_that_are_none(text: str, kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(PolishDate).validate_python(text)
    assert refused.value.errors()[0]["type"] == kind


def test_today_is_the_organisations_day() -> None:
    clock = Clock()
    clock.move_to(datetime(2026, 12, 31, 23, 30, tzinfo=UTC))
    assert clock.today() == date(2027, 1, 1)

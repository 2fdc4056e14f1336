"""Interest, pure: the golden vectors, and the sum by periods against a naive one day by day."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import Money
from plugins.payments.accrual.model import (
    BEARS_NONE,
    CONTRACTUAL,
    NO_INTEREST,
    PUBLIC,
    STATUTORY_DELAY,
    TRADE,
    Debt,
    Minimum,
    Part,
    Rate,
    RatesUnknown,
    RateTable,
    RegimeUnknown,
    claimable,
    exact_interest,
    interest_lines,
    interest_of,
    regime_of,
    round_half_up,
)
from plugins.payments.model import effective_due


def table(kind: str, *rows: tuple[str, str], minimums: tuple[Minimum, ...] = ()) -> RateTable:
    return RateTable(kind, tuple(Rate(date.fromisoformat(day), Decimal(percent)) for day, percent in rows), minimums)


DELAY = table(
    "statutory_delay",
    ("2022-09-08", "12.25"),
    ("2023-09-07", "11.50"),
    ("2023-10-05", "11.25"),
    ("2025-05-08", "10.75"),
    ("2025-07-03", "10.50"),
    ("2025-09-04", "10.25"),
    ("2025-10-09", "10.00"),
    ("2025-11-06", "9.75"),
)
LEVIES = table("public", ("2026-03-05", "10.50"), minimums=(Minimum(date(2025, 3, 1), 870),))
TRADED = table("trade", ("2025-01-01", "15.75"), ("2025-07-01", "15.25"))


def day(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("parts", "due", "as_of", "days", "grosze"),
    [
        pytest.param([Part(100000)], "2024-03-11", "2024-04-10", [30], 925, id="V1"),
        pytest.param([Part(100000)], "2023-08-31", "2023-10-31", [6, 28, 27], 1916, id="V2"),
        pytest.param([Part(50000)], "2024-06-15", "2024-06-20", [3], 46, id="V3"),
        pytest.param([Part(70000, date(2024, 2, 9)), Part(50000)], "2024-01-10", "2024-03-31", [30, 51], 1896, id="V5"),
        pytest.param([Part(10000, date(2024, 1, 10))], "2024-01-10", "2024-01-10", [], 0, id="V6"),
        pytest.param([Part(86340, date(2025, 6, 2))], "2025-04-15", "2025-06-30", [22, 26], 1247, id="V7"),
        pytest.param([Part(1234)], "2024-01-10", "2024-01-13", [3], 1, id="V8"),
        pytest.param([Part(100000)], "2025-09-30", "2025-11-30", [8, 28, 25], 1660, id="V9"),
        pytest.param([Part(10000)], "2024-01-10", "2024-02-20", [41], 126, id="A14"),
    ],
)
def test_golden(parts: list[Part], due: str, as_of: str, days: list[int], grosze: int) -> None:
    found = STATUTORY_DELAY.interest(parts, effective_due(day(due)), day(as_of), DELAY)
    assert found.amount == Money(grosze)
    assert [line.days for line in found.lines] == days


def test_v4_christmas_eve_moves_the_due_date() -> None:
    found = STATUTORY_DELAY.interest(
        [Part(50000)], effective_due(day("2025-12-24")), day("2026-01-05"), table("x", ("2020-01-01", "10.00"))
    )
    assert (found.amount, [line.days for line in found.lines]) == (Money(96), [7])


def test_v7_paid_principal_leaves_its_interest_claimable() -> None:
    debt = Debt("fee", day("2025-04-15"), (Part(86340, day("2025-06-02")),))
    assert claimable(debt, day("2025-06-30"), STATUTORY_DELAY, DELAY) == Money(1247)


@pytest.mark.parametrize(("days", "exact", "charged"), [(30, 863, 0), (31, 892, 900)])
def test_v10_public_threshold_is_compared_before_rounding_to_zloty(days: int, exact: int, charged: int) -> None:
    due = day("2026-06-30")
    found = PUBLIC.interest([Part(100000)], due, due + timedelta(days=days), LEVIES)
    assert (round_half_up(found.exact), found.amount) == (exact, Money(charged))


@pytest.mark.parametrize(("grosze", "charged"), [(870, 0), (871, 900)])
def test_the_threshold_itself_is_not_charged(grosze: int, charged: int) -> None:
    rates = table("public", ("2026-01-01", "36.50"), minimums=LEVIES.minimums)
    found = PUBLIC.interest([Part(grosze * 100)], day("2026-06-30"), day("2026-07-10"), rates)
    assert (found.exact, found.amount) == (grosze, Money(charged))


def test_the_threshold_is_dated() -> None:
    raised = table("public", ("2026-01-01", "36.50"), minimums=(*LEVIES.minimums, Minimum(day("2026-07-10"), 2000)))
    due = day("2026-06-30")
    assert PUBLIC.interest([Part(100000)], due, due + timedelta(days=9), raised).amount == Money(900)
    assert PUBLIC.interest([Part(100000)], due, due + timedelta(days=10), raised).amount == Money(0)
    with pytest.raises(RatesUnknown, match="2025-02-28"):
        raised.minimum_on(day("2025-02-28"))


def test_v11_trade() -> None:
    found = TRADE.interest([Part(100000)], day("2025-06-30"), day("2025-07-30"), TRADED)
    assert (found.amount, [line.percent for line in found.lines]) == (Money(1253), [Decimal("15.25")])


def test_asking_before_the_first_rate_names_the_day_and_is_never_zero() -> None:
    with pytest.raises(RatesUnknown, match="2022-09-07") as refused:
        STATUTORY_DELAY.interest([Part(1)], day("2022-09-06"), day("2022-10-01"), DELAY)
    assert (refused.value.kind, refused.value.day) == ("statutory_delay", day("2022-09-07"))
    assert STATUTORY_DELAY.interest([Part(36500)], day("2022-09-07"), day("2022-09-08"), DELAY).amount == Money(12)
    with pytest.raises(RatesUnknown):
        STATUTORY_DELAY.interest([Part(1)], day("2030-01-01"), day("2030-01-02"), table("empty"))


def test_no_day_counts_so_no_rate_is_asked_for() -> None:
    long_ago = day("1999-01-01")
    assert STATUTORY_DELAY.interest([Part(100)], long_ago, long_ago, DELAY).amount == Money(0)
    assert STATUTORY_DELAY.interest([Part(100, long_ago)], long_ago, day("2026-01-01"), DELAY).amount == Money(0)


def test_agreed_interest_is_capped_at_twice_the_statutory_rate_of_each_day() -> None:
    rates = CONTRACTUAL.rates({"statutory_delay": DELAY}, Decimal("23.00"))
    assert [rates.percent_on(day(text)) for text in ("2023-09-06", "2023-09-07", "2024-01-01", "2025-12-01")] == [
        Decimal("23.00"),
        Decimal("23.00"),
        Decimal("22.50"),
        Decimal("19.50"),
    ]


def test_what_never_bears_interest() -> None:
    for kind in BEARS_NONE:
        assert claimable(Debt(kind, day("2024-01-10"), (Part(10**9),)), day("2026-01-01"), STATUTORY_DELAY, DELAY) == (
            Money(0)
        )
    due = Debt("fee", day("2024-01-10"), (Part(10**9),))
    assert claimable(due, day("2026-01-01"), NO_INTEREST, NO_INTEREST.rates({}, None)) == Money(0)


def test_claimable_is_below_zero_when_noted_days_fell_away() -> None:
    noted = Debt("fee", day("2024-03-11"), (Part(100000, day("2024-03-21")),), noted=925)
    assert claimable(noted, day("2024-06-01"), STATUTORY_DELAY, DELAY) == Money(308 - 925)


def test_a_day_is_never_noted_twice_and_rounding_never_adds_up() -> None:
    noted = 0
    for days in range(1, 60):
        debt = Debt("fee", day("2024-01-10"), (Part(1234),), noted=noted)
        noted += claimable(debt, day("2024-01-10") + timedelta(days=days), STATUTORY_DELAY, DELAY).grosze
    assert noted == STATUTORY_DELAY.interest([Part(1234)], day("2024-01-10"), day("2024-03-09"), DELAY).amount.grosze


def test_lines_after_a_noted_day() -> None:
    found = STATUTORY_DELAY.interest([Part(100000)], day("2023-08-31"), day("2023-10-31"), DELAY)
    later = found.after(day("2023-10-01"))
    assert [(line.first_day, line.days) for line in later] == [(day("2023-10-02"), 3), (day("2023-10-05"), 27)]
    assert found.after(None) == found.lines
    assert found.after(day("2023-10-31")) == ()


def test_rates_out_of_order_or_negative_are_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        table("x", ("2024-01-02", "1"), ("2024-01-01", "2"))
    with pytest.raises(ValueError, match="below zero"):
        table("x", ("2024-01-02", "-1"))


def test_a_regime_of_another_plugin() -> None:
    assert regime_of("public") is PUBLIC
    assert regime_of("own", {"own": TRADE}) is TRADE
    with pytest.raises(RegimeUnknown):
        regime_of("own")


# --- laws -----------------------------------------------------------------------------------------------------------

EPOCH = date(2022, 9, 7)
days_after = st.integers(0, 1500).map(lambda days: EPOCH + timedelta(days=days))
parts_lists = st.lists(st.builds(Part, st.integers(0, 10**12), st.none() | days_after), max_size=6)


def naive(parts: list[Part], due: date, as_of: date) -> Fraction:
    """Every day on its own."""
    total, today = Fraction(0), due + timedelta(days=1)
    while today <= as_of:
        opened = sum(part.amount for part in parts if part.until is None or today <= part.until)
        total += Fraction(DELAY.percent_on(today)) * opened / 36500
        today += timedelta(days=1)
    return total


@given(parts_lists, days_after, days_after)
def test_the_sum_by_periods_is_the_sum_day_by_day(parts: list[Part], due: date, as_of: date) -> None:
    exact = exact_interest(parts, due, as_of, DELAY)
    assert exact == naive(parts, due, as_of)
    lines = interest_lines(parts, due, as_of, DELAY)
    assert sum(line.exact for line in lines) == exact
    assert all(line.days == (line.last_day - line.first_day).days + 1 for line in lines)
    assert all(earlier.last_day < later.first_day for earlier, later in pairwise(lines))


@given(parts_lists, days_after, days_after, st.randoms(use_true_random=False))
def test_the_order_of_parts_does_not_matter(parts: list[Part], due: date, as_of: date, random: object) -> None:
    shuffled = sorted(parts, key=lambda _part: random.random())  # type: ignore[attr-defined]
    assert STATUTORY_DELAY.interest(parts, due, as_of, DELAY) == STATUTORY_DELAY.interest(shuffled, due, as_of, DELAY)


@given(parts_lists, st.integers(1, 10**9), st.integers(0, 10**9), days_after, days_after, days_after)
def test_a_payment_in_two_on_one_day_changes_nothing(
    parts: list[Part], first: int, second: int, paid: date, due: date, as_of: date
) -> None:
    whole, split = [*parts, Part(first + second, paid)], [*parts, Part(first, paid), Part(second, paid)]
    assert STATUTORY_DELAY.interest(whole, due, as_of, DELAY) == STATUTORY_DELAY.interest(split, due, as_of, DELAY)


@given(parts_lists, days_after, days_after, st.integers(0, 400))
def test_interest_never_falls_with_time(parts: list[Part], due: date, as_of: date, later: int) -> None:
    earlier = STATUTORY_DELAY.interest(parts, due, as_of, DELAY)
    after = STATUTORY_DELAY.interest(parts, due, as_of + timedelta(days=later), DELAY)
    assert after.amount >= earlier.amount
    assert after.exact - earlier.exact == sum(line.exact for line in after.after(as_of))


@given(parts_lists, days_after, days_after, st.integers(0, 5000).map(lambda basis: Decimal(basis) / 100))
def test_agreed_interest_is_between_nothing_and_twice_the_statutory(
    parts: list[Part], due: date, as_of: date, percent: Decimal
) -> None:
    rates = CONTRACTUAL.rates({"statutory_delay": DELAY}, percent)
    agreed = exact_interest(parts, due, as_of, rates)
    assert 0 <= agreed <= 2 * exact_interest(parts, due, as_of, DELAY)


@given(st.fractions(min_value=0, max_value=10**9), st.sampled_from([1, 100]))
def test_rounding_is_half_up(exact: Fraction, unit: int) -> None:
    rounded = round_half_up(exact, unit)
    assert rounded % unit == 0
    assert -Fraction(unit, 2) <= exact - rounded < Fraction(unit, 2)


def test_interest_of_a_charge_that_is_not_due() -> None:
    assert interest_of(Debt("fee", None, (Part(100),)), day("2026-01-01"), STATUTORY_DELAY, DELAY).amount == Money(0)

"""Pure rules of books: account numbers, months, turnover, what a control report proves."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.payments.accrual.model import REGIMES as KNOWN_REGIMES
from plugins.payments.books.model import (
    AFTER,
    BEFORE_MONTH,
    BEFORE_YEAR,
    IN_MONTH,
    REGIMES,
    Booked,
    Control,
    Journal,
    Month,
    Turnover,
    account_turnover,
    canonical,
    closable,
    digest,
    nrb,
    sides,
    turnover,
    virtual_account,
)
from plugins.payments.settings import check_nrb

NRB = "29101010100012345600004711"


# --- account numbers ------------------------------------------------------------------------------------------------


def test_the_golden_number() -> None:
    """Prefix of the bank and its client, the payer's id in digits 19–26."""
    assert virtual_account("1010101000123456", 4711) == NRB
    assert NRB[18:] == "00004711"
    assert nrb("109010140000071219812874") == "61109010140000071219812874"


@given(prefix=st.from_regex(r"[0-9]{8,20}", fullmatch=True), data=st.data())
def test_every_number_is_valid_and_its_own(prefix: str, data: st.DataObject) -> None:
    serial = st.integers(1, 10 ** (24 - len(prefix)) - 1)
    one, other = data.draw(serial), data.draw(serial)
    number = virtual_account(prefix, one)
    assert len(number) == 26
    assert check_nrb(number) == number
    assert number[2:].startswith(prefix)
    assert int(number[2 + len(prefix) :]) == one
    assert (number == virtual_account(prefix, other)) == (one == other)


@pytest.mark.parametrize(("prefix", "serial"), [("10101010001234560000", 10_000), ("10101010", 0), ("10101010", -1)])
def test_a_serial_that_does_not_fit_is_refused(prefix: str, serial: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        virtual_account(prefix, serial)


@pytest.mark.parametrize("bban", ["", "1" * 23, "1" * 25, "x" * 24, "²" * 24])
def test_only_24_digits_get_check_digits(bban: str) -> None:
    with pytest.raises(ValueError, match="24 digits"):
        nrb(bban)


def test_the_regimes_of_books_are_those_of_interest() -> None:
    assert set(REGIMES) == set(KNOWN_REGIMES)


# --- months ---------------------------------------------------------------------------------------------------------


@given(st.dates(date(1990, 1, 1), date(2200, 12, 31)))
def test_a_month_has_its_days(day: date) -> None:
    month = Month.of(day)
    assert month.first <= day <= month.last
    assert month.next.first == month.last + timedelta(days=1)
    assert month.next.previous == month
    assert Month.parsed(str(month)) == month
    assert month.year_start == date(day.year, 1, 1)


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "202610", "2026-10-01", "", "abcd-ef", "2026/10"])
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(ValueError, match=r"2026-10|isoformat|month|day"):
        Month.parsed(text)


def test_months_are_closed_in_order_once_they_have_ended() -> None:
    today = date(2026, 11, 24)
    assert closable(date(2026, 9, 30), today) == [Month.parsed("2026-10")]
    assert closable(date(2026, 10, 31), today) == []
    assert closable(date(2026, 10, 31), date(2026, 11, 30)) == []
    assert closable(date(2026, 10, 31), date(2026, 12, 1)) == [Month.parsed("2026-11")]
    first = closable(None, today, choices=3)
    assert [str(month) for month in first] == ["2026-10", "2026-09", "2026-08"]


# --- turnover -------------------------------------------------------------------------------------------------------


def booked(
    side: str, amount: int, era: int = IN_MONTH, kind: str = "", account: int = 1, *, back: bool = False
) -> Booked:
    return Booked(account, side, kind or ("fee" if side == "charge" else "payment"), back, era, 1, amount)


def test_a_reversal_is_black_on_the_other_side_or_red_on_its_originals() -> None:
    returned = booked("charge", 5000, kind="reversal", back=True)
    lowered = booked("credit", 700, kind="correction", back=True)
    assert sides(returned, "black") == (5000, 0)
    assert sides(returned, "red") == (0, -5000)
    assert sides(lowered, "black") == (0, 700)
    assert sides(lowered, "red") == (-700, 0)
    assert sides(booked("charge", 30), "red") == (30, 0)


def test_turnover_of_an_account() -> None:
    found = account_turnover(
        [
            booked("charge", 10000, BEFORE_YEAR),
            booked("credit", 4000, BEFORE_MONTH),
            booked("charge", 3000),
            booked("credit", 20000),
            booked("charge", 99999, AFTER),
        ],
        "black",
    )
    assert found == Turnover(
        opening_debit=6000,
        debit=3000,
        credit=20000,
        year_debit=3000,
        year_credit=24000,
        closing_credit=11000,
    )


SUMS = st.lists(
    st.builds(
        Booked,
        account=st.integers(1, 4),
        side=st.sampled_from(["charge", "credit"]),
        kind=st.just("fee"),
        takes_back=st.booleans(),
        era=st.integers(0, 3),
        entries=st.just(1),
        amount=st.integers(1, 10**12),
    ),
    max_size=30,
)


@given(SUMS, st.sampled_from(["red", "black"]))
def test_the_book_is_the_sum_of_its_accounts_and_storno_changes_no_balance(sums: list[Booked], storno: str) -> None:
    whole = turnover(sums, storno)
    accounts = [account_turnover([one for one in sums if one.account == number], storno) for number in range(1, 5)]
    assert whole == sum(accounts, Turnover())
    assert whole.opening + whole.debit - whole.credit == whole.closing
    other = turnover(sums, "black")
    assert (whole.opening, whole.closing) == (other.opening, other.closing)
    assert whole.debit - whole.credit == other.debit - other.credit


# --- the control report ---------------------------------------------------------------------------------------------

SOUND = Control(
    turnover=Turnover(opening_debit=100, debit=50, credit=20, closing_debit=130),
    kinds=(),
    journal=Journal(first=4, last=6, proven=3, upto=6, counted=3, is_whole=True),
    accounts=1,
    owing=1,
    overpaid=0,
    in_arrears=0,
    differing=0,
    entries_balance=130,
    kept_balance=130,
    opening_expected=100,
    seal="",
    suspense_lines=0,
    suspense=0,
)


def test_a_sound_ledger_has_no_findings() -> None:
    assert SOUND.findings() == []
    assert replace(SOUND, opening_expected=None).findings() == []


@pytest.mark.parametrize(
    ("wrong", "finding"),
    [
        ({"journal": replace(SOUND.journal, counted=2, is_whole=False)}, ["journal_gap"]),
        ({"journal": replace(SOUND.journal, is_whole=False)}, ["journal_repeated"]),
        ({"journal": replace(SOUND.journal, counted=4, is_whole=False)}, ["journal_repeated"]),
        ({"differing": 2}, ["kept_differs"]),
        ({"kept_balance": 129}, ["kept_differs"]),
        ({"opening_expected": 99}, ["opening_differs"]),
        ({"turnover": replace(SOUND.turnover, closing_debit=131)}, ["turnover_differs"]),
    ],
)
def test_what_a_control_report_finds(wrong: dict[str, object], finding: list[str]) -> None:
    assert replace(SOUND, **wrong).findings() == finding  # type: ignore[arg-type]


def test_a_report_has_one_digest_however_it_is_written() -> None:
    assert canonical({"b": 1, "a": {"ą": [1, None]}}) == '{"a":{"ą":[1,null]},"b":1}'.encode()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})

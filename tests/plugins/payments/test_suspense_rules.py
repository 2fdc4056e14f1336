"""The pure rules of suspense: what a title says, whom a line points to and how surely, what a list's rows mean."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import Money
from plugins.payments.charging.reading import split
from plugins.payments.suspense.model import (
    MOST_TOKENS,
    Candidate,
    Found,
    account_digits,
    name_spellings,
    proposals,
    read_list,
    read_row,
    resolve,
    tokens,
)

TODAY = date(2026, 11, 24)
OWN = "29101010100012345600004711"


# --- what a title says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "whole", "inner", "neither"),
    [
        ("Czynsz 4711", {"4711"}, set(), {"471", "711"}),
        ("147115", {"147115"}, set(), {"4711"}),
        ("4711/2026", {"4711/2026"}, {"4711", "2026"}, set()),
        ("FV 4711/11/2026", {"4711/11/2026"}, {"4711", "4711/11", "11/2026"}, set()),
        ("kl.4711, lok.3", {"4711", "3"}, set(), {"kl.4711"}),
        ("czynsz 12.2026", {"12.2026"}, {"12"}, set()),
        ("nr:A-12/3;", {"A-12/3"}, {"A-12", "12/3"}, set()),
        ("a-12/3", {"A-12/3"}, set(), set()),
        ("ID4711", {"ID4711"}, set(), {"4711"}),
        ("opłata(4711)", {"4711"}, set(), set()),
        ("28 1010 4711 0000 1234 5600 0047 11", set(), set(), {"4711", "1010"}),
        ("29101010100012345600004711", set(), set(), {"4711", OWN}),
        ("tel. 500 471 147 11", {"500", "471"}, set(), {"4711", "47114711"}),
        ("", set(), set(), {""}),
    ],
)
def test_a_number_is_a_token_only_where_it_stands_alone(
    title: str, whole: set[str], inner: set[str], neither: set[str]
) -> None:
    said = tokens(title)
    assert whole <= said.whole
    assert inner <= said.inner
    assert not neither & (said.whole | said.inner)


def test_account_numbers_are_known_however_they_are_grouped() -> None:
    for title in (
        f"za {OWN}",
        "wpłata 29 1010 1010 0012 3456 0000 4711 dziękuję",
        "PL29-1010-1010-0012-3456-0000-4711",
    ):
        assert tokens(title).accounts == {OWN}
    assert tokens(f"1{OWN}").accounts == set()
    assert account_digits(" PL29 1010-1010 0012 3456 0000 4711") == OWN


@given(st.text(max_size=600))
def test_any_title_is_taken_apart(title: str) -> None:
    said = tokens(title)
    assert len(said.whole) + len(said.inner) < MOST_TOKENS + 2000
    assert not said.whole & said.inner
    assert all(token in title.upper() for token in said.whole)


@given(st.integers(1, 10**8), st.integers(0, 9))
def test_a_number_with_another_digit_beside_it_is_another_number(number: int, digit: int) -> None:
    for title in (f"czynsz {digit}{number}", f"czynsz {number}{digit}"):
        said = tokens(title)
        assert str(number) not in said.whole | said.inner


def test_names_are_known_as_banks_turn_them_round() -> None:
    assert "Nowak Anna" in name_spellings("Anna Nowak")
    assert "ANNA NOWAK" in name_spellings("NOWAK ANNA UL. POLNA 3 61-001 POZNAŃ")
    assert "Anna Maria Nowak" in name_spellings("Nowak Maria Anna")
    assert name_spellings("Gmina") == frozenset()
    assert name_spellings("") == frozenset()


# --- whom it points to ----------------------------------------------------------------------------------------------


def candidate(account: int = 1, **facts: Any) -> Candidate:
    return Candidate(account, str(4710 + account), "Rozrachunki", False, account, str(4710 + account), "Jan", **facts)


def certainty(title: str = "", **facts: Any) -> float:
    found = proposals(tokens(title), [candidate(**facts)])
    return found[0].certainty if found else 0


def test_only_an_own_number_is_certain() -> None:
    assert certainty(own_number=True) == 1
    everything = certainty(
        f"4711 {OWN}", titled_account=True, number="4711", same_name=True, earlier=50, earlier_of=50, is_due=True
    )
    assert 0.98 < everything < 1


def test_an_amount_alone_points_to_nobody() -> None:
    assert certainty(has_open=True, is_due=True, is_all=True) == 0


def test_more_evidence_is_surer_and_weaker_evidence_less() -> None:
    alone = certainty("czynsz 4711", number="4711")
    assert alone == 0.8
    assert certainty("czynsz 4711", number="4711", has_open=True) > alone
    assert certainty("czynsz 4711", number="4711", is_due=True) > certainty("4711", number="4711", has_open=True)
    assert certainty("FV 4711/2026", number="4711") < 0.5
    assert certainty("lok 7", number="7") < alone


def test_a_payer_of_many_accounts_points_to_none_of_them() -> None:
    tenants = [candidate(n, earlier=3, earlier_of=240) for n in range(1, 81)]
    found = proposals(tokens("dodatki"), tenants)
    assert len(found) == 8
    assert all(one.certainty < 0.1 for one in found)
    assert certainty(earlier=3, earlier_of=3) == 0.9


def test_namesakes_share_their_name() -> None:
    two = proposals(tokens(""), [candidate(1, same_name=True), candidate(2, same_name=True)])
    assert [one.certainty for one in two] == [0.25, 0.25]
    assert certainty(same_name=True) == 0.5


def test_the_surest_comes_first_with_its_weightiest_reason() -> None:
    found = proposals(
        tokens("4712 woda"), [candidate(1, same_name=True), candidate(2, number="4712", same_name=True, has_open=True)]
    )
    assert [one.candidate.account for one in found] == [2, 1]
    assert [reason.message[:9] for reason in found[0].reasons] == ["the title", "the amoun", "the payer"]


# --- lists ----------------------------------------------------------------------------------------------------------


def found_of(number: str, account: int | None = 1, **facts: Any) -> Found:
    values: dict[str, Any] = {
        "account_no": number if account else "",
        "book": "Rozrachunki",
        "is_main": True,
        "is_mirror": False,
        "closed_on": None,
        "customer": account or 9,
        "customer_no": number,
        "name": "Jan",
        "customer_status": "active",
    }
    return Found(number=number, account=account, **(values | facts))


def test_a_list_is_read_with_and_without_heading() -> None:
    rows = read_list(split("nr;kwota;tytuł\n4711;1 234,56 zł;dodatek\n\n4712;12\n;5\n4713;0\n4714;-3\n4715"))
    assert [(row.place, row.number, row.amount) for row in rows[:2]] == [
        (2, "4711", Money(123456)),
        (4, "4712", Money(1200)),
    ]
    assert rows[0].title == "dodatek"
    assert [row.wrong is not None for row in rows] == [False, False, True, True, True, True]
    assert [row.wrong_number for row in rows] == [False, False, True, False, False, False]
    assert read_list(split("nr;kwota")) == []
    (tabbed,) = read_list(split("4711\t12,5"))
    assert tabbed.amount == Money(1250)


@pytest.mark.parametrize(
    ("known", "account", "wrong"),
    [
        ([], None, "no account or customer"),
        ([found_of("7", 1)], 1, ""),
        ([found_of("7", 1), found_of("7", 2, is_main=False)], 1, ""),
        ([found_of("7", 1, is_main=False), found_of("7", 2, is_main=False)], None, "Several accounts"),
        ([found_of("7", 3, is_main=False), found_of("7", 1, account_no="other")], 3, ""),
        ([found_of("7", None)], None, ""),
        ([found_of("7", None, customer_status="closed")], None, "closed and has no account"),
        ([found_of("7", 1, closed_on=TODAY)], 1, "account is closed"),
        ([found_of("7", 1, closed_on=date(2026, 11, 25))], 1, ""),
    ],
)
def test_what_a_number_stands_for(known: list[Found], account: int | None, wrong: str) -> None:
    (row,) = resolve([read_row(1, "7", "5")], {"7": known}, TODAY)
    assert (row.found.account if row.found else None) == account
    assert wrong in (row.wrong.message if row.wrong else "")
    assert bool(row.wrong) == bool(wrong)


def test_an_account_named_twice_is_said() -> None:
    known = {"7": [found_of("7", 1)], "77": [found_of("77", 1)], "8": [found_of("8", 2)]}
    rows = resolve([read_row(n, number, "5") for n, number in enumerate(["7", "8", "77"], 1)], known, TODAY)
    assert [row.wrong is not None for row in rows] == [True, False, True]

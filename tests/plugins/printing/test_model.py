"""The pure rules of the payment order: account numbers, words, lines, the code's text, references."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from kernel import Money
from plugins.printing.model import (
    LARGEST_IN_QR,
    LARGEST_PRINTED,
    LINE,
    OrderKind,
    PaymentOrder,
    amount_in_words,
    format_nrb,
    has_right_check_digits,
    is_reference,
    normalise_nrb,
    number_in_words,
    party_lines,
    plural,
    reference_of,
    shortened,
    wrapped,
)

NRB = "29101010100012345600004711"
QR = "1234563218|PL|29101010100012345600004711|012345|SM PRZYKLAD|Czynsz 11/2026 kl. 4711|||"
ALLOWED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ąćęłńóśźżĄĆĘŁŃÓŚŹŻ ,./\\-@#&*_")


def order(**changed: object) -> PaymentOrder:
    given: dict[str, object] = {
        "payee_name": "SM PRZYKLAD",
        "payee_address": "ul. Łąkowa 1, 00-950 Warszawa",
        "payee_account": NRB,
        "payee_nip": "1234563218",
        "amount": Money(12345),
        "kind": OrderKind.TRANSFER,
        "payer_name": "Żaneta Gęśla",
        "payer_address": "ul. Długa 17/4, 00-950 Warszawa",
        "title": "Czynsz 11/2026 kl. 4711",
        "customer_no": "4711",
    }
    return PaymentOrder(**{**given, **changed})  # pyright: ignore[reportArgumentType]


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=80)


# --- account numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [NRB, f"PL{NRB}", "pl 29 1010 1010 0012 3456 0000 4711", "29-10101010-0012345600004711"]
)
def test_an_account_number_is_read_however_it_is_written(text: str) -> None:
    assert normalise_nrb(text) == NRB


@pytest.mark.parametrize("text", ["", NRB[:-1], NRB + "1", NRB.replace("4711", "4712"), "٢٩" + NRB[2:], "DE" + NRB])
def test_a_wrong_account_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="account number"):
        normalise_nrb(text)


def test_an_account_number_is_shown_in_groups() -> None:
    assert format_nrb(NRB) == "29 1010 1010 0012 3456 0000 4711"
    assert has_right_check_digits("61109010140000071219812874")


def test_no_order_is_made_for_a_wrong_account() -> None:
    for wrong in (NRB.replace("4711", "4712"), f"PL{NRB}"):
        with pytest.raises(ValueError, match="account number"):
            order(payee_account=wrong)


def test_an_account_that_the_office_has_not_entered_is_left_to_handwriting_and_has_no_code() -> None:
    unknown = order(payee_account="")
    assert (unknown.account, unknown.qr_payload) == ("", "")


@given(st.integers(0, 25), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(at: int, step: int) -> None:
    wrong = NRB[:at] + str((int(NRB[at]) + step) % 10) + NRB[at + 1 :]
    assert not has_right_check_digits(wrong)


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grosze", "words"),
    [
        (0, "zero złotych 00/100"),
        (1, "zero złotych 01/100"),
        (100, "jeden złoty 00/100"),
        (200, "dwa złote 00/100"),
        (500, "pięć złotych 00/100"),
        (1200, "dwanaście złotych 00/100"),
        (2150, "dwadzieścia jeden złotych 50/100"),
        (2200, "dwadzieścia dwa złote 00/100"),
        (11200, "sto dwanaście złotych 00/100"),
        (123456, "jeden tysiąc dwieście trzydzieści cztery złote 56/100"),
        (200000, "dwa tysiące złotych 00/100"),
        (1500000, "piętnaście tysięcy złotych 00/100"),
        (100100000, "jeden milion jeden tysiąc złotych 00/100"),
        (2200000001, "dwadzieścia dwa miliony złotych 01/100"),
    ],
)
def test_an_amount_in_words(grosze: int, words: str) -> None:
    assert amount_in_words(Money(grosze)) == words


def test_a_negative_amount_has_no_words() -> None:
    with pytest.raises(ValueError, match="negative"):
        amount_in_words(Money(-1))


@given(st.integers(0, 10**12))
def test_numbers_are_those_of_an_independent_speaker(number: int) -> None:
    ours = number_in_words(number).split()
    theirs = num2words(number, lang="pl").split()
    singles = {"tysiąc", "milion", "miliard", "bilion"}
    pairs = zip(ours, [*ours[1:], ""], strict=True)
    said_once = [word for word, after in pairs if not (word == "jeden" and after in singles)]
    assert said_once == theirs


@given(st.integers(2, 10**6))
def test_only_one_has_the_singular(number: int) -> None:
    assert plural(number, "złoty", "złote", "złotych") != "złoty"


# --- lines ----------------------------------------------------------------------------------------------------------


@given(texts, st.integers(1, 40))
def test_lines_keep_every_letter_and_never_spill(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(0 < len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(unicodedata.normalize("NFC", text).split())


def test_lines_break_at_words() -> None:
    assert wrapped("CZYNSZ 11/2026 LOKAL 15A KLIENT 000123") == ["CZYNSZ 11/2026 LOKAL 15A", "KLIENT 000123"]
    assert wrapped("A" * 30) == ["A" * 27, "AAA"]
    assert shortened("ul. Łąkowa 1 00-950 Warszawa") == "ul. Łąkowa 1 00-950"


def test_a_short_name_leaves_the_second_line_to_the_address() -> None:
    assert party_lines("Żaneta Gęśla-Źrebięcińska", "ul. Długa 17/4, 00-950 Warszawa-Śródmieście") == (
        "ŻANETA GĘŚLA-ŹREBIĘCIŃSKA",
        "UL. DŁUGA 17/4, 00-950",
    )


def test_a_name_of_28_characters_goes_on_in_the_second_line() -> None:
    name = "Spółdzielnia Mieszkaniowa AB"
    assert len(name) == LINE + 1
    assert party_lines(name, "ul. Łąkowa 1") == ("SPÓŁDZIELNIA MIESZKANIOWA", "AB")


@given(texts, texts)
def test_a_party_has_two_lines_of_27(name: str, address: str) -> None:
    assert all(len(line) <= LINE for line in party_lines(name, address))


def test_a_long_title_keeps_reference_and_customer_number() -> None:
    made = order(title="Opłata za lokal mieszkalny przy ulicy Długiej 17/4 za listopad 2026", reference="EBM40VTMJ")
    assert made.title_lines == ("EBM40VTMJ 4711 Opłata za", "lokal mieszkalny przy ulicy")
    assert made.transfer_title == "EBM40VTMJ 4711 Opłata za lokal mieszkalny przy ulicy"


def test_a_short_title_that_names_the_customer_stays_as_it_is() -> None:
    assert order().transfer_title == "Czynsz 11/2026 kl. 4711"


@given(texts, st.text("0123456789", min_size=1, max_size=12))
def test_no_title_loses_its_identifiers(title: str, customer_no: str) -> None:
    made = order(title=title, customer_no=customer_no, reference="EBM40VTMJ")
    assert {"EBM40VTMJ", customer_no} <= set(made.transfer_title.split())
    assert len(made.transfer_title) <= 2 * LINE + 1
    assert {"EBM40VTMJ", customer_no} <= set(made.qr_payload.split("|")[5].split())


# --- the code -------------------------------------------------------------------------------------------------------


def test_the_code_of_the_fixture() -> None:
    assert order().qr_payload == QR


def test_the_code_without_amount_or_nip() -> None:
    fields = order(amount=None, payee_nip="").qr_payload.split("|")
    assert (fields[0], fields[3]) == ("", "000000")


@pytest.mark.parametrize(("grosze", "field"), [(1, "000001"), (999_999, "999999"), (1_000_000, "000000")])
def test_an_amount_above_9999_99_is_left_to_the_payer(grosze: int, field: str) -> None:
    made = order(amount=Money(grosze))
    assert made.qr_payload.split("|")[3] == field
    assert made.amount_in_qr is (Money(grosze) <= LARGEST_IN_QR)


def test_signs_that_the_code_forbids_do_not_reach_it() -> None:
    made = order(payee_name='Sp|ółka "Łąka"', title="Čzynsz: 1|2 – ąćęłńóśźż ß;", customer_no="")
    assert made.qr_payload.split("|")[4] == "Sp ółka Łąka"
    assert made.qr_payload.split("|")[5] == "Czynsz 1 2 - ąćęłńóśźż ss"


@given(texts, texts, texts, st.one_of(st.none(), st.integers(1, LARGEST_PRINTED.grosze)))
def test_the_code_keeps_its_limits(name: str, title: str, customer_no: str, grosze: int | None) -> None:
    made = order(
        payee_name=name, title=title, customer_no=customer_no, amount=None if grosze is None else Money(grosze)
    )
    fields = made.qr_payload.split("|")
    assert len(made.qr_payload) <= 160
    assert len(fields) == 9
    assert all(len(field) <= most for field, most in zip(fields, (10, 2, 26, 6, 20, 32, 20, 12, 24), strict=True))
    assert set("".join(fields)) <= ALLOWED


# --- references -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 31**6 - 1), st.integers(0, 31**6 - 1))
def test_every_order_has_a_reference_of_its_own(one: int, other: int) -> None:
    assert is_reference(reference_of(one))
    assert (reference_of(one) == reference_of(other)) is (one == other)


@given(st.integers(0, 31**6 - 1), st.integers(2, 7))
def test_swapped_neighbours_are_found(number: int, at: int) -> None:
    reference = reference_of(number)
    swapped = reference[:at] + reference[at + 1] + reference[at] + reference[at + 2 :]
    assert is_reference(swapped) is (swapped == reference)


@pytest.mark.parametrize("text", ["", "EB", "EBM40VTMK", "ebm40vtmj", "EBM40VTMJJ", "XXM40VTMJ"])
def test_what_is_not_a_reference(text: str) -> None:
    assert not is_reference(text)


def test_references_end() -> None:
    with pytest.raises(ValueError, match="no more references"):
        reference_of(31**6)

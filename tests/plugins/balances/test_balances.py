"""What a customer sees: the answer in words, the card that explains itself, and nobody else's."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest

from kernel import Money, Role, Site
from kernel.i18n import speaking
from kernel.testing import Office
from plugins.balances.model import answer_of, balance_words, explained
from plugins.payments import CardLine, CardPart, Side, Status
from plugins.payments.model import Open, position
from tests.plugins.payments.ledger import Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments", "balances"])

TODAY = date(2026, 11, 24)
NBSP = "\u00a0"


@pytest.fixture
def site(site: Site) -> Site:
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    return site


def plain(text: str) -> str:
    """A page as it reads: without tags, with plain spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text).replace(NBSP, " "))


@pytest.mark.parametrize(
    ("charges", "credit", "words", "amount", "tone", "note"),
    [
        ([Open(51240, date(2026, 12, 10))], 0, "Do zapłaty", 51240, "", "do 10 grudnia 2026"),
        ([Open(51240, TODAY)], 0, "Do zapłaty", 51240, "", "Dziś mija termin"),
        ([Open(100, date(2026, 11, 10))], 0, "Do zapłaty", 100, "due", "Termin już minął"),
        ([Open(100, date(2026, 11, 10)), Open(50, TODAY)], 0, "Do zapłaty", 150, "due", "w tym po terminie 1,00 zł"),
        ([], 2000, "Nadpłata", 2000, "credit", "Pomniejszy Twoją kolejną opłatę."),
        ([], 0, "Wszystko zapłacone", None, "settled", "None"),
    ],
)
def test_the_answer_is_in_words(
    site: Site, charges: list[Open], credit: int, words: str, amount: int | None, tone: str, note: str
) -> None:
    answer = answer_of(position(charges, credit, TODAY))
    with speaking("pl"):
        assert str(answer.label) == words
        assert str(answer.note).replace(NBSP, " ") == note
    assert (answer.amount, answer.tone) == (None if amount is None else Money(amount), tone)


def test_a_balance_never_shows_a_bare_minus(site: Site) -> None:
    with speaking("pl"):
        shown = [str(balance_words(Money(grosze))).replace(NBSP, " ") for grosze in (12345, -2000, 0)]
    assert shown == ["do zapłaty 123,45 zł", "nadpłata 20,00 zł", "rozliczone"]


def test_an_explanation_sums_to_its_row(site: Site) -> None:
    part = CardPart(2, "payment", "Wpłata", "", date(2026, 11, 5), Money(60), "oldest_due")
    line = CardLine(
        1,
        Side.CHARGE,
        "fee",
        "Czynsz",
        "",
        TODAY,
        TODAY,
        TODAY,
        Money(100),
        Money(40),
        Money(40),
        Status.PARTLY_PAID,
        (part,),
    )
    with speaking("pl"):
        assert [str(text).replace(NBSP, " ") for text in explained(line)] == [
            "0,60 zł z wpłaty z 5 listopada 2026",
            "0,40 zł pozostało do zapłaty",
        ]


async def test_home_and_account_of_a_customer(site: Site, office: Office) -> None:
    async with acting(site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        first, _second = await book.post(
            book.charge(10000, date(2026, 10, 10), title="Czynsz za październik", document_no="FV/10"),
            book.charge(51240, date(2026, 12, 10), title="Czynsz za grudzień"),
        )
        await book.post(book.payment(6000, date(2026, 10, 8)))
        (voided,) = await book.post(book.charge(77, date(2026, 11, 10), title="Pomyłka"))
        await book.void(voided)
        other = await Book.opened(conn, "4712")
        await other.post(other.charge(99900, date(2026, 12, 10), title="Cudzy czynsz"))
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    home = await customer.get("/")
    assert home.status == 200
    assert "Do zapłaty 40,00 zł Termin już minął" in plain(home.text)
    account = await customer.get("/balance")
    assert account.status == 200
    text = plain(account.text)
    assert "Czynsz za październik do 12 października 2026 · FV/10 40,00 zł z 100,00 zł po terminie" in text
    assert "60,00 zł z wpłaty z 8 października 2026" in text
    assert "40,00 zł pozostało do zapłaty" in text
    assert "<s>Pomyłka</s>" in account.text
    assert "Cudzy" not in account.text
    assert "999,00" not in text
    assert first


async def test_an_empty_account_says_so(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    assert "Wszystko zapłacone" in (await customer.get("/")).text
    assert "Nie ma jeszcze naliczeń ani wpłat" in (await customer.get("/balance")).text


async def test_the_card_goes_on_and_starts_anew_when_something_was_posted(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        for month in range(1, 13):
            drafts = [book.charge(100 + n, date(2025, month, 10)) for n in range(5)]
            await book.post(*drafts)
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    page = await customer.get("/balance")
    older = re.search(r'href="(/balance\?before=[^"]+)"', page.text)
    assert older
    second = await customer.get(older[1])
    assert second.status == 200
    assert "Od najnowszych" in second.text
    assert "Starsze" not in second.text
    async with acting(site) as conn:
        await Book(conn, book.customer, book.account).post(book.payment(100, TODAY))
    moved = await customer.get(older[1])
    assert moved.status == 303
    assert (await customer.get("/balance?before=2026-01-01.1.1")).status == 303


async def test_the_office_and_visitors_have_no_account(site: Site, office: Office) -> None:
    assert (await (await office.visitor()).get("/balance")).status == 303
    assert (await (await office.visitor(Role.ADMIN)).get("/balance")).status == 403


async def test_the_account_costs_few_round_trips(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(100, date(2026, 12, 10)))
    customer = await office.visitor(Role.CUSTOMER, book.customer)
    for path, most in (("/", 2), ("/balance", 3)):
        await customer.get(path)
        before = site.db.statements
        await customer.get(path)
        assert site.db.statements - before <= most, path

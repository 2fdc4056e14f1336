"""Explanations are data whose parts sum to the figure, at every node, however much of it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import Connection, Money, Site, i18n
from kernel.i18n import speaking
from kernel.testing import registry_of
from plugins.payments import Side
from plugins.payments.accrual.model import STATUTORY_DELAY, Part, Rate, RateTable
from plugins.payments.charging.store import ChargeLine
from plugins.payments.explain import model, store
from plugins.payments.explain.documents import Letterhead, statement_pdf
from plugins.payments.explain.model import Ageing, Explanation, History, Item, Line, Met, Month, Standing, Told
from plugins.payments.explain.store import Whose
from plugins.payments.model import RULES, Open, effective_due, position
from tests.plugins.payments.ledger import TODAY, Book, acting
from tests.plugins.payments.test_history import STEPS

pytestmark = pytest.mark.ebok(plugins=["payments"])

DAYS = st.dates(date(2025, 1, 1), date(2026, 12, 31))
AMOUNTS = st.integers(1, 500_000)


@pytest.fixture(autouse=True)
def catalogues() -> None:
    i18n.load_catalogues([plugin.path for plugin in registry_of().plugins])


def nodes(explanation: Explanation) -> Iterator[Explanation]:
    yield explanation
    for part in explanation.parts:
        yield from nodes(part)


def sound(explanation: Explanation) -> None:
    """The parts sum, and what lowers a figure says that it does."""
    assert explanation.adds_up
    with speaking("en"):
        for node in nodes(explanation):
            if node.amount.grosze < 0 and not node.opens and node is not explanation:
                assert str(node.title).lower().startswith("less"), node


def item(number: int, due: date, amount: int, paid: int = 0, *, barred: bool = False) -> Item:
    day = effective_due(due)
    kept = Money(amount - paid)
    return Item(number, 1, Side.CHARGE, "fee", "Czynsz", "", due, due, day, Money(amount), kept, Money(0), barred)


def standing_of(charges: list[tuple[date, int]], credit: int, on: date, shown: int) -> Standing:
    items = sorted((item(place, due, amount) for place, (due, amount) in enumerate(charges)), key=lambda one: one.due)
    where = position([Open(one.open.grosze, one.due) for one in items], credit, on)
    buckets: dict[str, Money] = {}
    for one in items:
        name = model.bucket_of(one.due, on)
        buckets[name] = buckets.get(name, Money(0)) + one.open
    due = Money.total(one.open for one in items if where.to_pay_by and one.due <= where.to_pay_by)
    return Standing(where, due, Ageing(**buckets), tuple(items[:shown]), (), max(0, len(items) - shown))


@given(st.lists(st.tuples(DAYS, AMOUNTS), max_size=8), st.integers(0, 400_000), DAYS, st.integers(0, 8))
def test_what_is_to_pay_and_the_balance_sum(charges: list[tuple[date, int]], credit: int, on: date, shown: int) -> None:
    standing = standing_of(charges, credit, on, shown)
    asked = model.to_pay(standing)
    sound(asked)
    assert asked.amount == standing.position.to_pay
    whole = model.balance_now(standing)
    sound(whole)
    assert whole.amount == standing.position.balance
    old = model.ageing(standing)
    sound(old)
    assert old.amount == Money(sum(amount for _due, amount in charges))


LINES = st.lists(st.tuples(st.sampled_from(Side), DAYS, AMOUNTS), max_size=12)


@given(LINES, st.integers(0, 12), st.sampled_from(["", "2025", "2026", "2025-03", "2026-11"]))
def test_a_history_sums_by_year_month_and_entry(entries: list[tuple[Side, date, int]], shown: int, opened: str) -> None:
    lines = [
        Line(place, side, "opening", "", "", day, Money(amount)) for place, (side, day, amount) in enumerate(entries)
    ]
    months: list[Month] = []
    for first in sorted({line.on.replace(day=1) for line in lines}):
        mine = [line for line in lines if line.on.replace(day=1) == first]
        charged, credited = (
            Money.total(line.amount for line in mine if line.side is side) for side in (Side.CHARGE, Side.CREDIT)
        )
        months.append(Month(first, charged, credited, len(mine)))
    asked = tuple(line for line in lines if f"{line.on:%Y-%m}" == opened)
    history = History(tuple(months), asked[:shown])
    explanation = model.balance(history, opened)
    sound(explanation)
    assert explanation.amount == Money.total(line.signed for line in lines)
    if asked[:shown]:
        assert {node.entry for node in nodes(explanation)} >= {line.entry for line in asked[:shown]}


def told(side: Side, amount: int, met: list[int], shown: int, **facts: Any) -> Told:
    stamp = datetime(2026, 11, 24, tzinfo=UTC)
    kinds = ("payment", "correction", "benefit") if side is Side.CHARGE else ("fee",)
    rules = ("oldest_due", "correction", "prepay", "reversal")
    all_met = [
        Met(place, side, kinds[place % len(kinds)], "", "", TODAY, Money(part), rules[place % len(rules)], stamp)
        for place, part in enumerate(met)
    ]
    values: dict[str, Any] = {
        "account": 1,
        "entry": 99,
        "side": side,
        "kind": "fee" if side is Side.CHARGE else "payment",
        "title": "",
        "document_no": "",
        "state": "approved",
        "amount": Money(amount),
        "open": Money(amount - sum(met)),
        "counted_on": TODAY,
        "due_on": date(2026, 11, 15),
        "effective_due_on": date(2026, 11, 16),
        "time_barred_on": None,
        "paid_on": None,
        "reverses": None,
        "corrects": None,
        "bears_on": None,
        "reversed_by": None,
        "reason": "",
        "void_reason": None,
        "approved_at": stamp,
        "voided_at": None,
        "customer": 1,
        "customer_no": "4711",
        "customer_name": "Anna Nowak",
        "consumer": True,
        "account_no": "4711",
        "book": "Rozrachunki",
        "policy": "civil",
        "met": tuple(all_met[:shown]),
        "met_sum": Money(sum(met)),
        "met_count": len(met),
    }
    return Told(**(values | facts))


@given(
    st.sampled_from(Side),
    st.lists(st.integers(1, 1000), max_size=6),
    st.integers(0, 5000),
    st.integers(0, 6),
    st.lists(st.integers(1, 900), max_size=3),
)
def test_an_entry_sums(side: Side, met: list[int], left: int, shown: int, made: list[int]) -> None:
    lines = [
        ChargeLine(1, 1, "Czynsz", "2026-11", "Eksploatacja", "m²", Decimal("12.50"), Decimal("2.35"), Money(amount))
        for amount in made
    ]
    amount = sum(met) + left or 1
    explanation = model.entry(told(side, amount, met, shown), lines)
    assert explanation.adds_up
    assert explanation.amount == (Money(amount - sum(met)) if side is Side.CHARGE else Money(amount))


def test_a_charge_in_plain_polish() -> None:
    with speaking("pl"):
        explanation = model.entry(told(Side.CHARGE, 10000, [6000, 1000], 2))
        said = [str(node.title).replace("\u00a0", " ") for node in nodes(explanation)]
        why = " ".join(str(text) for node in nodes(explanation) for text in node.why).replace("\u00a0", " ")
    assert said == [
        "Pozostało do zapłaty",
        "Opłata",
        "Odejmujemy wpłatę z 24 listopada 2026",
        "Odejmujemy korektę z 24 listopada 2026",
    ]
    assert "15 listopada 2026 to niedziela, więc termin przesuwa się na 16 listopada 2026 (art. 115" in why
    assert "bo z wymagalnych opłat ta miała najwcześniejszy termin (art. 451 § 3 Kodeksu cywilnego)" in why


@pytest.mark.parametrize(
    ("due", "moved", "word"),
    [
        (date(2025, 11, 15), date(2025, 11, 17), "sobota"),
        (date(2026, 11, 15), date(2026, 11, 16), "niedziela"),
        (date(2026, 11, 11), date(2026, 11, 12), "dzień wolny od pracy"),
    ],
)
def test_a_due_date_moves_and_says_why(due: date, moved: date, word: str) -> None:
    with speaking("pl"):
        (said,) = model.due_words(due, moved)
        assert word in str(said)
    assert list(model.due_words(None, None)) == []


def test_every_rule_has_its_words_in_either_law() -> None:
    with speaking("pl"):
        for rule in RULES:
            for policy in ("civil", "public"):
                assert str(model.rule_words(rule, policy))
        assert "Ordynacji" in str(model.rule_words("oldest_due", "public"))


def test_interest_is_days_times_rate_and_sums_with_its_rounding() -> None:
    """Golden vector V9: three rates, 16.60 together."""
    rates = RateTable(
        "statutory_delay",
        (
            Rate(date(2025, 9, 4), Decimal("10.25")),
            Rate(date(2025, 10, 9), Decimal("10.00")),
            Rate(date(2025, 11, 6), Decimal("9.75")),
        ),
    )
    borne = STATUTORY_DELAY.interest((Part(100000),), date(2025, 9, 30), date(2025, 11, 30), rates)
    explanation = model.interest_of_charge("Odsetki", borne)
    sound(explanation)
    assert explanation.amount == Money(1660)
    with speaking("pl"):
        said = [str(part.why[0]).replace("\u00a0", " ") for part in explanation.parts if part.why]
    assert said == [
        "1 000,00 zł × 10,25% × 8 dni / 365",
        "1 000,00 zł × 10% × 28 dni / 365",
        "1 000,00 zł × 9,75% × 25 dni / 365",
    ]


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=12))
def test_a_picture_keeps_within_its_frame(amounts: list[int]) -> None:
    months = [
        Month(
            date(2025 + place // 12, place % 12 + 1, 1),
            Money(amount * (place % 2)),
            Money(amount * ((place + 1) % 2)),
            1,
        )
        for place, amount in enumerate(amounts)
    ]
    picture = model.picture(History(tuple(months)), TODAY)
    assert len(picture.bars) == 24
    for bar in picture.bars:
        assert bar.top >= 0
        assert bar.top + bar.height <= 100.05
        assert bar.top == picture.zero or abs(bar.top + bar.height - picture.zero) < 0.05
    assert picture.bars[-1].balance == History(tuple(months)).balance


def test_a_long_statement_is_printed_over_pages() -> None:
    lines = tuple(
        Line(
            place,
            Side.CHARGE if place % 2 else Side.CREDIT,
            "fee" if place % 2 else "payment",
            "Żółć " * 30,
            "FV/1",
            TODAY - timedelta(days=200 - place),
            Money(1000),
        )
        for place in range(150)
    )
    statement = model.Statement(date(2026, 1, 1), TODAY, Money(-500), Money(75000), Money(75000), lines, 160)
    head = Letterhead("SM Lipowa", ("ul. Lipowa 12",), "Łucja Żak", "4711", datetime(2026, 11, 24, 12, tzinfo=UTC))
    with speaking("pl"):
        content = statement_pdf(statement, head)
        assert content == statement_pdf(statement, head)
    assert content.count(b"/Type /Page\n") >= 4
    assert not statement.is_whole
    assert statement.closing == Money(-500)
    assert statement.running()[-1][1] == statement.closing


# --- on the real thing ----------------------------------------------------------------------------------------------


async def explanations(conn: Connection, book: Book) -> list[Explanation]:
    standing = await store.standing(conn, Whose(book.customer), TODAY)
    history = await store.history(conn, Whose(book.customer), month=date(2026, 7, 1))
    assert history.balance == standing.position.balance
    found = [
        model.to_pay(standing),
        model.balance_now(standing),
        model.ageing(standing),
        model.balance(history),
        model.balance(history, "2026"),
        model.balance(history, "2026-07"),
    ]
    numbers = await conn.fetch("select id from payments.entry where account_id = $1 order by id", book.account)
    for row in numbers:
        entry = await store.told(conn, row["id"], limit=2)
        assert entry is not None
        found.append(model.entry(entry))
        assert entry.met_sum + entry.open == (entry.amount if entry.state == "approved" else Money(0))
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_every_figure_of_a_lived_account_is_explained(site: Site, seed: int) -> None:
    draw = Random(seed)  # noqa: S311
    async with acting(site, superadmin_mode=True) as conn:
        book = await Book.opened(conn)
        for _step in range(40):
            await draw.choice(STEPS)(book, draw)
        for explanation in await explanations(conn, book):
            sound(explanation)

"""The rules of fee schedules, pure: months, rates and quantities as steps in time, the lines of a month, their sum.

The database computes the same in one statement (``payments.compute_charges``); this is the reference that proves it.
Amounts are whole grosze, rates are złoty for one unit.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from string import Formatter
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

from kernel import Text, _, one_line, parse_quantity

NBSP: Final = "\u00a0"

MONTHS: Final[Sequence[Text]] = (
    _("January"),
    _("February"),
    _("March"),
    _("April"),
    _("May"),
    _("June"),
    _("July"),
    _("August"),
    _("September"),
    _("October"),
    _("November"),
    _("December"),
)
TURNS: Final[Mapping[str, Text]] = {
    "changed": _("changed"),
    "new": _("new"),
    "ended": _("ended"),
    "same": _("unchanged"),
}
"""How an account's charge stands against the one of the run before."""
WARNINGS: Final[Mapping[str, Text]] = {
    "no_rate": _("a component has no rate"),
    "zero": _("nothing to charge"),
    "closed": _("the account is closed"),
    "too_large": _("the amount is too large"),
}
LARGEST: Final = 10**12
"""Grosze: the largest amount of an entry."""

# --- months ---------------------------------------------------------------------------------------------------------

_PERIOD: Final = re.compile(r"(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})|(?P<m>[0-9]{1,2})[./-](?P<y>[0-9]{4})")


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month that is charged, by its first day."""

    first: date

    @classmethod
    def of(cls, day: date) -> Month:
        """The month of a day."""
        return cls(day.replace(day=1))

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read ``12.2026``, ``12/2026`` or ``2026-12``. Raises ValueError otherwise."""
        match = _PERIOD.fullmatch(text.strip())
        if match is None:
            raise PydanticCustomError("month_grammar", "Write the month as month and year, for example 12.2026")
        year, month = int(match["year"] or match["y"]), int(match["month"] or match["m"])
        if not 1 <= month <= 12 or not 1900 <= year <= 2199:
            raise PydanticCustomError("month_unreal", "There is no such month")
        return cls(date(year, month, 1))

    def plus(self, months: int) -> Month:
        """The month so many months later."""
        number = self.first.year * 12 + self.first.month - 1 + months
        return Month(date(number // 12, number % 12 + 1, 1))

    def day(self, number: int) -> date:
        """A day of the month; the last one where the month has fewer."""
        return self.first.replace(day=min(number, monthrange(self.first.year, self.first.month)[1]))

    @property
    def period(self) -> str:
        """``2026-12``, as entries keep it."""
        return f"{self.first:%Y-%m}"

    @property
    def short(self) -> str:
        """``12.2026``, as people type it."""
        return f"{self.first:%m.%Y}"

    @property
    def label(self) -> Text:
        """«grudzień 2026»."""
        return _("{month} {year}", month=MONTHS[self.first.month - 1], year=self.first.year)

    def __str__(self) -> str:
        return self.short


def _month(value: object) -> Month:
    if isinstance(value, Month):
        return value
    if not isinstance(value, str) or not value.strip():
        raise PydanticCustomError("month_missing", "Enter a month")
    return Month.parse(value)


MonthField = Annotated[Month, BeforeValidator(_month)]
"""A month in a form: ``12.2026`` and ``2026-12`` are the same."""

# --- values ---------------------------------------------------------------------------------------------------------

MOST_QUANTITY: Final = Decimal(9_999_999)
MOST_RATE: Final = Decimal(1_000_000)


def _at_most(value: object, places: int, most: Decimal, too_fine: str) -> Decimal:
    number = parse_quantity(value)
    if -int(number.normalize().as_tuple().exponent) > places:
        raise PydanticCustomError("decimal_places", too_fine)  # pyright: ignore[reportArgumentType]
    if number > most:
        raise PydanticCustomError("number_too_large", "This number is too large")
    return number


def quantity(value: object) -> Decimal:
    """How much of a component an account has: at most three decimal places. Raises ValueError."""
    return _at_most(value, 3, MOST_QUANTITY, "A quantity has at most three decimal places")


def rate(value: object) -> Decimal:
    """Złoty for one unit: at most four decimal places. Raises ValueError."""
    if isinstance(value, str):
        value = re.sub(r"[ \u00a0]?(zł|PLN)$", "", value.strip())
    return _at_most(value, 4, MOST_RATE, "A rate has at most four decimal places")


QuantityField = Annotated[Decimal, BeforeValidator(quantity)]
RateField = Annotated[Decimal, BeforeValidator(rate)]


def plain(number: Decimal, places: int = 0) -> str:
    """A number as people write it, «12,5», with at least so many decimal places."""
    text = f"{number.normalize():f}"
    whole, _point, rest = text.partition(".")
    rest = rest.ljust(places, "0")
    figure = f"{int(whole):,}".replace(",", NBSP)
    return f"{figure},{rest}" if rest else figure


# --- steps in time --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A value that holds from a day on, until the next step."""

    valid_from: date
    value: Decimal


def in_force(steps: Iterable[Step], day: date) -> Decimal | None:
    """The value that holds on a day; None before the first step."""
    begun = [step for step in steps if step.valid_from <= day]
    return max(begun).value if begun else None


def with_span(steps: Iterable[Step], since: date, until: date | None, value: Decimal) -> list[Step]:
    """The steps with ``value`` from ``since`` to ``until``, both included; after it what held there before.

    Without ``until`` only the step of ``since`` itself is new: later ones stay.
    """
    steps = sorted(steps)
    if until is None:
        return sorted([*(step for step in steps if step.valid_from != since), Step(since, value)])
    after = until + timedelta(days=1)
    then = in_force(steps, after) or Decimal(0)
    kept = [step for step in steps if step.valid_from < since or step.valid_from > after]
    return sorted([*kept, Step(since, value), Step(after, then)])


# --- the lines of a month -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """What a component comes to on an account in a month, in grosze. ``rate`` is None where none holds yet."""

    component: int
    quantity: Decimal
    rate: Decimal | None
    amount: int


def line_amount(how_much: Decimal, each: Decimal) -> int:
    """Quantity × rate in grosze, rounded half up."""
    return int((how_much * each * 100).quantize(Decimal(1), ROUND_HALF_UP))


def lines_of_month(
    month: Month, rates: Mapping[int, Iterable[Step]], quantities: Mapping[int, Iterable[Step]]
) -> list[Line]:
    """The lines of one account for a month, by component: what holds on the first day counts for the whole month.

    A component of which the account has nothing makes no line. The order of what is given does not matter.
    """
    made: list[Line] = []
    for component, steps in sorted(quantities.items()):
        how_much = in_force(steps, month.first)
        if not how_much:
            continue
        each = in_force(rates.get(component, ()), month.first)
        made.append(Line(component, how_much, each, 0 if each is None else line_amount(how_much, each)))
    return made


def warning_of(lines: Sequence[Line], *, is_closed: bool = False) -> str:
    """What is odd about an account's lines: a key of ``WARNINGS``, or nothing."""
    if is_closed:
        return "closed" if lines else ""
    total = sum(line.amount for line in lines)
    if total > LARGEST:
        return "too_large"
    if any(line.rate is None for line in lines):
        return "no_rate"
    return "zero" if lines and not total else ""


# --- titles and days ------------------------------------------------------------------------------------------------

PLACES: Final = ("month", "year", "period")
"""What a title may name in braces."""


def _title(value: str) -> str:
    try:
        names = [name for _text, name, _spec, _conversion in Formatter().parse(value) if name is not None]
    except ValueError:
        names = [""]
    if not set(names) <= set(PLACES):
        raise PydanticCustomError("title_places", "In braces a title may name month, year and period only")
    return value


TitlePattern = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=150), AfterValidator(one_line),
    AfterValidator(_title),
]  # fmt: skip
"""A title with places to fill: «Opłaty za lokal, {month} {year}»."""


def title_of(pattern: str, month: Month) -> str:
    """The title of a month's charges, in the language of the moment."""
    return pattern.format(month=MONTHS[month.first.month - 1], year=month.first.year, period=month.short)[:200]


@dataclass(frozen=True, slots=True)
class Terms:
    """When the charges of a month are issued and due: a day, and whether of the month before (-1), of itself (0), or
    the one after (1)."""

    issue_day: int
    issue_month: int
    due_day: int
    due_month: int

    def issued_on(self, month: Month) -> date:
        return month.plus(self.issue_month).day(self.issue_day)

    def due_on(self, month: Month) -> date:
        return month.plus(self.due_month).day(self.due_day)

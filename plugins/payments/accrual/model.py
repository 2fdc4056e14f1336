"""Interest for delay, pure: rates by date, regimes, what a charge bears to a day, and what of it may still be claimed.

Interest is linear in the principal. A charge's principal is a set of parts, each open until the day it was paid; a part
bears the difference of the cumulated rate between its last counted day and the effective due date. Day d counts if
``effective_due < d <= as_of`` while the part is open at the start of d, so the day of payment counts. A year has 365
days, leap years too. Sums are exact fractions, rounded once per charge. Amounts are grosze.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

from kernel import Money, Text, _

YEAR_DAYS: Final = 365
CAP_TIMES: Final = 2
"""Agreed interest is at most this many times the statutory rate for delay (art. 481 §2¹ of the Civil Code)."""

BEARS_NONE: Final = frozenset({"interest", "cost", "refund", "reversal"})
"""Kinds of charges that never bear interest (art. 482 of the Civil Code)."""

# --- dated rates ----------------------------------------------------------------------------------------------------


class RatesUnknown(ValueError):
    """The table says nothing about a day: an error, never a rate of zero."""

    def __init__(self, kind: str, day: date) -> None:
        super().__init__(f"the rate {kind!r} of {day.isoformat()} is not known")
        self.kind = kind
        self.day = day


@dataclass(frozen=True, slots=True, order=True)
class Rate:
    """Percent a year from a day on, until the next row."""

    valid_from: date
    percent: Decimal


@dataclass(frozen=True, slots=True, order=True)
class Minimum:
    """From a day on, interest of a charge that does not exceed ``amount`` grosze is not charged at all."""

    valid_from: date
    amount: int


@dataclass(frozen=True, slots=True)
class RateTable:
    """The dated rates of one kind, oldest first, and its dated minimums where the law has one.

    Raises ValueError for rows without an order or below zero.
    """

    kind: str
    rates: tuple[Rate, ...]
    minimums: tuple[Minimum, ...] = ()
    _days: tuple[date, ...] = field(init=False, repr=False, compare=False)
    _sums: tuple[Fraction, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        days = tuple(rate.valid_from for rate in self.rates)
        if any(later <= earlier for earlier, later in pairwise(days)):
            raise ValueError(f"the rates {self.kind!r} are not in the order of their days")
        if any(rate.percent < 0 for rate in self.rates):
            raise ValueError(f"a rate {self.kind!r} is below zero")
        sums = [Fraction(0)]
        for rate, until in zip(self.rates, days[1:], strict=False):
            sums.append(sums[-1] + Fraction(rate.percent) * (until - rate.valid_from).days)
        object.__setattr__(self, "_days", days)
        object.__setattr__(self, "_sums", tuple(sums))

    def percent_on(self, day: date) -> Decimal:
        """The rate of a day. Raises RatesUnknown before the first row."""
        return self.rates[self._place(day)].percent

    def cumulated(self, after: date, through: date) -> Fraction:
        """Percent times days, of the days later than ``after`` up to ``through``: what a principal is multiplied by.

        Raises RatesUnknown when they begin before the first row.
        """
        self._place(after + timedelta(days=1))
        return self._sum_to(through) - self._sum_to(after)

    def spans(self, after: date, through: date) -> Iterator[tuple[date, date, Decimal]]:
        """The days later than ``after`` up to ``through`` by rate: first day, last day, percent; equal ones merged.

        Raises RatesUnknown when they begin before the first row.
        """
        first = after + timedelta(days=1)
        while first <= through:
            place = self._place(first)
            percent = self.rates[place].percent
            while place + 1 < len(self.rates) and self.rates[place + 1].percent == percent:
                place += 1
            last = through if place + 1 == len(self.rates) else min(through, self._days[place + 1] - timedelta(days=1))
            yield first, last, percent
            first = last + timedelta(days=1)

    def minimum_on(self, day: date) -> int:
        """The amount in grosze that interest claimed on a day must exceed; 0 where the law has none.

        Raises RatesUnknown before the first minimum.
        """
        if not self.minimums:
            return 0
        known = [row.amount for row in self.minimums if row.valid_from <= day]
        if not known:
            raise RatesUnknown(f"{self.kind}.min_interest", day)
        return known[-1]

    def capped(self, percent: Decimal) -> RateTable:
        """``percent`` a year, but on each day at most twice this table's rate."""
        return replace(
            self, rates=tuple(Rate(rate.valid_from, min(percent, CAP_TIMES * rate.percent)) for rate in self.rates)
        )

    def _sum_to(self, day: date) -> Fraction:
        """Percent times days from the first row to a day, which may be its eve."""
        place = max(0, bisect_right(self._days, day) - 1)
        return self._sums[place] + Fraction(self.rates[place].percent) * ((day - self._days[place]).days + 1)

    def _place(self, day: date) -> int:
        place = bisect_right(self._days, day) - 1
        if place < 0:
            raise RatesUnknown(self.kind, day)
        return place


# --- interest of one charge -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """``amount`` grosze of a charge's principal, paid on the day ``until``; None: still open."""

    amount: int
    until: date | None = None


@dataclass(frozen=True, slots=True)
class InterestLine:
    """Days with one principal and one rate: «1000,00 zł × 11,25 % × 30 dni / 365». ``exact`` is in grosze."""

    first_day: date
    last_day: date
    days: int
    principal: int
    percent: Decimal
    exact: Fraction


@dataclass(frozen=True, slots=True)
class Interest:
    """What a charge bears: ``amount`` as it may be claimed, ``exact`` grosze before rounding and any minimum, and the
    lines whose sum ``exact`` is."""

    amount: Money
    exact: Fraction
    lines: tuple[InterestLine, ...] = ()

    def after(self, day: date | None) -> tuple[InterestLine, ...]:
        """The lines of the days later than ``day`` (all of them for None), the one it falls into cut."""
        if day is None:
            return self.lines
        next_day = day + timedelta(days=1)
        return tuple(
            line if line.first_day > day else _line(next_day, line.last_day, line.principal, line.percent)
            for line in self.lines
            if line.last_day > day
        )


NOTHING: Final = Interest(Money(0), Fraction(0))


def exact_interest(parts: Iterable[Part], effective_due: date, as_of: date, rates: RateTable) -> Fraction:
    """Interest in grosze, not rounded. Raises RatesUnknown when a day that counts has no rate."""
    total = Fraction(0)
    for part in parts:
        end = _last_day(part, as_of)
        if end > effective_due and part.amount:
            total += part.amount * rates.cumulated(effective_due, end)
    return total / (100 * YEAR_DAYS)


def interest_lines(
    parts: Iterable[Part], effective_due: date, as_of: date, rates: RateTable
) -> tuple[InterestLine, ...]:
    """The derivation: the timeline of the principal cut where a part is paid and where the rate changes."""
    ending: dict[date, int] = {}
    for part in parts:
        end = _last_day(part, as_of)
        if end > effective_due and part.amount:
            ending[end] = ending.get(end, 0) + part.amount
    lines: list[InterestLine] = []
    principal, after = sum(ending.values()), effective_due
    for end in sorted(ending):
        lines.extend(_line(first, last, principal, percent) for first, last, percent in rates.spans(after, end))
        principal, after = principal - ending[end], end
    return tuple(lines)


def round_half_up(exact: Fraction, unit: int = 1) -> int:
    """The nearest whole multiple of ``unit`` grosze; a half goes up."""
    return (exact / unit + Fraction(1, 2)).__floor__() * unit


def zloty(exact: Fraction, places: int = 4) -> Decimal:
    """Exact grosze as złoty with so many decimals, for showing."""
    return Decimal(round_half_up(exact * 10 ** (places - 2))).scaleb(-places)


def plain_percent(percent: Decimal) -> str:
    """``11.25``: two decimals, or as many as it has."""
    whole, _point, decimals = f"{percent:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def _last_day(part: Part, as_of: date) -> date:
    return as_of if part.until is None else min(part.until, as_of)


def _line(first: date, last: date, principal: int, percent: Decimal) -> InterestLine:
    days = (last - first).days + 1
    exact = Fraction(percent) * principal * days / (100 * YEAR_DAYS)
    return InterestLine(first, last, days, principal, percent, exact)


# --- regimes --------------------------------------------------------------------------------------------------------

POINT: Final = "payments.interest_regime"


@runtime_checkable
class InterestRegime(Protocol):
    """How a book's charges bear interest: the extension point ``payments.interest_regime``.

    ``rates_kind`` is the kind of dated rates it reads, None when it bears no interest at all.
    """

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> Text: ...

    @property
    def rates_kind(self) -> str | None: ...

    def rates(self, tables: Mapping[str, RateTable], contract_rate: Decimal | None) -> RateTable:
        """The rates to compute with, of all tables by kind and of the percent a year that the book agrees."""
        ...

    def interest(self, parts: Sequence[Part], effective_due: date, as_of: date, rates: RateTable) -> Interest:
        """What a charge bears to a day. Raises RatesUnknown when a day that counts has no rate."""
        ...


@dataclass(frozen=True, slots=True)
class Regime:
    """Interest by a table of dated rates, rounded half up to ``rounding`` grosze; the table's minimum is compared with
    the whole grosze before that. ``is_agreed`` takes the book's own rate, capped by the table."""

    name: str
    label: Text
    rates_kind: str | None
    rounding: int = 1
    is_agreed: bool = False

    def rates(self, tables: Mapping[str, RateTable], contract_rate: Decimal | None) -> RateTable:
        """The regime's table; an empty one where the database has none."""
        kind = self.rates_kind or self.name
        table = tables.get(kind) or RateTable(kind, ())
        return table.capped(contract_rate or Decimal(0)) if self.is_agreed else table

    def interest(self, parts: Sequence[Part], effective_due: date, as_of: date, rates: RateTable) -> Interest:
        """What a charge bears to a day. Raises RatesUnknown when a day that counts has no rate."""
        if self.rates_kind is None:
            return NOTHING
        exact = exact_interest(parts, effective_due, as_of, rates)
        if not exact:
            return NOTHING
        charged = round_half_up(exact) > rates.minimum_on(as_of)
        amount = round_half_up(exact, self.rounding) if charged else 0
        return Interest(Money(amount), exact, interest_lines(parts, effective_due, as_of, rates))


STATUTORY_DELAY: Final = Regime("statutory_delay", _("Statutory interest for delay"), "statutory_delay")
TRADE: Final = Regime("trade", _("Interest in commercial transactions"), "trade")
TRADE_MEDICAL: Final = Regime(
    "trade_medical", _("Interest in commercial transactions, public medical entity"), "trade_medical"
)
PUBLIC: Final = Regime("public", _("Default interest on public levies"), "public", rounding=100)
CONTRACTUAL: Final = Regime("contractual", _("Agreed interest"), "statutory_delay", is_agreed=True)
NO_INTEREST: Final = Regime("none", _("No interest"), None)

REGIMES: Final[Mapping[str, Regime]] = MappingProxyType(
    {regime.name: regime for regime in (STATUTORY_DELAY, TRADE, TRADE_MEDICAL, PUBLIC, CONTRACTUAL, NO_INTEREST)}
)
"""The bundled regimes by name."""


class RegimeUnknown(LookupError):
    """No enabled plugin provides the regime that a book names."""


def regime_of(name: str, foreign: Mapping[str, InterestRegime] = MappingProxyType({})) -> InterestRegime:
    """A regime by name: a bundled one or one of ``foreign`` (other plugins' extensions). Raises RegimeUnknown."""
    regime = REGIMES.get(name) or foreign.get(name)
    if regime is None:
        raise RegimeUnknown(f"no interest regime {name!r}")
    return regime


# --- what may be claimed --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Debt:
    """A charge as interest sees it. ``noted``: grosze of interest booked for it already, less what corrections and
    reversals took back; ``noted_through``: the last day that a note named."""

    kind: str
    effective_due_on: date | None
    parts: tuple[Part, ...]
    noted: int = 0
    noted_through: date | None = None


def interest_of(debt: Debt, as_of: date, regime: InterestRegime, rates: RateTable) -> Interest:
    """All interest of a charge to a day, noted or not. Raises RatesUnknown."""
    if debt.kind in BEARS_NONE or debt.effective_due_on is None:
        return NOTHING
    return regime.interest(debt.parts, debt.effective_due_on, as_of, rates)


def claimable(debt: Debt, as_of: date, regime: InterestRegime, rates: RateTable) -> Money:
    """Interest to a day less what was noted, so that no day is noted twice and rounding never adds up.

    Below zero when days that a note named fell away: a correction is due. Raises RatesUnknown.
    """
    return interest_of(debt, as_of, regime, rates).amount - Money(debt.noted)


@dataclass(frozen=True, slots=True)
class Claim:
    """The interest of one charge as of a day. ``trouble`` says why it could not be computed (a rate is not known, a
    plugin is missing); ``is_barred``: a consumer's charge that nothing may be demanded for any more. ``pending``:
    grosze of corrections that wait as drafts."""

    account: int
    charge: int
    customer: int
    book: int
    book_code: str
    kind: str
    title: str
    document_no: str
    period: str
    due_on: date
    amount: Money
    open: Money
    debt: Debt
    interest: Interest
    is_barred: bool = False
    is_mirror: bool = False
    pending: int = 0
    trouble: Text | None = None

    @property
    def claimable(self) -> Money:
        """What of the interest was not noted yet; below zero when noted days fell away."""
        return self.interest.amount - Money(self.debt.noted)

    @property
    def new_lines(self) -> tuple[InterestLine, ...]:
        """The lines of the days that no note named yet."""
        return self.interest.after(self.debt.noted_through)

    @property
    def earlier(self) -> Money:
        """What is claimable beyond the new days: days of earlier notes computed anew, and the rounding of the whole."""
        return self.claimable - Money(round_half_up(sum((line.exact for line in self.new_lines), Fraction(0))))

    @property
    def may_be_noted(self) -> bool:
        """Whether a note may list this claim."""
        return self.claimable.grosze > 0 and not self.is_barred and not self.is_mirror and self.trouble is None

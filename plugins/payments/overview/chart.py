"""Where the marks of the charts stand. Pure: figures in, numbers of a drawing out; a template draws them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kernel import Money
from plugins.payments.overview.figures import Age, Month

WIDTH: Final = 640
HEIGHT: Final = 340
LEFT: Final = 70
RIGHT: Final = 92
"""Room for the words at the end of the line."""
TOP: Final = 16
BOTTOM: Final = 28
_STEPS: Final = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Bar:
    """A month: where its bar and its mark stand."""

    month: Month
    x: float
    y: float
    height: float
    middle: float
    mark: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars for what was charged, a line with marks for what came in, over a scale that begins at zero."""

    bars: tuple[Bar, ...]
    bar_width: float
    scale: tuple[tuple[float, Money], ...]
    line: str
    base: float


@dataclass(frozen=True, slots=True)
class Strip:
    """A bar that lies: arrears of one age, ``width`` of 100."""

    age: Age
    width: float


def ceiling(grosze: int) -> int:
    """The end of a scale that holds ``grosze``: 1, 2 or 5 with zeros, in whole złoty."""
    power = 100
    while True:
        for step in _STEPS:
            if step * power >= grosze:
                return step * power
        power *= 10


def chart(months: Sequence[Month]) -> Chart:
    """The drawing of a year; a month that took back more than it charged stands at zero."""
    top = ceiling(max([0, *(max(m.charged.grosze, m.collected.grosze) for m in months)]))
    inner, base = HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM
    step = (WIDTH - LEFT - RIGHT) / max(1, len(months))
    width = round(step * 0.62, 1)

    def height(amount: Money) -> float:
        return round(inner * max(0, amount.grosze) / top, 1)

    bars = tuple(
        Bar(
            month=month,
            x=round(LEFT + place * step + (step - width) / 2, 1),
            y=round(base - height(month.charged), 1),
            height=height(month.charged),
            middle=round(LEFT + (place + 0.5) * step, 1),
            mark=round(base - height(month.collected), 1),
        )
        for place, month in enumerate(months)
    )
    return Chart(
        bars=bars,
        bar_width=width,
        scale=tuple((round(base - inner * part / 2, 1), Money(top * part // 2)) for part in (0, 1, 2)),
        line=" ".join(f"{bar.middle},{bar.mark}" for bar in bars),
        base=base,
    )


def strips(ages: Sequence[Age]) -> tuple[Strip, ...]:
    """The ages beside each other: the largest is as wide as there is room."""
    largest = max([1, *(age.amount.grosze for age in ages)])
    return tuple(Strip(age, round(100 * age.amount.grosze / largest, 1)) for age in ages)

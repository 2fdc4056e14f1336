"""A picture of a rate over the years: steps from a zero line, the last ones labelled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from kernel import short_date
from plugins.payments.accrual.model import Rate
from plugins.payments.interest.words import percent

WIDTH, HEIGHT = 760, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 752, 30, 188
_ROOM: Final = 86
"""What a label takes."""
YEARS: Final = timedelta(days=5 * 365)
"""How far back the picture goes; older rates stand in the table."""
AHEAD: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place of the picture; ``anchor`` says which end of it stands there."""

    x: int
    y: int
    text: str
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Picture:
    """Points of the line, the area below it, and what is written where."""

    line: str
    area: str
    values: tuple[Label, ...]
    days: tuple[Label, ...]
    now: int
    since: date
    baseline: int = _BOTTOM
    width: int = WIDTH
    height: int = HEIGHT


def rate_picture(rates: Sequence[Rate], today: date) -> Picture | None:
    """The rates of the last years up to today or the last change; None when there is none to draw."""
    if not rates:
        return None
    until = max(rates[-1].valid_from, today) + AHEAD
    since = max(until - YEARS, rates[0].valid_from)
    steps = [
        (max(rate.valid_from, since), following, rate)
        for rate, following in zip(rates, [*(rate.valid_from for rate in rates[1:]), until], strict=True)
        if following > since
    ]
    highest = max(rate.percent for _from, _until, rate in steps) or 1

    def across(day: date) -> int:
        return _LEFT + (_RIGHT - _LEFT) * (day - since).days // max(1, (until - since).days)

    def up(rate: Rate) -> int:
        return round(_BOTTOM - (_BOTTOM - _TOP) * rate.percent / highest)

    def above(x: int) -> int:
        """Where a label that begins at ``x`` touches no step."""
        left, right = (x, x + _ROOM) if x <= _RIGHT - _ROOM else (_RIGHT - _ROOM, _RIGHT)
        return min(up(rate) for begins, ends, rate in steps if across(begins) < right and across(ends) > left) - 8

    corners = [(across(day), up(rate)) for begins, ends, rate in steps for day in (begins, ends)]
    line = " ".join(f"{x},{y}" for x, y in corners)
    changes = [
        (begins, rate)
        for place, (begins, _ends, rate) in enumerate(steps)
        if place == 0 or rate.percent != steps[place - 1][2].percent
    ]
    return Picture(
        line=line,
        area=f"{corners[0][0]},{_BOTTOM} {line} {corners[-1][0]},{_BOTTOM}",
        values=_apart(Label(across(begins), above(across(begins)), percent(rate.percent)) for begins, rate in changes),
        days=_apart(Label(across(begins), _BOTTOM + 20, short_date(begins)) for begins, _rate in changes),
        now=across(today),
        since=since,
    )


def _apart(labels: Iterable[Label]) -> tuple[Label, ...]:
    """The labels that do not cover the one after them, the last one for certain; at the right edge they end there."""
    kept: list[Label] = []
    for label in sorted(labels, key=lambda label: label.x, reverse=True):
        placed = Label(_RIGHT, label.y, label.text, "end") if label.x > _RIGHT - _ROOM else label
        edge = kept[-1].x - (_ROOM if kept[-1].anchor == "end" else 0) if kept else None
        if edge is None or placed.x + _ROOM <= edge:
            kept.append(placed)
    return tuple(kept)

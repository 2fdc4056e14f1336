"""A picture of a rate over time: steps from a zero line, labelled where they begin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from plugins.payments.charging.model import Month, Step, plain

WIDTH, HEIGHT = 640, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 632, 30, 148
_ROOM: Final = 78
"""What a label takes."""
MOST_STEPS: Final = 6
"""Steps that have room for their labels; older ones stand in the table."""


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
    months: tuple[Label, ...]
    now: int
    baseline: int = _BOTTOM
    width: int = WIDTH
    height: int = HEIGHT


def rate_picture(rates: Sequence[Step], month: Month) -> Picture | None:
    """The last rates up to a few months after ``month`` or the last change; None when there is none to draw."""
    steps = sorted(rates)[-MOST_STEPS:]
    if not steps:
        return None
    begins = min(_month_of(steps[0]), month)
    ends = max(_month_of(steps[-1]), month).plus(4)
    highest = max(step.value for step in steps) or 1

    def across(at: Month) -> int:
        return _LEFT + (_RIGHT - _LEFT) * _between(begins, at) // max(1, _between(begins, ends))

    def up(step: Step) -> int:
        return round(_BOTTOM - (_BOTTOM - _TOP) * step.value / highest)

    corners: list[tuple[int, int]] = []
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        until = ends if following is None else _month_of(following)
        corners += [(across(_month_of(step)), up(step)), (across(until), up(step))]
    line = " ".join(f"{x},{y}" for x, y in corners)
    return Picture(
        line=line,
        area=f"{corners[0][0]},{_BOTTOM} {line} {corners[-1][0]},{_BOTTOM}",
        values=_apart(Label(across(_month_of(step)), up(step) - 8, plain(step.value, 2)) for step in steps),
        months=_apart(Label(across(begun), _BOTTOM + 20, begun.short) for begun in map(_month_of, steps)),
        now=across(month),
    )


def _between(first: Month, second: Month) -> int:
    return (second.first.year - first.first.year) * 12 + second.first.month - first.first.month


def _month_of(step: Step) -> Month:
    return Month.of(step.valid_from)


def _apart(labels: Iterable[Label]) -> tuple[Label, ...]:
    """The labels that do not cover the one after them, the last one for certain; at the right edge they end there."""
    kept: list[Label] = []
    for label in sorted(labels, key=lambda label: label.x, reverse=True):
        if label.x > _RIGHT - _ROOM:
            label = Label(_RIGHT, label.y, label.text, "end")
        if not kept or label.x + _ROOM <= kept[-1].x:
            kept.append(label)
    return tuple(kept)

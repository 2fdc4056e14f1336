"""The ledger's cards of the console's first page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from kernel import ACTOR, CONN, Card, Request, Text, _
from plugins.payments.explain.model import BUCKETS
from plugins.payments.model import KINDS, STATES
from plugins.payments.overview import figures
from plugins.payments.overview.chart import HEIGHT, LEFT, RIGHT, WIDTH, Chart, chart, strips
from plugins.payments.overview.figures import Figures

MONTHS: Final = (
    _("January"), _("February"), _("March"), _("April"), _("May"), _("June"), _("July"), _("August"), _("September"),
    _("October"), _("November"), _("December"),
)  # fmt: skip
_LABELS_APART: Final = 16


async def cards(request: Request) -> Sequence[Card]:
    """Charged against collected, arrears by age, the newest entries: one statement for all."""
    kept, recent = await figures.first_page(request[CONN])
    data = {"recent": recent, "kinds": KINDS, "states": STATES, "may_enter": request[ACTOR].may("payments.enter")}
    return [
        Card(_("Charged and collected"), "payments/overview/months.html", _months(kept), order=5),
        Card(
            _("Arrears"),
            "payments/overview/arrears.html",
            {"figures": kept, "strips": strips(kept.ages) if kept else (), "buckets": BUCKETS},
            order=6,
        ),
        Card(_("Ledger"), "payments/dashboard.html", data, order=10),
    ]


def _months(kept: Figures | None) -> dict[str, object]:
    drawn = chart(kept.months) if kept else None
    return {
        "figures": kept,
        "drawn": drawn,
        "labels": _labels(drawn) if drawn else (),
        "month_of": _month_of,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "end": WIDTH - RIGHT,
    }


def _month_of(first: date) -> Text:
    return _("{month} {year}", month=MONTHS[first.month - 1], year=first.year)


def _labels(drawn: Chart) -> tuple[float, float]:
    """Where the words of the two last marks stand: at them, but not on each other."""
    last = drawn.bars[-1]
    charged, collected = last.y + 4, last.mark + 4
    if abs(charged - collected) < _LABELS_APART:
        collected = charged + (_LABELS_APART if collected >= charged else -_LABELS_APART)
    return charged, collected

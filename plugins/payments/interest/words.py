"""How interest is written for people: rates and exact amounts with a decimal comma."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

from kernel import Money, Text, ngettext
from plugins.payments.accrual.model import REGIMES, InterestLine, InterestRegime, plain_percent, zloty

_NBSP: Final = "\u00a0"


def percent(value: Decimal) -> str:
    """``11,25 %``."""
    return f"{plain_percent(value).replace('.', ',')}{_NBSP}%"


def exact(value: Fraction) -> str:
    """``9,2466 zł``: exact grosze with four decimals, where the sum alone is rounded."""
    whole, _point, decimals = f"{zloty(value):f}".partition(".")
    return f"{int(whole):,}".replace(",", _NBSP) + f",{decimals}{_NBSP}zł"


def figure(grosze: int) -> str:
    """``1 000,00``."""
    return Money(grosze).figure


def days(line: InterestLine) -> Text:
    """``30 dni``."""
    return ngettext("{count} day", "{count} days", line.days)


def regime_label(name: str, foreign: Mapping[str, InterestRegime]) -> Text | str:
    """What a regime is called; its name where its plugin is gone."""
    regime = REGIMES.get(name) or foreign.get(name)
    return regime.label if regime else name

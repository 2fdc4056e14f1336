"""Dates: how people write them, how the product shows them, and which day it is for an organisation."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic.functional_validators import BeforeValidator
from pydantic_core import PydanticCustomError

_POLISH: Final = re.compile(r"([0-9]{1,2})[.]([0-9]{1,2})[.]([0-9]{4})")
_ISO: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)


def parse_date(value: object) -> date:
    """Read ``24.11.2026`` or ``2026-11-24``; ValueError otherwise: no date, no such day, another century."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise PydanticCustomError("date_missing", "Enter a date")
    if polish := _POLISH.fullmatch(text):
        day, month, year = map(int, polish.groups())
    elif iso := _ISO.fullmatch(text):
        year, month, day = map(int, iso.groups())
    else:
        raise PydanticCustomError("date_grammar", "Write the date as day, month, year, for example 24.11.2026")
    try:
        found = date(year, month, day)
    except ValueError:
        raise PydanticCustomError("date_unreal", "There is no such day in the calendar") from None
    if not EARLIEST <= found <= LATEST:
        raise PydanticCustomError("date_range", "The year must be between 1900 and 2199")
    return found


PolishDate = Annotated[date, BeforeValidator(parse_date)]
"""A date field of a form or the API: ``24.11.2026`` and ``2026-11-24`` are the same day."""


class Clock:
    """The one source of «now». Tests move it; nothing else asks the operating system for the time of business.

    Instants are UTC; ``today`` is the organisation's day, which starts at midnight of its time zone.
    """

    def __init__(self, zone: str = "Europe/Warsaw", now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.zone = ZoneInfo(zone)
        self._now = now

    def now(self) -> datetime:
        """The instant, in UTC."""
        return self._now()

    def today(self) -> date:
        """The organisation's date."""
        return self._now().astimezone(self.zone).date()

    def move_to(self, instant: datetime | None) -> None:
        """Stand still at ``instant`` (an aware datetime), or run again with None."""
        self._now = (lambda: datetime.now(UTC)) if instant is None else (lambda: instant)

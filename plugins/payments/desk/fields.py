"""Kinds of fields that the desk's forms share, and amounts typed beside each of several charges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from kernel import Money, PolishDate, PositiveMoney, Refused, Text, _, one_line
from plugins.payments.model import FIRST_DAY, LARGEST_AMOUNT, LAST_DAY

MOST_CHARGES: Final = 50
"""Charges beside which something can be typed on one page; the earliest due are shown."""
_BESIDE: Final = re.compile(r"(amount|place)_([0-9]{1,18})")


def within_ledger(amount: Money) -> Money:
    """An amount that an entry can have. A pydantic error beyond ten billion złoty."""
    if amount > LARGEST_AMOUNT:
        raise PydanticCustomError("money_too_large", "This amount is too large")
    return amount


def _in_books(day: date) -> date:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise PydanticCustomError("day_out_of_books", "The day must be between 1 January 2000 and 31 December 2050")
    return day


Amount = Annotated[PositiveMoney, AfterValidator(within_ledger)]
"""An entry's amount: above zero, at most 10^12 grosze."""
BookDay = Annotated[PolishDate, AfterValidator(_in_books)]
"""A day that the ledger takes: 2000 to 2050."""
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]
Number = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80), AfterValidator(one_line)]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]

_AMOUNT: Final = TypeAdapter(Amount)
_PLACE: Final = TypeAdapter(Annotated[int, Field(ge=1, le=MOST_CHARGES)])


class BesideCharges(BaseModel):
    """A form with a field beside each charge: ``amount_17``, or ``place_17`` for the charge's place in an order."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, fields: Mapping[str, object]) -> dict[str, object]:
        """A model that takes any field is given the blank ones, too: those were not filled in."""
        return {name: value for name, value in fields.items() if value != ""}

    def amounts(self) -> dict[int, Money]:
        """What was typed beside which charge. Raises Refused with an error at each wrong field."""
        return self._read("amount", _AMOUNT)

    def order(self) -> tuple[int, ...]:
        """The charges in the order that was typed beside them. Raises Refused at a wrong or repeated place."""
        places = self._read("place", _PLACE)
        twice = [charge for charge, place in places.items() if list(places.values()).count(place) > 1]
        if twice:
            raise Refused(errors={f"place_{charge}": _("Two charges have this place") for charge in twice})
        return tuple(sorted(places, key=places.__getitem__))

    def _read(self, kind: str, adapter: TypeAdapter[Any]) -> dict[int, Any]:
        read: dict[int, Any] = {}
        wrong: dict[str, Text] = {}
        for name, value in self._typed(kind).items():
            try:
                read[int(name.partition("_")[2])] = adapter.validate_python(value)
            except ValidationError as error:
                wrong[name] = _said(error)
        if wrong:
            raise Refused(errors=wrong)
        return read

    def _typed(self, kind: str) -> Mapping[str, str]:
        beside = {
            name: str(value).strip() for name, value in (self.model_extra or {}).items() if _BESIDE.fullmatch(name)
        }
        return {name: value for name, value in beside.items() if value and name.startswith(kind)}


def _said(error: ValidationError) -> Text:
    """The reason in words: a message of the product's own, or that no whole number was written."""
    detail = error.errors(include_url=False)[0]
    own = detail["type"] in ("money_too_large",) or detail["type"].startswith("money_")
    return Text(detail["msg"]) if own else _("Write 1 for the first charge, 2 for the next, and so on")

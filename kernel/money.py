"""Money and quantities: exact values with a strict grammar, shared by forms, the API and imports.

Money is a whole number of grosze. Nothing in the product turns it into a float.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.functional_validators import BeforeValidator
from pydantic_core import PydanticCustomError, core_schema

NBSP: Final = "\u00a0"
MAX_GROSZE: Final = 10**15
"""Ten billion złoty: far above any bill, far below what ``bigint`` sums can hold."""

_SPACES: Final = " \u00a0\u202f"
# Whole part either plain or in groups of three; at most two decimals; an optional currency.
_MONEY: Final = re.compile(
    r"([0-9]{1,3}(?:[ \u00a0\u202f][0-9]{3})+|[0-9]{1,15})(?:[.,]([0-9]{1,2}))?(?:[ \u00a0\u202f]?(?:zł|PLN))?"
)
_THIRD_DECIMAL: Final = re.compile(r"[0-9 \u00a0\u202f]+[.,][0-9]{3,}(?:[ \u00a0\u202f]?(?:zł|PLN))?")
_QUANTITY: Final = re.compile(r"([0-9]{1,12})(?:[.,]([0-9]{1,6}))?")


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount of Polish money in grosze (1 zł = 100 grosze). May be negative as the result of a subtraction."""

    grosze: int

    @classmethod
    def parse(cls, text: str) -> Money:
        """Read what a person or a file writes: ``12,5``, ``1 234,56 zł``, ``37.62``.

        Raises ValueError (a pydantic error with a message id of its own) for anything else: a sign, an exponent,
        a third decimal, digits of other scripts, amounts of ten billion złoty and more.
        """
        text = text.strip(_SPACES + "\t")
        match = _MONEY.fullmatch(text)
        if match is None:
            raise _refusal(text)
        whole, decimals = match.groups()
        grosze = int(re.sub(f"[{_SPACES}]", "", whole)) * 100 + int((decimals or "0").ljust(2, "0"))
        if grosze > MAX_GROSZE:
            raise PydanticCustomError("money_too_large", "This amount is too large")
        return cls(grosze)

    @classmethod
    def exact(cls, number: int | float | Decimal) -> Money:
        """Take a number of złoty that a database holds, if it is a whole number of grosze; ValueError otherwise.

        Binary floats are taken by their shortest decimal form, so SQLite's 1.98 is 198 grosze and 0.1 + 0.2 is refused.
        """
        decimal = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
        if not decimal.is_finite():
            raise PydanticCustomError("money_grammar", "Write the amount in złoty and grosze, for example 1 234,56")
        grosze = decimal * 100
        if grosze != grosze.to_integral_value():
            raise PydanticCustomError("money_third_decimal", "An amount has at most two decimal places")
        if abs(grosze) > MAX_GROSZE:
            raise PydanticCustomError("money_too_large", "This amount is too large")
        return cls(int(grosze))

    def __add__(self, other: Money) -> Money:
        return Money(self.grosze + other.grosze)

    def __sub__(self, other: Money) -> Money:
        return Money(self.grosze - other.grosze)

    def __neg__(self) -> Money:
        return Money(-self.grosze)

    def __bool__(self) -> bool:
        return self.grosze != 0

    @staticmethod
    def total(amounts: Iterable[Money]) -> Money:
        """The sum, exact; ``Money(0)`` of nothing."""
        return Money(sum(amount.grosze for amount in amounts))

    @property
    def figure(self) -> str:
        """``1 234,56`` with no-break spaces, without the currency; a minus sign (U+2212) only for negative values."""
        whole, rest = divmod(abs(self.grosze), 100)
        sign = "\u2212" if self.grosze < 0 else ""
        return f"{sign}{whole:,}".replace(",", NBSP) + f",{rest:02d}"

    @property
    def plain(self) -> str:
        """``1234.56``: for files, the API and the value of an input that a program reads."""
        sign = "-" if self.grosze < 0 else ""
        return f"{sign}{abs(self.grosze) // 100}.{abs(self.grosze) % 100:02d}"

    def __str__(self) -> str:
        return f"{self.figure}{NBSP}zł"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _money_of_input,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda money: money.plain, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "money", "pattern": r"^[0-9]+([.,][0-9]{1,2})?$", "examples": ["37.62"]}


def _refusal(text: str) -> PydanticCustomError:
    if not text:
        return PydanticCustomError("money_missing", "Enter an amount")
    if text[0] in "-\u2212\u2013" and _MONEY.fullmatch(text[1:].strip(_SPACES)):
        return PydanticCustomError("money_negative", "An amount cannot be negative")
    if _THIRD_DECIMAL.fullmatch(text):
        return PydanticCustomError("money_third_decimal", "An amount has at most two decimal places")
    return PydanticCustomError("money_grammar", "Write the amount in złoty and grosze, for example 1 234,56")


def _money_of_input(value: object) -> Money:
    match value:
        case Money():
            return value
        case str():
            return Money.parse(value)
        case _:
            raise PydanticCustomError("money_grammar", "Write the amount in złoty and grosze, for example 1 234,56")


def _positive(value: Money) -> Money:
    if value.grosze <= 0:
        raise PydanticCustomError("money_positive", "The amount must be greater than zero")
    return value


def parse_quantity(value: object) -> Decimal:
    """A count or a meter's state: digits with at most six decimals, comma or point; ValueError otherwise."""
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, str) and (match := _QUANTITY.fullmatch(value.strip(_SPACES + "\t"))):
        return Decimal(f"{match[1]}.{match[2] or 0}")
    raise PydanticCustomError("quantity_grammar", "Write a number, for example 12,5")


def _check_positive(value: object) -> Money:
    return _positive(_money_of_input(value))


PositiveMoney = Annotated[Money, BeforeValidator(_check_positive)]
"""An amount above zero, as a payment or a charge is."""

Quantity = Annotated[
    Decimal,
    BeforeValidator(parse_quantity),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+([.,][0-9]{1,6})?$"}),
]

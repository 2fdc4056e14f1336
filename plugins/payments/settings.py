"""What an organisation decides about payments: whom its customers pay, on which account, under which title."""

from __future__ import annotations

from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError


def check_nrb(value: str) -> str:
    """A Polish bank account number (NRB): 26 digits whose remainder modulo 97 is right; spaces and «PL» are dropped.

    Raises ValueError for anything else but an empty text.
    """
    digits = value.replace(" ", "").removeprefix("PL")
    if digits and not (
        len(digits) == 26
        and digits.isascii()
        and digits.isdecimal()
        and int(f"{digits[2:]}2521{digits[:2]}") % 97 == 1  # «PL» is 2521 (ISO 13616)
    ):
        raise PydanticCustomError("nrb", "This is not a valid account number")
    return digits


def check_title(value: str) -> str:
    """A pattern whose only place to fill is ``{customer_no}``."""
    try:
        names = {name for _text, name, _spec, _conversion in Formatter().parse(value) if name is not None}
    except ValueError:
        names = {""}
    if names - {"customer_no"}:
        raise PydanticCustomError("title_pattern", "Only the customer's number can be filled in here")
    return value


Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)]


class Settings(BaseModel):
    """Whom customers pay. An empty name, address or NIP is the organisation's own."""

    payee_name: Line = Field("", title="Payee's name", description="Empty: the organisation's full name.")
    payee_street: Line = Field("", title="Payee's street and number", description="Empty: the organisation's.")
    payee_city: Line = Field("", title="Payee's postal code and town", description="Empty: the organisation's.")
    payee_nip: Line = Field("", title="Payee's NIP", description="Empty: the organisation's.")
    account_no: Annotated[str, AfterValidator(check_nrb)] = Field(
        "", title="Bank account number", description="26 digits. Payment orders and codes are made for it."
    )
    title: Annotated[Line, AfterValidator(check_title)] = Field(
        "Opłaty {customer_no}",
        min_length=1,
        title="Title of transfers",
        description="{customer_no} becomes the customer's number.",
    )

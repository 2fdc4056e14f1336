"""What an organisation decides about payments: whom its customers pay, under which title, and who approves.

The bank account is no setting: it belongs to a book, and its change takes two people and a day
(``plugins/payments/books``)."""

from __future__ import annotations

from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from kernel import Line, Nip


def check_nrb(value: str) -> str:
    """A Polish bank account number (NRB): 26 digits whose remainder modulo 97 is right; spaces and «PL» are dropped.

    Raises ValueError for anything else but an empty text.
    """
    digits = "".join(value.replace("-", " ").split()).upper().removeprefix("PL")
    if not digits:
        return ""
    if not (len(digits) == 26 and digits.isascii() and digits.isdecimal()):
        raise PydanticCustomError("nrb_grammar", "An account number has 26 digits")
    if int(f"{digits[2:]}2521{digits[:2]}") % 97 != 1:  # «PL» is 2521 (ISO 13616)
        raise PydanticCustomError("nrb_check", "This account number has a mistake: its digits do not fit together")
    return digits


def check_title(value: str) -> str:
    """A pattern whose only place to fill is ``{customer_no}``, as it is: a width or a conversion could break pages."""
    try:
        places = {
            (name, spec, conversion) for _text, name, spec, conversion in Formatter().parse(value) if name is not None
        }
    except ValueError:
        places = {("", "", None)}
    if places - {("customer_no", "", None)}:
        raise PydanticCustomError("title_pattern", "Only the customer's number can be filled in here")
    return value


class Settings(BaseModel):
    """Whom customers pay, and who approves. An empty name, address or NIP is the organisation's own."""

    payee_name: Line = Field("", title="Payee's name", description="Empty: the organisation's full name.")
    payee_street: Line = Field("", title="Payee's street and number", description="Empty: the organisation's.")
    payee_city: Line = Field("", title="Payee's postal code and town", description="Empty: the organisation's.")
    payee_nip: Nip = Field("", title="Payee's NIP", description="Empty: the organisation's.")
    title: Annotated[Line, AfterValidator(check_title)] = Field(
        "Opłaty {customer_no}",
        min_length=1,
        title="Title of transfers",
        description="{customer_no} becomes the customer's number.",
    )
    approver_differs: bool = Field(
        False, title="Second person approves", description="Whoever entered an entry cannot approve it."
    )

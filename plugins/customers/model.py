"""What a customer and a service point are: the rules of their fields. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from kernel import Line, Nip, one_line

# One @, something before it (Polish letters too), a domain with a dot after it.
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+([.][^@\s.]+)+")
_PHONE: Final = re.compile(r"[0-9+() /.,;-]*")


def parse_email(value: str) -> str:
    """An address that mail can be sent to, as far as its form tells; nothing stays nothing."""
    if value and not _EMAIL.fullmatch(value):
        raise PydanticCustomError("email_grammar", "Write the e-mail address like name@example.pl")
    return value


def _phone(value: str) -> str:
    if not _PHONE.fullmatch(value):
        raise PydanticCustomError("phone_grammar", "Write the telephone number with digits, for example 22 828 37 39")
    return value


def _line(longest: int) -> tuple[StringConstraints, AfterValidator]:
    return StringConstraints(strip_whitespace=True, max_length=longest), AfterValidator(one_line)


Word = Annotated[str, *_line(40)]
CustomerNo = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40), AfterValidator(one_line)
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(one_line)]
Email = Annotated[str, *_line(254), AfterValidator(parse_email)]
Phone = Annotated[str, *_line(60), AfterValidator(_phone)]


class _Fields(BaseModel):
    kind: Literal["person", "company"] = "person"
    given_name: Line = ""
    family_name: Line = ""
    nip: Nip = ""
    email: Email = ""
    phone: Phone = ""
    street: Line = ""
    building: Word = ""
    flat: Word = ""
    postal_code: Word = ""
    city: Line = ""


class CustomerRow(_Fields):
    """A customer as an import brings it; ``customer_no`` is the organisation's own number."""

    model_config = ConfigDict(extra="forbid")

    customer_no: CustomerNo
    name: Name
    consumer: bool = True
    country: Line = "PL"


class CustomerForm(_Fields):
    """A customer as the office writes it. Without ``name`` a person is called by given and family name."""

    customer_no: CustomerNo
    name: Line = Field(default="", validate_default=True)
    consumer: bool = False

    @field_validator("name")
    @classmethod
    def _called(cls, value: str, info: ValidationInfo) -> str:
        called = value or f"{info.data.get('given_name', '')} {info.data.get('family_name', '')}".strip()
        if not called:
            raise PydanticCustomError("name_missing", "Enter a name")
        return called


class ServicePointForm(BaseModel):
    """A place that is billed: a flat, a meter, a property. Known by its code or its street."""

    kind: Word = ""
    street: Line = ""
    building: Word = ""
    flat: Word = ""
    postal_code: Word = ""
    city: Line = ""
    unit: Word = ""
    code: Word = Field(default="", validate_default=True)

    @field_validator("code")
    @classmethod
    def _known_by(cls, value: str, info: ValidationInfo) -> str:
        if not value and not info.data.get("street"):
            raise PydanticCustomError("place_missing", "Enter a code or an address")
        return value

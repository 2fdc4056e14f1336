"""What a customer and a service point are: the rules of their fields. Pure."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from kernel import Line, Nip, one_line

# One @, something before it (Polish letters too), a domain with a dot after it.
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+([.][^@\s.]+)+")
_PHONE: Final = re.compile(r"[0-9+() /.,;-]*")
_MOBILE: Final = frozenset(["45", "50", "51", "53", "57", "60", "66", "69", "72", "73", "78", "79", "88"])
"""The first digits of Polish mobile numbers (plan numeracji krajowej)."""


def parse_email(value: str) -> str:
    """An address that mail can be sent to, as far as its form tells; nothing stays nothing."""
    if value and not _EMAIL.fullmatch(value):
        raise PydanticCustomError("email_grammar", "Write the e-mail address like name@example.pl")
    return value


def _phone(value: str) -> str:
    if not _PHONE.fullmatch(value):
        raise PydanticCustomError("phone_grammar", "Write the telephone number with digits, for example 22 828 37 39")
    return value


def one_email(value: str) -> str:
    """An address as it is kept: small letters, so that one written twice is seen to be the same."""
    return parse_email(value).lower()


def one_phone(value: str) -> str:
    """Telephone numbers as they are kept: nine Polish digits in their usual groups, several divided by commas.

    ``+48600100200`` and ``600-100-200`` are ``600 100 200``, ``0048 22 8283739`` is ``22 828 37 39``; what is no
    Polish number stays as it was written.
    """
    return ", ".join(_grouped(" ".join(part.split())) for part in re.split("[,;]", _phone(value)) if part.strip())


def _grouped(written: str) -> str:
    digits = re.sub(r"^([+]|00)48|[^0-9+]", "", re.sub(r"[ ()/.-]", "", written))
    if not re.fullmatch("[0-9]{9}", digits):
        return written
    sizes = (3, 3, 3) if digits[:2] in _MOBILE else (2, 3, 2, 2)
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return " ".join(digits[start : start + size] for start, size in zip(starts, sizes, strict=True))


def _checked(digits: str, weights: tuple[int, ...], modulus: int) -> int:
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False)) % modulus % 10


def parse_pesel(value: str) -> str:
    """Eleven digits: a real day of birth in the first six, the last one checks the others (weights 1 3 7 9, modulo 10).

    Nothing stays nothing. Raises a pydantic error otherwise. (Ustawa o ewidencji ludności, art. 15.)
    """
    digits = re.sub(r"[ -]", "", value)
    if not digits:
        return ""
    if not re.fullmatch("[0-9]{11}", digits):
        raise PydanticCustomError("pesel_grammar", "A PESEL has eleven digits")
    if (10 - _checked(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), 10)) % 10 != int(digits[10]):
        raise PydanticCustomError("pesel_check", "This PESEL has a mistake: its last digit does not fit the others")
    century, month = divmod(int(digits[2:4]), 20)
    try:
        date((1900, 2000, 2100, 2200, 1800)[century] + int(digits[:2]), month, int(digits[4:6]))
    except ValueError:
        raise PydanticCustomError(
            "pesel_day", "This PESEL has a mistake: its first digits are no date of birth"
        ) from None
    return digits


def parse_regon(value: str) -> str:
    """Nine digits, or fourteen of a local unit, whose last one checks the others (modulo 11; 10 counts as 0).

    Nothing stays nothing. Raises a pydantic error otherwise.
    """
    digits = re.sub(r"[ -]", "", value)
    if not digits:
        return ""
    if not re.fullmatch("[0-9]{9}([0-9]{5})?", digits):
        raise PydanticCustomError("regon_grammar", "A REGON has nine digits or fourteen")
    is_wrong = _checked(digits, (8, 9, 2, 3, 4, 5, 6, 7), 11) != int(digits[8]) or (
        len(digits) == 14 and _checked(digits, (2, 4, 8, 5, 0, 9, 7, 3, 6, 1, 2, 4, 8), 11) != int(digits[13])
    )
    if is_wrong:
        raise PydanticCustomError("regon_check", "This REGON has a mistake: its last digit does not fit the others")
    return digits


def parse_account_no(value: str) -> str:
    """A Polish bank account number: 26 digits with the right remainder (ISO 13616, modulo 97); ``PL`` and spaces drop.

    Nothing stays nothing. Raises a pydantic error otherwise.
    """
    digits = re.sub(r"[ -]", "", value).upper().removeprefix("PL")
    if not digits:
        return ""
    if not re.fullmatch("[0-9]{26}", digits):
        raise PydanticCustomError("account_grammar", "A bank account number has 26 digits")
    if int(digits[2:] + "2521" + digits[:2]) % 97 != 1:
        raise PydanticCustomError(
            "account_check", "This bank account number has a mistake: its check digits do not fit"
        )
    return digits


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
    email: Annotated[Email, AfterValidator(one_email)] = ""
    phone: Annotated[Phone, AfterValidator(one_phone)] = ""
    name: Line = Field(default="", validate_default=True)
    consumer: bool = False

    @field_validator("name")
    @classmethod
    def _called(cls, value: str, info: ValidationInfo) -> str:
        called = value or f"{info.data.get('given_name', '')} {info.data.get('family_name', '')}".strip()
        if not called:
            raise PydanticCustomError("name_missing", "Enter a name")
        return called


class NewCustomerForm(CustomerForm):
    """``is_another``: there is a similar customer already, and this one is somebody else."""

    is_another: bool = False


class Meanwhile(BaseModel):
    """What a form carries so that two clerks lose nothing of each other's.

    ``version`` is the newest change that the form was filled in over, ``seen`` the newest one that the clerk was shown
    since. Of the fields named in ``take`` the register's value is kept, of all others what was typed.
    """

    version: int = Field(default=0, ge=0, lt=2**63)
    seen: int = Field(default=0, ge=0, lt=2**63)
    take: list[str] = []


class ChangedCustomerForm(CustomerForm, Meanwhile):
    """A customer's data after a change."""


class IdentityForm(BaseModel):
    """Numbers that only an office needs. ``pesel`` left empty stays; ``forget_pesel`` removes it."""

    pesel: Annotated[str, StringConstraints(max_length=20), AfterValidator(parse_pesel)] = ""
    forget_pesel: bool = False
    regon: Annotated[str, StringConstraints(max_length=20), AfterValidator(parse_regon)] = ""
    refund_account: Annotated[str, StringConstraints(max_length=40), AfterValidator(parse_account_no)] = ""


class ServicePointForm(BaseModel):
    """Premises: a flat, a garage, a meter, a property. Known by their code or their street."""

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


class ChangedPremisesForm(ServicePointForm, Meanwhile):
    """Premises after a change."""

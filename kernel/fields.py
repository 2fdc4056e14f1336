"""Kinds of text that forms, settings and imports share: one line of words, a tax number."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

# Control characters, and those that make a reader see the letters in another order than they are.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NIP_WEIGHTS: Final = (6, 5, 7, 2, 3, 4, 5, 6, 7)


def one_line(value: str) -> str:
    """Text as one line that reads as it is written. A pydantic error for line breaks, control and direction marks."""
    if _UNSEEN.search(value):
        raise PydanticCustomError("control_character", "The text contains a control character that cannot be kept")
    return value


def parse_nip(value: str) -> str:
    """Ten digits whose last one checks the others (weights 6 5 7 2 3 4 5 6 7, modulo 11); dashes, spaces and ``PL``
    are dropped. Nothing stays nothing. Raises a pydantic error otherwise."""
    digits = re.sub(r"[ -]", "", value).upper().removeprefix("PL")
    if not digits:
        return ""
    if not re.fullmatch(r"[0-9]{10}", digits):
        raise PydanticCustomError("nip_grammar", "A NIP has ten digits")
    check = sum(weight * int(digit) for weight, digit in zip(_NIP_WEIGHTS, digits, strict=False)) % 11
    if check != int(digits[9]):
        raise PydanticCustomError("nip_check", "This NIP has a mistake: its last digit does not fit the others")
    return digits


# What spreadsheets begin a formula with, or let stand before one; their full-width forms too.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_QUOTED: Final = ("'", *_FORMULA)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet could run a text as a formula when a file with it is opened (OWASP, «CSV injection»)."""
    return text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)


def defused(text: str) -> str:
    """A text for a cell of a file: what could be run, or begins with an apostrophe itself, gets one before it."""
    return f"'{text}" if text.startswith(_QUOTED) or text.lstrip().startswith(_FORMULA) else text


def undefused(text: str) -> str:
    """``defused`` undone."""
    return text.removeprefix("'")


Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(one_line)]
"""A name, a street, a title: one line of at most 200 characters, without outer spaces."""

Nip = Annotated[str, StringConstraints(max_length=20), AfterValidator(parse_nip)]
"""A Polish tax number, or nothing."""

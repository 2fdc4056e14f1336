"""Who logs in, whom the organisation bills, and where: plain values and the rules of a login name."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from kernel.plugin.permissions import Role

MAX_LOGIN: Final = 200
_LONGEST_FOLDED: Final = 4 * MAX_LOGIN
"""Spelled with loose accents a login is this long at most; what is longer costs quadratic time to normalise."""
_EMAIL: Final = re.compile(r"[^\s@<>(),;:\\\"\[\]]+@[^\s@<>(),;:\\\"\[\].]+(?:\.[^\s@<>(),;:\\\"\[\].]+)*")


class State(StrEnum):
    """Whether a user may log in."""

    ACTIVE = "active"
    DISABLED = "disabled"


class Scope(StrEnum):
    """How far a grant reaches; each includes those before it."""

    VIEW = "view"
    PAY = "pay"
    ACT = "act"
    MANAGE = "manage"


@dataclass(frozen=True, slots=True)
class User:
    """A login: a person of a customer, or of the office. The password is not in it."""

    id: int
    login: str
    name: str
    email: str
    role: Role
    language: str
    state: State
    must_change_password: bool
    has_second_factor: bool

    @property
    def active(self) -> bool:
        return self.state is State.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerData:
    """What is written down about a customer. ``country`` is the two-letter code; ``nip`` the tax number without spaces.

    ``source`` and ``external_id`` tell which import wrote it and its key there; both are None for one typed in.
    """

    customer_no: str
    name: str
    kind: str = "person"
    consumer: bool = True
    given_name: str = ""
    family_name: str = ""
    nip: str = ""
    email: str = ""
    phone: str = ""
    street: str = ""
    building: str = ""
    flat: str = ""
    postal_code: str = ""
    city: str = ""
    country: str = "PL"
    status: str = "active"
    source: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer(CustomerData):
    """A customer of the organisation; ``customer_no`` is the organisation's own number."""

    id: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePointData:
    """A place that a customer is billed for: a flat, a meter, a plot. ``code`` is the organisation's own, or empty."""

    customer: int
    code: str = ""
    kind: str = ""
    street: str = ""
    building: str = ""
    flat: str = ""
    postal_code: str = ""
    city: str = ""
    unit: str = ""
    source: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePoint(ServicePointData):
    """A place of a customer."""

    id: int


class LastSuperadmin(Exception):
    """The only active superadministrator would be lost; the database refuses it too."""


class LoginTaken(Exception):
    """Another user has this login."""


class CustomerNoTaken(Exception):
    """Another customer has this number."""


class CodeTaken(Exception):
    """Another service point has this code."""


def fold_login(text: str) -> str:
    """The form in which logins are kept and compared: letters of one case, one way to write each, no outer spaces.

    What is far too long for a login comes back as it is, and ``login_is_possible`` refuses it.
    """
    if len(text) > _LONGEST_FOLDED:
        return text
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.strip()).casefold())


def login_is_possible(login: str) -> bool:
    """Whether a folded login may be given: not empty, not too long, printable, without spaces."""
    return 0 < len(login) <= MAX_LOGIN and login.isprintable() and not any(c.isspace() for c in login)


def is_email(text: str) -> bool:
    """Whether a text looks like one address that a letter can be sent to; only a letter proves it."""
    return len(text) <= 254 and text.isprintable() and _EMAIL.fullmatch(text) is not None

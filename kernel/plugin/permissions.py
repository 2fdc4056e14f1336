"""Roles and permissions: who may do what, declared by plugins and shown as a matrix in the console."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kernel.i18n import Text

PUBLIC: Final = "public"
"""The permission of a page for everybody. It is written out: a route without a permission cannot exist."""


class Role(StrEnum):
    """The three levels. They do not inherit by themselves: a permission names every role that has it."""

    CUSTOMER = "customer"
    ADMIN = "admin"
    SUPERADMIN = "superadmin"


EVERYBODY: Final = frozenset(Role)
STAFF: Final = frozenset({Role.ADMIN, Role.SUPERADMIN})


@dataclass(frozen=True, slots=True)
class Permission:
    """The right to use the routes that name it.

    ``name`` carries its plugin's prefix (``payments.view``). With ``superadmin_mode`` the superadministrator must also
    have switched the announced, time-limited mode on.
    """

    name: str
    label: Text
    roles: Set[Role]
    superadmin_mode: bool = False

"""Who acts in a request: nobody, a customer's user, or the office."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from datetime import datetime

from kernel.plugin.permissions import PUBLIC, Permission, Role


@dataclass(frozen=True, slots=True)
class Grant:
    """One customer that a login may see; ``scope`` is view, pay, act or manage."""

    customer: int
    customer_no: str
    name: str
    scope: str


@dataclass(frozen=True, slots=True)
class Actor:
    """The person behind a request and what may be done in it.

    ``user`` is the id in ``kernel.users`` (None for a visitor). ``customer`` is the id of the customer in view: the one
    chosen among ``grants`` for a customer's login, None for the office. ``superadmin_until`` is the end (UTC) of the
    superadministrator's announced mode, None when it is off. ``token`` is the id of the API token by which a program
    speaks for the person; it has no session then.
    """

    user: int | None = None
    login: str = ""
    name: str = ""
    role: Role | None = None
    permissions: Set[str] = field(default_factory=frozenset[str])
    customer_or_none: int | None = None
    grants: tuple[Grant, ...] = ()
    superadmin_until: datetime | None = None
    session: int | None = None
    must_change_password: bool = False
    token: int | None = None

    @property
    def customer(self) -> int:
        """The customer in view. Raises LookupError where there is none, which the kernel answers with 404."""
        if self.customer_or_none is None:
            raise LookupError("no customer in view")
        return self.customer_or_none

    @property
    def signed_in(self) -> bool:
        return self.user is not None

    @property
    def in_superadmin_mode(self) -> bool:
        return self.superadmin_until is not None

    def may(self, permission: str) -> bool:
        """Whether this actor holds ``permission`` (mode not considered: see Permission.superadmin_mode)."""
        return permission == PUBLIC or permission in self.permissions


def permissions_of(role: Role, known: Iterable[Permission]) -> frozenset[str]:
    """The names of the permissions that a role has."""
    return frozenset(permission.name for permission in known if role in permission.roles)

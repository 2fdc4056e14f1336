"""Groups of customers as lists and exports are narrowed by them: a port, whoever keeps the groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString, Protocol

from kernel.db.connection import Connection

if TYPE_CHECKING:
    from kernel.site import Site

Places = Sequence[LiteralString]
"""Where a statement's arguments stand: ``$4``, ``$5`` …"""


@dataclass(frozen=True, slots=True)
class CustomerSet:
    """Customers as a part of a statement: ``select`` makes, for the places of ``values``, a select of their ids."""

    select: Callable[[Places], LiteralString]
    values: tuple[object, ...] = ()


def _nobody(places: Places) -> LiteralString:
    return "select null::bigint where false"


NOBODY: Final = CustomerSet(_nobody)
"""What a group holds that is not there any more: a list never grows because a group was deleted."""


class CustomerGroups(Protocol):
    """The groups of an organisation. ``permission`` is what whoever sees their names needs."""

    @property
    def permission(self) -> str: ...

    async def chosen(
        self, site: Site, conn: Connection, group: int | None
    ) -> tuple[Sequence[tuple[int, str]], CustomerSet | None]:
        """Every group's id and name in the order of the alphabet (some hundreds), and the members of ``group``: None
        when nobody chose one, ``NOBODY`` when it does not exist. One statement."""
        ...

"""Groups as other plugins use them: whom a message, a report or a run is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kernel import Connection, Site


class Groups(Protocol):
    """The groups of the organisation."""

    async def named(self, conn: Connection) -> Sequence[tuple[int, str]]:
        """Every group: id and name, in the order of the alphabet (five hundred at most)."""
        ...

    async def members(
        self, site: Site, conn: Connection, group: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[int]:
        """Ids of members in ascending order, those beyond ``after``: ask again with the last one until none comes.

        A group by a rule is what the rule finds at that moment. Raises LookupError where there is no such group.
        """
        ...

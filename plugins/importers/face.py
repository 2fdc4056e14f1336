"""What other plugins may rely on: the age of the imported data, and paths in a source's settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kernel import Connection


@dataclass(frozen=True, slots=True)
class LastImport:
    """The newest applied import. ``read_at`` (UTC) is when its source was read: the data are as of then.

    ``failing_since`` is the first attempt after it that did not succeed.
    """

    profile: str
    title: str
    read_at: datetime
    failing_since: datetime | None = None


class Freshness(Protocol):
    """How old the imported data are."""

    async def last(self, conn: Connection) -> LastImport | None:
        """The newest applied import of any profile; None when there was none."""
        ...

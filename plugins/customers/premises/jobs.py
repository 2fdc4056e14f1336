"""On the day a period begins or ends, or premises pass on, the register names whoever is billed from then on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from kernel import Job
from plugins.customers.premises import planned

JOBS: Final[Sequence[Job]] = (Job("customers.turn", planned.turn, every=timedelta(hours=1)),)

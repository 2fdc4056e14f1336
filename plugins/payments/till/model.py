"""Bundles of payments: their rows, what they should come to, and what a row looks like twice. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from kernel import Money, Text, _
from plugins.payments.model import CHANNELS, KINDS

KINDS_HERE: Final = ("payment", "benefit", "offset")
CHANNELS_HERE: Final = ("cash", "card", "transfer", "post", "gateway", "direct_debit")
MOST_ROWS: Final = 300
"""Rows of one bundle: a stack that somebody can still compare by hand."""
TITLES: Final[Mapping[str, Text]] = {
    "payment": _("Payment"),
    "benefit": _("Housing benefit"),
    "offset": _("Offset"),
}
"""The title of a row whose title was left empty."""


@dataclass(frozen=True, slots=True)
class Row:
    """A payment of a bundle. ``state``: draft, approved, reversed or voided; ``created_by`` a user's id."""

    place: int
    entry: int
    account: int
    account_no: str
    customer: int
    customer_no: str
    name: str
    kind: str
    amount: Money
    day: date
    title: str
    document_no: str
    channel: str
    state: str
    created_by: str
    author: str
    approver: str

    @property
    def counts(self) -> bool:
        """Whether the row is a payment still: a draft, or approved and neither voided nor reversed."""
        return self.state in ("draft", "approved")

    @property
    def is_draft(self) -> bool:
        return self.state == "draft"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Payments typed in one go. ``expected_count`` and ``expected_sum`` are what the slips in hand come to."""

    id: int
    day: date
    number: int
    expected_count: int | None
    expected_sum: Money | None
    difference_reason: str
    author: str
    created_at: datetime
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        """What the bundle is called: ``24.11.2026/3``."""
        return f"{self.day:%d.%m.%Y}/{self.number}"

    @property
    def counting(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.counts)

    @property
    def drafts(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.is_draft)

    @property
    def total(self) -> Money:
        return Money.total(row.amount for row in self.counting)

    @property
    def missing(self) -> Money:
        """What the rows lack of the expected sum; negative: they are too much; zero where nothing is expected."""
        return Money(0) if self.expected_sum is None else self.expected_sum - self.total

    @property
    def missing_count(self) -> int:
        """How many rows lack of those expected; negative: there are too many."""
        return 0 if self.expected_count is None else self.expected_count - len(self.counting)

    @property
    def differs(self) -> bool:
        return bool(self.missing) or self.missing_count != 0

    @property
    def state(self) -> str:
        """empty, open (drafts wait), approved."""
        if not self.rows:
            return "empty"
        return "open" if self.drafts else "approved"

    def row(self, entry: int) -> Row | None:
        return next((row for row in self.rows if row.entry == entry), None)


@dataclass(frozen=True, slots=True)
class Sum:
    """Rows of one way in which money came, or of one kind: how many, and how much."""

    label: Text
    count: int
    amount: Money


def sums_by_channel(rows: Iterable[Row]) -> list[Sum]:
    """Rows that count, by the way in which the money came, in the usual order of ways."""
    return _sums(((row.channel, row) for row in rows if row.counts), CHANNELS)


def sums_by_kind(rows: Iterable[Row]) -> list[Sum]:
    """Rows that count, by kind."""
    return _sums(((row.kind, row) for row in rows if row.counts), KINDS)


def _sums(keyed: Iterable[tuple[str, Row]], words: Mapping[str, Text]) -> list[Sum]:
    counts, amounts = Counter[str](), Counter[str]()
    for key, row in keyed:
        counts[key] += 1
        amounts[key] += row.amount.grosze
    return [Sum(words.get(key, Text(key)), counts[key], Money(amounts[key])) for key in words if counts[key]]


def fingerprint(rows: Sequence[Row]) -> str:
    """Stands for exactly these rows with these facts: whoever approves, approves what was shown."""
    facts = [f"{row.entry}:{row.account}:{row.amount.grosze}:{row.day}:{row.kind}:{row.channel}" for row in rows]
    return hashlib.sha256("\n".join(sorted(facts)).encode()).hexdigest()[:32]

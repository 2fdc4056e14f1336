"""What other plugins see of the ledger: questions about one customer, answered with frozen values.

Every question is bounded: none of its statements grows with the number of customers or the length of a history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, Protocol

from kernel import Connection, Money, Site

NOTHING: Final = Money(0)


class Side(StrEnum):
    """Where an entry stands: a charge raises what the customer owes, a credit lowers it."""

    CHARGE = "charge"
    CREDIT = "credit"


class Status(StrEnum):
    """How an entry stands on a day. Derived from amounts and dates, never stored."""

    OPEN = "open"
    PARTLY_PAID = "partly_paid"
    OVERDUE = "overdue"
    PAID = "paid"
    CORRECTED = "corrected"
    REVERSED = "reversed"
    VOIDED = "voided"
    UNUSED = "unused"
    """A credit of which something is left."""
    USED = "used"
    """A credit that has paid something, whole."""


@dataclass(frozen=True, slots=True)
class Position:
    """What a customer owes on the day ``on``.

    ``to_pay`` is the one amount for portal, payment order, QR and reminder, ``to_pay_by`` its day: ``on`` itself when
    something is due by then, else the nearest due date of an open charge, None when nothing is open. ``arrears`` is
    past its due date; ``credit`` is paid and not yet used; ``balance`` is charges less credits (negative: overpaid).
    ``barred`` are a consumer's time-barred charges: part of the balance, and nowhere else (art. 117 §2¹ of the Civil
    Code). ``provisional`` is what came in and another application has still to book: outside the balance.
    """

    to_pay: Money
    to_pay_by: date | None
    arrears: Money
    credit: Money
    balance: Money
    on: date
    barred: Money = NOTHING
    provisional: Money = NOTHING


@dataclass(frozen=True, slots=True)
class Payee:
    """Whom to pay, and what: one for each bank account that the customer's accounts are paid to; the sums of all
    payees make the ``to_pay`` of the position.

    ``account_no`` is an NRB (26 digits), empty when the office has not set it. ``title`` is the transfer's title.
    ``overdue``: some of it should have been paid already, so ``to_pay_by`` is today and no term to print.
    ``charges`` are the entries that ``to_pay`` is for, the earliest due first, at most a hundred.
    """

    name: str
    address: tuple[str, ...]
    nip: str
    account_no: str
    to_pay: Money
    to_pay_by: date | None
    title: str
    overdue: bool = False
    charges: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenCharge:
    """An approved charge of which something is still to be paid, on a day.

    ``due_on`` is the day in the document, ``effective_due_on`` the working day it moves to (art. 115 of the
    Civil Code).
    """

    entry: int
    kind: str
    title: str
    document_no: str
    period: str
    issued_on: date
    due_on: date
    effective_due_on: date
    amount: Money
    open: Money
    status: Status
    account: int = 0
    is_barred: bool = False


@dataclass(frozen=True, slots=True)
class OpenItems:
    """A position with the charges that make it, the earliest due first."""

    position: Position
    charges: tuple[OpenCharge, ...]


@dataclass(frozen=True, slots=True)
class CardPart:
    """One part of a row's explanation: how much of it met which other entry, by which rule of allocation."""

    entry: int
    kind: str
    title: str
    document_no: str
    on: date
    amount: Money
    rule: str


@dataclass(frozen=True, slots=True)
class CardLine:
    """One row of the ledger card. ``on`` is the day of issue of a charge, the value date of a credit.

    ``balance`` is the account's balance after this row; a voided row leaves it as it was. ``open`` is the part of
    ``amount`` that ``parts`` do not explain.
    """

    entry: int
    side: Side
    kind: str
    title: str
    document_no: str
    on: date
    due_on: date | None
    effective_due_on: date | None
    amount: Money
    open: Money
    balance: Money
    status: Status
    parts: tuple[CardPart, ...] = ()


@dataclass(frozen=True, slots=True)
class LedgerCard:
    """A page of the ledger card, newest first; ``older`` is the key of the next page, None on the last."""

    lines: tuple[CardLine, ...]
    older: str | None = None


class Ledger(Protocol):
    """The port: what a customer owes and why. ``customer`` is the id in ``kernel.customer``.

    A customer without entries has a position of zeros, no open charges and an empty card.
    """

    async def position(self, conn: Connection, customer: int, on: date) -> Position:
        """What the customer owes on the day. One statement."""
        ...

    async def payees(self, site: Site, conn: Connection, customer: int, on: date) -> Sequence[Payee]:
        """Whom to pay how much, oldest book first; one even when there is nothing to pay. Empty: no such customer.

        Who is paid follows from the organisation's settings, those of payments before those of the organisation.
        """
        ...

    async def open_items(self, conn: Connection, customer: int, on: date, *, limit: int = 100) -> OpenItems:
        """What the customer owes on the day, and the charges not yet paid, the earliest due first. One statement."""
        ...

    async def card(
        self, conn: Connection, customer: int, on: date, *, before: str | None = None, limit: int = 50
    ) -> LedgerCard:
        """The ledger card, newest first; ``before`` is a former page's ``older``.

        Raises LookupError for a key that is not one, or that a posting since then has made stale.
        """
        ...

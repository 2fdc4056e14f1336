"""The rules of the ledger, pure: due dates, what is to pay, how an entry stands, and the words for it.

The database does the same in sets (``migrations/``); this is the reference that explains and proves it.
Amounts are whole grosze where entries meet, ``Money`` where people see them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Final

from kernel import Money, Text, _
from plugins.payments.face import Position, Side, Status

CHARGE_KINDS: Final[Mapping[str, Text]] = {
    "fee": _("Fee"),
    "settlement": _("Settlement"),
    "interest": _("Interest"),
    "cost": _("Cost"),
    "opening": _("Opening balance"),
    "correction": _("Correction"),
    "refund": _("Refund"),
    "transfer": _("Transfer between accounts"),
    "reversal": _("Reversal"),
}
CREDIT_KINDS: Final[Mapping[str, Text]] = {
    "payment": _("Payment"),
    "offset": _("Offset"),
    "benefit": _("Housing benefit"),
    "opening": _("Opening balance"),
    "correction": _("Correction"),
    "remission": _("Remission"),
    "write_off": _("Write-off"),
    "transfer": _("Transfer between accounts"),
    "reversal": _("Reversal"),
}
KINDS: Final[Mapping[str, Text]] = {**CHARGE_KINDS, **CREDIT_KINDS}
CHANNELS: Final[Mapping[str, Text]] = {
    "transfer": _("bank transfer"),
    "cash": _("cash"),
    "card": _("card"),
    "post": _("post office"),
    "gateway": _("online payment"),
    "direct_debit": _("direct debit"),
    "offset": _("offset"),
}
STATES: Final[Mapping[str, Text]] = {
    "draft": _("Draft"),
    "approved": _("Approved"),
    "voided": _("Voided"),
}
RULES: Final[Mapping[str, Text]] = {
    "designated": _("as the payer wished"),
    "oldest_due": _("the oldest due first"),
    "inner_interest": _("interest first"),
    "prepay": _("paid before it was due"),
    "correction": _("lowers this charge"),
    "reversal": _("undoes this entry"),
    "manual": _("set by the office"),
    "imported": _("as in the source"),
    "policy": _("by the book's own rule"),
}
STATUSES: Final[Mapping[Status, Text]] = {
    Status.OPEN: _("to pay"),
    Status.PARTLY_PAID: _("partly paid"),
    Status.OVERDUE: _("past due"),
    Status.PAID: _("paid"),
    Status.CORRECTED: _("corrected"),
    Status.REVERSED: _("reversed"),
    Status.VOIDED: _("voided"),
    Status.UNUSED: _("waits for the next charge"),
    Status.USED: _("used"),
}

# --- due dates ------------------------------------------------------------------------------------------------------

FIRST_YEAR, LAST_YEAR = 2000, 2050
FIRST_DAY, LAST_DAY = date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)
EPIPHANY_SINCE: Final = 2011
CHRISTMAS_EVE_SINCE: Final = 2025
LARGEST_AMOUNT: Final = Money(10**12)
"""The largest amount of an entry, in grosze."""


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the computus of Meeus, Jones and Butcher)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    i = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * i) // 451
    return date(year, 3, 1) + timedelta(days=h + i - 7 * m + 21)


@cache
def holidays(year: int) -> frozenset[date]:
    """Days free from work besides Saturdays (Act of 18 January 1951; 6 January since 2011, 24 December since 2025)."""
    fixed = [(1, 1), (5, 1), (5, 3), (8, 15), (11, 1), (11, 11), (12, 25), (12, 26)]
    if year >= EPIPHANY_SINCE:
        fixed.append((1, 6))
    if year >= CHRISTMAS_EVE_SINCE:
        fixed.append((12, 24))
    movable = (easter(year) + timedelta(days=after) for after in (0, 1, 49, 60))
    return frozenset({*(date(year, month, day) for month, day in fixed), *movable})


@dataclass(frozen=True, slots=True)
class Calendar:
    """The holidays of the years this product knows, for ``effective_due``."""

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and day in holidays(day.year)


def effective_due(due: date, calendar: Container[date] | None = None) -> date:
    """The working day that a due date moves to: not a Saturday, Sunday or holiday (art. 115 of the Civil Code)."""
    free = Calendar() if calendar is None else calendar
    while due.isoweekday() > 5 or due in free:
        due += timedelta(days=1)
    return due


# --- what is to pay -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    """What is open of a charge, in grosze, and the working day by which it is due."""

    amount: int
    effective_due_on: date


@dataclass(frozen=True, slots=True)
class Standing:
    """What is open on one account, in grosze: charges ``due`` by the day in question, ``arrears`` due before it, those
    due ``until`` the day of what is to pay, ``credit`` not yet used, the consumer's time-barred charges apart;
    ``provisional`` is what the bank told of and a mirror book has not booked yet."""

    due: int
    arrears: int
    until: int
    credit: int
    barred: int
    balance: int
    provisional: int = 0

    @property
    def to_pay(self) -> int:
        """A credit on one account pays nothing on another until somebody moves it."""
        return max(0, self.until - self.credit)


def amount_due(open_charges: Iterable[Open], credit: int, day: date) -> int:
    """What is due by ``day`` less the credit, in grosze, never below zero."""
    return max(0, sum(charge.amount for charge in open_charges if charge.effective_due_on <= day) - credit)


def to_pay_by(accounts: Iterable[tuple[Sequence[Open], int]], on: date) -> date | None:
    """The day of what is to pay, from each account's open charges and credit: today if anything is due by now, else the
    nearest due date; None when nothing is open."""
    known = list(accounts)
    if any(amount_due(charges, credit, on) for charges, credit in known):
        return on
    dues = [charge.effective_due_on for charges, _credit in known for charge in charges]
    return min((due for due in dues if due > on), default=on if dues else None)


def position(open_charges: Sequence[Open], credit: int, on: date) -> Position:
    """What a customer with one account owes on a day, from everything that is open, in grosze."""
    by = to_pay_by([(open_charges, credit)], on)
    account = Standing(
        due=amount_due(open_charges, 0, on),
        arrears=amount_due(open_charges, 0, on - timedelta(days=1)),
        until=0 if by is None else amount_due(open_charges, 0, by),
        credit=credit,
        barred=0,
        balance=sum(charge.amount for charge in open_charges) - credit,
    )
    return together([account], by, on)


def owed(
    *,
    due: int,
    arrears: int,
    nearest: date | None,
    nearest_amount: int,
    credit: int,
    balance: int,
    on: date,
    barred: int = 0,
) -> Position:
    """The same of one account from sums in grosze: ``due`` by ``on``, ``arrears`` before it, ``nearest_amount`` on the
    earliest due date of all open charges."""
    by, until = (on, due) if due else (nearest, nearest_amount)
    return together([Standing(due, arrears, until, credit, barred, balance)], by, on)


def together(accounts: Sequence[Standing], by: date | None, on: date) -> Position:
    """The one ``to_pay`` of a customer and its day (ledger rules 6): the sum over the accounts."""
    return Position(
        to_pay=Money(sum(account.to_pay for account in accounts)),
        to_pay_by=by,
        arrears=Money(sum(account.arrears for account in accounts)),
        credit=Money(sum(account.credit for account in accounts)),
        balance=Money(sum(account.balance for account in accounts)),
        barred=Money(sum(account.barred for account in accounts)),
        provisional=Money(sum(account.provisional for account in accounts)),
        on=on,
    )


# --- how an entry stands --------------------------------------------------------------------------------------------


def status_of(
    side: Side,
    *,
    amount: int,
    open_amount: int,
    effective_due_on: date | None,
    on: date,
    state: str = "approved",
    is_reversed: bool = False,
    corrected: int = 0,
) -> Status:
    """How an approved or voided entry stands on a day. ``corrected`` is how much corrections have lowered a charge."""
    if state == "voided":
        return Status.VOIDED
    if is_reversed:
        return Status.REVERSED
    if side is Side.CREDIT:
        return Status.UNUSED if open_amount else Status.USED
    if not open_amount:
        return Status.CORRECTED if corrected == amount else Status.PAID
    if effective_due_on is not None and effective_due_on < on:
        return Status.OVERDUE
    return Status.PARTLY_PAID if open_amount < amount - corrected else Status.OPEN

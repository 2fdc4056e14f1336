"""The rules of the ledger, pure: due dates, allocation, what is to pay, how an entry stands, and the words for it.

The database does the same in sets (``migrations/0001_ledger.sql``); this is the reference that explains and proves it.
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

FIRST_YEAR, LAST_YEAR = 2016, 2035
CHRISTMAS_EVE_SINCE: Final = 2025


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the computus of Meeus, Jones and Butcher)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    i = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * i) // 451
    return date(year, 3, 1) + timedelta(days=h + i - 7 * m + 21)


@cache
def holidays(year: int) -> frozenset[date]:
    """Days free from work besides Saturdays (Act of 18 January 1951; 24 December since 2025)."""
    fixed = [(1, 1), (1, 6), (5, 1), (5, 3), (8, 15), (11, 1), (11, 11), (12, 25), (12, 26)]
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


# --- allocation -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Posting:
    """An approved entry, as allocation sees it. ``place`` is its day in the queue: a charge's effective due date (None
    for a reversal), a credit's value date."""

    id: int
    side: Side
    kind: str
    amount: int
    place: date | None
    reverses: int | None = None
    corrects: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class Allocation:
    """``amount`` grosze of a credit that pay a charge, by a rule."""

    credit: int
    charge: int
    amount: int
    rule: str


def allocate_civil(entries: Iterable[Posting], pinned: Sequence[Allocation] = ()) -> list[Allocation]:
    """Which credit pays which charge under the policy «civil» (ledger rules 4; art. 451 of the Civil Code).

    ``entries`` are the approved ones of one account. First what is fixed: ``pinned`` (manual, imported), each reversal
    with its original, each correction with the charge it lowers. The rest pays charges by effective due date, then id,
    with credits by value date, then id; charges not yet due are prepaid, what is left stays as credit. A pure function:
    the order of ``entries`` does not matter. Raises ValueError when what is fixed exceeds an entry.
    """
    entries = list(entries)
    reversed_ids = {entry.reverses for entry in entries if entry.reverses is not None}
    fixed = list(pinned)
    for entry in entries:
        if entry.reverses is not None:
            credit, charge = (entry.id, entry.reverses) if entry.side is Side.CREDIT else (entry.reverses, entry.id)
            fixed.append(Allocation(credit, charge, entry.amount, "reversal"))
        elif entry.corrects is not None and entry.side is Side.CREDIT and entry.id not in reversed_ids:
            fixed.append(Allocation(entry.id, entry.corrects, entry.amount, "correction"))
    free = {entry.id: entry.amount for entry in entries}
    for allocation in fixed:
        free[allocation.credit] -= allocation.amount
        free[allocation.charge] -= allocation.amount
    if any(amount < 0 for amount in free.values()):
        raise ValueError("more is fixed to an entry than its amount")
    return sorted(fixed + _first_come(entries, free))


def _first_come(entries: Sequence[Posting], free: dict[int, int]) -> list[Allocation]:
    """Two queues meet: the first credit pays the first charge until one of them is used up."""
    queued = sorted((entry.place, entry.id, entry) for entry in entries if entry.place is not None and free[entry.id])
    paying = [entry for _place, _id, entry in queued if entry.side is Side.CREDIT]
    charged = [entry for _place, _id, entry in queued if entry.side is Side.CHARGE]
    met: list[Allocation] = []
    while paying and charged:
        credit, charge = paying[0], charged[0]
        amount = min(free[credit.id], free[charge.id])
        early = charge.place is not None and credit.place is not None and charge.place > credit.place
        met.append(Allocation(credit.id, charge.id, amount, "prepay" if early else "oldest_due"))
        for entry, queue in ((credit, paying), (charge, charged)):
            free[entry.id] -= amount
            if not free[entry.id]:
                queue.pop(0)
    return met


# --- what is to pay -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    """What is open of a charge, in grosze, and the working day by which it is due."""

    amount: int
    effective_due_on: date


def amount_due(open_charges: Iterable[Open], credit: int, day: date) -> int:
    """What is due by ``day`` less the credit, in grosze, never below zero."""
    return max(0, sum(charge.amount for charge in open_charges if charge.effective_due_on <= day) - credit)


def position(open_charges: Sequence[Open], credit: int, on: date) -> Position:
    """What a customer owes on a day (ledger rules 6), from everything that is open, in grosze."""
    dues = [charge.effective_due_on for charge in open_charges]
    nearest = min(dues, default=None)
    return owed(
        due=amount_due(open_charges, 0, on),
        arrears=amount_due(open_charges, 0, on - timedelta(days=1)),
        nearest=nearest,
        nearest_amount=0 if nearest is None else amount_due(open_charges, 0, nearest),
        credit=credit,
        balance=sum(charge.amount for charge in open_charges) - credit,
        on=on,
    )


def owed(
    *, due: int, arrears: int, nearest: date | None, nearest_amount: int, credit: int, balance: int, on: date
) -> Position:
    """The one ``to_pay`` and its day from sums in grosze: ``due`` by ``on``, ``arrears`` before it, ``nearest_amount``
    on the earliest due date of all open charges."""
    by, amount = (on, due) if due else (nearest, nearest_amount)
    return Position(
        to_pay=Money(max(0, amount - credit)),
        to_pay_by=by,
        arrears=Money(arrears),
        credit=Money(credit),
        balance=Money(balance),
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

"""Interest that is booked when it is paid: in books that pay interest before the principal, or split between them.

A payment first meets the interest that had arisen by its day. What no note has booked yet becomes an entry of that day,
charge by charge in the order in which the payment reaches them, since each changes what is left for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from plugins.payments.accrual.model import BEARS_NONE, Debt, Part
from plugins.payments.allocation import Allocation, AllocationPolicy, Posting, allocate
from plugins.payments.face import Side

Claimable = Callable[[Debt, date], int]
"""Grosze of interest of a debt to a day that nobody has booked."""


@dataclass(frozen=True, slots=True)
class Arisen:
    """Interest that a payment meets: ``amount`` grosze for a charge, up to and on ``day``."""

    charge: int
    amount: int
    day: date


def interest_when_paid(
    entries: Sequence[Posting],
    pinned: Sequence[Allocation],
    new: Sequence[Posting],
    policy: AllocationPolicy,
    claimable: Claimable,
    today: date,
) -> list[Arisen]:
    """What the ``new`` credits make of interest, in the order of their days.

    ``entries`` are the approved ones of one account without them. Pure. Raises ValueError when what is pinned exceeds
    an entry, and whatever ``claimable`` raises.
    """
    known = list(entries)
    found: list[Arisen] = []
    unused = max((entry.id for entry in (*entries, *new)), default=0) + 1
    for credit in sorted(new, key=_turn):
        known.append(credit)
        while (arisen := _first_arisen(known, pinned, credit, policy, claimable, today)) is not None:
            found.append(arisen)
            known.append(
                Posting(
                    unused,
                    Side.CHARGE,
                    "interest",
                    arisen.amount,
                    arisen.day,
                    bears_on=arisen.charge,
                    issued_on=arisen.day,
                )
            )
            unused += 1
    return found


def _first_arisen(
    known: Sequence[Posting],
    pinned: Sequence[Allocation],
    credit: Posting,
    policy: AllocationPolicy,
    claimable: Claimable,
    today: date,
) -> Arisen | None:
    """The first charge that the credit reaches whose interest nobody has booked, or None."""
    day = credit.place
    if day is None:
        return None
    by_id = {entry.id: entry for entry in known}
    allocations = allocate(known, policy, pinned, today=today)
    reached = {by_id[one.charge].bears_on or one.charge for one in allocations if one.credit == credit.id}
    for charge in sorted((by_id[number] for number in reached), key=_turn):
        if charge.kind in BEARS_NONE:
            continue
        amount = claimable(_debt(charge, known, allocations, by_id), day)
        if amount > 0:
            return Arisen(charge.id, amount, day)
    return None


def _debt(
    charge: Posting, known: Sequence[Posting], allocations: Sequence[Allocation], by_id: Mapping[int, Posting]
) -> Debt:
    met = [one for one in allocations if one.charge == charge.id]
    # what a correction took away was never owed
    paid = [Part(one.amount, by_id[one.credit].place) for one in met if one.rule not in ("correction", "reversal")]
    open_part = charge.amount - sum(one.amount for one in met)
    return Debt(
        charge.kind,
        charge.place,
        (*paid, *([Part(open_part, None)] if open_part else [])),
        _booked(charge.id, known),
    )


def _booked(charge: int, known: Sequence[Posting]) -> int:
    """Grosze of interest booked for a charge, less what corrections and reversals took back."""
    gone = {entry.reverses for entry in known if entry.reverses is not None}
    interest = [entry for entry in known if entry.kind == "interest" and entry.bears_on == charge]
    own = {entry.id for entry in interest if entry.id not in gone}
    booked = sum(entry.amount for entry in interest if entry.id in own)
    for entry in known:
        if entry.corrects in own and entry.id not in gone:
            booked += entry.amount if entry.side is Side.CHARGE else -entry.amount
    return booked


def _turn(entry: Posting) -> tuple[date, int]:
    return entry.place or date.max, entry.id

"""Which credit pays which charge: the policies, pure.

The database allocates by the same rules (``migrations/``); these explain, prove and test it, and they are the way of a
policy that another plugin brings. Amounts are grosze.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Protocol, runtime_checkable

from plugins.payments.face import Side


@dataclass(frozen=True, slots=True)
class Posting:
    """An approved entry, as allocation sees it.

    ``place`` is its day in the queue: a charge's effective due date (None for a reversal); of a credit the value date,
    or in a book with the policy «public» the day it was paid on. ``bears_on`` is the charge that interest or a cost
    belongs to. ``barred_on`` is the first day on which nothing pays the charge unasked (a consumer's time-barred one).
    ``designations`` are the charges the payer named, in order.
    """

    id: int
    side: Side
    kind: str
    amount: int
    place: date | None
    reverses: int | None = None
    corrects: int | None = None
    bears_on: int | None = None
    issued_on: date | None = None
    barred_on: date | None = None
    designations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Allocation:
    """``amount`` grosze of a credit that pay a charge, by a rule."""

    credit: int
    charge: int
    amount: int
    rule: str


@runtime_checkable
class AllocationPolicy(Protocol):
    """The extension point ``payments.allocation_policy``: a pure function of an account's entries.

    Whatever it returns is kept by the database, which refuses more than an entry holds. Manual and imported
    allocations, reversals and corrections are settled before it is asked: ``free`` says what is left of each entry.
    """

    def allocate(self, entries: Sequence[Posting], free: Mapping[int, int], today: date) -> Sequence[Allocation]:
        """Allocations of what is free. ``entries`` are the approved ones of one account, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Civil:
    """Articles 451 §1 and §3 of the Civil Code: the payer's designation, then the earliest due, then (``prepay``) what
    is not yet due. ``interest_first``: within one debt its interest and costs before the principal."""

    interest_first: bool = False
    prepay: bool = True

    def allocate(self, entries: Sequence[Posting], free: Mapping[int, int], today: date) -> Sequence[Allocation]:
        return list(_Turns(entries, free, today, prepay=self.prepay).civil(interest_first=self.interest_first))


@dataclass(frozen=True, slots=True)
class Public:
    """Articles 55 §2 and 62 §1 of the Tax Ordinance: the earliest due arrears first, each part payment split pro rata
    between principal and interest; a payer's designation counts only where there are no arrears."""

    prepay: bool = True

    def allocate(self, entries: Sequence[Posting], free: Mapping[int, int], today: date) -> Sequence[Allocation]:
        return list(_Turns(entries, free, today, prepay=self.prepay).public())


PLAIN: Final = Civil()
GIVES_UP: Final = frozenset({"remission", "write_off", "transfer"})
"""Credits that take away the very charges they name, whatever the policy makes of a payer's wish."""


def allocate(
    entries: Iterable[Posting], policy: AllocationPolicy, pinned: Sequence[Allocation] = (), *, today: date = date.max
) -> list[Allocation]:
    """Every allocation of one account: what is fixed, then what the policy makes of the rest, sorted.

    Fixed are ``pinned`` (manual, imported, named by a document), each reversal with its original and each correction
    with the charge it lowers. Pure: the order of ``entries`` does not matter. Raises ValueError when what is fixed
    exceeds an entry.
    """
    known = sorted(entries, key=lambda entry: entry.id)
    fixed = [*pinned, *_tied(known)]
    free = {entry.id: entry.amount for entry in known}
    for allocation in fixed:
        free[allocation.credit] -= allocation.amount
        free[allocation.charge] -= allocation.amount
    if any(amount < 0 for amount in free.values()):
        raise ValueError("more is fixed to an entry than its amount")
    return sorted([*fixed, *policy.allocate(known, free, today)])


def _tied(entries: Sequence[Posting]) -> Iterator[Allocation]:
    reversed_ids = {entry.reverses for entry in entries if entry.reverses is not None}
    for entry in entries:
        if entry.reverses is not None:
            credit, charge = (entry.id, entry.reverses) if entry.side is Side.CREDIT else (entry.reverses, entry.id)
            yield Allocation(credit, charge, entry.amount, "reversal")
        elif entry.corrects is not None and entry.side is Side.CREDIT and entry.id not in reversed_ids:
            yield Allocation(entry.id, entry.corrects, entry.amount, "correction")


@dataclass(slots=True)
class _Turns:
    """Credits take their turns by day, then number; each pays what its policy lets it."""

    entries: Sequence[Posting]
    given: Mapping[int, int]
    today: date
    prepay: bool
    free: dict[int, int] = field(init=False)
    credits: list[Posting] = field(init=False)
    charges: list[Posting] = field(init=False)
    """The latest due first, so that what is paid leaves at the end."""
    inner: dict[int, list[Posting]] = field(init=False)
    by_id: dict[int, Posting] = field(init=False)

    def __post_init__(self) -> None:
        self.free = dict(self.given)
        queued = sorted((entry for entry in self.entries if entry.place is not None), key=_turn)
        self.credits = [entry for entry in queued if entry.side is Side.CREDIT and self.free[entry.id]]
        self.charges = [entry for entry in reversed(queued) if entry.side is Side.CHARGE and self.free[entry.id]]
        self.by_id = {charge.id: charge for charge in self.charges}
        self.inner = {}
        for charge in reversed(self.charges):
            if charge.bears_on is not None:
                self.inner.setdefault(charge.bears_on, []).append(charge)

    def civil(self, *, interest_first: bool) -> Iterator[Allocation]:
        for credit in self.credits:
            for number in credit.designations:
                if interest_first and credit.kind not in GIVES_UP:
                    yield from self._pay_inner(credit, number, "designated")
                yield from self._pay(credit, number, "designated")
            for charge in self._in_order(credit):
                if interest_first:
                    yield from self._pay_inner(credit, charge.id, "inner_interest")
                yield from self._pay(credit, charge.id, _rule(credit, charge))

    def public(self) -> Iterator[Allocation]:
        for credit in self.credits:
            if credit.kind in GIVES_UP:
                for number in credit.designations:
                    yield from self._pay(credit, number, "designated")
            elif not any(self._is_arrears(charge, credit) for charge in self._in_order(credit)):
                for number in credit.designations:
                    yield from self._pay_pro_rata(credit, number, "designated")
            for charge in self._in_order(credit):
                yield from self._pay_pro_rata(credit, charge.id, _rule(credit, charge))

    def _in_order(self, credit: Posting) -> Iterator[Posting]:
        """The open charges that this credit may pay unasked, the earliest due first."""
        while self.charges and not self.free[self.charges[-1].id]:
            self.charges.pop()
        for charge in reversed(self.charges):
            if not self.free[credit.id]:
                return
            if self.free[charge.id] and self._is_reached(charge, credit):
                yield charge

    def _is_reached(self, charge: Posting, credit: Posting) -> bool:
        if charge.barred_on is not None and _place(credit) >= charge.barred_on:
            return False
        return self.prepay or _place(charge) <= max(_place(credit), self.today)

    def _is_arrears(self, charge: Posting, credit: Posting) -> bool:
        return _place(charge) < _place(credit)

    def _inner_of(self, credit: Posting, number: int) -> list[Posting]:
        """The interest and costs of a charge that had arisen when the credit came."""
        return [
            charge
            for charge in self.inner.get(number, ())
            if self.free[charge.id] and charge.issued_on is not None and charge.issued_on <= _place(credit)
        ]

    def _pay(self, credit: Posting, number: int, rule: str, most: int | None = None) -> Iterator[Allocation]:
        amount = min(self.free[credit.id], self.free.get(number, 0) if number in self.by_id else 0)
        if most is not None:
            amount = min(amount, most)
        if amount:
            self.free[credit.id] -= amount
            self.free[number] -= amount
            yield Allocation(credit.id, number, amount, rule)

    def _pay_inner(self, credit: Posting, number: int, rule: str) -> Iterator[Allocation]:
        for charge in self._inner_of(credit, number):
            yield from self._pay(credit, charge.id, rule)

    def _pay_pro_rata(self, credit: Posting, number: int, rule: str) -> Iterator[Allocation]:
        """Split between principal and interest in the ratio of what is open of each; the principal rounds half up."""
        inner = [charge for charge in self._inner_of(credit, number) if charge.kind == "interest"]
        interest = sum(self.free[charge.id] for charge in inner)
        principal = self.free.get(number, 0) if number in self.by_id else 0
        paid = min(self.free[credit.id], principal + interest)
        if not paid:
            return
        to_principal = (2 * paid * principal + principal + interest) // (2 * (principal + interest))
        to_interest = paid - to_principal
        yield from self._pay(credit, number, rule, to_principal)
        for charge in inner:
            share = min(to_interest, self.free[charge.id])
            to_interest -= share
            yield from self._pay(credit, charge.id, "inner_interest", share)


def _place(entry: Posting) -> date:
    assert entry.place is not None  # noqa: S101  only what has a place queues
    return entry.place


def _turn(entry: Posting) -> tuple[date, int]:
    return _place(entry), entry.id


def _rule(credit: Posting, charge: Posting) -> str:
    return "prepay" if _place(charge) > _place(credit) else "oldest_due"

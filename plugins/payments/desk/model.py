"""One account as the office sees it, and the rules of what may be done on it: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from kernel import Money, Refused, Text, _
from plugins.payments.face import Position, Status


def untouchable(*, is_mirror: bool, is_closed: bool, customer_closed: bool, name: str) -> Text | None:
    """Why nothing can be entered on an account of the customer called ``name``, or None."""
    if is_mirror:
        return _("This book is kept by another system, so nothing is entered here. Change it there.")
    if is_closed:
        return _("This account is closed. Reopen it first.")
    if customer_closed:
        return _("{name} is closed. Reopen the customer first.", name=name)
    return None


@dataclass(frozen=True, slots=True)
class Charge:
    """An approved charge of which something is open. ``barred``: a consumer need not pay it any more."""

    id: int
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
    barred: bool


@dataclass(frozen=True, slots=True)
class Credit:
    """An approved credit of which something is left; ``on`` is its value date."""

    id: int
    kind: str
    title: str
    on: date
    amount: Money
    open: Money


@dataclass(frozen=True, slots=True)
class Waiting:
    """A draft: it counts nowhere yet."""

    id: int
    side: str
    kind: str
    title: str
    on: date
    amount: Money


@dataclass(frozen=True, slots=True)
class Deleted:
    """Who deleted an account, when and why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """An account with its figures on a day.

    ``late_since`` is the due date of the oldest arrears; ``barred`` is open but time-barred, outside ``position``;
    ``provisional`` came in and is not yet booked by the application that a mirror book shows;
    ``charges`` and ``credits`` are the first of those that are open.
    """

    id: int
    account_no: str
    opened_on: date
    closed_on: date | None
    virtual_account: str
    customer: int
    customer_no: str
    customer_name: str
    customer_status: str
    book: str
    is_mirror: bool
    point: str
    position: Position
    late_since: date | None
    barred: Money
    provisional: Money
    charged: Money
    credited: Money
    charges: tuple[Charge, ...]
    charge_count: int
    credits: tuple[Credit, ...]
    credit_count: int
    drafts: tuple[Waiting, ...]
    draft_count: int
    deleted: Deleted | None = None

    @property
    def untouchable(self) -> Text | None:
        """Why nothing can be entered here, or None."""
        if self.deleted is not None:
            return _("This account is deleted. Open another one for the customer.")
        return untouchable(
            is_mirror=self.is_mirror,
            is_closed=self.closed_on is not None,
            customer_closed=self.customer_status == "closed",
            name=self.customer_name,
        )

    def charge(self, number: int) -> Charge | None:
        return next((charge for charge in self.charges if charge.id == number), None)


def check_taken(account: Account, amounts: Mapping[int, Money]) -> Sequence[tuple[Charge, Money]]:
    """Each named charge with what is taken of it. Raises Refused for one that is not open here, or beyond what is."""
    wrong: dict[str, Text] = {}
    taken: list[tuple[Charge, Money]] = []
    for number, amount in amounts.items():
        charge = account.charge(number)
        if charge is None:
            wrong[f"amount_{number}"] = _("Charge {number} is not open on this account.", number=number)
        elif amount > charge.open:
            wrong[f"amount_{number}"] = _("Only {open} is open of this charge.", open=charge.open)
        else:
            taken.append((charge, amount))
    if wrong:
        raise Refused(errors=wrong)
    if not taken:
        raise Refused(_("Write an amount beside at least one charge."))
    return taken


def check_wish(account: Account, wished: Iterable[int]) -> tuple[int, ...]:
    """The charges that a payer wished to pay. Raises Refused for one that is not open on the account."""
    wished = tuple(wished)
    wrong = {
        f"place_{number}": _("Charge {number} is not open on this account.", number=number)
        for number in wished
        if account.charge(number) is None
    }
    if wrong:
        raise Refused(errors=wrong)
    return wished

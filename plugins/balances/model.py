"""The words of a balance, pure: the answer of a page, and why every row of the card is as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from kernel import Money, Text, _
from plugins.payments import CardLine, CardPart, Position, Side, Status

MONTHS: Final = (
    _("January"),
    _("February"),
    _("March"),
    _("April"),
    _("May"),
    _("June"),
    _("July"),
    _("August"),
    _("September"),
    _("October"),
    _("November"),
    _("December"),
)
TONES: Final[Mapping[Status, str]] = {
    Status.OVERDUE: "due",
    Status.OPEN: "notice",
    Status.PARTLY_PAID: "notice",
    Status.PAID: "credit",
    Status.UNUSED: "credit",
}
"""The shape and colour beside a status word; the others need none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page opens with: a word, a large figure where there is one, and the day or reason under it.

    ``tone`` is due, credit, settled or empty.
    """

    label: Text
    amount: Money | None = None
    tone: str = ""
    note: Text | None = None


def answer_of(position: Position) -> Answer:
    """«To pay 512,40 zł by 10 December» · «Everything is paid» · «Overpaid 20,00 zł».

    What is time-barred is not asked for, nor called paid.
    """
    if position.to_pay:
        return Answer(_("To pay"), position.to_pay, "due" if position.arrears else "", _when(position))
    if position.credit:
        return Answer(_("Overpaid"), position.credit, "credit", _("It will lower your next charge."))
    return Answer(_("Nothing to pay") if position.barred else _("Everything is paid"), tone="settled")


def _when(position: Position) -> Text | None:
    if position.to_pay_by is None:
        return None
    if position.to_pay_by > position.on:
        return _("by {day}", day=position.to_pay_by)
    if not position.arrears:
        return _("Today is the last day")
    if position.arrears >= position.to_pay:
        return _("The due date has passed")
    return _("{amount} of it is past due", amount=position.arrears)


def balance_words(balance: Money) -> Text:
    """A balance without a bare minus: what is to pay, overpaid, or neither."""
    if balance.grosze > 0:
        return _("to pay {amount}", amount=balance)
    return _("overpaid {amount}", amount=-balance) if balance else _("settled")


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of a month."""

    month: Text
    year: int
    lines: tuple[CardLine, ...]


def by_month(lines: Iterable[CardLine]) -> list[Group]:
    """Rows (newest first) in groups of a month."""
    return [
        Group(MONTHS[month - 1], year, tuple(group))
        for (year, month), group in groupby(lines, lambda line: (line.on.year, line.on.month))
    ]


def explained(line: CardLine) -> Sequence[Text]:
    """Why a row is as it is: its parts, then what is left; the amounts sum to the row's."""
    return tuple(_sentences(line))


def _sentences(line: CardLine) -> Iterator[Text]:
    if line.status is Status.VOIDED:
        yield _("This row was voided and does not count.")
        return
    for part in line.parts:
        yield _paid_by(part) if line.side is Side.CHARGE else _went_to(part)
    if line.open:
        if line.side is Side.CHARGE:
            yield _("{amount} is still to pay", amount=line.open)
        else:
            yield _("{amount} waits for the next charge", amount=line.open)


def _paid_by(part: CardPart) -> Text:
    match part.rule, part.kind:
        case "reversal", _kind:
            return _("{amount}: taken back on {day}", amount=part.amount, day=part.on)
        case "correction", _kind:
            return _("{amount} less by the correction of {day}", amount=part.amount, day=part.on)
        case _rule, "payment":
            return _("{amount} from the payment of {day}", amount=part.amount, day=part.on)
        case _:
            return _("{amount} from the credit of {day}", amount=part.amount, day=part.on)


def _went_to(part: CardPart) -> Text:
    if part.rule == "reversal":
        return _("{amount}: taken back on {day}", amount=part.amount, day=part.on)
    if not part.title:
        return _("{amount} for the charge of {day}", amount=part.amount, day=part.on)
    return _("{amount} for: {title}", amount=part.amount, title=part.title)

"""A bank statement as any format tells it: what readers of bank files yield, pure.

Amounts are whole hundredths of the statement's currency (grosze in PLN), signed: what came in is positive.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import BinaryIO, Final, Protocol, runtime_checkable

from kernel import Money, Text, _

CURRENCY: Final = "PLN"


class BankFileError(Exception):
    """A bank file that cannot be read at all; ``message`` says why, for people."""

    def __init__(self, message: Text) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One line of a statement.

    ``value_date`` is when the money counts, ``booked_on`` the bank's accounting day. ``is_reversal``: it takes back an
    earlier line (MT940 ``RC`` and ``RD``, camt ``RvslInd``). ``paid_to`` is the number that was paid to, where the bank
    tells it and it is not the statement's own account: a customer's own (virtual) number, or the last digits of one.
    ``reference`` is the bank's, ``end_to_end`` the payer's. ``raw`` is the line as it stood in the file.
    """

    amount: int
    value_date: date
    booked_on: date
    is_reversal: bool = False
    party_name: str = ""
    party_account: str = ""
    paid_to: str = ""
    title: str = ""
    reference: str = ""
    end_to_end: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, or a part of one.

    ``account`` is the account's number without spaces and «PL». A balance that the file does not tell is None.
    ``problem`` says why it cannot be trusted: a line that is no line, a total that the lines do not make.
    """

    account: str
    number: str
    currency: str
    lines: tuple[StatementLine, ...]
    opening: int | None = None
    closing: int | None = None
    opened_on: date | None = None
    closed_on: date | None = None
    problem: Text | None = None

    @property
    def total(self) -> int:
        """The sum of the lines."""
        return sum(line.amount for line in self.lines)

    @property
    def is_checked(self) -> bool:
        """Whether both balances are there, so that the lines can be held against them."""
        return self.opening is not None and self.closing is not None

    @property
    def difference(self) -> int:
        """What the closing balance has more than the opening one and the lines make; 0 where a balance is missing."""
        if self.opening is None or self.closing is None:
            return 0
        return self.closing - self.opening - self.total

    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day: of the balances, else of the lines."""
        booked = sorted(line.booked_on for line in self.lines)
        first = self.opened_on or (booked[0] if booked else None)
        last = self.closed_on or (booked[-1] if booked else first)
        return (min(first, last), last) if first and last else (first, last)


@runtime_checkable
class BankFormat(Protocol):
    """The port of an extension ``payments.bank_format``: a kind of bank file, recognised by its content."""

    @property
    def label(self) -> Text: ...

    def recognises(self, start: bytes) -> bool:
        """Whether a file that begins so (some kilobytes) is of this kind."""
        ...

    def read(self, file: BinaryIO) -> Iterator[Statement]:
        """Its statements one after another, never the whole file at once. Raises BankFileError."""
        ...


# --- telling lines apart --------------------------------------------------------------------------------------------


def line_keys(statement: Statement) -> list[str]:
    """What names each line for ever, however often and in whatever file the bank sends it.

    Made of account, statement number, day, amount, reference and text; lines alike in all of them are counted.
    """
    seen: Counter[str] = Counter()
    keys: list[str] = []
    for line in statement.lines:
        facts = (
            statement.account,
            statement.number,
            line.value_date.isoformat(),
            str(line.amount),
            line.reference,
            hashlib.sha256(" ".join(line.raw.split()).encode()).hexdigest(),
        )
        key = hashlib.sha256("\x1f".join(facts).encode()).hexdigest()[:40]
        keys.append(f"{key}-{seen[key]}" if seen[key] else key)
        seen[key] += 1
    return keys


_LEADING: Final = re.compile(r"0*([0-9]{1,6})(?![0-9])")
_PAGE: Final = re.compile(r"0*([0-9]{1,5})/0*([0-9]{1,3})")


def shown_number(text: str) -> str:
    """A statement's number as people say it: ``00004/00001`` (number and page) is 4; anything else stays."""
    page = _PAGE.fullmatch(text.strip())
    return page[1] if page else text.strip()


def sequence_of(number: str) -> int | None:
    """The place of a statement in its year: ``41``, ``041/2026`` and ``41/2026/M`` are 41. None where there is none."""
    found = _LEADING.match(number)
    return int(found[1]) if found and int(found[1]) else None


def missing_between(before: int | None, number: int | None) -> Sequence[int]:
    """Numbers of statements that lie between the last one there is and this one, at most ten.

    A lower number begins anew (a new year), and where nothing came before nothing is missing.
    """
    if before is None or number is None or number <= before:
        return ()
    return range(before + 1, number)[:10]


# --- reasons against booking ----------------------------------------------------------------------------------------


def refusal(statement: Statement) -> Text | None:
    """Why a statement must not be booked at all, or None."""
    if statement.problem is not None:
        return statement.problem
    if statement.currency != CURRENCY:
        return _("The statement is in {currency}. Only złoty can be booked.", currency=statement.currency or "?")
    if statement.difference:
        return _(
            "The lines make {made}, but by its balances the statement should make {told}.",
            made=Money(statement.total),
            told=Money(statement.total + statement.difference),
        )
    return None

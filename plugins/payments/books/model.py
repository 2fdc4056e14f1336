"""The rules of books, customers' own account numbers, turnover and the month's control report, pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from kernel import Text, _

# --- the rules of a book --------------------------------------------------------------------------------------------

LEDGER_ROLES: Final[Mapping[str, Text]] = {
    "auxiliary": _("Auxiliary: another system keeps the accounting books"),
    "books": _("Accounting books: a mistake is only ever reversed, never voided"),
}
POLICIES: Final[Mapping[str, Text]] = {
    "civil": _("Civil law: as the payer wished, then the oldest due charge (art. 451 of the Civil Code)"),
    "public": _(
        "Public levies: the oldest arrears, principal and interest in proportion (Tax Ordinance, art. 55 and 62)"
    ),
}
POLICIES_IN_SHORT: Final[Mapping[str, Text]] = {"civil": _("civil law"), "public": _("public levies")}
REGIMES: Final[Mapping[str, Text]] = {
    "statutory_delay": _("Statutory interest for delay (art. 481 of the Civil Code)"),
    "trade": _("Interest in commercial transactions, between businesses"),
    "trade_medical": _("Interest in commercial transactions with a public medical entity"),
    "public": _("Interest on arrears of public levies"),
    "contractual": _("The rate agreed in the contract"),
    "none": _("No interest"),
}
STORNOS: Final[Mapping[str, Text]] = {
    "black": _("Black: a reversal is a positive amount on the other side"),
    "red": _("Red: a reversal is a negative amount on the side of its original"),
}


@dataclass(frozen=True, slots=True)
class BookRules:
    """What the office decides about a book; ``payee_name`` empty: the organisation's own."""

    name: str
    ledger_role: str
    allocation_policy: str
    interest_first: bool
    prepay: bool
    interest_regime: str
    contract_rate: Decimal | None
    limitation_years: int
    storno: str
    is_mirror: bool
    payee_name: str


# --- account numbers ------------------------------------------------------------------------------------------------


def nrb(bban: str) -> str:
    """The NRB of 24 digits: two check digits before them (ISO 7064 mod 97-10 of the IBAN «PL00» + ``bban``).

    Raises ValueError for anything but 24 digits.
    """
    if not (len(bban) == 24 and bban.isascii() and bban.isdecimal()):
        raise ValueError("an account number has 24 digits behind its check digits")
    return f"{98 - int(f'{bban}252100') % 97:02d}{bban}"


def virtual_account(prefix: str, serial: int) -> str:
    """A customer's own account number: check digits, the bank's prefix, the serial number padded to 24 digits.

    Raises ValueError for a serial number that is not above zero or does not fit behind the prefix.
    """
    width = 24 - len(prefix)
    if not 0 < serial < 10**width:
        raise ValueError("this serial number does not fit behind the prefix")
    return nrb(f"{prefix}{serial:0{width}d}")


# --- months ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month."""

    first: date

    @classmethod
    def of(cls, day: date) -> Month:
        return cls(day.replace(day=1))

    @classmethod
    def parsed(cls, text: str) -> Month:
        """From «2026-10». Raises ValueError for anything else."""
        if len(text) != 7 or text[4] != "-":
            raise ValueError("a month is written 2026-10")
        return cls(date.fromisoformat(f"{text}-01"))

    @property
    def last(self) -> date:
        return self.next.first - timedelta(days=1)

    @property
    def next(self) -> Month:
        return Month((self.first + timedelta(days=31)).replace(day=1))

    @property
    def previous(self) -> Month:
        return Month.of(self.first - timedelta(days=1))

    @property
    def year_start(self) -> date:
        return self.first.replace(month=1)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def closable(closed_through: date | None, today: date, choices: int = 12) -> list[Month]:
    """The months that can be closed next: the one after the last closed, once it has ended.

    Before the first closing any of the last ``choices`` months that have ended, the newest first: what lies before the
    chosen one is closed with it.
    """
    ended = Month.of(today).previous
    if closed_through is not None:
        following = Month.of(closed_through).next
        return [following] if following <= ended else []
    months = [ended]
    while len(months) < choices:
        months.append(months[-1].previous)
    return months


# --- turnover -------------------------------------------------------------------------------------------------------

BEFORE_YEAR, BEFORE_MONTH, IN_MONTH, AFTER = range(4)
"""When something was booked, seen from a month: before its year, in its year before it, in it, after it."""


@dataclass(frozen=True, slots=True)
class Booked:
    """Approved entries of one account, summed: their side, their kind, when they were booked, count and grosze.

    ``takes_back``: reversals, and corrections that lower a charge.
    """

    account: int
    side: str
    kind: str
    takes_back: bool
    era: int
    entries: int
    amount: int


@dataclass(frozen=True, slots=True)
class Turnover:
    """Balances and turnover per side in grosze: ``debit`` (Wn) what is owed, ``credit`` (Ma) what was paid.

    An account has its balance on one side; sums over accounts have both. ``year_*`` run from 1 January to the month's
    end.
    """

    opening_debit: int = 0
    opening_credit: int = 0
    debit: int = 0
    credit: int = 0
    year_debit: int = 0
    year_credit: int = 0
    closing_debit: int = 0
    closing_credit: int = 0

    def __add__(self, other: Turnover) -> Turnover:
        return Turnover(*(getattr(self, name) + getattr(other, name) for name in Turnover.__slots__))

    @property
    def opening(self) -> int:
        """The balance at the start, grosze; negative: overpaid."""
        return self.opening_debit - self.opening_credit

    @property
    def closing(self) -> int:
        """The balance at the end, grosze; negative: overpaid."""
        return self.closing_debit - self.closing_credit


def sides(booked: Booked, storno: str) -> tuple[int, int]:
    """Debit and credit of a sum: with red storno what takes back is negative on the side of what it takes back."""
    on_debit = booked.side == "charge"
    amount = booked.amount
    if storno == "red" and booked.takes_back:
        on_debit, amount = not on_debit, -amount
    return (amount, 0) if on_debit else (0, amount)


def account_turnover(booked: Iterable[Booked], storno: str) -> Turnover:
    """The turnover of one account in a month from its sums."""
    net, debit, credit, year_debit, year_credit = [0, 0], 0, 0, 0, 0
    for one in booked:
        if one.era == AFTER:
            continue
        wn, ma = sides(one, storno)
        net[one.era == IN_MONTH] += wn - ma
        if one.era == IN_MONTH:
            debit, credit = debit + wn, credit + ma
        if one.era != BEFORE_YEAR:
            year_debit, year_credit = year_debit + wn, year_credit + ma
    opening, closing = net[0], sum(net)
    return Turnover(*_per_side(opening), debit, credit, year_debit, year_credit, *_per_side(closing))


def turnover(booked: Iterable[Booked], storno: str) -> Turnover:
    """The turnover of a book in a month: the sum of its accounts'."""
    accounts: dict[int, list[Booked]] = {}
    for one in booked:
        accounts.setdefault(one.account, []).append(one)
    return sum((account_turnover(sums, storno) for sums in accounts.values()), Turnover())


def _per_side(balance: int) -> tuple[int, int]:
    return max(0, balance), max(0, -balance)


# --- the control report ---------------------------------------------------------------------------------------------

FINDINGS: Final[Mapping[str, Text]] = {
    "journal_gap": _("Numbers are missing in the journal."),
    "journal_repeated": _("A number stands twice in the journal."),
    "kept_differs": _("The kept balances differ from the sum of the entries."),
    "opening_differs": _("The opening balance differs from the closing balance of the month before."),
    "turnover_differs": _("Opening balance and turnover do not give the closing balance."),
}
"""What a control report can find wrong."""


@dataclass(frozen=True, slots=True)
class KindSum:
    """One line of a control report: entries of one kind, with their debit and credit in grosze."""

    side: str
    kind: str
    entries: int
    debit: int
    credit: int


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of a book when a month is closed.

    ``first`` and ``last`` number the month's entries (None: there are none). ``counted`` entries stand after ``proven``
    (the last number of the report before) up to ``upto``; ``is_whole``: their numbers are those that lie between.
    """

    first: int | None
    last: int | None
    proven: int
    upto: int
    counted: int
    is_whole: bool

    def findings(self) -> Iterable[str]:
        """Too few: a gap. Enough or more, and yet other numbers: one stands twice."""
        if self.counted < self.upto - self.proven:
            yield "journal_gap"
        elif not self.is_whole:
            yield "journal_repeated"


@dataclass(frozen=True, slots=True)
class Control:
    """What a month's control report says of a book. Amounts are grosze; ``differing`` accounts have entries that do not
    make their kept balance."""

    turnover: Turnover
    kinds: Sequence[KindSum]
    journal: Journal
    accounts: int
    owing: int
    overpaid: int
    in_arrears: int
    differing: int
    entries_balance: int
    kept_balance: int
    opening_expected: int | None
    seal: str
    suspense_lines: int
    suspense: int

    def facts(self) -> dict[str, Any]:
        """The report's part of what is kept: plain numbers and texts."""
        return {
            "turnover": asdict(self.turnover),
            "kinds": [asdict(one) for one in self.kinds],
            "journal": asdict(self.journal),
            "accounts": {
                "all": self.accounts,
                "owing": self.owing,
                "overpaid": self.overpaid,
                "in_arrears": self.in_arrears,
            },
            "proof": {
                "entries": self.entries_balance,
                "kept": self.kept_balance,
                "differing": self.differing,
                "seal": self.seal,
            },
            "suspense": {"lines": self.suspense_lines, "amount": self.suspense},
        }

    def findings(self) -> list[str]:
        """Names of what is wrong; none means right."""
        found = list(self.journal.findings())
        if self.differing or self.entries_balance != self.kept_balance:
            found.append("kept_differs")
        if self.opening_expected is not None and self.opening_expected != self.turnover.opening:
            found.append("opening_differs")
        if self.turnover.opening + self.turnover.debit - self.turnover.credit != self.turnover.closing:
            found.append("turnover_differs")
        return found


def canonical(report: Mapping[str, Any]) -> bytes:
    """A report as bytes that are the same wherever it is written: UTF-8 JSON, keys sorted, no spaces."""
    return json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(report: Mapping[str, Any]) -> str:
    """The SHA-256 of a report in canonical form, as 64 hexadecimal signs."""
    return hashlib.sha256(canonical(report)).hexdigest()

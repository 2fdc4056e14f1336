"""Rules of money that came in, pure: what a line's title says, whom it points to and how surely, and attached lists.

Amounts are ``Money``; a certainty is a number from 0 to 1. Nothing below 1 is ever booked without a person.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from kernel import Money, Text, _, ngettext
from plugins.payments.charging.reading import Cells

CREDITED: Final[Mapping[str, Text]] = {
    "payment": _("Payment"),
    "benefit": _("Housing benefit"),
    "offset": _("Offset"),
}
"""What a part becomes on an account: the kind of its credit entry."""
GIVEN_BACK: Final[Mapping[str, Text]] = {
    "returned": _("Returned to the payer"),
    "mistake": _("Entered by mistake"),
}
"""How money leaves suspense without an account."""
PART_KINDS: Final[Mapping[str, Text]] = {**CREDITED, **GIVEN_BACK}


@dataclass(frozen=True, slots=True)
class IncomingLine:
    """A line of money that came in, as a bank file or a clerk tells it.

    ``statement`` names the bank account and the statement, empty for a line entered by hand. ``value_date`` is when the
    money reached the organisation, ``paid_on`` when it was paid, ``booked_on`` the bank's accounting day (None: the
    value date). ``paid_to`` is the account number that was paid to, where the bank tells it: a customer's own
    (virtual) number says whose the money is. With ``source``, ``external_id`` is unique: a file read twice changes
    nothing.
    """

    amount: Money
    value_date: date
    paid_on: date | None = None
    booked_on: date | None = None
    statement: str = ""
    line_no: int | None = None
    payer_name: str = ""
    payer_account: str = ""
    paid_to: str = ""
    title: str = ""
    channel: str = "transfer"
    currency: str = "PLN"
    source: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class PartDraft:
    """What shall become of a part of a line: a credit of ``kind`` on an account (its id).

    ``title`` replaces the line's own; ``designations`` are numbers of charges of that account that the payer named.
    """

    account: int
    amount: Money
    kind: str = "payment"
    title: str = ""
    designations: tuple[int, ...] = ()


def account_digits(text: str) -> str:
    """A bank account number as it is compared: without spaces, dashes and «PL», in capitals."""
    return re.sub(r"[\s-]", "", text).upper().removeprefix("PL")


# --- what a title says ----------------------------------------------------------------------------------------------

_RUN: Final = re.compile(r"[^\W_]+")
_GROUPED_ACCOUNT: Final = re.compile(r"(?<![0-9])(?:[0-9][ -]?){25}[0-9](?![0-9])")
_JOINTS: Final = frozenset("/-_")
LONGEST_NUMBER: Final = 5
"""Runs of letters and digits that one number may be made of, as in ``A-12/3``."""
MOST_TOKENS: Final = 200


@dataclass(frozen=True, slots=True)
class Tokens:
    """Words and numbers of a title. ``whole`` stand alone; ``inner`` are parts of a longer number (the ``4711`` of
    ``FV 4711/2026``) and say little; ``accounts`` are bank account numbers, whose digits are in neither."""

    whole: frozenset[str]
    inner: frozenset[str]
    accounts: frozenset[str]


def tokens(title: str) -> Tokens:
    """Take a title apart. A number within a longer run of digits is no token: ``4711`` is not in ``147115``."""
    accounts = frozenset(account_digits(found) for found in _GROUPED_ACCOUNT.findall(title))
    text = _GROUPED_ACCOUNT.sub(" ; ", title).upper()
    whole: set[str] = set()
    inner: set[str] = set()
    for compound in _compounds(text):
        whole.add(text[compound[0].start() : compound[-1].end()])
        for first in range(len(compound)):
            for last in range(first, min(first + LONGEST_NUMBER, len(compound))):
                inner.add(text[compound[first].start() : compound[last].end()])
        if len(whole) + len(inner) > MOST_TOKENS:
            break
    return Tokens(frozenset(whole), frozenset(inner - whole), accounts)


def _compounds(text: str) -> Iterator[Sequence[re.Match[str]]]:
    """Runs of letters and digits, together as long as a joint stands between them."""
    compound: list[re.Match[str]] = []
    for run in _RUN.finditer(text):
        if compound and not _is_joint(text[compound[-1].end() : run.start()], compound[-1][0], run[0]):
            yield compound
            compound = []
        compound.append(run)
    if compound:
        yield compound


def _is_joint(between: str, before: str, after: str) -> bool:
    """A point joins digits (``12.2026``) and ends an abbreviation (``kl.4711``)."""
    return between in _JOINTS or (between == "." and before[-1].isdigit() and after[0].isdigit())


def name_spellings(payer: str) -> frozenset[str]:
    """A payer's name as a register may have it: banks turn its words round and add the address."""
    words = payer.replace(",", " ").split()
    spelled = {" ".join(words), " ".join(words[:2]), " ".join(words[:3])}
    if len(words) >= 2:
        spelled |= {f"{words[1]} {words[0]}", " ".join(reversed(words))}
    return frozenset(name for name in spelled if " " in name)


# --- whom it points to ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that something points to. ``number`` is the customer's or account's number that the title has.

    ``earlier`` of ``earlier_of`` former parts of this payer's lines went to it. ``has_open``: a charge of exactly the
    line's amount is open; ``is_due``: it is exactly what is due; ``is_all``: exactly what is open together.
    """

    account: int
    account_no: str
    book: str
    is_mirror: bool
    customer: int
    customer_no: str
    name: str
    own_number: bool = False
    number: str = ""
    titled_account: bool = False
    same_name: bool = False
    earlier: int = 0
    earlier_of: int = 0
    has_open: bool = False
    is_due: bool = False
    is_all: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """An account that a line may belong to: how surely, and why in words, the weightiest reason first."""

    candidate: Candidate
    certainty: float
    reasons: tuple[Text, ...]

    @property
    def percent(self) -> int:
        return round(self.certainty * 100)


MOST_PROPOSALS: Final = 8
_NEARLY: Final = 0.99
"""However much speaks for it, a proposal that is no exact number of its own needs a person."""


def proposals(title: Tokens, candidates: Sequence[Candidate]) -> list[Proposal]:
    """Candidates with their certainty and reasons, the surest first.

    Only the credited account's own (virtual) number makes a certainty of 1. An amount alone points to nobody; it
    strengthens what something else points to.
    """
    namesakes = sum(candidate.same_name for candidate in candidates)
    weighed = [_weighed(title, candidate, namesakes) for candidate in candidates]
    found = [proposal for proposal in weighed if proposal.reasons]
    return sorted(found, key=lambda one: (-one.certainty, one.candidate.account))[:MOST_PROPOSALS]


def _weighed(title: Tokens, candidate: Candidate, namesakes: int) -> Proposal:
    pointing = list(_pointing(title, candidate, namesakes))
    supporting = list(_supporting(candidate)) if pointing else []
    evidence = sorted(pointing + supporting, key=lambda one: -one[0])
    doubt = 1.0
    for certainty, _reason in evidence:
        doubt *= 1 - certainty
    certainty = 1.0 if candidate.own_number else min(_NEARLY, round(1 - doubt, 2))
    return Proposal(candidate, certainty, tuple(reason for _certainty, reason in evidence))


def _pointing(title: Tokens, candidate: Candidate, namesakes: int) -> Iterator[tuple[float, Text]]:
    if candidate.own_number:
        yield 1.0, _("paid to this account's own bank number")
    if candidate.titled_account:
        yield 0.9, _("the title has this account's own bank number")
    if candidate.number:
        alone = candidate.number.upper() in title.whole
        reason = (
            _("the title has the number {number}", number=candidate.number)
            if alone
            else _("the title has {number} within a longer number", number=candidate.number)
        )
        yield (0.8 if len(candidate.number) > 2 else 0.5) if alone else 0.3, reason
    if candidate.earlier:
        share = candidate.earlier / candidate.earlier_of
        yield (
            share * (0.9 if candidate.earlier > 2 else 0.75),
            ngettext(
                "{count} earlier payment from this bank account",
                "{count} earlier payments from this bank account",
                candidate.earlier,
            ),
        )
    if candidate.same_name:
        yield 0.5 / namesakes, _("the payer has this customer's name")


def _supporting(candidate: Candidate) -> Iterator[tuple[float, Text]]:
    if candidate.is_due:
        yield 0.5, _("the amount is exactly what is due")
    elif candidate.has_open:
        yield 0.4, _("the amount is that of an open charge")
    elif candidate.is_all:
        yield 0.4, _("the amount is exactly what is open together")


# --- attached lists -------------------------------------------------------------------------------------------------

MOST_ROWS: Final = 2000
"""Rows of one attached list: more is a file for an import."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a number stands for: an account, or a customer who has none yet (``account`` None)."""

    number: str
    account: int | None
    account_no: str
    book: str
    is_main: bool
    is_mirror: bool
    closed_on: date | None
    customer: int
    customer_no: str
    name: str
    customer_status: str


@dataclass(frozen=True, slots=True)
class Split:
    """A row of an attached list, or of the form that splits: as it was written, and what is wrong with it."""

    place: int
    number: str
    amount: Money | None = None
    title: str = ""
    found: Found | None = None
    wrong: Text | None = None

    @property
    def wrong_number(self) -> bool:
        """Whether it is the number that is wrong, and not the amount."""
        return self.wrong is not None and (self.amount is not None or not self.number)


def read_list(lines: Iterable[Cells]) -> list[Split]:
    """Read rows of number, amount and perhaps a title; a heading is passed over.

    Wrong rows stay, each with its reason; what its number stands for is not known yet.
    """
    rows: list[Split] = []
    for line in lines:
        if rows or line.has_number():
            rows.append(read_row(line.number, line.cell(0), line.cell(1), line.cell(2)))
    return rows


def read_row(place: int, number: str, amount: str, title: str = "") -> Split:
    """A row from its cells; what is missing or is no amount is named."""
    if not number:
        return Split(place, number, None, title, wrong=_("The number is missing"))
    try:
        money = Money.parse(amount)
    except ValueError as error:
        return Split(place, number, None, title, wrong=Text(str(error)))
    if not money:
        return Split(place, number, None, title, wrong=_("The amount must be greater than zero"))
    return Split(place, number, money, title)


def resolve(rows: Iterable[Split], known: Mapping[str, Sequence[Found]], today: date) -> list[Split]:
    """Say for each row what its number stands for, and what is wrong with that.

    A number is an account's own before a customer's; of several accounts the one in the book «main» is meant.
    """
    rows = list(rows)
    resolved = [_resolved(row, known.get(row.number, ()), today) for row in rows]
    times = Counter((row.found.customer, row.found.account) for row in resolved if row.found and not row.wrong)
    return [
        Split(row.place, row.number, row.amount, row.title, row.found, _("This account is in the list twice"))
        if row.found and not row.wrong and times[row.found.customer, row.found.account] > 1
        else row
        for row in resolved
    ]


def _resolved(row: Split, known: Sequence[Found], today: date) -> Split:
    if row.wrong:
        return row
    named = [one for one in known if one.account is not None and one.account_no == row.number] or list(known)
    chosen = named if len(named) == 1 else [one for one in named if one.is_main]
    found = chosen[0] if len(chosen) == 1 else None
    wrong: Text | None = None
    if not named:
        wrong = _("There is no account or customer with this number")
    elif found is None:
        wrong = _("Several accounts have this number. Write the account's own number.")
    elif found.closed_on is not None and found.closed_on <= today:
        wrong = _("This account is closed")
    elif found.account is None and found.customer_status == "closed":
        wrong = _("This customer is closed and has no account")
    return Split(row.place, row.number, row.amount, row.title, found, wrong)


# --- how a line stands ----------------------------------------------------------------------------------------------

LINE_STATES: Final[Mapping[str, Text]] = {
    "waiting": _("to be assigned"),
    "partly": _("partly assigned"),
    "assigned": _("assigned"),
}


AGES: Final[Sequence[tuple[int, int | None, Text]]] = (
    (0, 7, _("up to a week")),
    (8, 30, _("8 to 30 days")),
    (31, 90, _("31 to 90 days")),
    (91, None, _("more than 90 days")),
)
"""Days that money has been in suspense: from, to, in words."""

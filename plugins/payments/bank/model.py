"""Whose a bank line is: a row of rules, each with its certainty and its words, pure.

Only a certainty of 1 is booked without a person. Two things make it: a number that belongs to one account alone (its
own bank number, the reference of a payment order), or a customer's number that stands alone in the title together with
a payer who is known to be that customer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from kernel import Connection, Text, _
from plugins.payments.books.model import virtual_account
from plugins.payments.suspense.model import name_spellings, tokens

# --- payment orders of other plugins --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderFound:
    """A payment order that a reference names: whose, to which account number, and for which charges if it says so."""

    reference: str
    customer: int
    payee_account: str
    charges: tuple[int, ...] = ()


@runtime_checkable
class OrderReferences(Protocol):
    """The port of an extension ``payments.order_references``: knows payment orders by what stands in a title."""

    async def orders(self, conn: Connection, words: Sequence[str]) -> Sequence[OrderFound]:
        """The orders that these words (in capitals) name; a word that names none is left out. One statement."""
        ...


# --- what a line says -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a bank line may tell whose it is. ``amount`` is in grosze."""

    id: int
    amount: int
    is_reversal: bool
    title: str
    end_to_end: str
    party_name: str
    party_account: str
    paid_to: str


@dataclass(frozen=True, slots=True)
class Hint:
    """Something in a line that may point to an account: ``how`` names the rule, ``word`` is what stands there."""

    line: int
    how: str
    word: str


NRB: Final = 26
SHORTEST_MASK: Final = 6
"""Digits of a bank's payment identifier (the end of an own number) that are looked at."""
_REFERENCE: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Z])[0-9A-Z]{6,20}")


def hints(line: Asked, prefixes: Iterable[str]) -> Iterator[Hint]:
    """What to look up for a line. ``prefixes`` are the beginnings of own numbers that books give."""
    if len(line.paid_to) == NRB:
        yield Hint(line.id, "own", line.paid_to)
    elif len(line.paid_to) >= SHORTEST_MASK and line.paid_to.isdecimal():
        for prefix in prefixes:
            serial = line.paid_to[-(24 - len(prefix)) :]
            if int(serial):
                yield Hint(line.id, "own", virtual_account(prefix, int(serial)))
    said = tokens(f"{line.title} ; {line.end_to_end}")
    for number in said.accounts:
        yield Hint(line.id, "titled", number)
    for word in said.whole:
        yield Hint(line.id, "number", word)
        if _REFERENCE.fullmatch(word):
            yield Hint(line.id, "order", word)
    for word in said.inner:
        if _REFERENCE.fullmatch(word):
            yield Hint(line.id, "order", word)
    if line.party_account:
        yield Hint(line.id, "payer", line.party_account)
    for name in name_spellings(line.party_name):
        yield Hint(line.id, "name", name)


# --- whom it points to ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """An account that a hint points to. ``has_amount``: exactly this is due on it, or one of its charges is over this.

    ``times``: how often a person has said that the payer's money belongs there.
    """

    line: int
    how: str
    word: str
    account: int
    customer: int
    is_closed: bool = False
    is_here: bool = True
    has_amount: bool = False
    times: int = 0
    charges: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """Whom a line points to, how surely (0 to 1), and why: pairs of a rule and what stood in the line."""

    account: int | None = None
    certainty: float = 0.0
    evidence: tuple[tuple[str, str], ...] = ()
    charges: tuple[int, ...] = ()


NOBODY: Final = Match()
CERTAIN: Final = 1.0
NEARLY: Final = 0.95

RULES: Final[Mapping[str, tuple[float, Text]]] = {
    "own": (CERTAIN, _("paid to the account's own bank number {word}")),
    "order": (CERTAIN, _("the title has the reference {word} of a payment order")),
    "number": (0.9, _("the title has the customer's number {word}, and no other one")),
    "numbers": (0.4, _("the title has the number {word}, but it points to several accounts, or others do, too")),
    "titled": (NEARLY, _("the title has the account's own bank number {word}")),
    "payer": (0.9, _("a person has assigned money of this payer's bank account there before")),
    "payers": (0.5, _("money of this payer's bank account has been assigned there and elsewhere")),
    "name": (0.4, _("the payer has the customer's name")),
    "charges": (0.0, _("the order was made for charges that this payment pays first")),
    "amount": (0.0, _("the amount is what is due, or that of an open charge")),
    "closed": (0.0, _("the account is closed")),
    "conflict": (0.0, _("other parts of the line point to another account")),
    "reversal": (0.0, _("the bank takes back an earlier line")),
}
"""What each rule is worth alone, and its words. «amount» only strengthens a name."""
_AMOUNT_ADDS: Final = 0.3
_MOST_WITH: Final[Mapping[str, float]] = {"conflict": 0.5, "closed": 0.5, "reversal": 0.5}


def decide(line: Asked, found: Sequence[Found]) -> Match:
    """Whom a line points to. What came in only; a reversal is never certain."""
    if line.amount <= 0:
        return NOBODY
    pointing = [_pointing(line, account, found) for account in dict.fromkeys(one.account for one in found)]
    if not pointing:
        return NOBODY
    best = max(pointing, key=lambda match: (match.certainty, -(match.account or 0)))
    certain = {match.account for match in pointing if match.certainty == CERTAIN}
    if len(certain) > 1:
        return Match(best.account, _MOST_WITH["conflict"], (*best.evidence, ("conflict", "")))
    return best


def _pointing(line: Asked, account: int, found: Sequence[Found]) -> Match:
    mine = [one for one in found if one.account == account]
    evidence = dict(_evidence(account, mine, found))
    certainty = max(RULES[how][0] for how in evidence)
    backed = bool({"name", "payer", "titled"} & evidence.keys())
    if "number" in evidence and backed:
        certainty = CERTAIN
    if "amount" in evidence and certainty < RULES["number"][0]:
        certainty = min(certainty + _AMOUNT_ADDS, NEARLY)
    if line.is_reversal:
        evidence["reversal"] = ""
    if any(one.is_closed for one in mine):
        evidence["closed"] = ""
    certainty = min([certainty, *(_MOST_WITH[how] for how in evidence if how in _MOST_WITH)])
    charges = next((one.charges for one in mine if one.how == "order"), ())
    if charges:
        evidence["charges"] = ""
    return Match(account, round(certainty, 2), tuple(evidence.items()), charges)


def _evidence(account: int, mine: Sequence[Found], found: Sequence[Found]) -> Iterator[tuple[str, str]]:
    by_rule = {one.how: one for one in reversed(mine)}
    for how in ("own", "order", "titled"):
        if how in by_rule:
            yield ("numbers" if how == "order" and _others(account, how, found) else how), by_rule[how].word
    if "number" in by_rule:
        # An account of a book that is paid to another bank number does not make a customer's number unclear.
        rivals = [one for one in found if one.how == "number" and one.is_here == by_rule["number"].is_here]
        alone = by_rule["number"].is_here and {one.account for one in rivals} == {account}
        yield ("number" if alone else "numbers"), by_rule["number"].word
    if "payer" in by_rule:
        yield ("payers" if _others(account, "payer", found) else "payer"), ""
    if "name" in by_rule:
        yield "name", ""
    if any(one.has_amount for one in mine):
        yield "amount", ""


def _others(account: int, how: str, found: Sequence[Found]) -> bool:
    return any(one.how == how and one.account != account for one in found)


def reasons(evidence: Iterable[Sequence[str]]) -> list[Text]:
    """Why, in words, the weightiest reason first."""
    known = [(how, word) for how, word in evidence if how in RULES]
    ordered = sorted(known, key=lambda one: -RULES[one[0]][0])
    return [Text(RULES[how][1].message, {"word": word} if word else {}) for how, word in ordered]


# --- texts that are kept --------------------------------------------------------------------------------------------


def kept(text: Text) -> dict[str, Any]:
    """A text as it is kept, to be said in the reader's language later."""
    return {"message": text.message, "values": {name: str(value) for name, value in text.values.items()}}


def told(facts: Mapping[str, Any] | None) -> Text | None:
    """A text that was kept."""
    return None if facts is None else Text(facts["message"], facts["values"])

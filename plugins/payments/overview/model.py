"""What a text typed into the search box may mean in the ledger."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kernel import Money

SHORTEST: Final = 3
"""Letters of a title, and digits of a document's number, that are worth looking for."""
_AMOUNT: Final = re.compile(r"[0-9  ]+[.,][0-9]{1,2}( ?zł)?|[0-9  ]+ ?zł")
_NUMBER: Final = re.compile(r"(PL)?[0-9 -]{6,40}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a typed text may be in the ledger; an empty text, or None, is nothing of the kind."""

    text: str
    document: str
    digits: str
    amount: int | None
    title: str


def read(text: str) -> Asked:
    """A text as a document's number, a bank account, an amount in grosze, a part of a title."""
    text = " ".join(text.split())
    digits = re.sub(r"[^0-9]", "", text) if _NUMBER.fullmatch(text) else ""
    amount = Money.parse(text).grosze if _AMOUNT.fullmatch(text) and len(text) <= 20 else None
    return Asked(
        text=text,
        document=text.upper() if len(text) >= SHORTEST and re.search(r"[0-9]", text) else "",
        digits=digits if len(digits) >= 6 else "",
        amount=amount,
        title=text if len(text) >= SHORTEST and re.search(r"[^\W\d_]", text) else "",
    )

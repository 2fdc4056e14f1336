"""What typed words may mean: typing errors, endings, and the query that an index answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MOST_WORDS: Final = 8
"""Of one search; the rest is left out."""
MOST_MEANINGS: Final = 8
"""Words that one mistyped word may stand for."""
SHORTEST_MISTYPED: Final = 3
"""Letters: a shorter word has too many neighbours."""
SHORTEST_STEM: Final = 4
_UNSAID: Final = frozenset({"ul", "al", "os", "pl", "m", "lok", "nr", "mieszkanie", "ulica", "aleja", "osiedle"})
"""Words beside an address that say nothing."""
_ENDING: Final = 3
"""Letters that a Polish ending may add or change: «Kowalskiego» is Kowalski, «Nowakowej» Nowak."""
_DIGITS: Final = re.compile(r"[0-9 +()/.-]+")


@dataclass(frozen=True, slots=True)
class Queries:
    """The same question three times, each wider than the one before, in the words of ``tsquery``; empty: nothing."""

    whole: str
    begun: str
    mistyped: str


def spoken(words: Sequence[str]) -> list[str]:
    """The words that tell something, at most ``MOST_WORDS``."""
    return [word for word in words if word not in _UNSAID][:MOST_WORDS] or list(words)[:MOST_WORDS]


def may_be_mistyped(word: str) -> bool:
    """Digits are taken as they are."""
    return len(word) >= SHORTEST_MISTYPED and word.isalpha()


def queries(text: str, words: Sequence[str], near: Mapping[str, Iterable[str]]) -> Queries:
    """What to ask for ``words`` (folded), when ``near`` holds words of the register for each that may be mistyped."""
    if not words:
        return Queries("", "", "")
    beside = "".join(f" | {_prefix(number)}" for number in numbers(text))
    whole = " & ".join(_exact(word) for word in words)
    begun = " & ".join(_begun(word, last=place == len(words) - 1) for place, word in enumerate(words))
    meant = [(word, meanings(word, near.get(word, ()))) for word in words]
    if not any(found for _word, found in meant):
        return Queries(whole, begun + beside, "")
    mistyped = " & ".join(
        f"({' | '.join([_begun(word, last=place == len(words) - 1), *map(_exact, found)])})"
        for place, (word, found) in enumerate(meant)
    )
    return Queries(whole, begun + beside, mistyped)


def numbers(text: str) -> list[str]:
    """What of digits alone, however they are parted, may be kept whole: a NIP, or a telephone's last nine digits."""
    digits = re.sub(r"[^0-9]", "", text)
    return sorted({digits, digits[-9:]}) if len(digits) >= 6 and _DIGITS.fullmatch(text.strip()) else []


def meanings(typed: str, candidates: Iterable[str]) -> list[str]:
    """Which of ``candidates`` somebody who typed ``typed`` may have meant, the likeliest first."""
    weighed = sorted((cost, word) for word in candidates if (cost := _cost(typed, word)) is not None)
    return [word for _cost_of, word in weighed[:MOST_MEANINGS]]


def _cost(typed: str, word: str) -> int | None:
    """How far ``word`` is from what was typed; None when it is another word."""
    allowed = 1 if len(typed) <= 5 else 2
    # While somebody is still typing, only the beginning of the word is there.
    apart = min(distance(typed, word), distance(typed, word[: len(typed)]) + (len(word) > len(typed)))
    if apart <= allowed:
        return apart
    return _ENDING if _same_stem(typed, word) else None


def _same_stem(one: str, other: str) -> bool:
    common = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return common >= SHORTEST_STEM and max(len(one), len(other)) - common <= _ENDING


def distance(one: str, other: str) -> int:
    """Letters left out, added, changed or swapped with their neighbour (optimal string alignment)."""
    before, row = list[int](), list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        earlier, before, row = before, row, [place]
        for column, against in enumerate(other, 1):
            cost = min(before[column] + 1, row[column - 1] + 1, before[column - 1] + (letter != against))
            swapped = place > 1 and column > 1 and letter == other[column - 2] and one[place - 2] == against
            row.append(min(cost, earlier[column - 2] + 1) if swapped else cost)
    return row[-1]


def _exact(word: str) -> str:
    return f"'{word}'"


def _prefix(word: str) -> str:
    return f"'{word}':*"


def _begun(word: str, *, last: bool) -> str:
    """A word that may go on; a number of a house does so only where somebody is still typing it."""
    return _prefix(word) if len(word) > 1 and (last or word.isalpha()) else _exact(word)

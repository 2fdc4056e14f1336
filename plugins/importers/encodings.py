"""Which encoding a Polish text file is in. Pure but for reading the file."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

POLISH: Final = frozenset("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ")
CANDIDATES: Final = ("cp1250", "iso8859-2", "cp852")
"""Encodings of one byte a letter, in the order in which they win when they read a file alike."""

_ASCII: Final = bytes(range(128))
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_PART: Final = 1 << 20


def detect(path: Path) -> str:
    """The encoding of a file: by its byte order mark, UTF-8 if it is valid, else the one whose letters look Polish."""
    with path.open("rb") as file:
        start = file.read(4)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name
        file.seek(0)
        return detect_in(iter(lambda: file.read(_PART), b""))


def detect_in(parts: Iterable[bytes]) -> str:
    """The encoding of a text given in parts: UTF-8, or the candidate with the largest share of Polish letters."""
    utf8: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    high: Counter[int] = Counter()
    for part in parts:
        high.update(part.translate(None, _ASCII))
        if utf8 is not None:
            utf8 = _still_valid(utf8, part, final=False)
    if utf8 is not None and _still_valid(utf8, b"", final=True) is not None:
        return "utf-8"
    return max(CANDIDATES, key=lambda name: polish_share(high, name))


def _still_valid(decoder: codecs.IncrementalDecoder, part: bytes, *, final: bool) -> codecs.IncrementalDecoder | None:
    try:
        decoder.decode(part, final)
    except UnicodeDecodeError:
        return None
    return decoder


def polish_share(high: Counter[int], encoding: str) -> float:
    """The share of non-ASCII bytes (counted by value) that ``encoding`` reads as Polish letters."""
    polish = sum(count for byte, count in high.items() if bytes([byte]).decode(encoding, "replace") in POLISH)
    return polish / max(1, high.total())

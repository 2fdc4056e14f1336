"""Which encoding a Polish text is in, Mazovia included. Pure but for reading a file."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

MAZOVIA: Final = "mazovia"
"""The encoding of Polish DOS programs of the 1980s: cp437 with eighteen Polish letters. Python has none."""

CANDIDATES: Final = ("cp1250", "iso8859-2", "cp852", MAZOVIA)
"""Encodings of one byte a letter, in the order in which they win when they read a text alike."""

_FREQUENCY: Final[Mapping[str, int]] = dict(
    zip("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ", (99, 40, 111, 182, 20, 85, 66, 6, 83, 9, 8, 9, 40, 7, 20, 30, 3, 20), strict=True)
)
"""How often a letter comes in ten thousand: tells encodings apart that read a short text as Polish letters alike."""

POLISH: Final = frozenset(_FREQUENCY)

_MAZOVIA_LETTERS: Final = {
    0x86: "ą", 0x8D: "ć", 0x91: "ę", 0x92: "ł", 0xA4: "ń", 0xA2: "ó", 0x9E: "ś", 0xA6: "ź", 0xA7: "ż",
    0x8F: "Ą", 0x95: "Ć", 0x90: "Ę", 0x9C: "Ł", 0xA5: "Ń", 0xA3: "Ó", 0x98: "Ś", 0xA0: "Ź", 0xA1: "Ż",
}  # fmt: skip
_MAZOVIA_TABLE: Final = "".join(_MAZOVIA_LETTERS.get(byte) or bytes([byte]).decode("cp437") for byte in range(256))
_FROM_MAZOVIA: Final = dict(enumerate(map(ord, _MAZOVIA_TABLE)))
_TO_MAZOVIA: Final = codecs.charmap_build(_MAZOVIA_TABLE)

_ASCII: Final = bytes(range(128))
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_PART: Final = 1 << 20


class _MazoviaEncoder(codecs.IncrementalEncoder):
    def encode(self, input: str, final: bool = False) -> bytes:  # noqa: A002  the codec's own word
        return codecs.charmap_encode(input, self.errors, _TO_MAZOVIA)[0]


class _MazoviaDecoder(codecs.IncrementalDecoder):
    def decode(self, input: bytes, final: bool = False) -> str:  # type: ignore[override]  # noqa: A002
        return codecs.charmap_decode(input, self.errors, _FROM_MAZOVIA)[0]


def _mazovia(name: str) -> codecs.CodecInfo | None:
    if name != MAZOVIA:
        return None
    return codecs.CodecInfo(
        lambda text, errors="strict": codecs.charmap_encode(text, errors, _TO_MAZOVIA),
        lambda raw, errors="strict": codecs.charmap_decode(raw, errors, _FROM_MAZOVIA),
        incrementalencoder=_MazoviaEncoder,
        incrementaldecoder=_MazoviaDecoder,
        name=MAZOVIA,
    )


# Python's own register of encodings is the one place where ``open(encoding=…)`` looks.
codecs.register(_mazovia)


def _known(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise PydanticCustomError("encoding", "There is no such encoding") from None


Encoding = Annotated[str, AfterValidator(_known)]
"""The name of an encoding in a source's settings: Python's, or ``mazovia``."""


def detect(path: Path) -> str:
    """The encoding of a file: by its byte order mark, else by ``detect_in``."""
    with path.open("rb") as file:
        start = file.read(4)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name
        file.seek(0)
        return detect_in(iter(lambda: file.read(_PART), b""))


def detect_in(parts: Iterable[bytes]) -> str:
    """The encoding of a text given in parts: UTF-8, or the candidate that reads most of it as Polish letters.

    A text of which most lines with other than ASCII signs are UTF-8 is UTF-8 with wrong lines.
    """
    high: Counter[int] = Counter()
    right = wrong = 0
    rest = b""
    for part in parts:
        high.update(part.translate(None, _ASCII))
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if not line.isascii():
                right, wrong = (right + 1, wrong) if is_utf8(line) else (right, wrong + 1)
    if not rest.isascii():
        right, wrong = (right + 1, wrong) if is_utf8(rest) else (right, wrong + 1)
    if right >= wrong:
        return "utf-8"
    return max(CANDIDATES, key=lambda name: _likeness(high, name))


def is_utf8(raw: bytes) -> bool:
    """Whether the bytes are whole UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _likeness(high: Counter[int], encoding: str) -> tuple[float, float]:
    """The share of non-ASCII bytes (counted by value) that are Polish letters in the encoding, and how usual ones."""
    letters = [(bytes([byte]).decode(encoding, "replace"), count) for byte, count in high.items()]
    share = sum(count for letter, count in letters if letter in POLISH) / max(1, high.total())
    return share, sum(count * _FREQUENCY.get(letter, 0) for letter, count in letters) / max(1, high.total())

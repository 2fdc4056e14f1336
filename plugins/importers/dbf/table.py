"""The format of DBF tables and their memo files, from bytes to values. Pure but for reading the files.

dBase III and IV, Clipper, FoxPro 2 and Visual FoxPro. The format is as its makers published it («Xbase file format»).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

_VISUAL_FOXPRO: Final = frozenset((0x30, 0x31, 0x32))
_VERSIONS: Final = _VISUAL_FOXPRO | {0x03, 0x43, 0x63, 0x83, 0x8B, 0x8E, 0xCB, 0xE5, 0xF5, 0xFB}
_NUMBER: Final = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)")
_JULIAN: Final = date(1, 1, 1).toordinal() - 1721426
"""What turns a Julian day number into Python's."""


class NotDbf(Exception):
    """The file is no table that can be read; the message is a code: ``kind``, ``encrypted``, ``header``, ``cut``."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column: its name as it stands in the header, type letter, and where its bytes lie in a record."""

    name: bytes
    kind: str
    start: int
    length: int
    decimals: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table's header. ``records`` counts deleted ones too."""

    path: Path
    version: int
    records: int
    first: int
    record_length: int
    fields: tuple[Field, ...]

    def names(self, encoding: str) -> list[str]:
        """The names of the columns."""
        return [field.name.decode(encoding, "replace") for field in self.fields]


def open_table(path: Path) -> Table:
    """Read a table's header. Raises NotDbf, OSError."""
    with path.open("rb") as file:
        head = file.read(32)
        if len(head) < 32 or head[0] not in _VERSIONS:
            raise NotDbf("kind")
        if head[15]:
            raise NotDbf("encrypted")
        records, first, length = struct.unpack_from("<IHH", head, 4)
        fields = tuple(_fields(file.read(max(0, first - 32))))
        if not fields or length < 1 + sum(field.length for field in fields):
            raise NotDbf("header")
        if path.stat().st_size < first + records * length:
            raise NotDbf("cut")
    return Table(path, head[0], records, first, length, tuple(field for field in fields if field.kind != "0"))


def _fields(head: bytes) -> Iterator[Field]:
    start = 1
    for place in range(0, len(head) - 31, 32):
        if head[place] in (0x0D, 0):
            return
        kind, length, decimals = chr(head[place + 11]), head[place + 16], head[place + 17]
        if kind == "C":
            length, decimals = length + 256 * decimals, 0  # Clipper's long texts
        yield Field(head[place : place + 11].split(b"\0")[0].strip(), kind, start, length, decimals)
        start += length


def records(table: Table, file: BinaryIO, count: int) -> Iterator[bytes]:
    """The next records of a table's file, at most ``count``, without deleted ones. Raises NotDbf where they end early
    or do not lie where they should."""
    done = max(0, file.tell() - table.first) // table.record_length
    for _ in range(min(count, table.records - done)):
        record = file.read(table.record_length)
        if len(record) < table.record_length:
            raise NotDbf("cut")
        if record[:1] not in b" *":
            raise NotDbf("header")
        if record[:1] == b" ":
            yield record


def value(table: Table, field: Field, record: bytes, encoding: str, memo: Memo | None) -> object:
    """A field's value: what does not fit the field's type stays as it is written, for the import to refuse."""
    raw = record[field.start : field.start + field.length]
    match field.kind:
        case "C":
            return _text(raw, encoding)
        case "N" | "F":
            return _number(raw)
        case "D":
            return _day(raw)
        case "L":
            return {b"T": True, b"Y": True, b"F": False, b"N": False}.get(raw.upper())
        case "M":
            return memo.text(raw, encoding) if memo is not None else (raw if raw.strip(b" \0") else None)
        case "I":
            return struct.unpack("<i", raw)[0]
        case "Y":
            return Decimal(struct.unpack("<q", raw)[0]).scaleb(-4)
        case "T":
            return _moment(raw)
        case "B" if table.version in _VISUAL_FOXPRO and field.length == 8:
            return struct.unpack("<d", raw)[0]
        case _:
            return raw


def _text(raw: bytes, encoding: str) -> object:
    raw = raw.rstrip(b" \0")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return raw


def _number(raw: bytes) -> object:
    raw = raw.strip(b" \0")
    if not raw:
        return None
    if not _NUMBER.fullmatch(raw):
        return raw.decode("ascii", "replace")
    return Decimal(raw.decode()) if b"." in raw else int(raw)


def _day(raw: bytes) -> object:
    written = raw.strip(b" \0").decode("ascii", "replace")
    if not written.strip("0"):
        return None
    try:
        return date(int(written[:4]), int(written[4:6]), int(written[6:8])) if len(written) == 8 else written
    except ValueError:
        return written


def _moment(raw: bytes) -> object:
    day, milliseconds = struct.unpack("<II", raw)
    if not day:
        return None
    try:
        found = date.fromordinal(day + _JULIAN)
    except (ValueError, OverflowError):
        return raw
    return datetime(found.year, found.month, found.day) + timedelta(milliseconds=milliseconds)  # noqa: DTZ001


class Memo:
    """The file beside a table with its long texts: ``.dbt`` of dBase and Clipper, ``.fpt`` of FoxPro."""

    def __init__(self, table: Table, path: Path) -> None:
        self._file = path.open("rb")
        head = self._file.read(512)
        self._fox = path.suffix.lower() == ".fpt"
        self._counted = self._fox or table.version in (0x8B, 0xCB)
        if self._fox:
            size = int.from_bytes(head[6:8], "big")
        else:
            size = int.from_bytes(head[20:22], "little") if self._counted else 512
        self._block = size or 512

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def text(self, pointer: bytes, encoding: str) -> object:
        """The text that a record points to; None for none; the pointer itself where it leads nowhere."""
        written = pointer.strip(b" \0") or b"0"
        if len(pointer) != 4 and not written.isdigit():
            return pointer
        number = int.from_bytes(pointer, "little") if len(pointer) == 4 else int(written)
        if not number:
            return None
        self._file.seek(number * self._block)
        raw = self._counted_text() if self._counted else self._ended_text()
        return pointer if raw is None else _text(raw, encoding)

    def _counted_text(self) -> bytes | None:
        head = self._file.read(8)
        if len(head) < 8:
            return None
        length = int.from_bytes(head[4:], "big") if self._fox else int.from_bytes(head[4:], "little") - 8
        raw = self._file.read(length) if 0 <= length <= _LONGEST else b""
        return raw if len(raw) == length else None

    def _ended_text(self) -> bytes | None:
        raw = b""
        while len(raw) <= _LONGEST and (block := self._file.read(self._block)):
            end = block.find(b"\x1a")
            raw += block if end < 0 else block[:end]
            if end >= 0:
                return raw
        return None


_LONGEST: Final = 1 << 24
"""The longest text that is believed."""


def memo_of(table: Table) -> Memo | None:
    """The memo file of a table that has long texts; None when there is none. Raises OSError."""
    if not any(field.kind == "M" for field in table.fields):
        return None
    for beside in sorted(table.path.parent.iterdir()):
        if beside.stem.lower() == table.path.stem.lower() and beside.suffix.lower() in (".dbt", ".fpt"):
            return Memo(table, beside)
    return None

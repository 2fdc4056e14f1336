"""Reading CSV files: remarks perhaps, a header, rows. One file is a table; a directory is a table per file."""

from __future__ import annotations

import asyncio
import csv
import re
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from kernel import RawRow, SourceError, _, defused
from plugins.importers import POLISH, Encoding, SourcePath, detect, is_utf8

ROWS: Final = 1000
_DELIMITERS: Final = ";,\t|"
_LOOKED_AT: Final = 200
"""Lines that tell the delimiter and the header."""
_STRANGE: Final = re.compile("[\udc80-\udcff]")
"""What Python makes of bytes that are no letters in an encoding."""
_NUMBER: Final = re.compile(r"[-+\d.,: ]+")


class Settings(BaseModel):
    """``[source] kind = "csv"``: a file or a directory of ``*.csv``; what is not given is recognised."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: SourcePath
    encoding: Encoding | None = None
    delimiter: Literal[";", ",", "\t", "|"] | None = None
    quote: str = Field(default='"', min_length=1, max_length=1)
    header_line: int = Field(default=0, ge=0, le=10_000)


async def discover(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The files, named without their ending, with the names in their headers. Raises SourceError."""
    return await asyncio.to_thread(_tables, settings)


async def stream(settings: Settings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The rows of the file named ``query``, a thousand at a time. A row with more or fewer values than the header has
    names keeps only its first, so that it is set aside; a text in another encoding stays bytes, likewise. Raises
    SourceError."""
    path = _files(settings).get(query)
    if path is None:
        raise SourceError(str(_("There is no CSV file named {name}; queries are not possible in CSV.", name=query)))
    opened = await asyncio.to_thread(_opened, settings, path)
    try:
        while rows := await asyncio.to_thread(opened.next):
            yield rows
    finally:
        opened.file.close()


def _files(settings: Settings) -> dict[str, Path]:
    path: Path = settings.path
    if path.is_dir():
        return {file.stem: file for file in sorted(path.glob("*.csv"))}
    if not path.is_file():
        raise SourceError(str(_("There is no file {path}", path=path)))
    return {path.stem: path}


def _tables(settings: Settings) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for name, path in _files(settings).items():
        opened = _opened(settings, path)
        opened.file.close()
        tables[name] = [name for name in opened.header if name]
    return tables


@dataclass(slots=True)
class _Opened:
    """A file being read: its header is behind, its rows lie ahead."""

    path: Path
    file: IO[str]
    rows: Iterator[list[str]]
    header: list[str]
    encoding: str
    ended: bool
    """Whether the last line is closed. One that is not and has too few values was cut off."""
    last: list[str] = field(default_factory=list[str])

    def next(self) -> list[RawRow]:
        """The next thousand rows; none at the end. Raises SourceError."""
        found: list[RawRow] = []
        with _clear_errors(self.path):
            while not found:
                read = list(islice(self.rows, ROWS))
                if not read:
                    break
                self.last = read[-1]
                found = [self._row(values) for values in read if values and values != ["\x1a"]]
        if not found and not self.ended and 0 < len(self.last) < len(self.header):
            raise SourceError(str(_("{path} is cut off in the middle of its last line.", path=self.path)))
        return found

    def _row(self, values: list[str]) -> RawRow:
        if len(values) != len(self.header):
            return {self.header[0]: values[0]}
        return {name: self._meant(value) for name, value in zip(self.header, values, strict=True) if name}

    def _meant(self, value: str) -> str | bytes:
        """The text, or its bytes where they are not in the file's encoding."""
        if value.startswith("'"):
            value = undefused_text(value)
        if value.isascii():
            return value
        if self.encoding in ("utf-8-sig", "utf-16"):
            return value.encode("utf-8", "surrogateescape") if _STRANGE.search(value) else value
        raw = value.encode(self.encoding, "surrogateescape")
        return raw if _STRANGE.search(value) or (is_utf8(raw) and POLISH & {*raw.decode()}) else value


def undefused_text(value: str) -> str:
    """A cell without the apostrophe that an export put before what a spreadsheet could run as a formula; one that
    belongs to the text stays."""
    return value[1:] if value.startswith("'") and value == defused(value[1:]) else value


def _opened(settings: Settings, path: Path) -> _Opened:
    encoding = settings.encoding or detect(path)
    encoding = "utf-8-sig" if encoding in ("utf-8", "utf_8") else encoding
    file = path.open(encoding=encoding, errors="surrogateescape", newline="")
    try:
        with _clear_errors(path):
            skipped, delimiter = _layout(settings, list(islice(file, settings.header_line + _LOOKED_AT)))
            file.seek(0)
            for _line in range(skipped):
                file.readline()
            rows = csv.reader(file, delimiter=delimiter, quotechar=settings.quote, strict=True)
            header = [" ".join(name.split()) for name in next(rows, list[str]())]
        _check(path, header)
        return _Opened(path, file, rows, header, encoding, _is_ended(path))
    except BaseException:
        file.close()
        raise


def _check(path: Path, header: Sequence[str]) -> None:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if not header or not any(name and not _NUMBER.fullmatch(name) for name in header):
        raise SourceError(str(_("{path} has no header: a line must name the columns.", path=path)))
    if any(_STRANGE.search(name) for name in header):
        raise SourceError(str(_("{path} is not in the given encoding: the header cannot be read.", path=path)))
    if twice:
        raise SourceError(str(_("{path} names the column «{name}» twice.", path=path, name=twice[0])))


def _is_ended(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 2))
        return bool({*file.read()} & {0x0A, 0x0D, 0x1A})


def _layout(settings: Settings, lines: Sequence[str]) -> tuple[int, str]:
    """How many lines stand above the header, and the delimiter."""
    if settings.header_line:
        lines = lines[settings.header_line - 1 :]
    delimiter = settings.delimiter or delimiter_of(lines, settings.quote)
    return (settings.header_line or _header(lines, delimiter, settings.quote)) - 1, delimiter


def delimiter_of(lines: Sequence[str], quote: str = '"') -> str:
    """The delimiter that gives most lines the same number of values, and then the most values; a semicolon when no
    line has any."""
    return max(_DELIMITERS, key=lambda delimiter: _shape(_split(lines, delimiter, quote))[::-1])


def _split(lines: Sequence[str], delimiter: str, quote: str) -> list[tuple[int, list[str]]]:
    """The rows with the number of the line on which each begins, from 1."""
    reader = csv.reader(lines, delimiter=delimiter, quotechar=quote)
    found: list[tuple[int, list[str]]] = []
    line = 1
    for row in reader:
        if any(value.strip() for value in row):
            found.append((line, row))
        line = reader.line_num + 1
    return found


def _shape(rows: Sequence[tuple[int, list[str]]]) -> tuple[int, int]:
    """The usual number of values, where it is more than one, and how many rows have it."""
    widths = Counter(len(row) for _line, row in rows if len(row) > 1)
    return max(widths.items(), key=lambda found: found[::-1], default=(1, 0))


def _header(lines: Sequence[str], delimiter: str, quote: str) -> int:
    """The line of the first row that is as wide as most and mostly filled: remarks above a table are neither."""
    rows = _split(lines, delimiter, quote)
    width, _count = _shape(rows)
    for line, row in rows:
        if len(row) == width and 2 * sum(value.strip() != "" for value in row) > width:
            return line
    return 1


@contextmanager
def _clear_errors(path: Path) -> Generator[None]:
    try:
        yield
    except UnicodeError as error:
        raise SourceError(str(_("{path} is not in the given encoding: {reason}", path=path, reason=error))) from error
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise SourceError(str(_("{path} is cut off in the middle of its last line.", path=path))) from error
        raise SourceError(str(_("{path} is not a proper CSV file: {reason}", path=path, reason=error))) from error

"""Reading CSV files: a header, then rows. One file is a table; a directory is a table per file."""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from kernel import RawRow, SourceError, _
from plugins.importers import Encoding, SourcePath, detect

ROWS: Final = 1000
_DELIMITERS: Final = ";,\t|"


class Settings(BaseModel):
    """``[source] kind = "csv"``: a file or a directory of ``*.csv``; what is not given is recognised."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: SourcePath
    encoding: Encoding | None = None
    delimiter: Literal[";", ",", "\t", "|"] | None = None
    quote: str = Field(default='"', min_length=1, max_length=1)


async def discover(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The files, named without their ending, with the names in their headers. Raises SourceError."""
    return await asyncio.to_thread(_tables, settings)


async def stream(settings: Settings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The rows of the file named ``query``, a thousand at a time. A row with more or fewer values than the header has
    names keeps only its first, so that it is set aside. Raises SourceError."""
    path = _files(settings).get(query)
    if path is None:
        raise SourceError(str(_("There is no CSV file named {name}; queries are not possible in CSV.", name=query)))
    file, reader, header = await asyncio.to_thread(_opened, settings, path)
    try:
        while rows := await asyncio.to_thread(_next, reader, path):
            yield [_row(header, values) for values in rows if values]
    finally:
        file.close()


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
        file, _reader, header = _opened(settings, path)
        file.close()
        tables[name] = header
    return tables


def _opened(settings: Settings, path: Path) -> tuple[IO[str], Any, list[str]]:
    encoding = settings.encoding or detect(path)
    encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    file = path.open(encoding=encoding, newline="")
    try:
        with _clear_errors(path):
            delimiter = settings.delimiter or delimiter_of(file.readline(), settings.quote)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, quotechar=settings.quote, strict=True)
            header = [name.strip() for name in next(reader, list[str]())]
        twice = sorted({name for name in header if header.count(name) > 1})
        if not any(header):
            raise SourceError(str(_("{path} has no header: the first line must name the columns.", path=path)))
        if twice:
            raise SourceError(str(_("{path} names the column «{name}» twice.", path=path, name=twice[0])))
    except BaseException:
        file.close()
        raise
    return file, reader, header


def delimiter_of(header: str, quote: str = '"') -> str:
    """The delimiter that stands most often in a header, outside quotes; a semicolon when there is none."""
    bare = re.sub(f"{re.escape(quote)}[^{re.escape(quote)}]*{re.escape(quote)}", "", header)
    return max(_DELIMITERS, key=bare.count)


def _next(reader: Iterator[list[str]], path: Path) -> list[list[str]]:
    with _clear_errors(path):
        return list(islice(reader, ROWS))


def _row(header: Sequence[str], values: Sequence[str]) -> RawRow:
    if len(values) != len(header):
        return {header[0]: values[0]}
    return dict(zip(header, values, strict=True))


@contextmanager
def _clear_errors(path: Path) -> Generator[None]:
    try:
        yield
    except UnicodeError as error:
        raise SourceError(str(_("{path} is not in the given encoding: {reason}", path=path, reason=error))) from error
    except csv.Error as error:
        raise SourceError(str(_("{path} is not a proper CSV file: {reason}", path=path, reason=error))) from error

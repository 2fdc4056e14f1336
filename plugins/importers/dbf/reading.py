"""Reading DBF files: one file is a table; a directory is a table per file. Deleted records are left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict

from kernel import RawRow, SourceError, Text, _
from plugins.importers import Encoding, SourcePath, detect_in
from plugins.importers.dbf.table import Memo, NotDbf, Table, memo_of, open_table, records, value

ROWS: Final = 1000
_LOOKED_AT: Final = 20_000
"""How many records tell the encoding."""


class Settings(BaseModel):
    """``[source] kind = "dbf"``: a file or a directory of ``*.dbf``. The encoding is told from the letters when it is
    not given: what the files say of it is often wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: SourcePath
    encoding: Encoding | None = None


async def discover(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The files, named without their ending, with their columns. Raises SourceError."""
    return await asyncio.to_thread(_tables, settings)


async def stream(settings: Settings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The records of the file named ``query``, a thousand at a time. Raises SourceError."""
    path = _files(settings).get(query)
    if path is None:
        raise SourceError(str(_("There is no DBF file named {name}; queries are not possible in DBF.", name=query)))
    reader = await asyncio.to_thread(_Reader, settings, path)
    try:
        while not reader.at_end:
            rows = await asyncio.to_thread(reader.next)
            if rows:
                yield rows
    finally:
        reader.close()


class _Reader:
    """A table being read."""

    def __init__(self, settings: Settings, path: Path) -> None:
        with _clear_errors(path):
            self._table = open_table(path)
            self._encoding = settings.encoding or _encoding(self._table)
            self._memo: Memo | None = memo_of(self._table)
            self._file: BinaryIO = path.open("rb")
            self._file.seek(self._table.first)
        self._names = self._table.names(self._encoding)
        self._left = self._table.records

    @property
    def at_end(self) -> bool:
        return self._left <= 0

    def next(self) -> list[RawRow]:
        """The rows of the next thousand records."""
        table, fields = self._table, self._table.fields
        self._left -= ROWS
        with _clear_errors(table.path):
            return [
                {
                    name: value(table, field, record, self._encoding, self._memo)
                    for name, field in zip(self._names, fields, strict=True)
                }
                for record in records(table, self._file, ROWS)
            ]

    def close(self) -> None:
        self._file.close()
        if self._memo is not None:
            self._memo.close()


def _files(settings: Settings) -> dict[str, Path]:
    path: Path = settings.path
    if path.is_dir():
        return {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() == ".dbf"}
    if not path.is_file():
        raise SourceError(str(_("There is no file {path}", path=path)))
    return {path.stem: path}


def _tables(settings: Settings) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for name, path in _files(settings).items():
        with _clear_errors(path):
            table = open_table(path)
            tables[name] = table.names(settings.encoding or _encoding(table))
    return tables


def _encoding(table: Table) -> str:
    """The encoding that the texts are most likely in."""
    texts = [field for field in table.fields if field.kind == "C"]
    with table.path.open("rb") as file:
        file.seek(table.first)
        return detect_in(
            [
                b"\n".join(field.name for field in table.fields) + b"\n",
                *(
                    b"\n".join(record[field.start : field.start + field.length] for field in texts) + b"\n"
                    for record in records(table, file, _LOOKED_AT)
                ),
            ]
        )


@contextmanager
def _clear_errors(path: Path) -> Generator[None]:
    try:
        yield
    except NotDbf as error:
        raise SourceError(str(Text(_REASONS[str(error)], {"path": path}))) from error
    except (OSError, ValueError) as error:
        raise SourceError(str(_("{path} cannot be read: {reason}", path=path, reason=error))) from error


_REASONS: Final = {
    "kind": _("{path} is not a DBF table of dBase III or IV, Clipper or FoxPro.").message,
    "encrypted": _("{path} is encrypted.").message,
    "header": _("{path} is damaged: its records do not lie where its header says.").message,
    "cut": _("{path} is cut off: its header tells of more records than there are.").message,
}

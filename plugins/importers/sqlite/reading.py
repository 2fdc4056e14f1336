"""Reading an SQLite file that is not ours: never written to, not even its journal."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from kernel import RawRow, SourceError, _
from plugins.importers import Encoding, SourcePath

ROWS: Final = 1000


class Settings(BaseModel):
    """``[source] kind = "sqlite"``: the file, and the encoding of its texts where they are not UTF-8."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: SourcePath
    encoding: Encoding = "utf-8"


async def discover(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The tables and views with their columns. Raises SourceError."""
    return await asyncio.to_thread(_tables, settings)


async def stream(settings: Settings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The rows of a table or of a query, a thousand at a time. Raises SourceError."""
    connection = await asyncio.to_thread(_opened, settings)
    try:
        cursor, names = await asyncio.to_thread(_asked, connection, query)
        while rows := await asyncio.to_thread(_next, cursor):
            yield [dict(zip(names, row, strict=True)) for row in rows]
    finally:
        await asyncio.to_thread(connection.close)


def _tables(settings: Settings) -> dict[str, list[str]]:
    with closing(_opened(settings)) as connection, _clear_errors():
        names = connection.execute(
            "select name from sqlite_master where type in ('table', 'view') and name not like 'sqlite\\_%' escape '\\'"
        ).fetchall()
        return {
            str(name): [
                str(column) for (column,) in connection.execute("select name from pragma_table_info(?)", (name,))
            ]
            for (name,) in names
        }


def _opened(settings: Settings) -> sqlite3.Connection:
    path: Path = settings.path.resolve()
    if not path.is_file():
        raise SourceError(str(_("There is no file {path}", path=path)))
    connection: sqlite3.Connection | None = None
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        # A file in a directory that we may not write in can need immutable=1: SQLite makes no files beside it then.
        try:
            connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, check_same_thread=False, timeout=10)
            connection.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            if connection is not None:
                connection.close()
            refused = error
        except sqlite3.DatabaseError as error:
            raise SourceError(str(_("{path} is not an SQLite file: {reason}", path=path, reason=error))) from error
        else:
            connection.text_factory = _text_of(settings.encoding)
            return connection
    raise SourceError(str(_("{path} cannot be read: {reason}", path=path, reason=refused)))


def _text_of(encoding: str) -> Callable[[bytes], str | bytes]:
    def text(raw: bytes) -> str | bytes:
        """Text, or the bytes themselves when they are none: the row is then set aside, the others are read."""
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            return raw

    return text


def _asked(connection: sqlite3.Connection, query: str) -> tuple[sqlite3.Cursor, list[str]]:
    with _clear_errors():
        known = connection.execute("select 1 from sqlite_master where name = ?", (query,)).fetchone()
        quoted = query.replace('"', '""')
        cursor = connection.execute(f'select * from "{quoted}"' if known else query)  # noqa: S608 (a quoted name)
        if cursor.description is None:
            raise SourceError(str(_("The query gives no rows: it must be a select.")))
        return cursor, [str(column[0]) for column in cursor.description]


def _next(cursor: sqlite3.Cursor) -> list[tuple[object, ...]]:
    with _clear_errors():
        return cursor.fetchmany(ROWS)


@contextmanager
def _clear_errors() -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise SourceError(str(_("The SQLite file refuses: {reason}", reason=error))) from error

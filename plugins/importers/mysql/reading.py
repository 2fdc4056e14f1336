"""Reading a MySQL or MariaDB that is not ours: rows stream in a read-only transaction, and nothing is ever written."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal, TypeAlias

import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from pymysql.cursors import Cursor, SSCursor

from kernel import RawRow, SourceError, _
from plugins.importers import Encoding, SourcePath, WithPassword

ROWS: Final = 2000
_CONNECT_SECONDS: Final = 10
_SILENCE_SECONDS: Final = 900
"""How long a server may think before the first row, or wait for us between two reads."""

_TABLES: Final = """
select table_name, column_name from information_schema.columns
where table_schema = database() order by table_name, ordinal_position
"""

_Connection: TypeAlias = "pymysql.Connection[SSCursor]"


class Settings(WithPassword):
    """``[source] kind = "mysql"``: where the server is, who reads, and how the way is protected.

    ``encoding`` is what columns really hold that are declared ``latin1``, as old programs left them.
    """

    host: str = "127.0.0.1"
    port: int = 3306
    socket: str | None = None
    user: str
    database: str
    tls: Literal["prefer", "require", "verify", "off"] = "prefer"
    tls_ca: SourcePath | None = None
    encoding: Encoding | None = None


async def discover(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The tables and views of the database with their columns. Raises SourceError."""
    return await asyncio.to_thread(_tables, settings)


async def stream(settings: Settings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The rows of a table or of a query, two thousand at a time: the server keeps the rest. Raises SourceError."""
    connection = await asyncio.to_thread(_opened, settings)
    try:
        cursor, names = await asyncio.to_thread(_asked, connection, settings, query)
        while rows := await asyncio.to_thread(_next, cursor, settings):
            yield [dict(zip(names, row, strict=True)) for row in rows]
    finally:
        await asyncio.to_thread(_left, connection)


def _tables(settings: Settings) -> dict[str, list[str]]:
    connection = _opened(settings)
    tables: dict[str, list[str]] = {}
    try:
        with _clear_errors(settings), connection.cursor(Cursor) as cursor:
            cursor.execute(_TABLES)
            for table, column in cursor.fetchall():
                tables.setdefault(str(table), []).append(str(column))
    finally:
        _left(connection)
    return tables


def _opened(settings: Settings) -> _Connection:
    with _clear_errors(settings):
        connection = pymysql.connect(
            host=settings.host,
            port=settings.port,
            unix_socket=settings.socket,
            user=settings.user,
            password=settings.secret().encode(),
            database=settings.database,
            charset="utf8mb4",
            conv=_CONVERSIONS,
            cursorclass=SSCursor,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_SILENCE_SECONDS,
            write_timeout=_CONNECT_SECONDS,
            ssl_disabled=settings.tls == "off" or settings.socket is not None,
            ssl=_tls(settings),
        )
        with connection.cursor(Cursor) as cursor:
            cursor.execute(f"set session net_write_timeout = {_SILENCE_SECONDS}")
            cursor.execute("start transaction with consistent snapshot, read only")
        return connection


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """None leaves it to the driver, which encrypts where the server can."""
    if settings.tls not in ("require", "verify"):
        return None
    context = ssl.create_default_context(cafile=str(settings.tls_ca) if settings.tls_ca else None)
    # Servers make certificates for themselves that Python 3.13 would call malformed; they are still checked.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if settings.tls == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _asked(connection: _Connection, settings: Settings, query: str) -> tuple[SSCursor, list[str]]:
    with _clear_errors(settings):
        with connection.cursor(Cursor) as known:
            found = known.execute(
                "select 1 from information_schema.tables where table_schema = database() and table_name = %s", (query,)
            )
        cursor = connection.cursor(SSCursor)
        quoted = query.replace("`", "``")
        cursor.execute(f"select * from `{quoted}`" if found else query)  # noqa: S608 (a quoted name)
        if not cursor.description:
            raise SourceError(str(_("The query gives no rows: it must be a select.")))
        return cursor, [str(column[0]) for column in cursor.description]


def _next(cursor: SSCursor, settings: Settings) -> Sequence[tuple[object, ...]]:
    with _clear_errors(settings):
        rows: Sequence[tuple[object, ...]] = cursor.fetchmany(ROWS)
    if settings.encoding is None:
        return rows
    return [tuple(_as_meant(value, settings.encoding) for value in row) for row in rows]


def _left(connection: _Connection) -> None:
    """Hang up, also in the middle of a result: the driver's objects would first read all that is left of it."""
    with suppress(pymysql.Error, OSError):
        connection.close()
    unread = getattr(connection, "_result", None)
    if unread is not None:
        unread.unbuffered_active = False


def _as_meant(value: object, encoding: str) -> object:
    """The text whose bytes a program wrote into a ``latin1`` column in an encoding of its own.

    MySQL's latin1 is cp1252 with the five holes filled. A text with other letters was not in such a column.
    """
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        raw = b"".join(
            letter.encode("latin-1" if "\x80" <= letter <= "\x9f" else "cp1252", "strict") for letter in value
        )
    except UnicodeEncodeError:
        return value
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return raw


def _number(bits: bytes) -> int:
    return int.from_bytes(bits, "big")


_CONVERSIONS: Final[dict[Any, Callable[[Any], Any]]] = {**conversions, FIELD_TYPE.BIT: _number}
"""As the driver has them, but a bit is a number."""


@contextmanager
def _clear_errors(settings: Settings) -> Generator[None]:
    try:
        yield
    except pymysql.Error as error:
        raise SourceError(_sentence(settings, error)) from error
    except (OSError, UnicodeError) as error:
        raise SourceError(
            str(_("The database {database} cannot be read: {reason}", database=settings.database, reason=error))
        ) from error


_LOST: Final = frozenset((2006, 2013, 2055, 1053, 1317, 1927))
"""Connection gone, lost, lost while reading; server shutting down; query or connection killed."""


def _sentence(settings: Settings, error: pymysql.Error) -> str:
    """What went wrong, for people; the server's own words at the end."""
    code, reason = (error.args[0], error.args[-1]) if error.args else (0, str(error))
    place = settings.socket or f"{settings.host}:{settings.port}"
    match code:
        case 2003 | 2002:
            return str(_("There is no MySQL server at {place}: {reason}", place=place, reason=reason))
        case 1045 | 1044 | 1698 | 1049:
            return str(_("The MySQL server at {place} refuses: {reason}", place=place, reason=reason))
        case _ if code in _LOST or isinstance(error, pymysql.InterfaceError):
            return str(
                _("The connection with the MySQL server at {place} was lost. Nothing was imported.", place=place)
            )
        case _:
            return str(_("MySQL refuses: {reason}", reason=reason))

"""Statements about made files, and those that the archive of an organisation is written and taken in by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from kernel import Connection, Row

# --- made files -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """A file that somebody had made, or the work on it. ``rows_total`` is None while nobody has counted."""

    id: int
    what: str
    format: str
    filters: Mapping[str, str]
    with_secrets: bool
    state: str
    rows_done: int
    rows_total: int | None
    bytes: int
    filename: str
    made_by: int | None
    made_by_name: str
    made_at: datetime
    finished_at: datetime | None
    kept_until: datetime


_MADE: Final[LiteralString] = """
select id, what, format, filters, with_secrets, state, rows_done, rows_total, bytes, filename, made_by, made_by_name,
       made_at, finished_at, kept_until
from exports.made"""

ADD_SQL: Final[LiteralString] = """
insert into exports.made (what, format, filters, with_secrets, filename, made_by, made_by_name, kept_until)
select $1, $2, $3, $4, $5, u.id, coalesce(nullif(u.name, ''), u.login), now() + $7::interval
from kernel.users u where u.id = $6
returning id
"""


async def add(
    conn: Connection,
    what: str,
    format_: str,
    filters: Mapping[str, str],
    filename: str,
    user: int,
    kept: timedelta,
    *,
    with_secrets: bool = False,
) -> int:
    """Remember that somebody wants a file; its number."""
    return await conn.fetchval(ADD_SQL, what, format_, dict(filters), with_secrets, filename, user, kept)


ONE_SQL: Final[LiteralString] = _MADE + " where id = $1"


async def one(conn: Connection, number: int) -> Made | None:
    """A made file, or None."""
    row = await conn.fetchrow(ONE_SQL, number)
    return Made(**row) if row else None


CLAIM_SQL: Final[LiteralString] = """
update exports.made
set state = 'running', attempt = attempt + 1, rows_done = 0, rows_total = null, bytes = 0
where id = $1 and state in ('waiting', 'running', 'failed')
returning attempt
"""
CLEAR_SQL: Final[LiteralString] = "delete from exports.piece where made = $1"


async def claim(conn: Connection, number: int) -> int | None:
    """Begin the work on a file, from the start; its attempt, or None when it is not wanted any more."""
    attempt = await conn.fetchval(CLAIM_SQL, number)
    if attempt is not None:
        await conn.execute(CLEAR_SQL, number)
    return attempt


PROGRESS_SQL: Final[LiteralString] = """
update exports.made
set rows_done = $3, rows_total = $4, bytes = bytes + $5
where id = $1 and attempt = $2 and state = 'running'
returning true
"""
ADD_PIECE_SQL: Final[LiteralString] = "insert into exports.piece (made, place, content) values ($1, $2, $3)"


async def add_piece(
    conn: Connection, number: int, attempt: int, place: int, content: bytes, rows: int, total: int | None
) -> bool:
    """Keep the next piece of a file, and how far it has come; False when the work was cancelled or taken over."""
    if not await conn.fetchval(PROGRESS_SQL, number, attempt, rows, total, len(content)):
        return False
    if content:
        await conn.execute(ADD_PIECE_SQL, number, place, content)
    return True


READY_SQL: Final[LiteralString] = """
update exports.made set state = 'ready', finished_at = now(), rows_done = $3, rows_total = $3
where id = $1 and attempt = $2 and state = 'running'
"""


async def ready(conn: Connection, number: int, attempt: int, rows: int) -> None:
    """Every piece is there."""
    await conn.execute(READY_SQL, number, attempt, rows)


FAILED_SQL: Final[LiteralString] = """
with stopped as (
    update exports.made set state = 'failed', finished_at = now() where id = $1 and attempt = $2 and state = 'running'
    returning id
)
delete from exports.piece using stopped where made = stopped.id
"""


async def failed(conn: Connection, number: int, attempt: int) -> None:
    """The work broke off; nothing is kept of it."""
    await conn.execute(FAILED_SQL, number, attempt)


CANCEL_SQL: Final[LiteralString] = """
with stopped as (
    update exports.made set state = 'cancelled', finished_at = now()
    where id = $1 and state in ('waiting', 'running')
    returning id
), cleared as (
    delete from exports.piece using stopped where made = stopped.id
)
select id from stopped
"""


async def cancel(conn: Connection, number: int) -> bool:
    """Stop the work on a file; False when it is done already."""
    return await conn.fetchval(CANCEL_SQL, number) is not None


REMOVE_SQL: Final[LiteralString] = "delete from exports.made where id = $1 returning true"


async def remove(conn: Connection, number: int) -> bool:
    """Delete a made file."""
    return bool(await conn.fetchval(REMOVE_SQL, number))


FORGET_SQL: Final[LiteralString] = "delete from exports.made where kept_until < $1"


async def forget(conn: Connection, now: datetime) -> None:
    """Delete every file whose time is over."""
    await conn.execute(FORGET_SQL, now)


PIECE_SQL: Final[LiteralString] = "select content from exports.piece where made = $1 and place = $2"


async def piece(conn: Connection, number: int, place: int) -> bytes | None:
    """A piece of a file, or None after the last."""
    return await conn.fetchval(PIECE_SQL, number, place)


STILL_SQL: Final[LiteralString] = "set transaction isolation level repeatable read, read only"


async def hold_still(conn: Connection) -> None:
    """Let this transaction see one moment for as long as it reads. The first thing in it."""
    await conn.execute(STILL_SQL)


# --- the archive ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
    """A table, «payments.entry», with the columns that can be written and those of its key."""

    name: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]


TABLES_SQL: Final[LiteralString] = "select name, columns, keys from exports.tables($1::text[])"


async def tables(conn: Connection, schemas: Sequence[str]) -> list[Table]:
    """Every table of these schemas."""
    rows = await conn.fetch(TABLES_SQL, list(schemas))
    return [Table(row["name"], tuple(row["columns"]), tuple(row["keys"])) for row in rows]


TOTALS_SQL: Final[LiteralString] = "select exports.totals($1::text, $2::text[])"


async def totals(conn: Connection, table: str, columns: Sequence[str]) -> dict[str, int]:
    """How many ``rows`` a table has, and the sums of columns."""
    return await conn.fetchval(TOTALS_SQL, table, list(columns))


OPEN_SQL: Final[LiteralString] = "select exports.open_rows($1::text, $2::text[], $3::text[])"
FETCH_SQL: Final[LiteralString] = "fetch forward 2000 from exports_rows"
CLOSE_SQL: Final[LiteralString] = "close exports_rows"


async def open_rows(conn: Connection, table: str, columns: Sequence[str], keys: Sequence[str]) -> None:
    """Begin to read a table; one at a time in a transaction."""
    await conn.execute(OPEN_SQL, table, list(columns), list(keys))


async def next_rows(conn: Connection) -> Sequence[Row]:
    """The next lines of JSON of the table that was opened; nothing after the last."""
    return await conn.fetch(FETCH_SQL)


async def close_rows(conn: Connection) -> None:
    """End the reading of a table."""
    await conn.execute(CLOSE_SQL)


SEQUENCES_SQL: Final[LiteralString] = "select name, last_number from exports.sequences($1::text[])"


async def sequences(conn: Connection, schemas: Sequence[str]) -> dict[str, int | None]:
    """The last number of every sequence; None where none was taken."""
    return {row["name"]: row["last_number"] for row in await conn.fetch(SEQUENCES_SQL, list(schemas))}


MIGRATIONS_SQL: Final[LiteralString] = "select plugin, file, checksum from kernel.migration order by plugin, file"


async def migrations(conn: Connection) -> list[dict[str, str]]:
    """Which files have made the tables what they are, of every plugin that ever ran here."""
    return [dict(row) for row in await conn.fetch(MIGRATIONS_SQL)]


FILLED_SQL: Final[LiteralString] = "select exports.filled($1::text[])"


async def filled(conn: Connection, names: Sequence[str]) -> list[str]:
    """Those of these tables in which there is something."""
    return await conn.fetchval(FILLED_SQL, list(names))


LOCK_SQL: Final[LiteralString] = "select pg_advisory_xact_lock(hashtextextended('exports.taking_in', 0))"
LOOSEN_SQL: Final[LiteralString] = "select home, name, definition from exports.loosen($1::text[])"
EMPTY_SQL: Final[LiteralString] = "select exports.empty($1::text[])"
TAKE_SQL: Final[LiteralString] = "select exports.take_rows($1::text, $2::text[], $3::text)"
TIGHTEN_SQL: Final[LiteralString] = "select exports.tighten($1::text[], $2::text[], $3::text[], $4::text[])"
COUNT_ON_SQL: Final[LiteralString] = "select exports.count_on($1::text[], $2::bigint[])"


async def lock(conn: Connection) -> None:
    """One archive at a time."""
    await conn.execute(LOCK_SQL)


async def loosen(conn: Connection, names: Sequence[str]) -> Sequence[Row]:
    """Let tables be filled as they are: no triggers, no references. What ``tighten`` needs."""
    return await conn.fetch(LOOSEN_SQL, list(names))


async def tighten(conn: Connection, names: Sequence[str], references: Sequence[Mapping[str, Any]]) -> None:
    """Put references (which are checked now) and triggers back."""
    homes, keys, definitions = ([row[part] for row in references] for part in ("home", "name", "definition"))
    await conn.execute(TIGHTEN_SQL, list(names), homes, keys, definitions)


async def empty(conn: Connection, names: Sequence[str]) -> None:
    """Delete every row of these tables."""
    await conn.execute(EMPTY_SQL, list(names))


async def take_rows(conn: Connection, table: str, columns: Sequence[str], lines: Sequence[bytes]) -> int:
    """Write lines of JSON as rows of a table; how many."""
    return await conn.fetchval(TAKE_SQL, table, list(columns), f"[{b','.join(lines).decode()}]")


async def count_on(conn: Connection, last: Mapping[str, int | None]) -> None:
    """Let sequences go on where those of the archive stood."""
    await conn.execute(COUNT_ON_SQL, list(last), list(last.values()))

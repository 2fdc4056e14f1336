"""Reading a bank file and finding out whose its lines are: a short one while somebody waits, a long one by a job.

A file is kept whole, with all of its statements, or nothing of it is. A long one is laid down in pieces and read from
them beside the loop, statement by statement; only the lines of one statement are in memory at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kernel import Connection, Job, Refused, Site, Stamp, Text, _, audit, enqueue
from plugins.payments.bank import store
from plugins.payments.bank.model import Asked, Found, Hint, Match, OrderFound, OrderReferences, decide, hints
from plugins.payments.bank.statement import BankFileError, BankFormat, Statement

AT_ONCE: Final = 200
LONGEST_AT_ONCE: Final = 200_000
"""Bytes of a file that is read while somebody waits; a longer one is the work of a job."""
PIECE: Final = 1 << 19
START: Final = 8192
STOPPED: Final = _("The reading was stopped. Nothing of this file is kept.")


def formats(site: Site) -> Sequence[BankFormat]:
    """The kinds of bank files that the plugins in use can read."""
    return list(site.registry.extensions["payments.bank_format"].values())


def kind_of(start: bytes, known: Sequence[BankFormat]) -> BankFormat:
    """The kind of a file that begins so. Raises BankFileError."""
    if not start.strip():
        raise BankFileError(_("This file is empty."))
    chosen = next((one for one in known if one.recognises(start[:START])), None)
    if chosen is None:
        raise BankFileError(
            _("This is no bank file that can be read here. Download the statement as MT940 or camt.053.")
        )
    return chosen


def statements_of(content: bytes, known: Sequence[BankFormat]) -> list[Statement]:
    """The statements of a file, whatever its kind. Raises BankFileError."""
    statements = list(kind_of(content, known).read(io.BytesIO(content)))
    if not statements:
        raise BankFileError(_("There is no statement in this file."))
    return statements


def hash_of(content: bytes) -> str:
    """What tells a file from every other."""
    return hashlib.sha256(content).hexdigest()


# --- while somebody waits -------------------------------------------------------------------------------------------


async def keep(
    conn: Connection, site: Site, name: str, content: bytes, statements: Iterable[Statement]
) -> tuple[int, list[int]] | None:
    """Keep a file with its statements, matched: its number and theirs. None when this very file is kept already."""
    file = await store.add_file(conn, name, hash_of(content), len(content))
    if file is None:
        return None
    own = await store.own_accounts(conn)
    kept = [await _kept(conn, file, statement, own) for statement in statements]
    await _match_all(conn, site, file, name, kept)
    return file, [one.number for one in kept]


# --- by a job -------------------------------------------------------------------------------------------------------


async def begin(conn: Connection, site: Site, name: str, content: bytes, *, actor: str) -> int | None:
    """Lay a long file down and have it read; its number, or None when it is kept already. Raises BankFileError."""
    kind_of(content[:START], formats(site))
    file = await store.add_file(conn, name, await asyncio.to_thread(hash_of, content), len(content), "reading")
    if file is None:
        return None
    for place, start in enumerate(range(0, len(content), PIECE)):
        await store.add_piece(conn, file, place, content[start : start + PIECE])
    await enqueue(conn, "payments.bank_read", {"file": file, "actor": actor})
    return file


async def read_job(site: Site, payload: Mapping[str, Any]) -> None:
    """Read a file that was laid down, once: all of it is kept, or nothing with the reason."""
    file, actor = payload["file"], Stamp(payload["actor"])
    try:
        async with site.db.transaction(actor) as conn, site.db.connection() as tell:
            claimed = await store.claim_file(conn, file)
            if claimed is None or claimed["state"] != "reading":
                return
            async with _spooled(conn, file) as path:
                kept = await _read(conn, site, file, path, tell)
            await _match_all(conn, site, file, claimed["name"], kept, tell)
            await store.end_file(conn, file, "read")
    except (BankFileError, Refused) as error:
        reason = error.message if isinstance(error, BankFileError) else reason_of(error)
        async with site.db.transaction(actor) as conn:
            await store.end_file(conn, file, "refused", reason)
    finally:
        async with site.db.transaction(actor) as conn:
            await store.end_reading(conn, file)


def reason_of(refused: Refused) -> Text:
    """Why something was refused, in one text."""
    return next(iter((*refused.notes, *refused.errors.values())), Text(str(refused)))


class _Watched(io.FileIO):
    """A file that is read in another thread: how much of it was read, and a way to stop that."""

    read_bytes = 0
    is_stopped = False

    def readinto(self, buffer: Any, /) -> int:
        if self.is_stopped:
            raise BankFileError(STOPPED)
        count = super().readinto(buffer) or 0
        self.read_bytes += count
        return count


@asynccontextmanager
async def _spooled(conn: Connection, file: int) -> AsyncGenerator[Path]:
    """The pieces of a file as one, in a directory that nobody else may read."""
    with tempfile.TemporaryDirectory(prefix="ebok-") as directory:
        path, place = Path(directory) / "file", 0
        with path.open("wb") as spool:
            while (piece := await store.piece(conn, file, place)) is not None:
                await asyncio.to_thread(spool.write, piece)
                place += 1
        yield path


async def _read(conn: Connection, site: Site, file: int, path: Path, tell: Connection) -> list[_Kept]:
    """Read statement after statement. Raises BankFileError, also when somebody stops it."""
    own, kept = await store.own_accounts(conn), list[_Kept]()
    with _Watched(path) as watched, io.BufferedReader(watched, PIECE) as opened:
        size = watched.seek(0, io.SEEK_END)
        watched.seek(0)

        async def look(_lines: int = 0) -> None:
            if await store.tell_reading(tell, file, "read", min(watched.read_bytes, size), size):
                watched.is_stopped = True
                raise BankFileError(STOPPED)

        statements = kind_of(opened.peek(START), formats(site)).read(opened)
        while (statement := await _watching(statements, watched, look)) is not None:
            kept.append(await _kept(conn, file, statement, own, look))
    if not kept:
        raise BankFileError(_("There is no statement in this file."))
    return kept


async def _watching(statements: Iterator[Statement], watched: _Watched, look: Callable[[], Any]) -> Statement | None:
    """The next statement, read in a thread that is looked at once a second; None after the last."""
    reading = asyncio.ensure_future(asyncio.to_thread(next, statements, None))
    try:
        while not (await asyncio.wait({reading}, timeout=1))[0]:
            await look()
        return reading.result()
    finally:
        if not reading.done():
            watched.is_stopped = True
            await asyncio.wait({reading})


# --- what both do ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kept:
    """A statement that is kept, to be matched; ``is_refused``: it is shown, and never booked."""

    number: int
    account: str
    lines: int
    is_refused: bool


async def _kept(
    conn: Connection, file: int, statement: Statement, own: set[str], told: store.Told | None = None
) -> _Kept:
    problem = store.problem_of(statement, own)
    number = await store.add_statement(conn, statement, problem, file=file, told=told)
    return _Kept(number, statement.account, len(statement.lines), problem is not None)


async def _match_all(
    conn: Connection, site: Site, file: int, name: str, kept: Sequence[_Kept], tell: Connection | None = None
) -> None:
    whole, done = sum(one.lines for one in kept), 0

    async def told(lines: int) -> None:
        nonlocal done
        done += lines
        if tell is not None and await store.tell_reading(tell, file, "match", done, whole):
            raise Refused(STOPPED)

    for one in kept:
        await match(conn, site, one.number, one.account, told)
        if not one.is_refused:
            await store.move(conn, one.number, ["matching"], "ready")
    await audit(conn, "payments.bank_read", subject=f"bank-file {file}", file=name, count=len(kept), lines=whole)


async def match(conn: Connection, site: Site, number: int, account_no: str, told: store.Told | None = None) -> None:
    """Find out whom the lines of a statement point to, and which are booked already; ``told`` hears how many."""
    await store.mark_twins(conn, number)
    prefixes, after, today = await store.prefixes(conn), 0, site.clock.today()
    while rows := await store.lines_after(conn, number, after, AT_ONCE):
        lines = [store.asked(row) for row in rows]
        said = await asyncio.to_thread(_hints, lines, prefixes)
        orders = await _orders(conn, site, sorted({hint.word for hint in said if hint.how == "order"}))
        found = await store.pointed(conn, said, orders, account_no, today)
        await store.write_matches(conn, await asyncio.to_thread(_decided, lines, found))
        after = rows[-1]["line_no"]
        if told is not None:
            await told(len(rows))


def _hints(lines: Sequence[Asked], prefixes: Sequence[str]) -> list[Hint]:
    return [hint for line in lines if line.amount > 0 for hint in hints(line, prefixes)]


def _decided(lines: Sequence[Asked], found: Sequence[Found]) -> dict[int, Match]:
    of_line: dict[int, list[Found]] = {}
    for one in found:
        of_line.setdefault(one.line, []).append(one)
    return {line.id: decide(line, of_line.get(line.id, ())) for line in lines}


async def _orders(conn: Connection, site: Site, words: Sequence[str]) -> list[OrderFound]:
    known: Mapping[str, OrderReferences] = site.registry.extensions["payments.order_references"]
    return [order for one in known.values() for order in await one.orders(conn, words)] if words else []


JOBS: Final = (Job("payments.bank_read", read_job),)

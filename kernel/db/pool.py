"""The pool of one organisation's database, and the transaction that knows who acts in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import asyncpg

from kernel.db.connection import Connection
from kernel.db.embedded import EmbeddedError

CONNECT_TIMEOUT: Final = 10.0
ACQUIRE_TIMEOUT: Final = 15.0
"""Seconds to wait for a free connection before the visitor is told to come back."""
OLDEST_SERVER: Final = 15
_PAUSE: Final = 0.1
"""Seconds between two looks at a server that is starting."""


class DatabaseUnavailable(Exception):
    """The database cannot be used; the message is one line for an operator."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who acts in a transaction, for triggers and the audit: ``ebok.actor``, ``.role``, ``.mode``, ``.request``.

    The actor is a user's id or a name of the product's own («import», «worker»). ``superadmin_mode`` opens what only
    the superadministrator's announced mode may do.
    """

    actor: str
    role: str = ""
    superadmin_mode: bool = False
    request: str = ""

    def statements(self) -> str:
        """``begin`` and the settings as one message; every value is reduced to a safe alphabet first.

        The commit is written without waiting for the disk; ``_commit`` waits, when the locks are gone.
        """
        return (
            f"begin; set local synchronous_commit = off; set local ebok.actor = '{_safe(self.actor)}'; "
            f"set local ebok.role = '{_safe(self.role)}'; "
            f"set local ebok.mode = '{'superadmin' if self.superadmin_mode else ''}'; "
            f"set local ebok.request = '{_safe(self.request)}'"
        )


def _safe(text: str) -> str:
    return "".join(c for c in text if c.isascii() and (c.isalnum() or c in "-_.:"))[:64]


# Locks are let go when the commit is written, the answer waits until it is on disk: the message is a transaction of its
# own, its flush covers everything before it in the log. The empty select fails where a statement has failed before.
COMMIT: Final = "select; commit; select pg_logical_emit_message(true, 'ebok', '')"


async def _commit(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute(COMMIT)
    except asyncpg.InFailedSQLTransactionError as error:
        await _roll_back(connection)
        raise RuntimeError(
            "a statement of this transaction failed without a savepoint: nothing was committed"
        ) from error
    except BaseException:
        _drop(connection)  # nobody knows in which state it is
        raise


async def _roll_back(connection: asyncpg.Connection) -> None:
    """Undo everything; a connection that cannot even do that is dropped, and the server undoes it."""
    try:
        await connection.execute("rollback")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        _drop(connection)


def _drop(connection: asyncpg.Connection) -> None:
    with suppress(asyncpg.InterfaceError):  # the pool has noticed already that it is lost
        connection.terminate()


async def _give_back(pool: asyncpg.Pool, connection: Any) -> None:
    """Return a connection; one that breaks just now is dropped by the pool and spoils nothing that was done with it."""
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        await pool.release(connection)


async def _no_reset(connection: object) -> None:
    """Connections carry no session state, so there is nothing to reset."""


class Database:
    """One organisation's PostgreSQL: opened on first use, closed with the site.

    ``before_connect`` is awaited before a pool is made and after the server refused a connection (the embedded server
    restarts there). ``statements`` counts messages sent, which the tests of round trips read.
    """

    def __init__(
        self,
        dsn: str,
        *,
        size: int = 10,
        before_connect: Callable[[], Any] | None = None,
    ) -> None:
        self.dsn = dsn
        self.size = size
        self._before_connect = before_connect
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self.statements = 0

    async def open(self) -> asyncpg.Pool:
        """The pool, made now if there is none. Raises DatabaseUnavailable with one clear line."""
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._pool is None:
                await self._revive()
                self._pool = await self._make_pool()
        return self._pool

    async def _make_pool(self) -> asyncpg.Pool:
        try:
            pool = await asyncpg.create_pool(
                self.dsn,
                min_size=0,
                max_size=self.size,
                reset=_no_reset,
                setup=None,
                init=self._init,
                timeout=CONNECT_TIMEOUT,
                command_timeout=60,
                server_settings={"application_name": "ebok", "timezone": "UTC"},
            )
            async with pool.acquire() as connection:
                version = connection.get_server_version().major
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise DatabaseUnavailable(f"The database cannot be reached: {error}") from error
        if version < OLDEST_SERVER:
            await pool.close()
            raise DatabaseUnavailable(f"PostgreSQL {version} is too old: ebok needs {OLDEST_SERVER} or newer.")
        return pool

    async def _init(self, connection: asyncpg.Connection) -> None:
        connection.add_query_logger(self._count)
        await know_json(connection)

    def _count(self, record: object) -> None:
        self.statements += 1

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """A connection in autocommit: for safe requests. Raises DatabaseUnavailable."""
        async with self._acquired() as connection:
            yield cast(Connection, connection)

    @asynccontextmanager
    async def transaction(self, stamp: Stamp) -> AsyncGenerator[Connection]:
        """One transaction whose actor is set; committed at the end, rolled back by any exception.

        Raises DatabaseUnavailable, and RuntimeError when a statement failed, its error was swallowed, and so there was
        nothing left to commit.
        """
        async with self._acquired() as connection:
            await connection.execute(stamp.statements())
            try:
                yield cast(Connection, connection)
            except BaseException:
                await asyncio.shield(_roll_back(connection))
                raise
            await _commit(connection)

    @asynccontextmanager
    async def _acquired(self) -> AsyncGenerator[Any]:
        pool = await self.open()
        connection = await self._taken(pool)
        try:
            yield connection
        except asyncpg.InternalClientError as error:  # the server said goodbye and the socket is not closed yet
            _drop(connection)
            raise DatabaseUnavailable(f"The database has gone away: {error}") from error
        finally:
            await asyncio.shield(_give_back(pool, connection))

    async def _taken(self, pool: asyncpg.Pool) -> Any:
        """A connection of the pool: one that a fallen server took along is made anew, a starting server waited for."""
        now = asyncio.get_running_loop().time
        deadline = now() + CONNECT_TIMEOUT
        while True:
            try:
                return await pool.acquire()
            except (OSError, asyncpg.PostgresConnectionError) as error:
                may_come = self._before_connect is not None or isinstance(error, asyncpg.CannotConnectNowError)
                if not may_come or now() > deadline:
                    raise DatabaseUnavailable(f"The database cannot be reached: {error}") from error
            await self._revive()
            await asyncio.sleep(_PAUSE)

    async def _revive(self) -> None:
        """Have the embedded server running. Raises DatabaseUnavailable."""
        if self._before_connect is not None:
            try:
                await self._before_connect()
            except EmbeddedError as error:
                raise DatabaseUnavailable(str(error)) from error

    async def close(self) -> None:
        """Wait for connections in use, then close; safe to call twice."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), 10)
            except TimeoutError:
                pool.terminate()


class ClosedDatabase(Database):
    """The database of an organisation that must not be served: every use raises DatabaseUnavailable with ``reason``."""

    def __init__(self, dsn: str, reason: str) -> None:
        super().__init__(dsn)
        self.reason = reason

    async def open(self) -> asyncpg.Pool:
        raise DatabaseUnavailable(self.reason)


async def know_json(connection: asyncpg.Connection) -> None:
    """Let a connection read and write ``jsonb`` as plain values."""
    await connection.set_type_codec("jsonb", encoder=_to_json, decoder=_from_json, schema="pg_catalog")


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _from_json(text: str) -> object:
    return json.loads(text)

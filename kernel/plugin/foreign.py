"""Reading a PostgreSQL that is not ours, for plugins that import: asyncpg stays the kernel's alone."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import asyncpg

from kernel.i18n import _
from kernel.plugin.contracts import RawRow, SourceError

_ROWS: Final = 2000
_CONNECT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class ForeignPostgres:
    """A foreign PostgreSQL and who reads it. Nothing is ever written: every query runs in a read-only transaction.

    ``tls``: ``prefer`` encrypts where the server can, ``require`` always, ``verify`` checks the server's certificate
    and name as well (against ``tls_ca`` where given, else against the system's authorities), ``off`` never.
    """

    host: str
    port: int
    user: str
    password: str
    database: str
    tls: Literal["prefer", "require", "verify", "off"] = "prefer"
    tls_ca: Path | None = None

    async def rows(self, query: str, *args: object) -> AsyncIterator[Sequence[RawRow]]:
        """The rows of a query in batches through a cursor, however many there are. Raises SourceError."""
        async with self._connected() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            cursor = await conn.cursor(query, *args)
            while rows := await cursor.fetch(_ROWS):
                yield [dict(row) for row in rows]

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record]]:
        conn: asyncpg.Connection[asyncpg.Record] | None = None
        try:
            conn = await asyncpg.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                database=self.database,
                ssl=self._ssl(),
                timeout=_CONNECT_SECONDS,
                statement_cache_size=0,  # a pooler may stand in front
                server_settings={"application_name": "ebok"},
            )
            await conn.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)
            yield conn
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, UnicodeDecodeError) as error:
            raise SourceError(str(self._sentence(error, answered=conn is not None))) from error
        finally:
            if conn is not None:
                conn.terminate()

    def _ssl(self) -> ssl.SSLContext | Literal["prefer", False]:
        if self.tls in ("prefer", "off"):
            return "prefer" if self.tls == "prefer" else False
        context = ssl.create_default_context(cafile=str(self.tls_ca) if self.tls_ca else None)
        if self.tls == "require":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _sentence(self, error: Exception, *, answered: bool) -> object:
        place, reason = f"{self.host}:{self.port}", str(error) or type(error).__name__
        match error:
            case asyncpg.InvalidAuthorizationSpecificationError() | asyncpg.InvalidCatalogNameError():
                return _("The PostgreSQL server at {place} refuses: {reason}", place=place, reason=reason)
            case OSError() | asyncpg.InterfaceError() | asyncpg.PostgresConnectionError() if not answered:
                return _("There is no PostgreSQL server at {place}: {reason}", place=place, reason=reason)
            case (
                OSError()
                | asyncpg.InterfaceError()
                | asyncpg.PostgresConnectionError()
                | asyncpg.OperatorInterventionError()
            ):
                return _(
                    "The connection with the PostgreSQL server at {place} was lost. Nothing was imported.", place=place
                )
            case _:
                return _("PostgreSQL refuses: {reason}", reason=reason)

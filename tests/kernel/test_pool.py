"""The pool: what is acknowledged was committed, and a fallen server is got over."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from kernel.db import pool
from kernel.db.embedded import EmbeddedServer
from kernel.db.pool import Database, DatabaseUnavailable, Stamp
from kernel.site import Site
from kernel.testing import memory_directory

STAMP = Stamp("test")
NOBODY_LISTENS = "postgresql://ebok_app:x@127.0.0.1:9/ebok"

pytestmark = pytest.mark.ebok(plugins=[])


async def test_nobody_there_is_one_line() -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot be reached") as refused:
        await Database(NOBODY_LISTENS).open()
    assert "\n" not in str(refused.value)


async def test_an_old_server_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "OLDEST_SERVER", 99)
    with pytest.raises(DatabaseUnavailable, match=r"PostgreSQL [0-9]+ is too old: ebok needs 99 or newer"):
        await Database(site.db.dsn).open()


async def test_a_transaction_whose_statement_failed_does_not_pass_for_committed(site: Site) -> None:
    async def swallow() -> None:
        async with site.db.transaction(STAMP) as conn:
            with suppress(asyncpg.DivisionByZeroError):
                await conn.fetchval("select 1 / 0")

    with pytest.raises(RuntimeError, match="nothing was committed"):
        await swallow()
    async with site.db.transaction(STAMP) as conn:
        assert await conn.fetchval("select current_setting('ebok.actor')") == "test"


async def test_an_exception_rolls_back_and_is_not_hidden_by_a_lost_connection(site: Site) -> None:
    async def fail() -> None:
        async with site.db.transaction(STAMP) as conn:
            with suppress(asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError):
                await conn.fetchval("select pg_terminate_backend(pg_backend_pid())")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with site.db.connection() as conn:
        assert await conn.fetchval("select 1") == 1, "the pool makes a fresh connection"


async def test_a_cancelled_transaction_leaves_nothing(site: Site) -> None:
    begun = asyncio.Event()

    async def wait() -> None:
        async with site.db.transaction(STAMP) as conn:
            await conn.execute("insert into kernel.setting (plugin, value) values ('lost', '{}'::jsonb)")
            begun.set()
            await conn.fetchval("select pg_sleep(30)")

    task = asyncio.create_task(wait())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with site.db.connection() as conn:
        assert not await conn.fetchval("select exists (select from kernel.setting where plugin = 'lost')")


@pytest.fixture
def home() -> Iterator[Path]:
    path = memory_directory("ebok-test-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
async def own_server(home: Path) -> AsyncIterator[EmbeddedServer]:
    """A server that a test may kill."""
    server = EmbeddedServer(home, durable=False)
    await server.start()
    yield server
    await server.stop()


@pytest.mark.slow
async def test_a_killed_server_comes_back_for_everybody(own_server: EmbeddedServer) -> None:
    endpoints = await own_server.create_database("office")
    database = Database(endpoints.dsn, size=4, before_connect=own_server.ensure_running)

    async def ask() -> int:
        async with database.connection() as conn:
            return await conn.fetchval("select 1")

    async def ask_until_answered() -> int:
        while True:
            with suppress(DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                return await ask()

    assert await asyncio.gather(*(ask() for _ in range(4))) == [1] * 4
    for _kill in range(3):
        killed = own_server.postmaster_pid
        assert killed
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(30):
            # A killed server's processes may answer for a moment; then everybody asks the one that came back.
            while own_server.postmaster_pid in (None, killed):
                assert await asyncio.gather(*(ask_until_answered() for _ in range(8))) == [1] * 8
        assert await asyncio.gather(*(ask_until_answered() for _ in range(8))) == [1] * 8
    await database.close()


async def test_what_hinders_a_restart_is_told_as_unavailable() -> None:
    async def hindered() -> None:
        from kernel.db.embedded import EmbeddedError

        raise EmbeddedError("The disk is full.")

    with pytest.raises(DatabaseUnavailable, match="The disk is full"):
        await Database(NOBODY_LISTENS, before_connect=hindered).open()

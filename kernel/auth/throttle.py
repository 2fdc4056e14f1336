"""How often something may be tried, counted in the database: it survives restarts and holds for all processes.

An attempt is counted before it is known to fail, in a transaction of its own, so a hundred guesses at one moment are
as many attempts as a hundred one after another; success takes the count back.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import Final, LiteralString

from kernel.auth.model import LONGEST_WINDOW, Limit, Throttled
from kernel.db.connection import Connection

ATTEMPT_SQL: Final[LiteralString] = """
insert into kernel.throttle as t (scope, key, attempts, free_at, last_at) values ($1, $2, 1, $3, $3)
on conflict (scope, key) do update set
    attempts = case when t.last_at < $3 - $4::interval then 1 else t.attempts + 1 end, last_at = $3
where t.free_at <= $3
returning attempts"""
FREE_AT_SQL: Final[LiteralString] = "select free_at from kernel.throttle where scope = $1 and key = $2"
DELAY_SQL: Final[LiteralString] = "update kernel.throttle set free_at = $3 where scope = $1 and key = $2"


async def attempt(conn: Connection, limit: Limit, key: str, now: datetime) -> None:
    """Count one attempt. Raises Throttled, counting nothing, while the delay after the last one runs."""
    attempts = await conn.fetchval(ATTEMPT_SQL, limit.scope, key, now, limit.window)
    if attempts is None:
        free_at: datetime = await conn.fetchval(FREE_AT_SQL, limit.scope, key)
        raise Throttled(max(1, ceil((free_at - now).total_seconds())))
    if delay := limit.delay(attempts):
        await conn.execute(DELAY_SQL, limit.scope, key, now + delay)


FORGET_SQL: Final[LiteralString] = "delete from kernel.throttle where scope = $1 and key = $2"


async def forget(conn: Connection, limit: Limit, key: str) -> None:
    """Start anew after a success."""
    await conn.execute(FORGET_SQL, limit.scope, key)


TAKE_BACK_SQL: Final[LiteralString] = """
update kernel.throttle set attempts = attempts - 1, free_at = least(free_at, $3) where scope = $1 and key = $2"""


async def take_back(conn: Connection, limit: Limit, key: str, now: datetime) -> None:
    """Uncount one attempt that succeeded, leaving those of others: an address is shared by many people."""
    await conn.execute(TAKE_BACK_SQL, limit.scope, key, now)


PRUNE_SQL: Final[LiteralString] = "delete from kernel.throttle where last_at < $1 and free_at < $1"


async def prune(conn: Connection, now: datetime) -> None:
    """Remove rows that no longer count."""
    await conn.execute(PRUNE_SQL, now - LONGEST_WINDOW)

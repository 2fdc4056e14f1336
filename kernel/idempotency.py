"""Sending the same form twice does it once: the first answer is kept with the key and given again.

The key is taken inside the request's transaction. A second request with the same key waits on the unique index until
the first one ends: committed, its answer is replayed; rolled back, the second does the work. Nothing is kept of a
refused request, so the person can correct the form and send it again under the same key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

from kernel.db.connection import Connection
from kernel.db.pool import Stamp
from kernel.plugin.contracts import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel.site import Site

LONGEST_KEY: Final = 255
KEPT: Final = timedelta(hours=48)
"""How long answers are kept at least."""

TAKE_SQL: Final[LiteralString] = """
insert into kernel.idempotency_key (actor, key, route, request_hash) values ($1, $2, $3, $4)
on conflict (actor, key) do nothing
returning true
"""

STORED_SQL: Final[LiteralString] = """
select route, request_hash, status, headers, body from kernel.idempotency_key where actor = $1 and key = $2
"""

FINISH_SQL: Final[LiteralString] = """
update kernel.idempotency_key set status = $3, headers = $4, body = $5 where actor = $1 and key = $2
"""

PRUNE_SQL: Final[LiteralString] = """
delete from kernel.idempotency_key where created_at < now() - $1::interval
"""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer that was given under a key. ``headers`` never hold a session's cookie: the caller leaves it out."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


class KeyReused(Exception):
    """The key belongs to another request: other content or another address. Answered with 409."""


def request_hash(*parts: bytes) -> bytes:
    """The fingerprint of a request's content; parts are kept apart by their lengths."""
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


async def begin(conn: Connection, key: str, actor: str, route: str, fingerprint: bytes) -> StoredAnswer | None:
    """Take the actor's ``key`` for this request: None when the work is to be done, the kept answer when it is done.

    Must run inside the transaction that does the work; waits for another one under the same key. Raises KeyReused when
    the key is known from another request, and ValueError for an empty key or one of more than 255 characters.
    """
    if not 1 <= len(key) <= LONGEST_KEY:
        raise ValueError("an idempotency key has 1 to 255 characters")
    while not await conn.fetchval(TAKE_SQL, actor, key, route, fingerprint):
        row = await conn.fetchrow(STORED_SQL, actor, key)
        if row is None:  # pruned in between
            continue
        if (row["route"], row["request_hash"]) != (route, fingerprint) or row["status"] is None:
            raise KeyReused(key)
        return StoredAnswer(row["status"], row["headers"], row["body"])
    return None


async def finish(conn: Connection, key: str, actor: str, answer: StoredAnswer) -> None:
    """Keep the answer of the request that took ``key``, in the same transaction."""
    await conn.execute(FINISH_SQL, actor, key, answer.status, dict(answer.headers), answer.body)


async def prune(site: Site, payload: Mapping[str, Any]) -> None:
    """Forget keys older than 48 hours."""
    async with site.db.transaction(Stamp("worker")) as conn:
        await conn.execute(PRUNE_SQL, KEPT)


def jobs() -> Iterator[Job]:
    yield Job("kernel.prune_idempotency_keys", prune, every=timedelta(hours=1))

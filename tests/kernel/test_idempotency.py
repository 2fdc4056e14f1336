"""Sending the same form twice does it once."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from kernel.db.pool import Stamp
from kernel.idempotency import KeyReused, StoredAnswer, begin, finish, prune, request_hash
from kernel.site import Site

pytestmark = pytest.mark.ebok(plugins=[])

ANSWER = StoredAnswer(303, {"Location": "/payments"}, "zapłacono".encode())
BODY = request_hash(b"amount=20,00")


async def send(site: Site, *, key: str = "k", actor: str = "7", route: str = "pay", body: bytes = BODY) -> str:
    async with site.db.transaction(Stamp(actor)) as conn:
        stored = await begin(conn, key, actor, route, body)
        if stored is not None:
            assert stored == ANSWER
            return "replayed"
        await asyncio.sleep(0.02)
        await finish(conn, key, actor, ANSWER)
    return "done"


async def test_the_second_request_gets_the_first_answer(site: Site) -> None:
    assert [await send(site), await send(site)] == ["done", "replayed"]


async def test_fifty_at_once_do_it_once(site: Site) -> None:
    assert Counter(await asyncio.gather(*(send(site) for _ in range(50)))) == {"done": 1, "replayed": 49}


async def test_a_request_that_failed_leaves_the_key_free(site: Site) -> None:
    with suppress(ZeroDivisionError):
        async with site.db.transaction(Stamp("7")) as conn:
            assert await begin(conn, "k", "7", "pay", BODY) is None
            raise ZeroDivisionError
    assert await send(site) == "done"


async def test_a_waiting_request_does_the_work_when_the_first_one_fails(site: Site) -> None:
    async def failing() -> None:
        async with site.db.transaction(Stamp("7")) as conn:
            await begin(conn, "k", "7", "pay", BODY)
            await asyncio.sleep(0.1)
            raise ZeroDivisionError

    first = asyncio.create_task(failing())
    await asyncio.sleep(0.03)
    assert await send(site) == "done"
    with pytest.raises(ZeroDivisionError):
        await first


@pytest.mark.parametrize("other", [{"body": request_hash(b"amount=30,00")}, {"route": "send"}])
async def test_the_key_of_another_request_is_refused(site: Site, other: dict[str, Any]) -> None:
    await send(site)
    with pytest.raises(KeyReused):
        await send(site, **other)


async def test_two_people_may_choose_the_same_key(site: Site) -> None:
    assert [await send(site, actor="7"), await send(site, actor="8")] == ["done", "done"]
    assert [await send(site, actor="7"), await send(site, actor="8")] == ["replayed", "replayed"]


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_has_1_to_255_characters(site: Site, key: str) -> None:
    with pytest.raises(ValueError, match="255"):
        await send(site, key=key)


async def test_answers_are_kept_for_two_days(site: Site) -> None:
    await send(site, key="old")
    await send(site, key="new")
    async with site.db.transaction(Stamp("test")) as conn:
        await conn.execute(
            "update kernel.idempotency_key set created_at = now() - interval '49 hours' where key = 'old'"
        )
    await prune(site, {})
    assert [await send(site, key="old"), await send(site, key="new")] == ["done", "replayed"]


def test_parts_of_a_fingerprint_do_not_run_together() -> None:
    assert request_hash(b"ab", b"c") != request_hash(b"a", b"bc")

"""How often something may be tried."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from kernel.auth import throttle
from kernel.auth.model import ACCOUNT, ADDRESS, Limit, Throttled, network_of
from kernel.db.connection import Connection
from kernel.db.pool import Database, Stamp
from kernel.site import Site

pytestmark = pytest.mark.ebok(plugins=[])
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
THREE = Limit("three", 3, timedelta(seconds=10), timedelta(minutes=15), timedelta(days=1))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2ff:3::4", "2001:db8:1:200::/56"),
        ("fe80::1%eth0", "fe80::/56"),
        ("", "unknown"),
        (None, "unknown"),
        ("no address", "unknown"),
    ],
)
def test_one_network_is_one_visitor(address: str | None, network: str):
    assert network_of(address) == network


def test_delays_double_up_to_the_longest():
    seconds = [int(THREE.delay(attempts).total_seconds()) for attempts in (1, 2, 3, 4, 5, 9, 10, 11, 1000)]
    assert seconds == [0, 0, 10, 20, 40, 640, 900, 900, 900]


async def test_attempts_are_free_then_delayed(conn: Connection):
    for _ in range(3):
        await throttle.attempt(conn, THREE, "anna", NOW)
    with pytest.raises(Throttled) as refused:
        await throttle.attempt(conn, THREE, "anna", NOW)
    assert refused.value.retry_after == 10
    await throttle.attempt(conn, THREE, "beata", NOW)
    with pytest.raises(Throttled) as refused:
        await throttle.attempt(conn, THREE, "anna", NOW + timedelta(seconds=9.5))
    assert refused.value.retry_after == 1
    await throttle.attempt(conn, THREE, "anna", NOW + timedelta(seconds=10))
    with pytest.raises(Throttled) as refused:
        await throttle.attempt(conn, THREE, "anna", NOW + timedelta(seconds=10))
    assert refused.value.retry_after == 20


async def test_a_day_of_guessing_is_about_a_hundred_guesses(conn: Connection):
    made, now = 0, NOW
    while now < NOW + timedelta(days=1):
        try:
            await throttle.attempt(conn, ACCOUNT, "anna", now)
            made += 1
        except Throttled as throttled:
            now += timedelta(seconds=throttled.retry_after)
    assert made < 110


async def test_old_attempts_are_forgotten(conn: Connection):
    for _ in range(3):
        await throttle.attempt(conn, THREE, "anna", NOW)
    later = NOW + timedelta(days=1, seconds=1)
    for _ in range(3):
        await throttle.attempt(conn, THREE, "anna", later)


async def test_success_starts_anew(conn: Connection):
    for _ in range(3):
        await throttle.attempt(conn, THREE, "anna", NOW)
    await throttle.forget(conn, THREE, "anna")
    await throttle.attempt(conn, THREE, "anna", NOW)


async def test_a_shared_address_keeps_the_attempts_of_others(conn: Connection):
    for _ in range(ADDRESS.free):
        await throttle.attempt(conn, ADDRESS, "203.0.113.0/24", NOW)
    await throttle.take_back(conn, ADDRESS, "203.0.113.0/24", NOW)
    await throttle.attempt(conn, ADDRESS, "203.0.113.0/24", NOW)
    with pytest.raises(Throttled):
        await throttle.attempt(conn, ADDRESS, "203.0.113.0/24", NOW)


async def test_a_hundred_at_once_are_a_hundred_attempts(site: Site):
    async def one() -> bool:
        async with site.db.transaction(Stamp("test")) as mine:
            await throttle.attempt(mine, THREE, "anna", NOW)
        return True

    results = await asyncio.gather(*(one() for _ in range(100)), return_exceptions=True)
    assert sum(result is True for result in results) == 3
    assert all(result is True or isinstance(result, Throttled) for result in results)


async def test_it_survives_a_restart(site: Site):
    async with site.db.transaction(Stamp("test")) as conn:
        for _ in range(3):
            await throttle.attempt(conn, THREE, "anna", NOW)
    await site.db.close()
    again = Database(site.db.dsn, size=2)
    async with again.connection() as conn:
        with pytest.raises(Throttled):
            await throttle.attempt(conn, THREE, "anna", NOW)
    await again.close()


async def test_nothing_grows_without_bound(conn: Connection):
    for number in range(20):
        await throttle.attempt(conn, THREE, f"stranger {number}", NOW)
    await throttle.attempt(conn, THREE, "today", NOW + timedelta(hours=20))
    await throttle.prune(conn, NOW + timedelta(hours=25))
    assert await conn.fetchval("select array_agg(key) from kernel.throttle") == ["today"]

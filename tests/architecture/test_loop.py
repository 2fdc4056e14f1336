"""Nothing holds the event loop up: every turn of it is short, whatever page is asked for."""

from __future__ import annotations

import asyncio
import time
from asyncio.events import Handle

import pytest

from kernel.auth import passwords
from kernel.db.pool import Stamp
from kernel.plugin.permissions import Role
from kernel.web.templating import compile_templates
from tests.architecture.furnished import Furnished

LONGEST = 0.05
"""Seconds of processor time of one turn of the loop; a neighbour's load does not count."""
PASSWORD = "spokojny-poranek-w-biurze"


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """Turns that took more than half of what is allowed, with what ran in them."""
    long: list[tuple[float, str]] = []
    run = Handle._run  # pyright: ignore[reportPrivateUsage]

    def measured(self: Handle) -> None:
        what = repr(self)
        started = time.thread_time()
        run(self)
        took = time.thread_time() - started
        if took > LONGEST / 2:
            long.append((took, what))

    monkeypatch.setattr(Handle, "_run", measured)
    return long


async def test_no_turn_of_the_loop_is_long(fresh: Furnished, turns: list[tuple[float, str]]) -> None:
    """The first visit of every page and paper; templates are compiled beside the loop when serving begins."""
    await compile_templates(fresh.office.app)
    visited = 0
    slow: list[str] = []
    for role in (None, *Role):
        visitor = await fresh.visitor(role, mode=role is Role.SUPERADMIN)
        for route in fresh.routes("GET"):
            if fresh.may(role, route):
                for path in fresh.paths(route):
                    turns.clear()
                    await visitor.get(path)
                    visited += 1
                    slow += [f"{role} {path}: {took * 1000:.0f} ms in {what}" for took, what in turns if took > LONGEST]
    assert visited > 100
    assert not slow, "\n".join(slow)


async def test_a_login_hashes_elsewhere(fresh: Furnished, turns: list[tuple[float, str]]) -> None:
    await compile_templates(fresh.office.app)
    site = fresh.office.site
    user = int(fresh.there["id"][1])
    async with site.db.transaction(Stamp("test")) as conn:
        hashed = await passwords.hash_password(PASSWORD)
        await conn.execute("update kernel.users set password_hash = $2 where id = $1", user, hashed)
    turns.clear()
    for login, password, status in (("kolega-customer", PASSWORD, 303), ("nobody", "wrong", 422)):
        answer = await (await fresh.newcomer(None)).post("/login", {"login": login, "password": password})
        assert answer.status == status
    assert [turn for turn in turns if turn[0] > LONGEST] == []


async def test_a_blocked_loop_would_be_noticed(turns: list[tuple[float, str]]) -> None:
    async def block() -> None:
        while time.thread_time() < until:
            pass

    until = time.thread_time() + 2 * LONGEST
    await asyncio.create_task(block())
    assert any(took > LONGEST for took, _what in turns)

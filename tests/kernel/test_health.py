"""What the machines that watch over the product are told."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kernel import Check, Connection, Finding, Plugin, _, hookimpl
from kernel.testing import Office

found: list[Finding] = []


async def look(conn: Connection) -> AsyncIterator[Finding]:
    await conn.fetchval("select 1")
    for finding in found:
        yield finding


async def stumble(conn: Connection) -> AsyncIterator[Finding]:
    if any(finding.message == "stumble" for finding in found):
        raise RuntimeError("no idea")
    for finding in ():
        yield finding


watched: Any = types.ModuleType("watched")
watched.plugin = Plugin(api=1)


@hookimpl
def register_checks() -> list[Check]:
    return [
        Check("watched.look", _("Look"), look, ("ready", "doctor")),
        Check("watched.stumble", _("Stumble"), stumble, ("ready",)),
        Check("watched.slow", _("Never asked here"), stumble, ("verify",)),
    ]


watched.register_checks = register_checks

pytestmark = pytest.mark.ebok(plugins=[], modules={"watched": watched})


@pytest.fixture(autouse=True)
def nothing_found() -> None:
    found.clear()


async def test_a_living_process_says_so(office: Office) -> None:
    page = await (await office.visitor()).get("/livez")
    assert (page.status, page.json()) == (200, {"status": "ok"})


async def test_ready_when_no_check_finds_anything_fatal(office: Office) -> None:
    found.append(Finding("a detail", fatal=False))
    page = await (await office.visitor()).get("/readyz")
    assert page.status == 200
    assert page.json()["checks"] == {
        "kernel.database": "ok",
        "watched.look": "ok",
        "watched.stumble": "ok",
    }


@pytest.mark.parametrize(("message", "which"), [("secret detail", "watched.look"), ("stumble", "watched.stumble")])
async def test_not_ready_when_a_check_fails_and_no_word_why(office: Office, message: str, which: str) -> None:
    found.append(Finding(message))
    page = await (await office.visitor()).get("/readyz")
    assert page.status == 503
    assert page.json()["checks"][which] == "failed"
    assert "secret" not in page.text


async def test_not_ready_but_alive_without_a_database(office: Office) -> None:
    await office.site.db.close()
    office.site.db.dsn = office.site.db.dsn.replace("/test_", "/gone_")
    visitor = await office.visitor()
    page = await visitor.get("/readyz")
    assert (page.status, page.json()["checks"]) == (503, {"kernel.database": "failed"})
    assert (await visitor.get("/livez")).status == 200

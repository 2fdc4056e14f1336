"""Whether the process lives, and whether it can serve: for the machines that watch over it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, LiteralString

import asyncpg
import structlog
from aiohttp import web

from kernel.db.pool import DatabaseUnavailable
from kernel.plugin.contracts import Check, Finding, Route
from kernel.plugin.permissions import PUBLIC
from kernel.web.request import CONN, SITE

_log = structlog.get_logger("ebok.health")

REACHABLE_SQL: Final[LiteralString] = "select 1"


def routes() -> Iterable[Route]:
    """The two addresses."""
    yield Route("GET", "/livez", livez, PUBLIC, "kernel.livez")
    yield Route("GET", "/readyz", readyz, PUBLIC, "kernel.readyz")


async def livez(request: web.Request) -> web.Response:
    """The process answers; nothing else is looked at."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200 when every check marked ``ready`` finds nothing fatal, else 503. What was found is told in the log only."""
    try:
        await request[CONN].fetchval(REACHABLE_SQL)
    except (DatabaseUnavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        _log.exception("the database cannot be used")
        return _answer({"kernel.database": False})
    checks = [check for check in request[SITE].registry.checks.values() if "ready" in check.when]
    return _answer({"kernel.database": True, **{check.name: await _passes(request, check) for check in checks}})


async def _passes(request: web.Request, check: Check) -> bool:
    try:
        findings = [one async for one in check.run(request[CONN]) if isinstance(one, Finding)]
    except Exception:
        _log.exception("a check failed", check=check.name)
        return False
    for finding in findings:
        _log.warning("a check found something", check=check.name, finding=finding.message, fatal=finding.fatal)
    return not any(finding.fatal for finding in findings)


def _answer(passed: dict[str, bool]) -> web.Response:
    ready = all(passed.values())
    return web.json_response(
        {
            "status": "ready" if ready else "not ready",
            "checks": {name: "ok" if right else "failed" for name, right in passed.items()},
        },
        status=200 if ready else 503,
    )

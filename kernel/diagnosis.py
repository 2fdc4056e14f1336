"""``ebok verify`` and ``ebok doctor``: prove the data's invariants, and look at everything around the product."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from kernel.app import migrations_of, opened_sites
from kernel.config import Config
from kernel.db import migrate as migrations
from kernel.db.connection import Connection
from kernel.db.embedded import EmbeddedError
from kernel.db.pool import DatabaseUnavailable
from kernel.plugin.contracts import Check, Finding, Progress
from kernel.plugin.manager import bundled, enabled_with_requirements
from kernel.plugin.registry import Registry
from kernel.serve import ServeError, check_exposure, tls_context
from kernel.site import Site
from kernel.terminal import hide_progress, say, say_json, show_progress

Note = Callable[[str, str, list[Finding]], None]
_ROOM: Final = 500 * 2**20
_CLOCK_SECONDS: Final = 5
CHECKS_AT_ONCE: Final = 2
"""While one computes here, the other keeps the database busy."""


async def run_checks(config: Config, registry: Registry, when: Literal["verify", "doctor"], *, as_json: bool) -> int:
    """Run every check of that kind on every organisation; 1 when anything is wrong."""
    results: list[dict[str, object]] = []

    def note(site: str, check: str, findings: list[Finding]) -> None:
        right = not any(finding.fatal for finding in findings)
        results.append(
            {"site": site, "check": check, "ok": right, "findings": [finding.message for finding in findings]}
        )
        if not as_json:
            say(f"{'ok   ' if right else 'WRONG'} {site}: {check}")
            for finding in findings:
                say(f"      {finding.message}")

    if when == "doctor":
        note("ebok", "surroundings", [finding async for finding in _surroundings(config)])
    try:
        async with opened_sites(config, registry) as sites:
            for site in sites:
                await _check_site(site, when, note)
    except (DatabaseUnavailable, EmbeddedError) as error:
        note("ebok", "database", [Finding(str(error))])
    if as_json:
        say_json(results)
    return 0 if all(result["ok"] for result in results) else 1


async def _check_site(site: Site, when: str, note: Note) -> None:
    try:
        async with site.db.connection() as conn:
            waiting = await migrations.pending(conn, migrations_of(site.registry))
            note(site.name, "migrations", [Finding(f"{migration.label} has not run") for migration in waiting])
            if waiting:
                return
            if when == "doctor":
                note(site.name, "clock", [finding async for finding in _clock(conn)])
        free = asyncio.Semaphore(CHECKS_AT_ONCE)
        async with asyncio.TaskGroup() as running:
            checks = [check for check in site.registry.checks.values() if when in check.when]
            tasks = [running.create_task(_findings(check, site, free)) for check in checks]
            for check, task in zip(checks, tasks, strict=True):
                note(site.name, check.name, await task)
    except* (DatabaseUnavailable, migrations.MigrationError) as errors:
        note(site.name, "database", [Finding(text) for text in sorted({str(error) for error in errors.exceptions})])


async def _findings(check: Check, site: Site, free: asyncio.Semaphore) -> list[Finding]:
    """What a check finds, on a connection of its own; how far it has come is shown meanwhile."""
    found: list[Finding] = []
    async with free, site.db.connection() as conn:
        async for one in check.run(conn):
            if isinstance(one, Progress):
                show_progress(check.name, one.done, one.total)
            else:
                found.append(one)
    hide_progress()
    return found


async def _clock(conn: Connection) -> AsyncIterator[Finding]:
    away = (await conn.fetchval("select clock_timestamp()") - datetime.now(UTC)).total_seconds()
    if abs(away) > _CLOCK_SECONDS:
        yield Finding(
            f"The database's clock is {abs(away):.0f} s {'ahead of' if away > 0 else 'behind'} this machine's."
        )


async def _surroundings(config: Config) -> AsyncIterator[Finding]:
    here = Path(__file__).parent
    spec = importlib.util.find_spec("kernel")
    if spec is None or spec.origin is None or Path(spec.origin).parent.resolve() != here.resolve():
        yield Finding("Another installed package overwrote `kernel`.")
    if config.plugins is not None:
        off = [name for name in bundled() if name not in config.plugins]
        for name, why in enabled_with_requirements(bundled(), off)[1].items():
            if why != "switched off" and name in config.plugins:
                yield Finding(f"Plugin {name} is off: {why}.")
    directory = config.data_dir or here
    free = shutil.disk_usage(next(path for path in (directory, *directory.parents) if path.exists())).free
    if free < _ROOM:
        yield Finding(f"Only {free // 2**20} MiB are free on the disk of {directory}.")
    try:
        check_exposure(config.server)
        tls_context(config.server)
    except ServeError as error:
        yield Finding(str(error))
    if not config.mail.host:
        yield Finding("No SMTP server is configured: letters wait in the outbox.", fatal=False)

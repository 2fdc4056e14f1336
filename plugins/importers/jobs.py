"""The work of imports beside the pages: reading, applying, rolling back, and what the schedule asks for.

A run's own transaction keeps all of it or nothing, so work that broke off is simply done again: its state says what.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from kernel import Connection, Job, Site, Stamp, Text, _, enqueue
from plugins.importers import catalogue, engine, store
from plugins.importers.profile import ProfileError

KIND: Final = "importers.work"
EVERY: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
_EARLY: Final = timedelta(minutes=5)
"""The schedule is looked at every ten minutes: so much before the time is in time."""


async def start(
    conn: Connection, profile: str, title: str, *, approve: bool, upload: tuple[str, bytes] | None = None
) -> int | None:
    """Begin a run in the background; None while another one of the profile is under way."""
    if not await store.lock_profile(conn, profile) or await store.under_way(conn, profile):
        return None
    name = upload[0][:200] if upload else ""
    run = await store.begin_run(conn, profile, title, approve=approve, state="queued", file_name=name)
    if upload:
        await store.keep_upload(conn, run, name, upload[1])
    await enqueue(conn, KIND, {"run": run})
    return run


async def work(site: Site, payload: Mapping[str, Any]) -> None:
    """Do what a run's state asks for; nothing when it has ended."""
    number = int(payload["run"])
    async with site.db.connection() as conn:
        run = await store.run_of(conn, number)
    match run.state if run else None:
        case "queued" | "reading":
            await _read(site, number)
        case "applying":
            await engine.apply(site, number)
        case "reverting":
            await engine.revert(site, number, acknowledged=bool(payload.get("acknowledged")))
        case _:
            pass


async def _read(site: Site, number: int) -> None:
    async with site.db.transaction(Stamp("import")) as conn:
        run = await store.run_of(conn, number)
        if run is None or not (run.state == "reading" or await store.move(conn, number, "queued", "reading")):
            return
        upload = await store.upload_of(conn, number)
        one = await catalogue.find(site, conn, run.profile)
    if one is None:
        await _failed(site, number, _("There is no profile «{name}» any more.", name=run.profile))
        return
    try:
        async with catalogue.opened(site, one, upload) as profile:
            await engine.read(site, profile, number, approve=run.approve)
    except ProfileError as error:
        await _failed(site, number, error.text)
    except engine.ImportFailed:
        pass  # the run says why


async def _failed(site: Site, number: int, reason: Text) -> None:
    async with site.db.transaction(Stamp("import")) as conn:
        await store.end_run(conn, number, "failed", reason=reason)
        await store.forget_upload(conn, number)
        await store.forget_progress(conn, number)


async def schedule(site: Site, payload: Mapping[str, Any]) -> None:
    """Begin the runs whose time has come."""
    async with site.db.transaction(Stamp("import")) as conn:
        for one in await catalogue.known(site, conn):
            every = one.profile.head.every if one.profile else None
            if one.profile is None or every is None or one.needs_file:
                continue
            last = await store.last_started(conn, one.name)
            if last is None or site.clock.now() - last >= EVERY[every] - _EARLY:
                await start(conn, one.name, one.title, approve=one.profile.head.approve)


JOBS: Final = (
    Job(KIND, work, attempts=3),
    Job("importers.schedule", schedule, every=timedelta(minutes=10)),
)

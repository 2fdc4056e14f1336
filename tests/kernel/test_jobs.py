"""Durable work: done with the fact that caused it, at least once, and never silently lost."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
import types
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel import Job, Plugin, hookimpl
from kernel.config import Config, ServerConfig
from kernel.db.pool import Database, Stamp
from kernel.jobs import Worker, discard, enqueue, failed_count, install, look_for_failed, retry, troubled, waiting
from kernel.site import Site

done: Counter[str] = Counter()
running = asyncio.Event()
may_end = asyncio.Event()


async def note(site: Site, payload: Mapping[str, Any]) -> None:
    done[payload["name"]] += 1


async def fail(site: Site, payload: Mapping[str, Any]) -> None:
    done["failures"] += 1
    raise RuntimeError("no luck")


async def fail_once(site: Site, payload: Mapping[str, Any]) -> None:
    done["tries"] += 1
    if done["tries"] == 1:
        raise RuntimeError("no luck yet")


async def slow(site: Site, payload: Mapping[str, Any]) -> None:
    done["begun"] += 1
    running.set()
    await may_end.wait()
    done["ended"] += 1


async def tick(site: Site, payload: Mapping[str, Any]) -> None:
    done["ticks"] += 1


work: Any = types.ModuleType("work")
work.plugin = Plugin(api=1)


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job("work.note", note),
        Job("work.fail", fail, attempts=3),
        Job("work.fail_once", fail_once),
        Job("work.slow", slow),
        Job("work.tick", tick, every=timedelta(seconds=1)),
    ]


work.register_jobs = register_jobs

pytestmark = pytest.mark.ebok(plugins=[], modules={"work": work})


@pytest.fixture(autouse=True)
def clean(site: Site) -> None:
    global running, may_end
    done.clear()
    running, may_end = asyncio.Event(), asyncio.Event()


@asynccontextmanager
async def working(*sites: Site, stop_seconds: float = 10) -> AsyncGenerator[Worker]:
    worker = Worker(
        sites,
        Config(server=ServerConfig(stop_seconds=stop_seconds)),
        heartbeat=timedelta(seconds=1.6),
        poll=timedelta(seconds=0.3),
        pause=lambda attempt: timedelta(milliseconds=50 * attempt),
    )
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, 20)


async def until(truth: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not (await value if inspect.isawaitable(value := truth()) else value):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def put(site: Site, kind: str, after: timedelta | None = None, **payload: Any) -> int:
    async with site.db.transaction(Stamp("test")) as conn:
        return await enqueue(conn, kind, payload, after=after)


async def state(site: Site, job: int) -> str | None:
    async with site.db.connection() as conn:
        return await conn.fetchval("select status::text from kernel.pgqueuer where id = $1", job)


async def test_a_job_is_done_and_leaves_the_queue(site: Site) -> None:
    async with working(site):
        job = await put(site, "work.note", name="zażółć")
        await until(lambda: done["zażółć"])
        await until(lambda: gone(site, job))


async def gone(site: Site, job: int) -> bool:
    return await state(site, job) is None


async def test_a_notification_wakes_the_worker_at_once(site: Site) -> None:
    worker = Worker([site], Config(), poll=timedelta(seconds=60))
    task = asyncio.create_task(worker.run())
    try:
        await put(site, "work.note", name="first")
        await until(lambda: done["first"])
        await asyncio.sleep(0.3)
        await put(site, "work.note", name="second")
        await until(lambda: done["second"], 3)
    finally:
        worker.stop()
        await task


async def test_a_rolled_back_fact_causes_no_work(site: Site) -> None:
    async with working(site):
        with suppress(ZeroDivisionError):
            async with site.db.transaction(Stamp("test")) as conn:
                await enqueue(conn, "work.note", {"name": "never"})
                raise ZeroDivisionError
        await put(site, "work.note", name="other")
        await until(lambda: done["other"])
    assert done["never"] == 0


async def test_a_delayed_job_waits(site: Site) -> None:
    async with working(site):
        await put(site, "work.note", timedelta(seconds=1), name="later")
        await asyncio.sleep(0.6)
        assert done["later"] == 0
        await until(lambda: done["later"])


async def test_a_failing_job_is_tried_again(site: Site) -> None:
    async with working(site):
        job = await put(site, "work.fail_once")
        await until(lambda: done["tries"] == 2)
        await until(lambda: gone(site, job))


async def test_a_job_without_hope_stays_and_can_be_retried_and_discarded(site: Site) -> None:
    async with working(site):
        job = await put(site, "work.fail")

        async def failed() -> bool:
            return await state(site, job) == "failed"

        await until(failed)
        assert done["failures"] == 3
        async with site.db.connection() as conn:
            (trouble,) = await troubled(conn)
            assert (trouble.id, trouble.state, trouble.error) == (job, "failed", "no luck")
            assert await failed_count(conn) == 1
            assert [finding.fatal async for finding in look_for_failed(conn)] == [False]
            assert [w.failed for w in await waiting(conn) if w.kind == "work.fail"] == [1]
        async with site.db.transaction(Stamp("1", "admin")) as conn:
            assert await retry(conn, job)
            assert not await retry(conn, job)
        await until(lambda: done["failures"] == 6)
        await until(failed)
        async with site.db.transaction(Stamp("1", "admin")) as conn:
            assert await discard(conn, job)
        async with site.db.connection() as conn:
            verbs = await conn.fetch("select verb from kernel.audit_log order by id")
        assert [row["verb"] for row in verbs] == ["kernel.job_retried", "kernel.job_discarded"]


async def test_stopping_lets_a_running_job_finish(site: Site) -> None:
    async with working(site) as worker:
        job = await put(site, "work.slow")
        await asyncio.wait_for(running.wait(), 10)
        worker.stop()
        await asyncio.sleep(0.2)
        may_end.set()
    assert (done["begun"], done["ended"]) == (1, 1)
    assert await state(site, job) is None


async def test_a_job_that_does_not_finish_in_time_returns_to_the_queue(site: Site) -> None:
    async with working(site, stop_seconds=0.6):
        job = await put(site, "work.slow")
        await asyncio.wait_for(running.wait(), 10)
    assert await state(site, job) == "queued"
    may_end.set()
    async with working(site):
        await until(lambda: done["ended"] == 1)


async def test_a_cancelled_worker_loses_no_job(site: Site) -> None:
    worker = Worker([site], Config(server=ServerConfig(stop_seconds=0.2)))
    task = asyncio.create_task(worker.run())
    job = await put(site, "work.slow")
    await asyncio.wait_for(running.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await state(site, job) == "queued"


async def test_several_workers_share_jobs_without_doing_one_twice(site: Site) -> None:
    async with site.db.transaction(Stamp("test")) as conn:
        for number in range(200):
            await enqueue(conn, "work.note", {"name": f"n{number}"})
    async with working(site), working(site), working(site):
        await until(lambda: sum(done[f"n{number}"] for number in range(200)) >= 200)
        await asyncio.sleep(0.5)
    assert {done[f"n{number}"] for number in range(200)} == {1}


async def test_a_scheduled_job_runs_once_for_all_workers(site: Site) -> None:
    async with working(site), working(site), working(site):
        await asyncio.sleep(3.5)
    assert 2 <= done["ticks"] <= 5


async def test_an_organisation_that_cannot_be_reached_does_not_hold_up_another(site: Site) -> None:
    lost = Site("lost", frozenset(), Database(site.db.dsn.replace("/test_", "/gone_"), size=2), site.registry)
    async with working(lost, site):
        await put(site, "work.note", name="served")
        await until(lambda: done["served"])


async def test_the_worker_survives_the_loss_of_its_connection(site: Site) -> None:
    async with working(site):
        await put(site, "work.note", name="before")
        await until(lambda: done["before"])
        async with site.db.connection() as conn:
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'ebok worker' and datname = current_database()"
            )
        await put(site, "work.note", name="after")
        await until(lambda: done["after"])


VICTIM = """
import asyncio, sys
sys.path.insert(0, {here!r})
import test_jobs
from kernel.config import Config
from kernel.db.pool import Database
from kernel.jobs import Worker
from kernel.site import Site
from kernel.testing import registry_of

async def main():
    site = Site("test", frozenset(), Database({dsn!r}, size=2), registry_of([], {{"work": test_jobs.work}}))
    worker = asyncio.create_task(Worker([site], Config()).run())
    while not test_jobs.running.is_set():
        await asyncio.sleep(0.02)
    print("running", flush=True)
    await worker

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_job_of_a_killed_worker_returns(site: Site) -> None:
    job = await put(site, "work.slow")
    victim = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        VICTIM.format(here=str(Path(__file__).parent), dsn=site.db.dsn),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert victim.stdout is not None
    assert await asyncio.wait_for(victim.stdout.readline(), 30) == b"running\n"
    victim.send_signal(signal.SIGKILL)
    await victim.wait()
    assert await state(site, job) == "picked"
    may_end.set()
    async with working(site):
        await until(lambda: done["ended"] == 1)


async def test_installing_again_changes_nothing(site: Site) -> None:
    from kernel.db.migrate import connect

    owner = await connect(site.owner_dsn)
    try:
        await install(owner)
    finally:
        await owner.close()

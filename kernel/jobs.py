"""Durable work: enqueued with the fact that caused it, done by a worker, tried again when it fails.

The queue is PgQueuer, kept in the schema ``kernel``; nobody else needs to know. A job runs at least once: after a crash
of its worker another one takes it up when its heartbeat is older than ``HEARTBEAT``. A job that failed in every attempt
stays, marked as failed, until somebody in the console retries or discards it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, LiteralString, Protocol, TypeVar

import asyncpg
import structlog

from kernel.audit import audit
from kernel.db.connection import Connection
from kernel.db.pool import DatabaseUnavailable, Stamp
from kernel.i18n import _, ngettext, speaking
from kernel.plugin.contracts import Check, Finding, Job, Verb
from kernel.settings import CHANNEL, forget, fresh, organisation

if TYPE_CHECKING:
    from pgqueuer.adapters.persistence.queries import Queries
    from pgqueuer.domain.models import Context
    from pgqueuer.domain.models import Job as QueuedJob
    from pgqueuer.domain.settings import DBSettings

    from kernel.config import Config
    from kernel.site import Site

_log = structlog.get_logger("ebok.jobs")

HEARTBEAT: Final = timedelta(seconds=30)
"""A picked job whose worker has been silent for this long is given to another one."""
POLL: Final = timedelta(seconds=5)
"""How often the queue is looked at where notifications do not arrive."""
AT_ONCE: Final = 4
"""Jobs of one organisation that run at the same time in one worker."""
LOG_KEPT: Final = timedelta(days=30)
_SCHEDULE_LOOK: Final = 30.0
_LONGEST_PAUSE: Final = 30.0

ENQUEUE_SQL: Final[LiteralString] = """
insert into kernel.pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, status)
values (0, $1, $2, now() + $3::interval, $4, 'queued')
on conflict (dedupe_key)
    where status = any (array['queued'::kernel.pgqueuer_status, 'picked'::kernel.pgqueuer_status])
        and dedupe_key is not null
    do nothing
returning id
"""

INTRODUCE_SQL: Final[LiteralString] = """
insert into kernel.job_schedule (kind, next_run) select kind, now() from unnest($1::text[]) as declared (kind)
on conflict (kind) do nothing
"""

DUE_SQL: Final[LiteralString] = """
update kernel.job_schedule planned
set next_run = case when planned.next_run + every > now() and planned.next_run <= now()
                    then planned.next_run + every else now() + every end
from unnest($1::text[], $2::interval[]) as declared (kind, every)
where planned.kind = declared.kind and (planned.next_run <= now() or planned.next_run > now() + every)
returning planned.kind
"""

FORGET_FAILED_RUNS_SQL: Final[LiteralString] = """
delete from kernel.pgqueuer where dedupe_key = $1 and status = 'failed'
"""

RETRY_SQL: Final[LiteralString] = """
update kernel.pgqueuer
set status = 'queued', attempts = 0, execute_after = now(), updated = now(), queue_manager_id = null
where id = $1 and status = 'failed'
returning entrypoint
"""

DISCARD_SQL: Final[LiteralString] = """
delete from kernel.pgqueuer where id = $1 and status = 'failed' returning entrypoint
"""

WAITING_SQL: Final[LiteralString] = """
select entrypoint as kind,
       count(*) filter (where status = 'queued') as queued,
       count(*) filter (where status = 'picked') as running,
       count(*) filter (where status = 'failed') as failed,
       min(created) filter (where status = 'queued' and execute_after <= now()) as oldest
from kernel.pgqueuer
group by entrypoint
order by entrypoint
"""

FAILED_COUNT_SQL: Final[LiteralString] = "select count(*) from kernel.pgqueuer where status = 'failed'"

TROUBLED_SQL: Final[LiteralString] = """
select job.id, job.entrypoint as kind, job.status::text as state, job.attempts, job.created, job.updated,
       job.execute_after, coalesce(latest.traceback ->> 'exception_message', '') as error
from kernel.pgqueuer job
left join lateral (
    select log.traceback from kernel.pgqueuer_log log
    where log.job_id = job.id and log.traceback is not null
    order by log.created desc limit 1
) latest on true
where job.status = 'failed' or job.attempts > 0
order by job.status = 'failed' desc, job.id desc
limit $1
"""

PRUNE_LOG_SQL: Final[LiteralString] = "delete from kernel.pgqueuer_log where created < now() - $1::interval"
PRUNE_STATISTICS_SQL: Final[LiteralString] = (
    "delete from kernel.pgqueuer_statistics where created < now() - $1::interval"
)


async def enqueue(
    conn: Connection, kind: str, payload: Mapping[str, Any] | None = None, *, after: timedelta | None = None
) -> int:
    """Have work done once this transaction commits, and not at all if it rolls back; returns the job's id.

    ``payload`` is plain JSON: ids rather than data, for it may be kept for days. ``after`` delays the first attempt.
    """
    content = json.dumps(payload or {}, separators=(",", ":"), ensure_ascii=False).encode()
    return await conn.fetchval(ENQUEUE_SQL, kind, content, after or timedelta(), None)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much of one kind of work there is; ``oldest`` is when the oldest job that could run was enqueued."""

    kind: str
    queued: int
    running: int
    failed: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Troubled:
    """A job that failed at least once. ``state``: queued (waits for its next attempt), picked or failed (for good)."""

    id: int
    kind: str
    state: str
    attempts: int
    created: datetime
    updated: datetime
    execute_after: datetime
    error: str


async def waiting(conn: Connection) -> Sequence[Waiting]:
    """The queue by kinds of work."""
    return [Waiting(**row) for row in await conn.fetch(WAITING_SQL)]


async def troubled(conn: Connection, limit: int = 100) -> Sequence[Troubled]:
    """Jobs that failed, those without hope first, each with its last error."""
    return [Troubled(**row) for row in await conn.fetch(TROUBLED_SQL, limit)]


async def failed_count(conn: Connection) -> int:
    """How many jobs failed for good."""
    return await conn.fetchval(FAILED_COUNT_SQL)


async def retry(conn: Connection, job: int) -> bool:
    """Give a failed job all its attempts again; False when there is no such failed job."""
    return await _decide(conn, RETRY_SQL, "kernel.job_retried", job)


async def discard(conn: Connection, job: int) -> bool:
    """Remove a failed job without doing it; False when there is no such failed job."""
    return await _decide(conn, DISCARD_SQL, "kernel.job_discarded", job)


async def _decide(conn: Connection, statement: LiteralString, verb: str, job: int) -> bool:
    kind = await conn.fetchval(statement, job)
    if kind is not None:
        await audit(conn, verb, subject=f"job {job}", kind=kind, job=job)
    return kind is not None


@cache
def _names() -> DBSettings:
    """Every name is given, so that no environment variable of the library's own can move the tables."""
    from pgqueuer.domain.settings import DBSettings
    from pgqueuer.domain.types import Channel

    return DBSettings(
        prefix="",
        db_schema="kernel",
        channel=Channel("ebok_jobs"),
        function="pgqueuer_changed",
        trigger="pgqueuer_changed",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        schedules_table="pgqueuer_schedules",
    )


def _queries(connection: asyncpg.Connection) -> Queries:
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
    from pgqueuer.adapters.persistence import qb
    from pgqueuer.adapters.persistence.queries import Queries

    names = _names()
    return Queries(
        AsyncpgDriver(connection),
        qbe=qb.QueryBuilderEnvironment(names),
        qbq=qb.QueryQueueBuilder(names),
        qbs=qb.QuerySchedulerBuilder(names),
    )


async def install(owner_connection: asyncpg.Connection) -> None:
    """Create the queue's tables in ``kernel``, or bring them to the installed library's version. Safe to repeat.

    A step of its own after the kernel's migrations: an upgrade cannot run inside a transaction. ``owner_connection``
    is not shared and acts as the owner role.
    """
    queries = _queries(owner_connection)
    await owner_connection.execute("select pg_advisory_lock(hashtextextended('ebok jobs', 0))")
    try:
        if await queries.schema_is_installed():
            await queries.upgrade()
        else:
            async with owner_connection.transaction():
                await queries.install(create_schema=False)
                await queries.optimize_autovacuum()
    finally:
        await owner_connection.execute("select pg_advisory_unlock(hashtextextended('ebok jobs', 0))")


def backoff(attempt: int) -> timedelta:
    """The pause after a failed attempt (the first is 1): 10 s, 40 s, 160 s … at most an hour."""
    return min(timedelta(seconds=10 * 4 ** (attempt - 1)), timedelta(hours=1))


class Closing(Protocol):
    """Something that is closed when it is no longer needed."""

    async def close(self) -> None: ...


_C = TypeVar("_C", bound=Closing)
_working: ContextVar[Worker] = ContextVar("ebok_worker")


def current_worker() -> Worker | None:
    """The worker that does the job at hand; None outside jobs."""
    return _working.get(None)


class Worker:
    """Does the jobs of several organisations; one that cannot be reached does not hold up the others.

    ``run`` returns after ``stop``, or ends in the same orderly way when cancelled.
    """

    def __init__(
        self,
        sites: Iterable[Site],
        config: Config,
        *,
        heartbeat: timedelta = HEARTBEAT,
        poll: timedelta = POLL,
        pause: Callable[[int], timedelta] = backoff,
    ) -> None:
        self._sites = tuple(sites)
        self._config = config
        self._kept: dict[Callable[[Config], Any], Any] = {}
        self._heartbeat = heartbeat
        self._poll = poll
        self._pause = pause
        self._stopping = asyncio.Event()
        self._out_of_time = asyncio.Event()

    def keep(self, make: Callable[[Config], _C]) -> _C:
        """What ``make`` made of the deployment's configuration, once for this worker, which closes it at its end."""
        if make not in self._kept:
            self._kept[make] = make(self._config)
        return self._kept[make]

    def stop(self) -> None:
        """Take no more jobs; let running ones finish, or return them to the queue after half of server.stop_seconds."""
        if not self._stopping.is_set():
            self._stopping.set()
            asyncio.get_running_loop().call_later(self._config.server.stop_seconds / 2, self._out_of_time.set)

    async def run(self) -> None:
        """Work until ``stop`` is called."""
        _working.set(self)
        work = asyncio.ensure_future(asyncio.gather(*(self._serve(site) for site in self._sites)))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self.stop()
            await work
            raise
        finally:
            for resource in self._kept.values():
                await resource.close()

    async def _serve(self, site: Site) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = asyncio.get_running_loop().time()
            try:
                await self._work(site)
            except Exception as error:
                lasted = asyncio.get_running_loop().time() - started
                failures = 1 if lasted > _LONGEST_PAUSE else failures + 1
                _log.warning("the queue cannot be reached", site=site.name, error=str(error), kind=type(error).__name__)
                await self._rest(min(0.5 * 2**failures, _LONGEST_PAUSE))

    async def _work(self, site: Site) -> None:
        from pgqueuer.core.qm import QueueManager

        async with self._dedicated(site) as connection, AsyncExitStack() as ending:
            manager = QueueManager(_queries(connection), channel=_names().channel)
            for job in site.registry.jobs.values():
                manager.register_executor(job.kind, _executor(site, job, self._out_of_time, self._pause))

            def changed(*notification: object) -> None:
                forget(site)

            await connection.add_listener(CHANNEL, changed)
            for companion in (self._stop_with(manager.shutdown), self._plan(site)):
                ending.push_async_callback(_ended, asyncio.create_task(companion))
            await manager.run(
                dequeue_timeout=self._poll,
                batch_size=AT_ONCE // 2,
                max_concurrent_tasks=AT_ONCE,
                heartbeat_timeout=self._heartbeat,
            )

    async def _stop_with(self, shutdown: asyncio.Event) -> None:
        await self._stopping.wait()
        shutdown.set()

    async def _plan(self, site: Site) -> None:
        """Enqueue scheduled jobs when they are due; each time one of all workers does it."""
        planned = {job.kind: job.every for job in site.registry.jobs.values() if job.every is not None}
        if not planned:
            return
        look = min(_SCHEDULE_LOOK, *(every.total_seconds() for every in planned.values()))
        introduced = False
        while not self._stopping.is_set():
            try:
                async with site.db.transaction(Stamp("worker")) as conn:
                    if not introduced:
                        await conn.execute(INTRODUCE_SQL, list(planned))
                    for row in await conn.fetch(DUE_SQL, list(planned), list(planned.values())):
                        only_one = f"scheduled:{row['kind']}"
                        await conn.execute(FORGET_FAILED_RUNS_SQL, only_one)
                        await conn.fetchval(ENQUEUE_SQL, row["kind"], b"{}", timedelta(), only_one)
                introduced = True
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DatabaseUnavailable) as error:
                _log.warning("scheduled jobs wait", site=site.name, error=str(error))
            await self._rest(look)

    @asynccontextmanager
    async def _dedicated(self, site: Site) -> AsyncGenerator[asyncpg.Connection]:
        """A connection of the worker's own, for notifications and the queue."""
        async with site.db.connection():
            pass  # starts the embedded server again if it has died
        straight = self._config.database.listen_dsn.get_secret_value() if len(self._sites) == 1 else ""
        connection = await asyncpg.connect(
            straight or site.db.dsn, timeout=10, server_settings={"application_name": "ebok worker", "timezone": "UTC"}
        )
        try:
            yield connection
        finally:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=5)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _executor(site: Site, job: Job, out_of_time: asyncio.Event, pause: Callable[[int], timedelta]) -> Any:
    from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
    from pgqueuer.domain.errors import RetryRequested

    async def handle(queued: QueuedJob) -> None:
        await fresh(site)
        with (
            structlog.contextvars.bound_contextvars(site=site.name, job=job.kind, job_id=queued.id),
            speaking(organisation(site).language),
        ):
            await job.handler(site, json.loads(queued.payload or b"{}"))

    class Executor(AbstractEntrypointExecutor):
        async def execute(self, job: QueuedJob, context: Context) -> None:
            work = asyncio.create_task(handle(job))
            late = asyncio.create_task(out_of_time.wait())
            try:
                await asyncio.wait({work, late}, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                pass  # the library would drop a cancelled job; it returns to the queue instead
            finally:
                late.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
            self.judge(job, work)

        def judge(self, queued: QueuedJob, work: asyncio.Task[None]) -> None:
            if work.cancelled():
                raise RetryRequested(timedelta(), "the worker stopped before the job was done")
            error = work.exception()
            if error is None:
                return
            attempt = queued.attempts + 1
            if attempt >= job.attempts:
                raise error
            raise RetryRequested(pause(attempt), f"{type(error).__name__}: {error}") from error

    return Executor(EntrypointExecutorParameters(concurrency_limit=0, func=handle, on_failure="hold"))


async def prune_log(site: Site, payload: Mapping[str, Any]) -> None:
    """Forget what the queue did more than 30 days ago."""
    async with site.db.transaction(Stamp("worker")) as conn:
        await conn.execute(PRUNE_LOG_SQL, LOG_KEPT)
        await conn.execute(PRUNE_STATISTICS_SQL, LOG_KEPT)


async def look_for_failed(conn: Connection) -> AsyncGenerator[Finding]:
    """Jobs that wait for a person's decision."""
    if count := await failed_count(conn):
        yield Finding(str(ngettext("{count} failed job", "{count} failed jobs", count)), fatal=False)


def checks() -> Iterator[Check]:
    yield Check("kernel.failed_jobs", _("Jobs that failed for good"), look_for_failed)


def jobs() -> Iterator[Job]:
    yield Job("kernel.prune_job_log", prune_log, every=timedelta(days=1))


def verbs() -> Iterator[Verb]:
    yield Verb("kernel.job_retried", _("retried the failed job {kind}"))
    yield Verb("kernel.job_discarded", _("discarded the failed job {kind}"))

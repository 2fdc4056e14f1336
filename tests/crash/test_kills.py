"""Power cuts: web, worker and database are killed outright while the office enters and approves payments.

What was acknowledged must be there exactly once. ``CRASH_SEED`` repeats a run, ``CRASH_KILLS`` makes it longer.
"""

# ruff: noqa: S311 - the chances are repeatable, not secret

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, CookieJar

from kernel.db.embedded import EmbeddedServer
from kernel.db.pool import Database, Stamp
from kernel.jobs import enqueue
from tests.processes import ROOT, Ebok

PROFILE: Final = ROOT / "docs" / "examples" / "chinook.toml"
CLERKS: Final = ("anna", "basia", "celina", "dorota")
PASSWORD = "spokojny poranek w biurze"
KILLS: Final = int(os.environ.get("CRASH_KILLS", "21"))
SECONDS: Final = 200.0
"""How long the kills may take before the run counts as stuck."""
AGAIN: Final = (503,)
"""Answers after which a person sends the form again."""
TARGETS: Final = ("web", "worker", "postmaster")

_KEY: Final = re.compile(r'name="_key" value="([^"]+)"')
_ENTRY: Final = re.compile(r"/admin/entries/([0-9]+)")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(420),
    pytest.mark.skipif(sys.platform == "win32", reason="the embedded server needs Linux or macOS"),
]


@dataclass(slots=True)
class Kept:
    """A process that is started again whenever it was killed. Ending by itself is a failure."""

    ebok: Ebok
    arguments: tuple[str, ...]
    process: asyncio.subprocess.Process | None = None
    log: list[str] = field(default_factory=list[str])
    readers: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def start(self) -> None:
        self.process = await self.ebok.start(*self.arguments)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            self.readers.append(asyncio.create_task(self._read(stream)))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        with suppress(ValueError):  # a line longer than the reader's buffer is nothing that matters here
            while line := await stream.readline():
                self.log.append(line.decode(errors="replace"))

    async def kill_and_start_again(self) -> None:
        assert self.process is not None
        killed, self.process = self.process, None
        killed.kill()
        await killed.wait()
        await self.start()

    async def stays(self) -> None:
        """Fails when the process ends by itself."""
        while True:
            if self.process is not None:
                watched = self.process
                await watched.wait()
                assert watched is not self.process, f"{' '.join(self.arguments)} ended by itself:\n{self.tail()}"
            await asyncio.sleep(0.05)

    async def stop(self) -> int:
        """Stop gently and tell the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        try:
            code = await asyncio.wait_for(self.process.wait(), 60)
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
        await asyncio.gather(*self.readers, return_exceptions=True)
        return code

    def tail(self) -> str:
        return "".join(self.log[-40:])


@dataclass(slots=True)
class Books:
    """What the clients were told. Titles are unique: one per payment that a client meant to enter."""

    entered: dict[str, int] = field(default_factory=dict[str, int])
    approved: set[int] = field(default_factory=set[int])
    meant: set[str] = field(default_factory=set[str])
    repeated: int = 0
    acknowledged: asyncio.Condition = field(default_factory=asyncio.Condition)
    count: int = 0
    closing: bool = False

    async def note(self) -> None:
        async with self.acknowledged:
            self.count += 1
            self.acknowledged.notify_all()

    async def after(self, more: int) -> None:
        """Wait until so many more submissions were acknowledged."""
        async with self.acknowledged:
            wanted = self.count + more
            await self.acknowledged.wait_for(lambda: self.count >= wanted)


@dataclass(slots=True)
class Clerk:
    """Somebody of the office at a browser, who sends an unanswered form again as it was."""

    name: str
    origin: str
    http: ClientSession
    books: Books
    chance: random.Random

    async def page(self, path: str) -> str:
        """A page, asked for until it comes."""
        while True:
            with suppress(ClientError, TimeoutError, ConnectionError):
                async with self.http.get(self.origin + path, allow_redirects=False) as answer:
                    text = await answer.text()
                    if answer.status == 200:
                        return text
                    assert answer.status in AGAIN, f"{path}: {answer.status} {answer.headers.get('Location')}\n{text}"
            await asyncio.sleep(0.1)

    async def send(self, path: str, form: list[tuple[str, str]]) -> str:
        """Send a form, the same one until it is answered; where the answer leads."""
        sendings = 0
        headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        while True:
            sendings += 1
            with suppress(ClientError, TimeoutError, ConnectionError):
                async with self.http.post(
                    self.origin + path, data=form, headers=headers, allow_redirects=False
                ) as answer:
                    if answer.status == 303:
                        self.books.repeated += sendings > 1
                        return answer.headers["Location"]
                    if answer.status == 429:  # logins cut off by a kill count as attempts
                        await asyncio.sleep(int(answer.headers["Retry-After"]))
                        continue
                    assert answer.status in AGAIN, f"POST {path}: {answer.status}\n{await answer.text()}"
            await asyncio.sleep(0.1)

    async def log_in(self) -> None:
        await self.page("/login")
        await self.send("/login", [("login", self.name), ("password", PASSWORD)])

    async def work(self) -> None:
        """Enter payments one after another; approve each on its page, or several in the list."""
        await self.log_in()
        number = 0
        while not self.books.closing:
            batch = [await self.enter(number + step) for step in range(self.chance.randint(1, 3))]
            number += len(batch)
            if len(batch) == 1:
                await self.approve(f"/admin/entries/{batch[0]}", [])
            else:
                await self.approve("/admin/payments", [("ids", str(entry)) for entry in batch])
            self.books.approved.update(batch)

    async def enter(self, number: int) -> int:
        title = f"{self.name}-{number}"
        self.books.meant.add(title)
        form = await self.page("/admin/payments/new")
        day = re.search(r'name="value_date"[^>]* value="([^"]+)"', form)
        assert day, "the form offers a day"
        where = await self.send(
            "/admin/payments/new",
            [
                ("_key", _key(form)),
                ("customer_no", str(self.chance.randint(1, 59))),
                ("amount", f"{self.chance.randint(1, 90)},{self.chance.randint(10, 99)}"),
                ("value_date", day[1]),
                ("title", title),
                ("channel", "cash"),
            ],
        )
        found = _ENTRY.search(where)
        assert found, where
        self.books.entered[title] = int(found[1])
        await self.books.note()
        return int(found[1])

    async def approve(self, path: str, chosen: list[tuple[str, str]]) -> None:
        await self.send(path, [("_key", _key(await self.page(path))), *chosen])
        await self.books.note()


def _key(page: str) -> str:
    keys = _KEY.findall(page)
    assert keys, f"no idempotency key on the page:\n{page}"
    return keys[-1]


@pytest.fixture
async def seed() -> int:
    chosen = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randint(1, 10**6)
    print(f"CRASH_SEED={chosen}")  # noqa: T201 - shown when the test fails
    return chosen


@pytest.fixture
async def office(ebok: Ebok) -> AsyncIterator[tuple[Kept, Kept, str]]:
    """Web and worker as processes of their own on one data directory with imported customers; and the address."""
    await ebok.ok("migrate")
    await ebok.ok("import", "run", str(PROFILE), "--approve")
    for name in CLERKS:
        await ebok.ok("user", "add", name, "--role", "admin", "--password-stdin", stdin=PASSWORD)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    web, worker = Kept(ebok, ("serve", "--no-worker", "--port", str(port))), Kept(ebok, ("worker",))
    await web.start()
    await worker.start()
    yield web, worker, f"http://127.0.0.1:{port}"
    for kept in (web, worker):
        if kept.process is not None and kept.process.returncode is None:
            await kept.stop()
    await asyncio.to_thread(_end_server, ebok.data_dir)


def _end_server(data_dir: Path) -> None:
    """Stop a server that a failed test left without anybody."""
    server = EmbeddedServer(data_dir)
    deadline = time.monotonic() + 10
    if pid := server.postmaster_pid:
        os.kill(pid, signal.SIGQUIT)
    while server.postmaster_pid and time.monotonic() < deadline:
        time.sleep(0.05)


async def test_what_was_acknowledged_is_there_once(ebok: Ebok, office: tuple[Kept, Kept, str], seed: int) -> None:
    web, worker, origin = office
    chance, began = random.Random(seed), time.monotonic()
    books = Books()
    embedded = EmbeddedServer(ebok.data_dir)
    timeout = ClientTimeout(total=30)
    clerks = [
        Clerk(
            name,
            origin,
            ClientSession(cookie_jar=CookieJar(unsafe=True), timeout=timeout),
            books,
            random.Random(seed + index),
        )
        for index, name in enumerate(CLERKS)
    ]
    victims = [TARGETS[index % len(TARGETS)] for index in range(KILLS)]
    chance.shuffle(victims)

    async def disturb() -> None:
        for victim in victims:
            await books.after(chance.randint(1, 5))
            await asyncio.sleep(chance.uniform(0, 0.15))
            match victim:
                case "web":
                    await web.kill_and_start_again()
                case "worker":
                    await worker.kill_and_start_again()
                case _:
                    if pid := embedded.postmaster_pid:
                        os.kill(pid, signal.SIGKILL)
        await books.after(len(CLERKS))
        books.closing = True

    done = asyncio.gather(disturb(), *(clerk.work() for clerk in clerks))
    tasks = (done, *(asyncio.create_task(kept.stays()) for kept in (web, worker)))
    try:
        async with asyncio.timeout(SECONDS):
            for task in (await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))[0]:
                task.result()
    except TimeoutError:
        pytest.fail(f"stuck after {books.count} answers:\n{web.tail()}\n{worker.tail()}")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for clerk in clerks:
            await clerk.http.close()
        for line in [line for line in web.log if '"exception"' in line][-3:]:
            print(line)  # noqa: T201

    print(f"{KILLS} kills in {time.monotonic() - began:.0f} s")  # noqa: T201
    rows = await _rows(ebok.data_dir)
    await _a_job_is_done(ebok.data_dir)
    assert worker.process is not None
    assert worker.process.returncode is None, f"the worker ended by itself:\n{worker.tail()}"
    assert await web.stop() == 0, web.tail()
    assert await worker.stop() == 0, worker.tail()
    assert embedded.postmaster_pid is None, "whoever leaves last stops the server"

    times = Counter(row["title"] for row in rows)
    state = {row["id"]: row["state"] for row in rows}
    assert {title: times[title] for title in books.entered if times[title] != 1} == {}, "acknowledged: there once"
    assert [title for title, count in times.items() if count > 1 or title not in books.meant] == [], "nothing twice"
    assert {entry for entry in books.entered.values() if entry not in state} == set(), "under its own number"
    assert {entry for entry in books.approved if state[entry] != "approved"} == set(), "approved, it counts"
    unexpected = [line for line in web.log if '"unexpected error"' in line]
    assert unexpected == [], "killed neighbours are foreseen"

    verified = await ebok.run("verify", "--json")
    assert verified.code == 0, verified.out + verified.err
    print(f"{len(books.entered)} payments, {books.repeated} forms sent again")  # noqa: T201


async def _rows(data_dir: Path) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(EmbeddedServer(data_dir).endpoints("ebok").dsn)
    try:
        return await connection.fetch(
            "select id, title, state from payments.entry where split_part(title, '-', 1) = any ($1)", CLERKS
        )
    finally:
        await connection.close()


async def _a_job_is_done(data_dir: Path) -> None:
    """The worker that is left still works."""
    database = Database(EmbeddedServer(data_dir).endpoints("ebok").dsn, size=2)
    async with database.transaction(Stamp("test")) as conn:
        job = await enqueue(conn, "kernel.prune_idempotency_keys")
    async with asyncio.timeout(90), database.connection() as conn:
        while await conn.fetchval("select exists (select from kernel.pgqueuer where id = $1)", job):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    await database.close()

"""``python -m bench.run``: the logged-in account pages of the product against a bare floor on the same rows.

Both run as processes of their own on the same embedded PostgreSQL. Before anything is timed, every page of the product
is compared with the floor's: the same documents, the same customer and amount, and about the same size. Then they are
asked in interleaved rounds, so that a busy neighbour slows both. What counts is the processor time per request, of the
server's processes and of all PostgreSQL's, and its ratios; rates and waiting times are for reading only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from bench.processes import BenchError, Server, cluster, cpu_seconds, ready, running
from bench.seed import PASSWORD, Seeded, login_of, seed
from kernel.app import registry_of
from kernel.config import Config
from kernel.dates import Clock
from kernel.db.embedded import EmbeddedServer

PAGES: Final = ("/balance", "/")
LOGINS: Final = 20
"""Customers that are logged in and take turns, spread over the whole register, every second one a debtor."""
FLOOR_GOAL: Final = 2.0
SCALE_GOAL: Final = 1.2
SIZE_TOLERANCE: Final = 0.25
_DOCUMENT: Final = re.compile(r"\b(?:NK|WB)/\d{4}-\d\d/\d+")
_FIGURE: Final = re.compile(r'class="figure">(?:<[^>]*>)*([\d\s.,\u00a0\u202f]+)')


@dataclass(slots=True)
class Round:
    """What one target did in one round. Times in milliseconds."""

    requests: int
    seconds: float
    app_cpu: float
    pg_cpu: float
    waits: list[float] = field(repr=False)

    @property
    def cpu(self) -> float:
        """Processor time of one request, the server's and PostgreSQL's together."""
        return (self.app_cpu + self.pg_cpu) / self.requests


@dataclass(slots=True)
class Target:
    """A page of one server at one size of the organisation, with the cookies of its logged-in customers."""

    name: str
    page: str
    customers: int
    server: Server
    tokens: Sequence[str]
    page_bytes: int = 0
    rounds: list[Round] = field(default_factory=list[Round])


def main() -> int:
    """Compare, measure, print. Exit code 0 unless the comparison itself could not be made."""
    options = _options().parse_args()
    if not Path("/proc/self/stat").exists():
        print("bench: processor time is read from /proc, which this system does not have", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_bench(options))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m bench.run", description="The account page against a bare floor.")
    sizes = options.add_argument
    sizes("--customers", default="1000,100000", help="sizes of the organisation (default 1000,100000)")
    sizes("--months", type=int, default=24, help="months of history, two entries each (default 24)")
    sizes("--rounds", type=int, default=10, help="interleaved rounds (default 10)")
    sizes("--seconds", type=float, default=1.5, help="seconds of each page in each round (default 1.5)")
    sizes("--connections", type=int, default=10, help="requests in the air at once (default 10)")
    sizes("--json", type=Path, metavar="F", help="write everything measured as JSON")
    sizes("--data-dir", type=Path, metavar="D", help="keep the databases here, for the next run of the same day")
    return options


async def _bench(options: argparse.Namespace) -> int:
    sizes = [int(size) for size in options.customers.split(",")]
    started_load = os.getloadavg()[0]
    async with cluster(options.data_dir) as (server, scratch):
        seeded = [await _seeded(server, size, options.months) for size in sizes]
        targets = await _measured(server, seeded, scratch, options)
    _report(targets, sizes, started_load)
    if options.json:
        _write(options.json, seeded, targets, sizes)
    return 0


async def _seeded(server: EmbeddedServer, customers: int, months: int) -> Seeded:
    print(f"{customers:,} customers × {months} months …", end=" ", flush=True)
    made = await seed(server, registry_of(Config()), customers, months, Clock().today())
    print(
        f"{made.entries:,} entries, {made.allocations:,} allocations, {made.open_charges:,} open charges, "
        f"{made.debtors:,} debtors, {made.megabytes:,} MB, {made.seconds:.0f} s"
    )
    return made


async def _measured(
    server: EmbeddedServer, seeded: Sequence[Seeded], scratch: Path, options: argparse.Namespace
) -> list[Target]:
    postmaster = server.postmaster_pid
    if postmaster is None:
        raise BenchError("PostgreSQL is not running.")
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=options.connections),
                timeout=aiohttp.ClientTimeout(30),
            )
        )
        targets: list[Target] = []
        for size in seeded:
            environ = {"EBOK_DATABASE__DSN": size.dsn, "EBOK_CONFIG": os.devnull}
            pair: dict[str, Server] = {}
            for name, module in (("floor", ["bench.floor"]), ("ebok", ["kernel", "serve", "--no-worker"])):
                pair[name] = stack.enter_context(running(module, environ, scratch / f"{name}-{size.customers}.log"))
                await ready(client, pair[name])
            tokens = [await _log_in(client, pair["ebok"], customer) for customer in _chosen(size.customers)]
            for page in PAGES:
                both = [Target(name, page, size.customers, pair[name], tokens) for name in ("floor", "ebok")]
                await _compare(client, *both)
                targets += both
        for target in targets:
            await _ask(client, target, 1.0, options.connections, postmaster)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
            for target in targets:
                target.rounds.append(await _ask(client, target, options.seconds, options.connections, postmaster))
    return targets


def _chosen(customers: int) -> list[int]:
    """Every second one is a debtor (a multiple of ten); the others have paid."""
    step = customers // LOGINS // 10 * 10 or 10
    return [number * step + (10 if number % 2 else 7) for number in range(min(LOGINS, customers // step))]


async def _log_in(client: aiohttp.ClientSession, server: Server, customer: int) -> str:
    """The session's token, got through the login form as a browser would."""
    form = {"login": login_of(customer), "password": PASSWORD}
    async with client.post(
        f"{server.url}/login", data=form, headers={"Origin": server.url}, allow_redirects=False
    ) as answer:
        morsel = answer.cookies.get("ebok")
        if answer.status != 303 or morsel is None:
            raise BenchError(f"Logging in as {form['login']} was answered with {answer.status}.")
        return morsel.value


async def _page(client: aiohttp.ClientSession, target: Target, token: str) -> str:
    async with client.get(
        target.server.url + target.page, headers={"Cookie": f"ebok={token}"}, allow_redirects=False
    ) as answer:
        if answer.status != 200:
            raise BenchError(f"{target.name} answered {target.page} with {answer.status}, not with the page.")
        return await answer.text()


async def _compare(client: aiohttp.ClientSession, floor: Target, product: Target) -> None:
    """Refuse to time pages that do not show the same: a login page or an empty one would be very fast."""
    for token, customer in zip(floor.tokens, _chosen(floor.customers), strict=True):
        pages = [await _page(client, target, token) for target in (floor, product)]
        floor.page_bytes, product.page_bytes = (len(page.encode()) for page in pages)
        for what, shown in (
            ("customer number", [login_of(customer) in page for page in pages]),
            ("amount", [_FIGURE.findall(page) for page in pages]),
            ("documents", [sorted(set(_DOCUMENT.findall(page))) for page in pages]),
        ):
            if shown[0] != shown[1] or (not shown[0] and not (what == "documents" and floor.page == "/")):
                raise BenchError(f"{floor.page} of customer {customer}: the {what} differs.\n{shown[0]}\n{shown[1]}")
        if abs(product.page_bytes / floor.page_bytes - 1) > SIZE_TOLERANCE:
            raise BenchError(
                f"{floor.page} of customer {customer}: {product.page_bytes:,} bytes against the floor's "
                f"{floor.page_bytes:,}; bring bench/floor.html up to date."
            )


async def _ask(
    client: aiohttp.ClientSession, target: Target, seconds: float, connections: int, postmaster: int
) -> Round:
    """Ask for a page as often as it is answered for so many seconds."""
    waits: list[float] = []
    turn = iter(range(1 << 60))
    app_before, pg_before = cpu_seconds(target.server.pid), cpu_seconds(postmaster)
    started = time.perf_counter()

    async def visitor() -> None:
        while time.perf_counter() - started < seconds:
            asked = time.perf_counter()
            await _page(client, target, target.tokens[next(turn) % len(target.tokens)])
            waits.append((time.perf_counter() - asked) * 1000)

    await asyncio.gather(*(visitor() for _ in range(connections)))
    took = time.perf_counter() - started
    app, pg = cpu_seconds(target.server.pid) - app_before, cpu_seconds(postmaster) - pg_before
    return Round(len(waits), took, app * 1000, pg * 1000, waits)


# --- what is told ---------------------------------------------------------------------------------------------------


def _median(target: Target, name: str) -> float:
    match name:
        case "rate":
            values = [r.requests / r.seconds for r in target.rounds]
        case "app":
            values = [r.app_cpu / r.requests for r in target.rounds]
        case "pg":
            values = [r.pg_cpu / r.requests for r in target.rounds]
        case "cpu":
            values = [r.cpu for r in target.rounds]
        case _:
            values = [statistics.quantiles(r.waits, n=100)[int(name[1:]) - 1] for r in target.rounds]
    return statistics.median(values)


def _ratio(target: Target, other: Target) -> float:
    """The median of the rounds' ratios of processor time per request: the rounds lie side by side."""
    return statistics.median(mine.cpu / theirs.cpu for mine, theirs in zip(target.rounds, other.rounds, strict=True))


def _goals(targets: Sequence[Target], sizes: Sequence[int]) -> list[tuple[str, float, float]]:
    """What is held to a goal: words, the ratio, the largest one allowed."""
    found = {(target.name, target.page, target.customers): target for target in targets}
    goals: list[tuple[str, float, float]] = []
    for page in PAGES:
        for size in sizes:
            pair = found["ebok", page, size], found["floor", page, size]
            goals.append((f"{page} against the floor, {size:,} customers", _ratio(*pair), FLOOR_GOAL))
        if len(sizes) > 1:
            pair = found["ebok", page, sizes[-1]], found["ebok", page, sizes[0]]
            goals.append((f"{page} of {sizes[-1]:,} against {sizes[0]:,} customers", _ratio(*pair), SCALE_GOAL))
    return goals


def _report(targets: Sequence[Target], sizes: Sequence[int], started_load: float) -> None:
    print(f"\n{'customers':>9}  {'page':9} {'server':6} {'bytes':>7} {'req/s':>6} {'p50 ms':>7} {'p99 ms':>7}", end="")
    print(f" {'app CPU-ms':>10} {'PG CPU-ms':>9} {'sum':>6}")
    for target in targets:
        numbers = [_median(target, name) for name in ("rate", "p50", "p99", "app", "pg", "cpu")]
        print(f"{target.customers:>9,}  {target.page:9} {target.name:6} {target.page_bytes:>7,}", end=" ")
        print("{:>6.0f} {:>7.1f} {:>7.1f} {:>10.2f} {:>9.2f} {:>6.2f}".format(*numbers))
    print()
    for words, ratio, goal in _goals(targets, sizes):
        print(f"{words:48} {ratio:5.2f}×  goal ≤ {goal}×  {'met' if ratio <= goal else 'NOT MET'}")
    print(f"load average {started_load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end")


def _write(file: Path, seeded: Sequence[Seeded], targets: Sequence[Target], sizes: Sequence[int]) -> None:
    measured = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "load": os.getloadavg(),
        "seeded": [{k: v for k, v in asdict(made).items() if k != "dsn"} for made in seeded],
        "goals": [
            {"what": words, "ratio": round(ratio, 3), "goal": goal, "met": ratio <= goal}
            for words, ratio, goal in _goals(targets, sizes)
        ],
        "targets": [
            {
                "server": target.name,
                "page": target.page,
                "customers": target.customers,
                "bytes": target.page_bytes,
                **{name: round(_median(target, name), 3) for name in ("rate", "p50", "p99", "app", "pg", "cpu")},
                "rounds": [
                    {"requests": r.requests, "seconds": r.seconds, "app_ms": r.app_cpu, "pg_ms": r.pg_cpu}
                    for r in target.rounds
                ],
            }
            for target in targets
        ],
    }
    file.write_text(json.dumps(measured, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

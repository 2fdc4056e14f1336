"""``python -m bench.exports``: what the office takes out, against PostgreSQL's bare ``COPY``, and a whole move.

Every export is a run of ``ebok export`` as an operator would start it, with the time, the processor time and the most
memory of its process. The floor is the same select, copied by the server itself into a file, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.processes import BenchError, cluster, cpu_seconds
from bench.seed import seed
from kernel.app import migrate_database, registry_of
from kernel.config import Config
from kernel.dates import Clock
from kernel.db import migrate
from plugins.payments.exports import ENTRIES_SQL

CSV_GOAL: Final = 0.25
"""CSV of every entry runs at least at this share of the speed of the bare copy."""
MEGABYTES: Final = 200
"""The most that a process may hold, however many entries there are."""
FORMATS: Final = ("csv", "csv-excel", "json", "xlsx")
_NOTHING: Final = ("null::text", "null::text", "null::date", "null::date", "null::text", "'approved'")


@dataclass(frozen=True, slots=True)
class Run:
    """One piece of work: seconds, those of the processor (PostgreSQL's included), the most megabytes of its process,
    megabytes of its file."""

    what: str
    seconds: float
    cpu: float
    megabytes: float
    size: float


def main() -> int:
    """Measure and print. Exit code 0 unless something that should work did not."""
    options = _options().parse_args()
    try:
        return asyncio.run(_bench(options))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m bench.exports", description="Exports against a bare COPY.")
    say = options.add_argument
    say("--customers", type=int, default=21_200, help="customers (default 21200: a million entries)")
    say("--months", type=int, default=24, help="months of each customer (default 24)")
    say("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="which formats (all unless given)")
    say("--no-archive", action="store_true", help="leave the move of the whole organisation out")
    say("--json", type=Path, metavar="F", help="write everything measured as JSON")
    say("--data-dir", type=Path, metavar="D", help="keep the filled database here, for the next run of the same day")
    return options


async def _bench(options: argparse.Namespace) -> int:
    registry = registry_of(Config())
    async with cluster(options.data_dir) as (server, scratch):
        print(f"{options.customers:,} customers × {options.months} months …", end=" ", flush=True)
        seeded = await seed(server, registry, options.customers, options.months, Clock().today())
        print(f"{seeded.entries:,} entries, {seeded.seconds:.0f} s", flush=True)
        owner = (await server.create_database(f"bench_{options.customers}_{options.months}")).owner_dsn
        postmaster = server.postmaster_pid
        if postmaster is None:
            raise BenchError("PostgreSQL is not running.")
        runs = [await _copied(owner, postmaster, scratch)]
        for name in options.formats:
            file = scratch / f"entries.{name}"
            runs.append(
                await _ebok(
                    f"{name} of entries", postmaster, seeded.dsn, "", file, "export", "entries", "--format", name
                )
            )
        runs.append(
            await _ebok("csv of balances", postmaster, seeded.dsn, "", scratch / "balances.csv", "export", "balances")
        )
        runs.append(
            await _ebok("csv of open items", postmaster, seeded.dsn, "", scratch / "items.csv", "export", "open-items")
        )
        if not options.no_archive:
            archive = scratch / "archive.zip"
            runs.append(await _ebok("archive made", postmaster, seeded.dsn, "", archive, "export", "all"))
            empty = await server.create_database("bench_moved")
            await migrate_database(empty.owner_dsn, registry)
            runs.append(
                await _ebok(
                    "archive taken in",
                    postmaster,
                    empty.dsn,
                    empty.owner_dsn,
                    archive,
                    "import",
                    "archive",
                    str(archive),
                )
            )
            await server.drop_database("bench_moved")
    _report(runs, seeded.entries)
    if options.json:
        options.json.write_text(
            json.dumps({"entries": seeded.entries, "runs": [asdict(run) for run in runs]}, indent=2) + "\n"
        )
    return 0


async def _copied(dsn: str, postmaster: int, scratch: Path) -> Run:
    """The floor: the server copies the select of the entries into a file by itself."""
    statement = ENTRIES_SQL
    for place, value in enumerate(_NOTHING, 1):
        statement = statement.replace(f"${place}", value)
    conn = await migrate.connect(dsn)
    file = scratch / "bare.csv"
    try:
        cpu, started = cpu_seconds(postmaster) + time.process_time(), time.perf_counter()
        await conn.copy_from_query(statement.replace("::text::text", "::text"), output=file, format="csv", header=True)
        seconds = time.perf_counter() - started
        cpu = cpu_seconds(postmaster) + time.process_time() - cpu
    finally:
        await conn.close()
    return Run("bare COPY of entries", round(seconds, 2), round(cpu, 2), 0, _megabytes(file))


async def _ebok(what: str, postmaster: int, dsn: str, owner_dsn: str, file: Path, *command: str) -> Run:
    environ = {
        **os.environ,
        "EBOK_CONFIG": os.devnull,
        "EBOK_DATABASE__DSN": dsn,
        "EBOK_DATABASE__OWNER_DSN": owner_dsn or dsn,
    }
    output = () if command[0] == "import" else ("--output", str(file))
    log = file.with_name("said.log")

    def run() -> tuple[float, float, float]:
        cpu, started = cpu_seconds(postmaster), time.perf_counter()
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "kernel", *command, *output], env=environ, stdout=said, stderr=subprocess.STDOUT
            )
            _pid, status, used = os.wait4(process.pid, 0)
        seconds, cpu = time.perf_counter() - started, cpu_seconds(postmaster) - cpu + used.ru_utime + used.ru_stime
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise BenchError(f"{what}: exit code {process.returncode}: {log.read_text(errors='replace')[-1000:]}")
        return seconds, cpu, used.ru_maxrss / 1024

    seconds, cpu, megabytes = await asyncio.to_thread(run)
    done = Run(what, round(seconds, 2), round(cpu, 2), round(megabytes), _megabytes(file))
    print(f"{what}: {done.seconds:.1f} s, {done.megabytes:.0f} MB, load {os.getloadavg()[0]:.1f}", flush=True)
    return done


def _megabytes(file: Path) -> float:
    return round(file.stat().st_size / 10**6, 1)


def _report(runs: Sequence[Run], entries: int) -> None:
    bare = runs[0]
    print(f"\n{entries:,} entries, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':24}{'seconds':>9}{'processor':>11}{'memory MB':>11}{'file MB':>9}{'of COPY':>9}{'by cpu':>9}")
    for run in runs:
        print(f"{run.what:24}{run.seconds:>9.1f}{run.cpu:>11.1f}{run.megabytes:>11.0f}{run.size:>9.1f}", end="")
        if run.what.endswith("of entries"):
            print(f"{bare.seconds / run.seconds:>8.2f}×{bare.cpu / run.cpu:>8.2f}×", end="")
        if run.what == "csv of entries":
            print(f"  goal {CSV_GOAL}: {'met' if bare.cpu / run.cpu >= CSV_GOAL else 'missed'}", end="")
        print("" if run.megabytes <= MEGABYTES else f"  more than {MEGABYTES} MB")


if __name__ == "__main__":
    sys.exit(main())

"""Servers as processes of their own, and the processor time that they use, read from ``/proc`` (Linux)."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from kernel.db.embedded import EmbeddedServer

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 90
STOP_SECONDS: Final = 15
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The comparison cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running web server, its address and its root process."""

    url: str
    pid: int
    log: Path

    @property
    def said(self) -> str:
        """The end of its output."""
        return self.log.read_text(errors="replace")[-2000:]


@asynccontextmanager
async def cluster(kept: Path | None) -> AsyncGenerator[tuple[EmbeddedServer, Path]]:
    """A durable PostgreSQL, in ``kept`` or in a directory that is removed, and that directory, for logs."""
    scratch = Path(tempfile.mkdtemp(prefix="ebok-bench-", dir="/tmp"))
    scratch.chmod(0o755)  # noqa: ASYNC240  the server's user must enter
    server = EmbeddedServer(kept or scratch / "data")
    try:
        await server.start()
        yield server, scratch
    finally:
        await server.stop()
        shutil.rmtree(scratch, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@contextmanager
def running(module: Sequence[str], environ: Mapping[str, str], log: Path) -> Generator[Server]:
    """``python -m MODULE… --port N`` inside the block; its output goes to ``log``. Stopped by its process id."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module, "--port", str(port)],
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Server(f"http://{HOST}:{port}", process.pid, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def ready(client: aiohttp.ClientSession, server: Server) -> None:
    """Wait until the server says that it is ready. Raises BenchError with the end of what it said."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and _stat(server.pid):
        try:
            async with client.get(f"{server.url}/readyz") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise BenchError(f"{server.url} ended, or was not ready within {START_SECONDS} s. It said:\n{server.said}")


def cpu_seconds(root: int) -> float:
    """Processor time of a process and all its descendants, those that ended included, user and system."""
    stats = {pid: stat for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if (stat := _stat(pid))}
    tree, found = set[int](), {root}
    while found:
        tree |= found
        found = {pid for pid, stat in stats.items() if stat[0] in found} - tree
    return sum(stats[pid][1] for pid in tree if pid in stats) / _TICKS


def _stat(pid: int) -> tuple[int, int] | None:
    """The parent and the ticks used by a process and by its children that it has waited for; None for a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (int(fields[1]), sum(map(int, fields[11:15]))) if fields[0] not in "ZX" else None

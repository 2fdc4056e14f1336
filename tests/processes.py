"""Real `ebok` processes on a data directory of their own: for stories, kills and refusals."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientError, ClientSession

ROOT = Path(__file__).parents[1]
READY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    def json(self) -> object:
        return json.loads(self.out)


@dataclass(slots=True)
class Serving:
    """A running server."""

    process: asyncio.subprocess.Process
    port: int
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """As a power cut would: no chance to tidy up."""
        os.kill(self.process.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Ebok:
    """The command line, with everything it keeps under ``data_dir``; ``python`` runs it in the directory ``home``."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    python: Path = Path(sys.executable)
    home: Path = ROOT

    def _environment(self) -> dict[str, str]:
        plain = {key: value for key, value in os.environ.items() if not key.startswith("EBOK_")}
        return {**plain, "EBOK_DATA_DIR": str(self.data_dir), "PYTHONUNBUFFERED": "1", **self.environment}

    async def start(self, *arguments: str, stdin: bool = False) -> asyncio.subprocess.Process:
        """Start a command and leave it running."""
        return await asyncio.create_subprocess_exec(
            self.python,
            "-m",
            "kernel",
            *arguments,
            cwd=self.home,
            env=self._environment(),
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str, stdin: str | None = None, seconds: float = 120) -> Done:
        """Run a command to its end."""
        process = await self.start(*arguments, stdin=stdin is not None)
        given = stdin.encode() if stdin is not None else None
        out, err = await asyncio.wait_for(process.communicate(given), seconds)
        return Done(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *arguments: str, stdin: str | None = None) -> Done:
        """Run a command that must succeed."""
        done = await self.run(*arguments, stdin=stdin)
        assert done.code == 0, f"ebok {' '.join(arguments)}: {done.code}\n{done.out}\n{done.err}"
        return done

    @asynccontextmanager
    async def serving(self, *arguments: str) -> AsyncGenerator[Serving]:
        """``ebok serve`` on a free port inside the block, ready; stopped gently at the end."""
        process = await self.start("serve", "--port", "0", *arguments)
        log: list[str] = []
        port = 0
        assert process.stderr is not None
        while not port:
            line = (await asyncio.wait_for(process.stderr.readline(), READY_SECONDS)).decode()
            log.append(line)
            assert line, f"the server ended early:\n{''.join(log)}"
            found = re.search(r'"event": "serving"', line) and re.search(r'"port": ([0-9]+)', line)
            port = int(found[1]) if found else 0
        reader = asyncio.create_task(_drain(process.stderr, log))
        served = Serving(process, port, log)
        try:
            await _ready(served)
            yield served
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), 30)
                except TimeoutError:
                    process.kill()
                    await process.wait()
            reader.cancel()


async def _drain(stream: asyncio.StreamReader, log: list[str]) -> None:
    while line := await stream.readline():
        log.append(line.decode())


async def _ready(served: Serving) -> None:
    async with ClientSession() as http:
        for _attempt in range(READY_SECONDS * 10):
            try:
                async with http.get(f"{served.url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except ClientError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError(f"never ready:\n{''.join(served.log)}")

"""A real MariaDB for tests and benchmarks: its own data directory, a free port on 127.0.0.1, nobody's service."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import Cursor

from kernel.testing import memory_directory

HOST: Final = "127.0.0.1"
PASSWORD: Final = "właściciel'\"#"
"""The password of ``root`` in these servers; with signs that a careless driver or profile breaks on."""

_START_SECONDS: Final = 60
_RUNNER: Final = "nobody"
"""The system user that runs the server when we are root: MariaDB refuses to be root."""


@dataclass(frozen=True, slots=True)
class MariaDB:
    """A running server. ``options`` are what it was started with, to start it again."""

    home: Path
    port: int
    options: tuple[str, ...]

    @property
    def pid(self) -> int:
        """The process of the server."""
        return int((self.home / "server.pid").read_text())

    @contextmanager
    def connected(self, database: str | None = None, charset: str = "utf8mb4") -> Generator[pymysql.Connection[Cursor]]:
        """A connection as ``root`` that may do anything."""
        connection = pymysql.connect(
            host=HOST,
            port=self.port,
            user="root",
            password=PASSWORD.encode(),
            database=database,
            charset=charset,
            client_flag=CLIENT.MULTI_STATEMENTS,
            autocommit=True,
        )
        try:
            yield connection
        finally:
            if connection.open:
                connection.close()

    def run(self, script: str, database: str | None = None) -> None:
        """Run statements separated by semicolons."""
        with self.connected(database) as connection, connection.cursor() as cursor:
            cursor.execute(script)
            while cursor.nextset():
                pass

    def kill(self) -> None:
        """What a power cut does."""
        os.kill(self.pid, signal.SIGKILL)

    def start(self) -> None:
        """Start the server and wait until it answers. Raises RuntimeError with the end of its log."""
        log = self.home / "server.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    "mariadbd",
                    "--no-defaults",
                    f"--datadir={self.home / 'data'}",
                    f"--socket={self.home / 'socket'}",
                    f"--pid-file={self.home / 'server.pid'}",
                    f"--bind-address={HOST}",
                    f"--port={self.port}",
                    "--innodb-use-native-aio=0",  # of which a machine has few
                    *_as_runner(),
                    *self.options,
                ],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection((HOST, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                _PROCESSES[self.home] = process
                return
        process.kill()
        process.wait()
        raise RuntimeError(log.read_text(errors="replace")[-2000:])

    def stop(self) -> None:
        """Stop the server; nothing happens when it is not running."""
        process = _PROCESSES.pop(self.home, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_PROCESSES: Final[dict[Path, subprocess.Popen[bytes]]] = {}


@contextmanager
def mariadb(*options: str) -> Generator[MariaDB]:
    """A server inside the block, its directory removed at the end. ``options`` are mariadbd's."""
    home = memory_directory("ebok-mariadb-")
    server = MariaDB(home, _free_port(), options)
    try:
        _initialise(home)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def available() -> bool:
    """Whether this machine has the server's programs."""
    return shutil.which("mariadbd") is not None and shutil.which("mariadb-install-db") is not None


def _initialise(home: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(home, _RUNNER)
    subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={home / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-use-native-aio=0",
            *_as_runner(),
        ],
        check=True,
        cwd="/",
        capture_output=True,
    )
    password = PASSWORD.replace("'", "''")
    subprocess.run(
        ["mariadbd", "--no-defaults", f"--datadir={home / 'data'}", "--bootstrap", *_as_runner()],
        check=True,
        cwd="/",
        capture_output=True,
        input=f"flush privileges;\nalter user root@localhost identified by '{password}';\n".encode(),
    )


def _as_runner() -> list[str]:
    return [f"--user={_RUNNER}"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]

"""The web process: TLS, a stop that lets work finish, and several processes on one port."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import types
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector, web

from kernel import Job, Plugin, Request, Route, hookimpl
from kernel.auth.passwords import hash_password
from kernel.config import Config, ServerConfig
from kernel.db.pool import Stamp
from kernel.jobs import enqueue
from kernel.people import store as people
from kernel.plugin.permissions import Role
from kernel.serve import ServeError, check_exposure, listening
from kernel.site import Site
from tests.conftest import missing
from tests.processes import Ebok

PASSWORD = "zielona-herbata-w-kuchni"
begun, may_end = asyncio.Event(), asyncio.Event()
ended: list[str] = []


async def slow_page(request: Request) -> web.Response:
    begun.set()
    await may_end.wait()
    return web.Response(text="whole")


async def slow_job(site: Site, payload: Mapping[str, Any]) -> None:
    begun.set()
    await may_end.wait()
    ended.append("job")


slow: Any = types.ModuleType("slow")
slow.plugin = Plugin(api=1)


@hookimpl
def register_routes() -> list[Route]:
    return [Route("GET", "/slow", slow_page, "public", "slow.page")]


@hookimpl
def register_jobs() -> list[Job]:
    return [Job("slow.job", slow_job)]


slow.register_routes, slow.register_jobs = register_routes, register_jobs

pytestmark = pytest.mark.ebok(plugins=[], modules={"slow": slow})


@pytest.fixture(autouse=True)
async def clean() -> None:
    global begun, may_end
    begun, may_end = asyncio.Event(), asyncio.Event()
    ended.clear()


def configured(**server: Any) -> Config:
    return Config(server=ServerConfig(port=0, **server))


# --- exposure and TLS -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_this_machine_needs_no_tls(host: str) -> None:
    check_exposure(ServerConfig(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "bok.example.org"])  # noqa: S104
def test_others_are_served_over_tls_or_behind_a_proxy_only(host: str) -> None:
    with pytest.raises(ServeError) as refused:
        check_exposure(ServerConfig(host=host))
    assert refused.value.code == 2
    check_exposure(ServerConfig(host=host, trusted_proxies=("10.0.0.1",)))
    check_exposure(ServerConfig(host=host, tls_cert=Path("cert.pem"), tls_key=Path("key.pem")))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody vouches for, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("openssl")
    folder = tmp_path_factory.mktemp("tls")
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [str(openssl), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, *names],
        check=True,
        capture_output=True,
    )
    return cert, key


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_https(site: Site, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    async with site.db.transaction(Stamp("test")) as conn:
        hashed = await hash_password(PASSWORD)
        await people.add_user(
            conn, login="helena", role=Role.ADMIN, name="Helena", password_hash=hashed, now=site.clock.now()
        )
    trusting = ssl.create_default_context(cafile=str(cert))
    async with (
        listening(configured(tls_cert=cert, tls_key=key), [site], worker=False) as runner,
        ClientSession(connector=TCPConnector(ssl=trusting)) as browser,
    ):
        origin = f"https://127.0.0.1:{runner.addresses[0][1]}"
        async with browser.get(f"{origin}/login") as page:
            assert page.status == 200
            assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
        form, own = {"login": "helena", "password": PASSWORD}, {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        async with browser.post(f"{origin}/login", data=form, headers=own, allow_redirects=False) as answer:
            assert answer.status == 303
            cookies = answer.headers.getall("Set-Cookie")
        assert [cookie for cookie in cookies if not cookie.startswith("__Host-")] == []
        assert [cookie for cookie in cookies if "; Secure" not in cookie or "; HttpOnly" not in cookie] == []
        assert any(cookie.startswith("__Host-ebok=") for cookie in cookies)
        async with browser.get(f"{origin}/account") as page:
            assert page.status == 200, "the browser sends it back"
    too_old = ssl.create_default_context(cafile=str(cert))
    too_old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with (
        listening(configured(tls_cert=cert, tls_key=key), [site], worker=False) as runner,
        ClientSession(connector=TCPConnector(ssl=too_old)) as old,
    ):
        with pytest.raises(ClientError):
            await old.get(f"https://127.0.0.1:{runner.addresses[0][1]}/login")


# --- the stop -------------------------------------------------------------------------------------------------------


async def test_a_stop_lets_a_running_request_finish_and_takes_no_more(site: Site) -> None:
    async with ClientSession() as browser:
        serving = listening(configured(), [site], worker=False)
        runner = await serving.__aenter__()
        origin = f"http://127.0.0.1:{runner.addresses[0][1]}"

        async def ask() -> str:
            async with browser.get(f"{origin}/slow") as answer:
                return await answer.text()

        asked = asyncio.create_task(ask())
        await begun.wait()
        stopping = asyncio.create_task(serving.__aexit__(None, None, None))
        await asyncio.sleep(0.2)
        assert not stopping.done()
        async with ClientSession() as late:
            with pytest.raises(ClientError):
                await late.get(f"{origin}/livez")
        may_end.set()
        assert await asked == "whole"
        await asyncio.wait_for(stopping, 10)


async def test_a_stop_returns_a_long_job_to_the_queue(site: Site) -> None:
    async with listening(configured(stop_seconds=1), [site]):
        async with site.db.transaction(Stamp("test")) as conn:
            job = await enqueue(conn, "slow.job")
        await asyncio.wait_for(begun.wait(), 20)
    assert ended == []
    async with site.db.connection() as conn:
        assert await conn.fetchval("select status::text from kernel.pgqueuer where id = $1", job) == "queued"
    may_end.set()
    async with listening(configured(), [site]), asyncio.timeout(30), site.db.connection() as conn:
        while await conn.fetchval("select exists (select from kernel.pgqueuer where id = $1)", job):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert ended == ["job"]


# --- processes ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
async def test_two_processes_on_one_port(ebok: Ebok) -> None:
    await ebok.ok("migrate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    supervisor = await ebok.start("serve", "--workers", "2", "--port", str(port))
    drains = [asyncio.create_task(_drained(stream)) for stream in (supervisor.stdout, supervisor.stderr) if stream]
    try:
        first = await _children(supervisor.pid, 2)
        await _answers(port)
        os.kill(min(first), signal.SIGKILL)
        again = await _children(supervisor.pid, 2, without=min(first))
        assert max(first) in again, "the other one goes on"
        await _answers(port)
        supervisor.terminate()
        assert await asyncio.wait_for(supervisor.wait(), 40) == 0
        assert not [pid for pid in again if _parent(pid) is not None], "they stop together"
    finally:
        if supervisor.returncode is None:
            supervisor.kill()
            await supervisor.wait()
        await asyncio.gather(*drains)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
async def test_processes_do_not_outlive_a_killed_supervisor(ebok: Ebok) -> None:
    await ebok.ok("migrate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    supervisor = await ebok.start("serve", "--workers", "2", "--port", str(port))
    drains = [asyncio.create_task(_drained(stream)) for stream in (supervisor.stdout, supervisor.stderr) if stream]
    orphans = await _children(supervisor.pid, 2)
    await _answers(port)
    supervisor.kill()
    await supervisor.wait()
    async with asyncio.timeout(40):
        while any(_parent(pid) is not None for pid in orphans):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.gather(*drains)


async def _drained(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


def _parent(pid: int) -> int | None:
    """The parent of a living process."""
    with suppress(FileNotFoundError, ProcessLookupError):
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return int(parent) if state not in "ZX" else None
    return None


async def _children(parent: int, count: int, *, without: int = 0) -> set[int]:
    """The web processes of a supervisor, once there are so many."""
    async with asyncio.timeout(60):
        while True:
            everybody = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
            found = {pid for pid in everybody if _parent(pid) == parent and pid != without and _is_ours(pid)}
            if len(found) == count:
                return found
            await asyncio.sleep(0.1)


def _is_ours(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return b"kernel" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


async def _answers(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(ClientError, OSError):
                async with ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)

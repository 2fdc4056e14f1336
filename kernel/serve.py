"""The web process: a socket, TLS, signals, and a stop that lets running work finish."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from kernel.app import build_app, by_host, opened_sites, registry_of
from kernel.config import Config, ServerConfig
from kernel.db import migrate as migrations
from kernel.db.pool import ClosedDatabase, DatabaseUnavailable
from kernel.jobs import Worker
from kernel.site import Site
from kernel.web.server import Runner
from kernel.web.templating import compile_templates

_log = structlog.get_logger("ebok.serve")
CHILD: Final = "EBOK_SERVE_CHILD"
"""Tells a web process its number among several and the process id of their supervisor: ``0/4711``."""


class ServeError(Exception):
    """The server cannot start; the message is one line. ``code`` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def check_exposure(server: ServerConfig) -> None:
    """Refuse (code 2) to speak plain HTTP to the world: TLS or declared proxies on any address but loopback."""
    if bool(server.tls_cert) != bool(server.tls_key):
        raise ServeError("TLS needs both a certificate and a key (--tls-cert and --tls-key).", 2)
    if _is_loopback(server.host) or server.tls_cert or server.trusted_proxies:
        return
    raise ServeError(
        f"Refusing to serve plain HTTP on {server.host}: give --tls-cert and --tls-key, or list the proxies that"
        " terminate TLS in server.trusted_proxies.",
        2,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls_context(server: ServerConfig) -> ssl.SSLContext | None:
    """TLS 1.2 and newer from the configured files. Raises ServeError when they cannot be used."""
    if not (server.tls_cert and server.tls_key):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(server.tls_cert, server.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ServeError(f"The certificate or key cannot be used: {error}") from error
    return context


def listening_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound socket. Raises ServeError when the port is taken or not allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ServeError(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --port.") from error
    return sock


def free_port(host: str, wanted: int) -> int:
    """``wanted``, or the next port that nobody listens on (at most 100 further)."""
    for port in range(wanted, wanted + 100):
        with contextlib.suppress(ServeError):
            listening_socket(host, port).close()
            return port
    raise ServeError(f"No free port between {wanted} and {wanted + 99}.")


async def check_migrated(site: Site) -> None:
    """Refuse to serve a database that this version has not migrated."""
    async with site.db.connection() as conn:
        waiting = await migrations.pending(conn, site_migrations(site))
    if waiting:
        raise ServeError(f"The database of {site.name} is not up to date ({waiting[0].label} …): run `ebok migrate`.")


def site_migrations(site: Site) -> list[migrations.Migration]:
    """The migration files of the plugins that the site runs."""
    return migrations.found((plugin.name, plugin.path) for plugin in site.registry.plugins)


async def serve(config: Config, *, worker: bool = True) -> int:
    """Serve until a signal; several processes when configured. Raises ServeError before anything is served."""
    check_exposure(config.server)
    async with opened_sites(config, registry_of(config)) as sites:
        await close_unready(sites)
        if config.server.workers > 1 and CHILD not in os.environ:
            return await _supervise(config.server)
        await serve_sites(config, sites, worker=worker and os.environ.get(CHILD, "0/").startswith("0/"))
    return 0


async def close_unready(sites: Sequence[Site]) -> None:
    """Let one organisation that is not ready not hold up the others: its pages say that it is closed for a moment.

    Raises ServeError, DatabaseUnavailable or MigrationError when there is only that one.
    """
    for site in sites:
        try:
            await check_migrated(site)
        except (ServeError, DatabaseUnavailable, migrations.MigrationError) as error:
            if len(sites) == 1:
                raise
            _log.error("an organisation is not ready", site=site.name, reason=str(error))
            if not isinstance(error, DatabaseUnavailable):  # which may come back
                await site.db.close()
                site.db = ClosedDatabase(site.db.dsn, str(error))


async def serve_sites(config: Config, sites: Sequence[Site], *, worker: bool = True) -> None:
    """Serve opened sites until SIGTERM or SIGINT; then requests finish and jobs go back to the queue."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if CHILD in os.environ:
        _stop_with_parent(int(os.environ[CHILD].partition("/")[2]), stop)
    async with listening(config, sites, worker=worker):
        await stop.wait()
        _log.info("stopping")


def _stop_with_parent(parent: int, stop: asyncio.Event) -> None:
    """A web process whose supervisor was killed outright stops, so that a new one finds the port free."""
    if os.getppid() != parent:
        stop.set()
    elif not stop.is_set():
        asyncio.get_running_loop().call_later(1, _stop_with_parent, parent, stop)


@asynccontextmanager
async def listening(config: Config, sites: Sequence[Site], *, worker: bool = True) -> AsyncGenerator[web.AppRunner]:
    """The product listening on the configured address inside the block."""
    server = config.server
    context = tls_context(server)
    shared = CHILD in os.environ
    sock = listening_socket(server.host, server.port, shared=shared)
    app = build_app(config, by_host(sites), sites[0].registry)
    runner = Runner(app, config)
    await runner.setup()
    await web.SockSite(runner, sock, ssl_context=context, backlog=256).start()
    crew = Worker(sites, config) if worker else None
    running = asyncio.create_task(crew.run()) if crew else None
    settling = asyncio.create_task(_settle(app))
    _log.info("serving", host=server.host, port=sock.getsockname()[1], tls=context is not None, pid=os.getpid())
    try:
        yield runner
    finally:
        settling.cancel()
        if crew and running:
            crew.stop()
        await runner.cleanup()
        if running:
            with contextlib.suppress(asyncio.CancelledError, TimeoutError):
                await asyncio.wait_for(running, server.stop_seconds)


async def _settle(app: web.Application) -> None:
    """Make ready what visitors would wait for; then a full collection passes over what lives as long as the process."""
    await compile_templates(app)
    gc.freeze()


async def work(config: Config) -> int:
    """Do jobs only, until a signal."""
    registry = registry_of(config)
    async with opened_sites(config, registry) as sites:
        await close_unready(sites)
        crew = Worker(sites, config)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, crew.stop)
        await crew.run()
    return 0


async def _supervise(server: ServerConfig) -> int:
    """Run the web processes on one port, start a fallen one again, and stop them together; the first does the jobs."""
    if not server.port:
        raise ServeError("Several web processes need a port of their own: choose one with --port.", 2)
    listening_socket(server.host, server.port).close()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def keep(index: int) -> None:
        while not stop.is_set():
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "kernel", *sys.argv[1:], env={**os.environ, CHILD: f"{index}/{os.getpid()}"}
            )
            waiting = asyncio.create_task(child.wait())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if stop.is_set():
                with contextlib.suppress(ProcessLookupError):
                    child.terminate()
                await waiting
                return
            _log.error("a web process ended and is started again", code=child.returncode)
            await asyncio.sleep(1)

    await asyncio.gather(*(keep(index) for index in range(server.workers)))
    return 0

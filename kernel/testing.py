"""The test kit: a pytest plugin for ebok's own tests and for those of anybody's plugins.

Everything is real: one embedded PostgreSQL per test session, one migrated template database per set of plugins, and a
fresh copy of it for every test that asks for ``site``. Mark a module or a test to choose the plugins:

    pytestmark = pytest.mark.ebok(plugins=["payments", "readings"])

A plugin that is not installed is registered in place: ``pytest.mark.ebok(modules={"readings": readings})``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import ClientSession, CookieJar, web
from yarl import URL

from kernel.app import build_app, make_registry, migrate_database
from kernel.auth import sessions
from kernel.auth.tokens import new_token
from kernel.config import Config, ServerConfig
from kernel.dates import Clock
from kernel.db.connection import Connection
from kernel.db.embedded import EmbeddedServer
from kernel.db.pool import Database, Stamp
from kernel.logs import set_up_logs
from kernel.people import store as people
from kernel.plugin.manager import bundled, describe, in_order, load
from kernel.plugin.permissions import Role
from kernel.plugin.registry import Registry
from kernel.site import Site
from kernel.web.server import Runner

HOST = "127.0.0.1"
_ROOM = 4 << 30
_NO_PASSWORD = "-"  # noqa: S105 (no hash at all: nobody logs in by it)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker that chooses plugins."""
    set_up_logs("text", "warning")
    config.addinivalue_line(
        "markers", "ebok(plugins=None, modules=None): the plugins of the test's site; bundled ones by default"
    )


@dataclass(slots=True)
class Cluster:
    """A PostgreSQL server for tests, with a template database per set of plugins."""

    server: EmbeddedServer
    templates: dict[str, str] = field(default_factory=dict[str, str])
    made: int = 0

    async def template(self, registry: Registry) -> str:
        """The name of a migrated database for these plugins, made on first use."""
        key = ",".join(f"{plugin.name}={plugin.path}" for plugin in registry.plugins)
        if key not in self.templates:
            name = f"template_{hashlib.sha256(key.encode()).hexdigest()[:12]}"
            endpoints = await self.server.create_database(name)
            await migrate_database(endpoints.owner_dsn, registry)
            self.templates[key] = name
        return self.templates[key]

    @asynccontextmanager
    async def database(self, registry: Registry) -> AsyncGenerator[tuple[str, str]]:
        """A fresh copy of the template: its application and owner DSN. Dropped at the end."""
        self.made += 1
        name = f"test_{os.getpid()}_{self.made}"
        endpoints = await self.server.create_database(name, await self.template(registry))
        try:
            yield endpoints.dsn, endpoints.owner_dsn
        finally:
            await self.server.drop_database(name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One embedded server for the whole session, in a directory that its system user may enter."""
    directory = memory_directory("ebok-test-")
    server = EmbeddedServer(directory, durable=False)
    asyncio.run(server.start())
    yield Cluster(server)
    asyncio.run(server.stop())
    shutil.rmtree(directory, ignore_errors=True)


def memory_directory(prefix: str) -> Path:
    """A new directory that a database's system user may enter: in memory, where files cost least, if there is room."""
    shared = Path("/dev/shm")  # noqa: S108
    roomy = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > _ROOM
    parent = shared if roomy else Path("/tmp") if os.name == "posix" else None  # noqa: S108
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    directory.chmod(0o755)
    return directory


def registry_of(plugins: list[str] | None = None, modules: Mapping[str, Any] | None = None) -> Registry:
    """The registry of the kernel, the named plugins (default: bundled ones) and modules registered in place."""
    placed = [describe(name, module) for name, module in (modules or {}).items()]
    named = load(bundled() if plugins is None else plugins)
    return make_registry(in_order({plugin.name: plugin for plugin in (*named, *placed)}))


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Registry:
    """The registry that the test's marker asks for."""
    node = cast(pytest.Item, request.node)  # pyright: ignore[reportUnknownMemberType]
    marker = node.get_closest_marker("ebok")
    return registry_of(**(marker.kwargs if marker else {}))


@pytest.fixture
async def site(cluster: Cluster, registry: Registry) -> AsyncIterator[Site]:
    """A fresh organisation with a migrated, empty database and a clock that the test may move."""
    async with opened_site(cluster, registry) as made:
        yield made


@asynccontextmanager
async def opened_site(cluster: Cluster, registry: Registry) -> AsyncGenerator[Site]:
    """What the fixture ``site`` gives, for fixtures of another scope and tests of several organisations."""
    async with cluster.database(registry) as (dsn, owner_dsn):
        made = Site("test", frozenset({HOST, "localhost"}), Database(dsn, size=6), registry, Clock())
        made.owner_dsn = owner_dsn
        try:
            yield made
        finally:
            await made.db.close()


@pytest.fixture
async def conn(site: Site) -> AsyncIterator[Connection]:
    """A connection of ``site`` in autocommit, without an actor."""
    async with site.db.connection() as connection:
        yield connection


@pytest.fixture
async def tx(site: Site) -> AsyncIterator[Connection]:
    """A transaction of ``site`` acted by the test; committed when the test ends well."""
    async with site.db.transaction(Stamp("test", "superadmin", superadmin_mode=True)) as connection:
        yield connection


@dataclass(slots=True)
class Visitor:
    """A browser without a window: cookies, forms, the headers that browsers send."""

    origin: str
    http: ClientSession
    user: int | None = None

    async def get(self, path: str, **options: Any) -> Page:
        """Ask for a page; redirects are not followed unless ``allow_redirects=True``."""
        return await self.send("GET", path, **options)

    async def post(self, path: str, form: Mapping[str, str] | None = None, **options: Any) -> Page:
        """Send a form as this office's own page would."""
        return await self.send("POST", path, data=dict(form or {}), **options)

    async def send(self, method: str, path: str, **options: Any) -> Page:
        """Send any request with the origin of this office."""
        headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", **options.pop("headers", {})}
        options.setdefault("allow_redirects", False)
        async with self.http.request(method, self.origin + path, headers=headers, **options) as response:
            return Page(response.status, response.headers, await response.read())


@dataclass(frozen=True, slots=True)
class Page:
    """An answer, read whole."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(slots=True)
class Office:
    """The whole product serving ``site`` on a free port, and people to visit it."""

    site: Site
    origin: str
    app: web.Application
    visitors: list[Visitor] = field(default_factory=list[Visitor])

    async def visitor(self, role: Role | None = None, *customers: int, mode: bool = False) -> Visitor:
        """Somebody with a fresh browser: nobody, or a new user of ``role`` (for ``customers``) who is logged in.

        ``mode`` switches the superadministrator's mode on.
        """
        visitor = Visitor(self.origin, ClientSession(cookie_jar=CookieJar(unsafe=True), auto_decompress=True))
        self.visitors.append(visitor)
        if role is None:
            return visitor
        now = self.site.clock.now()
        token = new_token()
        async with self.site.db.transaction(Stamp("test")) as conn:
            login = f"{role}-{len(self.visitors)}"
            visitor.user = await people.add_user(
                conn, login=login, role=role, name=login, password_hash=_NO_PASSWORD, now=now
            )
            for customer in customers:
                await people.grant(conn, visitor.user, customer)
            hours = timedelta(hours=1)
            session = await sessions.start(
                conn,
                token,
                visitor.user,
                password_hash=_NO_PASSWORD,
                awaits_code=False,
                now=now,
                idle=hours,
                lives=hours,
                address=HOST,
                device="test",
            )
            if mode and session is not None:
                await sessions.set_superadmin_mode(conn, session, now + hours)
        visitor.http.cookie_jar.update_cookies({"ebok": token}, URL(self.origin))
        return visitor

    async def close(self) -> None:
        """Close every browser."""
        for visitor in self.visitors:
            await visitor.http.close()


@pytest.fixture
async def office(site: Site) -> AsyncIterator[Office]:
    """The whole product serving ``site``, without a worker."""
    async with opened_office(site) as made:
        yield made


@asynccontextmanager
async def opened_office(site: Site) -> AsyncGenerator[Office]:
    """What the fixture ``office`` gives, for fixtures of another scope."""
    config = Config(server=ServerConfig(stop_seconds=1))
    app = build_app(config, dict.fromkeys(site.hosts, site), site.registry)
    runner = Runner(app, config)
    await runner.setup()
    served = web.TCPSite(runner, HOST, 0)
    await served.start()
    port = runner.addresses[0][1]
    made = Office(site, f"http://{HOST}:{port}", app)
    try:
        yield made
    finally:
        await made.close()
        await runner.cleanup()

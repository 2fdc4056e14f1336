"""The test kit: a pytest plugin for ebok's own tests and for those of anybody's plugins.

Everything is real: one embedded PostgreSQL per test session, one migrated template database per set of plugins, and a
fresh copy of it for every test that asks for ``site``. Mark a module or a test to choose the plugins:

    pytestmark = pytest.mark.ebok(plugins=["payments", "readings"])

A plugin that is not installed is registered in place: ``pytest.mark.ebok(modules={"readings": readings})``.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from kernel.dates import Clock
from kernel.db.connection import Connection
from kernel.db.embedded import EmbeddedServer
from kernel.db.pool import Database, Stamp
from kernel.plugin.manager import bundled, describe, in_order, load
from kernel.plugin.registry import Registry
from kernel.site import Site

if TYPE_CHECKING:
    from aiohttp import web

HOST = "127.0.0.1"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker that chooses plugins."""
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
        from kernel.app import migrate_database

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
    directory = Path(tempfile.mkdtemp(prefix="ebok-test-", dir="/tmp" if os.name == "posix" else None))  # noqa: S108
    directory.chmod(0o755)
    server = EmbeddedServer(directory, durable=False)
    asyncio.run(server.start())
    yield Cluster(server)
    asyncio.run(server.stop())
    shutil.rmtree(directory, ignore_errors=True)


def registry_of(plugins: list[str] | None = None, modules: Mapping[str, Any] | None = None) -> Registry:
    """The registry of the kernel, the named plugins (default: bundled ones) and modules registered in place."""
    from kernel.app import make_registry

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


@pytest.fixture
async def app(site: Site) -> web.Application:
    """The whole application serving ``site``."""
    from kernel.app import build_app
    from kernel.config import Config

    return build_app(Config(), dict.fromkeys(site.hosts, site), site.registry)

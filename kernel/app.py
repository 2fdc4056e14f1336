"""Composition: configuration → plugins → registry → sites → aiohttp application."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from aiohttp import web

from kernel import i18n, jobs
from kernel import pages as kernel_pages
from kernel.audit import know
from kernel.config import Config, SiteConfig
from kernel.dates import Clock
from kernel.db import migrate as migrations
from kernel.db.embedded import EmbeddedServer, default_data_dir
from kernel.db.pool import Database
from kernel.plugin.contracts import Loaded
from kernel.plugin.manager import KERNEL, bundled, describe, load
from kernel.plugin.registry import Registry, build
from kernel.site import Site
from kernel.web import middlewares, routing, templating

DISTRIBUTION: Final = "ebok"


def registry_of(config: Config) -> Registry:
    """The registry of the configured plugins. Raises PluginError with one clear line."""
    return make_registry(load(bundled() if config.plugins is None else config.plugins), trace=config.trace_hooks)


def make_registry(plugins: Sequence[Loaded], *, trace: bool = False) -> Registry:
    """The registry of the kernel's own declarations and ``plugins`` (in order); loads their translations."""
    own = describe(KERNEL, kernel_pages, DISTRIBUTION, version(DISTRIBUTION))
    everything = [replace(own, path=Path(__file__).parent), *plugins]
    i18n.load_catalogues([plugin.path for plugin in everything])
    registry = build(everything, trace=trace)
    know(registry.verbs)
    return registry


async def migrate_database(owner_dsn: str, registry: Registry) -> list[migrations.Migration]:
    """Bring one database to this version: every plugin's files, then the queue's own tables. Returns what ran."""
    connection = await migrations.connect(owner_dsn)
    try:
        ran = await migrations.migrate(connection, migrations_of(registry))
        await jobs.install(connection)
    finally:
        await connection.close()
    return ran


def migrations_of(registry: Registry) -> list[migrations.Migration]:
    """Every migration file of the enabled plugins, in the order they run."""
    return migrations.found((plugin.name, plugin.path) for plugin in registry.plugins)


def sites_of(config: Config) -> tuple[SiteConfig, ...]:
    """The configured organisations; a single one is made from the top of the configuration."""
    return config.sites or (
        SiteConfig(
            name="ebok",
            hosts=config.hosts,
            dsn=config.database.dsn,
            owner_dsn=config.database.owner_dsn,
            base_url=config.base_url,
            time_zone=config.time_zone,
        ),
    )


@asynccontextmanager
async def opened_sites(config: Config, registry: Registry) -> AsyncGenerator[list[Site]]:
    """The organisations, with the embedded server running for those without a DSN; everything closed at the end.

    Raises DatabaseUnavailable or EmbeddedError with one clear line.
    """
    async with AsyncExitStack() as stack:
        embedded: EmbeddedServer | None = None
        sites: list[Site] = []
        for chosen in sites_of(config):
            dsn, owner_dsn = chosen.dsn.get_secret_value(), chosen.owner_dsn.get_secret_value()
            revive = None
            if not dsn:
                if embedded is None:
                    embedded = EmbeddedServer(config.data_dir or default_data_dir())
                    await embedded.start()
                    stack.push_async_callback(embedded.stop)
                name = "ebok" if not config.sites else f"ebok_{chosen.name.replace('-', '_')}"
                endpoints = await embedded.create_database(name)
                dsn, owner_dsn, revive = endpoints.dsn, endpoints.owner_dsn, embedded.ensure_running
            database = Database(dsn, size=config.database.pool_size, before_connect=revive)
            stack.push_async_callback(database.close)
            sites.append(
                Site(
                    name=chosen.name,
                    hosts=frozenset(host.casefold() for host in chosen.hosts),
                    db=database,
                    registry=registry,
                    clock=Clock(chosen.time_zone),
                    base_url=chosen.base_url,
                    owner_dsn=owner_dsn,
                    sessions=config.sessions,
                    defaults=config.settings,
                )
            )
        yield sites


def by_host(sites: Sequence[Site]) -> dict[str, Site]:
    """Host → Site. Raises ValueError when two organisations claim one host."""
    hosts: dict[str, Site] = {}
    for site in sites:
        for host in site.hosts:
            if host in hosts:
                raise ValueError(f"The host {host} belongs to both {hosts[host].name} and {site.name}.")
            hosts[host] = site
    return hosts


def build_app(config: Config, sites: Mapping[str, Site], registry: Registry) -> web.Application:
    """The whole product as one aiohttp application."""
    app = web.Application(
        middlewares=middlewares.MIDDLEWARES,
        client_max_size=config.server.upload_bytes,
    )
    middlewares.set_up(app, config, sites, registry)
    templating.setup_templating(app, registry, theme=config.theme, operator=config.templates_dir)
    routing.mount(app, registry)
    return app

"""Composition: configuration → plugins → registry → sites → aiohttp application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aiohttp import web

from kernel import i18n
from kernel import pages as kernel_pages
from kernel.config import Config
from kernel.db import migrate as migrations
from kernel.plugin.contracts import Loaded
from kernel.plugin.manager import KERNEL, describe
from kernel.plugin.registry import Registry, build
from kernel.site import Site


def make_registry(plugins: Sequence[Loaded], *, trace: bool = False) -> Registry:
    """The registry of the kernel's own declarations and ``plugins`` (in order); loads their translations."""
    own = describe(KERNEL, kernel_pages, "ebok")
    own = Loaded(own.name, own.module, own.manifest, Path(__file__).parent, own.distribution, own.version)
    everything = [own, *plugins]
    i18n.load_catalogues([plugin.path for plugin in everything])
    return build(everything, trace=trace)


async def migrate_database(owner_dsn: str, registry: Registry) -> list[migrations.Migration]:
    """Bring one database to this version: every plugin's files, then the queue's own tables. Returns what ran."""
    connection = await migrations.connect(owner_dsn)
    try:
        ran = await migrations.migrate(
            connection, migrations.found((plugin.name, plugin.path) for plugin in registry.plugins)
        )
    finally:
        await connection.close()
    return ran


def build_app(config: Config, sites: Mapping[str, Site], registry: Registry) -> web.Application:
    """The whole product as one aiohttp application."""
    raise NotImplementedError

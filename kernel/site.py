"""One organisation: its name, hosts, database, clock and settings. A host name leads to exactly one."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from kernel.config import SessionConfig
from kernel.dates import Clock
from kernel.db import migrate
from kernel.db.connection import Connection
from kernel.db.pool import Database, DatabaseUnavailable, Stamp, know_json

if TYPE_CHECKING:
    from kernel.plugin.registry import Registry

_T = TypeVar("_T")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:/?#@\\]+)(?::[0-9]{1,5})?")


@dataclass(slots=True)
class Site:
    """An organisation that this process serves.

    ``registry`` holds everything the plugins declared (one for all sites of the process). ``owner_dsn`` is the login
    that migrates; requests never use it. ``base_url`` is how links in letters begin, ``sessions`` how long people stay
    logged in; ``defaults`` are the operator's first values of settings, by plugin.
    """

    name: str
    hosts: frozenset[str]
    db: Database
    registry: Registry
    clock: Clock = field(default_factory=Clock)
    base_url: str = ""
    owner_dsn: str = ""
    sessions: SessionConfig = field(default_factory=SessionConfig)
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def service(self, port: type[_T]) -> _T:
        """The implementation of a port. Raises LookupError when no enabled plugin provides it."""
        return cast(_T, self.registry.service(port))


@asynccontextmanager
async def as_owner(site: Site, stamp: Stamp) -> AsyncGenerator[Connection]:
    """One transaction of the role that owns the tables: for an operator's command, never for a request.

    Rolled back by any exception. Raises DatabaseUnavailable or MigrationError with one line.
    """
    if not site.owner_dsn:
        raise DatabaseUnavailable("This needs database.owner_dsn: the login that migrates.")
    connection = await migrate.connect(site.owner_dsn)
    try:
        await know_json(connection)
        await connection.execute(stamp.statements())
        yield cast(Connection, connection)
        await connection.execute("set local synchronous_commit = on; commit")
    finally:
        await connection.close()  # what was not committed is undone


def site_of_host(sites: Mapping[str, Site], host: str) -> Site | None:
    """The site that a Host header names (port ignored, case folded), or None.

    Links in letters may begin with this header, so what is not a plain host and port names nobody.
    """
    match = _HOST.fullmatch(host)
    return sites.get(match[1].casefold().strip("[]").rstrip(".")) if match else None

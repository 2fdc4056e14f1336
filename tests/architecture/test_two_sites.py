"""Two organisations in one process: nothing of one is anything in the other, and one that fails leaves the other be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from aiohttp import ClientSession, CookieJar
from pydantic import SecretStr

from kernel.app import opened_sites
from kernel.auth.passwords import hash_password
from kernel.config import Config, ServerConfig, SiteConfig
from kernel.db.pool import Stamp
from kernel.jobs import enqueue
from kernel.people import store as people
from kernel.people.model import CustomerData
from kernel.plugin.permissions import Role
from kernel.plugin.registry import Registry
from kernel.serve import close_unready, listening
from kernel.site import Site
from kernel.testing import Cluster
from tests.processes import Ebok

NORTH, SOUTH = "north.test", "south.test"
PASSWORD = "zielona-herbata-w-kuchni"


@dataclass(slots=True)
class Browser:
    """Asks one server under any host name; what it was given by one host it also shows to the other."""

    origin: str
    http: ClientSession

    async def get(self, host: str, path: str, cookie: str = "") -> tuple[int, str]:
        headers = {"Host": host, **({"Cookie": cookie} if cookie else {})}
        async with self.http.get(self.origin + path, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def log_in(self, host: str) -> tuple[int, str]:
        """The status and the session's cookie."""
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        form = {"login": "helena", "password": PASSWORD}
        async with self.http.post(f"{self.origin}/login", data=form, headers=headers, allow_redirects=False) as answer:
            given = answer.cookies.get("ebok")
            return answer.status, f"ebok={given.value}" if given else ""


@pytest.fixture
async def config(cluster: Cluster, registry: Registry) -> AsyncIterator[Config]:
    """Two organisations, each with a migrated database of its own."""
    async with AsyncExitStack() as stack:
        sites: list[SiteConfig] = []
        for host in (NORTH, SOUTH):
            dsn, owner_dsn = await stack.enter_async_context(cluster.database(registry))
            sites.append(
                SiteConfig(
                    name=host.partition(".")[0], hosts=(host,), dsn=SecretStr(dsn), owner_dsn=SecretStr(owner_dsn)
                )
            )
        yield Config(server=ServerConfig(port=0), sites=tuple(sites))


@pytest.fixture
async def sites(config: Config, registry: Registry) -> AsyncIterator[list[Site]]:
    async with opened_sites(config, registry) as opened:
        yield opened


@pytest.fixture
async def browser(config: Config, sites: list[Site]) -> AsyncIterator[Browser]:
    """Both organisations served by one process with one worker."""
    await close_unready(sites)
    async with (
        listening(config, sites) as runner,
        ClientSession(cookie_jar=CookieJar(unsafe=True, treat_as_secure_origin=[])) as http,
    ):
        http.cookie_jar.clear()
        yield Browser(f"http://127.0.0.1:{runner.addresses[0][1]}", http)


async def add_helena(site: Site) -> None:
    async with site.db.transaction(Stamp("test")) as conn:
        hashed = await hash_password(PASSWORD)
        await people.add_user(
            conn, login="helena", role=Role.ADMIN, name="Helena", password_hash=hashed, now=site.clock.now()
        )


async def add_customer(site: Site, name: str) -> None:
    async with site.db.transaction(Stamp("test")) as conn:
        await people.add_customer(conn, CustomerData(customer_no="1", name=name))


async def test_a_session_of_one_is_nothing_on_the_other(browser: Browser, sites: list[Site]) -> None:
    for site in sites:
        await add_helena(site)
    status, north = await browser.log_in(NORTH)
    assert status == 303
    browser.http.cookie_jar.clear()
    assert (await browser.get(NORTH, "/admin/", north))[0] == 200
    browser.http.cookie_jar.clear()
    assert (await browser.get(SOUTH, "/admin/", north))[0] == 303, "to the login"


async def test_a_login_of_one_is_unknown_to_the_other(browser: Browser, sites: list[Site]) -> None:
    await add_helena(sites[0])
    assert (await browser.log_in(NORTH))[0] == 303
    browser.http.cookie_jar.clear()
    assert (await browser.log_in(SOUTH))[0] == 422


async def test_data_do_not_mix(browser: Browser, sites: list[Site]) -> None:
    for site, name in zip(sites, ("Anna Północna", "Jan Południowy"), strict=True):
        await add_helena(site)
        await add_customer(site, name)
    pages: dict[str, str] = {}
    for host in (NORTH, SOUTH):
        browser.http.cookie_jar.clear()
        _status, cookie = await browser.log_in(host)
        browser.http.cookie_jar.clear()
        status, pages[host] = await browser.get(host, "/admin/customers", cookie)
        assert status == 200
    assert "Anna Północna" in pages[NORTH]
    assert "Jan Południowy" not in pages[NORTH]
    assert "Jan Południowy" in pages[SOUTH]
    assert "Anna Północna" not in pages[SOUTH]


@pytest.mark.parametrize("host", ["east.test", "localhost", "127.0.0.1", "north.test.evil", "northtest", ".test"])
async def test_an_unknown_host_does_not_exist(browser: Browser, host: str) -> None:
    assert (await browser.get(host, "/login"))[0] == 404


@pytest.mark.parametrize("host", ["NORTH.test", "north.test:8080", "north.test."])
async def test_a_host_has_many_spellings(browser: Browser, host: str) -> None:
    assert (await browser.get(host, "/login"))[0] == 200


async def test_the_worker_serves_both(browser: Browser, sites: list[Site]) -> None:
    for site in sites:
        async with site.db.transaction(Stamp("test")) as conn:
            job = await enqueue(conn, "kernel.prune_idempotency_keys")
        async with asyncio.timeout(30), site.db.connection() as conn:
            while await conn.fetchval("select exists (select from kernel.pgqueuer where id = $1)", job):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_two_organisations_cannot_claim_one_host(config: Config, sites: list[Site]) -> None:
    sites[1].hosts = frozenset({NORTH})
    with pytest.raises(ValueError, match=r"north\.test belongs to both north and south"):
        async with listening(config, sites, worker=False):
            pass


@pytest.mark.slow
async def test_a_failing_migration_of_one_leaves_the_other_serving(ebok: Ebok, cluster: Cluster) -> None:
    """With the real commands: north's database holds a table that is in the way."""
    names = ("two_north", "two_south")
    endpoints = [await cluster.server.create_database(name) for name in names]
    connection = await asyncpg.connect(endpoints[0].owner_dsn)
    await connection.execute(
        "set role ebok_owner; create schema payments; create table payments.entry (id integer, note text)"
    )
    await connection.close()
    _write_config(
        ebok.data_dir / "ebok.toml",
        {host: (where.dsn, where.owner_dsn) for host, where in zip(("localhost", "127.0.0.1"), endpoints, strict=True)},
    )
    ebok.environment["EBOK_CONFIG"] = str(ebok.data_dir / "ebok.toml")
    migrated = await ebok.run("migrate")
    assert migrated.code == 1
    assert "north: Migration payments/0001_ledger.sql failed" in migrated.err
    assert "Traceback" not in migrated.err
    assert "south: " in migrated.out
    checked = await ebok.run("migrate", "--check")
    assert {line.partition(":")[0] for line in checked.out.splitlines()} == {"north"}

    async with ebok.serving() as served, ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{served.port}/login") as answer:
            assert answer.status == 200, "south serves"
        async with http.get(f"http://127.0.0.1:{served.port}/login", headers={"Host": "localhost"}) as answer:
            assert answer.status == 503, "north is closed"
        assert any("an organisation is not ready" in line and '"site": "north"' in line for line in served.log)
    for name in names:
        await cluster.server.drop_database(name)


def _write_config(file: Path, sites: dict[str, tuple[str, str]]) -> None:
    file.write_text(
        "".join(
            f'[[sites]]\nname = "{name}"\nhosts = ["{host}"]\ndsn = "{dsn}"\nowner_dsn = "{owner}"\n'
            for name, (host, (dsn, owner)) in zip(("north", "south"), sites.items(), strict=True)
        ),
        encoding="utf-8",
    )

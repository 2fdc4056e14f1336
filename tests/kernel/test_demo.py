"""The demonstration organisation: the same for the same seed, made once, kept, and never made over real data."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from kernel import demo
from kernel.db.pool import Database, Stamp
from kernel.people import store as people
from kernel.people.model import CustomerData
from kernel.plugin.contracts import DemoPlan, Finding
from kernel.plugin.registry import Registry
from kernel.serve import ServeError
from kernel.site import Site
from kernel.testing import Cluster
from tests.processes import Ebok

SMALL = ("--customers", "30", "--months", "6", "--no-serve")
TOTALS = (
    "select side, kind, state, count(*), sum(amount)::bigint as amount, sum(open_amount)::bigint as open"
    " from payments.entry group by side, kind, state order by side, kind, state"
)
NAMES = "select string_agg(customer_no || name || coalesce(street, ''), ',' order by customer_no) from kernel.customer"


async def organisation(dsn: str) -> tuple[list[tuple[Any, ...]], str]:
    """Sums and names, which tell two organisations apart."""
    database = Database(dsn, size=2)
    try:
        async with database.connection() as conn:
            return [tuple(row.values()) for row in await conn.fetch(TOTALS)], await conn.fetchval(NAMES)
    finally:
        await database.close()


async def made(site: Site, seed: int) -> tuple[list[tuple[Any, ...]], str]:
    await demo.made(site, DemoPlan(customers=30, months=6, seed=seed))
    return await organisation(site.db.dsn)


async def test_it_is_made_whole_with_logins_worth_looking_at(site: Site) -> None:
    accounts = await demo.made(site, DemoPlan(customers=30, months=6, seed=1))
    roles = [account.role for account in accounts]
    assert "superadmin" in roles
    assert "admin" in roles
    assert roles.count("customer") >= 3
    totals, names = await organisation(site.db.dsn)
    assert len(names.split(",")) >= 30
    assert {"charge", "credit"} <= {row[0] for row in totals}
    async with site.db.connection() as conn:
        for check in site.registry.checks.values():
            if "verify" in check.when:
                assert [finding async for finding in check.run(conn) if isinstance(finding, Finding)] == [], check.name
    assert await demo.made(site, DemoPlan(customers=99, months=9, seed=9)) == accounts, "made once"
    assert await organisation(site.db.dsn) == (totals, names), "and kept"


async def test_a_failure_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*arguments: object) -> None:
        raise RuntimeError("the power went off")

    with monkeypatch.context() as broken:
        broken.setattr(demo, "_add_logins", fail)
        with pytest.raises(RuntimeError, match="power"):
            await made(site, 1)
    async with site.db.connection() as conn:
        assert await conn.fetchval("select count(*) from kernel.customer") == 0
    totals, _names = await made(site, 1)
    assert totals, "the next start makes it"


async def test_real_data_are_left_alone(site: Site) -> None:
    async with site.db.transaction(Stamp("test")) as conn:
        await people.add_customer(conn, CustomerData(customer_no="1", name="Anna Nowak"))
    with pytest.raises(ServeError, match="holds an organisation already"):
        await made(site, 1)
    async with site.db.connection() as conn:
        assert await conn.fetchval("select count(*) from kernel.customer") == 1


@pytest.mark.slow
async def test_the_command(ebok: Ebok, site: Site, tmp_path: Path) -> None:
    """The same seed makes the same organisation, here as in another database; the second start keeps the data."""
    file = tmp_path / "accounts.json"
    first = await ebok.ok("demo", *SMALL, "--seed", "7", "--accounts-file", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = json.loads(file.read_text(encoding="utf-8"))
    assert set(content) == {"base_url", "dsn", "accounts"}
    assert content["base_url"].startswith("http://localhost:")
    assert "ebok_app" in content["dsn"]
    for account in content["accounts"]:
        assert {"login", "password", "role", "customer_no"} <= set(account)
        assert account["login"] in first.out
        assert account["password"] in first.out
        assert (account["customer_no"] is not None) == (account["role"] == "customer")
    await made(site, 7)
    await ebok.ok("demo", *SMALL, "--seed", "8", "--accounts-file", str(file))
    assert json.loads(file.read_text(encoding="utf-8"))["accounts"] == content["accounts"]
    async with ebok.serving("--no-worker"):
        assert await organisation(content["dsn"]) == await organisation(site.db.dsn)
    verified = await ebok.run("verify")
    assert verified.code == 0, verified.out


async def test_another_seed_makes_another_organisation(site: Site, cluster: Cluster, registry: Registry) -> None:
    totals, names = await made(site, 1)
    async with cluster.database(registry) as (dsn, owner_dsn):
        other = Site("other", site.hosts, Database(dsn, size=2), registry, owner_dsn=owner_dsn)
        other_totals, other_names = await made(other, 2)
        await other.db.close()
    assert other_totals != totals
    assert other_names != names

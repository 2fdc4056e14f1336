"""The console's pages of imports: the runs, what one found, and applying one that waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel import Connection, Role
from kernel.testing import Office
from plugins.importers import engine, jobs
from plugins.importers.profile import read_profile
from tests.plugins.importers import shop
from tests.plugins.importers.test_engine import PROFILE, row

pytestmark = pytest.mark.ebok(plugins=["importers"], modules={"shop": shop})


@pytest.fixture(autouse=True)
def clean() -> None:
    for kept in (shop.APPLIED, shop.BATCHES, shop.REFUSE, shop.SHELVES):
        kept.clear()


async def run(office: Office, directory: Path, *rows: dict[str, object], approve: bool = False) -> int:
    path = directory / "shop.toml"
    path.write_text(PROFILE, encoding="utf-8")
    shop.SHELVES["bills"] = {"bills": list(rows)}
    registry = office.site.registry
    outcome = await engine.execute(office.site, read_profile(path, registry.sources, registry.records), approve=approve)
    assert outcome.run is not None
    return outcome.run


async def test_a_waiting_run_is_seen_and_applied(office: Office, conn: Connection, tmp_path: Path) -> None:
    first = await run(office, tmp_path, *(row(key) for key in range(3)), approve=True)
    waiting = await run(office, tmp_path, row(0, 99.5), row(1), row(7, "1e3"), row(8, note="<b>"))
    admin = await office.visitor(Role.ADMIN)
    listed = await admin.get("/admin/imports")
    assert listed.status == 200
    assert f"/admin/imports/{first}" in listed.text
    assert f"/admin/imports/{waiting}" in listed.text
    assert (await admin.get("/admin/imports?state=waiting&format=csv")).status == 200

    address = f"/admin/imports/{waiting}"
    page = await admin.get(address)
    assert page.status == 200
    assert "1e3" in page.text, "what is wrong is shown first"
    assert "12,50" in (await admin.get(f"{address}?show=changed")).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "99,50" in (await admin.get(f"{address}?show=changed")).text
    assert "&lt;b&gt;" in (await admin.get(f"{address}?show=new")).text
    assert (await admin.get(f"{address}?show=missing")).status == 200
    assert (await admin.get(f"{address}?show=nonsense&after=x")).status in (200, 422)

    assert (await admin.post(address)).status == 303
    assert (await admin.get(address)).status == 200
    await jobs.work(office.site, {"run": waiting})
    assert set(shop.APPLIED) == {"0", "1", "8"}
    again = await admin.post(address)
    assert again.status == 422
    verb = await conn.fetchrow(
        "select actor, facts from kernel.audit_log where verb = 'importers.applied' order by id desc"
    )
    assert verb is not None
    assert verb["actor"] == str(admin.user)
    assert verb["facts"] == {"run": waiting, "new": 1, "changed": 1, "missing": 1, "wrong": 1}


async def test_a_refused_run_waits_on(office: Office, conn: Connection, tmp_path: Path) -> None:
    waiting = await run(office, tmp_path, row(1), row(2))
    shop.REFUSE.append("2")
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.post(f"/admin/imports/{waiting}")).status == 303
    await jobs.work(office.site, {"run": waiting})
    page = await admin.get(f"/admin/imports/{waiting}")
    assert "The bill 2 is refused" in page.text
    assert await conn.fetchval("select state from importers.run where id = $1", waiting) == "waiting"
    assert await conn.fetchval("select count(*) from importers.applied_row") == 0


async def test_many_rows_are_paged(office: Office, tmp_path: Path) -> None:
    waiting = await run(office, tmp_path, *(row(key) for key in range(1000, 1120)))
    admin = await office.visitor(Role.ADMIN)
    seen: set[str] = set()
    address: str | None = f"/admin/imports/{waiting}?show=new"
    pages = 0
    while address:
        text = (await admin.get(address)).text
        seen |= {str(key) for key in range(1000, 1120) if f"<td>{key}</td>" in text}
        pages += 1
        found = text.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&").partition("#")[0]
        address = found or None
    assert (pages, len(seen)) == (3, 120)


async def test_imports_are_the_offices(office: Office, tmp_path: Path) -> None:
    waiting = await run(office, tmp_path, row(1))
    tenant = await office.visitor(Role.CUSTOMER)
    assert (await tenant.get("/admin/imports")).status == 403
    assert (await tenant.post(f"/admin/imports/{waiting}")).status == 403
    assert not shop.APPLIED
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.get("/admin/imports/999")).status == 404


async def test_a_failed_run_says_why(office: Office, tmp_path: Path) -> None:
    shop.REFUSE.append("2")
    with pytest.raises(engine.ImportFailed):
        await run(office, tmp_path, row(2), approve=True)
    admin = await office.visitor(Role.ADMIN)
    assert "The bill 2 is refused" in (await admin.get("/admin/imports/1")).text

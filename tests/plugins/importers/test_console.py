"""From a file in the console to live balances and back: profile, test, dry run, apply, history, roll back."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import FormData

from kernel import Connection, Role, Site, Stamp
from kernel.testing import Office, Page, Visitor
from plugins.importers import engine, jobs, store
from plugins.importers.model import KEPT_OF_A_KIND
from plugins.importers.profile import read_profile
from plugins.payments import store as ledger

pytestmark = pytest.mark.ebok(plugins=["customers", "payments", "importers", "csv", "sqlite"])

CUSTOMERS = """[profile]
name = "osoby"
title = "Osoby"

[source]
kind = "csv"

[[entity]]
record = "customers.customer"
table = "osoby"
key = "nr"

[entity.fields]
customer_no = "nr"
name = "nazwa"
phone = "telefon"
email = { column = "mail", owner = "local" }
city = { column = "miasto", owner = "source" }
"""
LEDGER = """[profile]
name = "ksiegi"
title = "Księgi"
max_bad = 60
max_missing = 100

[source]
kind = "csv"

[[entity]]
record = "payments.charge"
table = "naliczenia"
key = "dok"

[entity.fields]
customer_no = "nr"
document_no = "dok"
issued_on = "data"
due_days = { value = 14 }
amount = "kwota"
"""
BALANCES = """
select c.customer_no, b.balance from payments.account_balance b
join payments.account a on a.id = b.account_id join kernel.customer c on c.id = a.customer order by 1
"""


def people(*rows: str) -> bytes:
    return "\n".join(("nr;nazwa;telefon;mail;miasto", *rows)).encode()


def charges(*rows: str) -> bytes:
    return "\n".join(("dok;nr;data;kwota", *rows)).encode()


async def send(visitor: Visitor, path: str, content: bytes | None, name: str = "plik.csv", **fields: str) -> Page:
    form = FormData()
    for key, value in fields.items():
        form.add_field(key, value)
    if content is not None:
        form.add_field("file", content, filename=name, content_type="text/csv")
    return await visitor.send("POST", path, data=form)


async def keep(site: Site, name: str, text: str) -> None:
    async with site.db.transaction(Stamp("test", "admin")) as conn:
        assert await store.add_profile(conn, name, name.title(), text, None)


async def read(office: Office, admin: Visitor, profile: str, content: bytes) -> int:
    """A run of an uploaded file, read; its number."""
    answer = await send(admin, f"/admin/imports/profiles/{profile}", content)
    assert answer.status == 303, answer.text
    run = int(answer.headers["Location"].rsplit("/", 1)[1].partition("?")[0])
    await jobs.work(office.site, {"run": run})
    return run


async def applied(office: Office, admin: Visitor, profile: str, content: bytes) -> int:
    """A run that was read and applied."""
    run = await read(office, admin, profile, content)
    if await state(office.site, run) == "waiting":
        assert (await admin.post(f"/admin/imports/{run}")).status == 303
        await jobs.work(office.site, {"run": run})
    assert await state(office.site, run) == "applied"
    return run


async def rolled_back(office: Office, admin: Visitor, run: int, **form: str) -> str:
    """What became of a run that was to be rolled back."""
    answer = await admin.post(f"/admin/imports/{run}/rollback", form)
    assert answer.status == 303, answer.text
    await jobs.work(office.site, {"run": run, "acknowledged": bool(form)})
    return await state(office.site, run)


async def state(site: Site, run: int) -> str:
    async with site.db.connection() as conn:
        found = await store.run_of(conn, run)
    assert found is not None
    return found.state


async def balances(conn: Connection) -> dict[str, int]:
    return {row["customer_no"]: row["balance"] for row in await conn.fetch(BALANCES)}


async def verified(site: Site) -> None:
    """What ``ebok verify`` finds: nothing."""
    for check in site.registry.checks.values():
        if "verify" in check.when:
            async with site.db.connection() as conn:
                found = [finding async for finding in check.run(conn) if hasattr(finding, "fatal")]
            assert not found, (check.name, found)


FORMER = charges("A;1;2026-10-01;100", "B;1;2026-10-01;50", "C;2;2026-10-01;9")
NEWER = charges("A;1;2026-10-01;120,50", "C;2;2026-10-02;8", "D;2;2026-10-03;7")


@pytest.fixture
async def admin(office: Office) -> Visitor:
    await keep(office.site, "osoby", CUSTOMERS)
    await keep(office.site, "ksiegi", LEDGER)
    visitor = await office.visitor(Role.ADMIN)
    await applied(office, visitor, "osoby", people("1;Jan;111;a@example.org;Łódź", "2;Ewa;222;;Kielce"))
    return visitor


async def test_changed_and_vanished_rows_and_back(office: Office, admin: Visitor, conn: Connection) -> None:
    first = await applied(office, admin, "ksiegi", FORMER)
    before = await balances(conn)
    assert before == {"1": 15000, "2": 900}
    second = await applied(office, admin, "ksiegi", NEWER)
    assert await balances(conn) == {"1": 12050, "2": 1500}
    kinds = await conn.fetch("select kind, side, amount from payments.entry where kind in ('correction', 'reversal')")
    assert {(row["kind"], row["amount"]) for row in kinds} == {
        ("correction", 2050),
        ("reversal", 5000),
        ("reversal", 900),
    }
    refused = await admin.post(f"/admin/imports/{first}/rollback")
    assert refused.status == 422, "a later run builds on it"
    assert (await admin.get(f"/admin/imports/{second}/rollback")).status == 200
    assert await rolled_back(office, admin, second) == "reverted"
    assert await balances(conn) == before
    await verified(office.site)
    again = await read(office, admin, "ksiegi", FORMER)
    assert await state(office.site, again) == "applied", "the source is what stands: nothing differs"
    third = await applied(office, admin, "ksiegi", NEWER)
    assert await balances(conn) == {"1": 12050, "2": 1500}
    assert await rolled_back(office, admin, third) == "reverted"
    assert await rolled_back(office, admin, first) == "reverted"
    assert await balances(conn) == {"1": 0, "2": 0}
    await verified(office.site)


async def test_a_second_run_writes_no_row(office: Office, admin: Visitor, conn: Connection) -> None:
    content = charges(*(f"D{number};1;2026-10-01;{number},10" for number in range(1, 60)))
    await applied(office, admin, "ksiegi", content)
    marks = "select array_agg(ctid::text || xmin::text order by ctid) from "
    ledger = await conn.fetchval(marks + "payments.entry")
    mirror = await conn.fetchval(marks + "importers.applied_row")
    again = await read(office, admin, "ksiegi", content)
    assert await state(office.site, again) == "applied"
    assert await conn.fetchval(marks + "payments.entry") == ledger
    assert await conn.fetchval(marks + "importers.applied_row") == mirror


async def test_what_people_reversed_makes_it_ask(office: Office, admin: Visitor, conn: Connection) -> None:
    run = await applied(office, admin, "ksiegi", charges("A;1;2026-10-01;100", "B;2;2026-10-01;50"))
    number = await conn.fetchval("select id from payments.entry where external_id = 'A'")
    async with office.site.db.transaction(Stamp(str(admin.user), "admin")) as tx:
        entry = await ledger.entry(tx, number)
        assert entry is not None
        await ledger.reverse(tx, entry, "pomyłka", office.site.clock.today())
    assert await rolled_back(office, admin, run) == "applied", "it asks first"
    page = await admin.get(f"/admin/imports/{run}/rollback")
    assert "A" in page.text
    assert "acknowledged" in page.text
    assert (await admin.post(f"/admin/imports/{run}/rollback")).status == 422
    assert await rolled_back(office, admin, run, acknowledged="true") == "reverted"
    assert await balances(conn) == {"1": 0, "2": 0}
    await verified(office.site)


async def test_a_correction_by_people_stands(office: Office, admin: Visitor, conn: Connection) -> None:
    async with office.site.db.transaction(Stamp("7", "admin")) as tx:
        await tx.execute(
            "update kernel.customer set phone = '999', email = 'new@example.org', city = 'Radom'"
            " where customer_no = '1'"
        )
    facts = "select phone, email, city, name from kernel.customer where customer_no = '1'"
    await applied(office, admin, "osoby", people("1;Jan Nowak;111;b@example.org;Łódź", "2;Ewa;222;;Kielce"))
    assert tuple((await conn.fetchrow(facts) or {}).values()) == ("999", "new@example.org", "Łódź", "Jan Nowak")
    run = await applied(office, admin, "osoby", people("1;Jan Nowak;333;b@example.org;Łódź", "2;Ewa;222;;Kielce"))
    assert tuple((await conn.fetchrow(facts) or {}).values()) == ("333", "new@example.org", "Łódź", "Jan Nowak")
    assert await rolled_back(office, admin, run) == "reverted"
    assert await conn.fetchval("select phone from kernel.customer where customer_no = '1'") == "111"


async def test_added_customers_leave_unless_something_hangs_on_them(
    office: Office, admin: Visitor, conn: Connection
) -> None:
    run = await applied(
        office, admin, "osoby", people("1;Jan;111;a@example.org;Łódź", "2;Ewa;222;;Kielce", "3;Iza;;;", "4;Ola;;;")
    )
    await applied(office, admin, "ksiegi", charges("A;3;2026-10-01;100"))
    assert await rolled_back(office, admin, run) == "reverted"
    rows = await conn.fetch("select customer_no from kernel.customer order by 1")
    assert [row["customer_no"] for row in rows] == ["1", "2", "3"]
    await applied(
        office, admin, "osoby", people("1;Jan;111;a@example.org;Łódź", "2;Ewa;222;;Kielce", "3;Iza;;;", "4;Ola;;;")
    )
    assert await conn.fetchval("select count(*) from kernel.customer") == 4


async def test_two_clerks_apply_once(office: Office, admin: Visitor, conn: Connection) -> None:
    run = await read(office, admin, "ksiegi", charges("A;1;2026-10-01;100"))
    other = await office.visitor(Role.ADMIN)
    answers = await asyncio.gather(admin.post(f"/admin/imports/{run}"), other.post(f"/admin/imports/{run}"))
    assert sorted(answer.status for answer in answers) == [303, 422]
    await asyncio.gather(jobs.work(office.site, {"run": run}), jobs.work(office.site, {"run": run}))
    assert await conn.fetchval("select count(*) from payments.entry") == 1
    assert await balances(conn) == {"1": 10000}


async def test_a_run_that_was_read_again_is_not_applied(office: Office, admin: Visitor, conn: Connection) -> None:
    old = await read(office, admin, "ksiegi", charges("A;1;2026-10-01;100"))
    new = await read(office, admin, "ksiegi", charges("A;1;2026-10-01;200"))
    assert (await admin.post(f"/admin/imports/{old}")).status == 422
    assert await conn.fetchval("select count(*) from payments.entry") == 0
    assert await state(office.site, new) == "waiting"


async def test_cancelled_before_it_begins_and_while_it_is_applied(
    office: Office, admin: Visitor, conn: Connection
) -> None:
    answer = await send(admin, "/admin/imports/profiles/ksiegi", charges("A;1;2026-10-01;100"))
    run = int(answer.headers["Location"].rsplit("/", 1)[1])
    second = await send(admin, "/admin/imports/profiles/ksiegi", charges("A;1;2026-10-01;100"))
    assert second.status == 422, "one run of a profile at a time"
    assert (await admin.post(f"/admin/imports/{run}/cancel")).status == 303
    await jobs.work(office.site, {"run": run})
    assert await state(office.site, run) == "cancelled"
    assert await conn.fetchval("select count(*) from importers.upload") == 0
    run = await read(office, admin, "ksiegi", charges("A;1;2026-10-01;100"))
    assert (await admin.post(f"/admin/imports/{run}")).status == 303
    assert "data-progress" in (await admin.get(f"/admin/imports/{run}")).text
    assert (await admin.post(f"/admin/imports/{run}/cancel")).status == 303
    await jobs.work(office.site, {"run": run})
    assert await state(office.site, run) == "waiting"
    assert await conn.fetchval("select count(*) from payments.entry") == 0
    assert (await admin.post(f"/admin/imports/{run}/cancel")).status == 422


async def test_a_killed_worker_leaves_nothing_and_another_one_does_it(
    office: Office, admin: Visitor, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await read(office, admin, "ksiegi", charges("A;1;2026-10-01;100"))
    assert (await admin.post(f"/admin/imports/{run}")).status == 303
    remember = store.remember

    async def killed(*arguments: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(store, "remember", killed)
    with pytest.raises(asyncio.CancelledError):
        await jobs.work(office.site, {"run": run})
    assert await state(office.site, run) == "applying"
    assert await conn.fetchval("select count(*) from payments.entry") == 0
    monkeypatch.setattr(store, "remember", remember)
    await jobs.work(office.site, {"run": run})
    assert await state(office.site, run) == "applied"
    assert await balances(conn) == {"1": 10000}


async def test_many_wrong_rows_are_counted_and_few_kept(office: Office, admin: Visitor, conn: Connection) -> None:
    rows = [f"D{number};1;2026-10-01;{number},123" for number in range(1, 3000)]
    run = await read(office, admin, "ksiegi", charges(*rows, "A;1;2026-10-01;5"))
    assert await state(office.site, run) == "stopped"
    assert await conn.fetchval("select count(*) from importers.bad_row where run = $1", run) == KEPT_OF_A_KIND
    assert await conn.fetchval("select count(*) from importers.staged_bad") == 0
    page = await admin.get(f"/admin/imports/{run}")
    assert "2999" in page.text.replace("\N{NO-BREAK SPACE}", "")
    desk = await admin.get("/admin/")
    assert "nieudany import" in desk.text or "failed import" in desk.text


async def test_making_a_profile_by_choosing_columns(office: Office, conn: Connection) -> None:
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.get("/admin/imports/new")).status == 200
    assert (await admin.get("/admin/imports/new?kind=csv")).status == 200
    sample = people("1;Jan;111;;Łódź")
    without = await send(admin, "/admin/imports/new?kind=csv", None, title="System księgowy", kind="csv")
    assert without.status == 422
    made = await send(admin, "/admin/imports/new?kind=csv", sample, "osoby.csv", title="System księgowy", kind="csv")
    assert made.status == 303, made.text
    columns = "/admin/imports/profiles/system_ksiegowy/columns"
    assert made.headers["Location"].startswith(columns)
    page = await admin.get(columns + "?record=customers.customer")
    assert page.status == 200
    assert ">telefon</option>" in page.text
    form = {"record": "customers.customer", "table": "osoby", "key": "nr", "c_name": "nazwa"}
    refused = await admin.post(columns + "?record=customers.customer&table=osoby", form)
    assert refused.status == 422
    saved = await admin.post(columns, {**form, "c_customer_no": "nr", "v_kind": "person"})
    assert saved.status == 303, saved.text
    tested = await send(admin, "/admin/imports/profiles/system_ksiegowy/test", None)
    assert tested.status == 200
    assert "<td>Jan</td>" in tested.text
    run = await read(office, admin, "system_ksiegowy", sample)
    assert await state(office.site, run) == "waiting"
    assert (await admin.get("/admin/imports/profiles")).status == 200
    assert (await admin.post("/admin/imports/profiles/system_ksiegowy/remove")).status == 303
    assert (await admin.get("/admin/imports/profiles/system_ksiegowy")).status == 404


@pytest.mark.parametrize(
    "source",
    [
        'kind = "sqlite"\npath = "/etc/passwd"',
        'kind = "sqlite"\npath = "../outside.db"',
        'kind = "csv"\npath = "/etc"',
    ],
)
async def test_a_clerk_reads_no_file_of_the_server(office: Office, tmp_path: Path, source: str) -> None:
    admin = await office.visitor(Role.ADMIN)
    text = re.sub(r'kind = "csv"', source, CUSTOMERS)
    page = await admin.post("/admin/imports/paste", {"text": text})
    assert page.status == 422
    assert source.rsplit("\n", 1)[1].split('"')[1] in page.text, "what was typed is kept"
    office.site.defaults = {"importers": {"directory": str(tmp_path)}}
    (tmp_path / "osoby.csv").write_bytes(people("1;Jan;;;"))
    assert (await admin.post("/admin/imports/paste", {"text": text})).status == 422
    inside = re.sub(r'kind = "csv"', 'kind = "csv"\npath = "osoby.csv"', CUSTOMERS)
    assert (await admin.post("/admin/imports/paste", {"text": inside})).status == 303


async def test_profiles_of_the_operator_run_by_themselves(office: Office, conn: Connection, tmp_path: Path) -> None:
    site = office.site
    site.defaults = {"importers": {"directory": str(tmp_path)}}
    (tmp_path / "osoby.csv").write_bytes(people("1;Jan;;;"))
    text = CUSTOMERS.replace('kind = "csv"', 'kind = "csv"\npath = "osoby.csv"')
    (tmp_path / "osoby.toml").write_text(text.replace("[source]", 'every = "day"\napprove = true\n\n[source]'))
    (tmp_path / "zly.toml").write_text("[profile")
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.get("/admin/imports/profiles")).status == 200
    await jobs.schedule(site, {})
    await jobs.schedule(site, {})
    runs = await conn.fetch("select id from importers.run")
    assert len(runs) == 1
    await jobs.work(site, {"run": runs[0]["id"]})
    assert await state(site, runs[0]["id"]) == "applied"
    assert await conn.fetchval("select count(*) from kernel.customer") == 1
    (tmp_path / "osoby.csv").unlink()
    profile = read_profile(tmp_path / "osoby.toml", site.registry.sources, site.registry.records)
    with pytest.raises(engine.ImportFailed):
        await engine.execute(site, profile, approve=True)
    last = await store.AppliedRuns().last(conn)
    assert last is not None
    assert last.failing_since is not None


async def test_a_source_lost_in_the_middle(office: Office, admin: Visitor, conn: Connection, tmp_path: Path) -> None:
    path = tmp_path / "ksiegi.toml"
    (tmp_path / "naliczenia.csv").write_bytes(charges(*(f"D{n};1;2026-10-01;5" for n in range(3000))))
    path.write_text(LEDGER.replace('kind = "csv"', 'kind = "csv"\npath = "naliczenia.csv"'))
    profile = read_profile(path, office.site.registry.sources, office.site.registry.records)
    stream = profile.source.stream

    async def broken(settings: object, query: str):
        async for rows in stream(settings, query):
            yield rows
            raise ConnectionResetError("the server has gone away")

    lost = replace(profile, source=replace(profile.source, stream=broken))
    with pytest.raises(engine.ImportFailed):
        await engine.execute(office.site, lost, approve=True)
    assert await conn.fetchval("select count(*) from payments.entry") == 0
    assert await conn.fetchval("select count(*) from importers.staged_row") == 0
    assert await conn.fetchval("select state from importers.run order by id desc limit 1") == "failed"


async def test_every_figure_of_a_run_opens_its_rows(office: Office, admin: Visitor) -> None:
    many = [f"S{number:03};1;2026-10-01;1" for number in range(store.PAGE + 2)]
    await applied(office, admin, "ksiegi", charges(*many, "A;1;2026-10-01;100", "B;1;2026-10-01;50"))
    run = await read(office, admin, "ksiegi", charges(*many, "A;1;2026-10-01;120", "C;2;2026-10-02;8", "X;1;x;9"))
    page = await admin.get(f"/admin/imports/{run}")
    for kind, key in (("new", "C"), ("changed", "A"), ("same", "S000"), ("missing", "B"), ("wrong", "X")):
        assert f'href="/admin/imports/{run}?show={kind}#rows"' in page.text
        shown = await admin.get(f"/admin/imports/{run}?show={kind}")
        assert f"<td>{key}</td>" in shown.text, kind
    first = await admin.get(f"/admin/imports/{run}?show=same")
    assert re.findall(r"<td>([ABCXS]\d*)</td>", first.text) == [f"S{number:03}" for number in range(store.PAGE)]
    following = re.search(r'rel="next" href="([^"#]+)', first.text)
    assert following is not None
    second = await admin.get(following[1].replace("&amp;", "&"))
    assert re.findall(r"<td>([ABCXS]\d*)</td>", second.text) == [f"S{number:03}" for number in range(store.PAGE, 52)]
    await admin.post(f"/admin/imports/{run}")
    await jobs.work(office.site, {"run": run})
    again = await admin.get(f"/admin/imports/{run}?show=same")
    assert re.findall(r"<td>([ABCXS]\d*)</td>", again.text) == [f"S{number:03}" for number in range(store.PAGE)]


async def test_the_first_page_tells_how_fresh_each_profile_is(office: Office, admin: Visitor, conn: Connection) -> None:
    await keep(office.site, "nocne", LEDGER.replace("max_bad", 'every = "day"\nmax_bad').replace("Księgi", "Nocne"))
    desk = (await admin.get("/admin/")).text
    assert "Jak świeże są zaimportowane dane" in desk
    assert 'href="/admin/imports?title=Osoby"' in desk
    assert desk.count("starsze, niż powinny być") == 1, "a profile that runs by itself and never did"
    assert desk.count("jeszcze niczego nie wprowadzono") == 2
    await read(office, admin, "ksiegi", charges("A;1;2026-10-01;x"))
    await applied(office, admin, "nocne", charges("N;1;2026-10-01;1"))
    desk = (await admin.get("/admin/")).text
    assert "ostatni import nieudany" in desk
    assert "starsze, niż powinny być" not in desk
    assert "1 nieudany import" in desk
    await conn.execute("update importers.run set started_at = now() - interval '40 hours' where profile = 'nocne'")
    assert "starsze, niż powinny być" in (await admin.get("/admin/")).text
    customer = await office.visitor(Role.CUSTOMER)
    assert "Jak świeże są zaimportowane dane" not in (await customer.get("/")).text


async def test_the_first_page_asks_once_for_everything_about_imports(
    office: Office, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = store.standings

    async def counting(conn: Connection) -> list[store.Standing]:
        asked.append("standings")
        return await real(conn)

    monkeypatch.setattr(store, "standings", counting)
    assert (await admin.get("/admin/")).status == 200
    assert asked == ["standings"]

"""Runs of imports against a real database: what is new, changed, gone or wrong, and what a run leaves behind."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import Connection, Money, Refused, Site, Stamp
from plugins.importers import engine, store
from plugins.importers.engine import ImportFailed
from plugins.importers.profile import Profile, ProfileError, read_profile
from tests.plugins.importers import shop

pytestmark = pytest.mark.ebok(plugins=["importers"], modules={"shop": shop})

NOBODY = engine.Watch(cast("Site", None), None)
"""Watches a run that nobody looks at."""

PROFILE = """
[profile]
name = "shop"
title = "The shop"
max_bad = 50
max_missing = 100

[source]
kind = "shelf"

[[entity]]
record = "shop.bill"
table = "bills"
key = "bill_id"

[entity.fields]
number = "BillId"
customer = { join = ["first", "last"] }
amount = "amount"
note = "note"
"""


def row(key: int, amount: object = 12.5, note: object = None, **other: object) -> dict[str, object]:
    return {"BillId": key, "First": "Jan", "Last": "Nowak", "Amount": amount, "note": note, **other}


@pytest.fixture(autouse=True)
def clean() -> None:
    for kept in (shop.APPLIED, shop.BATCHES, shop.REFUSE, shop.SHELVES):
        kept.clear()


@pytest.fixture
def profile(site: Site, tmp_path: Path) -> Profile:
    path = tmp_path / "shop.toml"
    path.write_text(PROFILE, encoding="utf-8")
    return read_profile(path, site.registry.sources, site.registry.records)


async def run(site: Site, profile: Profile, *rows: dict[str, object], approve: bool = True) -> engine.Outcome:
    shop.SHELVES["bills"] = {"bills": list(rows)}
    shop.BATCHES.clear()
    return await engine.execute(site, profile, approve=approve)


async def count(conn: Connection) -> tuple[int, int, int]:
    found = await conn.fetchrow(
        "select (select count(*) from importers.applied_row) as applied,"
        " (select count(*) from importers.difference) as difference,"
        " (select count(*) from importers.staged_row) as staged"
    )
    assert found is not None
    return found["applied"], found["difference"], found["staged"]


async def test_new_changed_same_missing_wrong(site: Site, profile: Profile, conn: Connection) -> None:
    first = await run(site, profile, *(row(key) for key in range(1, 6)))
    [report] = first.reports
    assert (report.new, report.total, report.sums["new"]) == (5, 5, 5 * 1250)
    assert len(shop.APPLIED) == 5
    assert shop.BATCHES[0].approve
    assert shop.BATCHES[0].source == "shop"

    second = await run(site, profile, row(1), row(2, 99.99), row(3, note="late"), row(4, "1e3"), row(6))
    [report] = second.reports
    assert (report.new, report.changed, report.same, report.missing, report.wrong) == (1, 2, 1, 1, 1)
    assert report.sums == {
        "source": 1250 + 9999 + 1250 + 1250,
        "new": 1250,
        "changed_before": 2500,
        "changed_after": 9999 + 1250,
        "same": 1250,
        "missing": 1250,
    }
    assert report.fields == {"amount": 1, "note": 1}
    assert shop.APPLIED["4"].amount == Money(1250), "a wrong row keeps what was applied before"
    assert "5" not in shop.APPLIED
    assert shop.APPLIED["2"].amount == Money(9999)
    assert await count(conn) == (6, 5 + 4, 0)


async def test_the_same_again_writes_nothing(site: Site, profile: Profile, conn: Connection) -> None:
    rows = [row(key, key / 100) for key in range(1, 40)]
    await run(site, profile, *rows)
    before = await count(conn)
    again = await run(site, profile, *rows)
    assert again.state == "applied"
    assert again.reports[0].same == 39
    assert not shop.BATCHES
    assert await count(conn) == before


async def test_waits_for_a_person(site: Site, profile: Profile) -> None:
    waiting = await run(site, profile, row(1), approve=False)
    assert waiting.state == "waiting"
    assert waiting.run is not None
    assert not shop.APPLIED
    async with site.db.transaction(Stamp("7", "admin")) as conn:
        await engine.apply_waiting(conn, site.registry.records, waiting.run, site.clock.today(), NOBODY)
    assert shop.APPLIED["1"].amount == Money(1250)
    assert shop.BATCHES[0].approve
    with pytest.raises(Refused):
        async with site.db.transaction(Stamp("7", "admin")) as conn:
            await engine.apply_waiting(conn, site.registry.records, waiting.run, site.clock.today(), NOBODY)
    assert (await run(site, profile, row(1), approve=False)).state == "applied", "nothing to decide"


async def test_a_missing_driver_is_named(site: Site, profile: Profile) -> None:
    async def needs_a_driver(settings: object) -> dict[str, list[str]]:
        importlib.import_module("driver_of_a_tape")
        return {}

    tape = replace(profile, source=replace(profile.source, discover=needs_a_driver))
    for attempt in (engine.rehearse(site, tape), engine.execute(site, tape, approve=True)):
        with pytest.raises(ImportFailed) as failed:
            await attempt
        assert "The driver «driver_of_a_tape» is not installed" in str(failed.value.text)


async def test_a_newer_run_takes_the_place_of_a_waiting_one(site: Site, profile: Profile, conn: Connection) -> None:
    first = await run(site, profile, row(1), approve=False)
    second = await run(site, profile, row(1), row(2), approve=False)
    assert first.run is not None
    assert second.run is not None
    found = await store.run_of(conn, first.run)
    assert found is not None
    assert found.state == "superseded"
    with pytest.raises(Refused):
        async with site.db.transaction(Stamp("7", "admin")) as tx:
            await engine.apply_waiting(tx, site.registry.records, first.run, site.clock.today(), NOBODY)
    async with site.db.transaction(Stamp("7", "admin")) as tx:
        await engine.apply_waiting(tx, site.registry.records, second.run, site.clock.today(), NOBODY)
    assert set(shop.APPLIED) == {"1", "2"}


async def test_a_failed_run_leaves_only_its_record(site: Site, profile: Profile, conn: Connection) -> None:
    await run(site, profile, row(1))
    before = await count(conn)
    shop.REFUSE.append("3")
    with pytest.raises(ImportFailed) as failed:
        await run(site, profile, row(1, 5), row(2), row(3))
    assert "3" in str(failed.value.text)
    assert await count(conn) == before
    runs = await conn.fetch("select state, reason from importers.run order by id")
    assert [found["state"] for found in runs] == ["applied", "failed"]
    assert runs[1]["reason"]["values"] == {"number": "3"}
    assert await conn.fetchval("select count(*) from importers.bad_row") == 0


WRONG_AMOUNTS: list[tuple[object, str]] = [
    ("1e3", "Write the amount in złoty and grosze, for example 1 234,56"),
    ("NaN", "Write the amount in złoty and grosze, for example 1 234,56"),
    (float("nan"), "Write the amount in złoty and grosze, for example 1 234,56"),
    (float("inf"), "Write the amount in złoty and grosze, for example 1 234,56"),
    ("-5", "An amount cannot be negative"),
    (-5, "The amount must be greater than zero"),
    ("1 234,567", "An amount has at most two decimal places"),
    (0.1 + 0.2, "An amount has at most two decimal places"),
    (1e300, "This amount is too large"),
    ("٣", "Write the amount in złoty and grosze, for example 1 234,56"),
    (None, "There is no value"),
    (b"12", "Write the amount in złoty and grosze, for example 1 234,56"),
    ("1\x002", "The text contains a control character that cannot be kept"),
]


async def test_wrong_amounts_are_set_aside(site: Site, profile: Profile) -> None:
    rows = [row(key, amount) for key, (amount, _message) in enumerate(WRONG_AMOUNTS)]
    outcome = await run(site, profile, *rows, *(row(key) for key in range(100, 120)))
    found = {
        bad.external_id: [(reason.name, reason.message) for reason in bad.reasons]
        for bad in outcome.reports[0].examples
    }
    assert found == {str(key): [("amount", message)] for key, (_amount, message) in enumerate(WRONG_AMOUNTS)}
    assert set(shop.APPLIED) == {str(key) for key in range(100, 120)}


async def test_wrong_keys(site: Site, profile: Profile) -> None:
    outcome = await run(site, profile, row(1), row(2), row(2, 7), row(0) | {"BillId": None}, row(4), row(5), row(6))
    report = outcome.reports[0]
    assert report.wrong == 3
    assert {reason.message for bad in report.examples for reason in bad.reasons} == {
        "The same key comes more than once",
        "The key is empty",
    }
    assert set(shop.APPLIED) == {"1", "4", "5", "6"}


async def test_emptied_in_the_source_is_emptied_here(site: Site, profile: Profile) -> None:
    await run(site, profile, row(1, note="paid by post"))
    outcome = await run(site, profile, row(1))
    assert outcome.reports[0].fields == {"note": 1}
    assert shop.APPLIED["1"].note == ""


async def test_too_many_wrong_or_missing_rows_stop_a_run(site: Site, tmp_path: Path, conn: Connection) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(PROFILE.replace("max_bad = 50", "max_bad = 10").replace("max_missing = 100", "max_missing = 20"))
    strict = read_profile(path, site.registry.sources, site.registry.records)
    rows = [row(key) for key in range(1, 21)]
    await run(site, strict, *rows)
    half = await run(site, strict, *rows[:10])
    assert half.state == "stopped"
    assert half.reason is not None
    assert half.reason.values["missing"] == 10
    broken = await run(site, strict, *rows[:17], *(row(key, "?") for key in range(18, 21)))
    assert broken.state == "stopped"
    assert broken.reports[0].missing == 0, "a row that cannot be read is not a row that is gone"
    assert len(shop.APPLIED) == 20
    assert (await run(site, strict, *rows[:16])).state == "applied"


async def test_a_rehearsal_leaves_nothing(site: Site, profile: Profile, conn: Connection) -> None:
    shop.SHELVES["bills"] = {"bills": [row(1), row(2, "x")]}
    outcome = await engine.rehearse(site, profile)
    assert (outcome.run, outcome.state, outcome.reports[0].new, outcome.reports[0].wrong) == (None, "checked", 1, 1)
    assert await count(conn) == (0, 0, 0)
    assert await conn.fetchval("select count(*) from importers.run") == 0
    assert not shop.APPLIED


async def test_one_run_of_a_profile_at_a_time(site: Site, profile: Profile) -> None:
    shop.SHELVES["bills"] = {"bills": [row(1)]}
    async with site.db.transaction(Stamp("import")) as other:
        assert await store.lock_profile(other, "shop")
        with pytest.raises(ImportFailed, match="under way"):
            await engine.execute(site, profile, approve=True)
    assert (await engine.execute(site, profile, approve=True)).state == "applied"


async def test_concurrent_runs_apply_once(site: Site, profile: Profile) -> None:
    shop.SHELVES["bills"] = {"bills": [row(key) for key in range(50)]}
    results = await asyncio.gather(
        *(engine.execute(site, profile, approve=True) for _ in range(4)), return_exceptions=True
    )
    assert any(isinstance(result, engine.Outcome) for result in results)
    assert len(shop.APPLIED) == 50
    assert sum(len(batch.new) for batch in shop.BATCHES) == 50


async def test_an_interrupted_run_is_marked_by_the_next(site: Site, profile: Profile, conn: Connection) -> None:
    async with site.db.transaction(Stamp("import")) as tx:
        dead = await store.begin_run(tx, "shop", "The shop", approve=False)
    await run(site, profile, row(1))
    found = await store.run_of(conn, dead)
    assert found is not None
    assert found.state == "failed"


async def test_freshness_is_the_last_applied_run(site: Site, profile: Profile, conn: Connection) -> None:
    freshness = store.AppliedRuns()
    assert await freshness.last(conn) is None
    await run(site, profile, row(1), approve=False)
    assert await freshness.last(conn) is None
    await run(site, profile, row(1))
    last = await freshness.last(conn)
    assert last is not None
    assert (last.profile, last.title) == ("shop", "The shop")


@pytest.mark.timeout(90)
async def test_many_rows(site: Site, profile: Profile) -> None:
    """Twenty thousand rows: chunks are bounded, and a plan that loops over them would take minutes."""
    rows = [row(key) for key in range(20_500)]
    await run(site, profile, *rows)
    assert [len(batch.new) for batch in shop.BATCHES] == [2000] * 10 + [500]
    assert shop.total() == Money(20_500 * 1250)
    again = await run(site, profile, *rows[:20_400])
    assert (again.reports[0].same, again.reports[0].missing) == (20_400, 100)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('note = "note"', 'note = "Nota"', ["note", "Nota", "note", "20"]),
        ('key = "bill_id"', 'key = "bil"', ["bil", "BillId", "14"]),
        ('table = "bills"', 'table = "bilsl"', ["bilsl", "bills", "13"]),
    ],
)
async def test_what_the_source_does_not_have(site: Site, tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(PROFILE.replace(old, new))
    shop.SHELVES["bills"] = {"bills": [row(1)]}
    wrong = read_profile(path, site.registry.sources, site.registry.records)
    with pytest.raises(ImportFailed) as failed:
        await engine.execute(site, wrong, approve=True)
    assert isinstance(failed.value.__cause__, ProfileError)
    for word in words:
        assert word in str(failed.value.text)


bills = st.dictionaries(
    st.integers(1, 12), st.tuples(st.integers(1, 10**9), st.sampled_from(["", "ą", "late \N{EURO SIGN}"])), max_size=12
)


async def test_applying_the_difference_gives_the_source(site: Site, profile: Profile) -> None:
    """Whatever was there before, after a run the target is the source; the next run has nothing to do."""

    async def follow(history: list[dict[int, tuple[int, str]]]) -> None:
        for state in history:
            rows = [row(key, grosze / 100, note) for key, (grosze, note) in state.items()]
            await run(site, profile, *rows)
            assert {int(key): (bill.amount.grosze, bill.note) for key, bill in shop.APPLIED.items()} == state
            again = await run(site, profile, *reversed(rows))
            assert not shop.BATCHES
            assert again.reports[0].same == len(state)

    loop = asyncio.get_running_loop()

    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(bills, min_size=1, max_size=3))
    def check(history: list[dict[int, tuple[int, str]]]) -> None:
        asyncio.run_coroutine_threadsafe(follow(history), loop).result(60)

    await asyncio.to_thread(check)

"""An organisation moves: its archive, taken into an empty one, gives the same balances, seals and next numbers."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kernel import Finding, Site
from kernel.db.pool import DatabaseUnavailable, Stamp
from kernel.i18n import speaking
from kernel.people import store as people
from kernel.plugin.permissions import Role
from kernel.testing import Cluster, Office, opened_site, registry_of
from plugins import exports
from plugins.exports import archive, store, taking_in
from plugins.exports.archive import Manifest
from plugins.exports.taking_in import NotTaken
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["payments"], modules={"exports": exports})

PLUGINS = ["payments"]
MODULES = {"exports": exports}


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Reasons are looked for in English."""
    with speaking("en"):
        yield


async def quiet(done: int, total: int) -> None:
    """Nobody watches."""


@pytest.fixture
async def target(cluster: Cluster) -> AsyncIterator[Site]:
    """A new organisation that only migrations have filled."""
    async with opened_site(cluster, registry_of(PLUGINS, MODULES)) as made:
        yield made


async def furnish(site: Site, seed: int = 1, accounts: int = 4) -> None:
    """People, and accounts with a random history: paid in part, corrected, reversed, voided, drafts left."""
    chance = random.Random(seed)  # noqa: S311
    async with site.db.transaction(Stamp("test")) as conn:
        for role in (Role.SUPERADMIN, Role.ADMIN):
            await people.add_user(
                conn, login=f"{role}@x", role=role, name='Żaneta "Ł"\n', password_hash="$argon2", now=site.clock.now()
            )
    for number in range(accounts):
        async with acting(site, superadmin_mode=True) as conn:
            book = await Book.opened(conn, f"47{number}")
            posted: list[int] = []
            for _turn in range(chance.randint(3, 12)):
                day = TODAY - timedelta(days=chance.randint(1, 700))
                amount = chance.choice([1, 99, 100, 12345, 10**9])
                make = chance.choice([book.charge, book.payment])
                posted += await book.post(
                    make(amount, day, title=chance.choice(["=1+1", 'Czynsz; "za" ł\\n\\', "\t", "x\ny"]))
                )
            await book.reverse(posted[0])
            await book.void(posted[1])
            await conn.execute(
                "insert into payments.entry (account_id, side, kind, amount, issued_on, due_on, title)"
                " values ($1, 'charge', 'fee', 700, $2, $2, 'szkic')",
                book.account,
                TODAY,
            )


async def written(site: Site, file: Path, *, with_secrets: bool = True) -> Manifest:
    with file.open("wb") as opened:
        async with site.db.transaction(Stamp("test")) as conn:
            return await archive.write(conn, site, opened, quiet, with_secrets=with_secrets)


async def everything(site: Site) -> dict[str, Any]:
    """Every row of every table that goes along, and where the sequences stand."""
    async with site.db.transaction(Stamp("test")) as conn:
        plan = await archive.planned(conn, site, with_secrets=True)
        rows: dict[str, list[Any]] = {}
        for table in plan.tables:
            await store.open_rows(conn, table.name, table.columns, table.keys)
            rows[table.name] = []
            while batch := await store.next_rows(conn):
                rows[table.name] += [json.loads(row["line"]) for row in batch]
            await store.close_rows(conn)
        return {"rows": rows, "sequences": await store.sequences(conn, plan.schemas)}


async def verify(site: Site) -> list[str]:
    async with site.db.connection() as conn:
        return [
            found.message
            for check in site.registry.checks.values()
            if "verify" in check.when
            async for found in check.run(conn)
            if isinstance(found, Finding)
        ]


@pytest.mark.parametrize("seed", range(3))
async def test_an_organisation_moves_whole(site: Site, target: Site, tmp_path: Path, seed: int) -> None:
    await furnish(site, seed)
    manifest = await written(site, tmp_path / "a.zip")
    taken = await taking_in.take_in(target, tmp_path / "a.zip", quiet)
    assert taken == manifest
    there, here = await everything(site), await everything(target)
    history = here["rows"]["kernel.audit_log"]
    (taken_in,) = [one for one in history if one["verb"] == "exports.taken_in"]
    history.remove(taken_in)
    assert taken_in["facts"]["count"] == manifest.rows
    here["sequences"]["kernel.audit_log_id_seq"] -= 1
    assert here == there
    assert await verify(target) == []


async def test_life_goes_on(site: Site, target: Site, tmp_path: Path) -> None:
    """The next entry gets the next number in the journal, and what is approved is protected as before."""
    await furnish(site)
    await written(site, tmp_path / "a.zip")
    await taking_in.take_in(target, tmp_path / "a.zip", quiet)
    numbers: list[tuple[int, int]] = []
    for office in (site, target):
        async with acting(office) as conn:
            book = await Book.opened(conn, "4800")
            (entry,) = await book.post(book.charge(500, TODAY))
            journal = await conn.fetchval("select journal_no from payments.entry where id = $1", entry)
            numbers.append((entry, journal))
            assert await conn.fetchval("select count(*) from payments.book") == 1
        with pytest.raises(Exception, match=r"protected|permission"):
            async with office.db.transaction(Stamp("office")) as conn:
                await conn.execute("delete from payments.entry where id = $1", entry)
    assert numbers[0] == numbers[1]
    assert await verify(target) == []


async def test_passwords_stay_behind_unless_asked_for(site: Site, target: Site, tmp_path: Path) -> None:
    await furnish(site)
    await written(site, tmp_path / "a.zip", with_secrets=False)
    assert b"argon2" not in b"".join(contents(tmp_path / "a.zip").values())
    await taking_in.take_in(target, tmp_path / "a.zip", quiet)
    async with target.db.connection() as conn:
        users = await conn.fetch("select role, password_hash from kernel.users order by id")
        assert [tuple(user) for user in users] == [("superadmin", ""), ("admin", "")]


def contents(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def put(file: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)


def changed(what: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(parts: dict[str, bytes]) -> None:
        assert old in parts[what]
        parts[what] = parts[what].replace(old, new)

    return change


def manifested(**changes: object) -> Callable[[dict[str, bytes]], None]:
    def change(parts: dict[str, bytes]) -> None:
        parts["manifest.json"] = json.dumps(json.loads(parts["manifest.json"]) | changes, indent=1).encode()

    return change


def added(name: str, content: bytes = b"") -> Callable[[dict[str, bytes]], None]:
    return lambda parts: parts.update({name: content})


def newer_plugin(parts: dict[str, bytes]) -> None:
    manifest = json.loads(parts["manifest.json"])
    manifest["migrations"].append({"plugin": "payments", "file": "9999_later.sql", "checksum": "0"})
    manifested(**manifest)(parts)


def older(parts: dict[str, bytes]) -> None:
    manifest = json.loads(parts["manifest.json"])
    manifest["migrations"] = [one for one in manifest["migrations"] if not one["file"].startswith("0008")]
    manifested(**manifest)(parts)


def forged(parts: dict[str, bytes]) -> None:
    """One amount changed, with hashes and sums that fit: only the proofs of the ledger can tell."""
    import hashlib

    name = "tables/payments.entry.jsonl"
    lines = parts[name].splitlines()
    row = next(json.loads(line) for line in lines if json.loads(line)["state"] == "approved")
    lines = [
        json.dumps(json.loads(line) | {"title": "podmieniony"}).encode()
        if json.loads(line)["id"] == row["id"]
        else line
        for line in lines
    ]
    parts[name] = b"".join(line + b"\n" for line in lines)
    manifest = json.loads(parts["manifest.json"])
    (table,) = [one for one in manifest["tables"] if one["name"] == "payments.entry"]
    table |= {"bytes": len(parts[name]), "sha256": hashlib.sha256(parts[name]).hexdigest()}
    manifested(**manifest)(parts)


ENTRIES = "tables/payments.entry.jsonl"
WRONG = {
    "a changed line": (changed(ENTRIES, b'"amount":700', b'"amount":701'), "payments.entry is not what it was"),
    "a line less": (changed(ENTRIES, b"\n", b"\r\n"), "payments.entry is not what it was"),
    "a table less": (lambda parts: parts.pop(ENTRIES), "does not hold what its manifest names"),
    "a file more": (added("tables/kernel.more.jsonl"), "does not hold what its manifest names"),
    "a path out of it": (added("../../etc/passwd"), "no archive of ebok holds: ../../etc/passwd"),
    "an absolute path": (added("/etc/passwd"), "no archive of ebok holds"),
    "a bomb": (added("tables/kernel.more.jsonl", b"0" * 5_000_000), "no archive of ebok holds"),
    "no manifest": (lambda parts: parts.pop("manifest.json"), "no archive of ebok"),
    "a manifest of nonsense": (added("manifest.json", b"[1]"), "no archive of ebok"),
    "another program's": (manifested(format="other"), "no archive of ebok"),
    "a newer format": (manifested(version=2, more=1), "A newer version"),
    "a newer plugin": (newer_plugin, "payments/9999_later.sql is not known here"),
    "an older version": (older, "An older version"),
    "a forged entry": (forged, "not in order"),
}


@pytest.mark.parametrize("how", WRONG)
async def test_what_is_wrong_is_refused_and_nothing_changes(site: Site, target: Site, tmp_path: Path, how: str) -> None:
    await furnish(site, accounts=2)
    await written(site, tmp_path / "a.zip")
    parts = contents(tmp_path / "a.zip")
    change, reason = WRONG[how]
    change(parts)
    put(tmp_path / "b.zip", parts)
    before = await everything(target)
    with pytest.raises(NotTaken, match=reason.replace("(", r"\(")):
        await taking_in.take_in(target, tmp_path / "b.zip", quiet)
    assert await everything(target) == before
    async with target.db.connection() as conn:
        assert not await conn.fetchval("select count(*) from pg_trigger where tgenabled = 'D'")


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.98])
async def test_a_file_that_is_cut_off_is_refused(site: Site, target: Site, tmp_path: Path, keep: float) -> None:
    await furnish(site, accounts=1)
    await written(site, tmp_path / "a.zip")
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(NotTaken, match="cut off"):
        await taking_in.take_in(target, tmp_path / "b.zip", quiet)


async def test_whatever_is_damaged_is_told_apart(site: Site, tmp_path: Path) -> None:
    """Any byte may have changed: either nothing that counts has, or the archive is refused with a reason."""
    await furnish(site, accounts=1)
    await written(site, tmp_path / "a.zip")
    whole, chance, refused = (tmp_path / "a.zip").read_bytes(), random.Random(7), 0  # noqa: S311
    for _turn in range(400):
        damaged = bytearray(whole)
        for _byte in range(chance.choice([1, 1, 4])):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / "b.zip").write_bytes(damaged)
        try:
            opened = taking_in.opened(tmp_path / "b.zip")
            for table in opened.manifest.tables:
                for _batch in opened.lines(table):
                    pass
        except NotTaken:
            refused += 1
    assert refused > 200


async def test_only_an_empty_organisation_takes_one_in(site: Site, tmp_path: Path) -> None:
    await furnish(site, accounts=1)
    await written(site, tmp_path / "a.zip")
    before = await everything(site)
    with pytest.raises(NotTaken, match=r"not empty \(kernel.customer.* payments.account"):
        await taking_in.take_in(site, tmp_path / "a.zip", quiet)
    assert await everything(site) == before


@pytest.mark.ebok(modules={"exports": exports})
async def test_a_new_organisation_is_empty_but_for_what_rules_call_seeded(site: Site) -> None:
    """A migration that fills a table needs ``ArchiveRule(table, seeded=True)``, or no archive can be taken in."""
    async with site.db.connection() as conn:
        plan = await archive.planned(conn, site, with_secrets=True)
        assert await store.filled(conn, [t.name for t in plan.tables if not plan.rule(t.name).seeded]) == []
        names = {table.name: set(table.columns) for table in await store.tables(conn, plan.schemas)}
    for rule in site.registry.archive_rules.values():
        assert rule.table in names, "a rule names a table that is there"
        assert {*rule.secret_columns} <= names[rule.table]


async def test_the_application_cannot_do_the_owners_part(site: Site) -> None:
    for call in (
        "select exports.loosen('{payments.entry}')",
        "select exports.empty('{payments.entry}')",
        "select exports.take_rows('payments.entry', '{id}', '[]')",
        "select exports.tighten('{payments.entry}', '{}', '{}', '{}')",
        "select exports.count_on('{payments.entry_id}', '{1}')",
    ):
        async with site.db.connection() as conn:
            with pytest.raises(Exception, match="permission denied"):
                await conn.execute(call)


async def test_without_the_owners_login_nothing_is_taken_in(site: Site, target: Site, tmp_path: Path) -> None:
    await written(site, tmp_path / "a.zip")
    target.owner_dsn = ""
    with pytest.raises(DatabaseUnavailable, match="owner_dsn"):
        await taking_in.take_in(target, tmp_path / "a.zip", quiet)


@pytest.mark.ebok
async def test_a_new_installation_that_was_looked_around_in_still_takes_one_in(
    site: Site, office: Office, cluster: Cluster, tmp_path: Path
) -> None:
    """The superadministrator has seen every list, and every scheduled job has run: all that is no data of anybody's."""
    async with opened_site(cluster, registry_of()) as source:
        await furnish(source, accounts=1)
        await written(source, tmp_path / "a.zip")
    boss = await office.visitor(Role.SUPERADMIN, mode=True)
    for route in site.registry.routes.values():
        if route.method == "GET" and route.path.startswith("/admin/") and "{" not in route.path:
            await boss.get(route.path)
    for job in site.registry.jobs.values():
        if job.every is not None:
            await job.handler(site, {})
    await taking_in.take_in(site, tmp_path / "a.zip", quiet)
    assert await verify(site) == []
    assert (await boss.get("/admin/")).status == 303, "whoever was here before is not logged in any more"

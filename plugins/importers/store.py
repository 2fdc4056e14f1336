"""The importers' tables: runs, the mirror of what was applied, differences, and rows set aside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from kernel import Connection, Row, Text
from plugins.importers.face import LastImport
from plugins.importers.model import KEPT_OF_A_KIND, BadRow, EntityReport, GoodRow, Reason


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an import. ``reason`` says why it stopped or failed."""

    id: int
    profile: str
    title: str
    state: str
    approve: bool
    reports: tuple[EntityReport, ...]
    reason: Text | None
    actor: str
    started_at: datetime
    finished_at: datetime | None
    file_name: str = ""
    decided_by: str = ""
    decided_role: str = ""
    applied_at: datetime | None = None
    reverted_at: datetime | None = None
    kept_count: int = 0
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that a run adds, changes or no longer finds; ``before`` and ``after`` are the record's fields.

    A new row with a ``before`` was gone and has come back.
    """

    change: str
    external_id: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


LOCK_PROFILE_SQL: Final[LiteralString] = """
select pg_try_advisory_xact_lock(hashtextextended('importers.' || $1::text, 0))
"""


async def lock_profile(conn: Connection, profile: str) -> bool:
    """Keep other runs of the profile away until the transaction ends; False when one is under way."""
    return await conn.fetchval(LOCK_PROFILE_SQL, profile)


BEGIN_RUN_SQL: Final[LiteralString] = """
insert into importers.run (profile, title, approve, state, file_name) values ($1, $2, $3, $4, $5) returning id
"""


async def begin_run(
    conn: Connection, profile: str, title: str, *, approve: bool, state: str = "reading", file_name: str = ""
) -> int:
    """A new run, being read (or ``queued``); its id."""
    return await conn.fetchval(BEGIN_RUN_SQL, profile, title, approve, state, file_name)


END_RUN_SQL: Final[LiteralString] = """
update importers.run
set state = $2, reason = $3, report = coalesce($4, report), approve = approve or $5,
    finished_at = now(),
    applied_at = case when $2 = 'applied' then coalesce(applied_at, now()) else applied_at end,
    reverted_at = case when $2 = 'reverted' then now() end,
    kept_count = 0, kept = '[]'
where id = $1
"""


async def end_run(
    conn: Connection,
    run: int,
    state: str,
    *,
    reason: Text | None = None,
    reports: Sequence[EntityReport] | None = None,
    approve: bool = False,
) -> None:
    """What became of a run, and why."""
    told = None if reports is None else [report.as_json() for report in reports]
    await conn.execute(END_RUN_SQL, run, state, as_json(reason), told, approve)


def as_json(reason: Text | None) -> dict[str, Any] | None:
    """A reason as it is kept, to be read in any language."""
    return {"message": reason.message, "values": {k: str(v) for k, v in reason.values.items()}} if reason else None


REPLACE_EARLIER_SQL: Final[LiteralString] = """
update importers.run
set state = case state when 'waiting' then 'superseded' else 'failed' end, finished_at = now(),
    reason = case when state <> 'waiting' then $3::jsonb end
where profile = $1 and id < $2 and state in ('waiting', 'reading', 'queued')
"""


async def replace_earlier(conn: Connection, profile: str, run: int) -> None:
    """Earlier runs that still wait are superseded; those whose process died while reading are marked as failed."""
    await conn.execute(REPLACE_EARLIER_SQL, profile, run, {"message": "The import was interrupted", "values": {}})


async def stage(conn: Connection, run: int, record: str, rows: Iterable[GoodRow]) -> None:
    """Copy valid rows to where they are compared."""
    await conn.copy_records_to_table(
        "staged_row",
        schema_name="importers",
        columns=("run", "record", "number", "external_id", "hash", "data", "grosze"),
        records=[(run, record, row.number, row.external_id, row.hash, row.data, row.grosze) for row in rows],
    )


SET_ASIDE_SQL: Final[LiteralString] = """
insert into importers.bad_row (run, record, number, external_id, reasons) values ($1, $2, $3, $4, $5)
"""


async def set_aside(
    conn: Connection, run: int, record: str, rows: Iterable[BadRow], keys: Iterable[str | None]
) -> None:
    """Keep wrong rows with their reasons; of all of them (``keys``) remember that they are there."""
    await conn.copy_records_to_table(
        "staged_bad",
        schema_name="importers",
        columns=("run", "record", "external_id"),
        records=[(run, record, key) for key in keys],
    )
    await conn.executemany(
        SET_ASIDE_SQL,
        [(run, record, row.number, row.external_id, [asdict(reason) for reason in row.reasons]) for row in rows],
    )


# Rows that were copied a moment ago have no statistics: without these the planner takes them for a handful and loops.
REFRESH_STATISTICS_SQL: Final[LiteralString] = "select importers.refresh_statistics()"
NESTED_LOOPS_OFF_SQL: Final[LiteralString] = "set local enable_nestloop = off"
NESTED_LOOPS_ON_SQL: Final[LiteralString] = "set local enable_nestloop = on"

SET_ASIDE_TWICE_SQL: Final[LiteralString] = """
with twice as (
    select external_id from importers.staged_row where run = $1 and record = $2
    group by external_id having count(*) > 1
), taken as (
    delete from importers.staged_row staged using twice
    where staged.run = $1 and staged.record = $2 and staged.external_id = twice.external_id
    returning staged.number, staged.external_id
), told as (
    insert into importers.bad_row (run, record, number, external_id, reasons)
    select $1, $2, number, external_id, $3::jsonb from taken order by number limit $4
), remembered as (
    insert into importers.staged_bad (run, record, external_id) select $1, $2, external_id from taken
)
select count(*) from taken
"""


async def set_aside_twice(conn: Connection, run: int, record: str, reason: Reason) -> int:
    """Set aside every row whose key comes more than once: nobody knows which one is right. How many they are."""
    await conn.execute(REFRESH_STATISTICS_SQL)
    await conn.execute(NESTED_LOOPS_OFF_SQL)
    count = await conn.fetchval(SET_ASIDE_TWICE_SQL, run, record, [asdict(reason)], KEPT_OF_A_KIND)
    await conn.execute(NESTED_LOOPS_ON_SQL)
    return count


COMPARE_SQL: Final[LiteralString] = """
insert into importers.difference (run, record, change, external_id, before, after, hash, grosze_before, grosze_after,
    hash_before)
select $2, $3,
    case
        when mirror.external_id is null or mirror.gone then 'new'
        when staged.external_id is null then 'missing'
        else 'changed'
    end,
    external_id, mirror.data, staged.data::jsonb, staged.hash, mirror.grosze, staged.grosze, mirror.hash
from (select * from importers.staged_row where run = $2 and record = $3) staged
full join (select * from importers.applied_row where profile = $1 and record = $3) mirror using (external_id)
left join (
    select distinct external_id from importers.staged_bad where run = $2 and record = $3 and external_id is not null
) bad using (external_id)
where case
        when staged.external_id is null then not mirror.gone and bad.external_id is null
        else staged.hash is distinct from mirror.hash or mirror.gone
    end
order by coalesce(staged.data::jsonb, mirror.data) ->> $4::text, staged.number, external_id
"""

COUNT_SQL: Final[LiteralString] = """
select
    staged.rows as staged, staged.grosze as staged_grosze, bad.rows as wrong,
    count(*) filter (where change = 'new') as new,
    count(*) filter (where change = 'changed') as changed,
    count(*) filter (where change = 'missing') as missing,
    coalesce(sum(grosze_after) filter (where change = 'new'), 0)::bigint as new_grosze,
    coalesce(sum(grosze_before) filter (where change = 'changed'), 0)::bigint as before_grosze,
    coalesce(sum(grosze_after) filter (where change = 'changed'), 0)::bigint as after_grosze,
    coalesce(sum(grosze_before) filter (where change = 'missing'), 0)::bigint as missing_grosze
from
    (select count(*) as rows, coalesce(sum(grosze), 0)::bigint as grosze
     from importers.staged_row where run = $1 and record = $2) staged
    cross join (select count(*) as rows from importers.staged_bad where run = $1 and record = $2) bad
    left join importers.difference on run = $1 and record = $2
group by staged.rows, staged.grosze, bad.rows
"""

COUNT_FIELDS_SQL: Final[LiteralString] = """
select field, count(*) as rows
from importers.difference
cross join lateral jsonb_object_keys(before || after) as field
where run = $1 and record = $2 and change = 'changed' and before -> field is distinct from after -> field
group by field
order by count(*) desc, field
"""

CLEAR_STAGED_SQL: Final[LiteralString] = """
with bad as (delete from importers.staged_bad where run = $1)
delete from importers.staged_row where run = $1
"""


async def compare(conn: Connection, profile: str, run: int, record: str, together: str | None) -> EntityReport:
    """Write down what differs between the staged rows and those applied before, and count it.

    Rows with the same ``together`` field come one after another, otherwise as they stand in the source.
    """
    await conn.execute(NESTED_LOOPS_OFF_SQL)
    await conn.execute(COMPARE_SQL, profile, run, record, together)
    counted = await conn.fetchrow(COUNT_SQL, run, record)
    await conn.execute(NESTED_LOOPS_ON_SQL)
    assert counted is not None  # noqa: S101  (an aggregate always has a row)
    fields = await conn.fetch(COUNT_FIELDS_SQL, run, record)
    examples = await bad_rows(conn, run, record, EXAMPLES)
    return EntityReport(
        record=record,
        total=counted["staged"] + counted["wrong"],
        new=counted["new"],
        changed=counted["changed"],
        same=counted["staged"] - counted["new"] - counted["changed"],
        missing=counted["missing"],
        wrong=counted["wrong"],
        sums={
            "source": counted["staged_grosze"],
            "new": counted["new_grosze"],
            "changed_before": counted["before_grosze"],
            "changed_after": counted["after_grosze"],
            "same": counted["staged_grosze"] - counted["new_grosze"] - counted["after_grosze"],
            "missing": counted["missing_grosze"],
        },
        fields={row["field"]: row["rows"] for row in fields},
        examples=tuple(examples),
    )


async def clear_staged(conn: Connection, run: int) -> None:
    """The staged rows have done their work."""
    await conn.execute(CLEAR_STAGED_SQL, run)


DIFFERENCES_SQL: Final[LiteralString] = """
select change, external_id, before, after from importers.difference where run = $1 and record = $2 order by id
"""


async def differences_of(conn: Connection, run: int, record: str) -> AsyncIterator[Difference]:
    """Everything that differs, in the source's order, without holding it in memory."""
    async for row in conn.cursor(DIFFERENCES_SQL, run, record, prefetch=1000):
        yield Difference(row["change"], row["external_id"], row["before"], row["after"])


REMEMBER_SQL: Final[LiteralString] = """
insert into importers.applied_row (profile, record, external_id, hash, data, grosze, run)
select $1, record, external_id, hash, after, grosze_after, run
from importers.difference where run = $2 and record = $3 and change in ('new', 'changed')
on conflict (profile, record, external_id)
do update set hash = excluded.hash, data = excluded.data, grosze = excluded.grosze, gone = false, run = excluded.run
"""

MARK_GONE_SQL: Final[LiteralString] = """
update importers.applied_row applied set gone = true, run = missing.run
from importers.difference missing
where missing.run = $2 and missing.record = $3 and missing.change = 'missing'
    and applied.profile = $1 and applied.record = $3 and applied.external_id = missing.external_id
"""


async def remember(conn: Connection, profile: str, run: int, record: str) -> None:
    """Bring the mirror to what was just applied."""
    await conn.execute(NESTED_LOOPS_OFF_SQL)
    await conn.execute(REMEMBER_SQL, profile, run, record)
    await conn.execute(MARK_GONE_SQL, profile, run, record)
    await conn.execute(NESTED_LOOPS_ON_SQL)


# A row that is new again after this carries on what was booked for it: so it stays in the mirror, as gone.
TAKE_BACK_SQL: Final[LiteralString] = """
update importers.applied_row applied
set gone = done.change = 'new', data = coalesce(done.before, done.after), hash = coalesce(done.hash_before, done.hash),
    grosze = coalesce(done.grosze_before, done.grosze_after)
from importers.difference done
where done.run = $2 and done.record = $3 and done.external_id <> all ($4::text[])
    and applied.profile = $1 and applied.record = $3 and applied.external_id = done.external_id
"""


async def take_back(conn: Connection, profile: str, run: int, record: str, kept: Sequence[str]) -> None:
    """Bring the mirror to what it was before a run, but for the rows that were kept."""
    await conn.execute(NESTED_LOOPS_OFF_SQL)
    await conn.execute(TAKE_BACK_SQL, profile, run, record, kept)
    await conn.execute(NESTED_LOOPS_ON_SQL)


LATER_RUN_SQL: Final[LiteralString] = """
select min(later.id) from importers.run later
where later.profile = $1 and later.id > $2 and later.state = 'applied'
  and exists (select from importers.difference d where d.run = later.id)
"""


async def later_run(conn: Connection, profile: str, run: int) -> int | None:
    """A run that was applied after this one and changed something."""
    return await conn.fetchval(LATER_RUN_SQL, profile, run)


MOVE_SQL: Final[LiteralString] = """
update importers.run
set state = $3, decided_by = coalesce(current_setting('ebok.actor', true), ''), reason = null,
    decided_role = coalesce(current_setting('ebok.role', true), '')
where id = $1 and state = $2
returning id
"""
SEND_BACK_SQL: Final[LiteralString] = """
update importers.run set state = $2, reason = $3, kept_count = $4, kept = $5 where id = $1
"""


async def move(conn: Connection, run: int, before: str, after: str) -> bool:
    """A person's decision about a run; False when somebody else was faster."""
    return await conn.fetchval(MOVE_SQL, run, before, after) is not None


async def send_back(conn: Connection, run: int, state: str, reason: Text | None, kept: Sequence[str] = ()) -> None:
    """What was asked for did not happen: the run is what it was, with the reason."""
    await conn.execute(SEND_BACK_SQL, run, state, as_json(reason), len(kept), list(kept[:20]))


# --- progress -------------------------------------------------------------------------------------------------------

TELL_SQL: Final[LiteralString] = """
insert into importers.progress (run, phase, done, total) values ($1, $2, $3, $4)
on conflict (run) do update set phase = $2, done = $3, total = $4, told_at = now()
returning cancel
"""
PROGRESS_SQL: Final[LiteralString] = """
select phase, done, total, cancel, told_at from importers.progress where run = $1
"""
CANCEL_SQL: Final[LiteralString] = """
insert into importers.progress (run, cancel)
select id, true from importers.run where id = $1 and state in ('queued', 'reading', 'applying', 'reverting')
on conflict (run) do update set cancel = true
returning run
"""
FORGET_PROGRESS_SQL: Final[LiteralString] = "delete from importers.progress where run = $1"


async def tell(conn: Connection, run: int, phase: str, done: int, total: int) -> bool:
    """How far a run is; whether somebody wants it to stop."""
    return await conn.fetchval(TELL_SQL, run, phase, done, total)


async def progress_of(conn: Connection, run: int) -> Row | None:
    """How far a run is."""
    return await conn.fetchrow(PROGRESS_SQL, run)


async def cancel(conn: Connection, run: int) -> bool:
    """Ask a run to stop; False when nothing of it is under way."""
    return await conn.fetchval(CANCEL_SQL, run) is not None


async def forget_progress(conn: Connection, run: int) -> None:
    """The work has ended."""
    await conn.execute(FORGET_PROGRESS_SQL, run)


# --- profiles and files ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A profile kept in the database. ``sample`` is a file to look at."""

    id: int
    name: str
    title: str
    text: str
    version: int
    sample_name: str
    sample: bytes | None


PROFILES_SQL: Final[LiteralString] = "select name, title, text from importers.profile order by title, name"
PROFILE_SQL: Final[LiteralString] = """
select id, name, title, text, version, sample_name, sample from importers.profile where name = $1
"""
ADD_PROFILE_SQL: Final[LiteralString] = """
insert into importers.profile (name, title, text, sample_name, sample) values ($1, $2, $3, $4, $5)
on conflict do nothing returning id
"""
CHANGE_PROFILE_SQL: Final[LiteralString] = """
update importers.profile
set title = $3, text = $4, version = version + 1, changed_at = now(),
    changed_by = coalesce(current_setting('ebok.actor', true), '')
where name = $1 and version = $2 returning id
"""
REMOVE_PROFILE_SQL: Final[LiteralString] = "delete from importers.profile where name = $1 returning id"


async def profiles(conn: Connection) -> Sequence[Row]:
    """Name, title and text of every profile kept in the database."""
    return await conn.fetch(PROFILES_SQL)


async def kept_profile(conn: Connection, name: str) -> Kept | None:
    """A profile kept in the database, or None."""
    row = await conn.fetchrow(PROFILE_SQL, name)
    return Kept(**row) if row else None


async def add_profile(conn: Connection, name: str, title: str, text: str, sample: tuple[str, bytes] | None) -> bool:
    """Keep a new profile; False when the name is taken."""
    file_name, content = sample or ("", None)
    return await conn.fetchval(ADD_PROFILE_SQL, name, title, text, file_name, content) is not None


async def change_profile(conn: Connection, name: str, version: int, title: str, text: str) -> bool:
    """Write a profile anew; False when somebody else changed it meanwhile."""
    return await conn.fetchval(CHANGE_PROFILE_SQL, name, version, title, text) is not None


async def remove_profile(conn: Connection, name: str) -> bool:
    """Forget a profile; what it imported stays."""
    return await conn.fetchval(REMOVE_PROFILE_SQL, name) is not None


UPLOAD_SQL: Final[LiteralString] = "insert into importers.upload (run, name, content) values ($1, $2, $3)"
UPLOAD_OF_SQL: Final[LiteralString] = "select name, content from importers.upload where run = $1"
FORGET_UPLOAD_SQL: Final[LiteralString] = "delete from importers.upload where run = $1"
UNDER_WAY_SQL: Final[LiteralString] = """
select max(id) from importers.run
where profile = $1 and id <> $2 and (state in ('applying', 'reverting') or (state = 'queued' and $3))
"""


async def keep_upload(conn: Connection, run: int, name: str, content: bytes) -> None:
    """The file that a run is going to read."""
    await conn.execute(UPLOAD_SQL, run, name, content)


async def upload_of(conn: Connection, run: int) -> tuple[str, bytes] | None:
    """The name and content of a run's file."""
    row = await conn.fetchrow(UPLOAD_OF_SQL, run)
    return (row["name"], row["content"]) if row else None


async def forget_upload(conn: Connection, run: int) -> None:
    """A file that was read is not kept: it holds personal data."""
    await conn.execute(FORGET_UPLOAD_SQL, run)


async def under_way(conn: Connection, profile: str, but: int = 0, *, with_queued: bool = True) -> int | None:
    """Another run of the profile that somebody decided about, or that is queued. The caller holds the profile, so one
    that is only being read broke off."""
    return await conn.fetchval(UNDER_WAY_SQL, profile, but, with_queued)


SUPERSEDE_SQL: Final[LiteralString] = """
update importers.run set state = 'superseded', finished_at = now() where profile = $1 and state = 'waiting'
"""


async def supersede(conn: Connection, profile: str) -> None:
    """What was compared with a state that is no more cannot be applied."""
    await conn.execute(SUPERSEDE_SQL, profile)


LAST_STARTED_SQL: Final[LiteralString] = "select max(started_at) from importers.run where profile = $1"


async def last_started(conn: Connection, profile: str) -> datetime | None:
    """When the profile was last run."""
    return await conn.fetchval(LAST_STARTED_SQL, profile)


RUNS_OF_SQL: Final[LiteralString] = """
select id, state, started_at, file_name from importers.run where profile = $1 order by id desc limit 10
"""


async def runs_of(conn: Connection, profile: str) -> Sequence[Row]:
    """The last runs of a profile, the newest first."""
    return await conn.fetch(RUNS_OF_SQL, profile)


STANDINGS_SQL: Final[LiteralString] = """
with recursive named (profile) as (
    (select profile from importers.run order by profile limit 1)
    union all
    select (select r.profile from importers.run r where r.profile > named.profile order by r.profile limit 1)
    from named where named.profile is not null
), every_one as (
    select profile from named where profile is not null
    union
    select name from importers.profile
)
select o.profile, coalesce(k.title, newest.title) as title, k.text, coalesce(newest.state, '') as state,
       newest.id as run, applied.started_at as read_at
from every_one o
left join importers.profile k on k.name = o.profile
left join lateral (
    select id, title, state from importers.run r where r.profile = o.profile order by id desc limit 1
) newest on true
left join lateral (
    select started_at from importers.run r where r.profile = o.profile and state = 'applied' order by id desc limit 1
) applied on true
order by title, o.profile
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a profile stands: what became of its newest ``run`` (``state``; empty before the first), and when the data
    that count were read. ``text`` is the profile's own, None for one that is not kept in the database."""

    profile: str
    title: str
    text: str | None
    state: str
    run: int | None
    read_at: datetime | None

    @property
    def is_failed(self) -> bool:
        return self.state in ("failed", "stopped")


async def standings(conn: Connection) -> list[Standing]:
    """Every profile that was ever run or is kept, by title."""
    return [Standing(**row) for row in await conn.fetch(STANDINGS_SQL)]


RUN_SQL: Final[LiteralString] = """
select id, profile, title, state, approve, report, reason, actor, started_at, finished_at, file_name, decided_by,
       decided_role, applied_at, reverted_at, kept_count, kept
from importers.run where id = $1
"""


async def run_of(conn: Connection, run: int) -> Run | None:
    """A run, or None."""
    row = await conn.fetchrow(RUN_SQL, run)
    return _run(row) if row else None


def _run(row: Row) -> Run:
    reason = row["reason"]
    return Run(
        id=row["id"],
        profile=row["profile"],
        title=row["title"],
        state=row["state"],
        approve=row["approve"],
        reports=tuple(EntityReport.of_json(report) for report in row["report"]),
        reason=Text(reason["message"], reason["values"]) if reason else None,
        actor=row["actor"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        file_name=row["file_name"],
        decided_by=row["decided_by"],
        decided_role=row["decided_role"],
        applied_at=row["applied_at"],
        reverted_at=row["reverted_at"],
        kept_count=row["kept_count"],
        kept=tuple(row["kept"]),
    )


EXAMPLES: Final = 20
"""So many wrong rows go with a report."""
BAD_ROWS_SQL: Final[LiteralString] = """
select number, external_id, reasons from importers.bad_row where run = $1 and record = $2 order by number limit $3
"""


async def bad_rows(conn: Connection, run: int, record: str, limit: int) -> list[BadRow]:
    """The first rows that were set aside."""
    return [bad_row(row) for row in await conn.fetch(BAD_ROWS_SQL, run, record, limit)]


def bad_row(row: Row) -> BadRow:
    """A wrong row from its columns number, external_id and reasons."""
    return BadRow(row["number"], row["external_id"], tuple(Reason(**reason) for reason in row["reasons"]))


PAGE: Final = 50

DIFFERENCES_PAGE_SQL: Final[LiteralString] = """
select id, record, change, external_id, before, after
from importers.difference where run = $1 and change = $2 and id > $3 order by id limit $4
"""

BAD_ROWS_PAGE_SQL: Final[LiteralString] = """
select id, record, number, external_id, reasons
from importers.bad_row where run = $1 and id > $2 order by id limit $3
"""

SAME_PAGE_SQL: Final[LiteralString] = """
select record, external_id, null as before, data as after, 'same' as change
from importers.applied_row applied
where profile = $1 and run < $2 and not gone and (record, external_id) > ($3::text, $4::text)
  and not exists (
      select from importers.difference d
      where d.run = $2 and d.change <> 'new' and d.record = applied.record and d.external_id = applied.external_id)
  and not exists (
      select from importers.bad_row bad
      where bad.run = $2 and bad.record = applied.record and bad.external_id = applied.external_id)
order by record, external_id limit $5
"""


async def same_page(conn: Connection, profile: str, run: int, after: tuple[str, str]) -> Sequence[Row]:
    """Rows that a run found as they had been applied, after this record and key: a page and one row more.

    They are not kept with the run: those that a later one changed are not among them any more.
    """
    return await conn.fetch(SAME_PAGE_SQL, profile, run, *after, PAGE + 1)


async def differences_page(conn: Connection, run: int, change: str, after: int) -> Sequence[Row]:
    """Differences of one kind (new, changed, missing) from the id ``after`` on: a page and one row more."""
    return await conn.fetch(DIFFERENCES_PAGE_SQL, run, change, after, PAGE + 1)


async def bad_rows_page(conn: Connection, run: int, after: int) -> Sequence[Row]:
    """Rows that were set aside, from the id ``after`` on: a page and one row more."""
    return await conn.fetch(BAD_ROWS_PAGE_SQL, run, after, PAGE + 1)


LAST_APPLIED_SQL: Final[LiteralString] = """
select good.profile, good.title, good.started_at,
       (select min(bad.started_at) from importers.run bad
        where bad.profile = good.profile and bad.id > good.id and bad.state in ('failed', 'stopped')) as failing_since
from (
    select id, profile, title, started_at from importers.run where state = 'applied' order by started_at desc limit 1
) good
"""


class AppliedRuns:
    """The port Freshness, answered from the runs."""

    async def last(self, conn: Connection) -> LastImport | None:
        """The newest applied import."""
        row = await conn.fetchrow(LAST_APPLIED_SQL)
        return LastImport(row["profile"], row["title"], row["started_at"], row["failing_since"]) if row else None

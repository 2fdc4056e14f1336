"""A run of an import: read, compare with what was applied before, wait for a person or apply at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from kernel import Batch, Connection, Record, Refused, Site, SourceChange, SourceError, SourceRow, Stamp, Text, _, audit
from plugins.importers import store
from plugins.importers.model import BadRow, EntityReport, GoodRow, Reason, RowReader, exceeded
from plugins.importers.profile import Planned, Profile, ProfileError, match_name, nearest

CHUNK: Final = 2000
"""Rows given to a record's owner at once."""


class ImportFailed(Exception):
    """The run failed and left nothing but its record; ``text`` says why."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.message)
        self.text = text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. ``run`` is None after a rehearsal; ``reason`` says why it stopped."""

    run: int | None
    state: str
    reports: tuple[EntityReport, ...]
    reason: Text | None = None


class _Rehearsed(Exception):
    """Rolls a rehearsal back with its result."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


async def rehearse(site: Site, profile: Profile) -> Outcome:
    """Read and compare without keeping anything. Raises ImportFailed, ProfileError."""
    try:
        async with site.db.transaction(Stamp("import")) as conn:
            run = await store.begin_run(conn, profile.head.name, profile.head.title, approve=False)
            reports = await _compare(conn, profile, run)
            reason = _stopped(profile, reports)
            raise _Rehearsed(Outcome(None, "stopped" if reason else "checked", reports, reason))
    except _Rehearsed as rehearsed:
        return rehearsed.outcome
    except (SourceError, ModuleNotFoundError) as error:
        raise ImportFailed(_reason(error)) from error


async def execute(site: Site, profile: Profile, *, approve: bool) -> Outcome:
    """Run an import: with ``approve`` (or with nothing to apply) to its end, otherwise until it waits for a person.

    Everything happens in one transaction; a run that fails leaves only its row with the reason. Raises ImportFailed.
    """
    async with site.db.transaction(Stamp("import")) as conn:
        run = await store.begin_run(conn, profile.head.name, profile.head.title, approve=approve)
    try:
        async with site.db.transaction(Stamp("import")) as conn:
            return await _executed(conn, site.registry.records, profile, run, approve=approve, today=site.clock.today())
    except Exception as error:
        reason = _reason(error)
        async with site.db.transaction(Stamp("import")) as conn:
            await store.end_run(conn, run, "failed", reason=reason)
        raise ImportFailed(reason) from error


async def _executed(
    conn: Connection, records: Mapping[str, Record], profile: Profile, run: int, *, approve: bool, today: date
) -> Outcome:
    reports = await _compare(conn, profile, run)
    await store.replace_earlier(conn, profile.head.name, run)
    reason = _stopped(profile, reports)
    if reason is not None:
        await store.end_run(conn, run, "stopped", reason=reason, reports=reports)
        return Outcome(run, "stopped", reports, reason)
    if approve or not any(report.differs for report in reports):
        await _apply(conn, records, profile.head.name, run, reports, approve=approve, today=today)
        await store.end_run(conn, run, "applied", reports=reports)
        return Outcome(run, "applied", reports)
    await store.end_run(conn, run, "waiting", reports=reports)
    return Outcome(run, "waiting", reports)


async def apply_waiting(conn: Connection, records: Mapping[str, Record], run: int, today: date) -> None:
    """Apply a run that waits, as the person who acts in ``conn``, booked on ``today``.

    Raises Refused when it no longer waits.
    """
    waiting = await store.run_of(conn, run)
    if waiting is None or not await store.lock_profile(conn, waiting.profile):
        raise Refused(_("Another import of this profile is under way. Try again in a moment."))
    waiting = await store.run_of(conn, run)
    if waiting is None or waiting.state != "waiting":
        raise Refused(_("This import no longer waits: it was applied, or a newer one took its place."))
    unknown = [report.record for report in waiting.reports if report.record not in records]
    if unknown:
        raise Refused(_("The plugin of the record «{record}» is off, so it cannot be applied.", record=unknown[0]))
    await _apply(conn, records, waiting.profile, run, waiting.reports, approve=True, today=today)
    await store.end_run(conn, run, "applied", approve=True)


async def _apply(
    conn: Connection,
    records: Mapping[str, Record],
    profile: str,
    run: int,
    reports: Sequence[EntityReport],
    *,
    approve: bool,
    today: date,
) -> None:
    for report in reports:
        if report.differs:
            record = records[report.record]
            async for batch in _batches(conn, record, profile, run, approve=approve, today=today):
                await record.apply(conn, batch)
            await store.remember(conn, profile, run, record.name)
    await audit(
        conn,
        "importers.applied",
        subject=profile,
        run=run,
        new=sum(report.new for report in reports),
        changed=sum(report.changed for report in reports),
        missing=sum(report.missing for report in reports),
        wrong=sum(report.wrong for report in reports),
    )


async def _batches(
    conn: Connection, record: Record, profile: str, run: int, *, approve: bool, today: date
) -> AsyncIterator[Batch]:
    """The differences of one record in the source's order, at most CHUNK at a time."""
    new: list[SourceRow] = []
    changed: list[SourceChange] = []
    missing: list[SourceRow] = []

    def batch() -> Batch:
        made = Batch(profile, run, approve, today, tuple(new), tuple(changed), tuple(missing))
        for part in (new, changed, missing):
            part.clear()
        return made

    valid = record.model.model_validate
    async for row in store.differences_of(conn, run, record.name):
        match row.change:
            case "new" if row.before is None:
                new.append(SourceRow(row.external_id, valid(row.after)))
            case "new" | "changed":
                changed.append(SourceChange(row.external_id, valid(row.before), valid(row.after)))
            case _:
                missing.append(SourceRow(row.external_id, valid(row.before)))
        if len(new) + len(changed) + len(missing) == CHUNK:
            yield batch()
    if new or changed or missing:
        yield batch()


async def _compare(conn: Connection, profile: Profile, run: int) -> tuple[EntityReport, ...]:
    if not await store.lock_profile(conn, profile.head.name):
        raise ImportFailed(_("Another import of this profile is under way. Try again in a moment."))
    tables = await profile.source.discover(profile.settings)
    reports: list[EntityReport] = []
    for planned in profile.entities:
        await _stage(conn, profile, planned, tables, run)
        twice = Reason(planned.entity.key, "The same key comes more than once")
        await store.set_aside_twice(conn, run, planned.record.name, twice)
        record = planned.record
        reports.append(await store.compare(conn, profile.head.name, run, record.name, record.together))
    await store.clear_staged(conn, run)
    return tuple(reports)


async def _stage(
    conn: Connection, profile: Profile, planned: Planned, tables: Mapping[str, Sequence[str]], run: int
) -> None:
    """Read an entity's rows; valid ones are staged, wrong ones set aside."""
    entity, record = planned.entity, planned.record
    what, reader, number = entity.query or "", None, 0
    if entity.table is not None:
        what = _table(profile, planned, tables)
        reader = RowReader(entity, record, _columns(profile, planned, tables[what]))
    async for rows in profile.source.stream(profile.settings, what):
        good: list[GoodRow] = []
        bad: list[BadRow] = []
        for raw in rows:
            if reader is None:
                reader = RowReader(entity, record, _columns(profile, planned, list(raw)))
            number += 1
            row = reader.read(number, raw)
            if isinstance(row, GoodRow):
                good.append(row)
            else:
                bad.append(row)
        if good:
            await store.stage(conn, run, record.name, good)
        if bad:
            await store.set_aside(conn, run, record.name, bad)


def _table(profile: Profile, planned: Planned, tables: Mapping[str, Sequence[str]]) -> str:
    wanted = planned.entity.table or ""
    found = match_name(wanted, tables)
    if found is None:
        raise ProfileError(
            _(
                "Line {line}: the source has no table «{table}». Nearest: {nearest}.",
                line=profile.lines.of(("entity", planned.number, "table")),
                table=wanted,
                nearest=nearest(wanted, tables),
            )
        )
    return found


def _columns(profile: Profile, planned: Planned, known: Sequence[str]) -> Mapping[str, str]:
    """From the names in the profile to those of the source. Raises ProfileError naming the field and its line."""
    named = [("key", planned.entity.key)]
    named += [(name, column) for name, rule in planned.entity.fields.items() for column in rule.columns]
    found: dict[str, str] = {}
    for name, column in named:
        place = ("entity", planned.number, "key") if name == "key" else ("entity", planned.number, "fields", name)
        actual = match_name(column, known)
        if actual is None:
            raise ProfileError(
                _(
                    "Line {line}, «{field}»: the source has no column «{column}». Nearest: {nearest}.",
                    line=profile.lines.of(place),
                    field=name,
                    column=column,
                    nearest=nearest(column, known),
                )
            )
        found[column] = actual
    return found


def _stopped(profile: Profile, reports: Sequence[EntityReport]) -> Text | None:
    reasons = (exceeded(report, profile.head.max_bad, profile.head.max_missing) for report in reports)
    return next((reason for reason in reasons if reason is not None), None)


def _reason(error: Exception) -> Text:
    """Why a run failed, for its record."""
    match error:
        case ImportFailed() | ProfileError():
            return error.text
        case Refused():
            return next(iter((*error.notes, *error.errors.values())), _("The import was refused"))
        case SourceError():
            return Text(str(error))
        case ModuleNotFoundError():
            return _(
                "The driver «{driver}» is not installed on the server, so this source cannot be read. Install it.",
                driver=error.name,
            )
        case _:
            return _("The import failed: {reason}", reason=f"{type(error).__name__}: {error}")

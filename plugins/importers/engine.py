"""A run of an import: read, compare with what was applied before, wait for a person or apply at once."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import structlog

from kernel import (
    Batch,
    Connection,
    RawRow,
    Record,
    Refused,
    Site,
    SourceChange,
    SourceError,
    SourceRow,
    Stamp,
    Text,
    _,
    audit,
)
from plugins.importers import store
from plugins.importers.model import BadRow, EntityReport, GoodRow, Reason, RowReader, Wrong, exceeded, hopeless
from plugins.importers.profile import Planned, Profile, ProfileError, match_name, nearest

_log = structlog.get_logger("ebok.importers")

CHUNK: Final = 2000
"""Rows given to a record's owner at once."""


class ImportFailed(Exception):
    """The run failed and left nothing but its record; ``text`` says why."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.message)
        self.text = text


class Cancelled(Exception):
    """Somebody asked the run to stop; nothing of it stays."""


class Asks(Exception):
    """Rolling back would leave rows that people changed since; ``kept`` are their keys."""

    def __init__(self, kept: Sequence[str]) -> None:
        super().__init__()
        self.kept = kept


@dataclass(slots=True)
class Watch:
    """Tells how far a run is, beside its own transaction, and learns whether it shall stop."""

    site: Site
    run: int | None
    told: float = float("-inf")

    async def tell(self, phase: str, done: int = 0, total: int = 0) -> None:
        """At most twice a second. Raises Cancelled."""
        if self.run is None or (done and time.monotonic() - self.told < 0.5):
            return
        self.told = time.monotonic()
        async with self.site.db.transaction(Stamp("import")) as conn:
            is_unwanted = await store.tell(conn, self.run, phase, done, total)
        if is_unwanted:
            raise Cancelled


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
            reports, reason = await _compare(conn, profile, run, Watch(site, None))
            raise _Rehearsed(Outcome(None, "stopped" if reason else "checked", reports, reason))
    except _Rehearsed as rehearsed:
        return rehearsed.outcome
    except (SourceError, ModuleNotFoundError) as error:
        raise ImportFailed(reason_of(error)) from error


async def execute(site: Site, profile: Profile, *, approve: bool) -> Outcome:
    """Run an import: with ``approve`` (or with nothing to apply) to its end, otherwise until it waits for a person.

    Everything happens in one transaction; a run that fails leaves only its row with the reason. Raises ImportFailed.
    """
    async with site.db.transaction(Stamp("import")) as conn:
        run = await store.begin_run(conn, profile.head.name, profile.head.title, approve=approve)
    return await read(site, profile, run, approve=approve)


async def read(site: Site, profile: Profile, run: int, *, approve: bool) -> Outcome:
    """Read and compare as the run that has begun; with ``approve`` apply at once. Raises ImportFailed."""
    watch = Watch(site, run)
    try:
        await watch.tell("reading")
        async with site.db.transaction(Stamp("import")) as conn:
            outcome = await _executed(conn, site.registry.records, profile, run, watch, approve, site.clock.today())
    except Cancelled:
        await _ended(site, run, "cancelled", None)
        return Outcome(run, "cancelled", ())
    except Exception as error:
        reason = reason_of(error)
        await _ended(site, run, "failed", reason)
        raise ImportFailed(reason) from error
    await _tidied(site, run)
    return outcome


async def _ended(site: Site, run: int, state: str, reason: Text | None) -> None:
    async with site.db.transaction(Stamp("import")) as conn:
        await store.end_run(conn, run, state, reason=reason)
    await _tidied(site, run)


async def _tidied(site: Site, run: int) -> None:
    async with site.db.transaction(Stamp("import")) as conn:
        await store.forget_progress(conn, run)
        await store.forget_upload(conn, run)


async def _executed(
    conn: Connection,
    records: Mapping[str, Record],
    profile: Profile,
    run: int,
    watch: Watch,
    approve: bool,
    today: date,
) -> Outcome:
    reports, reason = await _compare(conn, profile, run, watch)
    await store.replace_earlier(conn, profile.head.name, run)
    if reason is not None:
        await store.end_run(conn, run, "stopped", reason=reason, reports=reports)
        return Outcome(run, "stopped", reports, reason)
    if approve or not any(report.differs for report in reports):
        await _apply(conn, records, profile.head.name, run, reports, watch, approve=approve, today=today)
        await store.end_run(conn, run, "applied", reports=reports)
        return Outcome(run, "applied", reports)
    await store.end_run(conn, run, "waiting", reports=reports)
    return Outcome(run, "waiting", reports)


async def apply_waiting(
    conn: Connection,
    records: Mapping[str, Record],
    run: int,
    today: date,
    watch: Watch,
    state: str = "waiting",
) -> None:
    """Apply a run that waits (is in ``state``), as the person who acts in ``conn``, booked on ``today``.

    Raises Refused when it no longer waits, and Cancelled.
    """
    waiting = await store.run_of(conn, run)
    if waiting is None or not await store.lock_profile(conn, waiting.profile):
        raise Refused(_("Another import of this profile is under way. Try again in a moment."))
    waiting = await store.run_of(conn, run)
    if waiting is None or waiting.state != state:
        raise Refused(_("This import no longer waits: it was applied, or a newer one took its place."))
    unknown = [report.record for report in waiting.reports if report.record not in records]
    if unknown:
        raise Refused(_("The plugin of the record «{record}» is off, so it cannot be applied.", record=unknown[0]))
    await _apply(conn, records, waiting.profile, run, waiting.reports, watch, approve=True, today=today)
    await store.end_run(conn, run, "applied", approve=True)


async def apply(site: Site, run: int) -> None:
    """Apply a run as the person who decided so; whatever hinders it, the run then waits again and says why."""
    decided = await _decided(site, run)
    try:
        async with site.db.transaction(decided) as conn:
            await apply_waiting(conn, site.registry.records, run, site.clock.today(), Watch(site, run), "applying")
    except Cancelled:
        await _sent_back(site, run, "waiting", _("Applying was cancelled; nothing was applied."))
    except Exception as error:
        await _sent_back(site, run, "waiting", reason_of(error))
        if not isinstance(error, Refused):
            _log.warning("an import was not applied", run=run, exc_info=True)
    await _forgotten(site, run)


async def revert(site: Site, run: int, *, acknowledged: bool) -> None:
    """Roll a run back as the person who decided so; whatever hinders it, the run stays applied and says why.

    Rows that people changed since make it ask first, unless it is ``acknowledged`` that they stay.
    """
    decided = await _decided(site, run)
    try:
        async with site.db.transaction(decided) as conn:
            await _revert(conn, site.registry.records, run, site.clock.today(), Watch(site, run), acknowledged)
    except Cancelled:
        await _sent_back(site, run, "applied", _("Rolling back was cancelled; nothing was changed."))
    except Asks as asks:
        reason = _("Rows that people have changed since: {count}. They would stay as they are.", count=len(asks.kept))
        await _sent_back(site, run, "applied", reason, asks.kept)
    except Exception as error:
        await _sent_back(site, run, "applied", reason_of(error))
        if not isinstance(error, Refused):
            _log.warning("an import was not rolled back", run=run, exc_info=True)
    await _forgotten(site, run)


async def _revert(
    conn: Connection, records: Mapping[str, Record], run: int, today: date, watch: Watch, acknowledged: bool
) -> None:
    applied = await store.run_of(conn, run)
    if applied is None or applied.state != "reverting" or not await store.lock_profile(conn, applied.profile):
        raise Refused(_("Another import of this profile is under way. Try again in a moment."))
    await check_revertible(conn, records, applied)
    kept: dict[str, list[str]] = {}
    done, total = 0, sum(report.new + report.changed + report.missing for report in applied.reports)
    for report in reversed(applied.reports):
        record = records[report.record]
        if not report.differs or record.revert is None:
            continue
        stay = kept.setdefault(record.name, [])
        batches = _batches(conn, record, applied.profile, run, report, approve=True, today=today, undoing=True)
        async for batch in batches:
            await watch.tell("reverting", done, total)
            stay += await record.revert(conn, batch)
            done += len(batch.new) + len(batch.changed) + len(batch.missing)
    keys = [key for stay in kept.values() for key in stay]
    if keys and not acknowledged:
        raise Asks(keys)
    for name, stay in kept.items():
        await store.take_back(conn, applied.profile, run, name, stay)
    await store.supersede(conn, applied.profile)
    await store.end_run(conn, run, "reverted")
    await audit(conn, "importers.reverted", subject=applied.profile, run=run, rows=done - len(keys), kept=len(keys))


async def check_revertible(conn: Connection, records: Mapping[str, Record], applied: store.Run) -> None:
    """Raises Refused, with the reason, when a run cannot be rolled back whatever people say."""
    later = await store.later_run(conn, applied.profile, applied.id)
    if later is not None:
        raise Refused(
            _("Import {number} was applied after this one and builds on it. Roll that back first.", number=later)
        )
    for report in applied.reports:
        if report.differs and (report.record not in records or records[report.record].revert is None):
            raise Refused(_("What became «{record}» cannot be rolled back.", record=report.record))


async def _decided(site: Site, run: int) -> Stamp:
    """Who decided what is being done now."""
    async with site.db.connection() as conn:
        found = await store.run_of(conn, run)
    return Stamp(found.decided_by if found else "import", found.decided_role if found else "")


async def _sent_back(site: Site, run: int, state: str, reason: Text, kept: Sequence[str] = ()) -> None:
    async with site.db.transaction(Stamp("import")) as conn:
        await store.send_back(conn, run, state, reason, kept)


async def _forgotten(site: Site, run: int) -> None:
    async with site.db.transaction(Stamp("import")) as conn:
        await store.forget_progress(conn, run)


async def _apply(
    conn: Connection,
    records: Mapping[str, Record],
    profile: str,
    run: int,
    reports: Sequence[EntityReport],
    watch: Watch,
    *,
    approve: bool,
    today: date,
) -> None:
    done, total = 0, sum(report.new + report.changed + report.missing for report in reports)
    for report in reports:
        if report.differs:
            record = records[report.record]
            async for batch in _batches(conn, record, profile, run, report, approve=approve, today=today):
                await watch.tell("applying", done, total)
                await record.apply(conn, batch)
                done += len(batch.new) + len(batch.changed) + len(batch.missing)
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
    conn: Connection,
    record: Record,
    profile: str,
    run: int,
    report: EntityReport,
    *,
    approve: bool,
    today: date,
    undoing: bool = False,
) -> AsyncIterator[Batch]:
    """The differences of one record in the source's order, at most CHUNK at a time.

    A row that was gone and came back changes what was booked for it; to undo that is to take back a new row.
    """
    new: list[SourceRow] = []
    changed: list[SourceChange] = []
    missing: list[SourceRow] = []

    def batch() -> Batch:
        made = Batch(profile, run, approve, today, tuple(new), tuple(changed), tuple(missing), report.owners)
        for part in (new, changed, missing):
            part.clear()
        return made

    valid = record.model.model_validate
    async for row in store.differences_of(conn, run, record.name):
        match row.change:
            case "new" if row.before is None or undoing:
                new.append(SourceRow(row.external_id, valid(row.after)))
            case "new" | "changed":
                changed.append(SourceChange(row.external_id, valid(row.before), valid(row.after)))
            case _:
                missing.append(SourceRow(row.external_id, valid(row.before)))
        if len(new) + len(changed) + len(missing) == CHUNK:
            yield batch()
    if new or changed or missing:
        yield batch()


class _Hopeless(Exception):
    """Almost all of an entity is wrong; ``report`` says what was seen of it."""

    def __init__(self, reason: Text, report: EntityReport) -> None:
        super().__init__(reason.message)
        self.reason, self.report = reason, report


async def _compare(
    conn: Connection, profile: Profile, run: int, watch: Watch
) -> tuple[tuple[EntityReport, ...], Text | None]:
    """What differs, entity by entity, and why the run must stop, if it must."""
    name = profile.head.name
    if not await store.lock_profile(conn, name) or await store.under_way(conn, name, run, with_queued=False):
        raise ImportFailed(_("Another import of this profile is under way. Try again in a moment."))
    tables = await profile.source.discover(profile.settings)
    reports: list[EntityReport] = []
    for planned in profile.entities:
        try:
            wrong = await _stage(conn, profile, planned, tables, run, watch)
        except _Hopeless as found:
            await store.clear_staged(conn, run)
            return (*reports, found.report), found.reason
        twice = Reason(planned.entity.key, "The same key comes more than once")
        doubled = await store.set_aside_twice(conn, run, planned.record.name, twice)
        if doubled:
            wrong.counts[twice.name, twice.message] += doubled
        record = planned.record
        await watch.tell("comparing")
        report = await store.compare(conn, profile.head.name, run, record.name, record.together)
        owners = {name: rule.owner for name, rule in planned.entity.fields.items() if rule.owner != "newest"}
        reports.append(replace(report, errors=wrong.as_json(), owners=owners))
    await store.clear_staged(conn, run)
    return tuple(reports), _stopped(profile, reports)


async def _stage(
    conn: Connection,
    profile: Profile,
    planned: Planned,
    tables: Mapping[str, Sequence[str]],
    run: int,
    watch: Watch,
) -> Wrong:
    """Read an entity's rows; valid ones are staged, of wrong ones the first of each kind set aside.

    Raises _Hopeless.
    """
    wrong = Wrong()
    entity, record = planned.entity, planned.record
    what, reader, number = entity.query or "", None, 0
    if entity.table is not None:
        what = _table(profile, planned, tables)
        reader = RowReader(entity, record, _columns(profile, planned, tables[what]))
    async with _rows(profile, what) as batches:
        async for rows in batches:
            good: list[GoodRow] = []
            bad: list[BadRow] = []
            keys: list[str | None] = []
            for raw in rows:
                if reader is None:
                    reader = RowReader(entity, record, _columns(profile, planned, list(raw)))
                number += 1
                row = reader.read(number, raw)
                if isinstance(row, GoodRow):
                    good.append(row)
                else:
                    keys.append(row.external_id)
                    if wrong.add(row):
                        bad.append(row)
            if good:
                await store.stage(conn, run, record.name, good)
            if keys:
                await store.set_aside(conn, run, record.name, bad, keys)
            reason = hopeless(record.name, number, wrong.rows, profile.head.give_up_after)
            if reason is not None:
                examples = tuple(await store.bad_rows(conn, run, record.name, store.EXAMPLES))
                raise _Hopeless(
                    reason,
                    EntityReport(
                        record.name, total=number, wrong=wrong.rows, errors=wrong.as_json(), examples=examples
                    ),
                )
            await watch.tell("reading", number)
    return wrong


@asynccontextmanager
async def _rows(profile: Profile, what: str) -> AsyncGenerator[AsyncIterator[Sequence[RawRow]]]:
    """The rows of a table or query; the source is let go at the end, read through or not."""
    rows = profile.source.stream(profile.settings, what)
    try:
        yield rows
    finally:
        if isinstance(rows, AsyncGenerator):
            await rows.aclose()


@dataclass(frozen=True, slots=True)
class Peeked:
    """The first rows of one entity as they would be taken over, or what is wrong with them."""

    record: Record
    table: str
    rows: tuple[GoodRow | BadRow, ...]


PEEKED: Final = 5


async def peek(profile: Profile) -> list[Peeked]:
    """Try the connection and read a few rows of each entity. Raises ProfileError, ImportFailed."""
    try:
        tables = await profile.source.discover(profile.settings)
        return [await _peeked(profile, planned, tables) for planned in profile.entities]
    except (SourceError, ModuleNotFoundError) as error:
        raise ImportFailed(reason_of(error)) from error


async def _peeked(profile: Profile, planned: Planned, tables: Mapping[str, Sequence[str]]) -> Peeked:
    entity, record = planned.entity, planned.record
    what = entity.query or _table(profile, planned, tables)
    found: list[GoodRow | BadRow] = []
    reader = None if entity.table is None else RowReader(entity, record, _columns(profile, planned, tables[what]))
    async with _rows(profile, what) as batches:
        async for raw in batches:
            for row in raw[: PEEKED - len(found)]:
                reader = reader or RowReader(entity, record, _columns(profile, planned, list(row)))
                found.append(reader.read(len(found) + 1, row))
            if len(found) == PEEKED:
                break
    return Peeked(record, entity.table or "", tuple(found))


def _table(profile: Profile, planned: Planned, tables: Mapping[str, Sequence[str]]) -> str:
    wanted = planned.entity.table or ""
    found = match_name(wanted, tables)
    if found is None and profile.is_uploaded and len(tables) == 1:
        return next(iter(tables))
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


def reason_of(error: Exception) -> Text:
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

"""Imports: a profile says what to read and what it becomes; differences are shown before anything is applied."""

from collections.abc import Iterable, Sequence

from kernel import (
    ACTOR,
    CONN,
    SITE,
    STAFF,
    ArchiveRule,
    Card,
    Command,
    Job,
    Nav,
    Permission,
    Plugin,
    QueueItem,
    Request,
    Route,
    Service,
    Verb,
    _,
    hookimpl,
)
from plugins.importers import commands, desk, jobs, pages, profile_pages, store
from plugins.importers.encodings import POLISH, Encoding, detect, detect_in, is_utf8
from plugins.importers.face import Freshness, LastImport
from plugins.importers.profile import SourcePath, WithPassword

__all__ = [
    "POLISH",
    "Encoding",
    "Freshness",
    "LastImport",
    "SourcePath",
    "WithPassword",
    "detect",
    "detect_in",
    "is_utf8",
]

plugin = Plugin(api=1)


@hookimpl
def register_permissions() -> Iterable[Permission]:
    yield Permission("importers.view", _("See imports"), STAFF)
    yield Permission("importers.apply", _("Run, apply and roll back imports"), STAFF)
    yield Permission("importers.configure", _("Make and change profiles of imports"), STAFF)


@hookimpl
def register_routes() -> Iterable[Route]:
    return (*profile_pages.ROUTES, *pages.ROUTES)


@hookimpl
def register_navigation() -> Iterable[Nav]:
    yield Nav(_("Imports"), "importers.runs", 80, "import", _("Bank and import"))


@hookimpl
def register_services() -> Iterable[Service]:
    yield Service(Freshness, store.AppliedRuns())


@hookimpl
def register_jobs() -> Iterable[Job]:
    return jobs.JOBS


@hookimpl
def register_archive_rules() -> Iterable[ArchiveRule]:
    for table in ("staged_row", "staged_bad", "progress", "upload"):
        yield ArchiveRule(f"importers.{table}", left_out=True)
    yield ArchiveRule("importers.profile", secret_columns=("text",))


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
    yield Verb("importers.started", _("started the import {run}"))
    yield Verb("importers.reverted", _("rolled back an import: {rows} rows; {kept} that people had changed stay"))
    yield Verb("importers.profile_added", _("made a profile of imports"))
    yield Verb("importers.profile_changed", _("changed a profile of imports"))
    yield Verb("importers.profile_removed", _("deleted a profile of imports"))
    yield Verb(
        "importers.applied", _("applied an import: {new} new, {changed} changed, {missing} missing, {wrong} wrong rows")
    )


@hookimpl
def register_commands() -> Iterable[Command]:
    yield Command(
        "import check",
        "read a source and say what would be wrong, without writing",
        commands.check,
        (commands.PROFILE, commands.AS_JSON),
    )
    yield Command(
        "import run",
        "import a source: show the differences, then wait for a person or apply",
        commands.run,
        (commands.PROFILE, commands.DRY_RUN, commands.APPROVE, commands.AS_JSON),
    )


@hookimpl
async def page_slot(request: Request, name: str) -> Sequence[Card]:
    if name != "balances.freshness":
        return ()
    last = await store.AppliedRuns().last(request[CONN])
    if last is None:
        return ()
    zone = request[SITE].clock.zone
    failing = last.failing_since and last.failing_since.astimezone(zone).date()
    facts = {"day": last.read_at.astimezone(zone).date(), "title": last.title, "failing": failing}
    return [Card(_("How fresh this is"), "importers/freshness.html", facts)]


@hookimpl
async def queue_items(request: Request) -> Sequence[QueueItem]:
    return await desk.queue(request) if request[ACTOR].may("importers.view") else ()


@hookimpl
async def dashboard_cards(request: Request) -> Sequence[Card]:
    return await desk.cards(request) if request[ACTOR].may("importers.view") else ()

"""Imports: a profile says what to read and what it becomes; differences are shown before anything is applied."""

from collections.abc import Iterable, Sequence

from kernel import (
    CONN,
    SITE,
    STAFF,
    Card,
    Command,
    Nav,
    Permission,
    Plugin,
    Request,
    Route,
    Service,
    Verb,
    _,
    hookimpl,
)
from plugins.importers import commands, pages, store
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
    yield Permission("importers.apply", _("Apply imports"), STAFF)


@hookimpl
def register_routes() -> Iterable[Route]:
    return pages.ROUTES


@hookimpl
def register_navigation() -> Iterable[Nav]:
    yield Nav(_("Imports"), "importers.runs", 80, "import")


@hookimpl
def register_services() -> Iterable[Service]:
    yield Service(Freshness, store.AppliedRuns())


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
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
    day = last.read_at.astimezone(request[SITE].clock.zone).date()
    return [Card(_("How fresh this is"), "importers/freshness.html", {"day": day, "title": last.title})]

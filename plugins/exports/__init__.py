"""Exports: what the office takes out as tables, and the archive by which a whole organisation moves."""

from collections.abc import Iterable

from kernel import (
    STAFF,
    ArchiveRule,
    Command,
    Job,
    Nav,
    Permission,
    Plugin,
    Role,
    Route,
    Verb,
    _,
    hookimpl,
    ngettext,
)
from plugins.exports import commands, jobs, pages
from plugins.exports.settings import Settings

plugin = Plugin(api=1, settings=Settings)


@hookimpl
def register_permissions() -> Iterable[Permission]:
    yield Permission(pages.VIEW, _("Export data"), STAFF)
    yield Permission(pages.WHOLE, _("Export the whole organisation"), {Role.SUPERADMIN}, superadmin_mode=True)


@hookimpl
def register_routes() -> Iterable[Route]:
    return pages.ROUTES


@hookimpl
def register_navigation() -> Iterable[Nav]:
    yield Nav(_("Exports"), "exports.list", 82, "download", _("Reports"))


@hookimpl
def register_jobs() -> Iterable[Job]:
    return jobs.JOBS


@hookimpl
def register_archive_rules() -> Iterable[ArchiveRule]:
    yield ArchiveRule("exports.made", left_out=True)
    yield ArchiveRule("exports.piece", left_out=True)


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
    yield Verb("exports.made", ngettext("exported {what}: {count} row", "exported {what}: {count} rows", 0))
    yield Verb("exports.downloaded", _("took the export {what}: {file}"))
    yield Verb("exports.cancelled", _("cancelled the export {what}"))
    yield Verb("exports.removed", _("deleted the export {what}: {file}"))
    yield Verb("exports.archived", _("had the archive of the organisation made"))
    yield Verb(
        "exports.taken_in",
        ngettext(
            "took in the archive of {organisation} made on {made_at}: {count} row",
            "took in the archive of {organisation} made on {made_at}: {count} rows",
            0,
        ),
    )


@hookimpl
def register_commands() -> Iterable[Command]:
    yield Command(
        "export",
        "write customers, entries, balances, open items … or, with «all», the archive of the organisation",
        commands.export,
        (
            commands.WHAT,
            commands.FORMAT,
            commands.AS_OF,
            commands.WHERE,
            commands.OUTPUT,
            commands.WITH_SECRETS,
        ),
    )
    yield Command(
        "import archive",
        "take the archive of an organisation into this new, empty one",
        commands.take_in,
        (commands.ARCHIVE,),
    )

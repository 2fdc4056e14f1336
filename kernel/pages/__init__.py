"""The kernel's own pages and work, declared through the same hooks as any plugin's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from kernel import idempotency, jobs, mail
from kernel.auth import commands
from kernel.auth import declarations as auth
from kernel.pages import (
    account,
    audit_log,
    console,
    deleted,
    health,
    home,
    invitations,
    jobs_page,
    lists,
    login,
    plugins_page,
    reset,
    settings_page,
    tokens,
    users,
    view,
)
from kernel.plugin.contracts import ArchiveRule, Check, Command, Job, Nav, Plugin, Route, Verb
from kernel.plugin.hooks import hookimpl
from kernel.plugin.permissions import Permission
from kernel.settings import OrganisationSettings
from kernel.settings import verbs as settings_verbs
from kernel.web import openapi

plugin = Plugin(api=1, settings=OrganisationSettings)

# Each of these modules has functions named for what it declares: routes(), permissions(), navigation() …
_PAGES: Final = (
    login,
    account,
    reset,
    invitations,
    users,
    tokens,
    view,
    home,
    console,
    audit_log,
    deleted,
    jobs_page,
    lists,
    settings_page,
    plugins_page,
    health,
    openapi,
)
_WORK: Final = (auth, commands, idempotency, jobs, mail)


_OF_THE_INSTALLATION: Final = (
    "migration",
    "session",
    "known_device",
    "throttle",
    "reset_link",
    "idempotency_key",
    "job_schedule",
    "mail_log",
    "pgqueuer",
    "pgqueuer_log",
    "pgqueuer_schedules",
    "pgqueuer_statistics",
)
"""Tables without a part in an organisation's archive."""


def _declared(what: str) -> Iterator[Any]:
    return chain.from_iterable(getattr(module, what)() for module in (*_PAGES, *_WORK) if hasattr(module, what))


@hookimpl
def register_permissions() -> Iterable[Permission]:
    return _declared("permissions")


@hookimpl
def register_routes() -> Iterable[Route]:
    return _declared("routes")


@hookimpl
def register_navigation() -> Iterable[Nav]:
    return _declared("navigation")


@hookimpl
def register_jobs() -> Iterable[Job]:
    return _declared("jobs")


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
    return chain(_declared("verbs"), settings_verbs())


@hookimpl
def register_checks() -> Iterable[Check]:
    return _declared("checks")


@hookimpl
def register_archive_rules() -> Iterable[ArchiveRule]:
    """Sessions, queues and limits belong to the installation; passwords go along on demand only."""
    yield ArchiveRule("kernel.users", seeded=True, secret_columns=("password_hash", "totp_secret", "totp_last_step"))
    yield ArchiveRule("kernel.api_token", secret=True)
    yield ArchiveRule("kernel.recovery_code", secret=True)
    yield ArchiveRule("kernel.audit_log", seeded=True)
    yield ArchiveRule("kernel.setting", seeded=True)
    # Whoever looks around in a new installation before the archive comes leaves traces of it here.
    for table in ("invitation", "list_view", "list_memory"):
        yield ArchiveRule(f"kernel.{table}", seeded=True)
    for table in _OF_THE_INSTALLATION:
        yield ArchiveRule(f"kernel.{table}", left_out=True)


@hookimpl
def register_commands() -> Iterable[Command]:
    return _declared("commands")

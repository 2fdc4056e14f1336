"""The kernel's own pages, declared through the same hooks as any plugin's."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

from kernel.plugin.contracts import Check, Command, Job, Nav, Plugin, Route, Verb
from kernel.plugin.hooks import hookimpl
from kernel.plugin.permissions import Permission

_NAMES = (
    "login",
    "reset",
    "account",
    "users",
    "view",
    "home",
    "console",
    "audit_log",
    "jobs_page",
    "settings_page",
    "plugins_page",
    "health",
)


def _modules() -> Iterator[Any]:
    for n in _NAMES:
        try:
            yield importlib.import_module(f"kernel.pages.{n}")
        except ModuleNotFoundError:
            pass
    for n in (
        "kernel.web.openapi",
        "kernel.mail",
        "kernel.idempotency",
        "kernel.jobs",
        "kernel.auth.sessions",
        "kernel.settings",
    ):
        try:
            yield importlib.import_module(n)
        except ModuleNotFoundError:
            pass


def _gathered(what: str) -> Iterator[Any]:
    for module in _modules():
        declare = getattr(module, what, None)
        if declare is not None and callable(declare):
            yield from declare()


try:
    from kernel.settings import OrganisationSettings as _S
except ImportError:
    _S = None
plugin = Plugin(api=1, settings=_S)


@hookimpl
def register_permissions() -> Iterable[Permission]:
    return _gathered("permissions")


@hookimpl
def register_routes() -> Iterable[Route]:
    return _gathered("routes")


@hookimpl
def register_navigation() -> Iterable[Nav]:
    return _gathered("navigation")


@hookimpl
def register_jobs() -> Iterable[Job]:
    return _gathered("jobs")


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
    return _gathered("verbs")


@hookimpl
def register_commands() -> Iterable[Command]:
    return _gathered("commands")


@hookimpl
def register_checks() -> Iterable[Check]:
    return _gathered("checks")

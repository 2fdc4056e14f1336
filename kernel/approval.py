"""Approved data is protected by the database itself: what ``kernel.protect_approved()`` refuses, and how it is told.

A table with a column ``state`` (draft, approved, voided) attaches the trigger; its arguments name the columns that may
still change on an approved row::

    create trigger protect_approved before insert or update or delete on payments.entry
        for each row execute function kernel.protect_approved('open_amount');

Drafts are free. Approving needs an actor. An approved row changes only in its allowed columns, or becomes voided, with
``voided_by``, ``voided_at`` and ``void_reason``, by an actor in superadmin mode. Approved and voided rows are never
deleted.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from kernel.i18n import Text, _

PROTECTED_STATE: Final = "EB001"
"""The SQLSTATE of ``kernel.protect_approved()``."""
ONLY_GROWS_STATE: Final = "EB002"
"""The SQLSTATE of a table that may only grow, such as the history."""


class Protected(web.HTTPForbidden):
    """Approved data would have been changed: 403. ``message`` is for people, the cause for the log."""

    def __init__(self, message: Text) -> None:
        super().__init__()
        self.message = message


def protection_of(error: BaseException) -> Protected | None:
    """The answer to a refusal of the database, or None when ``error`` is something else."""
    match getattr(error, "sqlstate", None):
        case "EB001":
            return Protected(_("Approved data cannot be changed. Make a correction or a reversal instead."))
        case "EB002":
            return Protected(_("The history cannot be changed."))
        case _:
            return None

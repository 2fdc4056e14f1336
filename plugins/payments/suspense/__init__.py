"""Money that came in and is not yet assigned: suspense, splitting, provisional credits.

What reads bank files calls ``receive`` and ``assign_certain``; what moves payments calls ``moved``; an import into a
mirror book calls ``reconcile``.
"""

from collections.abc import Sequence
from typing import Final

from kernel import STAFF, Command, Job, Nav, Permission, Verb, _, ngettext
from plugins.payments.suspense import checks, routes
from plugins.payments.suspense.model import IncomingLine, PartDraft, Proposal
from plugins.payments.suspense.store import (
    Received,
    assign,
    assign_certain,
    assign_many,
    give_back,
    line,
    matches,
    moved,
    part,
    provisional_of,
    receive,
    reconcile,
    undo,
)

__all__ = [
    "IncomingLine",
    "PartDraft",
    "Proposal",
    "Received",
    "assign",
    "assign_certain",
    "assign_many",
    "give_back",
    "line",
    "matches",
    "moved",
    "part",
    "provisional_of",
    "receive",
    "reconcile",
    "undo",
]

ROUTES = routes.ROUTES
PERMISSIONS: Final = (Permission("payments.suspense", _("See and assign money in suspense"), STAFF),)
NAVIGATION: Final = (Nav(_("Suspense"), "payments.suspense_list", 21, "bank", _("Bank and import")),)
VERBS: Final = (
    Verb(
        "payments.received",
        ngettext("booked {count} incoming line: {total}", "booked {count} incoming lines: {total}", 0),
    ),
    Verb("payments.assigned", _("assigned {amount} of incoming line {line} to account {account}")),
    Verb("payments.given_back", _("took {amount} of incoming line {line} out of suspense: {reason}")),
    Verb("payments.part_undone", _("put {amount} of incoming line {line} back into suspense: {reason}")),
    Verb(
        "payments.incoming_exported",
        ngettext(
            "exported {count} matched payment, {total}, as no. {number}",
            "exported {count} matched payments, {total}, as no. {number}",
            0,
        ),
    ),
)
CHECKS = checks.CHECKS
COMMANDS: Sequence[Command] = ()
JOBS: Sequence[Job] = ()

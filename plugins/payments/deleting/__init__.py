"""What only a superadministrator may delete of what is approved: accounts, interest notes, charge runs and lists."""

from collections.abc import Sequence
from typing import Final

from kernel import Check, Command, Job, Nav, Permission, Verb, _
from plugins.payments.deleting import pages

ROUTES = pages.ROUTES
PERMISSIONS: Sequence[Permission] = ()
NAVIGATION: Sequence[Nav] = ()
VERBS: Final = (
    Verb("payments.account_deleted", _("deleted the account {account_no} of the book «{book}»: {reason}")),
    Verb("payments.note_deleted", _("deleted the interest note {note_no} for {amount}: {reason}")),
    Verb("payments.run_deleted", _("deleted the charges of {schedule} for {period}, {amount}: {reason}")),
    Verb("payments.list_deleted", _("deleted the list of charges «{name}», {amount}: {reason}")),
)
CHECKS: Sequence[Check] = ()
COMMANDS: Sequence[Command] = ()
JOBS: Sequence[Job] = ()

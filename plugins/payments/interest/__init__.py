"""Interest for delay: rates, regimes, notes, and what a payment on another day would change."""

from collections.abc import Sequence
from typing import Final

from kernel import Check, Command, Job, Nav, Permission, Route, Verb, _
from plugins.payments.interest import commands

ROUTES: Sequence[Route] = ()
PERMISSIONS: Sequence[Permission] = ()
NAVIGATION: Sequence[Nav] = ()
VERBS: Final = (
    Verb("payments.interest_noted", _("issued the interest note {note_no} for {amount}, up to {as_of}")),
    Verb("payments.interest_taken_back", _("entered corrections of interest for {amount}")),
)
CHECKS: Sequence[Check] = ()
COMMANDS: Final = (
    Command("interest", "compute the interest of a debt by the rates of the tables", commands.run, commands.ARGUMENTS),
)
JOBS: Sequence[Job] = ()

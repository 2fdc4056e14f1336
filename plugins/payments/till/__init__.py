"""The payments desk: many payments typed in one go, in bundles, with a control sum; and the list of a day."""

from collections.abc import Sequence
from typing import Final

from kernel import Check, Command, Job, Nav, Permission, Verb, _
from plugins.payments.till import pages

ROUTES = pages.ROUTES
PERMISSIONS: Sequence[Permission] = ()
NAVIGATION: Final = (Nav(_("Payments desk"), "payments.till", 19, "pay", _("Payments and charges")),)
VERBS: Final = (
    Verb("payments.bundle_begun", _("began the bundle of payments {bundle}")),
    Verb("payments.bundle_differs", _("approved payments of the bundle {bundle} that differs by {difference}: {why}")),
)
CHECKS: Sequence[Check] = ()
COMMANDS: Sequence[Command] = ()
JOBS: Sequence[Job] = ()

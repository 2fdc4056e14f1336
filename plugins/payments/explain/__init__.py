"""Where a figure comes from: as of any day, as known on any day, in words."""

from collections.abc import Sequence

from kernel import Check, Command, Job, Nav, Permission, Route, Verb
from plugins.payments.explain import pages

ROUTES: Sequence[Route] = pages.ROUTES
PERMISSIONS: Sequence[Permission] = ()
NAVIGATION: Sequence[Nav] = ()
VERBS: Sequence[Verb] = ()
CHECKS: Sequence[Check] = ()
COMMANDS: Sequence[Command] = ()
JOBS: Sequence[Job] = ()

"""Books, accounts, and the months that are closed in them."""

from collections.abc import Sequence

from kernel import Check, Command, Job, Nav, Permission, Route, Verb

ROUTES: Sequence[Route] = ()
PERMISSIONS: Sequence[Permission] = ()
NAVIGATION: Sequence[Nav] = ()
VERBS: Sequence[Verb] = ()
CHECKS: Sequence[Check] = ()
COMMANDS: Sequence[Command] = ()
JOBS: Sequence[Job] = ()

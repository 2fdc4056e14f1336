"""The ledger seen from above: what the search box finds in it, the badge of a customer, the first page."""

from collections.abc import Sequence

from kernel import Check, Command, Job, Nav, Permission, Route, Verb
from plugins.payments.overview import fields, figures, finding, pages

ROUTES: Sequence[Route] = ()
PERMISSIONS: Sequence[Permission] = ()
NAVIGATION: Sequence[Nav] = ()
VERBS: Sequence[Verb] = ()
CHECKS: Sequence[Check] = ()
COMMANDS: Sequence[Command] = ()
JOBS: Sequence[Job] = figures.JOBS

FIELDS = fields.FIELDS

search = finding.search
badges = finding.badges
cards = pages.cards
fill = figures.fill

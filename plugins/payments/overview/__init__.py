"""The ledger seen from above: what the search box finds in it, the badge of a customer, the first page."""

from collections.abc import Sequence

from kernel import Check, Command, Job, Nav, Permission, Route, Verb, _
from plugins.payments.overview import fields, figures, finding, open_charges, pages
from plugins.payments.overview import timeline as telling

ROUTES: Sequence[Route] = open_charges.ROUTES
PERMISSIONS: Sequence[Permission] = ()
NAVIGATION: Sequence[Nav] = (Nav(_("Arrears"), "payments.arrears", 23, "alert", _("Payments and charges")),)
VERBS: Sequence[Verb] = ()
CHECKS: Sequence[Check] = ()
COMMANDS: Sequence[Command] = ()
JOBS: Sequence[Job] = figures.JOBS

FIELDS = fields.FIELDS

search = finding.search
badges = finding.badges
cards = pages.cards
timeline = telling.timeline
fill = figures.fill

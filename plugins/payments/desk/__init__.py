"""The office's page of one account, and everything that may be done on it."""

from collections.abc import Sequence

from kernel import STAFF, Check, Command, Job, Nav, Permission, Route, Verb, _
from plugins.payments.desk import allocating, entering, moving, pages

ROUTES: Sequence[Route] = (*pages.ROUTES, *entering.ROUTES, *moving.ROUTES, *allocating.ROUTES)
PERMISSIONS: Sequence[Permission] = (
    Permission("payments.allocate", _("Decide which charges a payment pays"), STAFF),
    Permission("payments.write_off", _("Remit debts and write them off"), STAFF),
)
NAVIGATION: Sequence[Nav] = ()
VERBS: Sequence[Verb] = (
    Verb("payments.transferred", _("transferred {amount} between accounts, transfer {transfer}")),
    Verb("payments.moved_away", _("moved a payment of {amount} to the right account, transfer {transfer}")),
    Verb("payments.moved_here", _("booked a payment of {amount} that came to a wrong account, transfer {transfer}")),
    Verb("payments.allocated", _("set {amount} of a payment to pay charge {charge}: {reason}")),
    Verb("payments.released", _("released {amount} of a payment from charge {charge}: {reason}")),
)
CHECKS: Sequence[Check] = ()
COMMANDS: Sequence[Command] = ()
JOBS: Sequence[Job] = ()

"""Where charges come from: a form, a list, and fee schedules with their runs."""

from collections.abc import Sequence

from kernel import STAFF, Check, Command, Job, Nav, Permission, Route, Verb, _, ngettext
from plugins.payments.charging import checks, entering, jobs, list_jobs, lists, runs, schedules

ROUTES: Sequence[Route] = (*entering.ROUTES, *lists.ROUTES, *schedules.ROUTES, *runs.ROUTES)
PERMISSIONS: Sequence[Permission] = (Permission("payments.charge", _("Set up fee schedules and charge months"), STAFF),)
NAVIGATION: Sequence[Nav] = (Nav(_("Charging"), "payments.charging", 24, "calendar", _("Payments and charges")),)
VERBS: Sequence[Verb] = (
    Verb("payments.schedule_added", _("set up the fee schedule {name}")),
    Verb("payments.schedule_changed", _("changed the fee schedule {name}")),
    Verb("payments.component_added", _("added the component {name} to the fee schedule {schedule}")),
    Verb("payments.component_changed", _("changed the component {name} of the fee schedule {schedule}")),
    Verb("payments.rate_set", _("set the rate of {name} from {since} on: {before} → {after}")),
    Verb("payments.rate_removed", _("removed the rate of {name} that began in {since}: {before}")),
    Verb("payments.quantity_set", _("set the quantity of {name} from {since} on: {before} → {after}")),
    Verb(
        "payments.quantities_set",
        ngettext(
            "set {count} quantity of the fee schedule {schedule} from a list",
            "set {count} quantities of the fee schedule {schedule} from a list",
            0,
        ),
    ),
    Verb("payments.run_started", _("computed the charges of {schedule} for {period}")),
    Verb("payments.run_discarded", _("discarded the computed charges of {schedule} for {period}")),
    Verb("payments.run_approved", _("approved the charges of {schedule} for {period}: {accounts} accounts, {amount}")),
    Verb(
        "payments.run_rolled_back",
        _("rolled back the charges of {schedule} for {period}: {accounts} accounts, {amount}, reason: {reason}"),
    ),
    Verb(
        "payments.batch_entered",
        ngettext(
            "entered a list of {count} draft: charges {charged}, credits {credited}",
            "entered a list of {count} drafts: charges {charged}, credits {credited}",
            0,
        ),
    ),
    Verb(
        "payments.batch_deleted",
        ngettext("deleted {count} draft of a list", "deleted {count} drafts of a list", 0),
    ),
)
CHECKS: Sequence[Check] = checks.CHECKS
COMMANDS: Sequence[Command] = ()
JOBS: Sequence[Job] = (*jobs.JOBS, *list_jobs.JOBS)

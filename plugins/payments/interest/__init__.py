"""Interest for delay: rates, regimes, notes, and what a payment on another day would change."""

from typing import Final

from kernel import STAFF, Command, Nav, Permission, Verb, _
from plugins.payments.interest import checks, commands, holidays, jobs, many, pages, rates

ROUTES: Final = (*pages.ROUTES, *many.ROUTES, *rates.ROUTES, *holidays.ROUTES)
PERMISSIONS: Final = (Permission("payments.rates", _("Keep interest rates and holidays"), STAFF),)
NAVIGATION: Final = (Nav(_("Interest"), "payments.interest_notes", 26, "chart", _("Payments and charges")),)
VERBS: Final = (
    Verb("payments.interest_noted", _("issued the interest note {note_no} for {amount}, up to {as_of}")),
    Verb("payments.interest_issuing", _("had {count} interest notes issued for {amount}, up to {as_of}")),
    Verb("payments.interest_taken_back", _("entered corrections of interest for {amount}")),
    Verb("payments.rate_changed", _("changed the interest rate {kind} from {day}: {before} → {after}")),
    Verb("payments.minimum_changed", _("changed the smallest interest {kind} from {day}: {before} → {after}")),
    Verb("payments.holiday_changed", _("changed the holidays: {day} {before} → {after}")),
)
CHECKS: Final = checks.CHECKS
COMMANDS: Final = (
    Command("interest", "compute the interest of a debt by the rates of the tables", commands.run, commands.ARGUMENTS),
)
JOBS: Final = jobs.JOBS

"""Bank files: read, matched to accounts by rules that say why, booked once, rolled back whole."""

from collections.abc import Sequence
from typing import Final

from kernel import STAFF, Command, Nav, Permission, Verb, _, ngettext
from plugins.payments.bank import booking, checks, pages, reading, undoing

ROUTES = pages.ROUTES
PERMISSIONS: Final = (Permission("payments.bank", _("Read bank files and see statements"), STAFF),)
NAVIGATION: Final = (Nav(_("Bank statements"), "payments.bank_list", 22, "import", _("Bank and import")),)
VERBS: Final = (
    Verb(
        "payments.bank_read",
        ngettext(
            "read the bank file «{file}»: {count} statement, lines: {lines}",
            "read the bank file «{file}»: {count} statements, lines: {lines}",
            0,
        ),
    ),
    Verb(
        "payments.bank_booked",
        _("booked bank statement {number} of account {account}: {total}, lines: {count}"),
    ),
    Verb("payments.bank_stopped", _("asked to stop the reading of the bank file «{file}»")),
    Verb("payments.bank_undo_asked", _("asked for the roll back of bank statement {number}: {reason}")),
    Verb("payments.bank_undo_withdrawn", _("decided against the roll back of bank statement {number}")),
    Verb("payments.bank_rolled_back", _("rolled a bank statement back, lines: {count}: {reason}")),
    Verb(
        "payments.bank_removed", _("removed bank statement {number} of account {account}, of which nothing was booked")
    ),
    Verb("payments.bank_account_known", _("said that bank account {account} is the organisation's own")),
    Verb("payments.bank_decided", _("decided about a line that the bank took back, over {amount}: {reason}")),
)
CHECKS = checks.CHECKS
COMMANDS: Sequence[Command] = ()
JOBS: Final = (*reading.JOBS, *booking.JOBS, *undoing.JOBS)

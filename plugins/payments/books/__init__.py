"""Books, accounts, and the months that are closed in them."""

from collections.abc import Sequence
from typing import Final

from kernel import STAFF, Check, Command, Job, Nav, Permission, Role, Route, Verb, _
from plugins.payments.books import account_pages, checks, jobs, month_pages, pages

ROUTES: Final[Sequence[Route]] = (*pages.ROUTES, *account_pages.ROUTES, *month_pages.ROUTES)
PERMISSIONS: Final[Sequence[Permission]] = (
    Permission("payments.books", _("Open and change books and the account they are paid to"), {Role.SUPERADMIN}),
    Permission("payments.accounts", _("Open and close customers’ accounts"), STAFF),
    Permission("payments.close_month", _("Close a month"), STAFF),
    Permission("payments.reopen_month", _("Open a closed month again"), {Role.SUPERADMIN}, superadmin_mode=True),
)
NAVIGATION: Final[Sequence[Nav]] = (
    Nav(_("Accounts"), "payments.accounts", 25, "list", _("Payments and charges")),
    Nav(_("Books and months"), "payments.books", 70, "bank", _("Payments and charges")),
)
VERBS: Final[Sequence[Verb]] = (
    Verb("payments.book_added", _("opened the book «{name}»")),
    Verb("payments.book_changed", _("changed the book «{name}»: {fields}")),
    Verb("payments.payee_set", _("set the bank account of a book: {account}")),
    Verb("payments.payee_change_asked", _("asked to change the bank account of a book to {account}")),
    Verb("payments.payee_change_confirmed", _("confirmed the change of a book’s bank account to {account}")),
    Verb("payments.payee_change_withdrawn", _("withdrew the change of a book’s bank account to {account}")),
    Verb("payments.payee_changed", _("the bank account of the book «{name}» is {account} now")),
    Verb("payments.account_opened", _("opened the account {account_no}")),
    Verb("payments.account_closed", _("closed the account {account_no}")),
    Verb("payments.account_reopened", _("opened the account {account_no} again")),
    Verb("payments.month_closed", _("closed {month} in the book «{name}»")),
    Verb("payments.month_close_failed", _("could not close {month} in the book «{name}»: {findings}")),
    Verb("payments.month_reopened", _("opened {month} in the book «{name}» again: {reason}")),
)
CHECKS: Final[Sequence[Check]] = checks.CHECKS
COMMANDS: Final[Sequence[Command]] = ()
JOBS: Final[Sequence[Job]] = jobs.JOBS

"""Work behind the office's back: the report of a month that was closed, a change of the payee whose time has come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from kernel import Job, Site, Stamp, _, tell_superadmins
from plugins.payments.books import month_store, store


async def close_month(site: Site, payload: Mapping[str, Any]) -> None:
    """Make the control report of a closing; a ledger that is found wrong is told to the superadministrators."""
    closing: int = payload["closing"]

    async def noted(percent: int) -> None:
        async with site.db.transaction(Stamp("worker")) as conn:
            await month_store.note_progress(conn, closing, percent)

    async with site.db.transaction(Stamp("worker")) as conn:
        if await month_store.make_report(conn, closing, noted) == "failed":
            await tell_superadmins(
                conn,
                _("A month could not be closed"),
                _("The control report found the ledger wrong, so the month is open again. See the months of the book."),
            )


async def apply_payee_changes(site: Site, payload: Mapping[str, Any]) -> None:
    """Carry out the changes of bank accounts whose time has come, and tell the superadministrators."""
    async with site.db.transaction(Stamp("worker")) as conn:
        for number in await store.apply_payee_changes(conn, site.clock.now()):
            change = await store.payee_change(conn, number)
            assert change is not None  # noqa: S101  it was just carried out
            await tell_superadmins(
                conn,
                _("The bank account that customers pay to"),
                _(
                    "From now on customers pay to {account} for the book «{book}». "
                    "Prefix of their own accounts: {prefix}.",
                    account=change.account_no or "—",
                    book=change.book_name,
                    prefix=change.virtual_prefix or "—",
                ),
            )


JOBS: Final = (
    Job("payments.close_month", close_month),
    Job("payments.apply_payee_changes", apply_payee_changes, every=timedelta(minutes=1)),
)

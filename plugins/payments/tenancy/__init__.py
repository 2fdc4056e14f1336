"""What the ledger does when people come and go: closing a customer, erasing an old one, handing premises over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from kernel import ACTOR, CONN, SITE, Card, Connection, Money, Refused, Request, _
from plugins.payments.books import store as books
from plugins.payments.charging.store import touch
from plugins.payments.tenancy import store


async def closing(conn: Connection, customer: int, *, acknowledged: bool) -> None:
    """Refuse to close a customer with something overpaid, and one with something to pay until that is acknowledged."""
    standing = await store.standing(conn, customer)
    if standing.drafts:
        raise Refused(_("Entries of this customer wait for approval. Approve or delete them first."))
    if standing.credit:
        message = _(
            "{amount} is overpaid on account {account_no}. Refund or transfer it first, then close the customer",
            amount=Money(standing.credit),
            account_no=standing.credit_on,
        )
        raise Refused(message)
    if standing.owed and not acknowledged:
        message = _(
            "{amount} is still to pay. If the customer is to be closed all the same, tick the box",
            amount=Money(standing.owed),
        )
        raise Refused(message, field="acknowledged")


async def purging(conn: Connection, customer: int) -> None:
    """Refuse to erase the data of somebody with whom something is still to settle."""
    standing = await store.standing(conn, customer)
    if standing.drafts:
        raise Refused(_("Entries of this customer wait for approval. Approve or delete them first."))
    if standing.credit or standing.owed:
        message = _(
            "Something is still to settle with this customer: {owed} to pay, {credit} overpaid. Without the data "
            "nobody could do it any more",
            owed=Money(standing.owed),
            credit=Money(standing.credit),
        )
        raise Refused(message)


async def handed_over(
    conn: Connection, customer: int, premises: int, before: Sequence[int], since: date, *, carry: bool
) -> None:
    """Open accounts for the new owner beside those of the former, and let the recurring fees of those end that day.

    What the former owners owe or have overpaid stays with them. With ``carry`` the fees begin anew, in the same
    quantities, on the accounts that were opened. For a month counts what holds on its first day.
    """
    number = await store.customer_no(conn, customer)
    pairs: list[tuple[int, int]] = []
    for old in await store.accounts_of(conn, premises, before) or [await store.main_book(conn)]:
        new = await store.account_in(conn, customer, old.book, premises)
        if new is None:
            wanted = f"{number}/{old.code}" if old.code else number
            account_no = await store.free_number(conn, old.book, wanted)
            new = await books.open_account(conn, customer, old.book, premises, account_no, since)
        if old.id is not None:
            pairs.append((old.id, new))
    if pairs:
        if carry:
            await store.carry_fees(conn, pairs, since)
        await touch(conn, await store.end_fees(conn, [old for old, _new in pairs], since))


async def closing_card(request: Request) -> list[Card]:
    """On the page that asks whether a customer is closed: what stands on each account, and where it is settled."""
    customer = int(request.match_info["customer"])
    accounts = [row for row in await store.open_standings(request[CONN], customer) if row["owed"] or row["credit"]]
    lines = [{**row, "owed": Money(row["owed"]), "credit": Money(row["credit"])} for row in accounts]
    data = {"accounts": lines, "may_enter": request[ACTOR].may("payments.enter")}
    return [Card(_("Not settled yet"), "payments/tenancy/closing.html", data)] if lines else []


async def handover_card(request: Request) -> list[Card]:
    """On the page of a handover: accounts of the premises, what stands on them, and the fees that would go over."""
    premises, today = int(request.match_info["premises"]), request[SITE].clock.today()
    accounts = [
        {**row, "balance": Money(abs(row["balance"])), "owes": row["balance"] > 0, "is_even": row["balance"] == 0}
        for row in await store.premises_accounts(request[CONN], premises, today)
    ]
    return [Card(_("Accounts of the premises"), "payments/tenancy/handover.html", {"accounts": accounts})]

"""One of everything of this part of the ledger, for the office with one of everything."""

from kernel import Connection
from kernel.site import Site
from plugins.payments.books import month_store, store
from plugins.payments.books.model import BookRules, Month

RULES = BookRules("Kaucje", "books", "civil", False, True, "none", None, 3, "red", False, "")
PREFIX = "1010101000123456"


async def furnish(site: Site, conn: Connection, customer: int, account: int) -> dict[str, list[str]]:
    """What the parameters of this part's paths stand for, on a customer's account.

    Books, months and changes are the organisation's, so the second customer adds only an account.
    """
    books = {row["code"]: row["id"] for row in await store.names(conn)}
    if "kaucje" in books:
        return {"account": [str(account)]}
    today, now = site.clock.today(), site.clock.now()
    deposits = await store.add_book(conn, "kaucje", RULES)
    await store.ask_payee_change(conn, deposits, "", PREFIX, now)
    closed = await store.account(conn, await store.open_account(conn, customer, deposits, None, f"K/{customer}", today))
    assert closed is not None
    await store.close_account(conn, closed, today)
    month = Month.of(today).previous
    closing = await month_store.begin_close(conn, deposits, month, acknowledged=False, today=today, at=now)
    await month_store.make_report(conn, closing)
    change, _is_applied = await store.ask_payee_change(conn, deposits, "", "", now)
    return {
        "account": [str(account), str(closed.id)],
        "book": [str(deposits), str(books["main"])],
        "month": [str(month)],
        "change": [str(change)],
    }

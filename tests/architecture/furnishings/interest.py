"""One of everything of this part of the ledger, for the office with one of everything."""

from datetime import timedelta

from kernel import Connection, Money
from kernel.site import Site
from plugins.payments import Side, store
from plugins.payments.interest import issuing, notes
from plugins.payments.store import Draft


async def furnish(site: Site, conn: Connection, customer: int, account: int) -> dict[str, list[str]]:
    """A note of an old charge, interest of it that is to be taken back, and an issuing that waits to be issued."""
    today = site.clock.today()
    due, noted = today - timedelta(days=900), today - timedelta(days=800)
    charge = Draft(account, Side.CHARGE, "fee", Money(30000), issued_on=due, due_on=due, title="Czynsz")
    (key,) = await store.approve(conn, await store.add_drafts(conn, [charge]), today)
    (note,) = await notes.issue(conn, [account], noted, today, 14)
    await conn.execute(
        "insert into payments.interest_correction_due (account_id, charge, amount) values ($1, $2, 100)",
        account,
        key.entry,
    )
    book = (await issuing.books(conn))[0][0]
    # so much that of all the accounts none is found; this one then is
    number = await issuing.begin(conn, issuing.Terms(book, today, 14, Money(10**12)))
    while await issuing.count_next(conn, number, today):
        pass
    await conn.execute(issuing.FOUND_SQL, number, [account], [1], [5000])
    rate = await conn.fetchval("select max(id) from payments.interest_rate where kind = 'statutory_delay'")
    minimum = await conn.fetchval("select max(id) from payments.interest_minimum")
    return {
        "account": [str(account)],
        "note": [str(note.id)],
        "issuing": [str(number)],
        "rate": [str(rate)],
        "minimum": [str(minimum)],
        "holiday": ["20261225"],
    }

"""A bundle of the payments desk, for the office with one of everything."""

from kernel import Connection, Money
from kernel.site import Site
from plugins.payments import Side, store
from plugins.payments.store import Draft
from plugins.payments.till import store as till


async def furnish(site: Site, conn: Connection, customer: int, account: int) -> dict[str, list[str]]:
    """A bundle that lacks something of its control sum, with a draft in it."""
    today = site.clock.today()
    bundle = await till.begin(conn, today, 2, Money(30000))
    draft = Draft(
        account, Side.CREDIT, "payment", Money(12050), value_date=today, paid_on=today, title="Wpłata", channel="cash"
    )
    key = await store.enter(conn, customer, draft)
    await till.add_row(conn, bundle, key)
    return {"account": [str(account)], "bundle": [str(bundle)], "row": [str(key.entry)]}

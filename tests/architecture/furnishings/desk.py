"""One of everything of this part of the ledger, for the office with one of everything."""

from kernel import Connection, Money
from kernel.site import Site
from plugins.payments import store


async def furnish(site: Site, conn: Connection, customer: int, account: int) -> dict[str, list[str]]:
    """The account, and what of a payment was set by hand to pay a charge."""
    row = await conn.fetchrow(
        "select c.account_id, c.id as credit, h.id as charge"
        " from payments.entry c join payments.entry h using (account_id)"
        " where c.account_id = $1 and c.kind = 'payment' and c.state = 'approved' and h.kind = 'fee'"
        " and h.state = 'approved' and h.open_amount > 0"
        " and not exists (select from payments.entry r where r.account_id = c.account_id and r.reverses = c.id)"
        " order by c.id desc, h.id limit 1",
        account,
    )
    assert row is not None
    key = store.Key(row["account_id"], row["credit"])
    await store.pin(conn, key, row["charge"], Money(100), "na prośbę klienta")
    allocation = await conn.fetchval(
        "select id from payments.allocation where account_id = $1 and rule = 'manual' and released_at is null", account
    )
    return {"account": [str(account)], "allocation": [str(allocation)]}

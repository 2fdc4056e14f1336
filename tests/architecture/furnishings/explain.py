"""One of everything of this part of the ledger, for the office with one of everything."""

from kernel import Connection
from kernel.site import Site


async def furnish(site: Site, conn: Connection, customer: int, account: int) -> dict[str, list[str]]:
    """What the parameters of this part's paths stand for, on a customer's account."""
    return {"account": [str(account)]}

"""One of everything of the register, for the office with one of everything."""

from kernel import Connection
from kernel.auth import invitations
from kernel.auth.office import NewUser
from kernel.plugin.permissions import Role
from kernel.site import Site

LINK = "https://127.0.0.1/reset/{token}"


async def furnish(site: Site, conn: Connection, customer: int, premises: int) -> dict[str, list[str]]:
    """The premises of a customer with the period in which the customer has them."""
    tenure = await conn.fetchval("select id from customers.tenure where premises = $1", premises)
    return {"premises": [str(premises)], "tenure": [str(tenure)]}


async def invited(site: Site, conn: Connection) -> dict[str, list[str]]:
    """A colleague who was invited and has not come yet."""
    new = NewUser(login="nowa@example.org", role=Role.ADMIN, name="Nowa Osoba", email="nowa@example.org")
    number = await invitations.invite(conn, new, LINK, "SM Lipowa", site.clock.now(), invited_by=None)
    return {"invitation": [str(number)]}

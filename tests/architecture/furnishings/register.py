"""One of everything of the register, for the office with one of everything."""

from kernel import Connection
from kernel.auth import invitations
from kernel.auth.office import NewUser
from kernel.plugin.permissions import Role
from kernel.site import Site
from plugins.customers.bulk import store as closings

LINK = "https://127.0.0.1/reset/{token}"


async def furnish(site: Site, conn: Connection, customer: int, premises: int) -> dict[str, list[str]]:
    """The premises of a customer with the period in which the customer has them; a late handover, a closing of many."""
    tenure = await conn.fetchval("select id from customers.tenure where premises = $1", premises)
    await conn.execute(
        "insert into customers.planned_handover (premises, customer, role, since, carry, trouble)"
        " values ($1, $2, 'owner', current_date, false, $3)",
        premises,
        customer,
        {"message": "This customer is not active any more", "values": {}},
    )
    closing = await closings.begin(conn, {"name": "Nowak"}, [customer], acknowledged=False)
    return {"premises": [str(premises)], "tenure": [str(tenure)], "closing_run": [str(closing)]}


async def invited(site: Site, conn: Connection) -> dict[str, list[str]]:
    """A colleague who was invited and has not come yet."""
    new = NewUser(login="nowa@example.org", role=Role.ADMIN, name="Nowa Osoba", email="nowa@example.org")
    number = await invitations.invite(conn, new, LINK, "SM Lipowa", site.clock.now(), invited_by=None)
    return {"invitation": [str(number)]}

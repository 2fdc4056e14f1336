"""The customer's page: the last readings and a form for a new one."""

from pydantic import BaseModel

from ebok_readings import store
from kernel import ACTOR, CONN, PolishDate, Quantity, Refused, Request, _, audit, redirect


class Reading(BaseModel):
    taken: PolishDate
    state: Quantity


async def form(request: Request):
    return {"readings": await store.of_customer(request[CONN], request[ACTOR].customer)}


async def send(request: Request, body: Reading):
    conn, customer = request[CONN], request[ACTOR].customer
    last = await store.last(conn, customer)
    if last is not None and body.state < last["state"]:
        raise Refused(_("The last reading was higher: {state}", state=last["state"]), field="state")
    await store.add(conn, customer, body.taken, body.state)
    await audit(conn, "readings.sent", customer=customer, state=str(body.state))
    return redirect(request, "readings.form", flash=_("Reading received"))

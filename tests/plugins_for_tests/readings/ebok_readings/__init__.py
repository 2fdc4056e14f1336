"""Meter readings: customers send the state of their water meter."""

from ebok_readings import pages, store
from kernel import (
    ACTOR,
    CONN,
    Card,
    Connection,
    Nav,
    Permission,
    Plugin,
    Request,
    Role,
    Route,
    Verb,
    _,
    hookimpl,
)

plugin = Plugin(api=1)


@hookimpl
def register_permissions():
    yield Permission("readings.send", _("Send meter readings"), {Role.CUSTOMER})


@hookimpl
def register_routes():
    yield Route("GET", "/readings", pages.form, "readings.send", "readings.form", template="readings/form.html")
    yield Route("POST", "/readings", pages.send, "readings.send", "readings.add", body=pages.Reading)


@hookimpl
def register_navigation():
    yield Nav(_("Meter readings"), "readings.form", order=40)


@hookimpl
def register_audit_verbs():
    yield Verb("readings.sent", _("sent the reading {state}"))


@hookimpl
async def customer_cards(request: Request):
    last = await store.last(request[CONN], request[ACTOR].customer)
    return [Card(_("Meter readings"), "readings/card.html", {"last": last}, order=200)]


@hookimpl
async def on_customer_removing(conn: Connection, customer: int):
    await store.remove(conn, customer)

"""Premises pass to somebody on a day, in one act: periods, a new customer, and what other plugins begin anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kernel import (
    CONN,
    SITE,
    Refused,
    Request,
    Route,
    _,
    audit,
    find_customer,
    redirect,
    short_date,
    slot,
)
from plugins.customers import store as register
from plugins.customers.model import CustomerForm
from plugins.customers.premises import store
from plugins.customers.premises.model import ROLES, HandoverForm, Tenure, day_before, fault, handover_fault, leaving
from plugins.customers.premises.pages import one

SLOT: Final = "customers.handover"
"""What goes over with premises: parts of plugins on the page of the handover."""


async def ask(request: Request) -> Mapping[str, Any]:
    """Who has the premises now, to whom they pass, and what goes over."""
    found, today = await one(request), request[SITE].clock.today()
    return {
        "premises": found,
        "now": leaving(found["tenures"], today),
        "roles": ROLES,
        "role_options": tuple(ROLES.items()),
        "kinds": (("person", _("a person")), ("company", _("a company"))),
        "parts": await slot(request, SLOT),
        "today": today,
    }


async def hand_over(request: Request, form: HandoverForm) -> object:
    """Let premises pass on: whole, or not at all."""
    conn, today = request[CONN], request[SITE].clock.today()
    found = await one(request, lock=True)
    kept: list[Tenure] = found["tenures"]
    wrong = handover_fault(kept, form.since, today)
    if wrong:
        raise Refused(wrong, field="since")
    customer, ending = await _new_owner(request, form, found), leaving(kept, form.since)
    if any(one.customer == customer and one.role == form.role for one in ending):
        raise Refused(_("This customer has the premises already"), field="customer_no")
    last = day_before(form.since)
    await store.end_tenures(conn, ending, last)
    tenure = Tenure(0, customer, form.role, form.since, None, form.share)
    over = {one.id for one in ending}
    fault_found = fault([one for one in kept if one.id not in over], tenure)
    if fault_found:
        raise Refused(fault_found[1], field=fault_found[0])
    await store.add_tenure(conn, found["id"], tenure)
    await store.settle(conn, [found["id"]], today)
    before = tuple(dict.fromkeys(one.customer for one in ending if one.customer != customer))
    await request[SITE].registry.hooks.emit(
        "on_premises_handed_over",
        conn,
        customer=customer,
        premises=found["id"],
        before=before,
        since=form.since,
        carry=form.carry,
    )
    facts: dict[str, object] = {"place": found["label"], "since": form.since}
    await audit(conn, "customers.took_over", customer=customer, subject=f"premises {found['id']}", **facts)
    for former in before:
        await audit(conn, "customers.handed_over", customer=former, subject=f"premises {found['id']}", **facts)
    flash = _("Handed over from {day} on: {name}", day=short_date(form.since), name=await _name(request, customer))
    return redirect(request, "customers.premises", premises=found["id"], flash=flash)


async def _new_owner(request: Request, form: HandoverForm, found: Mapping[str, Any]) -> int:
    conn = request[CONN]
    known = await find_customer(conn, form.customer_no)
    if known is not None:
        if form.names_somebody:
            message = _(
                "A customer with this number is there already: {name}. Clear the data of the new customer, or give "
                "another number",
                name=known.name,
            )
            raise Refused(message, field="customer_no")
        if known.status != "active":
            raise Refused(_("This customer is not active any more"), field="customer_no")
        return known.id
    if not form.called:
        message = _("There is no customer with this number. To add one, fill in the name below")
        raise Refused(message, field="customer_no")
    address = {name: found[name] for name in ("street", "building", "flat", "postal_code", "city")}
    written = CustomerForm(
        customer_no=form.customer_no,
        kind=form.kind,
        consumer=form.kind == "person",
        given_name=form.given_name,
        family_name=form.family_name,
        name=form.name,
        email=form.email,
        phone=form.phone,
        **address,
    )
    customer = await register.add(conn, written)
    await audit(conn, "customers.added", customer=customer, subject=form.customer_no, number=form.customer_no)
    return customer


async def _name(request: Request, customer: int) -> str:
    row = await register.customer(request[CONN], customer)
    return row["name"] if row else ""


ROUTES: Final = (
    Route(
        "GET",
        r"/admin/premises/{premises:\d+}/hand-over",
        ask,
        "customers.change",
        "customers.handing_over",
        template="customers/handover.html",
    ),
    Route(
        "POST",
        r"/admin/premises/{premises:\d+}/hand-over",
        hand_over,
        "customers.change",
        "customers.hand_over",
        body=HandoverForm,
    ),
)

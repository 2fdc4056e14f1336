"""Premises pass to somebody on a day, in one act: periods, a new customer, and what other plugins begin anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kernel import (
    CONN,
    SITE,
    Connection,
    Refused,
    Request,
    Route,
    Site,
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
from plugins.customers.premises.model import (
    ROLES,
    Handover,
    HandoverForm,
    Tenure,
    day_before,
    fault,
    handover_fault,
    leaving,
)
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
    """Let premises pass on: whole, or not at all. On a day to come: plan it."""
    conn, today = request[CONN], request[SITE].clock.today()
    found = await one(request, lock=True)
    wrong = handover_fault(found["tenures"], form.since, today)
    if wrong:
        raise Refused(wrong, field="since")
    if found["plan"] is not None and form.since >= found["plan"].handover.since:
        message = _(
            "A handover is planned for {day} already, to {name}. Withdraw it first",
            day=short_date(found["plan"].handover.since),
            name=found["plan"].name,
        )
        raise Refused(message, field="since")
    customer = await _new_owner(request, form, found)
    handover = Handover(found["id"], customer, form.role, form.share, form.since, form.carry)
    day, name = short_date(form.since), await _name(request, customer)
    if form.since > today:
        _refused(found["tenures"], handover)
        await _plan(conn, found, handover)
        flash = _("Planned: from {day} on {name} has the premises", day=day, name=name)
    else:
        await pass_on(request[SITE], conn, found, handover)
        flash = _("Handed over from {day} on: {name}", day=day, name=name)
    return redirect(request, "customers.premises", premises=found["id"], flash=flash)


async def _plan(conn: Connection, found: Mapping[str, Any], handover: Handover) -> None:
    if await store.plan(conn, handover) is None:
        raise Refused(_("A handover of these premises is planned already"), field="since")
    await audit(
        conn,
        "customers.handover_planned",
        customer=handover.customer,
        subject=f"premises {found['id']}",
        place=found["label"],
        since=handover.since,
    )


def _refused(kept: Sequence[Tenure], handover: Handover) -> list[Tenure]:
    """The periods that end with a handover. Raises Refused when it may not stand."""
    ending = leaving(kept, handover.since)
    if any(one.customer == handover.customer and one.role == handover.role for one in ending):
        raise Refused(_("This customer has the premises already"), field="customer_no")
    over = {one.id for one in ending}
    tenure = Tenure(0, handover.customer, handover.role, handover.since, None, handover.share)
    wrong = fault([one for one in kept if one.id not in over], tenure)
    if wrong:
        raise Refused(wrong[1], field=wrong[0])
    return ending


async def pass_on(site: Site, conn: Connection, found: Mapping[str, Any], handover: Handover) -> None:
    """Let premises that this transaction holds pass on, on a day that has come. Raises Refused."""
    today, since, customer = site.clock.today(), handover.since, handover.customer
    wrong = handover_fault(found["tenures"], since, today)
    if wrong:
        raise Refused(wrong, field="since")
    ending = _refused(found["tenures"], handover)
    await store.end_tenures(conn, ending, day_before(since))
    tenure = Tenure(0, customer, handover.role, since, None, handover.share)
    await store.add_tenure(conn, found["id"], tenure)
    await store.settle(conn, [found["id"]], today)
    before = tuple(dict.fromkeys(one.customer for one in ending if one.customer != customer))
    await site.registry.hooks.emit(
        "on_premises_handed_over",
        conn,
        customer=customer,
        premises=found["id"],
        before=before,
        since=since,
        carry=handover.carry,
    )
    facts: dict[str, object] = {"place": found["label"], "since": since}
    await audit(conn, "customers.took_over", customer=customer, subject=f"premises {found['id']}", **facts)
    for former in before:
        await audit(conn, "customers.handed_over", customer=former, subject=f"premises {found['id']}", **facts)


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

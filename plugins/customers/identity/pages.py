"""The office's page of a customer's PESEL, REGON and account for refunds. A PESEL is shown only when asked for, and
whoever read it stands in the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kernel import ACTOR, CONN, SITE, Refused, Request, Route, Row, Stamp, _, audit, badges_of, not_found, redirect
from plugins.customers.identity import store
from plugins.customers.model import IdentityForm


async def show(request: Request) -> Mapping[str, Any]:
    """The numbers in a form, the PESEL hidden but for its last digits."""
    found = await _found(request)
    shown = _shown(found, "•" * 7 + found["pesel"][-4:] if found["pesel"] else "")
    return {**shown, "badges": await badges_of(request, found["id"])}


async def reveal(request: Request) -> Mapping[str, Any]:
    """The same page with the PESEL whole; written down. No answer of it is kept for a second click."""
    actor = request[ACTOR]
    found = await _found(request)
    stamp = Stamp(str(actor.user), actor.role or "", superadmin_mode=actor.in_superadmin_mode)
    async with request[SITE].db.transaction(stamp) as conn:
        await audit(conn, "customers.identity_seen", customer=found["id"], subject=found["customer_no"])
    return _shown(found, found["pesel"])


def _shown(found: Row, pesel: str) -> dict[str, Any]:
    account: str = found["refund_account"]
    pairs = [account[place : place + 4] for place in range(2, len(account), 4)]
    grouped = " ".join((account[:2], *pairs)) if account else ""
    is_whole = bool(pesel) and pesel == found["pesel"]
    return {"customer": found, "badges": (), "pesel": pesel, "is_whole": is_whole, "refund_account": grouped}


async def save(request: Request, form: IdentityForm) -> object:
    """Write the numbers; a PESEL left empty stays."""
    found = await _found(request)
    if found["is_removed"]:
        raise Refused(_("This customer’s data were removed"))
    pesel = "" if form.forget_pesel else form.pesel or found["pesel"]
    if (found["pesel"], found["regon"], found["refund_account"]) != (pesel, form.regon, form.refund_account):
        await store.write(request[CONN], found["id"], pesel, form.regon, form.refund_account)
        await audit(request[CONN], "customers.identity_changed", customer=found["id"], subject=found["customer_no"])
    return redirect(request, "customers.identity", customer=found["id"], flash=_("The changes were saved"))


async def _found(request: Request) -> Row:
    found = await store.of_customer(request[CONN], int(request.match_info["customer"]))
    if found is None:
        raise not_found()
    return found


_ONE, _RIGHT, _TEMPLATE = r"/admin/customers/{customer:\d+}/numbers", "customers.identity", "customers/identity.html"

ROUTES: Final = (
    Route("GET", _ONE, show, _RIGHT, "customers.identity", template=_TEMPLATE),
    Route("POST", _ONE, save, _RIGHT, "customers.identity_save", body=IdentityForm),
    Route("POST", f"{_ONE}/reveal", reveal, _RIGHT, "customers.identity_reveal", template=_TEMPLATE, read_only=True),
)

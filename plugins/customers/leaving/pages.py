"""The office's pages of leaving: close, reopen, record a death, delete a new customer, remove an old one for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, StringConstraints

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Connection,
    Line,
    PolishDate,
    Refused,
    Request,
    Route,
    Row,
    Site,
    _,
    audit,
    badges_of,
    confirmed,
    not_found,
    redirect,
    slot,
    tell_superadmins,
)
from plugins.customers import store as register
from plugins.customers.leaving import store

SLOT: Final = "customers.closing"
"""What stands against closing a customer: parts of plugins on the page that asks."""
ERASED: Final = _("Data removed")


class Closing(BaseModel):
    """``acknowledged``: what is still open is known, and the customer is closed all the same."""

    acknowledged: bool = False


async def closing(request: Request) -> Mapping[str, Any]:
    """What closing means and what stands against it."""
    head = await _headed(request)
    return {
        **head,
        "parts": await slot(request, SLOT) if head["customer"]["status"] == "active" else (),
        "may_remove": request[ACTOR].may("customers.remove"),
        "may_purge": request[ACTOR].may("customers.purge"),
    }


async def close(request: Request, form: Closing) -> object:
    """Close a customer, unless a plugin refuses."""
    customer = await found(request, lock=True)
    if customer["status"] != "active":
        raise Refused(_("This customer is closed already"))
    await close_one(
        request[SITE], request[CONN], customer["id"], customer["customer_no"], acknowledged=form.acknowledged
    )
    return redirect(request, "kernel.customer", flash=_("The customer was closed"), customer=customer["id"])


async def close_one(site: Site, conn: Connection, customer: int, customer_no: str, *, acknowledged: bool) -> None:
    """Close a customer that this transaction holds. Raises Refused as a plugin says."""
    await site.registry.hooks.emit("on_customer_closing", conn, customer=customer, acknowledged=acknowledged)
    await store.set_status(conn, customer, "closed")
    await audit(conn, "customers.closed", customer=customer, subject=customer_no)


async def reopen(request: Request) -> object:
    """Make a closed customer active again."""
    conn, customer = request[CONN], await found(request, lock=True)
    if customer["status"] == "deceased":
        raise Refused(_("This customer is written down as deceased. Take that back first, with a reason"))
    if customer["status"] != "active":
        await store.set_status(conn, customer["id"], "active")
        await audit(conn, "customers.reopened", customer=customer["id"], subject=customer["customer_no"])
    return redirect(request, "kernel.customer", flash=_("The customer is active again"), customer=customer["id"])


# --- deaths ---------------------------------------------------------------------------------------------------------


def _none_if_blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


class DeathForm(BaseModel):
    """A death: the day, where it is known, and whom to write to from now on."""

    died_on: Annotated[PolishDate | None, BeforeValidator(_none_if_blank)] = None
    heirs: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""


class ReasonForm(BaseModel):
    """Why something is taken back."""

    reason: Line = Field(min_length=1)


async def mourning(request: Request) -> Mapping[str, Any]:
    """The form of a death, or what is written down of it."""
    head = await _headed(request)
    return {**head, "death": await store.death(request[CONN], head["customer"]["id"])}


async def _headed(request: Request) -> Mapping[str, Any]:
    """The customer with what the head of the page says."""
    customer = await found(request)
    return {"customer": customer, "badges": await badges_of(request, customer["id"])}


async def record_death(request: Request, form: DeathForm) -> object:
    """Write a death down: logins end at once, letters are held, the balance stays."""
    conn, customer = request[CONN], await found(request, lock=True)
    today = request[SITE].clock.today()
    if form.died_on is not None and form.died_on > today:
        raise Refused(_("This day has not come yet"), field="died_on")
    if customer["status"] == "deceased":
        await store.change_death(conn, customer["id"], form.died_on, form.heirs)
        await audit(conn, "customers.death_changed", customer=customer["id"], subject=customer["customer_no"])
        return redirect(request, "kernel.customer", flash=_("The changes were saved"), customer=customer["id"])
    now = request[SITE].clock.now()
    ended = await store.record_death(conn, customer["id"], form.died_on, form.heirs, customer["status"], now)
    await store.set_status(conn, customer["id"], "deceased")
    await audit(
        conn,
        "customers.death_recorded",
        customer=customer["id"],
        subject=customer["customer_no"],
        day=form.died_on,
        logins=ended["grants"],
    )
    flash = _("Written down. Logins ended; letters are held")
    return redirect(request, "kernel.customer", flash=flash, customer=customer["id"])


async def revoking(request: Request) -> Mapping[str, Any]:
    """The question before a death is taken back."""
    return await _headed(request)


async def revoke_death(request: Request, form: ReasonForm) -> object:
    """Take a death back: whoever could log in before, can again."""
    conn, customer = request[CONN], await found(request, lock=True)
    before = await store.revoke_death(conn, customer["id"], form.reason, request[SITE].clock.now())
    if before is None:
        raise Refused(_("No death of this customer is written down"))
    await store.set_status(conn, customer["id"], before)
    await audit(
        conn,
        "customers.death_revoked",
        customer=customer["id"],
        subject=customer["customer_no"],
        reason=form.reason,
    )
    flash = _("Taken back. Logins work as before")
    return redirect(request, "kernel.customer", flash=flash, customer=customer["id"])


# --- deleting a new one, removing an old one ------------------------------------------------------------------------


async def removing(request: Request) -> Mapping[str, Any]:
    """The question before a customer is deleted."""
    return await _headed(request)


async def remove(request: Request) -> object:
    """Delete a customer with nothing approved; plugins remove their part or refuse."""
    conn, customer = request[CONN], await found(request, lock=True)
    await request[SITE].registry.hooks.emit("on_customer_removing", conn, customer=customer["id"])
    await register.remove(conn, customer["id"])
    await audit(conn, "customers.removed", subject=customer["customer_no"], number=customer["customer_no"])
    return redirect(request, "customers.list", flash=_("The customer was deleted"))


class PurgeForm(ReasonForm):
    """Why a customer's data are removed for good, and the password of who says so."""

    password: SecretStr


async def purging(request: Request) -> Mapping[str, Any]:
    """Asks why an old customer's data are to be removed, and says what will happen."""
    return await _headed(request)


async def purge(request: Request, form: PurgeForm) -> object:
    """Erase an old customer's personal data, once however often it is asked, and tell the other superadministrators.

    The database lets a superadministrator in the announced mode do it and nobody else.
    """
    async with confirmed(request, form.password) as conn:
        customer = await found(request, lock=True, removed=True)
        number = customer["customer_no"]
        if not customer["is_removed"]:
            if customer["status"] == "active":
                raise Refused(_("Close the customer first: an active customer’s data are needed"))
            await request[SITE].registry.hooks.emit("on_customer_purging", conn, customer=customer["id"])
            await store.purge(conn, customer["id"], form.reason, str(ERASED))
            await audit(
                conn, "customers.purged", customer=customer["id"], subject=number, number=number, reason=form.reason
            )
            text = _(
                "{name} removed the personal data of customer {customer_no} for good. Entries and their amounts stay.\n"
                "Reason: {reason}",
                name=request[ACTOR].name,
                customer_no=number,
                reason=form.reason,
            )
            await tell_superadmins(conn, _("A customer’s data were removed"), text, but=request[ACTOR].user)
    return redirect(request, "kernel.customer", flash=_("The data were removed"), customer=customer["id"])


async def found(request: Request, *, lock: bool = False, removed: bool = False) -> Row:
    """The customer of the address; whose data were removed cannot be changed any more. Raises not found."""
    customer_id = int(request.match_info["customer"])
    if lock:
        await register.lock_customer(request[CONN], customer_id)
    customer = await register.customer(request[CONN], customer_id)
    if customer is None:
        raise not_found()
    if lock and customer["is_removed"] and not removed:
        raise Refused(_("This customer’s data were removed"))
    return customer


_ONE: Final = r"/admin/customers/{customer:\d+}"
CHANGE, REMOVE, PURGE = "customers.change", "customers.remove", "customers.purge"

ROUTES: Final = (
    Route("GET", f"{_ONE}/close", closing, CHANGE, "customers.closing", template="customers/close.html"),
    Route("POST", f"{_ONE}/close", close, CHANGE, "customers.close", body=Closing),
    Route("POST", f"{_ONE}/reopen", reopen, CHANGE, "customers.reopen"),
    Route("GET", f"{_ONE}/death", mourning, CHANGE, "customers.mourning", template="customers/death.html"),
    Route("POST", f"{_ONE}/death", record_death, CHANGE, "customers.record_death", body=DeathForm),
    Route(
        "GET", f"{_ONE}/death/revoke", revoking, CHANGE, "customers.revoking", template="customers/death_revoke.html"
    ),
    Route("POST", f"{_ONE}/death/revoke", revoke_death, CHANGE, "customers.revoke_death", body=ReasonForm),
    Route("GET", f"{_ONE}/remove", removing, REMOVE, "customers.removing", template="customers/remove.html"),
    Route("POST", f"{_ONE}/remove", remove, REMOVE, "customers.remove"),
    Route("GET", f"{_ONE}/purge", purging, PURGE, "customers.purging", template="customers/purge.html"),
    Route("POST", f"{_ONE}/purge", purge, PURGE, "customers.purge", body=PurgeForm, read_only=True),
)

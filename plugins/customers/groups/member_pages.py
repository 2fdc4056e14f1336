"""Putting customers into a group and taking them out: by pasted numbers, from the register's list, on their page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, StringConstraints

from kernel import CONN, Refused, Request, Route, _, audit, badges_of, ngettext, not_found, redirect
from plugins.customers import store as register
from plugins.customers.groups import store
from plugins.customers.groups.model import numbers
from plugins.customers.groups.pages import CHANGE, found
from plugins.customers.groups.store import Group

_MOST_TOLD: Final = 10

Id = Annotated[int, Field(ge=0, lt=2**63)]


class NumbersForm(BaseModel):
    """Customers' numbers, pasted."""

    numbers: Annotated[str, StringConstraints(min_length=1, max_length=200_000)]


class ChosenForm(BaseModel):
    """Customers chosen in a list, and the group that they shall be in."""

    ids: list[Id] = Field([], max_length=1000)
    group: Id = 0


class OfCustomerForm(BaseModel):
    """The groups that a customer is in from now on."""

    groups: list[Id] = Field([], max_length=200)


async def filling(request: Request) -> Mapping[str, Any]:
    """Where numbers are pasted."""
    return {"group": await _by_hand(request)}


async def fill(request: Request, form: NumbersForm) -> object:
    """Put the customers with these numbers into the group; all of them, or nobody and why."""
    conn, group = request[CONN], await _by_hand(request)
    asked = numbers(form.numbers)
    known = await store.numbered(conn, asked)
    unknown = [number for number in asked if number not in known]
    if unknown:
        told = ", ".join(unknown[:_MOST_TOLD]) + (" …" if len(unknown) > _MOST_TOLD else "")
        raise Refused(_("Nobody in the register has these numbers: {numbers}", numbers=told), field="numbers")
    count = await store.put(conn, group.id, list(known.values()))
    await audit(conn, "customers.group_filled", subject=str(group.id), name=group.name, count=count)
    flash = ngettext("{count} customer was put into the group", "{count} customers were put into the group", count)
    return redirect(request, "customers.group", group=group.id, flash=flash)


async def take(request: Request, form: ChosenForm) -> object:
    """Take the chosen members out of the group."""
    conn, group = request[CONN], await _by_hand(request)
    if not form.ids:
        raise Refused(_("Choose at least one customer"))
    count = await store.take(conn, group.id, form.ids)
    await audit(conn, "customers.group_emptied", subject=str(group.id), name=group.name, count=count)
    flash = ngettext(
        "{count} customer was taken out of the group", "{count} customers were taken out of the group", count
    )
    return redirect(request, "customers.group", group=group.id, flash=flash)


async def pick(request: Request, form: ChosenForm) -> object:
    """Put customers chosen in the register's list into a group."""
    conn = request[CONN]
    if not form.ids:
        raise Refused(_("Choose at least one customer"))
    group = await store.group(conn, form.group)
    if group is None or group.rule is not None:
        raise Refused(_("Choose the group"))
    count = await store.put(conn, group.id, form.ids)
    await audit(conn, "customers.group_filled", subject=str(group.id), name=group.name, count=count)
    flash = ngettext("{count} customer was put into the group", "{count} customers were put into the group", count)
    return redirect(request, "customers.group", group=group.id, flash=flash)


async def of_customer(request: Request) -> Mapping[str, Any]:
    """The groups that a customer may be in."""
    customer = int(request.match_info["customer"])
    known = await register.customer(request[CONN], customer)
    if known is None:
        raise not_found()
    return {
        "customer": known,
        "badges": await badges_of(request, customer),
        "groups": await store.of_customer(request[CONN], customer),
    }


async def set_of_customer(request: Request, form: OfCustomerForm) -> object:
    """Put the customer into these groups, and out of the others."""
    conn, customer = request[CONN], int(request.match_info["customer"])
    if await register.customer(conn, customer) is None:
        raise not_found()
    for one in await store.of_customer(conn, customer):
        wanted = one["id"] in form.groups
        if wanted == one["is_member"]:
            continue
        await (store.put if wanted else store.take)(conn, one["id"], [customer])
        verb = "customers.group_filled" if wanted else "customers.group_emptied"
        await audit(conn, verb, customer=customer, subject=str(one["id"]), name=one["name"], count=1)
    return redirect(request, "kernel.customer", customer=customer, flash=_("The changes were saved"))


async def _by_hand(request: Request) -> Group:
    """The group of the address, when members are put into it. Raises 404."""
    group = await found(request)
    if group.rule is not None:
        raise not_found()
    return group


_ONE: Final = r"/admin/groups/{group:\d+}"
_OF_CUSTOMER: Final = r"/admin/customers/{customer:\d+}/groups"

ROUTES: Final = (
    Route("GET", f"{_ONE}/fill", filling, CHANGE, "customers.group_filling", template="customers/groups/fill.html"),
    Route("POST", f"{_ONE}/fill", fill, CHANGE, "customers.group_fill", body=NumbersForm),
    Route("POST", _ONE, take, CHANGE, "customers.group_take", body=ChosenForm),
    Route("POST", "/admin/customers", pick, CHANGE, "customers.group_pick", body=ChosenForm),
    Route(
        "GET", _OF_CUSTOMER, of_customer, CHANGE, "customers.groups_of", template="customers/groups/of_customer.html"
    ),
    Route("POST", _OF_CUSTOMER, set_of_customer, CHANGE, "customers.groups_set", body=OfCustomerForm),
)

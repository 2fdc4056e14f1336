"""The office closes every customer of a filtered list at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, LiteralString, cast

from pydantic import BaseModel, StringConstraints

from kernel import CONN, Refused, Request, Route, Row, _, ngettext, redirect
from plugins.customers import store as register
from plugins.customers.leaving.pages import close_one
from plugins.customers.pages import CUSTOMERS, CustomersQuery

MOST: Final = 200
"""So many at once: a person can still look through them, and one transaction holds them all."""
_TOLD: Final = 5


class BulkForm(BaseModel):
    """``ids`` are the customers that were looked at; ``acknowledged`` as in closing one."""

    ids: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,18}(,[0-9]{1,18})*$", max_length=20 * MOST)] = ""
    acknowledged: bool = False


async def ask(request: Request, query: CustomersQuery) -> Mapping[str, Any]:
    """Who is in the filtered list now, and what can be done with all of them."""
    rows = await _listed(request, query) if _kept(request) else ()
    active = [row for row in rows if row["status"] == "active"]
    return {
        "rows": rows[:MOST],
        "is_too_long": len(rows) > MOST,
        "most": MOST,
        "active": len(active),
        "ids": ",".join(str(row["id"]) for row in rows),
        "address": request.path_qs,
        "filters": _kept(request),
    }


async def close(request: Request, form: BulkForm) -> object:
    """Close everybody of the filtered list who is active: all of them, or nobody."""
    if not _kept(request):
        raise Refused(_("Filter the list first: everybody in the register is not closed at once"))
    rows = await _listed(request, CustomersQuery.model_validate(_kept(request)))
    if len(rows) > MOST:
        raise Refused(_("The list has more than {most} customers. Narrow the filters", most=MOST))
    await _refuse_changed(request, {int(one) for one in form.ids.split(",") if one}, rows)
    refusals: list[str] = []
    closed = 0
    for row in rows:
        if await register.lock_customer(request[CONN], row["id"]) != "active":
            continue
        try:
            await close_one(request, row["id"], row["customer_no"], acknowledged=form.acknowledged)
            closed += 1
        except Refused as refused:
            words = "; ".join(str(text) for text in (*refused.notes, *refused.errors.values()))
            refusals.append(f"{row['name']} ({row['customer_no']}): {words}")
    if refusals:
        raise Refused(
            ngettext(
                "Nobody was closed. {count} customer cannot be: {who}",
                "Nobody was closed. {count} customers cannot be: {who}",
                len(refusals),
                who=_some(refusals),
            )
        )
    flash = ngettext("{count} customer closed", "{count} customers closed", closed)
    return redirect(request, "customers.list", query=_kept(request), flash=flash)


async def _refuse_changed(request: Request, seen: set[int], rows: Sequence[Row]) -> None:
    now = {row["id"]: _named(row) for row in rows}
    gone = [_named(row) for row in await register.named(request[CONN], sorted(seen - set(now)))]
    gone += [str(_("one that was deleted"))] * (len(seen - set(now)) - len(gone))
    joined = [name for number, name in now.items() if number not in seen]
    if gone or joined:
        raise Refused(
            _(
                "The list has changed since you looked, so nothing was done. New in it: {joined}. No longer in it: "
                "{gone}. Look through it and choose again",
                joined=_some(joined),
                gone=_some(gone),
            )
        )


def _named(row: Row) -> str:
    return f"{row['name']} ({row['customer_no']})"


def _some(names: Sequence[str]) -> str:
    told = ", ".join(names[:_TOLD]) or "—"
    more = len(names) - _TOLD
    return f"{told}, {ngettext('and {count} more', 'and {count} more', more)}" if more > 0 else told


async def _listed(request: Request, query: CustomersQuery) -> Sequence[Row]:
    active = [one for one in CUSTOMERS.filters if getattr(query, one.name) not in (None, "")]
    column, _descending = CUSTOMERS.sorting("")
    statement = CUSTOMERS.statement(cast(LiteralString, column.sort), active, upward=True, onward=False)
    return await request[CONN].fetch(statement, *(getattr(query, one.name) for one in active), MOST + 1)


def _kept(request: Request) -> dict[str, str]:
    names = {one.name for one in CUSTOMERS.filters}
    return {name: value for name, value in request.query.items() if name in names and value}


ROUTES: Final = (
    Route(
        "GET",
        "/admin/customers/bulk",
        ask,
        "customers.change",
        "customers.bulk",
        query=CustomersQuery,
        template="customers/bulk.html",
    ),
    Route("POST", "/admin/customers/bulk", close, "customers.change", "customers.bulk_close", body=BulkForm),
)

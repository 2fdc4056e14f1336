"""The office closes every customer of a filtered list: the question, the run as it goes on, and all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, LiteralString, cast

from pydantic import BaseModel, Field, StringConstraints

from kernel import (
    CONN,
    Badge,
    Column,
    Filter,
    Listing,
    ListQuery,
    Refused,
    Request,
    Route,
    Row,
    _,
    audit,
    enqueue,
    listed,
    ngettext,
    not_found,
    redirect,
)
from plugins.customers import store as register
from plugins.customers.bulk import jobs, store
from plugins.customers.pages import CUSTOMERS, CustomersQuery
from plugins.customers.words import read_text

MOST: Final = 5000
"""So many at once: the form carries whom the office has seen."""
SHOWN: Final = 200
"""So many are named on the page of the question."""
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
        "rows": rows[:SHOWN],
        "unshown": max(0, min(len(rows), MOST) - SHOWN),
        "is_too_long": len(rows) > MOST,
        "most": MOST,
        "active": len(active),
        "ids": ",".join(str(row["id"]) for row in rows),
        "address": request.path_qs,
        "filters": _kept(request),
    }


async def close(request: Request, form: BulkForm) -> object:
    """Have everybody of the filtered list who is active closed, one after another."""
    if not _kept(request):
        raise Refused(_("Filter the list first: everybody in the register is not closed at once"))
    rows = await _listed(request, CustomersQuery.model_validate(_kept(request)))
    if len(rows) > MOST:
        raise Refused(_("The list has more than {most} customers. Narrow the filters", most=MOST))
    await _refuse_changed(request, {int(one) for one in form.ids.split(",") if one}, rows)
    active = [row["id"] for row in rows if row["status"] == "active"]
    if not active:
        raise Refused(_("Nobody in this list is active."))
    conn = request[CONN]
    number = await store.begin(conn, _kept(request), active, acknowledged=form.acknowledged)
    await audit(conn, "customers.closing_many", subject=f"closing {number}", count=len(active))
    await enqueue(conn, jobs.CLOSE, {"run": number})
    return redirect(request, "customers.closing_run", closing_run=number)


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


# --- runs -----------------------------------------------------------------------------------------------------------

STATES: Final[Mapping[str, Badge]] = {
    "closing": Badge(_("being closed"), "notice"),
    "closed": Badge(_("done"), "credit"),
    "cancelled": Badge(_("halted")),
}
OUTCOMES: Final[Mapping[str, Badge]] = {
    "waits": Badge(_("waits")),
    "closed": Badge(_("closed"), "credit"),
    "left": Badge(_("was not active")),
    "refused": Badge(_("not closed"), "due"),
}

RUNS: Final = Listing(
    "customers.closing_runs",
    """
select r.id, r.state, r.created_at, coalesce(u.name, r.created_by) as created_by,
       (select count(*) from customers.closing_one o where o.run = r.id) as total
from customers.closing_run r
left join kernel.users u on u.id = case when r.created_by ~ '^[0-9]{1,18}$' then r.created_by::bigint end""",
    (
        Column("id", _("No."), "number", sort="id", link="customers.closing_run", by={"closing_run": "id"}),
        Column("created_at", _("Begun"), "moment"),
        Column("created_by", _("Closed by")),
        Column("total", _("Customers"), "number"),
        Column("state", _("State"), "badge", badges=STATES),
    ),
    order="-id",
    filters=(
        Filter("state", _("State"), "state = {0}", options=tuple((name, one.label) for name, one in STATES.items())),
    ),
)


def _reason(row: Row) -> object:
    return read_text(row["reason"]) or ""


ONES: Final = Listing(
    "customers.closing_ones",
    """
select o.place as id, o.customer, c.customer_no, c.name, o.outcome, o.reason
from customers.closing_one o left join kernel.customer c on c.id = o.customer
where o.run = $1""",
    (
        Column("id", _("No."), "number", sort="id"),
        Column("customer_no", _("Customer no.")),
        Column("name", _("Customer"), link="kernel.customer", by={"customer": "customer"}),
        Column("outcome", _("State"), "badge", badges=OUTCOMES),
        Column("reason", _("Why"), show=_reason),
    ),
    order="id",
    filters=(
        Filter("number", _("Customer no."), "customer_no = {0}"),
        Filter(
            "outcome", _("State"), "outcome = {0}", options=tuple((name, one.label) for name, one in OUTCOMES.items())
        ),
    ),
    title_of="name",
)


class RunsQuery(ListQuery):
    """What the address of the list of runs may say."""

    state: Literal["", "closing", "closed", "cancelled"] = ""


class OnesQuery(ListQuery):
    """What the address of one run may say."""

    number: str = Field("", max_length=40)
    outcome: Literal["", "waits", "closed", "left", "refused"] = ""


async def runs(request: Request, query: RunsQuery) -> object:
    """Every run that closed many customers, the newest first."""
    return await listed(request, RUNS, query)


async def show(request: Request, query: OnesQuery) -> object:
    """One run: how far it is, who was closed, and who was not and why."""
    found = await _run(request)
    return await listed(request, ONES, query, args=[found["id"]], extra={"run": found, "state": STATES[found["state"]]})


async def cancel(request: Request) -> object:
    """Stop a run: who is closed stays closed, everybody else stays as they are."""
    found = await _run(request)
    if not await store.end(request[CONN], found["id"], "cancelled"):
        raise Refused(_("This is over already."))
    await audit(request[CONN], "customers.closing_cancelled", subject=f"closing {found['id']}")
    return redirect(request, "customers.closing_run", closing_run=found["id"], flash=_("The closing is halted"))


async def _run(request: Request) -> Row:
    found = await store.run(request[CONN], int(request.match_info["closing_run"]))
    if found is None:
        raise not_found()
    return found


_RUN: Final = r"/admin/customers/bulk/runs/{closing_run:\d+}"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/customers/bulk/runs",
        runs,
        "customers.change",
        "customers.closing_runs",
        query=RunsQuery,
        template="customers/closing_runs.html",
    ),
    Route(
        "GET",
        _RUN,
        show,
        "customers.change",
        "customers.closing_run",
        query=OnesQuery,
        template="customers/closing_run.html",
    ),
    Route("POST", _RUN, cancel, "customers.change", "customers.cancel_closing"),
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

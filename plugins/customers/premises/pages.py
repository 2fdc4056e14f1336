"""The office's pages of premises: the list, one with its people through time, adding, changing, removing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal, LiteralString

from pydantic import BaseModel, Field, SecretStr

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
    Line,
    Listing,
    ListQuery,
    Refused,
    Request,
    Route,
    Row,
    _,
    audit,
    confirmed,
    find_customer,
    listed,
    not_found,
    redirect,
    tell_superadmins,
)
from plugins.customers import comparing
from plugins.customers import store as register
from plugins.customers.changes import store as changes
from plugins.customers.model import ChangedPremisesForm, ServicePointForm
from plugins.customers.premises import store
from plugins.customers.premises.model import ROLES, Tenure, TenureChange, TenureForm, address, fault, period

# --- the list -------------------------------------------------------------------------------------------------------

PREMISES_SQL: Final[LiteralString] = """
select p.id, p.code, p.kind, p.street, p.building, p.flat, p.city, p.unit, p.customer, c.customer_no, c.name,
       case when p.customer is null then 'empty' else 'taken' end as standing
from kernel.service_point p left join kernel.customer c on c.id = p.customer
where not exists (select from customers.tombstone t where t.premises = p.id)"""
_STANDINGS: Final = {"taken": Badge(_("occupied")), "empty": Badge(_("stands empty"), "notice")}


def _place(row: Row) -> str:
    return address(row) or "—"


PREMISES: Final = Listing(
    "customers.premises_list",
    PREMISES_SQL,
    (
        Column(
            "street",
            _("Address"),
            sort='customers.place(street, building, flat, code) collate "C"',
            show=_place,
            link="customers.premises",
            by={"premises": "id"},
        ),
        Column("code", _("Code"), sort='code collate "C"', link="customers.premises", by={"premises": "id"}),
        Column("kind", _("Kind of place")),
        Column("unit", _("Unit")),
        Column("standing", _("State"), "badge", badges=_STANDINGS),
        Column("name", _("Who is billed"), link="kernel.customer", by={"customer": "customer"}),
        Column("customer_no", _("Number")),
    ),
    order="street",
    filters=(
        Filter(
            "street",
            _("Street begins with"),
            "kernel.pl_sort(street) collate \"C\" like kernel.pl_sort({0}::text) || '%'",
        ),
        Filter("building", _("Building"), "lower(building) = lower({0}::text)"),
        Filter("flat", _("Flat"), "lower(flat) = lower({0}::text)"),
        Filter("code", _("Code"), "code = {0}"),
        Filter("kind", _("Kind of place"), "lower(kind) = lower({0}::text)"),
        Filter("unit", _("Unit"), "lower(unit) = lower({0}::text)"),
        Filter(
            "standing",
            _("State"),
            "standing = {0}",
            options=tuple((name, badge.label) for name, badge in _STANDINGS.items()),
        ),
    ),
    title_of="code",
)


class PremisesQuery(ListQuery):
    """What the list's address may say."""

    street: str = Field("", max_length=200)
    building: str = Field("", max_length=40)
    flat: str = Field("", max_length=40)
    code: str = Field("", max_length=40)
    kind: str = Field("", max_length=40)
    unit: str = Field("", max_length=40)
    standing: Literal["", "taken", "empty"] = ""


async def premises_list(request: Request, query: PremisesQuery) -> object:
    """Every flat, garage and meter."""
    return await listed(request, PREMISES, query, extra={"may_change": request[ACTOR].may("customers.change")})


# --- one ------------------------------------------------------------------------------------------------------------


async def show(request: Request) -> Mapping[str, Any]:
    """Premises with everybody who has and had them."""
    found = await one(request)
    today, tenures = request[SITE].clock.today(), found["tenures"]
    return {
        "premises": found,
        "now": [tenure for tenure in tenures if tenure.holds_on(today)],
        "later": [tenure for tenure in tenures if tenure.begins > today],
        "before": [tenure for tenure in tenures if tenure.ends < today],
        "plan": found["plan"],
        "roles": ROLES,
        "period": period,
        "may_change": request[ACTOR].may("customers.change") and found["removed_for"] is None,
        "may_remove": request[ACTOR].may("customers.remove") and found["removed_for"] is None,
        "may_purge": request[ACTOR].may("customers.purge") and found["removed_for"] is None,
    }


async def adding(request: Request) -> Mapping[str, Any]:
    """An empty form."""
    return {"premises": None, "conflicts": [], "version": 0, "seen": 0}


async def add(request: Request, form: ServicePointForm) -> object:
    """Put premises into the register, empty."""
    await free_code(request, form.code)
    number = await store.add(request[CONN], form)
    await audit(request[CONN], "customers.premises_added", subject=f"premises {number}", place=_called(form))
    return redirect(request, "customers.premises", premises=number, flash=_("The premises were added"))


async def changing(request: Request) -> Mapping[str, Any]:
    """The data of premises in a form; beside it what somebody else changed meanwhile."""
    found = await one(request)
    base = comparing.base_version(request, found["version"])
    met = await changes.of_premises(request[CONN], found["id"], after=base) if base < found["version"] else ()
    fields = {name: found[name] for name in ServicePointForm.model_fields}
    return {
        "premises": found,
        "conflicts": comparing.compared(request, met, fields) if met else [],
        "version": base,
        "seen": found["version"],
    }


async def change(request: Request, form: ChangedPremisesForm) -> object:
    """Write the data of premises, without losing what somebody else wrote meanwhile."""
    conn, found = request[CONN], await one(request, lock=True)
    met = await changes.of_premises(conn, found["id"], after=form.version) if form.version < found["version"] else ()
    wanted = comparing.merged(form, met, found)
    await free_code(request, wanted.code, found["id"])
    await store.change(conn, found["id"], wanted)
    if any(found[name] != getattr(wanted, name) for name in ServicePointForm.model_fields):
        subject = f"premises {found['id']}"
        await audit(
            conn, "customers.premises_changed", subject=subject, customer=found["customer"], place=_called(wanted)
        )
    return redirect(request, "customers.premises", premises=found["id"], flash=_("The changes were saved"))


# --- periods --------------------------------------------------------------------------------------------------------


async def tenure_adding(request: Request) -> Mapping[str, Any]:
    """An empty form of a period."""
    return {"premises": await one(request), "tenure": None, "roles": tuple(ROLES.items())}


async def tenure_add(request: Request, form: TenureForm) -> object:
    """Write down that a customer has premises in certain days."""
    conn, found = request[CONN], await one(request, lock=True)
    customer = await find_customer(conn, form.customer_no)
    if customer is None:
        raise Refused(_("There is no customer with this number"), field="customer_no")
    if customer.status != "active":
        raise Refused(_("This customer is not active any more"), field="customer_no")
    tenure = Tenure(0, customer.id, form.role, form.since, form.until, form.share)
    _refuse_fault(found["tenures"], tenure)
    await store.add_tenure(conn, found["id"], tenure)
    await _settled(request, found, tenure, "customers.tenure_added")
    return redirect(request, "customers.premises", premises=found["id"], flash=_("The period was saved"))


async def tenure_changing(request: Request) -> Mapping[str, Any]:
    """A period in a form."""
    found = await one(request)
    return {"premises": found, "tenure": _tenure(request, found), "roles": tuple(ROLES.items())}


async def tenure_change(request: Request, form: TenureChange) -> object:
    """Write a period otherwise."""
    found = await one(request, lock=True)
    kept = _tenure(request, found)
    tenure = replace(kept, role=form.role, since=form.since, until=form.until, share=form.share)
    _refuse_fault(found["tenures"], tenure)
    await store.change_tenure(request[CONN], found["id"], tenure)
    await _settled(request, found, tenure, "customers.tenure_changed")
    return redirect(request, "customers.premises", premises=found["id"], flash=_("The changes were saved"))


async def tenure_remove(request: Request) -> object:
    """Take back a period that never was."""
    found = await one(request, lock=True)
    tenure = _tenure(request, found)
    await store.remove_tenure(request[CONN], found["id"], tenure.id)
    await _settled(request, found, tenure, "customers.tenure_removed")
    return redirect(request, "customers.premises", premises=found["id"], flash=_("The period was removed"))


def _tenure(request: Request, found: Mapping[str, Any]) -> Tenure:
    wanted = int(request.match_info["tenure"])
    for tenure in found["tenures"]:
        if tenure.id == wanted:
            return tenure
    raise not_found()


def _refuse_fault(kept: list[Tenure], tenure: Tenure) -> None:
    wrong = fault(kept, tenure)
    if wrong:
        raise Refused(wrong[1], field=wrong[0])


async def _settled(request: Request, found: Mapping[str, Any], tenure: Tenure, verb: str) -> None:
    await store.settle(request[CONN], [found["id"]], request[SITE].clock.today())
    await audit(
        request[CONN],
        verb,
        customer=tenure.customer,
        subject=f"premises {found['id']}",
        place=found["label"],
        role=tenure.role,
        period=period(tenure),
    )


# --- removing -------------------------------------------------------------------------------------------------------


async def removing(request: Request) -> Mapping[str, Any]:
    """The question before premises are deleted."""
    return {"premises": await one(request)}


async def remove(request: Request) -> object:
    """Delete premises that nothing refers to."""
    conn, found = request[CONN], await one(request, lock=True)
    if not await store.remove(conn, found["id"]):
        raise Refused(_("Accounts are kept for these premises. Only a superadministrator can remove them"))
    await audit(conn, "customers.premises_removed", subject=f"premises {found['id']}", place=found["label"])
    return redirect(request, "customers.premises_list", flash=_("The premises were deleted"))


class PurgeForm(BaseModel):
    """Why something old is removed for good, and the password of who says so."""

    reason: Line = Field(min_length=1)
    password: SecretStr


async def purging(request: Request) -> Mapping[str, Any]:
    """Asks why premises with a history are to be removed, and says what will happen."""
    found = await _old(request)
    return {"premises": found}


async def purge(request: Request, form: PurgeForm) -> object:
    """Remove premises with a history, once however often it is asked, and tell the other superadministrators."""
    async with confirmed(request, form.password) as conn:
        found = await one(request, lock=True)
        if found["removed_for"] is None and await store.purge(conn, found["id"], form.reason):
            subject = f"premises {found['id']}"
            await audit(conn, "customers.premises_purged", subject=subject, reason=form.reason)
            text = _(
                "{name} removed the premises {place} from the register for good.\nReason: {reason}",
                name=request[ACTOR].name,
                place=found["label"],
                reason=form.reason,
            )
            await tell_superadmins(conn, _("Premises were removed"), text, but=request[ACTOR].user)
    return redirect(request, "customers.premises_list", flash=_("The premises were removed"))


async def _old(request: Request) -> Mapping[str, Any]:
    found = await one(request)
    if found["removed_for"] is not None:
        raise not_found()
    return found


# --- shared ---------------------------------------------------------------------------------------------------------


async def one(request: Request, *, lock: bool = False) -> dict[str, Any]:
    """The premises of the address; what was removed cannot be touched any more. Raises not found."""
    found = await store.premises(request[CONN], int(request.match_info["premises"]), lock=lock)
    if found is None:
        raise not_found()
    if lock and found["removed_for"] is not None and not request.path.endswith("/purge"):
        raise Refused(_("These premises were removed"))
    return found


async def free_code(request: Request, code: str, except_id: int | None = None) -> None:
    """Refuse a code that other premises have."""
    if await store.code_taken(request[CONN], code, except_id):
        raise Refused(_("Another service point has this code"), field="code")


def _called(form: ServicePointForm) -> str:
    return address(form.model_dump()) or form.code


async def point(request: Request) -> Mapping[str, Any]:
    """The form of premises that a customer shall have, with the customer's own address in it."""
    customer = await register.customer(request[CONN], int(request.match_info["customer"]))
    if customer is None:
        raise not_found()
    return {"customer": customer}


class PointForm(ServicePointForm):
    """New premises of a customer."""


async def point_add(request: Request, form: PointForm) -> object:
    """Give a customer new premises: added and owned from today on."""
    conn, today = request[CONN], request[SITE].clock.today()
    customer = await register.customer(conn, int(request.match_info["customer"]))
    if customer is None:
        raise not_found()
    await free_code(request, form.code)
    number = await store.add(conn, form)
    await store.add_tenure(conn, number, Tenure(0, customer["id"], "owner", None, None))
    await store.settle(conn, [number], today)
    await audit(conn, "customers.point_added", customer=customer["id"], subject=form.code or form.street)
    return redirect(request, "kernel.customer", customer=customer["id"], flash=_("The service point was added"))


_ALL, _ONE = "/admin/premises", r"/admin/premises/{premises:\d+}"
_TENURE: Final = _ONE + r"/tenures/{tenure:\d+}"
VIEW, CHANGE, REMOVE, PURGE = "customers.view", "customers.change", "customers.remove", "customers.purge"


ROUTES: Final = (
    Route(
        "GET",
        _ALL,
        premises_list,
        VIEW,
        "customers.premises_list",
        query=PremisesQuery,
        template="customers/premises_list.html",
    ),
    Route("GET", f"{_ALL}/add", adding, CHANGE, "customers.premises_adding", template="customers/premises_form.html"),
    Route("POST", f"{_ALL}/add", add, CHANGE, "customers.premises_add", body=ServicePointForm),
    Route("GET", _ONE, show, VIEW, "customers.premises", template="customers/premises.html"),
    Route(
        "GET",
        f"{_ONE}/change",
        changing,
        CHANGE,
        "customers.premises_changing",
        template="customers/premises_form.html",
    ),
    Route("POST", f"{_ONE}/change", change, CHANGE, "customers.premises_change", body=ChangedPremisesForm),
    Route(
        "GET", f"{_ONE}/tenures/add", tenure_adding, CHANGE, "customers.tenure_adding", template="customers/tenure.html"
    ),
    Route("POST", f"{_ONE}/tenures/add", tenure_add, CHANGE, "customers.tenure_add", body=TenureForm),
    Route("GET", _TENURE, tenure_changing, CHANGE, "customers.tenure_changing", template="customers/tenure.html"),
    Route("POST", _TENURE, tenure_change, CHANGE, "customers.tenure_change", body=TenureChange),
    Route("POST", f"{_TENURE}/remove", tenure_remove, CHANGE, "customers.tenure_remove"),
    Route(
        "GET",
        f"{_ONE}/remove",
        removing,
        REMOVE,
        "customers.premises_removing",
        template="customers/premises_remove.html",
    ),
    Route("POST", f"{_ONE}/remove", remove, REMOVE, "customers.premises_remove"),
    Route(
        "GET", f"{_ONE}/purge", purging, PURGE, "customers.premises_purging", template="customers/premises_purge.html"
    ),
    Route("POST", f"{_ONE}/purge", purge, PURGE, "customers.premises_purge", body=PurgeForm, read_only=True),
    Route(
        "GET",
        r"/admin/customers/{customer:\d+}/points/add",
        point,
        CHANGE,
        "customers.point_adding",
        template="customers/point.html",
    ),
    Route(
        "POST", r"/admin/customers/{customer:\d+}/points/add", point_add, CHANGE, "customers.point_add", body=PointForm
    ),
)

"""The list of charges that are not paid, each with the days since it was due: where every figure of arrears leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, LiteralString

from aiohttp import web

from kernel import SITE, Column, Filter, Listing, ListQuery, Money, PolishDate, Request, Route, Row, Text, _, listed
from plugins.payments.explain.model import BUCKETS
from plugins.payments.model import KINDS

# What a consumer owes no more for the passing of time is of no age: it is in no figure of arrears either.
_SELECT: Final[LiteralString] = """
select e.id, e.account_id, a.account_no, b.code as book, c.id as customer, c.customer_no, c.name, e.kind, e.title,
       e.document_no, e.effective_due_on as due, e.amount, e.open_amount, greatest($1 - e.effective_due_on, 0) as late,
       case when c.consumer and coalesce(e.time_barred_on <= $1, false) then 'barred'
            when e.effective_due_on >= $1 then 'not_due' when e.effective_due_on >= $1 - 30 then 'to_30'
            when e.effective_due_on >= $1 - 60 then 'to_60' when e.effective_due_on >= $1 - 90 then 'to_90'
            when e.effective_due_on >= $1 - 180 then 'to_180' else 'over_180' end as age
from payments.entry e
join payments.account a on a.id = e.account_id
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
where e.side = 'charge' and e.open_amount > 0 and $1::date is not null"""

AGES: Final[Mapping[str, Text]] = {"late": _("every charge past due"), **BUCKETS, "barred": _("time-barred")}


def _kind(row: Row) -> Text:
    return KINDS[row["kind"]]


def _age(row: Row) -> Text:
    return AGES[row["age"]]


OPEN_CHARGES: Final = Listing(
    "payments.open_charges",
    _SELECT,
    (
        Column("id", _("No."), "number", sort="id", link="payments.entry", by={"entry": "id"}),
        Column(
            "name",
            _("Customer"),
            sort='kernel.pl_sort(name) collate "C"',
            link="kernel.customer",
            by={"customer": "customer"},
        ),
        Column("customer_no", _("Customer no.")),
        Column("account_no", _("Account"), link="payments.account", by={"account": "account_id"}),
        Column("kind", _("Kind"), show=_kind),
        Column("title", _("Title")),
        Column("due", _("Due on"), "date", sort="due"),
        Column("late", _("Days past due"), "number"),
        Column("age", _("Age of arrears"), show=_age),
        Column("open_amount", _("Left to pay"), "money", sort="open_amount", total=True),
    ),
    order="due",
    filters=(
        Filter(
            "age",
            _("Age of arrears"),
            "case {0}::text when 'late' then late > 0 and age <> 'barred' else age = {0} end",
            options=tuple(AGES.items()),
        ),
        Filter("customer", _("Customer no."), "customer_no = {0}"),
        Filter("account", _("Account no."), "account_no = {0}"),
        Filter("book", _("Book (code)"), "book = {0}"),
        Filter("since", _("Due from"), "due >= {0}", kind="date"),
        Filter("until", _("Due to"), "due <= {0}", kind="date"),
        Filter("over", _("Left to pay over"), "open_amount > {0}"),
    ),
    title_of="name",
    customer="customer",
)


class OpenChargesQuery(ListQuery):
    """What the list's address may say."""

    age: Literal["", "late", "not_due", "to_30", "to_60", "to_90", "to_180", "over_180", "barred"] = ""
    customer: str = ""
    account: str = ""
    book: str = ""
    since: PolishDate | None = None
    until: PolishDate | None = None
    over: Money | None = None


async def open_charges(request: Request, query: OpenChargesQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Charges not yet paid, those due longest first."""
    return await listed(request, OPEN_CHARGES, query, args=(request[SITE].clock.today(),))


ROUTES: Final = (
    Route(
        "GET",
        "/admin/arrears",
        open_charges,
        "payments.view",
        "payments.arrears",
        query=OpenChargesQuery,
        template="payments/overview/open_charges.html",
    ),
)

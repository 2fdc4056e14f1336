"""The office's pages of suspense: the list of what came in, the control of days, a line entered by hand, exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import BaseModel, StringConstraints

from kernel import (
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
    Line,
    Listing,
    ListQuery,
    Money,
    PolishDate,
    PositiveMoney,
    Refused,
    Request,
    Row,
    Text,
    _,
    listed,
    not_found,
    redirect,
    url,
)
from plugins.payments.model import CHANNELS
from plugins.payments.suspense import store
from plugins.payments.suspense.model import AGES, LINE_STATES, IncomingLine

# --- the list -------------------------------------------------------------------------------------------------------

_SELECT: Final[LiteralString] = """
select i.id, i.booked_on, i.payer_name, i.payer_account, i.title, i.amount, i.left_amount, i.statement, i.place,
       case i.assigned when 0 then 'waiting' when i.amount then 'assigned' else 'partly' end as state
from payments.incoming i"""

_STATES: Final = (("open", _("all that wait")), *LINE_STATES.items())

_FILTERS: Final = (
    # What waits stands at one end of the index of «place», so that no filter reads the whole history.
    Filter(
        "state",
        _("State"),
        "place >= case {0}::text when 'assigned' then -100000 else 900000 end"
        " and place < case {0}::text when 'assigned' then 900000 else 3000000 end and {0}::text in ('open', state)",
        options=_STATES,
    ),
    Filter("since", _("Day from"), "booked_on >= {0}", kind="date"),
    Filter("until", _("Day to"), "booked_on <= {0}", kind="date"),
    Filter("amount", _("Amount"), "amount = {0}"),
    Filter(
        "payer",
        _("Payer"),
        "(kernel.pl_sort(payer_name) like '%' || kernel.pl_sort({0}::text) || '%'"
        " or payer_account like '%' || replace({0}::text, ' ', '') || '%')",
    ),
    Filter("text", _("Title"), "kernel.pl_sort(title) like '%' || kernel.pl_sort({0}::text) || '%'"),
)
_BADGES: Final = {
    state: Badge(label, {"assigned": "credit"}.get(state, "notice")) for state, label in LINE_STATES.items()
}
LINES: Final = Listing(
    "payments.suspense",
    _SELECT,
    (
        Column("id", _("No."), "number", sort="id", link="payments.suspense_line", by={"line": "id"}),
        Column("booked_on", _("Date"), "date", sort="booked_on"),
        Column("payer_name", _("Payer"), link="payments.suspense_line", by={"line": "id"}),
        Column("title", _("Title")),
        Column("amount", _("Amount"), "money", sort="amount", total=True),
        Column("left_amount", _("To be assigned"), "money", total=True),
        Column("state", _("State"), "badge", sort="place", badges=_BADGES),
    ),
    order="-state",
    filters=_FILTERS,
    title_of="payer_name",
)
"""Lines that wait come first, the newest day first."""


class LinesQuery(ListQuery):
    """What the list's address may say."""

    state: Literal["", "open", "waiting", "partly", "assigned"] = ""
    since: PolishDate | None = None
    until: PolishDate | None = None
    amount: Money | None = None
    payer: str = ""
    text: str = ""


async def lines(request: Request, query: LinesQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Every line of money that came in."""
    waiting = await store.waiting(request[CONN]) if query.format == "html" else None
    return await listed(request, LINES, query, extra={"waiting": waiting})


# --- a line entered by hand -----------------------------------------------------------------------------------------

_Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=40, pattern=r"^[0-9A-Za-z -]*$")]


class LineForm(BaseModel):
    """A line of money that came in, as it is typed."""

    amount: PositiveMoney
    value_date: PolishDate
    paid_on: PolishDate | None = None
    payer_name: Line
    payer_account: _Short = ""
    title: Line = ""
    channel: Literal["transfer", "cash", "card", "post", "gateway", "direct_debit", "offset"] = "transfer"


async def new(request: Request) -> Mapping[str, Any]:
    """The form of a line."""
    return {"day": _today(request), "channels": tuple(CHANNELS.items())}


async def add(request: Request, form: LineForm) -> web.Response:
    """Book a line by hand; it waits to be assigned."""
    today = _today(request)
    wrong: dict[str, Text] = {}
    if form.value_date > today:
        wrong["value_date"] = _("This day has not come yet")
    if form.paid_on is not None and form.paid_on > form.value_date:
        wrong["paid_on"] = _("Money is paid before it is received: check both days")
    if wrong:
        raise Refused(errors=wrong)
    line = IncomingLine(
        form.amount,
        form.value_date,
        form.paid_on,
        payer_name=form.payer_name,
        payer_account=form.payer_account,
        title=form.title,
        channel=form.channel,
    )
    received = await store.receive(request[CONN], [line], today)
    return redirect(
        request, "payments.suspense_line", line=received.new[0], flash=_("The money is booked. Say whose it is.")
    )


# --- the control of days --------------------------------------------------------------------------------------------


class DaysQuery(BaseModel):
    """The month to show, ``2026-11``; empty: the present one."""

    month: Annotated[str, StringConstraints(pattern=r"^((19|20|21)[0-9]{2}-(0[1-9]|1[0-2]))?$")] = ""


@dataclass(frozen=True, slots=True)
class Age:
    """Money that has been in suspense for so long; ``share`` is per cent of the largest group, for the bar."""

    label: Text
    lines: int
    amount: Money
    share: int
    address: str


async def days(request: Request, query: DaysQuery) -> Mapping[str, Any]:
    """For each day of a month: what came in is what is on accounts, given back and still in suspense."""
    today = _today(request)
    first = date.fromisoformat(f"{query.month}-01") if query.month else today.replace(day=1)
    after = (first + timedelta(days=31)).replace(day=1)
    rows = await store.days(request[CONN], first, after)
    sums = ("lines", "amount", "credited", "provisional", "given_back", "left")
    return {
        "name": f"{first:%m.%Y}",
        "days": rows,
        "totals": {name: sum(row[name] for row in rows) for name in sums},
        "previous": f"{first - timedelta(days=1):%Y-%m}",
        "following": f"{after:%Y-%m}" if after <= today else "",
        "ages": await _ages(request, today),
    }


async def _ages(request: Request, today: date) -> list[Age]:
    rows = await store.ages(request[CONN], today, [(since, until) for since, until, _label in AGES])
    most = max(row["amount"] for row in rows)
    return [
        Age(
            label,
            row["lines"],
            Money(row["amount"]),
            round(100 * row["amount"] / most) if most else 0,
            url(request, "payments.suspense_list", query=_between(today, since, until)),
        )
        for (since, until, label), row in zip(AGES, rows, strict=True)
    ]


def _between(today: date, since: int, until: int | None) -> dict[str, object]:
    """The filters of the list that show lines of such an age."""
    days: dict[str, object] = {"state": "open", "until": today - timedelta(days=since)}
    return days if until is None else {**days, "since": today - timedelta(days=until)}


# --- exports --------------------------------------------------------------------------------------------------------

_EXPORTS_SELECT: Final[LiteralString] = """
select e.id, e.created_at, coalesce(author.name, e.created_by) as created_by, e.payments, e.withdrawals, e.total
from payments.incoming_export e
left join kernel.users author on author.id = case when e.created_by ~ '^[0-9]{1,18}$' then e.created_by::bigint end"""

EXPORTS: Final = Listing(
    "payments.suspense_exports",
    _EXPORTS_SELECT,
    (
        Column("id", _("No."), "number", sort="id", link="payments.suspense_export", by={"export": "id"}),
        Column("created_at", _("Made"), "moment"),
        Column("created_by", _("Who")),
        Column("payments", _("Payments"), "number"),
        Column("withdrawals", _("Withdrawn"), "number"),
        Column("total", _("Amount"), "money"),
    ),
    order="-id",
)

_EXPORTED_SELECT: Final[LiteralString] = """
select v.id, a.account_no, c.customer_no, c.name, v.value_date, i.paid_on, i.payer_name, i.payer_account, i.title,
       case is_withdrawal when true then -v.amount else v.amount end as amount,
       case is_withdrawal when true then 'withdrawn' else 'payment' end as what
from (
    select account_id, id, false as is_withdrawal from payments.provisional where exported_in = $1
    union all
    select account_id, id, true from payments.provisional where withdrawal_exported_in = $1
) n
join payments.provisional v using (account_id, id)
join payments.incoming_part p on p.id = v.part
join payments.incoming i on i.id = p.line
join payments.account a on a.id = v.account_id
join kernel.customer c on c.id = a.customer"""

EXPORTED: Final = Listing(
    "payments.suspense_export",
    _EXPORTED_SELECT,
    (
        Column("id", _("Reference"), "number", sort="id"),
        Column("customer_no", _("Customer no.")),
        Column("account_no", _("Account no.")),
        Column("name", _("Customer")),
        Column("value_date", _("Day of receipt"), "date"),
        Column("amount", _("Amount"), "money", total=True),
        Column("paid_on", _("Day of payment"), "date"),
        Column("payer_name", _("Payer")),
        Column("payer_account", _("Payer's bank account")),
        Column("title", _("Title")),
        Column(
            "what",
            _("Kind"),
            "badge",
            badges={"payment": Badge(_("Payment")), "withdrawn": Badge(_("withdrawn"), "notice")},
        ),
    ),
    order="id",
    title_of="name",
)


async def exports(request: Request, query: ListQuery) -> Mapping[str, Any] | web.StreamResponse:
    """What was handed over to the billing application, and what waits for the next time."""
    waits = await store.to_export(request[CONN]) if query.format == "html" else None
    return await listed(request, EXPORTS, query, extra={"waits": waits})


async def export(request: Request) -> web.Response:
    """Hand over what the billing application has not had yet."""
    number = await store.export(request[CONN])
    return redirect(
        request, "payments.suspense_export", export=number, flash=_("The export is made. Download the file.")
    )


async def exported(request: Request, query: ListQuery) -> Mapping[str, Any] | web.StreamResponse:
    """The rows of one export, as often as they are wanted."""
    number = int(request.match_info["export"])
    made = await _made(request, number)
    return await listed(request, EXPORTED, query, args=[number], extra={"made": made})


async def _made(request: Request, number: int) -> Row:
    made = await store.export_of(request[CONN], number)
    if made is None:
        raise not_found()
    return made


def _today(request: Request) -> date:
    return request[SITE].clock.today()

"""What the ledger tells of a customer's days: charges, payments and what became of them, one line a day and kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final, LiteralString

from kernel import CONN, Happening, Money, Request, Row, Text, _, ngettext, short_date, url
from plugins.payments.model import KINDS

# One index steps from day to day, and then reads those days whole. $1: the customer, $2: the last day, $3: days.
TOLD_SQL: Final[LiteralString] = """
with recursive own as (
    select id from payments.account where customer = $1
), newest (counted_on, place) as (
    select max(e.counted_on), 1
    from own cross join lateral (
        select counted_on from payments.entry
        where account_id = own.id and state <> 'draft' and counted_on <= $2
        order by counted_on desc, id desc limit 1
    ) e
    union all
    select (
        select max(e.counted_on)
        from own cross join lateral (
            select counted_on from payments.entry
            where account_id = own.id and state <> 'draft' and counted_on < newest.counted_on
            order by counted_on desc, id desc limit 1
        ) e
    ), place + 1
    from newest where newest.counted_on is not null and place < $3
), day as (
    select counted_on from newest where counted_on is not null
)
select e.counted_on, e.side, e.kind, e.state, count(*) as times, sum(e.amount)::bigint as amount, min(e.id) as entry,
       min(e.title) as title, min(e.due_on) as due_on, max(c.customer_no) as customer_no
from day
join own on true
cross join lateral (
    select id, counted_on, side, kind, state, amount, title, due_on from payments.entry
    where account_id = own.id and counted_on = day.counted_on and state <> 'draft'
    offset 0
) e
cross join (select customer_no from kernel.customer where id = $1) c
group by e.counted_on, e.side, e.kind, e.state
order by e.counted_on desc, min(e.id) desc
"""
_CALLED: Final = {
    **dict.fromkeys(("fee", "settlement", "cost"), _("Charged")),
    "interest": _("Interest charged"),
}


async def timeline(request: Request, customer: int, until: date, days: int) -> Sequence[Happening]:
    """The days of a customer's accounts, each line with the address of its entry or, of several, of their list."""
    rows = await request[CONN].fetch(TOLD_SQL, customer, until, days)
    return [Happening(row["counted_on"], _told(row), _address(request, row)) for row in rows]


def _told(row: Row) -> Text:
    count, amount = row["times"], Money(row["amount"])
    kind = _CALLED.get(row["kind"], KINDS[row["kind"]])
    if row["state"] == "voided":
        return _("{kind}, voided: {what}", kind=kind, what=_much(row, count, amount))
    if row["side"] == "charge" and row["kind"] in ("fee", "settlement", "cost") and count == 1 and row["due_on"]:
        day = short_date(row["due_on"])
        return _("Charged: {title}, {amount}, due on {day}", title=row["title"], amount=amount, day=day)
    return _("{kind}: {what}", kind=kind, what=_much(row, count, amount))


def _much(row: Row, count: int, amount: Money) -> Text:
    if count > 1:
        return ngettext("{count} entry, together {amount}", "{count} entries, together {amount}", count, amount=amount)
    return _("{title}, {amount}", title=row["title"], amount=amount) if row["title"] else _("{amount}", amount=amount)


def _address(request: Request, row: Row) -> str:
    if row["times"] == 1:
        return url(request, "payments.entry", entry=row["entry"])
    day = row["counted_on"].isoformat()
    query = {name: row[name] for name in ("side", "kind", "state")} | {"customer": row["customer_no"]}
    return url(request, "payments.list", query={**query, "since": day, "until": day})

"""The past and the derivations, in SQL: what counted as of a day, as it was known at an instant, and what made it so.

*As of* a day: charges issued and credits valued by then. *As known on* an instant: entries approved by then and not yet
voided, allocations made by then and not yet released. An allocation stands between two entries that both count. What
was known at a past instant never changes: entries and allocations are only ever added, and ended with their time.
Amounts are grosze. ``known_on`` None: everything that is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, LiteralString

from kernel import Connection, Money, Row
from plugins.payments import model as ledger_rules
from plugins.payments.accrual.model import (
    Debt,
    Part,
    RatesUnknown,
    RateTable,
    RegimeUnknown,
    interest_of,
    regime_of,
)
from plugins.payments.accrual.store import BUNDLED, Regimes, read_tables
from plugins.payments.explain.model import (
    BUCKETS,
    Ageing,
    Borne,
    History,
    Item,
    Line,
    Met,
    Month,
    OwnAccount,
    Owner,
    Standing,
    Statement,
    Told,
)
from plugins.payments.face import Position, Side

SHOWN: Final = 100
"""Entries that an answer lists one by one; its sums are of all of them."""
LONGEST_STATEMENT: Final = 2000
"""Entries of a statement; a longer one is asked for in parts."""


@dataclass(frozen=True, slots=True)
class Whose:
    """A customer, or one account of theirs: another customer's account has nothing in it. The office names an account
    alone."""

    customer: int | None
    account: int | None = None


# --- how one customer or one account stands -------------------------------------------------------------------------

_PAST: Final[LiteralString] = """
with account as (
    select a.id, a.customer, c.consumer from payments.account a join kernel.customer c on c.id = a.customer
    where a.customer = coalesce($1::bigint, (select o.customer from payments.account o where o.id = $2))
      and ($2::bigint is null or a.id = $2)
), met as (  -- each end is looked up by its key: joined with one another, two histories would be multiplied
    select l.account_id, l.credit, l.charge, l.amount, l.rule
    from account a join payments.allocation l on l.account_id = a.id
    join payments.entry c on c.account_id = l.account_id and c.id = l.credit
    join payments.entry h on h.account_id = l.account_id and h.id = l.charge
    where l.created_at <= coalesce($5::timestamptz, 'infinity')
      and (l.released_at is null or l.released_at > coalesce($5::timestamptz, 'infinity'))
      and c.counted_on <= $3::date and c.approved_at <= coalesce($5::timestamptz, 'infinity')
      and (c.voided_at is null or c.voided_at > coalesce($5::timestamptz, 'infinity'))
      and h.counted_on <= $3::date and h.approved_at <= coalesce($5::timestamptz, 'infinity')
      and (h.voided_at is null or h.voided_at > coalesce($5::timestamptz, 'infinity'))
), remaining as (
    select account_id, id, sum(amount)::bigint as open, sum(lowered)::bigint as lowered from (
        select e.account_id, e.id, e.amount, 0 as lowered
        from account a join payments.entry e on e.account_id = a.id
        where e.state <> 'draft' and e.counted_on <= $3::date and e.approved_at <= coalesce($5::timestamptz, 'infinity')
          and (e.voided_at is null or e.voided_at > coalesce($5::timestamptz, 'infinity'))
        union all
        select account_id, credit, -amount, 0 from met
        union all
        select account_id, charge, -amount, case rule when 'correction' then amount else 0 end from met
    ) parts group by account_id, id having sum(amount) > 0
), item as (
    select e.*, r.open, r.lowered from remaining r join payments.entry e using (account_id, id)
)"""

_PRESENT: Final[LiteralString] = """
with account as (
    select a.id, a.customer, c.consumer from payments.account a join kernel.customer c on c.id = a.customer
    where a.customer = coalesce($1::bigint, (select o.customer from payments.account o where o.id = $2))
      and ($2::bigint is null or a.id = $2)
), item as (
    select e.*, e.open_amount as open, coalesce((
        select sum(l.amount) from payments.allocation l
        where l.account_id = e.account_id and l.charge = e.id and l.released_at is null and l.rule = 'correction'
    ), 0)::bigint as lowered
    from account a join payments.entry e on e.account_id = a.id and e.open_amount > 0
)"""

_STANDING: Final[LiteralString] = """, dated as (
    select i.*, coalesce(i.effective_due_on, i.counted_on) as due,
           i.side = 'charge' and a.consumer and coalesce(i.time_barred_on <= $3::date, false) as barred
    from item i join account a on a.id = i.account_id
), owed as (
    select d.*, case when side = 'credit' then 'credit' when barred then 'barred'
        when due >= $3::date then 'not_due' when due >= $3::date - 30 then 'to_30'
        when due >= $3::date - 60 then 'to_60' when due >= $3::date - 90 then 'to_90'
        when due >= $3::date - 180 then 'to_180' else 'over_180' end as place
    from dated d
), sums as (
    select a.id, coalesce(sum(case o.side when 'charge' then o.open else -o.open end), 0) as balance,
           coalesce(sum(o.open) filter (where o.place not in ('credit', 'barred') and o.due <= $3::date), 0) as due,
           coalesce(sum(o.open) filter (where o.place not in ('credit', 'barred', 'not_due')), 0) as arrears,
           coalesce(sum(o.open) filter (where o.place = 'credit'), 0) as credit,
           coalesce(sum(o.open) filter (where o.place = 'barred'), 0) as barred,
           min(o.due) filter (where o.place = 'not_due' and o.due > $3::date) as nearest
    from account a left join owed o on o.account_id = a.id
    group by a.id
), horizon as (  -- the day of what is to pay
    select case when bool_or(due > credit) then $3::date
        else coalesce(min(nearest), case when bool_or(due > 0) then $3::date end) end as day
    from sums
)
select h.day as to_pay_by,
       coalesce(sum(o.open) filter (where o.place = 'not_due'), 0)::bigint as not_due,
       coalesce(sum(o.open) filter (where o.place = 'to_30'), 0)::bigint as to_30,
       coalesce(sum(o.open) filter (where o.place = 'to_60'), 0)::bigint as to_60,
       coalesce(sum(o.open) filter (where o.place = 'to_90'), 0)::bigint as to_90,
       coalesce(sum(o.open) filter (where o.place = 'to_180'), 0)::bigint as to_180,
       coalesce(sum(o.open) filter (where o.place = 'over_180'), 0)::bigint as over_180,
       count(o.id) as items,
       (select coalesce(jsonb_agg(jsonb_build_object('entry', id, 'account', account_id, 'side', side, 'kind', kind,
            'title', title, 'document_no', document_no, 'counted_on', counted_on, 'due_on', due_on, 'due', due,
            'amount', amount, 'open', open, 'lowered', lowered, 'barred', barred) order by side, due, id), '[]')
        from (select * from owed order by side, due, id limit $4) shown) as shown,
       (select coalesce(jsonb_agg(jsonb_build_object('account', a.id, 'account_no', a.account_no, 'book', b.name,
            'balance', s.balance, 'due', s.due, 'arrears', s.arrears, 'credit', s.credit, 'barred', s.barred,
            'until', (select coalesce(sum(k.open), 0) from owed k
                where k.account_id = a.id and k.place not in ('credit', 'barred') and k.due <= h.day)
            ) order by b.id, a.id), '[]')
        from payments.account a join payments.book b on b.id = a.book left join sums s on s.id = a.id
        where a.customer = (select customer from account limit 1)) as accounts,
       (select jsonb_build_object('customer', c.id, 'customer_no', c.customer_no, 'customer_name', c.name)
        from kernel.customer c where c.id = (select customer from account limit 1)) as owner
from horizon h left join owed o on true
group by h.day"""

PAST_SQL: Final[LiteralString] = _PAST + _STANDING
PRESENT_SQL: Final[LiteralString] = _PRESENT + _STANDING


async def standing(conn: Connection, whose: Whose, on: date, *, limit: int = SHOWN) -> Standing:
    """How a customer or an account stands now, from the kept open amounts; ``on`` is today, for what is due."""
    return _standing(await conn.fetchrow(PRESENT_SQL, whose.customer, whose.account, on, limit), on)


async def standing_as_of(
    conn: Connection, whose: Whose, as_of: date, known_on: datetime | None = None, *, limit: int = SHOWN
) -> Standing:
    """How a customer or an account stood as of a day, as known on an instant: sums, what was open, ageing."""
    return _standing(await conn.fetchrow(PAST_SQL, whose.customer, whose.account, as_of, limit, known_on), as_of)


async def position_as_of(conn: Connection, whose: Whose, as_of: date, known_on: datetime | None = None) -> Position:
    """The position of a customer or an account as of a day, as known on an instant."""
    return (await standing_as_of(conn, whose, as_of, known_on, limit=0)).position


INTEREST_SQL: Final[LiteralString] = """
select payments.interest_tables() as tables,
       coalesce(jsonb_agg(jsonb_build_object('entry', e.id, 'kind', e.kind, 'title', e.title, 'due', e.effective_due_on,
           'open', e.amount - p.taken, 'parts', p.parts, 'regime', b.interest_regime,
           'contract_rate', b.contract_rate::text) order by e.effective_due_on, e.id), '[]') as debts
from payments.account a
join payments.book b on b.id = a.book
join kernel.customer o on o.id = a.customer
join payments.entry e on e.account_id = a.id
cross join lateral (
    select coalesce(sum(amount), 0) as taken,
           coalesce(jsonb_agg(jsonb_build_array(amount, until)) filter (where pays), '[]') as parts,
           coalesce(max(until) filter (where pays) > e.effective_due_on, false) as is_late
    from (
        select l.amount, l.rule not in ('correction', 'reversal') as pays,
               case when 'public' in (b.allocation_policy, b.interest_regime) then coalesce(c.paid_on, c.value_date)
                   else c.value_date end as until
        from payments.allocation l join payments.entry c on c.account_id = l.account_id and c.id = l.credit
        where l.account_id = e.account_id and l.charge = e.id and l.created_at <= coalesce($4::timestamptz, 'infinity')
          and (l.released_at is null or l.released_at > coalesce($4::timestamptz, 'infinity'))
          and c.counted_on <= $3::date and c.approved_at <= coalesce($4::timestamptz, 'infinity')
          and (c.voided_at is null or c.voided_at > coalesce($4::timestamptz, 'infinity'))
    ) each
) p
where a.customer = coalesce($1::bigint, (select x.customer from payments.account x where x.id = $2))
  and ($2::bigint is null or a.id = $2)
  and e.side = 'charge' and e.state <> 'draft' and e.counted_on <= $3::date and e.effective_due_on < $3::date
  and e.approved_at <= coalesce($4::timestamptz, 'infinity')
  and (e.voided_at is null or e.voided_at > coalesce($4::timestamptz, 'infinity'))
  and not (o.consumer and coalesce(e.time_barred_on <= $3::date, false))
  and (e.amount > p.taken or p.is_late)
"""


async def interest_as_of(
    conn: Connection,
    whose: Whose,
    as_of: date,
    known_on: datetime | None = None,
    *,
    foreign: Regimes = BUNDLED,
) -> Sequence[Borne]:
    """What charges had borne by a day, as known on an instant, notes not deducted; what is time-barred bears nothing.

    Rates are those of the table today. A charge whose rate or regime is not known is left out.
    """
    row = await conn.fetchrow(INTEREST_SQL, whose.customer, whose.account, as_of, known_on)
    assert row is not None  # noqa: S101  an aggregate has one row
    tables = read_tables(row["tables"])
    borne = [_borne(one, tables, as_of, foreign) for one in row["debts"]]
    return [one for one in borne if one is not None and one.interest.exact]


def _borne(one: Mapping[str, Any], tables: Mapping[str, RateTable], as_of: date, foreign: Regimes) -> Borne | None:
    parts = [Part(amount, date.fromisoformat(until)) for amount, until in one["parts"]]
    due = date.fromisoformat(one["due"])
    debt = Debt(one["kind"], due, (*parts, Part(one["open"])))
    rate = Decimal(one["contract_rate"]) if one["contract_rate"] else None
    try:
        regime = regime_of(one["regime"], foreign)
        return Borne(
            one["entry"], one["kind"], one["title"], due, interest_of(debt, as_of, regime, regime.rates(tables, rate))
        )
    except (RatesUnknown, RegimeUnknown):
        return None


# --- everybody ------------------------------------------------------------------------------------------------------

ARREARS_SQL: Final[LiteralString] = """
select account_id, total - barred as arrears, to_30, to_60, to_90, to_180, over_180 - barred as over_180, barred
from (
    select o.*, case when old > 0 and (  -- whatever may be time-barred is older than a year
               select c.consumer from payments.account a join kernel.customer c on c.id = a.customer
               where a.id = o.account_id
           ) then old else 0 end as barred
    from (
        select e.account_id, sum(e.open_amount)::bigint as total,
               coalesce(sum(e.open_amount) filter (where e.effective_due_on >= $1::date - 30), 0)::bigint as to_30,
               coalesce(sum(e.open_amount) filter (where e.effective_due_on between $1::date - 60 and $1::date - 31), 0
                   )::bigint as to_60,
               coalesce(sum(e.open_amount) filter (where e.effective_due_on between $1::date - 90 and $1::date - 61), 0
                   )::bigint as to_90,
               coalesce(sum(e.open_amount) filter (where e.effective_due_on between $1::date - 180 and $1::date - 91), 0
                   )::bigint as to_180,
               coalesce(sum(e.open_amount) filter (where e.effective_due_on < $1::date - 180), 0)::bigint as over_180,
               coalesce(sum(e.open_amount) filter (where e.time_barred_on <= $1::date), 0)::bigint as old
        from payments.entry e
        where e.side = 'charge' and e.open_amount > 0 and e.effective_due_on < $1::date
          and ($2::bigint is null or (select a.book from payments.account a where a.id = e.account_id) = $2)
        group by e.account_id
    ) o
) owed
order by account_id
"""


@dataclass(frozen=True, slots=True)
class Arrears:
    """What an account owes past its due date, by age; a consumer's time-barred charges apart."""

    ageing: Ageing
    barred: Money


async def arrears(conn: Connection, on: date, book: int | None = None) -> dict[int, Arrears]:
    """Everybody in arrears now, from the kept open amounts; ``on`` is today. Account → arrears."""
    rows = await conn.fetch(ARREARS_SQL, on, book)
    return {
        row["account_id"]: Arrears(
            Ageing(**{name: Money(row[name]) for name in BUCKETS if name != "not_due"}), Money(row["barred"])
        )
        for row in rows
    }


AGEING_SQL: Final[LiteralString] = """
with later as (
    select account_id, id, side from payments.entry where state = 'approved' and counted_on > $1::date
), moved as (  -- allocations of today that did not stand then, and those that stood then and were released since
    select l.account_id, l.id, l.credit, l.charge, l.amount
    from later e join payments.allocation l on l.account_id = e.account_id and l.credit = e.id
    where e.side = 'credit' and l.released_at is null
    union
    select l.account_id, l.id, l.credit, l.charge, l.amount
    from later e join payments.allocation l on l.account_id = e.account_id and l.charge = e.id
    where e.side = 'charge' and l.released_at is null
    union
    select l.account_id, l.id, l.credit, l.charge, l.amount
    from payments.allocation l
    where $2::timestamptz is not null and l.released_at is null and l.created_at > $2::timestamptz
    union
    select l.account_id, l.id, l.credit, l.charge, -l.amount
    from payments.allocation l
    join payments.entry c on c.account_id = l.account_id and c.id = l.credit
    join payments.entry h on h.account_id = l.account_id and h.id = l.charge
    where $2::timestamptz is not null and l.released_at > $2::timestamptz and l.created_at <= $2::timestamptz
      and c.counted_on <= $1::date and h.counted_on <= $1::date
), change as (
    select account_id, credit as id, amount from moved
    union all
    select account_id, charge, amount from moved
    union all
    select account_id, id, amount from payments.entry
    where $2::timestamptz is not null and state = 'voided' and voided_at > $2::timestamptz
    union all
    select account_id, id, open_amount from payments.entry where open_amount > 0
), open as (
    select account_id, id, sum(amount)::bigint as amount from change group by account_id, id having sum(amount) > 0
), by_day as (
    select o.account_id, e.side, coalesce(e.effective_due_on, e.counted_on) as due,
           e.side = 'charge' and c.consumer and coalesce(e.time_barred_on <= $1::date, false) as barred,
           sum(o.amount) as amount
    from open o
    join payments.entry e using (account_id, id)
    join payments.account a on a.id = o.account_id join kernel.customer c on c.id = a.customer
    where e.counted_on <= $1::date and e.approved_at <= coalesce($2::timestamptz, 'infinity')
      and (e.voided_at is null or e.voided_at > coalesce($2::timestamptz, 'infinity'))
      and ($3::bigint is null or a.book = $3)
    group by 1, 2, 3, 4
), placed as (
    select *, case when side = 'credit' then 'credit' when barred then 'barred'
        when due >= $1::date then 'not_due' when due >= $1::date - 30 then 'to_30'
        when due >= $1::date - 60 then 'to_60' when due >= $1::date - 90 then 'to_90'
        when due >= $1::date - 180 then 'to_180' else 'over_180' end as place,
        min(due) filter (where side = 'charge' and not barred and due > $1::date) over (partition by account_id)
            as nearest
    from by_day
)
select account_id, sum(case side when 'charge' then amount else -amount end)::bigint as balance,
       coalesce(sum(amount) filter (where place not in ('credit', 'barred') and due <= $1::date), 0)::bigint as due,
       coalesce(sum(amount) filter (where place not in ('credit', 'barred', 'not_due')), 0)::bigint as arrears,
       min(nearest) as nearest,
       coalesce(sum(amount) filter (where place not in ('credit', 'barred') and due = nearest), 0)::bigint
           as nearest_amount,
       coalesce(sum(amount) filter (where place = 'credit'), 0)::bigint as credit,
       coalesce(sum(amount) filter (where place = 'barred'), 0)::bigint as barred,
       coalesce(sum(amount) filter (where place = 'not_due'), 0)::bigint as not_due,
       coalesce(sum(amount) filter (where place = 'to_30'), 0)::bigint as to_30,
       coalesce(sum(amount) filter (where place = 'to_60'), 0)::bigint as to_60,
       coalesce(sum(amount) filter (where place = 'to_90'), 0)::bigint as to_90,
       coalesce(sum(amount) filter (where place = 'to_180'), 0)::bigint as to_180,
       coalesce(sum(amount) filter (where place = 'over_180'), 0)::bigint as over_180
from placed
group by account_id
order by account_id
"""


async def ageing_as_of(
    conn: Connection, as_of: date, known_on: datetime | None = None, book: int | None = None
) -> dict[int, Standing]:
    """Everybody who had something open as of a day, as known on an instant: account → sums and ageing.

    Set-based: it starts from what is open now and takes back what has changed since, so a recent day costs little.
    """
    rows = await conn.fetch(AGEING_SQL, as_of, known_on, book)
    return {row["account_id"]: _alone(row, as_of) for row in rows}


# --- histories ------------------------------------------------------------------------------------------------------

HISTORY_SQL: Final[LiteralString] = """
with counted as (
    select e.*
    from payments.account a join payments.entry e on e.account_id = a.id
    where a.customer = coalesce($1::bigint, (select o.customer from payments.account o where o.id = $2))
      and ($2::bigint is null or a.id = $2)
      and e.state <> 'draft'
      and e.counted_on <= coalesce($3::date, 'infinity') and e.approved_at <= coalesce($4::timestamptz, 'infinity')
      and (e.voided_at is null or e.voided_at > coalesce($4::timestamptz, 'infinity'))
), monthly as (
    select date_trunc('month', counted_on)::date as first, count(*) as entries,
           coalesce(sum(amount) filter (where side = 'charge'), 0)::bigint as charged,
           coalesce(sum(amount) filter (where side = 'credit'), 0)::bigint as credited
    from counted group by 1
)
select (select coalesce(jsonb_agg(m order by m.first), '[]') from monthly m) as months,
       (select coalesce(jsonb_agg(jsonb_build_object('entry', id, 'side', side, 'kind', kind, 'title', shown_title,
            'document_no', document_no, 'on', counted_on, 'amount', amount) order by counted_on, id), '[]')
        from (select c.*, payments.shown_title(e) as shown_title
              from (select * from counted where counted_on >= $5::date and counted_on < $5::date + interval '1 month'
                    order by counted_on, id limit $6) c
              join payments.entry e on e.account_id = c.account_id and e.id = c.id) shown) as lines
"""


async def history(
    conn: Connection,
    whose: Whose,
    *,
    as_of: date | None = None,
    known_on: datetime | None = None,
    month: date | None = None,
    limit: int = SHOWN,
) -> History:
    """A balance's months, and the entries of ``month`` (its first day), as of a day (None: everything approved)."""
    row = await conn.fetchrow(HISTORY_SQL, whose.customer, whose.account, as_of, known_on, month, limit)
    assert row is not None  # noqa: S101  two subqueries are one row
    months = tuple(
        Month(date.fromisoformat(one["first"]), Money(one["charged"]), Money(one["credited"]), one["entries"])
        for one in row["months"]
    )
    return History(months, tuple(_line(one) for one in row["lines"]))


STATEMENT_SQL: Final[LiteralString] = """
with counted as (
    select e.*
    from payments.account a join payments.entry e on e.account_id = a.id
    where a.customer = coalesce($1::bigint, (select o.customer from payments.account o where o.id = $2))
      and ($2::bigint is null or a.id = $2)
      and e.state <> 'draft'
      and e.counted_on <= $4::date and e.approved_at <= coalesce($5::timestamptz, 'infinity')
      and (e.voided_at is null or e.voided_at > coalesce($5::timestamptz, 'infinity'))
)
select coalesce(sum(case side when 'charge' then amount else -amount end)
           filter (where counted_on < $3::date), 0)::bigint as opening,
       coalesce(sum(amount) filter (where side = 'charge' and counted_on >= $3::date), 0)::bigint as charged,
       coalesce(sum(amount) filter (where side = 'credit' and counted_on >= $3::date), 0)::bigint as credited,
       count(*) filter (where counted_on >= $3::date) as entries,
       (select coalesce(jsonb_agg(jsonb_build_object('entry', id, 'side', side, 'kind', kind, 'title', shown_title,
            'document_no', document_no, 'on', counted_on, 'amount', amount) order by counted_on, id), '[]')
        from (select c.*, payments.shown_title(e) as shown_title
              from (select * from counted where counted_on >= $3::date
                    order by counted_on, id limit $6) c
              join payments.entry e on e.account_id = c.account_id and e.id = c.id) shown) as lines
from counted
"""


async def statement(
    conn: Connection, whose: Whose, since: date, until: date, known_on: datetime | None = None
) -> Statement:
    """The statement of a customer or an account for a period, as known on an instant."""
    row = await conn.fetchrow(STATEMENT_SQL, whose.customer, whose.account, since, until, known_on, LONGEST_STATEMENT)
    assert row is not None  # noqa: S101  an aggregate has one row
    return Statement(
        since,
        until,
        Money(row["opening"]),
        Money(row["charged"]),
        Money(row["credited"]),
        tuple(_line(one) for one in row["lines"]),
        row["entries"],
    )


# --- one entry ------------------------------------------------------------------------------------------------------

ENTRY_SQL: Final[LiteralString] = """
with told as (
    select e.*, payments.shown_title(e) as shown_title, a.customer, a.account_no, b.name as book,
           b.allocation_policy as policy, c.customer_no, c.name as customer_name, c.consumer
    from payments.entry e
    join payments.account a on a.id = e.account_id
    join payments.book b on b.id = a.book
    join kernel.customer c on c.id = a.customer
    where e.id = $1
), met as (
    select l.*, l.charge as other
    from told t join payments.allocation l on l.account_id = t.account_id and l.credit = t.id
    union all
    select l.*, l.credit from told t join payments.allocation l on l.account_id = t.account_id and l.charge = t.id
), living as (
    select * from met where released_at is null order by value_date, id limit $2
), gone as (
    select * from met where released_at is not null order by id desc limit 20
), shown as (
    select * from living union all select * from gone
)
select t.account_id as account, t.id as entry, t.side, t.kind, t.shown_title as title, t.document_no, t.state,
       t.amount, t.open_amount as open, t.counted_on, t.due_on, t.effective_due_on, t.time_barred_on, t.paid_on,
       t.reverses, t.corrects, t.bears_on, t.reason, t.void_reason, t.approved_at, t.voided_at,
       t.customer, t.customer_no, t.customer_name, t.consumer, t.account_no, t.book, t.policy,
       (select r.id from payments.entry r
        where r.account_id = t.account_id and r.reverses = t.id and r.state = 'approved') as reversed_by,
       (select coalesce(sum(amount), 0)::bigint from met where released_at is null) as met_sum,
       (select count(*) from met where released_at is null) as met_count,
       (select coalesce(jsonb_agg(jsonb_build_object('entry', o.id, 'side', o.side, 'kind', o.kind,
            'title', payments.shown_title(o), 'document_no', o.document_no, 'on', o.counted_on,
            'amount', s.amount, 'rule', s.rule, 'since', s.created_at, 'released_at', s.released_at)
            order by s.value_date, s.id), '[]')
        from shown s join payments.entry o on o.account_id = s.account_id and o.id = s.other) as met
from told t
"""


async def told(conn: Connection, entry: int, *, limit: int = SHOWN) -> Told | None:
    """An entry with what it met, or None."""
    row = await conn.fetchrow(ENTRY_SQL, entry, limit)
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    met = [_met(one) for one in values.pop("met")]
    values["side"] = Side(values["side"])
    for name in ("amount", "open", "met_sum"):
        values[name] = Money(values[name])
    return Told(
        **values,
        met=tuple(one for one in met if one.released_at is None),
        released=tuple(one for one in met if one.released_at is not None),
    )


ACCOUNT_SQL: Final[LiteralString] = """
select a.customer, a.account_no, b.name as book, c.customer_no, c.name as customer_name
from payments.account a join payments.book b on b.id = a.book join kernel.customer c on c.id = a.customer
where a.id = $1
"""


async def account(conn: Connection, number: int) -> Row | None:
    """Whose account this is, or None."""
    return await conn.fetchrow(ACCOUNT_SQL, number)


# --- rows -----------------------------------------------------------------------------------------------------------


def _standing(row: Row | None, on: date) -> Standing:
    assert row is not None  # noqa: S101  an aggregate has one row
    items = [_item(one) for one in row["shown"]]
    looked_at = [_account(one) for one in row["accounts"] if one["balance"] is not None]
    return Standing(
        position=ledger_rules.together(looked_at, row["to_pay_by"], on),
        due=Money(sum(one.until for one in looked_at)),
        ageing=_ageing(row),
        charges=tuple(item for item in items if item.side is Side.CHARGE),
        credits=tuple(item for item in items if item.side is Side.CREDIT),
        unlisted=row["items"] - len(items),
        accounts=tuple(
            OwnAccount(one["account"], one["account_no"], one["book"], Money(one["balance"] or 0))
            for one in row["accounts"]
        ),
        owner=Owner(**row["owner"]) if row["owner"] else None,
    )


def _account(one: Mapping[str, Any]) -> ledger_rules.Standing:
    return ledger_rules.Standing(
        due=one["due"],
        arrears=one["arrears"],
        until=one["until"],
        credit=one["credit"],
        barred=one["barred"],
        balance=one["balance"],
    )


def _alone(row: Row, on: date) -> Standing:
    """One account of everybody's."""
    if row["due"] > row["credit"] or row["nearest"] is None:
        by, until = (on if row["due"] else None), row["due"]
    else:
        by, until = row["nearest"], row["due"] + row["nearest_amount"]
    position = ledger_rules.together([_account({**row, "until": until})], by, on)
    return Standing(position, Money(until), _ageing(row))


def _ageing(row: Row) -> Ageing:
    return Ageing(**{name: Money(row[name]) for name in BUCKETS})


def _item(item: Mapping[str, Any]) -> Item:
    due_on: str | None = item["due_on"]
    return Item(
        entry=item["entry"],
        account=item["account"],
        side=Side(item["side"]),
        kind=item["kind"],
        title=item["title"],
        document_no=item["document_no"],
        counted_on=date.fromisoformat(item["counted_on"]),
        due_on=date.fromisoformat(due_on) if due_on else None,
        due=date.fromisoformat(item["due"]),
        amount=Money(item["amount"]),
        open=Money(item["open"]),
        lowered=Money(item["lowered"]),
        barred=item["barred"],
    )


def _line(line: Mapping[str, Any]) -> Line:
    return Line(
        entry=line["entry"],
        side=Side(line["side"]),
        kind=line["kind"],
        title=line["title"],
        document_no=line["document_no"],
        on=date.fromisoformat(line["on"]),
        amount=Money(line["amount"]),
    )


def _met(met: Mapping[str, Any]) -> Met:
    released: str | None = met["released_at"]
    return Met(
        entry=met["entry"],
        side=Side(met["side"]),
        kind=met["kind"],
        title=met["title"],
        document_no=met["document_no"],
        on=date.fromisoformat(met["on"]),
        amount=Money(met["amount"]),
        rule=met["rule"],
        since=datetime.fromisoformat(met["since"]),
        released_at=datetime.fromisoformat(released) if released else None,
    )

"""The figures of the console's first page: charged against collected by month, and arrears by age.

Reading them from the ledger takes as long as the ledger is large, so a job takes them every quarter of an hour; the
page reads one row and says of when it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, LiteralString

from kernel import Connection, DemoPlan, Job, Money, Row, Site, Stamp

EVERY: Final = timedelta(minutes=15)
MONTHS: Final = 12
RECENT: Final = 5
AGES: Final = ("to_30", "to_60", "to_90", "to_180", "over_180")


@dataclass(frozen=True, slots=True)
class Month:
    """What a month charged, and what came in. ``first`` is its first day."""

    first: date
    charged: Money
    collected: Money

    @property
    def last(self) -> date:
        return (self.first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Age:
    """Arrears of one age (``to_30`` … ``over_180``), and how many accounts have some."""

    name: str
    amount: Money
    accounts: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one instant, the earliest month first, the youngest arrears first."""

    taken_at: datetime
    months: tuple[Month, ...]
    ages: tuple[Age, ...]
    debtors: int

    @property
    def arrears(self) -> Money:
        return Money.total(age.amount for age in self.ages)


# What a reversal takes back is taken off where it stood; transfers and opening balances are nobody's work of a month.
TAKE_SQL: Final[LiteralString] = """
with month as (
    select first::date, (first + interval '1 month')::date as following
    from generate_series(date_trunc('month', $1::date) - make_interval(months => $3 - 1),
                         date_trunc('month', $1::date), interval '1 month') first
), moved as (
    select date_trunc('month', counted_on)::date as first,
           sum(case when side = 'charge' and kind in ('fee', 'settlement', 'interest', 'cost', 'correction') then amount
                    when side = 'credit' and kind in ('correction', 'reversal') then -amount else 0 end) as charged,
           sum(case when side = 'credit' and kind in ('payment', 'offset', 'benefit') then amount
                    when side = 'charge' and kind in ('reversal', 'refund') then -amount else 0 end) as collected
    from payments.entry
    where state = 'approved' and counted_on >= (select min(first) from month) and counted_on <= $1
    group by 1
), late as (
    select e.account_id, e.open_amount, ($1::date - e.effective_due_on) as days
    from payments.entry e
    join payments.account a on a.id = e.account_id join kernel.customer c on c.id = a.customer
    where e.side = 'charge' and e.open_amount > 0 and e.effective_due_on < $1
      and not (c.consumer and coalesce(e.time_barred_on <= $1, false))
), age (name, place, younger, older) as (
    values ('to_30', 1, 1, 30), ('to_60', 2, 31, 60), ('to_90', 3, 61, 90), ('to_180', 4, 91, 180),
           ('over_180', 5, 181, 2147483647)
)
insert into payments.overview (taken_at, figures)
select $2, jsonb_build_object(
    'months', (select jsonb_agg(jsonb_build_array(m.first, coalesce(v.charged, 0), coalesce(v.collected, 0))
                                order by m.first)
               from month m left join moved v using (first)),
    'ages', (select jsonb_agg(jsonb_build_array(a.name, s.amount, s.accounts) order by a.place)
             from age a cross join lateral (
                 select coalesce(sum(open_amount), 0) as amount, count(distinct account_id) as accounts
                 from late where days between a.younger and a.older
             ) s),
    'debtors', (select count(distinct account_id) from late)
)
on conflict (id) do update set taken_at = excluded.taken_at, figures = excluded.figures
"""


async def take(conn: Connection, on: date, at: datetime) -> None:
    """Take the figures of the day ``on`` at the instant ``at``; they replace those before."""
    await conn.execute(TAKE_SQL, on, at, MONTHS)


FIRST_PAGE_SQL: Final[LiteralString] = """
select o.taken_at, o.figures, (
    select jsonb_agg(to_jsonb(newest) order by newest.id desc) from (
        select e.id, e.kind, e.state, e.amount, e.counted_on, (
            select c.name from payments.account a join kernel.customer c on c.id = a.customer where a.id = e.account_id
        ) as name
        from payments.entry e
        order by e.id desc
        limit $1
    ) newest
) as recent
from (select) one left join payments.overview o on true
"""


async def first_page(conn: Connection) -> tuple[Figures | None, Sequence[Mapping[str, Any]]]:
    """The figures as they were last taken (None before the first time), and the newest entries."""
    row = await conn.fetchrow(FIRST_PAGE_SQL, RECENT)
    assert row is not None  # noqa: S101  a join from one row has one
    recent = [
        {**entry, "amount": Money(entry["amount"]), "counted_on": date.fromisoformat(entry["counted_on"])}
        for entry in row["recent"] or ()
    ]
    return _figures(row) if row["taken_at"] else None, recent


def _figures(row: Row) -> Figures:
    kept: Mapping[str, Any] = row["figures"]
    return Figures(
        row["taken_at"],
        tuple(
            Month(date.fromisoformat(first), Money(charged), Money(collected))
            for first, charged, collected in kept["months"]
        ),
        tuple(Age(name, Money(amount), accounts) for name, amount, accounts in kept["ages"]),
        kept["debtors"],
    )


async def refresh(site: Site, payload: Mapping[str, Any]) -> None:
    """The job: take the figures of today."""
    async with site.db.transaction(Stamp("worker")) as conn:
        await take(conn, site.clock.today(), site.clock.now())


async def fill(site: Site, conn: Connection, plan: DemoPlan) -> tuple[()]:
    """The demonstration has its figures from the start."""
    await take(conn, site.clock.today(), site.clock.now())
    return ()


JOBS: Final = (Job("payments.overview", refresh, every=EVERY),)

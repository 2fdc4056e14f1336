"""The SQL of the payments desk: bundles with their rows, whom a row is for, and what looks like the same payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, LiteralString

from kernel import Connection, Money, Row, Text, audit
from plugins.payments.desk.model import untouchable
from plugins.payments.store import Key
from plugins.payments.till import model
from plugins.payments.till.model import Bundle

RECENT: Final = timedelta(days=7)
"""How long a booked payment may still be the one that somebody enters again."""

# --- bundles --------------------------------------------------------------------------------------------------------

BEGIN_SQL: Final[LiteralString] = """
with held as (select pg_advisory_xact_lock(hashtextextended('payments.till_bundle', 0)))
insert into payments.till_bundle (day, number, expected_count, expected_sum)
select $1, coalesce((select max(b.number) from payments.till_bundle b where b.day = $1), 0) + 1, $2, $3 from held
returning id, number
"""


async def begin(conn: Connection, day: date, expected_count: int | None, expected_sum: Money | None) -> int:
    """Begin a bundle of a day, the next by number; audited. Its id."""
    row = await conn.fetchrow(BEGIN_SQL, day, expected_count, expected_sum.grosze if expected_sum else None)
    assert row is not None  # noqa: S101  an insert that returns
    await audit(conn, "payments.bundle_begun", subject=f"bundle {row['id']}", bundle=f"{day:%d.%m.%Y}/{row['number']}")
    return row["id"]


EXPECT_SQL: Final[LiteralString] = """
update payments.till_bundle set expected_count = $2, expected_sum = $3 where id = $1 returning id
"""
EXPLAIN_SQL: Final[LiteralString] = "update payments.till_bundle set difference_reason = $2 where id = $1"


async def expect(conn: Connection, bundle: int, count: int | None, total: Money | None) -> bool:
    """Say what the slips in hand come to. False: there is no such bundle."""
    return await conn.fetchval(EXPECT_SQL, bundle, count, total.grosze if total else None) is not None


async def explain(conn: Connection, bundle: Bundle, why: str) -> None:
    """Keep why payments of a bundle were approved although it differs from the slips; audited."""
    await conn.execute(EXPLAIN_SQL, bundle.id, why)
    await audit(
        conn,
        "payments.bundle_differs",
        subject=f"bundle {bundle.id}",
        bundle=bundle.label,
        difference=bundle.missing,
        rows=bundle.missing_count,
        why=why,
    )


BUNDLES_SQL: Final[LiteralString] = """
select b.id, b.day, b.number, b.expected_count, b.expected_sum, b.difference_reason, b.created_at,
       coalesce(nullif(author.name, ''), author.login, b.created_by) as author,
       (select coalesce(jsonb_agg(jsonb_build_object('place', r.place, 'entry', e.id, 'account', e.account_id,
            'account_no', a.account_no, 'customer', a.customer, 'customer_no', c.customer_no, 'name', c.name,
            'kind', e.kind, 'amount', e.amount, 'day', e.value_date, 'title', e.title, 'document_no', e.document_no,
            'channel', e.channel, 'created_by', e.created_by,
            'author', coalesce(nullif(w.name, ''), w.login, e.created_by),
            'approver', coalesce(nullif(p.name, ''), p.login, e.approved_by, ''),
            'state', case when e.state = 'approved' and exists (
                    select from payments.entry k
                    where k.account_id = e.account_id and k.reverses = e.id and k.state = 'approved')
                then 'reversed' else e.state end) order by r.place), '[]')
        from payments.till_row r
        join payments.entry e on e.account_id = r.account_id and e.id = r.entry
        join payments.account a on a.id = e.account_id
        join kernel.customer c on c.id = a.customer
        left join kernel.users w on w.id = case when e.created_by ~ '^[0-9]{1,18}$' then e.created_by::bigint end
        left join kernel.users p on p.id = case when e.approved_by ~ '^[0-9]{1,18}$' then e.approved_by::bigint end
        where r.bundle = b.id) as rows
from payments.till_bundle b
left join kernel.users author
  on author.id = case when b.created_by ~ '^[0-9]{1,18}$' then b.created_by::bigint end
where b.id = $1 or b.day = $2
order by b.day, b.number
"""


async def bundle(conn: Connection, number: int) -> Bundle | None:
    """A bundle with its rows, or None."""
    row = await conn.fetchrow(BUNDLES_SQL, number, None)
    return _bundle(row) if row else None


async def bundles_of(conn: Connection, day: date) -> list[Bundle]:
    """The bundles of a day with their rows, by number."""
    return [_bundle(row) for row in await conn.fetch(BUNDLES_SQL, None, day)]


def _bundle(row: Row) -> Bundle:
    return Bundle(
        id=row["id"],
        day=row["day"],
        number=row["number"],
        expected_count=row["expected_count"],
        expected_sum=None if row["expected_sum"] is None else Money(row["expected_sum"]),
        difference_reason=row["difference_reason"],
        author=row["author"],
        created_at=row["created_at"],
        rows=tuple(_row(one) for one in row["rows"]),
    )


def _row(one: Mapping[str, Any]) -> model.Row:
    values: dict[str, Any] = dict(one)
    values["amount"] = Money(values["amount"])
    values["day"] = date.fromisoformat(values["day"])
    return model.Row(**values)


# --- rows -----------------------------------------------------------------------------------------------------------

HOLD_SQL: Final[LiteralString] = "select id from payments.till_bundle where id = $1 for no key update"
ADD_ROW_SQL: Final[LiteralString] = """
insert into payments.till_row (account_id, entry, bundle, place)
select $1, $2, $3, coalesce($4, (select max(r.place) from payments.till_row r where r.bundle = $3) + 1, 1)
"""


async def hold(conn: Connection, number: int) -> bool:
    """Let nobody else add to a bundle until the transaction ends. False: there is no such bundle."""
    return await conn.fetchval(HOLD_SQL, number) is not None


async def add_row(conn: Connection, bundle: int, key: Key, place: int | None = None) -> None:
    """Put a draft into a bundle: at its end, or in the place of one that has just been taken out."""
    await conn.execute(ADD_ROW_SQL, key.account, key.entry, bundle, place)


# --- whom a row is for ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A customer with an account that a payment may be for; without one it is opened when the payment is entered.
    ``owed`` is what is open less what is overpaid, ``due`` of it by today; grosze."""

    customer: int
    customer_no: str
    name: str
    address: str
    account: int | None
    account_no: str
    book: str
    point: str
    balance: int
    due: int
    untouchable: Text | None
    exact: bool


FIND_SQL: Final[LiteralString] = """
with hit (customer, account, rank) as (
    select c.id, null::bigint, 0 from kernel.customer c where c.customer_no = $1
    union all
    select a.customer, a.id, 0 from payments.account a where a.account_no = $1
    union all
    select a.customer, a.id, 0 from payments.account a where a.virtual_account = replace($1, ' ', '')
    union all
    (select c.id, null, 1 from kernel.customer c
     where length($1) > 1 and kernel.pl_sort(c.name) collate "C" >= kernel.pl_sort($1)
       and kernel.pl_sort(c.name) collate "C" < kernel.pl_sort($1) || chr(1114111)
     order by kernel.pl_sort(c.name) collate "C" limit $4)
    union all
    select h.id, null, 2 from unnest($2::bigint[]) h (id)
    union all
    select a.customer, a.id, 1 from payments.account a where a.id = $5
), who as (
    select customer, account, min(rank) as rank from hit group by customer, account
)
select c.id as customer, c.customer_no, c.name,
       concat_ws(', ', nullif(concat_ws(' ', nullif(c.street, ''), nullif(concat_ws('/', nullif(c.building, ''),
           nullif(c.flat, '')), '')), ''), nullif(c.city, '')) as address,
       a.id as account, coalesce(a.account_no, '') as account_no, coalesce(b.name, '') as book,
       coalesce(p.code, '') as point, coalesce(k.balance, 0) as balance, coalesce(d.due, 0)::bigint as due,
       coalesce(b.is_mirror, false) as is_mirror, coalesce(a.closed_on is not null, false) as is_closed,
       c.status = 'closed' as customer_closed, w.rank = 0 as exact
from (
    select w.* from who w join kernel.customer s on s.id = w.customer
    order by w.rank > 0, s.status = 'closed', w.rank, w.customer limit $4
) w
join kernel.customer c on c.id = w.customer
left join payments.account a on a.customer = c.id and a.deleted_at is null and a.id = coalesce(w.account, a.id)
left join payments.book b on b.id = a.book
left join kernel.service_point p on p.id = a.service_point
left join payments.account_balance k on k.account_id = a.id
left join lateral (
    select sum(case e.side when 'charge' then e.open_amount else -e.open_amount end) as due
    from payments.entry e
    where e.account_id = a.id and e.open_amount > 0 and (e.side = 'credit' or e.effective_due_on <= $3)
) d on true
order by w.rank > 0, c.status = 'closed', w.rank, kernel.pl_sort(c.name) collate "C", c.id, a.closed_on nulls first,
         a.id
limit $4
"""


async def find(
    conn: Connection, text: str, hits: Sequence[int], today: date, limit: int, account: int | None = None
) -> list[Found]:
    """Accounts that ``text`` may mean: the number of a customer or an account, an own bank account number, the
    beginning of a name; those of the customers ``hits``, and ``account``. What is exact comes first."""
    rows = await conn.fetch(FIND_SQL, text, list(hits), today, limit, account)
    seen: set[tuple[int, int | None]] = set()
    found: list[Found] = []
    for row in rows:
        if (row["customer"], row["account"]) not in seen:
            seen.add((row["customer"], row["account"]))
            found.append(_found(row))
    return found


def _found(row: Row) -> Found:
    values: dict[str, Any] = dict(row)
    stopped = untouchable(
        is_mirror=values.pop("is_mirror"),
        is_closed=values.pop("is_closed"),
        customer_closed=values.pop("customer_closed"),
        name=row["name"],
    )
    return Found(**values, untouchable=stopped)


# --- what looks the same --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Twin:
    """A payment that looks like the one about to be entered. ``bundle`` is where it was typed, if at a desk."""

    entry: int
    amount: Money
    day: date
    title: str
    document_no: str
    state: str
    bundle: str


TWINS_SQL: Final[LiteralString] = """
select e.id as entry, e.amount, e.value_date as day, e.title, e.document_no, e.state,
       coalesce(to_char(b.day, 'DD.MM.YYYY') || '/' || b.number, '') as bundle
from (
    select d.* from payments.entry d where d.account_id = $1 and d.state = 'draft'
    union all
    select d.* from payments.entry d
    where d.account_id = $1 and d.state = 'approved' and d.counted_on >= least($3::date, $6::date)
      and d.booked_on >= $6::date
) e
left join payments.till_row r on r.account_id = e.account_id and r.entry = e.id
left join payments.till_bundle b on b.id = r.bundle
where e.side = 'credit' and e.kind in ('payment', 'benefit', 'offset') and e.id is distinct from $7
  and (e.amount = $2 and (e.value_date = $3 or lower(e.title) = lower($4) and $4 <> '')
       or $5 <> '' and e.document_no = $5)
  and not exists (
    select from payments.entry k where k.account_id = e.account_id and k.reverses = e.id and k.state = 'approved')
order by e.id desc
limit 5
"""


async def twins(
    conn: Connection,
    account: int,
    amount: Money,
    day: date,
    title: str,
    document_no: str,
    today: date,
    but: int | None = None,
) -> list[Twin]:
    """Payments on an account that look like this one: the same amount with the same day or (typed) title, or the same
    document; drafts, and what was booked within the last week. ``but``: not this entry."""
    rows = await conn.fetch(TWINS_SQL, account, amount.grosze, day, title, document_no, today - RECENT, but)
    return [_twin(row) for row in rows]


def _twin(row: Row) -> Twin:
    values: dict[str, Any] = dict(row)
    values["amount"] = Money(values["amount"])
    return Twin(**values)

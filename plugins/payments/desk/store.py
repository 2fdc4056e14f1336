"""The SQL of the office's desk: one account whole, transfers, what surrounds an entry, drafts chosen by filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Final, LiteralString

from kernel import Connection, Money, Row, Text, _, audit
from plugins.payments import model as rules
from plugins.payments import store
from plugins.payments.desk.model import Account, Charge, Credit, Deleted, Waiting, untouchable
from plugins.payments.face import Side
from plugins.payments.refusing import refusing
from plugins.payments.store import Entry, Key
from plugins.payments.suspense import store as suspense

REFUSALS: Final[Mapping[str, Text]] = {
    "beyond_credit": _("Less is overpaid now than this would pay out. Delete the draft and look at the account again."),
    "beyond_open": _("Less is open of this charge now than this would take away. Delete the draft and enter it again."),
    "transfer_halved": _("The two entries of a transfer can only be approved, reversed or voided together."),
    "transfer_to_itself": _("Choose another account than this one."),
}
"""What the desk's part of the database refuses (constraint names), in words."""


refusals: Final = partial(refusing, REFUSALS)


# --- one account ----------------------------------------------------------------------------------------------------

ACCOUNT_SQL: Final[LiteralString] = """
select a.id, a.account_no, a.opened_on, a.closed_on, a.deleted_at, a.delete_reason,
       coalesce(deleter.name, a.deleted_by) as deleted_by, coalesce(a.virtual_account, '') as virtual_account,
       a.customer, c.customer_no, c.name as customer_name, c.status as customer_status, b.name as book, b.is_mirror,
       coalesce(p.code || coalesce(', ' || nullif(concat_ws(' ', nullif(p.street, ''), nullif(p.building, '')), '')
           || case p.flat when '' then '' else '/' || p.flat end, ''), '') as point,
       coalesce(k.charged, 0)::bigint as charged, coalesce(k.credited, 0)::bigint as credited,
       coalesce(k.balance, 0)::bigint as balance,
       o.due, o.arrears, o.credit, o.nearest, o.nearest_amount, o.late_since, o.barred, o.charge_count, o.credit_count,
       (select coalesce(sum(v.amount), 0)::bigint from payments.provisional v
        where b.is_mirror and v.account_id = a.id and v.replaced_by is null and v.withdrawn_at is null) as provisional,
       coalesce(i.charges, '[]') as charges, coalesce(f.credits, '[]') as credits,
       coalesce(d.drafts, '[]') as drafts, n.draft_count
from payments.account a
join kernel.customer c on c.id = a.customer
join payments.book b on b.id = a.book
left join kernel.service_point p on p.id = a.service_point
left join kernel.users deleter on deleter.id = case when a.deleted_by ~ '^[0-9]{1,18}$' then a.deleted_by::bigint end
left join payments.account_balance k on k.account_id = a.id
cross join lateral (
    select coalesce(sum(amount) filter (where not barred and effective_due_on <= $2), 0)::bigint as due,
           coalesce(sum(amount) filter (where not barred and effective_due_on < $2), 0)::bigint as arrears,
           coalesce(sum(amount) filter (where side = 'credit'), 0)::bigint as credit,
           coalesce(sum(amount) filter (where barred), 0)::bigint as barred,
           min(effective_due_on) filter (where side = 'charge' and not barred) as nearest,
           coalesce((array_agg(amount order by effective_due_on) filter (where side = 'charge' and not barred))[1],
               0)::bigint as nearest_amount,
           min(effective_due_on) filter (where side = 'charge' and not barred and effective_due_on < $2) as late_since,
           coalesce(sum(entries) filter (where side = 'charge'), 0)::bigint as charge_count,
           coalesce(sum(entries) filter (where side = 'credit'), 0)::bigint as credit_count
    from (
        select e.side, e.effective_due_on, c.consumer and e.side = 'charge' and coalesce(e.time_barred_on <= $2, false)
                   as barred,
               sum(e.open_amount) as amount, count(*) as entries
        from payments.entry e where e.account_id = a.id and e.open_amount > 0
        group by 1, 2, 3
    ) by_day
) o
cross join lateral (
    select jsonb_agg(jsonb_build_object('id', e.id, 'kind', e.kind, 'title', e.title, 'document_no', e.document_no,
               'period', e.period, 'issued_on', e.issued_on, 'due_on', coalesce(e.due_on, e.issued_on),
               'effective_due_on', coalesce(e.effective_due_on, e.issued_on), 'amount', e.amount, 'open', e.open_amount,
               'barred', c.consumer and coalesce(e.time_barred_on <= $2, false), 'corrected', coalesce((
                   select sum(l.amount) from payments.allocation l
                   where l.account_id = e.account_id and l.charge = e.id and l.released_at is null
                     and l.rule = 'correction'), 0)) order by e.effective_due_on, e.id) as charges
    from (
        select e.* from payments.entry e
        where e.account_id = a.id and e.side = 'charge' and e.open_amount > 0
        order by e.effective_due_on, e.id
        limit $3
    ) e
) i
cross join lateral (
    select jsonb_agg(jsonb_build_object('id', e.id, 'kind', e.kind, 'title', e.title, 'on', e.value_date,
               'amount', e.amount, 'open', e.open_amount) order by e.value_date, e.id) as credits
    from (
        select e.* from payments.entry e
        where e.account_id = a.id and e.side = 'credit' and e.open_amount > 0
        order by e.effective_due_on, e.id
        limit $3
    ) e
) f
cross join lateral (
    select jsonb_agg(jsonb_build_object('id', e.id, 'side', e.side, 'kind', e.kind, 'title', e.title,
               'on', e.counted_on, 'amount', e.amount) order by e.id desc) as drafts
    from (
        select e.* from payments.entry e where e.account_id = a.id and e.state = 'draft' order by e.id desc limit 10
    ) e
) d
cross join lateral (
    select count(*) as draft_count from payments.entry e where e.account_id = a.id and e.state = 'draft'
) n
where a.id = $1
"""


async def account(conn: Connection, number: int, on: date, limit: int) -> Account | None:
    """An account with its figures on a day, its first ``limit`` open charges and credits, and its newest drafts."""
    row = await conn.fetchrow(ACCOUNT_SQL, number, on, limit)
    return _account(row, on) if row else None


def _account(row: Row, on: date) -> Account:
    plain: dict[str, Any] = {
        name: row[name]
        for name in (
            "id", "account_no", "opened_on", "closed_on", "virtual_account", "customer", "customer_no",
            "customer_name", "customer_status", "book", "is_mirror", "point", "late_since", "charge_count",
            "credit_count", "draft_count",
        )
    }  # fmt: skip
    return Account(
        **plain,
        position=rules.owed(
            due=row["due"],
            arrears=row["arrears"],
            nearest=row["nearest"],
            nearest_amount=row["nearest_amount"],
            credit=row["credit"],
            balance=row["balance"],
            on=on,
        ),
        deleted=Deleted(row["deleted_by"], row["deleted_at"], row["delete_reason"]) if row["deleted_at"] else None,
        barred=Money(row["barred"]),
        provisional=Money(row["provisional"]),
        charged=Money(row["charged"]),
        credited=Money(row["credited"]),
        charges=tuple(_charge(charge, on) for charge in row["charges"]),
        credits=tuple(_credit(credit) for credit in row["credits"]),
        drafts=tuple(_waiting(draft) for draft in row["drafts"]),
    )


def _charge(charge: Mapping[str, Any], on: date) -> Charge:
    effective_due_on = date.fromisoformat(charge["effective_due_on"])
    return Charge(
        id=charge["id"],
        kind=charge["kind"],
        title=charge["title"],
        document_no=charge["document_no"],
        period=charge["period"],
        issued_on=date.fromisoformat(charge["issued_on"]),
        due_on=date.fromisoformat(charge["due_on"]),
        effective_due_on=effective_due_on,
        amount=Money(charge["amount"]),
        open=Money(charge["open"]),
        status=rules.status_of(
            Side.CHARGE,
            amount=charge["amount"],
            open_amount=charge["open"],
            effective_due_on=effective_due_on,
            on=on,
            corrected=charge["corrected"],
        ),
        barred=charge["barred"],
    )


def _credit(credit: Mapping[str, Any]) -> Credit:
    return Credit(
        credit["id"],
        credit["kind"],
        credit["title"],
        date.fromisoformat(credit["on"]),
        Money(credit["amount"]),
        Money(credit["open"]),
    )


def _waiting(draft: Mapping[str, Any]) -> Waiting:
    return Waiting(
        draft["id"],
        draft["side"],
        draft["kind"],
        draft["title"],
        date.fromisoformat(draft["on"]),
        Money(draft["amount"]),
    )


# --- which account is meant -----------------------------------------------------------------------------------------

CALLED_SQL: Final[LiteralString] = """
select distinct a.id, a.account_no, b.name as book, a.customer, c.customer_no, c.name as customer_name,
       coalesce(p.code, '') as point, b.is_mirror, a.closed_on is not null as is_closed,
       c.status = 'closed' as customer_closed
from (
    select a.id from kernel.customer c join payments.account a on a.customer = c.id where c.customer_no = $1
    union all
    select a.id from payments.book b join payments.account a on a.book = b.id and a.account_no = $1
    union all
    select a.id from payments.account a where a.virtual_account = replace($1, ' ', '')
) found
join payments.account a on a.id = found.id
join kernel.customer c on c.id = a.customer
join payments.book b on b.id = a.book
left join kernel.service_point p on p.id = a.service_point
where a.deleted_at is null
order by c.customer_no, a.id
limit 30
"""


@dataclass(frozen=True, slots=True)
class Named:
    """An account by its names, and whether anything can be entered on it."""

    id: int
    account_no: str
    book: str
    customer: int
    customer_no: str
    customer_name: str
    point: str
    is_mirror: bool
    is_closed: bool
    customer_closed: bool

    @property
    def untouchable(self) -> Text | None:
        """Why nothing can be entered here, or None."""
        return untouchable(
            is_mirror=self.is_mirror,
            is_closed=self.is_closed,
            customer_closed=self.customer_closed,
            name=self.customer_name,
        )

    @property
    def label(self) -> str:
        """The account in one line, for a choice among several."""
        return " · ".join(part for part in (self.customer_name, self.book, self.point, self.account_no) if part)


async def called(conn: Connection, text: str) -> list[Named]:
    """Accounts that a customer's number, an account's number or an own bank account number stands for."""
    return [Named(**dict(row)) for row in await conn.fetch(CALLED_SQL, text)]


# --- transfers ------------------------------------------------------------------------------------------------------

ADD_TRANSFER_SQL: Final[LiteralString] = """
insert into payments.transfer (kind, from_account, from_entry, to_account, to_entry, amount, reason)
values ($1, $2, $3, $4, $5, $6, $7)
returning id
"""


async def add_transfer(conn: Connection, kind: str, from_key: Key, to_key: Key, amount: Money, reason: str) -> int:
    """Tie two entries together; the transfer's number. Raises Refused when they are on one account."""
    with refusals():
        return await conn.fetchval(
            ADD_TRANSFER_SQL,
            kind,
            from_key.account,
            from_key.entry,
            to_key.account,
            to_key.entry,
            amount.grosze,
            reason,
        )


COUNTERPARTS_SQL: Final[LiteralString] = """
select t.kind, t.to_account as account_id, t.to_entry as id
from unnest($1::bigint[], $2::bigint[]) named (account_id, id)
join payments.transfer t on t.from_account = named.account_id and t.from_entry = named.id
union
select t.kind, t.from_account, t.from_entry
from unnest($1::bigint[], $2::bigint[]) named (account_id, id)
join payments.transfer t on t.to_account = named.account_id and t.to_entry = named.id
"""
REVERSED_TOGETHER_SQL: Final[LiteralString] = """
with undone as (
    select e.account_id, e.reverses as id
    from unnest($1::bigint[], $2::bigint[]) named (account_id, id) join payments.entry e using (account_id, id)
    where e.reverses is not null
)
select r.account_id, r.id
from (
    select t.to_account as account_id, t.to_entry as id
    from undone u join payments.transfer t on t.from_account = u.account_id and t.from_entry = u.id
    where t.kind = 'transfer'
    union
    select t.from_account, t.from_entry
    from undone u join payments.transfer t on t.to_account = u.account_id and t.to_entry = u.id
    where t.kind = 'transfer'
) other
join payments.entry r on r.account_id = other.account_id and r.reverses = other.id and r.state = 'draft'
"""
HALVES_SQL: Final[LiteralString] = "set constraints payments.check_transfer immediate"
LATER_SQL: Final[LiteralString] = "set constraints payments.check_transfer deferred"


async def counterparts(conn: Connection, keys: Sequence[Key], *, moved: bool = True) -> list[Key]:
    """The other halves of the transfers among ``keys``; ``moved`` says whether those of moved payments as well."""
    rows = await conn.fetch(COUNTERPARTS_SQL, [key.account for key in keys], [key.entry for key in keys])
    return [Key(row["account_id"], row["id"]) for row in rows if moved or row["kind"] == "transfer"]


CHECK_DRAFTS_SQL: Final[LiteralString] = "select payments.check_drafts($1::bigint[], $2::bigint[])"
GIVEN_UP_SQL: Final[LiteralString] = """
select e.account_id, e.id, d.charge, e.amount - coalesce(sum(l.amount), 0)::bigint as amount
from unnest($1::bigint[], $2::bigint[]) named (account_id, id)
join payments.entry e using (account_id, id)
join payments.designation d on d.account_id = e.account_id and d.credit = e.id and d.place = 1
left join payments.allocation l
  on l.account_id = e.account_id and l.credit = e.id and l.charge = d.charge and l.released_at is null
where e.state = 'approved' and e.kind in ('remission', 'write_off', 'transfer')
group by e.account_id, e.id, d.charge, e.amount
having e.amount > coalesce(sum(l.amount), 0)
"""
MOVED_SQL: Final[LiteralString] = """
select t.from_account, r.reverses, t.to_account, t.to_entry
from unnest($1::bigint[], $2::bigint[]) named (account_id, id)
join payments.transfer t on t.to_account = named.account_id and t.to_entry = named.id and t.kind = 'moved'
join payments.entry r on r.account_id = t.from_account and r.id = t.from_entry
"""


async def approve(conn: Connection, keys: Sequence[Key], today: date) -> list[Key]:
    """``store.approve`` for the office: halves of transfers go together; nothing beyond what is free or open.

    What gives a debt up stays with the charge it names, also where the book's policy heeds no wish; a bank line follows
    its payment to the right account. Raises Refused.
    """
    if not keys:
        return []
    together = await conn.fetch(REVERSED_TOGETHER_SQL, [key.account for key in keys], [key.entry for key in keys])
    reversals = [Key(row["account_id"], row["id"]) for row in together]
    keys = list(dict.fromkeys((*keys, *await counterparts(conn, keys), *reversals)))
    with refusals():
        await conn.execute(CHECK_DRAFTS_SQL, [key.account for key in keys], [key.entry for key in keys])
        approved = await store.approve(conn, keys, today)
        await conn.execute(HALVES_SQL)
        await conn.execute(LATER_SQL)
    given_up = await conn.fetch(GIVEN_UP_SQL, [key.account for key in keys], [key.entry for key in keys])
    for row in given_up:
        await store.pin(conn, Key(row["account_id"], row["id"]), row["charge"], Money(row["amount"]), "")
    for row in await conn.fetch(MOVED_SQL, [key.account for key in approved], [key.entry for key in approved]):
        right = Key(row["to_account"], row["to_entry"])
        await suspense.moved(conn, Key(row["from_account"], row["reverses"]), right)
    return approved


async def reverse(conn: Connection, found: Entry, reason: str, today: date, *, at_once: bool) -> None:
    """``store.reverse`` for the office: of a transfer both entries, so that both accounts are as before.

    Not ``at_once``: the reversals are drafts for somebody else to approve. Raises Refused.
    """
    others = [await store.entry(conn, key.entry) for key in await counterparts(conn, [found.key], moved=False)]
    halves = [found, *(other for other in others if other is not None and other.reversed_by is None)]
    # Both accounts before either book: everybody else who posts goes in this order too.
    await store.hold(conn, [half.account_id for half in halves])
    for half in halves:
        if at_once:
            await store.reverse(conn, half, reason, today)
            continue
        for key in await store.draft_reversals(conn, [half.key], reason, today):
            await audit(
                conn,
                "payments.entered",
                customer=half.customer,
                subject=f"entry {key.entry}",
                entry=key.entry,
                kind="reversal",
                amount=half.amount,
            )


async def void(conn: Connection, found: Entry, reason: str) -> None:
    """``store.void`` for the office: of a transfer both entries."""
    others = await counterparts(conn, [found.key])
    await store.hold(conn, [found.account_id, *(key.account for key in others)])
    await store.void(conn, found, reason)
    for key in others:
        other = await store.entry(conn, key.entry)
        if other is not None and other.state == "approved":
            await store.void(conn, other, reason)


# --- manual allocation ----------------------------------------------------------------------------------------------

BOARD_SQL: Final[LiteralString] = """
select a.account_no, b.name as book,
       (select jsonb_agg(jsonb_build_object('id', l.id, 'entry', h.id, 'kind', h.kind, 'title', h.title,
            'document_no', h.document_no, 'on', h.counted_on, 'amount', l.amount, 'rule', l.rule, 'pinned', l.pinned,
            'created_at', l.created_at, 'released_at', l.released_at) order by l.id)
        from payments.allocation l join payments.entry h on h.account_id = l.account_id and h.id = l.charge
        where l.account_id = $1 and l.credit = $2 and l.released_at is null and l.pinned) as fixed,
       (select jsonb_agg(jsonb_build_object('id', e.id, 'kind', e.kind, 'title', e.title,
            'document_no', e.document_no, 'effective_due_on', e.effective_due_on, 'amount', e.amount,
            'open', e.open_amount, 'held', (
                select coalesce(sum(l.amount), 0) from payments.allocation l
                where l.account_id = $1 and l.charge = e.id and l.released_at is null and l.pinned),
            'paid', (
                select coalesce(sum(l.amount), 0) from payments.allocation l
                where l.account_id = $1 and l.charge = e.id and l.credit = $2 and l.released_at is null)
            ) order by e.effective_due_on, e.id)
        from (
            (select * from payments.entry e where e.account_id = $1 and e.side = 'charge' and e.open_amount > 0
             order by e.effective_due_on, e.id limit $3)
            union
            (select e.* from payments.allocation l
             join payments.entry e on e.account_id = l.account_id and e.id = l.charge
             where l.account_id = $1 and l.credit = $2 and l.released_at is null and not l.pinned
             order by e.effective_due_on, e.id limit $3)
        ) e where e.kind <> 'reversal') as targets
from payments.account a join payments.book b on b.id = a.book
where a.id = $1
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A charge that a credit may be set to pay. ``held`` is fixed to it already, ``paid`` this credit pays now;
    ``most`` is how much may be fixed besides."""

    id: int
    kind: str
    title: str
    document_no: str
    effective_due_on: date
    amount: Money
    open: Money
    held: Money
    paid: Money

    @property
    def most(self) -> Money:
        return self.amount - self.held


@dataclass(frozen=True, slots=True)
class Board:
    """A credit's account, what of the credit is fixed to charges, and the charges it may pay besides."""

    account_no: str
    book: str
    fixed: tuple[Part, ...]
    targets: tuple[Target, ...]


async def board(conn: Connection, credit: Key, limit: int) -> Board:
    """What there is to decide about a credit: ``limit`` charges that are open, as many that it pays by the rules."""
    row = await conn.fetchrow(BOARD_SQL, credit.account, credit.entry, limit)
    assert row is not None  # noqa: S101  an entry has an account
    return Board(
        account_no=row["account_no"],
        book=row["book"],
        fixed=tuple(_part(part) for part in row["fixed"] or ()),
        targets=tuple(_target(charge) for charge in row["targets"] or ()),
    )


def _target(charge: Mapping[str, Any]) -> Target:
    values: dict[str, Any] = dict(charge)
    values["effective_due_on"] = date.fromisoformat(values["effective_due_on"])
    for name in ("amount", "open", "held", "paid"):
        values[name] = Money(values[name])
    return Target(**values)


# --- around an entry ------------------------------------------------------------------------------------------------

AROUND_SQL: Final[LiteralString] = """
select a.account_no, b.name as book, b.is_mirror, a.closed_on,
       (select jsonb_agg(jsonb_build_object('kind', t.kind, 'out', t.out, 'entry', t.entry, 'account', t.account_id,
            'account_no', o.account_no, 'book', k.name, 'customer', c.name, 'reason', t.reason))
        from (
            select t.kind, true as out, t.to_account as account_id, t.to_entry as entry, t.reason
            from payments.transfer t where t.from_account = e.account_id and t.from_entry = e.id
            union all
            select t.kind, false, t.from_account, t.from_entry, t.reason
            from payments.transfer t where t.to_account = e.account_id and t.to_entry = e.id
            union all
            select t.kind, true, t.to_account, t.to_entry, t.reason
            from payments.entry r
            join payments.transfer t on t.from_account = r.account_id and t.from_entry = r.id and t.kind = 'moved'
            where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved'
        ) t
        join payments.account o on o.id = t.account_id join payments.book k on k.id = o.book
        join kernel.customer c on c.id = o.customer) as transfers,
       (select jsonb_agg(jsonb_build_object('entry', h.id, 'kind', h.kind, 'title', h.title,
            'effective_due_on', coalesce(h.effective_due_on, h.due_on), 'open', h.open_amount) order by d.place)
        from payments.designation d join payments.entry h on h.account_id = d.account_id and h.id = d.charge
        where d.account_id = e.account_id and d.credit = e.id) as designations,
       (select p.line from payments.incoming_part p
        where p.account_id = e.account_id and p.entry = e.id) as incoming,
       (select jsonb_build_object('id', n.id, 'note_no', n.note_no)
        from payments.interest_note_line l
        join payments.interest_note n on n.account_id = l.account_id and n.id = l.note
        where l.account_id = e.account_id and l.entry = e.id) as note,
       (select jsonb_build_object('id', b.id, 'number', to_char(b.day, 'DD.MM.YYYY') || '/' || b.number)
        from payments.till_row t join payments.till_bundle b on b.id = t.bundle
        where t.account_id = e.account_id and t.entry = e.id) as bundle,
       (select jsonb_agg(to_jsonb(part) order by part.released_at is not null, part.id desc) from (
            select l.id, other.id as entry, other.kind, other.title, other.document_no, other.counted_on as on,
                   l.amount, l.rule, l.pinned, l.created_at, l.released_at
            from (
                select * from payments.allocation l where l.account_id = e.account_id and l.credit = e.id
                union all
                select * from payments.allocation l where l.account_id = e.account_id and l.charge = e.id
            ) l
            join payments.entry other
              on other.account_id = l.account_id and other.id = case l.credit when e.id then l.charge else l.credit end
            order by l.released_at is not null, l.id desc
            limit 100
        ) part) as parts
from payments.entry e
join payments.account a on a.id = e.account_id
join payments.book b on b.id = a.book
where e.account_id = $1 and e.id = $2
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One allocation of an entry: what it met, how much, by which rule."""

    id: int
    entry: int
    kind: str
    title: str
    document_no: str
    on: date
    amount: Money
    rule: str
    pinned: bool
    created_at: datetime
    released_at: datetime | None


@dataclass(frozen=True, slots=True)
class Around:
    """What surrounds an entry: its account, its counterpart on another one, the payer's wish, its allocations; and
    where it came from: an incoming line, an interest note, a bundle of the payments desk."""

    account_no: str
    book: str
    is_mirror: bool
    is_closed: bool
    transfers: tuple[Mapping[str, Any], ...]
    designations: tuple[Mapping[str, Any], ...]
    parts: tuple[Part, ...]
    released: tuple[Part, ...]
    incoming: int | None
    note: Mapping[str, Any] | None
    bundle: Mapping[str, Any] | None


async def around(conn: Connection, key: Key) -> Around:
    """What surrounds an entry; at most a hundred of its allocations, the living first."""
    row = await conn.fetchrow(AROUND_SQL, key.account, key.entry)
    if row is None:
        raise LookupError("no such entry")
    parts = tuple(_part(part) for part in row["parts"] or ())
    return Around(
        account_no=row["account_no"],
        book=row["book"],
        is_mirror=row["is_mirror"],
        is_closed=row["closed_on"] is not None,
        transfers=tuple(row["transfers"] or ()),
        designations=tuple(
            {
                **wish,
                "effective_due_on": date.fromisoformat(wish["effective_due_on"]),
                "open": Money(wish["open"]),
            }
            for wish in row["designations"] or ()
        ),
        parts=tuple(part for part in parts if part.released_at is None),
        released=tuple(part for part in parts if part.released_at is not None),
        incoming=row["incoming"],
        note=row["note"],
        bundle=row["bundle"],
    )


def _part(part: Mapping[str, Any]) -> Part:
    values = dict(part)
    values["on"] = date.fromisoformat(values["on"])
    values["amount"] = Money(values["amount"])
    values["created_at"] = datetime.fromisoformat(values["created_at"])
    values["released_at"] = datetime.fromisoformat(values["released_at"]) if values["released_at"] else None
    return Part(**values)


# --- many drafts at once --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What drafts somebody wants to see: an empty text or None leaves a filter out. ``but_by``: not what this user (an
    id) has entered."""

    customer: str = ""
    account: str = ""
    book: str = ""
    side: str = ""
    kind: str = ""
    since: date | None = None
    until: date | None = None
    amount: Money | None = None
    period: str = ""
    created_by: str = ""
    batch: int | None = None
    but_by: str = ""

    @property
    def arguments(self) -> tuple[object, ...]:
        grosze = None if self.amount is None else self.amount.grosze
        return (
            self.customer, self.account, self.book, self.side, self.kind, self.since, self.until, grosze, self.period,
            self.created_by, self.batch, self.but_by,
        )  # fmt: skip


MATCHING_SQL: Final[LiteralString] = """
select side, kind, sum(amount)::bigint as amount, array_agg(account_id) as accounts, array_agg(id) as ids,
       md5(string_agg(facts, ',' order by id)) as seen
from (
select e.account_id, e.id, e.side, e.kind, e.amount,
       concat_ws(':', e.id, e.account_id, e.amount, e.counted_on, e.due_on, e.title, e.document_no) as facts
from payments.entry e
join payments.account a on a.id = e.account_id
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
left join kernel.users u on u.id = case when e.created_by ~ '^[0-9]{1,18}$' then e.created_by::bigint end
where e.state = 'draft'
  and ($1 = '' or c.customer_no = $1)
  and ($2 = '' or a.account_no = $2)
  and ($3 = '' or b.code = $3)
  and ($4 = '' or e.side = $4)
  and ($5 = '' or e.kind = $5)
  and ($6::date is null or e.counted_on >= $6)
  and ($7::date is null or e.counted_on <= $7)
  and ($8::bigint is null or e.amount = $8)
  and ($9 = '' or e.period = $9)
  and ($10 = '' or coalesce(u.login, e.created_by) = $10)
  and ($11::bigint is null or e.id in (select l.entry from payments.charge_batch_line l where l.batch = $11))
  and ($12 = '' or e.created_by <> $12)
order by e.account_id, e.id
limit $13
) matching
group by side, kind
order by side, kind
"""


@dataclass(frozen=True, slots=True)
class Matching:
    """The drafts of one kind that match, with their sum."""

    side: str
    kind: str
    amount: Money
    keys: tuple[Key, ...]
    seen: str
    """Stands for exactly these drafts with these facts."""


async def matching(conn: Connection, wanted: Wanted, limit: int) -> list[Matching]:
    """Drafts that match, at most ``limit`` of them, by kind."""
    rows = await conn.fetch(MATCHING_SQL, *wanted.arguments, limit)
    return [
        Matching(
            row["side"],
            row["kind"],
            Money(row["amount"]),
            tuple(Key(account, number) for account, number in zip(row["accounts"], row["ids"], strict=True)),
            row["seen"],
        )
        for row in rows
    ]


FRAME_SQL: Final[LiteralString] = """
select (select count(*) from (select from payments.entry where state = 'draft' limit 10000) drafts) as waiting,
       (select jsonb_agg(jsonb_build_array(b.code, b.name) order by b.id) from payments.book b) as books
"""


async def frame(conn: Connection) -> tuple[int, list[tuple[str, str]]]:
    """How many drafts wait (counting stops at ten thousand), and the books: code and name."""
    row = await conn.fetchrow(FRAME_SQL)
    assert row is not None  # noqa: S101  a select of two values has one row
    return row["waiting"], [(code, name) for code, name in row["books"] or ()]


# --- a customer's accounts ------------------------------------------------------------------------------------------

OF_CUSTOMER_SQL: Final[LiteralString] = """
select c.customer_no,
       (select jsonb_agg(jsonb_build_object('id', a.id, 'account_no', a.account_no, 'book', b.name,
            'point', coalesce(p.code, ''), 'closed_on', a.closed_on, 'is_mirror', b.is_mirror,
            'balance', coalesce(k.balance, 0), 'due', o.due,
            'arrears', o.arrears, 'late_since', o.late_since, 'nearest', o.nearest, 'nearest_amount', o.nearest_amount,
            'credit', o.credit, 'barred', o.barred, 'drafts', (
                select count(*) from payments.entry e where e.account_id = a.id and e.state = 'draft'))
            order by a.closed_on is not null, a.id)
        from (
            select * from payments.account a where a.customer = c.id order by a.closed_on nulls first, a.id limit 30
        ) a
        join payments.book b on b.id = a.book
        left join kernel.service_point p on p.id = a.service_point
        left join payments.account_balance k on k.account_id = a.id
        cross join lateral (
            select coalesce(sum(amount) filter (where not barred and effective_due_on <= $2), 0)::bigint as due,
                   coalesce(sum(amount) filter (where not barred and effective_due_on < $2), 0)::bigint as arrears,
                   coalesce(sum(amount) filter (where side = 'credit'), 0)::bigint as credit,
                   coalesce(sum(amount) filter (where barred), 0)::bigint as barred,
                   min(effective_due_on) filter (where side = 'charge' and not barred) as nearest,
                   min(effective_due_on) filter (where side = 'charge' and not barred and effective_due_on < $2)
                       as late_since,
                   coalesce((array_agg(amount order by effective_due_on)
                       filter (where side = 'charge' and not barred))[1], 0)::bigint as nearest_amount
            from (
                select e.side, e.effective_due_on,
                       c.consumer and e.side = 'charge' and coalesce(e.time_barred_on <= $2, false) as barred,
                       sum(e.open_amount) as amount
                from payments.entry e where e.account_id = a.id and e.open_amount > 0
                group by 1, 2, 3
            ) by_day
        ) o) as accounts,
       (select jsonb_agg(jsonb_build_object('entry', e.id, 'account', e.account_id, 'side', e.side, 'kind', e.kind,
            'title', e.title, 'on', e.counted_on, 'effective_due_on', e.effective_due_on, 'amount', e.amount,
            'open', e.open_amount, 'state', e.state, 'voided_at', e.voided_at, 'void_reason', e.void_reason,
            'is_reversed', exists (
                select from payments.entry r
                where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved'),
            'corrected', coalesce((
                select sum(l.amount) from payments.allocation l
                where l.account_id = e.account_id and l.charge = e.id and l.released_at is null
                  and l.rule = 'correction'), 0)) order by e.counted_on desc, e.id desc)
        from (
            select e.* from payments.account a cross join lateral (
                select * from payments.entry e where e.account_id = a.id and e.state <> 'draft'
                order by e.counted_on desc, e.id desc limit $3
            ) e
            where a.customer = c.id
            order by e.counted_on desc, e.id desc
            limit $3
        ) e) as entries
from kernel.customer c
where c.id = $1
"""


async def of_customer(conn: Connection, customer: int, on: date, limit: int) -> Row | None:
    """A customer's accounts (thirty at most) with the sums of each in grosze, and the last entries of all of them."""
    return await conn.fetchrow(OF_CUSTOMER_SQL, customer, on, limit)

"""The ledger's SQL. What posts, allocates or voids is a function of the database (``migrations/0001_ledger.sql``)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Final, LiteralString

from kernel import Connection, Money, Refused, Row, Text, _, audit, enqueue
from plugins.payments.accrual import store as interest
from plugins.payments.accrual.model import REGIMES, Debt, RatesUnknown, RateTable, Regime, claimable
from plugins.payments.accrual.paying import Arisen, interest_when_paid
from plugins.payments.allocation import Allocation, AllocationPolicy, Civil, Posting, Public
from plugins.payments.face import Side
from plugins.payments.refusing import refusing

REFUSALS: Final[Mapping[str, Text]] = {
    "holidays_unknown": _("The holidays of the year of this due date are not known. Check the date."),
    "reference_not_approved": _("This entry is not approved, so nothing can refer to it."),
    "reference_is_reversal": _("A reversal cannot be reversed. Enter the entry again."),
    "reversal_unlike_original": _("A reversal has the amount of its original."),
    "reversal_of_corrected": _("This charge has corrections. Reverse them first."),
    "correction_of_credit": _("Only a charge can be corrected. Reverse the payment and enter it again."),
    "correction_of_reversed": _("This charge has been reversed, so it cannot be corrected."),
    "correction_too_large": _("Corrections cannot lower a charge below zero."),
    "void_not_approved": _("Only an approved entry can be voided."),
    "void_in_books": _("These are accounting books: a mistake in them is reversed, never voided."),
    "void_of_referred": _("Another entry refers to this one. Void that one first."),
    "void_in_closed_month": _("The month in which this was booked is closed. Reverse the entry instead."),
    "void_of_named": _("A document that was issued names what this entry paid. Reverse the entry instead."),
    "void_revives_too_much": _("The correction that would count again lowers its charge too far. Leave it reversed."),
    "value_date_ahead": _("The day on which this money came has not come yet."),
    "entry_reversed_once": _("This entry has been reversed already."),
    "entry_external": _("This row has been imported already."),
    "entry_amount": _("An amount is at most 10 000 000 000,00 zł."),
    "month_closed": _("The month of this accounting day is closed. Book it on a day of an open month."),
    "mirror_book": _("This book shows another application's ledger: only its import writes here."),
    "account_closed": _("This account is closed. Reopen it first."),
    "approver_is_creator": _("Somebody else has to approve what you entered yourself."),
    "bears_on_no_debt": _("Interest and costs belong to a charge that is none of these itself."),
    "designation_not_approved": _("The payer can only name approved charges of this account."),
    "designation_of_approved": _("What the payer wished is written before the payment is approved."),
    "refund_exceeds_credit": _("Only what is overpaid can be returned, and it is less than this."),
    "allocation_not_approved": _("Only an approved payment can pay an approved charge."),
    "allocation_of_reversed": _("What has been reversed neither pays nor is paid."),
    "allocation_exceeds_credit": _("This is more than is left of the payment."),
    "allocation_exceeds_charge": _("This is more than is left of the charge."),
    "allocation_not_manual": _("Only what was fixed by hand can be released."),
    "designation_account_id_charge_fkey": _("There is no such charge on this account."),
}
"""What the database refuses (constraint names), in words."""


refusals: Final = partial(refusing, REFUSALS)


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody enters: a charge or a credit. ``account`` is its account's id, ``amount`` is above zero.

    ``bears_on`` is the charge that interest or a cost belongs to; ``designations`` are the charges that the payer
    named, in order: numbers of entries of the same account. ``created_by``: None is whoever acts.
    """

    account: int
    side: Side
    kind: str
    amount: Money
    issued_on: date | None = None
    due_on: date | None = None
    value_date: date | None = None
    paid_on: date | None = None
    period: str = ""
    title: str = ""
    document_no: str = ""
    channel: str = ""
    document_date: date | None = None
    bears_on: int | None = None
    reverses: int | None = None
    corrects: int | None = None
    reason: str = ""
    source: str | None = None
    external_id: str | None = None
    external_version: int = 1
    designations: tuple[int, ...] = ()
    created_by: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An entry's key: its account, then its number."""

    account: int
    entry: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry with its customer, as the office sees it. ``reversed_by`` is the approved reversal, if there is one;
    ``corrected`` sums the approved corrections that lower a charge."""

    account_id: int
    id: int
    side: Side
    kind: str
    amount: Money
    open_amount: Money
    issued_on: date | None
    due_on: date | None
    effective_due_on: date | None
    paid_on: date | None
    value_date: date | None
    booked_on: date | None
    counted_on: date
    period: str
    title: str
    document_no: str
    channel: str
    journal_no: int | None
    state: str
    reverses: int | None
    corrects: int | None
    reason: str
    source: str | None
    created_by: str
    created_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    voided_by: str | None
    voided_at: datetime | None
    void_reason: str | None
    reversed_by: int | None
    corrected: Money
    customer: int
    customer_no: str
    customer_name: str

    @property
    def key(self) -> Key:
        return Key(self.account_id, self.id)


# --- accounts -------------------------------------------------------------------------------------------------------

OPEN_ACCOUNTS_SQL: Final[LiteralString] = """
select customer, account_id from payments.open_accounts($1::bigint[], $2)
"""


async def open_accounts(conn: Connection, customers: Iterable[int], today: date) -> dict[int, int]:
    """The account of each customer in the book «main», opened where missing: customer → account."""
    rows = await conn.fetch(OPEN_ACCOUNTS_SQL, sorted(set(customers)), today)
    return {row["customer"]: row["account_id"] for row in rows}


CUSTOMER_IDS_SQL: Final[LiteralString] = """
select customer_no, id from kernel.customer where customer_no = any ($1::text[])
"""


async def customer_ids(conn: Connection, numbers: Iterable[str]) -> dict[str, int]:
    """The ids of customers by the organisation's numbers; unknown numbers are missing in the answer."""
    rows = await conn.fetch(CUSTOMER_IDS_SQL, sorted(set(numbers)))
    return {row["customer_no"]: row["id"] for row in rows}


IMPORTED_SQL: Final[LiteralString] = """
select distinct on (e.account_id, e.external_id)
       e.account_id, e.id, e.external_id, e.external_version, e.state,
       e.state = 'approved' and not exists (
           select from payments.entry r
           where r.account_id = e.account_id and r.reverses = e.id and r.state <> 'voided') as counts,
       case e.side when 'charge' then e.amount - coalesce((
           select sum(k.amount) from payments.entry k
           where k.account_id = e.account_id and k.corrects = e.id and k.side = 'credit' and k.state <> 'voided'
       ), 0) else 0 end::bigint as lowerable
from payments.entry e
where e.account_id = any ($3::bigint[]) and e.source = $1 and e.external_id = any ($2::text[])
order by e.account_id, e.external_id, e.external_version desc
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """The newest entry of a source row. ``counts``: approved, and neither reversed nor about to be; ``lowerable`` is
    how many grosze corrections may still take from a charge."""

    key: Key
    version: int
    state: str
    counts: bool
    lowerable: int


async def imported(
    conn: Connection, source: str, external_ids: Sequence[str], accounts: Sequence[int]
) -> dict[tuple[int, str], Imported]:
    """What became of source rows earlier: (account, external id) → the newest entry."""
    if not external_ids:
        return {}
    rows = await conn.fetch(IMPORTED_SQL, source, external_ids, accounts)
    return {
        (row["account_id"], row["external_id"]): Imported(
            _key(row), row["external_version"], row["state"], row["counts"], row["lowerable"]
        )
        for row in rows
    }


# --- drafts ---------------------------------------------------------------------------------------------------------

ADD_DRAFTS_SQL: Final[LiteralString] = """
insert into payments.entry (created_by, account_id, side, kind, amount, issued_on, due_on, value_date, paid_on, period,
    title, document_no, document_date, channel, bears_on, reverses, corrects, reason, source, external_id,
    external_version)
select coalesce(by, current_setting('ebok.actor', true)), account_id, side, kind, amount, issued_on, due_on, value_date,
       paid_on, period, title, document_no, document_date, channel, bears_on, reverses, corrects, reason, source,
       external_id, external_version
from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::date[], $6::date[], $7::date[], $8::date[],
    $9::text[], $10::text[], $11::text[], $12::date[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[],
    $17::text[], $18::text[], $19::text[], $20::integer[], $21::text[]) d (account_id, side, kind, amount, issued_on,
    due_on, value_date, paid_on, period, title, document_no, document_date, channel, bears_on, reverses, corrects,
    reason, source, external_id, external_version, by)
returning account_id, id
"""


async def add_drafts(conn: Connection, drafts: Sequence[Draft]) -> list[Key]:
    """Enter drafts in one statement; their keys. Raises Refused for a source row that is there already."""
    if not drafts:
        return []
    with refusals():
        rows = await conn.fetch(
            ADD_DRAFTS_SQL,
            [draft.account for draft in drafts],
            [draft.side.value for draft in drafts],
            [draft.kind for draft in drafts],
            [draft.amount.grosze for draft in drafts],
            [draft.issued_on for draft in drafts],
            [draft.due_on for draft in drafts],
            [draft.value_date for draft in drafts],
            [draft.paid_on for draft in drafts],
            [draft.period for draft in drafts],
            [draft.title for draft in drafts],
            [draft.document_no for draft in drafts],
            [draft.document_date for draft in drafts],
            [draft.channel for draft in drafts],
            [draft.bears_on for draft in drafts],
            [draft.reverses for draft in drafts],
            [draft.corrects for draft in drafts],
            [draft.reason for draft in drafts],
            [draft.source for draft in drafts],
            [draft.external_id for draft in drafts],
            [draft.external_version for draft in drafts],
            [draft.created_by for draft in drafts],
        )
        keys = [_key(row) for row in rows]
        await _designate(conn, zip(keys, drafts, strict=True))
    return keys


DESIGNATE_SQL: Final[LiteralString] = """
select payments.designate($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[])
"""


async def _designate(conn: Connection, entered: Iterable[tuple[Key, Draft]]) -> None:
    wishes = [(key, place, charge) for key, draft in entered for place, charge in enumerate(draft.designations, 1)]
    if wishes:
        await conn.execute(
            DESIGNATE_SQL,
            [key.account for key, _place, _charge in wishes],
            [key.entry for key, _place, _charge in wishes],
            [place for _key, place, _charge in wishes],
            [charge for _key, _place, charge in wishes],
        )


async def enter(conn: Connection, customer: int, draft: Draft) -> Key:
    """Enter one draft by hand, audited; its key. Raises Refused."""
    (key,) = await add_drafts(conn, [draft])
    await audit(
        conn,
        "payments.entered",
        customer=customer,
        subject=f"entry {key.entry}",
        entry=key.entry,
        kind=draft.kind,
        amount=draft.amount,
    )
    return key


EDIT_SQL: Final[LiteralString] = """
update payments.entry
set amount = $3, issued_on = $4, due_on = $5, value_date = $6, paid_on = $7, period = $8, title = $9, document_no = $10,
    channel = $11
where account_id = $1 and id = $2 and state = 'draft'
returning id
"""


async def edit(conn: Connection, key: Key, draft: Draft) -> bool:
    """Write the facts of a draft anew (not its account, side or kind). False when it is no draft any more."""
    return (
        await conn.fetchval(
            EDIT_SQL,
            key.account,
            key.entry,
            draft.amount.grosze,
            draft.issued_on,
            draft.due_on,
            draft.value_date,
            draft.paid_on,
            draft.period,
            draft.title,
            draft.document_no,
            draft.channel,
        )
        is not None
    )


DELETE_DRAFTS_SQL: Final[LiteralString] = """
delete from payments.entry e using unnest($1::bigint[], $2::bigint[]) gone (account_id, id)
where e.account_id = gone.account_id and e.id = gone.id and e.state = 'draft'
returning e.account_id, e.id
"""


async def delete_drafts(conn: Connection, keys: Sequence[Key]) -> list[Key]:
    """Delete drafts; the keys of those that were drafts still."""
    rows = await conn.fetch(DELETE_DRAFTS_SQL, *_columns(keys))
    return [_key(row) for row in rows]


# --- posting --------------------------------------------------------------------------------------------------------

APPROVE_SQL: Final[LiteralString] = """
select account_id, id, waits from payments.approve($1::bigint[], $2::bigint[], $3, $4)
"""


async def approve(conn: Connection, keys: Sequence[Key], today: date) -> list[Key]:
    """Approve drafts, booked on ``today`` and audited for each customer; the keys of those that became approved.

    Those that are no drafts any more are left alone. Journal numbers are taken, credits pay charges and the accounts'
    chains are sealed in the same transaction; where another plugin's policy allocates, that is a job of this
    transaction. Raises Refused where a rule of the ledger forbids it (``REFUSALS``).
    """
    if not keys:
        return []
    with refusals():
        rows = await conn.fetch(APPROVE_SQL, *_columns(keys), today, False)
        if any(row["id"] is None for row in rows):
            arisen = await _add_interest(conn, [row["account_id"] for row in rows], keys)
            rows = await conn.fetch(APPROVE_SQL, *_columns([*keys, *arisen]), today, True)
    await _settle_outside(conn, {row["account_id"] for row in rows if row["waits"]})
    return [_key(row) for row in rows]


PAYING_SQL: Final[LiteralString] = """
select e.account_id, json_agg(json_build_array(e.id, e.side, e.kind, e.amount,
           case b.allocation_policy when 'public' then coalesce(e.paid_on, e.value_date) else e.value_date end,
           null, null, null, null, null))::text as entries,
       (select json_agg(json_build_array(d.credit, d.charge) order by d.credit, d.place)
        from payments.designation d where d.account_id = e.account_id)::text as designations,
       b.interest_regime, b.contract_rate
from unnest($1::bigint[], $2::bigint[]) named (account_id, id)
join payments.entry e using (account_id, id)
join payments.account a on a.id = e.account_id
join payments.book b on b.id = a.book
where e.account_id = any ($3::bigint[]) and e.state = 'draft' and e.side = 'credit'
  and e.kind not in ('reversal', 'correction', 'remission', 'write_off')
group by e.account_id, b.id
order by e.account_id
"""
INTEREST_TITLE: Final = "Odsetki za opóźnienie"
PRODUCT: Final = "ebok"
"""Who enters what follows from an entry: whoever approves it, approves this too."""


async def _add_interest(conn: Connection, accounts: Sequence[int], keys: Sequence[Key]) -> list[Key]:
    """Enter the interest that payments about to be approved meet, in books that book it when it is paid.

    A regime of another plugin stays a memo until a note books it.
    """
    rates = await interest.tables(conn)
    wholes = {whole.account: whole for whole in await accounts_whole(conn, 0, len(accounts), accounts)}
    drafts: list[Draft] = []
    for row in await conn.fetch(PAYING_SQL, *_columns(keys), accounts):
        regime, whole = REGIMES.get(row["interest_regime"]), wholes[row["account_id"]]
        policy = policy_of(whole)
        if regime is None or policy is None:
            continue
        claim = partial(_claimable, regime, regime.rates(rates, row["contract_rate"]))
        wishes = _wishes(row["designations"])
        new = [_posting(facts, wishes) for facts in json.loads(row["entries"])]
        arisen = interest_when_paid(whole.entries, whole.pinned, new, policy, claim, whole.reached_on or date.min)
        drafts += (_interest_draft(whole.account, one) for one in arisen)
    return await add_drafts(conn, drafts)


def _claimable(regime: Regime, rates: RateTable, debt: Debt, day: date) -> int:
    try:
        return claimable(debt, day, regime, rates).grosze
    except RatesUnknown as error:
        raise Refused(_("The interest rate of {day} is not known.", day=error.day)) from error


def _interest_draft(account: int, arisen: Arisen) -> Draft:
    return Draft(
        account,
        Side.CHARGE,
        "interest",
        Money(arisen.amount),
        issued_on=arisen.day,
        due_on=arisen.day,
        title=INTEREST_TITLE,
        bears_on=arisen.charge,
        created_by=PRODUCT,
    )


async def _settle_outside(conn: Connection, accounts: Collection[int]) -> None:
    if accounts:
        await enqueue(conn, "payments.settle", {"accounts": sorted(accounts)})


REVERSAL_DRAFTS_SQL: Final[LiteralString] = """
with recursive undone as (
    select e.account_id, e.id
    from unnest($1::bigint[], $2::bigint[]) named (account_id, id) join payments.entry e using (account_id, id)
    where e.state = 'approved'
    union
    select e.account_id, e.id
    from undone u join payments.entry e on e.account_id = u.account_id and u.id in (e.corrects, e.bears_on)
    where e.state = 'approved' and not exists (
        select from payments.entry r
        where r.account_id = e.account_id and r.reverses = e.id and r.state <> 'voided'
    )
)
insert into payments.entry (account_id, side, kind, amount, issued_on, value_date, period, title, document_no, channel,
    reverses, reason)
select account_id, case side when 'charge' then 'credit' else 'charge' end, 'reversal', amount,
       case side when 'credit' then $3::date end, case side when 'charge' then $3::date end,
       period, title, document_no, channel, id, $4
from undone join payments.entry using (account_id, id)
order by account_id, id
returning account_id, id
"""


async def draft_reversals(conn: Connection, keys: Sequence[Key], reason: str, today: date) -> list[Key]:
    """Enter the reversal of each approved entry, and of what hangs on it (corrections, interest and costs of a charge);
    the reversals' keys.

    Raises Refused for an entry that has been reversed already.
    """
    if not keys:
        return []
    with refusals():
        rows = await conn.fetch(REVERSAL_DRAFTS_SQL, *_columns(keys), today, reason)
    return [_key(row) for row in rows]


async def reverse(conn: Connection, entry: Entry, reason: str, today: date) -> None:
    """Reverse an approved entry with what hangs on it, and approve that at once; audited. Raises Refused."""
    reversals = await draft_reversals(conn, [entry.key], reason, today)
    if not reversals:
        raise Refused(REFUSALS["reference_not_approved"])
    await approve(conn, reversals, today)
    await audit(
        conn,
        "payments.reversed",
        customer=entry.customer,
        subject=f"entry {entry.id}",
        entry=entry.id,
        amount=entry.amount,
        reason=reason,
    )


VOID_SQL: Final[LiteralString] = "select payments.void($1, $2, $3)"


async def void(conn: Connection, entry: Entry, reason: str) -> None:
    """Void an approved entry, audited. The database lets nobody do it but a superadministrator in the announced mode.

    Raises Refused where another entry refers to it, or in accounting books.
    """
    with refusals():
        waits = await conn.fetchval(VOID_SQL, entry.account_id, entry.id, reason)
    await _settle_outside(conn, [entry.account_id] if waits else [])
    await audit(
        conn,
        "payments.voided",
        customer=entry.customer,
        subject=f"entry {entry.id}",
        entry=entry.id,
        kind=entry.kind,
        amount=entry.amount,
        title=entry.title,
        reason=reason,
    )


PIN_SQL: Final[LiteralString] = """
select payments.pin(array[$1::bigint], array[$2::bigint], array[$3::bigint], array[$4::bigint], 'manual', $5)
"""


async def pin(conn: Connection, credit: Key, charge: int, amount: Money, reason: str) -> None:
    """Let the office decide what a credit pays; computed allocations give way. Raises Refused for too much."""
    with refusals():
        await conn.execute(PIN_SQL, credit.account, credit.entry, charge, amount.grosze, reason)


RELEASE_SQL: Final[LiteralString] = "select payments.release($1, $2, $3)"


async def release(conn: Connection, account: int, allocation: int, reason: str) -> None:
    """Let go of an allocation made by hand; the book's policy decides again. Raises Refused for any other."""
    with refusals():
        await conn.execute(RELEASE_SQL, account, allocation, reason)


HOLD_SQL: Final[LiteralString] = "select payments.hold($1::bigint[])"


async def hold(conn: Connection, accounts: Sequence[int]) -> None:
    """Keep others from posting on these accounts until the transaction ends."""
    await conn.execute(HOLD_SQL, accounts)


REACH_SQL: Final[LiteralString] = "select payments.reach($1)"


async def reach(conn: Connection, today: date) -> int:
    """In books without prepayment, let charges due today meet credits that waited; how many accounts changed."""
    return await conn.fetchval(REACH_SQL, today)


# --- reading --------------------------------------------------------------------------------------------------------

ENTRY_SQL: Final[LiteralString] = """
select e.account_id, e.id, e.side, e.kind, e.amount, e.open_amount, e.issued_on, e.due_on, e.effective_due_on,
       e.paid_on, e.value_date, e.booked_on, e.counted_on, e.period, e.title, e.document_no, e.channel, e.journal_no,
       e.state,
       e.reverses, e.corrects, e.reason, e.source, coalesce(author.name, e.created_by, '') as created_by, e.created_at,
       coalesce(approver.name, e.approved_by) as approved_by, e.approved_at,
       coalesce(voider.name, e.voided_by) as voided_by, e.voided_at, e.void_reason,
       (select r.id from payments.entry r
        where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved') as reversed_by,
       coalesce((select sum(k.amount) from payments.entry k
        where k.account_id = e.account_id and k.corrects = e.id and k.side = 'credit' and k.state = 'approved'
          and not exists (select from payments.entry r
            where r.account_id = k.account_id and r.reverses = k.id and r.state = 'approved')), 0)::bigint as corrected,
       a.customer, c.customer_no, c.name as customer_name
from payments.entry e
join payments.account a on a.id = e.account_id
join kernel.customer c on c.id = a.customer
left join kernel.users author on author.id = case when e.created_by ~ '^[0-9]{1,18}$' then e.created_by::bigint end
left join kernel.users approver
  on approver.id = case when e.approved_by ~ '^[0-9]{1,18}$' then e.approved_by::bigint end
left join kernel.users voider on voider.id = case when e.voided_by ~ '^[0-9]{1,18}$' then e.voided_by::bigint end
where e.id = $1
"""


async def entry(conn: Connection, number: int) -> Entry | None:
    """An entry by its number, or None."""
    row = await conn.fetchrow(ENTRY_SQL, number)
    return _entry(row) if row else None


KEYS_SQL: Final[LiteralString] = "select account_id, id from payments.entry where id = any ($1::bigint[])"


async def keys_of(conn: Connection, numbers: Iterable[int]) -> list[Key]:
    """The keys of entries by their numbers; unknown numbers are left out."""
    return [_key(row) for row in await conn.fetch(KEYS_SQL, list(numbers))]


POSITION_SQL: Final[LiteralString] = """
select c.customer_no, c.name, o.accounts, o.to_pay_by, coalesce(i.charges, '[]') as charges, x.main_account
from kernel.customer c
left join (select payee_account as main_account from payments.book where code = 'main') x on true
cross join lateral (
    with mine as (
        select a.id, a.account_no, a.book, coalesce(a.virtual_account, nullif(b.payee_account, ''), x.main_account)
                   as payee_account, b.payee_name, b.is_mirror, k.balance
        from payments.account a join payments.book b on b.id = a.book
        join payments.account_balance k on k.account_id = a.id
        where a.customer = c.id and (a.closed_on is null or k.balance <> 0)
    ), by_day as (
        select e.account_id, e.side, e.effective_due_on as day, sum(e.open_amount) as amount,
               c.consumer and coalesce(e.time_barred_on <= $2, false) as is_barred
        from mine m join payments.entry e on e.account_id = m.id and e.open_amount > 0
        group by e.account_id, e.side, e.effective_due_on, is_barred
    ), sums as (
        select m.*, case when m.is_mirror then (
                   select coalesce(sum(v.amount), 0) from payments.provisional v
                   where v.account_id = m.id and v.replaced_by is null and v.withdrawn_at is null) else 0 end
                   as provisional,
               coalesce(d.due, 0) as due, coalesce(d.arrears, 0) as arrears, coalesce(d.barred, 0) as barred,
               coalesce(d.credit, 0) as credit, d.nearest
        from mine m left join (
            select account_id, sum(amount) filter (where side = 'charge' and not is_barred and day <= $2) as due,
                   sum(amount) filter (where side = 'charge' and not is_barred and day < $2) as arrears,
                   sum(amount) filter (where side = 'charge' and is_barred) as barred,
                   sum(amount) filter (where side = 'credit') as credit,
                   min(day) filter (where side = 'charge' and not is_barred and day > $2) as nearest
            from by_day group by account_id
        ) d on d.account_id = m.id
    ), horizon as (
        select case when bool_or(due > credit) then $2::date else coalesce(min(nearest), case when bool_or(due > 0)
            then $2::date end) end as day from sums
    )
    select (select day from horizon) as to_pay_by, coalesce(jsonb_agg(jsonb_build_object('account', s.id,
               'account_no', s.account_no, 'payee_account', s.payee_account, 'payee_name', s.payee_name,
               'balance', s.balance, 'due', s.due, 'arrears', s.arrears, 'barred', s.barred, 'credit', s.credit,
               'provisional', s.provisional,
               'until', coalesce((
                   select sum(d.amount) from by_day d
                   where d.account_id = s.id and d.side = 'charge' and not d.is_barred
                     and d.day <= (select day from horizon)), 0)) order by s.book, s.id), '[]') as accounts
    from sums s
) o
cross join lateral (
    select jsonb_agg(jsonb_build_object('entry', e.id, 'account', e.account_id, 'kind', e.kind, 'title', e.title,
               'document_no', e.document_no,
               'period', e.period, 'issued_on', e.issued_on, 'due_on', e.due_on, 'effective_due_on', e.effective_due_on,
               'amount', e.amount, 'open', e.open_amount,
               'is_barred', c.consumer and coalesce(e.time_barred_on <= $2, false),
               'corrected', coalesce((
                   select sum(l.amount) from payments.allocation l
                   where l.account_id = e.account_id and l.charge = e.id and l.released_at is null
                     and l.rule = 'correction'), 0)) order by e.effective_due_on, e.id) as charges
    from (
        select e.* from payments.account a join payments.entry e on e.account_id = a.id
        where a.customer = c.id and e.side = 'charge' and e.open_amount > 0
        order by e.effective_due_on, e.id
        limit $3
    ) e
) i
where c.id = $1
"""


async def position(conn: Connection, customer: int, on: date, charges: int = 0) -> Row | None:
    """The sums of a customer's accounts in grosze and the day of what is to pay, with that many open charges.

    None: there is no such customer.
    """
    return await conn.fetchrow(POSITION_SQL, customer, on, charges)


CARD_SQL: Final[LiteralString] = """
with account as (
    select a.id, k.balance, k.version
    from payments.account a join payments.account_balance k on k.account_id = a.id where a.customer = $1
), state as (
    select coalesce(sum(balance), 0)::bigint as balance, coalesce(sum(version), 0)::bigint as version from account
), page as (
    select e.*, payments.shown_title(e) as shown_title from account a cross join lateral (
        select * from payments.entry e
        where e.account_id = a.id and e.state <> 'draft'
          and ($2::date is null or (e.counted_on, e.id) < ($2::date, $3::bigint))
        order by e.counted_on desc, e.id desc
        limit $4
    ) e
    order by e.counted_on desc, e.id desc
    limit $4
)
select s.balance, s.version, p.id as entry, p.side, p.kind, p.shown_title as title, p.document_no, p.counted_on,
       p.due_on, p.effective_due_on, p.amount, p.open_amount, p.state,
       exists (select from payments.entry r
           where r.account_id = p.account_id and r.reverses = p.id and r.state = 'approved') as is_reversed,
       coalesce((
           select jsonb_agg(jsonb_build_object('entry', o.id, 'kind', o.kind,
               'title', payments.shown_title(o), 'document_no', o.document_no, 'on', o.counted_on,
               'amount', l.amount, 'rule', l.rule)
               order by o.counted_on, o.id)
           from (
               select id, charge as other, amount, rule from payments.allocation
               where account_id = p.account_id and credit = p.id and released_at is null
               union all
               select id, credit, amount, rule from payments.allocation
               where account_id = p.account_id and charge = p.id and released_at is null
           ) l join payments.entry o on o.account_id = p.account_id and o.id = l.other
       ), '[]') as parts
from state s left join page p on true
order by p.counted_on desc, p.id desc
"""


async def card(conn: Connection, customer: int, before: tuple[date, int] | None, limit: int) -> Sequence[Row]:
    """Rows of the ledger card, newest first, each with its live allocations.

    Every row repeats the customer's present balance (grosze) and the number of postings behind it; without entries
    there is one row whose ``entry`` is None.
    """
    day, number = before or (None, None)
    return await conn.fetch(CARD_SQL, customer, day, number, limit)


# --- the demonstration ----------------------------------------------------------------------------------------------

FIRST_CUSTOMERS_SQL: Final[LiteralString] = """
select id, customer_no from kernel.customer where status = 'active' order by id limit $1
"""
FIRST_SETTINGS_SQL: Final[LiteralString] = """
insert into kernel.setting (plugin, value) values ('payments', $1) on conflict (plugin) do nothing
"""


async def first_customers(conn: Connection, count: int) -> dict[int, str]:
    """The first customers by id: id → number."""
    return {row["id"]: row["customer_no"] for row in await conn.fetch(FIRST_CUSTOMERS_SQL, count)}


async def first_settings(conn: Connection, values: Mapping[str, str]) -> None:
    """Set what the organisation has not decided yet."""
    await conn.execute(FIRST_SETTINGS_SQL, dict(values))


# --- customers leaving ----------------------------------------------------------------------------------------------

HAS_APPROVED_SQL: Final[LiteralString] = """
select exists (
    select from payments.account a join payments.entry e on e.account_id = a.id and e.state <> 'draft'
    where a.customer = $1
    union all
    select from payments.account a join payments.incoming_part p on p.account_id = a.id where a.customer = $1
    union all
    select from payments.account a where a.customer = $1 and a.deleted_at is not null
)
"""
FORGET_ACCOUNTS_SQL: Final[LiteralString] = "select payments.forget_accounts($1)"


async def has_approved(conn: Connection, customer: int) -> bool:
    """Whether anything approved or voided hangs on a customer."""
    return await conn.fetchval(HAS_APPROVED_SQL, customer)


async def forget_customer(conn: Connection, customer: int) -> None:
    """Remove a customer's drafts and accounts; the caller knows that nothing approved hangs on them."""
    await conn.execute(FORGET_ACCOUNTS_SQL, customer)


DRAFTS_OF_CUSTOMER_SQL: Final[LiteralString] = """
select count(*) from payments.account a join payments.entry e on e.account_id = a.id and e.state = 'draft'
where a.customer = $1
"""


async def drafts_of_customer(conn: Connection, customer: int) -> int:
    """How many drafts wait on a customer's accounts."""
    return await conn.fetchval(DRAFTS_OF_CUSTOMER_SQL, customer)


# --- proofs ---------------------------------------------------------------------------------------------------------

WRONG_ALLOCATIONS_SQL: Final[LiteralString] = """
select e.account_id, e.id, e.amount, e.open_amount, coalesce(l.amount, 0)::bigint as allocated
from payments.entry e
left join (
    select account_id, id, sum(amount) as amount from (
        select account_id, credit as id, amount from payments.allocation where released_at is null
        union all
        select account_id, charge, amount from payments.allocation where released_at is null
    ) ends group by account_id, id
) l using (account_id, id)
where case e.state when 'approved' then e.amount else 0 end <> e.open_amount + coalesce(l.amount, 0)
order by e.account_id, e.id
limit $1
"""


async def wrong_allocations(conn: Connection, limit: int) -> Sequence[Row]:
    """Entries whose amount is not their open part and their live allocations together."""
    return await conn.fetch(WRONG_ALLOCATIONS_SQL, limit)


WRONG_BALANCES_SQL: Final[LiteralString] = """
select a.id as account_id, coalesce(k.charged, 0)::bigint as charged, coalesce(k.credited, 0)::bigint as credited,
       coalesce(e.charged, 0)::bigint as charges, coalesce(e.credited, 0)::bigint as credits
from payments.account a
left join payments.account_balance k on k.account_id = a.id
left join (
    select account_id, sum(amount) filter (where side = 'charge') as charged,
           sum(amount) filter (where side = 'credit') as credited,
           min(effective_due_on) filter (where side = 'charge' and open_amount > 0) as oldest_open_due
    from payments.entry where state = 'approved' group by account_id
) e on e.account_id = a.id
where k.account_id is null
   or (k.charged, k.credited) <> (coalesce(e.charged, 0), coalesce(e.credited, 0))
   or k.oldest_open_due is distinct from e.oldest_open_due
order by a.id
limit $1
"""


async def wrong_balances(conn: Connection, limit: int) -> Sequence[Row]:
    """Accounts whose balance row is missing, or is not the sums of their approved entries."""
    return await conn.fetch(WRONG_BALANCES_SQL, limit)


WRONG_JOURNALS_SQL: Final[LiteralString] = """
select b.code, b.last_journal_no, count(e.journal_no) as numbered, count(distinct e.journal_no) as distinct_numbers
from payments.book b
left join payments.account a on a.book = b.id
left join payments.entry e on e.account_id = a.id
group by b.id
having count(distinct e.journal_no) <> b.last_journal_no or count(e.journal_no) <> b.last_journal_no
    or coalesce(max(e.journal_no), 0) <> b.last_journal_no
"""


async def wrong_journals(conn: Connection) -> Sequence[Row]:
    """Books whose journal has a gap or a number twice."""
    return await conn.fetch(WRONG_JOURNALS_SQL)


ACCOUNTS_WHOLE_SQL: Final[LiteralString] = """
select a.id as account_id, b.allocation_policy as policy, b.interest_first, b.prepay, k.reached_on,
       (select json_agg(json_build_array(e.id, e.side, e.kind, e.amount,
            case when e.side = 'charge' then e.effective_due_on
                 when b.allocation_policy = 'public' then coalesce(e.paid_on, e.value_date)
                 else e.value_date end,
            e.reverses, e.corrects, e.bears_on, e.issued_on, case when c.consumer then e.time_barred_on end))
        from payments.entry e where e.account_id = a.id and e.state = 'approved')::text as entries,
       (select json_agg(json_build_array(d.credit, d.charge) order by d.credit, d.place)
        from payments.designation d where d.account_id = a.id)::text as designations,
       (select json_agg(json_build_array(l.credit, l.charge, l.amount, l.rule, l.pinned))
        from payments.allocation l where l.account_id = a.id and l.released_at is null)::text as allocations
from payments.account a
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
join payments.account_balance k on k.account_id = a.id
where a.id > $1 and ($3::bigint[] is null or a.id = any ($3))
order by a.id
limit $2
"""


@dataclass(frozen=True, slots=True)
class Whole:
    """One account with all that allocation follows from, and what is kept of it."""

    account: int
    policy: str
    interest_first: bool
    prepay: bool
    reached_on: date | None
    entries: list[Posting]
    allocations: list[Allocation]
    pinned: list[Allocation]
    """Those of ``allocations`` that are fixed, but for reversals and corrections."""


async def accounts_whole(conn: Connection, after: int, limit: int, only: Sequence[int] | None = None) -> list[Whole]:
    """Accounts with all their approved entries and live allocations, as of one instant: for proofs and for policies
    that are computed outside the database."""
    return [_whole(row) for row in await conn.fetch(ACCOUNTS_WHOLE_SQL, after, limit, only)]


def policy_of(whole: Whole) -> AllocationPolicy | None:
    """The policy that the database computes for an account; None where another plugin's does."""
    match whole.policy:
        case "civil":
            return Civil(interest_first=whole.interest_first, prepay=whole.prepay)
        case "public":
            return Public(prepay=whole.prepay)
        case _:
            return None


def _wishes(text: str | None) -> dict[int, list[int]]:
    wishes: dict[int, list[int]] = {}
    for credit, charge in json.loads(text or "[]"):
        wishes.setdefault(credit, []).append(charge)
    return wishes


def _whole(row: Row) -> Whole:
    wishes = _wishes(row["designations"])
    kept = [(Allocation(*facts[:4]), facts[4]) for facts in json.loads(row["allocations"] or "[]")]
    return Whole(
        account=row["account_id"],
        policy=row["policy"],
        interest_first=row["interest_first"],
        prepay=row["prepay"],
        reached_on=row["reached_on"],
        entries=[_posting(facts, wishes) for facts in json.loads(row["entries"] or "[]")],
        allocations=sorted(allocation for allocation, _pinned in kept),
        pinned=[a for a, is_pinned in kept if is_pinned and a.rule not in ("reversal", "correction")],
    )


def _posting(facts: Sequence[Any], wishes: Mapping[int, Sequence[int]]) -> Posting:
    number, side, kind, amount, place, reverses, corrects, bears_on, issued_on, barred_on = facts
    return Posting(
        id=number,
        side=Side(side),
        kind=kind,
        amount=amount,
        place=_day(place),
        reverses=reverses,
        corrects=corrects,
        bears_on=bears_on,
        issued_on=_day(issued_on),
        barred_on=_day(barred_on),
        designations=tuple(wishes.get(number, ())),
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


IMPOSE_SQL: Final[LiteralString] = "select payments.impose($1, $2::bigint[], $3::bigint[], $4::bigint[])"


async def impose(conn: Connection, account: int, allocations: Sequence[Allocation]) -> None:
    """Keep what a policy of another plugin computed for an account. Raises Refused or the database's error for more
    than an entry holds."""
    with refusals():
        await conn.execute(
            IMPOSE_SQL,
            account,
            [one.credit for one in allocations],
            [one.charge for one in allocations],
            [one.amount for one in allocations],
        )


LAST_OF_BATCH_SQL: Final[LiteralString] = """
select max(id) as last, count(*) as accounts
from (select id from payments.account where id > $1 order by id limit $2) batch
"""
COUNT_ACCOUNTS_SQL: Final[LiteralString] = "select count(*) from payments.account"


async def last_of_batch(conn: Connection, after: int, limit: int) -> tuple[int | None, int]:
    """The last of the next ``limit`` accounts by id, and how many there are; None after the last account."""
    row = await conn.fetchrow(LAST_OF_BATCH_SQL, after, limit)
    assert row is not None  # noqa: S101  an aggregate has one row
    return row["last"], row["accounts"]


async def count_accounts(conn: Connection) -> int:
    """How many accounts there are."""
    return await conn.fetchval(COUNT_ACCOUNTS_SQL)


WRONG_SEALS_SQL: Final[LiteralString] = """
with batch as materialized (
    select a.id as account_id, a.salt, k.seal from payments.account a
    join payments.account_balance k on k.account_id = a.id
    where a.id > $1 and a.id <= $2
), named as materialized (
    select s.account_id, s.seq, s.event, n.id from batch join payments.seal s using (account_id)
    cross join lateral unnest(s.entries) n (id)
), facts as (
    select n.account_id, n.seq, count(e.id) = count(*) as is_whole,
           convert_to(string_agg(payments.facts(e, b.salt, n.event), '' order by n.id), 'UTF8') as facts
    from named n join batch b using (account_id)
    left join payments.entry e on e.account_id = n.account_id and e.id = n.id
    group by n.account_id, n.seq
), chain as (
    select s.*, f.facts, f.is_whole, lag(s.hash, 1, '') over (partition by s.account_id order by s.seq) as before,
           lead(s.seq) over (partition by s.account_id order by s.seq) is null as is_last
    from batch join payments.seal s using (account_id) join facts f using (account_id, seq)
)
select account_id, seq as number, case
        when not is_whole then 'gone'
        when hash <> sha256(before || facts) then 'changed'
        else 'last' end as problem
from chain join batch using (account_id)
where not is_whole or hash <> sha256(before || facts) or is_last and hash <> batch.seal
union all
select e.account_id, e.id, 'unsealed'
from batch join payments.entry e using (account_id)
where e.state <> 'draft' and not exists (
    select from named n where n.account_id = e.account_id and n.id = e.id and n.event = 'approved')
union all
select e.account_id, e.id, 'unsealed'
from batch join payments.entry e using (account_id)
where e.state = 'voided' and not exists (
    select from named n where n.account_id = e.account_id and n.id = e.id and n.event = 'voided')
union all
select b.account_id, null, 'last' from batch b
where b.seal <> '' and not exists (select from payments.seal s where s.account_id = b.account_id)
order by 1, 2
limit $3
"""


async def wrong_seals(conn: Connection, after: int, last: int, limit: int) -> Sequence[Row]:
    """Where the chains of accounts with ids in (after, last] are broken: account, number and problem.

    ``problem``: a sealed entry is «gone» or its posting «changed» (number: the posting's), the chain does not end where
    the account says («last»), an entry was never sealed («unsealed», number: the entry's).
    """
    return await conn.fetch(WRONG_SEALS_SQL, after, last, limit)


WRONG_REFERENCES_SQL: Final[LiteralString] = """
select e.account_id, e.id, case
        when o.state <> 'approved' then 'refers to an entry that is not approved'
        when e.kind = 'reversal' and (o.side = e.side or o.amount <> e.amount) then 'reverses another amount'
        when e.kind = 'reversal' and o.kind = 'reversal' then 'reverses a reversal'
        when e.bears_on is not null and (o.side <> 'charge' or o.bears_on is not null) then 'bears on no debt'
        else 'corrects what is no charge' end as problem
from payments.entry e
join payments.entry o on o.account_id = e.account_id and o.id = coalesce(e.reverses, e.corrects, e.bears_on)
where e.state = 'approved' and coalesce(e.reverses, e.corrects, e.bears_on) is not null and (
    o.state <> 'approved'
    or e.kind = 'reversal' and (o.side = e.side or o.amount <> e.amount or o.kind = 'reversal')
    or e.bears_on is not null and (o.side <> 'charge' or o.bears_on is not null)
    or e.kind = 'correction' and o.side <> 'charge'
)
union all
select e.account_id, e.corrects, 'is corrected below zero'
from payments.entry e join payments.entry o on o.account_id = e.account_id and o.id = e.corrects
where e.state = 'approved' and e.side = 'credit' and e.kind = 'correction' and not exists (
    select from payments.entry r where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved')
group by e.account_id, e.corrects, o.amount
having sum(e.amount) > o.amount
order by 1, 2
limit $1
"""


async def wrong_references(conn: Connection, limit: int) -> Sequence[Row]:
    """Entries that refer to others otherwise than the ledger allows."""
    return await conn.fetch(WRONG_REFERENCES_SQL, limit)


GUARDS_SQL: Final[LiteralString] = """
select array(
    select name from unnest(array['protect_approved']) name
    where not exists (select from pg_catalog.pg_trigger t
        where t.tgrelid = 'payments.entry'::regclass and t.tgname = name and t.tgenabled in ('O', 'A'))
) as triggers, array(
    select p.t || ' ' || p.privilege from (values
        ('payments.entry', 'TRUNCATE'), ('payments.allocation', 'INSERT'), ('payments.allocation', 'UPDATE'),
        ('payments.allocation', 'DELETE'), ('payments.account_balance', 'UPDATE'),
        ('payments.account_balance', 'DELETE'),
        ('payments.account', 'DELETE'),
        ('payments.seal', 'INSERT'), ('payments.seal', 'UPDATE'), ('payments.seal', 'DELETE'),
        ('payments.designation', 'UPDATE'), ('payments.designation', 'DELETE')
    ) p (t, privilege)
    -- Whoever has taken the owner's role for an operator's command asks about the application.
    where has_table_privilege(
        case when current_user = session_user then current_user else 'ebok_app' end, p.t, p.privilege)
) as privileges
"""


async def missing_guards(conn: Connection) -> Row:
    """Protecting triggers that are off, and privileges on protected tables that this login should not have."""
    row = await conn.fetchrow(GUARDS_SQL)
    assert row is not None  # noqa: S101
    return row


KNOWN_YEARS_SQL: Final[LiteralString] = """
select count(*) from payments.holiday
where day in (make_date(extract(year from current_date)::integer, 1, 1),
              make_date(extract(year from current_date)::integer + 1, 1, 1))
"""


async def knows_holidays(conn: Connection) -> bool:
    """Whether the holidays of this year and the next are in the table."""
    return await conn.fetchval(KNOWN_YEARS_SQL) == 2


# --- rows -----------------------------------------------------------------------------------------------------------


def _columns(keys: Sequence[Key]) -> tuple[list[int], list[int]]:
    return [key.account for key in keys], [key.entry for key in keys]


def _key(row: Row) -> Key:
    return Key(row["account_id"], row["id"])


def _entry(row: Row) -> Entry:
    values: dict[str, Any] = dict(row)
    values["side"] = Side(values["side"])
    for name in ("amount", "open_amount", "corrected"):
        values[name] = Money(values[name])
    return Entry(**values)

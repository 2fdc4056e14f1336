"""What an imported row may become: a charge or a payment.

New rows become drafts, or approved entries where the batch says so. What the source changes after approval is never an
update here: a changed amount of a charge becomes a linked correction of the difference, any other change a reversal and
a new entry, a row that vanished a reversal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, LiteralString, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from kernel import Batch, Connection, Money, PolishDate, PositiveMoney, Record, Refused, Row, SourceChange, _
from plugins.payments import store
from plugins.payments.face import Side
from plugins.payments.store import Draft, Imported, Key
from plugins.payments.suspense import store as suspense


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


_T = TypeVar("_T")
_Optional = Annotated[_T | None, BeforeValidator(_blank_is_none)]
_Period = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^([0-9]{4}(-(0[1-9]|1[0-2]))?)?$")]
_Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
_Number = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)]
_CustomerNo = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]


class ChargeRow(BaseModel):
    """A charge in the source. Its due date is ``due_on``, or ``due_days`` after the day of issue."""

    customer_no: _CustomerNo
    document_no: _Number = ""
    kind: Literal["fee", "settlement", "opening"] = "fee"
    issued_on: PolishDate
    due_on: _Optional[PolishDate] = None
    due_days: _Optional[Annotated[int, Field(ge=0, le=3650)]] = None
    amount: PositiveMoney
    title: _Title = ""
    period: _Period = ""

    @model_validator(mode="after")
    def _is_due(self) -> ChargeRow:
        if self.due_on is None and self.due_days is None:
            raise PydanticCustomError("due_missing", "Give the due date, or after how many days it is due")
        return self

    def draft(self, account: int, **origin: Any) -> Draft:
        """The entry that this row becomes on an account; ``origin`` are the fields of ``Draft`` that say whence."""
        return Draft(
            account,
            Side.CHARGE,
            self.kind,
            self.amount,
            **origin,
            issued_on=self.issued_on,
            due_on=self.due_on or self.issued_on + timedelta(days=self.due_days or 0),
            period=self.period,
            title=self.title,
            document_no=self.document_no,
        )


class PaymentRow(BaseModel):
    """A payment in the source. ``value_date`` is when it reached the organisation, ``paid_on`` when it was paid."""

    customer_no: _CustomerNo
    amount: PositiveMoney
    value_date: PolishDate
    paid_on: _Optional[PolishDate] = None
    title: _Title = ""
    document_no: _Number = ""
    channel: Literal["", "transfer", "cash", "card", "post", "gateway", "direct_debit", "offset"] = ""

    def draft(self, account: int, **origin: Any) -> Draft:
        """The entry that this row becomes on an account; ``origin`` are the fields of ``Draft`` that say whence."""
        return Draft(
            account,
            Side.CREDIT,
            "payment",
            self.amount,
            **origin,
            value_date=self.value_date,
            paid_on=self.paid_on,
            title=self.title,
            document_no=self.document_no,
            channel=self.channel,
        )


Entering = ChargeRow | PaymentRow


@dataclass(slots=True)
class _Plan:
    """What a batch asks of the ledger."""

    add: list[Draft] = field(default_factory=list[Draft])
    edit: list[tuple[Key, Draft]] = field(default_factory=list[tuple[Key, Draft]])
    delete: list[Key] = field(default_factory=list[Key])
    reverse: list[Key] = field(default_factory=list[Key])


async def apply(conn: Connection, batch: Batch) -> None:
    """Write a batch of charges or payments. Raises Refused naming the row whose customer is not known."""
    accounts = await _accounts(conn, batch)
    known = await store.imported(
        conn, batch.source, [row.external_id for row in (*batch.changed, *batch.missing)], list(accounts.values())
    )
    plan = _planned(batch, accounts, known)
    await store.delete_drafts(conn, plan.delete)
    for key, draft in plan.edit:
        await store.edit(conn, key, draft)
    keys = [key for key, _draft in plan.edit]
    keys += await store.draft_reversals(conn, plan.reverse, batch.source, batch.today)
    keys += await store.add_drafts(conn, plan.add)
    if batch.approve:
        await store.approve(conn, keys, batch.today)
        await suspense.reconcile(conn, list(accounts.values()))


async def _accounts(conn: Connection, batch: Batch) -> dict[str, int]:
    """Customer's number → account, for every customer that the batch names."""
    named: list[tuple[str, str]] = [
        *((row.external_id, _entering(row.data).customer_no) for row in (*batch.new, *batch.missing)),
        *((row.external_id, _entering(row.before).customer_no) for row in batch.changed),
        *((row.external_id, _entering(row.after).customer_no) for row in batch.changed),
    ]
    customers = await store.customer_ids(conn, (number for _row, number in named))
    for row, number in named:
        if number not in customers:
            raise Refused(_("Row {row}: there is no customer {customer_no}.", row=row, customer_no=number))
    accounts = await store.open_accounts(conn, customers.values(), batch.today)
    return {number: accounts[customer] for number, customer in customers.items()}


def _planned(batch: Batch, accounts: Mapping[str, int], known: Mapping[tuple[int, str], Imported]) -> _Plan:
    plan = _Plan()
    for row in batch.new:
        plan.add.append(_draft(batch, accounts, row.external_id, row.data))
    for change in batch.changed:
        _plan_change(plan, batch, accounts, known, change)
    for row in batch.missing:
        found = known.get((accounts[_entering(row.data).customer_no], row.external_id))
        if found and found.state == "draft":
            plan.delete.append(found.key)
        elif found and found.counts:
            plan.reverse.append(found.key)
    return plan


def _plan_change(
    plan: _Plan,
    batch: Batch,
    accounts: Mapping[str, int],
    known: Mapping[tuple[int, str], Imported],
    change: SourceChange,
) -> None:
    before, after = _entering(change.before), _entering(change.after)
    found = known.get((accounts[before.customer_no], change.external_id))
    if found is None:
        plan.add.append(_draft(batch, accounts, change.external_id, after))
        return
    draft = _draft(batch, accounts, change.external_id, after, version=found.version + 1)
    difference = after.amount.grosze - before.amount.grosze
    only_amount = before.model_copy(update={"amount": after.amount}) == after
    if found.state == "draft":
        if draft.account == found.key.account:
            plan.edit.append((found.key, draft))
        else:
            plan.delete.append(found.key)
            plan.add.append(draft)
    elif isinstance(after, ChargeRow) and found.counts and only_amount and -difference <= found.lowerable:
        plan.add.append(_correction(found.key, after, difference))
    else:
        if found.counts:
            plan.reverse.append(found.key)
        plan.add.append(draft)


def _correction(key: Key, after: ChargeRow, difference: int) -> Draft:
    """The entry that brings a charge to its new amount: a further charge, or a credit pinned to it."""
    charge = after.draft(key.account)
    if difference > 0:
        return Draft(
            key.account,
            Side.CHARGE,
            "correction",
            Money(difference),
            issued_on=charge.issued_on,
            due_on=charge.due_on,
            period=charge.period,
            title=charge.title,
            document_no=charge.document_no,
            corrects=key.entry,
        )
    return Draft(
        key.account,
        Side.CREDIT,
        "correction",
        Money(-difference),
        value_date=charge.issued_on,
        period=charge.period,
        title=charge.title,
        document_no=charge.document_no,
        corrects=key.entry,
    )


def _draft(batch: Batch, accounts: Mapping[str, int], external_id: str, data: BaseModel, version: int = 1) -> Draft:
    entering = _entering(data)
    return entering.draft(
        accounts[entering.customer_no], source=batch.source, external_id=external_id, external_version=version
    )


def _entering(data: BaseModel) -> Entering:
    assert isinstance(data, ChargeRow | PaymentRow)  # noqa: S101  the engine validates by the record's model
    return data


# --- rolling back ---------------------------------------------------------------------------------------------------

STANDING_SQL: Final[LiteralString] = """
select distinct on (e.account_id, e.external_id)
       e.account_id, e.external_id, e.kind, e.issued_on, e.due_on, e.value_date, e.paid_on, e.period, e.title,
       e.document_no, e.channel,
       e.state = 'draft' or (e.state = 'approved' and not exists (
           select from payments.entry r
           where r.account_id = e.account_id and r.reverses = e.id and r.state <> 'voided')) as stands,
       (e.amount + coalesce((
           select sum(case k.side when 'charge' then k.amount else -k.amount end) from payments.entry k
           where k.account_id = e.account_id and k.corrects = e.id and k.state <> 'voided' and not exists (
               select from payments.entry r
               where r.account_id = k.account_id and r.reverses = k.id and r.state <> 'voided')
       ), 0))::bigint as amount
from payments.entry e
where e.account_id = any ($3::bigint[]) and e.source = $1 and e.external_id = any ($2::text[])
order by e.account_id, e.external_id, e.external_version desc
"""
"""The newest entry of each source row with what corrections made of its amount."""


async def revert(conn: Connection, batch: Batch) -> list[str]:
    """Undo what ``apply`` booked for a batch: new entries are reversed, corrected ones corrected back, reversed ones
    entered again. Rows whose entries people reversed, corrected or edited since stay; their keys.
    """
    accounts = await _accounts(conn, batch)
    keys = [row.external_id for row in (*batch.new, *batch.changed, *batch.missing)]
    rows = await conn.fetch(STANDING_SQL, batch.source, keys, list(accounts.values()))
    known = {(row["account_id"], row["external_id"]): row for row in rows}

    def is_as_applied(external_id: str, data: BaseModel) -> bool:
        entering = _entering(data)
        account = accounts[entering.customer_no]
        return _is_like(known.get((account, external_id)), entering.draft(account))

    def stands(external_id: str, data: BaseModel) -> bool:
        row = known.get((accounts[_entering(data).customer_no], external_id))
        return row is not None and row["stands"]

    new = [row for row in batch.new if is_as_applied(row.external_id, row.data)]
    changed = [row for row in batch.changed if is_as_applied(row.external_id, row.after)]
    missing = [row for row in batch.missing if not stands(row.external_id, row.data)]
    back = [SourceChange(row.external_id, row.after, row.before) for row in changed]
    back += [SourceChange(row.external_id, row.data, row.data) for row in missing]
    await apply(conn, replace(batch, new=(), changed=back, missing=new))
    done = {row.external_id for row in (*new, *changed, *missing)}
    return [key for key in keys if key not in done]


def _is_like(row: Row | None, draft: Draft) -> bool:
    """Whether an entry stands as the draft entered it."""
    if row is None or not row["stands"] or row["amount"] != draft.amount.grosze:
        return False
    names = ("kind", "issued_on", "due_on", "value_date", "paid_on", "period", "title", "document_no", "channel")
    return all(row[name] == getattr(draft, name) for name in names)


_AFTER: Final = ("customers.customer",)
RECORDS: Final[Sequence[Record]] = (
    Record("payments.charge", _("Charges"), ChargeRow, apply, _AFTER, "amount", "customer_no", revert),
    Record("payments.payment", _("Payments"), PaymentRow, apply, _AFTER, "amount", "customer_no", revert),
)

"""The SQL of deletions. The functions of the database do them, for a superadministrator in the announced mode only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, Final, LiteralString

from kernel import Connection, Fact, Money, Row, Text, _, audit, audit_many, enqueue, tell_deleted
from plugins.payments import store as ledger
from plugins.payments.books import store as books
from plugins.payments.charging import store as charging
from plugins.payments.deleting.model import Doomed
from plugins.payments.refusing import refusing

REFUSALS: Final[Mapping[str, Text]] = {
    **ledger.REFUSALS,
    **books.REFUSALS,
    **charging.REFUSALS,
    "void_too_many": _("More than two thousand entries would be voided. Roll back or reverse them instead."),
    "account_has_transfers": _(
        "Amounts were transferred between this account and another one. Void or reverse these transfers first."
    ),
    "note_deleted": _("This note was deleted already."),
    "charge_list_state": _("Nothing of this list is in the ledger, or it was deleted already."),
    "charge_list_forgotten": _(
        "The lines of this list are forgotten by now, so what it became is not known. Void its charges one by one."
    ),
    "transfer_halved": _("The two entries of a transfer can only be approved, reversed or voided together."),
}
"""What the database refuses (constraint names), in words."""

refusals: Final = partial(refusing, REFUSALS)

# --- what would go ---------------------------------------------------------------------------------------------------

ACCOUNT_SQL: Final[LiteralString] = """
select a.id, a.id as account, a.account_no as number, c.name || ', ' || b.name as name, a.customer,
       a.deleted_at is not null as gone, e.entries, e.drafts, e.amount
from payments.account a
join kernel.customer c on c.id = a.customer
join payments.book b on b.id = a.book
cross join lateral (
    select count(*) filter (where e.state = 'approved') as entries, count(*) filter (where e.state = 'draft') as drafts,
           coalesce(sum(e.amount) filter (where e.state = 'approved'), 0)::bigint as amount
    from payments.entry e where e.account_id = a.id and e.state <> 'voided'
) e
where a.id = $1
"""
NOTE_SQL: Final[LiteralString] = """
select n.id, n.account_id as account, n.note_no as number, c.name, a.customer, n.deleted_at is not null as gone,
       e.entries, 0 as drafts, n.total as amount
from payments.interest_note n
join payments.account a on a.id = n.account_id
join kernel.customer c on c.id = a.customer
cross join lateral (
    select count(*) as entries from payments.interest_note_line l
    join payments.entry e on e.account_id = l.account_id and e.id = l.entry
    where l.account_id = n.account_id and l.note = n.id and e.state = 'approved'
) e
where n.id = $1
"""
RUN_SQL: Final[LiteralString] = """
select r.id, 0 as account, r.id::text as number, s.name || ', ' || r.period as name, null::bigint as customer,
       r.state <> 'approved' as gone, r.accounts as entries, 0 as drafts, r.amount
from payments.charge_run r join payments.fee_schedule s on s.id = r.schedule
where r.id = $1
"""
LIST_SQL: Final[LiteralString] = """
select b.id, 0 as account, b.id::text as number, b.name, null::bigint as customer, b.state <> 'entered' as gone,
       e.entries, e.drafts, e.amount
from payments.charge_batch b
cross join lateral (
    select count(*) filter (where e.state = 'approved') as entries, count(*) filter (where e.state = 'draft') as drafts,
           coalesce(sum(e.amount) filter (where e.state = 'approved'), 0)::bigint as amount
    from payments.charge_batch_line l join payments.entry e on e.account_id = l.account_id and e.id = l.entry
    where l.batch = b.id
) e
where b.id = $1
"""


async def account(conn: Connection, number: int) -> Doomed | None:
    """An account with what would be voided on it, or None."""
    return _doomed(await conn.fetchrow(ACCOUNT_SQL, number))


async def note(conn: Connection, number: int) -> Doomed | None:
    """An interest note, or None."""
    return _doomed(await conn.fetchrow(NOTE_SQL, number))


async def run(conn: Connection, number: int) -> Doomed | None:
    """A charge run, or None; only an approved one can be deleted."""
    return _doomed(await conn.fetchrow(RUN_SQL, number))


async def charge_list(conn: Connection, number: int) -> Doomed | None:
    """A list of charges, or None; only an entered one can be deleted here."""
    return _doomed(await conn.fetchrow(LIST_SQL, number))


def _doomed(row: Row | None) -> Doomed | None:
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    values["amount"] = Money(values["amount"])
    return Doomed(**values)


# --- deleting --------------------------------------------------------------------------------------------------------

DELETE_ACCOUNT_SQL: Final[LiteralString] = """
select account_id, id, customer, kind, amount, title, is_outside from payments.delete_account($1, $2, $3)
"""
DELETE_NOTE_SQL: Final[LiteralString] = "select payments.delete_note($1, $2, $3)"
DELETE_RUN_SQL: Final[LiteralString] = """
select account_id, id, customer, kind, amount, title, is_outside from payments.delete_run($1, $2)
"""
DELETE_LIST_SQL: Final[LiteralString] = """
select account_id, id, customer, kind, amount, title, is_outside from payments.delete_list($1, $2)
"""
HALVES_SQL: Final[LiteralString] = "set constraints payments.check_transfer immediate"
TOMBSTONE_SQL: Final[LiteralString] = """
select subject, number, customer, facts from kernel.tombstone where verb = $1 order by id desc limit 1
"""


async def delete_account(conn: Connection, doomed: Doomed, reason: str, today: date) -> None:
    """Delete an account: what is approved on it is voided, its drafts go, its number stays taken; audited. Raises
    Refused."""
    with refusals():
        voided = await conn.fetch(DELETE_ACCOUNT_SQL, doomed.id, reason, today)
    await _told(conn, "payments.account_deleted", reason, voided)


async def delete_note(conn: Connection, doomed: Doomed, reason: str, _today: date) -> None:
    """Delete an interest note: the interest it booked is voided, its number stays taken; audited. Raises Refused."""
    with refusals():
        await conn.execute(DELETE_NOTE_SQL, doomed.account, doomed.id, reason)
    await _told(conn, "payments.note_deleted", reason, ())


async def delete_run(conn: Connection, doomed: Doomed, reason: str, _today: date) -> None:
    """Delete an approved charge run: its charges are voided, the month may be charged again; audited. Raises
    Refused."""
    with refusals():
        voided = await conn.fetch(DELETE_RUN_SQL, doomed.id, reason)
    await _told(conn, "payments.run_deleted", reason, voided)


async def delete_list(conn: Connection, doomed: Doomed, reason: str, _today: date) -> None:
    """Delete a list of charges: what of it is approved is voided, its drafts go; audited. Raises Refused."""
    with refusals():
        voided = await conn.fetch(DELETE_LIST_SQL, doomed.id, reason)
    await _told(conn, "payments.list_deleted", reason, voided)


async def _told(conn: Connection, verb: str, reason: str, voided: Sequence[Row]) -> None:
    """Write the history, tell the other superadministrators, and let policies of other plugins allocate again."""
    with refusals():
        await conn.execute(HALVES_SQL)
    await audit_many(
        conn,
        "payments.voided",
        [
            Fact(
                row["customer"],
                f"entry {row['id']}",
                {
                    "entry": row["id"],
                    "kind": row["kind"],
                    "amount": Money(row["amount"]),
                    "title": row["title"],
                    "reason": reason,
                },
            )
            for row in voided
        ],
    )
    outside = sorted({row["account_id"] for row in voided if row["is_outside"]})
    if outside:
        await enqueue(conn, "payments.settle", {"accounts": outside})
    stone = await conn.fetchrow(TOMBSTONE_SQL, verb)
    assert stone is not None  # noqa: S101  the function of the database has just left it
    await audit(conn, verb, customer=stone["customer"], subject=stone["subject"], **stone["facts"])
    await tell_deleted(conn, verb, stone["number"], stone["facts"])

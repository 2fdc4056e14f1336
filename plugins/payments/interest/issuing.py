"""Many notes at once: how much interest each account of a book would be noted, and the issuing of their notes.

Counting and issuing are jobs that go through the accounts in batches, each batch in a transaction of its own that moves
``reached`` on: what stops half way goes on where it stopped, and no account is noted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Final, LiteralString

from kernel import Connection, Money, Row
from plugins.payments.accrual.store import BUNDLED, Regimes, claims
from plugins.payments.interest import notes

AT_ONCE: Final = 200
"""Accounts of one batch."""


@dataclass(frozen=True, slots=True)
class Terms:
    """For which accounts notes are issued, and how. ``customer_kind``: person, company, or empty for both."""

    book: int
    as_of: date
    pay_days: int
    at_least: Money
    customer_kind: str = ""


@dataclass(frozen=True, slots=True)
class Issuing:
    """An issuing as it stands. ``state``: counting, ready, issuing, issued. ``found`` accounts have ``amount`` to note,
    for ``noted`` of them a note was issued, of ``noted_amount`` together."""

    id: int
    terms: Terms
    book_name: str
    state: str
    looked_at: int
    accounts: int
    found: int
    amount: Money
    noted: int
    noted_amount: Money
    trouble: str
    created_by: str
    created_at: datetime

    @property
    def is_working(self) -> bool:
        return self.state in ("counting", "issuing")


BOOKS_SQL: Final[LiteralString] = """
select b.id, b.name, b.interest_regime <> 'none' and not b.is_mirror as may_note from payments.book b order by b.id
"""


async def books(conn: Connection) -> list[tuple[int, str]]:
    """The books whose accounts may get notes: id and name."""
    return [(row["id"], row["name"]) for row in await conn.fetch(BOOKS_SQL) if row["may_note"]]


BEGIN_SQL: Final[LiteralString] = """
insert into payments.interest_issuing (book, as_of, pay_days, at_least, customer_kind, accounts)
select $1, $2, $3, $4, $5, count(*) from payments.account a join kernel.customer c on c.id = a.customer
where a.book = $1 and a.closed_on is null and ($5 = '' or c.kind = $5) and c.status <> 'deceased'
returning id
"""


async def begin(conn: Connection, terms: Terms) -> int:
    """Keep the terms of a new issuing; its number."""
    return await conn.fetchval(
        BEGIN_SQL, terms.book, terms.as_of, terms.pay_days, terms.at_least.grosze, terms.customer_kind
    )


ISSUING_SQL: Final[LiteralString] = """
select i.*, b.name as book_name, coalesce(u.name, i.created_by, '') as creator
from payments.interest_issuing i
join payments.book b on b.id = i.book
left join kernel.users u on u.id = case when i.created_by ~ '^[0-9]{1,18}$' then i.created_by::bigint end
where i.id = $1
"""


async def issuing(conn: Connection, number: int) -> Issuing | None:
    """An issuing with its sums; None when there is none."""
    row = await conn.fetchrow(ISSUING_SQL, number)
    return _issuing(row) if row else None


def _issuing(row: Row) -> Issuing:
    return Issuing(
        id=row["id"],
        terms=Terms(row["book"], row["as_of"], row["pay_days"], Money(row["at_least"]), row["customer_kind"]),
        book_name=row["book_name"],
        state=row["state"],
        looked_at=row["looked_at"],
        accounts=row["accounts"],
        found=row["found"],
        amount=Money(row["amount"]),
        noted=row["noted"],
        noted_amount=Money(row["noted_amount"]),
        trouble=row["trouble"],
        created_by=row["creator"],
        created_at=row["created_at"],
    )


MOVE_SQL: Final[LiteralString] = """
update payments.interest_issuing set state = $3, reached = 0, looked_at = 0, trouble = $4
where id = $1 and state = $2
returning id
"""


async def move(conn: Connection, number: int, before: str, after: str, trouble: str = "") -> bool:
    """Bring an issuing from one state to the next; False when somebody did already."""
    return await conn.fetchval(MOVE_SQL, number, before, after, trouble) is not None


DISCARD_SQL: Final[LiteralString] = """
delete from payments.interest_issuing i
where i.id = $1 and i.state in ('counting', 'ready') and not exists (
    select from payments.interest_issuing_account x where x.issuing = i.id and x.note is not null)
returning i.id
"""


async def discard(conn: Connection, number: int) -> bool:
    """Forget an issuing of which no note was issued."""
    return await conn.fetchval(DISCARD_SQL, number) is not None


# --- the work -------------------------------------------------------------------------------------------------------

HOLD_SQL: Final[LiteralString] = """
select book, as_of, pay_days, at_least, customer_kind, reached
from payments.interest_issuing where id = $1 and state = $2 for update
"""
NEXT_SQL: Final[LiteralString] = """
select a.id from payments.account a join kernel.customer c on c.id = a.customer
where a.book = $1 and a.id > $2 and a.closed_on is null and ($3 = '' or c.kind = $3) and c.status <> 'deceased'
order by a.id limit $4
"""
ADVANCE_SQL: Final[LiteralString] = """
update payments.interest_issuing
set reached = $2, looked_at = looked_at + $3, found = found + $4, amount = amount + $5, noted = noted + $6,
    noted_amount = noted_amount + $7
where id = $1
"""
FOUND_SQL: Final[LiteralString] = """
insert into payments.interest_issuing_account (account_id, issuing, charges, amount)
select account_id, $1, charges, amount
from unnest($2::bigint[], $3::integer[], $4::bigint[]) f (account_id, charges, amount)
"""
TO_NOTE_SQL: Final[LiteralString] = """
select x.account_id from payments.interest_issuing_account x join payments.account a on a.id = x.account_id
where x.issuing = $1 and x.account_id > $2 and x.note is null and a.closed_on is null
order by x.account_id limit $3
"""
NOTED_SQL: Final[LiteralString] = """
update payments.interest_issuing_account x set note = n.note
from unnest($2::bigint[], $3::bigint[]) n (account_id, note)
where x.account_id = n.account_id and x.issuing = $1
"""


async def count_next(conn: Connection, number: int, today: date, foreign: Regimes = BUNDLED) -> bool:
    """Look at the next accounts of an issuing that counts; False when there are none left."""
    held = await conn.fetchrow(HOLD_SQL, number, "counting")
    if held is None:
        return False
    accounts = [
        row["id"] for row in await conn.fetch(NEXT_SQL, held["book"], held["reached"], held["customer_kind"], AT_ONCE)
    ]
    if not accounts:
        await move(conn, number, "counting", "ready")
        return False
    every = await claims(conn, accounts, held["as_of"], demanded_on=today, foreign=foreign)
    found = [claim for claim in every if claim.may_be_noted]
    by_account = [(account, list(lines)) for account, lines in groupby(found, key=lambda claim: claim.account)]
    worth = [
        (account, len(lines), notes.note_total(lines).grosze)
        for account, lines in by_account
        if notes.note_total(lines).grosze >= held["at_least"]
    ]
    await conn.execute(FOUND_SQL, number, *([row[place] for row in worth] for place in range(3)))
    amount = sum(grosze for _account, _charges, grosze in worth)
    await conn.execute(ADVANCE_SQL, number, accounts[-1], len(accounts), len(worth), amount, 0, 0)
    return True


async def issue_next(conn: Connection, number: int, today: date, foreign: Regimes = BUNDLED) -> bool:
    """Issue the notes of the next accounts that were found; False when there are none left.

    What changed since they were counted counts as it is now. Raises Refused when the ledger does not take them.
    """
    held = await conn.fetchrow(HOLD_SQL, number, "issuing")
    if held is None:
        return False
    accounts: Sequence[int] = [
        row["account_id"] for row in await conn.fetch(TO_NOTE_SQL, number, held["reached"], AT_ONCE)
    ]
    if not accounts:
        await move(conn, number, "issuing", "issued")
        return False
    issued = await notes.issue(
        conn,
        accounts,
        held["as_of"],
        today,
        held["pay_days"],
        at_least=Money(held["at_least"]),
        foreign=foreign,
    )
    await conn.execute(NOTED_SQL, number, [note.account for note in issued], [note.id for note in issued])
    total = Money.total(note.total for note in issued)
    await conn.execute(ADVANCE_SQL, number, accounts[-1], len(accounts), 0, 0, len(issued), total.grosze)
    return True

"""Whose account a typed number means: an account's own number, or a customer's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, LiteralString

from kernel import Connection, Row, Text, _
from plugins.payments import store as ledger

PROBLEMS: Final[Mapping[str, Text]] = {
    "unknown": _("There is no customer and no account with this number"),
    "several": _("This customer has several accounts. Write the number of one of them."),
    "closed": _("This account or its customer is closed"),
    "none": _("This customer has no account in this book"),
    "mirror": _("This account belongs to another system, which alone charges it"),
}
"""Why a number stands for no account that can be charged."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a number means: an ``account`` with its ``customer``; or, without an account, a customer whose account in
    the book «main» is still to be opened; or a ``problem`` (a key of ``PROBLEMS``). ``numbers`` are those of a
    customer's accounts where there are several."""

    account: int | None = None
    customer: int | None = None
    problem: str = ""
    numbers: tuple[str, ...] = ()


RESOLVE_SQL: Final[LiteralString] = """
select n.number, c.id as customer, c.status = 'closed' as is_closed,
       coalesce($2 = (select id from payments.book where code = 'main'), true) as is_main,
       (select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'no', a.account_no, 'customer', a.customer,
            'closed', a.closed_on is not null or k.status = 'closed', 'mirror', b.is_mirror) order by a.id), '[]')
        from payments.account a join payments.book b on b.id = a.book join kernel.customer k on k.id = a.customer
        where a.account_no = n.number and a.deleted_at is null and ($2::bigint is null or a.book = $2)) as named,
       (select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'no', a.account_no, 'customer', a.customer,
            'closed', a.closed_on is not null or c.status = 'closed', 'mirror', b.is_mirror) order by a.id), '[]')
        from payments.account a join payments.book b on b.id = a.book
        where a.customer = c.id and a.deleted_at is null and ($2::bigint is null or a.book = $2)) as owned
from unnest($1::text[]) n (number)
left join kernel.customer c on c.customer_no = n.number
"""


async def resolved(conn: Connection, numbers: Iterable[str], book: int | None = None) -> dict[str, Resolved]:
    """What each number means in a book (None: in any): an account's number is stronger than a customer's."""
    rows = await conn.fetch(RESOLVE_SQL, sorted(number for number in set(numbers) if number), book)
    return {row["number"]: _resolved(row) for row in rows}


def _resolved(row: Row) -> Resolved:
    found = row["named"] if len(row["named"]) == 1 else row["owned"]
    usable = [one for one in found if not one["closed"] and not one["mirror"]]
    if len(usable) == 1:
        return Resolved(usable[0]["id"], usable[0]["customer"])
    if len(usable) > 1:
        return Resolved(problem="several", numbers=tuple(one["no"] for one in usable))
    if found:
        return Resolved(problem="mirror" if found[0]["mirror"] else "closed")
    if row["customer"] is None:
        return Resolved(problem="unknown" if not row["named"] else "several")
    if row["is_closed"]:
        return Resolved(problem="closed")
    return Resolved(customer=row["customer"]) if row["is_main"] else Resolved(problem="none")


async def opened(conn: Connection, found: Mapping[str, Resolved], today: date) -> dict[str, Resolved]:
    """The same with the accounts that were still to be opened."""
    missing = [one.customer for one in found.values() if one.account is None and one.customer is not None]
    accounts = await ledger.open_accounts(conn, missing, today) if missing else {}
    return {
        number: Resolved(accounts[one.customer], one.customer) if one.customer in accounts else one
        for number, one in found.items()
    }

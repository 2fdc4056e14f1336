"""The statements of groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from kernel import Connection, Row
from plugins.customers.groups.model import Rule


@dataclass(frozen=True, slots=True)
class Group:
    """A group; ``rule`` is None where members are put in by hand."""

    id: int
    name: str
    note: str
    rule: Rule | None


GROUP_SQL: Final[LiteralString] = "select id, name, note, rule from customers.customer_group where id = $1"


async def group(conn: Connection, number: int) -> Group | None:
    """One group, or None."""
    row = await conn.fetchrow(GROUP_SQL, number)
    return group_of(row) if row else None


def group_of(row: Row) -> Group:
    """A group from its row."""
    rule = None if row["rule"] is None else Rule.model_validate(row["rule"])
    return Group(row["id"], row["name"], row["note"], rule)


BY_HAND_SQL: Final[LiteralString] = """
select id, name from customers.customer_group where rule is null order by kernel.pl_sort(name) collate "C" limit 200
"""


async def by_hand(conn: Connection) -> list[tuple[int, str]]:
    """Groups that members are put into: id and name, in the order of the alphabet."""
    return [(row["id"], row["name"]) for row in await conn.fetch(BY_HAND_SQL)]


NAME_TAKEN_SQL: Final[LiteralString] = """
select exists (
    select from customers.customer_group
    where kernel.pl_sort(name) collate "C" = kernel.pl_sort($1) and id is distinct from $2
)
"""


async def name_taken(conn: Connection, name: str, but: int | None = None) -> bool:
    """Whether another group has this name."""
    return await conn.fetchval(NAME_TAKEN_SQL, name, but)


ADD_SQL: Final[LiteralString] = """
insert into customers.customer_group (name, note, rule) values ($1, $2, $3) returning id
"""


async def add(conn: Connection, name: str, note: str, rule: Rule | None) -> int:
    """A new group; the id."""
    return await conn.fetchval(ADD_SQL, name, note, _kept(rule))


CHANGE_SQL: Final[LiteralString] = """
update customers.customer_group set name = $2, note = $3, rule = $4 where id = $1
"""


async def change(conn: Connection, number: int, name: str, note: str, rule: Rule | None) -> None:
    """Write a group's name, note and rule."""
    await conn.execute(CHANGE_SQL, number, name, note, _kept(rule))


def _kept(rule: Rule | None) -> object:
    return None if rule is None else rule.model_dump(mode="json")


REMOVE_SQL: Final[LiteralString] = "delete from customers.customer_group where id = $1"


async def remove(conn: Connection, number: int) -> None:
    """Delete a group; its members stay customers."""
    await conn.execute(REMOVE_SQL, number)


PUT_SQL: Final[LiteralString] = """
insert into customers.group_member (in_group, customer)
select g.id, c.id from customers.customer_group g, kernel.customer c
where g.id = $1 and g.rule is null and c.id = any($2::bigint[])
order by c.id
on conflict do nothing
returning customer
"""


async def put(conn: Connection, number: int, customers: Sequence[int]) -> int:
    """Put customers into a group; how many were not in it before."""
    return len(await conn.fetch(PUT_SQL, number, customers))


NUMBERED_SQL: Final[LiteralString] = "select id, customer_no from kernel.customer where customer_no = any($1::text[])"


async def numbered(conn: Connection, numbers: Sequence[str]) -> dict[str, int]:
    """Customers by number: number → id; unknown numbers are not in it."""
    return {row["customer_no"]: row["id"] for row in await conn.fetch(NUMBERED_SQL, numbers)}


TAKE_SQL: Final[LiteralString] = """
delete from customers.group_member where in_group = $1 and customer = any($2::bigint[]) returning customer
"""


async def take(conn: Connection, number: int, customers: Sequence[int]) -> int:
    """Take customers out of a group; how many."""
    return len(await conn.fetch(TAKE_SQL, number, customers))


OF_CUSTOMER_SQL: Final[LiteralString] = """
select g.id, g.name, m.customer is not null as is_member
from customers.customer_group g
left join customers.group_member m on m.in_group = g.id and m.customer = $1
where g.rule is null
order by kernel.pl_sort(g.name) collate "C"
limit 200
"""


async def of_customer(conn: Connection, customer: int) -> Sequence[Row]:
    """Groups put together by hand, and whether the customer is in each."""
    return await conn.fetch(OF_CUSTOMER_SQL, customer)

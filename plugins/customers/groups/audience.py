"""The port's implementation: members of a group, page by page in a stable order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, LiteralString

from kernel import NOBODY, Connection, CustomerSet, Site
from plugins.customers.groups import store
from plugins.customers.groups.model import PLACES, members_select
from plugins.customers.groups.store import Group

NAMED_SQL: Final[LiteralString] = """
select id, name from customers.customer_group order by kernel.pl_sort(name) collate "C" limit 500
"""


CHOSEN_SQL: Final[LiteralString] = """
select id, name, note, case when id = $1 then rule end as rule
from (
    select * from customers.customer_group
    order by id is distinct from $1, kernel.pl_sort(name) collate "C" limit 500
) one
order by kernel.pl_sort(name) collate "C"
"""


class KeptGroups:
    """Groups of the register."""

    permission: Final = "customers.view"

    async def chosen(
        self, site: Site, conn: Connection, group: int | None
    ) -> tuple[Sequence[tuple[int, str]], CustomerSet | None]:
        rows = await conn.fetch(CHOSEN_SQL, group)
        names = [(row["id"], row["name"]) for row in rows]
        if group is None:
            return names, None
        found = next((store.group_of(row) for row in rows if row["id"] == group), None)
        return names, NOBODY if found is None else _members(found, site)

    async def named(self, conn: Connection) -> Sequence[tuple[int, str]]:
        return [(row["id"], row["name"]) for row in await conn.fetch(NAMED_SQL)]

    async def members(
        self, site: Site, conn: Connection, group: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[int]:
        found = await store.group(conn, group)
        if found is None:
            raise LookupError("no such group")
        select, args = members_select(found.id, found.rule, (), site.clock.today(), site.registry.customer_fields)
        place = len(args)
        statement: LiteralString = (  # literals only, which the type checker proves
            f"select id from ({select}) member where id > {PLACES[place]} order by id limit {PLACES[place + 1]}"  # noqa: S608
        )
        return [row["id"] for row in await conn.fetch(statement, *args, after, limit)]


def _members(group: Group, site: Site) -> CustomerSet:
    """A group's members as a part of somebody's statement."""
    on, known = site.clock.today(), site.registry.customer_fields

    def select(places: Sequence[LiteralString]) -> LiteralString:
        members, _args = members_select(group.id, group.rule, (), on, known, places)
        return "select id from (" + members + ") member"  # noqa: S608  literals only

    return CustomerSet(select, members_select(group.id, group.rule, (), on, known)[1])

"""The port's implementation: members of a group, page by page in a stable order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, LiteralString

from kernel import Connection, Site
from plugins.customers.groups import store
from plugins.customers.groups.model import PLACES, members_select

NAMED_SQL: Final[LiteralString] = """
select id, name from customers.customer_group order by kernel.pl_sort(name) collate "C" limit 500
"""


class KeptGroups:
    """Groups of the register."""

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

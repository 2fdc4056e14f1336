"""What lists remember of a person: filters and order, columns, density; and lists kept under a name.

It comes with the session, so a page asks nothing more for it. A list writes it down when its address says ``own=1``,
which the list's own filters and headings do and links from elsewhere do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from aiohttp import web

from kernel.db.connection import Connection

MOST_VIEWS: Final = 100
"""Kept by one person."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How a person left a list. ``hidden`` names columns; ``opens`` is the view that opens where nothing is asked."""

    query: str = ""
    hidden: frozenset[str] = frozenset()
    is_dense: bool = False
    opens: int | None = None


@dataclass(frozen=True, slots=True)
class SavedView:
    """A list kept under a name; ``is_own`` tells it from one that a colleague shares."""

    id: int
    list: str
    name: str
    query: str
    hidden: frozenset[str]
    is_shared: bool
    is_own: bool


@dataclass(frozen=True, slots=True)
class Remembered:
    """Everything that lists know of the person of a request."""

    memories: Mapping[str, Memory]
    views: Sequence[SavedView]

    def memory(self, name: str) -> Memory:
        """How the person left the list at this address (``/admin/accounts/{account}``)."""
        return self.memories.get(name, Memory())

    def views_of(self, name: str) -> list[SavedView]:
        """What is kept of the list at this address: one's own first."""
        return [view for view in self.views if view.list == name]


REMEMBERED: Final = web.RequestKey("remembered", Remembered)
"""Present where a person of the office has a session."""


def read(lists: Mapping[str, Sequence[Any]] | None, views: Sequence[Sequence[Any]] | None) -> Remembered:
    """The session's row as values."""
    return Remembered(
        {
            name: Memory(query, frozenset(hidden), is_dense, opens)
            for name, (query, hidden, is_dense, opens) in (lists or {}).items()
        },
        [
            SavedView(number, list_, name, query, frozenset(hidden), is_shared, is_own)
            for number, list_, name, query, hidden, is_shared, is_own in views or ()
        ],
    )


LEAVE_SQL: Final[LiteralString] = """
insert into kernel.list_memory (user_id, list, query) values ($1, $2, $3)
on conflict (user_id, list) do update set query = excluded.query
"""


async def leave(conn: Connection, user: int, name: str, query: str) -> None:
    """Write down the filters and the order in which a person leaves a list."""
    await conn.execute(LEAVE_SQL, user, name, query)


LOOK_SQL: Final[LiteralString] = """
insert into kernel.list_memory (user_id, list, hidden, is_dense) values ($1, $2, $3, $4)
on conflict (user_id, list) do update set hidden = excluded.hidden, is_dense = excluded.is_dense
"""


async def set_look(conn: Connection, user: int, name: str, hidden: Sequence[str], *, is_dense: bool) -> None:
    """Write down which columns a person hides, and how close the rows stand."""
    await conn.execute(LOOK_SQL, user, name, hidden, is_dense)


OPEN_SQL: Final[LiteralString] = """
insert into kernel.list_memory (user_id, list, opens)
select $1, $2, (select id from kernel.list_view where id = $3 and list = $2 and (owner = $1 or is_shared))
on conflict (user_id, list) do update set opens = excluded.opens
"""


async def set_opens(conn: Connection, user: int, name: str, view: int | None) -> None:
    """Choose which view opens first; None, or a view that is not there, for none."""
    await conn.execute(OPEN_SQL, user, name, view)


KEEP_SQL: Final[LiteralString] = """
insert into kernel.list_view (owner, list, name, query, hidden, is_shared)
select $1, $2, $3, $4, $5, $6
where (select count(*) from kernel.list_view where owner = $1) < $7
   or exists (select from kernel.list_view where owner = $1 and list = $2 and name = $3)
on conflict (owner, list, name) do update
set query = excluded.query, hidden = excluded.hidden, is_shared = excluded.is_shared
returning id
"""


async def keep(
    conn: Connection, user: int, name: str, title: str, query: str, hidden: Sequence[str], *, is_shared: bool
) -> int | None:
    """Keep a list under a title, or write over one's own of the same title; the id. None where too many are kept."""
    return await conn.fetchval(KEEP_SQL, user, name, title, query, hidden, is_shared, MOST_VIEWS)


DROP_SQL: Final[LiteralString] = "delete from kernel.list_view where id = $1 and owner = $2 returning id"


async def drop(conn: Connection, user: int, view: int) -> bool:
    """Delete one's own view; False when there is none."""
    return await conn.fetchval(DROP_SQL, view, user) is not None

"""A group that the customer is put into, and one by a rule."""

from __future__ import annotations

from kernel import Connection
from plugins.customers.groups import store
from plugins.customers.groups.model import Rule


async def furnish(conn: Connection, customer: int) -> dict[str, list[str]]:
    """Groups for the routes of groups."""
    by_hand = await store.add(conn, f"Zarząd {customer}", "", None)
    await store.put(conn, by_hand, [customer])
    by_rule = await store.add(conn, f"Budynek 5, {customer}", "", Rule(building="5"))
    return {"group": [str(by_hand), str(by_rule)]}

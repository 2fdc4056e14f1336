"""Exports narrowed to a group of customers, where a plugin keeps groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from kernel import NOBODY, Connection, CustomerGroups, Refused, Site, _
from plugins.exports.model import GROUP, Order


def groups_of(site: Site) -> CustomerGroups | None:
    """Who keeps the groups of the organisation; None when nobody does."""
    return cast(CustomerGroups | None, site.registry.services.get(CustomerGroups))


async def offered(site: Site, conn: Connection) -> Sequence[tuple[str, str]]:
    """The groups to choose from: id and name."""
    groups = groups_of(site)
    names, _members = await groups.chosen(site, conn, None) if groups else ((), None)
    return [(str(number), name) for number, name in names]


async def within(site: Site, conn: Connection, order: Order, typed: Mapping[str, str]) -> Order:
    """The order narrowed to the group that was typed by id or name. Raises Refused where there is no such group."""
    wanted = typed.get(GROUP, "").strip()
    if not wanted or not order.export.customer:
        return order
    groups = groups_of(site)
    if groups is None:
        raise Refused(_("There is no such group"), field=GROUP)
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 19):
        names, _members = await groups.chosen(site, conn, None)
        wanted = next((str(number) for number, name in names if name == wanted), "0")
    names, members = await groups.chosen(site, conn, int(wanted))
    if members is None or members is NOBODY:
        raise Refused(_("There is no such group"), field=GROUP)
    return replace(order, group=(int(wanted), dict(names).get(int(wanted), ""), members))

"""Handovers of a day to come: kept until then, done by a job on their day, withdrawn by the office before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, LiteralString

from kernel import (
    CONN,
    Connection,
    QueueItem,
    Refused,
    Request,
    Route,
    Row,
    Site,
    Stamp,
    _,
    audit,
    ngettext,
    redirect,
    url,
)
from plugins.customers import store as register
from plugins.customers.premises import handing, store
from plugins.customers.premises.model import Handover, label
from plugins.customers.premises.pages import one
from plugins.customers.words import kept_text, why

DUE_SQL: Final[LiteralString] = """
select d.id, d.premises, d.customer, d.role, d.share, d.since, d.carry, d.created_by
from customers.planned_handover d
where d.state = 'planned' and d.since <= $1 and d.id > $2 order by d.id limit 1
"""
ENDED_SQL: Final[LiteralString] = """
update customers.planned_handover set state = $2, trouble = null where id = $1 and state = 'planned' returning since
"""
TROUBLE_SQL: Final[LiteralString] = """
update customers.planned_handover set trouble = $2 where id = $1 and state = 'planned' and trouble is distinct from $2
"""
LATE_SQL: Final[LiteralString] = """
select count(*) as count, min(premises) as premises from customers.planned_handover
where state = 'planned' and trouble is not null
"""


async def due(conn: Connection, today: date, after: int) -> Row | None:
    """The next handover whose day has come; None: there is no more."""
    return await conn.fetchrow(DUE_SQL, today, after)


async def late(conn: Connection) -> Row:
    """How many handovers could not take effect on their day, and the premises of one."""
    row = await conn.fetchrow(LATE_SQL)
    assert row is not None  # noqa: S101  an aggregate without groups is one row
    return row


async def take_effect(site: Site) -> None:
    """Do every handover whose day has come, each in a transaction of its own; safe to repeat.

    What cannot be done (the customer was closed meanwhile, say) keeps waiting, with the reason for the office to see.
    """
    today, after = site.clock.today(), 0
    while True:
        async with site.db.transaction(Stamp("worker")) as conn:
            row = await due(conn, today, after)
        if row is None:
            return
        after = row["id"]
        handover = Handover(*(row[name] for name in ("premises", "customer", "role", "share", "since", "carry")))
        try:
            async with site.db.transaction(Stamp(row["created_by"])) as conn:
                await _do(site, conn, row["id"], handover)
        except Refused as refused:
            async with site.db.transaction(Stamp("worker")) as conn:
                await conn.execute(TROUBLE_SQL, row["id"], kept_text(why(refused)))


async def _do(site: Site, conn: Connection, plan: int, handover: Handover) -> None:
    found = await store.premises(conn, handover.premises, lock=True)
    if found is None or await conn.fetchval(ENDED_SQL, plan, "done") is None:
        return  # withdrawn meanwhile, or done by another worker
    if await register.lock_customer(conn, handover.customer) != "active":
        raise Refused(_("This customer is not active any more"))
    await handing.pass_on(site, conn, found, handover)


async def withdraw(request: Request) -> object:
    """Take a planned handover back before its day: everything stays as it is."""
    conn, found = request[CONN], await one(request, lock=True)
    plan = found["plan"]
    if plan is None or await conn.fetchval(ENDED_SQL, plan.id, "withdrawn") is None:
        raise Refused(_("No handover of these premises is planned"))
    await audit(
        conn,
        "customers.handover_withdrawn",
        customer=plan.handover.customer,
        subject=f"premises {found['id']}",
        place=label(found),
        since=plan.handover.since,
    )
    return redirect(request, "customers.premises", premises=found["id"], flash=_("The planned handover is withdrawn"))


async def turn(site: Site, payload: Mapping[str, Any]) -> None:
    """The job of every hour: handovers whose day has come, then the premises in which a period began or ended."""
    await take_effect(site)
    today = site.clock.today()
    async with site.db.transaction(Stamp("worker")) as conn:
        await store.settle(conn, await store.turning(conn, today), today)


async def queue(request: Request) -> list[QueueItem]:
    """Handovers that could not take effect on their day."""
    row = await late(request[CONN])
    if not row["count"]:
        return []
    words = ngettext("{count} handover did not take effect", "{count} handovers did not take effect", row["count"])
    return [QueueItem(words, row["count"], url(request, "customers.premises", premises=row["premises"]), 30)]


ROUTES: Final[Sequence[Route]] = (
    Route(
        "POST",
        r"/admin/premises/{premises:\d+}/hand-over/withdraw",
        withdraw,
        "customers.change",
        "customers.withdraw_handover",
    ),
)

"""The work of runs that nobody waits for: computing, approving, rolling back. Every job is safe to repeat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kernel import Connection, Job, Refused, Site, Stamp, audit, enqueue
from plugins.payments import store as ledger
from plugins.payments.charging import store
from plugins.payments.charging.model import title_of

AT_ONCE: Final = 2_000
"""Accounts between two words about progress."""


async def start(conn: Connection, kind: str, run: int, actor: int | None) -> None:
    """Have the work of a kind done for a run, in the name of who asked for it."""
    await enqueue(conn, kind, {"run": run, "actor": str(actor or "")})


async def compute(site: Site, payload: Mapping[str, Any]) -> None:
    """Compute a run's preview. One that was discarded or computed meanwhile is left alone."""
    async with site.db.transaction(Stamp("worker")) as conn:
        run = await store.run(conn, payload["run"])
        found = await store.schedule(conn, run.schedule) if run else None
        if run is None or found is None:
            return
        schedule = found[0]
        issued_on, due_on = schedule.terms.issued_on(run.month), schedule.terms.due_on(run.month)
        await store.compute(conn, run.id, title_of(schedule.title, run.month), issued_on, due_on)


async def approve(site: Site, payload: Mapping[str, Any]) -> None:
    """Make the charges of a run and approve them, all in one transaction.

    What the ledger refuses (a closed month) leaves the run as it was, with the reason.
    """
    number, stamp = payload["run"], Stamp(payload["actor"])
    try:
        async with site.db.transaction(stamp) as conn:
            if await store.claim(conn, number) != "approving":
                return
            done, after = 0, 0
            while keys := await store.book(conn, number, after, AT_ONCE):
                await ledger.approve(conn, keys, site.clock.today())
                after, done = keys[-1].account, done + len(keys)
                await _tell(site, number, done)
            await store.move(conn, number, "approving", "approved")
            run = await store.run(conn, number)
            assert run is not None  # noqa: S101  it is claimed
            await audit(
                conn,
                "payments.run_approved",
                subject=f"charge-run {number}",
                schedule=run.schedule_name,
                period=run.month.short,
                accounts=run.accounts,
                amount=run.amount,
            )
    except Refused as refused:
        await _back(site, stamp, number, "approving", "ready", refused)


async def roll_back(site: Site, payload: Mapping[str, Any]) -> None:
    """Reverse every charge of an approved run that still counts, all in one transaction.

    Where two people are needed, the reversals are entered by who asked and approved by who confirmed.
    """
    number, stamp = payload["run"], Stamp(payload["actor"])
    try:
        async with site.db.transaction(stamp) as conn:
            if await store.claim(conn, number) != "rolling_back":
                return
            run = await store.run(conn, number)
            assert run is not None  # noqa: S101  it is claimed
            done, after = 0, 0
            while charges := await store.booked(conn, number, after, AT_ONCE):
                waiting = [one.reversal for one in charges if one.reversal is not None and not one.is_reversed]
                standing = [one.key for one in charges if one.reversal is None]
                await store.act_as(conn, run.undo_asker or stamp.actor)
                reversals = await ledger.draft_reversals(conn, standing, run.reason, site.clock.today())
                await store.act_as(conn, stamp.actor)
                await ledger.approve(conn, [*waiting, *reversals], site.clock.today())
                after, done = charges[-1].key.account, done + len(charges)
                await _tell(site, number, done)
            await store.move(conn, number, "rolling_back", "rolled_back", run.reason)
            await audit(
                conn,
                "payments.run_rolled_back",
                subject=f"charge-run {number}",
                schedule=run.schedule_name,
                period=run.month.short,
                accounts=done,
                amount=run.amount,
                reason=run.reason,
            )
    except Refused as refused:
        await _back(site, stamp, number, "rolling_back", "approved", refused)


async def _back(site: Site, stamp: Stamp, number: int, before: str, after: str, refused: Refused) -> None:
    async with site.db.transaction(stamp) as conn:
        await store.move(conn, number, before, after, " ".join(str(note) for note in refused.notes))


async def _tell(site: Site, number: int, done: int) -> None:
    """On a connection of its own: what the work has not committed yet, nobody sees."""
    async with site.db.connection() as conn:
        await store.tell_progress(conn, number, done)


JOBS: Final = (
    Job("payments.charging_compute", compute),
    Job("payments.charging_approve", approve),
    Job("payments.charging_roll_back", roll_back),
)

"""The work of long lists: checking every line, approving all that they became. Safe to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from kernel import Connection, Job, Refused, Site, Stamp, _, enqueue
from plugins.payments import store as ledger
from plugins.payments.charging import accounts
from plugins.payments.charging import list_store as store
from plugins.payments.charging.list_store import Batch
from plugins.payments.charging.reading import Cells, Said, Wrong, read_line

AT_ONCE: Final = 1_000
"""Lines between two words about progress."""
INLINE: Final = 1_000
"""Lines that are checked, and entries that are approved, while somebody waits; more are the work of a job."""

KEPT_DAYS: Final = 90
"""How long the lines of an entered list are kept."""
BEFORE_ISSUE: Final = _("A charge is due on the day of issue or later. Check both days.")


async def begin_check(conn: Connection, number: int, lines: int) -> None:
    """Have a list checked: at once, or by a job when it is long."""
    if lines <= INLINE:
        await check_lines(conn, number, None)
    else:
        await enqueue(conn, "payments.charging_check", {"batch": number})


async def check(site: Site, payload: Mapping[str, Any]) -> None:
    """Check a list. One that was checked or removed meanwhile is left alone."""
    async with site.db.transaction(Stamp("worker")) as conn:
        await check_lines(conn, payload["batch"], site)


async def check_lines(conn: Connection, number: int, site: Site | None) -> None:
    """Read every line of a list that is to be checked. With ``site`` the progress is told to others."""
    if await store.claim(conn, number) != "checking":
        return
    batch = await store.batch(conn, number)
    assert batch is not None  # noqa: S101  it is claimed
    after, done = 0, 0
    while lines := await store.typed_lines(conn, number, after, AT_ONCE):
        said = await asyncio.to_thread(read_lines, lines, batch.columns, batch.due_on, opening=batch.kind == "opening")
        numbers = {one.number for one in said.values() if isinstance(one, Said)}
        whose = await accounts.resolved(conn, numbers, batch.book)
        await store.write_lines(conn, number, _placed(said, whose, batch), whose)
        after, done = lines[-1].number, done + len(lines)
        if site is not None:
            async with site.db.connection() as other:
                await store.tell_progress(other, number, done)
    await store.sum_up(conn, number)


def read_lines(
    lines: Sequence[Cells], columns: Sequence[str], due_on: date | None, *, opening: bool
) -> dict[int, Said | Wrong]:
    """What each line says, by its number."""
    return {line.number: read_line(line, columns, due_on, opening=opening) for line in lines}


def _placed(
    said: Mapping[int, Said | Wrong], whose: Mapping[str, accounts.Resolved], batch: Batch
) -> dict[int, Said | Wrong]:
    """The same, where a number that stands for no account, or a day before the day of issue, is wrong."""
    placed: dict[int, Said | Wrong] = {}
    for line, one in said.items():
        problem = whose[one.number].problem if isinstance(one, Said) else ""
        if problem:
            placed[line] = Wrong(accounts.PROBLEMS[problem].message, "number")
        elif isinstance(one, Said) and one.due_on < batch.issued_on and batch.kind != "opening":
            placed[line] = Wrong(BEFORE_ISSUE.message, "due_on")
        else:
            placed[line] = one
    return placed


async def approve(site: Site, payload: Mapping[str, Any]) -> None:
    """Approve every draft of a list, all in one transaction; what the ledger refuses stays a draft, with the reason."""
    number, stamp = payload["batch"], Stamp(payload["actor"])
    try:
        async with site.db.transaction(stamp) as conn:
            if await store.claim(conn, number) == "approving":
                await ledger.approve(conn, await store.drafts(conn, number), site.clock.today())
                await store.move(conn, number, ["approving"], "entered")
    except Refused as refused:
        async with site.db.transaction(stamp) as conn:
            await store.move(conn, number, ["approving"], "entered", " ".join(str(note) for note in refused.notes))


async def forget(site: Site, payload: Mapping[str, Any]) -> None:
    """Forget what was typed in lists that are long entered: it may name people, and the ledger has what counts."""
    async with site.db.transaction(Stamp("worker")) as conn:
        await store.forget_old_lines(conn, KEPT_DAYS)


JOBS: Final = (
    Job("payments.charging_forget", forget, every=timedelta(days=1)),
    Job("payments.charging_check", check),
    Job("payments.charging_approve_list", approve),
)

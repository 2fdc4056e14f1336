"""The work of interest that nobody waits for. Every job is safe to repeat: it goes on where the last one stopped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, LiteralString

from kernel import Connection, Job, Refused, Site, Stamp, enqueue
from plugins.payments.accrual import store
from plugins.payments.interest import issuing, notes

COUNT: Final = "payments.interest_count"
ISSUE: Final = "payments.interest_issue"
REVIEW: Final = "payments.interest_review"


async def start(conn: Connection, kind: str, number: int, actor: int | None) -> None:
    """Have an issuing counted or issued, in the name of who asked for it."""
    await enqueue(conn, kind, {"issuing": number, "actor": str(actor or "")})


async def count(site: Site, payload: Mapping[str, Any]) -> None:
    """Find the accounts of an issuing with interest to note."""
    foreign, more = store.regimes_of(site), True
    while more:
        async with site.db.transaction(Stamp("worker")) as conn:
            more = await issuing.count_next(conn, payload["issuing"], site.clock.today(), foreign)


async def issue(site: Site, payload: Mapping[str, Any]) -> None:
    """Issue the notes of an issuing. What the ledger refuses (a closed month) stops it, with the reason."""
    foreign, stamp, more = store.regimes_of(site), Stamp(payload["actor"]), True
    try:
        while more:
            async with site.db.transaction(stamp) as conn:
                more = await issuing.issue_next(conn, payload["issuing"], site.clock.today(), foreign)
    except Refused as refused:
        async with site.db.transaction(stamp) as conn:
            await issuing.move(conn, payload["issuing"], "issuing", "ready", " ".join(map(str, refused.notes)))


# --- corrections that are due ---------------------------------------------------------------------------------------

ACCOUNTS_SQL: Final[LiteralString] = """
select a.id from payments.account a where a.id > $1 order by a.id limit $2
"""
CLEAR_SQL: Final[LiteralString] = """
delete from payments.interest_correction_due where account_id > $1 and account_id <= $2
"""
FOUND_SQL: Final[LiteralString] = """
insert into payments.interest_correction_due (account_id, charge, amount)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])
"""


async def review(site: Site, payload: Mapping[str, Any]) -> None:
    """Find interest that was noted for days that fell away since, in all accounts."""
    foreign, after = store.regimes_of(site), 0
    while True:
        async with site.db.transaction(Stamp("worker")) as conn:
            accounts = [row["id"] for row in await conn.fetch(ACCOUNTS_SQL, after, issuing.AT_ONCE)]
            if not accounts:
                return
            due = await notes.corrections_due(conn, accounts, foreign=foreign)
            await conn.execute(CLEAR_SQL, after, accounts[-1])
            await conn.execute(
                FOUND_SQL,
                [one.account for one in due],
                [one.charge for one in due],
                [one.amount.grosze for one in due],
            )
            after = accounts[-1]


JOBS: Final = (
    Job(COUNT, count),
    Job(ISSUE, issue),
    Job(REVIEW, review, every=timedelta(days=1)),
)

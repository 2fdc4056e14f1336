"""What the ledger does in the background: policies of other plugins, and charges that come due without prepayment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import structlog

from kernel import Job, Site, Stamp
from plugins.payments import store
from plugins.payments.allocation import AllocationPolicy, allocate

_log = structlog.get_logger("ebok.payments")


async def settle(site: Site, payload: Mapping[str, Any]) -> None:
    """Allocate accounts by the policy of another plugin; what has been settled already stays as it is."""
    policies: Mapping[str, AllocationPolicy] = site.registry.extensions["payments.allocation_policy"]
    for account in payload["accounts"]:
        async with site.db.transaction(Stamp("worker")) as conn:
            await store.hold(conn, [account])
            for whole in await store.accounts_whole(conn, 0, 1, [account]):
                policy = policies.get(whole.policy)
                if policy is None:
                    _log.warning("no plugin provides the policy of this account", account=account, policy=whole.policy)
                    continue
                found = allocate(whole.entries, policy, whole.pinned, today=whole.reached_on or date.min)
                computed = [one for one in found if one.rule not in ("reversal", "correction")]
                await store.impose(conn, account, [one for one in computed if one not in whole.pinned])


async def reach(site: Site, payload: Mapping[str, Any]) -> None:
    """Let charges that have come due meet the credits that waited for them."""
    async with site.db.transaction(Stamp("worker")) as conn:
        await store.reach(conn, site.clock.today())


JOBS: Final = (
    Job("payments.settle", settle),
    Job("payments.reach", reach, every=timedelta(hours=1)),
)

"""Another plugin brings a policy of allocation and a regime of interest; the start refuses what is neither."""

from __future__ import annotations

from datetime import date
from types import ModuleType

import pytest

from kernel import Extension, Plugin, Site, hookimpl
from kernel.plugin.manager import PluginError
from kernel.testing import registry_of
from plugins.payments import jobs, store
from plugins.payments.accrual import store as interest
from plugins.payments.allocation import Allocation
from tests.plugins.payments.ledger import Book, acting, set_rules
from tests.plugins_for_tests import fair

pytestmark = pytest.mark.ebok(plugins=["payments"], modules={"fair": fair})

JANUARY, FEBRUARY = date(2026, 1, 12), date(2026, 2, 10)


async def test_a_foreign_policy_allocates_and_the_database_keeps_it(site: Site) -> None:
    await set_rules(site, allocation_policy="fair.share")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(10000, JANUARY), book.charge(30000, FEBRUARY))
        (payment,) = await book.post(book.payment(20000, FEBRUARY))
        assert await book.allocations() == [], "it waits for the policy"
        assert await book.credit() == 20000
    await jobs.settle(site, {"accounts": [book.account]})
    async with acting(site) as conn:
        book = Book(conn, book.customer, book.account)
        fair_shares = [Allocation(payment, first, 5000, "policy"), Allocation(payment, second, 15000, "policy")]
        assert await book.allocations() == fair_shares
        assert (await book.open(first), await book.open(second), await book.credit()) == (5000, 15000, 0)
        kept = await conn.fetchrow("select * from payments.account_balance where account_id = $1", book.account)
        assert kept is not None
        assert (kept["balance"], kept["oldest_open_due"]) == (20000, JANUARY)
    before = await _allocations(site)
    await jobs.settle(site, {"accounts": [book.account]})
    assert await _allocations(site) == before, "again changes nothing"
    async with acting(site) as conn:
        await Book(conn, book.customer, book.account).reverse(payment)
    await jobs.settle(site, {"accounts": [book.account]})
    async with acting(site) as conn:
        assert await Book(conn, book.customer, book.account).open(first) == 10000


async def test_posting_asks_for_the_policy_in_its_own_transaction(site: Site) -> None:
    await set_rules(site, allocation_policy="fair.share")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(10000, JANUARY))
        assert await conn.fetchval("select count(*) from kernel.pgqueuer where entrypoint = 'payments.settle'") == 1


async def test_the_database_refuses_what_a_policy_may_not(site: Site) -> None:
    await set_rules(site, allocation_policy="fair.share")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(10000, JANUARY))
        (payment,) = await book.post(book.payment(20000, FEBRUARY))
    with pytest.raises(Exception, match="entry_check"):
        async with acting(site) as conn:
            await store.impose(conn, book.account, [Allocation(payment, charge, 10001, "policy")])


async def test_a_foreign_regime_bears_interest(site: Site) -> None:
    await set_rules(site, interest_regime="fair.one_percent")
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await book.post(book.charge(10000, JANUARY))
        regimes = site.registry.extensions["payments.interest_regime"]
        (claim,) = await interest.claims(conn, [book.account], date(2026, 3, 1), foreign=regimes)
        assert claim.claimable.grosze == 100


async def _allocations(site: Site) -> list[dict[str, object]]:
    async with site.db.connection() as conn:
        return [dict(row) for row in await conn.fetch("select * from payments.allocation order by id")]


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        (Extension("payments.no_such_point", "odd.policy", object()), "no extension point 'payments.no_such_point'"),
        (Extension("payments.allocation_policy", "odd.policy", object()), "'odd.policy' is not what"),
        (Extension("payments.allocation_policy", "policy", fair.FairShare()), "must be named odd"),
    ],
)
def test_the_start_refuses_what_fits_no_point(extension: Extension, words: str) -> None:
    odd = ModuleType("odd")

    @hookimpl
    def register_extensions():
        yield extension

    vars(odd).update(plugin=Plugin(api=1, requires=("payments",)), register_extensions=register_extensions)
    odd.__file__ = __file__
    with pytest.raises(PluginError, match=words):
        registry_of(["payments"], {"odd": odd})

"""The demonstration's ledger: the same for the same seed, sound, and with something of everything."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from kernel import Connection, DemoPlan, Site
from plugins.payments import Position, checks, demo
from plugins.payments.ledger import KeptLedger
from tests.plugins.payments.ledger import acting

pytestmark = pytest.mark.ebok(plugins=["payments"])

PLAN = DemoPlan(customers=60, months=12, seed=1)


async def filled(site: Site) -> list[tuple[str, str]]:
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    async with acting(site) as conn:
        await conn.execute(
            "insert into kernel.customer (customer_no, name)"
            " select 10000 + n, 'Lokator ' || n from generate_series(1, 60) n"
        )
        return [(login.customer_no, login.note) for login in await demo.fill(site, conn, PLAN)]


async def test_it_shows_every_kind_of_customer(site: Site) -> None:
    logins = await filled(site)
    today = site.clock.today()
    async with site.db.connection() as conn:
        assert [finding for check in checks.CHECKS async for finding in check.run(conn)] == []
        seen = {note: await _position(conn, number, today) for number, note in logins}
        assert seen["in arrears"].arrears.grosze > 0
        assert seen["in credit"].credit.grosze > 0
        assert seen["in credit"].to_pay.grosze == 0
        assert seen["settled"].balance.grosze == 0
        due = seen["due next month"]
        assert due.arrears.grosze == 0
        assert due.to_pay.grosze > 0
        assert due.to_pay_by is not None
        assert due.to_pay_by > today
        assert await conn.fetchval("select count(*) from payments.entry where state = 'draft'") > 0
        assert await conn.fetchval("select count(*) from payments.entry where side = 'charge'") == 60 * 12


async def _position(conn: Connection, number: str, today: date) -> Position:
    customer = await conn.fetchval("select id from kernel.customer where customer_no = $1", number)
    return await KeptLedger().position(conn, customer, today)

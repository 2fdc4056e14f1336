"""A payment order that was made is deleted by a superadministrator and by nobody else."""

from __future__ import annotations

import asyncpg
import pytest

from kernel import Connection, Role, Site
from kernel.auth.passwords import hash_password
from kernel.db.pool import Stamp
from kernel.testing import Office, Visitor
from plugins import printing
from tests.plugins.printing import fixed_ledger
from tests.plugins.printing.fixed_ledger import LEDGER, payee

pytestmark = pytest.mark.ebok(plugins=[], modules={"payments": fixed_ledger, "printing": printing})

PASSWORD, REASON = "spokojny poranek w biurze", "wystawione na zły rachunek"


@pytest.fixture
async def made(conn: Connection, office: Office) -> tuple[Visitor, str]:
    """A customer, and the address of the order that was made."""
    LEDGER.found = [payee(51240)]
    customer = await conn.fetchval(
        "insert into kernel.customer (customer_no, name) values ('4711', 'Żaneta Gęśla') returning id"
    )
    visitor = await office.visitor(Role.CUSTOMER, customer)
    answer = await visitor.post("/payment-order", {"_key": "make", "amount": "20,00"})
    assert answer.status == 303, answer.text
    return visitor, answer.headers["Location"]


async def superadmin(office: Office, *, mode: bool = True) -> Visitor:
    visitor = await office.visitor(Role.SUPERADMIN, mode=mode)
    async with office.site.db.transaction(Stamp("test")) as conn:
        await conn.execute(
            "update kernel.users set password_hash = $2 where id = $1", visitor.user, await hash_password(PASSWORD)
        )
    return visitor


def form(**changed: str) -> dict[str, str]:
    return {"_key": "delete-it", "reason": REASON, "password": PASSWORD} | changed


async def test_a_superadministrator_deletes_an_order(
    site: Site, office: Office, conn: Connection, made: tuple[Visitor, str]
) -> None:
    customer, address = made
    reference = address.rsplit("/", 1)[1]
    boss = await superadmin(office)
    asked = f"/admin/payment-orders/{reference}/delete"
    assert reference in (await boss.get("/admin/payment-orders")).text
    assert (await boss.get(asked)).status == 200
    assert (await boss.post(asked, form(password="nie to"))).status == 422
    assert (await boss.post(asked, form())).status == 303
    assert (await boss.post(asked, form(_key="again"))).status == 303
    assert (await customer.get(address)).status == 404
    assert (await customer.get(f"{address}.pdf")).status == 404
    stone = await conn.fetchrow("select * from kernel.tombstone")
    assert stone is not None
    assert (stone["verb"], stone["number"], stone["reason"]) == ("printing.order_deleted", reference, REASON)
    assert stone["facts"]["amount"] == "20.00"
    assert await conn.fetchval("select count(*) from kernel.audit_log where verb = 'printing.order_deleted'") == 1
    # The reference stays taken; the same order of the same day gets another one.
    again = await customer.post("/payment-order", {"_key": "make-again", "amount": "20,00"})
    assert again.headers["Location"] != address
    assert await conn.fetchval("select count(*) from printing.payment_order") == 2
    listed = await boss.get("/admin/payment-orders?state=deleted")
    assert reference in listed.text


async def test_nobody_else_deletes_an_order(
    site: Site, office: Office, conn: Connection, made: tuple[Visitor, str]
) -> None:
    _customer, address = made
    reference = address.rsplit("/", 1)[1]
    asked = f"/admin/payment-orders/{reference}/delete"
    for visitor in (await office.visitor(Role.ADMIN), await superadmin(office, mode=False)):
        assert (await visitor.get(asked)).status == 403
        assert (await visitor.post(asked, form())).status == 403
    statements = (
        f"select printing.delete_order('{reference}', 'powód')",
        "update printing.payment_order set deleted_at = now()",
        "delete from printing.payment_order",
    )
    for statement in statements:
        for stamp in (Stamp("1", "admin"), Stamp("1", "superadmin")):
            with pytest.raises(asyncpg.PostgresError) as refused:
                async with site.db.transaction(stamp) as tx:
                    await tx.execute(statement)  # type: ignore[arg-type]
            assert refused.value.sqlstate in ("EB001", "42501")
    assert await conn.fetchval("select count(*) from printing.payment_order where deleted_at is null") == 1
    assert await conn.fetchval("select count(*) from kernel.tombstone") == 0

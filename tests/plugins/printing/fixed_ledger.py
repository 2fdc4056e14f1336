"""A ledger that says what a test wants: stands in for ``payments`` where only its face matters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from kernel import Connection, Money, Plugin, Service, Site, hookimpl
from plugins.payments import Ledger, OrderReferences, Payee

plugin = Plugin(api=1, points={"payments.order_references": OrderReferences})

NRB = "29101010100012345600004711"
OTHER_NRB = "61109010140000071219812874"


def payee(grosze: int, account_no: str = NRB, name: str = "SM Przykład", *, overdue: bool = False) -> Payee:
    by = date(2026, 12, 10) if grosze else None
    return Payee(
        name,
        ("ul. Łąkowa 1", "00-950 Warszawa"),
        "1234563218",
        account_no,
        Money(grosze),
        by,
        "Czynsz 11/2026",
        overdue=overdue,
    )


class FixedLedger:
    """Answers with ``found``, the same for every customer."""

    found: Sequence[Payee] = ()

    async def payees(self, site: Site, conn: Connection, customer: int, on: date) -> Sequence[Payee]:
        return self.found


LEDGER = FixedLedger()


@hookimpl
def register_services() -> Iterable[Service]:
    yield Service(Ledger, LEDGER)

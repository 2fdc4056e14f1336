"""The demonstration's suspense: matched payments, a housing benefit half split, and lines that are unclear."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from kernel import Connection, Money, Site
from plugins.payments.suspense import store
from plugins.payments.suspense.model import IncomingLine, PartDraft

TENANTS: Final = 12
"""Accounts that the lines are about: the last of those given, which the demonstration's logins do not look at."""
MATCHED: Final = 4
BENEFIT: Final = 18_450
"""The housing benefit of the first tenant, grosze; each further one gets a little more."""
TOWN: Final = "05102055581111145200700029"
STATEMENT: Final = "29101010100012345600004711 nr {number}"


async def demo(conn: Connection, site: Site, accounts: Sequence[int], today: date) -> None:
    """Book a handful of lines, and assign some of them, for accounts (their ids) of the demonstration."""
    tenants = await store.tenants(conn, accounts[-TENANTS:])
    if not tenants:
        return
    days = [today - timedelta(days=back) for back in (1, 2, 4, 9, 12, 40)]
    matched = [
        _line(
            days[place % 3],
            place + 1,
            Money(20_000 + 150 * place),
            payer_name=tenant["name"].upper(),
            payer_account=f"{11 + place:02d}1140200400003{tenant['id']:013d}",
            title=f"Opłaty {tenant['customer_no']}",
        )
        for place, tenant in enumerate(tenants[:MATCHED])
    ]
    benefits = [Money(BENEFIT + 1_235 * place) for place in range(len(tenants))]
    town = _line(
        days[3],
        11,
        Money.total(benefits),
        payer_name="Gmina Miasto, Ośrodek Pomocy",
        payer_account=TOWN,
        title=f"Dodatki mieszkaniowe {today:%m/%Y}, lista 14",
    )
    last = tenants[-1]
    unclear = [
        _line(days[0], 21, Money(max(last["due"], 4_200)), payer_name=last["name"], title="za mieszkanie"),
        _line(days[1], 22, Money(31_250), payer_name="Zakład Remontowy Zieliński", title="faktura 114/2026 za najem"),
        _line(days[4], 23, Money(7_788), payer_name="Maria K.", title=f"czynsz {last['customer_no']}99 woda"),
        _line(days[5], 24, Money(2_000), payer_name="Jan Nowak", title="zwrot"),
    ]
    received = await store.receive(conn, [*matched, town, *unclear], today)
    assigned = received.new[: len(matched)]
    await store.assign_many(
        conn,
        {
            line: [PartDraft(tenant["id"], facts.amount)]
            for line, tenant, facts in zip(assigned, tenants, matched, strict=False)
        },
        today,
    )
    half = len(tenants) // 2
    await store.assign(
        conn,
        received.new[len(matched)],
        [PartDraft(tenant["id"], amount, "benefit") for tenant, amount in zip(tenants[:half], benefits, strict=False)],
        today,
    )


def _line(
    day: date, place: int, amount: Money, *, payer_name: str, title: str, payer_account: str = ""
) -> IncomingLine:
    number = day.timetuple().tm_yday
    return IncomingLine(
        amount,
        day,
        paid_on=day,
        statement=STATEMENT.format(number=number),
        line_no=place,
        payer_name=payer_name,
        payer_account=payer_account,
        title=title,
        source="demo",
        external_id=f"{day.isoformat()}/{place}",
    )

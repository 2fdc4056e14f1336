"""The demonstration's fee schedule: what a flat is charged every month, with a rate that rises next month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from random import Random
from typing import Final

from kernel import Connection
from plugins.payments.charging import store
from plugins.payments.charging.model import Month, Terms, title_of
from plugins.payments.charging.store import Component, Held, ScheduleFacts

PARTS: Final[Sequence[tuple[str, str, str, Sequence[tuple[int, str]]]]] = (
    ("eksploatacja", "Eksploatacja", "m²", ((-22, "3.10"), (-10, "3.25"))),
    ("fundusz", "Fundusz remontowy", "m²", ((-22, "2.00"), (-10, "2.15"))),
    ("ogrzewanie", "Centralne ogrzewanie", "m²", ((-22, "4.45"), (-13, "4.80"), (-5, "4.9275"), (1, "5.2050"))),
    ("woda", "Woda i ścieki, zaliczka", "m³", ((-22, "12.90"), (-4, "13.62"))),
    ("odpady", "Odpady", "os.", ((-22, "30"), (-10, "33.50"))),
)
"""Code, name, unit, and the rates with the month (counted from this one) in which each begins."""


async def demo(conn: Connection, accounts: Sequence[int], today: date) -> None:
    """One schedule with rates over two years, quantities of every account, and next month computed for approval.

    The same for the same accounts and day. Charges nothing: the demonstration's ledger has its charges already.
    """
    this = Month.of(today)
    main = (await store.books(conn))[0]["id"]
    facts = ScheduleFacts("lokale", "Opłaty za lokale", main, Terms(20, -1, 10, 0), "Opłaty za lokal, {month} {year}")
    schedule = await store.add_schedule(conn, facts)
    components = await _components(conn, schedule, this)
    draw = Random(len(accounts))  # noqa: S311  a demonstration, not a secret
    since = this.plus(-22).first
    held = [one for account in accounts for one in _household(draw, account, components, since)]
    next_month = this.plus(1).first
    moving = [
        Held(account, components["odpady"], next_month, Decimal(draw.randint(1, 4))) for account in accounts[::25]
    ]
    await store.set_quantities(conn, schedule, [*held, *moving])
    month = this.plus(2)
    run = await store.start(conn, schedule, month)
    title, terms = title_of(facts.title, month), facts.terms
    await store.compute(conn, run, title, terms.issued_on(month), terms.due_on(month))


async def _components(conn: Connection, schedule: int, this: Month) -> Mapping[str, int]:
    made: dict[str, int] = {}
    for place, (code, name, unit, rates) in enumerate(PARTS, 1):
        made[code] = await store.add_component(conn, schedule, code, name, unit, 10 * place)
        part = Component(made[code], schedule, code, name, unit, 10 * place, ())
        for months, amount in rates:
            await store.set_rate(conn, part, this.plus(months), Decimal(amount))
    return made


def _household(draw: Random, account: int, components: Mapping[str, int], since: date) -> Sequence[Held]:
    """A flat's square metres, its people, and the water they are expected to use."""
    area, people = Decimal(draw.randint(2800, 7800)) / 100, draw.randint(1, 4)
    quantities = (area, area, area, Decimal(people) * Decimal("2.5"), Decimal(people))
    return [
        Held(account, component, since, quantity)
        for component, quantity in zip(components.values(), quantities, strict=True)
    ]

"""One of everything of this part of the ledger, for the office with one of everything."""

from datetime import date
from decimal import Decimal

from kernel import Connection
from kernel.site import Site
from plugins.payments.charging import list_jobs, list_store, store
from plugins.payments.charging.model import Month, Terms
from plugins.payments.charging.reading import columns_of, split
from plugins.payments.charging.store import Held, ScheduleFacts

LIST = "kwota;numer;termin;tytuł\n12,50;{number};10.12.2026;Domofon\nbrak;{number};;Piwnica\n"

DEMO = """
select s.id as schedule, min(c.id) as component, min(r.id) as run
from payments.fee_schedule s join payments.fee_component c on c.schedule = s.id
join payments.charge_run r on r.schedule = s.id
where s.code = 'lokale' group by s.id
"""
"""What the demonstration brings, if this office has one: a schedule of many accounts."""


async def furnish(site: Site, conn: Connection, customer: int, account: int) -> dict[str, list[str]]:
    """A schedule with a component, a month that waits for approval, and a list with a wrong line; those of the
    demonstration after them."""
    main = (await store.books(conn))[0]["id"]
    facts = ScheduleFacts(f"garaze-{customer}", "Garaże", main, Terms(1, 0, 10, 0), "Garaż, {month} {year}")
    schedule = await store.add_schedule(conn, facts)
    component = await store.add_component(conn, schedule, "miejsce", "Miejsce postojowe", "szt.", 1)
    found = await store.component(conn, component)
    assert found is not None
    await store.set_rate(conn, found[1], Month(date(2026, 1, 1)), Decimal("85.50"))
    await store.set_quantities(conn, schedule, [Held(account, component, date(2026, 1, 1), Decimal(1))])
    run = await store.start(conn, schedule, Month(date(2026, 12, 1)))
    await store.compute(conn, run, "Garaż, grudzień 2026", date(2026, 12, 1), date(2026, 12, 10))
    number = await conn.fetchval("select customer_no from kernel.customer where id = $1", customer)
    columns, lines = columns_of(split(LIST.format(number=number)))
    batch = await list_store.add(
        conn,
        name="Domofony",
        kind="fee",
        book=main,
        issued_on=date(2026, 12, 1),
        due_on=date(2026, 12, 10),
        columns=columns,
        lines=lines,
    )
    await list_jobs.check_lines(conn, batch, None)
    of_demo = await conn.fetchrow(DEMO)
    return {
        "schedule": [str(schedule), *([str(of_demo["schedule"])] if of_demo else [])],
        "component": [str(component), *([str(of_demo["component"])] if of_demo else [])],
        "run_no": [str(run), *([str(of_demo["run"])] if of_demo else [])],
        "batch": [str(batch)],
        "account": [str(account)],
    }

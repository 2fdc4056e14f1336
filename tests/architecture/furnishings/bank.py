"""One of everything of bank files, for the office with one of everything."""

from datetime import timedelta

from kernel import Connection
from kernel.site import Site
from plugins.payments.bank import booking, reading, store
from plugins.payments.bank.statement import Statement, StatementLine


async def furnish(site: Site, conn: Connection, customer: int, account: int) -> dict[str, list[str]]:
    """A booked statement with a line that came in and one that the bank took back, and one that waits."""
    day = site.clock.today() - timedelta(days=1)
    numbers: list[int] = []
    for number in (f"{customer}1", f"{customer}2"):
        lines = (
            StatementLine(100, day, day, title=f"woda {number}", party_name="Jan Lis", raw=number),
            StatementLine(-100, day, day, is_reversal=True, title="zwrot"),
        )
        found = Statement("29101010100012345600004711", number, "PLN", lines, 0, 0, day, day)
        numbers.append(await store.add_statement(conn, found, None, profile="furnished"))
        await reading.match(conn, site, numbers[-1], found.account)
        await store.move(conn, numbers[-1], ["matching"], "ready")
    await booking.begin(conn, site, numbers[0], 2, similar=False, actor="office")
    ids = [row["id"] for one in numbers for row in await store.lines_after(conn, one, 0, 10)]
    file = await store.add_file(conn, "wyciag.sta", f"hash-{customer}", 100, "reading")
    return {
        "bank_file": [str(file)],
        "statement": [str(one) for one in numbers],
        "bank_line": [str(one) for one in ids],
    }

"""One of everything of suspense, for the office with one of everything."""

from kernel import Connection, Money
from kernel.site import Site
from plugins.payments import suspense
from plugins.payments.suspense import IncomingLine, PartDraft
from plugins.payments.suspense import store as waiting


async def furnish(site: Site, conn: Connection, customer: int, account: int) -> dict[str, list[str]]:
    """A line that is split between an account and its payer, one that waits, and an export of one in a mirror book."""
    today = site.clock.today()
    lines = [
        IncomingLine(Money(5000), today, payer_name="Nowak Anna", title="czynsz 4711", statement="nr 224"),
        IncomingLine(Money(700), today, payer_name="Gmina Poznań", title="dodatek mieszkaniowy"),
        IncomingLine(Money(900), today, payer_name="Jan Lis", title="woda"),
    ]
    split, waits, matched = (await suspense.receive(conn, lines, today)).new
    parts = await suspense.assign(conn, split, [PartDraft(account, Money(1200))], today)
    parts.append(await suspense.give_back(conn, split, "returned", Money(300), "nie nasz klient"))
    mirrored = await _mirrored(conn, customer)
    parts += await suspense.assign(conn, matched, [PartDraft(mirrored, Money(900))], today)
    export = await waiting.export(conn)
    return {"line": [str(split), str(waits)], "part": [str(part) for part in parts], "export": [str(export)]}


async def _mirrored(conn: Connection, customer: int) -> int:
    """An account of somebody else in a book that shows another application's ledger."""
    book = await conn.fetchval(
        "select payments.add_book($1, 'Faktury', 'auxiliary', 'civil', false, true, 'none', null, 3, 'red', true, '')",
        f"mirror_{customer}",
    )
    holder = await conn.fetchval(
        "insert into kernel.customer (customer_no, name) values ($1, 'Jan Lis') returning id", f"F-{customer}"
    )
    return await conn.fetchval(
        "select payments.open_account($1, $2, null, $3, current_date)", holder, book, f"F-{customer}"
    )

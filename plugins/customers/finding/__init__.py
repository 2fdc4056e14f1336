"""The register's answer to the search box: any words of a customer, in any order, also mistyped."""

from collections.abc import Sequence
from typing import Final

from kernel import ACTOR, CONN, Connection, Request, Row, SearchHit, _, url
from plugins.customers.finding import store
from plugins.customers.finding.model import may_be_mistyped, queries, spoken
from plugins.customers.premises.model import address, label

_WEIGHTS: Final = {0: 49.0, 1: 39.0, 2: 29.0, 3: 19.0}
"""By how closely the words of the customer are those that were typed."""


async def found(conn: Connection, text: str) -> Sequence[Row]:
    """Customers and empty premises that ``text`` may mean, at most twenty, the likeliest first, each with its ``rank``
    from 0 (the number) to 3 (mistyped). Two statements, however many customers there are."""
    words, near = await store.words(conn, text)
    said = spoken(words)
    if not said:
        return ()
    meant = {word: near[word] for word in said if may_be_mistyped(word)}
    return await store.hits(conn, text.strip(), queries(text, said, meant))


async def search(request: Request, text: str) -> Sequence[SearchHit]:
    """The register's hits for the console's search box."""
    if not request[ACTOR].may("customers.view"):
        return ()
    return [_hit(request, row, place) for place, row in enumerate(await found(request[CONN], text))]


def _hit(request: Request, row: Row, place: int) -> SearchHit:
    weight = _WEIGHTS[row["rank"]] - place / 100
    if row["premises"] is not None:
        title = label({**row, "id": row["premises"]})
        detail = "" if row["code"] == title else row["code"]
        address_of = url(request, "customers.premises", premises=row["premises"])
        return SearchHit(_("Empty premises"), title, detail, address_of, weight)
    return SearchHit(
        _("Customer"),
        f"{row['name']} ({row['customer_no']})",
        address(row),
        url(request, "kernel.customer", customer=row["id"]),
        weight,
        customer=row["id"],
    )

"""The ledger's answer to the search box, and the badge that stands beside every customer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kernel import ACTOR, CONN, SITE, CustomerBadge, Money, Request, Row, SearchHit, Text, _, short_date, url
from plugins.payments.model import KINDS, STATES
from plugins.payments.overview import store
from plugins.payments.overview.model import read


async def search(request: Request, text: str) -> Sequence[SearchHit]:
    """Accounts, documents, payments and incoming bank lines that ``text`` may mean."""
    if not request[ACTOR].may("payments.view"):
        return ()
    rows = await store.found(request[CONN], read(text), lines=request[ACTOR].may("payments.suspense"))
    return list(_hits(request, rows))


def _hits(request: Request, rows: Sequence[Row]) -> Iterator[SearchHit]:
    for place, row in enumerate(rows):
        weight = row["weight"] - place / 100
        whose = f"{row['name']} ({row['customer_no']})" if row["customer"] else row["name"]
        match row["what"]:
            case "account":
                title = str(_("account {number}", number=row["number"]))
                address = url(request, "payments.account", account=row["id"])
                yield SearchHit(_("Account"), title, whose, address, weight, row["customer"])
            case "entry":
                address = url(request, "payments.entry", entry=row["id"])
                detail = f"{whose}, {KINDS[row['kind']]}, {_dated(row)}, {STATES[row['state']]}"
                yield SearchHit(_("Entry"), _titled(row), detail, address, weight, row["customer"])
            case _:
                address = url(request, "payments.suspense_line", line=row["id"])
                yield SearchHit(_("Incoming payment"), _titled(row), f"{whose}, {_dated(row)}", address, weight)


def _titled(row: Row) -> str:
    called = " · ".join(part for part in (row["number"], row["title"]) if part)
    return f"{called or row['id']}: {Money(row['amount'])}"


def _dated(row: Row) -> str:
    return short_date(row["day"])


async def badges(request: Request, customers: Sequence[int]) -> Sequence[CustomerBadge]:
    """How each of ``customers`` stands with the ledger today; one without an account has no badge."""
    if not customers or not request[ACTOR].may("payments.view"):
        return ()
    rows = await store.standing(request[CONN], customers, request[SITE].clock.today())
    return [CustomerBadge(row["customer"], *_standing(row)) for row in rows]


def _standing(row: Row) -> tuple[Text, str]:
    if row["arrears"]:
        return _("In arrears {amount}", amount=Money(row["arrears"])), "due"
    if row["balance"] > 0:
        return _("To pay {amount}", amount=Money(row["balance"])), ""
    if row["balance"] < 0:
        return _("Overpaid {amount}", amount=Money(-row["balance"])), "credit"
    return _("All paid"), "credit"

"""The customer's pages: the answer on the first page, and the account with its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, Field

from kernel import ACTOR, CONN, SITE, Card, PolishDate, Request, _, redirect, service, slot, url
from plugins.balances.model import TONES, answer_of, balance_words, by_month, explained
from plugins.payments import KINDS, STATUSES, Ledger


async def answer_card(request: Request) -> Card:
    """What there is to pay, with the way to pay it."""
    on = request[SITE].clock.today()
    position = await service(request, Ledger).position(request[CONN], request[ACTOR].customer, on)
    return Card(
        _("Your account"),
        "balances/answer.html",
        {
            "answer": answer_of(position),
            "provisional": position.provisional,
            "on": on,
            "actions": await slot(request, "balances.actions"),
            "freshness": await slot(request, "balances.freshness"),
        },
        order=0,
    )


WHAT_IF: Final = "payments.interest_what_if"
"""Where the ledger tells what interest there is, if it does."""


class CardQuery(BaseModel):
    """Where a page of the card begins: the key that the page before it gave. A past day or one account alone is shown
    by the ledger's own pages."""

    before: str = Field("", max_length=80)
    on: PolishDate | None = None
    account: int | None = Field(None, ge=1, lt=2**63)


async def balance(request: Request, query: CardQuery) -> Mapping[str, Any] | web.StreamResponse:
    """What is open, and the card; every row of it says why it is so."""
    conn, customer, on = request[CONN], request[ACTOR].customer, request[SITE].clock.today()
    one = {} if query.account is None else {"account": query.account}
    if query.on is not None and query.on != on:
        return redirect(request, "payments.explain_past", query={"on": query.on, **one})
    if one:
        return redirect(request, "payments.explain_why", query=one)
    ledger = service(request, Ledger)
    try:
        card = await ledger.card(conn, customer, on, before=query.before or None)
    except LookupError:
        return redirect(request, "balances.balance", flash=_("The account has changed, so here it is from the start."))
    items = await ledger.open_items(conn, customer, on)
    return {
        "answer": answer_of(items.position),
        "provisional": items.position.provisional,
        "on": on,
        "charges": [charge for charge in items.charges if not charge.is_barred],
        "barred_charges": [charge for charge in items.charges if charge.is_barred],
        "barred": items.position.barred,
        "interest": url(request, WHAT_IF) if items.position.arrears and WHAT_IF in request.app.router else None,
        "groups": by_month(card.lines),
        "older": card.older,
        "first_page": not query.before,
        "kinds": KINDS,
        "statuses": STATUSES,
        "tones": TONES,
        "explained": explained,
        "balance_words": balance_words,
        "actions": await slot(request, "balances.actions"),
        "freshness": await slot(request, "balances.freshness"),
    }

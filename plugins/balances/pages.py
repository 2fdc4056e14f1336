"""The customer's pages: the answer on the first page, and the account with its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field

from kernel import ACTOR, CONN, SITE, Card, Request, _, redirect, service, slot
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
            "on": on,
            "actions": await slot(request, "balances.actions"),
            "freshness": await slot(request, "balances.freshness"),
        },
        order=0,
    )


class CardQuery(BaseModel):
    """Where a page of the card begins: the key that the page before it gave."""

    before: str = Field("", max_length=80)


async def balance(request: Request, query: CardQuery) -> Mapping[str, Any] | web.StreamResponse:
    """What is open, and the card; every row of it says why it is so."""
    conn, customer, on = request[CONN], request[ACTOR].customer, request[SITE].clock.today()
    ledger = service(request, Ledger)
    try:
        card = await ledger.card(conn, customer, on, before=query.before or None)
    except LookupError:
        return redirect(request, "balances.balance", flash=_("The account has changed, so here it is from the start."))
    items = await ledger.open_items(conn, customer, on)
    return {
        "answer": answer_of(items.position),
        "on": on,
        "charges": items.charges,
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

"""What a customer sees of the ledger: what there is to pay, what is open, and the card that explains every figure."""

from collections.abc import Iterable, Sequence

from kernel import ACTOR, Card, Nav, Permission, Plugin, Request, Role, Route, _, hookimpl
from plugins.balances import pages

plugin = Plugin(api=1, requires=("payments",))


@hookimpl
def register_permissions() -> Iterable[Permission]:
    yield Permission("balances.view", _("See one's own account"), {Role.CUSTOMER})


@hookimpl
def register_routes() -> Iterable[Route]:
    yield Route(
        "GET",
        "/balance",
        pages.balance,
        "balances.view",
        "balances.balance",
        query=pages.CardQuery,
        template="balances/balance.html",
    )


@hookimpl
def register_navigation() -> Iterable[Nav]:
    yield Nav(_("Balance"), "balances.balance", 20, "ledger")


@hookimpl
async def customer_cards(request: Request) -> Sequence[Card]:
    return [await pages.answer_card(request)] if request[ACTOR].may("balances.view") else []

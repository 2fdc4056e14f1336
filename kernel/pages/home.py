"""The first page: a customer's home; the office is led to the console, a visitor to the login."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from kernel.i18n import _
from kernel.plugin.contracts import Nav, Route
from kernel.plugin.permissions import EVERYBODY, STAFF, Permission
from kernel.web.contributions import cards
from kernel.web.request import ACTOR
from kernel.web.routing import redirect


def permissions() -> Iterable[Permission]:
    """The right to have a home page."""
    yield Permission("kernel.home", _("See the own first page"), EVERYBODY)


def navigation() -> Iterable[Nav]:
    """The portal's first place."""
    yield Nav(_("Start"), "kernel.home", order=0, icon="home")


def routes() -> Iterable[Route]:
    """The address of the portal itself."""
    yield Route("GET", "/", show_home, "kernel.home", "kernel.home", template="kernel/pages/home.html")


async def show_home(request: web.Request) -> object:
    """The cards of the customer in view, the answer first."""
    actor = request[ACTOR]
    if actor.role in STAFF:
        return redirect(request, "kernel.console")
    return {"cards": await cards(request) if actor.customer_or_none is not None else []}

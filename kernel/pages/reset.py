"""A forgotten password: a one-time link by e-mail. The answer is the same whether the login exists or not."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from pydantic import BaseModel, SecretStr

from kernel.auth import account, store
from kernel.auth.model import RESET_LINK, shortest
from kernel.auth.tokens import clear_session_cookie
from kernel.i18n import _
from kernel.pages.attempts import organisation_of, refusals, untold
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import PUBLIC
from kernel.web.request import CONN, SITE
from kernel.web.routing import redirect, url


class ResetForm(BaseModel):
    """Who forgot."""

    login: str


class NewPasswordForm(BaseModel):
    """The password to have from now on."""

    new_password: SecretStr


def routes() -> Iterable[Route]:
    """Asking for a link, and using it."""
    yield Route("GET", "/reset", show_request, PUBLIC, "kernel.reset", template="kernel/pages/reset.html")
    yield Route("POST", "/reset", request_link, PUBLIC, "kernel.reset_post", body=ResetForm, read_only=True)
    path = "/reset/{token:[A-Za-z0-9_-]{20,100}}"
    yield Route("GET", path, show_link, PUBLIC, "kernel.reset_link", template="kernel/pages/reset_link.html")
    yield Route("POST", path, use_link, PUBLIC, "kernel.reset_link_post", body=NewPasswordForm, read_only=True)


async def show_request(request: web.Request) -> object:
    return {"minutes": int(RESET_LINK.total_seconds() // 60)}


async def request_link(request: web.Request, form: ResetForm) -> web.Response:
    site = request[SITE]
    origin = site.base_url.rstrip("/") or f"{request.scheme}://{request.host}"
    link = origin + url(request, "kernel.reset_link", token="x" * 20).replace("x" * 20, "{token}")
    with refusals(_("This cannot be done")):
        async with untold(always=True):
            await account.request_reset(site.db, form.login, request.remote or "", link, site.clock.now())
    return redirect(
        request,
        "kernel.login",
        flash=_("If this login has an e-mail address, a link is on its way. Look into your mailbox"),
    )


async def show_link(request: web.Request) -> object:
    found = await store.of_reset_link(request[CONN], request.match_info["token"], request[SITE].clock.now())
    if found is None:
        return {"user": None, "least": 0}
    return {"user": found, "least": shortest(found.role, found.totp_secret is not None)}


async def use_link(request: web.Request, form: NewPasswordForm) -> web.Response:
    site = request[SITE]
    with refusals(_("This link was used already or has expired. Ask for a new one")):
        await account.reset_password(
            site.db,
            request.match_info["token"],
            form.new_password.get_secret_value(),
            site.clock.now(),
            organisation_of(site),
        )
    response = redirect(request, "kernel.login", flash=_("Your new password works. Log in with it"))
    clear_session_cookie(response, request.secure)
    return response

"""In and out: password, second factor, logout, and which of several customers is in view."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from pydantic import BaseModel, Field, SecretStr

from kernel.auth import login as door
from kernel.auth import sessions
from kernel.auth.login import Entered
from kernel.auth.model import SessionTimes, Throttled, WrongSecret
from kernel.auth.tokens import (
    clear_session_cookie,
    session_token,
    set_device_cookie,
    set_session_cookie,
)
from kernel.i18n import _
from kernel.pages.attempts import home_of, refusals, too_many, untold, visitor_of
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import PUBLIC
from kernel.web.request import ACTOR, CONN, SITE, Refused, not_found
from kernel.web.routing import local_address, redirect, redirect_to


class Way(BaseModel):
    """Where to go after the login: a path of this office."""

    next: str = ""


class LoginForm(Way):
    """The two fields of the door."""

    login: str
    password: SecretStr


class CodeForm(Way):
    """The second factor."""

    code: str = Field(max_length=100)


class CustomerForm(BaseModel):
    """Another customer to put in view."""

    customer: int
    back: str = "/"


def routes() -> Iterable[Route]:
    """The door and what stands beside it."""
    yield Route("GET", "/login", show_login, PUBLIC, "kernel.login", query=Way, template="kernel/pages/login.html")
    yield Route("POST", "/login", log_in, PUBLIC, "kernel.login_post", body=LoginForm, read_only=True)
    yield Route(
        "GET", "/login/code", show_code, PUBLIC, "kernel.login_code", query=Way, template="kernel/pages/login_code.html"
    )
    yield Route("POST", "/login/code", confirm_code, PUBLIC, "kernel.login_code_post", body=CodeForm, read_only=True)
    yield Route("POST", "/logout", log_out, PUBLIC, "kernel.logout")
    yield Route(
        "POST", "/switch-customer", switch_customer, "kernel.account", "kernel.switch_customer", body=CustomerForm
    )


async def show_login(request: web.Request, way: Way) -> object:
    actor = request[ACTOR]
    if actor.signed_in:
        return redirect_to(request, local_address(way.next, home_of(actor.role)))
    return {"next": way.next}


async def log_in(request: web.Request, form: LoginForm) -> web.Response:
    site = request[SITE]
    with refusals(_("The login or the password is wrong. Check both, also the Caps Lock key")):
        async with untold():
            entered = await door.log_in(
                site.db,
                visitor_of(request),
                form.login,
                form.password.get_secret_value(),
                site.clock.now(),
                SessionTimes.configured(site.sessions),
            )
    if entered.awaits_code:
        response = redirect(request, "kernel.login_code", query={"next": form.next} if form.next else None)
    else:
        response = redirect_to(request, local_address(form.next, home_of(entered.role)))
    return _with_cookies(request, response, entered)


async def show_code(request: web.Request, way: Way) -> object:
    site = request[SITE]
    if not await door.waits_for_code(request[CONN], session_token(request), site.clock.now()):
        return redirect(request, "kernel.login", query={"next": way.next} if way.next else None)
    return {"next": way.next}


async def confirm_code(request: web.Request, form: CodeForm) -> web.Response:
    site = request[SITE]
    try:
        entered = await door.confirm_code(
            site.db, visitor_of(request), form.code, site.clock.now(), SessionTimes.configured(site.sessions)
        )
    except Throttled as throttled:
        raise too_many(throttled) from None
    except WrongSecret:
        if await door.waits_for_code(request[CONN], session_token(request), site.clock.now()):
            raise Refused(_("This code is not right. Each code works once"), field="code") from None
        return redirect(request, "kernel.login", flash=_("The login took too long. Start again"))
    response = redirect_to(request, local_address(form.next, home_of(entered.role)))
    return _with_cookies(request, response, entered)


async def log_out(request: web.Request) -> web.Response:
    if token := session_token(request):
        await door.log_out(request[CONN], token)
    response = redirect(request, "kernel.login", flash=_("You are logged out"))
    clear_session_cookie(response, request.secure)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


async def switch_customer(request: web.Request, form: CustomerForm) -> web.Response:
    actor = request[ACTOR]
    if actor.session is None or all(grant.customer != form.customer for grant in actor.grants):
        raise not_found()
    await sessions.choose_customer(request[CONN], actor.session, form.customer)
    return redirect_to(request, local_address(form.back))


def _with_cookies(request: web.Request, response: web.Response, entered: Entered) -> web.Response:
    set_session_cookie(response, entered.token, request.secure)
    if entered.device_token:
        set_device_cookie(response, entered.device_token, request.secure)
    return response

"""The own account: name, password, sessions, second factor; and the superadministrator's mode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, Field, SecretStr, StringConstraints

from kernel.auth import account, second_factor, sessions, store
from kernel.auth.model import SUPERADMIN_MODE, WeakPassword, shortest
from kernel.auth.tokens import set_session_cookie
from kernel.i18n import LANGUAGES, _
from kernel.pages.attempts import home_of, organisation_of, refusals, user_of
from kernel.people import store as people
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import EVERYBODY, Permission, Role
from kernel.web.proof import OWN_WRONG
from kernel.web.request import ACTOR, CONN, SITE, Refused, not_found
from kernel.web.routing import redirect, redirect_to


class NameForm(BaseModel):
    """What users change without asking anybody."""

    name: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(min_length=1, max_length=200)
    language: Literal["pl", "en"]


class PasswordForm(BaseModel):
    """The password now, and the one to have from now on."""

    password: SecretStr
    new_password: SecretStr


class ProofForm(BaseModel):
    """The password once more."""

    password: SecretStr


class CodeForm(BaseModel):
    """A first code of a new authenticator."""

    code: str = Field(max_length=100)


class SessionForm(BaseModel):
    """One session to end; all others without."""

    session: int | None = None


def permissions() -> Iterable[Permission]:
    """Rights over the own account."""
    yield Permission("kernel.account", _("Use the own account"), EVERYBODY)
    yield Permission("kernel.superadmin_mode", _("Start the superadministrator mode"), frozenset({Role.SUPERADMIN}))


def routes() -> Iterable[Route]:
    """The pages of the own account."""
    own = "kernel.account"
    yield Route("GET", "/account", show, own, own, template="kernel/pages/account.html")
    yield Route("POST", "/account", rename, own, "kernel.account.rename", body=NameForm)

    password = "/account/password"  # noqa: S105 (a path)
    yield Route(
        "GET", password, show_password, own, "kernel.account.password", template="kernel/pages/account_password.html"
    )
    yield Route(
        "POST", password, change_password, own, "kernel.account.password_post", body=PasswordForm, read_only=True
    )

    listed = "/account/sessions"
    yield Route(
        "GET", listed, show_sessions, own, "kernel.account.sessions", template="kernel/pages/account_sessions.html"
    )
    yield Route("POST", listed, end_sessions, own, "kernel.account.sessions_end", body=SessionForm)

    for path, name, page, act, body in (
        ("", "", show_factor, offer_factor, ProofForm),
        ("/confirm", "_confirm", show_trial, enable_factor, CodeForm),
        ("/off", "_off", show_enabled, disable_factor, ProofForm),
        ("/codes", "_codes", show_enabled, renew_codes, ProofForm),
    ):
        address, name = f"/account/second-factor{path}", f"kernel.account.second_factor{name}"
        template = name.replace("kernel.account.", "kernel/pages/account_") + ".html"
        answer = "kernel/pages/account_recovery_codes.html" if act in (enable_factor, renew_codes) else None
        yield Route("GET", address, page, own, name, template=template)
        yield Route("POST", address, act, own, f"{name}_post", body=body, template=answer, read_only=True)

    mode, path = "kernel.superadmin_mode", "/admin/superadmin-mode"
    yield Route("GET", path, show_mode, mode, mode, template="kernel/pages/superadmin_mode.html")
    yield Route("POST", path, start_mode, mode, f"{mode}_post", body=ProofForm, read_only=True)
    yield Route("POST", f"{path}/end", end_mode, mode, f"{mode}_end")


async def show(request: web.Request) -> object:
    user = await people.user(request[CONN], user_of(request[ACTOR]))
    return {"user": user, "language_options": tuple(LANGUAGES.items())}


async def rename(request: web.Request, form: NameForm) -> web.Response:
    await people.rename(request[CONN], user_of(request[ACTOR]), name=form.name, language=form.language)
    return redirect(request, "kernel.account", flash=_("Saved"))


# --- password -------------------------------------------------------------------------------------------------------


async def show_password(request: web.Request) -> object:
    found = await store.of_user(request[CONN], user_of(request[ACTOR]))
    return {"least": shortest(found.role, found.totp_secret is not None), "login": found.login}


async def change_password(request: web.Request, form: PasswordForm) -> web.Response:
    site, actor = request[SITE], request[ACTOR]
    with refusals(OWN_WRONG, "password"):
        token = await account.change_password(
            site.db,
            actor,
            form.password.get_secret_value(),
            form.new_password.get_secret_value(),
            site.clock.now(),
            organisation_of(site),
        )
    flash = _("Your password is changed. You are logged out everywhere else")
    if actor.must_change_password:
        response = redirect_to(request, home_of(actor.role), flash=flash)
    else:
        response = redirect(request, "kernel.account", flash=flash)
    set_session_cookie(response, token, request.secure)
    return response


# --- sessions -------------------------------------------------------------------------------------------------------


async def show_sessions(request: web.Request) -> object:
    actor = request[ACTOR]
    found = await sessions.of_user(request[CONN], user_of(actor), request[SITE].clock.now())
    return {"sessions": found, "current": actor.session}


async def end_sessions(request: web.Request, form: SessionForm) -> web.Response:
    actor, conn = request[ACTOR], request[CONN]
    user = user_of(actor)
    if form.session is None:
        await sessions.end_others(conn, user, keep=actor.session)
        return redirect(request, "kernel.account.sessions", flash=_("You are logged out everywhere else"))
    if not await sessions.end(conn, form.session, user):
        raise not_found()
    if form.session == actor.session:
        return redirect(request, "kernel.login", flash=_("You are logged out"))
    return redirect(request, "kernel.account.sessions", flash=_("The session is ended"))


# --- second factor --------------------------------------------------------------------------------------------------


async def show_factor(request: web.Request) -> object:
    user = user_of(request[ACTOR])
    found = await store.of_user(request[CONN], user)
    return {
        "enabled": found.totp_secret is not None,
        "codes_left": await store.count_recovery_codes(request[CONN], user),
    }


async def offer_factor(request: web.Request, form: ProofForm) -> web.Response:
    site = request[SITE]
    with refusals(OWN_WRONG, "password"):
        await account.offer_second_factor(site.db, request[ACTOR], form.password.get_secret_value(), site.clock.now())
    return redirect(request, "kernel.account.second_factor_confirm")


async def show_trial(request: web.Request) -> object:
    actor = request[ACTOR]
    secret = await store.offered_totp(request[CONN], actor.session) if actor.session is not None else None
    if secret is None:
        return redirect(request, "kernel.account.second_factor")
    address = second_factor.address(secret, actor.login, organisation_of(request[SITE]))
    return {"qr": second_factor.qr_svg(address), "secret": second_factor.spaced(secret)}


async def enable_factor(request: web.Request, form: CodeForm) -> object:
    site = request[SITE]
    with refusals(_("This code is not right. Check the clock of your phone and try the next code"), "code"):
        codes = await account.enable_second_factor(site.db, request[ACTOR], form.code, site.clock.now())
    return {"codes": codes}


async def show_enabled(request: web.Request) -> object:
    found = await store.of_user(request[CONN], user_of(request[ACTOR]))
    if found.totp_secret is None:
        return redirect(request, "kernel.account.second_factor")
    return {"codes_left": await store.count_recovery_codes(request[CONN], found.id)}


async def disable_factor(request: web.Request, form: ProofForm) -> web.Response:
    site = request[SITE]
    with refusals(OWN_WRONG, "password"):
        try:
            await account.disable_second_factor(
                site.db, request[ACTOR], form.password.get_secret_value(), site.clock.now()
            )
        except WeakPassword:
            alone = shortest(request[ACTOR].role or Role.CUSTOMER, has_second_factor=False)
            raise Refused(
                _(
                    "Without a second factor your password needs at least {least} characters. Change it first",
                    least=alone,
                )
            ) from None
    return redirect(request, "kernel.account.second_factor", flash=_("The second factor is off"))


async def renew_codes(request: web.Request, form: ProofForm) -> object:
    site = request[SITE]
    with refusals(OWN_WRONG, "password"):
        codes = await account.renew_recovery_codes(
            site.db, request[ACTOR], form.password.get_secret_value(), site.clock.now()
        )
    return {"codes": codes}


# --- superadministrator mode ----------------------------------------------------------------------------------------


async def show_mode(request: web.Request) -> object:
    return {"minutes": int(SUPERADMIN_MODE.total_seconds() // 60)}


async def start_mode(request: web.Request, form: ProofForm) -> web.Response:
    site = request[SITE]
    with refusals(OWN_WRONG, "password"):
        await account.start_superadmin_mode(site.db, request[ACTOR], form.password.get_secret_value(), site.clock.now())
    return redirect_to(request, home_of(Role.SUPERADMIN), flash=_("The superadministrator mode is on"))


async def end_mode(request: web.Request) -> web.Response:
    await account.end_superadmin_mode(request[CONN], request[ACTOR])
    return redirect_to(request, home_of(Role.SUPERADMIN), flash=_("The superadministrator mode is off"))

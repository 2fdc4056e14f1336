"""From a ``Route`` to an answer: guard, body, connection or transaction, handler, and only then the template."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString, TypeVar, cast
from urllib.parse import quote, unquote, urlencode

import asyncpg
import structlog
from aiohttp import web
from pydantic import BaseModel

from kernel.db.pool import Stamp
from kernel.i18n import Text, _
from kernel.idempotency import KeyReused, StoredAnswer, begin, finish, request_hash
from kernel.plugin.actor import Actor
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import PUBLIC, Permission, Role
from kernel.plugin.registry import Registry
from kernel.settings import settings_of
from kernel.web import body
from kernel.web.body import Limits, Submitted
from kernel.web.borrowed import Borrowed
from kernel.web.contributions import READING
from kernel.web.errors import Problem, is_api
from kernel.web.middlewares import EDGE
from kernel.web.openapi import DESCRIPTION, Description
from kernel.web.origin import SAFE_METHODS
from kernel.web.request import (
    ACTOR,
    CONN,
    FORM,
    REQUEST_ID,
    SITE,
    Created,
    Download,
    FormState,
    Pdf,
    Refused,
)
from kernel.web.templating import FLASH, render

_T = TypeVar("_T")
_M = TypeVar("_M", bound=BaseModel)

LOGIN: Final = "kernel.login"
PASSWORD: Final = "kernel.account.password"  # noqa: S105 (a route's name)
SUPERADMIN_MODE: Final = "kernel.superadmin_mode"
OPEN_TO_STARTERS: Final = ("kernel.account", "kernel.logout", "kernel.preferences")
"""Routes (or the beginnings of their names) that a person may use before the starter password is changed."""

ATTEMPTS: Final = 3
LARGEST_ID: Final = 2**63 - 1
FLASH_SECONDS: Final = 120
LONGEST_FLASH: Final = 500

_ID_PARAMETER: Final = re.compile(r"\{(\w+):\\d\+\}")
_log = structlog.get_logger("ebok.routing")


def mount(app: web.Application, registry: Registry) -> None:
    """Give ``app`` every route of ``registry``, each behind its guard."""
    app[DESCRIPTION] = Description(registry)
    pages = {route.path: route for route in registry.routes.values() if route.method == "GET"}
    for route in registry.routes.values():
        endpoint = Endpoint(
            route,
            registry.permissions.get(route.permission),
            pages.get(route.path),
            tuple(_ID_PARAMETER.findall(route.path)),
        )
        resource = app.router.add_resource(route.path, name=route.name)
        if route.method == "GET":
            resource.add_route("GET", endpoint.show)
            resource.add_route("HEAD", endpoint.show)
        else:
            resource.add_route(route.method, endpoint.act)


# --- what handlers call ---------------------------------------------------------------------------------------------


def url(request: web.Request, name: str, *, query: Mapping[str, object] | None = None, **parts: object) -> str:
    """The address of a route of any plugin. Raises KeyError for a name that no enabled plugin declared."""
    path = str(request.app.router[name].url_for(**{key: str(value) for key, value in parts.items()}))
    return f"{path}?{urlencode({key: str(value) for key, value in query.items()})}" if query else path


def redirect(
    request: web.Request,
    name: str,
    *,
    flash: Text | None = None,
    query: Mapping[str, object] | None = None,
    **parts: object,
) -> web.Response:
    """Send the browser to another page (303), which shows ``flash`` once. Return it: raising would roll back."""
    return redirect_to(request, url(request, name, query=query, **parts), flash=flash)


def redirect_to(request: web.Request, address: str, *, flash: Text | None = None) -> web.Response:
    """The same to an address of this office, such as ``local_address`` lets through."""
    response = web.Response(status=303, headers={"Location": address})
    if flash is not None:
        _remember_flash(request, response, str(flash))
    return response


def local_address(text: str, default: str = "/") -> str:
    """``text`` when it is a path of this very host, else ``default``: for ``?next=``."""
    plain = text.isascii() and text.isprintable() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") else default


def service(request: web.Request, port: type[_T]) -> _T:
    """The implementation of a port. Raises LookupError when no enabled plugin provides it."""
    return request[SITE].service(port)


def settings(request: web.Request, plugin: str) -> Any:
    """The organisation's settings of a plugin: its ``Settings`` model."""
    return settings_of(request[SITE], plugin)


def forbidden(request: web.Request, permission: str) -> Exception:
    """For a request that asks for more than its route's permission allows; names what is missing. 403."""
    headers: dict[str, str] = {}
    if request[ACTOR].token is not None:
        headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{permission}"'
    return Problem(403, _("This needs the permission {permission}.", permission=permission), headers=headers)


# --- the guard and the answer ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route with what its requests need; ``page`` is the GET of the same path, which shows refused forms."""

    route: Route
    permission: Permission | None
    page: Route | None
    ids: tuple[str, ...]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer a safe request."""
        self._admit(request)
        query, refused = _query_of(self.route, request)
        if refused is not None and (query is None or is_api(request)):
            raise Problem(422, errors=refused.errors, notes=refused.notes)
        request[FORM] = FormState(
            idempotency_key(),
            body.shown_values(self.route.query, request.query) if refused else {},
            refused.errors if refused else {},
            refused.notes if refused else (),
        )
        result = await _read(request, self.route, query)
        return _finished(request, self.route, result, 422 if refused else 200)

    async def act(self, request: web.Request) -> web.StreamResponse:
        """Answer a request that may change something: once, whole, or not at all."""
        try:
            self._admit(request)
        except Problem as problem:
            # The right was withdrawn, or the mode ended, while somebody was typing.
            problem.typed = await _typed(request, self.route)
            raise
        route = self.route
        edge = request.app[EDGE]
        limits = Limits(edge.upload_bytes if route.files else edge.form_bytes, edge.body_seconds)
        if is_api(request):
            submitted = await body.read_json(request, limits)
        else:
            submitted = await body.read_form(request, limits, files=route.files)
        try:
            model = body.validated(route.body, submitted) if route.body else None
            if route.key_required and not submitted.key:
                raise _without_a_key()
            if route.read_only:
                result = await _read(request, route, model)
            else:
                result = await _changed(request, route, model, submitted, self.page)
        except Refused as refused:
            return await self._show_again(request, submitted, refused)
        return _finished(request, route, result, 200)

    def _admit(self, request: web.Request) -> None:
        """Let pass who may; others are told where to go. Ids that no database could hold do not exist."""
        actor = request[ACTOR]
        permission = self.route.permission
        if actor.must_change_password and not self.route.name.startswith(OPEN_TO_STARTERS):
            raise _first_the_password(request)
        if permission != PUBLIC:
            if not actor.signed_in:
                raise _first_the_login(request, self.page)
            if not actor.may(permission):
                raise forbidden(request, permission) if is_api(request) else Problem(403)
            if self.permission and self.permission.superadmin_mode and not actor.in_superadmin_mode:
                raise _first_the_mode(request, actor)
        for name in self.ids:
            digits = request.match_info[name]
            if not digits.isascii() or int(digits[:20]) > LARGEST_ID or len(digits) > 19:
                raise Problem(404)

    async def _show_again(self, request: web.Request, submitted: Submitted, refused: Refused) -> web.StreamResponse:
        """The page that has the form, with what was typed and what is wrong with it."""
        page = self.page
        if is_api(request) or page is None or not request[ACTOR].may(page.permission):
            raise Problem(422, errors=refused.errors, notes=refused.notes)
        query, _wrong = _query_of(page, request)
        if query is None and page.query is not None:
            raise Problem(422, errors=refused.errors, notes=refused.notes)
        request[FORM] = FormState(
            submitted.key or idempotency_key(),
            body.shown_values(self.route.body, submitted.fields),
            refused.errors,
            refused.notes,
        )
        return _finished(request, page, await _read(request, page, query), 422)


async def _typed(request: web.Request, route: Route) -> tuple[str, ...]:
    """What a person typed into a form that cannot be accepted any more, to be shown once: no secrets, nothing that the
    page itself had put in."""
    if is_api(request) or not request[ACTOR].signed_in or route.body is None:
        return ()
    edge = request.app[EDGE]
    try:
        submitted = await body.read_form(request, Limits(edge.form_bytes, edge.body_seconds), files=False)
    except (Problem, web.HTTPException):
        return ()
    shown = body.shown_values(route.body, submitted.fields)
    fields = route.body.model_fields
    return tuple(value for name, value in shown.items() if name in fields and name != "seen" and value.strip())


def idempotency_key() -> str:
    """A fresh key for a form."""
    return secrets.token_urlsafe(16)


def _query_of(route: Route, request: web.Request) -> tuple[BaseModel | None, Refused | None]:
    return body.lenient(route.query, request.query) if route.query else (None, None)


def _first_the_login(request: web.Request, page: Route | None) -> Exception:
    if is_api(request):
        return Problem(401, headers={"WWW-Authenticate": "Bearer"})
    # A form that met the end of its session comes back to its page, if it has one.
    way_back = request.path_qs if request.method in SAFE_METHODS or page is not None else "/"
    return web.HTTPSeeOther(url(request, LOGIN, query={"next": way_back} if way_back != "/" else None))


def _without_a_key() -> Problem:
    return Problem(
        400,
        _(
            "Send the header Idempotency-Key with a value of your own, a new one for each new request: when you send "
            "the same again under the same key, nothing is done twice."
        ),
    )


def _first_the_password(request: web.Request) -> Exception:
    if is_api(request):
        return Problem(403, _("Change your starter password first."))
    return web.HTTPSeeOther(url(request, PASSWORD))


def _first_the_mode(request: web.Request, actor: Actor) -> Problem:
    detail = _("This works only in superadministrator mode, which you switch on for a limited time.")
    if is_api(request) or actor.role is not Role.SUPERADMIN or SUPERADMIN_MODE not in request.app.router:
        return Problem(403, detail)
    return Problem(403, detail, link=(url(request, SUPERADMIN_MODE), _("Switch on superadministrator mode")))


async def _read(request: web.Request, route: Route, model: BaseModel | None) -> object:
    """Run a handler in autocommit; its connection is taken when first used and given back before anything renders."""
    borrowed = Borrowed(request[SITE].db)
    request[CONN] = borrowed
    request[READING] = True
    try:
        return await _call(request, route, model)
    finally:
        request[READING] = False
        await borrowed.give_back()


async def _call(request: web.Request, route: Route, model: BaseModel | None) -> object:
    takes_model = route.body if request.method not in SAFE_METHODS and route.method == request.method else route.query
    return await (route.handler(request, model) if takes_model else route.handler(request))


async def _changed(
    request: web.Request, route: Route, model: BaseModel | None, submitted: Submitted, page: Route | None
) -> object:
    """Run a handler in one transaction; again, with the same input, when others got in its way."""
    actor = request[ACTOR]
    stamp = Stamp(
        actor=str(actor.user) if actor.user is not None else "visitor",
        role=_role_of(actor),
        superadmin_mode=actor.in_superadmin_mode,
        request=request[REQUEST_ID],
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with request[SITE].db.transaction(stamp) as conn:
                request[CONN] = conn
                return await _once(request, route, model, submitted, page)
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            if attempt == ATTEMPTS:
                raise
            _log.info("another transaction got in the way; again", route=route.name, attempt=attempt)
    raise AssertionError("unreachable")


def _role_of(actor: Actor) -> str:
    """The role in which the actor acts, for the history; with the token's number when a program does."""
    return f"{actor.role or ''}:token-{actor.token}" if actor.token is not None else actor.role or ""


async def _once(
    request: web.Request, route: Route, model: BaseModel | None, submitted: Submitted, page: Route | None
) -> object:
    """The work of a form, or the answer that it was given when it was sent before."""
    actor, conn, key = request[ACTOR], request[CONN], submitted.key
    if not key or not actor.signed_in:
        return await _call(request, route, model)
    fingerprint = request_hash(request.method.encode(), request.path_qs.encode(), submitted.digest)
    try:
        stored = await begin(conn, key, str(actor.user), route.name, fingerprint)
    except KeyReused:
        raise Problem(409, _REUSED_BY_PROGRAM if is_api(request) else _REUSED) from None
    if stored is not None:
        return _given_again(request, stored, page)
    result = await _call(request, route, model)
    if isinstance(result, web.StreamResponse) and result.status >= 400:
        await conn.execute(FORGET_KEY_SQL, str(actor.user), key)
    else:
        await finish(conn, key, str(actor.user), _to_store(request, result))
    return result


_REUSED: Final = _("This form was already sent with other content. Open the page again.")
_REUSED_BY_PROGRAM: Final = _("This Idempotency-Key was used for other content. Send a new key with a new request.")
FORGET_KEY_SQL: Final[LiteralString] = "delete from kernel.idempotency_key where actor = $1 and key = $2"
_KEPT_HEADERS: Final = ("Location", "Content-Type")
_FLASH_KEPT: Final = "flash"


def _to_store(request: web.Request, result: object) -> StoredAnswer:
    match result:
        case Created():
            return StoredAnswer(
                201, {"Content-Type": JSON, "Location": result.location}, result.model.model_dump_json().encode()
            )
        case BaseModel():
            return StoredAnswer(200, {"Content-Type": JSON}, result.model_dump_json().encode())
        case web.Response() if result.status != 200 or isinstance(result.body, bytes):
            headers = {name: result.headers[name] for name in _KEPT_HEADERS if name in result.headers}
            if flash := result.cookies.get(_flash_cookie(request)):
                headers[_FLASH_KEPT] = flash.value
            return StoredAnswer(result.status, headers, result.body if isinstance(result.body, bytes) else b"")
        case _:
            return StoredAnswer(200)


def _given_again(request: web.Request, stored: StoredAnswer, page: Route | None) -> web.Response:
    """The answer of the first time. A page or a file is not kept: its form is shown again, with nothing done."""
    headers = {name: stored.headers[name] for name in _KEPT_HEADERS if name in stored.headers}
    if not headers and not stored.body and stored.status == 200:
        if page is None or is_api(request):
            raise Problem(409, _("This was already done."))
        return redirect_to(request, request.path_qs, flash=_("This was already done."))
    response = web.Response(status=stored.status, headers=headers, body=stored.body or None)
    if _FLASH_KEPT in stored.headers:
        _set_flash(request, response, stored.headers[_FLASH_KEPT])
    return response


# --- results --------------------------------------------------------------------------------------------------------

JSON: Final = "application/json; charset=utf-8"


def _finished(request: web.Request, route: Route, result: object, status: int) -> web.StreamResponse:
    """What a handler returned as a response. The connection has been given back: templates render from plain data."""
    match result:
        case web.StreamResponse():
            return result
        case Created():
            headers = {"Content-Type": JSON, "Location": result.location}
            return web.Response(status=201, body=result.model.model_dump_json().encode(), headers=headers)
        case BaseModel():
            return web.Response(status=status, body=result.model_dump_json().encode(), headers={"Content-Type": JSON})
        case Pdf():
            return _file(result.content, result.filename, "application/pdf", inline=result.inline)
        case Download():
            return _file(result.content, result.filename, result.content_type, inline=False)
        case Mapping() if route.template is not None:
            return _page(request, route.template, cast("Mapping[str, Any]", result), status)
        case None:
            return web.Response(status=204)
        case _:
            raise TypeError(f"route {route.name} answered with {type(result).__name__}")


def _page(request: web.Request, template: str, data: Mapping[str, Any], status: int) -> web.Response:
    flash = _flash_of(request)
    if flash:
        request[FLASH] = flash
    response = web.Response(
        status=status, text=render(request, template, data), content_type="text/html", charset="utf-8"
    )
    if flash:
        response.del_cookie(_flash_cookie(request), path="/", secure=request.secure, httponly=True, samesite="Lax")
    return response


def _file(content: bytes, filename: str, content_type: str, *, inline: bool) -> web.Response:
    return web.Response(
        body=content,
        headers={"Content-Type": content_type, "Content-Disposition": content_disposition(filename, inline=inline)},
    )


def content_disposition(filename: str, *, inline: bool) -> str:
    """RFC 6266 with both spellings of the name: ASCII for old programs, UTF-8 for the others. No path in it."""
    name = "".join(letter for letter in re.split(r"[/\\]", filename)[-1] if letter.isprintable()).strip(". ") or "file"
    plain = name.translate(_POLISH).encode("ascii", "replace").decode()
    plain = re.sub(r'["%?]', "_", plain)
    kind = "inline" if inline else "attachment"
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


_POLISH: Final = str.maketrans("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ", "acelnoszzACELNOSZZ")


# --- the word that the next page says -------------------------------------------------------------------------------


def _flash_cookie(request: web.BaseRequest) -> str:
    return "__Host-ebok-flash" if request.secure else "ebok-flash"


def _remember_flash(request: web.BaseRequest, response: web.StreamResponse, text: str) -> None:
    _set_flash(request, response, quote(text[:LONGEST_FLASH], safe=""))


def _set_flash(request: web.BaseRequest, response: web.StreamResponse, value: str) -> None:
    response.set_cookie(
        _flash_cookie(request),
        value,
        max_age=FLASH_SECONDS,
        path="/",
        secure=request.secure,
        httponly=True,
        samesite="Lax",
    )


def _flash_of(request: web.BaseRequest) -> str:
    text = unquote(request.cookies.get(_flash_cookie(request), "")[: LONGEST_FLASH * 9])
    return "".join(letter for letter in text if letter.isprintable())[:LONGEST_FLASH]

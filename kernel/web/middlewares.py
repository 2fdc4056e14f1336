"""The edge: what every request passes on its way to a route, and every answer on its way out, in one visible order."""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from kernel.auth import api_tokens, sessions
from kernel.auth.api_tokens import BadToken
from kernel.auth.model import Throttled
from kernel.auth.tokens import session_token
from kernel.i18n import _, speaking
from kernel.plugin.actor import Actor
from kernel.plugin.permissions import STAFF
from kernel.plugin.registry import Registry
from kernel.settings import fresh
from kernel.site import Site, site_of_host
from kernel.web import errors
from kernel.web.csp import content_security_policy, new_nonce
from kernel.web.errors import Problem
from kernel.web.origin import SAFE_METHODS, came_from_here, carries_token, token_of
from kernel.web.proof import too_many
from kernel.web.remembered import REMEMBERED
from kernel.web.remembered import read as read_remembered
from kernel.web.request import ACTOR, NONCE, REQUEST_ID, SITE
from kernel.web.server import server_options
from kernel.web.view import language_of, view_of

if TYPE_CHECKING:
    from kernel.config import Config

__all__ = ["EDGE", "MIDDLEWARES", "SESSION", "SITES", "Edge", "protect", "server_options", "set_up"]

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HSTS_SECONDS: Final = 31_536_000

_WITHOUT_IDENTITY: Final = ("/static/", "/livez", "/readyz", "/metrics")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{8,64}")
_log = structlog.get_logger("ebok.access")


@dataclass(frozen=True, slots=True)
class Edge:
    """What the deployment decides about the edge. Sizes in bytes, times in seconds."""

    trusted_proxies: tuple[Network, ...] = ()
    form_bytes: int = 1_048_576
    upload_bytes: int = 26_214_400
    body_seconds: float = 30.0

    def trusts(self, address: str | None) -> bool:
        """Whether ``X-Forwarded-*`` headers from this address are believed."""
        if not self.trusted_proxies or address is None:
            return False
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        known = ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip
        return any(known in network for network in self.trusted_proxies)


EDGE: Final = web.AppKey("edge", Edge)
SESSION: Final = web.RequestKey("session", sessions.Found)
"""The living session of a logged-in request; absent for a visitor."""
SITES: Final[web.AppKey[Mapping[str, Site]]] = web.AppKey("served_sites", Mapping)


def set_up(app: web.Application, config: Config, sites: Mapping[str, Site], registry: Registry) -> None:
    """Tell the edge of ``app`` what the deployment decided and whom it serves. ValueError for a wrong network."""
    app[EDGE] = Edge(
        trusted_proxies=tuple(ipaddress.ip_network(text, strict=False) for text in config.server.trusted_proxies),
        form_bytes=config.server.form_bytes,
        upload_bytes=config.server.upload_bytes,
        body_seconds=config.server.body_seconds,
    )
    app[SITES] = sites
    app.on_response_prepare.append(_protect_stream)


# --- the order ------------------------------------------------------------------------------------------------------


@web.middleware
async def proxied(request: web.Request, handler: Next) -> web.StreamResponse:
    """The visitor's own address, scheme and host, as trusted proxies report them; nobody else is believed."""
    scheme = "https" if _over_tls(request) else "http"
    remote = request.remote
    if not request.app[EDGE].trusts(remote):
        # A request line may carry a whole address, scheme included; only the connection tells the truth about it.
        return await handler(request if request.scheme == scheme else request.clone(scheme=scheme))
    forwarded = request.headers
    changed: dict[str, Any] = {
        "remote": _client_address(request.app[EDGE], forwarded.getall("X-Forwarded-For", []), remote),
        "scheme": _last(forwarded.getall("X-Forwarded-Proto", [])).lower() or scheme,
    }
    if changed["scheme"] not in ("http", "https"):
        changed["scheme"] = scheme
    if host := _last(forwarded.getall("X-Forwarded-Host", [])):
        changed["host"] = host
    return await handler(request.clone(**changed))


def _over_tls(request: web.Request) -> bool:
    transport = request.transport
    return transport is not None and transport.get_extra_info("sslcontext") is not None


def _last(values: list[str]) -> str:
    """The part that the nearest proxy wrote."""
    return values[-1].rpartition(",")[2].strip() if values else ""


def _client_address(edge: Edge, values: list[str], peer: str | None) -> str | None:
    """The last address of the chain that is not a trusted proxy's; the part before it may be invented."""
    nearest = peer
    for hop in reversed([part.strip() for value in values for part in value.split(",")]):
        try:
            address = str(ipaddress.ip_address(hop.strip("[]")))
        except ValueError:
            return nearest
        nearest = address
        if not edge.trusts(address):
            return address
    return nearest


@web.middleware
async def logged(request: web.Request, handler: Next) -> web.StreamResponse:
    """A request id, the time it took, one line in the log: of the address no query and no name, only numbers."""
    started = time.perf_counter()
    request_id = _request_id(request)
    request[REQUEST_ID] = request_id
    request[NONCE] = new_nonce()
    with structlog.contextvars.bound_contextvars(request=request_id):
        response = await handler(request)
        if not response.prepared:
            protect(request, response)
        actor = request.get(ACTOR)
        site = request.get(SITE)
        note = _log.debug if request.path.startswith(_WITHOUT_IDENTITY) else _log.info
        note(
            "request",
            method=request.method,
            **_address(request),
            status=response.status,
            ms=round((time.perf_counter() - started) * 1000, 1),
            remote=request.remote,
            site=site.name if site else None,
            user=actor.user if actor else None,
            **({"token": actor.token} if actor and actor.token is not None else {}),
        )
    return response


def _request_id(request: web.Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    if _REQUEST_ID.fullmatch(given) and request.app[EDGE].trusts(_peer(request)):
        return given
    return secrets.token_hex(8)


def _peer(request: web.Request) -> str | None:
    peer: tuple[str, int] | str | None = request.transport.get_extra_info("peername") if request.transport else None
    return peer[0] if isinstance(peer, tuple) else None


def _address(request: web.Request) -> Mapping[str, object]:
    """A route with the ids in its path, never the words: one of them may be a one-time link's secret."""
    resource = request.match_info.route.resource
    if resource is None or resource.name is None:
        first, slash, _rest = request.path[1:].partition("/")
        return {"path": f"/{first[:40]}{slash and '/*'}".encode("ascii", "backslashreplace").decode()}
    ids = {name: value for name, value in request.match_info.items() if value.isdecimal()}
    return {"route": resource.name, **({"ids": ids} if ids else {})}


@web.middleware
async def spoken(request: web.Request, handler: Next) -> web.StreamResponse:
    """The language that the visitor chose or the browser asks for."""
    with speaking(language_of(request)):
        return await handler(request)


@web.middleware
async def told(request: web.Request, handler: Next) -> web.StreamResponse:
    """Every exception becomes an error page (or problem+json) with the words for people; the log has the rest."""
    try:
        return await handler(request)
    except web.HTTPRedirection as moved:
        return web.Response(status=moved.status, headers={"Location": moved.headers["Location"]})
    except Exception as error:
        if request.transport is None:  # nobody is there to be told
            raise
        return errors.answer(request, errors.problem_of(error))


@web.middleware
async def sound(request: web.Request, handler: Next) -> web.StreamResponse:
    """Known methods only, and an address and head that the database can hold: no NUL, no broken letters."""
    if request.method not in METHODS:
        raise Problem(405, headers={"Allow": ", ".join(sorted(METHODS))})
    raw = request.raw_path
    if ("%00" in raw or not raw.isascii()) and not _storable(request):
        raise Problem(400, _("The address contains characters that cannot be used."))
    if not all(value.isascii() or _is_utf8(value) for _name, value in request.raw_headers):
        raise Problem(400)
    return await handler(request)


def _storable(request: web.Request) -> bool:
    text = request.path + request.query_string + "".join(f"{key}{value}" for key, value in request.query.items())
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@web.middleware
async def hosted(request: web.Request, handler: Next) -> web.StreamResponse:
    """Host → organisation. A host that nobody here claims does not exist."""
    site = site_of_host(request.app[SITES], request.host)
    if site is None:
        raise Problem(404, _("No office answers at this address."))
    request[SITE] = site
    return await handler(request)


@web.middleware
async def own(request: web.Request, handler: Next) -> web.StreamResponse:
    """Changing requests come from this office's own pages, or carry a token that no foreign page can send."""
    if request.method not in SAFE_METHODS and not carries_token(request.headers, request.path):
        here = came_from_here(
            request.headers,
            scheme=request.scheme,
            host=request.host,
            has_session=session_token(request) is not None,
        )
        if not here:
            raise Problem(403, _("This was sent from another website, so we did nothing."))
    return await handler(request)


@web.middleware
async def identified(request: web.Request, handler: Next) -> web.StreamResponse:
    """Session or API token → actor, in one round trip; a visitor where there is none.

    A call with a token is the token's alone: its cookies are not looked at, so a wrong token never acts as a session.
    """
    request[ACTOR] = Actor()
    if request.path.startswith(_WITHOUT_IDENTITY):
        return await handler(request)
    if carries_token(request.headers, request.path):
        return await _as_program(request, handler)
    site = request[SITE]
    token = session_token(request)
    if token is None:
        await fresh(site)
        return await handler(request)
    async with site.db.connection() as conn:
        await fresh(site, conn)
        now = site.clock.now()
        found = await sessions.find(conn, token, now, site.registry.permissions_of)
        if found is not None and found.touch_due and found.actor.session is not None:
            await sessions.touch(conn, found.actor.session, now)
    if found is None:
        return await handler(request)
    request[ACTOR] = found.actor
    request[SESSION] = found
    if found.actor.role in STAFF:
        request[REMEMBERED] = read_remembered(found.lists, found.views)
    if view_of(request).language:
        return await handler(request)
    with speaking(found.language):
        return await handler(request)


async def _as_program(request: web.Request, handler: Next) -> web.StreamResponse:
    site, now = request[SITE], request[SITE].clock.now()
    try:
        async with site.db.connection() as conn:
            await fresh(site, conn)
            caller = await api_tokens.find(conn, token_of(request.headers), now, site.registry.permissions_of)
            if caller.touch_due and caller.actor.token is not None:
                await api_tokens.touch(conn, caller.actor.token, request.remote or "", now)
    except BadToken as bad:
        try:
            await api_tokens.refuse(site.db, request.remote, now)
        except Throttled as throttled:
            raise too_many(throttled) from None
        raise Problem(401, bad.reason, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}) from None
    request[ACTOR] = caller.actor
    return await handler(request)


MIDDLEWARES: Final = (proxied, logged, spoken, told, sound, hosted, own, identified)
"""Outermost first."""


# --- the way out ----------------------------------------------------------------------------------------------------

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "magnetometer=(), microphone=(), payment=(), usb=()"
    ),
}
_NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"


def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Put the protective headers on an answer. What is not said to be public is kept by nobody."""
    headers = response.headers
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
    headers.setdefault("X-Request-Id", request.get(REQUEST_ID, ""))
    headers.setdefault("Cache-Control", "no-store")
    # Browsers show a PDF with a viewer of their own, which some block by the policy of the file.
    if response.content_type == "text/html":
        headers.setdefault("Content-Security-Policy", content_security_policy(request.get(NONCE, "")))
    elif response.content_type != "application/pdf":
        headers.setdefault("Content-Security-Policy", _NOTHING)
    if request.secure:
        headers.setdefault("Strict-Transport-Security", f"max-age={HSTS_SECONDS}")


async def _protect_stream(request: web.Request, response: web.StreamResponse) -> None:
    """The same for an answer that a handler streams itself; and no banner that names versions."""
    if "X-Request-Id" not in response.headers:
        protect(request, response)
    response.headers.popall("Server", None)

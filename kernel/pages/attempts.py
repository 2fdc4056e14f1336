"""What the pages of login share: who asks, and how a refusal at the door is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from aiohttp import web

from kernel.auth.login import Visitor
from kernel.auth.model import Throttled, WeakPassword, WrongSecret
from kernel.auth.tokens import device_token, session_token
from kernel.db.pool import Stamp
from kernel.i18n import Text
from kernel.plugin.actor import Actor
from kernel.plugin.permissions import Role
from kernel.settings import organisation
from kernel.site import Site
from kernel.web.proof import too_many
from kernel.web.request import ACTOR, REQUEST_ID, Refused

UNTOLD: Final = 0.25
"""Seconds that a refusal at the door takes at least: what the product does for a known login alone takes a few
milliseconds, which would tell it from an unknown one."""


def visitor_of(request: web.Request) -> Visitor:
    """Who stands at the door."""
    return Visitor(
        address=request.remote or "",
        device=request.headers.get("User-Agent", ""),
        session_token=session_token(request),
        device_token=device_token(request),
        request=request[REQUEST_ID],
    )


def stamp_of_request(request: web.Request) -> Stamp:
    """The stamp of a transaction that a page opens itself, as the kernel would have set it."""
    actor = request[ACTOR]
    return Stamp(
        str(actor.user) if actor.user is not None else "",
        actor.role or "",
        superadmin_mode=actor.in_superadmin_mode,
        request=request[REQUEST_ID],
    )


@contextmanager
def refusals(wrong: Text, field: str | None = None) -> Generator[None]:
    """Turn what the door says into pages: ``wrong`` (at ``field``) for a wrong secret, 429 for a hurry, a weak password
    at the field ``new_password``."""
    try:
        yield
    except WrongSecret:
        raise Refused(wrong, field=field) from None
    except WeakPassword as weak:
        raise Refused(weak.reason, field="new_password") from None
    except Throttled as throttled:
        raise too_many(throttled) from None


@asynccontextmanager
async def untold(*, always: bool = False) -> AsyncGenerator[None]:
    """Let a refusal (``always``: any outcome) take ``UNTOLD`` seconds, whatever was done. Nothing is held meanwhile."""
    loop = asyncio.get_running_loop()
    until = loop.time() + UNTOLD
    try:
        yield
    except Exception:
        await asyncio.sleep(until - loop.time())
        raise
    if always:
        await asyncio.sleep(until - loop.time())


def organisation_of(site: Site) -> str:
    """The organisation's name, for the authenticator and for the words a password must not consist of."""
    return organisation(site).name


def home_of(role: Role | None) -> str:
    """Where a person's work begins."""
    return "/" if role in (None, Role.CUSTOMER) else "/admin/"


def user_of(actor: Actor) -> int:
    """The id of the signed-in user; a guarded page always has one."""
    if actor.user is None:
        raise LookupError("nobody is signed in")
    return actor.user

"""The password asked once more, and then a transaction: for what a stolen session must not do."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from pydantic import SecretStr

from kernel.auth.login import prove_password
from kernel.auth.model import Throttled, WrongSecret
from kernel.db.connection import Connection
from kernel.db.pool import Stamp
from kernel.i18n import Text, _, ngettext
from kernel.web.errors import Problem
from kernel.web.request import ACTOR, CONN, REQUEST_ID, SITE, Refused

OWN_WRONG: Final[Text] = _("This is not your password")


@asynccontextmanager
async def confirmed(
    request: web.Request, password: SecretStr, *, field: str = "password"
) -> AsyncGenerator[Connection]:
    """The request's transaction (``request[CONN]`` inside the block) after the person proved the password again.

    For the handler of a ``read_only`` route, as the first thing it does: a wrong password stays counted when the form
    is refused, and no connection is held while it is checked. The route keeps no idempotency key, so the handler must
    do its work once however often it is asked. Raises Refused at ``field``, and Problem 429 after too many attempts.
    """
    site, actor = request[SITE], request[ACTOR]
    if actor.user is None:
        raise PermissionError("nobody is signed in")
    try:
        await prove_password(site.db, actor.user, password.get_secret_value(), site.clock.now())
    except WrongSecret:
        raise Refused(OWN_WRONG, field=field) from None
    except Throttled as throttled:
        raise too_many(throttled) from None
    stamp = Stamp(
        str(actor.user), actor.role or "", superadmin_mode=actor.in_superadmin_mode, request=request[REQUEST_ID]
    )
    outside = request[CONN]
    async with site.db.transaction(stamp) as conn:
        request[CONN] = conn
        try:
            yield conn
        finally:
            request[CONN] = outside


def too_many(throttled: Throttled) -> Problem:
    """429 with the time to wait, in words and in ``Retry-After``."""
    seconds = throttled.retry_after
    if seconds < 60:
        wait = ngettext("Try again in {count} second.", "Try again in {count} seconds.", seconds)
    else:
        wait = ngettext("Try again in {count} minute.", "Try again in {count} minutes.", -(-seconds // 60))
    return Problem(429, wait, headers={"Retry-After": str(seconds)})

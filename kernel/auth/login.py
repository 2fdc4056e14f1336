"""The way through the door: password, second factor, the password asked again, and out.

Each step opens its own short transactions: what was tried stays counted when the answer is a refusal, and no
connection is held while a password is hashed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from kernel.audit import audit
from kernel.auth import passwords, second_factor, sessions, store, throttle
from kernel.auth.model import (
    ACCOUNT,
    ADDRESS,
    CODE,
    CODE_WAITS,
    DEVICE,
    PROOF,
    SESSION_TIMES,
    Limit,
    SessionTimes,
    WrongSecret,
    network_of,
)
from kernel.auth.store import Credentials
from kernel.auth.tokens import digest, new_token
from kernel.db.connection import Connection
from kernel.db.pool import Database, Stamp
from kernel.people.model import fold_login, login_is_possible
from kernel.plugin.permissions import Role

_DOOR = Stamp("login")
_DEVICE_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who stands at the door: network address, the browser's name for itself, and the tokens it carries."""

    address: str = ""
    device: str = ""
    session_token: str | None = None
    device_token: str | None = None
    request: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """What the browser is given: the session's token and, once the door is open, the one it is known by."""

    token: str
    device_token: str | None
    awaits_code: bool
    role: Role


async def log_in(
    db: Database, visitor: Visitor, login: str, password: str, now: datetime, times: SessionTimes = SESSION_TIMES
) -> Entered:
    """Open a session for the right password, or one that waits for the second factor; the browser's old session ends.

    Raises WrongSecret (unknown, disabled, wrong, expired: all alike) and Throttled.
    """
    login = fold_login(login)
    async with db.transaction(_DOOR) as conn:
        found = await store.of_login(conn, login) if login_is_possible(login) else None
        attempts = await _count_attempts(conn, visitor, login, found, now)
    fits = await passwords.verify(found.password_hash if found else None, password)
    if found is None or not fits or not found.may_enter(now):
        await _note_failure(db, visitor, found)
        raise WrongSecret
    fresh = await passwords.hash_password(password) if passwords.is_outdated(found.password_hash) else None
    token = new_token()
    async with db.transaction(stamp_of(found.id, found.role, visitor.request)) as conn:
        session = await sessions.start(
            conn,
            token,
            found.id,
            password_hash=found.password_hash,
            awaits_code=found.totp_secret is not None,
            now=now,
            idle=times.idle(found.role),
            lives=CODE_WAITS if found.totp_secret else times.absolute,
            address=visitor.address,
            device=visitor.device[:_DEVICE_NAME_LENGTH],
        )
        if session is None:
            raise WrongSecret
        await _forgive(conn, attempts, now)
        if visitor.session_token:
            await sessions.end_token(conn, visitor.session_token)
        if fresh:
            await store.rehash(conn, found.id, found.password_hash, fresh)
        device = None if found.totp_secret else await _welcome(conn, visitor, found.id, now)
    return Entered(token, device, found.totp_secret is not None, found.role)


async def confirm_code(
    db: Database, visitor: Visitor, code: str, now: datetime, times: SessionTimes = SESSION_TIMES
) -> Entered:
    """Open the session that waits for its second factor; ``code`` is the authenticator's or a recovery code.

    Raises WrongSecret (also when nothing waits: see ``waits_for_code``) and Throttled.
    """
    async with db.transaction(_DOOR) as conn:
        waiting = await sessions.pending(conn, visitor.session_token or "", now)
        if waiting is None:
            raise WrongSecret
        await throttle.attempt(conn, CODE, str(waiting.user_id), now)
    token = new_token()
    async with db.transaction(stamp_of(waiting.user_id, waiting.role, visitor.request)) as conn:
        if not await _use_code(conn, waiting.user_id, waiting.totp_secret, waiting.totp_last_step, code, now):
            raise WrongSecret
        if not await sessions.complete(conn, waiting.id, token, now, now + times.absolute):
            raise WrongSecret
        await throttle.forget(conn, CODE, str(waiting.user_id))
        device = await _welcome(conn, visitor, waiting.user_id, now)
    return Entered(token, device, awaits_code=False, role=waiting.role)


async def waits_for_code(conn: Connection, token: str | None, now: datetime) -> bool:
    """Whether the browser with this token has given the right password and only the second factor is missing."""
    return token is not None and await sessions.pending(conn, token, now) is not None


async def log_out(conn: Connection, token: str) -> None:
    """End the session of a token; nothing happens when there is none."""
    if await sessions.end_token(conn, token) is not None:
        await audit(conn, "kernel.logged_out")


async def prove_password(db: Database, user: int, password: str, now: datetime) -> Credentials:
    """Check the password of a signed-in user once more, before something that a stolen session must not do.

    Raises WrongSecret and Throttled.
    """
    async with db.transaction(Stamp(str(user))) as conn:
        found = await store.of_user(conn, user)
        await throttle.attempt(conn, PROOF, str(user), now)
    if not await passwords.verify(found.password_hash, password):
        raise WrongSecret
    async with db.transaction(Stamp(str(user))) as conn:
        await throttle.forget(conn, PROOF, str(user))
    return found


def stamp_of(user: int, role: Role | None, request: str = "") -> Stamp:
    """The stamp of a transaction in which a user acts for themselves."""
    return Stamp(str(user), role or "", request=request)


async def _count_attempts(
    conn: Connection, visitor: Visitor, login: str, found: Credentials | None, now: datetime
) -> list[tuple[Limit, str]]:
    """Count this attempt where it belongs; raises Throttled. A browser that its owner used before has its own count."""
    token = visitor.device_token
    if found and token and await store.knows_device(conn, found.id, token, now):
        counted = [(DEVICE, digest(token).hex())]
    else:
        # Not the login itself: people type their password into the wrong field.
        name = hashlib.sha256(login.encode("utf-8", "surrogatepass")).hexdigest()
        counted = [(ACCOUNT, name), (ADDRESS, network_of(visitor.address))]
    for limit, key in counted:
        await throttle.attempt(conn, limit, key, now)
    return counted


async def _forgive(conn: Connection, attempts: list[tuple[Limit, str]], now: datetime) -> None:
    for limit, key in attempts:
        if limit is ADDRESS:
            await throttle.take_back(conn, limit, key, now)
        else:
            await throttle.forget(conn, limit, key)


async def _note_failure(db: Database, visitor: Visitor, found: Credentials | None) -> None:
    """Known logins only: whatever else was typed may be anything, a password too."""
    if found is not None:
        async with db.transaction(Stamp("login", request=visitor.request)) as conn:
            await audit(conn, "kernel.login_failed", subject=f"user {found.id}", login=found.login)


async def _welcome(conn: Connection, visitor: Visitor, user: int, now: datetime) -> str:
    token = new_token()
    await store.remember_device(conn, user, visitor.device_token, token, now)
    await audit(conn, "kernel.logged_in", subject=f"user {user}")
    return token


async def _use_code(conn: Connection, user: int, secret: str, last_step: int, code: str, now: datetime) -> bool:
    if (step := second_factor.step_of(secret, code, now, last_step)) is not None:
        return await store.use_step(conn, user, step)
    if (recovery := second_factor.recovery_code(code)) and await store.use_recovery_code(conn, user, recovery):
        await audit(conn, "kernel.recovery_code_used", subject=f"user {user}")
        return True
    return False

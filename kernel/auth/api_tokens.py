"""Tokens that let programs use the API in somebody's name: made, looked up, revoked, and warned of before they expire.

A token gives no more than its scopes, and none of them once its owner has lost that permission. It opens nothing but
``/api/v1/`` and never the superadministrator's mode.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, LiteralString
from zoneinfo import ZoneInfo

import asyncpg

from kernel.audit import audit
from kernel.auth import throttle
from kernel.auth.model import BAD_TOKEN, network_of
from kernel.auth.tokens import digest
from kernel.db.connection import Connection, Row
from kernel.db.pool import Database, Stamp
from kernel.i18n import Text, _, speaking
from kernel.mail import send_mail
from kernel.people.model import State, is_email
from kernel.plugin.actor import Actor
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import PUBLIC, STAFF, Permission, Role
from kernel.plugin.registry import Registry

API: Final = "/api/v1/"
"""Under which addresses tokens are looked at."""
PREFIX: Final = "ebok_"
"""How a token begins, so that scanners of published code find one that leaked: ``ebok_[A-Za-z0-9]{43}``."""
ALWAYS: Final = "kernel.api"
"""The scope that every token has: to ask whose it is."""

LIFETIME: Final = timedelta(days=365)
"""What the form proposes."""
WARNED_BEFORE: Final = timedelta(days=30)
USED_EVERY: Final = timedelta(minutes=5)

_LETTERS: Final = string.ascii_letters + string.digits
_GRAMMAR: Final = re.compile(rf"{PREFIX}[A-Za-z0-9]{{43}}")


class BadToken(Exception):
    """A token opens nothing; ``reason`` tells whoever holds it why."""

    def __init__(self, reason: Text) -> None:
        super().__init__(str(reason))
        self.reason = reason


class NameTaken(Exception):
    """The user has a living token of this name."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token as people see it: never its secret. ``expires_at`` is None for one that does not expire."""

    id: int
    user: int
    owner: str
    owner_is_active: bool
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str
    revoked_at: datetime | None
    revoked_by: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token speaks for. ``touch_due`` asks for ``touch`` (at most once in five minutes)."""

    actor: Actor
    touch_due: bool


def new_secret() -> str:
    """A token: 256 random bits behind the prefix."""
    return PREFIX + "".join(secrets.choice(_LETTERS) for _place in range(43))


def offered(registry: Registry, actor: Actor) -> list[Permission]:
    """The permissions that the actor can hand to a program: the actor's own, that some address of the API asks for.

    None that needs the superadministrator's mode: a program announces nothing.
    """
    asked = {route.permission for route in registry.routes.values() if is_for_programs(registry, route)}
    return [
        permission
        for name, permission in registry.permissions.items()
        if name in asked and actor.may(name) and name != ALWAYS
    ]


def is_for_programs(registry: Registry, route: Route) -> bool:
    """Whether a token can open a route: one of the API, for the office, outside the superadministrator's mode."""
    if not route.path.startswith(API):
        return False
    if route.permission == PUBLIC:
        return True
    permission = registry.permissions[route.permission]
    return bool(permission.roles & STAFF) and not permission.superadmin_mode


def expiry(last_day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a token ends whose last day is ``last_day`` in the organisation's time zone."""
    return datetime.combine(last_day + timedelta(days=1), time(), zone)


# --- looking up -----------------------------------------------------------------------------------------------------

FIND_SQL: Final[LiteralString] = """
select t.id, t.scopes, t.expires_at, t.revoked_at, t.last_used_at,
       u.id as user_id, u.login, u.name, u.role, u.state, u.must_change_password
from kernel.api_token t join kernel.users u on u.id = t.user_id
where t.token_hash = $1"""


async def find(conn: Connection, token: str, now: datetime, permissions_of: Mapping[Role, frozenset[str]]) -> Caller:
    """Whom a token speaks for, in one round trip. Raises BadToken."""
    row = await conn.fetchrow(FIND_SQL, digest(token)) if _GRAMMAR.fullmatch(token) else None
    if row is None:
        raise BadToken(_("There is no such token. Check that it was copied whole."))
    role = Role(row["role"])
    _check(row, role, now)
    used: datetime | None = row["last_used_at"]
    actor = Actor(
        user=row["user_id"],
        login=row["login"],
        name=row["name"],
        role=role,
        permissions=permissions_of[role] & frozenset(row["scopes"]),
        must_change_password=row["must_change_password"],
        token=row["id"],
    )
    return Caller(actor, used is None or now - used >= USED_EVERY)


def _check(row: Row, role: Role, now: datetime) -> None:
    """Who holds the secret may know why it opens nothing. Raises BadToken."""
    if row["revoked_at"] is not None:
        raise BadToken(_("This token was revoked. Make another one."))
    if row["expires_at"] is not None and row["expires_at"] <= now:
        raise BadToken(_("This token expired. Make another one."))
    if row["state"] != State.ACTIVE or role not in STAFF:
        raise BadToken(_("The person who made this token works here no more."))


async def refuse(db: Database, address: str | None, now: datetime) -> None:
    """Count a token that opened nothing, by the visitor's network. Raises Throttled.

    A right token is not held up by others' wrong ones: 256 random bits cannot be guessed, so what is limited is noise.
    """
    async with db.transaction(Stamp("login")) as conn:
        await throttle.attempt(conn, BAD_TOKEN, network_of(address), now)


TOUCH_SQL: Final[LiteralString] = """
update kernel.api_token set last_used_at = $2, last_used_from = $3
where id = $1 and (last_used_at is null or last_used_at < $2)"""


async def touch(conn: Connection, token: int, address: str, now: datetime) -> None:
    """Note that a token is in use, and from where; call it when ``Caller.touch_due``."""
    await conn.execute(TOUCH_SQL, token, now, address)


# --- making and revoking --------------------------------------------------------------------------------------------

ADD_SQL: Final[LiteralString] = """
insert into kernel.api_token (token_hash, user_id, name, scopes, created_at, expires_at)
select $1, id, $3, $4, $5, $6 from kernel.users where id = $2
returning id, (select email from kernel.users where id = $2) as email,
    (select language from kernel.users where id = $2) as language"""


async def make(
    conn: Connection, user: int, name: str, scopes: Iterable[str], expires_at: datetime | None, now: datetime
) -> str:
    """Make a token for a user who proved the password; it is shown this once. Audited, and its owner is written to.

    Raises NameTaken. That the user has the scopes is for the caller to check.
    """
    secret, given = new_secret(), sorted({ALWAYS, *scopes})
    try:
        row = await conn.fetchrow(ADD_SQL, digest(secret), user, name, given, now, expires_at)
    except asyncpg.UniqueViolationError as error:
        raise NameTaken(name) from error
    if row is None:
        raise LookupError(f"no user {user}")
    await audit(conn, "kernel.token_made", subject=f"token {row['id']}", name=name, scopes=", ".join(given))
    await _tell(
        conn,
        row["email"],
        row["language"],
        _("A new API token"),
        _(
            "The API token “{name}” was made just now in your name. A program that has it can use: {scopes}.\n\n"
            "If it was not you, revoke it at once under “My account” and change your password.",
            name=name,
            scopes=", ".join(given),
        ),
    )
    return secret


REVOKE_SQL: Final[LiteralString] = """
update kernel.api_token set revoked_at = $2, revoked_by = $3 where id = $1 and revoked_at is null returning name"""


async def revoke(conn: Connection, token: ApiToken, by: int, now: datetime) -> bool:
    """End a token for good; audited. False when it was revoked before."""
    if await conn.fetchval(REVOKE_SQL, token.id, now, by) is None:
        return False
    await audit(conn, "kernel.token_revoked", subject=f"token {token.id}", name=token.name, owner=token.owner)
    return True


# --- seeing ---------------------------------------------------------------------------------------------------------

ONE_SQL: Final[LiteralString] = """
select t.id, t.user_id, coalesce(nullif(u.name, ''), u.login) as owner,
       u.state = 'active' and u.role <> 'customer' as owner_is_active, t.name, t.scopes, t.created_at, t.expires_at,
       t.last_used_at, t.last_used_from, t.revoked_at, coalesce(nullif(r.name, ''), r.login, '') as revoked_by
from kernel.api_token t join kernel.users u on u.id = t.user_id left join kernel.users r on r.id = t.revoked_by
where t.id = $1"""


async def token(conn: Connection, number: int) -> ApiToken | None:
    """A token by its number, or None."""
    row = await conn.fetchrow(ONE_SQL, number)
    if row is None:
        return None
    return ApiToken(
        id=row["id"],
        user=row["user_id"],
        owner=row["owner"],
        owner_is_active=row["owner_is_active"],
        name=row["name"],
        scopes=tuple(row["scopes"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        last_used_from=row["last_used_from"],
        revoked_at=row["revoked_at"],
        revoked_by=row["revoked_by"],
    )


# --- warning --------------------------------------------------------------------------------------------------------

WARN_SQL: Final[LiteralString] = """
update kernel.api_token t set warned_at = $1
from kernel.users u
where u.id = t.user_id and u.state = 'active' and u.role <> 'customer' and t.revoked_at is null and t.warned_at is null
  and t.expires_at > $1 and t.expires_at <= $2
returning t.name, t.expires_at, u.email, u.language"""


async def warn(conn: Connection, zone: ZoneInfo, now: datetime) -> int:
    """Write to the owners of tokens that expire within a month, once each; how many tokens there were."""
    soon: Sequence[Row] = await conn.fetch(WARN_SQL, now, now + WARNED_BEFORE)
    for row in soon:
        day = last_day(row["expires_at"], zone)
        await _tell(
            conn,
            row["email"],
            row["language"],
            _("An API token expires soon"),
            _(
                "The API token “{name}” works for the last time on {day}. Make another one under “My account” before "
                "that day and give it to the program.",
                name=row["name"],
                day=day,
            ),
        )
    return len(soon)


def last_day(expires_at: datetime, zone: ZoneInfo) -> date:
    """The last whole day on which a token works."""
    return (expires_at.astimezone(zone) - timedelta(microseconds=1)).date()


async def _tell(conn: Connection, email: str, language: str, subject: Text, text: Text) -> None:
    if is_email(email):
        with speaking(language):
            await send_mail(conn, email, str(subject), str(text))

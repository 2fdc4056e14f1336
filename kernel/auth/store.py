"""What a user proves who they are with: password, second factor, recovery codes, one-time links, known devices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from kernel.auth.model import KNOWN_DEVICE, KNOWN_DEVICES
from kernel.auth.tokens import digest
from kernel.db.connection import Connection, Row
from kernel.people.model import State
from kernel.plugin.permissions import Role


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user as the door sees one. ``password_hash`` is empty where no password opens."""

    id: int
    login: str
    name: str
    email: str
    role: Role
    language: str
    state: State
    password_hash: str
    must_change_password: bool
    starter_until: datetime | None
    totp_secret: str | None
    totp_last_step: int

    def may_enter(self, now: datetime) -> bool:
        """Whether the right password opens the door: an active user whose starter password has not expired."""
        return self.state is State.ACTIVE and (self.starter_until is None or self.starter_until > now)


OF_LOGIN_SQL: Final[LiteralString] = """
select id, login, name, email, role, language, state, password_hash, must_change_password, starter_until,
       totp_secret, totp_last_step
from kernel.users where login = $1"""


async def of_login(conn: Connection, login: str) -> Credentials | None:
    """The credentials of a folded login, or None."""
    row = await conn.fetchrow(OF_LOGIN_SQL, login)
    return _credentials(row) if row else None


OF_USER_SQL: Final[LiteralString] = """
select id, login, name, email, role, language, state, password_hash, must_change_password, starter_until,
       totp_secret, totp_last_step
from kernel.users where id = $1"""


async def of_user(conn: Connection, user: int) -> Credentials:
    """The credentials of a user. Raises LookupError for an unknown id."""
    row = await conn.fetchrow(OF_USER_SQL, user)
    if row is None:
        raise LookupError(f"no user {user}")
    return _credentials(row)


def _credentials(row: Row) -> Credentials:
    return Credentials(
        id=row["id"],
        login=row["login"],
        name=row["name"],
        email=row["email"],
        role=Role(row["role"]),
        language=row["language"],
        state=State(row["state"]),
        password_hash=row["password_hash"],
        must_change_password=row["must_change_password"],
        starter_until=row["starter_until"],
        totp_secret=row["totp_secret"],
        totp_last_step=row["totp_last_step"],
    )


# --- passwords ------------------------------------------------------------------------------------------------------

CHANGE_HASH_SQL: Final[LiteralString] = """
update kernel.users set password_hash = $2, password_changed_at = $3, must_change_password = $4, starter_until = $5
where id = $1"""


async def set_password(
    conn: Connection,
    user: int,
    password_hash: str,
    now: datetime,
    *,
    must_change: bool = False,
    starter_until: datetime | None = None,
) -> None:
    """Write a new password; unused one-time links of the user end with the old one."""
    await conn.execute(CHANGE_HASH_SQL, user, password_hash, now, must_change, starter_until)
    await conn.execute(END_RESET_LINKS_SQL, user)


REHASH_SQL: Final[LiteralString] = "update kernel.users set password_hash = $3 where id = $1 and password_hash = $2"


async def rehash(conn: Connection, user: int, old: str, new: str) -> None:
    """Write the same password's hash with today's parameters, unless it changed meanwhile."""
    await conn.execute(REHASH_SQL, user, old, new)


# --- second factor --------------------------------------------------------------------------------------------------

OFFER_TOTP_SQL: Final[LiteralString] = "update kernel.session set totp_secret = $2 where id = $1"


async def offer_totp(conn: Connection, session: int, secret: str | None) -> None:
    """Keep a second factor on trial with the session, or drop it."""
    await conn.execute(OFFER_TOTP_SQL, session, secret)


OFFERED_TOTP_SQL: Final[LiteralString] = "select totp_secret from kernel.session where id = $1"


async def offered_totp(conn: Connection, session: int) -> str | None:
    """The second factor on trial in a session, or None."""
    return await conn.fetchval(OFFERED_TOTP_SQL, session)


SET_TOTP_SQL: Final[LiteralString] = "update kernel.users set totp_secret = $2, totp_last_step = $3 where id = $1"


async def set_totp(conn: Connection, user: int, secret: str | None, step: int = 0) -> None:
    """Switch the second factor on (``step`` is that of the code which proved it) or off."""
    await conn.execute(SET_TOTP_SQL, user, secret, step)


USE_STEP_SQL: Final[LiteralString] = """
update kernel.users set totp_last_step = $2 where id = $1 and totp_last_step < $2 returning id"""


async def use_step(conn: Connection, user: int, step: int) -> bool:
    """Use up the code of a time step; False when it, or a later one, was used."""
    return await conn.fetchval(USE_STEP_SQL, user, step) is not None


DROP_RECOVERY_CODES_SQL: Final[LiteralString] = "delete from kernel.recovery_code where user_id = $1"
ADD_RECOVERY_CODES_SQL: Final[LiteralString] = """
insert into kernel.recovery_code (user_id, code_hash) select $1, unnest($2::bytea[])"""


async def set_recovery_codes(conn: Connection, user: int, codes: Iterable[str]) -> None:
    """Replace all recovery codes of a user."""
    await conn.execute(DROP_RECOVERY_CODES_SQL, user)
    await conn.execute(ADD_RECOVERY_CODES_SQL, user, [digest(code) for code in codes])


USE_RECOVERY_CODE_SQL: Final[LiteralString] = """
delete from kernel.recovery_code where user_id = $1 and code_hash = $2 returning user_id"""


async def use_recovery_code(conn: Connection, user: int, code: str) -> bool:
    """Use up a recovery code; False when the user has no such code."""
    return await conn.fetchval(USE_RECOVERY_CODE_SQL, user, digest(code)) is not None


COUNT_RECOVERY_CODES_SQL: Final[LiteralString] = "select count(*) from kernel.recovery_code where user_id = $1"


async def count_recovery_codes(conn: Connection, user: int) -> int:
    """How many unused recovery codes a user has."""
    return await conn.fetchval(COUNT_RECOVERY_CODES_SQL, user)


# --- one-time links -------------------------------------------------------------------------------------------------

END_RESET_LINKS_SQL: Final[LiteralString] = "delete from kernel.reset_link where user_id = $1"
ADD_RESET_LINK_SQL: Final[LiteralString] = """
insert into kernel.reset_link (token_hash, user_id, expires_at) values ($1, $2, $3)"""


async def add_reset_link(conn: Connection, user: int, token: str, expires_at: datetime) -> None:
    """Keep a link to choose a new password; earlier links of the user end."""
    await conn.execute(END_RESET_LINKS_SQL, user)
    await conn.execute(ADD_RESET_LINK_SQL, digest(token), user, expires_at)


RESET_LINK_SQL: Final[LiteralString] = """
select u.id, u.login, u.name, u.email, u.role, u.language, u.state, u.password_hash, u.must_change_password,
       u.starter_until, u.totp_secret, u.totp_last_step
from kernel.reset_link r join kernel.users u on u.id = r.user_id
where r.token_hash = $1 and r.expires_at > $2 and u.state = 'active'"""


async def of_reset_link(conn: Connection, token: str, now: datetime) -> Credentials | None:
    """Whose link this is; None for a used, expired or invented one."""
    row = await conn.fetchrow(RESET_LINK_SQL, digest(token), now)
    return _credentials(row) if row else None


USE_RESET_LINK_SQL: Final[LiteralString] = """
delete from kernel.reset_link where token_hash = $1 and expires_at > $2 returning user_id"""


async def use_reset_link(conn: Connection, token: str, now: datetime) -> int | None:
    """Use up a link; its user, None when it was used or has expired."""
    return await conn.fetchval(USE_RESET_LINK_SQL, digest(token), now)


# --- known devices --------------------------------------------------------------------------------------------------

KNOWS_DEVICE_SQL: Final[LiteralString] = """
select exists (select from kernel.known_device where token_hash = $1 and user_id = $2 and last_used_at > $3)"""


async def knows_device(conn: Connection, user: int, token: str, now: datetime) -> bool:
    """Whether this user has logged in with the browser that carries ``token``."""
    return await conn.fetchval(KNOWS_DEVICE_SQL, digest(token), user, now - KNOWN_DEVICE)


MOVE_DEVICE_SQL: Final[LiteralString] = "update kernel.known_device set token_hash = $2 where token_hash = $1"
REMEMBER_DEVICE_SQL: Final[LiteralString] = """
insert into kernel.known_device (token_hash, user_id, last_used_at) values ($1, $2, $3)
on conflict (token_hash, user_id) do update set last_used_at = excluded.last_used_at"""
FORGET_OLDEST_DEVICES_SQL: Final[LiteralString] = """
delete from kernel.known_device where user_id = $1 and token_hash in (
    select token_hash from kernel.known_device where user_id = $1 order by last_used_at desc offset $2)"""


async def remember_device(conn: Connection, user: int, old: str | None, new: str, now: datetime) -> None:
    """Know a browser by the token ``new`` instead of ``old``, for this user and whoever else used it before."""
    if old is not None:
        await conn.execute(MOVE_DEVICE_SQL, digest(old), digest(new))
    await conn.execute(REMEMBER_DEVICE_SQL, digest(new), user, now)
    await conn.execute(FORGET_OLDEST_DEVICES_SQL, user, KNOWN_DEVICES)


FORGET_DEVICES_SQL: Final[LiteralString] = "delete from kernel.known_device where user_id = $1"


async def forget_devices(conn: Connection, user: int) -> None:
    """Know none of a user's browsers any more."""
    await conn.execute(FORGET_DEVICES_SQL, user)


PRUNE_DEVICES_SQL: Final[LiteralString] = "delete from kernel.known_device where last_used_at < $1"
PRUNE_RESET_LINKS_SQL: Final[LiteralString] = "delete from kernel.reset_link where expires_at < $1"


async def prune(conn: Connection, now: datetime) -> None:
    """Remove links that expired and devices that nobody came back with."""
    await conn.execute(PRUNE_RESET_LINKS_SQL, now)
    await conn.execute(PRUNE_DEVICES_SQL, now - KNOWN_DEVICE)

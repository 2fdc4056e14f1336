"""Sessions in the database: a random token in the browser, its digest here, one query from the token to the actor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from kernel.auth.model import LAST_SEEN_EVERY
from kernel.auth.tokens import digest
from kernel.db.connection import Connection
from kernel.plugin.actor import Actor, Grant
from kernel.plugin.permissions import Role


@dataclass(frozen=True, slots=True)
class Found:
    """What a token leads to. ``language`` is the user's; ``touch_due`` asks for ``touch`` (at most once a minute).

    ``lists`` and ``views`` are what lists remember of a person of the office, as ``kernel.web.remembered`` reads it.
    """

    actor: Actor
    language: str
    proved_at: datetime
    touch_due: bool
    lists: Mapping[str, Any] | None = None
    views: Sequence[Any] | None = None


# Whatever decides about a session is in this one statement, so it can be cached by token until somebody changes it.
FIND_SQL: Final[LiteralString] = """
select s.id, s.customer, s.superadmin_until, s.proved_at, s.last_seen_at,
       u.id as user_id, u.login, u.name, u.role, u.language, u.must_change_password,
       case when u.role = 'customer' then (
           select jsonb_agg(jsonb_build_array(c.id, c.customer_no, c.name, g.scope)
                            order by kernel.pl_sort(c.name) collate "C", c.id)
           from kernel.access_grant g join kernel.customer c on c.id = g.customer
           where g.user_id = u.id and (g.valid_from is null or g.valid_from <= $2)
             and (g.valid_to is null or g.valid_to > $2)
       ) end as grants,
       case when u.role <> 'customer' then (
           select jsonb_object_agg(m.list, jsonb_build_array(m.query, m.hidden, m.is_dense, m.opens))
           from kernel.list_memory m where m.user_id = u.id
       ) end as lists,
       case when u.role <> 'customer' then (
           select jsonb_agg(jsonb_build_array(v.id, v.list, v.name, v.query, v.hidden, v.is_shared, v.owner = u.id)
                            order by v.owner <> u.id, kernel.pl_sort(v.name) collate "C", v.id)
           from (
               (select * from kernel.list_view own where own.owner = u.id)
               union all
               (select * from kernel.list_view shared where shared.is_shared and shared.owner <> u.id
                order by shared.list, shared.id limit 300)
           ) v
       ) end as views
from kernel.session s join kernel.users u on u.id = s.user_id
where s.token_hash = $1 and not s.awaits_code and s.expires_at > $2 and s.last_seen_at + s.idle > $2
  and u.state = 'active'"""


async def find(
    conn: Connection, token: str, now: datetime, permissions_of: Mapping[Role, frozenset[str]]
) -> Found | None:
    """The living session of a token with its actor, in one round trip; None for any other token."""
    row = await conn.fetchrow(FIND_SQL, digest(token), now)
    if row is None:
        return None
    role = Role(row["role"])
    granted: Sequence[Any] = row["grants"] or ()
    grants = tuple(Grant(*values) for values in granted)
    until: datetime | None = row["superadmin_until"]
    actor = Actor(
        user=row["user_id"],
        login=row["login"],
        name=row["name"],
        role=role,
        permissions=permissions_of[role],
        customer_or_none=_in_view(row["customer"], grants),
        grants=grants,
        superadmin_until=until if until and until > now and role is Role.SUPERADMIN else None,
        session=row["id"],
        must_change_password=row["must_change_password"],
    )
    return Found(
        actor,
        row["language"],
        row["proved_at"],
        now - row["last_seen_at"] >= LAST_SEEN_EVERY,
        row["lists"],
        row["views"],
    )


def _in_view(chosen: int | None, grants: tuple[Grant, ...]) -> int | None:
    if any(grant.customer == chosen for grant in grants):
        return chosen
    return grants[0].customer if grants else None


TOUCH_SQL: Final[LiteralString] = "update kernel.session set last_seen_at = $2 where id = $1 and last_seen_at < $2"


async def touch(conn: Connection, session: int, now: datetime) -> None:
    """Note that a session is in use; call it when ``Found.touch_due``."""
    await conn.execute(TOUCH_SQL, session, now)


START_SQL: Final[LiteralString] = """
insert into kernel.session (token_hash, user_id, awaits_code, created_at, last_seen_at, idle, expires_at, proved_at,
                            address, device)
select $1, id, $3, $4, $4, $5, $6, $4, $7, $8 from kernel.users
where id = $2 and state = 'active' and password_hash = $9
returning id"""


async def start(
    conn: Connection,
    token: str,
    user: int,
    *,
    password_hash: str,
    awaits_code: bool,
    now: datetime,
    idle: timedelta,
    lives: timedelta,
    address: str,
    device: str,
) -> int | None:
    """Begin a session; its id. None when the user is disabled, or the password is not that of ``password_hash`` now."""
    return await conn.fetchval(
        START_SQL, digest(token), user, awaits_code, now, idle, now + lives, address, device, password_hash
    )


PENDING_SQL: Final[LiteralString] = """
select s.id, u.id as user_id, u.role, u.totp_secret, u.totp_last_step
from kernel.session s join kernel.users u on u.id = s.user_id
where s.token_hash = $1 and s.awaits_code and s.expires_at > $2 and u.state = 'active' and u.totp_secret is not null"""


@dataclass(frozen=True, slots=True)
class Pending:
    """A login that still lacks the second factor."""

    id: int
    user_id: int
    role: Role
    totp_secret: str
    totp_last_step: int


async def pending(conn: Connection, token: str, now: datetime) -> Pending | None:
    """The login of this token that waits for its code, or None."""
    row = await conn.fetchrow(PENDING_SQL, digest(token), now)
    if row is None:
        return None
    return Pending(row["id"], row["user_id"], Role(row["role"]), row["totp_secret"], row["totp_last_step"])


COMPLETE_SQL: Final[LiteralString] = """
update kernel.session set token_hash = $2, awaits_code = false, last_seen_at = $3, expires_at = $4
where id = $1 and awaits_code returning id"""


async def complete(conn: Connection, session: int, token: str, now: datetime, expires_at: datetime) -> bool:
    """Open a session whose second factor was right, under a new token. False when it is gone or open already."""
    return await conn.fetchval(COMPLETE_SQL, session, digest(token), now, expires_at) is not None


ROTATE_SQL: Final[LiteralString] = "update kernel.session set token_hash = $2, proved_at = $3 where id = $1"


async def rotate(conn: Connection, session: int, token: str, now: datetime) -> None:
    """Give a session another token after its user proved the password."""
    await conn.execute(ROTATE_SQL, session, digest(token), now)


PROVE_SQL: Final[LiteralString] = "update kernel.session set proved_at = $2 where id = $1"


async def prove(conn: Connection, session: int, now: datetime) -> None:
    """Note that the password was typed again."""
    await conn.execute(PROVE_SQL, session, now)


CHOOSE_CUSTOMER_SQL: Final[LiteralString] = "update kernel.session set customer = $2 where id = $1"


async def choose_customer(conn: Connection, session: int, customer: int) -> None:
    """Put another of the user's customers in view; that the user may see it is for the caller to check."""
    await conn.execute(CHOOSE_CUSTOMER_SQL, session, customer)


SET_SUPERADMIN_MODE_SQL: Final[LiteralString] = "update kernel.session set superadmin_until = $2 where id = $1"


async def set_superadmin_mode(conn: Connection, session: int, until: datetime | None) -> None:
    """Switch the superadministrator's mode on until an instant, or off."""
    await conn.execute(SET_SUPERADMIN_MODE_SQL, session, until)


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as its owner sees it; ``device`` is how the browser introduced itself."""

    id: int
    created_at: datetime
    last_seen_at: datetime
    address: str
    device: str

    @property
    def browser(self) -> str:
        """«Firefox · Windows»: what people know their browser by; empty for one that nobody knows."""
        return " · ".join(name for name in (_known(_BROWSERS, self.device), _known(_SYSTEMS, self.device)) if name)


# The first that fits: most browsers also claim to be those further down.
_BROWSERS: Final = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "SamsungBrowser/": "Samsung Internet",
    "Chrome/": "Chrome",
    "CriOS/": "Chrome",
    "Safari/": "Safari",
}
_SYSTEMS: Final = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Macintosh": "macOS",
    "Linux": "Linux",
}


def _known(names: Mapping[str, str], device: str) -> str:
    return next((name for mark, name in names.items() if mark in device), "")


OF_USER_SQL: Final[LiteralString] = """
select id, created_at, last_seen_at, address, device from kernel.session
where user_id = $1 and not awaits_code and expires_at > $2 and last_seen_at + idle > $2
order by last_seen_at desc, id desc"""


async def of_user(conn: Connection, user: int, now: datetime) -> list[Listed]:
    """The living sessions of a user, the latest used first."""
    return [Listed(**row) for row in await conn.fetch(OF_USER_SQL, user, now)]


END_SQL: Final[LiteralString] = "delete from kernel.session where id = $1 and user_id = $2 returning id"


async def end(conn: Connection, session: int, user: int) -> bool:
    """End one session of a user. False when the user has no such session."""
    return await conn.fetchval(END_SQL, session, user) is not None


END_BY_DIGEST_SQL: Final[LiteralString] = "delete from kernel.session where token_hash = $1 returning user_id"


async def end_token(conn: Connection, token: str) -> int | None:
    """End the session of a token, open or waiting; its user, None when there was none."""
    return await conn.fetchval(END_BY_DIGEST_SQL, digest(token))


END_OTHERS_SQL: Final[LiteralString] = "delete from kernel.session where user_id = $1 and id is distinct from $2"


async def end_others(conn: Connection, user: int, keep: int | None = None) -> None:
    """End all sessions of a user but ``keep``."""
    await conn.execute(END_OTHERS_SQL, user, keep)


PRUNE_SQL: Final[LiteralString] = "delete from kernel.session where expires_at < $1 or last_seen_at + idle < $1"


async def prune(conn: Connection, now: datetime) -> None:
    """Remove sessions that are over."""
    await conn.execute(PRUNE_SQL, now)

"""The registers of people: users, customers, service points, and which login may see which customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Final, LiteralString

import asyncpg

from kernel.db.connection import Connection, Row
from kernel.people.model import (
    CodeTaken,
    Customer,
    CustomerData,
    CustomerNoTaken,
    LastSuperadmin,
    LoginTaken,
    Scope,
    ServicePoint,
    ServicePointData,
    State,
    User,
)
from kernel.plugin.actor import Grant
from kernel.plugin.permissions import Role

# --- users ----------------------------------------------------------------------------------------------------------

USER_SQL: Final[LiteralString] = """
select id, login, name, email, role, language, state, must_change_password, totp_secret is not null as has_second_factor
from kernel.users where id = $1"""


async def user(conn: Connection, user_id: int) -> User | None:
    """A user by id, or None."""
    row = await conn.fetchrow(USER_SQL, user_id)
    return _user(row) if row else None


USER_OF_LOGIN_SQL: Final[LiteralString] = """
select id, login, name, email, role, language, state, must_change_password, totp_secret is not null as has_second_factor
from kernel.users where login = $1"""


async def user_of_login(conn: Connection, login: str) -> User | None:
    """A user by the folded login (``fold_login``), or None."""
    row = await conn.fetchrow(USER_OF_LOGIN_SQL, login)
    return _user(row) if row else None


USERS_SQL: Final[LiteralString] = """
select id, login, name, email, role, language, state, must_change_password, totp_secret is not null as has_second_factor
from kernel.users order by kernel.pl_sort(name) collate "C", id"""


async def users(conn: Connection) -> list[User]:
    """Everybody who has a login, by name: for the command line; a page lists them in parts."""
    return [_user(row) for row in await conn.fetch(USERS_SQL)]


ADD_USER_SQL: Final[LiteralString] = """
insert into kernel.users
    (login, name, email, role, language, password_hash, password_changed_at, must_change_password, starter_until)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id"""


async def add_user(
    conn: Connection,
    *,
    login: str,
    role: Role,
    password_hash: str = "",
    now: datetime,
    name: str = "",
    email: str = "",
    language: str = "pl",
    must_change_password: bool = False,
    starter_until: datetime | None = None,
) -> int:
    """Add a user with a folded ``login``; the id. Raises LoginTaken."""
    try:
        return await conn.fetchval(
            ADD_USER_SQL, login, name, email, role, language, password_hash, now, must_change_password, starter_until
        )
    except asyncpg.UniqueViolationError as error:
        raise LoginTaken(login) from error


CHANGE_USER_SQL: Final[LiteralString] = (
    "update kernel.users set name = $2, email = $3, role = $4 where id = $1 returning id"
)


async def change_user(conn: Connection, user_id: int, *, name: str, email: str, role: Role) -> bool:
    """Write a user's facts; another role ends the sessions. False when there is no such user. Raises LastSuperadmin."""
    return await _unless_last_superadmin(conn, CHANGE_USER_SQL, user_id, name, email, role)


SET_STATE_SQL: Final[LiteralString] = "update kernel.users set state = $2 where id = $1 returning id"


async def set_state(conn: Connection, user_id: int, state: State) -> bool:
    """Let a user log in, or no more (ends the sessions). False when there is no such user. Raises LastSuperadmin."""
    return await _unless_last_superadmin(conn, SET_STATE_SQL, user_id, state)


REMOVE_USER_SQL: Final[LiteralString] = "delete from kernel.users where id = $1 returning id"


async def remove_user(conn: Connection, user_id: int) -> bool:
    """Delete a user. False when there is no such user. Raises LastSuperadmin."""
    return await _unless_last_superadmin(conn, REMOVE_USER_SQL, user_id)


RENAME_SQL: Final[LiteralString] = "update kernel.users set name = $2, language = $3 where id = $1"


async def rename(conn: Connection, user_id: int, *, name: str, language: str) -> None:
    """Write what a user may change alone: the name and the language of pages and mails."""
    await conn.execute(RENAME_SQL, user_id, name, language)


async def _unless_last_superadmin(conn: Connection, statement: LiteralString, *values: object) -> bool:
    try:
        return await conn.fetchval(statement, *values) is not None
    except asyncpg.CheckViolationError as error:
        if _constraint(error) == "users_last_superadmin":
            raise LastSuperadmin from error
        raise


def _constraint(error: asyncpg.PostgresError) -> str | None:
    return getattr(error, "constraint_name", None)


def _user(row: Row) -> User:
    return User(
        id=row["id"],
        login=row["login"],
        name=row["name"],
        email=row["email"],
        role=Role(row["role"]),
        language=row["language"],
        state=State(row["state"]),
        must_change_password=row["must_change_password"],
        has_second_factor=row["has_second_factor"],
    )


# --- customers ------------------------------------------------------------------------------------------------------

CUSTOMER_SQL: Final[LiteralString] = """
select id, customer_no, name, kind, consumer, given_name, family_name, nip, email, phone, street, building, flat,
       postal_code, city, country, status, source, external_id, created_at
from kernel.customer where id = $1"""


async def customer(conn: Connection, customer_id: int) -> Customer | None:
    """A customer by id, or None."""
    row = await conn.fetchrow(CUSTOMER_SQL, customer_id)
    return Customer(**dict(row)) if row else None


FIND_CUSTOMER_SQL: Final[LiteralString] = """
select id, customer_no, name, kind, consumer, given_name, family_name, nip, email, phone, street, building, flat,
       postal_code, city, country, status, source, external_id, created_at
from kernel.customer where customer_no = $1"""


async def find_customer(conn: Connection, customer_no: str) -> Customer | None:
    """A customer by the organisation's number, or None."""
    row = await conn.fetchrow(FIND_CUSTOMER_SQL, customer_no)
    return Customer(**dict(row)) if row else None


ADD_CUSTOMER_SQL: Final[LiteralString] = """
insert into kernel.customer
    (customer_no, name, kind, consumer, given_name, family_name, nip, email, phone, street, building, flat,
     postal_code, city, country, status, source, external_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) returning id"""


async def add_customer(conn: Connection, data: CustomerData) -> int:
    """Add a customer; the id. Raises CustomerNoTaken."""
    try:
        return await conn.fetchval(ADD_CUSTOMER_SQL, *_written(data))
    except asyncpg.UniqueViolationError as error:
        if _constraint(error) == "customer_customer_no_key":
            raise CustomerNoTaken(data.customer_no) from error
        raise


CHANGE_CUSTOMER_SQL: Final[LiteralString] = """
update kernel.customer set
    customer_no = $2, name = $3, kind = $4, consumer = $5, given_name = $6, family_name = $7, nip = $8, email = $9,
    phone = $10, street = $11, building = $12, flat = $13, postal_code = $14, city = $15, country = $16, status = $17,
    source = $18, external_id = $19
where id = $1 returning id"""


async def change_customer(conn: Connection, customer_id: int, data: CustomerData) -> bool:
    """Write a customer's facts. False when there is no such customer. Raises CustomerNoTaken."""
    try:
        return await conn.fetchval(CHANGE_CUSTOMER_SQL, customer_id, *_written(data)) is not None
    except asyncpg.UniqueViolationError as error:
        if _constraint(error) == "customer_customer_no_key":
            raise CustomerNoTaken(data.customer_no) from error
        raise


REMOVE_CUSTOMER_SQL: Final[LiteralString] = "delete from kernel.customer where id = $1 returning id"


async def remove_customer(conn: Connection, customer_id: int) -> bool:
    """Delete a customer with its grants; premises stay, empty. False when there is no such customer.

    Raises asyncpg.ForeignKeyViolationError when a plugin's rows still point to it.
    """
    return await conn.fetchval(REMOVE_CUSTOMER_SQL, customer_id) is not None


def _written(data: CustomerData) -> tuple[object, ...]:
    return astuple(data)[:18]


# --- service points -------------------------------------------------------------------------------------------------

SERVICE_POINTS_SQL: Final[LiteralString] = """
select id, customer, code, kind, street, building, flat, postal_code, city, unit, source, external_id
from kernel.service_point where customer = $1 order by code collate "C", id"""


async def service_points(conn: Connection, customer_id: int) -> list[ServicePoint]:
    """The places of a customer, by code."""
    return [ServicePoint(**dict(row)) for row in await conn.fetch(SERVICE_POINTS_SQL, customer_id)]


ADD_SERVICE_POINT_SQL: Final[LiteralString] = """
insert into kernel.service_point
    (customer, code, kind, street, building, flat, postal_code, city, unit, source, external_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning id"""


async def add_service_point(conn: Connection, data: ServicePointData) -> int:
    """Add a place of a customer; the id. Raises CodeTaken."""
    try:
        return await conn.fetchval(ADD_SERVICE_POINT_SQL, *astuple(data))
    except asyncpg.UniqueViolationError as error:
        if _constraint(error) == "service_point_code":
            raise CodeTaken(data.code) from error
        raise


# --- grants ---------------------------------------------------------------------------------------------------------

GRANTS_SQL: Final[LiteralString] = """
select c.id as customer, c.customer_no, c.name, g.scope
from kernel.access_grant g join kernel.customer c on c.id = g.customer
where g.user_id = $1 and (g.valid_from is null or g.valid_from <= $2) and (g.valid_to is null or g.valid_to > $2)
order by kernel.pl_sort(c.name) collate "C", c.id"""


async def grants(conn: Connection, user_id: int, now: datetime) -> list[Grant]:
    """The customers that a user may see at the instant ``now``, by name."""
    return [Grant(**dict(row)) for row in await conn.fetch(GRANTS_SQL, user_id, now)]


GRANT_SQL: Final[LiteralString] = """
insert into kernel.access_grant (user_id, customer, scope, kind, valid_from, valid_to, granted_by)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (user_id, customer) do update
set scope = excluded.scope, kind = excluded.kind, valid_from = excluded.valid_from, valid_to = excluded.valid_to,
    granted_by = excluded.granted_by"""


async def grant(
    conn: Connection,
    user_id: int,
    customer_id: int,
    *,
    scope: Scope = Scope.MANAGE,
    kind: str = "owner",
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    granted_by: int | None = None,
) -> None:
    """Let a user see a customer, or change how far. ``kind`` is owner or delegate; ``valid_to`` is exclusive."""
    await conn.execute(GRANT_SQL, user_id, customer_id, scope, kind, valid_from, valid_to, granted_by)


REVOKE_SQL: Final[LiteralString] = "delete from kernel.access_grant where user_id = $1 and customer = $2 returning id"


async def revoke(conn: Connection, user_id: int, customer_id: int) -> bool:
    """Take a grant back. False when there was none."""
    return await conn.fetchval(REVOKE_SQL, user_id, customer_id) is not None


USERS_OF_CUSTOMER_SQL: Final[LiteralString] = """
select u.id, u.login, u.name, u.email, u.role, u.language, u.state, u.must_change_password,
       u.totp_secret is not null as has_second_factor
from kernel.access_grant g join kernel.users u on u.id = g.user_id
where g.customer = $1 order by kernel.pl_sort(u.name) collate "C", u.id"""


async def users_of_customer(conn: Connection, customer_id: int) -> Sequence[User]:
    """Who may see a customer, by name."""
    return [_user(row) for row in await conn.fetch(USERS_OF_CUSTOMER_SQL, customer_id)]

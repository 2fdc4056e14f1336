"""What the office does with other people's access: new users, starter passwords, help for who lost a second factor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kernel.audit import audit
from kernel.auth import passwords, sessions, store
from kernel.auth.model import STARTER_PASSWORD, starter_password
from kernel.db.connection import Connection
from kernel.db.pool import Database, Stamp
from kernel.people import store as people
from kernel.people.model import State, User
from kernel.plugin.actor import Actor
from kernel.plugin.permissions import Role


class UnknownCustomer(Exception):
    """No customer has this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A login to be made; ``login`` is folded. ``customer_no`` names whom it may see, for a customer's login."""

    login: str
    role: Role
    name: str = ""
    email: str = ""
    language: str = "pl"
    customer_no: str = ""


def may_manage(actor: Actor, role: Role) -> bool:
    """Whether the actor may add or change users of this role: superadministrators only in their announced mode."""
    if role is Role.SUPERADMIN:
        return actor.role is Role.SUPERADMIN and actor.in_superadmin_mode
    return actor.role in (Role.ADMIN, Role.SUPERADMIN)


async def add_user(
    db: Database,
    stamp: Stamp,
    new: NewUser,
    password: str,
    now: datetime,
    *,
    starter: bool,
    granted_by: int | None = None,
) -> int:
    """Add a login with a password that was checked; the id. A ``starter`` password must be changed at the first login
    and expires. Raises LoginTaken, UnknownCustomer."""
    password_hash = await passwords.hash_password(password)
    async with db.transaction(stamp) as conn:
        user = await people.add_user(
            conn,
            login=new.login,
            role=new.role,
            password_hash=password_hash,
            now=now,
            name=new.name,
            email=new.email,
            language=new.language,
            must_change_password=starter,
            starter_until=now + STARTER_PASSWORD if starter else None,
        )
        customer = None
        if new.customer_no:
            found = await people.find_customer(conn, new.customer_no)
            if found is None:
                raise UnknownCustomer(new.customer_no)
            customer = found.id
            await people.grant(conn, user, customer, granted_by=granted_by)
        await audit(
            conn, "kernel.user_added", customer=customer, subject=f"user {user}", login=new.login, role=new.role.value
        )
    return user


async def give_starter_password(db: Database, stamp: Stamp, user: User, now: datetime) -> str:
    """A fresh starter password in place of the user's own, shown this once; all sessions end."""
    password = starter_password()
    await set_password(db, stamp, user, password, now, starter=True)
    return password


async def set_password(db: Database, stamp: Stamp, user: User, password: str, now: datetime, *, starter: bool) -> None:
    """Write a password for somebody else; all sessions end. It must have been checked."""
    password_hash = await passwords.hash_password(password)
    async with db.transaction(stamp) as conn:
        await store.set_password(
            conn,
            user.id,
            password_hash,
            now,
            must_change=starter,
            starter_until=now + STARTER_PASSWORD if starter else None,
        )
        await sessions.end_others(conn, user.id)
        await store.forget_devices(conn, user.id)
        verb = "kernel.starter_password_set" if starter else "kernel.user_password_set"
        await audit(conn, verb, subject=f"user {user.id}", login=user.login)


async def set_state(conn: Connection, user: User, state: State) -> None:
    """Disable a user, which ends all sessions, or enable one. Raises LastSuperadmin."""
    if user.state is not state:
        await people.set_state(conn, user.id, state)
        verb = "kernel.user_enabled" if state is State.ACTIVE else "kernel.user_disabled"
        await audit(conn, verb, subject=f"user {user.id}", login=user.login)


async def change_user(conn: Connection, user: User, *, name: str, email: str, role: Role) -> None:
    """Write a user's facts; another role ends the sessions. Raises LastSuperadmin."""
    pairs = {"name": (user.name, name), "email": (user.email, email), "role": (user.role.value, role.value)}
    changes = ", ".join(f"{field} {before} → {after}" for field, (before, after) in pairs.items() if before != after)
    if changes:
        await people.change_user(conn, user.id, name=name, email=email, role=role)
        await audit(conn, "kernel.user_changed", subject=f"user {user.id}", login=user.login, changes=changes)


async def end_sessions(conn: Connection, user: User) -> None:
    """End all sessions of a user."""
    await sessions.end_others(conn, user.id)
    await audit(conn, "kernel.sessions_ended", subject=f"user {user.id}", login=user.login)

"""Invitations: the office makes a login, and its person chooses the password by a one-time link that is mailed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from kernel.audit import audit
from kernel.auth import store
from kernel.auth.office import NewUser, UnknownCustomer
from kernel.auth.tokens import new_token
from kernel.db.connection import Connection
from kernel.i18n import _, speaking
from kernel.mail import send_mail
from kernel.people import store as people
from kernel.plugin.permissions import Role

LASTS: Final = timedelta(days=7)


class CustomerGone(Exception):
    """The customer is not active: nobody gets a login for one who left or died."""


class AlreadyOver(Exception):
    """The invitation was accepted or withdrawn: there is nothing left to send or to take back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation; ``state`` is waiting, expired, accepted or withdrawn. ``user`` is None once the login is gone."""

    id: int
    user: int | None
    login: str
    email: str
    role: Role
    customer: int | None
    customer_no: str
    customer_name: str
    invited_by: str
    created_at: datetime
    sent_at: datetime
    expires_at: datetime
    state: str

    @property
    def is_open(self) -> bool:
        return self.state in ("waiting", "expired")


# What a list of invitations shows, too; $1 is the instant.
INVITATIONS_SQL: Final[LiteralString] = """
select i.id, i.user_id as user, i.login, i.email, i.role, i.customer, coalesce(c.customer_no, '') as customer_no,
       coalesce(c.name, '') as customer_name, coalesce(b.name, '') as invited_by, i.created_at, i.sent_at, i.expires_at,
       case when i.withdrawn_at is not null or u.id is null then 'withdrawn' when u.password_hash <> '' then 'accepted'
            when i.expires_at <= $1 then 'expired' else 'waiting' end as state
from kernel.invitation i
left join kernel.users u on u.id = i.user_id
left join kernel.users b on b.id = i.invited_by
left join kernel.customer c on c.id = i.customer"""
ONE_SQL: Final[LiteralString] = "select * from (" + INVITATIONS_SQL + ") one where id = $2"  # noqa: S608
LOCK_SQL: Final[LiteralString] = """
select u.id from kernel.invitation i join kernel.users u on u.id = i.user_id where i.id = $1 for update of i, u
"""


async def invitation(conn: Connection, number: int, now: datetime, *, lock: bool = False) -> Invitation | None:
    """An invitation by id, or None; with ``lock`` kept for this transaction, and its login with it."""
    if lock:
        await conn.execute(LOCK_SQL, number)
    row = await conn.fetchrow(ONE_SQL, now, number)
    facts: dict[str, Any] = {**row, "role": Role(row["role"])} if row else {}
    return Invitation(**facts) if row else None


ADD_SQL: Final[LiteralString] = """
insert into kernel.invitation (user_id, login, email, role, customer, invited_by, created_at, sent_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $7, $8) returning id
"""


async def invite(
    conn: Connection, new: NewUser, link: str, organisation: str, now: datetime, *, invited_by: int | None
) -> int:
    """Make a login without a password and mail its person a link to choose one; the invitation's id.

    ``link`` is the address of the page with ``{token}`` in it. Raises LoginTaken, UnknownCustomer, CustomerGone.
    """
    user = await people.add_user(
        conn, login=new.login, role=new.role, now=now, name=new.name, email=new.email, language=new.language
    )
    customer = None
    if new.customer_no:
        found = await people.find_customer(conn, new.customer_no)
        if found is None:
            raise UnknownCustomer(new.customer_no)
        if found.status != "active":
            raise CustomerGone(new.customer_no)
        customer = found.id
        await people.grant(conn, user, customer, granted_by=invited_by)
    facts = (user, new.login, new.email, new.role, customer, invited_by, now, now + LASTS)
    number: int = await conn.fetchval(ADD_SQL, *facts)
    await audit(
        conn, "kernel.user_invited", customer=customer, subject=f"user {user}", login=new.login, role=new.role.value
    )
    await _send(conn, user, new.login, new.email, new.language, link, organisation, now)
    return number


SENT_SQL: Final[LiteralString] = "update kernel.invitation set sent_at = $2, expires_at = $3 where id = $1"


async def send_again(conn: Connection, held: Invitation, link: str, organisation: str, now: datetime) -> None:
    """Mail a fresh link; the one before works no more. Raises AlreadyOver; CustomerGone for a login that was disabled,
    as it is when the customer died."""
    if not held.is_open or held.user is None:
        raise AlreadyOver
    user = await people.user(conn, held.user)
    if user is None or not user.active:
        raise CustomerGone(held.customer_no)
    await conn.execute(SENT_SQL, held.id, now, now + LASTS)
    await audit(conn, "kernel.invitation_sent", customer=held.customer, subject=f"user {held.user}", login=held.login)
    await _send(conn, held.user, held.login, held.email, user.language, link, organisation, now)


WITHDRAW_SQL: Final[LiteralString] = "update kernel.invitation set withdrawn_at = $2 where id = $1"


async def withdraw(conn: Connection, held: Invitation, now: datetime) -> None:
    """Take an invitation back: its link works no more and the login that nobody used is gone. Raises AlreadyOver."""
    if not held.is_open or held.user is None:
        raise AlreadyOver
    await conn.execute(WITHDRAW_SQL, held.id, now)
    await people.remove_user(conn, held.user)
    await audit(
        conn, "kernel.invitation_withdrawn", customer=held.customer, subject=f"user {held.user}", login=held.login
    )


async def _send(
    conn: Connection, user: int, login: str, email: str, language: str, link: str, organisation: str, now: datetime
) -> None:
    token = new_token()
    await store.add_reset_link(conn, user, token, now + LASTS)
    with speaking(language):
        text = _(
            "{organisation} has made you a login for its customer office: {login}\n\n"
            "Choose a password here within {days} days. The link works once:\n{link}\n\n"
            "If you did not expect this letter, do nothing, or tell the office.",
            organisation=organisation,
            login=login,
            days=LASTS.days,
            link=link.replace("{token}", token),
        )
        subject = _("Your access to the customer office of {organisation}", organisation=organisation)
        await send_mail(conn, email, str(subject), str(text))

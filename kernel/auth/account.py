"""What users do with their own access: another password, a forgotten one, second factor, superadministrator mode."""

from __future__ import annotations

from datetime import datetime

from kernel.audit import audit
from kernel.auth import passwords, second_factor, sessions, store, throttle
from kernel.auth.login import prove_password, stamp_of
from kernel.auth.model import (
    RESET,
    RESET_ADDRESS,
    RESET_LINK,
    SUPERADMIN_MODE,
    WeakPassword,
    WrongSecret,
    network_of,
)
from kernel.auth.store import Credentials
from kernel.auth.tokens import digest, new_token
from kernel.db.connection import Connection
from kernel.db.pool import Database, Stamp
from kernel.i18n import Text, _, speaking
from kernel.mail import send_mail
from kernel.people.model import fold_login, is_email, login_is_possible
from kernel.plugin.actor import Actor
from kernel.plugin.permissions import Role


async def change_password(
    db: Database, actor: Actor, current: str, new: str, now: datetime, organisation: str = ""
) -> str:
    """Give the signed-in user another password; all other sessions end, this one gets the token that is returned.

    Raises WrongSecret (the current one), WeakPassword, Throttled.
    """
    user, session = _signed_in(actor)
    found = await prove_password(db, user, current, now)
    await passwords.check_new(
        new,
        role=found.role,
        has_second_factor=found.totp_secret is not None,
        context=context_of(found, organisation),
    )
    if current == new:
        raise WeakPassword(_("This is the password you have now. Choose another"))
    password_hash = await passwords.hash_password(new)
    token = new_token()
    async with db.transaction(stamp_of(user, found.role)) as conn:
        await store.set_password(conn, user, password_hash, now)
        await sessions.end_others(conn, user, keep=session)
        await sessions.rotate(conn, session, token, now)
        await audit(conn, "kernel.password_changed", subject=f"user {user}")
        await _tell_password_changed(conn, found)
    return token


async def request_reset(db: Database, login: str, address: str, link: str, now: datetime) -> None:
    """Mail a one-time link to the user of this login, if there is an address; whoever asks learns nothing of it.

    ``link`` is the address of the page with ``{token}`` in it. Raises Throttled.
    """
    login = fold_login(login)
    async with db.transaction(Stamp("login")) as conn:
        await throttle.attempt(conn, RESET_ADDRESS, network_of(address), now)
        await throttle.attempt(conn, RESET, digest(login).hex(), now)
        found = await store.of_login(conn, login) if login_is_possible(login) else None
        if found is None or not found.may_enter(now) or not is_email(found.email):
            return
        token = new_token()
        await store.add_reset_link(conn, found.id, token, now + RESET_LINK)
        await audit(conn, "kernel.reset_requested", subject=f"user {found.id}", login=found.login)
        await _tell(
            conn,
            found,
            _("A new password"),
            _(
                "Somebody, probably you, asked for a new password for the login {login}.\n\n"
                "Choose it here within {minutes} minutes:\n{link}\n\n"
                "If it was not you, do nothing: your password stays as it is.",
                login=found.login,
                minutes=int(RESET_LINK.total_seconds() // 60),
                link=link.replace("{token}", token),
            ),
        )


async def reset_password(db: Database, token: str, new: str, now: datetime, organisation: str = "") -> None:
    """Choose a new password by a one-time link; all sessions end, and the second factor is asked as before.

    Raises WrongSecret for a link that was used, has expired or never was; WeakPassword, which leaves the link good.
    """
    async with db.connection() as conn:
        found = await store.of_reset_link(conn, token, now)
    if found is None:
        raise WrongSecret
    await passwords.check_new(
        new,
        role=found.role,
        has_second_factor=found.totp_secret is not None,
        context=context_of(found, organisation),
    )
    password_hash = await passwords.hash_password(new)
    async with db.transaction(stamp_of(found.id, found.role)) as conn:
        if await store.use_reset_link(conn, token, now) is None:
            raise WrongSecret
        await store.set_password(conn, found.id, password_hash, now)
        await sessions.end_others(conn, found.id)
        await store.forget_devices(conn, found.id)
        await audit(conn, "kernel.password_reset", subject=f"user {found.id}")
        await _tell_password_changed(conn, found)


async def offer_second_factor(db: Database, actor: Actor, password: str, now: datetime) -> None:
    """Begin to switch the second factor on: a secret on trial, kept with the session. Raises WrongSecret, Throttled."""
    user, session = _signed_in(actor)
    await prove_password(db, user, password, now)
    async with db.transaction(stamp_of(user, actor.role)) as conn:
        await store.offer_totp(conn, session, second_factor.new_secret())


async def enable_second_factor(db: Database, actor: Actor, code: str, now: datetime) -> list[str]:
    """Switch the second factor on with a first code; the recovery codes, shown this once. Other sessions end.

    Raises WrongSecret for a wrong code and when none is on trial.
    """
    user, session = _signed_in(actor)
    async with db.transaction(stamp_of(user, actor.role)) as conn:
        secret = await store.offered_totp(conn, session)
        step = second_factor.step_of(secret, code, now, 0) if secret else None
        if secret is None or step is None:
            raise WrongSecret
        codes = second_factor.new_recovery_codes()
        await store.set_totp(conn, user, secret, step)
        await store.set_recovery_codes(conn, user, codes)
        await store.offer_totp(conn, session, None)
        await sessions.end_others(conn, user, keep=session)
        await audit(conn, "kernel.second_factor_on", subject=f"user {user}")
    return codes


async def disable_second_factor(db: Database, actor: Actor, password: str, now: datetime) -> None:
    """Switch the second factor off; other sessions end. Raises WrongSecret, Throttled, and WeakPassword for a staff
    member whose password is too short to stand alone."""
    user, session = _signed_in(actor)
    found = await prove_password(db, user, password, now)
    await passwords.check_new(password, role=found.role)
    async with db.transaction(stamp_of(user, actor.role)) as conn:
        await remove_second_factor(conn, user)
        await sessions.end_others(conn, user, keep=session)


async def remove_second_factor(conn: Connection, user: int) -> None:
    """Take a user's second factor and recovery codes away; that this may be done is for the caller to check."""
    await store.set_totp(conn, user, None)
    await store.set_recovery_codes(conn, user, ())
    await audit(conn, "kernel.second_factor_off", subject=f"user {user}")


async def renew_recovery_codes(db: Database, actor: Actor, password: str, now: datetime) -> list[str]:
    """Fresh recovery codes in place of all old ones, shown this once. Raises WrongSecret, Throttled."""
    user, _session = _signed_in(actor)
    found = await prove_password(db, user, password, now)
    if found.totp_secret is None:
        raise WrongSecret
    codes = second_factor.new_recovery_codes()
    async with db.transaction(stamp_of(user, actor.role)) as conn:
        await store.set_recovery_codes(conn, user, codes)
        await audit(conn, "kernel.recovery_codes_renewed", subject=f"user {user}")
    return codes


async def start_superadmin_mode(db: Database, actor: Actor, password: str, now: datetime) -> datetime:
    """Switch the superadministrator's mode on in this session; when it ends. Raises WrongSecret, Throttled, and
    PermissionError for anybody else."""
    user, session = _signed_in(actor)
    if actor.role is not Role.SUPERADMIN:
        raise PermissionError("only a superadministrator has this mode")
    await prove_password(db, user, password, now)
    until = now + SUPERADMIN_MODE
    async with db.transaction(stamp_of(user, actor.role)) as conn:
        await sessions.set_superadmin_mode(conn, session, until)
        await sessions.prove(conn, session, now)
        await audit(conn, "kernel.superadmin_mode_started", subject=f"user {user}")
    return until


async def end_superadmin_mode(conn: Connection, actor: Actor) -> None:
    """Switch the superadministrator's mode off, if it is on."""
    user, session = _signed_in(actor)
    if actor.in_superadmin_mode:
        await sessions.set_superadmin_mode(conn, session, None)
        await audit(conn, "kernel.superadmin_mode_ended", subject=f"user {user}")


def context_of(found: Credentials, organisation: str) -> tuple[str, ...]:
    """Words that a password of this user must not consist of."""
    return (found.login, found.name, found.email, organisation)


async def prune(conn: Connection, now: datetime) -> None:
    """Remove sessions, links, devices and counts that are over."""
    await sessions.prune(conn, now)
    await store.prune(conn, now)
    await throttle.prune(conn, now)


async def _tell_password_changed(conn: Connection, found: Credentials) -> None:
    await _tell(
        conn,
        found,
        _("Your password was changed"),
        _(
            "The password of the login {login} was changed just now, and all other sessions were ended.\n\n"
            "If it was not you, tell the office at once.",
            login=found.login,
        ),
    )


async def _tell(conn: Connection, found: Credentials, subject: Text, text: Text) -> None:
    """Write to a user in the user's language, if there is an address that letters can go to."""
    if is_email(found.email):
        with speaking(found.language):
            await send_mail(conn, found.email, str(subject), str(text))


def _signed_in(actor: Actor) -> tuple[int, int]:
    """The user and the session; a guarded page never gets here without them."""
    if actor.user is None or actor.session is None:
        raise PermissionError("nobody is signed in")
    return actor.user, actor.session

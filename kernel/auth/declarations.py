"""What login declares to the registry: the events it writes into the history and the clean-up it schedules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from kernel.auth import account, api_tokens
from kernel.db.pool import Stamp
from kernel.i18n import _
from kernel.plugin.contracts import Job, Verb
from kernel.site import Site


def verbs() -> Iterable[Verb]:
    """Events of login and of users' access."""
    yield Verb("kernel.logged_in", _("logged in"))
    yield Verb("kernel.logged_out", _("logged out"))
    yield Verb("kernel.login_failed", _("a failed attempt to log in as {login}"))
    yield Verb("kernel.recovery_code_used", _("used a recovery code"))
    yield Verb("kernel.password_changed", _("changed the own password"))
    yield Verb("kernel.password_reset", _("chose a new password by a link"))
    yield Verb("kernel.reset_requested", _("a link for a new password was sent to {login}"))
    yield Verb("kernel.second_factor_on", _("switched the second factor on"))
    yield Verb("kernel.second_factor_off", _("the second factor was switched off"))
    yield Verb("kernel.recovery_codes_renewed", _("made new recovery codes"))
    yield Verb("kernel.superadmin_mode_started", _("started the superadministrator mode"))
    yield Verb("kernel.superadmin_mode_ended", _("ended the superadministrator mode"))
    yield Verb("kernel.sessions_ended", _("ended sessions of {login}"))
    yield Verb("kernel.user_added", _("added the user {login} as {role}"))
    yield Verb("kernel.user_changed", _("changed the user {login}: {changes}"))
    yield Verb("kernel.user_disabled", _("disabled the user {login}"))
    yield Verb("kernel.user_enabled", _("enabled the user {login}"))
    yield Verb("kernel.starter_password_set", _("gave {login} a starter password"))
    yield Verb("kernel.access_granted", _("gave {login} access to customer {customer_no}"))
    yield Verb("kernel.access_revoked", _("took access to customer {customer_no} from {login}"))
    yield Verb("kernel.user_password_set", _("set the password of {login}"))
    yield Verb("kernel.token_made", _("made the API token “{name}” for: {scopes}"))
    yield Verb("kernel.token_revoked", _("revoked the API token “{name}” of {owner}"))


def jobs() -> Iterable[Job]:
    """Scheduled work of login."""
    yield Job("kernel.prune_logins", _prune, every=timedelta(hours=1))
    yield Job("kernel.warn_of_tokens", _warn_of_tokens, every=timedelta(days=1))


async def _prune(site: Site, _payload: Mapping[str, Any]) -> None:
    async with site.db.transaction(Stamp("worker")) as conn:
        await account.prune(conn, site.clock.now())


async def _warn_of_tokens(site: Site, _payload: Mapping[str, Any]) -> None:
    async with site.db.transaction(Stamp("worker")) as conn:
        await api_tokens.warn(conn, site.clock.zone, site.clock.now())

"""Rules of login without any I/O: what a good password is, how long a session lives, how fast somebody may guess."""

from __future__ import annotations

import ipaddress
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Final

from kernel.config import SessionConfig
from kernel.i18n import Text, _
from kernel.plugin.permissions import Role

MAX_PASSWORD_BYTES: Final = 1024
"""What is longer is refused before it is hashed."""

CUSTOMER_LENGTH: Final = 10
STAFF_LENGTH: Final = 15
STAFF_LENGTH_WITH_SECOND_FACTOR: Final = 10

_CONTEXT_ALWAYS: Final = ("ebok", "password", "haslo", "hasło")
_SHORTEST_CONTEXT: Final = 4
_LEFT_WITHOUT_CONTEXT: Final = 8
_FEWEST_CHARACTERS: Final = 5
_STARTER_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike on paper: i l o 0 1."""


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """How long a session lives: without a click, and at most."""

    idle_staff: timedelta = timedelta(minutes=30)
    idle_customer: timedelta = timedelta(minutes=30)
    absolute: timedelta = timedelta(hours=12)

    @classmethod
    def configured(cls, chosen: SessionConfig) -> SessionTimes:
        """What the operator chose."""
        return cls(
            timedelta(minutes=chosen.staff_idle_minutes),
            timedelta(minutes=chosen.customer_idle_minutes),
            timedelta(hours=chosen.absolute_hours),
        )

    def idle(self, role: Role) -> timedelta:
        """The time without a click after which a session of this role is over."""
        return self.idle_customer if role is Role.CUSTOMER else self.idle_staff


SESSION_TIMES: Final = SessionTimes()
LAST_SEEN_EVERY: Final = timedelta(minutes=1)
CODE_WAITS: Final = timedelta(minutes=10)
"""How long the second factor may take after the password."""
SUPERADMIN_MODE: Final = timedelta(minutes=15)
RESET_LINK: Final = timedelta(minutes=30)
STARTER_PASSWORD: Final = timedelta(days=14)
KNOWN_DEVICE: Final = timedelta(days=180)
KNOWN_DEVICES: Final = 20
"""Devices remembered per user; the one not used for longest goes first."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How often something may be tried: ``free`` times, then after delays doubling from ``first`` to ``longest``.

    Attempts are forgotten ``window`` after the last one.
    """

    scope: str
    free: int
    first: timedelta
    longest: timedelta
    window: timedelta

    def delay(self, attempts: int) -> timedelta:
        """The time that must pass after attempt number ``attempts`` before the next one."""
        if attempts < self.free:
            return timedelta()
        return min(self.longest, self.first * 2 ** min(attempts - self.free, 30))


ACCOUNT: Final = Limit("account", 5, timedelta(seconds=10), timedelta(minutes=15), timedelta(days=1))
DEVICE: Final = Limit("device", 5, timedelta(seconds=10), timedelta(minutes=15), timedelta(days=1))
"""The owner's own browser, counted apart from strangers who try the same account."""
ADDRESS: Final = Limit("address", 30, timedelta(seconds=10), timedelta(minutes=15), timedelta(hours=1))
CODE: Final = Limit("code", 5, timedelta(seconds=30), timedelta(minutes=15), timedelta(days=1))
PROOF: Final = Limit("proof", 5, timedelta(seconds=10), timedelta(minutes=15), timedelta(days=1))
"""Asking a signed-in user's password again."""
BAD_TOKEN: Final = Limit("token", 30, timedelta(seconds=10), timedelta(minutes=15), timedelta(hours=1))
"""API tokens that open nothing, by network."""
RESET: Final = Limit("reset", 3, timedelta(minutes=5), timedelta(hours=1), timedelta(days=1))
RESET_ADDRESS: Final = Limit("reset-address", 20, timedelta(minutes=1), timedelta(hours=1), timedelta(hours=1))
LONGEST_WINDOW: Final = timedelta(days=1)


class Throttled(Exception):
    """Tried too often; ``retry_after`` whole seconds (at least 1) must pass first."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"retry after {retry_after} s")
        self.retry_after = retry_after


class WrongSecret(Exception):
    """The login, password, code or link is not right; which of them is not told."""


class WeakPassword(Exception):
    """The new password breaks a rule; ``reason`` is for its owner."""

    def __init__(self, reason: Text) -> None:
        super().__init__(str(reason))
        self.reason = reason


def network_of(address: str | None) -> str:
    """The network counted as one visitor: /24 of IPv4, /56 of IPv6; «unknown» for anything else."""
    try:
        ip = ipaddress.ip_address((address or "").split("%", 1)[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 56), strict=False))


def normalised(password: str) -> str:
    """One way to write each character (NFC), so that every keyboard gives the same password; nothing else changes."""
    return unicodedata.normalize("NFC", password)


def shortest(role: Role, has_second_factor: bool) -> int:
    """How many characters a password of this role has at least."""
    if role is Role.CUSTOMER:
        return CUSTOMER_LENGTH
    return STAFF_LENGTH_WITH_SECOND_FACTOR if has_second_factor else STAFF_LENGTH


def check_new_password(
    password: str, *, role: Role, has_second_factor: bool = False, context: Iterable[str] = ()
) -> None:
    """Refuse a weak password: too short, too long, common, or little more than ``context`` (login, organisation …).

    No composition rules: any characters will do (NIST SP 800-63B-4). Raises WeakPassword with the reason.
    """
    if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        raise WeakPassword(_("This password is too long"))
    password = normalised(password)
    least = shortest(role, has_second_factor)
    if len(password) < least:
        raise WeakPassword(_("Use at least {least} characters: a few words in a row are easy to remember", least=least))
    folded = password.casefold()
    core = _without_ends(folded)
    if folded in common_passwords() or core in common_passwords():
        raise WeakPassword(_("This password is one of those that are guessed first. Choose another"))
    if len(set(folded)) < _FEWEST_CHARACTERS or _is_sequence(folded):
        raise WeakPassword(_("This password repeats itself and is easy to guess. Choose another"))
    if _is_mostly(folded, (*_CONTEXT_ALWAYS, *context)):
        raise WeakPassword(_("This password is little more than your login or the name of the office. Choose another"))


def _without_ends(folded: str) -> str:
    """``sunshine`` of ``sunshine2024!``: digits and signs at the ends are the first thing that guessers add."""
    start, end = 0, len(folded)
    while start < end and not folded[start].isalpha():
        start += 1
    while end > start and not folded[end - 1].isalpha():
        end -= 1
    return folded[start:end]


def _is_sequence(folded: str) -> bool:
    steps = {ord(after) - ord(before) for before, after in pairwise(folded)}
    return len(steps) == 1


def _is_mostly(folded: str, context: Iterable[str]) -> bool:
    left = folded
    words = {word for phrase in context for word in (phrase, *phrase.replace("@", " ").split())}
    for word in sorted((normalised(word).casefold() for word in words), key=len, reverse=True):
        if len(word) >= _SHORTEST_CONTEXT:
            left = left.replace(word, "")
    return left != folded and len(left) < _LEFT_WITHOUT_CONTEXT


@cache
def common_passwords() -> frozenset[str]:
    """Thirty thousand passwords that people really use, most frequent ones, folded; read on first use."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(word.casefold() for word in FREQUENCY_LISTS["passwords"])


def starter_password() -> str:
    """A fresh password to hand over on paper: four groups of four, about 79 bits."""
    return "-".join("".join(secrets.choice(_STARTER_LETTERS) for _place in range(4)) for _group in range(4))

"""The second factor: six digits of an authenticator (RFC 6238), each good once, and recovery codes on paper."""

from __future__ import annotations

import secrets
from datetime import datetime
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyotp.totp import TOTP

STEP_SECONDS: Final = 30
DIGITS: Final = 6
RECOVERY_CODES: Final = 10
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def new_secret() -> str:
    """A fresh secret for an authenticator: 160 random bits in Base32."""
    import pyotp

    return pyotp.random_base32(32)


def address(secret: str, login: str, organisation: str) -> str:
    """The ``otpauth://`` address that an authenticator reads from a QR code."""
    return _totp(secret).provisioning_uri(name=login, issuer_name=organisation)


def qr_svg(text: str) -> str:
    """A QR code of ``text`` as an SVG element without style attributes."""
    import segno

    return segno.make(text, error="m").svg_inline(scale=5, border=4, svgclass="qr", lineclass=None, omitsize=False)


def spaced(secret: str) -> str:
    """A secret in groups of four, for people who type it."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def step_of(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """The time step whose code this is: now, or the one just before or after; None for wrong and for used ones."""
    digits = code.replace(" ", "").replace("\u00a0", "")
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    totp = _totp(secret)
    current = int(now.timestamp()) // STEP_SECONDS
    fitting = [step for step in (current - 1, current, current + 1) if compare_digest(totp.generate_otp(step), digits)]
    return next((step for step in fitting if step > last_step), None)


def new_recovery_codes() -> list[str]:
    """Codes to keep on paper, each opening once in place of the authenticator: about 59 random bits each."""
    return [
        "-".join("".join(secrets.choice(_LETTERS) for _place in range(4)) for _group in range(3))
        for _code in range(RECOVERY_CODES)
    ]


def recovery_code(text: str) -> str | None:
    """A recovery code as it is kept, from what was typed (case and spaces do not count); None when it cannot be one."""
    letters = "".join(text.casefold().split()).replace("-", "")
    if len(letters) != 12 or not set(letters) <= set(_LETTERS):
        return None
    return "-".join((letters[:4], letters[4:8], letters[8:]))


def _totp(secret: str) -> TOTP:
    from pyotp.totp import TOTP

    return TOTP(secret, digits=DIGITS, interval=STEP_SECONDS)

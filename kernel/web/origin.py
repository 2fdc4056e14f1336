"""Requests forged by other sites are refused by where they come from, so forms carry no tokens.

Every current browser says with ``Sec-Fetch-Site`` or ``Origin`` which site made it send a changing request. One that
carries a session and says neither is refused. A bearer token cannot be sent by a foreign page, so API calls that carry
one are free; their cookies are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from kernel.auth.api_tokens import API

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})
_BEARER: Final = "bearer "
_PORTS: Final = {"http": 80, "https": 443}


def came_from_here(headers: Mapping[str, str], *, scheme: str, host: str, has_session: bool) -> bool:
    """Whether a changing request was made by a page of this very origin (or by hand, in the address bar)."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in _OWN
    origin = headers.get("Origin")
    if origin is not None:
        return _same(origin, f"{scheme}://{host}")
    return not has_session


def carries_token(headers: Mapping[str, str], path: str) -> bool:
    """Whether this is an API call that shows a token of its own. Elsewhere a token is not looked at."""
    return path.startswith(API) and headers.get("Authorization", "")[:7].casefold() == _BEARER


def token_of(headers: Mapping[str, str]) -> str:
    """The token of a call that carries one."""
    return headers["Authorization"][len(_BEARER) :].strip()


def _same(left: str, right: str) -> bool:
    try:
        return _parts(left) == _parts(right)
    except ValueError:
        return False


def _parts(origin: str) -> tuple[str, str, int | None]:
    parts = urlsplit(origin)
    if not parts.hostname or parts.scheme not in _PORTS:
        raise ValueError(origin)
    return parts.scheme, parts.hostname.rstrip("."), parts.port or _PORTS[parts.scheme]

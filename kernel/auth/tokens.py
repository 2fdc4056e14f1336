"""Secrets that a browser or a mail carries: long, random, kept only as a digest."""

from __future__ import annotations

import hashlib
import secrets

from aiohttp import web

from kernel.auth.model import KNOWN_DEVICE

_SESSION, _DEVICE = "ebok", "ebok-device"


def new_token() -> str:
    """256 random bits, safe in cookies and addresses."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What the database keeps of a token: its SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def session_token(request: web.BaseRequest) -> str | None:
    """The session's token that the browser sent, or None. Over TLS only the cookie bound to this very host counts."""
    return request.cookies.get(_name(_SESSION, request.secure)) or None


def device_token(request: web.BaseRequest) -> str | None:
    """The token of a browser that has logged in here before, or None."""
    return request.cookies.get(_name(_DEVICE, request.secure)) or None


def set_session_cookie(response: web.StreamResponse, token: str, secure: bool) -> None:
    """Give the browser its session until it is closed. ``secure``: the request came over TLS."""
    _set(response, _SESSION, token, secure, None)


def clear_session_cookie(response: web.StreamResponse, secure: bool) -> None:
    """Take the session's cookie from the browser."""
    _set(response, _SESSION, "", secure, 0)


def set_device_cookie(response: web.StreamResponse, token: str, secure: bool) -> None:
    """Remember that this browser has logged in here, so that strangers' guesses do not lock its owner out."""
    _set(response, _DEVICE, token, secure, int(KNOWN_DEVICE.total_seconds()))


def _set(response: web.StreamResponse, name: str, value: str, secure: bool, max_age: int | None) -> None:
    response.set_cookie(
        _name(name, secure), value, path="/", secure=secure, httponly=True, samesite="Lax", max_age=max_age
    )


def _name(name: str, secure: bool) -> str:
    return f"__Host-{name}" if secure else name

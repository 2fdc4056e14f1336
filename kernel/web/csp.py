"""What a page may load: only the product's own files, no inline script or style, no foreign host."""

from __future__ import annotations

import secrets


def new_nonce() -> str:
    """A fresh nonce for one answer."""
    return secrets.token_urlsafe(16)


def content_security_policy(nonce: str) -> str:
    """The value of the ``Content-Security-Policy`` header of a page whose scripts carry ``nonce``."""
    return (
        "default-src 'none'; "
        f"script-src 'nonce-{nonce}' 'strict-dynamic'; "
        "style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    )

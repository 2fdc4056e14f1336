"""How a person wants pages to look: size, theme, language, shortcuts. Kept in a cookie of its own, beyond logout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from kernel.i18n import DEFAULT_LANGUAGE, LANGUAGES

COOKIE: Final = "ebok_view"
KEPT_SECONDS: Final = 365 * 24 * 3600
THEMES: Final = ("auto", "light", "dark", "contrast")
SIZES: Final = (0, 1, 2)

_COOKIE: Final = re.compile(r"([0-2]|)\.(auto|light|dark|contrast)\.(pl|en|)\.([01])")


@dataclass(frozen=True, slots=True)
class View:
    """What was chosen: ``size`` 0–2 (100, 115, 130 %; none: 115 in the portal, 100 in the console), ``theme`` (``auto``
    follows the system), ``language`` (empty: the browser's), ``shortcuts`` of a single key (WCAG 2.1.4)."""

    size: int | None = None
    theme: str = "auto"
    language: str = ""
    shortcuts: bool = True

    @classmethod
    def read(cls, cookie: str) -> View:
        """What a cookie says; defaults for one that is missing or was tampered with."""
        match = _COOKIE.fullmatch(cookie)
        if match is None:
            return cls()
        return cls(int(match[1]) if match[1] else None, match[2], match[3], match[4] == "1")

    @property
    def cookie(self) -> str:
        size = "" if self.size is None else self.size
        return f"{size}.{self.theme}.{self.language}.{self.shortcuts:d}"


_VIEW: Final = web.RequestKey("view", View)


def view_of(request: web.Request) -> View:
    """The view that the request's cookie asks for."""
    if _VIEW not in request:
        request[_VIEW] = View.read(request.cookies.get(COOKIE, ""))
    return request[_VIEW]


def remember(response: web.StreamResponse, view: View, *, secure: bool) -> None:
    """Keep ``view`` in the browser for a year."""
    response.set_cookie(
        COOKIE, view.cookie, max_age=KEPT_SECONDS, path="/", secure=secure, httponly=True, samesite="Lax"
    )


def language_of(request: web.Request) -> str:
    """The language to speak: the chosen one, else the browser's first that the product speaks, else Polish."""
    chosen = view_of(request).language
    return chosen if chosen else _accepted(request.headers.get("Accept-Language", ""))


def _accepted(header: str) -> str:
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(header[:200].split(",")):
        code, _, weight = part.partition(";q=")
        try:
            wishes.append((-float(weight or 1), place, code.strip()[:2].lower()))
        except ValueError:
            continue
    return next((code for _, _, code in sorted(wishes) if code in LANGUAGES), DEFAULT_LANGUAGE)

"""How pages look for a person, and the organisation's declaration of accessibility."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from kernel.plugin.contracts import Route
from kernel.plugin.permissions import PUBLIC
from kernel.web.routing import local_address, redirect_to
from kernel.web.view import View, language_of, remember, view_of


class Preferences(BaseModel):
    """What a person changes; what is absent stays. ``back`` is the page to return to."""

    size: Literal["0", "1", "2"] | None = None
    theme: Literal["auto", "light", "dark", "contrast"] | None = None
    lang: Literal["pl", "en"] | None = None
    shortcuts: bool | None = None
    back: str = Field("/", max_length=2000)


class WayBack(BaseModel):
    back: str = Field("/", max_length=2000)


def routes() -> Iterable[Route]:
    yield Route(
        "GET",
        "/preferences",
        show,
        PUBLIC,
        "kernel.preferences_page",
        query=WayBack,
        template="kernel/preferences.html",
    )
    yield Route("POST", "/preferences", choose, PUBLIC, "kernel.preferences", body=Preferences, read_only=True)
    yield Route(
        "GET", "/accessibility", accessibility, PUBLIC, "kernel.accessibility", template="kernel/accessibility.html"
    )


async def show(request: web.Request, query: WayBack) -> Mapping[str, Any]:
    """Everything that can be chosen, on one page."""
    return {"back": local_address(query.back), "chosen_language": language_of(request)}


async def choose(request: web.Request, body: Preferences) -> web.Response:
    """Remember what was chosen for a year and go back to where the person was."""
    answer = redirect_to(request, local_address(body.back))
    remember(answer, _changed(view_of(request), body), secure=request.secure)
    return answer


def _changed(view: View, body: Preferences) -> View:
    return replace(
        view,
        size=int(body.size) if body.size else view.size,
        theme=body.theme or view.theme,
        language=body.lang or view.language,
        shortcuts=view.shortcuts if body.shortcuts is None else body.shortcuts,
    )


async def accessibility(request: web.Request) -> Mapping[str, Any]:
    """The declaration that the Polish act of 4 April 2019 on digital accessibility asks of public bodies (art. 10)."""
    return {}

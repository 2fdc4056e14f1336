"""How pages look for a person, and the organisation's declaration of accessibility."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field
from yarl import URL

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
    back: str = Field("", max_length=2000)


def routes() -> Iterable[Route]:
    name = "kernel.preferences"
    yield Route("GET", "/preferences", show, PUBLIC, f"{name}_page", template="kernel/preferences.html")
    yield Route("POST", "/preferences", choose, PUBLIC, name, body=Preferences, read_only=True)
    name = "kernel.accessibility"
    yield Route("GET", "/accessibility", accessibility, PUBLIC, name, template="kernel/accessibility.html")


async def show(request: web.Request) -> Mapping[str, Any]:
    """Everything that can be chosen, on one page."""
    return {"back": came_from(request), "chosen_language": language_of(request)}


async def choose(request: web.Request, body: Preferences) -> web.Response:
    """Remember what was chosen for a year and go back to where the person was."""
    answer = redirect_to(request, local_address(body.back) if body.back else came_from(request))
    remember(answer, _changed(view_of(request), body), secure=request.secure)
    return answer


def came_from(request: web.Request) -> str:
    """The page of this host that the request came from (the browser says it in ``Referer``), else the home page.

    The buttons that every page carries need no field for it, so they are the same on all pages.
    """
    try:
        referer = URL(request.headers.get("Referer", ""))
    except ValueError:
        return "/"
    if referer.authority != request.host or referer.path == request.path:
        return "/"
    return local_address(referer.raw_path_qs)


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

"""Templates: where they are found, what every page knows, and how a page and its contributed parts are rendered.

A template is looked up in the operator's directory, then in the theme and its parents, then in the plugin that owns it;
``shipped:`` before a name reaches the plugin's own one, so that an override can extend what it replaces.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import aiohttp_jinja2
import jinja2
import structlog
from aiohttp import web
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from markupsafe import Markup

from kernel import i18n
from kernel.i18n import Text, _, language, long_date, ngettext, short_date
from kernel.money import NBSP, Money
from kernel.plugin.actor import Actor
from kernel.plugin.contracts import Card, Nav, Route, Tab
from kernel.plugin.permissions import Role
from kernel.plugin.registry import Registry
from kernel.settings import organisation
from kernel.web.assets import ASSETS, collect, setup_assets
from kernel.web.request import ACTOR, FORM, NONCE, SITE, FormState
from kernel.web.themes import load_theme
from kernel.web.view import view_of

CONSOLE: Final = "/admin"
FLASH: Final = web.RequestKey("flash", str)
"""What the last action has to say, already in the reader's language; shown once."""

_log = structlog.get_logger("ebok.templates")


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the main navigation as a page shows it."""

    label: Text
    url: str
    icon: str
    current: bool


@dataclass(frozen=True, slots=True)
class PlaceGroup:
    """Places under one heading; those of the portal, and the console's first page, have none."""

    label: Text | None
    places: tuple[Place, ...]


@dataclass(frozen=True, eq=False)
class Navigation:
    """The places that an actor may open, one of them current; one object for all who see the same."""

    groups: tuple[PlaceGroup, ...]

    def __iter__(self) -> Iterator[PlaceGroup]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)


@dataclass(slots=True)
class _Rendering:
    """What macros need to know of the page around them."""

    request: web.Request
    form: FormState


_rendering: ContextVar[_Rendering] = ContextVar("ebok_rendering")
_NAVIGATION: Final = web.AppKey("navigation", Sequence[tuple[Nav, Route, str]])
_KNOWN_NAVIGATION: Final = web.AppKey("known_navigation", dict[tuple[bool, Set[str], str], Navigation])
_KEPT: Final = web.AppKey("kept_parts", dict[tuple[object, ...], Markup])
_MOST_KEPT: Final = 2000
_BY_LANGUAGE: Final = web.AppKey("templates_by_language", Mapping[str, jinja2.Environment])
_FOLDED: Final = frozenset({"_", "url", "static"})
_CONTEXT: Final = web.RequestKey("template_context", dict[str, Any])
_PARAMETER: Final = re.compile(r"\{(\w+)(?::(?:[^{}]|\{[^{}]*\})*)?\}")
_NO_FORM: Final = FormState(key="")


class _Constants(Extension):
    """Writes what never changes into the compiled template: ``_("…")``, ``url("…")``, ``static("…")`` of one literal.

    Each language has its own compiled templates, so a page is mostly text that is ready.
    """

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        tokens = list(stream)
        place = 0
        while place < len(tokens):
            token = tokens[place]
            shape = tuple(following.type for following in tokens[place : place + 4])
            after_dot = place > 0 and tokens[place - 1].type == "dot"
            if shape == ("name", "lparen", "string", "rparen") and token.value in _FOLDED and not after_dot:
                function = cast("Callable[[str], object]", self.environment.globals[token.value])
                with i18n.speaking(cast(str, getattr(self.environment, "language", i18n.DEFAULT_LANGUAGE))):
                    yield Token(token.lineno, "string", str(function(tokens[place + 2].value)))
                place += 4
            else:
                yield token
                place += 1


def setup_templating(
    app: web.Application, registry: Registry, *, theme: str = "default", operator: Path | None = None
) -> None:
    """Prepare templates and static files of every plugin in ``registry`` for ``app``.

    ``operator`` holds templates that replace shipped ones. Raises ThemeError for an unusable theme.
    """
    chosen = load_theme(theme)
    shipped = jinja2.PrefixLoader(
        {plugin.name: jinja2.FileSystemLoader(plugin.path / "templates" / plugin.name) for plugin in registry.plugins}
    )
    overrides = [*([operator] if operator else []), *(part.path / "templates" for part in chosen.lineage)]
    loader = jinja2.ChoiceLoader(
        [
            jinja2.FileSystemLoader(overrides),
            shipped,
            jinja2.PrefixLoader({"shipped": shipped}, delimiter=":"),
        ]
    )
    environment = aiohttp_jinja2.setup(
        app,
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        auto_reload=False,
        cache_size=-1,
        trim_blocks=True,
        lstrip_blocks=True,
        default_helpers=False,
        extensions=[_Constants],
        filters={"money": money, "date": _short, "longdate": _long, "moment": moment, "clock": clock},
    )
    setup_assets(app, collect(registry.plugins, chosen))
    known: dict[str, Any] = environment.globals  # pyright: ignore[reportAssignmentType]
    known.update(
        {
            "_": _,
            "ngettext": ngettext,
            "language": language,
            "languages": i18n.LANGUAGES,
            "static": app[ASSETS].url,
            "icon": _icon_maker(app[ASSETS].url("kernel/icons.svg")),
            "url": _url_maker(registry),
            "form_now": form_now,
            "kept": kept,
            "Money": Money,
        }
    )
    app[_BY_LANGUAGE] = {code: _speaking(environment, code) for code in i18n.LANGUAGES}
    app[_KNOWN_NAVIGATION] = {}
    app[_KEPT] = {}
    app[_NAVIGATION] = [
        (nav, registry.routes[nav.route], _prefix(registry.routes[nav.route].path)) for nav in registry.navigation
    ]


def _speaking(environment: jinja2.Environment, code: str) -> jinja2.Environment:
    """The same templates, compiled for one language."""
    own = environment.overlay()
    own.extend(language=code)
    return own


def _prefix(path: str) -> str:
    return path.split("{", 1)[0].rstrip("/") or "/"


async def compile_templates(app: web.Application) -> None:
    """Compile every template in each language in threads, so that no first visitor holds everybody else up."""
    for environment in app[_BY_LANGUAGE].values():
        for name in environment.list_templates():
            if name.endswith(".html") and ":" not in name:
                await asyncio.to_thread(_compile, environment, name)


def _compile(environment: jinja2.Environment, name: str) -> None:
    try:
        environment.get_template(name)
    except jinja2.TemplateError:  # an operator's own, maybe: the page that uses it says so
        _log.exception("a template does not compile", template=name)


# --- rendering ------------------------------------------------------------------------------------------------------


def render(request: web.Request, template: str, context: Mapping[str, Any]) -> str:
    """The page that ``template`` makes of ``context`` and of what every page knows. Call it with no connection held."""
    everything = {**template_context(request), **context}
    form = everything.get("form")
    with _rendered_for(request, form if isinstance(form, FormState) else _NO_FORM):
        return request.app[_BY_LANGUAGE][language()].get_template(template).render(everything)


def render_card(request: web.Request, card: Card | Tab, plugin: str, *, framed: bool = True) -> Markup:
    """One contribution as a part of a page; a polite «unavailable» in its place when its template fails.

    ``framed`` puts it into a card with its label as the heading; slots and tabs are rendered without.
    """
    try:
        body = Markup(render(request, card.template, card.data))  # noqa: S704 (a template's output is escaped)
    except Exception:
        _log.exception("contribution failed", plugin=plugin, template=card.template)
        return unavailable(request, card.label)
    if not framed:
        return body
    return Markup(render(request, "kernel/card.html", {"label": card.label, "body": body}))  # noqa: S704


def unavailable(request: web.Request, label: Text | None = None) -> Markup:
    """What stands in the place of a part that could not be made."""
    return Markup(render(request, "kernel/unavailable.html", {"label": label}))  # noqa: S704


@contextmanager
def _rendered_for(request: web.Request, form: FormState) -> Generator[None]:
    token = _rendering.set(_Rendering(request, form))
    try:
        yield
    finally:
        _rendering.reset(token)


def template_context(request: web.Request) -> dict[str, Any]:
    """What every page knows; made once for a request.

    ``path`` is the address without its query, ``here`` with it. ``url() static() icon() _ ngettext`` are known besides,
    in macros too.
    """
    if _CONTEXT in request:
        return request[_CONTEXT]
    actor = request.get(ACTOR) or Actor()
    site = request[SITE]
    context: dict[str, Any] = {
        "actor": actor,
        "site": site,
        "organisation": organisation(site),
        "nav": _navigation(request, actor),
        "form": request.get(FORM, _NO_FORM),
        "flash": request.get(FLASH),
        "lang": language(),
        "today": site.clock.today(),
        "nonce": request.get(NONCE, ""),
        "path": request.path,
        "here": request.path_qs,
        "view": view_of(request),
    }
    request[_CONTEXT] = context
    return context


def _navigation(request: web.Request, actor: Actor) -> Navigation:
    """The places that the actor may open, of the console or of the portal; the nearest one is current."""
    in_office = actor.role is not None and actor.role is not Role.CUSTOMER
    in_console = in_office or request.path == CONSOLE or request.path.startswith(CONSOLE + "/")
    places = [
        (nav, route.path, prefix)
        for nav, route, prefix in request.app[_NAVIGATION]
        if (prefix == CONSOLE or prefix.startswith(CONSOLE + "/")) == in_console and actor.may(route.permission)
    ]
    here = request.path.rstrip("/") or "/"
    nearest = max(
        (prefix for _nav, _path, prefix in places if here == prefix or _holds(prefix, here)), key=len, default=""
    )
    known, key = request.app[_KNOWN_NAVIGATION], (in_console, actor.permissions, nearest)
    if key not in known:
        groups: dict[str, tuple[Text | None, list[Place]]] = {}
        for nav, path, prefix in places:
            heading = (nav.group or _MORE) if in_console and prefix != CONSOLE else None
            _label, members = groups.setdefault(heading.message if heading else "", (heading, []))
            members.append(Place(nav.label, path, nav.icon, prefix == nearest))
        known[key] = Navigation(tuple(PlaceGroup(label, tuple(members)) for label, members in groups.values()))
    return known[key]


_MORE: Final = _("More")


def _holds(prefix: str, path: str) -> bool:
    return prefix not in ("/", CONSOLE) and path.startswith(prefix + "/")


# --- what templates call --------------------------------------------------------------------------------------------


def form_now(given: object = None) -> FormState:
    """The state of the form that a macro draws: the one given, else the page's."""
    return given if isinstance(given, FormState) else _rendering.get().form


def kept(template: str, **facts: Hashable) -> Markup:
    """A part that depends on its facts and the language alone: rendered once for each, then remembered."""
    request = _rendering.get().request
    parts, key = request.app[_KEPT], (template, language(), *facts.values())
    found = parts.get(key)
    if found is None:
        if len(parts) >= _MOST_KEPT:
            parts.clear()
        text = request.app[_BY_LANGUAGE][language()].get_template(template).render(**facts, lang=language())
        found = parts[key] = Markup(text)  # noqa: S704 (a template's output is escaped)
    return found


def money(amount: Money | int) -> Markup:
    """A figure with its unit set lighter; a negative one is told by a word beside it, never only by its sign."""
    figure = (amount if isinstance(amount, Money) else Money(amount)).figure
    return Markup(f'<span class="money">{figure}<span class="unit">{NBSP}zł</span></span>')  # noqa: S704 (digits only)


def _short(day: date) -> str:
    return short_date(day)


def _long(day: date) -> str:
    return long_date(day)


def moment(instant: datetime) -> Markup:
    """An instant in the organisation's time: ``10.12.2026, 14:05``, with the exact one in the markup."""
    local = instant.astimezone(_zone())
    return Markup('<time datetime="{}">{:%d.%m.%Y, %H:%M}</time>').format(instant.isoformat(), local)


def clock(instant: datetime) -> str:
    """The time of day of an instant, where the organisation is: ``14:05``."""
    return f"{instant.astimezone(_zone()):%H:%M}"


def _zone() -> ZoneInfo:
    return _rendering.get().request[SITE].clock.zone


def _icon_maker(sprite: str) -> Callable[..., Markup]:
    known: dict[str, Markup] = {}

    def icon(name: str) -> Markup:
        """A decorative symbol of the sprite: hidden from screen readers, so a word stands beside it."""
        if name not in known:
            known[name] = Markup(
                '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>'
            ).format(sprite, name)
        return known[name]

    return icon


def _url_maker(registry: Registry) -> Callable[..., str]:
    """``url("payments.entry", entry=7, query={"tab": "history"})``; KeyError for a route that nobody declared."""
    shapes = {name: _PARAMETER.sub(r"{\1}", route.path) for name, route in registry.routes.items()}

    def url(name: str, query: Mapping[str, object] | None = None, **parts: object) -> str:
        shape = shapes[name]
        path = shape.format(**{key: quote(str(value), safe="") for key, value in parts.items()}) if parts else shape
        return f"{path}?{urlencode({key: str(value) for key, value in query.items()})}" if query else path

    return url

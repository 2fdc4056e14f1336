"""Templates: where they are found, what pages know, filters, contributions that fail without taking the page along."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from kernel.dates import Clock
from kernel.db.pool import Database
from kernel.i18n import _, speaking
from kernel.money import Money
from kernel.plugin.actor import Actor, Grant
from kernel.plugin.contracts import Card, Nav, Plugin, Route
from kernel.plugin.permissions import PUBLIC, STAFF, Permission, Role
from kernel.plugin.registry import Registry
from kernel.site import Site
from kernel.testing import registry_of
from kernel.web.request import ACTOR, FORM, NONCE, SITE, FormState
from kernel.web.templating import FLASH, render, render_card, setup_templating

CUSTOMER = Actor(1, "anna", "Anna", Role.CUSTOMER, frozenset(), 1, (Grant(1, "10049", "Anna Lis", "manage"),))
OFFICE = Actor(2, "jan", "Jan", Role.ADMIN, frozenset({"shelf.see"}))


async def page(request: web.Request) -> dict[str, Any]:
    return {}


def shelf() -> ModuleType:
    module = ModuleType("shelf")
    module.__file__ = __file__

    def register_routes() -> Iterator[Route]:
        yield Route("GET", "/shelf", page, PUBLIC, "shelf.list")
        yield Route("GET", r"/shelf/{book:\d{1,9}}/{page}", page, PUBLIC, "shelf.page")
        yield Route("GET", "/admin/shelf", page, "shelf.see", "shelf.office")
        yield Route("GET", "/admin/shelves", page, "shelf.see", "shelf.others")

    def register_navigation() -> Iterator[Nav]:
        yield Nav(_("Shelf"), "shelf.list", 10, "list")
        yield Nav(_("Shelf of the office"), "shelf.office", 10)
        yield Nav(_("Other shelves"), "shelf.others", 20)

    vars(module).update(
        plugin=Plugin(api=1),
        register_routes=register_routes,
        register_navigation=register_navigation,
        register_permissions=lambda: [Permission("shelf.see", _("See"), STAFF)],
    )
    return module


@pytest.fixture(scope="module")
def registry() -> Registry:
    return registry_of([], {"shelf": shelf()})


@pytest.fixture
def operator(tmp_path: Path) -> Path:
    """The operator's own templates, which win over shipped ones."""
    return tmp_path


@pytest.fixture
def site(registry: Registry) -> Site:
    clock = Clock(now=lambda: datetime(2026, 11, 24, 23, 30, tzinfo=UTC))
    return Site("test", frozenset({"localhost"}), Database("unused"), registry, clock)


class Asker:
    """Asks for pages without a server: what a template makes of a request."""

    def __init__(self, site: Site, operator: Path) -> None:
        self.site, self.operator = site, operator
        self.app = web.Application()
        setup_templating(self.app, site.registry, operator=operator)

    def request(self, path: str = "/", actor: Actor = CUSTOMER, form: FormState | None = None) -> web.Request:
        request = make_mocked_request("GET", path, app=self.app)
        request[SITE], request[ACTOR], request[NONCE] = self.site, actor, "nonce-1"
        request[FORM] = form or FormState(key="key-1")
        return request

    def text(self, source: str, context: dict[str, Any] | None = None, **about: Any) -> str:
        """What ``source``, written into the operator's directory, becomes."""
        name = f"t{len(list(self.operator.iterdir()))}.html"
        (self.operator / name).write_text(source, encoding="utf-8")
        return render(self.request(**about), name, context or {})


@pytest.fixture
def asker(site: Site, operator: Path) -> Asker:
    return Asker(site, operator)


# --- values ---------------------------------------------------------------------------------------------------------


def test_money_and_dates_are_polish_typography(asker: Asker) -> None:
    shown = asker.text(
        "{{ m | money }}|{{ 123456 | money }}|{{ d | date }}|{{ d | longdate }}|{{ i | moment }}|{{ i | clock }}",
        {"m": Money(5), "d": date(2026, 12, 10), "i": datetime(2026, 12, 10, 12, 5, tzinfo=UTC)},
    ).split("|")
    assert shown[0] == '<span class="money">0,05<span class="unit">\u00a0zł</span></span>'
    assert "1\u00a0234,56" in shown[1]
    assert shown[2] == "10.12.2026"
    assert shown[3] == "10\u00a0grudnia\u00a02026"
    assert shown[4] == '<time datetime="2026-12-10T12:05:00+00:00">10.12.2026, 13:05</time>'
    assert shown[5] == "13:05"


def test_today_is_the_organisations_day(asker: Asker) -> None:
    assert asker.text("{{ today | date }}") == "25.11.2026"


def test_texts_are_escaped_and_translated_when_shown(asker: Asker) -> None:
    source = '{{ _("Log out") }} {{ _("{name} wants", name=name) }}'
    assert asker.text(source, {"name": "<b>"}).startswith("Wyloguj się &lt;b&gt;")
    with speaking("en"):
        assert asker.text('{{ _("Log out") }}') == "Log out"


def test_each_language_has_its_own_compiled_template(asker: Asker) -> None:
    (asker.operator / "both.html").write_text(
        '{{ _("Log out") }} {{ url("shelf.list") }} {{ x._("Log out") }}', "utf-8"
    )
    context = {"x": {"_": lambda text: f"<{text}>"}}
    shown: dict[str, str] = {}
    for code in ("pl", "en", "pl"):
        with speaking(code):
            shown[code] = render(asker.request(), "both.html", context)
    assert shown == {
        "pl": "Wyloguj się /shelf &lt;Log out&gt;",
        "en": "Log out /shelf &lt;Log out&gt;",
    }


def test_a_kept_part_follows_its_facts(asker: Asker) -> None:
    (asker.operator / "fact.html").write_text("<b>{{ n }}</b> {{ lang }}", "utf-8")
    source = '{{ kept("fact.html", n=1) }}{{ kept("fact.html", n=2) }}{{ kept("fact.html", n=1) }}'
    assert asker.text(source) == "<b>1</b> pl<b>2</b> pl<b>1</b> pl"


def test_an_unknown_name_is_an_error_not_a_blank(asker: Asker) -> None:
    with pytest.raises(Exception, match="nobody"):
        asker.text("{{ nobody }}")


def test_addresses_are_made_from_routes(asker: Asker) -> None:
    source = '{{ url("shelf.list", query={"q": "a b"}) }} {{ url("shelf.page", book=7, page="a/ż") }}'
    assert asker.text(source) == "/shelf?q=a+b /shelf/7/a%2F%C5%BC"
    with pytest.raises(KeyError):
        asker.text('{{ url("shelf.none") }}')


# --- where templates are found --------------------------------------------------------------------------------------


def test_the_operator_overrides_and_extends_a_shipped_template(asker: Asker, operator: Path) -> None:
    (operator / "kernel").mkdir()
    (operator / "kernel" / "blank.html").write_text(
        '{% extends "shipped:kernel/blank.html" %}{% block title %}Ours{% endblock %}', encoding="utf-8"
    )
    shown = asker.text('{% extends "kernel/blank.html" %}')
    assert "<title>Ours · " in shown
    assert 'class="portal blank"' in shown


# --- frames ---------------------------------------------------------------------------------------------------------

PORTAL = '{% extends "kernel/portal.html" %}{% block title %}T{% endblock %}{% block main %}<h1>T</h1>{% endblock %}'
CONSOLE = PORTAL.replace("portal", "console")


def test_a_page_has_its_landmarks_and_no_inline_script_or_style(asker: Asker) -> None:
    for shown in (asker.text(PORTAL), asker.text(CONSOLE, actor=OFFICE, path="/admin/shelf")):
        assert '<html lang="pl" class="' in shown
        assert '<a class="skip" href="#main">' in shown
        for landmark in ("<header", '<main id="main"', "<nav", "<footer"):
            assert landmark in shown
        assert " style=" not in shown
        assert " onclick=" not in shown
        assert shown.count("<script") == shown.count('nonce="nonce-1" src="/static/')
        assert 'href="/accessibility"' in shown


def test_size_is_changed_by_buttons_of_a_form(asker: Asker) -> None:
    shown = asker.text(PORTAL, path="/shelf?q=1")
    assert 'action="/preferences"' in shown
    assert [f'name="size" value="{size}"' in shown for size in range(3)] == [True] * 3


def test_navigation_shows_what_may_be_opened_here(asker: Asker) -> None:
    portal, console = asker.text(PORTAL, path="/shelf/7/x"), asker.text(CONSOLE, actor=OFFICE, path="/admin/shelf/3")
    assert '<a href="/shelf" aria-current="page">' in portal
    assert 'href="/admin/shelf"' not in portal
    assert '<a href="/admin/shelf" aria-current="page">' in console
    assert '<a href="/admin/shelves">' in console
    assert 'href="/admin/shelf"' not in asker.text(CONSOLE, actor=Actor(3), path="/admin/x")


def test_superadministrator_mode_is_announced_on_every_page(asker: Asker) -> None:
    actor = Actor(3, "s", "S", Role.SUPERADMIN, superadmin_until=datetime(2026, 11, 24, 23, 45, tzinfo=UTC))
    for source in (PORTAL, CONSOLE, PORTAL.replace("portal", "blank")):
        shown = asker.text(source, actor=actor)
        assert "Tryb superadministratora jest włączony" in shown
        assert "do 00:45" in shown
        assert "/admin/superadmin-mode/end" in shown
    assert "Tryb superadministratora" not in asker.text(PORTAL)


def test_who_sees_several_customers_can_switch(asker: Asker) -> None:
    two = (*CUSTOMER.grants, Grant(2, "10050", "Jan Lis", "view"))
    actor = Actor(1, "anna", "Anna", Role.CUSTOMER, frozenset(), 2, two)
    shown = asker.text(PORTAL, actor=actor)
    assert 'action="/switch-customer"' in shown
    assert '<option value="2" selected>Jan Lis · 10050</option>' in shown
    assert "/switch-customer" not in asker.text(PORTAL)


def test_a_flash_is_announced(asker: Asker, operator: Path) -> None:
    request = asker.request()
    request[FLASH] = "Zapisane <b>"
    (operator / "flash.html").write_text(PORTAL, encoding="utf-8")
    shown = render(request, "flash.html", {})
    assert 'role="status"' in shown
    assert "Zapisane &lt;b&gt;" in shown


# --- forms ----------------------------------------------------------------------------------------------------------

FORM_PAGE = """{% from "kernel/form.html" import form, field, amount_field, check_field, submit %}
{% call form("/pay", form_state=form) %}
{{ amount_field("amount", "Amount", value=m, hint="As on the slip") }}
{{ field("title", "Title", value="old", required=false) }}
{{ field("password", "Password", type="password") }}
{{ check_field("agree", "Agree", value=true) }}
{{ submit("Send") }}
{% endcall %}"""


def test_a_fresh_form_shows_its_values_and_carries_the_key(asker: Asker) -> None:
    shown = asker.text(FORM_PAGE, {"m": Money(1250)})
    assert '<form class="form" method="post" action="/pay" novalidate' in shown
    assert '<input type="hidden" name="_key" value="key-1">' in shown
    assert 'value="12,50"' in shown
    assert 'value="old"' in shown
    assert "checked" in shown
    assert "aria-invalid" not in shown
    assert 'aria-describedby="f-amount-hint"' in shown


def test_a_refused_form_shows_what_was_typed_and_ties_errors_to_fields(asker: Asker) -> None:
    state = FormState(
        "key-9",
        {"amount": '1e3"', "title": "", "password": "secret"},
        {"amount": _("Enter an amount")},
        (_("This could not be saved yet"),),
    )
    shown = asker.text(FORM_PAGE, {"m": Money(1250)}, form=state)
    assert 'value="1e3&#34;"' in shown
    assert 'value="key-9"' in shown
    assert "secret" not in shown
    assert "checked" not in shown
    assert '<a href="#f-amount">Wpisz kwotę</a>' in shown
    assert 'aria-describedby="f-amount-error f-amount-hint" aria-invalid="true"' in shown
    assert 'role="alert"' in shown


# --- contributions --------------------------------------------------------------------------------------------------


def test_a_contribution_becomes_a_card(asker: Asker, operator: Path) -> None:
    (operator / "part.html").write_text("<p>{{ n | money }}</p>", encoding="utf-8")
    shown = render_card(asker.request(), Card(_("Language"), "part.html", {"n": 100}), "shelf")
    assert shown.startswith('<section class="card"><h2>Język</h2>')
    assert "<section" not in render_card(asker.request(), Card(_("x"), "part.html", {"n": 1}), "shelf", framed=False)


def test_a_failing_contribution_is_logged_with_its_plugin_and_blanks_only_its_part(
    asker: Asker, operator: Path
) -> None:
    (operator / "part.html").write_text("{{ data.nothing.there }}", encoding="utf-8")
    with capture_logs() as logs:
        shown = render_card(asker.request(), Card(_("Language"), "part.html", {"data": {}}), "shelf")
    assert "Ta część jest teraz niedostępna" in shown
    assert [(entry["plugin"], entry["template"]) for entry in logs] == [("shelf", "part.html")]


def test_every_shipped_template_compiles(asker: Asker) -> None:
    from aiohttp_jinja2 import get_env

    environment = get_env(asker.app)
    names = [name for name in environment.list_templates() if name.startswith("kernel/")]
    assert len(names) > 10
    for name in names:
        environment.get_template(name)

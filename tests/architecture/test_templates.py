"""Templates: each compiles, each that is named is there and the other way round, their addresses lead somewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

import themes
from kernel.app import build_app
from kernel.config import Config
from kernel.i18n import LANGUAGES
from kernel.plugin.contracts import Loaded
from kernel.testing import registry_of
from kernel.web import templating

REGISTRY = registry_of()
APP = build_app(Config(), {}, REGISTRY)
PLUGINS = {plugin.name: plugin for plugin in REGISTRY.plugins}
NAMED = re.compile(r"""["']([\w/.-]+\.html)["']""")
ADDRESS = re.compile(r"""\burl\(\s*["']([\w.]+)["']""")


def owner_of(path: Path) -> Loaded:
    """The plugin that a file belongs to: the deepest package that is one."""
    owners = [plugin for plugin in PLUGINS.values() if path.is_relative_to(plugin.path)]
    return max(owners, key=lambda plugin: len(plugin.path.parts))


def templates() -> dict[str, Path]:
    """Every shipped template by the name it is asked for."""
    found: dict[str, Path] = {}
    for plugin in PLUGINS.values():
        folder = plugin.path / "templates"
        found |= {str(path.relative_to(folder)): path for path in folder.rglob("*.html")}
    return found


def sources() -> Iterator[Path]:
    for plugin in PLUGINS.values():
        for path in plugin.path.rglob("*.py"):
            if owner_of(path) is plugin:
                yield path


TEMPLATES = templates()


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_template_compiles_and_forgives_no_missing_name(code: str) -> None:
    environment = APP[templating._BY_LANGUAGE][code]
    assert environment.undefined is jinja2.StrictUndefined
    assert environment.is_async is False
    assert environment.autoescape is True
    for name in TEMPLATES:
        environment.get_template(name)
        environment.get_template(f"shipped:{name}")


def test_overrides_of_themes_replace_something_shipped() -> None:
    for path in Path(next(iter(themes.__path__))).rglob("templates/**/*.html"):
        name = str(path).partition("/templates/")[2]
        assert name in TEMPLATES, path


def test_every_named_template_is_there_and_every_one_there_is_named() -> None:
    named = {name for path in (*sources(), *TEMPLATES.values()) for name in NAMED.findall(path.read_text("utf-8"))}
    known = {name for name in named if "/" in name} | {r.template for r in REGISTRY.routes.values() if r.template}
    assert known - set(TEMPLATES) == set()
    assert set(TEMPLATES) - known == set()


def test_a_template_names_only_its_own_the_kernels_and_those_of_what_it_requires() -> None:
    wrong = [
        f"{name} names {other}"
        for name, path in TEMPLATES.items()
        for other in NAMED.findall(path.read_text("utf-8"))
        if "/" in other and other.split("/")[0] not in reachable(owner_of(path))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_address_is_a_route_that_is_there_whenever_the_page_is() -> None:
    """Also in code: ``url("…")`` and ``redirect(request, "…")`` of another plugin need it among the requirements."""
    wrong: list[str] = []
    for path in (*sources(), *TEMPLATES.values()):
        for route in addresses(path):
            if route not in REGISTRY.routes:
                wrong.append(f"{path}: no route {route}")
            elif REGISTRY.owner_of[route] not in reachable(owner_of(path)):
                wrong.append(f"{path}: {route} belongs to a plugin that may be off")
    assert not wrong, "\n".join(wrong)


def addresses(path: Path) -> set[str]:
    text = path.read_text("utf-8")
    if path.suffix == ".html":
        return set(ADDRESS.findall(text))
    found: set[str] = set()
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in {"url", "redirect"}:
            found |= {a.value for a in call.args[1:2] if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return found


def reachable(plugin: Loaded) -> set[str]:
    """The plugin, the kernel, and what the plugin requires, by name."""
    found = {plugin.name, "kernel"}
    waiting = list(plugin.manifest.requires)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += PLUGINS[name].manifest.requires
    return found

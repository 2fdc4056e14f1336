"""Static files: hashed addresses that live for a year, right types, nothing but what is known at start."""

from __future__ import annotations

import re

import pytest

from kernel.plugin.permissions import Role
from kernel.plugin.registry import Registry
from kernel.testing import Office
from kernel.web.assets import collect
from kernel.web.themes import load_theme

pytestmark = pytest.mark.ebok(plugins=[])
PORTAL_SCRIPT_LIMIT = 8 * 1024
STYLE_LIMIT = 7 * 1024


def test_addresses_carry_the_hash_of_the_content(registry: Registry) -> None:
    assets = collect(registry.plugins, load_theme("default"))
    address = assets.url("kernel/app.css")
    assert re.fullmatch(r"/static/kernel/app\.css\?v=[0-9a-f]{12}", address)
    assert address == collect(registry.plugins, load_theme("default")).url("kernel/app.css")
    with pytest.raises(LookupError, match=r"kernel/none\.css"):
        assets.url("kernel/none.css")


def test_the_style_sheet_is_one_file_in_layers(registry: Registry) -> None:
    css = collect(registry.plugins, load_theme("default")).found["kernel/app.css"].body.decode()
    assert css.startswith("@layer reset,tokens,base,layout,components,print;")
    assert css.count("{") == css.count("}")
    assert "/*" not in css
    assert "--paper: #ffffff" in css


def test_pages_stay_light(registry: Registry) -> None:
    found = collect(registry.plugins, load_theme("default")).found
    assert len(found["kernel/portal.js"].body) < PORTAL_SCRIPT_LIMIT
    assert len(found["kernel/app.css"].gzipped or b"") < STYLE_LIMIT


async def test_only_the_office_loads_the_styles_of_the_console(office: Office) -> None:
    visitor, admin = await office.visitor(), await office.visitor(Role.ADMIN)
    assert "kernel/console.css" not in (await visitor.get("/login")).text
    assert "kernel/console.css" in (await admin.get("/admin/")).text


async def test_a_file_is_kept_for_a_year_by_its_hash_only(office: Office) -> None:
    client = await office.visitor()
    assets = collect(office.site.registry.plugins, load_theme("default"))
    answer = await client.get(assets.url("kernel/app.css"))
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (await client.get("/static/kernel/app.css")).headers["Cache-Control"] == "no-cache"
    unchanged = await client.get("/static/kernel/app.css", headers={"If-None-Match": answer.headers["ETag"]})
    assert unchanged.status == 304


async def test_texts_travel_compressed(office: Office) -> None:
    client = await office.visitor()
    answer = await client.get("/static/kernel/app.css", headers={"Accept-Encoding": "gzip"})
    assert answer.headers.get("Content-Encoding") == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert "@layer" in answer.text


async def test_nothing_else_can_be_reached(office: Office) -> None:
    client = await office.visitor()
    for path in (
        "",
        "kernel",
        "kernel/",
        "kernel/../app.py",
        "kernel/%2e%2e/app.py",
        "kernel//app.css",
        "kernel/css",
        "x/app.css",
    ):
        assert (await client.get(f"/static/{path}")).status == 404, path


def test_every_icon_that_templates_name_is_drawn(registry: Registry) -> None:
    sprite = collect(registry.plugins, load_theme("default")).found["kernel/icons.svg"].body.decode()
    drawn = set(re.findall(r'<symbol id="([a-z-]+)"', sprite))
    named: set[str] = {nav.icon for nav in registry.navigation}
    for plugin in registry.plugins:
        for template in (plugin.path / "templates").rglob("*.html"):
            named |= set(re.findall(r'icon\("([a-z-]+)"\)', template.read_text(encoding="utf-8")))
    assert named <= drawn

"""An organisation's settings, in forms generated from the models of the kernel and the plugins."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from functools import cache
from typing import Any, Final, get_args

from aiohttp import web
from multidict import MultiDict
from pydantic import BaseModel, ConfigDict, SecretStr, create_model
from pydantic_core import PydanticUndefined

from kernel.i18n import Text, _
from kernel.plugin.contracts import Nav, Route
from kernel.plugin.permissions import Permission, Role
from kernel.settings import model_of, save, settings_of
from kernel.web.body import Submitted, validated
from kernel.web.forms import fields_of
from kernel.web.request import CONN, SITE, Upload, not_found
from kernel.web.routing import redirect, url

RIGHT: Final = "kernel.settings"


class Fields(BaseModel):
    """Whatever the form of the plugin has; its own model judges it."""

    model_config = ConfigDict(extra="allow")


def permissions() -> Iterable[Permission]:
    """The right to change what the organisation decides for itself."""
    yield Permission(RIGHT, _("Change the organisation's settings"), {Role.SUPERADMIN})


def navigation() -> Iterable[Nav]:
    """Settings in the console's menu."""
    yield Nav(_("Settings"), "kernel.settings", order=930, icon="settings", group=_("Administration"))


def routes() -> Iterable[Route]:
    """The list of what can be set, and a form for each."""
    yield Route("GET", "/admin/settings", show_all, RIGHT, "kernel.settings", template="kernel/pages/settings.html")
    path = "/admin/settings/{plugin}"
    yield Route("GET", path, show_one, RIGHT, "kernel.settings.of", template="kernel/pages/settings_of.html")
    yield Route("POST", path, save_one, RIGHT, "kernel.settings.save", body=Fields)


async def show_all(request: web.Request) -> object:
    """The organisation first, then the plugins that have settings."""
    site = request[SITE]
    names = [plugin.name for plugin in site.registry.plugins if plugin.name == "kernel" or plugin.manifest.settings]
    return {
        "places": [
            {
                "label": _label(name),
                "url": url(request, "kernel.settings.of", plugin=name),
                "fields": fields_of(model_of(site, name)),
            }
            for name in names
        ]
    }


async def show_one(request: web.Request) -> object:
    """The form with the values that hold now."""
    plugin, model = _asked(request)
    return {"plugin": plugin, "label": _label(plugin), "fields": fields_of(model, settings_of(request[SITE], plugin))}


async def save_one(request: web.Request, body: Fields) -> web.Response:
    """Keep what was typed. A blank field empties a text; a blank secret keeps the old one."""
    plugin, model = _asked(request)
    typed = validated(_typed(model), Submitted(MultiDict[str | Upload](body.model_extra or {})))
    before = settings_of(request[SITE], plugin)
    values = {name: value for name in model.model_fields if not _is_blank_secret(value := getattr(typed, name))}
    await save(request[SITE], request[CONN], plugin, before.model_copy(update=values))
    return redirect(request, "kernel.settings", flash=_("Saved"))


@cache
def _typed(model: type[BaseModel]) -> type[BaseModel]:
    """The model as a form fills it: what is left blank is empty or missing, not silently the default."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        info = copy(field)
        view = next(view for view in fields_of(model) if view.name == name)
        blank = None if type(None) in get_args(field.annotation) else SecretStr("") if view.kind == "secret" else ""
        info.default = PydanticUndefined if view.required and view.kind != "secret" else blank
        info.default_factory = None
        fields[name] = (field.annotation, info)
    return create_model(f"{model.__name__}Form", __base__=model, **fields)


def _is_blank_secret(value: object) -> bool:
    return isinstance(value, SecretStr) and not value.get_secret_value()


def _asked(request: web.Request) -> tuple[str, type[BaseModel]]:
    plugin = request.match_info["plugin"]
    try:
        return plugin, model_of(request[SITE], plugin)
    except LookupError:
        raise not_found() from None


def _label(plugin: str) -> Text:
    return _("Organisation") if plugin == "kernel" else Text(plugin.replace("_", " ").capitalize())

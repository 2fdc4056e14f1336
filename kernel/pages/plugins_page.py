"""What is installed, who may do what, and how long plugins take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from kernel.i18n import _
from kernel.plugin.contracts import Nav, Route
from kernel.plugin.permissions import STAFF, Permission, Role
from kernel.plugin.registry import Registry
from kernel.web.request import SITE

RIGHT: Final = "kernel.plugins"
ROLES: Final = (
    {"name": Role.CUSTOMER, "label": _("Customer")},
    {"name": Role.ADMIN, "label": _("Administrator")},
    {"name": Role.SUPERADMIN, "label": _("Superadministrator")},
)


def permissions() -> Iterable[Permission]:
    """The right to see plugins and the matrix of rights."""
    yield Permission(RIGHT, _("See plugins and rights"), STAFF)


def navigation() -> Iterable[Nav]:
    """Plugins in the console's menu."""
    yield Nav(_("Plugins"), "kernel.plugins", order=920, icon="plug", group=_("Administration"))


def routes() -> Iterable[Route]:
    """One page."""
    yield Route("GET", "/admin/plugins", show_plugins, RIGHT, "kernel.plugins", template="kernel/pages/plugins.html")


async def show_plugins(request: web.Request) -> object:
    """Everything from the registry; nothing is asked of the database."""
    registry = request[SITE].registry
    owners = list(registry.owner_of.values())
    return {
        "plugins": [
            {
                "name": plugin.name,
                "version": plugin.version,
                "distribution": plugin.distribution,
                "requires": plugin.manifest.requires,
                "routes": owners.count(plugin.name),
            }
            for plugin in registry.plugins
        ],
        "roles": ROLES,
        "permissions": sorted(registry.permissions.values(), key=lambda permission: permission.name),
        "timings": _timings(registry),
    }


def _timings(registry: Registry) -> list[dict[str, Any]]:
    """The slowest first."""
    measured = sorted(registry.hooks.timings.items(), key=lambda item: -item[1].seconds)
    return [
        {
            "plugin": plugin,
            "hook": hook,
            "calls": timing.calls,
            "average": f"{timing.seconds * 1000 / max(timing.calls, 1):.1f}".replace(".", ","),
            "failures": timing.failures,
        }
        for (plugin, hook), timing in measured
    ]

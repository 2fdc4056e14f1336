"""Everything the plugins declared, collected once at start, checked, and never changed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from kernel.plugin.actor import permissions_of
from kernel.plugin.contracts import (
    GROUP_MARK,
    ArchiveRule,
    Check,
    Command,
    CustomerField,
    Demo,
    Export,
    Extension,
    Job,
    Loaded,
    Nav,
    Record,
    Route,
    Service,
    Source,
    Verb,
)
from kernel.plugin.manager import KERNEL, HookCaller, PluginError, make_caller
from kernel.plugin.permissions import PUBLIC, Permission, Role

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Registry:
    """The frozen registries. Mappings go by name; ``owner_of`` tells which plugin declared a route."""

    plugins: tuple[Loaded, ...]
    hooks: HookCaller
    permissions: Mapping[str, Permission]
    permissions_of: Mapping[Role, frozenset[str]]
    routes: Mapping[str, Route]
    owner_of: Mapping[str, str]
    navigation: tuple[Nav, ...]
    services: Mapping[type, object]
    extensions: Mapping[str, Mapping[str, Any]]
    records: Mapping[str, Record]
    sources: Mapping[str, Source]
    exports: Mapping[str, Export]
    customer_fields: Mapping[str, CustomerField]
    archive_rules: Mapping[str, ArchiveRule]
    jobs: Mapping[str, Job]
    verbs: Mapping[str, Verb]
    checks: Mapping[str, Check]
    commands: Mapping[str, Command]
    demos: tuple[Demo, ...]

    def service(self, port: type) -> object:
        """The implementation of ``port``. Raises LookupError when no enabled plugin provides it."""
        try:
            return self.services[port]
        except KeyError:
            raise LookupError(f"no enabled plugin provides {port.__name__}") from None

    def plugin(self, name: str) -> Loaded | None:
        """An enabled plugin by name, or None."""
        return next((plugin for plugin in self.plugins if plugin.name == name), None)


def build(plugins: Sequence[Loaded], *, trace: bool = False) -> Registry:
    """Ask every ``register_*`` hook once and check what came.

    Raises PluginError for a foreign prefix, a duplicate, a route whose permission nobody declared, or a navigation
    entry whose route nobody declared.
    """
    caller = make_caller(plugins, trace=trace)
    permissions = _named(plugins, "register_permissions", Permission, _name)
    routes = _named(plugins, "register_routes", Route, _name)
    navigation = _all(plugins, "register_navigation", Nav)
    services = _all(plugins, "register_services", Service)
    registry = Registry(
        plugins=tuple(plugins),
        hooks=caller,
        permissions=MappingProxyType({name: item for name, (_, item) in permissions.items()}),
        permissions_of=MappingProxyType(
            {role: permissions_of(role, [item for _, item in permissions.values()]) for role in Role}
        ),
        routes=MappingProxyType({name: item for name, (_, item) in routes.items()}),
        owner_of=MappingProxyType({name: owner for name, (owner, _) in routes.items()}),
        navigation=tuple(sorted((item for _, item in navigation), key=lambda nav: nav.order)),
        services=MappingProxyType(_unique_ports(services)),
        extensions=_by_point(plugins),
        records=_plain(_named(plugins, "register_records", Record, _name)),
        sources=_plain(_named(plugins, "register_sources", Source, _name, prefixed=False)),
        exports=_plain(_named(plugins, "register_exports", Export, _name)),
        customer_fields=_plain(_named(plugins, "register_customer_fields", CustomerField, _name)),
        archive_rules=_plain(_named(plugins, "register_archive_rules", ArchiveRule, lambda rule: rule.table)),
        jobs=_plain(_named(plugins, "register_jobs", Job, lambda job: job.kind)),
        verbs=_plain(_named(plugins, "register_audit_verbs", Verb, _name)),
        checks=_plain(_named(plugins, "register_checks", Check, _name)),
        commands=_plain(_named(plugins, "register_commands", Command, _name, prefixed=False)),
        demos=tuple(item for _, item in _all(plugins, "register_demo", Demo)),
    )
    _check_references(registry)
    return registry


def _name(item: Any) -> str:
    return item.name


def _plain(named: Mapping[str, tuple[str, _T]]) -> Mapping[str, _T]:
    return MappingProxyType({name: item for name, (_, item) in named.items()})


def _all(plugins: Sequence[Loaded], hook: str, kind: type[_T]) -> list[tuple[str, _T]]:
    """What each plugin yields for a registering hook, with its name."""
    gathered: list[tuple[str, _T]] = []
    for plugin in plugins:
        implementation: Callable[[], Iterable[object]] | None = getattr(plugin.module, hook, None)
        if implementation is None:
            continue
        try:
            items = list(implementation())
        except Exception as error:
            raise PluginError(f"Plugin {plugin.name!r}: {hook} failed: {type(error).__name__}: {error}") from error
        for item in items:
            if not isinstance(item, kind):
                raise PluginError(f"Plugin {plugin.name!r}: {hook} yields {type(item).__name__}, not {kind.__name__}.")
            gathered.append((plugin.name, item))
    return gathered


def _named(
    plugins: Sequence[Loaded], hook: str, kind: type[_T], name_of: Callable[[_T], str], *, prefixed: bool = True
) -> dict[str, tuple[str, _T]]:
    found: dict[str, tuple[str, _T]] = {}
    for plugin, item in _all(plugins, hook, kind):
        name = name_of(item)
        if prefixed and not name.startswith(f"{plugin}."):
            raise PluginError(f"Plugin {plugin!r}: {kind.__name__} {name!r} must be named {plugin}.…")
        if name in found:
            raise PluginError(f"{kind.__name__} {name!r} is declared twice, by {found[name][0]!r} and {plugin!r}.")
        found[name] = (plugin, item)
    return found


def _unique_ports(services: Iterable[tuple[str, Service]]) -> dict[type, object]:
    ports: dict[type, object] = {}
    for plugin, service in services:
        if service.port in ports:
            raise PluginError(f"Plugin {plugin!r}: another plugin already provides {service.port.__name__}.")
        ports[service.port] = service.implementation
    return ports


def _by_point(plugins: Sequence[Loaded]) -> Mapping[str, Mapping[str, Any]]:
    """Point → name → implementation, for every point of an enabled plugin."""
    points = {point: shape for plugin in plugins for point, shape in plugin.manifest.points.items()}
    found: dict[str, dict[str, Any]] = {point: {} for point in points}
    for name, (plugin, item) in _named(plugins, "register_extensions", Extension, _name).items():
        if item.point not in points:
            raise PluginError(f"Plugin {plugin!r}: there is no extension point {item.point!r}.")
        if not isinstance(item.implementation, points[item.point]):
            raise PluginError(f"Plugin {plugin!r}: {name!r} is not what {item.point!r} takes.")
        found[item.point][name] = item.implementation
    return MappingProxyType({point: MappingProxyType(items) for point, items in found.items()})


def _check_references(registry: Registry) -> None:
    addresses: dict[tuple[str, str], str] = {}
    for route in registry.routes.values():
        owner = registry.owner_of[route.name]
        if route.permission != PUBLIC and route.permission not in registry.permissions:
            raise PluginError(
                f"Plugin {owner!r}: route {route.name!r} names an unknown permission {route.permission!r}."
            )
        other = addresses.setdefault((route.method, route.path), route.name)
        if other != route.name:
            raise PluginError(f"Plugin {owner!r}: {route.method} {route.path} already belongs to {other!r}.")
        once = route.creates or route.key_required
        if once and (route.method == "GET" or route.read_only or not route.path.startswith("/api/")):
            raise PluginError(
                f"Plugin {owner!r}: route {route.name!r}: creates and key_required are for what the API changes."
            )
        if route.template and not route.template.startswith(f"{owner}/"):
            raise PluginError(f"Plugin {owner!r}: the template {route.template!r} must lie in {owner}/.")
    for export in registry.exports.values():
        if export.permission not in registry.permissions:
            raise PluginError(f"The export {export.name!r} names an unknown permission {export.permission!r}.")
        if bool(export.customer) != (export.select.count(GROUP_MARK) == 1):
            raise PluginError(f"The export {export.name!r}: with a customer its select has {GROUP_MARK} once.")
    for nav in registry.navigation:
        if nav.route not in registry.routes:
            raise PluginError(f"The navigation names an unknown route {nav.route!r}.")
    if registry.plugins and registry.plugins[0].name != KERNEL:
        raise PluginError("The kernel's own declarations come first.")

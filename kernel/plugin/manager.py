"""From names to running plugins: discovery, order, validation, and the caller of run-time hooks.

pluggy registers and validates; its own caller is not used for coroutines, because a first result would be a coroutine,
not an answer. Hooks are awaited one after another: they share one connection.
"""

from __future__ import annotations

import importlib
import inspect
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, cast

import pluggy
import structlog

from kernel.db.connection import Connection
from kernel.plugin import hooks
from kernel.plugin.contracts import API, Loaded, Plugin

GROUP: Final = "ebok.plugins"
KERNEL: Final = "kernel"
SLOW_HOOK: Final = 0.25
"""Seconds after which a run-time hook is named in the log."""

_log = structlog.get_logger("ebok.plugins")


class PluginError(Exception):
    """The product cannot start with these plugins; the message is one clear line."""


@dataclass(slots=True)
class Timing:
    """How often and how long one hook of one plugin ran (seconds)."""

    calls: int = 0
    seconds: float = 0.0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one plugin contributed to a page; ``items`` is None when it failed."""

    plugin: str
    items: Sequence[Any] | None


@dataclass(slots=True)
class HookCaller:
    """Awaits run-time hooks in the order of plugins, with their names in every log line."""

    manager: pluggy.PluginManager
    order: Sequence[str]
    trace: bool = False
    timings: dict[tuple[str, str], Timing] = field(default_factory=lambda: defaultdict(Timing))

    async def contribute(self, hook: str, /, **arguments: Any) -> list[Contribution]:
        """Contributions to a page. A failing one is logged and becomes ``None`` items; the others stand."""
        gathered: list[Contribution] = []
        for plugin, implementation in self._implementations(hook):
            try:
                items = await self._call(plugin, hook, implementation, arguments)
            except Exception:
                self.timings[plugin, hook].failures += 1
                _log.exception("a contribution failed", plugin=plugin, hook=hook)
                gathered.append(Contribution(plugin, None))
            else:
                gathered.append(Contribution(plugin, list(items or ())))
        return gathered

    async def emit(self, hook: str, conn: Connection, /, **arguments: Any) -> None:
        """Tell every plugin of an event inside the transaction of ``conn``; what one raises rolls it back."""
        for plugin, implementation in self._implementations(hook):
            await self._call(plugin, hook, implementation, {"conn": conn, **arguments})

    def _implementations(self, hook: str) -> list[tuple[str, pluggy.HookImpl]]:
        found = {impl.plugin_name: impl for impl in getattr(self.manager.hook, hook).get_hookimpls()}
        return [(name, found[name]) for name in self.order if name in found]

    async def _call(self, plugin: str, hook: str, implementation: pluggy.HookImpl, arguments: dict[str, Any]) -> Any:
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(plugin=plugin):
            try:
                function = cast("Callable[..., Awaitable[Any]]", implementation.function)
                return await function(*(arguments[name] for name in implementation.argnames))
            finally:
                seconds = time.perf_counter() - started
                timing = self.timings[plugin, hook]
                timing.calls += 1
                timing.seconds += seconds
                if self.trace:
                    _log.info("hook", hook=hook, ms=round(seconds * 1000, 2))
                elif seconds > SLOW_HOOK:
                    _log.warning("slow hook", hook=hook, ms=round(seconds * 1000))


def installed() -> dict[str, EntryPoint]:
    """Every plugin that some distribution offers, by name. Raises PluginError when two offer the same name."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise PluginError(
                f"Two installed packages offer a plugin named {point.name!r}: {other.value}, {point.value}."
            )
    return found


def bundled() -> list[str]:
    """The names that ebok's own distribution offers."""
    return sorted(point.name for point in installed().values() if _distribution(point)[0] == "ebok")


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("", "")


def load(names: Iterable[str]) -> list[Loaded]:
    """Import the named plugins and put them in order of what they require.

    Raises PluginError with one line that names the plugin and what is wrong: not installed, does not import, has no
    manifest, was written for another api, requires what is not enabled, or a circle.
    """
    points = installed()
    loaded: dict[str, Loaded] = {}
    for name in names:
        if name in loaded:
            raise PluginError(f"Plugin {name!r} is named twice in the configuration.")
        if name not in points:
            close = get_close_matches(name, points, 1)
            hint = f" Did you mean {close[0]!r}?" if close else f" Installed: {', '.join(sorted(points))}."
            raise PluginError(f"Plugin {name!r} is not installed.{hint}")
        loaded[name] = describe(name, _imported(name, points[name]), *_distribution(points[name]))
    return in_order(loaded)


def _imported(name: str, point: EntryPoint) -> Any:
    try:
        return importlib.import_module(point.module)
    except Exception as error:
        raise PluginError(
            f"Plugin {name!r} ({point.value}) does not import: {type(error).__name__}: {error}"
        ) from error


def describe(name: str, module: Any, distribution: str = "", version: str = "") -> Loaded:
    """A module as a plugin. Raises PluginError when its manifest is missing or of another api version."""
    manifest = getattr(module, "plugin", None)
    if not isinstance(manifest, Plugin):
        raise PluginError(f"Plugin {name!r} has no manifest: its module needs `plugin = Plugin(api={API})`.")
    if manifest.api != API:
        raise PluginError(f"Plugin {name!r} was written for api {manifest.api}; this ebok speaks api {API}.")
    source = getattr(module, "__file__", None)
    path = Path(source).parent if source else Path()
    return Loaded(name, module, manifest, path, distribution, version)


def in_order(loaded: dict[str, Loaded]) -> list[Loaded]:
    """The plugins so that each comes after what it requires or names; the order of the configuration otherwise."""
    ordered: dict[str, Loaded] = {}

    def place(plugin: Loaded, path: tuple[str, ...]) -> None:
        if plugin.name in ordered:
            return
        if plugin.name in path:
            raise PluginError(f"Plugins require each other in a circle: {' → '.join((*path, plugin.name))}.")
        for needed in plugin.manifest.requires:
            if needed not in loaded:
                raise PluginError(f"Plugin {plugin.name!r} requires {needed!r}, which is not enabled.")
            place(loaded[needed], (*path, plugin.name))
        for earlier in plugin.manifest.after:
            if earlier in loaded:
                place(loaded[earlier], (*path, plugin.name))
        ordered[plugin.name] = plugin

    for plugin in loaded.values():
        place(plugin, ())
    return list(ordered.values())


def enabled_with_requirements(names: Iterable[str], off: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """``names`` without ``off`` and without what requires them; for each left out, why."""
    why = dict.fromkeys(off, "switched off")
    remaining = [name for name in names if name not in why]
    plugins = {name: describe(name, _imported(name, installed()[name])) for name in remaining}
    changed = True
    while changed:
        changed = False
        for name in list(remaining):
            missing = [needed for needed in plugins[name].manifest.requires if needed not in remaining]
            if missing:
                why[name] = f"requires {missing[0]}, which is off"
                remaining.remove(name)
                changed = True
    return remaining, why


def make_caller(plugins: Sequence[Loaded], *, trace: bool = False) -> HookCaller:
    """Register plugins with pluggy and validate every implementation.

    Raises PluginError for an unknown hook, an argument the hook does not have, or a coroutine where a plain function
    belongs (and the reverse).
    """
    manager = pluggy.PluginManager("ebok")
    manager.add_hookspecs(hooks)
    for plugin in plugins:
        try:
            manager.register(plugin.module, plugin.name)
            manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            reason = str(error).splitlines()[-1].strip() if str(error) else type(error).__name__
            raise PluginError(f"Plugin {plugin.name!r} implements a hook wrongly: {reason}") from error
        for caller in manager.get_hookcallers(plugin.module) or []:
            _check_kind(plugin.name, caller)
    return HookCaller(manager, [plugin.name for plugin in plugins], trace)


def _check_kind(plugin: str, caller: pluggy.HookCaller) -> None:
    spec: Callable[..., object] = getattr(hooks, caller.name)
    expected = inspect.iscoroutinefunction(spec)
    for implementation in caller.get_hookimpls():
        if implementation.plugin_name == plugin and inspect.iscoroutinefunction(implementation.function) != expected:
            kind = "an `async def`" if expected else "a plain `def`"
            raise PluginError(f"Plugin {plugin!r}: the hook {caller.name} must be {kind}.")

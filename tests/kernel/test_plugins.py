"""Plugins: found, ordered, refused with one clear line; their failures stay theirs."""

import types
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import make_mocked_request

from kernel.app import make_registry
from kernel.i18n import _
from kernel.plugin import manager
from kernel.plugin.contracts import Card, Plugin, QueueItem, Service
from kernel.plugin.hooks import hookimpl
from kernel.plugin.manager import PluginError, bundled, describe, enabled_with_requirements, in_order, load


def module(requires: tuple[str, ...] = (), **members: object) -> types.ModuleType:
    made = types.ModuleType("made")
    made.__dict__.update(plugin=Plugin(api=1, requires=requires), **members)
    return made


def ordered(**requirements: tuple[str, ...]) -> list[str]:
    return [p.name for p in in_order({name: describe(name, module(needs)) for name, needs in requirements.items()})]


def test_the_order_follows_what_is_required() -> None:
    assert ordered(c=("b",), a=(), b=("a",)) == ["a", "b", "c"]
    assert ordered(b=(), a=()) == ["b", "a"], "otherwise the configuration's order"


def test_what_comes_after_another_waits_for_it_where_it_is_enabled() -> None:
    late = types.ModuleType("late")
    late.__dict__["plugin"] = Plugin(api=1, after=("early", "absent"))
    loaded = {"late": describe("late", late), "early": describe("early", module())}
    assert [plugin.name for plugin in in_order(loaded)] == ["early", "late"]


def test_a_circle_is_named() -> None:
    with pytest.raises(PluginError, match="a → b → a"):
        ordered(a=("b",), b=("a",))


def test_a_missing_requirement_is_named() -> None:
    with pytest.raises(PluginError, match="'a' requires 'b', which is not enabled"):
        ordered(a=("b",))


def test_an_unknown_plugin_gets_the_nearest_name() -> None:
    with pytest.raises(PluginError, match=r"'paymets' is not installed\. Did you mean 'payments'"):
        load(["paymets"])


def test_a_plugin_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = SimpleNamespace(name="broken", value="no_such_module", module="no_such_module", dist=None)
    monkeypatch.setattr(manager, "installed", lambda: {"broken": broken})
    with pytest.raises(PluginError, match=r"'broken' \(no_such_module\) does not import: ModuleNotFoundError"):
        load(["broken"])


def test_what_requires_a_plugin_is_off_with_it() -> None:
    remaining, why = enabled_with_requirements(bundled(), ["payments"])
    assert why["balances"] == "requires payments, which is off"
    assert "printing" not in remaining
    assert "customers" in remaining


def test_two_services_for_one_port() -> None:
    class Port: ...

    @hookimpl
    def register_services():
        yield Service(Port, Port())

    plugins = [describe(name, module(register_services=register_services)) for name in ("a", "b")]
    with pytest.raises(PluginError, match="another plugin already provides Port"):
        make_registry(plugins)
    only = make_registry(plugins[:1])
    assert isinstance(only.service(Port), Port)
    with pytest.raises(LookupError, match="int"):
        only.service(int)


async def test_a_failing_contribution_blanks_only_its_part_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    @hookimpl
    async def good(request):
        return [Card(_("good"), "a/x.html")]

    @hookimpl
    async def bad(request):
        raise RuntimeError("no luck")

    caller = make_registry(
        [describe("bad", module(customer_cards=bad)), describe("good", module(customer_cards=good))]
    ).hooks
    gathered = await caller.contribute("customer_cards", request=make_mocked_request("GET", "/"))
    assert {c.plugin: c.items and str(c.items[0].label) for c in gathered} == {"bad": None, "good": "good"}
    assert "bad" in caplog.text
    assert "no luck" in caplog.text
    assert caller.timings["bad", "customer_cards"].failures == 1


async def test_an_event_that_fails_is_the_transactions_failure() -> None:
    @hookimpl
    async def on_customer_closing(conn, customer):
        raise RuntimeError("not yet")

    caller = make_registry([describe("strict", module(on_customer_closing=on_customer_closing))]).hooks
    with pytest.raises(RuntimeError, match="not yet"):
        await caller.emit("on_customer_closing", None, customer=1)  # pyright: ignore


async def test_hooks_are_traced_with_their_time(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    caplog.set_level(logging.INFO)

    @hookimpl
    async def queue_items(request):
        return [QueueItem(_("x"), 1, "/")]

    caller = make_registry([describe("a", module(queue_items=queue_items))], trace=True).hooks
    await caller.contribute("queue_items", request=make_mocked_request("GET", "/"))
    assert caller.timings["a", "queue_items"].calls == 1

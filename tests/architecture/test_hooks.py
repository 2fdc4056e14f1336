"""Every hook is documented with its signature and an example that runs."""

import inspect
import re
import types
from datetime import date
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from kernel.app import make_registry
from kernel.plugin import hooks
from kernel.plugin.manager import PluginError, describe
from kernel.web.request import CONN

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
EXAMPLES = dict(re.findall(r"^### (\w+)\n.*?^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M))
SPECS = {
    name: function
    for name, function in vars(hooks).items()
    if inspect.isfunction(function) and hasattr(function, "ebok_spec")
}
COLLECTED = {
    "register_permissions": "permissions",
    "register_routes": "routes",
    "register_navigation": "navigation",
    "register_services": "services",
    "register_extensions": "extensions",
    "register_records": "records",
    "register_sources": "sources",
    "register_exports": "exports",
    "register_archive_rules": "archive_rules",
    "register_customer_fields": "customer_fields",
    "register_jobs": "jobs",
    "register_audit_verbs": "verbs",
    "register_checks": "checks",
    "register_commands": "commands",
    "register_demo": "demos",
}


def as_plugin(code: str) -> types.ModuleType:
    module = types.ModuleType("readings")
    exec(compile(code, str(PAGE), "exec"), module.__dict__)  # noqa: S102
    return module


def test_every_hook_is_documented_and_nothing_else() -> None:
    assert list(EXAMPLES) == list(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_the_page_gives_the_signature_and_the_spec_a_docstring(name: str) -> None:
    signature = f"`{name}({', '.join(inspect.signature(SPECS[name]).parameters)})`"
    assert signature in PAGE.read_text(encoding="utf-8")
    assert inspect.getdoc(SPECS[name])


@pytest.mark.parametrize("name", COLLECTED)
def test_a_declaring_example_is_collected(name: str) -> None:
    before, after = (make_registry(plugins) for plugins in ([], [describe("readings", as_plugin(EXAMPLES[name]))]))
    assert len(getattr(after, COLLECTED[name])) > len(getattr(before, COLLECTED[name]))


@pytest.mark.ebok(plugins=[])
@pytest.mark.parametrize("name", [name for name in SPECS if name not in COLLECTED])
async def test_a_running_example_runs(name: str, conn) -> None:
    caller = make_registry([describe("readings", as_plugin(EXAMPLES[name]))]).hooks
    if name.startswith("on_"):
        event = {
            "customer": 1,
            "acknowledged": False,
            "premises": 2,
            "before": (3,),
            "since": date(2026, 11, 1),
            "carry": True,
        }
        await caller.emit(
            name, conn, **{key: event[key] for key in inspect.signature(SPECS[name]).parameters if key != "conn"}
        )
        return
    request = make_mocked_request("GET", "/")
    request[CONN] = conn
    arguments = {
        "customer": 1,
        "customers": [1],
        "name": "balances.actions",
        "text": "W-1",
        "until": date(2026, 11, 24),
        "days": 12,
    }
    wanted = inspect.signature(SPECS[name]).parameters
    given = {key: value for key, value in arguments.items() if key in wanted}
    (contribution,) = [c for c in await caller.contribute(name, request=request, **given) if c.plugin == "readings"]
    assert contribution.items


def test_a_mistake_stops_the_start_with_one_line_that_names_the_plugin() -> None:
    wrong = {
        "@hookimpl\ndef register_rotues():\n    yield 1": "unknown hook",
        "@hookimpl\ndef register_routes(site):\n    yield 1": "argument",
        "@hookimpl\nasync def register_routes():\n    return []": "plain `def`",
        "@hookimpl\ndef customer_cards(request):\n    return []": "async def",
        "@hookimpl\ndef register_permissions():\n    yield Permission('other.x', _('x'), {Role.ADMIN})": "readings.…",
        "@hookimpl\ndef register_permissions():\n    yield 3": "yields int",
        "@hookimpl\ndef register_permissions():\n    raise OSError('no disk')": "no disk",
        "plugin = Plugin(api=7)": "api 7",
        "plugin = None": "manifest",
    }
    start = "from kernel import Permission, Plugin, Role, _, hookimpl\nplugin = Plugin(api=1)\n"
    for code, expected in wrong.items():
        with pytest.raises(PluginError) as refused:
            make_registry([describe("readings", as_plugin(start + code))])
        message = str(refused.value)
        assert "readings" in message, code
        assert expected in message.lower() or expected in message, (code, message)
        assert "\n" not in message, code

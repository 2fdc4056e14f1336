"""The documentation says what is so: the tutorial's files are the tested ones, commands exist, links lead somewhere."""

import argparse
import re
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kernel
from kernel.app import make_registry, registry_of
from kernel.cli import _parser
from kernel.config import Config
from kernel.plugin.manager import describe
from kernel.site import Site
from plugins.importers.profile import Entity, Head, Rule, read_profile

ROOT = Path(__file__).parents[2]
READINGS = ROOT / "tests" / "plugins_for_tests" / "readings"
sys.path.insert(0, str(READINGS))
import ebok_readings  # noqa: E402

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/**/README.md"))
    if path.is_file()
)
NAMED_BLOCK = re.compile(r"^### `(?P<file>[^`]+)`\n\n```[^\n]*\n(?P<text>.*?)\n```$", re.MULTILINE | re.DOTALL)
CONSOLE_BLOCK = re.compile(r"^```(?:console|sh)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
EBOK = re.compile(r"(?:^|[\s/|])ebok ((?:--[a-z-]+[ =]\S+ )*)([a-z]+)(?: ([a-z]+))?")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"\bmake ([a-z]+)")


def _tutorial_blocks() -> dict[str, str]:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    return {found["file"]: found["text"] for found in NAMED_BLOCK.finditer(text)}


def test_the_tutorial_shows_every_file_of_the_plugin() -> None:
    files = {
        path.relative_to(READINGS).as_posix()
        for path in READINGS.rglob("*")
        if path.is_file() and path.suffix in (".toml", ".py", ".sql", ".html", ".po") and "build" not in path.parts
    }
    assert _tutorial_blocks().keys() == files


@pytest.mark.parametrize("name", sorted(_tutorial_blocks()))
def test_the_tutorial_shows_the_tested_file(name: str) -> None:
    assert _tutorial_blocks()[name] == (READINGS / name).read_text(encoding="utf-8").rstrip("\n")


def _commands() -> dict[str, set[str]]:
    """Every command with its second words."""
    parser = _parser(registry_of(Config()))
    choices = _choices(parser)
    return {name: set(_choices(inner)) for name, inner in choices.items()}


def _choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next(
        (dict(action.choices) for action in parser._actions if isinstance(action, argparse._SubParsersAction)),
        {},
    )


def _written_commands(text: str) -> Iterator[tuple[str, str]]:
    """The ``ebok`` commands in blocks for a terminal (lines a person types) and in words set as code."""
    typed = [
        line.removeprefix("$ ")
        for block in CONSOLE_BLOCK.findall(text)
        for line in block.splitlines()
        if line.startswith("$ ") or "$ " not in block
    ]
    for line in [*typed, *re.findall(r"`(ebok [^`\n]+)`", text)]:
        for found in EBOK.finditer(line.split(" #")[0]):
            yield found[2], found[3] or ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documented_commands_exist(path: Path) -> None:
    known = _commands()
    for command, second in _written_commands(path.read_text(encoding="utf-8")):
        if path.name == "hooks.md" and command == "readings":
            continue
        assert command in known, f"ebok {command}"
        assert not known[command] or second in known[command], f"ebok {command} {second}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documented_targets_exist(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    for code in [*re.findall(r"`([^`\n]+)`", text), *CONSOLE_BLOCK.findall(text)]:
        for target in TARGET.findall(code):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(path: Path) -> None:
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in link and not link.startswith("mailto:"):
            assert (path.parent / link).exists(), link


def test_both_readmes_name_the_two_commands() -> None:
    for name in ("README.md", "README.pl.md"):
        first_screen = "\n".join((ROOT / name).read_text(encoding="utf-8").splitlines()[:30])
        assert "make demo" in first_screen, name
        assert "make test" in first_screen, name


def test_every_plugin_says_what_it_is() -> None:
    modules = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["ebok.plugins"].values()
    missing = [module for module in modules if not (ROOT / module.replace(".", "/") / "README.md").is_file()]
    assert missing == []


def test_the_profile_reference_names_every_key() -> None:
    text = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
    registry = registry_of(Config())
    models = [Head, Entity, Rule, *(source.settings for source in registry.sources.values())]
    models += [record.model for record in registry.records.values()]
    assert [name for model in models for name in model.model_fields if f"`{name}`" not in text] == []


def test_the_documented_profile_fits(tmp_path: Path) -> None:
    """The CSV profile of the reference is accepted as it is written."""
    text = (ROOT / "docs" / "import.md").read_text(encoding="utf-8")
    found = next(found["text"] for found in NAMED_BLOCK.finditer(text) if found["file"] == "ksiegowosc.toml")
    (tmp_path / "ksiegowosc.toml").write_text(found, encoding="utf-8")
    registry = registry_of(Config())
    profile = read_profile(tmp_path / "ksiegowosc.toml", registry.sources, registry.records)
    assert [planned.record.name for planned in profile.entities] == [
        "customers.customer",
        "payments.charge",
        "payments.payment",
    ]


RECIPES = dict(re.findall(r"^### ([^\n]+)\n.*?^```python\n(.*?)^```", ARCHITECTURE, re.DOTALL | re.MULTILINE))
SQL = re.compile(r'"((?:select|insert) [^"]* readings\.reading[^"]*)"')


def _as_plugin(code: str) -> types.ModuleType:
    module = types.ModuleType("readings")
    exec(compile(code, "architecture.md", "exec"), module.__dict__)  # noqa: S102
    return module


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_plugin(name: str) -> None:
    assert make_registry([describe("readings", _as_plugin(RECIPES[name]))]).plugin("readings")


@pytest.mark.ebok(modules={"readings": ebok_readings}, plugins=["customers"])
async def test_the_recipes_statements_prepare(site: Site) -> None:
    statements = [sql for code in RECIPES.values() for sql in SQL.findall(code)]
    statements += _as_plugin(RECIPES["A list"]).READINGS.statements()
    assert len(statements) > 10
    async with site.db.connection() as connection:
        conn: Any = connection
        for statement in statements:
            await conn.fetch(f"prepare the_recipe as {statement}")
            await conn.fetch("deallocate the_recipe")


def test_the_public_names_are_listed() -> None:
    words = set(re.findall(r"[A-Za-z_]+", " ".join(re.findall(r"`([^`]+)`", ARCHITECTURE))))
    assert sorted(set(kernel.__all__) - words) == []


def test_the_floors_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    table = ARCHITECTURE.split("## Floors of the kernel")[1].split("\n## ")[0]
    rows = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in table.splitlines() if line.startswith("| `")]
    assert rows == [re.split(r" \| ", layer) for layer in layers]

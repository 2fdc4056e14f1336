"""What may import what: floors, faces, declared requirements; and rules of the tree that a linter cannot say."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kernel
from kernel.plugin.manager import bundled, load

ROOT = Path(__file__).parents[2]
PLUGINS = {plugin.name: plugin for plugin in load(bundled())}
PUBLIC_API = (Path(__file__).parent / "public_api.txt").read_text(encoding="utf-8").split()


def imports_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, []


def sources(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def test_the_floors_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def owner_of(path: Path) -> str:
    """The plugin that a file belongs to: the deepest package that is one."""
    owners = [plugin for plugin in PLUGINS.values() if path.is_relative_to(plugin.path)]
    return max(owners, key=lambda plugin: len(plugin.path.parts)).name


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_imports_only_faces_of_what_it_requires(name: str) -> None:
    plugin = PLUGINS[name]
    faces = {PLUGINS[needed].module.__name__: PLUGINS[needed].module for needed in plugin.manifest.requires}
    for path in sources(plugin.path):
        if owner_of(path) != name:
            continue
        where = path.relative_to(ROOT)
        for module, names in imports_of(path):
            assert not module.startswith("kernel."), f"{where} reaches into {module}"
            if (
                module.split(".")[0] != "plugins"
                or module.startswith(f"{plugin.module.__name__}.")
                or module == plugin.module.__name__
            ):
                continue
            assert module in faces, f"{where} imports {module}, which {name} does not require (or is not a face)"
            assert set(names) <= set(faces[module].__all__), f"{where} reaches behind the face of {module}"


def test_the_public_api_is_what_was_promised() -> None:
    assert sorted(kernel.__all__, key=str) == sorted(PUBLIC_API, key=str), (
        "kernel.__all__ changed: a name may be added (also to public_api.txt and docs), never removed or renamed"
    )
    assert all(hasattr(kernel, name) for name in kernel.__all__)


def test_importing_the_public_api_is_cheap() -> None:
    heavy = ("fpdf", "argon2", "aiosmtplib", "pgqueuer", "segno", "babel", "zxcvbn")
    code = f"import sys, kernel; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_composition_root_stays_small() -> None:
    assert len((ROOT / "kernel/app.py").read_text(encoding="utf-8").splitlines()) <= 200


def test_no_drawer_for_anything() -> None:
    names = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
    assert not [path for part in ("kernel", "plugins") for path in sources(ROOT / part) if path.stem in names]


def test_plugins_do_nothing_at_import() -> None:
    """A package's ``__init__`` declares: it holds no calls that reach outside at module level."""
    allowed = {"Plugin", "TypeVar"}
    for plugin in PLUGINS.values():
        tree = ast.parse((plugin.path / "__init__.py").read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                pytest.fail(f"{plugin.name} calls something at import, line {node.lineno}")
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
                called = node.value.func
                assert isinstance(called, ast.Name), plugin.name
                assert called.id in allowed, f"{plugin.name} calls {called.id} at import"

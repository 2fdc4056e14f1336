"""Texts: lazy, in the reader's language, with Polish plurals and dates; and nothing left untranslated."""

import ast
import re
from datetime import date
from pathlib import Path

import jinja2
import pytest
from babel.messages.extract import extract_from_dir

from kernel.i18n import _, load_catalogues, long_date, ngettext, plural_index, short_date, speaking
from kernel.money import NBSP, Money
from kernel.plugin.manager import bundled, load

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "kernel", *(plugin.path for plugin in load(bundled()))]


@pytest.fixture(autouse=True)
def catalogues() -> None:
    load_catalogues(PACKAGES)


def test_values_are_shown_in_the_readers_language() -> None:
    due = _("Due on {day}: {amount}", day=date(2026, 12, 10), amount=Money(51240))
    with speaking("en"):
        assert str(due) == f"Due on 10{NBSP}December{NBSP}2026: 512,40{NBSP}zł"


def test_dates() -> None:
    with speaking("pl"):
        assert long_date(date(2026, 12, 10)) == f"10{NBSP}grudnia{NBSP}2026"
    assert short_date(date(2026, 12, 1)) == "01.12.2026"


@pytest.mark.parametrize(("count", "form"), [(1, 0), (2, 1), (5, 2), (12, 2), (22, 1), (112, 2), (0, 2), (21, 2)])
def test_polish_numbers_take_three_forms(count: int, form: int) -> None:
    assert plural_index("pl", count) == form


def test_plural_falls_back_to_english() -> None:
    with speaking("en"):
        assert str(ngettext("{count} oddity", "{count} oddities", 2)) == "2 oddities"


def test_an_unknown_language_is_the_default() -> None:
    with speaking("xx"):
        assert long_date(date(2026, 1, 1)).split(NBSP)[1] == "stycznia"


def _messages(package: Path) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    methods = [("**.py", "python"), ("**.html", "jinja2")]
    keywords = {"_": None, "ngettext": (1, 2)}
    options = {"**.html": {"trimmed": "true", "silent": "false"}}
    for _file, _line, message, _comments, _context in extract_from_dir(
        package, methods, options, keywords=keywords, comment_tags=(), strip_comment_tags=False
    ):
        found.add((message,) if isinstance(message, str) else tuple(message))
    return found


def test_the_polish_is_complete() -> None:
    """Every message of the product has its Polish, with the places for values that the English one has."""
    from kernel import i18n

    polish = i18n._catalogues["pl"]
    missing: list[str] = []
    odd: list[str] = []
    for package, message in [(place, found) for place in PACKAGES for found in _messages(place)]:
        forms = polish.get(message[0], ())
        if len(forms) != (3 if len(message) == 2 else 1):
            missing.append(f"{package.name}: {message}")
        wanted = set(re.findall(r"\{(\w+)\}", message[-1]))
        odd += [f"{package.name}: {form}" for form in forms if not set(re.findall(r"\{(\w+)\}", form)) <= wanted]
    assert not missing, "\n".join(missing)
    assert not odd, "\n".join(odd)


def test_words_that_offices_should_not_use() -> None:
    """Plain words: no «należy», no «uprzejmie», no «błąd» alone."""
    from kernel import i18n

    stiff = re.compile(r"\b(należy (?!do )|uprzejmie|niniejszym|celem|błąd\.?$)", re.IGNORECASE)
    assert not {form for forms in i18n._catalogues["pl"].values() for form in forms if stiff.search(form)}


def test_texts_are_lazy_where_they_are_declared() -> None:
    """No ``str(_(…))`` at module level: it would freeze the language at import."""
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                for call in ast.walk(node) if isinstance(node, ast.Assign | ast.AnnAssign) else ():
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "str":
                        assert not any(isinstance(a, ast.Call) and getattr(a.func, "id", "") == "_" for a in call.args)


def test_templates_compile() -> None:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)
    for folder in [*PACKAGES, ROOT / "themes"]:
        for path in folder.rglob("templates/**/*.html"):
            environment.parse(path.read_text(encoding="utf-8"), filename=str(path))

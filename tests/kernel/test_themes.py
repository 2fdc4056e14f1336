"""Themes: every pair of colours that pages use is legible, and a theme that cannot be used stops the start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kernel.web.themes import SCHEMES, Theme, ThemeError, contrast_ratio, load_theme, stylesheet

DEFAULT = load_theme("default")
CONTRAST = load_theme("contrast")
SCHEME_COLOURS = {
    "light": DEFAULT.colours("light"),
    "dark": DEFAULT.colours("dark"),
    "contrast": CONTRAST.colours("contrast"),
}
TEXT_PAIRS = [
    ("ink", "paper"), ("ink", "ground"), ("ink", "sunken"), ("ink", "brand-soft"),
    ("muted", "paper"), ("muted", "ground"), ("muted", "sunken"), ("muted", "brand-soft"),
    ("brand", "paper"), ("brand", "ground"), ("brand", "sunken"),
    ("brand-strong", "paper"), ("brand-strong", "ground"), ("brand-strong", "brand-soft"),
    ("brand-ink", "brand"), ("brand-ink", "brand-strong"),
    ("due", "paper"), ("due", "ground"), ("due", "due-soft"), ("due", "sunken"),
    ("credit", "paper"), ("credit", "ground"), ("credit", "credit-soft"),
    ("notice", "notice-soft"),
]  # fmt: skip
SHAPE_PAIRS = [("edge", "paper"), ("edge", "ground"), ("focus", "paper"), ("focus", "ground"), ("brand", "paper")]
"""Borders of fields, the focus line and other shapes that carry meaning (WCAG 1.4.11)."""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("pair", TEXT_PAIRS, ids="-on-".join)
def test_text_is_legible(scheme: str, pair: tuple[str, str]) -> None:
    colours = SCHEME_COLOURS[scheme]
    least = 7.0 if scheme == "contrast" else 4.5
    assert contrast_ratio(colours[pair[0]], colours[pair[1]]) >= least


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("pair", SHAPE_PAIRS, ids="-on-".join)
def test_shapes_are_visible(scheme: str, pair: tuple[str, str]) -> None:
    colours = SCHEME_COLOURS[scheme]
    assert contrast_ratio(colours[pair[0]], colours[pair[1]]) >= 3


def test_the_ratio_is_that_of_wcag() -> None:
    assert contrast_ratio("#000000", "#ffffff") == pytest.approx(21)
    assert contrast_ratio("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_every_colour_in_the_style_sheets_is_a_token() -> None:
    used: set[str] = set()
    for sheet in Path("kernel/static/css").glob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        used |= set(re.findall(r"var\(--([a-z0-9-]+)\)", text))
        if sheet.name != "print.css":
            assert not re.findall(r"#[0-9a-fA-F]{3,8}\b", text), f"{sheet.name} has a colour of its own"
    declared = set(SCHEME_COLOURS["light"]) | set(re.findall(r"--([a-z0-9-]+):", stylesheet(DEFAULT)))
    assert used <= declared


def test_schemes_have_the_same_colours() -> None:
    assert set(SCHEME_COLOURS["light"]) == set(SCHEME_COLOURS["dark"]) == set(SCHEME_COLOURS["contrast"])


def test_the_system_and_the_person_both_choose() -> None:
    css = stylesheet(DEFAULT)
    for wish in ("prefers-color-scheme: dark", "prefers-contrast: more"):
        assert f"@media ({wish}) {{ :root:not([data-theme])" in css
    for scheme in SCHEMES:
        assert f':root[data-theme="{scheme}"]' in css


def made(tmp_path: Path, **themes: str) -> Path:
    for name, text in themes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "theme.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_theme_overrides_its_parent(tmp_path: Path) -> None:
    directory = made(tmp_path, mine='name = "mine"\nparent = "default"\n[light]\nbrand = "#123456"\n')
    mine = load_theme("mine", directory)
    assert isinstance(mine, Theme)
    assert mine.colours("light")["brand"] == "#123456"
    assert mine.colours("light")["ink"] == DEFAULT.colours("light")["ink"]
    assert [theme.name for theme in mine.lineage] == ["mine", "default"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "cannot be read"),
        ('[night]\nink = "#000000"\n', "unknown scheme 'night'"),
        ('[light]\nink = "black"\n', "light.ink must be a colour like #0b5c5e"),
        ('parent = "odd"\n', "is its own parent"),
        ('parent = "absent"\n', "There is no theme 'absent'"),
    ],
)
def test_an_unusable_theme_says_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ThemeError, match=re.escape(said)):
        load_theme("odd", made(tmp_path, odd=text))

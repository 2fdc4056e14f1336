"""Themes: colours by scheme and other tokens, compiled into one style sheet, and the templates a theme overrides."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

SCHEMES: Final = ("light", "dark", "contrast")
CONTRAST: Final = "contrast"
"""The theme that is always there beside the operator's: a person chooses it, not the organisation."""

_COLOUR: Final = re.compile(r"#[0-9a-f]{6}")
_HOW_SHOWN: Final = {
    "light": ':root[data-theme="light"]',
    "dark": ':root[data-theme="dark"]',
    "contrast": ':root[data-theme="contrast"]',
}
_BY_SYSTEM: Final = {
    "dark": "(prefers-color-scheme: dark)",
    "contrast": "(prefers-contrast: more)",
}


class ThemeError(Exception):
    """A theme cannot be used; the message is one line for an operator."""


@dataclass(frozen=True, slots=True)
class Theme:
    """A theme's directory with what ``theme.toml`` says; ``parent`` fills what it leaves out."""

    name: str
    path: Path
    schemes: Mapping[str, Mapping[str, str]]
    parent: Theme | None = None

    @property
    def lineage(self) -> Iterator[Theme]:
        """This theme, its parent, the parent's parent …"""
        theme: Theme | None = self
        while theme is not None:
            yield theme
            theme = theme.parent

    def colours(self, scheme: str) -> dict[str, str]:
        """Every colour of a scheme, inherited ones included; empty when no theme of the lineage has the scheme."""
        found: dict[str, str] = {}
        for theme in reversed(list(self.lineage)):
            found.update(theme.schemes.get(scheme, {}))
        return found


def load_theme(name: str, directory: Path | None = None) -> Theme:
    """Read ``<directory>/<name>/theme.toml`` (shipped themes by default) and its parents.

    Raises ThemeError for a missing theme, an unreadable file, an unknown scheme, a colour that is not ``#rrggbb``, or
    a theme among its own parents.
    """
    return _load(name, directory or shipped(), ())


def shipped() -> Path:
    """The directory of the themes that come with the product."""
    return Path(str(files("themes")))


def _load(name: str, directory: Path, children: tuple[str, ...]) -> Theme:
    if name in children:
        raise ThemeError(f"The theme {name!r} is its own parent.")
    path = directory / name
    try:
        stated = tomllib.loads((path / "theme.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        if directory != shipped():
            return _load(name, shipped(), children)
        raise ThemeError(f"There is no theme {name!r}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ThemeError(f"The theme {name!r} cannot be read: {error}") from error
    schemes = {
        key: _colours(name, key, cast("dict[str, Any]", value))
        for key, value in stated.items()
        if isinstance(value, dict)
    }
    parent = stated.get("parent")
    return Theme(name, path, schemes, _load(parent, directory, (*children, name)) if parent else None)


def _colours(theme: str, scheme: str, stated: dict[str, Any]) -> dict[str, str]:
    if scheme not in SCHEMES:
        raise ThemeError(f"The theme {theme!r} has an unknown scheme {scheme!r}: there are {', '.join(SCHEMES)}.")
    for name, colour in stated.items():
        if not (isinstance(colour, str) and _COLOUR.fullmatch(colour)):
            raise ThemeError(f"The theme {theme!r}: {scheme}.{name} must be a colour like #0b5c5e.")
    return stated


def stylesheet(theme: Theme) -> str:
    """The ``tokens`` layer of a theme with the contrast scheme beside it: the system's wish, or the person's choice."""
    contrast = load_theme(CONTRAST)
    colours = {scheme: theme.colours(scheme) for scheme in SCHEMES}
    colours["contrast"] = colours["contrast"] or contrast.colours("contrast")
    rules = [f":root {{ color-scheme: light; {_declarations(colours['light'])} }}"]
    for scheme, wish in _BY_SYSTEM.items():
        rules.append(f"@media {wish} {{ :root:not([data-theme]) {{ {_block(scheme, colours[scheme])} }} }}")
    rules.extend(f"{_HOW_SHOWN[scheme]} {{ {_block(scheme, colours[scheme])} }}" for scheme in SCHEMES)
    lineage = [*reversed(list(theme.lineage)), contrast] if theme.name != CONTRAST else [*reversed(list(theme.lineage))]
    rules.extend(
        (part.path / "tokens.css").read_text(encoding="utf-8")
        for part in lineage
        if (part.path / "tokens.css").exists()
    )
    return "@layer tokens {\n" + "\n".join(rules) + "\n}\n"


def _block(scheme: str, colours: Mapping[str, str]) -> str:
    return f"color-scheme: {'light' if scheme == 'light' else 'dark'}; {_declarations(colours)}"


def _declarations(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


def contrast_ratio(one: str, other: str) -> float:
    """How far two ``#rrggbb`` colours are apart, 1 to 21 (WCAG 2.2, «contrast ratio»)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    def linear(channel: int) -> float:
        part = channel / 255
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

"""Polish and English: lazy texts, catalogues read from ``.po`` files at start, and the language of the moment.

Message ids are English. A text is translated when it is shown, in the language of the request (``speaking``), so a
declaration made at import can be shown in any language. Catalogues of all plugins form one: ids are shared words.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from markupsafe import Markup, escape

from kernel.money import NBSP

LANGUAGES: Final = {"pl": "Polski", "en": "English"}
DEFAULT_LANGUAGE: Final = "pl"

_language: ContextVar[str] = ContextVar("ebok_language", default=DEFAULT_LANGUAGE)
_catalogues: dict[str, Mapping[str, tuple[str, ...]]] = {}
_escaped: dict[tuple[str, str], Markup] = {}
"""Fixed texts of the catalogues, by language and id, ready for pages: a page holds hundreds of them."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text to be translated when it is shown: ``str(text)``, or by the templates.

    ``values`` fill ``{name}`` places after translation: money, dates and other texts appear in the reader's language.
    With ``plural`` and ``count`` the form follows the number (``{count}`` is filled too).
    """

    message: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])
    plural: str | None = None
    count: int = 0

    def __str__(self) -> str:
        forms = _catalogues.get(_language.get(), {}).get(self.message)
        if self.plural is None:
            found = forms[0] if forms else self.message
            return found.format(**_shown(self.values)) if self.values else found
        if forms:
            found = forms[min(plural_index(_language.get(), self.count), len(forms) - 1)]
        else:
            found = self.message if self.count == 1 else self.plural
        return found.format(count=self.count, **_shown(self.values))

    def __html__(self) -> str:
        if self.values or self.plural is not None:
            return escape(str(self))
        key = _language.get(), self.message
        known = _escaped.get(key)
        if known is None:
            known = escape(str(self))
            if self.message in _catalogues.get(key[0], {}):
                _escaped[key] = known
        return known


def _(message: str, /, **values: object) -> Text:
    """Mark ``message`` for translation; ``_("Due on {day}", day=due)``."""
    return Text(message, values)


def ngettext(singular: str, plural: str, count: int, /, **values: object) -> Text:
    """``ngettext("{count} payment", "{count} payments", n)``: the form that the number asks for."""
    return Text(singular, values, plural, count)


def _shown(values: Mapping[str, object]) -> dict[str, object]:
    return {name: shown(value) for name, value in values.items()}


def shown(value: object) -> str:
    """A value as people read it in the language of the moment: dates in words, money with its unit."""
    return long_date(value) if isinstance(value, date) else str(value)


MONTHS: Final[Mapping[str, tuple[str, ...]]] = {
    "pl": (
        *("stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca"),
        *("lipca", "sierpnia", "września", "października", "listopada", "grudnia"),
    ),
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}


def long_date(day: date) -> str:
    """``10 grudnia 2026``, with no-break spaces: for sentences."""
    return f"{day.day}{NBSP}{MONTHS[_language.get()][day.month - 1]}{NBSP}{day.year}"


def short_date(day: date) -> str:
    """``10.12.2026``: for tables, in either language."""
    return f"{day:%d.%m.%Y}"


def plural_index(language: str, count: int) -> int:
    """Which form a number takes: Polish has three (1; 2–4 but not 12–14; others), English two."""
    if language == "pl":
        if count == 1:
            return 0
        return 1 if 2 <= count % 10 <= 4 and not 12 <= count % 100 <= 14 else 2
    return 0 if count == 1 else 1


def language() -> str:
    """The language of the moment: ``pl`` or ``en``."""
    return _language.get()


@contextmanager
def speaking(code: str) -> Generator[None]:
    """Show texts in ``code`` inside the block; an unknown code means the default."""
    token = _language.set(code if code in LANGUAGES else DEFAULT_LANGUAGE)
    try:
        yield
    finally:
        _language.reset(token)


def load_catalogues(packages: Iterable[Path]) -> None:
    """Read ``locale/<language>/LC_MESSAGES/*.po`` of every package, by name; the first translation of an id stands."""
    from babel.messages.pofile import read_po

    loaded: dict[str, dict[str, tuple[str, ...]]] = {code: {} for code in LANGUAGES}
    for package in packages:
        for code, messages in loaded.items():
            for path in sorted((package / "locale" / code / "LC_MESSAGES").glob("*.po")):
                with path.open("rb") as file:
                    for message in read_po(file, locale=code):
                        key = message.id if isinstance(message.id, str) else message.id[0]
                        text = message.string or ""
                        forms = (text,) if isinstance(text, str) else tuple(text)
                        if key and all(forms) and not message.fuzzy:
                            messages.setdefault(key, forms)
    _escaped.clear()
    _catalogues.clear()
    _catalogues.update(loaded)

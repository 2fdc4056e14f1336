"""Printed papers: A4 documents with their own fonts, drawn in a thread.

A document is the same bytes every time it is drawn from the same data, so it can be compared, cached and signed. Its
fonts are embedded and small (``kernel/fonts``). The drawing library is loaded with the first document, in its thread.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from kernel.i18n import language

if TYPE_CHECKING:
    from fpdf import FPDF

_P = ParamSpec("_P")
_T = TypeVar("_T")

A4: Final = (210.0, 297.0)
"""Width and height of the paper, in millimetres."""
SANS: Final = "DejaVuSans"
MONO: Final = "DejaVuSansMono"
DIGITS: Final = "OCRB"
"""OCR-B, which machines read: digits, space, comma, point and hyphen only."""

_FONTS: Final = Path(__file__).with_name("fonts")
_FACES: Final = (
    (SANS, "", "DejaVuSans.ttf"),
    (SANS, "B", "DejaVuSans-Bold.ttf"),
    (MONO, "", "DejaVuSansMono.ttf"),
    (DIGITS, "", "OCRB.ttf"),
)


async def render(draw: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run a function that draws, in a thread and in the language of the moment, so that the event loop goes on."""
    return await asyncio.to_thread(draw, *args, **kwargs)


def new_document(title: str, made: datetime, *, author: str = "", subject: str = "") -> FPDF:
    """An empty A4 document measured in millimetres, without margins and page breaks of its own.

    Title and language are in its metadata, where screen readers look for them. ``made`` (aware) is the date of
    creation that it states. ``add_page()`` before drawing; call only inside ``render``.
    """
    from fpdf import FPDF, ViewerPreferences

    document = FPDF(orientation="portrait", unit="mm", format="A4")
    document.set_auto_page_break(False)
    document.set_margin(0)
    document.c_margin = 0
    document.set_title(title)
    document.set_author(author)
    document.set_subject(subject)
    document.set_creator("ebok")
    document.set_lang({"pl": "pl-PL", "en": "en-GB"}[language()])
    document.set_creation_date(made)
    document.viewer_preferences = ViewerPreferences(display_doc_title=True)
    for family, style, file in _FACES:
        document.add_font(family, style, _FONTS / file)
    return document


def printable(text: str) -> str:
    """The text in signs that the fonts have: an unknown accented letter loses its accent, any other becomes �."""
    return "".join(
        sign if ord(sign) in _repertoire() else _nearest(sign) for sign in unicodedata.normalize("NFC", text)
    )


def _nearest(sign: str) -> str:
    base = unicodedata.normalize("NFKD", sign)[0]
    return base if ord(base) in _repertoire() else "\N{REPLACEMENT CHARACTER}"


@cache
def _repertoire() -> frozenset[int]:
    """What all text fonts have: the fixed-width one has the fewest signs."""
    from fontTools.ttLib import TTFont

    return frozenset(TTFont(_FONTS / "DejaVuSansMono.ttf").getBestCmap() or ())

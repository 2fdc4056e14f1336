"""Make the small fonts that printed forms embed. Run it by hand when the repertoire changes; needs only fontTools.

``python kernel/fonts/make_fonts.py`` reads the Debian packages fonts-dejavu-core and fonts-ocr-b. Subsets load about
twenty times faster than the whole fonts, and a document of one page stays small. Hints, kerning and ligatures are left
out: forms place every letter themselves. OCR-B's cubic outlines become quadratic ones, because PDF embeds TrueType more
simply than OpenType. The licences lie beside the fonts.
"""

# fontTools describes its tables at run time, so there is nothing to check them against.
# pyright: basic, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from pathlib import Path
from typing import Final

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.subset import Options, Subsetter, load_font, save_font

HERE: Final = Path(__file__).parent
DEJAVU: Final = Path("/usr/share/fonts/truetype/dejavu")
OCR_B: Final = Path("/usr/share/fonts/opentype/ocr-b/OCRB.otf")

LATIN: Final = [*range(0x20, 0x7F), *range(0xA0, 0x180), *range(0x218, 0x21C)]
CYRILLIC: Final = [*range(0x400, 0x460), 0x490, 0x491]
SIGNS: Final = [ord(sign) for sign in "–—‘’‚“”„…•€−×✂�"]
DIGITS: Final = [ord(sign) for sign in "0123456789 ,.-"]


def subset(source: Path, target: str, characters: list[int]) -> None:
    """Write the glyphs of ``characters`` to ``target``, byte for byte the same at every run."""
    options = Options(
        hinting=False,
        layout_features=[],
        name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14],
        notdef_outline=True,
        recalc_timestamp=False,
        drop_tables=["GDEF", "GPOS", "GSUB", "kern", "FFTM", "DSIG", "prep", "fpgm", "cvt ", "gasp"],
    )
    font = load_font(str(source), options, dontLoadGlyphNames=True)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    save_font(font, str(HERE / target), options)


def digits(source: Path, target: str, characters: list[int]) -> None:
    """Write the glyphs of ``characters`` of an OpenType font as a small TrueType font."""
    font = load_font(str(source), Options())
    names = {code: name for code, name in font.getBestCmap().items() if code in characters}
    order = [".notdef", *sorted(set(names.values()))]
    drawn = font.getGlyphSet()
    glyphs = {}
    for name in order:
        pen = TTGlyphPen(None)
        drawn[name].draw(Cu2QuPen(pen, max_err=1.0, reverse_direction=True))
        glyphs[name] = pen.glyph()
    head, line = font["head"], font["hhea"]
    made = FontBuilder(head.unitsPerEm, isTTF=True)
    made.setupGlyphOrder(order)
    made.setupCharacterMap(names)
    made.setupGlyf(glyphs)
    made.setupHorizontalMetrics({name: font["hmtx"][name] for name in order})
    made.setupHorizontalHeader(ascent=line.ascent, descent=line.descent)
    made.setupNameTable({"familyName": "OCR-B Digits", "styleName": "Regular"})
    made.setupOS2(sTypoAscender=line.ascent, sTypoDescender=line.descent, usWinAscent=line.ascent, fsType=0)
    made.setupPost()
    made.font["head"].created, made.font["head"].modified = head.created, head.modified
    made.font.recalcTimestamp = False
    made.save(HERE / target)


def main() -> None:
    for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono"):
        subset(DEJAVU / f"{name}.ttf", f"{name}.ttf", LATIN + CYRILLIC + SIGNS)
    digits(OCR_B, "OCRB.ttf", DIGITS)


if __name__ == "__main__":
    main()

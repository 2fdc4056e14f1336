"""A spreadsheet as lines of JSON: ``python sheets.py FILE MEGABYTES HEADER_LINE [SHEET]``.

A process of its own, because the reader holds a whole sheet as a rectangle: two cells far apart can ask for more memory
than there is, and then it is this process that ends. The first line names the sheets with their columns; where a sheet
was asked for, lists of its rows follow: texts, numbers, true and false as they are, a day as ``["2026-11-24"]``, a
moment with its time.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from itertools import chain, islice
from typing import Any, Final

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

UNREADABLE: Final = 3
TOO_LARGE: Final = 4
"""What the process ends with, besides 0."""

_ROWS: Final = 500
_ABOVE: Final = 50
"""How many lines may stand above a header that is looked for."""


def main(path: str, megabytes: int, header_line: int, sheet: str | None = None) -> int:
    """Print the file; the exit code. ``header_line`` is 0 when the header is to be found."""
    _limit(megabytes)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                if sum(part.file_size for part in packed.infolist()) > megabytes << 20:
                    return TOO_LARGE
        with CalamineWorkbook.from_path(path) as book:  # pyright: ignore[reportUnknownMemberType]
            if sheet is None:
                _say({name: _opened(book.get_sheet_by_name(name), header_line)[0] for name in book.sheet_names})
                return 0
            names, rows = _opened(book.get_sheet_by_name(sheet), header_line)
            _say({sheet: names})
            while batch := list(islice(rows, _ROWS)):
                _say([[_shown(cell) for cell in row[: len(names)]] for row in batch])
    except MemoryError:
        return TOO_LARGE
    except (CalamineError, zipfile.BadZipFile, OSError, ValueError) as error:
        sys.stderr.write(str(error))
        return UNREADABLE
    return 0


def _limit(megabytes: int) -> None:
    """No more memory than a file of that size can rightly need; where the system knows no limits there is none."""
    with suppress(ImportError):
        import resource

        most = (4 * megabytes + 256) << 20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _opened(sheet: CalamineSheet, header_line: int) -> tuple[list[str], Iterator[Sequence[Any]]]:
    """The names in the header, and the rows below it. A sheet without any text has no names."""
    rows = sheet.iter_rows()
    first = list(islice(rows, header_line or _ABOVE))
    place = header_line - 1 if header_line else _header(first)
    if not 0 <= place < len(first):
        return [], iter(())
    names = [_name(cell) for cell in first[place]]
    while names and not names[-1]:
        names.pop()
    return names, (row for row in chain(first[place + 1 :], rows) if any(cell != "" for cell in row))


def _header(rows: Sequence[Sequence[Any]]) -> int:
    """The first row with the most texts: names stand over all columns, remarks above them over few."""
    texts = [sum(isinstance(cell, str) and cell.strip() != "" for cell in row) for row in rows]
    return texts.index(max(texts)) if any(texts) else -1


def _name(cell: object) -> str:
    return " ".join(str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell).split())


def _shown(cell: object) -> object:
    """A cell for JSON: whole numbers, which spreadsheets keep as fractions, are whole again."""
    match cell:
        case float():
            return int(cell) if cell.is_integer() and abs(cell) < 2**53 else cell
        case datetime():
            return [cell.isoformat(" ")]
        case date():
            return [cell.isoformat()]
        case bool() | int() | str():
            return cell
        case _:
            return str(cell)


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]))

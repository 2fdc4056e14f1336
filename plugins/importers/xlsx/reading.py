"""Reading spreadsheets (XLSX, XLSM, XLS, XLSB, ODS): a sheet is a table, its header names the columns."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field

from kernel import RawRow, SourceError, _
from plugins.importers import SourcePath
from plugins.importers.xlsx import sheets

_LINE: Final = 1 << 28
"""The longest line that the reading process may say: five hundred rows with long texts."""


class Settings(BaseModel):
    """``[source] kind = "xlsx"``: the file; the line of the header, where it is not found by itself; and how many
    megabytes it may hold unpacked, because a small file can unpack to any size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: SourcePath
    header_line: int = Field(default=0, ge=0, le=10_000)
    max_megabytes: int = Field(default=300, ge=1, le=100_000)


async def discover(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The sheets with the names in their headers. Raises SourceError."""
    async with _reading(settings) as lines:
        return {name: columns async for said in lines for name, columns in said.items()}


async def stream(settings: Settings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The rows of a sheet, five hundred at a time. Raises SourceError."""
    async with _reading(settings, query) as lines:
        said = cast("Mapping[str, list[str]]", await anext(lines, None) or {})
        names = _checked(settings.path, said.get(query, []))
        async for rows in lines:
            yield [dict(zip(names, map(_value, row), strict=False)) for row in rows]


def _checked(path: Path, names: list[str]) -> list[str]:
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise SourceError(str(_("{path} names the column «{name}» twice.", path=path, name=twice)))
    if not names:
        raise SourceError(str(_("{path} has no header: a line must name the columns.", path=path)))
    return names


def _value(cell: Any) -> object:
    if not isinstance(cell, list):
        return cell
    written = str(cell[0])  # type: ignore[reportUnknownArgumentType]
    return datetime.fromisoformat(written) if " " in written else date.fromisoformat(written)


@asynccontextmanager
async def _reading(settings: Settings, *sheet: str) -> AsyncGenerator[AsyncIterator[Any]]:
    """What the process of ``sheets`` says, line by line. Raises SourceError with its reason."""
    path: Path = settings.path
    if not await asyncio.to_thread(path.is_file):
        raise SourceError(str(_("There is no file {path}", path=path)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        sheets.__file__,
        str(path),
        str(settings.max_megabytes),
        str(settings.header_line),
        *sheet,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE,
    )
    try:
        yield _said(process, settings)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _said(process: asyncio.subprocess.Process, settings: Settings) -> AsyncIterator[Any]:
    assert process.stdout is not None  # noqa: S101  (they are pipes)
    assert process.stderr is not None  # noqa: S101
    async for line in process.stdout:
        yield json.loads(line)
    reason = (await process.stderr.read()).decode(errors="replace").strip()
    match await process.wait():
        case 0:
            return
        case sheets.UNREADABLE:
            raise SourceError(
                str(_("{path} cannot be read as a spreadsheet: {reason}", path=settings.path, reason=reason))
            )
        case _:
            raise SourceError(
                str(
                    _(
                        "{path} unpacks to more than {limit} MB, or its cells lie too far apart. Save only the table "
                        "itself, or raise max_megabytes.",
                        path=settings.path,
                        limit=settings.max_megabytes,
                    )
                )
            )

"""``ebok export`` and ``ebok import archive``: what they print, and their exit codes."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from kernel import Argument, Refused, Site, Stamp, Text, _, audit
from plugins.exports import archive, grouping, making, model, store, taking_in
from plugins.exports.archive import Manifest
from plugins.exports.model import FORMATS, Order

ALL: Final = "all"

WHAT = Argument(
    ("what",),
    {"metavar": "WHAT", "help": "customers, entries, balances, open-items, …; «all»: the archive of the organisation"},
)
FORMAT = Argument(("--format",), {"choices": tuple(FORMATS), "default": "csv", "help": "csv unless given"})
AS_OF = Argument(("--as-of",), {"metavar": "D", "help": "as of this day (YYYY-MM-DD); today unless given"})
WHERE = Argument(
    ("--where",),
    {"metavar": "NAME=VALUE", "action": "append", "default": [], "help": "narrow it: --where customer_no=4711"},
)
OUTPUT = Argument(("--output",), {"type": Path, "metavar": "F", "help": "a file instead of standard output"})
WITH_SECRETS = Argument(
    ("--with-secrets",),
    {"action": "store_true", "help": "with «all»: passwords (hashed), second factors and API tokens too"},
)
ARCHIVE = Argument(("archive",), {"type": Path, "metavar": "F.zip", "help": "what «ebok export all» made"})


async def export(site: Site, arguments: Any) -> int:
    """Write an export. 2 when it is asked for wrongly."""
    if arguments.what == ALL:
        return await _export_all(site, arguments)
    chosen = model.by_word(site.registry.exports, arguments.what)
    if chosen is None:
        words = sorted(model.word_of(one) for one in site.registry.exports.values())
        return _fail(_("There is no such export. There are: {names}", names=", ".join([*words, ALL])), 2)
    typed = dict(one.partition("=")[::2] for one in arguments.where)
    if arguments.as_of is not None:
        days = [one.name for one in chosen.filters if one.kind == "day"]
        if not days:
            return _fail(_("This export is always as of now."), 2)
        typed[days[0]] = arguments.as_of
    known = {one.name for one in chosen.filters} | ({model.GROUP} if chosen.customer else {""})
    if unknown := typed.keys() - known:
        return _fail(_("This export is not narrowed by {names}.", names=", ".join(sorted(unknown))), 2)
    try:
        order = model.ordered(chosen, arguments.format, typed, site.clock.today())
        async with site.db.connection() as conn:
            order = await grouping.within(site, conn, order, typed)
    except Refused as refused:
        return _fail("; ".join(f"{name}: {reason}" for name, reason in refused.errors.items()), 2)
    with _file(arguments.output) as file:
        rows = await _write(site, order, file)
    await _remember(site, order.export.name, rows, order.format)
    return 0


async def _write(site: Site, order: Order, file: IO[bytes]) -> int:
    rows = 0
    async with site.db.transaction(Stamp("export")) as conn:
        await store.hold_still(conn)
        async for content, done in making.made(conn, order, site.clock.zone):
            file.write(content)
            rows = done
        file.flush()
    return rows


async def _export_all(site: Site, arguments: Any) -> int:
    if arguments.output is None:
        return _fail(_("An archive needs a file: --output F.zip"), 2)
    if arguments.as_of is not None or arguments.where:
        return _fail(_("An archive is always whole, as of now."), 2)
    with _file(arguments.output) as file:
        async with site.db.transaction(Stamp("export")) as conn:
            manifest = await archive.write(conn, site, file, _told, with_secrets=arguments.with_secrets)
    await _remember(site, model.COMPLETE, manifest.rows, "archive")
    _say_totals(manifest)
    for plugin in manifest.left_behind:
        _tell(_("Plugin {name} is off: its tables are not in the archive.", name=plugin))
    return 0


async def take_in(site: Site, arguments: Any) -> int:
    """Take an archive into this organisation, which must be new. 1 when it is refused; then nothing has changed."""
    try:
        manifest = await taking_in.take_in(site, arguments.archive, _told)
    except taking_in.NotTaken as refused:
        return _fail(refused.text, 1)
    _say_totals(manifest)
    _tell(_("Taken in and proved: balances, allocations and seals are those of the archive."))
    if not manifest.with_secrets:
        _tell(_("The archive has no passwords. Give the first one with «ebok user password LOGIN»."))
    return 0


@contextmanager
def _file(output: Path | None) -> Generator[IO[bytes]]:
    """Where an export goes: standard output, or a file for its owner's eyes that has its name once it is whole."""
    if output is None:
        yield sys.stdout.buffer
        return
    part = output.with_name(f"{output.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        with part.open("wb") as file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


async def _remember(site: Site, what: str, rows: int, format_: str) -> None:
    async with site.db.transaction(Stamp("export")) as conn:
        await audit(conn, "exports.made", subject=what, what=what, count=rows, format=format_)


async def _told(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r… {done:,} / {total:,} ")
        sys.stderr.flush()


def _say_totals(manifest: Manifest) -> None:
    _tell(_("{rows} rows in {tables} tables", rows=manifest.rows, tables=len(manifest.tables)))
    for table in manifest.tables:
        sums: Mapping[str, int] = table.sums
        if sums:
            _tell(f"  {table.name}: " + ", ".join(f"{name} {amount / 100:,.2f}" for name, amount in sums.items()))


def _tell(text: Text | str) -> None:
    sys.stderr.write(("\r\x1b[K" if sys.stderr.isatty() else "") + f"{text}\n")


def _fail(reason: Text | str, code: int) -> int:
    sys.stderr.write(f"ebok: {reason}\n")
    return code

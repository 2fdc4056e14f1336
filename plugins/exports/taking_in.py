"""An archive taken into an empty organisation: the same rows, numbers and seals, or nothing at all.

The file is not believed: its entries are exactly those that its manifest names, every line is counted and hashed before
anything is written, nothing is unpacked to a disk, and what is larger than it says, or packed tighter than any table
would be, is refused. Then one transaction of the owner empties what migrations had filled, copies every row, puts
references and triggers back, compares counts and sums, and runs every proof of ``ebok verify``. Only then it commits.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pydantic import ValidationError

from kernel import Connection, Finding, Site, Stamp, Text, _, as_owner, audit
from plugins.exports import store
from plugins.exports.archive import FORMAT, MANIFEST, VERSION, Manifest, Plan, TableInArchive, Told, planned

BATCH: Final = 2000
BATCH_BYTES: Final = 8 << 20
LONGEST_LINE: Final = 32 << 20
LARGEST_MANIFEST: Final = 8 << 20
MOST_ENTRIES: Final = 2000
TIGHTEST: Final = 300
"""How many times smaller than itself a table may be packed; rows of a ledger reach about twenty."""
SMALL: Final = 1 << 20
"""Below this size nobody asks how tightly something is packed."""
BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    OverflowError,
)
"""What reading a damaged zip ends in."""
_PLACE: Final = re.compile(r"manifest\.json|tables/[a-z_0-9]+\.[a-z_0-9]+\.jsonl")


class NotTaken(Exception):
    """The archive cannot be taken in; nothing was changed. ``text`` says why."""

    def __init__(self, text: Text) -> None:
        super().__init__(str(text))
        self.text = text


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that was opened: its manifest, checked against what the zip holds."""

    file: Path
    manifest: Manifest

    def lines(self, table: TableInArchive) -> Iterator[list[bytes]]:
        """A table's lines in batches. Raises NotTaken for what is not as the manifest says."""
        damaged = NotTaken(
            _("The archive is damaged: {part} is not what it was when the archive was made.", part=table.name)
        )
        proof, rows, size, batch, filled = hashlib.sha256(), 0, 0, list[bytes](), 0
        try:
            with zipfile.ZipFile(self.file) as opened, opened.open(table.entry) as entry:
                while line := entry.readline(LONGEST_LINE):
                    rows, size, filled = rows + 1, size + len(line), filled + len(line)
                    if size > table.bytes or rows > table.rows or not line.endswith(b"\n"):
                        raise damaged
                    proof.update(line)
                    batch.append(line[:-1])
                    if len(batch) == BATCH or filled >= BATCH_BYTES:
                        yield batch
                        batch, filled = [], 0
        except BROKEN as error:
            raise damaged from error
        if (rows, size, proof.hexdigest()) != (table.rows, table.bytes, table.sha256):
            raise damaged
        if batch:
            yield batch


def opened(file: Path) -> Archive:
    """Look at an archive without believing it. Raises NotTaken."""
    no_archive = NotTaken(_("This is no archive of ebok, or it is cut off."))
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            for entry in entries:
                _check_entry(entry)
            if len(entries) > MOST_ENTRIES or sum(one.filename == MANIFEST for one in entries) != 1:
                raise no_archive
            with archive.open(MANIFEST) as opened_manifest:
                manifest = _read(opened_manifest)
    except BROKEN as error:
        raise no_archive from error
    told = {MANIFEST, *(table.entry for table in manifest.tables)}
    if len(told) != len(manifest.tables) + 1 or sorted(told) != sorted(one.filename for one in entries):
        raise NotTaken(_("The archive is damaged: it does not hold what its manifest names."))
    return Archive(file, manifest)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    """Names that only the writer gives, no secrets, nothing that grows out of all proportion."""
    bomb = entry.file_size > SMALL and entry.file_size > TIGHTEST * max(entry.compress_size, 1)
    packed = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if not _PLACE.fullmatch(entry.filename) or entry.flag_bits & 1 or not packed or bomb:
        raise NotTaken(
            _("The archive holds something that no archive of ebok holds: {part}.", part=entry.filename[:100])
        )
    if entry.filename == MANIFEST and entry.file_size > LARGEST_MANIFEST:
        raise NotTaken(_("This is no archive of ebok, or it is cut off."))


def _read(file: IO[bytes]) -> Manifest:
    content = file.read(LARGEST_MANIFEST + 1)
    newer = NotTaken(_("A newer version of ebok made this archive. Install it here first."))
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        if b'"ebok-archive"' in content and f'"version": {VERSION}'.encode() not in content:
            raise newer from error
        raise NotTaken(_("This is no archive of ebok, or it is cut off.")) from error
    if manifest.format != FORMAT:
        raise NotTaken(_("This is no archive of ebok, or it is cut off."))
    if manifest.version > VERSION:
        raise newer
    return manifest


async def take_in(site: Site, file: Path, told: Told) -> Manifest:
    """Take an archive into an empty organisation. Raises NotTaken; then nothing has changed.

    ``told`` hears how many rows are done: first while they are proved, then while they are written.
    """
    archive = await asyncio.to_thread(opened, file)
    await _prove(archive, told)
    async with as_owner(site, Stamp("archive", "superadmin", superadmin_mode=True)) as conn:
        await store.lock(conn)
        plan = await planned(conn, site, with_secrets=archive.manifest.with_secrets)
        await _check_fits(conn, site, archive.manifest, plan)
        await _check_empty(conn, plan)
        await _copy(conn, archive, plan, told)
        await _verify(conn, site)
        # Numbers are not taken back by a transaction that fails: they come last.
        known = await store.sequences(conn, plan.schemas)
        await store.count_on(conn, {name: last for name, last in archive.manifest.sequences.items() if name in known})
        await audit(
            conn,
            "exports.taken_in",
            organisation=archive.manifest.organisation,
            made_at=archive.manifest.made_at,
            count=archive.manifest.rows,
        )
    return archive.manifest


async def _prove(archive: Archive, told: Told) -> None:
    done = 0
    for table in archive.manifest.tables:
        batches = archive.lines(table)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            done += len(batch)
            await told(done, 2 * archive.manifest.rows)


async def _check_fits(conn: Connection, site: Site, manifest: Manifest, plan: Plan) -> None:
    """The tables here are exactly those that the archive was made from."""
    here = {(row["plugin"], row["file"]): row["checksum"] for row in await store.migrations(conn)}
    theirs = {(one.plugin, one.file): one.checksum for one in manifest.migrations}
    off = {plugin for plugin, _file in theirs} - {plugin.name for plugin in site.registry.plugins}
    if off:
        raise NotTaken(_("The archive has data of plugins that are off here: {names}.", names=", ".join(sorted(off))))
    unknown = sorted(f"{plugin}/{file}" for (plugin, file), sum_ in theirs.items() if here.get((plugin, file)) != sum_)
    if unknown:
        raise NotTaken(
            _("A newer version of ebok made this archive ({made}): {file} is not known here.",
              made=manifest.ebok, file=unknown[0])
        )  # fmt: skip
    concerned = {plugin for plugin, _file in theirs}
    missing = sorted(f"{plugin}/{file}" for plugin, file in here.keys() - theirs.keys() if plugin in concerned)
    if missing:
        raise NotTaken(
            _("An older version of ebok made this archive ({made}). Take it in with that version, then run «ebok"
              " migrate».", made=manifest.ebok)
        )  # fmt: skip
    columns = {table.name: set(table.columns) for table in plan.tables}
    for table in manifest.tables:
        if not set(table.columns) <= columns.get(table.name, set()):
            raise NotTaken(_("The archive is damaged: it does not hold what its manifest names."))


async def _check_empty(conn: Connection, plan: Plan) -> None:
    names = [table.name for table in plan.tables if not plan.rule(table.name).seeded]
    filled = await store.filled(conn, names)
    if filled:
        raise NotTaken(
            _("This organisation is not empty ({tables}). An archive is taken into a new one only.",
              tables=", ".join(filled[:5]))
        )  # fmt: skip


async def _copy(conn: Connection, archive: Archive, plan: Plan, told: Told) -> None:
    every = [table.name for table in await store.tables(conn, plan.schemas)]
    kept = [name for name in every if name.startswith("kernel.") and plan.rule(name).left_out and name not in _EMPTIED]
    filled = [name for name in every if name not in kept]
    references = await store.loosen(conn, filled)
    await store.empty(conn, filled)
    done = archive.manifest.rows
    for table in archive.manifest.tables:
        batches = archive.lines(table)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            with _refusing(table.name):
                done += await store.take_rows(conn, table.name, table.columns, batch)
            await told(done, 2 * archive.manifest.rows)
    with _refusing(_("references")):
        await store.tighten(conn, filled, references)
    for table in archive.manifest.tables:
        if await store.totals(conn, table.name, list(table.sums)) != {"rows": table.rows, **table.sums}:
            raise NotTaken(
                _("The archive is damaged: rows or sums of {part} are not what its manifest says.", part=table.name)
            )


_EMPTIED: Final = ("kernel.session", "kernel.known_device", "kernel.reset_link", "kernel.idempotency_key")
"""What belongs to the people who were here before: it stays behind, and it does not stay."""


@contextmanager
def _refusing(part: str | Text) -> Generator[None]:
    """Turn what the database refuses into a reason; any other error goes on."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "sqlstate"):
            raise
        raise NotTaken(
            _("The archive is damaged: a row of {part} is refused ({reason}).", part=part, reason=str(error))
        ) from error


async def _verify(conn: Connection, site: Site) -> None:
    for check in site.registry.checks.values():
        if "verify" in check.when:
            async for found in check.run(conn):
                if isinstance(found, Finding) and found.fatal:
                    raise NotTaken(
                        _("What the archive holds is not in order: {check}: {finding}", check=check.label,
                          finding=found.message)
                    )  # fmt: skip

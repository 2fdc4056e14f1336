"""The profiles that there are: files in the operator's directory, and those made in the console.

A profile of the console is written by a clerk, so it reads no file of the server outside the operator's directory and
no variable but those made for imports; a file comes with the run instead.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

from kernel import Connection, Site, Text
from plugins.importers import store
from plugins.importers.profile import Place, Profile, ProfileError, parse_profile, read_profile, reads_file

NO_FILE: Final = "(file)"
"""Stands in the place of a file that comes with the run."""


@dataclass(frozen=True, slots=True)
class Known:
    """A profile that may be run. ``text`` is None for one of the operator's; ``problem`` says why it cannot be used."""

    name: str
    title: str
    path: Path | None = None
    text: str | None = None
    profile: Profile | None = None
    problem: Text | None = None

    @property
    def takes_file(self) -> bool:
        """Whether a file may come with the run."""
        return self.profile is not None and reads_file(self.profile.source)

    @property
    def needs_file(self) -> bool:
        """Whether a file has to come with the run."""
        return self.takes_file and self.path is None and "path" not in source_table(self.text or "")


def directory(site: Site) -> Path | None:
    """Where the operator keeps profiles: ``[settings.importers] directory`` of ebok.toml; None without one."""
    named = site.defaults.get("importers", {}).get("directory")
    return Path(str(named)).expanduser() if named else None


def source_table(text: str) -> Mapping[str, Any]:
    """The ``[source]`` of a profile's text; empty when there is none."""
    return _table(text, "source")


def head_of(text: str) -> Mapping[str, Any]:
    """The ``[profile]`` of a profile's text; empty when there is none."""
    return _table(text, "profile")


def _table(text: str, name: str) -> Mapping[str, Any]:
    try:
        found: object = tomllib.loads(text).get(name)
    except tomllib.TOMLDecodeError:
        return {}
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


async def known(site: Site, conn: Connection) -> list[Known]:
    """Every profile, the operator's first."""
    kept = await store.profiles(conn)
    return [*of_directory(site), *(_of_text(site, row["name"], row["title"], row["text"]) for row in kept)]


async def find(site: Site, conn: Connection, name: str) -> Known | None:
    """A profile by its name, or None."""
    for one in of_directory(site):
        if one.name == name:
            return one
    kept = await store.kept_profile(conn, name)
    return _of_text(site, kept.name, kept.title, kept.text) if kept else None


def check_text(site: Site, name: str, text: str) -> Profile:
    """A profile of the console as it will be used. Raises ProfileError with the line."""
    upload = None if "path" in source_table(text) else Path(NO_FILE)
    return _parsed(site, name, text, upload)


@asynccontextmanager
async def opened(site: Site, one: Known, upload: tuple[str, bytes] | None) -> AsyncGenerator[Profile]:
    """The profile ready to be read, with the run's file where there is one. Raises ProfileError."""
    async with unpacked(upload) as path:
        yield _ready(site, one, path)


@asynccontextmanager
async def unpacked(upload: tuple[str, bytes] | None) -> AsyncGenerator[Path | None]:
    """An uploaded file in a directory of its own that nobody else may read."""
    if upload is None:
        yield None
        return
    with TemporaryDirectory(prefix="ebok-import-") as place:
        path = Path(place) / (Path(upload[0].replace("\\", "/")).name or "plik")
        await asyncio.to_thread(path.write_bytes, upload[1])
        yield path


def _ready(site: Site, one: Known, upload: Path | None) -> Profile:
    if one.path is None:
        return _parsed(site, one.name, one.text or "", upload)
    sources, records = site.registry.sources, site.registry.records
    if upload is None:
        return read_profile(one.path, sources, records)
    place = Place(one.path.resolve().parent, upload=upload)
    return parse_profile(one.path.read_text(encoding="utf-8"), one.path.name, place, sources, records)


def _parsed(site: Site, name: str, text: str, upload: Path | None) -> Profile:
    place = Place(directory(site), confined=True, upload=upload)
    profile = parse_profile(text, name, place, site.registry.sources, site.registry.records)
    return replace(profile, head=profile.head.model_copy(update={"name": name}))


def of_directory(site: Site) -> list[Known]:
    """The operator's profiles."""
    place = directory(site)
    if place is None or not place.is_dir():
        return []
    found: list[Known] = []
    for path in sorted(place.glob("*.toml")):
        try:
            profile = read_profile(path, site.registry.sources, site.registry.records)
        except ProfileError as error:
            found.append(Known(path.stem, path.name, path, problem=error.text))
        else:
            found.append(Known(profile.head.name, profile.head.title, path, profile=profile))
    return found


def _of_text(site: Site, name: str, title: str, text: str) -> Known:
    try:
        return Known(name, title, text=text, profile=check_text(site, name, text))
    except ProfileError as error:
        return Known(name, title, text=text, problem=error.text)

"""What an organisation decides for itself: one model per plugin, edited in the console, kept in its database.

``settings_of`` answers from the process's memory. ``fresh`` is awaited before work starts (a request, a job): it reads
the database only when what is in memory is older than ``TTL``, was just changed by this process, or was announced as
changed by another one on ``CHANNEL``. The first values come from ``[settings.<plugin>]`` of ``ebok.toml``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, LiteralString, TypeVar, cast
from weakref import WeakKeyDictionary

import structlog
from pydantic import BaseModel, Field, SecretStr, ValidationError

from kernel.audit import audit
from kernel.db.connection import Connection
from kernel.db.pool import Database
from kernel.fields import Line, Nip
from kernel.i18n import LANGUAGES, _
from kernel.plugin.contracts import Verb

if TYPE_CHECKING:
    from kernel.site import Site

_log = structlog.get_logger("ebok.settings")
_M = TypeVar("_M", bound=BaseModel)

TTL: Final = 5.0
"""Seconds for which another process's change may go unseen where no notification arrives."""
CHANNEL: Final = "ebok_settings"
_UNCOMMITTED: Final = 2.0
"""What this process read less than this many seconds after its own change is stale: it may not have been committed."""

ALL_SQL: Final[LiteralString] = "select plugin, value from kernel.setting"
ONE_SQL: Final[LiteralString] = "select value from kernel.setting where plugin = $1 for update"
SAVE_SQL: Final[LiteralString] = """
insert into kernel.setting (plugin, value) values ($1, $2)
on conflict (plugin) do update set value = excluded.value, updated_at = now(), updated_by = excluded.updated_by
"""
ANNOUNCE_SQL: Final[LiteralString] = "select pg_notify('ebok_settings', $1)"


"""A Polish tax number (NIP), or nothing: a setting that is printed or told to a bank."""

"""One line of text of a setting."""


class OrganisationSettings(BaseModel):
    """Who the organisation is: shown on pages, printed on letters and payment orders."""

    name: Line = Field(default="ebok", min_length=1, title="Name", description="As customers know the organisation.")
    legal_name: Line = Field(default="", title="Full name", description="The payee's name on payment orders.")
    street: Line = Field(default="", title="Street and number")
    city: Line = Field(default="", title="Postal code and town")
    nip: Nip = Field(default="", title="NIP")
    email: Line = Field(default="", title="E-mail", json_schema_extra={"input": "email"})
    phone: Line = Field(default="", title="Telephone")
    language: Literal["pl", "en"] = Field(
        default="pl",
        title="Language",
        description="For letters and for visitors who have not chosen one.",
        json_schema_extra={"options": {**LANGUAGES}},
    )

    @property
    def payee_name(self) -> str:
        """The full name, or the short one where no full one is set."""
        return self.legal_name or self.name


@dataclass(slots=True)
class _Kept:
    values: Mapping[str, BaseModel] = field(default_factory=dict[str, BaseModel])
    read_at: float = float("-inf")


_kept: WeakKeyDictionary[Database, _Kept] = WeakKeyDictionary()
_changed_at = float("-inf")


def model_of(site: Site, plugin: str) -> type[BaseModel]:
    """The settings model of an enabled plugin. Raises LookupError when there is none."""
    if plugin == "kernel":
        return OrganisationSettings
    loaded = site.registry.plugin(plugin)
    if loaded is None or loaded.manifest.settings is None:
        raise LookupError(f"plugin {plugin!r} has no settings")
    return loaded.manifest.settings


def settings_of(site: Site, plugin: str) -> BaseModel:
    """A plugin's settings in this organisation. Raises LookupError when it has none."""
    kept = _kept.get(site.db)
    if kept is not None and plugin in kept.values:
        return kept.values[plugin]
    return _made(site, model_of(site, plugin), plugin, {})


def organisation(site: Site) -> OrganisationSettings:
    """Who the organisation is."""
    return cast(OrganisationSettings, settings_of(site, "kernel"))


async def fresh(site: Site, conn: Connection | None = None) -> None:
    """Make sure that what is in memory is not stale; usually no query. It uses ``conn`` rather than one of its own."""
    kept = _kept.get(site.db)
    now = time.monotonic()
    if kept is None or now - kept.read_at > TTL or kept.read_at < _changed_at + _UNCOMMITTED:
        await load(site, conn)


async def load(site: Site, conn: Connection | None = None) -> None:
    """Read the organisation's settings now."""
    if conn is None:
        async with site.db.connection() as own:
            rows = await own.fetch(ALL_SQL)
    else:
        rows = await conn.fetch(ALL_SQL)
    stored: dict[str, Mapping[str, Any]] = {row["plugin"]: row["value"] for row in rows}
    models: dict[str, type[BaseModel]] = {
        plugin.name: plugin.manifest.settings for plugin in site.registry.plugins if plugin.manifest.settings
    }
    models["kernel"] = OrganisationSettings
    _kept[site.db] = _Kept(
        {name: _made(site, model, name, stored.get(name, {})) for name, model in models.items()}, time.monotonic()
    )


def forget(site: Site) -> None:
    """Read again at the next ``fresh``: a notification on ``CHANNEL`` arrived."""
    _kept.pop(site.db, None)


async def save(site: Site, conn: Connection, plugin: str, model: BaseModel) -> None:
    """Keep a plugin's settings, audited with what changed, in the caller's transaction."""
    global _changed_at
    row = await conn.fetchrow(ONE_SQL, plugin)
    old = _made(site, type(model), plugin, row["value"] if row else {})
    before, after = _plain(old), _plain(model)
    changed = sorted(name for name, value in after.items() if before.get(name) != value)
    if not changed:
        return
    await conn.execute(SAVE_SQL, plugin, after)
    await audit(
        conn,
        "kernel.settings_changed",
        subject=plugin,
        plugin=plugin,
        fields=changed,
        before=old.model_dump(mode="json", include=set(changed)),
        after=model.model_dump(mode="json", include=set(changed)),
    )
    await conn.execute(ANNOUNCE_SQL, plugin)
    _changed_at = time.monotonic()


def _plain(model: BaseModel) -> dict[str, Any]:
    """What the database keeps; unlike what the history shows, secrets are readable in it."""
    secrets = {
        name: value.get_secret_value()
        for name in type(model).model_fields
        if isinstance(value := getattr(model, name), SecretStr)
    }
    return {**model.model_dump(mode="json"), **secrets}


def _made(site: Site, model: type[_M], plugin: str, stored: Mapping[str, Any]) -> _M:
    """Stored values over first ones over defaults; a value that is no longer accepted gives way, logged."""
    values = {**site.defaults.get(plugin, {}), **stored}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}
        _log.warning("settings that are no longer valid are ignored", plugin=plugin, fields=sorted(wrong))
        return model.model_validate({name: value for name, value in values.items() if name not in wrong})


def verbs() -> Iterator[Verb]:
    yield Verb("kernel.settings_changed", _("changed the settings of {plugin}: {fields}"))

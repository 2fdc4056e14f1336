"""An organisation's settings: kept in its database, remembered in the process, changed under audit."""

from __future__ import annotations

import sys
import time
import types
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from kernel import Money, Plugin
from kernel.db.pool import Database, Stamp
from kernel.settings import (
    OrganisationSettings,
    forget,
    fresh,
    load,
    organisation,
    save,
    settings_of,
)
from kernel.site import Site


class Rules(BaseModel):
    limit: Money = Money(1000)
    days: int = 14


rules: Any = types.ModuleType("rules")
rules.plugin = Plugin(api=1, settings=Rules)

pytestmark = pytest.mark.ebok(plugins=[], modules={"rules": rules})


async def change(site: Site, plugin: str, model: BaseModel) -> None:
    async with site.db.transaction(Stamp("1", "superadmin")) as conn:
        await save(site, conn, plugin, model)


def another_process(site: Site) -> Site:
    return Site(site.name, site.hosts, Database(site.db.dsn, size=2), site.registry)


async def test_defaults_then_first_values_then_what_was_saved(site: Site) -> None:
    await load(site)
    assert settings_of(site, "rules") == Rules()
    site.defaults = {"rules": {"days": 21}}
    await load(site)
    assert settings_of(site, "rules") == Rules(days=21)
    await change(site, "rules", Rules(limit=Money(5), days=30))
    await fresh(site)
    assert settings_of(site, "rules") == Rules(limit=Money(5), days=30)


async def test_a_plugin_without_settings_has_none(site: Site) -> None:
    await load(site)
    with pytest.raises(LookupError):
        settings_of(site, "payments")


async def test_a_change_is_audited_with_what_changed(site: Site) -> None:
    await change(site, "kernel", OrganisationSettings(name="SM Przykład"))
    await change(site, "kernel", OrganisationSettings(name="SM Przykład"))
    async with site.db.connection() as conn:
        rows = await conn.fetch("select subject, facts from kernel.audit_log where verb = 'kernel.settings_changed'")
    assert [(row["subject"], row["facts"]["fields"], row["facts"]["after"]) for row in rows] == [
        ("kernel", ["name"], {"name": "SM Przykład"})
    ]


async def test_a_rolled_back_change_is_none(site: Site) -> None:
    with suppress(ZeroDivisionError):
        async with site.db.transaction(Stamp("1")) as conn:
            await save(site, conn, "rules", Rules(days=99))
            await fresh(site)
            raise ZeroDivisionError
    await fresh(site)
    assert settings_of(site, "rules") == Rules()


async def test_what_is_in_memory_costs_no_query_and_a_notification_ends_it(site: Site) -> None:
    other = another_process(site)
    try:
        await change(site, "kernel", OrganisationSettings(name="First"))
        await load(other)
        settings: Any = sys.modules["kernel.settings"]
        settings._changed_at = float("-inf")  # as in a process that changed nothing itself
        before = other.db.statements
        await fresh(other)
        assert other.db.statements == before
        await change(site, "kernel", OrganisationSettings(name="Second"))
        settings._changed_at = float("-inf")
        await fresh(other)
        assert organisation(other).name == "First"
        forget(other)
        await fresh(other)
        assert organisation(other).name == "Second"
    finally:
        await other.db.close()


async def test_a_change_is_seen_at_once_by_its_own_process(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await fresh(site)
    await change(site, "kernel", OrganisationSettings(name="New"))
    moment = time.monotonic() + 3  # the time in which the change might not be committed is over
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    await fresh(site)
    assert organisation(site).name == "New"
    before = site.db.statements
    await fresh(site)
    assert site.db.statements == before


async def test_a_stored_value_that_is_no_longer_valid_gives_way(site: Site) -> None:
    async with site.db.transaction(Stamp("1")) as conn:
        await conn.execute(
            """insert into kernel.setting (plugin, value) values ('rules', '{"days": "many", "limit": "2.00"}')"""
        )
    await load(site)
    assert settings_of(site, "rules") == Rules(limit=Money(200))


def test_a_nip_is_checked() -> None:
    assert OrganisationSettings(nip="123-456-32-18").nip == "1234563218"
    for wrong in ("1234563219", "12345", "١٢٣٤٥٦٣٢١٨"):
        with pytest.raises(ValidationError):
            OrganisationSettings(nip=wrong)

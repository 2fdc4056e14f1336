"""The console's pages of profiles: choosing one, making one without TOML, testing it, running it."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.fields import FieldInfo

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Line,
    Record,
    Refused,
    Request,
    Route,
    Site,
    Source,
    SourceError,
    Text,
    Upload,
    _,
    audit,
    not_found,
    redirect,
)
from plugins.importers import catalogue, engine, jobs, store, writing
from plugins.importers.catalogue import Known
from plugins.importers.labels import FIELDS, SETTINGS
from plugins.importers.model import GoodRow
from plugins.importers.profile import Lines, Place, ProfileError, match_name, reads_file, source_of

CONFIGURE, APPLY, VIEW = "importers.configure", "importers.apply", "importers.view"
PATIENCE: Final = 20.0
"""Seconds that a source has to answer a test."""
_HIDDEN: Final = frozenset({"path", "password_file", "socket", "tls_ca"})


async def profiles(request: Request) -> Mapping[str, Any]:
    """Every profile, with the way to make one."""
    found = await catalogue.known(request[SITE], request[CONN])
    return {"profiles": found, "may_configure": request[ACTOR].may(CONFIGURE)}


# --- one profile ------------------------------------------------------------------------------------------------------


class WithFile(BaseModel):
    """The file that a run reads, where its source is a file."""

    file: Upload | None = None


class StartForm(WithFile):
    """What a person asks for: a run that shows the differences."""


async def profile(request: Request) -> Mapping[str, Any]:
    """A profile: what it reads, its last runs, and what can be done with it."""
    return await _shown(request, await _of_request(request))


async def _shown(request: Request, one: Known) -> Mapping[str, Any]:
    conn = request[CONN]
    records = request[SITE].registry.records
    entities = [
        {
            "label": planned.record.label,
            "record": planned.record.name,
            "place": planned.entity.table or _("a query"),
            "fields": len(planned.entity.fields),
        }
        for planned in (one.profile.entities if one.profile else ())
    ]
    may = request[ACTOR].may
    return {
        "one": one,
        "entities": entities,
        "source": one.profile.source.label if one.profile else None,
        "every": EVERY.get(one.profile.head.every or "") if one.profile else None,
        "runs": await store.runs_of(conn, one.name),
        "records": [(name, record.label) for name, record in records.items()],
        "may_apply": may(APPLY),
        "may_configure": may(CONFIGURE) and one.path is None,
    }


EVERY: Final[Mapping[str, Text]] = {"hour": _("every hour"), "day": _("every day"), "week": _("every week")}


async def start(request: Request, form: StartForm) -> object:
    """Read the source in the background; the run's page shows the differences."""
    one = await _of_request(request)
    if one.profile is None:
        raise Refused(one.problem or _("This profile cannot be used"))
    upload = _upload_of(one, form)
    run = await jobs.start(request[CONN], one.name, one.title, approve=False, upload=upload)
    if run is None:
        raise Refused(_("Another import of this profile is under way. Try again in a moment."))
    await audit(request[CONN], "importers.started", subject=one.name, run=run)
    return redirect(request, "importers.run", run=run)


async def test_page(request: Request) -> Mapping[str, Any]:
    """Trying a profile: nothing is kept."""
    one = await _of_request(request)
    return {"one": one, "peeked": None, "may_apply": request[ACTOR].may(APPLY)}


async def test(request: Request, form: WithFile) -> Mapping[str, Any]:
    """Try the connection and show a few rows as they would be taken over."""
    site = request[SITE]
    async with site.db.connection() as conn:
        one = await _found(site, conn, request.match_info["import_profile"])
        kept = await store.kept_profile(conn, one.name) if one.path is None else None
    upload = _upload_of(one, form, kept)
    try:
        async with asyncio.timeout(PATIENCE), catalogue.opened(site, one, upload) as ready:
            peeked = await engine.peek(ready)
    except TimeoutError:
        raise Refused(_("The source did not answer within {seconds} seconds.", seconds=int(PATIENCE))) from None
    except (ProfileError, engine.ImportFailed) as error:
        raise Refused(error.text) from error
    return {"one": one, "peeked": [_peeked(found) for found in peeked], "may_apply": request[ACTOR].may(APPLY)}


def _peeked(found: engine.Peeked) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    names: list[str] = []
    for row in found.rows:
        values: dict[str, Any] = json.loads(row.data) if isinstance(row, GoodRow) else {}
        names += [name for name in values if name not in names]
        reasons = () if isinstance(row, GoodRow) else row.reasons
        rows.append({"key": row.external_id or "—", "values": values, "reasons": reasons})
    return {"label": found.record.label, "names": names, "rows": rows}


def _upload_of(one: Known, form: WithFile, kept: store.Kept | None = None) -> tuple[str, bytes] | None:
    if form.file is not None and form.file.content:
        if not one.takes_file:
            raise Refused(_("This profile reads a database, it takes no file"), field="file")
        return form.file.filename, form.file.content
    if not one.needs_file:
        return None
    if kept is not None and kept.sample is not None:
        return kept.sample_name, kept.sample
    raise Refused(_("Choose the file to read"), field="file")


async def remove(request: Request) -> object:
    """Forget a profile of the console; what it imported stays."""
    name = request.match_info["import_profile"]
    if not await store.remove_profile(request[CONN], name):
        raise Refused(_("Only profiles made in the console can be deleted here"))
    await audit(request[CONN], "importers.profile_removed", subject=name)
    return redirect(request, "importers.profiles", flash=_("The profile was deleted; what it imported stays"))


# --- making one -------------------------------------------------------------------------------------------------------


class Kind(BaseModel):
    """Where the data are."""

    kind: str = Field("", max_length=40)


class NewForm(BaseModel):
    """A new profile: its title and source; the source's own settings have names that begin with ``s_``."""

    model_config = ConfigDict(extra="allow")

    title: Annotated[Line, StringConstraints(min_length=1, max_length=120)]
    kind: str = Field("", max_length=40)
    file: Upload | None = None


async def new_page(request: Request, query: Kind) -> Mapping[str, Any]:
    """Choose the kind of source, then say where it is."""
    sources = request[SITE].registry.sources
    source = sources.get(query.kind)
    return {
        "sources": [
            {"name": one.name, "label": one.label, "is_file": reads_file(one)}
            for one in sorted(sources.values(), key=reads_file)
        ],
        "source": source,
        "is_file": source is not None and reads_file(source),
        "settings": _settings_of(source) if source else (),
    }


def _settings_of(source: Source) -> list[dict[str, Any]]:
    return [
        {
            "name": f"s_{name}",
            "label": SETTINGS.get(name, name),
            "required": info.is_required(),
            "value": "" if info.is_required() or info.default is None else info.default,
            "type": "password" if name == "password" else "text",
        }
        for name, info in source.settings.model_fields.items()
        if name not in _HIDDEN and _is_plain(info)
    ]


def _is_plain(info: FieldInfo) -> bool:
    return not isinstance(info.default, bool | dict | list | tuple)


async def new(request: Request, form: NewForm) -> object:
    """Keep the profile with its source; what its columns become is the next page."""
    site, conn = request[SITE], request[CONN]
    source = site.registry.sources.get(form.kind)
    if source is None:
        raise Refused(_("Choose where the data are"), field="kind")
    name = writing.name_of(form.title)
    taken = [one.name for one in await catalogue.known(site, conn)]
    if name in taken:
        raise Refused(_("There is a profile of this name already"), field="title")
    if reads_file(source) and (form.file is None or not form.file.content):
        raise Refused(_("Choose a file like those that will be imported"), field="file")
    typed = {key.removeprefix("s_"): str(value).strip() for key, value in (form.model_extra or {}).items()}
    table: dict[str, Any] = {"kind": source.name}
    for key, value in typed.items():
        info = source.settings.model_fields.get(key)
        if value and info is not None and key not in _HIDDEN:
            table[key] = int(value) if value.isdecimal() and len(value) < 10 and info.annotation is int else value
    text = writing.written({"profile": {"name": name, "title": form.title}, "source": table})
    sample = (form.file.filename, form.file.content) if form.file and reads_file(source) else None
    try:
        await _discovered(site, text, sample)
    except (ProfileError, engine.ImportFailed) as error:
        raise Refused(error.text) from error
    await store.add_profile(conn, name, form.title, text, sample)
    await audit(conn, "importers.profile_added", subject=name)
    return redirect(request, "importers.mapping", import_profile=name)


async def _discovered(
    site: Site, text: str, sample: tuple[str, bytes] | None
) -> tuple[Source, Any, Mapping[str, Sequence[str]]]:
    """The tables of a source with their columns. Raises ProfileError, ImportFailed."""
    async with catalogue.unpacked(sample) as path:
        place = Place(catalogue.directory(site), confined=True, upload=path)
        source, settings = source_of(catalogue.source_table(text), place, site.registry.sources, Lines(text))
        try:
            async with asyncio.timeout(PATIENCE):
                return source, settings, await source.discover(settings)
        except TimeoutError:
            raise engine.ImportFailed(
                _("The source did not answer within {seconds} seconds.", seconds=int(PATIENCE))
            ) from None
        except (SourceError, ModuleNotFoundError) as error:
            raise engine.ImportFailed(engine.reason_of(error)) from error


# --- columns ----------------------------------------------------------------------------------------------------------


class Chosen(BaseModel):
    """Which record is being made of which table."""

    record: str = Field("", max_length=80)
    table: str = Field("", max_length=200)


class MappingForm(Chosen):
    """For each field of the record (``c_<field>``) a column, or (``v_<field>``) a value that is always the same."""

    model_config = ConfigDict(extra="allow")

    key: str = Field("", max_length=200)
    version: int = 0


async def mapping_page(request: Request, query: Chosen) -> Mapping[str, Any]:
    """What each column becomes: a table, a kind of record, and a column for each of its fields."""
    site, conn = request[SITE], request[CONN]
    kept = await _kept(request)
    records = site.registry.records
    sample = (kept.sample_name, kept.sample) if kept.sample is not None else None
    problem: Text | None = None
    tables: Mapping[str, Sequence[str]] = {}
    try:
        _source, _settings, tables = await _discovered(site, kept.text, sample)
    except (ProfileError, engine.ImportFailed) as error:
        problem = error.text
    record = records.get(query.record) or next(iter(records.values()), None)
    former = writing.entity_of(kept.text, record.name if record else "")
    table = query.table if query.table in tables else match_name(str(former.get("table", "")), tables) or ""
    table = table or next(iter(tables), "")
    mapped = [name for name in records if writing.entity_of(kept.text, name)]
    known = await catalogue.find(site, conn, kept.name)
    return {
        "own": kept,
        "problem": problem,
        "tables": list(tables),
        "records": [(name, one.label) for name, one in records.items()],
        "record": record,
        "table": table,
        "columns": list(tables.get(table, ())),
        "key": former.get("key", ""),
        "fields": _fields(record, former, tables.get(table, ())) if record else (),
        "mapped": [(name, records[name].label) for name in mapped],
        "is_usable": known is not None and known.profile is not None,
    }


def _fields(record: Record, former: Mapping[str, Any], columns: Sequence[str]) -> list[dict[str, Any]]:
    rules: Mapping[str, Any] = former.get("fields", {})
    found: list[dict[str, Any]] = []
    for name, info in record.model.model_fields.items():
        rule = _rule(rules, name)
        column, value = rule.get("column", ""), rule.get("value", "")
        guess = "" if former else match_name(name, columns) or ""
        found.append(
            {
                "name": name,
                "label": FIELDS.get(name, name),
                "required": info.is_required(),
                "column": match_name(str(column), columns) or guess if column or guess else "",
                "value": value,
                "is_rule": not {"column", "value"} >= set(rule),
            }
        )
    return found


def _rule(rules: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field's rule in its long form; empty without one."""
    rule: Any = rules.get(name, {})
    return {"column": rule} if isinstance(rule, str) else cast("Mapping[str, Any]", rule)


async def map_columns(request: Request, form: MappingForm) -> object:
    """Keep what the columns become, checked as it will be used."""
    site = request[SITE]
    kept = await _kept(request)
    record = site.registry.records.get(form.record)
    if record is None or not form.table:
        raise Refused(_("Choose a table and what its rows become"))
    if not form.key:
        raise Refused(_("Choose the column that tells the rows apart"), field="key")
    typed = {name: str(value).strip() for name, value in (form.model_extra or {}).items()}
    former: Mapping[str, Any] = writing.entity_of(kept.text, record.name).get("fields", {})
    fields: dict[str, Any] = {}
    errors: dict[str, Text] = {}
    for name, info in record.model.model_fields.items():
        column, value, rule = typed.get(f"c_{name}", ""), typed.get(f"v_{name}", ""), _rule(former, name)
        if column:
            fields[name] = rule if rule.get("column") == column and len(rule) > 1 else column
        elif value:
            fields[name] = {"value": value}
        elif "join" in rule:
            fields[name] = rule
        elif info.is_required():
            errors[f"c_{name}"] = _("Choose a column, or write what is always the same")
    if errors:
        raise Refused(errors=errors)
    entity = {"record": record.name, "table": form.table, "key": form.key, "fields": fields}
    text = writing.with_entity(kept.text, record.name, entity)
    try:
        catalogue.check_text(site, kept.name, text)
    except ProfileError as error:
        raise Refused(error.text) from error
    await _write(request, kept, form.version or kept.version, kept.title, text)
    return redirect(
        request, "importers.profile", import_profile=kept.name, flash=_("The profile was saved; now test it")
    )


async def _write(request: Request, kept: store.Kept, version: int, title: str, text: str) -> None:
    if not await store.change_profile(request[CONN], kept.name, version, title, text):
        raise Refused(_("Somebody else changed this profile meanwhile. Open it again in another window and compare."))
    await audit(request[CONN], "importers.profile_changed", subject=kept.name)


# --- as text ----------------------------------------------------------------------------------------------------------


class TextForm(BaseModel):
    """A profile as TOML."""

    text: str = Field(max_length=100_000)
    version: int = 0


async def paste_page(request: Request) -> Mapping[str, Any]:
    """A new profile from text."""
    return {"own": None}


async def paste(request: Request, form: TextForm) -> object:
    """Keep a new profile from text."""
    site, conn = request[SITE], request[CONN]
    name, title = _checked(site, "profile", form.text)
    if name in [one.name for one in await catalogue.known(site, conn)]:
        raise Refused(_("There is a profile of this name already"), field="text")
    await store.add_profile(conn, name, title, form.text, None)
    await audit(conn, "importers.profile_added", subject=name)
    return redirect(request, "importers.profile", import_profile=name, flash=_("The profile was saved; now test it"))


async def text_page(request: Request) -> Mapping[str, Any]:
    """A profile of the console as text."""
    return {"own": await _kept(request)}


async def change_text(request: Request, form: TextForm) -> object:
    """Change a profile of the console as text."""
    kept = await _kept(request)
    name, title = _checked(request[SITE], kept.name, form.text)
    if name != kept.name:
        raise Refused(_("The name of a profile stays as it is: {name}", name=kept.name), field="text")
    await _write(request, kept, form.version or kept.version, title, form.text)
    return redirect(
        request, "importers.profile", import_profile=kept.name, flash=_("The profile was saved; now test it")
    )


def _checked(site: Site, name: str, text: str) -> tuple[str, str]:
    """The name and title that a profile's text gives. Raises Refused at the text, with the line."""
    try:
        found = catalogue.check_text(site, name, text)
    except ProfileError as error:
        raise Refused(error.text, field="text") from error
    return str(tomllib.loads(text)["profile"]["name"]), found.head.title


async def _kept(request: Request) -> store.Kept:
    kept = await store.kept_profile(request[CONN], request.match_info["import_profile"])
    if kept is None:
        raise not_found()
    return kept


async def _of_request(request: Request) -> Known:
    return await _found(request[SITE], request[CONN], request.match_info["import_profile"])


async def _found(site: Site, conn: Any, name: str) -> Known:
    one = await catalogue.find(site, conn, name)
    if one is None:
        raise not_found()
    return one


_ONE: Final = r"/admin/imports/profiles/{import_profile:[a-z0-9_-]+}"
ROUTES: Final = (
    Route("GET", "/admin/imports/profiles", profiles, VIEW, "importers.profiles", template="importers/profiles.html"),
    Route(
        "GET",
        "/admin/imports/new",
        new_page,
        CONFIGURE,
        "importers.new_page",
        query=Kind,
        template="importers/new.html",
    ),
    Route("POST", "/admin/imports/new", new, CONFIGURE, "importers.new", body=NewForm, files=True),
    Route("GET", "/admin/imports/paste", paste_page, CONFIGURE, "importers.paste_page", template="importers/text.html"),
    Route("POST", "/admin/imports/paste", paste, CONFIGURE, "importers.paste", body=TextForm),
    Route("GET", _ONE, profile, VIEW, "importers.profile", template="importers/profile.html"),
    Route("POST", _ONE, start, APPLY, "importers.start", body=StartForm, files=True),
    Route("GET", f"{_ONE}/test", test_page, VIEW, "importers.test_page", template="importers/test.html"),
    Route(
        "POST",
        f"{_ONE}/test",
        test,
        VIEW,
        "importers.test",
        body=WithFile,
        files=True,
        read_only=True,
        template="importers/test.html",
    ),
    Route(
        "GET",
        f"{_ONE}/columns",
        mapping_page,
        CONFIGURE,
        "importers.mapping",
        query=Chosen,
        template="importers/mapping.html",
    ),
    Route("POST", f"{_ONE}/columns", map_columns, CONFIGURE, "importers.map", body=MappingForm),
    Route("GET", f"{_ONE}/text", text_page, CONFIGURE, "importers.text", template="importers/text.html"),
    Route("POST", f"{_ONE}/text", change_text, CONFIGURE, "importers.change_text", body=TextForm),
    Route("POST", f"{_ONE}/remove", remove, CONFIGURE, "importers.remove"),
)

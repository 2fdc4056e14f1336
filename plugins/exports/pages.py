"""The console's pages of exports: what can be taken out, what was made, and the archive of the whole organisation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    Export,
    Filter,
    Listing,
    ListQuery,
    Refused,
    Request,
    Route,
    Row,
    Site,
    Stamp,
    Text,
    _,
    audit,
    confirmed,
    enqueue,
    forbidden,
    listed,
    not_found,
    redirect,
    settings,
)
from plugins.exports import grouping, making, store
from plugins.exports.model import COMPLETE, ENDINGS, FORMATS, GROUP, STATES, TYPES, Order, ordered, words_of
from plugins.exports.settings import Settings
from plugins.exports.store import Made

VIEW: Final = "exports.view"
WHOLE: Final = "exports.complete"
AT_ONCE: Final = 2_000
"""Rows of an export that is made while somebody waits; more are the work of a job."""

_MADE: Final[LiteralString] = """
select id, what, format, state, rows_done, bytes, made_by_name, made_at, kept_until
from exports.made where what = any ($1::text[])"""


def _size(row: Row) -> str:
    return size_of(row["bytes"]) if row["state"] == "ready" else ""


def size_of(count: int) -> str:
    """``1,4 MB``: bytes for people, in thousands."""
    for unit, much in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= much:
            return f"{count / much:.1f} {unit}".replace(".", ",")
    return f"{count} B"


_STATES: Final = {state: Badge(label, tone) for state, (label, tone) in STATES.items()}
_ARCHIVE: Final = _("Archive of the organisation")
MADE: Final = Listing(
    "exports.made",
    _MADE,
    (
        Column("id", _("No."), "number", sort="id", link="exports.one", by={"made_export": "id"}),
        Column("what", _("What"), sort="what", link="exports.one", by={"made_export": "id"}),
        Column("format", _("Format"), show=lambda row: ENDINGS[row["format"]].upper()),
        Column("state", _("State"), "badge", badges=_STATES),
        Column("rows_done", _("Rows"), "number", sort="rows_done"),
        Column("bytes", _("Size"), show=_size),
        Column("made_by_name", _("Made by"), sort='kernel.pl_sort(made_by_name) collate "C"'),
        Column("made_at", _("Made"), "moment", sort="made_at"),
        Column("kept_until", _("Kept until"), "moment"),
    ),
    order="-id",
    filters=(
        Filter("state", _("State"), "state = {0}", options=tuple((name, one[0]) for name, one in STATES.items())),
        Filter("who", _("Made by"), "kernel.pl_sort(made_by_name) like '%' || kernel.pl_sort({0}::text) || '%'"),
    ),
    title_of="what",
)


class MadeQuery(ListQuery):
    """What the list's address may say."""

    state: Literal["", "waiting", "running", "ready", "failed", "cancelled"] = ""
    who: str = Field("", max_length=200)


def _sets(request: Request) -> list[Export]:
    """The exports that the actor may have made."""
    every = request[SITE].registry.exports.values()
    return [one for one in every if request[ACTOR].may(one.permission)]


async def exports(request: Request, query: MadeQuery) -> object:
    """What can be exported, and what was."""
    sets = _sets(request)
    names = [one.name for one in sets] + ([COMPLETE] if request[ACTOR].may(WHOLE) else [])
    labels = {one.name: one.label for one in sets} | {COMPLETE: _ARCHIVE}

    def label(row: Row) -> Text:
        return labels[row["what"]]

    columns = tuple(replace(one, show=label) if one.name == "what" else one for one in MADE.columns)
    return await listed(
        request,
        replace(MADE, columns=columns),
        query,
        args=(names,),
        extra={"sets": sets, "may_archive": request[ACTOR].may(WHOLE), "days": _kept(request).days},
    )


def _kept(request: Request) -> timedelta:
    kept: Settings = settings(request, "exports")
    return timedelta(days=kept.keep_days)


def _asked(request: Request) -> Export:
    """The export in the address. Raises 404 where there is none, 403 where its data may not be seen."""
    export = request[SITE].registry.exports.get(request.match_info["export_set"])
    if export is None:
        raise not_found()
    if not request[ACTOR].may(export.permission):
        raise forbidden(request, export.permission)
    return export


async def asking(request: Request) -> Mapping[str, Any]:
    """The form of one export: its filters and formats."""
    export = _asked(request)
    return {
        "export": export,
        "formats": tuple(FORMATS.items()),
        "days": _kept(request).days,
        "groups": await grouping.offered(request[SITE], request[CONN]) if _has_groups(request, export) else (),
    }


def _has_groups(request: Request, export: Export) -> bool:
    groups = grouping.groups_of(request[SITE])
    return bool(export.customer) and groups is not None and request[ACTOR].may(groups.permission)


class Wanted(BaseModel):
    """A format, and the filters that the export has."""

    model_config = ConfigDict(extra="allow")

    format: Literal["xlsx", "csv-excel", "csv", "json"] = "xlsx"


async def ask(request: Request, form: Wanted) -> object:
    """Make a file: at once when it is small, by a job otherwise."""
    conn, site, user = request[CONN], request[SITE], request[ACTOR].user
    typed = {name: str(value) for name, value in (form.model_extra or {}).items()}
    export = _asked(request)
    order = ordered(export, form.format, typed, site.clock.today())
    if _has_groups(request, export):
        order = await grouping.within(site, conn, order, typed)
    assert user is not None  # noqa: S101  the route needs a permission
    filename = order.filename(site.clock.today())
    number = await store.add(conn, order.export.name, order.format, order.filters, filename, user, _kept(request))
    rows = await making.count(conn, order)
    if rows <= AT_ONCE:
        await _make_now(conn, site, number, order)
    else:
        await enqueue(conn, "exports.make", {"made": number})
    await audit(
        conn,
        "exports.made",
        subject=f"export {number}",
        what=order.export.name,
        count=rows,
        format=order.format,
        filters=", ".join(f"{name}={value}" for name, value in order.filters.items()),
    )
    return redirect(request, "exports.one", made_export=number)


async def _make_now(conn: Any, site: Site, number: int, order: Order) -> None:
    attempt = await store.claim(conn, number)
    assert attempt is not None  # noqa: S101  it was added a moment ago
    place, rows = 0, 0
    async for content, rows in making.made(conn, order, site.clock.zone):
        await store.add_piece(conn, number, attempt, place, content, rows, rows)
        place += bool(content)
    await store.ready(conn, number, attempt, rows)


async def _of_address(request: Request) -> Made:
    """The made file in the address; one whose data the actor may not see does not exist."""
    made = await store.one(request[CONN], int(request.match_info["made_export"]))
    if made is None:
        raise not_found()
    if made.what == COMPLETE:
        needed = WHOLE
    else:
        export = request[SITE].registry.exports.get(made.what)
        needed = export.permission if export else WHOLE
    if not request[ACTOR].may(needed):
        raise not_found()
    return made


async def one(request: Request) -> Mapping[str, Any]:
    """A made file, or how far it has come."""
    made = await _of_address(request)
    export = request[SITE].registry.exports.get(made.what)
    return {
        "made": made,
        "label": export.label if export else _ARCHIVE if made.what == COMPLETE else made.what,
        "words": [*words_of(export, made.filters), *await _group(request, made)] if export else [],
        "format": FORMATS.get(made.format, _ARCHIVE),
        "state": _STATES[made.state],
        "size": size_of(made.bytes),
        "is_complete": made.what == COMPLETE,
        "may_download": made.what != COMPLETE or request[ACTOR].in_superadmin_mode,
    }


async def _group(request: Request, made: Made) -> list[tuple[Text, str]]:
    """The group that a file was narrowed to, in words; its number where it is not there any more."""
    if GROUP not in made.filters:
        return []
    names = dict(await grouping.offered(request[SITE], request[CONN]))
    return [(_("Group"), names.get(made.filters[GROUP], made.filters[GROUP]))]


async def download(request: Request) -> web.StreamResponse:
    """The file, piece by piece; who took it stays in the history."""
    made = await _of_address(request)
    actor, site = request[ACTOR], request[SITE]
    if made.state != "ready":
        raise Refused(_("This file is not ready."))
    if made.what == COMPLETE and not actor.in_superadmin_mode:
        raise forbidden(request, WHOLE)
    stamp = Stamp(str(actor.user), actor.role or "", superadmin_mode=actor.in_superadmin_mode)
    async with site.db.transaction(stamp) as conn:
        await audit(conn, "exports.downloaded", subject=f"export {made.id}", what=made.what, file=made.filename)
    response = web.StreamResponse(
        headers={
            "Content-Type": TYPES[made.format],
            "Content-Disposition": f'attachment; filename="{made.filename}"',
            "Content-Length": str(made.bytes),
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    async for content in _pieces(request, made.id):
        await response.write(content)
    await response.write_eof()
    return response


async def _pieces(request: Request, number: int) -> AsyncIterator[bytes]:
    """One after another; no connection is held while the visitor's line is slow."""
    place = 0
    while True:
        async with request[SITE].db.connection() as conn:
            content = await store.piece(conn, number, place)
        if content is None:
            return
        yield content
        place += 1


async def cancel(request: Request) -> object:
    """Stop the work on a file. One that is done meanwhile stays."""
    made = await _of_address(request)
    if await store.cancel(request[CONN], made.id):
        await audit(request[CONN], "exports.cancelled", subject=f"export {made.id}", what=made.what)
    return redirect(request, "exports.one", made_export=made.id)


async def remove(request: Request) -> object:
    """Delete a file before its time."""
    made = await _of_address(request)
    if await store.remove(request[CONN], made.id):
        await audit(request[CONN], "exports.removed", subject=f"export {made.id}", what=made.what, file=made.filename)
    return redirect(request, "exports.list", flash=_("The file is deleted."))


class ArchiveForm(BaseModel):
    """The password again; with ``with_secrets`` hashed passwords, second factors and tokens go along."""

    with_secrets: bool = False
    password: SecretStr = Field(max_length=4096)


async def archiving(request: Request) -> Mapping[str, Any]:
    """Asks for the complete export."""
    return {"days": _kept(request).days}


async def archive(request: Request, form: ArchiveForm) -> object:
    """Have the archive of the organisation made, after the password was proved again."""
    actor, site = request[ACTOR], request[SITE]
    async with confirmed(request, form.password) as conn:
        assert actor.user is not None  # noqa: S101  proved a moment ago
        filename = f"ebok-{site.name}-{site.clock.today().isoformat()}.zip"
        number = await store.add(
            conn, COMPLETE, "archive", {}, filename, actor.user, _kept(request), with_secrets=form.with_secrets
        )
        await enqueue(conn, "exports.make", {"made": number})
        await audit(conn, "exports.archived", subject=f"export {number}", with_secrets=form.with_secrets)
    return redirect(request, "exports.one", made_export=number)


_ONE: Final = r"/admin/exports/{made_export:\d+}"
_SET: Final = r"/admin/exports/new/{export_set:[\w.]+}"
ROUTES: Final = (
    Route("GET", "/admin/exports", exports, VIEW, "exports.list", query=MadeQuery, template="exports/list.html"),
    Route("GET", _SET, asking, VIEW, "exports.new", template="exports/new.html"),
    Route("POST", _SET, ask, VIEW, "exports.ask", body=Wanted),
    Route("GET", "/admin/exports/complete", archiving, WHOLE, "exports.archiving", template="exports/complete.html"),
    Route("POST", "/admin/exports/complete", archive, WHOLE, "exports.archive", body=ArchiveForm, read_only=True),
    Route("GET", _ONE, one, VIEW, "exports.one", template="exports/one.html"),
    Route("POST", _ONE, download, VIEW, "exports.download", read_only=True),
    Route("POST", f"{_ONE}/cancel", cancel, VIEW, "exports.cancel"),
    Route("POST", f"{_ONE}/remove", remove, VIEW, "exports.remove"),
)

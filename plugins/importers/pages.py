"""The console's pages of imports: the runs, and what one of them found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
    Listing,
    ListQuery,
    Money,
    Record,
    Refused,
    Request,
    Route,
    Row,
    Text,
    _,
    enqueue,
    listed,
    not_found,
    redirect,
)
from plugins.importers import engine, jobs, store
from plugins.importers.labels import named, spoken, told
from plugins.importers.model import EntityReport, Reason, differences

STATES: Final = {
    "queued": Badge(_("waits its turn")),
    "reading": Badge(_("being read")),
    "waiting": Badge(_("waits to be applied"), "notice"),
    "applying": Badge(_("being applied")),
    "applied": Badge(_("applied"), "credit"),
    "reverting": Badge(_("rolling back")),
    "reverted": Badge(_("rolled back whole")),
    "superseded": Badge(_("replaced by a newer one")),
    "stopped": Badge(_("stopped"), "due"),
    "failed": Badge(_("unsuccessful"), "due"),
    "cancelled": Badge(_("cancelled")),
}
UNDER_WAY: Final = frozenset({"queued", "reading", "applying", "reverting"})
PHASES: Final = {
    "reading": _("Reading the source"),
    "comparing": _("Comparing with what was imported before"),
    "applying": _("Applying"),
    "reverting": _("Rolling back"),
}


def _sum_of(kind: str) -> Callable[[Row], object]:
    return lambda row: sum(report[kind] for report in row["report"])


RUNS: Final = Listing(
    name="importers.runs",
    select="select id, title, state, started_at, report from importers.run",
    columns=(
        Column("id", _("Number"), "number", sort="id", link="importers.run", by={"run": "id"}),
        Column("title", _("Source"), link="importers.run", by={"run": "id"}),
        Column("state", _("State"), "badge", badges=STATES),
        Column("started_at", _("Started"), "moment", sort="started_at"),
        Column("new", _("New"), "number", show=_sum_of("new")),
        Column("changed", _("Changed"), "number", show=_sum_of("changed")),
        Column("missing", _("Missing"), "number", show=_sum_of("missing")),
        Column("wrong", _("Wrong"), "number", show=_sum_of("wrong")),
    ),
    order="-id",
    filters=(
        Filter(
            "state", _("State"), "state = {0}", options=tuple((name, badge.label) for name, badge in STATES.items())
        ),
        Filter("title", _("Source"), "title ilike '%' || {0}::text || '%'"),
    ),
    title_of="title",
)


class RunsQuery(ListQuery):
    """The filters of the list of runs."""

    state: (
        Literal[
            "queued",
            "reading",
            "waiting",
            "applying",
            "applied",
            "reverting",
            "reverted",
            "superseded",
            "stopped",
            "failed",
            "cancelled",
        ]
        | None
    ) = None
    title: str = Field("", max_length=120)


async def runs(request: Request, query: RunsQuery) -> object:
    """All runs, the newest first."""
    return await listed(request, RUNS, query)


class View(BaseModel):
    """Which rows of a run are shown, and from which one on."""

    show: Literal["new", "changed", "same", "missing", "wrong"] | None = None
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    record: str = Field("", max_length=80)
    key: str = Field("", max_length=2000)
    """Rows that were the same have no id: they go on after this record and key."""


async def run(request: Request, view: View) -> Mapping[str, Any]:
    """One run: its counts and sums, and the rows behind one of the counts."""
    found = await store.run_of(request[CONN], int(request.match_info["run"]))
    if found is None:
        raise not_found()
    show = view.show or _first_shown(found.reports)
    rows: Sequence[Row] = []
    if show == "wrong":
        rows = await store.bad_rows_page(request[CONN], found.id, view.after)
    elif show == "same":
        rows = await store.same_page(request[CONN], found.profile, found.id, (view.record, view.key))
    elif show is not None:
        rows = await store.differences_page(request[CONN], found.id, show, view.after)
    records = request[SITE].registry.records
    labels = {name: record.label for name, record in records.items()}
    shown = rows[: store.PAGE]
    return {
        "run": found,
        "reason": spoken(found.reason, labels),
        "state": STATES[found.state],
        "reports": [_report(report, labels) for report in found.reports],
        "show": show,
        "rows": [_wrong_row(row, labels) if show == "wrong" else _changed_row(row, records) for row in shown],
        "first": view.after == 0 and not view.record,
        "next": _place_of(shown[-1], show) if len(rows) > store.PAGE else None,
        "may_apply": found.state == "waiting" and request[ACTOR].may(APPLY),
        "may_revert": found.state == "applied"
        and any(report.differs for report in found.reports)
        and request[ACTOR].may(APPLY),
        "is_under_way": found.state in UNDER_WAY,
        "progress": await _progress(request, found),
        "may_cancel": found.state in UNDER_WAY and request[ACTOR].may(APPLY),
    }


def _place_of(row: Row, show: str | None) -> Mapping[str, object]:
    """What the address of the page after this row says."""
    if show == "same":
        return {"show": show, "record": row["record"], "key": row["external_id"]}
    return {"show": show, "after": row["id"]}


async def _progress(request: Request, found: store.Run) -> Mapping[str, Any] | None:
    row = await store.progress_of(request[CONN], found.id) if found.state in UNDER_WAY else None
    if row is None:
        return None
    phase = PHASES.get(row["phase"], STATES[found.state].label)
    return {"phase": phase, "done": row["done"], "total": row["total"], "is_cancelled": row["cancel"]}


async def apply(request: Request) -> object:
    """Have a run that waits applied in the background."""
    conn, number = request[CONN], int(request.match_info["run"])
    found = await store.run_of(conn, number)
    if found is None:
        raise not_found()
    if not await store.move(conn, number, "waiting", "applying"):
        raise Refused(_("This import no longer waits: it was applied, or a newer one took its place."))
    await enqueue(conn, jobs.KIND, {"run": number})
    return redirect(request, "importers.run", run=number)


async def cancel(request: Request) -> object:
    """Ask a run to stop: nothing of it stays."""
    number = int(request.match_info["run"])
    if not await store.cancel(request[CONN], number):
        raise Refused(_("Nothing of this import is under way any more"))
    return redirect(request, "importers.run", flash=_("The import will stop; nothing of it stays"), run=number)


async def revert_page(request: Request) -> Mapping[str, Any]:
    """What rolling a run back would do, before it is done."""
    found = await store.run_of(request[CONN], int(request.match_info["run"]))
    if found is None:
        raise not_found()
    records = request[SITE].registry.records
    labels = {name: record.label for name, record in records.items()}
    reason: Text | None = None
    try:
        await engine.check_revertible(request[CONN], records, found)
    except Refused as refused:
        reason = next(iter(refused.notes), None)
    if found.state != "applied":
        reason = _("Only an import that was applied can be rolled back")
    return {"run": found, "reports": [_report(report, labels) for report in found.reports], "reason": reason}


class RevertForm(BaseModel):
    """``acknowledged``: rows that people changed since stay as they are."""

    acknowledged: bool = False


async def revert(request: Request, form: RevertForm) -> object:
    """Have an applied run rolled back in the background."""
    conn, number = request[CONN], int(request.match_info["run"])
    found = await store.run_of(conn, number)
    if found is None:
        raise not_found()
    await engine.check_revertible(conn, request[SITE].registry.records, found)
    if found.kept_count and not form.acknowledged:
        raise Refused(_("Say that rows which people have changed stay as they are"), field="acknowledged")
    if await store.under_way(conn, found.profile):
        raise Refused(_("Another import of this profile is under way. Try again in a moment."))
    if not await store.move(conn, number, "applied", "reverting"):
        raise Refused(_("Only an import that was applied can be rolled back"))
    await enqueue(conn, jobs.KIND, {"run": number, "acknowledged": form.acknowledged})
    return redirect(request, "importers.run", run=number)


def _first_shown(reports: Sequence[EntityReport]) -> str | None:
    """The most interesting rows that there are: wrong before missing before changed before new."""
    kinds = ("wrong", "missing", "changed", "new")
    return next((kind for kind in kinds if any(getattr(report, kind) for report in reports)), None)


def _report(report: EntityReport, labels: Mapping[str, Text]) -> dict[str, Any]:
    sums = report.sums
    money = bool(sums.get("source") or sums.get("missing"))
    return {
        "label": labels.get(report.record, report.record),
        "counts": report,
        "money": {
            "source": Money(sums["source"]),
            "new": Money(sums["new"]),
            "before": Money(sums["changed_before"]),
            "after": Money(sums["changed_after"]),
            "same": Money(sums["same"]),
            "missing": Money(sums["missing"]),
        }
        if money
        else None,
        "fields": [(named(name), count) for name, count in report.fields.items()],
        "errors": [
            {
                "field": named(error["field"]),
                "text": Text(error["message"], error.get("values", {})),
                "count": error["count"],
            }
            for error in report.errors
            if "values" in error or "{" not in error["message"]
        ],
    }


def _changed_row(row: Row, records: Mapping[str, Record]) -> dict[str, Any]:
    record = records.get(row["record"])

    def shown(name: str, value: object) -> str:
        return told(value, is_money=record is not None and name == record.money)

    facts: Mapping[str, Any] = row["after"] or row["before"]
    changed = differences(row["before"], row["after"]) if row["change"] == "changed" else ()
    return {
        "label": record.label if record else row["record"],
        "key": row["external_id"],
        "facts": [
            (named(name), shown(name, value))
            for name, value in facts.items()
            if value not in ("", None) and not changed
        ],
        "changes": [(named(name), shown(name, before), shown(name, after)) for name, before, after in changed],
    }


def _wrong_row(row: Row, labels: Mapping[str, Text]) -> dict[str, Any]:
    return {
        "label": labels.get(row["record"], row["record"]),
        "key": row["external_id"] or "—",
        "number": row["number"],
        "reasons": [(named(reason["name"]), Reason(**reason)) for reason in row["reasons"]],
    }


VIEW, APPLY = "importers.view", "importers.apply"
_RUN: Final = r"/admin/imports/{run:\d+}"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/imports",
        runs,
        "importers.view",
        "importers.runs",
        query=RunsQuery,
        template="importers/runs.html",
    ),
    Route(
        "GET",
        r"/admin/imports/{run:\d+}",
        run,
        "importers.view",
        "importers.run",
        query=View,
        template="importers/run.html",
    ),
    Route("POST", r"/admin/imports/{run:\d+}", apply, "importers.apply", "importers.apply"),
    Route("POST", r"/admin/imports/{run:\d+}/cancel", cancel, "importers.apply", "importers.cancel"),
    Route(
        "GET",
        r"/admin/imports/{run:\d+}/rollback",
        revert_page,
        "importers.apply",
        "importers.revert_page",
        template="importers/revert.html",
    ),
    Route(
        "POST",
        r"/admin/imports/{run:\d+}/rollback",
        revert,
        "importers.apply",
        "importers.revert",
        body=RevertForm,
    ),
)

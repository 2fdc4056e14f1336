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
    Request,
    Route,
    Row,
    Text,
    _,
    listed,
    not_found,
    redirect,
)
from plugins.importers import engine, store
from plugins.importers.model import EntityReport, Reason, differences

STATES: Final = {
    "reading": Badge(_("being read")),
    "waiting": Badge(_("waits to be applied"), "notice"),
    "applied": Badge(_("applied"), "credit"),
    "superseded": Badge(_("replaced by a newer one")),
    "stopped": Badge(_("stopped"), "due"),
    "failed": Badge(_("unsuccessful"), "due"),
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

    state: Literal["reading", "waiting", "applied", "superseded", "stopped", "failed"] | None = None
    title: str = Field("", max_length=120)


async def runs(request: Request, query: RunsQuery) -> object:
    """All runs, the newest first."""
    return await listed(request, RUNS, query)


class View(BaseModel):
    """Which rows of a run are shown, and from which one on."""

    show: Literal["new", "changed", "missing", "wrong"] | None = None
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0


async def run(request: Request, view: View) -> Mapping[str, Any]:
    """One run: its counts and sums, and the rows behind one of the counts."""
    found = await store.run_of(request[CONN], int(request.match_info["run"]))
    if found is None:
        raise not_found()
    show = view.show or _first_shown(found.reports)
    rows: Sequence[Row] = []
    if show == "wrong":
        rows = await store.bad_rows_page(request[CONN], found.id, view.after)
    elif show is not None:
        rows = await store.differences_page(request[CONN], found.id, show, view.after)
    records = request[SITE].registry.records
    labels = {name: record.label for name, record in records.items()}
    shown = rows[: store.PAGE]
    return {
        "run": found,
        "state": STATES[found.state],
        "reports": [_report(report, labels) for report in found.reports],
        "show": show,
        "rows": [_wrong_row(row, labels) if show == "wrong" else _changed_row(row, labels) for row in shown],
        "first": view.after == 0,
        "next": shown[-1]["id"] if len(rows) > store.PAGE else None,
        "may_apply": found.state == "waiting" and request[ACTOR].may(APPLY),
    }


async def apply(request: Request) -> object:
    """Apply a run that waits."""
    site, number = request[SITE], int(request.match_info["run"])
    await engine.apply_waiting(request[CONN], site.registry.records, number, site.clock.today())
    return redirect(request, "importers.run", flash=_("The import was applied"), run=number)


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
        "fields": report.fields,
    }


def _changed_row(row: Row, labels: Mapping[str, Text]) -> dict[str, Any]:
    facts: Mapping[str, Any] = row["after"] or row["before"]
    changed = differences(row["before"], row["after"]) if row["change"] == "changed" else ()
    return {
        "label": labels.get(row["record"], row["record"]),
        "key": row["external_id"],
        "facts": [(name, value) for name, value in facts.items() if value not in ("", None)] if not changed else (),
        "changes": changed,
    }


def _wrong_row(row: Row, labels: Mapping[str, Text]) -> dict[str, Any]:
    return {
        "label": labels.get(row["record"], row["record"]),
        "key": row["external_id"] or "—",
        "number": row["number"],
        "reasons": [Reason(**reason) for reason in row["reasons"]],
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
)

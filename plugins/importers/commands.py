"""``ebok import check`` and ``ebok import run``: what they print, and their exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kernel import Argument, Money, Site, Text, _, ngettext
from plugins.importers import engine
from plugins.importers.labels import spoken
from plugins.importers.model import BadRow, EntityReport
from plugins.importers.profile import Profile, ProfileError, read_profile

PROFILE = Argument(("profile",), {"type": Path, "metavar": "PROFILE.toml", "help": "what to read, and what it becomes"})
AS_JSON = Argument(("--json",), {"action": "store_true", "help": "counts and sums of money (grosze) for machines"})
DRY_RUN = Argument(("--dry-run",), {"action": "store_true", "help": "only show what would change"})
APPROVE = Argument(
    ("--approve",), {"action": "store_true", "help": "apply without waiting for a person; entries become approved"}
)


async def check(site: Site, arguments: Any) -> int:
    """Read, map and validate everything, and keep nothing. 1 when a row is wrong or a limit is passed."""
    profile = _profile(site, arguments.profile)
    if isinstance(profile, Text):
        return _fail(profile, 2)
    try:
        outcome = await engine.rehearse(site, profile)
    except (ProfileError, engine.ImportFailed) as error:
        return _fail(error.text, 1)
    _show(profile, outcome, as_json=arguments.json)
    return 1 if outcome.reason or any(report.wrong for report in outcome.reports) else 0


async def run(site: Site, arguments: Any) -> int:
    """Run an import; without ``--approve`` it waits at the differences. 1 when it stopped or failed."""
    profile = _profile(site, arguments.profile)
    if isinstance(profile, Text):
        return _fail(profile, 2)
    try:
        if arguments.dry_run:
            outcome = await engine.rehearse(site, profile)
        else:
            outcome = await engine.execute(site, profile, approve=arguments.approve)
    except (ProfileError, engine.ImportFailed) as error:
        return _fail(error.text, 1)
    _show(profile, outcome, as_json=arguments.json)
    return 1 if outcome.reason else 0


def _profile(site: Site, path: Path) -> Profile | Text:
    try:
        return read_profile(path, site.registry.sources, site.registry.records)
    except ProfileError as error:
        return error.text


def _fail(reason: Text, code: int) -> int:
    sys.stderr.write(f"ebok: {reason}\n")
    return code


def _show(profile: Profile, outcome: engine.Outcome, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(as_data(profile, outcome), ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(profile, outcome))


def as_data(profile: Profile, outcome: engine.Outcome) -> dict[str, Any]:
    """The outcome for machines: per entity counts, and sums of money in grosze."""
    return {
        "profile": profile.head.name,
        "run": outcome.run,
        "state": outcome.state,
        "reason": str(outcome.reason) if outcome.reason else None,
        "entities": [
            {
                **report.as_json(),
                "examples": [
                    {
                        "number": row.number,
                        "key": row.external_id,
                        "reasons": [
                            {"field": reason.name, "reason": str(reason.text), "value": reason.value}
                            for reason in row.reasons
                        ],
                    }
                    for row in report.examples
                ],
            }
            for report in outcome.reports
        ],
    }


STATES = {
    "checked": _("Checked: nothing was written."),
    "waiting": _("The import waits to be applied: open «Imports» in the console, or run it again with --approve."),
    "applied": _("Applied."),
}


def _lines(profile: Profile, outcome: engine.Outcome) -> Iterator[str]:
    yield profile.head.title
    for report in outcome.reports:
        yield f"  {report.record}: {counts(report)}"
        if report.sums.get("source") or report.sums.get("missing"):
            yield f"    {sums(report)}"
        for row in report.examples:
            yield f"    {_bad_row(row)}"
        if report.wrong > len(report.examples):
            more = ngettext("and {count} more", "and {count} more", report.wrong - len(report.examples))
            yield f"    {more}"
            for error in report.errors:
                yield f"    {error['count']} × {error['field']}: {Text(error['message'], error['values'])}"
    labels = {planned.record.name: planned.record.label for planned in profile.entities}
    yield str(spoken(outcome.reason, labels) or STATES[outcome.state])


def counts(report: EntityReport) -> str:
    """``59 new · 3 changed · …`` in the language of the moment."""
    return " · ".join(
        str(text)
        for text in (
            ngettext("{count} new", "{count} new", report.new),
            ngettext("{count} changed", "{count} changed", report.changed),
            ngettext("{count} same", "{count} same", report.same),
            ngettext("{count} missing", "{count} missing", report.missing),
            ngettext("{count} wrong", "{count} wrong", report.wrong),
        )
    )


def sums(report: EntityReport) -> Text:
    """The sums of money of a report, in a sentence."""
    change = report.sums["changed_after"] - report.sums["changed_before"]
    return _(
        "in the source {source}; new {new}, changes {change}, missing {missing}",
        source=Money(report.sums["source"]),
        new=Money(report.sums["new"]),
        change=Money(change),
        missing=Money(report.sums["missing"]),
    )


def _bad_row(row: BadRow) -> str:
    reasons = "; ".join(
        f"{reason.name}: {reason.text}" + (f" ({reason.value})" if reason.value else "") for reason in row.reasons
    )
    return str(_("row {number} (key {key}) {reasons}", number=row.number, key=row.external_id or "—", reasons=reasons))

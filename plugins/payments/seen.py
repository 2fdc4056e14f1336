"""Two clerks on one record: the later one is told what the other has changed meanwhile, and loses nothing typed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from kernel import Refused, Text, _


@dataclass(frozen=True, slots=True)
class Shown:
    """One fact of a record as a page shows it."""

    label: Text
    value: str


def written(facts: Mapping[str, Shown]) -> str:
    """What a form carries along in its hidden field ``seen``: the facts as they were when the page was opened."""
    values = json.dumps({name: fact.value for name, fact in facts.items()}, ensure_ascii=False, sort_keys=True)
    return base64.urlsafe_b64encode(values.encode()).decode()


def check_unchanged(seen: str, now: Mapping[str, Shown]) -> None:
    """Raises Refused that names what has changed since ``seen`` was written. An empty ``seen`` compares nothing.

    The page is shown again with what was typed and the facts of now, so that saving again replaces them knowingly.
    """
    if not seen or seen == written(now):
        return
    before = _read(seen)
    changes = "; ".join(
        str(_("{what}: {before} → {now}", what=fact.label, before=before.get(name) or "—", now=fact.value or "—"))
        for name, fact in now.items()
        if before.get(name, "") != fact.value
    )
    raise Refused(
        _(
            "Somebody has changed this while you had it open: {changes}. What you typed is still here. Save again to "
            "put it in the place of theirs, or cancel to leave theirs.",
            changes=changes,
        )
    )


def _read(seen: str) -> Mapping[str, str]:
    try:
        found = json.loads(base64.urlsafe_b64decode(seen))
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: str(value) for name, value in cast("dict[str, Any]", found).items()}

"""Two clerks on one record: a form carries the version it was filled in over, and a newer one is shown, not lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from kernel import FORM, Refused, Request, Text, _
from plugins.customers.changes.model import Change, Conflict, conflicts
from plugins.customers.model import Meanwhile

_F = TypeVar("_F", bound=Meanwhile)
_OWN: Final = frozenset(Meanwhile.model_fields)
MET: Final[Text] = _(
    "Somebody else changed these data while you were typing. Nothing you typed is lost: compare, choose, and save again"
)


def base_version(request: Request, current: int) -> int:
    """The version that the form on the page was begun with: the current one on a fresh page."""
    form = request[FORM]
    return _number(form.values.get("version"), current) if form.refused else current


def compared(request: Request, changes: Sequence[Change], fields: Mapping[str, object]) -> list[Conflict]:
    """What the page shows beside a form that met a newer version; ``fields`` are the register's values."""
    typed = request[FORM].values
    shown: dict[str, object] = {
        name: (name in typed if isinstance(value, bool) else typed.get(name, "").strip())
        for name, value in fields.items()
    }
    seen = _number(typed.get("seen"), 0)
    was_shown = bool(changes) and seen >= max(change.id for change in changes)
    return conflicts(changes, shown, typed.get("take", "").split(",") if was_shown else None)


def merged(form: _F, changes: Sequence[Change], now: Mapping[str, object]) -> _F:
    """The form with the register's values where the clerk takes them.

    Raises Refused when there are changes that the clerk has not been shown and that the form would write over.
    """
    typed: dict[str, Any] = {name: value for name, value in form if name not in _OWN}
    met = conflicts(changes, typed, None)
    if any(one.differs for one in met) and form.seen < max(change.id for change in changes):
        raise Refused(MET)
    return form.model_copy(update={name: now[name] for name in form.take if name in typed})


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else default

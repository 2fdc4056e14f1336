"""Reasons that are kept to be read later, in any language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernel import Refused, Text, _


def kept_text(text: Text) -> dict[str, Any]:
    """A text as JSON: its message with the values as they are read."""
    return {"message": text.message, "values": {name: str(value) for name, value in text.values.items()}}


def read_text(kept: Mapping[str, Any] | None) -> Text | None:
    """The text again, or None."""
    return Text(kept["message"], kept["values"]) if kept else None


def why(refused: Refused) -> Text:
    """The first reason of a refusal."""
    return next(iter((*refused.notes, *refused.errors.values())), _UNSAID)


_UNSAID = _("This cannot be done")

"""What commands print: lines for people, JSON for machines, mistakes on standard error."""

from __future__ import annotations

import json
import sys


def say(text: str) -> None:
    """A line of a command's output."""
    print(text, flush=True)  # noqa: T201


def say_json(value: object) -> None:
    """A command's data for machines."""
    say(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def show_progress(what: str, done: int, total: int) -> None:
    """How far long work has come, on a line that replaces itself; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r… {what}: {done:,} of {total:,} ", end="", file=sys.stderr, flush=True)  # noqa: T201


def hide_progress() -> None:
    """Clear the line of ``show_progress``."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201


def fail(reason: object, code: int = 1) -> int:
    """Say on standard error what went wrong; the exit code (1 refused or found wrong, 2 used wrongly)."""
    print(f"ebok: {reason}", file=sys.stderr)  # noqa: T201
    return code

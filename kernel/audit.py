"""The history: who did what, when, written in the transaction of the change itself and never altered.

Plugins declare verbs (``Verb``) and write with ``audit``; set-based statements may insert into ``kernel.audit_log
(verb, customer, subject, facts)`` themselves: who acts is filled in from the transaction's settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from string import Formatter
from typing import Any, Final, LiteralString, cast

from kernel.db.connection import Connection, Row
from kernel.i18n import Text
from kernel.money import Money
from kernel.plugin.contracts import Verb

_MONEY_FACT: Final = re.compile(r"-?[0-9]+[.][0-9]{2}")
_DATE_FACT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ABSENT: Final = "—"

_known: dict[str, Verb] = {}


def know(verbs: Mapping[str, Verb]) -> None:
    """Let these verbs be written and read; called with the registry's verbs when a process starts."""
    _known.update(verbs)


@dataclass(frozen=True, slots=True)
class Fact:
    """One event for ``audit_many``: whom and what it concerns, and its facts."""

    customer: int | None = None
    subject: str = ""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history. ``actor_name`` is a person's name where ``actor`` is a user's id."""

    id: int
    happened_at: datetime
    verb: str
    actor: str
    actor_name: str
    role: str
    superadmin_mode: bool
    request: str
    customer: int | None
    subject: str
    facts: Mapping[str, Any]


WRITE_SQL: Final[LiteralString] = """
insert into kernel.audit_log (verb, customer, subject, facts) values ($1, $2, $3, $4)
"""

WRITE_MANY_SQL: Final[LiteralString] = """
insert into kernel.audit_log (verb, customer, subject, facts)
select $1, customer, subject, facts
from unnest($2::bigint[], $3::text[], $4::jsonb[]) as event (customer, subject, facts)
"""


async def audit(
    conn: Connection, verb: str, /, *, customer: int | None = None, subject: str = "", **facts: object
) -> None:
    """Write one event: ``audit(conn, "payments.approved", customer=7, subject="entry 12", amount=Money(2000))``.

    Who acts, in which role and mode, comes from the transaction. Facts fill the verb's sentence; give no secrets and no
    more personal data than the sentence needs. Raises LookupError for a verb that no plugin declared.
    """
    _check(verb)
    await conn.execute(WRITE_SQL, verb, customer, subject, plain_facts(facts))


async def audit_many(conn: Connection, verb: str, events: Iterable[Fact]) -> None:
    """Write many events of one verb in one statement. Raises LookupError for an undeclared verb."""
    _check(verb)
    events = list(events)
    await conn.execute(
        WRITE_MANY_SQL,
        verb,
        [event.customer for event in events],
        [event.subject for event in events],
        [plain_facts(event.facts) for event in events],
    )


def entry_of(row: Row) -> Entry:
    """An entry from a row with the columns of the audit log, and ``actor_name``."""
    return Entry(
        id=row["id"],
        happened_at=row["happened_at"],
        verb=row["verb"],
        actor=row["actor"],
        actor_name=row["actor_name"],
        role=row["role"],
        superadmin_mode=row["mode"] == "superadmin",
        request=row["request"],
        customer=row["customer"],
        subject=row["subject"],
        facts=row["facts"],
    )


def sentence(entry: Entry) -> Text:
    """What happened, readable: the verb's sentence filled with the facts; the bare verb when its plugin is off."""
    verb = _known.get(entry.verb)
    if verb is None:
        return Text(entry.verb)
    forms = verb.sentence.message + (verb.sentence.plural or "")
    named = {name: _ABSENT for _, name, _, _ in Formatter().parse(forms) if name and name != "count"}
    facts = {name: _readable(value) for name, value in entry.facts.items() if name != "count"}
    count = entry.facts.get("count")
    if verb.sentence.plural is None:
        return replace(verb.sentence, values=named | facts | {"count": _ABSENT if count is None else count})
    return replace(verb.sentence, values=named | facts, count=count if isinstance(count, int) else 0)


def about(subject: str) -> Text | str:
    """«entry 12» in the reader's language: the word is a message of whoever wrote the event."""
    kind, _space, number = subject.partition(" ")
    return Text(f"{kind} {{number}}", {"number": number}) if number.isdecimal() else subject


def plain_facts(facts: Mapping[str, object]) -> dict[str, Any]:
    """Facts as JSON keeps them: money ``1234.56``, dates ISO, enums their value. Raises TypeError for objects."""
    return {name: _plain(value) for name, value in facts.items()}


def _plain(value: object) -> Any:
    match value:
        case None | bool() | int():
            return value
        case Enum():
            return _plain(value.value)
        case str():
            return value
        case Money():
            return value.plain
        case Decimal():
            # A quantity never ends up with exactly two decimals: those are how money is known when it is read back.
            text = f"{value.normalize():f}"
            return f"{text}0" if _MONEY_FACT.fullmatch(text) else text
        case date():
            return value.isoformat()
        case Mapping():
            return plain_facts(cast("Mapping[str, object]", value))
        case list() | tuple():
            return [_plain(part) for part in cast("Sequence[object]", value)]
        case _:
            raise TypeError(f"a fact cannot be a {type(value).__name__}")


def _readable(value: object) -> object:
    match value:
        case None | "":
            return _ABSENT
        case str() if _MONEY_FACT.fullmatch(value):
            return Money(int(value.replace(".", "")))
        case str() if _DATE_FACT.fullmatch(value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                return value
        case list():
            return ", ".join(map(str, cast("list[object]", value)))
        case _:
            return value


def _check(verb: str) -> None:
    if verb not in _known:
        raise LookupError(f"no plugin declares the audit verb {verb!r}")

"""What is left of deleted approved data: a tombstone, a line of the history, a letter to the other superadministrators.

Plugins that delete approved data call ``bury`` in the transaction of the deletion. The database writes a tombstone for
a superadministrator in the announced mode and for nobody else (``kernel/migrations/0008_tombstones.sql``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

from kernel.audit import Entry, audit, plain_facts, sentence
from kernel.auth.watch import tell_superadmins
from kernel.db.connection import Connection
from kernel.i18n import Text, _

BURY_SQL: Final[LiteralString] = "select kernel.bury($1, $2, $3, $4, $5, $6)"
WHO_SQL: Final[LiteralString] = """
select u.id, u.name, u.login, current_setting('ebok.actor', true) as actor
from (select 1) always
left join kernel.users u on u.id = case when current_setting('ebok.actor', true) ~ '^[0-9]{1,18}$'
    then current_setting('ebok.actor', true)::bigint end
"""


async def bury(
    conn: Connection,
    verb: str,
    *,
    number: str,
    reason: str,
    customer: int | None = None,
    subject: str = "",
    **facts: object,
) -> None:
    """Leave a tombstone with the history's sentence ``verb``, and tell the other superadministrators.

    ``number`` is the number that people know it by and that stays taken; ``subject`` as in ``audit``; ``reason`` of 3
    to 500 signs is a fact of the sentence as well. Give no more personal data than the sentence needs: a tombstone is
    never changed. Raises LookupError for a verb that no plugin declared; the database refuses (EB001, 403) anybody but
    a superadministrator in the announced mode.
    """
    plain = plain_facts(facts)
    await conn.execute(BURY_SQL, verb, subject, number, customer, reason, plain)
    await audit(conn, verb, customer=customer, subject=subject, **facts, reason=reason)
    await tell_deleted(conn, verb, number, {**plain, "reason": reason})


async def tell_deleted(conn: Connection, verb: str, number: str, facts: Mapping[str, Any]) -> None:
    """Tell the other superadministrators of one deletion: who, what, why."""
    who = await conn.fetchrow(WHO_SQL)
    assert who is not None  # noqa: S101  a left join of one row
    text = _(
        "{name}, as superadministrator: {what}.\nNumber: {number}\nReason: {reason}",
        name=who["name"] or who["login"] or who["actor"],
        what=words_of(verb, facts),
        number=number or "—",
        reason=facts.get("reason", ""),
    )
    await tell_superadmins(conn, _("Approved data was deleted"), text, but=who["id"])


def words_of(verb: str, facts: Mapping[str, Any]) -> Text:
    """What a tombstone says: the history's sentence of its deletion."""
    return sentence(Entry(0, datetime.now(UTC), verb, "", "", "", True, "", None, "", facts))

"""What every superadministrator is told: acts that one of them could otherwise do unseen."""

from __future__ import annotations

from typing import Final, LiteralString

from kernel.db.connection import Connection
from kernel.i18n import Text, speaking
from kernel.mail import send_mail
from kernel.people.model import is_email

OTHERS_SQL: Final[LiteralString] = """
select email, language from kernel.users
where role = 'superadmin' and state = 'active' and email <> '' and id is distinct from $1
order by id
"""


async def tell_superadmins(conn: Connection, subject: Text, text: Text, *, but: int | None = None) -> int:
    """Write to the active superadministrators with an address, each in the own language; how many letters there are.

    ``but`` is the user who acts and knows. The letters leave once the caller's transaction commits.
    """
    told = [row for row in await conn.fetch(OTHERS_SQL, but) if is_email(row["email"])]
    for row in told:
        with speaking(row["language"]):
            await send_mail(conn, row["email"], str(subject), str(text))
    return len(told)

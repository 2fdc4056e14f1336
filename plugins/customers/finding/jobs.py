"""Words that nobody in the register has any more are forgotten, once a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, LiteralString

from kernel import ArchiveRule, Job, Site, Stamp

FORGET_SQL: Final[LiteralString] = """
delete from customers.word known
where not exists (
    select from kernel.customer
    where customers.document(customer_no, name, given_name, family_name, street, building, flat, city, email, phone,
                             nip) @@ quote_literal(known.word)::tsquery
) and not exists (
    select from kernel.service_point
    where customers.document_of_point(code, street, building, flat, city) @@ quote_literal(known.word)::tsquery
)
"""


async def forget(site: Site, payload: Mapping[str, Any]) -> None:
    """The job: a name that left the register with its last bearer leaves the words, too."""
    async with site.db.transaction(Stamp("worker")) as conn:
        await conn.execute(FORGET_SQL)


JOBS: Final[Sequence[Job]] = (Job("customers.forget_words", forget, every=timedelta(days=1)),)
ARCHIVE_RULES: Final = (ArchiveRule("customers.word", left_out=True),)
"""Words follow from the register, where they are written as it is taken in."""

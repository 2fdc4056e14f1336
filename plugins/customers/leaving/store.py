"""Statements of leaving: status, deaths with what ends by them, removal."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final, LiteralString

from kernel import Connection, Row

SET_STATUS_SQL: Final[LiteralString] = "update kernel.customer set status = $2 where id = $1"


async def set_status(conn: Connection, customer: int, status: str) -> None:
    """active, closed or deceased."""
    await conn.execute(SET_STATUS_SQL, customer, status)


# --- deaths ---------------------------------------------------------------------------------------------------------

# Whose logins end: everybody who may see the customer at this moment, an own login as well as a delegate's (a mandate
# ends with the death of who gave it, art. 101 § 2 of the Civil Code).
END_GRANTS_SQL: Final[LiteralString] = """
with ending as (
    select g.id, g.user_id, g.valid_to from kernel.access_grant g
    where g.customer = $1 and (g.valid_to is null or g.valid_to > $2) for update
), ended as (
    update kernel.access_grant g
    set valid_to = $2, valid_from = case when g.valid_from >= $2 then null else g.valid_from end
    from ending where g.id = ending.id
), disabled as (
    update kernel.users u set state = 'disabled'
    from ending
    where u.id = ending.user_id and u.role = 'customer' and u.state = 'active' and not exists (
        select from kernel.access_grant o
        where o.user_id = u.id and o.customer <> $1 and (o.valid_to is null or o.valid_to > $2)
    )
    returning u.id
), over as (
    delete from kernel.session s using ending where s.user_id = ending.user_id
)
insert into customers.death (customer, died_on, heirs, status_before, grants, disabled)
select $1, $3, $4, $5,
       (select coalesce(jsonb_agg(jsonb_build_array(user_id, valid_to) order by user_id), '[]') from ending),
       (select coalesce(array_agg(id order by id), '{}') from disabled)
returning jsonb_array_length(grants) as grants, cardinality(disabled) as disabled
"""


async def record_death(
    conn: Connection, customer: int, died_on: date | None, heirs: str, status_before: str, now: datetime
) -> Row:
    """Write a death down and end the logins at once; how many ``grants`` ended, how many users were ``disabled``."""
    row = await conn.fetchrow(END_GRANTS_SQL, customer, now, died_on, heirs, status_before)
    assert row is not None  # noqa: S101  an insert returns its row
    return row


DEATH_SQL: Final[LiteralString] = """
select d.id, d.died_on, d.heirs, d.status_before, d.recorded_at, coalesce(u.name, d.recorded_by) as recorded_by,
       jsonb_array_length(d.grants) as grants
from customers.death d
left join kernel.users u on u.id = case when d.recorded_by ~ '^[0-9]{1,18}$' then d.recorded_by::bigint end
where d.customer = $1 and d.revoked_at is null
"""


async def death(conn: Connection, customer: int) -> Row | None:
    """The death that is written down of a customer, or None."""
    return await conn.fetchrow(DEATH_SQL, customer)


CHANGE_DEATH_SQL: Final[LiteralString] = """
update customers.death set died_on = $2, heirs = $3 where customer = $1 and revoked_at is null
"""


async def change_death(conn: Connection, customer: int, died_on: date | None, heirs: str) -> None:
    """Write the day and the note on heirs otherwise."""
    await conn.execute(CHANGE_DEATH_SQL, customer, died_on, heirs)


REVOKE_DEATH_SQL: Final[LiteralString] = """
with revoked as (
    update customers.death
    set revoked_at = $2, revoked_by = coalesce(current_setting('ebok.actor', true), ''), reason = $3
    where customer = $1 and revoked_at is null
    returning status_before, grants, disabled
), given_back as (
    update kernel.access_grant g set valid_to = (one.value ->> 1)::timestamptz
    from revoked, jsonb_array_elements(revoked.grants) one (value)
    where g.customer = $1 and g.user_id = (one.value ->> 0)::bigint
      and ((one.value ->> 1) is null or (one.value ->> 1)::timestamptz > $2)
), enabled as (
    update kernel.users u set state = 'active' from revoked where u.id = any (revoked.disabled)
)
select status_before from revoked
"""


async def revoke_death(conn: Connection, customer: int, reason: str, now: datetime) -> str | None:
    """Take a death back with everything that ended by it; the status before. None when there was none."""
    return await conn.fetchval(REVOKE_DEATH_SQL, customer, now, reason)


# --- removal --------------------------------------------------------------------------------------------------------

PURGE_SQL: Final[LiteralString] = "select customers.purge_customer($1, $2, $3)"


async def purge(conn: Connection, customer: int, reason: str, label: str) -> bool:
    """Erase an old customer's personal data; ``label`` stands for the name from then on. False when it is active or was
    done before. The database asks for the superadministrator's announced mode."""
    return await conn.fetchval(PURGE_SQL, customer, reason, label)


TOMBSTONE_SQL: Final[LiteralString] = """
select t.reason, t.removed_at, coalesce(u.name, t.removed_by) as removed_by
from customers.tombstone t
left join kernel.users u on u.id = case when t.removed_by ~ '^[0-9]{1,18}$' then t.removed_by::bigint end
where t.customer = $1
"""


async def tombstone(conn: Connection, customer: int) -> Row | None:
    """Who removed a customer's data, when and why; None when nobody did."""
    return await conn.fetchrow(TOMBSTONE_SQL, customer)

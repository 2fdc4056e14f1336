"""Statements over premises (``kernel.service_point``) and who has them (``customers.tenure``)."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final, LiteralString

from kernel import Connection, Refused, _
from plugins.customers.model import ServicePointForm
from plugins.customers.premises.model import Handover, Tenure, label, planned_of, tenure_of

PREMISES_SQL: Final[LiteralString] = """
select p.id, p.customer, p.code, p.kind, p.street, p.building, p.flat, p.postal_code, p.city, p.unit, p.source,
       p.created_at, t.reason as removed_for, t.removed_at,
       (select jsonb_build_object('id', d.id, 'premises', d.premises, 'customer', d.customer,
                   'customer_no', c.customer_no, 'name', c.name, 'role', d.role,
                   'share', d.share, 'since', d.since, 'carry', d.carry,
                   'trouble', d.trouble, 'created_by', coalesce(w.name, d.created_by), 'created_at', d.created_at)
        from customers.planned_handover d join kernel.customer c on c.id = d.customer
        left join kernel.users w on w.id = case when d.created_by ~ '^[0-9]{1,18}$' then d.created_by::bigint end
        where d.premises = p.id and d.state = 'planned') as plan,
       coalesce((select max(h.id) from customers.change h where h.premises = p.id), 0) as version,
       (select coalesce(jsonb_agg(to_jsonb(one) order by one.since desc nulls last, one.id desc), '[]') from (
            select u.id, u.customer, c.customer_no, c.name, c.status, u.role, u.share, u.since, u.until
            from customers.tenure u join kernel.customer c on c.id = u.customer
            where u.premises = p.id order by u.since desc nulls last, u.id desc limit 200
        ) one) as tenures
from kernel.service_point p left join customers.tombstone t on t.premises = p.id
where p.id = $1
"""
LOCK_SQL: Final[LiteralString] = "select id from kernel.service_point where id = $1 for update"


async def premises(conn: Connection, number: int, *, lock: bool = False) -> dict[str, Any] | None:
    """Premises with ``label`` and ``tenures`` (the newest first), or None; with ``lock`` kept for this transaction."""
    if lock:
        await conn.execute(LOCK_SQL, number)
    row = await conn.fetchrow(PREMISES_SQL, number)
    if row is None:
        return None
    return {
        **row,
        "label": label(row),
        "tenures": [tenure_of(one) for one in row["tenures"]],
        "plan": planned_of(row["plan"]),
    }


ADD_SQL: Final[LiteralString] = """
insert into kernel.service_point (code, kind, street, building, flat, postal_code, city, unit)
values ($1, $2, $3, $4, $5, $6, $7, $8) returning id
"""
CHANGE_SQL: Final[LiteralString] = """
update kernel.service_point
set code = $2, kind = $3, street = $4, building = $5, flat = $6, postal_code = $7, city = $8, unit = $9
where id = $1
"""


async def add(conn: Connection, form: ServicePointForm) -> int:
    """Put premises into the register, empty; the id. Raises Refused when somebody else took the code at this moment."""
    with _taken_meanwhile():
        return await conn.fetchval(ADD_SQL, *_values(form))


async def change(conn: Connection, number: int, form: ServicePointForm) -> None:
    """Write the data of premises. Raises Refused when somebody else took the code at this moment."""
    with _taken_meanwhile():
        await conn.execute(CHANGE_SQL, number, *_values(form))


@contextmanager
def _taken_meanwhile() -> Generator[None]:
    try:
        yield
    except Exception as error:
        if getattr(error, "constraint_name", None) != "service_point_code":
            raise
        raise Refused(_("Another service point has this code"), field="code") from error


def _values(form: ServicePointForm) -> tuple[str, ...]:
    return (form.code, form.kind, form.street, form.building, form.flat, form.postal_code, form.city, form.unit)


CODE_TAKEN_SQL: Final[LiteralString] = """
select exists (select from kernel.service_point where code = $1 and code <> '' and id is distinct from $2)
"""


async def code_taken(conn: Connection, code: str, except_id: int | None = None) -> bool:
    """Whether other premises have this code."""
    return await conn.fetchval(CODE_TAKEN_SQL, code, except_id)


REMOVE_SQL: Final[LiteralString] = "delete from kernel.service_point where id = $1"


async def remove(conn: Connection, number: int) -> bool:
    """Take premises out of the register with their periods; False when something hangs on them.

    The statement that the database refused leaves the transaction unusable: refuse the request.
    """
    try:
        await conn.execute(REMOVE_SQL, number)
    except Exception as error:
        if getattr(error, "sqlstate", None) == "23503":
            return False
        raise
    return True


PURGE_SQL: Final[LiteralString] = "select customers.purge_premises($1, $2)"


async def purge(conn: Connection, number: int, reason: str) -> bool:
    """Erase premises that entries refer to; False when it was done before. The database asks for the announced mode."""
    return await conn.fetchval(PURGE_SQL, number, reason)


# --- periods --------------------------------------------------------------------------------------------------------

ADD_TENURE_SQL: Final[LiteralString] = """
insert into customers.tenure (premises, customer, role, share, since, until)
values ($1, $2, $3, $4, $5, $6) returning id
"""
CHANGE_TENURE_SQL: Final[LiteralString] = """
update customers.tenure set share = $4, since = $5, until = $6, role = $3 where id = $2 and premises = $1
"""
END_TENURES_SQL: Final[LiteralString] = "update customers.tenure set until = $2 where id = any ($1::bigint[])"
REMOVE_TENURE_SQL: Final[LiteralString] = "delete from customers.tenure where id = $2 and premises = $1"


async def add_tenure(conn: Connection, number: int, tenure: Tenure) -> int:
    """Write down a period; the id. Call ``settle`` afterwards."""
    facts = (tenure.customer, tenure.role, tenure.share, tenure.since, tenure.until)
    return await conn.fetchval(ADD_TENURE_SQL, number, *facts)


async def change_tenure(conn: Connection, number: int, tenure: Tenure) -> None:
    """Write a period otherwise. Call ``settle`` afterwards."""
    await conn.execute(CHANGE_TENURE_SQL, number, tenure.id, tenure.role, tenure.share, tenure.since, tenure.until)


async def end_tenures(conn: Connection, tenures: Iterable[Tenure], last: date) -> None:
    """Let periods end with a day."""
    await conn.execute(END_TENURES_SQL, [one.id for one in tenures], last)


async def remove_tenure(conn: Connection, number: int, tenure: int) -> None:
    """Take a period back that never was. Call ``settle`` afterwards."""
    await conn.execute(REMOVE_TENURE_SQL, number, tenure)


SETTLE_SQL: Final[LiteralString] = """
update kernel.service_point p set customer = billed.customer
from (
    select s.id, (
        select t.customer from customers.tenure t
        where t.premises = s.id and (t.since is null or t.since <= $2) and (t.until is null or t.until >= $2)
        order by case t.role when 'payer' then 0 when 'tenant' then 1 else 2 end, t.since nulls first, t.id limit 1
    ) as customer
    from kernel.service_point s where s.id = any ($1::bigint[])
) billed
where p.id = billed.id and p.customer is distinct from billed.customer
"""


async def settle(conn: Connection, numbers: Sequence[int], today: date) -> None:
    """Let ``kernel.service_point`` name whoever is billed today: payer before tenant before owner, earlier first."""
    await conn.execute(SETTLE_SQL, numbers, today)


TURNING_SQL: Final[LiteralString] = """
select distinct premises from customers.tenure
where since between $1::date - 40 and $1 or until between $1::date - 41 and $1::date - 1
order by premises
"""


async def turning(conn: Connection, today: date) -> list[int]:
    """Premises in which a period began or ended in these weeks."""
    return [row["premises"] for row in await conn.fetch(TURNING_SQL, today)]


# --- handovers of a day to come -------------------------------------------------------------------------------------

PLAN_SQL: Final[LiteralString] = """
insert into customers.planned_handover (premises, customer, role, share, since, carry) values ($1, $2, $3, $4, $5, $6)
on conflict (premises) where state = 'planned' do nothing returning id
"""


async def plan(conn: Connection, handover: Handover) -> int | None:
    """Keep a handover until its day; its number. None: one is planned for these premises already."""
    return await conn.fetchval(
        PLAN_SQL,
        handover.premises,
        handover.customer,
        handover.role,
        handover.share,
        handover.since,
        handover.carry,
    )

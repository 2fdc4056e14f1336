"""The register's statements over ``kernel.customer`` and ``kernel.service_point``."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, LiteralString

from kernel import Batch, Connection, Refused, Row, _
from plugins.customers.model import CustomerForm

CUSTOMER_SQL: Final[LiteralString] = """
select c.id, c.customer_no, c.kind, c.consumer, c.name, c.given_name, c.family_name, c.nip, c.email, c.phone,
       c.street, c.building, c.flat, c.postal_code, c.city, c.country, c.status, c.source, c.created_at,
       coalesce((select max(h.id) from customers.change h where h.customer = c.id), 0) as version,
       exists (select from customers.tombstone t where t.customer = c.id) as is_removed
from kernel.customer c where c.id = $1
"""


async def customer(conn: Connection, customer_id: int) -> Row | None:
    """A customer's facts with the number of the newest change (``version``), or None."""
    return await conn.fetchrow(CUSTOMER_SQL, customer_id)


LOCK_CUSTOMER_SQL: Final[LiteralString] = "select status from kernel.customer where id = $1 for update"


async def lock_customer(conn: Connection, customer_id: int) -> str | None:
    """Keep the customer for this transaction; the status, or None when there is no such customer."""
    return await conn.fetchval(LOCK_CUSTOMER_SQL, customer_id)


NAMED_SQL: Final[LiteralString] = "select id, customer_no, name from kernel.customer where id = any ($1::bigint[])"


async def named(conn: Connection, numbers: Sequence[int]) -> Sequence[Row]:
    """Number and name of customers by id; those that are gone are left out."""
    return await conn.fetch(NAMED_SQL, numbers)


NUMBER_TAKEN_SQL: Final[LiteralString] = """
select exists (select from kernel.customer where customer_no = $1 and id is distinct from $2)
"""


async def number_taken(conn: Connection, customer_no: str, except_id: int | None = None) -> bool:
    """Whether another customer has this number."""
    return await conn.fetchval(NUMBER_TAKEN_SQL, customer_no, except_id)


ADD_SQL: Final[LiteralString] = """
insert into kernel.customer (customer_no, kind, consumer, name, given_name, family_name, nip, email, phone,
                             street, building, flat, postal_code, city)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
returning id
"""


async def add(conn: Connection, form: CustomerForm) -> int:
    """Put a customer into the register; the id. Raises Refused when somebody else took the number at this moment."""
    with _taken_meanwhile():
        return await conn.fetchval(ADD_SQL, *_values(form))


CHANGE_SQL: Final[LiteralString] = """
update kernel.customer
set customer_no = $2, kind = $3, consumer = $4, name = $5, given_name = $6, family_name = $7, nip = $8, email = $9,
    phone = $10, street = $11, building = $12, flat = $13, postal_code = $14, city = $15
where id = $1
"""


async def change(conn: Connection, customer_id: int, form: CustomerForm) -> None:
    """Write a customer's facts. Raises Refused when somebody else took the number at this moment."""
    with _taken_meanwhile():
        await conn.execute(CHANGE_SQL, customer_id, *_values(form))


@contextmanager
def _taken_meanwhile() -> Generator[None]:
    try:
        yield
    except Exception as error:
        if getattr(error, "constraint_name", None) != "customer_customer_no_key":
            raise
        raise Refused(_("Another customer has this number"), field="customer_no") from error


def _values(form: CustomerForm) -> tuple[object, ...]:
    return (
        form.customer_no,
        form.kind,
        form.consumer,
        form.name,
        form.given_name,
        form.family_name,
        form.nip,
        form.email,
        form.phone,
        form.street,
        form.building,
        form.flat,
        form.postal_code,
        form.city,
    )


REMOVE_SQL: Final[LiteralString] = "delete from kernel.customer where id = $1"


async def remove(conn: Connection, customer_id: int) -> None:
    """Take a customer out of the register, with grants; premises stay, empty."""
    await conn.execute(REMOVE_SQL, customer_id)


# --- those who are alike ----------------------------------------------------------------------------------------------

ALIKE_SQL: Final[LiteralString] = """
with alike as (
    (select id from kernel.customer
     where kernel.pl_sort(name) collate "C" = kernel.pl_sort($1) and kernel.pl_sort(street) = kernel.pl_sort($2)
       and lower(building) = lower($3) and lower(flat) = lower($4) limit 10)
    union
    (select id from kernel.customer where nip <> '' and nip = $5 limit 10)
    union
    (select id from kernel.customer where email <> '' and lower(email) = lower($6) limit 10)
)
select c.id, c.customer_no, c.name, c.street, c.building, c.flat, c.city, c.status,
       c.nip <> '' and c.nip = $5 as same_nip, c.email <> '' and lower(c.email) = lower($6) as same_email
from alike join kernel.customer c using (id) order by c.id limit 10
"""


async def alike(conn: Connection, name: str, address: tuple[str, str, str], nip: str, email: str) -> Sequence[Row]:
    """Customers of the same name at the same address (street, building, flat), of the same NIP, or the same e-mail."""
    return await conn.fetch(ALIKE_SQL, name, *address, nip, email)


# --- import ----------------------------------------------------------------------------------------------------------

CHANGE_IMPORTED_SQL: Final[LiteralString] = """
with rows as (
    select * from jsonb_to_recordset($2::jsonb) as row (
        external_id text, customer_no text, kind text, consumer boolean, name text, given_name text, family_name text,
        nip text, email text, phone text, street text, building text, flat text, postal_code text, city text,
        country text)
), met as (
    select known.id as met_id, rows.*
    from rows join kernel.customer known on known.source = $1 and known.external_id = rows.external_id
    union all
    select known.id, rows.*
    from rows join kernel.customer known on known.customer_no = rows.customer_no and known.source is null
), done as (
    update kernel.customer known
    set customer_no = rows.customer_no, name = rows.name,
        kind = coalesce(rows.kind, known.kind), consumer = coalesce(rows.consumer, known.consumer),
        given_name = coalesce(rows.given_name, known.given_name),
        family_name = coalesce(rows.family_name, known.family_name),
        nip = coalesce(rows.nip, known.nip), email = coalesce(rows.email, known.email),
        phone = coalesce(rows.phone, known.phone), street = coalesce(rows.street, known.street),
        building = coalesce(rows.building, known.building), flat = coalesce(rows.flat, known.flat),
        postal_code = coalesce(rows.postal_code, known.postal_code), city = coalesce(rows.city, known.city),
        country = coalesce(rows.country, known.country), source = $1, external_id = rows.external_id
    from met as rows
    where known.id = rows.met_id and not exists (select from customers.tombstone t where t.customer = known.id)
    returning known.id, known.customer_no, known.external_id
), told as (
    insert into kernel.audit_log (verb, customer, subject, facts)
    select 'customers.changed_by_import', id, customer_no, jsonb_build_object('source', $1::text) from done
)
select external_id from met
"""

ADD_IMPORTED_SQL: Final[LiteralString] = """
with rows as (
    select * from jsonb_to_recordset($2::jsonb) as row (
        external_id text, customer_no text, kind text, consumer boolean, name text, given_name text, family_name text,
        nip text, email text, phone text, street text, building text, flat text, postal_code text, city text,
        country text)
), done as (
    insert into kernel.customer (customer_no, kind, consumer, name, given_name, family_name, nip, email, phone,
                                 street, building, flat, postal_code, city, country, source, external_id)
    select customer_no, coalesce(kind, 'person'), coalesce(consumer, true), name, coalesce(given_name, ''),
           coalesce(family_name, ''), coalesce(nip, ''), coalesce(email, ''), coalesce(phone, ''), coalesce(street, ''),
           coalesce(building, ''), coalesce(flat, ''), coalesce(postal_code, ''), coalesce(city, ''),
           coalesce(country, 'PL'), $1, external_id
    from rows
    on conflict do nothing
    returning id, customer_no
), told as (
    insert into kernel.audit_log (verb, customer, subject, facts)
    select 'customers.added_by_import', id, customer_no, jsonb_build_object('source', $1::text) from done
)
select customer_no from done
"""


async def apply_rows(conn: Connection, batch: Batch) -> None:
    """Write imported customers: new ones are added, or joined to one that the office added with the same number.

    Fields that the profile does not name stay as they are. Customers missing in the source stay too: closing one is
    the office's decision, and the run shows them. What a superadministrator removed stays removed. Raises Refused when
    a number belongs to a customer of another source.
    """
    incoming = [(row.external_id, row.data) for row in batch.new]
    incoming += [(row.external_id, row.after) for row in batch.changed]
    rows: list[dict[str, Any]] = [
        {"external_id": external_id, **data.model_dump(mode="json", exclude_unset=True)}
        for external_id, data in incoming
    ]
    known = {row["external_id"] for row in await conn.fetch(CHANGE_IMPORTED_SQL, batch.source, rows)}
    fresh = [row for row in rows if row["external_id"] not in known]
    if fresh:
        added = {row["customer_no"] for row in await conn.fetch(ADD_IMPORTED_SQL, batch.source, fresh)}
        for row in fresh:
            if row["customer_no"] not in added:
                raise Refused(
                    _("The customer number {customer_no} belongs to another customer", customer_no=row["customer_no"])
                )

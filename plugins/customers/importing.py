"""Customers from other systems: what people corrected stands, and a run that is rolled back is undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, LiteralString

from kernel import Batch, Connection, Row, SourceChange
from plugins.customers import store
from plugins.customers.model import CustomerRow

KNOWN_SQL: Final[LiteralString] = """
select c.id, c.external_id, c.customer_no, c.kind, c.consumer, c.name, c.given_name, c.family_name, c.nip, c.email,
       c.phone, c.street, c.building, c.flat, c.postal_code, c.city, c.country,
       exists (select from kernel.audit_log a where a.customer = c.id and a.verb = 'customers.added_by_import')
           as is_added
from kernel.customer c where c.source = $1 and c.external_id = any ($2::text[])
"""
WITHDRAW_SQL: Final[LiteralString] = "select customers.withdraw_imported($1::bigint[])"
_ALWAYS_WRITTEN: Final = frozenset({"customer_no", "name"})


async def apply(conn: Connection, batch: Batch) -> None:
    """Write imported customers (``store.apply_rows``), of a changed row only the fields that the source may write:
    see ``Batch.owners``."""
    known = await _known(conn, batch.source, [change.external_id for change in batch.changed])
    changed: list[SourceChange] = []
    for change in batch.changed:
        row = known.get(change.external_id)
        if row is None:
            changed.append(change)
            continue
        before, after = _given(change.before), _given(change.after)
        written = {
            name: value for name, value in after.items() if _may_write(name, before, value, row[name], batch.owners)
        }
        if written:
            changed.append(SourceChange(change.external_id, change.before, _row_of(row, written)))
    await store.apply_rows(conn, replace(batch, changed=changed))


async def revert(conn: Connection, batch: Batch) -> list[str]:
    """Undo a batch: added customers on whom nothing hangs leave the register, changed fields get their former values.

    What people changed since stays, and so does a customer who was in the register before the import; their keys.
    """
    keys = [*(row.external_id for row in batch.new), *(row.external_id for row in batch.changed)]
    known = await _known(conn, batch.source, keys)
    kept: list[str] = []
    withdrawn: list[int] = []
    for row in batch.new:
        found = known.get(row.external_id)
        if found is None:
            continue
        if found["is_added"] and all(found[name] == value for name, value in _given(row.data).items()):
            withdrawn.append(found["id"])
        else:
            kept.append(row.external_id)
    back: list[SourceChange] = []
    for change in batch.changed:
        found = known.get(change.external_id)
        if found is None:
            continue
        before, after = _given(change.before), _given(change.after)
        changed = {name: value for name, value in before.items() if name in after and after[name] != value}
        ours = {name: value for name, value in changed.items() if found[name] == after[name]}
        if ours:
            back.append(SourceChange(change.external_id, change.after, _row_of(found, ours)))
        if len(ours) < len(changed) and any(found[name] != changed[name] for name in changed if name not in ours):
            kept.append(change.external_id)
    await store.apply_rows(conn, replace(batch, new=(), changed=back, missing=()))
    await conn.fetchval(WITHDRAW_SQL, withdrawn)
    return kept


async def _known(conn: Connection, source: str, keys: list[str]) -> dict[str, Row]:
    if not keys:
        return {}
    return {row["external_id"]: row for row in await conn.fetch(KNOWN_SQL, source, keys)}


def _given(data: object) -> dict[str, Any]:
    """The fields that the source gave."""
    assert isinstance(data, CustomerRow)  # noqa: S101  the engine validates by the record's model
    return data.model_dump(mode="json", exclude_unset=True)


def _may_write(name: str, before: Mapping[str, Any], value: object, now: object, owners: Mapping[str, str]) -> bool:
    if value == now:
        return False
    match owners.get(name, "newest"):
        case "source":
            return True
        case "local":
            return name not in before or before[name] == now
        case _:
            return name not in before or before[name] != value


def _row_of(now: Row, written: Mapping[str, Any]) -> CustomerRow:
    """A row that writes these fields and leaves all others as they are."""
    values: dict[str, Any] = {name: now[name] for name in _ALWAYS_WRITTEN} | dict(written)
    return CustomerRow.model_construct(set(values), **values)

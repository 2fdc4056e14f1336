"""A plugin for tests: a shop whose bills live in memory, so that what an import applies can be seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kernel import (
    Batch,
    Connection,
    Money,
    Plugin,
    PolishDate,
    PositiveMoney,
    RawRow,
    Record,
    Refused,
    Source,
    Text,
    hookimpl,
)

plugin = Plugin(api=1, requires=("importers",))


class BillRow(BaseModel):
    """A bill."""

    number: str = Field(min_length=1, max_length=10)
    customer: str
    amount: PositiveMoney
    due_on: PolishDate | None = None
    note: str = ""


class ListSettings(BaseModel):
    """The rows themselves stand in the profile."""

    model_config = ConfigDict(extra="forbid")

    shelf: str = "bills"


SHELVES: dict[str, dict[str, list[dict[str, object]]]] = {}
"""What the source «shelf» holds: rows by table, by shelf."""
COLUMNS = ["BillId", "First", "Last", "Amount", "note"]
APPLIED: dict[str, BillRow] = {}
BATCHES: list[Batch] = []
REFUSE: list[str] = []


async def apply(conn: Connection, batch: Batch) -> None:
    """Keep the bills in memory; refuse numbers named in REFUSE."""
    BATCHES.append(batch)
    for row in batch.new:
        assert row.external_id not in APPLIED
        _keep(row.external_id, row.data)
    for change in batch.changed:
        assert APPLIED.get(change.external_id) in (change.before, None), "None: it was gone and has come back"
        _keep(change.external_id, change.after)
    for row in batch.missing:
        assert APPLIED.pop(row.external_id) == row.data


async def revert(conn: Connection, batch: Batch) -> Sequence[str]:
    """Undo a batch; bills that differ from what was applied were changed by people."""
    kept: list[str] = []
    for row in batch.new:
        if APPLIED.get(row.external_id) == row.data:
            del APPLIED[row.external_id]
        else:
            kept.append(row.external_id)
    for change in batch.changed:
        if APPLIED.get(change.external_id) == change.after:
            _keep(change.external_id, change.before)
        else:
            kept.append(change.external_id)
    for row in batch.missing:
        _keep(row.external_id, row.data)
    return kept


def _keep(key: str, row: BaseModel) -> None:
    assert isinstance(row, BillRow)
    if row.number in REFUSE:
        raise Refused(Text("The bill {number} is refused", {"number": row.number}))
    APPLIED[key] = row


async def discover(settings: ListSettings) -> Mapping[str, Sequence[str]]:
    """The tables of a shelf."""
    return {table: list(rows[0]) if rows else COLUMNS for table, rows in SHELVES[settings.shelf].items()}


async def stream(settings: ListSettings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The rows of a table in parts of seven."""
    rows: list[dict[str, Any]] = SHELVES[settings.shelf][query]
    for start in range(0, len(rows), 7):
        yield rows[start : start + 7]


@hookimpl
def register_records() -> Iterable[Record]:
    yield Record("shop.bill", Text("Bill"), BillRow, apply, money="amount", revert=revert)


@hookimpl
def register_sources() -> Iterable[Source]:
    yield Source("shelf", Text("Shelf"), ListSettings, discover, stream)


def total() -> Money:
    """The sum of all bills."""
    return Money.total(row.amount for row in APPLIED.values())

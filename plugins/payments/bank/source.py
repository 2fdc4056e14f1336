"""Bank files as a source of imports: one row for each line, with what is known of its statement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from kernel import Money, RawRow, SourceError
from plugins.payments.bank.statement import BankFileError, BankFormat, Statement, line_keys, refusal

COLUMNS: Final = (
    "line_key", "account", "statement", "currency", "line_no", "value_date", "booked_on", "amount", "direction",
    "is_reversal", "party_name", "party_account", "paid_to", "title", "reference", "end_to_end", "raw",
)  # fmt: skip
ROWS: Final = 1000


def tables(path: Path) -> Mapping[str, Sequence[str]]:
    """The one table of a bank file. Raises SourceError."""
    if not path.exists():
        raise SourceError(f"There is no file {path}")
    return {"lines": list(COLUMNS)}


async def lines(kind: BankFormat, path: Path) -> AsyncIterator[Sequence[RawRow]]:
    """The lines of a bank file, a thousand at a time. Raises SourceError for a statement that must not be booked."""
    rows = _rows(kind, path)
    while part := await asyncio.to_thread(lambda: list(islice(rows, ROWS))):
        yield part


def _rows(kind: BankFormat, path: Path) -> Iterator[RawRow]:
    files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
    for file in files:
        try:
            with file.open("rb") as opened:
                for statement in kind.read(opened):
                    problem = refusal(statement)
                    if problem is not None:
                        raise SourceError(f"{file}: {problem}")
                    yield from _lines(statement)
        except BankFileError as error:
            raise SourceError(f"{file}: {error.message}") from error
        except OSError as error:
            raise SourceError(f"{file} cannot be read: {error.strerror}") from error


def _lines(statement: Statement) -> Iterator[RawRow]:
    keys = line_keys(statement)
    for number, (key, line) in enumerate(zip(keys, statement.lines, strict=True), 1):
        yield {
            "line_key": key,
            "account": statement.account,
            "statement": statement.number,
            "currency": statement.currency,
            "line_no": number,
            "value_date": line.value_date.isoformat(),
            "booked_on": line.booked_on.isoformat(),
            "amount": Money(abs(line.amount)).plain,
            "direction": "in" if line.amount > 0 else "out",
            "is_reversal": "1" if line.is_reversal else "",
            "party_name": line.party_name,
            "party_account": line.party_account,
            "paid_to": line.paid_to,
            "title": line.title,
            "reference": line.reference,
            "end_to_end": line.end_to_end,
            "raw": line.raw,
        }

"""Bank statements in camt.053 (ISO 20022): a format of bank files, and a source of imports."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from kernel import Extension, Plugin, RawRow, Source, _, hookimpl
from plugins.importers import SourcePath
from plugins.importers.camt053.model import Camt053
from plugins.payments import bank_lines, bank_tables

plugin = Plugin(api=1, requires=("importers", "payments"))


class Settings(BaseModel):
    """``[source] kind = "camt053"``: a file, or a directory of files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: SourcePath


async def discover(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The one table: lines of statements."""
    return bank_tables(settings.path)


async def stream(settings: Settings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The lines, a thousand at a time; there is nothing else to ask for. Raises SourceError."""
    async for rows in bank_lines(Camt053(), settings.path):
        yield rows


@hookimpl
def register_extensions() -> Iterable[Extension]:
    yield Extension("payments.bank_format", "camt053.statement", Camt053())


@hookimpl
def register_sources() -> Iterable[Source]:
    yield Source("camt053", _("camt.053 bank file"), Settings, discover, stream)

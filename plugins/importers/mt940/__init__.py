"""Bank statements in MT940 and MT942: a format of bank files, and a source of imports."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from kernel import Extension, Plugin, RawRow, Source, _, hookimpl
from plugins.importers import SourcePath
from plugins.importers.mt940.model import Mt940
from plugins.payments import bank_lines, bank_tables

plugin = Plugin(api=1, requires=("importers", "payments"))


class Settings(BaseModel):
    """``[source] kind = "mt940"``: a file, or a directory of files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: SourcePath


async def discover(settings: Settings) -> Mapping[str, Sequence[str]]:
    """The one table: lines of statements."""
    return bank_tables(settings.path)


async def stream(settings: Settings, query: str) -> AsyncIterator[Sequence[RawRow]]:
    """The lines, a thousand at a time; there is nothing else to ask for. Raises SourceError."""
    async for rows in bank_lines(Mt940(), settings.path):
        yield rows


@hookimpl
def register_extensions() -> Iterable[Extension]:
    yield Extension("payments.bank_format", "mt940.statement", Mt940())


@hookimpl
def register_sources() -> Iterable[Source]:
    yield Source("mt940", _("MT940 bank file"), Settings, discover, stream)

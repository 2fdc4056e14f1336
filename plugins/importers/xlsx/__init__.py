"""Spreadsheets (XLSX, XLS, ODS) as a source of imports."""

from collections.abc import Iterable

from kernel import Plugin, Source, _, hookimpl
from plugins.importers.xlsx.reading import Settings, discover, stream

plugin = Plugin(api=1, requires=("importers",))


@hookimpl
def register_sources() -> Iterable[Source]:
    yield Source("xlsx", _("Spreadsheet (XLSX, XLS, ODS)"), Settings, discover, stream)

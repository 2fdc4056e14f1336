"""DBF files (dBase, Clipper, FoxPro) as a source of imports."""

from collections.abc import Iterable

from kernel import Plugin, Source, _, hookimpl
from plugins.importers.dbf.reading import Settings, discover, stream

plugin = Plugin(api=1, requires=("importers",))


@hookimpl
def register_sources() -> Iterable[Source]:
    yield Source("dbf", _("DBF files (dBase, Clipper, FoxPro)"), Settings, discover, stream)

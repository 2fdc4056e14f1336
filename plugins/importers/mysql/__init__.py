"""MySQL and MariaDB as a source of imports."""

from collections.abc import Iterable

from kernel import Plugin, Source, _, hookimpl
from plugins.importers.mysql.reading import Settings, discover, stream

plugin = Plugin(api=1, requires=("importers",))


@hookimpl
def register_sources() -> Iterable[Source]:
    yield Source("mysql", _("MySQL or MariaDB"), Settings, discover, stream)

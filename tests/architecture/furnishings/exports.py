"""One of everything of exports, for the office with one of everything."""

from datetime import timedelta

from kernel import Connection
from kernel.site import Site
from plugins.exports import store
from plugins.exports.model import COMPLETE


async def furnish(site: Site, conn: Connection, user: int) -> dict[str, list[str]]:
    """A file that is ready, one in the making, one that could not be made and an archive; every set there is."""
    kept = timedelta(days=7)
    sets = list(site.registry.exports)
    if not sets:
        return {"export_set": ["exports.none"], "made_export": [str(await _archive(conn, user, kept))]}
    ready, working, wrong = [await store.add(conn, sets[0], "csv", {}, "wykaz.csv", user, kept) for _number in range(3)]
    for number in (ready, working, wrong):
        attempt = await store.claim(conn, number)
        assert attempt is not None
        await store.add_piece(conn, number, attempt, 0, b"name\r\n", 0, 10)
        if number == ready:
            await store.ready(conn, number, attempt, 10)
        elif number == wrong:
            await store.failed(conn, number, attempt)
    numbers = [ready, working, wrong, await _archive(conn, user, kept)]
    return {"export_set": sets, "made_export": [str(number) for number in numbers]}


async def _archive(conn: Connection, user: int, kept: timedelta) -> int:
    return await store.add(conn, COMPLETE, "archive", {}, "archiwum.zip", user, kept)

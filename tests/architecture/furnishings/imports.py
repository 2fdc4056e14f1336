"""A profile of imports that the office made, with the file to look at."""

from kernel import Connection
from plugins.importers import store

PROFILE = """[profile]
name = "wykaz"
title = "Wykaz klientów"

[source]
kind = "csv"

[[entity]]
record = "customers.customer"
table = "wykaz"
key = "id"

[entity.fields]
customer_no = "number"
name = "name"
"""


async def furnish(conn: Connection) -> dict[str, list[str]]:
    """What the parameters of this part's paths stand for."""
    await store.add_profile(conn, "wykaz", "Wykaz klientów", PROFILE, ("wykaz.csv", b"id;number;name\n1;I1;Anna\n"))
    return {"import_profile": ["wykaz"]}

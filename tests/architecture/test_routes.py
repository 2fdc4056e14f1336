"""Every route × every kind of visitor, with real calls: who is let in, who is sent away, and that nothing changes then.

The matrix follows from the registry. A route with a path parameter that is not known here fails the test: a new route
cannot slip by.
"""

import re
from collections.abc import Mapping

import pytest

from kernel.db.pool import Stamp
from kernel.people import store as people
from kernel.people.model import CustomerData
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import PUBLIC, Role
from kernel.testing import Office, registry_of

REGISTRY = registry_of()
ROUTES = sorted(REGISTRY.routes.values(), key=lambda route: (route.path, route.method))
ROLES: tuple[Role | None, ...] = (None, *Role)
MISSING = "9007199254740991"
# What a parameter is filled with when the route belongs to everybody who may see it.
KNOWN_PARAMETERS = {
    "customer",
    "entry",
    "user",
    "session",
    "job",
    "plugin",
    "reference",
    "token",
    "run",
    "owner",
    "path",
    "point",
    "service_point",
    "account",
    "charge",
    "kind",
    "entity",
    "page",
}


def parameters(route: Route) -> list[str]:
    return re.findall(r"\{(\w+)", route.path)


def filled(route: Route, values: Mapping[str, str]) -> str:
    return re.sub(
        r"\{(\w+)(?::[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}", lambda match: values.get(match[1], MISSING), route.path
    )


def test_every_parameter_is_known() -> None:
    unknown = {name for route in ROUTES for name in parameters(route)} - KNOWN_PARAMETERS
    assert not unknown, f"say in this test what {unknown} stands for"


def test_every_route_names_a_known_permission() -> None:
    for route in ROUTES:
        assert route.permission == PUBLIC or route.permission in REGISTRY.permissions, route.name


def test_pages_for_everybody_are_few_and_listed() -> None:
    """Whoever opens a page to the world says so here as well."""
    public = {route.name for route in ROUTES if route.permission == PUBLIC}
    assert public <= {
        "kernel.home",
        "kernel.login",
        "kernel.login.send",
        "kernel.login.code",
        "kernel.login.code.send",
        "kernel.logout",
        "kernel.reset",
        "kernel.reset.send",
        "kernel.reset.link",
        "kernel.reset.link.send",
        "kernel.preferences",
        "kernel.accessibility",
        "kernel.livez",
        "kernel.readyz",
        "kernel.openapi",
        "kernel.static",
    }, public


async def fingerprint(office: Office) -> dict[str, object]:
    """What the database holds, table by table; sessions and the queue live their own lives."""
    lively = {"kernel.session", "kernel.attempt", "kernel.throttle", "kernel.known_device", "kernel.idempotency_key"}
    async with office.site.db.connection() as conn:
        tables = await conn.fetch(
            "select schemaname || '.' || tablename as name from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema') order by 1"
        )
        counted = {}
        for row in tables:
            if row["name"] in lively or "pgqueuer" in row["name"]:
                continue
            statement = f"select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) from {row['name']} t"  # noqa: S608
            counted[row["name"]] = tuple((await conn.fetchrow(statement)).values())  # pyright: ignore
    return counted


@pytest.fixture
async def people_there(office: Office) -> dict[str, int]:
    async with office.site.db.transaction(Stamp("test")) as conn:
        own = await people.add_customer(conn, CustomerData(customer_no="1", name="Anna Nowak"))
        foreign = await people.add_customer(conn, CustomerData(customer_no="2", name="Jan Kowalski"))
    return {"own": own, "foreign": foreign}


async def test_the_matrix(office: Office, people_there: dict[str, int]) -> None:
    wrong: list[str] = []
    for role in ROLES:
        customers = [people_there["own"]] if role is Role.CUSTOMER else []
        for route in ROUTES:
            permitted = route.permission == PUBLIC or (
                role is not None and role in REGISTRY.permissions[route.permission].roles
            )
            needs_mode = route.permission != PUBLIC and REGISTRY.permissions[route.permission].superadmin_mode
            if permitted and not needs_mode:
                continue
            visitor = await _fresh(office, role, customers)
            before = await fingerprint(office)
            path = filled(route, {"customer": str(people_there["own"])})
            answer = await visitor.send(route.method, path, data={} if route.method != "GET" else None)
            expected = _refusal(route, role)
            if answer.status not in expected:
                wrong.append(f"{role or 'anonymous'} {route.method} {path}: {answer.status}, not {expected}")
            if answer.status == 303 and "/login" not in answer.headers.get("Location", ""):
                wrong.append(f"{role or 'anonymous'} {route.method} {path}: sent to {answer.headers.get('Location')}")
            if await fingerprint(office) != before:
                wrong.append(f"{role or 'anonymous'} {route.method} {path}: refused, and yet it changed the database")
    assert not wrong, "\n".join(wrong)


_VISITORS: dict[tuple[int, Role | None], object] = {}


async def _fresh(office: Office, role: Role | None, customers: list[int]):
    key = (id(office), role)
    if key not in _VISITORS:
        _VISITORS[key] = await office.visitor(role, *customers)
    return _VISITORS[key]


def _refusal(route: Route, role: Role | None) -> set[int]:
    if role is not None:
        return {403}
    return {401} if route.path.startswith("/api/") else {303}


async def test_everybody_sees_the_pages_they_may(office: Office, people_there: dict[str, int]) -> None:
    """Pages without parameters answer 200 (or lead on) to whoever holds the permission; never 500."""
    wrong: list[str] = []
    for role in ROLES:
        visitor = await office.visitor(role, *([people_there["own"]] if role is Role.CUSTOMER else []), mode=True)
        for route in ROUTES:
            permitted = route.permission == PUBLIC or (
                role is not None and role in REGISTRY.permissions[route.permission].roles
            )
            if not permitted or route.method != "GET" or parameters(route):
                continue
            answer = await visitor.get(route.path)
            if answer.status not in {200, 303, 404, 503}:
                wrong.append(f"{role or 'anonymous'} GET {route.path}: {answer.status}")
            if route.method == "GET" and answer.status == 200:
                head = await visitor.send("HEAD", route.path)
                if head.status != answer.status:
                    wrong.append(f"{role or 'anonymous'} HEAD {route.path}: {head.status}")
    assert not wrong, "\n".join(wrong)


async def test_foreign_and_missing_ids_look_the_same(office: Office, people_there: dict[str, int]) -> None:
    """A customer who names another's id, or one that does not exist, gets 404 and changes nothing."""
    visitor = await office.visitor(Role.CUSTOMER, people_there["own"])
    wrong: list[str] = []
    for route in ROUTES:
        if not parameters(route) or route.permission == PUBLIC:
            continue
        if Role.CUSTOMER not in REGISTRY.permissions[route.permission].roles:
            continue
        before = await fingerprint(office)
        for value in (MISSING, str(people_there["foreign"]), "99999999999999999999"):
            path = filled(route, dict.fromkeys(parameters(route), value))
            answer = await visitor.send(route.method, path, data={} if route.method != "GET" else None)
            if answer.status not in {404, 422}:
                wrong.append(f"{route.method} {path}: {answer.status}")
        if await fingerprint(office) != before:
            wrong.append(f"{route.method} {route.path}: a foreign id changed the database")
    assert not wrong, "\n".join(wrong)


async def test_ids_that_no_office_has_are_404_for_the_office_too(office: Office, people_there: dict[str, int]) -> None:
    visitor = await office.visitor(Role.SUPERADMIN, mode=True)
    wrong: list[str] = []
    for route in ROUTES:
        if route.method != "GET" or not parameters(route) or route.permission == PUBLIC:
            continue
        for value in (MISSING, "99999999999999999999"):
            answer = await visitor.get(filled(route, dict.fromkeys(parameters(route), value)))
            if answer.status not in {404}:
                wrong.append(f"GET {filled(route, dict.fromkeys(parameters(route), value))}: {answer.status}")
    assert not wrong, "\n".join(wrong)

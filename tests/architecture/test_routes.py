"""Every route × every kind of visitor, with real calls: who is let in, who is sent away, and that nothing changes then.

The matrix follows from the registry. A route with a path parameter that ``furnished`` has nothing for, and a page open
to the world that is not listed here, fail: a new route cannot slip by.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from kernel.plugin.contracts import Route
from kernel.plugin.permissions import PUBLIC, Role
from kernel.testing import Page, Visitor, registry_of
from tests.architecture.furnished import MISSING, TOO_LARGE, Furnished, filled, parameters

REGISTRY = registry_of()
ROUTES = sorted(REGISTRY.routes.values(), key=lambda route: (route.path, route.method))
VISITORS: tuple[tuple[Role | None, bool], ...] = (
    (None, False),
    (Role.CUSTOMER, False),
    (Role.ADMIN, False),
    (Role.SUPERADMIN, False),
    (Role.SUPERADMIN, True),
)
LETTERS = {"reference", "token", "plugin"}
"""Parameters that are words: any that nobody has stands for a missing one."""
OPEN_TO_THE_WORLD = {
    "kernel.accessibility",
    "kernel.livez",
    "kernel.login",
    "kernel.login_post",
    "kernel.login_code",
    "kernel.login_code_post",
    "kernel.logout",
    "kernel.openapi",
    "kernel.preferences",
    "kernel.preferences_page",
    "kernel.readyz",
    "kernel.reset",
    "kernel.reset_post",
    "kernel.reset_link",
    "kernel.reset_link_post",
}
TELLS_NOBODY = {"kernel.reset_link"}
"""Pages that look the same for a secret that is right and for one that is not."""
LIVELY = {"kernel.session", "kernel.throttle", "kernel.known_device", "kernel.idempotency_key"}
"""Tables that live their own life: somebody was seen, somebody tried."""

in_the_module = pytest.mark.asyncio(loop_scope="module")
as_each = pytest.mark.parametrize(
    ("role", "mode"), VISITORS, ids=["anonymous", "customer", "admin", "superadmin", "superadmin-in-mode"]
)


# --- what is declared -----------------------------------------------------------------------------------------------


@in_the_module
async def test_every_parameter_is_known(furnished: Furnished) -> None:
    unknown = {
        f"{name} of {route.path}" for route in ROUTES for name in parameters(route) if name not in furnished.there
    }
    assert not unknown, f"let furnished.py have one of {unknown}"


def test_every_route_names_a_known_permission() -> None:
    assert all(route.permission == PUBLIC or route.permission in REGISTRY.permissions for route in ROUTES)


def test_pages_for_everybody_are_few_and_listed() -> None:
    """Whoever opens a page to the world says so here as well."""
    assert {route.name for route in ROUTES if route.permission == PUBLIC} == OPEN_TO_THE_WORLD


def test_every_permission_guards_something() -> None:
    """A right that no route asks for, and that no name in the sources mentions twice, is a door painted on a wall."""
    assert {route.permission for route in ROUTES} >= set(REGISTRY.permissions)


# --- who is sent away -----------------------------------------------------------------------------------------------


async def fingerprint(furnished: Furnished) -> dict[str, tuple[int, int]]:
    """What the database holds, table by table: a count and a sum of hashes."""
    async with furnished.office.site.db.connection() as conn:
        tables = await conn.fetch(
            "select schemaname || '.' || tablename as name from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema') order by 1"
        )
        names = [row["name"] for row in tables if row["name"] not in LIVELY]
        each = " union all ".join(
            f"select '{name}' as name, count(*) as rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text as sum"  # noqa: S608
            f" from {name} t"
            for name in names
        )
        return {row["name"]: (row["rows"], row["sum"]) for row in await conn.fetch(each)}  # pyright: ignore


async def send(visitor: Visitor, route: Route, path: str) -> Page:
    return await visitor.send(route.method, path, data=None if route.method == "GET" else {})


@as_each
@in_the_module
async def test_who_may_not_is_sent_away_and_nothing_changes(
    furnished: Furnished, role: Role | None, mode: bool
) -> None:
    """Anonymous: 303 to the login, on the API 401. Others: 403; so is the superadministrator outside the mode."""
    visitor = await furnished.visitor(role, mode=mode)
    before = await fingerprint(furnished)
    wrong: list[str] = []
    refused = 0
    for route in ROUTES:
        if furnished.may(role, route) and (mode or not furnished.needs_mode(route)):
            continue
        missing = {name: MISSING if name not in LETTERS else "n" * 43 for name in parameters(route)}
        for path in {*furnished.paths(route), filled(route, missing)}:
            refused += 1
            answer = await send(visitor, route, path)
            if role is not None:
                right = answer.status == 403
            elif route.path.startswith("/api/"):
                right = answer.status == 401
            else:
                right = answer.status == 303 and answer.headers["Location"].startswith("/login")
            if not right:
                wrong.append(f"{route.method} {path}: {answer.status} {answer.headers.get('Location', '')}")
            now = await fingerprint(furnished)
            if now != before:
                changed = [table for table in now if now[table] != before[table]]
                wrong.append(f"{route.method} {path} was refused, and yet it changed {changed}")
                before = now
    assert not wrong, "\n".join(wrong)
    assert refused > 3


# --- who is let in --------------------------------------------------------------------------------------------------


@as_each
@in_the_module
async def test_who_may_sees_every_page(furnished: Furnished, role: Role | None, mode: bool) -> None:
    """Each page of what is there answers 200 (or leads on), HEAD like GET; none of them changes anything."""
    visitor = await furnished.visitor(role, mode=mode)
    before = await fingerprint(furnished)
    wrong: list[str] = []
    for route in ROUTES:
        if route.method != "GET" or not furnished.may(role, route) or (furnished.needs_mode(route) and not mode):
            continue
        answers = {path: await visitor.get(path) for path in furnished.paths(route)}
        for path, answer in answers.items():
            if answer.status not in {200, 303, 404}:
                wrong.append(f"GET {path}: {answer.status}")
            head = await visitor.send("HEAD", path)
            if (head.status, head.content) != (answer.status, b""):
                wrong.append(f"HEAD {path}: {head.status}, GET: {answer.status}")
        if not any(answer.status in {200, 303} for answer in answers.values()):
            wrong.append(f"{route.path} shows nothing of what is there: {[a.status for a in answers.values()]}")
    assert not wrong, "\n".join(wrong)
    after = await fingerprint(furnished)
    assert [table for table in after if after[table] != before[table]] == []


ROLES_THAT_POST = [(role, mode) for role, mode in VISITORS if role is not Role.SUPERADMIN or mode]


@pytest.mark.parametrize(
    ("role", "mode"), ROLES_THAT_POST, ids=[str(role or "anonymous") for role, _ in ROLES_THAT_POST]
)
async def test_an_empty_form_is_refused_or_done_and_never_breaks(
    fresh: Furnished, role: Role | None, mode: bool
) -> None:
    """Every form, sent with nothing in it, by whoever may send it: a refusal changes nothing.

    Administrators do not touch a superadministrator (403).
    """
    wrong: list[str] = []
    superadministrator = fresh.there["id"][-1]
    before = await fingerprint(fresh)
    for route in ROUTES:
        if route.method == "GET" or not fresh.may(role, route):
            continue
        visitor = await fresh.newcomer(role, mode=mode)
        before = await fingerprint(fresh)
        for path in fresh.paths(route):
            answer = await send(visitor, route, path)
            now = await fingerprint(fresh)
            above = role is Role.ADMIN and path.startswith(f"/admin/users/{superadministrator}")
            if answer.status not in ({403, 422} if above else {200, 303, 404, 409, 422}):
                wrong.append(f"{route.method} {path}: {answer.status}")
            if answer.status >= 400 and now != before:
                changed = [table for table in now if now[table] != before[table]]
                wrong.append(f"{route.method} {path}: {answer.status}, and yet it changed {changed}")
            before = now
    assert not wrong, "\n".join(wrong)


# --- what belongs to others, and what is not there ------------------------------------------------------------------


def combinations(names: Sequence[str], own: dict[str, str], other: dict[str, str]) -> list[dict[str, str]]:
    """Every way to fill the names with at least one of ``other``, the rest of ``own``."""
    ways = itertools.product(*((own[name], other[name]) for name in names))
    made = [dict(zip(names, way, strict=True)) for way in ways]
    return [values for values in made if any(values[name] == other[name] for name in names)]


@as_each
@in_the_module
async def test_what_is_not_there_is_404(furnished: Furnished, role: Role | None, mode: bool) -> None:
    """Also ids that no database could hold; forms may be refused (422) before anybody looks."""
    visitor = await furnished.visitor(role, mode=mode)
    before = await fingerprint(furnished)
    wrong: list[str] = []
    for route in ROUTES:
        names = parameters(route)
        if not names or not furnished.may(role, route) or (furnished.needs_mode(route) and not mode):
            continue
        if route.name in TELLS_NOBODY:
            continue
        own = {name: furnished.there[name][0] for name in names}
        for number in (MISSING, TOO_LARGE, "0"):
            none = {name: number if name not in LETTERS else "n" * 43 for name in names}
            for values in combinations(names, own, none):
                path = filled(route, values)
                answer = await send(visitor, route, path)
                if answer.status not in ({404} if route.method == "GET" else {404, 422}):
                    wrong.append(f"{route.method} {path}: {answer.status}")
    after = await fingerprint(furnished)
    assert not wrong, "\n".join(wrong)
    assert after == before


@in_the_module
async def test_what_is_anothers_is_404(furnished: Furnished) -> None:
    """A customer who names another's thing sees what is seen when there is none; the office's pairs must fit."""
    before = await fingerprint(furnished)
    wrong: list[str] = []
    tried = 0
    for role in (Role.CUSTOMER, Role.SUPERADMIN):
        visitor = await furnished.visitor(role, mode=role is Role.SUPERADMIN)
        for route in ROUTES:
            names = [name for name in parameters(route) if name in furnished.others]
            if not names or not furnished.may(role, route) or (role is not Role.CUSTOMER and len(names) < 2):
                continue
            own, other = ({name: of[name][0] for name in names} for of in (furnished.there, furnished.others))
            for values in combinations(names, own, other):
                if role is not Role.CUSTOMER and values == other:
                    continue  # another customer's pair is a pair
                path = filled(route, values)
                answer = await send(visitor, route, path)
                tried += 1
                if answer.status not in ({404} if route.method == "GET" else {404, 422}):
                    wrong.append(f"{role} {route.method} {path}: {answer.status}")
    assert tried >= 5
    assert not wrong, "\n".join(wrong)
    assert await fingerprint(furnished) == before


@in_the_module
async def test_another_customer_cannot_be_put_in_view(furnished: Furnished) -> None:
    anna = await furnished.newcomer(Role.CUSTOMER)
    for customer in (str(furnished.foreign), MISSING):
        assert (await anna.post("/switch-customer", {"customer": customer})).status == 404
    assert (await anna.get("/api/v1/balance")).json()["customer"] == furnished.own


@in_the_module
async def test_a_login_without_a_customer_has_nothing_to_see(furnished: Furnished) -> None:
    """A customer's login whose grants ended: the portal stands, and shows nobody's figures."""
    nobody = await furnished.office.visitor(Role.CUSTOMER)
    wrong: list[str] = []
    for route in ROUTES:
        if route.method == "GET" and furnished.may(Role.CUSTOMER, route):
            for path in furnished.paths(route):
                answer = await nobody.get(path)
                if answer.status not in {200, 303, 404} or "Anna Nowak" in answer.content.decode("utf-8", "replace"):
                    wrong.append(f"GET {path}: {answer.status}")
    assert not wrong, "\n".join(wrong)

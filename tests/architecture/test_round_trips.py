"""What a page asks of the database: few questions, bounded answers, and nothing while it renders."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from kernel.db import migrate
from kernel.plugin.manager import Contribution, HookCaller
from kernel.plugin.permissions import PUBLIC, Role
from kernel.testing import Cluster, Visitor, registry_of
from kernel.web import errors, routing, templating
from tests.architecture.furnished import Furnished, furnished_office

MOST = 3
"""Round trips of a page, the session's among them; one more for each plugin that contributes a part."""
MANY = 300
FEW = 60
"""More than a page of any list shows: from here on nothing may grow."""

in_the_module = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowded(cluster: Cluster) -> AsyncIterator[Furnished]:
    """The same office with many customers, each with a history."""
    async with furnished_office(cluster, registry_of(), crowd=MANY) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet(cluster: Cluster) -> AsyncIterator[Furnished]:
    """The same office with a few customers."""
    async with furnished_office(cluster, registry_of(), crowd=FEW) as made:
        yield made


@dataclass(slots=True)
class Watched:
    """What one request made the database and the plugins do."""

    statements: int = 0
    rows: int = 0
    size: int = 0
    asked: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list[tuple[str, tuple[Any, ...]]])
    contributors: set[str] = field(default_factory=set[str])

    @property
    def allowed(self) -> int:
        return MOST + len(self.contributors)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Counts rows that came back, and names the plugins whose parts a page shows; settings stay in memory."""
    monkeypatch.setattr(sys.modules["kernel.settings"], "TTL", math.inf)
    seen = Watched()
    contribute = HookCaller.contribute

    async def noting(self: HookCaller, hook: str, /, **arguments: Any) -> list[Contribution]:
        gathered = await contribute(self, hook, **arguments)
        seen.contributors |= {one.plugin for one in gathered if one.items}
        return gathered

    execute = asyncpg.Connection._execute  # pyright: ignore[reportAttributeAccessIssue]

    async def counting(self: Any, query: str, arguments: Any, *others: Any, **options: Any) -> Any:
        result = await execute(self, query, arguments, *others, **options)
        seen.rows += len(result[0] if isinstance(result, tuple) else result or ())
        seen.asked.append((query, tuple(arguments)))
        return result

    monkeypatch.setattr(HookCaller, "contribute", noting)
    monkeypatch.setattr(asyncpg.Connection, "_execute", counting)
    return seen


async def visit(furnished: Furnished, visitor: Visitor, path: str, seen: Watched) -> Watched:
    """One request, with what was known before (the organisation's settings, prepared statements) known."""
    await visitor.get(path)
    seen.statements, seen.rows, seen.asked, seen.contributors = -furnished.office.site.db.statements, 0, [], set()
    answer = await visitor.get(path)
    assert answer.status in {200, 303, 404}, path
    seen.statements += furnished.office.site.db.statements
    return Watched(seen.statements, seen.rows, len(answer.content), [*seen.asked], {*seen.contributors})


async def tour(furnished: Furnished, seen: Watched) -> dict[tuple[Role, str, str], Watched]:
    """What every page of every role takes."""
    taken: dict[tuple[Role, str, str], Watched] = {}
    for role in Role:
        visitor = await furnished.visitor(role, mode=role is Role.SUPERADMIN)
        for route in furnished.routes("GET"):
            if furnished.may(role, route) and (route.permission != PUBLIC or role is Role.CUSTOMER):
                for path in furnished.paths(route):
                    taken[role, route.name, path] = await visit(furnished, visitor, path, seen)
    return taken


@in_the_module
async def test_a_page_takes_three_round_trips_and_one_for_each_contributing_plugin(
    quiet: Furnished, watched: Watched
) -> None:
    taken = await tour(quiet, watched)
    table = [
        f"{one.statements} of {one.allowed}  {one.rows:4} rows  {role:10} {path}  {' '.join(sorted(one.contributors))}"
        for (role, _name, path), one in taken.items()
    ]
    sys.stdout.write("\n".join(sorted(table, reverse=True)))
    assert len(taken) > 60
    over = [
        line
        for line, ((_role, name, _path), one) in zip(table, taken.items(), strict=True)
        if one.statements > one.allowed + (name in ASKS_ONE_MORE)
    ]
    assert not over, "\n".join(over)


@in_the_module
async def test_no_page_grows_with_the_customers_or_their_history(
    quiet: Furnished, crowded: Furnished, watched: Watched
) -> None:
    """Five times the customers and entries: as many round trips, rows and (nearly) bytes as before."""
    few, many = await tour(quiet, watched), await tour(crowded, watched)
    grown = [
        f"{role} {path}: {before.statements} round trips, {before.rows} rows, {before.size} bytes;"
        f" with {MANY} customers {after.statements} round trips, {after.rows} rows, {after.size} bytes"
        for ((role, name, path), before), after in zip(few.items(), many.values(), strict=True)
        if (after.statements, after.rows) != (before.statements, before.rows)
        or (after.size > 1.1 * before.size and name not in SHOWS_ALL)
    ]
    assert not grown, "\n".join(grown)


ASKS_ONE_MORE: dict[str, str] = {
    "kernel.customer": "the ledger tells how the customer stands, shows the accounts, and what happened day by day",
    "payments.list": "the register contributes the groups to filter by, through a port",
}
"""Pages that ask once more than the rule allows, and why that is bearable."""
_STATEMENT = "a statement lists its period whole, to a limit: what is printed is the document"
SHOWS_ALL: dict[str, str] = {
    "payments.explain_statement": _STATEMENT,
    "payments.explain_statement_pdf": _STATEMENT,
    "payments.explain_account_statement": _STATEMENT,
    "payments.explain_account_statement_pdf": _STATEMENT,
}
"""Pages that show more the more there is, and why that is bearable."""
_OWN_HISTORY = "the past of one account is the sum of its own entries"
_OWN_DAY = "a line of the timeline sums that day's entries of the customer's own accounts"
READS_ALL: dict[str, str] = {
    "kernel.customer": _OWN_DAY,
    "kernel.customer_timeline": _OWN_DAY,
    "payments.explain_why": _OWN_HISTORY,
    "payments.explain_past": _OWN_HISTORY,
    "payments.explain_account": _OWN_HISTORY,
    "payments.explain_history": _OWN_HISTORY,
    "payments.delete_account_ask": "it counts what of one account would be voided",
    **dict.fromkeys(SHOWS_ALL, _OWN_HISTORY),
    "payments.suspense_line": "it weighs what is open on the accounts it proposes, and nobody else's",
    "customers.group": "a rule may ask for what no index knows, and then looks until the page is full",
    "customers.group_sums": "it counts and sums all members of a group, which is what its button says",
    "payments.confirm_approve": "it sums every draft that one click would approve, ten thousand at most",
}
"""Pages that read more the more there is, and why that is bearable."""


@in_the_module
async def test_no_statement_reads_more_the_more_there_is(
    quiet: Furnished, crowded: Furnished, watched: Watched
) -> None:
    """What the server's plans touch, not only what they return: an index stands under every question of a page."""
    few, many = await tour(quiet, watched), await tour(crowded, watched)
    read = {id(office): await plans(office, taken) for office, taken in ((quiet, few), (crowded, many))}
    grown: set[str] = set()
    for ((_role, name, _path), before), after in zip(few.items(), many.values(), strict=True):
        for (query, given), (_query, given_many) in zip(before.asked, after.asked, strict=True):
            less, more = read[id(quiet)][query, repr(given)], read[id(crowded)][query, repr(given_many)]
            if more > 1.5 * less + 20 and name not in READS_ALL:
                grown.add(f"{name} touches {less} rows, with {MANY} customers {more}: {' '.join(query.split())[:160]}")
    assert not grown, "\n".join(sorted(grown))


async def plans(office: Furnished, taken: Mapping[Any, Watched]) -> dict[tuple[str, str], int]:
    """How many rows the scans of each statement touch when the planner looks for indexes first."""
    touched: dict[tuple[str, str], int] = {}
    connection = await migrate.connect(office.office.site.owner_dsn)
    try:
        await connection.execute("vacuum analyze")  # as the server does by itself when rows have changed
        await connection.execute("set enable_seqscan = off; set enable_bitmapscan = off")
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        for one in taken.values():
            for query, given in one.asked:
                if (query, repr(given)) not in touched:
                    plan = await connection.fetchval(f"explain (analyze, format json) {query}", *given)
                    touched[query, repr(given)] = scanned(json.loads(plan)[0]["Plan"])
    finally:
        await connection.close()
    return touched


def scanned(node: Mapping[str, Any]) -> int:
    """The rows that the scans below a node touched, kept or not."""
    own = 0
    if "Scan" in node["Node Type"]:
        kept = (
            node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        )
        own = round(kept * node["Actual Loops"])
    return own + sum(scanned(inner) for inner in node.get("Plans", ()))


@in_the_module
async def test_no_connection_is_held_while_a_page_renders(quiet: Furnished, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = await quiet.office.site.db.open()
    rendered, held = 0, set[str]()
    render = templating.render

    def watching(request: Any, template: str, context: Any) -> str:
        nonlocal rendered
        rendered += 1
        if pool.get_size() != pool.get_idle_size():
            held.add(template)
        return render(request, template, context)

    for module in (templating, routing, errors.templating):
        monkeypatch.setattr(module, "render", watching)
    for role in (None, *Role):
        visitor = await quiet.visitor(role, mode=role is Role.SUPERADMIN)
        for route in quiet.routes("GET"):
            if quiet.may(role, route):
                for path in quiet.paths(route):
                    await visitor.get(path)
    admin = await quiet.visitor(Role.ADMIN)
    assert (await admin.post("/admin/payments/new", {"amount": "1e3"})).status == 422, "a form shown again"
    assert (await admin.get("/admin/nowhere")).status == 404
    assert rendered > 100
    assert not held

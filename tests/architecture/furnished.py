"""A whole office with one of everything in it, so that every address of the product leads somewhere real."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from kernel import Connection, Money, Text
from kernel.auth import api_tokens
from kernel.auth import store as auth
from kernel.auth.tokens import new_token
from kernel.db.pool import Stamp
from kernel.jobs import enqueue
from kernel.mail import send_mail
from kernel.people import store as people
from kernel.people.model import CustomerData, ServicePointData
from kernel.plugin.contracts import DemoPlan, Route
from kernel.plugin.permissions import PUBLIC, Role
from kernel.plugin.registry import Registry
from kernel.site import Site
from kernel.testing import Cluster, Office, Visitor, opened_office, opened_site
from plugins.importers import engine
from plugins.importers import store as imports
from plugins.importers.profile import read_profile
from plugins.payments import Side
from plugins.payments import store as ledger
from plugins.payments.books import store as payees
from plugins.payments.store import Draft
from tests.architecture.furnishings import (
    bank,
    books,
    charging,
    desk,
    explain,
    exports,
    groups,
    interest,
    register,
    suspense,
    till,
)
from tests.architecture.furnishings import (
    imports as importing,
)

MISSING = "9007199254740991"
TOO_LARGE = "99999999999999999999"
ACCOUNT_NO = "29101010100012345600004711"
CUSTOMERS = """
[profile]
name = "wykaz"
title = "Wykaz"
max_bad = 100
[source]
kind = "csv"
path = "register.csv"
[[entity]]
record = "customers.customer"
table = "register"
key = "id"
[entity.fields]
customer_no = "number"
name = "name"
"""
_PARAMETER = re.compile(r"\{(\w+)(?::((?:[^{}]|\{[^{}]*\})*))?\}")


def parameters(route: Route) -> list[str]:
    """The names of a path's parameters."""
    return [name for name, _pattern in _PARAMETER.findall(route.path)]


def filled(route: Route, values: Mapping[str, str]) -> str:
    """The route's path with ``values`` in it."""
    return _PARAMETER.sub(lambda match: values[match[1]], route.path)


@dataclass(frozen=True, slots=True)
class Furnished:
    """``own`` is the customer of the visitors of role customer, ``foreign`` another one.

    ``there`` says for every path parameter what it stands for: things that are there, of ``own`` where they are a
    customer's. ``others`` holds the same of ``foreign``.
    """

    office: Office
    own: int
    foreign: int
    there: Mapping[str, Sequence[str]]
    others: Mapping[str, Sequence[str]]
    visitors: dict[tuple[Role | None, bool], Visitor] = field(default_factory=dict[tuple[Role | None, bool], Visitor])

    @property
    def registry(self) -> Registry:
        return self.office.site.registry

    async def visitor(self, role: Role | None, *, mode: bool = False) -> Visitor:
        """The one visitor of a role, logged in once."""
        if (role, mode) not in self.visitors:
            self.visitors[role, mode] = await self.newcomer(role, mode=mode)
        return self.visitors[role, mode]

    async def newcomer(self, role: Role | None, *, mode: bool = False) -> Visitor:
        """Somebody of a role with a session of their own."""
        return await self.office.visitor(role, *([self.own] if role is Role.CUSTOMER else []), mode=mode)

    def paths(self, route: Route) -> list[str]:
        """The addresses of a route, one for each thing it can show."""
        names = parameters(route)
        most = max((len(self.there[name]) for name in names), default=1)
        return [
            filled(route, {name: self.there[name][min(place, len(self.there[name]) - 1)] for name in names})
            for place in range(most)
        ]

    def routes(self, *methods: str) -> Iterator[Route]:
        """The product's routes of these methods, by address."""
        for route in sorted(self.registry.routes.values(), key=lambda route: (route.path, route.method)):
            if route.method in methods:
                yield route

    def may(self, role: Role | None, route: Route) -> bool:
        """Whether the declarations let a role (in superadministrator mode, where that matters) use a route."""
        return route.permission == PUBLIC or (
            role is not None and role in self.registry.permissions[route.permission].roles
        )

    def needs_mode(self, route: Route) -> bool:
        """Whether a route asks for the superadministrator's announced mode."""
        return route.permission != PUBLIC and self.registry.permissions[route.permission].superadmin_mode


@asynccontextmanager
async def furnished_office(cluster: Cluster, registry: Registry, *, crowd: int = 0) -> AsyncGenerator[Furnished]:
    """An office of these plugins with one of everything, and ``crowd`` customers and users with a history besides."""
    async with opened_site(cluster, registry) as site, opened_office(site) as office:
        if crowd:
            await _crowd(site, crowd)
        yield await _furnish(office, history=2 * crowd or 1)


async def _furnish(office: Office, history: int) -> Furnished:
    site = office.site
    there: dict[str, list[str]] = {"plugin": [p.name for p in site.registry.plugins if p.manifest.settings]}
    others: dict[str, list[str]] = {}
    async with site.db.transaction(Stamp("test")) as conn:
        own, foreign = [
            await people.add_customer(
                conn, CustomerData(customer_no=no, name=name, street="Lipowa", building="1", city="Poznań")
            )
            for no, name in (("4711", "Anna Nowak"), ("4712", "Jan Kowalski"))
        ]
        for customer, ids in ((own, there), (foreign, others)):
            point = await people.add_service_point(
                conn, ServicePointData(customer=customer, code=f"{customer}/1", kind="lokal")
            )
            user = await _add_user(site, conn, f"login-{customer}", Role.CUSTOMER)
            await people.grant(conn, user, customer)
            ids |= {"customer": [str(customer)], "id": [str(user)]}
            if site.registry.plugin("customers"):
                ids |= await register.furnish(site, conn, customer, point)
                ids |= await groups.furnish(conn, customer)
        there["id"] += [str(await _add_user(site, conn, f"kolega-{role}", role)) for role in Role]
        there |= await register.invited(site, conn)
        token = new_token()
        await auth.add_reset_link(conn, int(there["id"][0]), token, site.clock.now() + timedelta(hours=1))
        await send_mail(conn, "anna@example.org", "Witamy", "Dzień dobry")
        job = await enqueue(conn, "kernel.send_mail", {"mail": 0})
        await conn.execute("update kernel.pgqueuer set status = 'failed', attempts = 5 where id = $1", job)
        there |= {"token": [token], "job": [str(job)]}
        if site.registry.plugin("payments"):
            await payees.set_first_payee(conn, ACCOUNT_NO, site.clock.now())
            there["entry"] = [str(number) for number in await _entries(site, conn, own, history)]
            others["entry"] = [str(number) for number in await _entries(site, conn, foreign, 1)]
            accounts = await ledger.open_accounts(conn, [own, foreign], site.clock.today())
            for customer, ids in ((own, there), (foreign, others)):
                for part in (bank, books, charging, desk, explain, interest, suspense, till):
                    ids |= await part.furnish(site, conn, customer, accounts[customer])
        if site.registry.plugin("exports"):
            there |= await exports.furnish(site, conn, int(there["id"][-1]))
    if site.registry.plugin("importers"):
        async with site.db.transaction(Stamp("test")) as conn:
            there |= await importing.furnish(conn)
        has_source = "csv" in site.registry.sources and "customers.customer" in site.registry.records
        there["run"] = [str(number) for number in await (_imports(site) if has_source else _failed_import(site))]
    furnished = Furnished(office, own, foreign, there, others)
    there["api_token"] = [await _api_token(site, (await furnished.visitor(Role.ADMIN)).user)]
    if site.registry.plugin("printing"):
        anna = await furnished.visitor(Role.CUSTOMER)
        jan = await office.visitor(Role.CUSTOMER, foreign)
        for visitor, ids in ((anna, there), (jan, others)):
            made = await visitor.post("/payment-order", {"amount": "20,00", "account": ACCOUNT_NO})
            ids["reference"] = [made.headers["Location"].rsplit("/", 1)[1]]
    return furnished


async def _add_user(site: Site, conn: Connection, login: str, role: Role) -> int:
    return await people.add_user(conn, login=login, role=role, name=login, now=site.clock.now())


async def _api_token(site: Site, user: int | None) -> str:
    """A program's token of the administrator among the visitors."""
    assert user is not None
    async with site.db.transaction(Stamp(str(user), "admin")) as conn:
        await api_tokens.make(conn, user, "Program kadrowy", ["payments.view"], None, site.clock.now())
        return str(await conn.fetchval("select max(id) from kernel.api_token"))


async def _entries(site: Site, conn: Connection, customer: int, charges: int) -> list[int]:
    """A draft, charges (all but the last paid, that one in part), a payment, a reversal and what it reverses."""
    today = site.clock.today()
    account = (await ledger.open_accounts(conn, [customer], today))[customer]

    def charge(grosze: int, due: date) -> Draft:
        return Draft(account, Side.CHARGE, "fee", Money(grosze), issued_on=due, due_on=due, title="Czynsz")

    def payment(grosze: int) -> Draft:
        return Draft(account, Side.CREDIT, "payment", Money(grosze), value_date=today, title="Wpłata", channel="cash")

    (draft,) = await ledger.add_drafts(conn, [payment(1000)])
    owed = [charge(5000, today - timedelta(days=day + 1)) for day in range(charges)]
    history = [payment(5000) for _charge in owed[1:]]
    keys = await ledger.add_drafts(conn, [*owed, *history, payment(2000), payment(700)])
    await ledger.approve(conn, keys, today)
    numbers = sorted(key.entry for key in keys)
    charged, paid, returned = numbers[0], numbers[-2], numbers[-1]
    wrong = await ledger.entry(conn, returned)
    assert wrong is not None
    await ledger.reverse(conn, wrong, "zwrot z banku", today)
    return [draft.entry, charged, paid, returned]


async def _imports(site: Site) -> list[int]:
    """A run that waits and one that was applied."""
    runs: list[int] = []
    with TemporaryDirectory(prefix="ebok-register-") as directory:
        profile = Path(directory) / "register.toml"
        profile.write_text(CUSTOMERS, encoding="utf-8")
        for rows, approve in ((("1", "2", ""), True), (("1", "3"), False)):
            lines = "".join(f"{row or 7};{row and 'I' + row};Z wykazu\n" for row in rows)
            (Path(directory) / "register.csv").write_text(f"id;number;name\n{lines}", encoding="utf-8")
            registry = site.registry
            outcome = await engine.execute(
                site, read_profile(profile, registry.sources, registry.records), approve=approve
            )
            assert outcome.run is not None, json.dumps(outcome.state)
            runs.append(outcome.run)
    return runs


async def _failed_import(site: Site) -> list[int]:
    """A run of a time when there was a source."""
    async with site.db.transaction(Stamp("import")) as conn:
        run = await imports.begin_run(conn, "register", "Wykaz", approve=False)
        await imports.end_run(conn, run, "failed", reason=Text("no such file"))
    return [run]


async def _crowd(site: Site, size: int) -> None:
    """The demonstration's customers, as many users, and a history of each."""
    for demo in site.registry.demos:
        async with site.db.transaction(Stamp("demo")) as conn:
            await demo.fill(site, conn, DemoPlan(customers=size, months=12, seed=1))
    async with site.db.transaction(Stamp("test")) as conn:
        await conn.execute(
            "insert into kernel.users (login, name, role) select 't' || n, 'Lokator ' || n, 'customer'"
            " from generate_series(1, $1::int) n",
            size,
        )

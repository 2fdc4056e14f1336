"""The registers of people and what their database guards."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from kernel.db.connection import Connection
from kernel.db.pool import Stamp
from kernel.people import store
from kernel.people.model import (
    CodeTaken,
    CustomerData,
    CustomerNoTaken,
    LastSuperadmin,
    LoginTaken,
    Scope,
    ServicePointData,
    State,
    fold_login,
    login_is_possible,
)
from kernel.plugin.permissions import Role
from kernel.site import Site

pytestmark = pytest.mark.ebok(plugins=[])
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


async def add(conn: Connection, login: str, role: Role = Role.CUSTOMER) -> int:
    return await store.add_user(conn, login=login, role=role, now=NOW, name=login.title())


@pytest.mark.parametrize(
    ("typed", "kept"),
    [(" Anna ", "anna"), ("STRASSE", "strasse"), ("Straße", "strasse"), ("ﬁrma", "firma"), ("Żółw", "żółw")],
)
def test_login_is_kept_folded(typed: str, kept: str):
    assert fold_login(typed) == kept


@pytest.mark.parametrize("login", ["", "a b", "a\tb", "a\x00b", "x" * 201, "a\u200bb"])
def test_impossible_logins(login: str):
    assert not login_is_possible(login)


async def test_one_login_for_one_user(conn: Connection):
    await add(conn, "anna")
    with pytest.raises(LoginTaken):
        await add(conn, "anna")


async def test_users_are_listed_in_polish_order(conn: Connection):
    for login in ("łukasz", "zofia", "lena", "ćma", "cecylia"):
        await add(conn, login)
    assert [user.login for user in await store.users(conn)] == ["cecylia", "ćma", "lena", "łukasz", "zofia"]


async def test_the_last_superadmin_stays(conn: Connection):
    only = await add(conn, "szefowa", Role.SUPERADMIN)
    with pytest.raises(LastSuperadmin):
        await store.set_state(conn, only, State.DISABLED)
    with pytest.raises(LastSuperadmin):
        await store.change_user(conn, only, name="X", email="", role=Role.ADMIN)
    with pytest.raises(LastSuperadmin):
        await store.remove_user(conn, only)
    assert await store.change_user(conn, only, name="Nowa", email="n@example.pl", role=Role.SUPERADMIN)
    second = await add(conn, "druga", Role.SUPERADMIN)
    assert await store.set_state(conn, only, State.DISABLED)
    with pytest.raises(LastSuperadmin):
        await store.remove_user(conn, second)


async def test_two_superadmins_cannot_remove_each_other_at_once(site: Site, conn: Connection):
    both = [await add(conn, name, Role.SUPERADMIN) for name in ("a", "b")]

    async def disable(user: int) -> bool:
        async with site.db.transaction(Stamp("test")) as mine:
            done = await store.set_state(mine, user, State.DISABLED)
            await asyncio.sleep(0.1)
            return done

    results = await asyncio.gather(*(disable(user) for user in both), return_exceptions=True)
    assert sum(result is True for result in results) == 1
    assert sum(isinstance(result, LastSuperadmin) for result in results) == 1


async def test_customers_by_their_number(conn: Connection):
    data = CustomerData(
        customer_no="K/49", name="Stanisław Wójcik", city="Warszawa", source="chinook", external_id="49"
    )
    made = await store.add_customer(conn, data)
    found = await store.find_customer(conn, "K/49")
    assert found is not None
    assert (found.id, found.name, found.country, found.status) == (made, "Stanisław Wójcik", "PL", "active")
    with pytest.raises(CustomerNoTaken):
        await store.add_customer(conn, CustomerData(customer_no="K/49", name="Ktoś Inny"))
    assert await store.change_customer(conn, made, CustomerData(customer_no="K/49", name="Stanisław Wojcik"))
    again = await store.customer(conn, made)
    assert again is not None
    assert (again.name, again.source) == ("Stanisław Wojcik", None)
    assert await store.find_customer(conn, "k/49") is None
    assert not await store.change_customer(conn, made + 1, data)


async def test_an_external_id_comes_with_its_source(conn: Connection):
    with pytest.raises(asyncpg.CheckViolationError):
        await store.add_customer(conn, CustomerData(customer_no="1", name="X", external_id="7"))


async def test_service_points_have_codes_of_their_own(conn: Connection):
    customer = await store.add_customer(conn, CustomerData(customer_no="1", name="Anna"))
    await store.add_service_point(conn, ServicePointData(customer=customer, code="12/3", kind="lokal"))
    await store.add_service_point(conn, ServicePointData(customer=customer))
    await store.add_service_point(conn, ServicePointData(customer=customer))
    with pytest.raises(CodeTaken):
        await store.add_service_point(conn, ServicePointData(customer=customer, code="12/3"))
    assert [point.code for point in await store.service_points(conn, customer)] == ["", "", "12/3"]
    assert await store.remove_customer(conn, customer)
    assert await store.service_points(conn, customer) == []


async def test_grants_last_as_long_as_they_say(conn: Connection):
    user = await add(conn, "anna")
    first = await store.add_customer(conn, CustomerData(customer_no="2", name="Żaneta"))
    second = await store.add_customer(conn, CustomerData(customer_no="1", name="Łucja"))
    await store.grant(conn, user, first)
    await store.grant(
        conn, user, second, scope=Scope.VIEW, kind="delegate", valid_from=NOW, valid_to=NOW + timedelta(days=1)
    )
    assert [grant.customer_no for grant in await store.grants(conn, user, NOW)] == ["1", "2"]
    assert [grant.scope for grant in await store.grants(conn, user, NOW)] == ["view", "manage"]
    assert [grant.customer_no for grant in await store.grants(conn, user, NOW + timedelta(days=1))] == ["2"]
    assert [grant.customer_no for grant in await store.grants(conn, user, NOW - timedelta(seconds=1))] == ["2"]
    assert [user.login for user in await store.users_of_customer(conn, second)] == ["anna"]
    assert await store.revoke(conn, user, first)
    assert not await store.revoke(conn, user, first)

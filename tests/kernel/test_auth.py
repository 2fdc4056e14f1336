"""The way through the door: password, second factor, one-time links, the superadministrator's mode."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default

import pytest
from argon2 import PasswordHasher
from pyotp import random_base32
from pyotp.totp import TOTP

from kernel.audit import know
from kernel.auth import account, login, office, second_factor, sessions, store
from kernel.auth.declarations import verbs
from kernel.auth.login import Entered, Visitor
from kernel.auth.model import ACCOUNT, SESSION_TIMES, Throttled, WeakPassword, WrongSecret
from kernel.auth.office import NewUser
from kernel.db.connection import Connection
from kernel.db.pool import Stamp
from kernel.people import store as people
from kernel.people.model import CustomerData, State
from kernel.plugin.actor import Actor
from kernel.plugin.permissions import Role
from kernel.site import Site

pytestmark = pytest.mark.ebok(plugins=[])
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GOOD, BETTER = "wieczorne grabie", "poranna mgła nad stawem"
HOME = Visitor("203.0.113.7", "Firefox")
STRANGER = Visitor("198.51.100.9", "curl")
PERMISSIONS = {role: frozenset({f"kernel.{role}"}) for role in Role}
SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class Door:
    """The door of one site, at a time that moves."""

    site: Site
    now: datetime = NOW

    async def add(self, name: str, role: Role = Role.CUSTOMER, **more: str) -> int:
        new = NewUser(login=name, role=role, name=name.title(), **more)
        return await office.add_user(self.site.db, Stamp("test"), new, GOOD, self.now, starter=False)

    async def enter(self, name: str, password: str = GOOD, visitor: Visitor = HOME) -> Entered:
        return await login.log_in(self.site.db, visitor, name, password, self.now)

    async def actor(self, token: str) -> Actor | None:
        async with self.site.db.connection() as conn:
            found = await sessions.find(conn, token, self.now, PERMISSIONS)
        return found.actor if found else None

    async def inside(self, name: str) -> tuple[Actor, Entered]:
        entered = await self.enter(name)
        actor = await self.actor(entered.token)
        assert actor is not None
        return actor, entered

    async def with_second_factor(self, name: str) -> tuple[str, list[str]]:
        actor, _ = await self.inside(name)
        await account.offer_second_factor(self.site.db, actor, GOOD, self.now)
        async with self.site.db.connection() as conn:
            secret = await store.offered_totp(conn, actor.session or 0)
        assert secret is not None
        codes = await account.enable_second_factor(self.site.db, actor, self.code(secret), self.now)
        self.now += timedelta(seconds=60)
        return secret, codes

    def code(self, secret: str) -> str:
        return TOTP(secret).at(self.now)

    async def mails(self) -> list[tuple[str, str]]:
        async with self.site.db.connection() as conn:
            rows = await conn.fetch("select recipient, message from kernel.mail_log order by id")
        return [(row["recipient"], _body(row["message"])) for row in rows]


def _body(message: bytes) -> str:
    body = message_from_bytes(message, policy=default).get_body()
    assert body is not None
    return body.get_content()


@pytest.fixture
async def door(site: Site) -> Door:
    know({verb.name: verb for verb in verbs()})
    return Door(site)


# --- the password ---------------------------------------------------------------------------------------------------


async def test_the_right_password_opens(door: Door):
    user = await door.add("anna")
    entered = await door.enter(" ANNA ")
    assert not entered.awaits_code
    actor = await door.actor(entered.token)
    assert actor is not None
    assert (actor.user, actor.login, actor.role) == (user, "anna", Role.CUSTOMER)
    assert actor.permissions == {"kernel.customer"}
    assert actor.signed_in
    assert not actor.must_change_password


@pytest.mark.parametrize("name", ["anna", "nobody", "", "a b", "a\x00b", "x" * 5000, "\ud800"])
async def test_every_refusal_looks_the_same(door: Door, name: str):
    await door.add("anna")
    with pytest.raises(WrongSecret):
        await door.enter(name, "not the password")


async def test_disabled_users_stay_outside_and_their_sessions_die(door: Door, conn: Connection):
    user = await door.add("anna")
    entered = await door.enter("anna")
    await people.set_state(conn, user, State.DISABLED)
    assert await door.actor(entered.token) is None
    with pytest.raises(WrongSecret):
        await door.enter("anna")
    await people.set_state(conn, user, State.ACTIVE)
    assert await door.actor(entered.token) is None
    await door.enter("anna")


async def test_tokens_lie_in_the_database_as_digests_only(door: Door, conn: Connection):
    await door.add("anna")
    entered = await door.enter("anna")
    text = str([dict(row) for table in ("session", "known_device") for row in await _all(conn, table)])
    assert entered.token not in text
    assert entered.device_token is not None
    assert entered.device_token not in text
    assert len(entered.token) >= 43


async def _all(conn: Connection, table: str) -> list[dict[str, object]]:
    query = "select * from kernel.session" if table == "session" else "select * from kernel.known_device"
    return [dict(row) for row in await conn.fetch(query)]


async def test_a_login_gives_a_new_token_and_ends_the_old_session_of_the_browser(door: Door):
    await door.add("anna")
    first = await door.enter("anna")
    elsewhere = await door.enter("anna")
    second = await door.enter("anna", visitor=replace(HOME, session_token=first.token))
    assert second.token != first.token
    assert await door.actor(first.token) is None
    assert await door.actor(second.token) is not None
    assert await door.actor(elsewhere.token) is not None


async def test_an_old_hash_is_renewed_at_login(door: Door, conn: Connection):
    user = await door.add("anna")
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)
    await conn.execute("update kernel.users set password_hash = $2 where id = $1", user, weak)
    await door.enter("anna")
    kept = await conn.fetchval("select password_hash from kernel.users where id = $1", user)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await door.enter("anna")


async def test_a_starter_password_expires(door: Door):
    new = NewUser(login="anna", role=Role.CUSTOMER)
    await office.add_user(door.site.db, Stamp("test"), new, GOOD, NOW, starter=True)
    entered = await door.enter("anna")
    actor = await door.actor(entered.token)
    assert actor is not None
    assert actor.must_change_password
    door.now += timedelta(days=15)
    with pytest.raises(WrongSecret):
        await door.enter("anna")


async def test_failures_of_known_logins_are_recorded_without_what_was_typed(door: Door, conn: Connection):
    await door.add("anna")
    for name in ("anna", "moje-tajne-haslo"):
        with pytest.raises(WrongSecret):
            await door.enter(name, "not the password")
    rows = await conn.fetch("select actor, verb, facts from kernel.audit_log where verb = 'kernel.login_failed'")
    assert [(row["actor"], row["facts"]) for row in rows] == [("login", {"login": "anna"})]
    assert "moje-tajne" not in str([dict(row) for row in await conn.fetch("select * from kernel.throttle")])


# --- attempts -------------------------------------------------------------------------------------------------------


async def lock_out(door: Door, name: str) -> None:
    for _ in range(ACCOUNT.free):
        with pytest.raises(WrongSecret):
            await door.enter(name, "guess", STRANGER)
    with pytest.raises(Throttled):
        await door.enter(name, "guess", STRANGER)


async def test_guessing_is_slowed_down_even_with_the_right_password(door: Door):
    await door.add("anna")
    await lock_out(door, "anna")
    with pytest.raises(Throttled) as refused:
        await door.enter("anna", GOOD, STRANGER)
    assert refused.value.retry_after == 10
    door.now += timedelta(seconds=10)
    await door.enter("anna", GOOD, STRANGER)


async def test_an_unknown_login_is_slowed_down_alike(door: Door):
    await lock_out(door, "nobody")


async def test_a_stranger_does_not_lock_the_owner_out(door: Door):
    await door.add("anna")
    device = (await door.enter("anna")).device_token
    await lock_out(door, "anna")
    with pytest.raises(Throttled):
        await door.enter("anna")
    at_home = replace(HOME, device_token=device)
    again = await door.enter("anna", visitor=at_home)
    assert again.device_token != device
    for _ in range(5):
        with pytest.raises(WrongSecret):
            await door.enter("anna", "guess", replace(HOME, device_token=again.device_token))
    with pytest.raises(Throttled):
        await door.enter("anna", visitor=replace(HOME, device_token=again.device_token))


async def test_a_known_device_of_one_helps_nobody_else(door: Door):
    await door.add("anna")
    await door.add("beata")
    device = (await door.enter("anna")).device_token
    await lock_out(door, "beata")
    with pytest.raises(Throttled):
        await door.enter("beata", visitor=replace(HOME, device_token=device))


async def test_a_household_shares_a_browser(door: Door):
    await door.add("anna")
    await door.add("beata")
    device = (await door.enter("anna")).device_token
    device = (await door.enter("beata", visitor=replace(HOME, device_token=device))).device_token
    await lock_out(door, "anna")
    await door.enter("anna", visitor=replace(HOME, device_token=device))


async def test_one_network_guesses_many_logins_slowly(door: Door):
    for number in range(30):
        with pytest.raises(WrongSecret):
            await door.enter(f"nobody{number}", "guess", replace(STRANGER, address=f"198.51.100.{number}"))
    with pytest.raises(Throttled):
        await door.enter("nobody30", "guess", replace(STRANGER, address="198.51.100.200"))
    with pytest.raises(WrongSecret):
        await door.enter("nobody30", "guess", replace(STRANGER, address="198.51.101.1"))


# --- the session ----------------------------------------------------------------------------------------------------


async def test_a_session_ends_when_idle_and_at_last(door: Door, conn: Connection):
    await door.add("anna")
    entered = await door.enter("anna")
    actor = await door.actor(entered.token)
    assert actor is not None
    for _ in range(23):
        door.now += timedelta(minutes=29)
        found = await sessions.find(conn, entered.token, door.now, PERMISSIONS)
        assert found is not None
        assert found.touch_due
        await sessions.touch(conn, actor.session or 0, door.now)
    door.now += timedelta(minutes=29)
    assert door.now < NOW + SESSION_TIMES.absolute
    door.now = NOW + SESSION_TIMES.absolute
    await sessions.touch(conn, actor.session or 0, door.now)
    assert await door.actor(entered.token) is None

    idle = await door.enter("anna")
    door.now += timedelta(minutes=30)
    assert await door.actor(idle.token) is None


async def test_last_seen_is_written_once_a_minute_at_most(door: Door, conn: Connection):
    await door.add("anna")
    entered = await door.enter("anna")
    for seconds, due in ((1, False), (59, False), (60, True)):
        found = await sessions.find(conn, entered.token, NOW + timedelta(seconds=seconds), PERMISSIONS)
        assert found is not None
        assert found.touch_due is due


async def test_a_session_is_found_in_one_round_trip(door: Door, conn: Connection):
    await door.add("anna")
    entered = await door.enter("anna")
    await sessions.find(conn, entered.token, NOW, PERMISSIONS)
    before = door.site.db.statements
    assert await sessions.find(conn, entered.token, NOW, PERMISSIONS)
    assert door.site.db.statements == before + 1


async def test_several_customers_under_one_login(door: Door, conn: Connection):
    user = await door.add("anna")
    zosia = await people.add_customer(conn, CustomerData(customer_no="1", name="Zosia"))
    lucja = await people.add_customer(conn, CustomerData(customer_no="2", name="Łucja"))
    other = await people.add_customer(conn, CustomerData(customer_no="3", name="Obca"))
    entered = await door.enter("anna")
    actor = await door.actor(entered.token)
    assert actor is not None
    assert actor.customer_or_none is None
    for customer in (zosia, lucja):
        await people.grant(conn, user, customer)
    actor = await door.actor(entered.token)
    assert actor is not None
    assert [grant.name for grant in actor.grants] == ["Łucja", "Zosia"]
    assert actor.customer == lucja
    await sessions.choose_customer(conn, actor.session or 0, zosia)
    assert (await door.actor(entered.token) or Actor()).customer == zosia
    await sessions.choose_customer(conn, actor.session or 0, other)
    assert (await door.actor(entered.token) or Actor()).customer == lucja
    await people.revoke(conn, user, zosia)
    assert [grant.customer for grant in (await door.actor(entered.token) or Actor()).grants] == [lucja]


async def test_staff_have_no_customer_in_view(door: Door, conn: Connection):
    user = await door.add("biuro", Role.ADMIN)
    customer = await people.add_customer(conn, CustomerData(customer_no="1", name="Zosia"))
    await people.grant(conn, user, customer)
    actor = await door.actor((await door.enter("biuro")).token)
    assert actor is not None
    assert (actor.grants, actor.customer_or_none) == ((), None)


async def test_sessions_are_listed_and_ended(door: Door, conn: Connection):
    user, other = await door.add("anna"), await door.add("beata")
    first, second = await door.enter("anna"), await door.enter("anna", visitor=STRANGER)
    listed = await sessions.of_user(conn, user, NOW)
    assert {(one.address, one.device) for one in listed} == {("203.0.113.7", "Firefox"), ("198.51.100.9", "curl")}
    strange = next(one for one in listed if one.device == "curl")
    assert not await sessions.end(conn, strange.id, other)
    assert await sessions.end(conn, strange.id, user)
    assert await door.actor(second.token) is None
    assert await door.actor(first.token) is not None


@pytest.mark.parametrize(
    ("device", "browser"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge · Windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox · Linux"),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36",
            "Chrome · Android",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari · iPhone"),
        ("curl/8.0", ""),
    ],
)
def test_people_recognise_their_browser(device: str, browser: str):
    assert sessions.Listed(1, NOW, NOW, "", device).browser == browser


async def test_another_role_ends_the_sessions(door: Door, conn: Connection):
    user = await door.add("anna", Role.ADMIN)
    entered = await door.enter("anna")
    assert await people.change_user(conn, user, name="Anna", email="", role=Role.ADMIN)
    assert await door.actor(entered.token) is not None
    assert await people.change_user(conn, user, name="Anna", email="", role=Role.CUSTOMER)
    assert await door.actor(entered.token) is None


async def test_logout_ends_the_session(door: Door):
    await door.add("anna")
    entered = await door.enter("anna")
    async with door.site.db.transaction(Stamp("test")) as conn:
        await login.log_out(conn, entered.token)
        await login.log_out(conn, entered.token)
    assert await door.actor(entered.token) is None


async def test_a_session_of_one_organisation_is_nothing_in_another(door: Door, cluster, registry):
    from kernel.db.pool import Database

    await door.add("anna")
    entered = await door.enter("anna")
    async with cluster.database(registry) as (dsn, _owner):
        other = Database(dsn, size=2)
        async with other.connection() as conn:
            assert await sessions.find(conn, entered.token, NOW, PERMISSIONS) is None
        await other.close()


# --- another password -----------------------------------------------------------------------------------------------


async def test_a_new_password_ends_all_other_sessions(door: Door):
    await door.add("anna", email="anna@example.pl")
    elsewhere = await door.enter("anna")
    actor, here = await door.inside("anna")
    token = await account.change_password(door.site.db, actor, GOOD, BETTER, NOW)
    assert await door.actor(elsewhere.token) is None
    assert await door.actor(here.token) is None
    assert (await door.actor(token) or Actor()).session == actor.session
    with pytest.raises(WrongSecret):
        await door.enter("anna", GOOD)
    await door.enter("anna", BETTER)
    assert [recipient for recipient, _ in await door.mails()] == ["anna@example.pl"]


@pytest.mark.parametrize("new", ["krótkie", GOOD, "anna anna1", "password1234"])
async def test_a_weak_new_password_is_refused(door: Door, new: str):
    await door.add("anna")
    actor, entered = await door.inside("anna")
    with pytest.raises(WeakPassword):
        await account.change_password(door.site.db, actor, GOOD, new, NOW)
    assert await door.actor(entered.token) is not None


async def test_the_current_password_is_asked_and_guessing_it_is_slowed_down(door: Door):
    await door.add("anna")
    actor, _ = await door.inside("anna")
    for _ in range(5):
        with pytest.raises(WrongSecret):
            await account.change_password(door.site.db, actor, "guess", BETTER, NOW)
    with pytest.raises(Throttled):
        await account.change_password(door.site.db, actor, GOOD, BETTER, NOW)


async def test_changing_a_starter_password_ends_the_duty(door: Door):
    new = NewUser(login="anna", role=Role.CUSTOMER)
    await office.add_user(door.site.db, Stamp("test"), new, GOOD, NOW, starter=True)
    actor, _ = await door.inside("anna")
    token = await account.change_password(door.site.db, actor, GOOD, BETTER, NOW)
    assert not (await door.actor(token) or Actor()).must_change_password
    door.now += timedelta(days=30)
    await door.enter("anna", BETTER)


# --- a forgotten password -------------------------------------------------------------------------------------------


async def ask(door: Door, name: str) -> None:
    await account.request_reset(door.site.db, name, "203.0.113.7", "https://bok.example.pl/reset/{token}", door.now)


async def link_of(door: Door) -> str:
    text = (await door.mails())[-1][1]
    match = re.search(r"https://bok\.example\.pl/reset/([A-Za-z0-9_-]+)", text)
    assert match, text
    return match[1]


async def test_a_link_works_once(door: Door):
    await door.add("anna", email="anna@example.pl")
    entered = await door.enter("anna")
    await ask(door, "Anna")
    token = await link_of(door)
    await account.reset_password(door.site.db, token, BETTER, NOW)
    assert await door.actor(entered.token) is None
    await door.enter("anna", BETTER)
    with pytest.raises(WrongSecret):
        await account.reset_password(door.site.db, token, GOOD, NOW)


async def test_a_link_expires_and_a_newer_one_replaces_it(door: Door):
    await door.add("anna", email="anna@example.pl")
    await ask(door, "anna")
    first = await link_of(door)
    await ask(door, "anna")
    second = await link_of(door)
    with pytest.raises(WrongSecret):
        await account.reset_password(door.site.db, first, BETTER, NOW)
    with pytest.raises(WrongSecret):
        await account.reset_password(door.site.db, second, BETTER, NOW + timedelta(minutes=30))
    with pytest.raises(WeakPassword):
        await account.reset_password(door.site.db, second, "krótkie", NOW)
    await account.reset_password(door.site.db, second, BETTER, NOW + timedelta(minutes=29))


async def test_a_link_used_twice_at_once_works_once(door: Door):
    await door.add("anna", email="anna@example.pl")
    await ask(door, "anna")
    token = await link_of(door)
    results = await asyncio.gather(
        *(account.reset_password(door.site.db, token, f"{BETTER} {number}", NOW) for number in range(4)),
        return_exceptions=True,
    )
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, WrongSecret) for result in results) == 3


async def test_nobody_learns_who_has_a_login(door: Door, conn: Connection):
    await door.add("without")
    disabled = await door.add("disabled", email="d@example.pl")
    await people.set_state(conn, disabled, State.DISABLED)
    for name in ("nobody", "without", "disabled", "a\x00b", ""):
        await ask(door, name)
    assert await door.mails() == []


async def test_links_are_not_a_way_to_flood_a_mailbox(door: Door):
    await door.add("anna", email="anna@example.pl")
    for _ in range(3):
        await ask(door, "anna")
    with pytest.raises(Throttled):
        await ask(door, "anna")
    for _ in range(3):
        await ask(door, "nobody")
    with pytest.raises(Throttled):
        await ask(door, "nobody")
    assert len(await door.mails()) == 3


async def test_a_password_change_ends_open_links(door: Door):
    await door.add("anna", email="anna@example.pl")
    await ask(door, "anna")
    token = await link_of(door)
    actor, _ = await door.inside("anna")
    await account.change_password(door.site.db, actor, GOOD, BETTER, NOW)
    with pytest.raises(WrongSecret):
        await account.reset_password(door.site.db, token, "coś zupełnie innego", NOW)


# --- second factor --------------------------------------------------------------------------------------------------


async def confirm(door: Door, entered: Entered, code: str) -> Entered:
    return await login.confirm_code(door.site.db, replace(HOME, session_token=entered.token), code, door.now)


async def test_the_second_factor_is_asked_for(door: Door):
    await door.add("biuro", Role.ADMIN)
    secret, _ = await door.with_second_factor("biuro")
    entered = await door.enter("biuro")
    assert entered.awaits_code
    assert entered.device_token is None
    assert await door.actor(entered.token) is None
    with pytest.raises(WrongSecret):
        await confirm(door, entered, "000000")
    inside = await confirm(door, entered, door.code(secret))
    assert inside.token != entered.token
    assert await door.actor(inside.token) is not None
    assert await door.actor(entered.token) is None


async def test_a_code_works_once(door: Door):
    await door.add("biuro", Role.ADMIN)
    secret, _ = await door.with_second_factor("biuro")
    code = door.code(secret)
    await confirm(door, await door.enter("biuro"), code)
    with pytest.raises(WrongSecret):
        await confirm(door, await door.enter("biuro"), code)
    door.now += timedelta(seconds=30)
    await confirm(door, await door.enter("biuro"), door.code(secret))


async def test_a_code_used_twice_at_once_works_once(door: Door):
    await door.add("biuro", Role.ADMIN)
    secret, _ = await door.with_second_factor("biuro")
    waiting = [await door.enter("biuro") for _ in range(3)]
    code = door.code(secret)
    results = await asyncio.gather(*(confirm(door, one, code) for one in waiting), return_exceptions=True)
    assert sum(isinstance(result, Entered) for result in results) == 1


async def test_recovery_codes_work_once_each(door: Door):
    await door.add("biuro", Role.ADMIN)
    _, codes = await door.with_second_factor("biuro")
    assert len(set(codes)) == 10
    await confirm(door, await door.enter("biuro"), codes[0].upper().replace("-", " "))
    with pytest.raises(WrongSecret):
        await confirm(door, await door.enter("biuro"), codes[0])
    actor, _ = await door.actor((await confirm(door, await door.enter("biuro"), codes[1])).token), None
    assert actor is not None
    renewed = await account.renew_recovery_codes(door.site.db, actor, GOOD, door.now)
    with pytest.raises(WrongSecret):
        await confirm(door, await door.enter("biuro"), codes[2])
    await confirm(door, await door.enter("biuro"), renewed[2])


async def test_guessing_codes_is_slowed_down(door: Door):
    await door.add("biuro", Role.ADMIN)
    secret, _ = await door.with_second_factor("biuro")
    entered = await door.enter("biuro")
    for _ in range(5):
        with pytest.raises(WrongSecret):
            await confirm(door, entered, "12345")
    with pytest.raises(Throttled):
        await confirm(door, entered, door.code(secret))


async def test_the_wait_for_a_code_ends(door: Door):
    await door.add("biuro", Role.ADMIN)
    secret, _ = await door.with_second_factor("biuro")
    entered = await door.enter("biuro")
    door.now += timedelta(minutes=10)
    with pytest.raises(WrongSecret):
        await confirm(door, entered, door.code(secret))


async def test_a_new_password_by_link_does_not_go_around_the_second_factor(door: Door):
    await door.add("biuro", Role.ADMIN, email="biuro@example.pl")
    await door.with_second_factor("biuro")
    await ask(door, "biuro")
    await account.reset_password(door.site.db, await link_of(door), BETTER, door.now)
    assert (await door.enter("biuro", BETTER)).awaits_code


async def test_the_second_factor_goes_only_with_the_password(door: Door):
    await door.add("biuro", Role.ADMIN)
    secret, _ = await door.with_second_factor("biuro")
    actor = await door.actor((await confirm(door, await door.enter("biuro"), door.code(secret))).token)
    assert actor is not None
    with pytest.raises(WrongSecret):
        await account.disable_second_factor(door.site.db, actor, "guess", door.now)
    await account.disable_second_factor(door.site.db, actor, GOOD, door.now)
    assert not (await door.enter("biuro")).awaits_code


async def test_a_short_staff_password_cannot_stand_alone(door: Door):
    await door.add("biuro", Role.ADMIN)
    secret, _ = await door.with_second_factor("biuro")
    actor = await door.actor((await confirm(door, await door.enter("biuro"), door.code(secret))).token)
    assert actor is not None
    token = await account.change_password(door.site.db, actor, GOOD, "krótka mgła", door.now)
    actor = await door.actor(token)
    assert actor is not None
    with pytest.raises(WeakPassword):
        await account.disable_second_factor(door.site.db, actor, "krótka mgła", door.now)


async def test_switching_it_on_needs_a_code_of_the_offered_secret(door: Door):
    await door.add("biuro", Role.ADMIN)
    actor, _ = await door.inside("biuro")
    with pytest.raises(WrongSecret):
        await account.enable_second_factor(door.site.db, actor, "123456", NOW)
    await account.offer_second_factor(door.site.db, actor, GOOD, NOW)
    with pytest.raises(WrongSecret):
        await account.enable_second_factor(door.site.db, actor, door.code(random_base32()), NOW)
    assert not (await door.enter("biuro")).awaits_code


@pytest.mark.parametrize("code", ["", "12345", "1234567", "１２３４５６", "abcdef", "12 34 5"])
def test_strange_codes_are_wrong_codes(code: str):
    assert second_factor.step_of(random_base32(), code, NOW, 0) is None


def test_the_code_of_a_slow_clock_is_taken():
    secret = random_base32()
    step = int(NOW.timestamp()) // 30
    for late in (-30, 0, 30):
        code = TOTP(secret).at(NOW + timedelta(seconds=late))
        assert second_factor.step_of(secret, f"{code[:3]} {code[3:]}", NOW, 0) == step + late // 30
    assert second_factor.step_of(secret, TOTP(secret).at(NOW + timedelta(seconds=90)), NOW, 0) is None


# --- superadministrator mode ----------------------------------------------------------------------------------------


async def test_the_mode_asks_the_password_and_ends_by_itself(door: Door):
    await door.add("szefowa", Role.SUPERADMIN)
    actor, entered = await door.inside("szefowa")
    assert not actor.in_superadmin_mode
    with pytest.raises(WrongSecret):
        await account.start_superadmin_mode(door.site.db, actor, "guess", NOW)
    until = await account.start_superadmin_mode(door.site.db, actor, GOOD, NOW)
    assert (await door.actor(entered.token) or Actor()).superadmin_until == until
    door.now = until - SECOND
    assert (await door.actor(entered.token) or Actor()).in_superadmin_mode
    door.now = until
    actor = await door.actor(entered.token)
    assert actor is not None
    assert not actor.in_superadmin_mode


async def test_the_mode_ends_by_a_button_and_is_recorded(door: Door, conn: Connection):
    user = await door.add("szefowa", Role.SUPERADMIN)
    actor, entered = await door.inside("szefowa")
    await account.start_superadmin_mode(door.site.db, actor, GOOD, NOW)
    actor = await door.actor(entered.token)
    assert actor is not None
    async with door.site.db.transaction(Stamp(str(user), "superadmin")) as tx:
        await account.end_superadmin_mode(tx, actor)
    assert not (await door.actor(entered.token) or Actor()).in_superadmin_mode
    rows = await conn.fetch("select actor, verb from kernel.audit_log where verb like '%mode%' order by id")
    assert [(row["actor"], row["verb"]) for row in rows] == [
        (str(user), "kernel.superadmin_mode_started"),
        (str(user), "kernel.superadmin_mode_ended"),
    ]


async def test_the_mode_is_for_superadmins(door: Door):
    await door.add("biuro", Role.ADMIN)
    actor, _ = await door.inside("biuro")
    with pytest.raises(PermissionError):
        await account.start_superadmin_mode(door.site.db, actor, GOOD, NOW)


# --- clean-up -------------------------------------------------------------------------------------------------------


async def test_what_is_over_is_removed(door: Door, conn: Connection):
    await door.add("anna", email="anna@example.pl")
    await door.enter("anna")
    await ask(door, "anna")
    with pytest.raises(WrongSecret):
        await door.enter("anna", "guess")
    await account.prune(conn, NOW + timedelta(minutes=29))
    assert await conn.fetchval("select count(*) from kernel.session") == 1
    await account.prune(conn, NOW + timedelta(days=200))
    for query in (
        "select count(*) from kernel.session",
        "select count(*) from kernel.reset_link",
        "select count(*) from kernel.known_device",
        "select count(*) from kernel.throttle",
    ):
        assert await conn.fetchval(query) == 0


async def test_the_clean_up_is_scheduled(door: Door, conn: Connection):
    await door.add("anna")
    await door.enter("anna")
    job = door.site.registry.jobs["kernel.prune_logins"]
    assert job.every == timedelta(hours=1)
    door.site.clock.move_to(NOW + timedelta(hours=13))
    await job.handler(door.site, {})
    assert await conn.fetchval("select count(*) from kernel.session") == 0


async def test_devices_are_remembered_up_to_a_number(door: Door, conn: Connection):
    await door.add("anna")
    for _ in range(23):
        await door.enter("anna")
        door.now += SECOND
    assert await conn.fetchval("select count(*) from kernel.known_device") == 20

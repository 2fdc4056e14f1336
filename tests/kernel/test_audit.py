"""The history grows with every change and never changes itself."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal

import asyncpg
import pytest

from kernel import Money, Verb, _, ngettext
from kernel.approval import protection_of
from kernel.audit import Entry, Fact, audit, audit_many, entry_of, know, plain_facts, sentence
from kernel.db.connection import Connection
from kernel.db.migrate import connect
from kernel.db.pool import Stamp
from kernel.i18n import speaking
from kernel.site import Site

pytestmark = pytest.mark.ebok(plugins=[])


async def history_of_customer(conn: Connection, customer: int) -> list[Entry]:
    """What was written about a customer, the newest first."""
    rows = await conn.fetch(
        "select entry.*, coalesce(person.name, '') as actor_name from kernel.audit_log entry"
        " left join kernel.users person on person.id::text = entry.actor"
        " where entry.customer = $1 order by entry.id desc",
        customer,
    )
    return [entry_of(row) for row in rows]


BOOKED = Verb("test.booked", _("booked {amount} on {day} as {document}"))
APPROVED = Verb(
    "test.approved", ngettext("approved {count} payment of {total}", "approved {count} payments of {total}", 1)
)
VERBS = {verb.name: verb for verb in (BOOKED, APPROVED)}


@pytest.fixture(autouse=True)
def known() -> None:
    know(VERBS)


def entry(verb: str, **facts: object) -> Entry:
    return Entry(1, datetime.now(UTC), verb, "1", "Jan", "admin", False, "", None, "", plain_facts(facts))


async def test_an_event_knows_who_acted_how_and_in_which_request(site: Site) -> None:
    async with site.db.transaction(Stamp("42", "superadmin", superadmin_mode=True, request="r-1")) as conn:
        await audit(conn, "test.booked", customer=7, subject="entry 3", amount=Money(2000), day=date(2026, 11, 24))
    async with site.db.connection() as conn:
        (written,) = await history_of_customer(conn, 7)
    assert (written.actor, written.role, written.superadmin_mode, written.request) == ("42", "superadmin", True, "r-1")
    assert (written.verb, written.customer, written.subject) == ("test.booked", 7, "entry 3")
    assert written.facts == {"amount": "20.00", "day": "2026-11-24"}


async def test_an_event_carries_its_users_name(site: Site) -> None:
    async with site.db.transaction(Stamp("test")) as conn:
        user = await conn.fetchval(
            "insert into kernel.users (login, name, role) values ('anna', 'Anna Nowak', 'admin') returning id"
        )
    async with site.db.transaction(Stamp(str(user), "admin")) as conn:
        await audit(conn, "test.booked", customer=7)
    async with site.db.connection() as conn:
        assert (await history_of_customer(conn, 7))[0].actor_name == "Anna Nowak"


async def test_a_rolled_back_change_leaves_no_event(site: Site) -> None:
    with suppress(ZeroDivisionError):
        async with site.db.transaction(Stamp("1")) as conn:
            await audit(conn, "test.booked", customer=7)
            raise ZeroDivisionError
    async with site.db.connection() as conn:
        assert await history_of_customer(conn, 7) == []


async def test_an_undeclared_verb_is_refused(conn: Connection) -> None:
    with pytest.raises(LookupError, match=r"test\.unknown"):
        await audit(conn, "test.unknown")


async def test_many_events_are_one_statement(site: Site) -> None:
    async with site.db.transaction(Stamp("1", "admin")) as conn:
        await audit_many(conn, "test.booked", [Fact()])  # the driver learns the types
        before = site.db.statements
        await audit_many(conn, "test.booked", (Fact(n % 3, f"entry {n}", {"amount": Money(n)}) for n in range(1000)))
        assert site.db.statements == before + 1
        assert await conn.fetchval("select count(*) from kernel.audit_log where actor = '1' and role = 'admin'") == 1001


async def test_nobody_changes_or_removes_an_event(site: Site) -> None:
    async with site.db.transaction(Stamp("1", "superadmin", superadmin_mode=True)) as conn:
        await audit(conn, "test.booked")
    owner = await connect(site.owner_dsn)
    try:
        for statement in (
            "update kernel.audit_log set verb = 'x'",
            "delete from kernel.audit_log",
            "truncate kernel.audit_log",
        ):
            async with site.db.connection() as conn:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(statement)
            with pytest.raises(asyncpg.PostgresError) as caught:
                await owner.execute(statement)
            assert protection_of(caught.value) is not None
    finally:
        await owner.close()


def test_facts_are_plain_and_money_is_told_from_quantities() -> None:
    assert plain_facts(
        {"a": Money(123456), "b": Decimal("12.50"), "c": Decimal("12.25"), "d": [Money(1)], "e": None}
    ) == {
        "a": "1234.56",
        "b": "12.5",
        "c": "12.250",
        "d": ["0.01"],
        "e": None,
    }
    with pytest.raises(TypeError):
        plain_facts({"a": object()})


def test_a_sentence_reads_in_the_readers_language() -> None:
    booked = entry("test.booked", amount=Money(2000), day=date(2026, 11, 24), document="FV {1}")
    with speaking("en"):
        assert str(sentence(booked)) == "booked 20,00\u00a0zł on 24\u00a0November\u00a02026 as FV {1}"
        assert str(sentence(entry("test.approved", count=2, total=Money(5)))) == ("approved 2 payments of 0,05\u00a0zł")


def test_a_sentence_survives_missing_facts_and_missing_plugins() -> None:
    with speaking("en"):
        assert str(sentence(entry("test.booked"))) == "booked — on — as —"
        assert str(sentence(entry("gone.verb", a=1))) == "gone.verb"

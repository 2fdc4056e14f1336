"""Approved data is protected by the database itself."""

from __future__ import annotations

from itertools import product
from typing import Final, LiteralString

import asyncpg
import pytest

from kernel.approval import protection_of
from kernel.db.connection import Connection
from kernel.db.migrate import connect
from kernel.db.pool import Stamp
from kernel.site import Site

pytestmark = pytest.mark.ebok(plugins=[])

TABLE_SQL = """
create table kernel.protected_thing (
    id bigint primary key, title text not null, open_amount bigint not null default 0, state text not null,
    voided_by bigint, voided_at timestamptz, void_reason text
);
create trigger protect_approved before insert or update or delete on kernel.protected_thing
    for each row execute function kernel.protect_approved('open_amount');
"""
SUPERADMIN = Stamp("1", "superadmin", superadmin_mode=True)
ADMIN = Stamp("2", "admin")
NOBODY = Stamp("")
VOID_SQL: Final[LiteralString] = """
update kernel.protected_thing set state = 'voided', voided_by = 1, voided_at = now(), void_reason = 'twice' where id = 2
"""


@pytest.fixture
async def things(site: Site) -> Site:
    """One draft (1), one approved (2), one voided (3)."""
    owner = await connect(site.owner_dsn)
    await owner.execute(TABLE_SQL)
    await owner.close()
    async with site.db.transaction(SUPERADMIN) as conn:
        await conn.execute(
            "insert into kernel.protected_thing (id, title, state) values (1, 'a', 'draft'), (2, 'b', 'approved'),"
            " (3, 'c', 'approved')"
        )
        await conn.execute(
            "update kernel.protected_thing set state = 'voided', voided_by = 1, voided_at = now(), void_reason = 'x'"
            " where id = 3"
        )
    return site


async def refused(site: Site, stamp: Stamp, statement: LiteralString) -> str:
    with pytest.raises(asyncpg.PostgresError) as caught:
        async with site.db.transaction(stamp) as conn:
            await conn.execute(statement)
    assert caught.value.sqlstate == "EB001"
    answer = protection_of(caught.value)
    assert answer is not None
    assert answer.status == 403
    return str(caught.value)


async def done(site: Site, stamp: Stamp, statement: LiteralString) -> None:
    async with site.db.transaction(stamp) as conn:
        assert (await conn.execute(statement)).endswith(" 1")


async def test_drafts_are_free_but_approving_needs_an_actor(things: Site) -> None:
    await done(things, NOBODY, "update kernel.protected_thing set title = 'changed' where id = 1")
    await refused(things, NOBODY, "update kernel.protected_thing set state = 'approved' where id = 1")
    await refused(things, SUPERADMIN, "update kernel.protected_thing set state = 'voided' where id = 1")
    await done(things, ADMIN, "update kernel.protected_thing set state = 'approved' where id = 1")


async def test_drafts_may_be_deleted(things: Site) -> None:
    await done(things, NOBODY, "delete from kernel.protected_thing where id = 1")


async def test_nobody_changes_or_deletes_what_was_approved(things: Site) -> None:
    rows: tuple[LiteralString, ...] = ("2", "3")
    changes: tuple[LiteralString, ...] = (
        "update kernel.protected_thing set title = 'changed' where id = ",
        "update kernel.protected_thing set state = 'draft' where id = ",
        "update kernel.protected_thing set voided_at = '2020-01-01' where id = ",
        "update kernel.protected_thing set id = id + 100 where id = ",
        "delete from kernel.protected_thing where id = ",
    )
    for stamp, row, change in product((NOBODY, ADMIN, SUPERADMIN), rows, changes):
        await refused(things, stamp, change + row)


async def test_allowed_columns_change_under_an_actor(things: Site) -> None:
    await done(things, Stamp("import"), "update kernel.protected_thing set open_amount = 7 where id = 2")
    await done(things, ADMIN, "update kernel.protected_thing set open_amount = 0 where id = 3")
    assert "no actor" in await refused(things, NOBODY, "update kernel.protected_thing set open_amount = 8 where id = 2")


async def test_an_update_outside_any_transaction_of_ours_is_refused(things: Site) -> None:
    async with things.db.connection() as conn:
        with pytest.raises(asyncpg.PostgresError, match="no actor"):
            await conn.execute("update kernel.protected_thing set open_amount = 8 where id = 2")


async def test_only_the_superadministrator_in_the_announced_mode_voids(things: Site) -> None:
    await refused(things, ADMIN, VOID_SQL)
    await refused(things, Stamp("1", "superadmin"), VOID_SQL)
    await refused(things, SUPERADMIN, "update kernel.protected_thing set state = 'voided' where id = 2")
    await refused(things, SUPERADMIN, VOID_SQL.replace("set state", "set title = 'b2', state"))
    await done(things, SUPERADMIN, VOID_SQL.replace("set state", "set open_amount = 0, state"))
    await refused(things, SUPERADMIN, "update kernel.protected_thing set state = 'approved' where id = 2")


async def test_a_row_cannot_be_added_as_approved_by_nobody(things: Site) -> None:
    insert: LiteralString = "insert into kernel.protected_thing (id, title, state) values (9, 'x', '{}')"
    await refused(things, NOBODY, insert.format("approved"))
    await refused(things, SUPERADMIN, insert.format("voided"))
    await done(things, NOBODY, insert.format("draft"))


async def test_the_application_role_cannot_take_the_protection_off(things: Site, conn: Connection) -> None:
    for statement in (
        "drop trigger protect_approved on kernel.protected_thing",
        "alter table kernel.protected_thing disable trigger all",
        "truncate kernel.protected_thing",
        "set session_replication_role = replica",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


async def test_other_errors_are_not_taken_for_a_protection(conn: Connection) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await conn.execute("select 1 / 0")
    assert protection_of(caught.value) is None

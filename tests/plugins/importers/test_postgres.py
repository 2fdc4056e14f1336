"""A foreign PostgreSQL as a source: what it gives, what it refuses, and one that goes away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import pytest

from kernel import SourceError
from kernel.db import migrate
from kernel.testing import Cluster
from plugins.importers.postgres import reading
from plugins.importers.postgres.reading import Settings

SCRIPT = """
create schema shop;
create type shop.kind as enum ('person', 'company');
create table shop."Odd ""Name" (
    id uuid primary key, kwota numeric(12,2), dzien date, chwila timestamp, nazwa text, rodzaj shop.kind,
    czynny boolean,
    stawka double precision, plik bytea, dane jsonb);
insert into shop."Odd ""Name" values ('7d444840-9dc0-11d1-b245-5ffdce74fad2', 1234.50, '2026-11-24',
    '2026-11-24 12:00', 'zażółć', 'company', true, 0.5, '\\x00ff', '{"a": 1}');
create view shop.widok as select id, nazwa from shop."Odd ""Name";
create table shop.many as select n from generate_series(1, 5001) n;
create function shop.write() returns integer language sql as 'delete from shop.many; select 1';
grant usage on schema shop to public;
grant all on all tables in schema shop to public;
"""


@pytest.fixture
async def place(cluster: Cluster) -> AsyncIterator[dict[str, Any]]:
    """A database with the script's tables; the settings that reach it."""
    await cluster.server.create_database("foreign_shop")
    endpoints = cluster.server.endpoints("foreign_shop")
    owner = await migrate.connect(endpoints.owner_dsn)
    await owner.execute(SCRIPT)
    await owner.close()
    parts = urlsplit(endpoints.dsn)
    yield {
        "host": parse_qs(parts.query)["host"][0],
        "user": parts.username,
        "password": parts.password,
        "database": "foreign_shop",
        "namespace": "shop",
    }
    await cluster.server.drop_database("foreign_shop")


def settings(place: dict[str, Any], **others: Any) -> Settings:
    return Settings.model_validate(place | others)


async def rows_of(source: Settings, query: str) -> list[dict[str, object]]:
    return [dict(row) async for batch in reading.stream(source, query) for row in batch]


async def test_tables_and_values(place: dict[str, Any]) -> None:
    assert await reading.discover(settings(place)) == {
        'Odd "Name': ["id", "kwota", "dzien", "chwila", "nazwa", "rodzaj", "czynny", "stawka", "plik", "dane"],
        "many": ["n"],
        "widok": ["id", "nazwa"],
    }
    [row] = await rows_of(settings(place), 'Odd "Name')
    assert row == {
        "id": str(UUID("7d444840-9dc0-11d1-b245-5ffdce74fad2")),
        "kwota": Decimal("1234.50"),
        "dzien": date(2026, 11, 24),
        "chwila": datetime(2026, 11, 24, 12),  # noqa: DTZ001  a timestamp without a zone
        "nazwa": "zażółć",
        "rodzaj": "company",
        "czynny": True,
        "stawka": 0.5,
        "plik": b"\x00\xff",
        "dane": '{"a": 1}',
    }
    assert await rows_of(settings(place), "select count(*) as ile from shop.many") == [{"ile": 5001}]


async def test_many_rows_stream(place: dict[str, Any]) -> None:
    sizes = [len(batch) async for batch in reading.stream(settings(place), "many")]
    assert sizes == [2000, 2000, 1001]


async def test_nothing_is_ever_written(place: dict[str, Any]) -> None:
    for query in (
        "delete from shop.many",
        "select shop.write()",
        "with gone as (delete from shop.many returning n) select * from gone",
        "select 1; delete from shop.many",
    ):
        with pytest.raises(SourceError):
            await rows_of(settings(place), query)
    assert len(await rows_of(settings(place), "many")) == 5001


async def test_a_wrong_login_and_no_server(place: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="refuses") as refused:
        await reading.discover(settings(place, password="wrong-secret"))
    assert "wrong-secret" not in str(refused.value)
    with pytest.raises(SourceError, match="nowhere"):
        await reading.discover(settings(place, database="nowhere"))
    with pytest.raises(SourceError, match=r"There is no PostgreSQL server at 127\.0\.0\.1:1:"):
        await reading.discover(settings(place, host="127.0.0.1", port=1))
    with pytest.raises(SourceError, match="relation"):
        await rows_of(settings(place), "select * from nowhere")
    assert place["password"] not in repr(settings(place))


async def test_a_connection_that_is_cut_while_it_is_read(place: dict[str, Any], cluster: Cluster) -> None:
    batches = reading.stream(settings(place), "select a.n from shop.many a, shop.many b")
    await anext(batches)
    other = await asyncpg.connect(cluster.server.endpoints("foreign_shop").dsn)
    await other.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = 'foreign_shop' and pid <> pg_backend_pid() and usename = current_user"
    )
    await other.close()
    with pytest.raises(SourceError, match=r"was lost\. Nothing was imported"):
        _rest = [batch async for batch in batches]

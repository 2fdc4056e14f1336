"""Errors as people read them: each status has its words in both languages, and each failure its status."""

from __future__ import annotations

from pathlib import Path
from typing import LiteralString

import asyncpg
import pytest
from aiohttp import web

import kernel
from kernel import Refused, _
from kernel.db.connection import Connection
from kernel.db.pool import DatabaseUnavailable
from kernel.i18n import load_catalogues, speaking
from kernel.web.errors import Problem, problem_of, words_of

STATUSES = (400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 422, 429, 500, 503)


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_words_and_advice(status: int) -> None:
    load_catalogues([Path(kernel.__file__).parent])
    words = words_of(status)
    for text in (words.title, words.advice):
        with speaking("en"):
            english = str(text)
        with speaking("pl"):
            assert str(text) != english


def test_a_rare_status_speaks_like_its_family() -> None:
    assert words_of(418) == words_of(400)
    assert words_of(504) == words_of(500)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Problem(413), 413),
        (Refused(_("No")), 422),
        (web.HTTPNotFound(), 404),
        (web.HTTPTooManyRequests(headers={"Retry-After": "7"}), 429),
        (DatabaseUnavailable("away"), 503),
        (ConnectionResetError(), 503),
        (TimeoutError(), 503),
        (asyncpg.InterfaceError("pool is closing"), 503),
        (LookupError("no customer in view"), 404),
        (KeyError("a bug"), 500),
        (FileNotFoundError("a bug"), 500),
        (asyncpg.InterfaceError("the server expects 2 arguments"), 500),
    ],
)
def test_failures_and_their_statuses(error: Exception, status: int) -> None:
    problem = problem_of(error)
    assert problem.status == status
    if status in (429, 503):
        assert "Retry-After" in problem.headers


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("do $$ begin raise exception using errcode = 'EB001'; end $$", 403),
        ("do $$ begin raise exception using errcode = 'EB003'; end $$", 409),
        ("do $$ begin raise exception using errcode = '23505'; end $$", 409),
        ("do $$ begin raise exception using errcode = '40P01'; end $$", 409),
        ("create table kernel.mine (id bigint)", 403),
        ("select 2147483647::int + 1", 400),
        ("select 1 / 0", 500),
        ("set statement_timeout = 1; select pg_sleep(1)", 503),
        ("select pg_terminate_backend(pg_backend_pid())", 503),
    ],
)
@pytest.mark.ebok(plugins=[])
async def test_refusals_of_the_database(conn: Connection, statement: LiteralString, status: int) -> None:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)) as caught:
        await conn.execute(statement)
    assert problem_of(caught.value).status == status


@pytest.mark.ebok(plugins=[])
async def test_values_that_cannot_be_sent(conn: Connection) -> None:
    for value in (10**30, "a\x00b"):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await conn.fetchval("select $1::bigint" if isinstance(value, int) else "select $1::text", value)
        assert problem_of(caught.value).status == 400

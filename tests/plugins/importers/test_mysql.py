"""A real MariaDB as a source: types, old encodings, protection of the way, and a server that dies while it is read."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from kernel import SourceError
from plugins.importers.mysql import reading
from plugins.importers.mysql.reading import Settings
from tests.conftest import missing
from tests.mariadb import PASSWORD, MariaDB, mariadb


def settings(server: MariaDB, **others: Any) -> Settings:
    given = {"port": server.port, "user": "root", "password": PASSWORD, "database": "office"}
    return Settings.model_validate(given | others)


async def rows_of(source: Settings, query: str) -> list[dict[str, object]]:
    return [dict(row) async for batch in reading.stream(source, query) for row in batch]


@pytest.fixture
def server(mysql_server: MariaDB) -> MariaDB:
    mysql_server.run("drop database if exists office; create database office character set utf8mb4")
    return mysql_server


async def test_tables_views_and_values(server: MariaDB) -> None:
    server.run(
        """
        set sql_mode = '';
        create table `odd ``name` (
            id bigint unsigned primary key, kwota decimal(12,2), dzien date, chwila datetime, nazwa varchar(50),
            opis text character set latin2, czynny bit(1), stawka double, plik blob, wybor enum('tak', 'nie'));
        insert into `odd ``name` values
            (18446744073709551615, 1234.50, '2026-11-24', '2026-11-24 12:00:00', 'Łódź', 'zażółć', 1, 0.5, x'00ff',
             'tak'),
            (2, null, '0000-00-00', '0000-00-00 00:00:00', '', null, 0, null, null, null);
        create view widok as select id, nazwa from `odd ``name`
        """,
        "office",
    )
    assert await reading.discover(settings(server)) == {
        "odd `name": ["id", "kwota", "dzien", "chwila", "nazwa", "opis", "czynny", "stawka", "plik", "wybor"],
        "widok": ["id", "nazwa"],
    }
    first, second = await rows_of(settings(server), "odd `name")
    assert sorted((first["id"], second["id"]), key=str) == [18446744073709551615, 2]
    by_id = {first["id"]: first, second["id"]: second}
    assert by_id[18446744073709551615] == {
        "id": 18446744073709551615,
        "kwota": Decimal("1234.50"),
        "dzien": date(2026, 11, 24),
        "chwila": datetime(2026, 11, 24, 12),  # noqa: DTZ001  MySQL's datetime has no zone
        "nazwa": "Łódź",
        "opis": "zażółć",
        "czynny": 1,
        "stawka": 0.5,
        "plik": b"\x00\xff",
        "wybor": "tak",
    }
    assert (by_id[2]["dzien"], by_id[2]["chwila"]) == ("0000-00-00", "0000-00-00 00:00:00"), "the engine judges them"
    assert await rows_of(settings(server), "select count(*) as ile from widok where nazwa like '%dź'") == [{"ile": 1}]


async def test_many_rows_stream(server: MariaDB) -> None:
    server.run("create table t (n int primary key); insert into t select seq from seq_1_to_5001", "office")
    sizes = [len(batch) async for batch in reading.stream(settings(server), "t")]
    assert sum(sizes) == 5001
    assert max(sizes) == reading.ROWS


async def test_nothing_is_ever_written(server: MariaDB) -> None:
    server.run("create table t (n int); insert into t values (1)", "office")
    for query in ("insert into t values (2)", "delete from t", "update t set n = 2"):
        with pytest.raises(SourceError):
            await rows_of(settings(server), query)
    with pytest.raises(SourceError):
        await rows_of(settings(server), "select 1; delete from t")
    assert await rows_of(settings(server), "t") == [{"n": 1}]


async def test_a_query_that_is_none(server: MariaDB) -> None:
    with pytest.raises(SourceError, match="must be a select"):
        await rows_of(settings(server), "set @a = 1")
    with pytest.raises(SourceError, match="nowhere"):
        await rows_of(settings(server), "select * from nowhere")


async def test_texts_that_an_old_program_wrote_into_latin1(server: MariaDB) -> None:
    server.run("create table t (a varchar(50) character set latin1, b varchar(50) character set latin2)", "office")
    with server.connected("office", charset="latin1") as connection, connection.cursor() as cursor:
        meant = "Żółć – gęś, źdźbło ŚĄ".encode("cp1250")
        cursor.execute(cast(str, b"insert into t (a) values ('%s')" % meant))  # as the driver takes it, too
    server.run("update t set b = 'łąka'", "office")
    [row] = await rows_of(settings(server, encoding="cp1250"), "t")
    assert row == {"a": "Żółć – gęś, źdźbło ŚĄ", "b": "łąka"}
    [as_declared] = await rows_of(settings(server), "t")
    assert as_declared["a"] != row["a"]


async def test_a_wrong_login_and_no_server(server: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="refuses") as refused:
        await reading.discover(settings(server, password="wrong-secret"))
    assert "wrong-secret" not in str(refused.value)
    with pytest.raises(SourceError, match="nowhere"):
        await reading.discover(settings(server, database="nowhere"))
    with pytest.raises(SourceError, match=r"There is no MySQL server at 127\.0\.0\.1:1:"):
        await reading.discover(settings(server, port=1))
    with pytest.raises(SourceError, match="OFFICE_PASSWORD"):
        await reading.discover(settings(server, password=None, password_env="OFFICE_PASSWORD"))
    monkeypatch.setenv("OFFICE_PASSWORD", PASSWORD)
    assert await reading.discover(settings(server, password=None, password_env="OFFICE_PASSWORD")) == {}
    kept = tmp_path / "password"
    with pytest.raises(SourceError, match="password"):
        await reading.discover(settings(server, password=None, password_file=kept))
    kept.write_text(PASSWORD + "\n", encoding="utf-8")
    assert await reading.discover(settings(server, password=None, password_file=kept)) == {}
    with pytest.raises(ValidationError, match="Give one"):
        settings(server, password_env="OFFICE_PASSWORD")
    assert PASSWORD not in repr(settings(server))


async def test_a_server_that_dies_while_it_is_read() -> None:
    with mariadb() as server:
        server.run(
            "create database office; use office; create table t (n int primary key, x varchar(2000));"
            "insert into t select seq, repeat('x', 2000) from seq_1_to_100000"
        )
        batches = reading.stream(settings(server), "t")
        for _ in range(10):
            await anext(batches)
        server.kill()
        with pytest.raises(SourceError, match=r"was lost\. Nothing was imported"):
            _rest = [batch async for batch in batches]


async def test_leaving_in_the_middle_does_not_read_the_rest(server: MariaDB) -> None:
    server.run("create table t (n int primary key)", "office")
    server.run("insert into t select seq from seq_1_to_200000", "office")
    stream = cast(AsyncGenerator[object], reading.stream(settings(server), "select a.n from t a, t b"))
    async with aclosing(stream) as batches:
        async for _batch in batches:
            break
    for _ in range(50):
        with server.connected() as connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from information_schema.processlist where info like 'select a.n%'")
            [left] = cursor.fetchone() or (1,)
        if not left:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the server still works on the query")


# --- the way to it ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certified() -> Iterator[tuple[MariaDB, Path]]:
    """A MariaDB with a certificate of its own authority, which stands beside it."""
    made = Path(tempfile.mkdtemp(prefix="ebok-tls-", dir="/tmp"))
    made.chmod(0o755)  # the server's user reads it
    _certificates(made)
    options = [f"--ssl-{name}={made / name}.pem" for name in ("ca", "cert", "key")]
    with mariadb(*options) as server:
        server.run("create database office; create table office.t (n int); insert into office.t values (1)")
        yield server, made / "ca.pem"
    shutil.rmtree(made)


def _certificates(made: Path) -> None:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=made, check=True, capture_output=True)

    try:
        openssl("version")
    except FileNotFoundError:
        missing("openssl")
    name, alternative = "/CN=test", "subjectAltName=IP:127.0.0.1"
    key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
    openssl("req", *key, "-keyout", "key.pem", "-out", "cert.csr", "-subj", name, "-addext", alternative)
    (made / "ext").write_text(alternative)
    openssl(
        *("x509", "-req", "-in", "cert.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"),
        *("-out", "cert.pem", "-extfile", "ext"),
    )
    for file in made.iterdir():
        file.chmod(0o644)


CIPHER = "show session status like 'Ssl_cipher'"


async def cipher(source: Settings) -> str:
    [row] = await rows_of(source, CIPHER)
    return str(row["Value"])


async def test_the_way_is_encrypted_where_the_server_can(certified: tuple[MariaDB, Path]) -> None:
    server, authority = certified
    assert await cipher(settings(server))
    assert await cipher(settings(server, tls="require"))
    assert await cipher(settings(server, tls="verify", tls_ca=authority))
    assert not await cipher(settings(server, tls="off"))
    with pytest.raises(SourceError, match="certificate"):
        await cipher(settings(server, tls="verify"))
    with pytest.raises(SourceError):
        await cipher(settings(server, tls="verify", tls_ca=authority, host="localhost"))


async def test_a_server_without_encryption(server: MariaDB) -> None:
    assert not await cipher(settings(server))
    with pytest.raises(SourceError):
        await cipher(settings(server, tls="require"))

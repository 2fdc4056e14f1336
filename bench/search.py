"""``python -m bench.search``: the search box among 100,000 customers, asked in mistyped words.

The register is invented: the same people, streets and mistakes for the same size. Two hundred questions (names, streets
with house and flat, telephone numbers; a letter swapped, dropped, doubled or changed, Polish letters left out, words
turned round, endings of a Polish case) go through what stands behind the search box, on the application's role: the
register, the ledger, and how those who were found stand. What counts is how long an answer takes, how often the
customer that was meant is among the hits, and that no statement reads the register or the ledger from end to end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any, Final, LiteralString

import asyncpg

from bench.processes import BenchError, cluster
from bench.seed import seed
from kernel import Connection
from kernel.app import registry_of
from kernel.config import Config
from kernel.dates import Clock
from kernel.db import migrate
from kernel.db.embedded import EmbeddedServer
from kernel.db.pool import Database
from plugins.customers import finding as register
from plugins.customers.finding import model
from plugins.customers.finding import store as register_store
from plugins.payments.overview import store as ledger_store
from plugins.payments.overview.model import read

SEED: Final = 20261124
QUERIES: Final = 200
GOAL_MS: Final = 150.0
"""The slowest of twenty: what still feels at once while typing."""
GOAL_FOUND: Final = 0.95

_HEADS: Final = (
    "Kowal Wiśn Zieliń Szymań Dąbrow Kozłow Jankow Wojciech Kwiatkow Piotrow Grabow Pawłow Michal Jabłoń Nowakow Majew "
    "Olszew Malinow Jawor Nowic Gór Witkow Rutkow Ostrow Tomaszew Zalew Wróblew Jasiń Zawadz Jakubow Sadow Chmielew "
    "Borkow Sokołow Szczepań Sawic Kuchar Maciejew Kalinow Wysoc Czarnec Kołodziej Urbań Sobczyń Głowac Kaźmier "
    "Przybyl Brzeziń Wasilew Laskow Mroziń Kubac Stankiew Bielec Cieśl Górec Marcinkow Rogal Żurow Gajew Leśniew "
    "Orłow Pietrow Rybac"
)
_TAILS: Final = "ski cki czyk ak ek ik uk arz ewicz owicz czak iak asz ień yński owiak czuk ała ura oń"
_GIVEN: Final = (
    "Anna Maria Katarzyna Małgorzata Agnieszka Barbara Ewa Krystyna Magdalena Elżbieta Joanna Zofia "
    "Monika Teresa Danuta Natalia Karolina Marta Halina Jadwiga Łucja Żaneta Grażyna Piotr Krzysztof "
    "Andrzej Tomasz Jan Paweł Michał Marcin Stanisław Jakub Adam Marek Łukasz Grzegorz Mateusz Wojciech "
    "Mariusz Zbigniew Jerzy Maciej Rafał Sławomir"
)
_STREETS: Final = (
    "Lip Wiśn Kasztan Żegl Słonecz Klon Brzoz Dęb Jesion Akacj Kwiat Róż Malin Jagod Poziomk Leś Pol Łąk "
    "Wodn Rzecz Źródl Most Młyń Kościel Szkol Ogrod Park Zamk Krak Warszaw Poznań Gdań Wrocław Lubel "
    "Rzeszow Opol Toruń"
)
_STREET_ENDS: Final = "owa arska ana owska yńska na iana ecka ska"
_CITIES: Final = ("Poznań", "Swarzędz", "Luboń", "Mosina", "Śrem", "Kórnik")


@dataclass(frozen=True, slots=True)
class Person:
    """A customer of the register as it is filled; ``id`` from 1."""

    id: int
    given: str
    family: str
    street: str
    building: str
    flat: str
    city: str
    phone: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came out. Times in milliseconds."""

    customers: int
    queries: int
    p50: float
    p95: float
    slowest: float
    found: float
    first: float


def _one(chance: Random, words: str) -> str:
    return chance.choice(words.split())


def person(number: int) -> Person:
    """The n-th customer: always the same."""
    chance = Random(SEED * 1_000_003 + number)
    return Person(
        id=number,
        given=_one(chance, _GIVEN),
        family=_one(chance, _HEADS) + _one(chance, _TAILS),
        street="ul. " + _one(chance, _STREETS) + _one(chance, _STREET_ENDS),
        building=str(chance.randint(1, 60)) + chance.choice(("", "", "", "a", "b")),
        flat=str(chance.randint(1, 60)),
        city=chance.choice(_CITIES),
        phone=f"{chance.randint(500, 899)} {chance.randint(100, 999)} {chance.randint(100, 999)}",
    )


def mistyped(chance: Random, word: str) -> str:
    """``word`` as it comes from a hurried keyboard."""
    place = chance.randrange(1, max(2, len(word) - 1))
    swapped = word[:place] + word[place : place + 2][::-1] + word[place + 2 :]
    dropped = word[:place] + word[place + 1 :]
    doubled = word[:place] + word[place - 1] + word[place:]
    changed = word[:place] + chance.choice("aeiorstn") + word[place + 1 :]
    return chance.choice((swapped, dropped, doubled, changed)).translate(_PLAIN)


_PLAIN: Final = str.maketrans("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ", "acelnoszzACELNOSZZ")


def question(chance: Random, who: Person) -> str:
    """What somebody types who looks for ``who``."""
    street, house = who.street.removeprefix("ul. "), f"{who.building}/{who.flat}"
    return chance.choice(
        (
            f"{mistyped(chance, street)} {house}",
            f"{mistyped(chance, who.family)} {who.given.translate(_PLAIN)} {mistyped(chance, street)}",
            f"{mistyped(chance, street)} {who.building} m. {who.flat} {mistyped(chance, who.city)}",
            f"{who.given.lower()} {mistyped(chance, who.family.lower())} {house}",
            f"{mistyped(chance, who.family)} {who.phone.replace(' ', '')}",
            f"{who.phone.replace(' ', '-')}",
            f"{who.family}a {mistyped(chance, street)} {who.building}",
        )
    )


CUSTOMERS_SQL: Final[LiteralString] = """
update kernel.customer known
set given_name = row.given, family_name = row.family, name = row.given || ' ' || row.family, street = row.street,
    building = row.building, flat = row.flat, city = row.city, phone = row.phone
from jsonb_to_recordset($1::jsonb) as row (id bigint, given text, family text, street text, building text, flat text,
                                           city text, phone text)
where known.id = row.id"""
POINTS_SQL: Final[LiteralString] = """
insert into kernel.service_point (customer, code, street, building, flat, city)
select id, 'P' || id, street, building, (1 + id % 90)::text, city from kernel.customer where id % 4 = 0"""
FILLED_SQL: Final[LiteralString] = "select exists (select from kernel.customer where id = 1 and phone <> '')"
AT_ONCE: Final = 5000


async def filled(server: EmbeddedServer, customers: int, months: int, today: date) -> str:
    """A database with these people, each with a ledger; its application address."""
    made = await seed(server, registry_of(Config()), customers, months, today)
    owner = await migrate.connect(server.endpoints(f"bench_{customers}_{months}").owner_dsn)
    try:
        if not await owner.fetchval(FILLED_SQL):
            for first in range(1, customers + 1, AT_ONCE):
                people = [asdict(person(number)) for number in range(first, min(first + AT_ONCE, customers + 1))]
                await owner.execute(CUSTOMERS_SQL, json.dumps(people))
            await owner.execute(POINTS_SQL)
            await owner.execute("vacuum (full, analyze) kernel.customer")
            await owner.execute("vacuum (analyze) kernel.service_point, customers.word")
    finally:
        await owner.close()
    return made.dsn


async def answer(conn: Connection, text: str, today: date) -> list[int]:
    """Everything that the search box asks the database: the register, the ledger, and how those found stand."""
    numbers = [row["id"] for row in await register.found(conn, text)]
    ledger = await ledger_store.found(conn, read(text), lines=True)
    whose = [row["customer"] for row in ledger if row["customer"] is not None]
    await ledger_store.standing(conn, list(dict.fromkeys([*numbers, *whose])), today)
    return numbers


async def measured(dsn: str, customers: int, today: date) -> Result:
    """Asks every question once to warm up, then again with the clock."""
    chance = Random(SEED)
    asked = [(who, question(chance, who)) for who in (person(chance.randint(1, customers)) for _ in range(QUERIES))]
    database = Database(dsn, size=2)
    times: list[float] = []
    found, first = 0, 0
    try:
        async with database.connection() as conn:
            for _who, text in asked:
                await answer(conn, text, today)
            for who, text in asked:
                started = time.perf_counter()
                numbers = await answer(conn, text, today)
                times.append(1000 * (time.perf_counter() - started))
                found += who.id in numbers
                first += numbers[:1] == [who.id]
                if who.id not in numbers:
                    print(f"not found: {text!r} for {who}", file=sys.stderr)
            await _follow_indexes(conn, asked[0][1], today)
    finally:
        await database.close()
    times.sort()
    return Result(
        customers,
        QUERIES,
        round(statistics.median(times), 1),
        round(times[int(0.95 * len(times)) - 1], 1),
        round(times[-1], 1),
        found / QUERIES,
        first / QUERIES,
    )


async def _follow_indexes(conn: Connection, text: str, today: date) -> None:
    """Raises BenchError when a statement of the search reads a large table from end to end."""
    words, near = await register_store.words(conn, text)
    asked = model.queries(text, words, near)
    questions: tuple[tuple[LiteralString, tuple[object, ...]], ...] = (
        (register_store.WORDS_SQL, (text, register_store.NEAR)),
        (ledger_store.STANDING_SQL, (list(range(1, 21)), today)),
        *((ledger_store.FOUND_SQL, _ledger_values(text)) for text in ("NK/2026-11/00000001", "123,45", "Wpłata")),
        (register_store.HITS_SQL, (text, asked.whole, asked.begun, asked.mistyped, register_store.MOST_HITS)),
    )
    for statement, values in questions:
        explained: LiteralString = f"explain (format json) {statement}"
        plan = await conn.fetchval(explained, *values)
        if scanned := scans(json.loads(plan) if isinstance(plan, str) else plan):
            raise BenchError(f"A search reads {', '.join(scanned)} from end to end.")


def _ledger_values(text: str) -> tuple[object, ...]:
    asked = read(text)
    found = (asked.text, asked.document, asked.digits, asked.amount, asked.title)
    return (*found, True, ledger_store.MOST, ledger_store.NEWEST)


LARGE: Final = frozenset({"customer", "service_point", "entry", "account", "word"})


def scans(plan: Any) -> list[str]:
    """Large tables that a plan reads whole."""
    if isinstance(plan, list):
        return [name for part in plan for name in scans(part)]
    if not isinstance(plan, dict):
        return []
    own = [plan["Relation Name"]] if plan.get("Node Type") == "Seq Scan" and plan["Relation Name"] in LARGE else []
    return own + [name for part in plan.values() for name in scans(part)]


async def _bench(options: argparse.Namespace) -> int:
    today = Clock().today()
    async with cluster(options.data_dir) as (server, _scratch):
        dsn = await filled(server, options.customers, options.months, today)
        result = await measured(dsn, options.customers, today)
    print(
        f"search: {result.queries} mistyped questions among {result.customers:,} customers: p50 {result.p50} ms, "
        f"p95 {result.p95} ms (goal {GOAL_MS:.0f}), slowest {result.slowest} ms; found {result.found:.0%} "
        f"(goal {GOAL_FOUND:.0%}), first of all {result.first:.0%}; load {os.getloadavg()[0]:.1f}"
    )
    if options.json:
        options.json.write_text(json.dumps(asdict(result), indent=2), encoding="utf-8")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with one line when nothing could be measured."""
    parser = argparse.ArgumentParser(prog="bench.search", description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--months", type=int, default=2, help="of the ledger behind them")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--data-dir", type=Path, help="keep the database here for the next run")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_bench(options))
    except (BenchError, asyncpg.PostgresError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

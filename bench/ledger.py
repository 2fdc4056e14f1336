"""``python -m bench.ledger``: posting, reading and proving the ledger, against bare SQL on the same tables.

The bare functions of ``bare_ledger.sql`` do the same work on the same rows in the same run, in interleaved rounds, so
that a busy neighbour slows both: what counts are the ratios. Statements that are compared are first shown to give the
same figures. ``ebok verify`` runs as an operator would run it, with its time and memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, LiteralString, cast

import asyncpg

from bench.processes import BenchError, cluster, cpu_seconds
from bench.seed import DEBTOR_EVERY, Seeded, seed
from kernel import Connection, Money
from kernel.app import registry_of
from kernel.config import Config
from kernel.dates import Clock
from kernel.db import migrate
from kernel.db.embedded import EmbeddedServer, find_programs
from kernel.db.pool import COMMIT, Database, Stamp
from plugins.payments import Side, store
from plugins.payments.explain import store as explain
from plugins.payments.store import Draft, Key

PAST_DAYS: Final = 60
"""How long ago «a past day» is."""
VERIFY_SECONDS: Final = 300
VERIFY_MEGABYTES: Final = 500
ENTRIES_OF_GOALS: Final = 12_000_000
"""The size that the seconds and megabytes of ``ebok verify`` are promised for."""
BARE_SQL: Final = Path(__file__).with_name("bare_ledger.sql")
_STEPS: Final = (7919, 7907, 7901)


@dataclass(slots=True)
class Round:
    """``done`` pieces of work in so many seconds, with the processor time of PostgreSQL."""

    done: int
    seconds: float
    cpu: float


@dataclass(slots=True)
class Comparison:
    """The product's way and the bare one, round by round. The goal holds for their seconds per piece of work:
    ``at_least`` a share of the bare speed, else at most so many times the bare time."""

    what: str
    goal: float | None
    at_least: bool
    bare: list[Round] = field(default_factory=list[Round])
    product: list[Round] = field(default_factory=list[Round])

    @property
    def ratio(self) -> float:
        """Of speeds, or of times, as the goal is put: the median of the rounds' ratios."""
        return self._ratio(lambda r: r.seconds / r.done)

    @property
    def cpu_ratio(self) -> float:
        """The same of processor time."""
        return self._ratio(lambda r: max(r.cpu, 0.001) / r.done)

    @property
    def is_met(self) -> bool:
        return self.goal is None or (self.ratio >= self.goal if self.at_least else self.ratio <= self.goal)

    def _ratio(self, cost: Callable[[Round], float]) -> float:
        pairs = ((cost(product), cost(bare)) for product, bare in zip(self.product, self.bare, strict=True))
        return statistics.median(bare / product if self.at_least else product / bare for product, bare in pairs)


@dataclass(frozen=True, slots=True)
class Verified:
    """One run of ``ebok verify``. Megabytes: the most that its process held, and PostgreSQL's besides shared memory."""

    seconds: float
    megabytes: float
    pg_megabytes: float
    code: int
    said: str


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements need. ``owner`` may do everything, ``app`` is a connection as the product has them."""

    options: argparse.Namespace
    seeded: Seeded
    dsn: str
    owner: asyncpg.Connection
    app: Connection
    postmaster: int
    today: date
    scratch: Path


def main() -> int:
    """Compare, measure, print. Exit code 0 unless the comparison itself could not be made."""
    options = _options().parse_args()
    if not Path("/proc/self/stat").exists():
        print("bench: processor time is read from /proc, which this system does not have", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_bench(options))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m bench.ledger", description="The ledger against bare SQL.")
    say = options.add_argument
    say("--accounts", type=int, default=100_000, help="accounts (default 100000)")
    say("--entries", type=int, default=120, help="entries of each account (default 120)")
    say("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    say("--connections", type=int, default=8, help="connections that post at once (default 8)")
    say("--payments", type=int, default=400, help="payments of each connection in each round (default 400)")
    say("--bulk", type=int, default=100_000, help="payments of a bulk approval (default 100000)")
    say("--bulk-rounds", type=int, default=2, help="rounds of bulk approval (default 2)")
    say("--json", type=Path, metavar="F", help="write everything measured as JSON")
    say("--data-dir", type=Path, metavar="D", help="keep the filled database here, for the next run of the same day")
    return options


async def _bench(options: argparse.Namespace) -> int:
    today = Clock().today()
    started_load = os.getloadavg()[0]
    async with cluster(options.data_dir) as (server, scratch):
        print(f"{options.accounts:,} accounts × {options.entries} entries …", end=" ", flush=True)
        seeded = await seed(server, registry_of(Config()), options.accounts, options.entries // 2, today)
        print(
            f"{seeded.entries:,} entries, {seeded.allocations:,} allocations, {seeded.open_charges:,} open charges, "
            f"{seeded.debtors:,} debtors, {seeded.megabytes:,} MB, {seeded.seconds:.0f} s",
            flush=True,
        )
        verified = await _verify(server, seeded.dsn, scratch)
        compared = await _compared(server, seeded, options, today, scratch)
    _report(compared, verified, seeded, started_load)
    if options.json:
        _write(options.json, compared, verified, seeded)
    return 0


async def _compared(
    server: EmbeddedServer, seeded: Seeded, options: argparse.Namespace, today: date, scratch: Path
) -> list[Comparison]:
    """Everything but the proof, on a copy when the filled database is to be kept: posting changes it."""
    name = f"bench_{options.accounts}_{options.entries // 2}"
    if options.data_dir is not None:
        await server.drop_database("bench_work")
        await server.create_database("bench_work", template=name)
        name = "bench_work"
    endpoints = server.endpoints(name)
    postmaster = server.postmaster_pid
    if postmaster is None:
        raise BenchError("PostgreSQL is not running.")
    owner = await migrate.connect(endpoints.owner_dsn)
    app = await asyncpg.connect(endpoints.dsn, server_settings={"timezone": "UTC", "ebok.actor": "bench"})
    try:
        await owner.execute(BARE_SQL.read_text(encoding="utf-8"))
        await owner.execute("set ebok.actor = 'clerk'")
        bench = Bench(options, seeded, endpoints.dsn, owner, cast(Connection, app), postmaster, today, scratch)
        return [
            await _ageing(bench),
            await _past(bench),
            await _balance(bench),
            await _single(bench),
            await _through_pool(bench),
            await _bulk(bench),
        ]
    finally:
        await app.close()
        await owner.close()
        if options.data_dir is not None:
            await server.drop_database("bench_work")


# --- rounds ---------------------------------------------------------------------------------------------------------


async def _timed(bench: Bench, work: Callable[[], Awaitable[int]]) -> Round:
    cpu, started = cpu_seconds(bench.postmaster), time.perf_counter()
    done = await work()
    return Round(done, time.perf_counter() - started, cpu_seconds(bench.postmaster) - cpu)


async def _interleaved(
    bench: Bench,
    comparison: Comparison,
    bare: Callable[[], Awaitable[int]],
    product: Callable[[], Awaitable[int]],
    rounds: int,
) -> Comparison:
    for number in range(rounds):
        pair = [(comparison.bare, bare), (comparison.product, product)]
        for kept, work in pair if number % 2 == 0 else reversed(pair):
            kept.append(await _timed(bench, work))
    print(f"{comparison.what}: {comparison.ratio:.2f}×, load {os.getloadavg()[0]:.1f}", flush=True)
    return comparison


# --- posting --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Turns:
    """Which accounts post next: those with something open, each once as long as there are enough of them. Every second
    customer has one open charge, every tenth is a debtor with many."""

    accounts: int
    taken: int = 0

    @property
    def odd(self) -> int:
        return self.accounts // 2

    @property
    def many(self) -> int:
        return self.odd + self.accounts // DEBTOR_EVERY

    @property
    def step(self) -> int:
        return next(step for step in _STEPS if math.gcd(step, self.many) == 1)

    def take(self, count: int) -> int:
        """Where the next so many begin."""
        first, self.taken = self.taken, self.taken + count
        return first

    def account(self, number: int) -> int:
        place = number * self.step % self.many
        return 1 + 2 * place if place < self.odd else DEBTOR_EVERY * (place - self.odd + 1)

    def amount(self, number: int) -> int:
        """Grosze: a part of the one charge, or two to three of a debtor's."""
        return 10_000 if number * self.step % self.many < self.odd else 70_000

    def variables(self) -> str:
        """The same as pgbench says it."""
        return (
            "\\set turn :turn + 1\n\\set number :client_id + :clients * :turn\n"
            f"\\set place (:first + :number) * {self.step} % {self.many}\n"
            f"\\set account case when :place < {self.odd} then 1 + 2 * :place "
            f"else {DEBTOR_EVERY} * (:place - {self.odd} + 1) end\n"
            f"\\set amount case when :place < {self.odd} then 10000 else 70000 end\n"
            "\\set entry :base + :number\n"
        )


DRAFTS_SQL: Final[LiteralString] = """
insert into payments.entry (account_id, id, side, kind, amount, paid_on, value_date, title, channel)
select account, $3 + n - 1, 'credit', 'payment', amount, $4, $4, 'Wpłata', 'transfer'
from unnest($1::bigint[], $2::bigint[]) with ordinality p (account, amount, n)"""
NEXT_ENTRIES_SQL: Final[LiteralString] = """
select setval('payments.entry_id', nextval('payments.entry_id') + $1) - $1 + 1"""
WAITING_SQL: Final[LiteralString] = "select count(*) from payments.entry where state = 'draft'"


async def _drafts(bench: Bench, accounts: Sequence[int], amounts: Sequence[int]) -> int:
    """Enter drafts of payments, numbered in a row; the first number. Nobody measures this."""
    first = await bench.owner.fetchval(NEXT_ENTRIES_SQL, len(accounts))
    await bench.owner.execute(DRAFTS_SQL, accounts, amounts, first, bench.today)
    return first


async def _single(bench: Bench) -> Comparison:
    """One payment a transaction, on all connections at once, by pgbench: it hardly uses the processor itself. The
    product's is committed as its pool does it: the answer waits for the disk, the journal's lock does not."""
    options = bench.options
    turns = _Turns(options.accounts)
    each = max(1, min(options.payments, turns.many // (2 * options.rounds * options.connections)))
    count = each * options.connections
    day = f"date '{bench.today}'"
    bare = f"select bench.post(:account, :amount, {day});\n"
    approve = _with_values(store.APPROVE_SQL, "array[:account]", "array[:entry]", day, "false")
    begin, commit = "begin\\; set local synchronous_commit = off", COMMIT.replace(";", "\\;")
    scripts = {"bare": turns.variables() + bare, "product": f"{turns.variables()}{begin};\n{approve};\n{commit};\n"}
    protocols = {"bare": "prepared", "product": "simple"}
    for name, script in scripts.items():
        (bench.scratch / f"{name}.pgb").write_text(script)

    async def post(name: str) -> Round:
        first = turns.take(count)
        numbers = range(first, first + count)
        base = 0
        if name == "product":
            base = await _drafts(bench, [turns.account(n) for n in numbers], [turns.amount(n) for n in numbers])
        values = {"turn": -1, "first": first, "base": base, "clients": options.connections}
        script = bench.scratch / f"{name}.pgb"
        return await _pgbench(bench, script, options.connections, each, values, protocols[name])

    comparison = Comparison(f"approving one payment, {options.connections} connections", 0.5, at_least=True)
    for _round in range(options.rounds):
        comparison.bare.append(await post("bare"))
        comparison.product.append(await post("product"))
        if waiting := await bench.owner.fetchval(WAITING_SQL):
            raise BenchError(f"{waiting} drafts were not approved.")
    print(f"{comparison.what}: {comparison.ratio:.2f}×, load {os.getloadavg()[0]:.1f}", flush=True)
    return comparison


async def _through_pool(bench: Bench) -> Comparison:
    """Entering and approving in one transaction of the product's own pool, as a page does; for reading only."""
    options = bench.options
    turns = _Turns(options.accounts)
    count = options.connections * min(options.payments, 100)
    database = Database(bench.dsn, size=options.connections)

    async def bare_one(number: int) -> None:
        async with database.transaction(Stamp("bench")) as conn:
            await conn.fetchval(BARE_POST_SQL, turns.account(number), turns.amount(number), bench.today)

    async def product_one(number: int) -> None:
        async with database.transaction(Stamp("bench")) as conn:
            amount = Money(turns.amount(number))
            draft = Draft(turns.account(number), Side.CREDIT, "payment", amount, value_date=bench.today, title="Wpłata")
            await store.approve(conn, await store.add_drafts(conn, [draft]), bench.today)

    async def all_of(one: Callable[[int], Awaitable[None]]) -> int:
        first = turns.take(count)
        waiting = iter(range(first, first + count))

        async def connection() -> None:
            for number in waiting:
                await one(number)

        await asyncio.gather(*(connection() for _ in range(options.connections)))
        return count

    comparison = Comparison("entering and approving one through the product's pool", None, at_least=True)
    try:
        await database.open()
        return await _interleaved(
            bench, comparison, lambda: all_of(bare_one), lambda: all_of(product_one), options.rounds
        )
    finally:
        await database.close()


BARE_POST_SQL: Final[LiteralString] = "select bench.post($1, $2, $3)"
BARE_POST_ALL_SQL: Final[LiteralString] = "select bench.post_all($1, $2, $3)"


async def _bulk(bench: Bench) -> Comparison:
    """Payments of all accounts, approved in one transaction."""
    count = bench.options.bulk
    accounts = [1 + number % bench.options.accounts for number in range(count)]
    amounts = [10_000] * count

    async def bare() -> int:
        return await bench.app.fetchval(BARE_POST_ALL_SQL, accounts, amounts, bench.today)

    comparison = Comparison(f"approving {count:,} payments at once", 0.4, at_least=True)
    for number in range(bench.options.bulk_rounds):
        first = await _drafts(bench, accounts, amounts)
        keys = [Key(account, first + place) for place, account in enumerate(accounts)]

        async def product(keys: Sequence[Key] = keys) -> int:
            await bench.app.execute("begin")
            approved = await store.approve(bench.app, keys, bench.today)
            await bench.app.execute("commit")
            return len(approved)

        await bench.owner.execute("analyze payments.entry")
        pair = [(comparison.bare, bare), (comparison.product, product)]
        for kept, work in pair if number % 2 else reversed(pair):
            kept.append(await _timed(bench, work))
            if kept[-1].done != count:
                raise BenchError(f"{kept[-1].done} of {count} payments were approved.")
        print(f"bulk round {number + 1}: {comparison.ratio:.2f}×, load {os.getloadavg()[0]:.1f}", flush=True)
    return comparison


# --- reading --------------------------------------------------------------------------------------------------------

BARE_AGEING_SQL: Final[LiteralString] = """
select account_id, sum(open_amount)::bigint as arrears,
       coalesce(sum(open_amount) filter (where effective_due_on >= $1::date - 30), 0)::bigint as to_30,
       coalesce(sum(open_amount) filter (where effective_due_on between $1::date - 60 and $1::date - 31), 0)::bigint
           as to_60,
       coalesce(sum(open_amount) filter (where effective_due_on between $1::date - 90 and $1::date - 61), 0)::bigint
           as to_90,
       coalesce(sum(open_amount) filter (where effective_due_on between $1::date - 180 and $1::date - 91), 0)::bigint
           as to_180,
       coalesce(sum(open_amount) filter (where effective_due_on < $1::date - 180), 0)::bigint as over_180
from payments.entry
where side = 'charge' and open_amount > 0 and effective_due_on < $1
group by account_id order by account_id"""
AGES: Final = ("arrears", "to_30", "to_60", "to_90", "to_180", "over_180")

BARE_PAST_SQL: Final[LiteralString] = """
with charge as (
    select e.account_id, e.effective_due_on as due, e.amount - coalesce(paid.amount, 0) as open
    from payments.entry e
    left join (
        select account_id, charge, sum(amount) as amount from payments.allocation
        where released_at is null and value_date <= $1 group by account_id, charge
    ) paid on paid.account_id = e.account_id and paid.charge = e.id
    where e.side = 'charge' and e.state = 'approved' and e.issued_on <= $1 and e.effective_due_on < $1
)
select account_id, sum(open)::bigint as arrears,
       coalesce(sum(open) filter (where due >= $1::date - 30), 0)::bigint as to_30,
       coalesce(sum(open) filter (where due between $1::date - 60 and $1::date - 31), 0)::bigint as to_60,
       coalesce(sum(open) filter (where due between $1::date - 90 and $1::date - 61), 0)::bigint as to_90,
       coalesce(sum(open) filter (where due between $1::date - 180 and $1::date - 91), 0)::bigint as to_180,
       coalesce(sum(open) filter (where due < $1::date - 180), 0)::bigint as over_180
from charge where open > 0 group by account_id order by account_id"""

BARE_BALANCE_SQL: Final[LiteralString] = """
with open as (
    select e.side, e.effective_due_on as day, e.open_amount as amount,
           c.consumer and coalesce(e.time_barred_on <= $2::date, false) as is_barred
    from kernel.customer c join payments.account a on a.customer = c.id
    join payments.entry e on e.account_id = a.id and e.open_amount > 0
    where c.id = $1::bigint
),
sums as (
    select coalesce(sum(amount) filter (where side = 'charge' and not is_barred and day <= $2::date), 0) as due,
           coalesce(sum(amount) filter (where side = 'charge' and not is_barred and day < $2::date), 0) as arrears,
           coalesce(sum(amount) filter (where is_barred), 0) as barred,
           coalesce(sum(amount) filter (where side = 'credit'), 0) as credit,
           min(day) filter (where side = 'charge' and not is_barred and day > $2::date) as nearest
    from open
)
select c.customer_no, c.name, a.account_no, coalesce(a.virtual_account, k.payee_account) as payee_account, k.payee_name,
       b.balance, s.due, s.arrears, s.barred, s.credit,
       case when s.due > s.credit then $2::date else s.nearest end as to_pay_by,
       (select coalesce(sum(o.amount), 0) from open o where o.side = 'charge' and not o.is_barred
        and o.day <= case when s.due > s.credit then $2::date else s.nearest end) as until
from kernel.customer c
join payments.account a on a.customer = c.id join payments.book k on k.id = a.book
join payments.account_balance b on b.account_id = a.id cross join sums s
where c.id = $1::bigint"""


async def _ageing(bench: Bench) -> Comparison:
    """Arrears of everybody today, by age."""
    today = bench.today
    await _same_ages(bench, BARE_AGEING_SQL, explain.ARREARS_SQL, today, None)
    return await _interleaved(
        bench,
        Comparison("arrears of everybody with ageing", 1.5, at_least=False),
        lambda: _read(bench, BARE_AGEING_SQL, today),
        lambda: _read(bench, explain.ARREARS_SQL, today, None),
        bench.options.rounds,
    )


async def _past(bench: Bench) -> Comparison:
    """Arrears of everybody as of a past day."""
    day = bench.today - timedelta(days=PAST_DAYS)
    await _same_ages(bench, BARE_PAST_SQL, explain.AGEING_SQL, day, None, None)
    return await _interleaved(
        bench,
        Comparison(f"arrears of everybody {PAST_DAYS} days ago", 1.5, at_least=False),
        lambda: _read(bench, BARE_PAST_SQL, day),
        lambda: _read(bench, explain.AGEING_SQL, day, None, None),
        bench.options.rounds,
    )


async def _read(bench: Bench, statement: LiteralString, *values: object) -> int:
    await bench.app.fetch(statement, *values)
    return 1


async def _same_ages(bench: Bench, bare: LiteralString, product: LiteralString, day: date, *others: object) -> None:
    """Refuse to time statements that disagree."""
    plain = {row["account_id"]: [row[age] for age in AGES] for row in await bench.app.fetch(bare, day)}
    told = {
        row["account_id"]: [row[age] for age in AGES]
        for row in await bench.app.fetch(product, day, *others)
        if row["arrears"]
    }
    if plain != told:
        account = next(a for a in sorted({*plain, *told}) if plain.get(a) != told.get(a))
        raise BenchError(f"account {account} on {day}: bare {plain.get(account)}, the product {told.get(account)}")


async def _balance(bench: Bench) -> Comparison:
    """One customer's balance, with what is due, in arrears, barred, paid ahead, and what is to pay by when."""
    options = bench.options
    for customer in (1, 2, DEBTOR_EVERY):
        bare = await bench.app.fetchrow(BARE_BALANCE_SQL, customer, bench.today)
        row = await store.position(bench.app, customer, bench.today)
        if bare is None or row is None:
            raise BenchError(f"There is no customer {customer}.")
        (told,) = json.loads(row["accounts"])
        names = ("balance", "due", "arrears", "barred", "credit", "until")
        same_day = bare["to_pay_by"] == row["to_pay_by"]
        if not same_day or [int(bare[name]) for name in names] != [told[name] for name in names]:
            raise BenchError(f"customer {customer}: bare {dict(bare)}, the product {told}")
    customer = f"\\set customer random(1, {options.accounts})\n"
    day = f"date '{bench.today}'"
    scripts = {
        "bare": _with_values(BARE_BALANCE_SQL, ":customer", day),
        "product": _with_values(store.POSITION_SQL, ":customer", day, "0", "0", "null"),
    }
    for name, statement in scripts.items():
        (bench.scratch / f"{name}.pgb").write_text(f"{customer}{statement};\n")
    comparison = Comparison("one balance read", 1.5, at_least=False)
    for _round in range(options.rounds):
        for name, kept in (("bare", comparison.bare), ("product", comparison.product)):
            kept.append(await _pgbench(bench, bench.scratch / f"{name}.pgb", 1, options.payments * 5, {}))
    print(f"{comparison.what}: {comparison.ratio:.2f}×, load {os.getloadavg()[0]:.1f}", flush=True)
    return comparison


# --- proving --------------------------------------------------------------------------------------------------------


async def _verify(server: EmbeddedServer, dsn: str, scratch: Path) -> Verified:
    """``ebok verify`` as an operator runs it."""
    postmaster = server.postmaster_pid
    if postmaster is None:
        raise BenchError("PostgreSQL is not running.")
    environ = {**os.environ, "EBOK_DATABASE__DSN": dsn, "EBOK_CONFIG": os.devnull}
    log = scratch / "verify.log"

    def run() -> tuple[float, float, int]:
        started = time.perf_counter()
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "kernel", "verify"], env=environ, stdout=said, stderr=subprocess.STDOUT
            )
            _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return time.perf_counter() - started, used.ru_maxrss / 1024, process.returncode

    with _watched(postmaster) as most:
        seconds, megabytes, code = await asyncio.to_thread(run)
    said = log.read_text(errors="replace")
    print(
        f"ebok verify: {seconds:.0f} s, {megabytes:.0f} MB, exit code {code}, load {os.getloadavg()[0]:.1f}", flush=True
    )
    if code:
        print(said[-2000:])
    return Verified(round(seconds, 1), round(megabytes), round(most[0]), code, said[-2000:])


@contextmanager
def _watched(postmaster: int) -> Generator[list[float]]:
    """The most memory, in megabytes, that the children of a process have held together besides shared memory."""
    most = [0.0]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            most[0] = max(most[0], _private_megabytes(postmaster))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        stop.set()
        watcher.join()


def _private_megabytes(parent: int) -> float:
    total = 0
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        try:
            found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{child}/status").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(found[1]) if found else 0
    return total / 1024


# --- pgbench --------------------------------------------------------------------------------------------------------


def _with_values(statement: str, *values: str) -> str:
    """The statement on one line, with what pgbench shall put for its parameters."""
    return re.sub(r"\$(\d+)", lambda found: values[int(found[1]) - 1], " ".join(statement.split()))


async def _pgbench(
    bench: Bench, script: Path, clients: int, each: int, values: Mapping[str, int], protocol: str = "prepared"
) -> Round:
    """Run a script so often on so many connections. ``prepared``: each statement once; ``simple``: several at once."""
    program = find_programs() / "pgbench"
    if not program.exists():
        raise BenchError(f"pgbench is not beside PostgreSQL's programs, in {program.parent}.")
    variables = [f"--define={name}={value}" for name, value in values.items()]
    sized = [f"--client={clients}", f"--jobs={min(clients, 2)}", f"--transactions={each}"]
    before = cpu_seconds(bench.postmaster)
    process = await asyncio.create_subprocess_exec(
        program,
        *("--no-vacuum", f"--protocol={protocol}", f"--file={script}", *sized, *variables, bench.dsn),
        env={**os.environ, "PGOPTIONS": "-c ebok.actor=bench -c timezone=UTC"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _nothing = await process.communicate()
    said = output.decode(errors="replace")
    rate = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    if process.returncode or rate is None or f"processed: {clients * each}/{clients * each}" not in said:
        raise BenchError(f"pgbench failed on {script.name}:\n{said[-2000:]}")
    done = clients * each
    return Round(done, done / float(rate[1]), cpu_seconds(bench.postmaster) - before)


# --- what is told ---------------------------------------------------------------------------------------------------


def _report(compared: Sequence[Comparison], verified: Verified, seeded: Seeded, started_load: float) -> None:
    print(f"\n{'':56} {'bare':>10} {'ebok':>10} {'bare':>9} {'ebok':>9}")
    print(f"{'':56} {'/s':>10} {'/s':>10} {'PG CPU-ms':>9} {'PG CPU-ms':>9}")
    for one in compared:
        rates = [statistics.median(r.done / r.seconds for r in rounds) for rounds in (one.bare, one.product)]
        costs = [statistics.median(r.cpu / r.done for r in rounds) * 1000 for rounds in (one.bare, one.product)]
        print(f"{one.what:56} {rates[0]:>10,.1f} {rates[1]:>10,.1f} {costs[0]:>9.2f} {costs[1]:>9.2f}")
    print(f"\n{'':56} {'by time':>8} {'by CPU':>8}")
    for one in compared:
        sign = "≥" if one.at_least else "≤"
        goal = "for reading only" if one.goal is None else f"goal {sign} {one.goal}×  {_met(one.is_met)}"
        print(f"{one.what:56} {one.ratio:>7.2f}× {one.cpu_ratio:>7.2f}×  {goal}")
    is_proof = seeded.entries >= ENTRIES_OF_GOALS * 0.99
    for what, value, most, unit in (
        ("ebok verify", verified.seconds, VERIFY_SECONDS, "s"),
        ("ebok verify, its memory", verified.megabytes, VERIFY_MEGABYTES, "MB"),
        ("ebok verify, PostgreSQL's memory without the shared", verified.pg_megabytes, None, "MB"),
    ):
        goal = f"goal ≤ {most} {unit}  {_met(value <= most and not verified.code)}" if most and is_proof else ""
        print(f"{what:56} {value:>8,.0f} {unit:8} {goal}")
    print(f"load average {started_load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end")


def _met(is_met: bool) -> str:
    return "met" if is_met else "NOT MET"


def _write(file: Path, compared: Sequence[Comparison], verified: Verified, seeded: Seeded) -> None:
    measured: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "load": os.getloadavg(),
        "seeded": {k: v for k, v in asdict(seeded).items() if k != "dsn"},
        "compared": [
            {**asdict(one), "ratio": round(one.ratio, 3), "cpu_ratio": round(one.cpu_ratio, 3), "met": one.is_met}
            for one in compared
        ],
        "verify": asdict(verified),
    }
    file.write_text(json.dumps(measured, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

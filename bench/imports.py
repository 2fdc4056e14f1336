"""``python -m bench.imports``: a first import from a real MariaDB, against a bare script with the same rows.

Both read the same tables with the same driver into PostgreSQL, each in a process of its own, one after the other in
every round. What counts is the ratio of their rates, and the most memory that the product's process held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.processes import BenchError, cluster, cpu_seconds
from kernel.app import migrate_database, registry_of
from kernel.config import Config
from kernel.db import migrate
from kernel.db.embedded import EmbeddedServer
from tests.mariadb import PASSWORD, MariaDB, available, mariadb

RATIO: Final = 0.4
MEGABYTES: Final = 300
_PROFILE: Final = """
[profile]
name = "office"
title = "Office"

[source]
kind = "mysql"
port = {port}
user = "root"
password_env = "BENCH_PASSWORD"
database = "office"

[[entity]]
record = "customers.customer"
table = "klienci"
key = "id"

[entity.fields]
customer_no = "id"
name = "nazwa"
street = "ulica"
city = "miasto"

[[entity]]
record = "payments.charge"
table = "naliczenia"
key = "numer"

[entity.fields]
customer_no = "klient"
document_no = "numer"
issued_on = "wystawiono"
due_on = "termin"
amount = "kwota"
title = "opis"

[[entity]]
record = "payments.payment"
table = "wplaty"
key = "id"

[entity.fields]
customer_no = "klient"
value_date = "dzien"
amount = "kwota"
title = "tytul"
"""
_SOURCE: Final = """
create database office character set utf8mb4;
use office;
create table klienci (id int primary key, nazwa varchar(80), ulica varchar(80), miasto varchar(40));
insert into klienci select seq, concat('Łucja Żółkiewska ', seq), concat('ul. Świętej Jadwigi ', seq % 200), 'Łódź'
from seq_1_to_{customers};
create table naliczenia (numer varchar(20) primary key, klient int, wystawiono date, termin date, kwota decimal(12,2),
    opis varchar(80));
insert into naliczenia
select concat('N/', lpad(seq, 9, '0')), 1 + (seq - 1) % {customers},
       date '2025-01-01' + interval (seq div {customers}) * 19 day,
       date '2025-01-15' + interval (seq div {customers}) * 19 day, 50 + (seq % 9973) / 100, 'Opłata za wodę i ścieki'
from seq_1_to_{charges};
create table wplaty (id int primary key, klient int, dzien date, kwota decimal(12,2), tytul varchar(80));
insert into wplaty
select seq, 1 + (seq - 1) % {customers}, date '2025-01-20' + interval (seq div {customers}) * 28 day,
       70 + (seq % 7919) / 100, concat('Wpłata ', seq)
from seq_1_to_{payments};
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What one import took: seconds, processor time of its process and of PostgreSQL, megabytes of its process."""

    seconds: float
    cpu: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Round:
    """One import by each."""

    bare: Work
    product: Work

    @property
    def ratio(self) -> float:
        """The product's rate as a share of the bare one, by processor time: neighbours slow both, but not alike."""
        return self.bare.cpu / self.product.cpu

    @property
    def by_clock(self) -> float:
        """The same by the clock."""
        return self.bare.seconds / self.product.seconds


def main() -> int:
    """Compare, print. Exit code 0 unless the comparison itself could not be made."""
    options = argparse.ArgumentParser(prog="python -m bench.imports", description="Imports against a bare script.")
    options.add_argument("--rows", type=int, default=1_000_000, help="charges and payments (default 1000000)")
    options.add_argument("--rounds", type=int, default=1, help="rounds (default 1)")
    options.add_argument("--json", type=Path, metavar="F", help="write everything measured as JSON")
    given = options.parse_args()
    if not available():
        print("bench: MariaDB's server is not installed (Debian: mariadb-server-core)", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_bench(given))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


async def _bench(given: argparse.Namespace) -> int:
    load = os.getloadavg()[0]
    charges = given.rows * 6 // 10
    sizes = {"customers": max(1, given.rows // 50), "charges": charges, "payments": given.rows - charges}
    with mariadb("--innodb-buffer-pool-size=256M") as source:
        source.run(_SOURCE.format(**sizes))
        async with cluster(None) as (server, scratch):
            rounds = [await _round(server, source, scratch, number, sizes) for number in range(given.rounds)]
    ratio = statistics.median(one.ratio for one in rounds)
    megabytes = max(one.product.megabytes for one in rounds)
    customers = sizes["customers"]
    print(f"a first import of {given.rows:,} rows of {customers:,} customers from MariaDB, load before {load:.1f}")
    for one in rounds:
        for name, work in (("bare", one.bare), ("product", one.product)):
            print(f"  {name:8} {work.cpu:7.1f} s of processor {work.seconds:7.1f} s {work.megabytes:5.0f} MB")
        print(f"  {'':8} {one.ratio:7.2f} {one.by_clock:21.2f}")
    print(f"  {'met' if ratio >= RATIO else 'MISSED'}: {ratio:.2f} of the bare rate by processor time, wanted {RATIO}")
    print(f"  {'met' if megabytes <= MEGABYTES else 'MISSED'}: {megabytes:.0f} MB, allowed {MEGABYTES}")
    if given.json:
        given.json.write_text(json.dumps({"rows": given.rows, "rounds": [asdict(one) for one in rounds]}, indent=1))
    return 0


async def _round(server: EmbeddedServer, source: MariaDB, scratch: Path, number: int, sizes: dict[str, int]) -> Round:
    profile = scratch / "office.toml"
    profile.write_text(_PROFILE.format(port=source.port), encoding="utf-8")
    registry, names = registry_of(Config()), (f"bench_bare_{number}", f"bench_product_{number}")
    bare, product = [await server.create_database(name) for name in names]
    for endpoints in (bare, product):
        await migrate_database(endpoints.owner_dsn, registry)
    postmaster = server.postmaster_pid
    if postmaster is None:
        raise BenchError("PostgreSQL is not running.")
    bare_work = await asyncio.to_thread(
        _timed, ["bench.bare_import", "--mariadb", str(source.port), "--dsn", bare.owner_dsn], {}, postmaster
    )
    product_work = await asyncio.to_thread(
        _timed,
        ["kernel", "import", "run", str(profile), "--approve"],
        {"EBOK_DATABASE__DSN": product.dsn, "BENCH_PASSWORD": PASSWORD, "EBOK_DATA_DIR": str(scratch / "files")},
        postmaster,
    )
    results = [await _result(endpoints.owner_dsn) for endpoints in (bare, product)]
    if results[0] != results[1] or results[0]["entries"] != sizes["charges"] + sizes["payments"]:
        raise BenchError(f"the two did not come to the same: {results[0]} and {results[1]}")
    for name in names:
        await server.drop_database(name)
    return Round(bare_work, product_work)


def _timed(module: list[str], environ: dict[str, str], postmaster: int) -> Work:
    """Run ``python -m module``. Raises BenchError."""
    started, used, served = time.perf_counter(), _of_children(), cpu_seconds(postmaster)
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    most = [0]
    watch = threading.Thread(target=_watch, args=(process, most), daemon=True)
    watch.start()
    said = process.communicate()[0].decode(errors="replace")
    seconds = time.perf_counter() - started
    if process.returncode:
        raise BenchError(f"{module[0]} ended with {process.returncode}. It said:\n{said[-3000:]}")
    return Work(seconds, _of_children() - used + cpu_seconds(postmaster) - served, most[0] / 1024)


def _of_children() -> float:
    """Processor time of the processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(process: subprocess.Popen[bytes], most: list[int]) -> None:
    """Keep the process's own peak, which the kernel counts, as long as it lives."""
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            return
        peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
        most[0] = max(most[0], peak)
        time.sleep(0.2)


_RESULT: Final = """
select count(*) as entries, sum(amount)::bigint as amount, sum(open_amount)::bigint as open,
       (select md5(string_agg(concat_ws(' ', c.external_id, h.external_id, l.amount), ','
                              order by c.external_id, h.external_id))
        from payments.allocation l
        join payments.entry c on c.account_id = l.account_id and c.id = l.credit
        join payments.entry h on h.account_id = l.account_id and h.id = l.charge) as who_paid_what,
       (select sum(amount)::bigint from payments.allocation) as paid
from payments.entry where state = 'approved'
"""
"""Entries, what is open, what is paid, and which payment paid which charge."""


async def _result(owner_dsn: str) -> dict[str, Any]:
    conn = await migrate.connect(owner_dsn)
    try:
        return dict(await conn.fetchrow(_RESULT) or {})
    finally:
        await conn.close()


if __name__ == "__main__":
    sys.exit(main())

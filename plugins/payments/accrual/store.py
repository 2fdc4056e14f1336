"""SQL of interest: dated rates, what charges bear, notes, and corrections that became due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, LiteralString

from kernel import Connection, Money, Row, Site, Text, _
from plugins.payments.accrual.model import (
    NOTHING,
    POINT,
    REGIMES,
    Claim,
    Debt,
    InterestRegime,
    Minimum,
    Part,
    Rate,
    RatesUnknown,
    RateTable,
    RegimeUnknown,
    interest_of,
    regime_of,
)

SHOWN: Final = 100
"""Charges of one account that a page computes: the earliest due open ones, and the latest due that were paid late."""
EVERY: Final = 1_000_000
"""Charges of one account that a note computes: all there can be."""

Regimes = Mapping[str, InterestRegime]
BUNDLED: Final[Regimes] = MappingProxyType({})
"""No regimes of other plugins."""


def regimes_of(site: Site) -> Regimes:
    """The regimes that other plugins add, by name."""
    return site.registry.extensions.get(POINT, BUNDLED)


# --- what charges bear ----------------------------------------------------------------------------------------------

TABLES_SQL: Final[LiteralString] = "select payments.interest_tables()"


async def tables(conn: Connection) -> dict[str, RateTable]:
    """All dated rates and minimums by kind."""
    return read_tables(await conn.fetchval(TABLES_SQL))


def read_tables(value: Mapping[str, Mapping[str, Any]] | None) -> dict[str, RateTable]:
    """The rate tables of ``payments.interest_tables()``."""
    return {
        kind: RateTable(
            kind,
            tuple(Rate(date.fromisoformat(day), Decimal(percent)) for day, percent in rows["rates"]),
            tuple(Minimum(date.fromisoformat(day), amount) for day, amount in rows["minimums"]),
        )
        for kind, rows in (value or {}).items()
    }


RATES_IN_USE_SQL: Final[LiteralString] = """
select payments.interest_tables() as tables, array(select distinct b.interest_regime from payments.book b) as regimes,
       (select count(*) from (select from payments.interest_correction_due limit 10000) due) as corrections
"""
STALE_AFTER: Final = timedelta(days=90)
"""The central bank decides every month: a newest rate older than this needs a look."""


@dataclass(frozen=True, slots=True)
class RatesInUse:
    """All dated rates by kind, the regimes that books name, and how many corrections of interest wait to be entered."""

    tables: Mapping[str, RateTable]
    regimes: frozenset[str]
    corrections: int


async def rates_in_use(conn: Connection) -> RatesInUse:
    """All dated rates, and which regimes books use; one statement."""
    row = await conn.fetchrow(RATES_IN_USE_SQL)
    assert row is not None  # noqa: S101  it has no table to be empty
    return RatesInUse(read_tables(row["tables"]), frozenset(row["regimes"]), row["corrections"])


def stale(known: RatesInUse, today: date, foreign: Regimes = BUNDLED) -> dict[str, date | None]:
    """Kinds of rates that books use and whose newest row is too old: kind → that row's day, None without any row."""
    used = {**foreign, **REGIMES}
    kinds = {used[name].rates_kind for name in known.regimes if name in used} - {None}
    newest = {
        kind: table.rates[-1].valid_from if (table := known.tables.get(kind)) and table.rates else None
        for kind in sorted(str(kind) for kind in kinds)
    }
    return {kind: day for kind, day in newest.items() if day is None or day < today - STALE_AFTER}


CLAIMS_SQL: Final[LiteralString] = """
select payments.interest_tables() as tables, (
    select coalesce(jsonb_agg(to_jsonb(d) order by d.account_id, d.effective_due_on, d.charge), '[]')
    from payments.interest_candidates($1::bigint[], $2, $3) c
    cross join lateral payments.interest_debt(c.account_id, c.charge) d
) as debts
"""


async def claims(
    conn: Connection,
    accounts: Sequence[int],
    as_of: date,
    *,
    demanded_on: date | None = None,
    most: int = EVERY,
    foreign: Regimes = BUNDLED,
) -> list[Claim]:
    """The interest of the charges of accounts as of a day, by account and due date; one statement.

    ``demanded_on`` is the day that tells what is time-barred (``as_of``, if not given). ``most``: of each account at
    most so many open and so many late paid charges. What bears nothing is left out.
    """
    row = await conn.fetchrow(CLAIMS_SQL, accounts, as_of, most)
    return read_claims(row, as_of, demanded_on or as_of, foreign) if row else []


NOTED_SQL: Final[LiteralString] = """
select payments.interest_tables() as tables, (
    select coalesce(jsonb_agg(to_jsonb(d) order by d.account_id, d.effective_due_on, d.charge), '[]')
    from payments.interest_noted($1::bigint[]) c cross join lateral payments.interest_debt(c.account_id, c.charge) d
) as debts
"""


async def read_noted(conn: Connection, accounts: Sequence[int], foreign: Regimes = BUNDLED) -> list[Claim]:
    """The interest of charges of accounts that were noted, each as of the last day that was noted for it."""
    row = await conn.fetchrow(NOTED_SQL, accounts)
    known = read_tables(row["tables"]) if row else {}
    return [
        _claim(debt, known, through := date.fromisoformat(debt["noted_through"]), through, foreign)
        for debt in (row["debts"] if row else ())
        if debt["noted_through"]
    ]


def read_claims(
    row: Row | Mapping[str, Any], as_of: date, demanded_on: date, foreign: Regimes = BUNDLED
) -> list[Claim]:
    """The claims of a row with ``tables`` and ``debts``."""
    known = read_tables(row["tables"])
    found = [_claim(debt, known, as_of, demanded_on, foreign) for debt in row["debts"]]
    return [claim for claim in found if claim.interest.exact or claim.debt.noted or claim.trouble is not None]


def _claim(
    row: Mapping[str, Any], known: Mapping[str, RateTable], as_of: date, demanded_on: date, foreign: Regimes
) -> Claim:
    debt = Debt(
        row["kind"],
        _day(row["effective_due_on"]),
        tuple(Part(amount, _day(until)) for amount, until in row["parts"]),
        row["noted"],
        _day(row["noted_through"]),
    )
    trouble: Text | None = None
    interest = NOTHING
    try:
        regime = regime_of(row["regime"], foreign)
        rate = Decimal(row["contract_rate"]) if row["contract_rate"] else None
        interest = interest_of(debt, as_of, regime, regime.rates(known, rate))
    except RatesUnknown as error:
        trouble = _("The rate of {day} is not known.", day=error.day)
    except RegimeUnknown:
        trouble = _("No plugin provides the interest regime «{name}».", name=row["regime"])
    barred_on = _day(row["barred_on"])
    return Claim(
        account=row["account_id"],
        charge=row["charge"],
        customer=row["customer"],
        book=row["book"],
        book_code=row["book_code"],
        kind=row["kind"],
        title=row["title"],
        document_no=row["document_no"],
        period=row["period"],
        due_on=date.fromisoformat(row["due_on"]),
        amount=Money(row["amount"]),
        open=Money(row["open_amount"]),
        debt=debt,
        interest=interest,
        is_barred=barred_on is not None and barred_on <= demanded_on,
        is_mirror=row["is_mirror"],
        pending=row["pending"],
        trouble=trouble,
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


OF_CUSTOMER_SQL: Final[LiteralString] = """
select p.* from payments.interest_page(array(select a.id from payments.account a where a.customer = $1), $2, $3) p
"""
OF_ACCOUNT_SQL: Final[LiteralString] = """
select a.id as account, a.account_no, b.name as book_name, b.interest_regime as regime, b.contract_rate, b.is_mirror,
       c.id as customer, c.customer_no, c.name as customer_name, p.*
from payments.account a
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
cross join lateral payments.interest_page(array[a.id], $2, $3) p
where a.id = $1
"""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a payment on a day has to cover: ``due`` is what is due by then less the credit, as elsewhere without
    interest; ``claims`` what bears interest; ``notes`` the newest notes."""

    on: date
    due: Money
    claims: tuple[Claim, ...]
    notes: Sequence[Mapping[str, Any]]

    @property
    def interest(self) -> Money:
        """Interest that no note claims yet and that may be demanded."""
        return Money.total(one.claimable for one in self.claims if one.claimable.grosze > 0 and not one.is_barred)

    @property
    def is_cut(self) -> bool:
        """Whether there may be more charges than a page computes."""
        return len(self.claims) >= SHOWN


async def what_if_of_customer(conn: Connection, customer: int, on: date, foreign: Regimes = BUNDLED) -> WhatIf:
    """What a customer has to pay on a day, with interest; one statement."""
    row = await conn.fetchrow(OF_CUSTOMER_SQL, customer, on, SHOWN)
    assert row is not None  # noqa: S101  a function of the database answers always
    return _what_if(row, on, foreign)


async def what_if_of_account(
    conn: Connection, account: int, on: date, foreign: Regimes = BUNDLED
) -> tuple[Row, WhatIf] | None:
    """The facts of an account, and what is to pay on it on a day; None when there is no such account. One statement."""
    row = await conn.fetchrow(OF_ACCOUNT_SQL, account, on, SHOWN)
    return (row, _what_if(row, on, foreign)) if row else None


def _what_if(row: Row, on: date, foreign: Regimes) -> WhatIf:
    notes = [
        {**note, "total": Money(note["total"]), **{day: date.fromisoformat(note[day]) for day in _NOTE_DAYS}}
        for note in row["notes"]
    ]
    shown = [claim for claim in read_claims(row, on, on, foreign) if claim.claimable or claim.open or claim.trouble]
    return WhatIf(on, Money(max(0, row["due"] - row["credit"])), tuple(shown), notes)


_NOTE_DAYS: Final = ("issued_on", "as_of", "due_on")

ACCOUNTS_OF_SQL: Final[LiteralString] = """
select a.id from payments.account a where a.customer = $1 order by a.id
"""


async def memo(conn: Connection, customer: int, on: date, *, foreign: Regimes = BUNDLED) -> Money:
    """Accrued interest of a customer on a day that no note claims yet: shown beside what is to pay, never added to it.

    What cannot be computed, may not be demanded, or is below zero counts nothing.
    """
    accounts = [row["id"] for row in await conn.fetch(ACCOUNTS_OF_SQL, customer)]
    found = await claims(conn, accounts, on, most=SHOWN, foreign=foreign)
    return Money.total(claim.claimable for claim in found if claim.claimable.grosze > 0 and not claim.is_barred)

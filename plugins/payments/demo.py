"""The demonstration's ledger: months of charges and payments that look like those of a housing co-operative.

Everything follows from the plan's seed, the customers in the database in order of id, and the organisation's date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from random import Random
from typing import Final

from kernel import Connection, DemoLogin, DemoPlan, Money, Site
from plugins.payments import store
from plugins.payments.books import store as books
from plugins.payments.charging import demo as charging
from plugins.payments.face import Side
from plugins.payments.store import Draft
from plugins.payments.suspense import demo as suspense

BATCH: Final = 20_000
DUE_DAY: Final = 10
ISSUE_DAY: Final = 20
WAITING: Final = 12
"""Payments that the office has entered and not yet approved."""
MONTHS: Final = (
    "styczeń",
    "luty",
    "marzec",
    "kwiecień",
    "maj",
    "czerwiec",
    "lipiec",
    "sierpień",
    "wrzesień",
    "październik",
    "listopad",
    "grudzień",
)
SETTINGS: Final = {"title": "Opłaty {customer_no}"}
ACCOUNT_NO: Final = "29101010100012345600004711"
"""A bank account number of nobody, with a right remainder."""

HABITS: Final = ("on_time", "late", "in_arrears", "ahead", "overpays")
WEIGHTS: Final = (62, 16, 9, 8, 5)
NOTES: Final = {"in_arrears": "in arrears", "overpays": "in credit", "ahead": "settled", "on_time": "due next month"}


@dataclass(frozen=True, slots=True)
class Month:
    """A month of charges: its first day."""

    first: date

    @property
    def due_on(self) -> date:
        return self.first.replace(day=DUE_DAY)

    @property
    def issued_on(self) -> date:
        return (self.first - timedelta(days=1)).replace(day=ISSUE_DAY)

    @property
    def title(self) -> str:
        return f"Opłaty za lokal, {MONTHS[self.first.month - 1]} {self.first.year}"


@dataclass(frozen=True, slots=True)
class Household:
    """What a flat is charged in a month (grosze) and how its people pay."""

    account: int
    number: str
    rent: int
    habit: str
    missed: int

    @classmethod
    def drawn(cls, draw: Random, account: int, number: str) -> Household:
        area, people = draw.randint(280, 780), draw.randint(1, 4)
        rent = area * 115 // 10 * 10 + people * 6240
        return cls(account, number, rent, draw.choices(HABITS, WEIGHTS)[0], draw.randint(1, 5))

    def charge(self, month: Month, first_year: int, today: date) -> Draft:
        """The month's charge: four per cent dearer each year."""
        amount = self.rent * (100 + 4 * (month.first.year - first_year)) // 100
        return Draft(
            self.account,
            Side.CHARGE,
            "fee",
            Money(amount),
            issued_on=min(month.issued_on, today),
            due_on=month.due_on,
            period=f"{month.first:%Y-%m}",
            title=month.title,
            document_no=f"{self.number}/{month.first:%m/%Y}",
        )

    def payments(self, charges: Sequence[Draft], today: date, draw: Random) -> Iterator[Draft]:
        """What was paid until today for these charges (the last one is due next month)."""
        for place, charge in enumerate(charges, 1):
            due_on, issued_on = charge.due_on or today, charge.issued_on or today
            left = len(charges) - place
            match self.habit:
                case "on_time":
                    day = due_on - timedelta(days=draw.randint(0, 7))
                case "late":
                    day = due_on + timedelta(days=draw.randint(2, 20))
                case "in_arrears":
                    day = due_on + timedelta(days=draw.randint(0, 25))
                case "ahead":
                    day = min(issued_on + timedelta(days=draw.randint(0, 4)), today)
                case _:
                    day = due_on - timedelta(days=draw.randint(0, 12))
            amount = charge.amount.grosze
            if self.habit == "overpays":
                amount += 2 * amount if left == 1 else 5000 - amount % 5000
            if self.habit == "in_arrears" and left <= self.missed:
                amount = amount // 2 if left == self.missed else 0
            if amount and day <= today:
                yield self.payment(amount, day, draw)

    def payment(self, amount: int, day: date, draw: Random) -> Draft:
        channel = draw.choices(("transfer", "cash"), (9, 1))[0]
        paid_on = day - timedelta(days=1) if channel == "transfer" and day.isoweekday() not in (1, 7) else day
        return Draft(
            self.account,
            Side.CREDIT,
            "payment",
            Money(amount),
            value_date=day,
            paid_on=paid_on,
            title=f"Opłaty {self.number}",
            channel=channel,
        )


async def fill(site: Site, conn: Connection, plan: DemoPlan) -> Sequence[DemoLogin]:
    """Charge and pay for every customer of the plan; the customers worth looking at."""
    await store.first_settings(conn, SETTINGS)
    await books.set_first_payee(conn, ACCOUNT_NO, site.clock.now())
    draw, today = Random(plan.seed), site.clock.today()  # noqa: S311  a demonstration, not a secret
    customers = await store.first_customers(conn, plan.customers)
    accounts = await store.open_accounts(conn, customers, today)
    households = [Household.drawn(draw, accounts[customer], number) for customer, number in customers.items()]
    months = list(_months(today, plan.months))
    entries: list[Draft] = []
    for household in households:
        charges = [household.charge(month, months[0].first.year, today) for month in months]
        entries += charges
        entries += household.payments(charges, today, draw)
    entries.sort(key=_day)
    for _month, of_month in groupby(entries, key=lambda entry: (_day(entry).year, _day(entry).month)):
        await _book(conn, list(of_month), today)
    paying = [household for household in households if household.habit in ("late", "in_arrears")][:WAITING]
    await store.add_drafts(conn, [household.payment(household.rent, today, draw) for household in paying])
    await charging.demo(conn, list(accounts.values()), today)
    await suspense.demo(conn, site, list(accounts.values()), today)
    return list(_worth_seeing(households))


async def _book(conn: Connection, entries: Sequence[Draft], today: date) -> None:
    """Enter and approve what belongs to a month, booked on the day of its last entry: every month has its turnover."""
    day = min(max(map(_day, entries)), today)
    for start in range(0, len(entries), BATCH):
        keys = await store.add_drafts(conn, entries[start : start + BATCH])
        await store.approve(conn, keys, day)


def _day(entry: Draft) -> date:
    return entry.value_date or entry.issued_on or date.max


def _months(today: date, count: int) -> Iterator[Month]:
    """``count`` months, the last of them the next one."""
    last = today.year * 12 + today.month
    for number in range(last - count + 1, last + 1):
        yield Month(date(number // 12, number % 12 + 1, 1))


def _worth_seeing(households: Sequence[Household]) -> Iterator[DemoLogin]:
    for habit, note in NOTES.items():
        found = next((household for household in households if household.habit == habit), None)
        if found is not None:
            yield DemoLogin(found.number, note)

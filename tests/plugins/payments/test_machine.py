"""The ledger against an independent one: random histories of everything that can be done to an account.

The model shares no rule with the product's code. After each step the balance, what is
open, what is to pay and the proofs of ``ebok verify`` must agree with it; what the ledger refuses, the model refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kernel import Batch, Connection, Money, Refused, SourceChange, SourceRow
from kernel.db.pool import Database, Stamp
from kernel.testing import Cluster, registry_of
from plugins.payments import Side, checks, records, store
from plugins.payments.books import month_store
from plugins.payments.books.model import Month
from plugins.payments.interest import notes
from plugins.payments.ledger import KeptLedger
from plugins.payments.model import effective_due
from plugins.payments.records import ChargeRow, PaymentRow
from plugins.payments.store import Draft, Key
from tests.plugins.payments.ledger import TODAY, Book

NUMBER = "4711"


@dataclass(slots=True)
class Entry:
    """An entry of the independent ledger; ``day`` is its place in the queue, None for what queues nowhere."""

    id: int
    side: Side
    amount: int
    day: date | None
    booked_on: date
    kind: str = "fee"
    reverses: int | None = None
    corrects: int | None = None
    bears_on: int | None = None
    wishes: tuple[int, ...] = ()
    voided: bool = False


@dataclass(slots=True)
class PlainLedger:
    """Everything computed anew each time, in order of days: slow, obvious, and none of the product's code."""

    entries: dict[int, Entry] = field(default_factory=dict)
    frozen: list[tuple[int, int, int]] = field(default_factory=list)
    """Allocations that a note named: (credit, charge, amount)."""

    def live(self) -> list[Entry]:
        """Entries that count and that nothing has reversed."""
        counted = [entry for entry in self.entries.values() if not entry.voided]
        gone = {entry.reverses for entry in counted}
        return [entry for entry in counted if entry.id not in gone and entry.reverses is None]

    def balance(self) -> int:
        signs = {Side.CHARGE: 1, Side.CREDIT: -1}
        return sum(signs[entry.side] * entry.amount for entry in self.entries.values() if not entry.voided)

    def paid(self) -> dict[tuple[int, int], int]:
        """(credit, charge) → grosze, of everything that is not reversed."""
        live = {entry.id: entry for entry in self.live()}
        met: dict[tuple[int, int], int] = {}
        left = {number: entry.amount for number, entry in live.items()}

        def pay(credit: int, charge: int, most: int) -> None:
            amount = min(most, left[credit], left[charge])
            if amount:
                met[credit, charge] = met.get((credit, charge), 0) + amount
                left[credit] -= amount
                left[charge] -= amount

        for entry in live.values():
            if entry.corrects is not None and entry.side is Side.CREDIT:
                pay(entry.id, entry.corrects, entry.amount)
        for credit, charge, amount in self.frozen:
            if credit in live and charge in live:
                pay(credit, charge, amount)
        charges = sorted((e for e in live.values() if e.side is Side.CHARGE), key=lambda e: (e.day, e.id))
        for credit in sorted((e for e in live.values() if e.side is Side.CREDIT), key=lambda e: (e.day, e.id)):
            for target in (*credit.wishes, *(charge.id for charge in charges)):
                if target in live:
                    pay(credit.id, target, credit.amount)
        return met

    def freeze(self, charges: set[int]) -> None:
        """A note names these charges: what pays them stays, whatever comes."""
        tied = {(e.id, e.corrects) for e in self.live() if e.corrects is not None}
        known = {(credit, charge) for credit, charge, _amount in self.frozen}
        self.frozen += [
            (credit, charge, amount)
            for (credit, charge), amount in self.paid().items()
            if charge in charges and (credit, charge) not in tied and (credit, charge) not in known
        ]

    def make_room(self, charge: int) -> None:
        """A correction is stronger than what a note named: the newest payment gives way."""
        live = {entry.id: entry for entry in self.live()}
        lowered = sum(e.amount for e in live.values() if e.corrects == charge and e.side is Side.CREDIT)
        held = [one for one in self.frozen if one[1] == charge and one[0] in live]
        excess = lowered + sum(amount for _credit, _charge, amount in held) - live[charge].amount
        for one in sorted(held, key=lambda one: (live[one[0]].day, one[0]), reverse=True):
            if excess <= 0:
                return
            self.frozen.remove(one)
            if one[2] > excess:
                self.frozen.append((one[0], charge, one[2] - excess))
            excess -= one[2]

    def open(self) -> dict[int, int]:
        left = {entry.id: entry.amount for entry in self.live()}
        for (credit, charge), amount in self.paid().items():
            left[credit] -= amount
            left[charge] -= amount
        return left

    def to_pay(self, today: date) -> tuple[int, date | None]:
        """What is to pay, and by when."""
        left, live = self.open(), {entry.id: entry for entry in self.live()}
        owed = [(live[n].day, amount) for n, amount in left.items() if live[n].side is Side.CHARGE and amount]
        credit = sum(amount for n, amount in left.items() if live[n].side is Side.CREDIT)
        due = sum(amount for day, amount in owed if day is not None and day <= today)
        if due > credit:
            return due - credit, today
        days = sorted(day for day, _amount in owed if day is not None and day > today)
        if not days:
            return 0, today if owed else None
        return max(0, due + sum(amount for day, amount in owed if day == days[0]) - credit), days[0]


AMOUNTS = st.integers(1, 90_000)
DAYS = st.integers(-70, 20).map(lambda days: TODAY + timedelta(days=days))
PAST = st.integers(-70, 0).map(lambda days: TODAY + timedelta(days=days))
PICK = st.integers(0, 10_000)


@dataclass(slots=True)
class Scratch:
    """A migrated database, with the loop that its connections live in."""

    runner: asyncio.Runner
    database: Database


@pytest.fixture(scope="module")
def scratch(cluster: Cluster) -> Iterator[Scratch]:
    with asyncio.Runner() as runner:
        context = cluster.database(registry_of(["payments"]))
        dsn, _ = runner.run(context.__aenter__())
        database = Database(dsn, size=1)
        yield Scratch(runner, database)
        runner.run(database.close())
        runner.run(context.__aexit__(None, None, None))


class Undone(Exception):
    pass


class LedgerMachine(RuleBasedStateMachine):
    """Everything that happens on one account of a book of kind «civil», in one transaction that is rolled back."""

    scratch: Scratch

    def __init__(self) -> None:
        super().__init__()
        self.model = PlainLedger()
        self.closed: date | None = None
        self.imported: dict[str, tuple[int, Any]] = {}
        self.row = 0
        self.transaction = self.scratch.database.transaction(Stamp("office", "superadmin", superadmin_mode=True))
        self.conn: Connection = self.run(self.transaction.__aenter__())
        self.book: Book = self.run(Book.opened(self.conn, NUMBER))

    def run(self, work: Any) -> Any:
        return self.scratch.runner.run(work)

    def teardown(self) -> None:
        with suppress(Undone):
            self.run(self.transaction.__aexit__(Undone, Undone(), None))

    # --- what is done -----------------------------------------------------------------------------------------------

    def attempt(self, work: Callable[[], Awaitable[Any]], allowed: bool) -> Any:
        """Do it in a savepoint; it must be refused exactly when the model does not allow it."""

        async def guarded() -> Any:
            await self.conn.execute("savepoint step")
            try:
                return await work()
            except Refused:
                await self.conn.execute("rollback to savepoint step")
                return None

        done = self.run(guarded())
        assert (done is not None) == allowed, "refused" if allowed else "not refused"
        return done

    def post(self, draft: Draft, booked_on: date, allowed: bool = True, **facts: Any) -> None:
        async def work() -> Key:
            (key,) = await store.add_drafts(self.conn, [draft])
            await store.approve(self.conn, [key], booked_on)
            return key

        key = self.attempt(work, allowed and not self.is_closed(booked_on))
        if key is not None:
            day = effective_due(draft.due_on) if draft.due_on else draft.value_date
            self.model.entries[key.entry] = Entry(
                key.entry, draft.side, draft.amount.grosze, day, booked_on, kind=draft.kind, **facts
            )

    def is_closed(self, booked_on: date) -> bool:
        return self.closed is not None and booked_on <= self.closed

    @rule(amount=AMOUNTS, due=DAYS, booked_on=PAST)
    def charge(self, amount: int, due: date, booked_on: date) -> None:
        self.post(self.book.charge(amount, due), booked_on)

    @rule(amount=AMOUNTS, day=PAST, booked_on=PAST)
    def pay(self, amount: int, day: date, booked_on: date) -> None:
        self.post(self.book.payment(amount, day), booked_on)

    @precondition(lambda self: self.charges())
    @rule(amount=AMOUNTS, day=PAST, first=PICK, second=PICK)
    def designate(self, amount: int, day: date, first: int, second: int) -> None:
        charges = self.charges()
        wishes = tuple(dict.fromkeys(charges[pick % len(charges)].id for pick in (first, second)))
        self.post(self.book.payment(amount, day, designations=wishes), TODAY, wishes=wishes)

    @precondition(lambda self: self.charges())
    @rule(amount=AMOUNTS, pick=PICK)
    def correct(self, amount: int, pick: int) -> None:
        original = self.charges()[pick % len(self.charges())]
        lowered = sum(e.amount for e in self.model.live() if e.corrects == original.id and e.side is Side.CREDIT)
        draft = self.book.payment(amount, TODAY, kind="correction", corrects=original.id)
        allowed = lowered + amount <= original.amount
        self.post(draft, TODAY, allowed=allowed, corrects=original.id)
        if allowed:
            self.model.make_room(original.id)

    @precondition(lambda self: self.model.live())
    @rule(pick=PICK)
    def reverse(self, pick: int) -> None:
        live = self.model.live()
        original = live[pick % len(live)]
        undone = self.with_hanging(original)

        async def work() -> bool:
            found = await store.entry(self.conn, original.id)
            assert found is not None
            await store.reverse(self.conn, found, "zwrot z banku", TODAY)
            return True

        self.attempt(work, True)
        self.take_over_reversals(undone)

    def with_hanging(self, original: Entry) -> list[Entry]:
        """An entry and what corrects it or bears on it, and so on."""
        found = [original]
        for entry in found:
            found += [e for e in self.model.live() if entry.id in (e.corrects, e.bears_on)]
        return found

    def take_over_reversals(self, undone: list[Entry]) -> None:
        rows = self.run(
            self.conn.fetch(
                "select id, reverses from payments.entry where account_id = $1 and reverses = any ($2)"
                " and state = 'approved'",
                self.book.account,
                [entry.id for entry in undone],
            )
        )
        assert len(rows) == len(undone)
        for row in rows:
            original = self.model.entries[row["reverses"]]
            other = Side.CREDIT if original.side is Side.CHARGE else Side.CHARGE
            self.model.entries[row["id"]] = Entry(
                row["id"], other, original.amount, None, TODAY, kind="reversal", reverses=original.id
            )

    @precondition(lambda self: self.model.entries)
    @rule(pick=PICK)
    def void(self, pick: int) -> None:
        known = [entry for entry in self.model.entries.values() if not entry.voided]
        if not known:
            return
        target = known[pick % len(known)]
        referred = any(target.id in (e.reverses, e.corrects, e.bears_on) for e in known)
        named = any(target.id in pair[:2] for pair in self.frozen_now())

        async def work() -> bool:
            found = await store.entry(self.conn, target.id)
            assert found is not None
            await store.void(self.conn, found, "wpisane dwa razy")
            return True

        if self.attempt(work, not (referred or named or self.is_closed(target.booked_on))):
            target.voided = True

    def frozen_now(self) -> list[tuple[int, int, int]]:
        live = {entry.id for entry in self.model.live()}
        return [pair for pair in self.model.frozen if pair[0] in live and pair[1] in live]

    @rule(amount=AMOUNTS)
    def refund(self, amount: int) -> None:
        left, live = self.model.open(), {entry.id: entry for entry in self.model.live()}
        credit = sum(grosze for number, grosze in left.items() if live[number].side is Side.CREDIT)
        self.post(self.book.charge(amount, TODAY, kind="refund", issued_on=TODAY), TODAY, allowed=amount <= credit)

    @rule()
    def note(self) -> None:
        """Interest is noted: an entry for each charge that bears any, never for a day twice."""
        before = set(self.model.entries)
        self.run(notes.issue(self.conn, [self.book.account], TODAY, TODAY, 14))
        rows = self.run(
            self.conn.fetch(
                "select * from payments.entry where account_id = $1 and kind = 'interest' and state = 'approved'",
                self.book.account,
            )
        )
        new = [row for row in rows if row["id"] not in before]
        self.model.freeze({row["bears_on"] for row in new})
        for row in new:
            self.model.entries[row["id"]] = Entry(
                row["id"],
                Side.CHARGE,
                row["amount"],
                row["effective_due_on"],
                TODAY,
                kind="interest",
                bears_on=row["bears_on"],
            )
        assert self.run(notes.issue(self.conn, [self.book.account], TODAY, TODAY, 14)) == [], "no day twice"

    @rule(amount=AMOUNTS, day=PAST, is_charge=st.booleans())
    def import_new(self, amount: int, day: date, is_charge: bool) -> None:
        self.row += 1
        name = f"r{self.row}"
        data = self._row(amount, day, is_charge)
        self._apply(new=[SourceRow(name, data)])
        if not self.is_closed(TODAY):
            number = self.run(self.conn.fetchval("select max(id) from payments.entry where external_id = $1", name))
            self.model.entries[number] = Entry(
                number,
                Side.CHARGE if is_charge else Side.CREDIT,
                amount,
                effective_due(day) if is_charge else day,
                TODAY,
                kind="fee" if is_charge else "payment",
            )
            self.imported[name] = (number, data)

    @precondition(lambda self: self.imported)
    @rule(pick=PICK, amount=AMOUNTS)
    def import_changed(self, pick: int, amount: int) -> None:
        """The source changed an amount: a charge is corrected by the difference, a payment reversed, entered anew."""
        name = sorted(self.imported)[pick % len(self.imported)]
        number, before = self.imported[name]
        entry, live = self.model.entries[number], {e.id for e in self.model.live()}
        hangs = any(number in (e.corrects, e.bears_on) for e in self.model.live())
        if number not in live or hangs or amount == before.amount.grosze:
            return
        after = before.model_copy(update={"amount": Money(amount)})
        self._apply(changed=[SourceChange(name, before, after)])
        difference = amount - before.amount.grosze
        if entry.side is Side.CHARGE:
            made = self.run(
                self.conn.fetchrow("select * from payments.entry where corrects = $1 and state = 'approved'", number)
            )
            assert (made["amount"], made["side"]) == (abs(difference), "charge" if difference > 0 else "credit")
            day = made["effective_due_on"] or made["value_date"]
            self.model.entries[made["id"]] = Entry(
                made["id"], Side(made["side"]), made["amount"], day, TODAY, "correction", corrects=number
            )
            self.model.make_room(number)
            del self.imported[name]
        else:
            self.take_over_reversals([entry])
            again = self.run(self.conn.fetchval("select max(id) from payments.entry where external_id = $1", name))
            self.model.entries[again] = Entry(again, Side.CREDIT, amount, entry.day, TODAY, kind="payment")
            self.imported[name] = (again, after)

    @precondition(lambda self: self.imported)
    @rule(pick=PICK)
    def import_vanished(self, pick: int) -> None:
        name = sorted(self.imported)[pick % len(self.imported)]
        number, data = self.imported.pop(name)
        live = {entry.id for entry in self.model.live()}
        undone = self.with_hanging(self.model.entries[number])
        self._apply(missing=[SourceRow(name, data)])
        if number in live:
            self.take_over_reversals(undone)

    def _row(self, amount: int, day: date, is_charge: bool) -> ChargeRow | PaymentRow:
        if is_charge:
            return ChargeRow(customer_no=NUMBER, amount=Money(amount), issued_on=day, due_on=day, title="Z importu")
        return PaymentRow(customer_no=NUMBER, amount=Money(amount), value_date=day, title="Z importu")

    def _apply(self, **rows: Any) -> None:
        batch = Batch(source="obcy", run=1, approve=True, today=TODAY, **rows)
        self.run(records.apply(self.conn, batch))

    @rule()
    def close_a_month(self) -> None:
        month = Month((self.closed + timedelta(days=1)).replace(day=1) if self.closed else date(2026, 9, 1))
        if month.last >= TODAY:
            return

        async def work() -> int:
            book = await self.conn.fetchval("select id from payments.book where code = 'main'")
            at = datetime(2026, 11, 24, 12, tzinfo=UTC)
            closing = await month_store.begin_close(self.conn, book, month, acknowledged=True, today=TODAY, at=at)
            assert await month_store.make_report(self.conn, closing) == "closed"
            return closing

        if self.attempt(work, True):
            self.closed = month.last

    def charges(self) -> list[Entry]:
        return [e for e in self.model.live() if e.side is Side.CHARGE and e.kind in ("fee", "refund")]

    # --- what must hold ---------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """Hypothesis wants a beginning for its invariants."""

    @invariant()
    def agrees(self) -> None:
        self.run(self._agrees())

    async def _agrees(self) -> None:
        rows = await self.conn.fetch("select * from payments.entry where account_id = $1", self.book.account)
        known = {entry.id for entry in self.model.entries.values()}
        assert {row["id"] for row in rows if row["state"] != "draft"} == known
        expected = self.model.open()
        for row in rows:
            assert row["open_amount"] == expected.get(row["id"], 0), f"entry {row['id']}"
        kept = await self.conn.fetch(
            "select credit, charge, sum(amount)::bigint as amount from payments.allocation where account_id = $1"
            " and released_at is null and rule <> 'reversal' group by credit, charge",
            self.book.account,
        )
        assert {(row["credit"], row["charge"]): row["amount"] for row in kept} == self.model.paid()
        position = await KeptLedger().position(self.conn, self.book.customer, TODAY)
        assert (position.to_pay.grosze, position.to_pay_by) == self.model.to_pay(TODAY)
        assert position.balance.grosze == self.model.balance()
        for check in checks.CHECKS:
            if "verify" in check.when:
                assert [finding async for finding in check.run(self.conn)] == [], check.name


def test_the_ledger_is_what_an_independent_one_says(scratch: Scratch) -> None:
    LedgerMachine.scratch = scratch
    run_state_machine_as_test(  # pyright: ignore[reportUnknownVariableType]
        LedgerMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )

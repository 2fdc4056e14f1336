"""Suspense: every grosz that came in is on an account, given back or still waiting, whatever people do at once."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import Connection, Money, Refused, Role, Site
from kernel.db.pool import Stamp
from kernel.testing import Office
from plugins.payments import store as ledger
from plugins.payments import suspense
from plugins.payments.suspense import IncomingLine, PartDraft, checks
from plugins.payments.suspense import store as waiting
from plugins.payments.suspense.demo import demo
from tests.plugins.payments.ledger import TODAY, Book, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["payments"])

CAME = date(2026, 11, 20)
PAID = date(2026, 11, 19)


@contextmanager
def refused(said: str) -> Generator[None]:
    """What is done inside is refused, in words that begin so in English."""
    with pytest.raises(Refused) as caught:
        yield
    assert [note for note in caught.value.notes if said in note.message], caught.value


def a_line(amount: int = 10000, **facts: Any) -> IncomingLine:
    return replace(IncomingLine(Money(amount), CAME, PAID, statement="29…4711 nr 224", title="Czynsz 4711"), **facts)


async def booked(conn: Connection, amount: int = 10000, **facts: Any) -> int:
    return (await suspense.receive(conn, [a_line(amount, **facts)], TODAY)).new[0]


async def left(conn: Connection, line: int) -> int:
    found = await suspense.line(conn, line)
    assert found is not None
    return found.left.grosze


async def proven(conn: Connection) -> None:
    found = [finding for check in checks.CHECKS async for finding in check.run(conn)]
    assert not found


async def accounts(conn: Connection, count: int) -> list[int]:
    customers = [await add_customer(conn, str(1000 + n), f"Lokator {n}") for n in range(count)]
    opened = await ledger.open_accounts(conn, customers, TODAY)
    return [opened[customer] for customer in customers]


# --- receiving ------------------------------------------------------------------------------------------------------


async def test_a_file_read_twice_changes_nothing(site: Site) -> None:
    lines = [a_line(100 * n, source="wyciąg", external_id=f"224/{n}") for n in range(1, 6)]
    async with acting(site) as conn:
        first = await suspense.receive(conn, lines[:4], TODAY)
    async with acting(site) as conn:
        second = await suspense.receive(conn, lines, TODAY)
        assert len(first.new) == 4
        assert not first.same
        assert second.same == first.new
        assert len(second.new) == 1
        assert await conn.fetchval("select sum(amount) from payments.incoming") == 1500
        assert [
            row["facts"]["count"] for row in await conn.fetch("select facts from kernel.audit_log order by id")
        ] == [
            4,
            1,
        ]


async def test_a_known_line_with_another_amount_is_refused(site: Site) -> None:
    line = a_line(source="wyciąg", external_id="224/1")
    async with acting(site) as conn:
        await suspense.receive(conn, [line], TODAY)
    with refused("was booked before"):
        async with acting(site) as conn:
            await suspense.receive(conn, [replace(line, amount=Money(5))], TODAY)


@pytest.mark.parametrize(
    "facts",
    [
        {"currency": "EUR"},
        {"amount": 0},
        {"amount": -5},
        {"amount": 10**12 + 1},
        {"value_date": date(2026, 11, 25)},
        {"title": "x" * 1001},
        {"channel": "gołąb"},
    ],
)
async def test_what_cannot_be_booked_is_refused(site: Site, facts: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        async with acting(site) as conn:
            await suspense.receive(conn, [a_line(**facts)], TODAY)


async def test_a_line_that_is_in_one_file_twice_is_refused(site: Site) -> None:
    line = a_line(source="wyciąg", external_id="224/1")
    with refused("twice"):
        async with acting(site) as conn:
            await suspense.receive(conn, [line, replace(line, amount=Money(5))], TODAY)


async def test_the_same_file_read_by_many_at_once_is_booked_once(site: Site) -> None:
    lines = [a_line(100 * n, source="wyciąg", external_id=f"224/{n}") for n in range(1, 20)]

    async def read() -> int:
        async with acting(site) as conn:
            return len((await suspense.receive(conn, lines, TODAY)).new)

    assert sorted(await asyncio.gather(*(read() for _n in range(5)))) == [0, 0, 0, 0, 19]


async def test_a_line_of_a_closed_month_is_booked_in_the_open_one(site: Site) -> None:
    async with site.db.transaction(Stamp("test")) as conn:
        assert await conn.fetchval("select payments.open_day('2026-10-31')") == date(2026, 10, 31)
    owner = await owners(site)
    try:
        await owner.execute("update payments.book set closed_through = '2026-10-31'")
    finally:
        await owner.close()
    async with acting(site) as conn:
        number = await booked(conn, value_date=date(2026, 10, 30))
        found = await suspense.line(conn, number)
        assert found is not None
        assert (found.booked_on, found.value_date) == (date(2026, 11, 1), date(2026, 10, 30))


async def owners(site: Site) -> Any:
    from kernel.db import migrate

    return await migrate.connect(site.owner_dsn)


@pytest.mark.parametrize(
    "statement",
    [
        "update payments.incoming set amount = 1",
        "update payments.incoming set assigned = 0",
        "update payments.incoming set title = 'inny'",
        "delete from payments.incoming",
        "update payments.incoming_part set amount = 1",
        "delete from payments.incoming_part",
        "insert into payments.incoming_part (line, amount, kind, reason) values (1, 1, 'mistake', 'x')",
        "select payments.give_back(array[1], 'powód')",
        "update payments.provisional set replaced_by = 1",
    ],
)
async def test_the_application_s_role_cannot_change_what_came_in(site: Site, statement: str) -> None:
    async with acting(site) as conn:
        await booked(conn)
    with pytest.raises(Exception, match="permission denied"):
        async with acting(site) as conn:
            await conn.execute(statement)  # type: ignore[arg-type]


async def test_nothing_is_booked_without_an_actor(site: Site) -> None:
    async with site.db.connection() as conn:
        with pytest.raises(Exception, match="created_by"):
            await conn.execute(
                "insert into payments.incoming (amount, value_date, booked_on) values (1, current_date, current_date)"
            )


# --- assigning ------------------------------------------------------------------------------------------------------


async def test_a_part_is_an_approved_credit_with_the_line_s_own_days(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(6000, date(2026, 11, 10)))
        number = await booked(conn)
        (part,) = await suspense.assign(conn, number, [PartDraft(book.account, Money(6000))], TODAY)
        assert await left(conn, number) == 4000
        assert await book.open(charge) == 0
        row = await suspense.part(conn, part)
        assert row is not None
        entry = await ledger.entry(conn, row.entry or 0)
        assert entry is not None
        assert (entry.value_date, entry.paid_on, entry.booked_on, entry.state) == (CAME, PAID, TODAY, "approved")
        assert (entry.title, entry.channel, entry.kind) == ("Czynsz 4711", "transfer", "payment")
        verbs = [row["verb"] for row in await conn.fetch("select verb from kernel.audit_log order by id")]
        assert verbs[-2:] == ["payments.approved", "payments.assigned"]
        await proven(conn)


async def test_a_housing_benefit_for_eighty_tenants(site: Site) -> None:
    async with acting(site) as conn:
        tenants = await accounts(conn, 80)
        number = await booked(conn, sum(range(1, 81)) * 100)
        parts = [PartDraft(tenant, Money(100 * n), "benefit") for n, tenant in enumerate(tenants, start=1)]
        before = site.db.statements
        made = await suspense.assign(conn, number, parts, TODAY)
        assert site.db.statements - before < 12
        assert len(made) == 80
        assert await left(conn, number) == 0
        credited = await conn.fetch("select account_id, credited from payments.account_balance order by account_id")
        assert [row["credited"] for row in credited] == [100 * n for n in range(1, 81)]
        kinds = await conn.fetch("select distinct kind, state from payments.entry")
        assert [tuple(row.values()) for row in kinds] == [("benefit", "approved")]
        await proven(conn)


async def test_fifty_at_once_never_assign_more_than_there_is(site: Site) -> None:
    async with acting(site) as conn:
        opened = await accounts(conn, 50)
        number = await booked(conn, 1000)

    async def one(account: int) -> bool:
        try:
            async with acting(site) as conn:
                await suspense.assign(conn, number, [PartDraft(account, Money(100))], TODAY)
        except Refused:
            return False
        return True

    done = await asyncio.gather(*(one(account) for account in opened))
    assert sum(done) == 10
    async with acting(site) as conn:
        assert await left(conn, number) == 0
        assert await conn.fetchval("select count(*) from payments.entry") == 10
        assert await conn.fetchval("select last_journal_no from payments.book where code = 'main'") == 10
        await proven(conn)


async def test_assigning_and_reversing_at_once_end_well(site: Site) -> None:
    """Both take the same locks in the same order, so none is a victim of the other."""
    async with acting(site) as conn:
        opened = await accounts(conn, 12)
        number = await booked(conn, 1200)
        parts = await suspense.assign(conn, number, [PartDraft(one, Money(100)) for one in opened], TODAY)

    async def undo(part: int) -> None:
        async with acting(site) as conn:
            row = await suspense.part(conn, part)
            assert row is not None
            await suspense.undo(conn, row, "zwrot z banku", TODAY)

    async def assign(account: int) -> None:
        try:
            async with acting(site) as conn:
                await suspense.assign(conn, number, [PartDraft(account, Money(100))], TODAY)
        except Refused:
            pass

    await asyncio.gather(*(undo(part) for part in parts), *(assign(account) for account in opened))
    async with acting(site) as conn:
        await proven(conn)


async def closed(site: Site, account: int) -> None:
    owner = await owners(site)
    try:
        await owner.execute("update payments.account set closed_on = opened_on where id = $1", account)
    finally:
        await owner.close()


async def test_refusals(site: Site) -> None:
    async with acting(site) as conn:
        (account, shut) = await accounts(conn, 2)
        number = await booked(conn, 1000)
    await closed(site, shut)
    wrong: Sequence[tuple[int, PartDraft, str]] = (
        (number, PartDraft(account, Money(1001)), "too much"),
        (number, PartDraft(shut, Money(10)), "closed"),
        (number, PartDraft(987654, Money(10)), "no such account"),
        (number, PartDraft(account, Money(0)), "above zero"),
        (number, PartDraft(account, Money(-10)), "above zero"),
        (number, PartDraft(account, Money(10), "write_off"), "a benefit or an offset"),
        (987654, PartDraft(account, Money(10)), "no such line"),
    )
    for line, part, message in wrong:
        with refused(message):
            async with acting(site) as conn:
                await suspense.assign(conn, line, [part], TODAY)
    async with acting(site) as conn:
        assert await left(conn, number) == 1000
        assert await conn.fetchval("select count(*) from payments.entry") == 0


async def test_the_database_itself_refuses_what_does_not_fit(site: Site) -> None:
    """A part without its entry, with one of another amount, day or account."""
    async with acting(site) as conn:
        book = await Book.opened(conn)
        number = await booked(conn, 1000)
        (other,) = await book.post(book.payment(500, date(2026, 11, 1)))
    for entry in (None, other):
        with pytest.raises(Exception, match="does not fit its line"):
            async with acting(site) as conn:
                await conn.fetch(waiting.ASSIGN_SQL, [number], [book.account], [entry], [500], ["payment"], [""])


async def test_assigning_in_a_closed_month_is_refused(site: Site) -> None:
    async with acting(site) as conn:
        (account,) = await accounts(conn, 1)
        number = await booked(conn, 500)
    owner = await owners(site)
    try:
        await owner.execute("update payments.book set closed_through = $1", TODAY)
    finally:
        await owner.close()
    with refused("month"):
        async with acting(site) as conn:
            await suspense.assign(conn, number, [PartDraft(account, Money(500))], TODAY)


async def test_where_two_people_are_wanted_nobody_assigns_what_they_entered(site: Site) -> None:
    async with acting(site) as conn:
        (account,) = await accounts(conn, 1)
        await conn.execute(
            "insert into kernel.setting (plugin, value) values ('payments', $1)", {"approver_differs": "true"}
        )
    async with site.db.transaction(Stamp("7", "admin")) as conn:
        number = await booked(conn, 500)
    with refused("Somebody else"):
        async with site.db.transaction(Stamp("7", "admin")) as conn:
            await suspense.assign(conn, number, [PartDraft(account, Money(500))], TODAY)
    async with site.db.transaction(Stamp("8", "admin")) as conn:
        (part,) = await suspense.assign(conn, number, [PartDraft(account, Money(500))], TODAY)
        made = await suspense.part(conn, part)
        assert made is not None
        assert not await suspense.undo(conn, made, "nie ten lokator", TODAY, two_people=True)
        assert await left(conn, number) == 0
    async with site.db.transaction(Stamp("7", "admin")) as conn:
        drafted = await conn.fetchrow("select account_id, id from payments.entry where state = 'draft'")
        assert drafted is not None
        await ledger.approve(conn, [ledger.Key(drafted["account_id"], drafted["id"])], TODAY)
        assert await left(conn, number) == 500
        await proven(conn)


async def test_what_the_payer_named_is_paid_first(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        first, second = await book.post(book.charge(500, date(2026, 9, 10)), book.charge(500, date(2026, 10, 10)))
        number = await booked(conn, 500)
        await suspense.assign(conn, number, [PartDraft(book.account, Money(500), designations=(second,))], TODAY)
        assert (await book.open(first), await book.open(second)) == (500, 0)
        await proven(conn)


async def test_a_charge_of_another_account_cannot_be_named(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(500, date(2026, 9, 10)))
        (other,) = await accounts(conn, 1)
        number = await booked(conn, 500)
    with refused("no such charge"):
        async with acting(site) as conn:
            await suspense.assign(conn, number, [PartDraft(other, Money(500), designations=(charge,))], TODAY)


# --- undoing, giving back, moving -----------------------------------------------------------------------------------


async def test_undoing_reverses_the_entry_and_puts_the_money_back(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(6000, date(2026, 11, 10)))
        number = await booked(conn)
        (part,) = await suspense.assign(conn, number, [PartDraft(book.account, Money(6000))], TODAY)
    async with acting(site) as conn:
        row = await suspense.part(conn, part)
        assert row is not None
        await suspense.undo(conn, row, "nie ten lokator", TODAY)
        assert await left(conn, number) == 10000
        assert await book_open(conn, book.account, charge) == 6000
        found = await suspense.line(conn, number)
        assert found is not None
        assert found.parts[0].undone_reason == "nie ten lokator"
        await proven(conn)
        row = await suspense.part(conn, part)
        assert row is not None
    with refused("undone already"):
        async with acting(site) as conn:
            await suspense.undo(conn, row, "jeszcze raz", TODAY)


async def book_open(conn: Connection, account: int, entry: int) -> int:
    return await conn.fetchval(
        "select open_amount from payments.entry where account_id = $1 and id = $2", account, entry
    )


async def test_however_an_entry_ceases_to_count_the_money_is_in_suspense_again(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        number = await booked(conn)
        parts = await suspense.assign(conn, number, [PartDraft(book.account, Money(n)) for n in (100, 200)], TODAY)
        found = await suspense.line(conn, number)
        assert found is not None
        first, second = [part.entry or 0 for part in found.parts]
        assert len(parts) == 2
    async with acting(site, superadmin_mode=True) as conn:
        book = Book(conn, book.customer, book.account)
        await book.reverse(first)
        assert await left(conn, number) == 9800
        await book.void(second)
        assert await left(conn, number) == 10000
        await proven(conn)
    async with acting(site, superadmin_mode=True) as conn:
        reversal = await conn.fetchval("select id from payments.entry where reverses = $1", first)
        await Book(conn, book.customer, book.account).void(reversal)
        assert await left(conn, number) == 9900
        await proven(conn)


async def test_a_reversal_cannot_be_voided_when_the_money_went_elsewhere(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        number = await booked(conn, 500)
        (part,) = await suspense.assign(conn, number, [PartDraft(book.account, Money(500))], TODAY)
        row = await suspense.part(conn, part)
        assert row is not None
        await suspense.undo(conn, row, "nie ten lokator", TODAY)
        (other,) = await accounts(conn, 1)
        await suspense.assign(conn, number, [PartDraft(other, Money(500))], TODAY)
        reversal = await conn.fetchval("select id from payments.entry where reverses = $1", row.entry)
    with pytest.raises(Refused):
        async with acting(site, superadmin_mode=True) as conn:
            await Book(conn, book.customer, book.account).void(reversal)


async def test_money_is_returned_to_the_payer_and_that_can_be_undone(site: Site) -> None:
    async with acting(site) as conn:
        number = await booked(conn)
        part = await suspense.give_back(conn, number, "returned", Money(4000), "nie nasz klient")
        await suspense.give_back(conn, number, "mistake", Money(6000), "wpisane dwa razy")
        assert await left(conn, number) == 0
        row = await suspense.part(conn, part)
        assert row is not None
        await suspense.undo(conn, row, "przelew nie doszedł", TODAY)
        assert await left(conn, number) == 4000
        await proven(conn)
    with refused("More would be assigned"):
        async with acting(site) as conn:
            await suspense.give_back(conn, number, "returned", Money(4001), "za dużo")


@pytest.mark.parametrize("told_first", [True, False])
async def test_a_part_follows_a_payment_to_the_right_account(site: Site, told_first: bool) -> None:
    async with acting(site) as conn:
        wrong, right = await accounts(conn, 2)
        number = await booked(conn, 500)
        (part,) = await suspense.assign(conn, number, [PartDraft(wrong, Money(500))], TODAY)
        row = await suspense.part(conn, part)
        assert row is not None
    async with acting(site) as conn:
        entry = await ledger.entry(conn, row.entry or 0)
        assert entry is not None
        if not told_first:
            await ledger.reverse(conn, entry, "nie to konto", TODAY)
        draft = ledger.Draft(
            right, entry.side, "payment", Money(500), value_date=entry.value_date, paid_on=entry.paid_on
        )
        (key,) = await ledger.add_drafts(conn, [draft])
        await ledger.approve(conn, [key], TODAY)
        new = await suspense.moved(conn, entry.key, key)
        if told_first:
            await ledger.reverse(conn, entry, "nie to konto", TODAY)
        assert new is not None
        now = await suspense.part(conn, new)
        assert now is not None
        assert (now.account_id, now.entry, now.line) == (right, key.entry, number)
        assert await left(conn, number) == 0
        await proven(conn)
    async with acting(site) as conn:
        book = await Book.opened(conn)
        (plain,) = await book.post(book.payment(5, CAME))
        assert await suspense.moved(conn, book.key(plain), key) is None


# --- whom a line points to ------------------------------------------------------------------------------------------


async def proposed(conn: Connection, number: int) -> list[tuple[str, float]]:
    found = await suspense.line(conn, number)
    assert found is not None
    return [(one.candidate.customer_no, one.certainty) for one in await suspense.matches(conn, found, TODAY)]


async def test_an_own_bank_number_is_certain_and_assigned_by_itself(site: Site) -> None:
    own = "29101010100012345600004711"
    async with acting(site) as conn:
        book = await Book.opened(conn)
    owner = await owners(site)
    try:
        await owner.execute("update payments.account set virtual_account = $1", own)
    finally:
        await owner.close()
    async with acting(site) as conn:
        certain = await booked(conn, paid_to="PL29 1010 1010 0012 3456 0000 4711", title="czynsz")
        unsure = await booked(conn)
        assert await proposed(conn, certain) == [("4711", 1.0)]
        assert (await proposed(conn, unsure))[0][1] < 1
        assert await suspense.assign_certain(conn, [certain, unsure], TODAY) == [certain]
        assert await suspense.assign_certain(conn, [certain, unsure], TODAY) == []
        assert await left(conn, certain) == 0
        assert await left(conn, unsure) == 10000
        assert await Book(conn, book.customer, book.account).credit() == 10000


async def test_numbers_names_amounts_and_earlier_payments_point_to_accounts(site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        other = await add_customer(conn, "147115", "Anna Nowak")
        await ledger.open_accounts(conn, [other], TODAY)
        await book.post(book.charge(6000, date(2026, 11, 10)))
        by_number = dict(await proposed(conn, await booked(conn)))
        assert by_number.keys() == {"4711"}
        with_amount = dict(await proposed(conn, await booked(conn, 6000)))
        assert with_amount["4711"] > by_number["4711"]
        assert await proposed(conn, await booked(conn, title="umowa 147115")) == [("147115", 0.8)]
        assert await proposed(conn, await booked(conn, title="opłata")) == []
        assert await proposed(conn, await booked(conn, title="opłata", payer_name="NOWAK ANNA")) == [("147115", 0.5)]
        known = await booked(conn, title="opłata", payer_account="PL11 2222")
        assert await proposed(conn, known) == []
        await suspense.assign(conn, known, [PartDraft(book.account, Money(10000))], TODAY)
        learnt = dict(await proposed(conn, await booked(conn, title="opłata", payer_account="112222")))
        assert learnt.keys() == {"4711"}
        assert 0.7 < learnt["4711"] < 1


# --- mirror books ---------------------------------------------------------------------------------------------------


async def mirrored(site: Site) -> int:
    """An account of a book that shows somebody else's ledger."""
    async with acting(site) as conn:
        (account,) = await accounts(conn, 1)
    owner = await owners(site)
    try:
        await owner.execute("update payments.book set is_mirror = true")
    finally:
        await owner.close()
    return account


async def imported(conn: Connection, account: int, amount: int, day: date, external_id: str = "Z1") -> int:
    draft = ledger.Draft(
        account,
        ledger.Side.CREDIT,
        "payment",
        Money(amount),
        value_date=day,
        source="fakturowanie",
        external_id=external_id,
    )
    (number,) = await by_import(conn, draft)
    return number


async def by_import(conn: Connection, *drafts: ledger.Draft) -> list[int]:
    """What an import does in a book that shows another application's ledger."""
    await conn.execute("set local ebok.actor = 'import'")
    keys = await ledger.add_drafts(conn, drafts)
    await ledger.approve(conn, keys, TODAY)
    await suspense.reconcile(conn, [draft.account for draft in drafts])
    await conn.execute("set local ebok.actor = 'office'")
    return [key.entry for key in keys]


@pytest.mark.ebok(plugins=["customers", "payments", "balances"])
async def test_both_sides_see_what_waits_to_be_booked(site: Site, office: Office) -> None:
    account = await mirrored(site)
    async with acting(site) as conn:
        number = await booked(conn, 5000)
        await suspense.assign(conn, number, [PartDraft(account, Money(5000))], TODAY)
        customer = await conn.fetchval("select customer from payments.account where id = $1", account)
    tenant, clerk = await office.visitor(Role.CUSTOMER, customer), await office.visitor(Role.ADMIN)
    for path in ("/", "/balance"):
        assert "Mamy Twoją wpłatę 50,00" in (await tenant.get(path)).text, path
    assert "Wpłynęło 50,00" in (await clerk.get(f"/admin/accounts/{account}")).text
    async with acting(site) as conn:
        await imported(conn, account, 5000, CAME)
    assert "Mamy Twoją wpłatę" not in (await tenant.get("/balance")).text


@pytest.mark.parametrize("bank_first", [True, False])
async def test_a_provisional_credit_gives_way_to_the_source_s_record_in_either_order(
    site: Site, bank_first: bool
) -> None:
    account = await mirrored(site)
    async with acting(site) as conn:
        number = await booked(conn, 5000)
        if bank_first:
            await suspense.assign(conn, number, [PartDraft(account, Money(5000))], TODAY)
            (shown,) = await suspense.provisional_of(conn, [account])
            assert (shown["amount"], shown["line"]) == (5000, number)
            assert await conn.fetchval("select credited from payments.account_balance") == 0
            await imported(conn, account, 4999, CAME, "Z0")
            assert len(await suspense.provisional_of(conn, [account])) == 1
        await imported(conn, account, 5000, date(2026, 11, 23))
        if not bank_first:
            await suspense.assign(conn, number, [PartDraft(account, Money(5000))], TODAY)
        assert await suspense.provisional_of(conn, [account]) == []
        assert await left(conn, number) == 0
        await proven(conn)


async def test_each_record_of_the_source_replaces_one(site: Site) -> None:
    account = await mirrored(site)
    async with acting(site) as conn:
        for _n in range(2):
            await suspense.assign(conn, await booked(conn, 5000), [PartDraft(account, Money(5000))], TODAY)
        first = await imported(conn, account, 5000, CAME)
        assert len(await suspense.provisional_of(conn, [account])) == 1
        undoing = ledger.Draft(
            account,
            ledger.Side.CHARGE,
            "reversal",
            Money(5000),
            issued_on=TODAY,
            reverses=first,
            reason="zmieniony w źródle",
            source="fakturowanie",
            external_id="Z1",
            external_version=2,
        )
        await by_import(conn, undoing)
        assert len(await suspense.provisional_of(conn, [account])) == 2
        await imported(conn, account, 5000, CAME, "Z2")
        await imported(conn, account, 5000, CAME, "Z3")
        assert await suspense.reconcile(conn, [account]) == 0
        assert await suspense.provisional_of(conn, [account]) == []
        await proven(conn)


async def test_what_the_source_booked_on_another_day_is_known_by_its_reference(site: Site) -> None:
    account = await mirrored(site)
    async with acting(site) as conn:
        number = await booked(conn, 5000, source="wyciąg", external_id="REF-7")
        await suspense.assign(conn, number, [PartDraft(account, Money(5000))], TODAY)
        await imported(conn, account, 5000, date(2026, 11, 2), "REF-7")
        assert await suspense.provisional_of(conn, [account]) == []


async def test_a_confirmed_payment_is_undone_at_its_source_only(site: Site) -> None:
    account = await mirrored(site)
    async with acting(site) as conn:
        number = await booked(conn, 5000)
        parts = await suspense.assign(conn, number, [PartDraft(account, Money(n)) for n in (2000, 3000)], TODAY)
        await imported(conn, account, 2000, CAME)
        confirmed, open_one = [await suspense.part(conn, part) for part in parts]
        assert confirmed
        assert open_one
        await suspense.undo(conn, open_one, "nie ten lokator", TODAY)
        assert await left(conn, number) == 3000
        await proven(conn)
    with refused("billing application"):
        async with acting(site) as conn:
            await suspense.undo(conn, confirmed, "nie ten lokator", TODAY)


async def test_matched_payments_are_exported_once_and_their_withdrawal_once(site: Site) -> None:
    account = await mirrored(site)
    async with acting(site) as conn:
        number = await booked(conn, 5000)
        parts = await suspense.assign(conn, number, [PartDraft(account, Money(n)) for n in (1000, 1500, 2500)], TODAY)
        await imported(conn, account, 1500, CAME)
        waits = await waiting.to_export(conn)
        assert (waits["payments"], waits["withdrawals"], waits["total"]) == (2, 0, 3500)
        first = await waiting.export(conn)
        withdrawn = await suspense.part(conn, parts[0])
        assert withdrawn
        await suspense.undo(conn, withdrawn, "nie ten lokator", TODAY)
        second = await waiting.export(conn)
        made = await waiting.export_of(conn, second)
        assert made is not None
        assert (made["payments"], made["withdrawals"], made["total"]) == (0, 1, -1000)
        assert first != second
    with refused("nothing new"):
        async with acting(site) as conn:
            await waiting.export(conn)


# --- proofs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("update payments.incoming set assigned = assigned - 1 where assigned > 0", "kept as assigned"),
        ("delete from payments.provisional", "neither an entry nor"),
        ("update payments.provisional set amount = 1", "not like it"),
        ("update payments.provisional set withdrawn_at = now()", "only one of it"),
        (
            "update payments.incoming_part set undone_at = now(), undone_by = 'x', undone_reason = 'x'",
            "its entry counts",
        ),
        ("update payments.incoming_part set amount = amount + 1", "over 10.00"),
        ("update payments.incoming set value_date = value_date - 1", "other days"),
        (
            "update payments.provisional set replaced_at = now(), replaced_by = (select max(id) from payments.entry)",
            "what replaced it does not count",
        ),
    ],
)
async def test_what_was_tampered_with_is_found(site: Site, harm: str, said: str) -> None:
    async with acting(site) as conn:
        (account,) = await accounts(conn, 1)
        await suspense.assign(conn, await booked(conn, 2000), [PartDraft(account, Money(1000))], TODAY)
        book = await conn.fetchval(
            "select payments.add_book('m', 'F', 'auxiliary', 'civil', false, true, 'none', null, 3, 'red', true, '')"
        )
        mirror = await conn.fetchval(
            "select payments.open_account(customer, $2, null, 'F', opened_on) from payments.account where id = $1",
            account,
            book,
        )
        await suspense.assign(conn, await booked(conn, 700), [PartDraft(mirror, Money(700))], TODAY)
        waits = ledger.Draft(mirror, ledger.Side.CREDIT, "payment", Money(700), value_date=CAME)
        await ledger.add_drafts(conn, [waits])
        await proven(conn)
    owner = await owners(site)
    try:
        await owner.execute(harm)
    finally:
        await owner.close()
    async with acting(site) as conn:
        found = [str(finding) for check in checks.CHECKS async for finding in check.run(conn)]
        assert any(said in message for message in found), found


# --- whatever happens -----------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from(["assign", "undo", "return", "reverse"]), st.integers(0, 2), st.integers(1, 700)),
    max_size=12,
)


@given(steps=STEPS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_parts_and_the_rest_are_the_line_whatever_happens(site: Site, steps: list[tuple[str, int, int]]) -> None:
    async with acting(site) as conn:
        unique = await conn.fetchval("select count(*) from kernel.customer")
        customers = [await add_customer(conn, f"{unique}-{n}") for n in range(3)]
        opened = list((await ledger.open_accounts(conn, customers, TODAY)).values())
        number = await booked(conn, 1000)
    for what, which, amount in steps:
        try:
            async with acting(site) as conn:
                await step(conn, number, opened, what, which, amount)
        except Refused:
            pass
        async with acting(site) as conn:
            found = await suspense.line(conn, number)
            assert found is not None
            live = sum(part.amount.grosze for part in found.parts if part.undone_at is None)
            assert live + found.left.grosze == 1000
            assert found.left.grosze >= 0
    async with acting(site) as conn:
        credited = await conn.fetchval(
            "select coalesce(sum(-balance), 0)::bigint from payments.account_balance where account_id = any ($1)",
            opened,
        )
        found = await suspense.line(conn, number)
        assert found is not None
        assert credited == sum(
            part.amount.grosze for part in found.parts if part.undone_at is None and part.account_id is not None
        )
        await proven(conn)


async def step(conn: Connection, number: int, opened: list[int], what: str, which: int, amount: int) -> None:
    if what == "assign":
        await suspense.assign(conn, number, [PartDraft(opened[which], Money(amount))], TODAY)
    elif what == "return":
        await suspense.give_back(conn, number, "returned", Money(amount), "na prośbę")
    else:
        found = await suspense.line(conn, number)
        assert found is not None
        if not found.parts:
            return
        part = await suspense.part(conn, found.parts[amount % len(found.parts)].id)
        assert part is not None
        entry = part.entry and await ledger.entry(conn, part.entry)
        if what == "reverse" and entry and part.undone_at is None:
            await ledger.reverse(conn, entry, "zwrot z banku", TODAY)
        else:
            await suspense.undo(conn, part, "pomyłka", TODAY)


# --- the demonstration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenants", [0, 1, 3, 20])
async def test_the_demonstration_has_something_of_everything(site: Site, tenants: int) -> None:
    async with acting(site) as conn:
        opened = await accounts(conn, tenants)
        await demo(conn, site, opened, TODAY)
        waits = await waiting.waiting(conn)
        assert waits["lines"] == (5 if tenants else 0)
        await proven(conn)

"""Pages of interest: what a payment on a day covers, notes and their paper, corrections, rates and holidays."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape
from itertools import pairwise

import pytest

from kernel import Money
from kernel.plugin.permissions import Role
from kernel.testing import Office, Page
from plugins.payments.accrual import store
from plugins.payments.accrual.model import Rate
from plugins.payments.interest import issuing, jobs, notes, picture
from tests.plugins.payments.ledger import TODAY, Book, acting
from tests.plugins.payments.test_interest import rule

pytestmark = pytest.mark.ebok(plugins=["payments"])

DUE = date(2026, 3, 10)
"""1000 zł × 9,25 % × 259 days / 365 = 65,64 zł up to TODAY."""
INTEREST = Money(6564)


def text_of(page: Page) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).replace("\u00a0", " ").split())


async def debtor(office: Office, number: str = "4711", amount: int = 100000, due: date = DUE) -> Book:
    """A customer with one charge past due, whose connection is gone."""
    async with acting(office.site) as conn:
        book = await Book.opened(conn, number)
        await book.post(book.charge(amount, due, title="Czynsz"))
        return book


async def test_a_customer_sees_what_a_day_would_cost_and_how_it_is_counted(office: Office) -> None:
    book = await debtor(office)
    visitor = await office.visitor(Role.CUSTOMER, book.customer)
    page = await visitor.get("/interest")
    assert page.status == 200
    shown = text_of(page)
    assert "1 065,64 zł" in shown
    assert "1 000,00 zł × 9,25 % × 259 dni / 365 = 65,6370 zł" in shown
    later = text_of(await visitor.get("/interest?day=24.12.2026"))
    assert "1 073,24 zł" in later
    past = text_of(await visitor.get("/interest?day=24.12.2025"))
    assert "1 065,64 zł" in past
    assert "Ten dzień już minął" in past


async def test_interest_is_not_added_to_what_there_is_to_pay(office: Office) -> None:
    book = await debtor(office)
    async with office.site.db.connection() as conn:
        found = await store.what_if_of_customer(conn, book.customer, TODAY)
        assert (found.due, found.interest) == (Money(100000), INTEREST)
        assert await store.memo(conn, book.customer, TODAY) == INTEREST


async def test_a_note_is_issued_from_the_account_and_printed(office: Office) -> None:
    book = await debtor(office)
    clerk = await office.visitor(Role.ADMIN)
    address = f"/admin/accounts/{book.account}/interest"
    assert "65,64 zł" in text_of(await clerk.get(address))
    issued = await clerk.post(address, {"as_of": "24.11.2026", "pay_days": "14"})
    assert issued.status == 303
    page = await clerk.get(issued.headers["Location"])
    assert "NO/2026/000001" in page.text
    pdf = await clerk.get(f"{issued.headers['Location']}.pdf")
    assert (pdf.status, pdf.content[:5]) == (200, b"%PDF-")
    again = await clerk.get(f"{issued.headers['Location']}.pdf")
    assert again.content == pdf.content
    assert "NO/2026/000001" in (await clerk.get("/admin/interest?customer=4711")).text
    twice = await clerk.post(address, {"as_of": "24.11.2026", "pay_days": "14"})
    assert twice.status == 422
    assert "nie ma odsetek" in text_of(twice)


async def test_a_customer_prints_only_their_own_note(office: Office) -> None:
    book = await debtor(office)
    other = await debtor(office, "4712")
    async with acting(office.site) as conn:
        mine, foreign = await notes.issue(conn, [book.account, other.account], TODAY, TODAY, 14)
    visitor = await office.visitor(Role.CUSTOMER, book.customer)
    assert mine.note_no in (await visitor.get("/interest")).text
    assert (await visitor.get(f"/interest/notes/{mine.id}.pdf")).status == 200
    assert (await visitor.get(f"/interest/notes/{foreign.id}.pdf")).status == 404


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"as_of": "25.11.2026", "pay_days": "14"}, "Ten dzień jeszcze nie nadszedł"),
        ({"as_of": "kiedyś", "pay_days": "14"}, "na przykład 24.11.2026"),
        ({"as_of": "24.11.2026", "pay_days": "900"}, ""),
    ],
)
async def test_a_wrong_note_is_refused_with_what_was_typed(office: Office, form: dict[str, str], said: str) -> None:
    book = await debtor(office)
    clerk = await office.visitor(Role.ADMIN)
    page = await clerk.post(f"/admin/accounts/{book.account}/interest", form)
    assert page.status == 422
    assert f'value="{form["as_of"]}"' in page.text
    assert said in text_of(page)


async def test_many_notes_are_counted_looked_at_and_issued(office: Office) -> None:
    books = [await debtor(office, f"47{number}", 100000 + number) for number in range(11, 15)]
    small = await debtor(office, "4799", 100)
    clerk = await office.visitor(Role.ADMIN)
    begun = await clerk.post(
        "/admin/interest/issuings/new",
        {"book": "1", "as_of": "24.11.2026", "at_least": "10,00", "pay_days": "14", "customer_kind": ""},
    )
    assert begun.status == 303
    number = int(begun.headers["Location"].rsplit("/", 1)[1])
    assert "Trwa liczenie" in (await clerk.get(begun.headers["Location"])).text
    await jobs.count(office.site, {"issuing": number})
    await jobs.count(office.site, {"issuing": number})
    page = text_of(await clerk.get(begun.headers["Location"]))
    assert "4 konta dostałyby noty" in page
    assert "262,58 zł" in page
    assert (await clerk.post(begun.headers["Location"])).status == 303
    refused = await clerk.post(begun.headers["Location"])
    assert refused.status == 422
    await jobs.issue(office.site, {"issuing": number, "actor": str(clerk.user)})
    await jobs.issue(office.site, {"issuing": number, "actor": str(clerk.user)})
    done = text_of(await clerk.get(begun.headers["Location"]))
    assert "Wystawiono 4 noty" in done
    assert "NO/2026/000004" in done
    async with office.site.db.connection() as conn:
        assert await conn.fetchval("select count(*) from payments.interest_note") == 4
        assert not await store.claims(conn, [books[0].account], TODAY) or all(
            not claim.claimable for claim in await store.claims(conn, [books[0].account], TODAY)
        )
        assert (await store.claims(conn, [small.account], TODAY))[0].claimable
    assert (await clerk.post(f"{begun.headers['Location']}/discard")).status == 422


async def test_an_issuing_can_be_discarded(office: Office) -> None:
    await debtor(office)
    clerk = await office.visitor(Role.ADMIN)
    async with acting(office.site) as conn:
        number = await issuing.begin(conn, issuing.Terms(1, TODAY, 14, Money(1)))
    assert (await clerk.post(f"/admin/interest/issuings/{number}/discard")).status == 303
    assert (await clerk.get(f"/admin/interest/issuings/{number}")).status == 404


async def test_what_the_ledger_refuses_stops_an_issuing_with_its_reason(office: Office) -> None:
    await debtor(office)
    async with acting(office.site) as conn:
        number = await issuing.begin(conn, issuing.Terms(1, TODAY, 14, Money(1)))
    await jobs.count(office.site, {"issuing": number})
    async with acting(office.site) as conn:
        await issuing.move(conn, number, "ready", "issuing")
    await rule(office.site, "closed_through = '2099-12-31'")
    await jobs.issue(office.site, {"issuing": number, "actor": "1"})
    async with office.site.db.connection() as conn:
        found = await issuing.issuing(conn, number)
        assert found is not None
        assert (found.state, found.noted, bool(found.trouble)) == ("ready", 0, True)
    clerk = await office.visitor(Role.ADMIN)
    assert found.trouble in unescape((await clerk.get(f"/admin/interest/issuings/{number}")).text)


async def test_corrections_are_found_offered_and_entered(office: Office) -> None:
    book = await debtor(office)
    async with acting(office.site) as conn:
        await notes.issue(conn, [book.account], TODAY, TODAY, 14)
    await jobs.review(office.site, {})
    clerk = await office.visitor(Role.ADMIN)
    assert "4711" not in (await clerk.get("/admin/interest/corrections")).text
    async with acting(office.site) as conn:
        late = Book(conn, book.customer, book.account)
        await late.post(late.payment(100000, DUE + timedelta(days=10)))
    await jobs.review(office.site, {})
    page = await clerk.get("/admin/interest/corrections")
    # ten days stay: 2,53 zł
    assert "63,11 zł" in text_of(page)
    async with office.site.db.connection() as conn:
        assert (await store.rates_in_use(conn)).corrections == 1
    chosen = re.search(r'name="ids" value="([0-9-]+)"', page.text)
    assert chosen
    assert (await clerk.post("/admin/interest/corrections", {})).status == 422
    entered = await clerk.post("/admin/interest/corrections", {"ids": chosen[1]})
    assert entered.status == 303
    assert "4711" not in (await clerk.get("/admin/interest/corrections")).text
    async with office.site.db.connection() as conn:
        draft = await conn.fetchrow("select * from payments.entry where kind = 'correction'")
        assert draft is not None
        assert (draft["state"], draft["amount"], draft["side"]) == ("draft", 6311, "credit")
    await jobs.review(office.site, {})
    assert "4711" not in (await clerk.get("/admin/interest/corrections")).text
    assert (await clerk.post("/admin/interest/corrections/look")).status == 303


async def test_rates_are_entered_changed_and_removed_with_a_trace(office: Office) -> None:
    clerk = await office.visitor(Role.ADMIN)
    page = await clerk.get("/admin/interest/rates")
    assert "<svg" in page.text
    assert "sprzed ponad 90 dni" in text_of(page)
    form = {"kind": "statutory_delay", "valid_from": "24.11.2026", "percent": "9,25", "source": "NBP, bez zmian"}
    assert (await clerk.post("/admin/interest/rates", form)).status == 303
    assert "sprzed ponad 90 dni" not in text_of(await clerk.get("/admin/interest/rates"))
    again = await clerk.post("/admin/interest/rates", form)
    assert again.status == 422
    assert "już jest" in text_of(again)
    wrong = await clerk.post("/admin/interest/rates", {**form, "valid_from": "25.11.2026", "percent": "1e3"})
    assert wrong.status == 422
    async with office.site.db.connection() as conn:
        number = await conn.fetchval(
            "select id from payments.interest_rate where kind = 'statutory_delay' and valid_from = '2026-11-24'"
        )
    address = f"/admin/interest/rates/{number}"
    changed = await clerk.post(address, {"percent": "9,00", "source": "NBP", "action": "save"})
    assert changed.status == 303
    assert (await clerk.post(address, {"percent": "9,00", "source": "NBP", "action": "remove"})).status == 303
    assert (await clerk.get(address)).status == 404
    async with office.site.db.connection() as conn:
        told = await conn.fetch("select facts from kernel.audit_log where verb = 'payments.rate_changed' order by id")
        assert [(row["facts"]["before"], row["facts"]["after"]) for row in told] == [
            ("—", "9,25\u00a0%"),
            ("9,25\u00a0%", "9,00\u00a0%"),
            ("9,00\u00a0%", "—"),
        ]


async def test_a_rate_that_a_note_used_is_not_changed_silently(office: Office) -> None:
    book = await debtor(office)
    async with acting(office.site) as conn:
        (note,) = await notes.issue(conn, [book.account], TODAY, TODAY, 14)
        used = await conn.fetchval(
            "select id from payments.interest_rate where kind = 'statutory_delay' and valid_from = '2026-03-05'"
        )
        unused = await conn.fetchval(
            "select id from payments.interest_rate where kind = 'statutory_delay' and valid_from = '2025-12-04'"
        )
    clerk = await office.visitor(Role.ADMIN)
    assert "użyto w wystawionych notach" in text_of(await clerk.get(f"/admin/interest/rates/{used}"))
    assert "użyto w wystawionych notach" not in text_of(await clerk.get(f"/admin/interest/rates/{unused}"))
    form = {"percent": "8", "source": "NBP"}
    assert (await clerk.post(f"/admin/interest/rates/{used}", form)).status == 422
    assert (await clerk.post(f"/admin/interest/rates/{used}", {**form, "anyway": "true"})).status == 303
    async with office.site.db.connection() as conn:
        kept = await notes.note(conn, note.id)
        assert kept is not None
        assert (kept.total, str(kept.lines[0].lines[0].percent)) == (INTEREST, "9.2500")
        (due,) = await notes.corrections_due(conn, [book.account])
        # 1000 zł × 8 % × 259 / 365 = 56,77 zł
        assert due.amount == INTEREST - Money(5677)


async def test_the_smallest_interest_is_kept_by_day(office: Office) -> None:
    clerk = await office.visitor(Role.ADMIN)
    assert "8,70 zł" in text_of(await clerk.get("/admin/interest/rates?kind=public"))
    form = {"kind": "public", "valid_from": "01.01.2027", "amount": "9,30", "source": "cennik operatora"}
    assert (await clerk.post("/admin/interest/minimums", form)).status == 303
    assert (await clerk.post("/admin/interest/minimums", form)).status == 422
    assert "9,30 zł" in text_of(await clerk.get("/admin/interest/minimums"))
    async with office.site.db.connection() as conn:
        number = await conn.fetchval("select id from payments.interest_minimum where valid_from = '2027-01-01'")
    change = {"amount": "9,60", "source": "cennik operatora"}
    assert (await clerk.post(f"/admin/interest/minimums/{number}", change)).status == 303
    assert (await clerk.post(f"/admin/interest/minimums/{number}", {**change, "action": "remove"})).status == 303
    assert "9,60" not in text_of(await clerk.get("/admin/interest/minimums"))


async def test_holidays_move_due_dates_of_charges_approved_from_now_on(office: Office) -> None:
    clerk = await office.visitor(Role.ADMIN)
    assert "Boże Narodzenie" in (await clerk.get("/admin/interest/holidays")).text
    form = {"day": "30.11.2026", "name": "Święto miasta"}
    assert (await clerk.post("/admin/interest/holidays", form)).status == 303
    assert (await clerk.post("/admin/interest/holidays", form)).status == 422
    async with acting(office.site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(100, date(2026, 11, 30)))
        moved = await conn.fetchval("select effective_due_on from payments.entry where id = $1", charge)
        assert moved == date(2026, 12, 1)
    change = {"name": "Święto miasta", "action": "remove"}
    assert (await clerk.post("/admin/interest/holidays/20261130", change)).status == 303
    assert (await clerk.get("/admin/interest/holidays/20261130")).status == 404
    kept = await clerk.post("/admin/interest/holidays/20270101", {"name": "Nowy Rok", "action": "remove"})
    assert kept.status == 422


async def test_unknown_kinds_and_days_are_not_found(office: Office) -> None:
    clerk = await office.visitor(Role.ADMIN)
    for path in (
        "/admin/interest/rates?kind=nothing",
        "/admin/interest/minimums?kind=nothing",
        "/admin/interest/rates/999999",
        "/admin/interest/minimums/999999",
        "/admin/interest/holidays/20261301",
        "/admin/interest/holidays/99999999999999999",
        "/admin/interest/notes/999999",
        "/admin/interest/notes/999999.pdf",
        "/admin/interest/issuings/999999",
        "/admin/accounts/999999/interest",
    ):
        assert (await clerk.get(path)).status == 404, path
    assert (await clerk.post("/admin/accounts/999999/interest", {"as_of": "24.11.2026"})).status == 404


def test_the_picture_shows_the_last_years_and_its_labels_do_not_meet() -> None:
    rates = [Rate(date(2016 + place // 4, 1 + 3 * (place % 4), 1), 7 + place % 5) for place in range(40)]  # type: ignore[arg-type]
    drawn = picture.rate_picture(rates, TODAY)
    assert drawn is not None
    assert drawn.since >= TODAY + picture.AHEAD - picture.YEARS
    places = sorted(
        (label.x - 86, label.x) if label.anchor == "end" else (label.x, label.x + 86) for label in drawn.days
    )
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(places))
    assert picture.rate_picture([], TODAY) is None

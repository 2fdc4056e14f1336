"""The ledger over the API: what programs read, enter and approve, and what they are refused."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar

from kernel.auth import api_tokens
from kernel.db import migrate
from kernel.db.pool import Stamp
from kernel.people import store as people
from kernel.people.model import ServicePointData
from kernel.plugin.permissions import Role
from kernel.site import Site
from kernel.testing import Office, Page, registry_of
from kernel.web.openapi import document
from plugins.payments import store
from tests.plugins.payments.ledger import Book, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["customers", "payments"])
TODAY = date(2026, 11, 24)
EVERYTHING = ("payments.view", "payments.enter", "payments.approve")


class Program:
    """A program with a token: asks, sends JSON, keeps no cookies, and takes no answer that is not described."""

    def __init__(self, office: Office, http: ClientSession) -> None:
        self.office, self.http, self.keys = office, http, 0
        self.token = ""

    async def given(self, *scopes: str) -> Program:
        site = self.office.site
        admin = await self.office.visitor(Role.ADMIN)
        assert admin.user is not None
        async with site.db.transaction(Stamp(str(admin.user), "admin")) as conn:
            self.token = await api_tokens.make(conn, admin.user, "Program", scopes, None, site.clock.now())
        return self

    async def get(self, path: str) -> Page:
        return await self.send("GET", path)

    async def pay(self, payment: Mapping[str, Any], key: str | None = "") -> Page:
        """Send a payment, under a key of its own where none is named."""
        self.keys += 1
        headers = {} if key is None else {"Idempotency-Key": key or f"key-{self.keys}"}
        return await self.send("POST", "/api/v1/payments", data=json.dumps(payment), headers=headers)

    async def send(self, method: str, path: str, *, data: str | bytes | None = None, **options: Any) -> Page:
        headers = {"Authorization": f"Bearer {self.token}", "Accept-Language": "en", **options.pop("headers", {})}
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        async with self.http.request(method, self.office.origin + path, headers=headers, data=data) as response:
            described = promised(method, path)
            assert described is None or str(response.status) in described, f"{method} {path}: {response.status}"
            return Page(response.status, response.headers, await response.read())


@cache
def description() -> Mapping[str, Mapping[str, Any]]:
    """The paths of the API's own description."""
    return document(registry_of(["customers", "payments"]))["paths"]


def promised(method: str, path: str) -> Collection[str] | None:
    """The statuses that the description knows for a call; None where no operation has this path."""
    for template, operations in description().items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[0-9]+", template), path.partition("?")[0]):
            return operations[method.lower()]["responses"].keys()
    return None


@pytest.fixture
async def program(office: Office) -> AsyncIterator[Program]:
    office.site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=office.site.clock.zone))
    async with ClientSession(cookie_jar=DummyCookieJar()) as http:
        yield await Program(office, http).given(*EVERYTHING)


@pytest.fixture
async def charges(site: Site) -> list[int]:
    """Two charges of customer 4711: 100,00 due on 10 October, 250,00 due on 10 December; one of 4712."""
    async with acting(site) as conn:
        book, other = await Book.opened(conn), await Book.opened(conn, "4712")
        mine = await book.post(book.charge(10_000, date(2026, 10, 12)), book.charge(25_000, date(2026, 12, 10)))
        return [*mine, *await other.post(other.charge(5_000, date(2026, 10, 12)))]


PAYMENT: dict[str, Any] = {"customer_no": "4711", "amount": "100.00", "value_date": "2026-11-20", "title": "Czynsz"}


def problem(answer: Page, status: int = 422) -> dict[str, str]:
    """The words of a refusal by pointer; «» holds the detail."""
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    body = answer.json()
    assert body["status"] == status
    assert body["request_id"]
    return {"": body["detail"], **{error["pointer"]: error["detail"] for error in body.get("errors", ())}}


async def count(site: Site) -> int:
    async with site.db.connection() as conn:
        return await conn.fetchval("select count(*) from payments.entry")


# --- reading --------------------------------------------------------------------------------------------------------


async def test_an_account_is_read_with_its_balance(program: Program, charges: list[int]) -> None:
    (account,) = (await program.get("/api/v1/accounts?customer_no=4711")).json()["accounts"]
    assert account == (await program.get(f"/api/v1/accounts/{account['account']}")).json()
    assert account["balance"] == account["charged"] == "350.00"
    assert (account["book"], account["currency"], account["customer_no"]) == ("main", "PLN", "4711")
    assert account["oldest_open_due"] == "2026-10-12"


async def test_accounts_come_in_pages_by_keys(program: Program, site: Site) -> None:
    async with acting(site) as conn:
        customers = [await add_customer(conn, f"K/{number:03}") for number in range(25)]
        await store.open_accounts(conn, customers, TODAY)
    seen: list[int] = []
    path = "/api/v1/accounts?limit=10&book=main"
    while path:
        page = (await program.get(path)).json()
        seen += [account["account"] for account in page["accounts"]]
        path = page["next"] and f"/api/v1/accounts?limit=10&book=main&after={page['next']}"
    assert len(seen) == len(set(seen)) == 25
    assert [a["account"] for a in (await program.get("/api/v1/accounts?limit=500")).json()["accounts"]] == seen
    assert (await program.get("/api/v1/accounts?book=water")).json() == {"accounts": [], "next": None}
    assert (await program.get("/api/v1/accounts?customer_no=nobody")).json() == {"accounts": [], "next": None}


async def test_entries_are_filtered_and_paged(program: Program, charges: list[int]) -> None:
    await program.pay(PAYMENT | {"approve": True})
    await program.pay(PAYMENT | {"amount": "1.00", "value_date": "2026-11-24"})
    account = (await program.get("/api/v1/accounts?customer_no=4711")).json()["accounts"][0]["account"]
    base = f"/api/v1/accounts/{account}/entries"

    async def found(query: str = "") -> list[str]:
        return [entry["amount"] for entry in (await program.get(base + query)).json()["entries"]]

    assert await found() == ["100.00", "250.00", "100.00", "1.00"]
    assert await found("?side=credit") == ["100.00", "1.00"]
    assert await found("?state=draft") == ["1.00"]
    assert await found("?side=charge&until=2026-11-01") == ["100.00"]
    assert await found("?since=2026-11-20&until=2026-11-20") == ["100.00"]
    first = (await program.get(f"{base}?limit=3")).json()
    assert len(first["entries"]) == 3
    last = (await program.get(f"{base}?limit=3&after={first['next']}")).json()
    assert [entry["amount"] for entry in last["entries"]] == ["1.00"]
    assert last["next"] is None


async def test_an_entry_shows_what_it_pays(program: Program, charges: list[int]) -> None:
    paid = (await program.pay(PAYMENT | {"amount": "120.00", "approve": True})).json()
    assert [(part["entry"], part["amount"]) for part in paid["allocations"]] == [
        (charges[0], "100.00"),
        (charges[1], "20.00"),
    ]
    charge = (await program.get(f"/api/v1/entries/{charges[1]}")).json()
    assert (charge["side"], charge["amount"], charge["open"]) == ("charge", "250.00", "230.00")
    assert [part["entry"] for part in charge["allocations"]] == [paid["entry"]]


async def test_a_balance_is_read_as_of_any_day(program: Program, charges: list[int]) -> None:
    await program.pay(PAYMENT | {"approve": True})
    account = (await program.get("/api/v1/accounts?customer_no=4711")).json()["accounts"][0]["account"]

    async def on(day: str) -> str:
        return (await program.get(f"/api/v1/accounts/{account}/balance{day}")).json()["balance"]

    assert await on("?on=2026-10-11") == "0.00"
    assert await on("?on=2026-10-12") == "100.00"
    assert await on("?on=2026-11-19") == "100.00"
    assert await on("?on=2026-11-20") == "0.00"
    assert await on("") == await on("?on=2026-11-24") == "250.00"
    assert (await program.get(f"/api/v1/accounts/{account}/balance")).json() | {"account": 0} == {
        "account": 0,
        "on": "2026-11-24",
        "charged": "350.00",
        "credited": "100.00",
        "balance": "250.00",
        "currency": "PLN",
    }


async def test_an_overpaid_account_is_below_zero(program: Program, charges: list[int]) -> None:
    await program.pay(PAYMENT | {"amount": "1000.00", "approve": True})
    (account,) = (await program.get("/api/v1/accounts?customer_no=4711")).json()["accounts"]
    assert account["balance"] == "-650.00"


NOWHERE: list[Any] = [
    "/api/v1/accounts/999",
    "/api/v1/accounts/999/balance",
    "/api/v1/accounts/999/entries",
    "/api/v1/accounts/0",
    "/api/v1/accounts/99999999999999999999",
    "/api/v1/accounts/x",
    "/api/v1/entries/999",
]


async def test_what_is_not_there_is_404(program: Program) -> None:
    for path in NOWHERE:
        problem(await program.get(path), 404)


WRONG_QUESTIONS: list[Any] = [
    ("accounts?limit=501", "#/limit"),
    ("accounts?limit=0", "#/limit"),
    ("accounts?limit=ten", "#/limit"),
    ("accounts?after=nonsense", "#/after"),
    ("accounts?custmer_no=4711", "#/custmer_no"),
    ("accounts?customer_no=", "#/customer_no"),
    ("accounts?limit=", "#/limit"),
    ("accounts?book=a&book=b", "#/book"),
    ("accounts/1/entries?since=2026-13-01", "#/since"),
    ("accounts/1/entries?since=24.11.2026", "#/since"),
    ("accounts/1/entries?until=1900-01-01", "#/until"),
    ("accounts/1/entries?until=2200-01-01", "#/until"),
    ("accounts/1/entries?state=gone", "#/state"),
    ("accounts/1/entries?side=left", "#/side"),
    ("accounts/1/entries?after=-1", "#/after"),
    ("accounts/1/balance?on=yesterday", "#/on"),
    ("accounts/1/balance?on=1999-12-31", "#/on"),
]


async def test_a_wrong_question_is_told_where(program: Program, charges: list[int]) -> None:
    for query, pointer in WRONG_QUESTIONS:
        words = problem(await program.get(f"/api/v1/{query}"))
        assert words.get(pointer), (query, words)


async def test_a_question_takes_two_round_trips(program: Program, charges: list[int]) -> None:
    """Who asks, and the answer."""
    db = program.office.site.db
    for path in ("accounts", "accounts/1", "accounts/1/balance", "accounts/1/entries", f"entries/{charges[0]}"):
        await program.get(f"/api/v1/{path}")
        before = db.statements
        assert (await program.get(f"/api/v1/{path}")).status == 200
        assert db.statements - before == 2, path


# --- entering -------------------------------------------------------------------------------------------------------


async def test_a_payment_is_entered_as_a_draft_and_said_where_it_is(program: Program, charges: list[int]) -> None:
    answer = await program.pay(PAYMENT | {"paid_on": "2026-11-19", "document_no": "WB 118/7", "channel": "gateway"})
    assert answer.status == 201
    made = answer.json()
    assert answer.headers["Location"] == f"/api/v1/entries/{made['entry']}"
    assert made == (await program.get(answer.headers["Location"])).json()
    assert made["state"] == "draft"
    assert (made["amount"], made["value_date"], made["paid_on"]) == ("100.00", "2026-11-20", "2026-11-19")
    assert (made["channel"], made["document_no"], made["title"]) == ("gateway", "WB 118/7", "Czynsz")
    async with program.office.site.db.connection() as conn:
        event = await conn.fetchrow("select * from kernel.audit_log where verb = 'payments.entered'")
    assert event is not None
    assert event["role"] == "admin:token-1"


async def test_a_payment_is_approved_at_once_where_the_payer_wanted_it(program: Program, charges: list[int]) -> None:
    answer = await program.pay(PAYMENT | {"designations": [charges[1]], "approve": True})
    made = answer.json()
    assert (made["state"], made["open"], made["booked_on"]) == ("approved", "0.00", "2026-11-24")
    assert [(part["entry"], part["rule"]) for part in made["allocations"]] == [(charges[1], "designated")]
    assert made["designations"] == [charges[1]]


async def test_the_largest_amount_is_taken_and_the_next_one_is_not(program: Program, charges: list[int]) -> None:
    for amount, status in (("10000000000", 201), ("10000000000.00", 201), ("9999999999.99", 201), ("0.01", 201)):
        answer = await program.pay(PAYMENT | {"amount": amount})
        assert (answer.status, answer.json()["amount"]) == (status, f"{Decimal(amount):.2f}")
    assert "#/amount" in problem(await program.pay(PAYMENT | {"amount": "10000000000.01"}))


async def test_a_customer_without_an_account_gets_one(program: Program, site: Site) -> None:
    async with acting(site) as conn:
        await add_customer(conn, "9000")
    made = (await program.pay(PAYMENT | {"customer_no": "9000", "approve": True})).json()
    assert (await program.get(f"/api/v1/accounts/{made['account']}")).json()["balance"] == "-100.00"


async def test_a_draft_is_approved_once(program: Program, charges: list[int]) -> None:
    made = (await program.pay(PAYMENT)).json()
    path = f"/api/v1/entries/{made['entry']}/approval"
    answers = [await program.send("POST", path, data=body) for body in ('{"booked_on": "2026-11-23"}', "{}", None)]
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert {answer.json()["booked_on"] for answer in answers} == {"2026-11-23"}
    assert len({answer.json()["journal_no"] for answer in answers}) == 1
    problem(await program.send("POST", "/api/v1/entries/999/approval", data="{}"), 404)


async def test_what_was_voided_is_not_approved(program: Program, site: Site, charges: list[int]) -> None:
    made = (await program.pay(PAYMENT | {"approve": True})).json()
    async with acting(site, superadmin_mode=True) as conn:
        found = await store.entry(conn, made["entry"])
        assert found is not None
        await store.void(conn, found, "wpisane dwa razy")
    problem(await program.send("POST", f"/api/v1/entries/{made['entry']}/approval", data="{}"))


# --- once -----------------------------------------------------------------------------------------------------------


async def test_without_a_key_nothing_is_entered(program: Program, charges: list[int], site: Site) -> None:
    before = await count(site)
    for key in (None, " "):
        assert "Idempotency-Key" in problem(await program.pay(PAYMENT, key), 400)[""]
    problem(await program.pay(PAYMENT, "k" * 256), 400)
    assert await count(site) == before


async def test_fifty_at_once_enter_one(program: Program, charges: list[int], site: Site) -> None:
    before = await count(site)
    answers = await asyncio.gather(*(program.pay(PAYMENT | {"approve": True}, "wb-118/7") for _ in range(50)))
    assert Counter(answer.status for answer in answers) == {201: 50}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/json; charset=utf-8"}
    assert await count(site) == before + 1


async def test_fifty_different_ones_at_once_are_all_entered(program: Program, charges: list[int], site: Site) -> None:
    before = await count(site)
    answers = await asyncio.gather(*(program.pay(PAYMENT | {"amount": "1.00", "approve": True}) for _ in range(50)))
    assert Counter(answer.status for answer in answers) == {201: 50}
    assert await count(site) == before + 50
    (account,) = (await program.get("/api/v1/accounts?customer_no=4711")).json()["accounts"]
    assert account["balance"] == "300.00"


async def test_a_key_stands_for_its_content(program: Program, charges: list[int], site: Site) -> None:
    assert (await program.pay(PAYMENT, "one")).status == 201
    before = await count(site)
    assert "Idempotency-Key" in problem(await program.pay(PAYMENT | {"amount": "100.01"}, "one"), 409)[""]
    assert await count(site) == before


async def test_a_refused_payment_leaves_its_key_free(program: Program, charges: list[int]) -> None:
    problem(await program.pay(PAYMENT | {"amount": "0.00"}, "one"))
    assert (await program.pay(PAYMENT, "one")).status == 201


# --- refused --------------------------------------------------------------------------------------------------------


WRONG_PAYMENTS: list[Any] = [
    ({"amount": "0.00"}, "#/amount", "greater than zero"),
    ({"amount": "-5.00"}, "#/amount", "negative"),
    ({"amount": "1.001"}, "#/amount", "two decimal"),
    ({"amount": "10000000000.01"}, "#/amount", "10 000 000 000,00"),
    ({"amount": "99999999999999999999"}, "#/amount", ""),
    ({"amount": "1 234,56"}, "#/amount", "without spaces"),
    ({"amount": "12.5 zł"}, "#/amount", "without spaces"),
    ({"amount": "1e3"}, "#/amount", ""),
    ({"amount": "١٢"}, "#/amount", ""),
    ({"amount": 100.0}, "#/amount", "as text"),
    ({"amount": None}, "#/amount", "as text"),
    ({"currency": "EUR"}, "#/currency", "send PLN"),
    ({"currency": None}, "#/currency", "send PLN"),
    ({"value_date": "1900-01-01"}, "#/value_date", "between"),
    ({"value_date": "2200-01-01"}, "#/value_date", ""),
    ({"value_date": "1999-12-31"}, "#/value_date", "between"),
    ({"value_date": "2051-01-01"}, "#/value_date", "between"),
    ({"value_date": "2026-11-25"}, "#/value_date", "not come"),
    ({"value_date": "2026-02-30"}, "#/value_date", "no such day"),
    ({"value_date": "20.11.2026"}, "#/value_date", "year, month, day"),
    ({"value_date": 20261120}, "#/value_date", "year, month, day"),
    ({"paid_on": "2026-11-21"}, "#/paid_on", "paid before"),
    ({"paid_on": "2026-11-25"}, "#/paid_on", "not come"),
    ({"customer_no": "nobody"}, "#/customer_no", "no customer"),
    ({"customer_no": ""}, "#/customer_no", ""),
    ({"customer_no": None}, "#/account", "account or the customer"),
    ({"account": 1}, "#/customer_no", "not both"),
    ({"customer_no": None, "account": 999}, "#/account", "no such account"),
    ({"customer_no": None, "account": 2**63}, "#/account", ""),
    ({"customer_no": None, "account": "1"}, "#/account", ""),
    ({"customer_no": None, "account": 1, "book": "main"}, "#/book", "account has its book"),
    ({"book": "water"}, "#/book", "no account in this book"),
    ({"title": "x" * 201}, "#/title", "200"),
    ({"title": "a\x00b"}, "#/title", "cannot be stored"),
    ({"title": "a\nb"}, "#/title", "control character"),
    ({"title": "a\u202eb"}, "#/title", "control character"),
    ({"title": 7}, "#/title", ""),
    ({"document_no": "x" * 81}, "#/document_no", "80"),
    ({"channel": "pigeon"}, "#/channel", ""),
    ({"approve": "true"}, "#/approve", ""),
    ({"approve": 1}, "#/approve", ""),
    ({"booked_on": "2026-11-24"}, "#/booked_on", "together with approve"),
    ({"booked_on": "2026-11-25", "approve": True}, "#/booked_on", "not come"),
    ({"booked_on": "2026-11-19", "approve": True}, "#/booked_on", "before the day"),
    ({"designations": [999]}, "#/designations/0", "no approved charge"),
    ({"designations": [1, 1]}, "#/designations", "twice"),
    ({"designations": [1, 3]}, "#/designations/1", "no approved charge"),
    ({"designations": ["1"]}, "#/designations/0", ""),
    ({"designations": list(range(1, 102))}, "#/designations", "100"),
    ({"state": "approved"}, "#/state", "not known"),
    ({"approved_by": "7"}, "#/approved_by", "not known"),
]


async def test_a_wrong_payment_is_refused_with_the_reason_at_its_field(
    program: Program, charges: list[int], site: Site
) -> None:
    before = await count(site)
    for changed, pointer, said in WRONG_PAYMENTS:
        words = problem(await program.pay(PAYMENT | changed))
        assert said in words.get(pointer, "nothing"), (changed, words)
    assert await count(site) == before


async def test_every_wrong_field_is_named_at_once(program: Program) -> None:
    words = problem(await program.pay({"amount": "x", "value_date": "x", "channel": "x"}))
    assert {"#/amount", "#/value_date", "#/channel"} <= words.keys()


NO_PAYMENTS: list[Any] = [
    (b'{"title": "\\ud800"}', 422),
    (b'{"amount": NaN}', 400),
    (b'{"amount": 1e999}', 400),
    (b'{"a": 1, "a": 2}', 400),
    (b"{", 400),
    (b"\xff", 400),
    (b"[]", 422),
    (b"null", 422),
    (b'"text"', 422),
    (b"[" * 100 + b"]" * 100, 400),
    (b'{"title": "' + b"x" * 1_100_000 + b'"}', 413),
]


async def test_what_is_no_payment_at_all_is_refused(program: Program, charges: list[int], site: Site) -> None:
    before = await count(site)
    for body, status in NO_PAYMENTS:
        answer = await program.send("POST", "/api/v1/payments", data=body, headers={"Idempotency-Key": "x"})
        problem(answer, status)
    assert await count(site) == before


async def test_what_is_not_json_is_415(program: Program) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=cp1250"):
        headers = {"Idempotency-Key": "x", "Content-Type": kind}
        problem(await program.send("POST", "/api/v1/payments", data=b"amount=1", headers=headers), 415)


async def as_owner(site: Site, statement: str) -> None:
    """What only another part of the product may write."""
    owner = await migrate.connect(site.owner_dsn)
    try:
        await owner.execute(statement)
    finally:
        await owner.close()


async def test_a_closed_month_books_nothing(program: Program, charges: list[int], site: Site) -> None:
    await as_owner(site, "update payments.book set closed_through = '2026-10-31'")
    late = PAYMENT | {"value_date": "2026-10-20", "approve": True}
    before = await count(site)
    words = problem(await program.pay(late | {"booked_on": "2026-10-31"}))
    assert "closed" in words["#/booked_on"]
    assert await count(site) == before
    made = (await program.pay(late)).json()
    assert (made["booked_on"], made["value_date"]) == ("2026-11-24", "2026-10-20"), "booked in the open month"
    draft = (await program.pay(late | {"approve": False})).json()
    approval = f"/api/v1/entries/{draft['entry']}/approval"
    assert "closed" in problem(await program.send("POST", approval, data='{"booked_on": "2026-10-31"}'))["#/booked_on"]


async def test_closed_accounts_customers_and_foreign_books_take_no_payment(program: Program, site: Site) -> None:
    async with acting(site) as conn:
        await Book.opened(conn)
    for statement, said in (
        ("update payments.account set closed_on = '2026-11-30'", "account is closed"),
        ("update payments.account set closed_on = null; update payments.book set is_mirror = true", "import writes"),
        (
            "update payments.book set is_mirror = false; update kernel.customer set status = 'closed'",
            "Reopen the customer",
        ),
    ):
        await as_owner(site, statement)
        assert said in problem(await program.pay(PAYMENT))["#/customer_no"]


async def test_a_customer_with_two_accounts_in_a_book_does_not_say_which(program: Program, site: Site) -> None:
    async with acting(site) as conn:
        book = await Book.opened(conn)
        await people.add_service_point(conn, ServicePointData(customer=book.customer, code="L/7", kind="lokal"))
    await as_owner(
        site,
        "insert into payments.account (account_no, customer, book, service_point)"
        " select account_no || '/7', a.customer, a.book, p.id"
        " from payments.account a join kernel.service_point p on p.customer = a.customer",
    )
    assert "several accounts" in problem(await program.pay(PAYMENT))["#/customer_no"]
    assert (await program.pay({**PAYMENT, "customer_no": None, "account": book.account})).status == 201


async def test_whoever_enters_does_not_approve_where_two_people_must(
    program: Program, charges: list[int], site: Site
) -> None:
    rule = {"approver_differs": True}
    async with site.db.transaction(Stamp("test")) as conn:
        await conn.execute("insert into kernel.setting (plugin, value) values ('payments', $1)", rule)
    assert "Somebody else" in problem(await program.pay(PAYMENT | {"approve": True}))["#/approve"]


# --- who may --------------------------------------------------------------------------------------------------------


async def test_each_scope_opens_its_own(office: Office, program: Program, charges: list[int], site: Site) -> None:
    before = await count(site)
    for scopes, statuses in (
        ((), (403, 403, 403, 403)),
        (("payments.view",), (200, 403, 403, 403)),
        (("payments.enter",), (403, 201, 403, 403)),
        (("payments.approve",), (403, 403, 403, 200)),
        (("payments.enter", "payments.approve"), (403, 201, 201, 200)),
    ):
        await program.given(*scopes)
        answers = [
            await program.get("/api/v1/accounts"),
            await program.pay(PAYMENT),
            await program.pay(PAYMENT | {"approve": True}),
            await program.send("POST", f"/api/v1/entries/{charges[0]}/approval", data="{}"),
        ]
        assert tuple(answer.status for answer in answers) == statuses, scopes
        for answer in answers:
            if answer.status == 403:
                assert "payments." in problem(answer, 403)[""]
                assert "insufficient_scope" in answer.headers["WWW-Authenticate"]
    assert await count(site) == before + 3


async def test_a_customers_session_reads_the_own_balance_and_nothing_else(
    office: Office, program: Program, charges: list[int], site: Site
) -> None:
    async with site.db.connection() as conn:
        customer = await conn.fetchval("select id from kernel.customer where customer_no = '4711'")
    anna = await office.visitor(Role.CUSTOMER, customer)
    own = (await anna.get("/api/v1/balance")).json()
    assert (own["customer"], own["arrears"], own["to_pay"]) == (customer, "100.00", "100.00")
    for path in ("accounts", "accounts/1", "accounts/1/entries", "accounts/1/balance", f"entries/{charges[0]}"):
        assert (await anna.get(f"/api/v1/{path}")).status == 403
    for path in ("payments", f"entries/{charges[0]}/approval"):
        assert (await anna.send("POST", f"/api/v1/{path}", json=PAYMENT)).status == 403
    problem(await program.get("/api/v1/balance"), 403)


async def test_the_office_may_call_with_its_session_from_its_own_pages(
    office: Office, program: Program, charges: list[int]
) -> None:
    admin = await office.visitor(Role.ADMIN)
    headers = {"Idempotency-Key": "session-1"}
    assert (await admin.send("POST", "/api/v1/payments", json=PAYMENT, headers=headers)).status == 201
    foreign = headers | {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert (await admin.send("POST", "/api/v1/payments", json=PAYMENT, headers=foreign)).status == 403

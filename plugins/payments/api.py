"""The ledger over the API: accounts, entries and balances to read, payments to enter and approve.

Amounts are decimal strings in złoty («1234.56»), days are «2026-11-24», both within the bounds of the ledger. What is
refused says why and where: problem+json with a pointer to each wrong field.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Connection,
    Created,
    Line,
    Money,
    Refused,
    Request,
    Route,
    Row,
    Text,
    _,
    find_customer,
    forbidden,
    not_found,
    one_line,
    parse_date,
    service,
    url,
)
from plugins.payments import api_store, store
from plugins.payments.desk import store as desk
from plugins.payments.face import Ledger, Side
from plugins.payments.model import KINDS, RULES
from plugins.payments.store import REFUSALS, Draft

MOST_GROSZE: Final = 10**12
"""The largest amount of an entry."""
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2050, 12, 31)
"""Days that a program may name."""
LARGEST_ID: Final = 2**63 - 1

_PLAIN_AMOUNT: Final = r"((0|[1-9][0-9]{0,9})(\.[0-9]{1,2})?|10000000000(\.00?)?)"
_PLAIN_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_PLACE: Final = re.compile(r"([0-9]{1,18})\.(.{1,100})", re.DOTALL)


# --- values ---------------------------------------------------------------------------------------------------------


def _read_amount(value: object) -> Money:
    if not isinstance(value, str):
        raise ValueError(_('Send the amount as text, for example "1234.56"'))
    amount = Money.parse(value)
    if not amount:
        raise ValueError(_("The amount must be greater than zero"))
    if amount.grosze > MOST_GROSZE:
        raise ValueError(REFUSALS["entry_amount"])
    if not re.fullmatch(_PLAIN_AMOUNT, value):
        raise ValueError(_("Write the amount with a point and without spaces, for example 1234.56"))
    return amount


def _read_day(value: object) -> date:
    if not isinstance(value, str):
        raise ValueError(_("Write the day as year, month, day, for example 2026-11-24"))
    day = parse_date(value)
    if not re.fullmatch(_PLAIN_DAY, value):
        raise ValueError(_("Write the day as year, month, day, for example 2026-11-24"))
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(_("The day must lie between {first} and {last}", first=FIRST_DAY, last=LAST_DAY))
    return day


def _only_pln(value: object) -> object:
    if value != "PLN":
        raise ValueError(_("This ledger keeps only złoty: send PLN."))
    return value


def _each_once(values: list[int]) -> list[int]:
    if len(set(values)) != len(values):
        raise ValueError(_("A charge is named twice"))
    return values


_Amount = Annotated[
    Money,
    BeforeValidator(_read_amount),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{_PLAIN_AMOUNT}$",
            "description": "Złoty and grosze, above zero, at most 10000000000.00.",
            "x-maximum": "10000000000.00",
            "examples": ["1234.56"],
        }
    ),
]
_Zloty = Annotated[
    Money,
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^-?(0|[1-9][0-9]*)\.[0-9]{2}$",
            "description": "Złoty and grosze.",
            "examples": ["1234.56"],
        }
    ),
]
_Day = Annotated[
    date,
    BeforeValidator(_read_day),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date",
            "description": f"A day from {FIRST_DAY} to {LAST_DAY}.",
            "examples": ["2026-11-24"],
        }
    ),
]
_Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
_Number = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(one_line)
]
_DocumentNo = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80), AfterValidator(one_line)]
_Pln = Annotated[Literal["PLN"], BeforeValidator(_only_pln)]
_Kind = Annotated[str, WithJsonSchema({"type": "string", "enum": [*KINDS]})]
_Rule = Annotated[str, WithJsonSchema({"type": "string", "enum": [*RULES]})]
_State = Literal["draft", "approved", "voided"]
_Channel = Literal["transfer", "cash", "card", "post", "gateway", "direct_debit", "offset"]


class _Asked(BaseModel):
    """What an address may say; anything else is refused, so that no filter is lost by a slip of the pen."""

    model_config = ConfigDict(extra="forbid")


class _Sent(BaseModel):
    """What a program may send: exactly these fields, each of its own type."""

    model_config = ConfigDict(extra="forbid", strict=True)


# --- a customer's own balance ---------------------------------------------------------------------------------------


class Balance(BaseModel):
    """What the customer in view owes; amounts are decimal strings in złoty. See ``Position``."""

    customer: int
    on: date
    to_pay: _Zloty
    to_pay_by: date | None
    arrears: _Zloty
    credit: _Zloty
    balance: _Zloty
    currency: Literal["PLN"] = "PLN"


async def balance(request: Request) -> Balance:
    """What the customer in view has to pay today."""
    customer = request[ACTOR].customer
    position = await service(request, Ledger).position(request[CONN], customer, request[SITE].clock.today())
    return Balance(
        customer=customer,
        on=position.on,
        to_pay=position.to_pay,
        to_pay_by=position.to_pay_by,
        arrears=position.arrears,
        credit=position.credit,
        balance=position.balance,
    )


# --- accounts -------------------------------------------------------------------------------------------------------


class Account(BaseModel):
    """An account of a customer in a book. ``balance`` is what was charged less what was credited: above zero is owed,
    below zero is overpaid."""

    account: int
    account_no: str
    customer_no: str
    customer_name: str
    book: str
    service_point: str | None
    virtual_account: str | None
    opened_on: date
    closed_on: date | None
    charged: _Zloty
    credited: _Zloty
    balance: _Zloty
    currency: Literal["PLN"] = "PLN"
    oldest_open_due: date | None = Field(description="The earliest due date of what is still open.")


class Accounts(BaseModel):
    """A page of accounts; ``next`` is the ``after`` of the next one, null on the last."""

    accounts: list[Account]
    next: str | None


class AccountsQuery(_Asked):
    """Which accounts are asked for."""

    customer_no: str | None = Field(None, min_length=1, max_length=80, description="Only this customer's.")
    book: str | None = Field(None, min_length=1, max_length=41, description="Only those of the book with this code.")
    after: str | None = Field(None, min_length=1, max_length=120, description="The «next» of the page before.")
    limit: int = Field(50, ge=1, le=500)


async def accounts(request: Request, query: AccountsQuery) -> Accounts:
    """Accounts by book and account number, a page at a time."""
    rows = await api_store.accounts(
        request[CONN],
        customer_no=query.customer_no or "",
        book=query.book or "",
        after=_place(query.after),
        limit=query.limit + 1,
    )
    page = rows[: query.limit]
    more = f"{page[-1]['book_id']}.{page[-1]['account_no']}" if len(rows) > len(page) else None
    return Accounts(accounts=[_account(row) for row in page], next=more)


def _place(after: str | None) -> tuple[int, str]:
    if after is None:
        return 0, ""
    found = _PLACE.fullmatch(after)
    if found is None:
        raise Refused(_("This is not the “next” of a page."), field="after")
    return int(found[1]), found[2]


async def account(request: Request) -> Account:
    """One account with its present balance."""
    row = await api_store.account(request[CONN], _number(request, "account"))
    if row is None:
        raise not_found()
    return _account(row)


def _account(row: Row) -> Account:
    return Account(
        account=row["id"],
        account_no=row["account_no"],
        customer_no=row["customer_no"],
        customer_name=row["customer_name"],
        book=row["book"],
        service_point=row["service_point"],
        virtual_account=row["virtual_account"],
        opened_on=row["opened_on"],
        closed_on=row["closed_on"],
        charged=Money(row["charged"]),
        credited=Money(row["credited"]),
        balance=Money(row["balance"]),
        oldest_open_due=row["oldest_open_due"],
    )


class AccountBalance(BaseModel):
    """What an account stood at on a day: approved charges issued and credits received until then, as known now."""

    account: int
    on: date
    charged: _Zloty
    credited: _Zloty
    balance: _Zloty
    currency: Literal["PLN"] = "PLN"


class BalanceQuery(_Asked):
    """As of which day."""

    on: _Day | None = Field(None, description="As of this day; today when it is absent.")


async def account_balance(request: Request, query: BalanceQuery) -> AccountBalance:
    """An account's balance as of a day.

    Charges count from their day of issue, credits from their value date.
    """
    number, on = _number(request, "account"), query.on or _today(request)
    row = await api_store.balance(request[CONN], number, on)
    if row is None:
        raise not_found()
    charged, credited = Money(row["charged"]), Money(row["credited"])
    return AccountBalance(account=number, on=on, charged=charged, credited=credited, balance=charged - credited)


# --- entries --------------------------------------------------------------------------------------------------------


class Entry(BaseModel):
    """A charge or a credit. ``open`` is what no allocation has taken; a draft counts nowhere yet."""

    entry: int
    account: int
    customer_no: str
    side: Side
    kind: _Kind
    state: _State
    amount: _Zloty
    open: _Zloty
    currency: Literal["PLN"] = "PLN"
    issued_on: date | None
    due_on: date | None
    effective_due_on: date | None
    time_barred_on: date | None
    paid_on: date | None
    value_date: date | None
    booked_on: date | None
    period: str
    title: str
    document_no: str
    document_date: date | None
    channel: str
    journal_no: int | None
    designations: list[int] = Field(description="Charges that the payer named, in order.")
    bears_on: int | None = Field(description="The charge that interest or a cost belongs to.")
    reverses: int | None
    reversed_by: int | None
    corrects: int | None
    reason: str
    created_at: datetime
    approved_at: datetime | None
    voided_at: datetime | None
    void_reason: str | None


class Allocation(BaseModel):
    """How much of an entry met which other one (``entry``), and by which rule."""

    entry: int
    amount: _Zloty
    rule: _Rule
    created_at: datetime


class EntryInFull(Entry):
    """An entry with the allocations that stand (the last 500)."""

    allocations: list[Allocation]


class Entries(BaseModel):
    """A page of entries; ``next`` is the ``after`` of the next one, null on the last."""

    entries: list[Entry]
    next: int | None


class EntriesQuery(_Asked):
    """Which entries of an account are asked for. A day is that of issue of a charge, the value date of a credit."""

    since: _Day | None = None
    until: _Day | None = None
    state: _State | None = None
    side: Literal["charge", "credit"] | None = None
    after: int = Field(0, ge=0, le=LARGEST_ID, description="The «next» of the page before, or any entry's number.")
    limit: int = Field(50, ge=1, le=500)


async def account_entries(request: Request, query: EntriesQuery) -> Entries:
    """An account's entries in the order in which they were entered.

    Drafts and voided ones stand among them: see «state». To learn what came since the last time, ask for what is after
    the last number known.
    """
    rows = await api_store.entries(
        request[CONN],
        _number(request, "account"),
        after=query.after,
        state=query.state or "",
        side=query.side or "",
        since=query.since,
        until=query.until,
        limit=query.limit + 1,
    )
    if rows is None:
        raise not_found()
    page = rows[: query.limit]
    more = page[-1]["id"] if len(rows) > len(page) else None
    return Entries(entries=[Entry(**_facts(row)) for row in page], next=more)


async def entry(request: Request) -> EntryInFull:
    """One entry, with what it pays or what pays it."""
    return await _in_full(request[CONN], _number(request, "entry"))


async def _in_full(conn: Connection, number: int) -> EntryInFull:
    row = await api_store.entry(conn, number)
    if row is None:
        raise not_found()
    parts: Sequence[Mapping[str, Any]] = row["allocations"]
    return EntryInFull(
        **_facts(row),
        allocations=[
            Allocation(
                entry=part["entry"],
                amount=Money(part["amount"]),
                rule=part["rule"],
                created_at=datetime.fromisoformat(part["created_at"]),
            )
            for part in parts
        ],
    )


_SAME_NAMES: Final = tuple(name for name in Entry.model_fields if name not in ("entry", "account", "open", "currency"))


def _facts(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _SAME_NAMES},
        "entry": row["id"],
        "account": row["account_id"],
        "amount": Money(row["amount"]),
        "open": Money(row["open_amount"]),
    }


# --- entering and approving -----------------------------------------------------------------------------------------


class Payment(_Sent):
    """A payment to be entered: for an ``account``, or for a customer, who has one account in the ``book``.

    ``value_date`` is when the money reached the organisation, ``paid_on`` when the payer paid it. ``designations`` are
    charges of the same account that the payer named. With ``approve`` it counts at once, booked on ``booked_on``;
    otherwise it is a draft until the office approves it.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"customer_no": "4711", "amount": "512.40", "value_date": "2026-11-24", "title": "Czynsz 11/2026"},
                {"account": 12, "amount": "100.00", "value_date": "2026-11-24", "designations": [345], "approve": True},
            ]
        }
    )

    account: _Id | None = Field(None, description="The account, unless the customer is named.")
    customer_no: _Number | None = Field(None, description="The customer, unless the account is named.")
    book: str | None = Field(None, max_length=41, description="With customer_no: the code of the book; «main».")
    amount: _Amount
    currency: _Pln = "PLN"
    value_date: _Day
    paid_on: _Day | None = None
    title: Line = ""
    channel: _Channel = "transfer"
    document_no: _DocumentNo = ""
    designations: Annotated[list[_Id], AfterValidator(_each_once)] = Field(
        [], max_length=100, json_schema_extra={"uniqueItems": True}
    )
    approve: bool = Field(False, description="Approve it as well; needs the permission payments.approve.")
    booked_on: _Day | None = Field(None, description="With approve: the accounting day, in an open month; today.")


class Approval(_Sent):
    """How an entry is approved."""

    booked_on: _Day | None = Field(None, description="The accounting day, in an open month; today.")


async def add_payment(request: Request, payment: Payment) -> Created:
    """Enter a payment, and approve it if asked to.

    Send each payment under an Idempotency-Key of its own (a bank's reference, say): whatever happens on the way, the
    same key enters it once.
    """
    conn, today = request[CONN], _today(request)
    if payment.approve and not request[ACTOR].may("payments.approve"):
        raise forbidden(request, "payments.approve")
    wrong = dict(_wrong(payment, today))
    if wrong:
        raise Refused(errors=wrong)
    number, customer = await _payable(conn, payment, today)
    await _check_designations(conn, number, payment.designations)
    with _at_its_field():
        key = await store.enter(
            conn,
            customer,
            Draft(
                number,
                Side.CREDIT,
                "payment",
                payment.amount,
                value_date=payment.value_date,
                paid_on=payment.paid_on,
                title=payment.title,
                document_no=payment.document_no,
                channel=payment.channel,
                designations=tuple(payment.designations),
            ),
        )
        if payment.approve:
            await desk.approve(conn, [key], payment.booked_on or today)
    made = await _in_full(conn, key.entry)
    return Created(made, url(request, "payments.api_entry", entry=key.entry))


async def approve(request: Request, approval: Approval) -> EntryInFull:
    """Approve an entry. One that is approved already stays as it is."""
    conn, today = request[CONN], _today(request)
    found = await store.entry(conn, _number(request, "entry"))
    if found is None:
        raise not_found()
    if found.state == "voided":
        raise Refused(_("This entry is voided, so it cannot be approved."))
    if found.state == "draft":
        wrong = dict(_wrong_booking(approval.booked_on, found.counted_on, today))
        if wrong:
            raise Refused(errors=wrong)
        with _at_its_field():
            await desk.approve(conn, [found.key], approval.booked_on or today)
    return await _in_full(conn, found.id)


def _wrong(payment: Payment, today: date) -> Iterator[tuple[str, Text]]:
    """What does not fit together in itself."""
    if payment.account is None and payment.customer_no is None:
        yield "account", _("Name the account or the customer")
    if payment.account is not None and payment.customer_no is not None:
        yield "customer_no", _("Name the account or the customer, not both")
    if payment.book is not None and payment.customer_no is None:
        yield "book", _("A book goes with the customer's number; an account has its book")
    if payment.value_date > today:
        yield "value_date", _("This day has not come yet")
    if payment.paid_on is not None and payment.paid_on > today:
        yield "paid_on", _("This day has not come yet")
    elif payment.paid_on is not None and payment.paid_on > payment.value_date:
        yield "paid_on", _("Money is paid before it is received: check both days")
    if payment.booked_on is not None and not payment.approve:
        yield "booked_on", _("Only what is approved is booked: send it together with approve")
    else:
        yield from _wrong_booking(payment.booked_on, payment.value_date, today)


def _wrong_booking(booked_on: date | None, counted_on: date, today: date) -> Iterator[tuple[str, Text]]:
    if booked_on is not None and booked_on > today:
        yield "booked_on", _("This day has not come yet")
    elif booked_on is not None and booked_on < counted_on:
        yield "booked_on", _("Nothing is booked before the day it counts from: {day}", day=counted_on)


async def _payable(conn: Connection, payment: Payment, today: date) -> tuple[int, int]:
    """The account that a payment is for, with its customer, if it may go there. Raises Refused."""
    if payment.account is not None:
        field, row = "account", await api_store.payable(conn, payment.account)
        if row is None:
            raise Refused(_("There is no such account"), field="account")
    else:
        field, row = "customer_no", await _account_of_customer(conn, payment, today)
    if row["status"] == "closed":
        raise Refused(_("{name} is closed. Reopen the customer first.", name=row["name"]), field=field)
    if row["is_closed"]:
        raise Refused(REFUSALS["account_closed"], field=field)
    if row["is_mirror"]:
        raise Refused(REFUSALS["mirror_book"], field=field)
    return row["id"], row["customer"]


async def _account_of_customer(conn: Connection, payment: Payment, today: date) -> Row:
    customer_no, book = payment.customer_no or "", payment.book or "main"
    found = await api_store.payable_of_customer(conn, customer_no, book)
    if len(found) > 1:
        raise Refused(_("This customer has several accounts in this book: name the account"), field="customer_no")
    if found:
        return found[0]
    customer = await find_customer(conn, customer_no)
    if customer is None:
        raise Refused(_("There is no customer with this number"), field="customer_no")
    if book != "main":
        raise Refused(_("This customer has no account in this book"), field="book")
    if customer.status == "closed":
        raise Refused(_("{name} is closed. Reopen the customer first.", name=customer.name), field="customer_no")
    opened = await store.open_accounts(conn, [customer.id], today)
    row = await api_store.payable(conn, opened[customer.id])
    if row is None:
        raise LookupError("an account that was just opened")
    return row


async def _check_designations(conn: Connection, number: int, named: Sequence[int]) -> None:
    if not named:
        return
    debts = await api_store.debts(conn, number, named)
    wrong = {
        f"designations.{place}": _("This is no approved charge of this account")
        for place, charge in enumerate(named)
        if charge not in debts
    }
    if wrong:
        raise Refused(errors=wrong)


_FIELDS: Final = {"month_closed": "booked_on", "approver_is_creator": "approve", "entry_amount": "amount"}


@contextmanager
def _at_its_field() -> Generator[None]:
    """Say what the database refuses at the field that it is about, where there is one."""
    try:
        yield
    except Refused as refused:
        field = _FIELDS.get(getattr(refused.__cause__, "constraint_name", None) or "")
        if field is None or not refused.notes:
            raise
        raise Refused(refused.notes[0], field=field) from refused


def _number(request: Request, name: str) -> int:
    return int(request.match_info[name])


def _today(request: Request) -> date:
    return request[SITE].clock.today()


_ACCOUNT: Final = r"/api/v1/accounts/{account:\d+}"
_ENTRY: Final = r"/api/v1/entries/{entry:\d+}"

ROUTES: Final = (
    Route("GET", "/api/v1/balance", balance, "payments.own", "payments.api_balance", returns=Balance),
    Route(
        "GET",
        "/api/v1/accounts",
        accounts,
        "payments.view",
        "payments.api_accounts",
        query=AccountsQuery,
        returns=Accounts,
    ),
    Route("GET", _ACCOUNT, account, "payments.view", "payments.api_account", returns=Account),
    Route(
        "GET",
        f"{_ACCOUNT}/balance",
        account_balance,
        "payments.view",
        "payments.api_account_balance",
        query=BalanceQuery,
        returns=AccountBalance,
    ),
    Route(
        "GET",
        f"{_ACCOUNT}/entries",
        account_entries,
        "payments.view",
        "payments.api_account_entries",
        query=EntriesQuery,
        returns=Entries,
    ),
    Route("GET", _ENTRY, entry, "payments.view", "payments.api_entry", returns=EntryInFull),
    Route(
        "POST",
        "/api/v1/payments",
        add_payment,
        "payments.enter",
        "payments.api_add_payment",
        body=Payment,
        returns=EntryInFull,
        creates=True,
        key_required=True,
    ),
    Route(
        "POST",
        f"{_ENTRY}/approval",
        approve,
        "payments.approve",
        "payments.api_approve",
        body=Approval,
        returns=EntryInFull,
    ),
)

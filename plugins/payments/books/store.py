"""Books, whom they are paid to, and accounts in SQL. What changes them is a function of the database
(``migrations/0006_accounts.sql``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Final, LiteralString

from kernel import Connection, Row, Text, _, audit
from plugins.payments.books.model import BookRules
from plugins.payments.refusing import refusing

REFUSALS: Final[Mapping[str, Text]] = {
    "book_code_key": _("There is a book with this code already"),
    "book_rules_fixed": _(
        "The rules of this book are fixed since its first entry was approved. Open another book for other rules."
    ),
    "payee_unchanged": _("The book is paid to this account already."),
    "payee_account_wrong": _("This account number has a mistake: its digits do not fit together"),
    "payee_change_pending": _("Another change of this book waits already. Withdraw it first."),
    "payee_change_over": _("This change was carried out or withdrawn already."),
    "payee_change_confirmed": _("This change needs no confirmation any more."),
    "payee_change_own": _("Another superadministrator must confirm this change: whoever asked for it cannot."),
    "virtual_numbers_used_up": _("All account numbers under this prefix are given. Ask the bank for a shorter prefix."),
    "account_book_account_no_key": _("This book has an account with this number already"),
    "account_of_customer": _("The customer has this account already: one for each book and service point"),
    "account_of_closed_customer": _("This customer is closed. Reopen the customer first."),
    "account_of_foreign_point": _("This service point belongs to another customer"),
    "account_closed": _("This account is closed already."),
    "account_open": _("This account is open."),
    "account_has_balance": _("The account is not settled. Settle, transfer or refund its balance first."),
    "account_has_open": _("Something on this account is still open. Let a payment pay it, or reverse it, first."),
    "account_has_drafts": _("Entries of this account wait for approval. Approve or delete them first."),
    "account_has_provisional": _(
        "A payment to this account waits to be booked by the other system. Wait for it first."
    ),
    "account_deleted": _("This account is deleted. Open another one for the customer."),
}
"""What the database refuses (constraint names), in words."""
FIELDS: Final[Mapping[str, str]] = {
    "book_code_key": "code",
    "payee_unchanged": "account_no",
    "payee_account_wrong": "account_no",
    "account_book_account_no_key": "account_no",
    "account_of_customer": "book",
    "account_of_closed_customer": "customer_no",
    "account_of_foreign_point": "point",
}
"""The fields of forms that some of them concern."""

refusals: Final = partial(refusing, REFUSALS, FIELDS)


# --- books ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PayeeChange:
    """Another bank account or prefix of a book, asked for. ``alone``: there is nobody to confirm it.

    It counts from ``effective_at`` (UTC) once that is set, unless it is withdrawn.
    """

    id: int
    book: int
    book_code: str
    book_name: str
    account_no: str
    virtual_prefix: str
    account_no_before: str
    virtual_prefix_before: str
    alone: bool
    asked_by: str
    asked_by_id: str
    asked_at: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None
    effective_at: datetime | None
    withdrawn_by: str | None
    withdrawn_at: datetime | None
    applied_at: datetime | None

    @property
    def is_pending(self) -> bool:
        return self.withdrawn_at is None and self.applied_at is None

    @property
    def awaits_confirmation(self) -> bool:
        return self.is_pending and self.effective_at is None


@dataclass(frozen=True, slots=True)
class Book:
    """A book as the office keeps it. ``in_use``: something was approved in it, so its rules are fixed."""

    id: int
    code: str
    rules: BookRules
    payee_account: str
    virtual_prefix: str
    closed_through: date | None
    last_journal_no: int

    @property
    def in_use(self) -> bool:
        return self.last_journal_no > 0


BOOK_SQL: Final[LiteralString] = """
select id, code, name, ledger_role, allocation_policy, interest_first, prepay, interest_regime, contract_rate,
       limitation_years, storno, is_mirror, payee_name, payee_account, virtual_prefix, closed_through, last_journal_no
from payments.book
where id = $1
"""


async def book(conn: Connection, number: int) -> Book | None:
    """A book by its id, or None."""
    row = await conn.fetchrow(BOOK_SQL, number)
    return _book(row) if row else None


NAMES_SQL: Final[LiteralString] = "select id, code, name from payments.book order by id limit 200"


async def names(conn: Connection) -> Sequence[Row]:
    """The books by id, for a choice: at most two hundred."""
    return await conn.fetch(NAMES_SQL)


ADD_BOOK_SQL: Final[LiteralString] = "select payments.add_book($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
CHANGE_BOOK_SQL: Final[LiteralString] = "select payments.change_book($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"


async def add_book(conn: Connection, code: str, rules: BookRules) -> int:
    """Open a book, audited; its id. Raises Refused."""
    with refusals():
        made: int = await conn.fetchval(ADD_BOOK_SQL, code, *_facts(rules))
    await audit(conn, "payments.book_added", subject=f"book {made}", book=made, code=code, name=rules.name)
    return made


async def change_book(conn: Connection, before: Book, rules: BookRules) -> None:
    """Write what the office decides about a book, audited. Raises Refused for a rule that is fixed."""
    with refusals():
        await conn.execute(CHANGE_BOOK_SQL, before.id, *_facts(rules))
    changed = sorted(name for name in BookRules.__slots__ if getattr(before.rules, name) != getattr(rules, name))
    if changed:
        await audit(
            conn,
            "payments.book_changed",
            subject=f"book {before.id}",
            book=before.id,
            name=rules.name,
            fields=changed,
            before={name: str(getattr(before.rules, name)) for name in changed},
            after={name: str(getattr(rules, name)) for name in changed},
        )


def _facts(rules: BookRules) -> tuple[object, ...]:
    return tuple(getattr(rules, name) for name in BookRules.__slots__)


def _book(row: Row) -> Book:
    rules = BookRules(**{name: row[name] for name in BookRules.__slots__})
    return Book(
        id=row["id"],
        code=row["code"],
        rules=rules,
        payee_account=row["payee_account"],
        virtual_prefix=row["virtual_prefix"],
        closed_through=row["closed_through"],
        last_journal_no=row["last_journal_no"],
    )


# --- whom customers pay ---------------------------------------------------------------------------------------------

ASK_CHANGE_SQL: Final[LiteralString] = "select change, is_applied from payments.ask_payee_change($1, $2, $3, $4)"
CONFIRM_CHANGE_SQL: Final[LiteralString] = "select payments.confirm_payee_change($1, $2)"
WITHDRAW_CHANGE_SQL: Final[LiteralString] = "select payments.withdraw_payee_change($1, $2)"
APPLY_CHANGES_SQL: Final[LiteralString] = """
with applied as (
    select a.change, a.book, c.account_no, c.virtual_prefix, b.name
    from payments.apply_payee_changes($1) a
    join payments.payee_change c on c.id = a.change
    join payments.book b on b.id = a.book
), told as (
    insert into kernel.audit_log (verb, subject, facts)
    select 'payments.payee_changed', 'book ' || book,
           jsonb_build_object('book', book, 'name', name, 'change', change, 'account', account_no,
               'prefix', virtual_prefix)
    from applied
)
select change from applied
"""


async def ask_payee_change(
    conn: Connection, book: int, account_no: str, virtual_prefix: str, at: datetime
) -> tuple[int, bool]:
    """Ask for another bank account (26 digits or empty) or prefix of a book, audited; the change, and whether it counts
    at once because nothing was ever paid to the book. Raises Refused."""
    with refusals():
        row = await conn.fetchrow(ASK_CHANGE_SQL, book, account_no, virtual_prefix, at)
    assert row is not None  # noqa: S101  the function has one row
    await audit(
        conn,
        "payments.payee_change_asked" if not row["is_applied"] else "payments.payee_set",
        subject=f"book {book}",
        book=book,
        change=row["change"],
        account=account_no,
        prefix=virtual_prefix,
    )
    return row["change"], row["is_applied"]


FIRST_PAYEE_SQL: Final[LiteralString] = """
select b.id from payments.book b, payments.ask_payee_change(b.id, $1, '', $2)
where b.code = 'main' and b.payee_account = '' and b.virtual_prefix = '' and b.last_journal_no = 0
"""


async def set_first_payee(conn: Connection, account_no: str, at: datetime) -> None:
    """Set the bank account (26 digits) of the book «main» where an organisation begins, audited; else leave it."""
    book = await conn.fetchval(FIRST_PAYEE_SQL, account_no, at)
    if book is not None:
        await audit(conn, "payments.payee_set", subject=f"book {book}", book=book, account=account_no)


async def confirm_payee_change(conn: Connection, change: PayeeChange, at: datetime) -> datetime:
    """Confirm what somebody else asked for, audited; the instant from which it counts. Raises Refused."""
    with refusals():
        effective: datetime = await conn.fetchval(CONFIRM_CHANGE_SQL, change.id, at)
    await _told(conn, "payments.payee_change_confirmed", change)
    return effective


async def withdraw_payee_change(conn: Connection, change: PayeeChange, at: datetime) -> None:
    """Withdraw a change that has not been carried out, audited. Raises Refused."""
    with refusals():
        await conn.execute(WITHDRAW_CHANGE_SQL, change.id, at)
    await _told(conn, "payments.payee_change_withdrawn", change)


async def apply_payee_changes(conn: Connection, at: datetime) -> list[int]:
    """Carry out the changes whose time has come, each once however many ask, audited; which ones they were."""
    return [row["change"] for row in await conn.fetch(APPLY_CHANGES_SQL, at)]


async def _told(conn: Connection, verb: str, change: PayeeChange) -> None:
    await audit(
        conn,
        verb,
        subject=f"book {change.book}",
        book=change.book,
        change=change.id,
        account=change.account_no,
        prefix=change.virtual_prefix,
    )


CHANGE_SQL: Final[LiteralString] = """
select c.id, c.book, b.code as book_code, b.name as book_name, c.account_no, c.virtual_prefix, c.account_no_before,
       c.virtual_prefix_before, c.alone, coalesce(asker.name, c.asked_by) as asked_by, c.asked_by as asked_by_id,
       c.asked_at, coalesce(confirmer.name, c.confirmed_by) as confirmed_by, c.confirmed_at, c.effective_at,
       coalesce(withdrawer.name, c.withdrawn_by) as withdrawn_by, c.withdrawn_at, c.applied_at
from payments.payee_change c
join payments.book b on b.id = c.book
left join kernel.users asker on asker.id = case when c.asked_by ~ '^[0-9]{1,18}$' then c.asked_by::bigint end
left join kernel.users confirmer
  on confirmer.id = case when c.confirmed_by ~ '^[0-9]{1,18}$' then c.confirmed_by::bigint end
left join kernel.users withdrawer
  on withdrawer.id = case when c.withdrawn_by ~ '^[0-9]{1,18}$' then c.withdrawn_by::bigint end
where c.id = $1 or c.book = $2
order by c.id desc
limit 20
"""


async def payee_change(conn: Connection, change: int) -> PayeeChange | None:
    """A change by its id, or None."""
    row = await conn.fetchrow(CHANGE_SQL, change, None)
    return PayeeChange(**dict(row)) if row else None


async def payee_changes(conn: Connection, book: int) -> list[PayeeChange]:
    """The last twenty changes of a book, the newest first."""
    return [PayeeChange(**dict(row)) for row in await conn.fetch(CHANGE_SQL, None, book)]


# --- accounts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """An account with its customer and its kept balance in grosze."""

    id: int
    account_no: str
    customer: int
    customer_no: str
    customer_name: str
    book: int
    book_name: str
    point: str
    virtual_account: str | None
    opened_on: date
    closed_on: date | None
    balance: int


ACCOUNT_SQL: Final[LiteralString] = """
select a.id, a.account_no, a.customer, c.customer_no, c.name as customer_name, a.book, b.name as book_name,
       coalesce(p.code, '') as point, a.virtual_account, a.opened_on, a.closed_on, coalesce(k.balance, 0) as balance
from payments.account a
join kernel.customer c on c.id = a.customer
join payments.book b on b.id = a.book
left join kernel.service_point p on p.id = a.service_point
left join payments.account_balance k on k.account_id = a.id
where a.id = $1
"""


async def account(conn: Connection, number: int) -> Account | None:
    """An account by its id, or None."""
    row = await conn.fetchrow(ACCOUNT_SQL, number)
    return Account(**dict(row)) if row else None


OPENING_SQL: Final[LiteralString] = """
select c.id, c.name, c.customer_no, c.status,
       (select coalesce(jsonb_agg(jsonb_build_object('id', b.id, 'name', b.name) order by b.id), '[]')
        from (select id, name from payments.book order by id limit 200) b) as books,
       (select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'code', p.code, 'address', p.address)
            order by p.code), '[]')
        from (
            select s.id, s.code, concat_ws(', ', nullif(concat_ws(' ', nullif(s.street, ''), concat_ws('/',
                   nullif(s.building, ''), nullif(s.flat, ''))), ''), nullif(s.city, '')) as address
            from kernel.service_point s where s.customer = c.id order by s.code limit 200
        ) p) as points
from (select 1) always
left join kernel.customer c on c.customer_no = $1
"""


async def opening(conn: Connection, customer_no: str) -> Row:
    """What the form of a new account needs: the customer of this number (``id`` None: there is none) with service
    points, and the books."""
    row = await conn.fetchrow(OPENING_SQL, customer_no)
    assert row is not None  # noqa: S101  a left join of one row
    return row


OPEN_ACCOUNT_SQL: Final[LiteralString] = "select payments.open_account($1, $2, $3, $4, $5)"
CLOSE_ACCOUNT_SQL: Final[LiteralString] = "select payments.close_account($1, $2)"
REOPEN_ACCOUNT_SQL: Final[LiteralString] = "select payments.reopen_account($1)"


async def open_account(
    conn: Connection, customer: int, book: int, service_point: int | None, account_no: str, today: date
) -> int:
    """Open an account with its balance row and, where the book has a prefix, its own bank account number; audited.

    ``account_no`` is unique in the book. Raises Refused: another's service point, a closed customer, an account that is
    there already.
    """
    with refusals():
        opened: int = await conn.fetchval(OPEN_ACCOUNT_SQL, customer, book, service_point, account_no, today)
    await audit(
        conn,
        "payments.account_opened",
        customer=customer,
        subject=f"account {opened}",
        account=opened,
        account_no=account_no,
        book=book,
    )
    return opened


async def close_account(conn: Connection, closing: Account, today: date) -> None:
    """Close a settled account on which nothing waits, audited. Raises Refused."""
    with refusals():
        await conn.execute(CLOSE_ACCOUNT_SQL, closing.id, today)
    await _account_told(conn, "payments.account_closed", closing)


async def reopen_account(conn: Connection, closed: Account) -> None:
    """Open a closed account again, audited. Raises Refused."""
    with refusals():
        await conn.execute(REOPEN_ACCOUNT_SQL, closed.id)
    await _account_told(conn, "payments.account_reopened", closed)


async def _account_told(conn: Connection, verb: str, account: Account) -> None:
    await audit(
        conn,
        verb,
        customer=account.customer,
        subject=f"account {account.id}",
        account=account.id,
        account_no=account.account_no,
    )


# --- proofs ---------------------------------------------------------------------------------------------------------

WRONG_NUMBERS_SQL: Final[LiteralString] = """
select a.id, coalesce(a.virtual_account, v.number) as virtual_account
from payments.account a
full join payments.virtual_number v on v.account_id = a.id and v.retired_at is null
where (a.id is not null or v.account_id is not null)
  and (a.virtual_account is distinct from v.number
       or payments.nrb(substr(a.virtual_account, 3)) <> a.virtual_account)
order by a.id
limit $1
"""


async def wrong_numbers(conn: Connection, limit: int) -> Sequence[Row]:
    """Accounts whose own bank account number is wrong or not the last that they were given."""
    return await conn.fetch(WRONG_NUMBERS_SQL, limit)

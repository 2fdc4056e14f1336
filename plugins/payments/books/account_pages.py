"""The office's pages of accounts: the list, opening one for a customer, closing and opening again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints

from kernel import (
    CONN,
    FORM,
    SITE,
    Badge,
    Column,
    Filter,
    Listing,
    ListQuery,
    Refused,
    Request,
    Route,
    Row,
    Text,
    _,
    listed,
    not_found,
    one_line,
    redirect,
)
from plugins.payments.books import store
from plugins.payments.books.pages import grouped

# --- the list -------------------------------------------------------------------------------------------------------

# What is in arrears is a subselect of its own: it is asked for the rows of a page, not for every account.
_SELECT: Final[LiteralString] = """
select a.id, a.account_no, a.customer, c.customer_no, c.name, a.book, b.name as book_name, b.code as book_code,
       coalesce(p.code, '') as point, a.virtual_account, k.oldest_open_due, k.balance,
       nullif(greatest(k.balance, 0), 0) as owed, nullif(greatest(-k.balance, 0), 0) as overpaid,
       case when k.oldest_open_due < $1 then (
           select sum(e.open_amount)::bigint from payments.entry e
           where e.account_id = a.id and e.side = 'charge' and e.open_amount > 0 and e.effective_due_on < $1
       ) end as arrears,
       case when a.deleted_at is not null then 'deleted' when a.closed_on is not null then 'closed'
            when k.oldest_open_due < $1 then 'arrears'
            when k.balance > 0 then 'owing' when k.balance < 0 then 'overpaid' else 'settled' end as standing
from payments.account a
join payments.account_balance k on k.account_id = a.id
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
left join kernel.service_point p on p.id = a.service_point"""

_STANDINGS: Final = {
    "arrears": Badge(_("in arrears"), "due"),
    "owing": Badge(_("to pay"), "notice"),
    "overpaid": Badge(_("in credit"), "credit"),
    "settled": Badge(_("settled")),
    "closed": Badge(_("closed account")),
    "deleted": Badge(_("deleted account")),
}


def _virtual(row: Row) -> str:
    return grouped(row["virtual_account"] or "")


ACCOUNTS: Final = Listing(
    "payments.accounts",
    _SELECT,
    (
        Column("account_no", _("Account"), sort="account_no", link="payments.account", by={"account": "id"}),
        Column("name", _("Customer"), sort='kernel.pl_sort(name) collate "C"'),
        Column("book_name", _("Book")),
        Column("point", _("Service point")),
        Column("standing", _("State"), "badge", badges=_STANDINGS),
        Column("owed", _("Balance to pay"), "money", sort="balance", total=True),
        Column("overpaid", _("Overpaid"), "money", sort="-balance", total=True),
        Column("arrears", _("Past due"), "money", total=True),
        Column("oldest_open_due", _("Oldest due date"), "date", sort="coalesce(oldest_open_due, 'infinity')"),
        Column("customer_no", _("Customer no.")),
        Column("virtual_account", _("Own bank account"), show=_virtual),
    ),
    order="account_no",
    filters=(
        Filter("book", _("Book (code)"), "book_code = {0}"),
        Filter("customer", _("Customer no."), "customer_no = {0}"),
        Filter(
            "standing",
            _("State"),
            "standing = {0}",
            options=tuple((name, badge.label) for name, badge in _STANDINGS.items()),
        ),
    ),
    title_of="account_no",
    customer="customer",
)


class AccountsQuery(ListQuery):
    """What the list's address may say."""

    book: str = ""
    customer: str = ""
    standing: Literal["", "arrears", "owing", "overpaid", "settled", "closed", "deleted"] = ""


async def accounts(request: Request, query: AccountsQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Accounts with their kept balances, as they stand today."""
    return await listed(request, ACCOUNTS, query, args=(request[SITE].clock.today(),))


# --- opening --------------------------------------------------------------------------------------------------------


def _none_if_empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


_Id = Annotated[int, Field(gt=0, lt=2**63)]
_Number = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80), AfterValidator(one_line)]


class OpeningQuery(BaseModel):
    """For whom an account is opened, when a customer's page leads here."""

    customer: str = ""


class OpeningForm(BaseModel):
    """A new account. An empty ``account_no`` is the customer's number, with the service point's code behind it."""

    customer_no: Annotated[_Number, StringConstraints(min_length=1)]
    book: _Id
    point: Annotated[_Id | None, BeforeValidator(_none_if_empty)] = None
    account_no: _Number = ""


async def new(request: Request, query: OpeningQuery) -> Mapping[str, Any]:
    """The form of a new account: first whose it is, then in which book and for which service point."""
    customer_no = request[FORM].values.get("customer_no", query.customer)
    found = await store.opening(request[CONN], customer_no)
    return {
        "customer_no": customer_no,
        "customer": found if found["id"] is not None else None,
        "books": [(book["id"], book["name"]) for book in found["books"]],
        "points": [(one["id"], ", ".join(filter(None, (one["code"], one["address"])))) for one in found["points"]],
    }


async def add(request: Request, form: OpeningForm) -> web.Response:
    """Open an account for a customer."""
    conn = request[CONN]
    found = await store.opening(conn, form.customer_no)
    wrong: dict[str, Text] = {}
    if found["id"] is None:
        raise Refused(_("There is no customer with this number"), field="customer_no")
    points = {one["id"]: one["code"] for one in found["points"]}
    if form.book not in {book["id"] for book in found["books"]}:
        wrong["book"] = _("There is no such book")
    if form.point is not None and form.point not in points:
        wrong["point"] = store.REFUSALS["account_of_foreign_point"]
    if wrong:
        raise Refused(errors=wrong)
    suffix = f"/{points[form.point]}" if form.point is not None and points[form.point] else ""
    opened = await store.open_account(
        conn,
        found["id"],
        form.book,
        form.point,
        form.account_no or f"{form.customer_no}{suffix}",
        request[SITE].clock.today(),
    )
    return redirect(request, "payments.account", account=opened, flash=_("The account is open."))


# --- closing --------------------------------------------------------------------------------------------------------


async def ask_close(request: Request) -> Mapping[str, Any]:
    """Asks whether an account shall be closed, and says what stands against it."""
    found = await _found(request)
    return {"account": found}


async def close(request: Request) -> web.Response:
    """Close a settled account."""
    found = await _found(request)
    await store.close_account(request[CONN], found, request[SITE].clock.today())
    return redirect(request, "payments.account", account=found.id, flash=_("The account is closed."))


async def ask_reopen(request: Request) -> Mapping[str, Any]:
    """Asks whether a closed account shall be opened again."""
    found = await _found(request)
    return {"account": found}


async def reopen(request: Request) -> web.Response:
    """Open a closed account again."""
    found = await _found(request)
    await store.reopen_account(request[CONN], found)
    return redirect(request, "payments.account", account=found.id, flash=_("The account is open again."))


async def _found(request: Request) -> store.Account:
    found = await store.account(request[CONN], int(request.match_info["account"]))
    if found is None:
        raise not_found()
    return found


_MANAGE, _ONE = "payments.accounts", r"/admin/accounts/{account:\d+}"

ROUTES: Final = (
    Route(
        "GET",
        "/admin/accounts",
        accounts,
        "payments.view",
        "payments.accounts",
        query=AccountsQuery,
        template="payments/books/accounts.html",
    ),
    Route(
        "GET",
        "/admin/accounts/add",
        new,
        _MANAGE,
        "payments.books_account_new",
        query=OpeningQuery,
        template="payments/books/account_new.html",
    ),
    Route("POST", "/admin/accounts/add", add, _MANAGE, "payments.books_account_add", body=OpeningForm),
    Route(
        "GET",
        f"{_ONE}/close",
        ask_close,
        _MANAGE,
        "payments.books_account_ask_close",
        template="payments/books/account_close.html",
    ),
    Route("POST", f"{_ONE}/close", close, _MANAGE, "payments.books_account_close"),
    Route(
        "GET",
        f"{_ONE}/reopen",
        ask_reopen,
        _MANAGE,
        "payments.books_account_ask_reopen",
        template="payments/books/account_reopen.html",
    ),
    Route("POST", f"{_ONE}/reopen", reopen, _MANAGE, "payments.books_account_reopen"),
)

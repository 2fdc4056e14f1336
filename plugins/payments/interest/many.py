"""Pages of issuing many notes at once: the terms, what would be noted, and the issuing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import BaseModel, Field

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
    Listing,
    ListQuery,
    Money,
    PolishDate,
    PositiveMoney,
    Refused,
    Request,
    Route,
    Text,
    _,
    audit,
    listed,
    not_found,
    redirect,
)
from plugins.payments.interest import issuing, jobs
from plugins.payments.interest.pages import PAY_DAYS

STATES: Final[Mapping[str, Badge]] = {
    "counting": Badge(_("being counted"), "notice"),
    "ready": Badge(_("ready to issue"), "notice"),
    "issuing": Badge(_("being issued"), "notice"),
    "issued": Badge(_("issued"), "credit"),
}
WHOSE: Final[Mapping[str, Text]] = {"": _("everybody"), "person": _("persons"), "company": _("companies")}
WORTH: Final = Money(1000)
"""Interest below this is hardly worth its letter: what the form suggests."""

LARGEST: Final = 10**12
"""Grosze: what an amount of the ledger may be."""

_SELECT: Final[LiteralString] = """
select i.id, i.as_of, i.state, i.created_at, i.accounts, b.name as book
from payments.interest_issuing i join payments.book b on b.id = i.book"""

ISSUINGS: Final = Listing(
    "payments.interest_issuings",
    _SELECT,
    (
        Column("id", _("No."), "number", sort="id", link="payments.interest_issuing", by={"issuing": "id"}),
        Column("created_at", _("Begun"), "moment"),
        Column("book", _("Book")),
        Column("as_of", _("Interest up to"), "date"),
        Column("accounts", _("Accounts"), "number"),
        Column("state", _("State"), "badge", badges=STATES),
    ),
    order="-id",
    filters=(
        Filter(
            "state", _("State"), "state = {0}", options=tuple((name, state.label) for name, state in STATES.items())
        ),
    ),
)

_ACCOUNTS_SELECT: Final[LiteralString] = """
select x.account_id as id, x.account_id as account, x.charges, x.amount, coalesce(n.total, 0)::bigint as noted,
       n.id as note, coalesce(n.note_no, '') as note_no, a.account_no, c.customer_no, c.name
from payments.interest_issuing_account x
join payments.account a on a.id = x.account_id
join kernel.customer c on c.id = a.customer
left join payments.interest_note n on n.account_id = x.account_id and n.id = x.note
where x.issuing = $1"""

ACCOUNTS: Final = Listing(
    "payments.interest_issuing_accounts",
    _ACCOUNTS_SELECT,
    (
        Column("account_no", _("Account"), sort="id", link="payments.interest_of_account", by={"account": "account"}),
        Column("customer_no", _("Customer no.")),
        Column("name", _("Customer")),
        Column("charges", _("Charges"), "number"),
        Column("amount", _("Interest"), "money", sort="amount", total=True),
        Column("note_no", _("Interest note")),
        Column("noted", _("Noted"), "money", total=True),
    ),
    order="account_no",
    filters=(
        Filter("customer", _("Customer no."), "customer_no = {0}"),
        Filter("least", _("Interest of at least"), "amount >= {0}"),
    ),
    title_of="name",
)


class IssuingsQuery(ListQuery):
    """What the address of the list of issuings may say."""

    state: Literal["", "counting", "ready", "issuing", "issued"] = ""


class AccountsQuery(ListQuery):
    """What the address of one issuing may say."""

    customer: str = ""
    least: Money | None = None


async def issuings(request: Request, query: IssuingsQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Issuings, the newest first."""
    return await listed(request, ISSUINGS, query, extra={"section": "issuing"})


async def new(request: Request) -> Mapping[str, Any]:
    """The form of a new issuing."""
    return {
        "section": "issuing",
        "books": await issuing.books(request[CONN]),
        "whose": tuple(WHOSE.items()),
        "pay_days": PAY_DAYS,
        "worth": WORTH,
    }


class TermsForm(BaseModel):
    """For whom notes are issued, and how."""

    book: Annotated[int, Field(ge=1, le=2**62)]
    as_of: PolishDate
    at_least: PositiveMoney
    pay_days: Annotated[int, Field(ge=0, le=365)] = PAY_DAYS
    customer_kind: Literal["", "person", "company"] = ""


async def begin(request: Request, form: TermsForm) -> web.Response:
    """Keep the terms and have the interest counted."""
    conn = request[CONN]
    if form.as_of > request[SITE].clock.today():
        raise Refused(_("This day has not come yet"), field="as_of")
    if form.book not in [book for book, _name in await issuing.books(conn)]:
        raise Refused(_("Choose a book that bears interest."), field="book")
    if form.at_least.grosze > LARGEST:
        raise Refused(_("This amount is too large"), field="at_least")
    number = await issuing.begin(
        conn, issuing.Terms(form.book, form.as_of, form.pay_days, form.at_least, form.customer_kind)
    )
    await jobs.start(conn, jobs.COUNT, number, request[ACTOR].user)
    return redirect(request, "payments.interest_issuing", issuing=number)


async def show(request: Request, query: AccountsQuery) -> Mapping[str, Any] | web.StreamResponse:
    """An issuing: how far it has come, its sums, and its accounts."""
    found = await _found(request)
    extra = {
        "section": "issuing",
        "issuing": found,
        "state": STATES[found.state],
        "whose": WHOSE[found.terms.customer_kind],
        "may_discard": found.state == "ready" and not found.noted,
    }
    return await listed(request, ACCOUNTS, query, args=[found.id], extra=extra)


async def issue(request: Request) -> web.Response:
    """Have the notes issued."""
    found = await _found(request)
    conn = request[CONN]
    if not await issuing.move(conn, found.id, "ready", "issuing"):
        raise Refused(_("These notes are being counted or issued already."))
    await audit(
        conn,
        "payments.interest_issuing",
        subject=f"issuing {found.id}",
        count=found.found - found.noted,
        amount=found.amount,
        as_of=found.terms.as_of,
    )
    await jobs.start(conn, jobs.ISSUE, found.id, request[ACTOR].user)
    return redirect(request, "payments.interest_issuing", issuing=found.id)


async def discard(request: Request) -> web.Response:
    """Forget an issuing of which nothing was issued."""
    found = await _found(request)
    if not await issuing.discard(request[CONN], found.id):
        raise Refused(_("Notes of this issuing exist already, so it stays."))
    return redirect(request, "payments.interest_issuings", flash=_("The issuing is discarded."))


async def _found(request: Request) -> issuing.Issuing:
    found = await issuing.issuing(request[CONN], int(request.match_info["issuing"]))
    if found is None:
        raise not_found()
    return found


ROUTES: Final = (
    Route(
        "GET",
        "/admin/interest/issuings",
        issuings,
        "payments.approve",
        "payments.interest_issuings",
        query=IssuingsQuery,
        template="payments/interest/issuings.html",
    ),
    Route(
        "GET",
        "/admin/interest/issuings/new",
        new,
        "payments.approve",
        "payments.interest_new_issuing",
        template="payments/interest/issuing_new.html",
    ),
    Route(
        "POST",
        "/admin/interest/issuings/new",
        begin,
        "payments.approve",
        "payments.interest_begin_issuing",
        body=TermsForm,
    ),
    Route(
        "GET",
        r"/admin/interest/issuings/{issuing:\d+}",
        show,
        "payments.approve",
        "payments.interest_issuing",
        query=AccountsQuery,
        template="payments/interest/issuing.html",
    ),
    Route(
        "POST",
        r"/admin/interest/issuings/{issuing:\d+}",
        issue,
        "payments.approve",
        "payments.interest_issue",
    ),
    Route(
        "POST",
        r"/admin/interest/issuings/{issuing:\d+}/discard",
        discard,
        "payments.approve",
        "payments.interest_discard_issuing",
    ),
)

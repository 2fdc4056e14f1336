"""Pages that open a figure into what makes it: for the customer, and for the office with a view of the past."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, LiteralString

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Column,
    Filter,
    Listing,
    ListQuery,
    Pdf,
    PolishDate,
    Request,
    Route,
    Row,
    Text,
    _,
    documents,
    listed,
    not_found,
    organisation,
)
from plugins.payments.accrual.store import regimes_of
from plugins.payments.charging import store as charging
from plugins.payments.explain import model, store
from plugins.payments.explain.documents import Letterhead, statement_pdf
from plugins.payments.explain.model import Standing, Statement, Told
from plugins.payments.explain.store import Whose
from plugins.payments.face import Side
from plugins.payments.model import KINDS, STATUSES

STATEMENT_MONTHS: Final = 12
"""How far back a statement goes that nobody gave a first day."""

# --- what an address says -------------------------------------------------------------------------------------------


_Account = Annotated[int | None, Field(ge=1, lt=2**63)]


class OwnQuery(BaseModel):
    """Which of the customer's accounts is looked at; all of them together by default."""

    account: _Account = None


class WhyQuery(OwnQuery):
    """``open``: the year or the month that is unfolded."""

    open: Annotated[str, StringConstraints(pattern=r"^((19|20|21)[0-9]{2}(-(0[1-9]|1[0-2]))?)?$")] = ""

    @property
    def month(self) -> date | None:
        """The first day of the unfolded month."""
        return date.fromisoformat(f"{self.open}-01") if len(self.open) == len("2026-11") else None


class DayQuery(OwnQuery):
    """As of which day; today by default."""

    on: PolishDate | None = None


class PeriodQuery(OwnQuery):
    """The first and the last day of a statement."""

    since: PolishDate | None = Field(None, alias="from")
    until: PolishDate | None = Field(None, alias="to")


class MomentQuery(BaseModel):
    """As of which day, and as known at the end of which day, or of which minute of it."""

    on: PolishDate | None = None
    known: PolishDate | None = None
    at: Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$")] = ""


class KnownPeriodQuery(PeriodQuery):
    """A statement as it was known on a day."""

    known: PolishDate | None = None
    at: Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$")] = ""


def _instant(request: Request, known: date | None, at: str) -> datetime | None:
    """The last instant of a day or of a minute of it, in the organisation's time; None for what is known by now."""
    clock = request[SITE].clock
    if known is None:
        return None
    hours, minutes = (int(part) for part in at.split(":")) if at else (23, 59)
    local = datetime(known.year, known.month, known.day, hours, minutes, 59, 999999, tzinfo=clock.zone)
    return None if local >= clock.now() else local


# --- the customer's own ---------------------------------------------------------------------------------------------


async def why(request: Request, query: WhyQuery) -> Mapping[str, Any]:
    """Where the customer's amount to pay and balance come from."""
    own = f"account={query.account}&" if query.account else ""
    found = await _why(request, Whose(request[ACTOR].customer, query.account), query)
    return {**found, "link": _OWN, "more": f"{request.path}?{own}open="}


_OWN: Final = "payments.explain_own_entry"
_OFFICE: Final = "payments.explain_entry"


async def _why(request: Request, whose: Whose, query: WhyQuery) -> dict[str, Any]:
    today = _today(request)
    standing = await store.standing(request[CONN], whose, today)
    history = await store.history(request[CONN], whose, month=query.month)
    return {
        "to_pay": model.to_pay(standing),
        "balance_now": model.balance_now(standing),
        "balance": model.balance(history, query.open),
        "ageing": standing.ageing,
        "picture": model.picture(history, today),
        "months": model.MONTHS,
        "words": model.balance_words,
        "standing": standing,
        "accounts": standing.accounts,
        "account": whose.account,
        "opened": query.open,
        "known_on": request[SITE].clock.now(),
        "on": today,
    }


async def own_entry(request: Request) -> Mapping[str, Any]:
    """One entry of the customer: what is left of a charge, where a payment went."""
    told = await _told(request)
    if told.customer != request[ACTOR].customer or told.state == "draft":
        raise not_found()
    return {**await _entry(request, told), "link": _OWN}


async def _told(request: Request) -> Told:
    told = await store.told(request[CONN], int(request.match_info["entry"]))
    if told is None:
        raise not_found()
    return told


async def _entry(request: Request, told: Told) -> dict[str, Any]:
    is_charge = told.side is Side.CHARGE and told.state == "approved"
    lines = await charging.lines_of(request[CONN], told.account, told.entry) if is_charge else ()
    return {
        "told": told,
        "explanation": model.entry(told, lines),
        "kinds": KINDS,
        "rule_words": model.rule_words,
        "known_on": request[SITE].clock.now(),
        "on": _today(request),
    }


async def past(request: Request, query: DayQuery) -> Mapping[str, Any]:
    """The customer's account as of a day gone by."""
    whose, today = Whose(request[ACTOR].customer, query.account), _today(request)
    on = min(query.on or today, today)
    return {
        **await _moment(request, whose, on, None),
        "link": _OWN,
        "account": query.account,
        "is_ahead": query.on is not None and query.on > today,
    }


async def _moment(request: Request, whose: Whose, on: date, known_on: datetime | None) -> dict[str, Any]:
    """What every page about one moment shows."""
    conn, site = request[CONN], request[SITE]
    standing = await store.standing_as_of(conn, whose, on, known_on)
    borne = await store.interest_as_of(conn, whose, on, known_on, foreign=regimes_of(site))
    return {
        "standing": standing,
        "position": standing.position,
        "accounts": standing.accounts,
        "on": on,
        "known_on": known_on or site.clock.now(),
        "balance_now": model.balance_now(standing),
        "words": model.balance_words,
        "ageing": standing.ageing,
        "interest": model.interest(borne, on),
        "kinds": KINDS,
        "statuses": STATUSES,
    }


async def statement(request: Request, query: PeriodQuery) -> Mapping[str, Any]:
    """The customer's statement for a period, on screen."""
    whose = Whose(request[ACTOR].customer, query.account)
    return {**await _statement(request, whose, query, None), "link": _OWN}


async def own_statement_pdf(request: Request, query: PeriodQuery) -> Pdf:
    """The same on paper."""
    customer = request[ACTOR].customer
    grant = next(grant for grant in request[ACTOR].grants if grant.customer == customer)
    return await _statement_pdf(request, Whose(customer, query.account), query, None, grant.customer_no, grant.name)


async def _statement(request: Request, whose: Whose, query: PeriodQuery, known_on: datetime | None) -> dict[str, Any]:
    since, until = _period(request, query)
    found = await store.statement(request[CONN], whose, since, until, known_on)
    return {
        "statement": found,
        "account": whose.account,
        "periods": _periods(_today(request)),
        "kinds": KINDS,
        "known_on": known_on or request[SITE].clock.now(),
        "asked": {**_asked_period(found), **({"account": query.account} if query.account else {})},
    }


def _asked_period(found: Statement) -> dict[str, str]:
    return {"from": found.since.isoformat(), "to": found.until.isoformat()}


async def _statement_pdf(
    request: Request, whose: Whose, query: PeriodQuery, known_on: datetime | None, customer_no: str, name: str
) -> Pdf:
    since, until = _period(request, query)
    found = await store.statement(request[CONN], whose, since, until, known_on)
    site = request[SITE]
    own = organisation(site)
    made = (known_on or site.clock.now()).astimezone(site.clock.zone)
    head = Letterhead(own.name, tuple(line for line in (own.street, own.city) if line), name, customer_no, made)
    content = await documents.render(statement_pdf, found, head)
    return Pdf(content, f"wyciag-{customer_no}-{since.isoformat()}-{until.isoformat()}.pdf")


def _period(request: Request, query: PeriodQuery) -> tuple[date, date]:
    """The first and last day: the last twelve months by default; turned round where they were mixed up."""
    until = query.until or _today(request)
    since = query.since or _months_back(until, STATEMENT_MONTHS)
    return min(since, until), max(since, until)


def _months_back(day: date, months: int) -> date:
    """The first day of the month that lies so many months before."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def _periods(today: date) -> list[tuple[Text, date, date]]:
    """Periods that people ask for."""
    first = today.replace(day=1)
    return [
        (_("this month"), first, today),
        (_("last month"), _months_back(today, 1), first - timedelta(days=1)),
        (_("this year"), date(today.year, 1, 1), today),
        (_("last year"), date(today.year - 1, 1, 1), date(today.year - 1, 12, 31)),
    ]


# --- the office -----------------------------------------------------------------------------------------------------


async def _account(request: Request) -> tuple[Row, Whose]:
    number = int(request.match_info["account"])
    row = await store.account(request[CONN], number)
    if row is None:
        raise not_found()
    return row, Whose(row["customer"], number)


async def account_why(request: Request, query: WhyQuery) -> Mapping[str, Any]:
    """Where an account's amount to pay and balance come from."""
    number = int(request.match_info["account"])
    found = await _why(request, Whose(None, number), query)
    return {**found, **_owned(found["standing"], number), "link": _OFFICE, "more": f"{request.path}?open="}


async def entry_why(request: Request) -> Mapping[str, Any]:
    """One entry, explained to the office."""
    return {**await _entry(request, await _told(request)), "link": _OFFICE}


async def account_history(request: Request, query: MomentQuery) -> Mapping[str, Any]:
    """An account as of a day, as known on an instant."""
    number, today = int(request.match_info["account"]), _today(request)
    on = query.on or today
    found = await _moment(request, Whose(None, number), on, _instant(request, query.known, query.at))
    known = {"known": query.known.isoformat()} if query.known else {}
    return {
        **found,
        **_owned(found["standing"], number),
        "account": number,
        "link": _OFFICE,
        "query": query,
        "entries_asked": {"on": on.isoformat(), **known},
        "is_ahead": on > today,
    }


def _owned(standing: Standing, account: int) -> dict[str, object]:
    """Whose account this is. Raises HTTPNotFound without such an account."""
    own = next((one for one in standing.accounts if one.account == account), None)
    if own is None:
        raise not_found()
    return {"owner": standing.owner, "own": own}


async def account_statement(request: Request, query: KnownPeriodQuery) -> Mapping[str, Any]:
    """An account's statement for a period, on screen."""
    row, whose = await _account(request)
    known_on = _instant(request, query.known, query.at)
    found = await _statement(request, whose, query, known_on)
    if query.known:
        found["asked"] |= {"known": query.known.isoformat(), "at": query.at}
    return {**found, "owner": row, "query": query, "link": _OFFICE}


async def account_statement_pdf(request: Request, query: KnownPeriodQuery) -> Pdf:
    """The same on paper."""
    row, whose = await _account(request)
    known_on = _instant(request, query.known, query.at)
    return await _statement_pdf(request, whose, query, known_on, row["customer_no"], row["customer_name"])


_ENTRIES_SELECT: Final[LiteralString] = """
select e.id, e.account_id, e.counted_on, e.side, e.kind, e.title, e.approved_at, e.voided_at,
       case e.side when 'charge' then e.amount end as charged, case e.side when 'credit' then e.amount end as credited,
       $2::text as zone
from payments.entry e
where e.account_id = $1 and e.state <> 'draft'"""


def _kind(row: Row) -> Text:
    return KINDS[row["kind"]]


ENTRIES: Final = Listing(
    "payments.explain_entries",
    _ENTRIES_SELECT,
    (
        Column("id", _("No."), "number", sort="id", link="payments.explain_entry", by={"entry": "id"}),
        Column("counted_on", _("Date"), "date", sort="counted_on"),
        Column("approved_at", _("Known since"), "moment", sort="approved_at"),
        Column("kind", _("Kind"), show=_kind),
        Column("title", _("Title")),
        Column("charged", _("Charged"), "money", total=True),
        Column("credited", _("Paid"), "money", total=True),
        Column("voided_at", _("Voided on"), "moment"),
    ),
    order="-counted_on",
    filters=(
        Filter("on", _("As of"), "counted_on <= {0}::date", kind="date"),
        Filter(
            "known",
            _("As known on"),
            "approved_at < ({0}::date + 1)::timestamp at time zone zone"
            " and (voided_at is null or voided_at >= ({0}::date + 1)::timestamp at time zone zone)",
            kind="date",
        ),
    ),
    title_of="title",
)
"""An account's entries; with both days, what counted on the one as it was known at the end of the other."""


class EntriesQuery(ListQuery):
    """What the list's address may say."""

    on: PolishDate | None = None
    known: PolishDate | None = None


async def account_entries(request: Request, query: EntriesQuery) -> Mapping[str, Any] | web.StreamResponse:
    """An account's entries as of a day, as known on a day."""
    row, whose = await _account(request)
    args = (whose.account, str(request[SITE].clock.zone))
    return await listed(request, ENTRIES, query, args=args, extra={"owner": row, "account": whose.account})


def _today(request: Request) -> date:
    return request[SITE].clock.today()


_ONE: Final = r"/admin/accounts/{account:\d+}"

ROUTES: Final = (
    Route(
        "GET",
        "/balance/why",
        why,
        "payments.own",
        "payments.explain_why",
        query=WhyQuery,
        template="payments/explain/why.html",
    ),
    Route(
        "GET",
        r"/balance/entries/{entry:\d+}",
        own_entry,
        "payments.own",
        "payments.explain_own_entry",
        template="payments/explain/entry.html",
    ),
    Route(
        "GET",
        "/balance/past",
        past,
        "payments.own",
        "payments.explain_past",
        query=DayQuery,
        template="payments/explain/past.html",
    ),
    Route(
        "GET",
        "/balance/statement",
        statement,
        "payments.own",
        "payments.explain_statement",
        query=PeriodQuery,
        template="payments/explain/statement.html",
    ),
    Route(
        "GET",
        "/balance/statement.pdf",
        own_statement_pdf,
        "payments.own",
        "payments.explain_statement_pdf",
        query=PeriodQuery,
    ),
    Route(
        "GET",
        f"{_ONE}/why",
        account_why,
        "payments.view",
        "payments.explain_account",
        query=WhyQuery,
        template="payments/explain/account_why.html",
    ),
    Route(
        "GET",
        r"/admin/entries/{entry:\d+}/why",
        entry_why,
        "payments.view",
        "payments.explain_entry",
        template="payments/explain/entry_why.html",
    ),
    Route(
        "GET",
        f"{_ONE}/history",
        account_history,
        "payments.view",
        "payments.explain_history",
        query=MomentQuery,
        template="payments/explain/history.html",
    ),
    Route(
        "GET",
        f"{_ONE}/history/entries",
        account_entries,
        "payments.view",
        "payments.explain_entries",
        query=EntriesQuery,
        template="payments/explain/entries.html",
    ),
    Route(
        "GET",
        f"{_ONE}/statement",
        account_statement,
        "payments.view",
        "payments.explain_account_statement",
        query=KnownPeriodQuery,
        template="payments/explain/account_statement.html",
    ),
    Route(
        "GET",
        f"{_ONE}/statement.pdf",
        account_statement_pdf,
        "payments.view",
        "payments.explain_account_statement_pdf",
        query=KnownPeriodQuery,
    ),
)

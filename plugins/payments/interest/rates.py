"""Pages of what interest is computed with: dated rates, the smallest interest charged, and holidays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

from kernel import (
    CONN,
    SITE,
    Column,
    Connection,
    Filter,
    Line,
    Listing,
    ListQuery,
    Money,
    PolishDate,
    Refused,
    Request,
    Route,
    Row,
    Text,
    _,
    audit,
    listed,
    not_found,
    parse_quantity,
    redirect,
)
from plugins.payments.accrual import store
from plugins.payments.accrual.model import PUBLIC, REGIMES, STATUTORY_DELAY, RateTable, plain_percent
from plugins.payments.interest import words
from plugins.payments.interest.picture import rate_picture

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)
"""Days that the tables hold."""
RATE_OF_ROW, MINIMUM_OF_ROW = {"rate": "id"}, {"minimum": "id"}
LARGEST_MINIMUM: Final = 1_000_000
"""Grosze."""


def _percent(value: object) -> Decimal:
    percent = parse_quantity(value.replace("%", "").strip() if isinstance(value, str) else value)
    if percent > 100 or percent != round(percent, 4):
        raise PydanticCustomError("percent", "Write percent a year, at most 100 and with at most four decimals")
    return percent


def _kept_day(day: date) -> date:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise PydanticCustomError("dated_range", "The year must be between 2000 and 2100")
    return day


def _small(amount: Money) -> Money:
    if amount.grosze > LARGEST_MINIMUM:
        raise PydanticCustomError("minimum_too_large", "This is too much to leave uncharged")
    return amount


Percent = Annotated[Decimal, BeforeValidator(_percent)]
KeptDay = Annotated[PolishDate, AfterValidator(_kept_day)]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,40}$")]
Source = Annotated[Line, StringConstraints(min_length=3, max_length=300)]
Action = Literal["save", "remove"]


def kinds_of(request: Request) -> dict[str, Text]:
    """Kinds of rates that any regime reads, with what they are called: bundled ones first."""
    foreign = store.regimes_of(request[SITE])
    kinds: dict[str, Text] = {}
    for regime in (*REGIMES.values(), *foreign.values()):
        if regime.rates_kind is not None:
            kinds.setdefault(regime.rates_kind, regime.label)
    return kinds


# --- rates ----------------------------------------------------------------------------------------------------------

_RATES_SELECT: Final[LiteralString] = """
select r.id, r.kind, r.valid_from, r.percent, r.source from payments.interest_rate r where r.kind = $1"""


def _shown_percent(row: Row) -> str:
    return words.percent(row["percent"])


RATES: Final = Listing(
    "payments.interest_rates",
    _RATES_SELECT,
    (
        Column(
            "valid_from", _("From day"), "date", sort="valid_from", link="payments.interest_rate", by={"rate": "id"}
        ),
        Column("percent", _("Rate a year"), "number", sort="percent", show=_shown_percent),
        Column("source", _("Source")),
    ),
    order="-valid_from",
    filters=(
        Filter("since", _("Day from"), "valid_from >= {0}", kind="date"),
        Filter("until", _("Day to"), "valid_from <= {0}", kind="date"),
    ),
)


class RatesQuery(ListQuery):
    """What the address of the rates may say."""

    kind: Kind = STATUTORY_DELAY.name
    since: PolishDate | None = None
    until: PolishDate | None = None


async def rates(request: Request, query: RatesQuery) -> Mapping[str, Any] | web.StreamResponse:
    """The rates of a kind, the newest first, with their picture."""
    today, kinds = request[SITE].clock.today(), kinds_of(request)
    if query.kind not in kinds:
        raise not_found()
    known = await store.rates_in_use(request[CONN])
    table = known.tables.get(query.kind, RateTable(query.kind, ()))
    stale = store.stale(known, today, store.regimes_of(request[SITE]))
    return await listed(
        request,
        RATES,
        query,
        args=[query.kind],
        extra={
            "section": "rates",
            "kind": query.kind,
            "kinds": kinds,
            "stale": [(kinds[kind], day) for kind, day in stale.items() if kind in kinds],
            "is_stale": query.kind in stale,
            "picture": rate_picture(table.rates, today),
            "rates": table.rates,
            "minimums": table.minimums,
            "percent": words.percent,
            "now_plain": plain_percent(table.rates[-1].percent).replace(".", ",") if table.rates else "",
        },
    )


class RateForm(BaseModel):
    """A rate of a kind from a day on."""

    kind: Kind
    valid_from: KeptDay
    percent: Percent
    source: Source


ADD_RATE_SQL: Final[LiteralString] = """
insert into payments.interest_rate (kind, valid_from, percent, source) values ($1, $2, $3, $4)
on conflict (kind, valid_from) do nothing returning id
"""


async def add_rate(request: Request, form: RateForm) -> web.Response:
    """Keep a new rate; the same percent as before confirms that nothing changed."""
    conn = request[CONN]
    if form.kind not in kinds_of(request):
        raise not_found()
    if await conn.fetchval(ADD_RATE_SQL, form.kind, form.valid_from, form.percent, form.source) is None:
        raise Refused(_("There is a row of this day already. Change that one."), field="valid_from")
    await _audit_rate(conn, form.kind, form.valid_from, None, form.percent)
    flash = _("The rate counts from {day}", day=form.valid_from)
    return redirect(request, "payments.interest_rates", query={"kind": form.kind}, flash=flash)


RATE_SQL: Final[LiteralString] = """
select r.id, r.kind, r.valid_from, r.percent, r.source, exists (
    select from payments.interest_note_line l
    join payments.interest_note n on n.account_id = l.account_id and n.id = l.note
    join payments.book b on b.id = n.book
    join unnest($2::text[], $3::text[]) known (regime, kind) on known.regime = b.interest_regime and known.kind = r.kind
    where l.last_day >= r.valid_from
      and l.first_day < coalesce((select min(later.valid_from) from payments.interest_rate later
          where later.kind = r.kind and later.valid_from > r.valid_from), 'infinity')
) as is_used
from payments.interest_rate r where r.id = $1
"""
CHANGE_RATE_SQL: Final[LiteralString] = """
update payments.interest_rate set percent = $2, source = $3 where id = $1
"""
REMOVE_RATE_SQL: Final[LiteralString] = "delete from payments.interest_rate where id = $1"


async def rate(request: Request) -> Mapping[str, Any]:
    """The form of one rate."""
    found = await _rate(request)
    kinds = kinds_of(request)
    return {
        "section": "rates",
        "rate": found,
        "label": kinds.get(found["kind"], found["kind"]),
        "plain": plain_percent(found["percent"]).replace(".", ","),
    }


class RateChange(BaseModel):
    """A rate written anew or taken away; ``anyway`` says that issued notes used it and that this is known."""

    percent: Percent
    source: Source
    anyway: bool = False
    action: Action = "save"


async def change_rate(request: Request, form: RateChange) -> web.Response:
    """Change or remove a rate. One that an issued note used asks for a word first; the note keeps its derivation."""
    found, conn = await _rate(request), request[CONN]
    if found["is_used"] and not form.anyway and (form.action == "remove" or form.percent != found["percent"]):
        raise Refused(_("Issued notes used this rate. Confirm that you want to change it."), field="anyway")
    if form.action == "remove":
        await conn.execute(REMOVE_RATE_SQL, found["id"])
        await _audit_rate(conn, found["kind"], found["valid_from"], found["percent"], None)
    else:
        await conn.execute(CHANGE_RATE_SQL, found["id"], form.percent, form.source)
        await _audit_rate(conn, found["kind"], found["valid_from"], found["percent"], form.percent)
    flash = _("The rate is removed.") if form.action == "remove" else _("Saved")
    return redirect(request, "payments.interest_rates", query={"kind": found["kind"]}, flash=flash)


async def _rate(request: Request) -> Row:
    regimes = {**store.regimes_of(request[SITE]), **REGIMES}
    names, kinds = list(regimes), [regime.rates_kind for regime in regimes.values()]
    found = await request[CONN].fetchrow(RATE_SQL, int(request.match_info["rate"]), names, kinds)
    if found is None:
        raise not_found()
    return found


async def _audit_rate(conn: Connection, kind: str, day: date, before: Decimal | None, after: Decimal | None) -> None:
    await audit(
        conn,
        "payments.rate_changed",
        subject=f"rate {kind} {day.isoformat()}",
        kind=kind,
        day=day,
        before=words.percent(before) if before is not None else "—",
        after=words.percent(after) if after is not None else "—",
    )


# --- the smallest interest that is charged --------------------------------------------------------------------------

_MINIMUMS_SELECT: Final[LiteralString] = """
select m.id, m.kind, m.valid_from, m.amount, m.source from payments.interest_minimum m where m.kind = $1"""

MINIMUMS: Final = Listing(
    "payments.interest_minimums",
    _MINIMUMS_SELECT,
    (
        Column(
            "valid_from",
            _("From day"),
            "date",
            sort="valid_from",
            link="payments.interest_minimum",
            by={"minimum": "id"},
        ),
        Column("amount", _("Not charged up to"), "money", sort="amount"),
        Column("source", _("Source")),
    ),
    order="-valid_from",
)


class MinimumsQuery(ListQuery):
    """What the address of the smallest interest may say."""

    kind: Kind = PUBLIC.name


async def minimums(request: Request, query: MinimumsQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Amounts that interest of a kind must exceed, the newest first."""
    kinds = kinds_of(request)
    if query.kind not in kinds:
        raise not_found()
    extra = {"section": "rates", "kind": query.kind, "label": kinds[query.kind]}
    return await listed(request, MINIMUMS, query, args=[query.kind], extra=extra)


class MinimumForm(BaseModel):
    """From a day on, interest up to ``amount`` is not charged."""

    kind: Kind
    valid_from: KeptDay
    amount: Annotated[Money, AfterValidator(_small)]
    source: Source


ADD_MINIMUM_SQL: Final[LiteralString] = """
insert into payments.interest_minimum (kind, valid_from, amount, source) values ($1, $2, $3, $4)
on conflict (kind, valid_from) do nothing returning id
"""


async def add_minimum(request: Request, form: MinimumForm) -> web.Response:
    """Keep a new smallest interest."""
    conn = request[CONN]
    if form.kind not in kinds_of(request):
        raise not_found()
    if await conn.fetchval(ADD_MINIMUM_SQL, form.kind, form.valid_from, form.amount.grosze, form.source) is None:
        raise Refused(_("There is a row of this day already. Change that one."), field="valid_from")
    await _audit_minimum(conn, form.kind, form.valid_from, None, form.amount)
    return redirect(request, "payments.interest_minimums", query={"kind": form.kind}, flash=_("Saved"))


MINIMUM_SQL: Final[LiteralString] = """
select m.id, m.kind, m.valid_from, m.amount, m.source from payments.interest_minimum m where m.id = $1
"""
CHANGE_MINIMUM_SQL: Final[LiteralString] = """
update payments.interest_minimum set amount = $2, source = $3 where id = $1
"""
REMOVE_MINIMUM_SQL: Final[LiteralString] = "delete from payments.interest_minimum where id = $1"


async def minimum(request: Request) -> Mapping[str, Any]:
    """The form of one smallest interest."""
    found, kinds = await _minimum(request), kinds_of(request)
    return {"section": "rates", "minimum": found, "label": kinds.get(found["kind"], found["kind"])}


class MinimumChange(BaseModel):
    """A smallest interest written anew or taken away."""

    amount: Annotated[Money, AfterValidator(_small)]
    source: Source
    action: Action = "save"


async def change_minimum(request: Request, form: MinimumChange) -> web.Response:
    """Change or remove a smallest interest; issued notes keep what they were computed with."""
    found, conn = await _minimum(request), request[CONN]
    after = None if form.action == "remove" else form.amount
    if after is None:
        await conn.execute(REMOVE_MINIMUM_SQL, found["id"])
    else:
        await conn.execute(CHANGE_MINIMUM_SQL, found["id"], after.grosze, form.source)
    await _audit_minimum(conn, found["kind"], found["valid_from"], Money(found["amount"]), after)
    return redirect(request, "payments.interest_minimums", query={"kind": found["kind"]}, flash=_("Saved"))


async def _minimum(request: Request) -> Row:
    found = await request[CONN].fetchrow(MINIMUM_SQL, int(request.match_info["minimum"]))
    if found is None:
        raise not_found()
    return found


async def _audit_minimum(conn: Connection, kind: str, day: date, before: Money | None, after: Money | None) -> None:
    await audit(
        conn,
        "payments.minimum_changed",
        subject=f"minimum {kind} {day.isoformat()}",
        kind=kind,
        day=day,
        before=before or "—",
        after=after or "—",
    )


ROUTES: Final = (
    Route(
        "GET",
        "/admin/interest/rates",
        rates,
        "payments.rates",
        "payments.interest_rates",
        query=RatesQuery,
        template="payments/interest/rates.html",
    ),
    Route("POST", "/admin/interest/rates", add_rate, "payments.rates", "payments.interest_add_rate", body=RateForm),
    Route(
        "GET",
        r"/admin/interest/rates/{rate:\d+}",
        rate,
        "payments.rates",
        "payments.interest_rate",
        template="payments/interest/rate.html",
    ),
    Route(
        "POST",
        r"/admin/interest/rates/{rate:\d+}",
        change_rate,
        "payments.rates",
        "payments.interest_change_rate",
        body=RateChange,
    ),
    Route(
        "GET",
        "/admin/interest/minimums",
        minimums,
        "payments.rates",
        "payments.interest_minimums",
        query=MinimumsQuery,
        template="payments/interest/minimums.html",
    ),
    Route(
        "POST",
        "/admin/interest/minimums",
        add_minimum,
        "payments.rates",
        "payments.interest_add_minimum",
        body=MinimumForm,
    ),
    Route(
        "GET",
        r"/admin/interest/minimums/{minimum:\d+}",
        minimum,
        "payments.rates",
        "payments.interest_minimum",
        template="payments/interest/minimum.html",
    ),
    Route(
        "POST",
        r"/admin/interest/minimums/{minimum:\d+}",
        change_minimum,
        "payments.rates",
        "payments.interest_change_minimum",
        body=MinimumChange,
    ),
)

"""Pages of holidays: days that a due date moves off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import AfterValidator, BaseModel, StringConstraints
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
    redirect,
)

FIRST_YEAR, LAST_YEAR = 1990, 2100


def _kept_day(day: date) -> date:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise PydanticCustomError("holiday_range", "The year must be between 1990 and 2100")
    return day


_SELECT: Final[LiteralString] = """
select extract(year from h.day)::integer * 10000 + extract(month from h.day)::integer * 100
           + extract(day from h.day)::integer as id,
       h.day, h.name, extract(isodow from h.day)::integer as weekday, extract(year from h.day)::integer as year
from payments.holiday h"""

WEEKDAYS: Final[Sequence[Text]] = (
    _("Monday"),
    _("Tuesday"),
    _("Wednesday"),
    _("Thursday"),
    _("Friday"),
    _("Saturday"),
    _("Sunday"),
)


def _weekday(row: Row) -> Text:
    weekday: int = row["weekday"]
    return WEEKDAYS[weekday - 1]


HOLIDAYS: Final = Listing(
    "payments.interest_holidays",
    _SELECT,
    (
        Column("day", _("Day"), "date", sort="day", link="payments.interest_holiday", by={"holiday": "id"}),
        Column("weekday", _("Weekday"), show=_weekday),
        Column("name", _("Name"), sort='name collate "C"'),
    ),
    order="day",
    filters=(
        Filter("since", _("Day from"), "day >= {0}", kind="date"),
        Filter("until", _("Day to"), "day <= {0}", kind="date"),
        Filter("name", _("Name"), "kernel.pl_sort(name) like '%' || kernel.pl_sort({0}::text) || '%'"),
    ),
)


class HolidaysQuery(ListQuery):
    """What the address of the holidays may say; from this year on, unless told otherwise."""

    since: PolishDate | None = None
    until: PolishDate | None = None
    name: str = ""


class HolidayForm(BaseModel):
    """A day that is free from work."""

    day: Annotated[PolishDate, AfterValidator(_kept_day)]
    name: Annotated[Line, StringConstraints(min_length=2, max_length=80)]


class HolidayChange(BaseModel):
    """A holiday renamed or taken away."""

    name: Annotated[Line, StringConstraints(min_length=2, max_length=80)]
    action: Literal["save", "remove"] = "save"


async def holidays(request: Request, query: HolidaysQuery) -> Mapping[str, Any] | web.StreamResponse:
    """Holidays by day, from this year on where nothing else is asked."""
    if not request.query:
        query.since = request[SITE].clock.today().replace(month=1, day=1)
    return await listed(request, HOLIDAYS, query, extra={"section": "holidays"})


ADD_SQL: Final[LiteralString] = """
insert into payments.holiday (day, name) values ($1, $2) on conflict (day) do nothing returning day
"""
ONE_SQL: Final[LiteralString] = "select h.day, h.name from payments.holiday h where h.day = $1"
RENAME_SQL: Final[LiteralString] = "update payments.holiday set name = $2 where day = $1"
REMOVE_SQL: Final[LiteralString] = "delete from payments.holiday where day = $1"


async def add(request: Request, form: HolidayForm) -> web.Response:
    """Keep a holiday. Due dates of approved charges stay; those approved from now on move off it."""
    conn = request[CONN]
    if await conn.fetchval(ADD_SQL, form.day, form.name) is None:
        raise Refused(_("This day is a holiday already."), field="day")
    await _audit(conn, form.day, "—", form.name)
    return redirect(request, "payments.interest_holidays", flash=_("{day} is a holiday now", day=form.day))


async def holiday(request: Request) -> Mapping[str, Any]:
    """The form of one holiday."""
    return {"section": "holidays", "holiday": await _holiday(request)}


async def change(request: Request, form: HolidayChange) -> web.Response:
    """Rename or remove a holiday."""
    found, conn = await _holiday(request), request[CONN]
    if form.action == "remove" and (found["day"].month, found["day"].day) == (1, 1):
        # The first of January says that the holidays of its year are known.
        raise Refused(_("New Year's Day stays: by it the product knows that the year's holidays were entered."))
    if form.action == "remove":
        await conn.execute(REMOVE_SQL, found["day"])
    else:
        await conn.execute(RENAME_SQL, found["day"], form.name)
    await _audit(conn, found["day"], found["name"], "—" if form.action == "remove" else form.name)
    flash = _("{day} is no holiday any more", day=found["day"]) if form.action == "remove" else _("Saved")
    return redirect(request, "payments.interest_holidays", flash=flash)


async def _holiday(request: Request) -> Row:
    number = int(request.match_info["holiday"])
    try:
        day = date(number // 10000, number // 100 % 100, number % 100)
    except (ValueError, OverflowError):
        raise not_found() from None
    found = await request[CONN].fetchrow(ONE_SQL, day)
    if found is None:
        raise not_found()
    return found


async def _audit(conn: Connection, day: date, before: str, after: str) -> None:
    await audit(
        conn, "payments.holiday_changed", subject=f"holiday {day.isoformat()}", day=day, before=before, after=after
    )


ROUTES: Final = (
    Route(
        "GET",
        "/admin/interest/holidays",
        holidays,
        "payments.rates",
        "payments.interest_holidays",
        query=HolidaysQuery,
        template="payments/interest/holidays.html",
    ),
    Route("POST", "/admin/interest/holidays", add, "payments.rates", "payments.interest_add_holiday", body=HolidayForm),
    Route(
        "GET",
        r"/admin/interest/holidays/{holiday:\d+}",
        holiday,
        "payments.rates",
        "payments.interest_holiday",
        template="payments/interest/holiday.html",
    ),
    Route(
        "POST",
        r"/admin/interest/holidays/{holiday:\d+}",
        change,
        "payments.rates",
        "payments.interest_change_holiday",
        body=HolidayChange,
    ),
)

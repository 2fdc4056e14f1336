"""Who has premises in which days, and what may be written about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from kernel import Line, PolishDate, Quantity, Row, Text, _, short_date
from plugins.customers.model import CustomerNo, Email, Phone, one_email, one_phone
from plugins.customers.words import read_text

ROLES: Final[Mapping[str, Text]] = {"owner": _("owner"), "tenant": _("tenant"), "payer": _("payer")}
_EARLIEST, _LATEST = date.min, date.max
_WHOLE: Final = Decimal(100)


def address(row: Mapping[str, Any] | Row) -> str:
    """``Lipowa 12/4, Poznań``, as far as it is known."""
    house = f"{row['street']} {row['building']}".strip()
    place = f"{house}/{row['flat']}" if row["flat"] else house
    return ", ".join(part for part in (place, row["city"]) if part)


def label(row: Mapping[str, Any] | Row) -> str:
    """What premises are called: their address, else their code, else their number here."""
    return address(row) or row["code"] or f"#{row['id']}"


@dataclass(frozen=True, slots=True)
class Tenure:
    """A customer has premises from ``since`` to ``until``, both days included. None: from ever, still. ``share``: %."""

    id: int
    customer: int
    role: str
    since: date | None
    until: date | None
    share: Decimal | None = None
    customer_no: str = ""
    name: str = ""
    status: str = "active"

    @property
    def begins(self) -> date:
        return self.since or _EARLIEST

    @property
    def ends(self) -> date:
        return self.until or _LATEST

    def holds_on(self, day: date) -> bool:
        return self.begins <= day <= self.ends

    def meets(self, other: Tenure) -> bool:
        """Whether the two have a day in common."""
        return self.begins <= other.ends and other.begins <= self.ends


def tenure_of(facts: Mapping[str, Any]) -> Tenure:
    """A tenure as JSON brings it."""
    share = facts.get("share")
    return Tenure(
        facts["id"],
        facts["customer"],
        facts["role"],
        _day(facts["since"]),
        _day(facts["until"]),
        None if share is None else Decimal(str(share)),
        facts.get("customer_no", ""),
        facts.get("name", ""),
        facts.get("status", "active"),
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _none_if_blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


_MaybeDay = Annotated[PolishDate | None, BeforeValidator(_none_if_blank)]
_Share = Annotated[Quantity | None, BeforeValidator(_none_if_blank), Field(gt=0, le=100)]
Role = Literal["owner", "tenant", "payer"]


class TenureForm(BaseModel):
    """A period in which a customer has premises."""

    customer_no: CustomerNo
    role: Role = "owner"
    share: _Share = None
    since: _MaybeDay = None
    until: _MaybeDay = None


class TenureChange(BaseModel):
    """The same period, written otherwise."""

    role: Role = "owner"
    share: _Share = None
    since: _MaybeDay = None
    until: _MaybeDay = None


class HandoverForm(BaseModel):
    """Premises pass to somebody on a day: to a customer of this number, or to a new one with these names."""

    since: PolishDate
    customer_no: CustomerNo
    role: Role = "owner"
    share: _Share = None
    carry: bool = False
    kind: Literal["person", "company"] = "person"
    given_name: Line = ""
    family_name: Line = ""
    name: Line = ""
    email: Annotated[Email, AfterValidator(one_email)] = ""
    phone: Annotated[Phone, AfterValidator(one_phone)] = ""

    @property
    def names_somebody(self) -> bool:
        """Whether data of a new customer were filled in."""
        return any((self.given_name, self.family_name, self.name, self.email, self.phone))

    @property
    def called(self) -> str:
        return self.name or f"{self.given_name} {self.family_name}".strip()


def fault(kept: Iterable[Tenure], new: Tenure) -> tuple[str, Text] | None:
    """What is wrong with a period beside those that are kept, and at which field; None when it may stand.

    A customer is not the same thing twice on a day, and owners have at most the whole on any day.
    """
    if new.begins > new.ends:
        return "until", _("The last day is before the first")
    others = [one for one in kept if one.id != new.id]
    for one in others:
        if one.customer == new.customer and one.role == new.role and one.meets(new):
            return "since", _("This customer has the premises in these days already: {period}", period=period(one))
    if new.role == "owner" and new.share is not None:
        owners = [one for one in (*others, new) if one.role == "owner" and one.share is not None]
        for day in sorted({one.begins for one in owners if one.meets(new)} | {new.begins}):
            whole = sum((one.share or Decimal(0) for one in owners if one.holds_on(day)), Decimal(0))
            if new.holds_on(day) and whole > _WHOLE:
                return "share", _(
                    "On one day the owners would have {whole} % together",
                    whole=f"{whole.normalize():f}".replace(".", ","),
                )
    return None


FURTHEST: Final = timedelta(days=366)
"""How far ahead a handover may be planned."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Premises pass to a customer on the day ``since``; ``carry``: with the recurring fees."""

    premises: int
    customer: int
    role: str
    share: Decimal | None
    since: date
    carry: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """A handover of a day to come, and who planned it. ``trouble``: why it could not take effect on its day."""

    id: int
    handover: Handover
    customer_no: str
    name: str
    created_by: str
    trouble: Text | None


def planned_of(facts: Mapping[str, Any] | None) -> Planned | None:
    """A planned handover as JSON brings it, or None."""
    if facts is None:
        return None
    handover = Handover(
        facts["premises"],
        facts["customer"],
        facts["role"],
        None if facts["share"] is None else Decimal(str(facts["share"])),
        date.fromisoformat(facts["since"]),
        facts["carry"],
    )
    trouble = read_text(facts["trouble"])
    return Planned(facts["id"], handover, facts["customer_no"], facts["name"], facts["created_by"], trouble)


def handover_fault(kept: Sequence[Tenure], since: date, today: date) -> Text | None:
    """Why premises cannot pass to somebody on a day, or None. A day to come is planned for."""
    if since > today + FURTHEST:
        return _("A handover can be planned for a year ahead at most")
    for one in kept:
        if one.begins > since:
            return _("From {day} on somebody else is written down already. Change that period first", day=one.begins)
        if one.holds_on(since) and one.since == since:
            return _("The period of {name} begins on this very day. Enter a later one", name=one.name)
    return None


def leaving(kept: Iterable[Tenure], since: date) -> list[Tenure]:
    """The periods that end when premises pass on."""
    return [one for one in kept if one.holds_on(since)]


def day_before(day: date) -> date:
    return day - timedelta(days=1)


def period(tenure: Tenure) -> str:
    """``01.02.2024 – 30.06.2026``; an open end stays open."""
    since = short_date(tenure.since) if tenure.since else "…"
    return f"{since} – {short_date(tenure.until) if tenure.until else '…'}"

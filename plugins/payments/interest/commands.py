"""``ebok interest``: what a debt bears, computed by the rates of the organisation's tables; nothing is written."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Final, LiteralString

from kernel import Argument, Money, Site, Text, _, ngettext, parse_date, parse_quantity, short_date
from plugins.payments.accrual import store
from plugins.payments.accrual.model import (
    CONTRACTUAL,
    NO_INTEREST,
    REGIMES,
    STATUTORY_DELAY,
    Interest,
    InterestRegime,
    Part,
    Rate,
    RatesUnknown,
    RateTable,
    plain_percent,
    zloty,
)

EFFECTIVE_DUE_SQL: Final[LiteralString] = "select payments.effective_due($1)"
AGREED: Final = "agreed"


def _amount(text: str) -> Money:
    try:
        return Money.parse(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no amount: write 1000.00 or 1000,00") from None


def _day(text: str) -> date:
    try:
        return parse_date(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day: write 2024-03-11") from None


def _percent(text: str) -> Decimal:
    try:
        percent = parse_quantity(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no rate: write 11.25") from None
    if percent > 100:
        raise ArgumentTypeError(f"{text!r} is more than 100 % a year")
    return percent


def _payment(text: str) -> tuple[date, Money]:
    day, colon, amount = text.partition(":")
    if not colon:
        raise ArgumentTypeError(f"{text!r} is no payment: write 2024-02-09:700.00")
    return _day(day), _amount(amount)


ARGUMENTS: Final = (
    Argument(("--principal",), {"type": _amount, "required": True, "metavar": "AMOUNT", "help": "what was owed"}),
    Argument(("--due",), {"type": _day, "required": True, "metavar": "DAY", "help": "when it was due"}),
    Argument(("--as-of",), {"type": _day, "metavar": "DAY", "help": "the last day that counts (default: today)"}),
    Argument(
        ("--paid",),
        {
            "type": _payment,
            "action": "append",
            "default": [],
            "metavar": "DAY:AMOUNT",
            "help": "principal that was paid; may be repeated",
        },
    ),
    Argument(
        ("--regime",),
        {
            "choices": [name for name in REGIMES if name != NO_INTEREST.name],
            "help": "by which rates (default: statutory_delay)",
        },
    ),
    Argument(
        ("--rate",),
        {
            "type": _percent,
            "metavar": "PERCENT",
            "help": "one rate a year instead of a table; with --regime contractual capped by law",
        },
    ),
    Argument(("--json",), {"action": "store_true", "help": "for machines; amounts in grosze"}),
)


async def run(site: Site, arguments: Any) -> int:
    """Compute and print. 1 when a rate or holiday is not known, 2 when the arguments contradict each other."""
    as_of = arguments.as_of or site.clock.today()
    paid = Money.total(amount for _day, amount in arguments.paid)
    if paid > arguments.principal:
        return _fail(_("More is paid than was owed."), 2)
    if arguments.regime == CONTRACTUAL.name and arguments.rate is None:
        return _fail(_("Agreed interest needs --rate."), 2)
    if arguments.rate is not None and arguments.regime not in (None, CONTRACTUAL.name):
        return _fail(_("--rate goes with --regime contractual, or with none."), 2)
    async with site.db.connection() as conn:
        tables = await store.tables(conn)
        try:
            due = await conn.fetchval(EFFECTIVE_DUE_SQL, arguments.due)
        except Exception as error:
            if getattr(error, "constraint_name", None) != "holidays_unknown":
                raise
            return _fail(_("The holidays of the year of this due date are not known. Check the date."), 1)
    regime, rates = _regime(arguments, tables)
    parts = [Part(amount.grosze, day) for day, amount in arguments.paid]
    parts.append(Part((arguments.principal - paid).grosze))
    try:
        found = regime.interest(parts, due, as_of, rates)
    except RatesUnknown as error:
        return _fail(_("The rate of {day} is not known.", day=error.day), 1)
    if arguments.json:
        name = AGREED if rates.kind == AGREED else regime.name
        told = _as_data(found, arguments.principal, arguments.due, due, as_of, name)
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _as_text(found))
    return 0


def _regime(arguments: Any, tables: dict[str, RateTable]) -> tuple[InterestRegime, RateTable]:
    if arguments.rate is not None and arguments.regime is None:
        return STATUTORY_DELAY, RateTable(AGREED, (Rate(date.min, arguments.rate),))
    regime = REGIMES[arguments.regime or STATUTORY_DELAY.name]
    return regime, regime.rates(tables, arguments.rate)


def _as_data(
    found: Interest, principal: Money, due_on: date, effective_due: date, as_of: date, regime: str
) -> dict[str, Any]:
    return {
        "principal": principal.grosze,
        "due": due_on.isoformat(),
        "effective_due": effective_due.isoformat(),
        "as_of": as_of.isoformat(),
        "regime": regime,
        "amount": found.amount.grosze,
        "amount_plain": found.amount.plain,
        "exact": str(zloty(found.exact, 6)),
        "days": sum(line.days for line in found.lines),
        "lines": [
            {
                "first_day": line.first_day.isoformat(),
                "last_day": line.last_day.isoformat(),
                "days": line.days,
                "principal": line.principal,
                "principal_plain": Money(line.principal).plain,
                "percent": plain_percent(line.percent),
                "exact": str(zloty(line.exact, 6)),
            }
            for line in found.lines
        ],
    }


def _as_text(found: Interest) -> Iterator[str]:
    for line in found.lines:
        days = ngettext("{count} day", "{count} days", line.days)
        span = f"{short_date(line.first_day)}–{short_date(line.last_day)}"
        yield f"{span}  {Money(line.principal)} × {plain_percent(line.percent).replace('.', ',')} % × {days} / 365"
    yield str(_("Interest: {amount}", amount=found.amount))


def _fail(reason: Text, code: int) -> int:
    sys.stderr.write(f"ebok: {reason}\n")
    return code

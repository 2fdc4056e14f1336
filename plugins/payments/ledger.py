"""The port's implementation: rows of the store, made into the values that other plugins know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, cast

from kernel import Connection, Money, Row, Site, organisation, settings_of
from plugins.payments import model, store
from plugins.payments.face import CardLine, CardPart, LedgerCard, OpenCharge, OpenItems, Payee, Position, Side
from plugins.payments.model import Standing
from plugins.payments.settings import Settings

NAMED: Final = 100
"""Charges that a payment order names at most."""
_OLDER: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[.]([0-9]{1,18})[.](-?[0-9]{1,18})[.]([0-9]{1,18})")


class KeptLedger:
    """Answers from balances and open amounts that are kept with every posting."""

    async def position(self, conn: Connection, customer: int, on: date) -> Position:
        row = await store.position(conn, customer, on)
        return model.together((), None, on) if row is None else _position(row, on)

    async def payees(self, site: Site, conn: Connection, customer: int, on: date) -> Sequence[Payee]:
        row = await store.position(conn, customer, on, NAMED)
        return [] if row is None else _payees(site, row, on)

    async def open_items(self, conn: Connection, customer: int, on: date, *, limit: int = 100) -> OpenItems:
        row = await store.position(conn, customer, on, limit)
        if row is None:
            return OpenItems(model.together((), None, on), ())
        return OpenItems(_position(row, on), tuple(_open_charge(charge, on) for charge in row["charges"]))

    async def card(
        self, conn: Connection, customer: int, on: date, *, before: str | None = None, limit: int = 50
    ) -> LedgerCard:
        place = _read_older(before) if before else None
        rows = await store.card(conn, customer, (place.on, place.entry) if place else None, limit + 1)
        version = rows[0]["version"]
        if place and place.version != version:
            raise LookupError("something was posted since that page was read")
        balance: int = place.balance if place else rows[0]["balance"]
        lines: list[CardLine] = []
        for row in rows[:limit]:
            if row["entry"] is None:
                continue
            lines.append(_card_line(row, balance, on))
            balance -= _effect(row)
        older = _write_older(lines[-1], balance, version) if len(rows) > limit else None
        return LedgerCard(tuple(lines), older)


# --- position and payee ---------------------------------------------------------------------------------------------


def _position(row: Row, on: date) -> Position:
    return model.together([_standing(account) for account in row["accounts"]], row["to_pay_by"], on)


def _standing(account: Mapping[str, Any]) -> Standing:
    return Standing(
        due=account["due"],
        arrears=account["arrears"],
        until=account["until"],
        credit=account["credit"],
        barred=account["barred"],
        balance=account["balance"],
        provisional=account["provisional"],
    )


def _payees(site: Site, row: Row, on: date) -> list[Payee]:
    """One for each bank account; a customer without an account of the ledger is told the organisation's own."""
    own = cast(Settings, settings_of(site, "payments"))
    paid_to: dict[tuple[str, str], list[Standing]] = {}
    of_payee: dict[int, tuple[str, str]] = {}
    for account in row["accounts"]:
        key = (account["payee_account"], account["payee_name"])
        of_payee[account["account"]] = key
        paid_to.setdefault(key, []).append(_standing(account))
    charges: dict[tuple[str, str], list[int]] = {}
    for charge in row["charges"]:
        due = date.fromisoformat(charge["effective_due_on"])
        if charge["account"] in of_payee and not charge["is_barred"] and row["to_pay_by"] and due <= row["to_pay_by"]:
            charges.setdefault(of_payee[charge["account"]], []).append(charge["entry"])
    return [
        replace(
            _payee(site, own, row["customer_no"], key, model.together(accounts, row["to_pay_by"], on)),
            charges=tuple(charges.get(key, ())),
        )
        for key, accounts in (paid_to or {(row["main_account"], ""): []}).items()
    ]


def _payee(site: Site, own: Settings, customer_no: str, key: tuple[str, str], position: Position) -> Payee:
    whose, (account_no, name) = organisation(site), key
    street, city = own.payee_street or whose.street, own.payee_city or whose.city
    return Payee(
        name=name or own.payee_name or whose.payee_name,
        address=tuple(line for line in (street, city) if line),
        nip=own.payee_nip or whose.nip,
        account_no=account_no,
        to_pay=position.to_pay,
        to_pay_by=position.to_pay_by,
        title=own.title.format(customer_no=customer_no),
        overdue=bool(position.arrears),
    )


# --- charges and the card -------------------------------------------------------------------------------------------


def _open_charge(charge: Mapping[str, Any], on: date) -> OpenCharge:
    effective_due_on = date.fromisoformat(charge["effective_due_on"])
    return OpenCharge(
        entry=charge["entry"],
        kind=charge["kind"],
        title=charge["title"],
        document_no=charge["document_no"],
        period=charge["period"],
        issued_on=date.fromisoformat(charge["issued_on"]),
        due_on=date.fromisoformat(charge["due_on"]),
        effective_due_on=effective_due_on,
        amount=Money(charge["amount"]),
        open=Money(charge["open"]),
        status=model.status_of(
            Side.CHARGE,
            amount=charge["amount"],
            open_amount=charge["open"],
            effective_due_on=effective_due_on,
            on=on,
            corrected=charge["corrected"],
        ),
        account=charge["account"],
        is_barred=charge["is_barred"],
    )


def _card_line(row: Row, balance: int, on: date) -> CardLine:
    side = Side(row["side"])
    parts = tuple(_card_part(part) for part in row["parts"])
    lowered = sum(part.amount.grosze for part in parts if part.rule == "correction") if side is Side.CHARGE else 0
    return CardLine(
        entry=row["entry"],
        side=side,
        kind=row["kind"],
        title=row["title"],
        document_no=row["document_no"],
        on=row["counted_on"],
        due_on=row["due_on"],
        effective_due_on=row["effective_due_on"],
        amount=Money(row["amount"]),
        open=Money(row["open_amount"]),
        balance=Money(balance),
        status=model.status_of(
            side,
            amount=row["amount"],
            open_amount=row["open_amount"],
            effective_due_on=row["effective_due_on"],
            on=on,
            state=row["state"],
            is_reversed=row["is_reversed"],
            corrected=lowered,
        ),
        parts=parts,
    )


def _card_part(part: Mapping[str, Any]) -> CardPart:
    return CardPart(
        entry=part["entry"],
        kind=part["kind"],
        title=part["title"],
        document_no=part["document_no"],
        on=date.fromisoformat(part["on"]),
        amount=Money(part["amount"]),
        rule=part["rule"],
    )


def _effect(row: Row) -> int:
    """What a row did to the balance, grosze; nothing when it is voided."""
    if row["state"] == "voided":
        return 0
    return row["amount"] if row["side"] == Side.CHARGE else -row["amount"]


@dataclass(frozen=True, slots=True)
class _Older:
    """Where the next page of a card begins: after which row, at what balance, under which version of the account."""

    on: date
    entry: int
    balance: int
    version: int


def _write_older(last: CardLine, balance: int, version: int) -> str:
    return f"{last.on.isoformat()}.{last.entry}.{balance}.{version}"


def _read_older(text: str) -> _Older:
    found = _OLDER.fullmatch(text)
    if found is None:
        raise LookupError("not the key of a page")
    try:
        return _Older(date.fromisoformat(found[1]), int(found[2]), int(found[3]), int(found[4]))
    except ValueError:
        raise LookupError("not the key of a page") from None

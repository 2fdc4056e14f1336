"""What people call the settings of sources and the fields of records; what is not here goes by its own name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from kernel import Money, Text, _, short_date

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")

SETTINGS: Final[Mapping[str, Text]] = {
    "host": _("Server"),
    "port": _("Port"),
    "database": _("Database"),
    "user": _("Login"),
    "password": _("Password"),
    "password_env": _("Variable with the password"),
    "encoding": _("Encoding of the texts"),
    "delimiter": _("Sign between columns"),
    "quote": _("Sign around texts"),
    "sheet": _("Sheet"),
    "header_line": _("Line with the names of the columns"),
}

FIELDS: Final[Mapping[str, Text]] = {
    "customer_no": _("Customer’s number"),
    "name": _("Name"),
    "kind": _("Kind"),
    "consumer": _("Consumer (1 or 0)"),
    "given_name": _("Given name"),
    "family_name": _("Family name"),
    "nip": _("NIP"),
    "email": _("E-mail"),
    "phone": _("Telephone"),
    "street": _("Street"),
    "building": _("Building"),
    "flat": _("Flat"),
    "postal_code": _("Postal code"),
    "city": _("Town"),
    "country": _("Country"),
    "document_no": _("Document"),
    "issued_on": _("Day of issue"),
    "due_on": _("Due date"),
    "due_days": _("Due after so many days"),
    "amount": _("Amount"),
    "title": _("Title"),
    "period": _("Period"),
    "value_date": _("Value date"),
    "paid_on": _("Paid on"),
    "channel": _("Way of payment"),
}


def named(field: str) -> Text | str:
    """What people call a record's field."""
    return FIELDS.get(field, field)


def spoken(reason: Text | None, records: Mapping[str, Text]) -> Text | None:
    """A reason that calls a record as people do: «Charges», not ``payments.charge``."""
    name = reason.values.get("record") if reason else None
    if reason is None or name not in records:
        return reason
    return Text(reason.message, {**reason.values, "record": records[str(name)]})


def told(value: object, *, is_money: bool) -> str:
    """A field's kept value as people read it: days as 24.11.2026, amounts as 12,50 zł; a dash for nothing."""
    text = "—" if value is None else str(value)
    if is_money and value is not None:
        return str(Money.parse(text))
    return short_date(date.fromisoformat(text)) if _DAY.fullmatch(text) else text

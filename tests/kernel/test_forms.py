"""Fields made from a model, and what the macros draw: values, errors tied to their fields, no password shown again."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from kernel.dates import PolishDate
from kernel.i18n import speaking
from kernel.money import Money, Quantity
from kernel.web.forms import FieldView, fields_of, shown_value


class Way(StrEnum):
    POST = "post"
    MAIL = "mail"


class Settings(BaseModel):
    name: str = Field(default="Zacisze", title="Name", description="As customers know it.", max_length=40)
    must: str = Field(default="x", min_length=1)
    note: str = Field(default="", json_schema_extra={"multiline": True})
    email: str = Field(default="", json_schema_extra={"input": "email"})
    days: int = 14
    rate: Quantity = Decimal("11.25")
    cost: Money = Money(123456)
    since: PolishDate | None = None
    reminders: bool = True
    way: Way = Field(default=Way.POST, json_schema_extra={"options": {"post": "By post", "mail": "By e-mail"}})
    plan: Literal["a", "b"] = "a"
    secret: SecretStr = SecretStr("hidden")


def fields(values: BaseModel | None = None) -> dict[str, FieldView]:
    return {field.name: field for field in fields_of(Settings, values)}


def test_a_type_becomes_its_field() -> None:
    assert {name: field.kind for name, field in fields().items()} == {
        "name": "text",
        "must": "text",
        "note": "area",
        "email": "email",
        "days": "number",
        "rate": "number",
        "cost": "money",
        "since": "date",
        "reminders": "choice",
        "way": "select",
        "plan": "select",
        "secret": "secret",
    }


def test_values_are_written_as_people_type_them() -> None:
    values = Settings(cost=Money(50), since=date(2026, 12, 1), reminders=False, way=Way.MAIL)
    shown = {name: field.value for name, field in fields(values).items()}
    assert shown["cost"] == "0,50"
    assert shown["since"] == "01.12.2026"
    assert shown["rate"] == "11,25"
    assert shown["reminders"] == "false"
    assert shown["way"] == "mail"
    assert fields()["cost"].value == "1\u00a0234,56"


def test_what_is_shown_can_be_sent_back_unchanged() -> None:
    values = Settings(since=date(2026, 12, 1), reminders=False)
    sent = {name: field.value for name, field in fields(values).items() if field.value and name != "secret"}
    assert Settings.model_validate({**sent, "secret": "hidden"}) == values


def test_a_secret_is_never_shown() -> None:
    assert fields()["secret"].value == ""
    assert fields()["secret"].type == "password"


def test_titles_hints_and_limits_come_from_the_model() -> None:
    field = fields()["name"]
    with speaking("en"):
        assert (str(field.label), str(field.hint), field.maxlength) == ("Name", "As customers know it.", 40)
    assert not field.required
    assert fields()["must"].required
    assert not fields()["since"].required
    with speaking("en"):
        assert [(key, str(label)) for key, label in fields()["way"].options] == [
            ("post", "By post"),
            ("mail", "By e-mail"),
        ]


def test_many_values_are_one_line() -> None:
    assert shown_value(("a", "b")) == "a, b"
    assert shown_value(None) == ""

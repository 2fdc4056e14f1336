"""From a source's row to a record's: the transforms, and the reasons of what is set aside."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import Money
from plugins.importers.model import BadRow, EntityReport, GoodRow, RowReader, differences, exceeded
from plugins.importers.profile import Entity, Rule
from tests.plugins.importers import shop

RECORD = next(iter(shop.register_records()))


def reader(**fields: object) -> RowReader:
    entity = Entity.model_validate(
        {
            "record": "shop.bill",
            "table": "t",
            "key": "id",
            "fields": {"number": "id", "customer": "who", "amount": "sum"} | fields,
        }
    )
    columns = {"id"} | {column for rule in entity.fields.values() for column in rule.columns}
    return RowReader(entity, RECORD, {column: column for column in columns})


def good(row: dict[str, Any], **fields: object) -> shop.BillRow:
    read = reader(**fields).read(1, {"id": 1, "who": "Jan", "sum": 1.5} | row)
    assert isinstance(read, GoodRow), read
    return shop.BillRow.model_validate_json(read.data)


def bad(row: dict[str, Any], **fields: object) -> list[tuple[str, str, str]]:
    read = reader(**fields).read(1, {"id": 1, "who": "Jan", "sum": 1.5} | row)
    assert isinstance(read, BadRow), read
    return [(reason.name, str(reason.text), reason.value) for reason in read.reasons]


@pytest.mark.parametrize(
    ("value", "rule", "grosze"),
    [
        (1.98, "sum", 198),
        (37.62, "sum", 3762),
        (Decimal("12.50"), "sum", 1250),
        (5, "sum", 500),
        (" 1 234,56 zł", "sum", 123456),
        ("1.234,56", {"column": "sum", "thousands": "."}, 123456),
        ("1'234.56", {"column": "sum", "thousands": "'"}, 123456),
        ("x", {"value": "10,00"}, 1000),
    ],
)
def test_amounts(value: object, rule: object, grosze: int) -> None:
    assert good({"sum": value}, amount=rule).amount == Money(grosze)


@given(st.integers(1, 10**9))
def test_floats_of_sqlite_are_exact(grosze: int) -> None:
    assert good({"sum": grosze / 100}).amount == Money(grosze)


def test_texts_are_joined_trimmed_mapped_and_prefixed() -> None:
    assert good({"a": " Jan ", "b": None, "c": "Nowak"}, customer={"join": ["a", "b", "c"]}).customer == "Jan Nowak"
    assert good({"a": " x "}, note={"column": "a", "trim": False}).note == " x "
    assert good({"a": "P"}, note={"column": "a", "map": {"P": "paid"}}).note == "paid"
    assert good({"a": 98}, note={"column": "a", "prefix": "Bill "}).note == "Bill 98"
    assert good({"a": None}, note={"column": "a", "prefix": "Bill "}).note == ""
    assert good({"id": 49.0}).number == "49"


@pytest.mark.parametrize(
    ("value", "rule", "day"),
    [
        ("24.11.2026", {"column": "d"}, date(2026, 11, 24)),
        ("2026-11-24", {"column": "d", "days": 14}, date(2026, 12, 8)),
        ("2021-01-01 00:00:00", {"column": "d", "date": "%Y-%m-%d %H:%M:%S"}, date(2021, 1, 1)),
        (datetime(2026, 11, 24, 23, 59, tzinfo=UTC), {"column": "d"}, date(2026, 11, 24)),
        (None, {"column": "d", "days": 14}, None),
        ("", {"column": "d"}, None),
    ],
)
def test_dates(value: object, rule: dict[str, object], day: date | None) -> None:
    assert good({"d": value}, due_on=rule).due_on == day


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("31.02.2026", {"column": "d"}),
        ("11/24/2026", {"column": "d"}),
        ("24.11.26", {"column": "d", "date": "%Y-%m-%d"}),
        ("0021-01-01", {"column": "d", "date": "%Y-%m-%d"}),
        ("9999-12-31", {"column": "d", "date": "%Y-%m-%d", "days": 14}),
        (20261124, {"column": "d"}),
        ("2026-11-24\x00", {"column": "d"}),
    ],
)
def test_wrong_dates(value: object, rule: dict[str, object]) -> None:
    [(field, reason, _value)] = bad({"d": value}, due_on=rule)
    assert field == "due_on"
    assert reason


def test_every_reason_of_a_row_is_told_once() -> None:
    found = bad({"id": "1234567890123", "sum": "1e3", "who": None})
    assert [field for field, _reason, _value in found] == ["number", "customer", "amount"]
    assert found[2][2] == "1e3"
    assert "10" in found[0][1]


def test_what_cannot_be_stored_is_made_visible() -> None:
    [(_field, _reason, value)] = bad({"who": "a\x00b\x7f"})
    assert value == "a\u2400b\u2421"
    read = reader().read(7, {"id": "\x00", "who": "x", "sum": 1})
    assert isinstance(read, BadRow)
    assert read.external_id is None


def test_a_short_row_is_set_aside_with_its_key() -> None:
    read = reader().read(3, {"id": "5"})
    assert isinstance(read, BadRow)
    assert read.external_id == "5"


def test_the_same_content_has_the_same_hash() -> None:
    first = reader().read(1, {"id": 1, "who": "Jan", "sum": 1.5})
    second = reader().read(9, {"id": "1", "who": " Jan ", "sum": "1,50 zł"})
    other = reader().read(1, {"id": 1, "who": "Jan", "sum": 1.51})
    assert isinstance(first, GoodRow)
    assert isinstance(second, GoodRow)
    assert isinstance(other, GoodRow)
    assert first.hash == second.hash != other.hash
    assert first.grosze == 150


def test_limits() -> None:
    report = EntityReport("shop.bill", total=100, wrong=5, same=80, changed=10, missing=10)
    assert exceeded(report, 5, 10) is None
    assert "5 of 100" in str(exceeded(report, 4.9, 10))
    assert "10 of 100" in str(exceeded(report, 5, 9.9))
    assert exceeded(EntityReport("shop.bill"), 0, 0) is None


def test_fields_that_differ() -> None:
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == [("b", 2, 3), ("c", None, 4)]


def test_a_report_survives_being_kept() -> None:
    report = EntityReport("shop.bill", 3, 1, 1, 1, sums={"new": 5}, fields={"amount": 1})
    assert EntityReport.of_json(report.as_json()) == report


def test_rules_know_their_columns() -> None:
    assert Rule(column="a").columns == ("a",)
    assert Rule(join=("a", "b")).columns == ("a", "b")
    assert Rule(value="x").columns == ()

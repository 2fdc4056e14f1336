"""Profiles: what is accepted, and how a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import Record, Source, Text
from plugins.importers.profile import Profile, ProfileError, fold, match_name, nearest, read_profile
from tests.plugins.importers import shop

RECORDS = {record.name: record for record in shop.register_records()}
SOURCES = {source.name: source for source in shop.register_sources()}
GOOD = """\
[profile]
name = "shop"
title = "The shop"

[source]
kind = "shelf"

[[entity]]
record = "shop.bill"
table = "bills"
key = "BillId"
[entity.fields]
number = "BillId"
customer = { join = ["First", "Last"], separator = " " }
amount = { column = "Amount", thousands = "." }
"""


def read(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "shop.toml"
    path.write_text(text, encoding="utf-8")
    return read_profile(path, SOURCES, RECORDS)


def test_a_good_profile(tmp_path: Path) -> None:
    profile = read(tmp_path, GOOD)
    [planned] = profile.entities
    assert planned.record is RECORDS["shop.bill"]
    assert planned.entity.fields["number"].columns == ("BillId",)
    assert planned.entity.fields["customer"].columns == ("First", "Last")
    assert (profile.head.max_bad, profile.head.max_missing) == (5, 10)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('table = "bills"', 'tabel = "bills"', ["Line 10", "tabel", "table"]),
        ('title = "The shop"', 'titel = "The shop"', ["Line 3", "titel", "title"]),
        ("[source]", "[sorce]", ["sorce", "source"]),
        ('kind = "shelf"', 'kind = "shelf"\nshefl = "x"', ["Line 7", "shefl", "shelf"]),
        ('kind = "shelf"', 'kind = "mysql"', ["Line 6", "mysql", "shelf"]),
        ('kind = "shelf"', "", ["Line 5", "shelf"]),
        ('"shop.bill"', '"shop.bil"', ["Line 9", "shop.bil", "shop.bill"]),
        ('number = "BillId"', 'numer = "BillId"', ["Line 13", "numer", "number"]),
        ('number = "BillId"', "", ["Line 9", "number"]),
        ('thousands = "."', 'thousand = "."', ["Line 15", "thousand", "thousands"]),
        ('column = "Amount", ', "", ["Line 15", "amount"]),
        ('column = "Amount", ', 'column = "Amount", value = 1, ', ["Line 15", "amount"]),
        ('table = "bills"', "", ["Line 8"]),
        ('key = "BillId"', "", ["key"]),
        ('name = "shop"', 'name = "Shop!"', ["Line 2", "name"]),
        ("[profile]", "[profile", ["TOML"]),
        ("[entity.fields]", '[[entity]]\nrecord = "shop.bill"\n[entity.fields]', []),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    with pytest.raises(ProfileError) as refused:
        read(tmp_path, GOOD.replace(old, new, 1))
    for word in words:
        assert word in str(refused.value)


def test_unreadable_profiles(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"nowhere\.toml"):
        read_profile(tmp_path / "nowhere.toml", SOURCES, RECORDS)
    path = tmp_path / "old.toml"
    path.write_bytes("[profile]\ntitle = 'Spółdzielnia'".encode("cp1250"))
    with pytest.raises(ProfileError, match="UTF-8"):
        read_profile(path, SOURCES, RECORDS)


def test_records_come_in_the_order_they_need(tmp_path: Path) -> None:
    async def nothing(*_: object) -> None: ...

    later = Record("shop.payment", Text("Payment"), shop.BillRow, nothing, after=("shop.bill",))
    second = GOOD[GOOD.index("[[entity]]") :].replace("shop.bill", "shop.payment")
    text = GOOD[: GOOD.index("[[entity]]")] + second + GOOD[GOOD.index("[[entity]]") :]
    path = tmp_path / "shop.toml"
    path.write_text(text, encoding="utf-8")
    profile = read_profile(path, SOURCES, {**RECORDS, "shop.payment": later})
    assert [planned.record.name for planned in profile.entities] == ["shop.bill", "shop.payment"]
    assert [planned.number for planned in profile.entities] == [1, 0]


def test_the_same_record_twice(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="twice"):
        read(tmp_path, GOOD + GOOD[GOOD.index("[[entity]]") :])


def test_paths_are_relative_to_the_profile(tmp_path: Path) -> None:
    from plugins.importers.sqlite.reading import Settings, discover, stream

    sources = {"sqlite": Source("sqlite", Text("SQLite"), Settings, discover, stream)}
    path = tmp_path / "profiles" / "shop.toml"
    path.parent.mkdir()
    path.write_text(GOOD.replace('kind = "shelf"', 'kind = "sqlite"\npath = "../data/shop.db"'), encoding="utf-8")
    settings = read_profile(path, sources, RECORDS).settings
    assert isinstance(settings, Settings)
    assert settings.path.resolve() == tmp_path / "data" / "shop.db"


def test_names_are_matched_without_case_and_underscores() -> None:
    known = ["CustomerId", "customer", "First_Name", "first_name", "firstname"]
    assert match_name("customer_id", known) == "CustomerId"
    assert match_name("CUSTOMER ID", known) == "CustomerId"
    assert match_name("first_name", known) == "first_name"
    assert match_name("FirstName", known) is None, "three columns could be meant"
    assert nearest("custmer", known).startswith("customer")


@given(st.text(alphabet="abC_ d", min_size=1))
def test_a_name_matches_itself(name: str) -> None:
    assert match_name(name, [name, "other"]) == name
    assert fold(name.upper()) == fold(name)

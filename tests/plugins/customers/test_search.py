"""The search box finds the customer that was meant: any words, any order, without Polish letters, mistyped."""

from __future__ import annotations

import pytest

from kernel import Connection
from kernel.people import store as people
from kernel.people.model import CustomerData, ServicePointData
from kernel.plugin.permissions import Role
from kernel.site import Site
from kernel.testing import Office
from plugins.customers import finding
from plugins.customers.finding import jobs
from plugins.customers.finding.model import distance, meanings, numbers, queries, spoken

pytestmark = pytest.mark.ebok(plugins=["customers"])

PEOPLE = (
    CustomerData(
        customer_no="K-1001",
        name="Żaneta Łącka",
        given_name="Żaneta",
        family_name="Łącka",
        street="ul. Świętego Wojciecha",
        building="12",
        flat="4",
        city="Poznań",
        email="zaneta.lacka@example.org",
        phone="+48 601-234-567",
    ),
    CustomerData(
        customer_no="K-1002",
        name="Jan Kowalski",
        given_name="Jan",
        family_name="Kowalski",
        street="Lipowa",
        building="7a",
        flat="15",
        city="Poznań",
    ),
    CustomerData(
        customer_no="K-1003",
        name="Anna Kowalczyk",
        given_name="Anna",
        family_name="Kowalczyk",
        street="Lipowa",
        building="7a",
        flat="16",
        city="Poznań",
    ),
    CustomerData(customer_no="K-1004", name="Piekarnia «Złoty Kłos» sp. z o.o.", kind="company", nip="5260250274"),
)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [("lipowa", "lipowa", 0), ("lipwoa", "lipowa", 1), ("lpowa", "lipowa", 1), ("", "ab", 2), ("kowal", "kowalski", 3)],
)
def test_the_distance_of_words(one: str, other: str, apart: int) -> None:
    assert distance(one, other) == distance(other, one) == apart


def test_what_a_mistyped_word_may_mean() -> None:
    assert meanings("kowlaski", ["kowalski", "kowalczyk", "lipowa"]) == ["kowalski"]
    assert meanings("kowalskiego", ["kowalski", "kowalczyk", "nowak"]) == ["kowalski"]
    assert meanings("kowls", ["kowalski"]) == [], "two letters of five are another word"
    assert meanings("wojciehca", ["wojciecha", "wojciechowska"])[0] == "wojciecha"


def test_the_words_beside_an_address_say_nothing() -> None:
    assert spoken(["ul", "lipowa", "7a", "m", "15"]) == ["lipowa", "7a", "15"]
    assert spoken(["os"]) == ["os"], "unless nothing else is said"
    assert len(spoken([f"w{n}" for n in range(50)])) == 8


def test_a_question_widens_step_by_step() -> None:
    asked = queries("lipwoa 7", ["lipwoa", "7"], {"lipwoa": ["lipowa"]})
    assert asked.whole == "'lipwoa' & '7'"
    assert asked.begun == "'lipwoa':* & '7'"
    assert asked.mistyped == "('lipwoa':* | 'lipowa') & ('7')"
    assert queries("", [], {}).whole == ""


def test_a_telephone_number_is_known_by_its_digits() -> None:
    assert numbers("+48 601 234 567") == ["48601234567", "601234567"]
    assert numbers("601-234-567") == ["601234567"]
    assert numbers("526-025-02-74") == ["260250274", "5260250274"]
    assert numbers("12345") == numbers("Lipowa 601234567") == []


async def add(conn: Connection) -> list[int]:
    ids = [await people.add_customer(conn, data) for data in PEOPLE]
    await people.add_service_point(
        conn, ServicePointData(customer=ids[3], code="L/3", street="Żeglarska", building="3", city="Poznań")
    )
    return ids


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("K-1001", 0),
        ("1002", 1),
        ("żaneta łącka", 0),
        ("LACKA Zaneta", 0),
        ("lackiej", 0),
        ("Swietego Wojceicha 12/4", 0),
        ("wojciecha 12 m. 4", 0),
        ("601 234 567", 0),
        ("+48601234567", 0),
        ("zaneta.lacka@example.org", 0),
        ("Kowalskiego", 1),
        ("kowlaski jan", 1),
        ("Lipwoa 7a/15", 1),
        ("ul. Lipowa 7a m. 16", 2),
        ("526-025-02-74", 3),
        ("zloty klos", 3),
        ("żeglraska 3", 3),
    ],
)
async def test_who_is_found_first(conn: Connection, text: str, first: int) -> None:
    ids = await add(conn)
    rows = await finding.found(conn, text)
    assert [row["id"] for row in rows][:1] == [ids[first]], text


@pytest.mark.parametrize("text", ["", "%", "'", "\\", "!!!", "& | !", "':*", "x" * 200, "qqqq wwww", "\u0661\u0662"])
async def test_whatever_is_typed_is_no_failure(conn: Connection, text: str) -> None:
    await add(conn)
    assert list(await finding.found(conn, text)) == []


async def test_a_changed_name_is_learned(conn: Connection) -> None:
    ids = await add(conn)
    await conn.execute(
        "update kernel.customer set name = 'Jan Brzęczyszczykiewicz', family_name = 'Brzęczyszczykiewicz'"
        " where id = $1",
        ids[1],
    )
    rows = await finding.found(conn, "brzeczyszczykeiwicz")
    assert [row["id"] for row in rows] == [ids[1]]


async def test_what_alone_fits_is_opened_at_once(office: Office, conn: Connection) -> None:
    ids = await add(conn)
    admin = await office.visitor(Role.ADMIN)
    opened = await admin.get("/admin/search?go=1&q=lipwoa+7a/15")
    assert (opened.status, opened.headers["Location"]) == (303, f"/admin/customers/{ids[1]}")
    both = await admin.get("/admin/search?go=1&q=lipowa+7a")
    assert both.status == 200
    assert "Jan Kowalski" in both.text
    assert "Anna Kowalczyk" in both.text
    hits = await admin.get("/admin/search/hits?q=lipwoa")
    assert hits.text.count('role="option"') == 2
    assert "<html" not in hits.text
    customer = await office.visitor(Role.CUSTOMER, ids[0])
    assert (await customer.get("/admin/search/hits?q=lipowa")).status == 403


async def test_a_name_leaves_the_words_with_its_last_bearer(site: Site, conn: Connection) -> None:
    ids = await add(conn)
    await conn.execute("delete from kernel.customer where id = $1", ids[0])
    await jobs.forget(site, {})
    known = {row["word"] for row in await conn.fetch("select word from customers.word")}
    assert not {"zaneta", "lacka"} & known
    assert {"kowalski", "lipowa", "zeglarska"} <= known


async def test_premises_that_nobody_has_are_found_by_their_address(office: Office, conn: Connection) -> None:
    for number, flat in enumerate(("90", "91")):
        await conn.execute(
            "insert into kernel.service_point (code, street, building, flat, city)"
            " values ($1, 'Jaśminowa', '3', $2, 'Poznań')",
            f"J-{number}",
            flat,
        )
    jan = await people.add_customer(conn, CustomerData(customer_no="K-2001", name="Jan Nikt"))
    await conn.execute("update kernel.service_point set customer = $1 where flat = '91'", jan)
    rows = await finding.found(conn, "jasminowa 3 90")
    assert [(row["id"], row["code"]) for row in rows] == [(None, "J-0")]
    assert [row["customer_no"] for row in await finding.found(conn, "Jaśminowa 3/91")] == ["K-2001"]
    assert [row["customer_no"] for row in await finding.found(conn, "jaśmniowa")] == ["K-2001", None], "mistyped"
    admin = await office.visitor(Role.ADMIN)
    page = (await admin.get("/admin/search?q=Ja%C5%9Bminowa+3%2F90")).text
    number = await conn.fetchval("select id from kernel.service_point where flat = '90'")
    assert f'href="/admin/premises/{number}"' in page
    assert "Pusty lokal" in page
    assert "Jaśminowa 3/90, Poznań" in page

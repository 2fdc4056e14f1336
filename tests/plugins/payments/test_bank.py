"""Bank files in the ledger: what matches with certainty is booked on accounts, the rest waits, and nothing twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

import aiohttp
import asyncpg
import pytest

from kernel import Connection, Money, Refused, Role, Site, Stamp
from kernel.testing import Office, Page, Visitor
from plugins.payments import store as ledger
from plugins.payments import suspense
from plugins.payments.bank import booking, reading, store, undoing
from plugins.payments.bank.checks import lines_as_told
from plugins.payments.bank.model import Asked, Found, decide
from plugins.payments.bank.statement import Statement, StatementLine
from plugins.payments.books.model import virtual_account
from tests.plugins.payments.ledger import TODAY, acting, add_customer

pytestmark = pytest.mark.ebok(plugins=["payments", "importers", "mt940", "camt053"])

OURS = "29101010100012345600004711"
DAY = date(2026, 11, 23)
VIRTUAL = virtual_account("1090101400000712", 19812874)


@pytest.fixture
def site(site: Site) -> Site:
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    return site


def line(amount: int, **facts: object) -> StatementLine:
    values = {"reference": f"B{amount}", "raw": f"{amount}{facts}"} | facts
    return StatementLine(amount, DAY, DAY, **values)  # type: ignore[arg-type]


def statement(*lines: StatementLine, number: str = "41", account: str = OURS) -> Statement:
    return Statement(account, number, "PLN", lines, 0, sum(one.amount for one in lines), DAY, DAY)


async def read(conn: Connection, site: Site, *found: Statement, name: str = "plik.sta") -> list[int]:
    kept = await reading.keep(conn, site, name, repr((name, found)).encode(), found)
    assert kept is not None
    return kept[1]


async def customer(conn: Connection, number: str, name: str) -> int:
    one = await add_customer(conn, number, name)
    return (await ledger.open_accounts(conn, [one], TODAY))[one]


async def book(conn: Connection, site: Site, number: int, *, similar: bool = False) -> int | None:
    return await booking.begin(conn, site, number, 5, similar=similar, actor="office")


async def sums(conn: Connection, number: int) -> dict[str, int]:
    found = await store.statement(conn, number)
    assert found is not None
    parts = ("accounts", "suspense", "given_back", "waiting", "repeated", "outgoing", "reversals")
    assert sum(found.sums[part] for part in parts) == (found.came_in + found.went_out).grosze
    async for problem in lines_as_told(conn):
        raise AssertionError(problem)
    return {part: found.sums[part] for part in parts if found.sums[part]}


# --- rules ------------------------------------------------------------------------------------------------------------

ASKED = Asked(1, 10000, False, "", "", "", "", "")


def found(how: str, account: int = 1, **facts: object) -> Found:
    return Found(1, how, "x", account, account, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("points", "certainty", "account"),
    [
        ([found("own")], 1, 1),
        ([found("order")], 1, 1),
        ([found("number")], 0.9, 1),
        ([found("number"), found("name")], 1, 1),
        ([found("number"), found("payer")], 1, 1),
        ([found("number"), found("number", 2)], 0.4, 1),
        ([found("number"), found("number", 2, is_here=False)], 0.9, 1),
        ([found("payer")], 0.9, 1),
        ([found("payer"), found("payer", 2)], 0.5, 1),
        ([found("name", has_amount=True)], 0.7, 1),
        ([found("titled")], 0.95, 1),
        ([found("own"), found("order", 2)], 0.5, 1),
        ([found("own", is_closed=True)], 0.5, 1),
        ([], 0, None),
    ],
)
def test_rules(points: list[Found], certainty: float, account: int | None) -> None:
    match = decide(ASKED, points)
    assert (match.certainty, match.account) == (certainty, account)


def test_a_reversal_and_what_went_out_are_never_certain() -> None:
    assert decide(Asked(1, 5, True, "", "", "", "", ""), [found("own")]).certainty == 0.5
    assert decide(Asked(1, -5, False, "", "", "", "", ""), [found("own")]).account is None


# --- booking ----------------------------------------------------------------------------------------------------------


async def test_what_is_certain_is_booked_and_the_rest_waits(site: Site) -> None:
    async with acting(site) as conn:
        account = await customer(conn, "4711", "Jan Nowak")
        await customer(conn, "12", "Ewa Lis")
        (number,) = await read(
            conn,
            site,
            statement(
                line(10000, title="czynsz 4711", party_name="NOWAK JAN"),
                line(2000, title="czynsz 4711", party_name="Ktoś Inny"),
                line(3000, title="FV 12/2026"),
                line(-500, title="opłata"),
                line(400, title="zwrot opłaty", is_reversal=True),
            ),
        )
        assert await sums(conn, number) == {"waiting": 15400, "outgoing": -500}
        assert await book(conn, site, number) == 4
        assert await sums(conn, number) == {"accounts": 10000, "suspense": 5400, "outgoing": -500}
        assert (
            await conn.fetchval("select credited from payments.account_balance where account_id = $1", account) == 10000
        )
        with pytest.raises(Refused):
            await book(conn, site, number)


async def test_an_own_number_and_a_mask_of_it(site: Site) -> None:
    async with acting(site) as conn:
        account = await customer(conn, "4711", "Jan Nowak")
    owner = await asyncpg.connect(site.owner_dsn)
    try:
        await owner.execute("set role ebok_owner")
        await owner.execute("insert into payments.virtual_serial values ('1090101400000712', 19812874)")
        await owner.execute(
            "insert into payments.virtual_number (number, account_id) values ($1, $2)", VIRTUAL, account
        )
    finally:
        await owner.close()
    async with acting(site) as conn:
        (number,) = await read(
            conn,
            site,
            statement(line(100, paid_to=VIRTUAL), line(7, paid_to="000019812874"), line(9, paid_to="00000099")),
        )
        rows = await conn.fetch(
            "select certainty from payments.bank_line where statement = $1 order by line_no", number
        )
        assert [row["certainty"] for row in rows] == [100, 100, 0]
        await book(conn, site, number)
        assert await sums(conn, number) == {"accounts": 107, "suspense": 9}


async def test_nothing_is_booked_twice(site: Site) -> None:
    async with acting(site) as conn:
        first = statement(line(100, title="a"), line(200, title="b"))
        (one,) = await read(conn, site, first)
        assert await reading.keep(conn, site, "plik.sta", repr(("plik.sta", (first,))).encode(), [first]) is None
        await book(conn, site, one)
        (two,) = await read(conn, site, statement(*first.lines, line(300, title="c")), name="nowy.sta")
        assert await sums(conn, two) == {"repeated": 300, "waiting": 300}
        assert await book(conn, site, two) == 1
        (three,) = await read(conn, site, statement(*first.lines, number="11/M"), name="miesiac.sta")
        again = await store.statement(conn, three)
        assert again is not None
        assert again.sums["similar_lines"] == 2
        assert await book(conn, site, three) == 0
        assert await conn.fetchval("select sum(amount) from payments.incoming") == 600


async def test_two_clerks_at_once_book_once(site: Site) -> None:
    async with acting(site) as conn:
        (one,) = await read(conn, site, statement(line(100)))
        (two,) = await read(conn, site, statement(line(100), line(50)), name="b.sta")

    async def press(number: int) -> int | None:
        async with acting(site) as conn:
            return await book(conn, site, number)

    assert sum(count or 0 for count in await asyncio.gather(press(one), press(two))) == 2
    done = await asyncio.gather(press(one), press(two), return_exceptions=True)
    assert all(isinstance(one, Refused) for one in done)
    async with acting(site) as conn:
        assert await conn.fetchval("select sum(amount) from payments.incoming") == 150


async def test_a_statement_is_rolled_back_and_booked_again(site: Site) -> None:
    async with acting(site) as conn:
        account = await customer(conn, "4711", "Jan Nowak")
        (number,) = await read(
            conn, site, statement(line(10000, title="4711", party_name="Jan Nowak"), line(70, title="?"))
        )
        await book(conn, site, number)
    async with acting(site) as conn:
        assert await undoing.begin(conn, site, number, "zły plik", asker="7", actor="7") == 2
        assert await sums(conn, number) == {"waiting": 10070}
        assert await conn.fetchval("select sum(left_amount) from payments.incoming") == 0
    async with acting(site) as conn:
        assert await book(conn, site, number) == 2
        assert await sums(conn, number) == {"accounts": 10000, "suspense": 70}
        balance = await conn.fetchval("select balance from payments.account_balance where account_id = $1", account)
        assert balance == -10000


async def test_the_bank_takes_a_payment_back(site: Site) -> None:
    async with acting(site) as conn:
        account = await customer(conn, "4711", "Jan Nowak")
        (number,) = await read(
            conn,
            site,
            statement(line(900, title="4711", party_name="Jan Nowak"), line(-900, is_reversal=True, title="zwrot")),
        )
        await book(conn, site, number)
        taken = await conn.fetchrow("select id, reverses from payments.bank_line where is_reversal")
        assert taken is not None
        found = await store.line(conn, taken["id"])
        assert found is not None
        assert found["reversed_party"] == "Jan Nowak"
    async with acting(site) as conn:
        await booking.take_back(conn, found["reversed_incoming"], "zwrot z banku", TODAY)
        assert await sums(conn, number) == {"given_back": 900, "reversals": -900}
        assert await conn.fetchval("select balance from payments.account_balance where account_id = $1", account) == 0


async def test_a_long_statement_is_a_job_that_can_be_stopped_and_repeated(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(booking, "INLINE", 1)
    monkeypatch.setattr(booking, "AT_ONCE", 2)
    async with acting(site) as conn:
        await customer(conn, "4711", "Jan Nowak")
        lines = [line(100 + place, title="4711", party_name="Jan Nowak") for place in range(5)]
        (number,) = await read(conn, site, statement(*lines))
        assert await book(conn, site, number) is None
        await store.tell_progress(conn, number, 0)
        await store.stop(conn, number)
    job = {"statement": number, "similar": False, "actor": "office"}
    await booking.book_job(site, job)
    async with acting(site) as conn:
        assert await sums(conn, number) == {"waiting": 510}
        found = await store.statement(conn, number)
        assert found is not None
        assert (found.state, found.problem is not None) == ("ready", True)
        assert await book(conn, site, number) is None
    await booking.book_job(site, job)
    await booking.book_job(site, job)
    async with acting(site) as conn:
        assert await sums(conn, number) == {"accounts": 510}


async def test_a_person_teaches_whose_a_payer_is(site: Site) -> None:
    payer = "56114010810000267002001001"
    async with acting(site) as conn:
        account = await customer(conn, "4711", "Jan Nowak")
        (number,) = await read(conn, site, statement(line(100, party_account=payer)))
        await book(conn, site, number)
        incoming = (await store.incoming_of(conn, number))[0]
    async with site.db.transaction(Stamp("7", "admin")) as conn:
        await suspense.assign(conn, incoming, [suspense.PartDraft(account, Money(100))], TODAY)
    async with acting(site) as conn:
        (later,) = await read(conn, site, statement(line(200, party_account=payer), number="42"), name="b")
        row = await conn.fetchrow("select points_to, certainty from payments.bank_line where statement = $1", later)
        assert row is not None
        assert (row["points_to"], row["certainty"]) == (account, 90)


# --- pages ------------------------------------------------------------------------------------------------------------

FILE = "\r\n".join(
    (
        ":20:X",
        ":25:PL29101010100012345600004711",
        ":28C:{number}",
        ":60F:C261122PLN10,00",
        ":61:261123C{paid}NTRFNONREF//B1",
        ":86:020~00PRZELEW~20czynsz 4711~3156114010810000267002001001~32Jan Nowak",
        ":61:261123C2,00NTRFNONREF//B2",
        ":86:020~00PRZELEW~20nie wiem~32Ktos",
        ":62F:C261123PLN112,00",
        "-",
        "",
    )
)


async def upload(clerk: Visitor, content: bytes) -> Page:
    form = aiohttp.FormData()
    form.add_field("file", content, filename="wyciag.sta", content_type="text/plain")
    return await clerk.send("POST", "/admin/payments/bank/new", data=form)


async def test_a_clerk_reads_and_books_a_file(site: Site, office: Office) -> None:
    async with acting(site) as conn:
        account = await customer(conn, "4711", "Jan Nowak")
    clerk = await office.visitor(Role.ADMIN)
    assert (await clerk.get("/admin/payments/bank/new")).status == 200
    content = FILE.format(number="41", paid="100,00").encode()
    page = await upload(clerk, content)
    assert page.status == 303, page.text
    address = page.headers["Location"]
    shown = await clerk.get(address)
    assert "w tytule jest numer klienta 4711" in shown.text
    done = await clerk.post(address, {})
    assert done.status == 303
    assert (await clerk.post(address, {})).status == 422
    assert "do wyjaśnienia" in (await clerk.get(address)).text
    async with acting(site) as conn:
        assert (
            await conn.fetchval("select credited from payments.account_balance where account_id = $1", account) == 10000
        )
        lines = await conn.fetch("select id from payments.bank_line order by id")
    for row in lines:
        assert (await clerk.get(f"/admin/payments/bank/lines/{row['id']}")).status == 200
    again = await upload(clerk, content)
    assert again.status == 303
    assert "/admin/payments/bank?file=" in again.headers["Location"]
    gap = await upload(clerk, FILE.format(number="43", paid="100,00").replace("B1", "B8").replace("B2", "B9").encode())
    assert "nr 42" in (await clerk.get(gap.headers["Location"])).text


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0" + bytes(500), b"<x/>", b":20:X\n:86:x\n"])
async def test_what_is_no_bank_file_is_refused_at_its_field(site: Site, office: Office, content: bytes) -> None:
    clerk = await office.visitor(Role.ADMIN)
    page = await upload(clerk, content)
    assert page.status == 422
    assert 'id="f-file-error"' in page.text


async def test_what_does_not_add_up_is_shown_and_never_booked(site: Site, office: Office) -> None:
    clerk = await office.visitor(Role.ADMIN)
    page = await upload(clerk, FILE.format(number="41", paid="100,01").encode())
    address = page.headers["Location"]
    assert "100,01" in (await clerk.get(address)).text
    assert (await clerk.post(address, {})).status == 422
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.incoming") == 0
    assert (await clerk.post(f"{address}/delete", {})).status == 303
    assert (await clerk.get(address)).status == 404

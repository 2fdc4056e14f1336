"""Long bank files and roll backs as work beside the pages: left, stopped, broken off, repeated, confirmed."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from asyncio.events import Handle
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from kernel import Role, Site
from kernel.settings import save
from kernel.testing import Office, Page, Visitor
from plugins.payments import suspense
from plugins.payments.bank import booking, reading, store, undoing
from plugins.payments.books import store as books
from plugins.payments.settings import Settings
from tests.plugins.payments.ledger import TODAY, acting
from tests.plugins.payments.test_bank import FILE, customer, line, read, statement, sums

pytestmark = pytest.mark.ebok(plugins=["payments", "importers", "mt940", "camt053"])


@pytest.fixture
def site(site: Site) -> Site:
    site.clock.move_to(datetime(2026, 11, 24, 12, tzinfo=UTC))
    return site


def long_file(lines: int, number: str = "41", about: str = "czynsz 4711") -> bytes:
    entries = "".join(
        f":61:261123C1,00NTRFNONREF//B{place}\r\n:86:020~00PRZELEW~20{about}~21{place}~32Jan Nowak\r\n"
        for place in range(lines)
    )
    head = f":20:X\r\n:25:PL29101010100012345600004711\r\n:28C:{number}\r\n:60F:C261122PLN10,00\r\n"
    return f"{head}{entries}:62F:C261123PLN{10 + lines},00\r\n-\r\n".encode()


async def upload(clerk: Visitor, content: bytes) -> Page:
    form = aiohttp.FormData()
    form.add_field("file", content, filename="wyciag.sta", content_type="text/plain")
    return await clerk.send("POST", "/admin/payments/bank/new", data=form)


async def payload_of(site: Site, kind: str) -> dict[str, Any]:
    async with acting(site) as conn:
        return await conn.fetchval(
            "select convert_from(payload, 'utf8')::jsonb from kernel.pgqueuer where entrypoint = $1 order by id desc"
            " limit 1",
            kind,
        )


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_a_long_file_is_read_beside_the_page(site: Site, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_AT_ONCE", 1000)
    monkeypatch.setattr(reading, "PIECE", 2000)
    async with acting(site) as conn:
        await customer(conn, "4711", "Jan Nowak")
    clerk = await office.visitor(Role.ADMIN)
    content = long_file(1200)
    page = await upload(clerk, content)
    assert page.status == 303
    address = page.headers["Location"]
    assert re.fullmatch(r"/admin/payments/bank/files/\d+", address)
    assert 'data-progress="reading"' in (await clerk.get(address)).text
    assert "wyciag.sta" in (await clerk.get("/admin/payments/bank")).text
    assert (await upload(clerk, content)).headers["Location"] == address, "a second clerk sees the same work"

    job = await payload_of(site, "payments.bank_read")
    await asyncio.gather(reading.read_job(site, job), reading.read_job(site, job))
    done = await clerk.get(address)
    assert done.status == 303
    async with acting(site) as conn:
        counted = await conn.fetchrow(
            "select (select count(*) from payments.bank_line) as lines, (select count(*) from payments.bank_piece) as"
            " pieces, (select count(*) from payments.bank_statement where state = 'ready') as ready,"
            " (select count(*) from payments.bank_reading) as telling,"
            " (select count(*) from payments.bank_line where certainty = 100) as certain"
        )
    assert dict(counted or {}) == {"lines": 1200, "pieces": 0, "ready": 1, "telling": 0, "certain": 1200}
    assert "/admin/payments/bank?file=" in (await upload(clerk, content)).headers["Location"]


async def test_reading_can_be_stopped_and_begun_again(
    site: Site, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LONGEST_AT_ONCE", 1000)
    clerk = await office.visitor(Role.ADMIN)
    address = (await upload(clerk, long_file(600))).headers["Location"]
    assert (await clerk.post(f"{address}/stop", {})).status == 303
    await reading.read_job(site, await payload_of(site, "payments.bank_read"))
    assert "przerwane" in (await clerk.get(address)).text
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.bank_line") == 0
        assert await conn.fetchval("select count(*) from payments.bank_piece") == 0
    assert (await upload(clerk, long_file(600))).headers["Location"] == address
    await reading.read_job(site, await payload_of(site, "payments.bank_read"))
    assert (await clerk.get(address)).status == 303


async def test_a_long_file_that_breaks_off_leaves_nothing_but_the_reason(
    site: Site, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LONGEST_AT_ONCE", 1000)
    clerk = await office.visitor(Role.ADMIN)
    xml = b'<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><Stmt>'
    page = await upload(clerk, xml + b"<Id>1</Id>" * 500)
    address = page.headers["Location"]
    await reading.read_job(site, await payload_of(site, "payments.bank_read"))
    assert "uszkodzony" in (await clerk.get(address)).text
    assert (await upload(clerk, bytes(5000))).status == 422, "what is no bank file is refused at once"


async def test_twenty_thousand_lines_never_hold_the_loop_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """No turn of the loop takes more than 50 ms of the processor, in the request's part and in the job's."""
    async with acting(site) as conn:
        await customer(conn, "4711", "Jan Nowak")
    content = long_file(20_000)
    long: list[str] = []
    run = Handle._run  # pyright: ignore[reportPrivateUsage]

    def measured(self: Handle) -> None:
        started = time.thread_time()
        run(self)
        if time.thread_time() - started > 0.05:
            long.append(f"{(time.thread_time() - started) * 1000:.0f} ms in {self!r}")

    monkeypatch.setattr(Handle, "_run", measured)
    gc.disable()  # a collection belongs to no turn
    async with acting(site) as conn:
        assert await reading.begin(conn, site, "wyciag.sta", content, actor="7") is not None
    await reading.read_job(site, await payload_of(site, "payments.bank_read"))
    gc.enable()
    async with acting(site) as conn:
        assert await conn.fetchval("select count(*) from payments.bank_line where certainty = 100") == 20_000
    assert not long


# --- rolling back -----------------------------------------------------------------------------------------------------


async def booked(site: Site, lines: int) -> tuple[int, int]:
    """A booked statement of so many certain lines and one that waits: its number and the account."""
    async with acting(site) as conn:
        account = await customer(conn, "4711", "Jan Nowak")
        found = [line(100 + place, title="4711", party_name="Jan Nowak") for place in range(lines)]
        (number,) = await read(conn, site, statement(*found, line(7, title="?")))
        await booking.begin(conn, site, number, 5, similar=False, actor="7")
        if booking.two_people(site):
            await booking.book_job(site, {"statement": number, "similar": False, "actor": "7"})
    return number, account


async def reversals(site: Site) -> int:
    async with acting(site) as conn:
        return await conn.fetchval("select count(*) from payments.entry where kind = 'reversal' and state = 'approved'")


async def begun(site: Site, number: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(undoing, "INLINE", 1)
    monkeypatch.setattr(undoing, "PIECE", 2)
    async with acting(site) as conn:
        assert await undoing.begin(conn, site, number, "zły plik", asker="7", actor="7") is None
    return await payload_of(site, "payments.bank_undo")


async def state_of(site: Site, number: int) -> store.Kept:
    async with acting(site) as conn:
        found = await store.statement(conn, number)
    assert found is not None
    return found


async def test_a_long_statement_is_rolled_back_in_pieces_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    number, account = await booked(site, 5)
    job = await begun(site, number, monkeypatch)
    assert (await state_of(site, number)).state == "undoing"
    await asyncio.gather(undoing.undo_job(site, job), undoing.undo_job(site, job))
    await undoing.undo_job(site, job)
    assert (await state_of(site, number)).state == "ready"
    assert await reversals(site) == 5
    async with acting(site) as conn:
        assert await sums(conn, number) == {"waiting": 517}
        assert await conn.fetchval("select sum(left_amount) from payments.incoming") == 0
        assert await conn.fetchval("select balance from payments.account_balance where account_id = $1", account) == 0
        assert await booking.begin(conn, site, number, 5, similar=False, actor="7") == 6
        assert await sums(conn, number) == {"accounts": 510, "suspense": 7}


async def test_a_roll_back_that_was_stopped_goes_on_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    number, _account = await booked(site, 5)
    job = await begun(site, number, monkeypatch)
    async with acting(site) as conn:
        await store.stop(conn, number)
    await undoing.undo_job(site, job)
    found = await state_of(site, number)
    assert (found.state, found.sums["booked_lines"], found.booked_at is not None) == ("booked", 4, True)
    assert found.problem is not None
    await undoing.undo_job(site, await begun(site, number, monkeypatch))
    assert (await state_of(site, number)).state == "ready"
    assert await reversals(site) == 5


async def test_a_line_that_cannot_be_rolled_back_stays_and_says_why(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, _account = await booked(site, 3)
    async with acting(site) as conn:
        stubborn = (await store.incoming_of(conn, number))[1]
    take_out = store.take_out

    async def refusing(conn: Any, incoming: Any, why: str) -> None:
        if stubborn in incoming:
            raise booking.Refused(booking.ALREADY)
        await take_out(conn, incoming, why)

    job = await begun(site, number, monkeypatch)
    with monkeypatch.context() as wrong:
        wrong.setattr(store, "take_out", refusing)
        await undoing.undo_job(site, job)
    found = await state_of(site, number)
    assert (found.state, found.sums["booked_lines"]) == ("booked", 1)
    assert found.problem is not None
    assert found.problem.message == booking.ALREADY.message
    assert await reversals(site) == 2


async def test_what_a_clerk_undid_meanwhile_is_reversed_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    number, _account = await booked(site, 2)
    job = await begun(site, number, monkeypatch)
    async with acting(site) as conn:
        found = await suspense.line(conn, (await store.incoming_of(conn, number))[0])
        assert found is not None
        await suspense.undo(conn, found.parts[0], "pomyłka", TODAY)
    await undoing.undo_job(site, job)
    assert (await state_of(site, number)).state == "ready"
    assert await reversals(site) == 2


@pytest.mark.parametrize("lines_at_once", [500, 1])
async def test_where_two_people_are_wanted_another_one_confirms(
    site: Site, office: Office, monkeypatch: pytest.MonkeyPatch, lines_at_once: int
) -> None:
    monkeypatch.setattr(undoing, "INLINE", lines_at_once)
    async with acting(site) as conn:
        await save(site, conn, "payments", Settings.model_validate({"approver_differs": True}))
        await books.set_first_payee(conn, "29101010100012345600004711", site.clock.now())
        account = await customer(conn, "4711", "Jan Nowak")
    first, second = await office.visitor(Role.ADMIN), await office.visitor(Role.SUPERADMIN)
    address = (await upload(first, FILE.format(number="41", paid="100,00").encode())).headers["Location"]
    assert (await first.post(address, {})).status == 303
    await booking.book_job(site, await payload_of(site, "payments.bank_book"))
    number = int(address.rsplit("/", 1)[1])

    async def balance() -> int:
        async with acting(site) as conn:
            return await conn.fetchval("select balance from payments.account_balance where account_id = $1", account)

    assert await balance() == -10000
    assert (await first.post(f"{address}/undo/confirm", {})).status == 422, "nobody asked"
    assert (await first.post(f"{address}/undo", {"reason": "zły plik"})).status == 303
    assert (await first.post(f"{address}/undo", {"reason": "zły plik"})).status == 422, "once is enough"
    assert (await first.post(f"{address}/undo/confirm", {})).status == 422, "not the one who asked"
    assert await balance() == -10000
    assert "zły plik" in (await second.get(address)).text
    assert (await second.post(f"{address}/undo/withdraw", {})).status == 303
    assert (await first.post(f"{address}/undo", {"reason": "jednak zły plik"})).status == 303
    assert (await second.post(f"{address}/undo/confirm", {})).status == 303
    if lines_at_once == 1:
        await undoing.undo_job(site, await payload_of(site, "payments.bank_undo"))
    assert await balance() == 0
    assert (await state_of(site, number)).state == "ready"
    async with acting(site) as conn:
        people = await conn.fetchrow(
            "select created_by <> approved_by as differ from payments.entry where kind = 'reversal'"
        )
    assert people is not None
    assert people["differ"]


# --- figures ----------------------------------------------------------------------------------------------------------


async def test_every_figure_opens_the_lines_that_make_it(site: Site, office: Office) -> None:
    number, _account = await booked(site, 2)
    clerk = await office.visitor(Role.ADMIN)
    address = f"/admin/payments/bank/{number}"
    page = (await clerk.get(address)).text
    assert f"{address}?place=accounts#lines" in page
    for place, lines in (("came_in", 3), ("accounts", 2), ("suspense", 1), ("certain", 2), ("waiting", 0)):
        table = (await clerk.get(f"{address}?place={place}&format=csv")).text
        assert len(table.strip().splitlines()) - 1 == lines, place

"""From a request to an answer, on a real server and database: guards, forms, transactions, keys, contributions."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import FormData

from kernel import Role
from kernel.site import Site
from kernel.testing import Office
from tests.plugins_for_tests import probe

pytestmark = pytest.mark.ebok(plugins=[], modules={"probe": probe})


async def notes_of(site: Site) -> list[str]:
    async with site.db.connection() as conn:
        return [row["text"] for row in await conn.fetch("select text from probe.note order by id")]


def key_in(page: str) -> str:
    found = re.search(r'name="_key" value="([^"]+)"', page)
    assert found
    return found[1]


# --- the guard ------------------------------------------------------------------------------------------------------


async def test_a_visitor_is_sent_to_the_login_and_back(office: Office) -> None:
    client = await office.visitor()
    page = await client.get("/probe?limit=5")
    assert page.status == 303
    assert page.headers["Location"] == "/login?next=/probe?limit%3D5"
    api = await client.get("/api/v1/probe")
    assert api.status == 401
    assert api.headers["WWW-Authenticate"] == "Bearer"
    assert api.headers["Content-Type"].startswith("application/problem+json")
    assert api.json()["status"] == 401


async def test_a_missing_permission_is_403(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    assert (await client.get("/admin/probe")).status == 403
    assert (await client.get("/probe")).status == 200


async def test_superadmin_mode_must_be_on(office: Office) -> None:
    client = await office.visitor(Role.SUPERADMIN)
    refused = await client.get("/admin/probe/power")
    assert refused.status == 403
    assert "trybie superadministratora" in refused.text
    client = await office.visitor(Role.SUPERADMIN, mode=True)
    assert (await client.get("/admin/probe/power")).status == 200


async def test_a_starter_password_is_changed_first(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    async with office.site.db.connection() as conn:
        await conn.execute("update kernel.users set must_change_password = true")
    page = await client.get("/probe")
    assert page.status == 303
    assert page.headers["Location"].startswith("/account")
    assert (await client.get("/api/v1/probe")).status == 403


@pytest.mark.parametrize("number", ["9223372036854775808", "0" * 400, "٣"])
async def test_ids_that_no_database_holds_do_not_exist(office: Office, number: str) -> None:
    client = await office.visitor(Role.CUSTOMER)
    assert (await client.get(f"/probe/{number}")).status == 404


async def test_no_customer_in_view_is_404(office: Office) -> None:
    client = await office.visitor()
    assert (await client.get("/api/v1/probe/whose")).status == 404


async def test_an_expired_session_is_a_visitor(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    office.site.clock.move_to(office.site.clock.now() + timedelta(hours=13))
    assert (await client.get("/probe")).status == 303


# --- forms and queries ----------------------------------------------------------------------------------------------


async def test_a_form_is_saved_and_says_so_once(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    saved = await client.post("/probe", {"text": "milk", "amount": "12,5"})
    assert (saved.status, saved.headers["Location"]) == (303, "/probe")
    page = await client.get("/probe")
    assert "Note saved: milk" in page.text
    assert "milk=1250" in page.text
    again = await client.get("/probe")
    assert "Note saved" not in again.text


async def test_a_refused_form_keeps_what_was_typed(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    sent = {"text": "x" * 21, "amount": "1e3", "day": "31.02.2026", "password": "hunter2", "_key": "the-key"}
    refused = await client.post("/probe", sent)
    page = refused.text
    assert refused.status == 422
    assert "x" * 21 in page
    assert "1e3" in page
    assert "hunter2" not in page
    assert page.count('aria-invalid="true"') == 3
    assert key_in(page) == "the-key"
    assert await notes_of(office.site) == []


async def test_a_handler_refuses_and_everything_is_rolled_back(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    refused = await client.post("/probe", {"text": "refuse", "amount": "1", "_key": "k"})
    assert refused.status == 422
    assert "This note is not welcome" in refused.text
    assert await notes_of(office.site) == []
    corrected = await client.post("/probe", {"text": "tea", "amount": "1", "_key": "k"})
    assert corrected.status == 303
    assert await notes_of(office.site) == ["tea"]


async def test_a_crash_rolls_back_and_tells_nothing(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    crashed = await client.post("/probe", {"text": "crash", "amount": "1"})
    page = crashed.text
    assert crashed.status == 500
    assert "secret" not in page
    assert crashed.headers["X-Request-Id"] in page
    assert await notes_of(office.site) == []


async def test_a_nul_byte_is_an_error_at_its_field(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    refused = await client.post("/probe", {"text": "a\x00b", "amount": "1"})
    assert refused.status == 422
    assert "nie da się zapisać" in refused.text


async def test_a_wrong_query_shows_the_page_with_defaults(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    page = await client.get("/probe?limit=many&text=x")
    assert page.status == 422
    assert "limit=10" in page.text
    assert (await client.get("/probe?limit=7")).status == 200
    assert (await client.get("/probe?limit=")).status == 200
    assert (await client.get("/api/v1/probe?limit=0")).status == 422


async def test_the_api_names_every_wrong_place(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    refused = await client.send("POST", "/api/v1/probe", json={"lines": [{"amount": "1"}, {"amount": "-1"}]})
    assert refused.status == 422
    problem = refused.json()
    assert [error["pointer"] for error in problem["errors"]] == ["#/text", "#/lines/1/amount"]
    done = await client.send("POST", "/api/v1/probe", json={"text": "t", "lines": [{"amount": "1,10"}]})
    assert (done.status, done.json()) == (200, {"texts": ["t"]})


# --- once -----------------------------------------------------------------------------------------------------------


async def test_a_form_sent_twice_is_done_once(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    form = {"text": "rent", "amount": "10", "_key": key_in((await client.get("/probe")).text)}
    first = await client.post("/probe", form)
    second = await client.post("/probe", form)
    assert (first.status, second.status) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]
    assert "ebok-flash=" in second.headers["Set-Cookie"]
    assert await notes_of(office.site) == ["rent"]
    other = await client.post("/probe", {**form, "amount": "11"})
    assert other.status == 409


async def test_a_form_sent_many_times_at_once_is_done_once(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    form = {"text": "rent", "amount": "10", "_key": "impatient"}
    answers = await asyncio.gather(*(client.post("/probe", form) for _ in range(5)))
    assert {answer.status for answer in answers} == {303}
    assert await notes_of(office.site) == ["rent"]


async def test_an_api_call_sent_twice_is_done_once(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    headers = {"Idempotency-Key": "abc"}
    answers = [await client.send("POST", "/api/v1/probe", json={"text": "one"}, headers=headers) for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"texts": ["one"]}] * 2
    assert await notes_of(office.site) == ["one"]


async def test_another_transaction_in_the_way_is_tried_again(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    probe.attempts.clear()
    done = await client.post("/probe/clash")
    assert done.status == 303
    assert await notes_of(office.site) == ["attempt 3"]


# --- contributions and connections ----------------------------------------------------------------------------------


async def test_contributions_stand_in_order_and_a_failing_one_blanks_its_place(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    page = (await client.get("/probe")).text
    assert page.index("part first") < page.index("part second")
    assert 'class="card unavailable"' in page.partition("<aside>")[2]


async def test_round_trips_of_a_page(office: Office) -> None:
    client = await office.visitor(Role.CUSTOMER)
    await client.get("/probe")
    before = office.site.db.statements
    await client.get("/probe")
    assert office.site.db.statements - before == 3  # session, notes, the failing contribution


async def test_no_connection_is_held_while_a_template_renders(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from kernel.web import routing

    client = await office.visitor(Role.CUSTOMER)
    pool = await office.site.db.open()
    held: list[int] = []
    render = routing.render

    def watching(*arguments: Any) -> str:
        held.append(pool.get_size() - pool.get_idle_size())
        return render(*arguments)

    monkeypatch.setattr(routing, "render", watching)
    await client.get("/probe")
    await client.post("/probe", {})
    assert held == [0, 0]


async def test_pages_without_statements_need_no_database(office: Office) -> None:
    client = await office.visitor()
    assert (await client.get("/probe/plain")).status == 200
    office.site.db.dsn = "postgresql://nobody@127.0.0.1:9/none"
    await office.site.db.close()
    assert (await client.get("/probe/plain")).status == 200
    away = await client.get("/probe", headers={"Cookie": "ebok=token"})
    assert away.status == 503
    assert away.headers["Retry-After"]
    assert "Spróbuj ponownie za minutę" in away.text


# --- files ----------------------------------------------------------------------------------------------------------


async def test_a_file_has_a_safe_name_in_both_spellings(office: Office) -> None:
    client = await office.visitor()
    answer = await client.get("/probe/pdf")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == (
        "inline; filename=\"gesla _jazn_.pdf\"; filename*=UTF-8''g%C4%99%C5%9Bl%C4%85%20%22ja%C5%BA%C5%84%22.pdf"
    )


async def test_an_upload_arrives_whole(office: Office) -> None:
    client = await office.visitor()
    form = FormData()
    form.add_field("title", "list")
    form.add_field("file", b"zawarto\xc5\x9b\xc4\x87", filename="list.txt", content_type="text/plain")
    answer = await client.send("POST", "/probe/paper", data=form)
    assert answer.status == 200
    assert answer.text == "zawartość"
    assert 'filename="list.txt"' in answer.headers["Content-Disposition"]

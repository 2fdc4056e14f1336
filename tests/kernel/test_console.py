"""The shell of the console and the first pages: what everybody sees, and what nobody else does."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from kernel import (
    ACTOR,
    Card,
    Money,
    Nav,
    Plugin,
    QueueItem,
    Request,
    Role,
    SearchHit,
    Tab,
    Verb,
    _,
    audit,
    enqueue,
    hookimpl,
)
from kernel.db.pool import Stamp
from kernel.people import store as people
from kernel.people.model import CustomerData
from kernel.settings import load, settings_of
from kernel.testing import Office, Page

CARD = "kernel/card.html"


class Rules(BaseModel):
    title: str = Field(default="Regulations", title="Heading", min_length=1, max_length=40)
    note: str = Field(default="", title="Note")
    limit: Money = Field(default=Money(1000), title="Limit")
    days: int = Field(default=14, title="Days", ge=1)
    strict: bool = Field(default=False, title="Strict")
    key: SecretStr = Field(default=SecretStr(""), title="Key")


parts: Any = types.ModuleType("parts")
parts.plugin = Plugin(api=1, settings=Rules)
broken = False


@hookimpl
def register_audit_verbs() -> list[Verb]:
    return [Verb("parts.paid", _("paid {amount}"))]


@hookimpl
def register_navigation() -> list[Nav]:
    return [Nav(_("Mine"), "kernel.search")]


@hookimpl
async def customer_cards(request: Request) -> Sequence[Card]:
    return [Card(_("Mine"), CARD, {"label": "x", "body": f"card of {request[ACTOR].customer}"})]


@hookimpl
async def dashboard_cards(request: Request) -> Sequence[Card]:
    return [Card(_("Numbers"), CARD, {"label": "x", "body": "forty two"})]


@hookimpl
async def queue_items(request: Request) -> Sequence[QueueItem]:
    if broken:
        raise RuntimeError("the part is broken")
    return [QueueItem(_("{count} things", count=3), 3, "/admin/things"), QueueItem(_("none"), 0, "/admin/none")]


@hookimpl
async def customer_tabs(request: Request, customer: int) -> Sequence[Tab]:
    return [Tab("parts.tab", _("A part"), CARD, {"label": "x", "body": f"tab of {customer}"})]


@hookimpl
async def search(request: Request, text: str) -> Sequence[SearchHit]:
    return [SearchHit(_("Thing"), f"«{text}» & co", "details", "/admin/things/1")] if text != "nothing" else []


for implementation in (
    register_audit_verbs,
    register_navigation,
    customer_cards,
    dashboard_cards,
    queue_items,
    customer_tabs,
    search,
):
    setattr(parts, implementation.__name__, implementation)

pytestmark = pytest.mark.ebok(plugins=[], modules={"parts": parts})


async def customer_of(office: Office, number: str = "K/1", name: str = "Żaneta Łącka") -> int:
    async with office.site.db.transaction(Stamp("test")) as conn:
        customer = await people.add_customer(conn, CustomerData(customer_no=number, name=name, city="Łódź"))
        await audit(conn, "parts.paid", customer=customer, amount=Money(123456))
    return customer


def shows(page: Page, *texts: str) -> None:
    assert page.status == 200, page.text
    for text in texts:
        assert text in page.text


async def test_a_visitor_is_led_to_the_login(office: Office) -> None:
    visitor = await office.visitor()
    for path in ("/", "/admin/", "/admin/search?q=x", "/admin/audit", "/admin/settings", "/admin/customers/1"):
        page = await visitor.get(path)
        assert (page.status, page.headers["Location"].split("?")[0]) == (303, "/login")


async def test_a_customer_has_a_home_and_no_console(office: Office) -> None:
    customer = await customer_of(office)
    visitor = await office.visitor(Role.CUSTOMER, customer)
    shows(await visitor.get("/"), f"card of {customer}")
    for path in ("/admin/", "/admin/search", "/admin/audit", "/admin/jobs", "/admin/mail", "/admin/plugins"):
        assert (await visitor.get(path)).status == 403
    assert (await visitor.get(f"/admin/customers/{customer}")).status == 403


async def test_a_login_without_a_customer_is_told_what_to_do(office: Office) -> None:
    page = await (await office.visitor(Role.CUSTOMER)).get("/")
    assert page.status == 200
    assert "card of" not in page.text


async def test_the_office_is_led_from_home_to_the_console(office: Office) -> None:
    visitor = await office.visitor(Role.ADMIN)
    for path in ("/", "/admin"):
        page = await visitor.get(path)
        assert (page.status, page.headers["Location"]) == (303, "/admin/")
    page = await visitor.get("/admin/")
    shows(page, "forty two", "/admin/things")
    assert "/admin/none" not in page.text


async def test_a_broken_part_leaves_the_desk_standing(office: Office) -> None:
    global broken
    broken = True
    try:
        shows(await (await office.visitor(Role.ADMIN)).get("/admin/"), "forty two", "parts")
    finally:
        broken = False


async def test_search_shows_hits_escaped_and_says_when_there_are_none(office: Office) -> None:
    visitor = await office.visitor(Role.ADMIN)
    shows(await visitor.get("/admin/search?q=%3Cb%3E"), "«&lt;b&gt;» &amp; co", "/admin/things/1")
    page = await visitor.get("/admin/search?q=nothing")
    shows(page)
    assert "/admin/things/1" not in page.text
    shows(await visitor.get("/admin/search"))


async def test_the_page_of_a_customer_has_facts_tabs_and_history(office: Office) -> None:
    customer = await customer_of(office)
    visitor = await office.visitor(Role.ADMIN)
    shows(
        await visitor.get(f"/admin/customers/{customer}"), "Żaneta Łącka", "K/1", f"tab of {customer}", "1\u00a0234,56"
    )
    for unknown in (customer + 1, 2**63 - 1, 2**70):
        assert (await visitor.get(f"/admin/customers/{unknown}")).status == 404


async def test_pages_of_the_shell_ask_the_database_at_most_three_times(office: Office) -> None:
    customer = await customer_of(office)
    visitor = await office.visitor(Role.SUPERADMIN)
    settings: Any = sys.modules["kernel.settings"]
    paths = ("/admin/", "/admin/jobs", "/admin/audit", "/admin/mail", "/admin/plugins", "/admin/settings")
    for path in (*paths, f"/admin/customers/{customer}", "/admin/settings/parts"):
        await visitor.get(path)
        settings._changed_at = float("-inf")
        before = office.site.db.statements
        shows(await visitor.get(path))
        assert office.site.db.statements - before <= 3, path


async def test_the_history_reads_filters_and_exports(office: Office) -> None:
    await customer_of(office)
    await customer_of(office, "K/2", "Jan Kos")
    visitor = await office.visitor(Role.ADMIN)
    page = await visitor.get("/admin/audit?customer_no=K/2&since=01.01.2020&verb=parts")
    shows(page, "1\u00a0234,56", "K/2")
    assert ">K/1<" not in page.text
    for path in ("?who=nobody", "?until=01.01.2020", "?verb=payments", "?request=none"):
        assert "1\u00a0234,56" not in (await visitor.get(f"/admin/audit{path}")).text
    assert "K/1" in (await visitor.get("/admin/audit?format=csv")).text
    assert (await visitor.get("/admin/audit?since=tomorrow")).status == 422


async def fail_a_job(office: Office) -> int:
    async with office.site.db.transaction(Stamp("test")) as conn:
        job = await enqueue(conn, "gone.kind", {})
        await conn.execute("update kernel.pgqueuer set status = 'failed' where id = $1", job)
    return job


async def test_a_failed_job_is_shown_retried_and_discarded(office: Office) -> None:
    visitor = await office.visitor(Role.ADMIN)
    shows(await visitor.get("/admin/jobs"))
    job = await fail_a_job(office)
    shows(await visitor.get("/admin/"), "/admin/jobs")
    shows(await visitor.get("/admin/jobs"), "gone.kind", f"/admin/jobs/{job}/retry")
    assert (await visitor.post(f"/admin/jobs/{job}/retry")).status == 303
    assert (await visitor.post(f"/admin/jobs/{job}/retry")).status == 404
    job = await fail_a_job(office)
    assert (await visitor.post(f"/admin/jobs/{job}/discard")).status == 303
    async with office.site.db.connection() as conn:
        assert await conn.fetchval("select count(*) from kernel.pgqueuer where id = $1", job) == 0


async def test_letters_are_listed(office: Office) -> None:
    async with office.site.db.transaction(Stamp("test")) as conn:
        from kernel.mail import send_mail

        await send_mail(conn, "jan@example.org", "Wezwanie", "x")
    visitor = await office.visitor(Role.ADMIN)
    shows(await visitor.get("/admin/mail?state=queued"), "jan@example.org", "Wezwanie")
    assert "jan@example.org" not in (await visitor.get("/admin/mail?state=sent")).text


async def test_plugins_and_the_matrix_of_rights_are_shown(office: Office) -> None:
    visitor = await office.visitor(Role.ADMIN)
    await visitor.get("/admin/")
    shows(await visitor.get("/admin/plugins"), "parts", "kernel.settings", "dashboard_cards")


async def test_settings_are_the_superadministrators(office: Office) -> None:
    for role in (Role.CUSTOMER, Role.ADMIN):
        visitor = await office.visitor(role)
        assert (await visitor.get("/admin/settings")).status == 403
        assert (await visitor.post("/admin/settings/parts", {"title": "x"})).status == 403


SENT = {"title": "Zasady", "note": "", "limit": "1 234,56", "days": "30", "strict": "true", "key": "sekret"}


async def test_settings_are_saved_from_their_generated_form(office: Office) -> None:
    visitor = await office.visitor(Role.SUPERADMIN)
    shows(await visitor.get("/admin/settings"), "/admin/settings/kernel", "/admin/settings/parts")
    shows(await visitor.get("/admin/settings/parts"), "Heading", "10,00", 'name="key"')
    assert (await visitor.post("/admin/settings/parts", SENT)).status == 303
    await load(office.site)
    kept = settings_of(office.site, "parts")
    assert kept == Rules(title="Zasady", limit=Money(123456), days=30, strict=True, key=SecretStr("sekret"))
    page = await visitor.get("/admin/settings/parts")
    shows(page, "Zasady")
    assert "sekret" not in page.text
    assert (await visitor.post("/admin/settings/parts", {**SENT, "key": "", "days": "7"})).status == 303
    await load(office.site)
    changed = settings_of(office.site, "parts")
    assert isinstance(changed, Rules)
    assert (changed.key.get_secret_value(), changed.days) == ("sekret", 7)
    async with office.site.db.connection() as conn:
        facts = await conn.fetch("select facts::text from kernel.audit_log where verb = 'kernel.settings_changed'")
    assert len(facts) == 2
    assert "sekret" not in str([row["facts"] for row in facts])


@pytest.mark.parametrize(
    ("field", "value"),
    [("title", ""), ("title", "x" * 41), ("days", ""), ("days", "0"), ("limit", "1e3"), ("title", "a\x00b")],
)
async def test_wrong_settings_are_refused_and_kept_as_typed(office: Office, field: str, value: str) -> None:
    visitor = await office.visitor(Role.SUPERADMIN)
    page = await visitor.post("/admin/settings/parts", {**SENT, field: value, "note": "as typed"})
    assert page.status == 422
    assert "as typed" in page.text
    assert "aria-invalid" in page.text
    await load(office.site)
    assert settings_of(office.site, "parts") == Rules()


async def test_settings_of_no_plugin_do_not_exist(office: Office) -> None:
    visitor = await office.visitor(Role.SUPERADMIN)
    for path in ("/admin/settings/gone", "/admin/settings/payments"):
        assert (await visitor.get(path)).status == 404
        assert (await visitor.post(path, {"a": "b"})).status == 404


async def test_the_organisations_name_is_on_the_next_page(office: Office) -> None:
    visitor = await office.visitor(Role.SUPERADMIN)
    page = await visitor.post("/admin/settings/kernel", {"name": "SM Przykład", "language": "pl"})
    assert page.status == 303
    shows(await visitor.get("/admin/settings"), "SM Przykład")


async def test_the_timeline_goes_back_page_by_page_and_has_the_logins(office: Office) -> None:
    customer = await customer_of(office)
    tenant = await office.visitor(Role.CUSTOMER, customer)
    async with office.site.db.transaction(Stamp("test")) as conn:
        for grosze in range(1, 121):
            await audit(conn, "parts.paid", customer=customer, amount=Money(100 * grosze))
    async with office.site.db.transaction(Stamp(str(tenant.user), "customer")) as conn:
        await audit(conn, "kernel.logged_in")
    visitor = await office.visitor(Role.ADMIN)
    page = (await visitor.get(f"/admin/customers/{customer}")).text
    assert "zalogowanie" in page
    assert "120,00" in page
    assert ">100,00" not in page
    seen: list[str] = []
    path: str | None = f"/admin/customers/{customer}/timeline"
    while path:
        page = (await visitor.get(path)).text
        seen += re.findall(r"(\d+),00", page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else None
    assert [int(one) for one in seen if int(one) <= 120][:120] == list(range(120, 0, -1))
    assert (await visitor.get(f"/admin/customers/{customer}/timeline?before=0")).status in {400, 404, 422}
    assert (await visitor.get(f"/admin/customers/{customer + 1}/timeline")).status == 404
    assert (await tenant.get(f"/admin/customers/{customer}/timeline")).status == 403


async def test_places_stand_in_lists_under_headings_and_a_foreign_one_under_more(office: Office) -> None:
    superadmin = await office.visitor(Role.SUPERADMIN)
    page = (await superadmin.get("/admin/")).text
    rail = page.split('<nav class="places"')[1].split("</nav>")[0]
    parts = re.split(r"<h2 id=", rail)
    assert 'href="/admin/"' in parts[0], "the first page stands before all headings"
    headings = re.findall(r'<h2 id="(places-\d+)">([^<]+)</h2>', rail)
    assert [words for _id, words in headings] == ["Inne", "Ustawienia i nadzór"]
    for number, _words in headings:
        assert f'<ul aria-labelledby="{number}">' in rail
    assert 'href="/admin/search"' in parts[1]
    assert 'href="/admin/users"' in parts[2]
    assert rail.count("aria-current") == 1

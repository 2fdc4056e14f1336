"""What the ledger tells of a customer's days, in one statement, among what the office did."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from kernel.plugin.permissions import Role
from kernel.testing import Office
from tests.plugins.payments.ledger import TODAY, Book, acting

pytestmark = pytest.mark.ebok(plugins=["customers", "payments"])


def said(page: str) -> list[str]:
    """Days and lines of the timeline, without markup."""
    part = (
        page.split('id="history"')[-1] if 'id="history"' in page else page.split('<section class="card timeline">')[1]
    )
    found = re.findall(r"<h3>(.*?)</h3>|<li>(.*?)(?:</li>|\n)", part.split("</section>")[0])
    return [re.sub(r"<[^>]+>", "", day or line).replace("\u00a0", " ").strip() for day, line in found]


async def test_each_day_says_what_was_charged_paid_and_undone_and_leads_to_it(office: Office) -> None:
    async with acting(office.site) as conn:
        book = await Book.opened(conn)
        (charge,) = await book.post(book.charge(51_240, date(2026, 10, 10), issued_on=date(2026, 10, 1)))
        await book.post(*(book.charge(1_000 * n, date(2026, 11, 10), issued_on=date(2026, 11, 1)) for n in (1, 2, 3)))
        (paid,) = await book.post(book.payment(50_000, date(2026, 10, 12)))
        await book.reverse(paid)
        await book.post(book.interest(300, date(2026, 11, 5), charge))
    admin = await office.visitor(Role.ADMIN)
    page = (await admin.get(f"/admin/customers/{book.customer}")).text
    told = said(page)
    assert "Naliczono: Czynsz, 512,40 zł, termin 10.10.2026" in told
    assert "Naliczono: 3 pozycje, razem 60,00 zł" in told
    assert "Nota odsetkowa: Odsetki, 3,00 zł" in told
    assert any(line.startswith("Wpłata: Wpłata, 500,00 zł") for line in told)
    assert any(line.startswith("Storno") for line in told)
    days = [line for line in told if re.fullmatch(r"\d\d\.\d\d\.\d{4}", line)]
    assert days == sorted(days, key=lambda day: day[::-1].split(".")[0] + day[3:5] + day[:2], reverse=True)
    assert len(days) == len(set(days))
    assert f'href="/admin/entries/{charge}"' in page
    many = re.search(r'href="([^"]+)">Naliczono: 3 pozycje', page)
    assert many is not None
    listed = (await admin.get(many[1].replace("&amp;", "&"))).text
    assert "60,00" in listed.split("<tfoot>")[1]
    assert "zatwierdz" not in " ".join(told), "the audit's approvals are told by the entries themselves"


async def test_a_long_past_goes_back_page_by_page_and_repeats_nothing(office: Office) -> None:
    async with acting(office.site) as conn:
        book = await Book.opened(conn)
        days = [TODAY - timedelta(days=n) for n in range(1, 131)]
        await book.post(*(book.payment(100 * n, day, title=f"nr {n}") for n, day in enumerate(days, start=1)))
    admin = await office.visitor(Role.ADMIN)
    told: list[str] = []
    path: str | None = f"/admin/customers/{book.customer}/timeline"
    pages = 0
    while path:
        page = (await admin.get(path)).text
        told += said(page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else None
        pages += 1
    numbers = [int(found[1]) for line in told if (found := re.match(r"Wpłata: nr (\d+),", line))]
    assert numbers == list(range(1, 131))
    assert pages == 3

"""A clerk puts things right from the account page: by keyboard, by what the pages say, without a manual.

A payment was booked on the wrong account; it moves to the right one, another is entered as the payer wished, a payment
is set by hand and released, and what is left over is paid back.
"""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OFFICE
from tests.browser.test_story import enter, log_in, press, reach, type_into
from tests.processes import Serving

pytestmark = pytest.mark.browser

WRONG, RIGHT = "Johannes Van der Berg", "Stanisław Wójcik"


async def open_account(page: Page, name: str, number: str) -> None:
    """Search for a customer, and go on to the account."""
    suggests = await page.get_by_role("combobox", name="Szukaj").count()
    await reach(page, "Szukaj", "combobox" if suggests else "searchbox")
    await page.keyboard.type(name)
    await enter(page)
    if "/admin/search" in page.url:  # what alone fits is opened at once
        await press(page, f"{name} ({number})")
    await press(page, f"Pokaż konto {number}")
    await says(page, name)


async def says(page: Page, *words: str) -> None:
    for one in words:
        await expect(page.get_by_role("main")).to_contain_text(one)


async def pay(page: Page, amount: str, title: str, first: str = "") -> None:
    """From the account's page: enter a payment, for a charge if the payer said so, and approve it."""
    await press(page, "Wprowadź wpłatę")
    await type_into(page, "Kwota", amount)
    await type_into(page, "Tytuł (nieobowiązkowe)", title)
    if first:
        await type_into(page, f"Kolejność: {first}", "1")
    await press(page, "Wprowadź wpłatę", "button")
    await press(page, "Zatwierdź", "button")
    await says(page, "atwierdzon", title)


async def test_a_clerk_puts_an_account_right(office: Serving, page: Page) -> None:
    await log_in(page, office.url, "biuro", OFFICE)

    # A payment on the wrong account …
    await open_account(page, WRONG, "48")
    await pay(page, "10,00", "przelew z 3 listopada")

    # … is moved to the right one.
    await press(page, "Przenieś na właściwe konto")
    await type_into(page, "Nr klienta albo nr konta", "49")
    await type_into(page, "Powód", "pomyłka w numerze klienta")
    await press(page, "Przenieś wpłatę", "button")
    await says(page, "Wpłata jest już na właściwym koncie", RIGHT, "Przeniesiono tu z niewłaściwego konta")
    await press(page, "Rozrachunki, 49")

    # Another is entered as the payer wished.
    await pay(page, "0,99", "za fakturę 356", first="Faktura 356")
    await says(page, "Przeznaczenie wpłaty według wpłacającego", "zgodnie z wolą wpłacającego")
    await press(page, "Rozrachunki, 49")

    # A larger one is set by hand, and let go again.
    await pay(page, "50,00", "wpłata z góry")
    await press(page, "Rozrachunki, 49")
    await says(page, "Nadpłata")
    await press(page, "Przeznacz: wpłata z góry")
    await type_into(page, "Kwota na: Faktura 130", "500")
    await type_into(page, "Powód", "prośba przez telefon")
    await press(page, "Przeznacz kwoty", "button")
    await says(page, "możesz przeznaczyć najwyżej")
    await type_into(page, "Kwota na: Faktura 130", "5,00")
    await press(page, "Przeznacz kwoty", "button")
    await says(page, "Przeznaczone ręcznie", "5,00")
    await press(page, "Zwolnij: Faktura 130")
    await type_into(page, "Powód", "jednak nie")
    await press(page, "Zwolnij", "button")
    await says(page, "Zwolniono")

    # What is left over is paid back.
    await press(page, "Wróć na konto")
    await press(page, "Zwróć nadpłatę")
    await type_into(page, "Powód", "na wniosek klienta")
    await press(page, "Wprowadź zwrot", "button")
    await press(page, "Zatwierdź", "button")
    await says(page, "atwierdzon")
    await press(page, "Rozrachunki, 49")
    await says(page, "Rozliczone")

"""The register in a browser, with JavaScript and without: a customer comes, a flat passes on, a customer leaves.

Add, change, hand over a flat (the former owner sees the own history only), close with a credit refused until it is
refunded, delete a new one, and a superadministrator removes an old one for good.
"""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import CUSTOMER, OFFICE, OWNER
from tests.browser.test_desk import pay, says
from tests.browser.test_story import enter, log_in, press, type_into
from tests.processes import Serving

pytestmark = pytest.mark.browser


async def fill(page: Page, label: str, text: str) -> None:
    """Type into a field whose label may carry «(nieobowiązkowe)»."""
    field = page.get_by_label(label, exact=False).first
    await field.focus()
    await page.keyboard.press("Control+A")
    await page.keyboard.press("Delete")
    await page.keyboard.type(text)


async def follow(page: Page, name: str, role: str = "link") -> None:
    """Focus what is called so in the page's own part, however long the list before it, and press Enter."""
    await page.locator("#main, main").first.get_by_role(role, name=name, exact=True).first.focus()  # pyright: ignore
    await enter(page)


async def customer(page: Page, url: str, number: str, name: str) -> None:
    """Open a customer from the list."""
    await page.goto(f"{url}/admin/customers?number={number}")
    await follow(page, number)
    await says(page, name)


async def test_a_customer_comes_and_changes(office: Serving, page: Page) -> None:
    await log_in(page, office.url, "biuro", OFFICE)
    await page.goto(f"{office.url}/admin/customers")
    await follow(page, "Dodaj klienta")
    await type_into(page, "Numer", "5001")
    await fill(page, "Imię", "Zofia")
    await fill(page, "Nazwisko", "Ślusarczyk")
    await fill(page, "NIP", "5260250275")
    await press(page, "Dodaj klienta", "button")
    await says(page, "W tym numerze NIP jest pomyłka")
    await fill(page, "NIP", "")
    await fill(page, "Telefon", "600100200")
    await press(page, "Dodaj klienta", "button")
    await says(page, "Zofia Ślusarczyk", "600 100 200")

    await press(page, "Zmień dane")
    await fill(page, "Telefon", "61 5550100")
    await press(page, "Zapisz", "button")
    await says(page, "61 555 01 00")
    await press(page, "Zmiany danych")
    await says(page, "600 100 200", "61 555 01 00", "w formularzu")

    # A second one just like her is noticed; a new one can be deleted.
    await page.goto(f"{office.url}/admin/customers/add")
    await type_into(page, "Numer", "5002")
    await fill(page, "Imię", "Zofia")
    await fill(page, "Nazwisko", "Ślusarczyk")
    await press(page, "Dodaj klienta", "button")
    await says(page, "Podobny klient już jest w kartotece", "Zofia Ślusarczyk (5001)")
    await page.get_by_label("To ktoś inny: dodaj klienta mimo to").press("Space")
    await press(page, "Dodaj klienta", "button")
    await says(page, "5002")
    await press(page, "Zamknij lub usuń")
    await press(page, "Dodany przez pomyłkę? Usuń klienta")
    await press(page, "Usuń: Zofia Ślusarczyk", "button")
    await says(page, "Klienci")
    await expect(page.get_by_role("main")).not_to_contain_text("5002")


async def test_a_flat_passes_on(office: Serving, page: Page) -> None:
    await log_in(page, office.url, "biuro", OFFICE)
    await customer(page, office.url, "49", "Stanisław Wójcik")
    await press(page, "Dodaj lokal lub punkt")
    await fill(page, "Kod", "L/7")
    await fill(page, "Ulica", "Kasztanowa")
    await fill(page, "Budynek", "7")
    await press(page, "Zapisz", "button")
    await press(page, "Kasztanowa 7, Warsaw")
    await says(page, "Stanisław Wójcik (49)", "właściciel")

    await press(page, "Przekaż lokal")
    await says(page, "Stanisław Wójcik (49)", "Salda nie są przenoszone")
    await type_into(page, "Nr klienta nowego właściciela", "5003")
    await press(page, "Przekaż lokal", "button")
    await says(page, "Nie ma klienta o tym numerze")
    await fill(page, "Imię", "Ewa")
    await fill(page, "Nazwisko", "Nowacka")
    await press(page, "Przekaż lokal", "button")
    await says(page, "Ewa Nowacka (5003)", "Wcześniej", "Stanisław Wójcik (49)")
    await press(page, "Ewa Nowacka (5003)")
    await says(page, "5003/L/7")
    await press(page, "Wyloguj się", "button")

    # The former owner still owes what he owed, and sees nothing of hers.
    await log_in(page, office.url, "wojcik", CUSTOMER)
    await says(page, "37,62")
    await press(page, "Rozliczenia")
    await says(page, "37,62")
    await expect(page.locator("body")).not_to_contain_text("Nowacka")
    await expect(page.locator("body")).not_to_contain_text("5003")


async def test_a_customer_leaves(office: Serving, page: Page) -> None:
    await log_in(page, office.url, "biuro", OFFICE)

    # 37.62 is owed and 40.00 comes in: with a credit nobody is closed.
    await customer(page, office.url, "49", "Stanisław Wójcik")
    await press(page, "Pokaż konto 49")
    await pay(page, "40,00", "ostatnia wpłata")
    await customer(page, office.url, "49", "Stanisław Wójcik")
    await press(page, "Zamknij lub usuń")
    await press(page, "Zamknij klienta", "button")
    await says(page, "Na koncie 49 jest nadpłata: 2,38")
    await press(page, "Zwróć nadpłatę")
    await fill(page, "Powód", "klient odchodzi")
    await press(page, "Wprowadź zwrot", "button")
    await press(page, "Zatwierdź", "button")
    await customer(page, office.url, "49", "Stanisław Wójcik")
    await press(page, "Zamknij lub usuń")
    await press(page, "Zamknij klienta", "button")
    await says(page, "Zamknięto klienta", "zamknięty")
    closed = page.url
    assert (await page.goto(f"{closed}/purge")).status == 403  # type: ignore[union-attr]
    await page.goto(closed)
    await press(page, "Wyloguj się", "button")

    # The superadministrator removes the data; amounts stay.
    await log_in(page, office.url, "szefowa", OWNER)
    await page.goto(f"{office.url}/admin/superadmin-mode")
    await fill(page, "Hasło", OWNER)
    await enter(page)
    await page.goto(f"{closed}/purge")
    await fill(page, "Powód", "wniosek o usunięcie danych")
    await fill(page, "Twoje hasło", OWNER)
    await enter(page)
    await says(page, "Dane usunięte", "49", "Superadministrator usunął dane osobowe tego klienta")
    await expect(page.locator("body")).not_to_contain_text("Wójcik")
    await press(page, "Pokaż konto 49")
    await says(page, "40,00")

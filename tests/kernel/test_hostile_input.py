"""What an attacker sends where a name, a password or a host is expected: refused, and cheaply."""

import time

import pytest

from kernel.auth.model import MAX_PASSWORD_BYTES, WeakPassword, check_new_password
from kernel.people.model import MAX_LOGIN, fold_login, login_is_possible
from kernel.plugin.permissions import Role
from kernel.site import site_of_host

ACCENTS = "e" + "\u0301\u0323" * 500_000
"""Loose accents in the wrong order: putting them right takes quadratic time."""


def test_a_login_of_loose_accents_costs_nothing() -> None:
    started = time.thread_time()
    folded = fold_login(ACCENTS)
    assert time.thread_time() - started < 0.05
    assert not login_is_possible(folded)
    assert len(fold_login("A" * MAX_LOGIN)) == MAX_LOGIN


def test_a_password_of_loose_accents_costs_nothing() -> None:
    started = time.thread_time()
    with pytest.raises(WeakPassword):
        check_new_password(ACCENTS, role=Role.CUSTOMER, has_second_factor=False, context=())
    assert time.thread_time() - started < 0.05
    with pytest.raises(WeakPassword):
        check_new_password("ł" * MAX_PASSWORD_BYTES, role=Role.CUSTOMER, has_second_factor=False, context=())


@pytest.mark.parametrize(
    "host",
    [
        "office.example@evil.example",
        "office.example/evil",
        "office.example:80:90",
        "office.example:http",
        "office.example ",
        "[::1",
        "[::1]evil",
        "",
    ],
)
def test_a_header_that_is_no_host_names_nobody(host: str) -> None:
    sites = {"office.example": object(), "::1": object()}
    assert site_of_host(sites, host) is None  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("host", ["office.example", "OFFICE.example:8080", "office.example.", "[::1]", "[::1]:8080"])
def test_a_host_names_its_organisation(host: str) -> None:
    sites = {"office.example": object(), "::1": object()}
    assert site_of_host(sites, host) is not None  # pyright: ignore[reportArgumentType]

"""What a good password is, and how it is hashed."""

from __future__ import annotations

import asyncio
import time

import pytest
from argon2 import PasswordHasher

from kernel.auth import passwords
from kernel.auth.model import WeakPassword, check_new_password, common_passwords, starter_password
from kernel.i18n import speaking
from kernel.plugin.permissions import Role


def accepted(password: str, role: Role = Role.CUSTOMER, *, second: bool = False, context: tuple[str, ...] = ()) -> bool:
    try:
        check_new_password(password, role=role, has_second_factor=second, context=context)
    except WeakPassword:
        return False
    return True


@pytest.mark.parametrize(
    "password",
    [
        "wieczorne grabie",
        "zielonykot",
        "ążźćęłóśń!",
        "correct horse battery staple",
        "        spacje tez",
        "x9!kQ2#vLp",
        "kot" * 3 + " pod płotem" * 5,
        "日本語のパスワードです長い",
    ],
)
def test_any_characters_make_a_good_password(password: str):
    assert accepted(password)


@pytest.mark.parametrize(
    "password",
    [
        "zielonykt",  # nine
        "password123",
        "1234567890",
        "qwertyuiop",
        "Sunshine2024!",
        "aaaaaaaaaaaa",
        "abababababab",
        "abcdefghijkl",
        "lkjihgfedcba",
        "ebok1234567",
        "a" * 2000,
    ],
)
def test_what_is_guessed_first_is_refused(password: str):
    assert not accepted(password)


def test_little_more_than_the_own_name_is_refused():
    context = ("anna.nowak@example.pl", "Anna Nowak", "", "Spółdzielnia Zorza")
    assert not accepted("anna.nowak@example.pl", context=context)
    assert not accepted("Zorza12345", context=context)
    assert not accepted("AnnaNowak2026", context=context)
    assert accepted("Zorza nad jeziorem o świcie", context=context)


def test_staff_passwords_are_longer_unless_a_second_factor_helps():
    assert not accepted("zielonykot!1", Role.ADMIN)
    assert accepted("zielonykot!1", Role.ADMIN, second=True)
    assert accepted("zielony kot na dachu", Role.SUPERADMIN)


def test_length_counts_characters_not_bytes_after_composition():
    decomposed = "z\u0307" * 5 + "kotek"
    assert accepted(decomposed + "ab")
    assert not accepted("o\u0301" * 9)


def test_sixty_four_characters_and_more_are_welcome():
    assert accepted("kot pies żaba " * 20)
    assert not accepted("kot pies żaba " * 80)


def test_the_reason_is_told_in_polish():
    with speaking("pl"), pytest.raises(WeakPassword) as refused:
        check_new_password("kot", role=Role.CUSTOMER)
    assert refused.value.reason.values == {"least": 10}


def test_the_block_list_holds_thousands():
    assert len(common_passwords()) > 20_000


def test_starter_passwords_are_strong_enough_for_staff():
    made = {starter_password() for _ in range(50)}
    assert len(made) == 50
    assert all(accepted(password, Role.SUPERADMIN) for password in made)


async def test_hash_and_verify():
    kept = await passwords.hash_password("wieczorne grabie")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(kept, "wieczorne grabie")
    assert not await passwords.verify(kept, "wieczorne grabie ")
    assert not await passwords.verify(kept, "Wieczorne grabie")


async def test_two_ways_to_write_a_letter_are_one_password():
    kept = await passwords.hash_password("żółw w morzu")
    assert await passwords.verify(kept, "z\u0307o\u0301łw w morzu")


async def test_nothing_opens_what_has_no_hash():
    for kept in (None, "", "not a hash"):
        assert not await passwords.verify(kept, "a password that nobody has")


async def test_an_unknown_login_takes_as_long_as_a_wrong_password():
    kept = await passwords.hash_password("wieczorne grabie")
    await passwords.verify(None, "warm up")

    async def fastest(password_hash: str | None) -> float:
        times: list[float] = []
        for _ in range(5):
            started = time.perf_counter()
            await passwords.verify(password_hash, "something else")
            times.append(time.perf_counter() - started)
        return min(times)

    known, unknown = await fastest(kept), await fastest(None)
    assert 0.5 < unknown / known < 2


async def test_an_endless_password_is_not_hashed():
    kept = await passwords.hash_password("wieczorne grabie")
    started = time.perf_counter()
    assert not await passwords.verify(kept, "x" * 1_000_000)
    assert time.perf_counter() - started < 0.02
    with pytest.raises(ValueError, match="too long"):
        await passwords.hash_password("ż" * 600)


async def test_old_parameters_are_noticed():
    assert passwords.is_outdated(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("x"))
    assert not passwords.is_outdated(await passwords.hash_password("wieczorne grabie"))


async def test_a_crowd_is_sent_away_and_the_loop_stays_free():
    kept = await passwords.hash_password("wieczorne grabie")
    longest, stop = 0.0, False

    async def heartbeat() -> None:
        nonlocal longest
        while not stop:
            started = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - started)

    beating = asyncio.create_task(heartbeat())
    results = await asyncio.gather(*(passwords.verify(kept, "x") for _ in range(200)), return_exceptions=True)
    stop = True
    await beating
    sent_away = sum(isinstance(result, Exception) for result in results)
    assert sent_away == 200 - passwords.THREADS - passwords.WAITING
    assert longest < 0.5  # generous: other tests may run beside this one
    assert not await passwords.verify(kept, "x")

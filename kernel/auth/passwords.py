"""Argon2id in a bounded pool of threads.

The event loop never waits for a hash, and a crowd at the door cannot take all memory.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

from kernel.auth.model import MAX_PASSWORD_BYTES, Throttled, check_new_password, normalised
from kernel.plugin.permissions import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from argon2 import PasswordHasher

TIME_COST: Final = 2
MEMORY_KIB: Final = 19 * 1024
PARALLELISM: Final = 1
"""RFC 9106 and OWASP's minimum for argon2id: 19 MiB, two passes, one lane; some 20 ms on an office server."""

THREADS: Final = 2
WAITING: Final = 64
"""More than this in the queue are sent away (429), so that those inside are still answered in about a second."""

_T = TypeVar("_T")
_A = TypeVarTuple("_A")


class _Pool:
    """The threads that hash, and how many callers wait for them."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ebok-argon2")
        self.inside = 0

    async def run(self, function: Callable[[*_A], _T], *values: *_A) -> _T:
        if self.inside >= THREADS + WAITING:
            raise Throttled(5)
        self.inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, function, *values)
        finally:
            self.inside -= 1


@cache
def _pool() -> _Pool:
    return _Pool()


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)


@cache
def _dummy() -> str:
    return _hasher().hash("a password that nobody has")


async def hash_password(password: str) -> str:
    """The hash to keep. Raises ValueError for more than 1 KiB, Throttled when too many wait."""
    if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        raise ValueError("the password is too long")
    return await _pool().run(_hash, normalised(password))


async def verify(password_hash: str | None, password: str) -> bool:
    """Whether the password fits. Without a hash (unknown login) the same work is done, so that time tells nothing.

    Raises Throttled when too many wait.
    """
    if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        return False
    return await _pool().run(_verify, password_hash or "", normalised(password))


async def check_new(password: str, *, role: Role, has_second_factor: bool = False, context: Iterable[str] = ()) -> None:
    """``check_new_password`` beside the event loop: reading the block list takes its time. Raises WeakPassword."""
    await asyncio.to_thread(
        check_new_password, password, role=role, has_second_factor=has_second_factor, context=context
    )


def is_outdated(password_hash: str) -> bool:
    """Whether a kept hash has other parameters than today's and is to be made anew at the next login."""
    return _hasher().check_needs_rehash(password_hash)


def _hash(password: str) -> str:
    return _hasher().hash(password.encode("utf-8", "surrogatepass"))


def _verify(password_hash: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        fits = _hasher().verify(password_hash or _dummy(), password.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
    return fits and bool(password_hash)

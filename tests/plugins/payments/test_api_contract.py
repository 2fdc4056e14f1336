"""The API keeps to its own description: calls made from it, right and wrong, against the running product."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any
from urllib.request import urlopen

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from kernel.auth import api_tokens
from kernel.db.pool import Stamp
from kernel.people import store as people
from kernel.plugin.permissions import Role
from kernel.testing import Cluster, opened_office, opened_site, registry_of
from kernel.web.body import KEY_HEADER
from kernel.web.openapi import document
from tests.plugins.payments.ledger import Book, acting

REGISTRY = registry_of(["customers", "payments"])
SCOPES = ("payments.view", "payments.enter", "payments.approve")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    unsupported_method,
]
KEYS = (f"contract-{number}" for number in count())
CONFIG = {
    "seed": 1,
    "generation": {"deterministic": True, "database": "none", "max-examples": 25, "mode": "all"},
}


@dataclass(frozen=True, slots=True)
class Served:
    """A running product with some history, a token of its office, and a customer's session."""

    origin: str
    token: str
    session: str
    account: int
    charge: int


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Iterator[Served]:
    """The product on a loop of its own: what calls it does not wait for it."""
    ready: Future[Served] = Future()
    done = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with opened_site(cluster, REGISTRY) as site, opened_office(site) as office:
            today = site.clock.today()
            async with acting(site) as conn:
                book = await Book.opened(conn)
                charges = await book.post(*(book.charge(10_000, today + timedelta(days=day)) for day in (-40, 20)))
                await book.post(book.payment(12_500, today - timedelta(days=3), designations=(charges[1],)))
            now = site.clock.now()
            async with site.db.transaction(Stamp("test")) as conn:
                user = await people.add_user(conn, login="program", role=Role.ADMIN, now=now)
                token = await api_tokens.make(conn, user, "Program", SCOPES, None, now)
            anna = await office.visitor(Role.CUSTOMER, book.customer)
            (session,) = [cookie.value for cookie in anna.http.cookie_jar]
            ready.set_result(Served(office.origin, token, session, book.account, charges[0]))
            await done.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield ready.result(timeout=60)
    loop.call_soon_threadsafe(done.set)
    thread.join(timeout=30)
    loop.close()


schemathesis.openapi.format("date", st.dates(min_value=date(2000, 1, 1), max_value=date(2026, 12, 31)).map(str))
api = schemathesis.openapi.from_dict(document(REGISTRY), config=SchemathesisConfig.from_dict(CONFIG))


def test_the_product_serves_this_description(served: Served) -> None:
    with urlopen(f"{served.origin}/api/v1/openapi.json", timeout=10) as answer:  # noqa: S310 (an address of this test)
        assert json.load(answer) == document(REGISTRY)


@api.parametrize()  # pyright: ignore[reportUntypedFunctionDecorator]
def test_every_operation_answers_as_described(case: schemathesis.Case[Any], served: Served) -> None:
    mode = case.meta.generation.mode if case.meta else None
    headers = {"Authorization": f"Bearer {served.token}"}
    if mode is schemathesis.GenerationMode.POSITIVE:
        _aim(case, served)
        if case.operation.path == "/api/v1/balance":
            headers = {"Cookie": f"ebok={served.session}"}
    response = case.call(base_url=served.origin, headers=headers, timeout=10)
    case.validate_response(response, checks=CHECKS, headers=headers)


def _aim(case: schemathesis.Case[Any], served: Served) -> None:
    """Let right calls meet what is there, each under a key of its own, so that more than a refusal is answered."""
    there = {"account": served.account, "entry": served.charge}
    for name in case.path_parameters or {}:
        case.path_parameters[name] = there[name]
    if KEY_HEADER in (case.headers or {}):
        case.headers[KEY_HEADER] = next(KEYS)

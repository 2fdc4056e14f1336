"""Routes of the API that make something: 201 with an address, once under a key, described as they answer."""

from __future__ import annotations

import asyncio
import sys
import types
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from kernel import (
    CONN,
    STAFF,
    Created,
    Permission,
    Plugin,
    Request,
    Role,
    Route,
    _,
    forbidden,
    hookimpl,
    url,
)
from kernel.app import make_registry
from kernel.plugin.manager import PluginError, describe
from kernel.testing import Office, Page, Visitor

pytestmark = pytest.mark.ebok(plugins=[], modules={"shelf": sys.modules[__name__]})
plugin = Plugin(api=1)


class Book(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = "Bez tytułu"
    rare: bool = False


class Kept(Book):
    number: int


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: int | None = None


async def add(request: Request, book: Book) -> Created:
    """Put a book on the shelf.

    It stays there.
    """
    if book.rare:
        raise forbidden(request, "shelf.rare")
    number = await request[CONN].fetchval("insert into kernel.audit_log (verb) values ('shelf.added') returning id")
    return Created(Kept(number=number, title=book.title), url(request, "shelf.one", book=number))


async def one(request: Request, asked: Asked) -> Kept:
    """A book."""
    return Kept(number=int(request.match_info["book"]))


@hookimpl
def register_permissions() -> Iterator[Permission]:
    yield Permission("shelf.use", _("Use the probe"), STAFF)


@hookimpl
def register_routes() -> Iterator[Route]:
    yield Route(
        "POST", "/api/v1/books", add, "shelf.use", "shelf.add", Book, returns=Kept, creates=True, key_required=True
    )
    yield Route("GET", r"/api/v1/books/{book:\d+}", one, "shelf.use", "shelf.one", query=Asked, returns=Kept)


async def sent(visitor: Visitor, book: Mapping[str, Any], key: str | None = "k") -> Page:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await visitor.send("POST", "/api/v1/books", json=book, headers=headers)


async def test_what_is_made_has_an_address(office: Office) -> None:
    answer = await sent(await office.visitor(Role.ADMIN), {"title": "Lalka"})
    assert answer.status == 201
    made = answer.json()
    assert answer.headers["Location"] == f"/api/v1/books/{made['number']}"
    assert made["title"] == "Lalka"


async def test_once_under_a_key_with_the_same_answer(office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    answers = await asyncio.gather(*(sent(admin, {"title": "Lalka"}) for _ in range(50)))
    assert Counter(answer.status for answer in answers) == {201: 50}
    assert (
        len({(answer.content, answer.headers["Location"], answer.headers["Content-Type"]) for answer in answers}) == 1
    )
    assert (await sent(admin, {"title": "Faraon"})).status == 409
    assert (await sent(await office.visitor(Role.ADMIN), {"title": "Faraon"})).status == 201, "a key is its sender's"


@pytest.mark.parametrize("key", [None, "", " "])
async def test_without_a_key_nothing_is_made(office: Office, key: str | None) -> None:
    answer = await sent(await office.visitor(Role.ADMIN), {}, key)
    assert answer.status == 400
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert "Idempotency-Key" in answer.json()["detail"]
    async with office.site.db.connection() as conn:
        assert await conn.fetchval("select count(*) from kernel.audit_log where verb = 'shelf.added'") == 0


async def test_more_than_the_route_asks_for(office: Office) -> None:
    answer = await sent(await office.visitor(Role.ADMIN), {"rare": True})
    assert answer.status == 403
    assert "shelf.rare" in answer.json()["detail"]
    assert "WWW-Authenticate" not in answer.headers, "a session has no scopes"


async def test_a_question_is_taken_exactly(office: Office) -> None:
    admin = await office.visitor(Role.ADMIN)
    assert (await admin.get("/api/v1/books/1?since=1")).status == 200
    for query, pointer in (("sinse=1", "#/sinse"), ("since=", "#/since"), ("since=1&since=2", "#/since")):
        answer = await admin.get(f"/api/v1/books/1?{query}")
        assert answer.status == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_it_is_described_as_it_answers(office: Office) -> None:
    document = (await (await office.visitor()).get("/api/v1/openapi.json")).json()
    add = document["paths"]["/api/v1/books"]["post"]
    assert (add["summary"], add["description"]) == ("Put a book on the shelf.", "It stays there.")
    assert add["responses"].keys() == {
        *("201", "400", "401", "403", "408", "409", "413", "415", "422", "429", "503"),
    }
    assert "Location" in add["responses"]["201"]["headers"]
    assert "WWW-Authenticate" in add["responses"]["401"]["headers"]
    assert "Retry-After" in add["responses"]["429"]["headers"]
    assert "Idempotency-Key" in add["responses"]["400"]["description"]
    (key,) = add["parameters"]
    assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", True)
    assert add["requestBody"]["required"] is False, "every field has a default"
    assert add["security"] == [{"token": ["shelf.use"]}, {"session": []}]
    one = document["paths"]["/api/v1/books/{book}"]["get"]
    assert one["responses"].keys() == {"200", "400", "401", "403", "404", "422", "429", "503"}
    assert [(each["name"], each["schema"]["type"]) for each in one["parameters"]] == [
        ("book", "integer"),
        ("since", "integer"),
    ]
    schemes = document["components"]["securitySchemes"]
    assert schemes["token"]["scheme"] == "bearer"
    assert schemes["token"]["x-scopes"] == {"kernel.api": "Use the API", "shelf.use": "Use the probe"}


@pytest.mark.parametrize(
    "route",
    [
        Route("POST", "/books", add, "shelf.use", "shelf.add", Book, creates=True),
        Route("GET", "/api/v1/books", add, "shelf.use", "shelf.add", key_required=True),
        Route("POST", "/api/v1/books", add, "shelf.use", "shelf.add", Book, key_required=True, read_only=True),
    ],
)
def test_elsewhere_they_stop_the_start(route: Route) -> None:
    module = types.ModuleType("shelf")
    vars(module).update(
        plugin=plugin, register_permissions=register_permissions, register_routes=hookimpl(lambda: iter([route]))
    )
    with pytest.raises(PluginError, match="what the API changes"):
        make_registry([describe("shelf", module)])

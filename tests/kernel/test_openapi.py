"""The API describes itself: every route under its prefix, with models, parameters and refusals."""

from __future__ import annotations

import pytest

from kernel import Role
from kernel.testing import Office
from tests.plugins_for_tests import probe

pytestmark = pytest.mark.ebok(plugins=[], modules={"probe": probe})


async def test_the_description_is_for_everybody_and_complete(office: Office) -> None:
    visitor = await office.visitor()
    answer = await visitor.get("/api/v1/openapi.json")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    assert {"/api/v1/me", "/api/v1/openapi.json", "/api/v1/probe"} <= document["paths"].keys()
    add = document["paths"]["/api/v1/probe"]["post"]
    assert add["operationId"] == "probe.api_add"
    assert add["tags"] == ["probe"]
    assert add["x-roles"] == ["admin", "customer", "superadmin"]
    assert {"200", "401", "403", "422"} <= add["responses"].keys()
    listed = document["paths"]["/api/v1/probe"]["get"]
    assert [parameter["name"] for parameter in listed["parameters"]] == ["limit", "text"]


async def test_every_reference_leads_somewhere(office: Office) -> None:
    document = (await (await office.visitor()).get("/api/v1/openapi.json")).json()
    schemas = document["components"]["schemas"]

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for inner in value.values() for found in references(inner)]
        return [found for inner in value for found in references(inner)] if isinstance(value, list) else []

    found = references(document)
    assert found
    assert all(reference.removeprefix("#/components/schemas/") in schemas for reference in found)


async def test_me_tells_the_caller_who_it_is(office: Office) -> None:
    assert (await (await office.visitor()).get("/api/v1/me")).status == 401
    answer = (await (await office.visitor(Role.ADMIN)).get("/api/v1/me")).json()
    assert answer["role"] == "admin"
    assert "probe.office" in answer["permissions"]
    assert "probe.power" not in answer["permissions"]

"""The API's description (OpenAPI 3.1), made from the routes themselves, and who the API's caller is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from kernel.i18n import _
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import EVERYBODY, PUBLIC, Permission
from kernel.plugin.registry import Registry
from kernel.web.request import ACTOR

PREFIX: Final = "/api/v1/"
_PARAMETER: Final = re.compile(r"\{(\w+)(?::((?:[^{}]|\{[^{}]*\})+))?\}")
_REF: Final = "#/components/schemas/{model}"
_PROBLEM: Final = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


class Customer(BaseModel):
    """A customer whose account the caller may see; ``scope`` is view, pay, act or manage."""

    customer_no: str
    name: str
    scope: str


class Me(BaseModel):
    """Who is asking."""

    login: str
    name: str
    role: str
    customers: list[Customer]
    permissions: list[str]


def permissions() -> Iterator[Permission]:
    yield Permission("kernel.api", _("Use the API"), EVERYBODY)


def routes() -> Iterator[Route]:
    yield Route("GET", f"{PREFIX}openapi.json", describe, PUBLIC, "kernel.openapi")
    yield Route("GET", f"{PREFIX}me", me, "kernel.api", "kernel.me", returns=Me)


async def describe(request: web.Request) -> web.Response:
    """The description of everything under ``/api/v1/`` that the enabled plugins offer."""
    headers = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "public, max-age=60"}
    return web.Response(body=request.app[DESCRIPTION].body, headers=headers)


async def me(request: web.Request) -> Me:
    """The caller: login, role, customers in reach, and permissions."""
    actor = request[ACTOR]
    return Me(
        login=actor.login,
        name=actor.name,
        role=actor.role or "",
        customers=[
            Customer(customer_no=grant.customer_no, name=grant.name, scope=grant.scope) for grant in actor.grants
        ],
        permissions=sorted(actor.permissions),
    )


class Description:
    """The document of an application's routes, written when somebody first asks."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @cached_property
    def body(self) -> bytes:
        return json.dumps(document(self._registry), ensure_ascii=False).encode()


DESCRIPTION: Final = web.AppKey("api_description", Description)


def document(registry: Registry) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the registry's routes under ``/api/v1/``."""
    described = [route for route in registry.routes.values() if route.path.startswith(PREFIX)]
    models = {model for route in described for model in (route.body, route.returns) if model is not None}
    ordered = sorted(models, key=lambda model: (model.__module__, model.__qualname__))
    references, definitions = models_json_schema(
        [
            *((model, "validation") for model in ordered),
            *((model, "serialization") for model in ordered),
        ],
        ref_template=_REF,
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(registry, route, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ebok", "version": "1", "description": "Electronic customer office."},
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-ebok"},
            },
        },
    }


def _operation(registry: Registry, route: Route, references: Mapping[Any, Any]) -> dict[str, Any]:
    permission = registry.permissions.get(route.permission)
    responses: dict[str, Any] = {"200": {"description": "Done"}}
    if route.returns is not None:
        responses["200"]["content"] = _json(references[route.returns, "serialization"])
    refusals = {"422": "What was sent cannot be accepted", "429": "Too many requests"}
    if route.permission != PUBLIC:
        refusals |= {"401": "Log in first", "403": "The permission is missing"}
    if "{" in route.path:
        refusals["404"] = "There is no such thing, or it is not yours"
    for status, words in refusals.items():
        responses[status] = {
            "description": words,
            "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}},
        }
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": ((route.handler.__doc__ or "").strip().splitlines() or [route.name])[0],
        "tags": [registry.owner_of[route.name]],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": dict(sorted(responses.items())),
        "security": [] if route.permission == PUBLIC else [{"session": []}],
        "x-permission": route.permission,
    }
    if permission is not None:
        operation["x-roles"] = sorted(permission.roles)
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(references[route.body, "validation"])}
    return operation


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _path_parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name, pattern in _PARAMETER.findall(route.path):
        schema = {"type": "integer", "format": "int64", "minimum": 0} if pattern == r"\d+" else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route) -> Iterator[dict[str, Any]]:
    if route.query is None:
        return
    schema = route.query.model_json_schema(ref_template=_REF)
    for name, part in schema.get("properties", {}).items():
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": part}

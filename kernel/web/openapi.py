"""The API's description (OpenAPI 3.1), made from the routes themselves, and who the API's caller is.

Every status that an address can answer with stands there, with what it means.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from kernel.auth.api_tokens import API, PREFIX, is_for_programs
from kernel.i18n import _
from kernel.idempotency import LONGEST_KEY
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import EVERYBODY, PUBLIC, Permission, Role
from kernel.plugin.registry import Registry
from kernel.web.body import KEY_HEADER
from kernel.web.origin import SAFE_METHODS
from kernel.web.request import ACTOR

_PARAMETER: Final = re.compile(r"\{(\w+)(?::((?:[^{}]|\{[^{}]*\})+))?\}")
_REF: Final = "#/components/schemas/{model}"
_PROBLEM: Final = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {
            "type": "string",
            "description": "The status in words.",
            "examples": ["Unprocessable Entity"],
        },
        "status": {"type": "integer", "examples": [422]},
        "detail": {"type": "string", "description": "What happened, in the language of Accept-Language (pl, en)."},
        "request_id": {"type": "string", "description": "Under this number the office finds it in its log."},
        "errors": {
            "type": "array",
            "description": "What is wrong where.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "A JSON pointer into what was sent, or «#/» and the name of a query parameter.",
                        "examples": ["#/amount"],
                    },
                    "detail": {"type": "string", "examples": ["The amount must be greater than zero"]},
                },
            },
        },
    },
}
_DESCRIPTION: Final = """\
Electronic customer office: the API for programs.

A program sends a token that a person of the office made under «My account», in the header `Authorization: Bearer …`.
It can do what its scopes say, as far as its owner may. Pages of the office call with their session instead.

Refusals are problem+json (RFC 9457). A call that changes something may carry the header `Idempotency-Key`: sent again
with the same content, byte for byte, it gets the first answer and does nothing; with other content 409. Answers are
kept for two days.
"""
_INTEGER: Final = {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2**63 - 1}


class OpenApi(BaseModel):
    """This description."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    paths: dict[str, Any]


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
    yield Route("GET", f"{API}openapi.json", describe, PUBLIC, "kernel.openapi", returns=OpenApi)
    yield Route("GET", f"{API}me", me, "kernel.api", "kernel.me", returns=Me)


async def describe(request: web.Request) -> web.Response:
    """The description of everything under ``/api/v1/`` that the enabled plugins offer."""
    headers = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "public, max-age=60"}
    description = request.app[DESCRIPTION]
    body = await asyncio.to_thread(lambda: description.body)  # written once, and that takes a while
    return web.Response(body=body, headers=headers)


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
    described = [route for route in registry.routes.values() if route.path.startswith(API)]
    models = {model for route in described for model in (route.body, route.returns) if model is not None}
    ordered = sorted(models, key=lambda model: (model.__module__, model.__qualname__))
    references, definitions = models_json_schema(
        [
            *((model, "validation") for model in ordered),
            *((model, "serialization") for model in ordered),
        ],
        ref_template=_REF,
    )
    schemas: dict[str, Any] = {**definitions.get("$defs", {}), "Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(registry, route, references, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "ebok", "version": "1", "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _security_schemes(registry, described)},
    }


def _security_schemes(registry: Registry, described: list[Route]) -> dict[str, Any]:
    """How a caller shows who it is; the token's scopes with what each allows."""
    asked = {route.permission for route in described if is_for_programs(registry, route)} - {PUBLIC}
    return {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": f"{PREFIX}…",
            "description": "A token made in the office. Its scopes are permissions: see x-scopes.",
            "x-scopes": {name: registry.permissions[name].label.message for name in sorted(asked)},
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-ebok",
            "description": "The session of a person who is logged in; what changes must come from its own pages.",
        },
    }


def _operation(
    registry: Registry, route: Route, references: Mapping[Any, Any], schemas: dict[str, Any]
) -> dict[str, Any]:
    permission = registry.permissions.get(route.permission)
    said = (route.handler.__doc__ or route.name).strip()
    summary, _break, more = said.partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": " ".join(summary.split()),
        **({"description": "\n".join(line.strip() for line in more.splitlines())} if more else {}),
        "tags": [registry.owner_of[route.name]],
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas), *_key_parameter(route)],
        "responses": {**_success(route, references), **_refusals(registry, route)},
        "security": _security(registry, route),
        "x-permission": route.permission,
    }
    if permission is not None:
        operation["x-roles"] = sorted(permission.roles)
    if route.body is not None:
        needed = any(field.is_required() for field in route.body.model_fields.values())
        operation["requestBody"] = {"required": needed, "content": _json(references[route.body, "validation"])}
    return operation


def _security(registry: Registry, route: Route) -> list[dict[str, list[str]]]:
    if route.permission == PUBLIC:
        return []
    token = [{"token": [route.permission]}] if is_for_programs(registry, route) else []
    return [*token, {"session": []}]


def _success(route: Route, references: Mapping[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Made" if route.creates else "Done"}
    if route.returns is not None:
        answer["content"] = _json(references[route.returns, "serialization"])
    if route.creates:
        answer["headers"] = {"Location": _header("string", "Where it is now.", required=True)}
    return {"201" if route.creates else "200": answer}


def _refusals(registry: Registry, route: Route) -> dict[str, Any]:
    """What else an address can answer, by status."""
    permission = registry.permissions.get(route.permission)
    changes = route.method not in SAFE_METHODS
    refusals = {
        "400": "The request cannot be read, or its address has characters that cannot be used",
        "401": "There is no session, or the token opens nothing (any more)",
        "429": "Too many wrong tokens from this network",
        "503": "The office is closed for a moment; nothing was done",
    }
    if changes or permission is not None:
        refusals["403"] = "The permission is missing"
    if "{" in route.path:
        refusals["404"] = "There is no such thing, or it is not yours"
    elif permission is not None and permission.roles == {Role.CUSTOMER}:
        refusals["404"] = "The caller has no customer in view"
    if changes:
        refusals |= {
            "408": "The content took too long to arrive",
            "413": "The content is too large",
            "415": "The content is not JSON in UTF-8",
        }
        if not route.read_only:
            refusals["409"] = "The Idempotency-Key was used for other content, or somebody changed the same just now"
    if changes or route.query is not None:
        refusals["422"] = "What was sent cannot be accepted; errors say what is wrong where"
    if route.key_required:
        refusals["400"] += f", or the header {KEY_HEADER} is missing"
    return {status: _problem(status, words) for status, words in sorted(refusals.items())}


def _problem(status: str, words: str) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "description": words,
        "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}},
    }
    if status == "401":
        problem["headers"] = {"WWW-Authenticate": _header("string", "Bearer", required=True)}
    if status in ("429", "503"):
        problem["headers"] = {"Retry-After": _header("integer", "Seconds to wait.", required=True)}
    return problem


def _header(kind: str, words: str, *, required: bool) -> dict[str, Any]:
    return {"description": words, "required": required, "schema": {"type": kind}}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _path_parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name, pattern in _PARAMETER.findall(route.path):
        schema = _INTEGER if pattern == r"\d+" else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route, schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if route.query is None:
        return
    schema = route.query.model_json_schema(ref_template=_REF)
    schemas |= schema.get("$defs", {})
    for name, part in schema.get("properties", {}).items():
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": name in schema.get("required", ())}
        if "description" in part:
            parameter["description"] = part["description"]
        yield parameter | {"schema": _present(part)}


def _present(part: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a query parameter that is there: absence is how an address says null."""
    kept = {name: value for name, value in part.items() if name not in ("title", "description")}
    if kept.get("default", ...) in (None, ""):
        del kept["default"]
    options = [option for option in kept.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        del kept["anyOf"]
        kept |= options[0]
    return kept


def _key_parameter(route: Route) -> Iterator[dict[str, Any]]:
    if route.method in SAFE_METHODS or route.read_only:
        return
    yield {
        "name": KEY_HEADER,
        "in": "header",
        "required": route.key_required,
        "description": "A value of the caller's own, a new one for each new request, so that nothing is done twice.",
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "example": "2026-11-24/wb-118/7",
    }

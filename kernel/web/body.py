"""The one reader of bodies and query strings: bounded in size and time, strict about form, in words for people.

What cannot be read at all ends the request with 400, 408, 413 or 415. What can be read but is not acceptable becomes
``Refused``: an error at its field.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from types import UnionType
from typing import Any, Final, NoReturn, TypeVar, Union, cast, get_args, get_origin
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiDict, MultiMapping
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails, core_schema

from kernel.i18n import Text, _
from kernel.web.errors import Problem
from kernel.web.request import Refused, Upload

_M = TypeVar("_M", bound=BaseModel)

KEY_FIELD: Final = "_key"
KEY_HEADER: Final = "Idempotency-Key"
LONGEST_KEY: Final = 255
MOST_FIELDS: Final = 2000
DEEPEST_JSON: Final = 32

_URLENCODED: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_CODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})
_UTF8: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_UNREADABLE: Final = _("The data arrived damaged.")
_UNSTORABLE: Final = _("This contains characters that cannot be stored")

Fields = MultiMapping[str | Upload]


@dataclass(frozen=True, slots=True)
class Limits:
    """How large (bytes, after decompression) and how slow (seconds) a body may be."""

    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a request carried: a form's ``fields`` or a JSON ``document``, its idempotency key, and its fingerprint."""

    fields: Fields = field(default_factory=lambda: MultiDict[str | Upload]())
    document: object = None
    is_json: bool = False
    key: str = ""
    digest: bytes = b""


# --- reading --------------------------------------------------------------------------------------------------------


async def read_form(request: web.Request, limits: Limits, *, files: bool = False) -> Submitted:
    """A form, whole; without a body an empty one. Raises Problem (400, 408, 413, 415)."""
    if not request.body_exists:
        return Submitted(key=_key(request.headers.get(KEY_HEADER, "")))
    _check_coding(request)
    async with _in_time(limits):
        match request.content_type:
            case "application/x-www-form-urlencoded":
                fields = _urlencoded(await _whole(request, limits))
            case "multipart/form-data":
                fields = await _multipart(request, limits, files=files)
            case "application/octet-stream" if "Content-Type" not in request.headers:
                if await _whole(request, limits):
                    raise Problem(415)
                fields = MultiDict[str | Upload]()
            case _:
                raise Problem(415)
    key = fields.popone(KEY_FIELD, "")
    return Submitted(
        fields,
        key=_key(key if isinstance(key, str) and key else request.headers.get(KEY_HEADER, "")),
        digest=_digest_of_fields(fields),
    )


async def read_json(request: web.Request, limits: Limits) -> Submitted:
    """A JSON document; without a body an empty object. Raises Problem (400, 408, 413, 415)."""
    key = _key(request.headers.get(KEY_HEADER, ""))
    if not key and KEY_HEADER in request.headers:
        raise Problem(400, _("The header Idempotency-Key is empty. Send a value of your own."))
    if not request.body_exists:
        return Submitted(document={}, is_json=True, key=key)
    if request.content_type != "application/json" and not request.content_type.endswith("+json"):
        raise Problem(415, _("Send JSON with Content-Type: application/json."))
    _check_coding(request)
    async with _in_time(limits):
        raw = await _whole(request, limits)
    return Submitted(document=_parsed_json(raw), is_json=True, key=key, digest=hashlib.sha256(raw).digest())


def _check_coding(request: web.Request) -> None:
    try:
        charset = request.charset
    except ValueError:
        raise Problem(415) from None
    if charset is not None and charset.casefold().strip("\"'") not in _UTF8:
        raise Problem(415, _("Send text in UTF-8."))
    if request.headers.get("Content-Encoding", "").strip().casefold() not in _CODINGS:
        raise Problem(415)


@asynccontextmanager
async def _in_time(limits: Limits) -> AsyncGenerator[None]:
    """Bounds the time that a body may take, and tells damaged bodies from broken programs."""
    try:
        async with asyncio.timeout(limits.seconds):
            yield
    except TimeoutError:
        raise Problem(408, close=True) from None
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise Problem(400, _UNREADABLE, close=True) from error


async def _whole(request: web.Request, limits: Limits) -> bytes:
    length = request.content_length
    if length is not None and length > limits.size:
        raise Problem(413, close=True)
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > limits.size:
            raise Problem(413, close=True)
    return bytes(body)


def _urlencoded(raw: bytes) -> MultiDict[str | Upload]:
    if raw.count(b"&") >= MOST_FIELDS:
        raise Problem(413, _("This form has too many fields."))
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Problem(400, _UNREADABLE) from None
    return MultiDict[str | Upload]([(name, _lines(value)) for name, value in pairs])


def _lines(text: str) -> str:
    """Browsers end the lines of a text area with CR LF; the product keeps LF."""
    return text.replace("\r\n", "\n")


async def _multipart(request: web.Request, limits: Limits, *, files: bool) -> MultiDict[str | Upload]:
    length = request.content_length
    if length is not None and length > limits.size:
        raise Problem(413, close=True)
    fields: MultiDict[str | Upload] = MultiDict()
    left = limits.size
    try:
        reader = MultipartReader(request.headers, request.content)
        while (part := await reader.next()) is not None:
            if len(fields) >= MOST_FIELDS:
                raise Problem(413, _("This form has too many fields."), close=True)
            if not isinstance(part, BodyPartReader) or not part.name:
                raise Problem(400, _UNREADABLE, close=True)
            content = await _part(part, left)
            left -= len(content)
            fields.add(part.name, _value(part, content, files=files))
    except (ValueError, AssertionError, LookupError) as error:  # how aiohttp says that the parts make no sense
        raise Problem(400, _UNREADABLE, close=True) from error
    return fields


async def _part(part: BodyPartReader, left: int) -> bytes:
    coding = part.headers.get("Content-Transfer-Encoding", "binary").casefold()
    if "Content-Encoding" in part.headers or coding not in ("binary", "8bit", "7bit"):
        raise Problem(415, close=True)
    content = bytearray()
    while chunk := await part.read_chunk():
        content += chunk
        if len(content) > left:
            raise Problem(413, close=True)
    return bytes(content)


def _value(part: BodyPartReader, content: bytes, *, files: bool) -> str | Upload:
    if part.filename is None:
        if part.get_charset("utf-8").casefold() not in _UTF8:
            raise Problem(415, _("Send text in UTF-8."), close=True)
        return _lines(content.decode())
    if not files and (part.filename or content):
        raise Problem(415, _("This form takes no files."), close=True)
    name = part.filename.replace("\\", "/").rpartition("/")[2]
    safe = "".join(letter for letter in name if letter.isprintable() and not "\ud800" <= letter <= "\udfff")
    return Upload(safe[:200], part.headers.get("Content-Type", "application/octet-stream"), content)


def _parsed_json(raw: bytes) -> object:
    try:
        document = json.loads(raw.decode(), parse_constant=_no_constant, object_pairs_hook=_once, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Problem(400, _("This is not valid JSON.")) from None
    _check_depth(document)
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return number


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _check_depth(document: object) -> None:
    level: list[object] = [document]
    for _depth in range(DEEPEST_JSON):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise Problem(400, _("This JSON is nested too deeply."))


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()


def _key(key: str) -> str:
    if len(key) > LONGEST_KEY or not (key.isascii() and (key.isprintable() or not key)):
        raise Problem(400, _("The idempotency key must be at most 255 plain characters."))
    return key


def _digest_of_fields(fields: Fields) -> bytes:
    digest = hashlib.sha256()
    for name, value in fields.items():
        content = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value.content
        for part in (name.encode("utf-8", "surrogatepass"), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


# --- into a model ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Field:
    """How one field of a model appears in a form."""

    key: str
    many: bool
    secret: bool


@lru_cache(maxsize=1024)
def _plan(model: type[BaseModel]) -> tuple[_Field, ...]:
    fields: list[_Field] = []
    for name, info in model.model_fields.items():
        key = info.validation_alias if isinstance(info.validation_alias, str) else info.alias or name
        kinds = _kinds(info.annotation)
        secret = SecretStr in kinds or "password" in name
        fields.append(_Field(key, any(_is_many(kind) for kind in kinds), secret))
    return tuple(fields)


def _kinds(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, UnionType):
        return tuple(inner for part in get_args(annotation) for inner in _kinds(part))
    return (annotation,)


def _is_many(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    return (
        isinstance(origin, type) and not issubclass(origin, str | bytes) and issubclass(origin, Sequence | AbstractSet)
    )


def validated(model: type[_M], submitted: Submitted) -> _M:
    """The model that was sent. Raises Refused with an error at each wrong field."""
    if submitted.is_json:
        return _validated_json(model, submitted.document)
    values, errors = _values(model, submitted.fields)
    return _accepted(model, values, errors)


def lenient(model: type[_M], fields: Fields) -> tuple[_M | None, Refused | None]:
    """The model of a query string: wrong parts give way to their defaults and are named in the second place.

    The first is None when a part without a default is missing or wrong. A model with ``extra="forbid"`` is for
    programs: parts that it does not know are wrong, and a blank one is a value like any other.
    """
    exact = model.model_config.get("extra") == "forbid"
    values, errors = _values(model, fields, keep_blanks=exact)
    if exact:
        known = {item.key for item in _plan(model)}
        errors |= {name: _WORDS["extra_forbidden"] for name in fields if name not in known}
    try:
        return _accepted(model, values, errors), None
    except Refused as refused:
        sound = {name: value for name, value in values.items() if name not in refused.errors}
        try:
            return model.model_validate(sound), refused
        except ValidationError:
            return None, refused


def shown_values(model: type[BaseModel] | None, fields: Fields) -> dict[str, str]:
    """What a refused form shows again: every text that was typed, but no secret and no file."""
    secret = {item.key for item in _plan(model) if item.secret} if model else frozenset[str]()
    shown: dict[str, str] = {}
    for name in fields:
        texts = [value for value in fields.getall(name) if isinstance(value, str)]
        if texts and name not in secret and "password" not in name:
            shown[name] = ",".join(texts).replace("\x00", "")
    return shown


def _values(
    model: type[BaseModel], fields: Fields, *, keep_blanks: bool = False
) -> tuple[dict[str, Any], dict[str, Text]]:
    """A form's fields as the model's input. A blank field is one that was not filled in."""
    values: dict[str, Any] = {}
    errors: dict[str, Text] = {}
    for item in _plan(model):
        given = [value for value in fields.getall(item.key, []) if keep_blanks or not _is_blank(value)]
        if not all(_is_storable(value) for value in given):
            errors[item.key] = _UNSTORABLE
        elif item.many:
            if given:
                values[item.key] = given
        elif len(given) > 1:
            errors[item.key] = _("This field was sent twice")
        elif given:
            values[item.key] = given[0]
    if model.model_config.get("extra") == "allow":
        for name, value in fields.items():
            if name not in values and name not in errors and _is_storable(name) and _is_storable(value):
                values[name] = value
    return values, errors


def _is_blank(value: str | Upload) -> bool:
    return not value.strip() if isinstance(value, str) else not (value.filename or value.content)


def _is_storable(value: object) -> bool:
    """Whether PostgreSQL can hold a text: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        return True
    return "\x00" not in value and (value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value))


def _validated_json(model: type[_M], document: object) -> _M:
    unstorable = dict.fromkeys(_unstorable(document, ""), _UNSTORABLE)
    if unstorable:
        raise _refused(unstorable, ())
    return _accepted(model, document, {}, flat=False)


def _unstorable(value: object, path: str) -> Iterable[str]:
    if isinstance(value, str):
        if not _is_storable(value):
            yield path
    elif isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            if not _is_storable(name):
                yield path
            else:
                yield from _unstorable(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for place, inner in enumerate(cast("list[object]", value)):
            yield from _unstorable(inner, f"{path}.{place}".lstrip("."))


def _accepted(model: type[_M], values: object, errors: Mapping[str, Text], *, flat: bool = True) -> _M:
    try:
        accepted = model.model_validate(values)
    except ValidationError as error:
        found, notes = _explained(error.errors(include_url=False), flat=flat)
        raise _refused({**found, **errors}, notes) from None
    if errors:
        raise _refused(errors, ())
    return accepted


def _refused(errors: Mapping[str, Text], notes: tuple[Text, ...]) -> Refused:
    refused = Refused(errors=errors)
    refused.notes = notes
    return refused


# --- words ----------------------------------------------------------------------------------------------------------

_WORDS: Final[Mapping[str, Text]] = {
    "missing": _("Fill in this field"),
    "string_too_long": _("Write at most {max_length} characters"),
    "string_too_short": _("Write at least {min_length} characters"),
    "string_pattern_mismatch": _("This is not written as it should be"),
    "string_type": _("Write text here"),
    "int_type": _("Write a whole number"),
    "int_parsing": _("Write a whole number"),
    "int_from_float": _("Write a whole number"),
    "int_parsing_size": _("This number is too large"),
    "float_type": _("Write a number"),
    "float_parsing": _("Write a number"),
    "decimal_parsing": _("Write a number"),
    "finite_number": _("Write a number"),
    "bool_type": _("Choose yes or no"),
    "bool_parsing": _("Choose yes or no"),
    "greater_than": _("This must be more than {gt}"),
    "greater_than_equal": _("This must be at least {ge}"),
    "less_than": _("This must be less than {lt}"),
    "less_than_equal": _("This must be at most {le}"),
    "enum": _("Choose one of the listed values"),
    "literal_error": _("Choose one of the listed values"),
    "union_tag_invalid": _("Choose one of the listed values"),
    "too_short": _("Choose at least {min_length}"),
    "too_long": _("Choose at most {max_length}"),
    "extra_forbidden": _("This field is not known here"),
    "model_type": _("Send an object with named fields"),
    "model_attributes_type": _("Send an object with named fields"),
}
_UNKNOWN: Final = _("This value cannot be accepted")
_BUILT_IN: Final = frozenset(get_args(core_schema.ErrorType))


def _explained(details: Iterable[ErrorDetails], *, flat: bool) -> tuple[dict[str, Text], tuple[Text, ...]]:
    """Errors of pydantic, the first of each field, and those of the whole model. ``flat``: as forms have fields."""
    errors: dict[str, Text] = {}
    notes: list[Text] = []
    for detail in details:
        words = _words(detail)
        if detail["loc"]:
            place = detail["loc"][:1] if flat else detail["loc"]
            errors.setdefault(".".join(str(part) for part in place), words)
        else:
            notes.append(words)
    return errors, tuple(notes)


def _words(detail: ErrorDetails) -> Text:
    context: Mapping[str, Any] = detail.get("ctx") or {}
    reason = context.get("error")
    if isinstance(reason, Exception) and reason.args:
        said = reason.args[0]
        return said if isinstance(said, Text) else Text(str(said))
    kind = detail["type"]
    if kind in _WORDS:
        message = _WORDS[kind].message
        return Text(message, {name: value for name, value in context.items() if f"{{{name}}}" in message})
    # A kind that pydantic does not know is the product's own: its message is a message id.
    return _UNKNOWN if kind in _BUILT_IN else Text(detail["msg"])

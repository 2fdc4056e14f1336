"""What a handler finds in its request, and what it may answer with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web
from pydantic import BaseModel

from kernel.db.connection import Connection
from kernel.i18n import Text
from kernel.plugin.actor import Actor

if TYPE_CHECKING:
    from kernel.site import Site

SITE: Final[web.RequestKey[Site]] = web.RequestKey("site", cast("type[Site]", object))
"""The organisation whose host was asked."""
ACTOR: Final = web.RequestKey("actor", Actor)
CONN: Final[web.RequestKey[Connection]] = web.RequestKey("conn", cast("type[Connection]", object))
"""The request's connection: autocommit on safe requests, inside the request's transaction on unsafe ones."""
REQUEST_ID: Final = web.RequestKey("request_id", str)
NONCE: Final = web.RequestKey("nonce", str)
"""The CSP nonce of this answer."""


@dataclass(frozen=True, slots=True)
class FormState:
    """What a page's form shows: nothing on a fresh page; what was typed and what is wrong with it on a refused one.

    ``values`` and ``errors`` go by field name; ``notes`` are errors that belong to no field. ``key`` is the
    idempotency key that the form carries: kept on a refused page, so that a double click still books once.
    """

    key: str
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    errors: Mapping[str, Text] = field(default_factory=dict[str, Text])
    notes: tuple[Text, ...] = ()

    @property
    def refused(self) -> bool:
        return bool(self.errors or self.notes)


FORM: Final = web.RequestKey("form", FormState)


class Refused(Exception):
    """What was sent cannot be done; says why, at the field. The kernel rolls back and shows the form again (422).

    ``Refused(_("…"), field="amount")`` or ``Refused(errors={"amount": _("…"), "title": _("…")})``.
    """

    def __init__(
        self, message: Text | None = None, *, field: str | None = None, errors: Mapping[str, Text] | None = None
    ) -> None:
        super().__init__(str(message or errors))
        self.errors: Mapping[str, Text] = errors or ({field: message} if field and message else {})
        self.notes: tuple[Text, ...] = (message,) if message and not field else ()


@dataclass(frozen=True, slots=True)
class Pdf:
    """A PDF as an answer; ``filename`` without path, ``inline`` shows it in the browser instead of saving."""

    content: bytes
    filename: str
    inline: bool = True


@dataclass(frozen=True, slots=True)
class Download:
    """A file as an answer, always saved."""

    content: bytes
    filename: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a form, read whole (its size is limited by the edge)."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Created:
    """What a route of the API with ``creates`` made, and the address at which it is now: 201 and ``Location``."""

    model: BaseModel
    location: str


def not_found() -> web.HTTPNotFound:
    """For an id that does not exist, or belongs to another customer: the two look the same."""
    return web.HTTPNotFound()

"""Errors as people read them: a page with what happened and what to do next, or problem+json (RFC 9457) for the API.

Nothing technical leaves the product: a request id leads from the page to the log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import asyncpg
import structlog
from aiohttp import web
from markupsafe import Markup

from kernel.approval import Protected, protection_of
from kernel.db.pool import DatabaseUnavailable
from kernel.i18n import Text, _, language
from kernel.web import templating
from kernel.web.request import REQUEST_ID, SITE, Refused

API_PREFIX: Final = "/api/"
RETRY_AFTER: Final = "10"
"""Seconds after which a browser may ask again when the database was away."""

OWN_STATES: Final = "EB"
"""SQLSTATEs of the product's own triggers begin so."""
_KEPT_HEADERS: Final = ("Allow", "Retry-After", "WWW-Authenticate")
_log = structlog.get_logger("ebok.errors")


class Problem(Exception):
    """Ends a request with an error page of ``status``; ``detail`` says more than the page's usual words.

    ``errors`` (API) go by field name. ``link`` is an address to go on from, with its words.
    """

    def __init__(
        self,
        status: int,
        detail: Text | None = None,
        *,
        errors: Mapping[str, Text] | None = None,
        notes: Sequence[Text] = (),
        headers: Mapping[str, str] | None = None,
        link: tuple[str, Text] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(f"{status} {detail or ''}".strip())
        self.status = status
        self.detail = detail
        self.errors = errors or {}
        self.notes = tuple(notes)
        self.headers = headers or {}
        self.link = link
        self.close = close
        self.typed: tuple[str, ...] = ()
        """What a person had typed into the form that was not accepted; shown, so that it is not lost."""


@dataclass(frozen=True, slots=True)
class Words:
    """What an error page says: what happened, and what the reader can do."""

    title: Text
    advice: Text


_WORDS: Final[Mapping[int, Words]] = {
    400: Words(
        _("We could not read this request"),
        _("Go back and try again. If you typed the address yourself, check it."),
    ),
    401: Words(_("Log in first"), _("This address is for people who are logged in.")),
    403: Words(
        _("You have no access to this page"),
        _("If you think you should see it, ask the office to change your permissions."),
    ),
    404: Words(
        _("There is no such page"),
        _("It may have been moved or removed. Check the address or start from the home page."),
    ),
    405: Words(_("This address does not work that way"), _("Go back and use the buttons on the page.")),
    408: Words(_("The data took too long to arrive"), _("Check your connection and send it again.")),
    409: Words(
        _("Somebody changed this at the same time"),
        _("Nothing was saved. Open the page again, look at the current data and repeat what you were doing."),
    ),
    413: Words(_("This is too large"), _("Nothing was saved. Send a smaller file or divide it into parts.")),
    414: Words(_("This address is too long"), _("Choose fewer filters and try again.")),
    415: Words(_("We cannot read this kind of data"), _("Nothing was saved. Send a form or file of another kind.")),
    422: Words(_("Something needs correcting"), _("Nothing was saved. Go back, correct it and send it again.")),
    429: Words(_("Too many attempts"), _("Wait a moment and try again.")),
    500: Words(
        _("Something went wrong on our side"),
        _("Nothing was saved. Try again; if it happens again, give the office the number below."),
    ),
    503: Words(
        _("The office is closed for a moment"),
        _("We are working on it. Nothing was lost. Try again in a minute."),
    ),
}
_ROUND: Final = {4: 400, 5: 500}


def words_of(status: int) -> Words:
    """The words of a status; a rare one speaks like 400 or 500."""
    return _WORDS.get(status) or _WORDS[_ROUND.get(status // 100, 500)]


def is_api(request: web.BaseRequest) -> bool:
    """Whether the answer must be JSON."""
    return request.path.startswith(API_PREFIX)


def problem_of(error: BaseException) -> Problem:
    """Any exception as the problem that the visitor is told; what nobody foresaw is a 500 and goes to the log."""
    match error:
        case Problem():
            return error
        case Protected():
            return Problem(403, error.message)
        case Refused():
            return Problem(422, errors=error.errors, notes=error.notes)
        case web.HTTPException():
            headers = {name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers}
            return Problem(error.status, headers=headers)
        case DatabaseUnavailable() | asyncpg.PostgresConnectionError() | asyncpg.CannotConnectNowError():
            return _database_away(error)
        case asyncpg.TooManyConnectionsError() | asyncpg.AdminShutdownError() | asyncpg.CrashShutdownError():
            return _database_away(error)
        case ConnectionError() | TimeoutError():
            return _database_away(error)
        case asyncpg.InternalClientError():  # the server said goodbye and the socket is not closed yet
            return _database_away(error)
        case asyncpg.InterfaceError() if "clos" in str(error):
            return _database_away(error)
        case asyncpg.UniqueViolationError() | asyncpg.ForeignKeyViolationError():
            _log.warning("conflict in the database", constraint=error.constraint_name, exc_info=error)
            return Problem(409)
        case asyncpg.SerializationError() | asyncpg.DeadlockDetectedError():
            return Problem(409)
        case asyncpg.InsufficientPrivilegeError():
            _log.warning("refused by the database", exc_info=error)
            return Problem(403)
        case (
            asyncpg.NumericValueOutOfRangeError()
            | asyncpg.CharacterNotInRepertoireError()
            | asyncpg.UntranslatableCharacterError()
        ):
            return _no_such_value(error)
        case _ if type(error) is asyncpg.DataError:  # a value that cannot even be sent, such as too large a number
            return _no_such_value(error)
        case asyncpg.PostgresError() if (error.sqlstate or "").startswith(OWN_STATES):
            return _refused_by_rule(error)
        case asyncpg.QueryCanceledError():
            _log.error("a statement took too long", exc_info=error)
            return Problem(503, headers={"Retry-After": RETRY_AFTER})
        case _ if type(error) is LookupError:
            return Problem(404)
        case _:
            _log.error("unexpected error", exc_info=error)
            return Problem(500)


def _no_such_value(error: BaseException) -> Problem:
    _log.warning("a value that the database cannot hold", exc_info=error)
    return Problem(400)


def _refused_by_rule(error: asyncpg.PostgresError) -> Problem:
    """A rule of the data that no page told in advance: approved data, or one that changed meanwhile."""
    _log.warning("refused by a rule of the database", sqlstate=error.sqlstate, exc_info=error)
    protection = protection_of(error)
    return Problem(403, protection.message) if protection else Problem(409)


def _database_away(error: BaseException) -> Problem:
    _log.error("the database is away", reason=str(error))
    return Problem(503, headers={"Retry-After": RETRY_AFTER})


def answer(request: web.Request, problem: Problem) -> web.Response:
    """The problem as a page in the reader's language, or as problem+json; never raises."""
    response = _json(request, problem) if is_api(request) else _page(request, problem)
    response.headers.update(problem.headers)
    if problem.close:
        response.force_close()
    return response


def _json(request: web.Request, problem: Problem) -> web.Response:
    words = words_of(problem.status)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _phrase(problem.status),
        "status": problem.status,
        "detail": str(problem.detail or (problem.notes[0] if problem.notes else words.title)),
        "request_id": request.get(REQUEST_ID, ""),
    }
    if problem.errors:
        body["errors"] = [
            {"pointer": "#/" + name.replace(".", "/"), "detail": str(text)} for name, text in problem.errors.items()
        ]
    return web.Response(
        status=problem.status,
        body=json.dumps(body, ensure_ascii=False).encode(),
        headers={"Content-Type": "application/problem+json; charset=utf-8", "Content-Language": language()},
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What the template of an error page shows. ``texts`` are specific reasons, ``request_id`` only where it helps."""

    status: int
    title: Text
    advice: Text
    texts: tuple[str, ...]
    request_id: str
    link: tuple[str, Text] | None
    typed: tuple[str, ...] = ()


def _page(request: web.Request, problem: Problem) -> web.Response:
    words = words_of(problem.status)
    said = (problem.detail, *problem.notes, *problem.errors.values())
    page = ErrorPage(
        problem.status,
        words.title,
        words.advice,
        tuple(dict.fromkeys(str(text) for text in said if text is not None)),
        request.get(REQUEST_ID, "") if problem.status >= 500 else "",
        problem.link,
        problem.typed,
    )
    return web.Response(status=problem.status, text=_html(request, page), content_type="text/html", charset="utf-8")


def _html(request: web.Request, page: ErrorPage) -> str:
    if SITE in request:
        try:
            return templating.render(request, "kernel/error.html", {"error": page})
        except Exception:
            _log.exception("the error page itself failed")
    return _bare(page)


def _bare(page: ErrorPage) -> str:
    """The page without templates, theme or organisation: for an unknown host and for an error in the error page."""
    said = Markup().join(Markup("<p>{}</p>").format(str(text)) for text in (*page.texts, page.advice, page.request_id))
    return _BARE.format(language=language(), title=str(page.title), said=said)


_BARE: Final = Markup(
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title></head>'
    "<body><main><h1>{title}</h1>{said}</main></body></html>"
)

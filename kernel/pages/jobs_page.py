"""Durable work in the console: what waits, what failed and why, and the letters that were sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, LiteralString

from aiohttp import web
from pydantic import Field

from kernel.i18n import _
from kernel.jobs import discard, retry, troubled, waiting
from kernel.plugin.contracts import Nav, Route
from kernel.plugin.permissions import STAFF, Permission
from kernel.web.request import CONN, SITE, not_found
from kernel.web.routing import redirect
from kernel.web.tables import Badge, Column, Filter, Listing, ListQuery, listed

RIGHT: Final = "kernel.jobs"
STATES: Final = {
    "queued": Badge(_("waits"), "notice"),
    "sent": Badge(_("sent"), "credit"),
    "failed": Badge(_("failed"), "due"),
}

LETTERS_SQL: Final[LiteralString] = """
select id, created_at, recipient, subject, state, attempts, last_error from kernel.mail_log
"""
LETTERS: Final = Listing(
    name="kernel.mail",
    select=LETTERS_SQL,
    columns=(
        Column("created_at", _("Written"), kind="moment", sort="id"),
        Column("recipient", _("Recipient")),
        Column("subject", _("Subject")),
        Column("state", _("State"), kind="badge", badges=STATES),
        Column("attempts", _("Tries"), kind="number"),
        Column("last_error", _("Last error")),
    ),
    order="-created_at",
    filters=(
        Filter("recipient", _("Recipient"), "recipient = {0}"),
        Filter(
            "state",
            _("State"),
            "state = {0}",
            "select",
            tuple((state, badge.label) for state, badge in STATES.items()),
        ),
    ),
    title_of="subject",
)


class LetterQuery(ListQuery):
    """What the log of letters can be asked."""

    recipient: str = Field("", max_length=254)
    state: str = Field("", max_length=10)


def permissions() -> Iterable[Permission]:
    """The right to see and retry jobs."""
    yield Permission(RIGHT, _("See jobs and letters, retry what failed"), STAFF)


def navigation() -> Iterable[Nav]:
    """Jobs in the console's menu."""
    yield Nav(_("Jobs"), "kernel.jobs", order=910, icon="jobs", group=_("Administration"))


def routes() -> Iterable[Route]:
    """The queue, its failed jobs, and the letters."""
    yield Route("GET", "/admin/jobs", show_jobs, RIGHT, "kernel.jobs", template="kernel/pages/jobs.html")
    yield Route("POST", r"/admin/jobs/{job:\d+}/retry", retry_job, RIGHT, "kernel.jobs.retry")
    yield Route("POST", r"/admin/jobs/{job:\d+}/discard", discard_job, RIGHT, "kernel.jobs.discard")
    yield Route(
        "GET", "/admin/mail", show_letters, RIGHT, "kernel.mail", query=LetterQuery, template="kernel/pages/mail.html"
    )


async def show_jobs(request: web.Request) -> object:
    """What failed first, then the queue."""
    kinds = request[SITE].registry.jobs
    return {
        "troubled": await troubled(request[CONN]),
        "waiting": [{"row": row, "known": row.kind in kinds} for row in await waiting(request[CONN])],
    }


async def retry_job(request: web.Request) -> web.Response:
    """Give a failed job all its tries again."""
    if not await retry(request[CONN], int(request.match_info["job"])):
        raise not_found()
    return redirect(request, "kernel.jobs", flash=_("The job is in the queue again."))


async def discard_job(request: web.Request) -> web.Response:
    """Give a failed job up."""
    if not await discard(request[CONN], int(request.match_info["job"])):
        raise not_found()
    return redirect(request, "kernel.jobs", flash=_("The job was discarded. What it should have done was not done."))


async def show_letters(request: web.Request, query: LetterQuery) -> object:
    """The newest letters first."""
    return await listed(request, LETTERS, query)

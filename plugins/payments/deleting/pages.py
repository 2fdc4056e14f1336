"""The pages on which a superadministrator deletes approved data: the reason, the password, and what will happen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, SecretStr

from kernel import CONN, SITE, Connection, Request, Route, _, confirmed, not_found, redirect, url
from plugins.payments.deleting import store
from plugins.payments.deleting.model import Doomed, Kind
from plugins.payments.desk.fields import Reason

RIGHT: Final = "payments.void"
_GONE: Final = _("This was deleted already, or never counted.")


class DeleteForm(BaseModel):
    """Why approved data is deleted, and the password of who says so."""

    reason: Reason
    password: SecretStr


@dataclass(frozen=True, slots=True)
class Deletion:
    """One kind of approved data: where its page is, how it is found, how it is deleted."""

    kind: Kind
    parameter: str
    back: str
    find: Callable[[Connection, int], Awaitable[Doomed | None]]
    delete: Callable[[Connection, Doomed, str, date], Awaitable[None]]

    async def ask(self, request: Request) -> Mapping[str, Any] | web.StreamResponse:
        """Asks why, and says what will happen."""
        found = await self._found(request)
        if found.gone:
            return self._back(request, found)
        question = replace(self.kind.question, values={"number": found.number})
        return {
            "doomed": found,
            "question": question,
            "kind": self.kind,
            "action": request.path,
            "back": url(request, self.back, **self._parts(found)),
        }

    async def act(self, request: Request, form: DeleteForm) -> web.StreamResponse:
        """Delete it, once however often it is asked, and tell the other superadministrators."""
        async with confirmed(request, form.password) as conn:
            found = await self._found(request)
            if not found.gone:
                await self.delete(conn, found, form.reason, request[SITE].clock.today())
        return self._back(request, found, done=not found.gone)

    async def _found(self, request: Request) -> Doomed:
        found = await self.find(request[CONN], int(request.match_info[self.parameter]))
        if found is None:
            raise not_found()
        return found

    def _back(self, request: Request, found: Doomed, *, done: bool = False) -> web.StreamResponse:
        return redirect(request, self.back, flash=self.kind.done if done else _GONE, **self._parts(found))

    def _parts(self, found: Doomed) -> dict[str, Any]:
        return {self.parameter: found.id}


DELETIONS: Final[Mapping[str, Deletion]] = {
    r"/admin/accounts/{account:\d+}/delete": Deletion(
        Kind(
            _("Delete the account {number}?"),
            _(
                "The account counts no more and can never be opened again. What is approved on it is voided, its "
                "drafts are deleted. Its number stays taken. If the customer only leaves, close the account instead."
            ),
            _("Delete the account"),
            _("The account is deleted."),
            "payments.delete_account",
        ),
        "account",
        "payments.account",
        store.account,
        store.delete_account,
    ),
    r"/admin/interest/notes/{note:\d+}/delete": Deletion(
        Kind(
            _("Delete the interest note {number}?"),
            _(
                "The interest that the note booked is voided, and its days can be noted again. The customer sees the "
                "note no more. Its number stays taken."
            ),
            _("Delete the note"),
            _("The note is deleted."),
            "payments.delete_note",
        ),
        "note",
        "payments.interest_note",
        store.note,
        store.delete_note,
    ),
    r"/admin/charging/runs/{run_no:\d+}/delete": Deletion(
        Kind(
            _("Delete the charges of run {number}?"),
            _(
                "Every charge of this run that still counts is voided, and the month may be charged again. To keep "
                "both the charges and what takes them back on the customers' cards, roll the run back instead."
            ),
            _("Delete the charges"),
            _("The charges of the run are deleted."),
            "payments.delete_run",
        ),
        "run_no",
        "payments.charging_run",
        store.run,
        store.delete_run,
    ),
    r"/admin/charges/lists/{batch:\d+}/void": Deletion(
        Kind(
            _("Delete the list of charges {number}?"),
            _(
                "What of the list is approved is voided, what still waits is deleted. The list stays, marked as "
                "deleted."
            ),
            _("Delete the list"),
            _("The list is deleted."),
            "payments.delete_list",
        ),
        "batch",
        "payments.charging_list",
        store.charge_list,
        store.delete_list,
    ),
}  # fmt: skip


def _routes() -> tuple[Route, ...]:
    return tuple(
        route
        for path, one in DELETIONS.items()
        for route in (
            Route("GET", path, one.ask, RIGHT, f"{one.kind.verb}_ask", template="payments/deleting/confirm.html"),
            Route("POST", path, one.act, RIGHT, one.kind.verb, body=DeleteForm, read_only=True),
        )
    )


ROUTES: Final = _routes()

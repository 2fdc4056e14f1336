"""How a list looks for a person, and lists kept under a name: what the menu «View» of every list sends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlencode

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints

from kernel.fields import Line
from kernel.i18n import _
from kernel.pages.attempts import user_of
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import STAFF, Permission
from kernel.web import remembered
from kernel.web.request import ACTOR, CONN, Refused, not_found
from kernel.web.routing import local_address, redirect_to

RIGHT: Final = "kernel.lists"
ListName = Annotated[str, StringConstraints(max_length=100, pattern=r"^/[a-z0-9_/{}.-]*$")]
Name = Annotated[str, StringConstraints(max_length=100, pattern=r"^[a-z0-9_]+$")]
Query = Annotated[str, StringConstraints(max_length=4000)]
Back = Annotated[str, StringConstraints(max_length=6000)]
NOT_KEPT: Final = frozenset({"own", "view", "after", "before", "format"})


class LookForm(BaseModel):
    """Columns of a list (of ``columns`` those not among ``shown`` are hidden), and whether rows stand close."""

    of: ListName
    columns: list[Name] = Field(max_length=100)
    shown: list[Name] = Field([], max_length=100)
    dense: bool = False
    back: Back = "/admin/"


class KeepForm(BaseModel):
    """A list to keep: its address's query under a title. ``of`` is what the list is remembered by."""

    of: ListName
    title: Annotated[Line, StringConstraints(min_length=1, max_length=60)]
    query: Query = ""
    opens: bool = False
    shared: bool = False
    back: Back = "/admin/"


class ViewForm(BaseModel):
    """One kept view."""

    of: ListName
    view: int = Field(ge=0, lt=2**63)
    back: Back = "/admin/"


def permissions() -> Iterable[Permission]:
    """The right to arrange lists for oneself."""
    yield Permission(RIGHT, _("Arrange lists for oneself and keep views of them"), STAFF)


def routes() -> Iterable[Route]:
    """What the menu of a list sends."""
    yield Route("POST", "/admin/lists/look", look, RIGHT, "kernel.lists_look", body=LookForm)
    yield Route("POST", "/admin/lists/views", keep, RIGHT, "kernel.lists_keep", body=KeepForm)
    yield Route("POST", "/admin/lists/views/open", choose, RIGHT, "kernel.lists_open", body=ViewForm)
    yield Route("POST", "/admin/lists/views/delete", drop, RIGHT, "kernel.lists_drop", body=ViewForm)


async def look(request: web.Request, form: LookForm) -> web.Response:
    """Hide columns and choose the density. The first column always stays."""
    hidden = [name for name in form.columns[1:] if name not in form.shown]
    await remembered.set_look(request[CONN], user_of(request[ACTOR]), form.of, hidden, is_dense=form.dense)
    return redirect_to(request, local_address(form.back))


async def keep(request: web.Request, form: KeepForm) -> web.Response:
    """Keep the filters, the order and the columns of a list under a title."""
    conn, user = request[CONN], user_of(request[ACTOR])
    query = urlencode([(name, value) for name, value in parse_qsl(form.query) if name not in NOT_KEPT])
    hidden = request[remembered.REMEMBERED].memory(form.of).hidden
    view = await remembered.keep(conn, user, form.of, form.title, query, sorted(hidden), is_shared=form.shared)
    if view is None:
        raise Refused(_("You keep a hundred views already. Delete one of them first."), field="title")
    if form.opens:
        await remembered.set_opens(conn, user, form.of, view)
    path = local_address(form.back).partition("?")[0]
    return redirect_to(request, f"{path}?{query}&view={view}".replace("?&", "?"), flash=_("The view is kept"))


async def choose(request: web.Request, form: ViewForm) -> web.Response:
    """Open a list with this view from now on; 0 for none."""
    await remembered.set_opens(request[CONN], user_of(request[ACTOR]), form.of, form.view or None)
    return redirect_to(request, local_address(form.back), flash=_("Saved"))


async def drop(request: web.Request, form: ViewForm) -> web.Response:
    """Delete one's own view."""
    if not await remembered.drop(request[CONN], user_of(request[ACTOR]), form.view):
        raise not_found()
    return redirect_to(request, local_address(form.back).partition("?")[0], flash=_("The view is deleted"))

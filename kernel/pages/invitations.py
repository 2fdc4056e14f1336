"""Invitations in the console: a login whose person chooses the password by a link that comes by e-mail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from kernel.auth import invitations
from kernel.auth.invitations import INVITATIONS_SQL, AlreadyOver, CustomerGone, Invitation
from kernel.auth.office import NewUser, UnknownCustomer, may_manage
from kernel.fields import Line
from kernel.i18n import _
from kernel.pages.attempts import organisation_of
from kernel.pages.users import ROLES, RoleName, manageable_roles, only_in_mode
from kernel.people.model import LoginTaken, fold_login, is_email, login_is_possible
from kernel.plugin.contracts import Route, Verb
from kernel.plugin.permissions import Role
from kernel.web.request import ACTOR, CONN, SITE, Refused, not_found
from kernel.web.routing import redirect, url
from kernel.web.tables import Badge, Column, Filter, Listing, ListQuery, listed

_STATES: Final = {
    "waiting": Badge(_("waits for the person"), "notice"),
    "expired": Badge(_("the link expired"), "due"),
    "accepted": Badge(_("accepted"), "credit"),
    "withdrawn": Badge(_("withdrawn invitation")),
}
_GONE: Final = _("This customer is not active: nobody gets a login")
_OVER: Final = _("This invitation was accepted or withdrawn already")

INVITATIONS: Final = Listing(
    name="kernel.invitations",
    select=INVITATIONS_SQL,
    columns=(
        Column("login", _("Login"), sort='login collate "C"', link="kernel.invitation", by={"invitation": "id"}),
        Column("email", _("E-mail")),
        Column("role", _("Role"), "badge", badges={role: Badge(label) for role, label in ROLES.items()}),
        Column("customer_no", _("Customer number")),
        Column("state", _("State"), "badge", badges=_STATES),
        Column("sent_at", _("Sent"), "moment", sort="sent_at"),
        Column("invited_by", _("Invited by")),
    ),
    order="-sent_at",
    filters=(
        Filter("text", _("Login or e-mail"), "lower(login || ' ' || email) like '%' || lower({0}::text) || '%'"),
        Filter(
            "state", _("State"), "state = {0}", options=tuple((name, badge.label) for name, badge in _STATES.items())
        ),
    ),
    title_of="login",
)


class InvitationsQuery(ListQuery):
    """What the list of invitations can be asked."""

    text: str = Field("", max_length=200)
    state: Literal["", "waiting", "expired", "accepted", "withdrawn"] = ""


class InvitationForm(BaseModel):
    """Whom to invite. Without ``login`` the e-mail address is the login."""

    email: Line
    name: Line
    role: RoleName
    login: Line = ""
    customer_no: Line = ""


def verbs() -> Iterable[Verb]:
    """What the history says of invitations."""
    yield Verb("kernel.user_invited", _("invited {login} as {role}"))
    yield Verb("kernel.invitation_sent", _("sent {login} the invitation again"))
    yield Verb("kernel.invitation_withdrawn", _("withdrew the invitation of {login}"))


def routes() -> Iterable[Route]:
    """Inviting, the list of invitations, and one of them."""
    right, listing = "kernel.users", "kernel/pages/invitations.html"
    yield Route("GET", "/admin/users/invite", show_invite, right, "kernel.invite", template="kernel/pages/invite.html")
    yield Route("POST", "/admin/users/invite", invite, right, "kernel.invite_post", body=InvitationForm)
    path = "/admin/users/invitations"
    yield Route("GET", path, show_all, right, "kernel.invitations", query=InvitationsQuery, template=listing)
    path += r"/{invitation:\d+}"
    yield Route("GET", path, show_one, right, "kernel.invitation", template="kernel/pages/invitation.html")
    yield Route("POST", f"{path}/send", send_again, right, "kernel.invitation.send")
    yield Route("POST", f"{path}/withdraw", withdraw, right, "kernel.invitation.withdraw")


async def show_invite(request: web.Request) -> object:
    return {"roles": manageable_roles(request), "days": invitations.LASTS.days}


async def invite(request: web.Request, form: InvitationForm) -> web.Response:
    if not is_email(form.email):
        raise Refused(_("This is not an e-mail address"), field="email")
    login, role = fold_login(form.login or form.email), Role(form.role)
    if not login_is_possible(login):
        raise Refused(_("A login has no spaces and at most {most} characters", most=200), field="login")
    if not may_manage(request[ACTOR], role):
        raise only_in_mode()
    if form.customer_no and role is not Role.CUSTOMER:
        raise Refused(_("Only a customer's login belongs to a customer"), field="customer_no")
    if role is Role.CUSTOMER and not form.customer_no:
        raise Refused(_("Enter the number of the customer whose account this login shows"), field="customer_no")
    new = NewUser(login=login, role=role, name=form.name, email=form.email, customer_no=form.customer_no)
    site = request[SITE]
    try:
        number = await invitations.invite(
            request[CONN],
            new,
            _link(request),
            organisation_of(site),
            site.clock.now(),
            invited_by=request[ACTOR].user,
        )
    except LoginTaken:
        field = "login" if form.login else "email"
        raise Refused(_("This login is taken. Open the user and add the customer there"), field=field) from None
    except UnknownCustomer:
        raise Refused(_("There is no customer with this number"), field="customer_no") from None
    except CustomerGone:
        raise Refused(_GONE, field="customer_no") from None
    flash = _("The invitation is on its way to {email}", email=form.email)
    return redirect(request, "kernel.invitation", invitation=number, flash=flash)


async def show_all(request: web.Request, query: InvitationsQuery) -> object:
    return await listed(request, INVITATIONS, query, args=(request[SITE].clock.now(),))


async def show_one(request: web.Request) -> object:
    held = await _held(request)
    return {
        "invitation": held,
        "state": _STATES[held.state],
        "role_label": ROLES[held.role],
        "may_change": held.is_open and may_manage(request[ACTOR], held.role),
    }


async def send_again(request: web.Request) -> web.Response:
    held, site = await _managed(request), request[SITE]
    try:
        await invitations.send_again(request[CONN], held, _link(request), organisation_of(site), site.clock.now())
    except AlreadyOver:
        raise Refused(_OVER) from None
    except CustomerGone:
        raise Refused(_GONE) from None
    flash = _("A new link is on its way to {email}; the one before works no more", email=held.email)
    return redirect(request, "kernel.invitation", invitation=held.id, flash=flash)


async def withdraw(request: web.Request) -> web.Response:
    held = await _managed(request)
    try:
        await invitations.withdraw(request[CONN], held, request[SITE].clock.now())
    except AlreadyOver:
        raise Refused(_OVER) from None
    return redirect(request, "kernel.invitations", flash=_("The invitation was withdrawn; its link works no more"))


async def _held(request: web.Request, *, lock: bool = False) -> Invitation:
    number, now = int(request.match_info["invitation"]), request[SITE].clock.now()
    held = await invitations.invitation(request[CONN], number, now, lock=lock)
    if held is None:
        raise not_found()
    return held


async def _managed(request: web.Request) -> Invitation:
    """The invitation of the address, if the actor may invite such a one; 403 otherwise."""
    held = await _held(request, lock=True)
    if not may_manage(request[ACTOR], held.role):
        raise web.HTTPForbidden
    return held


def _link(request: web.Request) -> str:
    origin = request[SITE].base_url.rstrip("/") or f"{request.scheme}://{request.host}"
    return origin + url(request, "kernel.reset_link", token="x" * 20).replace("x" * 20, "{token}")

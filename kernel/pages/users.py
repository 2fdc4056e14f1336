"""Users in the console: who may log in, as what, and help for whoever cannot get in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, LiteralString

from aiohttp import web
from pydantic import BaseModel

from kernel.audit import audit
from kernel.auth import account, office, sessions
from kernel.auth.model import STARTER_PASSWORD, Throttled, starter_password
from kernel.auth.office import NewUser, UnknownCustomer, may_manage
from kernel.fields import Line
from kernel.i18n import Text, _
from kernel.pages.attempts import stamp_of_request, too_many
from kernel.people import store as people
from kernel.people.model import (
    LastSuperadmin,
    LoginTaken,
    Scope,
    State,
    User,
    fold_login,
    is_email,
    login_is_possible,
)
from kernel.plugin.contracts import Nav, Route
from kernel.plugin.permissions import STAFF, Permission, Role
from kernel.web.request import ACTOR, CONN, SITE, Refused, not_found
from kernel.web.routing import redirect
from kernel.web.tables import Badge, Column, Filter, Listing, ListQuery, listed

RoleName = Literal["customer", "admin", "superadmin"]

ROLES: Final = {
    Role.CUSTOMER.value: _("Customer"),
    Role.ADMIN.value: _("Administrator"),
    Role.SUPERADMIN.value: _("Superadministrator"),
}
SCOPES: Final = {
    Scope.VIEW.value: _("only see"),
    Scope.PAY.value: _("see and pay"),
    Scope.ACT.value: _("see, pay and write to the office"),
    Scope.MANAGE.value: _("everything"),
}
_ROLE_OPTIONS: Final = tuple(ROLES.items())
_LAST: Final = _("The last superadministrator must stay. Make another one first")

USERS_SQL: Final[LiteralString] = "select id, login, name, email, role, state from kernel.users"
USERS: Final = Listing(
    name="kernel.users",
    select=USERS_SQL,
    columns=(
        Column("login", _("Login"), sort='login collate "C"', link="kernel.user", by={"id": "id"}),
        Column("name", _("Name"), sort='kernel.pl_sort(name) collate "C"'),
        Column("email", _("E-mail")),
        Column("role", _("Role"), "badge", badges={role: Badge(label) for role, label in ROLES.items()}),
        Column(
            "state",
            _("State"),
            "badge",
            badges={State.ACTIVE: Badge(_("active"), "credit"), State.DISABLED: Badge(_("disabled"))},
        ),
    ),
    order="name",
    filters=(
        Filter("text", _("Login or name"), "(login || ' ' || lower(name)) like '%' || lower({0}::text) || '%'"),
        Filter("role", _("Role"), "role = {0}", "select", _ROLE_OPTIONS),
        Filter(
            "state",
            _("State"),
            "state = {0}",
            "select",
            ((State.ACTIVE, _("active")), (State.DISABLED, _("disabled"))),
        ),
    ),
    title_of="login",
)


class UserQuery(ListQuery):
    """What the list of users can be asked."""

    text: str = ""
    role: str = ""
    state: str = ""


class NewUserForm(BaseModel):
    """A login to be made."""

    login: Line
    name: Line
    email: Line = ""
    role: RoleName
    customer_no: Line = ""


class UserForm(BaseModel):
    """What the office changes of a user."""

    name: Line
    email: Line = ""
    role: RoleName


class StateForm(BaseModel):
    """Whether the user may log in."""

    state: Literal["active", "disabled"]


class GrantForm(BaseModel):
    """A customer that the user shall see, and how far."""

    customer_no: Line
    scope: Literal["view", "pay", "act", "manage"]


def permissions() -> Iterable[Permission]:
    """The right to manage users; superadministrators are managed in superadministrator mode only."""
    yield Permission("kernel.users", _("Manage users"), STAFF)


def navigation() -> Iterable[Nav]:
    """Users in the console's menu."""
    yield Nav(_("Users"), "kernel.users", order=800, icon="user", group=_("Administration"))


def routes() -> Iterable[Route]:
    """The list of users and the page of one."""
    right = "kernel.users"
    yield Route("GET", "/admin/users", show_users, right, right, query=UserQuery, template="kernel/pages/users.html")
    yield Route("GET", "/admin/users/add", show_add, right, "kernel.users.add", template="kernel/pages/user_add.html")
    yield Route(
        "POST",
        "/admin/users/add",
        add_user,
        right,
        "kernel.users.add_post",
        body=NewUserForm,
        template="kernel/pages/user_starter.html",
        read_only=True,
    )
    path = r"/admin/users/{id:\d+}"
    yield Route("GET", path, show_user, right, "kernel.user", template="kernel/pages/user.html")
    yield Route("POST", path, change_user, right, "kernel.user.change", body=UserForm)
    yield Route("POST", f"{path}/state", change_state, right, "kernel.user.state", body=StateForm)
    yield Route(
        "POST",
        f"{path}/starter-password",
        give_starter,
        right,
        "kernel.user.starter",
        template="kernel/pages/user_starter.html",
        read_only=True,
    )
    yield Route("POST", f"{path}/end-sessions", end_sessions, right, "kernel.user.end_sessions")
    yield Route("POST", f"{path}/second-factor-off", remove_factor, right, "kernel.user.second_factor_off")
    yield Route("POST", f"{path}/grants", add_grant, right, "kernel.user.grant", body=GrantForm)
    yield Route("POST", path + r"/grants/{customer:\d+}/revoke", revoke, right, "kernel.user.revoke")


async def show_users(request: web.Request, query: UserQuery) -> object:
    return await listed(request, USERS, query)


async def show_add(request: web.Request) -> object:
    return {"roles": manageable_roles(request)}


async def add_user(request: web.Request, form: NewUserForm) -> object:
    site = request[SITE]
    login = fold_login(form.login)
    if not login_is_possible(login):
        raise Refused(_("A login has no spaces and at most {most} characters", most=200), field="login")
    _check_email(form.email)
    role = Role(form.role)
    if not may_manage(request[ACTOR], role):
        raise only_in_mode()
    if form.customer_no and role is not Role.CUSTOMER:
        raise Refused(_("Only a customer's login belongs to a customer"), field="customer_no")
    new = NewUser(login=login, role=role, name=form.name, email=form.email, customer_no=form.customer_no)
    password = starter_password()
    try:
        user = await office.add_user(
            site.db,
            stamp_of_request(request),
            new,
            password,
            site.clock.now(),
            starter=True,
            granted_by=request[ACTOR].user,
        )
    except LoginTaken:
        raise Refused(_("This login is taken"), field="login") from None
    except UnknownCustomer:
        raise Refused(_("There is no customer with this number"), field="customer_no") from None
    except Throttled as throttled:
        raise too_many(throttled) from None
    return _starter(user, login, password)


async def show_user(request: web.Request) -> object:
    conn, now = request[CONN], request[SITE].clock.now()
    user = await _user(request)
    return {
        "user": user,
        "role_label": ROLES[user.role],
        "roles": manageable_roles(request),
        "scopes": tuple(SCOPES.items()),
        "scope_labels": SCOPES,
        "grants": await people.grants(conn, user.id, now) if user.role is Role.CUSTOMER else (),
        "may_change": may_manage(request[ACTOR], user.role),
        "is_self": user.id == request[ACTOR].user,
    }


async def change_user(request: web.Request, form: UserForm) -> web.Response:
    user = await _managed(request)
    _check_email(form.email)
    role = Role(form.role)
    if not may_manage(request[ACTOR], role):
        raise only_in_mode()
    try:
        await office.change_user(request[CONN], user, name=form.name, email=form.email, role=role)
    except LastSuperadmin:
        raise Refused(_LAST, field="role") from None
    return redirect(request, "kernel.user", flash=_("Saved"), id=user.id)


async def change_state(request: web.Request, form: StateForm) -> web.Response:
    user = await _managed(request)
    if user.id == request[ACTOR].user:
        raise Refused(_("You cannot disable yourself"))
    state = State(form.state)
    try:
        await office.set_state(request[CONN], user, state)
    except LastSuperadmin:
        raise Refused(_LAST) from None
    flash = (
        _("The user may log in again") if state is State.ACTIVE else _("The user is disabled and logged out everywhere")
    )
    return redirect(request, "kernel.user", flash=flash, id=user.id)


async def give_starter(request: web.Request) -> object:
    site = request[SITE]
    user = await _managed(request)
    try:
        password = await office.give_starter_password(site.db, stamp_of_request(request), user, site.clock.now())
    except Throttled as throttled:
        raise too_many(throttled) from None
    return _starter(user.id, user.login, password)


async def end_sessions(request: web.Request) -> web.Response:
    user = await _managed(request)
    await office.end_sessions(request[CONN], user)
    return redirect(request, "kernel.user", flash=_("The user is logged out everywhere"), id=user.id)


async def remove_factor(request: web.Request) -> web.Response:
    user = await _managed(request)
    await account.remove_second_factor(request[CONN], user.id)
    await sessions.end_others(request[CONN], user.id)
    return redirect(request, "kernel.user", flash=_("The second factor is off"), id=user.id)


async def add_grant(request: web.Request, form: GrantForm) -> web.Response:
    conn, user = request[CONN], await _managed(request)
    if user.role is not Role.CUSTOMER:
        raise Refused(_("Only a customer's login belongs to a customer"), field="customer_no")
    customer = await people.find_customer(conn, form.customer_no)
    if customer is None:
        raise Refused(_("There is no customer with this number"), field="customer_no")
    if customer.status == "deceased":
        raise Refused(_("This customer is not active: nobody gets a login"), field="customer_no")
    await people.grant(conn, user.id, customer.id, scope=Scope(form.scope), granted_by=request[ACTOR].user)
    await audit(
        conn,
        "kernel.access_granted",
        customer=customer.id,
        subject=f"user {user.id}",
        login=user.login,
        customer_no=customer.customer_no,
    )
    return redirect(request, "kernel.user", flash=_("Saved"), id=user.id)


async def revoke(request: web.Request) -> web.Response:
    conn, user = request[CONN], await _managed(request)
    customer = await people.customer(conn, int(request.match_info["customer"]))
    if customer is None or not await people.revoke(conn, user.id, customer.id):
        raise not_found()
    await audit(
        conn,
        "kernel.access_revoked",
        customer=customer.id,
        subject=f"user {user.id}",
        login=user.login,
        customer_no=customer.customer_no,
    )
    return redirect(request, "kernel.user", flash=_("Saved"), id=user.id)


async def _user(request: web.Request) -> User:
    user = await people.user(request[CONN], int(request.match_info["id"]))
    if user is None:
        raise not_found()
    return user


async def _managed(request: web.Request) -> User:
    """The user of the address, if the actor may change such a one; 403 otherwise."""
    user = await _user(request)
    if not may_manage(request[ACTOR], user.role):
        raise web.HTTPForbidden
    return user


def manageable_roles(request: web.Request) -> tuple[tuple[str, Text], ...]:
    """The roles that the actor may give."""
    return tuple((role, label) for role, label in _ROLE_OPTIONS if may_manage(request[ACTOR], Role(role)))


def only_in_mode() -> Refused:
    """For somebody who would make a superadministrator without the announced mode."""
    return Refused(_("Superadministrators are managed by a superadministrator in the mode"), field="role")


def _check_email(email: str) -> None:
    if email and not is_email(email):
        raise Refused(_("This is not an e-mail address"), field="email")


def _starter(user: int, login: str, password: str) -> dict[str, object]:
    return {"user": user, "login": login, "password": password, "days": STARTER_PASSWORD.days}

"""API tokens: what a person of the office lets programs do in the own name, and everybody's for superadministrators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, LiteralString

from aiohttp import web
from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints

from kernel.auth import api_tokens
from kernel.auth.api_tokens import ALWAYS, LIFETIME, WARNED_BEFORE, ApiToken, NameTaken, expiry, last_day, offered
from kernel.dates import LATEST, PolishDate
from kernel.db.connection import Row
from kernel.fields import one_line
from kernel.i18n import Text, _
from kernel.pages.attempts import user_of
from kernel.plugin.contracts import Route
from kernel.plugin.permissions import STAFF, Permission, Role
from kernel.site import Site
from kernel.web.proof import confirmed
from kernel.web.request import ACTOR, CONN, SITE, Refused, not_found
from kernel.web.routing import redirect
from kernel.web.tables import Badge, Column, Filter, Listing, ListQuery, listed

OWN: Final = "kernel.tokens"
ALL: Final = "kernel.all_tokens"

STATES: Final = {
    "works": _("works"),
    "soon": _("expires soon"),
    "expired": _("expired"),
    "revoked": _("revoked"),
    "idle": _("its owner cannot log in"),
}
_TONES: Final = {"works": "credit", "soon": "notice"}
_BADGES: Final = {state: Badge(label, _TONES.get(state, "")) for state, label in STATES.items()}

# Instants and the time zone come as arguments: the organisation's clock is the one that counts.
OWN_SQL: Final[LiteralString] = """
select t.id, t.name, array_to_string(array_remove(t.scopes, 'kernel.api'), ', ') as scopes, t.created_at,
       ((t.expires_at - interval '1 second') at time zone $4)::date as last_day, t.last_used_at, t.last_used_from,
       case when t.revoked_at is not null then 'revoked' when t.expires_at <= $2 then 'expired'
            when t.expires_at <= $3 then 'soon' else 'works' end as state
from kernel.api_token t where t.user_id = $1"""

ALL_SQL: Final[LiteralString] = """
select t.id, t.name, coalesce(nullif(u.name, ''), u.login) as owner, t.created_at,
       array_to_string(array_remove(t.scopes, 'kernel.api'), ', ') as scopes,
       ((t.expires_at - interval '1 second') at time zone $3)::date as last_day, t.last_used_at,
       t.last_used_from,
       case when t.revoked_at is not null then 'revoked' when t.expires_at <= $1 then 'expired'
            when u.state <> 'active' or u.role = 'customer' then 'idle'
            when t.expires_at <= $2 then 'soon' else 'works' end as state
from kernel.api_token t join kernel.users u on u.id = t.user_id"""


def _until(row: Row) -> object:
    return _("does not expire") if row["last_day"] is None else row["last_day"]


def _used(row: Row) -> object:
    return _("not yet") if row["last_used_at"] is None else row["last_used_at"]


_NAME: Final = Column(
    "name", _("Name"), sort='kernel.pl_sort(name) collate "C"', link="kernel.token", by={"api_token": "id"}
)
_FACTS: Final = (
    Column("state", _("State"), "badge", badges=_BADGES),
    Column("scopes", _("Permissions")),
    Column("last_day", _("Works until"), "date", sort="coalesce(last_day, 'infinity')", show=_until),
    Column("last_used_at", _("Last used"), "moment", sort="coalesce(last_used_at, '-infinity')", show=_used),
    Column("last_used_from", _("From the address")),
    Column("created_at", _("Made"), "moment", sort="id"),
)
_FILTERS: Final = (
    Filter("text", _("Name or permission"), "lower(name || ' ' || scopes) like '%' || lower({0}::text) || '%'"),
    Filter("state", _("State"), "state = {0}", "select", tuple(STATES.items())),
)
TOKENS: Final = Listing(
    "kernel.tokens", OWN_SQL, (_NAME, *_FACTS), order="-created_at", filters=_FILTERS, title_of="name"
)
EVERYBODYS: Final = Listing(
    "kernel.all_tokens",
    ALL_SQL,
    (_NAME, Column("owner", _("Owner"), sort='kernel.pl_sort(owner) collate "C"'), *_FACTS),
    order="-created_at",
    filters=(*_FILTERS, Filter("owner", _("Owner"), "lower(owner) like '%' || lower({0}::text) || '%'")),
    title_of="name",
)


class TokenQuery(ListQuery):
    """What the list of own tokens can be asked."""

    text: str = Field("", max_length=100)
    state: str = Field("", max_length=20)


class AllTokensQuery(TokenQuery):
    """What the list of everybody's tokens can be asked."""

    owner: str = Field("", max_length=100)


_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), AfterValidator(one_line)]


class TokenForm(BaseModel):
    """A token to be made. Without ``last_day`` it does not expire."""

    name: _Name
    scopes: list[str] = []
    last_day: PolishDate | None = None
    password: SecretStr


def permissions() -> Iterable[Permission]:
    """The right to have tokens, and to see and revoke everybody's."""
    yield Permission(OWN, _("Let programs use the API in one's own name"), STAFF)
    yield Permission(ALL, _("See and revoke everybody's API tokens"), frozenset({Role.SUPERADMIN}))


def routes() -> Iterable[Route]:
    """The own tokens, a new one, everybody's, and one of them."""
    folder = "kernel/pages/"
    yield Route("GET", "/admin/tokens", show_own, OWN, OWN, query=TokenQuery, template=f"{folder}tokens.html")
    yield Route("GET", "/admin/tokens/new", show_new, OWN, "kernel.tokens.new", template=f"{folder}token_new.html")
    yield Route(
        "POST",
        "/admin/tokens/new",
        make,
        OWN,
        "kernel.tokens.make",
        body=TokenForm,
        template=f"{folder}token_made.html",
        read_only=True,
    )
    yield Route("GET", "/admin/tokens/all", show_all, ALL, ALL, query=AllTokensQuery, template=f"{folder}tokens.html")
    path = r"/admin/tokens/{api_token:\d+}"
    yield Route("GET", path, show_one, OWN, "kernel.token", template=f"{folder}token.html")
    yield Route("POST", path, revoke, OWN, "kernel.token.revoke")


async def show_own(request: web.Request, query: TokenQuery) -> object:
    """The tokens that the person made."""
    args = (user_of(request[ACTOR]), *_now(request))
    return await listed(request, TOKENS, query, args=args, extra={"everybodys": False})


async def show_all(request: web.Request, query: AllTokensQuery) -> object:
    """Everybody's tokens."""
    return await listed(request, EVERYBODYS, query, args=_now(request), extra={"everybodys": True})


def _now(request: web.Request) -> tuple[datetime, datetime, str]:
    clock = request[SITE].clock
    return clock.now(), clock.now() + WARNED_BEFORE, clock.zone.key


async def show_new(request: web.Request) -> Mapping[str, Any]:
    """What a new token may be given, and until when it is proposed to work."""
    return {
        "offered": offered(request[SITE].registry, request[ACTOR]),
        "last_day": request[SITE].clock.today() + LIFETIME,
    }


async def make(request: web.Request, form: TokenForm) -> Mapping[str, Any]:
    """Make a token after the password was typed again, and show it this once."""
    site, actor = request[SITE], request[ACTOR]
    given = {permission.name: permission.label for permission in offered(site.registry, actor)}
    _check(form, given.keys(), site.clock.today())
    expires_at = expiry(form.last_day, site.clock.zone) if form.last_day else None
    async with confirmed(request, form.password) as conn:
        try:
            secret = await api_tokens.make(conn, user_of(actor), form.name, form.scopes, expires_at, site.clock.now())
        except NameTaken:
            raise Refused(
                _("You have a token of this name. If it was not kept, revoke it and make another one."), field="name"
            ) from None
    return {
        "secret": secret,
        "name": form.name,
        "scopes": [given[scope] for scope in given if scope in form.scopes],
        "last_day": form.last_day,
    }


def _check(form: TokenForm, known: Iterable[str], today: date) -> None:
    wrong: dict[str, Text] = {}
    if not set(form.scopes) <= set(known):
        wrong["scopes"] = _("You can give a program only what you may do yourself")
    if form.last_day is not None and form.last_day < today:
        wrong["last_day"] = _("This day is over")
    elif form.last_day is not None and form.last_day >= LATEST:
        wrong["last_day"] = _("This day is too far away")
    if wrong:
        raise Refused(errors=wrong)


async def show_one(request: web.Request) -> Mapping[str, Any]:
    """What a token can do, and how it has been used."""
    token, site = await _seen(request), request[SITE]
    labels: Sequence[tuple[str, Text | None]] = [
        (name, known.label if (known := site.registry.permissions.get(name)) else None)
        for name in token.scopes
        if name != ALWAYS
    ]
    state = _state(token, site)
    return {
        "token": token,
        "labels": labels,
        "state": STATES[state],
        "tone": _TONES.get(state, ""),
        "last_day": last_day(token.expires_at, site.clock.zone) if token.expires_at else None,
        "is_own": token.user == request[ACTOR].user,
    }


def _state(token: ApiToken, site: Site) -> str:
    now = site.clock.now()
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is not None and token.expires_at <= now:
        return "expired"
    if not token.owner_is_active:
        return "idle"
    return "soon" if token.expires_at is not None and token.expires_at <= now + WARNED_BEFORE else "works"


async def revoke(request: web.Request) -> web.Response:
    """End a token for good: an own one, or for superadministrators anybody's."""
    token, actor = await _seen(request), request[ACTOR]
    if not await api_tokens.revoke(request[CONN], token, user_of(actor), request[SITE].clock.now()):
        raise Refused(_("This token is revoked already"))
    back = OWN if token.user == actor.user else ALL
    return redirect(request, back, flash=_("The token “{name}” works no more", name=token.name))


async def _seen(request: web.Request) -> ApiToken:
    """The token of the address; another person's is not there, but for superadministrators."""
    token = await api_tokens.token(request[CONN], int(request.match_info["api_token"]))
    if token is None or (token.user != request[ACTOR].user and not request[ACTOR].may(ALL)):
        raise not_found()
    return token

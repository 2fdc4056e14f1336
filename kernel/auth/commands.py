"""``ebok user …``: the first superadministrator, emergencies, and logins made by scripts.

Passwords come from the prompt or standard input, never from arguments, where every process of the machine reads them.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Iterable
from typing import Any

from kernel.auth import office, passwords
from kernel.auth.model import WeakPassword
from kernel.auth.office import NewUser, UnknownCustomer
from kernel.db.pool import Stamp
from kernel.i18n import speaking
from kernel.people import store
from kernel.people.model import LastSuperadmin, LoginTaken, State, User, fold_login, is_email, login_is_possible
from kernel.plugin.contracts import Argument, Command
from kernel.plugin.permissions import Role
from kernel.settings import organisation
from kernel.site import Site

DONE, REFUSED, WRONG_USE = 0, 1, 2
_OPERATOR = Stamp("cli")

_LOGIN = Argument(("login",), {"metavar": "LOGIN", "help": "the login name; letter case does not count"})
_FROM_STDIN = Argument(
    ("--password-stdin",), {"action": "store_true", "help": "read the password from the first line of standard input"}
)
_STARTER = Argument(
    ("--starter",), {"action": "store_true", "help": "the password must be changed at the first login within 14 days"}
)


class Refusal(Exception):
    """Ends a command with one line on standard error."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        super().__init__(message)
        self.code = code


def commands() -> Iterable[Command]:
    """The commands about users."""
    yield Command(
        "user add",
        "add a login",
        user_add,
        (
            _LOGIN,
            Argument(("--role",), {"required": True, "choices": [role.value for role in Role]}),
            Argument(("--name",), {"default": "", "help": "the person's name"}),
            Argument(("--email",), {"default": "", "help": "where letters go, and links for a new password"}),
            Argument(("--language",), {"default": "pl", "choices": ["pl", "en"]}),
            Argument(
                ("--customer",),
                {"default": "", "metavar": "NO", "help": "for --role customer: the number of the customer it sees"},
            ),
            _STARTER,
            _FROM_STDIN,
        ),
    )
    yield Command("user password", "give a login another password", user_password, (_LOGIN, _STARTER, _FROM_STDIN))
    yield Command("user disable", "let a login in no more, and end its sessions", user_disable, (_LOGIN,))
    yield Command("user enable", "let a disabled login in again", user_enable, (_LOGIN,))
    yield Command(
        "user list",
        "list the logins",
        user_list,
        (Argument(("--json",), {"action": "store_true", "help": "as JSON"}),),
    )


async def user_add(site: Site, arguments: Any) -> int:
    """Add a login: 0 done; 1 taken, unknown customer or weak password; 2 wrong use."""
    try:
        await _add(site, arguments)
    except Refusal as refusal:
        return _fail(refusal)
    return DONE


async def user_password(site: Site, arguments: Any) -> int:
    """Give a login another password; all its sessions end."""
    try:
        user = await _existing(site, arguments.login)
        context = (user.login, user.name, user.email)
        password = await _password(site, arguments, user.role, context, second=user.has_second_factor)
        await office.set_password(site.db, _OPERATOR, user, password, site.clock.now(), starter=arguments.starter)
    except Refusal as refusal:
        return _fail(refusal)
    _say(f"The password of {user.login} is changed; all sessions are ended.")
    return DONE


async def user_disable(site: Site, arguments: Any) -> int:
    """Disable a login."""
    return await _set_state(site, arguments.login, State.DISABLED, "is disabled")


async def user_enable(site: Site, arguments: Any) -> int:
    """Enable a login."""
    return await _set_state(site, arguments.login, State.ACTIVE, "may log in")


async def user_list(site: Site, arguments: Any) -> int:
    """Print the logins, one a line or as JSON."""
    async with site.db.connection() as conn:
        users = await store.users(conn)
    if arguments.json:
        _say(json.dumps([_facts(user) for user in users], ensure_ascii=False, indent=2))
        return DONE
    width = max((len(user.login) for user in users), default=0)
    for user in users:
        _say(f"{user.login:<{width}}  {user.role:<10}  {user.state:<8}  {user.name}".rstrip())
    return DONE


async def _add(site: Site, arguments: Any) -> None:
    role, login = Role(arguments.role), fold_login(arguments.login)
    if not login_is_possible(login):
        raise Refusal("a login has no spaces and at most 200 characters", WRONG_USE)
    if arguments.customer and role is not Role.CUSTOMER:
        raise Refusal("--customer goes with --role customer only", WRONG_USE)
    if arguments.email and not is_email(arguments.email):
        raise Refusal(f"{arguments.email!r} is not an e-mail address", WRONG_USE)
    async with site.db.connection() as conn:
        if await store.user_of_login(conn, login):
            raise Refusal(f"the login {login!r} is taken")
        if arguments.customer and await store.find_customer(conn, arguments.customer) is None:
            raise Refusal(f"there is no customer with the number {arguments.customer!r}")
    password = await _password(site, arguments, role, (login, arguments.name, arguments.email))
    new = NewUser(
        login=login,
        role=role,
        name=arguments.name,
        email=arguments.email,
        language=arguments.language,
        customer_no=arguments.customer,
    )
    try:
        await office.add_user(site.db, _OPERATOR, new, password, site.clock.now(), starter=arguments.starter)
    except LoginTaken:
        raise Refusal(f"the login {login!r} is taken") from None
    except UnknownCustomer:
        raise Refusal(f"there is no customer with the number {arguments.customer!r}") from None
    _say(f"Added {login} as {role}.")


async def _existing(site: Site, login: str) -> User:
    folded = fold_login(login)
    async with site.db.connection() as conn:
        user = await store.user_of_login(conn, folded) if login_is_possible(folded) else None
    if user is None:
        raise Refusal(f"there is no login {login!r}")
    return user


async def _set_state(site: Site, login: str, state: State, outcome: str) -> int:
    try:
        user = await _existing(site, login)
        async with site.db.transaction(_OPERATOR) as conn:
            await office.set_state(conn, user, state)
    except LastSuperadmin:
        return _fail(Refusal("the last superadministrator must stay; add another one first"))
    except Refusal as refusal:
        return _fail(refusal)
    _say(f"{user.login} {outcome}.")
    return DONE


async def _password(site: Site, arguments: Any, role: Role, context: tuple[str, ...], *, second: bool = False) -> str:
    password = await asyncio.to_thread(_read, from_stdin=arguments.password_stdin)
    try:
        await passwords.check_new(
            password, role=role, has_second_factor=second, context=(*context, organisation(site).name)
        )
    except WeakPassword as weak:
        with speaking("en"):
            raise Refusal(f"{weak.reason}.") from None
    return password


def _read(*, from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise Refusal("no password came on standard input", WRONG_USE)
        return password
    if not sys.stdin.isatty():
        raise Refusal("there is no terminal to ask for the password; use --password-stdin", WRONG_USE)
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Once more: "):
        raise Refusal("the two passwords differ")
    return password


def _facts(user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "login": user.login,
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "state": user.state,
        "must_change_password": user.must_change_password,
        "second_factor": user.has_second_factor,
    }


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _fail(refusal: Refusal) -> int:
    sys.stderr.write(f"ebok: {refusal}\n")
    return refusal.code

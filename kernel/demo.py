"""The demonstration organisation: made once, the same for the same seed, and served with its logins printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from kernel.app import migrate_database, opened_sites
from kernel.auth.passwords import hash_password
from kernel.config import Config
from kernel.db.connection import Connection
from kernel.db.pool import Stamp
from kernel.people import store as people
from kernel.plugin.contracts import DemoLogin, DemoPlan
from kernel.plugin.manager import KERNEL
from kernel.plugin.permissions import Role
from kernel.plugin.registry import Registry
from kernel.serve import ServeError, check_exposure, free_port, serve_sites
from kernel.settings import OrganisationSettings, save
from kernel.site import Site
from kernel.terminal import say

_ORGANISATION: Final = OrganisationSettings(
    name="SM Lipowa",
    legal_name="Spółdzielnia Mieszkaniowa Lipowa",
    street="ul. Lipowa 12",
    city="60-702 Poznań",
    nip="1234563218",
    email="biuro@example.org",
    phone="61 555 01 00",
)
_OFFICE: Final = (
    ("superadmin", Role.SUPERADMIN, "Helena Dąbrowska", "zielona-herbata-w-kuchni", "superadministrator"),
    ("admin", Role.ADMIN, "Paweł Kowalczyk", "spokojny-poranek-w-biurze", "administrator"),
)
_CUSTOMER_PASSWORD: Final = "kot-na-parapecie"  # noqa: S105


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """A login of the demonstration, as printed and as written to the accounts file."""

    login: str
    password: str
    role: str
    customer_no: str | None
    note: str


async def demo(config: Config, registry: Registry, plan: DemoPlan, *, serve: bool, accounts_file: Path | None) -> int:
    """Make the organisation unless it is there, print how to get in, and serve it.

    Raises ServeError when the database holds a real organisation, or when its pages may not be served there.
    """
    if serve:
        check_exposure(config.server)
    port = free_port(config.server.host, config.server.port)
    config = config.model_copy(update={"server": config.server.model_copy(update={"port": port})})
    base_url = f"{'https' if config.server.tls_cert else 'http'}://localhost:{port}"
    async with opened_sites(config, registry) as sites:
        site = sites[0]
        site.base_url = site.base_url or base_url
        await migrate_database(site.owner_dsn, registry)
        accounts = await made(site, plan)
        if accounts_file:
            _write_accounts(accounts_file, site, base_url, accounts)
        _print(base_url if serve else None, accounts)
        if serve:
            await serve_sites(config, sites)
    return 0


async def made(site: Site, plan: DemoPlan) -> list[DemoAccount]:
    """Fill an empty organisation, whole or not at all, with its logins beside it; an existing one is left as it is."""
    async with site.db.connection() as conn:
        kept = await conn.fetchval("select value -> 'accounts' from kernel.setting where plugin = 'kernel.demo'")
        if kept:
            return [DemoAccount(**account) for account in kept]
        if await conn.fetchval("select exists (select from kernel.customer) or exists (select from kernel.users)"):
            raise ServeError(f"The database of {site.name} holds an organisation already: choose another --data-dir.")
    logins: list[DemoLogin] = []
    async with site.db.transaction(Stamp("demo")) as conn:
        await save(site, conn, KERNEL, _ORGANISATION)
        for filling in site.registry.demos:
            logins += await filling.fill(site, conn, plan)
        accounts = await _add_logins(site, conn, logins)
        await conn.execute(
            "insert into kernel.setting (plugin, value)"
            " values ('kernel.demo', jsonb_build_object('accounts', $1::jsonb))",
            [asdict(account) for account in accounts],
        )
    return accounts


async def _add_logins(site: Site, conn: Connection, logins: Sequence[DemoLogin]) -> list[DemoAccount]:
    accounts = [DemoAccount(login, password, role, None, note) for login, role, _name, password, note in _OFFICE]
    for login, role, name, password, _note in _OFFICE:
        await people.add_user(
            conn,
            login=login,
            role=role,
            name=name,
            email=f"{login}@example.org",
            password_hash=await hash_password(password),
            now=site.clock.now(),
        )
    for chosen in logins:
        customer = await people.find_customer(conn, chosen.customer_no)
        if customer is None:
            continue
        user = await people.add_user(
            conn,
            login=chosen.customer_no.casefold(),
            role=Role.CUSTOMER,
            name=customer.name,
            password_hash=await hash_password(_CUSTOMER_PASSWORD),
            now=site.clock.now(),
        )
        await people.grant(conn, user, customer.id)
        accounts.append(
            DemoAccount(
                chosen.customer_no.casefold(), _CUSTOMER_PASSWORD, Role.CUSTOMER, chosen.customer_no, chosen.note
            )
        )
    return accounts


def _write_accounts(file: Path, site: Site, base_url: str, accounts: Sequence[DemoAccount]) -> None:
    content = {"base_url": base_url, "dsn": site.db.dsn, "accounts": [asdict(account) for account in accounts]}
    whole = file.with_name(f"{file.name}.new")  # whoever waits for the file finds it whole or not at all
    whole.touch(mode=0o600)
    whole.chmod(0o600)  # before there is a password in it
    whole.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    whole.replace(file)


def _print(base_url: str | None, accounts: Sequence[DemoAccount]) -> None:
    if base_url:
        say(f"\nebok is running: {base_url}   (office: {base_url}/admin/)   Ctrl+C stops it\n")
    say(f"{'login':14} {'password':28} who")
    for account in accounts:
        who = f"customer {account.customer_no}, {account.note}" if account.customer_no else account.note
        say(f"{account.login:14} {account.password:28} {who}")

"""The yardstick: the account pages on bare aiohttp, asyncpg and Jinja2, with nothing that makes a product of them.

The same rows as the product's pages, the session looked up by its cookie, layout, menu, forms and amounts in Polish; no
plugins, no languages, no permissions, no errors. ``python -m bench.floor --port N``, with the database in
``EBOK_DATABASE__DSN``.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import asyncpg
from aiohttp import web
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

POOL: Final = web.AppKey("pool", asyncpg.Pool)
MONTHS: Final = (
    *("stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca"),
    *("lipca", "sierpnia", "września", "października", "listopada", "grudnia"),
)
TITLES: Final = (
    *("Styczeń", "Luty", "Marzec", "Kwiecień", "Maj", "Czerwiec"),
    *("Lipiec", "Sierpień", "Wrzesień", "Październik", "Listopad", "Grudzień"),
)

SESSION_SQL: Final = """
select c.id, c.customer_no, c.name
from kernel.session s join kernel.users u on u.id = s.user_id
join kernel.access_grant g on g.user_id = u.id join kernel.customer c on c.id = g.customer
where s.token_hash = $1 and s.expires_at > $2 and s.last_seen_at + s.idle > $2 and u.state = 'active'"""
ACCOUNT_SQL: Final = """
select a.id, b.balance from payments.account a join payments.account_balance b on b.account_id = a.id
where a.customer = $1"""
OPEN_SQL: Final = """
select title, document_no, effective_due_on, value_date, amount, open_amount from payments.entry
where account_id = $1 and side = 'charge' and open_amount > 0 order by effective_due_on, id limit 100"""
CARD_SQL: Final = """
select id, side, title, document_no, counted_on, effective_due_on, value_date, amount, open_amount
from payments.entry
where account_id = $1 and state <> 'draft' order by counted_on desc, id desc limit 50"""
PARTS_SQL: Final = """
select l.credit, l.charge, l.amount, l.value_date, c.title
from payments.allocation l join payments.entry c on c.account_id = l.account_id and c.id = l.charge
where l.account_id = $1 and l.released_at is null and (l.credit = any ($2) or l.charge = any ($2))
order by l.value_date, l.id"""


def figure(grosze: int) -> str:
    return f"{grosze / 100:,.2f}".replace(",", "\u00a0").replace(".", ",")


def money(grosze: int) -> Markup:
    return Markup(f'<span class="money">{figure(grosze)}<span class="unit">\u00a0zł</span></span>')


def amount(grosze: int) -> str:
    return f"{figure(grosze)}\u00a0zł"


def long_date(day: date) -> str:
    return f"{day.day}\u00a0{MONTHS[day.month - 1]}\u00a0{day.year}"


templates = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
templates.filters.update(money=money, words=amount, date="{:%d.%m.%Y}".format, long=long_date)
page = templates.get_template("floor.html")


async def show(request: web.Request) -> web.Response:
    now = datetime.now(UTC)
    today, with_card = now.date(), request.path == "/balance"
    groups: list[Any] = []
    async with request.app[POOL].acquire() as conn:
        token = sha256(request.cookies.get("ebok", "").encode()).digest()
        customer = await conn.fetchrow(SESSION_SQL, token, now)
        if customer is None:
            raise web.HTTPSeeOther("/login")
        (account,) = await conn.fetch(ACCOUNT_SQL, customer["id"])
        charges = await conn.fetch(OPEN_SQL, account["id"])
        if with_card:
            lines = await conn.fetch(CARD_SQL, account["id"])
            parts = await conn.fetch(PARTS_SQL, account["id"], [line["id"] for line in lines])
            groups = card(lines, parts, account["balance"])
    due = sum(charge["open_amount"] for charge in charges if charge["effective_due_on"] <= today)
    nearest = charges[0] if charges else None
    return web.Response(
        text=page.render(
            customer=customer,
            to_pay=due or (nearest["open_amount"] if nearest else 0),
            late=due > 0,
            nearest=nearest,
            charges=charges,
            groups=groups,
            with_card=with_card,
            today=today,
        ),
        content_type="text/html",
    )


def card(lines: list[Any], parts: list[Any], balance: int) -> list[Any]:
    """Months with their rows, each with the balance after it and the parts that explain it."""
    explained: dict[int, list[Any]] = defaultdict(list)
    for part in parts:
        explained[part["credit"]].append(part)
        explained[part["charge"]].append(part)
    rows: list[Any] = []
    for line in lines:
        rows.append((line, balance, explained[line["id"]]))
        balance += line["amount"] if line["side"] == "credit" else -line["amount"]
    months = groupby(rows, lambda row: (row[0]["counted_on"].year, row[0]["counted_on"].month))
    return [(f"{TITLES[month - 1]} {year}", list(group)) for (year, month), group in months]


async def ready(request: web.Request) -> web.Response:
    return web.Response(text="ready")


async def pool(app: web.Application) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["EBOK_DATABASE__DSN"], min_size=0, max_size=10) as app[POOL]:
        yield


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, required=True)
    app = web.Application()
    app.cleanup_ctx.append(pool)
    app.add_routes([web.get("/", show), web.get("/balance", show), web.get("/readyz", ready)])
    web.run_app(app, host="127.0.0.1", port=options.parse_args().port, access_log=None, print=None)


if __name__ == "__main__":
    main()

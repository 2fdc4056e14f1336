"""A plugin whose pages try everything that a request may do to the edge: forms, files, errors, contributions."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from pydantic import BaseModel, Field, SecretStr

from kernel import (
    ACTOR,
    CONN,
    EVERYBODY,
    PUBLIC,
    STAFF,
    Card,
    Download,
    Pdf,
    Permission,
    Plugin,
    PolishDate,
    PositiveMoney,
    Refused,
    Request,
    Role,
    Route,
    Upload,
    _,
    hookimpl,
    not_found,
)
from kernel.web.contributions import cards, slot
from kernel.web.routing import redirect

plugin = Plugin(api=1)

NOTES_SQL = "select text, grosze from probe.note order by id"
ADD_SQL = "insert into probe.note (text, grosze) values ($1, $2)"
attempts: list[int] = []
"""How often the handler that meets other transactions ran."""


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Note(BaseModel):
    text: str = Field(max_length=20)
    amount: PositiveMoney
    day: PolishDate | None = None
    colours: list[Colour] = []
    urgent: bool = False
    password: SecretStr | None = None


class Filters(BaseModel):
    limit: int = Field(10, ge=1, le=100)
    text: str = ""


class Paper(BaseModel):
    title: str
    file: Upload


class Answer(BaseModel):
    texts: list[str]


class Line(BaseModel):
    amount: PositiveMoney


class Order(BaseModel):
    text: str
    lines: list[Line] = []


async def notes(request: Request, filters: Filters) -> dict[str, object]:
    rows = await request[CONN].fetch(NOTES_SQL)
    return {
        "notes": [f"{row['text']}={row['grosze']}" for row in rows][: filters.limit],
        "limit": filters.limit,
        "cards": await cards(request),
        "slot": await slot(request, "probe.side"),
    }


async def add(request: Request, body: Note) -> object:
    await request[CONN].execute(ADD_SQL, body.text, body.amount.grosze)
    if body.text == "refuse":
        raise Refused(_("This note is not welcome"), field="text")
    if body.text == "crash":
        raise RuntimeError("secret detail")
    return redirect(request, "probe.notes", flash=_("Note saved: {text}", text=body.text))


async def clash(request: Request) -> object:
    attempts.append(1)
    await request[CONN].execute(ADD_SQL, f"attempt {len(attempts)}", 1)
    if len(attempts) < 3:
        await request[CONN].execute("do $$ begin raise exception using errcode = '40001'; end $$")
    return redirect(request, "probe.notes")


async def paper(request: Request) -> dict[str, object]:
    return {}


async def send_paper(request: Request, body: Paper) -> Download:
    return Download(body.file.content, body.file.filename, "text/plain; charset=utf-8")


async def pdf(request: Request) -> Pdf:
    return Pdf(b"%PDF-1.7", 'zażółć/../gęślą "jaźń".pdf')


async def one(request: Request) -> dict[str, object]:
    number = int(request.match_info["note"])
    if not await request[CONN].fetchval("select true from probe.note where id = $1", number):
        raise not_found()
    return {}


async def whose(request: Request) -> Answer:
    return Answer(texts=[str(request[ACTOR].customer)])


async def boom(request: Request) -> object:
    raise RuntimeError("secret detail")


async def plain(request: Request) -> dict[str, object]:
    return {}


async def listed(request: Request, filters: Filters) -> Answer:
    rows = await request[CONN].fetch(NOTES_SQL)
    return Answer(texts=[row["text"] for row in rows][: filters.limit])


async def order(request: Request, body: Order) -> Answer:
    await request[CONN].execute(ADD_SQL, body.text, sum(line.amount.grosze for line in body.lines))
    return Answer(texts=[body.text])


@hookimpl
def register_permissions() -> Iterator[Permission]:
    yield Permission("probe.use", _("Use the probe"), EVERYBODY)
    yield Permission("probe.office", _("Use the probe's office"), STAFF)
    yield Permission("probe.power", _("Use the probe's power"), {Role.SUPERADMIN}, superadmin_mode=True)


@hookimpl
def register_routes() -> Iterator[Route]:
    yield Route("GET", "/probe", notes, "probe.use", "probe.notes", query=Filters, template="probe/notes.html")
    yield Route("POST", "/probe", add, "probe.use", "probe.add", body=Note)
    yield Route("POST", "/probe/clash", clash, "probe.use", "probe.clash")
    yield Route("GET", "/probe/paper", paper, PUBLIC, "probe.paper", template="probe/plain.html")
    yield Route("POST", "/probe/paper", send_paper, PUBLIC, "probe.send", body=Paper, files=True, read_only=True)
    yield Route("GET", "/probe/pdf", pdf, PUBLIC, "probe.pdf")
    yield Route("GET", r"/probe/{note:\d+}", one, "probe.use", "probe.one", template="probe/plain.html")
    yield Route("GET", "/probe/boom", boom, PUBLIC, "probe.boom")
    yield Route("GET", "/probe/plain", plain, PUBLIC, "probe.plain", template="probe/plain.html")
    yield Route("GET", "/admin/probe", plain, "probe.office", "probe.office", template="probe/plain.html")
    yield Route("GET", "/admin/probe/power", plain, "probe.power", "probe.power", template="probe/plain.html")
    yield Route("GET", "/api/v1/probe", listed, "probe.use", "probe.api", query=Filters, returns=Answer)
    yield Route("POST", "/api/v1/probe", order, "probe.use", "probe.api_add", body=Order, returns=Answer)
    yield Route("GET", "/api/v1/probe/whose", whose, PUBLIC, "probe.whose", returns=Answer)
    yield Route("GET", "/api/v1/probe/boom", boom, PUBLIC, "probe.api_boom")


@hookimpl
async def customer_cards(request: Request) -> list[Card]:
    return [
        Card(_("Second"), "probe/part.html", {"word": "second"}, order=2),
        Card(_("First"), "probe/part.html", {"word": "first"}, order=1),
    ]


@hookimpl
async def page_slot(request: Request, name: str) -> list[Card]:
    await request[CONN].fetchval("select nothing from nowhere")
    return []

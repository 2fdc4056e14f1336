"""A Polish page speaks Polish: no message, label of a setting, name of a state or value of a list stays English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from kernel import i18n
from kernel.plugin import hooks
from kernel.plugin.permissions import Role
from kernel.settings import OrganisationSettings
from kernel.testing import registry_of
from kernel.web.forms import fields_of
from tests.architecture.furnished import Furnished

REGISTRY = registry_of()
MODELS = [OrganisationSettings, *(p.manifest.settings for p in REGISTRY.plugins if p.manifest.settings)]
SPOKEN = ("aria-label", "title", "alt", "placeholder", "content", "value")
"""Attributes that people read or hear."""
SILENT = {"script", "style", "textarea"}
"""What a text area holds was typed by somebody."""
WORD = re.compile(r"[^\W\d_]{3,}")
NAME = re.compile(r"\b[a-z]+(?:[._][a-z_]+)+\b")
"""Names of the code, which the pages for operators show as they are: rights, hooks, kinds of jobs."""
OURS = {"English", "ebok", "example", "main", "org", "test"}
"""Words that are the same in any language, or stand in their own; ``test`` is who furnished the office."""

BESIDE = ("/nowhere", "/admin/audit?verb=x", "/admin/search?q=Anna", "/admin/payments?state=draft&amount=1e3")
FORMS = (
    *("/login", "/reset", "/account/password", "/admin/users/add", "/admin/payments/new", "/admin/customers/add"),
    *("/admin/charges/new", "/admin/charges/lists/new", "/admin/charging/new"),
)

in_the_module = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def catalogues() -> None:
    """Those of every bundled plugin, whatever an earlier test of this process loaded."""
    i18n.load_catalogues([plugin.path for plugin in REGISTRY.plugins])


def english_words() -> frozenset[str]:
    """Words of the English messages that no Polish one uses."""
    polish = i18n._catalogues["pl"]
    english = {word for message in polish for word in WORD.findall(re.sub(r"\{\w+\}", " ", message).casefold())}
    translated = {word for forms in polish.values() for form in forms for word in WORD.findall(form.casefold())}
    return frozenset(english - translated - {word.casefold() for word in OURS})


class Spoken(HTMLParser):
    """What a page says, in pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._silent += tag in SILENT
        for name in SPOKEN:
            readable = name != "value" or (tag == "input" and given.get("type") in {"submit", "button", "text"})
            readable = readable and (name != "content" or given.get("name") == "description")
            if readable and (text := given.get(name)):
                self.pieces.append(text)

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in SILENT

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.pieces.append(" ".join(data.split()))


def heard(page: str, foreign: frozenset[str]) -> set[str]:
    """The pieces of a page in which there is a word of ``foreign``, or markup that is read instead of done; names of
    plugins, hooks and such are no words."""
    reader = Spoken()
    reader.feed(page)
    names = {plugin.name for plugin in REGISTRY.plugins} | set(vars(hooks))
    return {
        piece
        for piece in reader.pieces
        if "</" in piece
        or (not set(piece.split(", ")) <= names and foreign & set(WORD.findall(NAME.sub(" ", piece).casefold())))
    }


def test_settings_are_labelled_in_polish() -> None:
    """Titles, hints and options of the models are message ids; a field without a title would show its English name."""
    polish = i18n._catalogues["pl"]
    wanted: set[str] = set()
    for model in MODELS:
        for view in fields_of(model):
            assert model.model_fields[view.name].title, f"{model.__name__}.{view.name} has no title"
            wanted |= {view.label.message, *([view.hint.message] if view.hint else [])}
            wanted |= {label.message for _value, label in view.options} - set(i18n.LANGUAGES.values())
    assert wanted - set(polish) == set()


def test_declarations_are_labelled_in_polish() -> None:
    labels = {item.label.message for item in declared()}
    labels |= {verb.sentence.message for verb in REGISTRY.verbs.values()}
    assert labels - set(i18n._catalogues["pl"]) == set()


def declared() -> Iterator[Any]:
    for kind in (REGISTRY.permissions, REGISTRY.records, REGISTRY.sources, REGISTRY.checks):
        yield from kind.values()
    yield from REGISTRY.navigation


@in_the_module
async def test_no_english_word_stands_on_a_polish_page(furnished: Furnished) -> None:
    """Every page of every role, forms sent empty, and what errors say."""
    foreign = english_words()
    assert len(foreign) > 300
    said: set[str] = set()
    for role in (None, *Role):
        visitor = await furnished.visitor(role, mode=role is Role.SUPERADMIN)
        pages = [
            path for route in furnished.routes("GET") if furnished.may(role, route) for path in furnished.paths(route)
        ]
        answers = [await visitor.get(path) for path in (*pages, *BESIDE)]
        answers += [await visitor.post(path) for path in FORMS]
        for answer in answers:
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                assert '<html lang="pl"' in answer.text or answer.text.startswith("<li"), "a page, or a part of one"
                said |= {f"{role}: {piece}" for piece in heard(answer.text, foreign)}
    assert not said, "\n".join(sorted(said))


@in_the_module
async def test_english_would_be_heard(furnished: Furnished) -> None:
    visitor = await furnished.newcomer(Role.ADMIN)
    assert (await visitor.post("/preferences", {"lang": "en"})).status == 303
    page = await visitor.get("/admin/payments")
    assert '<html lang="en"' in page.text
    assert len(heard(page.text, english_words())) > 10

"""The office's pages of books: the list, one book, its rules, and the bank account that it is paid to."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, LiteralString

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
    Line,
    Listing,
    ListQuery,
    Pdf,
    Refused,
    Request,
    Route,
    Row,
    Text,
    _,
    confirmed,
    documents,
    listed,
    ngettext,
    not_found,
    organisation,
    redirect,
    tell_superadmins,
    url,
)
from plugins.payments import seen
from plugins.payments.books import documents as papers
from plugins.payments.books import store
from plugins.payments.books.model import (
    LEDGER_ROLES,
    POLICIES,
    POLICIES_IN_SHORT,
    REGIMES,
    STORNOS,
    BookRules,
    virtual_account,
)
from plugins.payments.seen import Shown
from plugins.payments.settings import check_nrb

# --- the list -------------------------------------------------------------------------------------------------------

_SELECT: Final[LiteralString] = """
select id, code, name, ledger_role, allocation_policy, interest_regime, payee_account, closed_through, is_mirror
from payments.book"""


def _policy(row: Row) -> Text:
    return POLICIES_IN_SHORT.get(row["allocation_policy"], Text(row["allocation_policy"]))


def grouped(account_no: str) -> str:
    """An account number as people compare it: ``29 1010 1010 …``; empty for none."""
    return " ".join([account_no[:2], *(account_no[at : at + 4] for at in range(2, len(account_no), 4))]).strip()


BOOKS: Final = Listing(
    "payments.books",
    _SELECT,
    (
        Column(
            "name", _("Book"), sort='kernel.pl_sort(name) collate "C"', link="payments.books_book", by={"book": "id"}
        ),
        Column("code", _("Code"), sort="code"),
        Column(
            "ledger_role",
            _("Role"),
            "badge",
            badges={"auxiliary": Badge(_("auxiliary")), "books": Badge(_("accounting books"), "notice")},
        ),
        Column("allocation_policy", _("What a payment pays"), show=_policy),
        Column("payee_account", _("Bank account"), show=lambda row: grouped(row["payee_account"])),
        Column("closed_through", _("Closed through"), "date", sort="coalesce(closed_through, '-infinity')"),
        Column("id", _("No."), "number", sort="id"),
    ),
    order="id",
    filters=(
        Filter(
            "role",
            _("Role"),
            "ledger_role = {0}",
            options=(("auxiliary", _("auxiliary")), ("books", _("accounting books"))),
        ),
    ),
    title_of="name",
)


class BooksQuery(ListQuery):
    """What the list's address may say."""

    role: Literal["", "auxiliary", "books"] = ""


async def books(request: Request, query: BooksQuery) -> Mapping[str, Any] | web.StreamResponse:
    """The books of the organisation."""
    return await listed(request, BOOKS, query)


# --- one book -------------------------------------------------------------------------------------------------------


async def book(request: Request) -> Mapping[str, Any]:
    """A book: its rules in words, whom it is paid to, and changes of that which wait."""
    conn = request[CONN]
    changes = await store.payee_changes(conn, _number(request, "book"))
    if any(change.is_pending and change.effective_at and change.effective_at <= _now(request) for change in changes):
        await store.apply_payee_changes(conn, _now(request))
        changes = await store.payee_changes(conn, _number(request, "book"))
    found = await _found(request)
    return {
        "book": found,
        "grouped": grouped,
        "changes": [change for change in changes if not change.is_pending],
        "pending": next((change for change in changes if change.is_pending), None),
        "words": _words(request, found.rules),
        "sample": _sample(found.virtual_prefix),
        "may_change": request[ACTOR].may("payments.books"),
    }


def _policies(request: Request) -> Mapping[str, Text]:
    """What a payment pays: the bundled rules and those of other plugins, under their names."""
    foreign = request[SITE].registry.extensions.get("payments.allocation_policy", {})
    return {**POLICIES, **{name: Text(name) for name in foreign}}


def _regimes(request: Request) -> Mapping[str, Text]:
    """How interest is computed: the bundled regimes and those of other plugins."""
    foreign = request[SITE].registry.extensions.get("payments.interest_regime", {})
    return {**REGIMES, **{name: regime.label for name, regime in foreign.items()}}


def _words(request: Request, rules: BookRules) -> list[tuple[Text, Text | str]]:
    regime = _regimes(request).get(rules.interest_regime, Text(rules.interest_regime))
    return [
        (_("Role"), LEDGER_ROLES[rules.ledger_role]),
        (
            _("What a payment pays"),
            _policies(request).get(rules.allocation_policy, Text(rules.allocation_policy)),
        ),
        (_("Within one debt"), _("interest and costs first") if rules.interest_first else _("the principal first")),
        (
            _("Charges not yet due"),
            _("an overpayment pays them at once") if rules.prepay else _("an overpayment waits until they are due"),
        ),
        (
            _("Interest"),
            _("{regime}: {rate} % a year", regime=regime, rate=_percent(rules.contract_rate))
            if rules.contract_rate is not None
            else regime,
        ),
        (
            _("Claims are time-barred after"),
            ngettext("{years} year", "{years} years", rules.limitation_years, years=rules.limitation_years)
            if rules.limitation_years
            else _("never"),
        ),
        (_("Reversals in turnover"), STORNOS[rules.storno]),
        (
            _("Who writes it"),
            _("only the import from another system") if rules.is_mirror else _("the office and the import"),
        ),
    ]


def _sample(prefix: str) -> str:
    return grouped(virtual_account(prefix, 1)) if prefix else ""


def _percent(rate: Decimal | None) -> str:
    return "" if rate is None else f"{rate.normalize():f}".replace(".", ",")


# --- its rules ------------------------------------------------------------------------------------------------------


_PERCENT: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?")


def _rate(value: object) -> object:
    """A percentage as it is typed: «12,5»."""
    if not isinstance(value, str):
        return value
    text = "".join(value.split()).removesuffix("%").replace(",", ".")
    if not text:
        return None
    if not _PERCENT.fullmatch(text) or Decimal(text) > 100:
        raise PydanticCustomError("percent_grammar", "A rate is a number from 0 to 100, for example 12,5")
    return Decimal(text)


def _code(value: str) -> str:
    if not (value.isascii() and value[:1].isalpha() and value.replace("_", "a").isalnum() and value == value.lower()):
        raise PydanticCustomError("book_code", "A code has small letters a–z, digits and _, a letter first")
    return value


class BookForm(BaseModel):
    """What the office decides about a book."""

    name: Annotated[Line, Field(min_length=1)]
    ledger_role: Literal["auxiliary", "books"] = "auxiliary"
    allocation_policy: Annotated[str, StringConstraints(max_length=80)] = "civil"
    interest_first: bool = False
    prepay: bool = False
    interest_regime: Annotated[str, StringConstraints(max_length=80)] = "statutory_delay"
    contract_rate: Annotated[Decimal | None, BeforeValidator(_rate)] = None
    limitation_years: Annotated[int, Field(ge=0, le=20)] = 3
    storno: Literal["black", "red"] = "black"
    is_mirror: bool = False
    payee_name: Line = ""
    seen: Annotated[str, StringConstraints(max_length=8000)] = ""

    def rules(self, policies: Container[str], regimes: Container[str]) -> BookRules:
        """The rules of the form. Raises Refused for one that nobody provides."""
        wrong: dict[str, Text] = {}
        if self.allocation_policy not in policies:
            wrong["allocation_policy"] = _("There is no such rule")
        if self.interest_regime not in regimes:
            wrong["interest_regime"] = _("There is no such rule")
        agreed = self.interest_regime == "contractual"
        if agreed and self.contract_rate is None:
            wrong["contract_rate"] = _("Enter the rate that the contract says")
        if wrong:
            raise Refused(errors=wrong)
        return BookRules(
            name=self.name,
            ledger_role=self.ledger_role,
            allocation_policy=self.allocation_policy,
            interest_first=self.interest_first,
            prepay=self.prepay,
            interest_regime=self.interest_regime,
            contract_rate=self.contract_rate if agreed else None,
            limitation_years=self.limitation_years,
            storno=self.storno,
            is_mirror=self.is_mirror,
            payee_name=self.payee_name,
        )


class NewBookForm(BookForm):
    """A new book: ``code`` is its short name in profiles of imports and never changes."""

    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=41), AfterValidator(_code)]


_NEW: Final = BookRules(
    name="",
    ledger_role="auxiliary",
    allocation_policy="civil",
    interest_first=False,
    prepay=True,
    interest_regime="statutory_delay",
    contract_rate=None,
    limitation_years=3,
    storno="black",
    is_mirror=False,
    payee_name="",
)


def _choices(request: Request, rules: BookRules) -> dict[str, Any]:
    return {
        "rules": rules,
        "rate": _percent(rules.contract_rate),
        "roles": tuple(LEDGER_ROLES.items()),
        "policies": tuple(_policies(request).items()),
        "regimes": tuple(_regimes(request).items()),
        "stornos": tuple(STORNOS.items()),
    }


async def new(request: Request) -> Mapping[str, Any]:
    """The form of a new book."""
    return _choices(request, _NEW)


async def add(request: Request, form: NewBookForm) -> web.Response:
    """Open a book."""
    rules = form.rules(_policies(request), _regimes(request))
    made = await store.add_book(request[CONN], form.code, rules)
    return redirect(request, "payments.books_book", book=made, flash=_("The book is open."))


async def edit(request: Request) -> Mapping[str, Any]:
    """The form of a book's rules; those that are fixed are shown, not asked."""
    found = await _found(request)
    shown = {"words": _words(request, found.rules), "seen": seen.written(_facts(request, found.rules))}
    return {"book": found, **shown, **_choices(request, found.rules)}


def _facts(request: Request, rules: BookRules) -> dict[str, Shown]:
    """What the form of a book shows of it."""
    facts = {"name": Shown(_("Name"), rules.name), "payee_name": Shown(_("Payee's name"), rules.payee_name)}
    return facts | {label.message: Shown(label, str(value)) for label, value in _words(request, rules)}


async def save(request: Request, form: BookForm) -> web.Response:
    """Write what the office decides about a book. What is fixed stays, whatever was sent."""
    found = await _found(request)
    seen.check_unchanged(form.seen, _facts(request, found.rules))
    rules = _with_fixed(found, form).rules(_policies(request), _regimes(request))
    await store.change_book(request[CONN], found, rules)
    return redirect(request, "payments.books_book", book=found.id, flash=_("Saved"))


def _with_fixed(found: store.Book, form: BookForm) -> BookForm:
    if not found.in_use:
        return form
    kept = {
        name: getattr(found.rules, name)
        for name in ("ledger_role", "allocation_policy", "interest_first", "prepay", "interest_regime", "is_mirror")
        if name not in form.model_fields_set
    }
    return form.model_copy(update=kept)


# --- whom customers pay ---------------------------------------------------------------------------------------------


def _prefix(value: str) -> str:
    digits = "".join(value.split())
    if digits and not (digits.isascii() and digits.isdecimal() and 8 <= len(digits) <= 20):
        raise PydanticCustomError("virtual_prefix", "The prefix has 8 to 20 digits, without the two check digits")
    return digits


class PayeeForm(BaseModel):
    """Another bank account or prefix for a book, and the password of who asks."""

    account_no: Annotated[str, AfterValidator(check_nrb)] = ""
    virtual_prefix: Annotated[str, AfterValidator(_prefix)] = ""
    password: SecretStr


async def payee(request: Request) -> Mapping[str, Any]:
    """The form of a book's bank account, with what a change takes."""
    found = await _found(request)
    first = not (found.payee_account or found.virtual_prefix or found.in_use)
    return {"book": found, "grouped": grouped, "first": first}


async def ask_payee(request: Request, form: PayeeForm) -> web.Response:
    """Ask for another bank account; the superadministrators are told."""
    async with confirmed(request, form.password) as conn:
        found = await _found(request)
        number, is_applied = await store.ask_payee_change(
            conn, found.id, form.account_no, form.virtual_prefix, _now(request)
        )
        change = await store.payee_change(conn, number)
        assert change is not None  # noqa: S101  it was just made
        await tell_superadmins(conn, _("The bank account that customers pay to"), _asked(request, change))
    if is_applied:
        return redirect(request, "payments.books_book", book=found.id, flash=_("Customers pay to this account now."))
    return redirect(
        request, "payments.books_change", change=number, flash=_("The change is asked for. It does not count yet.")
    )


async def change(request: Request) -> Mapping[str, Any]:
    """A change of the bank account: what, who, and what is still missing."""
    found = await _change(request)
    return {
        "change": found,
        "grouped": grouped,
        "may_confirm": found.awaits_confirmation and not _is_own(request, found) and _may(request),
        "is_own": _is_own(request, found),
        "may_withdraw": found.is_pending and _may(request),
    }


async def withdraw(request: Request) -> web.Response:
    """Withdraw a change before it counts: any superadministrator may."""
    found = await _change(request)
    await store.withdraw_payee_change(request[CONN], found, _now(request))
    await tell_superadmins(
        request[CONN],
        _("The bank account that customers pay to"),
        _(
            "{name} withdrew the change of the bank account of the book «{book}». Nothing changes.\n\n{address}",
            name=request[ACTOR].name,
            book=found.book_name,
            address=_address(request, found),
        ),
    )
    return redirect(request, "payments.books_book", book=found.book, flash=_("The change is withdrawn."))


class PasswordForm(BaseModel):
    """The password of who confirms."""

    password: SecretStr


async def ask_confirm(request: Request) -> Mapping[str, Any]:
    """Asks whether the new bank account is right."""
    found = await _change(request)
    return {"change": found, "grouped": grouped, "is_own": _is_own(request, found)}


async def confirm(request: Request, form: PasswordForm) -> web.Response:
    """Confirm what another superadministrator asked for; a day later it counts."""
    async with confirmed(request, form.password) as conn:
        found = await _change(request)
        effective = await store.confirm_payee_change(conn, found, _now(request))
        await tell_superadmins(
            conn,
            _("The bank account that customers pay to"),
            _(
                "{name} confirmed the change of the bank account of the book «{book}» to {account}.\n"
                "Customers pay to it from {moment}. Until then any superadministrator can withdraw it:\n\n{address}",
                name=request[ACTOR].name,
                book=found.book_name,
                account=grouped(found.account_no) or "—",
                moment=_moment(request, effective),
                address=_address(request, found),
            ),
        )
    return redirect(request, "payments.books_change", change=found.id, flash=_("The change is confirmed."))


async def letter(request: Request) -> Pdf:
    """The letter about a change, to the organisation's own address: needed where nobody else can confirm it."""
    found = await _change(request)
    midnight = datetime.combine(found.asked_at.date(), time(), UTC)
    content = await documents.render(
        papers.payee_letter, found, organisation(request[SITE]), _moment(request, found.effective_at), midnight
    )
    return Pdf(content, f"zmiana-rachunku-{found.id}.pdf")


def _asked(request: Request, change: store.PayeeChange) -> Text:
    facts = {
        "name": request[ACTOR].name,
        "book": change.book_name,
        "before": grouped(change.account_no_before) or "—",
        "account": grouped(change.account_no) or "—",
        "prefix": change.virtual_prefix or "—",
        "address": _address(request, change),
    }
    if change.applied_at is not None:
        return _(
            "{name} set the bank account of the book «{book}»: {account}, prefix of customers' own accounts: "
            "{prefix}.\n\n{address}",
            **facts,
        )
    if change.alone:
        return _(
            "{name} asked to change the bank account of the book «{book}» from {before} to {account}, prefix of "
            "customers' own accounts: {prefix}.\nThere is no other superadministrator to confirm it, so it counts from "
            "{moment}. Print the letter and send it to the organisation's address. If this is wrong, withdraw it:\n\n"
            "{address}",
            moment=_moment(request, change.effective_at),
            **facts,
        )
    return _(
        "{name} asked to change the bank account of the book «{book}» from {before} to {account}, prefix of customers' "
        "own accounts: {prefix}.\nAnother superadministrator must confirm it; a day later it counts. If this is wrong, "
        "withdraw it:\n\n{address}",
        **facts,
    )


def _address(request: Request, change: store.PayeeChange) -> str:
    origin = request[SITE].base_url.rstrip("/") or f"{request.scheme}://{request.host}"
    return f"{origin}{url(request, 'payments.books_change', change=change.id)}"


def _moment(request: Request, instant: datetime | None) -> str:
    return f"{instant.astimezone(request[SITE].clock.zone):%d.%m.%Y, %H:%M}" if instant else ""


def _is_own(request: Request, change: store.PayeeChange) -> bool:
    return change.asked_by_id == str(request[ACTOR].user)


def _may(request: Request) -> bool:
    return request[ACTOR].may("payments.books")


def _now(request: Request) -> datetime:
    return request[SITE].clock.now()


def _number(request: Request, name: str) -> int:
    return int(request.match_info[name])


async def _found(request: Request) -> store.Book:
    found = await store.book(request[CONN], _number(request, "book"))
    if found is None:
        raise not_found()
    return found


async def _change(request: Request) -> store.PayeeChange:
    found = await store.payee_change(request[CONN], _number(request, "change"))
    if found is None:
        raise not_found()
    return found


_VIEW, _CHANGE = "payments.view", "payments.books"
_BOOK, _ONE = r"/admin/books/{book:\d+}", r"/admin/payee-changes/{change:\d+}"

ROUTES: Final = (
    Route("GET", "/admin/books", books, _VIEW, "payments.books", query=BooksQuery, template="payments/books/list.html"),
    Route("GET", "/admin/books/add", new, _CHANGE, "payments.books_new", template="payments/books/new.html"),
    Route("POST", "/admin/books/add", add, _CHANGE, "payments.books_add", body=NewBookForm),
    Route("GET", _BOOK, book, _VIEW, "payments.books_book", template="payments/books/book.html"),
    Route("GET", f"{_BOOK}/edit", edit, _CHANGE, "payments.books_edit", template="payments/books/edit.html"),
    Route("POST", f"{_BOOK}/edit", save, _CHANGE, "payments.books_save", body=BookForm),
    Route("GET", f"{_BOOK}/payee", payee, _CHANGE, "payments.books_payee", template="payments/books/payee.html"),
    Route("POST", f"{_BOOK}/payee", ask_payee, _CHANGE, "payments.books_ask_payee", body=PayeeForm, read_only=True),
    Route("GET", _ONE, change, _VIEW, "payments.books_change", template="payments/books/change.html"),
    Route("POST", _ONE, withdraw, _CHANGE, "payments.books_withdraw"),
    Route(
        "GET",
        f"{_ONE}/confirm",
        ask_confirm,
        _CHANGE,
        "payments.books_ask_confirm",
        template="payments/books/confirm.html",
    ),
    Route("POST", f"{_ONE}/confirm", confirm, _CHANGE, "payments.books_confirm", body=PasswordForm, read_only=True),
    Route("GET", f"{_ONE}/letter.pdf", letter, _CHANGE, "payments.books_letter"),
)

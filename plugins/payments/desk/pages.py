"""The page of one account: what is owed, what is open, what is left, every entry, and what may be done here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, LiteralString

from aiohttp import web
from markupsafe import Markup, escape

from kernel import (
    ACTOR,
    CONN,
    SITE,
    Badge,
    Column,
    Filter,
    Listing,
    ListQuery,
    Money,
    PolishDate,
    Request,
    Route,
    Row,
    Text,
    _,
    listed,
    not_found,
    url,
)
from plugins.payments.desk import store
from plugins.payments.desk.model import Account
from plugins.payments.face import Side, Status
from plugins.payments.model import KINDS, STATES, STATUSES, status_of

SHOWN: Final = 15
"""Open charges and credits that the page shows; the rest is behind a link."""
SIDES: Final[tuple[tuple[str, Text], ...]] = (("charge", _("Charges")), ("credit", _("Payments and reductions")))

# --- the ledger card ------------------------------------------------------------------------------------------------

_CARD: Final[LiteralString] = """
select e.id, e.side, e.kind, e.state, e.amount, e.open_amount, e.title, e.document_no, e.counted_on, e.due_on,
       e.effective_due_on, e.period, e.voided_at, e.void_reason, $2::date as today,
       case when e.side = 'charge' and e.state <> 'voided' then e.amount end as charged,
       case when e.side = 'credit' and e.state <> 'voided' then e.amount end as paid,
       (select r.id from payments.entry r
           where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved') is not null as is_reversed,
       coalesce((select sum(l.amount) from payments.allocation l
           where l.account_id = e.account_id and l.charge = e.id and l.released_at is null
             and l.rule = 'correction'), 0)::bigint as corrected
from payments.entry e
where e.account_id = $1 and e.state <> 'draft'"""
_DRAFTS: Final[LiteralString] = """
select e.id, e.side, e.kind, e.state, e.amount, e.open_amount, e.title, e.document_no, e.counted_on, e.due_on,
       e.effective_due_on, e.period, e.voided_at, e.void_reason, $2::date as today,
       case when e.side = 'charge' then e.amount end as charged, case when e.side = 'credit' then e.amount end as paid,
       false as is_reversed, 0::bigint as corrected
from payments.entry e
where e.account_id = $1 and e.state = 'draft'"""


@dataclass(frozen=True, slots=True)
class _Voided:
    """What is left of a voided entry: struck through, with the day and the reason; in a file, in words."""

    what: str
    amount: Money
    at: datetime
    reason: str

    def __html__(self) -> Markup:
        return Markup('<s>{}, {}</s><br><span class="muted">{}</span>').format(self.what, self.amount, self._tombstone)

    def __str__(self) -> str:
        return f"{self.what}, {self.amount}. {self._tombstone}"

    @property
    def _tombstone(self) -> Text:
        return _("Voided on {day}, reason: {reason}", day=self.at.date(), reason=self.reason)


@dataclass(frozen=True, slots=True)
class _What:
    """An entry in words: its kind, then the title and the document."""

    kind: Text
    details: str

    def __html__(self) -> Markup:
        if not self.details:
            return escape(self.kind)
        return Markup('{} <span class="muted">{}</span>').format(self.kind, self.details)

    def __str__(self) -> str:
        return ", ".join(part for part in (str(self.kind), self.details) if part)


def _what(row: Row) -> object:
    details = " · ".join(part for part in (row["title"], row["document_no"]) if part)
    if row["state"] == "voided":
        what = str(_What(KINDS[row["kind"]], details))
        return _Voided(what, Money(row["amount"]), row["voided_at"], row["void_reason"])
    return _What(KINDS[row["kind"]], details)


def _stands(row: Row) -> str:
    if row["state"] == "draft":
        return "draft"
    return status_of(
        Side(row["side"]),
        amount=row["amount"],
        open_amount=row["open_amount"],
        effective_due_on=row["effective_due_on"],
        on=row["today"],
        state=row["state"],
        is_reversed=row["is_reversed"],
        corrected=row["corrected"],
    )


def _left(row: Row) -> int | None:
    return row["open_amount"] or None


TONES: Final = {
    Status.OVERDUE: "due",
    Status.OPEN: "notice",
    Status.PARTLY_PAID: "notice",
    Status.PAID: "credit",
    Status.UNUSED: "credit",
}
_BADGES: Final = {"draft": Badge(STATES["draft"], "notice")} | {
    status.value: Badge(label, TONES.get(status, "")) for status, label in STATUSES.items()
}
_COLUMNS: Final = (
    Column("counted_on", _("Date"), "date", sort="counted_on"),
    Column("id", _("No."), "number", link="payments.entry", by={"entry": "id"}),
    Column("what", _("Entry"), show=_what),
    Column("due_on", _("Due date"), "date"),
    Column("charged", _("Charged"), "money", total=True),
    Column("paid", _("Paid"), "money", total=True),
    Column("open_amount", _("Still open"), "money", show=_left),
    Column("stands", _("State"), "badge", show=_stands, badges=_BADGES),
)
_FILTERS: Final = (
    Filter("side", _("Side"), "side = {0}", options=SIDES),
    Filter("kind", _("Kind"), "kind = {0}", options=tuple(KINDS.items())),
    Filter("state", _("State"), "state = {0}", options=tuple(STATES.items())),
    Filter("since", _("Day from"), "counted_on >= {0}", kind="date"),
    Filter("until", _("Day to"), "counted_on <= {0}", kind="date"),
)
CARD: Final = Listing("payments.account", _CARD, _COLUMNS, order="-counted_on", filters=_FILTERS, title_of="title")
CARD_DRAFTS: Final = Listing(
    "payments.account_drafts", _DRAFTS, _COLUMNS, order="-counted_on", filters=_FILTERS, title_of="title"
)
"""The drafts alone: they stand outside the card and its totals."""


class CardQuery(ListQuery):
    """What the address of the account's page may say."""

    side: Literal["", "charge", "credit"] = ""
    kind: str = ""
    state: Literal["", "draft", "approved", "voided"] = ""
    since: PolishDate | None = None
    until: PolishDate | None = None


async def account(request: Request, query: CardQuery) -> Mapping[str, Any] | web.StreamResponse:
    """One account."""
    found = await account_of(request, limit=SHOWN)
    return await listed(
        request,
        CARD_DRAFTS if query.state == "draft" else CARD,
        query,
        args=(found.id, _today(request)),
        extra={
            "account": found,
            "actions": actions(request, found),
            "more": more(request, found),
            "may_allocate": request[ACTOR].may("payments.allocate"),
            "may_move": may_transfer(request) and not found.is_mirror,
            "may_correct": request[ACTOR].may("payments.enter") and not found.is_mirror,
            "may_approve": request[ACTOR].may("payments.approve"),
            "is_draft_list": query.state == "draft",
            **WORDS,
        },
    )


WORDS: Final[Mapping[str, Any]] = {"kinds": KINDS, "statuses": STATUSES}
"""What the templates of the desk need to name an entry."""


async def account_of(request: Request, *, limit: int) -> Account:
    """The account that the path names; 404 without one."""
    found = await store.account(request[CONN], int(request.match_info["account"]), _today(request), limit)
    if found is None:
        raise not_found()
    return found


def may_transfer(request: Request) -> bool:
    """Whether the actor may book a pair of entries on two accounts at once."""
    actor = request[ACTOR]
    return actor.may("payments.reverse") and actor.may("payments.approve")


@dataclass(frozen=True, slots=True)
class Action:
    """A thing to do on the account."""

    label: Text
    address: str
    icon: str


def actions(request: Request, found: Account) -> list[Action]:
    """What the actor may do on the account now, the usual first. Nothing where nothing can be entered."""
    if found.untouchable is not None:
        return []
    may = request[ACTOR].may
    owed, free = found.charge_count > 0, bool(found.position.credit)
    here = {"account": found.id, "customer": found.account_no}
    own = {"account": found.id}
    wanted: list[tuple[bool, Text, str, Mapping[str, object], str]] = [
        (may("payments.enter"), _("Enter a payment"), "payments.new", {}, "add"),
        (may("payments.enter"), _("Enter a charge"), "payments.charging_new_charge", {}, "add"),
        (may("payments.enter") and free, _("Refund the overpayment"), "payments.desk_refund", own, "undo"),
        (may_transfer(request) and free, _("Transfer the overpayment"), "payments.desk_transfer_credit", own, "right"),
        (may_transfer(request) and owed, _("Transfer a debt"), "payments.desk_transfer_debt", own, "right"),
        (may("payments.write_off") and owed, _("Remit"), "payments.desk_remission", own, "minus"),
        (may("payments.write_off") and owed, _("Write off"), "payments.desk_write_off", own, "minus"),
        (may("payments.enter"), _("Opening balance"), "payments.desk_opening", own, "edit"),
    ]
    return [
        Action(label, url(request, name, query=None if parts else here, **parts), icon)
        for allowed, label, name, parts, icon in wanted
        if allowed
    ]


_WHILE_THERE: Final = ("payments.books_account_ask_reopen", "payments.delete_account_ask")
"""What nobody does any more with an account that was deleted."""


def more(request: Request, found: Account) -> list[Action]:
    """Where the other parts of the ledger show this account, as far as the actor may look."""
    wanted = (
        (_("Why this much?"), "payments.explain_account", "help"),
        (_("Statement"), "payments.explain_account_statement", "print"),
        (_("Past days"), "payments.explain_history", "clock"),
        (_("Interest"), "payments.interest_of_account", "chart"),
        (_("Monthly fees"), "payments.charging_account", "calendar"),
        (_("Close the account"), "payments.books_account_ask_close", "lock")
        if found.closed_on is None
        else (_("Reopen the account"), "payments.books_account_ask_reopen", "undo"),
        (_("Delete the account"), "payments.delete_account_ask", "trash"),
    )
    routes, may = request[SITE].registry.routes, request[ACTOR].may
    return [
        Action(label, url(request, name, account=found.id), icon)
        for label, name, icon in wanted
        if may(routes[name].permission) and not (found.deleted and name in _WHILE_THERE)
    ]


def _today(request: Request) -> date:
    return request[SITE].clock.today()


ROUTES: Final = (
    Route(
        "GET",
        r"/admin/accounts/{account:\d+}",
        account,
        "payments.view",
        "payments.account",
        query=CardQuery,
        template="payments/desk/account.html",
    ),
)

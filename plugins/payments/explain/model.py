"""Explanations: where a figure comes from, as data whose parts sum to the figure at every node; the words for it.

Pure. What is subtracted is a part below zero whose title says that it is; a figure that a list does not show in full
has a part for the rest, so the sum holds however much is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

from kernel import Money, Text, _, ngettext
from plugins.payments.accrual.model import Interest, InterestLine, round_half_up
from plugins.payments.charging.model import plain
from plugins.payments.face import Position, Side, Status
from plugins.payments.model import CREDIT_KINDS, KINDS, status_of

if TYPE_CHECKING:
    from plugins.payments.charging.store import ChargeLine

ZERO: Final = Money(0)

# --- what the store reads -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of which something is open: ``open`` of ``amount``, of which corrections have taken ``lowered``.

    ``due_on`` is the day in the document, ``due`` the working day it moves to (a credit's own day). ``barred``: a
    consumer's charge that is time-barred, which nobody is asked to pay.
    """

    entry: int
    account: int
    side: Side
    kind: str
    title: str
    document_no: str
    counted_on: date
    due_on: date | None
    due: date
    amount: Money
    open: Money
    lowered: Money
    barred: bool

    def status_on(self, day: date) -> Status:
        """How the entry stood on a day."""
        return status_of(
            self.side,
            amount=self.amount.grosze,
            open_amount=self.open.grosze,
            effective_due_on=self.due,
            on=day,
            corrected=self.lowered.grosze,
        )


@dataclass(frozen=True, slots=True)
class Ageing:
    """What is open by days since the effective due date; what is time-barred for a consumer is in none of them."""

    not_due: Money = ZERO
    to_30: Money = ZERO
    to_60: Money = ZERO
    to_90: Money = ZERO
    to_180: Money = ZERO
    over_180: Money = ZERO

    @property
    def buckets(self) -> tuple[tuple[Text, Money], ...]:
        """Each bucket with its name, the youngest first."""
        return tuple((label, getattr(self, name)) for name, label in BUCKETS.items())

    @property
    def total(self) -> Money:
        return Money.total(amount for _label, amount in self.buckets)


BUCKETS: Final[Mapping[str, Text]] = {
    "not_due": _("not yet due"),
    "to_30": _("1–30 days"),
    "to_60": _("31–60 days"),
    "to_90": _("61–90 days"),
    "to_180": _("91–180 days"),
    "over_180": _("more than 180 days"),
}
_UPTO: Final = (0, 30, 60, 90, 180)


def bucket_of(due: date, day: date) -> str:
    """The name of the bucket that a charge due on ``due`` is in on a day."""
    late = (day - due).days
    return tuple(BUCKETS)[sum(late > upto for upto in _UPTO)]


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """One of a customer's accounts with its own balance."""

    account: int
    account_no: str
    book: str
    balance: Money


@dataclass(frozen=True, slots=True)
class Owner:
    """The customer whose accounts are looked at."""

    customer: int
    customer_no: str
    customer_name: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a customer or an account stood: the position, what is open (at most some of it, ``unlisted`` more), ageing.

    ``due`` is the sum of the charges due by ``position.to_pay_by``, of which ``position.to_pay`` is left after the
    credit of their accounts. A consumer's time-barred charges stand apart in ``position.barred``.
    """

    position: Position
    due: Money
    ageing: Ageing
    charges: tuple[Item, ...] = ()
    credits: tuple[Item, ...] = ()
    unlisted: int = 0
    accounts: tuple[OwnAccount, ...] = ()
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Borne:
    """What a charge, due on ``due``, had borne by a day."""

    entry: int
    kind: str
    title: str
    due: date
    interest: Interest


@dataclass(frozen=True, slots=True)
class Month:
    """A month of a history: its first day, what was charged and credited in it, by how many entries."""

    first: date
    charged: Money
    credited: Money
    entries: int

    @property
    def net(self) -> Money:
        return self.charged - self.credited


@dataclass(frozen=True, slots=True)
class Line:
    """An entry in a list: of a month or of a statement."""

    entry: int
    side: Side
    kind: str
    title: str
    document_no: str
    on: date
    amount: Money

    @property
    def signed(self) -> Money:
        return self.amount if self.side is Side.CHARGE else -self.amount


@dataclass(frozen=True, slots=True)
class History:
    """A balance's months, oldest first, and the entries of the month that was asked for."""

    months: tuple[Month, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def balance(self) -> Money:
        return Money.total(month.net for month in self.months)


@dataclass(frozen=True, slots=True)
class Statement:
    """An account's statement: what was owed the day before ``since``, every entry to ``until``, what was owed then."""

    since: date
    until: date
    opening: Money
    charged: Money
    credited: Money
    lines: tuple[Line, ...]
    entries: int

    @property
    def closing(self) -> Money:
        return self.opening + self.charged - self.credited

    @property
    def is_whole(self) -> bool:
        """Whether every entry of the period is in ``lines``."""
        return len(self.lines) == self.entries

    def running(self) -> tuple[tuple[Line, Money], ...]:
        """The entries, each with the balance after it."""
        balance, rows = self.opening, list[tuple[Line, Money]]()
        for line in self.lines:
            balance += line.signed
            rows.append((line, balance))
        return tuple(rows)


@dataclass(frozen=True, slots=True)
class Met:
    """How much of an entry met another one, by which rule, since when; ``released_at`` None: it still does."""

    entry: int
    side: Side
    kind: str
    title: str
    document_no: str
    on: date
    amount: Money
    rule: str
    since: datetime
    released_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An entry with everything that its explanation needs; ``met`` are its living allocations (``met_sum`` of all)."""

    account: int
    entry: int
    side: Side
    kind: str
    title: str
    document_no: str
    state: str
    amount: Money
    open: Money
    counted_on: date
    due_on: date | None
    effective_due_on: date | None
    time_barred_on: date | None
    paid_on: date | None
    reverses: int | None
    corrects: int | None
    bears_on: int | None
    reversed_by: int | None
    reason: str
    void_reason: str | None
    approved_at: datetime | None
    voided_at: datetime | None
    customer: int
    customer_no: str
    customer_name: str
    consumer: bool
    account_no: str
    book: str
    policy: str
    met: tuple[Met, ...] = ()
    met_sum: Money = ZERO
    met_count: int = 0
    released: tuple[Met, ...] = ()

    @property
    def name(self) -> Text | str:
        return self.title or KINDS[self.kind]


# --- explanations ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Explanation:
    """A figure, why it is so, and the parts that sum to it.

    ``entry`` is the entry that it is about, ``on`` its day; ``opens`` names a group (a year, a month) that opens when
    it is asked for.
    """

    title: Text | str
    amount: Money
    why: tuple[Text, ...] = ()
    parts: tuple[Explanation, ...] = ()
    entry: int | None = None
    on: date | None = None
    opens: str = ""

    @property
    def adds_up(self) -> bool:
        """Whether the parts sum to the figure, here and in every part."""
        if not self.parts:
            return True
        return self.amount == _total(self.parts) and all(part.adds_up for part in self.parts)


def _total(parts: Iterable[Explanation]) -> Money:
    return Money.total(part.amount for part in parts)


def to_pay(standing: Standing) -> Explanation:
    """Why there is this much to pay, by this day: the open charges due by then, less what is overpaid."""
    position, by = standing.position, standing.position.to_pay_by
    if by is None:
        return Explanation(_("To pay"), position.to_pay, (_("Every charge is paid."),))
    listed = [_open(item, position.on) for item in standing.charges if not item.barred and item.due <= by]
    parts = [*listed, *_rest(standing.due - _total(listed), _("Further charges"))]
    used = standing.due - position.to_pay
    if used:
        parts.append(Explanation(_("Less what is overpaid"), -used, (_WAITING,)))
    return Explanation(_("To pay by {day}", day=by), position.to_pay, (_why_by(position, by),), tuple(parts))


_WAITING: Final = _("A payment that is not yet used for any charge lowers what is to pay.")


def _why_by(position: Position, by: date) -> Text:
    if by > position.on:
        return _("Nothing has to be paid by {today}, so this is what falls due on the nearest date.", today=position.on)
    if position.arrears:
        return _("Everything due by {today} counts; {amount} of it is past due.", today=by, amount=position.arrears)
    return _("Everything due by {today} counts.", today=by)


def _rest(amount: Money, title: Text, why: Sequence[Text] = ()) -> tuple[Explanation, ...]:
    """A part for what is not told one by one; none when nothing is left."""
    return (Explanation(title, amount, tuple(why)),) if amount else ()


def _open(item: Item, on: date) -> Explanation:
    why = list(due_words(item.due_on, item.due))
    if item.due < on:
        late = (on - item.due).days
        why.append(ngettext("{count} day past due", "{count} days past due", late))
    if item.lowered:
        why.append(_("corrections lowered it by {amount}", amount=item.lowered))
    paid = item.amount - item.lowered - item.open
    if paid:
        why.append(_("{paid} of {amount} is paid", paid=paid, amount=item.amount - item.lowered))
    return Explanation(item.title or KINDS[item.kind], item.open, tuple(why), entry=item.entry, on=item.counted_on)


def balance_now(standing: Standing) -> Explanation:
    """A balance by what is open: what is to pay, what is not yet asked for, less what is overpaid."""
    position = standing.position
    later = [item for item in standing.charges if not item.barred and item.due > (position.to_pay_by or date.max)]
    barred = [item for item in standing.charges if item.barred]
    credit = position.credit - (standing.due - position.to_pay)
    parts = [
        *_rest(position.to_pay, _("To pay")),
        *_group(
            _("Due later"),
            standing.ageing.total - standing.due,
            later,
            position.on,
            _("It is not in the amount to pay yet."),
        ),
        *_group(_("Time-barred"), position.barred, barred, position.on, _WHY_BARRED),
        *_rest(-credit, _("Less what is overpaid"), (_WAITING,)),
    ]
    return Explanation(balance_title(position.balance), position.balance, parts=tuple(parts))


_WHY_BARRED: Final = _(
    "The claim is time-barred, so we do not ask you to pay it (art. 117 § 2¹ and 118 of the Civil Code)."
)


def _group(title: Text, amount: Money, items: Sequence[Item], on: date, why: Text) -> tuple[Explanation, ...]:
    """Open charges under one title; none when there are none."""
    listed = [_open(item, on) for item in items]
    parts = (*listed, *_rest(amount - _total(listed), _("Further charges")))
    return (Explanation(title, amount, (why,), parts),) if amount else ()


def balance_title(balance: Money) -> Text:
    """A word for a balance, so that its sign never stands alone."""
    if balance.grosze > 0:
        return _("Balance: still owed")
    return _("Balance: overpaid") if balance else _("Balance: settled")


def balance_words(balance: Money) -> Text:
    """A balance in words: what is to pay, overpaid, or neither."""
    if balance.grosze > 0:
        return _("to pay {amount}", amount=balance)
    return _("overpaid {amount}", amount=-balance) if balance else _("settled")


def balance(history: History, opened: str = "") -> Explanation:
    """A balance as charges less payments: by year, within the year in ``opened`` (``2026``, ``2026-11``) by month."""
    years = groupby(history.months, lambda month: month.first.year)
    parts = tuple(_year(year, tuple(months), history.lines, opened) for year, months in years)
    return Explanation(
        balance_title(history.balance),
        history.balance,
        (_("All charges since the account was opened, less all payments and other credits."),),
        parts,
    )


def _year(year: int, months: Sequence[Month], lines: Sequence[Line], opened: str) -> Explanation:
    charged, credited = (Money.total(getattr(month, side) for month in months) for side in ("charged", "credited"))
    parts = (
        tuple(_month(month, lines if opened == f"{month.first:%Y-%m}" else ()) for month in months)
        if opened.startswith(str(year))
        else _both_sides(charged, credited)
    )
    return Explanation(str(year), charged - credited, parts=parts, opens=str(year))


def _month(month: Month, lines: Sequence[Line]) -> Explanation:
    listed = [Explanation(_less(line), line.signed, entry=line.entry, on=line.on) for line in lines]
    parts = (
        (*listed, *_rest(month.net - _total(listed), _("Further entries")))
        if listed
        else _both_sides(month.charged, month.credited)
    )
    return Explanation(MONTHS[month.first.month - 1], month.net, parts=parts, opens=f"{month.first:%Y-%m}")


def _less(line: Line) -> Text | str:
    name = line.title or KINDS[line.kind]
    return name if line.side is Side.CHARGE else _("less: {what}", what=name)


def _both_sides(charged: Money, credited: Money) -> tuple[Explanation, ...]:
    return (*_rest(charged, _("What was charged")), *_rest(-credited, _("Less what was paid")))


def ageing(standing: Standing) -> Explanation:
    """What is open by how long it is past due; the charges of each bucket."""
    on = standing.position.on
    items = [item for item in standing.charges if not item.barred]
    parts: list[Explanation] = []
    for name, label in BUCKETS.items():
        amount: Money = getattr(standing.ageing, name)
        listed = [_open(item, on) for item in items if bucket_of(item.due, on) == name]
        if amount:
            further = _rest(amount - _total(listed), _("Further charges"))
            parts.append(Explanation(label, amount, parts=(*listed, *further)))
    why = (_("Days are counted from the day after the due date."),)
    return Explanation(_("Open charges"), standing.ageing.total, why, tuple(parts))


# --- one entry ------------------------------------------------------------------------------------------------------


def entry(told: Told, lines: Sequence[ChargeLine] = ()) -> Explanation:
    """What is left of a charge and why, or where a payment went."""
    if told.state != "approved":
        return Explanation(told.name, ZERO, (_NOT_COUNTED[told.state],), entry=told.entry, on=told.counted_on)
    return _charge(told, lines) if told.side is Side.CHARGE else _credit(told)


_NOT_COUNTED: Final[Mapping[str, Text]] = {
    "draft": _("This is a draft: it waits for approval and does not count."),
    "voided": _("This row was voided and does not count."),
}


def _charge(told: Told, lines: Sequence[ChargeLine]) -> Explanation:
    made = tuple(Explanation(line.name, line.amount, _made_of(line)) for line in lines)
    if made:
        made += _rest(told.amount - _total(made), _("Other"))
    charged = Explanation(told.name, told.amount, tuple(due_words(told.due_on, told.effective_due_on)), made)
    paid = [
        Explanation(_taken_by(met), -met.amount, (rule_words(met.rule, told.policy),), entry=met.entry, on=met.on)
        for met in told.met
    ]
    unlisted = _rest(-(told.met_sum - Money.total(met.amount for met in told.met)), _("Less further payments"))
    why = (_("This charge is paid."),) if not told.open else ()
    return Explanation(_("Left to pay"), told.open, why, (charged, *paid, *unlisted), told.entry, told.counted_on)


def _made_of(line: ChargeLine) -> tuple[Text, ...]:
    if line.rate is None:
        return ()
    quantity = f"{plain(line.quantity)} {line.unit}".strip()
    return (_("{quantity} × {rate} zł", quantity=quantity, rate=plain(line.rate, 2)),)


def _taken_by(met: Met) -> Text:
    match met.rule:
        case "reversal":
            return _("Less: taken back on {day}", day=met.on)
        case "correction":
            return _("Less the correction of {day}", day=met.on)
        case _ if met.kind == "payment":
            return _("Less the payment of {day}", day=met.on)
        case _:
            return _("Less: {kind}, {day}", kind=CREDIT_KINDS[met.kind], day=met.on)


def _credit(told: Told) -> Explanation:
    went = [
        Explanation(
            met.title or KINDS[met.kind],
            met.amount,
            (rule_words(met.rule, told.policy),),
            entry=met.entry,
            on=met.on,
        )
        for met in told.met
    ]
    unlisted = _rest(told.met_sum - Money.total(met.amount for met in told.met), _("Further charges"))
    waits = _rest(told.open, _("Waits for the next charge"), (_("Nothing of it is lost: it pays your next charge."),))
    return Explanation(told.name, told.amount, (), (*went, *unlisted, *waits), told.entry, told.counted_on)


def due_words(due_on: date | None, effective_due_on: date | None) -> Iterable[Text]:
    """The due date, and why it moved."""
    if effective_due_on is None:
        return
    if due_on is None or due_on == effective_due_on:
        yield _("Due {day}", day=effective_due_on)
        return
    free = {6: _("a Saturday"), 7: _("a Sunday")}.get(due_on.isoweekday(), _("a holiday"))
    yield _(
        "{day} is {free}, so the due date moves to {moved} (art. 115 of the Civil Code)",
        day=due_on,
        free=free,
        moved=effective_due_on,
    )


_RULES: Final[Mapping[str, Text]] = {
    "designated": _("because the payer named this charge (art. 451 § 1 of the Civil Code)"),
    "oldest_due": _("because its due date was the earliest of what was due (art. 451 § 3 of the Civil Code)"),
    "inner_interest": _(
        "because interest and costs of a debt are paid before the debt (art. 451 § 1 of the Civil Code)"
    ),
    "prepay": _("paid before it was due, because nothing else was due"),
    "correction": _("because this charge was too high"),
    "reversal": _("because the one undoes the other"),
    "manual": _("because the office decided so"),
    "imported": _("because the billing program says so"),
    "policy": _("as the rules of this book say"),
}
_PUBLIC_RULES: Final[Mapping[str, Text]] = {
    "designated": _("because the payer named it and there were no arrears (art. 62 § 1 of the Tax Ordinance)"),
    "oldest_due": _("because the oldest arrears are paid first (art. 62 § 1 of the Tax Ordinance)"),
    "inner_interest": _("the share of interest in a part payment (art. 55 § 2 of the Tax Ordinance)"),
}


def rule_words(rule: str, policy: str) -> Text:
    """Why a credit met a charge, with the law behind it, in a book of this policy."""
    return _PUBLIC_RULES.get(rule, _RULES[rule]) if policy == "public" else _RULES[rule]


# --- interest -------------------------------------------------------------------------------------------------------


MOST_BORNE: Final = 24
"""Charges whose interest is told one by one."""


def interest(borne: Sequence[Borne], on: date) -> Explanation:
    """Interest by a day: of each of the latest charges, days × rate × principal; of the earlier ones the sum."""
    told = borne[-MOST_BORNE:]
    earlier = Money.total(one.interest.amount for one in borne) - Money.total(one.interest.amount for one in told)
    parts = (
        *_rest(earlier, _("Earlier charges")),
        *(interest_of_charge(one.title or KINDS[one.kind], one.interest, entry=one.entry) for one in told),
    )
    return Explanation(_("Interest for delay by {day}", day=on), _total(parts), (_MEMO,), parts)


_MEMO: Final = _("It is counted apart and is in no amount to pay until the office demands it by an interest note.")


def interest_of_charge(title: Text | str, borne: Interest, *, entry: int | None = None) -> Explanation:
    """Interest of a charge as days × rate × principal; what rounding adds or a minimum takes is a part of its own."""
    parts = [_days(line) for line in borne.lines]
    difference = borne.amount - _total(parts)
    if not borne.amount and parts:
        parts += _rest(difference, _("Less: too little to be charged"))
    else:
        title_of_rest = _("Rounding") if difference.grosze > 0 else _("Less rounding")
        parts += _rest(difference, title_of_rest, (_("The sum is rounded once, not line by line."),))
    return Explanation(title, borne.amount, parts=tuple(parts), entry=entry)


def _days(line: InterestLine) -> Explanation:
    percent = f"{line.percent.normalize():f}".replace(".", ",")
    days = ngettext("{count} day", "{count} days", line.days)
    formula = _("{principal} × {percent}% × {days} / 365", principal=Money(line.principal), percent=percent, days=days)
    span = _("{first} – {last}", first=line.first_day, last=line.last_day)
    return Explanation(span, Money(round_half_up(line.exact)), (formula,))


# --- pictures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bar:
    """A month of the picture: the balance at its end; place and height in per cent of the drawing."""

    first: date
    balance: Money
    left: float
    width: float
    top: float
    height: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Balances at the ends of months, oldest first; ``zero`` is the height of the line of nothing, in per cent."""

    bars: tuple[Bar, ...]
    zero: float


def picture(history: History, today: date, months: int = 24) -> Picture:
    """The balance at the end of each of the last months; the present one as it stands."""
    last = today.year * 12 + today.month - 1
    ends = [date(number // 12, number % 12 + 1, 1) for number in range(last - months + 1, last + 1)]
    balances = [Money.total(month.net for month in history.months if month.first <= first) for first in ends]
    highest = max(0, *(balance.grosze for balance in balances))
    lowest = min(0, *(balance.grosze for balance in balances))
    span = max(1, highest - lowest)
    slot = 100 / months

    def bar(place: int, first: date, balance: Money) -> Bar:
        height = 100 * abs(balance.grosze) / span
        top = 100 * (highest - max(0, balance.grosze)) / span
        return Bar(
            first, balance, round(slot * (place + 0.15), 2), round(slot * 0.7, 2), round(top, 2), round(height, 2)
        )

    bars = tuple(bar(place, first, balance) for place, (first, balance) in enumerate(zip(ends, balances, strict=True)))
    return Picture(bars, round(100 * highest / span, 2))


MONTHS: Final = (
    _("January"),
    _("February"),
    _("March"),
    _("April"),
    _("May"),
    _("June"),
    _("July"),
    _("August"),
    _("September"),
    _("October"),
    _("November"),
    _("December"),
)

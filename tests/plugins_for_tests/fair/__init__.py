"""A plugin of somebody else's: a payment is shared among all open charges, interest is a flat per cent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

from kernel import Extension, Money, Plugin, Text, _, hookimpl
from plugins.payments import Allocation, Interest, InterestLine, Part, Posting, RateTable, Side

plugin = Plugin(api=1, requires=("payments",))


class FairShare:
    """Every credit is divided among all open charges in the ratio of what is open; the last takes the remainder."""

    def allocate(self, entries: Sequence[Posting], free: Mapping[int, int], today: date) -> Sequence[Allocation]:
        return list(self._shares(entries, dict(free)))

    def _shares(self, entries: Sequence[Posting], free: dict[int, int]) -> Iterator[Allocation]:
        charges = [entry for entry in entries if entry.side is Side.CHARGE and entry.place]
        for credit in (entry for entry in entries if entry.side is Side.CREDIT and entry.place):
            left = sum(free[charge.id] for charge in charges)
            shared = min(free[credit.id], left)
            for charge in charges:
                if not free[charge.id]:
                    continue
                part = shared * free[charge.id] // left
                left -= free[charge.id]
                shared -= part
                free[charge.id] -= part
                if part:
                    yield Allocation(credit.id, charge.id, part, "policy")


class OnePercent:
    """One per cent of whatever is open past its due date, whenever that is."""

    name = "fair.one_percent"
    label: Text = _("No interest")
    rates_kind = None

    def rates(self, tables: Mapping[str, RateTable], contract_rate: Decimal | None) -> RateTable:
        return RateTable(self.name, ())

    def interest(self, parts: Sequence[Part], effective_due: date, as_of: date, rates: RateTable) -> Interest:
        late = sum(part.amount for part in parts if part.until is None and effective_due < as_of)
        if not late:
            return Interest(Money(0), Fraction(0), ())
        line = InterestLine(effective_due, as_of, (as_of - effective_due).days, late, Decimal(1), Fraction(late, 100))
        return Interest(Money(late // 100), Fraction(late, 100), (line,))


@hookimpl
def register_extensions() -> Iterable[Extension]:
    yield Extension("payments.allocation_policy", "fair.share", FairShare())
    yield Extension("payments.interest_regime", "fair.one_percent", OnePercent())

"""The ledger: what customers are charged, what they pay, and which payment pays which charge."""

from collections.abc import Iterable

from kernel import Plugin, Verb, _, hookimpl, ngettext
from plugins.payments.face import Card, CardLine, CardPart, Ledger, OpenCharge, Payee, Position, Side, Status

__all__ = ["Card", "CardLine", "CardPart", "Ledger", "OpenCharge", "Payee", "Position", "Side", "Status"]

plugin = Plugin(api=1)


@hookimpl
def register_audit_verbs() -> Iterable[Verb]:
    yield Verb("payments.entered", _("entered a draft for {amount}"))
    yield Verb("payments.edited", _("changed a draft: {amount}"))
    yield Verb("payments.deleted", _("deleted a draft for {amount}"))
    yield Verb(
        "payments.approved",
        ngettext(
            "approved {count} entry: charges {charged}, payments {credited}",
            "approved {count} entries: charges {charged}, payments {credited}",
            0,
        ),
    )
    yield Verb("payments.reversed", _("reversed an entry for {amount}: {reason}"))
    yield Verb("payments.voided", _("voided an approved entry, {title}, for {amount}: {reason}"))

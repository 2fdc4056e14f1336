"""The ledger: what customers are charged, what they pay, and which payment pays which charge."""

from plugins.payments.face import Card, CardLine, CardPart, Ledger, OpenCharge, Payee, Position, Side, Status

__all__ = ["Card", "CardLine", "CardPart", "Ledger", "OpenCharge", "Payee", "Position", "Side", "Status"]

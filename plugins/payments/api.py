"""The ledger over the API, for a customer's own programs."""

from __future__ import annotations

from datetime import date
from typing import Final

from pydantic import BaseModel

from kernel import ACTOR, CONN, SITE, Money, Request, Route, service
from plugins.payments.face import Ledger


class Balance(BaseModel):
    """What the customer in view owes; amounts are decimal strings in złoty. See ``Position``."""

    customer: int
    on: date
    to_pay: Money
    to_pay_by: date | None
    arrears: Money
    credit: Money
    balance: Money


async def balance(request: Request) -> Balance:
    """The position of today."""
    customer = request[ACTOR].customer
    position = await service(request, Ledger).position(request[CONN], customer, request[SITE].clock.today())
    return Balance(
        customer=customer,
        on=position.on,
        to_pay=position.to_pay,
        to_pay_by=position.to_pay_by,
        arrears=position.arrears,
        credit=position.credit,
        balance=position.balance,
    )


ROUTES: Final = (Route("GET", "/api/v1/balance", balance, "payments.own", "payments.api_balance", returns=Balance),)

"""What groups of customers may be chosen by: arrears, and what is overpaid."""

from __future__ import annotations

from typing import Final

from kernel import CustomerField, _

FIELDS: Final = (
    CustomerField(
        "payments.arrears",
        _("Arrears"),
        value="""(
            select coalesce(sum(e.open_amount), 0)::bigint
            from payments.account a
            join kernel.customer owner on owner.id = a.customer
            join payments.entry e on e.account_id = a.id
            where a.customer = {0} and e.side = 'charge' and e.open_amount > 0 and e.effective_due_on < {1}
              and not (owner.consumer and coalesce(e.time_barred_on <= {1}, false)))""",
        over="""
            select a.customer
            from payments.entry e
            join payments.account a on a.id = e.account_id
            join kernel.customer owner on owner.id = a.customer
            where e.side = 'charge' and e.open_amount > 0 and e.effective_due_on < {1}
              and not (owner.consumer and coalesce(e.time_barred_on <= {1}, false))
            group by a.customer having sum(e.open_amount) > {0}""",
    ),
    CustomerField(
        "payments.overpaid",
        _("Overpaid"),
        value="""(
            select greatest(coalesce(-sum(k.balance), 0), 0)::bigint
            from payments.account a join payments.account_balance k on k.account_id = a.id
            where a.customer = {0} and {1} is not null)""",
        over="""
            select a.customer
            from payments.account a join payments.account_balance k on k.account_id = a.id
            where {1} is not null
            group by a.customer having -sum(k.balance) > {0}""",
    ),
)

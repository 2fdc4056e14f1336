"""The register's part of the page of one customer: premises now and earlier, and what became of the person."""

from __future__ import annotations

from datetime import date
from typing import Any, Final, LiteralString

from kernel import ACTOR, CONN, SITE, Request, Tab, _
from plugins.customers.premises.model import ROLES, label, period, tenure_of

# One question, whatever the page shows of the register.
PART_SQL: Final[LiteralString] = """
select (
    select coalesce(jsonb_agg(to_jsonb(one) order by one.until desc nulls first, one.since desc nulls last), '[]')
    from (
        select t.id, t.premises, t.customer, t.role, t.share, t.since, t.until, p.code, p.kind, p.street, p.building,
               p.flat, p.city
        from customers.tenure t join kernel.service_point p on p.id = t.premises
        where t.customer = $1 order by t.until desc nulls first, t.since desc nulls last, t.id desc limit 100
    ) one
) as tenures, (
    select to_jsonb(d) from (
        select died_on, heirs from customers.death where customer = $1 and revoked_at is null
    ) d
) as death, (
    select coalesce(jsonb_agg(to_jsonb(one) order by one.since, one.id), '[]')
    from (
        select d.id, d.premises, d.customer, d.since, c.name, p.code, p.street, p.building, p.flat, p.city
        from customers.planned_handover d
        join kernel.service_point p on p.id = d.premises join kernel.customer c on c.id = d.customer
        where d.state = 'planned' and (d.customer = $1 or p.customer = $1) order by d.since, d.id limit 20
    ) one
) as plans, (
    select to_jsonb(s) from (select reason, removed_at from customers.tombstone where customer = $1) s
) as tombstone
"""


async def customer_parts(request: Request, customer: int) -> list[Tab]:
    """First of all a death with its note on heirs, or that the data were removed; and premises with their periods."""
    row = await request[CONN].fetchrow(PART_SQL, customer)
    assert row is not None  # noqa: S101  a select without a table returns its row
    today, may = request[SITE].clock.today(), request[ACTOR].may
    lines = [_line(facts) for facts in row["tenures"]]
    data = {
        "customer": customer,
        "now": [line for line in lines if not line["tenure"].ends < today],
        "before": [line for line in lines if line["tenure"].ends < today],
        "plans": [
            {
                "premises": facts["premises"],
                "label": label({**facts, "id": facts["premises"]}),
                "since": date.fromisoformat(facts["since"]),
                "is_taking": facts["customer"] == customer,
                "name": facts["name"],
            }
            for facts in row["plans"]
        ],
        "may_change": may("customers.change") and row["tombstone"] is None,
        "may_identity": may("customers.identity") and row["tombstone"] is None,
    }
    premises = Tab("customers.points", _("Premises"), "customers/points.html", data, 30)
    if row["tombstone"] is not None:
        return [Tab("customers.removed", _("Data removed"), "customers/removed.html", {}, 1), premises]
    if row["death"] is None:
        return [premises]
    day: str | None = row["death"]["died_on"]
    death = {"day": date.fromisoformat(day) if day else None, "heirs": row["death"]["heirs"], "customer": customer}
    return [Tab("customers.death", _("The customer has died"), "customers/died.html", death, 1), premises]


def _line(facts: dict[str, Any]) -> dict[str, Any]:
    tenure = tenure_of(facts)
    return {
        "tenure": tenure,
        "premises": facts["premises"],
        "label": label({**facts, "id": facts["premises"]}),
        "code": facts["code"],
        "kind": facts["kind"],
        "role": ROLES[tenure.role],
        "period": period(tenure),
    }

"""What the office takes out of the ledger, and how an archive of the organisation treats its tables.

As of a day counts what was issued and valued by then, as it is known now: an allocation stands between two entries that
both count. Drafts and voided entries are listed only when asked for, and count in no sum.
"""

from __future__ import annotations

from typing import Final, LiteralString

from kernel import ArchiveRule, Export, ExportColumn, ExportFilter, _
from plugins.payments.face import Side
from plugins.payments.model import CHANNELS, KINDS, STATES

ENTRIES_SQL: Final[LiteralString] = """
select e.id as entry, a.account_no, b.code as book, c.customer_no, c.name as customer_name, e.side, e.kind, e.state,
       e.title, e.document_no, e.period, e.issued_on, e.due_on, e.effective_due_on, e.value_date, e.paid_on,
       e.booked_on, case e.side when 'charge' then e.amount end as charged,
       case e.side when 'credit' then e.amount end as credited,
       e.open_amount, e.channel, e.journal_no, e.reverses, e.corrects, e.source, e.external_id, e.approved_at
from payments.entry e
join payments.account a on a.id = e.account_id
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
where ($1::text is null or c.customer_no = $1)
  and ($2::text is null or b.code = $2)
  and ($3::date is null or e.counted_on >= $3)
  and ($4::date is null or e.counted_on <= $4)
  and ($5::text is null or e.side = $5)
  and ($6::text = 'all' or e.state = $6)
  /*group*/
order by e.account_id, e.id
"""

# What is open now, and what has been allocated since to or from what came later, gives what was open then.
_OPEN_THEN: Final[LiteralString] = """
with later as (
    select account_id, id, side from payments.entry where state = 'approved' and counted_on > $1::date
), moved as (
    select l.account_id, l.id, l.credit, l.charge, l.amount
    from later e join payments.allocation l on l.account_id = e.account_id and l.credit = e.id
    where e.side = 'credit' and l.released_at is null
    union
    select l.account_id, l.id, l.credit, l.charge, l.amount
    from later e join payments.allocation l on l.account_id = e.account_id and l.charge = e.id
    where e.side = 'charge' and l.released_at is null
), change as (
    select account_id, credit as id, amount from moved
    union all
    select account_id, charge, amount from moved
    union all
    select account_id, id, open_amount from payments.entry where open_amount > 0
), part as (
    select account_id, id, sum(amount)::bigint as open from change group by account_id, id
), item as (
    select e.account_id, e.id, e.side, p.open, coalesce(e.effective_due_on, e.counted_on) as due,
           e.side = 'charge' and c.consumer and coalesce(e.time_barred_on <= $1::date, false) as is_barred
    from part p
    join payments.entry e using (account_id, id)
    join payments.account a on a.id = e.account_id
    join kernel.customer c on c.id = a.customer
    where e.counted_on <= $1::date
)"""

_BALANCES: Final[LiteralString] = """, turnover as (
    select account_id, coalesce(sum(amount) filter (where side = 'charge'), 0)::bigint as charged,
           coalesce(sum(amount) filter (where side = 'credit'), 0)::bigint as credited
    from payments.entry where state = 'approved' and counted_on <= $1::date
    group by account_id
), standing as (
    select account_id,
           coalesce(sum(open) filter (where side = 'charge' and due < $1 and not is_barred), 0)::bigint as arrears,
           coalesce(sum(open) filter (where side = 'credit'), 0)::bigint as unused,
           coalesce(sum(open) filter (where is_barred), 0)::bigint as barred,
           min(due) filter (where side = 'charge' and not is_barred) as oldest_due
    from item group by account_id
)
select $1::date as as_of, a.account_no, b.code as book, b.name as book_name, c.customer_no, c.name as customer_name,
       c.status as customer_status, coalesce(t.charged, 0) as charged, coalesce(t.credited, 0) as credited,
       coalesce(t.charged, 0) - coalesce(t.credited, 0) as balance, coalesce(s.arrears, 0) as arrears,
       coalesce(s.unused, 0) as unused, coalesce(s.barred, 0) as barred, s.oldest_due, a.opened_on, a.closed_on,
       a.virtual_account
from payments.account a
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
left join turnover t on t.account_id = a.id
left join standing s on s.account_id = a.id
where ($2::text is null or c.customer_no = $2)
  and ($3::text is null or b.code = $3)
  and case $4::text when 'debt' then coalesce(t.charged, 0) > coalesce(t.credited, 0)
                    when 'credit' then coalesce(t.charged, 0) < coalesce(t.credited, 0)
                    when 'arrears' then s.arrears > 0 else true end
  /*group*/
order by a.id
"""
BALANCES_SQL: Final[LiteralString] = _OPEN_THEN + _BALANCES

_OPEN_ITEMS: Final[LiteralString] = """
select $1::date as as_of, e.id as entry, a.account_no, b.code as book, c.customer_no, c.name as customer_name, e.side,
       e.kind, e.title, e.document_no, e.period, e.counted_on, e.due_on, e.effective_due_on, e.amount,
       case i.side when 'charge' then i.open end as to_pay, case i.side when 'credit' then i.open end as unused,
       case when i.side = 'charge' then greatest($1::date - i.due, 0) end as days_late, i.is_barred
from item i
join payments.entry e using (account_id, id)
join payments.account a on a.id = e.account_id
join payments.book b on b.id = a.book
join kernel.customer c on c.id = a.customer
where ($2::text is null or c.customer_no = $2)
  and ($3::text is null or b.code = $3)
  and ($4::text is null or e.side = $4)
  and ($5::text is null or i.side = 'charge' and i.due < $1::date)
  /*group*/
order by e.account_id, i.side, i.due, e.id
"""
OPEN_ITEMS_SQL: Final[LiteralString] = _OPEN_THEN + _OPEN_ITEMS

SIDES: Final = {Side.CHARGE.value: _("Charge or debit"), Side.CREDIT.value: _("Payment or credit")}
_AS_OF: Final = ExportFilter("as_of", _("As of the day"), "day")
_CUSTOMER: Final = ExportFilter("customer_no", _("Customer number"))
_BOOK: Final = ExportFilter("book", _("Book’s code"))
_SIDE: Final = ExportFilter("side", _("Charges or payments"), options=tuple(SIDES.items()))


def _whose(*between: ExportColumn) -> tuple[ExportColumn, ...]:
    return (
        ExportColumn("customer_no", _("Customer number")),
        ExportColumn("customer_name", _("Customer")),
        ExportColumn("account_no", _("Account")),
        ExportColumn("book", _("Book")),
        *between,
    )


def _described() -> tuple[ExportColumn, ...]:
    return (
        ExportColumn("entry", _("Entry no."), "number"),
        ExportColumn("side", _("Charges or payments"), words=SIDES),
        ExportColumn("kind", _("Kind"), words=KINDS),
        ExportColumn("title", _("Title")),
        ExportColumn("document_no", _("Document no.")),
        ExportColumn("period", _("Period")),
    )


EXPORTS: Final = (
    Export(
        "payments.entries",
        _("Entries of the ledger"),
        _("Every charge and payment with its days, amounts and what is open of it."),
        ENTRIES_SQL,
        _whose(
            *_described(),
            ExportColumn("state", _("State"), words=STATES),
            ExportColumn("issued_on", _("Issued on"), "date"),
            ExportColumn("due_on", _("Due on"), "date"),
            ExportColumn("effective_due_on", _("Due on a working day"), "date"),
            ExportColumn("value_date", _("Value date"), "date"),
            ExportColumn("paid_on", _("Paid on"), "date"),
            ExportColumn("booked_on", _("Booked on"), "date"),
            ExportColumn("charged", _("Charged"), "money"),
            ExportColumn("credited", _("Paid in"), "money"),
            ExportColumn("open_amount", _("Left open"), "money"),
            ExportColumn("channel", _("Channel"), words=CHANNELS),
            ExportColumn("journal_no", _("Journal no."), "number"),
            ExportColumn("reverses", _("Reverses entry no."), "number"),
            ExportColumn("corrects", _("Corrects entry no."), "number"),
            ExportColumn("source", _("Source")),
            ExportColumn("external_id", _("Key in the source")),
            ExportColumn("approved_at", _("Approved"), "moment"),
        ),
        "payments.view",
        (
            _CUSTOMER,
            _BOOK,
            ExportFilter("since", _("From the day"), "date"),
            ExportFilter("until", _("To the day"), "date"),
            _SIDE,
            ExportFilter("state", _("State"), options=(*STATES.items(), ("all", _("all"))), default="approved"),
        ),
        customer="c.id",
    ),
    Export(
        "payments.balances",
        _("Balances"),
        _("What every account was charged, paid and owes, as of a day."),
        BALANCES_SQL,
        _whose(
            ExportColumn("as_of", _("As of the day"), "date"),
            ExportColumn("charged", _("Charged"), "money"),
            ExportColumn("credited", _("Paid in"), "money"),
            ExportColumn("balance", _("Balance"), "money"),
            ExportColumn("arrears", _("In arrears"), "money"),
            ExportColumn("unused", _("Overpaid"), "money"),
            ExportColumn("barred", _("Time-barred"), "money"),
            ExportColumn("oldest_due", _("Oldest due date"), "date"),
            ExportColumn("opened_on", _("Opened on"), "date"),
            ExportColumn("closed_on", _("Closed on"), "date"),
            ExportColumn("virtual_account", _("Own bank account")),
        ),
        "payments.view",
        (
            _AS_OF,
            _CUSTOMER,
            _BOOK,
            ExportFilter(
                "standing",
                _("Which accounts"),
                options=(("debt", _("who owe")), ("arrears", _("who are in arrears")), ("credit", _("who overpaid"))),
            ),
        ),
        customer="c.id",
    ),
    Export(
        "payments.open_items",
        _("Open items"),
        _("Charges not yet paid and payments not yet used, as of a day."),
        OPEN_ITEMS_SQL,
        _whose(
            ExportColumn("as_of", _("As of the day"), "date"),
            *_described(),
            ExportColumn("counted_on", _("Issued or received on"), "date"),
            ExportColumn("due_on", _("Due on"), "date"),
            ExportColumn("effective_due_on", _("Due on a working day"), "date"),
            ExportColumn("amount", _("Amount"), "money"),
            ExportColumn("to_pay", _("Left to pay"), "money"),
            ExportColumn("unused", _("Overpaid"), "money"),
            ExportColumn("days_late", _("Days past due"), "number"),
            ExportColumn("is_barred", _("Time-barred"), "yes_no"),
        ),
        "payments.view",
        (
            _AS_OF,
            _CUSTOMER,
            _BOOK,
            _SIDE,
            ExportFilter("late", _("When due"), options=(("yes", _("past due only")),)),
        ),
        customer="c.id",
    ),
)

ARCHIVE_RULES: Final = (
    ArchiveRule("payments.entry", sums=("amount", "open_amount")),
    ArchiveRule("payments.account_balance", sums=("charged", "credited", "balance")),
    ArchiveRule("payments.allocation", sums=("amount",)),
    ArchiveRule("payments.book", seeded=True),
    ArchiveRule("payments.overview", seeded=True),  # a job keeps it, where there is nothing, too
    ArchiveRule("payments.holiday", seeded=True),
    ArchiveRule("payments.interest_rate", seeded=True),
    ArchiveRule("payments.interest_minimum", seeded=True),
)

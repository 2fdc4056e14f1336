"""What the office takes out of the register."""

from __future__ import annotations

from typing import Final, LiteralString

from kernel import Export, ExportColumn, ExportFilter, _

CUSTOMERS_SQL: Final[LiteralString] = """
select customer_no, kind, consumer, name, given_name, family_name, nip, email, phone, street, building, flat,
       postal_code, city, country, status, source, external_id, created_at
from kernel.customer
where ($1::text is null or customer_no = $1)
  and ($2::text is null or kernel.pl_sort(name) like '%' || kernel.pl_sort($2) || '%')
  and ($3::text is null or status = $3)
  /*group*/
order by id
"""

POINTS_SQL: Final[LiteralString] = """
select p.code, p.kind, p.street, p.building, p.flat, p.postal_code, p.city, p.unit, c.customer_no,
       c.name as customer_name
from kernel.service_point p left join kernel.customer c on c.id = p.customer
where ($1::text is null or c.customer_no = $1)
  and not exists (select from customers.tombstone t where t.premises = p.id)
order by p.id
"""

_NUMBER: Final = ExportFilter("customer_no", _("Customer number"))
_STATUSES: Final = {"active": _("active"), "closed": _("closed"), "deceased": _("deceased")}

EXPORTS: Final = (
    Export(
        "customers.customers",
        _("Customers"),
        _("The register: numbers, names, addresses, state."),
        CUSTOMERS_SQL,
        (
            ExportColumn("customer_no", _("Customer number")),
            ExportColumn("kind", _("Kind"), words={"person": _("person"), "company": _("company")}),
            ExportColumn("consumer", _("Consumer"), "yes_no"),
            ExportColumn("name", _("Name")),
            ExportColumn("given_name", _("Given name")),
            ExportColumn("family_name", _("Family name")),
            ExportColumn("nip", _("NIP")),
            ExportColumn("email", _("E-mail")),
            ExportColumn("phone", _("Telephone")),
            ExportColumn("street", _("Street")),
            ExportColumn("building", _("Building")),
            ExportColumn("flat", _("Flat")),
            ExportColumn("postal_code", _("Postal code")),
            ExportColumn("city", _("City")),
            ExportColumn("country", _("Country")),
            ExportColumn("status", _("State"), words=_STATUSES),
            ExportColumn("source", _("Source")),
            ExportColumn("external_id", _("Key in the source")),
            ExportColumn("created_at", _("Added"), "moment"),
        ),
        "customers.view",
        (
            _NUMBER,
            ExportFilter("name", _("Name")),
            ExportFilter("status", _("State"), options=tuple(_STATUSES.items())),
        ),
        customer="id",
    ),
    Export(
        "customers.service_points",
        _("Service points"),
        _("Flats, meters, properties, and whose they are."),
        POINTS_SQL,
        (
            ExportColumn("code", _("Code")),
            ExportColumn("kind", _("Kind")),
            ExportColumn("street", _("Street")),
            ExportColumn("building", _("Building")),
            ExportColumn("flat", _("Flat")),
            ExportColumn("postal_code", _("Postal code")),
            ExportColumn("city", _("City")),
            ExportColumn("unit", _("Unit")),
            ExportColumn("customer_no", _("Customer number")),
            ExportColumn("customer_name", _("Customer")),
        ),
        "customers.view",
        (_NUMBER,),
    ),
)

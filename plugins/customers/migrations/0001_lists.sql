-- The register is listed and searched in the order of the Polish alphabet, people by their family name.
create function customers.sorting(name text, given_name text, family_name text) returns text
    language sql immutable parallel safe
    return kernel.pl_sort(case when family_name = '' then name else family_name || ' ' || given_name end);

create index customers_sorted on kernel.customer (customers.sorting(name, given_name, family_name) collate "C", id);
create index customers_by_name on kernel.customer (kernel.pl_sort(name) collate "C");
create index customers_by_street on kernel.customer (kernel.pl_sort(street) collate "C");
create index customers_not_active on kernel.customer
    (status, customers.sorting(name, given_name, family_name) collate "C", id) where status <> 'active';

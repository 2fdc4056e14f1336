-- Premises through time: in the order of streets and houses, with everybody who has and had them.

-- Streets in the Polish order, houses and flats by number: 2, 10, 10a.
create function customers.numbered(value text) returns text
    language sql immutable strict parallel safe
    return lpad(coalesce(substring(value from '^[0-9]+'), ''), 6, '0') || lower(substring(value from '^[0-9]*(.*)$'));

create function customers.place(street text, building text, flat text, code text) returns text
    language sql immutable strict parallel safe
    return kernel.pl_sort(street) || ' ' || customers.numbered(building) || ' ' || customers.numbered(flat) || ' ' || code;

create index customers_premises on kernel.service_point (customers.place(street, building, flat, code) collate "C", id);
create index customers_premises_street on kernel.service_point (kernel.pl_sort(street) collate "C");
create index customers_premises_empty on kernel.service_point (id) where customer is null;

-- Who has premises, as what, from which day to which. kernel.service_point.customer is derived from it: whoever is
-- billed today (payer before tenant before owner).
create table customers.tenure (
    id bigint generated always as identity primary key,
    premises bigint not null references kernel.service_point on delete cascade,
    customer bigint not null references kernel.customer on delete cascade,
    role text not null check (role in ('owner', 'tenant', 'payer')),
    -- Percent.
    share numeric(7, 4) check (share > 0 and share <= 100),
    -- Null: since before the register knows. The last day is included; null: still.
    since date,
    until date,
    created_at timestamptz not null default now(),
    created_by text not null default coalesce(current_setting('ebok.actor', true), ''),
    check (until >= since)
);
create index tenure_of_premises on customers.tenure (premises, since desc nulls last, id);
create index tenure_of_customer on customers.tenure (customer, since desc nulls last, id);
create index tenure_since on customers.tenure (since) where since is not null;
create index tenure_until on customers.tenure (until) where until is not null;

insert into customers.tenure (premises, customer, role)
select id, customer, 'owner' from kernel.service_point where customer is not null order by id;

-- Whatever adds premises together with a customer, an import or another plugin, gives the customer a tenure.
create function customers.begin_tenure() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    insert into customers.tenure (premises, customer, role) values (new.id, new.customer, 'owner');
    return null;
end
$$;
create trigger customers_begin_tenure after insert on kernel.service_point
    for each row when (new.customer is not null) execute function customers.begin_tenure();

revoke execute on all functions in schema customers from public;
revoke execute on function customers.begin_tenure from ebok_app;

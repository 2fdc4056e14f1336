-- Groups of customers: those that somebody put in, or those that a kept rule describes.
create table customers.customer_group (
    id bigint generated always as identity primary key,
    name text not null check (name <> '' and length(name) <= 80),
    note text not null default '' check (length(note) <= 500),
    -- What the members have in common; null where members are put in one by one.
    rule jsonb check (jsonb_typeof(rule) = 'object'),
    created_by text not null default nullif(current_setting('ebok.actor', true), ''),
    created_at timestamptz not null default now()
);
create unique index customer_group_name on customers.customer_group (kernel.pl_sort(name) collate "C");

create table customers.group_member (
    in_group bigint not null references customers.customer_group on delete cascade,
    customer bigint not null references kernel.customer on delete cascade,
    added_at timestamptz not null default now(),
    primary key (in_group, customer)
);
create index group_member_customer on customers.group_member (customer);

-- Lists and rules ask for one building.
create index customers_by_building on kernel.customer (lower(building), id);

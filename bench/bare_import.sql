-- The yardstick of bench.imports: the columns, keys and indexes of what an import fills, with nothing that makes a ledger
-- of it: no drafts, no journal, no triggers, no checks, no audit, no seal, nothing that tells a second import what the first did.

drop schema if exists bench cascade;
create schema bench;

create table bench.staged (record text not null, number bigint not null, external_id text not null, data text not null);

create table bench.customer (
    id bigint primary key generated always as identity,
    customer_no text not null unique,
    name text not null,
    street text not null,
    city text not null
);

create table bench.entry (
    account_id bigint not null references bench.customer,
    id bigint not null generated always as identity,
    side text not null,
    kind text not null,
    amount bigint not null,
    open_amount bigint not null default 0,
    issued_on date,
    due_on date,
    value_date date,
    title text not null,
    document_no text not null,
    external_id text not null,
    primary key (account_id, id)
);
create unique index on bench.entry (account_id, side, external_id);
create index on bench.entry (account_id, side, due_on, id) include (open_amount) where open_amount > 0;

create table bench.allocation (
    account_id bigint not null references bench.customer,
    id bigint not null generated always as identity,
    credit bigint not null,
    charge bigint not null,
    amount bigint not null,
    primary key (account_id, id),
    foreign key (account_id, credit) references bench.entry (account_id, id),
    foreign key (account_id, charge) references bench.entry (account_id, id)
);
create index on bench.allocation (account_id, credit);
create index on bench.allocation (account_id, charge);

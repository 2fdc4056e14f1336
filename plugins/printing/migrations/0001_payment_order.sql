-- Orders that were made to be printed or scanned. A row never changes: what was printed stays readable, and a transfer
-- that arrives years later still finds its order by the reference in its title.

create sequence printing.payment_order_number;

create table printing.payment_order (
    id bigint primary key,
    reference text not null unique,
    customer bigint not null references kernel.customer (id) on delete cascade,
    customer_no text not null,
    kind text not null check (kind in ('transfer', 'cash')),
    payee_name text not null,
    payee_address text not null,
    payee_nip text not null,
    payee_account text not null check (payee_account ~ '^[0-9]{26}$'),
    payer_name text not null,
    payer_address text not null,
    amount bigint check (amount > 0),
    title text not null,
    pay_by date,
    made_on date not null,
    made_at timestamptz not null default now(),
    made_by text not null default coalesce(nullif(current_setting('ebok.actor', true), ''), 'system'),
    -- The same order made twice on a day is one order.
    unique nulls not distinct (customer, made_on, payee_account, kind, amount, title)
);

revoke update, delete on printing.payment_order from ebok_app;

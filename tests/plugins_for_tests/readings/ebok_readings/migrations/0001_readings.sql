create table readings.reading (
    id bigserial primary key,
    customer bigint not null references kernel.customer (id),
    taken date not null,
    state numeric(12, 3) not null check (state >= 0),
    sent_at timestamptz not null default now()
);

create index reading_of_customer on readings.reading (customer, taken desc, id desc);

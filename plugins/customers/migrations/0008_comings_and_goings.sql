-- Premises that will pass to somebody on a day to come, and many customers who are closed one after another.

-- --- planned handing over ------------------------------------------------------------------------------------------

-- Nothing of it counts until its day: then a job does what the office would do by hand, in the name of who planned it.
create table customers.planned_handover (
    id bigint generated always as identity primary key,
    premises bigint not null references kernel.service_point on delete cascade,
    customer bigint not null references kernel.customer on delete cascade,
    role text not null check (role in ('owner', 'tenant', 'payer')),
    share numeric(7, 4) check (share > 0 and share <= 100),
    since date not null,
    carry boolean not null,
    state text not null default 'planned' check (state in ('planned', 'done', 'withdrawn')),
    -- Why it could not take effect on its day: {"message": …, "values": {…}}.
    trouble jsonb,
    created_by text not null default coalesce(current_setting('ebok.actor', true), ''),
    created_at timestamptz not null default now()
);
create unique index planned_handover_of_premises on customers.planned_handover (premises) where state = 'planned';
create index planned_handover_customer on customers.planned_handover (customer);
create index planned_handover_since on customers.planned_handover (since) where state = 'planned';

-- --- closing many ---------------------------------------------------------------------------------------------------

create table customers.closing_run (
    id bigint generated always as identity primary key,
    -- The filters of the list that was looked at.
    filters jsonb not null default '{}',
    acknowledged boolean not null,
    state text not null default 'closing' check (state in ('closing', 'closed', 'cancelled')),
    created_by text not null default coalesce(current_setting('ebok.actor', true), ''),
    role text not null default coalesce(current_setting('ebok.role', true), ''),
    created_at timestamptz not null default now(),
    finished_at timestamptz
);
create index closing_run_newest on customers.closing_run (id desc);

create table customers.closing_one (
    run bigint not null references customers.closing_run on delete cascade,
    -- In the order of the list.
    place integer not null,
    customer bigint references kernel.customer on delete cascade,
    outcome text not null default 'waits' check (outcome in ('waits', 'closed', 'left', 'refused')),
    -- Why it was refused: {"message": …, "values": {…}}.
    reason jsonb,
    primary key (run, place)
);
create index closing_one_waits on customers.closing_one (run, place) where outcome = 'waits';
create index closing_one_customer on customers.closing_one (customer);

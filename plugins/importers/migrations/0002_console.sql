-- Imports from the console: profiles kept here, uploaded files, progress, cancelling, and rolling a run back.

alter table importers.run drop constraint run_state_check;
-- queued → reading → waiting → applying → applied → reverting → reverted; superseded, stopped, failed, cancelled: ended.
alter table importers.run add constraint run_state_check check (state in ('queued', 'reading', 'waiting', 'applying',
    'applied', 'reverting', 'reverted', 'superseded', 'stopped', 'failed', 'cancelled'));
alter table importers.run
    add file_name text not null default '',
    -- Who asked for what is being done, and in which role.
    add decided_by text not null default '',
    add decided_role text not null default '',
    add applied_at timestamptz,
    add reverted_at timestamptz,
    -- Rows that people changed since stay as they are when the run is rolled back: how many, and the first of them.
    add kept_count bigint not null default 0,
    add kept jsonb not null default '[]';
update importers.run set applied_at = finished_at where state = 'applied';

create index run_under_way on importers.run (profile, state) where state in ('queued', 'reading', 'applying', 'reverting');

-- A profile made in the console; those of the operator are files.
create table importers.profile (
    id bigint generated always as identity primary key,
    name text not null unique check (name ~ '^[a-z][a-z0-9_-]{0,40}$'),
    title text not null,
    text text not null check (length(text) <= 100000),
    -- A file to look at while the profile is being made.
    sample_name text not null default '',
    sample bytea,
    version integer not null default 1,
    changed_at timestamptz not null default now(),
    changed_by text not null default coalesce(current_setting('ebok.actor', true), '')
);

-- The file of a run, until the run has read it.
create table importers.upload (
    run bigint primary key references importers.run on delete cascade,
    name text not null,
    content bytea not null
);

-- Written beside the run's own transaction, so that others see how far it is, and can ask it to stop.
create table importers.progress (
    run bigint primary key references importers.run on delete cascade,
    phase text not null default '',
    done bigint not null default 0,
    total bigint not null default 0,
    cancel boolean not null default false,
    told_at timestamptz not null default now()
);

-- The keys of all wrong rows of a run; of the rows themselves bad_row keeps the first of each kind.
create unlogged table importers.staged_bad (
    run bigint not null,
    record text not null,
    external_id text
);
create index staged_bad_of_run on importers.staged_bad (run, record);

alter table importers.difference add hash_before bytea;

create or replace function importers.refresh_statistics() returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as
$$
begin
    analyze importers.staged_row;
    analyze importers.staged_bad;
    analyze importers.applied_row;
exception when lock_not_available then
    null;
end
$$;

-- Runs of imports, what each found, and a mirror of what was last applied.

create table importers.run (
    id bigint generated always as identity primary key,
    profile text not null,
    title text not null,
    -- reading → waiting → applied | superseded; stopped: a limit was passed; failed: nothing was kept but this row.
    state text not null default 'reading'
        check (state in ('reading', 'waiting', 'applied', 'superseded', 'stopped', 'failed')),
    approve boolean not null default false,
    -- Per entity: counts, sums in grosze, changed fields.
    report jsonb not null default '[]',
    -- Why it stopped or failed: a message id with its values.
    reason jsonb,
    actor text not null default coalesce(current_setting('ebok.actor', true), ''),
    started_at timestamptz not null default now(),
    finished_at timestamptz
);
create index run_of_profile on importers.run (profile, id);
create index run_applied on importers.run (started_at) where state = 'applied';
create unique index run_waiting on importers.run (profile) where state = 'waiting';

create table importers.applied_row (
    profile text not null,
    record text not null,
    external_id text not null,
    hash bytea not null,
    data jsonb not null,
    grosze bigint not null,
    -- No longer in the source; kept, because a row that comes back continues what was booked for it.
    gone boolean not null default false,
    run bigint not null references importers.run,
    primary key (profile, record, external_id)
);

-- Filled by COPY and emptied within one transaction: nothing of it is worth a log.
create unlogged table importers.staged_row (
    run bigint not null,
    record text not null,
    number bigint not null,
    external_id text not null,
    hash bytea not null,
    data text not null,
    grosze bigint not null
);
create index staged_row_of_run on importers.staged_row (run, record);

create table importers.difference (
    id bigint generated always as identity primary key,
    run bigint not null references importers.run on delete cascade,
    record text not null,
    change text not null check (change in ('new', 'changed', 'missing')),
    external_id text not null,
    before jsonb,
    after jsonb,
    hash bytea,
    grosze_before bigint,
    grosze_after bigint
);
create index difference_of_run on importers.difference (run, record, id);
create index difference_of_change on importers.difference (run, change, id);

create table importers.bad_row (
    id bigint generated always as identity primary key,
    run bigint not null references importers.run on delete cascade,
    record text not null,
    -- The row's place in the source, from 1.
    number bigint not null,
    external_id text,
    reasons jsonb not null
);
create index bad_row_of_run on importers.bad_row (run, record, external_id);

-- Fresh statistics for the diff's joins; ANALYZE belongs to the owner of the tables. Whoever holds the tables
-- (another import, autovacuum) has them analysed anyway, so nobody waits.
create function importers.refresh_statistics() returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as
$$
begin
    analyze importers.staged_row;
    analyze importers.applied_row;
exception when lock_not_available then
    null;
end
$$;
revoke all on function importers.refresh_statistics() from public;

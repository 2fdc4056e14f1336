-- Tombstones: what a superadministrator deleted of what was approved. The numbers stay taken, the rows are never changed.
--
-- The words are those of the audit verb with the same facts. Only kernel.bury() writes here, and only in the announced
-- mode, so that nothing approved goes without a trace, whoever wrote the statement.

create table kernel.tombstone (
    id bigint generated always as identity primary key,
    verb text not null check (verb <> ''),
    -- «account 7»: what it was, as in the history.
    subject text not null default '',
    -- The number that people know it by; it is not given again.
    number text not null default '' check (length(number) <= 200),
    customer bigint,
    customer_no text not null default '',
    facts jsonb not null default '{}',
    reason text not null constraint tombstone_reason check (length(btrim(reason)) between 3 and 500),
    deleted_by text not null default coalesce(current_setting('ebok.actor', true), ''),
    deleted_at timestamptz not null default now()
);
comment on column kernel.tombstone.customer is 'an id of kernel.customer; kept when that customer is gone, so no foreign key';
create index tombstone_customer on kernel.tombstone (customer, id desc) where customer is not null;
create index tombstone_verb on kernel.tombstone (verb, id desc);
create index tombstone_number on kernel.tombstone (number, id desc);

create trigger tombstone_only_grows before update or delete or truncate on kernel.tombstone
    execute function kernel.refuse_change();
revoke insert, update, delete, truncate on kernel.tombstone from ebok_app;

-- Refuses with EB001 whoever is not a superadministrator in the announced mode.
create function kernel.only_in_mode(what text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp as
$$
begin
    if coalesce(current_setting('ebok.mode', true), '') <> 'superadmin'
       or coalesce(current_setting('ebok.actor', true), '') = ''
       or coalesce(current_setting('ebok.role', true), '') not in ('', 'superadmin') then
        raise exception '% is protected: only the superadministrator, in the announced mode, may delete it', what
            using errcode = 'EB001', schema = 'kernel', table = 'tombstone';
    end if;
end
$$;

create function kernel.bury(verb text, subject text, number text, customer bigint, reason text, facts jsonb)
    returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    made bigint;
begin
    perform kernel.only_in_mode(bury.subject);
    insert into kernel.tombstone (verb, subject, number, customer, customer_no, reason, facts)
    values (bury.verb, bury.subject, bury.number, bury.customer,
        coalesce((select c.customer_no from kernel.customer c where c.id = bury.customer), ''), btrim(bury.reason),
        bury.facts || jsonb_build_object('reason', btrim(bury.reason)))
    returning id into made;
    return made;
end
$$;
revoke execute on function kernel.bury from public;

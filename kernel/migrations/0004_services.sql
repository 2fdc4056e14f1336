-- Protection of approved rows. A plugin attaches it to a table with a column «state» (draft, approved, voided):
--
--   create trigger protect_approved before insert or update or delete on payments.entry
--       for each row execute function kernel.protect_approved('open_amount');
--
-- The arguments name columns that may change on an approved row. It refuses with SQLSTATE EB001, whoever asks:
--   * any change of an approved or voided row while no actor is set, and approving without an actor;
--   * a change of any other column, except approved → voided (with voided_by, voided_at and void_reason together) by an
--     actor in superadmin mode;
--   * deleting an approved or voided row.
-- On a table whose allowed column is written in bulk, «before update of <the other columns>» spares those updates the check.
create function kernel.protect_approved() returns trigger
    language plpgsql as
$$
declare
    has_actor constant boolean := coalesce(current_setting('ebok.actor', true), '') <> '';
    frozen text;
begin
    if tg_op = 'DELETE' then
        if old.state not in ('approved', 'voided') then
            return old;
        end if;
        frozen := 'it cannot be deleted';
    elsif tg_op = 'INSERT' or old.state not in ('approved', 'voided') then
        if new.state not in ('approved', 'voided') then
            return new;
        elsif not has_actor then
            frozen := 'approving needs an actor';
        elsif new.state = 'voided' then
            frozen := 'only an approved row can be voided';
        else
            return new;
        end if;
    elsif not has_actor then
        frozen := 'no actor is set';
    elsif new is not distinct from old then
        return new;
    elsif old.state = 'approved' and new.state = 'voided' then
        if coalesce(current_setting('ebok.mode', true), '') <> 'superadmin' then
            frozen := 'only the superadministrator, in the announced mode, may void it';
        elsif new.voided_by is null or new.voided_at is null or coalesce(new.void_reason, '') = '' then
            frozen := 'voiding needs who, when and why';
        elsif to_jsonb(new) - tg_argv - '{state,voided_by,voided_at,void_reason}'::text[]
              <> to_jsonb(old) - tg_argv - '{state,voided_by,voided_at,void_reason}'::text[] then
            frozen := 'voiding changes nothing else';
        else
            return new;
        end if;
    elsif to_jsonb(new) - tg_argv = to_jsonb(old) - tg_argv then
        return new;
    else
        frozen := 'it never changes';
    end if;
    raise exception '%.% is protected: %', tg_table_schema, tg_table_name, frozen
        using errcode = 'EB001', schema = tg_table_schema, table = tg_table_name;
end
$$;

-- The history: who did what, when. Rows are added and read; nobody changes or removes one.
create table kernel.audit_log (
    id bigserial primary key,
    happened_at timestamptz not null default now(),
    verb text not null,
    actor text not null default coalesce(current_setting('ebok.actor', true), ''),
    role text not null default coalesce(current_setting('ebok.role', true), ''),
    mode text not null default coalesce(current_setting('ebok.mode', true), ''),
    request text not null default coalesce(current_setting('ebok.request', true), ''),
    customer bigint,
    subject text not null default '',
    facts jsonb not null default '{}'
);
comment on column kernel.audit_log.actor is 'a user''s id, a name of the product''s own, or empty for a visitor';
comment on column kernel.audit_log.customer is 'an id of kernel.customer; kept when that customer is gone, so no foreign key';
create index audit_log_customer on kernel.audit_log (customer, id desc) where customer is not null;
create index audit_log_verb on kernel.audit_log (verb, id desc);
create index audit_log_actor on kernel.audit_log (actor, id desc);
create index audit_log_happened on kernel.audit_log (happened_at);

create function kernel.refuse_change() returns trigger
    language plpgsql as
$$
begin
    raise exception '%.% only grows: % is refused', tg_table_schema, tg_table_name, lower(tg_op)
        using errcode = 'EB002', schema = tg_table_schema, table = tg_table_name;
end
$$;
create trigger audit_log_only_grows before update or delete or truncate on kernel.audit_log
    execute function kernel.refuse_change();
revoke update, delete, truncate on kernel.audit_log from ebok_app;

-- One row per form or API call that changed something, with its answer, so that sending it twice does it once.
create table kernel.idempotency_key (
    actor text not null,
    key text not null check (length(key) between 1 and 255),
    route text not null,
    request_hash bytea not null,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamptz not null default now(),
    primary key (actor, key)
);
create index idempotency_key_created on kernel.idempotency_key (created_at);

-- What an organisation set in the console; a plugin without a row has its defaults.
create table kernel.setting (
    plugin text primary key,
    value jsonb not null,
    updated_at timestamptz not null default now(),
    updated_by text not null default coalesce(current_setting('ebok.actor', true), '')
);

-- When each scheduled job is next due; whichever worker moves the row enqueues the job.
create table kernel.job_schedule (
    kind text primary key,
    next_run timestamptz not null
);

-- The outbox and its log. The composed message is kept only until it is sent: it may hold one-time links.
create table kernel.mail_log (
    id bigserial primary key,
    recipient text not null,
    subject text not null,
    state text not null default 'queued' check (state in ('queued', 'sent', 'failed')),
    attempts integer not null default 0,
    last_error text not null default '',
    message bytea,
    created_at timestamptz not null default now(),
    sent_at timestamptz
);
create index mail_log_state on kernel.mail_log (state, id desc);

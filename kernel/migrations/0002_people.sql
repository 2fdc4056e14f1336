-- People: who may log in, whom the organisation bills, where, and which login may see whom.

create table kernel.users (
    id bigint generated always as identity primary key,
    -- Stored case-folded (people.model.fold_login), so that plain uniqueness is enough in every locale.
    login text not null unique check (login <> '' and length(login) <= 200),
    name text not null default '',
    email text not null default '',
    role text not null check (role in ('customer', 'admin', 'superadmin')),
    language text not null default 'pl' check (language in ('pl', 'en')),
    state text not null default 'active' check (state in ('active', 'disabled')),
    -- Empty: nobody can log in with a password.
    password_hash text not null default '',
    password_changed_at timestamptz,
    must_change_password boolean not null default false,
    -- A starter password is good until then.
    starter_until timestamptz,
    totp_secret text,
    -- The last thirty-second step whose code was used: a code opens the door once.
    totp_last_step bigint not null default 0,
    created_at timestamptz not null default now()
);

create index users_by_name on kernel.users (kernel.pl_sort(name) collate "C", id);
create index users_superadmins on kernel.users (id) where role = 'superadmin' and state = 'active';

create function kernel.keep_last_superadmin() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and new.role = 'superadmin' and new.state = 'active' then
        return new;
    end if;
    -- One after another: two superadministrators cannot remove each other at the same moment.
    perform pg_advisory_xact_lock(hashtextextended('kernel.keep_last_superadmin', 0));
    if not exists (
        select from kernel.users where role = 'superadmin' and state = 'active' and id <> old.id
    ) then
        raise exception 'the last superadministrator cannot be disabled, removed or given another role'
            using errcode = 'check_violation', constraint = 'users_last_superadmin', schema = 'kernel', table = 'users';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end
$$;

create trigger keep_last_superadmin before update of role, state or delete on kernel.users
    for each row when (old.role = 'superadmin' and old.state = 'active')
    execute function kernel.keep_last_superadmin();

create table kernel.customer (
    id bigint generated always as identity primary key,
    -- The organisation's own number.
    customer_no text not null unique check (customer_no <> ''),
    kind text not null default 'person' check (kind in ('person', 'company')),
    consumer boolean not null default true,
    name text not null check (name <> ''),
    given_name text not null default '',
    family_name text not null default '',
    nip text not null default '',
    email text not null default '',
    phone text not null default '',
    street text not null default '',
    building text not null default '',
    flat text not null default '',
    postal_code text not null default '',
    city text not null default '',
    country text not null default 'PL',
    status text not null default 'active' check (status in ('active', 'closed', 'deceased')),
    -- The import profile and the key there; both or none.
    source text,
    external_id text,
    created_at timestamptz not null default now(),
    unique (source, external_id),
    check ((source is null) = (external_id is null))
);

create index customer_by_name on kernel.customer (kernel.pl_sort(name) collate "C", id);

create table kernel.service_point (
    id bigint generated always as identity primary key,
    customer bigint not null references kernel.customer on delete cascade,
    code text not null default '',
    kind text not null default '',
    street text not null default '',
    building text not null default '',
    flat text not null default '',
    postal_code text not null default '',
    city text not null default '',
    unit text not null default '',
    source text,
    external_id text,
    created_at timestamptz not null default now(),
    unique (source, external_id),
    check ((source is null) = (external_id is null))
);

create unique index service_point_code on kernel.service_point (code) where code <> '';
create index service_point_customer on kernel.service_point (customer);

create table kernel.access_grant (
    id bigint generated always as identity primary key,
    user_id bigint not null references kernel.users on delete cascade,
    customer bigint not null references kernel.customer on delete cascade,
    scope text not null default 'manage' check (scope in ('view', 'pay', 'act', 'manage')),
    kind text not null default 'owner' check (kind in ('owner', 'delegate')),
    -- From the first instant until just before the second; null on either side is without end.
    valid_from timestamptz,
    valid_to timestamptz,
    granted_by bigint references kernel.users on delete set null,
    created_at timestamptz not null default now(),
    unique (user_id, customer),
    check (valid_to > valid_from)
);

create index access_grant_customer on kernel.access_grant (customer);

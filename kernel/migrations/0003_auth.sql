-- Login: sessions, known devices, limits of attempts, one-time links and codes. Every secret that a browser or a mail carries
-- lies here as its SHA-256 only; they are random and long, so no slow hash is needed.

create table kernel.session (
    id bigint generated always as identity primary key,
    token_hash bytea not null unique,
    user_id bigint not null references kernel.users on delete cascade,
    -- The password was right, the second factor is still missing: such a session opens nothing.
    awaits_code boolean not null default false,
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    idle interval not null,
    expires_at timestamptz not null,
    -- When the password was last typed.
    proved_at timestamptz not null,
    customer bigint references kernel.customer on delete set null,
    superadmin_until timestamptz,
    -- A second factor on trial, until its first code proves that the person has it.
    totp_secret text,
    address text not null default '',
    device text not null default ''
);

create index session_of_user on kernel.session (user_id);
create index session_customer on kernel.session (customer) where customer is not null;
create index session_expires on kernel.session (expires_at);

-- Whatever disables a user or changes a role, a page or a hand in psql, ends the sessions.
create function kernel.end_sessions_of_changed_user() returns trigger language plpgsql as $$
begin
    delete from kernel.session where user_id = new.id;
    return null;
end
$$;

create trigger end_sessions after update of role, state on kernel.users
    for each row when (old.role <> new.role or (new.state <> 'active' and old.state <> new.state))
    execute function kernel.end_sessions_of_changed_user();

-- One browser may be known to several users of a household.
create table kernel.known_device (
    token_hash bytea not null,
    user_id bigint not null references kernel.users on delete cascade,
    last_used_at timestamptz not null,
    primary key (token_hash, user_id)
);

create index known_device_user on kernel.known_device (user_id, last_used_at);
create index known_device_last_used on kernel.known_device (last_used_at);

create table kernel.throttle (
    scope text not null,
    key text not null,
    attempts integer not null,
    free_at timestamptz not null,
    last_at timestamptz not null,
    primary key (scope, key)
);

create index throttle_last on kernel.throttle (last_at);

create table kernel.reset_link (
    token_hash bytea primary key,
    user_id bigint not null references kernel.users on delete cascade,
    expires_at timestamptz not null
);

create index reset_link_user on kernel.reset_link (user_id);

create table kernel.recovery_code (
    user_id bigint not null references kernel.users on delete cascade,
    code_hash bytea not null,
    primary key (user_id, code_hash)
);

-- What lets programs use the API in somebody's name. A token is long and random, so no slow hash is needed; it is shown
-- once and lies here as its SHA-256 only.
create table kernel.api_token (
    id bigint generated always as identity primary key,
    token_hash bytea not null unique,
    user_id bigint not null references kernel.users on delete cascade,
    name text not null check (length(name) between 1 and 80),
    -- Names of permissions; what its owner may not (any more) is not given by them.
    scopes text[] not null check (cardinality(scopes) > 0),
    created_at timestamptz not null,
    -- Empty: never.
    expires_at timestamptz check (expires_at > created_at),
    warned_at timestamptz,
    -- Written once in some minutes, not with every call.
    last_used_at timestamptz,
    last_used_from text not null default '',
    revoked_at timestamptz,
    -- A user's id; kept when that user is gone.
    revoked_by bigint,
    constraint api_token_revoked check ((revoked_at is null) = (revoked_by is null))
);

-- Two of one name could not be told apart; it also makes a form that was sent twice make one token.
create unique index api_token_name on kernel.api_token (user_id, lower(name)) where revoked_at is null;
create index api_token_user on kernel.api_token (user_id, id desc);
create index api_token_expires on kernel.api_token (expires_at) where revoked_at is null and warned_at is null;

-- Lists remember how each person left them: filters and order, columns, density; and a filtered list may be kept under
-- a name, for oneself or for the whole office.
create table kernel.list_view (
    id bigint generated always as identity primary key,
    owner bigint not null references kernel.users on delete cascade,
    -- The address of the list, its parameters by name: /admin/accounts/{account}.
    list text not null check (list <> '' and length(list) <= 100),
    name text not null check (name <> '' and length(name) <= 60),
    -- What the list's address says after «?».
    query text not null check (length(query) <= 4000),
    hidden text[] not null default '{}' check (cardinality(hidden) <= 100),
    is_shared boolean not null default false,
    created_at timestamptz not null default now(),
    unique (owner, list, name)
);
create index list_view_shared on kernel.list_view (list, id) where is_shared;

create table kernel.list_memory (
    user_id bigint not null references kernel.users on delete cascade,
    list text not null check (list <> '' and length(list) <= 100),
    query text not null default '' check (length(query) <= 4000),
    hidden text[] not null default '{}' check (cardinality(hidden) <= 100),
    is_dense boolean not null default false,
    -- Opened where nothing is asked for.
    opens bigint references kernel.list_view on delete set null,
    primary key (user_id, list)
);
create index list_memory_opens on kernel.list_memory (opens) where opens is not null;

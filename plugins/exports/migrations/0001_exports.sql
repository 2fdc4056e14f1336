-- Files that the office had made, kept for some days, and the work of the complete export and of taking one in.

create table exports.made (
    id bigint generated always as identity primary key,
    -- The export's name (payments.entries), or «complete».
    what text not null,
    format text not null check (format in ('xlsx', 'csv-excel', 'csv', 'json', 'archive')),
    -- What it was narrowed by: filter → text, a day as YYYY-MM-DD.
    filters jsonb not null default '{}',
    with_secrets boolean not null default false,
    state text not null default 'waiting' check (state in ('waiting', 'running', 'ready', 'failed', 'cancelled')),
    -- Counts the attempts of the work: a worker that was thought dead notices that another one has taken over.
    attempt integer not null default 0,
    rows_done bigint not null default 0,
    rows_total bigint,
    bytes bigint not null default 0,
    filename text not null default '',
    made_by bigint references kernel.users on delete set null,
    made_by_name text not null,
    made_at timestamptz not null default now(),
    finished_at timestamptz,
    kept_until timestamptz not null,
    check ((what = 'complete') = (format = 'archive'))
);
create index made_kept_until on exports.made (kept_until);

-- The file itself, in pieces: every web process reaches it, none has to hold it whole.
create table exports.piece (
    made bigint not null references exports.made on delete cascade,
    place integer not null,
    content bytea not null,
    primary key (made, place)
);
alter table exports.piece alter column content set storage external;

-- --- the complete export: tables as lines of JSON ------------------------------------------------------------------
-- Tables are named as text, «payments.entry». What a name stands for is looked up, so nothing in it is ever run.

-- The tables of these schemas with the columns that can be written, and those of their primary keys.
create function exports.tables(schemas text[]) returns table (name text, columns text[], keys text[])
    language sql stable set search_path = pg_catalog, pg_temp as
$$
    select n.nspname || '.' || t.relname,
           (select array_agg(a.attname::text order by a.attnum) from pg_attribute a
            where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''),
           coalesce((select array_agg(a.attname::text order by array_position(i.indkey::smallint[], a.attnum))
            from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
            where i.indrelid = t.oid and i.indisprimary), '{}')
    from pg_class t join pg_namespace n on n.oid = t.relnamespace
    where t.relkind in ('r', 'p') and not t.relispartition and n.nspname = any (schemas)
    order by 1
$$;

create function exports.columns_of(columns text[]) returns text
    language sql immutable set search_path = pg_catalog, pg_temp
    return (select string_agg(format('%I', name), ', ' order by place)
            from unnest(columns) with ordinality as listed (name, place));

-- Open the cursor «exports_rows» over a table in the order of its key: one row of JSON a line.
create function exports.open_rows(wanted text, columns text[], keys text[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    rows refcursor := 'exports_rows';
begin
    open rows for execute format('select row_to_json("whole row")::text as line from (select %s from %s%s) "whole row"',
        exports.columns_of(columns), wanted::regclass, coalesce(' order by ' || exports.columns_of(keys), ''));
end
$$;

-- How many rows a table has, and the sums of some of its columns.
create function exports.totals(wanted text, columns text[]) returns jsonb
    language plpgsql stable set search_path = pg_catalog, pg_temp as
$$
declare
    found jsonb;
begin
    execute format('select jsonb_build_object(''rows'', count(*)%s) from %s', coalesce((
        select string_agg(format(', %L, coalesce(sum(%I), 0)', name, name), '') from unnest(columns) as listed (name)
    ), ''), wanted::regclass) into found;
    return found;
end
$$;

-- Sequences with their last number; null where none was taken yet.
create function exports.sequences(schemas text[]) returns table (name text, last_number bigint)
    language sql stable set search_path = pg_catalog, pg_temp as
$$
    select schemaname || '.' || sequencename, last_value from pg_sequences where schemaname = any (schemas) order by 1
$$;

-- Those of these tables that have a row.
create function exports.filled(wanted text[]) returns text[]
    language plpgsql stable set search_path = pg_catalog, pg_temp as
$$
declare
    one text;
    has_row boolean;
    found text[] := '{}';
begin
    foreach one in array wanted loop
        execute format('select exists (select from %s)', one::regclass) into has_row;
        if has_row then
            found := found || one;
        end if;
    end loop;
    return found;
end
$$;

-- --- taking one in: the owner's work, in one transaction -----------------------------------------------------------
-- What is written is a copy, row for row, of what another organisation's triggers let in. So they rest, references are
-- checked at the end at one stroke, and the proofs of «ebok verify» are run before anything is committed.

-- Put triggers to rest, and take references away; returned is what «tighten» puts back.
create function exports.loosen(wanted text[]) returns table (home text, name text, definition text)
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    return query
        select n.nspname || '.' || t.relname, c.conname::text, pg_get_constraintdef(c.oid)
        from pg_constraint c join pg_class t on t.oid = c.conrelid join pg_namespace n on n.oid = t.relnamespace
        where c.contype = 'f' and c.conparentid = 0 and n.nspname || '.' || t.relname = any (wanted);
    for home, name in
        select n.nspname || '.' || t.relname, c.conname::text
        from pg_constraint c join pg_class t on t.oid = c.conrelid join pg_namespace n on n.oid = t.relnamespace
        where c.contype = 'f' and c.conparentid = 0 and n.nspname || '.' || t.relname = any (wanted)
    loop
        execute format('alter table %s drop constraint %I', home::regclass, name);
    end loop;
    foreach home in array wanted loop
        execute format('alter table %s disable trigger user', home::regclass);
    end loop;
end
$$;

create function exports.empty(wanted text[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    one text;
begin
    foreach one in array wanted loop
        execute format('delete from %s', one::regclass);
    end loop;
end
$$;

-- Write rows, a JSON array of objects, as they are; returns how many.
create function exports.take_rows(wanted text, columns text[], rows text) returns bigint
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    written bigint;
begin
    execute format('insert into %1$s (%2$s) overriding system value select %2$s from json_populate_recordset(null::%1$s, $1)',
        wanted::regclass, exports.columns_of(columns)) using rows::json;
    get diagnostics written = row_count;
    return written;
end
$$;

create function exports.tighten(wanted text[], homes text[], names text[], definitions text[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    one text;
begin
    foreach one in array wanted loop
        execute format('analyze %s', one::regclass);
    end loop;
    for place in 1 .. coalesce(array_length(homes, 1), 0) loop
        execute format('alter table %s add constraint %I %s', homes[place]::regclass, names[place], definitions[place]);
    end loop;
    foreach one in array wanted loop
        execute format('alter table %s enable trigger user', one::regclass);
    end loop;
end
$$;

-- Let numbers go on after these; null: from the start.
create function exports.count_on(names text[], last_numbers bigint[]) returns void
    language sql set search_path = pg_catalog, pg_temp as
$$
    select case when last is null then setval(name::regclass, s.seqstart, false) else setval(name::regclass, last) end
    from unnest(names, last_numbers) as told (name, last) join pg_sequence s on s.seqrelid = told.name::regclass
$$;

revoke execute on all functions in schema exports from public;
revoke execute on function exports.loosen, exports.empty, exports.take_rows, exports.tighten, exports.count_on
    from ebok_app;

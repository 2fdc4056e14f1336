-- The history of the register: every change of a customer's or a premises' data, whoever writes it.

-- Who changed what, old and new: {"email": ["old@example.org", "new@example.org"]}. Written by the triggers below, so
-- no way of writing goes past it; the application can neither add a row nor alter one.
create table customers.change (
    id bigint generated always as identity primary key,
    customer bigint references kernel.customer on delete cascade,
    premises bigint references kernel.service_point on delete cascade,
    happened_at timestamptz not null default now(),
    actor text not null default coalesce(current_setting('ebok.actor', true), ''),
    role text not null default coalesce(current_setting('ebok.role', true), ''),
    fields jsonb not null,
    check (num_nonnulls(customer, premises) = 1)
);
create index change_of_customer on customers.change (customer, id desc) where customer is not null;
create index change_of_premises on customers.change (premises, id desc) where premises is not null;

-- What became different between two rows of one table, by column.
create function customers.difference(before jsonb, after jsonb) returns jsonb
    language sql immutable strict parallel safe
return (
    select jsonb_object_agg(b.key, jsonb_build_array(b.value, a.value))
    from jsonb_each(before) b join jsonb_each(after) a using (key)
    where b.key not in ('id', 'source', 'external_id', 'created_at', 'customer') and a.value is distinct from b.value
);

create function customers.note_change() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    fields constant jsonb := customers.difference(to_jsonb(old), to_jsonb(new));
begin
    if tg_table_name = 'customer' then
        insert into customers.change (customer, fields) select new.id, fields where fields is not null;
    else
        insert into customers.change (premises, fields) select new.id, fields where fields is not null;
    end if;
    return null;
end
$$;
create trigger customers_note_change after update on kernel.customer
    for each row when (old.* is distinct from new.*) execute function customers.note_change();
create trigger customers_note_change after update on kernel.service_point
    for each row when (old.* is distinct from new.*) execute function customers.note_change();

revoke insert, update, delete, truncate on customers.change from ebok_app;
revoke execute on all functions in schema customers from public;
revoke execute on function customers.note_change from ebok_app;

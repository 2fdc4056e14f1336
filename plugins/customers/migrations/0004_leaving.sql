-- How customers leave: deaths, what a superadministrator removed for good, and numbers that are kept apart.

-- --- deaths --------------------------------------------------------------------------------------------------------

-- A death recorded, and what ended with it, so that a mistake can be taken back.
create table customers.death (
    id bigint generated always as identity primary key,
    customer bigint not null references kernel.customer on delete cascade,
    died_on date,
    heirs text not null default '' check (length(heirs) <= 2000),
    status_before text not null,
    -- Grants that ended: [[user, "valid_to before" or null], …]; users who were disabled.
    grants jsonb not null default '[]',
    disabled bigint[] not null default '{}',
    recorded_by text not null default coalesce(current_setting('ebok.actor', true), ''),
    recorded_at timestamptz not null default now(),
    revoked_by text,
    revoked_at timestamptz,
    reason text not null default '',
    check ((revoked_at is null) = (reason = ''))
);
create unique index death_that_stands on customers.death (customer) where revoked_at is null;

-- --- numbers that only an office needs ------------------------------------------------------------------------------

-- PESEL for a statement of claim, REGON, and the account for refunds: beside the register, so that no list, export,
-- search or page of another plugin reads them by chance.
create table customers.identity (
    customer bigint primary key references kernel.customer on delete cascade,
    pesel text not null default '' check (pesel ~ '^([0-9]{11})?$'),
    regon text not null default '' check (regon ~ '^([0-9]{9}|[0-9]{14})?$'),
    refund_account text not null default '' check (refund_account ~ '^([0-9]{26})?$')
);

-- --- removal by the superadministrator ------------------------------------------------------------------------------

-- What a superadministrator removed although something approved hangs on it: the row stays for the entries, its
-- personal data are gone.
create table customers.tombstone (
    id bigint generated always as identity primary key,
    customer bigint unique references kernel.customer,
    premises bigint unique references kernel.service_point,
    reason text not null check (reason <> '' and length(reason) <= 500),
    removed_by text not null default coalesce(current_setting('ebok.actor', true), ''),
    removed_at timestamptz not null default now(),
    check (num_nonnulls(customer, premises) = 1)
);

create function customers.only_in_mode(entity text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    if coalesce(current_setting('ebok.mode', true), '') <> 'superadmin'
       or coalesce(current_setting('ebok.actor', true), '') = '' then
        raise exception 'customers.% is protected: only the superadministrator, in the announced mode, may remove it', entity
            using errcode = 'EB001', schema = 'customers', table = entity;
    end if;
end
$$;

-- The personal data of a customer who is not active: register, its history, numbers, logins that saw nobody else. The
-- number, the entries and their amounts stay. ``label`` is what stands in the place of the name.
create function customers.purge_customer(customer bigint, reason text, label text) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    only_here bigint[];
begin
    perform customers.only_in_mode('customer');
    if not exists (
        select from kernel.customer c where c.id = purge_customer.customer and c.status <> 'active' for update
    ) or exists (select from customers.tombstone t where t.customer = purge_customer.customer) then
        return false;
    end if;
    select coalesce(array_agg(g.user_id), '{}') into only_here
    from kernel.access_grant g join kernel.users u on u.id = g.user_id and u.role = 'customer'
    where g.customer = purge_customer.customer
      and not exists (select from kernel.access_grant o where o.user_id = g.user_id and o.customer <> g.customer);
    delete from kernel.access_grant g where g.customer = purge_customer.customer;
    delete from kernel.invitation i where i.customer = purge_customer.customer or i.user_id = any (only_here);
    delete from kernel.users u where u.id = any (only_here);
    delete from customers.identity i where i.customer = purge_customer.customer;
    delete from customers.death d where d.customer = purge_customer.customer;
    update customers.tenure t set until = greatest(current_date, t.since)
    where t.customer = purge_customer.customer and (t.until is null or t.until > current_date);
    update kernel.service_point p set customer = null where p.customer = purge_customer.customer;
    update kernel.customer c
    set name = purge_customer.label, given_name = '', family_name = '', nip = '', email = '', phone = '', street = '',
        building = '', flat = '', postal_code = '', city = '', status = 'closed'
    where c.id = purge_customer.customer;
    delete from customers.change h where h.customer = purge_customer.customer;
    insert into customers.tombstone (customer, reason) values (purge_customer.customer, purge_customer.reason);
    return true;
end
$$;

create function customers.purge_premises(premises bigint, reason text) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    perform customers.only_in_mode('premises');
    if not exists (select from kernel.service_point p where p.id = purge_premises.premises for update)
       or exists (select from customers.tombstone t where t.premises = purge_premises.premises) then
        return false;
    end if;
    delete from customers.tenure t where t.premises = purge_premises.premises;
    update kernel.service_point p
    set customer = null, code = '', kind = '', street = '', building = '', flat = '', postal_code = '', city = '',
        unit = ''
    where p.id = purge_premises.premises;
    delete from customers.change h where h.premises = purge_premises.premises;
    insert into customers.tombstone (premises, reason) values (purge_premises.premises, purge_premises.reason);
    return true;
end
$$;

-- What was removed does not come back by an update, whoever writes it.
create function customers.keep_removed() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    if tg_table_name = 'customer' and exists (select from customers.tombstone t where t.customer = old.id)
       or tg_table_name = 'service_point' and exists (select from customers.tombstone t where t.premises = old.id) then
        raise exception '%.% is protected: it was removed', tg_table_schema, tg_table_name
            using errcode = 'EB001', schema = tg_table_schema, table = tg_table_name;
    end if;
    return new;
end
$$;
create trigger customers_keep_removed before update on kernel.customer
    for each row when (old.* is distinct from new.*) execute function customers.keep_removed();
create trigger customers_keep_removed before update on kernel.service_point
    for each row when (old.* is distinct from new.*) execute function customers.keep_removed();

-- --- lists ---------------------------------------------------------------------------------------------------------

create index customers_by_nip on kernel.customer (nip) where nip <> '';
create index customers_by_email on kernel.customer (lower(email)) where email <> '';
create index customers_by_kind on kernel.customer
    (kind, customers.sorting(name, given_name, family_name) collate "C", id);

revoke insert, update, delete, truncate on customers.tombstone from ebok_app;
revoke execute on all functions in schema customers from public;
revoke execute on function customers.keep_removed, customers.only_in_mode from ebok_app;

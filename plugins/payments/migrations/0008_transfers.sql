-- Amounts that go from one account to another, as a pair of entries: both count, or none of them does.

create sequence payments.transfer_id;
create table payments.transfer (
    id bigint not null default nextval('payments.transfer_id'),
    -- «transfer»: a credit or a debt goes elsewhere. «moved»: a payment was booked on a wrong account; «from» is its
    -- reversal there, «to» the payment on the right one.
    kind text not null check (kind in ('transfer', 'moved')),
    from_account bigint not null,
    from_entry bigint not null,
    to_account bigint not null,
    to_entry bigint not null,
    amount bigint not null check (amount between 1 and 1000000000000),
    -- The office's own words: they may name the other customer, so no customer ever reads them.
    reason text not null check (length(reason) between 1 and 500),
    created_by text not null default current_setting('ebok.actor', true),
    created_at timestamptz not null default now(),
    primary key (from_account, id),
    unique (from_account, from_entry),
    unique (to_account, to_entry),
    foreign key (from_account, from_entry) references payments.entry (account_id, id) on delete cascade,
    foreign key (to_account, to_entry) references payments.entry (account_id, id) on delete cascade,
    constraint transfer_to_itself check (from_account <> to_account)
);

-- The title that a customer may read. What a payer wrote on a payment that was moved away is about somebody else.
create function payments.shown_title(e payments.entry) returns text
    language sql stable
return case when (e.side = 'credit' or e.kind = 'reversal') and exists (
    select from payments.transfer t join payments.entry r on r.account_id = t.from_account and r.id = t.from_entry
    where t.from_account = e.account_id and t.kind = 'moved' and e.id in (r.id, r.reverses)
) then '' else e.title end;

-- A draft of a pair takes the other one with it.
create function payments.delete_counterpart() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    delete from payments.entry e
    where e.state = 'draft' and (e.account_id, e.id) in (
        (old.from_account, old.from_entry), (old.to_account, old.to_entry));
    return null;
end
$$;
create trigger delete_counterpart after delete on payments.transfer
    for each row execute function payments.delete_counterpart();

-- At the end of a transaction the two halves of a pair stand alike: approved, voided and (a transfer) reversed together.
create function payments.check_transfer() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    number constant bigint := coalesce(new.reverses, new.id);
begin
    if exists (
        select from (
            select t.* from payments.transfer t where t.from_account = new.account_id and t.from_entry = number
            union all
            select t.* from payments.transfer t where t.to_account = new.account_id and t.to_entry = number
            union all
            select t.* from payments.transfer t where t.from_account = new.account_id and t.from_entry = new.id
        ) t
        join payments.entry f on f.account_id = t.from_account and f.id = t.from_entry
        join payments.entry g on g.account_id = t.to_account and g.id = t.to_entry
        where f.state <> g.state or t.kind = 'transfer' and exists (
            select from payments.entry r
            where r.account_id = f.account_id and r.reverses = f.id and r.state = 'approved'
        ) <> exists (
            select from payments.entry r
            where r.account_id = g.account_id and r.reverses = g.id and r.state = 'approved'
        )
    ) then
        raise exception 'half a transfer'
            using errcode = 'EB003', constraint = 'transfer_halved', schema = 'payments', table = 'transfer';
    end if;
    return null;
end
$$;
create constraint trigger check_transfer after update of state on payments.entry
    deferrable initially deferred
    for each row when (new.kind in ('transfer', 'reversal') and new.state <> old.state)
    execute function payments.check_transfer();

-- What drafts must keep to when they are approved, with the balance rows held: a transfer of credit takes no more than is
-- free; what gives a debt up (a remission, a write-off, a transfer of debt) no more than is open of the charge it names.
-- Otherwise a debt or a credit would appear that nobody decided on.
create function payments.check_drafts(accounts bigint[], entries bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    perform payments.hold(accounts);
    if exists (
        select from (
            select e.account_id, sum(e.amount) as amount
            from (select distinct * from unnest(accounts, entries)) named (account_id, id)
            join payments.entry e using (account_id, id)
            join payments.transfer t on t.from_account = e.account_id and t.from_entry = e.id
            where e.state = 'draft' and e.side = 'charge' and e.kind = 'transfer'
            group by e.account_id
        ) paid_out
        where paid_out.amount > (
            select coalesce(sum(c.open_amount), 0) from payments.entry c
            where c.account_id = paid_out.account_id and c.side = 'credit' and c.open_amount > 0)
    ) then
        raise exception 'more than is free'
            using errcode = 'EB003', constraint = 'beyond_credit', schema = 'payments', table = 'entry';
    end if;
    if exists (
        select from (
            select e.account_id, d.charge, sum(e.amount) as amount
            from (select distinct * from unnest(accounts, entries)) named (account_id, id)
            join payments.entry e using (account_id, id)
            join payments.designation d on d.account_id = e.account_id and d.credit = e.id and d.place = 1
            where e.state = 'draft' and e.kind in ('remission', 'write_off', 'transfer')
            group by e.account_id, d.charge
        ) given_up
        join payments.entry h on h.account_id = given_up.account_id and h.id = given_up.charge
        where given_up.amount > h.open_amount
    ) then
        raise exception 'more than is open'
            using errcode = 'EB003', constraint = 'beyond_open', schema = 'payments', table = 'entry';
    end if;
end
$$;

revoke update, delete on payments.transfer from ebok_app;
revoke execute on all functions in schema payments from public;
revoke execute on function payments.delete_counterpart, payments.check_transfer from ebok_app;

-- The yardstick: the same work in bare SQL on the ledger's own tables, with their keys, indexes and triggers, and with
-- nothing that makes a ledger of it: no drafts, no journal (its numbers are made up, below zero), no audit, no seal, no
-- rules, nobody asked whether he may. Made anew by every run of bench.ledger.

drop schema if exists bench cascade;
create schema bench;
grant usage on schema bench to ebok_app;

-- One payment: lock the balance, enter it, let it pay what is open, the earliest due first, keep the balance.
create function bench.post(account bigint, amount bigint, day date) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    payment constant bigint := nextval('payments.entry_id');
    rest bigint := amount;
    part bigint;
    charge record;
begin
    perform from payments.account_balance b where b.account_id = account for update;
    insert into payments.entry (account_id, id, side, kind, amount, paid_on, value_date, booked_on, title, channel, state,
                                journal_no, approved_by, approved_at)
    values (account, payment, 'credit', 'payment', amount, day, day, day, 'Wpłata', 'transfer', 'approved', -payment, 'bench',
            now());
    for charge in
        select e.id, e.open_amount, e.effective_due_on from payments.entry e
        where e.account_id = account and e.side = 'charge' and e.open_amount > 0
        order by e.effective_due_on, e.id
    loop
        part := least(rest, charge.open_amount);
        rest := rest - part;
        insert into payments.allocation (account_id, credit, charge, amount, value_date, effective_due_on, rule)
        values (account, payment, charge.id, part, day, charge.effective_due_on,
                case when charge.effective_due_on > day then 'prepay' else 'oldest_due' end);
        update payments.entry e set open_amount = charge.open_amount - part
        where e.account_id = account and e.id = charge.id;
        exit when rest = 0;
    end loop;
    if rest > 0 then
        update payments.entry e set open_amount = rest where e.account_id = account and e.id = payment;
    end if;
    update payments.account_balance b
    set credited = b.credited + amount, version = b.version + 1, updated_at = now(), oldest_open_due = (
        select min(e.effective_due_on) from payments.entry e
        where e.account_id = account and e.side = 'charge' and e.open_amount > 0)
    where b.account_id = account;
    return payment;
end
$$;

-- Many payments at once, set by set: where the running sums of payments and of open charges overlap, they meet.
create function bench.post_all(accounts bigint[], amounts bigint[], day date) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    posted bigint;
begin
    perform from payments.account_balance b where b.account_id = any (accounts) order by b.account_id for update;
    create temporary table paid on commit drop as
        select account as account_id, nextval('payments.entry_id') as id, amount
        from unnest(accounts, amounts) p (account, amount);
    create temporary table met on commit drop as
        with payment as (
            select account_id, id, amount, sum(amount) over (partition by account_id order by id) as upto from paid
        ), charge as (
            select e.account_id, e.id, e.open_amount as amount, e.effective_due_on as due,
                   sum(e.open_amount) over (partition by e.account_id order by e.effective_due_on, e.id) as upto
            from payments.entry e
            where e.side = 'charge' and e.open_amount > 0 and e.account_id = any (accounts)
        )
        select account_id, p.id as credit, c.id as charge, c.due,
               (least(p.upto, c.upto) - greatest(p.upto - p.amount, c.upto - c.amount))::bigint as amount
        from payment p join charge c using (account_id)
        where c.upto > p.upto - p.amount and p.upto > c.upto - c.amount;
    analyze paid;
    analyze met;
    insert into payments.entry (account_id, id, side, kind, amount, open_amount, paid_on, value_date, booked_on, title,
                                channel, state, journal_no, approved_by, approved_at)
    select p.account_id, p.id, 'credit', 'payment', p.amount, p.amount - coalesce(m.taken, 0), day, day, day, 'Wpłata',
           'transfer', 'approved', -p.id, 'bench', now()
    from paid p left join (select credit, sum(amount) as taken from met group by credit) m on m.credit = p.id
    order by p.id;
    insert into payments.allocation (account_id, credit, charge, amount, value_date, effective_due_on, rule)
    select account_id, credit, charge, amount, day, due, case when due > day then 'prepay' else 'oldest_due' end
    from met order by account_id, credit;
    update payments.entry e set open_amount = e.open_amount - m.taken
    from (select account_id, charge, sum(amount) as taken from met group by account_id, charge) m
    where e.account_id = m.account_id and e.id = m.charge;
    update payments.account_balance b
    set credited = b.credited + p.amount, version = b.version + 1, updated_at = now(), oldest_open_due = (
        select min(e.effective_due_on) from payments.entry e
        where e.account_id = b.account_id and e.side = 'charge' and e.open_amount > 0)
    from (select account_id, sum(amount)::bigint as amount from paid group by account_id) p
    where p.account_id = b.account_id;
    select count(*) into posted from paid;
    return posted;
end
$$;

revoke execute on all functions in schema bench from public;
grant execute on all functions in schema bench to ebok_app;

-- Approving many looks only at the accounts that it is about. The planner, which cannot know how few they are, read the
-- whole ledger to find their drafts: in an import of a million rows once for every two thousand.

-- Approve the drafts of accounts that payments.plain names: number them, let what is open meet, carry the balances.
create or replace function payments.approve_open(accounts bigint[], entries bigint[], today date)
    returns table (account_id bigint, id bigint)
    language plpgsql rows 1000 set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    plain constant bigint[] := array(select distinct unnest(accounts) order by 1);
    posted_accounts bigint[];
    posted bigint[];
    is_closed boolean;
begin
    with fresh as materialized (
        select * from payments.drafts(accounts, entries)
    ),
    due as materialized (
        select due_on, payments.effective_due(due_on) as effective_due_on
        from (select distinct due_on from fresh where due_on is not null) days
    ),
    line as materialized (  -- both queues of an account: how far each reaches, and how far the other one does
        select *, sum(amount) over (partition by account_id, is_credit order by day, id) as upto,
               coalesce(sum(amount) filter (where is_credit) over (partition by account_id), 0) as credits,
               coalesce(sum(amount) filter (where not is_credit) over (partition by account_id), 0) as charges
        from (
            select account_id, id, is_credit, coalesce(effective_due_on, value_date) as day, amount, book
            from fresh left join due using (due_on)
            union all
            select o.account_id, o.id, o.side = 'credit', coalesce(o.effective_due_on, o.value_date), o.open_amount, null
            from payments.entry o where o.account_id = any (plain) and o.open_amount > 0
        ) open
    ),
    left_open as materialized (
        select account_id, id, is_credit, day, amount, upto, book, row_number() over (partition by book order by id) as place,
               least(amount, greatest(0, upto - case when is_credit then charges else credits end))::bigint as open
        from line
    ),
    made as (
        insert into payments.allocation (account_id, credit, charge, amount, rule, value_date, effective_due_on)
        select account_id, c.id, h.id,
               (least(c.upto, h.upto) - greatest(c.upto - c.amount, h.upto - h.amount))::bigint,
               case when h.day > c.day then 'prepay' else 'oldest_due' end, c.day, h.day
        from left_open c join left_open h using (account_id)
        where c.is_credit and not h.is_credit and c.upto > h.upto - h.amount and h.upto > c.upto - c.amount
        order by account_id, h.id, c.id
    ),
    lowered as (
        update payments.entry e set open_amount = l.open
        from left_open l
        where l.book is null and l.open < l.amount and e.account_id = l.account_id and e.id = l.id
    ),
    counted as (
        update payments.book b set last_journal_no = b.last_journal_no + n.entries
        from (select book, count(*) as entries from fresh group by book) n
        where n.book = b.id and (b.closed_through >= today) is not true
        returning b.id, b.last_journal_no - n.entries as base, b.limitation_years
    ),
    approved as (
        update payments.entry e
        set state = 'approved', open_amount = l.open, effective_due_on = case when not l.is_credit then l.day end,
            time_barred_on = case when not l.is_credit then payments.barred_from(l.day, c.limitation_years) end,
            booked_on = today, journal_no = c.base + l.place, approved_by = current_setting('ebok.actor', true),
            approved_at = now()
        from left_open l join counted c on c.id = l.book
        where e.account_id = l.account_id and e.id = l.id and e.account_id = any (plain)
        returning e.account_id, e.id
    )
    select array_agg(p.account_id order by p.account_id, p.id), array_agg(p.id order by p.account_id, p.id),
           count(*) < (select count(*) from fresh)
    into posted_accounts, posted, is_closed from approved p;
    if is_closed then  -- since its month was read
        raise exception 'this cannot be approved: month_closed'
            using errcode = 'EB003', constraint = 'month_closed', schema = 'payments', table = 'entry';
    end if;
    if posted is not null then
        perform payments.carry(posted_accounts, posted, 1);
        perform payments.tell_approved(posted_accounts, posted);
        return query select * from unnest(posted_accounts, posted);
    end if;
end
$$;

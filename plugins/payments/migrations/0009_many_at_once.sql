-- Approving many: where accounts are settled first come, first served, and these drafts move nothing of the past, drafts
-- and what is open meet set by set, and every entry is written once. And pins that make room for a correction.

-- The history of an approval, one line for each customer. (Accounts are looked up, not joined, as in carry.)
create function payments.tell_approved(accounts bigint[], entries bigint[]) returns void
    language sql set search_path = pg_catalog, pg_temp
begin atomic
    insert into kernel.audit_log (verb, customer, subject, facts)
    select 'payments.approved', customer, case count(*) when 1 then 'entry ' || min(id) else '' end,
           payments.told(count(*), coalesce(sum(amount) filter (where side = 'charge'), 0)::bigint,
               coalesce(sum(amount) filter (where side = 'credit'), 0)::bigint)
    from (
        select (select a.customer from payments.account a where a.id = e.account_id) as customer, e.id, e.side, e.amount
        from unnest(accounts, entries) n (account_id, id) join payments.entry e using (account_id, id)
    ) told
    group by customer;
end;

-- The drafts among these, locked. A function, because the planner would take a join on both columns of a key for next to
-- nothing, and loop; «rows» says otherwise.
create function payments.drafts(accounts bigint[], entries bigint[])
    returns table (account_id bigint, id bigint, is_credit boolean, kind text, amount bigint, due_on date, value_date date,
        created_by text, book bigint)
    language sql rows 10000 set search_path = pg_catalog, pg_temp
begin atomic
    select d.account_id, d.id, d.side = 'credit', d.kind, d.amount, d.due_on, d.value_date, d.created_by,
           (select a.book from payments.account a where a.id = d.account_id)
    from (select distinct * from unnest(accounts, entries)) n (account_id, id)
    join payments.entry d using (account_id, id)
    where d.state = 'draft' for update of d;
end;

-- Which of these accounts are settled first come, first served, with nothing of the past moved by these drafts: they meet
-- what is open, and no allocation lies behind them in either queue.
create function payments.plain(accounts bigint[], entries bigint[], today date) returns bigint[]
    language sql set search_path = pg_catalog, pg_temp
return (
    with named as (
        select d.account_id, min(d.id) filter (where d.is_credit) as credit, min(d.value_date) as paid,
               max(d.value_date) as last_paid, min(d.id) filter (where not d.is_credit) as charge, min(d.due_on) as due
        from payments.drafts(accounts, entries) d
        group by d.account_id
        having bool_and(d.kind in ('fee', 'settlement', 'opening', 'payment', 'offset', 'benefit'))
           and not (bool_or(d.created_by = current_setting('ebok.actor', true) and d.created_by ~ '^[0-9]+$') and exists (
               select from kernel.setting s where s.plugin = 'payments' and s.value ->> 'approver_differs' = 'true'))
    )
    select array_agg(n.account_id order by n.account_id)
    from named n join payments.account a on a.id = n.account_id join payments.book b on b.id = a.book
    join kernel.customer c on c.id = a.customer
    where b.allocation_policy = 'civil' and b.prepay and not b.interest_first
      and (not b.is_mirror or current_setting('ebok.actor', true) = 'import')
      and a.closed_on is null and (b.closed_through >= today) is not true
      and (n.last_paid > greatest(today, current_date) + 1) is not true
      and not exists (select from payments.designation w where w.account_id = n.account_id)
      and (c.consumer and (
          exists (
              select from payments.entry o where o.account_id = n.account_id and o.side = 'charge' and o.open_amount > 0
                and o.time_barred_on <= greatest(today, current_date) + 1)
          or payments.barred_from(n.due, b.limitation_years) <= greatest(today, current_date) + 1)) is not true
      and not exists (
          select from payments.allocation l
          where l.account_id = n.account_id and l.released_at is null and not l.pinned
            and l.value_date >= n.paid and (l.value_date > n.paid or l.credit > n.credit))
      and not exists (
          select from payments.allocation l
          where l.account_id = n.account_id and l.released_at is null and not l.pinned
            and l.effective_due_on >= n.due and (l.effective_due_on > n.due or l.charge > n.charge))
);

-- Approve the drafts of accounts that payments.plain names: number them, let what is open meet, carry the balances.
create function payments.approve_open(accounts bigint[], entries bigint[], today date)
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
        where e.account_id = l.account_id and e.id = l.id
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

-- Make room for corrections on charges that pins hold: the newest pins give way, the last of them in part. What they held
-- is free again, and an account that has lost its last pin would not be settled anew otherwise.
create or replace function payments.make_room(accounts bigint[], entries bigint[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    changed bigint[];
begin
    with corrected as (
        select e.account_id, e.corrects as charge, sum(e.amount) as amount
        from unnest(accounts, entries) n (account_id, id) join payments.entry e using (account_id, id)
        where e.kind = 'correction' and e.side = 'credit' and e.state = 'approved' group by e.account_id, e.corrects
    ),
    held as (
        select l.*, c.amount + sum(l.amount) over whole - h.amount as excess,
               sum(l.amount) over newest - l.amount as newer
        from corrected c join payments.entry h on h.account_id = c.account_id and h.id = c.charge
        join payments.allocation l on l.account_id = c.account_id and l.charge = c.charge
        where l.released_at is null and l.pinned
        window whole as (partition by l.account_id, l.charge),
               newest as (partition by l.account_id, l.charge order by (l.rule = 'correction'), l.value_date desc, l.id desc)
    ),
    giving as (
        select * from held where excess > newer and rule <> 'correction'
    ),
    released as (
        update payments.allocation l set released_at = greatest(now(), l.created_at)
        from giving g where l.account_id = g.account_id and l.id = g.id
    ),
    shortened as (
        insert into payments.allocation (account_id, credit, charge, amount, rule, pinned, value_date, effective_due_on, reason)
        select account_id, credit, charge, amount - (excess - newer), rule, true, value_date, effective_due_on, reason
        from giving where amount > excess - newer
    )
    select array_agg(distinct account_id) into changed from giving;
    if changed is not null then
        perform payments.settle_in_turn(changed, current_date);
    end if;
end
$$;

-- Approve drafts: number them in the journal, post them, allocate, carry the balances, tell the history. Entries that are no drafts (any
-- more) are left alone, so that two people who approve the same list approve it once. «today» is the accounting day.
-- Returns what became approved; «waits»: its credits wait for a policy that is computed outside. In books that book
-- interest when it is paid nothing happens until «interest_done»: such accounts come back, locked, without an entry.
create or replace function payments.approve(accounts bigint[], entries bigint[], today date, interest_done boolean)
    returns table (account_id bigint, id bigint, waits boolean)
    language plpgsql rows 1 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    actor constant text := current_setting('ebok.actor', true);
    two_people constant boolean := coalesce(
        (select s.value ->> 'approver_differs' from kernel.setting s where s.plugin = 'payments'), 'false') = 'true';
    posted_accounts bigint[];
    posted bigint[];
    refers boolean;
    refunds boolean;
    is_outside boolean;
    wrong text;
    plain bigint[];
begin
    if cardinality(entries) = 1 and payments.approve_plain(accounts[1], entries[1], today) then
        return query select accounts[1], entries[1], false;
        return;
    end if;
    perform payments.hold(accounts);
    if not interest_done then
        return query
        select distinct e.account_id, null::bigint, true
        from unnest(accounts, entries) n (account_id, id) join payments.entry e using (account_id, id)
        join payments.account a on a.id = e.account_id join payments.book b on b.id = a.book
        where (b.interest_first or b.allocation_policy = 'public') and b.interest_regime <> 'none' and not b.is_mirror
          and e.state = 'draft' and e.side = 'credit' and e.kind not in ('reversal', 'correction', 'remission', 'write_off');
        if found then
            return;
        end if;
    end if;
    if cardinality(entries) > 1 then
        plain := payments.plain(accounts, entries, today);
    end if;
    if plain is not null then
        return query
        select o.account_id, o.id, false
        from (
            select array_agg(n.account_id) as accounts, array_agg(n.id) as entries
            from unnest(accounts, entries) n (account_id, id) join unnest(plain) p (account_id) using (account_id)
        ) p, lateral payments.approve_open(p.accounts, p.entries, today) o;
        select array_agg(n.account_id), array_agg(n.id) into accounts, entries
        from unnest(accounts, entries) n (account_id, id) left join unnest(plain) p (account_id) using (account_id)
        where p.account_id is null;
        if entries is null then
            return;
        end if;
    end if;
    with drafts as (
        select e.account_id, e.id, a.book, case
            when b.closed_through >= today then 'month_closed'
            when b.is_mirror and actor <> 'import' then 'mirror_book'
            when a.closed_on is not null and e.kind not in ('reversal', 'correction') then 'account_closed'
            when e.value_date > greatest(today, current_date) + 1 then 'value_date_ahead'
            when two_people and actor ~ '^[0-9]+$' and e.created_by = actor then 'approver_is_creator'
        end as wrong
        from (select distinct * from unnest(accounts, entries)) named (account_id, id)
        join payments.entry e using (account_id, id) join payments.account a on a.id = e.account_id
        join payments.book b on b.id = a.book
        where e.state = 'draft' for update of e
    ), numbered as (
        select d.*, row_number() over (partition by d.book order by d.id) as place from drafts d
    ), counted as (
        update payments.book b set last_journal_no = b.last_journal_no + n.entries
        from (select book, count(*) as entries from drafts group by book) n
        where n.book = b.id and (b.closed_through >= today and not exists (
            select from drafts d where d.book = b.id and d.wrong = 'month_closed')) is not true
        returning b.id, b.last_journal_no - n.entries as base, b.limitation_years,
            b.allocation_policy not in ('civil', 'public') as is_outside
    ), approved as (
        update payments.entry e
        set state = 'approved', open_amount = e.amount, effective_due_on = d.effective_due_on,
            time_barred_on = case when e.kind not in ('refund', 'reversal')
                then payments.barred_from(d.effective_due_on, c.limitation_years) end,
            booked_on = today, journal_no = c.base + n.place, approved_by = actor, approved_at = now()
        from numbered n join counted c on c.id = n.book
        join payments.entry o on o.account_id = n.account_id and o.id = n.id
        cross join lateral (select payments.effective_due(o.due_on) as effective_due_on) d
        where e.account_id = n.account_id and e.id = n.id
        returning e.account_id, e.id, e.kind, c.is_outside, n.wrong,
            coalesce(e.reverses, e.corrects, e.bears_on) is not null as refers
    )
    select array_agg(p.account_id order by p.account_id, p.id), array_agg(p.id order by p.account_id, p.id),
           bool_or(p.refers), bool_or(p.kind = 'refund'), bool_or(p.is_outside),
           -- a book that was closed since its month was read took none of its drafts
           coalesce(min(p.wrong), case when count(*) < (select count(*) from drafts) then 'month_closed' end)
    into posted_accounts, posted, refers, refunds, is_outside, wrong from approved p;
    if posted is null and wrong is null then
        return;
    end if;
    if wrong is null and exists (
        select from unnest(posted_accounts, posted) n (account_id, id)
        join payments.designation d on d.account_id = n.account_id and d.credit = n.id
        join payments.entry h on h.account_id = d.account_id and h.id = d.charge
        where h.state <> 'approved' or h.side <> 'charge' or h.kind = 'reversal'
    ) then
        wrong := 'designation_not_approved';
    end if;
    if wrong is null and refunds then
        select 'refund_exceeds_credit' into wrong
        from unnest(posted_accounts, posted) n (account_id, id) join payments.entry e using (account_id, id)
        where e.kind = 'refund'
        group by e.account_id
        having sum(e.amount) > (
            select coalesce(sum(o.open_amount), 0) from payments.entry o
            where o.account_id = e.account_id and o.side = 'credit' and o.open_amount > 0
        )
        limit 1;
    end if;
    if wrong is not null then
        raise exception 'this cannot be approved: %', wrong
            using errcode = 'EB003', constraint = wrong, schema = 'payments', table = 'entry';
    end if;
    if refers then
        perform payments.check_references(posted_accounts, posted);
        perform payments.make_room(posted_accounts, posted);
        perform payments.settle(w.accounts, w.entries, greatest(today, current_date), true)
        from payments.with_referred(posted_accounts, posted) w;
    else
        perform payments.settle(posted_accounts, posted, greatest(today, current_date), false);
    end if;
    if refunds and exists (
        select from unnest(posted_accounts, posted) n (account_id, id) join payments.entry e using (account_id, id)
        where e.kind = 'refund' and e.open_amount > 0
    ) and not is_outside then
        raise exception 'this cannot be approved: refund_exceeds_credit'
            using errcode = 'EB003', constraint = 'refund_exceeds_credit', schema = 'payments', table = 'entry';
    end if;
    perform payments.carry(posted_accounts, posted, 1);
    perform payments.tell_approved(posted_accounts, posted);
    return query select n.account_id, n.id, is_outside from unnest(posted_accounts, posted) n (account_id, id);
end
$$;

revoke execute on function payments.tell_approved, payments.drafts, payments.plain, payments.approve_open from public, ebok_app;

-- The payments desk: bundles of payments that are typed in one go; and what a superadministrator deletes of what is
-- approved: accounts, interest notes, charge runs and lists, each with a tombstone.

-- --- channels ------------------------------------------------------------------------------------------------------

alter table payments.entry drop constraint entry_channel_check, add constraint entry_channel_check
    check (channel in ('', 'transfer', 'cash', 'card', 'post', 'gateway', 'direct_debit', 'offset'));
alter table payments.incoming drop constraint incoming_channel, add constraint incoming_channel
    check (channel in ('transfer', 'cash', 'card', 'post', 'gateway', 'direct_debit', 'offset'));

-- --- bundles -------------------------------------------------------------------------------------------------------

create sequence payments.till_bundle_id;
create table payments.till_bundle (
    id bigint primary key default nextval('payments.till_bundle_id'),
    day date not null,
    -- Counts within the day.
    number integer not null check (number > 0),
    -- What the slips in hand come to: how many, and grosze. Null: nobody said.
    expected_count integer check (expected_count between 1 and 100000),
    expected_sum bigint check (expected_sum between 1 and 1000000000000000),
    -- Why it was approved although its sum differs.
    difference_reason text not null default '' check (length(difference_reason) <= 500),
    created_by text not null default coalesce(current_setting('ebok.actor', true), ''),
    created_at timestamptz not null default now(),
    unique (day, number)
);

create table payments.till_row (
    account_id bigint not null,
    entry bigint not null,
    bundle bigint not null references payments.till_bundle,
    -- In the order of typing.
    place integer not null,
    primary key (account_id, entry),
    -- A draft that is deleted elsewhere leaves the bundle, too.
    foreign key (account_id, entry) references payments.entry (account_id, id) on delete cascade
);
create index till_row_bundle on payments.till_row (bundle, place);

-- A bundle's day, number and author stay as they are.
revoke update, delete on payments.till_bundle from ebok_app;
grant update (expected_count, expected_sum, difference_reason) on payments.till_bundle to ebok_app;

-- --- voiding leaves a tombstone ------------------------------------------------------------------------------------

create or replace function payments.void(account bigint, entry bigint, reason text) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    wrong text;
    is_outside boolean;
begin
    perform payments.hold(array[account]);
    select case
        when e.state <> 'approved' then 'void_not_approved'
        when b.is_mirror then 'mirror_book'
        when b.ledger_role = 'books' then 'void_in_books'
        when b.closed_through >= e.booked_on then 'void_in_closed_month'
        when exists (
            select from payments.entry r where r.account_id = e.account_id and r.state = 'approved'
              and (r.reverses = e.id or r.corrects = e.id or r.bears_on = e.id)
        ) then 'void_of_referred'
        when exists (
            select from payments.entry k join payments.entry o on o.account_id = k.account_id and o.id = k.corrects
            where k.account_id = e.account_id and k.id = e.reverses and k.side = 'credit' and (
                exists (select from payments.entry r
                    where r.account_id = o.account_id and r.reverses = o.id and r.state = 'approved')
                or o.amount < k.amount + (
                    select coalesce(sum(c.amount), 0) from payments.entry c
                    where c.account_id = o.account_id and c.corrects = o.id and c.side = 'credit' and c.state = 'approved'
                      and not exists (select from payments.entry r
                        where r.account_id = c.account_id and r.reverses = c.id and r.state = 'approved')))
        ) then 'void_revives_too_much'
        when exists (
            select from payments.allocation l where l.account_id = e.account_id and l.released_at is null and l.pinned
              and l.rule not in ('manual', 'imported', 'reversal', 'correction') and e.id in (l.credit, l.charge)
        ) then 'void_of_named'
    end, b.allocation_policy not in ('civil', 'public') into wrong, is_outside
    from payments.entry e join payments.account a on a.id = e.account_id join payments.book b on b.id = a.book
    where e.account_id = void.account and e.id = void.entry for update of e;
    if wrong is not null then
        raise exception 'this entry cannot be voided: %', wrong
            using errcode = 'EB003', constraint = wrong, schema = 'payments', table = 'entry';
    end if;
    update payments.entry e
    set state = 'voided', open_amount = 0, voided_by = current_setting('ebok.actor', true), voided_at = now(),
        void_reason = void.reason
    where e.account_id = void.account and e.id = void.entry;
    perform payments.make_room(array_agg(e.account_id), array_agg(e.reverses))
    from payments.entry e where e.account_id = void.account and e.id = void.entry and e.reverses is not null
    having count(*) > 0;
    perform payments.settle(w.accounts, w.entries, current_date, true)
    from payments.with_referred(array[account], array[entry]) w;
    perform payments.carry(array[account], array[entry], -1);
    perform kernel.bury('payments.voided', 'entry ' || e.id, e.id::text, a.customer, void.reason,
        jsonb_build_object('entry', e.id, 'kind', e.kind, 'amount', payments.plain_money(e.amount)))
    from payments.entry e join payments.account a on a.id = e.account_id
    where e.account_id = void.account and e.id = void.entry;
    return is_outside;
end
$$;

-- Złoty and grosze as the history keeps them: 1234.56.
create function payments.plain_money(amount bigint) returns text
    language sql immutable parallel safe
return amount / 100 || '.' || lpad((amount % 100)::text, 2, '0');

-- Void many entries, the newest first, because what refers to an entry is newer than the entry. Raises as void does;
-- EB003 «void_too_many» beyond two thousand. Returns those that were voided.
create function payments.void_many(accounts bigint[], entries bigint[], reason text)
    returns table (account_id bigint, id bigint, customer bigint, kind text, amount bigint, title text, is_outside boolean)
    language plpgsql rows 100 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    one record;
begin
    if cardinality(entries) > 2000 then
        perform payments.refuse('void_too_many', 'entry');
    end if;
    perform payments.hold(accounts);
    for one in
        select e.account_id, e.id, a.customer, e.kind, e.amount, e.title
        from (select distinct * from unnest(accounts, entries)) n (account_id, id)
        join payments.entry e using (account_id, id) join payments.account a on a.id = e.account_id
        where e.state = 'approved' order by e.id desc
    loop
        account_id := one.account_id;
        id := one.id;
        customer := one.customer;
        kind := one.kind;
        amount := one.amount;
        title := one.title;
        is_outside := payments.void(one.account_id, one.id, reason);
        return next;
    end loop;
end
$$;

-- --- accounts ------------------------------------------------------------------------------------------------------

alter table payments.account
    add column deleted_at timestamptz,
    add column deleted_by text,
    add column delete_reason text,
    add constraint account_deleted check (num_nonnulls(deleted_at, deleted_by, delete_reason) in (0, 3)
        and (deleted_at is null or closed_on is not null));
-- Its number stays taken; the customer may get another account in its place.
alter table payments.account drop constraint account_customer_book_service_point_key;
create unique index account_of_customer on payments.account (customer, book, service_point) nulls not distinct
    where deleted_at is null;

create or replace function payments.open_accounts(customers bigint[], today date)
    returns table (customer bigint, account_id bigint)
    language plpgsql rows 1 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
begin
    insert into payments.account (account_no, customer, book, opened_on)
    select case when taken.times = 0 then c.customer_no else c.customer_no || '/' || taken.times + 1 end, c.id, b.id, today
    from kernel.customer c cross join payments.book b cross join lateral (
        select count(*) as times from payments.account a
        where a.customer = c.id and a.book = b.id and a.service_point is null and a.deleted_at is not null
    ) taken
    where c.id = any (customers) and b.code = 'main' and not exists (
        select from payments.account a
        where a.customer = c.id and a.book = b.id and a.service_point is null and a.deleted_at is null
    )
    order by c.id
    on conflict (customer, book, service_point) where deleted_at is null do nothing;
    insert into payments.account_balance (account_id)
    select a.id from payments.account a where a.customer = any (customers) and not exists (
        select from payments.account_balance k where k.account_id = a.id
    )
    order by a.id
    on conflict (account_id) do nothing;
    return query select a.customer, a.id
    from payments.account a join payments.book b on b.id = a.book
    where a.customer = any (customers) and b.code = 'main' and a.service_point is null and a.deleted_at is null;
end
$$;

-- Nothing may still arrive by itself: neither an open amount nor a payment that the bank told of.
create or replace function payments.close_account(account bigint, today date) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    wrong text;
begin
    perform payments.hold(array[account]);
    select case
        when a.closed_on is not null then 'account_closed'
        when k.balance <> 0 then 'account_has_balance'
        when exists (select from payments.entry e where e.account_id = a.id and e.open_amount > 0) then 'account_has_open'
        when exists (select from payments.entry e where e.account_id = a.id and e.state = 'draft') then 'account_has_drafts'
        when exists (
            select from payments.provisional v
            where v.account_id = a.id and v.replaced_by is null and v.withdrawn_at is null
        ) then 'account_has_provisional'
    end into wrong
    from payments.account a join payments.account_balance k on k.account_id = a.id
    where a.id = close_account.account for update of a;
    if wrong is not null then
        perform payments.refuse(wrong, 'account');
    end if;
    update payments.account a set closed_on = greatest(today, a.opened_on) where a.id = close_account.account;
end
$$;

create or replace function payments.reopen_account(account bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    wrong text;
begin
    select case
        when a.closed_on is null then 'account_open'
        when a.deleted_at is not null then 'account_deleted'
        when c.status = 'closed' then 'account_of_closed_customer'
    end into wrong
    from payments.account a join kernel.customer c on c.id = a.customer
    where a.id = reopen_account.account for update of a;
    if wrong is not null then
        perform payments.refuse(wrong, 'account');
    end if;
    update payments.account a set closed_on = null where a.id = reopen_account.account;
end
$$;

-- Delete an account: what is approved on it is voided, its drafts go, its number stays taken and it can never be opened
-- again. The row stays, because voided entries do. Returns what was voided.
create function payments.delete_account(account bigint, reason text, today date)
    returns table (account_id bigint, id bigint, customer bigint, kind text, amount bigint, title text, is_outside boolean)
    language plpgsql rows 100 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    wrong text;
    note bigint;
    accounts bigint[];
    entries bigint[];
begin
    perform kernel.only_in_mode('an account');
    perform payments.hold(array[account]);
    select case
        when a.deleted_at is not null then 'account_deleted'
        when exists (
            select from payments.entry e
            where e.account_id = a.id and e.state = 'approved' and (
                exists (select from payments.transfer t where t.from_account = a.id and t.from_entry = e.id)
                or exists (select from payments.transfer t where t.to_account = a.id and t.to_entry = e.id))
        ) then 'account_has_transfers'
        when exists (
            select from payments.entry e join payments.incoming_part p on p.account_id = e.account_id and p.entry = e.id
            where e.account_id = a.id and e.state = 'draft' and p.undone_at is null
        ) then 'account_has_drafts'
        when exists (
            select from payments.provisional v
            where v.account_id = a.id and v.replaced_by is null and v.withdrawn_at is null
        ) then 'account_has_provisional'
    end into wrong
    from payments.account a where a.id = delete_account.account for update of a;
    if wrong is not null then
        perform payments.refuse(wrong, 'account');
    end if;
    for note in
        select n.id from payments.interest_note n
        where n.account_id = account and n.deleted_at is null order by n.id desc
    loop
        perform payments.delete_note(account, note, reason);
    end loop;
    delete from payments.entry e where e.account_id = account and e.state = 'draft';
    select array_agg(e.account_id), array_agg(e.id) into accounts, entries
    from payments.entry e where e.account_id = account and e.state = 'approved';
    if entries is not null then
        return query select * from payments.void_many(accounts, entries, reason);
    end if;
    update payments.account a
    set closed_on = coalesce(a.closed_on, greatest(today, a.opened_on)), deleted_at = now(),
        deleted_by = current_setting('ebok.actor', true), delete_reason = reason
    where a.id = account;
    perform kernel.bury('payments.account_deleted', 'account ' || a.id, a.account_no, a.customer, delete_account.reason,
        jsonb_build_object('account_no', a.account_no, 'book', b.name, 'entries', coalesce(cardinality(entries), 0)))
    from payments.account a join payments.book b on b.id = a.book where a.id = account;
end
$$;

-- What becomes of the accounts of a customer who is removed: they go, if nothing was ever approved on them. This is all
-- that the application may remove of accounts.
create function payments.forget_accounts(customer bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    if exists (
        select from payments.account a join payments.entry e on e.account_id = a.id and e.state <> 'draft'
        where a.customer = forget_accounts.customer
        union all
        select from payments.account a join payments.incoming_part p on p.account_id = a.id
        where a.customer = forget_accounts.customer
        union all
        select from payments.account a where a.customer = forget_accounts.customer and a.deleted_at is not null
    ) then
        raise exception 'something was approved on an account of this customer'
            using errcode = 'EB001', schema = 'payments', table = 'account';
    end if;
    delete from payments.entry e using payments.account a
    where a.id = e.account_id and a.customer = forget_accounts.customer and e.state = 'draft';
    delete from payments.account a where a.customer = forget_accounts.customer;
end
$$;
revoke delete on payments.account from ebok_app;

-- --- interest notes ------------------------------------------------------------------------------------------------

alter table payments.interest_note
    add column deleted_at timestamptz,
    add column deleted_by text,
    add column delete_reason text,
    add constraint interest_note_deleted check (num_nonnulls(deleted_at, deleted_by, delete_reason) in (0, 3));

-- Delete a note: the interest it booked is voided with its corrections, what it named is computed again, its number
-- stays taken. Interest that was reversed already stays as it is.
create function payments.delete_note(account bigint, note bigint, reason text) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    deleted payments.interest_note;
    accounts bigint[];
    entries bigint[];
begin
    perform kernel.only_in_mode('an interest note');
    perform payments.hold(array[account]);
    select * into deleted from payments.interest_note n where n.account_id = delete_note.account and n.id = delete_note.note
    for update;
    if deleted.deleted_at is not null then
        perform payments.refuse('note_deleted', 'interest_note');
    end if;
    update payments.interest_note n
    set deleted_at = now(), deleted_by = current_setting('ebok.actor', true), delete_reason = delete_note.reason
    where n.account_id = delete_note.account and n.id = delete_note.note;
    -- What another note names stays as that note says.
    update payments.allocation l set pinned = false
    where l.account_id = delete_note.account and l.released_at is null and l.pinned
      and l.rule in ('designated', 'oldest_due', 'inner_interest', 'prepay')
      and exists (
        select from payments.interest_note_line t
        where t.account_id = l.account_id and t.note = delete_note.note and t.charge = l.charge)
      and not exists (
        select from payments.interest_note_line t
        join payments.interest_note n on n.account_id = t.account_id and n.id = t.note and n.deleted_at is null
        where t.account_id = l.account_id and t.charge = l.charge);
    with booked as (
        select e.account_id, e.id
        from payments.interest_note_line t join payments.entry e on e.account_id = t.account_id and e.id = t.entry
        where t.account_id = delete_note.account and t.note = delete_note.note and e.state = 'approved' and not exists (
            select from payments.entry r where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved')
    ), corrected as (
        select k.account_id, k.id
        from booked b join payments.entry k on k.account_id = b.account_id and k.corrects = b.id and k.state = 'approved'
    )
    select array_agg(account_id), array_agg(id) into accounts, entries from (
        select * from booked union all
        select * from corrected union all
        select r.account_id, r.id
        from corrected c join payments.entry r on r.account_id = c.account_id and r.reverses = c.id and r.state = 'approved'
    ) gone;
    perform payments.void_many(accounts, entries, delete_note.reason) where entries is not null;
    perform payments.allocate(array[account]);
    perform kernel.bury('payments.note_deleted', 'interest-note ' || deleted.id, deleted.note_no, a.customer,
        delete_note.reason, jsonb_build_object('note_no', deleted.note_no, 'amount', payments.plain_money(deleted.total),
            'issued_on', deleted.issued_on))
    from payments.account a where a.id = deleted.account_id;
end
$$;

-- A page about interest shows the newest notes, without those that were deleted.
create or replace function payments.interest_page(accounts bigint[], as_of date, most integer)
    returns table (tables jsonb, debts jsonb, due bigint, credit bigint, notes jsonb)
    language sql stable set search_path = pg_catalog, pg_temp as
$$
    select payments.interest_tables(), (
        select coalesce(jsonb_agg(to_jsonb(d) order by d.effective_due_on, d.charge), '[]')
        from payments.interest_candidates(accounts, as_of, most) c
        cross join lateral payments.interest_debt(c.account_id, c.charge) d
    ), o.due, o.credit, (
        select coalesce(jsonb_agg(to_jsonb(n) order by n.id desc), '[]')
        from (
            select n.id, n.note_no, n.issued_on, n.as_of, n.due_on, n.total from payments.interest_note n
            where n.account_id = any (accounts) and n.deleted_at is null order by n.id desc limit 20
        ) n
    )
    from (
        select coalesce(sum(e.open_amount) filter (where e.side = 'charge' and e.effective_due_on <= as_of
                   and not (c.consumer and e.time_barred_on <= as_of)), 0)::bigint as due,
               coalesce(sum(e.open_amount) filter (where e.side = 'credit'), 0)::bigint as credit
        from payments.entry e join payments.account a on a.id = e.account_id join kernel.customer c on c.id = a.customer
        where e.account_id = any (accounts) and e.open_amount > 0
    ) o
$$;

-- --- charge runs and lists -----------------------------------------------------------------------------------------

alter table payments.charge_run drop constraint charge_run_state_check, add constraint charge_run_state_check
    check (state in ('computing', 'ready', 'approving', 'approved', 'rolling_back', 'rolled_back', 'deleted'));
drop index payments.charge_run_once;
create unique index charge_run_once on payments.charge_run (schedule, period) where state not in ('rolled_back', 'deleted');

create or replace function payments.guard_charge_run() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    if tg_op = 'DELETE' then
        if old.state in ('computing', 'ready') then
            return old;
        end if;
    elsif new.state = 'deleted' and old.state <> 'deleted' then
        perform kernel.only_in_mode('a charge run');
        if old.state = 'approved' then
            return new;
        end if;
    elsif (old.state, new.state) in (
        ('computing', 'computing'), ('computing', 'ready'), ('ready', 'ready'), ('ready', 'computing'),
        ('ready', 'approving'), ('approving', 'approving'), ('approving', 'ready'), ('approving', 'approved'),
        ('approved', 'approved'), ('approved', 'rolling_back'), ('rolling_back', 'rolling_back'),
        ('rolling_back', 'approved'), ('rolling_back', 'rolled_back')
    ) and (old.state = 'computing' or (old.title, old.issued_on, old.due_on, old.amount, old.accounts)
        is not distinct from (new.title, new.issued_on, new.due_on, new.amount, new.accounts)
    ) and (old.schedule, old.period, old.attempt) = (new.schedule, new.period, new.attempt) then
        return new;
    end if;
    raise exception 'a charge run that is % cannot change like this', old.state
        using errcode = 'EB003', constraint = 'charge_run_state', schema = 'payments', table = 'charge_run';
end
$$;

-- Delete an approved run: its charges are voided, the month may be charged again, its number stays taken.
create function payments.delete_run(run bigint, reason text)
    returns table (account_id bigint, id bigint, customer bigint, kind text, amount bigint, title text, is_outside boolean)
    language plpgsql rows 100 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    deleted payments.charge_run;
    accounts bigint[];
    entries bigint[];
begin
    perform kernel.only_in_mode('a charge run');
    perform payments.hold_charges(run);
    select * into deleted from payments.charge_run r where r.id = run for update;
    if deleted.state is distinct from 'approved' then
        perform payments.refuse('charge_run_state', 'charge_run');
    end if;
    select array_agg(e.account_id), array_agg(e.id) into accounts, entries
    from payments.charge_run_account a join payments.entry e on e.account_id = a.account_id and e.id = a.entry
    where a.run = deleted.id and e.state = 'approved' and not exists (
        select from payments.entry r where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved');
    if entries is not null then
        return query select * from payments.void_many(accounts, entries, delete_run.reason);
    end if;
    update payments.charge_run r set state = 'deleted', reason = delete_run.reason where r.id = deleted.id;
    perform kernel.bury('payments.run_deleted', 'charge-run ' || deleted.id, deleted.id::text, null, delete_run.reason,
        jsonb_build_object('schedule', s.name, 'period', deleted.period, 'accounts', deleted.accounts,
            'amount', payments.plain_money(deleted.amount)))
    from payments.fee_schedule s where s.id = deleted.schedule;
end
$$;

-- Delete a list of charges: what of it is approved is voided, its drafts go, its number stays taken.
create function payments.delete_list(list bigint, reason text)
    returns table (account_id bigint, id bigint, customer bigint, kind text, amount bigint, title text, is_outside boolean)
    language plpgsql rows 100 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    deleted payments.charge_batch;
    accounts bigint[];
    entries bigint[];
begin
    perform kernel.only_in_mode('a list of charges');
    perform payments.hold(array_agg(distinct l.account_id))
    from payments.charge_batch_line l where l.batch = list and l.entry is not null;
    select * into deleted from payments.charge_batch b where b.id = list for update;
    if deleted.state is distinct from 'entered' then
        perform payments.refuse('charge_list_state', 'charge_batch');
    elsif not exists (select from payments.charge_batch_line l where l.batch = list) then
        perform payments.refuse('charge_list_forgotten', 'charge_batch');
    end if;
    select array_agg(e.account_id), array_agg(e.id) into accounts, entries
    from payments.charge_batch_line l join payments.entry e on e.account_id = l.account_id and e.id = l.entry
    where l.batch = deleted.id and e.state = 'approved' and not exists (
        select from payments.entry r where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved');
    if entries is not null then
        return query select * from payments.void_many(accounts, entries, delete_list.reason);
    end if;
    delete from payments.entry e using payments.charge_batch_line l
    where l.batch = deleted.id and e.account_id = l.account_id and e.id = l.entry and e.state = 'draft';
    update payments.charge_batch b set state = 'deleted', reason = delete_list.reason where b.id = deleted.id;
    perform kernel.bury('payments.list_deleted', 'charge-list ' || deleted.id, deleted.id::text, null,
        delete_list.reason, jsonb_build_object('name', deleted.name, 'lines', deleted.lines,
            'amount', payments.plain_money(deleted.charged)));
end
$$;

revoke execute on all functions in schema payments from public;

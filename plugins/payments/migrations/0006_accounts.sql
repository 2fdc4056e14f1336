-- Books and accounts as the office keeps them: rules that stay once a book is in use, the bank account that customers pay
-- to and how it may change, customers' own account numbers, and months that are closed.
--
-- The application cannot write any of these tables: the functions below do, and refuse with SQLSTATE EB003.

-- --- books ---------------------------------------------------------------------------------------------------------

-- Books and whom they are paid to are the superadministrator's; the product itself acts without a role.
create function payments.only_superadmin() returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    if coalesce(current_setting('ebok.role', true), '') not in ('', 'superadmin') then
        raise exception 'only a superadministrator may do this'
            using errcode = 'EB001', schema = 'payments', table = 'book';
    end if;
end
$$;

create function payments.add_book(code text, name text, ledger_role text, allocation_policy text, interest_first boolean,
        prepay boolean, interest_regime text, contract_rate numeric, limitation_years integer, storno text,
        is_mirror boolean, payee_name text) returns bigint
    language sql security definer set search_path = pg_catalog, pg_temp as
$$
    select payments.only_superadmin();
    insert into payments.book (code, name, ledger_role, allocation_policy, interest_first, prepay, interest_regime,
        contract_rate, limitation_years, storno, is_mirror, payee_name)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    returning id
$$;

create function payments.change_book(book bigint, name text, ledger_role text, allocation_policy text,
        interest_first boolean, prepay boolean, interest_regime text, contract_rate numeric, limitation_years integer,
        storno text, is_mirror boolean, payee_name text) returns void
    language sql security definer set search_path = pg_catalog, pg_temp as
$$
    select payments.only_superadmin();
    update payments.book
    set name = $2, ledger_role = $3, allocation_policy = $4, interest_first = $5, prepay = $6, interest_regime = $7,
        contract_rate = $8, limitation_years = $9, storno = $10, is_mirror = $11, payee_name = $12
    where id = $1
$$;

-- What was posted under a book's rules was computed by them: they stay once its journal has a number.
create function payments.keep_rules() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    raise exception 'the rules of book % are fixed: it has approved entries', old.code
        using errcode = 'EB003', constraint = 'book_rules_fixed', schema = 'payments', table = 'book';
end
$$;
create trigger keep_rules
    before update of ledger_role, allocation_policy, interest_first, prepay, interest_regime, is_mirror on payments.book
    for each row when (old.last_journal_no > 0 and (old.ledger_role, old.allocation_policy, old.interest_first,
        old.prepay, old.interest_regime, old.is_mirror) is distinct from (new.ledger_role, new.allocation_policy,
        new.interest_first, new.prepay, new.interest_regime, new.is_mirror))
    execute function payments.keep_rules();

-- --- customers' own account numbers --------------------------------------------------------------------------------

-- An NRB is two check digits and 24 digits; «PL00» is 252100 (ISO 13616, ISO 7064 mod 97-10).
create function payments.nrb(bban text) returns text
    language sql immutable strict parallel safe
return lpad((98 - (bban || '252100')::numeric % 97)::text, 2, '0') || bban;

create table payments.virtual_serial (
    prefix text primary key,
    last bigint not null,
    constraint virtual_numbers_used_up check (last < power(10::numeric, 24 - length(prefix)))
);

-- Every number that was ever given to an account. A row stays for ever, so that no number is given twice and a payment
-- to an old number still finds its account.
create table payments.virtual_number (
    number text primary key check (number ~ '^[0-9]{26}$'),
    account_id bigint references payments.account on delete set null,
    given_at timestamptz not null default now(),
    retired_at timestamptz
);
create index virtual_number_account on payments.virtual_number (account_id) where account_id is not null;

-- Take that many serial numbers of a prefix; the one before the first of them.
create function payments.take_serials(prefix text, wanted bigint) returns bigint
    language sql set search_path = pg_catalog, pg_temp as
$$
    insert into payments.virtual_serial as s (prefix, last) values ($1, $2)
    on conflict (prefix) do update set last = s.last + $2
    returning s.last - $2
$$;

create function payments.virtual_account(prefix text, serial bigint) returns text
    language sql immutable strict parallel safe
return payments.nrb(prefix || lpad(serial::text, 24 - length(prefix), '0'));

create function payments.give_number() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    prefix text;
begin
    select b.virtual_prefix into prefix from payments.book b where b.id = new.book and b.virtual_prefix <> '';
    if prefix is not null then
        new.virtual_account := payments.virtual_account(prefix, payments.take_serials(prefix, 1) + 1);
    end if;
    return new;
end
$$;
create trigger give_number before insert on payments.account
    for each row when (new.virtual_account is null) execute function payments.give_number();

create function payments.remember_number() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    update payments.virtual_number set retired_at = now() where account_id = new.id and retired_at is null;
    if new.virtual_account is not null then
        insert into payments.virtual_number (number, account_id) values (new.virtual_account, new.id);
    end if;
    return null;
end
$$;
create trigger remember_number after insert on payments.account
    for each row when (new.virtual_account is not null) execute function payments.remember_number();
create trigger remember_new_number after update of virtual_account on payments.account
    for each row when (old.virtual_account is distinct from new.virtual_account)
    execute function payments.remember_number();

-- --- whom customers pay --------------------------------------------------------------------------------------------

-- A change of the bank account is the way to steal from everybody at once. So a second superadministrator confirms it,
-- a day passes, all are told; where there is no second one, three days and a letter.
create sequence payments.payee_change_id;
create table payments.payee_change (
    id bigint primary key default nextval('payments.payee_change_id'),
    book bigint not null references payments.book,
    account_no text not null check (account_no ~ '^([0-9]{26})?$'),
    virtual_prefix text not null check (virtual_prefix ~ '^([0-9]{8,20})?$'),
    account_no_before text not null,
    virtual_prefix_before text not null,
    -- There was nobody to confirm it: longer to wait, and a letter.
    alone boolean not null,
    asked_by text not null,
    asked_at timestamptz not null,
    confirmed_by text,
    confirmed_at timestamptz,
    effective_at timestamptz,
    withdrawn_by text,
    withdrawn_at timestamptz,
    applied_at timestamptz,
    check (confirmed_by <> asked_by),
    check (num_nonnulls(withdrawn_at, applied_at) < 2),
    check (applied_at is null or effective_at is not null)
);
create unique index payee_change_pending on payments.payee_change (book) where withdrawn_at is null and applied_at is null;
create index payee_change_book on payments.payee_change (book, id desc);

create function payments.refuse(reason text, entity text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    raise exception 'refused: %', reason
        using errcode = 'EB003', constraint = reason, schema = 'payments', table = entity;
end
$$;

-- Give every open account of a book a number under the prefix, or take the numbers away.
create function payments.renumber(book bigint, prefix text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    base bigint;
    accounts bigint;
begin
    if prefix = '' then
        update payments.account a set virtual_account = null
        where a.book = renumber.book and a.virtual_account is not null;
        return;
    end if;
    select count(*) into accounts from payments.account a where a.book = renumber.book and a.closed_on is null;
    if accounts > 0 then
        base := payments.take_serials(prefix, accounts);
        update payments.account a set virtual_account = payments.virtual_account(prefix, base + n.place)
        from (
            select o.id, row_number() over (order by o.id) as place
            from payments.account o where o.book = renumber.book and o.closed_on is null
        ) n
        where a.id = n.id;
    end if;
end
$$;

create function payments.apply_payee_change(change bigint, at timestamptz) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    c payments.payee_change;
begin
    update payments.payee_change set applied_at = at where id = change returning * into c;
    update payments.book b set payee_account = c.account_no, virtual_prefix = c.virtual_prefix where b.id = c.book;
    if c.virtual_prefix <> c.virtual_prefix_before then
        perform payments.renumber(c.book, c.virtual_prefix);
    end if;
end
$$;

-- Ask for another bank account or prefix. Nothing was ever paid to a book without entries and without both: its first
-- ones count at once.
create function payments.ask_payee_change(book bigint, account_no text, virtual_prefix text, at timestamptz)
    returns table (change bigint, is_applied boolean)
    language plpgsql rows 1 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    b payments.book;
    actor constant text := nullif(current_setting('ebok.actor', true), '');
    alone boolean;
begin
    perform payments.only_superadmin();
    select * into b from payments.book k where k.id = ask_payee_change.book for update;
    if b.payee_account = ask_payee_change.account_no and b.virtual_prefix = ask_payee_change.virtual_prefix then
        perform payments.refuse('payee_unchanged', 'book');
    elsif ask_payee_change.account_no <> '' and payments.nrb(substr(ask_payee_change.account_no, 3)) <> ask_payee_change.account_no then
        perform payments.refuse('payee_account_wrong', 'book');
    end if;
    is_applied := b.payee_account = '' and b.virtual_prefix = '' and b.last_journal_no = 0;
    alone := not exists (
        select from kernel.users u where u.role = 'superadmin' and u.state = 'active' and u.id::text is distinct from actor
    );
    insert into payments.payee_change (book, account_no, virtual_prefix, account_no_before, virtual_prefix_before, alone,
        asked_by, asked_at, effective_at)
    values (b.id, ask_payee_change.account_no, ask_payee_change.virtual_prefix, b.payee_account, b.virtual_prefix, alone,
        actor, at, case when is_applied then at when alone then at + interval '72 hours' end)
    returning id into change;
    if is_applied then
        perform payments.apply_payee_change(change, at);
    end if;
    return next;
end
$$;

create function payments.confirm_payee_change(change bigint, at timestamptz) returns timestamptz
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    c payments.payee_change;
    actor constant text := nullif(current_setting('ebok.actor', true), '');
begin
    select * into c from payments.payee_change p where p.id = change for update;
    if c.withdrawn_at is not null or c.applied_at is not null then
        perform payments.refuse('payee_change_over', 'payee_change');
    elsif c.effective_at is not null then
        perform payments.refuse('payee_change_confirmed', 'payee_change');
    elsif c.asked_by = actor or not exists (
        select from kernel.users u where u.id::text = actor and u.role = 'superadmin' and u.state = 'active'
    ) then
        perform payments.refuse('payee_change_own', 'payee_change');
    end if;
    update payments.payee_change
    set confirmed_by = actor, confirmed_at = at, effective_at = at + interval '24 hours' where id = change;
    return at + interval '24 hours';
end
$$;

create function payments.withdraw_payee_change(change bigint, at timestamptz) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    perform payments.only_superadmin();
    update payments.payee_change
    set withdrawn_by = current_setting('ebok.actor', true), withdrawn_at = at
    where id = change and withdrawn_at is null and applied_at is null;
    if not found then
        perform payments.refuse('payee_change_over', 'payee_change');
    end if;
end
$$;

-- Carry out the changes whose time has come; whoever reads first does it, each once.
create function payments.apply_payee_changes(at timestamptz) returns table (change bigint, book bigint)
    language plpgsql rows 1 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
begin
    for change, book in
        select p.id, p.book from payments.payee_change p
        where p.withdrawn_at is null and p.applied_at is null and p.effective_at <= at
        order by p.book for update skip locked
    loop
        perform payments.apply_payee_change(change, at);
        return next;
    end loop;
end
$$;

-- --- accounts ------------------------------------------------------------------------------------------------------

-- The office's list goes by the account's number, whatever the book.
create index account_by_number on payments.account (account_no, id);

create function payments.open_account(customer bigint, book bigint, service_point bigint, account_no text, today date)
    returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    opened bigint;
begin
    if not exists (
        select from kernel.customer c where c.id = open_account.customer and c.status <> 'closed' for share
    ) then
        perform payments.refuse('account_of_closed_customer', 'account');
    elsif service_point is not null and not exists (
        select from kernel.service_point p where p.id = open_account.service_point and p.customer = open_account.customer
    ) then
        perform payments.refuse('account_of_foreign_point', 'account');
    end if;
    insert into payments.account (account_no, customer, book, service_point, opened_on)
    values (open_account.account_no, open_account.customer, open_account.book, open_account.service_point, today)
    returning id into opened;
    insert into payments.account_balance (account_id) values (opened);
    return opened;
end
$$;

-- Close an account on which nothing is owed, nothing waits and nothing can still arrive by itself.
create function payments.close_account(account bigint, today date) returns void
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
    end into wrong
    from payments.account a join payments.account_balance k on k.account_id = a.id
    where a.id = close_account.account for update of a;
    if wrong is not null then
        perform payments.refuse(wrong, 'account');
    end if;
    update payments.account a set closed_on = greatest(today, a.opened_on) where a.id = close_account.account;
end
$$;

create function payments.reopen_account(account bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    wrong text;
begin
    select case
        when a.closed_on is null then 'account_open'
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

-- --- months --------------------------------------------------------------------------------------------------------

-- The entry takes something back: turnover of a book with red storno shows it as a negative amount on the other side.
create function payments.takes_back(side text, kind text, corrects bigint) returns boolean
    language sql immutable parallel safe
return kind = 'reversal' or (kind = 'correction' and side = 'credit' and corrects is not null);

create sequence payments.month_close_id;
create table payments.month_close (
    id bigint primary key default nextval('payments.month_close_id'),
    book bigint not null references payments.book,
    -- Its first day.
    month date not null check (extract(day from month) = 1),
    -- running: nothing can be booked in it any more, the report is being made. failed: the report found the ledger
    -- wrong, the month is open again.
    state text not null default 'running' check (state in ('running', 'closed', 'failed', 'reopened')),
    -- Per cent of the report that is made.
    done integer not null default 0 check (done between 0 and 100),
    -- The book's closed_through before.
    through_before date,
    -- Drafts dated in the month that were left out knowingly.
    drafts integer not null,
    report jsonb,
    -- Of the report as canonical JSON (UTF-8, keys sorted, no spaces).
    sha256 text check (sha256 ~ '^[0-9a-f]{64}$'),
    closed_by text not null,
    closed_at timestamptz not null,
    reopened_by text,
    reopened_at timestamptz,
    reason text check (length(reason) <= 500),
    check ((state = 'running') = (report is null)),
    check ((report is null) = (sha256 is null)),
    check (case state when 'reopened' then num_nulls(reopened_by, reopened_at, reason) = 0
        else num_nonnulls(reopened_by, reopened_at, reason) = 0 end)
);
create unique index month_closed_once on payments.month_close (book, month) where state in ('running', 'closed');
create index month_close_book on payments.month_close (book, id desc);

create function payments.begin_month_close(book bigint, month date, acknowledged boolean, today date, at timestamptz)
    returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    b payments.book;
    last_day constant date := (month + interval '1 month')::date - 1;
    waiting integer;
    made bigint;
begin
    -- Whoever posts holds the account before looking at the book: wait for those under way, and let the others see the
    -- month closed. Accounts first, then the book, as in every posting.
    perform from payments.account_balance k join payments.account a on a.id = k.account_id
    where a.book = begin_month_close.book order by k.account_id for update of k;
    select * into b from payments.book k where k.id = begin_month_close.book for update;
    select count(*) into waiting
    from payments.entry e join payments.account a on a.id = e.account_id
    where a.book = b.id and e.state = 'draft' and e.counted_on between begin_month_close.month and last_day;
    perform payments.refuse(wrong, 'month_close') from (select case
        when exists (select from payments.month_close m where m.book = b.id and m.state = 'running') then 'month_running'
        when b.closed_through >= last_day then 'month_closed_once'
        when b.closed_through + 1 <> begin_month_close.month then 'month_out_of_order'
        when last_day >= today then 'month_not_ended'
        when waiting > 0 and not acknowledged then 'month_has_drafts'
    end) refused (wrong) where wrong is not null;
    insert into payments.month_close (book, month, through_before, drafts, closed_by, closed_at)
    values (b.id, begin_month_close.month, b.closed_through, waiting, current_setting('ebok.actor', true), at)
    returning id into made;
    update payments.book k set closed_through = last_day where k.id = b.id;
    return made;
end
$$;

create function payments.note_month_close(closing bigint, percent integer) returns void
    language sql security definer set search_path = pg_catalog, pg_temp as
$$
    update payments.month_close set done = $2 where id = $1 and state = 'running'
$$;

-- Keep the report; a ledger that is found wrong is not closed.
create function payments.end_month_close(closing bigint, report jsonb, sha256 text, is_sound boolean) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    m payments.month_close;
begin
    update payments.month_close c
    set report = end_month_close.report, sha256 = end_month_close.sha256, done = 100,
        state = case when is_sound then 'closed' else 'failed' end
    where c.id = closing and c.state = 'running'
    returning * into m;
    if m.state = 'failed' then
        update payments.book b set closed_through = m.through_before where b.id = m.book;
    end if;
    return m.id is not null;
end
$$;

create function payments.reopen_month(book bigint, month date, reason text, at timestamptz) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    b payments.book;
    before date;
begin
    if coalesce(current_setting('ebok.mode', true), '') <> 'superadmin' then
        perform payments.refuse('month_needs_mode', 'month_close');
    end if;
    select * into b from payments.book k where k.id = reopen_month.book for update;
    if b.closed_through is distinct from (reopen_month.month + interval '1 month')::date - 1 then
        perform payments.refuse('month_not_last', 'month_close');
    end if;
    update payments.month_close m
    set state = 'reopened', reopened_by = current_setting('ebok.actor', true), reopened_at = at,
        reason = reopen_month.reason
    where m.book = b.id and m.month = reopen_month.month and m.state = 'closed'
    returning m.through_before into before;
    if not found then
        perform payments.refuse('month_running', 'month_close');
    end if;
    update payments.book k set closed_through = before where k.id = b.id;
end
$$;

-- --- rights, and the setting that moves here -----------------------------------------------------------------------

revoke insert, update, delete on payments.virtual_serial, payments.virtual_number, payments.payee_change,
    payments.month_close from ebok_app;
revoke execute on all functions in schema payments from public;
revoke execute on function payments.keep_rules, payments.take_serials, payments.give_number, payments.remember_number,
    payments.refuse, payments.renumber, payments.apply_payee_change from ebok_app;

-- The bank account was a setting; now it is the book's, guarded as above.
update payments.book b set payee_account = s.value ->> 'account_no'
from kernel.setting s
where b.code = 'main' and s.plugin = 'payments' and s.value ->> 'account_no' ~ '^[0-9]{26}$';
update kernel.setting set value = value - 'account_no' where plugin = 'payments' and value ? 'account_no';

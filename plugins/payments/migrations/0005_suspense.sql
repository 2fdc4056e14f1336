-- Suspense («wpływy do wyjaśnienia»): every line of money that came in is booked on its day, and each of its grosze is
-- on an account, given back, or still in suspense. A line never changes; what becomes of it are its parts.
--
-- Locks are taken in one order everywhere: balances of accounts, the book's journal, then lines by id.

create sequence payments.incoming_id;
create table payments.incoming (
    id bigint primary key default nextval('payments.incoming_id'),
    -- The bank account and the statement's number; empty for a line entered by hand.
    statement text not null default '',
    line_no integer check (line_no > 0),
    amount bigint not null constraint incoming_amount check (amount between 1 and 1000000000000),
    currency text not null default 'PLN' constraint incoming_currency check (currency = 'PLN'),
    value_date date not null,
    paid_on date,
    booked_on date not null,
    payer_name text not null default '',
    payer_account text not null default '',
    -- The account number that it was paid to: an account's own (virtual) one tells whose money it is.
    paid_to text not null default '',
    title text not null default '',
    channel text not null default 'transfer' constraint incoming_channel
        check (channel in ('transfer', 'cash', 'gateway', 'direct_debit', 'offset')),
    source text,
    external_id text,
    -- What its live parts take; written by the functions below alone.
    assigned bigint not null default 0,
    left_amount bigint not null generated always as (amount - assigned) stored,
    -- The office's order: what still waits first, then by day.
    place integer not null generated always as
        (case when assigned < amount then 1000000 else 0 end + (booked_on - date '2000-01-01')) stored,
    created_by text not null default nullif(current_setting('ebok.actor', true), ''),
    created_at timestamptz not null default now(),
    constraint incoming_external unique (source, external_id),
    constraint incoming_texts check (length(statement) <= 80 and length(payer_name) <= 300 and length(payer_account) <= 40
        and length(paid_to) <= 40 and length(title) <= 1000),
    constraint incoming_assigned check (assigned between 0 and amount),
    check ((source is null) = (external_id is null))
);
create index incoming_place on payments.incoming (place desc, id desc);
create index incoming_day on payments.incoming (booked_on, id);
create index incoming_waits on payments.incoming (booked_on, id) include (left_amount) where assigned < amount;
create index incoming_payer on payments.incoming (payer_account, id) where payer_account <> '';

create sequence payments.incoming_part_id;
create table payments.incoming_part (
    id bigint primary key default nextval('payments.incoming_part_id'),
    line bigint not null references payments.incoming,
    -- Whose it is; null for what leaves the organisation or was never there.
    account_id bigint references payments.account,
    -- The credit in the ledger; null in a mirror book, where only the importer writes.
    entry bigint,
    amount bigint not null check (amount > 0),
    -- returned: sent back to the payer; mistake: the line was entered wrongly.
    kind text not null check (kind in ('payment', 'benefit', 'offset', 'returned', 'mistake')),
    reason text not null default '' check (length(reason) <= 500),
    created_by text not null default nullif(current_setting('ebok.actor', true), ''),
    created_at timestamptz not null default now(),
    undone_at timestamptz,
    undone_by text,
    undone_reason text,
    foreign key (account_id, entry) references payments.entry (account_id, id),
    check ((account_id is null) = (kind in ('returned', 'mistake'))),
    check (account_id is not null or (entry is null and reason <> '')),
    check (num_nonnulls(undone_at, undone_by, undone_reason) in (0, 3))
);
create index incoming_part_line on payments.incoming_part (line);
create unique index incoming_part_entry on payments.incoming_part (account_id, entry);

-- What was handed to the billing application of a mirror book: each payment once, and its withdrawal once.
create sequence payments.incoming_export_id;
create table payments.incoming_export (
    id bigint primary key default nextval('payments.incoming_export_id'),
    created_by text not null default nullif(current_setting('ebok.actor', true), ''),
    created_at timestamptz not null default now(),
    payments integer not null,
    withdrawals integer not null,
    -- Payments less withdrawals.
    total bigint not null
);

-- A bank line matched to an account of a mirror book: shown, outside the balance, until the source's own is here.
create sequence payments.provisional_id;
create table payments.provisional (
    account_id bigint not null references payments.account,
    id bigint not null default nextval('payments.provisional_id'),
    part bigint not null unique references payments.incoming_part,
    amount bigint not null check (amount > 0),
    value_date date not null,
    -- What the source calls it, where the bank line carries that.
    external_id text,
    created_at timestamptz not null default now(),
    replaced_by bigint,
    replaced_at timestamptz,
    withdrawn_at timestamptz,
    exported_in bigint references payments.incoming_export,
    withdrawal_exported_in bigint references payments.incoming_export,
    primary key (account_id, id),
    foreign key (account_id, replaced_by) references payments.entry (account_id, id),
    check ((replaced_by is null) = (replaced_at is null))
);
create unique index provisional_replaced_once on payments.provisional (account_id, replaced_by);
create index provisional_waits on payments.provisional (account_id, value_date)
    where replaced_by is null and withdrawn_at is null;
create index provisional_to_export on payments.provisional (account_id, id) include (amount)
    where exported_in is null and replaced_by is null and withdrawn_at is null;
create index provisional_to_withdraw on payments.provisional (account_id, id) include (amount)
    where exported_in is not null and withdrawn_at is not null and withdrawal_exported_in is null;
create index provisional_exported on payments.provisional (exported_in, account_id, id) where exported_in is not null;
create index provisional_withdrawal_exported on payments.provisional (withdrawal_exported_in, account_id, id)
    where withdrawal_exported_in is not null;

-- The day on which something is booked that belongs to a day: the day itself, or the first one of the open month.
create function payments.open_day(day date) returns date
    language sql stable set search_path = pg_catalog, pg_temp as
$$
    select greatest(day, (select max(b.closed_through) + 1 from payments.book b where not b.is_mirror))
$$;

-- A draft that is made of a line was entered by whom the line was: where two people are wanted, the one who assigns it is
-- the second.
create function payments.came_from(accounts bigint[], entries bigint[], lines bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    update payments.entry e set created_by = i.created_by
    from unnest(accounts, entries, lines) n (account_id, id, line) join payments.incoming i on i.id = n.line
    where e.account_id = n.account_id and e.id = n.id and e.state = 'draft' and e.side = 'credit'
      and e.value_date = i.value_date;
end
$$;

-- Take from lines what these parts say. An entry has been approved for each part on an account of an own book.
create function payments.assign(
    lines bigint[], accounts bigint[], entries bigint[], amounts bigint[], kinds text[], reasons text[])
    returns setof bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    wrong text;
    mirrors bigint[];
begin
    perform payments.hold(accounts);
    perform from payments.incoming where id = any (lines) order by id for update;
    select case
        when i.id is null then 'part_of_nothing'
        when n.account_id is not null and b.id is null then 'part_account'
        when n.account_id is not null and n.entry is null and not b.is_mirror then 'part_without_entry'
        when n.entry is not null and (b.is_mirror or (e.side, e.state, e.kind, e.amount, e.value_date, e.paid_on)
            is distinct from ('credit', 'approved', n.kind, n.amount, i.value_date, i.paid_on)) then 'part_unlike_entry'
    end into wrong
    from unnest(lines, accounts, entries, amounts, kinds) n (line, account_id, entry, amount, kind)
    left join payments.incoming i on i.id = n.line
    left join payments.account a on a.id = n.account_id
    left join payments.book b on b.id = a.book
    left join payments.entry e on e.account_id = n.account_id and e.id = n.entry
    order by 1 nulls last limit 1;
    if wrong is not null then
        raise exception 'this part does not fit its line: %', wrong
            using errcode = 'EB003', constraint = wrong, schema = 'payments', table = 'incoming_part';
    end if;
    return query
        insert into payments.incoming_part (line, account_id, entry, amount, kind, reason)
        select line, account_id, entry, amount, kind, reason
        from unnest(lines, accounts, entries, amounts, kinds, reasons)
            with ordinality n (line, account_id, entry, amount, kind, reason, place)
        order by place
        returning id;
    update payments.incoming i set assigned = i.assigned + n.amount
    from (select line, sum(amount) as amount from unnest(lines, amounts) n (line, amount) group by line) n
    where i.id = n.line;
    with made as (
        insert into payments.provisional (account_id, part, amount, value_date, external_id)
        select p.account_id, p.id, p.amount, i.value_date, i.external_id
        from payments.incoming_part p join payments.incoming i on i.id = p.line
        where p.line = any (lines) and p.undone_at is null and p.account_id is not null and p.entry is null
          and not exists (select from payments.provisional v where v.part = p.id)
        order by p.id
        returning account_id
    )
    select array_agg(distinct account_id) into mirrors from made;
    if mirrors is not null then
        perform payments.reconcile(mirrors);
    end if;
end
$$;

-- Put what these parts took back into suspense. The caller has undone their entries.
create function payments.give_back(parts bigint[], why text) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    perform from payments.incoming i
    where i.id in (select p.line from payments.incoming_part p where p.id = any (parts)) order by i.id for update;
    with undone as (
        update payments.incoming_part p
        set undone_at = now(), undone_by = nullif(current_setting('ebok.actor', true), ''), undone_reason = why
        where p.id = any (parts) and p.undone_at is null
        returning p.id, p.line, p.amount
    ), withdrawn as (
        update payments.provisional v set withdrawn_at = now()
        from undone u where v.part = u.id
    )
    update payments.incoming i set assigned = i.assigned - u.amount
    from (select line, sum(amount) as amount from undone group by line) u
    where i.id = u.line;
end
$$;

-- Undo a part that has no entry in the ledger; with an entry, its reversal does it.
create function payments.undo_part(part bigint, why text) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    account bigint;
    wrong text;
begin
    select p.account_id into account from payments.incoming_part p where p.id = undo_part.part;
    perform payments.hold(array[account]);
    select case
        when p.undone_at is not null then 'part_undone'
        when p.entry is not null then 'part_has_entry'
        when v.replaced_by is not null then 'part_confirmed'
    end into wrong
    from payments.incoming_part p left join payments.provisional v on v.part = p.id
    where p.id = undo_part.part for update of p;
    if wrong is not null then
        raise exception 'this part cannot be undone: %', wrong
            using errcode = 'EB003', constraint = wrong, schema = 'payments', table = 'incoming_part';
    end if;
    perform payments.give_back(array[part], why);
end
$$;

-- However an entry ceases to count (reversed or voided), the money that it put on an account is in suspense again; and
-- when the reversal itself is voided, it is on the account again. The same for what a source's record replaced.
create function payments.follow_entry() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    counted constant bigint := coalesce(new.reverses, new.id);
    again record;
begin
    if new.state = 'voided' and new.reverses is not null then
        select p.id, p.line, p.amount into again from payments.incoming_part p
        where p.account_id = new.account_id and p.entry = counted and p.undone_at is not null;
        if again.id is null then
            return null;
        end if;
        update payments.incoming i set assigned = i.assigned + again.amount
        where i.id = again.line and i.left_amount >= again.amount;
        if not found then
            raise exception 'the money of entry % has been assigned elsewhere since', counted
                using errcode = 'EB003', constraint = 'void_of_referred', schema = 'payments', table = 'incoming_part';
        end if;
        update payments.incoming_part p set undone_at = null, undone_by = null, undone_reason = null
        where p.id = again.id;
        return null;
    end if;
    perform payments.give_back(array_agg(p.id), coalesce(nullif(new.void_reason, ''), new.reason))
    from payments.incoming_part p
    where p.account_id = new.account_id and p.entry = counted and p.undone_at is null
    having count(*) > 0;
    update payments.provisional v set replaced_by = null, replaced_at = null
    where v.account_id = new.account_id and v.replaced_by = counted;
    return null;
end
$$;
create trigger follow_entry after update of state on payments.entry
    for each row when (old.state <> new.state and (new.state = 'voided' or new.reverses is not null))
    execute function payments.follow_entry();

-- Replace the provisional credits of these accounts by the records of the source that have arrived: the one of the same
-- external reference, else one of the same amount and a value date within three days. Each record replaces one.
create function payments.reconcile(accounts bigint[]) returns integer
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    waiting payments.provisional;
    arrived bigint;
    replaced integer := 0;
begin
    perform payments.hold(accounts);
    for waiting in
        select v.* from payments.provisional v
        where v.account_id = any (accounts) and v.replaced_by is null and v.withdrawn_at is null
        order by v.account_id, v.value_date, v.id
    loop
        select e.id into arrived from payments.entry e
        where e.account_id = waiting.account_id and e.side = 'credit' and e.state = 'approved' and e.kind <> 'reversal'
          and e.source is not null and (e.external_id = waiting.external_id or e.amount = waiting.amount
            and e.counted_on between waiting.value_date - 3 and waiting.value_date + 3)
          and not exists (select from payments.provisional v where v.account_id = e.account_id and v.replaced_by = e.id)
          and not exists (
            select from payments.entry r
            where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved')
        order by (e.external_id = waiting.external_id) is true desc, abs(e.counted_on - waiting.value_date), e.id
        limit 1;
        if arrived is not null then
            update payments.provisional v set replaced_by = arrived, replaced_at = now()
            where v.account_id = waiting.account_id and v.id = waiting.id;
            replaced := replaced + 1;
        end if;
    end loop;
    return replaced;
end
$$;

-- A payment on the wrong account was reversed and booked on the right one in this transaction: the part goes with it,
-- instead of back into suspense. Does nothing for an entry that came from no line. Returns the new part.
create function payments.move_part(from_account bigint, from_entry bigint, to_account bigint, to_entry bigint)
    returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    moved payments.incoming_part;
begin
    select p.* into moved from payments.incoming_part p
    where p.account_id = from_account and p.entry = from_entry and (p.undone_at is null or p.undone_at = now());
    if moved.id is null then
        return null;
    end if;
    perform payments.hold(array[from_account, to_account]);
    perform payments.give_back(array[moved.id], 'moved');
    return (
        select part from payments.assign(
            array[moved.line], array[to_account], array[to_entry],
            array[(select e.amount from payments.entry e where e.account_id = to_account and e.id = to_entry)],
            array[moved.kind], array[moved.reason]) part
    );
end
$$;

-- Hand over what the billing application has not had yet: payments that it has not booked by itself, and withdrawals of
-- those it was given. Null when there is nothing.
create function payments.export_incoming() returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    made bigint;
    given integer;
    taken integer;
    sum_given bigint;
    sum_taken bigint;
begin
    lock table payments.incoming_export in share row exclusive mode;
    insert into payments.incoming_export (payments, withdrawals, total) values (0, 0, 0) returning id into made;
    with taken as (
        update payments.provisional v set withdrawal_exported_in = made
        where v.exported_in is not null and v.withdrawn_at is not null and v.withdrawal_exported_in is null
        returning v.amount
    ), given as (
        update payments.provisional v set exported_in = made
        where v.exported_in is null and v.replaced_by is null and v.withdrawn_at is null
        returning v.amount
    )
    select (select count(*) from given), (select count(*) from taken),
           (select coalesce(sum(amount), 0) from given), (select coalesce(sum(amount), 0) from taken)
    into given, taken, sum_given, sum_taken;
    if given + taken = 0 then
        delete from payments.incoming_export where id = made;
        return null;
    end if;
    update payments.incoming_export
    set payments = given, withdrawals = taken, total = sum_given - sum_taken where id = made;
    return made;
end
$$;

-- The application enters lines and asks; what is entered stays as it is, and the functions above do the rest.
revoke insert, update, delete on payments.incoming, payments.incoming_part, payments.provisional,
    payments.incoming_export from ebok_app;
grant insert (statement, line_no, amount, currency, value_date, paid_on, booked_on, payer_name, payer_account, paid_to,
    title, channel, source, external_id) on payments.incoming to ebok_app;
revoke execute on function payments.open_day, payments.came_from, payments.assign, payments.give_back, payments.undo_part,
    payments.follow_entry, payments.reconcile, payments.move_part, payments.export_incoming from public;
revoke execute on function payments.give_back, payments.follow_entry from ebok_app;

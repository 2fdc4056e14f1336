-- The ledger. Amounts are grosze. Registers (book, account, holiday) may have keys of their own; what grows with
-- entries (entry, allocation, account_balance) carries account_id first in its keys, takes ids from sequences, and its
-- triggers look at their own row, so that one large organisation can be spread over several servers by account.

create sequence payments.book_id;
create table payments.book (
    id bigint primary key default nextval('payments.book_id'),
    code text not null unique check (code ~ '^[a-z][a-z0-9_]{0,40}$'),
    name text not null,
    -- «books»: these are the organisation's accounting books; a mistake there is reversed, never voided.
    ledger_role text not null default 'auxiliary' check (ledger_role in ('auxiliary', 'books')),
    allocation_policy text not null default 'civil',
    last_journal_no bigint not null default 0
);
insert into payments.book (code, name) values ('main', 'Rozrachunki');

create sequence payments.account_id;
create table payments.account (
    id bigint primary key default nextval('payments.account_id'),
    account_no text not null check (account_no <> ''),
    customer bigint not null references kernel.customer,
    book bigint not null references payments.book,
    service_point bigint references kernel.service_point,
    opened_on date not null default current_date,
    closed_on date check (closed_on >= opened_on),
    unique (book, account_no),
    unique nulls not distinct (customer, book, service_point)
);
create index account_service_point on payments.account (service_point) where service_point is not null;

create table payments.account_balance (
    account_id bigint primary key references payments.account on delete cascade,
    charged bigint not null default 0 check (charged >= 0),
    credited bigint not null default 0 check (credited >= 0),
    balance bigint not null generated always as (charged - credited) stored,
    oldest_open_due date,
    -- Counts postings: what was read under one number is stale under the next.
    version bigint not null default 0,
    updated_at timestamptz not null default now()
);

create sequence payments.entry_id;
create table payments.entry (
    account_id bigint not null references payments.account,
    id bigint not null default nextval('payments.entry_id'),
    side text not null check (side in ('charge', 'credit')),
    kind text not null,
    amount bigint not null check (amount between 1 and 1000000000000000),
    currency text not null default 'PLN' check (currency = 'PLN'),
    -- What no allocation has taken; written by the functions below alone.
    open_amount bigint not null default 0 check (open_amount between 0 and amount),
    issued_on date,
    due_on date,
    effective_due_on date,
    paid_on date,
    value_date date,
    booked_on date,
    -- The day that counts for a balance «as of»: of issue for charges, of value for credits.
    counted_on date not null generated always as (case side when 'credit' then value_date else issued_on end) stored,
    period text not null default '' check (period ~ '^([0-9]{4}(-(0[1-9]|1[0-2]))?)?$'),
    title text not null default '' check (length(title) <= 200),
    document_no text not null default '' check (length(document_no) <= 80),
    document_date date,
    journal_no bigint,
    channel text not null default '' check (channel in ('', 'transfer', 'cash', 'gateway', 'direct_debit', 'offset')),
    state text not null default 'draft' check (state in ('draft', 'approved', 'voided')),
    bears_on bigint,
    reverses bigint,
    corrects bigint,
    reason text not null default '' check (length(reason) <= 500),
    source text,
    external_id text,
    -- A source row that changed beyond a correction of its amount is reversed and entered anew under the next number.
    external_version integer not null default 1,
    created_by text not null default current_setting('ebok.actor', true),
    created_at timestamptz not null default now(),
    approved_by text,
    approved_at timestamptz,
    voided_by text,
    voided_at timestamptz,
    void_reason text,
    primary key (account_id, id),
    foreign key (account_id, bears_on) references payments.entry (account_id, id),
    foreign key (account_id, reverses) references payments.entry (account_id, id),
    foreign key (account_id, corrects) references payments.entry (account_id, id),
    constraint entry_kind check (case side
        when 'charge' then kind in ('fee', 'settlement', 'interest', 'cost', 'opening', 'correction', 'refund',
            'transfer', 'reversal')
        else kind in ('payment', 'offset', 'benefit', 'opening', 'correction', 'remission', 'write_off', 'transfer',
            'reversal')
    end),
    constraint entry_dates check (case side
        when 'charge' then value_date is null and issued_on is not null and (due_on is null) = (kind = 'reversal')
        else value_date is not null and due_on is null
    end),
    constraint entry_effective_due check (effective_due_on >= due_on and (state = 'draft') <= (effective_due_on is null)),
    constraint entry_reversal check ((reverses is not null) = (kind = 'reversal')),
    constraint entry_correction check (corrects is null or kind = 'correction'),
    constraint entry_bears_on check ((bears_on is not null) = (kind in ('interest', 'cost'))),
    constraint entry_source check ((source is null) = (external_id is null)),
    constraint entry_approval check (case state
        when 'draft' then num_nonnulls(approved_by, approved_at, journal_no, booked_on, voided_by, voided_at) = 0
            and open_amount = 0
        when 'approved' then num_nulls(approved_by, approved_at, journal_no, booked_on) = 0
            and num_nonnulls(voided_by, voided_at) = 0 and (due_on is null) = (effective_due_on is null)
        else num_nulls(approved_by, approved_at, journal_no, booked_on, voided_by, voided_at, void_reason) = 0
            and open_amount = 0
    end)
);
create index entry_card on payments.entry (account_id, counted_on desc, id desc) where state <> 'draft';
create index entry_open on payments.entry (account_id, side, effective_due_on, id) include (open_amount)
    where open_amount > 0;
create index entry_drafts on payments.entry (account_id, id) where state = 'draft';
create unique index entry_reversed_once on payments.entry (account_id, reverses)
    where reverses is not null and state <> 'voided';
create index entry_corrects on payments.entry (account_id, corrects) where corrects is not null;
create index entry_bears_on on payments.entry (account_id, bears_on) where bears_on is not null;
create unique index entry_external on payments.entry (account_id, source, external_id, external_version)
    where external_id is not null;
create unique index entry_journal on payments.entry (account_id, journal_no) where journal_no is not null;
-- The office's list, newest first, and its addresses go by the number alone. Not unique, so it spreads over servers too.
create index entry_newest on payments.entry (id desc);

create trigger protect_approved
    before insert or delete or update of account_id, id, side, kind, amount, currency, issued_on, due_on,
        effective_due_on, paid_on, value_date, booked_on, period, title, document_no, document_date, journal_no, channel,
        state, bears_on, reverses, corrects, reason, source, external_id, external_version, created_by, created_at,
        approved_by, approved_at, voided_by, voided_at, void_reason
    on payments.entry
    -- A generated column is not yet known to a trigger that fires before.
    for each row execute function kernel.protect_approved('open_amount', 'counted_on');

create sequence payments.allocation_id;
create table payments.allocation (
    account_id bigint not null references payments.account,
    id bigint not null default nextval('payments.allocation_id'),
    credit bigint not null,
    charge bigint not null,
    amount bigint not null check (amount > 0),
    -- The credit's value date and the charge's effective due date, which never change: interest and history need no join.
    value_date date not null,
    effective_due_on date,
    rule text not null check (rule in ('designated', 'oldest_due', 'inner_interest', 'prepay', 'correction', 'reversal',
        'manual', 'imported')),
    pinned boolean not null default false,
    created_at timestamptz not null default now(),
    released_at timestamptz,
    primary key (account_id, id),
    foreign key (account_id, credit) references payments.entry (account_id, id),
    foreign key (account_id, charge) references payments.entry (account_id, id),
    check (released_at >= created_at),
    check (pinned or rule in ('designated', 'oldest_due', 'inner_interest', 'prepay'))
);
create index allocation_credit on payments.allocation (account_id, credit);
create index allocation_charge on payments.allocation (account_id, charge);
create index allocation_by_value on payments.allocation (account_id, value_date)
    where released_at is null and not pinned;
create index allocation_by_due on payments.allocation (account_id, effective_due_on)
    where released_at is null and not pinned;

-- Days that are no working days besides Saturdays and Sundays: Act of 18 January 1951 on days free from work. Editable:
-- the years after the last one seeded are entered by the office or by a later migration.
create table payments.holiday (
    day date primary key,
    name text not null
);
with easter as (  -- the Gregorian computus (Meeus, Jones, Butcher)
    select y, make_date(y, 3, 1) + (f.h + f.l - 7 * f.m + 21)::integer as sunday
    from generate_series(2016, 2035) y,
    lateral (select y % 19 as a, y / 100 as b, y % 100 as c) p,
    lateral (select (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30 as h) q,
    lateral (select h, (32 + 2 * (b % 4) + 2 * (c / 4) - h - c % 4) % 7 as l) r,
    lateral (select r.h, r.l, (a + 11 * r.h + 22 * r.l) / 451 as m) f
)
insert into payments.holiday (day, name)
select sunday + after, name from easter, (values
    (0, 'Wielkanoc'), (1, 'Poniedziałek Wielkanocny'), (49, 'Zielone Świątki'), (60, 'Boże Ciało')
) movable (after, name)
union all
select make_date(y, month, day), name from easter, (values
    (1, 1, 'Nowy Rok', 0), (1, 6, 'Trzech Króli', 0), (5, 1, 'Święto Pracy', 0), (5, 3, 'Święto Konstytucji 3 Maja', 0),
    (8, 15, 'Wniebowzięcie', 0), (11, 1, 'Wszystkich Świętych', 0), (11, 11, 'Święto Niepodległości', 0),
    (12, 24, 'Wigilia', 2025), (12, 25, 'Boże Narodzenie', 0), (12, 26, 'Drugi dzień Bożego Narodzenia', 0)
) fixed (month, day, name, since) where y >= since
on conflict (day) do nothing;

-- The working day that a due date moves to (art. 115 of the Civil Code). Outside the years of the table it refuses.
create function payments.effective_due(due date) returns date
    language plpgsql stable strict parallel safe set search_path = pg_catalog, pg_temp as
$$
declare
    moved date := due;
begin
    if not exists (select from payments.holiday where day = make_date(extract(year from due)::integer, 1, 1)) then
        raise exception 'the holidays of % are not known', extract(year from due)
            using errcode = 'EB003', constraint = 'holidays_unknown', schema = 'payments';
    end if;
    while extract(isodow from moved) > 5 or exists (select from payments.holiday where day = moved) loop
        moved := moved + 1;
    end loop;
    return moved;
end
$$;

-- The one place that allocates, for the policy «civil»: what the entries named here and everything behind them in the
-- two queues of their accounts (charges by effective due date, credits by value date, then by id) now meet.
--
-- The queues are settled first come, first served, so what lies before the first changed date in both stays as it is:
-- posting the newest payment touches open charges only. Reversals and corrections are pinned to the entry they name.
-- The caller holds the balance rows and names, with a reversal or correction, the entries it refers to.
create function payments.settle(accounts bigint[], entries bigint[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
begin
with changed as (
    select e.*, e.state = 'approved' and not exists (
        select from payments.entry r where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved'
    ) as counts
    from (select distinct * from unnest(accounts, entries)) named (account_id, id)
    join payments.entry e using (account_id, id)
),
cut as (
    select account_id,
           min(value_date) filter (where side = 'credit') as credits_from,
           min(effective_due_on) filter (where side = 'charge') as charges_from
    from changed group by account_id
),
loose as (  -- each branch follows an index of its own, so that none reads an account's whole history
    select a.* from cut join payments.allocation a using (account_id)
    where a.released_at is null and not a.pinned and a.value_date >= cut.credits_from
    union
    select a.* from cut join payments.allocation a using (account_id)
    where a.released_at is null and not a.pinned and a.effective_due_on >= cut.charges_from
    union
    select a.* from changed c join payments.allocation a on a.account_id = c.account_id and a.credit = c.id
    where a.released_at is null and a.pinned and a.rule <> 'reversal' and (a.rule = 'correction' or not c.counts)
    union
    select a.* from changed c join payments.allocation a on a.account_id = c.account_id and a.charge = c.id
    where a.released_at is null and a.pinned and a.rule not in ('correction', 'reversal') and not c.counts
    union
    select a.* from changed c join payments.allocation a
      on a.account_id = c.account_id and a.credit = case c.side when 'credit' then c.id else c.reverses end
    where c.kind = 'reversal' and a.released_at is null and a.rule = 'reversal'
),
pins as (
    select account_id, id as credit, corrects as charge, amount, 'correction' as rule
    from changed where kind = 'correction' and side = 'credit' and corrects is not null and counts
    union all
    select account_id, case side when 'credit' then id else reverses end,
           case side when 'credit' then reverses else id end, amount, 'reversal'
    from changed where kind = 'reversal' and state = 'approved'
),
standing as (  -- whatever is open, and what the loose allocations give back or the pins take
    select account_id, id, sum(amount) as given from (
        select account_id, credit as id, amount from loose union all
        select account_id, charge, amount from loose union all
        select account_id, credit, -amount from pins union all
        select account_id, charge, -amount from pins union all
        select e.account_id, e.id, 0 from cut join payments.entry e using (account_id) where e.open_amount > 0
    ) parts group by account_id, id
),
queue as (
    select e.account_id, e.id, e.side, e.value_date, e.effective_due_on, e.open_amount,
           case e.state when 'approved' then e.open_amount + s.given else 0 end::bigint as free
    from standing s join payments.entry e using (account_id, id)
),
ranked as (
    select *, row_number() over line as place, sum(free) over line as upto
    from queue where free > 0
    window line as (partition by account_id, side order by coalesce(effective_due_on, value_date), id)
),
met as (  -- between two neighbouring ends of either queue one credit meets one charge: the first that ends there or later
    select distinct account_id, upto - coalesce(max(upto) over earlier, 0) as amount,
           min(array[place, id, value_date - date '1900-01-01']) filter (where side = 'credit') over later as credit,
           min(array[place, id, effective_due_on - date '1900-01-01']) filter (where side = 'charge') over later as charge
    from ranked
    window earlier as (partition by account_id order by upto groups between unbounded preceding and 1 preceding),
           later as (partition by account_id order by upto desc)
),
wanted as (
    select account_id, credit[2] as credit, charge[2] as charge, amount::bigint as amount,
           case when charge[3] > credit[3] then 'prepay' else 'oldest_due' end as rule,
           date '1900-01-01' + credit[3]::integer as value_date, date '1900-01-01' + charge[3]::integer as effective_due_on
    from met where credit is not null and charge is not null
    union all
    select p.account_id, p.credit, p.charge, p.amount, p.rule, c.value_date, h.effective_due_on
    from pins p
    join payments.entry c on c.account_id = p.account_id and c.id = p.credit
    join payments.entry h on h.account_id = p.account_id and h.id = p.charge
),
compared as (  -- grouping, not joining: the planner cannot know how many rows meet here
    select account_id, credit, charge, amount, rule, max(id) as id, bool_or(is_wanted) as is_wanted,
           max(value_date) as value_date, max(effective_due_on) as effective_due_on
    from (
        select account_id, credit, charge, amount, rule, null::bigint as id, true as is_wanted, value_date,
               effective_due_on from wanted
        union all
        select account_id, credit, charge, amount, rule, id, false, null, null from loose
    ) both_sides group by account_id, credit, charge, amount, rule
),
released as (
    update payments.allocation a set released_at = greatest(now(), a.created_at)
    from compared c where a.account_id = c.account_id and a.id = c.id and not c.is_wanted
),
made as (
    insert into payments.allocation (account_id, credit, charge, amount, rule, pinned, value_date, effective_due_on)
    select account_id, credit, charge, amount, rule, rule in ('correction', 'reversal'), value_date, effective_due_on
    from compared where id is null
    order by account_id, charge, credit
),
settled as (
    select account_id, id, sum(amount)::bigint as open_amount, sum(open_now)::bigint as open_now from (
        select account_id, id, free as amount, open_amount as open_now from queue union all
        select account_id, credit, -amount, 0 from wanted where rule in ('oldest_due', 'prepay') union all
        select account_id, charge, -amount, 0 from wanted where rule in ('oldest_due', 'prepay')
    ) parts group by account_id, id
)
update payments.entry e set open_amount = s.open_amount
from settled s
where e.account_id = s.account_id and e.id = s.id and s.open_now <> s.open_amount;
end
$$;

-- Hold the balance rows of these accounts until the transaction ends, in account order, so that no two postings deadlock.
create function payments.hold(accounts bigint[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    perform from payments.account_balance where account_id = any (accounts) order by account_id for update;
end
$$;

-- Bring the balance rows to a posting: «turns» is +1 for entries that now count, -1 for entries that no longer do.
create function payments.carry(accounts bigint[], entries bigint[], turns integer) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
begin
    update payments.account_balance b
    set charged = b.charged + turns * t.charged, credited = b.credited + turns * t.credited,
        oldest_open_due = (
            select min(e.effective_due_on) from payments.entry e
            where e.account_id = b.account_id and e.side = 'charge' and e.open_amount > 0
        ),
        version = b.version + 1, updated_at = now()
    from (
        select e.account_id, coalesce(sum(e.amount) filter (where e.side = 'charge'), 0)::bigint as charged,
               coalesce(sum(e.amount) filter (where e.side = 'credit'), 0)::bigint as credited
        from unnest(accounts, entries) named (account_id, id) join payments.entry e using (account_id, id)
        group by e.account_id
    ) t
    where b.account_id = t.account_id;
end
$$;

-- The entries of a posting with those they reverse or correct, whose allocations change with them.
create function payments.with_referred(inout accounts bigint[], inout entries bigint[])
    language sql stable set search_path = pg_catalog, pg_temp as
$$
    with recursive referred as (
        select * from unnest(accounts, entries) named (account_id, id)
        union
        select e.account_id, coalesce(e.reverses, e.corrects)
        from referred join payments.entry e using (account_id, id)
        where coalesce(e.reverses, e.corrects) is not null
    )
    select array_agg(account_id), array_agg(id) from referred
$$;

-- Approve drafts: number them in the journal, post them, allocate, carry the balances. Entries that are no drafts (any
-- more) are left alone, so that two people who approve the same list approve it once. Returns what became approved.
create function payments.approve(accounts bigint[], entries bigint[], today date)
    returns table (account_id bigint, id bigint)
    language plpgsql rows 1 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    posted_accounts bigint[];
    posted bigint[];
    refers boolean;
begin
    perform payments.hold(accounts);
    with drafts as (
        select e.account_id, e.id, a.book
        from (select distinct * from unnest(accounts, entries)) named (account_id, id)
        join payments.entry e using (account_id, id) join payments.account a on a.id = e.account_id
        where e.state = 'draft' for update of e
    ), numbered as (
        select d.*, row_number() over (partition by d.book order by d.id) as place from drafts d
    ), counted as (
        update payments.book b set last_journal_no = b.last_journal_no + n.entries
        from (select book, count(*) as entries from drafts group by book) n where n.book = b.id
        returning b.id, b.last_journal_no - n.entries as base
    ), approved as (
        update payments.entry e
        set state = 'approved', open_amount = e.amount, effective_due_on = payments.effective_due(e.due_on),
            booked_on = today, journal_no = c.base + n.place,
            approved_by = current_setting('ebok.actor', true), approved_at = now()
        from numbered n join counted c on c.id = n.book
        where e.account_id = n.account_id and e.id = n.id
        returning e.account_id, e.id, coalesce(e.reverses, e.corrects) is not null as refers
    )
    select array_agg(p.account_id order by p.account_id, p.id), array_agg(p.id order by p.account_id, p.id),
           bool_or(p.refers)
    into posted_accounts, posted, refers from approved p;
    if posted is null then
        return;
    end if;
    if refers then
        perform payments.check_references(posted_accounts, posted);
        perform payments.settle(w.accounts, w.entries) from payments.with_referred(posted_accounts, posted) w;
    else
        perform payments.settle(posted_accounts, posted);
    end if;
    perform payments.carry(posted_accounts, posted, 1);
    return query select * from unnest(posted_accounts, posted);
end
$$;

-- What an entry that refers to another must keep to, once approved.
create function payments.check_references(accounts bigint[], entries bigint[]) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp as
$$
declare
    wrong text;
begin
    select case
        when o.state <> 'approved' then 'reference_not_approved'
        when o.kind = 'reversal' then 'reference_is_reversal'
        when e.kind = 'reversal' and (o.side = e.side or o.amount <> e.amount) then 'reversal_unlike_original'
        when e.kind = 'reversal' and exists (
            select from payments.entry k where k.account_id = o.account_id and k.corrects = o.id and k.state = 'approved'
              and not exists (
                select from payments.entry r
                where r.account_id = k.account_id and r.reverses = k.id and r.state = 'approved')
            ) then 'reversal_of_corrected'
        when e.kind = 'correction' and o.side <> 'charge' then 'correction_of_credit'
        when e.kind = 'correction' and exists (
            select from payments.entry r where r.account_id = o.account_id and r.reverses = o.id and r.state = 'approved'
        ) then 'correction_of_reversed'
        when e.kind = 'correction' and e.side = 'credit' and o.amount < (
            select sum(k.amount) from payments.entry k
            where k.account_id = o.account_id and k.corrects = o.id and k.side = 'credit' and k.state = 'approved'
              and not exists (
                select from payments.entry r
                where r.account_id = k.account_id and r.reverses = k.id and r.state = 'approved')
        ) then 'correction_too_large'
    end into wrong
    from unnest(accounts, entries) named (account_id, id)
    join payments.entry e using (account_id, id)
    join payments.entry o on o.account_id = e.account_id and o.id = coalesce(e.reverses, e.corrects)
    order by 1 nulls last limit 1;
    if wrong is not null then
        raise exception 'this entry may not refer to that one: %', wrong
            using errcode = 'EB003', constraint = wrong, schema = 'payments', table = 'entry';
    end if;
end
$$;

-- Void an approved entry: it counts no more, what it paid or was paid by is free again. The trigger refuses anybody but
-- the superadministrator in the announced mode. In an organisation's accounting books only a reversal is right.
create function payments.void(account bigint, entry bigint, reason text) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    wrong text;
begin
    perform payments.hold(array[account]);
    select case
        when e.state <> 'approved' then 'void_not_approved'
        when b.ledger_role = 'books' then 'void_in_books'
        when exists (
            select from payments.entry r where r.account_id = e.account_id and r.state = 'approved'
              and (r.reverses = e.id or r.corrects = e.id or r.bears_on = e.id)
        ) then 'void_of_referred'
    end into wrong
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
    perform payments.settle(w.accounts, w.entries) from payments.with_referred(array[account], array[entry]) w;
    perform payments.carry(array[account], array[entry], -1);
end
$$;

-- Compute the allocations of these accounts anew from all their entries. It changes nothing that is right already.
create function payments.allocate(accounts bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    perform payments.hold(accounts);
    perform payments.settle(array_agg(e.account_id), array_agg(e.id))
    from payments.entry e where e.account_id = any (accounts) and e.state <> 'draft';
end
$$;

-- The accounts of these customers in the book «main», opened where missing.
create function payments.open_accounts(customers bigint[], today date)
    returns table (customer bigint, account_id bigint)
    language plpgsql rows 1 security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
begin
    insert into payments.account (account_no, customer, book, opened_on)
    select c.customer_no, c.id, b.id, today
    from kernel.customer c, payments.book b
    where c.id = any (customers) and b.code = 'main' and not exists (
        select from payments.account a where a.customer = c.id and a.book = b.id and a.service_point is null
    )
    order by c.id
    on conflict (customer, book, service_point) do nothing;
    insert into payments.account_balance (account_id)
    select a.id from payments.account a where a.customer = any (customers) and not exists (
        select from payments.account_balance k where k.account_id = a.id
    )
    order by a.id
    on conflict (account_id) do nothing;
    return query select a.customer, a.id
    from payments.account a join payments.book b on b.id = a.book
    where a.customer = any (customers) and b.code = 'main' and a.service_point is null;
end
$$;

-- The application enters, edits and deletes drafts, and asks; everything else is done by the functions above.
revoke insert, update, delete on payments.account_balance, payments.allocation, payments.book from ebok_app;
revoke insert, update on payments.account from ebok_app;
revoke insert, update on payments.entry from ebok_app;
grant insert (account_id, id, side, kind, amount, issued_on, due_on, paid_on, value_date, period, title, document_no,
    document_date, channel, bears_on, reverses, corrects, reason, source, external_id, external_version, created_by)
    on payments.entry to ebok_app;
grant update (amount, issued_on, due_on, paid_on, value_date, period, title, document_no, document_date, channel)
    on payments.entry to ebok_app;
revoke execute on all functions in schema payments from public;
revoke execute on function payments.settle, payments.hold, payments.carry, payments.with_referred,
    payments.check_references from ebok_app;

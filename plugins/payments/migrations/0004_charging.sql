-- Where charges come from: fee schedules with their monthly runs, and lists that somebody pastes or uploads.
--
-- Rates and quantities are steps: each holds from its day on until the next one, so none can overlap and none is missing.
-- For a month counts what holds on its first day. A run keeps what it computed, line by line, as the derivation of the
-- charges it makes; those lines are written by the functions below alone.

create sequence payments.fee_schedule_id;
create table payments.fee_schedule (
    id bigint primary key default nextval('payments.fee_schedule_id'),
    code text not null unique check (code ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$'),
    name text not null check (name <> '' and length(name) <= 200),
    book bigint not null references payments.book,
    -- The day of the month (the last one of a shorter month), and of which month: -1 the one before the period.
    issue_day integer not null check (issue_day between 1 and 31),
    issue_month integer not null check (issue_month between -1 and 1),
    due_day integer not null check (due_day between 1 and 31),
    due_month integer not null check (due_month between -1 and 1),
    title text not null check (title <> '' and length(title) <= 150),
    is_active boolean not null default true,
    -- Counts changes of components, rates and quantities: what was computed under one number is stale under the next.
    version bigint not null default 0,
    created_at timestamptz not null default now(),
    constraint fee_schedule_due_after_issue check ((due_month, due_day) >= (issue_month, issue_day))
);

create sequence payments.fee_component_id;
create table payments.fee_component (
    id bigint primary key default nextval('payments.fee_component_id'),
    schedule bigint not null references payments.fee_schedule,
    code text not null check (code ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$'),
    name text not null check (name <> '' and length(name) <= 200),
    unit text not null default '' check (length(unit) <= 20),
    place integer not null default 0 check (place between 0 and 9999),
    constraint fee_component_code unique (schedule, code)
);

-- Złoty for one unit, from the first day of a month on.
create table payments.fee_rate (
    component bigint not null references payments.fee_component,
    valid_from date not null check (extract(day from valid_from) = 1),
    amount numeric(14, 4) not null check (amount between 0 and 1000000),
    primary key (component, valid_from)
);

create table payments.fee_quantity (
    account_id bigint not null references payments.account on delete cascade,
    component bigint not null references payments.fee_component,
    valid_from date not null,
    -- 0: from this day on the account has nothing of it.
    quantity numeric(12, 3) not null check (quantity between 0 and 9999999),
    primary key (account_id, component, valid_from)
);
create index fee_quantity_component on payments.fee_quantity (component, account_id, valid_from);

-- A run: what a schedule charges for one month, computed, looked at, approved, perhaps rolled back.

create sequence payments.charge_run_id;
create table payments.charge_run (
    id bigint primary key default nextval('payments.charge_run_id'),
    schedule bigint not null references payments.fee_schedule,
    period text not null check (period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    -- Which try this is: a run that was rolled back leaves its place to the next one.
    attempt integer not null check (attempt > 0),
    state text not null default 'computing'
        check (state in ('computing', 'ready', 'approving', 'approved', 'rolling_back', 'rolled_back')),
    schedule_version bigint not null default 0,
    -- The last approved run of the schedule before this period, which the differences are taken from.
    previous bigint references payments.charge_run,
    title text not null default '',
    issued_on date,
    due_on date,
    accounts bigint not null default 0,
    amount bigint not null default 0,
    previous_amount bigint not null default 0,
    added bigint not null default 0,
    ended bigint not null default 0,
    changed bigint not null default 0,
    warned bigint not null default 0,
    blocked bigint not null default 0,
    -- How many accounts the work at hand has done.
    done bigint not null default 0,
    -- Why the work at hand was refused, and why the run was rolled back.
    reason text not null default '',
    created_by text not null default current_setting('ebok.actor', true),
    created_at timestamptz not null default now(),
    approved_by text,
    approved_at timestamptz,
    -- Who asked for the roll-back, where somebody else has to confirm it.
    undo_asked_by text,
    rolled_back_by text,
    rolled_back_at timestamptz,
    constraint charge_run_attempt unique (schedule, period, attempt)
);
create unique index charge_run_once on payments.charge_run (schedule, period) where state <> 'rolled_back';

create table payments.charge_run_component (
    run bigint not null references payments.charge_run on delete cascade,
    component bigint not null references payments.fee_component,
    rate numeric(14, 4),
    quantity numeric not null,
    accounts bigint not null,
    amount bigint not null,
    previous_rate numeric(14, 4),
    previous_amount bigint not null,
    primary key (run, component)
);

create table payments.charge_run_account (
    account_id bigint not null references payments.account on delete cascade,
    run bigint not null references payments.charge_run on delete cascade,
    amount bigint not null,
    previous_amount bigint not null,
    change bigint not null generated always as (amount - previous_amount) stored,
    turn text not null generated always as (case
        when amount > 0 and previous_amount = 0 then 'new'
        when amount = 0 and previous_amount > 0 then 'ended'
        when amount <> previous_amount then 'changed'
        else 'same'
    end) stored,
    -- no_rate: a component has no rate yet; zero: nothing to charge; closed: the account or its customer is closed;
    -- too_large: no entry may be so large.
    warning text not null default '' check (warning in ('', 'no_rate', 'zero', 'closed', 'too_large')),
    entry bigint,
    primary key (account_id, run),
    foreign key (account_id, entry) references payments.entry (account_id, id)
);
create index charge_run_account_change on payments.charge_run_account (run, abs(change), account_id);
create index charge_run_account_amount on payments.charge_run_account (run, amount, account_id);
create index charge_run_account_turn on payments.charge_run_account (run, turn, abs(change), account_id);
create index charge_run_account_warning on payments.charge_run_account (run, warning, account_id) where warning <> '';
create index charge_run_account_order on payments.charge_run_account (run, account_id);
create index charge_run_account_entry on payments.charge_run_account (account_id, entry) where entry is not null;

create table payments.charge_run_line (
    account_id bigint not null references payments.account on delete cascade,
    run bigint not null references payments.charge_run on delete cascade,
    component bigint not null references payments.fee_component,
    quantity numeric(12, 3) not null,
    rate numeric(14, 4),
    amount bigint not null,
    primary key (account_id, run, component)
);
create index charge_run_line_run on payments.charge_run_line (run, account_id);

-- What a run may become, and what of it never changes once it is approved.
create function payments.guard_charge_run() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
begin
    if tg_op = 'DELETE' then
        if old.state in ('computing', 'ready') then
            return old;
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
create trigger guard_charge_run before update or delete on payments.charge_run
    for each row execute function payments.guard_charge_run();

-- Compute a run: quantity × rate of every component of every account, rounded half up to a grosz line by line, compared
-- with the last approved run before it. A run that is not being computed (any more) is left alone.
create function payments.compute_charges(run bigint, title text, issued_on date, due_on date) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    this payments.charge_run;
    first date;
    before bigint;
begin
    select * into this from payments.charge_run r where r.id = compute_charges.run for update;
    if not found or this.state <> 'computing' then
        return;
    end if;
    first := to_date(this.period || '-01', 'YYYY-MM-DD');
    select r.id into before from payments.charge_run r
    where r.schedule = this.schedule and r.state = 'approved' and r.period < this.period order by r.period desc limit 1;
    delete from payments.charge_run_line l where l.run = this.id;
    delete from payments.charge_run_account a where a.run = this.id;
    delete from payments.charge_run_component c where c.run = this.id;
    with component as (
        select id from payments.fee_component where schedule = this.schedule
    ), price as (
        select distinct on (r.component) r.component, r.amount
        from component c join payments.fee_rate r on r.component = c.id
        where r.valid_from <= first order by r.component, r.valid_from desc
    ), held as (
        select distinct on (q.account_id, q.component) q.account_id, q.component, q.quantity
        from component c join payments.fee_quantity q on q.component = c.id
        where q.valid_from <= first order by q.account_id, q.component, q.valid_from desc
    ), owner as (
        select h.account_id, h.component, h.quantity, p.amount as rate,
               a.closed_on is not null or k.status = 'closed' as is_closed
        from held h left join price p on p.component = h.component
        join payments.account a on a.id = h.account_id join kernel.customer k on k.id = a.customer
        where h.quantity > 0
    ), line as (
        select account_id, component, quantity, rate, coalesce(round(quantity * rate * 100), 0)::bigint as amount
        from owner where not is_closed
    ), written as (
        insert into payments.charge_run_line (account_id, run, component, quantity, rate, amount)
        select account_id, this.id, component, quantity, rate, amount from line order by account_id, component
    ), charged as (
        select account_id, sum(amount)::bigint as amount,
               case when sum(amount) > 1000000000000 then 'too_large' when bool_or(rate is null) then 'no_rate'
                    when sum(amount) = 0 then 'zero' else '' end as warning
        from line group by account_id
        union all
        select distinct account_id, 0::bigint, 'closed' from owner where is_closed
    ), compared as (
        select coalesce(c.account_id, p.account_id) as account_id, coalesce(c.amount, 0) as amount,
               coalesce(p.amount, 0) as previous_amount, coalesce(c.warning, '') as warning
        from charged c full join (
            select account_id, amount from payments.charge_run_account a where a.run = before and a.amount > 0
        ) p on p.account_id = c.account_id
    ), accounts as (
        insert into payments.charge_run_account (account_id, run, amount, previous_amount, warning)
        select account_id, this.id, amount, previous_amount, warning from compared order by account_id
    ), components as (
        insert into payments.charge_run_component (run, component, rate, quantity, accounts, amount, previous_rate,
            previous_amount)
        select this.id, c.id, p.amount, coalesce(l.quantity, 0), coalesce(l.accounts, 0), coalesce(l.amount, 0),
               b.rate, coalesce(b.amount, 0)
        from component c left join price p on p.component = c.id
        left join (
            select component, sum(quantity) as quantity, count(*) as accounts, sum(amount)::bigint as amount
            from line group by component
        ) l on l.component = c.id
        left join payments.charge_run_component b on b.run = before and b.component = c.id
    )
    update payments.charge_run r
    set state = 'ready', previous = before, title = compute_charges.title, issued_on = compute_charges.issued_on,
        due_on = compute_charges.due_on, reason = '', done = s.accounts,
        schedule_version = (select version from payments.fee_schedule where id = this.schedule),
        accounts = s.accounts, amount = s.amount, previous_amount = s.previous_amount, added = s.added, ended = s.ended,
        changed = s.changed, warned = s.warned, blocked = s.blocked
    from (
        select count(*) filter (where amount > 0) as accounts, coalesce(sum(amount), 0)::bigint as amount,
               coalesce(sum(previous_amount), 0)::bigint as previous_amount,
               count(*) filter (where amount > 0 and previous_amount = 0) as added,
               count(*) filter (where amount = 0 and previous_amount > 0) as ended,
               count(*) filter (where amount > 0 and previous_amount > 0 and amount <> previous_amount) as changed,
               count(*) filter (where warning <> '') as warned,
               count(*) filter (where warning = 'too_large') as blocked
        from compared
    ) s
    where r.id = this.id;
end
$$;

-- Hold the balance rows of a run's accounts until the transaction ends, before anything else is locked.
create function payments.hold_charges(run bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    perform payments.hold(array_agg(a.account_id)) from payments.charge_run_account a
    where a.run = hold_charges.run and a.amount > 0;
end
$$;

-- Enter the charges of the next accounts of a run that is being approved, as drafts; their keys, in account order.
create function payments.book_charges(run bigint, after bigint, most integer)
    returns table (account_id bigint, id bigint)
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
begin
    return query
    with this as (
        select * from payments.charge_run r where r.id = book_charges.run and r.state = 'approving'
    ), chunk as materialized (
        select a.account_id, a.amount, nextval('payments.entry_id') as id
        from (
            select a.account_id, a.amount from this join payments.charge_run_account a on a.run = this.id
            where a.account_id > after and a.amount > 0 and a.entry is null order by a.account_id limit most
        ) a
    ), made as (
        insert into payments.entry (account_id, id, side, kind, amount, issued_on, due_on, period, title, source,
            external_id, external_version, created_by)
        select c.account_id, c.id, 'charge', 'fee', c.amount, t.issued_on, t.due_on, t.period, t.title, 'charging',
               t.schedule || '/' || t.period, t.attempt, t.created_by
        from chunk c, this t
    ), linked as (
        update payments.charge_run_account a set entry = c.id
        from chunk c where a.account_id = c.account_id and a.run = book_charges.run
    )
    select c.account_id, c.id from chunk c order by c.account_id;
end
$$;

-- A list: charges that somebody pasted or uploaded, line by line, with what was typed.

create sequence payments.charge_batch_id;
create table payments.charge_batch (
    id bigint primary key default nextval('payments.charge_batch_id'),
    name text not null default '' check (length(name) <= 200),
    kind text not null check (kind in ('fee', 'settlement', 'opening')),
    book bigint not null references payments.book,
    issued_on date not null,
    due_on date,
    -- Which column of the list is what, by its place; what is empty is not read.
    columns text[] not null,
    state text not null default 'checking' check (state in ('checking', 'ready', 'entered', 'approving', 'deleted')),
    lines bigint not null default 0,
    done bigint not null default 0,
    wrong bigint not null default 0,
    repeated bigint not null default 0,
    charged bigint not null default 0,
    credited bigint not null default 0,
    reason text not null default '',
    created_by text not null default current_setting('ebok.actor', true),
    created_at timestamptz not null default now(),
    entered_by text,
    entered_at timestamptz
);

create table payments.charge_batch_line (
    batch bigint not null references payments.charge_batch on delete cascade,
    line bigint not null,
    typed text[] not null,
    problem text not null default '',
    -- Which column is wrong.
    problem_in text not null default '',
    is_repeated boolean not null default false,
    -- Whose account it is; without one the customer's in the book «main» is opened when the list is entered.
    account_id bigint references payments.account on delete cascade,
    customer bigint references kernel.customer on delete cascade,
    side text check (side in ('charge', 'credit')),
    amount bigint,
    due_on date,
    period text not null default '',
    title text not null default '',
    document_no text not null default '',
    entry bigint,
    primary key (batch, line),
    foreign key (account_id, entry) references payments.entry (account_id, id) on delete set null (entry)
);
create index charge_batch_line_account on payments.charge_batch_line (account_id) where account_id is not null;
create index charge_batch_line_customer on payments.charge_batch_line (customer) where customer is not null;
create index charge_batch_wrong on payments.charge_batch_line (batch, line) where problem <> '';
create index charge_batch_repeated on payments.charge_batch_line (batch, line) where is_repeated;
create index charge_batch_entry on payments.charge_batch_line (account_id, entry) where entry is not null;

revoke insert, update, delete on payments.charge_run_component, payments.charge_run_account, payments.charge_run_line
    from ebok_app;
revoke insert, update on payments.charge_run from ebok_app;
grant insert (schedule, period, attempt) on payments.charge_run to ebok_app;
grant update (state, done, reason, approved_by, approved_at, undo_asked_by, rolled_back_by, rolled_back_at)
    on payments.charge_run to ebok_app;
revoke execute on function payments.compute_charges, payments.hold_charges, payments.book_charges,
    payments.guard_charge_run from public;

-- Books with rules of their own, designations, limitation, kept interest of months that are closed, and the chain that
-- proves that nothing was changed behind the ledger's back.

alter table payments.book
    -- Within one debt: interest and costs before the principal (art. 451 §1 of the Civil Code), booked when they are paid.
    add interest_first boolean not null default false,
    -- Whether a credit pays charges that are not yet due.
    add prepay boolean not null default true,
    add interest_regime text not null default 'statutory_delay',
    -- Percent a year, for the regime «contractual» alone.
    add contract_rate numeric(7, 4) check (contract_rate between 0 and 100),
    -- Years after which a claim is time-barred (art. 118 of the Civil Code); 0: never.
    add limitation_years integer not null default 3 check (limitation_years between 0 and 20),
    -- How turnover shows a reversal: red as a negative amount on the original's side, black on the other side.
    add storno text not null default 'black' check (storno in ('red', 'black')),
    -- Somebody else's ledger is shown here: only the importer writes it.
    add is_mirror boolean not null default false,
    -- Whom its customers pay; empty: the organisation's own.
    add payee_name text not null default '' check (length(payee_name) <= 200),
    add payee_account text not null default '' check (payee_account ~ '^([0-9]{26})?$'),
    -- The digits of a customer's own account number that come after the check digits and before the account's number.
    add virtual_prefix text not null default '' check (virtual_prefix ~ '^([0-9]{8,20})?$'),
    -- The last day of the last closed month: nothing is booked on it or before.
    add closed_through date,
    add constraint book_contract_rate check ((interest_regime = 'contractual') <= (contract_rate is not null));

alter table payments.account
    add virtual_account text unique check (virtual_account ~ '^[0-9]{26}$');

alter table payments.entry
    -- The first day on which a charge is time-barred, set when it is approved; null: never.
    add time_barred_on date,
    drop constraint entry_amount_check,
    add constraint entry_amount check (amount between 1 and 1000000000000);

-- What the payer wished: the charges that a credit shall pay, in this order, before anything else.
create table payments.designation (
    account_id bigint not null references payments.account,
    credit bigint not null,
    place integer not null check (place > 0),
    charge bigint not null,
    primary key (account_id, credit, place),
    unique (account_id, credit, charge),
    foreign key (account_id, credit) references payments.entry (account_id, id) on delete cascade,
    foreign key (account_id, charge) references payments.entry (account_id, id)
);
create index designation_charge on payments.designation (account_id, charge);

alter table payments.allocation
    add reason text not null default '' check (length(reason) <= 500),
    drop constraint allocation_rule_check,
    add constraint allocation_rule check (rule in ('designated', 'oldest_due', 'inner_interest', 'prepay', 'correction',
        'reversal', 'manual', 'imported', 'policy'));
alter table payments.allocation drop constraint allocation_check1;
alter table payments.allocation add constraint allocation_computed
    check (pinned or rule in ('designated', 'oldest_due', 'inner_interest', 'prepay', 'policy'));

-- Columns that came later are frozen with the rest of an approved entry.
drop trigger protect_approved on payments.entry;
create trigger protect_approved
    before insert or delete or update of account_id, id, side, kind, amount, currency, issued_on, due_on,
        effective_due_on, paid_on, value_date, booked_on, period, title, document_no, document_date, journal_no, channel,
        state, bears_on, reverses, corrects, reason, source, external_id, external_version, created_by, created_at,
        approved_by, approved_at, voided_by, voided_at, void_reason, time_barred_on
    on payments.entry
    for each row execute function kernel.protect_approved('open_amount', 'counted_on');

-- Holidays of the years before and after, for old debts and long agreements. 6 January is free from work since 2011.
with easter as (
    select y, make_date(y, 3, 1) + (f.h + f.l - 7 * f.m + 21)::integer as sunday
    from (select generate_series(2000, 2015) union all select generate_series(2036, 2050)) years (y),
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
    (1, 1, 'Nowy Rok', 0), (1, 6, 'Trzech Króli', 2011), (5, 1, 'Święto Pracy', 0),
    (5, 3, 'Święto Konstytucji 3 Maja', 0), (8, 15, 'Wniebowzięcie', 0), (11, 1, 'Wszystkich Świętych', 0),
    (11, 11, 'Święto Niepodległości', 0), (12, 24, 'Wigilia', 2025), (12, 25, 'Boże Narodzenie', 0),
    (12, 26, 'Drugi dzień Bożego Narodzenia', 0)
) fixed (month, day, name, since) where y >= since
on conflict (day) do nothing;

-- The first day on which a claim due on this day is time-barred: its term ends with a calendar year (art. 118 of the
-- Civil Code). Null: never.
create function payments.barred_from(due date, years integer) returns date
    language sql immutable strict parallel safe
return case years when 0 then null else make_date(extract(year from due)::integer + years + 1, 1, 1) end;

update payments.entry e
set time_barred_on = payments.barred_from(e.effective_due_on, b.limitation_years)
from payments.account a join payments.book b on b.id = a.book
where a.id = e.account_id and e.side = 'charge' and e.effective_due_on is not null and e.kind not in ('refund', 'reversal');

-- --- the chain --------------------------------------------------------------------------------------------------------

-- Every posting of an account is sealed: its hash covers the hash before it and the facts of its entries, so nothing can
-- be changed, added or taken away unseen. What is personal enters as a digest with the account's salt: after a purge the
-- digest is kept in its place and the chain still holds.
alter table payments.account add salt uuid not null default gen_random_uuid();
alter table payments.account_balance
    add seal bytea not null default '',
    -- The day through which charges have come due for credits that wait for it (books without prepayment).
    add reached_on date;

create table payments.seal (
    account_id bigint not null references payments.account,
    seq bigint not null,
    event text not null check (event in ('approved', 'voided')),
    entries bigint[] not null,
    hash bytea not null check (length(hash) = 32),
    sealed_at timestamptz not null default now(),
    primary key (account_id, seq)
);

create table payments.purged (
    account_id bigint not null,
    id bigint not null,
    digest bytea not null,
    void_digest bytea,
    purged_at timestamptz not null default now(),
    primary key (account_id, id),
    foreign key (account_id, id) references payments.entry (account_id, id)
);

-- The digest of an entry's personal text. (No «set» on these two: their bodies are parsed here, and without it they cost
-- a third.)
create function payments.personal(e payments.entry, salt uuid) returns bytea
    language sql stable
return coalesce(
    (select p.digest from payments.purged p where p.account_id = e.account_id and p.id = e.id),
    sha256(convert_to(salt::text || row(e.title, e.document_no, e.reason)::text, 'UTF8'))
);

create function payments.void_reason(e payments.entry, salt uuid) returns bytea
    language sql stable
return coalesce(
    (select p.void_digest from payments.purged p where p.account_id = e.account_id and p.id = e.id),
    sha256(convert_to(salt::text || e.void_reason, 'UTF8'))
);

-- What a seal covers of an entry, by event. The journal number comes last, so that everything before it is ready when the
-- number is taken.
create function payments.facts(e payments.entry, salt uuid, event text) returns text
    language sql stable
return case event
    when 'approved' then row(event, e.account_id, e.id, e.side, e.kind, e.amount, e.currency,
        e.issued_on - date '2000-01-01', e.due_on - date '2000-01-01', e.effective_due_on - date '2000-01-01',
        e.paid_on - date '2000-01-01', e.value_date - date '2000-01-01', e.booked_on - date '2000-01-01', e.period,
        e.document_date - date '2000-01-01', e.channel, e.bears_on, e.reverses, e.corrects, e.source,
        e.external_id, e.external_version, e.created_by, e.approved_by,
        (extract(epoch from e.approved_at) * 1000000)::bigint, encode(payments.personal(e, salt), 'hex'))::text
        || coalesce(e.journal_no::text, '')
    else row(event, e.account_id, e.id, e.voided_by, (extract(epoch from e.voided_at) * 1000000)::bigint,
        encode(payments.void_reason(e, salt), 'hex'))::text
end;

with sealed as (
    insert into payments.seal (account_id, seq, event, entries, hash)
    select e.account_id, b.version, 'approved', array_agg(e.id order by e.id),
           sha256(convert_to(string_agg(payments.facts(e, a.salt, 'approved'), '' order by e.id), 'UTF8'))
    from payments.entry e join payments.account a on a.id = e.account_id
    join payments.account_balance b on b.account_id = e.account_id
    where e.state <> 'draft'
    group by e.account_id, b.version
    returning account_id, seq, hash
), voided as (
    insert into payments.seal (account_id, seq, event, entries, hash)
    select e.account_id, s.seq + 1, 'voided', array_agg(e.id order by e.id),
           sha256(s.hash || convert_to(string_agg(payments.facts(e, a.salt, 'voided'), '' order by e.id), 'UTF8'))
    from payments.entry e join payments.account a on a.id = e.account_id join sealed s on s.account_id = e.account_id
    where e.state = 'voided'
    group by e.account_id, s.seq, s.hash
    returning account_id, seq, hash
)
update payments.account_balance b
set seal = coalesce(v.hash, s.hash), version = coalesce(v.seq, s.seq)
from sealed s left join voided v using (account_id)
where b.account_id = s.account_id;

-- Bring the balance rows to a posting and seal it: «turns» is +1 for entries that now count, -1 for those voided.
create or replace function payments.carry(accounts bigint[], entries bigint[], turns integer) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    what constant text := case turns when 1 then 'approved' else 'voided' end;
begin
    with posted as (
        select e.account_id, coalesce(sum(e.amount) filter (where e.side = 'charge'), 0)::bigint as charged,
               coalesce(sum(e.amount) filter (where e.side = 'credit'), 0)::bigint as credited,
               array_agg(e.id order by e.id) as ids,
               -- the salt looked up, not joined: the planner cannot know how many entries are named here
               convert_to(string_agg(payments.facts(e, (select a.salt from payments.account a where a.id = e.account_id),
                   what), '' order by e.id), 'UTF8') as facts
        from unnest(accounts, entries) named (account_id, id) join payments.entry e using (account_id, id)
        group by e.account_id
    ), carried as (
        update payments.account_balance b
        set charged = b.charged + turns * p.charged, credited = b.credited + turns * p.credited,
            oldest_open_due = (
                select min(e.effective_due_on) from payments.entry e
                where e.account_id = b.account_id and e.side = 'charge' and e.open_amount > 0
            ),
            version = b.version + 1, seal = sha256(b.seal || p.facts), updated_at = now()
        from posted p where b.account_id = p.account_id
        returning b.account_id, b.version, p.ids, b.seal
    )
    insert into payments.seal (account_id, seq, event, entries, hash)
    select account_id, version, what, ids, seal from carried;
end
$$;

-- After retention: take the personal text out of what was booked on an account until a day. Its digests stay, so the
-- chain holds; who asks is a superadministrator in the announced mode, and has checked that the time has come.
create function payments.purge_texts(account bigint, through date) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    purged bigint;
begin
    if coalesce(current_setting('ebok.mode', true), '') <> 'superadmin' then
        raise exception 'only the superadministrator, in the announced mode, may purge'
            using errcode = 'EB001', schema = 'payments', table = 'entry';
    end if;
    perform payments.hold(array[account]);
    insert into payments.purged (account_id, id, digest, void_digest)
    select e.account_id, e.id, payments.personal(e, a.salt), case e.state when 'voided' then payments.void_reason(e, a.salt) end
    from payments.entry e join payments.account a on a.id = e.account_id
    where a.id = purge_texts.account and e.state <> 'draft' and e.booked_on <= through
    on conflict (account_id, id) do nothing;
    get diagnostics purged = row_count;
    alter table payments.entry disable trigger protect_approved;
    update payments.entry e
    set title = '', document_no = '', reason = '', void_reason = case when e.void_reason is not null then '–' end
    from payments.purged p
    where e.account_id = purge_texts.account and p.account_id = e.account_id and p.id = e.id
      and (e.title, e.document_no, e.reason) <> ('', '', '');
    alter table payments.entry enable trigger protect_approved;
    return purged;
end
$$;

-- --- allocation in turns ----------------------------------------------------------------------------------------------

alter function payments.settle(bigint[], bigint[]) rename to settle_first_come;

-- What the credits of an account pay when they have to take turns: «civil» with designations, with interest first,
-- without prepayment or with time-barred charges, and «public». Credits go by day and number; each pays what its policy
-- lets it, of what no pin has taken. plugins/payments/allocation.py holds the same rules and proves them.
create function payments.in_turn(account bigint)
    returns table (credit bigint, charge bigint, amount bigint, rule text)
    language plpgsql stable set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    rules record;
    ids bigint[];
    kinds text[];
    places date[];
    issued date[];
    barred date[];
    parents bigint[];
    free bigint[];
    n integer;
    has_inner boolean;
    begins integer := 1;
    i integer;
    j integer;
    paying record;
    remaining bigint;
    wishes bigint[];
    wished integer;
    debt bigint;
    means text;
    interest bigint;
    principal bigint;
    paid bigint;
    share bigint;
begin
    select b.allocation_policy = 'public' as is_public, b.interest_first, b.prepay, c.consumer,
           coalesce(k.reached_on, date '-infinity') as today
    into rules
    from payments.account a join payments.book b on b.id = a.book join kernel.customer c on c.id = a.customer
    join payments.account_balance k on k.account_id = a.id
    where a.id = account;

    select array_agg(id order by place, id), array_agg(kind order by place, id), array_agg(place order by place, id),
           array_agg(issued_on order by place, id), array_agg(barred_on order by place, id),
           array_agg(bears_on order by place, id), array_agg(left_over order by place, id), count(*),
           bool_or(bears_on is not null)
    into ids, kinds, places, issued, barred, parents, free, n, has_inner
    from (
        select e.id, e.kind, e.effective_due_on as place, e.issued_on, e.bears_on,
               case when rules.consumer then e.time_barred_on end as barred_on,
               e.amount - coalesce((
                   select sum(l.amount) from payments.allocation l
                   where l.account_id = e.account_id and l.charge = e.id and l.released_at is null and l.pinned
               ), 0)::bigint as left_over
        from payments.entry e
        where e.account_id = account and e.side = 'charge' and e.state = 'approved' and e.effective_due_on is not null
    ) charges where left_over > 0;

    for paying in
        select * from (
            select e.id, e.kind in ('remission', 'write_off', 'transfer') as gives_up,
                   case when rules.is_public then coalesce(e.paid_on, e.value_date) else e.value_date end as day,
                   e.amount - coalesce((
                       select sum(l.amount) from payments.allocation l
                       where l.account_id = e.account_id and l.credit = e.id and l.released_at is null and l.pinned
                   ), 0)::bigint as left_over,
                   array(select d.charge from payments.designation d
                       where d.account_id = e.account_id and d.credit = e.id order by d.place) as wishes
            from payments.entry e
            where e.account_id = account and e.side = 'credit' and e.state = 'approved' and e.kind <> 'reversal'
        ) credits where left_over > 0
        order by day, id
    loop
        remaining := paying.left_over;
        wishes := paying.wishes;
        while begins <= n and free[begins] = 0 loop
            begins := begins + 1;
        end loop;
        if rules.is_public and wishes <> '{}' and not paying.gives_up then
            for i in begins .. coalesce(n, 0) loop
                exit when places[i] >= paying.day;
                if free[i] > 0 and (barred[i] is null or paying.day < barred[i]) then
                    wishes := '{}';
                    exit;
                end if;
            end loop;
        end if;
        wished := cardinality(wishes);
        for step in 1 .. wished + greatest(coalesce(n, 0) - begins + 1, 0) loop
            exit when remaining = 0;
            if step <= wished then
                debt := wishes[step];
                i := array_position(ids, debt);
                means := 'designated';
            else
                i := begins + step - wished - 1;
                continue when free[i] = 0 or paying.day >= barred[i];
                continue when not rules.prepay and places[i] > greatest(paying.day, rules.today);
                debt := ids[i];
                means := case when places[i] > paying.day then 'prepay' else 'oldest_due' end;
            end if;
            principal := coalesce(free[i], 0);
            if step <= wished and paying.gives_up then
                interest := 0;
            elsif rules.is_public then
                interest := 0;
                if has_inner then
                    for j in 1 .. n loop
                        if parents[j] = debt and kinds[j] = 'interest' and issued[j] <= paying.day then
                            interest := interest + free[j];
                        end if;
                    end loop;
                end if;
                paid := least(remaining, principal + interest);
                continue when paid = 0;
                -- numeric: the product of two amounts is more than a bigint holds
                principal := div(2 * paid::numeric * principal + principal + interest, 2 * (principal + interest));
                interest := paid - principal;
            else
                interest := case when rules.interest_first and has_inner then remaining else 0 end;
            end if;
            if interest > 0 then
                for j in 1 .. n loop
                    if parents[j] = debt and free[j] > 0 and issued[j] <= paying.day
                       and (kinds[j] = 'interest' or not rules.is_public) then
                        share := least(interest, free[j]);
                        continue when share = 0;
                        free[j] := free[j] - share;
                        interest := interest - share;
                        remaining := remaining - share;
                        credit := paying.id;
                        charge := ids[j];
                        amount := share;
                        rule := case when rules.is_public or means <> 'designated' then 'inner_interest' else means end;
                        return next;
                    end if;
                end loop;
            end if;
            share := least(remaining, principal);
            if share > 0 then
                free[i] := free[i] - share;
                remaining := remaining - share;
                credit := paying.id;
                charge := debt;
                amount := share;
                rule := means;
                return next;
            end if;
        end loop;
    end loop;
end
$$;

-- Make the computed allocations of an account those that are wanted: what is right stays, the rest is released or made,
-- and open amounts follow. Whatever exceeds an entry fails on its check.
create function payments.keep(account bigint, credits bigint[], charges bigint[], amounts bigint[], rules text[])
    returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
begin
    with wanted as (
        select credit, charge, rule, sum(amount)::bigint as amount
        from unnest(credits, charges, amounts, rules) w (credit, charge, amount, rule) group by credit, charge, rule
    ),
    kept as (
        select * from payments.allocation l
        where l.account_id = account and l.released_at is null and not l.pinned
    ),
    released as (
        update payments.allocation l set released_at = greatest(now(), l.created_at)
        from kept k
        where l.account_id = account and l.id = k.id and not exists (
            select from wanted w where (w.credit, w.charge, w.rule, w.amount) = (k.credit, k.charge, k.rule, k.amount)
        )
        returning l.id
    )
    insert into payments.allocation (account_id, credit, charge, amount, rule, value_date, effective_due_on)
    select account, w.credit, w.charge, w.amount, w.rule,
           case b.allocation_policy when 'public' then coalesce(c.paid_on, c.value_date) else c.value_date end,
           h.effective_due_on
    from wanted w
    join payments.entry c on c.account_id = account and c.id = w.credit
    join payments.entry h on h.account_id = account and h.id = w.charge
    join payments.account a on a.id = account
    join payments.book b on b.id = a.book
    where not exists (
        select from kept k where (w.credit, w.charge, w.rule, w.amount) = (k.credit, k.charge, k.rule, k.amount)
    ) and (select count(*) from released) >= 0
    order by w.charge, w.credit;

    update payments.entry e set open_amount = s.open_amount
    from (
        select e.id, case e.state when 'approved' then e.amount - coalesce(sum(l.amount), 0) else 0 end::bigint
            as open_amount
        from payments.entry e
        left join lateral (
            select l.amount from payments.allocation l
            where l.account_id = e.account_id and l.credit = e.id and l.released_at is null
            union all
            select l.amount from payments.allocation l
            where l.account_id = e.account_id and l.charge = e.id and l.released_at is null
        ) l on true
        where e.account_id = account and e.state <> 'draft'
        group by e.account_id, e.id
    ) s
    where e.account_id = account and e.id = s.id and e.open_amount <> s.open_amount;
end
$$;

-- Bring the pins of accounts to their entries: each reversal holds its original, each correction that counts holds the
-- charge it lowers, and nothing else holds an entry that no longer counts.
create function payments.fit_pins(accounts bigint[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
begin
    with counting as (
        select e.account_id, e.id from payments.entry e
        where e.account_id = any (accounts) and e.state = 'approved' and not exists (
            select from payments.entry r where r.account_id = e.account_id and r.reverses = e.id and r.state = 'approved')
    ),
    wanted as (
        select e.account_id, case e.side when 'credit' then e.id else e.reverses end as credit,
               case e.side when 'credit' then e.reverses else e.id end as charge, e.amount, 'reversal' as rule
        from payments.entry e where e.account_id = any (accounts) and e.kind = 'reversal' and e.state = 'approved'
        union all
        select e.account_id, e.id, e.corrects, e.amount, 'correction'
        from counting join payments.entry e using (account_id, id)
        where e.kind = 'correction' and e.side = 'credit' and e.corrects is not null
    ),
    kept as (
        select l.* from payments.allocation l
        where l.account_id = any (accounts) and l.released_at is null and l.pinned
    ),
    released as (
        update payments.allocation l set released_at = greatest(now(), l.created_at)
        from kept k
        where l.account_id = k.account_id and l.id = k.id and case
            when k.rule in ('reversal', 'correction') then not exists (
                select from wanted w
                where (w.account_id, w.credit, w.charge, w.rule) = (k.account_id, k.credit, k.charge, k.rule))
            else not exists (select from counting c where c.account_id = k.account_id and c.id = k.credit)
              or not exists (select from counting c where c.account_id = k.account_id and c.id = k.charge)
        end
    )
    insert into payments.allocation (account_id, credit, charge, amount, rule, pinned, value_date, effective_due_on)
    select w.account_id, w.credit, w.charge, w.amount, w.rule, true, c.value_date, h.effective_due_on
    from wanted w
    join payments.entry c on c.account_id = w.account_id and c.id = w.credit
    join payments.entry h on h.account_id = w.account_id and h.id = w.charge
    where not exists (
        select from kept k
        where (w.account_id, w.credit, w.charge, w.rule) = (k.account_id, k.credit, k.charge, k.rule));
end
$$;

-- Allocate whole accounts in turns, whatever was allocated before; charges due by «today» count as reached. A policy of
-- another plugin is computed outside and comes back through payments.impose: until then its credits wait.
create function payments.settle_in_turn(accounts bigint[], today date) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    one bigint;
begin
    update payments.account_balance k set reached_on = today
    from payments.account a join payments.book b on b.id = a.book
    where k.account_id = any (accounts) and a.id = k.account_id and not b.prepay
      and (k.reached_on is null or k.reached_on < today);
    perform payments.fit_pins(accounts);
    foreach one in array accounts loop
        perform payments.keep(one, array_agg(t.credit), array_agg(t.charge), array_agg(t.amount), array_agg(t.rule))
        from payments.account a join payments.book b on b.id = a.book
        left join lateral payments.in_turn(one) t on b.allocation_policy in ('civil', 'public')
        where a.id = one;
    end loop;
end
$$;

-- Which of these accounts cannot be settled first come, first served. «deep»: history may change, not only what is open.
create function payments.turning(accounts bigint[], through date, deep boolean) returns bigint[]
    language sql stable
return (
    select array_agg(a.id)
    from payments.account a join payments.book b on b.id = a.book join kernel.customer c on c.id = a.customer
    where a.id = any (accounts) and (
        b.allocation_policy <> 'civil' or b.interest_first or not b.prepay
        or exists (select from payments.designation d where d.account_id = a.id)
        or c.consumer and exists (
            select from payments.entry e
            where e.account_id = a.id and e.side = 'charge' and e.open_amount > 0 and e.time_barred_on <= through
        )
        or deep and exists (
            select from payments.entry e
            where e.account_id = a.id and e.side = 'charge' and e.state = 'approved' and c.consumer
              and e.time_barred_on <= through
        )
        or deep and exists (
            select from payments.allocation l
            where l.account_id = a.id and l.released_at is null and l.pinned and l.rule not in ('reversal', 'correction')
        )
    )
);

-- The one place that allocates: what the entries named here and everything behind them now meet. No credit is dated more
-- than a day after «today».
create function payments.settle(accounts bigint[], entries bigint[], today date, deep boolean) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    turning bigint[] := payments.turning(accounts, today + 1, deep);
begin
    if turning is null then
        perform payments.settle_first_come(accounts, entries);
        return;
    end if;
    perform payments.settle_in_turn(turning, today);
    perform payments.settle_first_come(array_agg(n.account_id), array_agg(n.id))
    from unnest(accounts, entries) n (account_id, id) where n.account_id <> all (turning) having count(*) > 0;
end
$$;

-- Make room for corrections on charges that pins hold: the newest pins give way, the last of them in part.
create function payments.make_room(accounts bigint[], entries bigint[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
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
    )
    insert into payments.allocation (account_id, credit, charge, amount, rule, pinned, value_date, effective_due_on, reason)
    select account_id, credit, charge, amount - (excess - newer), rule, true, value_date, effective_due_on, reason
    from giving where amount > excess - newer;
end
$$;

-- --- posting ----------------------------------------------------------------------------------------------------------

-- What the history says of an approval: sums in złoty.
create function payments.told(entries bigint, charged bigint, credited bigint) returns jsonb
    language sql immutable
return jsonb_build_object('count', entries, 'charged', charged / 100 || '.' || lpad((charged % 100)::text, 2, '0'),
    'credited', credited / 100 || '.' || lpad((credited % 100)::text, 2, '0'));

-- Approve one draft that refers to nothing, on an account that is settled first come, first served: it meets what is open,
-- and nothing of the past moves. False: nothing was done, because something here is not so plain. The journal number comes
-- last, because until the end of the transaction its holder keeps everybody else in the book waiting.
create function payments.approve_plain(account bigint, entry bigint, today date) returns boolean
    language plpgsql set search_path = pg_catalog, pg_temp as
$$
declare
    actor constant text := current_setting('ebok.actor', true);
    through constant date := greatest(today, current_date) + 1;
    e payments.entry;
    this record;
    open record;
    is_credit boolean;
    rest bigint;
    part bigint;
    facts text;
    number bigint;
begin
    perform from payments.account_balance k where k.account_id = account for update;
    select d as entry, a.book, a.salt, a.customer, b.limitation_years, c.consumer,
           k.seal, k.version + 1 as version,
           d.kind in ('fee', 'settlement', 'opening', 'payment', 'offset', 'benefit')
           and b.allocation_policy = 'civil' and b.prepay and not b.interest_first and (not b.is_mirror or actor = 'import')
           and a.closed_on is null and (b.closed_through >= today) is not true
           and (d.value_date > through) is not true
           and not (actor ~ '^[0-9]+$' and d.created_by = actor and exists (
               select from kernel.setting s where s.plugin = 'payments' and s.value ->> 'approver_differs' = 'true'))
           and not exists (select from payments.designation w where w.account_id = a.id)
           and not (c.consumer and exists (
               select from payments.entry o
               where o.account_id = a.id and o.side = 'charge' and o.open_amount > 0 and o.time_barred_on <= through))
           and not exists (
               select from payments.allocation l
               where l.account_id = a.id and l.released_at is null and not l.pinned
                 and l.value_date >= d.value_date and (l.value_date > d.value_date or l.credit > d.id)) as is_plain
    into this
    from payments.entry d join payments.account a on a.id = d.account_id join payments.book b on b.id = a.book
    join payments.account_balance k on k.account_id = a.id join kernel.customer c on c.id = a.customer
    where d.account_id = account and d.id = entry and d.state = 'draft'
    for update of d;
    if this.is_plain is not true then
        return false;
    end if;
    e := this.entry;
    is_credit := e.side = 'credit';
    if not is_credit then
        e.effective_due_on := payments.effective_due(e.due_on);
        e.time_barred_on := payments.barred_from(e.effective_due_on, this.limitation_years);
        if this.consumer and e.time_barred_on <= through or exists (
            select from payments.allocation l
            where l.account_id = account and l.released_at is null and not l.pinned
              and l.effective_due_on >= e.effective_due_on
              and (l.effective_due_on > e.effective_due_on or l.charge > entry)
        ) then
            return false;
        end if;
    end if;
    rest := e.amount;
    for open in
        select o.id, o.open_amount, coalesce(o.effective_due_on, o.value_date) as day from payments.entry o
        where o.account_id = account and o.side = case when is_credit then 'charge' else 'credit' end
          and o.open_amount > 0
        order by o.effective_due_on, o.value_date, o.id
    loop
        part := least(rest, open.open_amount);
        rest := rest - part;
        if is_credit then
            insert into payments.allocation (account_id, credit, charge, amount, rule, value_date, effective_due_on)
            values (account, entry, open.id, part, case when open.day > e.value_date then 'prepay' else 'oldest_due' end,
                e.value_date, open.day);
        else
            insert into payments.allocation (account_id, credit, charge, amount, rule, value_date, effective_due_on)
            values (account, open.id, entry, part,
                case when e.effective_due_on > open.day then 'prepay' else 'oldest_due' end, open.day,
                e.effective_due_on);
        end if;
        update payments.entry o set open_amount = open.open_amount - part
        where o.account_id = account and o.id = open.id;
        exit when rest = 0;
    end loop;
    e.booked_on := today;
    e.approved_by := actor;
    e.approved_at := now();
    facts := payments.facts(e, this.salt, 'approved');
    insert into kernel.audit_log (verb, customer, subject, facts)
    values ('payments.approved', this.customer, 'entry ' || entry, payments.told(1,
        case when is_credit then 0 else e.amount end, case when is_credit then e.amount else 0 end));

    update payments.book b set last_journal_no = b.last_journal_no + 1
    where b.id = this.book and (b.closed_through >= today) is not true
    returning b.last_journal_no into number;
    if number is null then  -- closed since it was read
        raise exception 'this cannot be approved: month_closed'
            using errcode = 'EB003', constraint = 'month_closed', schema = 'payments', table = 'entry';
    end if;
    update payments.entry d
    set state = 'approved', open_amount = rest, effective_due_on = e.effective_due_on,
        time_barred_on = e.time_barred_on, booked_on = today, journal_no = number, approved_by = actor,
        approved_at = e.approved_at
    where d.account_id = account and d.id = entry;
    update payments.account_balance k
    set charged = k.charged + case when is_credit then 0 else e.amount end,
        credited = k.credited + case when is_credit then e.amount else 0 end,
        oldest_open_due = (
            select min(o.effective_due_on) from payments.entry o
            where o.account_id = account and o.side = 'charge' and o.open_amount > 0),
        version = this.version, seal = sha256(this.seal || convert_to(facts || number, 'UTF8')), updated_at = now()
    where k.account_id = account
    returning k.seal into this.seal;
    insert into payments.seal (account_id, seq, event, entries, hash)
    values (account, this.version, 'approved', array[entry], this.seal);
    return true;
end
$$;

-- Approve drafts: number them in the journal, post them, allocate, carry the balances, tell the history. Entries that are no drafts (any
-- more) are left alone, so that two people who approve the same list approve it once. «today» is the accounting day.
-- Returns what became approved; «waits»: its credits wait for a policy that is computed outside. In books that book
-- interest when it is paid nothing happens until «interest_done»: such accounts come back, locked, without an entry.
drop function payments.approve(bigint[], bigint[], date);
create function payments.approve(accounts bigint[], entries bigint[], today date, interest_done boolean)
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
begin
    if cardinality(entries) = 1 and payments.approve_plain(accounts[1], entries[1], today) then
        return query select accounts[1], entries[1], false;
        return;
    end if;
    perform payments.hold(accounts);
    if not interest_done then
        return query
        select distinct a.id, null::bigint, true
        from payments.account a join payments.book b on b.id = a.book
        where a.id = any (accounts) and (b.interest_first or b.allocation_policy = 'public')
          and b.interest_regime <> 'none' and not b.is_mirror and exists (
            select from unnest(accounts, entries) n (account_id, id) join payments.entry e using (account_id, id)
            where e.account_id = a.id and e.state = 'draft' and e.side = 'credit'
              and e.kind not in ('reversal', 'correction', 'remission', 'write_off')
        );
        if found then
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
    insert into kernel.audit_log (verb, customer, subject, facts)
    select 'payments.approved', a.customer, case count(*) when 1 then 'entry ' || min(e.id) else '' end,
           payments.told(count(*), coalesce(sum(e.amount) filter (where e.side = 'charge'), 0)::bigint,
               coalesce(sum(e.amount) filter (where e.side = 'credit'), 0)::bigint)
    from unnest(posted_accounts, posted) n (account_id, id) join payments.entry e using (account_id, id)
    join payments.account a on a.id = e.account_id
    group by a.customer;
    return query select n.account_id, n.id, is_outside from unnest(posted_accounts, posted) n (account_id, id);
end
$$;

-- What an entry that refers to another must keep to, once approved.
create or replace function payments.check_references(accounts bigint[], entries bigint[]) returns void
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
            select from payments.entry k
            where k.account_id = o.account_id and k.state = 'approved' and (k.corrects = o.id or k.bears_on = o.id)
              and not exists (
                select from payments.entry r
                where r.account_id = k.account_id and r.reverses = k.id and r.state = 'approved')
            ) then 'reversal_of_corrected'
        when e.bears_on is not null and (o.side <> 'charge' or o.bears_on is not null) then 'bears_on_no_debt'
        when e.kind = 'correction' and o.side <> 'charge' then 'correction_of_credit'
        when (e.kind = 'correction' or e.bears_on is not null) and exists (
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
    join payments.entry o on o.account_id = e.account_id and o.id = coalesce(e.reverses, e.corrects, e.bears_on)
    order by 1 nulls last limit 1;
    if wrong is not null then
        raise exception 'this entry may not refer to that one: %', wrong
            using errcode = 'EB003', constraint = wrong, schema = 'payments', table = 'entry';
    end if;
end
$$;

-- Void an approved entry: it counts no more, what it paid or was paid by is free again. The trigger refuses anybody but
-- the superadministrator in the announced mode. In accounting books and in a closed month only a reversal is right.
drop function payments.void(bigint, bigint, text);
create function payments.void(account bigint, entry bigint, reason text) returns boolean
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
    return is_outside;
end
$$;

-- Compute the allocations of these accounts anew from all their entries. It changes nothing that is right already.
create or replace function payments.allocate(accounts bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    perform payments.hold(accounts);
    perform payments.settle(array_agg(e.account_id), array_agg(e.id), current_date, true)
    from payments.entry e where e.account_id = any (accounts) and e.state <> 'draft';
end
$$;

-- What the payer wished, written with a draft.
create function payments.designate(accounts bigint[], credits bigint[], places integer[], charges bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    if exists (
        select from unnest(accounts, credits) n (account_id, id) join payments.entry e using (account_id, id)
        where e.state <> 'draft' or e.side <> 'credit'
    ) then
        raise exception 'only a draft credit can be designated'
            using errcode = 'EB003', constraint = 'designation_of_approved', schema = 'payments', table = 'designation';
    end if;
    insert into payments.designation (account_id, credit, place, charge)
    select * from unnest(accounts, credits, places, charges);
end
$$;

-- Fix what a credit pays: by the office («manual») or as the source has it («imported»). Computed allocations give way.
create function payments.pin(accounts bigint[], credits bigint[], charges bigint[], amounts bigint[], rule text,
    reason text) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
declare
    wrong text;
    held constant bigint[] := array(select distinct unnest(accounts) order by 1);
begin
    if rule not in ('manual', 'imported') then
        raise exception 'only people and sources fix allocations'
            using errcode = 'EB003', constraint = 'allocation_not_manual', schema = 'payments', table = 'allocation';
    end if;
    perform payments.hold(accounts);
    insert into payments.allocation (account_id, credit, charge, amount, rule, pinned, value_date, effective_due_on, reason)
    select p.account_id, p.credit, p.charge, p.amount, pin.rule, true,
           case b.allocation_policy when 'public' then coalesce(c.paid_on, c.value_date) else c.value_date end,
           h.effective_due_on, pin.reason
    from unnest(accounts, credits, charges, amounts) p (account_id, credit, charge, amount)
    join payments.entry c on c.account_id = p.account_id and c.id = p.credit
    join payments.entry h on h.account_id = p.account_id and h.id = p.charge
    join payments.account a on a.id = p.account_id join payments.book b on b.id = a.book;
    select case
        when c.side <> 'credit' or h.side <> 'charge' or c.kind = 'reversal' or h.kind = 'reversal'
            or c.state <> 'approved' or h.state <> 'approved' then 'allocation_not_approved'
        when pin.rule = 'manual' and b.is_mirror then 'mirror_book'
        when exists (select from payments.entry r where r.account_id = p.account_id and r.state = 'approved'
            and r.reverses in (p.credit, p.charge)) then 'allocation_of_reversed'
        when c.amount < (select sum(l.amount) from payments.allocation l where l.account_id = p.account_id
            and l.credit = p.credit and l.released_at is null and l.pinned) then 'allocation_exceeds_credit'
        when h.amount < (select sum(l.amount) from payments.allocation l where l.account_id = p.account_id
            and l.charge = p.charge and l.released_at is null and l.pinned) then 'allocation_exceeds_charge'
    end into wrong
    from unnest(accounts, credits, charges) p (account_id, credit, charge)
    join payments.account a on a.id = p.account_id join payments.book b on b.id = a.book
    left join payments.entry c on c.account_id = p.account_id and c.id = p.credit
    left join payments.entry h on h.account_id = p.account_id and h.id = p.charge
    order by 1 nulls last limit 1;
    if wrong is not null then
        raise exception 'this cannot be allocated: %', wrong
            using errcode = 'EB003', constraint = wrong, schema = 'payments', table = 'allocation';
    end if;
    perform payments.settle_in_turn(held, current_date);
    perform payments.remember(held);
end
$$;

-- Let go of what the office or a source had fixed; the policy decides again.
create function payments.release(account bigint, allocation bigint, reason text) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    perform payments.hold(array[account]);
    update payments.allocation l set released_at = greatest(now(), l.created_at), reason = release.reason
    where l.account_id = release.account and l.id = release.allocation and l.released_at is null
      and l.rule in ('manual', 'imported');
    if not found then
        raise exception 'only what was fixed by hand can be released'
            using errcode = 'EB003', constraint = 'allocation_not_manual', schema = 'payments', table = 'allocation';
    end if;
    perform payments.settle_in_turn(array[account], current_date);
    perform payments.remember(array[account]);
end
$$;

-- Allocations that a policy of another plugin computed. What exceeds an entry is refused.
create function payments.impose(account bigint, credits bigint[], charges bigint[], amounts bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    perform payments.hold(array[account]);
    if (
        select b.allocation_policy from payments.account a join payments.book b on b.id = a.book where a.id = account
    ) in ('civil', 'public') then
        raise exception 'the database allocates in this book'
            using errcode = 'EB003', constraint = 'allocation_not_outside', schema = 'payments', table = 'allocation';
    end if;
    perform payments.keep(account, credits, charges, amounts, array_fill('policy'::text, array[cardinality(credits)]));
    perform payments.remember(array[account]);
end
$$;

-- The oldest open due date after allocations changed without a posting.
create function payments.remember(accounts bigint[]) returns void
    language sql
begin atomic
    update payments.account_balance b
    set oldest_open_due = (
            select min(e.effective_due_on) from payments.entry e
            where e.account_id = b.account_id and e.side = 'charge' and e.open_amount > 0
        ),
        version = b.version + 1, updated_at = now()
    where b.account_id = any (accounts);
end;

-- In books without prepayment: let charges that have come due meet the credits that waited for them.
create function payments.reach(today date) returns integer
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
declare
    waiting bigint[];
begin
    select array_agg(a.id order by a.id) into waiting
    from payments.book b join payments.account a on a.book = b.id join payments.account_balance k on k.account_id = a.id
    where not b.prepay and (k.reached_on is null or k.reached_on < today)
      and k.oldest_open_due <= today
      and exists (select from payments.entry e where e.account_id = a.id and e.side = 'credit' and e.open_amount > 0);
    if waiting is null then
        return 0;
    end if;
    perform payments.hold(waiting);
    perform payments.settle_in_turn(waiting, today);
    perform payments.remember(waiting);
    return cardinality(waiting);
end
$$;

alter function payments.hold(bigint[]) security definer;
grant execute on function payments.hold to ebok_app;
revoke insert, update, delete on payments.designation, payments.seal, payments.purged from ebok_app;
revoke execute on all functions in schema payments from public;
revoke execute on function payments.settle_first_come, payments.settle_in_turn, payments.settle, payments.turning,
    payments.approve_plain, payments.keep, payments.fit_pins, payments.make_room, payments.remember, payments.carry, payments.check_references
    from ebok_app;

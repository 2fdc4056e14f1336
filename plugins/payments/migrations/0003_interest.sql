-- Interest for delay: dated rates and thresholds, interest notes with what they were computed from, the issuing of many
-- notes at once, and corrections that became due because days a note named fell away.

-- Percent a year from a day on. Edited by the office; each row says where it comes from and how sure that is.
create sequence payments.interest_rate_id;
create table payments.interest_rate (
    id bigint not null unique default nextval('payments.interest_rate_id'),
    kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,40}$'),
    valid_from date not null check (valid_from between '2000-01-01' and '2100-12-31'),
    percent numeric(7, 4) not null check (percent between 0 and 100),
    source text not null default '' check (length(source) <= 300),
    primary key (kind, valid_from)
);

-- Interest of a charge that does not exceed the amount (grosze) is not charged at all: it costs more than it brings.
create sequence payments.interest_minimum_id;
create table payments.interest_minimum (
    id bigint not null unique default nextval('payments.interest_minimum_id'),
    kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,40}$'),
    valid_from date not null check (valid_from between '2000-01-01' and '2100-12-31'),
    amount bigint not null check (amount between 0 and 1000000),
    source text not null default '' check (length(source) <= 300),
    primary key (kind, valid_from)
);

insert into payments.interest_rate (kind, valid_from, percent, source) values
    ('statutory_delay', '2016-01-01', 7.00, 'art. 481 § 2 KC: stopa referencyjna NBP 1,50 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2020-03-18', 6.50, 'art. 481 § 2 KC: stopa referencyjna NBP 1,00 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2020-04-09', 6.00, 'art. 481 § 2 KC: stopa referencyjna NBP 0,50 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2020-05-29', 5.60, 'art. 481 § 2 KC: stopa referencyjna NBP 0,10 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2021-10-07', 6.00, 'art. 481 § 2 KC: stopa referencyjna NBP 0,50 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2021-11-04', 6.75, 'art. 481 § 2 KC: stopa referencyjna NBP 1,25 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2021-12-09', 7.25, 'art. 481 § 2 KC: stopa referencyjna NBP 1,75 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2022-01-05', 7.75, 'art. 481 § 2 KC: stopa referencyjna NBP 2,25 + 5,5 pp; wyliczone ze stopy NBP, dzień potwierdzony'),
    ('statutory_delay', '2022-02-09', 8.25, 'art. 481 § 2 KC: stopa referencyjna NBP 2,75 + 5,5 pp; wyliczone ze stopy NBP, dzień potwierdzony'),
    ('statutory_delay', '2022-03-09', 9.00, 'art. 481 § 2 KC: stopa referencyjna NBP 3,50 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2022-04-07', 10.00, 'art. 481 § 2 KC: stopa referencyjna NBP 4,50 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2022-05-06', 10.75, 'art. 481 § 2 KC: stopa referencyjna NBP 5,25 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2022-06-09', 11.50, 'art. 481 § 2 KC: stopa referencyjna NBP 6,00 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2022-07-08', 12.00, 'art. 481 § 2 KC: stopa referencyjna NBP 6,50 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2022-09-08', 12.25, 'art. 481 § 2 KC: stopa referencyjna NBP 6,75 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2023-09-07', 11.50, 'art. 481 § 2 KC: stopa referencyjna NBP 6,00 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2023-10-05', 11.25, 'art. 481 § 2 KC: stopa referencyjna NBP 5,75 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2025-05-08', 10.75, 'art. 481 § 2 KC: stopa referencyjna NBP 5,25 + 5,5 pp; wyliczone ze stopy NBP, dzień niepewny'),
    ('statutory_delay', '2025-07-03', 10.50, 'art. 481 § 2 KC: stopa referencyjna NBP 5,00 + 5,5 pp; wyliczone ze stopy NBP, dzień niepewny'),
    ('statutory_delay', '2025-09-04', 10.25, 'art. 481 § 2 KC: stopa referencyjna NBP 4,75 + 5,5 pp; wyliczone ze stopy NBP, potwierdzona decyzja z dnia poprzedniego'),
    ('statutory_delay', '2025-10-09', 10.00, 'art. 481 § 2 KC: stopa referencyjna NBP 4,50 + 5,5 pp; potwierdzone'),
    ('statutory_delay', '2025-11-06', 9.75, 'art. 481 § 2 KC: stopa referencyjna NBP 4,25 + 5,5 pp; wyliczone ze stopy NBP, potwierdzona decyzja z dnia poprzedniego'),
    ('statutory_delay', '2025-12-04', 9.50, 'art. 481 § 2 KC: stopa referencyjna NBP 4,00 + 5,5 pp; wyliczone ze stopy NBP, dzień potwierdzony'),
    ('statutory_delay', '2026-03-05', 9.25, 'art. 481 § 2 KC: stopa referencyjna NBP 3,75 + 5,5 pp; wyliczone ze stopy NBP, dzień potwierdzony'),
    ('trade', '2016-01-01', 9.50, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,50 + 8 pp; potwierdzone'),
    ('trade', '2016-07-01', 9.50, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,50 + 8 pp; potwierdzone'),
    ('trade', '2017-01-01', 9.50, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,50 + 8 pp; potwierdzone'),
    ('trade', '2017-07-01', 9.50, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,50 + 8 pp; wyliczone ze stopy NBP'),
    ('trade', '2018-01-01', 9.50, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,50 + 8 pp; wyliczone ze stopy NBP'),
    ('trade', '2018-07-01', 9.50, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,50 + 8 pp; wyliczone ze stopy NBP'),
    ('trade', '2019-01-01', 9.50, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,50 + 8 pp; wyliczone ze stopy NBP'),
    ('trade', '2019-07-01', 9.50, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,50 + 8 pp; wyliczone ze stopy NBP'),
    ('trade', '2020-01-01', 11.50, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,50 + 10 pp; wyliczone ze stopy NBP'),
    ('trade', '2020-07-01', 10.10, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 0,10 + 10 pp; potwierdzone'),
    ('trade', '2021-01-01', 10.10, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 0,10 + 10 pp; potwierdzone'),
    ('trade', '2021-07-01', 10.10, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 0,10 + 10 pp; wyliczone ze stopy NBP'),
    ('trade', '2022-01-01', 11.75, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 1,75 + 10 pp; wyliczone ze stopy NBP'),
    ('trade', '2022-07-01', 16.00, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 6,00 + 10 pp; wyliczone ze stopy NBP'),
    ('trade', '2023-01-01', 16.75, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 6,75 + 10 pp; wyliczone ze stopy NBP'),
    ('trade', '2023-07-01', 16.75, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 6,75 + 10 pp; wyliczone ze stopy NBP'),
    ('trade', '2024-01-01', 15.75, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 5,75 + 10 pp; wyliczone ze stopy NBP'),
    ('trade', '2024-07-01', 15.75, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 5,75 + 10 pp; potwierdzone'),
    ('trade', '2025-01-01', 15.75, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 5,75 + 10 pp; wyliczone ze stopy NBP'),
    ('trade', '2025-07-01', 15.25, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 5,25 + 10 pp; M.P. 2025 poz. 602, z cudzego zestawienia, samego Monitora nie widziano'),
    ('trade', '2026-01-01', 14.00, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 4,00 + 10 pp; M.P. 2025 poz. 1257, z cudzego zestawienia, samego Monitora nie widziano'),
    ('trade', '2026-07-01', 13.75, 'ustawa z 8.03.2013 o transakcjach handlowych: stopa referencyjna NBP 3,75 + 10 pp; M.P. 2026 poz. 642, z cudzego zestawienia, samego Monitora nie widziano'),
    ('trade_medical', '2020-01-01', 9.50, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 1,50 + 8 pp; wyliczone ze stopy NBP'),
    ('trade_medical', '2020-07-01', 8.10, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 0,10 + 8 pp; wyliczone ze stawki handlowej'),
    ('trade_medical', '2021-01-01', 8.10, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 0,10 + 8 pp; wyliczone ze stawki handlowej'),
    ('trade_medical', '2021-07-01', 8.10, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 0,10 + 8 pp; wyliczone ze stopy NBP'),
    ('trade_medical', '2022-01-01', 9.75, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 1,75 + 8 pp; wyliczone ze stopy NBP'),
    ('trade_medical', '2022-07-01', 14.00, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 6,00 + 8 pp; wyliczone ze stopy NBP'),
    ('trade_medical', '2023-01-01', 14.75, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 6,75 + 8 pp; wyliczone ze stopy NBP'),
    ('trade_medical', '2023-07-01', 14.75, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 6,75 + 8 pp; wyliczone ze stopy NBP'),
    ('trade_medical', '2024-01-01', 13.75, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 5,75 + 8 pp; wyliczone ze stopy NBP'),
    ('trade_medical', '2024-07-01', 13.75, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 5,75 + 8 pp; wyliczone ze stawki handlowej'),
    ('trade_medical', '2025-01-01', 13.75, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 5,75 + 8 pp; wyliczone ze stopy NBP'),
    ('trade_medical', '2025-07-01', 13.25, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 5,25 + 8 pp; M.P. 2025 poz. 602, z cudzego zestawienia, samego Monitora nie widziano'),
    ('trade_medical', '2026-01-01', 12.00, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 4,00 + 8 pp; M.P. 2025 poz. 1257, z cudzego zestawienia, samego Monitora nie widziano'),
    ('trade_medical', '2026-07-01', 11.75, 'ustawa z 8.03.2013 o transakcjach handlowych, dłużnik publiczny podmiot leczniczy: 3,75 + 8 pp; M.P. 2026 poz. 642, z cudzego zestawienia, samego Monitora nie widziano'),
    ('public', '2016-01-01', 8.00, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 2,50 + 2 pp; nie mniej niż 8; wyliczone'),
    ('public', '2022-02-09', 8.50, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 3,25 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2022-03-09', 10.00, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 4,00 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2022-04-07', 12.00, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 5,00 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2022-05-06', 13.50, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 5,75 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2022-06-09', 15.00, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 6,50 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2022-07-08', 16.00, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 7,00 + 2 pp; stopa potwierdzona, stawka wyliczona'),
    ('public', '2022-09-08', 16.50, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 7,25 + 2 pp; stopa potwierdzona, stawka wyliczona'),
    ('public', '2023-09-07', 15.00, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 6,50 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2023-10-05', 14.50, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 6,25 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2025-05-08', 13.50, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 5,75 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp), dzień niepewny'),
    ('public', '2025-07-03', 13.00, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 5,50 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp), dzień niepewny'),
    ('public', '2025-09-04', 12.50, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 5,25 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2025-10-09', 12.00, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 5,00 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2025-11-06', 11.50, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 4,75 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2025-12-04', 11.00, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 4,50 + 2 pp; wyliczone (stopa lombardowa = referencyjna + 0,5 pp)'),
    ('public', '2026-03-05', 10.50, 'art. 56 § 1 Ordynacji podatkowej: 2 × stopa lombardowa NBP 4,25 + 2 pp; stopa potwierdzona, stawka wyliczona');

insert into payments.interest_minimum (kind, valid_from, amount, source) values
    ('public', '2014-02-01', 870,
        'art. 54 § 1 pkt 5 Ordynacji podatkowej: 3 × opłata za polecenie listu 2,90 zł; zmian do 2025 r. nie sprawdzono'),
    ('public', '2025-03-01', 870,
        'art. 54 § 1 pkt 5 Ordynacji podatkowej: 3 × opłata za polecenie listu; potwierdzone');

-- All dated data as one value: kind → its rates and minimums, oldest first. Numbers are texts, so that nothing reads a float.
create function payments.interest_tables() returns jsonb
    language sql stable set search_path = pg_catalog, pg_temp
return (
    select jsonb_object_agg(kind, jsonb_build_object(
        'rates', (select coalesce(jsonb_agg(jsonb_build_array(r.valid_from, r.percent::text) order by r.valid_from), '[]')
            from payments.interest_rate r where r.kind = kinds.kind),
        'minimums', (select coalesce(jsonb_agg(jsonb_build_array(m.valid_from, m.amount) order by m.valid_from), '[]')
            from payments.interest_minimum m where m.kind = kinds.kind)))
    from (select kind from payments.interest_rate union select kind from payments.interest_minimum) kinds
);

-- --- interest notes --------------------------------------------------------------------------------------------------

-- The last number given out, by book and year. A register: few rows.
create table payments.interest_note_number (
    book bigint not null references payments.book,
    year integer not null,
    last_no integer not null,
    primary key (book, year)
);

create sequence payments.interest_note_id;
-- An issued document: it is never edited. What it booked is taken back by reversals and corrections of its entries.
create table payments.interest_note (
    account_id bigint not null references payments.account,
    id bigint not null default nextval('payments.interest_note_id'),
    book bigint not null references payments.book,
    year integer not null,
    number integer not null check (number > 0),
    note_no text not null,
    issued_on date not null,
    -- Interest up to this day, that day included.
    as_of date not null check (as_of <= issued_on),
    due_on date not null check (due_on >= issued_on),
    total bigint not null check (total > 0),
    created_by text not null default current_setting('ebok.actor', true),
    created_at timestamptz not null default now(),
    primary key (account_id, id),
    unique (account_id, book, year, number)
);
create index interest_note_newest on payments.interest_note (id desc);
create index interest_note_by_no on payments.interest_note (note_no);
create index interest_note_of_account on payments.interest_note (account_id, id desc);

create table payments.interest_note_line (
    account_id bigint not null,
    note bigint not null,
    charge bigint not null,
    -- The interest that this line booked.
    entry bigint not null,
    first_day date not null,
    last_day date not null check (last_day >= first_day),
    amount bigint not null check (amount > 0),
    -- Periods with principal, percent and exact interest, as they were on the day of issue.
    derivation jsonb not null,
    primary key (account_id, note, charge),
    unique (account_id, entry),
    foreign key (account_id, note) references payments.interest_note (account_id, id),
    foreign key (account_id, charge) references payments.entry (account_id, id),
    foreign key (account_id, entry) references payments.entry (account_id, id)
);
create index interest_note_line_charge on payments.interest_note_line (account_id, charge);
-- Whether a rate was used by a note.
create index interest_note_line_days on payments.interest_note_line (last_day, first_day);

-- --- what bears interest ----------------------------------------------------------------------------------------------

-- A charge paid late bears interest still when nothing of it is open.
create index allocation_late on payments.allocation (account_id, effective_due_on desc, charge desc)
    where released_at is null and value_date > effective_due_on;

-- Charges that may bear interest to a day: of each account at most so many open ones, the earliest due first, and so many
-- that were paid late, the latest due first.
create function payments.interest_candidates(accounts bigint[], as_of date, most integer)
    returns table (account_id bigint, charge bigint)
    language sql stable set search_path = pg_catalog, pg_temp as
$$
    select named.id, found.charge
    from (select distinct unnest(accounts) as id) named cross join lateral (
        (select e.id as charge from payments.entry e
         where e.account_id = named.id and e.side = 'charge' and e.open_amount > 0 and e.effective_due_on < as_of
         order by e.effective_due_on, e.id limit most)
        union
        (select late.charge from (
            select distinct l.effective_due_on, l.charge from payments.allocation l
            where l.account_id = named.id and l.released_at is null and l.value_date > l.effective_due_on
            order by l.effective_due_on desc, l.charge desc limit most
         ) late)
    ) found
$$;

-- Charges whose interest was noted or booked.
create function payments.interest_noted(accounts bigint[]) returns table (account_id bigint, charge bigint)
    language sql stable set search_path = pg_catalog, pg_temp as
$$
    select distinct e.account_id, e.bears_on
    from (select distinct unnest(accounts) as id) named join payments.entry e on e.account_id = named.id
    where e.bears_on is not null and e.kind = 'interest' and e.state = 'approved'
$$;

-- What the interest of one approved charge follows from: its principal by the day it was paid (null: open), what was
-- noted net of corrections («pending»: corrections that wait as drafts), and the last day that was noted. A part that a
-- correction or reversal took away was never owed, so it is not among the parts.
create function payments.interest_debt(of_account bigint, of_charge bigint)
    returns table (account_id bigint, charge bigint, customer bigint, book bigint, book_code text, regime text, contract_rate text,
        is_mirror boolean, kind text, title text, document_no text, period text, due_on date, effective_due_on date,
        barred_on date, amount bigint, open_amount bigint, parts jsonb, noted bigint, pending bigint, noted_through date)
    language sql stable set search_path = pg_catalog, pg_temp as
$$
    select e.account_id, e.id, a.customer, a.book, b.code, b.interest_regime, b.contract_rate::text, b.is_mirror, e.kind, e.title,
           e.document_no, e.period, e.due_on, e.effective_due_on, case when c.consumer then e.time_barred_on end, e.amount,
           e.open_amount, p.parts, n.noted, n.pending, n.noted_through
    from payments.entry e
    join payments.account a on a.id = e.account_id
    join payments.book b on b.id = a.book
    join kernel.customer c on c.id = a.customer
    cross join lateral (
        select coalesce(jsonb_agg(jsonb_build_array(amount, until) order by until), '[]') as parts
        from (
            select sum(amount)::bigint as amount, until from (
                select e.open_amount as amount, null::date as until where e.open_amount > 0
                union all
                select l.amount, case when 'public' in (b.allocation_policy, b.interest_regime)
                    then coalesce(paid.paid_on, paid.value_date) else paid.value_date end
                from payments.allocation l
                join payments.entry paid on paid.account_id = l.account_id and paid.id = l.credit
                where l.account_id = e.account_id and l.charge = e.id and l.released_at is null
                  and l.rule not in ('correction', 'reversal')
            ) each group by until
        ) parts
    ) p
    cross join lateral (
        select coalesce(sum(i.amount + k.raised - k.lowered), 0)::bigint as noted,
               coalesce(sum(k.pending), 0)::bigint as pending,
               max(coalesce(t.last_day, i.issued_on)) as noted_through
        from payments.entry i
        cross join lateral (
            select coalesce(sum(k.amount) filter (where k.side = 'charge' and k.state = 'approved'), 0) as raised,
                   coalesce(sum(k.amount) filter (where k.side = 'credit' and k.state = 'approved'), 0) as lowered,
                   coalesce(sum(k.amount) filter (where k.side = 'credit' and k.state = 'draft'), 0) as pending
            from payments.entry k
            where k.account_id = i.account_id and k.corrects = i.id and k.state <> 'voided' and not exists (
                select from payments.entry r
                where r.account_id = k.account_id and r.reverses = k.id and r.state = 'approved')
        ) k
        left join payments.interest_note_line t on t.account_id = i.account_id and t.entry = i.id
        where i.account_id = e.account_id and i.bears_on = e.id and i.kind = 'interest' and i.state = 'approved'
          and not exists (select from payments.entry r
            where r.account_id = i.account_id and r.reverses = i.id and r.state = 'approved')
    ) n
    where e.account_id = of_account and e.id = of_charge and e.side = 'charge' and e.state = 'approved'
$$;

-- All that a page about interest shows of some accounts: the rates, what bears interest to a day, what is due by then
-- (without what is time-barred), and the newest notes.
create function payments.interest_page(accounts bigint[], as_of date, most integer)
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
            where n.account_id = any (accounts) order by n.id desc limit 20
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

-- --- issuing -----------------------------------------------------------------------------------------------------------

-- Hold these accounts until the transaction ends, so that what interest is computed from stays as it was read.
create function payments.hold_for_interest(accounts bigint[]) returns void
    language sql security definer set search_path = pg_catalog, pg_temp as
$$
    select payments.hold(accounts)
$$;

-- Take the next numbers of a book's notes in a year; the first of them. Given back if the transaction rolls back, so that
-- numbers have no gaps.
create function payments.take_note_numbers(book bigint, year integer, notes integer) returns integer
    language sql security definer set search_path = pg_catalog, pg_temp as
$$
    insert into payments.interest_note_number as n (book, year, last_no)
    values (take_note_numbers.book, take_note_numbers.year, take_note_numbers.notes)
    on conflict (book, year) do update set last_no = n.last_no + excluded.last_no
    returning last_no - take_note_numbers.notes + 1
$$;

-- Keep notes whose interest entries are approved, and pin the allocations of the charges they name, because a note states
-- when and how much was paid. «notes»: account, number, note_no, issued_on, as_of, due_on, lines (charge, entry, first_day,
-- last_day, amount, derivation).
create function payments.record_interest_notes(notes jsonb)
    returns table (account_id bigint, id bigint, note_no text)
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
#variable_conflict use_column
begin
    if exists (
        select from jsonb_to_recordset(notes) n (account bigint, lines jsonb)
        join payments.account a on a.id = n.account join payments.book b on b.id = a.book
        cross join jsonb_to_recordset(n.lines) l (charge bigint, entry bigint, amount bigint)
        left join payments.entry e on e.account_id = n.account and e.id = l.entry
        where b.is_mirror or (e.state, e.kind, e.bears_on, e.amount) is distinct from
            ('approved', 'interest', l.charge, l.amount)
    ) then
        raise exception 'a note lists approved interest of its own charges only'
            using errcode = 'EB003', constraint = 'interest_note_wrong', schema = 'payments', table = 'interest_note';
    end if;
    return query
    with given as materialized (
        select n.*, nextval('payments.interest_note_id') as id
        from jsonb_to_recordset(notes) n (account bigint, number integer, note_no text, issued_on date, as_of date,
            due_on date, lines jsonb)
    ), lines as materialized (
        select g.account as account_id, g.id as note, l.*
        from given g cross join jsonb_to_recordset(g.lines) l (charge bigint, entry bigint, first_day date,
            last_day date, amount bigint, derivation jsonb)
    ), kept as (
        insert into payments.interest_note (account_id, id, book, year, number, note_no, issued_on, as_of, due_on, total)
        select g.account, g.id, a.book, extract(year from g.issued_on)::integer, g.number, g.note_no, g.issued_on, g.as_of,
               g.due_on, (select sum(l.amount) from lines l where l.account_id = g.account and l.note = g.id)
        from given g join payments.account a on a.id = g.account
        returning account_id, id, note_no
    ), listed as (
        insert into payments.interest_note_line (account_id, note, charge, entry, first_day, last_day, amount, derivation)
        select account_id, note, charge, entry, first_day, last_day, amount, derivation from lines
    ), pinned as (
        update payments.allocation a set pinned = true
        from lines l
        where a.account_id = l.account_id and a.charge = l.charge and a.released_at is null and not a.pinned
    )
    select account_id, id, note_no from kept;
end
$$;

-- --- many notes at once ----------------------------------------------------------------------------------------------

create sequence payments.interest_issuing_id;
create table payments.interest_issuing (
    id bigint primary key default nextval('payments.interest_issuing_id'),
    book bigint not null references payments.book,
    as_of date not null,
    -- Days to pay, from the day of issue.
    pay_days integer not null check (pay_days between 0 and 365),
    -- Accounts with less than this (grosze) get no note.
    at_least bigint not null check (at_least > 0),
    customer_kind text not null default '' check (customer_kind in ('', 'person', 'company')),
    state text not null default 'counting' check (state in ('counting', 'ready', 'issuing', 'issued')),
    -- How far the work has come: the last account looked at, of how many.
    reached bigint not null default 0,
    looked_at integer not null default 0,
    accounts integer not null,
    -- Sums of what was found and of what was noted, kept with each batch.
    found integer not null default 0,
    amount bigint not null default 0,
    noted integer not null default 0,
    noted_amount bigint not null default 0,
    -- Why the work stopped, for people; empty: it did not.
    trouble text not null default '',
    created_by text not null default current_setting('ebok.actor', true),
    created_at timestamptz not null default now()
);

create table payments.interest_issuing_account (
    account_id bigint not null references payments.account on delete cascade,
    issuing bigint not null references payments.interest_issuing on delete cascade,
    charges integer not null,
    amount bigint not null check (amount > 0),
    -- The note that came of it; null: none yet, or nothing was left to note.
    note bigint,
    primary key (account_id, issuing),
    foreign key (account_id, note) references payments.interest_note (account_id, id)
);
create index interest_issuing_account_list on payments.interest_issuing_account (issuing, account_id);

-- --- corrections that are due ----------------------------------------------------------------------------------------

-- Interest that was noted for days that fell away since (a payment of an earlier day arrived, a charge was corrected):
-- found by a job, gone when the correction is entered.
create table payments.interest_correction_due (
    account_id bigint not null,
    charge bigint not null,
    amount bigint not null check (amount > 0),
    found_at timestamptz not null default now(),
    primary key (account_id, charge),
    foreign key (account_id, charge) references payments.entry (account_id, id) on delete cascade
);

revoke insert, update, delete on payments.interest_note, payments.interest_note_line, payments.interest_note_number
    from ebok_app;
revoke execute on function payments.hold_for_interest, payments.take_note_numbers, payments.record_interest_notes
    from public;

-- Bank files: statements and their lines as the bank tells them, what each line points to, and what became of it. Money
-- itself is booked as lines of suspense (payments.incoming); what went out is only shown.

create sequence payments.bank_file_id;
create table payments.bank_file (
    id bigint primary key default nextval('payments.bank_file_id'),
    name text not null check (length(name) <= 200),
    -- SHA-256 of the content: the same file is kept once, whoever brings it.
    hash text not null constraint bank_file_once unique,
    bytes bigint not null,
    created_by text not null default nullif(current_setting('ebok.actor', true), ''),
    created_at timestamptz not null default now()
);

create sequence payments.bank_statement_id;
create table payments.bank_statement (
    id bigint primary key default nextval('payments.bank_statement_id'),
    -- Exactly one of the two: the file, or the profile of the import that brought it.
    file bigint references payments.bank_file on delete cascade,
    profile text,
    account_no text not null check (length(account_no) <= 40),
    number text not null check (length(number) <= 40),
    sequence_no integer,
    currency text not null check (length(currency) <= 3),
    first_day date,
    last_day date,
    -- Balances in grosze; null where the file does not tell them.
    opening bigint,
    closing bigint,
    lines integer not null default 0,
    came_in bigint not null default 0,
    went_out bigint not null default 0,
    state text not null default 'matching'
        check (state in ('matching', 'ready', 'refused', 'booking', 'booked', 'undoing')),
    -- Why it cannot be booked, or why the last attempt failed: {"message": …, "values": {…}}.
    problem jsonb,
    -- How often it was rolled back; a line that is booked again has a new name in suspense.
    round integer not null default 0,
    booked_by text,
    booked_at timestamptz,
    created_by text not null default nullif(current_setting('ebok.actor', true), ''),
    created_at timestamptz not null default now(),
    check (num_nonnulls(file, profile) = 1)
);
create index bank_statement_file on payments.bank_statement (file);
create index bank_statement_number on payments.bank_statement (account_no, sequence_no, last_day);
create index bank_statement_waits on payments.bank_statement (id) where state in ('ready', 'refused');

create sequence payments.bank_line_id;
create table payments.bank_line (
    id bigint primary key default nextval('payments.bank_line_id'),
    statement bigint not null references payments.bank_statement on delete cascade,
    line_no integer not null check (line_no > 0),
    -- What names the line for ever, in whatever file it comes.
    line_key text not null,
    account_no text not null,
    amount bigint not null check (abs(amount) <= 1000000000000),
    is_reversal boolean not null,
    value_date date not null,
    booked_on date not null,
    party_name text not null check (length(party_name) <= 300),
    party_account text not null check (length(party_account) <= 40),
    paid_to text not null check (length(paid_to) <= 40),
    title text not null check (length(title) <= 1000),
    reference text not null check (length(reference) <= 100),
    end_to_end text not null check (length(end_to_end) <= 100),
    raw text not null,
    -- Another line that is this one (same) or looks like it (similar), booked already.
    twin bigint references payments.bank_line on delete set null,
    is_same boolean not null default false,
    -- Whom it points to, how surely in per cent, and by what: [["own", "29…"], …].
    points_to bigint references payments.account,
    certainty smallint not null default 0 check (certainty between 0 and 100),
    evidence jsonb not null default '[]',
    charges bigint[] not null default '{}',
    -- Assigned by a rule and not by a person.
    is_automatic boolean not null default false,
    incoming bigint references payments.incoming,
    -- What a reversal takes back, and what somebody decided about it.
    reverses bigint references payments.bank_line on delete set null,
    decision text check (decision in ('returned', 'settled')),
    decided_why text check (length(decided_why) <= 500),
    decided_by text,
    decided_at timestamptz,
    unique (statement, line_no)
);
create unique index bank_line_booked on payments.bank_line (line_key) where incoming is not null;
create index bank_line_incoming on payments.bank_line (incoming) where incoming is not null;
create index bank_line_twins on payments.bank_line (account_no, value_date, amount);
create index bank_line_undecided on payments.bank_line (id) where is_reversal and amount < 0 and decision is null;

-- How far long work is, told while its transaction is still open, and whether somebody wants it to stop.
create table payments.bank_progress (
    statement bigint primary key,
    done integer not null default 0,
    is_stopped boolean not null default false
);

-- Bank accounts of the organisation that no book names: a cash pool, an account for deposits.
create table payments.bank_account (
    number text primary key check (length(number) between 1 and 40),
    created_by text not null default nullif(current_setting('ebok.actor', true), ''),
    created_at timestamptz not null default now()
);

-- Whose account a person has said that a payer's money belongs to.
create table payments.payer_account (
    account_id bigint not null references payments.account on delete cascade,
    number text not null,
    times integer not null default 1,
    last_by text not null,
    last_at timestamptz not null default now(),
    primary key (account_id, number)
);
create index payer_account_number on payments.payer_account (number);

-- A person who assigns a whole line teaches; a rule does not, and a line for many accounts says nothing about its payer.
create function payments.learn_payer() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    insert into payments.payer_account as k (account_id, number, last_by)
    select new.account_id, i.payer_account, new.created_by
    from payments.incoming i
    where i.id = new.line and i.payer_account <> '' and i.amount = new.amount
      and not exists (select from payments.bank_line b where b.incoming = i.id and b.is_automatic)
    on conflict (account_id, number) do update set times = k.times + 1, last_by = excluded.last_by, last_at = now();
    return null;
end
$$;
create trigger learn_payer after insert on payments.incoming_part
    for each row when (new.account_id is not null and new.kind = 'payment' and new.created_by ~ '^[0-9]{1,18}$')
    execute function payments.learn_payer();

-- What turned out to be wrong is forgotten.
create function payments.forget_payer() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
    delete from payments.payer_account k using payments.incoming i
    where i.id = new.line and k.account_id = new.account_id and k.number = i.payer_account;
    return null;
end
$$;
create trigger forget_payer after update of undone_at on payments.incoming_part
    for each row when (old.undone_at is null and new.undone_at is not null and new.account_id is not null)
    execute function payments.forget_payer();

revoke execute on function payments.learn_payer, payments.forget_payer from public, ebok_app;
revoke insert, update, delete on payments.payer_account from ebok_app;

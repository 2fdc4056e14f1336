-- Reading a long bank file and rolling a statement back are work beside the pages: the file waits in pieces, the work
-- tells how far it is, and a roll back that one person asked for is kept until another one decides.

alter table payments.bank_file
    -- «refused»: nothing of it is kept (why: problem, as in bank_statement); the same file may be brought again.
    add column state text not null default 'read' check (state in ('reading', 'read', 'refused')),
    add column problem jsonb;
create index bank_file_unread on payments.bank_file (id) where state <> 'read';

-- The content of a file that waits to be read; gone once it is read.
create table payments.bank_piece (
    file bigint not null references payments.bank_file on delete cascade,
    place integer not null,
    content bytea not null,
    primary key (file, place)
);

-- How far the reading of a file is: bytes read, then lines matched. Told while its transaction is still open.
create table payments.bank_reading (
    file bigint primary key,
    step text not null default 'read' check (step in ('read', 'match')),
    done bigint not null default 0,
    whole bigint not null default 0,
    is_stopped boolean not null default false
);

alter table payments.bank_statement
    -- Who asked for a roll back that somebody else has to confirm, and why.
    add column undo_asker text,
    add column undo_reason text check (length(undo_reason) <= 500),
    add constraint bank_statement_undo_asked check (num_nonnulls(undo_asker, undo_reason) in (0, 2));

-- Twins are looked for among what is booked, by the whole of what makes two lines look alike.
drop index payments.bank_line_twins;
create index bank_line_same_reference on payments.bank_line (account_no, value_date, amount, reference)
    where incoming is not null and reference <> '';
create index bank_line_same_title on payments.bank_line (account_no, value_date, amount, md5(title), party_account)
    where incoming is not null and title <> '' and party_account <> '';
-- What a reversal takes back.
create index bank_line_taken_back on payments.bank_line (account_no, amount, value_date) where incoming is not null;

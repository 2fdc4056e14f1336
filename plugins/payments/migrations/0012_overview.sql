-- The search box finds documents by the beginning of their number and payments by their amount.
create index entry_document on payments.entry (upper(document_no) collate "C", id desc) where document_no <> '';
create index entry_credit_amount on payments.entry (amount, id desc) where side = 'credit';
-- Every page of a customer asks for the customer's accounts, those that were deleted among them.
create index account_customer on payments.account (customer);

-- The figures of the first page, taken by a job from time to time: one row, so that they are all of one instant.
create table payments.overview (
    id boolean primary key default true check (id),
    taken_at timestamptz not null,
    figures jsonb not null
);

-- The search box finds documents by the beginning of their number and payments by their amount.
create index entry_document on payments.entry (upper(document_no) collate "C", id desc) where document_no <> '';
create index entry_credit_amount on payments.entry (amount, id desc) where side = 'credit';
-- Every page of a customer asks for the customer's accounts, those that were deleted among them.
create index account_customer on payments.account (customer);

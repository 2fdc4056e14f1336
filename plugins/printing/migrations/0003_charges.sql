-- For which charges an order was made (entries of the ledger), the first to be paid first; empty where the payer chose
-- the amount.
alter table printing.payment_order add column charges bigint[] not null default '{}';

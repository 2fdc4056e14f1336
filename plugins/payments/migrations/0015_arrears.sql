-- The list of unpaid charges begins with those due longest, whoever owes them.
create index entry_open_due on payments.entry (effective_due_on, id) where side = 'charge' and open_amount > 0;

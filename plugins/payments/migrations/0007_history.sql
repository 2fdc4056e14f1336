-- The past: what counted on a day, as it was known at an instant. Voided entries counted before they were voided; they
-- are few, and this is how a question about everybody finds them.
create index entry_voided on payments.entry (account_id, id) where state = 'voided';

-- What is open answers who owes what without reading the entries themselves, the day of limitation with it.
drop index payments.entry_open;
create index entry_open on payments.entry (account_id, side, effective_due_on, id) include (open_amount, time_barred_on)
    where open_amount > 0;

-- The past: what counted on a day, as it was known at an instant. Voided entries counted before they were voided; they
-- are few, and this is how a question about everybody finds them.
create index entry_voided on payments.entry (account_id, id) where state = 'voided';
